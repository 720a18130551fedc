"""Faces that a run placed by looser settings than today's, and that those would refuse.

Only what was placed so is looked at: a face is in no doubt because its person has grown, thresholds have risen with the
gallery, or somebody else looks alike by now. Without a change of `match.strictness` there is nothing to find.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog import Catalog, FaceTable
from facewatch.matching import Aggregation, Gallery
from facewatch.people import galleries
from facewatch.people.split import largest_part
from facewatch.types import Thresholds, Tier


@dataclass(frozen=True, slots=True)
class Loose:
    """Faces of one person that today's settings would not have placed with it."""

    person_id: int
    faces: tuple[int, ...]
    strictness: float | None
    """The least `match.strictness` that one of them was placed by; None: nobody knows."""


def loose_faces(
    catalog: Catalog,
    table: FaceTable,
    thresholds: Thresholds,
    *,
    strictness: float,
    aggregation: Aggregation = Aggregation.COMBINED,
) -> list[Loose]:
    """Return them, person by person.

    Who was placed loosely stays where it is near enough to the others of its person, by today's distances in a small
    gallery in which nobody else is known; these are asked again as those that stay grow more. Of a person that was
    placed loosely as a whole the largest part that today's grouping would leave together stays.

    Args:
        table: the faces of the people to be looked at, as the engine in use sees them.
        strictness: today's `match.strictness`.
        aggregation: today's `match.aggregation`.
    """
    limit, centroid_limit = aggregation.limits_on_record(thresholds)
    most = thresholds.clear + thresholds.confirmed - strictness
    placed = catalog.integrity.loosely_placed(
        strictness=strictness,
        match=limit + most,
        centroid=centroid_limit + most,
        cluster=thresholds.cluster - strictness,
    )
    is_loose = np.isin(table.ids, list(placed)) & ~table.by_user
    found = []
    for person_id in np.unique(table.people[is_loose]):
        own = table.take(table.people == person_id)
        is_own_loose = np.isin(own.ids, list(placed)) & ~own.by_user
        refused = _refused(own, is_own_loose, thresholds, strictness, aggregation)
        if len(refused):
            then = [known for face_id in refused.tolist() if (known := placed[face_id]) is not None]
            found.append(Loose(int(person_id), tuple(refused.tolist()), min(then, default=None)))
    return found


def _refused(
    own: FaceTable,
    is_loose: NDArray[np.bool_],
    thresholds: Thresholds,
    strictness: float,
    aggregation: Aggregation,
) -> NDArray[np.int64]:
    """Return which faces of one person today's settings would not place beside those that were not placed loosely."""
    if is_loose.all():
        is_loose[largest_part(own, ceiling=thresholds.cluster - strictness)] = False
    gallery = Gallery(own.embeddings.shape[1], thresholds, strictness=strictness, aggregation=aggregation)
    waiting = np.flatnonzero(is_loose)
    joining = np.flatnonzero(~is_loose)
    while len(joining) and len(waiting):
        galleries.fill(gallery, own.take(joining))
        is_near = [_is_near(gallery, own, row) for row in waiting.tolist()]
        joining, waiting = waiting[is_near], waiting[~np.array(is_near, np.bool_)]
    return own.ids[waiting]


def _is_near(gallery: Gallery, own: FaceTable, row: int) -> bool:
    match = gallery.identify(own.embeddings[row], Tier(own.tiers[row]), day=int(own.days[row]))
    return match is not None and match.is_accepted
