"""Searching: the nearest faces, exactly; the file that makes it quick never makes it wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import CountingEngine, Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import facewatch.cli.search  # noqa: F401 - adds its command
from facewatch.app import App
from facewatch.catalog import Mark
from facewatch.cli import main
from facewatch.engines import fake
from facewatch.errors import EngineError, NotKnownError
from facewatch.fs.mapped import read_ahead
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.matching import Gallery
from facewatch.matching import search as search_module
from facewatch.matching.aggregation import MatchSettings
from facewatch.matching.search import Block, Near, Vectors
from facewatch.matching.vector_file import MAGIC, NOTHING, PAGE_BYTES, Extent, Head, Origin, VectorFile
from facewatch.people.kept_vectors import all_faces
from facewatch.people.search import NearFaces, Search
from facewatch.types import Tier

N_DIMS = 8
ORIGIN = Origin("library", "engine", N_DIMS)


def unit(seed: int, n: int, n_dims: int = N_DIMS) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, n_dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def block(ids: Iterable[int], vectors: NDArray[np.float32]) -> Block:
    return Block(np.array(list(ids), np.int64), vectors)


def by_hand(ids: Iterable[int], vectors: NDArray[np.float32], probe: NDArray[np.float32]) -> list[Near]:
    """Return all faces from the nearest to the farthest, the plain way."""
    distances = np.linalg.norm(vectors.astype(np.float64) - probe, axis=1)
    return [Near(i, d) for d, i in sorted(zip(distances.tolist(), ids, strict=True))]


# --- nearest ---


@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 60), max_size=4),
    n_probes=st.integers(1, 5),
    n_twins=st.integers(0, 30),
)
def test_the_order_is_that_of_comparing_with_everybody(
    seed: int, sizes: list[int], n_probes: int, n_twins: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = unit(seed, sum(sizes))
    vectors[random.permutation(len(vectors))[:n_twins]] = vectors[:1]
    ids = random.permutation(1000)[: len(vectors)]
    starts = np.cumsum(sizes, dtype=int)
    parts = zip(np.split(ids, starts), np.split(vectors, starts), strict=True)
    probes = np.concatenate([unit(seed + 1, n_probes), vectors[:1]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "BLOCK_FACES", 7)
        patch.setattr(search_module, "MEASURED_AT_ONCE", 5)
        patch.setattr(search_module, "PROBES_AT_ONCE", 2)
        patch.setattr(search_module, "FIRST_SORTED", 3)
        found = [list(ranking) for ranking in Vectors([Block(i, v) for i, v in parts]).nearest(probes)]
    assert found == [by_hand(ids.tolist(), vectors, probe) for probe in probes]


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(0, 20), max_size=4), n_absent=st.integers(0, 5))
def test_vectors_are_taken_and_summed_wherever_they_lie(seed: int, sizes: list[int], n_absent: int) -> None:
    random = np.random.default_rng(seed)
    vectors = unit(seed, sum(sizes))
    ids = random.permutation(1000)[: len(vectors) + n_absent]
    starts = np.cumsum(sizes, dtype=int)
    parts = zip(np.split(ids[: len(vectors)], starts), np.split(vectors, starts), strict=True)
    kept = Vectors([Block(i, v) for i, v in parts])
    known = dict(zip(ids.tolist(), vectors, strict=False))
    wanted = np.sort(random.permutation(ids)[: len(ids) - len(ids) // 3])
    here = [one for one in wanted.tolist() if one in known]
    taken = kept.taken(wanted)
    assert taken.ids.tolist() == here
    assert [vector.tolist() for vector in taken.vectors] == [known[one].tolist() for one in here]
    groups = random.integers(0, 3, len(wanted))
    sums, counts = kept.sums(wanted, groups)
    for group in range(len(counts)):
        own = [
            known[one] for one, label in zip(wanted.tolist(), groups, strict=True) if label == group and one in known
        ]
        assert counts[group] == len(own)
        assert not own or sums[group] == pytest.approx(np.sum(own, axis=0), abs=1e-5)


def test_equally_far_faces_come_in_order_of_their_ids() -> None:
    vectors = np.repeat(unit(1, 1, 512), 500, axis=0)
    [ranking] = Vectors([block(reversed(range(500)), vectors)]).nearest(unit(2, 1, 512))
    assert [near.face_id for near in ranking] == list(range(500))


def test_faces_that_differ_by_less_than_a_cosine_can_tell_come_in_their_true_order() -> None:
    probe = unit(1, 1, 512)
    steps = np.random.default_rng(3).permutation(40)
    vectors = probe.repeat(40, axis=0)
    vectors[:, 0] += (steps * 1e-6).astype(np.float32)
    [ranking] = Vectors([block(steps, vectors)]).nearest(probe)
    assert [near.face_id for near in ranking] == list(range(40))


def test_only_as_many_are_put_in_order_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    measure = Vectors._measure
    monkeypatch.setattr(
        Vectors, "_measure", lambda self, rows, probe: measured.append(len(rows)) or measure(self, rows, probe)
    )
    vectors = unit(1, 5000, 64)
    [ranking] = Vectors([block(range(5000), vectors)]).nearest(vectors[:1])
    assert next(ranking).face_id == 0
    assert sum(measured) < 100


def test_what_is_no_number_is_never_near() -> None:
    vectors = unit(1, 6)
    vectors[2] = np.nan
    [ranking] = Vectors([block(range(6), vectors)]).nearest(vectors[:1])
    assert sorted(near.face_id for near in ranking) == [0, 1, 3, 4, 5]


def test_among_nobody_nothing_is_found() -> None:
    assert [list(ranking) for ranking in Vectors([]).nearest(unit(1, 2))] == [[], []]


def test_vectors_are_known_by_their_ids() -> None:
    vectors = unit(1, 9)
    known = Vectors([block(range(4), vectors[:4]), block(range(4, 9), vectors[4:])]).of([2, 7, 99])
    assert sorted(known) == [2, 7]
    assert np.array_equal(known[7], vectors[7])


@given(without=st.sets(st.integers(0, 12)))
def test_all_faces_but_some_are_those_that_are_left(without: set[int]) -> None:
    vectors = Vectors([block(range(4), unit(1, 4)), block(range(4, 9), unit(2, 5))])
    left = list(vectors.besides(np.array(sorted(without), np.int64)))
    assert [i for part in left for i in part.ids.tolist()] == [i for i in range(9) if i not in without]
    for part in left:
        of = vectors.of(part.ids.tolist())
        assert all(np.array_equal(of[i], vector) for i, vector in zip(part.ids.tolist(), part.vectors, strict=True))


# --- the file ---


def write(file: VectorFile, known: Extent | None, ids: Iterable[int], token: str = "t") -> Extent:
    """Add faces whose vectors follow from their ids, and whose places are their ids."""
    added = block(ids, np.concatenate([unit(i, 1, file.origin.n_dims) for i in ids]))
    with file.write(known) as draft:
        draft.add(added)
        draft.sync()
        extent = Extent(draft.n_faces, int(added.ids[-1]), int(added.ids[-1]), known.begun if known else "b", token)
        draft.publish(extent)
    return extent


def test_a_file_gives_back_what_was_written_in_several_goes(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    assert file.read() is None
    first = write(file, None, range(5))
    second = write(file, first, range(5, 8))
    stored = file.read()
    assert stored is not None
    assert stored.extent == second
    assert stored.block.ids.tolist() == list(range(8))
    assert np.array_equal(stored.block.vectors, np.concatenate([unit(i, 1) for i in range(8)]))


def test_rows_that_are_asked_for_ahead_are_the_same(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    write(file, None, range(500))
    stored = file.read()
    assert stored is not None
    rows = np.array([0, 7, 200, 499])
    for vectors in (stored.block.vectors, stored.block.vectors[100:], unit(1, 3)):
        inside = rows[rows < len(vectors)]
        before = vectors[inside]
        read_ahead(vectors, inside)
        assert np.array_equal(vectors[inside], before)


def test_a_file_is_mapped_again_only_when_it_holds_something_else(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    extent = write(file, None, range(5))
    known = file.read()
    assert file.read(known) is known
    write(file, extent, range(5, 8))
    more = file.read(known)
    assert more is not None
    assert len(more.block) == 8
    file.path.unlink()
    assert file.read(more) is None


def test_only_the_owner_may_read_the_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    write(file, None, range(5))
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_what_is_mapped_stays_when_the_file_is_made_anew_or_deleted(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    write(file, None, range(5))
    stored = file.read()
    write(file, None, range(90, 92))
    file.path.unlink()
    assert stored is not None
    assert np.array_equal(stored.block.vectors, np.concatenate([unit(i, 1) for i in range(5)]))


@pytest.mark.parametrize(
    "other", [{"library": "other"}, {"engine": "other"}, {"n_dims": N_DIMS + 1}], ids=["library", "engine", "n_dims"]
)
def test_the_file_of_another_origin_is_none(tmp_path: Path, other: dict[str, Any]) -> None:
    write(VectorFile(tmp_path / "vectors", ORIGIN), None, range(5))
    assert VectorFile(tmp_path / "vectors", dataclasses.replace(ORIGIN, **other)).read() is None


@given(data=st.data())
def test_a_damaged_first_page_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = VectorFile(tmp_path_factory.mktemp("f") / "vectors", ORIGIN)
    write(file, None, range(3))
    content = bytearray(file.path.read_bytes())
    content[data.draw(st.integers(0, PAGE_BYTES - 1))] ^= data.draw(st.integers(1, 255))
    file.path.write_bytes(content)
    assert file.read() is None


@given(n_bytes=st.integers(0, 10_000))
def test_a_file_that_was_cut_off_is_none(tmp_path_factory: pytest.TempPathFactory, n_bytes: int) -> None:
    file = VectorFile(tmp_path_factory.mktemp("f") / "vectors", ORIGIN)
    write(file, None, range(100))
    size = file.path.stat().st_size
    os.truncate(file.path, min(n_bytes, size))
    assert (file.read() is None) == (n_bytes < size)


@pytest.mark.parametrize("n_bytes", [1, 40, 41, 400])
def test_what_lies_behind_the_last_face_counts_for_nothing(tmp_path: Path, n_bytes: int) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    extent = write(file, None, range(5))
    with file.path.open("ab") as end:
        end.write(b"\xff" * n_bytes)
    stored = file.read()
    assert stored is not None
    assert stored.block.ids.tolist() == list(range(5))
    write(file, extent, range(5, 7))
    stored = file.read()
    assert stored is not None
    assert np.array_equal(stored.block.vectors, np.concatenate([unit(i, 1) for i in range(7)]))


@pytest.mark.parametrize("is_new", [True, False])
def test_a_draft_that_fails_leaves_the_file_as_it_was(tmp_path: Path, is_new: bool) -> None:
    file = VectorFile(tmp_path / "vectors", ORIGIN)
    extent = write(file, None, range(5))
    before = file.path.read_bytes()

    def fail() -> None:
        with file.write(None if is_new else extent) as draft:
            draft.add(block(range(9), unit(1, 9)))
            draft.sync()
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert file.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_an_origin_that_does_not_fit_into_a_page_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Head(MAGIC, dataclasses.replace(ORIGIN, engine="x" * 5000)).page(NOTHING)


# --- a library ---


def come(library: Library) -> None:
    """Photos come into the catalog as a scan brings them in, but the file of vectors is not kept up."""
    with library.app() as app:
        app.libraries.resolve()
        [(root, _, changes)] = app.libraries.scan_all()
        app.libraries.record(root, changes)
        list(app.pipeline.index(root, changes.to_read))
        app.grouping.recluster()


def test_a_scan_keeps_the_file_up(family: Library) -> None:
    family.scan()
    before = vector_file(family).stat()
    family.draw("more.png", (1, 3))
    family.scan()
    assert vector_file(family).stat().st_size > before.st_size


@pytest.fixture
def family(library: Library) -> Library:
    """Anna (1) in three photos, Ben (2) beside her in one and alone in another, a stranger (9)."""
    library.draw_all({"a0": [(1, 0)], "both": [(2, 0), (1, 1)], "a2": [(1, 2)], "b1": [(2, 1)], "stranger": [(9, 0)]})
    come(library)
    return library


def search_of(app: App) -> Search:
    return Search(app.catalog, app.engine, app.lookup, app.workers)


def like(library: Library, photo: str | Path, **arguments: Any) -> list[NearFaces]:
    """Search in a new process, as it were."""
    with library.app() as app:
        return search_of(app).like(library.photos / photo, **arguments)


def found(faces: Iterable[NearFaces]) -> list[list[tuple[str, int]]]:
    """Return the photo and number of what was found for each face."""
    return [[(Path(one.photo).name, one.number) for one in face.found] for face in faces]


def vector_file(library: Library) -> Path:
    return library.catalog.with_name(f"{library.catalog.name}.vectors-fake")


def everything(library: Library) -> list[list[tuple[str, int]]]:
    return found(like(library, "a0.png", k=100))


def expected(probe: tuple[int, int], faces: dict[tuple[str, int], tuple[int, int]]) -> list[tuple[str, int]]:
    vector = fake.embedding_of(*probe).astype(np.float64)
    return sorted(faces, key=lambda name: float(np.linalg.norm(fake.embedding_of(*faces[name]) - vector)))


FACES = {
    ("both.png", 1): (2, 0),
    ("both.png", 2): (1, 1),
    ("a2.png", 1): (1, 2),
    ("b1.png", 1): (2, 1),
    ("stranger.png", 1): (9, 0),
}


def test_the_nearest_faces_come_first_and_the_face_itself_does_not(family: Library) -> None:
    [face] = like(family, "a0.png")
    assert found([face]) == [expected((1, 0), FACES)]
    assert [one.rank for one in face.found] == [1, 2, 3, 4, 5]
    assert face.number == 1
    assert face.found[0].distance == pytest.approx(
        float(np.linalg.norm(fake.embedding_of(1, 0) - fake.embedding_of(*FACES[found([face])[0][0]]))), abs=1e-6
    )


def test_a_found_face_says_whose_it_is(family: Library) -> None:
    with family.app() as app:
        [anna] = {row["person_id"] for row in app.lookup.photo(family.photos / "a0.png")["faces"]}
        app.corrections.rename(str(anna), "Anna")
    [face] = like(family, "a0.png")
    assert (face.person_id, face.person) == (anna, "Anna")
    names = {(Path(one.photo).name, one.number): one.person for one in face.found}
    assert [names[key] for key in (("both.png", 2), ("a2.png", 1), ("stranger.png", 1))] == ["Anna", "Anna", None]
    assert names["both.png", 1] == names["b1.png", 1] != "Anna"


def test_every_face_of_a_photo_is_searched_for_or_one_of_them(family: Library) -> None:
    faces = like(family, "both.png", k=1)
    assert [face.number for face in faces] == [1, 2]
    assert found(faces)[0] == [("b1.png", 1)]
    assert found(faces)[1][0] in [("a0.png", 1), ("a2.png", 1)]
    assert like(family, "both.png", k=1, face=2) == faces[1:]


def test_other_faces_of_the_same_photo_may_be_found(family: Library) -> None:
    assert ("both.png", 1) in found(like(family, "both.png", face=2))[0]


def test_a_link_in_the_people_folder_stands_for_its_photo(family: Library) -> None:
    family.scan()
    [link] = [link for link, photo in family.tree().items() if photo == "a0.png"]
    with family.app() as app:
        assert found(search_of(app).like(family.people / link)) == everything(family)


def test_a_photo_from_elsewhere_is_looked_at_and_nothing_is_recorded(family: Library, tmp_path: Path) -> None:
    shutil.move(family.draw("new.png", (2, 7), (1, 7)), tmp_path / "new.png")
    with family.app() as app:
        search_of(app).keep_up()
        before = list(app.catalog._db.conn.iterdump())
        faces = search_of(app).like(tmp_path / "new.png", k=2)
        assert list(app.catalog._db.conn.iterdump()) == before
    assert [(face.number, face.face_id, face.person) for face in faces] == [(1, None, None), (2, None, None)]
    assert {one for one in found(faces)[0]} == {("both.png", 1), ("b1.png", 1)}


def test_a_copy_from_elsewhere_is_known_by_its_content(family: Library, tmp_path: Path) -> None:
    shutil.copy(family.photos / "a0.png", tmp_path / "copy.png")
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        assert found(search_of(app).like(tmp_path / "copy.png", k=100)) == everything(family)
    assert engine.n == 0


def test_a_photo_that_was_changed_since_is_looked_at(family: Library) -> None:
    family.draw("a0.png", (9, 5), shade=100)
    os.utime(family.photos / "a0.png", (1, 1))
    assert found(like(family, "a0.png", k=1)) == [[("stranger.png", 1)]]


def test_a_photo_whose_drive_is_unplugged_is_searched_for_by_what_is_known(family: Library) -> None:
    before = everything(family)
    family.photos.rename(family.base / "away")
    assert everything(family) == before


def test_copies_of_a_found_photo_are_named(family: Library) -> None:
    shutil.copy(family.photos / "b1.png", family.photos / "c1.png")
    come(family)
    [face] = like(family, "both.png", face=1, k=1)
    assert face.found[0].photo == str(family.photos / "b1.png")
    assert face.found[0].copies == (str(family.photos / "c1.png"),)


@pytest.mark.parametrize("mark", [Mark.NOT_A_FACE, Mark.FORGOTTEN])
def test_what_a_user_took_out_is_neither_found_nor_searched_for(family: Library, mark: Mark) -> None:
    before = everything(family)[0]
    [face] = like(family, "a0.png", k=1)
    with family.app() as app, app.catalog.write():
        app.catalog.faces.mark([face.found[0].face_id], mark, "2026-01-01T00:00:00Z")
    assert everything(family) == [before[1:]]
    photo, number = before[0]
    with pytest.raises(NotKnownError, match=r"no face found|has no face"):
        like(family, photo, face=number)


def test_a_face_that_stays_with_nobody_is_found_and_searched_for(family: Library) -> None:
    before = everything(family)
    [face] = like(family, "stranger.png")
    with family.app() as app, app.catalog.write():
        app.catalog.faces.mark([face.face_id], Mark.NOBODY, "2026-01-01T00:00:00Z")  # type: ignore[list-item]
    assert everything(family) == before
    assert like(family, "stranger.png") == [face]


def test_faces_of_photos_that_are_gone_are_not_found_until_they_are_back(family: Library) -> None:
    before = everything(family)
    (family.photos / "both.png").rename(family.base / "both.png")
    come(family)
    assert everything(family) == [[one for one in before[0] if one[0] != "both.png"]]
    (family.base / "both.png").rename(family.photos / "both.png")
    come(family)
    assert everything(family) == before


def test_so_many_are_found_as_are_asked_for_however_many_are_out_of_sight(library: Library) -> None:
    library.draw("probe.png", (1, 0))
    for look in range(30):
        library.draw(f"gone{look}.png", (1, 1 + look))
    library.draw_looks(2, 5, "there")
    come(library)
    for look in range(30):
        (library.photos / f"gone{look}.png").unlink()
    come(library)
    [face] = like(library, "probe.png", k=3)
    assert [one.rank for one in face.found] == [1, 2, 3]
    assert all(Path(one.photo).name.startswith("there") for one in face.found)


def test_all_faces_are_loaded_with_vectors_that_are_at_hand_as_they_are_read(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.unassign(["f1"])
        catalog, engine_id, n_dims = app.catalog, app.engine.id, app.engine.info.n_dims
        read = catalog.faces.load(engine_id, n_dims=n_dims)
        some = Vectors([Block(read.ids[1:], read.embeddings[1:])])
        for vectors in (app.search.vectors_at_hand(engine_id), some, None):
            found = all_faces(catalog, engine_id, n_dims, vectors)
            assert all(np.array_equal(one, other) for one, other in zip(found._columns(), read._columns(), strict=True))
        assert len(read) > 1
        assert app.search.vectors_at_hand(engine_id + 1) is None


# --- mistakes ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda photos: photos / "absent.png", "no such file; name a photo"),
        (lambda photos: photos, "a folder; name a photo"),
        (lambda photos: photos / "blank.png", "no face found in it; name a photo with a face"),
        (lambda photos: photos / "bad.jpg", "bad.jpg: .+; "),
        (lambda photos: photos / "notes.txt", "not a photo"),
    ],
    ids=["absent", "folder", "blank", "bad", "text"],
)
def test_what_cannot_be_searched_for_is_named_with_its_fault(
    family: Library, make: Callable[[Path], Path], message: str
) -> None:
    family.draw("blank.png")
    (family.photos / "bad.jpg").write_bytes(b"no photo")
    (family.photos / "notes.txt").write_text("no photo")
    for _ in ("before the scan", "after it"):
        with pytest.raises(NotKnownError, match=message):
            like(family, make(family.photos))
        come(family)


def test_a_number_that_no_face_has_is_refused_with_those_that_there_are(family: Library) -> None:
    with pytest.raises(NotKnownError, match=r"both.png: has no face 7; from left to right it has 1, 2"):
        like(family, "both.png", face=7)


@pytest.mark.parametrize("number", [None, 1])
def test_a_face_that_the_engine_in_use_has_not_seen_cannot_be_searched_for(family: Library, number: int | None) -> None:
    [face] = like(family, "stranger.png")
    with family.app() as app, app.catalog.write():
        app.catalog._db.execute("DELETE FROM embeddings WHERE face_id = ?", [face.face_id])
    with pytest.raises(NotKnownError, match=r"stranger.png: .+ seen by the engine in use; search by another photo"):
        like(family, "stranger.png", face=number)


def test_a_catalog_without_faces_says_what_to_do(library: Library) -> None:
    library.draw("blank.png")
    for _ in ("nothing was scanned", "nothing was found"):
        with pytest.raises(NotKnownError, match="holds no face yet; `facewatch scan PHOTOS`"):
            like(library, "blank.png")
        come(library)
    assert not vector_file(library).exists()


class OtherEngine(fake.FakeEngine):
    """The same squares as other vectors."""

    @property
    def info(self) -> Any:
        return dataclasses.replace(fake.INFO, name="other", fingerprint="other", n_dims=2 * fake.N_DIMS)

    def analyse(self, pixels: Any, **closer: Any) -> Any:
        return [_seen_by_other(face) for face in super().analyse(pixels, **closer)]


def _seen_by_other(face: Any) -> Any:
    twice = np.concatenate([face.embedding[::-1], -face.embedding]) / np.sqrt(2)
    return dataclasses.replace(face, embedding=twice.astype(np.float32))


def test_while_the_engine_changes_only_what_the_old_one_knows_is_searched_for(family: Library, tmp_path: Path) -> None:
    before = everything(family)
    shutil.move(family.draw("elsewhere.png", (1, 8)), tmp_path / "elsewhere.png")
    family.draw("late.png", (1, 9))
    with family.app(engine=OtherEngine()) as app:
        search = search_of(app)
        assert found(search.like(family.photos / "a0.png", k=100)) == before
        list(app.pipeline.index(family.photos, ["late.png"]))
        with pytest.raises(EngineError, match=r"late.png: fake, which knows the other faces, has not analysed it"):
            search.like(family.photos / "late.png")
        with pytest.raises(EngineError, match=r"not in the catalog, and other would analyse it"):
            search.like(tmp_path / "elsewhere.png")
        app.pipeline.scan()
        assert ("late.png", 1) in found(search.like(family.photos / "a0.png", k=100))[0]
        assert found(search.like(tmp_path / "elsewhere.png", k=100))[0]
    assert [path.name for path in family.catalog.parent.iterdir() if ".vectors-" in path.name] == [
        f"{family.catalog.name}.vectors-other"
    ]


# --- the file beside the catalog ---


def keep_up(library: Library, **arguments: Any) -> None:
    with library.app(**arguments) as app:
        search_of(app).keep_up()


def test_the_file_is_kept_up_with_what_comes_and_then_left_alone(family: Library) -> None:
    keep_up(family)
    inode = vector_file(family).stat().st_ino
    family.draw("more.png", (1, 3), (2, 3))
    come(family)
    keep_up(family)
    written = vector_file(family).stat()
    assert written.st_ino == inode
    keep_up(family)
    assert everything(family)[0][:3].count(("more.png", 1)) == 1
    assert vector_file(family).stat().st_mtime_ns == written.st_mtime_ns


def _of_another_library(path: Path) -> None:
    origin = Origin("other", "fake", fake.N_DIMS)
    path.unlink()
    write(VectorFile(path, origin), None, range(6))


def _of_another_change(path: Path) -> None:
    """As if the catalog was put back to a backup, and went another way from there: as many faces, and other vectors."""
    text = path.read_bytes()[len(MAGIC) : PAGE_BYTES - 4]
    facts = json.loads(text)
    file = VectorFile(path, Origin(*(facts.pop(key) for key in ("library", "engine", "n_dims"))))
    stored = file.read()
    assert stored is not None
    with file.write(None) as draft:
        draft.add(Block(stored.block.ids, stored.block.vectors[::-1]))
        draft.sync()
        draft.publish(dataclasses.replace(stored.extent, token="another"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"rubbish" * 1000),
    "half a row less": lambda path: os.truncate(path, path.stat().st_size - 100),
    "half a row more": lambda path: path.write_bytes(path.read_bytes() + b"\xff" * 100),
    "of another library": _of_another_library,
    "of another change": _of_another_change,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("has_more", [False, True])
def test_a_file_that_cannot_be_used_is_made_again(family: Library, damage: str, has_more: bool) -> None:
    keep_up(family)
    if has_more:
        family.draw("more.png", (1, 3), (2, 3))
        come(family)
    DAMAGES[damage](vector_file(family))
    probe, faces = (1, 0), FACES | ({("more.png", 1): (1, 3), ("more.png", 2): (2, 3)} if has_more else {})
    assert everything(family) == [expected(probe, faces)]
    written = vector_file(family).stat().st_mtime_ns
    assert everything(family) == [expected(probe, faces)]
    assert vector_file(family).stat().st_mtime_ns == written


def test_a_catalog_that_was_put_back_to_a_backup_is_never_searched_by_its_later_file(family: Library) -> None:
    keep_up(family)
    with family.app() as app:
        app.catalog.backup(family.base / "backup.sqlite")
    late = {"x.png": (5, 0), "y.png": (6, 0), "z.png": (7, 0)}
    for name, face in late.items():
        family.draw(name, face)
        come(family)
    keep_up(family)
    for path in family.catalog.parent.glob(f"{family.catalog.name}-*"):
        path.unlink()
    shutil.move(family.base / "backup.sqlite", family.catalog)
    for name in ("y.png", "x.png", "z.png"):
        (family.photos / name).rename(family.base / name)
    for name in ("y.png", "x.png", "z.png"):
        (family.base / name).rename(family.photos / name)
        come(family)
    faces = FACES | {(name, 1): face for name, face in late.items()}
    assert everything(family) == [expected((1, 0), faces)]


def test_vectors_that_were_deleted_or_renumbered_are_noticed(family: Library) -> None:
    keep_up(family)
    [face] = like(family, "a0.png", k=1)
    gone = face.found[0]
    with family.app() as app:
        with app.catalog.write():
            app.catalog._db.execute("DELETE FROM embeddings WHERE face_id = ?", [gone.face_id])
        app.catalog.compact()
    family.draw("more.png", (1, 3))
    come(family)
    faces = FACES | {("more.png", 1): (1, 3)}
    del faces[Path(gone.photo).name, gone.number]
    assert everything(family) == [expected((1, 0), faces)]


def test_one_search_sees_what_has_come_since_its_last_question(family: Library) -> None:
    with family.app() as app:
        search = search_of(app)
        before = found(search.like(family.photos / "a0.png", k=100))
        family.draw("more.png", (1, 3))
        come(family)
        after = found(search.like(family.photos / "a0.png", k=100))
    assert before == [expected((1, 0), FACES)]
    assert after == [expected((1, 0), FACES | {("more.png", 1): (1, 3)})]


KILLED = """
import os, signal, sys
from pathlib import Path
from facewatch.catalog import Catalog
from facewatch.matching.vector_file import Draft
from facewatch.people.kept_vectors import KeptVectors

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def cut(self, block):
    self._file.write(self._target.records(block)[:-7])
    self._file.flush()
    die()

