"""Codes of vectors: less exact and sooner compared, and the nearest faces stay the very same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.matching import codes as codes_module
from facewatch.matching.codes import CodeFile, Codes, coded
from facewatch.matching.search import Block, Vectors
from facewatch.matching.vector_file import Extent, Origin, Stored
from facewatch.people import kept_vectors
from facewatch.people.search import Search

ORIGIN = Origin("library", "engine", 16)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few faces fill several, and parts of a chunk are written."""
    monkeypatch.setattr(codes_module, "FACES_A_CHUNK", 12)
    monkeypatch.setattr(codes_module, "CODED_AT_ONCE", 4)


def unit(seed: int, n: int, n_dims: int = ORIGIN.n_dims) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, n_dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def stored(vectors: NDArray[np.float32], *, begun: str = "b", token: str = "t") -> Stored:
    ids = np.arange(len(vectors), dtype=np.int64) * 3 + 1
    last = int(ids[-1]) if len(ids) else 0
    return Stored(Extent(len(ids), last, last, begun, token), Block(ids, vectors))


def codes_of(folder: Path, vectors: NDArray[np.float32]) -> Codes:
    file = CodeFile(folder / "codes", ORIGIN)
    file.follow(stored(vectors))
    codes = file.read(stored(vectors))
    assert codes is not None
    return codes


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), n_twins=st.integers(0, 20), n_more=st.integers(0, 9))
def test_the_nearest_are_those_of_comparing_the_vectors(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, n_twins: int, n_more: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = unit(seed, n)
    vectors[random.permutation(n)[:n_twins]] = vectors[:1]
    vectors[random.random(n) < 0.1] = np.nan
    blocks = [stored(vectors).block, Block(np.arange(1000, 1000 + n_more), unit(seed + 1, n_more))]
    probes = np.concatenate([unit(seed + 2, 3), np.nan_to_num(vectors[:1])])
    codes = codes_of(tmp_path_factory.mktemp("codes"), vectors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facewatch.matching.search.FIRST_SORTED", 3)
        rankings = [[list(one) for one in Vectors(blocks, by).nearest(probes)] for by in (None, codes)]
    assert rankings[0] == rankings[1]


@given(
    vectors=st.lists(
        st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).map(lambda row: np.array(row, np.float32)),
        min_size=1,
        max_size=20,
    )
)
def test_a_code_is_off_by_no_more_than_it_says(vectors: list[NDArray[np.float32]]) -> None:
    exact = np.stack(vectors)
    codes = coded(exact)
    meant = codes.values.astype(np.float64) * codes.scales[:, None]
    assert (np.linalg.norm(exact - meant, axis=1) <= codes.errors).all()
    assert (codes.errors < 0.01 * np.sqrt(4)).all()


def test_many_chunks_are_compared_on_all_cores(tmp_path: Path) -> None:
    vectors = unit(1, 12 * codes_module.CHUNKS_FOR_ONE_CORE + 5)
    codes, similarities = codes_of(tmp_path, vectors), np.empty((2, len(vectors)), np.float32)
    wrong_by = codes.compare(vectors[:2], similarities)
    assert np.abs(similarities - vectors[:2] @ vectors.T).max() <= wrong_by < 0.1


def test_only_what_may_be_among_the_nearest_is_measured_by_its_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    measure = Vectors._measure
    monkeypatch.setattr(
        Vectors, "_measure", lambda self, rows, probe: measured.append(len(rows)) or measure(self, rows, probe)
    )
    vectors = unit(1, 5000)
    [ranking] = Vectors([stored(vectors).block], codes_of(tmp_path, vectors)).nearest(vectors[7:8])
    assert next(ranking).face_id == 22
    assert sum(measured) < 200


@given(sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_a_file_that_grew_is_the_one_that_is_made_at_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("codes")
    vectors = unit(1, sum(sizes))
    grown, at_once = CodeFile(folder / "grown", ORIGIN), CodeFile(folder / "at-once", ORIGIN)
    for n in np.cumsum(sizes).tolist():
        grown.follow(stored(vectors[:n]))
    at_once.follow(stored(vectors))
    assert grown.path.read_bytes() == at_once.path.read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["at-once", "grown"]


def test_codes_of_fewer_faces_count_as_far_as_they_go(tmp_path: Path) -> None:
    vectors = unit(1, 30)
    file = CodeFile(tmp_path / "codes", ORIGIN)
    file.follow(stored(vectors[:17]))
    codes = file.read(stored(vectors))
    assert codes is not None
    assert codes.ids.tolist() == stored(vectors[:17]).block.ids.tolist()


OTHERS = {
    "of a file that was begun anew": stored(unit(2, 20), begun="other"),
    "of a file that went less far": stored(unit(1, 19)),
}


@pytest.mark.parametrize("of", OTHERS)
def test_codes_of_other_faces_count_for_nothing_and_are_made_again(tmp_path: Path, of: str) -> None:
    file = CodeFile(tmp_path / "codes", ORIGIN)
    file.follow(stored(unit(1, 20)))
    before = file.read(stored(unit(1, 20)))
    assert before is not None
    assert file.read(OTHERS[of]) is None
    file.follow(OTHERS[of])
    after = file.read(OTHERS[of])
    assert after is not None
    assert len(after) == len(OTHERS[of].block)
    # Who has mapped what was there goes on with that.
    assert np.array_equal(before._chunk(0, 12).values, coded(unit(1, 12)).values)


@pytest.mark.parametrize("n_bytes", [0, 100, 4096, 4500])
def test_a_file_that_was_cut_off_counts_for_nothing(tmp_path: Path, n_bytes: int) -> None:
    file = CodeFile(tmp_path / "codes", ORIGIN)
    file.follow(stored(unit(1, 20)))
    os.truncate(file.path, n_bytes)
    assert file.read(stored(unit(1, 20))) is None


@pytest.mark.parametrize("n_known", [0, 17])
def test_a_full_disk_leaves_the_codes_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_known: int
) -> None:
    vectors = unit(1, 30)
    file = CodeFile(tmp_path / "codes", ORIGIN)
    if n_known:
        file.follow(stored(vectors[:n_known]))
    known = file.read(stored(vectors))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("facewatch.matching.codes.os.fsync", fail)
        with pytest.raises(OSError, match="No space"):
            file.follow(stored(vectors))
    after = file.read(stored(vectors))
    assert (len(after) if after else 0) == (len(known) if known else 0) == n_known
    assert [path.name for path in tmp_path.iterdir()] == (["codes"] if n_known else [])


# --- beside a catalog ---


@pytest.fixture
def family(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(kept_vectors, "CODED_FROM", 3)
    library.draw_all({"a0": [(1, 0)], "both": [(2, 0), (1, 1)], "a2": [(1, 2)], "b1": [(2, 1)], "stranger": [(9, 0)]})
    library.scan()
    return library


def codes_path(library: Library) -> Path:
    return library.catalog.with_name(f"{library.catalog.name}.vectors-fake.codes")


def found(library: Library) -> list[tuple[int, float]]:
    with library.app() as app:
        [face] = Search(app.catalog, app.engine, app.lookup, app.workers).like(library.photos / "a0.png")
    return [(one.face_id, one.distance) for one in face.found]


def test_a_scan_keeps_the_codes_up_and_the_answers_are_the_same(
    family: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    family.draw("more.png", (1, 3))
    family.scan()
    with_codes = found(family)
    assert codes_path(family).exists()
    monkeypatch.setattr(kept_vectors, "CODED_FROM", 10**9)
    assert found(family) == with_codes
    assert len(with_codes) == 6


def test_without_the_package_that_compares_them_there_are_no_codes(
    family: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_codes = found(family)
    codes_path(family).unlink()
    monkeypatch.setattr(kept_vectors, "can_compare", lambda: False)
    assert found(family) == with_codes
    family.scan()
    assert not codes_path(family).exists()


def test_codes_that_are_lost_are_made_again_by_the_next_scan(family: Library) -> None:
    codes_path(family).unlink()
    family.scan()
    assert codes_path(family).exists()


def test_codes_that_went_further_than_a_catalog_that_was_set_back_are_not_used(family: Library) -> None:
    """Whatever comes then takes the places of faces that the codes know."""
    names = ["", ".vectors-fake"]
    before = [(family.catalog.with_name(family.catalog.name + name)) for name in names]
    contents = [path.read_bytes() for path in before]
    family.draw("more.png", (1, 3))
    family.scan()
    for path, content in zip(before, contents, strict=True):
        path.write_bytes(content)
    (family.photos / "more.png").unlink()
    family.draw("other.png", (7, 3), (8, 3))
    family.scan()
    by_codes = found(family)
    codes_path(family).unlink()
    assert found(family) == by_codes
