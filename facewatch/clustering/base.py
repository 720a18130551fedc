"""What all methods share: the same checks before, the same graph, and the same refinement after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from facewatch.columns import slices

from .average import NOISE, FaceSet, JoinRules
from .copies import SAME, Places, near_pictures, places_of, places_of_originals, same_pictures, without_copies
from .graph import ROWS_AT_ONCE, NeighbourGraph, row_checksums
from .means import Means, Room, means_within
from .normalised import refine_normalised
from .vectors import as_floats, taken, unit_vectors
from .verify import refine, rows_of, without_small

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.types import Doubles, Floats, Ints, Normalisation, Vectors

SURE_FACES = 3_000
"""The thresholds were measured on that many faces and hold up to there."""

SINGLE_LINK, SINGLE_LINK_PER_DECADE = 0.95, 0.03
"""See `GraphClusterer.single_link`."""

NORM_TOLERANCE = 1e-3
"""How far from 1 the length of an embedding may be."""


@dataclass(kw_only=True)
class GraphClusterer:
    """A method that proposes clusters from the graph of neighbours; `labels_` holds the last answer. Distances are
    Euclidean between unit vectors. The defaults were measured on LFW and four small albums, each alone, all together,
    and random parts of them, and are those of dlib (docs/evaluation.md)."""

    ceiling: float
    """No group may join parts, or keep a face, whose spread (root mean squared distance) is above this."""
    n_neighbours: int = 64
    """Edges kept per face; a kept graph may hold more. 16 to 128 gave the same clusters of up to 29 faces."""
    singleton_penalty: float = 0.03
    """Two single faces must be nearer than the ceiling by this, groups of a and b faces by doubt / (a * b): one
    distance is weak evidence."""
    singleton_penalty_per_decade: float = 0.035
    """How much the doubt grows, as a share of the ceiling, for each tenfold beyond `SURE_FACES`: the more faces there
    are, the nearer the best of all strangers."""
    likeness: float = 0.5
    """Two groups must be at least this much as alike as the faces inside them are; mean cosine over mean cosine. Keeps
    kin apart, with ArcFace; has no effect on dlib's embeddings."""
    margin: float = 0.02
    """A leftover face joins a group when the runner-up group is farther by this; 0.01 to 0.04 made no difference."""
    conflict_share: float = 0.05
    """Groups with photos in common may join when those are at most this share of the smaller group.

    Chosen, not measured: below 20 faces one common photo keeps two groups apart, as it must for siblings, unless they
    are one person twice (see `twice`).
    """
    min_faces: int = 2
    """Smaller groups are noise. Copies count, for they are in photos of their own."""
    copy: float = SAME
    """Faces of different photos that are as near as this are copies of one picture: one takes part for all."""
    normalisation: Normalisation | None = None
    """How similarities are normalised by strangers; None: they are used as they come."""
    graph: NeighbourGraph | None = field(default=None, repr=False, compare=False)
    """Neighbours that are kept from one time to the next, of faces with ids."""
    room: Callable[[], Room | None] = field(default=lambda: None, repr=False, compare=False)
    """Returns the memory that grouping may take; None: as much as there is. With less the groups are the same."""

    def __post_init__(self) -> None:
        if not 0.0 < self.ceiling < np.sqrt(2.0):
            raise ValueError(f"ceiling must lie between 0 and sqrt(2), not {self.ceiling}")
        if self.n_neighbours < 1 or self.min_faces < 2:
            raise ValueError("n_neighbours must be at least 1 and min_faces at least 2")
        if self.graph and (self.graph.ceiling < self.ceiling or self.graph.n_neighbours < self.n_neighbours):
            raise ValueError(
                f"the kept graph has {self.graph.n_neighbours} neighbours up to {self.graph.ceiling}, but "
                f"{self.n_neighbours} up to {self.ceiling} are needed"
            )

    def fit_predict(self, embeddings: Vectors, *, photos: Ints, ids: Ints | None = None) -> Ints:
        """Return one label per face, -1 is noise; the largest cluster is 0.

        The faces are put into an order of their own first, so that the order in which they come changes nothing but
        which of two equally large clusters has the smaller number.

        Args:
            embeddings: unit vectors, float32, shape (n_faces, n_dims).
            photos: the photo that each face is in, any integers, shape (n_faces,).
            ids: what the kept graph knows the faces by, shape (n_faces,); without them it is neither used nor changed.

        Raises:
            ValueError: shapes do not fit, an embedding is not finite or not of length 1, or an id is there twice.
            EngineError: there is too little memory for it.
        """
        embeddings, photos = as_floats(embeddings), np.asarray(photos, dtype=np.int64)
        lengths = _checked_lengths(embeddings, photos)
        n_kept = self.graph.n_neighbours if self.graph else self.n_neighbours
        means = means_within(self.room(), len(embeddings), embeddings.shape[1], n_kept)
        checksums = row_checksums(embeddings)
        order = np.lexsort((photos, checksums))
        first, same = np.unique(same_pictures(checksums[order], photos[order]), return_inverse=True)
        rows, places = order[first], Places(same, places_of(photos[order]).photos)
        ids = None if ids is None else np.asarray(ids, dtype=np.int64)[rows]
        labels = np.empty(len(embeddings), dtype=np.int64)
        # Within 1e-3 of 1 is not good enough for the mean of a thousand cosines.
        vectors = unit_vectors(embeddings, rows, lengths[rows], copied_bytes=means.copied_bytes)
        labels[order] = self._labels(vectors, ids, places, same, means)
        self.labels_ = _largest_first(labels)
        return self.labels_

    def propose(self, graph: csr_matrix) -> Ints:
        """Return a first guess, one label per face, -1 is noise; too large clusters are cut later."""
        raise NotImplementedError

    def _graph_over(self, embeddings: Vectors, ids: Ints | None, means: Means) -> csr_matrix:
        """Return the edges up to the ceiling, from the graph that is kept when there is one and the ids are known."""
        if self.graph is None or ids is None:
            fresh = NeighbourGraph(ceiling=self.ceiling, n_neighbours=self.n_neighbours)
            return fresh.update(np.arange(len(embeddings)), embeddings, means)
        return trimmed(self.graph.update(ids, embeddings, means), self.ceiling)

    def _labels(self, embeddings: Vectors, ids: Ints | None, places: Places, same: Ints, means: Means) -> Ints:
        """Return the label of each face, given which of these is the same picture."""
        graph = self._graph_over(embeddings, ids, means)
        original = near_pictures(trimmed(graph, self.copy), places)
        originals, row_of = np.unique(original, return_inverse=True)
        if len(originals) < len(same):
            graph, embeddings = without_copies(graph, original), taken(embeddings, originals)
            places = places_of_originals(places, row_of)
        graph = _between_photos(graph, places)
        rules = replace(self._rules(len(embeddings)), min_faces=2)
        labels = self._refined(graph, FaceSet(embeddings, places), rules)
        row_of = row_of[same]
        # An original that is near nobody is with its copies: a stranger, in two photos. One that is near somebody, but
        # not near enough, has no more to show for itself than without them.
        is_alone = (labels == NOISE) & (np.diff(graph.indptr) == 0)
        is_alone &= np.bincount(row_of, minlength=len(labels)) > 1
        labels[is_alone] = labels.max(initial=NOISE) + 1 + np.arange(np.count_nonzero(is_alone))
        return without_small(labels[row_of], self.min_faces)

    def _refined(self, graph: csr_matrix, faces: FaceSet, rules: JoinRules) -> Ints:
        proposal = self.propose(graph)
        if self.normalisation is None:
            return refine(proposal, faces, graph, rules)
        return refine_normalised(proposal, faces, graph, rules, self.normalisation)

    def single_link(self, n_faces: int) -> float:
        """Return up to what distance one edge is enough to tie faces, for methods that follow single edges.

        Chains of near faces grow with the library, so this share of the ceiling falls from `SURE_FACES` on.
        """
        return self.ceiling * max(0.5, SINGLE_LINK - SINGLE_LINK_PER_DECADE * decades(n_faces))

    def _rules(self, n_faces: int) -> JoinRules:
        return JoinRules(
            ceiling=self.ceiling,
            singleton_penalty=self.singleton_penalty
            + self.singleton_penalty_per_decade * self.ceiling * decades(n_faces),
            likeness=self.likeness,
            margin=self.margin,
            conflict_share=self.conflict_share,
            min_faces=self.min_faces,
        )


