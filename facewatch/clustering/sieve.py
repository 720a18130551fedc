"""Which pairs of faces may be near each other: products of small integers that are never below the cosine.

Exact cosines of all pairs are most of the work of grouping, and hardly a pair is near. A vector x is

    x = X + e + o

where X are its first principal components in whole steps, e what that leaves of those components, and o all others.
Between two faces the products of X with o are 0, and by Cauchy and Schwarz

    x.y <= X.Y + |X||e'| + |e||Y| + |e + o||e' + o'|

The lengths are rounded up to whole steps and stand in columns of their own, so that the right side is one product of
integers from -64 to 127. Sums of those are exact, and onnxruntime does them in a half of the time of float32, in less
where the processor has instructions for it. The components number what is cheapest by a sample of pairs: with fewer the
product is shorter, with more it lets fewer pairs through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.types import Doubles, Floats, Ints, Vectors

LARGEST = 63
"""Of the steps of a component. Processors that have no better instructions add two products as 16-bit integers, which
holds for an unsigned factor up to 127, and the left one is stored with 64 added."""

LARGEST_RIGHT = 127
"""Of the steps of a length in the right factor."""

ZERO = LARGEST + 1
"""What stands for 0 in the left factor."""

BEYOND = 1e-4
"""Share of the components that are cut off at `LARGEST` steps; e holds the rest of them."""

MARGIN = 1e-6
"""More than the float64 lengths, roots and axes are wrong by."""

SAMPLE_FACES = 16_384
"""By so many faces the axes are found."""

SAMPLE_ROWS, SAMPLE_COLUMNS = 512, 4_096
"""Faces of the pairs by which the number of components is chosen."""

STEP_OF_WIDTH = 32
"""Numbers of components that are tried: multiples of this."""

PAIR_COST = 40_000.0
"""What a pair that is let through costs, in components of a pair that is not."""

ROUNDING = 0.037
"""About what whole steps add to a bound: twice |e| at 63 steps to four standard deviations."""

SPEED = 2.0
"""How many times faster than cosines the products of as many integers are, at least."""

BLOCK_ROWS = 4_096
"""Faces that are made into integers at a time."""


@dataclass(frozen=True, slots=True)
class Sieve:
    """Faces as integers, row i of both is about face i."""

    left: NDArray[np.uint8]
    """Shape (n_faces, width)."""
    right: NDArray[np.int8]
    """Shape (n_faces, width)."""
    step: float
    """A product times the square of this is at least the cosine."""

    def against(self, columns: Ints) -> Product:
        """Return what multiplies others with these faces."""
        return Product(self, np.ascontiguousarray(self.right[columns].T))

    def least_of(self, cosines: Floats) -> NDArray[np.int32]:
        """Return the least bound of pairs with so large a cosine."""
        return np.ceil((cosines.astype(np.float64) - MARGIN) / self.step**2).astype(np.int32)

    @classmethod
    def of(cls, embeddings: Vectors, least: float) -> Sieve | None:
        """Return the sieve that finds pairs with cosines of at least this at the lowest cost; None: none is cheaper
        than cosines are."""
        axes = _principal_axes(embeddings)
        n_axes = _cheapest(embeddings, axes, least)
        return None if n_axes is None else cls.along(embeddings, axes[:, :n_axes])

    @classmethod
    def along(cls, embeddings: Vectors, axes: Doubles) -> Sieve:
        """Return the sieve that knows these components of faces, and of the others only how much they are.

        Args:
            axes: of length 1 and at right angles, shape (n_dims, n_axes).
        """
        # Turned at random, all components are about as large as each other, and so are their errors.
        turning = np.random.default_rng(0).standard_normal((axes.shape[1], axes.shape[1]))
        parts = _Parts.of(embeddings, np.linalg.qr(axes @ turning)[0])
        return cls(*parts.columns(), parts.step)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What faces are made of."""

    steps: NDArray[np.int8]
    """X, shape (n_faces, n_axes)."""
    step: float
    whole: Doubles
    """|X|, shape (n_faces,), as are the others."""
    error: Doubles
    """|e|"""
    rest: Doubles
    """|e + o|"""

    @classmethod
    def of(cls, embeddings: Vectors, axes: Doubles) -> _Parts:
        n_faces, n_axes = len(embeddings), axes.shape[1]
        sample = embeddings[:: max(1, n_faces // BLOCK_ROWS)].astype(np.float64) @ axes
        step = max(float(np.quantile(np.abs(sample), 1.0 - BEYOND)), n_axes**-0.5) / LARGEST
        parts = cls(np.empty((n_faces, n_axes), np.int8), step, *np.empty((3, n_faces)))
        for start in range(0, n_faces, BLOCK_ROWS):
            some = slice(start, start + BLOCK_ROWS)
            vectors = embeddings[some].astype(np.float64)
            along = vectors @ axes
            steps = np.clip(np.rint(along / step), -LARGEST, LARGEST)
            squares, error = _squares(steps) * step**2, _squares(along - step * steps)
            outside = np.maximum(0.0, _squares(vectors) - _squares(along))
            parts.steps[some] = steps
            parts.whole[some], parts.error[some] = np.sqrt(squares), np.sqrt(error)
            parts.rest[some] = np.sqrt(error + outside)
        return parts

    def columns(self) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return both factors, with the lengths behind the components."""
        pairs = [(self.whole, self.error), (self.error, self.whole), (self.rest, self.rest)]
        lengths = [_rounded_up(left, right, self.step) for left, right in pairs]
        left = np.concatenate([self.steps, *(part for part, _ in lengths)], axis=1)
        right = np.concatenate([self.steps, *(part for _, part in lengths)], axis=1)
        left += np.int8(ZERO)
        return left.view(np.uint8), right


def _rounded_up(lengths: Doubles, others: Doubles, step: float) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return columns of integers whose products times step**2 are at least those of the lengths, as many as it takes to
    stay in range."""
    most, most_other = max(float(lengths.max(initial=0)), 1e-9), max(float(others.max(initial=0)), 1e-9)
    n_columns = int(np.ceil(most * most_other / (LARGEST * (LARGEST_RIGHT - 1) * step**2)))
    unit = most / LARGEST
    other_unit = n_columns * step**2 / unit
    parts = (np.minimum(np.ceil(lengths / unit), LARGEST), np.minimum(np.ceil(others / other_unit), LARGEST_RIGHT))
    left, right = (np.repeat(part.astype(np.int8)[:, None], n_columns, axis=1) for part in parts)
    return left, right


def _squares(vectors: Doubles) -> Doubles:
    squares: Doubles = np.einsum("ij,ij->i", vectors, vectors)
    return squares


def _principal_axes(embeddings: Vectors) -> Doubles:
    """Return all axes, those with the largest components first, shape (n_dims, n_dims), each of length 1."""
    sample = embeddings[:: max(1, len(embeddings) // SAMPLE_FACES)]
    _, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return axes[:, ::-1]


def _cheapest(embeddings: Vectors, axes: Doubles, least: float) -> int | None:
    """Return how many components cost least, by a sample of pairs; None: all of them cost no more."""
    picked = np.random.default_rng(0).permutation(len(embeddings))[:SAMPLE_COLUMNS]
    along = embeddings[picked].astype(np.float64) @ axes
    n_dims = along.shape[1]
    bounds, costs = np.zeros((min(SAMPLE_ROWS, len(along)), len(along))), dict[int, float]()
    outside = _squares(along)
    for start in range(0, n_dims, STEP_OF_WIDTH):
        some = along[:, start : start + STEP_OF_WIDTH]
        bounds += some[: len(bounds)] @ some.T
        outside -= _squares(some)
        rest = np.sqrt(np.maximum(0.0, outside))
        n_axes = start + some.shape[1]
        is_kept = bounds + np.outer(rest[: len(bounds)], rest) >= least - ROUNDING
        costs[n_axes] = n_axes + PAIR_COST * float(is_kept.mean())
    cheapest = min(costs, key=lambda n_axes: costs[n_axes])
    return cheapest if costs[cheapest] < SPEED * n_dims else None


class Product:
    """Bounds of the cosines of any faces with some: onnxruntime multiplies fastest with what it knows beforehand."""

    def __init__(self, sieve: Sieve, columns: NDArray[np.int8]) -> None:
        import onnxruntime

        self._sieve, self._n_columns = sieve, columns.shape[1]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            _product_with(columns), options, providers=["CPUExecutionProvider"]
        )

    def bounds(self, rows: Ints, room: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the bounds as integers, shape (n_rows, n_columns); they stand in `room`, which holds as many."""
        bounds = room[: len(rows) * self._n_columns].reshape(len(rows), self._n_columns)
        binding = self._session.io_binding()
        binding.bind_cpu_input("left", self._sieve.left[rows])
        binding.bind_output("bounds", "cpu", 0, np.int32, bounds.shape, bounds.ctypes.data)
        self._session.run_with_iobinding(binding)
        return bounds


def _product_with(columns: NDArray[np.int8]) -> bytes:
    """Return a model (ONNX) that multiplies with these columns."""
    from onnx import TensorProto, helper

    left = helper.make_tensor_value_info("left", TensorProto.UINT8, [None, len(columns)])
    bounds = helper.make_tensor_value_info("bounds", TensorProto.INT32, [None, columns.shape[1]])
    zero = helper.make_tensor("zero", TensorProto.UINT8, [], [ZERO])
    right = helper.make_tensor("right", TensorProto.INT8, columns.shape, columns.tobytes(), raw=True)
    product = helper.make_node("MatMulInteger", ["left", "right", "zero"], ["bounds"])
    graph = helper.make_graph([product], "bounds", [left], [bounds], [zero, right])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized
