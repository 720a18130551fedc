"""The catalog for many requests at once.

Decisions are made one after another, in a thread that owns an App. What only reads runs beside them, in a few threads
with an App each, which cannot write; what one piece of work reads is of one moment. The event loop itself never waits
for a disk.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from facewatch.app import App
from facewatch.errors import FacewatchError
from facewatch.people.overview import PersonTile
from facewatch.web.aftermath import Aftermath
from facewatch.web.apart import OpenApp, Reader
from facewatch.web.threads import AppThreads

T = TypeVar("T")

N_READERS = 2
"""More would wait for each other: nearly all of their work needs Python's one lock."""


LONG_SECONDS = 0.3
"""What takes longer to read is read by another process, which starts in a second."""

BREATH_SECONDS = 0.03
"""How long nobody must have read, so that what can wait begins."""

IDLE_SECONDS = 60.0
"""After which worker processes are ended: each holds a few hundred MB of models."""


MOST_CACHED = 64
"""Answers that are kept: a search of a large library may be a megabyte, and each letter that is typed is one."""


def _know_looks(app: App) -> None:
    """Find out what most pages of a person need, and import what only some do: scipy takes 0.3 s."""
    import facewatch.people.split  # noqa: F401

    app.resemblance.renew()


def _end_workers(app: App) -> None:
    for workers in (app.workers.made, app.library_workers.made):
        if workers is not None:
            workers.close()


def _timed(work: Callable[[App], T], app: App) -> tuple[T, float]:
    started = time.monotonic()
    return work(app), time.monotonic() - started


@dataclass(frozen=True, slots=True)
class _Cached:
    version: int
    reading: asyncio.Task[Any]


