"""The faces of one person, a page at a time, and who is on photos with it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.catalog.faces import IN_LIBRARY
from facewatch.catalog.journal import USER
from facewatch.catalog.opening import TableAccess
from facewatch.columns import Columns
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.types import Flags, Floats, Ints


class FacesBy(StrEnum):
    """Which of a person's faces are wanted, by who assigned them."""

    ALL = "all"
    RUN = "run"
    """Those that no user confirmed."""
    USER = "user"
    """Those that a user assigned or confirmed."""


_BY = {FacesBy.ALL: "TRUE", FacesBy.RUN: f"a.source != '{USER}'", FacesBy.USER: f"a.source = '{USER}'"}


@dataclass(frozen=True, slots=True)
class DatedFace:
    """A face of a person, and when its photo was taken."""

    id: int
    photo_id: int
    taken_at: str
    """YYYY-MM-DDTHH:MM:SS by the camera's clock; "": nobody knows."""
    is_by_user: bool
    """Whether a user assigned or confirmed it."""
    tier: Tier
    is_drawn: bool
    """Whether a user drew its box."""
    file: str | None
    """A file that holds its photo, below its library, for people to read; None: the photo is not in the library now."""


@dataclass(frozen=True, slots=True)
class FaceTotals:
    """A person's faces in numbers; also of photos that are not in the library now."""

    n_faces: int
    n_by_user: int
    n_gone: int
    """Faces of photos that are not in the library now."""
    n_undated: int
    n_months: int
    """Different months in which photos were taken."""
    first: str
    """When the first photo was taken, as in `DatedFace`."""
    last: str


@dataclass(frozen=True, slots=True)
class FaceWeights(Columns):
    """What the faces of a person count in its middle."""

    ids: Ints
    """Ascending."""
    weights: Floats
    """The quality; 0 for a face that may not start a person."""
    by_user: Flags
    """Whether a user assigned the face."""


