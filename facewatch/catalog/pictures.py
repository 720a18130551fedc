"""What is needed to make a picture of a photo or of its faces, and to know whether one is still right."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from facewatch.catalog.faces import Mark
from facewatch.catalog.opening import TableAccess
from facewatch.types import Box, Fingerprint


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file that holds a photo, as it was when it was read last."""

    root: str
    """Of its library, absolute; undecodable bytes as surrogates."""
    path: str
    """Below the root."""
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class PicturedFace:
    """A face that may be shown."""

    id: int
    box: Box


@dataclass(frozen=True, slots=True)
class PicturedPhoto:
    """A photo, where it is, and those of its faces that may be shown."""

    id: int
    sha256: bytes
    files: tuple[PictureFile, ...]
    """Copies of it; none: it is not in the library now."""
    faces: tuple[PicturedFace, ...]

    def face(self, face_id: int) -> PicturedFace | None:
        return next((face for face in self.faces if face.id == face_id), None)


_MAY_BE_SHOWN = f"NOT EXISTS (SELECT 1 FROM marks WHERE marks.face_id = f.id AND marks.mark = '{Mark.FORGOTTEN.value}')"


class PictureSources(TableAccess):
    """Reads photos, files and faces for who makes pictures of them."""

    def of_faces(self, faces: Collection[int]) -> list[PicturedPhoto]:
        """Return the photos of these faces, as far as they may be shown, each once, in order of their ids.

        Each has all faces that the engine in use sees in it, and those asked for.
        """
        asked = json.dumps(list(faces))
        rows = self._db.execute(
            "SELECT DISTINCT f.photo_id FROM faces f"
            f" WHERE f.id IN (SELECT value FROM json_each(?)) AND {_MAY_BE_SHOWN}",
            [asked],
        )
        return self._photos([photo_id for (photo_id,) in rows], asked)

    def of_photos(self, photos: Collection[int]) -> list[PicturedPhoto]:
        """Return these photos, as far as there are any, in order of their ids."""
        return self._photos(photos, "[]")

    def _photos(self, photos: Collection[int], asked: str) -> list[PicturedPhoto]:
        wanted = json.dumps(list(photos))
        files, faces = self._files(wanted), self._faces(wanted, asked)
        rows = self._db.execute(
            "SELECT id, sha256 FROM photos WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", [wanted]
        )
        return [
            PicturedPhoto(photo_id, sha256, tuple(files[photo_id]), tuple(faces[photo_id])) for photo_id, sha256 in rows
        ]

    def _files(self, wanted: str) -> dict[int, list[PictureFile]]:
        files: dict[int, list[PictureFile]] = defaultdict(list)
        for photo_id, root, path, *fingerprint in self._db.execute(
            "SELECT files.photo_id, roots.path, files.path, files.size, files.mtime_ns, files.inode, files.ctime_ns"
            " FROM files JOIN roots ON roots.id = files.root_id"
            " WHERE files.photo_id IN (SELECT value FROM json_each(?)) ORDER BY roots.path, files.path",
            [wanted],
        ):
            files[photo_id].append(PictureFile(os.fsdecode(root), os.fsdecode(path), Fingerprint(*fingerprint)))
        return files

    def _faces(self, wanted: str, asked: str) -> dict[int, list[PicturedFace]]:
        faces: dict[int, list[PicturedFace]] = defaultdict(list)
        for photo_id, face_id, *box in self._db.execute(
            "SELECT f.photo_id, f.id, f.x, f.y, f.w, f.h, f.turn FROM faces f"
            " WHERE f.photo_id IN (SELECT value FROM json_each(?))"
            f" AND (f.is_current OR f.id IN (SELECT value FROM json_each(?))) AND {_MAY_BE_SHOWN} ORDER BY f.id",
            [wanted, asked],
        ):
            faces[photo_id].append(PicturedFace(face_id, Box(*box)))
        return faces
