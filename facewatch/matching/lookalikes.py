"""Named people who look alike, so that more is asked before a face is given to one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.cohort import MOST_MEMBERS, MOST_OF_ONE, Cohort
from facewatch.matching.member import Member, distances
from facewatch.types import MatchThresholds

if TYPE_CHECKING:
    from facewatch.matching.member import Unread
    from facewatch.types import Floats, Ints, Normalisation


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

    def __init__(self, thresholds: MatchThresholds) -> None:
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


def nearest_pairs(centroids: Floats, people: Ints, n: int) -> list[tuple[int, int]]:
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


@dataclass(frozen=True, slots=True)
class Evidence:
    """How alike two are, as cosines of centred vectors."""

    similarity: float
    strangers: float
    """What the two have with strangers, on the mean."""

    @property
    def normalised(self) -> float:
        return self.similarity - self.strangers


class Strangers:
    """Known people as strangers of each other: few faces of each, and of many people not all."""

    def __init__(
        self, members: Mapping[int, Member], normalisation: Normalisation, unread: Unread | None = None
    ) -> None:
        """`members` may change later; who the strangers are stays. `unread`: what those leave out who are sketched."""
        self._members = members
        first: dict[int, Floats] = {}
        sketched: dict[int, Ints] = {}
        groups: list[int] = []
        for person_id in np.random.default_rng(0).permutation(sorted(members)).tolist():
            # What its poor faces have with others says nothing of it.
            if (sketch := members[person_id].sketch) is not None:
                sketched[person_id] = sketch.first
            else:
                first[person_id] = members[person_id].first_enrolling(MOST_OF_ONE)
            groups += [person_id] * len(sketch.first if sketch else first[person_id])
            if len(groups) >= MOST_MEMBERS:
                break
        if unread is not None:
            first |= _vectors_of(sketched, unread)
        vectors = np.concatenate([first[person_id] for person_id in dict.fromkeys(groups)])
        self._cohort = Cohort.of(vectors, np.array(groups, np.int64), normalisation)

    @property
    def n_faces(self) -> int:
        """Faces that stand for all."""
        return len(self._cohort)

    def of_face(self, embedding: Floats, own_id: int, person_id: int) -> Evidence:
        """Return how alike a face and a person are.

        Args:
            own_id: whose the face is; any number that is no person's id: it is unassigned.
        """
        return self._evidence(self._cohort.centred(embedding[None])[0], self._middle(person_id), own_id, person_id)

    def of_people(self, one: int, other: int) -> Evidence:
        """Return how alike two people are as a whole."""
        return self._evidence(self._middle(one), self._middle(other), one, other)

    def _middle(self, person_id: int) -> Floats:
        total = self._cohort.centred(self._members[person_id].enrolling).sum(axis=0)
        middle: Floats = total / max(float(np.linalg.norm(total)), 1e-6)
        return middle

    def _evidence(self, vector: Floats, middle: Floats, one: int, other: int) -> Evidence:
        # Neither of them is a stranger to the other here.
        groups = self._cohort.groups
        cohort = replace(self._cohort, groups=np.where(groups == one, other, groups))
        strangers = cohort.similarity(np.stack([vector, middle]), np.array([other, other]))
        return Evidence(float(vector @ middle), float(strangers.mean()))


def _vectors_of(faces: Mapping[int, Ints], unread: Unread) -> dict[int, Floats]:
    """Return the vectors of faces of people, read together: for one after the other it would take five times as
    long."""
    ids = np.unique(np.concatenate([np.zeros(0, np.int64), *faces.values()]))
    vectors = unread.vectors(ids)
    return {person_id: vectors[np.searchsorted(ids, own)] for person_id, own in faces.items()}
