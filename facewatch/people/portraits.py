"""Crops of faces: those in questions, and portraits of people."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from facewatch.catalog import Person
from facewatch.indexing.picture_maker import NoPicture, PictureMaker, PictureOrder, order_faces
from facewatch.indexing.pictures import PictureStore
from facewatch.people.lookup import faces_at
from facewatch.types import Progress

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.lookup import FaceAt

MOST_PEOPLE = 200
"""On a contact sheet."""
MOST_FACES = 6
"""Of a person there: one that stands for it, and some to see whether it is one person."""

COVER_SECONDS = 60.0
"""How long one face of each is cut, and"""
MORE_SECONDS = 20.0
"""how long more of them: a scan waits for it. What was cut is kept, so that the next sheet goes on from there."""

_ATTEMPTS = 3
"""To make crops, when others of somebody who is forgotten meanwhile are deleted."""

_AT_ONCE = 32
"""Faces that are asked for together: what the workers can share, and somebody can see move."""


class FaceCrops:
    """Crops of faces, made meanwhile by a worker, so that those of the next question are there when it is asked."""

    def __init__(self, catalog: Catalog, store: PictureStore, maker: PictureMaker) -> None:
        self._catalog = catalog
        self._store = store
        self._maker = maker

    def __enter__(self) -> FaceCrops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maker.close()
        self._store.close()

    def prepare(self, faces: Iterable[FaceAt]) -> None:
        """Have these cut meanwhile."""
        for order in self._missing({face.id for face in faces}, {}):
            self._maker.want(order, is_urgent=False)

    def paths(self, faces: Collection[FaceAt]) -> list[Path | None]:
        """Return a JPEG of each face; None: its photo is away, was changed, or cannot be read."""
        wanted = {face.id for face in faces}
        found: dict[int, Path] = {}
        for _ in range(_ATTEMPTS):
            making = [self._maker.want(order) for order in self._missing(wanted, found)]
            if not any([one.result().reason is NoPicture.OUTDATED for one in making]):
                break
        self._missing(wanted, found)
        return [found.get(face.id) for face in faces]

    def _missing(self, wanted: Collection[int], found: dict[int, Path]) -> list[PictureOrder]:
        """Return what makes those of these crops that are not kept, and add those that are to `found`."""
        ticket = self._store.ticket()
        orders = []
        for photo in self._catalog.pictures.of_faces([face_id for face_id in wanted if face_id not in found]):
            if not photo.files:
                continue
            order = order_faces(photo, ticket)
            asked = [name for name in order.names if name.id in wanted]
            paths = {name.id: self._store.path_of(name) for name in asked}
            found |= {face_id: path for face_id, path in paths.items() if path is not None}
            if None in paths.values():
                orders.append(order)
        return orders


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
    face_crops: FaceCrops,
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
            crops |= _cut(face_crops, faces)
            n_done = start + len(faces) + (0 if part is covers else len(covers))
            report(Progress(n_done, len(covers) + len(others), "", stage="cutting out faces"))
    return [Portrait(one, tuple(crops[face] for face in best.get(one.id, ()) if face in crops)) for one in people]


def _cut(face_crops: FaceCrops, faces: Sequence[FaceAt]) -> dict[int, Path]:
    found = zip(faces, face_crops.paths(faces), strict=True)
    return {face.id: crop for face, crop in found if crop is not None}
