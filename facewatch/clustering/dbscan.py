"""DBSCAN on the graph of neighbours: whoever is near a face with enough neighbours belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

from .average import NOISE
from .base import GraphClusterer, nearest_of, trimmed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from facewatch.types import Ints


@dataclass(kw_only=True)
class DbscanClusterer(GraphClusterer):
    """DBSCAN (Ester et al. 1996); a face at the border of several clusters goes to that of its nearest core face."""

    eps: float | None = None
    """Faces are neighbours up to this distance; None: derived from the ceiling and the number of faces
    (`single_link`), because chains of near faces grow with the library.
    """
    min_samples: int = 2
    """A core face has this many faces within `eps`, itself included; at most `n_neighbours` + 1 can be counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.eps <= 0.0:
            raise ValueError(f"eps must be above 0, not {self.eps}")
        if not 1 <= self.min_samples <= self.n_neighbours + 1:
            raise ValueError(f"min_samples must lie between 1 and n_neighbours + 1, not {self.min_samples}")

    def propose(self, graph: csr_matrix) -> Ints:
        near = trimmed(graph, self.single_link(graph.shape[0]) if self.eps is None else self.eps)
        is_core = np.diff(near.indptr) + 1 >= self.min_samples
        core = np.flatnonzero(is_core)
        labels = np.full(graph.shape[0], NOISE, dtype=np.int64)
        labels[core] = connected_components(near[core][:, core], directed=False)[1]
        border = np.flatnonzero(~is_core)
        to_core = nearest_of(near[border][:, core], 1).tocoo()
        labels[border[to_core.row]] = labels[core[to_core.col]]
        return labels
