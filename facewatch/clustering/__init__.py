"""Clustering of the unassigned faces: one module per method, in the style of scikit-learn; label -1 is noise.

Knows arrays and ids only. A method proposes, `verify` decides; methods are loaded when one is made.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from facewatch.types import Ints, Vectors

METHODS = {
    "whispers": ("whispers", "WhispersClusterer"),
    "linkage": ("linkage", "LinkageClusterer"),
    "hdbscan": ("hdbscan", "HdbscanClusterer"),
    "dbscan": ("dbscan", "DbscanClusterer"),
    "spectral": ("spectral", "SpectralClusterer"),
    "infomap": ("infomap", "InfomapClusterer"),
}
"""Name of a method -> the module here and the class in it. The default of the settings comes first: an evaluation of
all of them leads with it."""

TUNABLE = {
    "whispers": {"eps": "edge_ceiling"},
    "linkage": dict[str, str](),
    "hdbscan": dict[str, str](),
    "dbscan": {"eps": "eps", "min_samples": "min_samples"},
    "spectral": {
        "k_reciprocal": "k_reciprocal",
        "verification_threshold": "verification_threshold",
        "n_clusters": "n_clusters",
    },
    "infomap": {"eps": "edge_ceiling"},
}
"""Name of a method -> what users may set of it, beside what all methods take, and the parameter that is."""


def installed_methods() -> list[str]:
    """Return the names of the methods that can be used here: infomap is a package of its own."""
    return [name for name in METHODS if name != "infomap" or find_spec("infomap")]


class Clusterer(Protocol):
    """A method with its parameters; `labels_` holds the last answer."""

    labels_: Ints

    def fit_predict(self, embeddings: Vectors, *, photos: Ints, ids: Ints | None = None) -> Ints:
        """Return one label per face, -1 is noise; two faces of one photo never get one label.

        Args:
            embeddings: unit vectors, float32, shape (n_faces, n_dims).
            photos: photo id of each face, shape (n_faces,).
            ids: what the kept graph knows each face by, shape (n_faces,); only used when one was given.
        """
        ...


def make_clusterer(method: str, **params: Any) -> Clusterer:
    """Return the clusterer of that name with these parameters; all need `ceiling`, the engine's.

    All take `graph`, a `NeighbourGraph` that is kept from one time to the next; what else there is stands in the
    method's class.

    Raises:
        ValueError: there is no such method, it has no such parameter, or one is out of range.
        EngineError: the method needs a package that is not installed.
    """
    if method not in METHODS:
        raise ValueError(f"unknown clustering method {method!r}; known are {', '.join(sorted(METHODS))}")
    module, name = METHODS[method]
    kind = getattr(import_module(f".{module}", __name__), name)
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(params) - set(known)):
        raise ValueError(f"{method} has no parameter {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    clusterer: Clusterer = kind(**params)
    return clusterer
