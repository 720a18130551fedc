"""Names that are known before a user gives any, and where they come from: folders of a catalog that is gone, so far.

To add a source, sidecar files for example, write a class with what `NameSource` asks for, in a module beside this one,
and put it into `SOURCES`. Its names wait until their photos have been grouped, and then go to whoever is on most of
them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from facewatch.folders.names_of_folders import FolderNames

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.corrections import Decisions

log = logging.getLogger(__name__)


class NameSource(Protocol):
    """A source of names for people who have none yet."""

    origin: str
    """What had the name, for the log."""
    most_photos: int
    """So many photos of a name are given at most."""

    def __init__(self, catalog: Catalog) -> None: ...

    def waiting(self) -> dict[str, list[str]]:
        """Return the names that wait, each with paths of photos that show its person."""
        ...

    def keep(self, names: Mapping[str, list[str]]) -> None:
        """Let only these wait still; inside the caller's transaction."""
        ...


SOURCES: tuple[type[NameSource], ...] = (FolderNames,)
"""All of them, in the order in which their names are given."""


def are_names_waiting(catalog: Catalog) -> bool:
    """Whether a source has a name that nobody bears yet."""
    return any(source(catalog).waiting() for source in SOURCES)


def give_names(catalog: Catalog, decisions: Decisions) -> list[str]:
    """Give names that wait to their people; return those given.

    A name is given to who is not named yet, is on most of the name's photos, and mostly there.
    """
    given: list[str] = []
    for source in (make(catalog) for make in SOURCES):
        given += _given_from(source, catalog, decisions)
    return given


def _given_from(source: NameSource, catalog: Catalog, decisions: Decisions) -> list[str]:
    waiting = source.waiting()
    if not waiting:
        return []
    given = []
    with catalog.write():
        taken = {name.casefold() for name in catalog.people.names().values()}
        for name, photos in waiting.items():
            person_id = None if name.casefold() in taken else _person_of(catalog, photos, most=source.most_photos)
            if person_id is not None:
                decisions.rename(f"p{person_id}", name)
                given.append(name)
        source.keep({n: p for n, p in waiting.items() if n not in given and n.casefold() not in taken})
    for name in given:
        log.info("%s: the name comes from %s", name, source.origin)
    return given


def _person_of(catalog: Catalog, paths: Sequence[str], *, most: int) -> int | None:
    files = [catalog.files.at(Path(path)) for path in paths]
    photos = {file.photo_id for file in files if file is not None and file.photo_id is not None}
    counts = sorted(((n, person_id) for person_id, n in catalog.assignments.people_on(photos).items()), reverse=True)
    if not counts or (len(counts) > 1 and counts[0][0] == counts[1][0]):
        return None
    n, person_id = counts[0]
    person = catalog.people.one(person_id)
    # Of very many photos only some are remembered.
    is_clear = 2 * n > len(photos) and person is not None and (len(paths) >= most or 2 * n > person.n_photos)
    return person_id if person is not None and person.name is None and is_clear else None
