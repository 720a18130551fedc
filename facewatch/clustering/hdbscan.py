"""HDBSCAN on the graph of neighbours: clusters by density, without one distance limit for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from .base import GraphClusterer, members_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from facewatch.types import Ints

SMALL = 3
"""Components of up to this many faces are one proposal: there is no density to tell apart, and `verify` cuts."""


@dataclass(kw_only=True)
class HdbscanClusterer(GraphClusterer):
    """The `hdbscan` package, run on each connected component of the graph by itself.

    On the vectors time grows with the square of the faces; over the graph 100 000 take 10 s. Precision is that of
    `linkage`, recall a little lower; see docs/evaluation.md.
    """

    selection: str = "eom"
    """"eom" takes the clusters that last longest, "leaf" the finest, which loses people in few photos."""

    def propose(self, graph: csr_matrix) -> Ints:
        # With min_samples = 1 the mutual reachability of an edge is its length, and HDBSCAN needs nothing but the
        # spanning tree, with a sixtieth of the edges.
        tree = minimum_spanning_tree(graph)
        tree = tree.maximum(tree.T).tocsr()
        labels = np.full(graph.shape[0], -1, dtype=np.int64)
        n_clusters = 0
        for faces in members_of(connected_components(tree, directed=False)[1]):
            found = self._cluster(tree[faces][:, faces]) if len(faces) > SMALL else np.zeros(len(faces), np.int64)
            labels[faces] = np.where(found >= 0, found + n_clusters, -1)
            n_clusters += int(found.max()) + 1
        return labels

    def _cluster(self, component: csr_matrix) -> Ints:
        """Return the labels of one connected component."""
        # Two seconds and 100 MB, which a watcher with a small pool need not spend.
        import hdbscan

        model = hdbscan.HDBSCAN(
            metric="precomputed",
            min_cluster_size=2,
            min_samples=1,
            cluster_selection_method=self.selection,
            allow_single_cluster=True,
        )
        return np.asarray(model.fit(component).labels_, dtype=np.int64)
