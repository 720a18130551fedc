"""The graph of neighbours: what is in it, and that keeping and extending it changes nothing."""

from __future__ import annotations

import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from crowds import CEILING, N_DIMS, at_angles, labels_of, neighbour_graph, people, unit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic import make_faces

from facewatch.clustering import cells as cells_module
from facewatch.clustering import make_clusterer, neighbours
from facewatch.clustering import sieve as sieve_module
from facewatch.clustering.graph import MIN_DISTANCE, NeighbourGraph, row_checksums
from facewatch.clustering.packing import Packing
from facewatch.clustering.sieve import MARGIN, Sieve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix


def test_graph_holds_the_true_distances_under_the_ceiling() -> None:
    embeddings, _ = people([5, 6, 7], n_dims=N_DIMS)
    expected = np.linalg.norm(embeddings[:, None].astype(np.float64) - embeddings[None], axis=2)
    expected[(expected > CEILING) | np.eye(18, dtype=bool)] = 0
    graph = neighbour_graph(embeddings, n_neighbours=17, ceiling=CEILING)
    np.testing.assert_allclose(graph.toarray(), expected, atol=1e-6)


def test_graph_keeps_the_nearest_of_too_many() -> None:
    graph = neighbour_graph(at_angles(0, 1, 3, 7, 15), n_neighbours=1, ceiling=1.0)
    assert sorted(zip(*(ends.tolist() for ends in graph.nonzero()), strict=True)) == [
        *[(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3)]
    ]


def test_graph_is_the_same_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, _ = people([5] * 20)
    whole = neighbour_graph(embeddings, n_neighbours=8, ceiling=CEILING)
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", 3)
    monkeypatch.setattr(neighbours, "BLOCK_COLUMNS", 7)
    assert abs(whole - neighbour_graph(embeddings, n_neighbours=8, ceiling=CEILING)).max() == 0


def test_graph_has_an_edge_between_identical_faces() -> None:
    graph = neighbour_graph(np.repeat(at_angles(30), 2, axis=0), n_neighbours=3, ceiling=CEILING)
    assert graph.toarray().tolist() == [[0, MIN_DISTANCE], [MIN_DISTANCE, 0]]


def test_graph_of_nobody_is_empty() -> None:
    assert neighbour_graph(np.empty((0, N_DIMS), np.float32), n_neighbours=3, ceiling=CEILING).shape == (0, 0)


