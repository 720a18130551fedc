"""What people look like, worked out from all their faces and kept, so that one question need not read all faces.

A row goes, by triggers of the catalog, with whatever it was worked out from: which faces are a person's, their vectors,
quality and dates, and which of their photos are there. So a row that is there holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from facewatch.catalog.opening import TableAccess


@dataclass(frozen=True, slots=True)
class KeptLook:
    """What one person looks like."""

    person_id: int
    n_faces: int
    """That are known of the person; 0: there is nothing else to be kept."""
    centroids: bytes
    """Unit vectors, little-endian float32."""
    first: tuple[int, ...]
    """The faces that stand for it among strangers."""


class Looks(TableAccess):
    """The table looks."""

    def all(self, way: str) -> list[KeptLook]:
        """Return those that were worked out in this way, by person."""
        rows = self._db.execute(
            "SELECT person_id, n_faces, centroids, first FROM looks WHERE way = ? ORDER BY person_id", [way]
        )
        return [
            KeptLook(person_id, n_faces, centroids, tuple(json.loads(first)))
            for person_id, n_faces, centroids, first in rows
        ]

    def missing(self, way: str) -> list[int]:
        """Return the people of whom none of this way is there, also some who have no faces any more."""
        rows = self._db.execute(
            "SELECT person_id FROM changes WHERE person_id != 0"
            " AND person_id NOT IN (SELECT person_id FROM looks WHERE way = ?) ORDER BY person_id",
            [way],
        )
        return [person_id for (person_id,) in rows]

    def keep(self, way: str, looks: Iterable[KeptLook]) -> None:
        """Keep these, worked out from what the catalog holds in this transaction."""
        self._db.conn.executemany(
            "INSERT OR REPLACE INTO looks (person_id, way, n_faces, centroids, first) VALUES (?, ?, ?, ?, ?)",
            [(one.person_id, way, one.n_faces, one.centroids, json.dumps(one.first)) for one in looks],
        )
