"""What the checks see: the settings, a catalog opened without making, migrating or locking anything, one listing of
each library, and the machine."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from sqlite_utils import Database

from facewatch.catalog import Tables, display
from facewatch.catalog.integrity import faults_of
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import connect_reading
from facewatch.checks import Finding, Severity
from facewatch.config import Config
from facewatch.errors import CatalogError
from facewatch.folders.model import LinkKind, kind_of_links
from facewatch.fs import sidecar
from facewatch.fs.locks import Holder, holder
from facewatch.fs.mounts import Mount, file_system_of, is_folder, mounted
from facewatch.fs.sidecar import beside
from facewatch.library.layout import distinct_roots
from facewatch.library.scan import IGNORE_MARKERS, Rules
from facewatch.settings import people_shape_of
from facewatch.types import Fingerprint, Progress, RecordedLink
from facewatch.watcher.services import ServiceManager, find_manager
from facewatch.watcher.systemd import run_command

BUSY_MS = 1000
"""Milliseconds: how long to wait for a program that keeps the whole file to itself."""

_STEPS = 50_000
"""Steps of SQLite's machine between two readings of the clock: about a millisecond."""

Kind = Literal["readable", "absent", "damaged", "locked", "foreign", "newer", "older", "unreadable", "failing"]


@dataclass(frozen=True, slots=True)
class CatalogState:
    """Whether the catalog can be read, and why not."""

    kind: Kind
    detail: str = ""
    """What SQLite or the system says, or the names of the migrations that make the difference."""
    reader: CatalogReader | None = None
    """Only of a catalog that is readable and has the schema of this program."""


@dataclass(frozen=True, slots=True)
class Run:
    """A scan or watch that has a beginning on record and no end."""

    kind: str
    pid: int
    started_at: str


