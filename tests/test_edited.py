"""A photo that was edited in place: it is another photo, and its faces are still who they were."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facewatch.app import App
from facewatch.catalog import Catalog, Mark
from facewatch.catalog.faces import SeenFaces
from facewatch.engines import fake
from facewatch.errors import Fault, FaultCode
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.lineage import earlier_faces_of
from facewatch.indexing.pool import InlineWorkers
from facewatch.types import Analysis, Box, DetectedFace, Face, Fingerprint, Quality, Tier

ANNA, BEN, CLARA = 1, 2, 3


class TurningEngine(fake.FakeEngine):
    """Finds the squares of `draw` in pictures that lie on their side, too."""

    def analyse(self, pixels: NDArray[np.uint8], **closer: object) -> list[DetectedFace]:
        if pixels.shape[0] <= pixels.shape[1]:
            return super().analyse(pixels)
        # Turned clockwise: what was at the left is at the top.
        faces = super().analyse(np.ascontiguousarray(np.rot90(pixels)))
        width = pixels.shape[1]
        return [
            DetectedFace((width - y - h, x, h, w), turned, face.score, face.crop, face.embedding)
            for face in faces
            for x, y, w, h in [face.box]
            for turned in [np.stack([width - face.landmarks[:, 1], face.landmarks[:, 0]], axis=1)]
        ]


class Edited:
    """A library with photos of Anna and Ben, and a.png of both and Clara, which will be edited."""

    def __init__(self, library: Library) -> None:
        self.library = library
        library.draw_looks(ANNA, 3, "anna")
        library.draw_looks(BEN, 3, "ben")
        self.path = library.draw("a.png", (ANNA, 9), (BEN, 9), (CLARA, 9))
        self.scan()

    def open(self) -> App:
        return self.library.app(workers=InlineWorkers(Recipe("fake"), TurningEngine()))

    def scan(self) -> None:
        with self.open() as app:
            app.pipeline.scan()

    def edit(self, *faces: tuple[int, int], shade: int = 180) -> None:
        """Draw it anew, and let the catalog know."""
        self.library.draw("a.png", *faces, shade=shade)
        self.scan()

    def store(self, pixels: NDArray[np.uint8]) -> None:
        Image.fromarray(pixels).save(self.path, format="PNG")
        long_ago = time.time() - 1800
        os.utime(self.path, (long_ago, long_ago))
        self.scan()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with self.open() as app:
            return list(app.catalog._db.execute(sql).fetchall())

    def faces(self) -> list[tuple[object, ...]]:
        """Person and source of each face that a.png holds now, from left to right."""
        return self.query(
            "SELECT a.person_id, a.source FROM faces f JOIN files ON files.photo_id = f.photo_id"
            " LEFT JOIN assignments a ON a.face_id = f.id WHERE files.display = 'a.png' ORDER BY f.x, f.y"
        )

    def ids(self) -> list[int]:
        rows = self.query(
            "SELECT f.id FROM faces f JOIN files ON files.photo_id = f.photo_id WHERE files.display = 'a.png'"
            " ORDER BY f.x, f.y"
        )
        return [int(str(face_id)) for (face_id,) in rows]


@pytest.fixture
def edited(library: Library) -> Edited:
    return Edited(library)


def person_of(edited: Edited, name: str) -> int:
    rows = edited.query(
        "SELECT DISTINCT a.person_id FROM assignments a JOIN faces f ON f.id = a.face_id"
        f" JOIN files ON files.photo_id = f.photo_id WHERE files.display = '{name}'"
    )
    return int(str(rows[0][0]))


def test_what_a_user_said_about_a_face_is_true_of_the_edited_photo(edited: Edited) -> None:
    anna, ben, clara = edited.ids()
    stranger = person_of(edited, "ben0.png")
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(anna)], "Somebody else", is_new=True)  # whatever she looks like
        decisions.reject([str(ben)], str(stranger))
    [(placed, source), (pool, _), _] = edited.faces()
    assert (source, pool) == ("user", None)
    at = edited.query(f"SELECT at, rule FROM assignments WHERE face_id = {anna}")
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces()[0] == (placed, "user")
    assert edited.faces()[1][0] is None  # he looks like the stranger as much as before, and is not
    new = edited.ids()
    assert set(new).isdisjoint({anna, ben, clara})
    assert edited.query(f"SELECT at, rule FROM assignments WHERE face_id = {new[0]}") == at
    assert edited.query(f"SELECT person_id FROM rejections WHERE face_id = {new[1]}") == [(stranger,)]


@pytest.mark.parametrize("mark", list(Mark))
def test_a_face_that_was_taken_out_stays_out(edited: Edited, mark: Mark) -> None:
    with edited.open() as app, app.catalog.write():
        face = edited.ids()[1]
        app.catalog.assignments.release([face])
        app.catalog.faces.mark([face], mark, "2020-01-01T00:00:00Z")
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces()[1] == (None, None)
    new = edited.ids()[1]
    assert edited.query(f"SELECT mark, at FROM marks WHERE face_id = {new}") == [(mark.value, "2020-01-01T00:00:00Z")]


def test_what_runs_had_found_out_stays_as_it_was(edited: Edited) -> None:
    before = edited.faces()
    columns = "source, distance, rule, run_id, at"
    told = edited.query(f"SELECT {columns} FROM assignments WHERE face_id IN ({edited.ids()[0]})")
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces() == before
    assert edited.query(f"SELECT {columns} FROM assignments WHERE face_id IN ({edited.ids()[0]})") == told


def test_a_face_that_was_not_there_is_settled_as_any_new_one(edited: Edited) -> None:
    edited.edit((ANNA, 9), (CLARA, 9))
    edited.edit((ANNA, 9), (CLARA, 9), (BEN, 4))  # not where he stood in the first version
    assert edited.faces()[2] == (person_of(edited, "ben0.png"), "auto")


def test_a_photo_that_was_turned_is_the_same_people(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    before = edited.faces()
    edited.store(np.rot90(fake.draw([(ANNA, 9), (BEN, 9), (CLARA, 9)]), -1))
    assert edited.faces() == before


def test_a_quite_different_photo_of_the_same_name_inherits_nothing(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    edited.edit((20, 0), (21, 0), (22, 0))
    assert edited.faces() == [(None, None)] * 3


def test_a_copy_of_the_photo_keeps_what_was_said(edited: Edited) -> None:
    (edited.library.photos / "copy.png").write_bytes(edited.path.read_bytes())
    edited.scan()
    before = edited.ids()
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(before[0])], "Somebody else", is_new=True)
        decisions.cover("Somebody else", str(before[0]))
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    for face in (before[0], edited.ids()[0]):
        assert edited.query(f"SELECT source FROM assignments WHERE face_id = {face}") == [("user",)]
    assert edited.query("SELECT cover_id FROM people WHERE cover_id IS NOT NULL") == [(before[0],)]


def test_the_cover_of_a_person_is_the_face_of_the_edited_photo(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
        decisions.cover("Somebody else", str(edited.ids()[0]))
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.query("SELECT cover_id FROM people WHERE cover_id IS NOT NULL") == [(edited.ids()[0],)]


def test_the_photo_as_it_was_is_what_it_was_when_it_comes_back(edited: Edited) -> None:
    content = edited.path.read_bytes()
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    before, ids = edited.faces(), edited.ids()
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    edited.path.write_bytes(content)
    edited.scan()
    assert (edited.faces(), edited.ids()) == (before, ids)


def test_nobody_comes_into_a_photo_twice_by_what_runs_had_placed(edited: Edited) -> None:
    with edited.open() as app, app.catalog.write():
        _, ben, clara = edited.ids()
        anna = edited.faces()[0][0]
        app.catalog._db.execute("UPDATE assignments SET source = 'user', person_id = ? WHERE face_id = ?", [anna, ben])
        app.catalog.assignments.release([clara])
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    people = [person for person, _ in edited.faces()]
    # The user's word goes first; she is in the photo by it, and once is enough.
    assert people.count(anna) == 1
    assert edited.faces()[1] == (anna, "user")


def test_undoing_the_making_of_a_person_leaves_no_heir_with_nobody(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    made = edited.faces()[0][0]
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces()[0] == (made, "user")
    with edited.open() as app:
        app.corrections.undo()
    assert edited.query(f"SELECT face_id FROM assignments WHERE person_id = {made}") == []
    assert edited.faces()[0][0] != made
    with edited.open() as app:
        app.corrections.redo()
    assert edited.faces()[0] == (made, "user")


# --- a save that takes its time ---


def broken(content: bytes) -> list[bytes]:
    """What a file may hold while it is saved slowly: nothing, the beginning, nothing but zeros where more will be."""
    return [b"", content[: len(content) // 2], bytes(len(content))]


@pytest.mark.parametrize("how", range(3))
def test_what_a_user_said_outlives_a_save_that_is_seen_half_done(edited: Edited, how: int) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
        decisions.cover("Somebody else", str(edited.ids()[0]))
    before = edited.faces()
    edited.path.write_bytes(broken(edited.path.read_bytes())[how])
    edited.scan()
    assert edited.faces() == []
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces() == before
    assert edited.query("SELECT cover_id FROM people WHERE cover_id IS NOT NULL") == [(edited.ids()[0],)]


def test_what_a_user_said_outlives_several_broken_states_and_a_move_between_them(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    made = edited.faces()[0]
    content = edited.path.read_bytes()
    for state in broken(content):
        edited.path.write_bytes(state)
        edited.scan()
        assert edited.faces() == []
    edited.path.rename(edited.library.photos / "moved.png")
    edited.scan()
    (edited.library.photos / "moved.png").rename(edited.path)
    edited.scan()
    edited.edit((ANNA, 9), (BEN, 9), (CLARA, 9))
    assert edited.faces()[0] == made


def test_a_quite_different_photo_after_a_broken_state_inherits_nothing(edited: Edited) -> None:
    with edited.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(edited.ids()[0])], "Somebody else", is_new=True)
    edited.path.write_bytes(b"")
    edited.scan()
    edited.edit((20, 0), (21, 0), (22, 0))
    assert edited.faces() == [(None, None)] * 3


@given(st.lists(st.sampled_from(["photo", "other photo", "faulty", "other", "move", "absorb"]), max_size=8))
def test_a_file_remembers_the_last_photo_that_it_held(states: list[str]) -> None:
    with TemporaryDirectory() as folder, Catalog(Path(folder) / "catalog.sqlite") as catalog:
        files, (root_id, path), expected = catalog.files, (0, "a.png"), None
        with catalog.write():
            root_id = catalog.roots.add(Path("/outer/0"), 1, "")
            photos = {kind: catalog.photos.add(kind.encode(), (1, 1), "PNG", "") for kind in ("photo", "other photo")}
            for number, state in enumerate(states, 1):
                if state == "move":
                    files.move(root_id, path, f"{number}.png")
                    path = f"{number}.png"
                elif state == "absorb":
                    outer = catalog.roots.add(Path(f"/outer/{number}"), 1, "")
                    catalog.roots.absorb(root_id, outer, "inner")
                    root_id, path = outer, f"inner/{path}"
                else:
                    fault = Fault.of(FaultCode.OTHER, "broken") if state == "faulty" else None
                    photo_id = photos.get(state)
                    files.record(root_id, path, Fingerprint(1, number, 1), photo_id=photo_id, fault=fault, now="")
                    expected = photo_id or expected
                assert files.held(root_id, path) == expected
        held = catalog._db.execute("SELECT photo_id, photo_before FROM files").fetchall()
        assert all(None in pair for pair in held)  # what it holds is what it held last


# --- which face is which ---


def analysis(
    boxes: Sequence[tuple[int, int, int, int]], vectors: NDArray[np.float32], size: tuple[int, int]
) -> Analysis:
    quality = Quality(100.0, 128.0, 50, 0.0, 1.0, Tier.ENROLL)
    faces = [Face(Box(*box), (0.0,) * 10, 1.0, quality, vector) for box, vector in zip(boxes, vectors, strict=True)]
    return Analysis(*size, "PNG", tuple(faces))


def seen(boxes: Sequence[tuple[int, int, int, int]], vectors: NDArray[np.float32], size: tuple[int, int]) -> SeenFaces:
    return SeenFaces(*size, np.arange(100, 100 + len(boxes)), np.array(boxes, np.float64).reshape(-1, 4), vectors)


GRID = [(x, y, 60, 80) for x in (10, 150, 400) for y in (20, 130, 290)]
"""Nine faces in a photo of 500 x 400 pixels."""
SIZE = (500, 400)


def vectors_of(people: Sequence[int]) -> NDArray[np.float32]:
    return np.array([fake.embedding_of(person, 0) for person in people], np.float32).reshape(-1, fake.N_DIMS)


def turned(box: tuple[int, int, int, int], size: tuple[int, int], n_quarters: int) -> tuple[int, int, int, int]:
    """Where a box is when the photo is turned clockwise so often."""
    (x, y, w, h), (width, height) = box, size
    for _ in range(n_quarters):
        x, y, w, h, width, height = height - y - h, x, h, w, height, width
    return x, y, w, h


@given(
    st.lists(st.sampled_from(range(9)), unique=True),
    st.integers(0, 3),
    st.sampled_from([1, 2, 5]),
)
def test_faces_are_found_again_however_the_photo_was_turned_and_scaled(
    which: list[int], n_quarters: int, scale: int
) -> None:
    boxes = [GRID[i] for i in which]
    before = seen(boxes, vectors_of(which), SIZE)
    size = SIZE if n_quarters % 2 == 0 else SIZE[::-1]
    edited = [tuple(scale * v for v in turned(box, SIZE, n_quarters)) for box in boxes][::-1]
    found = analysis(edited, vectors_of(which[::-1]), (scale * size[0], scale * size[1]))  # type: ignore[arg-type]
    assert earlier_faces_of(before, found, nearest=0.3) == {i: 100 + len(which) - 1 - i for i in range(len(which))}


@given(st.lists(st.sampled_from(range(9)), unique=True, min_size=1))
def test_no_face_inherits_from_one_that_does_not_look_like_it(which: list[int]) -> None:
    boxes = [GRID[i] for i in which]
    found = analysis(boxes, vectors_of([50 + i for i in which]), SIZE)
    assert earlier_faces_of(seen(boxes, vectors_of(which), SIZE), found, nearest=0.3) == {}


def test_no_face_inherits_from_one_that_is_elsewhere() -> None:
    found = analysis(GRID[3:4], vectors_of([0]), SIZE)
    assert earlier_faces_of(seen(GRID[:1], vectors_of([0]), SIZE), found, nearest=0.3) == {}
