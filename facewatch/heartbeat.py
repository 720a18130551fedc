"""What a running scan or watcher says of itself, in a small file beside the catalog that anybody may read.

Not in the catalog: it changes every second, must be shown while the disk is full, and is worth nothing when its process
is gone.
"""

from __future__ import annotations

import heapq
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.sidecar import beside

FRESH_SECONDS = 60.0
"""A watcher that has not reported for longer hangs, unless it said that it would be silent."""

MOST_BYTES = 1_000_000
"""A heartbeat file holds less; something else is not read into memory."""

LEAST_BYTES = 16 * 1024
"""How large the file is made, with spaces: what is said next fits into it without more room on the disk."""

TRIES = 3
"""How often a file is read that makes no sense: somebody may just be writing over it."""

TRY_SECONDS = 0.005

MOST_NAMED = 20
"""Libraries and folders that are named one by one: a hundred thousand folders may be polled for one and the same
reason, which nobody reads a hundred thousand times."""

MOST_SIGNS = 1000
"""Of what it is doing."""

MOST = 1e15
"""No number in it is larger."""


class Activity(StrEnum):
    """What a scan or a watcher does; the values are stored in the file."""

    UNKNOWN = ""
    """Another version stored it."""
    STARTING = "starting"
    SCANNING = "scanning"
    INDEXING = "indexing"
    REINDEXING = "indexing-anew"
    """With another engine."""
    GROUPING = "grouping"
    LINKING = "linking"
    BACKING_UP = "backing-up"
    IDLE = "idle"
    PAUSED = "paused"
    OUTSIDE_HOURS = "outside-hours"
    FAILING = "failing"
    """It waits, to try again."""
    STOPPING = "stopping"

    @property
    def is_indexing(self) -> bool:
        return self in (Activity.INDEXING, Activity.REINDEXING)

    @property
    def is_resting(self) -> bool:
        """Whether no photos are analysed for now, although some may wait."""
        return self in (Activity.PAUSED, Activity.OUTSIDE_HOURS)


_SENTENCES = {
    Activity.UNKNOWN: "{}",
    Activity.STARTING: "starting",
    Activity.SCANNING: "scanning {}",
    Activity.INDEXING: "analysing photos",
    Activity.REINDEXING: "analysing photos with another engine",
    Activity.GROUPING: "grouping",
    Activity.LINKING: "bringing the folders up to date",
    Activity.BACKING_UP: "backing up the catalog",
    Activity.IDLE: "idle",
    Activity.PAUSED: "paused",
    Activity.OUTSIDE_HOURS: "waiting for {}",
    Activity.FAILING: "{}",
    Activity.STOPPING: "stopping",
}


