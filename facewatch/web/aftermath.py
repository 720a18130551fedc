"""What follows from decisions: the pool is matched again, then the people folder is brought in line.

Nobody is to wait for either. They come when the page that shows the decision has been read, the folders when nobody
has decided for a while; but always the pool before the next decision, because what it finds is part of the one before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from facewatch.app import App
from facewatch.errors import FacewatchError
from facewatch.presentation.corrections import NOT_FOLLOWED
from facewatch.web.threads import AppThreads

log = logging.getLogger(__name__)

T = TypeVar("T")

ASKING_SECONDS = 0.05
"""How soon after a decision a browser asks for the page that shows it, and"""
READING_SECONDS = 1.0
"""how long pages are read before the pool follows from the decision all the same."""

QUIET = 20.0
"""So many times as long as the folders took the last time nobody is to have decided before they follow, at most"""
QUIET_SECONDS = 1.0
"""so long, and"""
MOST_UNSHOWN_SECONDS = 30.0
"""after so long they follow all the same: meanwhile nothing is decided, for 0.4 s where somebody has 4,000 photos."""


class Aftermath:
    """What is still to follow from decisions. Belongs to the event loop."""

    def __init__(
        self,
        deciding: AppThreads,
        all_have_read: Callable[[], Coroutine[None, None, None]],
        note_change: Callable[[], None],
    ) -> None:
        """
        Args:
            deciding: the thread that makes decisions.
            all_have_read: returns when nobody reads.
            note_change: called when something has followed that pages show.
        """
        self._deciding = deciding
        self._all_have_read = all_have_read
        self._note_change = note_change
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_decided = 0
        self._is_unmatched = self._is_unshown = self._is_waiting = False
        """Whether pool and folders are to follow, and the folders wait for a moment to do so."""
        self._show_seconds = 0.0
        """How long the folders took the last time."""
        self._faults: dict[str, str] = {}

    @property
    def fault(self) -> str:
        """Why the folders do not show what was decided last; "": they do, or will in a moment."""
        return next(filter(None, self._faults.values()), "")

    def expect(self, decided: asyncio.Future[Any]) -> None:
        """Something follows from this decision, which was asked for."""
        self._n_decided += 1
        self._is_unmatched = True
        self._begin(self._match_soon(decided))

    def match(self) -> None:
        """Let the pool follow from the decisions so far, unless it has, before whatever is decided next."""
        if self._is_unmatched:
            self._is_unmatched, self._is_unshown = False, True
            self._begin(self._follow(self._deciding.run(_match)))

    def close(self) -> None:
        """Let all follow that is to; may be called from any thread."""
        is_due = self._is_unmatched or self._is_unshown
        self._is_unmatched = self._is_unshown = False
        if is_due:
            self._deciding.submit(_match)
            self._deciding.submit(_show)

    async def wait(self) -> None:
        """Return when all has followed."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _match_soon(self, decided: asyncio.Future[Any]) -> None:
        await asyncio.wait([decided])
        await asyncio.sleep(ASKING_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(READING_SECONDS):
                await self._all_have_read()
        self.match()

    async def _follow(self, matched: asyncio.Future[set[int]]) -> None:
        if await self._outcome("pool", matched):
            self._note_change()
        if not self._is_waiting:
            await self._show_soon()

    async def _show_soon(self) -> None:
        self._is_waiting, n_decided = True, -1
        latest = time.monotonic() + MOST_UNSHOWN_SECONDS
        while n_decided != self._n_decided and time.monotonic() < latest:
            n_decided = self._n_decided
            await asyncio.sleep(min(QUIET_SECONDS, QUIET * self._show_seconds))
        self._is_waiting = False
        if self._is_unshown:
            self._is_unshown, started = False, time.monotonic()
            await self._outcome("folders", self._deciding.run(_show))
            self._show_seconds = time.monotonic() - started

    async def _outcome(self, what: str, following: asyncio.Future[T]) -> T | None:
        """Return what came of it; None: it failed, which pages are told."""
        fault, value = "", None
        try:
            value = await following
        except FacewatchError as error:
            fault = error.on_page
            log.warning("%s", error)
        except Exception:  # nobody waits for it who could be told otherwise
            fault = NOT_FOLLOWED
            log.exception("what follows from a decision failed")
        if fault != self._faults.get(what, ""):
            self._faults[what] = fault
            self._note_change()
        return value

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _match(app: App) -> set[int]:
    return app.corrections.match_due()


def _show(app: App) -> None:
    app.corrections.show_due()
