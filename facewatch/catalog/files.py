"""Libraries (roots), their files, and the photos that these hold: which content is at which path."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from facewatch.catalog.opening import TableAccess
from facewatch.errors import Fault, FaultCode
from facewatch.text import printable
from facewatch.types import Fingerprint, PassedOver

decoded = partial(str, encoding=sys.getfilesystemencoding(), errors=sys.getfilesystemencodeerrors())
"""Returns a path as `os.fsdecode` does, in a third of the time, which tells where there are 100,000."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file as the catalog last saw it."""

    file_id: int
    fingerprint: Fingerprint
    photo_id: int | None
    fault: str | None
    fault_code: FaultCode | None
    n_rereads: int
    """How often in a row its bytes were read again and were the same, size and time being the same, too."""
    seen_at: str
    """When that was recorded last; UTC, ISO 8601."""


IN_A_ROW_DAYS = 40
"""Days between two readings, above which they are not in a row; more than such a file ever has to wait for one."""

_KNOWN = "id, size, mtime_ns, inode, ctime_ns, photo_id, fault, fault_code, n_rereads, seen_at"


def _known_file(row: Sequence[Any]) -> KnownFile:
    file_id, size, mtime_ns, inode, ctime_ns, photo_id, fault, code, *rest = row
    fingerprint = Fingerprint(size, mtime_ns, inode, ctime_ns)
    return KnownFile(file_id, fingerprint, photo_id, fault, FaultCode(code) if code else None, *rest)


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file that could not be used, with what to do about it."""

    path: str
    fault: Fault


def by_cause(files: Iterable[FaultyFile]) -> list[list[FaultyFile]]:
    """Return files with one cause together, the most frequent cause first."""
    groups: dict[tuple[FaultCode, str], list[FaultyFile]] = {}
    for one in files:
        groups.setdefault((one.fault.code, one.fault.about), []).append(one)
    return sorted(groups.values(), key=lambda files: (-len(files), files[0].fault.cause))


@dataclass(frozen=True, slots=True)
class UndatedFile:
    """A file of a photo whose date has not been read yet."""

    photo_id: int
    path: str
    """Absolute."""
    fingerprint: Fingerprint
    """The file as it was when it held that photo."""


def display(path: str) -> str:
    """Return the path as text that can be stored and shown: undecodable bytes and control characters replaced."""
    return printable(os.fsencode(path).decode("utf-8", errors="replace"))


_HAS_ARRIVED = (
    "root_id = ? AND EXISTS (SELECT 1 FROM files other JOIN roots ON roots.id = other.root_id AND roots.is_arriving"
    " WHERE other.photo_id = files.photo_id AND other.root_id != files.root_id)"
)

_IS_UNDATED = "taken_at IS NULL AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = photos.id)"


FOLDERS_READ_AT = "folders_read_at"
"""The setting that says since when (UTC) no file is unread that speaks of photos in its folder by their names; a move
makes it void."""

GRAPH_RECALL = "graph_recall"
"""The setting of the catalog that holds what share of the faces near each face the last grouping knew of."""


class Settings(TableAccess):
    """The table settings: values that the program itself stores."""

    def get(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM settings WHERE key = ?", [key]).fetchone()
        return str(json.loads(row[0])) if row else None

    def set(self, key: str, value: str) -> None:
        # As JSON, because a path may hold bytes that are no UTF-8.
        self._db.execute("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", [key, json.dumps(value)])

    def unset(self, key: str) -> None:
        self._db.execute("DELETE FROM settings WHERE key = ?", [key])


class Roots(TableAccess):
    """The tables roots, mounts and passed_over."""

    def one(self, path: Path) -> tuple[int, int] | None:
        """Return id and device of a root, or None when it was never scanned."""
        row = self._db.execute("SELECT id, device FROM roots WHERE path = ?", [os.fsencode(path)]).fetchone()
        return (row[0], row[1]) if row else None

    def all(self) -> list[Path]:
        return [Path(os.fsdecode(path)) for (path,) in self._db.execute("SELECT path FROM roots ORDER BY id")]

    def aligned(self) -> list[Path]:
        rows = self._db.execute("SELECT path FROM roots WHERE is_aligned ORDER BY id")
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def add(self, path: Path, device: int, now: str) -> int:
        """Return the id of the root, recorded with the device it is on; -1: it is not there."""
        self._db.execute(
            "INSERT INTO roots (path, display, device, added_at, is_arriving) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT (path) DO UPDATE SET device = excluded.device",
            [os.fsencode(path), display(str(path)), device, now],
        )
        known = self.one(path)
        assert known is not None
        return known[0]

    def move(self, root_id: int, path: Path) -> None:
        """The root lies at another place from now on; one that was added there and holds nothing yet makes room."""
        if (other := self.one(path)) is not None:
            self._db.execute("DELETE FROM roots WHERE id = ?", [other[0]])
        self._db.execute(
            "UPDATE roots SET path = ?, display = ? WHERE id = ?", [os.fsencode(path), display(str(path)), root_id]
        )
        self._db.execute("DELETE FROM settings WHERE key = ?", [FOLDERS_READ_AT])

    def absorb(self, inner: int, outer: int, prefix: str) -> None:
        """The files of one root are from now on those of another that it lies in, `prefix` below it."""
        before = os.fsencode(prefix) + b"/"
        # What both hold is one file, and the outer has it already.
        self._db.execute(
            "DELETE FROM files WHERE root_id = ? AND EXISTS (SELECT 1 FROM files other"
            " WHERE other.root_id = ? AND other.path = CAST(? || files.path AS BLOB))",
            [inner, outer, before],
        )
        rows = self._db.execute("SELECT id, path FROM files WHERE root_id = ?", [inner]).fetchall()
        moved = [(outer, before + path, display(os.fsdecode(before + path)), file_id) for file_id, path in rows]
        self._db.conn.executemany("UPDATE files SET root_id = ?, path = ?, display = ? WHERE id = ?", moved)
        self._db.execute("DELETE FROM settings WHERE key = ?", [FOLDERS_READ_AT])
        self._db.execute("DELETE FROM mounts WHERE root_id = ?", [inner])
        self.set_unread(inner, {})
        self._db.execute("DELETE FROM roots WHERE id = ?", [inner])

    def mounts(self, root_id: int) -> frozenset[str]:
        """Return the folders of a root, by their path below it, on which another drive was mounted."""
        rows = self._db.execute("SELECT path FROM mounts WHERE root_id = ?", [root_id])
        return frozenset(os.fsdecode(path) for (path,) in rows)

    def set_mounts(self, root_id: int, folders: Iterable[str]) -> None:
        self._db.execute("DELETE FROM mounts WHERE root_id = ?", [root_id])
        rows = [(root_id, os.fsencode(folder)) for folder in folders]
        self._db.conn.executemany("INSERT INTO mounts (root_id, path) VALUES (?, ?)", rows)

    def unread(self, root_id: int) -> dict[str, str]:
        """Return what of a root could not be read at the last scan, and why, by the path below it."""
        return dict(json.loads(Settings(self._db).get(f"unread_{root_id}") or "{}"))

    def set_unread(self, root_id: int, unread: Mapping[str, str]) -> None:
        if unread:
            Settings(self._db).set(f"unread_{root_id}", json.dumps(dict(unread)))
        else:
            Settings(self._db).unset(f"unread_{root_id}")

    def passed_over(self, root_id: int) -> tuple[PassedOver, ...]:
        """Return what of a root the last scan of the whole root passed over."""
        rows = self._db.execute(
            "SELECT rule, n_folders, n_files FROM passed_over WHERE root_id = ? ORDER BY rule", [root_id]
        )
        return tuple(PassedOver(*row) for row in rows)

    def set_passed_over(self, root_id: int, passed: Iterable[PassedOver]) -> None:
        self._db.execute("DELETE FROM passed_over WHERE root_id = ?", [root_id])
        rows = [(root_id, one.rule, one.n_folders, one.n_files) for one in passed]
        self._db.conn.executemany("INSERT INTO passed_over VALUES (?, ?, ?, ?)", rows)

    def all_passed_over(self) -> list[PassedOver]:
        """Return the same of all roots together, the most frequent first."""
        rows = self._db.execute(
            "SELECT rule, SUM(n_folders), SUM(n_files) FROM passed_over GROUP BY rule"
            " ORDER BY SUM(n_folders) + SUM(n_files) DESC, rule"
        )
        return [PassedOver(*row) for row in rows]

    def is_arriving(self, root_id: int) -> bool:
        """Whether a root has not been scanned as a whole yet."""
        return bool(self._number("SELECT is_arriving FROM roots WHERE id = ?", [root_id]))

    def set_arrived(self, root_id: int) -> None:
        self._db.execute("UPDATE roots SET is_arriving = 0 WHERE id = ?", [root_id])

    def has_arrived(self, root_id: int) -> bool:
        """Whether photos of this root are in one that was added and not scanned as a whole yet."""
        return bool(self._number(f"SELECT EXISTS (SELECT 1 FROM files WHERE {_HAS_ARRIVED})", [root_id]))

    def forget_arrived(self, root_id: int) -> bool:
        """Forget the files whose photos are in a root that was just added; and the root, when no photo is left in it.

        Returns whether the root is forgotten.
        """
        self._db.execute(f"DELETE FROM files WHERE {_HAS_ARRIVED}", [root_id])
        photos = "SELECT 1 FROM files WHERE root_id = ? AND photo_id IS NOT NULL"
        if self._db.execute(f"SELECT EXISTS ({photos})", [root_id]).fetchone()[0]:
            return False
        self._db.execute("DELETE FROM files WHERE root_id = ?", [root_id])
        self._db.execute("DELETE FROM mounts WHERE root_id = ?", [root_id])
        self.set_unread(root_id, {})
        self._db.execute("DELETE FROM roots WHERE id = ?", [root_id])
        return True

    def is_aligned(self, root_id: int) -> bool:
        """Whether the photos of a root are crops of one face each."""
        return bool(self._number("SELECT is_aligned FROM roots WHERE id = ?", [root_id]))

    def set_aligned(self, root_id: int, is_aligned: bool) -> None:
        self._db.execute("UPDATE roots SET is_aligned = ? WHERE id = ?", [int(is_aligned), root_id])

    def has_photos(self, root_id: int) -> bool:
        return bool(
            self._number("SELECT EXISTS (SELECT 1 FROM files WHERE root_id = ? AND photo_id IS NOT NULL)", [root_id])
        )


class Files(TableAccess):
    """The table files."""

    def sample(self, root_id: int, most: int) -> tuple[int, list[tuple[str, int]]]:
        """Return how many files of a root are known, and some of them, from all over it, each with its size."""
        n_files = self._number("SELECT COUNT(*) FROM files WHERE root_id = ?", [root_id])
        rows = self._db.execute(
            "SELECT path, size FROM files WHERE root_id = ? AND id % ? = 0 LIMIT ?",
            [root_id, max(1, n_files // most), most],
        ).fetchall() or self._db.execute("SELECT path, size FROM files WHERE root_id = ? LIMIT ?", [root_id, most])
        return n_files, [(os.fsdecode(path), size) for path, size in rows]

    def known(self, root_id: int, below: str = "") -> dict[str, KnownFile]:
        """Return every file of the root, or of one of its folders, by its path below the root."""
        where, values = "root_id = ?", list[object]([root_id])
        if below:
            # "0" is the character after "/": every path that begins with the folder's, found by the index.
            where += " AND path > ? AND path < ?"
            values += [os.fsencode(below) + b"/", os.fsencode(below) + b"0"]
        rows = self._db.execute(f"SELECT path, {_KNOWN} FROM files WHERE {where}", values)
        return {os.fsdecode(path): _known_file(row) for path, *row in rows}

    def with_inodes(self, root_id: int, inodes: Iterable[int]) -> dict[str, Fingerprint]:
        """Return the files of a root that had one of these inodes when they were seen last."""
        rows = self._db.execute(
            "SELECT path, size, mtime_ns, inode FROM files WHERE inode IN (SELECT value FROM json_each(?))"
            " AND root_id = ?",
            [json.dumps(list(inodes)), root_id],
        )
        return {os.fsdecode(path): Fingerprint(*fingerprint) for path, *fingerprint in rows}

    def doubt(self) -> None:
        """Let all files that hold no photo be read again."""
        self._db.execute("UPDATE files SET ctime_ns = NULL WHERE photo_id IS NULL")

    def set_ctimes(self, ctimes: Mapping[int, int | None]) -> None:
        """Record the ctimes of files, by the files' ids, where they have become known or mean no other content."""
        rows = [(ctime_ns, file_id) for file_id, ctime_ns in ctimes.items()]
        self._db.conn.executemany("UPDATE files SET ctime_ns = ? WHERE id = ?", rows)

    def replace_ctime(self, before: Fingerprint, after: Fingerprint) -> None:
        """Another hard link to a file was made or removed: that has changed its ctime, and nothing else."""
        self._db.execute(
            "UPDATE files SET ctime_ns = ? WHERE inode = ? AND ctime_ns = ?",
            [after.ctime_ns, before.inode, before.ctime_ns],
        )

    def one(self, root_id: int, path: str) -> KnownFile | None:
        row = self._db.execute(
            f"SELECT {_KNOWN} FROM files WHERE root_id = ? AND path = ?",
            [root_id, os.fsencode(path)],
        ).fetchone()
        return _known_file(row) if row else None

    def held(self, root_id: int, path: str) -> int | None:
        """Return the photo that a file holds, or held last where it has become faulty or no photo since."""
        return self._first(
            "SELECT COALESCE(photo_id, photo_before) FROM files WHERE root_id = ? AND path = ?",
            [root_id, os.fsencode(path)],
        )

    def record(
        self,
        root_id: int,
        path: str,
        fingerprint: Fingerprint,
        *,
        photo_id: int | None,
        fault: Fault | None,
        now: str,
    ) -> None:
        """Record what the file holds now: a photo, a fault, or neither (not a photo at all).

        Which photo it held stays on record until it holds one again: a save may pass through a broken state.
        """
        recorded = (fault.text, fault.advice, fault.code, fault.about) if fault else (None,) * 4
        self._db.execute(
            "INSERT INTO files"
            " (root_id, path, display, size, mtime_ns, inode, ctime_ns, photo_id, fault, advice, fault_code,"
            " fault_about, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (root_id, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " inode = excluded.inode, ctime_ns = excluded.ctime_ns,"
            " photo_id = excluded.photo_id, fault = excluded.fault, advice = excluded.advice,"
            " fault_code = excluded.fault_code, fault_about = excluded.fault_about,"
            " photo_before = iif(excluded.photo_id IS NULL, COALESCE(files.photo_id, files.photo_before), NULL),"
            " n_rereads = iif(excluded.photo_id IS files.photo_id AND excluded.size = files.size"
            " AND excluded.mtime_ns = files.mtime_ns"
            f" AND julianday(excluded.seen_at) - julianday(files.seen_at) < {IN_A_ROW_DAYS}, files.n_rereads + 1, 0),"
            " seen_at = excluded.seen_at",
            [
                *(root_id, os.fsencode(path), display(path)),
                *(fingerprint.size, fingerprint.mtime_ns, fingerprint.inode, fingerprint.ctime_ns),
                *(photo_id, *recorded, now),
            ],
        )
        if photo_id is None:
            # Its size and times may be what they were: what it says about photos is not believed any more.
            self._db.execute(
                "UPDATE metadata SET mtime_ns = -1 WHERE way = 'read' AND path ="
                " (SELECT CAST(path || x'2f' || ? AS BLOB) FROM roots WHERE id = ?)",
                [os.fsencode(path), root_id],
            )

    def move(self, root_id: int, old: str, new: str, ctime_ns: int | None = None) -> None:
        """Give the file another path, and the ctime that it has there; what lay there before is forgotten."""
        self.forget(root_id, [new])
        self._db.execute(
            "UPDATE files SET path = ?, display = ?, ctime_ns = ? WHERE root_id = ? AND path = ?",
            [os.fsencode(new), display(new), ctime_ns, root_id, os.fsencode(old)],
        )
        self._db.execute("DELETE FROM settings WHERE key = ?", [FOLDERS_READ_AT])

    def forget(self, root_id: int, paths: Iterable[str]) -> None:
        """The files are gone; their photos, faces and decisions stay for when they come back."""
        self._db.conn.executemany(
            "DELETE FROM files WHERE root_id = ? AND path = ?", [(root_id, os.fsencode(path)) for path in paths]
        )

    def at(self, path: Path) -> KnownFile | None:
        """Return the file at this absolute path, in whatever root; also when a root is reached through a link."""
        roots = Roots(self._db)
        for root in roots.all():
            for base in (root, root.resolve()):
                if path.is_relative_to(base):
                    root_id, _ = roots.one(root) or (0, 0)
                    if (file := self.one(root_id, str(path.relative_to(base)))) is not None:
                        return file
        return None

    def sources(self, photos: Iterable[int] | None = None) -> Mapping[int, tuple[str, ...]]:
        """Return the absolute paths of the files of every photo, or of these, sorted, by photo id."""
        which = "IS NOT NULL" if photos is None else "IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(
            "SELECT files.photo_id, roots.path, files.path FROM files JOIN roots ON roots.id = files.root_id"
            f" WHERE files.photo_id {which} ORDER BY files.photo_id, roots.path, files.path",
            [] if photos is None else [json.dumps(list(photos))],
        )
        sources: dict[int, tuple[str, ...]] = {}
        for photo_id, root, path in rows:
            file = decoded(root + b"/" + path)
            sources[photo_id] = (*sources[photo_id], file) if photo_id in sources else (file,)
        return sources

    def is_size_known(self, n_bytes: int) -> bool:
        """Whether a photo of the library has so many bytes."""
        return bool(
            self._number("SELECT EXISTS (SELECT 1 FROM files WHERE size = ? AND photo_id IS NOT NULL)", [n_bytes])
        )

    def faulty(self) -> list[FaultyFile]:
        rows = self._db.execute(
            "SELECT roots.display || '/' || files.display, fault_code, fault, advice, fault_about"
            " FROM files JOIN roots ON roots.id = root_id WHERE fault IS NOT NULL ORDER BY 1"
        )
        return [FaultyFile(path, Fault(FaultCode(code), *rest)) for path, code, *rest in rows]

    def counts(self) -> dict[str, int]:
        """Return how many files, photos and files with faults there are."""
        files, photos, faulty = self._db.execute(
            "SELECT COUNT(*), COUNT(DISTINCT photo_id), COUNT(fault) FROM files"
        ).fetchone()
        return {"files": files, "photos": photos, "faulty": faulty}


