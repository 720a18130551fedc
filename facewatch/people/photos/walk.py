"""What somebody goes through one photo after another: the photos of a search, somebody's faces, the faces of nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from facewatch.catalog import Catalog
from facewatch.catalog.person import FacesBy
from facewatch.catalog.pool import PoolKind
from facewatch.people.person import FaceOrder

WALK = re.compile(r"(?:person:(\d{1,18})(?::(date|doubt))?(?::(all|run|user))?|pool(?::(open|poor|aside))?)?")
"""How the faces that are gone through are named: person:12, person:12:doubt:run, pool, pool:poor; empty: none are."""


@dataclass(frozen=True, slots=True)
class FaceWalk:
    """Faces that are gone through in the order of their page."""

    person_id: int | None
    """Those of this person; None: those of nobody."""
    sort: FaceOrder = FaceOrder.DATE
    by: FacesBy = FacesBy.ALL
    kind: PoolKind = PoolKind.OPEN


@dataclass(frozen=True)
class Order:
    """The ids of photos, or of faces, in the order in which they are gone through."""

    ids: Sequence[int]

    @cached_property
    def places(self) -> Mapping[int, int]:
        """The place of each, from 0."""
        return {one: place for place, one in enumerate(self.ids)}


@dataclass(frozen=True, slots=True)
class Stop:
    """A photo on the way, and the face of it that is meant."""

    photo_id: int
    face_id: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Where somebody is on the way."""

    number: int
    """From 1."""
    n: int
    before: Stop | None
    behind: Stop | None


def read_walk(text: str) -> FaceWalk | None:
    """Return the faces that are named so; None: none are.

    Raises:
        ValueError: it is no name of faces.
    """
    named = WALK.fullmatch(text)
    if named is None:
        raise ValueError(f"{text!r} names no faces")
    person, sort, by, kind = named.groups()
    if person is not None:
        return FaceWalk(int(person), FaceOrder(sort or FaceOrder.DATE), FacesBy(by or FacesBy.ALL))
    return FaceWalk(None, kind=PoolKind(kind or PoolKind.OPEN)) if text else None


def stage_of_photo(order: Order, photo_id: int) -> Stage | None:
    """Return where a photo stands among photos; None: it is none of them any more."""
    place = order.places.get(photo_id)
    if place is None:
        return None
    before, behind = _beside(order.ids, place)
    return Stage(
        place + 1,
        len(order.ids),
        Stop(before) if before is not None else None,
        Stop(behind) if behind is not None else None,
    )


def stage_of_face(catalog: Catalog, order: Order, face_id: int) -> Stage | None:
    """Return where a face stands among faces; None: it is none of them any more, it was given to somebody else."""
    place = order.places.get(face_id)
    if place is None:
        return None
    before, behind = _beside(order.ids, place)
    photos = {row.id: row.photo_id for row in catalog.faces.rows([one for one in (before, behind) if one is not None])}
    return Stage(
        place + 1,
        len(order.ids),
        Stop(photos[before], before) if before in photos else None,
        Stop(photos[behind], behind) if behind in photos else None,
    )


def _beside(ids: Sequence[int], place: int) -> tuple[int | None, int | None]:
    return (ids[place - 1] if place else None), (ids[place + 1] if place + 1 < len(ids) else None)
