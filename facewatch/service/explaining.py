"""Why faces are where they are, and what a person would be split into: by the engine in use and the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import FaceTable, KnownEngine
from facewatch.engines import describe_engine
from facewatch.errors import EngineError, NotKnownError
from facewatch.matching import Aggregation
from facewatch.people import split
from facewatch.people.explain import Comparing, Reasons, Why
from facewatch.people.identities import FixedEngine, Identities
from facewatch.people.lookup import faces_on_link, find_faces, find_person, is_face, said_of_link
from facewatch.people.loose import loose_faces
from facewatch.quality import Limits

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.people.split import SplitPlan
    from facewatch.types import EngineInfo


@dataclass(frozen=True, slots=True)
class EngineInUse:
    """Whose answers are shown now; while the engine is being changed, that is not the wanted one."""

    id: int
    info: EngineInfo
    wanted: str | None
    """The engine that it is being changed to; None: it is not."""


def engine_in_use(app: App) -> EngineInUse:
    """Return it without writing anything.

    Raises:
        NotKnownError: nothing was scanned yet.
        EngineError: what is known of it is not here, because its files are absent.
    """
    known = _known(app)
    switch = app.engine.switch_progress()
    is_wanted = known.name == app.engine.name
    info = app.engine.info if is_wanted else describe_engine(known.name, app.engine.recipe().options)
    return EngineInUse(known.id, info, switch.wanted if switch else None)


def _known(app: App) -> KnownEngine:
    for engine in app.catalog.engines.all():
        if engine.is_in_use:
            return engine
    raise NotKnownError(f"{app.catalog.path}: holds no face yet; `facewatch scan PHOTOS` looks for some")


def plan_split(app: App, who: str, *, into: int | None = None, is_strict: bool = False) -> SplitPlan:
    """Return how a person would be split; see `people.splitting`.

    Raises:
        NotKnownError: nobody or several people fit `who`.
        DecisionError: there is nothing that could be split, or not into that many parts.
        EngineError: what is known of the engine in use is not here.
    """
    person, engine = app.lookup.person(who), engine_in_use(app)
    thresholds, strictness = engine.info.thresholds, app.config["match.strictness"]

    def loose(faces: FaceTable) -> list[int]:
        aggregation = Aggregation(app.config["match.aggregation"])
        found = loose_faces(app.catalog, faces, thresholds, strictness=strictness, aggregation=aggregation)
        return [face_id for one in found for face_id in one.faces]

    return split.plan_split(
        app.catalog,
        engine.id,
        person,
        n_dims=engine.info.n_dims,
        ceiling=thresholds.cluster - strictness,
        into=into,
        is_strict=is_strict,
        loose=loose,
    )


@dataclass(frozen=True, slots=True)
class Explained:
    """A photo, and why its faces are where they are."""

    photo: Mapping[str, Any]
    """What `Service.photo` says; only the faces that were asked for."""
    whys: tuple[Why, ...]
    """One for each face, in the same order."""
    n_faces: int
    """Faces of the photo, also those that were not asked for."""
    notes: tuple[str, ...]
    """What holds for all of them."""


def explain(app: App, what: str, *, is_complete: bool = False) -> Explained:
    """Return why the faces of a photo, or one face, are where they are.

    Args:
        what: the path of a photo, the id of a face, or its place: "holiday.jpg:2". A link in somebody's folder means
            that person's face.
        is_complete: where one face is meant, the others of its photo come behind it.

    Raises:
        NotKnownError: there is no such photo or face; what is meant instead is said where that can be known.
    """
    photo, meant, remark = _meant(app, what)
    if photo["photo_id"] is None:
        return Explained(photo, (), 0, ())
    comparing, notes = _comparing(app)
    only = None if is_complete else meant
    whys = Reasons(app.catalog, _limits(app), comparing).of_photo(photo["photo_id"], only=only)
    whys.sort(key=lambda why: meant is not None and why.face_id not in meant)
    by_id = {face["face_id"]: face for face in photo["faces"]}
    faces = [by_id[why.face_id] for why in whys]
    return Explained(dict(photo) | {"faces": faces}, tuple(whys), len(by_id), (*remark, *notes))


def _meant(app: App, what: str) -> tuple[Mapping[str, Any], set[int] | None, list[str]]:
    """Return the photo, which of its faces are meant, all if None, and what has to be said of that."""
    path = Path(what)
    linked = app.lookup.link_at(path)
    if linked is None and is_face(what) and not os.path.lexists(path):
        photo, only = _photo_of_face(app, what)
        return photo, only, []
    photo = _photo_at(app, path, what)
    if linked is None:
        return photo, None, []
    faces = faces_on_link(app.catalog, linked)
    return photo, set(faces) or None, [] if faces else [said_of_link(app.catalog, linked)]


def _photo_at(app: App, path: Path, what: str) -> dict[str, Any]:
    try:
        return app.lookup.photo(path)
    except NotKnownError as error:
        if os.path.lexists(path):
            raise
        try:
            person = find_person(app.catalog, what)
        except NotKnownError:
            raise error from None
        raise NotKnownError(
            f"{what!r} is a person; `facewatch why` takes a photo, or a face by its id: name a photo "
            f"from the folder of {person.label}, or see `facewatch export`, which lists the faces of everybody"
        ) from error


def _photo_of_face(app: App, what: str) -> tuple[dict[str, Any], set[int]]:
    def photo_of(path: Path) -> int:
        photo = app.lookup.photo(path)
        if photo["photo_id"] is None:
            raise NotKnownError(f"{path}: {photo['fault'] or 'not a photo'}; it has no faces")
        return int(photo["photo_id"])

    [row] = find_faces(app.catalog, [what], photo_of)
    catalog = app.catalog
    faces = catalog.faces.in_photo(row.photo_id)
    if row.id not in {face["face_id"] for face in faces}:
        raise NotKnownError(
            f"face {ids.face(row.id)} is not seen by the engine in use, and belongs to nobody: nothing is done with it"
        )
    files = catalog.files.sources([row.photo_id]).get(row.photo_id, ())
    photo = {
        "path": files[0] if files else None,
        "photo_id": row.photo_id,
        "fault": None,
        "is_waiting": False,
        "faces": faces,
    }
    return photo, {row.id}


def _comparing(app: App) -> tuple[Comparing | None, list[str]]:
    """Return what compares faces; None with the reason where what is known of the engine in use is not here."""
    try:
        engine = engine_in_use(app)
    except (EngineError, NotKnownError) as error:
        return None, [f"how near the faces are to anybody cannot be told now: {error}"]
    notes = []
    if engine.wanted is not None:
        notes.append(
            f"the engine is being changed from {engine.info.name} to {engine.wanted}: until that is complete, what "
            f"{engine.info.name} found stands, and nobody new is recognised (facewatch status)"
        )
    settings = app.identities.settings
    identities = Identities(app.catalog, FixedEngine(engine.id, engine.info), settings)
    comparing = Comparing(
        *(app.catalog, engine.id, engine.info.n_dims, identities.gallery),
        n_ranked=settings.shortlist,
        normalisation=engine.info.normalisation if app.config["match.normalised"] else None,
    )
    return comparing, notes


def _limits(app: App) -> Limits:
    """Return where the tiers of the engine in use end."""
    try:
        return app.engine.limits_of(engine_in_use(app).info)
    except (EngineError, NotKnownError):
        return Limits()
