"""The engines: which one is in use, what each has analysed, and the change from one to another."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from facewatch.catalog.opening import TableAccess
from facewatch.errors import EngineError
from facewatch.types import EngineInfo

SIGHTING_COLUMNS = (
    "x, y, w, h, turn, landmarks, score, sharpness, brightness, quality, tier, pose, norm, covered, is_drawn"
)
"""The columns that say how an engine sees a face, in `faces` and in `sightings`."""


@dataclass(frozen=True, slots=True)
class KnownEngine:
    """An engine that has analysed photos of this catalog."""

    id: int
    name: str
    fingerprint: str
    n_dims: int
    licence: str
    is_in_use: bool
    n_photos: int
    """Photos that it has analysed."""
    n_faces: int
    """Faces whose embedding by it is kept."""

    @property
    def n_bytes(self) -> int:
        """What its vectors take."""
        return 4 * self.n_dims * self.n_faces


@dataclass(frozen=True, slots=True)
class PendingPhoto:
    """A photo that an engine has not analysed yet, and one file that holds it."""

    photo_id: int
    root: Path
    path: str
    """Below the root."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The vectors of an engine that came after a place, and what came until there."""

    n_before: int
    last_id: int | None
    """The face at that place; None: none is there."""
    rows: Iterator[tuple[int, int, bytes]]
    """Place, face id and vector (little-endian float32) of each, read as they are asked for."""


