"""The people folder while a watcher runs: somebody may rename, move or delete in it.

An event is only a reason to look, and what facewatch did itself is none: there stands what is on record. What somebody
meant is told by what stands in the folder, when nothing has happened in it for a moment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from facewatch.folders.sync import PeopleFolder
from facewatch.fs.mounts import file_system_of, is_folder, reports_changes
from facewatch.watcher.events import Events, EventSource
from facewatch.watcher.roots import open_source

log = logging.getLogger(__name__)

STILL_SECONDS = 1.5
"""How long nothing is to happen before the folder is looked at: whoever moves many links, or a program that moves one
in two steps, is not done yet."""
MOST_SECONDS = 10.0
"""After this long it is looked at all the same."""
MOST_PATHS = 1_000
"""Paths that are compared with the record one by one; more are a reason to look."""


class WatchedPeople:
    """Says when the people folder is to be looked at."""

    def __init__(
        self,
        folder: PeopleFolder,
        clock: Callable[[], float],
        *,
        is_polled: bool = False,
        kind_of: Callable[[Path], str] = file_system_of,
    ) -> None:
        """`is_polled`: nothing is listened to; `kind_of` says on which kind of file system a folder is."""
        self._folder = folder
        self._clock = clock
        self._is_polled = is_polled
        self._kind_of = kind_of
        self.source: EventSource | None = None
        self._is_wanted = False
        """Whether it is to be listened to, though that may not be possible now."""
        self._first_at: float | None = None
        """When something happened that has not been looked at; None: nothing did."""
        self._last_at = 0.0

    def listen(self) -> None:
        """Listen to what happens in it, as far as that is possible and not done already. Where it is not, the folder is
        compared as a whole as often as the libraries are."""
        self._is_wanted = True
        self.go_on_listening()

    def go_on_listening(self) -> None:
        """Listen again where that has ended, or was not possible: the folder may have been made meanwhile."""
        if not self._is_wanted or (self.source is not None and not self.source.is_closed):
            return
        root = self._folder.root
        if self._is_polled or not is_folder(root) or not reports_changes(self._kind_of(root)):
            return
        try:
            self.source = open_source(root, _is_hidden)
        except OSError as error:
            log.info("%s: changes in it are not noticed at once: %s", root, error.strerror or error)

    def close(self) -> None:
        """Listen no more."""
        self._is_wanted = False
        if self.source is not None:
            self.source.close()
            self.source = None

    @property
    def is_due(self) -> bool:
        """Whether somebody has changed something, and no more for a moment."""
        now = self._clock()
        if self.source is not None and self._is_news(self.source.take(0.0)):
            self._first_at = now if self._first_at is None else self._first_at
            self._last_at = now
        if self._first_at is None:
            return False
        return now - self._last_at >= STILL_SECONDS or now - self._first_at >= MOST_SECONDS

    def looked(self) -> None:
        """The folder was looked at."""
        self._first_at = None

    def _is_news(self, events: Events) -> bool:
        paths = [path for path in (*events.files, *events.folders) if not _is_hidden(path)]
        if events.is_overflown or len(paths) > MOST_PATHS:
            return True
        return any(not self._folder.is_as_recorded(path) for path in paths)


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")
