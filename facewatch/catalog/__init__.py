"""The catalog: one SQLite file, and the only code that speaks SQL.

Reading is free for everybody. Writing goes through `Catalog.write()`: one writer at a time across processes, held by a
lock that dies with its holder, in one transaction. Nothing slow may happen inside it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlite_utils import Database

from facewatch.catalog.assignments import Assignments, Provenance, Rejections
from facewatch.catalog.engines import Engines, KnownEngine, PendingPhoto
from facewatch.catalog.faces import NOBODY, RUNS, FaceRow, Faces, FaceTable, Mark
from facewatch.catalog.files import FaultyFile, Files, KnownFile, Photos, Roots, Settings, by_cause, display
from facewatch.catalog.journal import USER, Change, Entry, Journal, Record
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import (
    Patience,
    check_place,
    clear_errors,
    connect,
    connect_reading,
    copy_apart,
    make_durable,
    utc_now,
)
from facewatch.catalog.people import Links, People, Person, Runs
from facewatch.catalog.presences import Presence, Presences
from facewatch.catalog.tiles import Tiles
from facewatch.errors import CatalogError
from facewatch.fs import sidecar
from facewatch.fs.locks import Holder, file_lock, holder

if TYPE_CHECKING:
    from facewatch.catalog.beside import FilesBeside
    from facewatch.catalog.carried import CarriedFaces
    from facewatch.catalog.drawn import DrawnBoxes
    from facewatch.catalog.integrity import Integrity
    from facewatch.catalog.lineage import Lineage
    from facewatch.catalog.looks import Looks
    from facewatch.catalog.metadata import Metadata
    from facewatch.catalog.named import NamedPhotos
    from facewatch.catalog.person import PersonFaces
    from facewatch.catalog.photos import PhotoSearch
    from facewatch.catalog.pictures import PictureSources
    from facewatch.catalog.pool import PoolFaces
    from facewatch.catalog.published import Published

__all__ = [
    "NOBODY",
    "RUNS",
    "USER",
    "Catalog",
    "Change",
    "CopiedCatalog",
    "Entry",
    "FaceRow",
    "FaceTable",
    "FaultyFile",
    "KnownEngine",
    "KnownFile",
    "Mark",
    "Pause",
    "PendingPhoto",
    "Person",
    "Presence",
    "Record",
    "Snapshot",
    "Tables",
    "by_cause",
    "display",
    "pause",
    "paused_since",
    "resume",
    "utc_now",
]

log = logging.getLogger(__name__)

MIGRATION_BACKUPS = 3
"""How many of the backups before migrations are kept."""


_GIVE_WAY_SECONDS = 0.05
"""Longer than who waits for a lock looks away."""

RUN_WAIT_SECONDS = 1.0
"""How long a run waits for another; those that only ask who runs hold the lock for some microseconds."""


class Tables:
    """The tables of an open catalog, each with what reads and writes it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.settings = Settings(db)
        self.roots = Roots(db)
        self.files = Files(db)
        self.photos = Photos(db)
        self.engines = Engines(db)
        self.faces = Faces(db)
        self.assignments = Assignments(db)
        self.rejections = Rejections(db)
        self.people = People(db)
        self.presences = Presences(db)
        self.links = Links(db)
        self.runs = Runs(db)
        self.journal = Journal(db)

    # What few commands read is imported by those.

    @cached_property
    def metadata(self) -> Metadata:
        from facewatch.catalog.metadata import Metadata

        return Metadata(self._db)

    @cached_property
    def beside(self) -> FilesBeside:
        from facewatch.catalog.beside import FilesBeside

        return FilesBeside(self._db)

    @cached_property
    def named(self) -> NamedPhotos:
        from facewatch.catalog.named import NamedPhotos

        return NamedPhotos(self._db)

    @cached_property
    def drawn(self) -> DrawnBoxes:
        from facewatch.catalog.drawn import DrawnBoxes

        return DrawnBoxes(self._db)

    @cached_property
    def pool(self) -> PoolFaces:
        from facewatch.catalog.pool import PoolFaces

        return PoolFaces(self._db)


