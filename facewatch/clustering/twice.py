"""One person twice in one photo (collage, mirror, poster, before and after), or two who are often together.

That two groups have a face each in one photo is strong evidence that they are two people, but no wall. It is weighed
against how far apart the groups are beyond what the faces inside them are, which falls to nothing for one person the
more faces there are, and does not for kin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Doubles, Flags, Floats, Ints

COPY = 0.5
"""Two faces of one photo that are nearer than this share of the ceiling are one face in two pictures (a mirror, a burst
beside itself, a poster): of all pairs of one person in LFW 1 in 100 is as near, in both engines, of strangers none."""

GAP = 0.3
"""Two groups may be one person when the gap between them is at most this, in squares of the ceiling
(`scripts/measure_twice`)."""

FEW, GAP_OF_FEW = 3, 0.4
"""So many photos are too few to start somebody beside who may be in them twice, as long as the gap is no larger than it
often is between so few faces of one person: nothing is lost by waiting for more."""

OFTEN = 1 / 3
"""With this share of all their photos in common two groups are one person only where the gap is as small as it is
between parts of one person: at most 1 by the number of faces of a part (the harmonic mean of the two)."""

MOST_COMMON = 0.5
"""Share of all photos of two groups that they may have in common and be one person: twins are side by side everywhere,
and nobody knows how alike they look."""


def gaps(within: Doubles, between: Doubles, ceiling: float) -> Doubles:
    """Return how much farther apart groups are than the faces inside them, in squares of the ceiling, from mean
    cosines: about 0 for two halves of one group.

    Args:
        within: the mean of what the faces of each of two groups have among each other.
    """
    apart: Doubles = 2.0 * (within - between) / ceiling**2
    return apart


def are_copies(cosines: Floats, within: Doubles, ceiling: float) -> Flags:
    """Return which pairs of faces of one photo are one face in two pictures: also much nearer than others of their
    groups are."""
    squares = 2.0 - 2.0 * cosines
    copies: Flags = (squares < (COPY * ceiling) ** 2) & (squares < 1.0 - within)
    return copies


def may_be_one(gaps: Doubles, sizes: Ints, others: Ints, n_common: Ints) -> Flags:
    """Return which pairs of groups are one person though they have photos in common.

    Args:
        sizes: faces of each group, all in different photos.
        others: and of the other one.
        n_common: photos with a face in both, copies left out.
    """
    share = n_common / (sizes + others - n_common)
    of_parts = np.minimum(GAP, (sizes + others) / (2.0 * sizes * others))
    limits = GAP - (GAP - of_parts) * share / OFTEN
    is_one: Flags = (gaps <= limits) & (share <= MOST_COMMON)
    return is_one


def mean_within(squares: Doubles, sizes: Ints, ceiling: float) -> Doubles:
    """Return the mean cosine inside groups, each with one more pair that is as alike as faces usually are.

    Args:
        squares: the sum of each group's vectors, times itself.
    """
    usual = 1.0 - ceiling**2 / 4.0
    within: Doubles = ((squares - sizes) / 2.0 + usual) / (sizes * (sizes - 1) / 2.0 + 1.0)
    return within


@dataclass(frozen=True, slots=True)
class Pair:
    """Two groups that may be one person, as far as their faces and photos show."""

    gap: float
    """See `gaps`."""
    size: int
    other: int
    """Photos with a face of each group."""
    n_common: int
    """Photos with a face of both, copies left out."""

    @property
    def is_one(self) -> bool:
        """Whether the photos that they have in common do not keep them apart."""
        numbers = (np.array([number]) for number in (self.size, self.other, self.n_common))
        return not self.n_common or bool(may_be_one(np.array([self.gap]), *numbers)[0])

    @property
    def is_doubtful(self) -> bool:
        """Whether they may be one person, though it is not certain."""
        return not self.n_common or self.gap <= GAP

    @property
    def may_wait(self) -> bool:
        """Whether the smaller group is, or with so few photos may be, the second faces of the other."""
        return self.is_one or (self.gap <= GAP_OF_FEW and self.n_common <= FEW and not self.is_often)

    @property
    def is_often(self) -> bool:
        """Whether they are together in so many of their photos that they are two whatever they look like."""
        return self.n_common > MOST_COMMON * (self.size + self.other - self.n_common)


def compare(embeddings: Floats, photos: Ints, rows: Ints, others: Ints, ceiling: float) -> Pair:
    """Return how these two groups of rows stand to each other."""
    sums = np.array([embeddings[group].sum(axis=0) for group in (rows, others)], np.float64)
    sizes = np.array([len(rows), len(others)])
    within = mean_within(np.einsum("ij,ij->i", sums, sums), sizes, ceiling).mean(keepdims=True)
    common, at, there = np.intersect1d(photos[rows], photos[others], return_indices=True)
    cosines = np.einsum("ij,ij->i", embeddings[rows[at]], embeddings[others[there]])
    return Pair(
        gap=float(gaps(within, sums[:1] @ sums[1] / sizes.prod(), ceiling)[0]),
        size=len(np.unique(photos[rows])),
        other=len(np.unique(photos[others])),
        n_common=len(common) - int(np.count_nonzero(are_copies(cosines, within, ceiling))),
    )
