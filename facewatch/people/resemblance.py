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
from facewatch.matching.chances import Profiles, chance_of_group, profiles_from
from facewatch.matching.member import CONFIRMED_WEIGHT
from facewatch.people.nearest_others import NearestOthers, after_changes, by_id, nearest_others
from facewatch.types import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from facewatch.catalog import Catalog
    from facewatch.catalog.person import FaceWeights
    from facewatch.catalog.tiles import LivingPerson, Shown
    from facewatch.indexing.engine import EngineInUse, WantedEngine
    from facewatch.matching.search import Vectors
    from facewatch.types import Doubles, Floats, Ints

_MOST_ASKED = 500
"""People whose faces are asked for by their ids; of more those of everybody are read."""

_MOST_COMPARED = 2
"""People whose faces are kept with who is nearest to each: 2 MB for one who has 4,000, of 128 numbers each."""


@dataclass(frozen=True, slots=True)
class SimilarPerson:
    """Somebody who looks like another."""

    person_id: int
    label: str
    is_named: bool
    similarity: float
    """The mean cosine between a face of the one and a face of the other."""
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


@dataclass(frozen=True, slots=True)
class KnownLooks:
    """What everybody looks like to an engine."""

    engine_id: int
    changes: Mapping[int, int]
    """How often each person had changed (see `Tiles.changes`)."""
    profiles: Profiles


@dataclass(frozen=True, slots=True)
class ComparedFaces:
    """The faces of a person, as they were compared with everybody else."""

    person_id: int
    engine_id: int
    changes: Mapping[int, int]
    """How often each of the others had changed."""
    faces: NearestOthers


