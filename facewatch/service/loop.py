"""The watcher's loop: what is heard settles, is ingested, grouped, and shows up in the folders."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from facewatch import scan, watch
from facewatch.errors import BusyError, DiskFullError, FolderError, LibraryError
from facewatch.service import Service
from facewatch.service.places import check_library
from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""How long the loop waits for something to happen before it looks at its queues."""

BATCH_PHOTOS = 64
"""Photos ingested before the loop looks around again: a first import of many thousand must not keep it from hearing,
from showing folders, or from being stopped."""

OFFLINE_SECONDS = 15.0
"""How often a library that is not there is looked for."""

PAUSE_SECONDS = 10.0
"""How long to wait when the catalog cannot be written."""

MOST_SHARE = 0.2
"""Grouping and folders may take this share of the time while photos are waiting."""


@dataclass(slots=True)
class _Library:
    """One root that is watched."""

    root: Path
    queue: watch.SettleQueue
    look_at: float
    """When to compare it with the catalog again, whatever was heard."""
    ears: watch.Ears | None = None
    deafen: ExitStack = field(default_factory=ExitStack)
    """Ends the listening."""
    is_offline: bool = False


class _Throttle:
    """Says when repeated work is due so that it takes no more than a share of the time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_at = clock()

    @property
    def is_due(self) -> bool:
        return self._clock() >= self._due_at

    def took(self, seconds: float) -> None:
        self._due_at = self._clock() + seconds * (1 / MOST_SHARE - 1)


class WatchLoop:
    """Keeps catalog and folders up to date until told to stop. `step` is one turn, so that tests need not wait."""

    def __init__(
        self,
        service: Service,
        *,
        should_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`should_stop` is asked between photos.

        Raises:
            LibraryError: there is nothing to watch.
        """
        service.libraries.settle()
        for root in service.libraries.roots:
            # One that was there before may be plugged in later; a name that nobody knows is a mistake.
            if service.catalog.files.root(root) is None:
                check_library(root)
        self._service = service
        self._should_stop = should_stop
        self._clock = clock
        self._wall_clock = wall_clock
        config = service.config
        self._settle_seconds: float = config["watch.settle_seconds"]
        self._is_polling = config["watch.poll"] == "always"
        self._libraries = [
            _Library(
                root,
                watch.SettleQueue(
                    watch.look_below(root),
                    settle_seconds=self._settle_seconds,
                    removal_seconds=config["watch.removal_seconds"],
                ),
                look_at=clock(),
            )
            for root in service.libraries.roots
        ]
        self._busy_at = clock()
        self._waiting_since: float | None = clock() if service.is_ungrouped() else None
        """Since when faces have waited to be grouped."""
        self._n_pool_grouped = 0
        self._may_be_unseen = True
        """Whether there may be photos that the wanted engine has not seen: at the start, and when a drive is back."""
        self._dates = service.find_dates()
        self._may_group = _Throttle(clock)
        self._are_folders_stale = True
        self._may_link = _Throttle(clock)
        self._is_disk_compared = False
        """Whether the disk was compared with the catalog since the last look at the library."""
        self._is_search_stale = False
        self._told = ""
        """The last fault that was logged."""
        self._paused_until = clock()
        self._version = -1

    def run(self) -> None:
        """Scan, then stay; returns when `should_stop` says so.

        Raises:
            BusyError: another process scans or watches.
            FolderError: the people folder cannot be written at the start; later that is logged, and tried again.
        """
        with self._service.running("watch"), ExitStack() as stack:
            self._service.sync_folders()
            for library in self._libraries:
                stack.callback(library.deafen.close)
                self._listen(library)
            while not self._should_stop():
                self.turn(self._take())
            log.info("stopped")

    def _listen(self, library: _Library) -> None:
        """Listen to the kernel; where it refuses, look again and again instead."""
        if self._is_polling or not library.root.is_dir():
            log.info("%s: watching by looking again and again", library.root)
            return
        try:
            library.ears = library.deafen.enter_context(watch.Ears(library.root))
            log.info("%s: watching", library.root)
        except OSError as error:
            log.warning(
                "%s: the kernel cannot report changes (%s); looking again and again instead. On Linux more watches "
                "help: sysctl fs.inotify.max_user_watches=1000000",
                *(library.root, error.strerror or error),
            )

    def _take(self) -> dict[Path, set[str]]:
        """Return what was heard of each library, after at most a tick."""
        listening = [library for library in self._libraries if library.ears]
        wait = 0.0 if self._is_backlog else TICK_SECONDS
        if not listening:
            time.sleep(wait)
        return {library.root: library.ears.take(wait / len(listening)) for library in listening if library.ears}

    def turn(self, heard: Mapping[Path, Iterable[str]]) -> None:
        """One step, unless the catalog could not be written a moment ago: a full disk is waited out, not died of."""
        if self._clock() < self._paused_until:
            return
        try:
            self.step(heard)
        except (DiskFullError, BusyError) as error:
            self._tell(error)
            # What was taken from the queues and not written is found again by the next look.
            self._service.rest()
            self._paused_until = self._clock() + PAUSE_SECONDS
            for library in self._libraries:
                library.look_at = self._paused_until

    def _tell(self, error: Exception) -> None:
        """Log a fault that may last: once, not at every try."""
        if str(error) != self._told:
            log.error("%s", error)
        self._told = str(error)

    def step(self, heard: Mapping[Path, Iterable[str]]) -> None:
        """One turn: hear, look where due, ingest what has settled, group, bring the folders up to date, rest."""
        for library in self._libraries:
            self._hear(library, heard.get(library.root, ()))
            if self._clock() >= library.look_at or (not library.is_offline and not library.root.is_dir()):
                self._look(library)
            settled = library.queue.settled(self._clock(), BATCH_PHOTOS)
            if settled:
                self._act(library, settled)
                self._busy_at = self._clock()
        self._look_anew_if_idle()
        self._date_if_idle()
        self._notice_others()
        self._group_if_due()
        self._update_folders()
        self._update_search()
        if self._clock() - self._busy_at > self._service.config["watch.idle_seconds"]:
            self._service.rest()

    def _hear(self, library: _Library, paths: Iterable[str]) -> None:
        now = self._clock()
        for path in paths:
            if path == "":
                # Something happened to a folder: which files that concerns, only a look can tell.
                library.look_at = min(library.look_at, now + self._settle_seconds / 2)
            elif self._service.libraries.rules.allows(path, library.root):
                library.queue.hear(path, now)

    def _look(self, library: _Library) -> None:
        """Compare the whole library with the catalog; what differs still has to settle."""
        now, config = self._clock(), self._service.config
        if library.ears:
            # Seldom enough to compare the people folder as well, whatever is on record.
            self._is_disk_compared, self._are_folders_stale = False, True
        library.look_at = now + (60.0 * config["watch.scan_minutes"] if library.ears else config["watch.poll_seconds"])
        try:
            _, changes = self._service.libraries.look(library.root)
        except LibraryError as error:
            if not library.is_offline:
                log.warning("%s", error)
                # What was listened to is elsewhere now, or nowhere.
                library.deafen.close()
                library.ears = None
            library.is_offline = True
            library.look_at = now + OFFLINE_SECONDS
            return
        if library.is_offline:
            log.info("%s: back again", library.root)
            self._may_be_unseen = True
            self._dates = self._service.find_dates()
            library.is_offline = False
            self._listen(library)
        self._move(library, changes)
        for path in (*changes.to_read, *changes.missing):
            library.queue.hear(path, self._still_since(library, path))

    def _move(self, library: _Library, changes: scan.Changes) -> None:
        if changes.moved:
            self._service.record(library.root, scan.Changes((), (), changes.moved, ()))
            self._are_folders_stale = True

    def _still_since(self, library: _Library, path: str) -> float:
        """A file that was last written to long ago has settled; it was there before anybody listened."""
        now = self._clock()
        seen: Fingerprint | None = watch.look_below(library.root)(path)
        is_old = seen is not None and self._wall_clock() - seen.mtime_ns / 1e9 > 10 * self._settle_seconds
        return now - self._settle_seconds if is_old else now

    def _act(self, library: _Library, settled: watch.Settled) -> None:
        """Bring what has settled into the catalog; a vanished file that turned up elsewhere was moved."""
        service = self._service
        changes = service.libraries.compare(library.root, settled.present, (*settled.gone, *library.queue.vanished()))
        self._move(library, changes)
        removed = tuple(path for path in changes.missing if path in settled.gone)
        if removed and self._is_there(library):
            service.record(library.root, scan.Changes((), (), (), removed))
            self._are_folders_stale = True
        for one in service.ingest(library.root, changes.to_read):
            self._is_search_stale |= one.kind in ("new", "again")
            self._are_folders_stale |= one.kind in ("new", "known", "faulty")
            if one.kind == "unsettled":
                library.queue.hear(one.path, self._clock())
            if one.n_faces > one.n_assigned and self._waiting_since is None:
                self._waiting_since = self._clock()
            if self._should_stop():
                return

    def _look_anew_if_idle(self) -> None:
        """While nothing new waits, let the wanted engine look at what only another one has seen."""
        if self._is_backlog or not self._may_be_unseen:
            return
        n_looked = 0
        for _ in self._service.look_anew(BATCH_PHOTOS):
            n_looked += 1
            if self._should_stop():
                return
        if n_looked:
            self._busy_at = self._clock()
            return
        self._may_be_unseen = False
        if self._service.complete_switch():
            self._is_search_stale = True
            self._waiting_since = self._clock()
            self._are_folders_stale = True

    def _date_if_idle(self) -> None:
        """While nothing new waits, look up when some more photos of an older catalog were taken."""
        if not self._is_backlog:
            next(self._dates, None)

    def _is_there(self, library: _Library) -> bool:
        """Whether removals can be believed: the library is there and not suddenly empty."""
        try:
            self._service.libraries.look(library.root)
        except LibraryError:
            library.look_at = self._clock()
            return False
        return True

    @property
    def _is_backlog(self) -> bool:
        return any(library.queue.has_more for library in self._libraries)

    def _notice_others(self) -> None:
        """Another process decided something: the folders may have to follow, and the pool be grouped again."""
        version = self._service.catalog.version()
        if version != self._version:
            self._version = version
            if self._waiting_since is None and self._service.is_ungrouped():
                self._waiting_since = self._clock()
            self._are_folders_stale = True

    def _group_if_due(self) -> None:
        """Group when the pool has grown by the wanted number and share, or faces have waited for long enough."""
        if self._waiting_since is None or self._service.switch.is_under_way:
            return
        config = self._service.config
        n_pool = self._service.catalog.faces.counts()["pool"]
        wanted = max(config["cluster.after_faces"], config["cluster.after_share"] * n_pool)
        is_enough = n_pool - self._n_pool_grouped >= wanted and not self._is_backlog
        has_waited = self._clock() - self._waiting_since >= config["cluster.after_seconds"]
        if not (is_enough or has_waited) or not self._may_group.is_due:
            return
        started = self._clock()
        result = self._service.recluster()
        n_placed = result.n_grouped + result.n_matched
        if n_placed or result.n_joined_people:
            log.info("grouped: %d new people, %d face(s) placed", result.n_new_people, n_placed)
        self._may_group.took(self._clock() - started)
        self._waiting_since = None
        self._n_pool_grouped = self._service.catalog.faces.counts()["pool"]
        self._are_folders_stale = True

    def _update_search(self) -> None:
        if self._is_search_stale and not self._is_backlog:
            self._service.search.keep_up()
            self._is_search_stale = False

    def _update_folders(self) -> None:
        if not self._are_folders_stale or not self._may_link.is_due:
            return
        started = self._clock()
        try:
            self._service.sync_folders(self._service.folder.outdated() if self._is_disk_compared else None)
            self._are_folders_stale = False
            self._is_disk_compared = True
            self._told = ""
            self._may_link.took(self._clock() - started)
        except (FolderError, BusyError) as error:
            self._tell(error)
            # Asking again every few seconds is often enough to notice that it was mended.
            self._may_link.took(5.0)
