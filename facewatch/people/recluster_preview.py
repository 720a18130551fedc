"""What a recluster would do, and rows of the catalog that are not written yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from facewatch.catalog import Change, FaceRow

if TYPE_CHECKING:
    from facewatch.catalog import Person
    from facewatch.people.grouping import GroupingSettings
    from facewatch.people.identities import Reclustered


class Fate(StrEnum):
    """What becomes of somebody."""

    NEW = "new"
    GROWS = "grows"
    SHRINKS = "shrinks"
    CHANGES = "changes"
    """Some faces come, others go."""
    SPLITS = "splits"
    """Some of its faces become somebody new."""
    JOINS = "joins"
    """It becomes part of another."""
    VANISHES = "vanishes"


@dataclass(frozen=True, slots=True)
class ChangedPerson:
    """One person before and after; faces come in the order in which they show most."""

    number: int
    """1, 2, 3... by which others of the same preview name it."""
    person_id: int | None
    """None: somebody new, who has no id yet."""
    label: str
    """"": somebody new."""
    is_named: bool
    fate: Fate
    before: tuple[int, ...]
    after: tuple[int, ...]
    into: tuple[int, ...]
    """The numbers of those to whom its faces go, the most faces first."""
    n_to_pool: int
    """Its faces that belong to nobody then."""

    @property
    def n_coming(self) -> int:
        return len(set(self.after) - set(self.before))

    @property
    def n_leaving(self) -> int:
        return len(set(self.before) - set(self.after))


@dataclass(frozen=True, slots=True)
class PersonPremise:
    """What a preview took for granted of a person."""

    is_named: bool
    is_hidden: bool
    is_user_edited: bool
    born: str | None
    faces: frozenset[int]

    def holds(self, now: PersonPremise | None) -> bool:
        """Whether it is so still; faces may have come."""
        return now is not None and self == replace(now, faces=self.faces) and self.faces <= now.faces


@dataclass(frozen=True, slots=True)
class Premises:
    """What a preview took for granted of all whom it would change."""

    people: Mapping[int, PersonPremise]
    faces: Mapping[int, FaceRow]
    rejections: Mapping[int, Collection[int]]
    """Whom each of those faces is not."""
    cannot_links: Mapping[int, Collection[int]]
    """Whom each of those people is not."""


@dataclass(frozen=True, slots=True)
class PlannedRows:
    """What a recluster writes, and what it took for granted."""

    rows: tuple[Change, ...]
    """People who do not exist yet have ids from `first_new` on."""
    first_new: int
    hubs: frozenset[int]
    """Who is near everybody then, and is shown last."""
    premises: Premises


@dataclass(frozen=True, slots=True)
class ReclusterPreview:
    """What a recluster would do; nothing of it is done yet."""

    at: str
    """When the catalog was as it is taken for here; UTC."""
    settings: GroupingSettings
    is_from_scratch: bool
    """Whether groups about which no user decided anything are made again, too."""
    engine: str
    """Its fingerprint."""
    result: Reclustered
    n_pool_after: int
    n_unnamed: int
    """People without a name who have faces; before, and `n_unnamed_after`."""
    n_unnamed_after: int
    people: tuple[ChangedPerson, ...]
    """Those who would change, the most faces that come or go first."""
    plan: PlannedRows = field(repr=False)

    @property
    def is_empty(self) -> bool:
        return not self.plan.rows

    def n_of(self, fate: Fate) -> int:
        return sum(one.fate is fate for one in self.people)


# --- rows ---


def with_ids(change: Change, numbers: Mapping[int, int]) -> Change:
    """Return a change in which people have other ids."""
    first = {"people": 0, "apart": 0, "rejections": 1}.get(change.table, len(change.key))
    after = change.after and {
        name: numbers.get(value, value) if name in _PERSON_COLUMNS else value for name, value in change.after.items()
    }
    key = (*change.key[:first], *(numbers.get(part, part) for part in change.key[first:]))
    return Change(change.table, key, change.before, after)


_PERSON_COLUMNS = frozenset({"person_id", "runner_up_id", "merged_into"})


def owner_of(row: Mapping[str, Any] | None) -> int | None:
    return row.get("person_id") if row else None


def merged_into(change: Change) -> int | None:
    """Return of whom the person of this row becomes a part."""
    return change.after.get("merged_into") if change.table == "people" and change.after else None


def faces_of(assigned: Mapping[int, int], people: Collection[int]) -> dict[int, set[int]]:
    faces: dict[int, set[int]] = {person_id: set() for person_id in people}
    for face_id, person_id in assigned.items():
        if person_id in faces:
            faces[person_id].add(face_id)
    return faces


def people_in(rows: Iterable[Change]) -> set[int]:
    """Return who gains or loses a face, or is changed itself."""
    people: set[int] = set()
    for change in rows:
        if change.table in ("people", "apart"):
            people |= set(change.key)
        elif change.table == "rejections":
            people.add(change.key[1])
        else:
            people |= {side["person_id"] for side in (change.before, change.after) if side and "person_id" in side}
    return people


def premise_of(person: Person, faces: Collection[int]) -> PersonPremise:
    return PersonPremise(
        person.name is not None, person.is_hidden, person.is_user_edited, person.born, faces=frozenset(faces)
    )
