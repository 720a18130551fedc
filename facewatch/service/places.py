"""Where the library, the people folder and the catalog may lie; refused before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facewatch.errors import ConfigError, LibraryError


def check_places(photos: Sequence[Path], people: Path, catalog: Path, *, source: str) -> None:
    """Refuse places that would make facewatch watch its own work, or write into a library.

    Raises:
        ConfigError: with every fault found.
        LibraryError: a library does not exist.
    """
    faults = []
    for library in photos:
        _check_library(library)
        faults += _faults(library.resolve(), people.resolve(), catalog.resolve(), shown=library)
    if catalog.resolve().is_relative_to(people.resolve()):
        faults.append(f"library.catalog = {catalog}: must not lie inside the people folder")
    if faults:
        raise ConfigError(source, faults)


def _check_library(library: Path) -> None:
    if not library.is_dir():
        what = "not a folder" if library.exists() else "does not exist"
        raise LibraryError(f"{library}: {what}; name your photo folder (library.photos, or on the command line)")


def _faults(library: Path, people: Path, catalog: Path, *, shown: Path) -> list[str]:
    faults = []
    if people.is_relative_to(library) or library.is_relative_to(people):
        faults.append(f"library.people = {people}: must lie beside the photos ({shown}), not inside or around them")
    if catalog.is_relative_to(library):
        faults.append(f"library.catalog = {catalog}: must not lie inside the photos ({shown}), which are only read")
    return faults
