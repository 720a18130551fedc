"""Crops of faces: those in questions, and portraits of people."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import Person
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.crops import Crops, Source
from facewatch.indexing.pool import CropWorkers
from facewatch.people.lookup import faces_at
from facewatch.types import Box, Progress

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.identities import FaceEngine
    from facewatch.people.lookup import FaceAt

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


class FaceCrops:
    """Crops of faces, made meanwhile by a worker, so that those of the next question are there when it is asked."""

    def __init__(self, catalog: Catalog, crops: Crops, cutter: CropWorkers) -> None:
        self._catalog = catalog
        self._crops = crops
        self._cutter = cutter

    def __enter__(self) -> FaceCrops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cutter.close()
        self._crops.close()

    def prepare(self, faces: Iterable[FaceAt]) -> None:
        """Have these cut meanwhile."""
        for source, boxes in self._by_source(faces).items():
            self._crops.begin(source, boxes)

    def paths(self, faces: Collection[FaceAt]) -> list[Path | None]:
        """Return a JPEG of each face; None: its photo is away, was changed, or cannot be read."""
        self._crops.put_off()
        wanted = self._by_source(faces)
        for source, boxes in wanted.items():
            self._crops.begin(source, boxes)
        found: dict[int, Path | None] = {}
        for source, boxes in wanted.items():
            found |= self._crops.paths_of(source, boxes)
        return [found.get(face.id) for face in faces]

    def _by_source(self, faces: Iterable[FaceAt]) -> dict[Source, dict[int, Box]]:
        boxes: dict[str, dict[int, Box]] = {}
        for face in faces:
            if face.file is not None:
                boxes.setdefault(face.file, {})[face.id] = face.box
        sources = {file: self._source(file) for file in boxes}
        return {source: boxes[file] for file, source in sources.items() if source is not None}

    def _source(self, file: str) -> Source | None:
        """Return a file as it is on record; None: it is that no more."""
        files = self._catalog.files
        for root in self._catalog.roots.all():
            known_root = self._catalog.roots.one(root)
            path = file.removeprefix(f"{root}/")
            if known_root is not None and path != file and (known := files.one(known_root[0], path)) is not None:
                return Source(LibraryFile(str(root), path), known.fingerprint)
        return None


def best_faces(
    catalog: Catalog, engine: FaceEngine, person_id: int, most: int, *, without: Collection[int] = ()
) -> list[int]:
    """Return faces by which a person is recognised: the one that stands for it, then the best ones; none of these
    that are in doubt."""
    person = catalog.people.one(person_id)
    table = catalog.faces.load(engine.id, n_dims=engine.info.n_dims, people=[person_id])
    cover_id = (person.cover_id if person else None) or 0
    table = table.take(~np.isin(table.ids, list(without)))
    order = np.lexsort((table.ids, -table.qualities, ~table.may_enroll, table.ids != cover_id))
    return [int(face_id) for face_id in table.ids[order[:most]]]


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
