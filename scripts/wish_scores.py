"""How well similarities tell people apart, and how two engines' are fused; arrays only, for scripts/wish_list.py.

A matrix of similarities has a row for each face that is asked for and a column for each that is known; the faces are
the same, so that the diagonal is no comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

FARS = (1e-3, 1e-4)
"""Of pairs of two people."""
FPIR = 1e-2
"""Of faces whose person is not in the gallery, the share that may be taken for anybody."""
N_BEST = 100
"""Strangers that a score is normalised by: the nearest of the cohort (adaptive S-norm)."""
N_DRAWS = 300


class Measures(NamedTuple):
    tar_3: float
    """True pairs accepted at a false-accept rate of 1e-3."""
    tar_4: float
    """At 1e-4."""
    identified: float
    """Faces whose person is nearest and accepted, where FPIR of the strangers are."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What of a matrix the measures need."""

    same: NDArray[np.float32]
    """Scores of the pairs of one person."""
    same_person: NDArray[np.int64]
    different: NDArray[np.float32]
    """The highest scores of pairs of two people, the highest first."""
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    """Who they are."""
    person: NDArray[np.int64]
    """Of each face that is asked for."""
    own: NDArray[np.float32]
    """Its highest score with another face of its person; -inf where there is none."""
    other: NDArray[np.float32]
    """And with anybody else."""


def try_matrix(scores: Matrix, person: NDArray[np.int64]) -> Trial:
    """Return what the measures need of all pairs of faces, people numbered from 0."""
    is_same = person[:, None] == person[None]
    is_pair = ~np.eye(len(person), dtype=bool)
    rows, columns = np.nonzero(~is_same)
    found = scores[rows, columns]
    # A draw may leave most of the highest pairs out; three times as many as the largest rate needs are enough.
    n_kept = min(len(found), max(100, int(3 * FARS[0] * len(found))))
    best = np.argpartition(-found, n_kept - 1)[:n_kept]
    best = best[np.argsort(-found[best], kind="stable")]
    own = np.where(is_same & is_pair, scores, -np.inf).max(1)
    return Trial(
        same=scores[is_same & is_pair],
        same_person=np.broadcast_to(person[:, None], scores.shape)[is_same & is_pair],
        different=found[best],
        first=person[rows[best]],
        second=person[columns[best]],
        person=person,
        own=own.astype(np.float32),
        other=np.where(is_same, -np.inf, scores).max(1).astype(np.float32),
    )


def measure(trial: Trial, weights: NDArray[np.float64]) -> Measures:
    """Return the measures with each person counted so often, shape (n_people,)."""
    counts = np.bincount(trial.person, minlength=len(weights)) * weights
    n_different = counts.sum() ** 2 - (counts**2).sum()
    passed = np.cumsum(weights[trial.first] * weights[trial.second])
    of_same = weights[trial.same_person]
    tars = []
    for far in FARS:
        last = min(int(np.searchsorted(passed, far * n_different, side="right")), len(passed) - 1)
        tars.append(float(of_same[trial.same > trial.different[last]].sum() / of_same.sum()))
    return Measures(tars[0], tars[1], _identified(trial, weights[trial.person]))


def _identified(trial: Trial, of_face: NDArray[np.float64]) -> float:
    order = np.argsort(-trial.other, kind="stable")
    last = int(np.searchsorted(np.cumsum(of_face[order]), FPIR * of_face.sum(), side="right"))
    limit = trial.other[order[min(last, len(order) - 1)]]
    is_known = np.isfinite(trial.own)
    is_right = is_known & (trial.own > trial.other) & (trial.own > limit)
    return float(of_face[is_right].sum() / of_face[is_known].sum())


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measures of one way, and how far they are above those of today's."""

    measures: Measures
    low: Measures
    """The lower ends of the 95 % intervals of the differences: people drawn with replacement."""
    high: Measures


def compare(way: Trial, today: Trial, *, seed: int) -> Comparison:
    """Return how much better one way is than today's, both with the same people in each draw."""
    n_people = int(way.person.max()) + 1
    random = np.random.default_rng(seed)
    differences = []
    for _ in range(N_DRAWS):
        weights = np.bincount(random.integers(n_people, size=n_people), minlength=n_people).astype(np.float64)
        differences.append(np.subtract(measure(way, weights), measure(today, weights)))
    low, high = np.percentile(differences, [2.5, 97.5], axis=0)
    return Comparison(measure(way, np.ones(n_people)), Measures(*low), Measures(*high))


# --- normalising and fusing ---


def z_norm(scores: Matrix, cohort: Matrix) -> Matrix:
    """Return the scores in standard deviations above the mean of strangers, of any two faces of the cohort."""
    strangers = cohort[~np.eye(len(cohort), dtype=bool)]
    normed: Matrix = (scores - strangers.mean()) / strangers.std()
    return normed


def as_norm(scores: Matrix, asked: Matrix, known: Matrix) -> Matrix:
    """Return adaptively S-normalised scores (Matejka et al. 2017, "Analysis of score normalization in multilingual
    speaker recognition"): in standard deviations above the mean of the nearest strangers of either side, on average.

    Args:
        asked: of the faces that are asked for with the cohort, shape (n_faces, n_cohort).
        known: of the known faces.
    """
    both = [np.sort(side, axis=1)[:, -N_BEST:] for side in (asked, known)]
    (mean_a, mean_k), (std_a, std_k) = ([f(side, axis=1) for side in both] for f in (np.mean, np.std))
    normed: Matrix = ((scores - mean_a[:, None]) / std_a[:, None] + (scores - mean_k[None]) / std_k[None]) / 2
    return normed


def logistic_weights(pairs: NDArray[np.float64], is_same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the weight of each engine's score by logistic regression, both kinds of pairs counted alike.

    Args:
        pairs: scores, shape (n_pairs, n_engines).
    """
    weight = np.where(is_same, 0.5 / is_same.sum(), 0.5 / (~is_same).sum())
    columns = np.column_stack([pairs, np.ones(len(pairs))])
    found = np.zeros(columns.shape[1])
    for _ in range(30):  # Newton's steps; a touch of ridge keeps them finite where the pairs are told apart fully
        chance = 1 / (1 + np.exp(-np.clip(columns @ found, -30, 30)))
        slope = columns.T @ (weight * (is_same - chance)) - 1e-4 * found
        curvature = (columns * (weight * chance * (1 - chance))[:, None]).T @ columns + 1e-4 * np.eye(len(found))
        found += np.linalg.solve(curvature, slope)
    weights: NDArray[np.float64] = found[:-1]
    return weights
