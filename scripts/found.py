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

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

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

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

import hard_laws as laws
from bench_labels import Rectangle, people_of
from hard_laws import Labelled

SHOWS_FACES = {"astronaut", "camera", "coins", "logo"}
"""Pictures of scikit-image that have one, of metal too."""
PARTS = (0.6, 0.35, 0.2, 0.1)
PARTS_OF_A_SIZE = 4
LEAST_SIDE = 40


# --- laws ---


def tight(shot: Labelled, margin: float) -> Labelled:
    """Leave the face and this share of its sides around it."""
    cut = laws.cut_to_face(shot, np.full(4, margin))
    x, y, w, h = cut.faces[0][1]
    low, high = np.clip([(x, y), (x + w, y + h)], 0, cut.image.size).tolist()
    return with_box(cut, (*low, high[0] - low[0], high[1] - low[1]))


def with_box(shot: Labelled, box: Rectangle) -> Labelled:
    return replace(shot, faces=(("", box),))


def resized(shot: Labelled, side: int) -> Labelled:
    return shot.scaled(*[side / max(shot.image.size)] * 2)


def tilted(shot: Labelled, degrees: float) -> Labelled:
    return tight(shot.tilted(degrees, fill=(0, 0, 0)), 0.4)


def blurred(shot: Labelled, pixels: float) -> Labelled:
    return replace(shot, image=shot.image.filter(ImageFilter.GaussianBlur(pixels)))


def levels(shot: Labelled, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Labelled:
    """Change the grey levels, 0 to 255."""
    return shot.with_levels(np.floor(change(shot.levels())))


def noisy(shot: Labelled, deviation: float) -> Labelled:
    return levels(shot, lambda p: p + np.random.default_rng(0).normal(0, deviation, p.shape))


def graded(shot: Labelled) -> Labelled:
    """Make a film still: cut close, soft, little light and colour, orange faces before blue shadows, grain."""

    def grade(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        light = pixels.mean(2, keepdims=True)
        low = 13 + 115 * ((light + 0.5 * (pixels - light)).clip(0) / 255) ** 1.3
        return np.asarray(low * (1.08, 1.0, 0.9) + (255 - light) * (-0.02, 0.0, 0.03))

    return noisy(levels(blurred(tight(shot, 0.25), 1.2), grade), 5)


def covered(shot: Labelled, top: float, bottom: float, colour: tuple[int, int, int]) -> Labelled:
    """Cover the face between two shares of its height."""
    x, y, w, h = shot.faces[0][1]
    image = shot.image.copy()
    image.paste(colour, (round(x), round(y + top * h), round(x + w), round(y + bottom * h)))
    return replace(shot, image=image)


def half(shot: Labelled) -> Labelled:
    """Leave three fifths of the face, from one side."""
    image = tight(shot, 0).image
    width, height = round(0.6 * image.width), image.height
    return with_box(replace(shot, image=image.crop((0, 0, width, height))), (0, 0, width, height))


LAWS: Mapping[str, Callable[[Labelled], Labelled]] = {
    "as it is": lambda s: s,
    "tight 0 %": lambda s: tight(s, 0),
    "tight 10 %": lambda s: tight(s, 0.1),
    "tight 25 %": lambda s: tight(s, 0.25),
    "tight 0 %, 1000 pixels": lambda s: resized(tight(s, 0), 1000),
    "tight 25 %, 64 pixels": lambda s: resized(tight(s, 0.25), 64),
    "tight 25 %, 100 pixels": lambda s: resized(tight(s, 0.25), 100),
    "tight 25 %, 200 pixels": lambda s: resized(tight(s, 0.25), 200),
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
    "film, tight 0 %": lambda s: tight(replace(graded(s), faces=tight(s, 0.25).faces), 0),
    "mask": lambda s: covered(s, 0.58, 1, (140, 170, 190)),
    "sunglasses": lambda s: covered(s, 0.28, 0.46, (15, 15, 15)),
    "half": half,
    "on its side": lambda s: s.turned(1),
    "upside down": lambda s: s.turned(2),
}
"""The last two have no upright face: what is found there is one too many."""


# --- photos ---


def pairs(labelled: Path, n_people: int) -> list[tuple[Labelled, Labelled]]:
    """Return two shots of each of some people who are alone on theirs, drawn by a fixed seed."""
    photos = {person: [*boxes.items()] for person, boxes in people_of(labelled / "labels.csv", "lfw/").items()}
    people = sorted(person for person, shots in photos.items() if len(shots) > 1)
    drawn = np.random.default_rng(0).permutation(len(people))[:n_people]
    return [
        (_shot(labelled, *photos[people[i]][0]), _shot(labelled, *photos[people[i]][-1]))
        for i in sorted(drawn.tolist())
    ]


def _shot(root: Path, path: str, box: Rectangle) -> Labelled:
    return Labelled(Image.open(root / path).convert("RGB"), (("", box),))


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


def face_of(faces: Sequence[DetectedFace], shot: Labelled) -> DetectedFace | None:
    """Return the face that is the labelled one."""
    size = shot.image.size
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    low, high = np.clip(boxes[:, :2], 0, size), np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    shares = overlaps(np.hstack([low, high - low]), np.array(shot.faces[0][1]))[:, 0]
    return faces[int(shares.argmax())] if shares.max(initial=0.0) >= SAME_FACE else None


def measure(
    engine: StandardEngine, shots: Sequence[Labelled], known: NDArray[np.float32], own: NDArray[np.float32]
) -> str:
    """Return the shares in words; `known` is the gallery, `own` what HOG gives for the photos as they were."""
    found = [face_of(engine.analyse(np.asarray(shot.image)), shot) for shot in shots]
    rows = [i for i, face in enumerate(found) if face is not None]
    if not rows:
        return "0"
    vectors = np.stack([face.embedding for face in found if face is not None])
    cosine = np.median((vectors * own[rows]).sum(1))
    recognised = np.mean((vectors @ known.T).argmax(1) == rows)
    return f"{len(rows) / len(shots):.3f}  {cosine:.3f}  {recognised:.3f}"


def reference(engine: StandardEngine, shot: Labelled) -> NDArray[np.float32] | None:
    face = face_of(engine.analyse(np.asarray(shot.image)), shot)
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
