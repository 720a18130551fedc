"""Why a face is where it is: what is on record, how it looks now, and what would change it. Nothing is written here.

What it looks like now is asked of the gallery that decides (`assign.Gallery`), with the face itself left out of its
person; no rule is written down a second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewatch import ids
from facewatch.catalog import NOBODY, USER, Catalog, FaceTable, Mark, display
from facewatch.catalog.faces import KNOWN_FROM
from facewatch.catalog.provenance import Placing
from facewatch.matching import Aggregation, settle_photo
from facewatch.people import galleries
from facewatch.people.corrections import not_born_yet
from facewatch.people.lookup import handle_of, label_of
from facewatch.quality import Limits, least_norm
from facewatch.text import told_apart
from facewatch.types import Covered, Match, Tier

if TYPE_CHECKING:
    from facewatch.matching import Candidate, Evidence, Gallery
    from facewatch.types import Normalisation

_PROFILE = 0.7
"""`quality.pose_of`: from here on one cheek is hidden."""


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
    face_id: int
    """The nearest one."""
    photo: str | None
    """A file that shows it; None: it is not in the library now."""
    is_confirmed: bool
    """Whether a user placed or confirmed that face."""
    centroid_distance: float
    """To the middle of the person's faces."""
    centroid_limit: float | None
    """None: whatever it is."""
    lead: float | None
    """How much farther the rival is, below 0: nearer; None: there is no other person."""
    margin: float
    """What that must be at least."""
    rival_id: int | None
    """The other person who comes nearest to forbid it."""
    rival: str | None
    """What that one is called."""
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


@dataclass(frozen=True, slots=True)
class Look:
    """What matching the face now, as if it were new, comes to."""

    person_id: int | None
    """Who it would be; None: nobody."""
    judged_id: int | None
    """Whom the rule is about: the nearest person that it could be; None: there is nobody whom it could be."""
    rule: str
    """The rule that decides, with its numbers."""
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
    rule: str
    """rejected, in photo, or born later."""
    text: str
    at: str | None
    """When a user said so."""
    face_id: int | None
    """The other face of the photo that is this person."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What makes a face a poor one."""

    text: str
    value: float | None
    least: float | None
    """What is needed; None: no number says it."""
    tier: Tier
    """What is left to the face."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What would change it."""

    command: str
    """To be typed; empty: nothing can be typed for it."""
    text: str


@dataclass(frozen=True, slots=True)
class Why:
    """All that can be said about one face."""

    face_id: int
    number: int
    """From the left, from 1."""
    verdict: str
    """person, nobody, nobody by user, not a face, or forgotten."""
    person_id: int | None
    name: str | None
    cause: str
    """How it came to that, in words."""
    rule: str | None
    """What is on record as the rule: of the match, or of the best guess."""
    at: str | None
    run_kind: str | None
    run_started_at: str | None
    decisions: tuple[int, ...]
    """Journal entries of the decisions that stand and changed anything about it, newest first."""
    tier: Tier
    shortfalls: tuple[Shortfall, ...]
    look: Look | None
    """None: it cannot be compared; `notes` say why."""
    barred: tuple[Bar, ...]
    notes: tuple[str, ...]
    advice: tuple[Advice, ...]


