"""Everybody at a glance: one tile a person, in the order in which people look for each other."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.people.lookup import name_key
from facewatch.types import Kept

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.catalog.tiles import LivingPerson, Shown


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
    in the library shows a face."""


@dataclass(frozen=True, slots=True)
class KnownTiles:
    """What the library holds of everybody."""

    library: tuple[int, ...]
    """Which photos it had then."""
    people: Mapping[int, tuple[Hashable, Shown | None]]
    """What it holds of each person, and what that hangs on."""


class Overview:
    """Everybody at a glance. Kept between requests, it reads again only what has changed. Belongs to one thread; what
    is kept may be shared."""

    def __init__(self, catalog: Catalog, kept: Kept[KnownTiles] | None = None) -> None:
        self._catalog = catalog
        self._kept = kept or Kept()

    def tiles(self) -> tuple[PersonTile, ...]:
        """Return everybody who is in the library now: who has a name first, then by how many photos they are on."""
        with self._catalog.read_transaction():
            living, last = self._catalog.tiles.living(), self._catalog.tiles.last()
            known = self._renewed(living)
        found = [(person, shown) for person in living if (shown := known[person.id][1]) is not None]
        found.sort(
            key=lambda one: (
                one[0].name is None,
                one[0].is_machine_made and one[0].id in last,
                *(-one[1].n_photos, -one[1].n_faces, one[0].id),
            )
        )
        return tuple(_tile(person, shown) for person, shown in found)

    def of(self, people: Collection[int]) -> dict[int, PersonTile]:
        """Return those of these people who are in the library now, by id."""
        with self._catalog.read_transaction():
            living = self._catalog.tiles.living(people)
            known = self._renewed(living, are_all=False)
        return {one.id: _tile(one, shown) for one in living if (shown := known[one.id][1]) is not None}

    def _renewed(
        self, living: Sequence[LivingPerson], *, are_all: bool = True
    ) -> Mapping[int, tuple[Hashable, Shown | None]]:
        """Return what is known of these people, who `are_all` that live or some of them."""
        library, changes = self._catalog.tiles.library_stamp(), self._catalog.tiles.changes()
        stamps: dict[int, Hashable] = {one.id: (changes.get(one.id), one.cover_id) for one in living}
        with self._kept.renewing:
            kept = self._kept.value
            known = kept.people if kept is not None and kept.library == library else {}
            changed = [one for one, stamp in stamps.items() if known.get(one, (None, None))[0] != stamp]
            # Nearly all of them are read faster without asking of each whether it is wanted.
            is_most = are_all and 2 * len(changed) > len(stamps)
            shown = self._catalog.tiles.shown(None if is_most else changed) if changed else {}
            now = {one: known[one] for one in stamps.keys() - set(changed)} if are_all else dict(known)
            now |= {one: (stamps[one], shown.get(one)) for one in changed}
            self._kept.value = KnownTiles(library, now)
        return now


def _tile(person: LivingPerson, shown: Shown) -> PersonTile:
    return PersonTile(
        person.id,
        label=person.label,
        is_named=person.name is not None,
        is_hidden=person.is_hidden,
        n_photos=shown.n_photos,
        n_faces=shown.n_faces,
        cover_id=shown.best_id,
    )


class Which(StrEnum):
    """Which people are listed; the values stand in addresses of the page."""

    ALL = "all"
    """All who are not hidden."""
    NAMED = "named"
    UNNAMED = "unnamed"
    HIDDEN = "hidden"

    def includes(self, tile: PersonTile) -> bool:
        if tile.is_hidden or self is Which.HIDDEN:
            return tile.is_hidden and self is Which.HIDDEN
        return self is Which.ALL or tile.is_named == (self is Which.NAMED)


FEW_PHOTOS = 3
"""Who has no name and is on fewer photos is seldom worth one: such people come last, and can be folded away."""
_WORTH_FOLDING = 12


def fold_few(tiles: Sequence[PersonTile]) -> tuple[Sequence[PersonTile], int]:
    """Return the people without those who are on few photos, and how many these are; all, where these are not many or
    nobody would remain."""
    many = [tile for tile in tiles if tile.is_named or tile.n_photos >= FEW_PHOTOS]
    n_few = len(tiles) - len(many)
    return (many, n_few) if many and n_few >= _WORTH_FOLDING else (tiles, 0)


def matching(tiles: Collection[PersonTile], text: str = "", *, which: Which = Which.ALL) -> Sequence[PersonTile]:
    """Return those whose name, label or id holds a text; who begins with it first."""
    wanted = name_key(text)
    shown = [tile for tile in tiles if which.includes(tile)]
    if not wanted:
        return shown
    found = [tile for tile in shown if wanted in name_key(tile.label) or wanted == ids.person(tile.id)]
    return sorted(found, key=lambda tile: not name_key(tile.label).startswith(wanted))
