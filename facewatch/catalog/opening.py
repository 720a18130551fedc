"""How a catalog is opened, how long its lock is waited for, and what SQLite's errors mean for the user."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from facewatch.errors import BusyError, CatalogError, DiskFaultError, DiskFullError
from facewatch.fs import sidecar
from facewatch.fs.atomic import sync
from facewatch.fs.locks import SILENT_SECONDS
from facewatch.fs.mounts import file_system_of, is_network
from facewatch.fs.sidecar import beside
from facewatch.types import written_at

FULL_BYTES = 1_000_000
"""Bytes free below which a disk counts as full, where SQLite only says that writing failed."""


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def connect(path: Path, patience: Patience | None = None) -> Database:
    """Open a catalog for writing, and make it where there is none.

    SQLite in WAL mode keeps all that was committed when the program or the machine's kernel is killed. With
    `synchronous = NORMAL` a power failure may take back the last transactions, whole and from the end, but damages
    nothing; what users decide is therefore brought to the disk as well (`make_durable`), before they are shown that it
    is done. What runs record can be found out again. (FULL would do that for all: 3 ms a transaction on an SSD, but
    seconds on a disk to which somebody copies photos, once a photo.)
    """
    # Made by us with the owner's rights only, before SQLite would make it with everybody's. One that is there is not
    # opened beside SQLite: closing it would drop the locks that other connections of this process hold on it.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    _keep_private(path)
    db = Database(sqlite3.connect(path, timeout=WRITE_WAIT_SECONDS), execute_plugins=False)
    # A vector of 512 float32 leaves one row a page of 4096 bytes (measured: 411 MB instead of 117 MB a 100 000 faces).
    db.execute("PRAGMA page_size = 8192")
    # Needs the lock where it is in another mode yet, as backups are, and where somebody has it for himself alone.
    (patience or Patience(path)).run(db.conn, "PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    # Else a row that is replaced goes unnoticed by the triggers of the journal.
    db.execute("PRAGMA recursive_triggers = ON")
    return db


def _keep_private(path: Path) -> None:
    """Let nobody else read a catalog of ours; the files that SQLite lays beside it have its rights."""
    with contextlib.suppress(OSError):
        status = path.stat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o077:
            path.chmod(0o600)


def connect_reading(path: Path) -> sqlite3.Connection:
    """Open a catalog, or a backup of one, for reading only; one that nobody writes to may be on a read-only disk."""
    if not path.is_file():
        raise CatalogError(f"{path}: {'not a file' if path.exists() else 'no such file'}; name a catalog or a backup")
    is_at_rest = not any(_has_content(beside(path, suffix)) for suffix in (sidecar.WAL, sidecar.JOURNAL))
    options = "mode=ro&immutable=1" if is_at_rest and not beside(path, sidecar.SHARED_MEMORY).exists() else "mode=ro"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, timeout=WRITE_WAIT_SECONDS
    )


def connect_copying(path: Path) -> sqlite3.Connection:
    """Open a catalog that others may be writing to, to read one state of it for long; what SQLite lays beside it for
    that goes again with the last who has it open."""
    if not path.is_file():
        raise CatalogError(f"{path}: {'not a file' if path.exists() else 'no such file'}; name a catalog")
    options = "mode=rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "mode=ro"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, timeout=WRITE_WAIT_SECONDS
    )


def copy_apart(source: sqlite3.Connection) -> Database:
    """Return a copy of an open catalog, as it is at this moment, in a file of SQLite's own that has no name."""
    db = Database(sqlite3.connect(""), execute_plugins=False)
    try:
        # All at once: the source is read for some 0.1 s a 100 MB, and nobody who writes is in the way of that.
        source.backup(db.conn)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA recursive_triggers = ON")
    except BaseException:
        db.close()
        raise
    return db


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def make_durable(path: Path) -> None:
    """Bring what was committed to the disk, so that a power failure takes nothing of it back."""
    # Where the file system allows no WAL, SQLite has done so at the commit.
    with contextlib.suppress(FileNotFoundError):
        sync(beside(path, sidecar.WAL))
    sync(path.parent)


