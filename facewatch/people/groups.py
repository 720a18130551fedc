"""How clusters become people: tables in, plans out; nothing is written here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.assign import distances
from facewatch.catalog import NOBODY, FaceTable
from facewatch.clustering import Clusterer
from facewatch.types import Match

_BLOCK_FACES = 1024
"""Faces compared with all of their person at a time."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one cluster does to people."""

    person_id: int | None
    """The machine-made person that grows; None: a new one."""
    joining: tuple[int, ...]
    """Machine-made people that become part of it."""
    rows: tuple[int, ...]
    """Rows of the table: faces of the pool that join it."""


def plan_groups(
    table: FaceTable,
    photos_of: Mapping[int, set[int]],
    clusterer: Clusterer,
    rejections: Mapping[int, Collection[int]],
    apart: Mapping[int, Collection[int]],
) -> list[Group]:
    """Return what to do with the pool, groups in order of their oldest face.

    Args:
        photos_of: the photos of each machine-made person, also by faces that are not in the table.
        rejections: whom each face is not, as users said.
        apart: whom each person is not, as users said.
    """
    is_free = table.people == NOBODY
    rows = np.flatnonzero(table.is_founding & (is_free | np.isin(table.people, list(photos_of))))
    labels = clusterer.fit_predict(table.embeddings[rows], photos=table.photos[rows], ids=table.ids[rows])
    homes = _homes(table.people[rows], labels)
    groups = []
    for label in sorted(set(labels.tolist()) - {-1}, key=lambda label: int(rows[labels == label][0])):
        members = rows[labels == label]
        existing = [p for p, home in homes.items() if home == label]
        person_id, joining = _join(existing, photos_of, _others_of(existing, table, rejections, apart), table)
        own = {p for p in (person_id, *joining) if p is not None}
        taken = set().union(*(photos_of[p] for p in own))
        free = [int(r) for r in members if is_free[r] and own.isdisjoint(rejections.get(int(table.ids[r]), ()))]
        new = _one_a_photo(free, table.photos, taken)
        if joining or (new and person_id is not None) or len(new) > 1:
            groups.append(Group(person_id, joining, tuple(new)))
    return groups


def _homes(people: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[int, int]:
    """Return, for each person among the clustered faces, the cluster that holds most of it."""
    homes = {}
    for person_id in np.unique(people[people != NOBODY]):
        own = labels[(people == person_id) & (labels >= 0)]
        if len(own):
            found, counts = np.unique(own, return_counts=True)
            homes[int(person_id)] = int(found[counts.argmax()])
    return homes


def _others_of(
    people: Sequence[int],
    table: FaceTable,
    rejections: Mapping[int, Collection[int]],
    apart: Mapping[int, Collection[int]],
) -> dict[int, set[int]]:
    """Return whom each person is not, as users said of it or of one of its faces."""
    return {
        p: set(apart.get(p, ())).union(*(rejections.get(int(face), ()) for face in table.ids[table.people == p]))
        for p in people
    }


def _join(
    people: Sequence[int],
    photos_of: Mapping[int, set[int]],
    others_of: Mapping[int, set[int]],
    table: FaceTable,
) -> tuple[int | None, tuple[int, ...]]:
    """Return who stays and who joins it: the largest stays; nobody joins who was in one photo with it, or was said to
    be somebody else."""
    ordered = sorted(people, key=lambda p: (-int((table.people == p).sum()), p))
    if not ordered:
        return None, ()
    stays, seen = ordered[0], set(photos_of[ordered[0]])
    joining: list[int] = []
    for other in ordered[1:]:
        is_other = any(other in others_of[p] or p in others_of[other] for p in (stays, *joining))
        if not seen & photos_of[other] and not is_other:
            joining.append(other)
            seen |= photos_of[other]
    return stays, tuple(joining)


def _one_a_photo(rows: Iterable[int], photos: NDArray[np.int64], taken: set[int]) -> list[int]:
    """Return the rows whose photo is not taken yet, each photo once."""
    chosen, seen = [], set(taken)
    for row in rows:
        if (photo := int(photos[row])) not in seen:
            chosen.append(row)
            seen.add(photo)
    return chosen


def matches_within(table: FaceTable, group: Group, person_id: int) -> Iterable[tuple[int, Match]]:
    """Yield each joining row with its distances to the rest of the group."""
    old = np.flatnonzero(np.isin(table.people, [p for p in (group.person_id, *group.joining) if p is not None]))
    members = np.concatenate([old, np.array(group.rows, np.int64)])
    vectors = table.embeddings[members]
    centroid = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    for row in group.rows:
        own = table.embeddings[row]
        others = vectors[members != row]
        yield (
            row,
            Match(
                person_id=person_id,
                distance=_nearest(own, others),
                centroid_distance=_nearest(own, centroid[None]),
                runner_up_id=None,
                runner_up_distance=None,
                rule="grouped with faces of nobody else",
                is_accepted=True,
            ),
        )


def distances_within(table: FaceTable) -> Iterator[tuple[int, float | None, float | None]]:
    """Yield each assigned face with its distance to the nearest other face of its person, and to the centroid."""
    if not len(table):
        return
    order = np.argsort(table.people, kind="stable")
    people, starts = np.unique(table.people[order], return_index=True)
    for person_id, rows in zip(people, np.split(order, starts[1:]), strict=True):
        if person_id == NOBODY:
            continue
        vectors = table.embeddings[rows]
        total = vectors.sum(0)
        centroid = total / max(float(np.linalg.norm(total)), 1e-9)
        for start in range(0, len(rows), _BLOCK_FACES):
            cosines = vectors[start : start + _BLOCK_FACES] @ vectors.T
            own = np.arange(len(cosines))
            cosines[own, start + own] = -1.0
            to_centroid = distances(vectors[start : start + _BLOCK_FACES] @ centroid)
            for i, nearest, far in zip(start + own, distances(cosines.max(1)), to_centroid, strict=True):
                yield int(table.ids[rows[i]]), float(nearest) if len(rows) > 1 else None, float(far)


def _nearest(vector: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    return float(distances(others @ vector).min())
