"""People, the links made for them, and the runs of scans and watchers."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from facewatch.catalog.assignments import Rejections
from facewatch.catalog.files import decoded, display
from facewatch.catalog.opening import TableAccess
from facewatch.catalog.presences import N_ONLY_PRESENT
from facewatch.catalog.tiles import COUNTED, LIVING_P, Tiles
from facewatch.ids import label_of
from facewatch.types import RecordedLink


@dataclass(frozen=True, slots=True)
class Person:
    """An identity, with what the library holds of it now."""

    id: int
    name: str | None
    is_hidden: bool
    is_user_edited: bool
    folder: str | None
    """The folder made for it, below the people folder."""
    n_faces: int
    n_photos: int
    """Also those that they are in by the user's word, without a face."""
    born: str | None = None
    """YYYY, YYYY-MM or YYYY-MM-DD."""
    cover_id: int | None = None
    """The face that stands for the person."""

    @property
    def label(self) -> str:
        return self.name or label_of(self.id)

    @property
    def is_machine_made(self) -> bool:
        """Nobody has decided anything about it: runs may make it grow or join it to another."""
        return self.name is None and not self.is_hidden and not self.is_user_edited


class People(TableAccess):
    """The table people."""

    def all(self) -> list[Person]:
        """Return the living people, most photos first, and last those that the grouping found to be near everybody."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, COALESCE(c.n_faces, 0), COALESCE(c.n_photos, 0) + {N_ONLY_PRESENT}, p.born,"
            f" p.cover_id FROM people p LEFT JOIN ({COUNTED}) c ON c.person_id = p.id WHERE {LIVING_P}"
            " ORDER BY 7 DESC, 6 DESC, 1"
        )
        last = Tiles(self._db).last()
        return sorted(map(_person, rows), key=lambda person: person.is_machine_made and person.id in last)

    def show_last(self, people: Iterable[int]) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO settings (key, value) VALUES ('last', ?)", [json.dumps(sorted(people))]
        )

    def one(self, person_id: int) -> Person | None:
        row = self._db.execute(f"{_SELECT} AND p.id = ? GROUP BY p.id", [person_id]).fetchone()
        return _person(row) if row else None

    def label(self, person_id: int) -> str | None:
        """Return what a living person is called; None: nobody of this id lives. Quicker than `one`, which counts."""
        row = self._db.execute(f"SELECT name FROM people WHERE id = ? AND {_LIVING}", [person_id]).fetchone()
        return (row[0] or label_of(person_id)) if row else None

    def counts(self) -> dict[str, int]:
        """Return how many living people have photos in the library, how many of them have a name, and how many are
        hidden; and how many others have a name."""
        people, named, hidden, all_named = self._db.execute(
            "SELECT COALESCE(SUM(is_here), 0), COALESCE(SUM(is_here AND name IS NOT NULL), 0),"
            " COALESCE(SUM(is_here AND is_hidden), 0), COUNT(name) FROM (SELECT p.name, p.is_hidden, EXISTS"
            " (SELECT 1 FROM assignments a JOIN faces f ON f.id = a.face_id"
            " JOIN files ON files.photo_id = f.photo_id WHERE a.person_id = p.id) OR EXISTS"
            " (SELECT 1 FROM presences r JOIN files ON files.photo_id = r.photo_id WHERE r.person_id = p.id) AS is_here"
            f" FROM people p WHERE {LIVING_P})"
        ).fetchone()
        return {"people": people, "named": named, "hidden": hidden, "absent": all_named - named}

    def newest(self) -> int:
        """Return the id of who was made last, 0 where there is nobody."""
        return self._number("SELECT COALESCE(MAX(id), 0) FROM people")

    def n_since(self, person_id: int) -> int:
        """Return how many people live that were made after this one."""
        return self._number(f"SELECT COUNT(*) FROM people WHERE id > ? AND {_LIVING}", [person_id])

    def names(self) -> dict[int, str]:
        """Return the names of the living people that have one."""
        rows = self._db.execute(f"SELECT id, name FROM people WHERE name IS NOT NULL AND {_LIVING} ORDER BY id")
        return dict(rows.fetchall())

    def former_names(self) -> dict[str, int]:
        """Return who had a name that a user has changed since, or has who had it as part of them now, by name; of
        several who had it the last."""
        renamed = self._db.execute(
            "SELECT json_extract(details, '$.before'), json_extract(details, '$.people[0]') FROM journal"
            " WHERE action = 'rename' ORDER BY id"
        ).fetchall()
        merged = self._db.execute("SELECT id, name, merged_into FROM people WHERE merged_into IS NOT NULL").fetchall()
        into = {person_id: other for person_id, _, other in merged}

        def now(person_id: int) -> int:
            while person_id in into:
                person_id = into[person_id]
            return person_id

        had = dict(renamed) | {name: person_id for person_id, name, _ in merged if name is not None}
        return {name: now(person_id) for name, person_id in had.items()}

    def all_names(self) -> dict[int, str]:
        """Return the names of all people that have or had one, also of those that live no longer."""
        return dict(self._db.execute("SELECT id, name FROM people WHERE name IS NOT NULL").fetchall())

    def unnamed(self) -> list[int]:
        """Return the ids of the living people that have no name."""
        rows = self._db.execute(f"SELECT id FROM people WHERE name IS NULL AND {_LIVING} ORDER BY id")
        return [person_id for (person_id,) in rows]

    def merged_into(self, person_id: int) -> int | None:
        return self._first("SELECT merged_into FROM people WHERE id = ?", [person_id])

    def add(self, now: str) -> int:
        """Return the id of a new unnamed person."""
        cursor = self._db.execute("INSERT INTO people (created_at) VALUES (?)", [now])
        return int(cursor.lastrowid or 0)

    def rename(self, person_id: int, name: str | None) -> None:
        self._set(person_id, name=name)

    def mark_edited(self, people: Iterable[int]) -> None:
        """A user decided something about these."""
        for person_id in people:
            self._set(person_id, is_touched=1)

    def hide(self, person_id: int, is_hidden: bool) -> None:
        self._set(person_id, is_hidden=int(is_hidden))

    def set_born(self, person_id: int, born: str | None) -> None:
        self._set(person_id, born=born)

    def set_cover(self, person_id: int, face_id: int | None) -> None:
        self._set(person_id, cover_id=face_id)

    def drop_covers(self) -> None:
        """No face stands for somebody to whom it does not belong any more."""
        self._db.execute(
            "UPDATE people SET cover_id = NULL WHERE cover_id IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM assignments a WHERE a.face_id = people.cover_id AND a.person_id = people.id)"
        )

    def retire(self, person_id: int, into: int) -> None:
        """The person lives on in another, and so does what was said about whom it is not; its id is never used
        again."""
        self._set(person_id, merged_into=into)
        rejections = Rejections(self._db)
        rejections.remove_cannot_link(into, person_id)
        for other in rejections.cannot_links().get(person_id, set()) - self._parts(into):
            rejections.add_cannot_link(into, other, rejections.cannot_link_since(person_id, other))

    def _parts(self, person_id: int) -> set[int]:
        """Return the person and everybody who lives on in it."""
        rows = self._db.execute(
            "WITH RECURSIVE parts(id) AS"
            " (VALUES (?) UNION SELECT p.id FROM people p JOIN parts ON p.merged_into = parts.id) SELECT id FROM parts",
            [person_id],
        )
        return {part for (part,) in rows}

    def forget(self, person_id: int) -> None:
        self._set(person_id, is_gone=1)

    def _set(self, person_id: int, **columns: object) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE people SET {names} WHERE id = ?", [*columns.values(), person_id])

    def births(self) -> dict[int, str]:
        """Return when people were born, of those where a user said it."""
        rows = self._db.execute(f"SELECT id, born FROM people WHERE born IS NOT NULL AND {_LIVING}")
        return dict(rows.fetchall())


class Links(TableAccess):
    """The table links, and the folders of people."""

    def set_folder(self, person_id: int, folder: str | None) -> None:
        self._db.execute("UPDATE people SET folder = ? WHERE id = ?", [folder, person_id])

    def forget_folder(self, folder: str) -> None:
        self._db.execute("UPDATE people SET folder = NULL WHERE folder = ?", [folder])

    def folders(self) -> dict[int, str]:
        """Return the folder made for each person, also for those that live on in another."""
        return dict(self._db.execute("SELECT id, folder FROM people WHERE folder IS NOT NULL").fetchall())

    def outdated(self, *, unnamed_photos: int | None) -> set[int]:
        """Return the people whose recorded links are not those of their photos as they are now; see `wanted`."""
        wanted = f"SELECT id AS person_id, photo_id FROM ({_wanted(unnamed_photos)})"
        recorded = "SELECT person_id, photo_id FROM links"
        rows = self._db.execute(
            f"SELECT person_id FROM ({wanted} EXCEPT {recorded})"
            f" UNION SELECT person_id FROM ({recorded} EXCEPT {wanted})"
            " UNION SELECT l.person_id FROM links l WHERE l.source NOT IN (SELECT CAST(roots.path || '/' || files.path"
            " AS BLOB) FROM files JOIN roots ON roots.id = files.root_id WHERE files.photo_id = l.photo_id)"
        )
        return {person_id for (person_id,) in rows}

    def wanted(
        self, *, unnamed_photos: int | None, only: Collection[int] | None = None
    ) -> list[tuple[int, str | None, int]]:
        """Return (person id, name, photo id) for everything that belongs in a folder now, of everybody or `only` of
        these people. Who has no name needs so many photos; None: and has no folder anyway."""
        return self._db.execute(f"{_wanted(unnamed_photos, only)} ORDER BY 1, 3").fetchall()

    def together(self, people: Collection[int]) -> list[int]:
        """Return the ids of the photos on which all of these are, in order; none if one of them is hidden."""
        rows = self._db.execute(
            f"SELECT photo_id FROM ({_wanted(None, people)}) GROUP BY photo_id HAVING COUNT(*) = ? ORDER BY 1",
            [len(people)],
        )
        return [photo_id for (photo_id,) in rows]

    def suggested(self, most: int) -> list[tuple[int, str, int]]:
        """Return (person id, name, photo id) of photos on which people with names may be who are not known to be on
        them, the likeliest `most` of each person."""
        return self._db.execute(
            "SELECT id, name, photo_id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY distance, photo_id)"
            f" AS place FROM ({_SUGGESTED})) WHERE place <= ? ORDER BY 1, 3",
            [most],
        ).fetchall()

    def faces(self, only: Collection[int] | None = None) -> dict[tuple[int, int], int]:
        """Return the face of each person on each photo, by both; the best one where there are several."""
        rows = self._db.execute(
            # Of a row with an aggregate of MAX, SQLite takes the other columns from where that was found.
            "SELECT a.person_id, f.photo_id, f.id, MAX(f.is_current * (1 + f.quality)) FROM assignments a"
            f" JOIN faces f ON f.id = a.face_id WHERE {_among('a.person_id', only)} GROUP BY 1, 2"
        )
        return {(person_id, photo_id): face_id for person_id, photo_id, face_id, _ in rows}

    def suggested_face(self, person_id: int, photo_id: int) -> int | None:
        """Return the face of a photo that may be this person's, the likeliest; None: none any more."""
        return self._first(f"SELECT face_id FROM ({_SUGGESTED}) WHERE id = ? AND photo_id = ?", [person_id, photo_id])

    def all(self, only: Collection[int] | None = None) -> list[RecordedLink]:
        """Return what was made, for everybody or `only` for these people."""
        rows = self._db.execute(f"{_SELECT_LINK} WHERE {_among('person_id', only)} ORDER BY id")
        return [_link(row) for row in rows]

    def most_common_kind(self) -> str | None:
        """Return how the stamps of most links begin, before the colon; None: there are none."""
        return self._first(
            "SELECT CAST(substr(stamp, 1, instr(stamp, CAST(':' AS BLOB)) - 1) AS TEXT) AS kind FROM links"
            " WHERE stamp <> x'' GROUP BY kind ORDER BY COUNT(*) DESC, kind LIMIT 1"
        )

    def at(self, path: str) -> RecordedLink | None:
        """Return the link made at this path below the people folder."""
        row = self._db.execute(f"{_SELECT_LINK} WHERE path = ?", [os.fsencode(path)]).fetchone()
        return _link(row) if row else None

    def is_any_below(self, folder: str) -> bool:
        """Whether a link was made in a folder below the people folder."""
        before = os.fsencode(folder) + b"/"
        return bool(
            self._number(
                "SELECT EXISTS (SELECT 1 FROM links WHERE path > ? AND path < ?)", [before, before[:-1] + b"0"]
            )
        )

    def add(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        """Record a link; what was recorded for its path before is replaced."""
        self._db.execute(
            "INSERT OR REPLACE INTO links (person_id, photo_id, path, display, source, stamp)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [person_id, photo_id, os.fsencode(path), display(path), os.fsencode(source), os.fsencode(stamp)],
        )

    def remove(self, link_id: int) -> None:
        self._db.execute("DELETE FROM links WHERE id = ?", [link_id])

    def move(self, old: str, new: str) -> None:
        """A folder was renamed: so were the paths of the links in it."""
        before, after = os.fsencode(old) + b"/", os.fsencode(new) + b"/"
        # "0" comes right behind "/": the range is everything below the folder.
        rows = self._db.execute("SELECT id, path FROM links WHERE path > ? AND path < ?", [before, before[:-1] + b"0"])
        moved = [(after + path[len(before) :], link_id) for link_id, path in rows.fetchall()]
        self._db.conn.executemany(
            "UPDATE links SET path = ?, display = ? WHERE id = ?",
            [(path, display(os.fsdecode(path)), link_id) for path, link_id in moved],
        )


class Runs(TableAccess):
    """The table runs."""

    def start(self, kind: str, now: str, *, strictness: float) -> int:
        """Return the id of a run that begins, with the `match.strictness` that it assigns faces by."""
        cursor = self._db.execute(
            "INSERT INTO runs (kind, pid, started_at, strictness) VALUES (?, ?, ?, ?)",
            [kind, os.getpid(), now, strictness],
        )
        return int(cursor.lastrowid or 0)

    def end(self, run_id: int, outcome: Mapping[str, Any], now: str) -> None:
        self._db.execute("UPDATE runs SET ended_at = ?, outcome = ? WHERE id = ?", [now, json.dumps(outcome), run_id])

    def last(self, kind: str) -> dict[str, Any] | None:
        # A scan that ended without an outcome failed before it had read anything.
        rows = self._db.query(
            "SELECT * FROM runs WHERE kind = ? AND NOT (kind = 'scan' AND outcome = '{}') ORDER BY id DESC LIMIT 1",
            [kind],
        )
        return next(iter(rows), None)


def _wanted(unnamed_photos: int | None, only: Collection[int] | None = None) -> str:
    """Return the query for (id, name, photo_id) of whoever is in a photo of the library, by a face or by the user's
    word, and has a folder."""
    which = f"{LIVING_P} AND NOT p.is_hidden AND {_among('p.id', only)}" + (
        " AND p.name IS NOT NULL" if unnamed_photos is None else ""
    )
    wanted = (
        "SELECT p.id, p.name, f.photo_id FROM people p JOIN assignments a ON a.person_id = p.id"
        f" JOIN faces f ON f.id = a.face_id WHERE {which}"
        " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)"
        " UNION SELECT p.id, p.name, r.photo_id FROM people p JOIN presences r ON r.person_id = p.id"
        f" WHERE {which} AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = r.photo_id)"
    )
    if unnamed_photos is None or unnamed_photos <= 1:
        return wanted
    return (
        f"SELECT id, name, photo_id FROM (SELECT *, COUNT(*) OVER (PARTITION BY id) AS n_photos FROM ({wanted}))"
        f" WHERE name IS NOT NULL OR n_photos >= {int(unnamed_photos)}"
    )


_SUGGESTED = (
    "SELECT p.id, p.name, f.photo_id, s.face_id, MIN(s.distance) AS distance FROM suggestions s"
    " JOIN faces f ON f.id = s.face_id JOIN people p ON p.id = s.person_id"
    f" WHERE {LIVING_P} AND NOT p.is_hidden AND p.name IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)"
    " AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.face_id = f.id)"
    " AND NOT EXISTS (SELECT 1 FROM marks m WHERE m.face_id = f.id)"
    " AND NOT EXISTS (SELECT 1 FROM rejections r WHERE r.face_id = f.id AND r.person_id = p.id)"
    " AND NOT EXISTS (SELECT 1 FROM assignments a JOIN faces other ON other.id = a.face_id"
    " WHERE other.photo_id = f.photo_id AND a.person_id = p.id)"
    " AND NOT EXISTS (SELECT 1 FROM presences r WHERE r.photo_id = f.photo_id AND r.person_id = p.id)"
    " GROUP BY p.id, f.photo_id"
)
"""The query for photos on which people with names may be, each with the face that is most like theirs."""


def _among(column: str, ids: Collection[int] | None) -> str:
    return "TRUE" if ids is None else f"{column} IN ({', '.join(str(int(i)) for i in ids)})"


_LIVING = "merged_into IS NULL AND NOT is_gone"

_COLUMNS = "p.id, p.name, p.is_hidden, p.is_touched, p.folder"

_SELECT = (
    f"SELECT {_COLUMNS}, COUNT(f.id), COUNT(DISTINCT f.photo_id) + {N_ONLY_PRESENT}, p.born, p.cover_id FROM people p"
    " LEFT JOIN assignments a ON a.person_id = p.id LEFT JOIN faces f ON f.id = a.face_id"
    f" AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id) WHERE {LIVING_P}"
)


_SELECT_LINK = "SELECT id, person_id, photo_id, path, source, stamp FROM links"


def _link(row: tuple[Any, ...]) -> RecordedLink:
    return RecordedLink(row[0], row[1], row[2], decoded(row[3]), decoded(row[4]), decoded(row[5]))


def _person(row: tuple[Any, ...]) -> Person:
    return Person(row[0], row[1], bool(row[2]), bool(row[3]), *row[4:])
