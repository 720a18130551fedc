"""What each method of clustering does by itself, before the refinement, and its settings."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from crowds import CEILING, at_angles, fake_infomap, labels_of, neighbour_graph, partition, people, unit
from scipy.sparse.csgraph import connected_components

from facewatch.clustering import METHODS, make_clusterer, spectral
from facewatch.clustering.base import GraphClusterer, nearest_of, trimmed
from facewatch.clustering.spectral import SpectralClusterer, n_groups, reranked
from facewatch.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

methods = pytest.mark.parametrize("method", sorted(METHODS))


pytestmark = pytest.mark.usefixtures("infomap_is_there")


def chained_people(n_people: int, n_faces: int = 4) -> NDArray[np.float32]:
    """Return faces of people of whom each has one face that is also near the next person's: one component."""
    random = np.random.default_rng(0)
    centres = np.eye(n_people + 1, n_people + 20)
    faces = np.repeat(centres[:n_people], n_faces, axis=0)
    faces[::n_faces] += 0.7 * centres[1:]
    return unit(faces + random.normal(size=faces.shape) * 0.3 / np.sqrt(faces.shape[1]))


def proposal_of(embeddings: NDArray[np.float32], method: str, **params: Any) -> NDArray[np.int64]:
    graph = neighbour_graph(embeddings, n_neighbours=64, ceiling=1.1)
    clusterer = make_clusterer(method, ceiling=1.1, **params)
    assert isinstance(clusterer, GraphClusterer)
    return clusterer.propose(graph)


# All


@methods
def test_an_unknown_parameter_is_refused_with_the_known_ones(method: str) -> None:
    with pytest.raises(ValueError, match=rf"{method} has no parameter epsilon; it has .*ceiling"):
        make_clusterer(method, ceiling=CEILING, epsilon=3)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("dbscan", {"eps": 0.0}),
        ("dbscan", {"min_samples": 0}),
        ("dbscan", {"min_samples": 66}),
        ("infomap", {"k": 65}),
        ("spectral", {"k_reciprocal": 0}),
        ("spectral", {"verification_threshold": 0.7}),
        ("spectral", {"n_clusters": 0}),
    ],
)
def test_parameters_out_of_range_are_refused(method: str, params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(params))} must"):
        make_clusterer(method, ceiling=CEILING, **params)


def test_one_edge_is_worth_less_the_more_faces_there_are() -> None:
    clusterer = GraphClusterer(ceiling=1.0)
    links = [clusterer.single_link(n) for n in (0, 10, 3_000, 30_000, 300_000)]
    assert links == pytest.approx([0.95, 0.95, 0.95, 0.92, 0.89])


def test_two_single_faces_are_doubted_the_more_the_more_faces_there_are() -> None:
    clusterer = GraphClusterer(ceiling=1.0, singleton_penalty=0.05)
    assert [clusterer._rules(n).singleton_penalty for n in (10, 3_000, 30_000)] == pytest.approx([0.05, 0.05, 0.085])


def test_edges_can_be_cut_by_length_and_by_number() -> None:
    graph = neighbour_graph(at_angles(0, 1, 3, 7), n_neighbours=9, ceiling=1.0)
    assert connected_components(trimmed(graph, 0.05))[1].tolist() == [0, 0, 0, 1]
    assert nearest_of(graph, 1).nonzero()[1].tolist() == [1, 0, 1, 2]


# Spectral


@pytest.mark.parametrize("n_people", [2, 11, 300])
def test_spectral_finds_everybody_in_one_component_however_many(n_people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "MOST_DENSE", 2_000)
    embeddings = chained_people(n_people)
    graph = neighbour_graph(embeddings, n_neighbours=64, ceiling=1.1)
    assert connected_components(reranked(graph, k=20, ceiling=1.1))[0] == 1
    assert partition(proposal_of(embeddings, "spectral")) == partition(np.arange(len(embeddings)) // 4)


def test_spectral_halves_large_components_until_everybody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "MOST_DENSE", 50)
    embeddings = chained_people(40)
    assert partition(proposal_of(embeddings, "spectral")) == partition(np.arange(160) // 4)


def test_spectral_leaves_a_large_component_of_one_person_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "MOST_DENSE", 50)
    embeddings, _ = people([120], spread=0.5)
    assert len(partition(proposal_of(embeddings, "spectral"))) == 1


@pytest.mark.parametrize("n_clusters", [1, 7, 20, 45])
def test_spectral_cuts_into_as_many_people_as_it_is_told(n_clusters: int) -> None:
    labels = proposal_of(chained_people(20), "spectral", n_clusters=n_clusters)
    assert len(np.unique(labels)) == n_clusters