class PersonFaces(TableAccess):
    """What is read of the tables assignments, faces and photos about one person."""

    def totals(self, person_id: int) -> FaceTotals:
        row = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(a.source = ?), 0),"
            f" COALESCE(SUM(NOT {IN_LIBRARY}), 0),"
            " COALESCE(SUM(COALESCE(t.taken_at, '') = ''), 0),"
            " COUNT(DISTINCT substr(NULLIF(t.taken_at, ''), 1, 7)),"
            " COALESCE(MIN(NULLIF(t.taken_at, '')), ''), COALESCE(MAX(t.taken_at), '')"
            " FROM assignments a JOIN faces f ON f.id = a.face_id JOIN photos t ON t.id = f.photo_id"
            " WHERE a.person_id = ?",
            [USER, person_id],
        ).fetchone()
        return FaceTotals(*row)

    def by_date(self, person_id: int, *, by: FacesBy = FacesBy.ALL) -> list[int]:
        """Return the person's faces by id: newest first, those without a date last."""
        rows = self._db.execute(
            "SELECT f.id FROM assignments a JOIN faces f ON f.id = a.face_id JOIN photos t ON t.id = f.photo_id"
            f" WHERE a.person_id = ? AND {_BY[by]} ORDER BY COALESCE(t.taken_at, '') DESC, f.id DESC",
            [person_id],
        )
        return [face_id for (face_id,) in rows.fetchall()]

    def these(self, faces: Collection[int]) -> dict[int, DatedFace]:
        """Return these faces, as far as they belong to somebody, by id."""
        rows = self._db.execute(
            f"{_SELECT} WHERE f.id IN (SELECT value FROM json_each(?))", [json.dumps([int(face) for face in faces])]
        )
        return {row[0]: _dated(row) for row in rows}

    def sources(self, person_id: int) -> dict[int, bool]:
        """Return all faces of a person, and whether a user assigned or confirmed each."""
        ids, by_user = self._db.execute(
            "SELECT json_group_array(face_id), json_group_array(source = ?) FROM (SELECT face_id, source"
            " FROM assignments WHERE person_id = ? ORDER BY face_id)",
            [USER, person_id],
        ).fetchone()
        return dict(zip(json.loads(ids), map(bool, json.loads(by_user)), strict=True))

    def companions(self, person_id: int, most: int) -> list[tuple[int, int]]:
        """Return who is on most of the person's photos that are in the library, and on how many; nobody hidden."""
        return self._db.execute(
            "WITH own (photo_id) AS (SELECT f.photo_id FROM assignments a JOIN faces f ON f.id = a.face_id"
            " WHERE a.person_id = :person UNION SELECT photo_id FROM presences WHERE person_id = :person),"
            " theirs AS (SELECT a.person_id, f.photo_id FROM own JOIN faces f ON f.photo_id = own.photo_id"
            " JOIN assignments a ON a.face_id = f.id"
            " UNION ALL SELECT r.person_id, r.photo_id FROM own JOIN presences r ON r.photo_id = own.photo_id)"
            " SELECT f.person_id, COUNT(DISTINCT f.photo_id) FROM theirs f JOIN people p ON p.id = f.person_id"
            f" WHERE f.person_id != :person AND NOT p.is_hidden AND {IN_LIBRARY}"
            " GROUP BY f.person_id ORDER BY 2 DESC, p.name IS NULL, f.person_id LIMIT :most",
            {"person": person_id, "most": most},
        ).fetchall()

    def n_together(self, person_id: int, others: Collection[int]) -> dict[int, int]:
        """Return on how many photos of these others the person is, too."""
        rows = self._db.execute(
            "SELECT a.person_id, COUNT(DISTINCT f.photo_id) FROM assignments a JOIN faces f ON f.id = a.face_id"
            " WHERE a.person_id IN (SELECT value FROM json_each(?)) AND EXISTS (SELECT 1 FROM faces g"
            " JOIN assignments b ON b.face_id = g.id WHERE g.photo_id = f.photo_id AND b.person_id = ?)"
            " GROUP BY a.person_id",
            [json.dumps([int(other) for other in others]), person_id],
        )
        return dict(rows.fetchall())

    def evidence(self, people: Collection[int] | None = None) -> tuple[Ints, Ints]:
        """Return the faces, by id, that show how everybody, or each of these people, looks, and whose each is: all but
        those too poor to be matched that no user assigned."""
        which = "TRUE" if people is None else "a.person_id IN (SELECT value FROM json_each(?))"
        arguments = [] if people is None else [json.dumps([int(one) for one in people])]
        # Two long texts are read five times as fast as a row a face.
        faces, owners = self._db.execute(
            "SELECT json_group_array(face_id), json_group_array(person_id) FROM (SELECT a.face_id, a.person_id"
            f" FROM assignments a WHERE {which} ORDER BY a.face_id)",
            arguments,
        ).fetchone()
        poor = self._db.execute(
            "SELECT json_group_array(a.face_id) FROM faces f JOIN assignments a ON a.face_id = f.id"
            f" WHERE f.tier = ? AND a.source != ? AND {which}",
            [Tier.SHOW.value, USER, *arguments],
        ).fetchone()[0]
        ids = np.array(json.loads(faces), np.int64)
        is_good = ~np.isin(ids, json.loads(poor))
        return ids[is_good], np.array(json.loads(owners), np.int64)[is_good]

    def weights(self, person_id: int) -> FaceWeights:
        """Return what each face of a person counts, by id."""
        # Three long texts are read in two thirds of the time of a row a face.
        columns = self._db.execute(
            "SELECT json_group_array(f.id), json_group_array(f.quality * (f.tier = ?)), json_group_array(a.source = ?)"
            " FROM assignments a JOIN faces f ON f.id = a.face_id WHERE a.person_id = ?",
            [Tier.ENROLL.value, USER, person_id],
        ).fetchone()
        ids, weights, by_user = map(json.loads, columns)
        faces = FaceWeights(np.array(ids, np.int64), np.array(weights, np.float32), np.array(by_user, np.bool_))
        return faces.take(np.argsort(faces.ids))

    def was_there(self, person_id: int) -> bool:
        """Whether the id is that of somebody who was forgotten, or whose making was undone."""
        return self._first("SELECT 1 FROM people WHERE id = ? AND is_gone", [person_id]) is not None


_SELECT = (
    "SELECT f.id, f.photo_id, COALESCE(t.taken_at, ''), a.source, f.tier, f.is_drawn,"
    " (SELECT MIN(files.display) FROM files WHERE files.photo_id = f.photo_id)"
    " FROM assignments a JOIN faces f ON f.id = a.face_id JOIN photos t ON t.id = f.photo_id"
)


def _dated(row: tuple[Any, ...]) -> DatedFace:
    face_id, photo_id, taken_at, source, tier, is_drawn, file = row
    return DatedFace(face_id, photo_id, taken_at, source == USER, Tier(tier), is_drawn=bool(is_drawn), file=file)
