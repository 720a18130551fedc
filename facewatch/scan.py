"""Walk the library and compare it with what the catalog knows: the truth, whatever the watcher heard."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from facewatch.types import Fingerprint

IGNORE_MARKERS = frozenset({".nomedia"})
"""A folder that holds one of these is passed over with all below it."""

IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What in the library is none of our business."""

    exclude: tuple[str, ...] = ()
    """A name ("@eaDir"), a pattern ("*.png"), or a path below the root ("Scans/old")."""

    def passes_over(self, path: str) -> bool:
        """Whether a path below the root is hidden or excluded by its own name; its parents were asked before."""
        name = path.rpartition("/")[2]
        if name.startswith(".") or name.lower() in IGNORED_FILES:
            return True
        return any(fnmatch.fnmatch(path if "/" in p else name, p.strip("/")) for p in self.exclude)

    def allows(self, path: str, root: Path) -> bool:
        """Whether a path below the root, and every folder above it, is our business."""
        parts = PurePosixPath(path).parts
        prefixes = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        if any(self.passes_over(prefix) for prefix in prefixes):
            return False
        folders = [root, *(root / prefix for prefix in prefixes[:-1])]
        return not any((folder / marker).exists() for folder in folders for marker in IGNORE_MARKERS) and not any(
            folder.is_symlink() for folder in folders[1:]
        )


@dataclass(frozen=True, slots=True)
class Walk:
    """The files of a root, by their path below it."""

    files: Mapping[str, Fingerprint]
    unread: Mapping[str, str] = field(default_factory=dict)
    """Folders that could not be listed, and why: nothing below them counts as missing."""


@dataclass(frozen=True, slots=True)
class Moved:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the library and the catalog."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[Moved, ...]
    missing: tuple[str, ...]

    @property
    def to_read(self) -> tuple[str, ...]:
        return (*self.changed, *self.added)


def walk(root: Path, rules: Rules) -> Walk:
    """Return every regular file below the root that the rules let through. Links are not followed at all: what they
    lead to inside the library is found by itself, and what lies outside is not ours.

    Raises:
        OSError: the root itself cannot be listed.
    """
    files: dict[str, Fingerprint] = {}
    unread: dict[str, str] = {}
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise
            unread[folder] = error.strerror or str(error)
            continue
        if any(entry.name in IGNORE_MARKERS for entry in entries):
            continue
        for path, entry in _ours(entries, folder, rules):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                todo.append(path)
            elif stat.S_ISREG(status.st_mode):
                files[path] = Fingerprint.of(status)
    return Walk(files, unread)


def _ours(entries: Sequence[os.DirEntry[str]], folder: str, rules: Rules) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if not rules.passes_over(path):
            yield path, entry


def compare(found: Walk, known: Mapping[str, Fingerprint]) -> Changes:
    """Return what to do so that the catalog says what the library holds.

    A file that vanished in one place and stands in another with the same inode, size and time was moved: it need not
    be read again. Other moves are noticed later, by content.
    """
    gone = {path for path in known if path not in found.files and not _is_below(path, found.unread)}
    by_print = {known[path]: path for path in sorted(gone)}
    added, moved = [], []
    for path, fingerprint in sorted(found.files.items()):
        if path in known:
            continue
        old = by_print.pop(fingerprint, None)
        if old is None:
            added.append(path)
        else:
            moved.append(Moved(old, path))
            gone.discard(old)
    changed = [path for path, fingerprint in sorted(found.files.items()) if known.get(path, fingerprint) != fingerprint]
    return Changes(tuple(added), tuple(changed), tuple(moved), tuple(sorted(gone)))


def _is_below(path: str, folders: Mapping[str, str]) -> bool:
    return any(path.startswith(folder + "/") for folder in folders)
