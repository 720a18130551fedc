"""One photo with its faces, and who else is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facewatch.catalog import RUNS, Catalog, Mark
from facewatch.catalog.photos import FoundPhoto
from facewatch.errors import NotKnownError
from facewatch.types import Box, Tier


@dataclass(frozen=True, slots=True)
class FaceOnPhoto:
    """A face of a photo."""

    id: int
    number: int
    """From left to right, from 1."""
    box: Box
    """In pixels of the upright photo."""
    person_id: int | None
    label: str | None
    """Of the person; None: it is nobody's."""
    guess: str | None
    """Whom it may be, where it is nobody's."""
    mark: Mark | None
    is_by_user: bool
    is_drawn: bool
    tier: Tier


@dataclass(frozen=True, slots=True)
class WholePhoto:
    """A photo."""

    found: FoundPhoto
    faces: tuple[FaceOnPhoto, ...]


def whole_photo(catalog: Catalog, photo_id: int) -> WholePhoto:
    """Return a photo with its faces.

    Raises:
        NotKnownError: there is no such photo.
    """
    found = catalog.photo_search.found([photo_id])
    if not found:
        raise NotKnownError("there is no such photo any more")
    return WholePhoto(found[0], tuple(_faces_of(catalog, photo_id)))


def face_on_photo(catalog: Catalog, face_id: int) -> tuple[int, FaceOnPhoto]:
    """Return the photo of a face, and the face.

    Raises:
        NotKnownError: there is no such face, or nobody sees it any more.
    """
    for row in catalog.faces.rows([face_id]):
        for face in _faces_of(catalog, row.photo_id):
            if face.id == face_id:
                return row.photo_id, face
    raise NotKnownError("there is no such face any more")


def _faces_of(catalog: Catalog, photo_id: int) -> Iterator[FaceOnPhoto]:
    for number, row in enumerate(catalog.faces.in_photo(photo_id), 1):
        yield FaceOnPhoto(
            row["face_id"],
            number=number,
            box=Box(row["x"], row["y"], row["w"], row["h"], row["turn"]),
            person_id=row["person_id"],
            label=row["name"],
            guess=row["best_guess"],
            mark=Mark(row["mark"]) if row["mark"] else None,
            is_by_user=row["source"] not in (None, *RUNS),
            is_drawn=bool(row["is_drawn"]),
            tier=Tier(row["tier"]),
        )
