"""The catalog: one SQLite file, and the only code that speaks SQL.

Reading is free for everybody. Writing goes through `Catalog.write()`: one writer at a time across processes, held by a
lock that dies with its holder, in one transaction. Nothing slow may happen inside it.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from facewatch.catalog.engines import Engines, KnownEngine, PendingPhoto
from facewatch.catalog.faces import NOBODY, FaceRow, Faces, FaceTable, Mark
from facewatch.catalog.facts import Facts, Sights, StrayAssignment
from facewatch.catalog.files import FaultyFile, Files, KnownFile, display
from facewatch.catalog.journal import USER, Change, Entry, Journal, Record
from facewatch.catalog.locks import file_lock, holder
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.people import LinkRow, People, Person
from facewatch.catalog.placings import Placings
from facewatch.errors import BusyError, CatalogError, DiskFullError

__all__ = [
    "NOBODY",
    "USER",
    "Catalog",
    "Change",
    "Entry",
    "FaceRow",
    "FaceTable",
    "FaultyFile",
    "KnownEngine",
    "KnownFile",
    "LinkRow",
    "Mark",
    "PendingPhoto",
    "Person",
    "Record",
    "Sights",
    "StrayAssignment",
    "display",
]

log = logging.getLogger(__name__)

WRITE_WAIT_SECONDS = 30.0
"""How long a writer waits for another; the longest that one holds the lock is a folder sync after a large scan."""

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afpfs", "ncpfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "webdav"}
)
"""Where SQLite's locks and shared memory cannot be trusted (sqlite.org/wal.html, "all processes on the same host")."""


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Catalog:
    """An open catalog. Use it from one thread; close it, or use it as a context manager."""

    def __init__(self, path: Path, *, now: Callable[[], str] = utc_now) -> None:
        """Open the catalog, make it where there is none, and bring its schema up to date.

        Raises:
            CatalogError: the place, the file or its schema cannot be used; the message says which and what to do.
        """
        self.path = path
        self.now = now
        self._is_exclusive = False
        _check_place(path)
        with _clear_errors(path):
            self._db = _connect(path)
            try:
                self._migrate()
            except BaseException:
                self._db.close()
                raise
        self.files = Files(self._db)
        self.engines = Engines(self._db)
        self.faces = Faces(self._db)
        self.people = People(self._db)
        self.placings = Placings(self._db)
        self.journal = Journal(self._db)
        self.facts = Facts(self._db)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the one writer, also of the people folder, without a transaction; `write` inside it is allowed.

        Raises:
            BusyError: another process has been writing for too long.
        """
        if self._is_exclusive:
            yield
            return
        with file_lock(self._beside(".lock"), wait_seconds=WRITE_WAIT_SECONDS, purpose="writing"):
            self._is_exclusive = True
            try:
                yield
            finally:
                self._is_exclusive = False

    @contextmanager
    def write(self) -> Iterator[None]:
        """Be the one writer, in one transaction: all of what happens inside stands, or nothing.

        Raises:
            BusyError: another process has been writing for too long.
            CatalogError: the disk is full or the file is damaged.
        """
        with _clear_errors(self.path), self.exclusive(), self._db.atomic():
            yield

    @contextmanager
    def read(self) -> Iterator[None]:
        """Turn SQLite's errors while reading into the program's own."""
        with _clear_errors(self.path):
            yield

    @contextmanager
    def run_lock(self, purpose: str) -> Iterator[None]:
        """Be the one process that scans or watches.

        Raises:
            BusyError: another one does; the message says which.
        """
        with file_lock(self._beside(".run.lock"), wait_seconds=0, purpose=purpose):
            yield

    def runner(self) -> str | None:
        """Return which process scans or watches now, if any."""
        return holder(self._beside(".run.lock"))

    def version(self) -> int:
        """Return a number that changes when another process has written (PRAGMA data_version)."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @property
    def library_id(self) -> str:
        """The name of this catalog towards its people folder."""
        return str(self.files.setting("library_id"))

    def check(self) -> str:
        """Return SQLite's own verdict on the file: "ok", or what is damaged."""
        return str(self._db.execute("PRAGMA quick_check").fetchone()[0])

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the catalog to a file that does not exist yet."""
        with _clear_errors(target):
            self._db.execute("VACUUM INTO ?", [str(target)])
            target.chmod(0o600)

    def compact(self) -> None:
        """Give the room of what was deleted back to the disk."""
        with _clear_errors(self.path), self.exclusive():
            self._db.execute("VACUUM")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _migrate(self) -> None:
        applied = {migration.name for migration in MIGRATIONS.applied(self._db)}
        pending = [migration.name for migration in MIGRATIONS.pending(self._db)]
        unknown = applied - {migration.name for migration in MIGRATIONS._migrations}
        if unknown:
            raise CatalogError(
                f"{self.path}: made by a newer facewatch (it has {', '.join(sorted(unknown))}); update facewatch"
            )
        # The migrations' own table is there when the first migration was cut off.
        if not applied and set(self._db.table_names()) - {MIGRATIONS.migrations_table}:
            raise CatalogError(f"{self.path}: an SQLite file, but not a catalog of facewatch; name another file")
        if not pending:
            return
        if applied:
            backup = self._beside(f".before-{pending[0]}")
            log.info("%s: backing up to %s before %s", self.path, backup, ", ".join(pending))
            backup.unlink(missing_ok=True)
            self.backup(backup)
        with file_lock(self._beside(".lock"), wait_seconds=WRITE_WAIT_SECONDS, purpose="migrating"):
            MIGRATIONS.apply(self._db)
            self._db.execute(
                "INSERT INTO settings (key, value) VALUES ('library_id', ?) ON CONFLICT DO NOTHING",
                [f'"{secrets.token_hex(8)}"'],
            )
            self._db.conn.commit()


def _connect(path: Path) -> Database:
    # Made by us with the owner's rights only, before SQLite would make it with everybody's.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = Database(sqlite3.connect(path, timeout=WRITE_WAIT_SECONDS))
    # A vector of 512 float32 leaves one row a page of 4096 bytes (measured: 411 MB instead of 117 MB a 100 000 faces).
    db.execute("PRAGMA page_size = 8192")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    # Else a row that is replaced goes unnoticed by the triggers of the journal.
    db.execute("PRAGMA recursive_triggers = ON")
    return db


def _check_place(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CatalogError(f"{path.parent}: cannot be made: {error.strerror}; name another catalog") from error
    if path.is_dir():
        raise CatalogError(f"{path}: a folder, not a file; name a file, for example {path / 'catalog.sqlite'}")
    kind = file_system_of(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise CatalogError(
            f"{path}: on a network file system ({kind}), where SQLite loses data; put the catalog on a local disk "
            "(setting library.catalog)"
        )


def file_system_of(path: Path, mounts: list[Any] | None = None) -> str:
    """Return the kind of file system the path is on, by the longest mount point above it; "" when unknown."""
    import psutil

    resolved = path.resolve()
    best, kind = -1, ""
    for mount in psutil.disk_partitions(all=True) if mounts is None else mounts:
        if resolved.is_relative_to(mount.mountpoint) and len(mount.mountpoint) >= best:
            best, kind = len(mount.mountpoint), mount.fstype
    return kind


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Say what SQLite's errors mean for the user; a programmer's mistake in SQL stays what it is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "full" in text:
            raise DiskFullError(f"{path}: the disk is full; make room, nothing is lost") from error
        if "locked" in text or "busy" in text:
            raise BusyError(f"{path}: locked by another program; close it there") from error
        if "readonly" in text or "unable to open" in text:
            raise CatalogError(
                f"{path}: cannot be written ({text}); check the rights of the file and folder"
            ) from error
        if "malformed" in text or "not a database" in text or "disk I/O" in text:
            raise CatalogError(
                f"{path}: damaged ({text}); move it away and put a backup ({path.name}.before-*) in its place, "
                "or start afresh with `facewatch scan`"
            ) from error
        raise
    except OSError as error:
        if str(error.filename).startswith(str(path)):
            raise CatalogError(
                f"{path}: {error.strerror}; check the rights of the file, its folder and disk"
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"{path}: {error.strerror}; make room, nothing is lost") from error
        raise
