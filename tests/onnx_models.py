"""Small ONNX files made on the spot: a detector and a recogniser of the right shapes, and wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_recogniser(path: Path, *, n_dims: int = 512, value: float | None = None) -> Path:
    """Store a network (n, 3, 112, 112) -> (n, n_dims): means of the picture's rows and columns; or always `value`."""
    rng = np.random.default_rng(7)
    weights = rng.standard_normal((3 * 14 * 14, n_dims)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights")]
    if value is None:
        nodes.append(helper.make_node("Identity", ["raw"], ["embedding"]))
    else:
        nodes += [
            helper.make_node("Mul", ["raw", "zero"], ["none"]),
            helper.make_node("Add", ["none", "v"], ["embedding"]),
        ]
        constants += [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(value), "v")]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", n_dims])]
    return _save(path, nodes, ["n", 3, 112, 112], outputs, constants)


def save_detector(path: Path, *, score: float = 0.0, has_landmarks: bool = True) -> Path:
    """Store a network with a SCRFD detector's outputs, which says `score` of every place."""
    nodes, outputs, constants = [], [], []
    parts = [(1, score), (4, 4.0), (10, 0.0)][: 3 if has_landmarks else 2]
    for part, (width, value) in enumerate(parts):
        for stride in (8, 16, 32):
            name = f"{part}_{stride}"
            nodes += _constant_map(name, stride, width, value, constants)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]))
    return _save(path, nodes, [1, 3, "h", "w"], outputs, constants)


def _constant_map(name: str, stride: int, width: int, value: float, constants: list[Any]) -> list[Any]:
    """Two anchors of `width` equal numbers for each stride x stride pixels of the input."""
    kernel = np.zeros((2 * width, 3, 1, 1), np.float32)
    constants += [
        numpy_helper.from_array(kernel, f"{name}_kernel"),
        numpy_helper.from_array(np.full(2 * width, value, np.float32), f"{name}_bias"),
        numpy_helper.from_array(np.array([-1, width], np.int64), f"{name}_shape"),
    ]
    return [
        helper.make_node("Conv", ["input.1", f"{name}_kernel", f"{name}_bias"], [f"{name}_map"], strides=[stride] * 2),
        helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{name}_last", f"{name}_shape"], [name]),
    ]


def _save(path: Path, nodes: list[Any], shape: list[Any], outputs: list[Any], constants: list[Any]) -> Path:
    inputs = [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "made_by_a_test", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
