"""What the page of a person says: its years, its faces and who is like it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.people.person import PersonFace
from facewatch.people.photos.words import quoted
from facewatch.text import plural
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.catalog.person import DatedFace, FaceTotals
    from facewatch.people.arrange import Separated
    from facewatch.people.person import PersonFacts
    from facewatch.people.resemblance import FaceDoubt, SimilarPerson
    from facewatch.people.split import Part, SplitPlan

FACES_A_MONTH = 6
"""With fewer faces a month on average, faces are under headings of years: a heading over each or every other face helps
nobody."""

FACES_A_YEAR = 4
"""With fewer a year they are under one heading."""

_LIKELY, _POSSIBLE = 0.5, 0.1
"""Chances from which on two people are probably, or perhaps, one."""

_FIGURES = 2
"""Digits of a distance."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above some faces."""

    key: str
    """Different for each heading of a list."""
    text: str


@dataclass(frozen=True, slots=True)
class FaceTile:
    """A face in a list of a person's faces."""

    id: int
    photo_id: int
    label: str
    """What it is, for who cannot see it."""
    lines: tuple[str, ...]
    """What stands under it: when it was taken, or how far it is from the others and who comes second."""
    marks: tuple[str, ...]
    """What is to be known of it, in a word or two each."""
    is_by_user: bool
    is_suspect: bool
    """It looks more like somebody else."""
    heading: Heading | None
    """None: that of the face before it."""


@dataclass(frozen=True, slots=True)
class PersonTitle:
    """What stands at the top of a person's page."""

    cover_id: int | None
    counts: str
    """One line: how many faces and photos, from when to when."""
    photos: str
    """The search for all photos of the person."""
    n_faces: int
    n_by_user: int

    @property
    def n_by_run(self) -> int:
        return self.n_faces - self.n_by_user


def title_of(facts: PersonFacts) -> PersonTitle:
    person, totals = facts.person, facts.totals
    return PersonTitle(
        facts.cover_id,
        counts=" · ".join(_counts(person, totals)),
        photos=photos_with([(person.id, person.label, person.name is not None)]),
        n_faces=totals.n_faces,
        n_by_user=totals.n_by_user,
    )


def _counts(person: Person, totals: FaceTotals) -> Iterator[str]:
    yield f"{plural(totals.n_faces, 'face')} in {plural(person.n_photos, 'photo')}"
    if totals.first:
        first, last = totals.first[:4], totals.last[:4]
        yield first if first == last else f"{first} to {last}"
    if totals.n_by_user:
        yield f"{totals.n_by_user} confirmed"
    if totals.n_gone:
        yield f"{plural(totals.n_gone, 'face')} in deleted photos"


@dataclass(frozen=True, slots=True)
class PersonLink:
    """Somebody beside a person, with what is said of both."""

    id: int
    label: str
    is_named: bool
    cover_id: int | None
    note: str
    photos: str
    """The search for photos of both."""


def strip_of(facts: PersonFacts) -> list[PersonLink]:
    """Return who is in photos with a person."""
    person = facts.person
    own = (person.id, person.label, person.name is not None)
    return [
        PersonLink(
            one.person_id,
            one.label,
            is_named=one.is_named,
            cover_id=one.cover_id,
            note=plural(one.n_photos, "photo"),
            photos=photos_with([own, (one.person_id, one.label, one.is_named)]),
        )
        for one in facts.companions
    ]


# --- faces ---


def tiles_by_date(faces: Iterable[PersonFace], totals: FaceTotals) -> list[FaceTile]:
    """Return faces under headings of months, or of years where there are few, or one where there are fewer still."""
    n_digits = _digits_of_headings(totals)
    return list(_under_headings(faces, [_date_heading(one.face.taken_at, n_digits) for one in faces]))


