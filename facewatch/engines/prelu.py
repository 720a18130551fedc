"""PReLU by what onnxruntime keeps in its blocked layout: the same answers to the bit, in two thirds of the time.

Between two convolutions onnxruntime keeps what a network computes in blocks of channels, which x86 processors multiply
fastest. Its PReLU knows only the plain layout, so that around each of the 34 of MobileFaceNet everything is put in
another order, and back. With a slope a for each channel, PReLU(x) = max(x, 0) + a min(x, 0), which is

    Relu(x) - a Relu(-x)

where both products are convolutions of 1 x 1 with one channel a group. Of the two terms one is always 0, so nothing is
rounded that was not before.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

    from facewatch.types import Floats

MOST_BYTES = 64 * 2**20
"""Larger models stay as they are: rewriting one holds it in memory three times. The share of PReLU is smaller there."""


def is_worth_it() -> bool:
    """Whether onnxruntime has a blocked layout for this processor."""
    return platform.machine().lower() in ("x86_64", "amd64")


def without_prelu(model: bytes) -> bytes:
    """Return a model (ONNX) without PReLU where its slopes are constant, one for each channel; else as it is.

    Raises:
        google.protobuf.message.DecodeError: it is no model.
    """
    import onnx

    if len(model) > MOST_BYTES:
        return model
    parsed = onnx.ModelProto.FromString(model)
    graph = parsed.graph
    slopes = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer if _is_slope(one.dims)}
    nodes = [new for node in graph.node for new in _rewritten(graph, node, slopes)]
    if len(nodes) == len(graph.node):
        return model
    del graph.node[:]
    graph.node.extend(nodes)
    return bytes(parsed.SerializeToString())


def _is_slope(shape: tuple[int, ...]) -> bool:
    """Whether constants of this shape are one for each channel of a picture."""
    return len(shape) == 3 and shape[0] > 1 and tuple(shape[1:]) == (1, 1)


def _rewritten(graph: GraphProto, node: NodeProto, slopes: dict[str, Floats]) -> Iterator[NodeProto]:
    """Yield what takes the place of a node; the constants that it needs are added to the graph."""
    from onnx.helper import make_node

    if node.op_type != "PRelu" or node.input[1] not in slopes:
        yield node
        return
    slope, [x, _], [y] = slopes[node.input[1]].reshape(-1), node.input, node.output
    positive, negated, negative, scaled = (f"{y}/{part}" for part in ("positive", "negated", "negative", "scaled"))
    yield make_node("Relu", [x], [positive])
    yield _scaling(graph, x, negated, np.full_like(slope, -1))
    yield make_node("Relu", [negated], [negative])
    yield _scaling(graph, negative, scaled, -slope)
    yield make_node("Add", [positive, scaled], [y])


def _scaling(graph: GraphProto, x: str, y: str, by: Floats) -> NodeProto:
    """Return the node that multiplies each channel of x by a number."""
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(by.reshape(-1, 1, 1, 1), f"{y}/weights")
    graph.initializer.append(weights)
    return helper.make_node("Conv", [x, weights.name], [y], kernel_shape=[1, 1], group=len(by))
