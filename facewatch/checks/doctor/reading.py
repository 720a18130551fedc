"""A catalog opened to be looked at: nothing is made, migrated, locked or recovered in place."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlite_utils import Database

from facewatch.catalog import Tables
from facewatch.catalog.integrity import faults_of
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import connect_reading
from facewatch.errors import CatalogError
from facewatch.fs import sidecar
from facewatch.fs.sidecar import beside
from facewatch.types import Fingerprint

BUSY_MS = 1000
"""Milliseconds: how long to wait for a program that keeps the whole file to itself."""

_STEPS = 50_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""

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
        # Of one that nobody has open SQLite is told that nothing changes meanwhile: else -wal and -shm would be left
        # behind, owned by whoever asked.
        self._db = Database(connect_reading(path))
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
