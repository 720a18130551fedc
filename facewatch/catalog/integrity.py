"""Contradictions within the catalog, and counts for reports. Reads only.

`faults_of` looks for what no run, user or crash may bring about: damage that SQLite finds comes first, and alone, as
nothing else can be relied on then; a rule is a query for what breaks it. What may come about in the ordinary course of
things (a photo older than somebody's birth, learned later) is not among the rules but in `facewatch audit`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog.assignments import IS_KNOWN_FROM
from facewatch.catalog.faces import BY_RUN, IN_LIBRARY
from facewatch.catalog.opening import TableAccess
from facewatch.columns import Columns

_SEEN = f"f.is_current AND {IN_LIBRARY}"

_MOST_LISTED = 5

_IS_GONE = "(p.merged_into IS NOT NULL OR p.is_gone)"

_ASSIGNED_WITH_NOBODY = (
    "SELECT a.face_id, p.id, p.merged_into IS NOT NULL FROM assignments a JOIN people p ON p.id = a.person_id"
    f" WHERE {_IS_GONE} ORDER BY 1"
)

_ASSIGNED_AGAINST_REJECTION = (
    "SELECT a.face_id, a.person_id FROM assignments a JOIN rejections r"
    " ON r.face_id = a.face_id AND r.person_id = a.person_id ORDER BY 1"
)

_ASSIGNED_THOUGH_MARKED = (
    "SELECT a.face_id, a.person_id FROM assignments a JOIN marks m ON m.face_id = a.face_id ORDER BY 1"
)

_DANGLING = 'SELECT "table", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'

_MERGES = "SELECT id, merged_into FROM people WHERE merged_into IS NOT NULL"

_IS_DRAWN = (
    "((f.engine_id = e.engine_id AND f.is_drawn) OR EXISTS (SELECT 1 FROM sightings s"
    " WHERE s.face_id = f.id AND s.engine_id = e.engine_id AND s.is_drawn))"
)
"""Of a face f and an embedding e, for SQL: the engine was given the box; its detector had not found the face."""

_RULES = {
    "a face belongs to somebody who is a person no longer": _ASSIGNED_WITH_NOBODY,
    "a face belongs to somebody though a user took it out": _ASSIGNED_THOUGH_MARKED,
    "a face belongs to whom it is not, as a user said": _ASSIGNED_AGAINST_REJECTION,
    "a run assigned a face to somebody who is in the photo already": (
        f"SELECT a.face_id FROM assignments a JOIN faces f ON f.id = a.face_id WHERE a.source {BY_RUN}"
        " AND EXISTS (SELECT 1 FROM faces g JOIN assignments b ON b.face_id = g.id"
        " WHERE g.photo_id = f.photo_id AND g.id != f.id AND b.person_id = a.person_id)"
    ),
    "a guess about a face that belongs to somebody": (
        "SELECT s.face_id FROM suggestions s JOIN assignments a ON a.face_id = s.face_id"
    ),
    "a guess about a face that a user took out": (
        "SELECT s.face_id FROM suggestions s JOIN marks m ON m.face_id = s.face_id"
    ),
    "a guess that a user rejected": (
        "SELECT s.face_id FROM suggestions s JOIN rejections r ON r.face_id = s.face_id AND r.person_id = s.person_id"
    ),
    "a guess that is a person no longer": (
        f"SELECT s.face_id FROM suggestions s JOIN people p ON p.id = s.person_id WHERE {_IS_GONE}"
    ),
    "a face stands for somebody to whom it does not belong": (
        "SELECT p.id FROM people p WHERE p.cover_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM assignments a WHERE a.face_id = p.cover_id AND a.person_id = p.id)"
    ),
    "somebody who is a person no longer is in a photo without a face": (
        f"SELECT r.photo_id FROM presences r JOIN people p ON p.id = r.person_id WHERE {_IS_GONE}"
    ),
    "two people have one folder": (
        "SELECT folder FROM people WHERE folder IS NOT NULL GROUP BY folder HAVING COUNT(*) > 1"
    ),
    "a pair of people apart is not in order": "SELECT person_id FROM apart WHERE person_id >= other_id",
    "an analysis does not have as many embeddings as faces": (
        "SELECT n.photo_id FROM analyses n WHERE n.n_faces != (SELECT COUNT(*) FROM faces f JOIN embeddings e"
        f" ON e.face_id = f.id AND e.engine_id = n.engine_id WHERE f.photo_id = n.photo_id AND NOT {_IS_DRAWN})"
    ),
    "an embedding is not as long as its engine's are": (
        "SELECT e.face_id FROM embeddings e JOIN engines n ON n.id = e.engine_id WHERE length(e.vector) != 4 * n.n_dims"
    ),
    "an embedding is of a photo that its engine has not analysed": (
        "SELECT e.face_id FROM embeddings e JOIN faces f ON f.id = e.face_id WHERE NOT EXISTS"
        " (SELECT 1 FROM analyses n WHERE n.photo_id = f.photo_id AND n.engine_id = e.engine_id)"
    ),
    "a face is shown though its box was taken back": (
        "SELECT f.id FROM faces f WHERE f.is_drawn AND f.is_current"
        " AND NOT EXISTS (SELECT 1 FROM drawn d WHERE d.face_id = f.id)"
    ),
    "a box that was drawn is on another photo than its face": (
        "SELECT d.face_id FROM drawn d JOIN faces f ON f.id = d.face_id WHERE f.photo_id != d.photo_id"
    ),
    "several engines are in use": (
        "SELECT id FROM engines WHERE is_in_use AND (SELECT COUNT(*) FROM engines WHERE is_in_use) > 1"
    ),
    "the library has no id": ("SELECT 'library_id' WHERE NOT EXISTS (SELECT 1 FROM settings WHERE key = 'library_id')"),
}
"""What a fault is called -> the query for the ids of what has it."""


@dataclass(frozen=True, slots=True)
class FaceMeasures(Columns):
    """How the faces of the library look."""

    qualities: NDArray[np.float32]
    """0 to 1."""
    sharpness: NDArray[np.float32]
    brightness: NDArray[np.float32]
    """0 to 255."""
    pixels: NDArray[np.float32]
    """The shorter side of the box, in pixels of the photo."""
    poses: NDArray[np.float32]
    """0 faces the camera, 1 is a profile; NaN where nobody measured it."""


@dataclass(frozen=True, slots=True)
class AssignedFace:
    """A face that belongs to a person."""

    face_id: int
    person_id: int


@dataclass(frozen=True, slots=True)
class StrayAssignment(AssignedFace):
    """A face assigned to a person who was merged or deleted."""

    is_merged: bool
    """The person lives on in another; else it is gone for good."""


class Integrity(TableAccess):
    """Queries for contradictions and counts."""

    def loosely_assigned(
        self, *, strictness: float, match: float, centroid: float, cluster: float
    ) -> dict[int, float | None]:
        """Return the faces that a run assigned by looser settings than these, and which `match.strictness` it had,
        where that is known; else what is on record shows it: they were farther off than these allow at most.

        Where it is known distances show nothing: groups are also made by what their faces have in common beyond
        strangers. Faces that were assigned by another engine are left out: what is on record of them is not by that
        one.

        Args:
            match: how far a face may be from the nearest face of its person at most, whatever else speaks for it.
            centroid: the same from the middle of its person.
            cluster: the same from the nearest face of its group.
        """
        rows = self._db.execute(
            "SELECT a.face_id, r.strictness FROM assignments a LEFT JOIN runs r ON r.id = a.run_id"
            f" WHERE NOT {IS_KNOWN_FROM} AND a.source {BY_RUN} AND (r.strictness < ?1 - 1e-6"
            " OR (r.strictness IS NULL AND ("
            " (a.source = 'auto' AND (a.distance > ?2 + 1e-4 OR a.centroid_distance > ?3 + 1e-4))"
            " OR (a.source = 'cluster' AND a.distance > ?4 + 1e-4))))",
            [strictness, match, centroid, cluster],
        )
        assigned = dict(rows)
        return assigned | self._loosely_joined(strictness)

    def _loosely_joined(self, strictness: float) -> dict[int, float]:
        """Return the faces of people whom a run with less than that made part of others."""
        entries = self._db.execute(
            "SELECT j.undo, r.strictness FROM journal j JOIN runs r ON r.id = j.run_id"
            " WHERE j.action = 'recluster' AND j.undone_by IS NULL AND r.strictness < ? - 1e-6",
            [strictness],
        )
        joined = {
            face_id: float(then)
            for undo, then in entries
            for _, _, faces in json.loads(undo).get("joined", ())
            for face_id in faces
        }
        runs = self._db.execute(
            f"SELECT face_id FROM assignments WHERE source {BY_RUN} AND NOT {IS_KNOWN_FROM}"
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
        """Return how many faces of the library were assigned by whom: auto, cluster, user, import or folder."""
        return self._count(
            f"SELECT a.source, COUNT(*) FROM assignments a JOIN faces f ON f.id = a.face_id WHERE {_SEEN} GROUP BY 1"
        )

    def marks(self) -> dict[str, int]:
        """Return how many faces of the library users took out, by what they said of them."""
        return self._count(
            f"SELECT m.mark, COUNT(*) FROM marks m JOIN faces f ON f.id = m.face_id WHERE {_SEEN} GROUP BY 1"
        )

    def measures(self) -> FaceMeasures:
        rows = self._db.execute(
            "SELECT f.quality, f.sharpness, f.brightness, MIN(f.w, f.h), f.pose FROM faces f"
            f" WHERE {_SEEN} ORDER BY f.id"
        ).fetchall()
        columns = np.array(rows, np.float32).reshape(-1, 5)
        return FaceMeasures(*(np.ascontiguousarray(column) for column in columns.T))

    def twice(self) -> list[tuple[int, int]]:
        """Return (person, photo) for everybody who has several faces in a photo of the library."""
        # Few are: whether those live and their photos are there is asked last.
        return self._db.execute(
            "SELECT f.person_id, f.photo_id FROM (SELECT a.person_id, g.photo_id FROM assignments a"
            " JOIN faces g ON g.id = a.face_id GROUP BY 1, 2 HAVING COUNT(*) > 1) f JOIN people p ON p.id = f.person_id"
            f" WHERE p.merged_into IS NULL AND NOT p.is_gone AND {IN_LIBRARY} ORDER BY 1, 2"
        ).fetchall()

    def assigned_against_rejections(self) -> list[AssignedFace]:
        """Return the faces that belong to whom a user said that they are not."""
        return [AssignedFace(*row) for row in self._db.execute(_ASSIGNED_AGAINST_REJECTION)]

    def assigned_though_marked(self) -> list[AssignedFace]:
        """Return the assigned faces that a user marked as unassigned."""
        return [AssignedFace(*row) for row in self._db.execute(_ASSIGNED_THOUGH_MARKED)]

    def strays(self) -> list[StrayAssignment]:
        rows = self._db.execute(_ASSIGNED_WITH_NOBODY)
        return [StrayAssignment(face_id, person_id, bool(is_merged)) for face_id, person_id, is_merged in rows]

    def merges(self) -> dict[int, int]:
        """Return for everybody who was merged into whom."""
        return dict(self._db.execute(_MERGES).fetchall())

    def name_of(self, person_id: int) -> str | None:
        """Return the name of a person, also of one that lives no longer."""
        return self._first("SELECT name FROM people WHERE id = ?", [person_id])

    def dangling(self) -> dict[tuple[str, str], int]:
        """Return how many rows of a table name a row of another that is not there."""
        return {(table, parent): n for table, parent, n in self._db.execute(_DANGLING)}

    def _count(self, query: str) -> dict[str, int]:
        return dict(self._db.execute(query).fetchall())


def faults_of(db: sqlite3.Connection) -> list[str]:
    """Return what is wrong with a catalog of the newest schema, one line each; an intact one has no faults.

    Raises:
        sqlite3.DatabaseError: it cannot be read at all.
    """
    if damage := damage_of(db):
        return damage
    return [
        *_dangling(db),
        *(_listed(name, [row[0] for row in db.execute(query)]) for name, query in _RULES.items() if _breaks(db, query)),
        *_shared_names(db),
        *_circles(db),
    ]


def damage_of(db: sqlite3.Connection) -> list[str]:
    """Return what SQLite says of the file."""
    verdicts = [row[0] for row in db.execute(f"PRAGMA integrity_check({_MOST_LISTED})")]
    return [] if verdicts == ["ok"] else [f"damaged: {verdict}" for verdict in verdicts]


def _breaks(db: sqlite3.Connection, query: str) -> bool:
    return db.execute(f"{query} LIMIT 1").fetchone() is not None


def _dangling(db: sqlite3.Connection) -> Iterator[str]:
    for table, parent, n in db.execute(_DANGLING):
        yield f"{n} row(s) of {table} name a row of {parent} that is not there"


def _shared_names(db: sqlite3.Connection) -> Iterator[str]:
    names = db.execute("SELECT name FROM people WHERE name IS NOT NULL AND merged_into IS NULL AND NOT is_gone")
    shared = [name for name, n in Counter(name.casefold() for (name,) in names).items() if n > 1]
    if shared:
        yield _listed("two people have one name", sorted(shared))


def _circles(db: sqlite3.Connection) -> Iterator[str]:
    merged_into = dict(db.execute(_MERGES).fetchall())
    lost = [person_id for person_id in merged_into if _is_in_circle(merged_into, person_id)]
    if lost:
        yield _listed("people were merged in a circle", sorted(lost))


def _is_in_circle(merged_into: dict[int, int], person_id: int) -> bool:
    seen, at = {person_id}, merged_into[person_id]
    while at in merged_into and at not in seen:
        seen.add(at)
        at = merged_into[at]
    return at == person_id


def _listed(name: str, whose: list[object]) -> str:
    shown = ", ".join(str(one) for one in whose[:_MOST_LISTED])
    return f"{name}: {shown}" + (f" and {len(whose) - _MOST_LISTED} more" if len(whose) > _MOST_LISTED else "")
