"""Where the library, the people folder and the catalog may lie; refused before anything starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from facewatch.errors import ConfigError, LibraryError
from facewatch.fs.mounts import is_folder


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


def distinct_roots(wanted: Sequence[Path], known: Sequence[Path]) -> tuple[Path, ...]:
    """Return the libraries to look through: the outermost known or wanted one for each wanted, each once."""
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
        raise LibraryError(
            f"{library}: {what}; {first} its drive in, or name your photo folder (library.photos, or on the command "
            "line)"
        )


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
