"""Chinese whispers: every face takes the label that is commonest among its neighbours, until none changes any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .base import GraphClusterer, edge_weights, trimmed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from facewatch.types import Doubles, Ints

N_TURNS = 8
"""Parts in which the faces of one sweep speak one after the other; all of one part at once."""


@dataclass(kw_only=True)
class WhispersClusterer(GraphClusterer):
    """Chinese whispers (Biemann 2006) over the edges up to `edge_ceiling`, near faces weighing more.

    The original lets one face speak at a time. Here an eighth of them, drawn again in each sweep, listen at once to
    what all said before, which numpy does for 100 000 faces in a few seconds, and which ends as well: two faces that
    would swap names for ever are in the same eighth in one sweep of eight. Only faces whose neighbours changed listen
    again.
    """

    edge_ceiling: float | None = None
    """Longer edges are not used; None: derived from the ceiling and the number of faces (`single_link`)."""
    n_sweeps: int = 50
    """Sweeps over all faces at most; 10 to 20 are usual."""
    seed: int = 0

    def propose(self, graph: csr_matrix) -> Ints:
        graph = trimmed(graph, self.single_link(graph.shape[0]) if self.edge_ceiling is None else self.edge_ceiling)
        weights = edge_weights(graph.data, self.ceiling)
        random = np.random.default_rng(self.seed)
        labels = np.arange(graph.shape[0])
        is_listening = np.ones(len(labels), dtype=bool)
        for _ in range(self.n_sweeps):
            for faces in np.array_split(random.permutation(len(labels)), N_TURNS):
                faces = np.sort(faces[is_listening[faces]])
                changed = _listen(graph, weights, labels, faces)
                is_listening[faces] = False
                is_listening[graph[changed].indices] = True
            if not is_listening.any():
                break
        return labels


def _listen(graph: csr_matrix, weights: Doubles, labels: Ints, faces: Ints) -> Ints:
    """Give these faces the loudest name around them, the smallest of equally loud ones; return those that changed."""
    starts, counts = graph.indptr[faces], np.diff(graph.indptr)[faces]
    listener = np.repeat(np.arange(len(faces)), counts)
    edges = np.arange(len(listener)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    votes = listener * len(labels) + labels[graph.indices[edges]]
    order = np.argsort(votes, kind="stable")
    first = np.flatnonzero(np.diff(votes[order], prepend=-1))
    if not len(first):
        return faces[:0]
    loudness = np.add.reduceat(weights[edges][order], first)
    listeners, names = np.divmod(votes[order][first], len(labels))
    loudest = np.lexsort((names, -loudness, listeners))
    loudest = loudest[np.flatnonzero(np.diff(listeners[loudest], prepend=-1))]
    listening, names = faces[listeners[loudest]], names[loudest]
    changed: Ints = listening[labels[listening] != names]
    labels[listening] = names
    return changed
