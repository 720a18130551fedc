"""Who of the others is nearest to each face of a person, kept up to date as people change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.columns import Columns
from facewatch.matching import distances
from facewatch.matching.search import Block

if TYPE_CHECKING:
    from collections.abc import Collection

    from facewatch.matching.chances import Profiles
    from facewatch.types import Doubles, Flags, Floats, Ints

_AT_ONCE = 1_024
"""Faces that are compared with everybody at a time: 16 MB of similarities to 4,000 people."""


@dataclass(frozen=True, slots=True)
class NearestOthers(Columns):
    """Faces, and who of the others is nearest to each."""

    ids: Ints
    """Ascending."""
    vectors: Floats
    """Unit vectors, shape (n_faces, n_dims)."""
    next_ids: Ints
    """Whose centroid is nearest; NOBODY: there is nobody else."""
    next_distances: Doubles
    """To it, Euclidean; infinite: there is nobody else."""


def nearest_others(faces: Block, others: Profiles) -> NearestOthers:
    """Return who of the others is nearest to each of these faces, which are ascending."""
    ids, far = np.full(len(faces), NOBODY, np.int64), np.full(len(faces), np.inf)
    for start in range(0, len(faces) if len(others) else 0, _AT_ONCE):
        cosines = faces.vectors[start : start + _AT_ONCE] @ others.centroids.T
        best = cosines.argmax(axis=1)
        ids[start : start + len(best)] = others.ids[best]
        far[start : start + len(best)] = distances(cosines[np.arange(len(best)), best])
    return NearestOthers(faces.ids, faces.vectors, ids, far)


def after_changes(known: NearestOthers, changed: Collection[int], others: Profiles) -> NearestOthers:
    """Return the same for others of whom these have changed, come or gone: only faces that were nearest to one of them
    are compared with everybody again."""
    if not changed:
        return known
    is_lost = np.isin(known.next_ids, list(changed))
    lost = known.take(is_lost)
    lost = nearest_others(Block(lost.ids, lost.vectors), others)
    stay = known.take(~is_lost)
    tried = nearest_others(Block(stay.ids, stay.vectors), others.take(np.isin(others.ids, list(changed))))
    stay = _either(tried, stay, tried.next_distances < stay.next_distances)
    return by_id(lost, stay)


def by_id(*parts: NearestOthers) -> NearestOthers:
    """Return the faces of all parts, by id."""
    faces = NearestOthers.together(parts)
    return faces.take(np.argsort(faces.ids))


def _either(first: NearestOthers, second: NearestOthers, is_first: Flags) -> NearestOthers:
    """Return for each of the same faces what the first, or the second, says."""
    return NearestOthers(
        first.ids,
        first.vectors,
        np.where(is_first, first.next_ids, second.next_ids),
        np.where(is_first, first.next_distances, second.next_distances),
    )
