"""What a running scan or watcher says of itself, in a small file beside the catalog that anybody may read.

Not in the catalog: it changes every second, must be told while the disk is full, and is worth nothing when its process
is gone.
"""

from __future__ import annotations

import heapq
import json
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.sidecar import beside

FRESH_SECONDS = 60.0
"""A watcher that has not told of itself for longer hangs, unless it said that it would be silent."""

PACE_SECONDS = 60
"""The time over which photos are counted: long enough for one huge photo not to look like a halt."""

MOST_BYTES = 1_000_000
"""A live file holds less; something else is not read into memory."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a running scan or watcher says of itself. Every field has a default, so that versions may differ."""

    pid: int = 0
    started_at: str = ""
    """UTC, ISO 8601, to the second; so are all moments here."""
    told_at: str = ""
    """When it said this."""
    silent_seconds: float = FRESH_SECONDS
    """How long it may be before it says something again; more before work that cannot be interrupted."""
    doing: str = ""
    """For people: "looking at photos", "idle", "grouping", "paused", "waiting for 22:00"."""
    n_settling: int = 0
    """Files heard of that may still be written to."""
    n_waiting: int = 0
    """Files of this burst still to be looked at."""
    n_done: int = 0
    """Photos looked at since the burst began."""
    photos_per_second: float = 0.0
    """Over the last minute; 0 when idle."""
    eta_seconds: float | None = None
    """Until the burst is done; None: nothing waits, or nobody knows."""
    last_look: Mapping[str, str] = field(default_factory=dict)
    """By library: when it was last compared as a whole."""
    polled: Mapping[str, str] = field(default_factory=dict)
    """By library or folder: why it is looked at again and again instead of listened to."""
    offline: Mapping[str, str] = field(default_factory=dict)
    """By library: why it is not there, and since when."""
    memory_mb: float = 0.0
    """Resident, of the process and its workers."""

    def age_seconds(self, now: datetime) -> float:
        """Return how long ago it said this; infinity when that cannot be told. `now` is aware."""
        try:
            told_at = datetime.fromisoformat(self.told_at)
        except ValueError:
            return float("inf")
        # A clock that was set back meanwhile makes what was said a moment ago lie in the future.
        return abs((now - (told_at if told_at.tzinfo else told_at.replace(tzinfo=UTC))).total_seconds())

    def is_fresh(self, now: datetime) -> bool:
        """Whether it has said something lately enough to be believed at work."""
        return self.age_seconds(now) < max(FRESH_SECONDS, self.silent_seconds)

    @property
    def is_resting(self) -> bool:
        """Whether no photos are looked at for now, although some may wait."""
        return is_rest(self.doing)


def is_rest(doing: str) -> bool:
    """Whether this is what a watcher does that may not look at photos for now."""
    return doing == "paused" or doing.startswith("waiting for ")


def live_file_of(catalog: Path) -> Path:
    """Return where the one that works on a catalog tells of itself."""
    return beside(catalog, sidecar.HEARTBEAT)


