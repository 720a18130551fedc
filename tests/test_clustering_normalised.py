"""Groups judged by what they have beyond strangers: families and film stills with one set of thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from crowds import partition, unit
from hypothesis import given, settings
from hypothesis import strategies as st

from facewatch.clustering import METHODS, make_clusterer
from facewatch.engines.arcface import NORMALISATION, THRESHOLDS
from facewatch.evaluation.metrics import Agreement, bcubed
from facewatch.evaluation.ways import alone
from facewatch.types import Normalisation

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_DIMS = 300
"""ArcFace's strangers are about as alike as random vectors of so many numbers."""


def library(
    n_people: int, n_faces: int, *, own: float, look: float = 0.0, common: float = 0.0, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return faces and who they are; everybody has a look for every four faces.

    Cosines are `common` between strangers, `common` + `own` within a person, and `look` more within one look of it.
    """
    random = np.random.default_rng(seed)
    who, looks = np.repeat(np.arange(n_people), n_faces), np.arange(n_people * n_faces) // 4

    def directions(n: int) -> NDArray[np.float32]:
        return unit(random.normal(size=(n, N_DIMS)))

    parts = (common, directions(1)), (own, directions(n_people)[who]), (look, directions(looks.max() + 1)[looks])
    noise = np.sqrt(1 - own - look - common) * directions(len(who))
    return unit(noise + sum(np.sqrt(share) * vectors for share, vectors in parts)), who


FAMILY = library(40, 8, own=0.6)
FILM = library(60, 12, own=0.19, look=0.15, common=0.1, seed=1)


def labels_of(
    faces: NDArray[np.float32], method: str = "whispers", normalisation: Normalisation | None = NORMALISATION
) -> NDArray[np.int64]:
    clusterer = make_clusterer(
        *(method,),
        ceiling=THRESHOLDS.cluster,
        singleton_penalty=THRESHOLDS.singleton_penalty,
        normalisation=normalisation,
    )
    return clusterer.fit_predict(faces, photos=np.arange(len(faces)))


def agreement(found: NDArray[np.int64], who: NDArray[np.int64]) -> Agreement:
    return bcubed(who, alone(found))


@pytest.mark.usefixtures("infomap_is_there")
@pytest.mark.parametrize("method", METHODS)
def test_film_stills_that_are_alike_in_light_come_together_where_plain_cosines_leave_them_in_pieces(
    method: str,
) -> None:
    faces, who = FILM
    plain, normalised = labels_of(faces, method, None), labels_of(faces, method)
    before, after = agreement(plain, who), agreement(normalised, who)
    assert after.precision >= before.precision - 0.002
    assert after.precision > 0.98
    assert after.recall > before.recall + 0.1


def test_a_family_is_grouped_as_before() -> None:
    faces, who = FAMILY
    for normalisation in (None, NORMALISATION):
        found = agreement(labels_of(faces, normalisation=normalisation), who)
        assert (found.precision, found.recall) == (1.0, 1.0)


def test_families_and_film_stills_in_one_library_are_grouped_as_well_as_alone() -> None:
    faces = np.concatenate([FAMILY[0], FILM[0]])
    who = np.concatenate([FAMILY[1], FILM[1] + FAMILY[1].max() + 1])
    found = labels_of(faces)
    assert agreement(found, who).precision > 0.98
    n_family = len(FAMILY[0])
    assert agreement(found[:n_family], who[:n_family]).recall > 0.99
    assert (
        agreement(found[n_family:], who[n_family:]).recall
        > agreement(labels_of(FILM[0], normalisation=None), FILM[1]).recall
    )


def test_strangers_who_are_alike_in_light_are_nobody() -> None:
    faces, _ = library(300, 1, own=0.25, common=0.2)
    assert (labels_of(faces) >= 0).mean() < 0.03


def test_half_a_library_of_strangers_does_not_make_two_people_one() -> None:
    faces, who = FAMILY
    crowd, _ = library(600, 1, own=0.6, seed=2)
    found = labels_of(np.concatenate([faces, crowd]))[: len(faces)]
    assert agreement(found, who).precision == 1.0
    assert agreement(found, who).recall > 0.99


def test_somebody_with_nearly_all_photos_is_one_person_and_nobody_else_joins() -> None:
    many, _ = library(1, 152, own=0.45)
    crowd, _ = library(20, 1, own=0.45, seed=3)
    found = labels_of(np.concatenate([many, crowd]))
    groups, counts = np.unique(found[:152], return_counts=True)
    assert counts.max() > 140
    assert groups[counts.argmax()] not in found[152:]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_the_order_in_which_faces_come_changes_nothing(seed: int) -> None:
    faces, _ = library(20, 8, own=0.25, look=0.1, common=0.1)
    order = np.random.default_rng(seed).permutation(len(faces))
    found = np.empty(len(faces), np.int64)
    found[order] = labels_of(faces[order])
    assert partition(found) == partition(labels_of(faces))


def test_stricter_limits_ask_for_more() -> None:
    faces, who = FILM
    strict, usual = (agreement(labels_of(faces, normalisation=NORMALISATION.stricter(by)), who) for by in (0.05, 0.0))
    assert strict.recall < usual.recall
    assert strict.precision >= usual.precision
