"""Which face is assigned to which person, by which run or decision, and which assignments users rejected."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from facewatch.catalog.faces import BY_RUN, IN_LIBRARY
from facewatch.catalog.journal import USER
from facewatch.catalog.opening import TableAccess
from facewatch.types import Match

_NEWEST_ENTRY = "(SELECT MAX(id) FROM journal)"

_MANY_PEOPLE = 500


class Assignments(TableAccess):
    """The tables assignments and suggestions."""

    def people_in(self, photo_id: int) -> set[int]:
        """Return who is in a photo, also by faces that the engine in use does not see."""
        rows = self._db.execute(
            "SELECT a.person_id FROM assignments a JOIN faces f ON f.id = a.face_id WHERE f.photo_id = ?", [photo_id]
        )
        return {person_id for (person_id,) in rows}

    def people_of(self, photos: Collection[int]) -> set[int]:
        """Return who is in these photos."""
        rows = self._db.execute(
            "SELECT DISTINCT a.person_id FROM faces f JOIN assignments a ON a.face_id = f.id"
            " WHERE f.photo_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos))],
        )
        return {person_id for (person_id,) in rows}

    def photos_of(self, people: Collection[int]) -> dict[int, set[int]]:
        """Return the photos that each of these people is in, also those that are not in the library now."""
        photos: dict[int, set[int]] = {person_id: set() for person_id in people}
        # Of many all faces are gone through as they lie in the file, and not one person's after the other.
        order = "NOT INDEXED CROSS JOIN" if len(photos) > _MANY_PEOPLE else "JOIN"
        owners, theirs = self._db.execute(
            "SELECT json_group_array(a.person_id), json_group_array(f.photo_id)"
            f" FROM assignments a {order} faces f ON f.id = a.face_id"
            " WHERE a.person_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos))],
        ).fetchone()
        for person_id, photo_id in zip(json.loads(owners), json.loads(theirs), strict=True):
            photos[person_id].add(photo_id)
        return photos

    def all(self) -> list[int]:
        """Return all faces that belong to somebody, by id."""
        # One long text is read five times as fast as a row a face.
        ordered = "SELECT face_id FROM assignments ORDER BY face_id"
        faces: list[int] = json.loads(self._first(f"SELECT json_group_array(face_id) FROM ({ordered})") or "[]")
        return faces

    def count(self) -> int:
        """Return how many faces belong to somebody, also those whose photos are gone; quick however many there are."""
        return self._number("SELECT COUNT(*) FROM assignments")

    def assign(self, face_id: int, match: Match, *, source: str, run_id: int | None, now: str) -> None:
        """Give the face to the person, unless it already belongs to somebody."""
        self._db.execute(
            "INSERT INTO assignments (face_id, person_id, source, distance, centroid_distance, runner_up_id,"
            f" runner_up_distance, rule, run_id, at, entry_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_NEWEST_ENTRY})"
            " ON CONFLICT (face_id) DO NOTHING",
            [face_id, match.person_id, source, *_distances(match), match.rule, run_id, now],
        )
        self._db.execute("DELETE FROM suggestions WHERE face_id = ?", [face_id])

    def assign_by_user(self, face_id: int, person_id: int, *, rule: str, now: str) -> None:
        """A user says whose face it is, whatever was said before."""
        self._db.execute(
            f"INSERT INTO assignments (face_id, person_id, source, rule, at, entry_id)"
            f" VALUES (?, ?, 'user', ?, ?, {_NEWEST_ENTRY}) ON CONFLICT (face_id) DO UPDATE SET"
            " person_id = excluded.person_id, source = 'user', distance = NULL, centroid_distance = NULL,"
            " runner_up_id = NULL, runner_up_distance = NULL, rule = excluded.rule, run_id = NULL, at = excluded.at,"
            " entry_id = excluded.entry_id",
            [face_id, person_id, rule, now],
        )
        self._db.execute("DELETE FROM rejections WHERE face_id = ? AND person_id = ?", [face_id, person_id])
        self._db.execute("DELETE FROM marks WHERE face_id = ?", [face_id])
        self._db.execute("DELETE FROM suggestions WHERE face_id = ?", [face_id])

    def assign_from_file(self, face_id: int, person_id: int, *, rule: str, now: str) -> None:
        """A file says whose face it is, whatever a run had made of it."""
        self._db.execute(
            f"INSERT INTO assignments (face_id, person_id, source, rule, at, entry_id)"
            f" VALUES (?, ?, 'import', ?, ?, {_NEWEST_ENTRY}) ON CONFLICT (face_id) DO UPDATE SET"
            " person_id = excluded.person_id, source = 'import', distance = NULL, centroid_distance = NULL,"
            " runner_up_id = NULL, runner_up_distance = NULL, rule = excluded.rule, run_id = NULL, at = excluded.at,"
            " entry_id = excluded.entry_id",
            [face_id, person_id, rule, now],
        )
        self._db.execute("DELETE FROM suggestions WHERE face_id = ?", [face_id])

    def said(self, faces: Collection[int]) -> set[int]:
        """Return those of these faces that a user, or a file of theirs, gave to somebody, and no run."""
        rows = self._db.execute(
            "SELECT face_id FROM assignments WHERE source IN ('user', 'import', 'folder')"
            " AND face_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )
        return {face_id for (face_id,) in rows}

    def confirm(self, faces: Collection[int]) -> None:
        """A user says that these are where they belong."""
        self._db.execute(
            "UPDATE assignments SET source = 'user' WHERE face_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )

    def move(self, faces: Collection[int], person_id: int, *, rule: str, now: str) -> None:
        """Give assigned faces to another person; who assigned them stays on record."""
        self._db.execute(
            f"UPDATE assignments SET person_id = ?, rule = ?, at = ?, entry_id = {_NEWEST_ENTRY}"
            " WHERE face_id IN (SELECT value FROM json_each(?))",
            [person_id, rule, now, json.dumps(list(faces))],
        )

    def reassign_all(self, old_person: int, new_person: int) -> list[int]:
        """Move every face of one person to another and return them; the way each was matched stays on record."""
        moved = [
            row[0] for row in self._db.execute("SELECT face_id FROM assignments WHERE person_id = ?", [old_person])
        ]
        self._db.execute("UPDATE assignments SET person_id = ? WHERE person_id = ?", [new_person, old_person])
        self.move_guesses(old_person, new_person)
        Rejections(self._db).copy(old_person, new_person)
        return moved

    def all_people(self) -> dict[int, int]:
        """Return whose each assigned face is."""
        return dict(self._db.execute("SELECT face_id, person_id FROM assignments"))

    def move_guesses(self, old_person: int, new_person: int) -> None:
        """Best guesses that name one person name another."""
        self._db.execute("UPDATE suggestions SET person_id = ? WHERE person_id = ?", [new_person, old_person])

    def release(self, faces: Collection[int]) -> None:
        """These belong to nobody."""
        self._db.execute(
            "DELETE FROM assignments WHERE face_id IN (SELECT value FROM json_each(?))", [json.dumps(list(faces))]
        )

    def made_since(self, people: Collection[int], entry_id: int) -> list[int]:
        """Return the faces of these people that runs assigned when this entry was in the journal already; none that a
        user chose to stand for its person, which says that it is that one."""
        rows = self._db.execute(
            f"SELECT face_id FROM assignments WHERE source {BY_RUN} AND entry_id >= ?"
            " AND person_id IN (SELECT value FROM json_each(?))"
            " AND face_id NOT IN (SELECT cover_id FROM people WHERE cover_id IS NOT NULL) ORDER BY face_id",
            [entry_id, json.dumps(list(people))],
        )
        return [face_id for (face_id,) in rows]

    def n_made_by(self, run_id: int, *, since: int) -> tuple[int, int]:
        """Return how many faces that came after this one are with somebody, and how many others the run assigned."""
        new, before = self._db.execute(
            "SELECT COALESCE(SUM(a.face_id > ?), 0), COALESCE(SUM(a.face_id <= ?), 0) FROM assignments a"
            " JOIN faces f ON f.id = a.face_id WHERE (a.face_id > ? OR a.run_id = ?) AND f.is_current"
            f" AND {IN_LIBRARY}",
            [since, since, since, run_id],
        ).fetchone()
        return int(new), int(before)

    def renew_distances(self, distances: Iterable[tuple[int, float | None, float | None]], before: str) -> None:
        """Update the record of how near each assigned face (id, to the nearest member, to the centroid) is to its
        person, and behind the rule which engine it was known from; the first one stays."""
        self._db.conn.executemany(
            "UPDATE assignments SET distance = ?, centroid_distance = ?, runner_up_id = NULL,"
            f" runner_up_distance = NULL, rule = iif({IS_KNOWN_FROM}, rule, rule || ?) WHERE face_id = ?",
            [(nearest, centroid, KNOWN_FROM + before, face_id) for face_id, nearest, centroid in distances],
        )

    def suggest(self, face_id: int, match: Match, now: str) -> None:
        """Keep the best guess for a face of the pool."""
        self._db.execute(
            "INSERT OR REPLACE INTO suggestions (face_id, person_id, distance, centroid_distance, runner_up_id,"
            " runner_up_distance, rule, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [face_id, match.person_id, *_distances(match), match.rule, now],
        )

    def forget_guesses(self) -> None:
        """No best guess may name who lives no longer or was rejected, or stand for a face of whom more was said."""
        self._db.execute(
            "DELETE FROM suggestions WHERE person_id IN"
            " (SELECT id FROM people WHERE merged_into IS NOT NULL OR is_gone)"
            " OR face_id IN (SELECT face_id FROM assignments) OR face_id IN (SELECT face_id FROM marks)"
            " OR EXISTS (SELECT 1 FROM rejections r"
            " WHERE r.face_id = suggestions.face_id AND r.person_id = suggestions.person_id)"
        )

    def people_on(self, photos: Collection[int]) -> dict[int, int]:
        """Return who is on these photos, and on how many of them."""
        rows = self._db.execute(
            "SELECT a.person_id, COUNT(DISTINCT f.photo_id) FROM assignments a JOIN faces f ON f.id = a.face_id"
            " WHERE f.photo_id IN (SELECT value FROM json_each(?)) GROUP BY a.person_id",
            [json.dumps(list(photos))],
        )
        return dict(rows.fetchall())


class Rejections(TableAccess):
    """The tables rejections and apart: who a face is not, and which two people are not one."""

    def all(self) -> dict[int, set[int]]:
        """Return, by face id, the people that a user said it is not."""
        rejected: dict[int, set[int]] = {}
        for face_id, person_id in self._db.execute("SELECT face_id, person_id FROM rejections"):
            rejected.setdefault(face_id, set()).add(person_id)
        return rejected

    def of_faces(self, faces: Collection[int]) -> dict[int, set[int]]:
        """Return the same of these faces only."""
        rejected: dict[int, set[int]] = {}
        for face_id, person_id in self._db.execute(
            "SELECT face_id, person_id FROM rejections WHERE face_id IN (SELECT value FROM json_each(?))",
            [json.dumps([int(face_id) for face_id in faces])],
        ):
            rejected.setdefault(face_id, set()).add(person_id)
        return rejected

    def of_person(self, person_id: int) -> set[int]:
        """Return the faces that a user said are not this person."""
        rows = self._db.execute("SELECT face_id FROM rejections WHERE person_id = ?", [person_id])
        return {face_id for (face_id,) in rows}

    def add(self, face_id: int, person_id: int, now: str) -> None:
        """A user says that it is not this person."""
        self._db.execute(
            "INSERT INTO rejections (face_id, person_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [face_id, person_id, now],
        )
        self._db.execute("DELETE FROM suggestions WHERE face_id = ? AND person_id = ?", [face_id, person_id])

    def copy(self, old_person: int, new_person: int) -> None:
        """Whoever is not the one is not the other, either."""
        self._db.execute(
            "INSERT INTO rejections (face_id, person_id, at)"
            " SELECT face_id, ?, at FROM rejections WHERE person_id = ? ON CONFLICT DO NOTHING",
            [new_person, old_person],
        )

    def add_cannot_link(self, person_id: int, other_id: int, at: str) -> None:
        """These are two people, as a user said."""
        pair = sorted((person_id, other_id))
        self._db.execute("INSERT INTO apart VALUES (?, ?, ?) ON CONFLICT DO NOTHING", [*pair, at])

    def remove_cannot_link(self, person_id: int, other_id: int) -> None:
        """These are not two people after all."""
        self._db.execute("DELETE FROM apart WHERE person_id = ? AND other_id = ?", sorted((person_id, other_id)))

    def cannot_links(self) -> dict[int, set[int]]:
        """Return, for each person that was told apart from others, those others; both ways."""
        others: dict[int, set[int]] = {}
        for one, other in self._db.execute("SELECT person_id, other_id FROM apart"):
            others.setdefault(one, set()).add(other)
            others.setdefault(other, set()).add(one)
        return others

    def cannot_link_since(self, person_id: int, other_id: int) -> str:
        row = self._db.execute(
            "SELECT at FROM apart WHERE person_id = ? AND other_id = ?", sorted((person_id, other_id))
        ).fetchone()
        return str(row[0])


def _distances(match: Match) -> tuple[float | None, ...]:
    return match.distance, match.centroid_distance, match.runner_up_id, match.runner_up_distance


KNOWN_FROM = "; known from "
"""Follows the rule of an assignment that was made by another engine, before the name of that: no column tells it."""

IS_KNOWN_FROM = f"instr(rule, '{KNOWN_FROM}')"
"""The same for SQL, of an assignment."""

PLACED = "placed by you"
"""The rule of a face that a user gave to somebody."""

_SPLIT = re.compile(r"split from (.*) by you", re.DOTALL)


def split_rule(label: str) -> str:
    """Return the rule of a face that a user split from the person of this label."""
    return f"split from {label} by you"


class How(StrEnum):
    """By which kind of run or decision a face was assigned."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    RECOGNISED = "recognised"
    GROUPED = "grouped"
    IMPORTED = "imported"
    FOLDER = "folder"


