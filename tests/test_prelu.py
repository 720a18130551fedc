"""A recogniser whose PReLU is rewritten gives what it gave before, but for the last bits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from facewatch.decode import decode
from facewatch.engines import load_engine, prelu
from facewatch.engines.arcface import ArcFaceEngine
from facewatch.engines.prelu import without_prelu
from facewatch.engines.sessions import open_session

N_CHANNELS = 5


def network(slope: NDArray[np.float32]) -> bytes:
    """Return a network of two convolutions with PReLU between them."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(2, N_CHANNELS, N_CHANNELS, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["a", "slope"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    shape = ["n", N_CHANNELS, 9, 9]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(weights[0], "w0"),
            numpy_helper.from_array(weights[1], "w1"),
            numpy_helper.from_array(slope, "slope"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    return bytes(model.SerializeToString())


def answer(model: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = open_session(model).run(None, {"x": x})[0]
    return found


def n_prelus(model: bytes) -> int:
    return Counter(node.op_type for node in onnx.ModelProto.FromString(model).graph.node)["PRelu"]


slopes = st.sampled_from([1, 2]).flatmap(
    lambda most: st.lists(st.floats(-2, most, width=32), min_size=N_CHANNELS, max_size=N_CHANNELS)
)


@given(slope=slopes, seed=st.integers(0, 2**32 - 1), n=st.integers(1, 3))
def test_a_slope_for_each_channel_gives_the_same_numbers(slope: list[float], seed: int, n: int) -> None:
    model = network(np.array(slope, np.float32).reshape(-1, 1, 1))
    x = np.random.default_rng(seed).normal(size=(n, N_CHANNELS, 9, 9)).astype(np.float32)
    assert n_prelus(without_prelu(model)) == 0
    np.testing.assert_allclose(answer(without_prelu(model), x), answer(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (N_CHANNELS, 9, 9)], ids=["one", "one of three", "each pixel"])
def test_other_slopes_stay_as_they_are(shape: tuple[int, ...]) -> None:
    model = network(np.full(shape, 0.25, np.float32))
    assert without_prelu(model) == model


def test_a_large_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prelu, "MOST_BYTES", 10)
    model = network(np.full((N_CHANNELS, 1, 1), 0.25, np.float32))
    assert without_prelu(model) == model


def test_real_faces_have_the_same_embeddings(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = f"insightface:{shared / 'models/buffalo_sc_dq'}"
    rewritten = load_engine(pack)
    monkeypatch.setattr("facewatch.engines.arcface.is_worth_it", lambda: False)
    plain = load_engine(pack)
    assert isinstance(rewritten, ArcFaceEngine)
    assert isinstance(plain, ArcFaceEngine)
    crops = _crops(plain, shared)
    assert len(crops) > 10
    np.testing.assert_allclose(rewritten.embed(crops), plain.embed(crops), rtol=0, atol=1e-6)


def _crops(engine: ArcFaceEngine, shared: Path) -> NDArray[np.uint8]:
    found = []
    for path in sorted((shared / "photos").rglob("*.jpg"))[:20]:
        with path.open("rb") as file:
            found += [face.crop for face in engine.analyse(decode(file).pixels)]
    return np.array(found, np.uint8)