@dataclass(frozen=True, slots=True)
class Doing:
    """What is done now."""

    activity: Activity
    detail: str = ""
    """What is scanned, when the hours begin, or what failed."""

    @property
    def sentence(self) -> str:
        """For people: "analysing photos", "idle", "waiting for 22:00"."""
        return _SENTENCES[self.activity].format(self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many files of the present batch are analysed, and how many are waiting."""

    n_settling: int = 0
    """Files reported by events that may still be written to."""
    n_waiting: int = 0
    """Files still to be analysed."""
    n_done: int = 0
    """Photos analysed since the burst began."""
    photos_per_second: float = 0.0
    """Over the last minute; 0 when idle."""
    eta_seconds: float | None = None
    """Until the burst is done; None: nothing waits, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedLibraries:
    """How the libraries are; what is left out of the mappings, because there are too many, is counted in `n_more`."""

    last_look: Mapping[str, str] = field(default_factory=dict)
    """By library: when it was last compared as a whole."""
    polled: Mapping[str, str] = field(default_factory=dict)
    """By library or folder: why it is scanned again and again instead of listened to."""
    offline: Mapping[str, str] = field(default_factory=dict)
    """By library: why it is not there, and since when."""
    n_more: Mapping[str, int] = field(default_factory=dict)
    """How many are left out of a mapping, by its name."""

    def listed(self, name: str) -> dict[str, str]:
        """Return one of the mappings, and as the last entry how many more there are."""
        n_more = self.n_more.get(name, 0)
        return {**getattr(self, name), **({_more(n_more): ""} if n_more else {})}

    def first(self, most: int) -> WatchedLibraries:
        """Return the first of each by their names, at most so many."""
        named: dict[str, dict[str, str]] = {name: getattr(self, name) for name in _MAPPINGS}
        first = {name: dict(heapq.nsmallest(most, entries.items())) for name, entries in named.items()}
        n_more = {name: len(named[name]) - len(first[name]) + self.n_more.get(name, 0) for name in named}
        return WatchedLibraries(**first, n_more={name: n for name, n in n_more.items() if n})


_MAPPINGS = ("last_look", "polled", "offline")


def _more(n: int) -> str:
    return f"... and {n} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a running scan or watcher says of itself. Every field has a default, so that versions may differ."""

    pid: int = 0
    started_at: str = ""
    """UTC, ISO 8601, to the second; so are all moments here."""
    told_at: str = ""
    """When it said this."""
    silent_seconds: float = FRESH_SECONDS
    """How long it may be before it says something again; more before work that cannot be interrupted."""
    activity: Activity = Activity.UNKNOWN
    doing: str = ""
    """The same for people."""
    memory_mb: float = 0.0
    """Resident, of the process and its workers."""
    backlog: Backlog = Backlog()
    libraries: WatchedLibraries = WatchedLibraries()

    @classmethod
    def from_json(cls, content: Any) -> Heartbeat:
        """Return what JSON says, without what this version does not know.

        Raises:
            ValueError: it makes no sense.
        """
        if not isinstance(content, dict):
            raise ValueError("no heartbeat: not an object")
        own = _known(_DEFAULT, content)
        activity = own.get("activity", "")
        libraries = _known(_DEFAULT.libraries, content)
        n_more = libraries.get("n_more", {})
        for name in _MAPPINGS:
            libraries.get(name, {}).pop(_more(n_more.get(name, 0)), None)
        return replace(
            _DEFAULT,
            **own | {"activity": Activity(activity) if activity in set(Activity) else Activity.UNKNOWN},
            backlog=Backlog(**_known(_DEFAULT.backlog, content)),
            libraries=WatchedLibraries(**libraries),
        )

    def as_json(self) -> dict[str, Any]:
        """Return all fields, those of the parts among them."""
        facts: dict[str, Any] = asdict(self)
        facts |= facts.pop("backlog")
        facts |= facts.pop("libraries")
        return facts | {name: self.libraries.listed(name) for name in _MAPPINGS}

    def shortened(self, n_named: int) -> Heartbeat:
        """Return it with no more than so many names of each kind."""
        return replace(self, doing=self.doing[:MOST_SIGNS], libraries=self.libraries.first(n_named))

    def age_seconds(self, now: datetime) -> float:
        """Return how long ago it said this; infinity when that is not known. `now` is aware."""
        try:
            told_at = datetime.fromisoformat(self.told_at)
        except ValueError:
            return float("inf")
        # A clock that was set back meanwhile makes what was said a moment ago lie in the future.
        return abs((now - (told_at if told_at.tzinfo else told_at.replace(tzinfo=UTC))).total_seconds())

    def is_fresh(self, now: datetime) -> bool:
        """Whether its last report is recent enough to believe that it is running."""
        return self.age_seconds(now) < max(FRESH_SECONDS, self.silent_seconds)


_DEFAULT = Heartbeat()


def heartbeat_file_of(catalog: Path) -> Path:
    """Return the heartbeat file of a catalog."""
    return beside(catalog, sidecar.HEARTBEAT)


class HeartbeatFile:
    """The file that one process writes and all others read. Its errors never stop the work."""

    def __init__(
        self,
        path: Path,
        *,
        is_at_work: Callable[[int], bool] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`is_at_work` says of a process whether it is still there; `wait` lets some seconds pass."""
        self.path = path
        self._is_at_work = is_at_work or _is_running
        self._wait = wait

    def write(self, heartbeat: Heartbeat) -> None:
        """Say this: a reader sees what was said before or all of this. Where it cannot be written, nothing happens.

        Where there is no room for another file, as on a full disk, what was said before is written over; who reads it
        in that moment may see neither.

        Of more than `MOST_NAMED` libraries or folders the first are named; of the rest it is said how many there are.
        """
        try:
            # Not synced: after a power loss its process is gone anyway.
            part = self.path.with_name(f"{self.path.name}.tmp")
            with replacing(self.path, part, removes_part=True) as file:
                file.write(_text(heartbeat).encode("ascii").ljust(LEAST_BYTES))
        except OSError:
            with suppress(OSError):
                self._write_over(heartbeat)

    def _write_over(self, heartbeat: Heartbeat) -> None:
        """Write this into the file that is there, which stays as large as it is."""
        handle = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123
            facts = os.fstat(handle)
            # A file that has another name, too, may be somebody's photo.
            is_own = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_size <= MOST_BYTES
            text = next((text for text in _texts(heartbeat) if len(text) <= facts.st_size), None)
            if is_own and text is not None:
                file.write(text.encode("ascii").ljust(facts.st_size))

    def read(self) -> Heartbeat | None:
        """Return what was said last; None: nothing, nothing that can be read, or by a process that is gone."""
        for n_tries in range(TRIES):
            if n_tries:
                self._wait(TRY_SECONDS)
            try:
                with self.path.open("rb") as file:
                    heartbeat = Heartbeat.from_json(json.loads(file.read(MOST_BYTES)))
            except ValueError:
                continue
            except (OSError, RecursionError):
                return None
            return heartbeat if self._is_at_work(heartbeat.pid) else None
        return None

    def remove(self) -> None:
        """Say nothing any more; what is gone is gone already."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _text(heartbeat: Heartbeat) -> str:
    """Return it as JSON that a reader takes, however much there is to say."""
    # A name that cannot be UTF-8 is written with escapes, and read back as it was. A path may have 4096 bytes, and each
    # takes six then.
    whole, short = _texts(heartbeat)
    return whole if len(whole) < MOST_BYTES else short


def _texts(heartbeat: Heartbeat) -> tuple[str, str]:
    """Return it as JSON with names, and without any; the latter is shorter than `LEAST_BYTES`."""
    whole, short = (json.dumps(heartbeat.shortened(n).as_json(), ensure_ascii=True) for n in (MOST_NAMED, 0))
    return whole, short


def _known(default: Heartbeat | Backlog | WatchedLibraries, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON says of the fields of a part.

    Raises:
        ValueError: a value that no version writes.
    """
    defaults = {one.name: getattr(default, one.name) for one in fields(default)}
    known = {name: content[name] for name in defaults if name in content}
    if not all(_fits(value, defaults[name], int if name == "n_more" else str) for name, value in known.items()):
        raise ValueError(f"no heartbeat: {known}")
    return known


def _fits(value: Any, default: Any, entry: type) -> bool:
    """Whether a value can stand in the place of this default; `entry`: what a mapping holds."""
    if isinstance(default, dict):
        return isinstance(value, dict) and all(isinstance(one, entry) for one in value.values())
    if isinstance(default, str):
        return isinstance(value, str)
    if value is None:
        return default is None
    is_number = isinstance(value, int if isinstance(default, int) else int | float) and not isinstance(value, bool)
    # Refuses what is no number, too: nothing is less than it.
    return is_number and -MOST <= value <= MOST


def _is_running(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
