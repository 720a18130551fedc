"""Where the library, the people folder and the catalog may lie (refused before anything starts), and whether a library
was moved."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.errors import ConfigError, LibraryError
from facewatch.fs.mounts import is_folder

if TYPE_CHECKING:
    from facewatch.catalog import Catalog

N_GLANCED = 40
"""Known files that a quick check of a library looks for, to find whether it is the drive that was there."""


def check_places(photos: Sequence[Path], people: Path, catalog: Path, *, source: str) -> None:
    """Refuse places that would make facewatch watch its own work, or write into a library.

    Raises:
        ConfigError: with every fault found.
    """
    faults = []
    for library in photos:
        faults += _faults(library.resolve(), people.resolve(), catalog.resolve(), shown=library)
    if catalog.resolve().is_relative_to(people.resolve()):
        faults.append(f"library.catalog = {catalog}: must not lie inside the people folder")
    if faults:
        raise ConfigError(source, faults)


def check_mirror(photos: Sequence[Path], people: Path, mirror: Path, *, source: str) -> None:
    """Refuse a folder for sidecars that lies in, or around, a library or the people folder: what is written there must
    never be beside a photo.

    Raises:
        ConfigError: it does.
    """
    for place in (*photos, people):
        first, second = mirror.resolve(), place.resolve()
        if first.is_relative_to(second) or second.is_relative_to(first):
            raise ConfigError(source, [f"regions.folder = {mirror}: must not lie inside or around {place}"])


def distinct_roots(wanted: Sequence[Path], known: Sequence[Path]) -> tuple[Path, ...]:
    """Return the libraries to scan: the outermost known or wanted one for each wanted, each once."""
    everybody = [*known, *wanted]

    def outermost(root: Path) -> Path:
        holders = [other for other in everybody if root.resolve().is_relative_to(other.resolve())]
        return min(holders, key=lambda other: len(other.resolve().parts))

    return tuple(dict.fromkeys(outermost(root) for root in wanted))


def nested_roots(known: Sequence[Path], roots: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return (inner, outer) for every known library that lies in one of these."""
    return [
        (inner, outer)
        for inner in known
        for outer in roots
        if inner.resolve() != outer.resolve() and inner.resolve().is_relative_to(outer.resolve())
    ]


def check_library(library: Path) -> None:
    """Refuse a library that is not there.

    Raises:
        LibraryError: it does not exist, or is no folder.
    """
    if not is_folder(library):
        what = "not a folder" if os.path.lexists(library) else "does not exist"
        near = _beside(library)
        first = f"did you mean {near}? Else plug" if near else "plug"
        why = f"{what}; {first} its drive in, or name your photo folder (library.photos, or on the command line)"
        raise LibraryError(f"{library}: {why}", why)


def _beside(library: Path) -> Path | None:
    """Return the folder beside it whose name is nearly the same."""
    import difflib

    try:
        folders = {one.name.casefold(): one for one in library.parent.iterdir() if is_folder(one)}
    except OSError:
        return None
    near = difflib.get_close_matches(library.name.casefold(), folders, 1, 0.8)
    return folders[near[0]] if near else None


def _faults(library: Path, people: Path, catalog: Path, *, shown: Path) -> list[str]:
    faults = []
    if people.is_relative_to(library) or library.is_relative_to(people):
        faults.append(f"library.people = {people}: must lie beside the photos ({shown}), not inside or around them")
    if catalog.is_relative_to(library):
        faults.append(f"library.catalog = {catalog}: must not lie inside the photos ({shown}), which are only read")
    return faults


@dataclass(frozen=True, slots=True)
class MovedLibrary:
    """A library that was moved as a whole."""

    old: Path
    new: Path
    n_files: int


def follow_moves(
    catalog: Catalog, roots: Collection[Path], *, is_gone: Callable[[Path], bool], root_id: Callable[[Path], int]
) -> Iterator[MovedLibrary]:
    """A library that is gone, and stands as a whole in one that was just added, was moved: it lies there now.

    Args:
        roots: the libraries that are wanted.
        is_gone: whether nothing is left of one that is not wanted.
        root_id: returns the id of a library, recorded if it is not yet.
    """
    for old in catalog.roots.all():
        old_id = root_id(old)
        n_files, some = catalog.files.sample(old_id, N_GLANCED)
        if not some or not is_gone(old):
            continue
        for root, below in ((root, below) for root in roots for below in ("", old.name)):
            n_there = sum(size_of(root / below / path) == size for path, size in some)
            if n_there > len(some) / 2 and _is_new_there(catalog, root, below, like=old_id):
                if below:
                    outer_id = root_id(root)
                    with catalog.write():
                        catalog.roots.absorb(old_id, outer_id, below)
                else:
                    from facewatch.library.scan import drive_of

                    drive = drive_of(root)
                    with catalog.write():
                        catalog.roots.move(old_id, root)
                        catalog.roots.add(root, drive, catalog.now())
                yield MovedLibrary(old, root / below, n_files)
                break


def _is_new_there(catalog: Catalog, root: Path, below: str, *, like: int) -> bool:
    """Whether nothing is on record yet of a place in a library: else two drives may hold the same photos."""
    known = catalog.roots.one(root)
    if known is None:
        return True
    is_alike = catalog.roots.is_aligned(known[0]) == catalog.roots.is_aligned(like)
    return is_alike and not catalog.files.known(known[0], below)


def size_of(path: Path) -> int | None:
    """Return the size of a file; None: it is not there, or cannot be read."""
    try:
        return path.lstat().st_size
    except OSError:
        return None