def check_place(path: Path) -> None:
    """Make the folder of a catalog, and refuse places where none can be.

    Raises:
        CatalogError: a folder has its name, the folder cannot be made, or it is on a network file system.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CatalogError(f"{path.parent}: cannot be made: {error.strerror}; name another catalog") from error
    if path.is_dir():
        raise CatalogError(f"{path}: a folder, not a file; name a file, for example {path / 'catalog.sqlite'}")
    kind = file_system_of(path)
    if is_network(kind):
        raise CatalogError(
            f"{path}: on a network file system ({kind}), where SQLite loses data; put the catalog on a local disk "
            "(setting library.catalog)"
        )


def newest_backup(path: Path, folder: Path | None = None) -> Path | None:
    """Return the newest of the daily backups of a catalog and of the copies made before migrations.

    What `facewatch restore` kept is none of them: it is the state that the user gave up.

    Args:
        folder: where daily backups go besides the usual place.
    """
    daily = re.compile(re.escape(path.stem) + r"-\d{4}-\d{2}-\d{2}\.sqlite")
    places = {beside(path, sidecar.BACKUPS), folder or beside(path, sidecar.BACKUPS)}
    found = [file for place in places for file in place.glob("*.sqlite") if daily.fullmatch(file.name)]
    copies = path.parent.glob(f"{path.name}{sidecar.BEFORE_MIGRATION}*")
    found += [file for file in copies if not file.name.endswith((sidecar.WAL, sidecar.SHARED_MEMORY, sidecar.JOURNAL))]
    return max(found, key=lambda file: (file.stat().st_mtime_ns, file.name), default=None)


def time_of(backup: Path) -> str:
    """Return when a backup was written, on the wall, to the minute."""
    return f"{written_at(backup.stat()).astimezone():%Y-%m-%d %H:%M}"


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Say what SQLite's errors mean for the user; a programmer's mistake in SQL stays what it is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        meaning = _meaning_of(path, error)
        if meaning is None:
            raise
        raise meaning from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        if error.errno == errno.EIO:
            raise _failing(path, str(error.strerror)) from error
        if str(error.filename).startswith(str(path)):
            raise CatalogError(
                f"{path}: {error.strerror}; check the rights of the file, its folder and disk"
            ) from error
        raise


def _meaning_of(path: Path, error: sqlite3.DatabaseError) -> CatalogError | None:
    if is_busy(error):
        return BusyError(f"{path}: locked by {holder_of(path)}; close it there")
    text, name = str(error), str(getattr(error, "sqlite_errorname", ""))
    match name.split("_")[1:2]:
        case ["FULL"]:
            return _full(path)
        case ["IOERR"]:
            return _full(path) if _is_full(path) else _failing(path, text)
        case ["READONLY" | "CANTOPEN" | "PERM"]:
            return CatalogError(f"{path}: cannot be written ({text}); check the rights of the file and folder")
        case ["CORRUPT" | "NOTADB"]:
            return CatalogError(f"{path}: damaged ({text}); {advice_for_damaged(path)}")
    return None


def advice_for_damaged(path: Path) -> str:
    newest = newest_backup(path)
    if newest is None:
        return (
            "`facewatch restore BACKUP` puts a backup in its place; without one move it away and start afresh with "
            "`facewatch scan`"
        )
    return f"`facewatch restore {newest}` puts the newest backup, of {time_of(newest)}, in its place"


def _full(path: Path) -> DiskFullError:
    return DiskFullError(f"{path}: the disk is full; make room, nothing is lost")


def _failing(path: Path, text: str) -> DiskFaultError:
    return DiskFaultError(
        f"{path}: the disk failed to read or write ({text}); check the disk and its cable: nothing that was committed "
        "is lost as long as it can be read"
    )


def _is_full(path: Path) -> bool:
    """Whether there is no room: SQLite calls that an I/O error, too, where it is about its shared memory."""
    try:
        return shutil.disk_usage(path.parent).free < FULL_BYTES
    except OSError:
        return False


log = logging.getLogger(__name__)

WRITE_WAIT_SECONDS = 30.0
"""How long a writer waits for another; the longest that one holds the lock is a folder sync after a large scan."""

_RETRY_SECONDS = 0.05
"""Between two tries of what SQLite refuses at once instead of waiting, such as another journal mode."""


@dataclass(eq=False)
class Patience:
    """Waits for other programs that hold a catalog's lock, and says once that it does."""

    path: Path
    seconds: float = WRITE_WAIT_SECONDS
    silent_seconds: float = SILENT_SECONDS
    """After so long of waiting the reason is logged."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _is_logged: bool = field(default=False, init=False)

    def run(self, db: sqlite3.Connection, sql: str) -> None:
        """Execute a statement that needs the lock, outside of a transaction.

        Raises:
            sqlite3.OperationalError: another program still holds it after `seconds`, or what else is wrong.
        """
        started, is_first = self.clock(), True
        try:
            while True:
                # In steps: while SQLite waits, nobody can break it off.
                _set_timeout(db, min(started + self.seconds - self.clock(), self.silent_seconds))
                try:
                    db.execute(sql)
                except sqlite3.OperationalError as error:
                    if not is_busy(error) or self.clock() >= started + self.seconds:
                        raise
                else:
                    self._is_logged &= not is_first
                    return
                is_first = False
                self.log_wait(self.clock() - started)
                self.sleep(_RETRY_SECONDS)
        finally:
            # What only reads is kept waiting by few locks, and waits as long.
            _set_timeout(db, self.seconds)

    @contextmanager
    def writing(self, db: sqlite3.Connection) -> Iterator[None]:
        """One transaction. It takes the lock before it reads anything: SQLite lets none wait that has read before."""
        self.run(db, "BEGIN IMMEDIATE")
        with db:
            yield

    def log_wait(self, waited_seconds: float) -> None:
        """Say what is waited for, once, when that is so for long enough."""
        if waited_seconds >= self.silent_seconds and not self._is_logged:
            self._is_logged = True
            log.warning(
                "%s: locked by %s; waiting for it, %.0f seconds at most",
                self.path,
                holder_of(self.path),
                self.seconds,
            )


def _set_timeout(db: sqlite3.Connection, seconds: float) -> None:
    db.execute(f"PRAGMA busy_timeout = {max(0, round(1000 * seconds))}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether a lock of somebody else is in the way."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"))


def holder_of(path: Path) -> str:
    """Return which other program has the lock for writing, as far as the kernel knows."""
    import psutil

    try:
        files = [path, beside(path, sidecar.SHARED_MEMORY)]
        inodes = {str(file.stat().st_ino) for file in files if file.exists()}
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        # 1: POSIX ADVISORY WRITE 4711 fe:01:123456 120 120; the device is not compared: btrfs and overlays have others.
        pids = {
            int(line[4]) for line in lines if line[1:2] == ["POSIX"] and "WRITE" in line and _inode(line[5]) in inodes
        }
        pid = min(pids - {os.getpid()})
        return f"{psutil.Process(pid).name()} (process {pid})"
    except (OSError, ValueError, IndexError, psutil.Error):
        return "another program"


def _inode(place: str) -> str:
    return place.rpartition(":")[2]


class TableAccess:
    """What reads and writes one table of the catalog, or a few."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def _number(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return the one value that a query always gives."""
        return int(self._db.execute(sql, values).fetchone()[0])

    def _first(self, sql: str, values: Sequence[object] = ()) -> Any | None:
        """Return the first value of the first row; None: there is no row, or nothing in it."""
        row = self._db.execute(sql, values).fetchone()
        return row[0] if row else None
