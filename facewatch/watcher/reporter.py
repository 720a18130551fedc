"""Says what a scan or a watcher is doing: in the heartbeat file beside the catalog, and to the service manager."""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from facewatch.catalog import utc_now
from facewatch.heartbeat import (
    FRESH_SECONDS,
    Activity,
    Backlog,
    Doing,
    Heartbeat,
    HeartbeatFile,
    WatchedLibraries,
    heartbeat_file_of,
)
from facewatch.watcher.process import Notifier

BUSY_SECONDS = 1.0
"""How often progress is reported."""

IDLE_SECONDS = 15.0
"""How often a watcher says that it is still there."""

SILENT_SECONDS = 900.0
"""How long one piece of work may take that cannot say how far it is: a scan of a million files, or grouping."""

PACE_SECONDS = 60
"""The time over which photos are counted: long enough for one huge photo not to look like a halt."""


State = Callable[[], tuple[Backlog, WatchedLibraries]]
"""Returns what waits, and how the libraries are."""


class ProgressReporter:
    """Reports what is done now, seldom enough to cost nothing."""

    def __init__(
        self,
        catalog: Path,
        state: State = lambda: (Backlog(), WatchedLibraries()),
        *,
        notifier: Notifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.notifier = notifier or Notifier({})
        self._state = state
        self._clock = clock
        self._file = HeartbeatFile(heartbeat_file_of(catalog))
        self._pace = Pace(clock)
        self._started_at = utc_now()
        self._doing = Doing(Activity.UNKNOWN)
        self._n_done = 0
        self._n_batch = 0
        """Files of the present batch that are still to be analysed: they wait in no queue any more."""
        self._is_rested = True
        """Whether nothing was analysed since the last rest: that time says nothing about the pace."""
        self._reported_at = float("-inf")

    def begin_batch(self, n_files: int) -> None:
        """So many files were taken from the queues, and are analysed from now on."""
        self._n_batch = n_files
        if n_files and self._is_rested:
            self._begin()

    def count_photo(self) -> None:
        """One more file was analysed."""
        self._n_done += 1
        self._n_batch = max(0, self._n_batch - 1)
        if self._is_rested:
            # It is not known when the analysis of this one began.
            self._begin()
        else:
            self._pace.count()

    def report(self, doing: Doing, *, silent_seconds: float = FRESH_SECONDS, n_waiting: int | None = None) -> None:
        """Say that this is done now: at once when it is something else than before, else from time to time.

        `silent_seconds`: how long nothing more may be said. `n_waiting`: files to analyse, where `state` does not say;
        those of the present batch are added.
        """
        if doing.activity.is_resting:
            self._is_rested = True
        if not doing.activity.is_indexing:
            # A batch that was broken off is found again by a scan.
            self._n_batch = 0
        self.notifier.watchdog(silent_seconds)
        pause = BUSY_SECONDS if self._n_done else IDLE_SECONDS
        if doing != self._doing or self._clock() - self._reported_at >= pause:
            self._doing, self._reported_at = doing, self._clock()
            self._write(silent_seconds, n_waiting)

    def end_burst(self) -> None:
        """The count starts again with the next photo."""
        self._n_done = self._n_batch = 0
        self._is_rested = True

    def close(self) -> None:
        self._file.remove()

    def _begin(self) -> None:
        self._is_rested = False
        self._pace.begin()

    def _write(self, silent_seconds: float, n_waiting: int | None) -> None:
        backlog, libraries = self._state() if n_waiting is None else (Backlog(n_waiting=n_waiting), WatchedLibraries())
        n_waiting = backlog.n_waiting + self._n_batch
        pace = 0.0 if self._is_rested else round(self._pace.photos_per_second, 2)
        eta_seconds = None if self._is_rested else self._pace.eta_seconds(n_waiting)
        heartbeat = Heartbeat(
            pid=os.getpid(),
            started_at=self._started_at,
            told_at=utc_now(),
            silent_seconds=silent_seconds,
            activity=self._doing.activity,
            doing=self._doing.sentence,
            memory_mb=round(memory_mb(), 1),
            backlog=replace(
                backlog, n_waiting=n_waiting, n_done=self._n_done, photos_per_second=pace, eta_seconds=eta_seconds
            ),
            libraries=libraries,
        )
        self._file.write(heartbeat)
        self.notifier.status(f"{heartbeat.doing}, {n_waiting} to analyse" if n_waiting else heartbeat.doing)


class Pace:
    """How many photos a second there were over the last minute. Takes the same memory however many come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only grow."""
        self._clock = clock
        self._counts: deque[tuple[int, int]] = deque()
        """Second and number of photos, only of seconds in which there were some."""
        self._began_at = clock()

    def begin(self) -> None:
        """A burst begins: the time before it says nothing about how quick the work is."""
        self._counts.clear()
        self._began_at = self._clock()

    def count(self, n: int = 1) -> None:
        """So many photos were analysed just now."""
        second = int(self._clock())
        if self._counts and self._counts[-1][0] == second:
            n += self._counts.pop()[1]
        self._counts.append((second, n))
        self._forget()

    @property
    def photos_per_second(self) -> float:
        """Over the last minute, or since the burst began when that is shorter ago; 0 when there were none."""
        self._forget()
        n_photos = sum(n for _, n in self._counts)
        # A first photo that took no time at all says little.
        return n_photos / min(PACE_SECONDS, max(1.0, self._clock() - self._began_at))

    def eta_seconds(self, n_waiting: int) -> float | None:
        """Return how long so many photos will take at this pace; None: none wait, or the pace is not known yet."""
        rate = self.photos_per_second
        return n_waiting / rate if n_waiting and rate else None

    def _forget(self) -> None:
        while self._counts and self._counts[0][0] <= self._clock() - PACE_SECONDS:
            self._counts.popleft()


def memory_mb() -> float:
    """Return what this process and those it started hold in memory, in MB; takes some milliseconds."""
    alone = _bytes_alone()
    return (_bytes_together() if alone is None else alone) / 1e6


def _bytes_alone() -> int | None:
    """Return what this process holds; None: it has started others, or Linux does not say so. A scan of nothing new is
    spared psutil, whose import takes longer than the scan."""
    try:
        if any(threads.read_bytes() for threads in Path("/proc/self/task").glob("*/children")):
            return None
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


def _bytes_together() -> int:
    import psutil

    own = psutil.Process()
    n_bytes: int = own.memory_info().rss
    for child in own.children(recursive=True):
        with suppress(psutil.Error):
            n_bytes += child.memory_info().rss
    return n_bytes
