"""Spectral clustering of re-ranked neighbours: components first, then normalised cuts where a component has several.

Eigenvalues of the normalised Laplacian say into how many parts a component nearly falls: as many as there are before
the widest gap between them (von Luxburg 2007). There is no cap on that number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh, eigvalsh, qr, svd
from scipy.sparse import csr_matrix, diags, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh

from .base import GraphClusterer, members_of, nearest_of, trimmed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from facewatch.types import Doubles, Flags, Ints

    from .average import JoinRules

SMALL = 3
"""Components of up to this many faces are one proposal: there are no gaps to compare, and `verify` cuts."""

MOST_DENSE = 1_000
"""Components of more faces are halved first: all eigenvalues of 1 000 faces take 0.2 s and 8 MB, of 10 000 minutes."""

MOST_CUT = 0.2
"""A large component is halved while its second eigenvalue, which no normalised cut into two is below, is under this."""


@dataclass(kw_only=True)
class SpectralClusterer(GraphClusterer):
    """Normalised cuts (Shi and Malik 2000; Ng, Jordan and Weiss 2002) of a graph of k-reciprocal neighbours.

    Components are those of edges up to `single_link`, which tightens as the library grows, between faces with
    reciprocal neighbours in common; that leaves few components of more than a person. Up to `MOST_DENSE` faces a
    component is cut into as many parts as its widest eigengap says; a larger one is halved along its second
    eigenvector until the parts are small or hold together, so nothing grows with the square of a library.
    """

    k_reciprocal: int = 20
    """Nearest faces among which a reciprocal neighbour has to be (k1 of Zhong et al. 2017)."""
    verification_threshold: float | None = None
    """Members that are farther from the rest of their cluster than this leave, clusters nearer than this may merge;
    at most the ceiling, which None stands for.
    """
    n_clusters: int | None = None
    """How many people of two faces and more the cuts aim at; None: found by eigengap. Components stay apart and the
    refinement may part or join clusters, so it is not a promise.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.k_reciprocal <= self.n_neighbours:
            raise ValueError(f"k_reciprocal must lie between 1 and n_neighbours, not {self.k_reciprocal}")
        if self.verification_threshold is not None and not 0.0 < self.verification_threshold <= self.ceiling:
            raise ValueError(
                f"verification_threshold must lie between 0 and the ceiling, not {self.verification_threshold}"
            )
        if self.n_clusters is not None and self.n_clusters < 1:
            raise ValueError(f"n_clusters must be at least 1, not {self.n_clusters}")

    def propose(self, graph: csr_matrix) -> Ints:
        near = trimmed(graph, self.single_link(graph.shape[0]))
        ties = reranked(near, k=self.k_reciprocal, ceiling=self.ceiling)
        components = [part for faces in components_of(ties) for part in _halved(ties, faces)]
        labels = np.arange(graph.shape[0])
        for faces, n_parts in zip(components, self._n_parts(ties, components), strict=True):
            labels[faces] = len(labels) + faces[0] * len(labels) + _cut(ties[faces][:, faces], n_parts)
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)

    def _n_parts(self, ties: csr_matrix, components: Sequence[Ints]) -> list[int]:
        """Return into how many parts each component is to be cut."""
        spectra = [eigenvalues(ties[faces][:, faces]) for faces in components]
        if self.n_clusters is None:
            return [n_groups(values) for values in spectra]
        # The eigenvalues of all components together are those of the whole graph.
        order = np.argsort(np.concatenate([values for values in spectra] or [np.empty(0)]), kind="stable")
        owner = np.repeat(np.arange(len(spectra)), [len(values) for values in spectra])
        counts = np.bincount(owner[order[: self.n_clusters]], minlength=len(spectra))
        return [max(1, int(count)) for count in counts]

    def _rules(self, n_faces: int) -> JoinRules:
        rules = super()._rules(n_faces)
        return rules if self.verification_threshold is None else replace(rules, ceiling=self.verification_threshold)


