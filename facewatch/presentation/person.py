"""What the page of a person says: its years, its faces and who is like it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from facewatch.text import plural
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.catalog.person import DatedFace, FaceTotals
    from facewatch.people.arrange import Separated
    from facewatch.people.person import PersonFace
    from facewatch.people.resemblance import FaceDoubt, SimilarPerson

FACES_A_MONTH = 6
"""With fewer faces a month on average, faces are under headings of years: a heading over each or every other face helps
nobody."""

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
    when: str
    note: str
    """A second line: how much it is in doubt, or who said whose it is."""
    marks: tuple[str, ...]
    """What is to be known of it, in a word or two each."""
    is_by_user: bool
    is_here: bool
    """Whether its photo is in the library now."""
    is_suspect: bool
    """It looks more like somebody else."""
    heading: Heading | None
    """None: that of the face before it."""


def years(totals: FaceTotals) -> str:
    """Return "2009 to 2024", "2019", or nothing where no photo has a date."""
    first, last = totals.first[:4], totals.last[:4]
    return first if first == last else f"{first} to {last}"


def face_counts(totals: FaceTotals) -> list[str]:
    """Return what is worth knowing about the number of a person's faces."""
    said = [f"{totals.n_by_user} confirmed by you"] if totals.n_by_user else []
    if totals.n_gone:
        said.append(f"{totals.n_gone} on photos that are not in the library now")
    return said


# --- faces ---


def tiles_by_date(faces: Iterable[PersonFace], totals: FaceTotals) -> list[FaceTile]:
    """Return faces under headings of months, or of years where there are few."""
    n_dated = totals.n_faces - totals.n_undated
    is_monthly = n_dated >= FACES_A_MONTH * totals.n_months
    return list(_under_headings(faces, [_date_heading(one.face.taken_at, is_monthly=is_monthly) for one in faces]))


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
        when=when,
        note=_doubt_note(doubt) if doubt else "",
        marks=marks,
        is_by_user=face.is_by_user,
        is_here=face.file is not None,
        is_suspect=doubt is not None and doubt.is_nearer_to_next and not face.is_by_user,
        heading=heading,
    )


def face_marks(face: DatedFace) -> Iterator[str]:
    """Yield what is to be known of a face, in a word or two each."""
    if face.file is None:
        yield "not in the library"
    if face.is_by_user:
        yield "confirmed"
    if face.is_drawn:
        yield "drawn"
    if face.tier is not Tier.ENROLL:
        yield "poor"


def _date_heading(taken_at: str, *, is_monthly: bool) -> Heading:
    if not taken_at:
        return Heading("undated", "Without a date")
    if not is_monthly:
        return Heading(taken_at[:4], taken_at[:4])
    return Heading(taken_at[:7], datetime.fromisoformat(taken_at).strftime("%B %Y"))


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


def _doubt_note(doubt: FaceDoubt) -> str:
    own = "alone" if doubt.distance is None else f"{doubt.distance:.{_FIGURES}f}"
    if doubt.next_distance is None:
        return own
    return f"{own} · {doubt.next_label} {doubt.next_distance:.{_FIGURES}f}"


# --- who is like somebody ---


def similar_text(one: SimilarPerson, label: str) -> str:
    """Return whether somebody who looks like a person may be that person."""
    if one.is_apart:
        return f"not {label}, as you said"
    if one.n_together > 1:
        return f"beside {label} on {plural(one.n_together, 'photo')}, so probably somebody else"
    if one.chance >= _LIKELY:
        return f"probably {label}"
    return f"perhaps {label}" if one.chance >= _POSSIBLE else "probably somebody else"


def separated_on_page(catalog: Catalog, done: Separated) -> str:
    """Return who has the faces of a split now."""
    people = [catalog.people.one(person_id) for person_id in dict.fromkeys((done.person_id, *done.people))]
    said = [f"{one.label} {plural(one.n_photos, 'photo')}" for one in people if one is not None]
    return f"split: {', '.join(said)}"
