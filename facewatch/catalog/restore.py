"""Replaces a catalog by a backup atomically: a crash leaves the old one or the new one, never none.

    with staged(backup, catalog) as copy:
        carry_over(copy, catalog)        or, where the present catalog cannot be read: adopt(copy, links)
        drop_derived(catalog)
        put_in_place(copy, catalog)

What the catalog says of the people folder is about the disk, and a backup does not bring the disk back. So what is
recorded of links and folders is taken from the present catalog, where that can be read; the next folder sync then takes
away what the backup does not want.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlite_utils import Database

from facewatch.catalog.backup import MADE_AT, Contents, Report, check_copy, keep_quiet, write_backup
from facewatch.catalog.files import display
from facewatch.catalog.integrity import faults_of
from facewatch.catalog.journal import USER
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import (
    WRITE_WAIT_SECONDS,
    Patience,
    clear_errors,
    connect,
    connect_reading,
    holder_of,
    make_durable,
)
from facewatch.errors import BusyError
from facewatch.fs import sidecar
from facewatch.fs.atomic import sync
from facewatch.fs.locks import file_lock
from facewatch.fs.sidecar import beside
from facewatch.types import Progress

_NO_PHOTO = bytes(32)
"""The hash of no photo; stands for those that only a lost catalog knew."""


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link in the people folder that looks exactly like one that facewatch makes."""

    path: str
    """Below the people folder."""
    folder: str
    """Whose folder it is in, perhaps in a year there."""
    source: Path
    """The photo it leads to, absolute."""
    target: str
    """The text of the symlink."""
    changed_ns: int
    """When it was made."""


@contextmanager
def alone(catalog: Path) -> Iterator[None]:
    """Be the only one who scans, watches or writes; works on a damaged catalog and where there is none.

    Raises:
        BusyError: another process scans or watches, or writes for too long.
    """
    with (
        file_lock(beside(catalog, sidecar.RUN_LOCK), wait_seconds=0, purpose="restore"),
        file_lock(beside(catalog, sidecar.WRITE_LOCK), wait_seconds=WRITE_WAIT_SECONDS, purpose="restoring"),
    ):
        yield


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What would be lost and what would come back if a backup replaced the catalog."""

    n_decisions: int | None
    """Decisions in force that the backup lacks; None: the catalog does not descend from it, all of them go."""
    names: tuple[str, ...]
    """People whom the backup does not know by these names."""
    names_back: tuple[str, ...]
    """People who have these names in the backup only."""
    n_photos: int
    """Photos in the libraries that the backup does not know."""
    n_links: int
    """Links in the people folder that go ..."""
    n_links_back: int
    """... and that come back."""
    engine: str | None
    """The one in use."""
    engine_back: str | None
    """The one that will be."""


def given_up(catalog: Path, backup: Contents) -> GivenUp:
    """Return what goes, and what comes back, when the backup takes the catalog's place."""
    with (
        clear_errors(catalog),
        closing(connect_reading(catalog)) as present,
        closing(connect_reading(backup.path)) as before,
    ):
        names, photos, links = (
            ({row[0] for row in present.execute(query)}, {row[0] for row in before.execute(query)})
            for query in (_NAMES, _PHOTOS, _LINKS)
        )
        return GivenUp(
            n_decisions=_decisions_since(present, backup),
            names=tuple(sorted(names[0] - names[1])),
            names_back=tuple(sorted(names[1] - names[0])),
            n_photos=len(photos[0] - photos[1]),
            n_links=len(links[0] - links[1]),
            n_links_back=len(links[1] - links[0]),
            engine=_engine_in_use(present),
            engine_back=_engine_in_use(before),
        )


_NAMES = "SELECT name FROM people_view WHERE is_named"
_PHOTOS = "SELECT sha256 FROM photos WHERE id IN (SELECT photo_id FROM files)"
_LINKS = "SELECT person_id || ' ' || hex(sha256) FROM links JOIN photos ON photos.id = photo_id"


