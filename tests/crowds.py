"""Faces made for the tests of clustering, and what is asked of the answers."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from facewatch.clustering import make_clusterer
from facewatch.clustering.graph import NeighbourGraph
from facewatch.matching.member import UNDATED, MemberFaces
from facewatch.types import Thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

CEILING = 0.6
N_DIMS = 16

LIMITS = Thresholds(
    match=0.75,
    centroid=0.7,
    gallery_size=40,
    per_decade=0.05,
    margin=0.04,
    low_quality_penalty=0.05,
    cluster=0.7,
    singleton_penalty=0.02,
    cluster_margin=0.02,
)
"""Of made people, for matching and calibration."""


def people(
    sizes: list[int], *, spread: float = 0.25, seed: int = 0, n_dims: int = 64
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return faces and who they are; faces of one person are about 1.4 * spread apart, strangers about 1.4."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    centres = unit(random.normal(size=(len(sizes), n_dims)))
    noise = random.normal(size=(len(who), n_dims)) * spread / np.sqrt(n_dims)
    return unit(centres[who] + noise), who


def members(
    embeddings: NDArray[np.float32],
    ids: NDArray[np.int64],
    *,
    weights: NDArray[np.floating] | NDArray[np.bool_] | None = None,
    is_confirmed: bool = False,
    days: NDArray[np.int64] | None = None,
) -> MemberFaces:
    """Return faces for a gallery; without weights all count the same, without days nobody knows when they are from."""
    n = len(ids)
    return MemberFaces(
        embeddings,
        np.ones(n, np.float32) if weights is None else weights.astype(np.float32),
        ids,
        confirmed=np.full(n, is_confirmed),
        days=np.full(n, UNDATED, np.int64) if days is None else days,
    )


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def at_angles(*degrees: float) -> NDArray[np.float32]:
    """Return unit vectors in a plane: two that are 10 degrees apart are 0.174 apart."""
    return np.array([(np.cos(a), np.sin(a)) for a in np.deg2rad(degrees)], dtype=np.float32)


def labels_of(
    embeddings: NDArray[np.float32],
    photos: NDArray[np.int64] | list[int] | None = None,
    *,
    method: str = "hdbscan",
    ceiling: float = CEILING,
    **params: Any,
) -> NDArray[np.int64]:
    ids = np.arange(len(embeddings)) if photos is None else np.asarray(photos)
    return make_clusterer(method, ceiling=ceiling, **params).fit_predict(embeddings, photos=ids)


def partition(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    """Return the clusters as sets of faces, so that names do not matter."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels[labels >= 0])}


@st.composite
def libraries(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A crowd that is hard to tell apart, some faces twice, and photos that hold several."""
    n_faces = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = random.normal(size=(draw(st.integers(1, 6)), N_DIMS)) * draw(st.sampled_from([0.2, 0.6, 1.0]))
    faces = 1.0 + centres[random.integers(len(centres), size=n_faces)] + random.normal(size=(n_faces, N_DIMS)) * 0.3
    faces[: n_faces // 4] = faces[n_faces // 2 : n_faces // 2 + n_faces // 4]
    return unit(faces), random.integers(draw(st.integers(1, 60)), size=n_faces)


class FakeInfomap:
    """Stands for the package's class of that name: a module is whatever hangs together."""

    def __init__(self, *, two_level: bool, silent: bool, num_trials: int, seed: int) -> None:
        self.links = np.empty((0, 3))

    def add_links(self, links: NDArray[np.float64]) -> None:
        self.links = np.concatenate([self.links, links])

    def run(self) -> FakeInfomap:
        return self

    def modules(self) -> list[tuple[int, int]]:
        """Return pairs of a face and its module, numbered from 1, of the faces that have a link."""
        left, right = self.links[:, :2].astype(np.int64).T
        n_faces = int(max(left.max(), right.max())) + 1
        links = coo_matrix((self.links[:, 2], (left, right)), shape=(n_faces, n_faces))
        modules = connected_components(links, directed=False)[1]
        return [(int(face), int(modules[face]) + 1) for face in np.unique([left, right])]


def fake_infomap() -> ModuleType:
    """Return a module that stands for the package `infomap`, which is an extra."""
    module = ModuleType("infomap")
    module.Infomap = FakeInfomap  # type: ignore[attr-defined]
    return module


def neighbour_graph(embeddings: NDArray[np.float32], *, n_neighbours: int, ceiling: float) -> csr_matrix:
    """Return who is near whom among faces that were never seen before."""
    return NeighbourGraph(ceiling=ceiling, n_neighbours=n_neighbours).update(np.arange(len(embeddings)), embeddings)
