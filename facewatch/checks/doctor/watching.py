"""What the kernel lets a watcher listen to, against what the libraries need."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facewatch.checks.doctor.case import Case, Finding, Level, counted
from facewatch.fs.mounts import tells_changes

AREA = "watching"

SYSCTL_FILE = "/etc/sysctl.d/60-facewatch.conf"

LEAST_WATCHES = 524_288
"""What most distributions give by now; a watch takes about 1 kB of the kernel's memory, and only while it is used."""

LEAST_EVENTS = 16_384
"""The kernel's own default. When the queue overflows all is compared again, so more only saves work."""

SPARE = 1.1
"""Folders that will come, and other programs of the same user that will start."""


def _finding(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(AREA, level, what, remedy)


@dataclass(frozen=True, slots=True)
class Limits:
    """What inotify lets one user have."""

    watches: int
    instances: int
    events: int
    """Of one instance, waiting to be read."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes of a user have."""

    watches: Counter[int]
    """By process."""
    n_instances: int


def read_limits(proc: Path) -> Limits | None:
    """Return the limits, or None where there is no inotify."""
    folder = proc / "sys" / "fs" / "inotify"
    names = ("max_user_watches", "max_user_instances", "max_queued_events")
    try:
        return Limits(*(int((folder / name).read_text(encoding="ascii")) for name in names))
    except (OSError, ValueError):
        return None


def read_usage(proc: Path, user_id: int) -> Usage:
    """Return what this user's processes watch now; what cannot be seen is not counted."""
    watches: Counter[int] = Counter()
    n_instances = 0
    for process in filter(str.isdigit, _names(proc)):
        folder = f"{proc}/{process}"
        if not _is_owned(folder, user_id):
            continue
        for descriptor in _names(f"{folder}/fd"):
            if _target(f"{folder}/fd/{descriptor}") == "anon_inode:inotify":
                n_instances += 1
                watches[int(process)] += _n_watches(f"{folder}/fdinfo/{descriptor}")
    return Usage(watches, n_instances)


def _names(folder: Path | str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _is_owned(path: str, user_id: int) -> bool:
    try:
        return Path(path).stat().st_uid == user_id
    except OSError:
        return False


def _target(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _n_watches(path: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as lines:  # noqa: PTH123 - thousands of these
            return sum(line.startswith("inotify wd:") for line in lines)
    except OSError:
        return 0


def limits(case: Case) -> Iterator[Finding]:
    """Whether every folder of the libraries can be listened to."""
    if case.config["watch.poll"] == "always" or not case.walks:
        return
    found = read_limits(case.world.proc)
    if found is None:
        return
    usage = read_usage(case.world.proc, os.geteuid())
    own = case.runner.pid if case.runner else None
    by_others = sum(n for process, n in usage.watches.items() if process != own)
    folders = sum(walked.n_folders for root, walked in case.walks.items() if tells_changes(case.file_system_of(root)))
    yield from check_limits(found, n_folders=folders, n_used=by_others)
    free = found.instances - usage.n_instances
    if free < len(case.walks) and own is None:
        what = f"{found.instances} programs of a user may watch folders, and {usage.n_instances} do already"
        yield _finding("remark", what, raise_limit("max_user_instances", 2 * found.instances))


def check_limits(limits: Limits, *, n_folders: int, n_used: int) -> Iterator[Finding]:
    """Compare the limits with the folders to watch, and with the watches that other programs have."""
    needed = int(n_folders * SPARE) + n_used
    said = f"{counted(n_folders, 'folder')} to watch, {n_used:,} watched by other programs of yours"
    if needed > limits.watches:
        what = (
            f"{said}, but the kernel watches only {limits.watches:,} for a user: the rest is looked at again and again"
        )
        wanted = max(LEAST_WATCHES, 1 << (2 * needed - 1).bit_length())
        yield _finding("remark", what, raise_limit("max_user_watches", wanted))
    else:
        yield _finding("ok", f"{said}; the kernel watches {limits.watches:,}")
    if limits.events < LEAST_EVENTS:
        what = f"the kernel keeps only {limits.events:,} events: a large import makes facewatch compare all again"
        yield _finding("remark", what, raise_limit("max_queued_events", LEAST_EVENTS))


def raise_limit(name: str, value: int) -> str:
    """Return the command that raises a limit now and for good."""
    line = f"fs.inotify.{name}={value}"
    return f"echo {line} | sudo tee -a {SYSCTL_FILE} && sudo sysctl -p {SYSCTL_FILE}"


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (limits,)
