"""Sketches of people, kept in the catalog: whatever happens, they are those of now, and `why` says the same by them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from drawn import FAMILY, Library, make_library
from hypothesis import given, settings
from hypothesis import strategies as st

from facewatch.app import App
from facewatch.engines import fake
from facewatch.engines.arcface import NORMALISATION
from facewatch.errors import FacewatchError
from facewatch.matching.member import Sketch
from facewatch.people.sketching import Sketching
from facewatch.presentation.explain_row import explained_row
from facewatch.types import EngineInfo


class Engine(fake.FakeEngine):
    """Its similarities are normalised by strangers."""

    @property
    def info(self) -> EngineInfo:
        return replace(fake.INFO, normalisation=replace(NORMALISATION, mean=()))


def opened(library: Library) -> App:
    return library.app(engine=Engine())


def sketching(app: App) -> Sketching:
    return Sketching(app.catalog, app.engine.id, app.engine.info)


def plain(sketches: Mapping[int, Sketch]) -> dict[int, tuple[int, bytes, list[int]]]:
    return {
        person_id: (one.n_faces, one.centroids.tobytes(), one.first.tolist()) for person_id, one in sketches.items()
    }


def check_kept(app: App) -> None:
    """What is kept is what comes of all faces now, to the bit."""
    kept = sketching(app).kept()
    assert plain(kept) == plain(sketching(app).sketch(kept.keys()))


def whys(app: App) -> list[str]:
    """Return what `why --json` says of all photos."""
    photos = sorted(app.libraries.roots[0].rglob("*.png"))
    return [json.dumps(explained_row(app.explainer().explain(str(photo)))) for photo in photos]


def check_whys(library: Library) -> None:
    """`why` says the same by what is kept and by all faces."""
    with opened(library) as app:
        with patch.object(Sketching, "gallery", lambda *_: None):
            expected = whys(app)
        assert whys(app) == expected


# --- what happens to faces ---


def deciding(decide: Callable[[Any], object]) -> Callable[[Library], None]:
    def happen(library: Library) -> None:
        with opened(library) as app, suppress(FacewatchError), app.corrections.deciding() as decisions:
            decide(decisions)

    return happen


def in_catalog(sql: str, *values: object) -> Callable[[Library], None]:
    """Return what changes the catalog as a scan might."""

    def happen(library: Library) -> None:
        with opened(library) as app, app.catalog.write():
            app.catalog._db.execute(sql, values)

    return happen


def undo(library: Library) -> None:
    with opened(library) as app, suppress(FacewatchError):
        app.corrections.undo()


def redo(library: Library) -> None:
    with opened(library) as app, suppress(FacewatchError):
        app.corrections.redo()


def scan(library: Library) -> None:
    with opened(library) as app:
        app.pipeline.scan()


def keep_up(library: Library) -> None:
    with opened(library) as app:
        app.identities.keep_sketches()


def draw(name: str, *faces: tuple[int, int]) -> Callable[[Library], None]:
    def happen(library: Library) -> None:
        library.draw(name, *faces)
        with opened(library) as app:
            app.pipeline.scan()

    return happen


def remove(name: str) -> Callable[[Library], None]:
    def happen(library: Library) -> None:
        (library.photos / name).unlink(missing_ok=True)
        with opened(library) as app:
            app.pipeline.scan()

    return happen


people, faces = st.integers(1, 5).map("p{}".format), st.integers(1, 12).map("f{}".format)
names = st.sampled_from(["a.png", "b.png", "e.png", "new.png"])
happenings = st.one_of(
    st.builds(lambda who, name: deciding(lambda d: d.rename(who, name)), people, st.sampled_from(["Anna", "Ben"])),
    st.builds(lambda who, other: deciding(lambda d: d.merge(who, [other])), people, people),
    st.builds(lambda face, who: deciding(lambda d: d.assign([face], who)), faces, people),
    st.builds(lambda face: deciding(lambda d: d.unassign([face])), faces),
    st.builds(lambda face: deciding(lambda d: d.ignore([face])), faces),
    st.builds(lambda face: deciding(lambda d: d.reject([face])), faces),
    st.builds(lambda face: deciding(lambda d: d.confirm([face])), faces),
    st.builds(lambda who: deciding(lambda d: d.confirm_person(who)), people),
    st.builds(lambda who: deciding(lambda d: d.forget(who)), people),
    st.builds(draw, names, st.tuples(st.integers(1, 4), st.integers(0, 5))),
    st.builds(remove, names),
    st.sampled_from([undo, redo, scan, keep_up, keep_up]),
    st.builds(lambda n: in_catalog("UPDATE faces SET tier = 'match' WHERE id = ?", n), st.integers(1, 12)),
    st.builds(lambda n: in_catalog("UPDATE faces SET quality = quality / 2 WHERE id = ?", n), st.integers(1, 12)),
    st.builds(
        lambda n: in_catalog("UPDATE photos SET taken_at = '2003-05-06T07:08:09' WHERE id = ?", n), st.integers(1, 8)
    ),
    st.builds(lambda n: in_catalog("UPDATE photos SET is_reference = 1 WHERE id = ?", n), st.integers(1, 8)),
)


@settings(max_examples=25)
@given(what=st.lists(happenings, min_size=1, max_size=10))
def test_what_is_kept_is_what_comes_of_all_faces(what: Iterable[Callable[[Library], None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(Path(folder))
        library.draw_all(FAMILY)
        scan(library)
        for happen in what:
            happen(library)
            with opened(library) as app:
                check_kept(app)
        check_whys(library)
        keep_up(library)
        with opened(library) as app:
            check_kept(app)
            assert not app.catalog.looks.missing(sketching(app)._way)
        check_whys(library)


def test_a_scan_keeps_the_sketches_of_everybody(family: Library) -> None:
    scan(family)
    with opened(family) as app:
        people = {person.id for person in app.catalog.people.all()}
        assert sketching(app).kept().keys() == people


def test_whoever_changes_is_sketched_again_and_nobody_else(family: Library) -> None:
    scan(family)
    with opened(family) as app:
        everybody = sketching(app).kept().keys()
        with app.catalog.write():
            app.catalog._db.execute(
                "UPDATE faces SET quality = 0.1 WHERE id = (SELECT MIN(face_id) FROM assignments WHERE person_id = 2)"
            )
        assert sketching(app).kept().keys() == everybody - {2}


@pytest.mark.parametrize("change", ["other engine", "other reach"])
def test_what_was_kept_for_another_engine_or_rule_is_not_used(family: Library, change: str) -> None:
    scan(family)
    with opened(family) as app:
        info, engine_id = app.engine.info, app.engine.id
        assert Sketching(app.catalog, engine_id, info).kept()
        if change == "other engine":
            assert not Sketching(app.catalog, engine_id + 1, info).kept()
        else:
            other = replace(info, thresholds=replace(info.thresholds, centroid=0.5))
            assert not Sketching(app.catalog, engine_id, other).kept()


def test_what_another_process_decides_meanwhile_is_left_to_the_next_time(family: Library) -> None:
    scan(family)
    with opened(family) as app, opened(family) as other:
        with app.catalog.write():
            app.catalog._db.execute("DELETE FROM looks")
        mine = sketching(app)
        sketch = mine.sketch

        def interrupted(people: Any) -> Any:
            found = sketch(people)
            with other.catalog.write():
                other.catalog._db.execute("DELETE FROM assignments WHERE person_id = 1")
            return found

        with patch.object(Sketching, "sketch", lambda _, people: interrupted(people)):
            mine.keep_up()
        assert not mine.kept()
        mine.keep_up()
        check_kept(app)
        assert 1 not in mine.kept()
