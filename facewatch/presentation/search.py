"""What the page of a search by face shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.people.search import FoundFace, NearFaces


@dataclass(frozen=True, slots=True)
class NearPerson:
    """Somebody who is among the nearest faces."""

    id: int
    label: str
    face_id: int
    """The nearest of theirs."""
    note: str
    is_near: bool


@dataclass(frozen=True, slots=True)
class NearTile:
    """A face that was found."""

    id: int
    label: str
    note: str
    is_first_far: bool
    """"Near enough" ends in front of it."""


def near_people(near: NearFaces) -> list[NearPerson]:
    """Return who is among the faces found, the nearest first."""
    first: dict[int, FoundFace] = {}
    count: dict[int, int] = {}
    for found in near.found:
        if found.person_id is not None:
            first.setdefault(found.person_id, found)
            count[found.person_id] = count.get(found.person_id, 0) + 1
    return [
        NearPerson(
            person_id,
            label=one.person or "",
            face_id=one.face_id,
            note=f"{plural(count[person_id], 'face')}, nearest at {one.distance:.2f}",
            is_near=_is_near(one, near),
        )
        for person_id, one in first.items()
    ]


def near_tiles(near: NearFaces) -> list[NearTile]:
    """Return the faces found, the nearest first."""
    n_near = sum(_is_near(one, near) for one in near.found)
    return [
        NearTile(
            one.face_id,
            label=one.person or "nobody yet",
            note=f"{one.distance:.2f}",
            is_first_far=near.near_enough is not None and number == n_near,
        )
        for number, one in enumerate(near.found)
    ]


def _is_near(one: FoundFace, near: NearFaces) -> bool:
    return near.near_enough is not None and one.distance < near.near_enough


def searched(faces: Sequence[NearFaces]) -> str:
    """Return what was found on a photo."""
    return f"{plural(len(faces), 'face')} in this photo"