class Photos(TableAccess):
    """The table photos."""

    def with_hash(self, sha256: bytes) -> int | None:
        return self._first("SELECT id FROM photos WHERE sha256 = ?", [sha256])

    def known(self, photo_ids: Iterable[int]) -> set[int]:
        """Return those of these photos that there are, also those that no file holds now."""
        rows = self._db.execute(
            "SELECT id FROM photos WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(list(photo_ids))]
        )
        return {photo_id for (photo_id,) in rows}

    def size(self, photo_id: int) -> tuple[int, int] | None:
        """Return width and height of the upright photo in pixels; None: it was never decoded."""
        row = self._db.execute(
            "SELECT width, height FROM photos WHERE id = ? AND width > 0 AND height > 0", [photo_id]
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else None

    def some(self) -> int | None:
        """Return some photo that is in the library."""
        return self._first("SELECT photo_id FROM files WHERE photo_id IS NOT NULL LIMIT 1")

    def add(self, sha256: bytes, size: tuple[int, int], format: str, now: str, *, taken_at: str | None = None) -> int:
        """Return the id of the photo with this content. When it was taken is recorded unless that is known."""
        self._db.execute(
            "INSERT INTO photos (sha256, width, height, format, added_at, taken_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (sha256) DO UPDATE SET taken_at = excluded.taken_at WHERE photos.taken_at IS NULL",
            [sha256, *size, format, now, taken_at],
        )
        photo_id = self.with_hash(sha256)
        assert photo_id is not None
        return photo_id

    def taken(self, photo_ids: Iterable[int]) -> dict[int, str]:
        """Return when photos were taken, YYYY-MM-DDTHH:MM:SS by the camera's clock; who does not say is absent."""
        rows = self._db.execute(
            "SELECT id, taken_at FROM photos WHERE taken_at > '' AND id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photo_ids))],
        )
        return dict(rows.fetchall())

    def taken_at(self, photo_id: int) -> str:
        """Return when the photo was taken, "" when nobody knows."""
        return self.taken([photo_id]).get(photo_id, "")

    def set_taken(self, taken: Mapping[int, str]) -> None:
        """Record when photos were taken; "": their files do not say."""
        self._db.conn.executemany(
            "UPDATE photos SET taken_at = ? WHERE id = ?", [(moment, photo_id) for photo_id, moment in taken.items()]
        )

    def orientations(self, photo_ids: Iterable[int]) -> dict[int, int]:
        """Return how stored pictures are to be turned, 1 to 8, of the photos of which that is known."""
        rows = self._db.execute(
            "SELECT id, orientation FROM photos WHERE orientation IS NOT NULL"
            " AND id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photo_ids))],
        )
        return dict(rows.fetchall())

    def set_reference(self, photo_ids: Iterable[int]) -> None:
        """These show who somebody is, also while no file of a library holds them."""
        self._db.execute(
            "UPDATE photos SET is_reference = 1 WHERE id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photo_ids))],
        )

    def set_orientations(self, orientations: Mapping[int, int]) -> None:
        self._db.conn.executemany(
            "UPDATE photos SET orientation = ? WHERE id = ?",
            [(orientation, photo_id) for photo_id, orientation in orientations.items()],
        )

    def undated(self, *, after: int, most: int) -> list[UndatedFile]:
        """Return the files of the next photos, at most so many, whose date has not been read yet.

        They come in the order of their ids, beginning after that one. Photos without a file are passed over.
        """
        rows = self._db.execute(
            "SELECT files.photo_id, roots.path, files.path, size, mtime_ns, inode"
            " FROM files JOIN roots ON roots.id = files.root_id WHERE files.photo_id IN ("
            f"SELECT id FROM photos WHERE {_IS_UNDATED} AND id > ? ORDER BY id LIMIT ?"
            ") ORDER BY files.photo_id, files.id",
            [after, most],
        )
        return [
            UndatedFile(photo_id, os.fsdecode(root + b"/" + path), Fingerprint(*fingerprint))
            for photo_id, root, path, *fingerprint in rows
        ]

    def n_undated(self) -> int:
        """Return how many photos that have a file there are whose date has not been read yet."""
        return self._number(f"SELECT COUNT(*) FROM photos WHERE {_IS_UNDATED}")

    def is_misread(self, photo_id: int) -> bool:
        """Whether an older version may have taken the photo for another picture than it is."""
        return bool(self._number("SELECT is_misread FROM photos WHERE id = ?", [photo_id]))

    def set_well_read(self, photo_id: int) -> None:
        self._db.execute("UPDATE photos SET is_misread = 0 WHERE id = ?", [photo_id])

    def set_aside(self, photo_id: int) -> None:
        """Let a photo that was misread be one that no file can hold: what is read in its place is another photo."""
        self._db.execute("UPDATE photos SET is_misread = 0, sha256 = randomblob(32) WHERE id = ?", [photo_id])
