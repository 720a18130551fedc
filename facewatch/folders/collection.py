"""A folder of links to photos that were searched for: made, and brought up to date, by what it says of itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.fs.atomic import replacing

MARKER = ".facewatch-photos"
"""Lists the links that were made here: nothing else is ever removed."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of a folder."""

    n_made: int
    n_removed: int
    n_links: int


def collect(folder: Path, files: Iterable[Path], *, libraries: Iterable[Path]) -> Collected:
    """Let a folder hold a link to each of these files, and none that was made here before to another.

    Raises:
        FolderError: it lies in a library, holds something else, or cannot be written.
    """
    folder = Path(os.path.normpath(folder.absolute()))
    for library in libraries:
        if folder.resolve().is_relative_to(library.resolve()):
            raise FolderError(f"{folder}: lies in the library {library}, which is only read; name another folder")
    try:
        known = _known(folder)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = _names(folder, files, known)
        removed = [name for name, target in known.items() if wanted.get(name) != target and _is(folder / name, target)]
        for name in removed:
            (folder / name).unlink()
        made = [name for name, target in wanted.items() if not _is(folder / name, target)]
        # What will be there is on record first: what a kill leaves half done is ours all the same.
        _write(folder, known | wanted)
        for name in made:
            (folder / name).symlink_to(wanted[name])
        _write(folder, wanted)
    except OSError as error:
        raise FolderError(
            f"{error.filename or folder}: {error.strerror or error}; name a folder that can be written and hold links"
        ) from error
    return Collected(len(made), len(removed), len(wanted))


def _known(folder: Path) -> dict[str, str]:
    """Return the links that were made in a folder before, by name."""
    try:
        known = json.loads((folder / MARKER).read_bytes().decode("utf-8", "surrogateescape"))
        return {str(name): str(target) for name, target in known["links"].items() if Path(name).name == name}
    except FileNotFoundError:
        if folder.is_dir() and any(folder.iterdir()):
            raise FolderError(f"{folder}: holds something else; name a new or empty folder") from None
        return {}
    except (ValueError, KeyError, AttributeError):
        raise FolderError(f"{folder / MARKER}: damaged; name a new folder") from None


def _names(folder: Path, files: Iterable[Path], known: dict[str, str]) -> dict[str, str]:
    """Return the wanted links by name; those that are there keep theirs."""
    names_of: dict[str, list[str]] = {}
    for name, target in known.items():
        names_of.setdefault(target, []).append(name)
    wanted: dict[str, str] = {}
    targets = {os.path.relpath(file, folder): file for file in files}
    for target in targets:
        if names_of.get(target):
            wanted[names_of[target][0]] = target
    taken = {name.casefold() for name in wanted} | {
        one.name.casefold() for one in folder.iterdir() if one.name not in known
    }
    for target, file in targets.items():
        if not names_of.get(target):
            name, number = file.name, 1
            while name.casefold() in taken:
                number += 1
                name = f"{file.stem} ({number}){file.suffix}"
            taken.add(name.casefold())
            wanted[name] = target
    return wanted


def _is(link: Path, target: str) -> bool:
    try:
        return os.readlink(link) == target
    except OSError:
        return False


def _write(folder: Path, links: dict[str, str]) -> None:
    with replacing(folder / MARKER) as file:
        file.write(json.dumps({"links": links}, ensure_ascii=False).encode("utf-8", "surrogateescape"))
