"""Events where there is no inotify: by watchdog's observer of the platform (FSEvents, kqueue)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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

from facewatch.watcher.events import EventSource, Skips, folders_above

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

_HEARD = [
    *(DirCreatedEvent, DirDeletedEvent, DirMovedEvent),
    *(FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent),
]
"""Not opening and closing without writing: our own reading would be an event."""


class ObserverSource(EventSource, FileSystemEventHandler):
    """Puts the observer's events into the buffer, but nothing of folders that are skipped."""

    def __init__(
        self,
        root: Path,
        *,
        skips: Skips,
        open_observer: Callable[[], BaseObserver] = Observer,
    ) -> None:
        super().__init__(root, skips=skips)
        self._open_observer = open_observer
        self._observer: BaseObserver | None = None

    @property
    def unwatched(self) -> frozenset[str]:
        return frozenset({""} if self._is_dead else ())

    @property
    def fault(self) -> str | None:
        return "listening ended unexpectedly" if self._is_dead else None

    @property
    def is_closed(self) -> bool:
        return self._observer is None or self._is_dead

    @property
    def _is_dead(self) -> bool:
        threads = (self._observer, *self._observer.emitters) if self._observer is not None else ()
        return not all(thread.is_alive() for thread in threads)

    def start(self) -> None:
        # The observer itself would say neither which folder, nor anything at all on some systems.
        os.scandir(self._root).close()
        observer = self._open_observer()
        try:
            observer.schedule(self, self._root, recursive=True, event_filter=_HEARD)
            observer.start()
        except BaseException:
            observer.unschedule_all()
            raise
        self._observer = observer

    def close(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def complete(self) -> None:
        """Nothing to do: the system itself follows the folders below the root."""

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called in the observer's thread: only notes."""
        for path in (event.src_path, event.dest_path):
            if path:
                self._note(os.fsdecode(path), event.is_directory)

    def _note(self, path: str, is_folder: bool) -> None:
        if path == self._root:
            self._buffer.add_folder("")
        elif path.startswith(self._root + "/"):
            below = path[len(self._root) + 1 :]
            if any(self._skips(folder) for folder in folders_above(below) if folder):
                return
            if not is_folder:
                self._buffer.add_file(below)
            elif not self._skips(below):
                self._buffer.add_folder(below)
