"""The gallery of known people, and the rule by which a face is theirs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from facewatch.matching.aggregation import Aggregation, MatchSettings
from facewatch.matching.lookalikes import Evidence, LookAlikes, Overlaps, Strangers, nearest_pairs
from facewatch.matching.member import UNDATED, Member, MemberFaces, Sketch, Unread, distances, stricter
from facewatch.text import distinguished
from facewatch.types import Match, MatchThresholds, Normalisation, Tier, cosine_of, distance_of

if TYPE_CHECKING:
    from facewatch.types import Flags, Floats, Ints

_FIRST_CAPACITY = 8
_CLEAR = 1.5
"""A runner-up farther than so many margins leaves no doubt."""
_MIN_KNOWN = 4
"""Good faces of a person whose centroid can be trusted with a match that is not near."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """How near a face is to one person, and how near it would have to be."""

    person_id: int
    distance: float
    """That which the aggregation asks for; as a rule that to the nearest exemplar."""
    nearest_id: int
    """The nearest exemplar."""
    is_confirmed: bool
    """Whether a user confirmed that face."""
    centroid_distance: float
    """To the nearest centroid."""
    lead: float
    """How much farther the rival is, infinite when there is none; below 0: that one is nearer."""
    limit: float
    """What `distance` may be at most."""
    centroid_limit: float
    """What `centroid_distance` may be at most; infinite: whatever it is."""
    margin: float
    """What `lead` must be at least."""
    rival_id: int | None
    """That other person: of those who are near the one who comes nearest to forbid it; None: there is none."""
    aggregation: Aggregation = Aggregation.COMBINED
    """What `distance` is."""
    is_proof: bool = True
    """Whether that exemplar can prove anything: not where both faces are poor."""

    @property
    def is_within(self) -> bool:
        """Whether the distances are near enough, whoever else is near."""
        return self.distance <= self.limit and self.centroid_distance <= self.centroid_limit


@dataclass(frozen=True, slots=True)
class _Ranked:
    """One of the shortlist."""

    asked: float
    """The distance that the aggregation asks for."""
    person_id: int
    distance: float
    """To the nearest exemplar."""
    centroid_distance: float
    nearest_id: int
    is_confirmed: bool
    is_proof: bool
    """Whether that face can prove anything: see `Candidate`."""
    stricter: float
    """How much nearer it must be than a face from the same years."""

    @property
    def weighed(self) -> float:
        """The distance that people are compared by."""
        return self.asked + self.stricter


class Gallery:
    """Known people and how they look. Adding a face costs the same whatever is in it; so does identifying one, but for
    the centroids: a row or a few a person.

    The rule: the nearest centroids make a shortlist, the minimum distance to any exemplar of those people decides, and
    the centroid and the runner-up must agree (measured: the member distance alone attracts blurred strangers). Where
    nobody else is near, or a user confirmed the nearest exemplar, a match may be a little farther off; of two named
    people who look alike the other must be farther than usual. With another aggregation than `combined` that distance
    takes the place of the minimum, and the centroid has no say of its own.
    """

    def __init__(self, n_dims: int, thresholds: MatchThresholds, settings: MatchSettings | None = None) -> None:
        self._thresholds = thresholds
        self._settings = settings or MatchSettings()
        self._members: dict[int, Member] = {}
        self._rows: dict[int, int] = {}
        self._people: list[int] = []
        self._centroids = np.empty((_FIRST_CAPACITY, n_dims), np.float32)
        """The first centroid of each person."""
        self._further: dict[int, Floats] = {}
        """The other centroids of the few who have some."""
        self._stacked: tuple[Floats, Ints] | None = None
        self._n_faces = 0
        self._named: set[int] = set()
        self._overlaps = Overlaps(thresholds)
        self._look_alikes: list[LookAlikes] | None = None
        self._unread: Unread | None = None

    def __len__(self) -> int:
        return len(self._people)

    @property
    def n_faces(self) -> int:
        return self._n_faces

    # --- what is known ---

    def fill(
        self,
        people: Ints,
        faces: MemberFaces,
        rows: Ints | None = None,
    ) -> None:
        """Add many faces at once, or these rows of them, of which each belongs to the person in the same row."""
        rows = np.arange(len(people)) if rows is None else rows
        if not len(rows):
            return
        order = rows[np.lexsort((faces.ids[rows], people[rows]))]
        found, starts = np.unique(people[order], return_index=True)
        for person_id, own in zip(found, np.split(order, starts[1:]), strict=True):
            self._extend(int(person_id), faces.take(own))

    def fill_sketched(self, sketches: Mapping[int, Sketch], unread: Unread) -> None:
        """Add people of whom only a sketch is known by now; nobody is here yet."""
        self._unread = unread
        for person_id, sketch in sketches.items():
            read = partial(unread.faces, person_id)
            member = Member.of_sketch(sketch, read, reach=self._thresholds.centroid)
            self._enter(person_id, member)
            self._n_faces += member.n_faces
            self._show(person_id, member)

    def sketches(self) -> dict[int, Sketch]:
        """Return what is asked of everybody first."""
        return {person_id: member.sketched() for person_id, member in self._members.items()}

    def settle(self) -> None:
        """Keep no more faces of anybody than there are to compare with; for a gallery that will be asked often."""
        for member in self._members.values():
            member.settle()

    def put(self, person_id: int, faces: MemberFaces) -> None:
        """Replace all that is known of one person, as if the gallery were filled again; no faces: it is gone."""
        self._remove(person_id)
        if len(faces):
            self._extend(person_id, faces.take(np.argsort(faces.ids)))

    def add(
        self,
        person_id: int,
        embedding: Floats,
        weight: float,
        *,
        face_id: int,
        is_confirmed: bool = False,
        day: int = UNDATED,
    ) -> None:
        """Add one face that moves the centroid by its weight: its quality, 0 for one that may not start a person.

        A face without weight is compared with others only if a user assigned or confirmed it.
        """
        row = MemberFaces(
            embeddings=embedding[None],
            weights=np.array([weight], np.float32),
            ids=np.array([face_id], np.int64),
            confirmed=np.array([is_confirmed]),
            days=np.array([day], np.int64),
        )
        self._extend(person_id, row)

    def only(self, people: Collection[int]) -> Gallery:
        """Return what is known of these people, as if there were nobody else; not to be added to."""
        alone = Gallery(self._centroids.shape[1], self._thresholds, self._settings)
        for person_id in people:
            if (member := self._members.get(person_id)) is not None:
                alone._members[person_id] = member
                alone._rows[person_id] = len(alone._people)
                alone._people.append(person_id)
                alone._n_faces += member.n_faces
        if alone._members:
            alone._centroids = np.stack([member.centroids[0] for member in alone._members.values()])
        alone._further = {one: self._further[one] for one in alone._members.keys() & self._further.keys()}
        return alone

    def set_named(self, people: Collection[int]) -> None:
        """Say who has a name: the faces of these people are distinguished more strictly where they look alike."""
        if self._named != set(people):
            self._named, self._look_alikes = set(people), None

    def _extend(self, person_id: int, faces: MemberFaces) -> None:
        member = self._member(person_id)
        member.extend(faces)
        self._n_faces += len(faces)
        self._show(person_id, member)

    def _show(self, person_id: int, member: Member) -> None:
        """Compare with what the person looks like now."""
        self._centroids[self._rows[person_id]] = member.centroids[0]
        self._set_further(person_id, member.centroids[1:])
        self._look_alikes = None

    def _member(self, person_id: int) -> Member:
        if person_id not in self._members:
            self._enter(person_id, Member(self._centroids.shape[1], reach=self._thresholds.centroid))
        return self._members[person_id]

    def _enter(self, person_id: int, member: Member) -> None:
        self._members[person_id] = member
        self._rows[person_id] = len(self._people)
        self._people.append(person_id)
        if len(self._people) > len(self._centroids):
            self._centroids = np.concatenate([self._centroids, np.empty_like(self._centroids)])

    def _remove(self, person_id: int) -> None:
        if person_id not in self._members:
            return
        self._n_faces -= self._members.pop(person_id).n_faces
        self._set_further(person_id, np.empty((0, self._centroids.shape[1]), np.float32))
        # The last row takes the free place.
        row, last = self._rows.pop(person_id), self._people.pop()
        if last != person_id:
            self._people[row], self._rows[last] = last, row
            self._centroids[row] = self._centroids[len(self._people)]
        self._stacked = self._look_alikes = None

    def _set_further(self, person_id: int, centroids: Floats) -> None:
        if len(centroids) or person_id in self._further:
            self._further[person_id] = centroids
            self._stacked = None
            if not len(centroids):
                del self._further[person_id]

    # --- who is it ---

    def limits(self, tier: Tier) -> tuple[float, float]:
        """Return what the distance of a face of this tier may be, and that to the centroid, in a gallery of this size:
        as a rule the first is that to a member."""
        t = self._thresholds
        less = (
            t.less(self._n_faces) + self._settings.strictness + (0.0 if tier is Tier.ENROLL else t.low_quality_penalty)
        )
        limit, centroid_limit = self._settings.aggregation.limits(t)
        return limit - less, centroid_limit - less

    def identify(
        self, embedding: Floats, tier: Tier = Tier.ENROLL, *, barred: Collection[int] = (), day: int = UNDATED
    ) -> Match | None:
        """Return the best match for a unit vector, accepted or with the rule that refused it; None: nobody is known.

        `barred` people cannot be the answer (a rejection, or they are in the photo already), but as runners-up they
        still count: a face that looks most like a barred person is nobody else's by a small difference. `day` is when
        the face was taken: see `years`.
        """
        ranked = self._shortlist(embedding, self._settings.shortlist, tier, day)
        best = next((near for near in ranked if near.person_id not in barred), None)
        if best is None:
            return None
        runner_up = next((near for near in ranked if near is not best), None)
        refusal = _refusal(self._judge(best, ranked, tier), tier)
        return Match(
            person_id=best.person_id,
            distance=best.distance,
            centroid_distance=best.centroid_distance,
            runner_up_id=runner_up.person_id if runner_up else None,
            runner_up_distance=runner_up.distance if runner_up else None,
            rule=refusal or self._settings.aggregation.rule,
            is_accepted=refusal is None,
        )

    def rank(self, embedding: Floats, n: int, tier: Tier = Tier.ENROLL, *, day: int = UNDATED) -> list[Candidate]:
        """Return the `n` people that a unit vector is nearest to, the nearest first, and what would be asked of a face
        of this tier to be theirs."""
        ranked = self._shortlist(embedding, max(n, self._settings.shortlist), tier, day)
        return [self._judge(near, ranked, tier) for near in ranked[:n]]

    def is_near(self, embeddings: Floats) -> Flags:
        """Return for each unit vector whether any centroid is near enough for `identify` to accept; cheap for many.

        Where the aggregation says nothing of centroids, all may be near enough.
        """
        limit = self.limits(Tier.ENROLL)[self._settings.aggregation is not Aggregation.CENTROID]
        if not self._people or math.isinf(limit):
            return np.full(len(embeddings), bool(self._people))
        limit += self._thresholds.no_rival_bonus + self._thresholds.confirmed
        further, _ = self._stack()
        years = [member.years.middles for member in self._members.values()]
        centroids = np.concatenate([self._centroids[: len(self._people)], further, *years])
        nearest = np.concatenate([(block @ centroids.T).max(1) for block in _blocks(embeddings)])
        # Rounding must not make it stricter than `identify`.
        near: Flags = nearest >= cosine_of(limit) - 1e-5
        return near

    def _shortlist(self, embedding: Floats, n: int, tier: Tier, day: int) -> list[_Ranked]:
        """Return how near the people are whose centroids are nearest, the nearest first by the aggregation."""
        if not self._people:
            return []
        similarities = self._centroids[: len(self._people)] @ embedding
        if self._further:
            further, rows = self._stack()
            np.maximum.at(similarities, rows, further @ embedding)
        n = min(n, len(similarities))
        listed = np.argpartition(-similarities, n - 1)[:n]
        return sorted(
            (self._near(self._people[row], embedding, float(similarities[row]), tier, day) for row in listed),
            key=lambda near: (near.weighed, near.person_id),
        )

    def _near(self, person_id: int, embedding: Floats, similarity: float, tier: Tier, day: int) -> _Ranked:
        """Compare a face with a person, a poor one with good faces only: poor ones look like each other, also those
        that a user assigned."""
        member = self._members[person_id]
        enrolling = member.exemplars if tier is Tier.ENROLL else member.exemplars.take(member.exemplars.weights > 0)
        exemplars = enrolling if len(enrolling) else member.exemplars
        cosines = exemplars.embeddings @ embedding
        more = stricter(exemplars.days, day, self._thresholds.years)
        row = int((distances(cosines) + more).argmin() if more.any() else cosines.argmax())
        if day != UNDATED and len(middles := member.years.around(day)):
            similarity = max(similarity, float((middles @ embedding).max()))
        nearest, centroid = distance_of(float(cosines[row])), distance_of(similarity)
        return _Ranked(
            asked=self._settings.aggregation.distance(cosines, nearest=nearest, centroid=centroid),
            person_id=person_id,
            distance=nearest,
            centroid_distance=centroid,
            nearest_id=int(exemplars.ids[row]),
            is_confirmed=bool(exemplars.confirmed[row]),
            is_proof=bool(len(enrolling)),
            stricter=float(more[row]),
        )

    def _stack(self) -> tuple[Floats, Ints]:
        """Return the centroids behind the first ones, and the row of the person each belongs to."""
        if self._stacked is None:
            rows = [self._rows[person_id] for person_id, further in self._further.items() for _ in further]
            stacked = np.concatenate([*self._further.values(), np.empty((0, self._centroids.shape[1]), np.float32)])
            self._stacked = stacked, np.array(rows, np.int64)
        return self._stacked

    def _judge(self, near: _Ranked, ranked: Sequence[_Ranked], tier: Tier) -> Candidate:
        """Return what is asked of a face to be this person's, and the other person who comes nearest to forbid it."""
        t = self._thresholds
        others = [other for other in ranked if other is not near]
        lead = others[0].weighed - near.weighed if others else math.inf
        more = t.confirmed if near.is_confirmed else 0.0
        if lead >= _CLEAR * t.margin and self._members[near.person_id].n_good >= _MIN_KNOWN:
            more += t.no_rival_bonus
        limit, centroid_limit = self.limits(tier)
        margins = [(t.margin + self._stricter(near, other), other) for other in others]
        rival = min(margins, key=lambda entry: entry[1].weighed - entry[0], default=None)
        return Candidate(
            person_id=near.person_id,
            distance=near.asked,
            nearest_id=near.nearest_id,
            is_confirmed=near.is_confirmed,
            centroid_distance=near.centroid_distance,
            lead=rival[1].weighed - near.weighed if rival else math.inf,
            limit=limit + more - near.stricter,
            centroid_limit=centroid_limit + more,
            margin=rival[0] if rival else t.margin,
            rival_id=rival[1].person_id if rival else None,
            aggregation=self._settings.aggregation,
            is_proof=near.is_proof,
        )

    # --- strangers ---

    def strangers(self, normalisation: Normalisation) -> Strangers | None:
        """Return the people of now as strangers of each other; None: there is nobody."""
        return Strangers(self._members, normalisation, self._unread) if self._members else None

    # --- look-alikes ---

    def look_alikes(self) -> list[LookAlikes]:
        """Return the pairs of named people whose faces could be matched with each other, the most alike first."""
        if self._look_alikes is None:
            named = np.array(sorted(self._named & self._rows.keys()), np.int64)
            centroids = self._centroids[[self._rows[int(person)] for person in named]]
            self._overlaps.keep(named.tolist())
            pairs = nearest_pairs(centroids, named, self._settings.shortlist)
            found = (self._overlaps.compare(low, high, self._members) for low, high in pairs)
            self._look_alikes = sorted((pair for pair in found if pair), key=lambda pair: pair.distance)
        return list(self._look_alikes)

    def look_alikes_beside_strangers(
        self, normalisation: Normalisation | None
    ) -> list[tuple[LookAlikes, Evidence | None]]:
        """Return those of the pairs who are as alike as a face and its group must be, beyond strangers: in film stills
        every pair is within the limits. The most alike first; without `normalisation` all pairs."""
        pairs = self.look_alikes()
        if normalisation is None or (strangers := self.strangers(normalisation)) is None:
            return [(pair, None) for pair in pairs]
        found = [(pair, strangers.of_people(pair.person_id, pair.other_id)) for pair in pairs]
        found.sort(key=lambda entry: -entry[1].normalised)
        return [(pair, evidence) for pair, evidence in found if evidence.normalised >= normalisation.attach]

    def _stricter(self, near: _Ranked, other: _Ranked) -> float:
        """Return how much the margin between two people grows; only computed where it could matter."""
        is_far = abs(other.weighed - near.weighed) >= 2 * self._thresholds.margin
        if is_far or not {near.person_id, other.person_id} <= self._named:
            return 0.0
        pair = self._overlaps.compare(near.person_id, other.person_id, self._members)
        return pair.stricter if pair else 0.0


