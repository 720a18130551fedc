"""The parts "stages" and "advanced" of scripts/bench.py: what each engine takes, and one against the other."""

from __future__ import annotations

import io
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_kit import SEED, Bench, Finding, Household, Spent, copy_sample, photos_below, some_of, spent_by
from bench_labels import boxes_of_facewatch, count_true, read_labels
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.engines import arcface, load_engine
from facewatch.engines.sessions import Sessions
from facewatch.engines.yunet import YunetDetector, is_installed
from facewatch.indexing.analyzer import AnalysisResult, Analyzer, LibraryFile, Recipe
from facewatch.models.packs import find_pack

# --- stages ---


def measure_stages(bench: Bench) -> list[Finding]:
    """Photos a second of every stage in one process, and the embedding against dlib's own on the same crops.

    Detection is what remains of the engine's time without the embedding: also landmarks and alignment. Ours embeds a
    face and its mirror image, dlib's the face only.
    """
    import dlib
    import face_recognition_models

    n_each = bench.many(100, 25, 1)
    paths = [path for folder in ("album", "lfw") for path in some_of(photos_below(bench.photos, folder), n_each)]
    bench.say(f"stages: {len(paths)} photos, half of them album/, half lfw/")
    engine = load_engine("face_recognition")
    analyzer = Analyzer(Recipe("face_recognition"))
    theirs = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
    yunet = YunetDetector() if is_installed() else None
    clock = _Clock()
    n_faces, difference = 0, 0.0
    for number, path in enumerate([paths[0], *paths]):
        if number == 1:
            clock = _Clock()  # the first photo warmed everything up
        file = bench.photos / path
        decoded = clock.time("decode", lambda data: decode.decode(io.BytesIO(data)), file.read_bytes())
        faces = clock.time("engine", engine.analyse, decoded.pixels)
        if yunet is not None:
            small = np.asarray(Image.fromarray(decoded.pixels).resize((640, 480)))
            clock.time("yunet", yunet._find, small)
            clock.time("libfacedetection", yunet._find_itself, small)
        clock.time("all", _analyse, analyzer, LibraryFile(str(file.parent), file.name))
        if number and faces:
            crops = np.array([face.crop for face in faces])
            own = clock.time("embed", engine.embed, crops)  # type: ignore[attr-defined]
            clock.time("dlib", lambda crops: [theirs.compute_face_descriptor(crop) for crop in crops], crops)
            n_faces += len(faces)
            difference = max(difference, float(np.abs(own - [face.embedding for face in faces]).max()))
    spent, n = clock.seconds, len(paths)
    return [
        Finding("decode", n / spent["decode"], "photos/s"),
        Finding("detect and align", n / (spent["engine"] - spent["embed"]), "photos/s"),
        Finding("embed, with mirror image", n_faces / spent["embed"], "faces/s"),
        Finding("embed by dlib, without", n_faces / spent["dlib"], "faces/s"),
        Finding("our embedding against dlib's", spent["dlib"] / spent["embed"], "times as fast"),
        *_of_yunet(spent),
        Finding("everything, one process", n / spent["all"], "photos/s"),
    ]


def _of_yunet(spent: dict[str, float]) -> list[Finding]:
    if "yunet" not in spent:
        return []
    row = "YuNet's network against libfacedetection itself, 640 x 480 pixels"
    return [Finding(row, spent["libfacedetection"] / spent["yunet"], "times", at_least=1.5, row=row)]


def _analyse(analyzer: Analyzer, photo: LibraryFile) -> AnalysisResult:
    """What a worker does with a new photo."""
    return analyzer.analyse(photo, analyzer.examine(photo).fingerprint)


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, what: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = work(*arguments)
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
        return result


# --- advanced: against the standard engine, and its recogniser against onnxruntime itself ---


def measure_advanced(bench: Bench) -> list[Finding]:
    return [*compare_scans(bench), *compare_recognisers(bench)]


