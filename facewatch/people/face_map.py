"""Where faces are on their map, in a file beside the catalog that may be deleted at any time."""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.errors import NotKnownError
from facewatch.fs import sidecar
from facewatch.fs.atomic import replacing
from facewatch.fs.sidecar import beside

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.overview import PersonTile
    from facewatch.types import Floats, Ints

log = logging.getLogger(__name__)

OUTDATED = 0.02
"""Share of the library's faces that are not on the map from which on it is worth a new one."""


@dataclass(frozen=True, slots=True)
class MappedFaces:
    """Faces of the library that are on the map; row i of each array belongs together."""

    ids: Ints
    people: Ints
    """0: nobody."""
    positions: Floats
    """Shape (n_faces, 2)."""
    n_missing: int
    """Faces of the library that are not on it: they came since."""

    @property
    def is_outdated(self) -> bool:
        return self.n_missing > OUTDATED * (len(self.ids) + self.n_missing)


@dataclass(frozen=True, slots=True)
class MappedPerson:
    """A person on the map."""

    tile: PersonTile
    n_faces: int
    """Those that are on the map."""
    x: float
    """The median of their positions; so is `y`."""
    y: float


def people_on(faces: MappedFaces, tiles: Iterable[PersonTile], most: int) -> list[MappedPerson]:
    """Return at most so many of these people, as far as they are on the map: named ones first, then by faces."""
    ids, counts = np.unique(faces.people, return_counts=True)
    n_faces = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    shown = sorted((tile for tile in tiles if tile.id in n_faces), key=lambda tile: (not tile.is_named, -tile.n_faces))
    return [
        MappedPerson(tile, n_faces[tile.id], *np.median(faces.positions[faces.people == tile.id], axis=0).tolist())
        for tile in shown[:most]
    ]


class FaceMap:
    """Reads the map, and works it out."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._file = beside(catalog.path, sidecar.MAP)

    def faces(self) -> MappedFaces | None:
        """Return the faces that are on the map; None: there is none of the engine in use."""
        in_use = self._catalog.engines.in_use_id()
        kept = self._read()
        if kept is None or kept[0] != in_use:
            return None
        owners = self._catalog.faces.owners(kept[0])
        ids = np.fromiter(owners, np.int64, len(owners))
        people = np.fromiter(owners.values(), np.int64, len(owners))
        _, mine, theirs = np.intersect1d(ids, kept[1], assume_unique=True, return_indices=True)
        return MappedFaces(ids[mine], people[mine], kept[2][theirs], n_missing=len(ids) - len(mine))

    def renew(self, *, report: Callable[[float], None] = lambda _: None) -> None:
        """Work the map out.

        Raises:
            NotKnownError: there is no face yet.
        """
        from facewatch.clustering.projection import project

        engine = next((one for one in self._catalog.engines.all() if one.is_in_use), None)
        if engine is None:
            raise NotKnownError("there is no face yet; `facewatch scan` finds them")
        table = self._catalog.faces.load(engine.id, n_dims=engine.n_dims)
        positions = project(table.embeddings, report=report)
        with replacing(self._file) as file:
            np.savez(file, engine=np.int64(engine.id), ids=table.ids, positions=positions)

    def _read(self) -> tuple[int, Ints, Floats] | None:
        try:
            with np.load(self._file, allow_pickle=False) as kept:
                engine, ids, positions = int(kept["engine"]), kept["ids"], kept["positions"]
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            log.info("%s: no map of faces: %s", self._file, error)
            return None
        is_right = ids.ndim == 1 and positions.shape == (len(ids), 2) and np.isfinite(positions).all()
        return (engine, ids.astype(np.int64), positions.astype(np.float32)) if is_right else None
