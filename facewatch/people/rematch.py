"""The result of matching a face now as if it were new. Writes nothing.

It is asked of the gallery that decides (`matching.Gallery`), with the face itself left out of its person; no rule is
written down a second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY, Catalog, FaceTable
from facewatch.matching import Aggregation, match_photo
from facewatch.people.identities import put_faces
from facewatch.types import Match, Tier

if TYPE_CHECKING:
    from facewatch.matching import Candidate, Evidence, Gallery
    from facewatch.types import Floats, Normalisation


@dataclass(frozen=True, slots=True)
class NearestFace:
    """The face of a person that is nearest to another."""

    face_id: int
    photo: str | None
    """A file that shows it; None: it is not in the library now."""
    is_confirmed: bool
    """Whether a user assigned or confirmed it."""


@dataclass(frozen=True, slots=True)
class Rival:
    """The other person who comes nearest to forbid a match."""

    person_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near a face is to a person now, and how near it would have to be; distances are Euclidean between unit
    vectors."""

    person_id: int
    name: str
    distance: float
    """That which `match.aggregation` asks for; as a rule that to the nearest other face of the person."""
    limit: float
    """What that may be at most."""
    nearest: NearestFace
    centroid_distance: float
    """To the middle of the person's faces."""
    centroid_limit: float | None
    """None: whatever it is."""
    lead: float | None
    """How much farther the rival is, below 0: nearer; None: there is no other person."""
    margin: float
    """What that must be at least."""
    rival: Rival | None
    aggregation: Aggregation = Aggregation.COMBINED
    """What `distance` is."""
    evidence: Evidence | None = None
    """How alike the face and the middle of the person's faces are, and what they have with strangers; None: the engine
    has no figures for that, or the settings do not want them."""

    @property
    def centroid_missing(self) -> float:
        """How much farther than allowed the centroid is; not above 0: it forbids nothing."""
        return self.centroid_distance - self.centroid_limit if self.centroid_limit is not None else -math.inf

    @property
    def is_within(self) -> bool:
        """Whether the face could be this person, whoever else is near."""
        return self.distance <= self.limit and self.centroid_missing <= 0

    @property
    def is_rivalled(self) -> bool:
        """Whether another person is too near for it to be this one."""
        return self.lead is not None and self.lead < self.margin


@dataclass(frozen=True, slots=True)
class Rematch:
    """The result of matching the face now as if it were new."""

    person_id: int | None
    """Who it would be; None: nobody."""
    judged_id: int | None
    """Whom the rule is about: the nearest person that it could be; None: there is nobody whom it could be."""
    rule: str | None
    """The rule that decides, with its numbers; None: there is nobody whom it could be."""
    likenesses: tuple[Likeness, ...]
    """Who it looks like, the nearest first; its own person is always among them, unless the face is its only one."""
    n_known: int
    """Known faces that it is compared with."""

    def of(self, person_id: int | None) -> Likeness | None:
        """Return how near it is to this person."""
        return next((near for near in self.likenesses if near.person_id == person_id), None)


def rematch_of(one: Compared, name_of: Callable[[int], str], photos: Mapping[int, str | None]) -> Rematch:
    """Return in facts what the gallery says of a face; `photos` are files that show the nearest faces."""
    return Rematch(
        person_id=one.match.person_id if one.match and one.match.is_accepted else None,
        judged_id=one.match.person_id if one.match else None,
        rule=one.match.rule if one.match else None,
        likenesses=tuple(
            _likeness(near, name_of, photos.get(near.nearest_id), one.evidence.get(near.person_id))
            for near in one.candidates
        ),
        n_known=one.n_known,
    )


