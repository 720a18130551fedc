"""How much people look like each other, and which faces of a person do least like the others.

The people of a catalog are known by the means of their faces. These are kept from one question to the next; of a person
whose faces are others now, and only of that, they are read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.ids import label_of
from facewatch.matching import distances
from facewatch.matching.chances import Profiles, chance_of_group, nearest_rows, profiles_of
from facewatch.matching.member import CONFIRMED_WEIGHT
from facewatch.types import Tier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from facewatch.catalog import Catalog, FaceTable
    from facewatch.catalog.tiles import Print
    from facewatch.indexing.engine import EngineInUse, WantedEngine
    from facewatch.people.overview import Overview, PersonTile
    from facewatch.types import Doubles, Floats, Ints

_MOST_ASKED = 2_000
"""People whose faces are asked for by their ids; of more all faces are read."""


@dataclass(frozen=True, slots=True)
class SimilarPerson:
    """Somebody who looks like another."""

    person_id: int
    label: str
    is_named: bool
    similarity: float
    """Cosine of the middles of both."""
    chance: float
    """How probable it is that they are one, 0 to 1, by the distances of their faces alone."""
    n_photos: int
    cover_id: int | None
    """The face that stands for the person."""
    n_together: int = 0
    """Photos that both are on."""
    is_apart: bool = False
    """A user said that they are two."""


@dataclass(frozen=True, slots=True)
class FaceDoubt:
    """How far a face is from the others of its person; distances are Euclidean between unit vectors."""

    distance: float | None
    """To the middle of the person's other faces; None: there is no other."""
    next_id: int | None
    """The other person whose middle is nearest; None: there is nobody else."""
    next_label: str | None
    next_distance: float | None
    """To that middle."""

    @property
    def is_nearer_to_next(self) -> bool:
        return self.distance is not None and self.next_distance is not None and self.next_distance < self.distance


@dataclass(frozen=True, slots=True)
class Doubts:
    """The faces of a person as far as the engine in use sees them, those first that are most in doubt."""

    ids: Ints
    """First those that look more like somebody else, then the farthest from the person's other faces."""
    distances: Doubles
    """See `FaceDoubt.distance`; NaN: there is no other face."""
    next_ids: Ints
    """NOBODY: there is nobody else."""
    next_distances: Doubles

    def of(self, face_id: int, names: dict[int, str]) -> FaceDoubt | None:
        """Return what is known of a face; None: the engine does not see it."""
        found = np.flatnonzero(self.ids == face_id)
        if not len(found):
            return None
        row = int(found[0])
        distance, next_id = float(self.distances[row]), int(self.next_ids[row])
        if next_id == NOBODY:
            return FaceDoubt(None if np.isnan(distance) else distance, None, None, None)
        label = names.get(next_id) or label_of(next_id)
        return FaceDoubt(None if np.isnan(distance) else distance, next_id, label, float(self.next_distances[row]))