class CatalogReader(Tables):
    """An open catalog that cannot be written through this; only for the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Open it; no error here says that it can be read.

        Raises:
            sqlite3.Error: it cannot be opened at all.
        """
        self.path = path
        self._was_in_use = _is_in_use(path)
        # One that no process has open is opened as immutable (see `connect_reading`): else -wal
        # and -shm would be left behind, owned by whoever asked.
        self._db = Database(connect_reading(path), execute_plugins=False)
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        super().__init__(self._db)

    def close(self) -> None:
        self._db.close()

    def schema(self) -> tuple[list[str], list[str], bool]:
        """Return the names of migrations that wait, of those that this program does not know, and whether it is a
        catalog of facewatch at all.

        Raises:
            sqlite3.Error: the file is damaged, locked, or no database.
        """
        applied = {migration.name for migration in MIGRATIONS.applied(self._db)}
        known = [migration.name for migration in MIGRATIONS._migrations]
        is_ours = bool(applied) or not set(self._db.table_names()) - {MIGRATIONS.migrations_table}
        return [name for name in known if name not in applied], sorted(applied - set(known)), is_ours

    def verdict(self, *, is_deep: bool, most_seconds: float) -> str | None:
        """Return SQLite's verdict on the file: "ok", what is damaged, or None when it took too long to find out."""
        ends_at = time.monotonic() + most_seconds
        self._db.conn.set_progress_handler(lambda: not is_deep and time.monotonic() > ends_at, _STEPS)
        try:
            rows = self._db.execute(f"PRAGMA {'integrity_check' if is_deep else 'quick_check'}").fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return None
        finally:
            self._db.conn.set_progress_handler(None, 0)
        verdict = "\n".join(str(row[0]) for row in rows)
        if verdict != "ok" and not self._was_in_use and _is_in_use(self.path):
            # Somebody began to write meanwhile, so that pages of two times may have been compared.
            with closing(CatalogReader(self.path)) as again:
                return again.verdict(is_deep=is_deep, most_seconds=most_seconds)
        return verdict

    def contradictions(self) -> list[str]:
        """Return where a catalog that is whole breaks its own rules, one line each; reads all of it."""
        return faults_of(self._db.conn)

    def newest_time(self) -> str | None:
        """Return the latest time that anything was recorded, UTC, ISO 8601."""
        return self._one(
            "SELECT MAX(at) FROM (SELECT MAX(at) AS at FROM journal UNION ALL SELECT MAX(started_at) FROM runs"
            " UNION ALL SELECT MAX(ended_at) FROM runs)"
        )

    def made_at(self) -> str | None:
        """Return when the first library came, UTC, ISO 8601."""
        return self._one("SELECT MIN(added_at) FROM roots")

    def unended_run(self) -> Run | None:
        """Return the newest run, if its end was never recorded."""
        row = self._db.execute("SELECT kind, pid, started_at, ended_at FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        return Run(*row[:3]) if row is not None and row[3] is None else None

    def samples(self) -> dict[str, tuple[Path, Fingerprint]]:
        """Return one file of every format of photo that is in the library, and what it was like when it was read."""
        rows = self._db.execute(
            "SELECT photos.format, roots.path, files.path, files.size, files.mtime_ns, files.inode"
            " FROM files JOIN photos ON photos.id = files.photo_id JOIN roots ON roots.id = files.root_id"
            " WHERE photos.format IS NOT NULL AND files.fault IS NULL GROUP BY photos.format ORDER BY photos.format"
        )
        return {
            kind: (Path(os.fsdecode(root + b"/" + path)), Fingerprint(*fingerprint))
            for kind, root, path, *fingerprint in rows
        }

    def _one(self, query: str) -> str | None:
        found: str | None = self._db.execute(query).fetchone()[0]
        return found


def _is_in_use(path: Path) -> bool:
    """Whether somebody has the catalog open for writing, or was killed while it was."""
    return beside(path, sidecar.WAL).exists()


@contextmanager
def reading(path: Path) -> Iterator[CatalogState]:
    """Yield what can be read of the catalog; whatever was opened is closed at the end."""
    reader = None
    try:
        try:
            path.stat()
            # SQLite says the same of a file without rights as of one without a place.
            if not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            reader = CatalogReader(path)
            state = _state(reader)
        except sqlite3.Error as error:
            state = CatalogState(kind_of(error), str(error))
        except (FileNotFoundError, NotADirectoryError):
            state = CatalogState("absent")
        except OSError as error:
            state = CatalogState("unreadable", error.strerror or str(error))
        except CatalogError:
            state = CatalogState("unreadable", "it is no file")
        yield state
    finally:
        if reader is not None:
            reader.close()


def _state(reader: CatalogReader) -> CatalogState:
    pending, unknown, is_ours = reader.schema()
    if unknown:
        return CatalogState("newer", ", ".join(unknown))
    if not is_ours:
        return CatalogState("foreign")
    if pending:
        return CatalogState("older", ", ".join(pending))
    return CatalogState("readable", reader=reader)


def kind_of(error: sqlite3.Error) -> Kind:
    """Return what an error says of the catalog; one of the disk says nothing of it."""
    match str(getattr(error, "sqlite_errorname", "")).split("_")[1:2]:
        case ["BUSY" | "LOCKED" | "PROTOCOL"]:
            return "locked"
        case ["IOERR" | "FULL"]:
            return "failing"
        case ["CANTOPEN" | "READONLY" | "PERM"]:
            return "unreadable"
    return "damaged"


_REPORT_EVERY = 500
"""Folders between two reports."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A library's folders and file names, listed without reading any file's content or size."""

    n_folders: int
    """With the library itself; those that are passed over by name or marker are not counted."""
    n_files: int
    n_links: int
    """Symlinks, which are not followed."""
    unread_folders: tuple[str, ...]
    """Absolute paths of what cannot be listed ..."""
    unread_files: tuple[str, ...]
    """... and of what cannot be opened."""
    is_case_blind: bool
    """Whether "a.jpg" and "A.JPG" are the same file there."""
    marker: str = ""
    """The file in the library itself that says that nothing of it is to be scanned."""


def walk(
    root: Path,
    *,
    exclude: tuple[str, ...],
    folders: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    can: Callable[[str, int], bool],
    report: Callable[[Progress], None],
) -> Listing:
    """Return what is below the root, by names and kinds alone: nothing is opened, and no link is followed."""
    rules = Rules(exclude, folders, files)
    n_folders = n_files = n_links = 0
    unread_folders: list[str] = []
    unread_files: list[str] = []
    sample: str | None = None
    marker = ""
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(f"{root}/{folder}") as listing:
                entries = list(listing)
        except OSError:
            if not folder or rules.allows(folder, root, is_folder=True):
                unread_folders.append(f"{root}/{folder}" if folder else str(root))
            continue
        if markers := sorted(entry.name for entry in entries if entry.name in IGNORE_MARKERS):
            marker = marker if folder else markers[0]
            continue
        n_folders += 1
        if n_folders % _REPORT_EVERY == 0:
            report(Progress(n_folders, n_folders + len(todo), folder))
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            sample = sample or (entry.path if entry.name.swapcase() != entry.name else None)
            if entry.is_dir(follow_symlinks=False):
                if not rules.why_passed(path, root, is_folder=True):
                    todo.append(path)
            elif entry.is_symlink():
                n_links += not rules.why_passed(path, root, is_folder=False)
            else:
                n_files += 1
                # Asked in this order because a hundred thousand files can be read and a few are passed over.
                if not can(entry.path, os.R_OK) and rules.allows(path, root):
                    unread_files.append(entry.path)
    return Listing(
        n_folders, n_files, n_links, tuple(unread_folders), tuple(unread_files), _is_case_blind(sample), marker
    )


def _is_case_blind(sample: str | None) -> bool:
    """Whether a path leads to the same file when the case of its name is turned round."""
    if sample is None:
        return False
    path = Path(sample)
    try:
        return path.samefile(path.with_name(path.name.swapcase()))
    except OSError:
        return False


ANSWER_SECONDS = 5.0
"""What the service manager may take, which must not keep the doctor; it answers in some milliseconds."""


def finding_of(area: str, severity: Severity, text: str, remedy: str = "") -> Finding:
    """Return a finding of the doctor, which says of all that is not well what to type or do."""
    if severity is not Severity.OK and not remedy:
        raise ValueError(f"what is not well needs a remedy: {text}")
    return Finding(area, severity, text, (remedy,) if remedy else ())


def fine(area: str, text: str) -> Finding:
    return finding_of(area, Severity.OK, text)


def remark(area: str, text: str, remedy: str) -> Finding:
    return finding_of(area, Severity.REMARK, text, remedy)


def broken(area: str, text: str, remedy: str) -> Finding:
    return finding_of(area, Severity.BROKEN, text, remedy)


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to import a module in a process of its own, which it may crash."""

    module: str
    package: str
    """What `pip install` calls it."""
    process: subprocess.Popen[str] | None
    """None: it is not installed."""


Check = Callable[["Case"], Iterable[Finding]]


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _manager() -> ServiceManager:
    return find_manager(sys.platform, run=partial(run_command, timeout=ANSWER_SECONDS))


@dataclass(frozen=True, slots=True)
class World:
    """The machine as the checks see it; tests put their own in its place."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    mounts: Callable[[], Sequence[Mount]] = mounted
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
    def walks(self) -> dict[Path, Listing]:
        """What was seen on one listing of each library that is there."""
        rules = {
            key: tuple(self.config[f"library.{setting}"])
            for key, setting in (("exclude", "exclude"), ("folders", "exclude_folders"), ("files", "exclude_files"))
        }
        return {root: walk(root, **rules, can=self.world.can, report=self.report) for root in self.present_roots}

    @cached_property
    def links(self) -> list[RecordedLink]:
        """The links on record."""
        return self.catalog.links.all() if self.catalog else []

    @cached_property
    def link_kind(self) -> LinkKind:
        """How photos get into the people folder."""
        before = self.catalog.links.most_common_kind() if self.catalog else None
        return kind_of_links(people_shape_of(self.config).kind, before)

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