step = sys.argv[2]
if step == "half a row":
    Draft.add = cut
elif step == "on the disk":
    sync = Draft.sync
    Draft.sync = lambda self: die(sync(self))
elif step == "on record":
    Draft.publish = die
with Catalog(Path(sys.argv[1])) as catalog:
    KeptVectors(catalog).keep_up(next(engine for engine in catalog.engines.all() if engine.is_in_use))
"""


@pytest.mark.parametrize("step", ["half a row", "on the disk", "on record"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_killed_writer_leaves_no_wrong_answer(family: Library, step: str, is_new: bool) -> None:
    if not is_new:
        keep_up(family)
    family.draw("more.png", (1, 3), (2, 3))
    come(family)
    command = [sys.executable, "-P", "-c", KILLED, str(family.catalog), step]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    faces = FACES | {("more.png", 1): (1, 3), ("more.png", 2): (2, 3)}
    assert everything(family) == [expected((1, 0), faces)]
    assert not vector_file(family).with_name(f"{vector_file(family).name}.new").exists()


def test_two_processes_may_add_at_the_same_time(family: Library) -> None:
    family.draw("more.png", (1, 3), (2, 3))
    come(family)
    command = [sys.executable, "-P", "-c", KILLED, str(family.catalog), "not at all"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    stored = VectorFile(vector_file(family), _origin(family)).read()
    assert stored is not None
    assert len(set(stored.block.ids.tolist())) == stored.extent.n_faces == 8


def _origin(library: Library) -> Origin:
    with library.app() as app:
        return Origin(app.catalog.library_id, "fake", fake.N_DIMS)


def _in_the_way(library: Library, _: pytest.MonkeyPatch) -> None:
    vector_file(library).mkdir()


def _full(_: Library, patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr("facewatch.matching.vector_file.os.fsync", fail)


def _locked_out(library: Library, _: pytest.MonkeyPatch) -> None:
    library.catalog.with_name(f"{library.catalog.name}.vectors.lock").mkdir()


@pytest.mark.parametrize("fault", [_in_the_way, _full, _locked_out])
def test_without_a_file_the_answer_is_the_same_and_a_warning_says_so_once(
    family: Library,
    fault: Callable[[Library, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fault(family, monkeypatch)
    with family.app() as app:
        search = search_of(app)
        for _ in range(3):
            search.keep_up()
            assert found(search.like(family.photos / "a0.png", k=100)) == [expected((1, 0), FACES)]
        family.draw("more.png", (1, 3))
        come(family)
        faces = FACES | {("more.png", 1): (1, 3)}
        assert found(search.like(family.photos / "a0.png", k=100)) == [expected((1, 0), faces)]
    assert caplog.text.count("cannot be written; searching takes longer") == 1


def test_what_the_file_holds_is_used_where_more_cannot_be_added(
    family: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep_up(family)
    family.draw("more.png", (1, 3))
    come(family)
    before = vector_file(family).read_bytes()
    with monkeypatch.context() as patch:
        _full(family, patch)
        assert everything(family) == [expected((1, 0), FACES | {("more.png", 1): (1, 3)})]
    assert vector_file(family).read_bytes() == before
    assert "cannot be written" in caplog.text


def test_who_may_only_read_finds_what_has_come_and_leaves_the_file_to_those_who_write(
    family: Library, caplog: pytest.LogCaptureFixture
) -> None:
    keep_up(family)
    family.draw("more.png", (1, 3))
    come(family)
    before = vector_file(family).read_bytes()
    with family.app() as app:
        app.catalog.refuse_writing()
        assert found(app.search.like(family.photos / "a0.png", k=100)) == [
            expected((1, 0), FACES | {("more.png", 1): (1, 3)})
        ]
    assert (vector_file(family).read_bytes(), caplog.text) == (before, "")


# --- the command ---


@pytest.fixture
def run(library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command and return its exit code and output."""

    def call(*arguments: str) -> tuple[int, str, str]:
        options = ("--catalog", str(library.catalog), "--people", str(library.people))
        return (main(["search", *arguments, *options]), *capsys.readouterr())

    return call


