"""Copies of one picture: they are where the picture is, and change nothing for anybody else, whatever the method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from crowds import N_DIMS, at_angles, labels_of, libraries, partition, people, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from synthetic import make_faces

# Loaded here because scikit-learn sets two variables of the environment when it is first imported.
import facewatch.clustering.hdbscan  # noqa: F401
from facewatch.clustering import METHODS, make_clusterer
from facewatch.clustering.copies import Places, near_pictures, places_of_originals, without_copies
from facewatch.clustering.graph import NeighbourGraph
from facewatch.engines.arcface import THRESHOLDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


pytestmark = pytest.mark.usefixtures("infomap_is_there")
methods = pytest.mark.parametrize("method", sorted(METHODS))
laws = settings(max_examples=25, deadline=None)


def alone(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels with one of its own for each face that is noise."""
    return np.where(labels < 0, len(labels) + np.arange(len(labels)), labels)


@methods
@given(library=libraries(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.05, 0.5, 1.0]), far=st.booleans())
@laws
def test_copies_are_where_their_picture_is_and_change_nothing(
    method: str, library: tuple[NDArray[np.float32], NDArray[np.int64]], seed: int, share: float, far: bool
) -> None:
    """Whole photos and parts of them, some several times, exact (far: or nearly)."""
    faces, photos = library
    random, bound = np.random.default_rng(seed), 0.02 if far else 5e-4
    twins = [np.flatnonzero(random.random(len(faces)) < share) for _ in range(2)]
    noise = random.normal(size=(sum(map(len, twins)), N_DIMS))
    noise *= 0.4 * bound * far / np.linalg.norm(noise, axis=1, keepdims=True)
    copied = np.concatenate(twins)
    of_photos = np.concatenate([photos[rows] + 100 * n for n, rows in enumerate(twins, 1)])
    labels = labels_of(
        np.concatenate([faces, unit(faces[copied] + noise)]), [*photos, *of_photos], method=method, copy=bound
    )
    before = labels_of(faces, photos, method=method, copy=bound)
    assert partition(alone(labels)[: len(faces)]) == partition(alone(before))
    # A face may be twice in its photo, too.
    pictures = [np.flatnonzero((faces == faces[row]).all(axis=1)) for row in copied]
    assert all(label in labels[rows] for label, rows in zip(labels[len(faces) :], pictures, strict=True))


@methods
def test_one_face_in_five_twice_tears_nobody_and_joins_nobody(method: str) -> None:
    library = make_faces(1_000, 1)
    copied = np.flatnonzero(np.random.default_rng(0).random(1_000) < 0.2)
    embeddings = np.concatenate([library.embeddings, library.embeddings[copied]])
    photos = np.concatenate([library.photos, 10_000 + library.photos[copied]])
    limits = {"ceiling": THRESHOLDS.cluster, "singleton_penalty": THRESHOLDS.singleton_penalty}
    before = make_clusterer(method, **limits).fit_predict(library.embeddings, photos=library.photos)
    labels = make_clusterer(method, **limits).fit_predict(embeddings, photos=photos)
    assert partition(alone(labels)[:1_000]) == partition(alone(before))


@methods
def test_three_copies_are_one_piece_of_evidence(method: str) -> None:
    """Two single faces must be nearer than the ceiling by the doubt, however often they are there."""
    faces = at_angles(0, 0, 0, 32, 32, 32)
    assert labels_of(faces, method=method, singleton_penalty=0.1).tolist() == [-1] * 6
    assert partition(labels_of(faces, method=method, singleton_penalty=0.0)) == {frozenset(range(6))}


@methods
def test_copies_count_among_the_photos_that_a_group_needs(method: str) -> None:
    faces = at_angles(0, 0, 0, 90, 90, 180)
    assert labels_of(faces, method=method, min_faces=3).tolist() == [0, 0, 0, -1, -1, -1]


@methods
def test_nobody_joins_a_group_by_a_photo_in_which_a_copy_is(method: str) -> None:
    """A portrait cut out of a photo: the sister beside the person is in the photo, not in the portrait."""
    labels = labels_of(at_angles(0, 1, 2, 0, 12), [0, 1, 2, 3, 3], method=method)
    assert labels.tolist() == [0, 0, 0, 0, -1]


@methods
def test_a_burst_in_which_one_holds_still_and_another_moves_leaves_both_whole(method: str) -> None:
    still, moving = [0.0] * 5, [50.0, 53, 56, 59, 62]
    labels = labels_of(at_angles(*still, *moving, 4, 48), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6], method=method)
    assert partition(labels) == {frozenset({*range(5), 10}), frozenset({*range(5, 10), 11})}


def test_a_burst_of_more_frames_than_neighbours_are_kept_stays_with_its_person() -> None:
    faces, _ = people([4], spread=0.3)
    burst = np.concatenate([np.repeat(faces[:1], 40, axis=0) + 1e-5 * np.arange(40)[:, None], faces[1:]])
    labels = labels_of(unit(burst.astype(np.float64)), n_neighbours=8, method="linkage", copy=0.01)
    assert labels.tolist() == [0] * 43


def test_a_kept_graph_does_not_look_at_copies_again() -> None:
    faces, _ = people([3, 4, 5])
    graph = NeighbourGraph(ceiling=0.6)
    clusterer = make_clusterer("linkage", ceiling=0.6, graph=graph)
    before = clusterer.fit_predict(faces, photos=np.arange(12), ids=np.arange(12))
    twice = clusterer.fit_predict(np.concatenate([faces] * 2), photos=np.arange(24), ids=np.arange(24))
    assert graph.n_faces == 12
    assert twice.tolist() == [*before, *before]


def test_no_chain_of_copies_leads_from_one_face_to_another() -> None:
    angles = np.deg2rad(np.arange(6))
    apart = 2 * np.sin(abs(angles[:, None] - angles) / 2)
    near = csr_matrix(np.where(apart <= 0.02, apart, 0))
    places = Places(np.arange(6), np.arange(6))
    assert near_pictures(near, places).tolist() == [0, 0, 2, 2, 4, 4]


def test_two_faces_of_one_photo_are_never_copies_of_each_other() -> None:
    near = csr_matrix(1e-3 * (1 - np.eye(3)))
    assert near_pictures(near, Places(np.arange(3), np.array([0, 1, 1]))).tolist() == [0, 0, 2]


def test_a_photo_that_shows_nobody_whom_another_does_not_tells_nothing() -> None:
    originals = np.array([0, 1, 2, 0, 1, 0, 3])
    places = places_of_originals(Places(np.arange(7), np.array([0, 0, 0, 1, 1, 2, 2])), originals)
    assert set(zip(places.faces.tolist(), places.photos.tolist(), strict=True)) == {
        (0, 0),
        (1, 0),
        (2, 0),
        (0, 2),
        (3, 2),
    }


def test_edges_of_copies_count_where_the_original_has_none() -> None:
    graph = csr_matrix(np.array([[0, 0.1, 0, 0.5], [0.1, 0, 0.3, 0.4], [0, 0.3, 0, 0], [0.5, 0.4, 0, 0]]))
    assert without_copies(graph, np.array([0, 0, 2, 3])).toarray().tolist() == [[0, 0.3, 0.5], [0.3, 0, 0], [0.5, 0, 0]]
