"""How much faces and groups look like people: arrays in, distances and chances out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import Columns
from facewatch.matching import distances
from facewatch.types import Thresholds

if TYPE_CHECKING:
    from facewatch.types import Doubles, Flags, Floats, Ints

_BLOCK_ROWS = 1024
_AT_ONCE = 8192
"""Faces, and those of one more person, that are copied at a time: 16 MB of 512-D vectors."""
_N_RIVALS = 6
"""People with the nearest centroids that a face is compared with."""
_MOST_MOVES = 20
"""How often the middles of two parts move; groups of 3 to 30 faces need three."""
_FAR_AHEAD = 1.5
"""Margins by which the next person can be farther; more says no more."""

# Fitted in units of the engines' own thresholds, so that they serve all: docs/evaluation.md.
_FACE = (1.0, 6.0, 2.0)
_GROUP = (-1.2, 7.4, 3.0)
"""Intercept; what each margin beyond the limit costs; what each margin to the next person gives."""
_BEYOND = (0.47, 0.74, 4.16)
"""Intercept; what the logit of the plain chance gives; what similarity beyond the limit for joining gives."""


@dataclass(frozen=True, slots=True)
class Profiles(Columns):
    """People."""

    ids: Ints
    """Ascending."""
    sizes: Ints
    """Faces."""
    centroids: Floats
    """Unit vectors, shape (n_people, n_dims)."""
    means: Floats
    """Mean vectors: a dot product of two is the mean cosine over all pairs of members."""


def profiles_of(people: Ints, embeddings: Floats) -> Profiles:
    """Return the people that these faces belong to.

    Args:
        people: whose each face is, shape (n_faces,).
        embeddings: unit vectors, shape (n_faces, n_dims).
    """
    order = np.argsort(people, kind="stable")
    ids, starts, sizes = np.unique(people[order], return_index=True, return_counts=True)
    sums = np.zeros((len(ids), embeddings.shape[1]), np.float32)
    # Some people at a time: all faces in this order would be as many again in memory.
    for some in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(starts // _AT_ONCE)) + 1) if len(ids) else ():
        rows = order[starts[some[0]] : starts[some[-1]] + sizes[some[-1]]]
        sums[some] = np.add.reduceat(embeddings[rows], starts[some] - starts[some[0]], axis=0)
    return profiles_from(ids, sizes, sums)


def profiles_from(ids: Ints, sizes: Ints, sums: Floats | Doubles) -> Profiles:
    """Return people by the sums of the unit vectors of their faces; `ids` are ascending."""
    means = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return Profiles(ids, sizes, (means / lengths).astype(np.float32), means)


def second_part(vectors: Floats, is_block: Flags) -> Flags:
    """Return which rows are the second of the two parts that these faces fall into by themselves (2-means).

    Args:
        vectors: unit vectors, shape (n_faces, n_dims).
        is_block: rows that stay together, in the first part; not all of them.
    """
    free = vectors[~is_block]
    total = vectors.sum(axis=0)
    first = vectors[is_block].sum(axis=0) if is_block.any() else free[int((free @ total).argmin())]
    second = free[int((free @ first).argmin())]
    is_second = np.zeros(len(vectors), np.bool_)
    for _ in range(_MOST_MOVES):
        between = second / max(float(np.linalg.norm(second)), 1e-9) - first / max(float(np.linalg.norm(first)), 1e-9)
        before, is_second = is_second, (vectors @ between > 0) & ~is_block
        if (is_second == before).all() or not is_second.any() or is_second.all():
            break
        second = is_second.astype(np.float32) @ vectors
        first = total - second
    return is_second


def nearest_rows(vectors: Floats, others: Floats, n: int) -> Iterator[tuple[int, Ints, Floats]]:
    """Yield, block by block, the first row with the n nearest `others` of each row of `vectors` and how far those are,
    nearest first; shapes (n_rows, n)."""
    for start in range(0, len(vectors) if len(others) else 0, _BLOCK_ROWS):
        yield start, *_nearest(vectors[start : start + _BLOCK_ROWS] @ others.T, n)


def _nearest(cosines: Floats, n: int) -> tuple[Ints, Floats]:
    """Return the n columns with the highest cosines of each row and the distances of those, nearest first."""
    n = min(n, cosines.shape[1])
    best = np.argpartition(-cosines, n - 1, axis=1)[:, :n]
    found = np.take_along_axis(cosines, best, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1), distances(np.take_along_axis(found, order, axis=1))


def rivals(faces: Floats, profiles: Profiles, *, limit: float) -> Iterator[tuple[int, Ints, Floats]]:
    """Yield the rows of these unit vectors that lie nearer than `limit` to any centroid, each with the rows of the
    profiles that are nearest to it and their centroids' distances, nearest first."""
    for start in range(0, len(faces) if len(profiles) else 0, _BLOCK_ROWS):
        cosines = faces[start : start + _BLOCK_ROWS] @ profiles.centroids.T
        # Most are near nobody, and need not be put in order.
        near = np.flatnonzero(distances(cosines.max(axis=1)) < limit)
        best, far = _nearest(cosines[near], _N_RIVALS)
        yield from zip((start + near).tolist(), best, far, strict=True)


def face_limit(thresholds: Thresholds) -> float:
    """Return how far a face can be from a centroid and still be asked about."""
    return thresholds.centroid + thresholds.margin


def group_limit(thresholds: Thresholds) -> float:
    """Return how far apart two groups can be in the mean and still be asked about."""
    return thresholds.cluster + thresholds.margin


def chance_of_face(far: float, next_far: float, thresholds: Thresholds) -> float:
    """Return how probably a face is the person at distance `far`, when the next one's centroid is at `next_far`."""
    return _chance(_FACE, far - thresholds.centroid, next_far - far, thresholds.margin)


def chance_of_group(far: float, next_far: float, thresholds: Thresholds) -> float:
    """Return how probably a group is the person whose faces are at the mean distance `far`; the next one's are at
    `next_far`."""
    return _chance(_GROUP, far - thresholds.cluster, next_far - far, thresholds.margin)


def chance_beyond(chance: float, beyond: float) -> float:
    """Return how probably two groups are one that by plain distances are with this chance.

    Args:
        beyond: by how much their normalised similarity exceeds the limit for joining them.
    """
    intercept, plain, gain = _BEYOND
    chance = min(max(chance, 1e-6), 1.0 - 1e-6)
    return _logistic(intercept + plain * float(np.log(chance / (1.0 - chance))) + gain * beyond)


def _logistic(score: float) -> float:
    return float(1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0))))


def _chance(fitted: tuple[float, float, float], beyond: float, ahead: float, margin: float) -> float:
    intercept, cost, gain = fitted
    return _logistic(intercept - cost * beyond / margin + gain * min(ahead / margin, _FAR_AHEAD))
