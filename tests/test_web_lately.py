"""Numbers that are slow to count are shown as they were a moment ago; pages are told when they are counted again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from facewatch.web.lately import AT_ONCE_SECONDS, Lately


class _Counted:
    """Stands for the catalog: what is counted in it is its version; counting takes so many seconds of its clock."""

    def __init__(self, seconds: float) -> None:
        self.version = 0
        self.n_counted = 0
        self.seconds = seconds
        self.time = 0.0
        self.said: dict[str, Any] = {}

    def clock(self) -> float:
        return self.time

    async def read(self, work: Callable[[Any], int]) -> int:
        version = self.version
        self.n_counted += 1
        await asyncio.sleep(0)
        self.time += self.seconds
        return work(version)

    async def read_apart(self, work: Callable[[Any], int], *, took: float) -> tuple[int, float]:
        return await self.read(work), self.seconds

    async def all_have_read(self) -> None:
        """Nobody else reads here."""

    def say(self, kind: str, news: str) -> None:
        self.said[kind] = json.loads(news)


async def _ask(lately: Lately) -> int:
    return await lately.read("faces", lambda version: 10 * version)  # type: ignore[operator]


async def _settle(lately: Lately) -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _shown(seconds: float, versions: Iterator[int]) -> tuple[_Counted, list[int]]:
    counted, shown = _Counted(seconds), list[int]()

    async def work() -> None:
        lately = Lately(counted, clock=counted.clock)  # type: ignore[arg-type]
        for version in versions:
            counted.version = version
            # So long ago that it may be counted again.
            counted.time += 100 * seconds
            shown.append(await _ask(lately))
            await _settle(lately)

    asyncio.run(work())
    return counted, shown


def test_what_is_quick_to_count_is_always_counted_as_it_is() -> None:
    counted, shown = _shown(AT_ONCE_SECONDS / 2, iter([1, 2, 2, 3]))
    assert (shown, counted.n_counted, counted.said) == ([10, 20, 20, 30], 3, {})


def test_what_is_slow_to_count_is_shown_as_it_was_and_pages_are_told_when_it_is_counted_again() -> None:
    counted, shown = _shown(AT_ONCE_SECONDS * 2, iter([1, 2, 2, 3]))
    assert (shown, counted.n_counted, counted.said) == ([10, 10, 20, 20], 3, {"renewed": {"faces": 3}})