class LiveFile:
    """The file that one process writes and all others read. Nothing about it is worth failing for."""

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

    def write(self, live: Live) -> None:
        """Say this: a reader sees what was said before or all of this. Where it cannot be written, nothing happens.

        Where there is no room for another file, as on a full disk, what was said before is written over; who reads it
        in that moment may see neither.

        Of more than `MOST_NAMED` libraries or folders the first are named; of the rest it is said how many there are.
        """
        try:
            # Not synced: after a power loss its process is gone anyway.
            part = self.path.with_name(f"{self.path.name}.tmp")
            with replacing(self.path, part, removes_part=True) as file:
                file.write(_text(live).encode("ascii").ljust(LEAST_BYTES))
        except OSError:
            with suppress(OSError):
                self._write_over(live)

    def _write_over(self, live: Live) -> None:
        """Write this into the file that is there, which stays as large as it is."""
        handle = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123
            facts = os.fstat(handle)
            # A file that has another name, too, may be somebody's photo.
            is_own = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_size <= MOST_BYTES
            text = next((text for text in _texts(live) if len(text) <= facts.st_size), None)
            if is_own and text is not None:
                file.write(text.encode("ascii").ljust(facts.st_size))

    def read(self) -> Live | None:
        """Return what was said last; None: nothing, nothing that can be read, or by a process that is gone."""
        for n_tries in range(TRIES):
            if n_tries:
                self._wait(TRY_SECONDS)
            try:
                with self.path.open("rb") as file:
                    live = _checked(json.loads(file.read(MOST_BYTES)))
            except ValueError:
                continue
            except (OSError, RecursionError):
                return None
            return live if live is not None and self._is_at_work(live.pid) else None
        return None

    def remove(self) -> None:
        """Say nothing any more; what is gone is gone already."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _text(live: Live) -> str:
    """Return it as JSON that a reader takes, however much there is to say."""
    # A name that cannot be UTF-8 is written with escapes, and read back as it was. A path may have 4096 bytes, and each
    # takes six then.
    whole, short = _texts(live)
    return whole if len(whole) < MOST_BYTES else short


def _texts(live: Live) -> tuple[str, str]:
    """Return it as JSON with names, and without any; the latter is shorter than `LEAST_BYTES`."""
    whole, short = (json.dumps(asdict(_shortened(live, n)), ensure_ascii=True) for n in (MOST_NAMED, 0))
    return whole, short


def _shortened(live: Live, n_named: int) -> Live:
    """Return it with no more than so many names of each kind."""
    return replace(
        live,
        doing=live.doing[:MOST_SIGNS],
        last_look=_first(live.last_look, n_named),
        polled=_first(live.polled, n_named),
        offline=_first(live.offline, n_named),
    )


def _first(named: Mapping[str, str], most: int) -> dict[str, str]:
    """Return the first by their names, and as the last how many more there are."""
    first = dict(heapq.nsmallest(most, named.items()))
    return first | ({f"... and {len(named) - most} more": ""} if len(named) > most else {})


def is_named(entry: str) -> bool:
    """Whether an entry of `last_look`, `polled` or `offline` is a library or folder, not how many more there are."""
    return not entry.startswith("... and ")


def _checked(content: Any) -> Live | None:
    """Return what JSON says, without what this version does not know; None where it makes no sense."""
    if not isinstance(content, dict):
        return None
    known = {one.name: content[one.name] for one in fields(Live) if one.name in content}
    return Live(**known) if all(_fits(name, value) for name, value in known.items()) else None


def _fits(name: str, value: Any) -> bool:
    default = _DEFAULTS[name]
    if isinstance(default, dict):
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if isinstance(default, str):
        return isinstance(value, str)
    if value is None:
        return default is None
    is_number = isinstance(value, int if isinstance(default, int) else int | float) and not isinstance(value, bool)
    # Refuses what is no number, too: nothing is less than it.
    return is_number and -MOST <= value <= MOST


_DEFAULTS: Mapping[str, Any] = {one.name: {} if one.default is MISSING else one.default for one in fields(Live)}


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


def memory_mb() -> float:
    """Return what this process and those it started hold in memory, in MB; takes some milliseconds."""
    import psutil

    own = psutil.Process()
    n_bytes: int = own.memory_info().rss
    for child in own.children(recursive=True):
        with suppress(psutil.Error):
            n_bytes += child.memory_info().rss
    return n_bytes / 1e6


class Pace:
    """How many photos a second there were over the last minute. Takes the same memory however many come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only grow."""
        self._clock = clock
        self._counts: deque[tuple[int, int]] = deque()
        """Second and number of photos, only of seconds in which there were some."""
        self._began_at = clock()

    def begin(self) -> None:
        """A burst begins: the time before it says nothing about how quick the work is."""
        self._counts.clear()
        self._began_at = self._clock()

    def count(self, n: int = 1) -> None:
        """So many photos were looked at just now."""
        second = int(self._clock())
        if self._counts and self._counts[-1][0] == second:
            n += self._counts.pop()[1]
        self._counts.append((second, n))
        self._forget()

    @property
    def photos_per_second(self) -> float:
        """Over the last minute, or since the burst began when that is shorter ago; 0 when there were none."""
        self._forget()
        n_photos = sum(n for _, n in self._counts)
        # A first photo that took no time at all says little.
        return n_photos / min(PACE_SECONDS, max(1.0, self._clock() - self._began_at))

    def eta_seconds(self, n_waiting: int) -> float | None:
        """Return how long so many photos will take at this pace; None: none wait, or the pace is not known yet."""
        rate = self.photos_per_second
        return n_waiting / rate if n_waiting and rate else None

    def _forget(self) -> None:
        while self._counts and self._counts[0][0] <= self._clock() - PACE_SECONDS:
            self._counts.popleft()
