"""Work in other processes: what they are asked to do, and what becomes of it here."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any, TypeVar

from facewatch.errors import EngineError, FacewatchError
from facewatch.indexing import processes
from facewatch.presentation.status import ENDED
from facewatch.types import OnDemand

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from facewatch.app import App
    from facewatch.config import Config

T = TypeVar("T")

NICENESS = 5
"""How far these processes give way to the page."""

OpenApp = Callable[["Config"], "App"]
"""Opens an App in another process; can be pickled."""


def open_app(config: Config) -> App:
    from facewatch.app import App

    return App(config, needs_catalog=True)


def be_apart() -> None:
    """Belongs at the beginning of such a process."""
    processes.be_quiet_child()
    os.nice(NICENESS)


def send_outcome(pipe: connection.Connection, work: Callable[[], object]) -> None:
    """Do the work and send what it returned, or why it could not."""
    try:
        pipe.send(("result", work()))
    except FacewatchError as error:
        pipe.send(("fault", error.on_page))
    except Exception:  # a fault of ours, which the log of the server is told
        pipe.send(("broken", traceback.format_exc()))


def receive_outcome(pipe: connection.Connection, note: Callable[[str], None] = lambda stage: None) -> Any:
    """Return what the work in the other process returned; `note` is handed what it does meanwhile.

    Raises:
        EngineError: it said that it cannot be done, or the process was ended.
        RuntimeError: a fault of our own; the text is its traceback.
    """
    with suppress(EOFError, OSError):
        while True:
            kind, value = pipe.recv()
            if kind == "result":
                return value
            if kind == "fault":
                raise EngineError(value)
            if kind == "broken":
                raise RuntimeError(value)
            note(value)
    raise EngineError(ENDED)


@dataclass(frozen=True, slots=True)
class _Child:
    process: BaseProcess
    pipe: connection.Connection


class Reader:
    """A process that reads the catalog for work that takes seconds: threads would share Python's one lock with pages,
    which then take twice as long. It is started when there is work, does one thing at a time, and ends when it has had
    none for a while: it holds an App."""

    def __init__(self, opening: OpenApp | None = None) -> None:
        """`opening`: None: as the program does."""
        self._opening = opening or open_app
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="facewatch-apart")
        self._child: _Child | None = None
        self._n_asked = 0
        self._used_at = time.monotonic()

    async def run(self, config: Config, work: Callable[[App], T]) -> T:
        """Return what `work`, which can be pickled, reads in one transaction with an App of these settings.

        Raises:
            EngineError: it cannot be read, or the process was ended.
        """
        self._n_asked += 1
        try:
            value: T = await asyncio.wrap_future(self._thread.submit(self._done, config, work))
            return value
        finally:
            self._n_asked -= 1
            self._used_at = time.monotonic()

    def let_go(self, idle_seconds: float) -> None:
        """End the process if it has had nothing to do for so long."""
        if self._child is not None and not self._n_asked and time.monotonic() - self._used_at > idle_seconds:
            self._end()

    def close(self) -> None:
        """End what it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._end()
        self._thread.shutdown()
        self._end()

    def _done(self, config: Config, work: Callable[[App], T]) -> T:
        if self._child is None:
            self._child = _started(self._opening, config)
        child = self._child
        with suppress(OSError):
            child.pipe.send(work)
        try:
            value: T = receive_outcome(child.pipe)
            return value
        finally:
            # There is one outcome of each work; what else can be read is that the process has ended.
            with suppress(OSError):
                if child.pipe.poll():
                    self._end()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            processes.kill(child.process)
            child.pipe.close()


def _started(opening: OpenApp, config: Config) -> _Child:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, opening, config), daemon=True)
    try:
        processes.start(process)
    finally:
        theirs.close()  # so that the pipe ends with the process
    return _Child(process, ours)


# --- in the other process ---


def _serve(pipe: connection.Connection, opening: OpenApp, config: Config) -> None:
    """Do what is asked for until the pipe ends, with the process that asks."""
    be_apart()
    app = OnDemand(lambda: _opened(opening, config))
    with suppress(EOFError):
        while True:
            work: Callable[[App], object] = pipe.recv()
            send_outcome(pipe, lambda work=work: _read(app(), work))  # type: ignore[misc]


def _opened(opening: OpenApp, config: Config) -> App:
    app = opening(config)
    app.catalog.refuse_writing()
    return app


def _read(app: App, work: Callable[[App], T]) -> T:
    with app.catalog.read_transaction():
        return work(app)
