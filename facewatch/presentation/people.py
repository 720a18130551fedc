"""What lists of people on the page say of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.people.overview import PersonTile


def person_note(person: PersonTile) -> str:
    """Return what tells this person apart from others of a similar name."""
    return plural(person.n_photos, "photo") + (", hidden" if person.is_hidden else "")
