"""Faces on a map: embeddings -> positions in a plane, where people are islands and those who look alike are near."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from facewatch.clustering.nearest import nearest
from facewatch.clustering.tsne import PERPLEXITY, Schedule, affinities, descend

if TYPE_CHECKING:
    from facewatch.types import Floats

N_NEIGHBOURS = round(3 * PERPLEXITY)
"""Of each face, as is usual for t-SNE."""
SPREAD = 5.0
"""Of the positions that faces begin at, their standard deviation."""
FEW = 20_000
"""Up to so many faces a map takes some seconds; of more, fewer steps are made."""


def project(embeddings: Floats, *, report: Callable[[float], None] = lambda _: None) -> Floats:
    """Return positions, float32, shape (n_faces, 2); the same for the same faces in the same order.

    Args:
        embeddings: unit vectors, float32, shape (n_faces, n_dims).
        report: is called with the share that is done.
    """
    n_faces = len(embeddings)
    k = min(N_NEIGHBOURS, n_faces - 1)
    begin = _principal(embeddings)
    if k < 1:
        return begin
    near = nearest(embeddings, k, report=lambda share: report(0.4 * share))
    together = affinities(near, np.arange(n_faces), n_faces)
    schedule = Schedule(120, 300) if n_faces <= FEW else Schedule(80, 170)
    return descend(together, begin, schedule, report=lambda share: report(0.4 + 0.6 * share))


def _principal(embeddings: Floats) -> Floats:
    """Return where faces begin: on the two axes along which they differ most, no two at one place."""
    n_faces = len(embeddings)
    # Copies of a face would stay on each other for ever.
    apart = np.random.default_rng(0).normal(size=(n_faces, 2)).astype(np.float32) * np.float32(0.01)
    if n_faces < 3:
        return apart
    middle = embeddings.mean(axis=0)
    covariance = (embeddings.T @ embeddings) / n_faces - np.outer(middle, middle)
    _, axes = np.linalg.eigh(covariance.astype(np.float64))
    along = (embeddings - middle) @ axes[:, [-1, -2]].astype(np.float32)
    scale = SPREAD / max(float(along.std()), 1e-9)
    begin: Floats = (along * np.float32(scale) + apart).astype(np.float32)
    return begin