class Catalog(Tables):
    """An open catalog. Use it from one thread; close it, or use it as a context manager."""

    may_write = True
    """Whether it may be written through this connection."""

    def __init__(
        self, path: Path, *, now: Callable[[], str] = utc_now, patience: Callable[[Path], Patience] = Patience
    ) -> None:
        """Open the catalog, make it where there is none, and bring its schema up to date.

        `patience` is how long others that hold its locks are waited for.

        Raises:
            CatalogError: the place, the file or its schema cannot be used; the message says which and what to do.
        """
        self.path = path
        self.now = now
        self._patience = patience(path)
        self._is_exclusive = False
        self._held = ExitStack()
        check_place(path)
        with clear_errors(path):
            self._db = connect(path, self._patience)
            try:
                self._migrate()
            except BaseException:
                self._db.close()
                raise
        self._open_tables()

    def _open_tables(self) -> None:
        super().__init__(self._db)
        self.faces.path = self.path
        self.provenance = Provenance(self._db)
        self.tiles = Tiles(self._db)

    @cached_property
    def integrity(self) -> Integrity:
        from facewatch.catalog.integrity import Integrity

        return Integrity(self._db)

    @cached_property
    def lineage(self) -> Lineage:
        from facewatch.catalog.lineage import Lineage

        return Lineage(self._db)

    @cached_property
    def looks(self) -> Looks:
        from facewatch.catalog.looks import Looks

        return Looks(self._db)

    @cached_property
    def photo_search(self) -> PhotoSearch:
        from facewatch.catalog.photos import PhotoSearch

        return PhotoSearch(self._db)

    @cached_property
    def pictures(self) -> PictureSources:
        from facewatch.catalog.pictures import PictureSources

        return PictureSources(self._db)

    @cached_property
    def person_faces(self) -> PersonFaces:
        from facewatch.catalog.person import PersonFaces

        return PersonFaces(self._db)

    @cached_property
    def carried(self) -> CarriedFaces:
        from facewatch.catalog.carried import CarriedFaces

        return CarriedFaces(self._db)

    @cached_property
    def published(self) -> Published:
        from facewatch.catalog.published import Published

        return Published(self._db)

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def refuse_writing(self) -> None:
        """Let nothing be written through this connection any more."""
        self._db.execute("PRAGMA query_only = ON")
        self.may_write = False

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the one writer, also of the people folder, without a transaction; `write` inside it is allowed.

        Raises:
            BusyError: another process has been writing for too long.
        """
        if self._is_exclusive:
            yield
            return
        with self._held:
            self._held.enter_context(self._write_lock())
            self._is_exclusive = True
            try:
                yield
            finally:
                self._is_exclusive = False

    @property
    def is_exclusive(self) -> bool:
        return self._is_exclusive

    def give_way(self, *, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Let others write for a moment, amid `exclusive` and outside of transactions; whether nobody did.

        Raises:
            BusyError: another process has been writing for too long.
        """
        version = self.version()
        self._held.close()
        sleep(_GIVE_WAY_SECONDS)
        self._held.enter_context(self._write_lock())
        return self.version() == version

    def _write_lock(self) -> AbstractContextManager[None]:
        lock = sidecar.beside(self.path, sidecar.WRITE_LOCK)
        return file_lock(lock, wait_seconds=self._patience.seconds, purpose="a facewatch that writes")

    @contextmanager
    def write(self, *, is_lasting: bool = False) -> Iterator[None]:
        """Be the one writer, in one transaction: all of what happens inside stands, or nothing.

        When it ends, what a user decided in it stands also after a power failure (see `opening.connect`), and all of
        it where that `is_lasting`.

        Raises:
            BusyError: another process has been writing for too long.
            CatalogError: the disk is full or fails, or the file is damaged.
        """
        with clear_errors(self.path), self.exclusive():
            if self._db.conn.in_transaction:
                with self._db.atomic():
                    yield
                return
            with self._patience.writing(self._db.conn):
                newest = self.journal.newest()
                yield
            if is_lasting or self._is_decided(since=newest):
                make_durable(self.path)

    def make_lasting(self) -> None:
        """Let all that can be read stand also after a power failure: who hands it on cannot take it back."""
        with clear_errors(self.path):
            make_durable(self.path)

    def _is_decided(self, *, since: int) -> bool:
        row = self._db.execute("SELECT EXISTS (SELECT 1 FROM journal WHERE id > ? AND actor = ?)", [since, USER])
        return bool(row.fetchone()[0])

    @contextmanager
    def read(self) -> Iterator[None]:
        """Turn SQLite's errors while reading into the program's own."""
        with clear_errors(self.path):
            yield

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Let all that is read inside be of one moment, whoever writes meanwhile; nothing is written in it."""
        with clear_errors(self.path):
            if self._db.conn.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.conn.rollback()

    @contextmanager
    def run_lock(self, purpose: str) -> Iterator[None]:
        """Be the one process that scans or watches.

        Raises:
            BusyError: another one does; the message says which.
        """
        with file_lock(sidecar.beside(self.path, sidecar.RUN_LOCK), wait_seconds=RUN_WAIT_SECONDS, purpose=purpose):
            yield

    def snapshot(self) -> Snapshot:
        """Return a private copy of the catalog as it is now, to try something out in it. Close it, or use it as a
        context manager."""
        with clear_errors(self.path):
            return Snapshot(self)

    def runner(self) -> Holder | None:
        """Return which process scans or watches now, if any."""
        return holder(sidecar.beside(self.path, sidecar.RUN_LOCK))

    def version(self) -> int:
        """Return a number that changes when another process has written (PRAGMA data_version)."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @property
    def library_id(self) -> str:
        """The name of this catalog towards its people folder."""
        return str(self.settings.get("library_id"))

    def check(self) -> str:
        """Return SQLite's own verdict on the file: "ok", or what is damaged."""
        return str(self._db.execute("PRAGMA quick_check").fetchone()[0])

    def faults(self) -> list[str]:
        """Return what is damaged, and where the catalog breaks its own rules, one line each; reads all of it."""
        from facewatch.catalog.integrity import faults_of

        with self.read():
            return faults_of(self._db.conn)

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the catalog to a file that does not exist yet (see `write_backup`)."""
        from facewatch.catalog.backup import write_backup

        write_backup(self.path, target, now=self.now())

    def compact(self) -> None:
        """Give the room of what was deleted back to the disk."""
        with clear_errors(self.path), self.exclusive():
            self._patience.run(self._db.conn, "VACUUM")

    def _pending(self) -> tuple[set[str], list[str]]:
        """Return which migrations were applied, and which are to be.

        Raises:
            CatalogError: it is no catalog, or a newer facewatch made it.
        """
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
        return applied, pending

    def _migrate(self) -> None:
        applied, pending = self._pending()
        if not pending:
            return
        if applied:
            from facewatch.catalog.backup import write_backup

            backup = sidecar.beside(self.path, f"{sidecar.BEFORE_MIGRATION}{pending[0]}")
            log.info("%s: backing up to %s before %s", self.path, backup, ", ".join(pending))
            write_backup(self.path, backup, may_replace=True, now=self.now())
            self._prune_migration_backups()
        lock = sidecar.beside(self.path, sidecar.WRITE_LOCK)
        with (
            file_lock(lock, wait_seconds=self._patience.seconds, purpose="migrating"),
            self._patience.writing(self._db.conn),
        ):
            import secrets

            MIGRATIONS.apply(self._db)
            self._db.execute(
                "INSERT INTO settings (key, value) VALUES ('library_id', ?) ON CONFLICT DO NOTHING",
                [f'"{secrets.token_hex(8)}"'],
            )

    def _prune_migration_backups(self) -> None:
        found = self.path.parent.glob(f"{self.path.name}{sidecar.BEFORE_MIGRATION}[0-9]*")
        for old in sorted(found, key=lambda file: file.stat().st_mtime_ns)[:-MIGRATION_BACKUPS]:
            old.unlink(missing_ok=True)


class Snapshot(Catalog):
    """A private copy of a catalog: what is written to it is gone with it, and keeps nobody from anything.

    SQLite holds it in a file without a name, which even a killed process leaves nowhere, and in memory what fits into
    its cache.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.path = catalog.path
        self.now = catalog.now
        self._patience = Patience(catalog.path)
        # No lock is needed: nobody else has it.
        self._is_exclusive = True
        self._db = copy_apart(catalog._db.conn)
        self._open_tables()


