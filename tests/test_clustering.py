"""Clusters of synthetic faces: what comes out, and what must hold whatever goes in."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# Loaded here because scikit-learn sets two variables of the environment when it is first imported.
import facewatch.clustering.hdbscan  # noqa: F401
from facewatch.clustering import METHODS, make_clusterer
from facewatch.clustering.graph import MIN_DISTANCE, neighbour_graph
from facewatch.clustering.verify import Rules, attach_leftovers, expel_far_faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

CEILING = 0.6
N_DIMS = 16

methods = pytest.mark.parametrize("method", sorted(METHODS))


def people(
    sizes: list[int], *, spread: float = 0.25, seed: int = 0, n_dims: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return faces and who they are; faces of one person are about 1.4 * spread apart, strangers about 1.4."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    centres = unit(random.normal(size=(len(sizes), n_dims)))
    noise = random.normal(size=(len(who), n_dims)) * spread / np.sqrt(n_dims)
    return unit(centres[who] + noise), who


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def at_angles(*degrees: float) -> NDArray[np.float32]:
    """Return unit vectors in a plane: two that are 10 degrees apart are 0.174 apart."""
    return np.array([(np.cos(a), np.sin(a)) for a in np.deg2rad(degrees)], dtype=np.float32)


def labels_of(
    embeddings: NDArray[np.float32],
    photos: NDArray[np.int64] | list[int] | None = None,
    *,
    method: str = "hdbscan",
    ceiling: float = CEILING,
    **params: float,
) -> NDArray[np.int64]:
    ids = np.arange(len(embeddings)) if photos is None else np.asarray(photos)
    return make_clusterer(method, ceiling=ceiling, **params).fit_predict(embeddings, photos=ids)


def partition(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    """Return the clusters as sets of faces, so that names do not matter."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels[labels >= 0])}


# Facts


@methods
def test_300_people_are_found_and_strangers_are_noise(method: str) -> None:
    sizes = [2 + n % 7 for n in range(300)] + [1] * 200
    embeddings, who = people(sizes)
    labels = labels_of(embeddings, method=method)
    assert partition(labels) == partition(np.where(who < 300, who, -1))


@methods
def test_largest_cluster_is_number_0(method: str) -> None:
    embeddings, who = people([3, 9, 5])
    assert [int(labels_of(embeddings, method=method)[who == person][0]) for person in range(3)] == [2, 0, 1]


@methods
def test_labels_stay_on_the_clusterer(method: str) -> None:
    embeddings, _ = people([3, 4])
    clusterer = make_clusterer(method, ceiling=CEILING)
    assert clusterer.fit_predict(embeddings, photos=np.arange(7)) is clusterer.labels_


@methods
def test_no_faces_give_no_labels(method: str) -> None:
    labels = labels_of(np.empty((0, N_DIMS), np.float32), method=method)
    assert labels.shape == (0,)
    assert labels.dtype == np.int64


@methods
def test_one_face_is_noise(method: str) -> None:
    assert labels_of(at_angles(0), method=method).tolist() == [-1]


@methods
@pytest.mark.parametrize("n_faces", [2, 3, 4, 7])
def test_identical_faces_of_different_photos_are_one_cluster(method: str, n_faces: int) -> None:
    assert labels_of(np.repeat(at_angles(30), n_faces, axis=0), method=method).tolist() == [0] * n_faces


@methods
def test_identical_faces_of_one_photo_are_noise(method: str) -> None:
    assert labels_of(np.repeat(at_angles(30), 4, axis=0), [7, 7, 7, 7], method=method).tolist() == [-1] * 4


@methods
def test_two_faces_of_one_photo_stay_apart_and_the_better_one_stays(method: str) -> None:
    labels = labels_of(at_angles(0, 1, 2, 3, 12), [1, 2, 3, 4, 4], method=method)
    assert labels.tolist() == [0, 0, 0, 0, -1]


@methods
def test_people_who_share_photos_are_not_merged_however_alike(method: str) -> None:
    embeddings = at_angles(*range(6), *range(8, 14))
    labels = labels_of(embeddings, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], method=method)
    assert partition(labels) == {frozenset(range(6)), frozenset(range(6, 12))}


@methods
@pytest.mark.parametrize(("n_shared", "n_people"), [(1, 1), (2, 1), (3, 2)])
def test_few_shared_photos_do_not_keep_large_halves_of_a_person_apart(
    method: str, n_shared: int, n_people: int
) -> None:
    embeddings = at_angles(*np.linspace(0, 2, 40), *np.linspace(9, 11, 40))
    photos = np.arange(80)
    photos[40 : 40 + n_shared] = np.arange(n_shared)
    labels = labels_of(embeddings, photos, method=method)
    assert labels.max() + 1 == n_people
    if n_people == 1:
        assert np.count_nonzero(labels == -1) == n_shared


@methods
def test_a_chain_of_near_faces_is_cut(method: str) -> None:
    labels = labels_of(at_angles(*range(0, 180, 10)), method=method)
    assert labels.max() >= 2


@methods
def test_two_single_faces_need_to_be_nearer_than_the_ceiling(method: str) -> None:
    pair = at_angles(0, 10)
    assert labels_of(pair, method=method, ceiling=0.18, doubt=0.0).tolist() == [0, 0]
    assert labels_of(pair, method=method, ceiling=0.18, doubt=0.02).tolist() == [-1, -1]


@methods
def test_groups_below_min_faces_are_noise(method: str) -> None:
    embeddings, who = people([3, 5])
    assert partition(labels_of(embeddings, method=method, min_faces=4)) == {
        frozenset(np.flatnonzero(who == 1).tolist())
    }


