"""The worst of what went wrong, as pairs of faces to look at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facewatch.evaluation.metrics import nearest_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mistake:
    """Two faces that stand for two sets of faces: the nearest pair of one from each."""

    left: int
    """Row of the sample; so is `right`."""
    right: int
    distance: float
    n_left: int
    """Faces that `left` stands for: those of its person in its group."""
    n_right: int
    damage: float
    """What it takes from the sum of all faces' BCubed precision or recall."""


def wrongly_together(
    people: NDArray[np.int64], groups: NDArray[np.int64], embeddings: NDArray[np.float32]
) -> list[Mistake]:
    """Return two people of one group at a time, those that cost the most precision first.

    In a group of n faces, a of one person and b of another take 2ab / n from the sum of all faces' precision.
    """
    found = [
        _mistake(embeddings, left, right, len(members))
        for members in _parts(groups)
        for left, right in combinations([members[part] for part in _parts(people[members])], 2)
    ]
    return sorted(found, key=lambda one: (-one.damage, one.distance, one.left, one.right))


def wrongly_apart(
    people: NDArray[np.int64], groups: NDArray[np.int64], embeddings: NDArray[np.float32]
) -> list[Mistake]:
    """Return a part of a person that is apart from its largest one at a time, those farthest from it first.

    That is where an engine sees no likeness at all: a look, a light, an age, or a wrong label.
    """
    found = []
    for members in _parts(people):
        parts = sorted((members[part] for part in _parts(groups[members])), key=lambda part: (-len(part), part[0]))
        found += [_mistake(embeddings, parts[0], part, len(members)) for part in parts[1:]]
    return sorted(found, key=lambda one: (-one.distance, one.left, one.right))


def _parts(labels: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each label."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    yield from (rows for rows in np.split(order, starts) if len(rows))


def _mistake(
    embeddings: NDArray[np.float32], left: NDArray[np.int64], right: NDArray[np.int64], n_faces: int
) -> Mistake:
    row, column, distance = nearest_pair(embeddings[left], embeddings[right])
    return Mistake(
        left=int(left[row]),
        right=int(right[column]),
        distance=distance,
        n_left=len(left),
        n_right=len(right),
        damage=2 * len(left) * len(right) / n_faces,
    )