def test_distances_of_almost_identical_faces_are_exact() -> None:
    embeddings = at_angles(0, 0.01)
    expected = np.linalg.norm(embeddings[0].astype(np.float64) - embeddings[1])
    graph = neighbour_graph(embeddings, n_neighbours=3, ceiling=CEILING)
    assert graph[0, 1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_faces", [2, 3, 1_000, 1_048_576, 3_000_000])
def test_packed_edges_come_back_as_they_were(n_faces: int) -> None:
    packing = Packing(n_faces)
    rows, columns = np.array([0, n_faces - 1, 0]), np.array([n_faces - 1, 0, n_faces // 2])
    far = np.array([0.0, 1.25, 1.41], dtype=np.float32)
    packed = packing.pack(rows, far, columns)
    assert packing.rows(packed).tolist() == rows.tolist()
    assert packing.columns(packed).tolist() == columns.tolist()
    np.testing.assert_allclose(packing.far(packed), far, atol=1 / packing.scale)


@given(rows=st.lists(st.integers(0, 9), max_size=40), size=st.integers(1, 20))
def test_parts_of_edges_leave_those_of_a_face_together(rows: list[int], size: int) -> None:
    packing, columns = Packing(40), np.arange(len(rows))
    packed = np.sort(packing.pack(np.array(rows, np.int64), np.full(len(rows), 0.5), columns))
    parts = list(packing.parts(packed, size))
    assert np.concatenate(parts).tolist() == packed.tolist()
    faces = [face for part in parts for face in set(packing.rows(part).tolist())]
    assert len(faces) == len(set(rows))


def test_checksums_tell_rows_apart_by_their_last_bit() -> None:
    embeddings, _ = people([50])
    changed = np.nextafter(embeddings, np.float32(2))
    assert len(np.unique(np.concatenate([row_checksums(embeddings), row_checksums(changed)]))) == 100


# Kept and extended


@pytest.mark.parametrize(("ceiling", "n_neighbours"), [(0.0, 5), (1.5, 5), (0.5, 0)])
def test_limits_out_of_range_are_refused(ceiling: float, n_neighbours: int) -> None:
    with pytest.raises(ValueError, match="must"):
        NeighbourGraph(ceiling=ceiling, n_neighbours=n_neighbours)


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        NeighbourGraph(ceiling=CEILING).update(np.array([4, 4]), at_angles(0, 1))


def test_ids_must_fit_the_embeddings() -> None:
    with pytest.raises(ValueError, match="one id per embedding"):
        NeighbourGraph(ceiling=CEILING).update(np.array([4]), at_angles(0, 1))


def test_rows_come_in_the_order_of_the_ids() -> None:
    graph = NeighbourGraph(ceiling=0.1)
    graph.update(np.array([3, 5, 9]), at_angles(0, 3, 90))
    assert edges_of(graph.update(np.array([9, 5, 3]), at_angles(90, 3, 0))) == {(1, 2), (2, 1)}


def test_faces_that_are_known_are_not_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, _ = people([5, 6, 7])
    graph = NeighbourGraph(ceiling=CEILING)
    before = graph.update(np.arange(18), embeddings)
    monkeypatch.setattr(neighbours.NearestSearch, "_compare", lambda *_: pytest.fail("compared"))
    assert abs(before - graph.update(np.arange(18), embeddings)).max() == 0
    assert graph.update(np.arange(5), embeddings[:5]).shape == (5, 5)


def test_only_new_faces_are_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, _ = people([10] * 10)
    graph = NeighbourGraph(ceiling=CEILING)
    graph.update(np.arange(95), embeddings[:95])
    seen = []
    compare = neighbours.NearestSearch._compare

    def count(search: neighbours.NearestSearch, columns: NDArray[np.int64], others: list[NDArray[np.int64]]) -> None:
        seen.append(len(columns) * sum(map(len, others)))
        compare(search, columns, others)

    monkeypatch.setattr(neighbours.NearestSearch, "_compare", count)
    graph.update(np.arange(100), embeddings)
    assert sum(seen) == 5 * 95 + 5 * 5


def test_a_face_with_another_embedding_is_compared_again() -> None:
    graph = NeighbourGraph(ceiling=0.1)
    graph.update(np.array([1, 2]), at_angles(0, 90))
    assert graph.update(np.array([1, 2]), at_angles(0, 3)).nnz == 2


def test_the_next_neighbour_moves_up_when_one_leaves() -> None:
    graph = NeighbourGraph(ceiling=1.0, n_neighbours=1)
    graph.update(np.arange(4), at_angles(0, 3, 10, 21))
    assert edges_of(graph.update(np.array([0, 2, 3]), at_angles(0, 10, 21))) == {(0, 1), (1, 0), (1, 2), (2, 1)}


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Which faces were there from time to time; some look like others, some are embedded anew meanwhile."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    embeddings = unit(1.0 + random.normal(size=(30, N_DIMS)) * draw(st.sampled_from([0.2, 0.5])))
    embeddings[:8] = embeddings[random.integers(8, 30, size=8)]
    history = []
    for _ in range(draw(st.integers(2, 4))):
        ids = random.permutation(30)[: draw(st.integers(0, 30))]
        history.append((ids, embeddings[ids]))
        embeddings = embeddings.copy()
        embeddings[random.integers(30, size=2)] = embeddings[random.integers(30, size=2)]
    return history


@given(history=histories(), n_neighbours=st.integers(1, 6), is_small=st.booleans(), is_sieved=st.booleans())
@settings(max_examples=200, deadline=None)
def test_an_extended_graph_is_the_same_as_a_new_one(
    history: list[tuple[NDArray[np.int64], NDArray[np.float32]]], n_neighbours: int, is_small: bool, is_sieved: bool
) -> None:
    kept = NeighbourGraph(ceiling=CEILING, n_neighbours=n_neighbours)
    for ids, embeddings in history:
        with tried(is_small=is_small, is_sieved=is_sieved):
            extended = kept.update(ids, embeddings)
        new = NeighbourGraph(ceiling=CEILING, n_neighbours=n_neighbours).update(ids, embeddings)
        assert edges_of(extended) == edges_of(new)
        assert abs(extended - new).max() == 0 if len(ids) else True


@pytest.mark.parametrize("method", ["linkage", "whispers", "spectral"])
def test_a_kept_graph_gives_the_labels_of_a_new_one(method: str) -> None:
    embeddings, _ = people([9, 5, 7, 1, 1, 3], spread=0.5)
    ids = np.random.default_rng(0).permutation(1000)[: len(embeddings)]
    clusterer = make_clusterer(method, ceiling=CEILING, graph=NeighbourGraph(ceiling=0.9))
    for n_faces in (12, 26, 20):
        labels = clusterer.fit_predict(embeddings[:n_faces], photos=ids[:n_faces], ids=ids[:n_faces])
        assert labels.tolist() == labels_of(embeddings[:n_faces], ids[:n_faces], method=method).tolist()


@pytest.mark.parametrize("limits", [{"ceiling": 0.3}, {"ceiling": 0.9, "n_neighbours": 20}])
def test_a_kept_graph_that_holds_too_little_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="the kept graph has"):
        make_clusterer("linkage", ceiling=CEILING, graph=NeighbourGraph(**limits))


def edges_of(graph: csr_matrix) -> set[tuple[int, int]]:
    rows, columns = graph.nonzero()
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def test_a_graph_that_was_stored_is_extended_like_one_that_was_kept(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(3).standard_normal((60, 8)))
    ids = np.arange(60)
    kept = NeighbourGraph(ceiling=1.2, n_neighbours=5)
    kept.update(ids[:40], vectors[:40])
    kept.save(tmp_path / "graph.npz")
    loaded = NeighbourGraph.load(tmp_path / "graph.npz", ceiling=1.2, n_neighbours=5)
    assert loaded.n_faces == 40
    fresh = NeighbourGraph(ceiling=1.2, n_neighbours=5).update(ids, vectors)
    assert (loaded.update(ids, vectors) != fresh).nnz == 0
    assert stat.S_IMODE((tmp_path / "graph.npz").stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["missing", "rubbish", "cut off", "other limits", "out of range"])
def test_a_graph_file_that_cannot_be_used_is_as_if_there_were_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "graph.npz"
    graph = NeighbourGraph(ceiling=1.2, n_neighbours=5)
    graph.update(np.arange(20), unit(np.random.default_rng(3).standard_normal((20, 8))))
    graph.save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "rubbish":
        path.write_bytes(b"no graph")
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-300])
    elif damage == "out of range":
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, **(arrays | {"rows": arrays["rows"] + 1000}))
    ceiling = 1.1 if damage == "other limits" else 1.2
    assert NeighbourGraph.load(path, ceiling=ceiling, n_neighbours=5).n_faces == 0


