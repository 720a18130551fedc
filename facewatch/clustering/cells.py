"""Which faces are compared where all pairs would be too many: those of cells that are near each other.

Faces stand in cells around centres (inverted lists; Sivic and Zisserman 2003), and each is compared with the faces of
the cells that are nearest to it. How many of them is decided by a sample of faces whose nearest others are known
exactly: as few as find the wanted share of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.cores import on_all_cores

from .nearest import centres_of, nearest_centres
from .packing import ranks

if TYPE_CHECKING:
    from facewatch.types import Flags, Floats, Ints

FACES_PER_CELL = 400
"""Smaller cells need fewer comparisons between faces, and more with centres: of a million faces each is compared with
2 500 centres, and with the faces of some 100 cells."""

RECALL = 0.993
"""Share of the edges of the sample that are to be found, so that of all edges it is 0.99."""

SAMPLE_FACES = 1_000
"""Synthetic ones have 44 000 edges, which told the share of all edges to 0.1 % (.9933 for .9924)."""

ROWS_AT_ONCE = 4_096
"""Faces that are compared with the centres at a time: 40 MB of cosines with 2 500 of them."""

SAMPLE_ROWS = 32
"""Faces of the sample that are compared with all others at a time: 128 MB of cosines with a million."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Faces in cells."""

    labels: Ints
    """The cell of each face, shape (n_faces,)."""
    wanting: Ints
    """The faces whose nearest are wanted, ascending, shape (n_wanting,)."""
    probes: Ints
    """The cells that each of those is compared with, the nearest first, shape (n_wanting, n_probes)."""
    recall: float
    """Share of the edges that comparing them finds, by the sample; 0 to 1."""

    @property
    def n_pairs(self) -> float:
        """How many pairs are compared."""
        n_cells = int(max(self.labels.max(initial=0), self.probes.max(initial=0))) + 1
        sizes, asking = (np.bincount(cells.ravel(), minlength=n_cells) for cells in (self.labels, self.probes))
        return float(sizes @ asking)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which edges are to be found."""

    is_wanting: Flags
    """Whose nearest faces are, shape (n_faces,)."""
    n_neighbours: int
    least: float
    """The least cosine of an edge."""


def cells_for(embeddings: Floats, wanted: Wanted) -> Cells:
    """Return the cells in which these edges are found, and what each face that wants them is compared with.

    Args:
        embeddings: unit vectors, shape (n_faces, n_dims).
    """
    centres = centres_of(embeddings, max(1, len(embeddings) // FACES_PER_CELL))
    labels = _nearest_cells(embeddings, centres, 1)[:, 0]
    wanting = np.flatnonzero(wanted.is_wanting)
    nearer = _nearer_cells(embeddings, centres, labels, wanted)
    n_probes = 1 + int(np.quantile(nearer, RECALL, method="higher")) if len(nearer) else 1
    probes = _nearest_cells(embeddings, centres, n_probes, wanting)
    return Cells(labels, wanting, probes, float((nearer < n_probes).mean()) if len(nearer) else 1.0)


def _nearest_cells(embeddings: Floats, centres: Floats, n: int, rows: Ints | None = None) -> Ints:
    """Return the n nearest cells of these faces, of all without any, shape (n_rows, n)."""
    rows = np.arange(len(embeddings)) if rows is None else rows
    found = np.empty((len(rows), min(n, len(centres))), np.int64)

    def find(start: int) -> None:
        some = rows[start : start + ROWS_AT_ONCE]
        found[start : start + len(some)] = nearest_centres(embeddings[some], centres, n)

    on_all_cores(find, range(0, len(rows), ROWS_AT_ONCE))
    return found


def _nearer_cells(embeddings: Floats, centres: Floats, labels: Ints, wanted: Wanted) -> Ints:
    """Return for each edge of a sample how many cells are nearer than the one in which it is found."""
    wanting = np.flatnonzero(wanted.is_wanting)
    # Drawn again: the faces that the centres were found by lie nearer to them than others do.
    sample = np.random.default_rng(1).permutation(wanting)[:SAMPLE_FACES]
    faces, others = _edges(embeddings, sample, wanted)
    found: Ints = _rank_of(embeddings[faces], centres, labels[others])
    # A face that is compared with all its cells, too, may find the first one.
    both = np.flatnonzero(wanted.is_wanting[others])
    found[both] = np.minimum(found[both], _rank_of(embeddings[others[both]], centres, labels[faces[both]]))
    return found


def _edges(embeddings: Floats, faces: Ints, wanted: Wanted) -> tuple[Ints, Ints]:
    """Return both ends of the edges from these faces to their nearest, of all."""
    found: dict[int, tuple[Ints, Ints]] = {}

    def find(start: int) -> None:
        some = faces[start : start + SAMPLE_ROWS]
        cosines = embeddings[some] @ embeddings.T
        cosines[np.arange(len(some)), some] = -np.inf
        rows, near = np.nonzero(cosines >= wanted.least)
        order = np.lexsort((-cosines[rows, near], rows))
        nearest = order[ranks(rows) < wanted.n_neighbours]
        found[start] = some[rows[nearest]], near[nearest]

    on_all_cores(find, range(0, len(faces), SAMPLE_ROWS))
    if not found:
        return faces, faces
    ends = zip(*(found[start] for start in sorted(found)), strict=True)
    near, far = (np.concatenate(end) for end in ends)
    return near, far


def _rank_of(vectors: Floats, centres: Floats, cells: Ints) -> Ints:
    """Return how many centres are nearer to each vector than that of its cell."""
    nearer = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        cosines = vectors[start : start + ROWS_AT_ONCE] @ centres.T
        own = np.take_along_axis(cosines, cells[start : start + ROWS_AT_ONCE, None], axis=1)
        nearer[start : start + len(cosines)] = np.count_nonzero(cosines > own, axis=1)
    return nearer