def _digits_of_headings(totals: FaceTotals) -> int:
    """Return how much of a date headings say: 7 letters are year and month, 4 the year, 0 nothing."""
    n_dated = totals.n_faces - totals.n_undated
    if n_dated >= FACES_A_MONTH * totals.n_months:
        return 7
    n_years = int(totals.last[:4]) - int(totals.first[:4]) + 1
    return 4 if n_dated >= FACES_A_YEAR * n_years else 0


def tiles_by_doubt(faces: Sequence[PersonFace]) -> list[FaceTile]:
    """Return faces under headings that say why they are in doubt."""
    return list(_under_headings(faces, [_doubt_heading(one) for one in faces]))


def _under_headings(faces: Iterable[PersonFace], headings: Iterable[Heading]) -> Iterator[FaceTile]:
    before: Heading | None = None
    for one, heading in zip(faces, headings, strict=True):
        yield _tile(one, None if heading == before else heading)
        before = heading


def _tile(one: PersonFace, heading: Heading | None) -> FaceTile:
    face, doubt = one.face, one.doubt
    when = day(face.taken_at)
    marks = tuple(face_marks(face))
    return FaceTile(
        id=face.id,
        photo_id=face.photo_id,
        label=", ".join([when, *([doubt_text(doubt)] if doubt else []), *marks]),
        lines=tuple(_doubt_lines(doubt)) if doubt else (when,),
        marks=marks,
        is_by_user=face.is_by_user,
        is_suspect=doubt is not None and doubt.is_nearer_to_next and not face.is_by_user,
        heading=heading,
    )


def face_marks(face: DatedFace) -> Iterator[str]:
    """Yield what is to be known of a face, in a word or two each."""
    if face.file is None:
        yield "deleted"
    if face.is_by_user:
        yield "confirmed"
    if face.is_drawn:
        yield "drawn"
    if face.tier is not Tier.ENROLL:
        yield "poor"


def _date_heading(taken_at: str, n_digits: int) -> Heading:
    if not taken_at:
        return Heading("undated", "Without a date")
    match n_digits:
        case 7:
            return Heading(taken_at[:7], datetime.fromisoformat(taken_at).strftime("%B %Y"))
        case 4:
            return Heading(taken_at[:4], taken_at[:4])
        case _:
            return Heading("dated", "Newest first")


def _doubt_heading(one: PersonFace) -> Heading:
    if one.doubt is None:
        return Heading("unseen", "Not compared: not in the library, or not seen by the engine in use")
    if one.face.is_by_user:
        return Heading("confirmed", "Confirmed by you")
    if one.doubt.is_nearer_to_next:
        return Heading("nearer", "Nearer to somebody else")
    return Heading("farthest", "Farthest from the others first")


def day(taken_at: str) -> str:
    """Return "3 May 2019", or that it is not known."""
    if not taken_at:
        return "no date"
    moment = datetime.fromisoformat(taken_at)
    return f"{moment.day} {moment.strftime('%b %Y')}"


def doubt_text(doubt: FaceDoubt) -> str:
    """Return how far a face is from the others, and who comes second, as a sentence's part."""
    if doubt.distance is None:
        own = "the only face that can be compared"
    else:
        own = f"distance {doubt.distance:.{_FIGURES}f} from the others"
    if doubt.next_distance is None:
        return own
    who = f"{doubt.next_label}, at {doubt.next_distance:.{_FIGURES}f}"
    return f"{own}; nearer to {who}" if doubt.is_nearer_to_next else f"{own}; second is {who}"


def _doubt_lines(doubt: FaceDoubt) -> Iterator[str]:
    yield "the only one" if doubt.distance is None else f"{doubt.distance:.{_FIGURES}f} from the others"
    if doubt.next_distance is not None:
        nearer = "nearer to" if doubt.is_nearer_to_next else "then"
        yield f"{nearer} {doubt.next_label}, {doubt.next_distance:.{_FIGURES}f}"


# --- who is like somebody ---


