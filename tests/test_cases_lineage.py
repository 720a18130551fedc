"""A photo that was edited and moved, converted, or copied and edited: its faces are still who they were said to be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library, make_library
from PIL import Image
from test_edited import TurningEngine
from test_loop import Turns

from facewatch.app import App
from facewatch.catalog import Mark
from facewatch.catalog.faces import SeenFaces
from facewatch.engines import fake, load_engine
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.lineage import Versions, _Signs, same_faces
from facewatch.indexing.pool import InlineWorkers
from facewatch.presentation.explain import notes

ANNA, BEN, CLARA = 1, 2, 3


class Moved:
    """A library with photos of Anna and Ben, and a.png of both, about which a user says something."""

    def __init__(self, library: Library) -> None:
        self.library = library
        library.draw_looks(ANNA, 3, "anna")
        library.draw_looks(BEN, 3, "ben")
        library.draw("a.png", (ANNA, 9), (BEN, 9))
        self.scan()
        self.anna, self.ben = (self.person(f"{name}0.png") for name in ("anna", "ben"))

    def open(self, **settings: Any) -> App:
        return self.library.app(settings or None, workers=InlineWorkers(Recipe("fake"), TurningEngine()))

    def scan(self, **settings: Any) -> None:
        with self.open(**settings) as app:
            app.pipeline.scan()
            assert app.catalog.faults() == []

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.open() as app:
            return list(app.catalog._db.execute(sql, arguments).fetchall())

    def person(self, path: str) -> int:
        rows = self.query(
            "SELECT a.person_id FROM assignments a JOIN faces f ON f.id = a.face_id"
            " JOIN files ON files.photo_id = f.photo_id WHERE files.display = ?",
            path,
        )
        return int(rows[0][0])

    def ids(self, path: str = "a.png") -> list[int]:
        rows = self.query(
            "SELECT f.id FROM faces f JOIN files ON files.photo_id = f.photo_id WHERE files.display = ?"
            " ORDER BY f.x, f.y",
            path,
        )
        return [face_id for (face_id,) in rows]

    def whose(self, path: str) -> list[tuple[int | None, str | None]]:
        """Person and source of each face of a photo, from left to right."""
        rows = [self.query("SELECT person_id, source FROM assignments WHERE face_id = ?", i) for i in self.ids(path)]
        return [row[0] if row else (None, None) for row in rows]

    def said(self, face_id: int) -> list[tuple[Any, ...]]:
        """What stands about a face, but for how near it is."""
        return [
            *self.query("SELECT person_id, source, rule, at FROM assignments WHERE face_id = ?", face_id),
            *self.query("SELECT person_id, at FROM rejections WHERE face_id = ?", face_id),
            *self.query("SELECT mark, at FROM marks WHERE face_id = ?", face_id),
        ]

    def rejected(self, path: str) -> list[tuple[Any, ...]]:
        """Who the left face of a photo is not."""
        return self.query("SELECT person_id FROM rejections WHERE face_id = ?", self.ids(path)[0])

    def reject(self) -> None:
        """The left face of a.png is not Anna, whatever it looks like."""
        with self.open() as app, app.corrections.deciding() as decisions:
            decisions.reject([str(self.ids()[0])])

    def edit(self, new: str, *, shade: int = 180) -> None:
        """Another picture of the same faces, at another place."""
        self.library.draw(new, (ANNA, 9), (BEN, 9), shade=shade)

    def delete(self, path: str = "a.png") -> None:
        (self.library.photos / path).unlink()


@pytest.fixture
def moved(library: Library) -> Moved:
    return Moved(library)


WAYS = {
    "gone first": ("delete", "scan", "edit", "scan"),
    "between two looks": ("edit", "delete", "scan"),
    "the copy first": ("edit", "scan", "delete", "scan"),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return WAYS[request.param]


def go(moved: Moved, way: tuple[str, ...], new: str = "2019/b.png") -> None:
    for step in way:
        {"edit": lambda: moved.edit(new), "delete": moved.delete, "scan": moved.scan}[step]()


def test_who_was_said_not_to_be_in_a_photo_is_not_when_it_was_edited_and_moved(
    moved: Moved, way: tuple[str, ...]
) -> None:
    moved.reject()
    before = moved.said(moved.ids()[0])
    go(moved, way)
    assert moved.whose("2019/b.png")[0] == (None, None)
    assert moved.said(moved.ids("2019/b.png")[0]) == before
    assert moved.whose("2019/b.png")[1][0] == moved.ben


def test_who_was_placed_in_a_photo_is_there_when_it_was_edited_and_moved(moved: Moved, way: tuple[str, ...]) -> None:
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(moved.ids()[0])], "Carl", is_new=True)
        decisions.cover("Carl", str(moved.ids()[0]))
        decisions.confirm([str(moved.ids()[1])])
    before = [moved.said(face_id) for face_id in moved.ids()]
    go(moved, way)
    new = moved.ids("2019/b.png")
    assert [moved.said(face_id) for face_id in new] == before
    assert moved.query("SELECT cover_id FROM people WHERE name = 'Carl'") == [(new[0],)]


@pytest.mark.parametrize("mark", list(Mark))
def test_what_was_taken_out_stays_out_when_it_was_edited_and_moved(
    moved: Moved, way: tuple[str, ...], mark: Mark
) -> None:
    face = moved.ids()[0]
    with moved.open() as app, app.catalog.write():
        app.catalog.assignments.release([face])
        app.catalog.faces.mark([face], mark, "2020-01-01T00:00:00Z")
    go(moved, way)
    assert moved.said(moved.ids("2019/b.png")[0]) == [(mark.value, "2020-01-01T00:00:00Z")]


def test_an_undo_takes_back_what_was_handed_over_and_a_redo_gives_it_back(moved: Moved, way: tuple[str, ...]) -> None:
    moved.reject()
    go(moved, way)
    after = moved.said(moved.ids("2019/b.png")[0])
    for _ in range(2):
        with moved.open() as app:
            [entry] = app.corrections.undo().entries
            assert entry.action == "reject"
        assert moved.whose("2019/b.png")[0][0] == moved.anna
        with moved.open() as app:
            app.corrections.redo()
        assert moved.said(moved.ids("2019/b.png")[0]) == after


def test_a_decision_that_was_handed_over_is_one_decision_in_the_history(moved: Moved, way: tuple[str, ...]) -> None:
    moved.reject()
    go(moved, way)
    with moved.open() as app:
        assert [entry.action for entry in app.corrections.history() if entry.actor == "user"] == ["reject"]
        [decision] = app.catalog.journal.decisions()
        [face, _] = moved.ids("2019/b.png")
        assert app.catalog.provenance.decisions_about([face]) == {face: [decision.id]}


def test_why_says_where_it_comes_from(moved: Moved, way: tuple[str, ...]) -> None:
    moved.reject()
    go(moved, way)
    with moved.open() as app:
        explained = app.explainer().explain(str(moved.library.photos / "2019/b.png"))
    left = explained.whys[0]
    assert notes(left)[0].startswith("carried over from another version of this photo, which is gone")
    assert [bar.rule for bar in left.barred if bar.person_id == moved.anna] == ["rejected"]
    assert left.decisions


def test_what_a_user_said_about_the_copy_counts_more(moved: Moved) -> None:
    moved.edit("b.png")
    moved.scan()
    moved.reject()
    left, right = moved.ids("b.png")
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.confirm([str(left)])
        decisions.assign([str(moved.ids()[1])], "Carl", is_new=True)
        decisions.ignore([str(right)])
    before = [moved.said(face_id) for face_id in (left, right)]
    moved.delete()
    moved.scan()
    assert [moved.said(face_id) for face_id in (left, right)] == before


def test_whoever_was_rejected_on_the_copy_does_not_come_with_the_original(moved: Moved) -> None:
    moved.edit("b.png")
    moved.scan()
    left = moved.ids("b.png")[0]
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.reject([str(left)])
        decisions.confirm([str(moved.ids()[0])])
    before = moved.said(left)
    moved.delete()
    moved.scan()
    assert moved.said(left) == before


def test_a_placed_face_makes_room_for_itself_in_the_copy(moved: Moved) -> None:
    """The user says that Anna is the one at the right; a run took the left one of the copy for her."""
    moved.edit("b.png")
    moved.scan()
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(moved.ids()[1])], str(moved.anna))
    assert moved.whose("b.png") == [(moved.anna, "auto"), (moved.ben, "auto")]
    moved.delete()
    moved.scan()
    assert moved.whose("b.png") == [(None, None), (moved.anna, "user")]


def test_each_of_several_copies_gets_what_was_said(moved: Moved) -> None:
    moved.edit("b.png", shade=150)
    moved.scan()
    moved.reject()
    moved.delete()
    moved.edit("c.png", shade=160)
    moved.scan()
    moved.edit("d.png", shade=170)
    moved.scan()
    for name in ("b.png", "c.png", "d.png"):
        assert moved.rejected(name) == [(moved.anna,)], name
        assert moved.whose(name)[0][0] != moved.anna, name  # such faces may make somebody new, all the same


def test_as_long_as_the_original_is_there_a_copy_is_a_photo_of_its_own(moved: Moved) -> None:
    moved.reject()
    moved.edit("b.png")
    moved.scan()
    assert moved.whose("b.png")[0][0] == moved.anna


def test_another_person_at_the_same_place_is_not_the_photo_again(moved: Moved, way: tuple[str, ...]) -> None:
    """The next frame of a burst: Ben has stepped where Anna was."""
    moved.reject()
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.ignore([str(moved.ids()[1])])
    moved.edit = lambda new, **_: moved.library.draw(new, (BEN, 9), (CLARA, 9))  # type: ignore[method-assign, assignment]
    go(moved, way)
    assert moved.whose("2019/b.png")[0][0] == moved.ben
    assert [
        moved.query(f"SELECT * FROM {table} WHERE face_id >= ?", moved.ids("2019/b.png")[0])
        for table in ("rejections", "marks", "lineage")
    ] == [[], [], []]


def test_the_last_word_counts_where_several_versions_are_gone(moved: Moved) -> None:
    moved.reject()
    moved.library.draw("a.png", (ANNA, 9), (BEN, 9), shade=150)
    moved.scan()
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(moved.ids()[0])], str(moved.anna))  # it is her after all
    moved.delete()
    moved.edit("b.png", shade=160)
    moved.scan()
    assert moved.whose("b.png")[0] == (moved.anna, "user")


def test_two_photos_that_were_edited_and_changed_places_keep_what_is_theirs(moved: Moved) -> None:
    moved.library.draw("other.png", (CLARA, 1), (CLARA + 1, 1))
    moved.scan()
    moved.reject()
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(moved.ids("other.png")[0])], "Clara", is_new=True)
    clara = moved.whose("other.png")[0]
    moved.library.draw("other.png", (ANNA, 9), (BEN, 9), shade=150)
    moved.library.draw("a.png", (CLARA, 1), (CLARA + 1, 1), shade=150)
    moved.scan()
    assert moved.whose("a.png")[0] == clara
    assert moved.whose("other.png")[0] == (None, None)


def test_names_stay_when_all_photos_were_edited_and_moved_at_once(moved: Moved) -> None:
    with moved.open() as app:
        app.corrections.rename(str(moved.anna), "Anna")
    before = moved.library.groups()
    for path in sorted(moved.library.photos.glob("*.png")):
        people = {"a": [(ANNA, 9), (BEN, 9)]}.get(path.stem) or [
            (ANNA if "anna" in path.stem else BEN, int(path.stem[-1]))
        ]
        moved.library.draw(f"2019/{path.name}", *people, shade=150)
        path.unlink()
    (moved.library.photos / "notes.txt").write_text("a library that is not empty")
    moved.scan()
    assert {folder for folder in moved.library.tree() if folder.startswith("Anna/")}
    assert [{f"2019/{name}" for name in group} for group in before] == moved.library.groups()


def test_a_photo_that_went_to_another_library_edited_keeps_what_was_said(moved: Moved, tmp_path: Path) -> None:
    moved.reject()
    other = make_library(tmp_path / "other")
    settings = {"library.photos": [str(other.photos), str(moved.library.photos)]}
    other.draw("b.png", (ANNA, 9), (BEN, 9), shade=150)
    moved.delete()
    with moved.open(**settings) as app:
        app.pipeline.scan()
    assert moved.whose("b.png")[0] == (None, None)


def test_a_photo_that_comes_back_as_it_was_has_its_own_again(moved: Moved) -> None:
    content = (moved.library.photos / "a.png").read_bytes()
    moved.reject()
    ids = moved.ids()
    go(moved, WAYS["between two looks"])
    (moved.library.photos / "back.png").write_bytes(content)
    moved.scan()
    assert moved.ids("back.png") == ids
    assert moved.rejected("back.png") == moved.rejected("2019/b.png") == [(moved.anna,)]


def test_what_was_said_about_the_edited_photo_is_true_when_the_first_is_put_back(moved: Moved) -> None:
    path = moved.library.photos / "a.png"
    content = path.read_bytes()
    moved.edit("a.png")
    moved.scan()
    moved.reject()
    path.write_bytes(content)
    moved.scan()
    assert moved.rejected("a.png") == [(moved.anna,)]
    assert moved.whose("a.png")[0][0] != moved.anna


def test_a_face_that_is_not_hers_any_more_by_another_version_is_compared_with_no_longer(moved: Moved) -> None:
    """Within one process: nothing is recognised by what was taken away a moment ago."""
    moved.edit("b.png")
    moved.scan()
    with moved.open() as app:
        gallery = app.identities.gallery()
        n_before = gallery.n_faces
        with app.corrections.deciding() as decisions:
            for face in moved.ids():
                decisions.ignore([str(face)])
        moved.delete()
        for root, _, changes in app.libraries.scan_all():
            app.pipeline.record(root, changes)
        assert app.identities.gallery() is gallery
        assert gallery.n_faces == n_before - 4


def test_a_photo_that_was_turned_and_moved_is_the_same_people(moved: Moved) -> None:
    moved.reject()
    pixels = np.rot90(fake.draw([(ANNA, 9), (BEN, 9)]), -1)
    moved.delete()
    Image.fromarray(pixels).save(moved.library.photos / "b.png")
    moved.scan()
    assert sorted(map(str, moved.whose("b.png"))) == sorted([str((None, None)), str((moved.ben, "cluster"))])


@pytest.mark.parametrize("removed_first", [True, False])
def test_the_watcher_hands_over_in_whatever_order_it_hears(library: Library, removed_first: bool) -> None:
    for i in range(3):
        library.draw(f"anna{i}.png", (CLARA, i), (ANNA, i))
    library.draw("a.png", (ANNA, 9))
    turns = Turns(library)
    with turns.app as app:
        turns.after(0.1)
        with app.corrections.deciding() as decisions:
            [anna] = decisions.reject([str(library.photos / "a.png")]).people
        library.draw("2019/b.png", (ANNA, 9), shade=150)
        for step in ("remove", "hear") if removed_first else ("hear", "remove"):
            if step == "remove":
                (library.photos / "a.png").unlink()
                turns.after(6.0, "a.png")
            else:
                turns.after(2.1, "2019/b.png")
        turns.after(2.1)
        assert len(app.catalog.rejections.of_person(anna)) == 2
    assert {"anna0.png", "anna1.png", "anna2.png"} in library.groups()


# --- which photo is which ---

SIZE = (500, 400)


def seen(
    boxes: list[tuple[int, int, int, int]], people: list[int], *, look: int = 0, shift: float = 0.0, taken: str = ""
) -> SeenFaces:
    """Faces whose eyes, nose and mouth are `shift` of the face's side to the right."""
    vectors = np.array([fake.embedding_of(person, look) for person in people], np.float32)
    points = np.array(fake._LANDMARKS) + np.array([shift, 0])
    landmarks = np.array([points * box[2:] + box[:2] for box in boxes], np.float64)
    ids = np.arange(100, 100 + len(boxes))
    return SeenFaces(*SIZE, ids, np.array(boxes, np.float64), vectors, landmarks, taken)


