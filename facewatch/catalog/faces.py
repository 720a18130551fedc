"""Faces, their embeddings, and whom they are assigned to."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlite_utils import Database

from facewatch.catalog.engines import SIGHT
from facewatch.types import Analysis, Face, Match, Tier

NOBODY = 0
"""The person id of a face of the pool, in arrays."""

_IN_LIBRARY = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)"


@dataclass(frozen=True, slots=True)
class FaceTable:
    """Faces as arrays; row i of each belongs together."""

    ids: NDArray[np.int64]
    photos: NDArray[np.int64]
    people: NDArray[np.int64]
    """NOBODY for the pool."""
    tiers: NDArray[np.str_]
    qualities: NDArray[np.float32]
    """0 to 1."""
    by_user: NDArray[np.bool_]
    """Whether a user placed the face."""
    embeddings: NDArray[np.float32]
    """Unit vectors, shape (n_faces, n_dims)."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_founding(self) -> NDArray[np.bool_]:
        """Which faces are good enough to found people and to move centroids."""
        return np.asarray(self.tiers == Tier.FOUND.value, np.bool_)

    @property
    def weights(self) -> NDArray[np.float32]:
        """What each face counts in the centroid of its person."""
        return np.where(self.is_founding, self.qualities, 0).astype(np.float32)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> FaceTable:
        return FaceTable(
            *(self.ids[rows], self.photos[rows], self.people[rows], self.tiers[rows], self.qualities[rows]),
            self.by_user[rows],
            self.embeddings[rows],
        )


