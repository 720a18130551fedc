"""A loose setting was taken back: what runs placed by it and today's settings would refuse is told, and comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from drawn import Library
from numpy.typing import NDArray

from facewatch.app import App
from facewatch.checks import FaultKind, Finding
from facewatch.engines.fake import INFO, FakeEngine, embedding_of
from facewatch.people.split import SplitPlan, plan_split
from facewatch.presentation.corrections import split_notes
from facewatch.types import DetectedFace, EngineInfo, Normalisation

LIKE_ANNA = 40
"""A person who is half Anna: 0.25 from her."""
LOOSE, USUAL = {"match.strictness": -0.2}, {"match.strictness": 0.0}


@cache
def _common() -> NDArray[np.float32]:
    return embedding_of(250, 0)


class AlikeEngine(FakeEngine):
    """Sees people who look alike: two of them are 0.46 apart, which is too far for one and near enough for 0.2 more."""

    def analyse(self, pixels: NDArray[np.uint8], *, closer: Callable[[], NDArray[np.uint8]] | None = None) -> Any:
        return [self._alike(face) for face in super().analyse(pixels)]

    @staticmethod
    def _alike(face: DetectedFace) -> DetectedFace:
        seen = face.embedding
        if np.array_equal(seen, embedding_of(LIKE_ANNA, 0)):
            seen = (seen + embedding_of(1, 0)) / np.float32(np.sqrt(2))
        vector = _common() + np.float32(0.34) * seen
        return dataclasses.replace(face, embedding=vector / np.float32(np.linalg.norm(vector)))


class Loosened:
    """Anna, in photos of the usual settings, and strangers who came when they were loose."""

    N_OWN, STRANGERS = 5, range(20, 28)

    def __init__(self, library: Library) -> None:
        self.library = library
        library.draw_looks(1, self.N_OWN, "anna")
        self.scan(USUAL)
        with self.open(USUAL) as app:
            [person] = app.catalog.people.all()
            app.corrections.rename(str(person.id), "Anna")
        self.anna = person.id

    def open(self, settings: dict[str, Any]) -> App:
        return self.library.app(settings, engine=AlikeEngine())

    def scan(self, settings: dict[str, Any]) -> None:
        with self.open(settings) as app:
            app.pipeline.scan()
            assert app.catalog.faults() == []

    def loosen(self, *, photos: range = STRANGERS) -> None:
        for person in photos:
            self.library.draw(f"stranger{person}.png", (person, 0))
        self.scan(LOOSE)
        self.scan(USUAL)

    def found(self, settings: dict[str, Any] = USUAL) -> list[Finding]:
        with self.open(settings) as app:
            return [finding for finding in app.auditor().check().findings if finding.kind == FaultKind.LOOSE]

    def facts(self) -> list[tuple[Any, ...]]:
        with self.open(USUAL) as app:
            return list(app.catalog._db.execute("SELECT * FROM assignments ORDER BY face_id").fetchall())

    def photos_of(self, who: str = "Anna") -> set[str]:
        return {photo for link, photo in self.library.tree().items() if link.startswith(f"{who}/")}

    @property
    def own(self) -> set[str]:
        return {f"anna{i}.png" for i in range(self.N_OWN)}


@pytest.fixture
def loosened(library: Library) -> Loosened:
    made = Loosened(library)
    made.loosen()
    assert len(made.photos_of()) > made.N_OWN, "strangers were let in"
    return made


def test_audit_lists_what_a_run_placed_and_todays_settings_would_refuse(loosened: Loosened) -> None:
    [finding] = [one for one in loosened.found() if loosened.anna in one.people]
    n_strangers = len(loosened.photos_of() - loosened.own)
    assert len(finding.faces) == n_strangers
    assert f"{n_strangers} of {n_strangers + loosened.N_OWN} faces of Anna were let in" in finding.text
    assert "match.strictness was -0.2" in finding.text


def test_what_was_let_in_comes_out_and_an_undo_brings_it_back(loosened: Loosened) -> None:
    before, photos = loosened.facts(), loosened.photos_of()
    with loosened.open(USUAL) as app:
        assert app.auditor().fix().is_clean
        assert app.catalog.faults() == []
    assert loosened.photos_of() == loosened.own
    loosened.scan(USUAL)
    assert loosened.photos_of() == loosened.own
    with loosened.open(USUAL) as app:
        app.corrections.undo()
    assert (loosened.facts(), loosened.photos_of()) == (before, photos)
    with loosened.open(USUAL) as app:
        app.corrections.redo()
    assert loosened.photos_of() == loosened.own


def plan_of_anna(app: App) -> SplitPlan:
    return plan_split(app.catalog, app.engine.in_use(), app.lookup.person("Anna"), app.identities.settings)


def test_split_sees_the_person_and_what_was_let_in(loosened: Loosened) -> None:
    with loosened.open(USUAL) as app:
        plan = plan_of_anna(app)
    kept, *others = plan.parts
    assert len(kept.faces) == loosened.N_OWN
    assert sum(len(part.faces) for part in others) == len(loosened.photos_of() - loosened.own)
    assert any("today's settings" in note for note in split_notes(plan))


def test_as_long_as_the_setting_is_loose_nothing_is_wrong(loosened: Loosened) -> None:
    assert loosened.found(LOOSE) == []
    with loosened.open(LOOSE) as app:
        assert len(plan_of_anna(app).parts) == 1


def test_what_was_placed_loosely_and_would_be_today_stays(library: Library) -> None:
    made = Loosened(library)
    made.library.draw("anna9.png", (1, 9))
    made.loosen()
    faces = {face for finding in made.found() for face in finding.faces}
    with made.open(USUAL) as app:
        [face] = app.lookup.photo(made.library.photos / "anna9.png")["faces"]
    assert face["person_id"] == made.anna
    assert face["face_id"] not in faces


def test_what_a_user_placed_or_confirmed_is_never_listed(loosened: Loosened) -> None:
    [finding] = [one for one in loosened.found() if loosened.anna in one.people]
    confirmed, placed, *_ = finding.faces
    with loosened.open(USUAL) as app, app.corrections.deciding() as decisions:
        decisions.confirm([str(confirmed)])
        decisions.reject([str(placed)])
        decisions.assign([str(placed)], "Anna")
    assert {confirmed, placed}.isdisjoint(face for one in loosened.found() for face in one.faces)
    with loosened.open(USUAL) as app:
        app.auditor().fix()
    assert {(row[0], row[1], row[2]) for row in loosened.facts()} >= {
        (face, loosened.anna, "user") for face in (confirmed, placed)
    }


def assert_fixing_parts(library: Library) -> None:
    """Four photos of Anna and three of Ben are one group, and two when what is wrong is fixed."""
    assert len(library.groups()) == 1
    with library.app(USUAL, engine=AlikeEngine()) as app:
        assert app.auditor().fix().is_clean
        app.pipeline.scan()
    assert library.groups() == [{f"anna{i}.png" for i in range(4)}, {f"ben{i}.png" for i in range(3)}]


def test_a_group_that_was_made_loosely_keeps_its_largest_part(library: Library) -> None:
    library.draw_looks(1, 4, "anna")
    library.draw_looks(2, 3, "ben")
    for settings in (LOOSE, USUAL):
        with library.app(settings, engine=AlikeEngine()) as app:
            app.pipeline.scan()
    assert_fixing_parts(library)


@pytest.mark.parametrize("is_by_command", [False, True], ids=["a scan", "recluster"])
def test_two_groups_that_were_joined_loosely_are_parted(library: Library, is_by_command: bool) -> None:
    library.draw_looks(1, 4, "anna")
    library.draw_looks(2, 3, "ben")
    for settings in (USUAL, LOOSE, USUAL):
        with library.app(settings, engine=AlikeEngine()) as app:
            if settings is LOOSE and is_by_command:
                app.grouping.recluster()
                app.folder.sync()
            else:
                app.pipeline.scan()
    assert_fixing_parts(library)


def test_a_catalog_that_does_not_know_the_settings_of_its_runs_tells_by_distances(loosened: Loosened) -> None:
    with loosened.open(USUAL) as app, app.catalog.write():
        app.catalog._db.execute("UPDATE runs SET strictness = NULL")
    faces = {face for finding in loosened.found() for face in finding.faces}
    with loosened.open(USUAL) as app:
        far = app.catalog._db.execute(
            "SELECT face_id FROM assignments WHERE person_id = ? AND distance > 0.4", [loosened.anna]
        ).fetchall()
    assert far
    assert faces >= {face for (face,) in far}


def test_a_stricter_setting_than_before_tells_what_it_would_refuse(library: Library) -> None:
    made = Loosened(library)
    made.library.draw("like.png", (LIKE_ANNA, 0))
    made.scan(USUAL)
    assert made.photos_of() == made.own | {"like.png"}
    assert made.found() == []
    [finding] = made.found({"match.strictness": 0.2})
    assert (finding.people, len(finding.faces)) == ((made.anna,), 1)


def test_faces_that_another_engine_knew_are_not_judged_by_distances_of_this_one(loosened: Loosened) -> None:
    with loosened.open(USUAL) as app, app.catalog.write():
        app.catalog._db.execute("UPDATE assignments SET rule = rule || '; known from first'")
    assert loosened.found() == []


@pytest.mark.parametrize("n_batches", [1, 4])
def test_an_ordinary_library_lists_nothing_however_it_grew(library: Library, n_batches: int) -> None:
    people = [(person, look) for person in range(12) for look in range(6)]
    order = np.random.default_rng(n_batches).permutation(len(people))
    for batch in np.array_split(order, n_batches):
        for i in batch:
            library.draw(f"{i}.png", people[i])
        with library.app(engine=AlikeEngine()) as app:
            app.pipeline.scan()
            assert [one for one in app.auditor().check().findings if one.kind == FaultKind.LOOSE] == []


FAR_FROM_ANNA = 41
"""Somebody who is 0.4 from Anna, and yet more like her than strangers are."""


class NormalisingEngine(AlikeEngine):
    """Sees groups by what their faces have in common beyond strangers, farther off than any limit of distances."""

    @property
    def info(self) -> EngineInfo:
        limits = Normalisation(
            usual=0.0,
            link=None,
            singleton_penalty=0.0,
            merge=0.5,
            likeness=0.5,
            attach=0.1,
            outlier=0.0,
            no_rival_bonus=0.1,
            per_decade=0.0,
        )
        return dataclasses.replace(INFO, normalisation=dataclasses.replace(limits, mean=tuple(_common().tolist())))

    @staticmethod
    def _alike(face: DetectedFace) -> DetectedFace:
        if np.array_equal(face.embedding, embedding_of(FAR_FROM_ANNA, 0)):
            own = np.float32(0.95) * face.embedding + np.float32(0.3) * embedding_of(1, 0)
            vector = _common() + np.float32(0.34) * own
            return dataclasses.replace(face, embedding=vector / np.float32(np.linalg.norm(vector)))
        return AlikeEngine._alike(face)


def test_a_face_in_a_group_for_what_strangers_have_less_of_was_not_let_in_by_a_looser_setting(library: Library) -> None:
    library.draw_looks(1, 4, "anna")
    for person in (FAR_FROM_ANNA, *range(50, 62)):
        library.draw(f"{person}.png", (person, 0))
    with library.app(engine=NormalisingEngine()) as app:
        app.pipeline.scan()
        far = app.catalog._db.execute(
            "SELECT 1 FROM assignments WHERE source = 'cluster' AND distance > 0.36"
        ).fetchall()
        assert far, "a face is in a group that is farther off than any limit of distances"
        assert [one for one in app.auditor().check().findings if one.kind == FaultKind.LOOSE] == []
