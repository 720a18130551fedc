"""How much memory analysing photos may take, and how it is shared out: so many workers, so many pixels at a time."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facewatch.clustering.means import Room as GroupingRoom
from facewatch.engines import worker_bytes
from facewatch.errors import EngineError

MB = 1_000_000

PIXELS_IN_FLIGHT = 60_000_000
"""Pixels being decoded at one time by all workers together; a larger photo is decoded alone. 60 million are 180 MB of
RGB, twice that while Pillow converts."""

BYTES_PER_PIXEL = {"JPEG": 10, "PNG": 10, "WEBP": 17, "TIFF": 12, "BMP": 7, "GIF": 8, "AVIF": 10, "HEIF": 8}
"""What decoding takes at its peak for each pixel decoded, by format: the most of what was measured on 24 megapixels
(RGB, RGBA, CMYK, 16 bits) and, of HEIF, on 200, the reduced picture included."""
MOST_BYTES_PER_PIXEL = 17
"""The same for formats that are not among those."""

MOST_SWOLLEN = 1.5
"""A worker that has so many times that behind a photo is replaced where memory is short: its libraries keep what they
once took."""

ORDINARY_PHOTO_BYTES = 120 * MB
"""A photo of 12 megapixels in any format: what every worker should have room for."""

OWN_GROWTH_BYTES = 100 * MB
"""What the main process grows by once it has loaded the gallery: 117 MB for 100,000 faces of 256 numbers."""


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that photos may take while they are analysed, beside the models and the main process; in bytes."""

    together: int | None = None
    """All that are in flight; None: no limit."""
    alone: int | None = None
    """One that is analysed by the only worker there is then."""


@dataclass(frozen=True, slots=True)
class Share:
    """How memory is shared out."""

    n_workers: int
    room: Room


def share_out(memory: int | None, n_wanted: int, *, engine: str, own: int) -> Share:
    """Return how many workers, of those that are wanted, and photos fit into so many bytes of memory; None: no limit.

    Args:
        own: what the main process takes itself.

    Raises:
        EngineError: not even one worker does.
    """
    if memory is None:
        return Share(n_wanted, Room())
    base = worker_bytes(engine)
    left = memory - own - OWN_GROWTH_BYTES
    if left < base:
        least = own + OWN_GROWTH_BYTES + base + ORDINARY_PHOTO_BYTES
        raise EngineError(
            f"{in_mb(memory)} of memory are too little: {engine} takes {in_mb(base)} and facewatch itself "
            f"{in_mb(own + OWN_GROWTH_BYTES)}; raise resources.memory_mb (or the container's limit) to {in_mb(least)}"
        )
    n_workers = max(1, min(n_wanted, left // (base + ORDINARY_PHOTO_BYTES)))
    return Share(n_workers, Room(together=left - n_workers * base, alone=left - base))


def bytes_needed(format: str, n_pixels: int, n_file_bytes: int) -> int:
    """Return about how much memory it takes to decode so many pixels of a file of this format and size."""
    return n_file_bytes + n_pixels * BYTES_PER_PIXEL.get(format, MOST_BYTES_PER_PIXEL)


_M_MMAP_THRESHOLD = -3
"""Of glibc's mallopt."""
_LARGE = 1 << 20


def give_back_large_blocks() -> bool:
    """Have blocks of a megabyte and more go back to the system when they are freed, for the life of this process.

    Returns whether that could be asked for.

    By itself glibc keeps them once some were freed: after the questions of 100,000 faces were found in a thread, a
    process had 140 MB more than it used.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE))
    except (OSError, AttributeError):  # another C library
        return False


def compute_on_one_core() -> None:
    """Let no matrix product of this process be spread over several cores, for its life.

    Where several threads compute at once, those of each wait for those of the others, busily: 20 browsers at once were
    answered a quarter slower.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def in_mb(n_bytes: int) -> str:
    return f"{n_bytes / MB:.0f} MB"


def memory_limit(wanted_mb: int, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes all of facewatch may take together; None: as much as there is.

    Args:
        wanted_mb: what the settings say; 0: what the system lets it have. Of both the smaller holds.
        proc: where the kernel reports on this process, where there is such a place.
        cgroups: where it reports on control groups.
    """
    limits = [wanted_mb * MB] if wanted_mb else []
    total = _machine_memory()
    # A tenth is left for what the kernel counts besides: its own tables, sockets, files that are being read.
    limits += [limit // 10 * 9 for limit in _cgroup_limits(proc, cgroups) if limit < total]
    return min(limits, default=None)


def grouping_room(wanted_mb: int) -> GroupingRoom:
    """Return the memory that grouping may take; what the settings do not say is nine tenths of the machine's."""
    limit = memory_limit(wanted_mb)
    return GroupingRoom(_machine_memory() // 10 * 9 if limit is None else limit, memory_held())


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_held() -> int:
    """Return how many bytes this process and its workers hold that the system cannot take back: no pages of files."""
    import psutil

    process, n_bytes = psutil.Process(), 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended
            held = one.memory_info()
            n_bytes += held.rss - getattr(held, "shared", 0)
    return n_bytes


def _cgroup_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Yield the limits of this process's control group and of those that it is in, of either version."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits_of(cgroups, path, ("memory.max", "memory.high"))
        elif "memory" in controllers.split(","):
            yield from _limits_of(cgroups / "memory", path, ("memory.limit_in_bytes",))


def _limits_of(top: Path, path: str, names: tuple[str, ...]) -> Iterator[int]:
    """Yield what the files of these names say in a group and in all above it. A container sees its own group as the
    top, whatever path is given."""
    group = top / path.strip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(top):
            for name in names:
                try:
                    yield int((folder / name).read_text())
                except (OSError, ValueError):  # absent, or "max"
                    continue
