"""Measure other ways to run a pack's networks: 8 bits (static QDQ) by onnxruntime, and OpenVINO where it is installed.

    scripts/measure_runtimes ../shared/models/buffalo_sc_dq --crops /tmp/crops.npz

The crops (RGB, uint8, shape (n, 112, 112, 3)) and whose they are come from LFW when the file is not there. OpenVINO
is no package of facewatch: its wheel brings one that reports its use.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray

from facewatch import decode
from facewatch.engines import load_engine
from facewatch.engines.prelu import without_prelu
from facewatch.engines.sessions import open_session
from facewatch.models.packs import find_pack

Floats = NDArray[np.float32]
Network = Callable[[Floats], Floats]

N_CALIBRATION = 100
OPSET = 13
"""The first in which 8-bit numbers can have a scale for each channel."""


@click.command(help=__doc__)
@click.argument("pack")
@click.option("--crops", "file", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--photos", type=click.Path(path_type=Path, exists=True), default="../shared/photos", show_default=True)
@click.option("--most", default=600, show_default=True, help="Crops that are compared.")
def main(pack: str, file: Path, photos: Path, most: int) -> None:
    if not file.is_file():
        keep_crops(pack, photos / "lfw", file)
    kept = np.load(file)
    inputs, people = as_input(kept["crops"]), kept["people"]
    click.echo("| recogniser | ms a face | cosine to 32 bits, median and worst of a hundred | true pairs at 1e-4 |")
    click.echo("|---|---|---|---|")
    exact: Floats | None = None
    for name, network in networks(find_pack(pack, Path()).recogniser.read_bytes(), inputs[-N_CALIBRATION:]):
        vectors = np.concatenate([network(one[None]) for one in inputs[:most]])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        exact = vectors if exact is None else exact
        middle, worst = np.percentile((vectors * exact).sum(axis=1), (50, 1))
        took, share = milliseconds(network, inputs[:1]), true_pairs(vectors, people[:most])
        click.echo(f"| {name} | {took:.1f} | {middle:.4f}, {worst:.4f} | {100 * share:.1f} % |")


def networks(model: bytes, calibration: Floats) -> Iterator[tuple[str, Network]]:
    """Yield the ways to run a recogniser, by name."""
    yield "32 bits", by_onnxruntime(model)
    yield "32 bits, PReLU rewritten", by_onnxruntime(without_prelu(model))
    for name, content in (("8 bits", model), ("8 bits, PReLU rewritten", without_prelu(model))):
        yield name, by_onnxruntime(quantised(content, calibration))
    if importlib.util.find_spec("openvino"):
        for precision in ("f32", "bf16"):
            yield f"OpenVINO, {precision}", by_openvino(model, precision)


def by_onnxruntime(model: bytes) -> Network:
    session = open_session(model)
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0], np.float32)


def by_openvino(model: bytes, precision: str) -> Network:
    core: Any = importlib.import_module("openvino").Core()
    network = core.read_model(model=model)
    network.reshape([1, 3, 112, 112])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    return lambda x: np.array(next(iter(request.infer({0: x}).values())), np.float32)


def quantised(model: bytes, calibration: Floats) -> bytes:
    """Return the network with weights and activations of 8 bits, which are told by some crops."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self._crops = iter([{name: one[None]} for one in calibration])

        def get_next(self) -> dict[str, Floats] | None:
            return next(self._crops, None)

    with TemporaryDirectory() as folder:
        plain, prepared, small = (str(Path(folder, name)) for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        newer = onnx.version_converter.convert_version(onnx.ModelProto.FromString(model), OPSET)
        onnx.save(newer, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        crops = Crops(newer.graph.input[0].name)
        quantization.quantize_static(prepared, small, crops, per_channel=True, op_types_to_quantize=["Conv"])
        return Path(small).read_bytes()


def keep_crops(pack: str, photos: Path, file: Path) -> None:
    engine, crops, people = load_engine(f"insightface:{pack}"), [], []
    for path in sorted(photos.rglob("*.jpg"))[::2]:
        with path.open("rb") as photo:
            faces = engine.analyse(decode.decode(photo).pixels)
        if faces:
            crops.append(faces[0].crop)
            people.append(path.parent.name)
    np.savez(file, crops=np.array(crops), people=np.array(people))


def as_input(crops: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(((crops.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2))


def milliseconds(network: Network, x: Floats, n: int = 60) -> float:
    """Return the least processor time that one run takes."""
    took = []
    for _ in range(n):
        started = time.process_time()
        network(x)
        took.append(time.process_time() - started)
    return 1000 * min(took)


def true_pairs(vectors: Floats, people: NDArray[Any]) -> float:
    """Return which share of pairs of one person is nearer than all but one in ten thousand pairs of strangers."""
    one, other = np.triu_indices(len(vectors), 1)
    cosines, is_same = (vectors @ vectors.T)[one, other], people[one] == people[other]
    return float((cosines[is_same] > np.quantile(cosines[~is_same], 1 - 1e-4)).mean())


if __name__ == "__main__":
    main()
