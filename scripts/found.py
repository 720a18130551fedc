"""Which faces the detectors of standard mode find on photos made hard by law, and what their embeddings are worth.

    scripts/found shared/photos                                all sets, YuNet beside HOG, 100 people
    scripts/found shared/photos --people 400 --sets tight,film --detector yunet

Takes two photos of each of some people from a folder with labels.csv. One goes into the gallery as it is, the other is
cut tight, shrunk, tilted, blurred, darkened, graded like a film or covered, and looked for. Says of each set and
detector: the share of the labelled faces that are found, the median cosine of those to what HOG gives for the face in
the photo as it was, and the share of them whose nearest in the gallery is the same person. Then how many faces are
found in pictures without any, and what a picture costs.
"""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.engines.options import EngineOptions
from facewatch.engines.standard import SURE_SCORE, StandardEngine
from facewatch.types import DetectedFace

Rectangle = tuple[float, float, float, float]
"""x, y, w, h in pixels."""

SHOWS_FACES = {"astronaut", "camera", "coins", "logo"}
"""Pictures of scikit-image that have one, of metal too."""
PARTS = (0.6, 0.35, 0.2, 0.1)
PARTS_OF_A_SIZE = 4
LEAST_SIDE = 40


class Shot(NamedTuple):
    """A picture, and where on it the labelled face is (x, y, w, h)."""

    picture: Image.Image
    box: Rectangle


# --- laws ---


def cut(shot: Shot, margin: float) -> Shot:
    """Leave the face and this share of its sides around it."""
    x, y, w, h = shot.box
    edges = x - margin * w, y - margin * h, x + w + margin * w, y + h + margin * h
    left, top, right, bottom = (round(edge) for edge in edges)
    left, top = max(0, left), max(0, top)
    right, bottom = min(shot.picture.width, right), min(shot.picture.height, bottom)
    x0, y0, x1, y1 = max(x, left), max(y, top), min(x + w, right), min(y + h, bottom)
    return Shot(shot.picture.crop((left, top, right, bottom)), (x0 - left, y0 - top, x1 - x0, y1 - y0))


def resized(shot: Shot, side: int) -> Shot:
    scale = side / max(shot.picture.size)
    size = max(1, round(shot.picture.width * scale)), max(1, round(shot.picture.height * scale))
    x, y, w, h = (v * scale for v in shot.box)
    return Shot(shot.picture.resize(size, Image.Resampling.BICUBIC), (x, y, w, h))


def tilted(shot: Shot, degrees: float) -> Shot:
    x, y, w, h = shot.box
    turned = shot.picture.rotate(degrees, Image.Resampling.BICUBIC, center=(x + w / 2, y + h / 2))
    return cut(Shot(turned, shot.box), 0.4)


def blurred(shot: Shot, pixels: float) -> Shot:
    return Shot(shot.picture.filter(ImageFilter.GaussianBlur(pixels)), shot.box)


