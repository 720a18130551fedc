"""Photos that somebody browses one after another: those of a search, of somebody's faces, of the faces of nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from facewatch.catalog import Catalog
from facewatch.catalog.person import FacesBy
from facewatch.catalog.pool import PoolKind
from facewatch.people.person import FaceOrder

FACE_LIST = re.compile(r"(?:person:(\d{1,18})(?::(date|doubt))?(?::(all|run|user))?|pool(?::(open|poor|aside))?)?")
"""How lists of faces are named: person:12, person:12:doubt:run, pool, pool:poor; empty: there is none."""


@dataclass(frozen=True, slots=True)
class FaceList:
    """Which faces are browsed, in the order of their page."""

    person_id: int | None
    """Those of this person; None: those of nobody."""
    sort: FaceOrder = FaceOrder.DATE
    by: FacesBy = FacesBy.ALL
    kind: PoolKind = PoolKind.OPEN


@dataclass(frozen=True)
class BrowseOrder:
    """The ids of photos, or of faces, in the order in which they are browsed."""

    ids: Sequence[int]

    @cached_property
    def places(self) -> Mapping[int, int]:
        """The place of each, from 0."""
        return {one: place for place, one in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The photo before or behind another, and the face of it that is meant."""

    photo_id: int
    face_id: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a photo stands among those that are browsed."""

    number: int
    """From 1; `n` are there."""
    n: int
    before: Neighbour | None
    behind: Neighbour | None


def read_face_list(text: str) -> FaceList | None:
    """Return the list of faces that is named so; None: there is none.

    Raises:
        ValueError: it is no name of a list.
    """
    named = FACE_LIST.fullmatch(text)
    if named is None:
        raise ValueError(f"{text!r} names no list of faces")
    person, sort, by, kind = named.groups()
    if person is not None:
        return FaceList(int(person), FaceOrder(sort or FaceOrder.DATE), FacesBy(by or FacesBy.ALL))
    return FaceList(None, kind=PoolKind(kind or PoolKind.OPEN)) if text else None


def position_of_photo(order: BrowseOrder, photo_id: int) -> Position | None:
    """Return where a photo stands among photos; None: it is none of them any more."""
    place = order.places.get(photo_id)
    if place is None:
        return None
    before, behind = _beside(order.ids, place)
    return Position(
        place + 1,
        len(order.ids),
        Neighbour(before) if before is not None else None,
        Neighbour(behind) if behind is not None else None,
    )


def position_of_face(catalog: Catalog, order: BrowseOrder, face_id: int) -> Position | None:
    """Return where a face stands among faces; None: it is none of them any more, it was given to somebody else."""
    place = order.places.get(face_id)
    if place is None:
        return None
    before, behind = _beside(order.ids, place)
    photos = {row.id: row.photo_id for row in catalog.faces.rows([one for one in (before, behind) if one is not None])}
    return Position(
        place + 1,
        len(order.ids),
        Neighbour(photos[before], before) if before in photos else None,
        Neighbour(photos[behind], behind) if behind in photos else None,
    )


def _beside(ids: Sequence[int], place: int) -> tuple[int | None, int | None]:
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)
