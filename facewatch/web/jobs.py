"""Long work that the page starts, in processes of its own: a scan, and the preview of a recluster."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.config import Config
from facewatch.errors import BusyError, DecisionError, FacewatchError, NotKnownError
from facewatch.presentation.status import SCANNING_ALREADY, scan_ended

if TYPE_CHECKING:
    from facewatch.people.recluster import ReclusterPreview
    from facewatch.reports.stats import Stats

MOST_LETTERS = 2000
"""Of what a scan says on stderr, from its end."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A recluster that was asked for."""

    number: int
    given: Mapping[str, Any]
    is_from_scratch: bool
    result: ReclusterPreview | None = None
    """None: it is being worked out, or"""
    fault: str = ""
    """that failed."""


class Background:
    """Work of which one is done at a time, in a process of its own."""

    def __init__(self) -> None:
        self.fault = ""
        """Why it failed last; "": it did not."""
        self.result: object = None
        """What it gave last."""
        self._processes: ProcessPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, work: Callable[[Config], object], config: Config, then: Callable[[], None]) -> None:
        """Begin, unless it is under way; `then` is called at its end."""
        if not self.is_running:
            self.fault = ""
            self._task = asyncio.create_task(self._do(work, config, then))

    async def _do(self, work: Callable[[Config], object], config: Config, then: Callable[[], None]) -> None:
        processes = self._processes = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            self.result = await asyncio.get_running_loop().run_in_executor(processes, work, config)
        except (FacewatchError, BrokenProcessPool) as error:
            self.fault = str(error)
        finally:
            processes.shutdown(wait=False)
        then()

    def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
        if self._processes is not None and self.is_running:
            _end(self._processes)


def _end(processes: ProcessPoolExecutor) -> None:
    for process in list((processes._processes or {}).values()):
        process.terminate()
    processes.shutdown(wait=False, cancel_futures=True)


class Jobs:
    """The scan and the preview that the page has started; one each at a time."""

    def __init__(self, program: Sequence[str] = (sys.executable, "-P", "-m", "facewatch")) -> None:
        self._program = program
        self._scan: subprocess.Popen[str] | None = None
        self.scan_fault = ""
        """Why the last scan failed; "": it did not."""
        self.preview: Preview | None = None
        self.map = Background()
        self.stats = Background()
        self._processes: ProcessPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None
        self._number = 0

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
        self.scan_fault = ""
        places = [
            "--catalog",
            str(config.catalog),
            *([] if config.people is None else ["--people", str(config.people)]),
        ]
        file = ["--config", config.source] if Path(config.source).is_file() else []
        self._scan = subprocess.Popen(
            [*self._program, "scan", "--quiet", *file, *places, *map(str, config.photos)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._wait, args=[self._scan], name="facewatch-scan", daemon=True).start()

    def _wait(self, scan: subprocess.Popen[str]) -> None:
        _, said = scan.communicate()
        self.scan_fault = scan_ended(scan.returncode, said[-MOST_LETTERS:])
        self._scan = None

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
        from facewatch.settings import with_recluster

        wanted = with_recluster(config, given, source="the form")
        self.drop_preview()
        self._number += 1
        self.preview = preview = Preview(self._number, dict(given), is_from_scratch)
        self._task = asyncio.create_task(self._work_out(preview, wanted))
        return preview

    async def _work_out(self, preview: Preview, config: Config) -> None:
        # A process of its own gives its memory back, and can be ended.
        processes = self._processes = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            result = await asyncio.get_running_loop().run_in_executor(
                processes, _preview_of, config, preview.is_from_scratch
            )
            done = Preview(preview.number, preview.given, preview.is_from_scratch, result)
        except (FacewatchError, BrokenProcessPool) as error:
            done = Preview(preview.number, preview.given, preview.is_from_scratch, fault=str(error))
        finally:
            processes.shutdown(wait=False)
        if self.preview is preview:
            self.preview = done

    def drop_preview(self) -> None:
        """Forget the preview, and end what works it out."""
        self.preview = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._processes is not None:
            _end(self._processes)
            self._processes = None

    def result(self, number: int) -> ReclusterPreview:
        """Return what the preview of this number found.

        Raises:
            NotKnownError: there is none of this number any more.
            DecisionError: it is not worked out yet.
        """
        if self.preview is None or self.preview.number != number:
            raise NotKnownError("this preview was dropped, or another one has taken its place; ask for a new one")
        if self.preview.result is None:
            raise DecisionError(self.preview.fault or "this preview is not worked out yet")
        return self.preview.result

    def close(self) -> None:
        """End what works out a preview; a scan goes on."""
        with contextlib.suppress(RuntimeError):
            self.drop_preview()
            self.map.close()
            self.stats.close()


def make_map(config: Config) -> None:
    """Work out the map of faces, in another process."""
    from facewatch.app import App

    with App(config, needs_catalog=True) as app:
        app.face_map().renew()


def make_stats(config: Config) -> Stats:
    """Return the catalog in numbers, worked out in another process: all distances between faces are looked at."""
    from facewatch.app import App

    with App(config, needs_catalog=True) as app:
        return app.stats()


def _preview_of(config: Config, is_from_scratch: bool) -> ReclusterPreview:
    """Work out a preview, in another process."""
    from facewatch.app import App

    with App(config, needs_catalog=True) as app:
        return app.reclusterer().preview(is_from_scratch=is_from_scratch)
