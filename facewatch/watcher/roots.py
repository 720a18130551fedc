"""One library that is watched: its source of events, its debouncer, and when to scan it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from facewatch.errors import LibraryError
from facewatch.fs.beneath import stat_below
from facewatch.fs.mounts import file_system_of, is_folder, reports_changes
from facewatch.library.scan import Rules
from facewatch.watcher.debounce import Debouncer
from facewatch.watcher.events import Events, EventSource, Skips
from facewatch.watcher.schedule import ScanSchedule, WatchSettings

if sys.platform == "linux":
    from facewatch.watcher.inotify import InotifySource as PlatformSource
else:
    from facewatch.watcher.observer import ObserverSource as PlatformSource

log = logging.getLogger(__name__)


def open_source(root: Path, skips: Skips) -> EventSource:
    """Return the platform's source of what happens below a folder, which listens already.

    Raises:
        OSError: see `EventSource.start`.
    """
    source = PlatformSource(root, skips=skips)
    source.start()
    return source


class Watched:
    """One root. What it is asked to do is done at once; when, the loop decides."""

    def __init__(
        self,
        root: Path,
        rules: Rules,
        settings: WatchSettings,
        clock: Callable[[], float],
        *,
        kind_of: Callable[[Path], str] = file_system_of,
    ) -> None:
        """`kind_of` says on which kind of file system a folder is."""
        self.root = root
        self._rules = rules
        self._clock = clock
        self._kind_of = kind_of
        self._settings = settings
        self.schedule = ScanSchedule(
            clock,
            settle_seconds=settings.settle_seconds,
            scan_seconds=settings.scan_seconds,
            poll_seconds=settings.poll_seconds,
        )
        self.seen = stat_below(root)
        """Gives the fingerprint of a file below the root, None where there is none."""
        self.queue = self._new_queue()
        self.source: EventSource | None = None
        self._unreported: frozenset[str] = frozenset()
        """Folders on which a drive is mounted that does not report changes."""
        self.why_polled = ""
        """Why the whole library is scanned again and again; empty: its events are taken."""
        self.offline = ""
        """Why it is not there; empty: it is."""

    def _new_queue(self) -> Debouncer:
        return Debouncer(
            self.seen,
            settle_seconds=self._settings.settle_seconds,
            removal_seconds=self._settings.removal_seconds,
        )

    # --- listening ---

    def listen(self) -> None:
        """Listen to the kernel; where it refuses, or would not report all, scan again and again instead."""
        self.close()
        self.why_polled = self._why_not_listen()
        if not self.why_polled:
            try:
                self.source = open_source(self.root, lambda folder: self._rules.skips(folder, self.root))
            except OSError as error:
                self.why_polled = f"the kernel cannot report changes ({error.strerror or error})"
        if self.source is None:
            log.info("%s: polled instead of watched: %s", self.root, self.why_polled)
        elif self.source.unwatched:
            log.warning(
                "%s: %d folder(s) are scanned again and again: %s",
                self.root,
                len(self.source.unwatched),
                self.source.fault,
            )
        else:
            log.info("%s: watching", self.root)

    def _why_not_listen(self) -> str:
        if self._settings.is_always_polled:
            return 'watch.poll = "always"'
        if not is_folder(self.root):
            return "it is not there"
        kind = self._kind_of(self.root)
        return "" if reports_changes(kind) else f"a {kind} file system does not report changes"

    def complete(self) -> None:
        """Listen also to folders that could not be listened to before; asked for before a full scan."""
        if self.source and self.source.is_closed:
            self.listen()
        elif self.source:
            self.source.complete()

    def close(self) -> None:
        """Listen no more."""
        if self.source:
            self.source.close()
            self.source = None

    def take(self, timeout: float) -> Events:
        """Return the events since, after at most this many seconds."""
        return self.source.take(timeout) if self.source else Events(frozenset(), frozenset())

    @property
    def polled(self) -> dict[str, str]:
        """What is scanned again and again, and why."""
        if self.why_polled:
            return {str(self.root): self.why_polled}
        fault = (self.source.fault if self.source else None) or ""
        reasons = dict.fromkeys(self.source.unwatched if self.source else (), fault)
        reasons |= dict.fromkeys(self._unreported, "the drive that is mounted there does not report changes")
        return {f"{self.root}/{folder}": reason for folder, reason in reasons.items()}

    # --- events, and when to scan ---

    def add_events(self, events: Events) -> None:
        now = self._clock()
        for path in events.files:
            if self._rules.allows(path, self.root):
                self.queue.add(path, now)
        for folder in events.folders:
            self.schedule.add(folder)
        if events.is_overflown:
            log.warning("%s: the kernel lost events; scanning the whole library", self.root)

    def due(self) -> list[str]:
        """Return the folders to scan now; "" is everything, and then it is the only one."""
        return self.schedule.due(self._unreported | (self.source.unwatched if self.source else frozenset()))

    def scanned(self, below: str, took: float, mounts: Iterable[str] = ()) -> None:
        """A scan ended that took so many seconds; where it was of everything, it saw these drives mounted below."""
        self.schedule.scanned(below, took, is_listening=self.source is not None)
        if not below:
            self._unreported = frozenset(
                mount for mount in mounts if not reports_changes(self._kind_of(self.root / mount))
            )

    # --- there or not ---

    def lose(self, error: LibraryError, took: float) -> None:
        """It is not there: its events mean nothing, and what was listened to is elsewhere, or nowhere."""
        if not self.offline:
            log.warning("%s", error)
        self.offline = error.reason
        self.close()
        self.queue = self._new_queue()
        self.schedule.lost(took)

    def find(self) -> None:
        """It is there again."""
        log.info("%s: back again", self.root)
        self.offline = ""
        self.listen()
