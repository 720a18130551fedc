"""Who is named in which photo, as it goes out to other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass

from facewatch.catalog.faces import BY_RUN
from facewatch.catalog.opening import TableAccess
from facewatch.catalog.tiles import LIVING_P
from facewatch.types import Box


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A face and the name of whose it is, or of whose it is not."""

    photo_id: int
    name: str
    box: Box
    """In pixels of the upright photo."""
    by_user: bool
    """Whether a user says so."""
    by_file: bool = False
    """Whether a file said so."""


@dataclass(frozen=True, slots=True)
class PhotoShape:
    """The picture of a photo."""

    width: int
    """Of the upright photo in pixels; so is `height`."""
    height: int
    orientation: int | None
    """How the stored picture is to be turned, 1 to 8; None: nobody has looked."""


@dataclass(frozen=True, slots=True)
class PhotoPlace:
    """A file that holds a photo."""

    photo_id: int
    root_id: int
    root: str
    """Its library, absolute."""
    path: str
    """Below that."""


class NamedPhotos(TableAccess):
    """What is read of people with names, who are not hidden, and of the photos of the library that they are in."""

    def faces(self, *, with_runs: bool) -> list[NamedBox]:
        """Return their faces, photo by photo; those that only a run gave them `with_runs`."""
        rows = self._db.execute(
            "SELECT f.photo_id, p.name, f.x, f.y, f.w, f.h, a.source = 'user', a.source = 'import'"
            " FROM assignments a"
            f" JOIN faces f ON f.id = a.face_id JOIN people p ON p.id = a.person_id WHERE {_IS_NAMED}"
            f" AND {_HAS_FILE.format('f')} {'' if with_runs else f'AND a.source NOT {BY_RUN}'}"
            " ORDER BY f.photo_id, f.id"
        )
        return [_named_box(*row) for row in rows]

    def rejected(self) -> list[NamedBox]:
        """Return faces, and who they are not by the word of a user, of those photos of which files say anything."""
        rows = self._db.execute(
            "SELECT f.photo_id, p.name, f.x, f.y, f.w, f.h, 1, 0 FROM rejections n JOIN faces f ON f.id = n.face_id"
            f" JOIN people p ON p.id = n.person_id WHERE {LIVING_P} AND p.name IS NOT NULL AND {_HAS_FILE.format('f')}"
            " AND EXISTS (SELECT 1 FROM metadata m WHERE m.photo_id = f.photo_id AND m.way = 'read' AND m.said != '{}')"
            " ORDER BY f.photo_id, f.id"
        )
        return [_named_box(*row) for row in rows]

    def present(self) -> list[tuple[int, str]]:
        """Return (photo, name) of everybody who is in a photo by the word of a user or a file, face or not."""
        return self._db.execute(
            f"SELECT r.photo_id, p.name FROM presences r JOIN people p ON p.id = r.person_id WHERE {_IS_NAMED}"
            f" AND {_HAS_FILE.format('r')} ORDER BY r.photo_id, p.id"
        ).fetchall()

    def shapes(self, photos: Collection[int]) -> dict[int, PhotoShape]:
        """Return the pictures of those photos of which the size is known."""
        rows = self._db.execute(
            "SELECT id, width, height, orientation FROM photos WHERE width > 0 AND height > 0"
            " AND id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(photos))],
        )
        return {photo_id: PhotoShape(*shape) for photo_id, *shape in rows}

    def places(self, photos: Collection[int]) -> list[PhotoPlace]:
        """Return every file of these photos, in the order of their libraries and paths."""
        rows = self._db.execute(
            "SELECT files.photo_id, roots.id, roots.path, files.path FROM files JOIN roots ON roots.id = files.root_id"
            " WHERE files.photo_id IN (SELECT value FROM json_each(?)) ORDER BY roots.id, files.path",
            [json.dumps(list(photos))],
        )
        return [PhotoPlace(photo, root_id, os.fsdecode(root), os.fsdecode(path)) for photo, root_id, root, path in rows]

    def roots(self) -> list[tuple[int, str]]:
        """Return the ids and paths of all libraries, in the order in which they came."""
        rows = self._db.execute("SELECT id, path FROM roots ORDER BY id")
        return [(root_id, os.fsdecode(path)) for root_id, path in rows]


_IS_NAMED = f"{LIVING_P} AND NOT p.is_hidden AND p.name IS NOT NULL"
_HAS_FILE = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = {}.photo_id)"


def _named_box(photo_id: int, name: str, x: int, y: int, w: int, h: int, by_user: int, by_file: int) -> NamedBox:
    return NamedBox(photo_id, name, Box(x, y, w, h), bool(by_user), bool(by_file))