def _likeness(near: Candidate, name_of: Callable[[int], str], path: str | None, evidence: Evidence | None) -> Likeness:
    return Likeness(
        person_id=near.person_id,
        name=name_of(near.person_id),
        distance=near.distance,
        limit=near.limit,
        nearest=NearestFace(near.nearest_id, path, near.is_confirmed),
        centroid_distance=near.centroid_distance,
        centroid_limit=near.centroid_limit if math.isfinite(near.centroid_limit) else None,
        lead=near.lead if math.isfinite(near.lead) else None,
        margin=near.margin,
        rival=Rival(near.rival_id, name_of(near.rival_id)) if near.rival_id is not None else None,
        aggregation=near.aggregation,
        evidence=evidence,
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """What the gallery says of a face."""

    match: Match | None
    candidates: tuple[Candidate, ...]
    n_known: int
    evidence: Mapping[int, Evidence] = field(default_factory=dict)
    """How alike the face and each of these people are beside what they have with strangers."""


class Comparing:
    """Asks the gallery that decides about faces that it may know already."""

    def __init__(
        self,
        catalog: Catalog,
        engine_id: int,
        n_dims: int,
        gallery: Callable[[], Gallery],
        *,
        n_ranked: int,
        normalisation: Normalisation | None,
    ) -> None:
        """`gallery` returns that of the engine in use, nobody else's: faces leave it for a moment. `n_ranked` is how
        many people it compares; without `normalisation` nothing is said of strangers."""
        self._load = partial(catalog.faces.load, engine_id, n_dims=n_dims, with_references=True)
        self._gallery = cache(gallery)
        # Made while nobody has left the gallery, so that what is said of a face does not depend on the others.
        self._strangers = cache(lambda: self._gallery().strangers(normalisation) if normalisation else None)
        self._n_ranked = n_ranked

    def photo(self, photo_id: int, barred: Mapping[int, Collection[int]]) -> dict[int, Compared]:
        """Return how each face of a photo that nobody marked compares with all others, by id."""
        table, gallery = self._load(photo_id=photo_id), self._gallery()
        self._strangers()
        free = table.take(table.people == NOBODY)
        matches = match_photo(
            gallery,
            free.embeddings,
            [Tier(tier) for tier in free.tiers],
            [barred.get(int(face_id), ()) for face_id in free.ids],
            day=table.day,
        )
        found = {
            int(face_id): self._compared(
                match, self._ranked(gallery, embedding, Tier(tier), table.day), gallery, embedding, NOBODY
            )
            for face_id, embedding, tier, match in zip(free.ids, free.embeddings, free.tiers, matches, strict=True)
        }
        for row in np.flatnonzero(table.people != NOBODY):
            face = table.take(np.array([row]))
            found[int(face.ids[0])] = self._known(gallery, face, barred.get(int(face.ids[0]), ()))
        return found

    def _known(self, gallery: Gallery, face: FaceTable, barred: Collection[int]) -> Compared:
        """Compare a face of somebody as if it were new."""
        person_id, embedding, tier = int(face.people[0]), face.embeddings[0], Tier(face.tiers[0])
        members = self._load(people=[person_id])
        put_faces(gallery, person_id, members.take(members.ids != face.ids[0]))
        try:
            candidates = self._ranked(gallery, embedding, tier, face.day)
            if person_id not in {near.person_id for near in candidates}:
                everybody = gallery.rank(embedding, max(1, len(gallery)), tier, day=face.day)
                candidates += tuple(near for near in everybody if near.person_id == person_id)
            match = gallery.identify(embedding, tier, barred=barred, day=face.day)
            return self._compared(match, candidates, gallery, embedding, person_id)
        finally:
            put_faces(gallery, person_id, members)

    def _compared(
        self,
        match: Match | None,
        candidates: tuple[Candidate, ...],
        gallery: Gallery,
        embedding: Floats,
        own_id: int,
    ) -> Compared:
        strangers = self._strangers()
        evidence = (
            {near.person_id: strangers.of_face(embedding, own_id, near.person_id) for near in candidates}
            if strangers
            else {}
        )
        return Compared(match, candidates, gallery.n_faces, evidence)

    def _ranked(self, gallery: Gallery, embedding: Floats, tier: Tier, day: int) -> tuple[Candidate, ...]:
        return tuple(gallery.rank(embedding, self._n_ranked, tier, day=day))