def levels(shot: Shot, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Shot:
    """Change the grey levels, 0 to 255."""
    changed = change(np.asarray(shot.picture, np.float64)).clip(0, 255).astype(np.uint8)
    return Shot(Image.fromarray(changed), shot.box)


def noisy(shot: Shot, deviation: float) -> Shot:
    return levels(shot, lambda p: p + np.random.default_rng(0).normal(0, deviation, p.shape))


def graded(shot: Shot) -> Shot:
    """Make a film still: cut close, soft, little light and colour, orange faces before blue shadows, grain."""

    def grade(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        light = pixels.mean(2, keepdims=True)
        low = 13 + 115 * ((light + 0.5 * (pixels - light)).clip(0) / 255) ** 1.3
        return np.asarray(low * (1.08, 1.0, 0.9) + (255 - light) * (-0.02, 0.0, 0.03))

    return noisy(levels(blurred(cut(shot, 0.25), 1.2), grade), 5)


def covered(shot: Shot, top: float, bottom: float, colour: tuple[int, int, int]) -> Shot:
    """Cover the face between two shares of its height."""
    x, y, w, h = shot.box
    picture = shot.picture.copy()
    picture.paste(colour, (round(x), round(y + top * h), round(x + w), round(y + bottom * h)))
    return Shot(picture, shot.box)


def half(shot: Shot) -> Shot:
    """Leave three fifths of the face, from one side."""
    tight = cut(shot, 0)
    width = round(0.6 * tight.picture.width)
    return Shot(tight.picture.crop((0, 0, width, tight.picture.height)), (0, 0, width, tight.picture.height))


def turned(shot: Shot, quarters: int) -> Shot:
    for _ in range(quarters):
        x, y, w, h = shot.box
        box = y, shot.picture.width - x - w, h, w
        shot = Shot(shot.picture.transpose(Image.Transpose.ROTATE_90), box)
    return shot


LAWS: Mapping[str, Callable[[Shot], Shot]] = {
    "as it is": lambda s: s,
    "tight 0 %": lambda s: cut(s, 0),
    "tight 10 %": lambda s: cut(s, 0.1),
    "tight 25 %": lambda s: cut(s, 0.25),
    "tight 0 %, 1000 pixels": lambda s: resized(cut(s, 0), 1000),
    "tight 25 %, 64 pixels": lambda s: resized(cut(s, 0.25), 64),
    "tight 25 %, 100 pixels": lambda s: resized(cut(s, 0.25), 100),
    "tight 25 %, 200 pixels": lambda s: resized(cut(s, 0.25), 200),
    "100 pixels": lambda s: resized(s, 100),
    "tilted 20": lambda s: tilted(s, 20),
    "tilted 35": lambda s: tilted(s, -35),
    "blurred 3": lambda s: blurred(s, 3),
    "blurred 5": lambda s: blurred(s, 5),
    "light 1/8": lambda s: levels(s, lambda p: p / 8),
    "light 1/16": lambda s: levels(s, lambda p: p / 16),
    "contrast .15": lambda s: levels(s, lambda p: 110 + (p - 128) * 0.15),
    "noise 50": lambda s: noisy(s, 50),
    "film": graded,
    "film, blurred 2": lambda s: blurred(graded(s), 2),
    "film, tight 0 %": lambda s: cut(Shot(graded(s).picture, cut(s, 0.25).box), 0),
    "mask": lambda s: covered(s, 0.58, 1, (140, 170, 190)),
    "sunglasses": lambda s: covered(s, 0.28, 0.46, (15, 15, 15)),
    "half": half,
    "on its side": lambda s: turned(s, 1),
    "upside down": lambda s: turned(s, 2),
}
"""The last two have no upright face: what is found there is one too many."""


# --- photos ---


def pairs(labelled: Path, n_people: int) -> list[tuple[Shot, Shot]]:
    """Return two shots of each of some people who are alone on theirs, drawn by a fixed seed."""
    photos = defaultdict(list)
    with (labelled / "labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["person"] and row["path"].startswith("lfw/"):
                x, y, w, h = (float(row[key]) for key in "xywh")
                photos[row["person"]].append((row["path"], (x, y, w, h)))
    people = sorted(person for person, shots in photos.items() if len(shots) > 1)
    drawn = np.random.default_rng(0).permutation(len(people))[:n_people]
    return [
        (_shot(labelled, *photos[people[i]][0]), _shot(labelled, *photos[people[i]][-1]))
        for i in sorted(drawn.tolist())
    ]


def _shot(root: Path, path: str, box: Rectangle) -> Shot:
    return Shot(Image.open(root / path).convert("RGB"), box)


def without_faces(labelled: Path) -> Iterator[Image.Image]:
    """Yield photos without a face, and parts of them."""
    random = np.random.default_rng(0)
    files = [*(labelled / "odd" / "noface").glob("*.jpg"), *(Path(skimage.__file__).parent / "data").glob("*.*g")]
    for file in sorted(file for file in files if file.stem not in SHOWS_FACES):
        picture = Image.open(file).convert("RGB")
        yield picture
        for part in PARTS:
            w, h = (max(LEAST_SIDE, int(part * side)) for side in picture.size)
            for _ in range(PARTS_OF_A_SIZE if w < picture.width and h < picture.height else 0):
                x, y = int(random.integers(picture.width - w)), int(random.integers(picture.height - h))
                yield picture.crop((x, y, x + w, y + h))


# --- measuring ---


def face_of(faces: Sequence[DetectedFace], shot: Shot) -> DetectedFace | None:
    """Return the face that is the labelled one."""
    size = shot.picture.size
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    low, high = np.clip(boxes[:, :2], 0, size), np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    shares = overlaps(np.hstack([low, high - low]), np.array(shot.box))[:, 0]
    return faces[int(shares.argmax())] if shares.max(initial=0.0) >= SAME_FACE else None


def measure(engine: StandardEngine, shots: Sequence[Shot], known: NDArray[np.float32], own: NDArray[np.float32]) -> str:
    """Return the shares in words; `known` is the gallery, `own` what HOG gives for the photos as they were."""
    found = [face_of(engine.analyse(np.asarray(shot.picture)), shot) for shot in shots]
    rows = [i for i, face in enumerate(found) if face is not None]
    if not rows:
        return "0"
    vectors = np.stack([face.embedding for face in found if face is not None])
    cosine = np.median((vectors * own[rows]).sum(1))
    recognised = np.mean((vectors @ known.T).argmax(1) == rows)
    return f"{len(rows) / len(shots):.3f}  {cosine:.3f}  {recognised:.3f}"


def reference(engine: StandardEngine, shot: Shot) -> NDArray[np.float32] | None:
    face = face_of(engine.analyse(np.asarray(shot.picture)), shot)
    return None if face is None else face.embedding


@click.command()
@click.argument("labelled", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--people", default=100, show_default=True, help="How many people.")
@click.option("--detector", "detectors", multiple=True, default=("hog", "yunet"), show_default=True)
@click.option("--sets", "wanted", default="", help="Only sets whose names begin with one of these, with commas.")
def main(labelled: Path, people: int, detectors: Sequence[str], wanted: str) -> None:
    """Print what each detector finds of each set."""
    engines = {name: StandardEngine("face_recognition", EngineOptions(detector=name)) for name in detectors}
    hog = StandardEngine("face_recognition", EngineOptions(detector="hog"))
    seen = [(reference(hog, first), reference(hog, second), second) for first, second in pairs(labelled, people)]
    both = [(first, second, shot) for first, second, shot in seen if first is not None and second is not None]
    known, own = np.stack([first for first, _, _ in both]), np.stack([second for _, second, _ in both])
    console = Console(width=140)
    table = Table("set", *detectors, title=f"{len(both)} faces: found, cosine to the photo as it was, recognised")
    for name, law in LAWS.items():
        if name.startswith(tuple(wanted.split(","))):
            shots = [law(shot) for _, _, shot in both]
            table.add_row(name, *(measure(engine, shots, known, own) for engine in engines.values()))
    console.print(table)
    pictures = [np.asarray(picture) for picture in without_faces(labelled)]
    for name, engine in engines.items():
        start = time.process_time()
        scores = [face.score for picture in pictures for face in engine.analyse(picture)]
        ms = 1000 * (time.process_time() - start) / len(pictures)
        n_sure = sum(score >= SURE_SCORE for score in scores)
        console.print(
            f"{name}: {len(scores)} faces, {n_sure} sure, in {len(pictures)} pictures without, {ms:.1f} ms each"
        )


if __name__ == "__main__":
    main()
