"""The faces of the catalog, their embeddings, and the marks that users set (no face, nobody known)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog.engines import SIGHTING_COLUMNS
from facewatch.catalog.opening import TableAccess, clear_errors
from facewatch.columns import Columns
from facewatch.fs.mapped import GrowingRows
from facewatch.types import Analysis, Box, Face, Tier

NOBODY = 0
"""The person id of a face of the pool, in arrays."""

RUNS = frozenset({"auto", "cluster"})
"""The sources of assignments that a run made; users, imports and folders made the others."""

BY_RUN = "IN ('auto', 'cluster')"
"""The same for SQL."""

IN_LIBRARY = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)"
"""Of a face f, for SQL: whether some file holds its photo."""

_IS_KNOWN = f"({IN_LIBRARY} OR (a.person_id IS NOT NULL AND t.is_reference))"
"""The same, or that it shows who somebody is; photos are t, assignments a."""

_ROWS_AT_ONCE = 8192

_UNMARKED = "NOT EXISTS (SELECT 1 FROM marks WHERE marks.face_id = f.id)"
_FACTS = (
    "f.id, f.photo_id, COALESCE(a.person_id, 0) AS person_id, f.tier, f.quality,"
    " COALESCE(a.source = 'user', 0) AS by_user, COALESCE(CAST(julianday(t.taken_at) AS INTEGER), 0) AS day"
)
"""What a row of `FaceTable` holds, but for the vector."""
_FACTS_FROM = (
    "FROM faces f JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
    " LEFT JOIN photos t ON t.id = f.photo_id LEFT JOIN assignments a ON a.face_id = f.id"
)
_IS_OPEN = (
    f"(m.mark IS NULL AND CASE WHEN p.id IS NULL THEN f.tier != '{Tier.SHOW.value}'"
    " ELSE p.name IS NULL AND NOT p.is_hidden END)"
)


class Mark(StrEnum):
    """What a user said about an unassigned face; no run assigns it."""

    NOBODY = "nobody"
    """It stays with nobody until a user says whose it is."""
    NOT_A_FACE = "not_a_face"
    FORGOTTEN = "forgotten"
    """Its person was forgotten: it is never compared with any other."""


@dataclass(frozen=True, slots=True)
class FaceRow:
    """One face and its assignment, for decisions about it."""

    id: int
    photo_id: int
    person_id: int | None
    source: str | None
    """Who assigned it: auto, cluster, user, import or folder."""
    mark: Mark | None
    box: Box


@dataclass(frozen=True, slots=True)
class FaceTable(Columns):
    """Faces."""

    ids: NDArray[np.int64]
    photos: NDArray[np.int64]
    people: NDArray[np.int64]
    """NOBODY for the pool."""
    tiers: NDArray[np.str_]
    qualities: NDArray[np.float32]
    """0 to 1."""
    by_user: NDArray[np.bool_]
    """Whether a user assigned the face."""
    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, n_dims)."""
    days: NDArray[np.int64]
    """When each was taken, in days from one long ago, 0 where nobody knows."""

    @property
    def may_enroll(self) -> NDArray[np.bool_]:
        """Which faces are good enough to start people and to move centroids."""
        return np.asarray(self.tiers == Tier.ENROLL.value, np.bool_)

    @property
    def weights(self) -> NDArray[np.float32]:
        """What each face counts in the centroid of its person."""
        return np.where(self.may_enroll, self.qualities, 0).astype(np.float32)

    @property
    def day(self) -> int:
        """When these faces of one photo were taken, 0: nobody knows."""
        return int(self.days[0]) if len(self) else 0


