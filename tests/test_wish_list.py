"""scripts/wish_list: what more views of a face and a second recogniser give is measured rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import wish_list
from click.testing import CliRunner
from numpy.typing import NDArray
from wish_crops import BOTH_SIDES, SPOILERS, Crops, embed_views, mean_of, spoil, views
from wish_scores import Comparison, Measures, as_norm, compare, logistic_weights, measure, try_matrix, z_norm

RANDOM = np.random.default_rng(7)
FACES = RANDOM.integers(60, 200, (6, 32, 32, 3), np.uint8)


class Averager:
    """Embeds a face as the colours of its quarters."""

    def embed(self, crops: Crops) -> NDArray[np.float32]:
        half = crops.shape[1] // 2
        quarters = crops.reshape(len(crops), 2, half, 2, half, 3).mean((2, 4)).reshape(len(crops), 12)
        return mean_of((quarters - quarters.mean(1, keepdims=True)).astype(np.float32)[None])


# --- crops ---


@pytest.mark.parametrize("kind", SPOILERS)
def test_spoiled_faces_have_the_same_shape_and_are_the_same_each_time(kind: str) -> None:
    once, again = (spoil(FACES, kind, seed=3) for _ in range(2))
    assert once.shape == FACES.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert np.array_equal(once, FACES) == (kind == "good")
    assert SPOILERS.keys() > BOTH_SIDES


def test_five_views_are_the_face_and_four_moved_a_little() -> None:
    middle, *moved = views(FACES)
    assert np.array_equal(middle, FACES)
    assert len(moved) == 4
    for view in moved:
        assert view.shape == FACES.shape
        assert not np.array_equal(view, FACES)
    assert np.array_equal(moved[0][:, 1:, 1:], FACES[:, :-1, :-1])


def test_views_are_embedded_with_their_mirror_images_and_averaged_to_unit_vectors() -> None:
    vectors = embed_views(Averager(), FACES)
    assert vectors.shape == (5, 2, len(FACES), 12)
    np.testing.assert_allclose(vectors[0, 1], Averager().embed(FACES[:, :, ::-1]), atol=1e-6)
    for way in wish_list.WAYS.values():
        np.testing.assert_allclose(np.linalg.norm(way(vectors), axis=1), 1, atol=1e-5)


# --- scores ---

PEOPLE = np.array([0, 0, 1, 1, 2])
SCORES = np.array(
    [
        [1.0, 0.9, 0.1, 0.2, 0.3],
        [0.9, 1.0, 0.1, 0.1, 0.0],
        [0.1, 0.1, 1.0, 0.2, 0.6],
        [0.2, 0.1, 0.2, 1.0, 0.1],
        [0.3, 0.0, 0.6, 0.1, 1.0],
    ],
    np.float32,
)


def test_measures_are_those_of_a_table_that_was_counted_by_hand() -> None:
    trial = try_matrix(SCORES, PEOPLE)
    assert sorted(trial.same.tolist()) == pytest.approx([0.2, 0.2, 0.9, 0.9])
    assert trial.different[0] == pytest.approx(0.6)
    # No rate can be told from 0 with 16 pairs: only what is above all strangers counts.
    found = measure(trial, np.ones(3))
    assert found == Measures(0.5, 0.5, 0.5)  # the two faces of person 0, of four who have another face
    assert trial.own[4] == -math.inf


def test_a_person_who_counts_twice_weighs_twice() -> None:
    trial = try_matrix(SCORES, PEOPLE)
    assert measure(trial, np.array([2.0, 1.0, 1.0])).tar_3 == pytest.approx(2 / 3)
    assert measure(trial, np.array([2.0, 1.0, 0.0])).identified == pytest.approx(4 / 6)


def test_a_way_is_neither_better_nor_worse_than_itself_and_a_perfect_one_is_better() -> None:
    people = np.repeat(np.arange(30), 2)
    noisy = RANDOM.normal(0, 1, (60, 60)).astype(np.float32)
    perfect = (people[:, None] == people[None]).astype(np.float32)
    today = try_matrix(noisy, people)
    same = compare(today, today, seed=1)
    assert same.low == same.high == Measures(0.0, 0.0, 0.0)
    better = compare(try_matrix(perfect, people), today, seed=1)
    assert better.measures == Measures(1.0, 1.0, 1.0)
    assert min(better.low) > 0


def test_normalised_scores_do_not_change_with_the_scale_of_an_engine() -> None:
    scores, asked, known = (RANDOM.random((4, n), np.float32) for n in (5, 120, 120))
    known = np.concatenate([known, known[:1]])
    once = as_norm(scores, asked, known)
    np.testing.assert_allclose(as_norm(3 * scores + 1, 3 * asked + 1, 3 * known + 1), once, atol=1e-3)
    cohort = RANDOM.random((50, 50), np.float32)
    np.testing.assert_allclose(z_norm(3 * scores + 1, 3 * cohort + 1), z_norm(scores, cohort), atol=1e-3)


def test_who_is_near_all_strangers_is_taken_to_be_farther() -> None:
    near_all, usual = RANDOM.normal(0.5, 0.1, 200), RANDOM.normal(0.0, 0.1, 200)
    normed = as_norm(np.full((2, 1), 0.6, np.float32), np.stack([near_all, usual]), usual[None])
    assert normed[0, 0] < normed[1, 0]


def test_logistic_regression_trusts_the_engine_that_tells() -> None:
    is_same = RANDOM.random(4000) < 0.05
    telling = is_same * 3 + RANDOM.normal(0, 1, 4000)
    good, useless = logistic_weights(np.column_stack([telling, RANDOM.normal(0, 1, 4000)]), is_same)
    assert good > 1
    assert abs(useless) < 0.1 * good


# --- the command ---


def test_nobody_has_two_roles_and_nobody_is_asked_for_too_often() -> None:
    person = np.repeat([f"p{i:02}" for i in range(40)], np.arange(40) % 6 + 1)
    roles = wish_list.share_out(person, n_people=15, seed=1)
    asked, taught, cohort = (set(person[rows].tolist()) for rows in (roles.asked, roles.taught, roles.cohort))
    assert len(asked) == 15
    assert not asked & taught
    assert not asked & cohort
    assert not taught & cohort
    assert max(np.unique(person[roles.asked], return_counts=True)[1]) == wish_list.MOST_FACES
    assert min(np.unique(person[roles.asked], return_counts=True)[1]) == 2
    assert len(roles.cohort) == len(cohort)
    assert set(person[roles.asked[roles.viewed]].tolist()) < asked
    again = wish_list.share_out(person, n_people=15, seed=1)
    assert np.array_equal(roles.asked, again.asked)
    assert np.array_equal(roles.cohort, again.cohort)


def test_ways_and_fusions_are_told_for_each_kind_as_differences_from_today() -> None:
    people = np.repeat(np.arange(30), 3)
    crops = np.clip(
        RANDOM.integers(60, 200, (30, 2, 1, 2, 1, 3)).repeat(8, 2).repeat(8, 4).reshape(30, 16, 16, 3)[people]
        + RANDOM.normal(0, 20, (90, 16, 16, 3)),
        *(0, 255),
    ).astype(np.uint8)
    found = wish_list.Cut(people.astype(np.str_), np.char.add("p", people.astype(np.str_)), crops)
    roles = wish_list.share_out(found.person, n_people=12, seed=1)
    who, taught = (np.unique(found.person[rows], return_inverse=True)[1] for rows in (roles.asked, roles.taught))
    asked = dict[str, int]()

    def keep(name: str, work: object) -> NDArray[np.float32]:
        asked[name] = asked.get(name, 0) + 1
        return work()  # type: ignore[no-any-return, operator]

    spoiled = {
        kind: wish_list.embed_all(Averager(), found, roles, kind, seed=1, keep=keep) for kind in ("good", "film")
    }
    assert set(asked.values()) == {1}
    table = wish_list.try_views(spoiled, who, roles.viewed, seed=1)
    assert list(table) == list(wish_list.WAYS)
    assert table["five crops"]["good"].measures.tar_3 > 0.5
    fused = wish_list.fuse({"a": spoiled, "b": spoiled}, who, taught, seed=1)
    # Twice the same engine says nothing new.
    assert fused["sum of z-scores"]["good"].measures == fused["b"]["good"].measures
    assert fused["sum of normalised scores"]["film"].measures == fused["b, normalised"]["film"].measures
    lines = wish_list.as_markdown(fused, 0, costs={"b": "1"}).splitlines()
    assert lines[0].endswith("| cost | good | film |")
    assert len(lines) == 2 + len(fused)
    assert " to " not in lines[2]
    assert all(" to " in line for line in lines[3:])


def test_the_first_row_is_the_measure_and_the_others_their_difference() -> None:
    one = Comparison(Measures(0.9, 0.8, 0.7), Measures(-0.01, 0.0, 0.0), Measures(0.02, 0.1, 0.1))
    text = wish_list.as_markdown({"today": {"good": one}, "new": {"good": one}}, 0, costs={"today": "1"})
    assert text.splitlines()[2:] == ["| today | 1 | 0.900 |", "| new |  | 0.900 (-0.010 to +0.020) |"]


def test_help_and_a_folder_without_labels_are_answered_in_words(tmp_path: object) -> None:
    assert "--quick" in CliRunner().invoke(wish_list.main, ["--help"]).output
    answer = CliRunner().invoke(wish_list.main, [str(tmp_path)])
    assert answer.exit_code != 0
    assert "wish_list: " in answer.output
