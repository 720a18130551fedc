"""Who is in which photo by the user's word, though no face shows it: seen from behind, or hidden."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from facewatch.catalog.opening import TableAccess
from facewatch.ids import label_of

WITHOUT_FACE = (
    "NOT EXISTS (SELECT 1 FROM faces g JOIN assignments b ON b.face_id = g.id"
    " WHERE g.photo_id = r.photo_id AND b.person_id = r.person_id)"
)
"""Of a presence r, for SQL: the photo shows no face of the person."""

N_ONLY_PRESENT = (
    "(SELECT COUNT(*) FROM presences r WHERE r.person_id = p.id"
    f" AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = r.photo_id) AND {WITHOUT_FACE})"
)
"""Of a person p, for SQL: in how many photos of the library they are, and no face of theirs is."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody who is in a photo by the user's word."""

    person_id: int
    name: str
    """Or "Person 0012"."""
    at: str
    """When it was said."""


class Presences(TableAccess):
    """The table presences."""

    def in_photo(self, photo_id: int) -> list[Presence]:
        """Return who is in a photo by the user's word, also those of whom it shows a face; first who was said first."""
        return self._in_photo(photo_id, "TRUE")

    def _in_photo(self, photo_id: int, where: str) -> list[Presence]:
        rows = self._db.execute(
            "SELECT p.id, p.name, r.at FROM presences r JOIN people p ON p.id = r.person_id"
            f" WHERE r.photo_id = ? AND {where} ORDER BY r.at, p.id",
            [photo_id],
        )
        return [Presence(person_id, name or label_of(person_id), at) for person_id, name, at in rows]

    def without_face(self, photo_id: int) -> tuple[Presence, ...]:
        """Return who is in a photo by the user's word alone."""
        return tuple(self._in_photo(photo_id, WITHOUT_FACE))

    def export_rows(self) -> Iterator[tuple[str, int, str]]:
        """Yield a row for each file of a photo and who is in it by the user's word alone: absolute path, person, name;
        in the order of the paths."""
        rows = self._db.execute(
            "SELECT roots.path, files.path, p.id, p.name FROM presences r JOIN people p ON p.id = r.person_id"
            " JOIN files ON files.photo_id = r.photo_id JOIN roots ON roots.id = files.root_id"
            f" WHERE {WITHOUT_FACE} ORDER BY roots.path, files.path, p.id"
        )
        for root, path, person_id, name in rows:
            yield os.fsdecode(root + b"/" + path), person_id, name or label_of(person_id)

    def of_person(self, person_id: int) -> set[int]:
        """Return the photos that somebody is in by the user's word, also those that are not in the library now."""
        rows = self._db.execute("SELECT photo_id FROM presences WHERE person_id = ?", [person_id])
        return {photo_id for (photo_id,) in rows}

    def add(self, person_id: int, photos: Collection[int], now: str) -> None:
        self._db.conn.executemany(
            "INSERT INTO presences (person_id, photo_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(person_id, photo_id, now) for photo_id in photos],
        )

    def remove(self, person_id: int, photos: Collection[int]) -> None:
        self._db.execute(
            "DELETE FROM presences WHERE person_id = ? AND photo_id IN (SELECT value FROM json_each(?))",
            [person_id, json.dumps(list(photos))],
        )

    def reassign_all(self, old_person: int, new_person: int) -> None:
        """Whoever lives on in another is in photos as that one."""
        self._db.execute(
            "INSERT INTO presences (person_id, photo_id, at) SELECT ?, photo_id, at FROM presences WHERE person_id = ?"
            " ON CONFLICT DO NOTHING",
            [new_person, old_person],
        )
        self._db.execute("DELETE FROM presences WHERE person_id = ?", [old_person])

    def carry_over(self, old_photo: int, new_photo: int, person_id: int) -> None:
        """Somebody is in another version of a photo, as was said of the one."""
        self._db.execute(
            "INSERT INTO presences (person_id, photo_id, at) SELECT person_id, ?, at FROM presences"
            " WHERE photo_id = ? AND person_id = ? ON CONFLICT DO NOTHING",
            [new_photo, old_photo, person_id],
        )
