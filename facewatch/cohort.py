"""Cohort normalisation (S-norm): similarities relative to those to faces of strangers.

A cosine of 0.45 between the middles of two groups of faces is the same person in family photos and nobody in film
stills, where all are alike in light and blur. Speaker recognition subtracts from a score what both sides have with a
cohort of strangers (S-norm, Shin et al. 2010; of the nearest strangers only, AS-norm, Sturim and Reynolds 2005). Before
that the mean face of the library is taken off every vector, which is what all have in common.

`facewatch evaluate` prints what it does for pairs of faces, plain and normalised; what was tried beside it stands in
docs/evaluation.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import Columns, slices
from facewatch.cores import on_all_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.types import Doubles, Flags, Floats, Ints, Normalisation, Vectors

NEAREST, FARTHEST = 0.01, 0.05
"""Which strangers count: of the cohort, those from this share to that by nearness. The nearest of all may be the same
person in a group of its own."""
LEAST_STRANGERS = 10
"""So many count at least; of a small cohort that is a larger share."""
MOST_OF_ONE = 3
"""Faces of one group in a cohort: somebody with half of all photos would be everybody's stranger."""
MOST_MEMBERS = 2048
"""More strangers take time and change nothing."""
USUAL_MEMBERS = 100
"""The usual figures of an engine count as so many strangers: those of a small library alone say little."""
HUB_GROUPS = 10
"""Of fewer groups it is not known what is usual."""
HUB_FACES = 3
"""Two faces gather nothing."""
LEAST_BEYOND, LOW_BEYOND, MOST_STRANGE, LEAST_STRANGE = -3.0, -1.0, 5.0, -4.0
"""Standard deviations from the median of a library's groups. A group is a hub when what its faces have in common beyond
what they have with strangers is below the first; or below the second, and what they have with strangers outside of the
others: above it is near everybody, below it like no face (`scripts/spoiled hubs`)."""
LEAST_DEVIATIONS = 0.05, 0.01
"""A library in which all groups are the same shows no more than that; of both."""
_MOST_COMPARED = 16 * MOST_MEMBERS
"""Faces that a cohort is taken from."""
_NORMAL = 1.4826
"""The standard deviation of a normal distribution, by its median absolute deviation."""
_BLOCK = 512
"""Vectors compared with the cohort at a time: 4 MB of cosines, which stay in a processor's cache."""
_ROWS_AT_ONCE = 4096
"""Vectors multiplied with the mean at a time: 8 MB of 512 dimensions."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Faces that stand for all strangers of a library, and the mean face. Row i of the arrays belongs together."""

    mean: Floats
    """What is taken off every unit vector, shape (n_dims,)."""
    vectors: Floats
    """Centred unit vectors, shape (n_members, n_dims)."""
    rows: Ints
    """Which of the faces that it was taken from each is, shape (n_members,)."""
    groups: Ints
    """Who each is, shape (n_members,): faces that may be one person have one number."""
    usual: float
    """The mean similarity to strangers where hardly any are known."""

    @classmethod
    def of(cls, embeddings: Vectors, groups: Ints, normalisation: Normalisation) -> Cohort:
        """Return a cohort taken from these faces, few of each group; the first ones, so their order should be random.

        Args:
            embeddings: unit vectors, shape (n_faces, n_dims).
            groups: who each face may be, any numbers, shape (n_faces,); strangers have different ones.
        """
        rows = _few_of_each(groups)[:MOST_MEMBERS]
        _, which, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
        weights = (1.0 / sizes)[which].astype(np.float32)
        usual_mean = np.zeros(embeddings.shape[1], np.float32)
        if normalisation.mean:
            usual_mean[:] = normalisation.mean
        total = weights @ embeddings[rows] + USUAL_MEMBERS * usual_mean
        mean = total / np.float32(weights.sum() + USUAL_MEMBERS)
        return cls(mean, _centred(embeddings[rows], mean), rows, groups[rows], normalisation.usual)

    def __len__(self) -> int:
        return len(self.groups)

    def regrouped(self, groups: Ints) -> Cohort:
        """Return the same strangers when the faces that they were taken from are known to be these groups."""
        return replace(self, groups=groups[self.rows])

    def centred(self, embeddings: Floats) -> Floats:
        """Return unit vectors without what all faces have in common, as unit vectors again, shape (n, n_dims)."""
        return _centred(embeddings, self.mean)

    def centred_products(
        self, embeddings: Vectors, left: NDArray[np.integer], right: NDArray[np.integer], cosines: Doubles
    ) -> Doubles:
        """Return the cosines of pairs of vectors when they are centred, by those that they have as they are, shape
        (n_pairs,).

        Args:
            left: rows of the vectors of each pair; so are `right`.
        """
        along = np.empty(len(embeddings))
        for rows in slices(len(along), _ROWS_AT_ONCE):
            along[rows] = embeddings[rows] @ self.mean
        square = float(self.mean.astype(np.float64) @ self.mean)
        lengths = np.sqrt(np.maximum(1.0 - 2.0 * along + square, 1e-12))
        products = np.empty(len(cosines))
        for some in slices(len(products)):
            one, other = left[some], right[some]
            centred = cosines[some] - along[one] - along[other] + square
            products[some] = centred / (lengths[one] * lengths[other])
        return products

    def similarity(self, centred: Vectors, own: Ints) -> Floats:
        """Return the mean cosine of each vector with its near strangers, shape (n,); see `similarities`."""
        mean, _ = self.similarities(centred, own)
        return mean

    def similarities(self, centred: Vectors, own: Ints) -> tuple[Floats, Floats]:
        """Return the mean cosine of each vector with its near strangers, and that with the farthest of those alone,
        which other groups of the same person do not change; shape (n,) each.

        Args:
            centred: centred unit vectors of faces, or of the middles of groups, shape (n, n_dims).
            own: the group of each, which is left out, shape (n,); a number that is not in the cohort: none.
        """
        n = len(self)
        first = round(NEAREST * n)
        last = min(max(round(FARTHEST * n), first + LEAST_STRANGERS), n)
        mean, farthest = np.full((2, len(centred)), self.usual, np.float32)
        if last <= first:
            return mean, farthest

        def compare(rows: slice) -> None:
            distances = centred[rows] @ -self.vectors.T
            distances[own[rows, None] == self.groups] = np.inf
            # For both ends at once it would take four times as long.
            near = np.partition(distances, last - 1, axis=1)[:, :last]
            near = np.partition(near, (first, last - 1), axis=1)[:, first:]
            mean[rows], farthest[rows] = self._mean_of(near), self._mean_of(near[:, -1:])

        on_all_cores(compare, list(slices(len(centred), _BLOCK)))
        return mean, farthest

    def _mean_of(self, distances: Floats) -> NDArray[np.floating]:
        """Return the mean cosine in each row, the usual one for what is not known: at infinite distance."""
        is_known = np.isfinite(distances)
        n_known = is_known.sum(axis=1)
        # What is known weighs by the size of the cohort, and less where most of it is the vector's own group.
        weight = len(self) * n_known / distances.shape[1]
        means = -np.where(is_known, distances, 0).sum(axis=1) / np.maximum(1, n_known)
        mean: NDArray[np.floating] = (weight * means + USUAL_MEMBERS * self.usual) / (weight + USUAL_MEMBERS)
        return mean


