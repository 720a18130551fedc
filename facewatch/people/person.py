"""One person, as somebody looks at it who wants to know whether it is one: its faces, and who is with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.catalog.person import DatedFace, FacesBy, FaceTotals
from facewatch.errors import NotKnownError
from facewatch.ids import label_of
from facewatch.people.lookup import find_person, person_by_id

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.people.overview import Overview
    from facewatch.people.resemblance import Doubts, FaceDoubt

MOST_COMPANIONS = 24
"""People who are on photos with somebody, as far as they are listed."""


class FaceOrder(StrEnum):
    """How a person's faces are sorted."""

    DATE = "date"
    """Newest first, those without a date last."""
    DOUBT = "doubt"
    """See `Doubts.ids`; what the engine in use does not see comes last."""


@dataclass(frozen=True, slots=True)
class Companion:
    """Somebody who is on photos with another."""

    person_id: int
    label: str
    is_named: bool
    n_photos: int
    """Photos that both are on."""
    cover_id: int | None
    """The face that stands for the person; None: no photo of a face of theirs is in the library."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """A person, with what the catalog knows of it as a whole."""

    person: Person
    totals: FaceTotals
    cover_id: int | None
    """The face that stands for the person: the one that a user chose, else the best one; None: no photo of one is in
    the library."""
    companions: tuple[Companion, ...]
    """Those who are on most photos with the person first."""


@dataclass(frozen=True, slots=True)
class PersonFace:
    """A face of a person, with how much it is in doubt."""

    face: DatedFace
    doubt: FaceDoubt | None
    """None: nobody asked, or the engine in use does not see the face."""


def person_at(catalog: Catalog, person_id: int) -> Person:
    """Return the person of this id, or whom it has become part of.

    Raises:
        NotKnownError: there is nobody of this id any more, or there never was.
    """
    if catalog.person_faces.was_there(person_id):
        names = catalog.people.all_names()
        raise NotKnownError(
            f"{names.get(person_id) or label_of(person_id)} is not there any more: forgotten, or the decision that "
            "made this person was undone. The history says which, and takes it back"
        )
    person = person_by_id(catalog, person_id)
    return person or find_person(catalog, ids.person(person_id))


def facts_about(catalog: Catalog, overview: Overview, person_id: int) -> PersonFacts:
    """Return what is known of a person as a whole; see `person_at`."""
    person = person_at(catalog, person_id)
    together = catalog.person_faces.companions(person.id, MOST_COMPANIONS)
    tiles = overview.of([person.id, *(other for other, _ in together)])
    own = tiles.get(person.id)
    companions = (
        Companion(other, tile.label, is_named=tile.is_named, n_photos=n_photos, cover_id=tile.cover_id)
        for other, n_photos in together
        if (tile := tiles.get(other)) is not None
    )
    totals = catalog.person_faces.totals(person.id)
    return PersonFacts(person, totals, own.cover_id if own else None, tuple(companions))


def ordered_faces(
    catalog: Catalog, person_id: int, doubts: Doubts | None = None, *, by: FacesBy = FacesBy.ALL
) -> list[int]:
    """Return a person's faces, newest first; with doubts in their order, and last what the engine in use does not
    see."""
    if doubts is None:
        return catalog.person_faces.by_date(person_id, by=by)
    sources = catalog.person_faces.sources(person_id)
    ordered = dict.fromkeys((*doubts.ids.tolist(), *sources))
    return [face_id for face_id in ordered if face_id in sources and _is_by(sources[face_id], by)]


def _is_by(is_by_user: bool, by: FacesBy) -> bool:
    return by is FacesBy.ALL or is_by_user == (by is FacesBy.USER)


def described_faces(catalog: Catalog, wanted: Sequence[int], doubts: Doubts | None = None) -> list[PersonFace]:
    """Return what is said of these faces, as far as they still belong to somebody."""
    faces, names = catalog.person_faces.these(wanted), catalog.people.names() if doubts else {}
    return [
        PersonFace(faces[face_id], doubts.of(face_id, names) if doubts else None)
        for face_id in wanted
        if face_id in faces
    ]
