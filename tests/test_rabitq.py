"""The index: what it finds is measured exactly, what came since is found, and files of others count for nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import facewatch.cli.search  # noqa: F401 - adds its command
from facewatch.cli import main
from facewatch.matching import rabitq
from facewatch.matching.rabitq import RabitqFiles, RabitqIndex
from facewatch.matching.search import Block, Near, Vectors
from facewatch.matching.vector_file import Extent, Stored
from facewatch.people import kept_vectors

N_DIMS = 64


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabitq, "FACES_A_PART", 100)
    monkeypatch.setattr(rabitq, "FACES_BEHIND", 20)


def unit(seed: int, n: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, N_DIMS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def stored(vectors: NDArray[np.float32], *, begun: str = "b") -> Stored:
    ids = np.arange(len(vectors), dtype=np.int64) * 3 + 1
    return Stored(Extent(len(ids), int(ids[-1]), int(ids[-1]), begun, "t"), Block(ids, vectors))


def index_of(folder: Path, vectors: NDArray[np.float32]) -> RabitqIndex:
    files = RabitqFiles(folder / "index")
    files.follow(stored(vectors))
    index = files.read(stored(vectors))
    assert index is not None
    return index


def test_faces_that_look_alike_are_found_among_many_strangers(tmp_path: Path) -> None:
    vectors = unit(1, 1500)
    probes = unit(2, 20)
    alike = 0.6 * probes + 0.8 * unit(3, 20)
    vectors[40:60] = alike / np.linalg.norm(alike, axis=1, keepdims=True)
    searched = Vectors([stored(vectors).block], index=index_of(tmp_path, vectors))
    assert not searched.is_exact
    exact = Vectors([stored(vectors).block])
    assert [next(one) for one in searched.nearest(probes)] == [next(one) for one in exact.nearest(probes)]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 250), n_more=st.integers(0, 30))
def test_asked_for_all_it_yields_everybody_once_and_by_exact_distances(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, n_more: int
) -> None:
    vectors = unit(seed, n)
    blocks = [stored(vectors).block, Block(np.arange(1000, 1000 + n_more), unit(seed + 1, n_more))]
    probe = unit(seed + 2, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facewatch.matching.search.FIRST_LIKELY", 32)
        index = index_of(tmp_path_factory.mktemp("index"), vectors)
        found = [list(ranking) for ranking in Vectors(blocks, index=index).nearest(probe)]
    exact = [list(ranking) for ranking in Vectors(blocks).nearest(probe)]
    assert sorted(found[0], key=by_distance) == sorted(exact[0], key=by_distance)


def by_distance(near: Near) -> tuple[float, int]:
    return near.distance, near.face_id


def test_faces_that_came_since_are_found(tmp_path: Path) -> None:
    vectors = unit(1, 130)
    [ranking] = Vectors([stored(vectors).block], index=index_of(tmp_path, vectors[:110])).nearest(vectors[125:126])
    assert next(ranking).face_id == 3 * 125 + 1


def test_an_index_grows_by_its_last_part_alone(tmp_path: Path) -> None:
    vectors = unit(1, 250)
    files = RabitqFiles(tmp_path / "index")
    files.follow(stored(vectors[:150]))
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    files.follow(stored(vectors))
    after = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert sorted(after) == ["index-b-0", "index-b-1", "index-b-2"]
    assert [name for name in before if after[name] == before[name]] == ["index-b-0"]
    index = files.read(stored(vectors))
    assert index is not None
    assert len(index) == 250
    assert not files.lacks(index, stored(vectors))
    assert not files.lacks(index, stored(unit(1, 269)))
    assert files.lacks(index, stored(unit(1, 270)))


OTHERS = {
    "of a file that was begun anew": stored(unit(2, 150), begun="other"),
    "of a file that went less far": stored(unit(1, 149)),
}


@pytest.mark.parametrize("of", OTHERS)
def test_an_index_of_other_faces_counts_for_nothing_and_is_made_again(tmp_path: Path, of: str) -> None:
    files = RabitqFiles(tmp_path / "index")
    files.follow(stored(unit(1, 150)))
    assert files.read(OTHERS[of]) is None
    files.follow(OTHERS[of])
    index = files.read(OTHERS[of])
    assert index is not None
    assert len(index) == len(OTHERS[of].block)
    assert len(list(tmp_path.iterdir())) == 2


def test_behind_a_part_that_is_damaged_nothing_counts(tmp_path: Path) -> None:
    vectors = unit(1, 250)
    files = RabitqFiles(tmp_path / "index")
    files.follow(stored(vectors))
    os.truncate(tmp_path / "index-b-1", 40)
    index = files.read(stored(vectors))
    assert index is not None
    assert len(index) == 100
    files.follow(stored(vectors))
    index = files.read(stored(vectors))
    assert index is not None
    assert len(index) == 250


def test_a_file_in_the_way_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "index-b-0.new").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        RabitqFiles(tmp_path / "index").follow(stored(unit(1, 10)))
    assert [path.name for path in tmp_path.iterdir()] == ["index-b-0.new"]


# --- beside a catalog ---

BY_INDEX = {"search.index": "rabitq"}


@pytest.fixture
def family(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(kept_vectors, "CODED_FROM", 3)
    library.draw_all({"a0": [(1, 0)], "both": [(2, 0), (1, 1)], "a2": [(1, 2)], "b1": [(2, 1)], "stranger": [(9, 0)]})
    library.scan(**BY_INDEX)
    return library


def index_files(library: Library) -> list[Path]:
    return sorted(library.catalog.parent.glob(f"{library.catalog.name}.vectors-fake.rabitq-*"))


def found(library: Library, settings: Mapping[str, str] = BY_INDEX) -> tuple[list[int], bool]:
    with library.app(settings) as app:
        [face] = app.search.like(library.photos / "a0.png")
    return [one.face_id for one in face.found], face.is_exact


def test_a_scan_keeps_the_index_up_and_search_says_that_it_was_asked(family: Library) -> None:
    assert len(index_files(family)) == 1
    by_index, exact = found(family), found(family, {})
    assert by_index == (exact[0], False)
    assert exact[1]


def test_the_command_says_that_an_index_was_asked(family: Library, capsys: pytest.CaptureFixture[str]) -> None:
    settings = family.base / "facewatch.toml"
    settings.write_text('[search]\nindex = "rabitq"\n', encoding="utf-8")
    places = ["--config", str(settings), "--catalog", str(family.catalog), "--people", str(family.people)]
    assert main(["search", str(family.photos / "a0.png"), *places]) == 0
    assert "an index found these" in capsys.readouterr().out


def test_an_index_that_is_lost_or_damaged_is_made_again_by_the_next_scan(family: Library) -> None:
    [path] = index_files(family)
    path.write_bytes(b"rubbish")
    assert found(family) == (found(family, {})[0], True)
    family.scan(**BY_INDEX)
    assert found(family) == (found(family, {})[0], False)


def test_without_faiss_every_face_is_compared_and_a_warning_says_what_to_install(
    family: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_vectors, "can_index", lambda: False)
    with caplog.at_level(logging.WARNING):
        assert found(family) == found(family, {})
    assert "-m pip install faiss-cpu" in caplog.text
    family.scan(**BY_INDEX)


def test_vectors_that_are_made_anew_leave_no_index_behind(family: Library) -> None:
    [before] = index_files(family)
    family.catalog.with_name(f"{family.catalog.name}.vectors-fake").unlink()
    family.scan(**BY_INDEX)
    [after] = index_files(family)
    assert after.name != before.name
