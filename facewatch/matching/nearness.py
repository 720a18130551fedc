"""How near faces are to their own person and to others: distances of all assigned faces at once.

A few matrix products instead of a look into the gallery per face; what `Gallery` decides is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog import NOBODY, FaceTable
from facewatch.matching import distances
from facewatch.people.cluster_plan import distances_within

_BLOCK_FACES = 1024
"""Faces compared with all centroids at a time: 8 MB at 2,000 people."""
_MOST_COSINES = 4_000_000
"""Computed at a time: 16 MB."""
_MOST_ROWS = 8192
"""Of vectors copied at a time: 16 MB of 512-D ones."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """Distances of assigned faces, Euclidean between unit vectors; element i of each belongs together."""

    ids: NDArray[np.int64]
    people: NDArray[np.int64]
    own: NDArray[np.float32]
    """To the nearest other face of its person; NaN: it has no other."""
    centroid: NDArray[np.float32]
    """To the mean direction of its person, itself among them."""
    other: NDArray[np.float32]
    """To the nearest face of another person; NaN: there is no other person."""
    other_people: NDArray[np.int64]
    """Whose that is; NOBODY: there is no other person."""
    pairs: NDArray[np.int64]
    """People that were compared, the lower id first, each pair once; shape (n_pairs, 2)."""
    pair_distances: NDArray[np.float32]
    """Of the nearest faces of each pair."""

    def __len__(self) -> int:
        return len(self.ids)


def nearness(table: FaceTable, *, n_shortlist: int) -> Nearness:
    """Return the distances of the faces of a table that belong to somebody.

    Other people are looked for among the `n_shortlist` whose centroids are nearest to a face, as matching does.
    """
    table = table.take(np.flatnonzero(table.people != NOBODY))
    own, centroid = _within(table)
    people, members = _members(table)
    found, cosines = _look_elsewhere(table, people, members, n_shortlist)
    pairs, pair_distances = _pairs(table.people, people, found, cosines)
    if not found.shape[1]:
        nothing = np.full(len(table), np.nan, np.float32)
        return Nearness(
            table.ids, table.people, own, centroid, nothing, np.full(len(table), NOBODY), pairs, pair_distances
        )
    rows, best = np.arange(len(table)), cosines.argmax(1)
    return Nearness(
        *(table.ids, table.people, own, centroid, distances(cosines[rows, best])),
        *(people[found[rows, best]], pairs, pair_distances),
    )


def _within(table: FaceTable) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return for each face how near it is to the nearest other of its person, and to the centroid."""
    found = [(face_id, near, far) for face_id, near, far in distances_within(table)]
    distances = np.array(sorted(found), np.float32).reshape(-1, 3)
    return distances[:, 1], distances[:, 2]


def _members(table: FaceTable) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the ids of the people, and the rows of each."""
    order = np.argsort(table.people, kind="stable")
    people, starts = np.unique(table.people[order], return_index=True)
    return people, np.split(order, starts[1:]) if len(people) else []


def _look_elsewhere(
    table: FaceTable, people: NDArray[np.int64], members: list[NDArray[np.int64]], n_shortlist: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each face the numbers of the people on its shortlist, and the cosine to the nearest face of each;
    both of shape (n_faces, n), n at most `n_shortlist`."""
    n = min(n_shortlist, max(0, len(people) - 1))
    if not n:
        return np.empty((len(table), 0), np.int64), np.empty((len(table), 0), np.float32)
    found = _shortlists(table, people, _centroids(table, members), n)
    cosines = np.empty(found.size, np.float32)
    asked = np.argsort(found.ravel(), kind="stable")
    bounds = np.searchsorted(found.ravel()[asked], np.arange(len(people) + 1))
    for number, rows in enumerate(members):
        vectors, places = table.embeddings[rows], asked[bounds[number] : bounds[number + 1]]
        step = max(1, min(_MOST_ROWS, _MOST_COSINES // len(rows)))
        for start in range(0, len(places), step):
            block = places[start : start + step]
            cosines[block] = (table.embeddings[block // n] @ vectors.T).max(1)
    return found, cosines.reshape(found.shape)


def _centroids(table: FaceTable, members: list[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return the mean direction of each person, of its good faces where it has any."""
    weights = table.weights
    centroids = np.empty((len(members), table.embeddings.shape[1]), np.float32)
    for number, rows in enumerate(members):
        own = weights[rows] if weights[rows].any() else np.ones(len(rows), np.float32)
        total = own @ table.embeddings[rows]
        centroids[number] = total / max(float(np.linalg.norm(total)), 1e-9)
    return centroids


def _shortlists(
    table: FaceTable, people: NDArray[np.int64], centroids: NDArray[np.float32], n: int
) -> NDArray[np.int64]:
    """Return for each face the numbers of the `n` other people whose centroids are nearest."""
    own = np.searchsorted(people, table.people)
    found = np.empty((len(table), n), np.int64)
    for start in range(0, len(table), _BLOCK_FACES):
        block = slice(start, start + _BLOCK_FACES)
        cosines = table.embeddings[block] @ centroids.T
        rows = np.arange(len(cosines))
        cosines[rows, own[block]] = -2.0
        # A few maxima, one after the other, take a tenth of the time of a partition of rows this short.
        for place in range(n):
            found[block, place] = nearest = cosines.argmax(1)
            cosines[rows, nearest] = -2.0
    return found


def _pairs(
    of_faces: NDArray[np.int64], people: NDArray[np.int64], found: NDArray[np.int64], cosines: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each pair of people that met on a shortlist, and how near their nearest faces are."""
    numbers = np.searchsorted(people, of_faces)[:, None]
    # One number a pair: sorting rows of two takes ten times as long.
    keys = np.minimum(numbers, found) * len(people) + np.maximum(numbers, found)
    order = np.argsort(keys, axis=None, kind="stable")
    pairs, starts = np.unique(keys.ravel()[order], return_index=True)
    best = np.maximum.reduceat(cosines.ravel()[order], starts) if len(pairs) else np.empty(0, np.float32)
    return people[np.stack(np.divmod(pairs, len(people)), axis=1)], distances(best)
