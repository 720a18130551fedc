"""Work that takes long, in a process of its own: it blocks no page, gives its memory back, and can be ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING

from facewatch.errors import EngineError, FacewatchError
from facewatch.indexing import processes
from facewatch.presentation.refusals import FAILED
from facewatch.presentation.status import ENDED
from facewatch.types import Progress
from facewatch.web.apart import be_apart, receive_outcome, send_outcome

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from facewatch.config import Config

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]
Work = Callable[["Config", Report], object]
"""Returns what is to be found, given the settings; can be pickled, as what it returns. It is called in another process,
where it may report what it does."""


class Background:
    """Work of which one is done at a time. Belongs to the event loop."""

    def __init__(self) -> None:
        self.stage = ""
        """What is being done."""
        self.fault = ""
        """Why it failed last; "": it did not."""
        self.result: object = None
        """What it gave last."""
        self.made_at: datetime | None = None
        """When it gave that."""
        self._process: BaseProcess | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, work: Work, config: Config, then: Callable[[], None]) -> None:
        """Begin, unless it is under way; `then` is called at its end, and whenever it does something else."""
        if self.is_running:
            return
        self.stage = self.fault = ""
        context = get_context("spawn")
        pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(theirs, work, config), daemon=True)
        task = asyncio.create_task(self._follow(self._process, pipe, theirs, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """End it, and forget what it gave."""
        process, self._process = self._process, None
        self.result, self.stage, self.fault = None, "", ""
        if process is not None and process.pid is not None:
            processes.kill(process)

    async def _follow(
        self,
        process: BaseProcess,
        pipe: connection.Connection,
        theirs: connection.Connection,
        then: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()

        def note(stage: str) -> None:
            loop.call_soon_threadsafe(self._note_stage, process, then, stage)

        def is_wanted() -> bool:
            return self._process is process

        result, fault = None, ""
        try:
            result = await asyncio.to_thread(_outcome_of, process, pipe, theirs, note=note, is_wanted=is_wanted)
        except FacewatchError as error:
            fault = error.on_page
        except Exception:  # nobody waits for it who could be told otherwise
            log.exception("work in the background failed")
            fault = FAILED
        # Where it was ended, nobody wants to know.
        if self._process is process:
            self._process = None
            self.fault = fault
            if not fault:
                self.result, self.made_at = result, datetime.now(UTC)
            then()

    def _note_stage(self, process: BaseProcess, then: Callable[[], None], stage: str) -> None:
        if self._process is process:
            self.stage = stage
            then()


def _outcome_of(
    process: BaseProcess,
    pipe: connection.Connection,
    theirs: connection.Connection,
    *,
    note: Callable[[str], None],
    is_wanted: Callable[[], bool],
) -> object:
    """Start the process and return what it found (see `receive_outcome`). Runs in a thread."""
    with pipe:
        try:
            processes.start(process)
        finally:
            theirs.close()  # so that the pipe ends with the process
        try:
            if not is_wanted():
                raise EngineError(ENDED)
            return receive_outcome(pipe, note)
        finally:
            processes.kill(process)


# --- in the other process ---


def _do(pipe: connection.Connection, work: Work, config: Config) -> None:
    """Send what is being done, then what was found, or why that cannot be."""
    be_apart()

    def report(progress: Progress) -> None:
        pipe.send(("stage", f"{progress.stage}, {progress.note}" if progress.note else progress.stage))

    send_outcome(pipe, lambda: work(config, report))
