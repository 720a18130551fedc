"""Two checks: `audit` finds contradictions in a catalog, `doctor` finds what is broken in all that facewatch needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from facewatch.catalog import Catalog, FaceRow, Person, display
from facewatch.catalog.integrity import AssignedFace
from facewatch.ids import label_of
from facewatch.people.lookup import handle_of


class Severity(StrEnum):
    """How severe a finding is."""

    OK = "ok"
    REMARK = "remark"
    """A user wants it so, or nothing need be done."""
    BROKEN = "broken"


MOST_LISTED = 5


class FaultKind(StrEnum):
    """The kinds of findings."""

    TWICE = "twice"
    """One person with several faces in a photo."""
    NEARER = "nearer"
    """A face that is nearer to another person than to its own."""
    LOOSE = "loose"
    """Faces that a run assigned by looser settings than today's, which would refuse them."""
    ALIKE = "alike"
    """Two people who look like one."""
    LINKS = "links"
    """The people folder is not as the catalog says."""
    CATALOG = "catalog"
    """The catalog contradicts itself."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair that needs no decision of a user."""

    needs: tuple[AssignedFace, ...] = ()
    """What must still be so, besides what is changed; else nothing is done."""
    releases: tuple[AssignedFace, ...] = ()
    """Faces that are released, to be matched again."""
    moves: tuple[tuple[AssignedFace, int], ...] = ()
    """Faces and to whom they go."""
    revives: int | None = None
    """A person whose merge is taken back."""
    gains: tuple[int, ...] = ()
    """People that the released faces look like."""
    folders: bool = False
    """The people folder is brought up to date."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    kind: str
    """Of the audit: what is wrong, see `FaultKind`; of the doctor: the area that it belongs to."""
    severity: Severity
    text: str
    """One sentence without a full stop."""
    remedies: tuple[str, ...] = ()
    """What to type or do: any one of them."""
    id: str = ""
    """Of the audit: the same as long as the same is wrong."""
    people: tuple[int, ...] = ()
    faces: tuple[int, ...] = ()
    photos: tuple[str, ...] = ()
    """Absolute paths; of a photo with several files the first."""
    fix: Fix | None = None
    """What `audit --fix` does; None: it takes a decision."""

    @property
    def is_fault(self) -> bool:
        return self.severity is Severity.BROKEN

    @property
    def remedy(self) -> str:
        """The first; empty where there is none."""
        return self.remedies[0] if self.remedies else ""


class Words:
    """Names of people and paths of photos for the texts of findings."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @cached_property
    def everybody(self) -> Mapping[int, Person]:
        """The living, by id."""
        return {person.id: person for person in self._catalog.people.all()}

    def label(self, person_id: int) -> str:
        person = self.everybody.get(person_id)
        return person.label if person else label_of(person_id)

    def who(self, person_id: int) -> str:
        """Return the person as a command takes it: the name, else the id."""
        return handle_of(person_id, self.label(person_id))

    def paths(self, photos: Iterable[int]) -> tuple[str, ...]:
        wanted = list(dict.fromkeys(photos))
        sources = self._catalog.files.sources(wanted)
        return tuple(sources[photo_id][0] for photo_id in wanted if photo_id in sources)


def named(paths: Sequence[str], otherwise: str = "a photo that is not in the library") -> str:
    """Return the names of a few files, for a sentence."""
    names = [display(Path(path).name) for path in paths[:MOST_LISTED]]
    more = f" and {len(paths) - len(names)} more" if len(paths) > len(names) else ""
    return ", ".join(names) + more if names else otherwise


def assigned_of(rows: Iterable[FaceRow]) -> tuple[AssignedFace, ...]:
    return tuple(AssignedFace(row.id, row.person_id) for row in rows if row.person_id is not None)
