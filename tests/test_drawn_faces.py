"""Faces that were missed: a user draws a box, and from then on each is a face as any other.

The fake engine looks at the middle row of a picture only, so that it misses the squares below; given the box, it sees
who is in it.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from numpy.typing import NDArray
from photo_files import CORNER, mounted
from PIL import Image

from facewatch.app import App
from facewatch.catalog import Mark
from facewatch.config import load_config
from facewatch.engines import describe_engine, fake
from facewatch.errors import DecisionError, EngineError, NotKnownError
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.corrections import Decisions
from facewatch.people.drawing import checked_box, is_one_place
from facewatch.presentation.corrections import describe
from facewatch.quality import Limits
from facewatch.types import Analysis, Box, DetectedFace, EngineInfo, Fingerprint, Tier

ANNA, BEN, DORA = 1, 2, 7
SIDE = 80
"""Of a square that is missed, in pixels."""
TOP = 172

Faces = tuple[tuple[int, int], ...]


def picture(seen: Faces, missed: Faces = (), *, shade: int = 200) -> NDArray[np.uint8]:
    """Return a picture of (person, look) squares, those that are missed below the others."""
    pixels = np.full((256, 128 * (max(len(seen), len(missed)) + 1), 3), shade, np.uint8)
    for i, (person, look) in enumerate(seen):
        pixels[64:144, 128 * i + 64 : 128 * i + 128] = (person, look, 7)
    for i, (person, look) in enumerate(missed):
        box = box_of(i)
        pixels[box.y : box.y + box.h, box.x : box.x + box.w] = (person, look, 7)
    return pixels


def box_of(i: int) -> Box:
    """The box of the square that is missed as the first, second ..."""
    return Box(128 * i + 40, TOP, SIDE, SIDE)


def store(library: Library, name: str, pixels: NDArray[np.uint8]) -> Path:
    path = library.photos / name
    Image.fromarray(pixels).save(path, format="PNG")
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))
    return path


class OtherEngine(fake.FakeEngine):
    """Gives other vectors, and sees what the first misses if it `sees_all`."""

    def __init__(self, *, sees_all: bool = False) -> None:
        self._sees_all = sees_all

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(fake.INFO, name="other", fingerprint="other")

    def analyse(self, pixels: Any, **closer: Any) -> list[DetectedFace]:
        found = super().analyse(pixels)
        if self._sees_all and len(pixels) == 256:
            low = super().analyse(pixels[2 * TOP - 256 + SIDE :])
            found += [dataclasses.replace(face, box=(face.box[0], TOP, SIDE, SIDE)) for face in low]
        return [dataclasses.replace(face, embedding=-face.embedding) for face in found]

    def analyse_aligned(self, crops: Any) -> list[DetectedFace]:
        return [dataclasses.replace(face, embedding=-face.embedding) for face in super().analyse_aligned(crops)]


class Unready(InlineWorkers):
    """Cannot read a photo for boxes."""

    def analyse_boxes(self, photo: Any, *arguments: Any) -> Any:
        answer: Future[Any] = Future()
        answer.set_exception(FileNotFoundError(photo))
        return answer


@pytest.fixture
def missing(library: Library) -> Library:
    """Anna (3 photos) and Ben (2), and party.png of Ben, on which Anna and somebody else were missed."""
    for look in range(3):
        library.draw(f"anna{look}.png", (ANNA, look))
    for look in range(2):
        library.draw(f"ben{look}.png", (BEN, look))
    store(library, "party.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0))))
    with library.app() as app:
        app.pipeline.scan()
        for name, who in (("anna0.png", "Anna"), ("ben0.png", "Ben")):
            [face] = faces(app, name)
            app.corrections.rename(str(face["person_id"]), who)
    return library


def photo(app: App, name: str) -> int:
    return app.lookup.photo_id(Path(app.config.photos[0]) / name)


def faces(app: App, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.lookup.photo(Path(app.config.photos[0]) / name)["faces"]
    return found


def names(app: App, name: str = "party.png") -> list[str | None]:
    return [face["name"] for face in faces(app, name)]


def draw(app: App, i: int = 0, who: str | None = None, *, name: str = "party.png", is_new: bool = False) -> Any:
    return app.corrections.add_face(photo(app, name), box_of(i), who, is_new=is_new)


def decide(app: App, decision: Callable[[Decisions], Any]) -> Any:
    with app.corrections.deciding() as decisions:
        return decision(decisions)


def links(library: Library, folder: str) -> set[str]:
    return {where.rpartition("/")[2] for where in library.tree() if where.startswith(f"{folder}/")}


# --- it is a face ---


def test_a_face_that_was_missed_is_recognised_at_once(missing: Library) -> None:
    with missing.app() as app:
        drawn = draw(app)
        assert len(drawn.faces) == 1
        [face] = [face for face in faces(app, "party.png") if face["is_drawn"]]
        assert (face["name"], face["source"]) == ("Anna", "auto")
        assert [face[side] for side in "xywh"] == [40, TOP, SIDE, SIDE]
        assert app.catalog.faults() == []
    assert "party.png" in links(missing, "Anna")


def test_it_can_be_said_at_once_whose_it_is(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1, "Anna")
        assert names(app) == ["Ben", "Anna"]
        draw(app, 0, "Clara", is_new=True)
        assert sorted(filter(None, names(app))) == ["Anna", "Ben", "Clara"]
        assert app.catalog.faults() == []
    assert links(missing, "Clara") == {"party.png"}


def test_whom_nobody_knows_belongs_to_nobody_and_can_be_said_later(missing: Library) -> None:
    with missing.app() as app:
        [face_id] = draw(app, 1).faces
        assert names(app) == ["Ben", None]
        decide(app, lambda d: d.assign([f"f{face_id}"], "Dora", is_new=True))
        decide(app, lambda d: d.cover("Dora", f"f{face_id}"))
        assert names(app) == ["Ben", "Dora"]


def test_it_is_found_by_search_and_counted_as_any_face(missing: Library) -> None:
    with missing.app() as app:
        before = app.catalog.faces.counts()["faces"]
        [face_id] = draw(app).faces
        app.search.keep_up()
        [near] = app.search.like(missing.photos / "anna0.png", k=9)
        assert face_id in [found.face_id for found in near.found]
        assert app.catalog.faces.counts()["faces"] == before + 1


def test_it_stays_through_scans_and_a_recluster(missing: Library) -> None:
    with missing.app() as app:
        [face_id] = draw(app, 1, "Anna").faces
        app.grouping.recluster()
    os.utime(missing.photos / "party.png")
    missing.scan()
    with missing.app() as app:
        assert [face["face_id"] for face in faces(app, "party.png") if face["name"] == "Anna"] == [face_id]
        assert app.catalog.faults() == []


def test_a_photo_that_is_moved_and_copied_keeps_it(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1, "Anna")
    (missing.photos / "party.png").rename(missing.photos / "moved.png")
    shutil.copy2(missing.photos / "moved.png", missing.photos / "copy.png")
    missing.scan()
    with missing.app() as app:
        assert names(app, "moved.png") == names(app, "copy.png") == ["Ben", "Anna"]


# --- undo ---


def test_an_undo_takes_the_face_away_and_a_redo_brings_it_back(missing: Library) -> None:
    with missing.app() as app:
        [face_id] = draw(app).faces
        app.corrections.undo()
        assert names(app) == ["Ben"]
        assert "party.png" not in links(missing, "Anna")
        assert app.catalog.faults() == []
        with pytest.raises(NotKnownError, match=f"there is no face f{face_id}"):
            decide(app, lambda d: d.assign([f"f{face_id}"], "Anna"))
        app.corrections.redo()
        assert [face["face_id"] for face in faces(app, "party.png") if face["name"] == "Anna"] == [face_id]
        assert app.catalog.faults() == []
    missing.scan()
    with missing.app() as app:
        assert sorted(filter(None, names(app))) == ["Anna", "Ben"]


@pytest.mark.parametrize(
    "later",
    [
        lambda d, face: d.assign([face], "Ben"),
        lambda d, face: d.reject([face], "Anna"),
        lambda d, face: d.ignore([face]),
        lambda d, face: d.unassign([face]),
    ],
    ids=["assign", "reject", "ignore", "unassign"],
)
def test_what_was_said_about_it_is_undone_with_it(missing: Library, later: Any) -> None:
    with missing.app() as app:
        drawn = draw(app)
        decide(app, lambda d: later(d, f"f{drawn.faces[0]}"))
        with pytest.raises(DecisionError, match="built on it"):
            app.corrections.undo_one(drawn.entry_id)
        app.corrections.undo_one(drawn.entry_id, with_chain=True)
        assert names(app) == ["Ben"]
        assert app.catalog.faults() == []


def test_a_cover_that_was_drawn_is_undone_with_it(missing: Library) -> None:
    with missing.app() as app:
        drawn = draw(app)
        decide(app, lambda d: d.cover("Anna", f"f{drawn.faces[0]}"))
        with pytest.raises(DecisionError, match="built on it"):
            app.corrections.undo_one(drawn.entry_id)


def test_a_run_that_had_assigned_it_in_the_meantime_lets_go(missing: Library) -> None:
    with missing.app() as app:
        drawn = draw(app, 1)
        missing.draw("dora1.png", (DORA, 1))
        missing.draw("dora2.png", (DORA, 2))
        app.pipeline.scan()
        app.grouping.recluster()
        app.corrections.undo_one(drawn.entry_id)
        assert names(app) == ["Ben"]
        assert app.catalog.faults() == []


def test_the_same_box_can_be_drawn_again(missing: Library) -> None:
    with missing.app() as app:
        first = draw(app)
        app.corrections.undo()
        assert draw(app).faces == first.faces
        assert app.catalog.faults() == []


# --- what is refused ---


def test_a_box_round_a_known_face_names_that_face(missing: Library) -> None:
    with missing.app() as app:
        [ben] = faces(app, "party.png")
        loose = Box(ben["x"] - 40, ben["y"] - 40, ben["w"] + 80, ben["h"] + 80)
        for box in (Box(*(ben[side] for side in "xywh")), loose):
            with pytest.raises(DecisionError, match=rf"that is face f{ben['face_id']} \(Ben\), number 1 from the left"):
                app.corrections.add_face(photo(app, "party.png"), box)
        draw(app, 1)
        with pytest.raises(DecisionError, match=r"that is face f\d+ \(nobody\), number 2 from the left"):
            draw(app, 1)


def test_a_box_round_what_was_said_to_be_no_face_says_that(missing: Library) -> None:
    with missing.app() as app:
        decide(app, lambda d: d.ignore([f"f{faces(app, 'party.png')[0]['face_id']}"]))
        assert faces(app, "party.png")[0]["mark"] == Mark.NOT_A_FACE
        box = Box(*(faces(app, "party.png")[0][side] for side in "xywh"))
        with pytest.raises(DecisionError, match=r"f\d+ \(no face, as you said\)"):
            app.corrections.add_face(photo(app, "party.png"), box)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        (Box(400, 10, 50, 50), "outside the photo, which has 384 x 256 pixels"),
        (Box(-90, 10, 80, 50), "outside the photo"),
        (Box(10, 10, 0, 40), "is empty"),
        (Box(10, 10, 40, -3), "is empty"),
        (Box(10, 10, 11, 40), "too small: 11 x 40 pixels of the photo; at least 12"),
        (Box(-60, 10, 70, 70), "too small: 10 x 70"),
        (Box(10, 10, 200, 20), "too wide for a face"),
        (Box(10, 10, 20, 200), "too tall for a face"),
    ],
)
def test_a_box_that_can_hold_no_face_is_refused(missing: Library, box: Box, said: str) -> None:
    with missing.app() as app, pytest.raises(DecisionError, match=said):
        app.corrections.add_face(photo(app, "party.png"), box)


def test_a_box_over_the_edge_is_cut_there() -> None:
    assert checked_box(Box(-10, -20, 100, 120), (640, 480)) == Box(0, 0, 90, 100)
    assert checked_box(Box(600, 400, 100, 120), (640, 480)) == Box(600, 400, 40, 80)


def test_heads_that_touch_are_two_faces() -> None:
    assert not is_one_place(Box(0, 0, 100, 120), Box(70, 10, 100, 120))
    assert not is_one_place(Box(0, 0, 300, 300), Box(200, 200, 60, 60))


def test_a_photo_that_is_away_or_has_changed_is_refused(missing: Library, tmp_path: Path) -> None:
    with missing.app() as app:
        party = photo(app, "party.png")
        store(missing, "party.png", picture(((BEN, 8),), ((ANNA, 8),), shade=100))
        with pytest.raises(
            DecisionError, match=r"party\.png: no face can be added: it has changed since it was analysed"
        ):
            app.corrections.add_face(party, box_of(0))
        (missing.photos / "party.png").unlink()
        with pytest.raises(DecisionError, match="it is not there now; plug in its drive"):
            app.corrections.add_face(party, box_of(0))
        app.pipeline.scan()
        with pytest.raises(DecisionError, match="the photo: no face can be added: it is not in the library now"):
            app.corrections.add_face(party, box_of(0))
        with pytest.raises(NotKnownError, match="there is no photo 99"):
            app.corrections.add_face(99, box_of(0))
        assert app.corrections.history()[0].action != "draw"


def test_a_copy_is_read_where_the_first_cannot_be(missing: Library) -> None:
    shutil.copy2(missing.photos / "party.png", missing.photos / "a copy.png")
    missing.scan()
    with missing.app() as app:
        party = photo(app, "party.png")
        (missing.photos / "a copy.png").unlink()
        app.corrections.add_face(party, box_of(0))
        assert "Anna" in names(app)


# --- another engine ---


def use(library: Library, engine: fake.FakeEngine) -> App:
    return library.app(engine=engine)


@pytest.mark.parametrize("sees_all", [False, True], ids=["misses it, too", "finds it by itself"])
def test_another_engine_keeps_it(missing: Library, sees_all: bool) -> None:
    with missing.app() as app:
        [named] = draw(app, 1, "Anna").faces
        [unnamed] = draw(app, 0).faces
    with use(missing, OtherEngine(sees_all=sees_all)) as app:
        app.pipeline.scan()
        assert app.catalog.engines.in_use_name() == "other"
        found = {face["face_id"]: face for face in faces(app, "party.png")}
        assert found[named]["name"] == "Anna"
        assert unnamed in found
        assert [bool(found[face]["is_drawn"]) for face in (named, unnamed)] == [not sees_all] * 2
        table = app.catalog.faces.load(app.engine.id, n_dims=fake.N_DIMS, faces=[named, unnamed])
        assert len(table) == 2
        assert app.catalog.faults() == []
    with missing.app() as app:
        app.pipeline.scan()
        assert named in [face["face_id"] for face in faces(app, "party.png")]
        assert all(face["is_drawn"] for face in faces(app, "party.png") if face["face_id"] in (named, unnamed))
        assert app.catalog.faults() == []


def test_what_was_undone_stays_away_from_another_engine_but_not_what_that_finds_itself(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 0)
        app.corrections.undo()
    with use(missing, OtherEngine()) as app:
        app.pipeline.scan()
        assert names(app) == ["Ben"]
    with use(missing, OtherEngine(sees_all=True)) as app:
        # Only what is new is analysed by the better detector.
        store(missing, "party2.png", picture(((BEN, 8),), ((ANNA, 8),), shade=90))
        app.pipeline.scan()
        assert len(faces(app, "party2.png")) == 2


def test_an_undo_after_another_engine_found_the_face_leaves_it_there(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 0)
    with use(missing, OtherEngine(sees_all=True)) as app:
        app.pipeline.scan()
        app.corrections.undo()
        assert len(faces(app, "party.png")) == 3
        assert app.catalog.faults() == []


def test_it_can_be_made_again_after_the_old_engine_was_pruned(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1, "Anna")
        app.corrections.undo()
    with use(missing, OtherEngine()) as app:
        app.pipeline.scan()
        app.engine.prune_others()
        app.corrections.redo()
        assert names(app) == ["Ben", "Anna"]
        app.pipeline.scan()
        assert app.catalog.drawn.due(app.engine.id) == []
        assert app.catalog.faults() == []


def test_while_the_engine_is_being_changed_nothing_can_be_drawn(missing: Library) -> None:
    with (
        use(missing, OtherEngine()) as app,
        pytest.raises(EngineError, match=r"being changed to other; .*then a face can"),
    ):
        draw(app)


# --- another version of the photo ---


@pytest.mark.parametrize(
    "edit",
    [
        lambda pixels: pixels,
        lambda pixels: np.rot90(pixels),
        lambda pixels: np.rot90(pixels, 2),
        lambda pixels: pixels.repeat(2, 0).repeat(2, 1),
    ],
    ids=["in another light", "turned", "upside down", "twice as large"],
)
@pytest.mark.parametrize("seen", [((BEN, 8),), ()], ids=["beside a face", "as the only face"])
def test_a_photo_that_is_edited_where_it_lies_keeps_it(missing: Library, edit: Any, seen: Faces) -> None:
    store(missing, "party.png", picture(seen, ((ANNA, 8), (DORA, 0))))
    missing.scan()
    with missing.app() as app:
        draw(app, 1, "Dora", is_new=True)
    store(missing, "party.png", np.ascontiguousarray(edit(picture(seen, ((ANNA, 8), (DORA, 0)), shade=170))))
    missing.scan()
    with missing.app() as app:
        assert "Dora" in names(app)
        assert app.catalog.faults() == []
        assert app.catalog.drawn.due(app.engine.id) == []
        app.corrections.undo()
        assert "Dora" not in names(app)
        assert app.catalog.faults() == []
        app.corrections.redo()
        assert "Dora" in names(app)
        assert app.catalog.faults() == []


def test_quite_another_photo_in_its_place_has_no_such_face(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1, "Anna")
    store(missing, "party.png", picture(((9, 8),), ((10, 8), (11, 0))))
    missing.scan()
    with missing.app() as app:
        assert "Anna" not in names(app)
        assert app.catalog.drawn.of_photo(photo(app, "party.png")) == []
    store(missing, "party.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0))))
    missing.scan()
    with missing.app() as app:
        assert names(app) == ["Ben", "Anna"]


def test_a_photo_that_is_edited_twice_before_it_can_be_read_keeps_it(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1, "Anna")
    for shade in (170, 150):
        store(missing, "party.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0)), shade=shade))
        with missing.app(workers=Unready(Recipe("fake"), fake.FakeEngine())) as app:
            app.pipeline.scan()
    missing.scan()
    with missing.app() as app:
        assert names(app) == ["Ben", "Anna"]


def test_a_photo_that_is_saved_anew_elsewhere_keeps_it_when_the_first_is_gone(missing: Library) -> None:
    store(missing, "beach.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0)), shade=170))
    with missing.app() as app:
        draw(app, 1, "Anna")
        present = photo(app, "party.png")
        decide(app, lambda d: d.present("Clara", [present], is_new=True))
    (missing.photos / "party.png").unlink()
    missing.scan()
    with missing.app() as app:
        assert names(app, "beach.png") == ["Ben", "Anna"]
        assert [one.name for one in app.catalog.presences.in_photo(photo(app, "beach.png"))] == ["Clara"]
        assert app.catalog.faults() == []


def test_a_version_that_was_there_already_gets_it_when_the_first_is_gone(missing: Library) -> None:
    store(missing, "beach.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0)), shade=170))
    missing.scan()
    with missing.app() as app:
        draw(app, 1)
        assert names(app, "beach.png") == ["Ben"]
    (missing.photos / "party.png").unlink()
    missing.scan()
    with missing.app() as app:
        assert names(app, "beach.png") == ["Ben", None]
        assert app.catalog.faults() == []


def test_who_is_in_a_photo_without_a_face_is_in_it_when_it_was_edited(missing: Library) -> None:
    with missing.app() as app:
        party = photo(app, "party.png")
        decide(app, lambda d: d.present("Anna", [party]))
    store(missing, "party.png", picture(((BEN, 8),), ((ANNA, 8), (DORA, 0)), shade=170))
    missing.scan()
    with missing.app() as app:
        assert [one.name for one in app.catalog.presences.in_photo(photo(app, "party.png"))] == ["Anna"]
        assert "party.png" in links(missing, "Anna")
        app.corrections.undo()
        assert app.catalog.presences.in_photo(photo(app, "party.png")) == []
        assert "party.png" not in links(missing, "Anna")


def dated(library: Library, name: str, shade: int, taken: str) -> None:
    """Store a picture that shows no face, with the date of its camera."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = taken
    path = library.photos / name
    Image.new("RGB", (320, 240), (shade, shade, shade)).save(path, format="JPEG", exif=exif)
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))


