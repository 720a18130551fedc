#!/bin/sh
# onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6, November 2026; x86-64.
#
# Guess: PReLU costs what Relu costs, one pass over the numbers, and onnxruntime's optimizer, which keeps convolutions
# and what stands between them in blocks of channels, keeps it there, too.
# Of the activations PReLU is the one that does not know that layout: each puts everything in plain order before it and
# back behind it. Written as Relu(x) - a Relu(-x), with both factors as depthwise convolutions of 1 x 1, the same network
# has five nodes in the place of one, no change of order inside, and the same bits in its answer. Face recognisers
# (ArcFace) have a PReLU behind nearly every convolution; MobileFaceNet takes two thirds of the time this way.
#
# Seen (nodes of the network as onnxruntime runs it, six convolutions):
#   PReLU: 12 changes of order, 6 PRelu
#   Relu(x) - a Relu(-x): 2 changes of order, 0 PRelu, largest difference 0.0
set -eu
[ "$(uname -m)" = x86_64 ] || { echo "x86-64 only: elsewhere onnxruntime has no blocks of channels"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cd "$folder"
ORT_DISABLE_TELEMETRY=1 venv/bin/python - <<'PY'
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

N_CHANNELS, N_CONVOLUTIONS = 32, 6
random = np.random.default_rng(0)
numbers = {
    f"{kind}{n}": random.normal(0, scale, shape).astype(np.float32)
    for n in range(N_CONVOLUTIONS)
    for kind, scale, shape in (
        ("weights", 0.1, (N_CHANNELS, N_CHANNELS, 3, 3)),
        ("slope", 0.3, (N_CHANNELS, 1, 1)),
    )
}
for n in range(N_CONVOLUTIONS):
    numbers[f"minus_one{n}"] = np.full((N_CHANNELS, 1, 1, 1), -1, np.float32)
    numbers[f"minus_slope{n}"] = -numbers[f"slope{n}"].reshape(N_CHANNELS, 1, 1, 1)


def with_prelu(n, x, y):
    return [helper.make_node("PRelu", [x, f"slope{n}"], [y])]


def with_relu(n, x, y):
    channel_by_channel = {"kernel_shape": [1, 1], "group": N_CHANNELS}
    return [
        helper.make_node("Relu", [x], [f"{y}+"]),
        helper.make_node("Conv", [x, f"minus_one{n}"], [f"{y}n"], **channel_by_channel),
        helper.make_node("Relu", [f"{y}n"], [f"{y}-"]),
        helper.make_node("Conv", [f"{y}-", f"minus_slope{n}"], [f"{y}s"], **channel_by_channel),
        helper.make_node("Add", [f"{y}+", f"{y}s"], [y]),
    ]


def run(name, activation):
    nodes, x = [], "x"
    for n in range(N_CONVOLUTIONS):
        nodes.append(
            helper.make_node("Conv", [x, f"weights{n}"], [f"c{n}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        )
        nodes += activation(n, f"c{n}", f"y{n}")
        x = f"y{n}"
    used = {one for node in nodes for one in node.input}
    shape = [1, N_CHANNELS, 56, 56]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, key) for key, array in numbers.items() if key in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = f"{name}.onnx"
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(f"{name}.onnx").graph.node)
    n_reorders = kinds["ReorderInput"] + kinds["ReorderOutput"]
    answer = session.run(None, {"x": np.random.default_rng(1).normal(size=shape).astype(np.float32)})[0]
    return n_reorders, kinds["PRelu"], answer


prelu, relu = run("prelu", with_prelu), run("relu", with_relu)
difference = float(np.abs(prelu[2] - relu[2]).max())
print(f"PReLU: {prelu[0]} changes of order, {prelu[1]} PRelu")
print(f"Relu(x) - a Relu(-x): {relu[0]} changes of order, {relu[1]} PRelu, largest difference {difference}")
assert prelu[:2] == (2 * N_CONVOLUTIONS, N_CONVOLUTIONS)
assert relu[:2] == (2, 0)
assert difference == 0
PY