def decades(n_faces: int) -> float:
    """Return how many times tenfold a library is beyond the size that the thresholds were measured with."""
    return max(0.0, float(np.log10(max(1, n_faces) / SURE_FACES)))


def _checked_lengths(embeddings: Vectors, photos: Ints) -> Floats:
    """Return the length of each embedding."""
    if len(embeddings.shape) != 2 or photos.shape != embeddings.shape[:1]:
        raise ValueError(f"one photo per embedding: got shapes {embeddings.shape} and {photos.shape}")
    lengths = np.empty(len(photos), np.float32)
    for some in slices(len(lengths), ROWS_AT_ONCE):
        vectors = embeddings[some]
        lengths[some] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not np.isfinite(lengths).all():
        raise ValueError("embeddings must be finite numbers")
    if (abs(lengths - 1.0) > NORM_TOLERANCE).any():
        raise ValueError("embeddings must be unit vectors")
    return lengths


def trimmed(graph: csr_matrix, longest: float) -> csr_matrix:
    """Return the edges up to this distance."""
    is_kept = graph.data <= longest
    if is_kept.all():
        return graph
    kept = np.cumsum(is_kept, dtype=graph.indptr.dtype)
    ends = np.where(graph.indptr > 0, kept[graph.indptr - 1], 0)
    return csr_matrix((graph.data[is_kept], graph.indices[is_kept], ends), shape=graph.shape)


