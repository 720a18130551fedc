"""The catalog in numbers, and where it contradicts itself. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlite_utils import Database

from facewatch.catalog.faces import BY_RUN, IN_LIBRARY, KNOWN_FROM

_SEEN = f"f.is_current AND {IN_LIBRARY}"


@dataclass(frozen=True, slots=True)
class Sights:
    """How the faces of the library look, as arrays; element i of each belongs together."""

    qualities: NDArray[np.float32]
    """0 to 1."""
    sharpness: NDArray[np.float32]
    brightness: NDArray[np.float32]
    """0 to 255."""
    pixels: NDArray[np.float32]
    """The shorter side of the box, in pixels of the photo."""
    poses: NDArray[np.float32]
    """0 looks into the camera, 1 is a profile; NaN where nobody measured it."""


@dataclass(frozen=True, slots=True)
class StrayAssignment:
    """A face that belongs to a person that lives no longer."""

    face_id: int
    person_id: int
    is_merged: bool
    """The person lives on in another; else it is gone for good."""


class Facts:
    """What is counted, and what is checked."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def loosely_placed(
        self, *, strictness: float, match: float, centroid: float, cluster: float
    ) -> dict[int, float | None]:
        """Return the faces that a run placed by looser settings than these, and which `match.strictness` it had, where
        that is known; else what is on record shows it: they were farther off than these allow at most.

        Where it is known distances show nothing: groups are also made by what their faces have in common beyond
        strangers. Faces that were placed by another engine are left out: what is on record of them is not by that one.

        Args:
            match: how far a face may be from the nearest face of its person at most, whatever else speaks for it.
            centroid: the same from the middle of its person.
            cluster: the same from the nearest face of its group.
        """
        rows = self._db.execute(
            "SELECT a.face_id, r.strictness FROM assignments a LEFT JOIN runs r ON r.id = a.run_id"
            f" WHERE instr(a.rule, '{KNOWN_FROM}') = 0 AND a.source {BY_RUN} AND (r.strictness < ?1 - 1e-6"
            " OR (r.strictness IS NULL AND ("
            " (a.source = 'auto' AND (a.distance > ?2 + 1e-4 OR a.centroid_distance > ?3 + 1e-4))"
            " OR (a.source = 'cluster' AND a.distance > ?4 + 1e-4))))",
            [strictness, match, centroid, cluster],
        )
        placed = dict(rows)
        return placed | self._loosely_joined(strictness)

    def _loosely_joined(self, strictness: float) -> dict[int, float]:
        """Return the faces of people whom a run with less than that made part of others."""
        entries = self._db.execute(
            "SELECT j.undo, r.strictness FROM journal j JOIN runs r ON r.id = j.run_id"
            " WHERE j.action = 'recluster' AND r.strictness < ? - 1e-6",
            [strictness],
        )
        joined = {
            face_id: float(then)
            for undo, then in entries
            for _, _, faces in json.loads(undo).get("joined", ())
            for face_id in faces
        }
        runs = self._db.execute(
            f"SELECT face_id FROM assignments WHERE source {BY_RUN} AND instr(rule, '{KNOWN_FROM}') = 0"
            " AND face_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(joined))],
        )
        return {face_id: joined[face_id] for (face_id,) in runs}

    def tiers(self) -> dict[str, int]:
        """Return how many faces of the library each tier has; what is not a face counts as none."""
        return self._count(
            f"SELECT f.tier, COUNT(*) FROM faces f WHERE {_SEEN} AND f.id NOT IN"
            " (SELECT face_id FROM marks WHERE mark = 'not_a_face') GROUP BY 1"
        )

    def sources(self) -> dict[str, int]:
        """Return how many faces of the library were placed by whom: auto, cluster, user, import or folder."""
        return self._count(
            f"SELECT a.source, COUNT(*) FROM assignments a JOIN faces f ON f.id = a.face_id WHERE {_SEEN} GROUP BY 1"
        )

    def marks(self) -> dict[str, int]:
        """Return how many faces of the library users took out, by what they said of them."""
        return self._count(
            f"SELECT m.mark, COUNT(*) FROM marks m JOIN faces f ON f.id = m.face_id WHERE {_SEEN} GROUP BY 1"
        )

    def sights(self) -> Sights:
        rows = self._db.execute(
            "SELECT f.quality, f.sharpness, f.brightness, MIN(f.w, f.h), f.pose FROM faces f"
            f" WHERE {_SEEN} ORDER BY f.id"
        ).fetchall()
        columns = np.array(rows, np.float32).reshape(-1, 5)
        return Sights(*(np.ascontiguousarray(column) for column in columns.T))

    def twice(self) -> list[tuple[int, int]]:
        """Return (person, photo) for everybody who has several faces in a photo of the library."""
        return self._db.execute(
            "SELECT a.person_id, f.photo_id FROM assignments a JOIN faces f ON f.id = a.face_id"
            " JOIN people p ON p.id = a.person_id WHERE p.merged_into IS NULL AND NOT p.is_gone"
            f" AND {IN_LIBRARY} GROUP BY 1, 2 HAVING COUNT(*) > 1 ORDER BY 1, 2"
        ).fetchall()

    def placed_against_rejections(self) -> list[tuple[int, int]]:
        """Return (face, person) where a face belongs to whom a user said that it is not."""
        return self._db.execute(
            "SELECT a.face_id, a.person_id FROM assignments a JOIN rejections r"
            " ON r.face_id = a.face_id AND r.person_id = a.person_id ORDER BY 1"
        ).fetchall()

    def placed_though_marked(self) -> list[tuple[int, int]]:
        """Return (face, person) where a user said of an assigned face that it is nobody's."""
        return self._db.execute(
            "SELECT a.face_id, a.person_id FROM assignments a JOIN marks m ON m.face_id = a.face_id ORDER BY 1"
        ).fetchall()

    def strays(self) -> list[StrayAssignment]:
        rows = self._db.execute(
            "SELECT a.face_id, p.id, p.merged_into IS NOT NULL FROM assignments a JOIN people p ON p.id = a.person_id"
            " WHERE p.merged_into IS NOT NULL OR p.is_gone ORDER BY 1"
        )
        return [StrayAssignment(face_id, person_id, bool(is_merged)) for face_id, person_id, is_merged in rows]

    def merges(self) -> dict[int, int]:
        """Return for everybody who was merged into whom."""
        return dict(self._db.execute("SELECT id, merged_into FROM people WHERE merged_into IS NOT NULL").fetchall())

    def name_of(self, person_id: int) -> str | None:
        """Return the name of a person, also of one that lives no longer."""
        row = self._db.execute("SELECT name FROM people WHERE id = ?", [person_id]).fetchone()
        return row[0] if row else None

    def dangling(self) -> dict[tuple[str, str], int]:
        """Return how many rows of a table name a row of another that is not there."""
        return {
            (table, parent): n
            for table, parent, n in self._db.execute(
                'SELECT "table", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
            )
        }

    def _count(self, query: str) -> dict[str, int]:
        return dict(self._db.execute(query).fetchall())
