"""Laws of the map of faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewatch.clustering.projection import project


def people(n_people: int, n_each: int, *, spread: float = 0.25, n_dims: int = 64) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    centres = random.normal(size=(n_people, n_dims))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(n_people), n_each)
    vectors = centres[labels] + spread * random.normal(size=(len(labels), n_dims)) / np.sqrt(n_dims)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels


def test_the_faces_of_a_person_are_neighbours() -> None:
    vectors, labels = people(40, 12)
    places = project(vectors)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (labels[nearest] == labels[:, None]).mean() > 0.95


def test_people_who_look_alike_are_nearer_than_others() -> None:
    vectors, labels = people(30, 12)
    like = vectors[labels == 0] * np.float32(0.8) + vectors[labels == 1] * np.float32(0.6)
    like /= np.linalg.norm(like, axis=1, keepdims=True)
    places = project(np.concatenate([vectors, like]))
    middles = np.array([places[:360][labels == person].mean(axis=0) for person in range(30)])
    away = np.linalg.norm(middles - places[360:].mean(axis=0), axis=1)
    assert (away < away[0]).sum() < 5


def test_the_same_faces_have_the_same_map() -> None:
    vectors, _ = people(5, 6)
    np.testing.assert_array_equal(project(vectors), project(vectors))


@settings(max_examples=15)
@given(n=st.integers(0, 40), is_copied=st.booleans())
def test_any_number_of_faces_has_a_place_each(n: int, is_copied: bool) -> None:
    vectors, _ = people(max(1, n), 1)
    vectors = np.repeat(vectors[:1], n, axis=0) if is_copied else vectors[:n]
    places = project(vectors)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == n


def test_it_says_how_far_it_is() -> None:
    shares: list[float] = []
    project(people(10, 5)[0], report=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
