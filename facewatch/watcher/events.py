"""Events below a root, from inotify or watchdog, buffered until the loop takes them.

Events are hints: late, doubled or lost ones do no harm, scans of the whole library see to that.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

Skips = Callable[[str], bool]
"""Says that a folder, by its path below the root, is none of our business, with all below it."""

MOST_FILES = 65_536
"""Paths of single files that are held; when more happens before anybody asks, their folders stand for them."""


@dataclass(frozen=True, slots=True)
class Events:
    """What happened below a root since the last time."""

    files: frozenset[str] = frozenset()
    """Paths below the root at which something happened to a file; none of them is below one of `folders`."""
    folders: frozenset[str] = frozenset()
    """Folders whose whole content has to be scanned, if they are there: none is below another, and "" is the root."""
    is_overflown: bool = False
    """Events were lost: only a full scan finds what happened, and `folders` holds ""."""

    def __bool__(self) -> bool:
        return bool(self.files or self.folders)


class EventBuffer:
    """Gathers events of one thread until another takes them; what happens twice is held once."""

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

    def take(self, timeout: float) -> Events:
        """Return the events and forget them, waiting for the first of it at most this many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._files or self._folders, max(timeout, 0.0))
            files, folders, is_overflown = self._files, self._folders, self._is_overflown
            self._files, self._folders, self._is_overflown = set(), set(), False
        return Events(_outside(files, folders), _outside(folders, folders), is_overflown)


def _outside(paths: Set[str], folders: Set[str]) -> frozenset[str]:
    """Return the paths that are not below one of the folders."""
    return frozenset(path for path in paths if not any(above in folders for above in folders_above(path)))


def folders_above(path: str) -> Iterator[str]:
    """Return every folder that a path below the root is in, the root itself ("") first."""
    end = 0
    while path and end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)


class EventSource(ABC):
    """Gathers what happens below a folder; a context manager that starts and ends that."""

    def __init__(self, root: Path, *, skips: Skips) -> None:
        """`skips` is asked for every folder before it is watched, also from another thread; where it
        raises OSError, because the folder cannot be read, the folder counts as our business.
        """
        self._root = str(root)
        self._is_skipped = skips
        self._buffer = EventBuffer()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, timeout: float) -> Events:
        """Return what happened since the last time, waiting for the first of it at most this many seconds."""
        return self._buffer.take(timeout)

    @abstractmethod
    def start(self) -> None:
        """Start listening.

        Raises:
            OSError: the root cannot be listened to at all: it is not there, or the kernel refuses; `strerror` says
                what helps.
        """

    @abstractmethod
    def close(self) -> None:
        """Listen no more; what happened until now can still be taken."""

    @abstractmethod
    def complete(self) -> None:
        """Listen to what is there now: to folders that were refused, skipped, or mounted unheard of until now too.

        It lists every folder, and belongs before a scan of everything.
        """

    @property
    @abstractmethod
    def unwatched(self) -> frozenset[str]:
        """Folders that are not listened to, with all below them, though they should be: they have to be polled.

        Those that could not be listed are among them, though a part of what happens there may be reported. Those that
        nobody here may read are not: polling would not find anything in them either.
        """

    @property
    @abstractmethod
    def fault(self) -> str | None:
        """Why there are unwatched folders, and what helps; None when there are none."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether nothing is listened to any more, or not yet: `complete` does not mend that, only another source."""

    def _skips(self, folder: str) -> bool:
        """A folder that cannot be asked what it is, is one to watch: trying shows whether it can be, and why."""
        try:
            return self._is_skipped(folder)
        except OSError:
            return False
