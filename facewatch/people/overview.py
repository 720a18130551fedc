"""Everybody at a glance: one tile a person, in the order in which people look for each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.people.lookup import name_key

if TYPE_CHECKING:
    from facewatch.catalog import Catalog


@dataclass(frozen=True, slots=True)
class PersonTile:
    """A person in a list."""

    id: int
    label: str
    is_named: bool
    is_hidden: bool
    n_photos: int
    n_faces: int
    cover_id: int | None
    """The face that stands for the person: the one that a user chose, else the best one; None: no photo of the person
    is in the library."""


def overview(catalog: Catalog) -> tuple[PersonTile, ...]:
    """Return everybody who is in the library now: who has a name first, then by how many photos they are on."""
    people = [person for person in catalog.people.all() if person.n_photos]
    covers = catalog.faces.best_of([person.id for person in people], 1)
    tiles = [
        PersonTile(
            person.id,
            label=person.label,
            is_named=person.name is not None,
            is_hidden=person.is_hidden,
            n_photos=person.n_photos,
            n_faces=person.n_faces,
            cover_id=next(iter(covers.get(person.id, ())), None),
        )
        for person in people
    ]
    # The sort is stable: within both groups the catalog's order stays.
    return tuple(sorted(tiles, key=lambda tile: not tile.is_named))


def matching(tiles: Collection[PersonTile], text: str, *, is_hidden: bool) -> Sequence[PersonTile]:
    """Return those whose name, label or id holds a text, of the hidden or of the others; who begins with it first."""
    wanted = name_key(text)
    shown = [tile for tile in tiles if tile.is_hidden == is_hidden]
    if not wanted:
        return shown
    found = [tile for tile in shown if wanted in name_key(tile.label) or wanted == ids.person(tile.id)]
    return sorted(found, key=lambda tile: not name_key(tile.label).startswith(wanted))
