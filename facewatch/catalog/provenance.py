"""How each face came to whom it belongs, and what users said about it. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlite_utils import Database

from facewatch.catalog.faces import KNOWN_FROM
from facewatch.catalog.journal import USER

PLACED = "placed by you"
"""The rule of a face that a user gave to somebody."""

_SPLIT = re.compile(r"split from (.*) by you", re.DOTALL)


def split_rule(label: str) -> str:
    """Return the rule of a face that a user split from the person of this label."""
    return f"split from {label} by you"


class How(StrEnum):
    """How a face came to its person."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    RECOGNISED = "recognised"
    GROUPED = "grouped"
    IMPORTED = "imported"
    FOLDER = "folder"


_OF_SOURCE = {"auto": How.RECOGNISED, "cluster": How.GROUPED, "import": How.IMPORTED, "folder": How.FOLDER}


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

    # What was done is told by the rule, which catalogs of every version hold as a text: here it is read, nowhere else.

    @property
    def how(self) -> How:
        if self.source == USER:
            return How.PLACED if self._rule == PLACED else How.CONFIRMED
        return _OF_SOURCE[self.source]

    @property
    def split_from(self) -> str | None:
        """From whom a user split the face: what that one was called then."""
        found = _SPLIT.fullmatch(self._rule)
        return found[1] if found else None

    @property
    def known_from(self) -> str | None:
        """The engine that had recognised the face, before another one came into use."""
        return self.rule.partition(KNOWN_FROM)[2] or None

    @property
    def _rule(self) -> str:
        return self.rule.partition(KNOWN_FROM)[0]


class Provenance:
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

    def decisions_about(self, faces: Collection[int]) -> dict[int, list[int]]:
        """Return for each face the journal entries of decisions that stand and that changed anything about it, newest
        first; where a run placed it because of one, that one."""
        rows = self._db.execute(
            "SELECT DISTINCT json_extract(c.value, '$[1][0]') AS face_id, d.id FROM journal j"
            " JOIN journal d ON d.id = COALESCE(j.parent_id, j.id) JOIN json_each(j.undo, '$.changes') c"
            " WHERE d.actor = ? AND d.undone_by IS NULL AND d.action NOT IN ('undo', 'redo')"
            " AND json_extract(c.value, '$[0]') IN ('assignments', 'marks', 'rejections')"
            " AND face_id IN (SELECT value FROM json_each(?)) ORDER BY d.id DESC",
            [USER, json.dumps(list(faces))],
        )
        found: dict[int, list[int]] = {face_id: [] for face_id in faces}
        for face_id, entry_id in rows:
            found[face_id].append(entry_id)
        return found