class Access:
    """What the site's requests share."""

    def __init__(self, make: Callable[[], App], open_apart: OpenApp | None = None) -> None:
        """`make` opens an App; it is called in each thread that needs one. `open_apart`: see `Reader`."""
        self._deciding = AppThreads(make, 1, name="facewatch-decide", is_reader=False)
        self._reading = AppThreads(make, N_READERS, name="facewatch-read", is_reader=True)
        self._apart = Reader(open_apart)
        self._cache: dict[Hashable, _Cached] = {}
        self._changed: set[asyncio.Event] = set()
        self._n_reading = 0
        self._has_read = asyncio.Event()
        """Set while nobody reads."""
        self._has_read.set()
        self.aftermath = Aftermath(self._deciding, self.all_have_read, self.note_change)
        self._analysed_at: float | None = None
        """When worker processes were used last; None: they have ended."""
        self.news: dict[str, str] = {}
        """What else pages are told (see `events`): kind -> JSON."""
        self.is_closing = False
        self.version = 0
        """Grows with every change to the catalog that is known of: decisions made here at once, others when they are
        noticed (see `events`)."""
        self._started = secrets.token_hex(4)

    async def start(self) -> None:
        """Open the catalog, so that what is wrong with it is said before a browser asks.

        Raises:
            FacewatchError: it cannot be opened.
        """
        # Its row in the catalog is made here if need be: readers could not.
        await self._deciding.run(lambda app: app.engine.id)

    def close(self) -> None:
        """Close what was opened, after what is under way or due."""
        self._apart.close()
        self.aftermath.close()
        for threads in (self._reading, self._deciding):
            threads.close()

    def stop_streams(self) -> None:
        """Let those who wait for changes end."""
        self.is_closing = True
        self.note_change()

    async def count_changes(self) -> int:
        """Return a number that differs when anybody else has changed the catalog: another program, or a watcher in
        this one. It is asked between two decisions, of the connection that makes them."""
        return await self._deciding.run(lambda app: app.catalog.version())

    async def read(self, work: Callable[[App], T]) -> T:
        """Return what `work` reads, beside other readers and decisions."""
        self._n_reading += 1
        self._has_read.clear()
        try:
            return await self._reading.run(work)
        finally:
            self._n_reading -= 1
            if not self._n_reading:
                self._has_read.set()

    async def all_have_read(self) -> None:
        """Return when nobody has read for a moment: a page is read in several steps, and then written."""
        is_quiet = False
        while not is_quiet:
            await self._has_read.wait()
            await asyncio.sleep(BREATH_SECONDS)
            is_quiet = self._has_read.is_set()

    async def read_apart(self, work: Callable[[App], T], *, took: float) -> tuple[T, float]:
        """Return what `work`, which can be pickled, reads, and for how many seconds it did; beside pages, if it took
        long the last time."""
        timed = partial(_timed, work)
        if took < LONG_SECONDS:
            return await self.read(timed)
        config = await self.read(lambda app: app.config)
        return await self._apart.run(config, timed)

    async def get_ready(self) -> None:
        """Write the file that searching reads, before somebody searches: those who only read cannot. Then read who is
        there, and from that file what everybody looks like, which whoever asks or decides first would wait for; one
        after the other, and while nobody reads."""
        await self._deciding.run(lambda app: app.search.keep_up())
        with suppress(FacewatchError):  # whoever asks is told
            await self.everybody()
            await self.all_have_read()
            await self.read(_know_looks)
            await self.all_have_read()
            await self._deciding.run(lambda app: app.identities.gallery())

    async def everybody(self) -> tuple[PersonTile, ...]:
        """Return everybody who is in the library now, as the catalog has them."""
        return await self.cached("overview", lambda app: app.overview.tiles())

    async def analyse(self, work: Callable[[App], T]) -> T:
        """Return what `work` finds, which may have worker processes analyse a photo; decisions wait for it, so that
        there is one set of these processes. They end when they have had nothing to do for a while."""
        self._analysed_at = time.monotonic()
        return await self._deciding.run(work)

    async def consult(self, work: Callable[[App], T]) -> T:
        """Return what `work` reads, between two decisions, in the thread that makes them: there the gallery is at hand,
        which takes half a second to load for 100,000 faces, and is kept as decisions leave it."""
        self.aftermath.match()
        return await self._deciding.run(work)

    async def let_go(self) -> None:
        """End the processes that `analyse` and `read_apart` have used, if that is a while ago."""
        self._apart.let_go(IDLE_SECONDS)
        if self._analysed_at is not None and time.monotonic() - self._analysed_at > IDLE_SECONDS:
            self._analysed_at = None
            await self._deciding.run(_end_workers)

    async def decide(self, work: Callable[[App], T], *, is_analysing: bool = False) -> T:
        """Return what `work` decided, after all that was asked for before it, and what follows from that for the pool.
        `is_analysing`: see `analyse`."""
        if is_analysing:
            self._analysed_at = time.monotonic()

        def decision(app: App) -> T:
            with app.corrections.following_later():
                return work(app)

        self.aftermath.match()
        decided = self._deciding.run(decision)
        self.aftermath.expect(decided)
        try:
            return await asyncio.shield(decided)
        finally:
            # Also when it failed: part of it may stand.
            self.note_change()

    async def cached(self, key: Hashable, work: Callable[[App], T]) -> T:
        """Return what `work` reads, or what it read before if the catalog has not changed since; it is read once for
        all who ask meanwhile."""
        kept = self._cache.get(key)
        if kept is None or kept.version != self.version or (kept.reading.done() and kept.reading.exception()):
            kept = _Cached(self.version, asyncio.create_task(self.read(work)))
        # Those that were asked for last stay.
        self._cache.pop(key, None)
        self._cache[key] = kept
        while len(self._cache) > MOST_CACHED:
            del self._cache[next(iter(self._cache))]
        # Whoever goes away must not take it from the others.
        value: T = await asyncio.shield(kept.reading)
        return value

    def note_change(self) -> None:
        """The catalog is not what it was."""
        self.version += 1
        self._wake()

    def _wake(self) -> None:
        for event in self._changed:
            event.set()

    @property
    def stamp(self) -> str:
        """The version, as pages know it: those of another start are not compared with it."""
        return f"{self._started}-{self.version}"

    def say(self, kind: str, news: str) -> None:
        """Let pages know of something other than the catalog; JSON, of which each kind has one value."""
        if self.news.get(kind) != news:
            self.news[kind] = news
            self._wake()

    @property
    def n_listening(self) -> int:
        """How many wait for changes."""
        return len(self._changed)

    def subscribe(self) -> asyncio.Event:
        """Return an event that is set with every change, until `unsubscribe`."""
        event = asyncio.Event()
        self._changed.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        self._changed.discard(event)
