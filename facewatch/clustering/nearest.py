"""The k nearest neighbours of faces, found in cells: approximate from some thousands of faces on, and fast.

A map needs neighbours that are mostly right and none of the guarantees of `graph.NeighbourGraph`, which compares all
pairs: 100 000 faces take a tenth of the time this way (inverted lists; Sivic and Zisserman 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facewatch.types import Flags, Floats, Ints, Vectors

EXACT_FACES = 8_192
"""Up to so many faces all pairs are compared: a second or two."""

FACES_PER_CELL = 40
"""Small cells follow people better than large ones: of the nearest faces that are of a face's person 0.99 are found
among 100 000 synthetic ones of 512 dimensions."""

N_PROBES = 3
"""The nearest cells of a face; its cell is compared with those of all its faces."""

BLOCK_ROWS = 1_024
"""Faces that are compared at a time; with 8 192 others 32 MB of similarities."""

SAMPLE_PER_CELL = 10
"""Faces by which a cell's centre is found."""

N_ROUNDS = 2
"""Of k-means; without any a tenth of those faces are not found."""


@dataclass(frozen=True, slots=True)
class Nearest(Columns):
    """The nearest other faces of some faces, nearest first."""

    columns: NDArray[np.int32]
    """Positions of the neighbours, shape (n_rows, k)."""
    distances: Floats
    """Euclidean between unit vectors, shape (n_rows, k)."""


def nearest(
    embeddings: Floats, k: int, rows: Ints | None = None, *, report: Callable[[float], None] = lambda _: None
) -> Nearest:
    """Return the k nearest other faces of each of these rows, of all without any.

    Args:
        embeddings: unit vectors, float32, shape (n_faces, n_dims).
        k: neighbours of a face, less than n_faces.
        rows: whose neighbours are wanted, ascending.
        report: is called with the share that is done.

    Raises:
        ValueError: there are not so many others.
    """
    if not 0 < k < len(embeddings):
        raise ValueError(f"{len(embeddings)} faces have no {k} nearest others each")
    wanted = np.arange(len(embeddings)) if rows is None else rows
    cells = _InvertedLists.of(embeddings)
    found = Nearest(np.empty((len(wanted), k), np.int32), np.empty((len(wanted), k), np.float32))
    cell_of_wanted = cells.labels[wanted]
    n_done = 0
    for cell in np.unique(cell_of_wanted):
        at = np.flatnonzero(cell_of_wanted == cell)
        others = cells.candidates(cell, more_than=k)
        vectors = embeddings[others]
        for start in range(0, len(at), BLOCK_ROWS):
            some = at[start : start + BLOCK_ROWS]
            found.columns[some], found.distances[some] = _nearest_of(
                embeddings[wanted[some]], wanted[some], vectors, others, k
            )
            n_done += len(some)
            report(n_done / len(wanted))
    return found


def _nearest_of(faces: Floats, own: Ints, vectors: Floats, others: Ints, k: int) -> tuple[NDArray[np.int32], Floats]:
    cosines = faces @ vectors.T
    # `others` is ascending and holds each face itself, which is none of its neighbours.
    cosines[np.arange(len(own)), np.searchsorted(others, own)] = -np.inf
    picked = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(cosines, picked, axis=1)
    columns = others[picked]
    order = np.lexsort((columns, -values), axis=1)
    distances = np.sqrt(np.maximum(2.0 - 2.0 * np.take_along_axis(values, order, axis=1), 0.0))
    return np.take_along_axis(columns, order, axis=1).astype(np.int32), distances.astype(np.float32)


@dataclass(frozen=True, slots=True)
class _InvertedLists:
    """Faces in cells, each around a centre."""

    labels: Ints
    """The cell of each face, shape (n_faces,)."""
    order: Ints
    """The faces, cell by cell."""
    starts: Ints
    """Where each cell begins in `order`, and the end of the last one."""
    near: Flags
    """Which cells are among the nearest of some face of a cell, shape (n_cells, n_cells)."""

    @classmethod
    def of(cls, embeddings: Floats) -> _InvertedLists:
        n_faces = len(embeddings)
        n_cells = n_faces // FACES_PER_CELL if n_faces > EXACT_FACES else 1
        centres = centres_of(embeddings, n_cells)
        probes = nearest_centres(embeddings, centres, N_PROBES)
        labels = probes[:, 0]
        near = np.zeros((n_cells, n_cells), bool)
        near[np.repeat(labels, probes.shape[1]), probes.ravel()] = True
        starts = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=n_cells))])
        return cls(labels, np.argsort(labels, kind="stable"), starts, near)

    def candidates(self, cell: int, *, more_than: int) -> Ints:
        """Return the faces of a cell and of those near it, ascending; more than so many."""
        near = self.near[cell]
        if np.diff(self.starts)[near].sum() <= more_than:
            return np.sort(self.order)
        parts = [self.order[self.starts[one] : self.starts[one + 1]] for one in np.flatnonzero(near)]
        return np.sort(np.concatenate(parts))


def cells_of(embeddings: Vectors, n_cells: int) -> Ints:
    """Return the cell of each face, of so many: faces that are alike are in one, as a rule."""
    return nearest_centres(embeddings, centres_of(embeddings, n_cells), 1)[:, 0]


def centres_of(embeddings: Vectors, n_cells: int) -> Floats:
    """Return centres by spherical k-means over a sample that is always the same."""
    random = np.random.default_rng(0)
    sample = np.sort(random.permutation(len(embeddings))[: n_cells * SAMPLE_PER_CELL])
    vectors = embeddings[sample]
    centres: Floats = vectors[np.sort(random.permutation(len(vectors))[:n_cells])]
    for _ in range(N_ROUNDS):
        labels = nearest_centres(vectors, centres, 1)[:, 0]
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # A centre that no face is near stays where it was.
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    return centres


def nearest_centres(embeddings: Vectors, centres: Floats, n: int) -> Ints:
    """Return the n nearest centres of each face, the nearest first; all when there are fewer."""
    n = min(n, len(centres))
    found = np.empty((len(embeddings), n), np.int64)
    for start in range(0, len(embeddings), BLOCK_ROWS):
        some = slice(start, start + BLOCK_ROWS)
        cosines = embeddings[some] @ centres.T
        picked = np.argpartition(-cosines, n - 1, axis=1)[:, :n]
        order = np.argsort(-np.take_along_axis(cosines, picked, axis=1), axis=1, kind="stable")
        found[some] = np.take_along_axis(picked, order, axis=1)
    return found
