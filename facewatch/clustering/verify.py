"""What makes wrong merges rare, whatever method proposed the clusters.

One measure decides everything here: the spread between two groups, the root of the mean squared distance over all
pairs of one face from each. Of unit vectors it is sqrt(2 - 2 a.b) with the plain means a and b, so average linkage
needs no matrix of distances, however large a group is: a group is a sum and a size, and the groups it may join are
those that an edge of the graph leads to. The spread is never below the mean distance, so what stays under a ceiling
by spread stays under it by mean distance, too.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

NOISE = -1
"""The label of a face that belongs to no cluster."""

BLOCK_ROWS = 2048
"""Leftover faces compared with all groups at a time: 2048 x 5000 groups of float64 are 80 MB."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When faces may be one person; distances are Euclidean between unit vectors."""

    ceiling: float
    """No two groups join, and no face stays, when the spread is above this."""
    doubt: float
    """Two single faces must be nearer than the ceiling by this; groups of a and b faces by doubt / (a * b)."""
    margin: float
    """A leftover face joins a group when the runner-up group is farther by this."""
    conflict_share: float
    """Groups with photos in common may join when those are at most this share of the smaller group."""
    min_faces: int
    """Smaller groups are noise."""


def refine(
    proposal: NDArray[np.int64],
    embeddings: NDArray[np.float64],
    photos: NDArray[np.int64],
    graph: csr_matrix,
    rules: Rules,
) -> NDArray[np.int64]:
    """Return the labels that survive: clusters cut, cleaned, merged, and joined by leftovers; -1 is noise.

    Args:
        proposal: a method's labels, shape (n_faces,), -1 is noise.
        embeddings: unit vectors, shape (n_faces, n_dims).
        photos: photo id of each face, shape (n_faces,); two faces of one photo never get one label.
        graph: symmetric distances, at least those of each face's neighbours under the ceiling.
        rules: when faces may be one person.
    """
    groups = cut(proposal, embeddings, photos, graph, rules)
    groups = expel_far_faces(groups, embeddings, rules)
    groups = merge(groups, embeddings, photos, graph, rules)
    groups = attach_leftovers(groups, embeddings, photos, rules)
    groups = expel_far_faces(groups, embeddings, rules)
    return _labels_of([group for group in groups if len(group) >= rules.min_faces], len(embeddings))


def cut(
    proposal: NDArray[np.int64],
    embeddings: NDArray[np.float64],
    photos: NDArray[np.int64],
    graph: csr_matrix,
    rules: Rules,
) -> list[list[int]]:
    """Return the groups of two and more that average linkage finds inside each proposed cluster."""
    rows, columns = _edges(graph)
    is_inside = (proposal[rows] == proposal[columns]) & (proposal[rows] != NOISE)
    faces = [[face] for face in range(len(embeddings))]
    linkage = _Linkage(faces, embeddings, photos, rules)
    linkage.run(rows[is_inside], columns[is_inside])
    return [group for group in linkage.groups() if len(group) > 1]


def merge(
    groups: list[list[int]],
    embeddings: NDArray[np.float64],
    photos: NDArray[np.int64],
    graph: csr_matrix,
    rules: Rules,
) -> list[list[int]]:
    """Return the groups after those that agree have become one, whatever cluster they were proposed in."""
    rows, columns = _edges(graph)
    group_of = _labels_of(groups, len(embeddings))
    pairs = np.sort(np.stack([group_of[rows], group_of[columns]], axis=1), axis=1)
    pairs = np.unique(pairs[(pairs[:, 0] != NOISE) & (pairs[:, 0] != pairs[:, 1])], axis=0)
    linkage = _Linkage(groups, embeddings, photos, rules)
    linkage.run(pairs[:, 0], pairs[:, 1])
    return linkage.groups()


def expel_far_faces(groups: list[list[int]], embeddings: NDArray[np.float64], rules: Rules) -> list[list[int]]:
    """Return the groups without faces whose spread to the rest of their group is above the ceiling, farthest first."""
    return [kept for group in groups if len(kept := _without_far_faces(group, embeddings, rules.ceiling)) > 1]


