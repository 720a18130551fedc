"""From the unassigned pool to labels: one file per method, scikit-learn style, -1 is noise.

Knows arrays and ids only. A method proposes, `verify` decides; methods are loaded when one is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHODS = {
    "hdbscan": ("hdbscan", "HdbscanClusterer"),
    "linkage": ("linkage", "LinkageClusterer"),
}
"""Name of a method -> the module here and the class in it."""


class Clusterer(Protocol):
    """A method with its parameters; `labels_` holds the last answer."""

    labels_: NDArray[np.int64]

    def fit_predict(self, embeddings: NDArray[np.float32], *, photos: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return one label per face, -1 is noise; two faces of one photo never get one label.

        Args:
            embeddings: unit vectors, float32, shape (n_faces, n_dims).
            photos: photo id of each face, shape (n_faces,).
        """
        ...


def make_clusterer(method: str, **params: Any) -> Clusterer:
    """Return the clusterer of that name with these parameters; all need `ceiling`, the engine's.

    Raises:
        ValueError: there is no such method, or a parameter is out of range.
    """
    if method not in METHODS:
        raise ValueError(f"unknown clustering method {method!r}; known are {', '.join(sorted(METHODS))}")
    module, name = METHODS[method]
    clusterer: Clusterer = getattr(import_module(f".{module}", __name__), name)(**params)
    return clusterer
