"""How near faces are to their own person and to others: distances of all assigned faces at once.

A few matrix products instead of a search of the gallery per face; what `Gallery` decides is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.matching.member import distances

if TYPE_CHECKING:
    from facewatch.types import Floats, Ints

_BLOCK_FACES = 1024
"""Faces compared with all of their person, or with all centroids, at a time: 8 MB at 2,000 people."""
_MOST_COSINES = 4_000_000
"""Computed at a time: 16 MB."""
_MOST_ROWS = 8192
"""Of vectors copied at a time: 16 MB of 512-D ones."""

_NO_PERSON = 0


@dataclass(frozen=True, slots=True)
class Nearness:
    """Distances of assigned faces, Euclidean between unit vectors; element i of each belongs together."""

    ids: Ints
    people: Ints
    own: Floats
    """To the nearest other face of its person; NaN: it has no other."""
    centroid: Floats
    """To the mean direction of its person, itself among them."""
    other: Floats
    """To the nearest face of another person; NaN: there is no other person."""
    other_people: Ints
    """Whose that is; 0: there is no other person."""
    pairs: Ints
    """People that were compared, the lower id first, each pair once; shape (n_pairs, 2)."""
    pair_distances: Floats
    """Of the nearest faces of each pair."""

    def __len__(self) -> int:
        return len(self.ids)


def nearness(ids: Ints, people: Ints, embeddings: Floats, weights: Floats, *, n_shortlist: int) -> Nearness:
    """Return the distances of faces of which each belongs to somebody.

    Other people are looked for among the `n_shortlist` whose centroids are nearest to a face, as matching does.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
        weights: what each face counts in the centroid of its person.
    """
    own, centroid = distances_within(people, embeddings)
    everybody = np.unique(people)
    found, cosines = _nearest_others(people, embeddings, weights, n_shortlist)
    pairs, pair_distances = _pairs(people, everybody, found, cosines)
    other, other_people = np.full(len(ids), np.nan, np.float32), np.full(len(ids), _NO_PERSON)
    if found.shape[1]:
        rows, best = np.arange(len(ids)), cosines.argmax(1)
        other, other_people = distances(cosines[rows, best]), everybody[found[rows, best]]
    return Nearness(
        ids=ids,
        people=people,
        own=own,
        centroid=centroid,
        other=other,
        other_people=other_people,
        pairs=pairs,
        pair_distances=pair_distances,
    )


def distances_within(people: Ints, embeddings: Floats) -> tuple[Floats, Floats]:
    """Return for each face how near it is to the nearest other of its person, NaN where there is none, and to the mean
    direction of its person."""
    nearest, centroid = np.empty(len(people), np.float32), np.empty(len(people), np.float32)
    for rows in _members(people)[1]:
        vectors = embeddings[rows]
        total = vectors.sum(0)
        middle = total / max(float(np.linalg.norm(total)), 1e-9)
        for start in range(0, len(rows), _BLOCK_FACES):
            here, block = rows[start : start + _BLOCK_FACES], vectors[start : start + _BLOCK_FACES]
            cosines = block @ vectors.T
            own = np.arange(len(here))
            cosines[own, start + own] = -1.0
            nearest[here] = distances(cosines.max(1)) if len(rows) > 1 else np.nan
            centroid[here] = distances(block @ middle)
    return nearest, centroid


def _members(people: Ints) -> tuple[Ints, list[Ints]]:
    """Return the ids of the people, and the rows of each."""
    order = np.argsort(people, kind="stable")
    everybody, starts = np.unique(people[order], return_index=True)
    return everybody, np.split(order, starts[1:]) if len(everybody) else []


def _nearest_others(people: Ints, embeddings: Floats, weights: Floats, n_shortlist: int) -> tuple[Ints, Floats]:
    """Return for each face the numbers of the people on its shortlist, and the cosine to the nearest face of each;
    both of shape (n_faces, n), n at most `n_shortlist`."""
    everybody, members = _members(people)
    n = min(n_shortlist, max(0, len(everybody) - 1))
    if not n:
        return np.empty((len(people), 0), np.int64), np.empty((len(people), 0), np.float32)
    centroids = _centroids(embeddings, weights, members)
    found = _shortlists(embeddings, np.searchsorted(everybody, people), centroids, n)
    cosines = np.empty(found.size, np.float32)
    asked = np.argsort(found.ravel(), kind="stable")
    bounds = np.searchsorted(found.ravel()[asked], np.arange(len(everybody) + 1))
    for number, rows in enumerate(members):
        vectors, places = embeddings[rows], asked[bounds[number] : bounds[number + 1]]
        step = max(1, min(_MOST_ROWS, _MOST_COSINES // len(rows)))
        for start in range(0, len(places), step):
            block = places[start : start + step]
            cosines[block] = (embeddings[block // n] @ vectors.T).max(1)
    return found, cosines.reshape(found.shape)


def _centroids(embeddings: Floats, weights: Floats, members: list[Ints]) -> Floats:
    """Return the mean direction of each person, of its good faces where it has any."""
    centroids = np.empty((len(members), embeddings.shape[1]), np.float32)
    for number, rows in enumerate(members):
        own = weights[rows] if weights[rows].any() else np.ones(len(rows), np.float32)
        total = own @ embeddings[rows]
        centroids[number] = total / max(float(np.linalg.norm(total)), 1e-9)
    return centroids


def _shortlists(embeddings: Floats, own: Ints, centroids: Floats, n: int) -> Ints:
    """Return for each face the numbers of the `n` other people whose centroids are nearest; `own`: the number of its
    own person."""
    found = np.empty((len(embeddings), n), np.int64)
    for start in range(0, len(embeddings), _BLOCK_FACES):
        block = slice(start, start + _BLOCK_FACES)
        cosines = embeddings[block] @ centroids.T
        rows = np.arange(len(cosines))
        cosines[rows, own[block]] = -2.0
        # A few maxima, one after the other, take a tenth of the time of a partition of rows this short.
        for place in range(n):
            found[block, place] = nearest = cosines.argmax(1)
            cosines[rows, nearest] = -2.0
    return found


def _pairs(of_faces: Ints, people: Ints, found: Ints, cosines: Floats) -> tuple[Ints, Floats]:
    """Return each pair of people that met on a shortlist, and how near their nearest faces are."""
    numbers = np.searchsorted(people, of_faces)[:, None]
    # One number a pair: sorting rows of two takes ten times as long.
    keys = np.minimum(numbers, found) * len(people) + np.maximum(numbers, found)
    order = np.argsort(keys, axis=None, kind="stable")
    pairs, starts = np.unique(keys.ravel()[order], return_index=True)
    best = np.maximum.reduceat(cosines.ravel()[order], starts) if len(pairs) else np.empty(0, np.float32)
    return people[np.stack(np.divmod(pairs, len(people)), axis=1)], distances(best)
