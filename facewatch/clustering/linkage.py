"""Average linkage by itself: each connected component is one proposal, and the refinement cuts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

from .base import GraphClusterer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix


@dataclass(kw_only=True)
class LinkageClusterer(GraphClusterer):
    """No method before the refinement; needs nothing but scipy, and is the measure of what the others add."""

    def propose(self, graph: csr_matrix) -> NDArray[np.int64]:
        _, component_of = connected_components(graph, directed=False)
        return np.asarray(component_of, dtype=np.int64)
