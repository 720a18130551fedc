"""One photo with its faces, who else is in it, and which photos are before and behind it in a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog, Mark
from facewatch.catalog.photos import FoundPhoto
from facewatch.errors import NotKnownError
from facewatch.types import Box, Tier

if TYPE_CHECKING:
    from facewatch.catalog.photos import PhotoQuery


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
    faces = [
        FaceOnPhoto(
            row["face_id"],
            number=number,
            box=Box(row["x"], row["y"], row["w"], row["h"], row["turn"]),
            person_id=row["person_id"],
            label=row["name"],
            guess=row["best_guess"],
            mark=Mark(row["mark"]) if row["mark"] else None,
            is_by_user=row["source"] not in (None, "auto", "cluster"),
            is_drawn=bool(row["is_drawn"]),
            tier=Tier(row["tier"]),
        )
        for number, row in enumerate(catalog.faces.in_photo(photo_id), 1)
    ]
    return WholePhoto(found[0], tuple(faces))


def photos_in_order(catalog: Catalog, query: PhotoQuery) -> dict[int, int]:
    """Return the place of each photo that a search finds, the newest first, from 0."""
    return {photo_id: place for place, photo_id in enumerate(catalog.photo_search.ids(query))}


def neighbours(ids: Sequence[int], place: int | None) -> tuple[int | None, int | None]:
    """Return which photos are before and behind one at this place; None: none is."""
    if place is None:
        return None, None
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)