def test_the_command_prints_a_row_a_face(family: Library, run: Any) -> None:
    code, out, _ = run(str(family.photos / "a0.png"), "-k", "2")
    assert code == 0
    header, _, *rows = out.splitlines()
    assert header.split() == ["rank", "person", "distance", "face", "photo"]
    assert [row.split()[0] for row in rows] == ["1", "2", "--"]
    assert all(row.split()[-1].startswith(str(family.photos)) for row in rows[:2])


def test_the_command_heads_each_of_several_faces(family: Library, run: Any) -> None:
    _, out, _ = run(str(family.photos / "both.png"), "-k", "1")
    headings = [line for line in out.splitlines() if line.endswith(":")]
    assert [heading.partition(" (")[0].rpartition("/")[2] for heading in headings] == [
        "both.png, face 1",
        "both.png, face 2",
    ]
    assert "face 2 (" not in run(str(family.photos / "both.png"), "--face", "2")[1]


def test_the_command_says_where_near_enough_ends(family: Library, run: Any) -> None:
    photo = str(family.photos / "a0.png")
    _, out, _ = run(photo, "-k", "100")
    rows = [line.split() for line in out.splitlines()[2:]]
    [end] = [number for number, row in enumerate(rows) if row[:3] == ["--", "near", "enough"]]
    limit = float(rows[end][-1])
    assert all(float(row[-3]) < limit for row in rows[:end])
    assert all(float(row[-3]) >= limit for row in rows[end + 1 :])
    assert 0 < end < len(rows) - 1
    [face] = json.loads(run(photo, "--json")[1])["faces"]
    assert face["near_enough"] == pytest.approx(limit, abs=5e-4)


