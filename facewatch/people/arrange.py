"""Splits a person the way a user has arranged its faces: new people, with or without a name, and people that are there.

`people.split` proposes; this applies what became of the proposal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.errors import DecisionError
from facewatch.people.lookup import find_person

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.people.corrections import Decisions


@dataclass(frozen=True, slots=True)
class Arranged:
    """Some faces of a person that are not that person."""

    faces: tuple[int, ...]
    new_name: str | None = None
    """What somebody new is called; None: nothing yet, or it is nobody new."""
    person_id: int | None = None
    """Who it is; None: somebody new."""


@dataclass(frozen=True, slots=True)
class Separated:
    """What became of a split."""

    person_id: int
    """Who keeps the name."""
    people: tuple[int, ...]
    """Who has the faces of each part now, in the order of the parts."""
    entry_id: int | None
    """The one entry of the journal that all of it is; None: nothing was to be done."""


def separate(catalog: Catalog, decisions: Decisions, person: Person, parts: Sequence[Arranged]) -> Separated:
    """Make each part another person, all of them or none, as one decision; what is in no part stays with the person.

    Faces for somebody who is there are assigned to them by the user's word; new people are kept apart from the person
    and from each other, as by `Decisions.split`.

    Raises:
        NotKnownError: a name is taken, or cannot be one; somebody is not known.
        DecisionError: a face is in two parts, a user assigned it to the person, or none would stay.
    """
    _check(person, parts)
    new = [part for part in parts if part.person_id is None]
    known = [part for part in parts if part.person_id is not None]
    n_before = len(decisions.made)
    with decisions.all_or_none(), decisions.as_one():
        made = decisions.split(person, [part.faces for part in new]).people[1:] if new else ()
        for person_id, part in zip(made, new, strict=True):
            if part.new_name is not None:
                decisions.rename(ids.person(person_id), part.new_name)
        for part in known:
            other = find_person(catalog, ids.person(part.person_id or 0))
            decisions.assign([ids.face(face) for face in part.faces], ids.person(other.id))
    made_by = dict(zip(map(id, new), made, strict=True))
    people = tuple(made_by.get(id(part)) or part.person_id or 0 for part in parts)
    entries = [one.entry_id for one in decisions.made[n_before:] if one.entry_id is not None]
    return Separated(person.id, people, entries[0] if entries else None)


def _check(person: Person, parts: Sequence[Arranged]) -> None:
    faces = [face for part in parts for face in part.faces]
    if not faces:
        raise DecisionError(f"all faces are to stay with {person.label}: there is nothing to split")
    if len(faces) != len(set(faces)):
        raise DecisionError("a face is in two parts; leave it in one")
    if any(part.person_id == person.id for part in parts):
        raise DecisionError(f"a part is to be {person.label} again; what is in no part stays with {person.label}")
