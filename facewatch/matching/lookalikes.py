"""Named people who look alike, so that more is asked before a face is given to one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.matching.member import Member, distances
from facewatch.types import Thresholds


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Two named people, of whom one has a face that looks like the other."""

    person_id: int
    """The smaller of the two ids."""
    other_id: int
    distance: float
    """Between their nearest faces."""
    stricter: float
    """How much farther than usual one of them must be for a face to be given to the other."""


class Overlaps:
    """How much the faces of two people overlap; known until one of them changes."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._known: dict[tuple[int, int], tuple[tuple[int, int], LookAlikes | None]] = {}

    def compare(self, one: int, other: int, members: Mapping[int, Member]) -> LookAlikes | None:
        """Return how alike two people look, None where no face of one could be matched with the other.

        The margin between them grows by as much as a face of one keeps the limits of the other, up to twice the usual
        one: a single face in the wrong place makes nobody unrecognisable.
        """
        low, high = sorted((one, other))
        versions = members[low].version, members[high].version
        known = self._known.get((low, high))
        if known is None or known[0] != versions:
            distance, depth = self._overlap(members[low], members[high])
            pair = LookAlikes(low, high, distance, min(self._thresholds.margin, depth)) if depth > 0 else None
            known = self._known[low, high] = (versions, pair)
        return known[1]

    def keep(self, people: Collection[int]) -> None:
        """Keep only what is known of these people."""
        kept = set(people)
        self._known = {pair: known for pair, known in self._known.items() if kept.issuperset(pair)}

    def _overlap(self, a: Member, b: Member) -> tuple[float, float]:
        """Return the distance between the nearest faces, and how far inside the other's limits a face is at most; not
        above 0: outside."""
        faces, others = a.exemplars.embeddings, b.exemplars.embeddings
        to_a, to_b = distances(others @ a.centroids.T).min(1), distances(faces @ b.centroids.T).min(1)
        t = self._thresholds
        if min(to_a.min(), to_b.min()) >= t.centroid:
            return np.inf, 0.0
        near = distances(faces @ others.T)
        depths = [
            np.minimum(t.match - nearest, t.centroid - centroid).max()
            for nearest, centroid in ((near.min(0), to_a), (near.min(1), to_b))
        ]
        return float(near.min()), float(max(depths))


def nearest_pairs(centroids: NDArray[np.float32], people: NDArray[np.int64], n: int) -> list[tuple[int, int]]:
    """Return the pairs of people, smaller id first, that may be rivals: to each the `n` with the nearest centroids.

    Args:
        centroids: unit vectors, shape (n_people, n_dims).
        people: their ids, shape (n_people,).
    """
    n = min(n, len(people) - 1)
    if n < 1:
        return []
    cosines = centroids @ centroids.T
    np.fill_diagonal(cosines, -np.inf)
    others = people[np.argpartition(-cosines, n - 1, axis=1)[:, :n]]
    pairs = np.stack([np.repeat(people, n), others.ravel()], axis=1)
    pairs.sort(axis=1)
    return [(int(low), int(high)) for low, high in np.unique(pairs, axis=0)]
