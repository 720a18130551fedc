"""Clusters of synthetic faces: what comes out, and what must hold whatever goes in."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from crowds import CEILING, N_DIMS, at_angles, labels_of, libraries, partition, people, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

# Loaded here because scikit-learn sets two variables of the environment when it is first imported.
import facewatch.clustering.hdbscan  # noqa: F401
from facewatch.clustering import METHODS, make_clusterer, verify, whispers
from facewatch.clustering.average import AverageLinkage, FaceSet, JoinRules, Pairs
from facewatch.clustering.verify import attach_leftovers, expel_far_faces, reassign

if TYPE_CHECKING:
    from numpy.typing import NDArray


pytestmark = pytest.mark.usefixtures("infomap_is_there")
methods = pytest.mark.parametrize("method", sorted(METHODS))


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
@pytest.mark.parametrize(("n_shared", "n_people"), [(1, 1), (2, 1), (3, 1), (20, 2)])
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
    assert labels_of(pair, method=method, ceiling=0.19, singleton_penalty=0.0).tolist() == [0, 0]
    assert labels_of(pair, method=method, ceiling=0.19, singleton_penalty=0.02).tolist() == [-1, -1]


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
    with pytest.raises(ValueError, match="dbscan, hdbscan, infomap, linkage"):
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


RULES = JoinRules(ceiling=0.25, singleton_penalty=0.0, likeness=0.0, margin=0.05, conflict_share=0.05, min_faces=2)


@pytest.mark.parametrize(("angle", "group"), [(8, 0), (12.0, -1), (16, 1), (40, -1)])
def test_a_leftover_joins_only_a_near_and_clearly_nearest_group(angle: float, group: int) -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, -1])
    labels = attach_leftovers(labels, FaceSet(at_angles(0, 1, 2, 22, 23, 24, angle), np.arange(7)), RULES)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, group]


def test_a_leftover_does_not_join_a_group_that_has_its_photo() -> None:
    labels = attach_leftovers(np.array([0, 0, 0, -1]), FaceSet(at_angles(0, 1, 2, 3), np.array([0, 1, 2, 2])), RULES)
    assert labels.tolist() == [0, 0, 0, -1]


def test_the_nearer_of_two_leftovers_of_one_photo_joins() -> None:
    labels, photos = np.array([0, 0, 0, -1, -1]), np.array([0, 1, 2, 3, 3])
    assert attach_leftovers(labels, FaceSet(at_angles(0, 1, 2, 5, 3), photos), RULES).tolist() == [0, 0, 0, -1, 0]


def test_a_member_that_fits_another_group_clearly_better_goes_there() -> None:
    faces, photos = at_angles(0, 1, 2, 20, 22, 23, 24), np.arange(7)
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    edges = Pairs(np.array([3]), np.array([4]), np.array([1.0]))
    assert reassign(labels, edges, FaceSet(faces, photos), RULES).tolist() == [0, 0, 0, 1, 1, 1, 1]
    photos[6] = photos[3]
    assert reassign(labels, edges, FaceSet(faces, photos), RULES).tolist() == labels.tolist()


def test_a_member_between_two_groups_stays() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    edges = Pairs(np.array([3]), np.array([4]), np.array([1.0]))
    faces = FaceSet(at_angles(0, 1, 2, 12, 22, 23, 24), np.arange(7))
    assert reassign(labels, edges, faces, RULES).tolist() == labels.tolist()


@pytest.mark.parametrize(("likeness", "n_people"), [(0.0, 1), (0.4, 1), (0.5, 2)])
def test_groups_that_are_much_less_alike_than_their_own_faces_are_kin(likeness: float, n_people: int) -> None:
    """Their cosine is 0.46 across and almost 1 within; a single face of one fits the other no worse than that."""
    faces = at_angles(*np.linspace(0, 2, 8), *np.linspace(62, 64, 8))
    labels = labels_of(faces, method="linkage", ceiling=1.2, likeness=likeness)
    assert labels.max() + 1 == n_people


@given(seed=st.integers(0, 2**32 - 1), ceiling=st.sampled_from([0.3, 0.5, 0.7, 0.9]))
@settings(max_examples=50, deadline=None)
def test_joining_in_rounds_gives_what_joining_the_nearest_two_again_and_again_gives(seed: int, ceiling: float) -> None:
    random = np.random.default_rng(seed)
    faces = unit(1.0 + random.normal(size=(30, N_DIMS)) * 0.7)
    squares = pdist(faces.astype(np.float64), "sqeuclidean")
    expected = fcluster(linkage(squares, "average"), ceiling**2, "distance")
    left, right = np.triu_indices(30, 1)
    rules = JoinRules(ceiling, singleton_penalty=0.0, likeness=0.0, margin=0.0, conflict_share=0.0, min_faces=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facewatch.clustering.average.GROWTH", 0.0)
        labels = AverageLinkage(np.arange(30), FaceSet(faces, np.arange(30)), rules).join(
            Pairs(left, right, 1.0 - squares / 2.0)
        )
    assert partition(labels) == partition(expected)


def test_a_large_group_takes_several_faces_in_one_round_but_few_beside_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = at_angles(*np.linspace(0, 0.1, 16), *np.linspace(3, 5, 20))
    labels = np.concatenate([np.zeros(16, np.int64), np.arange(1, 21)])
    rules = JoinRules(0.2, singleton_penalty=0.0, likeness=0.0, margin=0.0, conflict_share=0.0, min_faces=2)
    taken: list[int] = []
    unite = AverageLinkage._unite

    def listening(self: AverageLinkage, pairs: Pairs, into: NDArray[np.int64], gone: NDArray[np.int64]) -> Pairs:
        taken.append(int(np.count_nonzero(into == 0)))
        return unite(self, pairs, into, gone)

    monkeypatch.setattr(AverageLinkage, "_unite", listening)
    linkage_of_faces = AverageLinkage(labels, FaceSet(faces, np.arange(36)), rules)
    linkage_of_faces.join(linkage_of_faces.pairs(np.zeros(20, np.int64), np.arange(1, 21)))
    assert taken == [1 + 16 // 4, 1 + 21 // 4, 1 + 27 // 4, 2]


def test_far_faces_leave_farthest_first() -> None:
    labels = expel_far_faces(np.zeros(5, np.int64), at_angles(0, 1, 2, 20, 60), RULES.ceiling)
    assert labels.tolist() == [0, 0, 0, -1, -1]


# Laws


laws = settings(max_examples=25, deadline=None)


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
        # Copies are one face.
        faces = np.unique(embeddings[list(cluster)].astype(np.float64), axis=0)
        distances = np.linalg.norm(faces[:, None] - faces[None], axis=2)
        assert (distances.sum(axis=1) / max(1, len(faces) - 1)).max() <= ceiling + 1e-6


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


@given(library=libraries(), method=st.sampled_from(["whispers", "linkage"]))
@settings(max_examples=60, deadline=None)
def test_proposals_that_are_cut_one_by_one_are_cut_as_all_together(
    library: tuple[NDArray[np.float32], NDArray[np.int64]], method: str
) -> None:
    together = labels_of(*library, method=method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "FACES_OF_PART", 1)
        assert labels_of(*library, method=method).tolist() == together.tolist()


@given(numbers=st.lists(st.integers(0, 20)), end=st.sampled_from([21, 2**62]))
def test_equal_numbers_keep_their_order(numbers: list[int], end: int) -> None:
    expected = np.argsort(numbers, kind="stable").tolist()
    assert whispers.stable_order(np.array(numbers, np.int64), end).tolist() == expected