def _refusal(candidate: Candidate, tier: Tier) -> str | None:
    if tier is Tier.SHOW:
        return "too poor to be matched"
    if not candidate.is_proof:
        return "only poor faces are known of this person, and two poor faces prove nothing"
    if candidate.distance > candidate.limit:
        distance, limit = distinguished(candidate.distance, candidate.limit, n_digits=3)
        return f"{candidate.aggregation.words} is at {distance}, farther than {limit}"
    if candidate.centroid_distance > candidate.centroid_limit:
        distance, limit = distinguished(candidate.centroid_distance, candidate.centroid_limit, n_digits=3)
        return f"centroid is at {distance}, farther than {limit}"
    if candidate.lead < candidate.margin:
        lead, margin = distinguished(candidate.lead, candidate.margin, n_digits=3)
        if candidate.lead < 0:
            return f"another person is {lead.removeprefix('-')} nearer"
        return f"runner-up is only {lead} farther, less than {margin}"
    return None


def match_photo(
    gallery: Gallery,
    embeddings: Floats,
    tiers: Sequence[Tier],
    barred: Sequence[Collection[int]],
    *,
    day: int = UNDATED,
) -> list[Match | None]:
    """Return a match for every face of one photo, no person twice: the nearest face of each person keeps it.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
        barred: for each face, people that it cannot be.
        day: when the photo was taken.
    """
    matches = [
        gallery.identify(embedding, tier, barred=bar, day=day)
        for embedding, tier, bar in zip(embeddings, tiers, barred, strict=True)
    ]
    winners: dict[int, int] = {}
    for i in sorted(range(len(matches)), key=lambda i: matches[i].distance if matches[i] else math.inf):  # type: ignore[union-attr]
        match = matches[i]
        if match is None or not match.is_accepted:
            continue
        if match.person_id in winners:
            rule = "another face of this photo is nearer to this person"
            matches[i] = replace(match, rule=rule, is_accepted=False)
        else:
            winners[match.person_id] = i
    return matches


def _blocks(rows: Floats, size: int = 1024) -> Iterable[Floats]:
    return [rows[i : i + size] for i in range(0, max(1, len(rows)), size)]
