"""How alike faces are to strangers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crowds import unit
from numpy.typing import NDArray

from facewatch.cohort import MOST_MEMBERS, MOST_OF_ONE, Cohort
from facewatch.engines import arcface

USUAL = replace(arcface.NORMALISATION, usual=0.2)
N_DIMS = 64


def strangers(n: int, *, common: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of as many people, all turned towards one direction by `common`."""
    vectors = np.random.default_rng(seed).normal(size=(n, N_DIMS)) / np.sqrt(N_DIMS)
    vectors[:, 0] += common
    return unit(vectors)


def test_faces_that_look_like_many_others_have_more_in_common_with_strangers() -> None:
    blurred, ordinary = strangers(100, common=0.8), strangers(400, seed=1)
    cohort = Cohort.of(np.concatenate([blurred, ordinary]), np.arange(500), USUAL)
    found = cohort.similarity(cohort.centred(np.concatenate([blurred, ordinary])), np.arange(500))
    assert found[:100].min() > found[100:].max()


def test_what_all_photos_of_a_library_have_in_common_is_taken_off() -> None:
    plain, graded = strangers(500), strangers(500, common=0.8)
    likeness = []
    for faces in (plain, graded):
        cohort = Cohort.of(faces, np.arange(500), USUAL)
        centred = cohort.centred(faces)
        likeness.append((float((faces @ faces.T).mean()), float((centred @ centred.T).mean())))
    assert likeness[1][0] > likeness[0][0] + 0.3, "the grade makes strangers alike"
    assert abs(likeness[1][1] - likeness[0][1]) < 0.02


def test_a_group_is_no_stranger_to_itself() -> None:
    faces = strangers(300)
    groups = np.arange(300)
    faces[:3] = faces[0]
    groups[:3] = 0
    cohort = Cohort.of(faces, groups, USUAL)
    own, other = cohort.similarity(cohort.centred(faces[[0, 0]]), np.array([0, -1]))
    assert own <= other


def test_somebody_with_most_of_the_photos_is_not_most_of_the_cohort() -> None:
    faces = np.concatenate([np.repeat(strangers(1, seed=1), 1000, axis=0), strangers(50)])
    groups = np.concatenate([np.zeros(1000, np.int64), 1 + np.arange(50)])
    cohort = Cohort.of(faces, groups, USUAL)
    assert np.count_nonzero(cohort.groups == 0) == MOST_OF_ONE
    assert len(cohort) == 50 + MOST_OF_ONE


@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_where_hardly_anybody_is_known_the_usual_figures_of_the_engine_hold(n: int) -> None:
    faces = strangers(n)
    cohort = Cohort.of(faces, np.arange(n), USUAL)
    found = cohort.similarity(cohort.centred(strangers(5, seed=2)), np.full(5, -1))
    assert found == pytest.approx(USUAL.usual, abs=0.05)


def test_the_mean_face_of_the_engine_is_taken_off_in_a_small_library() -> None:
    few = strangers(3, common=3.0)
    known = replace(USUAL, mean=tuple([0.95, *[0.0] * 63]))
    with_mean, without = (Cohort.of(few, np.arange(3), n).centred(few) for n in (known, USUAL))
    assert (with_mean @ with_mean.T)[0, 1] < (without @ without.T)[0, 1] - 0.3


def test_a_cohort_stays_small_however_large_the_library_is() -> None:
    assert len(Cohort.of(strangers(5000), np.arange(5000), USUAL)) == MOST_MEMBERS


def test_similarity_is_the_same_in_blocks_and_one_by_one() -> None:
    faces = strangers(2500)
    cohort = Cohort.of(faces, np.arange(2500), USUAL)
    centred = cohort.centred(faces)
    together = cohort.similarity(centred, np.arange(2500))
    alone = np.concatenate([cohort.similarity(centred[i : i + 1], np.array([i])) for i in (0, 2047, 2048, 2499)])
    assert together[[0, 2047, 2048, 2499]] == pytest.approx(alone, abs=1e-5)


def test_cosines_of_centred_vectors_follow_from_those_of_the_vectors() -> None:
    random = np.random.default_rng(0)
    faces = unit(0.5 + random.standard_normal((40, N_DIMS)))
    cohort = Cohort.of(faces, np.arange(40), USUAL)
    left, right = random.integers(40, size=(2, 200))
    cosines = np.einsum("ij,ij->i", faces[left].astype(np.float64), faces[right].astype(np.float64))
    centred = cohort.centred(faces)
    expected = np.einsum("ij,ij->i", centred[left], centred[right])
    np.testing.assert_allclose(cohort.centred_products(faces, left, right, cosines), expected, atol=1e-5)
