"""Average linkage over a graph: the nearest groups are joined as long as they are near enough.

One measure decides everything: the spread between two groups, the root of the mean squared distance over all pairs of
one face from each. Of unit vectors it is sqrt(2 - 2 a.b) with the plain means a and b, so a group is a sum and a size,
and no matrix of distances is needed however large it is. The spread is never below the mean distance, so what stays
under a ceiling by spread stays under it by mean distance, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from facewatch.columns import Columns, slices

from .copies import Photos, places_of
from .twice import are_copies, gaps, may_be_one, mean_within

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.types import Doubles, Flags, Floats, Ints, Vectors

NOISE = -1
"""The label of a face that belongs to no cluster."""

GROWTH = 0.25
"""How much a group may take in one round beside its nearest neighbour, as a share of its own faces: 1 costs precision,
less takes many rounds."""

PAIRS_AT_ONCE = 256
"""Pairs of groups whose sums are multiplied at a time: 1 MB of 512-D vectors, which stay in a processor's cache."""

VECTORS_AT_ONCE = 1024
"""Vectors that are added up at a time: 2 MB of 512 dimensions."""


@dataclass(frozen=True, slots=True)
class JoinRules:
    """Limits for joining faces to one person; distances are Euclidean between unit vectors."""

    ceiling: float
    """No two groups join, and no face stays, when the spread is above this."""
    singleton_penalty: float
    """Two single faces must be nearer than the ceiling by this; groups of a and b faces by doubt / (a * b)."""
    likeness: float
    """Two groups must be this much as alike as the faces inside them are: mean cosine over mean cosine."""
    margin: float
    """A leftover face joins a group when the runner-up group is farther by this."""
    conflict_share: float
    """Groups with photos in common may join when those are at most this share of the smaller group, whatever else."""
    min_faces: int
    """Smaller groups are noise."""


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Faces to be grouped, element i of each belongs together."""

    embeddings: Vectors
    """Unit vectors, shape (n_faces, n_dims), or centred ones."""
    photos: Photos
    """Two faces of one photo get one label only where their groups are one person twice, see `twice`."""
    strangers: Floats | None = None
    """The mean cosine of each with strangers, half of which is taken off its cosines; None: it is not known."""

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, rows: Ints) -> FaceSet:
        """Return these faces, ascending; they are alone in photos that they share with others."""
        strangers = None if self.strangers is None else self.strangers[rows]
        return FaceSet(self.embeddings[rows], places_of(self.photos).of_faces(rows), strangers)


@dataclass(frozen=True, slots=True)
class Pairs(Columns):
    """Groups that an edge leads between, each pair once."""

    left: NDArray[np.integer]
    """The smaller number of the two groups."""
    right: NDArray[np.integer]
    dots: Doubles
    """The product of the sums of both groups' vectors: the sum of the cosines over all pairs of faces."""


@dataclass(frozen=True, slots=True)
class NearPairs(Pairs):
    """Pairs whose spread is under the ceiling."""

    costs: Doubles
    """The spreads with their doubt, infinity where groups are not alike enough."""