def _stored_otherwise(arrays: dict[str, Any], how: str) -> dict[str, Any]:
    """Return what a file of another version might hold instead."""
    name = next(name for name in arrays if name not in ("limits", "ids"))
    ids = arrays["ids"]
    return {
        "one array less": {key: array for key, array in arrays.items() if key != name},
        "limits of words": arrays | {"limits": np.array(["1.2", "5", "1"])},
        "one limit": arrays | {"limits": np.array([1.2])},
        "limits in a table": arrays | {"limits": np.array([[1.2, 5, 1.0]])},
        "ids of words": arrays | {"ids": ids.astype(str)},
        "ids in a table": arrays | {"ids": ids[:, None]},
        "more ids": arrays | {"ids": np.arange(len(ids) + 3)},
        "the same id twice": arrays | {"ids": np.zeros_like(ids)},
        "fewer ids": arrays | {"ids": ids[:3]},
        "objects": arrays | {"ids": np.array([{}] * len(ids))},
        "no arrays": {},
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        *("one array less", "limits of words", "one limit", "limits in a table", "ids of words", "ids in a table"),
        *("more ids", "the same id twice", "fewer ids", "objects", "no arrays"),
    ],
)
def test_a_graph_file_of_another_version_is_made_anew(tmp_path: Path, how: str) -> None:
    path, ids = tmp_path / "graph.npz", np.arange(20)
    vectors = unit(np.random.default_rng(3).standard_normal((20, 8)))
    graph = NeighbourGraph(ceiling=1.2, n_neighbours=5)
    expected = graph.update(ids, vectors)
    graph.save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **_stored_otherwise(arrays, how))
    loaded = NeighbourGraph.load(path, ceiling=1.2, n_neighbours=5)
    assert (loaded.update(ids, vectors) != expected).nnz == 0
    loaded.save(path)
    assert NeighbourGraph.load(path, ceiling=1.2, n_neighbours=5).n_faces == 20


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=8, bit=0)  # encrypted
@example(place=10, bit=6)  # compressed in an unknown way
def test_no_bit_of_a_graph_file_can_make_another_answer(place: float, bit: int) -> None:
    """`place`: a share of the file, or from 1 a byte of the first entry of its directory."""
    ids, vectors = np.arange(20), unit(np.random.default_rng(3).standard_normal((20, 8)))
    graph = NeighbourGraph(ceiling=1.2, n_neighbours=5)
    expected = graph.update(ids, vectors)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.npz"
        graph.save(path)
        data = bytearray(path.read_bytes())
        data[int(place * len(data)) if place < 1 else data.find(b"PK\x01\x02") + int(place)] ^= 1 << bit
        path.write_bytes(data)
        loaded = NeighbourGraph.load(path, ceiling=1.2, n_neighbours=5)
    assert (loaded.update(ids, vectors) != expected).nnz == 0