class Engines(TableAccess):
    """The tables engines, analyses and sightings."""

    def add(self, info: EngineInfo, now: str) -> int:
        """Return the id of the engine with this fingerprint; the first one of a catalog is in use at once.

        Raises:
            EngineError: the same model gave vectors of another dimension before.
        """
        self._db.execute(
            "INSERT INTO engines (name, fingerprint, n_dims, licence, added_at, is_in_use)"
            " VALUES (?, ?, ?, ?, ?, NOT EXISTS (SELECT 1 FROM engines WHERE is_in_use))"
            " ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name",
            [info.name, info.fingerprint, info.n_dims, info.licence, now],
        )
        row = self._db.execute("SELECT id, n_dims FROM engines WHERE fingerprint = ?", [info.fingerprint]).fetchone()
        if row[1] != info.n_dims:
            raise EngineError(
                f"engine {info.name}: gives {info.n_dims} numbers a face, the catalog has {row[1]} by the same model; "
                "facewatch models verify checks whether its files are whole"
            )
        return int(row[0])

    def known(self, info: EngineInfo) -> int | None:
        """Return the id of the engine if it is on record with this name and these numbers a face."""
        return self._first(
            "SELECT id FROM engines WHERE fingerprint = ? AND name = ? AND n_dims = ?",
            [info.fingerprint, info.name, info.n_dims],
        )

    def in_use_name(self) -> str | None:
        return self._first("SELECT name FROM engines WHERE is_in_use")

    def in_use(self) -> KnownEngine | None:
        return next((engine for engine in self.all() if engine.is_in_use), None)

    def in_use_id(self) -> int | None:
        return self._first("SELECT id FROM engines WHERE is_in_use")

    def all(self) -> list[KnownEngine]:
        rows = self._db.execute(
            "SELECT id, name, fingerprint, n_dims, licence, is_in_use,"
            " (SELECT COUNT(*) FROM analyses WHERE engine_id = engines.id),"
            " (SELECT COUNT(*) FROM embeddings WHERE engine_id = engines.id) FROM engines ORDER BY id"
        )
        return [
            KnownEngine(id_, name, fingerprint, n_dims, licence, bool(is_in_use), n_photos, n_faces)
            for id_, name, fingerprint, n_dims, licence, is_in_use, n_photos, n_faces in rows
        ]

    def pending(self, engine_id: int) -> list[PendingPhoto]:
        """Return the photos of the library that the engine has not analysed, in order of their paths."""
        rows = self._db.execute(
            "SELECT files.photo_id, roots.path, MIN(files.path) FROM files JOIN roots ON roots.id = files.root_id"
            " WHERE files.photo_id IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM analyses a WHERE a.photo_id = files.photo_id AND a.engine_id = ?)"
            " GROUP BY files.photo_id, roots.path ORDER BY 2, 3",
            [engine_id],
        )
        return [PendingPhoto(photo, Path(os.fsdecode(root)), os.fsdecode(path)) for photo, root, path in rows]

    def n_pending(self, engine_id: int) -> int:
        return self._number(
            "SELECT COUNT(DISTINCT photo_id) FROM files WHERE photo_id IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM analyses a WHERE a.photo_id = files.photo_id AND a.engine_id = ?)",
            [engine_id],
        )

    def use(self, engine_id: int) -> None:
        """From now on this engine's answers are shown. Every face that it has seen, too, keeps id and decisions.

        What only others saw stays where a user drew it or decided about it, or it is somebody's; else it is hidden.
        """
        self._db.execute(
            f"INSERT OR REPLACE INTO sightings (face_id, engine_id, {SIGHTING_COLUMNS})"
            f" SELECT f.id, f.engine_id, {_of('f')} FROM faces f JOIN sightings s"
            " ON s.face_id = f.id AND s.engine_id = ?",
            [engine_id],
        )
        self._db.execute(
            f"UPDATE faces SET (engine_id, {SIGHTING_COLUMNS}) = (s.engine_id, {_of('s')})"
            " FROM sightings s WHERE s.face_id = faces.id AND s.engine_id = ?",
            [engine_id],
        )
        self._db.execute("DELETE FROM sightings WHERE engine_id = ?", [engine_id])
        self._db.execute(
            "UPDATE faces SET is_current = ((engine_id = ? AND NOT is_drawn) OR id IN (SELECT face_id FROM assignments)"
            " OR id IN (SELECT face_id FROM rejections) OR id IN (SELECT face_id FROM marks)"
            " OR id IN (SELECT cover_id FROM people WHERE cover_id IS NOT NULL)"
            " OR id IN (SELECT face_id FROM drawn WHERE face_id IS NOT NULL))",
            [engine_id],
        )
        self._db.execute("UPDATE engines SET is_in_use = (id = ?)", [engine_id])
        # Best guesses are the old engine's; the new one makes its own.
        self._db.execute("DELETE FROM suggestions")

    def prune(self, keep: Collection[int]) -> int:
        """Free what other engines than these found; returns how many vectors went."""
        others = f"engine_id NOT IN ({', '.join(str(int(i)) for i in keep)})"
        n_freed = self._db.execute(f"DELETE FROM embeddings WHERE {others}").rowcount
        self._db.execute(f"DELETE FROM sightings WHERE {others}")
        self._db.execute(f"DELETE FROM analyses WHERE {others}")
        self._db.execute(
            # What was drawn and undone can be made again.
            f"DELETE FROM faces WHERE {others} AND NOT is_current AND NOT is_drawn"
            " AND id NOT IN (SELECT face_id FROM embeddings) AND id NOT IN (SELECT face_id FROM sightings)"
        )
        self._db.execute(
            f"DELETE FROM engines WHERE {others.replace('engine_id', 'id')}"
            " AND id NOT IN (SELECT engine_id FROM faces WHERE engine_id IS NOT NULL)"
        )
        return int(n_freed)

    def arrivals(self, engine_id: int, since: int = 0) -> Arrivals:
        """Return the vectors of an engine in the order in which they came, those after the place `since`.

        Places grow as vectors come. When vectors were deleted or the catalog was compacted they may be others: then
        what is said of those before `since` tells.
        """
        # One statement sees one state of the catalog, whatever others write meanwhile.
        rows = self._db.execute(
            "SELECT ?2 AS place, (SELECT face_id FROM embeddings WHERE rowid = ?2 AND engine_id = ?1),"
            " (SELECT COUNT(*) FROM embeddings WHERE engine_id = ?1 AND rowid <= ?2)"
            " UNION ALL SELECT rowid, face_id, vector FROM embeddings NOT INDEXED WHERE rowid > ?2 AND engine_id = ?1"
            " ORDER BY place",
            [engine_id, since],
        )
        _, last_id, n_before = rows.fetchone()
        return Arrivals(n_before, last_id, rows)


def _of(table: str) -> str:
    return ", ".join(f"{table}.{column}" for column in SIGHTING_COLUMNS.split(", "))