_OF_SOURCE = {"auto": How.RECOGNISED, "cluster": How.GROUPED, "import": How.IMPORTED, "folder": How.FOLDER}


@dataclass(frozen=True, slots=True)
class Assignment:
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

    # What was done is in the rule, which catalogs of every version hold as a text: here it is read, nowhere else.

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
    def came_from(self) -> str:
        """What says so, of a face whose name came from elsewhere."""
        return self._rule

    @property
    def _rule(self) -> str:
        return self.rule.partition(KNOWN_FROM)[0]


class Provenance(TableAccess):
    """What is read of the tables assignments, runs, marks, rejections and journal about single faces."""

    def assigned(self, faces: Collection[int]) -> dict[int, Assignment]:
        """Return the assignments of these faces, as far as they have one, by face id."""
        rows = self._db.execute(
            "SELECT a.face_id, a.person_id, a.source, a.rule, a.distance, a.centroid_distance, a.runner_up_id,"
            " a.runner_up_distance, a.at, r.kind, r.started_at FROM assignments a LEFT JOIN runs r ON r.id = a.run_id"
            " WHERE a.face_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(faces))],
        )
        return {row[0]: Assignment(*row) for row in rows}

    def rejected(self, face_id: int) -> dict[int, str]:
        """Return whom a user said that the face is not, and when."""
        return dict(
            self._db.execute(
                "SELECT person_id, at FROM rejections WHERE face_id = ? ORDER BY at, person_id", [face_id]
            ).fetchall()
        )

    def marked_at(self, face_id: int) -> str | None:
        """Return when a user took the face out; None: nobody did."""
        return self._first("SELECT at FROM marks WHERE face_id = ?", [face_id])

    def decisions_about(self, faces: Collection[int]) -> dict[int, list[int]]:
        """Return for each face the journal entries of decisions that stand and that changed anything about it, newest
        first; where a run assigned it because of one, that one. What a recluster did is on record as its run."""
        rows = self._db.execute(
            "SELECT DISTINCT json_extract(c.value, '$[1][0]') AS face_id, d.id FROM journal j"
            " JOIN journal d ON d.id = COALESCE(j.parent_id, j.id) JOIN json_each(j.undo, '$.changes') c"
            " WHERE d.actor = ? AND d.undone_by IS NULL AND d.action NOT IN ('undo', 'redo', 'recluster')"
            " AND json_extract(c.value, '$[0]') IN ('assignments', 'marks', 'rejections')"
            " AND face_id IN (SELECT value FROM json_each(?)) ORDER BY d.id DESC",
            [USER, json.dumps(list(faces))],
        )
        found: dict[int, list[int]] = {face_id: [] for face_id in faces}
        for face_id, entry_id in rows:
            found[face_id].append(entry_id)
        return found
