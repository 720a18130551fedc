"""Where photos are looked at: worker processes, each with its models loaded once; or this process, for tests."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol, TypeVar

from facewatch.ingest.eyes import Analysed, Examined, Eyes, Recipe
from facewatch.types import Engine, Fingerprint

_T = TypeVar("_T")

_eyes: list[Eyes] = []
"""The one of this worker process; a process pool gives its tasks no other place to keep it."""


def _start_worker(recipe: Recipe) -> None:
    # Ctrl-C reaches every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(recipe.niceness)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _eyes[:] = [Eyes(recipe)]
    _speak_through(os.dup(2))
    # libtiff and its like write to stderr by themselves, many lines for one bad file; the fault is on record anyway.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)


def _speak_through(descriptor: int) -> logging.Handler:
    """Send the warnings of facewatch's own code to the terminal, past the silence that its libraries are put to."""
    handler = logging.StreamHandler(open(descriptor, "w", encoding="utf-8", errors="replace"))  # noqa: SIM115
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger("facewatch").addHandler(handler)
    return handler


def _die_with_parent() -> None:
    """A killed main process cannot end its workers; they would wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _examine(path: str) -> Examined:
    return _eyes[0].examine(path)


def _analyse(path: str, expected: Fingerprint) -> Analysed | None:
    return _eyes[0].analyse(path, expected)


def _analyse_aligned(photos: Sequence[tuple[str, Fingerprint]]) -> list[Analysed | None]:
    return _eyes[0].analyse_aligned(photos)


class Analyser(Protocol):
    """Where photos are looked at; the futures' exceptions are those of `Eyes`."""

    n_workers: int

    def examine(self, path: str) -> Future[Examined]: ...

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]: ...

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]: ...

    def restart(self) -> None:
        """Replace what crashed."""
        ...

    def close(self) -> None: ...


class Workers:
    """An Analyser of worker processes, each with its models loaded once; made when needed, let go on `close`."""

    def __init__(self, recipe: Recipe, n_workers: int) -> None:
        self.n_workers = n_workers
        self._recipe = recipe
        self._pool: Executor | None = None

    def examine(self, path: str) -> Future[Examined]:
        return self._submit(_examine, path)

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]:
        return self._submit(_analyse, path, expected)

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]:
        return self._submit(_analyse_aligned, photos)

    def _submit(self, work: Callable[..., _T], *arguments: Any) -> Future[_T]:
        try:
            return self._executor().submit(work, *arguments)
        except BrokenProcessPool as error:
            # A worker died after its last answer: the photo fails like those in flight, and is tried again.
            failed: Future[_T] = Future()
            failed.set_exception(error)
            return failed

    def _executor(self) -> Executor:
        if self._pool is None:
            # "spawn": a forked child would inherit the catalog's connection and the watcher's threads.
            self._pool = ProcessPoolExecutor(
                self.n_workers, get_context("spawn"), initializer=_start_worker, initargs=(self._recipe,)
            )
        return self._pool

    @property
    def is_running(self) -> bool:
        return self._pool is not None

    def restart(self) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


class InlineAnalyser:
    """An Analyser in this process, one photo after the other: for tests and for looking at a single photo."""

    n_workers = 1

    def __init__(self, recipe: Recipe, engine: Engine | None = None) -> None:
        self._own = Eyes(recipe, engine)

    def examine(self, path: str) -> Future[Examined]:
        return _done(lambda: self._own.examine(path))

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]:
        return _done(lambda: self._own.analyse(path, expected))

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]:
        return _done(lambda: self._own.analyse_aligned(photos))

    def restart(self) -> None: ...

    def close(self) -> None: ...


def _done(work: Callable[[], _T]) -> Future[_T]:
    future: Future[_T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future
