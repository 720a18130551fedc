"""The faces that belong to nobody, as they are gone through by users."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from facewatch.catalog.faces import IN_LIBRARY, Mark
from facewatch.catalog.opening import TableAccess
from facewatch.ids import label_of
from facewatch.types import Tier


class PoolKind(StrEnum):
    """Which faces of nobody."""

    OPEN = "open"
    """They may be somebody's."""
    POOR = "poor"
    """They are too poor to be recognised."""
    SET_ASIDE = "aside"
    """A user said that they are nobody's, or no faces."""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A face of nobody."""

    id: int
    photo_id: int
    taken_at: str
    """YYYY-MM-DDTHH:MM:SS; "": nobody knows."""
    guess_id: int | None
    """The person that it is most like; None: it is like nobody."""
    guess: str | None
    distance: float | None
    """From that person."""
    mark: Mark | None


_FREE = f"f.id NOT IN (SELECT face_id FROM assignments) AND f.is_current AND {IN_LIBRARY}"
# The index holds all that is asked of a face: its row is long, and of every other face none is looked at.
_UNMARKED = f"faces f INDEXED BY faces_photo WHERE {_FREE} AND f.id NOT IN (SELECT face_id FROM marks)"
_FROM = {
    PoolKind.OPEN: f"{_UNMARKED} AND f.tier != '{Tier.SHOW.value}'",
    PoolKind.POOR: f"{_UNMARKED} AND f.tier = '{Tier.SHOW.value}'",
    # Begins with the few that have a mark.
    PoolKind.SET_ASIDE: (
        f"marks m CROSS JOIN faces f ON f.id = m.face_id WHERE {_FREE}"
        f" AND m.mark IN ('{Mark.NOBODY.value}', '{Mark.NOT_A_FACE.value}')"
    ),
}


class PoolFaces(TableAccess):
    """Reads the faces that belong to nobody."""

    def ids(self, kind: PoolKind) -> list[int]:
        """Return all faces of one kind in the order in which they are shown."""
        if kind is PoolKind.SET_ASIDE:
            rows = self._db.execute(f"SELECT f.id FROM {_FROM[kind]} ORDER BY m.at DESC, f.id")
            return [face_id for (face_id,) in rows]
        ids, guesses = self._best_first(kind), self._guesses() if kind is PoolKind.OPEN else {}
        return [
            # Those that are like one person stand together, whom most are like first.
            *sorted((face_id for face_id in ids if face_id in guesses), key=guesses.__getitem__),
            *(face_id for face_id in ids if face_id not in guesses),
        ]

    def _best_first(self, kind: PoolKind) -> list[int]:
        # Two long texts are read faster than many rows, and SQLite takes three times as long to sort them.
        columns = self._db.execute(f"SELECT json_group_array(f.id), json_group_array(f.quality) FROM {_FROM[kind]}")
        ids, quality = map(np.array, map(json.loads, columns.fetchone()))
        best_first: list[int] = ids[np.lexsort((ids, -quality))].tolist()
        return best_first

    def _guesses(self) -> dict[int, tuple[bool, int, int, float]]:
        """Return how faces are sorted that are like somebody, by face."""
        rows = self._db.execute(
            "SELECT s.face_id, s.person_id, s.distance, p.name IS NOT NULL FROM suggestions s"
            " JOIN people p ON p.id = s.person_id"
        ).fetchall()
        counts = Counter(person_id for _, person_id, _, _ in rows)
        return {
            face_id: (not is_named, -counts[person_id], person_id, distance)
            for face_id, person_id, distance, is_named in rows
        }

    def count(self, kind: PoolKind) -> int:
        """Return how many faces of one kind there are."""
        return self._number(f"SELECT COUNT(*) FROM {_FROM[kind]}")

    def rows(self, faces: Collection[int]) -> list[PoolRow]:
        """Return these faces, as far as there are any, in this order."""
        found = self._db.execute(
            "SELECT f.id, f.photo_id, COALESCE(t.taken_at, ''), s.person_id, p.name, s.distance, m.mark"
            " FROM faces f LEFT JOIN marks m ON m.face_id = f.id LEFT JOIN suggestions s ON s.face_id = f.id"
            " LEFT JOIN people p ON p.id = s.person_id LEFT JOIN photos t ON t.id = f.photo_id"
            " WHERE f.id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )
        rows = {row[0]: _row(*row) for row in found}
        return [rows[face_id] for face_id in faces if face_id in rows]


def _row(
    face_id: int, photo_id: int, taken_at: str, guess_id: int | None, name: str | None, distance: float | None,
    mark: str | None,
) -> PoolRow:  # fmt: skip
    guess = (name or label_of(guess_id)) if guess_id is not None else None
    return PoolRow(face_id, photo_id, taken_at, guess_id, guess, distance, Mark(mark) if mark else None)
