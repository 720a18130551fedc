"""Known or new: what each way of asking answers, in the gallery and in the table of `evaluate`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import crowds
import numpy as np
import pytest
from crowds import members, unit
from drawn import Library
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.config import SETTINGS, load_config
from facewatch.engines import fake
from facewatch.errors import ConfigError
from facewatch.evaluation import calibration
from facewatch.evaluation.identification import (
    HEADER,
    SIZES,
    Identification,
    facts_of,
    identification,
    limit_at,
    rows_of,
)
from facewatch.matching import Aggregation, Gallery
from facewatch.matching.aggregation import MatchSettings
from facewatch.presentation.explain import cause, rematch_lines
from facewatch.types import DetectedFace, Tier

WAYS = tuple(Aggregation)
LIMITS = replace(crowds.LIMITS, by_minimum=0.75, by_mean=0.8, by_centroid=0.7)
N_DIMS = 8
PROBE = np.eye(N_DIMS, dtype=np.float32)[0]
ANNA, BEN = 1, 2


def at(degrees: float, axis: int = 1) -> NDArray[np.float32]:
    """Return a unit vector at this angle from PROBE, towards another axis."""
    vector = np.zeros(N_DIMS, np.float32)
    vector[0], vector[axis] = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return vector


def chord(degrees: float) -> float:
    """Return the distance of two unit vectors at this angle."""
    return 2 * math.sin(math.radians(degrees) / 2)


def gallery(way: Aggregation, *faces: tuple[int, NDArray[np.float32]], **arguments: Any) -> Gallery:
    made = Gallery(N_DIMS, arguments.pop("limits", LIMITS), MatchSettings(aggregation=way, **arguments))
    for face_id, (person_id, embedding) in enumerate(faces, 1):
        made.add(person_id, embedding, 1.0, face_id=face_id)
    return made


# --- the gallery ---

AROUND = ((ANNA, at(30)), (ANNA, at(-30)), (BEN, at(20, 2)))
"""Anna has nobody near, but the middle of her faces is the one that is asked for."""
ONE_NEAR = ((ANNA, at(10)), (ANNA, at(90)), (BEN, at(35, 2)))
"""Anna has one face that is near, and one that is far."""


@pytest.mark.parametrize(
    ("faces", "way", "person", "distance"),
    [
        (AROUND, "minimum", BEN, chord(20)),
        (AROUND, "mean", BEN, chord(20)),
        (AROUND, "centroid", ANNA, 0.0),
        (AROUND, "combined", BEN, chord(20)),
        (ONE_NEAR, "minimum", ANNA, chord(10)),
        (ONE_NEAR, "mean", BEN, chord(35)),
        (ONE_NEAR, "centroid", BEN, chord(35)),
        (ONE_NEAR, "combined", ANNA, chord(10)),
    ],
)
def test_who_is_nearest_is_told_by_the_aggregation(
    faces: Sequence[tuple[int, NDArray[np.float32]]], way: str, person: int, distance: float
) -> None:
    known = gallery(Aggregation(way), *faces)
    match = known.identify(PROBE)
    assert match is not None
    assert match.person_id == person
    assert known.rank(PROBE, 1)[0].distance == pytest.approx(distance, abs=1e-3)
    assert known.rank(PROBE, 1)[0].aggregation == way


def test_combined_alone_asks_for_a_near_centroid_beside_the_nearest_face() -> None:
    said = {way: gallery(way, *ONE_NEAR).identify(PROBE) for way in WAYS}
    assert {way for way, match in said.items() if match and match.is_accepted} == {"minimum", "mean", "centroid"}
    assert said[Aggregation.COMBINED].rule == "centroid is at 0.845, farther than 0.700"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("way", "accepted", "refused"),
    [
        ("combined", "nearest member, centroid and margin agree", "nearest member is at 0.8, farther than 0.5"),
        ("minimum", "nearest member and margin agree", "nearest member is at 0.8, farther than 0.5"),
        ("mean", "mean of all members and margin agree", "mean of all members is at 0.8, farther than 0.5"),
        ("centroid", "centroid and margin agree", "centroid is at 0.8, farther than 0.5"),
    ],
)
def test_the_rule_names_what_decided(way: str, accepted: str, refused: str) -> None:
    limits = replace(LIMITS, match=0.5, by_minimum=0.5, by_mean=0.5, by_centroid=0.5)
    degrees = 2 * math.degrees(math.asin(0.4))
    for angle, rule in ((10.0, accepted), (degrees, refused)):
        match = gallery(Aggregation(way), (ANNA, at(angle)), limits=limits).identify(PROBE)
        assert match is not None
        assert match.rule.replace("00,", ",").removesuffix("00") == rule


def test_what_is_on_record_is_the_nearest_face_and_the_centroid_whatever_decided() -> None:
    for way in WAYS:
        match = gallery(way, *ONE_NEAR[:2]).identify(PROBE)
        assert match is not None
        assert match.distance == pytest.approx(chord(10), abs=1e-3)
        assert match.centroid_distance == pytest.approx(chord(50), abs=1e-3)


def test_the_margin_is_one_of_the_distances_that_are_ranked() -> None:
    faces = ((ANNA, at(20)), (BEN, at(21, 2)), (BEN, at(60, 2)))
    said = {way: gallery(way, *faces).identify(PROBE) for way in WAYS}
    assert {way for way, match in said.items() if match and match.is_accepted} == {"mean", "centroid"}


@given(st.integers(0, 10_000), st.sampled_from(WAYS))
@settings(max_examples=40)
def test_whoever_is_accepted_was_thought_near_by_the_quick_look(seed: int, way: Aggregation) -> None:
    random = np.random.default_rng(seed)
    people, embeddings = crowd(random, n_people=6)
    known = gallery(way, *zip((people + 1).tolist(), embeddings, strict=True))
    probes = unit(embeddings + random.normal(0, 0.2, embeddings.shape))
    accepted = [bool(match and match.is_accepted) for match in map(known.identify, probes)]
    assert known.is_near(probes)[accepted].all()
    assert not gallery(way).is_near(probes).any()


@given(st.integers(0, 10_000), st.sampled_from(WAYS))
@settings(max_examples=40)
def test_some_people_alone_are_as_if_there_were_nobody_else(seed: int, way: Aggregation) -> None:
    random = np.random.default_rng(seed)
    people, embeddings = crowd(random, n_people=6)
    everybody = list(zip((people + 1).tolist(), embeddings, strict=True))
    wanted = {1, 4, 99}
    alone = gallery(way, *everybody).only(wanted)
    same = gallery(way, *(one for one in everybody if one[0] in wanted))
    probes = unit(embeddings + random.normal(0, 0.2, embeddings.shape))
    assert alone.n_faces == same.n_faces
    assert alone.is_near(probes).tolist() == same.is_near(probes).tolist()


@pytest.mark.parametrize("way", WAYS)
def test_strictness_and_poor_quality_move_the_limit_of_every_aggregation(way: Aggregation) -> None:
    limit, _ = gallery(way, (ANNA, PROBE)).limits(Tier.ENROLL)
    assert gallery(way, (ANNA, PROBE), strictness=0.1).limits(Tier.ENROLL)[0] == pytest.approx(limit - 0.1)
    assert gallery(way, (ANNA, PROBE)).limits(Tier.MATCH)[0] == pytest.approx(limit - 0.05)


# --- the table ---


def crowd(random: np.random.Generator, *, n_people: int, n_dims: int = N_DIMS) -> tuple[NDArray[np.int64], Any]:
    """Return whose face each is, and unit vectors around the middles of their people."""
    people = np.repeat(np.arange(n_people), random.integers(1, 6, n_people))
    middles = unit(random.normal(size=(n_people, n_dims)))
    return people, unit(middles[people] + random.normal(0, 0.25, (len(people), n_dims)))


def sample(people: Sequence[int] | NDArray[np.int64], embeddings: Any, tiers: Any = None) -> Any:
    """Return what of a sample is looked at."""

    class Part(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.person)

    given = np.full(len(people), "found") if tiers is None else tiers
    return Part(person=np.array(people), embeddings=np.array(embeddings, np.float32), tiers=given)


def table(found: Sequence[Identification]) -> dict[tuple[str, float], Identification]:
    return {(one.aggregation, one.far): one for one in found if not one.is_as_set}


@given(
    *(st.integers(0, 10_000), st.sampled_from(WAYS), st.sampled_from([1, 3, 50]), st.booleans()),
)
@settings(max_examples=25)
def test_the_table_asks_as_the_gallery_does(seed: int, way: Aggregation, shortlist: int, is_stranger: bool) -> None:
    random = np.random.default_rng(seed)
    people, embeddings = crowd(random, n_people=9)
    tiers = random.choice(["found", "found", "match"], len(people))
    faces = calibration.LabelledFaces(embeddings, people, tiers)
    rows = np.arange(len(people))
    answers = calibration.ask(faces, rows, rows >= 0, shortlist=shortlist, is_stranger=is_stranger, aggregation=way)
    for row in rows.tolist():
        others = (rows != row) & ~(is_stranger & (people == people[row]))
        known = Gallery(N_DIMS, LIMITS, MatchSettings(shortlist=shortlist, aggregation=way))
        known.fill(
            people[others] + 1,
            members(embeddings[others], rows[others], weights=tiers[others] == "found", is_confirmed=True),
        )
        first, *_ = known.rank(embeddings[row], 1, Tier(tiers[row]))
        assert answers.distance[row] == pytest.approx(first.distance, abs=1e-3)
        assert answers.is_right[row] == (first.person_id == people[row] + 1)
        assert answers.n_own[row] == np.count_nonzero(people[others] == people[row])


def test_a_face_is_identified_where_its_person_is_nearest_by_that_way() -> None:
    faces = [at(30), at(-30), PROBE, at(20, 2), at(21, 2)]
    people = [ANNA, ANNA, ANNA, BEN, BEN]
    found = table(identification(sample(people, faces), replace(LIMITS, margin=0.0), fars=(1.0,)))
    # PROBE is nearer to Ben's faces, but lies in the middle of Anna's others; those are nearer to Ben than to the
    # middle of what is left of Anna, and than to Anna's on average.
    rates = {way: found[way, 1.0].rate for way in WAYS}
    assert rates == {"combined": 4 / 5, "minimum": 4 / 5, "mean": 2 / 5, "centroid": 3 / 5}
    assert found["centroid", 1.0].n_by_size == (2, 3, 0, 0)
    assert found["centroid", 1.0].by_size == (1.0, 1 / 3, None, None)


def test_people_with_one_other_photo_are_the_same_to_all_three_ways() -> None:
    random = np.random.default_rng(5)
    people = np.repeat(np.arange(30), 1)
    middles = unit(random.normal(size=(30, N_DIMS)))
    both = sample([*people, *people], [*middles, *unit(middles + random.normal(0, 0.2, middles.shape))])
    found = table(identification(both, LIMITS, fars=(0.1,)))
    # Other people have two photos, so that only who is asked for is the same.
    assert found["minimum", 0.1].n_by_size == (60, 0, 0, 0)
    alone = calibration.LabelledFaces(both.embeddings, both.person, both.tiers)
    in_gallery = np.arange(60) < 30
    answers = [
        calibration.ask(alone, np.arange(30, 60), in_gallery, shortlist=5, is_stranger=False, aggregation=way)
        for way in WAYS
    ]
    for one in answers[1:]:
        np.testing.assert_allclose(one.distance, answers[0].distance, atol=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_more_strangers_let_in_never_identify_fewer_and_no_order_matters(seed: int) -> None:
    random = np.random.default_rng(seed)
    people, embeddings = crowd(random, n_people=12)
    found = identification(sample(people, embeddings), LIMITS, fars=(0.1, 0.3, 1.0))
    by = table(found)
    for way in WAYS:
        rates = [by[way, far].rate or 0.0 for far in (0.1, 0.3, 1.0)]
        assert rates == sorted(rates)
    order = random.permutation(len(people))
    again = identification(sample(people[order], embeddings[order]), LIMITS, fars=(0.1, 0.3, 1.0))
    assert [one.rate for one in again] == [one.rate for one in found]


@given(st.integers(0, 10_000), st.sampled_from(WAYS), st.floats(0.02, 0.98))
@settings(max_examples=40)
def test_no_more_strangers_are_let_in_than_was_asked_for(seed: int, way: Aggregation, far: float) -> None:
    away = np.random.default_rng(seed).integers(0, 12, 60) / 10  # many are equally far
    limit = limit_at(away, far)
    assert limit is None or np.mean(away < limit) <= far


def test_too_few_strangers_show_no_rate() -> None:
    assert limit_at(np.zeros(99), 0.01) is None
    assert limit_at(np.arange(100.0), 0.01) == 1.0
    assert limit_at(np.arange(100.0), 1.0) == math.inf
    people, embeddings = crowd(np.random.default_rng(1), n_people=10)
    found = identification(sample(people, embeddings), LIMITS, fars=(1e-3,))
    assert {one.rate for one in found if not one.is_as_set} == {None}
    assert rows_of(found)[0][:4] == ("combined", "0.0010", "-", "-")


def test_the_last_row_is_what_the_thresholds_do_as_they_are_set() -> None:
    people, embeddings = crowd(np.random.default_rng(2), n_people=20)
    faces = sample(people, embeddings)
    [*_, as_set] = identification(faces, LIMITS)
    answers = calibration.ask_all(
        calibration.LabelledFaces(faces.embeddings, faces.person, faces.tiers), np.ones(len(people), np.bool_)
    )
    rates = calibration.rates_of(answers, LIMITS)
    assert as_set.is_as_set
    assert as_set.rate == pytest.approx(rates.recognised)
    assert as_set.far == pytest.approx(rates.strangers)
    assert rows_of([as_set])[0][0] == "combined, as set"
    [*_, stricter] = identification(faces, LIMITS, strictness=0.1)
    assert (stricter.rate or 0) < (as_set.rate or 0)


def test_faces_that_are_too_poor_to_be_matched_have_no_part_in_it() -> None:
    people, embeddings = crowd(np.random.default_rng(3), n_people=12)
    tiers = np.full(2 * len(people), "found")
    tiers[len(people) :] = "show"
    with_poor = sample([*people, *people], [*embeddings, *-embeddings], tiers)
    assert identification(with_poor, LIMITS) == identification(sample(people, embeddings), LIMITS)


def test_one_person_alone_is_a_stranger_to_nobody_and_an_empty_table_says_so() -> None:
    assert identification(sample([], np.empty((0, N_DIMS))), LIMITS) == ()


def test_the_table_has_a_row_for_each_way_and_rate_and_its_facts_are_json() -> None:
    people, embeddings = crowd(np.random.default_rng(4), n_people=25)
    found = identification(sample(people, embeddings), LIMITS, fars=(0.1, 1.0))
    assert len(rows_of(found)) == 2 * len(WAYS) + 2
    assert {len(row) for row in [HEADER, *rows_of(found)]} == {4 + len(SIZES)}
    assert rows_of(found)[-1][3] == str(np.count_nonzero(np.bincount(people)[people] > 1))
    assert rows_of(()) == []
    facts = json.loads(json.dumps(facts_of(found), allow_nan=False))
    assert [one["aggregation"] for one in facts[:4]] == list(WAYS)
    assert facts[4]["limit"] is None  # any distance is near enough


# --- the setting ---


def test_the_setting_takes_the_ways_of_the_table_and_keeps_the_best(tmp_path: Path) -> None:
    [setting] = [one for one in SETTINGS if one.name == "match.aggregation"]
    assert setting.default == Aggregation.COMBINED
    assert not [way for way in WAYS if setting.check(way)]
    with pytest.raises(ConfigError, match=r'match.aggregation = \'nearest\': must be one of "combined", "minimum"'):
        load_config(None, {"match.aggregation": "nearest"}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("way", "says", "rule"),
    [
        ("combined", "from the nearest face (limit 0.34", "nearest member, centroid and margin agree"),
        ("minimum", "from the nearest face (limit 0.34", "nearest member and margin agree"),
        ("mean", "from all faces on average (limit 0.34", "mean of all members and margin agree"),
        ("centroid", "from the centroid of all (limit 0.31", "centroid and margin agree"),
    ],
)
def test_a_scan_asks_by_the_setting_and_why_says_which_rule_decided(
    library: Library, way: str, says: str, rule: str
) -> None:
    chosen = {"match.aggregation": way}
    library.draw_looks(1, 4, "anna")
    library.scan(**chosen)
    new = library.draw("new.png", (1, 9))
    library.scan(**chosen)
    with library.app(chosen) as app:
        [why] = app.explainer().explain(str(new)).whys
        assert why.rematch is not None
        assert why.rematch.rule == rule
        [near] = why.rematch.likenesses
        assert near.aggregation == way
        assert (near.centroid_limit is not None) == (way == "combined")
        assert says in "\n".join(rematch_lines(why, why.rematch))
        assert app.auditor().check().is_clean


class Turning(fake.FakeEngine):
    """Sees the look 9 of person 1 a little farther off than any threshold allows."""

    def __init__(self, share: float) -> None:
        self._share = np.float32(share)

    def analyse(self, pixels: NDArray[np.uint8], **arguments: Any) -> list[DetectedFace]:
        return [self._turned(face) for face in super().analyse(pixels, **arguments)]

    def _turned(self, face: DetectedFace) -> DetectedFace:
        if not np.array_equal(face.embedding, fake.embedding_of(1, 9)):
            return face
        vector = face.embedding + self._share * fake.embedding_of(200, 0)
        return replace(face, embedding=vector / np.linalg.norm(vector))


@pytest.mark.parametrize(
    ("way", "share", "says"),
    [
        ("combined", 0.32, "is not near enough to any face of Person 0001"),
        ("minimum", 0.32, "is not near enough to any face of Person 0001"),
        ("mean", 0.32, "is not near enough to Person 0001 as a whole"),
        ("centroid", 0.31, "is not near enough to Person 0001 as a whole"),
    ],
)
def test_a_face_that_is_a_little_too_far_is_told_what_it_is_too_far_from(
    library: Library, way: str, share: float, says: str
) -> None:
    library.draw_looks(1, 4, "anna")
    library.scan()
    new = library.draw("new.png", (1, 9))
    with library.app({"match.aggregation": way}, engine=Turning(share)) as app:
        app.pipeline.scan()
        [why] = app.explainer().explain(str(new)).whys
        assert why.verdict == "nobody"
        assert says in cause(why)
