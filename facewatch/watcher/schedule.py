"""What is due, and when: the hours of the day, what follows from changes, and waiting after a failure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0
"""How long to wait when a turn failed, at first; twice as long each time that the next fails, too."""

LONGEST_WAIT_SECONDS = 600.0

MOST_SHARE = 0.2
"""Grouping and folders may take this share of the time while photos are waiting."""

OFFLINE_SECONDS = 15.0
"""How often a library that is not there is looked for."""

SCAN_SHARE = 0.05
"""Polling may take this share of the time: a large network drive is scanned less often than `poll_seconds` says."""

URGENT_SHARE = 0.25
"""The same for scans that lost events make necessary."""

RETRY_SECONDS = 600.0
"""How often files that could not be read are tried again, where no event says that they can be."""

MOST_FOLDERS = 500
"""Folders to scan, above which one scan of everything is quicker."""


@dataclass(frozen=True, slots=True)
class GroupingPace:
    """When the pool is grouped while new faces come."""

    after_faces: int
    after_share: float
    """Of the pool; both must have come ..."""
    after_seconds: float
    """... or faces have waited this long."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What the settings say of watching."""

    settle_seconds: float
    removal_seconds: float
    """How long a file may be gone before its links go."""
    scan_seconds: float
    """Between two scans of a library as a whole."""
    poll_seconds: float
    """Between two scans of what reports no changes."""
    is_always_polled: bool
    idle_seconds: float
    """After which models are unloaded."""
    photo_seconds: float
    """How long one photo may take."""
    hours: str
    """When photos are analysed, "22:00-06:00"; empty: always."""
    grouping: GroupingPace
    backups: Path | None
    """The folder of the daily backups; None: the usual one."""
    n_backups: int
    """How many are kept; 0: none is made."""


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
    names: bool = True
    """Files may say something about people that was not read: at the start, and when any came, changed or went."""
    may_read: Throttle
    sidecars: bool = True
    """They may be to say something else: at the start, and when folders or names from files were brought up to date."""
    may_write: Throttle
    unseen: bool = True
    """There may be photos that the wanted engine has not seen: at the start, and when a drive is back."""
    dates: Iterator[int]
    """Looks up when photos of older catalogs were taken, some more with each step."""
    backup_at: float
    """When it is asked again whether a backup is due."""
    version: int = -1
    """Of the catalog, when it was checked last."""

    def photos_are_back(self, dates: Iterator[int]) -> None:
        """A drive is back, with photos that may have waited long."""
        self.unseen = self.folders = self.names = True
        self.dates = dates


@dataclass(slots=True)
class Failures:
    """Turns in a row that failed, and how long to wait until the next try."""

    logged: str = ""
    """The last fault that was logged."""
    n: int = 0
    """Whatever the reason."""
    n_unforeseen: int = 0
    """Those of them that failed for a reason that nobody foresaw."""
    wait_until: float = float("-inf")

    def log(self, fault: str) -> None:
        """Log a fault that may last: once, not at every try."""
        if fault != self.logged:
            log.error("%s", fault)
        self.logged = fault

    def wait(self, fault: str, now: float) -> float:
        """One more turn failed; returns how many seconds to wait."""
        self.log(fault)
        self.n += 1
        seconds = min(LONGEST_WAIT_SECONDS, WAIT_SECONDS * 2.0 ** min(self.n - 1, 10))
        self.wait_until = now + seconds
        return seconds


class ScanSchedule:
    """When a library, and which of its folders, are compared with the catalog again."""

    def __init__(
        self, clock: Callable[[], float], *, settle_seconds: float, scan_seconds: float, poll_seconds: float
    ) -> None:
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._scan_seconds = scan_seconds
        self._poll_seconds = poll_seconds
        self._scan_at = clock()
        """When to scan all of it again, whatever events came."""
        self._poll_at = clock()
        """When to scan the folders again that cannot be watched."""
        self._retry_at = clock()
        self._folders: dict[str, float] = {}
        """Folders that something happened to, and when to scan them."""
        self._last = (clock(), 0.0)
        """When the last scan of everything ended, and how long it took."""

    def add(self, folder: str) -> None:
        """Something happened to this folder, or to all ("")."""
        # Half of it, so that a folder and its files are ready together.
        self._folders.setdefault(folder, self._clock() + self._settle_seconds / 2)

    def scan_soon(self) -> None:
        """Scan all of it as soon as may be."""
        self._folders.setdefault("", self._clock())

    def scan_later(self, seconds: float) -> None:
        """What was taken from the queue and not recorded is found again by a scan after this time."""
        self._scan_at = self._clock() + seconds

    def due(self, polled: frozenset[str]) -> list[str]:
        """Return the folders to scan now; "" is everything, and then it is the only one. `polled`: these are not
        listened to."""
        now = self._clock()
        is_asked = "" in self._folders or len(self._folders) > MOST_FOLDERS
        ended, took = self._last
        if now >= self._scan_at or (is_asked and now >= max(min(self._folders.values()), ended + took / URGENT_SHARE)):
            return [""]
        folders = [folder for folder, at in self._folders.items() if folder and now >= at and not is_asked]
        for folder in folders:
            del self._folders[folder]
        if now >= self._poll_at and polled:
            self._poll_at = now + self._poll_seconds
            folders += polled
        return _outermost(folders)

    @property
    def is_retry_due(self) -> bool:
        """Whether files that could not be read are to be tried again by this scan; asking counts as doing it."""
        is_due = self._clock() >= self._retry_at
        if is_due:
            self._retry_at = self._clock() + RETRY_SECONDS
        return is_due

    def scanned(self, below: str, took: float, *, is_listening: bool) -> None:
        """A scan of a folder, or of all (""), ended that took so many seconds."""
        now = self._clock()
        if below:
            self._poll_at = max(self._poll_at, now + took / SCAN_SHARE)
            return
        self._folders.clear()
        self._last = (now, took)
        self._scan_at = now + (self._scan_seconds if is_listening else max(self._poll_seconds, took / SCAN_SHARE))

    def lost(self, took: float) -> None:
        """The library is not there: it is looked for from time to time."""
        self._folders.clear()
        self._scan_at = self._clock() + max(OFFLINE_SECONDS, took / SCAN_SHARE)


def _outermost(folders: Iterable[str]) -> list[str]:
    """Return the folders that lie in none of the others."""
    found: list[str] = []
    for folder in sorted(folders, key=lambda folder: folder.split("/")):
        if not found or not (folder == found[-1] or folder.startswith(found[-1] + "/")):
            found.append(folder)
    return found