def _engine_in_use(db: sqlite3.Connection) -> str | None:
    """Return the engine whose answers are shown; where there could be only one, the newest."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(engines)")}
    order = "is_in_use DESC, id DESC" if "is_in_use" in columns else "id DESC"
    row = db.execute(f"SELECT name FROM engines ORDER BY {order} LIMIT 1").fetchone()
    return str(row[0]) if row else None


def _decisions_since(db: sqlite3.Connection, backup: Contents) -> int | None:
    last = backup.newest_entry
    library_id = db.execute("SELECT value FROM settings WHERE key = 'library_id'").fetchone()
    if library_id is None or json.loads(library_id[0]) != backup.library_id:
        return None
    if last is not None:
        own = db.execute("SELECT id, at, action FROM journal WHERE id = ?", [last[0]]).fetchone()
        if own != last:
            return None
    row = db.execute(
        "SELECT COUNT(*) FROM journal WHERE actor = ? AND parent_id IS NULL AND undone_by IS NULL"
        " AND action NOT IN ('undo', 'redo') AND id > ?",
        [USER, last[0] if last else 0],
    ).fetchone()
    return int(row[0])


# --- the copy that takes its place ---


@contextmanager
def staged(backup: Path, catalog: Path, *, report: Report = keep_quiet) -> Iterator[Path]:
    """Yield a copy of the backup beside the catalog, brought to the newest schema; gone afterwards.

    Raises:
        CatalogError: the backup is damaged, or there is no room.
    """
    copy = beside(catalog, ".restoring")
    with clear_errors(copy):
        _remove(copy)
    try:
        write_backup(backup, copy, is_at_rest=True, report=report)
        with clear_errors(copy), closing(sqlite3.connect(copy)) as db:
            MIGRATIONS.apply(Database(db, execute_plugins=False))
            # What was about to be done to the people folder then says nothing about now.
            db.execute("DELETE FROM settings WHERE key IN (?, 'folders_intents')", [MADE_AT])
            db.commit()
        yield copy
    finally:
        # What cannot be removed now is by the next one, and must not hide what went wrong.
        with contextlib.suppress(OSError):
            _remove(copy)


def _remove(copy: Path) -> None:
    for suffix in ("", sidecar.JOURNAL, sidecar.WAL, sidecar.SHARED_MEMORY):
        beside(copy, suffix).unlink(missing_ok=True)


def contradictions(copy: Path) -> list[str]:
    """Return where a staged copy breaks the rules of catalogs."""
    with clear_errors(copy), closing(sqlite3.connect(copy)) as db:
        return faults_of(db)


@contextmanager
def _changing(copy: Path) -> Iterator[sqlite3.Connection]:
    uri = copy.absolute().as_uri()
    with clear_errors(copy), closing(sqlite3.connect(uri, WRITE_WAIT_SECONDS, uri=True, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        yield db


def carry_over(copy: Path, present: Path) -> bool:
    """Record in the copy what the present catalog says of the people folder, and let ids that it gave be taken.

    People and photos that only the present catalog knows are entered as far as links and folders of theirs are on the
    disk: as people that are gone, and as photos without a file. False: it is the catalog of another library, and
    nothing is changed.

    Raises:
        CatalogError: the present catalog cannot be read.
    """
    with _changing(copy) as db, clear_errors(present):
        db.execute("ATTACH ? AS present", [f"{present.absolute().as_uri()}?mode=ro"])
        own, other = (
            db.execute(f"SELECT value FROM {schema}.settings WHERE key = 'library_id'").fetchone()
            for schema in ("main", "present")
        )
        if own != other:
            return False
        db.execute("BEGIN")
        _take_ids(db)
        _take_folders(db)
        _take_written(db)
        db.execute("COMMIT")
        db.execute("DETACH present")
    return True


def _take_ids(db: sqlite3.Connection) -> None:
    db.execute(
        "UPDATE sqlite_sequence SET seq = MAX(seq, (SELECT p.seq FROM present.sqlite_sequence p"
        " WHERE p.name = sqlite_sequence.name)) WHERE name IN (SELECT name FROM present.sqlite_sequence)"
    )
    db.execute(
        "INSERT INTO main.sqlite_sequence (name, seq) SELECT name, seq FROM present.sqlite_sequence"
        " WHERE name NOT IN (SELECT name FROM main.sqlite_sequence)"
        " AND name IN (SELECT name FROM main.sqlite_master WHERE type = 'table')"
    )


def _take_folders(db: sqlite3.Connection) -> None:
    """Take what is recorded of the people folder from the present catalog."""
    db.execute(
        "INSERT INTO main.photos (sha256, width, height, format, added_at, taken_at)"
        " SELECT sha256, width, height, format, added_at, taken_at FROM present.photos WHERE id IN"
        " (SELECT photo_id FROM present.links) AND sha256 NOT IN (SELECT sha256 FROM main.photos)"
    )
    db.execute("UPDATE main.people SET folder = NULL")
    db.execute("DELETE FROM main.links")
    db.execute("CREATE TEMP TABLE successors (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
    people = db.execute(
        "SELECT id, created_at, folder FROM present.people WHERE folder IS NOT NULL"
        " OR id IN (SELECT person_id FROM present.links)"
    )
    for person_id, created_at, folder in people.fetchall():
        successor = _successor_of(db, person_id, created_at)
        db.execute("INSERT INTO successors VALUES (?, ?)", [person_id, successor])
        db.execute("UPDATE main.people SET folder = ? WHERE id = ?", [folder, successor])
    db.execute(
        "INSERT INTO main.links (person_id, photo_id, path, display, source, stamp)"
        " SELECT successors.new, mine.id, l.path, l.display, l.source, l.stamp FROM present.links l"
        " JOIN successors ON successors.old = l.person_id JOIN present.photos theirs ON theirs.id = l.photo_id"
        " JOIN main.photos mine ON mine.sha256 = theirs.sha256 ORDER BY l.id"
    )
    db.execute("DELETE FROM main.settings WHERE key IN ('people_folder', 'people_drive')")
    db.execute(
        "INSERT INTO main.settings (key, value) SELECT key, value FROM present.settings"
        " WHERE key IN ('people_folder', 'people_drive')"
    )


def _take_written(db: sqlite3.Connection) -> None:
    """Take what was written beside photos from the present catalog; one of before could not write."""
    if not db.execute("SELECT 1 FROM present.sqlite_master WHERE name = 'metadata'").fetchone():
        return
    columns = "way, kind, size, mtime_ns, inode, m.sha256, said, doubt, at"
    db.execute("DELETE FROM main.metadata WHERE way = 'written'")
    db.execute(
        "INSERT INTO main.metadata (path, photo_id, way, kind, size, mtime_ns, inode, sha256, said, doubt, at)"
        f" SELECT m.path, mine.id, {columns} FROM present.metadata m JOIN present.photos theirs"
        " ON theirs.id = m.photo_id JOIN main.photos mine ON mine.sha256 = theirs.sha256 WHERE m.way = 'written'"
    )


def _successor_of(db: sqlite3.Connection, person_id: int, created_at: str) -> int:
    """Return the same person in the copy, or one that is gone in its place."""
    row = db.execute("SELECT created_at FROM main.people WHERE id = ?", [person_id]).fetchone()
    if row is not None and row[0] == created_at:
        return person_id
    return _add_gone(db, created_at, person_id if row is None else None)


def _add_gone(db: sqlite3.Connection, created_at: str, person_id: int | None = None) -> int:
    cursor = db.execute("INSERT INTO main.people (id, created_at, is_gone) VALUES (?, ?, 1)", [person_id, created_at])
    return int(cursor.lastrowid or 0)


def adopt(
    copy: Path, links: Iterable[FoundLink], *, standing: Collection[str], made_at: str | None, now: str
) -> list[FoundLink]:
    """Record links in the people folder that nobody has a record of any more; return those that are let be.

    A link is taken for facewatch's own if it was made after the backup, or if it is in a folder that the backup knows
    under another name, with the same links. It must be so for everything in its folder: links from before the backup
    that it does not know were made by somebody else.

    Args:
        links: of folders that hold nothing but links as facewatch makes them.
        standing: all folders that people may have, as they are on the disk.
        made_at: when the backup was taken; None: not known, so that nothing counts as made after it.
    """
    since_ns = datetime.fromisoformat(made_at).timestamp() * 1e9 if made_at else float("inf")
    left: list[FoundLink] = []
    with _changing(copy) as db:
        db.execute("BEGIN IMMEDIATE")
        recorded = set(db.execute("SELECT path, stamp FROM links").fetchall())
        folders = _by_folder(links)
        moved = _moved(recorded, folders, standing)
        for folder, found in folders.items():
            strange = [link for link in found if _key_of(link) not in recorded]
            older = {_name_of(link) for link in strange if link.changed_ns < since_ns}
            if older <= moved.get(folder, set()):
                _record(db, folder, strange, now)
            else:
                left += strange
        db.execute("COMMIT")
    return left


def _moved(
    recorded: Iterable[tuple[bytes, bytes]], folders: Mapping[str, Iterable[FoundLink]], standing: Collection[str]
) -> dict[str, set[tuple[bytes, bytes]]]:
    """Return the folders that were renamed, each with the names and stamps of the links that it had before: all that
    were in a recorded folder that is gone, and are in one other folder only."""
    gone: dict[str, set[tuple[bytes, bytes]]] = {}
    for path, stamp in recorded:
        folder, _, name = path.rpartition(b"/")
        if os.fsdecode(folder) not in standing:
            gone.setdefault(os.fsdecode(folder), set()).add((name, stamp))
    there = {folder: {_name_of(link) for link in found} for folder, found in folders.items()}
    moved = {}
    for names in gone.values():
        places = [folder for folder, found in there.items() if names <= found]
        if len(places) == 1:
            moved[places[0]] = names
    return moved


def _by_folder(links: Iterable[FoundLink]) -> dict[str, list[FoundLink]]:
    folders: dict[str, list[FoundLink]] = {}
    for link in links:
        folders.setdefault(link.folder, []).append(link)
    return folders


def _name_of(link: FoundLink) -> tuple[bytes, bytes]:
    path, stamp = _key_of(link)
    return path.rpartition(b"/")[2], stamp


def _key_of(link: FoundLink) -> tuple[bytes, bytes]:
    return os.fsencode(link.path), os.fsencode(f"symlink:{link.target}")


def _owner_of(db: sqlite3.Connection, folder: str, now: str) -> int:
    """Return whose folder it is by the record; else somebody who is gone, so that it is cleared."""
    row = db.execute("SELECT id FROM people WHERE folder = ?", [folder]).fetchone()
    if row is not None:
        return int(row[0])
    owner = _add_gone(db, now)
    db.execute("UPDATE people SET folder = ? WHERE id = ?", [folder, owner])
    return owner


def _record(db: sqlite3.Connection, folder: str, links: Sequence[FoundLink], now: str) -> None:
    owner = _owner_of(db, folder, now) if links else 0
    for link in links:
        path, stamp = _key_of(link)
        source = os.fsencode(link.source)
        photo = db.execute(
            "SELECT files.photo_id FROM files JOIN roots ON roots.id = files.root_id WHERE files.photo_id IS NOT NULL"
            " AND CAST(roots.path || '/' || files.path AS BLOB) = ?",
            [source],
        ).fetchone()
        db.execute(
            "INSERT OR REPLACE INTO links (person_id, photo_id, path, display, source, stamp)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [owner, photo[0] if photo else _stand_in(db, now), path, display(link.path), source, stamp],
        )


def _stand_in(db: sqlite3.Connection, now: str) -> int:
    """Return a photo without a file, for links to photos that the backup does not know."""
    db.execute("INSERT INTO photos (sha256, added_at) VALUES (?, ?) ON CONFLICT DO NOTHING", [_NO_PHOTO, now])
    return int(db.execute("SELECT id FROM photos WHERE sha256 = ?", [_NO_PHOTO]).fetchone()[0])


# --- in its place ---


def drop_derived(catalog: Path) -> None:
    """Remove what was worked out from the catalog and is kept beside it; it is worked out again when it is needed."""
    for path in (
        beside(catalog, sidecar.GRAPH),
        beside(catalog, sidecar.MAP),
        *catalog.parent.glob(f"{catalog.name}{sidecar.VECTORS}*"),
    ):
        with contextlib.suppress(OSError):
            path.unlink()
    shutil.rmtree(beside(catalog, sidecar.CROPS), ignore_errors=True)


def put_in_place(
    copy: Path, catalog: Path, *, is_readable: bool, now: datetime, report: Report = keep_quiet
) -> Path | None:
    """Let a staged copy be the catalog; return where a damaged one was put, if there is one.

    Over a catalog that can be read it is written in one transaction of that very file: whoever has it open sees the
    old one or the new one. A damaged one keeps its content under another name, and the copy takes its name at once.
    """
    check_copy(copy, shown=copy)
    if is_readable:
        _write_over(copy, catalog, report)
        return None
    aside = _put_aside(catalog, now)
    sync(copy)
    copy.replace(catalog)
    sync(catalog.parent)
    return aside


def _write_over(copy: Path, catalog: Path, report: Report) -> None:
    patience = Patience(catalog)
    with clear_errors(catalog), closing(connect(catalog, patience).conn) as present:
        assert isinstance(present, sqlite3.Connection)
        with clear_errors(copy), closing(sqlite3.connect(copy, isolation_level=None)) as source:
            sizes = [db.execute("PRAGMA page_size").fetchone()[0] for db in (source, present)]
            if sizes[0] != sizes[1]:  # a catalog in WAL mode cannot change it
                source.execute(f"PRAGMA page_size = {sizes[1]}")
                source.execute("VACUUM")
            # The copy asks again by itself, and `_impatient` says for how long.
            present.execute("PRAGMA busy_timeout = 0")
            source.backup(present, pages=2048, progress=_impatient(catalog, patience, report), sleep=0.05)
        make_durable(catalog)
        # Gives the room of the WAL back, unless somebody reads the old state for long.
        present.execute("PRAGMA busy_timeout = 1000")
        present.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _impatient(catalog: Path, patience: Patience, report: Report) -> Callable[[int, int, int], None]:
    """Return what is called after each step: it gives up when another program holds the catalog for too long."""
    waits_since = time.monotonic()

    def wait_for_lock(status: int, remaining: int, total: int) -> None:
        nonlocal waits_since
        if status not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            waits_since = time.monotonic()
        elif time.monotonic() > waits_since + patience.seconds:
            raise BusyError(f"{catalog}: locked by {holder_of(catalog)}; close it there")
        patience.log_wait(time.monotonic() - waits_since)
        report(Progress(total - remaining, total, "restoring"))

    return wait_for_lock


def _put_aside(catalog: Path, now: datetime) -> Path | None:
    """Give a catalog that cannot be read a second name, and take its WAL away: to the new one it would be poison."""
    aside: Path | None = beside(catalog, f".aside-{now:%Y-%m-%d-%H%M%S}")
    assert aside is not None
    if catalog.exists():
        _link_or_copy(catalog, aside)
    else:
        aside = None
    for suffix in (sidecar.WAL, sidecar.JOURNAL, sidecar.SHARED_MEMORY):
        file = beside(catalog, suffix)
        if aside is not None and suffix != "-shm" and file.exists():
            _link_or_copy(file, beside(aside, suffix))
        file.unlink(missing_ok=True)
    return aside


def _link_or_copy(file: Path, other: Path) -> None:
    other.unlink(missing_ok=True)
    try:
        os.link(file, other)
    except OSError:
        shutil.copyfile(file, other)
        other.chmod(0o600)