LEFT, RIGHT = (100, 100, 80, 80), (300, 100, 80, 80)


def test_a_frame_of_a_burst_in_which_somebody_moved_is_another_photo() -> None:
    before = seen([LEFT], [ANNA])
    assert same_faces(before, seen([LEFT], [ANNA], look=1), nearest=0.34) == {100: 100}
    assert same_faces(before, seen([LEFT], [ANNA], look=1, shift=0.1), nearest=0.34) == {}


def test_photos_that_lay_beside_each_other_must_be_nearer_where_they_may_be_frames_of_a_burst() -> None:
    before, after = seen([LEFT], [ANNA]), seen([LEFT], [ANNA], look=2, shift=0.04)  # 0.09 apart
    assert same_faces(before, after, nearest=0.34, were_together=True) == {}
    scaled = replace(after, width=250, height=200, boxes=after.boxes / 2, landmarks=after.landmarks / 2)
    for other in (scaled, replace(after, format="JPEG")):
        assert same_faces(before, other, nearest=0.34, were_together=True) == {100: 100}
    made_grey = seen([LEFT], [ANNA], look=2, shift=0.01)
    assert same_faces(before, made_grey, nearest=0.34, were_together=True) == {100: 100}


def test_the_next_frame_that_a_hand_has_held_is_another_photo_beside_the_first() -> None:
    before, after = seen([LEFT], [ANNA]), seen([LEFT], [ANNA], look=1, shift=0.04)
    assert same_faces(before, after, nearest=0.34, were_together=True) == {}
    saved_anew = seen([LEFT], [ANNA], look=1, shift=0.025)
    assert same_faces(before, saved_anew, nearest=0.34, were_together=True) == {100: 100}