def test_spectral_spreads_the_people_it_is_told_over_the_components() -> None:
    first, second = chained_people(5), chained_people(9)
    embeddings = np.zeros((14 * 4, 60), np.float32)
    embeddings[:20, : first.shape[1]], embeddings[20:, -second.shape[1] :] = first, second
    labels = proposal_of(embeddings, "spectral", n_clusters=14)
    assert partition(labels) == partition(np.arange(14 * 4) // 4)


@pytest.mark.parametrize("n", [2, 12, 150, 999])
def test_the_widest_gap_counts_wherever_it_is(n: int) -> None:
    values = np.concatenate([np.linspace(0, 0.1, n), np.linspace(0.6, 1.2, 1000)])
    assert n_groups(values) == n


def test_verification_threshold_throws_out_faces_that_the_ceiling_lets_stay() -> None:
    faces = at_angles(0, 1, 2, 3, 12)
    assert labels_of(faces, method="spectral", ceiling=0.3).tolist() == [0] * 5
    assert labels_of(faces, method="spectral", ceiling=0.3, verification_threshold=0.1).tolist() == [0] * 4 + [-1]


@pytest.mark.parametrize("k", [1, 3, 6])
def test_reranking_is_that_of_the_paper(k: int) -> None:
    embeddings, _ = people([5, 4, 6], spread=0.7, n_dims=8)
    graph = neighbour_graph(embeddings, n_neighbours=64, ceiling=1.41)
    ties = reranked(graph, k=k, ceiling=1.41)
    expected = reranked_face_by_face(graph.toarray(), k, 1.41)
    np.testing.assert_allclose(ties.toarray(), np.where(ties.toarray() > 0, expected, 0), atol=1e-6)


def reranked_face_by_face(distances: NDArray[np.float64], k: int, ceiling: float) -> NDArray[np.float64]:
    """Return the similarities as the paper's own program counts them, with loops; no edge is farther than any."""
    n_faces = len(distances)
    distances = np.where(distances > 0, distances, ceiling) * (1 - np.eye(n_faces))
    order = np.argsort(distances, axis=1, kind="stable")

    def reciprocal(face: int, k: int) -> set[int]:
        return {int(other) for other in order[face, : k + 1] if face in order[other, : k + 1]}

    hoods = np.zeros((n_faces, n_faces))
    for face in range(n_faces):
        near = reciprocal(face, k)
        members = set(near)
        for other in near:
            theirs = reciprocal(other, (k + 1) // 2)
            if len(theirs & near) >= 2 / 3 * len(theirs):
                members |= theirs
        hoods[face, list(members)] = np.exp(-distances[face, list(members)] / ceiling)
    hoods /= hoods.sum(axis=1, keepdims=True)
    hoods = np.array([hoods[order[face, :6]].mean(axis=0) for face in range(n_faces)])
    common = np.minimum(hoods[:, None], hoods[None]).sum(axis=2)
    return 1 - (0.7 * (1 - common / (2 - common)) + 0.3 * distances / ceiling)


# Chinese whispers


def test_whispers_of_one_seed_say_the_same() -> None:
    embeddings, _ = people([20] * 10, spread=0.9, n_dims=8)
    assert proposal_of(embeddings, "whispers").tolist() == proposal_of(embeddings, "whispers").tolist()


def test_whispers_part_people_whom_one_edge_ties() -> None:
    assert partition(proposal_of(chained_people(12), "whispers")) == partition(np.arange(48) // 4)


def test_whispers_do_not_go_along_edges_that_are_too_long() -> None:
    labels = proposal_of(at_angles(0, 1, 20, 21), "whispers", edge_ceiling=0.1)
    assert partition(labels) == {frozenset({0, 1}), frozenset({2, 3})}


# DBSCAN


@pytest.mark.parametrize(
    ("min_samples", "expected"), [(2, [0, 0, 0, 1, 1, -1]), (3, [0, 0, 0, -1, -1, -1]), (4, [-1] * 6)]
)
def test_dbscan_needs_enough_faces_around_one(min_samples: int, expected: list[int]) -> None:
    faces = at_angles(0, 3, 6, 40, 43, 80)
    assert proposal_of(faces, "dbscan", eps=0.06, min_samples=min_samples).tolist() == expected


def test_dbscan_gives_a_face_at_the_border_to_the_nearest_core() -> None:
    faces = at_angles(0, 0.1, 0.2, 0.3, 0.4, 5.52, 10.6, 10.7, 10.8, 10.9, 11)
    labels = proposal_of(faces, "dbscan", eps=0.09, min_samples=5)
    assert labels.tolist() == [0] * 5 + [1] * 6


# Infomap


def test_infomap_that_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "infomap", None)
    with pytest.raises(EngineError, match=re.escape(f"{sys.executable} -m pip install infomap")):
        make_clusterer("infomap", ceiling=CEILING)


def test_infomap_is_given_each_edge_once_and_only_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[float]] = []

    class Listening(fake_infomap().Infomap):  # type: ignore[misc]
        def add_links(self, links: NDArray[np.float64]) -> None:
            given.extend(links.tolist())
            super().add_links(links)

    monkeypatch.setattr(sys.modules["infomap"], "Infomap", Listening)
    labels = proposal_of(at_angles(0, 1, 20, 21, 90), "infomap", edge_ceiling=0.1)
    assert [link[:2] for link in given] == [[0, 1], [2, 3]]
    assert all(0 < weight <= 1 for _, _, weight in given)
    assert partition(labels) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}


def test_infomap_walks_to_the_nearest_faces_only(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = proposal_of(at_angles(0, 1, 5, 6), "infomap", k=1)
    assert partition(labels) == {frozenset({0, 1}), frozenset({2, 3})}


def test_spectral_is_made_with_documented_defaults() -> None:
    clusterer = make_clusterer("spectral", ceiling=CEILING)
    assert isinstance(clusterer, SpectralClusterer)
    assert (clusterer.k_reciprocal, clusterer.verification_threshold, clusterer.n_clusters) == (20, None, None)
