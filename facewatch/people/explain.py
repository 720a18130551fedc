"""Why a face is assigned as it is: what is on record, and the result of matching it now. Writes nothing.

`presentation.explain` makes sentences of them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import Catalog, Mark, Presence
from facewatch.errors import EngineError, NotKnownError
from facewatch.ids import label_of
from facewatch.people.births import not_born_yet
from facewatch.people.identities import FixedEngine, Identities
from facewatch.people.lookup import Lookup, faces_on_link, find_faces, find_person, is_face, is_present, said_of_link
from facewatch.people.rematch import Comparing, Likeness, Rematch, rematch_of
from facewatch.quality import Limits, Shortfall, shortfalls
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog.assignments import Assignment
    from facewatch.indexing.engine import EngineInUse, WantedEngine
    from facewatch.matching import MatchSettings


class Verdict(StrEnum):
    """Whether a face is assigned, and if not, why."""

    PERSON = "person"
    NOBODY = "nobody"
    NOBODY_BY_USER = "nobody by user"
    NOT_A_FACE = "not a face"
    FORGOTTEN = "forgotten"


_VERDICTS = {
    Mark.NOBODY: Verdict.NOBODY_BY_USER,
    Mark.NOT_A_FACE: Verdict.NOT_A_FACE,
    Mark.FORGOTTEN: Verdict.FORGOTTEN,
}


class BarRule(StrEnum):
    """Why no run assigns a face to a person."""

    REJECTED = "rejected"
    IN_PHOTO = "in photo"
    BORN_LATER = "born later"


@dataclass(frozen=True, slots=True)
class Bar:
    """A person to whom no run assigns the face."""

    person_id: int
    name: str
    rule: BarRule
    at: str | None = None
    """When a user said so."""
    face_id: int | None = None
    """The other face of the photo that is this person, and"""
    number: int | None = None
    """which that is, from the left, from 1."""
    born: str | None = None
    taken_on: str | None = None
    """When the photo was taken, before that."""


@dataclass(frozen=True, slots=True)
class Why:
    """All that can be said about one face."""

    number: int
    """From the left, from 1."""
    face: Mapping[str, Any]
    """Its row of `Faces.in_photo`."""
    assignment: Assignment | None
    marked_at: str | None
    """When a user took it out."""
    decisions: tuple[int, ...]
    """Journal entries of the decisions that stand and changed anything about it, newest first."""
    shortfalls: tuple[Shortfall, ...]
    rematch: Rematch | None
    """None: it cannot be compared."""
    barred: tuple[Bar, ...]
    despite: tuple[Bar, ...] = ()
    """What speaks against whose it is."""
    before: EarlierVersion | None = None
    """From where what is known of it was carried over."""
    cannot_link: tuple[CannotLink, ...] = ()
    """People like it of whom a user said that they are two."""
    can_compare: bool = True
    """Whether what is known of the engine in use is here."""

    @property
    def face_id(self) -> int:
        return int(self.face["face_id"])

    @property
    def mark(self) -> Mark | None:
        return Mark(self.face["mark"]) if self.face["mark"] else None

    @property
    def tier(self) -> Tier:
        return Tier(self.face["tier"])

    @property
    def verdict(self) -> Verdict:
        if self.mark is not None:
            return _VERDICTS[self.mark]
        return Verdict.PERSON if self.assignment else Verdict.NOBODY

    @property
    def person_id(self) -> int | None:
        return self.assignment.person_id if self.assignment else None

    @property
    def name(self) -> str | None:
        name: str | None = self.face["name"]
        return name

    @property
    def at(self) -> str | None:
        """Since when it is so."""
        return self.assignment.at if self.assignment else self.marked_at

    @property
    def own(self) -> Likeness | None:
        """How near the face is to its own person."""
        return self.rematch.of(self.assignment.person_id) if self.rematch and self.assignment else None

    @property
    def possible(self) -> Likeness | None:
        """The nearest person that it could be."""
        return self.rematch.of(self.rematch.judged_id) if self.rematch else None


@dataclass(frozen=True, slots=True)
class EarlierVersion:
    """The version of a photo from which something was carried over."""

    path: str | None
    """None: it is gone."""


@dataclass(frozen=True, slots=True)
class CannotLink:
    """Two people, as a user said."""

    name: str
    other: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A photo, and why its faces are where they are."""

    photo: Mapping[str, Any]
    """What `Lookup.photo` says; only the faces that were asked for."""
    whys: tuple[Why, ...] = ()
    """One for each face, in the same order."""
    n_faces: int = 0
    """Faces of the photo, also those that were not asked for."""
    present: tuple[Presence, ...] = ()
    """Who is in it by the user's word and has no face there."""
    stale_link: str | None = None
    """What is to be said of a link whose photo does not show its person any more."""
    engine: EngineInUse | None = None
    engine_fault: str | None = None
    """Why what is known of the engine in use is not here."""


