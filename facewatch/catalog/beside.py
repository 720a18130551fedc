"""Which files in and beside photos have to be read for what they say about the people in them."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from facewatch.catalog.metadata import MetadataKind
from facewatch.catalog.opening import TableAccess
from facewatch.types import Fingerprint


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that may say something about photos and has not been read as it is now."""

    root: str
    """Its library, absolute."""
    path: str
    """Below that."""
    kind: MetadataKind
    fingerprint: Fingerprint
    photos: tuple[int, ...]
    """The photos that it belongs to, by id."""
    names: tuple[str, ...] = ()
    """What their files are called, where it has them by these names; (): it belongs to all of them."""

    @property
    def whole_path(self) -> str:
        return f"{self.root}/{self.path}"


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file of a library that holds no photo."""

    root: str
    """Its library, absolute."""
    folder: str
    """Below that, "" or with a "/" at its end."""
    name: str
    fingerprint: Fingerprint

    @property
    def path(self) -> str:
        """Below its library."""
        return f"{self.folder}{self.name}"

    @property
    def whole_path(self) -> str:
        return f"{self.root}/{self.path}"


@dataclass(frozen=True, slots=True)
class PhotoHere:
    """A photo in a folder."""

    name: str
    """Of its file."""
    photo_id: int


FolderOf = tuple[int, bytes]
"""A folder: the id of its library, and its path below that, b"" or with a "/" at its end."""


class FilesBeside(TableAccess):
    """What is read of the tables files, photos and metadata about files that speak of photos.

    Every file of a library is in the table files as the last scan or event saw it, those that are no photos, too."""

    def unread_sidecars(self) -> list[UnreadFile]:
        """Return the sidecars, IMG.JPG.xmp and IMG.xmp, that came or changed, or whose photo came, since they were
        read."""
        rows = self._db.execute(_SIDECARS)
        photos: dict[tuple[bytes, bytes], list[int]] = {}
        prints: dict[tuple[bytes, bytes], Fingerprint] = {}
        for root, path, photo_id, *fingerprint in rows:
            photos.setdefault((root, path), []).append(photo_id)
            prints[root, path] = Fingerprint(*fingerprint)
        return [
            UnreadFile(os.fsdecode(root), os.fsdecode(path), MetadataKind.SIDECAR, prints[root, path], tuple(theirs))
            for (root, path), theirs in photos.items()
        ]

    def others(self, ending: str, within: Collection[FolderOf] | None = None) -> list[OtherFile]:
        """Return the files that hold no photo and whose names end like this, whatever their case: all, or those that
        lie in these folders themselves."""
        places = [("", list[object]())] if within is None else [_within(*folder) for folder in sorted(within)]
        return [other for where, values in places for other in self._others(ending, where, values)]

    def changed_since(self, since: str) -> set[FolderOf]:
        """Return the folders in which any file came or changed since then."""
        rows = self._db.execute("SELECT root_id, path FROM files WHERE seen_at >= ?", [since])
        return {(root_id, b"".join(path.rpartition(b"/")[:2])) for root_id, path in rows}

    def _others(self, ending: str, where: str, values: Sequence[object]) -> list[OtherFile]:
        rows = self._db.execute(
            "SELECT r.path, s.path, s.size, s.mtime_ns, s.inode, s.ctime_ns"
            " FROM files s JOIN roots r ON r.id = s.root_id"
            f" WHERE s.photo_id IS NULL AND s.fault IS NULL AND lower(CAST(substr(s.path, ?) AS TEXT)) = ? {where}"
            " ORDER BY r.path, s.path",
            [-len(ending), ending, *values],
        )
        found = []
        for root, path, *prints in rows:
            folder, slash, name = os.fsdecode(path).rpartition("/")
            found.append(OtherFile(os.fsdecode(root), folder + slash, name, Fingerprint(*prints)))
        return found

    def photos_in(self, other: OtherFile) -> list[PhotoHere]:
        """Return the photos in the same folder as a file, in order of their names."""
        folder = os.fsencode(other.folder)
        [root_id] = self._db.execute("SELECT id FROM roots WHERE path = ?", [os.fsencode(other.root)]).fetchone()
        where, values = _within(root_id, folder)
        rows = self._db.execute(
            f"SELECT s.path, s.photo_id FROM files s WHERE s.photo_id IS NOT NULL {where} ORDER BY s.path", values
        )
        return [PhotoHere(os.fsdecode(path[len(folder) :]), photo_id) for path, photo_id in rows]

    def read_as(self, kind: MetadataKind) -> dict[tuple[str, int], Fingerprint]:
        """Return how the files of a kind were when they were read, by their absolute paths and by photo."""
        rows = self._db.execute(
            "SELECT path, photo_id, size, mtime_ns, inode FROM metadata WHERE way = 'read' AND kind = ?", [kind]
        )
        return {(os.fsdecode(path), photo_id): Fingerprint(*prints) for path, photo_id, *prints in rows}

    def read_again(self, kind: MetadataKind) -> None:
        """All files of a kind are to be read once more, for what else has changed."""
        self._db.execute("UPDATE metadata SET mtime_ns = -1 WHERE way = 'read' AND kind = ?", [kind])

    def undescribed(
        self, *, after: int = 0, most: int, only_spoken_of: bool = False, these: Collection[int] | None = None
    ) -> list[UnreadFile]:
        """Return the files of the next photos, at most so many, whose own header has not been read yet.

        They come in the order of the photos' ids, beginning after that one; a photo of several files comes with each.

        Args:
            only_spoken_of: only photos of which another file says something.
            these: only these photos.
        """
        spoken_of = "AND EXISTS (SELECT 1 FROM metadata m WHERE m.photo_id = photos.id AND m.way = 'read')"
        among = "AND id IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(
            "SELECT roots.path, files.path, files.photo_id, size, mtime_ns, inode"
            " FROM files JOIN roots ON roots.id = files.root_id WHERE files.photo_id IN (SELECT id FROM photos"
            f" WHERE orientation IS NULL AND id > ? AND {_HAS_FILE} {spoken_of if only_spoken_of else ''}"
            f" {'' if these is None else among} ORDER BY id LIMIT ?) ORDER BY files.photo_id, files.id",
            [after, *([] if these is None else [json.dumps(list(these))]), most],
        )
        return [
            UnreadFile(os.fsdecode(root), os.fsdecode(path), MetadataKind.EMBEDDED, Fingerprint(*prints), (photo_id,))
            for root, path, photo_id, *prints in rows
        ]

    def record(self, file: UnreadFile, says: Mapping[int, str], sha256: bytes, doubt: str | None, now: str) -> None:
        """Record what a file says of its photos, by their ids; of those that it does not name it says nothing.

        What was taken over stays on record, also from where the same stood before a move.
        """
        path = os.fsencode(file.whole_path)
        common = file.kind, *(file.fingerprint.size, file.fingerprint.mtime_ns, file.fingerprint.inode), sha256
        self._db.conn.executemany(
            "INSERT INTO metadata (path, photo_id, way, kind, size, mtime_ns, inode, sha256, said, doubt, at, taken)"
            " VALUES (:path, :photo, 'read', :kind, :size, :mtime, :inode, :sha256, :said, :doubt, :at,"
            " (SELECT o.taken FROM metadata o WHERE o.way = 'read' AND o.photo_id = :photo AND o.kind = :kind"
            " AND o.sha256 = :sha256)) ON CONFLICT DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " inode = excluded.inode, sha256 = excluded.sha256, said = excluded.said, doubt = excluded.doubt,"
            " at = excluded.at, taken = COALESCE(excluded.taken, taken)",
            [
                dict(
                    zip(("kind", "size", "mtime", "inode", "sha256"), common, strict=True),
                    **{"path": path, "photo": photo_id, "said": says.get(photo_id, "{}"), "doubt": doubt, "at": now},
                )
                for photo_id in file.photos
            ],
        )

    def forget_gone(self) -> None:
        """What stood in files beside photos that are gone stands nowhere."""
        self._db.execute(
            "DELETE FROM metadata WHERE way = 'read' AND kind != ? AND NOT EXISTS (SELECT 1 FROM roots r"
            " JOIN files f ON f.root_id = r.id AND f.path = CAST(substr(metadata.path, length(r.path) + 2) AS BLOB)"
            " WHERE substr(metadata.path, 1, length(r.path)) = r.path)",
            [MetadataKind.EMBEDDED],
        )

    def taken(self, photo_id: int) -> dict[str, str]:
        """Return what files said of a photo when that was looked at last, by their paths; JSON."""
        rows = self._db.execute(
            "SELECT path, taken FROM metadata WHERE way = 'read' AND photo_id = ? AND taken IS NOT NULL", [photo_id]
        )
        return {os.fsdecode(path): taken for path, taken in rows}

    def set_taken(self, photos: Collection[int], kinds: Collection[MetadataKind]) -> None:
        """All that these kinds of files say of these photos was looked at, and taken over as far as it is to be."""
        self._db.execute(
            "UPDATE metadata SET taken = said WHERE way = 'read' AND photo_id IN (SELECT value FROM json_each(?))"
            " AND kind IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos)), json.dumps(list(kinds))],
        )

    def not_taken(self, kinds: Collection[MetadataKind]) -> list[int]:
        """Return the photos of the library of which a file of these kinds says what was not looked at yet."""
        return self._spoken_of("m.taken IS NOT m.said", kinds)

    def spoken_of(self, kinds: Collection[MetadataKind]) -> list[int]:
        """Return the photos of the library of which a file of these kinds says anything."""
        return self._spoken_of("m.said != '{}'", kinds)

    def _spoken_of(self, condition: str, kinds: Collection[MetadataKind]) -> list[int]:
        rows = self._db.execute(
            f"SELECT DISTINCT m.photo_id FROM metadata m WHERE m.way = 'read' AND m.doubt IS NULL AND {condition}"
            " AND m.kind IN (SELECT value FROM json_each(?))"
            " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = m.photo_id) ORDER BY m.photo_id",
            [json.dumps(list(kinds))],
        )
        return [photo_id for (photo_id,) in rows]

    def n_taken(self) -> int:
        """Return how many faces are whose they are because a file says so."""
        return self._number(
            "SELECT COUNT(*) FROM assignments a JOIN faces f ON f.id = a.face_id WHERE a.source = 'import'"
            " AND EXISTS (SELECT 1 FROM metadata m WHERE m.way = 'read' AND m.photo_id = f.photo_id AND m.said != '{}')"
        )

    def n_damaged(self) -> int:
        """Return how many files could not be used."""
        return self._number("SELECT COUNT(DISTINCT path) FROM metadata WHERE way = 'read' AND doubt IS NOT NULL")

    def shape_of(self, photo_id: int) -> tuple[int, int, int]:
        """Return width and height of an upright photo in pixels, and how its stored picture is to be turned, 1 to 8."""
        width, height, orientation = self._db.execute(
            "SELECT COALESCE(width, 1), COALESCE(height, 1), COALESCE(orientation, 1) FROM photos WHERE id = ?",
            [photo_id],
        ).fetchone()
        return width, height, orientation


def _within(root_id: int, folder: bytes) -> tuple[str, list[object]]:
    """Return the condition that a file s lies in a folder itself, for SQL, and its values."""
    where = "AND s.root_id = ? AND s.path > ? AND s.path < ? AND instr(CAST(substr(s.path, ?) AS BLOB), x'2f') = 0"
    return where, [root_id, folder, folder + b"\xff", len(folder) + 1]


_HAS_FILE = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = photos.id)"

# What two blobs are joined to is text to SQLite: it is cast back, byte by byte.
_STEM = "CAST(substr(s.path, 1, length(s.path) - 4) AS BLOB)"
_IS_UNREAD = (
    "NOT EXISTS (SELECT 1 FROM metadata m WHERE m.way = 'read' AND m.photo_id = p.photo_id"
    " AND m.path = CAST(r.path || x'2f' || s.path AS BLOB)"
    " AND m.size = s.size AND m.mtime_ns = s.mtime_ns AND m.inode = s.inode)"
)
_OF_SIDECAR = (
    "SELECT r.path AS root, s.path AS path, p.photo_id AS photo_id, s.size, s.mtime_ns, s.inode FROM files s"
    " JOIN roots r ON r.id = s.root_id JOIN files p ON p.root_id = s.root_id AND {joined}"
    " WHERE s.photo_id IS NULL AND s.fault IS NULL AND lower(CAST(substr(s.path, -4) AS TEXT)) = '.xmp'"
    f" AND p.photo_id IS NOT NULL AND {_IS_UNREAD}"
)
_SIDECARS = (
    " UNION ".join(
        (
            _OF_SIDECAR.format(joined=f"p.path = {_STEM}"),
            _OF_SIDECAR.format(
                joined=f"p.path > CAST({_STEM} || x'2e' AS BLOB) AND p.path < CAST({_STEM} || x'2f' AS BLOB)"
                " AND instr(CAST(substr(p.path, length(s.path) - 2) AS BLOB), x'2e') = 0"
            ),
        )
    )
    + " ORDER BY root, path, photo_id"
)
