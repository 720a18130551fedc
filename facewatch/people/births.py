"""What dates of birth say about photos: nobody is on one that was taken before."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, FaceRow


def unborn(catalog: Catalog, people: Collection[int]) -> list[FaceRow]:
    """Return the faces of these people, as far as they live, in photos that were clearly taken before their births."""
    births = catalog.people.births()
    born = {
        row: births[person_id] for person_id in births.keys() & people for row in catalog.faces.of_person(person_id)
    }
    taken = catalog.photos.taken({row.photo_id for row in born})
    return [row for row in born if is_clearly_before(taken.get(row.photo_id, ""), born[row])]


def is_clearly_before(taken_at: str, born: str) -> bool:
    """Whether a photo was taken before a birth, by more than time zones explain; not when nobody knows when.

    Args:
        taken_at: YYYY-MM-DDTHH:MM:SS by the camera's clock, or "".
        born: YYYY, YYYY-MM or YYYY-MM-DD; the first day that fits.
    """
    if not taken_at:
        return False
    year, month, day = (*map(int, born.split("-")), 1, 1)[:3]
    return date.fromisoformat(taken_at[:10]).toordinal() < date(year, month, day).toordinal() - 1


def not_born_yet(catalog: Catalog, photo_id: int) -> dict[int, str]:
    """Return who was born only after a photo was taken, with the date of birth."""
    births = catalog.people.births()
    taken = catalog.photos.taken_at(photo_id) if births else ""
    return {person_id: born for person_id, born in births.items() if is_clearly_before(taken, born)}
