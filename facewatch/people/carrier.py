"""Carries who people are out of a catalog and into another one, by a file or straight."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog, CopiedCatalog
from facewatch.catalog.carried import Carried
from facewatch.errors import LibraryError, NotKnownError
from facewatch.fs.atomic import check_target, written_at_once
from facewatch.people import people_file
from facewatch.people.carrying import CarryPlanner, PersonPlan, check_engine, pairs_apart
from facewatch.people.reference_groups import join_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.apply import Corrections
    from facewatch.people.identities import Identities

SUFFIX = ".jsonl"
"""Of a file of people."""

MOST_BY_RUNS = 50
"""Faces of a person that a run assigned and that go along, so that somebody of whom a user confirmed few is known."""

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class WrittenPeople:
    """What was written into a file of people."""

    n_people: int
    n_faces: int


@dataclass(eq=False)
class Carrier:
    """Writes who people are into a file, and takes over what such a file, or another catalog, says."""

    catalog: Catalog
    engine: WantedEngine
    identities: Identities
    corrections: Corrections
    roots: Sequence[Path]
    """The libraries."""

    def write(self, file: Path, *, may_replace: bool = False) -> WrittenPeople:
        """Write who the people with names are.

        Raises:
            LibraryError: the file cannot be written, or is there already.
            NotKnownError: nobody has a name.
        """
        check_target(file, suffix=SUFFIX, photos=self.roots)
        if file.exists() and not may_replace:
            raise LibraryError(f"{file}: is there already; name another file, or write over it with --force")
        carried = _carried_from(self.catalog)
        if not carried.people:
            raise NotKnownError("nobody has a name yet: facewatch rename names people")
        with written_at_once(file, mode=0o600) as part:
            people_file.write(carried, part)
        return WrittenPeople(len(carried.people), sum(len(person.faces) for person in carried.people))

    def take_over(self, source: Path, *, is_trial: bool = False, may_differ: bool = False) -> list[PersonPlan]:
        """Take over what a file of people, or another catalog, says, as one decision; returns what comes of it.

        Args:
            is_trial: change nothing.
            may_differ: people of the same name are one, however they look.

        Raises:
            LibraryError: the file cannot be used.
            CatalogError: the other catalog cannot be opened.
            EngineError: another engine saw its faces, or the one here is being changed.
            FolderError: it is decided, but the folders do not show it.
        """
        _ = self.engine.id  # on record from now on; the first of a catalog is in use
        self.engine.check_is_in_use("faces can be compared")
        carried = self._read(source)
        check_engine(carried, self.catalog, str(source))
        with self.catalog.read():
            plans = CarryPlanner(self.catalog, self.identities.gallery(), may_differ=may_differ).plan(carried)
        if not is_trial:
            self._take(carried, plans)
        return plans

    def _take(self, carried: Carried, plans: Sequence[PersonPlan]) -> None:
        wanted = [plan for plan in plans if plan.changes_anything]
        with self.corrections.deciding() as decisions, decisions.as_one(source="people", n_spoken=len(wanted)):
            for plan in wanted:
                decisions.take_carried(plan, self.engine.id)
            decisions.take_apart(list(pairs_apart(self.catalog, carried)))
            self.identities.renew({person_id for made in decisions.made for person_id in made.people})
            join_groups(self.catalog, self.identities.gallery(), self.engine, decisions)

    def _read(self, source: Path) -> Carried:
        try:
            with source.open("rb") as file:
                if file.read(len(_SQLITE)) != _SQLITE:
                    file.seek(0)
                    return people_file.read(file, str(source))
        except OSError as error:
            raise LibraryError(
                f"{source}: {error.strerror}; name a folder of pictures, a file of people, or a catalog"
            ) from error
        if source.samefile(self.catalog.path):
            raise LibraryError(f"{source}: is the catalog in use; name another one")
        return _carried_of_catalog(source)


def _carried_of_catalog(source: Path) -> Carried:
    """What another catalog says; it is only read, and a copy of it brought up to date."""
    with CopiedCatalog(source) as other, io.BytesIO() as file:
        people_file.write(_carried_from(other), file)
        file.seek(0)
        # A catalog may come from anywhere, too: nothing in it is trusted more than in a file.
        return people_file.read(file, str(source))


def _carried_from(catalog: Catalog) -> Carried:
    engine = catalog.engines.in_use()
    if engine is None:
        raise NotKnownError(f"{catalog.path}: holds no face yet; `facewatch scan PHOTOS` finds them")
    with catalog.read():
        return catalog.carried.all(engine, most_by_runs=MOST_BY_RUNS)
