"""File events become settled paths. Events are hints: late, doubled or lost ones do no harm, scans see to that."""

from __future__ import annotations

import logging
import os
import queue
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

_HEARD = [
    *(DirCreatedEvent, DirDeletedEvent, DirMovedEvent),
    *(FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent),
]
"""Not opening and closing without writing: our own reading would be heard."""


@dataclass(slots=True)
class _Pending:
    """A path that something was heard of."""

    fingerprint: Fingerprint | None
    """None: it is not there."""
    still_since: float


@dataclass(frozen=True, slots=True)
class Settled:
    """Paths that may be acted on."""

    present: dict[str, Fingerprint]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.present or self.gone)


class SettleQueue:
    """Holds paths back until they have been still: a file that grows is not read, a file that moves is not lost.

    Removals wait longer than additions, because a move takes two steps.
    """

    def __init__(
        self, look: Callable[[str], Fingerprint | None], *, settle_seconds: float, removal_seconds: float
    ) -> None:
        """`look` returns a path's fingerprint, or None when no regular file is there."""
        self._look = look
        self._settle_seconds = settle_seconds
        self._removal_seconds = removal_seconds
        self._pending: dict[str, _Pending] = {}
        self._has_more = False

    def __len__(self) -> int:
        return len(self._pending)

    def hear(self, path: str, now: float) -> None:
        """Something happened to this path."""
        if path not in self._pending:
            self._pending[path] = _Pending(self._look(path), now)

    @property
    def has_more(self) -> bool:
        """Whether the last answer was cut short."""
        return self._has_more

    def settled(self, now: float, most: int) -> Settled:
        """Return the paths that have been still for long enough, at most so many, and forget them."""
        present: dict[str, Fingerprint] = {}
        gone: list[str] = []
        self._has_more = False
        for path, pending in list(self._pending.items()):
            if len(present) + len(gone) >= most:
                self._has_more = True
                break
            seen = self._look(path)
            if seen != pending.fingerprint:
                pending.fingerprint, pending.still_since = seen, now
                continue
            wait = self._removal_seconds if seen is None else self._settle_seconds
            if now - pending.still_since < wait:
                continue
            del self._pending[path]
            if seen is None:
                gone.append(path)
            else:
                present[path] = seen
        return Settled(present, tuple(gone))

    def vanished(self) -> tuple[str, ...]:
        """Return the paths that are not there but still might come back."""
        return tuple(path for path, pending in self._pending.items() if pending.fingerprint is None)


def look_below(root: Path) -> Callable[[str], Fingerprint | None]:
    """Return a function that gives the fingerprint of a regular file below the root, None where there is none."""

    def look(path: str) -> Fingerprint | None:
        try:
            status = os.lstat(f"{root}/{path}")
        except OSError:
            return None
        return Fingerprint.of(status) if stat.S_ISREG(status.st_mode) else None

    return look


class Ears:
    """Hears what happens below a folder; a context manager that stops listening at its end.

    What was heard is taken with `take`: paths below the root, and "" when something happened to a folder, which only
    a scan can tell the whole of.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._observer = Observer()

    def __enter__(self) -> Ears:
        """Start listening.

        Raises:
            OSError: the kernel refuses (too many watches), or the folder is not there.
        """
        handler = _Handler(self._note)
        try:
            self._observer.schedule(handler, self._root, recursive=True, event_filter=_HEARD)
            self._observer.start()
        except BaseException:
            self._observer.unschedule_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def take(self, timeout: float) -> set[str]:
        """Return what was heard, waiting for the first of it at most this many seconds."""
        heard: set[str] = set()
        try:
            heard.add(self._heard.get(timeout=timeout) if timeout > 0 else self._heard.get_nowait())
            while True:
                heard.add(self._heard.get_nowait())
        except queue.Empty:
            return heard

    def _note(self, path: str, is_folder: bool) -> None:
        # Called in the observer's thread: only enqueues.
        if is_folder or path == self._root:
            self._heard.put("")
        elif path.startswith(self._root + "/"):
            self._heard.put(path[len(self._root) + 1 :])


class _Handler(FileSystemEventHandler):
    def __init__(self, note: Callable[[str, bool], None]) -> None:
        self._note = note

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._note(os.fsdecode(path), event.is_directory)