def members_of(labels: NDArray[np.integer]) -> list[Ints]:
    """Return the faces of each label that more than one has."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return [faces for faces in np.split(order, starts[1:]) if len(faces) > 1]


def nearest_of(graph: csr_matrix, k: int) -> csr_matrix:
    """Return the k shortest edges of each row; of equally long ones the first."""
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    order = np.lexsort((graph.indices, graph.data, rows))
    ranks = np.arange(len(rows)) - graph.indptr[rows]
    kept = np.sort(order[ranks < k])
    ends = np.searchsorted(kept, graph.indptr)
    return csr_matrix((graph.data[kept], graph.indices[kept], ends), shape=graph.shape)


def edge_weights(distances: Doubles, ceiling: float) -> Doubles:
    """Return how strongly an edge ties two faces, for any engine: 1 at distance 0, 1/9 at the ceiling."""
    weights: Doubles = np.maximum(1e-3, 1.0 - distances**2 / (1.5 * ceiling**2)) ** 2
    return weights


def _between_photos(graph: csr_matrix, places: Places) -> csr_matrix:
    """Return the edges between faces of different photos: two faces of one photo are two people."""
    n_faces = graph.shape[0]
    photo_of = np.empty(n_faces, dtype=np.int32)
    photo_of[places.faces] = places.photos
    rows = rows_of(graph)
    is_apart = photo_of[rows] == photo_of[graph.indices]
    # The few that are in several photos.
    is_several = np.bincount(places.faces, minlength=n_faces) > 1
    if len(edges := np.flatnonzero(is_several[rows] | is_several[graph.indices])):
        together = places.in_company().are_together(n_faces)
        is_apart[edges] = np.asarray(together[rows[edges], graph.indices[edges]]).ravel() > 0
    graph.data[is_apart] = 0.0
    graph.eliminate_zeros()
    return graph


def _largest_first(labels: Ints) -> Ints:
    """Return the labels renamed 0, 1, 2... by size, and among equals by their first face."""
    names, first, name_of, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    sizes[names == NOISE] = len(labels) + 1
    order = np.lexsort((first, -sizes))
    renamed = np.empty(len(names), dtype=np.int64)
    renamed[order] = np.arange(len(names)) - np.count_nonzero(names == NOISE)
    return renamed[name_of]
