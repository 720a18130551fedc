"""What holds in every catalog, whatever users, runs and crashes did. Reads only.

Damage that SQLite finds comes first, and alone: nothing else can be relied on then. A rule is a query for what breaks
it. Rules are those that the program keeps at each step; what may come about in the ordinary course of things (a photo
older than somebody's birth, learned later) is not here but in `facewatch audit`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator

from facewatch.catalog.faces import BY_RUN

_MOST_TOLD = 5

_IS_GONE = "(p.merged_into IS NOT NULL OR p.is_gone)"

_RULES = {
    "a face belongs to somebody who is a person no longer": (
        f"SELECT a.face_id FROM assignments a JOIN people p ON p.id = a.person_id WHERE {_IS_GONE}"
    ),
    "a face belongs to somebody though a user took it out": (
        "SELECT a.face_id FROM assignments a JOIN marks m ON m.face_id = a.face_id"
    ),
    "a face belongs to whom it is not, as a user said": (
        "SELECT a.face_id FROM assignments a JOIN rejections r ON r.face_id = a.face_id AND r.person_id = a.person_id"
    ),
    "a run placed a face with somebody who is in the photo already": (
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
    "two people have one folder": (
        "SELECT folder FROM people WHERE folder IS NOT NULL GROUP BY folder HAVING COUNT(*) > 1"
    ),
    "a pair of people apart is not in order": "SELECT person_id FROM apart WHERE person_id >= other_id",
    "an analysis does not have as many embeddings as faces": (
        "SELECT n.photo_id FROM analyses n WHERE n.n_faces != (SELECT COUNT(*) FROM faces f JOIN embeddings e"
        " ON e.face_id = f.id AND e.engine_id = n.engine_id WHERE f.photo_id = n.photo_id)"
    ),
    "an embedding is not as long as its engine's are": (
        "SELECT e.face_id FROM embeddings e JOIN engines n ON n.id = e.engine_id WHERE length(e.vector) != 4 * n.n_dims"
    ),
    "an embedding is of a photo that its engine has not looked at": (
        "SELECT e.face_id FROM embeddings e JOIN faces f ON f.id = e.face_id WHERE NOT EXISTS"
        " (SELECT 1 FROM analyses n WHERE n.photo_id = f.photo_id AND n.engine_id = e.engine_id)"
    ),
    "several engines are in use": (
        "SELECT id FROM engines WHERE is_in_use AND (SELECT COUNT(*) FROM engines WHERE is_in_use) > 1"
    ),
    "the library has no id": ("SELECT 'library_id' WHERE NOT EXISTS (SELECT 1 FROM settings WHERE key = 'library_id')"),
}
"""What a fault is called -> the query for the ids of what has it."""


def faults_of(db: sqlite3.Connection) -> list[str]:
    """Return what is wrong with a catalog of the newest schema, one line each; an intact one has no faults.

    Raises:
        sqlite3.DatabaseError: it cannot be read at all.
    """
    if damage := damage_of(db):
        return damage
    return [
        *_dangling(db),
        *(_told(name, [row[0] for row in db.execute(query)]) for name, query in _RULES.items() if _breaks(db, query)),
        *_shared_names(db),
        *_circles(db),
    ]


def damage_of(db: sqlite3.Connection) -> list[str]:
    """Return what SQLite says of the file."""
    verdicts = [row[0] for row in db.execute(f"PRAGMA integrity_check({_MOST_TOLD})")]
    return [] if verdicts == ["ok"] else [f"damaged: {verdict}" for verdict in verdicts]


def _breaks(db: sqlite3.Connection, query: str) -> bool:
    return db.execute(f"{query} LIMIT 1").fetchone() is not None


def _dangling(db: sqlite3.Connection) -> Iterator[str]:
    for table, parent, n in db.execute(
        'SELECT "table", parent, COUNT(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
    ):
        yield f"{n} row(s) of {table} name a row of {parent} that is not there"


def _shared_names(db: sqlite3.Connection) -> Iterator[str]:
    names = db.execute("SELECT name FROM people WHERE name IS NOT NULL AND merged_into IS NULL AND NOT is_gone")
    shared = [name for name, n in Counter(name.casefold() for (name,) in names).items() if n > 1]
    if shared:
        yield _told("two people have one name", sorted(shared))


def _circles(db: sqlite3.Connection) -> Iterator[str]:
    heirs = dict(db.execute("SELECT id, merged_into FROM people WHERE merged_into IS NOT NULL").fetchall())
    lost = [person_id for person_id in heirs if _is_in_circle(heirs, person_id)]
    if lost:
        yield _told("people were merged in a circle", sorted(lost))


def _is_in_circle(heirs: dict[int, int], person_id: int) -> bool:
    seen, at = {person_id}, heirs[person_id]
    while at in heirs and at not in seen:
        seen.add(at)
        at = heirs[at]
    return at == person_id


def _told(name: str, whose: list[object]) -> str:
    shown = ", ".join(str(one) for one in whose[:_MOST_TOLD])
    return f"{name}: {shown}" + (f" and {len(whose) - _MOST_TOLD} more" if len(whose) > _MOST_TOLD else "")