class CopiedCatalog(Catalog):
    """A private copy of a catalog in a file that is another's, brought up to date; that file is only read."""

    def __init__(self, path: Path) -> None:
        """Raises CatalogError: it is no catalog, damaged, or made by a newer facewatch."""
        self.path = path
        self.now = utc_now
        self._patience = Patience(path)
        self._is_exclusive = True
        with clear_errors(path):
            with closing(connect_reading(path)) as source:
                self._db = copy_apart(source)
            try:
                if not self._pending()[0]:
                    raise CatalogError(f"{path}: an SQLite file, but not a catalog of facewatch; name another file")
                MIGRATIONS.apply(self._db)
            except BaseException:
                self._db.close()
                raise
        self._open_tables()


_PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """What `pause` and `resume` found and left: whether a watcher may analyse photos is on record, so that it outlives
    both."""

    since: str | None
    """UTC; after `resume`: since when it had been. None: it had not."""
    is_paused: bool
    """From now on."""
    was_paused: bool


def paused_since(catalog: Catalog) -> str | None:
    """Return since when (UTC) no watcher may analyse photos, None when it may. Writes nothing."""
    return catalog.settings.get(_PAUSED)


def pause(catalog: Catalog) -> Pause:
    """From now on a watcher analyses nothing new; one that is paused already stays so since when it was.

    Raises:
        BusyError: another process has been writing for too long.
    """
    with catalog.write():
        before = paused_since(catalog)
        if before is None:
            catalog.settings.set(_PAUSED, catalog.now())
        return Pause(paused_since(catalog), is_paused=True, was_paused=before is not None)


def resume(catalog: Catalog) -> Pause:
    """From now on a watcher analyses photos, also those that came meanwhile.

    Raises:
        BusyError: another process has been writing for too long.
    """
    with catalog.write():
        before = paused_since(catalog)
        catalog.settings.unset(_PAUSED)
    return Pause(before, is_paused=False, was_paused=before is not None)