def n_groups(values: Doubles) -> int:
    """Return how many eigenvalues come before the widest gap, of ascending ones; no cap."""
    return int(np.diff(values).argmax()) + 1 if len(values) > SMALL else 1


def eigenvalues(ties: csr_matrix) -> Doubles:
    """Return the eigenvalues of the normalised Laplacian of a component, ascending; 0 alone for a large one."""
    if not SMALL < ties.shape[0] <= MOST_DENSE:
        return np.zeros(1)
    values: Doubles = eigvalsh(np.eye(ties.shape[0]) - _normalised(ties).toarray())
    return values


def components_of(graph: csr_matrix) -> list[Ints]:
    """Return the faces of each connected component that has more than one."""
    return members_of(connected_components(graph, directed=False)[1])


def _halved(ties: csr_matrix, faces: Ints) -> list[Ints]:
    """Return a component in parts that are small enough for all eigenvalues, or that hold together."""
    waiting, parts = [faces], []
    while waiting:
        faces = waiting.pop()
        halves = _halves(ties[faces][:, faces]) if len(faces) > MOST_DENSE else None
        if halves is None:
            parts.append(faces)
        else:
            waiting += [faces[half] for side in (halves, ~halves) for half in _pieces(ties, faces, side)]
    return parts


def _pieces(ties: csr_matrix, faces: Ints, side: Flags) -> list[Ints]:
    """Return the connected pieces of one side of a cut, as positions in `faces`."""
    inside = np.flatnonzero(side)
    return [inside[piece] for piece in components_of(ties[faces[inside]][:, faces[inside]])]


def _halves(ties: csr_matrix) -> Flags | None:
    """Return which faces are on one side of the best cut into two, None when they hold together."""
    n_faces = ties.shape[0]
    start = np.random.default_rng(n_faces).normal(size=n_faces)
    values, vectors = eigsh(_normalised(ties), k=2, which="LA", v0=start)
    if 1.0 - values[0] > MOST_CUT:
        return None
    side: Flags = vectors[:, 0] / np.sqrt(_degrees(ties)) > 0.0
    return side if side.any() and not side.all() else None


def _cut(ties: csr_matrix, n_parts: int) -> Ints:
    """Return to which of so many parts each face of a component belongs.

    Rows of the eigenvectors are told apart by pivoted QR, which needs no start and no repetition (Damle, Minden and
    Ying 2019).
    """
    if n_parts == 1:
        return np.zeros(ties.shape[0], dtype=np.int64)
    laplacian = np.eye(ties.shape[0]) - _normalised(ties).toarray()
    _, vectors = eigh(laplacian, subset_by_index=(0, n_parts - 1))
    pivots = qr(vectors.T, mode="r", pivoting=True)[1][:n_parts]
    left, _, right = svd(vectors[pivots].T)
    parts: Ints = abs(vectors @ (left @ right)).argmax(axis=1)
    return parts


def _normalised(ties: csr_matrix) -> csr_matrix:
    scale = diags(1.0 / np.sqrt(_degrees(ties)))
    return (scale @ ties @ scale).tocsr()


def _degrees(ties: csr_matrix) -> Doubles:
    degrees: Doubles = np.asarray(ties.sum(axis=1)).ravel()
    return degrees


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
        k: how many nearest faces are compared (k1 of the paper).
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


def _jaccard_similarities(hoods: csr_matrix, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> Doubles:
    """Return what pairs of neighbourhoods have in common: sum of minima over sum of maxima; rows add up to 1."""
    similarities = np.empty(len(rows))
    for start in range(0, len(rows), EDGES_AT_ONCE):
        some = slice(start, start + EDGES_AT_ONCE)
        common = np.asarray(hoods[rows[some]].minimum(hoods[columns[some]]).sum(axis=1)).ravel()
        similarities[some] = common / (2.0 - common)
    return similarities
