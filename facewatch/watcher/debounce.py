"""Holds back paths with events until their files have stopped changing."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum

from facewatch.types import Fingerprint
from facewatch.watcher.events import folders_above

SPARE_ENTRIES = 64
"""Entries of the agenda that need not count, besides as many as there are paths: few are not worth clearing away."""


@dataclass(frozen=True, slots=True)
class StillPaths:
    """Paths that may be acted on."""

    present: dict[str, Fingerprint]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.present or self.gone)


class _Unknown(Enum):
    """What reading a path's state may give besides a fingerprint, and None for what is not there."""

    UNKNOWN = "it cannot be read"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A path with an event."""

    seen: Fingerprint | _Unknown | None
    """Its state when it was read last."""
    turn: int
    """Which of its entries in the agenda counts."""


class Debouncer:
    """Holds paths back until they have been still: a file that grows is not read, a file that moves is not lost.

    Removals wait longer than additions, because a move takes two steps. A path's state is read at its event and
    when its time has come, not in between; one that never rests stays, is read once in `settle_seconds`, and holds
    up no other. One whose state the disk does not give is neither there nor gone, and stays as well.
    """

    def __init__(
        self, stat: Callable[[str], Fingerprint | None], *, settle_seconds: float, removal_seconds: float
    ) -> None:
        """`stat` returns a path's fingerprint, or None when no regular file is there; it raises OSError when that
        cannot be read.
        """
        self._stat = stat
        self._settle_seconds = settle_seconds
        self._removal_seconds = removal_seconds
        self._pending: dict[str, _Pending] = {}
        self._agenda: list[tuple[float, int, str]] = []
        """A heap of when to read which path's state; the number keeps the order of events."""
        self._turns = itertools.count()
        self._has_more = False

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, path: str, now: float) -> None:
        """Take an event of this path; if its state changed, it has to be still from now on."""
        seen = self._see(path)
        pending = self._pending.get(path)
        if pending is None or pending.seen != seen:
            self._wait(path, seen, now)

    def forget_below(self, folders: Collection[str]) -> None:
        """Forget the events of these folders, and of all below them."""
        if folders:
            lost = [path for path in self._pending if any(above in folders for above in (path, *folders_above(path)))]
            for path in lost:
                del self._pending[path]

    @property
    def has_more(self) -> bool:
        """Whether the last answer was cut short."""
        return self._has_more

    def ready(self, now: float, most: int) -> StillPaths:
        """Return the paths that have been still for long enough, at most so many, and forget them."""
        present: dict[str, Fingerprint] = {}
        gone: list[str] = []
        while (path := self._next(now)) is not None and len(present) + len(gone) < most:
            seen = self._see(path)
            if isinstance(seen, _Unknown) or seen != self._pending[path].seen:
                self._wait(path, seen, now)
                continue
            del self._pending[path]
            if seen is None:
                gone.append(path)
            else:
                present[path] = seen
        self._has_more = path is not None
        self._clear_agenda()
        return StillPaths(present, tuple(gone))

    def _see(self, path: str) -> Fingerprint | _Unknown | None:
        try:
            return self._stat(path)
        except OSError:
            return _Unknown.UNKNOWN

    def _wait(self, path: str, seen: Fingerprint | _Unknown | None, still_since: float) -> None:
        """Hold the path back, as it is now, for the whole time."""
        turn = next(self._turns)
        self._pending[path] = _Pending(seen, turn)
        wait = self._removal_seconds if seen is None else self._settle_seconds
        heapq.heappush(self._agenda, (still_since + wait, turn, path))
        self._clear_agenda()

    def _clear_agenda(self) -> None:
        """Drop the entries that count no longer, when they are the larger part."""
        if len(self._agenda) > 2 * len(self._pending) + SPARE_ENTRIES:
            self._agenda = [entry for entry in self._agenda if self._counts(entry[2], entry[1])]
            heapq.heapify(self._agenda)

    def _counts(self, path: str, turn: int) -> bool:
        pending = self._pending.get(path)
        return pending is not None and pending.turn == turn

    def _next(self, now: float) -> str | None:
        """Return the path whose time came first; None when it is nobody's time yet."""
        while self._agenda and self._agenda[0][0] <= now:
            _, turn, path = self._agenda[0]
            if self._counts(path, turn):
                return path
            heapq.heappop(self._agenda)
        return None
