"""Who is this face? The gallery of known people, in arrays and ids only."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facewatch.types import Match, Thresholds, Tier

_FIRST_CAPACITY = 8


@dataclass(slots=True)
class _Member:
    """The faces of one person: rows that grow in place, and the weighted sum that its centroid is made from."""

    embeddings: NDArray[np.float32]
    n: int = 0
    weight: float = 0.0
    weighted_sum: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def extend(self, embeddings: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        n = self.n + len(embeddings)
        if n > len(self.embeddings):
            grown = np.empty((max(_FIRST_CAPACITY, n, 2 * self.n), self.embeddings.shape[1]), np.float32)
            grown[: self.n] = self.embeddings[: self.n]
            self.embeddings = grown
        self.embeddings[self.n : n] = embeddings
        self.n = n
        self.weighted_sum = self.weighted_sum + weights @ embeddings
        self.weight += float(weights.sum())

    def centroid(self) -> NDArray[np.float32]:
        """The direction of the mean of the good faces by weight; of all where none is good (a user placed them)."""
        total = self.weighted_sum if self.weight > 0 else self.embeddings[: self.n].sum(0)
        length = float(np.linalg.norm(total))
        unit: NDArray[np.float32] = total / length if length > 0 else self.embeddings[0]
        return unit


class Gallery:
    """Known people and how they look. Adding a face costs the same whatever is in it; so does identifying one, but for
    the centroids: one row a person.

    The rule: the nearest centroids make a shortlist, the minimum distance to any member of those people decides, and
    the centroid and the runner-up must agree (measured: the member distance alone attracts blurred strangers).
    """

    def __init__(self, n_dims: int, thresholds: Thresholds, *, shortlist: int = 5, strictness: float = 0.0) -> None:
        self._n_dims = n_dims
        self._thresholds = thresholds
        self._n_shortlist = shortlist
        self._strictness = strictness
        self._members: dict[int, _Member] = {}
        self._rows: dict[int, int] = {}
        self._people: list[int] = []
        self._centroids = np.empty((_FIRST_CAPACITY, n_dims), np.float32)
        self._n_faces = 0

    def __len__(self) -> int:
        return len(self._people)

    @property
    def n_faces(self) -> int:
        return self._n_faces

    def fill(self, people: NDArray[np.int64], embeddings: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Add many faces at once: person id, unit vector, and weight in the centroid, row by row; see `add`."""
        if not len(people):
            return
        order = np.argsort(people, kind="stable")
        ids, starts = np.unique(people[order], return_index=True)
        for person_id, rows in zip(ids, np.split(order, starts[1:]), strict=True):
            member = self._member(int(person_id))
            member.extend(embeddings[rows], weights[rows])
            self._set_centroid(int(person_id), member)
        self._n_faces += len(people)

    def add(self, person_id: int, embedding: NDArray[np.float32], weight: float) -> None:
        """Add one face that moves the centroid by its weight: its quality, 0 for one that may not found anybody."""
        member = self._member(person_id)
        member.extend(embedding[None], np.array([weight], np.float32))
        self._set_centroid(person_id, member)
        self._n_faces += 1

    def limits(self, tier: Tier) -> tuple[float, float]:
        """Return how near a face of this tier must be to a member and to the centroid, in a gallery of this size.

        The best match of a stranger comes nearer the more faces it is compared with; so both shrink with the
        logarithm of their number. A gallery smaller than the calibration's is not given more room.
        """
        t = self._thresholds
        decades = max(0.0, math.log10(max(1, self._n_faces) / t.gallery_size))
        less = t.per_decade * decades + self._strictness + (0.0 if tier is Tier.FOUND else t.poor)
        return t.match - less, t.centroid - less

    def identify(
        self, embedding: NDArray[np.float32], tier: Tier = Tier.FOUND, *, barred: Collection[int] = ()
    ) -> Match | None:
        """Return the best match for a unit vector, accepted or with the rule that refused it; None: nobody is known.

        `barred` people cannot be the answer (a rejection, or they are in the photo already), but as runners-up they
        still count: a face that looks most like a barred person is nobody else's by a small difference.
        """
        ranked = self._rank(embedding)
        candidates = [entry for entry in ranked if entry[1] not in barred]
        if not candidates:
            return None
        distance, person_id, centroid_distance = candidates[0]
        runner_up = next((entry for entry in ranked if entry[1] != person_id), None)
        refusal = self._refusal(distance, centroid_distance, runner_up, tier)
        return Match(
            person_id=person_id,
            distance=distance,
            centroid_distance=centroid_distance,
            runner_up_id=runner_up[1] if runner_up else None,
            runner_up_distance=runner_up[0] if runner_up else None,
            rule=refusal or "nearest member, centroid and margin agree",
            is_accepted=refusal is None,
        )

    def is_near(self, embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each unit vector whether any centroid is near enough for `identify` to accept; cheap for many."""
        if not self._people:
            return np.zeros(len(embeddings), np.bool_)
        _, limit = self.limits(Tier.FOUND)
        nearest = np.concatenate(
            [(block @ self._centroids[: len(self._people)].T).max(1) for block in _blocks(embeddings)]
        )
        near: NDArray[np.bool_] = nearest >= 1 - limit * limit / 2
        return near

    def _rank(self, embedding: NDArray[np.float32]) -> list[tuple[float, int, float]]:
        """Return (distance to the nearest member, person, distance to the centroid) of the shortlist, nearest first."""
        if not self._people:
            return []
        similarities = self._centroids[: len(self._people)] @ embedding
        n = min(self._n_shortlist, len(similarities))
        rows = np.argpartition(-similarities, n - 1)[:n]
        entries = []
        for row in rows:
            member = self._members[self._people[row]]
            nearest = float((member.embeddings[: member.n] @ embedding).max())
            entries.append((_distance(nearest), self._people[row], _distance(float(similarities[row]))))
        return sorted(entries)

    def _refusal(
        self, distance: float, centroid_distance: float, runner_up: tuple[float, int, float] | None, tier: Tier
    ) -> str | None:
        if tier is Tier.SHOW:
            return "too poor to be matched"
        limit, centroid_limit = self.limits(tier)
        if distance > limit:
            return f"nearest member is at {distance:.3f}, farther than {limit:.3f}"
        if centroid_distance > centroid_limit:
            return f"centroid is at {centroid_distance:.3f}, farther than {centroid_limit:.3f}"
        if runner_up and runner_up[0] - distance < self._thresholds.margin:
            return f"runner-up is only {runner_up[0] - distance:.3f} farther, less than {self._thresholds.margin:.3f}"
        return None

    def _member(self, person_id: int) -> _Member:
        if person_id not in self._members:
            self._members[person_id] = _Member(
                np.empty((0, self._n_dims), np.float32), weighted_sum=np.zeros(self._n_dims, np.float32)
            )
            self._rows[person_id] = len(self._people)
            self._people.append(person_id)
            if len(self._people) > len(self._centroids):
                self._centroids = np.concatenate([self._centroids, np.empty_like(self._centroids)])
        return self._members[person_id]

    def _set_centroid(self, person_id: int, member: _Member) -> None:
        self._centroids[self._rows[person_id]] = member.centroid()


def settle_photo(
    gallery: Gallery,
    embeddings: NDArray[np.float32],
    tiers: Sequence[Tier],
    barred: Sequence[Collection[int]],
) -> list[Match | None]:
    """Return a match for every face of one photo, no person twice: the nearest face of each person keeps it.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
        barred: for each face, people that it cannot be.
    """
    matches = [
        gallery.identify(embedding, tier, barred=bar)
        for embedding, tier, bar in zip(embeddings, tiers, barred, strict=True)
    ]
    winners: dict[int, int] = {}
    for i in sorted(range(len(matches)), key=lambda i: matches[i].distance if matches[i] else math.inf):  # type: ignore[union-attr]
        match = matches[i]
        if match is None or not match.is_accepted:
            continue
        if match.person_id in winners:
            matches[i] = _refused(match, "another face of this photo is nearer to this person")
        else:
            winners[match.person_id] = i
    return matches


def _blocks(rows: NDArray[np.float32], size: int = 1024) -> list[NDArray[np.float32]]:
    return [rows[i : i + size] for i in range(0, max(1, len(rows)), size)]


def _refused(match: Match, rule: str) -> Match:
    return Match(
        *(match.person_id, match.distance, match.centroid_distance, match.runner_up_id, match.runner_up_distance),
        rule=rule,
        is_accepted=False,
    )


def _distance(cosine: float) -> float:
    """Return the Euclidean distance of two unit vectors with this cosine."""
    return math.sqrt(max(0.0, 2.0 - 2.0 * cosine))
