"""Threads that own an App each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from facewatch.app import App

T = TypeVar("T")


class AppThreads:
    """Threads that own an App each, opened when the first work comes."""

    def __init__(self, make: Callable[[], App], n: int, *, name: str, is_reader: bool) -> None:
        self._make = make
        self._is_reader = is_reader
        self._own = threading.local()
        self._n = n
        self._threads = ThreadPoolExecutor(n, thread_name_prefix=name)

    def run(self, work: Callable[[App], T]) -> asyncio.Future[T]:
        """Return what `work` will return, given a thread's App. With one thread, what is asked for first is done
        first."""
        return asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[App], T]) -> Future[T]:
        """Do the same where there is no event loop."""
        return self._threads.submit(self._work, work)

    def _work(self, work: Callable[[App], T]) -> T:
        app: App | None = getattr(self._own, "app", None)
        if app is None:
            app = self._make()
            if self._is_reader:
                app.catalog.refuse_writing()
            self._own.app = app
        if not self._is_reader:
            return work(app)
        with app.catalog.read_transaction():
            return work(app)

    def close(self) -> None:
        """Close every App in its own thread; SQLite allows no other."""
        together = threading.Barrier(self._n)
        for _ in range(self._n):
            self._threads.submit(self._close_one, together)
        self._threads.shutdown(wait=True)

    def _close_one(self, together: threading.Barrier) -> None:
        together.wait()
        app: App | None = getattr(self._own, "app", None)
        if app is not None:
            app.__exit__(None, None, None)
