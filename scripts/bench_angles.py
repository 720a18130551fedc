"""The part "angles" of scripts/bench.py: photos turned in all four ways, what is seen in them, and what that takes."""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from bench_kit import SEED, Bench, Finding, photos_below, some_of
from bench_labels import Rectangle, overlap, read_labels, rows_of
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.boxes import SAME_FACE
from facewatch.engines import load_engine
from facewatch.indexing.turns import analyse_turns, turn_of
from facewatch.types import Decoded, DetectedFace, Detection, Engine, Survey

Pixels = NDArray[np.uint8]

FREE_SIDE = 160
"""Least side in pixels of a part of a photo that holds no face."""


def measure_angles(bench: Bench) -> list[Finding]:
    """Of the labelled faces that each engine sees in upright photos, the shares that it sees as the photos are turned,
    that facewatch sees the right way up, and that may start a person; what is seen where there is no face;
    how many photos cost more than the quick looks; and how long it takes to see that there is no face."""
    labels = read_labels(bench.photos / "labels.csv")
    paths = [
        *some_of([path for path in photos_below(bench.photos, "lfw") if path in labels], bench.many(60, 20, 1)),
        *some_of([path for path in photos_below(bench.photos, "album") if path in labels], bench.many(60, 20, 1)),
    ]
    photos = [(bench.photos / path, labels[path]) for path in paths]
    empty = without_faces(bench, bench.many(150, 60, 4))
    bench.say(f"angles: {len(photos)} photos, {len(empty)} parts of photos without faces")
    return [
        *_measure(load_engine("face_recognition"), "standard", photos, empty),
        *_measure(load_engine(bench.engine), "advanced", photos, empty),
    ]


def _measure(
    engine: Engine, mode: str, photos: Sequence[tuple[Path, Sequence[Rectangle]]], empty: Sequence[Pixels]
) -> list[Finding]:
    counts = {turn: np.zeros(4, np.int64) for turn in (0, 90, 180, 270)}
    cosines: list[float] = []
    n_close = n_turned = 0
    n_passed_over = n_lying = 0
    for path, labels in photos:
        decoded = _decoded(path)
        upright = [
            face
            for face in engine.analyse(decoded.pixels)
            if face.score >= engine.info.sure_score and _is_labelled(face, decoded, labels)
        ]
        counted = _Counted(engine)
        analyse_turns(counted, decoded.pixels)
        n_close += counted.n_searches > 1
        n_turned += counted.n_finds > 0
        for turn in counts:
            counts[turn] += _count(engine, decoded.pixels, upright, turn, cosines)
            if turn and upright:
                n_lying += 1
                n_passed_over += not engine.survey(_lying(decoded.pixels, turn)).may_show_turned
    findings = []
    for turn, (n, *seen) in counts.items():
        for what, n_seen in zip(
            ("by the detector alone", "the right way up", "that may start a person"), seen, strict=True
        ):
            name = f"{mode}, turned by {turn}: faces seen {what}"
            findings.append(Finding(name, 100 * int(n_seen) / max(1, int(n)), "%"))
    share = 100 * n_close / len(photos)
    findings.append(Finding(f"{mode}: upright photos with faces searched closely in other turns", share, "%"))
    share = 100 * n_turned / len(photos)
    findings.append(Finding(f"{mode}: upright photos with faces searched in other turns at all", share, "%"))
    share = 100 * n_passed_over / max(1, n_lying)
    findings.append(Finding(f"{mode}: photos with faces that lie, not searched in other turns", share, "%"))
    # An exact turn gives the pixels, and so the vector, of the upright face.
    low, middle = np.percentile(cosines, [5, 50]) if cosines else (0.0, 0.0)
    findings.append(Finding(f"{mode}: cosine to the upright face, 5 %", float(low)))
    findings.append(Finding(f"{mode}: cosine to the upright face, median", float(middle)))
    return [*findings, *_measure_empty(engine, mode, empty)]


def _count(
    engine: Engine, pixels: Pixels, upright: Sequence[DetectedFace], turn: int, cosines: list[float]
) -> NDArray[np.int64]:
    """Return how many faces there are, the engine sees alone, facewatch sees the right way up, and lets found."""
    turned, info = _lying(pixels, turn), engine.info
    alone, seen = engine.analyse(turned), analyse_turns(engine, turned)
    counts = np.array([len(upright), 0, 0, 0])
    for face in upright:
        place = _box_turned(face.box, turn, pixels)
        counts[1] += any(overlap(place, one.box) >= SAME_FACE for one in alone)
        best = max(seen, key=lambda one: overlap(place, one.box), default=None)
        if best is None or overlap(place, best.box) < SAME_FACE:
            continue
        is_right = turn_of(best.landmarks) == (turn_of(face.landmarks) - turn) % 360
        least = info.upright_score if turn_of(best.landmarks) else info.sure_score
        counts[2:] += [is_right, is_right and best.score >= least]
        if turn:
            cosines.append(float(face.embedding @ best.embedding))
    return counts