def test_near_enough_is_what_the_gallery_would_accept_and_follows_the_settings(family: Library) -> None:
    def near_enough(strictness: float) -> float | None:
        with family.app({"match.strictness": strictness}) as app:
            [face] = app.search.like(family.photos / "a0.png")
            gallery = Gallery(fake.N_DIMS, app.engine.info.thresholds, MatchSettings(strictness=strictness))
        assert face.near_enough == gallery.limits(Tier.ENROLL)[0]
        return face.near_enough

    loose, strict = near_enough(0.0), near_enough(0.1)
    assert loose is not None
    assert strict == pytest.approx(loose - 0.1)


def test_the_command_prints_json_for_programs(family: Library, run: Any) -> None:
    code, out, _ = run(str(family.photos / "both.png"), "--face", "2", "-k", "3", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["photo"] == str(family.photos / "both.png")
    [face] = answer["faces"]
    assert face["number"] == 2
    assert [one["rank"] for one in face["found"]] == [1, 2, 3]
    assert set(face["found"][0]) == {
        *("rank", "face_id", "person_id", "person", "distance", "photo", "number", "copies")
    }


def test_the_only_face_of_a_library_has_nobody_beside_it(library: Library, run: Any) -> None:
    library.draw("one.png", (1, 0))
    come(library)
    assert run(str(library.photos / "one.png"))[:2] == (0, "no other face is in the library\n")


@pytest.mark.parametrize(
    ("arguments", "code"), [(("absent.png",), 9), (("a0.png", "--face", "0"), 2), (("a0.png", "-k", "0"), 2)]
)
def test_mistakes_end_with_the_documented_codes(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(family.photos)
    answer = run(*arguments)
    assert answer[0] == code
    assert "Traceback" not in answer[2]
