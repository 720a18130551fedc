"""A layout in two dimensions in which near faces are near (t-SNE; van der Maaten and Hinton 2008).

    affinities   the nearest faces of each face -> how much each pair belongs together
    descend      affinities, where faces begin -> positions

Every face is drawn to its neighbours and pushed off by all faces. The push is worked out on a grid by Fourier
transforms, as in FIt-SNE (Linderman et al. 2019): faces are spread over the nodes around them, and each node reads what
comes from all others. So a step takes time by the number of faces, and not by that of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.sparse import csr_matrix, triu

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facewatch.clustering.nearest import Nearest
    from facewatch.types import Doubles, Flags, Floats, Ints

PERPLEXITY = 10.0
"""Neighbours that count, about. With more, people of few faces lie among others."""

N_HALVINGS = 40
"""Of the range in which a face's bandwidth is looked for."""

SPACING = 0.7
"""Of the grid's nodes, where the kernel has a width of 1. With 1.0 a few neighbours of a face get lost, 0.5 shows no
difference."""

EXAGGERATION = 4.0
"""How much stronger attraction is at first, while groups find their place. With 12, as is usual, look-alikes end
farther from each other."""

MIN_RATE = 50.0
MOST_STEP = 5.0
"""Of a face in one step; the kernel's width is 1."""


def affinities(near: Nearest, rows: Ints, n_faces: int, *, perplexity: float = PERPLEXITY) -> csr_matrix:
    """Return how much each pair belongs together: symmetric CSR, float32, the sum over all is 1.

    Each face has the same number of neighbours that count, by a normal distribution around it.

    Args:
        near: the nearest of each of these rows, shape (n_rows, k).
        rows: which faces these are.
        n_faces: of the matrix.
    """
    squares = near.distances.astype(np.float64) ** 2
    squares -= squares[:, :1]
    weights = _weights(squares, np.log(min(perplexity, squares.shape[1] * 0.9)))
    ends = (np.repeat(rows, squares.shape[1]), near.columns.ravel())
    directed = csr_matrix((weights.ravel().astype(np.float32), ends), (n_faces, n_faces))
    both = (directed + directed.T).tocsr()
    both.data /= both.data.sum()
    return both


