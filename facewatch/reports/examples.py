"""Faces that show what the numbers of `stats` mean: those of people with most faces, and the ends of distributions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.matching.member import distances
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, FaceTable, Person
    from facewatch.matching.nearness import Nearness
    from facewatch.types import Floats, Ints

MOST = 12
"""Of each kind: two rows on a page."""

MANY_FACES = 5
"""Somebody with fewer has no middle from which a face could be far."""


@dataclass(frozen=True, slots=True)
class ExampleFace:
    """A face, whose it is, and the number for which it is shown."""

    face_id: int
    person_id: int
    label: str
    value: float
    """A distance, a quality or a count, as its list says."""


@dataclass(frozen=True, slots=True)
class ExamplePair:
    """Two people, and those of their faces that are nearest to each other."""

    one: ExampleFace
    other: ExampleFace
    distance: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Faces of people who are not hidden."""

    covers: tuple[ExampleFace, ...] = ()
    """Of those with most faces, the most first; with how many they have."""
    farthest: tuple[ExampleFace, ...] = ()
    """Farthest from the middle of their person, the farthest first, one of a person; with that distance."""
    pairs: tuple[ExamplePair, ...] = ()
    """Different people who look alike, the nearest first; each two once."""
    poorest: tuple[ExampleFace, ...] = ()
    """Of the lowest quality (0 to 1) that belong to somebody and are more than shown; with it."""

    @property
    def ids(self) -> list[int]:
        """All faces, each once."""
        pairs = [face for pair in self.pairs for face in (pair.one, pair.other)]
        return list(dict.fromkeys(face.face_id for face in (*self.covers, *self.farthest, *pairs, *self.poorest)))


def examples_of(
    catalog: Catalog, people: Collection[Person], table: FaceTable | None, near: Nearness | None
) -> Examples:
    """Return faces to show.

    Args:
        people: all who have faces.
        table: their faces, and
        near: how near those are, in the same order; None: there are none of the engine in use.
    """
    shown = {person.id: person for person in people if not person.is_hidden}
    covers = _covers(catalog, list(shown.values()))
    if table is None or near is None:
        return Examples(covers=covers)
    rows = np.flatnonzero(np.isin(table.people, np.fromiter(shown, np.int64, len(shown))))
    finder = _Finder(table, near, rows, {person.id: person.label for person in shown.values()})
    return Examples(covers, finder.farthest(), finder.pairs(), finder.poorest())


def _covers(catalog: Catalog, people: Sequence[Person]) -> tuple[ExampleFace, ...]:
    largest = sorted(people, key=lambda one: (-one.n_faces, one.id))[:MOST]
    best = catalog.faces.best_of([one.id for one in largest], 1)
    return tuple(
        ExampleFace(best[one.id][0], one.id, one.label, float(one.n_faces)) for one in largest if one.id in best
    )


@dataclass(frozen=True, slots=True)
class _Finder:
    """Looks for the ends of distributions among some rows of a table."""

    table: FaceTable
    near: Nearness
    rows: Ints
    labels: dict[int, str]

    def farthest(self) -> tuple[ExampleFace, ...]:
        people, n_faces = np.unique(self.table.people[self.rows], return_counts=True)
        rows = self.rows[np.isin(self.table.people[self.rows], people[n_faces >= MANY_FACES])]
        return self._of_each(rows[np.argsort(-self.near.centroid[rows], kind="stable")], self.near.centroid)

    def poorest(self) -> tuple[ExampleFace, ...]:
        rows = self.rows[self.table.tiers[self.rows] != Tier.SHOW.value]
        rows = rows[np.argsort(self.table.qualities[rows], kind="stable")[:MOST]]
        return tuple(self._face(row, self.table.qualities) for row in rows.tolist())

    def pairs(self) -> tuple[ExamplePair, ...]:
        found: dict[tuple[int, int], ExamplePair] = {}
        is_compared = np.isfinite(self.near.other[self.rows])
        rows = self.rows[is_compared]
        for row in rows[np.argsort(self.near.other[rows], kind="stable")].tolist():
            own, other = int(self.table.people[row]), int(self.near.other_people[row])
            key = (min(own, other), max(own, other))
            if other in self.labels and key not in found:
                found[key] = self._pair(row, other)
                if len(found) == MOST // 2:
                    break
        return tuple(found.values())

    def _pair(self, row: int, other: int) -> ExamplePair:
        theirs = np.flatnonzero(self.table.people == other)
        away = distances(self.table.embeddings[theirs] @ self.table.embeddings[row])
        nearest = int(theirs[away.argmin()])
        return ExamplePair(
            self._face(row, self.near.other), self._face(nearest, self.near.other), float(self.near.other[row])
        )

    def _of_each(self, rows: Ints, values: Floats) -> tuple[ExampleFace, ...]:
        """Return the first face of each person, up to so many people."""
        _, first = np.unique(self.table.people[rows], return_index=True)
        return tuple(self._face(row, values) for row in rows[np.sort(first)[:MOST]].tolist())

    def _face(self, row: int, values: Floats) -> ExampleFace:
        person_id = int(self.table.people[row])
        return ExampleFace(int(self.table.ids[row]), person_id, self.labels[person_id], float(values[row]))