def are_hubs(sums: NDArray[np.floating], sizes: Ints, strangers: NDArray[np.floating]) -> Flags:
    """Return which groups are hubs: near everybody, or like no face, compared with what is usual in this library. Poor
    faces gather in such groups, and what is no face at all.

    Args:
        sums: of the centred vectors of each group, shape (n_groups, n_dims).
        strangers: the similarity of each middle with the farthest of its near strangers, shape (n_groups,).
    """
    pairs = sizes * (sizes - 1.0)
    inside = (np.einsum("ij,ij->i", sums, sums) - sizes) / np.maximum(1.0, pairs)
    is_known = sizes > 1
    if is_known.sum() < HUB_GROUPS:
        return np.zeros(len(sums), np.bool_)
    beyond = _deviations(inside - strangers, is_known, LEAST_DEVIATIONS[0])
    strange = _deviations(strangers, is_known, LEAST_DEVIATIONS[1])
    is_odd = (strange > MOST_STRANGE) | (strange < LEAST_STRANGE)
    found: Flags = (beyond < LEAST_BEYOND) | (is_odd & (beyond < LOW_BEYOND))
    return found & (sizes >= HUB_FACES)


def _deviations(values: NDArray[np.floating], is_known: Flags, least: float) -> NDArray[np.floating]:
    """Return how many standard deviations these are from their median; by the median deviation, which a few odd ones do
    not move."""
    usual = np.median(values[is_known])
    found: NDArray[np.floating] = (values - usual) / max(
        least, _NORMAL * float(np.median(np.abs(values[is_known] - usual)))
    )
    return found


@dataclass(frozen=True, slots=True)
class Middles(Columns):
    """The middles of groups."""

    numbers: Ints
    """Of the groups, ascending."""
    vectors: Floats
    """Centred unit vectors, shape (n_groups, n_dims)."""
    strangers: Floats
    """The mean similarity of each with strangers."""
    is_hub: Flags
    """See `are_hubs`."""

    def similarity(self, row: int, other: int) -> float:
        """Return the normalised similarity of two."""
        both = (self.strangers[row] + self.strangers[other]) / 2.0
        return float(self.vectors[row] @ self.vectors[other] - both)


def middles(embeddings: Floats, groups: Ints, normalisation: Normalisation) -> Middles:
    """Return the middles of groups; a number below 0 is no group.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
        groups: which group each face belongs to, shape (n_faces,).
    """
    numbers, sizes = np.unique(groups[groups >= 0], return_counts=True)
    order = np.random.default_rng(0).permutation(len(groups))[:_MOST_COMPARED]
    cohort = Cohort.of(
        embeddings[order], np.where(groups < 0, -1 - np.arange(len(groups)), groups)[order], normalisation
    )
    sums = np.zeros((len(numbers), embeddings.shape[1]), np.float32)
    rows = np.flatnonzero(groups >= 0)
    rows = rows[np.argsort(groups[rows], kind="stable")]
    for block in slices(len(rows), _BLOCK):
        own, starts = np.unique(groups[rows[block]], return_index=True)
        sums[np.searchsorted(numbers, own)] += np.add.reduceat(cohort.centred(embeddings[rows[block]]), starts)
    vectors = sums / np.maximum(1e-6, np.linalg.norm(sums, axis=1, keepdims=True))
    strangers, farthest = cohort.similarities(vectors, numbers)
    return Middles(numbers, vectors, strangers, are_hubs(sums, sizes, farthest))


def hubs(embeddings: Floats, groups: Ints, normalisation: Normalisation) -> Ints:
    """Return the numbers of the groups that are hubs, ascending; the arguments are those of `middles`."""
    found = middles(embeddings, groups, normalisation)
    return found.numbers[found.is_hub]


def _few_of_each(groups: Ints) -> Ints:
    """Return the rows of at most `MOST_OF_ONE` faces of each group, in their order."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
    ranks = np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))
    return np.sort(order[ranks < MOST_OF_ONE])


def _centred(embeddings: Floats, mean: Floats) -> Floats:
    rest = embeddings - mean
    rest /= np.maximum(np.sqrt(np.einsum("ij,ij->i", rest, rest)), 1e-6)[:, None]
    return rest
