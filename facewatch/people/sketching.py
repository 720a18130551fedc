"""Sketches of everybody, kept in the catalog: to ask who one face is, the faces of those few are read whom it may be.

What is kept goes with whatever it was worked out from (`catalog.looks`), and whose sketch is not there is sketched when
it is asked for: the answer is that of a gallery of all faces, to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import Catalog, FaceTable
from facewatch.errors import BusyError
from facewatch.matching import Gallery, MatchSettings
from facewatch.matching.member import MemberFaces, Sketch
from facewatch.types import EngineInfo

if TYPE_CHECKING:
    from facewatch.catalog.looks import KeptLook
    from facewatch.types import Floats, Ints

_VERSION = 1
"""Another number with every change of how a sketch is worked out."""

_PEOPLE_AT_ONCE = 200
"""Whose faces are read together: 16 MB for people of 40 faces, of 512 numbers each."""

_MOST_MISSING = 0.25
"""When the sketches of a larger share of all people are missing, it is as quick to read the faces of everybody."""


class Sketching:
    """The sketches of everybody, as one engine sees them."""

    def __init__(self, catalog: Catalog, engine_id: int, info: EngineInfo) -> None:
        self._catalog = catalog
        self._engine_id = engine_id
        self._info = info
        self._way = f"{_VERSION}, numpy {np.__version__}, engine {engine_id}, reach {info.thresholds.centroid!r}"

    def gallery(self, settings: MatchSettings) -> Gallery | None:
        """Return a gallery of everybody that reads the faces of those who are compared with a face, for a few questions
        while the catalog stays as it is; None: too few sketches are kept."""
        sketches, missing = self.kept(), self._catalog.looks.missing(self._way)
        if len(missing) > _MOST_MISSING * len(sketches):
            return None
        for some in _batches(missing):
            sketches |= self.sketch(some)
        unread = _Unread(self._catalog, self._engine_id, self._info.n_dims)
        gallery = Gallery(self._info.n_dims, self._info.thresholds, settings)
        # In the order in which they come when all faces are read.
        gallery.fill_sketched({one: sketches[one] for one in sorted(sketches)}, unread)
        return gallery

    def kept(self) -> dict[int, Sketch]:
        """Return the sketches that are kept, of people who have a face."""
        looks = self._catalog.looks.all(self._way)
        return {look.person_id: _sketch_of(look, self._info.n_dims) for look in looks if look.n_faces}

    def keep_up(self) -> None:
        """Keep the sketches of those whose faces are others now; next to no work when there are none. When another
        process writes meanwhile, the rest is left to the next time."""
        with suppress(BusyError):
            for some in _batches(self._catalog.looks.missing(self._way)):
                if not self._keep(some):
                    return

    def _keep(self, people: Sequence[int]) -> bool:
        """Keep the sketches of these people; whether the catalog stayed as it was while they were worked out."""
        version, sketches = self._catalog.version(), self.sketch(people)
        with self._catalog.write():
            is_same = self._catalog.version() == version
            if is_same:
                self._catalog.looks.keep(self._way, [_look_of(one, sketches.get(one)) for one in people])
            return is_same

    def sketch(self, people: Collection[int]) -> dict[int, Sketch]:
        """Work the sketches of these people out; of those who have no face there is none."""
        known = _known(self._catalog, self._engine_id, self._info.n_dims, people)
        gallery = Gallery(self._info.n_dims, self._info.thresholds)
        gallery.fill(known.people, faces_of_members(known))
        return gallery.sketches()


def faces_of_members(faces: FaceTable) -> MemberFaces:
    """Return what a gallery wants to know of faces."""
    return MemberFaces(faces.embeddings, faces.weights, faces.ids, confirmed=faces.by_user, days=faces.days)


@dataclass(frozen=True, slots=True)
class _Unread:
    """What the sketches leave out."""

    catalog: Catalog
    engine_id: int
    n_dims: int

    def faces(self, person_id: int) -> MemberFaces:
        return faces_of_members(_known(self.catalog, self.engine_id, self.n_dims, [person_id]))

    def vectors(self, ids: Ints) -> Floats:
        return self.catalog.faces.vectors(self.engine_id, ids, n_dims=self.n_dims)


def _known(catalog: Catalog, engine_id: int, n_dims: int, people: Collection[int]) -> FaceTable:
    """Return the faces that these people are recognised by."""
    return catalog.faces.load(engine_id, n_dims=n_dims, people=people, with_references=True)


def _sketch_of(look: KeptLook, n_dims: int) -> Sketch:
    centroids = np.frombuffer(look.centroids, "<f4").astype(np.float32, copy=False).reshape(-1, n_dims)
    return Sketch(look.n_faces, centroids, np.array(look.first, np.int64))


def _look_of(person_id: int, sketch: Sketch | None) -> KeptLook:
    from facewatch.catalog.looks import KeptLook

    if sketch is None:
        return KeptLook(person_id, 0, b"", ())
    centroids = sketch.centroids.astype("<f4").tobytes()
    return KeptLook(person_id, sketch.n_faces, centroids, tuple(sketch.first.tolist()))


def _batches(people: Sequence[int]) -> Iterator[Sequence[int]]:
    yield from (people[start : start + _PEOPLE_AT_ONCE] for start in range(0, len(people), _PEOPLE_AT_ONCE))