class AverageLinkage:
    """Groups that are joined in rounds; they hold two faces of one photo only where `join` allows it.

    In each round every group looks for its nearest neighbour. Two that are each other's nearest become one: that gives
    what joining the nearest two of all, again and again, would give (Murtagh 1983). Faces that look for the same large
    group would come one a round, so a group also takes those whose nearest it is, nearest first, up to `GROWTH`.

    Pairs without an edge are never compared. While the graph holds all edges under the ceiling that changes nothing:
    a mean under the ceiling has a distance under the ceiling in it.
    """

    def __init__(self, labels: Ints, faces: FaceSet, rules: JoinRules) -> None:
        """Start with the groups 0, 1, 2... that the labels say; -1 takes no part."""
        self.labels = labels.copy()
        self._embeddings, self._rules = faces.embeddings, rules
        self._strangers = np.zeros(len(labels), np.float32) if faces.strangers is None else faces.strangers
        self._sums = group_sums(labels, faces.embeddings)
        is_grouped = labels != NOISE
        self._sizes = np.bincount(labels[is_grouped], minlength=len(self._sums))
        self._strange = np.bincount(labels[is_grouped], self._strangers[is_grouped], minlength=len(self._sums))
        # The mean cosine inside each group; a group with few pairs of faces is taken for an ordinary one.
        self._within = np.empty(len(self._sums))
        self._update_within(np.arange(len(self._sums)))
        self._in_company = places_of(faces.photos).in_company()

    def pairs(self, left: Ints, right: Ints) -> Pairs:
        """Return these pairs of groups, in any order and any number of times, ready to be joined."""
        return self._pairs_of(self._keys(left, right))

    def pairs_along(self, edges: Pairs) -> Pairs:
        """Return the pairs of different groups that an edge between two faces leads between, ready to be joined."""
        return self._pairs_of(_different([self._keys_along(edges.take(some)) for some in slices(len(edges))]))

    def _keys_along(self, edges: Pairs) -> Ints:
        left, right = self.labels[edges.left], self.labels[edges.right]
        is_between = (left != right) & (left != NOISE) & (right != NOISE)
        return self._keys(left[is_between], right[is_between])

    def _keys(self, left: Ints, right: Ints) -> Ints:
        """Return one number for each of these pairs that is there, ascending."""
        return _different([np.minimum(left, right) * len(self._sums) + np.maximum(left, right)])

    def _pairs_of(self, keys: Ints) -> Pairs:
        left, right = np.divmod(keys, len(self._sums))
        return Pairs(left, right, self._dots(left, right))

    def join(self, pairs: Pairs, *, across_photos: bool = False) -> Ints:
        """Join what may be joined and return the label of each face, numbered with gaps.

        With `across_photos` also groups that are one person twice in a few photos: see `twice`. Parts of two people
        who are side by side everywhere may have few photos in common, so that is for groups that are whole.
        """
        near = self._near(pairs)
        while True:
            into, gone = self._unions(near)
            if not len(into):
                return self.labels
            may_join = self._may_join(into, gone, across_photos=across_photos)
            near = near.take(~self._is_among(near, into[~may_join], gone[~may_join]))
            near = self._unite(near, into[may_join], gone[may_join])

    def _near(self, pairs: Pairs) -> NearPairs:
        """Return the pairs whose spread is under the ceiling, with their costs."""
        means = self._means(pairs)
        spreads = self._spreads(pairs, means)
        is_near = spreads <= self._rules.ceiling
        pairs, spreads = pairs.take(is_near), spreads[is_near]
        costs = np.where(self._are_alike(pairs, means[is_near]), spreads + self._doubts(pairs), np.inf)
        return NearPairs(pairs.left, pairs.right, pairs.dots, costs)

    def _spreads(self, pairs: Pairs, means: Doubles) -> Doubles:
        return spread(means)

    def _doubts(self, pairs: Pairs) -> Doubles:
        doubts: Doubles = self._rules.singleton_penalty / (self._sizes[pairs.left] * self._sizes[pairs.right])
        return doubts

    def _means(self, pairs: Pairs) -> Doubles:
        """Return the mean cosines of the faces of both groups, normalised by strangers where those are known."""
        with_strangers = self._strange[pairs.left] / self._sizes[pairs.left]
        with_strangers += self._strange[pairs.right] / self._sizes[pairs.right]
        means: Doubles = pairs.dots / (self._sizes[pairs.left] * self._sizes[pairs.right]) - with_strangers / 2.0
        return means

    def _are_alike(self, pairs: Pairs, means: Doubles) -> Flags:
        within = np.sqrt(np.maximum(0.0, self._within[pairs.left] * self._within[pairs.right]))
        are_alike: Flags = means >= self._rules.likeness * within
        return are_alike

    def _update_within(self, groups: Ints) -> None:
        """Note the mean cosine inside these groups, with one more pair that is as alike as faces usually are."""
        sizes = self._sizes[groups]
        with_strangers = self._strange[groups] / np.maximum(1, sizes)
        squares = self._dots(groups, groups) - sizes * (sizes - 1) * with_strangers
        self._within[groups] = mean_within(squares, sizes, self._rules.ceiling)

    def _unions(self, pairs: NearPairs) -> tuple[Ints, Ints]:
        """Return which groups take which others in this round; none of those that take is taken."""
        nearest, cost = _nearest(pairs.take(pairs.costs <= self._rules.ceiling), len(self._sizes))
        seeking = np.flatnonzero(nearest >= 0)
        mutual = seeking[(nearest[nearest[seeking]] == seeking) & (seeking < nearest[seeking])]
        into, gone = mutual, nearest[mutual]
        is_larger = self._sizes[gone] > self._sizes[into]
        into, gone = np.where(is_larger, gone, into), np.where(is_larger, into, gone)
        is_taking, is_taken = np.zeros((2, len(self._sizes)), dtype=bool)
        is_taking[into], is_taken[gone] = True, True
        followers = seeking[is_taking[nearest[seeking]] & ~is_taken[seeking] & ~is_taking[seeking]]
        followers = self._that_fit(followers, nearest[followers], cost[followers])
        return np.concatenate([into, nearest[followers]]), np.concatenate([gone, followers])

    def _that_fit(self, followers: Ints, leaders: Ints, costs: Doubles) -> Ints:
        """Return the followers that each leader takes, nearest first, while it grows by no more than `GROWTH`."""
        order = np.lexsort((followers, costs, leaders))
        followers, leaders = followers[order], leaders[order]
        sizes = self._sizes[followers]
        before = np.cumsum(sizes) - sizes
        first = np.flatnonzero(np.diff(leaders, prepend=-1))
        before -= np.repeat(before[first], np.diff(first, append=len(leaders)))
        return followers[before + sizes <= GROWTH * self._sizes[leaders]]

    def _may_join(self, a: Ints, b: Ints, *, across_photos: bool) -> Flags:
        """Two faces of one photo are two people, but one stray face must not keep two large groups apart for ever."""
        smaller = np.minimum(self._sizes[a], self._sizes[b])
        pair, faces, others = self._in_common(a, b)
        n_common = np.bincount(pair, minlength=len(a))
        may_join: Flags = n_common <= self._rules.conflict_share * smaller
        if not across_photos:
            return may_join
        within = (self._within[a] + self._within[b]) / 2.0
        cosines = np.einsum("ij,ij->i", self._embeddings[faces], self._embeddings[others])
        n_common = np.bincount(pair[~are_copies(cosines, within[pair], self._rules.ceiling)], minlength=len(a))
        between = self._dots(a, b) / (self._sizes[a] * self._sizes[b])
        apart = gaps(within, between, self._rules.ceiling)
        return may_join | ((smaller > 1) & may_be_one(apart, self._sizes[a], self._sizes[b], n_common))

    def in_company(self, pairs: Pairs) -> Flags:
        """Return which pairs of groups have photos in common."""
        common: Flags = np.bincount(self._in_common(pairs.left, pairs.right)[0], minlength=len(pairs)) > 0
        return common

    def _in_common(self, a: NDArray[np.integer], b: NDArray[np.integer]) -> tuple[Ints, Ints, Ints]:
        """Return for each photo that two groups have in common which pair it is, and the face of each group."""
        places = self._in_company.take(self.labels[self._in_company.faces] != NOISE)
        faces = places.faces
        if not len(faces):
            return faces, faces, faces
        n_photos = int(places.photos.max()) + 1
        keys = self.labels[faces] * n_photos + places.photos
        order = np.argsort(keys)
        faces, present = faces[order], keys[order]
        starts = np.searchsorted(present, np.arange(len(self._sizes) + 1) * n_photos)
        counts = np.diff(starts)
        fewer, more = np.where(counts[a] <= counts[b], (a, b), (b, a))
        pair = np.repeat(np.arange(len(a)), counts[fewer])
        ends = np.cumsum(counts[fewer])
        at = np.arange(len(pair)) + np.repeat(starts[fewer] - ends + counts[fewer], counts[fewer])
        wanted = more[pair] * n_photos + present[at] % n_photos
        there = np.minimum(np.searchsorted(present, wanted), len(present) - 1)
        is_common = present[there] == wanted
        return pair[is_common], faces[at[is_common]], faces[there[is_common]]

    def _is_among(self, pairs: Pairs, a: Ints, b: Ints) -> Flags:
        if not len(a):
            return np.zeros(len(pairs), dtype=bool)
        n_groups = len(self._sizes)
        keys = np.minimum(a, b) * n_groups + np.maximum(a, b)
        return np.isin(pairs.left * n_groups + pairs.right, keys)

    def _unite(self, pairs: NearPairs, into: Ints, gone: Ints) -> NearPairs:
        """Make the groups one, and return the pairs that are left."""
        owner = np.arange(len(self._sizes))
        owner[gone] = into
        is_grouped = self.labels != NOISE
        self.labels[is_grouped] = owner[self.labels[is_grouped]]
        np.add.at(self._sums, into, self._sums[gone])
        np.add.at(self._strange, into, self._strange[gone])
        np.add.at(self._sizes, into, self._sizes[gone])
        self._sizes[gone] = 0
        has_changed = np.zeros(len(self._sizes), dtype=bool)
        has_changed[into] = True
        self._resolve_conflicts(has_changed)
        self._update_within(np.flatnonzero(has_changed))
        return self._renewed(pairs, owner, has_changed)

    def _resolve_conflicts(self, has_changed: Flags) -> None:
        """Leave, of the faces that one group has in one photo, only the one that fits it best."""
        places = self._in_company.take(self.labels[self._in_company.faces] != NOISE)
        places = places.take(has_changed[self.labels[places.faces]])
        keys = self.labels[places.faces] * (int(places.photos.max(initial=0)) + 1) + places.photos
        _, place, n_there = np.unique(keys, return_inverse=True, return_counts=True)
        places = places.take(n_there[place] > 1)
        fits = np.einsum("ij,ij->i", self._embeddings[places.faces], self._sums[self.labels[places.faces]])
        order = np.lexsort((-fits, places.photos, self.labels[places.faces]))
        faces, groups, photos = places.faces[order], self.labels[places.faces[order]], places.photos[order]
        worse = np.unique(faces[(np.diff(groups, prepend=-1) == 0) & (np.diff(photos, prepend=-1) == 0)])
        np.subtract.at(self._sums, self.labels[worse], self._embeddings[worse])
        np.subtract.at(self._strange, self.labels[worse], self._strangers[worse])
        np.subtract.at(self._sizes, self.labels[worse], 1)
        self.labels[worse] = NOISE

    def _renewed(self, pairs: NearPairs, owner: Ints, has_changed: Flags) -> NearPairs:
        """Return the pairs between the groups as they are now; those between unchanged groups stay as they are."""
        left, right = owner[pairs.left], owner[pairs.right]
        is_changed = has_changed[left] | has_changed[right]
        outside = is_changed & (left != right)
        new = self._near(self.pairs(left[outside], right[outside]))
        return NearPairs.together([pairs.take(~is_changed), new])

    def _dots(self, left: Ints, right: Ints) -> Doubles:
        dots = np.empty(len(left))
        for start in range(0, len(left), PAIRS_AT_ONCE):
            some = slice(start, start + PAIRS_AT_ONCE)
            dots[some] = np.einsum("ij,ij->i", self._sums[left[some]], self._sums[right[some]])
        return dots