class Explainer:
    """Explains the faces of photos, by the engine in use and the settings."""

    def __init__(
        self,
        catalog: Catalog,
        engine: WantedEngine,
        lookup: Lookup,
        settings: MatchSettings,
        *,
        identities: Identities,
    ) -> None:
        """`identities` have the gallery of the wanted engine, which may be loaded already."""
        self._catalog = catalog
        self._provenance = catalog.provenance
        self._engine = engine
        self._lookup = lookup
        self._settings = settings
        self._identities = identities

    def explain(self, what: str, *, is_complete: bool = False) -> Explained:
        """Return why the faces of a photo, or one face, are where they are.

        Args:
            what: the path of a photo, the id of a face, or its place: "holiday.jpg:2". A link in somebody's folder
                means that person's face.
            is_complete: where one face is meant, the others of its photo come behind it.

        Raises:
            NotKnownError: there is no such photo or face; what is meant instead is said where that can be known.
        """
        photo, meant, stale_link = self._meant(what)
        if photo["photo_id"] is None:
            return Explained(photo)
        engine, fault = self._engine_in_use()
        whys = self._of_photo(photo["photo_id"], engine, None if is_complete else meant)
        whys.sort(key=lambda why: meant is not None and why.face_id not in meant)
        return Explained(
            dict(photo) | {"faces": [why.face for why in whys]},
            tuple(whys),
            n_faces=len(photo["faces"]),
            present=self._catalog.presences.without_face(photo["photo_id"]),
            stale_link=stale_link,
            engine=engine,
            engine_fault=fault,
        )

    # --- what is meant ---

    def _meant(self, what: str) -> tuple[Mapping[str, Any], set[int] | None, str | None]:
        """Return the photo, which of its faces are meant, all if None, and what has to be said of that."""
        path = Path(what)
        linked = self._lookup.link_at(path)
        if linked is None and not os.path.lexists(path) and is_face(what):
            photo, only = self._photo_of_face(what)
            return photo, only, None
        photo = self._photo_at(path, what)
        if linked is None:
            return photo, None, None
        faces = faces_on_link(self._catalog, linked)
        is_right = bool(faces) or is_present(self._catalog, linked)
        return photo, set(faces) or None, None if is_right else said_of_link(self._catalog, linked)

    def _photo_at(self, path: Path, what: str) -> dict[str, Any]:
        try:
            return self._lookup.photo(path)
        except NotKnownError as error:
            if os.path.lexists(path):
                raise
            try:
                person = find_person(self._catalog, what)
            except NotKnownError:
                raise error from None
            raise NotKnownError(
                f"{what!r} is a person; `facewatch why` takes a photo, or a face by its id: name a photo "
                f"from the folder of {person.label}, or see `facewatch export`, which lists the faces of everybody"
            ) from error

    def _photo_of_face(self, what: str) -> tuple[dict[str, Any], set[int]]:
        [row] = find_faces(self._catalog, [what], self._lookup.photo_id)
        catalog = self._catalog
        faces = catalog.faces.in_photo(row.photo_id)
        if row.id not in {face["face_id"] for face in faces}:
            raise NotKnownError(
                f"face {ids.face(row.id)} is not seen by the engine in use, and belongs to nobody: "
                "nothing is done with it"
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

    # --- the engine in use ---

    def _engine_in_use(self) -> tuple[EngineInUse | None, str | None]:
        """Return it; None, and why, where what is known of it is not here."""
        try:
            return self._engine.in_use(), None
        except (EngineError, NotKnownError) as error:
            return None, str(error)

    def _comparing(self, engine: EngineInUse) -> Comparing:
        identities = self._identities
        if engine.wanted is not None:
            identities = Identities(self._catalog, FixedEngine(engine.id, engine.info), self._settings)
        return Comparing(
            self._catalog,
            engine.id,
            engine.info.n_dims,
            identities.gallery_for_few,
            n_ranked=self._settings.shortlist,
            normalisation=engine.info.normalisation if self._engine.settings.is_normalised else None,
        )

    # --- the faces of a photo ---

    def _of_photo(self, photo_id: int, engine: EngineInUse | None, only: Collection[int] | None) -> list[Why]:
        """Return why each face of a photo, or `only` each of these, is where it is; from left to right."""
        limits = self._engine.limits_of(engine.info) if engine else Limits()
        # What is known of the people is read bit by bit.
        with self._catalog.read_transaction():
            faces = self._catalog.faces.in_photo(photo_id)
            here = [int(str(face["face_id"])) for face in faces]
            assigned, decisions = self._provenance.assigned(here), self._provenance.decisions_about(here)
            barred = {face_id: tuple(self._barred(face_id, photo_id, faces)) for face_id in here}
            rematches = self._rematches(photo_id, barred, engine)
            whys = []
            for number, (face_id, face) in enumerate(zip(here, faces, strict=True), 1):
                if only is not None and face_id not in only:
                    continue
                assignment, rematch = assigned.get(face_id), rematches.get(face_id)
                own = assignment.person_id if assignment else None
                why = Why(
                    number=number,
                    face=face,
                    assignment=assignment,
                    marked_at=self._provenance.marked_at(face_id) if assignment is None else None,
                    decisions=tuple(decisions[face_id]),
                    shortfalls=tuple(shortfalls(face, limits)) if face["tier"] != Tier.ENROLL else (),
                    rematch=rematch,
                    # Whose it is it can be, whatever speaks against it.
                    barred=tuple(bar for bar in barred[face_id] if bar.person_id != own),
                    despite=tuple(bar for bar in barred[face_id] if bar.person_id == own),
                    before=self._version_before(face_id),
                    cannot_link=tuple(self._cannot_link(own, rematch)),
                    can_compare=engine is not None,
                )
                whys.append(why)
            return whys

    # --- whom it cannot be ---

    def _barred(self, face_id: int, photo_id: int, faces: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
        for rejected, at in self._provenance.rejected(face_id).items():
            name = self._label(rejected)
            if name is not None:
                yield Bar(rejected, name, BarRule.REJECTED, at=at)
        for number, face in enumerate(faces, 1):
            if face["person_id"] is not None and face["face_id"] != face_id:
                yield Bar(face["person_id"], face["name"], BarRule.IN_PHOTO, face_id=face["face_id"], number=number)
        taken_on = self._catalog.photos.taken_at(photo_id)[:10]
        for person_id, born in not_born_yet(self._catalog, photo_id).items():
            yield Bar(person_id, self._name(person_id), BarRule.BORN_LATER, born=born, taken_on=taken_on)

    def _cannot_link(self, own: int | None, rematch: Rematch | None) -> Iterator[CannotLink]:
        """Yield who was said not to be one of the others whom the face looks like."""
        people = [near.person_id for near in rematch.likenesses] if rematch else []
        mine = own if own is not None else next(iter(people), None)
        others = self._catalog.rejections.cannot_links().get(mine, set()) if mine is not None else set()
        for person_id in people:
            if mine is not None and person_id in others:
                yield CannotLink(self._name(mine), self._name(person_id))

    def _version_before(self, face_id: int) -> EarlierVersion | None:
        """Return the other version of its photo from which what is known of a face was carried over."""
        before = self._catalog.lineage.before(face_id)
        for row in self._catalog.faces.rows([before] if before is not None else []):
            paths = self._catalog.files.sources([row.photo_id]).get(row.photo_id)
            return EarlierVersion(paths[0] if paths else None)
        return None

    def _label(self, person_id: int) -> str | None:
        """Return what a person is called; None: it lives no longer."""
        person = self._catalog.people.one(person_id)
        return person.label if person else None

    # --- how it looks ---

    def _rematches(
        self, photo_id: int, barred: Mapping[int, Sequence[Bar]], engine: EngineInUse | None
    ) -> dict[int, Rematch]:
        """Return what matching the faces of a photo now comes to, as far as the engine in use sees them."""
        if engine is None:
            return {}
        barred_people = {face_id: {bar.person_id for bar in bars} for face_id, bars in barred.items()}
        seen = self._comparing(engine).photo(photo_id, barred_people)
        nearest = {near.nearest_id for one in seen.values() for near in one.candidates}
        photo_of = {row.id: row.photo_id for row in self._catalog.faces.rows(nearest)}
        paths = self._catalog.files.sources(set(photo_of.values()))
        photos = {face_id: next(iter(paths.get(photo, ())), None) for face_id, photo in photo_of.items()}
        return {face_id: rematch_of(one, self._name, photos) for face_id, one in seen.items()}

    def _name(self, person_id: int) -> str:
        return self._label(person_id) or label_of(person_id)
