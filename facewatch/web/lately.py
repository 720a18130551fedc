"""Numbers of the whole library, as they were a moment ago: counting 100,000 faces takes longer than a page may."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from facewatch.app import App
from facewatch.web.access import Access

T = TypeVar("T")

AT_ONCE_SECONDS = 0.03
"""What takes no longer than this is always read as it is."""
RESTS = 10.0
"""So many times as long as it took to read them they are not read again."""


@dataclass(eq=False)
class _Known:
    value: Any = None
    version: int = -1
    """Of the catalog, when it was read."""
    took: float = 0.0
    """Seconds."""
    at: float = 0.0
    renewing: asyncio.Task[None] | None = field(default=None)


class Lately:
    """What was read of the catalog lately. Belongs to the event loop."""

    def __init__(self, access: Access, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._all: dict[str, _Known] = {}

    async def read(self, key: str, work: Callable[[App], T]) -> T:
        """Return what `work`, which can be pickled, reads. Where that takes a while, it is what was read before, and
        read again meanwhile; then pages are told, by the news "renewed": key -> `stamp`."""
        known = self._all.setdefault(key, _Known())
        while known.version != self._access.version:
            if known.renewing is None or known.renewing.done():
                known.renewing = asyncio.create_task(self._renew(known, work))
            if known.took > AT_ONCE_SECONDS:
                break
            # Whoever goes away must not take it from the others.
            await asyncio.shield(known.renewing)
        value: T = known.value
        return value

    def stamp(self, key: str) -> int:
        """Return of which version of the catalog is what was returned last."""
        return self._all[key].version

    async def _renew(self, known: _Known, work: Callable[[App], T]) -> None:
        is_slow = known.took > AT_ONCE_SECONDS
        if is_slow:
            await asyncio.sleep(known.at + RESTS * known.took - self._clock())
            await self._access.all_have_read()
        version = self._access.version
        known.value, known.took = await self._access.read_apart(work, took=known.took)
        known.version, known.at = version, self._clock()
        if is_slow:
            self._access.say("renewed", json.dumps({key: one.version for key, one in self._all.items()}))