def compare_scans(bench: Bench) -> list[Finding]:
    """What first scans of the same photos take with both engines, from the shell, groups and folders included.

    The turns are standard, advanced, advanced, standard, so that a machine that slows down or speeds up is fair.
    """
    standard = Household(bench.scratch / "standard")
    advanced = Household(bench.scratch / "advanced", {"engine": {"name": bench.engine, "runtime": "onnxruntime"}})
    photos, _ = (copy_sample(bench, house.photos) for house in (standard, advanced))
    bench.say(f"advanced: {len(photos)} photos; standard, advanced, advanced, standard")
    order = (standard, advanced, advanced, standard)[: bench.many(4, 4, 2)]
    turns = [first_scan(house) for house in order]
    bench.say("advanced: " + ", ".join(f"{turn.seconds:.1f} s" for turn in turns))
    slow, fast = (mean([turns[i] for i, one in enumerate(order) if one is house]) for house in (standard, advanced))
    labels = read_labels(bench.photos / "labels.csv")
    n_labelled = sum(len(labels.get(photo, ())) for photo in photos)
    n_slow, n_fast = (count_true(boxes_of_facewatch(house), labels) for house in (standard, advanced))
    row = f"labelled faces that they find, of {n_labelled}: standard, advanced"
    return [
        Finding("photos", len(photos)),
        Finding("first scan, standard", slow.seconds, "s"),
        Finding("first scan, advanced", fast.seconds, "s"),
        Finding(
            "advanced is faster",
            slow.seconds / fast.seconds,
            "times",
            at_least=1,
            row=f"advanced mode is faster than standard mode, whole scan of {len(photos)} photos",
        ),
        Finding("processor time, standard", slow.cpu_seconds, "s"),
        Finding("processor time, advanced", fast.cpu_seconds, "s"),
        Finding("less processor time", slow.cpu_seconds / fast.cpu_seconds, "times"),
        Finding("labelled faces", n_labelled, "faces"),
        Finding("true faces found, standard", n_slow, "faces", row=row),
        Finding("true faces found, advanced", n_fast, "faces", row=row),
    ]


def first_scan(house: Household) -> Spent:
    house.forget()
    return spent_by(house.scan)


def mean(turns: Sequence[Spent]) -> Spent:
    return Spent(statistics.mean(turn.seconds for turn in turns), statistics.mean(turn.cpu_seconds for turn in turns))


def compare_recognisers(bench: Bench) -> list[Finding]:
    """Faces a second from crops to unit vectors, against onnxruntime on numbers that are ready for its network.

    Both have the same model file, batch and number of threads: one, as in a scan with a worker a core. Faces that ours
    embeds with their mirror image are left out, so that each runs the network once a face.
    """
    pack = find_pack(bench.engine, Path())
    ours = arcface.Recogniser(pack, Sessions("cpu", 1))
    raw = plain_session(pack.recogniser)
    crops = strong_crops(bench, raw, bench.many(arcface.BATCH_FACES, arcface.BATCH_FACES, 1))
    blob = blob_of(crops)
    vectors = raw(blob)
    difference = np.abs(ours.embed(crops) - vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).max()
    n_rounds = bench.many(41, 15, 1)
    bench.say(f"advanced: {n_rounds} rounds of {len(crops)} faces, ours and onnxruntime in turns")
    rounds = [seconds_of(lambda: raw(blob), lambda: ours.embed(crops), turn) for turn in range(n_rounds)]
    theirs, own = (statistics.median(column) for column in zip(*rounds, strict=True))
    # Of each round by itself: what another program takes from one of the two it takes from the other as well.
    ratio = statistics.median(their_seconds / our_seconds for their_seconds, our_seconds in rounds)
    what = f"batch of {len(crops)}, one thread"
    return [
        Finding(f"recogniser, {what}", len(crops) / own, "faces/s"),
        Finding(f"onnxruntime itself, {what}", len(crops) / theirs, "faces/s"),
        Finding(
            "recogniser against onnxruntime itself",
            ratio,
            "times",
            at_least=1.2,
            row="recogniser against onnxruntime itself, same file, batch and thread",
        ),
        Finding("largest difference of their unit vectors", float(difference)),
    ]


Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Float32 (n, 3, 112, 112), RGB, -1 to 1, to float32 (n, n_dims), of any length."""


def plain_session(model: Path) -> Network:
    """Return a network run by onnxruntime alone, on one thread."""
    # Before the import: onnxruntime's wheels report their use to their maker otherwise.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # as the engine does: not every shape of a batch is worth a warning
    session = onnxruntime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda blob: session.run(None, {name: blob})[0]


def blob_of(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return RGB crops, shape (n, 112, 112, 3), as the network takes them."""
    return np.ascontiguousarray((crops.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5)


def strong_crops(bench: Bench, network: Network, n_faces: int) -> NDArray[np.uint8]:
    """Return aligned faces of lfw/ whose vectors are so long that the engine needs no mirror image."""
    engine = load_engine(bench.engine)
    paths = photos_below(bench.photos, "lfw")
    random.Random(SEED).shuffle(paths)
    strong: list[NDArray[np.uint8]] = []
    while len(strong) < n_faces:
        pixels = decode.decode(io.BytesIO((bench.photos / paths.pop()).read_bytes())).pixels
        crops = [face.crop for face in engine.analyse(pixels)]
        strong += [crop for crop in crops if np.linalg.norm(network(blob_of(crop[None]))) >= arcface.WEAK_LENGTH]
    return np.array(strong[:n_faces])


def seconds_of(first: Callable[[], object], second: Callable[[], object], turn: int) -> tuple[float, float]:
    """Return what each takes; in odd turns the second one goes first."""
    clock = _Clock()
    works = (("first", first), ("second", second))
    for name, work in works[:: -1 if turn % 2 else 1]:
        clock.time(name, work)
    return clock.seconds["first"], clock.seconds["second"]
