"""YuNet's network, read from libfacedetection's own library and run by onnxruntime.

libfacedetection multiplies place by place, channels innermost: on processors without AVX-512 four times slower than
onnxruntime. Read from the same numbers, both find the same boxes to the pixel and are as sure of them to the percent
(tests/test_yunet_network.py compares them on real photos).

Wu, Peng & Yu 2023 (YuNet). All of the 53 convolutions are of 1 x 1, or of 3 x 3 with one channel a group.
"""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.engines.graphs import GraphBuilder
from facewatch.engines.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facewatch.types import Doubles, Floats, Ints, Pixels

STRIDES = (8, 16, 32)
"""Pixels between two places where a face is looked for, for small, larger and large faces."""

LEAST_CONFIDENCE = 0.2
MOST_OVERLAP = 0.45
MOST_PLACES = 1000
"""libfacedetection's own: how sure it must be of a face, 0 to 1; the overlap (IoU) from which on two are one; and how
many places, the surest first, are compared."""

_PADDED = 8
"""onnxruntime's blocks of channels: six numbers of a place would be put in another order first."""


class YunetNetwork:
    """Finds faces in RGB pictures, on one thread."""

    def __init__(self, library: ctypes.CDLL, least: float = LEAST_CONFIDENCE) -> None:
        """
        Args:
            library: libfacedetection.
            least: the confidence from which on something is returned.

        Raises:
            ValueError: it does not show its network, or has another.
        """
        self._session = open_session(build_graph(read_convolutions(library)))
        self._least = least

    def __call__(self, pixels: Pixels) -> list[tuple[int, int, int, int, int]]:
        """Return x, y, w, h in pixels and the confidence, 0 to 100, of each face, the surest first.

        Args:
            pixels: uint8, RGB, shape (H, W, 3).
        """
        height, width = pixels.shape[:2]
        picture = np.zeros((1, 3, *(-(-side // STRIDES[-1]) * STRIDES[-1] for side in (height, width))), np.float32)
        picture[0, :, :height, :width] = pixels[:, :, ::-1].transpose(2, 0, 1)
        numbers = self._session.run(None, {"pixels": picture})
        found = (_places(each, stride, self._least) for each, stride in zip(numbers, STRIDES, strict=True))
        corners, confidences = map(np.concatenate, zip(*found, strict=True))
        surest = np.argsort(-confidences, kind="stable")[:MOST_PLACES]
        # Whole numbers, cut off, as the library gives them.
        return [
            (int(x0), int(y0), int(x1 - x0), int(y1 - y0), int(confidences[row] * 100))
            for row in _one_each(corners, surest)
            for x0, y0, x1, y1 in [corners[row]]
        ]


def _places(numbers: Floats, stride: int, least: float) -> tuple[Floats, Floats]:
    """Return the boxes (x0, y0, x1, y1), shape (n, 4), and confidences, of the places where a face may be.

    Args:
        numbers: what the network says of each place, shape (1, 8, rows, columns).
    """
    of_class, x, y, w, h, of_object = numbers[0, :6].reshape(6, -1)
    confidences = np.sqrt(_sigmoid(of_class) * _sigmoid(of_object))
    rows = np.flatnonzero(confidences >= least)
    down, right = np.divmod(rows, numbers.shape[3])
    centres = np.stack([x[rows] * stride + right * stride, y[rows] * stride + down * stride], axis=1)
    halves = np.exp(np.stack([w[rows], h[rows]], axis=1)) * stride / 2
    corners = np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32)
    return corners, confidences[rows]


def _sigmoid(x: Floats) -> Floats:
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def _one_each(corners: Floats, rows: Ints) -> list[int]:
    """Return those of these rows whose boxes overlap none of those before them that are returned."""
    kept = []
    while len(rows):
        kept.append(int(rows[0]))
        rows = rows[1:][_overlaps(corners[rows[0]], corners[rows[1:]]) <= MOST_OVERLAP]
    return kept


def _overlaps(box: Floats, boxes: Floats) -> Doubles:
    """Return the IoU of one box (x0, y0, x1, y1) with each of others."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / ((box[2:] - box[:2]).prod() + areas - shared), np.float64)


# --- the network ---


class _Convolution(ctypes.Structure):
    """A row of libfacedetection's table of convolutions."""

    _fields_ = (
        ("n_in", ctypes.c_int),
        ("n_out", ctypes.c_int),
        ("is_depthwise", ctypes.c_bool),
        ("is_pointwise", ctypes.c_bool),
        ("is_followed_by_relu", ctypes.c_bool),
        ("weights", ctypes.POINTER(ctypes.c_float)),
        ("biases", ctypes.POINTER(ctypes.c_float)),
    )


_SHAPES = (
    *((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), *6 * [(64, 64)]),
    *(3 * [(64, 64)]),
    *((64, n) for n in (1, 4, 1, 10) for _ in STRIDES),
)
"""Channels before and behind each pair of convolutions, 1 x 1 and 3 x 3: backbone, neck, and for each of three sizes of
faces the heads for class, box, object and landmarks. In front of all is one of 1 x 1."""
_N_BACKBONE, _N_NECK = 11, 3
_PATCH = 3 * 3 * 3
"""The first convolution is one of 3 x 3 over three channels, as one of 1 x 1 over the pixels around each."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A convolution of 1 x 1, and one of 3 x 3 with one channel a group behind it."""

    across: Floats
    """Weights of shape (n_out, n_in)."""
    across_bias: Floats
    around: Floats
    """Weights of shape (n_out, 3, 3)."""
    around_bias: Floats


@dataclass(frozen=True, slots=True)
class Convolutions:
    """The numbers of the network."""

    first: Floats
    """Weights of shape (16, 3, 3, 3)."""
    first_bias: Floats
    pairs: tuple[Pair, ...]


def read_convolutions(library: ctypes.CDLL) -> Convolutions:
    """Return the numbers that libfacedetection computes with.

    Raises:
        ValueError: it does not show them, or they are another network's.
    """
    table = (_Convolution * (1 + 2 * len(_SHAPES))).in_dll(library, "param_pConvInfo")
    found = [(one.n_in, one.n_out, one.is_depthwise, one.is_pointwise) for one in table]
    pairs = [[(n_in, n_out, False, True), (n_out, n_out, True, False)] for n_in, n_out in _SHAPES]
    if found != [(32, 16, False, True), *itertools.chain(*pairs)]:
        raise ValueError("another network")
    arrays = [
        np.ctypeslib.as_array(pointer, shape).copy()
        for one in table
        for pointer, shape in (
            (one.weights, (9, one.n_out) if one.is_depthwise else (one.n_out, one.n_in)),
            (one.biases, (one.n_out,)),
        )
    ]
    first = arrays[0][:, :_PATCH].reshape(16, 3, 3, 3).transpose(0, 3, 1, 2)
    return Convolutions(
        first,
        arrays[1],
        tuple(
            Pair(across, across_bias, around.T.reshape(-1, 3, 3), around_bias)
            for across, across_bias, around, around_bias in zip(*(arrays[n::4] for n in range(2, 6)), strict=True)
        ),
    )


def build_graph(network: Convolutions) -> bytes:
    """Return the network as a serialised ONNX model.

    Its input is a picture, BGR, 0 to 255, of shape (1, 3, h, w), h and w divisible by 32. Its outputs, small faces
    first, have eight numbers for each place, shape (1, 8, rows, columns): class, box (4), object, and two of no use.
    """
    graph, pairs = _NetworkBuilder(), network.pairs
    x = graph.add("Relu", graph.first(network))
    backbone = pairs[:_N_BACKBONE]
    x = graph.halved(graph.pair(x, backbone[0]))
    levels = []
    for n, (one, other) in enumerate(zip(backbone[1::2], backbone[2::2], strict=True)):
        x = graph.pair(graph.pair(graph.halved(x) if n > 1 else x, one), other)
        levels.append(x)
    neck, heads = pairs[_N_BACKBONE : _N_BACKBONE + _N_NECK], pairs[_N_BACKBONE + _N_NECK :]
    outputs, above = [], ""
    for n in reversed(range(len(STRIDES))):
        x = levels[n + 2]
        above = graph.pair(graph.add("Add", graph.doubled(above), x) if above else x, neck[n])
        outputs.append(graph.around(graph.across(above, head := _together(heads[n : n + 7 : 3])), head))
    return graph.model("yunet", [1, 3, "h", "w"], {y: [1, _PADDED, f"{y}_h", f"{y}_w"] for y in reversed(outputs)})


def _together(heads: Sequence[Pair]) -> Pair:
    """Return several heads of one place as one, with as many channels as onnxruntime wants."""
    n_padded = _PADDED - sum(len(head.across_bias) for head in heads)
    parts = zip(*((head.across, head.across_bias, head.around, head.around_bias) for head in heads), strict=True)
    return Pair(
        *(np.concatenate([*part, np.zeros((n_padded, *part[0].shape[1:]), np.float32)]) for part in map(list, parts))
    )


class _NetworkBuilder(GraphBuilder):
    def first(self, network: Convolutions) -> str:
        weights, bias = self.constant(network.first), self.constant(network.first_bias)
        return self.add("Conv", "pixels", weights, bias, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def pair(self, x: str, pair: Pair) -> str:
        return self.add("Relu", self.around(self.across(x, pair), pair))

    def across(self, x: str, pair: Pair) -> str:
        weights = self.constant(pair.across[:, :, None, None])
        return self.add("Conv", x, weights, self.constant(pair.across_bias), kernel_shape=[1, 1])

    def around(self, x: str, pair: Pair) -> str:
        weights, bias = self.constant(pair.around[:, None]), self.constant(pair.around_bias)
        return self.add("Conv", x, weights, bias, kernel_shape=[3, 3], pads=[1] * 4, group=len(pair.around))

    def halved(self, x: str) -> str:
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def doubled(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", x, "", scales, mode="nearest", **how)
