"""Long work that the page starts, in processes of its own: a scan, the preview of a recluster, the map, statistics."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.errors import BusyError, DecisionError, NotKnownError, OutdatedError
from facewatch.people.recluster_preview import ReclusterPreview
from facewatch.presentation.recluster import NO_PREVIEW, NOT_READY
from facewatch.presentation.status import SCANNING_ALREADY, scan_ended
from facewatch.settings import with_recluster
from facewatch.web.apart import OpenApp, open_app
from facewatch.web.background import Background

if TYPE_CHECKING:
    from facewatch.config import Config
    from facewatch.reports.stats import Stats
    from facewatch.web.background import Report

MOST_LETTERS = 2000
"""Of what a scan says on stderr, from its end."""

Say = Callable[[str, str], None]
"""Lets pages know of something: a kind of news, and JSON (see `Access.say`)."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A recluster that was asked for."""

    number: int
    given: Mapping[str, Any]
    is_from_scratch: bool
    stage: str = ""
    """What is being done to work it out."""
    result: ReclusterPreview | None = None
    """None: it is being worked out, or"""
    fault: str = ""
    """that failed."""
    outdated: str = ""
    """Why it cannot be applied any more; "": as far as is known it can."""

    @property
    def is_running(self) -> bool:
        return self.result is None and not self.fault


class Jobs:
    """What the page has started, of each kind one at a time. Belongs to the event loop."""

    def __init__(
        self,
        say: Say,
        *,
        opening: OpenApp | None = None,
        program: Sequence[str] = (sys.executable, "-P", "-m", "facewatch"),
    ) -> None:
        self.map = Background()
        self.stats = Background()
        self.preview: Preview | None = None
        self.scan_fault = ""
        """Why the last scan failed; "": it did not."""
        self.scan_begun_at: datetime | None = None
        """When the scan began that was started here; None: there is none now."""
        self._say = say
        self._opening = opening or open_app
        self._program = program
        self._scan: subprocess.Popen[str] | None = None
        self._recluster = Background()
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0

    def close(self) -> None:
        """End all of it; a scan after the photos that it has begun."""
        self.stop_scan()
        for work in (self._recluster, self.map, self.stats):
            work.end()

    def _tell(self) -> None:
        preview = self.preview
        row = preview and {"number": preview.number, "is_running": preview.is_running, "stage": preview.stage}
        self._say("jobs", json.dumps({"is_scanning": self.is_scanning, "preview": row}))

    # --- a scan ---

    @property
    def is_scanning(self) -> bool:
        return self._scan is not None

    async def start_scan(self, config: Config) -> None:
        """Scan the libraries of these settings; how far it is says the heartbeat.

        Raises:
            BusyError: a scan that was started here runs.
        """
        if self._scan is not None:
            raise BusyError(SCANNING_ALREADY)
        self.scan_fault, self.scan_begun_at = "", datetime.now(UTC)
        file = ["--config", config.source] if Path(config.source).is_file() else []
        people = [] if config.people is None else ["--people", str(config.people)]
        options = [*file, "--catalog", str(config.catalog), *people]
        self._scan = subprocess.Popen(
            [*self._program, "scan", "--quiet", *options, *map(str, config.photos)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._begin(self._await_scan(self._scan))
        self._tell()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await_scan(self, scan: subprocess.Popen[str]) -> None:
        _, said = await asyncio.to_thread(scan.communicate)
        self.scan_fault = scan_ended(scan.returncode, said[-MOST_LETTERS:])
        self._scan = self.scan_begun_at = None
        self._tell()

    def stop_scan(self) -> None:
        """Let the scan end after the photos that it has begun; what it found stays."""
        if self._scan is not None:
            self._scan.terminate()

    # --- the preview of a recluster ---

    def start_preview(self, config: Config, given: Mapping[str, Any], *, is_from_scratch: bool) -> Preview:
        """Work out what a recluster would do, in place of any preview before.

        Raises:
            ConfigError: the parameters are not those of the method.
        """
        wanted = with_recluster(config, given, source="the form")
        self._recluster.end()
        self._number += 1
        self.preview = preview = Preview(self._number, dict(given), is_from_scratch)
        work = partial(_preview_of, self._opening, is_from_scratch)
        self._recluster.start(work, wanted, self._note_preview)
        self._tell()
        return preview

    def _note_preview(self) -> None:
        work = self._recluster
        if self.preview is not None:
            result = work.result if isinstance(work.result, ReclusterPreview) else None
            self.preview = replace(self.preview, stage=work.stage, result=result, fault=work.fault)
            self._tell()

    def drop_preview(self) -> None:
        """Forget the preview, and end what works it out."""
        self.preview = None
        self._recluster.end()
        self._tell()

    def result(self, number: int) -> ReclusterPreview:
        """Return what the preview of this number found.

        Raises:
            NotKnownError: there is none of this number any more.
            DecisionError: it is not worked out yet.
        """
        if self.preview is None or self.preview.number != number:
            raise NotKnownError(NO_PREVIEW)
        if self.preview.result is None:
            raise DecisionError(self.preview.fault or NOT_READY)
        return self.preview.result

    def note_outdated(self, number: int, error: OutdatedError) -> None:
        """It cannot be applied any more."""
        if self.preview is not None and self.preview.number == number:
            self.preview = replace(self.preview, outdated=error.on_page)
            self._tell()


# --- in other processes ---


def _preview_of(opening: OpenApp, is_from_scratch: bool, config: Config, report: Report) -> ReclusterPreview:
    with opening(config) as app:
        return app.reclusterer().preview(is_from_scratch=is_from_scratch, report=report)


def make_map(config: Config, report: Report) -> None:
    """Work out the map of faces."""
    with open_app(config) as app:
        app.face_map().renew()


def make_stats(config: Config, report: Report) -> Stats:
    """Return the catalog in numbers: all distances between faces are looked at."""
    with open_app(config) as app:
        return app.stats()