def group_sums(labels: Ints, embeddings: Vectors) -> Floats:
    """Return the sum of the vectors of each group 0, 1, 2..., float32, shape (n_groups, n_dims).

    Each is added to those before it, whatever is added at a time.
    """
    faces = np.flatnonzero(labels != NOISE)
    faces = faces[np.argsort(labels[faces], kind="stable")]
    sums = np.zeros((int(labels.max(initial=NOISE)) + 1, embeddings.shape[1]), np.float32)
    for some in slices(len(faces), VECTORS_AT_ONCE):
        groups, which = np.unique(labels[faces[some]], return_inverse=True)
        # In front of the first stands what there is of its group.
        vectors = np.concatenate([sums[groups[:1]], embeddings[faces[some]]])
        which = np.concatenate([[0], which])
        ones = np.ones(len(vectors), np.float32)
        sums[groups] = csr_matrix((ones, (which, np.arange(len(vectors)))), shape=(len(groups), len(vectors))) @ vectors
    return sums


def _different(parts: list[Ints]) -> Ints:
    """Return the numbers, from 0 on, that are in any of these parts, ascending."""
    numbers = np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
    different: Ints = numbers[np.diff(numbers, prepend=-1) != 0]
    return different


def spread(mean_cosines: Doubles) -> Doubles:
    """Return the root mean squared distance that belongs to a mean cosine."""
    return np.sqrt(np.maximum(0.0, 2.0 - 2.0 * mean_cosines))


def _nearest(pairs: NearPairs, n_groups: int) -> tuple[Ints, Doubles]:
    """Return the nearest other group of each and its cost; -1 and infinity for those that have none.

    Of several that are equally near it is the first.
    """
    cost = np.full(n_groups, np.inf)
    np.minimum.at(cost, pairs.left, pairs.costs)
    np.minimum.at(cost, pairs.right, pairs.costs)
    nearest = np.full(n_groups, n_groups)
    for one, other in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
        is_best = pairs.costs == cost[one]
        np.minimum.at(nearest, one[is_best], other[is_best])
    return np.where(nearest < n_groups, nearest, -1), cost