@dataclass(frozen=True, slots=True)
class SeenFaces:
    """The faces of one photo as one engine sees them; row i of each array belongs together."""

    width: int
    """Of the upright photo in pixels; so is `height`."""
    height: int
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    """x, y, w, h in pixels of the upright photo, shape (n_faces, 4)."""
    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, n_dims)."""
    landmarks: NDArray[np.float64] | None = None
    """x and y of five points in pixels of the upright photo, shape (n_faces, 5, 2)."""
    taken_at: str = ""
    """When the photo was taken; "": nobody knows."""
    format: str = ""
    """Of the photo, as the decoder calls it."""


class Faces(TableAccess):
    """The tables faces, embeddings, analyses, sightings and marks."""

    path = Path()
    """Of the catalog: vectors of very many faces lie in a file beside it while they are needed. Without a name, of one
    that is only read, that file is where the system has such files."""

    def is_analysed(self, photo_id: int, engine_id: int) -> bool:
        return (
            self._first("SELECT 1 FROM analyses WHERE photo_id = ? AND engine_id = ?", [photo_id, engine_id])
            is not None
        )

    def boxes(self, photo_id: int) -> tuple[list[int], NDArray[np.float64]]:
        """Return ids and boxes (x, y, w, h) of all faces that any engine ever found in a photo."""
        rows = self._db.execute(
            "SELECT id, x, y, w, h FROM faces WHERE photo_id = ? ORDER BY id", [photo_id]
        ).fetchall()
        return [row[0] for row in rows], np.array([row[1:] for row in rows], np.float64).reshape(-1, 4)

    def add_analysis(
        self, photo_id: int, engine_id: int, analysis: Analysis, now: str, *, earlier: Mapping[int, int] | None = None
    ) -> list[int]:
        """Record what the engine found, also nothing, and return the ids of the faces.

        Args:
            earlier: number of a face of the analysis -> id of the known face that it is. What an engine finds that is
                not in use stays hidden.
        """
        self._db.execute(
            "INSERT INTO analyses (photo_id, engine_id, n_faces, at) VALUES (?, ?, ?, ?)",
            [photo_id, engine_id, len(analysis.faces), now],
        )
        return [
            self.record(photo_id, engine_id, face, known=(earlier or {}).get(number))
            for number, face in enumerate(analysis.faces)
        ]

    def record(self, photo_id: int, engine_id: int, face: Face, *, known: int | None = None) -> int:
        """Record how an engine sees a face, its embedding included, and return the face's id; `known` is the face on
        record that it is. What an engine sees that is not in use stays hidden."""
        is_in_use = self._db.execute("SELECT is_in_use FROM engines WHERE id = ?", [engine_id]).fetchone()[0]
        face_id = known
        if face_id is None:
            face_id = self._add_face(photo_id, engine_id, face, is_current=is_in_use)
        elif is_in_use:
            self._update_seen(face_id, engine_id, face)
        else:
            self._write_sighting("INSERT OR REPLACE INTO sightings (face_id, engine_id", [face_id, engine_id], face)
        self._db.execute(
            "INSERT OR REPLACE INTO embeddings (face_id, engine_id, vector) VALUES (?, ?, ?)",
            [face_id, engine_id, face.embedding.astype("<f4").tobytes()],
        )
        return face_id

    def _add_face(self, photo_id: int, engine_id: int, face: Face, *, is_current: bool) -> int:
        insert = "INSERT INTO faces (photo_id, engine_id, is_current"
        return self._write_sighting(insert, [photo_id, engine_id, int(is_current)], face)

    def _update_seen(self, face_id: int, engine_id: int, face: Face) -> None:
        """The engine in use has found a face that only others knew: its view is the one that stands in `faces`."""
        self._db.execute(
            f"INSERT OR REPLACE INTO sightings (face_id, engine_id, {SIGHTING_COLUMNS})"
            f" SELECT id, engine_id, {SIGHTING_COLUMNS} FROM faces WHERE id = ? AND engine_id != ?",
            [face_id, engine_id],
        )
        values = _sighting(face)
        self._db.execute(
            f"UPDATE faces SET (engine_id, is_current, {SIGHTING_COLUMNS}) = (?, 1, {', '.join('?' * len(values))})"
            " WHERE id = ?",
            [engine_id, *values, face_id],
        )

    def _write_sighting(self, insert: str, keys: list[int], face: Face) -> int:
        values = [*keys, *_sighting(face)]
        cursor = self._db.execute(f"{insert}, {SIGHTING_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
        return int(cursor.lastrowid or 0)

    def seen(self, photo_id: int, engine_id: int) -> SeenFaces:
        """Return the faces of a photo that this engine has found, whatever users said of them."""
        width, height, taken_at, format = self._db.execute(
            "SELECT width, height, COALESCE(taken_at, ''), COALESCE(format, '') FROM photos WHERE id = ?", [photo_id]
        ).fetchone()
        rows = self._db.execute(
            "SELECT f.id, f.x, f.y, f.w, f.h, e.vector, f.landmarks FROM faces f"
            " JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ? WHERE f.photo_id = ? ORDER BY f.id",
            [engine_id, photo_id],
        ).fetchall()
        vectors = np.frombuffer(b"".join(row[5] for row in rows), "<f4").astype(np.float32)
        return SeenFaces(
            width=width or 1,
            height=height or 1,
            ids=np.array([row[0] for row in rows], np.int64),
            boxes=np.array([row[1:5] for row in rows], np.float64).reshape(-1, 4),
            embeddings=vectors.reshape(len(rows), -1) if rows else vectors.reshape(0, 0),
            landmarks=np.array([json.loads(row[6]) for row in rows], np.float64).reshape(-1, 5, 2),
            taken_at=taken_at,
            format=format,
        )

    def load(
        self,
        engine_id: int,
        *,
        n_dims: int,
        photo_id: int | None = None,
        people: Collection[int] | None = None,
        faces: Collection[int] | None = None,
        is_assigned: bool = False,
        with_references: bool = False,
    ) -> FaceTable:
        """Return all faces of photos that are in the library as arrays, in order of their ids.

        Or those of one photo, of these people (NOBODY: the pool), of these ids, or of anybody (`is_assigned`). Faces
        that a user took out (`Mark`) are not among them; faces of somebody in references that lie in no library are
        with `with_references`. The vectors of very many are mapped from a file, and cannot be changed.

        Raises:
            DiskFullError: there is no room for that file.
        """
        where, arguments = _chosen(photo_id, people, faces, is_assigned=is_assigned, with_references=with_references)
        # Ordered as the index of the embeddings is, so that SQLite need not sort the vectors; but it would go through
        # all of that for the few faces of a photo.
        order = "e.face_id" if photo_id is None else "f.id"
        found = self._db.execute(
            f"SELECT {_FACTS}, e.vector {_FACTS_FROM} WHERE {where} AND f.is_current AND {_UNMARKED} ORDER BY {order}",
            [engine_id, *arguments],
        )
        tables, vectors = [_table_of([], 0)], GrowingRows(n_dims, self.path.parent if self.path.name else None)
        with clear_errors(self.path):
            # Some at a time: the rows of all faces take twice as much memory as their arrays.
            for rows in iter(lambda: found.fetchmany(_ROWS_AT_ONCE), []):
                table = _table_of(rows, n_dims)
                vectors.add(table.embeddings)
                tables.append(replace(table, embeddings=table.embeddings[:, :0].copy()))
            return replace(FaceTable.together(tables), embeddings=vectors.array())

    def load_with(
        self,
        engine_id: int,
        vectors_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        *,
        people: Collection[int] | None = None,
        with_references: bool = False,
    ) -> FaceTable:
        """Return all faces, or those of these people, as `load` does, with vectors that the caller has: in a third of
        the time, and no vector takes its room in memory twice.

        Args:
            vectors_of: returns those of faces, of which the ids are ascending, shape (n_faces, n_dims).
        """
        where, arguments = _chosen(None, people, None, is_assigned=False, with_references=with_references)
        # Some long texts are read five times as fast as a row a face.
        columns = self._db.execute(
            "SELECT json_group_array(id), json_group_array(photo_id), json_group_array(person_id),"
            " json_group_array(tier), json_group_array(quality), json_group_array(by_user), json_group_array(day)"
            f" FROM (SELECT {_FACTS} {_FACTS_FROM} WHERE {where} AND f.is_current AND {_UNMARKED} ORDER BY e.face_id)",
            [engine_id, *arguments],
        ).fetchone()
        ids, photos, people, tiers, qualities, by_user, days = map(json.loads, columns)
        face_ids = np.array(ids, np.int64)
        return FaceTable(
            face_ids,
            np.array(photos, np.int64),
            np.array(people, np.int64),
            np.array(tiers, np.str_),
            np.array(qualities, np.float32),
            np.array(by_user, np.bool_),
            vectors_of(face_ids),
            np.array(days, np.int64),
        )

    def vectors(self, engine_id: int, faces: NDArray[np.int64], *, n_dims: int) -> NDArray[np.float32]:
        """Return the unit vectors of these faces, whose ids are ascending, as an engine sees them, shape
        (n_faces, n_dims).

        Raises:
            ValueError: it has not seen one of them.
        """
        rows = self._db.execute(
            "SELECT vector FROM embeddings WHERE engine_id = ?"
            " AND face_id IN (SELECT value FROM json_each(?)) ORDER BY face_id",
            [engine_id, json.dumps(faces.tolist())],
        )
        matrix = np.frombuffer(b"".join(vector for (vector,) in rows), "<f4").reshape(len(faces), n_dims)
        return matrix.astype(np.float32, copy=False)

    def best_of(self, people: Collection[int], most: int) -> dict[int, list[int]]:
        """Return the faces, at most so many each, by which these people are recognised: the one that stands for the
        person, then the best ones; only of photos that are in the library."""
        rows = self._db.execute(
            "SELECT person_id, face_id FROM (SELECT a.person_id, f.id AS face_id, ROW_NUMBER() OVER (PARTITION BY"
            " a.person_id ORDER BY f.id != COALESCE(p.cover_id, 0), f.tier != ?, f.quality DESC, f.id) AS place"
            " FROM assignments a JOIN faces f ON f.id = a.face_id JOIN people p ON p.id = a.person_id"
            " WHERE a.person_id IN (SELECT value FROM json_each(?))"
            f" AND f.is_current AND {_UNMARKED} AND {IN_LIBRARY}) WHERE place <= ? ORDER BY person_id, place",
            [Tier.ENROLL.value, json.dumps(list(people)), most],
        )
        best: dict[int, list[int]] = {}
        for person_id, face_id in rows:
            best.setdefault(person_id, []).append(face_id)
        return best

    def best_first(self, faces: Collection[int]) -> list[int]:
        """Return these faces, those that show most first: in the library, good enough to start people, of quality."""
        rows = self._db.execute(
            "SELECT f.id FROM faces f WHERE f.id IN (SELECT value FROM json_each(?))"
            f" ORDER BY NOT {IN_LIBRARY}, f.tier != ?, f.quality DESC, f.id",
            [json.dumps(list(faces)), Tier.ENROLL.value],
        )
        return [face_id for (face_id,) in rows]

    def owners(self, engine_id: int) -> dict[int, int]:
        """Return whose each face of the library is that this engine has found, NOBODY: nobody's."""
        return dict(
            self._db.execute(
                "SELECT f.id, COALESCE(a.person_id, 0) FROM faces f"
                " JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
                " LEFT JOIN assignments a ON a.face_id = f.id"
                f" WHERE f.is_current AND {_UNMARKED} AND {IN_LIBRARY} ORDER BY f.id",
                [engine_id],
            ).fetchall()
        )

    def rows(self, faces: Collection[int]) -> list[FaceRow]:
        """Return these faces, as far as there are any, in order of their ids; none whose box a user took back."""
        rows = self._db.execute(
            "SELECT f.id, f.photo_id, a.person_id, a.source, m.mark, f.x, f.y, f.w, f.h, f.turn FROM faces f"
            " LEFT JOIN assignments a ON a.face_id = f.id LEFT JOIN marks m ON m.face_id = f.id"
            " WHERE f.id IN (SELECT value FROM json_each(?)) AND (NOT f.is_drawn"
            " OR EXISTS (SELECT 1 FROM drawn d WHERE d.face_id = f.id)) ORDER BY f.id",
            [json.dumps(list(faces))],
        )
        return [
            FaceRow(face_id, photo_id, person_id, source, Mark(mark) if mark else None, Box(*box))
            for face_id, photo_id, person_id, source, mark, *box in rows
        ]

    def of_person(self, person_id: int) -> list[FaceRow]:
        """Return all faces of a person, also those of photos that are not in the library now."""
        ids = self._db.execute("SELECT face_id FROM assignments WHERE person_id = ?", [person_id])
        return self.rows([face_id for (face_id,) in ids])

    def beside(self, photos: Collection[int], person_id: int) -> list[FaceRow]:
        """Return the faces of a person in these photos."""
        ids = self._db.execute(
            "SELECT f.id FROM faces f JOIN assignments a ON a.face_id = f.id"
            " WHERE a.person_id = ? AND f.photo_id IN (SELECT value FROM json_each(?))",
            [person_id, json.dumps(list(photos))],
        )
        return self.rows([face_id for (face_id,) in ids])

    def mark(self, faces: Collection[int], mark: Mark, now: str) -> None:
        """Record what a user said about these unassigned faces."""
        self._db.conn.executemany(
            "INSERT INTO marks (face_id, mark, at) VALUES (?, ?, ?)"
            " ON CONFLICT (face_id) DO UPDATE SET mark = excluded.mark, at = excluded.at",
            [(face_id, mark.value, now) for face_id in faces],
        )
        self._db.execute(
            "DELETE FROM suggestions WHERE face_id IN (SELECT value FROM json_each(?))", [json.dumps(list(faces))]
        )

    def stamp(self) -> str:
        """Return a text that changes when there are other faces in the library, or other decisions about them."""
        numbers = self._db.execute(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM faces), (SELECT COALESCE(MAX(id), 0) FROM journal),"
            " (SELECT COUNT(*) FROM faces f WHERE f.is_current"
            " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id))"
        ).fetchone()
        return " ".join(map(str, numbers))

    def in_photo(self, photo_id: int) -> list[dict[str, Any]]:
        """Return the faces of a photo with their person or best guess, for people to read; from left to right."""
        return list(
            self._db.query(
                "SELECT f.id AS face_id, f.x, f.y, f.w, f.h, f.turn, a.person_id,"
                f" {_label('p')} AS name,"
                " a.source, m.mark, COALESCE(a.distance, s.distance) AS distance,"
                " COALESCE(a.centroid_distance, s.centroid_distance) AS centroid_distance,"
                f" {_label('g')} AS best_guess,"
                f" {_label('r')} AS runner_up,"
                " COALESCE(a.runner_up_distance, s.runner_up_distance) AS runner_up_distance,"
                " COALESCE(a.rule, s.rule) AS rule, f.quality, f.sharpness, f.brightness, f.pose, f.score,"
                " f.tier, f.norm, f.covered, f.is_drawn"
                " FROM faces f LEFT JOIN assignments a ON a.face_id = f.id LEFT JOIN marks m ON m.face_id = f.id"
                " LEFT JOIN suggestions s ON s.face_id = f.id AND a.face_id IS NULL"
                " LEFT JOIN people p ON p.id = a.person_id LEFT JOIN people g ON g.id = s.person_id"
                " LEFT JOIN people r ON r.id = COALESCE(a.runner_up_id, s.runner_up_id)"
                " WHERE f.photo_id = ? AND f.is_current ORDER BY f.x, f.id",
                [photo_id],
            )
        )

    def numbers(self, photos: Collection[int]) -> dict[int, int]:
        """Return the number of each face in its photo, from left to right, from 1, for the faces of these photos."""
        rows = self._db.execute(
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY photo_id ORDER BY x, id) FROM faces"
            " WHERE is_current AND photo_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos))],
        )
        return dict(rows.fetchall())

    def export_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield one row a face and file: absolute path, face, person, name, box, distance, source, turn."""
        rows = self._db.execute(
            "SELECT roots.path, files.path, f.id, a.person_id,"
            f" {_label('p')},"
            " f.x, f.y, f.w, f.h, a.distance, a.source, f.turn"
            " FROM files JOIN roots ON roots.id = files.root_id"
            " JOIN faces f ON f.photo_id = files.photo_id AND f.is_current"
            " LEFT JOIN assignments a ON a.face_id = f.id LEFT JOIN people p ON p.id = a.person_id"
            " ORDER BY roots.path, files.path, f.x, f.id"
        )
        for root, path, *rest in rows:
            yield (os.fsdecode(root + b"/" + path), *rest)

    def counts(self) -> dict[str, int]:
        """Return how many faces of the library there are, how many are assigned, in the pool, too poor to be matched,
        and taken out by users (what is not a face counts as no face); and how many are open, see `n_open`."""
        faces, assigned, shown, left_out, n_open = self._db.execute(
            "SELECT COUNT(*), COUNT(a.face_id), COALESCE(SUM(f.tier = ? AND a.face_id IS NULL AND m.mark IS NULL), 0),"
            f" COUNT(m.mark), COALESCE(SUM({_IS_OPEN}), 0) FROM faces f LEFT JOIN assignments a ON a.face_id = f.id"
            " LEFT JOIN people p ON p.id = a.person_id LEFT JOIN marks m ON m.face_id = f.id"
            f" WHERE f.is_current AND COALESCE(m.mark, '') != ? AND {IN_LIBRARY}",
            [Tier.SHOW.value, Mark.NOT_A_FACE.value],
        ).fetchone()
        pool = faces - assigned - shown - left_out
        return {
            **{"faces": faces, "assigned": assigned, "pool": pool, "only_shown": shown, "left_out": left_out},
            "open": n_open,
        }

    def newest(self) -> int:
        """Return the id of the face that came last, 0 where there is none."""
        return self._number("SELECT COALESCE(MAX(id), 0) FROM faces")

    def n_since(self, face_id: int) -> int:
        """Return how many faces of the library came after this one."""
        return self._number(f"SELECT COUNT(*) FROM faces f WHERE f.id > ? AND f.is_current AND {IN_LIBRARY}", [face_id])

    def n_open(self) -> int:
        """Return how many faces have no name yet: those of the pool, and those of people whom no user has
        named or hidden."""
        return self._number(
            "SELECT COUNT(*) FROM faces f LEFT JOIN assignments a ON a.face_id = f.id"
            " LEFT JOIN people p ON p.id = a.person_id LEFT JOIN marks m ON m.face_id = f.id"
            f" WHERE f.is_current AND {_IS_OPEN} AND {IN_LIBRARY}"
        )


def _chosen(
    photo_id: int | None,
    people: Collection[int] | None,
    faces: Collection[int] | None,
    *,
    is_assigned: bool,
    with_references: bool,
) -> tuple[str, list[object]]:
    """Return the condition of `Faces.load` on faces f and assignments a, and its arguments."""
    where, arguments = (_IS_KNOWN if with_references else IN_LIBRARY), list[object]()
    if photo_id is not None:
        where, arguments = "f.photo_id = ?", [photo_id]
    if people is not None:
        # By ids of faces, so that SQLite begins with these few and not with all faces.
        theirs = "f.id IN (SELECT face_id FROM assignments WHERE person_id IN (SELECT value FROM json_each(?)))"
        where += f" AND {f'(a.person_id IS NULL OR {theirs})' if NOBODY in people else theirs}"
        arguments.append(json.dumps(list(people)))
    if is_assigned:
        where += " AND a.person_id IS NOT NULL"
    if faces is not None:
        where += " AND f.id IN (SELECT value FROM json_each(?))"
        arguments.append(json.dumps([int(face_id) for face_id in faces]))
    return where, arguments


def _table_of(rows: Sequence[tuple[Any, ...]], n_dims: int) -> FaceTable:
    ids, photos, people, tiers, qualities, by_user, days, vectors = zip(*rows, strict=True) if rows else ((),) * 8
    return FaceTable(
        np.array(ids, np.int64),
        np.array(photos, np.int64),
        np.array(people, np.int64),
        np.array(tiers, np.str_),
        np.array(qualities, np.float32),
        np.array(by_user, np.bool_),
        np.frombuffer(b"".join(vectors), "<f4").reshape(len(rows), n_dims).astype(np.float32),
        np.array(days, np.int64),
    )


def _label(person: str) -> str:
    """Return the SQL of what a row of people is called, as `Person.label`; NULL where there is none."""
    return f"CASE WHEN {person}.id IS NOT NULL THEN COALESCE({person}.name, printf('Person %04d', {person}.id)) END"


def _sighting(face: Face) -> list[object]:
    """Return the values of the columns `SIGHTING_COLUMNS`."""
    box, quality = face.box, face.quality
    return [
        *(box.x, box.y, box.w, box.h, box.turn, json.dumps([round(v, 1) for v in face.landmarks]), face.score),
        *(quality.sharpness, quality.brightness, quality.score, quality.tier.value, quality.pose),
        *(quality.norm, quality.covered.value, int(face.is_drawn)),
    ]
