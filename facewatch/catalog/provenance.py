"""How each face came to whom it belongs, and what users said about it. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class Placing:
    """The assignment of a face, as it is on record."""

    face_id: int
    person_id: int
    source: str
    """auto, cluster, user, import or folder."""
    rule: str
    distance: float | None
    """To the nearest member when it was made, as are the next three."""
    centroid_distance: float | None
    runner_up_id: int | None
    runner_up_distance: float | None
    at: str
    run_kind: str | None
    """Of the run that made it: scan, watch, recluster; None: no run did, or it is not known any more."""
    run_started_at: str | None


class Placings:
    """What is read of the tables assignments, runs, marks, rejections and journal about single faces."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def placed(self, faces: Collection[int]) -> dict[int, Placing]:
        """Return the assignments of these faces, as far as they have one, by face id."""
        rows = self._db.execute(
            "SELECT a.face_id, a.person_id, a.source, a.rule, a.distance, a.centroid_distance, a.runner_up_id,"
            " a.runner_up_distance, a.at, r.kind, r.started_at FROM assignments a LEFT JOIN runs r ON r.id = a.run_id"
            " WHERE a.face_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )
        return {row[0]: Placing(*row) for row in rows}

    def rejected(self, face_id: int) -> dict[int, str]:
        """Return whom a user said that the face is not, and when."""
        return dict(
            self._db.execute(
                "SELECT person_id, at FROM rejections WHERE face_id = ? ORDER BY at, person_id", [face_id]
            ).fetchall()
        )

    def marked_at(self, face_id: int) -> str | None:
        """Return when a user took the face out; None: nobody did."""
        row = self._db.execute("SELECT at FROM marks WHERE face_id = ?", [face_id]).fetchone()
        return row[0] if row else None

    def decisions_about(self, face_id: int) -> list[int]:
        """Return the journal entries of decisions that stand and that changed anything about the face, newest first;
        where a run placed it because of one, that one."""
        # As the journal writes its changes: table and key stand in front of what was changed.
        keys = [f'["assignments", [{face_id}], ', f'["marks", [{face_id}], ', f'["rejections", [{face_id}, ']
        rows = self._db.execute(
            "SELECT DISTINCT d.id FROM journal j JOIN journal d ON d.id = COALESCE(j.parent_id, j.id)"
            f" WHERE ({' OR '.join(['instr(j.undo, ?)'] * len(keys))}) AND d.actor = 'user' AND d.undone_by IS NULL"
            " AND d.action NOT IN ('undo', 'redo') ORDER BY d.id DESC",
            keys,
        )
        return [entry_id for (entry_id,) in rows]
