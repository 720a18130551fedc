"""Faces change over the years, children's most: the same child at 2 and at 12 is nearer to its sister than to itself.

So of a dated face the years around it are what counts: who has several faces from those years is compared with their
middle, too, and a face that is nearest to one from other years must be nearer, more so if that person is known from its
own years and looked otherwise. Dates may be wrong (a scan is dated the day it was scanned, a clock was never set), so
they only shift limits, by no more than `Thresholds.years` or twice that, and a face without one is neither nearer nor
farther.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNDATED = 0
"""The day of a face of which nobody knows when it was taken; others count from a day long ago."""

NEAR_DAYS = 2 * 365
"""So long a face stays as it is, even a child's of two years. Chosen, not measured."""
FAR_DAYS = 10 * 365
"""After so long `Thresholds.years` counts in full."""
MIN_KNOWN = 3
"""Faces from about one time that tell how somebody looked then; fewer may be mistakes."""


@dataclass(frozen=True, slots=True)
class Years:
    """The middles of a person's faces, by the time they are from."""

    first: NDArray[np.int64]
    """Days from which each middle counts."""
    last: NDArray[np.int64]
    middles: NDArray[np.float32]
    """Unit vectors."""

    def around(self, day: int) -> NDArray[np.float32]:
        """Return the middles that count on this day; none for a face without a date."""
        if day == UNDATED:
            return self.middles[:0]
        return self.middles[(self.first <= day) & (day <= self.last)]


def years_of(embeddings: NDArray[np.float32], weights: NDArray[np.float32], days: NDArray[np.int64]) -> Years:
    """Return the middles of faces that are from more than a few years; none of those from few."""
    order = np.argsort(days, kind="stable")
    order = order[(days[order] != UNDATED) & (weights[order] > 0)]
    if not len(order) or days[order[-1]] - days[order[0]] <= NEAR_DAYS:
        nothing = np.zeros(0, np.int64)
        return Years(nothing, nothing, embeddings[:0])
    spans = days[order] // NEAR_DAYS
    starts = np.flatnonzero(np.diff(spans, prepend=-1))
    sums = np.add.reduceat(embeddings[order] * weights[order, None], starts, axis=0)
    is_known = np.diff(starts, append=len(order)) >= MIN_KNOWN
    middles = sums[is_known] / np.maximum(np.linalg.norm(sums[is_known], axis=1, keepdims=True), 1e-9)
    first = spans[starts[is_known]] * NEAR_DAYS - NEAR_DAYS // 2
    return Years(first, first + 2 * NEAR_DAYS, middles.astype(np.float32))


def stricter(days: NDArray[np.int64], day: int, most: float) -> NDArray[np.float32]:
    """Return how much nearer than usual a face of this day must be to each of a person's faces."""
    if day == UNDATED or not most:
        return np.zeros(len(days), np.float32)
    apart = np.where(days == UNDATED, 0, abs(days - day))
    is_known_then = np.count_nonzero((days != UNDATED) & (apart <= NEAR_DAYS)) >= MIN_KNOWN
    share = np.clip((apart - NEAR_DAYS) / (FAR_DAYS - NEAR_DAYS), 0, 1)
    return (share * most * (2 if is_known_then else 1)).astype(np.float32)
