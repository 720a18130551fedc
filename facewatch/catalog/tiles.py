"""What lists of people show of each, read for everybody in some milliseconds."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from facewatch.catalog.faces import IN_LIBRARY
from facewatch.catalog.opening import TableAccess
from facewatch.catalog.presences import N_ONLY_PRESENT
from facewatch.ids import label_of
from facewatch.types import Tier

LIVING_P = "p.merged_into IS NULL AND NOT p.is_gone"
"""Of a person p, for SQL: it is neither part of another nor forgotten."""

COUNTED = (
    "SELECT a.person_id, COUNT(*) AS n_faces, COUNT(DISTINCT f.photo_id) AS n_photos"
    # In this order, because both indexes hold all that is asked of faces and files: a third of the time.
    f" FROM faces f INDEXED BY faces_photo CROSS JOIN assignments a ON a.face_id = f.id WHERE {IN_LIBRARY} GROUP BY 1"
)
"""Everybody's faces and photos in the library."""


@dataclass(frozen=True, slots=True)
class LivingPerson:
    """A row of the table people."""

    id: int
    name: str | None
    is_hidden: bool
    is_machine_made: bool
    """Nobody has decided anything about it."""
    cover_id: int | None
    """The face that a user chose to stand for it."""

    @property
    def label(self) -> str:
        return self.name or label_of(self.id)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the library holds of a person."""

    n_faces: int
    n_photos: int
    best_id: int | None
    """The face that stands for it: the one that a user chose, if its photo is there, else the best one; None: no photo
    shows a face of it."""


class Tiles(TableAccess):
    """Reads of people what lists show."""

    def living(self, only: Collection[int] | None = None) -> list[LivingPerson]:
        """Return everybody, or `only` of these who lives, also who is in no photo of the library now, by id."""
        which = "" if only is None else "AND p.id IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(
            "SELECT p.id, p.name, p.is_hidden, p.is_touched, p.cover_id FROM people p"
            f" WHERE {LIVING_P} {which} ORDER BY p.id",
            [] if only is None else [json.dumps(list(only))],
        )
        return [
            LivingPerson(person_id, name, bool(is_hidden), not (name or is_hidden or is_touched), cover_id)
            for person_id, name, is_hidden, is_touched, cover_id in rows
        ]

    def last(self) -> frozenset[int]:
        """Return the people who are shown last while no user said anything about them."""
        people = self._first("SELECT value FROM settings WHERE key = 'last'")
        return frozenset(json.loads(people)) if people else frozenset()

    def library_stamp(self) -> tuple[int, ...]:
        """Return numbers that differ when other photos are in the library, or another engine is in use."""
        row = self._db.execute(
            "SELECT (SELECT n FROM changes WHERE person_id = 0), COALESCE(MAX(id), 0) FROM engines WHERE is_in_use"
        ).fetchone()
        return tuple(row)

    def changes(self) -> dict[int, int]:
        """Return how often each person's faces, or the photos that it is in by the user's word, have changed; who never
        had any is absent."""
        return dict(self._db.execute("SELECT person_id, n FROM changes WHERE person_id > 0").fetchall())

    def shown(self, only: Collection[int] | None = None) -> dict[int, Shown]:
        """Return what the library holds of everybody, or `only` of these; who is in no photo of it is absent."""
        which = "" if only is None else "AND p.id IN (SELECT value FROM json_each(?))"
        rows = self._db.execute(
            # Of a row with an aggregate of MAX, SQLite takes the other columns from where that was found.
            f"SELECT p.id, COUNT(f.id), COUNT(DISTINCT f.photo_id) + {N_ONLY_PRESENT}, f.id,"
            f" MAX(f.is_current * (4 * (f.id IS p.cover_id) + 2 * (f.tier = '{Tier.ENROLL.value}') + f.quality))"
            " FROM people p LEFT JOIN assignments a ON a.person_id = p.id"
            f" LEFT JOIN faces f ON f.id = a.face_id AND {IN_LIBRARY} WHERE {LIVING_P} {which} GROUP BY p.id",
            [] if only is None else [json.dumps(list(only))],
        )
        return {
            person_id: Shown(n_faces, n_photos, best_id)
            for person_id, n_faces, n_photos, best_id, _ in rows
            if n_photos
        }
