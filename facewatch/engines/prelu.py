"""PReLU by what onnxruntime keeps in its blocked layout: the same answers, in three fifths of the time.

Between two convolutions onnxruntime keeps what a network computes in blocks of channels, which x86 processors multiply
fastest. Its PReLU knows only the plain layout, so that around each of the 34 of MobileFaceNet everything is put in
another order, and back. With a slope a for each channel, PReLU(x) is

    a x + Relu((1 - a) x)

where no slope is more than 1, else a x + (1 - a) Relu(x). Both products are convolutions of 1 x 1 with one channel a
group; the addition and, in the first form, the Relu are done on the way. What is rounded otherwise than before is in
the last bits: unit vectors differ by less than 1e-6.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

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
    linear, rest, positive = (f"{y}/{part}" for part in ("linear", "rest", "positive"))
    if (slope <= 1).all():
        yield _scaling(graph, x, rest, 1 - slope)
        yield make_node("Relu", [rest], [positive])
    else:
        yield make_node("Relu", [x], [rest])
        yield _scaling(graph, rest, positive, 1 - slope)
    yield _scaling(graph, x, linear, slope)
    yield make_node("Add", [positive, linear], [y])


def _scaling(graph: GraphProto, x: str, y: str, by: Floats) -> NodeProto:
    """Return the node that multiplies each channel of x by a number."""
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(by.reshape(-1, 1, 1, 1), f"{y}/weights")
    graph.initializer.append(weights)
    return helper.make_node("Conv", [x, weights.name], [y], kernel_shape=[1, 1], group=len(by))