class Faces:
    """The tables faces, embeddings, assignments, suggestions and rejections."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def is_analysed(self, photo_id: int, engine_id: int) -> bool:
        row = self._db.execute(
            "SELECT 1 FROM analyses WHERE photo_id = ? AND engine_id = ?", [photo_id, engine_id]
        ).fetchone()
        return row is not None

    def boxes(self, photo_id: int) -> tuple[list[int], NDArray[np.float64]]:
        """Return ids and boxes (x, y, w, h) of all faces that any engine ever found in a photo."""
        rows = self._db.execute(
            "SELECT id, x, y, w, h FROM faces WHERE photo_id = ? ORDER BY id", [photo_id]
        ).fetchall()
        return [row[0] for row in rows], np.array([row[1:] for row in rows], np.float64).reshape(-1, 4)

    def add_analysis(
        self, photo_id: int, engine_id: int, analysis: Analysis, now: str, *, heirs: Mapping[int, int] | None = None
    ) -> list[int]:
        """Record what the engine found, also nothing, and return the ids of the faces.

        Args:
            heirs: number of a face of the analysis -> id of the known face that it is. What an engine finds that is
                not in use stays out of sight.
        """
        is_in_use = self._db.execute("SELECT is_in_use FROM engines WHERE id = ?", [engine_id]).fetchone()[0]
        self._db.execute(
            "INSERT INTO analyses (photo_id, engine_id, n_faces, at) VALUES (?, ?, ?, ?)",
            [photo_id, engine_id, len(analysis.faces), now],
        )
        ids = []
        for number, face in enumerate(analysis.faces):
            face_id = (heirs or {}).get(number)
            if face_id is None:
                face_id = self._add_face(photo_id, engine_id, face, is_current=is_in_use)
            elif is_in_use:
                self._see_anew(face_id, engine_id, face)
            else:
                self._write_sight("INSERT INTO sightings (face_id, engine_id", [face_id, engine_id], face)
            ids.append(face_id)
            self._db.execute(
                "INSERT INTO embeddings (face_id, engine_id, vector) VALUES (?, ?, ?)",
                [face_id, engine_id, face.embedding.astype("<f4").tobytes()],
            )
        return ids

    def _add_face(self, photo_id: int, engine_id: int, face: Face, *, is_current: bool) -> int:
        insert = "INSERT INTO faces (photo_id, engine_id, is_current"
        return self._write_sight(insert, [photo_id, engine_id, int(is_current)], face)

    def _see_anew(self, face_id: int, engine_id: int, face: Face) -> None:
        """The engine in use has found a face that only others knew: its view is the one that stands in `faces`."""
        self._db.execute(
            f"INSERT OR REPLACE INTO sightings (face_id, engine_id, {SIGHT})"
            f" SELECT id, engine_id, {SIGHT} FROM faces WHERE id = ?",
            [face_id],
        )
        self._db.execute(
            f"UPDATE faces SET (engine_id, is_current, {SIGHT}) = (?, 1, {', '.join('?' * len(_sight(face)))})"
            " WHERE id = ?",
            [engine_id, *_sight(face), face_id],
        )

    def _write_sight(self, insert: str, keys: list[int], face: Face) -> int:
        values = [*keys, *_sight(face)]
        cursor = self._db.execute(f"{insert}, {SIGHT}) VALUES ({', '.join('?' * len(values))})", values)
        return int(cursor.lastrowid or 0)

    def people_in(self, photo_id: int) -> set[int]:
        """Return who is in a photo, also by faces that the engine in use does not see."""
        rows = self._db.execute(
            "SELECT a.person_id FROM assignments a JOIN faces f ON f.id = a.face_id WHERE f.photo_id = ?", [photo_id]
        )
        return {person_id for (person_id,) in rows}

    def photos_of(self, people: Collection[int]) -> dict[int, set[int]]:
        """Return the photos that each of these people is in, also those that are not in the library now."""
        photos: dict[int, set[int]] = {person_id: set() for person_id in people}
        rows = self._db.execute(
            "SELECT a.person_id, f.photo_id FROM assignments a JOIN faces f ON f.id = a.face_id"
            " WHERE a.person_id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos))],
        )
        for person_id, photo_id in rows:
            photos[person_id].add(photo_id)
        return photos

    def assigned(self) -> list[int]:
        return [face_id for (face_id,) in self._db.execute("SELECT face_id FROM assignments ORDER BY face_id")]

    def renew_distances(self, distances: Iterable[tuple[int, float | None, float | None]], before: str) -> None:
        """Record anew how near each assigned face (id, to the nearest member, to the centroid) is to its person, and
        behind the rule which engine it was known from; the first one stays."""
        note = "; known from "
        self._db.conn.executemany(
            "UPDATE assignments SET distance = ?, centroid_distance = ?, runner_up_id = NULL,"
            " runner_up_distance = NULL, rule = iif(instr(rule, ?), rule, rule || ?) WHERE face_id = ?",
            [(nearest, centroid, note, note + before, face_id) for face_id, nearest, centroid in distances],
        )

    def load(self, engine_id: int, *, n_dims: int, photo_id: int | None = None) -> FaceTable:
        """Return all faces of photos that are in the library (or of one photo) as arrays, in order of their ids."""
        where, arguments = ("f.photo_id = ?", [photo_id]) if photo_id is not None else (_IN_LIBRARY, [])
        rows = self._db.execute(
            "SELECT f.id, f.photo_id, COALESCE(a.person_id, 0), f.tier, f.quality, COALESCE(a.source = 'user', 0),"
            " e.vector"
            " FROM faces f JOIN embeddings e ON e.face_id = f.id AND e.engine_id = ?"
            f" LEFT JOIN assignments a ON a.face_id = f.id WHERE {where} AND f.is_current ORDER BY f.id",
            [engine_id, *arguments],
        ).fetchall()
        ids, photos, people, tiers, qualities, by_user, vectors = zip(*rows, strict=True) if rows else ((),) * 7
        embeddings = np.frombuffer(b"".join(vectors), "<f4").reshape(len(rows), n_dims)
        return FaceTable(
            np.array(ids, np.int64),
            np.array(photos, np.int64),
            np.array(people, np.int64),
            np.array(tiers, np.str_),
            np.array(qualities, np.float32),
            np.array(by_user, np.bool_),
            embeddings.astype(np.float32),
        )

    def rejections(self) -> dict[int, set[int]]:
        """Return, by face id, the people that a user said it is not."""
        rejected: dict[int, set[int]] = {}
        for face_id, person_id in self._db.execute("SELECT face_id, person_id FROM rejections"):
            rejected.setdefault(face_id, set()).add(person_id)
        return rejected

    def assign(self, face_id: int, match: Match, *, source: str, run_id: int | None, now: str) -> None:
        """Give the face to the person, unless it already belongs to somebody."""
        self._db.execute(
            "INSERT INTO assignments (face_id, person_id, source, distance, centroid_distance, runner_up_id,"
            " runner_up_distance, rule, run_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (face_id) DO NOTHING",
            [face_id, match.person_id, source, *_distances(match), match.rule, run_id, now],
        )
        self._db.execute("DELETE FROM suggestions WHERE face_id = ?", [face_id])

    def suggest(self, face_id: int, match: Match, now: str) -> None:
        """Keep the best guess for a face of the pool."""
        self._db.execute(
            "INSERT OR REPLACE INTO suggestions (face_id, person_id, distance, centroid_distance, runner_up_id,"
            " runner_up_distance, rule, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [face_id, match.person_id, *_distances(match), match.rule, now],
        )

    def reassign_all(self, old_person: int, new_person: int) -> list[int]:
        """Move every face of one person to another and return them; the way each was matched stays on record."""
        moved = [
            row[0] for row in self._db.execute("SELECT face_id FROM assignments WHERE person_id = ?", [old_person])
        ]
        self._db.execute("UPDATE assignments SET person_id = ? WHERE person_id = ?", [new_person, old_person])
        self._db.execute("UPDATE suggestions SET person_id = ? WHERE person_id = ?", [new_person, old_person])
        self._db.execute(
            "INSERT OR IGNORE INTO rejections (face_id, person_id, at)"
            " SELECT face_id, ?, at FROM rejections WHERE person_id = ?",
            [new_person, old_person],
        )
        return moved

    def stamp(self) -> str:
        """Return a text that changes when there are other faces in the library, or other decisions about them."""
        numbers = self._db.execute(
            "SELECT (SELECT COALESCE(MAX(id), 0) FROM faces), (SELECT COALESCE(MAX(id), 0) FROM journal),"
            " (SELECT COUNT(*) FROM faces f WHERE f.is_current"
            " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id))"
        ).fetchone()
        return " ".join(map(str, numbers))

    def in_photo(self, photo_id: int) -> list[dict[str, object]]:
        """Return the faces of a photo with their person or best guess, for people to read; from left to right."""
        return list(
            self._db.query(
                "SELECT f.id AS face_id, f.x, f.y, f.w, f.h, a.person_id,"
                " CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END AS name,"
                " a.source, COALESCE(a.distance, s.distance) AS distance,"
                " COALESCE(a.centroid_distance, s.centroid_distance) AS centroid_distance,"
                " CASE WHEN g.id IS NOT NULL THEN COALESCE(g.name, printf('Person %04d', g.id)) END AS best_guess,"
                " CASE WHEN r.id IS NOT NULL THEN COALESCE(r.name, printf('Person %04d', r.id)) END AS runner_up,"
                " COALESCE(a.runner_up_distance, s.runner_up_distance) AS runner_up_distance,"
                " COALESCE(a.rule, s.rule) AS rule, f.quality, f.sharpness, f.brightness, f.pose, f.score,"
                " f.tier"
                " FROM faces f LEFT JOIN assignments a ON a.face_id = f.id"
                " LEFT JOIN suggestions s ON s.face_id = f.id AND a.face_id IS NULL"
                " LEFT JOIN people p ON p.id = a.person_id LEFT JOIN people g ON g.id = s.person_id"
                " LEFT JOIN people r ON r.id = COALESCE(a.runner_up_id, s.runner_up_id)"
                " WHERE f.photo_id = ? AND f.is_current ORDER BY f.x, f.id",
                [photo_id],
            )
        )

    def export_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield one row a face and file: absolute path, face, person, name, box, distance, source."""
        rows = self._db.execute(
            "SELECT roots.path, files.path, f.id, a.person_id,"
            " CASE WHEN p.id IS NOT NULL THEN COALESCE(p.name, printf('Person %04d', p.id)) END,"
            " f.x, f.y, f.w, f.h, a.distance, a.source"
            " FROM files JOIN roots ON roots.id = files.root_id"
            " JOIN faces f ON f.photo_id = files.photo_id AND f.is_current"
            " LEFT JOIN assignments a ON a.face_id = f.id LEFT JOIN people p ON p.id = a.person_id"
            " ORDER BY roots.path, files.path, f.x, f.id"
        )
        for root, path, *rest in rows:
            yield (os.fsdecode(root + b"/" + path), *rest)

    def counts(self) -> dict[str, int]:
        """Return how many faces of the library there are, how many are assigned, and how many are in the pool."""
        faces, assigned, shown = self._db.execute(
            "SELECT COUNT(*), COUNT(a.face_id), COALESCE(SUM(f.tier = ? AND a.face_id IS NULL), 0)"
            f" FROM faces f LEFT JOIN assignments a ON a.face_id = f.id WHERE f.is_current AND {_IN_LIBRARY}",
            [Tier.SHOW.value],
        ).fetchone()
        return {"faces": faces, "assigned": assigned, "pool": faces - assigned - shown, "only_shown": shown}


def _sight(face: Face) -> list[object]:
    """Return the values of the columns `SIGHT`."""
    box, quality = face.box, face.quality
    return [
        *(box.x, box.y, box.w, box.h, json.dumps([round(v, 1) for v in face.landmarks]), face.score),
        *(quality.sharpness, quality.brightness, quality.score, quality.tier.value, quality.pose),
    ]


def _distances(match: Match) -> tuple[float | None, ...]:
    return match.distance, match.centroid_distance, match.runner_up_id, match.runner_up_distance
