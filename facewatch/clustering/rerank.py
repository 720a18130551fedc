"""k-reciprocal re-ranking (Zhong, Zheng, Cao and Li 2017), sparse: how alike two faces' neighbourhoods are.

Two faces are each other's k-reciprocal neighbours when each is among the other's k nearest. Such neighbours are seldom
strangers, however the distances of a hard face lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix, identity

from .base import nearest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPANSION = 2.0 / 3.0
"""A neighbour's own neighbours are taken in when this share of them is in already (eq. 5 of the paper)."""

K_QUERY = 6
"""Faces whose neighbourhoods are averaged, itself included (k2 of the paper)."""

ORIGINAL_SHARE = 0.3
"""Share of the original distance in the final one (lambda of the paper)."""

EDGES_AT_ONCE = 100_000
"""Pairs of neighbourhoods compared at a time: about 100 MB."""


def reranked(graph: csr_matrix, *, k: int, ceiling: float) -> csr_matrix:
    """Return the graph with similarities from 0 to 1 on its edges: 1 minus the final distance of the paper.

    Distances are divided by the ceiling first, so that both parts of the final distance go from 0 to 1. Edges between
    faces that have no reciprocal neighbour in common are left out.

    Args:
        graph: symmetric distances up to the ceiling.
        k: how many nearest faces are looked at (k1 of the paper).
        ceiling: largest distance of an edge.
    """
    hoods = _averaged(_neighbourhoods(graph, k, ceiling), graph)
    edges = graph.tocoo()
    once = edges.row < edges.col
    rows, columns = edges.row[once], edges.col[once]
    jaccard = 1.0 - _jaccard_similarities(hoods, rows, columns)
    final = (1.0 - ORIGINAL_SHARE) * jaccard + ORIGINAL_SHARE * edges.data[once] / ceiling
    is_tied = jaccard < 1.0
    half = csr_matrix((1.0 - final[is_tied], (rows[is_tied], columns[is_tied])), shape=graph.shape)
    return (half + half.T).tocsr()


def _neighbourhoods(graph: csr_matrix, k: int, ceiling: float) -> csr_matrix:
    """Return the weight of every face in each face's expanded set of reciprocal neighbours; rows add up to 1."""
    near, half = _reciprocal(graph, k), _reciprocal(graph, (k + 1) // 2)
    n_common = (near @ half.T).multiply(near).tocsr()
    sizes = np.diff(half.indptr)
    is_taken_in = n_common.data >= EXPANSION * sizes[n_common.indices]
    taken_in = csr_matrix((is_taken_in.astype(np.float64), n_common.indices, n_common.indptr), shape=graph.shape)
    members = ((near + taken_in @ half) > 0).astype(np.float64).tocsr()
    # Whoever came in by expansion only may be beyond the graph's edges, and counts as just there.
    inside = members.multiply(graph).tocsr()
    inside.data = np.exp(-inside.data / ceiling) - np.exp(-1.0)
    itself = identity(graph.shape[0], format="csr") * (1.0 - np.exp(-1.0))
    return _row_normalised((members * np.exp(-1.0) + inside + itself).tocsr())


def _reciprocal(graph: csr_matrix, k: int) -> csr_matrix:
    """Return 1 where two faces are among each other's k nearest, and for each face itself."""
    nearest = nearest_of(graph, k)
    nearest.data = np.ones_like(nearest.data)
    return (nearest.multiply(nearest.T) + identity(graph.shape[0], format="csr")).tocsr()


def _averaged(hoods: csr_matrix, graph: csr_matrix) -> csr_matrix:
    """Return each face's neighbourhood averaged with those of its nearest faces (query expansion)."""
    nearest = nearest_of(graph, K_QUERY - 1)
    nearest.data = np.ones_like(nearest.data)
    return (_row_normalised((nearest + identity(graph.shape[0], format="csr")).tocsr()) @ hoods).tocsr()


def _row_normalised(matrix: csr_matrix) -> csr_matrix:
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data = matrix.data / np.repeat(totals, np.diff(matrix.indptr))
    return matrix


def _jaccard_similarities(
    hoods: csr_matrix, rows: NDArray[np.int32], columns: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return what pairs of neighbourhoods have in common: sum of minima over sum of maxima; rows add up to 1."""
    similarities = np.empty(len(rows))
    for start in range(0, len(rows), EDGES_AT_ONCE):
        some = slice(start, start + EDGES_AT_ONCE)
        common = np.asarray(hoods[rows[some]].minimum(hoods[columns[some]]).sum(axis=1)).ravel()
        similarities[some] = common / (2.0 - common)
    return similarities
