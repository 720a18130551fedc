"""Paths that something was heard of, held back until they are still."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from facewatch.types import Fingerprint


@dataclass(frozen=True, slots=True)
class Settled:
    """Paths that may be acted on."""

    present: dict[str, Fingerprint]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.present or self.gone)


@dataclass(slots=True)
class _Pending:
    """A path that something was heard of."""

    fingerprint: Fingerprint | None
    """None: it is not there."""
    turn: int
    """Which of its entries in the agenda counts."""


class SettleQueue:
    """Holds paths back until they have been still: a file that grows is not read, a file that moves is not lost.

    Removals wait longer than additions, because a move takes two steps. A path is looked at when it is heard of and
    when its time has come, not in between; one that never rests stays, is looked at once in `settle_seconds`, and holds
    up no other.
    """

    def __init__(
        self, look: Callable[[str], Fingerprint | None], *, settle_seconds: float, removal_seconds: float
    ) -> None:
        """`look` returns a path's fingerprint, or None when no regular file is there."""
        self._look = look
        self._settle_seconds = settle_seconds
        self._removal_seconds = removal_seconds
        self._pending: dict[str, _Pending] = {}
        self._agenda: list[tuple[float, int, str]] = []
        """A heap of when to look at which path; the number keeps the order of hearing."""
        self._turns = itertools.count()
        self._vanished: dict[str, None] = {}
        self._has_more = False

    def __len__(self) -> int:
        return len(self._pending)

    def hear(self, path: str, now: float) -> None:
        """Something happened to this path; if that changed it, it has to be still from now on."""
        seen = self._look(path)
        pending = self._pending.get(path)
        if pending is None or pending.fingerprint != seen:
            self._wait(path, seen, now)

    @property
    def has_more(self) -> bool:
        """Whether the last answer was cut short."""
        return self._has_more

    def settled(self, now: float, most: int) -> Settled:
        """Return the paths that have been still for long enough, at most so many, and forget them."""
        present: dict[str, Fingerprint] = {}
        gone: list[str] = []
        while (path := self._next(now)) is not None and len(present) + len(gone) < most:
            seen = self._look(path)
            if seen != self._pending[path].fingerprint:
                self._wait(path, seen, now)
                continue
            self._forget(path)
            if seen is None:
                gone.append(path)
            else:
                present[path] = seen
        self._has_more = path is not None
        return Settled(present, tuple(gone))

    def vanished(self) -> tuple[str, ...]:
        """Return the paths that are not there but still might come back."""
        return tuple(self._vanished)

    def _wait(self, path: str, seen: Fingerprint | None, still_since: float) -> None:
        """Hold the path back, as it is now, for the whole time."""
        turn = next(self._turns)
        self._pending[path] = _Pending(seen, turn)
        if seen is None:
            self._vanished[path] = None
        else:
            self._vanished.pop(path, None)
        wait = self._removal_seconds if seen is None else self._settle_seconds
        heapq.heappush(self._agenda, (still_since + wait, turn, path))

    def _next(self, now: float) -> str | None:
        """Return the path whose time came first; None when it is nobody's time yet."""
        while self._agenda and self._agenda[0][0] <= now:
            _, turn, path = self._agenda[0]
            pending = self._pending.get(path)
            if pending is not None and pending.turn == turn:
                return path
            heapq.heappop(self._agenda)
        return None

    def _forget(self, path: str) -> None:
        del self._pending[path]
        self._vanished.pop(path, None)
