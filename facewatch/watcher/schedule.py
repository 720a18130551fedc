"""What is due, and when: the hours of the day, what follows from changes, and waiting after a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0
"""How long to wait when a turn failed, at first; twice as long each time that the next fails, too."""

LONGEST_WAIT_SECONDS = 600.0

MOST_SHARE = 0.2
"""Grouping and folders may take this share of the time while photos are waiting."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From one time of the clock on the wall to another, also past midnight; equal ends are the whole day.

    Only what the clock shows counts, so that an hour that is left out or comes twice needs no rule of its own.
    """

    opens: time
    closes: time
    """The first minute that is not among them."""

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours of a text like "22:00-06:00"; the empty text is the whole day.

        Raises:
            ValueError: it is something else.
        """
        if not text:
            return cls(time(), time())
        opens, _, closes = text.partition("-")
        return cls(time.fromisoformat(opens.strip()), time.fromisoformat(closes.strip()))

    @property
    def is_whole_day(self) -> bool:
        return self.opens == self.closes

    def is_open(self, local: datetime) -> bool:
        """Whether a moment, by the clock on the wall, is among them."""
        now = local.time()
        if self.opens < self.closes:
            return self.opens <= now < self.closes
        return self.is_whole_day or now >= self.opens or now < self.closes


class Throttle:
    """Says when repeated work is due so that it takes no more than a share of the time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_at = clock()

    @property
    def is_due(self) -> bool:
        return self._clock() >= self._due_at

    def took(self, seconds: float) -> None:
        self._due_at = self._clock() + seconds * (1 / MOST_SHARE - 1)


@dataclass(slots=True)
class Pool:
    """Faces that belong to nobody, and since when they wait to be grouped."""

    waiting_since: float | None
    n_faces: int = 0
    """As far as was asked."""
    n_grouped: int = 0
    """When they were grouped last."""
    is_stale: bool = True
    """Whether there may be others by now."""

    def wait(self, now: float) -> None:
        """There are faces to be grouped; they may have waited longer already."""
        if self.waiting_since is None:
            self.waiting_since = now

    def has_grown(self, after_faces: int, after_share: float) -> bool:
        """Whether it has grown by this number, and this share of it."""
        return self.n_faces - self.n_grouped >= max(after_faces, after_share * self.n_faces)

    def grouped(self, n_left: int) -> None:
        self.waiting_since = None
        self.n_faces = self.n_grouped = n_left


@dataclass(slots=True, kw_only=True)
class PendingWork:
    """What follows from what has changed, and is still to be done."""

    pool: Pool
    may_group: Throttle
    folders: bool = True
    """The folders may show something else than the catalog says."""
    whole_folder: bool = True
    """All of them are to be compared with the disk, whatever is on record."""
    compare_disk_at: float
    may_link: Throttle
    search: bool = False
    """There are embeddings that the search does not know."""
    unseen: bool = True
    """There may be photos that the wanted engine has not seen: at the start, and when a drive is back."""
    dates: Iterator[int]
    """Looks up when photos of older catalogs were taken, some more with each step."""
    backup_at: float
    """When it is asked again whether a backup is due."""
    version: int = -1
    """Of the catalog, when it was looked at last."""

    def photos_are_back(self, dates: Iterator[int]) -> None:
        """A drive is back, with photos that may have waited long."""
        self.unseen = self.folders = True
        self.dates = dates


@dataclass(slots=True)
class Failures:
    """Turns in a row that failed, and how long to wait until the next try."""

    told: str = ""
    """The last fault that was logged."""
    n: int = 0
    """Whatever the reason."""
    n_unforeseen: int = 0
    """Those of them that failed for a reason that nobody foresaw."""
    wait_until: float = float("-inf")

    def tell(self, fault: str) -> None:
        """Log a fault that may last: once, not at every try."""
        if fault != self.told:
            log.error("%s", fault)
        self.told = fault

    def wait(self, fault: str, now: float) -> float:
        """One more turn failed; returns how many seconds to wait."""
        self.tell(fault)
        self.n += 1
        seconds = min(LONGEST_WAIT_SECONDS, WAIT_SECONDS * 2.0 ** min(self.n - 1, 10))
        self.wait_until = now + seconds
        return seconds
