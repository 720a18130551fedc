"""Several people who may be one: what somebody has to see of them before they are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from facewatch.people.person import person_at

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person

_FACES = 4
"""Of each: by one alone nobody can say whether two are one."""


@dataclass(frozen=True, slots=True)
class MergePreview:
    """People who may be one."""

    people: tuple[Person, ...]
    faces: tuple[tuple[int, ...], ...]
    """The best ones of each, the one that stands for the person first."""
    stays: Person
    """Who keeps its name unless the user says otherwise."""
    n_together: int
    """Photos that two of them are on, by two faces."""
    is_apart: bool
    """A user said of two of them that they are two."""


def preview_merge(catalog: Catalog, people: Sequence[int]) -> MergePreview:
    """Return what is to be seen of these people, each once, and in this order.

    Raises:
        NotKnownError: one is not known.
    """
    found = {person.id: person for person in (person_at(catalog, one) for one in people)}
    best = catalog.faces.best_of(list(found), _FACES)
    photos = catalog.assignments.photos_of(found)
    apart = catalog.rejections.cannot_links()
    pairs = list(combinations(found, 2))
    return MergePreview(
        people=tuple(found.values()),
        faces=tuple(tuple(best.get(one, ())) for one in found),
        stays=next((one for one in found.values() if one.name), max(found.values(), key=lambda one: one.n_photos)),
        n_together=sum(len(photos[one] & photos[other]) for one, other in pairs),
        is_apart=any(other in apart.get(one, ()) for one, other in pairs),
    )
