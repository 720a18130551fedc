"""SCRFD finds the same to the bit, with fewer convolutions and fewer boxes computed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_models import save_detector

from facewatch.decode import decode
from facewatch.engines import scrfd
from facewatch.engines.scrfd import open_scrfd, with_joined_convolutions
from facewatch.engines.sessions import open_session
from facewatch.modules import import_alone


def network(*n_out: int, opset: int = 17, **attributes: Any) -> bytes:
    """Return a network of convolutions of one input, with so many outputs each."""
    random = np.random.default_rng(0)
    nodes, constants, outputs = [], [], []
    for n, size in enumerate(n_out):
        inputs = ["x", f"weights{n}", f"biases{n}"]
        shapes = (size, 4 // attributes.get("group", 1), 3, 3), (size,)
        constants += [
            numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for shape, name in zip(shapes, inputs[1:], strict=True)
        ]
        nodes.append(helper.make_node("Conv", inputs, [f"y{n}"], kernel_shape=[3, 3], **attributes))
        outputs.append(helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, [1, size, None, None]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, "h", "w"])
    graph = helper.make_graph(nodes, "network", [x], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)
    return bytes(model.SerializeToString())


def n_convolutions(model: bytes) -> int:
    return Counter(node.op_type for node in onnx.ModelProto.FromString(model).graph.node)["Conv"]


def answers(model: bytes, x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = open_session(model).run(None, {"x": x})
    return found


@pytest.mark.parametrize("n_out", [(2, 8, 20), (1, 1)])
@pytest.mark.parametrize("opset", [10, 11, 17])
def test_convolutions_of_one_input_become_one_with_the_same_numbers(n_out: tuple[int, ...], opset: int) -> None:
    model = network(*n_out, opset=opset, pads=[1, 1, 1, 1])
    joined = with_joined_convolutions(model)
    assert n_convolutions(joined) == 1
    x = np.random.default_rng(1).normal(size=(1, 4, 9, 7)).astype(np.float32)
    for before, now in zip(answers(model, x), answers(joined, x), strict=True):
        np.testing.assert_allclose(now, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [network(3), network(2, 2, group=2), network(2, 8, opset=9)],
    ids=["one alone", "one for each group of channels", "an old version of ONNX"],
)
def test_other_convolutions_stay_as_they_are(model: bytes) -> None:
    assert with_joined_convolutions(model) == model


def test_a_large_detector_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrfd, "MOST_BYTES", 10)
    assert with_joined_convolutions(network(2, 8)) == network(2, 8)


def both(path: Path) -> tuple[Any, Any]:
    """Return our detector and insightface's own."""
    ours = open_scrfd(str(path), open_session(with_joined_convolutions(path.read_bytes())))
    module = import_alone("insightface.model_zoo.scrfd")
    theirs = module.SCRFD(str(path), session=open_session(path.read_bytes()), static_shape_sessions=False)
    return ours, theirs


def same(ours: Any, theirs: Any, picture: NDArray[np.uint8], threshold: float) -> int:
    """Return how many faces both find; they must be the same."""
    height, width = (-(-side // 32) * 32 for side in picture.shape[:2])
    before, now = (one.detect(picture, input_size=(width, height), det_thresh=threshold) for one in (theirs, ours))
    for was, is_now in zip(before, now, strict=True):
        assert was.dtype == is_now.dtype
        np.testing.assert_array_equal(is_now, was)
    return len(now[0])


def test_what_is_above_the_threshold_is_found_where_insightface_finds_it(tmp_path: Path) -> None:
    ours, theirs = both(save_detector(tmp_path / "det.onnx", score=0.5))
    picture = np.zeros((64, 96, 3), np.uint8)
    assert same(ours, theirs, picture, 0.5)
    assert same(ours, theirs, picture, 0.51) == 0


def test_real_faces_are_found_where_insightface_finds_them(shared: Path) -> None:
    ours, theirs = both(shared / "models/buffalo_sc_dq/det_500m.onnx")
    n_found = 0
    for path in sorted((shared / "photos/album").rglob("*.jpg"))[:20]:
        with path.open("rb") as file:
            n_found += same(ours, theirs, decode(file, working_side=640).pixels, 0.5)
    assert n_found >= 20