@dataclass(frozen=True, slots=True)
class SimilarTile:
    """Somebody who looks like a person."""

    id: int
    label: str
    is_named: bool
    cover_id: int | None
    note: str
    """Whether it may be the same person, and how alike both are."""
    is_likely: bool
    is_apart: bool


def own_similarity_text(similarity: float | None, label: str) -> str:
    """Return with what the similarity of others has to be compared."""
    if similarity is None:
        return f"{label} has one face that can be compared."
    return f"The faces of {label} have a similarity of {similarity:.{_FIGURES}f} to each other."


def similar_tiles(similar: Iterable[SimilarPerson], label: str) -> list[SimilarTile]:
    """Return who looks like the person of this label."""
    return [
        SimilarTile(
            one.person_id,
            label=one.label,
            is_named=one.is_named,
            cover_id=one.cover_id,
            note=f"{similar_text(one, label)} · similarity {one.similarity:.{_FIGURES}f} · "
            + plural(one.n_photos, "photo"),
            is_likely=one.chance >= _POSSIBLE and not one.is_apart and one.n_together <= 1,
            is_apart=one.is_apart,
        )
        for one in similar
    ]


def similar_text(one: SimilarPerson, label: str) -> str:
    """Return whether somebody who looks like a person may be that person."""
    if one.is_apart:
        return f"not {label}, as you said"
    if one.n_together > 1:
        return f"beside {label} in {plural(one.n_together, 'photo')}, so probably somebody else"
    if one.chance >= _LIKELY:
        return f"probably {label}"
    return f"perhaps {label}" if one.chance >= _POSSIBLE else "probably somebody else"


def separated_on_page(catalog: Catalog, done: Separated) -> str:
    """Return who has the faces of a split now."""
    people = [catalog.people.one(person_id) for person_id in dict.fromkeys((done.person_id, *done.people))]
    said = [f"{one.label} {plural(one.n_photos, 'photo')}" for one in people if one is not None]
    return f"Split: {', '.join(said)}"


# --- how somebody is split ---


@dataclass(frozen=True, slots=True)
class SplitGroup:
    """A part of somebody who is split, as it is shown."""

    number: int
    """From 1; the first keeps the name."""
    tiles: tuple[FaceTile, ...]
    """Those that are most like the part first, as far as they are shown."""
    rest: tuple[int, ...]
    """Its other faces."""
    text: str
    """What is to be known of it."""

    @property
    def n_faces(self) -> int:
        return len(self.tiles) + len(self.rest)


def split_groups(catalog: Catalog, plan: SplitPlan, *, most: int | None) -> list[SplitGroup]:
    """Return the parts of a split with their faces, at most so many shown of each; None: all."""
    return [
        SplitGroup(
            number,
            tiles=tuple(_plain_tiles(catalog, part.faces[:most])),
            rest=part.faces[most:] if most is not None else (),
            text=_part_text(part),
        )
        for number, part in enumerate(plan.parts, 1)
    ]


def _plain_tiles(catalog: Catalog, faces: Sequence[int]) -> Iterator[FaceTile]:
    found = catalog.person_faces.these(faces)
    for face_id in faces:
        if face_id in found:
            yield _tile(PersonFace(found[face_id], None), None)


def _part_text(part: Part) -> str:
    said = plural(len(part.photos), "photo")
    if part.n_assigned:
        said += f", {part.n_assigned} confirmed by you"
    return said if part.distance is None else f"{said}; {part.distance:.{_FIGURES}f} from the first"


# --- photos ---


def photos_with(people: Iterable[tuple[int, str, bool]]) -> str:
    """Return the search for photos in which all of these are, each (id, label, whether that is a name)."""
    return " ".join(["with", *(_searched(*one) for one in people)])


def _searched(person_id: int, label: str, is_named: bool) -> str:
    if not is_named or '"' in label:
        return ids.person(person_id)
    return f'"{label}"' if " " in label else quoted(label)
