"""Measure the ways to run a pack's networks: 8 bits (static QDQ) by onnxruntime, and OpenVINO where it is installed.

    scripts/measure_runtimes ../shared/models/buffalo_sc_dq --crops /tmp/crops.npz

The crops (RGB, uint8, shape (n, 112, 112, 3)) and whose they are come from LFW when the file is not there.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray

from facewatch import decode
from facewatch.engines import load_engine
from facewatch.engines.openvino_network import OpenVinoNetwork, Precision, import_openvino
from facewatch.engines.prelu import without_prelu
from facewatch.engines.scrfd import with_joined_convolutions
from facewatch.engines.sessions import open_session
from facewatch.models.packs import find_pack

Floats = NDArray[np.float32]
Network = Callable[[Floats], Floats]

N_CALIBRATION = 100
SEARCHES = ((480, 640), (96, 128))
"""Height and width in pixels of what is searched of a photo."""

PRECISIONS: tuple[Precision, ...] = ("f32", "bf16")

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
    models = find_pack(pack, Path())
    for name, network in networks(models.recogniser.read_bytes(), inputs[-N_CALIBRATION:]):
        vectors = np.concatenate([network(one[None]) for one in inputs[:most]])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        exact = vectors if exact is None else exact
        middle, worst = np.percentile((vectors * exact).sum(axis=1), (50, 1))
        took, share = milliseconds(network, inputs[:1]), true_pairs(vectors, people[:most])
        click.echo(f"| {name} | {took:.1f} | {middle:.4f}, {worst:.4f} | {100 * share:.1f} % |")
    click.echo("\n| detector | ms a photo |\n|---|---|")
    pixels = [np.random.default_rng(0).normal(size=(1, 3, *size)).astype(np.float32) for size in SEARCHES]
    for name, search in detectors(models.detector.read_bytes()):
        click.echo(f"| {name} | {sum(search_milliseconds(search, pixels)):.1f} |")


def networks(model: bytes, calibration: Floats) -> Iterator[tuple[str, Network]]:
    """Yield the ways to run a recogniser, by name."""
    yield "32 bits", by_onnxruntime(model)
    yield "32 bits, PReLU rewritten", by_onnxruntime(without_prelu(model))
    for name, content in (("8 bits", model), ("8 bits, PReLU rewritten", without_prelu(model))):
        yield name, by_onnxruntime(quantised(content, calibration))
    if importlib.util.find_spec("openvino"):
        for precision in PRECISIONS:
            yield f"OpenVINO, {precision}", by_openvino(model, precision)


def detectors(model: bytes) -> Iterator[tuple[str, Network]]:
    """Yield the ways to run a detector, by name; OpenVINO is faster where it compiles a network for each size."""
    yield "32 bits", by_onnxruntime(model)
    joined = with_joined_convolutions(model)
    yield "32 bits, convolutions joined", by_onnxruntime(joined)
    if importlib.util.find_spec("openvino"):
        for precision in PRECISIONS:
            yield f"OpenVINO, {precision}, one network", by_openvino_of(joined, precision, (None,))
            yield f"OpenVINO, {precision}, one a size", by_openvino_of(joined, precision, SEARCHES)


def by_onnxruntime(model: bytes) -> Network:
    session = open_session(model)
    name = session.get_inputs()[0].name
    return lambda x: np.asarray(session.run(None, {name: x})[0], np.float32)


def by_openvino(model: bytes, precision: Precision) -> Network:
    network = OpenVinoNetwork(model, precision=precision, n_threads=1)
    return lambda x: network.run(None, {"": x})[0]


def by_openvino_of(model: bytes, precision: Precision, sizes: Iterable[tuple[int, int] | None]) -> Network:
    """Return a detector that is compiled for pictures of these sizes; None: of any."""
    core: Any = import_openvino().Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    requests: dict[tuple[int, ...] | None, Any] = {}
    for size in sizes:
        network = core.read_model(model=model)
        network.reshape([1, 3, *(size or (-1, -1))])
        requests[size] = core.compile_model(network, "CPU", settings).create_infer_request()
    return lambda x: np.array(
        next(iter(requests[x.shape[2:] if x.shape[2:] in requests else None].infer({0: x}).values()))
    )


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


def search_milliseconds(search: Network, pixels: Sequence[Floats], n: int = 60) -> list[float]:
    """Return the median of the processor time that each search takes, in turns as photos have them."""
    took: list[list[float]] = [[] for _ in pixels]
    for _ in range(n):
        for one, times in zip(pixels, took, strict=True):
            started = time.process_time()
            search(one)
            times.append(time.process_time() - started)
    return [1000 * float(np.median(times)) for times in took]


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
