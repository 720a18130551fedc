"""Another engine: everything is analysed again in the background, and people, names and decisions are carried over."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.app import App
from facewatch.boxes import overlaps, pair_up
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import EngineError, LibraryError
from facewatch.indexing.engine import MODELS_READ
from facewatch.types import DetectedFace, EngineInfo, Match
from facewatch.watcher.loop import WatchLoop


class OtherEngine(fake.FakeEngine):
    """Sees the same squares, a little larger, and turns them into vectors of another length."""

    def __init__(self, blind_to: int | None = None, dies_after: int = 10_000) -> None:
        self.n_looked = 0
        self._blind_to = blind_to
        self._dies_after = dies_after

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(fake.INFO, name="other", fingerprint="other", n_dims=2 * fake.N_DIMS)

    def analyse(self, pixels: Any, **closer: Any) -> list[DetectedFace]:
        if self.n_looked >= self._dies_after:
            raise KeyboardInterrupt
        self.n_looked += 1
        found = super().analyse(pixels, **closer)
        reds = [int(pixels[int(face.box[1]) + 5, int(face.box[0]) + 5, 0]) for face in found]
        return [_seen_by_other(face) for face, red in zip(found, reds, strict=True) if red != self._blind_to]


def _seen_by_other(face: DetectedFace) -> DetectedFace:
    x, y, w, h = face.box
    twice = np.concatenate([face.embedding[::-1], -face.embedding]) / np.sqrt(2)
    return dataclasses.replace(face, box=(x - 4, y - 4, w + 8, h + 8), embedding=twice.astype(np.float32))


@pytest.fixture
def named(library: Library) -> Library:
    """A library where two people are named, and one face is where a user put it."""
    for look in range(3):
        library.draw(f"anna{look}.png", (1, look))
        library.draw(f"both{look}.png", (1, 10 + look), (2, look))
        library.draw(f"stranger{look}.png", (3, look))
    library.draw("odd.png", (4, 0))
    with library.app() as app:
        app.pipeline.scan()
        by_photo = _people_of(app)
        [anna] = by_photo["anna0.png"]
        [ben] = by_photo["both0.png"] - {anna}
        app.corrections.rename(str(anna), "Anna")
        app.corrections.rename(str(ben), "Ben")
        with app.catalog.write():
            [odd] = [row["face_id"] for row in app.lookup.photo(library.photos / "odd.png")["faces"]]
            said = Match(anna, 0.0, 0.0, None, None, "a user said so", is_accepted=True)
            app.catalog.assignments.assign(odd, said, source="user", run_id=None, now="2026-01-01T00:00:00Z")
        app.folder.sync()
    return library


def _people_of(app: App) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for path, _, person_id, *_ in app.catalog.faces.export_rows():
        found.setdefault(Path(str(path)).name, set()).add(person_id)  # type: ignore[arg-type]
    return found


def _facts(library: Library, **arguments: Any) -> tuple[Any, ...]:
    """Return who is where, by id and name, and what the folders hold."""
    with library.app(**arguments) as app:
        people = [(p.id, p.name, p.n_photos) for p in app.catalog.people.all()]
        return _people_of(app), people, library.tree()


def test_people_names_ids_folders_and_decisions_are_carried_over(named: Library) -> None:
    before = _facts(named)
    with named.app(engine=OtherEngine()) as app:
        result = app.pipeline.scan()
        assert app.status().engine.in_use == "other"
    assert (result.files.n_new, result.files.n_again, result.faces.n_faces) == (0, 10, 0)
    assert _facts(named, engine=OtherEngine()) == before


def test_faces_keep_their_ids_and_lie_where_the_new_engine_sees_them(named: Library) -> None:
    with named.app() as app:
        [old] = app.lookup.photo(named.photos / "anna0.png")["faces"]
    with named.app(engine=OtherEngine()) as app:
        app.pipeline.scan()
        [new] = app.lookup.photo(named.photos / "anna0.png")["faces"]
    assert new["face_id"] == old["face_id"]
    assert (new["x"], new["w"]) == (old["x"] - 4, old["w"] + 8)
    assert "known from fake" in new["rule"]


def test_until_the_new_answers_are_complete_the_old_ones_stand(named: Library) -> None:
    before = _facts(named)
    with named.app(engine=OtherEngine()) as app, app.pipeline.running("scan"):
        for _ in itertools.islice(app.pipeline.reanalyse(), 6):
            status = app.status()
            assert status.engine.in_use == "fake"
            assert status.engine.switch is not None
        assert not app.pipeline.complete_switch()
        assert (status.engine.switch.n_done, status.engine.switch.n_photos) == (6, 10)
        assert _facts(named) == before
        with pytest.raises(EngineError, match="is being changed to other"):
            app.grouping.recluster()


@pytest.mark.parametrize("n_looks", range(0, 11, 2))
def test_a_change_that_was_cut_off_carries_on_to_the_same_end(named: Library, n_looks: int) -> None:
    with named.app(engine=OtherEngine(dies_after=n_looks)) as app:
        try:
            app.pipeline.scan()
        except KeyboardInterrupt:
            assert n_looks < 10
    rest = OtherEngine()
    with named.app(engine=rest) as app:
        app.pipeline.scan()
    assert rest.n_looked == 10 - n_looks
    people, names, _ = _facts(named, engine=OtherEngine())
    assert [(name, n_photos) for _, name, n_photos in names] == [("Anna", 7), ("Ben", 3), (None, 3)]
    assert people["odd.png"] == people["anna0.png"]


def test_a_face_that_the_new_engine_does_not_see_stays_with_its_person(named: Library) -> None:
    with named.app(engine=OtherEngine(blind_to=2)) as app:
        app.pipeline.scan()
    assert {name for name in named.tree() if name.startswith("Ben/")} == {f"Ben/both{i}.png" for i in range(3)}


def test_nobody_takes_the_place_of_somebody_whom_the_new_engine_does_not_see(named: Library) -> None:
    named.draw("twice.png", (2, 50), (5, 0))
    named.scan()
    with named.app(engine=OtherEngine(blind_to=2)) as app:
        app.pipeline.scan()
        people = [face["name"] for face in app.lookup.photo(named.photos / "twice.png")["faces"]]
    assert people == ["Ben", None]


def test_a_strangers_face_that_the_new_engine_does_not_see_is_out_of_sight(library: Library) -> None:
    library.draw("one.png", (7, 0))
    library.scan()
    with library.app(engine=OtherEngine(blind_to=7)) as app:
        app.pipeline.scan()
        assert app.status().counts.n_faces == 0
        assert app.lookup.photo(library.photos / "one.png")["faces"] == []


def test_a_rejection_holds_for_the_new_engine(named: Library) -> None:
    named.draw("look-alike.png", (1, 77))
    named.scan()
    with named.app() as app:
        [face] = app.lookup.photo(named.photos / "look-alike.png")["faces"]
        db = app.catalog._db
        with app.catalog.write():
            db.execute("DELETE FROM assignments WHERE face_id = ?", [face["face_id"]])
            db.execute("INSERT INTO rejections VALUES (?, ?, 'now')", [face["face_id"], face["person_id"]])
    with named.app(engine=OtherEngine()) as app:
        app.pipeline.scan()
        [face] = app.lookup.photo(named.photos / "look-alike.png")["faces"]
    assert face["person_id"] is None


def test_going_back_needs_no_second_look(named: Library) -> None:
    before = _facts(named)
    with named.app(engine=OtherEngine()) as app:
        app.pipeline.scan()
    with named.app() as app:
        result = app.pipeline.scan()
        assert app.status().engine.in_use == "fake"
    assert result.files.n_again == 0
    assert _facts(named) == before


def test_giving_the_change_up_half_way_changes_nothing(named: Library) -> None:
    before = _facts(named)
    with named.app(engine=OtherEngine(dies_after=5)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    named.scan()
    assert _facts(named) == before


def test_photos_that_come_during_the_change_are_placed_when_it_is_complete(named: Library) -> None:
    with named.app(engine=OtherEngine(dies_after=5)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    named.draw("new.png", (1, 99))
    with named.app(engine=OtherEngine(dies_after=2)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    with named.app() as app:
        assert app.lookup.photo(named.photos / "new.png")["is_waiting"]
    with named.app(engine=OtherEngine()) as app:
        app.pipeline.scan()
        assert not app.lookup.photo(named.photos / "new.png")["is_waiting"]
    assert "Anna/new.png" in named.tree()


def test_a_library_that_is_away_does_not_hold_up_the_change_and_is_looked_at_when_it_is_back(
    named: Library, tmp_path: Path
) -> None:
    other = tmp_path / "Other"
    other.mkdir()
    (other / "anna9.png").write_bytes(named.draw("anna9.png", (1, 9)).read_bytes())
    (named.photos / "anna9.png").unlink()
    libraries = {"library.photos": [str(named.photos), str(other)]}
    with named.app(libraries) as app:
        app.pipeline.scan()
    other.rename(tmp_path / "unplugged")
    with named.app(libraries, engine=OtherEngine()) as app:
        app.pipeline.scan()
        assert app.status().engine.in_use == "other"
    (tmp_path / "unplugged").rename(other)
    with named.app(libraries, engine=OtherEngine()) as app:
        result = app.pipeline.scan()
        assert result.files.n_again == 1
        [face] = app.lookup.photo(other / "anna9.png")["faces"]
    assert face["name"] == "Anna"


def test_the_watcher_changes_over_while_nothing_else_is_to_do(named: Library) -> None:
    before = _facts(named)
    with named.app(engine=OtherEngine()) as app, app.pipeline.running("watch"):
        loop = WatchLoop(app, should_stop=lambda: False, clock=iter(range(10_000)).__next__)
        for _ in range(20):
            loop.step({})
        assert app.status().engine.in_use == "other"
    assert _facts(named, engine=OtherEngine()) == before


def test_the_watcher_looks_anew_at_a_library_that_is_back(named: Library, tmp_path: Path) -> None:
    other = tmp_path / "Other"
    other.mkdir()
    named.draw("anna9.png", (1, 9)).rename(other / "anna9.png")
    libraries = {"library.photos": [str(named.photos), str(other)]}
    with named.app(libraries) as app:
        app.pipeline.scan()
    other.rename(tmp_path / "unplugged")
    with named.app(libraries, engine=OtherEngine()) as app, app.pipeline.running("watch"):
        loop = WatchLoop(app, should_stop=lambda: False, clock=iter(range(10_000)).__next__)
        for _ in range(20):
            loop.step({})
        assert app.status().engine.in_use == "other"
        (tmp_path / "unplugged").rename(other)
        for _ in range(40):
            loop.step({})
        [face] = app.lookup.photo(other / "anna9.png")["faces"]
    assert face["name"] == "Anna"
    assert "known from" in face["rule"]


def test_a_name_given_during_the_change_holds(named: Library) -> None:
    with named.app(engine=OtherEngine(dies_after=5)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    with named.app() as app:
        app.corrections.rename("Ben", "Benjamin")
    with named.app(engine=OtherEngine()) as app:
        app.pipeline.scan()
    assert "Benjamin/both0.png" in named.tree()


def test_old_vectors_are_freed_when_asked(named: Library) -> None:
    with named.app(engine=OtherEngine(blind_to=2)) as app:
        app.pipeline.scan()
        before = _people_of(app)
        assert [engine.name for engine in app.catalog.engines.all()] == ["fake", "other"]
        n_freed = app.engine.prune_others()
        assert n_freed == 13
        assert [engine.n_faces for engine in app.catalog.engines.all() if engine.is_in_use] == [10]
        assert _people_of(app) == before
    with named.app() as app:
        assert app.pipeline.scan().files.n_again == 10


def test_freeing_keeps_what_a_change_under_way_has_found(named: Library) -> None:
    with named.app(engine=OtherEngine(dies_after=4)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    rest = OtherEngine()
    with named.app(engine=rest) as app:
        assert app.engine.prune_others() == 0
        app.pipeline.scan()
    assert rest.n_looked == 6


boxes = st.lists(st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 60)] * 2), max_size=8)


@given(boxes, boxes)
def test_no_box_is_two_faces(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    pairs = pair_up(np.array(first, float), np.array(second, float))
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


@given(boxes)
def test_a_box_overlaps_itself_wholly_and_others_at_most_so(some: list[tuple[int, ...]]) -> None:
    shares = overlaps(np.array(some, float), np.array(some, float))
    assert np.allclose(np.diag(shares), 1)
    assert ((shares >= 0) & (shares <= 1 + 1e-9)).all()
    assert np.allclose(shares, shares.T)


def test_a_change_that_was_asked_for_once_is_carried_on_by_a_scan_that_names_no_engine(named: Library) -> None:
    with named.app(engine=OtherEngine(dies_after=4)) as app, pytest.raises(KeyboardInterrupt):
        app.pipeline.scan()
    config = load_config(None, {"library.catalog": str(named.catalog)}, cwd=named.base)
    with App(config) as app:
        status = app.status()
        assert app.engine.name == "other"
        assert status.engine.in_use == "fake"
        assert status.engine.switch is not None
        assert (status.engine.switch.before, status.engine.switch.wanted) == ("fake", "other")


def test_a_scan_says_that_the_engine_has_changed_also_back(named: Library) -> None:
    with named.app(engine=OtherEngine()) as app:
        there = app.pipeline.scan()
    back = named.scan()
    assert (there.engine, there.engine_before) == ("other", "fake")
    assert (back.engine, back.engine_before) == ("fake", "other")
    assert named.scan().engine_before is None


def test_a_rule_says_once_from_which_engine_it_is_known(named: Library) -> None:
    for engine in (OtherEngine(), fake.FakeEngine(), OtherEngine()):
        with named.app(engine=engine) as app:
            app.pipeline.scan()
            [face] = app.lookup.photo(named.photos / "anna0.png")["faces"]
    assert face["rule"].count("known from") == 1


def test_what_needs_no_model_works_while_the_wanted_one_is_absent(named: Library) -> None:
    wanted = {"library.catalog": str(named.catalog), "engine.name": "insightface:buffalo_m"}
    with App(load_config(None, wanted, cwd=named.base)) as app:
        status = app.status()
        assert status.engine.fault is not None
        assert "facewatch models fetch buffalo_m" in status.engine.fault
        assert app.engine.prune_others() == 0
        app.corrections.rename("Ben", "Benjamin")


def test_a_scan_that_failed_before_it_looked_is_no_last_scan(named: Library) -> None:
    with named.app() as app:
        before = app.status().last_scan
        with pytest.raises(LibraryError), app.pipeline.running("scan"):
            raise LibraryError("nothing there")
        assert app.catalog.runs.last("scan")["outcome"] != "{}"  # type: ignore[index]
        assert app.status().last_scan == before


def test_a_scan_remembers_how_the_model_files_were(library: Library) -> None:
    library.draw("anna.png", (1, 0))
    engine = fake.FakeEngine()
    with library.app(engine=engine) as app:
        app.engine._info = dataclasses.replace(engine.info, read_as="as they are")
        app.pipeline.scan()
        read = json.loads(app.catalog.settings.get(MODELS_READ) or "")
    assert read == {"as they are": ["fake", engine.info.fingerprint, engine.info.n_dims, engine.info.licence]}


@pytest.mark.parametrize(
    "written", ["{", "[]", '{"as": "they"}', '{"as": ["a", "b", "c", "d"]}', '{"as": ["a", "b", 1]}', '{"as": 5}']
)
def test_what_is_remembered_of_model_files_in_another_shape_is_not_read(library: Library, written: str) -> None:
    with library.app() as app:
        with app.catalog.write():
            app.catalog.settings.set(MODELS_READ, written)
        assert app.engine._read() == {}


def test_the_watcher_remembers_the_model_files_as_a_scan_does(library: Library) -> None:
    library.draw("anna.png", (1, 0))
    engine = fake.FakeEngine()
    with library.app(engine=engine) as app:
        app.engine._info = dataclasses.replace(engine.info, read_as="as they are")
        watch = WatchLoop(app, should_stop=lambda: False)
        watch.step({})
        assert "as they are" in (app.catalog.settings.get(MODELS_READ) or "")