def test_a_photo_of_another_second_is_another_photo_unless_only_its_date_was_changed() -> None:
    before = seen([LEFT], [ANNA], taken="2020-01-01T12:00:00")
    later = "2020-01-01T12:00:01"
    assert same_faces(before, seen([LEFT], [ANNA], look=1, taken=later), nearest=0.34) == {}
    assert same_faces(before, seen([LEFT], [ANNA], taken=later), nearest=0.34) == {100: 100}
    assert same_faces(before, seen([LEFT], [ANNA], look=1), nearest=0.34) == {100: 100}


def test_who_took_the_place_of_another_beside_somebody_who_sat_still_inherits_nothing() -> None:
    before, after = seen([LEFT, RIGHT], [ANNA, BEN]), seen([LEFT, RIGHT], [ANNA, CLARA])
    assert 101 not in same_faces(before, after, nearest=0.34)


@pytest.mark.parametrize("n_dims", [12, 64, 128, 512])
def test_signs_miss_no_vector_that_is_near(n_dims: int) -> None:
    random = np.random.default_rng(n_dims)
    base = random.standard_normal((300, n_dims))
    base /= np.linalg.norm(base, axis=1)[:, None]
    aside = random.standard_normal((300, n_dims))
    near = base + 0.15 * aside / np.linalg.norm(aside, axis=1)[:, None]
    near /= np.linalg.norm(near, axis=1)[:, None]
    signs = _Signs()
    signs.add((i, row.astype("<f4").tobytes()) for i, row in enumerate(base))
    found = [signs.near(row.astype(np.float32), 0.17) for row in near]
    assert all(i in ids for i, ids in enumerate(found))
    assert n_dims < 64 or sum(map(len, found)) < 310


