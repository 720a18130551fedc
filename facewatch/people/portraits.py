"""The faces by which everybody is recognised, for contact sheets and lists."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Person
from facewatch.people.lookup import faces_at
from facewatch.types import Progress

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.lookup import FaceAt
    from facewatch.service.reviewing import Cutting

MOST_PEOPLE = 200
"""On a contact sheet."""
MOST_FACES = 6
"""Of a person there: one that stands for it, and some to see whether it is one person."""

COVER_SECONDS = 60.0
"""How long one face of each is cut, and"""
MORE_SECONDS = 20.0
"""how long more of them: a scan waits for it. What was cut is kept, so that the next sheet goes on from there."""

_AT_ONCE = 32
"""Faces that are asked for together: what the workers can share, and somebody can see move."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A person, and crops of its faces, the one that stands for it first."""

    person: Person
    crops: tuple[Path, ...]
    """JPEGs; none where no photo can be opened now."""


def shown_people(catalog: Catalog) -> list[Person]:
    """Return everybody who is to be shown, those on most photos first."""
    return [one for one in catalog.people.all() if one.n_photos and not one.is_hidden]


def portraits(
    catalog: Catalog,
    cutting: Cutting,
    people: Sequence[Person],
    *,
    n_faces: int = MOST_FACES,
    report: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Portrait]:
    """Return the faces of these people, one of each first, more of them as far as there is time."""
    best = catalog.faces.best_of([one.id for one in people], n_faces)
    covers = [faces[0] for faces in best.values()]
    others = [face for faces in best.values() for face in faces[1:]]
    crops: dict[int, Path] = {}
    for part, seconds in ((covers, COVER_SECONDS), (others, MORE_SECONDS)):
        deadline = clock() + seconds
        for start in range(0, len(part), _AT_ONCE):
            if clock() >= deadline:
                break
            faces = faces_at(catalog, part[start : start + _AT_ONCE])
            crops |= _cut(cutting, faces)
            n_done = start + len(faces) + (0 if part is covers else len(covers))
            report(Progress(n_done, len(covers) + len(others), "", stage="cutting out faces"))
    return [Portrait(one, tuple(crops[face] for face in best.get(one.id, ()) if face in crops)) for one in people]


def _cut(cutting: Cutting, faces: Sequence[FaceAt]) -> dict[int, Path]:
    found = zip(faces, cutting.paths(faces), strict=True)
    return {face.id: crop for face, crop in found if crop is not None}
