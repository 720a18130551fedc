"""Infomap on the graph of neighbours: clusters are where a random walk stays. The package is an extra."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.errors import EngineError

from .base import GraphClusterer, edge_weights, nearest_of, trimmed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from facewatch.types import Ints


@dataclass(kw_only=True)
class InfomapClusterer(GraphClusterer):
    """The map equation (Rosvall and Bergstrom 2008), two levels, over the `k` nearest up to `edge_ceiling`."""

    k: int = 50
    """Nearest faces of each one that the walker may go to."""
    edge_ceiling: float | None = None
    """Longer edges are not used; None: derived from the ceiling and the number of faces (`single_link`)."""
    seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.k <= self.n_neighbours:
            raise ValueError(f"k must lie between 1 and n_neighbours, not {self.k}")
        _package()

    def propose(self, graph: csr_matrix) -> Ints:
        graph = trimmed(graph, self.single_link(graph.shape[0]) if self.edge_ceiling is None else self.edge_ceiling)
        nearest = nearest_of(graph, self.k)
        edges = nearest.maximum(nearest.T).tocoo()
        labels = np.arange(graph.shape[0])
        once = edges.row < edges.col
        if not once.any():
            return labels
        weights = edge_weights(edges.data[once], self.ceiling)
        model = _package().Infomap(two_level=True, silent=True, num_trials=1, seed=self.seed)
        model.add_links(np.stack([edges.row[once], edges.col[once], weights], axis=1))
        modules = dict(model.run().modules())
        # Modules are numbered from 1; a face without an edge is a module of its own.
        faces = np.fromiter(modules.keys(), dtype=np.int64, count=len(modules))
        labels[faces] = len(labels) + np.fromiter(modules.values(), dtype=np.int64, count=len(modules))
        return labels


def _package() -> Any:
    """Return the module `infomap`.

    Raises:
        EngineError: it is not installed.
    """
    try:
        return import_module("infomap")
    except ImportError as error:
        # This Python by its path: a checkout has an environment of its own, which a bare `pip` may not mean.
        raise EngineError(
            "clustering by infomap needs the package infomap, which is not installed: "
            f"{sys.executable} -m pip install infomap"
        ) from error