def test_a_library_whose_vanished_photos_nobody_said_anything_about_is_not_looked_through(moved: Moved) -> None:
    with moved.open() as app:
        [photo] = {photo for (photo,) in moved.query("SELECT photo_id FROM files WHERE display = 'a.png'")}
        versions = Versions(app.catalog, app.engine.id, same_face=0.34)
        app.catalog.engines.arrivals = lambda *_: pytest.fail("all faces were looked at")  # type: ignore[method-assign]
        assert versions.there([photo]) == []


# --- real photos ---


@pytest.mark.slow
@pytest.mark.parametrize("is_beside", [False, True], ids=["between two looks", "the copy first"])
def test_a_photo_that_is_saved_in_another_way_is_the_same_and_another_photo_of_its_person_is_not(
    shared: Path, is_beside: bool, tmp_path: Path
) -> None:
    library = make_library(tmp_path / "made")
    album = shared / "photos/album/family"
    ways: dict[str, Callable[[Image.Image, Path], None]] = {
        "Family1-Dad1": lambda picture, stem: picture.save(stem.with_suffix(".webp"), quality=80),
        "Family1-Mom1": lambda picture, stem: picture.resize((picture.width // 2, picture.height // 2)).save(
            stem.with_suffix(".jpg")
        ),
        "Family1-Son1": lambda picture, stem: picture.convert("L").save(stem.with_suffix(".jpg"), quality=90),
    }
    for name in ways:
        for number in "123":
            shutil.copy(album / f"{name[:-1]}{number}.jpg", library.photos)

    def scan() -> None:
        with library.app(engine=engine) as app:
            app.pipeline.scan()
            assert app.catalog.faults() == []

    engine = load_engine("face_recognition")
    scan()
    with library.app(engine=engine) as app, app.corrections.deciding() as decisions:
        for name in ways:
            decisions.assign([str(library.photos / f"{name}.jpg")], f"not {name}", is_new=True)
    (library.photos / "new").mkdir()
    for name, save in ways.items():
        with Image.open(library.photos / f"{name}.jpg") as picture:
            save(picture, library.photos / "new" / name)
    if is_beside:
        scan()
    for name in ways:
        (library.photos / f"{name}.jpg").unlink()
    scan()
    with library.app(engine=engine) as app:
        placed = app.catalog._db.execute(
            "SELECT files.display FROM assignments a JOIN faces f ON f.id = a.face_id"
            " JOIN files ON files.photo_id = f.photo_id WHERE a.source = 'user'"
        ).fetchall()
    assert sorted(path.partition(".")[0] for (path,) in placed) == sorted(f"new/{name}" for name in ways)


@pytest.mark.parametrize("other", ["a known photo", "a damaged photo"])
def test_what_lay_where_something_else_lies_now_is_known_again_at_another_place(moved: Moved, other: str) -> None:
    moved.reject()
    with moved.open() as app:
        moved.library.draw("clara.png", (CLARA, 1))
        app.pipeline.scan()  # what is gone has been looked up by it
        if other == "a known photo":
            shutil.copyfile(moved.library.photos / "ben0.png", moved.library.photos / "a.png")
        else:
            (moved.library.photos / "a.png").write_bytes((moved.library.photos / "a.png").read_bytes()[:200])
        app.pipeline.scan()
        moved.edit("z.png")
        app.pipeline.scan()
    assert moved.rejected("z.png") == [(moved.anna,)]


def test_what_is_overwritten_with_a_known_photo_is_still_known_where_a_version_of_it_is(moved: Moved) -> None:
    moved.edit("z.png")
    moved.scan()
    moved.reject()
    shutil.copyfile(moved.library.photos / "ben0.png", moved.library.photos / "a.png")
    moved.scan()
    assert moved.rejected("z.png") == [(moved.anna,)]


@pytest.mark.slow
def test_frames_of_a_burst_that_are_all_saved_anew_elsewhere_keep_each_what_is_its_own(
    shared: Path, tmp_path: Path
) -> None:
    library = make_library(tmp_path / "made")
    album = shared / "photos/album/family"
    for name in ("Family1-Mom2.jpg", "Family1-Mom3.jpg"):
        shutil.copy(album / name, library.photos)
    with Image.open(album / "Family1-Mom1.jpg") as picture:
        for i in range(3):
            frame = picture.crop((6 * i, 3 * i, picture.width - 12 + 6 * i, picture.height - 6 + 3 * i))
            frame.save(library.photos / f"{i}.jpg", quality=92)
    engine = load_engine("face_recognition")

    def placed() -> dict[str, str]:
        with library.app(engine=engine) as app:
            app.pipeline.scan()
            assert app.catalog.faults() == []
            return {
                Path(name).stem: source
                for name, source in app.catalog._db.execute(
                    "SELECT display, source FROM files JOIN faces f ON f.photo_id = files.photo_id"
                    " JOIN assignments a ON a.face_id = f.id"
                )
            }

    placed()
    with library.app(engine=engine) as app, app.corrections.deciding() as decisions:
        decisions.assign([str(library.photos / "0.jpg")], "Berta", is_new=True)
    (library.photos / "new").mkdir()
    for i in range(3):
        with Image.open(library.photos / f"{i}.jpg") as frame:
            frame.save(library.photos / f"new/{i}.jpg", quality=85)
        (library.photos / f"{i}.jpg").unlink()
    sources = placed()
    assert [sources[str(i)] == "user" for i in range(3)] == [True, False, False]