class Reasons:
    """Explains the faces of photos."""

    def __init__(self, catalog: Catalog, limits: Limits, comparing: Comparing | None) -> None:
        """`limits` are those of quality; without `comparing` only what is on record can be said."""
        self._catalog = catalog
        self._placings = catalog.placings
        self._limits = limits
        self._comparing = comparing

    def of_photo(self, photo_id: int, *, only: Collection[int] | None = None) -> list[Why]:
        """Return why each face of a photo, or `only` each of these, is where it is; from left to right."""
        with self._catalog.read():
            faces = self._catalog.faces.in_photo(photo_id)
            here = [int(str(face["face_id"])) for face in faces]
            placed = self._placings.placed(here)
            barred = {face_id: tuple(self._barred(face_id, photo_id, faces)) for face_id in here}
            looks = self._looks(photo_id, barred)
            return [
                self._why(number, face_id, face, placed.get(face_id), barred[face_id], looks.get(face_id))
                for number, (face_id, face) in enumerate(zip(here, faces, strict=True), 1)
                if only is None or face_id in only
            ]

    def _why(
        self,
        number: int,
        face_id: int,
        face: Mapping[str, Any],
        placing: Placing | None,
        barred: tuple[Bar, ...],
        look: Look | None,
    ) -> Why:
        mark = Mark(face["mark"]) if face["mark"] else None
        tier = Tier(face["tier"])
        decisions = tuple(self._placings.decisions_about(face_id))
        own = placing.person_id if placing else None
        # Whose it is it can be, whatever speaks against it.
        despite = [bar.text for bar in barred if bar.person_id == own]
        barred = tuple(bar for bar in barred if bar.person_id != own)
        found = _Found(face_id, tier, placing, mark, look, barred, decisions, face["name"])
        return Why(
            face_id=face_id,
            number=number,
            verdict=_verdict(found),
            person_id=placing.person_id if placing else None,
            name=found.name,
            cause=_cause(found),
            rule=face["rule"],
            at=placing.at if placing else self._placings.marked_at(face_id),
            run_kind=placing.run_kind if placing else None,
            run_started_at=placing.run_started_at if placing else None,
            decisions=decisions,
            tier=tier,
            shortfalls=tuple(shortfalls(face, self._limits)) if tier is not Tier.FOUND else (),
            look=look,
            barred=barred,
            notes=(
                *(f"it is {found.name}, although {text}" for text in despite),
                *self._handed_over(face_id),
                *_notes(found, face, can_compare=self._comparing is not None),
                *self._told_apart(found),
            ),
            advice=tuple(_advice(found)),
        )

    # --- whom it cannot be ---

    def _barred(self, face_id: int, photo_id: int, faces: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
        for rejected, at in self._placings.rejected(face_id).items():
            name = self._label(rejected)
            if name is not None:
                yield Bar(rejected, name, "rejected", f"you said that it is not {name}", at, None)
        for number, face in enumerate(faces, 1):
            if face["person_id"] is not None and face["face_id"] != face_id:
                text = f"{face['name']} is in this photo already, as face {number} from the left"
                yield Bar(face["person_id"], face["name"], "in photo", text, None, face["face_id"])
        taken = self._catalog.files.taken_at(photo_id)
        for person_id, born in not_born_yet(self._catalog, photo_id).items():
            name = self._label(person_id) or label_of(person_id)
            text = f"{name} was born in {born}, and the photo was taken on {taken[:10]}"
            yield Bar(person_id, name, "born later", text, None, None)

    def _told_apart(self, found: _Found) -> Iterator[str]:
        """Yield who was said not to be one of the others whom the face looks like."""
        people = [near.person_id for near in found.look.likenesses] if found.look else []
        mine = found.placing.person_id if found.placing else next(iter(people), None)
        others = self._catalog.people.apart().get(mine, set()) if mine is not None else set()
        for person_id in people:
            if person_id in others:
                yield f"you said that {self._label(mine or 0)} and {self._label(person_id)} are two people"

    def _handed_over(self, face_id: int) -> Iterator[str]:
        """Say that what is known of the face was known of another version of its photo before."""
        before = self._catalog.lineage.before(face_id)
        for row in self._catalog.faces.rows([before] if before is not None else []):
            paths = self._catalog.files.sources([row.photo_id]).get(row.photo_id)
            where = f"now {display(paths[0])}" if paths else "which is gone"
            yield f"carried over from another version of this photo, {where}: what was said there holds here"

    def _label(self, person_id: int) -> str | None:
        """Return what a person is called; None: it lives no longer."""
        person = self._catalog.people.one(person_id)
        return person.label if person else None

    # --- how it looks ---

    def _looks(self, photo_id: int, barred: Mapping[int, Sequence[Bar]]) -> dict[int, Look]:
        """Return how the faces of a photo look, as far as the engine in use sees them."""
        if self._comparing is None:
            return {}
        barred_people = {face_id: {bar.person_id for bar in bars} for face_id, bars in barred.items()}
        seen = self._comparing.photo(photo_id, barred_people)
        nearest = {near.nearest_id for one in seen.values() for near in one.candidates}
        photo_of = {row.id: row.photo_id for row in self._catalog.faces.rows(nearest)}
        paths = self._catalog.files.sources(set(photo_of.values()))
        photos = {face_id: next(iter(paths.get(photo, ())), None) for face_id, photo in photo_of.items()}
        return {face_id: look_from(one, self._name, photos) for face_id, one in seen.items()}

    def _name(self, person_id: int) -> str:
        return self._label(person_id) or label_of(person_id)


def look_from(one: Compared, name_of: Callable[[int], str], photos: Mapping[int, str | None]) -> Look:
    """Return in facts what the gallery says of a face; `photos` are files that show the nearest faces."""
    return Look(
        person_id=one.match.person_id if one.match and one.match.is_accepted else None,
        judged_id=one.match.person_id if one.match else None,
        rule=one.match.rule if one.match else "nobody whom it could be looks like it",
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
        face_id=near.nearest_id,
        photo=path,
        is_confirmed=near.is_confirmed,
        centroid_distance=near.centroid_distance,
        centroid_limit=near.centroid_limit if math.isfinite(near.centroid_limit) else None,
        lead=near.lead if math.isfinite(near.lead) else None,
        margin=near.margin,
        rival_id=near.rival_id,
        rival=name_of(near.rival_id) if near.rival_id is not None else None,
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


# --- in words ---


@dataclass(frozen=True, slots=True)
class _Found:
    """What the words are made from."""

    face_id: int
    tier: Tier
    placing: Placing | None
    mark: Mark | None
    look: Look | None
    barred: tuple[Bar, ...]
    decisions: tuple[int, ...]
    name: str | None

    @property
    def own(self) -> Likeness | None:
        """How near the face is to its own person."""
        return self.look.of(self.placing.person_id) if self.look and self.placing else None

    @property
    def possible(self) -> Likeness | None:
        """The nearest person that it could be."""
        return self.look.of(self.look.judged_id) if self.look else None


_VERDICTS = {Mark.NOBODY: "nobody by user", Mark.NOT_A_FACE: "not a face", Mark.FORGOTTEN: "forgotten"}
_MARKED = {
    Mark.NOBODY: "you took it out: it belongs to nobody until you say whose it is",
    Mark.NOT_A_FACE: "you said that it is no face",
    Mark.FORGOTTEN: "you had its person forgotten: it is compared with nobody",
}


def _verdict(found: _Found) -> str:
    if found.mark is not None:
        return _VERDICTS[found.mark]
    return "person" if found.placing else "nobody"


def _cause(found: _Found) -> str:
    if found.mark is not None:
        return _MARKED[found.mark]
    if found.placing is not None:
        return _placed_how(found.placing, found.name or "")
    if found.tier is Tier.SHOW:
        return "too poor to be recognised: it is only shown"
    if found.look is None:
        return "nobody has been recognised"
    if found.look.person_id is not None:
        return "it has not been looked at since it could be recognised: the next scan places it"
    return _refused_why(found)


_AS_A_WHOLE = frozenset({Aggregation.MEAN, Aggregation.CENTROID})


def _refused_why(found: _Found) -> str:
    """Say why it is nobody, from what the gallery said."""
    look, near = found.look, found.possible
    assert look is not None
    if not look.likenesses:
        return "nobody is known yet whom it could be"
    nearest = look.likenesses[0]
    bar = next((bar for bar in found.barred if bar.person_id == nearest.person_id), None)
    if bar is not None and nearest.distance <= nearest.limit:
        return f"it looks most like {nearest.name}, but {bar.text}"
    if near is None:
        return "nobody whom it could be looks like it"
    whom = "whom it could be" if bar is not None else "who is known"
    if near.distance > near.limit + near.margin:
        return f"nobody {whom} looks like it; the nearest is {near.name}, who is too far off"
    if near.distance > near.limit:
        of_them = "of those whom it could be " if bar is not None else ""
        what = f"{near.name} as a whole" if near.aggregation in _AS_A_WHOLE else f"any face of {near.name}"
        return f"{of_them}it looks most like {near.name}, but is not near enough to {what}"
    if near.centroid_missing > 0:
        return f"it is near to one face of {near.name}, but not to {near.name} as a whole"
    if near.lead is not None and near.lead < near.margin:
        return f"it could be {near.name}, but looks {'nearly as much' if near.lead >= 0 else 'more'} like {near.rival}"
    return f"it could be {near.name}, but {look.rule}"


def _placed_how(placing: Placing, name: str) -> str:
    """Say how a face came to its person."""
    rule, _, known_from = placing.rule.partition(KNOWN_FROM)
    if placing.source == USER:
        by_user = rule == "placed by you"
        how = f"you placed it with {name}" if by_user else f"you confirmed that it is {name}"
    else:
        how = {
            "auto": f"recognised: near enough to faces of {name}, and nobody else came as near",
            "cluster": f"grouped: it and other faces of {name} looked alike and like nobody else",
            "import": f"imported with the name {name}",
            "folder": f"found in a folder that bears the name {name}",
        }[placing.source]
    if rule.startswith("split from"):
        how += f"; then {rule}"
    if known_from:
        how += f"; carried over from the engine {known_from}, which had recognised it"
    return how


def shortfalls(face: Mapping[str, Any], limits: Limits) -> Iterator[Shortfall]:
    """Yield what keeps a face from being a good one, the worst first.

    Args:
        face: its row of `Faces.in_photo`.
    """
    limits = limits.at(face["turn"])
    light = min(face["brightness"], 255 - face["brightness"])
    doubt = ", the way it is turned" if face["turn"] else ""
    values = {
        "pixels": (min(face["w"], face["h"]), "too small"),
        "sharpness": (face["sharpness"], "too blurred"),
        "brightness": (light, "too dark" if face["brightness"] < 128 else "too bright"),
        "score": (face["score"], f"the detector is not sure that it is a face{doubt}"),
    }
    for tier, kind in ((Tier.SHOW, "match"), (Tier.MATCH, "found")):
        for name, (value, text) in values.items():
            least = getattr(limits, f"{kind}_{name}")
            is_told = tier is Tier.MATCH and value < getattr(limits, f"match_{name}")
            if value < least and not is_told:
                yield Shortfall(text, float(value), float(least), tier)
    covered = Covered(face.get("covered") or "")
    if covered in limits.without:
        yield Shortfall(f"{covered.value} covered", None, None, Tier.MATCH)
    norm, least = face.get("norm"), least_norm(covered, limits)
    if norm is not None and norm < least:
        yield Shortfall("too little in it tells it from other faces", norm, least, Tier.MATCH)
    if face["sharpness"] > limits.most_sharpness:
        yield Shortfall("too noisy", None, None, Tier.MATCH)


def _notes(found: _Found, face: Mapping[str, Any], *, can_compare: bool) -> Iterator[str]:
    if found.mark is None and found.look is None and can_compare:
        yield "the engine in use does not see this face, so that it cannot be compared now"
    if found.placing and found.look and found.own is None:
        yield f"it is the only face of {found.name} that can be compared"
    if face["turn"]:
        lies = "upside down" if face["turn"] == 180 else "on its side"
        yield f"it lies {lies} in the photo: turned clockwise by {face['turn']} degrees it is upright"
    if (face["pose"] or 0.0) >= _PROFILE:
        yield f"the face is turned away ({face['pose']:.1f} of 1): such faces are recognised less well"


# --- what would change it ---


def _advice(found: _Found) -> Iterator[Advice]:
    face = ids.face(found.face_id)
    if found.mark is not None:
        yield Advice(f"facewatch assign {face} NAME", "if it is somebody after all")
    elif found.placing is not None:
        yield from _advice_placed(found, found.placing)
    else:
        yield from _advice_nobody(found)
    if found.decisions:
        yield Advice(
            f"facewatch undo --id {ids.decision(found.decisions[0])}", "takes back your last decision about it"
        )


def _advice_placed(found: _Found, placing: Placing) -> Iterator[Advice]:
    face, name = ids.face(found.face_id), found.name
    look = found.look
    if look and look.person_id not in (None, placing.person_id) and (other := look.of(look.person_id)) is not None:
        yield Advice(f"facewatch assign {face} {handle_of(other.person_id, other.name)}", f"if it is {other.name}")
    if placing.source == USER:
        yield Advice(f"facewatch assign {face} NAME", "if it is somebody else")
        yield Advice(f"facewatch unassign {face}", "if you do not know whose it is")
        return
    yield Advice(f"facewatch reject {face}", f"if it is not {name}")
    yield Advice(f"facewatch assign {face} NAME", "if you know who it is")
    yield Advice(f"facewatch confirm {face}", f"if it is {name}: then no run ever moves it")


def _advice_nobody(found: _Found) -> Iterator[Advice]:
    face, look, near = ids.face(found.face_id), found.look, found.possible
    if look and look.person_id is not None:
        yield Advice("facewatch scan", "places it")
    elif look and near is not None and found.tier is not Tier.SHOW and near.distance <= near.limit + near.margin:
        yield from _advice_near(found, near)
    for bar in found.barred:
        if bar.rule == "rejected":
            yield Advice(
                f"facewatch assign {face} {handle_of(bar.person_id, bar.name)}", f"if it is {bar.name} after all"
            )
        elif bar.face_id is not None and (own := look.of(bar.person_id) if look else None) and own.is_within:
            # Both, because what a run placed beside a face that is assigned makes room for it.
            both = f"{ids.face(bar.face_id)} {face}"
            yield Advice(
                f"facewatch assign {both} {handle_of(bar.person_id, bar.name)}",
                f"if both are {bar.name}, as in a collage or a mirror: only you can say so, a run never does",
            )
    yield Advice(f"facewatch assign {face} NAME", "if you know who it is; with --new for somebody new")
    if found.tier is not Tier.SHOW:
        yield Advice(f"facewatch ignore {face}", "if it is no face")


def _advice_near(found: _Found, near: Likeness) -> Iterator[Advice]:
    missing = max(near.distance - near.limit, near.centroid_missing)
    is_rivalled = near.lead is not None and near.lead < near.margin
    text = f"if it is {near.name}"
    if missing > 0 and not is_rivalled:
        nearer, _ = told_apart(missing, 0.0)
        text += f"; {nearer} nearer would have done: more photos of {near.name} bring that about"
    yield Advice(f"facewatch assign {ids.face(found.face_id)} {handle_of(near.person_id, near.name)}", text)
    barred = {bar.person_id for bar in found.barred}
    if missing <= 0 and is_rivalled and near.rival_id is not None and near.rival_id not in barred:
        one, other = handle_of(near.person_id, near.name), handle_of(near.rival_id, near.rival or "")
        yield Advice(f"facewatch merge {one} {other}", f"if {near.name} and {near.rival} are one person")