class Resemblance:
    """What the people of a catalog look like to the engine in use. Belongs to one thread; what is kept may be
    shared."""

    def __init__(
        self,
        catalog: Catalog,
        engine: WantedEngine,
        vectors: Callable[[], Vectors],
        kept: Kept[KnownLooks] | None = None,
        compared: Kept[tuple[ComparedFaces, ...]] | None = None,
    ) -> None:
        """`vectors` returns those of all faces, as the engine in use sees them."""
        self._catalog = catalog
        self._wanted = engine
        self._vectors = vectors
        self._kept = kept or Kept()
        self._compared_before = compared or Kept()
        self._engine: EngineInUse | None = None

    def similar(self, person_id: int, most: int) -> list[SimilarPerson]:
        """Return who looks most like a person, at most so many, the most alike first; nobody hidden.

        Raises:
            NotKnownError: nothing was scanned yet.
            EngineError: what is known of the engine in use is not here.
        """
        profiles, engine = self._renewed().profiles, self._in_use()
        row = _row_of(profiles, person_id)
        if row is None:
            return []
        cosines = profiles.means @ profiles.means[row]
        far = distances(cosines)
        far[row] = np.inf
        ranking = np.argsort(far, kind="stable")[:-1].tolist()
        found = [
            SimilarPerson(
                person_id=person.id,
                label=person.name or label_of(person.id),
                is_named=person.name is not None,
                similarity=float(cosines[other]),
                chance=chance_of_group(float(far[other]), float(np.delete(far, other).min()), engine.info.thresholds),
                n_photos=shown.n_photos,
                cover_id=shown.best_id,
            )
            for other, person, shown in islice(self._shown(profiles, ranking), most)
        ]
        return self._beside(person_id, found)

    def own_similarity(self, person_id: int) -> float | None:
        """Return the mean cosine between two faces of a person; None: there are no two.

        Raises:
            NotKnownError: nothing was scanned yet.
            EngineError: what is known of the engine in use is not here.
        """
        profiles = self._renewed().profiles
        row = _row_of(profiles, person_id)
        if row is None or profiles.sizes[row] < 2:
            return None
        n, mean = int(profiles.sizes[row]), profiles.means[row].astype(np.float64)
        # Of all pairs, those of a face with itself are left out.
        return float((n * n * (mean @ mean) - n) / (n * (n - 1)))

    def _shown(self, profiles: Profiles, rows: Iterable[int]) -> Iterator[tuple[int, LivingPerson, Shown]]:
        """Yield those of these rows who are in the library and not hidden."""
        living = {one.id: one for one in self._catalog.tiles.living() if not one.is_hidden}
        for row in rows:
            person = living.get(int(profiles.ids[row]))
            if person is None:
                continue
            shown = self._catalog.tiles.shown([person.id]).get(person.id)
            if shown is not None:
                yield row, person, shown

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
        own = self._catalog.person_faces.weights(person_id)
        seen = self._compared(person_id, own.ids)
        own = own.take(np.searchsorted(own.ids, seen.ids))
        far = distances_to_others(seen.vectors, weights_of(own))
        is_nearer = seen.next_distances < far
        # NaN, the only face, sorts like none.
        order = np.lexsort((own.ids, -np.nan_to_num(far), ~is_nearer, own.by_user))
        return Doubts(own.ids[order], far[order], seen.next_ids[order], seen.next_distances[order])

    # --- what is kept ---

    def _compared(self, person_id: int, ids: Ints) -> NearestOthers:
        """Return those of a person's faces, which are ascending, that the engine in use sees, compared with the
        others; what was compared before only with those who have changed since."""
        looks = self._renewed(besides=person_id)
        others = looks.profiles.take(looks.profiles.ids != person_id)
        with self._compared_before.renewing:
            before = {one.person_id: one for one in self._compared_before.value or ()}
            known = before.pop(person_id, None)
            if known is None or known.engine_id != looks.engine_id:
                faces = nearest_others(self._vectors().taken(ids), others)
            else:
                changed = [one for one, _ in known.changes.items() ^ looks.changes.items()]
                stay = (
                    known.faces
                    if np.array_equal(known.faces.ids, ids)
                    else known.faces.take(np.isin(known.faces.ids, ids))
                )
                faces = after_changes(stay, changed, others)
                if len(new := np.setdiff1d(ids, faces.ids, assume_unique=True)):
                    faces = by_id(faces, nearest_others(self._vectors().taken(new), others))
            now = ComparedFaces(person_id, looks.engine_id, looks.changes, faces)
            self._compared_before.value = (*before.values(), now)[-_MOST_COMPARED:]
        return faces

    def _in_use(self) -> EngineInUse:
        if self._engine is None or self._engine.id != self._catalog.engines.in_use_id():
            self._engine = self._wanted.in_use()
        return self._engine

    def renew(self) -> None:
        """Read what everybody looks like, so that nobody who asks has to wait for it."""
        self._renewed()

    def _renewed(self, besides: int = NOBODY) -> KnownLooks:
        """Return everybody as they look now, `besides` one, who may be as it was."""
        engine_id, changes = self._in_use().id, self._catalog.tiles.changes()
        with self._kept.renewing:
            known = self._kept.value
            if known is None or known.engine_id != engine_id:
                known = KnownLooks(engine_id, changes, self._read(changes))
            else:
                before = known.changes.get(besides)
                known = self._brought_up(known, changes if before is None else changes | {besides: before})
            self._kept.value = known
        return known

    def _brought_up(self, known: KnownLooks, changes: Mapping[int, int]) -> KnownLooks:
        """Return what was known, with those read again who have changed."""
        changed = [person_id for person_id, n in changes.items() if known.changes.get(person_id) != n]
        if not changed:
            return known
        read = self._read(changed)
        stay = known.profiles.take(~np.isin(known.profiles.ids, changed))
        read = Profiles.together([stay, read]) if len(read) else stay
        return KnownLooks(known.engine_id, changes, read.take(np.argsort(read.ids)))

    def _read(self, people: Collection[int]) -> Profiles:
        """Return these people; who has no face that the engine in use sees is absent."""
        faces, owners = self._catalog.person_faces.evidence(people if len(people) <= _MOST_ASKED else None)
        is_wanted = np.isin(owners, list(people))
        faces, owners = faces[is_wanted], owners[is_wanted]
        ids, groups = np.unique(owners, return_inverse=True)
        sums, sizes = self._vectors().sums(faces, groups)
        is_seen = sizes > 0
        return profiles_from(ids[is_seen], sizes[is_seen], sums[is_seen])


def weights_of(faces: FaceWeights) -> Floats:
    """Return what each face counts in the middle of its person, as in that of the gallery: by quality, confirmed ones
    more; poor ones only where all are."""
    weights = faces.weights * np.where(faces.by_user, np.float32(CONFIRMED_WEIGHT), np.float32(1))
    return weights if np.count_nonzero(weights) > 1 else np.ones(len(faces), np.float32)


def distances_to_others(embeddings: Floats, weights: Floats) -> Doubles:
    """Return how far each face of one person is from the middle of the others; NaN where there is no other.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
        weights: what each counts in the middle.
    """
    weighted = weights[:, None] * embeddings
    others = weighted.sum(0, dtype=np.float64) - weighted
    lengths = np.linalg.norm(others, axis=1)
    # What is left of one face that was taken from itself is rounding.
    lengths[lengths < 1e-4 * max(float(weights.max(initial=0)), 1e-9)] = np.nan
    cosines = np.einsum("ij,ij->i", embeddings, others) / lengths
    return np.asarray(np.sqrt(np.maximum(0, 2 - 2 * cosines)), np.float64)


def _row_of(profiles: Profiles, person_id: int) -> int | None:
    found = np.flatnonzero(profiles.ids == person_id)
    return int(found[0]) if len(found) else None
