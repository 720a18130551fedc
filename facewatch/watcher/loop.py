"""The watcher's loop: files with events are indexed once they are still, grouped, and linked in the folders."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from facewatch.catalog import Catalog, paused_since
from facewatch.catalog.backup import Backups
from facewatch.errors import (
    BusyError,
    DiskFaultError,
    DiskFullError,
    EngineError,
    FacewatchError,
    FolderError,
    LibraryError,
)
from facewatch.folders.sync import PeopleFolder
from facewatch.heartbeat import FRESH_SECONDS, Activity, Backlog, Doing, WatchedLibraries
from facewatch.indexing.engine import WantedEngine
from facewatch.indexing.indexer import Indexed
from facewatch.library import scan
from facewatch.library.layout import check_library
from facewatch.library.roots import LOST_MOUNT, Libraries
from facewatch.people.grouping import Grouping
from facewatch.types import Progress
from facewatch.watcher.debounce import StillPaths
from facewatch.watcher.events import Events
from facewatch.watcher.people import WatchedPeople
from facewatch.watcher.process import Notifier
from facewatch.watcher.reporter import SILENT_SECONDS, ProgressReporter
from facewatch.watcher.roots import Watched
from facewatch.watcher.schedule import Failures, Hours, PendingWork, Pool, Throttle, WatchSettings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""How long the loop waits for something to happen before it checks its queues."""

BATCH_PHOTOS = 64
"""Photos indexed before the loop checks everything else again: a first import of many thousand must not keep it from
taking events, from showing folders, or from being stopped."""

MOST_FAILURES = 20
"""Turns that fail in a row for a reason that nobody foresaw, before the watcher gives up: about three hours."""

BACKUP_SECONDS = 60.0
"""How often it is asked whether a backup is due."""


class MainJob(Protocol):
    """What the watcher asks of the pipeline."""

    def running(self, kind: str) -> AbstractContextManager[dict[str, Any]]: ...

    def record(self, root: Path, changes: scan.Changes) -> None: ...

    def index(self, root: Path, paths: Iterable[str], *, should_stop: Callable[[], bool]) -> Iterator[Indexed]: ...

    def reanalyse(self, most: int | None, *, should_stop: Callable[[], bool]) -> Iterator[Indexed]: ...

    def complete_switch(self) -> str | None: ...

    def find_dates(self) -> Iterator[int]: ...

    def read_names(self) -> Iterator[int]: ...

    def take_names(self) -> int: ...

    def write_names(self) -> Iterator[int]: ...

    def give_names(self) -> list[str]: ...

    def keep_up(self) -> None: ...

    def rest(self) -> None: ...


class Parts(Protocol):
    """What the watcher drives; the app builds it."""

    catalog: Catalog
    engine: WantedEngine

    @property
    def libraries(self) -> Libraries: ...

    @property
    def folder(self) -> PeopleFolder: ...

    @property
    def grouping(self) -> Grouping: ...

    @property
    def pipeline(self) -> MainJob: ...

    @property
    def watch_settings(self) -> WatchSettings: ...


