"""How alike two are is told beside what each has with strangers: that all faces of a library are alike says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from crowds import members, unit
from numpy.typing import NDArray

from facewatch.cohort import MOST_MEMBERS
from facewatch.engines.arcface import NORMALISATION, THRESHOLDS
from facewatch.matching import Evidence, Gallery

N_DIMS = 256
N_PEOPLE, N_FACES = 150, 4


def faces(common: float, *, n_people: int = N_PEOPLE, seed: int = 0) -> NDArray[np.float32]:
    """Return faces, shape (n_people, N_FACES, N_DIMS), of strangers whose cosine is `common`; the first two people are
    brothers."""
    random = np.random.default_rng(seed)
    own = unit(random.normal(size=(n_people, 1, N_DIMS)))
    own[1] = unit(0.8 * own[0] + 0.6 * own[1])
    noise = unit(random.normal(size=(n_people, N_FACES, N_DIMS)))
    everybody = unit(random.normal(size=N_DIMS))
    return unit(np.sqrt(common) * everybody + np.sqrt(1 - common) * (np.sqrt(0.7) * own + np.sqrt(0.3) * noise))


def gallery(known: NDArray[np.float32]) -> Gallery:
    n_people, n_faces, n_dims = known.shape
    made = Gallery(n_dims, THRESHOLDS)
    people, n = np.repeat(np.arange(n_people) + 1, n_faces), n_people * n_faces
    made.fill(people, members(known.reshape(n, n_dims), np.arange(n) + 1))
    made.set_named(set(people.tolist()))
    return made


def evidence(known: NDArray[np.float32], one: int, other: int) -> Evidence:
    strangers = gallery(known).strangers(NORMALISATION)
    assert strangers is not None
    return strangers.of_people(one, other)


def test_where_everybody_is_alike_only_those_are_look_alikes_who_are_more_alike_than_strangers() -> None:
    known = gallery(faces(0.55))
    told = known.look_alikes_beside_strangers(NORMALISATION)
    assert len(known.look_alikes()) > N_PEOPLE
    assert [(pair.person_id, pair.other_id) for pair, _ in told] == [(1, 2)]
    assert [pair for pair, _ in known.look_alikes_beside_strangers(None)] == known.look_alikes()


def test_brothers_are_look_alikes_also_where_nobody_else_is_like_another() -> None:
    told = gallery(faces(0.0)).look_alikes_beside_strangers(NORMALISATION)
    assert (told[0][0].person_id, told[0][0].other_id) == (1, 2)


@pytest.mark.parametrize("common", [0.0, 0.3, 0.6])
def test_what_is_left_beyond_strangers_says_who_is_alike_whatever_all_have_in_common(common: float) -> None:
    known = faces(common)
    brothers, strangers = evidence(known, 1, 2), evidence(known, 3, 4)
    assert brothers.normalised > 0.3 > 0.1 > strangers.normalised
    assert brothers.normalised == pytest.approx(evidence(known, 2, 1).normalised, abs=1e-5)


def test_neither_of_the_two_is_a_stranger_to_the_other() -> None:
    """Two of a small library who are the same person; to a third one both would be near strangers."""
    known = faces(0.0, n_people=12)
    known[1] = known[0]
    same, third = evidence(known, 1, 2), evidence(known, 1, 3)
    assert same.strangers < third.strangers
    strangers = gallery(known).strangers(NORMALISATION)
    assert strangers is not None
    # A face that is nobody's, and the same one as a face of the first.
    assert strangers.of_face(known[0, 0], 0, 2).strangers > strangers.of_face(known[0, 0], 1, 2).strangers


def test_with_nobody_there_is_nothing_to_say_and_of_one_alone_what_is_usual() -> None:
    assert Gallery(N_DIMS, THRESHOLDS).strangers(NORMALISATION) is None
    alone = gallery(faces(0.0, n_people=2)[:1]).strangers(NORMALISATION)
    assert alone is not None
    assert alone.of_face(faces(0.0)[5, 0], 0, 1).strangers == pytest.approx(NORMALISATION.usual)


def test_of_many_people_a_sample_stands_for_all() -> None:
    some, many = faces(0.3, n_people=700), faces(0.3, n_people=3000)
    few, lot = gallery(some).strangers(NORMALISATION), gallery(many).strangers(NORMALISATION)
    assert few is not None
    assert lot is not None
    assert lot.n_faces == MOST_MEMBERS
    probe = some[0, 0]
    many[0] = some[0]
    assert lot.of_face(probe, 0, 3).strangers == pytest.approx(few.of_face(probe, 0, 3).strangers, abs=0.05)
