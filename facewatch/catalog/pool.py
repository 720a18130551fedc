"""The faces that belong to nobody, as they are gone through by users."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

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


_WHERE = {
    PoolKind.OPEN: f"m.mark IS NULL AND f.tier != '{Tier.SHOW.value}'",
    PoolKind.POOR: f"m.mark IS NULL AND f.tier = '{Tier.SHOW.value}'",
    PoolKind.SET_ASIDE: f"m.mark IN ('{Mark.NOBODY.value}', '{Mark.NOT_A_FACE.value}')",
}
_ORDER = {
    # Those that are like one person stand together, whom most are like first.
    PoolKind.OPEN: "s.person_id IS NULL, p.name IS NULL, n.n DESC, s.person_id, s.distance, f.quality DESC, f.id",
    PoolKind.POOR: "f.quality DESC, f.id",
    PoolKind.SET_ASIDE: "m.at DESC, f.id",
}
_FACES = " FROM faces f LEFT JOIN assignments a ON a.face_id = f.id LEFT JOIN marks m ON m.face_id = f.id"
_GUESSED = " LEFT JOIN suggestions s ON s.face_id = f.id LEFT JOIN people p ON p.id = s.person_id"
_MARKED = " FROM marks m CROSS JOIN faces f ON f.id = m.face_id LEFT JOIN assignments a ON a.face_id = f.id"
"""Begins with the few that have a mark."""
_IS_THERE = f"f.is_current AND {IN_LIBRARY}"
_FREE = f"a.face_id IS NULL AND {_IS_THERE}"
_UNASSIGNED = (
    "WITH unassigned AS MATERIALIZED (SELECT f.id FROM faces f LEFT JOIN assignments a ON a.face_id = f.id"
    " WHERE a.face_id IS NULL)"
)
"""Found first, most faces need not be looked at any further."""
_GUESSES = (
    f" FROM unassigned u CROSS JOIN faces f ON f.id = u.id LEFT JOIN marks m ON m.face_id = f.id{_GUESSED}"
    " LEFT JOIN (SELECT person_id, COUNT(*) AS n FROM suggestions GROUP BY person_id) n ON n.person_id = s.person_id"
)


class PoolFaces(TableAccess):
    """Reads the faces that belong to nobody."""

    def ids(self, kind: PoolKind) -> list[int]:
        """Return all faces of one kind in the order in which they are shown."""
        ordered = f"SELECT f.id{_of(kind)} WHERE {_FREE} AND {_WHERE[kind]} ORDER BY {_ORDER[kind]}"
        if kind is PoolKind.OPEN:
            ordered = (
                f"{_UNASSIGNED} SELECT f.id{_GUESSES} WHERE {_IS_THERE} AND {_WHERE[kind]} ORDER BY {_ORDER[kind]}"
            )
        # One long text is read faster than many rows, and gives up Python's lock once.
        found = self._db.execute(f"SELECT json_group_array(id) FROM ({ordered})").fetchone()[0]
        ids: list[int] = json.loads(found)
        return ids

    def count(self, kind: PoolKind) -> int:
        """Return how many faces of one kind there are."""
        return self._number(f"SELECT COUNT(*){_of(kind)} WHERE {_FREE} AND {_WHERE[kind]}")

    def rows(self, faces: Collection[int]) -> list[PoolRow]:
        """Return these faces, as far as there are any, in this order."""
        found = self._db.execute(
            "SELECT f.id, f.photo_id, COALESCE(t.taken_at, ''), s.person_id, p.name, s.distance, m.mark"
            f"{_FACES}{_GUESSED} LEFT JOIN photos t ON t.id = f.photo_id"
            " WHERE f.id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )
        rows = {row[0]: _row(*row) for row in found}
        return [rows[face_id] for face_id in faces if face_id in rows]


def _of(kind: PoolKind) -> str:
    return _MARKED if kind is PoolKind.SET_ASIDE else _FACES


def _row(
    face_id: int, photo_id: int, taken_at: str, guess_id: int | None, name: str | None, distance: float | None,
    mark: str | None,
) -> PoolRow:  # fmt: skip
    guess = (name or label_of(guess_id)) if guess_id is not None else None
    return PoolRow(face_id, photo_id, taken_at, guess_id, guess, distance, Mark(mark) if mark else None)