def attach_leftovers(
    groups: list[list[int]], embeddings: NDArray[np.float64], photos: NDArray[np.int64], rules: Rules
) -> list[list[int]]:
    """Return the groups with each face that had none added to its nearest one, if that is near and clearly nearest."""
    if not groups:
        return groups
    joined = [list(group) for group in groups]
    photos_of = [set(photos[group].tolist()) for group in groups]
    for _, face, group in sorted(_wishes(groups, embeddings, rules)):
        photo = int(photos[face])
        if photo not in photos_of[group]:
            joined[group].append(face)
            photos_of[group].add(photo)
    return joined


def _wishes(groups: list[list[int]], embeddings: NDArray[np.float64], rules: Rules) -> Iterator[tuple[float, int, int]]:
    """Yield spread, face and group for each face outside the groups that has a near and clearly nearest group."""
    means = np.stack([embeddings[group].mean(axis=0) for group in groups])
    doubts = rules.doubt / np.array([len(group) for group in groups])
    leftovers = np.flatnonzero(_labels_of(groups, len(embeddings)) == NOISE)
    for start in range(0, len(leftovers), BLOCK_ROWS):
        faces = leftovers[start : start + BLOCK_ROWS]
        spreads = _spread(embeddings[faces] @ means.T)
        nearest = spreads.argmin(axis=1)
        rows = np.arange(len(faces))
        best = spreads[rows, nearest]
        spreads[rows, nearest] = np.inf
        is_clear = (best + doubts[nearest] <= rules.ceiling) & (spreads.min(axis=1) - best >= rules.margin)
        for row in np.flatnonzero(is_clear):
            yield float(best[row]), int(faces[row]), int(nearest[row])


def _without_far_faces(group: list[int], embeddings: NDArray[np.float64], ceiling: float) -> list[int]:
    """Return the faces of a group whose spread to the other ones is at most the ceiling."""
    faces = np.array(group)
    vectors = embeddings[faces]
    total = vectors.sum(axis=0)
    while len(faces) > 1:
        cosines = (vectors @ total - 1.0) / (len(faces) - 1)
        farthest = int(cosines.argmin())
        if _spread(cosines[farthest]) <= ceiling:
            break
        total = total - vectors[farthest]
        faces, vectors = np.delete(faces, farthest), np.delete(vectors, farthest, axis=0)
    kept: list[int] = faces.tolist()
    return kept


