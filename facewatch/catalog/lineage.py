"""Which face a face was in an earlier version of its photo, and the transfer of assignments from one to the other."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facewatch.catalog.faces import BY_RUN, IN_LIBRARY
from facewatch.catalog.opening import TableAccess

_IS_SAID = (
    f"(EXISTS (SELECT 1 FROM assignments a WHERE a.face_id = f.id AND a.source NOT {BY_RUN})"
    " OR EXISTS (SELECT 1 FROM marks m WHERE m.face_id = f.id)"
    " OR EXISTS (SELECT 1 FROM rejections r WHERE r.face_id = f.id)"
    " OR EXISTS (SELECT 1 FROM people p WHERE p.cover_id = f.id)"
    " OR EXISTS (SELECT 1 FROM drawn d WHERE d.photo_id = f.photo_id)"
    " OR EXISTS (SELECT 1 FROM presences r WHERE r.photo_id = f.photo_id))"
)
_AMONG = "IN (SELECT value FROM json_each(?))"
_PLACING = (
    "person_id, source, distance, centroid_distance, runner_up_id, runner_up_distance, rule, run_id, at, entry_id"
)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a face is in its photo, in shares of the photo's sides."""

    face_id: int
    photo_id: int
    x: float
    """Of the middle of the face; so is `y`."""
    y: float
    side: float
    """The larger of its two."""
    is_there: bool = False
    """Whether some file holds the photo."""


class Lineage(TableAccess):
    """The table lineage, and what it takes to hand over."""

    # --- which face was which ---

    def add(self, earlier: Mapping[int, int], now: str) -> None:
        """Record which face each of these was before; what is on record stays."""
        self._db.conn.executemany(
            "INSERT INTO lineage (face_id, before_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(new, old, now) for new, old in earlier.items()],
        )

    def before(self, face_id: int) -> int | None:
        """Return the face of another photo that a face was before it; None: it was none."""
        return self._first("SELECT before_id FROM lineage WHERE face_id = ?", [face_id])

    # --- what is gone, and what is there ---

    def vanished(self, photos: Collection[int]) -> list[int]:
        """Return those of these photos that no file holds any more."""
        rows = self._db.execute(
            "SELECT f.value FROM json_each(?) f WHERE NOT EXISTS (SELECT 1 FROM files WHERE photo_id = f.value)",
            [json.dumps(list(photos))],
        )
        return [photo_id for (photo_id,) in rows]

    def vectors_of_vanished(self, engine_id: int) -> Iterator[tuple[int, bytes]]:
        """Yield face and vector (little-endian float32) of each face of a photo that no file holds any more."""
        yield from self._db.execute(
            "SELECT e.face_id, e.vector FROM faces f JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
            f" WHERE NOT {IN_LIBRARY}",
            [engine_id],
        )

    def vectors_of(self, photos: Collection[int], engine_id: int, *, only_said: bool) -> list[tuple[int, bytes]]:
        """Return the same of these photos; `only_said`: of the faces about which somebody said something."""
        return self._db.execute(
            "SELECT e.face_id, e.vector FROM faces f JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
            f" WHERE f.photo_id {_AMONG}" + (f" AND {_IS_SAID}" if only_said else ""),
            [engine_id, json.dumps(list(photos))],
        ).fetchall()

    def spots(self, faces: Collection[int]) -> list[Spot]:
        """Return where faces are."""
        rows = self._db.execute(
            "SELECT f.id, f.photo_id, (f.x + f.w / 2.0) / MAX(p.width, 1), (f.y + f.h / 2.0) / MAX(p.height, 1),"
            f" MAX(1.0 * f.w / MAX(p.width, 1), 1.0 * f.h / MAX(p.height, 1)), {IN_LIBRARY}"
            f" FROM faces f JOIN photos p ON p.id = f.photo_id WHERE f.id {_AMONG}",
            [json.dumps(list(faces))],
        )
        return [Spot(face_id, photo_id, x, y, side, bool(there)) for face_id, photo_id, x, y, side, there in rows]

    def newest_word(self, photo_id: int) -> str:
        """Return when something was said about a face of a photo for the last time; "" where nothing was."""
        at = self._first(
            f"SELECT MAX(MAX(COALESCE((SELECT at FROM assignments WHERE face_id = f.id AND source NOT {BY_RUN}), ''),"
            " COALESCE((SELECT at FROM marks WHERE face_id = f.id), ''),"
            " COALESCE((SELECT MAX(at) FROM rejections WHERE face_id = f.id), ''))) FROM faces f WHERE photo_id = ?",
            [photo_id],
        )
        return at or ""

    # --- handing over ---

    def decision_of(self, table: str, key: Sequence[int]) -> int | None:
        """Return the newest decision that stands and made a row what it is; None: the journal does not say."""
        # As the journal writes its changes: table and key stand in front of what was changed.
        return self._first(
            "SELECT MAX(d.id) FROM journal j JOIN journal d ON d.id = COALESCE(j.parent_id, j.id)"
            " WHERE (j.actor = 'user' OR j.parent_id IS NOT NULL) AND instr(j.undo, ?)"
            " AND d.actor = 'user' AND d.undone_by IS NULL"
            " AND d.action NOT IN ('undo', 'redo')",
            [f"[{json.dumps(table)}, {json.dumps(list(key))}, "],
        )

    def reject_as(self, new: int, old: int, person_id: int) -> None:
        """The new face is not that person, as was said of the old one."""
        self._db.execute(
            "INSERT INTO rejections (face_id, person_id, at) SELECT ?, person_id, at FROM rejections"
            " WHERE face_id = ? AND person_id = ? ON CONFLICT DO NOTHING",
            [new, old, person_id],
        )

    def mark_as(self, new: int, old: int) -> None:
        """The new face, which is unassigned, is out as the old one is."""
        self._db.execute(
            "INSERT INTO marks (face_id, mark, at) SELECT ?, mark, at FROM marks WHERE face_id = ?", [new, old]
        )

    def place_as(self, new: int, old: int) -> None:
        """The new face, which is unassigned, belongs to whom the old one does; who assigned that, when and why stays on
        record."""
        self._db.execute(
            f"INSERT INTO assignments (face_id, {_PLACING}) SELECT ?, {_PLACING} FROM assignments WHERE face_id = ?",
            [new, old],
        )

    def cover_as(self, new: int, old: int) -> None:
        """Whom the old face stood for, whose photo is gone, the new one stands for, if it belongs to them."""
        self._db.execute(
            "UPDATE people SET cover_id = ?1 WHERE cover_id = ?2 AND id = (SELECT person_id FROM assignments"
            " WHERE face_id = ?1) AND NOT EXISTS (SELECT 1 FROM files WHERE photo_id ="
            " (SELECT photo_id FROM faces WHERE id = ?2))",
            [new, old],
        )

    def forget_guesses(self, faces: Collection[int]) -> None:
        """Nothing is guessed about faces of which more is known."""
        self._db.execute(
            f"DELETE FROM suggestions WHERE face_id {_AMONG} AND (face_id IN (SELECT face_id FROM assignments)"
            " OR face_id IN (SELECT face_id FROM marks) OR EXISTS (SELECT 1 FROM rejections r"
            " WHERE r.face_id = suggestions.face_id AND r.person_id = suggestions.person_id))",
            [json.dumps(list(faces))],
        )
