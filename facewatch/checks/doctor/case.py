"""What the checks look at, and what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from facewatch.catalog import LinkRow, display
from facewatch.checks.doctor.reading import CatalogReader, CatalogState
from facewatch.checks.doctor.walking import Walked, walk
from facewatch.config import Config
from facewatch.fs import sidecar
from facewatch.fs.locks import Holder, holder
from facewatch.fs.mounts import Mount, file_system_of, is_folder
from facewatch.fs.sidecar import beside
from facewatch.library.layout import distinct_roots
from facewatch.types import Progress
from facewatch.watcher.services import ServiceManager, find_manager
from facewatch.watcher.systemd import run_command

ANSWER_SECONDS = 5.0
"""What the service manager may take, which must not keep the doctor; it answers in some milliseconds."""

Level = Literal["ok", "remark", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and how it is."""

    area: str
    level: Level
    what: str
    """A sentence that names the thing."""
    remedy: str = ""
    """What to type or do; empty where all is well."""

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.remedy:
            raise ValueError(f"what is not well needs a remedy: {self.what}")


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to import a module in a process of its own, which it may crash."""

    module: str
    package: str
    """What `pip install` calls it."""
    process: subprocess.Popen[str] | None
    """None: it is not installed."""


Check = Callable[["Case"], Iterable[Finding]]


def _mounts() -> Sequence[Mount]:
    import psutil

    return tuple(psutil.disk_partitions(all=True))


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _manager() -> ServiceManager:
    return find_manager(sys.platform, run=partial(run_command, timeout=ANSWER_SECONDS))


@dataclass(frozen=True, slots=True)
class World:
    """The machine as the checks see it; tests put their own in its place."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    mounts: Callable[[], Sequence[Mount]] = _mounts
    can: Callable[[str, int], bool] = os.access
    """Whether this process may do that with a path (os.R_OK and so on)."""
    free_bytes: Callable[[Path], int] = _free_bytes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    manager: Callable[[], ServiceManager] = _manager
    """What runs services here; raises FacewatchError where there is nothing."""


@dataclass(frozen=True)
class Case:
    """The settings and the catalog, as far as they can be read, and what was already found out about them."""

    config: Config
    """With what is faulty in the file left out."""
    faults: tuple[str, ...]
    """Of the settings."""
    state: CatalogState
    people: Path
    """The people folder."""
    is_deep: bool = False
    tries: Sequence[Try] = ()
    """Begun before anything else, because they take as long as all the rest."""
    world: World = field(default_factory=World)
    report: Callable[[Progress], None] = lambda _: None

    @property
    def catalog(self) -> CatalogReader | None:
        """The catalog, where it can be read."""
        return self.state.reader

    @cached_property
    def runner(self) -> Holder | None:
        """The process that scans or watches now, as it says itself."""
        return holder(beside(self.config.catalog, sidecar.RUN_LOCK))

    @cached_property
    def roots(self) -> tuple[Path, ...]:
        """The libraries: those of the settings and those that the catalog knows, the outermost of each."""
        known = tuple(self.catalog.roots.all()) if self.catalog else ()
        return distinct_roots(tuple(dict.fromkeys((*self.config.photos, *known))), known)

    @cached_property
    def present_roots(self) -> tuple[Path, ...]:
        """Those that are there."""
        return tuple(root for root in self.roots if is_folder(root))

    @cached_property
    def walks(self) -> dict[Path, Walked]:
        """What was seen on one walk through each library that is there."""
        rules = {
            key: tuple(self.config[f"library.{setting}"])
            for key, setting in (("exclude", "exclude"), ("folders", "exclude_folders"), ("files", "exclude_files"))
        }
        return {root: walk(root, **rules, can=self.world.can, report=self.report) for root in self.present_roots}

    @cached_property
    def links(self) -> list[LinkRow]:
        """The links on record."""
        return self.catalog.links.all() if self.catalog else []

    @cached_property
    def mounts(self) -> Sequence[Mount]:
        return self.world.mounts()

    def file_system_of(self, path: Path) -> str:
        """Return the kind of file system of a path, also of one that is not there yet; "" when unknown."""
        return file_system_of(existing(path), self.mounts)


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    return next((place for place in (path, *path.parents) if is_there(place)), Path("/"))


def is_there(path: Path) -> bool:
    """Whether there is something that can be reached; a mount that is dead, or stale, is nothing."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def shown(path: Path | str) -> str:
    """Return a path for a line of text, whatever bytes are in it."""
    return display(str(path))


def readable_size(n_bytes: float) -> str:
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e7 else f"{n_bytes / 1e6:.1f} MB"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return "1 file", "2,000 files"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def split_advice(message: str) -> tuple[str, str]:
    """Return what is wrong and what to do of an error's message, which ends with its advice."""
    what, semicolon, advice = message.rpartition("; ")
    return (what, advice) if semicolon else (message, "")


def mentioned(items: Sequence[str], most: int = 3) -> Iterator[str]:
    """Yield the first few, and how many more there are."""
    yield from items[:most]
    if len(items) > most:
        yield f"and {len(items) - most} more"