class Resemblance:
    """What the people of a catalog look like to the engine in use."""

    def __init__(self, catalog: Catalog, engine: WantedEngine, overview: Overview) -> None:
        self._catalog = catalog
        self._wanted = engine
        self._overview = overview
        self._engine: EngineInUse | None = None
        self._prints: dict[int, Print] = {}
        self._profiles: Profiles | None = None

    def similar(self, person_id: int, most: int) -> list[SimilarPerson]:
        """Return who looks most like a person, at most so many, the most alike first; nobody hidden.

        Raises:
            NotKnownError: nothing was scanned yet.
            EngineError: what is known of the engine in use is not here.
        """
        profiles, engine = self._renewed(), self._in_use()
        row = _row_of(profiles, person_id)
        if row is None:
            return []
        cosines = profiles.centroids @ profiles.centroids[row]
        cosines[row] = -np.inf
        ranking = np.argsort(-cosines, kind="stable")[:-1].tolist()
        far = distances(profiles.means @ profiles.means[row])
        far[row] = np.inf
        found = [
            SimilarPerson(
                person_id=tile.id,
                label=tile.label,
                is_named=tile.is_named,
                similarity=float(cosines[other]),
                chance=chance_of_group(float(far[other]), float(np.delete(far, other).min()), engine.info.thresholds),
                n_photos=tile.n_photos,
                cover_id=tile.cover_id,
            )
            for tile, other in islice(self._shown(profiles, ranking), most)
        ]
        return self._beside(person_id, found)

    def _shown(self, profiles: Profiles, rows: Iterable[int]) -> Iterator[tuple[PersonTile, int]]:
        """Yield who is in these rows, with the row; nobody hidden."""
        tiles = {tile.id: tile for tile in self._overview.tiles() if not tile.is_hidden}
        for row in rows:
            tile = tiles.get(int(profiles.ids[row]))
            if tile is not None:
                yield tile, row

    def _beside(self, person_id: int, found: Sequence[SimilarPerson]) -> list[SimilarPerson]:
        """Add what is known of both together."""
        together = self._catalog.person_faces.n_together(person_id, [one.person_id for one in found])
        apart = self._catalog.rejections.cannot_links().get(person_id, set())
        return [
            replace(one, n_together=together.get(one.person_id, 0), is_apart=one.person_id in apart) for one in found
        ]

    def doubts(self, person_id: int) -> Doubts:
        """Return which faces of a person are most in doubt: what users confirmed comes last.

        Raises:
            NotKnownError: nothing was scanned yet.
            EngineError: what is known of the engine in use is not here.
        """
        profiles, engine = self._renewed(), self._in_use()
        table = self._catalog.faces.load(engine.id, n_dims=engine.info.n_dims, people=[person_id])
        own = distances_to_others(table)
        next_ids, next_distances = _nearest_of(profiles.take(profiles.ids != person_id), table.embeddings)
        is_nearer = next_distances < own
        # NaN, the only face, sorts like none.
        order = np.lexsort((table.ids, -np.nan_to_num(own), ~is_nearer, table.by_user))
        return Doubts(table.ids[order], own[order], next_ids[order], next_distances[order])

    # --- what is kept ---

    def _in_use(self) -> EngineInUse:
        if self._engine is None or self._engine.id != self._catalog.engines.in_use_id():
            self._engine = self._wanted.in_use()
            self._prints, self._profiles = {}, None
        return self._engine

    def _renewed(self) -> Profiles:
        """Return everybody as they look now."""
        engine = self._in_use()
        prints = self._catalog.tiles.prints()
        changed = [person_id for person_id, found in prints.items() if self._prints.get(person_id) != found]
        gone = self._prints.keys() - prints.keys()
        if self._profiles is None or changed or gone:
            stay = self._profiles
            if stay is not None:
                stay = stay.take(~np.isin(stay.ids, [*changed, *gone]))
            parts = [*([stay] if stay is not None else []), *self._loaded(engine, changed)]
            self._profiles = Profiles.together(parts)
            self._profiles = self._profiles.take(np.argsort(self._profiles.ids))
            self._prints = prints
        return self._profiles

    def _loaded(self, engine: EngineInUse, people: Collection[int]) -> Iterator[Profiles]:
        only = people if len(people) <= _MOST_ASKED else None
        table = self._catalog.faces.load(engine.id, n_dims=engine.info.n_dims, people=only, is_assigned=True)
        # A face too poor to be matched says nothing about how its person looks, unless a user assigned it.
        is_evidence = np.isin(table.people, list(people)) & ((table.tiers != Tier.SHOW.value) | table.by_user)
        yield profiles_of(table.people[is_evidence], table.embeddings[is_evidence])


def distances_to_others(table: FaceTable) -> Doubles:
    """Return how far each face of one person is from the middle of the others; NaN where there is no other.

    Faces count in the middle as in that of the gallery: by quality, confirmed ones more; poor ones only where all are.
    """
    weights = table.weights * np.where(table.by_user, np.float32(CONFIRMED_WEIGHT), np.float32(1))
    if np.count_nonzero(weights) < 2:
        weights = np.ones(len(table), np.float32)
    weighted = weights[:, None] * table.embeddings
    others = weighted.sum(0, dtype=np.float64) - weighted
    lengths = np.linalg.norm(others, axis=1)
    # What is left of one face that was taken from itself is rounding.
    lengths[lengths < 1e-4 * max(float(weights.max(initial=0)), 1e-9)] = np.nan
    cosines = np.einsum("ij,ij->i", table.embeddings, others) / lengths
    return np.asarray(np.sqrt(np.maximum(0, 2 - 2 * cosines)), np.float64)


def _nearest_of(profiles: Profiles, faces: Floats) -> tuple[Ints, Doubles]:
    """Return for each face who has the nearest middle, and how far that is; NOBODY, infinity: there is nobody."""
    ids, far = np.full(len(faces), NOBODY, np.int64), np.full(len(faces), np.inf)
    for start, best, apart in nearest_rows(faces, profiles.centroids, 1):
        if best.shape[1]:
            ids[start : start + len(best)] = profiles.ids[best[:, 0]]
            far[start : start + len(best)] = apart[:, 0]
    return ids, far


def _row_of(profiles: Profiles, person_id: int) -> int | None:
    found = np.flatnonzero(profiles.ids == person_id)
    return int(found[0]) if len(found) else None
