"""Why a face is where it is, in facts: what is on record, and how near it is to whom now. Nothing is written here.

How near it is now is asked of the gallery that decides (`matching.Gallery`), with the face itself left out of its
person; no rule is written down a second time. `presentation.explain` makes sentences of the facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog import NOBODY, Catalog, FaceTable, Mark
from facewatch.catalog.provenance import Placing
from facewatch.matching import Aggregation, settle_photo
from facewatch.people import galleries
from facewatch.people.corrections import not_born_yet
from facewatch.people.lookup import label_of
from facewatch.quality import Limits, Shortfall, shortfalls
from facewatch.types import Match, Tier

if TYPE_CHECKING:
    from facewatch.matching import Candidate, Evidence, Gallery
    from facewatch.types import Normalisation


class Verdict(StrEnum):
    """What is said of whose a face is."""

    PERSON = "person"
    NOBODY = "nobody"
    NOBODY_BY_USER = "nobody by user"
    NOT_A_FACE = "not a face"
    FORGOTTEN = "forgotten"


_VERDICTS = {
    Mark.NOBODY: Verdict.NOBODY_BY_USER,
    Mark.NOT_A_FACE: Verdict.NOT_A_FACE,
    Mark.FORGOTTEN: Verdict.FORGOTTEN,
}


class BarRule(StrEnum):
    """Why no run takes a face for somebody."""

    REJECTED = "rejected"
    IN_PHOTO = "in photo"
    BORN_LATER = "born later"


@dataclass(frozen=True, slots=True)
class NearestFace:
    """The face of a person that is nearest to another."""

    face_id: int
    photo: str | None
    """A file that shows it; None: it is not in the library now."""
    is_confirmed: bool
    """Whether a user placed or confirmed it."""


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
    """What matching the face now, as if it were new, comes to."""

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


@dataclass(frozen=True, slots=True)
class Bar:
    """Somebody whom no run takes the face for."""

    person_id: int
    name: str
    rule: BarRule
    at: str | None = None
    """When a user said so."""
    face_id: int | None = None
    """The other face of the photo that is this person, and"""
    number: int | None = None
    """which that is, from the left, from 1."""
    born: str | None = None
    taken_on: str | None = None
    """When the photo was taken, before that."""


@dataclass(frozen=True, slots=True)
class Why:
    """All that can be said about one face."""

    number: int
    """From the left, from 1."""
    face: Mapping[str, Any]
    """Its row of `Faces.in_photo`."""
    placing: Placing | None
    marked_at: str | None
    """When a user took it out."""
    decisions: tuple[int, ...]
    """Journal entries of the decisions that stand and changed anything about it, newest first."""
    shortfalls: tuple[Shortfall, ...]
    rematch: Rematch | None
    """None: it cannot be compared."""
    barred: tuple[Bar, ...]
    despite: tuple[Bar, ...] = ()
    """What speaks against whose it is."""
    before: EarlierVersion | None = None
    """From where what is known of it was carried over."""
    cannot_link: tuple[CannotLink, ...] = ()
    """People like it of whom a user said that they are two."""
    can_compare: bool = True
    """Whether what is known of the engine in use is here."""

    @property
    def face_id(self) -> int:
        return int(self.face["face_id"])

    @property
    def mark(self) -> Mark | None:
        return Mark(self.face["mark"]) if self.face["mark"] else None

    @property
    def tier(self) -> Tier:
        return Tier(self.face["tier"])

    @property
    def verdict(self) -> Verdict:
        if self.mark is not None:
            return _VERDICTS[self.mark]
        return Verdict.PERSON if self.placing else Verdict.NOBODY

    @property
    def person_id(self) -> int | None:
        return self.placing.person_id if self.placing else None

    @property
    def name(self) -> str | None:
        name: str | None = self.face["name"]
        return name

    @property
    def at(self) -> str | None:
        """Since when it is so."""
        return self.placing.at if self.placing else self.marked_at

    @property
    def own(self) -> Likeness | None:
        """How near the face is to its own person."""
        return self.rematch.of(self.placing.person_id) if self.rematch and self.placing else None

    @property
    def possible(self) -> Likeness | None:
        """The nearest person that it could be."""
        return self.rematch.of(self.rematch.judged_id) if self.rematch else None


@dataclass(frozen=True, slots=True)
class EarlierVersion:
    """The version of a photo from which something was carried over."""

    path: str | None
    """None: it is gone."""


@dataclass(frozen=True, slots=True)
class CannotLink:
    """Two people, as a user said."""

    name: str
    other: str


class Reasons:
    """Explains the faces of photos."""

    def __init__(self, catalog: Catalog, limits: Limits, comparing: Comparing | None) -> None:
        """`limits` are those of quality; without `comparing` only what is on record can be said."""
        self._catalog = catalog
        self._placings = catalog.provenance
        self._limits = limits
        self._comparing = comparing

    def of_photo(self, photo_id: int, *, only: Collection[int] | None = None) -> list[Why]:
        """Return why each face of a photo, or `only` each of these, is where it is; from left to right."""
        with self._catalog.read():
            faces = self._catalog.faces.in_photo(photo_id)
            here = [int(str(face["face_id"])) for face in faces]
            placed, decisions = self._placings.placed(here), self._placings.decisions_about(here)
            barred = {face_id: tuple(self._barred(face_id, photo_id, faces)) for face_id in here}
            rematches = self._rematches(photo_id, barred)
            return [
                self._why(
                    number, face, placed.get(face_id), decisions[face_id], barred[face_id], rematches.get(face_id)
                )
                for number, (face_id, face) in enumerate(zip(here, faces, strict=True), 1)
                if only is None or face_id in only
            ]

    def _why(
        self,
        number: int,
        face: Mapping[str, Any],
        placing: Placing | None,
        decisions: Sequence[int],
        barred: Sequence[Bar],
        rematch: Rematch | None,
    ) -> Why:
        own = placing.person_id if placing else None
        return Why(
            number=number,
            face=face,
            placing=placing,
            marked_at=self._placings.marked_at(face["face_id"]) if placing is None else None,
            decisions=tuple(decisions),
            shortfalls=tuple(shortfalls(face, self._limits)) if Tier(face["tier"]) is not Tier.FOUND else (),
            rematch=rematch,
            # Whose it is it can be, whatever speaks against it.
            barred=tuple(bar for bar in barred if bar.person_id != own),
            despite=tuple(bar for bar in barred if bar.person_id == own),
            before=self._version_before(face["face_id"]),
            cannot_link=tuple(self._cannot_link(own, rematch)),
            can_compare=self._comparing is not None,
        )

    # --- whom it cannot be ---

    def _barred(self, face_id: int, photo_id: int, faces: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
        for rejected, at in self._placings.rejected(face_id).items():
            name = self._label(rejected)
            if name is not None:
                yield Bar(rejected, name, BarRule.REJECTED, at=at)
        for number, face in enumerate(faces, 1):
            if face["person_id"] is not None and face["face_id"] != face_id:
                yield Bar(face["person_id"], face["name"], BarRule.IN_PHOTO, face_id=face["face_id"], number=number)
        taken_on = self._catalog.photos.taken_at(photo_id)[:10]
        for person_id, born in not_born_yet(self._catalog, photo_id).items():
            yield Bar(person_id, self._name(person_id), BarRule.BORN_LATER, born=born, taken_on=taken_on)

    def _cannot_link(self, own: int | None, rematch: Rematch | None) -> Iterator[CannotLink]:
        """Yield who was said not to be one of the others whom the face looks like."""
        people = [near.person_id for near in rematch.likenesses] if rematch else []
        mine = own if own is not None else next(iter(people), None)
        others = self._catalog.rejections.cannot_links().get(mine, set()) if mine is not None else set()
        for person_id in people:
            if mine is not None and person_id in others:
                yield CannotLink(self._name(mine), self._name(person_id))

    def _version_before(self, face_id: int) -> EarlierVersion | None:
        """Return the other version of its photo from which what is known of a face was carried over."""
        before = self._catalog.lineage.before(face_id)
        for row in self._catalog.faces.rows([before] if before is not None else []):
            paths = self._catalog.files.sources([row.photo_id]).get(row.photo_id)
            return EarlierVersion(paths[0] if paths else None)
        return None

    def _label(self, person_id: int) -> str | None:
        """Return what a person is called; None: it lives no longer."""
        person = self._catalog.people.one(person_id)
        return person.label if person else None

    # --- how it looks ---

    def _rematches(self, photo_id: int, barred: Mapping[int, Sequence[Bar]]) -> dict[int, Rematch]:
        """Return how the faces of a photo look, as far as the engine in use sees them."""
        if self._comparing is None:
            return {}
        barred_people = {face_id: {bar.person_id for bar in bars} for face_id, bars in barred.items()}
        seen = self._comparing.photo(photo_id, barred_people)
        nearest = {near.nearest_id for one in seen.values() for near in one.candidates}
        photo_of = {row.id: row.photo_id for row in self._catalog.faces.rows(nearest)}
        paths = self._catalog.files.sources(set(photo_of.values()))
        photos = {face_id: next(iter(paths.get(photo, ())), None) for face_id, photo in photo_of.items()}
        return {face_id: rematch_of(one, self._name, photos) for face_id, one in seen.items()}

    def _name(self, person_id: int) -> str:
        return self._label(person_id) or label_of(person_id)


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
        many people it looks at; without `normalisation` nothing is said of strangers."""
        self._load = partial(catalog.faces.load, engine_id, n_dims=n_dims)
        self._gallery = cache(gallery)
        # Made while nobody has left the gallery, so that what is said of a face does not depend on the others.
        self._strangers = cache(lambda: self._gallery().strangers(normalisation) if normalisation else None)
        self._n_ranked = n_ranked

    def photo(self, photo_id: int, barred: Mapping[int, Collection[int]]) -> dict[int, Compared]:
        """Return how each face of a photo that nobody marked compares with all others, by id."""
        table, gallery = self._load(photo_id=photo_id), self._gallery()
        self._strangers()
        free = table.take(table.people == NOBODY)
        matches = settle_photo(
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
        galleries.put(gallery, person_id, members.take(members.ids != face.ids[0]))
        try:
            candidates = self._ranked(gallery, embedding, tier, face.day)
            if person_id not in {near.person_id for near in candidates}:
                everybody = gallery.rank(embedding, max(1, len(gallery)), tier, day=face.day)
                candidates += tuple(near for near in everybody if near.person_id == person_id)
            match = gallery.identify(embedding, tier, barred=barred, day=face.day)
            return self._compared(match, candidates, gallery, embedding, person_id)
        finally:
            galleries.put(gallery, person_id, members)

    def _compared(
        self,
        match: Match | None,
        candidates: tuple[Candidate, ...],
        gallery: Gallery,
        embedding: NDArray[np.float32],
        own_id: int,
    ) -> Compared:
        strangers = self._strangers()
        evidence = (
            {near.person_id: strangers.of_face(embedding, own_id, near.person_id) for near in candidates}
            if strangers
            else {}
        )
        return Compared(match, candidates, gallery.n_faces, evidence)

    def _ranked(self, gallery: Gallery, embedding: NDArray[np.float32], tier: Tier, day: int) -> tuple[Candidate, ...]:
        return tuple(gallery.rank(embedding, self._n_ranked, tier, day=day))
