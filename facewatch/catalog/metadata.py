"""What files in and beside photos say about who is in them, as it was read or written last."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from facewatch.catalog.opening import TableAccess
from facewatch.types import Fingerprint


class Way(StrEnum):
    """Whether facewatch has read something or written it."""

    READ = "read"
    WRITTEN = "written"


class MetadataKind(StrEnum):
    """In what kind of file it stands."""

    SIDECAR = "sidecar"
    EMBEDDED = "embedded"
    PICASA = "picasa"
    CONTACTS = "contacts"
    """Speaks of no photo: it has the names of those whom Picasa's other files have by numbers."""
    TAKEOUT = "takeout"


@dataclass(frozen=True, slots=True)
class MetadataRow:
    """What one file says about one photo."""

    path: str
    """Absolute."""
    photo_id: int
    way: Way
    kind: MetadataKind
    fingerprint: Fingerprint
    """Of the file as it was then; so is `sha256`."""
    sha256: bytes
    said: str
    """JSON (see `regions.stored`)."""
    doubt: str | None = None
    """Read: why it cannot be used. Written: why nothing is written until the user says so. None: there is no reason."""


class Metadata(TableAccess):
    """The table metadata."""

    def all(self, way: Way) -> dict[tuple[int, str], MetadataRow]:
        """Return everything read or written, by photo and path."""
        return {(row.photo_id, row.path): row for row in self._select("way = ?", way)}

    def of_photo(self, photo_id: int, way: Way) -> list[MetadataRow]:
        return self._select("way = ? AND photo_id = ?", way, photo_id)

    def at(self, path: str, way: Way) -> list[MetadataRow]:
        """Return what one file says; some speak of many photos."""
        return self._select("way = ? AND path = ?", way, os.fsencode(path))

    def doubtful(self, way: Way) -> list[MetadataRow]:
        """Return what there is a doubt about."""
        return self._select("way = ? AND doubt IS NOT NULL", way)

    def written(self) -> tuple[dict[str, int], int, str | None]:
        """Return how many sidecars there is each doubt about (as JSON text), how many hold something by facewatch's
        word, and when the last of these was written."""
        doubts = self._db.execute(
            "SELECT doubt, COUNT(*) FROM metadata WHERE way = 'written' AND doubt IS NOT NULL GROUP BY doubt"
        )
        n_named, last = self._db.execute(
            "SELECT COUNT(*), MAX(at) FROM metadata WHERE way = 'written' AND size > 0 AND said != '{}'"
        ).fetchone()
        return dict(doubts.fetchall()), n_named, last

    def put(self, rows: Iterable[MetadataRow], now: str) -> None:
        """Record these in the place of what the same files said about the same photos."""
        self._db.conn.executemany(
            f"INSERT OR REPLACE INTO metadata ({_COLUMNS}, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(os.fsencode(row.path), row.photo_id, row.way, row.kind),
                    *(row.fingerprint.size, row.fingerprint.mtime_ns, row.fingerprint.inode),
                    *(row.sha256, row.said, row.doubt, now),
                )
                for row in rows
            ],
        )

    def forget(self, rows: Iterable[MetadataRow]) -> None:
        self._db.conn.executemany(
            "DELETE FROM metadata WHERE way = ? AND photo_id = ? AND path = ?",
            [(row.way, row.photo_id, os.fsencode(row.path)) for row in rows],
        )

    def _select(self, where: str, *values: object) -> list[MetadataRow]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM metadata WHERE {where} ORDER BY photo_id, path", values)
        return [_row(*row) for row in rows.fetchall()]


_COLUMNS = "path, photo_id, way, kind, size, mtime_ns, inode, sha256, said, doubt"


def _row(path: bytes, photo_id: int, way: str, kind: str, *rest: Any) -> MetadataRow:
    size, mtime_ns, inode, sha256, said, doubt = rest
    fingerprint = Fingerprint(size, mtime_ns, inode)
    return MetadataRow(os.fsdecode(path), photo_id, Way(way), MetadataKind(kind), fingerprint, sha256, said, doubt)