class WatchLoop:
    """Keeps catalog and folders up to date until a signal stops it. `step` is one turn, so that tests need not wait."""

    def __init__(
        self,
        app: Parts,
        *,
        should_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        notifier: Notifier | None = None,
    ) -> None:
        """`should_stop` is asked between photos.

        Raises:
            LibraryError: there is nothing to watch.
        """
        app.libraries.resolve()
        for root in app.libraries.roots:
            # One that was there before may be plugged in later; a name that nobody knows is a mistake.
            if app.catalog.roots.one(root) is None:
                check_library(root)
        self._app = app
        self._should_stop = should_stop
        self._clock = clock
        self._wall_clock = wall_clock
        self.watched = [Watched(root, app.libraries.rules, self._settings, clock) for root in app.libraries.roots]
        self.people = WatchedPeople(app.folder, clock, is_polled=self._settings.is_always_polled)
        self._reporter = ProgressReporter(app.catalog.path, self._state, notifier=notifier, clock=clock)
        self._last_looks: dict[str, str] = {}
        self._work = PendingWork(
            pool=Pool(clock() if app.grouping.is_due else None),
            may_group=Throttle(clock),
            may_link=Throttle(clock),
            may_read=Throttle(clock),
            may_write=Throttle(clock),
            dates=app.pipeline.find_dates(),
            backup_at=clock(),
            compare_disk_at=clock(),
        )
        self._failures = Failures()
        self._busy_at = clock()
        self._is_resting = False
        """Whether no photos are analysed for now: it is paused, or waits."""
        self._backups = self._daily_backups() if self._settings.n_backups else None

    @property
    def _settings(self) -> WatchSettings:
        return self._app.watch_settings

    @property
    def _photo_seconds(self) -> float:
        """How long one photo may keep everybody waiting: it is tried twice."""
        return float(FRESH_SECONDS + 2 * self._settings.photo_seconds)

    # --- the loop itself ---

    def run(self) -> None:
        """Scan, then stay; returns when `should_stop` says so.

        Raises:
            BusyError: another process scans or watches.
            FolderError: the people folder cannot be written at the start; later that is logged, and tried again.
            CatalogError: the catalog is damaged.
        """
        with self._app.pipeline.running("watch"), ExitStack() as stack:
            stack.callback(self._reporter.close)
            self._reporter.report(Doing(Activity.STARTING), silent_seconds=SILENT_SECONDS)
            self._app.folder.sync()
            stack.callback(self.people.close)
            self.people.listen()
            for watched in self.watched:
                stack.callback(watched.close)
                watched.listen()
            self._scan_where_due()
            self._reporter.notifier.ready()
            while not self._should_stop():
                self.turn(self._take())
            self._reporter.report(Doing(Activity.STOPPING))

    def _take(self) -> dict[Path, Events]:
        """Return the events of each library, after at most a tick."""
        listening = [watched for watched in self.watched if watched.source]
        wait = 0.0 if self.is_busy else TICK_SECONDS
        if not listening:
            time.sleep(wait)
        return {watched.root: watched.take(wait / len(listening)) for watched in listening}

    def turn(self, events: Mapping[Path, Events]) -> None:
        """One step. A failure that can be repaired from outside, a full disk above all, is waited out.

        Raises:
            FacewatchError: what only a person can mend: a damaged catalog.
        """
        self._is_resting = self._clock() < self._failures.wait_until
        try:
            if self._is_resting:
                self._add_events(events)
                self._reporter.end_burst()
                self._reporter.report(Doing(Activity.FAILING, self._failures.logged))
                return
            with self._app.catalog.read():
                if self._failures.n:
                    # A turn that has nothing to record would not notice that somebody still holds the lock.
                    with self._app.catalog.write():
                        pass
                self.step(events)
            if self._failures.n and self._has_made_up:
                log.info("it works again")
                self._failures = Failures()
        except (DiskFullError, DiskFaultError, BusyError, EngineError) as error:
            self._wait(str(error))
        except FacewatchError:
            raise
        except Exception as error:  # a fault of ours must not end years of watching
            self._failures.n_unforeseen += 1
            if self._failures.n_unforeseen >= MOST_FAILURES:
                raise
            log.exception("a fault of facewatch itself; it goes on. Please report it")
            self._wait(f"a fault of facewatch itself: {type(error).__name__}: {error}")

    @property
    def _has_made_up(self) -> bool:
        """Whether what failed was done since then, as far as photos and folders show."""
        is_done = not self._work.folders and not any(len(watched.queue) for watched in self.watched)
        return is_done or self._busy_at >= self._failures.wait_until

    def _wait(self, fault: str) -> None:
        """Come to rest for a while; what was taken from the queues and not recorded is found again by a scan."""
        seconds = self._failures.wait(fault, self._clock())
        self._app.pipeline.rest()
        for watched in self.watched:
            watched.schedule.scan_later(seconds)

    def step(self, events: Mapping[Path, Events]) -> None:
        """One turn: take events, scan where due, index what is still, group, bring the folders up to date, rest."""
        self._add_events(events)
        pause = self.pause()
        self._is_resting = bool(pause)
        if pause:
            self._notice_others()
        else:
            self._scan_where_due()
            self._act_on_still()
            self._reindex_if_idle()
            self._date_if_idle()
            self._read_names_if_idle()
            self._notice_others()
            self._group_if_due()
        self._update_folders()
        self._write_names_if_due()
        self._update_search()
        self._back_up_if_due()
        is_idle = self._clock() - self._busy_at > self._settings.idle_seconds
        if is_idle:
            self._app.pipeline.rest()
        if not self.is_busy:
            self._reporter.end_burst()
        if self.is_busy:
            self._reporter.report(Doing(Activity.INDEXING), silent_seconds=self._photo_seconds)
        else:
            self._reporter.report(pause or Doing(Activity.IDLE))

    def pause(self) -> Doing | None:
        """Return why no photos are analysed for now; None: they are."""
        if paused_since(self._app.catalog) is not None:
            return Doing(Activity.PAUSED)
        local = datetime.fromtimestamp(self._wall_clock())  # noqa: DTZ006 - by the clock on the wall
        hours = Hours.parse(self._settings.hours)
        return None if hours.is_open(local) else Doing(Activity.OUTSIDE_HOURS, f"{hours.opens:%H:%M}")

    def _state(self) -> tuple[Backlog, WatchedLibraries]:
        """Return what waits, and how the libraries are."""
        n_pending = sum(len(watched.queue) for watched in self.watched)
        is_due = self.is_busy
        return (
            Backlog(n_settling=0 if is_due else n_pending, n_waiting=n_pending if is_due else 0),
            WatchedLibraries(
                last_look=dict(self._last_looks),
                polled={name: reason for watched in self.watched for name, reason in watched.polled.items()},
                offline=self._offline(),
            ),
        )

    def _offline(self) -> dict[str, str]:
        """Return the libraries, and folders of them, that are not there, and why."""
        offline = {}
        for watched in self.watched:
            if watched.offline:
                offline[str(watched.root)] = watched.offline
            else:
                lost = self._app.libraries.lost_folders(watched.root)
                offline |= {f"{watched.root}/{folder}": LOST_MOUNT for folder in lost}
        return offline

    # --- what is in the libraries ---

    def _add_events(self, events: Mapping[Path, Events]) -> None:
        for watched in self.watched:
            if watched.root in events:
                watched.add_events(events[watched.root])

    def _scan_where_due(self) -> None:
        for watched in self.watched:
            # One that is polled is asked when it is scanned: a drive in the network may take its time.
            if watched.source and not self._app.libraries.is_there(watched.root):
                watched.schedule.scan_soon()
            for folder in watched.due():
                self._scan(watched, folder)

    def _scan(self, watched: Watched, folder: str) -> None:
        """Compare a library, or a folder of it, with the catalog; what differs has to be still first."""
        if not folder:
            self._reporter.report(Doing(Activity.SCANNING, str(watched.root)), silent_seconds=SILENT_SECONDS)
            watched.complete()
        started = self._clock()
        try:
            found, changes = self._app.libraries.scan(
                watched.root,
                folder,
                with_unread=not folder and watched.schedule.is_retry_due,
                was_away=bool(watched.offline),
            )
        except LibraryError as error:
            if folder:
                watched.schedule.scan_soon()
            else:
                watched.lose(error, self._clock() - started)
            return
        watched.scanned(folder, self._clock() - started, found.mounts)
        # Events in there cannot be followed; when it can be read, a scan finds what they were about.
        watched.queue.forget_below(found.unseen)
        if not folder:
            self._has_seen_all(watched)
        self._move(watched, changes)
        passed = [path for path in changes.missing if not self._app.libraries.rules.allows(path, watched.root)]
        self._forget(watched, passed)
        for path in (*changes.to_read, *sorted({*changes.missing}.difference(passed))):
            watched.queue.add(path, self._still_since(watched, path))

    def _has_seen_all(self, watched: Watched) -> None:
        self._last_looks[str(watched.root)] = self._app.catalog.now()
        if self._clock() >= self._work.compare_disk_at:
            # Seldom enough to compare the people folder as well, whatever is on record.
            self._work.compare_disk_at = self._clock() + self._settings.scan_seconds - 1.0
            self._work.folders = self._work.whole_folder = True
        if watched.offline:
            watched.find()
            self._work.photos_are_back(self._app.pipeline.find_dates())

    def _move(self, watched: Watched, changes: scan.Changes) -> None:
        if changes.moved:
            self._app.pipeline.record(watched.root, scan.Changes((), (), changes.moved, ()))
            self._work.folders = self._work.names = True

    def _still_since(self, watched: Watched, path: str) -> float:
        """A file that was last written to long ago is still; it was there before anything was watched."""
        now = self._clock()
        try:
            seen = watched.seen(path)
        except OSError:
            return now  # the queue asks again
        seconds = self._settings.settle_seconds
        is_old = seen is not None and self._wall_clock() - seen.mtime_ns / 1e9 > 10 * seconds
        return now - seconds if is_old else now

    def _act_on_still(self) -> None:
        for watched in self.watched:
            still = watched.queue.ready(self._clock(), BATCH_PHOTOS)
            if still and not watched.offline:
                self._act(watched, still)
                self._busy_at = self._clock()
            if not len(watched.queue) and not watched.offline and self._last_looks:
                self._app.libraries.arrived(watched.root)

    def _act(self, watched: Watched, still: StillPaths) -> None:
        """Bring what is still into the catalog; a file that turned up elsewhere was moved."""
        app = self._app
        changes = app.libraries.compare(watched.root, still.present, still.gone)
        self._move(watched, changes)
        self._remove(watched, [path for path in changes.missing if path in still.gone])
        self._reporter.begin_batch(len(changes.to_read))
        for one in app.pipeline.index(watched.root, changes.to_read, should_stop=self._should_stop):
            self._reporter.count_photo()
            self._reporter.report(Doing(Activity.INDEXING), silent_seconds=self._photo_seconds)
            self._work.pool.is_stale = True
            self._work.search |= one.kind in ("new", "again")
            self._work.names = True
            self._work.folders |= one.kind in ("new", "known", "faulty") and not one.is_same
            if one.kind in ("unsettled", "vanished"):
                watched.queue.add(one.path, self._clock())
            if one.n_faces > one.n_assigned:
                self._work.pool.wait(self._clock())

    def _remove(self, watched: Watched, paths: list[str]) -> None:
        """Record that files are gone, if their drive is there."""
        if not paths:
            return
        libraries = self._app.libraries
        if not (libraries.is_there(watched.root) and libraries.holds_any(watched.root)):
            watched.schedule.scan_soon()
            return
        self._forget(watched, libraries.believed_gone(watched.root, paths))

    def _forget(self, watched: Watched, paths: list[str]) -> None:
        """Record that files are gone, or none of our business any more."""
        if paths:
            self._app.pipeline.record(watched.root, scan.Changes((), (), (), tuple(paths)))
            self._work.folders = self._work.names = True

    def _reindex_if_idle(self) -> None:
        """While nothing new waits, let the wanted engine analyse what only another one has seen."""
        if self.is_busy or not self._work.unseen:
            return
        n_read = 0
        for _ in self._app.pipeline.reanalyse(BATCH_PHOTOS, should_stop=self._should_stop):
            n_read += 1
            self._reporter.count_photo()
            self._reporter.report(Doing(Activity.REINDEXING), silent_seconds=self._photo_seconds)
            if self._should_stop():
                return
        if n_read:
            self._busy_at = self._clock()
            return
        self._work.unseen = False
        if self._app.pipeline.complete_switch():
            self._work.search = self._work.folders = True
            self._work.pool.waiting_since = self._clock()

    def _date_if_idle(self) -> None:
        """While nothing new waits, read when some more photos of an older catalog were taken."""
        if not self.is_busy and next(self._work.dates, None) is not None:
            self._busy_at = self._clock()

    def _read_names_if_idle(self) -> None:
        """While nothing new waits, read what files that came or changed say about people."""
        if not self._work.names or self.is_busy or not self._work.may_read.is_due:
            return
        started = self._clock()
        for _ in self._app.pipeline.read_names():
            self._busy_at = self._clock()
            self._reporter.report(Doing(Activity.REINDEXING), silent_seconds=self._photo_seconds)
            if self._should_stop():
                return
        self._app.pipeline.take_names()
        self._work.names, self._work.sidecars = False, True
        self._work.may_read.took(self._clock() - started)

    @property
    def is_busy(self) -> bool:
        """Whether photos wait that may be analysed now."""
        return not self._is_resting and any(watched.queue.has_more for watched in self.watched)

    # --- what follows from it ---

    def _notice_others(self) -> None:
        """Another process decided something: the folders may have to follow, and the pool be grouped again."""
        version = self._app.catalog.version()
        if version != self._work.version:
            self._work.version = version
            self._work.pool.is_stale = self._work.folders = True
            if self._work.pool.waiting_since is None and self._app.grouping.is_due:
                self._work.pool.wait(self._clock())

    def _group_if_due(self) -> None:
        """Group when the pool has grown by the wanted number and share, or faces have waited for long enough."""
        pace, pool = self._settings.grouping, self._work.pool
        if pool.waiting_since is None or self._app.engine.is_switch_under_way:
            return
        if pool.is_stale:
            pool.n_faces, pool.is_stale = self._app.catalog.faces.counts()["pool"], False
        is_enough = pool.has_grown(pace.after_faces, pace.after_share) and not self.is_busy
        has_waited = self._clock() - pool.waiting_since >= pace.after_seconds
        if not (is_enough or has_waited) or not self._work.may_group.is_due:
            return
        started = self._clock()
        self._reporter.report(Doing(Activity.GROUPING), silent_seconds=SILENT_SECONDS)
        result = self._app.grouping.recluster()
        n_assigned = result.n_grouped + result.n_matched
        if n_assigned or result.n_joined_people:
            log.info("grouped: %d new people, %d face(s) assigned", result.n_new_people, n_assigned)
        self._app.pipeline.give_names()
        self._work.may_group.took(self._clock() - started)
        pool.grouped(self._app.catalog.faces.counts()["pool"])
        self._work.folders = True

    def _update_search(self) -> None:
        if self._work.search and not self.is_busy:
            self._app.pipeline.keep_up()
            self._work.search = False

    def _update_folders(self) -> None:
        work = self._work
        if self.people.is_due:
            work.folders = work.whole_folder = True
        if not work.folders or not work.may_link.is_due:
            return
        started = self._clock()
        self._reporter.report(Doing(Activity.LINKING), silent_seconds=SILENT_SECONDS)
        try:
            if work.whole_folder:
                self.people.looked()
            self._app.folder.sync(None if work.whole_folder else self._app.folder.outdated())
            work.folders = work.whole_folder = False
            work.sidecars = True
            self.people.go_on_listening()
            if not self._failures.n:
                self._failures.logged = ""
            work.may_link.took(self._clock() - started)
        except (FolderError, BusyError) as error:
            self._failures.log(str(error))
            # Asking again every few seconds is often enough to notice that it was mended.
            work.may_link.took(5.0)

    def _write_names_if_due(self) -> None:
        """While nothing new waits, bring the sidecars up to date with what the folders show."""
        work = self._work
        if not work.sidecars or work.folders or self.is_busy or not work.may_write.is_due:
            return
        started = self._clock()
        for _ in self._app.pipeline.write_names():
            self._reporter.report(Doing(Activity.LINKING), silent_seconds=SILENT_SECONDS)
            if self._should_stop():
                return
        work.sidecars = False
        work.may_write.took(self._clock() - started)

    def _daily_backups(self) -> Backups:
        def report(_: Progress) -> None:
            self._reporter.report(Doing(Activity.BACKING_UP), silent_seconds=SILENT_SECONDS)

        return Backups(self._app.catalog.path, self._settings.backups, self._settings.n_backups, report=report)

    def _back_up_if_due(self) -> None:
        if self._backups and self._clock() >= self._work.backup_at:
            self._work.backup_at = self._clock() + BACKUP_SECONDS
            self._backups.daily(datetime.fromtimestamp(self._wall_clock()))  # noqa: DTZ006 - by the clock on the wall