class _Linkage:
    """Average linkage over a graph, nearest groups first, that keeps faces of one photo apart.

    A pair of groups without an edge between them is never looked at. While the graph holds all edges under the
    ceiling that changes nothing: an average under the ceiling has a distance under the ceiling in it.

    Groups live in slots; a union takes the slot of its larger part. The heap holds one entry per group: its nearest
    group when last looked. A pair is seen from the end that changed last, so the best entry is the best pair.
    """

    def __init__(
        self, groups: list[list[int]], embeddings: NDArray[np.float64], photos: NDArray[np.int64], rules: Rules
    ) -> None:
        self._embeddings, self._photos, self._rules = embeddings, photos, rules
        self._members = [list(group) for group in groups]
        self._photos_of = [set(photos[group].tolist()) for group in groups]
        self._sums = np.array([embeddings[group].sum(axis=0) for group in groups]).reshape(-1, embeddings.shape[1])
        self._sizes = np.array([len(group) for group in groups], dtype=np.int64)
        # Slots that an edge led to once; `_owner` says where those groups are now.
        self._neighbours: list[NDArray[np.int64]] = []
        self._owner = np.arange(len(groups))
        self._absorbed = [[slot] for slot in range(len(groups))]
        # Counts the changes of a slot: an entry with an older count is stale, -1 is a slot that was absorbed.
        self._version = [0] * len(groups)
        self._heap: list[tuple[float, int, int, int, int]] = []

    def groups(self) -> list[list[int]]:
        """Return the groups as they stand, each a list of faces."""
        return [group for group, version in zip(self._members, self._version, strict=True) if version >= 0]

    def run(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Merge what may be merged, where edges lead from the groups left[i] to right[i]."""
        self._neighbours = _neighbour_lists(left, right, len(self._members))
        for slot in range(len(self._members)):
            self._queue_nearest(slot)
        while self._heap:
            _, a, a_version, b, b_version = heapq.heappop(self._heap)
            if self._version[a] != a_version:
                continue
            if self._version[b] == b_version:
                a = self._join(a, b)
            self._queue_nearest(a)

    def _queue_nearest(self, slot: int) -> None:
        """Queue a group with the nearest one under the ceiling that it may join, if there is one."""
        near = np.unique(self._owner[self._neighbours[slot]])
        self._neighbours[slot] = near = near[near != slot]
        n_pairs = self._sizes[near] * self._sizes[slot]
        costs = _spread(self._sums[near] @ self._sums[slot] / n_pairs) + self._rules.doubt / n_pairs
        is_near = costs <= self._rules.ceiling
        near, costs = near[is_near], costs[is_near]
        for at in np.argsort(costs, kind="stable").tolist():
            other = int(near[at])
            if self._may_join(slot, other):
                entry = (float(costs[at]), slot, self._version[slot], other, self._version[other])
                heapq.heappush(self._heap, entry)
                break

    def _may_join(self, a: int, b: int) -> bool:
        """Two faces of one photo are two people, but one stray face must not keep two large groups apart for ever."""
        n_conflicts = len(self._photos_of[a] & self._photos_of[b])
        return n_conflicts <= self._rules.conflict_share * min(len(self._members[a]), len(self._members[b]))

    def _join(self, a: int, b: int) -> int:
        """Make one group of two and return its slot."""
        if len(self._members[a]) < len(self._members[b]):
            a, b = b, a
        conflicts = self._photos_of[a] & self._photos_of[b]
        self._members[a] += self._members[b]
        self._photos_of[a] |= self._photos_of[b]
        self._sums[a] += self._sums[b]
        if conflicts:
            self._members[a] = self._without_conflicts(self._members[a], conflicts)
            self._sums[a] = self._embeddings[self._members[a]].sum(axis=0)
        self._sizes[a] = len(self._members[a])
        self._neighbours[a] = np.concatenate([self._neighbours[a], self._neighbours[b]])
        self._owner[self._absorbed[b]] = a
        self._absorbed[a] += self._absorbed[b]
        self._version[a] += 1
        self._version[b] = -1
        return a

    def _without_conflicts(self, faces: list[int], conflicts: set[int]) -> list[int]:
        """Return the faces with, of each photo in conflict, only the one that fits the whole best."""
        fits = self._embeddings[faces] @ self._embeddings[faces].sum(axis=0)
        best: dict[int, int] = {}
        for at in np.argsort(-fits, kind="stable").tolist():
            best.setdefault(int(self._photos[faces[at]]), at)
        return [face for at, face in enumerate(faces) if best[int(self._photos[face])] == at]


def _neighbour_lists(left: NDArray[np.int64], right: NDArray[np.int64], n_groups: int) -> list[NDArray[np.int64]]:
    """Return for each group the ends of its edges."""
    ends, others = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.argsort(ends, kind="stable")
    return np.split(others[order], np.searchsorted(ends[order], np.arange(1, n_groups)))


def _edges(graph: csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both ends of every edge of a symmetric graph, each edge once."""
    rows, columns = graph.nonzero()
    once = rows < columns
    return rows[once].astype(np.int64), columns[once].astype(np.int64)


def _labels_of(groups: list[list[int]], n_faces: int) -> NDArray[np.int64]:
    """Return the number of each face's group, -1 where it has none."""
    labels = np.full(n_faces, NOISE, dtype=np.int64)
    for label, group in enumerate(groups):
        labels[group] = label
    return labels


def _spread(mean_cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean squared distance that belongs to a mean cosine."""
    return np.sqrt(np.maximum(0.0, 2.0 - 2.0 * mean_cosines))