def _weights(squares: Doubles, entropy: float) -> Doubles:
    """Return the weights of neighbours, whose sum is 1 and whose entropy is the one wanted."""
    low, high = np.zeros(len(squares)), np.full(len(squares), np.inf)
    precision = 1.0 / np.maximum(squares.mean(axis=1), 1e-9)
    for _ in range(N_HALVINGS):
        weights = np.exp(-squares * precision[:, None])
        total = weights.sum(axis=1)
        is_wide = np.log(total) + precision * (squares * weights).sum(axis=1) / total > entropy
        low, high = np.where(is_wide, precision, low), np.where(is_wide, high, precision)
        # Equal distances are never narrow enough: that ends somewhere, too.
        precision = np.where(np.isinf(high), np.minimum(2.0 * precision, 1e12), (low + high) / 2.0)
    weights = np.exp(-squares * precision[:, None])
    shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to descend."""

    n_exaggerated: int
    """Steps at first, while groups find their place."""
    n_steps: int
    """Steps after those."""


def descend(
    together: csr_matrix,
    begin: Floats,
    schedule: Schedule,
    *,
    is_free: Flags | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> Floats:
    """Return positions, float32, shape (n_faces, 2); a unit is about the distance of two faces that belong together.

    Args:
        together: of `affinities`.
        begin: where faces begin, shape (n_faces, 2); no two at one place.
        schedule: how many steps.
        is_free: which faces may move; without it, all.
        report: is called with the share that is done.
    """
    attraction, repulsion = _Attraction(together), _Repulsion()
    positions = begin.astype(np.float32)
    velocity, gain = np.zeros_like(positions), np.ones_like(positions)
    n_steps = schedule.n_exaggerated + schedule.n_steps
    # Belkina et al. 2019.
    rate = max(len(positions) / EXAGGERATION, MIN_RATE)
    for step in range(n_steps):
        is_early = step < schedule.n_exaggerated
        pull = attraction.of(positions) * (EXAGGERATION if is_early else 1.0)
        gradient = 4.0 * (pull - repulsion.of(positions))
        gain = np.where(velocity * gradient < 0, gain + 0.2, np.maximum(gain * 0.8, 0.01)).astype(np.float32)
        velocity = (0.5 if is_early else 0.8) * velocity - rate * gain * gradient
        lengths = np.linalg.norm(velocity, axis=1, keepdims=True)
        velocity *= np.minimum(1.0, MOST_STEP / np.maximum(lengths, 1e-9))
        if is_free is not None:
            velocity[~is_free] = 0.0
        positions += velocity
        report((step + 1) / n_steps)
    return positions


class _Attraction:
    """What draws faces to those that they belong together with."""

    def __init__(self, together: csr_matrix) -> None:
        # Each pair once; what it does to one end it does to the other.
        half = triu(together, k=1, format="csr")
        self._half = half
        self._affinity = half.data.copy()
        self._sizes = np.diff(half.indptr)

    def of(self, positions: Floats) -> Floats:
        """Return the pull on each face, away from its neighbours."""
        half = self._half
        ahead = np.repeat(positions, self._sizes, axis=0)
        ahead -= np.take(positions, half.indices, axis=0)
        half.data = self._affinity / (1.0 + np.einsum("ij,ij->i", ahead, ahead))
        with_one = np.column_stack([positions, np.ones(len(positions), np.float32)])
        summed = half @ with_one + half.T @ with_one
        pull: Floats = summed[:, 2:] * positions - summed[:, :2]
        return pull


class _Repulsion:
    """What pushes faces off each other."""

    def __init__(self) -> None:
        self._side = 0
        """Nodes of the grid in each direction."""
        self._kernels: tuple[NDArray[np.complex64], ...] = ()

    def of(self, positions: Floats) -> Floats:
        """Return the push on each face."""
        at = (positions - positions.min(axis=0)) / np.float32(SPACING) + np.float32(2.0)
        self._fit(int(at.max()) + 4)
        nodes, weights = self._spread(at)
        n_faces, side = len(at), self._side
        onto = csr_matrix(
            (weights.ravel(), nodes.ravel(), np.arange(0, 9 * n_faces + 1, 9, dtype=np.int32)), (n_faces, side**2)
        )
        mass = (onto.T @ np.ones(n_faces, np.float32)).reshape(side, side)
        spectrum = rfft2(mass, (2 * side, 2 * side))
        fields = [irfft2(spectrum * kernel, (2 * side, 2 * side))[:side, :side].ravel() for kernel in self._kernels]
        felt = onto @ np.column_stack(fields)
        total = float(felt[:, 0].sum(dtype=np.float64)) - self._own(at)
        push: Floats = felt[:, 1:] / np.float32(max(total, 1e-3))
        return push

    def _fit(self, n_nodes: int) -> None:
        """Make room for so many nodes; what the kernels give on a larger grid is the same."""
        if n_nodes <= self._side:
            return
        self._side = next_fast_len(int(1.2 * n_nodes), real=True)
        nodes = np.arange(2 * self._side)
        steps = np.where(nodes < self._side, nodes, nodes - 2 * self._side) * SPACING
        down, across = steps[:, None].astype(np.float32), steps[None].astype(np.float32)
        cauchy = 1.0 / (1.0 + down**2 + across**2)
        self._kernels = tuple(rfft2(kernel) for kernel in (cauchy, down * cauchy**2, across * cauchy**2))

    def _spread(self, at: Floats) -> tuple[NDArray[np.int32], Floats]:
        """Return the nine nodes around each face and what it gives to each: quadratic splines, whose sum is 1."""
        centre, weights = _splines(at)
        first = (centre[:, 0] - 1) * np.int32(self._side) + centre[:, 1] - np.int32(1)
        offsets = (np.arange(3)[:, None] * self._side + np.arange(3)).ravel().astype(np.int32)
        nodes: NDArray[np.int32] = (first[:, None] + offsets).astype(np.int32)
        both: Floats = (weights[:, 0, :, None] * weights[:, 1, None, :]).reshape(len(at), 9).astype(np.float32)
        return nodes, both

    def _own(self, at: Floats) -> float:
        """Return what faces get from themselves, by being spread over nodes that are apart."""
        _, w = _splines(at)
        apart = np.stack(
            [(w**2).sum(2), 2 * (w[..., 0] * w[..., 1] + w[..., 1] * w[..., 2]), 2 * w[..., 0] * w[..., 2]]
        )
        steps = np.arange(3) * SPACING
        cauchy = 1.0 / (1.0 + steps[:, None] ** 2 + steps**2)
        return float(np.einsum("in,jn,ij->", apart[..., 0], apart[..., 1], cauchy))


def _splines(at: Floats) -> tuple[NDArray[np.int32], Floats]:
    """Return the nearest node in each direction, and the weights of the one before, itself and the one behind.

    Shapes (n_faces, 2) and (n_faces, 2, 3).
    """
    centre = np.floor(at + 0.5)
    off = at - centre
    weights = np.stack([0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2], axis=-1)
    nearest: NDArray[np.int32] = centre.astype(np.int32)
    return nearest, weights.astype(np.float32)
