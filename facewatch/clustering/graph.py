"""The exact graph of nearest neighbours that every method works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_DISTANCE = 1e-6
"""Stands for 0 between identical vectors: scipy's graph routines take a stored 0 for "no edge"."""

BLOCK_BYTES = 16 * 2**20
"""Size of one block of the distance matrix, in bytes: small beside the embeddings, large enough for fast products."""


def neighbour_graph(embeddings: NDArray[np.float32], *, n_neighbours: int, ceiling: float) -> csr_matrix:
    """Return who is near whom: symmetric CSR of Euclidean distances, float64, nothing on the diagonal.

    An edge is there when its distance is at most `ceiling` and either end counts the other among its `n_neighbours`
    nearest. Exact: every pair is looked at, one block of rows at a time.

    Args:
        embeddings: unit vectors, float32, shape (n_faces, n_dims).
        n_neighbours: nearest faces kept per face, before the graph is made symmetric.
        ceiling: largest distance of an edge, Euclidean between unit vectors, below sqrt(2).
    """
    n_faces = len(embeddings)
    rows_per_block = max(1, BLOCK_BYTES // (4 * max(1, n_faces)))
    parts = [
        _edges_of_block(embeddings, start, min(start + rows_per_block, n_faces), n_neighbours, ceiling)
        for start in range(0, n_faces, rows_per_block)
    ]
    if not parts:
        return csr_matrix((0, 0), dtype=np.float64)
    rows, columns, distances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    graph = coo_matrix((distances, (rows, columns)), shape=(n_faces, n_faces)).tocsr()
    return graph.maximum(graph.T).tocsr()


def _edges_of_block(
    embeddings: NDArray[np.float32], start: int, stop: int, n_neighbours: int, ceiling: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows, columns and distances of the edges that leave the faces `start` to `stop`."""
    cosines = embeddings[start:stop] @ embeddings.T
    cosines[np.arange(stop - start), np.arange(start, stop)] = -1.0
    is_edge = cosines >= 1.0 - ceiling**2 / 2.0
    for row in np.flatnonzero(np.count_nonzero(is_edge, axis=1) > n_neighbours):
        near = np.flatnonzero(is_edge[row])
        farther = near[np.argpartition(-cosines[row, near], n_neighbours - 1)[n_neighbours:]]
        is_edge[row, farther] = False
    rows, columns = np.nonzero(is_edge)
    # The differences, and not the cosines, give the lengths: near 1, a float32 cosine is too coarse (3e-4 in distance).
    differences = embeddings[rows + start].astype(np.float64) - embeddings[columns]
    lengths = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return rows + start, columns, np.maximum(lengths, MIN_DISTANCE)
