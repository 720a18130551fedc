"""The boxes that users drew round faces that no detector had found, and the faces in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facewatch.catalog.faces import Faces
from facewatch.catalog.opening import TableAccess
from facewatch.catalog.pictures import PictureFile, PictureSources
from facewatch.types import Box, Face


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box, in pixels of the upright photo."""

    id: int
    photo_id: int
    box: Box
    face_id: int | None
    """The face in it; None: no engine has been given the box yet."""
    before_id: int | None
    """The face of an earlier version of the photo that has to be in it; None: it was drawn on this one."""


@dataclass(frozen=True, slots=True)
class DueBox:
    """A box that an engine has not been given yet, and its photo."""

    drawn: DrawnBox
    width: int
    """Of the upright photo in pixels; so is `height`."""
    height: int
    files: tuple[PictureFile, ...]
    """Copies of it, at least one."""


class DrawnBoxes(TableAccess):
    """The table drawn."""

    def of_photo(self, photo_id: int) -> list[DrawnBox]:
        return self._select("photo_id = ?", photo_id)

    def of_face(self, face_id: int) -> DrawnBox | None:
        """Return the box that a user drew round a face; None: nobody did."""
        return next(iter(self._select("face_id = ?", face_id)), None)

    def add(self, photo_id: int, engine_id: int, box: Box, face: Face, now: str, *, known: int | None = None) -> int:
        """Record a box and the face that the engine in use embedded in it, and return the face's id.

        Args:
            known: the face on record that it is: one that only another engine had found, or whose box was taken back.
        """
        face_id = Faces(self._db).record(photo_id, engine_id, face, known=known)
        self._db.execute(
            "INSERT INTO drawn (photo_id, x, y, w, h, face_id, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [photo_id, box.x, box.y, box.w, box.h, face_id, now],
        )
        return face_id

    def carry_over(self, drawn: DrawnBox, photo_id: int, now: str) -> None:
        """Record that the face of a box may be in another version of its photo, at the same place."""
        self._db.execute(
            "INSERT INTO drawn (photo_id, x, y, w, h, before_id, at)"
            " SELECT new.id, CAST(round(1.0 * d.x * new.width / old.width) AS INTEGER),"
            " CAST(round(1.0 * d.y * new.height / old.height) AS INTEGER),"
            " MAX(1, CAST(round(1.0 * d.w * new.width / old.width) AS INTEGER)),"
            " MAX(1, CAST(round(1.0 * d.h * new.height / old.height) AS INTEGER)), COALESCE(d.face_id, d.before_id), ?"
            " FROM drawn d JOIN photos old ON old.id = d.photo_id JOIN photos new ON new.id = ?"
            " WHERE d.id = ? AND old.width > 0 AND old.height > 0",
            [now, photo_id, drawn.id],
        )

    def found(self, drawn_id: int, face_id: int, box: Box) -> None:
        """This is the face in a box that was carried over, and where it is."""
        self._db.execute(
            "UPDATE drawn SET face_id = ?, x = ?, y = ?, w = ?, h = ? WHERE id = ?",
            [face_id, box.x, box.y, box.w, box.h, drawn_id],
        )

    def drop(self, drawn_id: int) -> None:
        """A box that was carried over does not hold the face that has to be in it."""
        self._db.execute("DELETE FROM drawn WHERE id = ?", [drawn_id])

    def due(self, engine_id: int) -> list[DueBox]:
        """Return the boxes of photos that the engine has analysed without finding the face in them."""
        rows = self._db.execute(
            f"SELECT {_of('d')}, p.width, p.height FROM drawn d JOIN photos p ON p.id = d.photo_id"
            " WHERE EXISTS (SELECT 1 FROM analyses n WHERE n.photo_id = d.photo_id AND n.engine_id = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.face_id = d.face_id AND e.engine_id = ?1)"
            " AND EXISTS (SELECT 1 FROM files WHERE files.photo_id = d.photo_id) ORDER BY d.id",
            [engine_id],
        ).fetchall()
        found = [(_drawn(row), width, height) for *row, width, height in rows]
        photos = PictureSources(self._db).of_photos({drawn.photo_id for drawn, _, _ in found})
        files = {photo.id: photo.files for photo in photos}
        return [DueBox(drawn, width, height, files[drawn.photo_id]) for drawn, width, height in found]

    def hide_undone(self) -> list[int]:
        """Let the faces whose boxes were taken back be out of sight, and those whose boxes are back be seen; returns
        which of the former belong to somebody."""
        has_box = "EXISTS (SELECT 1 FROM drawn d WHERE d.face_id = faces.id)"
        self._db.execute(f"UPDATE faces SET is_current = 0 WHERE is_drawn AND is_current AND NOT {has_box}")
        # What the engine in use has not analysed is shown when the change of engine is complete.
        self._db.execute(
            f"UPDATE faces SET is_current = 1 WHERE is_drawn AND NOT is_current AND {has_box} AND EXISTS (SELECT 1"
            " FROM analyses n JOIN engines e ON e.id = n.engine_id WHERE n.photo_id = faces.photo_id AND e.is_in_use)"
        )
        rows = self._db.execute(
            "SELECT f.id FROM faces f JOIN assignments a ON a.face_id = f.id WHERE f.is_drawn AND NOT f.is_current"
        )
        return [face_id for (face_id,) in rows]

    def _select(self, where: str, *arguments: object) -> list[DrawnBox]:
        rows = self._db.execute(f"SELECT {_of('drawn')} FROM drawn WHERE {where} ORDER BY id", arguments)
        return [_drawn(row) for row in rows]


def _of(table: str) -> str:
    columns = ("id", "photo_id", "x", "y", "w", "h", "face_id", "before_id")
    return ", ".join(f"{table}.{column}" for column in columns)


def _drawn(row: Sequence[int]) -> DrawnBox:
    drawn_id, photo_id, x, y, w, h, face_id, before_id = row
    return DrawnBox(drawn_id, photo_id, Box(x, y, w, h), face_id, before_id)