@methods
@pytest.mark.parametrize("fault", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_of_length_1_are_refused(method: str, fault: float) -> None:
    embeddings, _ = people([3])
    embeddings[1] = fault
    with pytest.raises(ValueError, match="embeddings must be"):
        labels_of(embeddings, method=method)


def test_photos_must_fit_the_embeddings() -> None:
    with pytest.raises(ValueError, match="one photo per embedding"):
        labels_of(at_angles(0, 1), [1, 2, 3])


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="hdbscan, linkage"):
        make_clusterer("guess", ceiling=0.3)


@pytest.mark.parametrize("params", [{"ceiling": 0.0}, {"ceiling": 1.5}, {"ceiling": 0.3, "min_faces": 1}])
def test_parameters_out_of_range_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        make_clusterer("hdbscan", **params)


def test_importing_the_package_loads_no_method() -> None:
    code = "import sys, facewatch.clustering; print({'hdbscan', 'scipy', 'sklearn', 'numpy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


# The refinement


RULES = Rules(ceiling=0.25, doubt=0.0, margin=0.05, conflict_share=0.05, min_faces=2)


@pytest.mark.parametrize(("angle", "group"), [(8, 0), (12.0, None), (16, 1), (40, None)])
def test_a_leftover_joins_only_a_near_and_clearly_nearest_group(angle: float, group: int | None) -> None:
    faces = at_angles(0, 1, 2, 22, 23, 24, angle).astype(np.float64)
    groups = attach_leftovers([[0, 1, 2], [3, 4, 5]], faces, np.arange(7), RULES)
    assert [6 in members for members in groups] == [group == 0, group == 1]


def test_a_leftover_does_not_join_a_group_that_has_its_photo() -> None:
    faces = at_angles(0, 1, 2, 3).astype(np.float64)
    assert attach_leftovers([[0, 1, 2]], faces, np.array([0, 1, 2, 2]), RULES) == [[0, 1, 2]]


def test_the_nearer_of_two_leftovers_of_one_photo_joins() -> None:
    faces = at_angles(0, 1, 2, 5, 3).astype(np.float64)
    assert attach_leftovers([[0, 1, 2]], faces, np.array([0, 1, 2, 3, 3]), RULES) == [[0, 1, 2, 4]]


def test_far_faces_leave_farthest_first() -> None:
    faces = at_angles(0, 1, 2, 20, 60).astype(np.float64)
    assert expel_far_faces([[0, 1, 2, 3, 4]], faces, RULES) == [[0, 1, 2]]


# The graph


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
    monkeypatch.setattr("facewatch.clustering.graph.BLOCK_BYTES", 4 * 100 * 7)
    assert abs(whole - neighbour_graph(embeddings, n_neighbours=8, ceiling=CEILING)).max() < 1e-6


def test_graph_has_an_edge_between_identical_faces() -> None:
    graph = neighbour_graph(np.repeat(at_angles(30), 2, axis=0), n_neighbours=3, ceiling=CEILING)
    assert graph.toarray().tolist() == [[0, MIN_DISTANCE], [MIN_DISTANCE, 0]]


# Laws


@st.composite
def libraries(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A crowd that is hard to tell apart, some faces twice, and photos that hold several."""
    n_faces = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = random.normal(size=(draw(st.integers(1, 6)), N_DIMS)) * draw(st.sampled_from([0.2, 0.6, 1.0]))
    faces = 1.0 + centres[random.integers(len(centres), size=n_faces)] + random.normal(size=(n_faces, N_DIMS)) * 0.3
    faces[: n_faces // 4] = faces[n_faces // 2 : n_faces // 2 + n_faces // 4]
    return unit(faces), random.integers(draw(st.integers(1, 60)), size=n_faces)


laws = settings(max_examples=60, deadline=None)


@methods
@given(library=libraries(), seed=st.integers(0, 1000))
@laws
def test_order_of_the_faces_does_not_matter(
    method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]], seed: int
) -> None:
    embeddings, _ = library
    photos = np.arange(len(embeddings)) // 2
    order = np.random.default_rng(seed).permutation(len(embeddings))
    shuffled = np.empty(len(embeddings), np.int64)
    shuffled[order] = labels_of(embeddings[order], photos[order], method=method)
    assert partition(shuffled) == partition(labels_of(embeddings, photos, method=method))


@methods
@given(library=libraries())
@laws
def test_same_faces_give_the_same_labels(method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    assert labels_of(*library, method=method).tolist() == labels_of(*library, method=method).tolist()


@methods
@given(library=libraries())
@laws
def test_no_cluster_has_two_faces_of_one_photo(
    method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    embeddings, photos = library
    for cluster in partition(labels_of(embeddings, photos, method=method, conflict_share=0.5)):
        ids = photos[list(cluster)].tolist()
        assert len(ids) == len(set(ids)) >= 2


@methods
@given(library=libraries(), ceiling=st.sampled_from([0.2, 0.4, 0.6]))
@laws
def test_no_face_is_farther_from_its_mates_than_the_ceiling(
    method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]], ceiling: float
) -> None:
    embeddings, photos = library
    for cluster in partition(labels_of(embeddings, photos, method=method, ceiling=ceiling)):
        faces = embeddings[list(cluster)].astype(np.float64)
        distances = np.linalg.norm(faces[:, None] - faces[None], axis=2)
        assert (distances.sum(axis=1) / (len(faces) - 1)).max() <= ceiling + 1e-6


@methods
@given(library=libraries())
@laws
def test_labels_are_numbered_without_gaps_by_size(
    method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    labels = labels_of(*library, method=method)
    sizes = np.bincount(labels[labels >= 0])
    assert (np.diff(sizes) <= 0).all()
    assert (sizes >= 2).all()
