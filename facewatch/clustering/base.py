"""What all methods share: the same checks before, the same graph, and the same refinement after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .graph import neighbour_graph
from .verify import NOISE, Rules, refine

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

NORM_TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be."""


@dataclass(kw_only=True)
class GraphClusterer:
    """A method that proposes clusters from the graph of neighbours; `labels_` holds the last answer.

    Distances are Euclidean between unit vectors. The defaults were measured on dlib embeddings (a crop and its mirror
    image, added) of 3 177 faces: LFW and four small albums, each alone, all together, and random parts of them.
    At ceiling 0.35 no album cluster mixes two people and LFW has BCubed P .9965, F .946; from 0.345 to 0.36, with
    `doubt` rising from 0.02 to 0.05, P stays above .992 and F between .941 and .951.
    """

    ceiling: float
    """No group may join parts, or keep a face, whose spread (root mean squared distance) is above this."""
    n_neighbours: int = 64
    """Edges kept per face; 16 to 128 gave the same clusters, but of people with 29 faces at most."""
    doubt: float = 0.03
    """Two single faces must be nearer than the ceiling by this, groups of a and b faces by doubt / (a * b).

    One distance is weak evidence: of the joins that average linkage made between 0.30 and 0.34 on LFW, 3 of 73 between
    two single faces were wrong, and 3 of 321 between larger groups.
    """
    margin: float = 0.02
    """A leftover face joins a group when the runner-up group is farther by this; 0.01 to 0.04 made no difference."""
    conflict_share: float = 0.05
    """Groups with photos in common may join when those are at most this share of the smaller group.

    Chosen, not measured: below 20 faces one common photo keeps two groups apart, as it must for siblings.
    """
    min_faces: int = 2
    """Smaller groups are noise. Faces of one photo are never together, so a group comes from as many photos."""

    def __post_init__(self) -> None:
        if not 0.0 < self.ceiling < np.sqrt(2.0):
            raise ValueError(f"ceiling must lie between 0 and sqrt(2), not {self.ceiling}")
        if self.n_neighbours < 1 or self.min_faces < 2:
            raise ValueError("n_neighbours must be at least 1 and min_faces at least 2")

    def fit_predict(self, embeddings: NDArray[np.float32], *, photos: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return one label per face, -1 is noise; the largest cluster is 0.

        The faces are put into an order of their own first, so that the order in which they come changes nothing but
        which of two equally large clusters has the smaller number.

        Args:
            embeddings: unit vectors, float32, shape (n_faces, n_dims).
            photos: the photo that each face is in, any integers, shape (n_faces,).

        Raises:
            ValueError: shapes do not fit, or an embedding is not finite or not of length 1.
        """
        embeddings, photos = np.asarray(embeddings, dtype=np.float32), np.asarray(photos, dtype=np.int64)
        _check(embeddings, photos)
        self.labels_ = np.full(len(embeddings), NOISE, dtype=np.int64)
        if len(embeddings) > 1:
            order = np.lexsort((photos, *embeddings.T))
            self.labels_[order] = self._labels_in_order(embeddings[order], photos[order])
            self.labels_ = _largest_first(self.labels_)
        return self.labels_

    def propose(self, graph: csr_matrix) -> NDArray[np.int64]:
        """Return a first guess, one label per face, -1 is noise; too large clusters are cut later."""
        raise NotImplementedError

    def _labels_in_order(self, embeddings: NDArray[np.float32], photos: NDArray[np.int64]) -> NDArray[np.int64]:
        graph = neighbour_graph(embeddings, n_neighbours=self.n_neighbours, ceiling=self.ceiling)
        rules = Rules(self.ceiling, self.doubt, self.margin, self.conflict_share, self.min_faces)
        return refine(self.propose(graph), _unit(embeddings), photos, graph, rules)


def _check(embeddings: NDArray[np.float32], photos: NDArray[np.int64]) -> None:
    if embeddings.ndim != 2 or photos.shape != embeddings.shape[:1]:
        raise ValueError(f"one photo per embedding: got shapes {embeddings.shape} and {photos.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite numbers")
    if (abs(np.linalg.norm(embeddings, axis=1) - 1.0) > NORM_TOLERANCE).any():
        raise ValueError("embeddings must be unit vectors")


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the vectors in double precision, where a length of 1 within 1e-3 is not good enough."""
    vectors = embeddings.astype(np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def _largest_first(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels renamed 0, 1, 2... by size, and among equals by their first face."""
    names, first, sizes = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    renamed = np.full(len(labels), NOISE, dtype=np.int64)
    for new, at in enumerate(np.lexsort((first, -sizes))):
        renamed[labels == names[at]] = new
    return renamed