@pytest.mark.parametrize(
    ("taken", "is_kept"), [("2024:05:01 10:20:30", True), ("2024:05:01 10:20:31", False)], ids=["edited", "another"]
)
def test_a_photo_without_any_face_is_known_by_its_date_when_it_was_edited(
    missing: Library, taken: str, is_kept: bool
) -> None:
    dated(missing, "behind.jpg", 100, "2024:05:01 10:20:30")
    missing.scan()
    with missing.app() as app:
        behind = photo(app, "behind.jpg")
        decide(app, lambda d: d.present("Anna", [behind]))
    dated(missing, "behind.jpg", 140, taken)
    missing.scan()
    assert ("behind.jpg" in links(missing, "Anna")) is is_kept


# --- at a terminal, and on record ---


def test_the_command_says_what_it_did(missing: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewatch.app._workers", lambda *_: InlineWorkers(Recipe("fake"), fake.FakeEngine()))
    monkeypatch.setattr("facewatch.indexing.engine.describe_engine", lambda *_: fake.INFO)
    party = str(missing.photos / "party.png")
    answer = run("draw", party, "--box", f"168,{TOP},{SIDE},{SIDE}", "Dora", "--new")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "1 face added, and assigned to Dora, for good"
    assert lines[1].endswith(f"{party}:2")
    assert lines[2] == str(missing.people / "Dora")
    assert "you drew the box round it: no detector had found it in the photo" in run("why", f"{party}:2").out
    assert json.loads(run("why", party, "--json").out)["faces"][1]["is_drawn"] == 1
    assert "1 face (f7) added, of Dora" in run("history").out
    assert run("draw", party, "--box", f"168,{TOP},{SIDE},{SIDE}").code == 10
    assert run("draw", party, "--box", "1,2,3").code == 2
    assert run("draw", party, "--box", "1,2,30,30", "--new").code == 2


def test_the_history_says_that_a_face_was_added_of_which_it_was_not_said_whose_it_is(missing: Library) -> None:
    with missing.app() as app:
        draw(app, 1)
        assert describe(app.corrections.history()[0]) == "1 face (f7) added"


def test_the_catalog_checks_that_boxes_and_faces_agree(missing: Library) -> None:
    with missing.app() as app:
        [face_id] = draw(app, 1).faces
    with closing(sqlite3.connect(missing.catalog)) as db:
        db.execute("UPDATE drawn SET photo_id = 1")
        db.commit()
        with missing.app() as app:
            assert f"a box that was drawn is on another photo than its face: {face_id}" in app.catalog.faults()
        db.execute("DELETE FROM drawn")
        db.commit()
        with missing.app() as app:
            assert f"a face is shown though its box was taken back: {face_id}" in app.catalog.faults()


# --- on real photos ---

FAMILY = "photos/album/family"


def labelled(shared: Path, name: str) -> dict[str, Box]:
    """Return where people are in a photo, by their label."""
    with (shared / "photos" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"] == f"album/family/{name}"]
    return {row["person"]: Box(*(int(row[side]) for side in "xywh")) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["face_recognition", "insightface"])
def test_real_faces_that_were_missed_are_whose_they_are(shared: Path, library: Library, engine: str) -> None:
    for portrait in (shared / FAMILY).glob("Family1-*.jpg"):
        shutil.copy2(portrait, library.photos)
    mounted(shared / FAMILY / "identification1.jpg", library.photos / "group.jpg")
    name = f"insightface:{shared / 'models/buffalo_sc_dq'}" if engine == "insightface" else engine
    settings = {
        **{"library.photos": str(library.photos), "library.people": str(library.people)},
        **{"library.catalog": str(library.catalog), "engine.name": name, "engine.workers": 1},
    }
    with App(load_config(None, settings, cwd=library.base)) as app:
        app.pipeline.scan()
        assert faces(app, "group.jpg") == []
        for who in ("Dad", "Mom", "Son", "Daughter"):
            portraits = [f"{library.photos / f'Family1-{who}{i}.jpg'}:1" for i in (1, 2, 3)]
            decide(app, lambda d, portraits=portraits, who=who: d.assign(portraits, who, is_new=True))
        for box in labelled(shared, "identification1.jpg").values():
            # As a hand draws it: half as large again, and a little aside.
            drawn = Box(CORNER[0] + box.x - box.w // 4, CORNER[1] + box.y - box.h // 5, box.w * 3 // 2, box.h * 3 // 2)
            app.corrections.add_face(photo(app, "group.jpg"), drawn)
        found = faces(app, "group.jpg")
        assert [face["name"] for face in found] == ["Son", "Dad", "Mom", "Daughter"]
        assert {face["source"] for face in found} == {"auto"}
        assert app.catalog.faults() == []
    assert "group.jpg" in links(library, "Daughter")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["face_recognition", "insightface"])
def test_what_no_detector_sees_is_embedded_as_it_is_and_starts_no_person(
    shared: Path, library: Library, engine: str
) -> None:
    """The lower half of a face: chin and mouth of somebody."""
    shutil.copy2(shared / FAMILY / "Family1-Dad1.jpg", library.photos)
    name = f"insightface:{shared / 'models/buffalo_sc_dq'}" if engine == "insightface" else engine
    analyzer = Analyzer(Recipe(name, limits=Limits.of(describe_engine(name))))
    with Image.open(shared / FAMILY / "Family1-Dad1.jpg") as portrait:
        below = portrait.crop((0, 160, portrait.width, portrait.height))
    below.save(library.photos / "chin.png")
    status = (library.photos / "chin.png").stat()
    box = Box(27, 5, 120, 76)
    file = LibraryFile(str(library.photos), "chin.png")
    answer = analyzer.analyse_boxes(file, Fingerprint.of(status), [box], [])
    assert isinstance(answer, Analysis)
    [face] = answer.faces
    assert face.box == box
    assert (face.score, face.is_drawn) == (0.0, True)
    assert face.quality.tier is not Tier.ENROLL
    assert np.linalg.norm(face.embedding) == pytest.approx(1.0, abs=1e-3)
