"""Who is this face: centroids shortlist, the minimum distance decides, the runner-up has a say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.assign import Gallery, settle_photo
from facewatch.types import Thresholds, Tier

THRESHOLDS = Thresholds(
    match=0.34,
    centroid=0.31,
    gallery_size=300,
    per_decade=0.02,
    margin=0.03,
    poor=0.02,
    cluster=0.35,
    doubt=0.03,
    cluster_margin=0.02,
)
N_DIMS = 8


def at(distance: float, axis: int = 1) -> NDArray[np.float32]:
    """Return a unit vector at this Euclidean distance from the first axis, towards another axis."""
    angle = 2 * math.asin(distance / 2)
    vector = np.zeros(N_DIMS, np.float32)
    vector[0], vector[axis] = math.cos(angle), math.sin(angle)
    return vector


PROBE = at(0.0)


def gallery(*faces: tuple[int, NDArray[np.float32]], **arguments: object) -> Gallery:
    made = Gallery(N_DIMS, THRESHOLDS, **arguments)  # type: ignore[arg-type]
    for person_id, embedding in faces:
        made.add(person_id, embedding, 1.0)
    return made


def test_an_empty_gallery_knows_nobody() -> None:
    assert gallery().identify(PROBE) is None
    assert not gallery().is_near(PROBE[None]).any()


def test_a_near_face_is_matched_and_says_why() -> None:
    match = gallery((1, at(0.2)), (2, at(1.2, 2))).identify(PROBE)
    assert match
    assert match.is_accepted
    assert (match.person_id, match.runner_up_id) == (1, 2)
    assert match.distance == pytest.approx(0.2, abs=1e-5)
    assert match.runner_up_distance == pytest.approx(1.2, abs=1e-5)
    assert match.rule == "nearest member, centroid and margin agree"


def test_a_far_face_keeps_its_best_guess_with_the_reason() -> None:
    match = gallery((1, at(0.5))).identify(PROBE)
    assert match
    assert not match.is_accepted
    assert match.person_id == 1
    assert match.rule == "nearest member is at 0.500, farther than 0.340"


def test_the_minimum_distance_decides_not_the_centroid() -> None:
    # Person 2 has the nearer centroid, person 1 the nearer member.
    known = gallery((1, at(0.05)), (1, at(0.5)), (2, at(0.22, 2)), (2, at(0.22, 3)))
    match = known.identify(PROBE)
    assert match
    assert match.person_id == 1


def test_a_near_member_far_from_its_own_centroid_is_not_enough() -> None:
    known = gallery((1, at(0.1)), *[(1, at(0.9))] * 5)
    match = known.identify(PROBE)
    assert match
    assert not match.is_accepted
    assert match.rule.startswith("centroid is at")


def test_two_people_that_are_nearly_as_near_leave_the_face_to_nobody() -> None:
    match = gallery((1, at(0.20)), (2, at(0.22, 2))).identify(PROBE)
    assert match
    assert not match.is_accepted
    assert match.rule == "runner-up is only 0.020 farther, less than 0.030"


def test_a_poor_face_must_be_nearer_and_a_very_poor_one_is_never_matched() -> None:
    known = gallery((1, at(0.30)))
    accepted = {}
    for tier in Tier:
        match = known.identify(PROBE, tier)
        assert match
        accepted[tier] = match.is_accepted
    assert accepted == {Tier.FOUND: True, Tier.MATCH: False, Tier.SHOW: False}


def test_a_poor_face_never_moves_a_centroid() -> None:
    clean, mixed = gallery((1, at(0.1))), gallery((1, at(0.1)))
    mixed.add(1, at(1.0, 3), 0.0)
    before, after = clean.identify(PROBE), mixed.identify(PROBE)
    assert before
    assert after
    assert after.centroid_distance == pytest.approx(before.centroid_distance)


def test_the_better_a_face_the_more_it_moves_the_centroid() -> None:
    known = gallery()
    known.add(1, at(0.2, 1), 0.9)
    known.add(1, at(0.2, 2), 0.1)
    near_the_good, near_the_bad = known.identify(at(0.2, 1)), known.identify(at(0.2, 2))
    assert near_the_good is not None
    assert near_the_bad is not None
    assert near_the_good.centroid_distance < near_the_bad.centroid_distance


def test_a_person_known_only_by_faces_that_a_user_placed_has_a_centroid() -> None:
    known = gallery()
    known.add(1, at(0.1), 0.0)
    match = known.identify(PROBE)
    assert match is not None
    assert match.centroid_distance == pytest.approx(0.1, abs=1e-3)


def test_a_barred_person_is_no_answer_but_still_a_runner_up() -> None:
    known = gallery((1, at(0.10)), (2, at(0.20, 2)))
    match = known.identify(PROBE, barred={1})
    assert match
    assert match.person_id == 2
    assert not match.is_accepted  # it looks more like somebody else
    assert known.identify(PROBE, barred={1, 2}) is None


def test_thresholds_shrink_as_the_gallery_grows() -> None:
    small, large = gallery((1, PROBE)), gallery()
    n = 30_000
    large.fill(np.zeros(n, np.int64) + 1, np.tile(PROBE, (n, 1)), np.ones(n, np.float32))
    assert small.limits(Tier.FOUND) == (0.34, 0.31)
    assert large.limits(Tier.FOUND) == pytest.approx((0.30, 0.27))
    assert large.n_faces == n


def test_strictness_is_taken_off_every_limit() -> None:
    assert gallery(strictness=0.1).limits(Tier.FOUND) == pytest.approx((0.24, 0.21))


def test_the_nearer_of_two_faces_in_one_photo_gets_the_person() -> None:
    known = gallery((1, PROBE))
    matches = settle_photo(known, np.stack([at(0.2), at(0.1)]), [Tier.FOUND] * 2, [set(), set()])
    assert [bool(match and match.is_accepted) for match in matches] == [False, True]
    assert matches[0]
    assert matches[0].rule == "another face of this photo is nearer to this person"


VECTORS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 10_000)), min_size=1, max_size=30)


def unit(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(N_DIMS)
    vector[0] += 4
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@given(VECTORS, st.integers(0, 10_000))
def test_filling_at_once_and_one_by_one_give_the_same_answer(faces: list[tuple[int, int]], probe: int) -> None:
    one_by_one = gallery(*((person, unit(seed)) for person, seed in faces))
    at_once = gallery()
    at_once.fill(
        np.array([p for p, _ in faces]), np.stack([unit(s) for _, s in faces]), np.ones(len(faces), np.float32)
    )
    a, b = one_by_one.identify(unit(probe)), at_once.identify(unit(probe))
    assert a
    assert b
    assert (a.person_id, a.is_accepted) == (b.person_id, b.is_accepted)
    assert a.distance == pytest.approx(b.distance, abs=1e-4)


@given(VECTORS, st.integers(0, 10_000))
def test_the_answer_is_that_of_comparing_with_everybody(faces: list[tuple[int, int]], probe: int) -> None:
    match = gallery(*((person, unit(seed)) for person, seed in faces), shortlist=4).identify(unit(probe))
    nearest = min(faces, key=lambda face: float(np.linalg.norm(unit(face[1]) - unit(probe))))
    assert match
    assert match.distance == pytest.approx(float(np.linalg.norm(unit(nearest[1]) - unit(probe))), abs=1e-3)


@settings(max_examples=50)
@given(VECTORS, st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
def test_no_person_is_given_twice_in_one_photo(faces: list[tuple[int, int]], probes: list[int]) -> None:
    known = gallery(*((person, unit(seed)) for person, seed in faces))
    matches = settle_photo(
        known, np.stack([unit(seed) for seed in probes]), [Tier.FOUND] * len(probes), [set() for _ in probes]
    )
    given_to = [match.person_id for match in matches if match and match.is_accepted]
    assert len(given_to) == len(set(given_to))


@given(VECTORS, st.integers(0, 10_000))
def test_what_is_accepted_is_also_near(faces: list[tuple[int, int]], probe: int) -> None:
    known = gallery(*((person, unit(seed)) for person, seed in faces))
    match = known.identify(unit(probe))
    assert match
    if match.is_accepted:
        assert known.is_near(unit(probe)[None])[0]