def _lying(pixels: Pixels, turn: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, -turn // 90))


def _measure_empty(engine: Engine, mode: str, empty: Sequence[Pixels]) -> list[Finding]:
    alone_seconds = all_seconds = 0.0
    n_alone = n_all = n_enrolling = 0
    engine.analyse(empty[0])  # warms everything up
    for pixels in empty:
        started = time.process_time()
        alone = engine.analyse(pixels)
        middle = time.process_time()
        seen = analyse_turns(engine, pixels)
        alone_seconds += middle - started
        all_seconds += time.process_time() - middle
        n_alone, n_all = n_alone + len(alone), n_all + len(seen)
        n_enrolling += sum(turn_of(one.landmarks) > 0 and one.score >= engine.info.upright_score for one in seen)
    where = f"{mode}, {len(empty)} parts without faces:"
    return [
        Finding(f"{where} seen by the detector alone", n_alone, "faces"),
        Finding(f"{where} seen", n_all, "faces"),
        Finding(f"{where} turned ones that may start a person", n_enrolling, "faces"),
        Finding(f"{mode}: looking at what has no face", all_seconds / alone_seconds, "times as long"),
        Finding(f"{mode}: the same, decoding 12 megapixels", _with_decoding(engine, empty), "times as long"),
    ]


def _with_decoding(engine: Engine, empty: Sequence[Pixels]) -> float:
    """Return how much longer large photos take because of the other turns."""
    alone_seconds = all_seconds = 0.0
    for pixels in empty[:8]:
        target = io.BytesIO()
        Image.fromarray(pixels).resize((4000, 3000), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
        started = time.process_time()
        photo = decode.decode(io.BytesIO(target.getvalue())).pixels
        decoded = time.process_time()
        engine.analyse(photo)
        middle = time.process_time()
        analyse_turns(engine, photo)
        alone_seconds += middle - started
        all_seconds += decoded - started + time.process_time() - middle
    return all_seconds / alone_seconds


class _Counted:
    """An engine that counts how often it is asked whose faces there are, and where some are."""

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.analyse_aligned = engine.analyse_aligned
        self._engine = engine
        self.n_searches = self.n_finds = 0

    def find(self, pixels: Pixels) -> list[Detection]:
        self.n_finds += 1
        return self._engine.find(pixels)

    def analyse(self, pixels: Pixels, *, closer: Callable[[], Pixels] | None = None) -> list[DetectedFace]:
        self.n_searches += 1
        return self._engine.analyse(pixels, closer=closer)

    def survey(self, pixels: Pixels, *, closer: Callable[[], Pixels] | None = None) -> Survey:
        self.n_searches += 1
        return self._engine.survey(pixels, closer=closer)


def without_faces(bench: Bench, n: int) -> list[Pixels]:
    """Return parts of photos that no face lies in, labelled or not, and photos without faces."""
    boxes: dict[str, list[Rectangle]] = {}
    for path, _, box in rows_of(bench.photos / "labels.csv"):
        boxes.setdefault(path, []).extend([box] if box else [])
    paths = [path for path in sorted(boxes) if path.startswith("album")]
    random.Random(SEED).shuffle(paths)
    noface = bench.photos / "odd" / "noface"
    found = [_decoded(path).pixels for path in sorted(noface.iterdir())] if noface.is_dir() else []
    for path in paths:
        if len(found) >= n:
            break
        found += _free_parts(bench.photos / path, boxes[path])
    return found[:n] or [np.full((480, 640, 3), 128, np.uint8)]


def _free_parts(path: os.PathLike[str], boxes: Sequence[Rectangle]) -> list[Pixels]:
    """Return what lies left and right of, above and below all faces of a photo, hair and chins left out."""
    decoded = _decoded(path)
    scale = decoded.pixels.shape[1] / decoded.width
    sides = [(scale * (x - w / 2), scale * (y - h), scale * (x + 1.5 * w), scale * (y + 2 * h)) for x, y, w, h in boxes]
    if not sides:
        return [decoded.pixels]
    left, top = (round(max(0.0, min(side[i] for side in sides))) for i in (0, 1))
    right, bottom = (round(max(side[i] for side in sides)) for i in (2, 3))
    parts = [decoded.pixels[:, :left], decoded.pixels[:, right:], decoded.pixels[:top], decoded.pixels[bottom:]]
    return [np.ascontiguousarray(part) for part in parts if min(part.shape[:2]) >= FREE_SIDE]


def _is_labelled(face: DetectedFace, decoded: Decoded, labels: Sequence[Rectangle]) -> bool:
    scale = decoded.width / decoded.pixels.shape[1]
    x, y, w, h = (side * scale for side in face.box)
    return any(overlap((x, y, w, h), label) >= SAME_FACE for label in labels)


def _box_turned(box: Rectangle, turn: int, pixels: Pixels) -> Rectangle:
    """Return where a box is when its photo is turned clockwise."""
    height, width = pixels.shape[:2]
    x, y, w, h = box
    for _ in range(turn // 90):
        x, y, w, h, width, height = height - y - h, x, h, w, height, width
    return x, y, w, h


def _decoded(path: os.PathLike[str]) -> Decoded:
    with Path(path).open("rb") as file:
        return decode.decode(file)
