"""Which faces are compared where all pairs would be too many: those of cells that are near each other.

Faces stand in cells around centres (inverted lists; Sivic and Zisserman 2003), and each is compared with the faces of
the cells that are nearest to it. How many of them is decided by a sample of faces whose nearest others are known
exactly: as few as find the wanted share of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import slices
from facewatch.cores import on_all_cores

from .nearest import centres_of, nearest_centres
from .packing import ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.types import Flags, Floats, Ints, Vectors

FACES_PER_CELL = 400
"""Smaller cells need fewer comparisons between faces, and more with centres: of a million faces each is compared with
2 500 centres, and with the faces of some 100 cells."""

RECALL = 0.993
"""Share of the edges of the sample that are to be found, so that of all edges it is 0.99."""

SAMPLE_FACES = 1_000
"""Synthetic ones have 44 000 edges, which told the share of all edges to 0.1 % (.9933 for .9924)."""

ROWS_AT_ONCE = 4_096
"""Faces that are compared with the centres, or with a sample, at a time: 40 MB of cosines with 2 500 of them."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Faces in cells."""

    labels: NDArray[np.int32]
    """The cell of each face, shape (n_faces,)."""
    wanting: Ints
    """The faces whose nearest are wanted, ascending, shape (n_wanting,)."""
    probes: NDArray[np.int32]
    """The cells that each of those is compared with, the nearest first, shape (n_wanting, n_probes)."""
    recall: float
    """Share of the edges that comparing them finds, by the sample; 0 to 1."""

    @property
    def n_pairs(self) -> float:
        """How many pairs are compared."""
        sizes = np.bincount(self.labels, minlength=int(self.probes.max(initial=0)) + 1)
        return float(sum(sizes[self.probes[some]].sum() for some in slices(len(self.probes), ROWS_AT_ONCE)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which edges are to be found."""

    is_wanting: Flags
    """Whose nearest faces are, shape (n_faces,)."""
    n_neighbours: int
    least: float
    """The least cosine of an edge."""


def cells_for(embeddings: Vectors, wanted: Wanted) -> Cells:
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


def _nearest_cells(embeddings: Vectors, centres: Floats, n: int, rows: Ints | None = None) -> NDArray[np.int32]:
    """Return the n nearest cells of these faces, of all without any, shape (n_rows, n)."""
    rows = np.arange(len(embeddings)) if rows is None else rows
    found = np.empty((len(rows), min(n, len(centres))), np.int32)

    def find(start: int) -> None:
        some = rows[start : start + ROWS_AT_ONCE]
        found[start : start + len(some)] = nearest_centres(embeddings[some], centres, n)

    on_all_cores(find, range(0, len(rows), ROWS_AT_ONCE))
    return found


def _nearer_cells(embeddings: Vectors, centres: Floats, labels: NDArray[np.int32], wanted: Wanted) -> Ints:
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


def _edges(embeddings: Vectors, faces: Ints, wanted: Wanted) -> tuple[Ints, Ints]:
    """Return both ends of the edges from these faces to their nearest, of all."""
    vectors = embeddings[faces]
    found: dict[int, tuple[Ints, Ints, Floats]] = {}

    def find(start: int) -> None:
        cosines = vectors @ embeddings[start : start + ROWS_AT_ONCE].T
        rows, near = np.nonzero(cosines >= wanted.least)
        is_other = faces[rows] != start + near
        rows, near = rows[is_other], near[is_other]
        found[start] = rows, start + near, cosines[rows, near]

    on_all_cores(find, range(0, len(embeddings), ROWS_AT_ONCE))
    rows, near, cosines = (
        np.concatenate(part) for part in zip(*(found[start] for start in sorted(found)), strict=True)
    )
    order = np.lexsort((-cosines, rows))
    nearest = order[ranks(rows[order]) < wanted.n_neighbours]
    return faces[rows[nearest]], near[nearest]


def _rank_of(vectors: Floats, centres: Floats, cells: NDArray[np.int32]) -> Ints:
    """Return how many centres are nearer to each vector than that of its cell."""
    nearer = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        cosines = vectors[start : start + ROWS_AT_ONCE] @ centres.T
        own = np.take_along_axis(cosines, cells[start : start + ROWS_AT_ONCE, None], axis=1)
        nearer[start : start + len(cosines)] = np.count_nonzero(cosines > own, axis=1)
    return nearer
