"""Says what a scan or a watcher is doing: in the live file beside the catalog, and to the service manager."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facewatch.catalog import utc_now
from facewatch.heartbeat import FRESH_SECONDS, Live, LiveFile, Pace, is_rest, live_file_of, memory_mb
from facewatch.watcher.process import Notifier

BUSY_SECONDS = 1.0
"""How often progress is told."""

IDLE_SECONDS = 15.0
"""How often a watcher says that it is still there."""

SILENT_SECONDS = 900.0
"""How long one piece of work may take that cannot say how far it is: a look at a million files, or grouping."""


LOOKING = "looking at photos"
"""How everything begins that is said between the photos of a batch."""


class Teller:
    """Tells what is done now, seldom enough to cost nothing."""

    def __init__(
        self,
        catalog: Path,
        facts: Callable[[], Mapping[str, Any]] = dict,
        *,
        notifier: Notifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`facts` returns fields of `Live` that only its asker knows."""
        self.notifier = notifier or Notifier({})
        self._facts = facts
        self._clock = clock
        self._file = LiveFile(live_file_of(catalog))
        self._pace = Pace(clock)
        self._started_at = utc_now()
        self._doing = ""
        self._n_done = 0
        self._n_batch = 0
        """Files of the present batch that are still to be looked at: they wait in no queue any more."""
        self._is_rested = True
        """Whether nothing was looked at since the last rest: that time says nothing about the pace."""
        self._told = float("-inf")

    def batch(self, n_files: int) -> None:
        """So many files were taken from the queues, and are looked at from now on."""
        self._n_batch = n_files
        if n_files and self._is_rested:
            self._begin()

    def photo(self) -> None:
        """One more file was looked at."""
        self._n_done += 1
        self._n_batch = max(0, self._n_batch - 1)
        if self._is_rested:
            # Nobody knows when the look at this one began.
            self._begin()
        else:
            self._pace.count()

    def doing(self, what: str, *, silent_seconds: float = FRESH_SECONDS, n_waiting: int | None = None) -> None:
        """This is done now. It is told at once when it is something else than before, else from time to time.

        `silent_seconds`: how long nothing more may be told. `n_waiting`: files to look at, where `facts` do not say;
        those of the present batch are added.
        """
        if is_rest(what):
            self._is_rested = True
        if not what.startswith(LOOKING):
            # A batch that was broken off is found again by a look.
            self._n_batch = 0
        self.notifier.watchdog(silent_seconds)
        is_news = what != self._doing
        pause = BUSY_SECONDS if self._n_done else IDLE_SECONDS
        if is_news or self._clock() - self._told >= pause:
            self._doing, self._told = what, self._clock()
            self._tell(silent_seconds, self._facts() if n_waiting is None else {"n_waiting": n_waiting})

    def rested(self) -> None:
        """A burst is over: the next begins to count anew."""
        self._n_done = self._n_batch = 0
        self._is_rested = True

    def end(self) -> None:
        self._file.remove()

    def _begin(self) -> None:
        self._is_rested = False
        self._pace.begin()

    def _tell(self, silent_seconds: float, facts: Mapping[str, Any]) -> None:
        n_waiting = facts.get("n_waiting", 0) + self._n_batch
        live = Live(
            pid=os.getpid(),
            started_at=self._started_at,
            told_at=utc_now(),
            silent_seconds=silent_seconds,
            doing=self._doing,
            n_done=self._n_done,
            photos_per_second=0.0 if self._is_rested else round(self._pace.photos_per_second, 2),
            eta_seconds=None if self._is_rested else self._pace.eta_seconds(n_waiting),
            memory_mb=round(memory_mb(), 1),
            **{**facts, "n_waiting": n_waiting},
        )
        self._file.write(live)
        self.notifier.status(f"{self._doing}, {n_waiting} to look at" if n_waiting else self._doing)
