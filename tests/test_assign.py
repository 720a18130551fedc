"""Who is this face: centroids shortlist, the minimum distance decides, the runner-up has a say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from crowds import members
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.engines import fake
from facewatch.matching import Candidate, Gallery, match_photo
from facewatch.matching.aggregation import MatchSettings
from facewatch.matching.member import MOST_CENTROIDS, N_EXEMPLARS, UNDATED, Member, MemberFaces
from facewatch.types import Thresholds, Tier

THRESHOLDS = replace(fake.INFO.thresholds, by_minimum=0.0, by_mean=0.0, by_centroid=0.0)
N_DIMS = 8


def at(distance: float, axis: int = 1) -> NDArray[np.float32]:
    """Return a unit vector at this Euclidean distance from the first axis, towards another axis."""
    angle = 2 * math.asin(distance / 2)
    vector = np.zeros(N_DIMS, np.float32)
    vector[0], vector[axis] = math.cos(angle), math.sin(angle)
    return vector


PROBE = at(0.0)


def gallery(*faces: tuple[int, NDArray[np.float32]], limits: Thresholds = THRESHOLDS, **arguments: Any) -> Gallery:
    """Return a gallery of good faces that nobody confirmed, with the ids 1, 2, 3..."""
    made = Gallery(N_DIMS, limits, MatchSettings(**arguments))
    for face_id, (person_id, embedding) in enumerate(faces, 1):
        made.add(person_id, embedding, 1.0, face_id=face_id)
    return made


def fill(
    known: Gallery,
    people: list[int],
    embeddings: NDArray[np.float32],
    *,
    weights: list[float] | None = None,
    ids: list[int] | None = None,
    confirmed: list[bool] | None = None,
) -> Gallery:
    n = len(people)
    faces = MemberFaces(
        embeddings,
        np.array([1.0] * n if weights is None else weights, np.float32),
        np.arange(1, n + 1) if ids is None else np.array(ids, np.int64),
        confirmed=np.zeros(n, np.bool_) if confirmed is None else np.array(confirmed),
        days=np.full(n, UNDATED, np.int64),
    )
    known.fill(np.array(people, np.int64), faces)
    return known


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
    assert accepted == {Tier.ENROLL: True, Tier.MATCH: False, Tier.SHOW: False}


def test_a_poor_face_never_moves_a_centroid() -> None:
    clean, mixed = gallery((1, at(0.1))), gallery((1, at(0.1)))
    mixed.add(1, at(1.0, 3), 0.0, face_id=2)
    before, after = clean.identify(PROBE), mixed.identify(PROBE)
    assert before
    assert after
    assert after.centroid_distance == pytest.approx(before.centroid_distance)


def test_the_better_a_face_the_more_it_moves_the_centroid() -> None:
    known = gallery()
    known.add(1, at(0.2, 1), 0.9, face_id=1)
    known.add(1, at(0.2, 2), 0.1, face_id=2)
    near_the_good, near_the_bad = known.identify(at(0.2, 1)), known.identify(at(0.2, 2))
    assert near_the_good is not None
    assert near_the_bad is not None
    assert near_the_good.centroid_distance < near_the_bad.centroid_distance


def test_a_person_known_only_by_faces_that_a_user_placed_has_a_centroid() -> None:
    known = gallery()
    known.add(1, at(0.1), 0.0, face_id=1, is_confirmed=True)
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
    fill(large, [1] * n, np.tile(PROBE, (n, 1)))
    assert small.limits(Tier.ENROLL) == (0.34, 0.31)
    assert large.limits(Tier.ENROLL) == pytest.approx((0.30, 0.27))
    assert large.n_faces == n


def test_strictness_is_taken_off_every_limit() -> None:
    assert gallery(strictness=0.1).limits(Tier.ENROLL) == pytest.approx((0.24, 0.21))


def test_the_nearer_of_two_faces_in_one_photo_gets_the_person() -> None:
    known = gallery((1, PROBE))
    matches = match_photo(known, np.stack([at(0.2), at(0.1)]), [Tier.ENROLL] * 2, [set(), set()])
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
    at_once = fill(gallery(), [p for p, _ in faces], np.stack([unit(s) for _, s in faces]))
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
    matches = match_photo(
        known, np.stack([unit(seed) for seed in probes]), [Tier.ENROLL] * len(probes), [set() for _ in probes]
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


# --- evidence ---


def test_a_poor_face_that_nobody_confirmed_is_no_evidence() -> None:
    known = gallery((1, at(0.25)))
    known.add(1, at(0.05, 2), 0.0, face_id=2)
    [candidate] = known.rank(PROBE, 1)
    assert (candidate.nearest_id, candidate.distance) == (1, pytest.approx(0.25, abs=1e-5))
    known.add(1, at(0.05, 2), 0.0, face_id=3, is_confirmed=True)
    assert known.rank(PROBE, 1)[0].nearest_id == 3


def test_poor_faces_are_all_there_is_until_a_good_one_comes() -> None:
    known = gallery()
    known.add(1, at(0.05, 2), 0.0, face_id=1)
    assert known.rank(PROBE, 1)[0].nearest_id == 1
    known.add(1, at(0.25), 1.0, face_id=2)
    assert known.rank(PROBE, 1)[0].nearest_id == 2


def test_a_confirmed_face_moves_the_centroid_more() -> None:
    known = gallery()
    known.add(1, at(0.2, 1), 0.5, face_id=1, is_confirmed=True)
    known.add(1, at(0.2, 2), 0.5, face_id=2)
    [to_confirmed], [to_other] = known.rank(at(0.2, 1), 1), known.rank(at(0.2, 2), 1)
    assert to_confirmed.centroid_distance < to_other.centroid_distance


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_match_through_a_confirmed_face_may_be_farther_off(is_confirmed: bool) -> None:
    known = gallery(limits=replace(THRESHOLDS, confirmed=0.02))
    known.add(1, at(0.32), 1.0, face_id=1, is_confirmed=is_confirmed)
    match = known.identify(PROBE)
    assert match
    assert match.is_accepted == is_confirmed
    assert known.is_near(PROBE[None])[0]


def accepts_without_rival(n_members: int, runner_up: float) -> bool:
    known = gallery(
        *[(1, at(0.32))] * n_members, (2, at(runner_up, 2)), limits=replace(THRESHOLDS, no_rival_bonus=0.02)
    )
    match = known.identify(PROBE)
    assert match
    assert match.person_id == 1
    return match.is_accepted


def test_a_well_known_person_without_rival_may_be_farther_off() -> None:
    assert accepts_without_rival(4, runner_up=0.9)
    assert not accepts_without_rival(3, runner_up=0.9)
    assert not accepts_without_rival(4, runner_up=0.36)


# --- several looks ---


def looks(*distances_and_axes: tuple[float, int], n: int = 5) -> list[tuple[int, NDArray[np.float32]]]:
    return [(1, at(distance, axis)) for distance, axis in distances_and_axes for _ in range(n)]


def test_a_look_far_from_all_others_has_a_centroid_of_its_own() -> None:
    # Twenty faces of the grown-up, five of the child: the middle is far from the child.
    known = gallery(*looks((1.0, 1), n=20), *looks((0.1, 2)))
    match = known.identify(PROBE)
    assert match
    assert match.is_accepted
    assert match.centroid_distance == pytest.approx(0.1, abs=1e-3)
    assert known.is_near(PROBE[None])[0]


def test_a_few_far_faces_may_be_mistakes_and_are_no_look() -> None:
    known = gallery(*looks((1.0, 1), n=20), *looks((0.1, 2), n=2))
    match = known.identify(PROBE)
    assert match
    assert not match.is_accepted
    assert match.rule.startswith("centroid is at")


def test_poor_faces_found_no_look() -> None:
    known = gallery(*looks((1.0, 1), n=20))
    for face_id in range(100, 110):
        known.add(1, at(0.1, 2), 0.0, face_id=face_id, is_confirmed=True)
    assert known.rank(PROBE, 1)[0].centroid_distance > 0.5


def test_nobody_has_more_than_eight_centroids() -> None:
    thresholds = replace(THRESHOLDS, centroid=0.1)
    known = Gallery(64, thresholds)
    axes = np.repeat(np.eye(64, dtype=np.float32)[:20], 5, axis=0)
    fill(known, [1] * len(axes), axes)
    near = [known.rank(axis, 1)[0].centroid_distance < 0.1 for axis in np.eye(64, dtype=np.float32)[:20]]
    assert sum(near) == MOST_CENTROIDS - 1  # the eighth is the middle of all


@given(st.permutations(range(30)))
@settings(max_examples=30)
def test_looks_do_not_depend_on_the_order_of_the_faces(order: list[int]) -> None:
    faces = [at(1.0, 1)] * 14 + [at(0.1, 2)] * 8 + [at(0.9, 3)] * 8
    known, ordered = Gallery(N_DIMS, THRESHOLDS), Gallery(N_DIMS, THRESHOLDS)
    for face_id in order:
        known.add(1, faces[face_id], 1.0, face_id=face_id)
    fill(ordered, [1] * 30, np.stack(faces), ids=list(range(30)))
    for probe in (PROBE, at(0.8, 3), at(0.8, 1)):
        assert known.rank(probe, 1)[0].centroid_distance == pytest.approx(
            ordered.rank(probe, 1)[0].centroid_distance, abs=1e-3
        )


# --- people with thousands of faces ---


def crowd(n: int, seed: int, *, spread: float = 0.3) -> NDArray[np.float32]:
    """Return faces of one person, unit vectors, shape (n, N_DIMS)."""
    vectors = at(0.0) + np.random.default_rng(seed).standard_normal((n, N_DIMS)) * spread
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_of_thousands_of_faces_a_few_that_cover_them_are_compared_with() -> None:
    faces = crowd(3000, seed=1)
    known = fill(gallery(), [1] * len(faces), faces)
    nearest = [known.rank(face, 1)[0] for face in faces]
    at_random = np.random.default_rng(1).choice(faces, 2 * N_EXEMPLARS - 1, replace=False)
    worst_at_random = math.sqrt(2 - 2 * float((faces @ at_random.T).max(1).min()))
    assert known.n_faces == 3000
    assert len({candidate.nearest_id for candidate in nearest}) < 2 * N_EXEMPLARS
    assert max(candidate.distance for candidate in nearest) < worst_at_random


def test_confirmed_faces_are_kept_to_compare_with_however_many_others_there_are() -> None:
    faces = crowd(1000, seed=2)
    confirmed = [i % 20 == 0 for i in range(1000)]
    known = fill(gallery(), [1] * 1000, faces, confirmed=confirmed)
    for row in range(0, 1000, 20):
        [candidate] = known.rank(faces[row], 1)
        assert (candidate.nearest_id, candidate.is_confirmed) == (row + 1, True)


def test_more_confirmed_faces_than_are_kept_are_thinned_out_too() -> None:
    faces = crowd(1000, seed=3)
    known = fill(gallery(), [1] * 1000, faces, confirmed=[True] * 1000)
    nearest = {known.rank(face, 1)[0].nearest_id for face in faces}
    assert len(nearest) < 2 * N_EXEMPLARS


@given(st.integers(0, 1000), st.integers(200, 700))
@settings(max_examples=10, deadline=None)
def test_thousands_of_faces_come_to_the_same_at_once_and_one_by_one(seed: int, n: int) -> None:
    faces = crowd(n, seed)
    one_by_one, at_once = gallery(*((1, face) for face in faces)), fill(gallery(), [1] * n, faces)
    for probe in crowd(20, seed + 1):
        a, b = one_by_one.rank(probe, 1)[0], at_once.rank(probe, 1)[0]
        assert a.nearest_id == b.nearest_id
        assert a.centroid_distance == pytest.approx(b.centroid_distance, abs=1e-4)


# --- laws of changing what is known ---

FACES = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 10_000), st.sampled_from([0.0, 0.4, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)
Drawn = list[tuple[int, int, float, bool]]


def answers(known: Gallery, probe: int) -> list[tuple[int, int, float, float, float]]:
    return [
        (c.person_id, c.nearest_id, round(c.distance, 3), round(c.centroid_distance, 2), round(c.limit, 4))
        for c in known.rank(unit(probe), 10)
    ]


def filled(faces: Drawn, *, order: list[int] | None = None) -> Gallery:
    rows = list(range(len(faces))) if order is None else order
    return fill(
        gallery(limits=replace(THRESHOLDS, confirmed=0.02)),
        [faces[i][0] for i in rows],
        np.stack([unit(faces[i][1] * 31 + i) for i in rows]) if rows else np.empty((0, N_DIMS), np.float32),
        weights=[faces[i][2] for i in rows],
        ids=rows,
        confirmed=[faces[i][3] for i in rows],
    )


@given(FACES, st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(faces: Drawn, probe: int, random: object) -> None:
    order = list(range(len(faces)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert answers(filled(faces), probe) == answers(filled(faces, order=order), probe)


@given(FACES, FACES, st.integers(1, 4), st.integers(0, 10_000))
def test_putting_a_person_anew_is_as_filling_everything_anew(
    before: Drawn, after: Drawn, person: int, probe: int
) -> None:
    wanted = [(person, *rest) for _, *rest in after] if len(after) % 3 else []
    known = filled(before)
    rows = range(1000, 1000 + len(wanted))
    faces = MemberFaces(
        np.array([unit(s) for _, s, _, _ in wanted], np.float32).reshape(-1, N_DIMS),
        np.array([w for _, _, w, _ in wanted], np.float32),
        np.array(rows, np.int64),
        confirmed=np.array([c for *_, c in wanted], np.bool_),
        days=np.full(len(wanted), UNDATED, np.int64),
    )
    known.put(person, faces)
    others = [i for i, face in enumerate(before) if face[0] != person]
    anew = filled(before, order=others)
    for face_id, (_, seed, weight, is_confirmed) in zip(rows, wanted, strict=True):
        anew.add(person, unit(seed), weight, face_id=face_id, is_confirmed=is_confirmed)
    assert (len(known), known.n_faces) == (len(anew), anew.n_faces)
    assert answers(known, probe) == answers(anew, probe)


def test_a_person_without_faces_is_gone() -> None:
    known = gallery((1, at(0.1)), (2, at(0.2, 2)))
    nothing = np.empty((0, N_DIMS), np.float32)
    faces = members(nothing, np.empty(0, np.int64))
    known.put(1, faces)
    known.put(9, faces)
    match = known.identify(PROBE)
    assert match
    assert (match.person_id, match.runner_up_id, len(known), known.n_faces) == (2, None, 1, 1)


# --- why ---


def test_candidates_say_which_face_is_near_and_what_would_be_asked() -> None:
    known = gallery((1, at(0.5)), (1, at(0.2)), (2, at(0.25, 2)))
    assert known.rank(PROBE, 5, Tier.MATCH) == [
        Candidate(
            *(1, pytest.approx(0.2, abs=1e-4), 2, False, pytest.approx(0.35, abs=1e-2)),
            lead=pytest.approx(0.05, abs=1e-4),
            **{"limit": pytest.approx(0.32), "centroid_limit": pytest.approx(0.29), "margin": pytest.approx(0.03)},
            rival_id=2,
        ),
        Candidate(
            *(2, pytest.approx(0.25, abs=1e-4), 3, False, pytest.approx(0.25, abs=1e-4)),
            lead=pytest.approx(-0.05, abs=1e-4),
            **{"limit": pytest.approx(0.32), "centroid_limit": pytest.approx(0.29), "margin": pytest.approx(0.03)},
            rival_id=1,
        ),
    ]
    assert len(known.rank(PROBE, 1)) == 1
    assert gallery().rank(PROBE, 3) == []


@given(FACES, st.integers(0, 10_000))
def test_the_first_candidate_is_the_match(faces: Drawn, probe: int) -> None:
    known = filled(faces)
    known.set_named({1, 2, 3})
    match, [first, *_] = known.identify(unit(probe)), known.rank(unit(probe), 3)
    assert match
    assert (match.person_id, match.distance) == (first.person_id, first.distance)
    is_near = first.distance <= first.limit and first.centroid_distance <= first.centroid_limit
    assert match.is_accepted == (is_near and first.lead >= first.margin)
    assert known.is_near(unit(probe)[None])[0] or not match.is_accepted


# --- look-alikes ---


def twins(distance: float = 0.3) -> Gallery:
    """Two people: one looks into the camera, the other is this far from it."""
    return gallery((1, PROBE), (1, at(0.1, 3)), (2, at(distance, 2)), (3, at(1.2, 4)))


def test_named_people_of_whom_one_looks_like_the_other_are_told() -> None:
    known = twins(0.3)
    assert known.look_alikes() == []
    known.set_named({1, 2, 3})
    [pair] = known.look_alikes()
    assert (pair.person_id, pair.other_id) == (1, 2)
    assert pair.distance == pytest.approx(0.3, abs=1e-3)
    # 0.04 inside of `match`, but only 0.01 inside of `centroid`: the face of 2 is 0.3 from the middle of 1.
    assert 0.0 < pair.stricter < THRESHOLDS.margin
    known.set_named({1, 3, 99})
    assert known.look_alikes() == []


def test_people_who_look_alike_need_a_clearer_face_only_when_both_have_a_name() -> None:
    known, probe = twins(0.2), at(0.08, 2)
    verdicts = []
    for named in ({1, 3}, {1, 2}):
        known.set_named(named)
        match = known.identify(probe)
        assert match
        assert match.person_id == 1
        verdicts.append(match.is_accepted)
    assert verdicts == [True, False]


def test_the_margin_between_look_alikes_at_most_doubles() -> None:
    known = twins(0.0)
    known.set_named({1, 2})
    assert [pair.stricter for pair in known.look_alikes()] == [THRESHOLDS.margin]


def test_look_alikes_follow_every_change() -> None:
    known = twins(0.9)
    known.set_named({1, 2, 3})
    assert known.look_alikes() == []
    known.add(2, at(0.05, 5), 1.0, face_id=50)
    assert [(pair.person_id, pair.other_id) for pair in known.look_alikes()] == [(1, 2)]
    known.put(2, members(at(0.9, 2)[None], np.array([3])))
    assert known.look_alikes() == []


@given(FACES)
def test_look_alikes_are_those_of_comparing_everybody(faces: Drawn) -> None:
    faces = [(person, seed, max(weight, 0.4), is_confirmed) for person, seed, weight, is_confirmed in faces]
    known = filled(faces)
    known.set_named({1, 2, 3, 4})
    nearest = {
        (a, b): min(
            float(np.linalg.norm(unit(s * 31 + i) - unit(r * 31 + k)))
            for i, (p, s, *_) in enumerate(faces)
            for k, (q, r, *_) in enumerate(faces)
            if (p, q) == (a, b)
        )
        for a, b in {(p[0], q[0]) for p in faces for q in faces if p[0] < q[0]}
    }
    found = known.look_alikes()
    for pair in found:
        assert 0 < pair.stricter <= THRESHOLDS.margin
        assert pair.distance == pytest.approx(nearest[pair.person_id, pair.other_id], abs=1e-3)
        assert pair.distance < THRESHOLDS.match
    assert [pair.distance for pair in found] == sorted(pair.distance for pair in found)
    # Two people who each have one face, and those are near, are among them.
    single = {p for p in range(1, 5) if sum(face[0] == p for face in faces) == 1}
    alike = {pair for pair, near in nearest.items() if near < THRESHOLDS.centroid - 1e-3 and single.issuperset(pair)}
    assert alike <= {(pair.person_id, pair.other_id) for pair in found}


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_faces=st.sampled_from([1, 2, 3, 20, 2 * N_EXEMPLARS - 1, 2 * N_EXEMPLARS, 700]),
    share_poor=st.sampled_from([0.0, 0.3, 1.0]),
    share_far=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_a_person_is_the_same_whoever_is_asked_about_first(
    seed: int, n_faces: int, share_poor: float, share_far: float
) -> None:
    """Most people of a gallery are compared with nobody, and take their faces in only then."""
    random = np.random.default_rng(seed)
    looks = np.where(random.random(n_faces) < share_far, 0.9, 0.2)
    faces = MemberFaces(
        np.array([at(far, axis=int(random.integers(1, 4))) for far in looks], np.float32),
        np.where(random.random(n_faces) < share_poor, 0, random.random(n_faces)).astype(np.float32),
        np.arange(1, n_faces + 1),
        confirmed=random.random(n_faces) < 0.1,
        days=np.full(n_faces, UNDATED, np.int64),
    )
    one, other = Member(N_DIMS, reach=THRESHOLDS.centroid), Member(N_DIMS, reach=THRESHOLDS.centroid)
    one.extend(faces)
    other.extend(faces)
    other.settle()
    kept = other.exemplars
    assert one.first_enrolling(3).tolist() == other.enrolling[:3].tolist()
    assert one.centroids.tolist() == other.centroids.tolist()
    assert one.n_good == other.n_good
    assert one.exemplars.ids.tolist() == kept.ids.tolist()
