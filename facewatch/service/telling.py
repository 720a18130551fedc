"""Says what a scan or a watcher is doing: in the live file beside the catalog, and to the service manager."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facewatch.catalog import utc_now
from facewatch.service.live import FRESH_SECONDS, Live, LiveFile, Pace, live_file_of, memory_mb
from facewatch.service.notify import Notifier

BUSY_SECONDS = 1.0
"""How often progress is told."""

IDLE_SECONDS = 15.0
"""How often a watcher says that it is still there."""

SILENT_SECONDS = 900.0
"""How long one piece of work may take that cannot say how far it is: a look at a million files, or grouping."""


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
        self._told = float("-inf")

    def photo(self) -> None:
        """One more file was looked at."""
        self._n_done += 1
        self._pace.count()

    def doing(self, what: str, *, silent_seconds: float = FRESH_SECONDS, n_waiting: int | None = None) -> None:
        """This is done now. It is told at once when it is something else than before, else from time to time.

        `silent_seconds`: how long nothing more may be told. `n_waiting`: files to look at, where `facts` do not say.
        """
        self.notifier.watchdog(silent_seconds)
        is_news = what != self._doing
        pause = BUSY_SECONDS if self._n_done else IDLE_SECONDS
        if is_news or self._clock() - self._told >= pause:
            self._doing, self._told = what, self._clock()
            self._tell(silent_seconds, self._facts() if n_waiting is None else {"n_waiting": n_waiting})

    def rested(self) -> None:
        """A burst is over: the next begins to count anew."""
        if self._n_done:
            self._n_done = 0
            self._pace.begin()

    def end(self) -> None:
        self._file.remove()

    def _tell(self, silent_seconds: float, facts: Mapping[str, Any]) -> None:
        n_waiting = facts.get("n_waiting", 0)
        live = Live(
            pid=os.getpid(),
            started_at=self._started_at,
            told_at=utc_now(),
            silent_seconds=silent_seconds,
            doing=self._doing,
            n_done=self._n_done,
            photos_per_second=round(self._pace.photos_per_second, 2),
            eta_seconds=self._pace.eta_seconds(n_waiting),
            memory_mb=round(memory_mb(), 1),
            **facts,
        )
        self._file.write(live)
        self.notifier.status(f"{self._doing}, {n_waiting} to look at" if n_waiting else self._doing)
