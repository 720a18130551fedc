"""SCRFD by insightface, in three quarters of the time and with the same numbers to the bit.

insightface computes a box and five landmarks for each place of the picture, and then takes those of the few places that
show a face. And where several convolutions look at the same channels, as those for score, box and landmarks do,
onnxruntime fills up each to whole blocks of channels: 2, 8 and 20 become 64, together they are 32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.modules import import_alone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

    from facewatch.types import Floats, Pixels

MOST_BYTES = 64 * 2**20
"""Larger models stay as they are; see `prelu.MOST_BYTES`."""

N_LANDMARKS = 5

OPSET_OF_SLICE = 10
"""From this version of ONNX on its Slice takes bounds as inputs."""


def open_scrfd(path: str, session: Any) -> Any:
    """Return insightface's detector of a model file, which computes boxes only where faces are."""
    scrfd = import_alone("insightface.model_zoo.scrfd")
    detector = type("Scrfd", (SparseForward, scrfd.SCRFD), {})
    # One session for all sizes: one a size would hold the model in memory once for every shape of photo.
    return detector(path, session=session, static_shape_sessions=False)


class SparseForward:
    """What takes the place of a method of insightface's class."""

    if TYPE_CHECKING:
        session: Any
        input_name: str
        output_names: list[str]
        fmc: int
        batched: bool
        _feat_stride_fpn: list[int]
        _num_anchors: int

        def _prepare_input_blob(self, img: Pixels, input_size: tuple[int, ...]) -> Floats: ...

    def forward(self, img: Pixels, threshold: float) -> tuple[list[Floats], list[Floats], list[Floats]]:
        """Return for each stride the scores (n, 1), boxes x0, y0, x1, y1 (n, 4) and landmarks (n, 5, 2), in pixels, of
        the places whose score is not below the threshold.

        Args:
            img: BGR, uint8, shape (H, W, 3), of a size that the strides divide.
        """
        height, width = img.shape[:2]
        blob = self._prepare_input_blob(img, (width, height))
        outputs = self.session.run(self.output_names, {self.input_name: blob})
        scores, boxes, landmarks = [], [], []
        for n, stride in enumerate(self._feat_stride_fpn):
            score, reach, offset = (one[0] if self.batched else one for one in outputs[n :: self.fmc])
            rows = np.flatnonzero(score >= threshold)
            down, right = np.divmod(rows // self._num_anchors, width // stride)
            centres = np.stack([right, down], axis=1).astype(np.float32) * stride
            away = reach[rows] * stride
            scores.append(score[rows])
            boxes.append(np.concatenate([centres - away[:, :2], centres + away[:, 2:]], axis=1))
            landmarks.append(centres[:, None] + (offset[rows] * stride).reshape(len(rows), N_LANDMARKS, 2))
        return scores, boxes, landmarks


def with_joined_convolutions(model: bytes) -> bytes:
    """Return a model (ONNX) in which convolutions of one input that differ in nothing but their numbers are one.

    Raises:
        google.protobuf.message.DecodeError: it is no model.
    """
    import onnx

    if len(model) > MOST_BYTES:
        return model
    parsed = onnx.ModelProto.FromString(model)
    graph = parsed.graph
    constants = {one.name: one for one in graph.initializer}
    alike: dict[object, list[NodeProto]] = {}
    for node in graph.node:
        if (key := _key(node, constants)) is not None:
            alike.setdefault(key, []).append(node)
    groups = [group for group in alike.values() if len(group) > 1]
    if not groups or _version(parsed) < OPSET_OF_SLICE:
        return model
    replaced = {group[0].output[0]: _joined(graph, group, constants) for group in groups}
    left_out = {node.output[0] for group in groups for node in group}
    nodes = [
        new
        for node in graph.node
        for new in replaced.get(node.output[0], () if node.output[0] in left_out else (node,))
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    return bytes(parsed.SerializeToString())


def _version(model: ModelProto) -> int:
    return max((int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)


def _key(node: NodeProto, constants: dict[str, TensorProto]) -> object:
    """Return what convolutions that can be one have in common; None: it is none of those."""
    if node.op_type != "Conv" or len(node.input) < 3 or not all(name in constants for name in node.input[1:]):
        return None
    if any(one.name == "group" and one.i != 1 for one in node.attribute):
        return None
    attributes = sorted(one.SerializeToString() for one in node.attribute)
    return node.input[0], tuple(attributes), tuple(constants[node.input[1]].dims[1:])


def _joined(graph: GraphProto, nodes: list[NodeProto], constants: dict[str, TensorProto]) -> Iterable[NodeProto]:
    """Return the nodes that take the place of several convolutions; their numbers are added to the graph."""
    from onnx import helper, numpy_helper

    name, parts = f"{nodes[0].output[0]}/joined", [[constants[node.input[n]] for node in nodes] for n in (1, 2)]
    sizes = np.array([one.dims[0] for one in parts[0]])
    numbers = [np.concatenate([numpy_helper.to_array(one) for one in part]) for part in parts]
    inputs = [f"{name}/{part}" for part in ("weights", "biases")]
    graph.initializer.extend(map(numpy_helper.from_array, numbers, inputs))
    convolution = helper.make_node("Conv", [nodes[0].input[0], *inputs], [name])
    convolution.attribute.extend(nodes[0].attribute)
    # Cut out one by one: how Split is told its sizes depends on the version of ONNX.
    bounds = [0, *np.cumsum(sizes).tolist()]
    slices = []
    for node, first, last in zip(nodes, bounds, bounds[1:], strict=False):
        numbers = [np.array([value], np.int64) for value in (first, last, 1)]
        names = [f"{node.output[0]}/{part}" for part in ("first", "last", "axis")]
        graph.initializer.extend(map(numpy_helper.from_array, numbers, names))
        slices.append(helper.make_node("Slice", [name, *names], [node.output[0]]))
    return [convolution, *slices]