# Without the cosines of most pairs


@contextmanager
def tried(*, is_small: bool = True, is_sieved: bool = True, dense: float = 2, n_axes: int = 3) -> Iterator[None]:
    """Few faces are searched as many are, by so many of their components."""
    with pytest.MonkeyPatch.context() as patch:
        if is_small:
            patch.setattr(neighbours, "BLOCK_ROWS", 4)
            patch.setattr(neighbours, "BLOCK_COLUMNS", 6)
            patch.setattr(neighbours, "MIN_BATCH", 50)
            patch.setattr(neighbours, "PICKED_AT_ONCE", 7)
        if is_sieved:
            patch.setattr(neighbours, "SIEVED_PAIRS", 0)
            patch.setattr(neighbours, "SIEVED_PAIRS_PER_FACE", 0)
            patch.setattr(neighbours, "FACES_PER_CELL", 10)
            patch.setattr(neighbours, "DENSE", dense)
            patch.setattr(sieve_module, "_cheapest", lambda *_: n_axes)
        yield


@st.composite
def faces(draw: st.DrawFn) -> NDArray[np.float32]:
    """Faces of which a sieve may know too little or nothing: some are alike to the bit, some as far as each other, some
    are along axes, some have nothing behind their first components, some nothing in those."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_faces, n_dims = draw(st.integers(1, 40)), draw(st.sampled_from([2, 5, 40]))
    vectors = random.normal(size=(n_faces, n_dims)) + draw(st.sampled_from([0.0, 1.0, 3.0]))
    vectors[:, draw(st.integers(1, n_dims)) :] *= draw(st.sampled_from([0.0, 1e-4, 1.0]))
    if draw(st.booleans()):
        vectors[: n_faces // 3] = np.eye(n_dims)[random.integers(n_dims, size=n_faces // 3)]
    if draw(st.booleans()):
        vectors = np.sign(vectors) + 0.0 * vectors
        vectors[~vectors.any(axis=1), 0] = 1.0
    vectors[n_faces // 2 :] = vectors[random.integers(n_faces, size=n_faces - n_faces // 2)]
    return unit(vectors)


@given(embeddings=faces(), n_axes=st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_a_bound_is_never_below_the_cosine(embeddings: NDArray[np.float32], n_axes: int) -> None:
    n_dims = embeddings.shape[1]
    axes, _ = np.linalg.qr(np.random.default_rng(n_axes).standard_normal((n_dims, min(n_axes, n_dims))))
    sieve, everybody = Sieve.along(embeddings, axes), np.arange(len(embeddings))
    bounds = sieve.against(everybody).bounds(everybody, np.empty(len(everybody) ** 2, np.int32))
    cosines = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    assert (bounds * sieve.step**2 >= cosines - MARGIN).all()
    assert (bounds >= sieve.least_of(cosines.astype(np.float32) - np.float32(1e-6))).all()


@given(
    embeddings=faces(),
    n_neighbours=st.integers(1, 6),
    ceiling=st.sampled_from([0.2, 0.9, 1.3]),
    dense=st.sampled_from([1, 20]),
    n_axes=st.sampled_from([1, 4, 40]),
)
@settings(max_examples=300, deadline=None)
def test_sieved_graph_is_the_same_to_the_bit(
    embeddings: NDArray[np.float32], n_neighbours: int, ceiling: float, dense: float, n_axes: int
) -> None:
    expected = nearest_of_all(embeddings, n_neighbours, ceiling)
    with tried(dense=dense, n_axes=n_axes):
        graph = NeighbourGraph(ceiling=ceiling, n_neighbours=n_neighbours)
        graph.update(np.arange(len(embeddings)), embeddings)
    known = graph._known
    assert list(zip(known.ids[known.rows].tolist(), known.ids[known.columns].tolist(), strict=True)) == [
        (int(known.ids[row]), int(known.ids[column])) for row, column, _ in expected
    ]
    assert known.distances.tolist() == [far for *_, far in expected]


def nearest_of_all(embeddings: NDArray[np.float32], n_neighbours: int, ceiling: float) -> list[tuple[int, int, float]]:
    """Return the edges by the distances of all pairs, in the order that the graph has inside."""
    ordered = embeddings[np.lexsort((np.arange(len(embeddings)), row_checksums(embeddings)))]
    packing, edges = Packing(len(ordered)), []
    for row in range(len(ordered)):
        differences = ordered - ordered[row]
        far = np.sqrt(np.einsum("ij,ij->i", differences, differences))
        near = np.flatnonzero((far <= ceiling) & (np.arange(len(ordered)) != row))
        steps = packing.far(packing.pack(near * 0, far[near], near))
        nearest = np.lexsort((near, steps))[:n_neighbours]
        edges += [(row, int(near[one]), float(steps[one])) for one in nearest]
    return edges


def test_hardly_a_pair_passes_the_sieve(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = make_faces(3_000, 5).embeddings
    sieve = Sieve.of(embeddings, 0.3)
    assert sieve
    assert sieve.left.shape[1] < 400
    some = np.arange(500)
    bounds = sieve.against(some + 500).bounds(some, np.empty(500 * 500, np.int32))
    n_through = np.count_nonzero(bounds >= sieve.least_of(np.full(1, 0.3, np.float32)))
    n_near = np.count_nonzero(embeddings[:500] @ embeddings[500:1000].T >= 0.3)
    assert n_near <= n_through < n_near + 500


@contextmanager
def in_cells(*, size: int = 60, is_small: bool = False) -> Iterator[None]:
    """Few faces are compared in cells, as a million are."""
    with tried(is_small=is_small), pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "MOST_PAIRS", 0)
        patch.setattr(cells_module, "FACES_PER_CELL", size)
        yield


def edges_kept(graph: NeighbourGraph) -> dict[tuple[int, int], float]:
    """Return the edges from each face to its nearest, by ids."""
    known = graph._known
    ends = zip(known.ids[known.rows].tolist(), known.ids[known.columns].tolist(), strict=True)
    return dict(zip(ends, known.distances.tolist(), strict=True))


def test_compared_in_cells_nearly_all_edges_are_found_and_as_many_as_it_says() -> None:
    embeddings = make_faces(6_000, 5).embeddings
    exact, found = (NeighbourGraph(ceiling=1.17) for _ in range(2))
    exact.update(np.arange(6_000), embeddings)
    with in_cells():
        found.update(np.arange(6_000), embeddings)
    assert (exact.recall, 0.99 < found.recall < 1) == (1, True)
    of_all, of_found = edges_kept(exact), edges_kept(found)
    share = len(of_all.keys() & of_found.keys()) / len(of_all)
    assert share == pytest.approx(found.recall, abs=0.01)
    assert all(of_found[edge] == of_all[edge] for edge in of_found.keys() & of_all.keys())


@given(history=histories(), n_neighbours=st.integers(1, 6), size=st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_what_is_found_in_cells_is_true_whatever_came_and_went(
    history: list[tuple[NDArray[np.int64], NDArray[np.float32]]], n_neighbours: int, size: int
) -> None:
    kept = NeighbourGraph(ceiling=CEILING, n_neighbours=n_neighbours)
    for ids, embeddings in history:
        with in_cells(size=size, is_small=True):
            kept.update(ids, embeddings)
        all_pairs = NeighbourGraph(ceiling=CEILING, n_neighbours=30)
        all_pairs.update(ids, embeddings)
        assert edges_kept(kept).items() <= edges_kept(all_pairs).items()
        assert np.bincount(kept._known.rows, minlength=1).max() <= n_neighbours
        assert 0 <= kept.recall <= 1


def test_who_is_found_in_cells_hangs_on_neither_blocks_nor_threads() -> None:
    embeddings, found = make_faces(600, 5).embeddings, []
    for is_small in (False, True):
        graph = NeighbourGraph(ceiling=1.17, n_neighbours=5)
        with in_cells(size=20, is_small=is_small):
            graph.update(np.arange(600), embeddings)
        found.append(edges_kept(graph))
    assert found[0] == found[1]


def test_a_kept_graph_says_how_much_it_knows_until_all_are_compared_again(tmp_path: Path) -> None:
    embeddings = make_faces(3_000, 5).embeddings
    graph = NeighbourGraph(ceiling=1.17)
    with in_cells():
        graph.update(np.arange(3_000), embeddings)
    graph.save(tmp_path / "graph.npz")
    kept = NeighbourGraph.load(tmp_path / "graph.npz", ceiling=1.17)
    assert kept.recall == graph.recall < 1
    kept.update(np.arange(2_900), embeddings[:2_900])
    assert kept.recall == graph.recall
    kept.update(3_000 + np.arange(3_000), embeddings)
    assert kept.recall == 1


def test_where_cells_would_compare_more_all_are_compared() -> None:
    embeddings, _ = people([5] * 20)
    graph = NeighbourGraph(ceiling=CEILING)
    with in_cells(size=100):
        graph.update(np.arange(100), embeddings)
    assert graph.recall == 1
