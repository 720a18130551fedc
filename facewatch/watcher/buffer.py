"""What was heard, held until somebody takes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Set
from dataclasses import dataclass

MOST_FILES = 65_536
"""Paths of single files that are held; when more happens before anybody asks, their folders stand for them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What happened below a root since the last time."""

    files: frozenset[str] = frozenset()
    """Paths below the root at which something happened to a file; none of them is below one of `folders`."""
    folders: frozenset[str] = frozenset()
    """Folders whose whole content has to be looked at, if they are there: none is below another, and "" is the root."""
    is_overflown: bool = False
    """Events were lost: only a look at everything tells what happened, and `folders` holds ""."""

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)


class Inbox:
    """Gathers what one thread hears until another takes it; what happens twice is held once."""

    def __init__(self, most_files: int = MOST_FILES) -> None:
        self._most_files = most_files
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._is_overflown = False
        self._changed = threading.Condition()

    def add_file(self, path: str) -> None:
        with self._changed:
            self._files.add(path)
            if len(self._files) > self._most_files:
                self._folders |= {path.rpartition("/")[0] for path in self._files}
                self._files.clear()
            self._changed.notify()

    def add_folder(self, path: str) -> None:
        with self._changed:
            self._folders.add(path)
            self._changed.notify()

    def overflow(self) -> None:
        """Note that it is not known what happened."""
        with self._changed:
            self._is_overflown = True
            self._folders.add("")
            self._changed.notify()

    def take(self, timeout: float) -> Heard:
        """Return what was heard and forget it, waiting for the first of it at most this many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._files or self._folders, max(timeout, 0.0))
            files, folders, is_overflown = self._files, self._folders, self._is_overflown
            self._files, self._folders, self._is_overflown = set(), set(), False
        return Heard(_outside(files, folders), _outside(folders, folders), is_overflown)


def _outside(paths: Set[str], folders: Set[str]) -> frozenset[str]:
    """Return the paths that are not below one of the folders."""
    return frozenset(path for path in paths if not any(above in folders for above in folders_above(path)))


def folders_above(path: str) -> Iterator[str]:
    """Return every folder that a path below the root is in, the root itself ("") first."""
    end = 0
    while path and end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
