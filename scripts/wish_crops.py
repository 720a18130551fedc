"""What scripts/wish_list.py measures on: aligned faces of labelled people, the same ones spoiled, and their views."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from facewatch import decode
from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions
from facewatch.errors import PhotoError
from facewatch.evaluation.labelled import Labelled, LabelledPhoto, match, resolved
from facewatch.quality import Limits, measure
from facewatch.types import Analysis, Box, DetectedFace, Engine, Face

SHIFT = 0.03
"""How far the four other crops of five lie from the one in the middle, in shares of its side: 3 pixels of 112."""

Crops = NDArray[np.uint8]
"""Aligned RGB faces, shape (n_faces, side, side, 3)."""


class Embedder(Protocol):
    def embed(self, crops: Crops) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """Labelled faces as one engine found and aligned them; row i of each array belongs together."""

    path: NDArray[np.str_]
    person: NDArray[np.str_]
    crops: Crops

    def take(self, rows: NDArray[np.int64]) -> Cut:
        return Cut(self.path[rows], self.person[rows], self.crops[rows])


def cut(labelled: Labelled, name: str, options: EngineOptions, *, tell: Callable[[], None]) -> Cut:
    """Return the labelled faces that this engine finds, in order of their photos; `tell` is called after each photo."""
    engine = load_engine(name, options)
    rows: list[tuple[str, str, Crops]] = []
    for photo in labelled.photos:
        rows += [(photo.path, person, face.crop) for person, face in _found(engine, labelled.root, photo)]
        tell()
    paths, people, crops = zip(*rows, strict=True) if rows else ((), (), ())
    return Cut(np.array(paths, np.str_), np.array(people, np.str_), np.array(crops, np.uint8))


def _found(engine: Engine, root: Path, photo: LabelledPhoto) -> Iterator[tuple[str, DetectedFace]]:
    try:
        decoded = decode.decode(io.BytesIO(resolved(root, photo).read_bytes()))
        faces = engine.analyse(decoded.pixels)
    except PhotoError:
        return
    scale = decoded.width / decoded.pixels.shape[1]
    boxes = [Box(*(round(side * scale) for side in face.box)) for face in faces]
    plain = tuple(
        Face(box, (), face.score, measure(face, pixels=min(box.w, box.h), limits=Limits()), face.embedding)
        for box, face in zip(boxes, faces, strict=True)
    )
    found = match(photo.labels, Analysis(decoded.width, decoded.height, decoded.format, plain))
    for number, face in sorted(found.items()):
        yield photo.labels[number].person, faces[face]


# --- spoiling ---


def spoil(crops: Crops, kind: str, *, seed: int) -> Crops:
    """Return the faces as a bad photo would have them, of the same size."""
    random = np.random.default_rng(seed)
    pixels = crops.astype(np.float32)
    return np.clip(np.rint(SPOILERS[kind](pixels, random)), 0, 255).astype(np.uint8)


def _blurred(pixels: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """`sigma` is that of a crop of 112 pixels."""
    scaled = sigma * pixels.shape[1] / 112
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(pixels, (0, scaled, scaled, 0))
    return blurred


def _small(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    from PIL import Image

    def shrunk(crop: NDArray[np.float32]) -> NDArray[np.uint8]:
        picture = Image.fromarray(crop.astype(np.uint8))
        little = picture.resize((side, side), Image.Resampling.BOX)
        return np.asarray(little.resize(picture.size, Image.Resampling.BICUBIC))

    return np.array([shrunk(crop) for crop in pixels], np.float32).reshape(pixels.shape)


def _film(pixels: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """All alike: half the colour, warm and low light from one side, soft, with grain."""
    soft = _blurred(pixels, 1.2)
    grey = soft.mean(axis=3, keepdims=True)
    light = np.linspace(0.9, 0.35, pixels.shape[2], dtype=np.float32)[None, None, :, None]
    graded = (grey + 0.4 * (soft - grey)) * light * np.array([1.05, 0.92, 0.75], np.float32) + 18
    grain = random.standard_normal(pixels.shape[:3], np.float32)[..., None]
    film: NDArray[np.float32] = graded + 8 * grain
    return film


SPOILERS: dict[str, Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]] = {
    "good": lambda pixels, _: pixels,
    "blurred": lambda pixels, _: _blurred(pixels, 3.0),
    "dark": lambda pixels, _: pixels * np.float32(1 / 16),
    "small": lambda pixels, _: _small(pixels, 20),
    "noisy": lambda pixels, random: pixels + 40 * random.standard_normal(pixels.shape, np.float32),
    "film": _film,
}
"""What may be wrong with all faces that are asked for; "good": nothing."""

BOTH_SIDES = frozenset({"film"})
"""Of these the known faces are spoiled alike; the others are compared with good ones, as facewatch does."""


# --- views ---


def views(crops: Crops) -> Iterator[Crops]:
    """Yield five crops a face: as it is, and moved a little to four sides; the border is repeated."""
    step = max(1, round(SHIFT * crops.shape[1]))
    padded = np.pad(crops, ((0, 0), (step, step), (step, step), (0, 0)), mode="edge")
    side = crops.shape[1]
    for top, left in ((step, step), (0, 0), (0, 2 * step), (2 * step, 0), (2 * step, 2 * step)):
        yield padded[:, top : top + side, left : left + side]


def embed_views(embedder: Embedder, crops: Crops) -> NDArray[np.float32]:
    """Return unit vectors of the views of each face and their mirror images, shape (n_views, 2, n_faces, n_dims)."""
    # An engine that averages with the mirror image anyway is not asked twice.
    is_mirrored = np.allclose(embedder.embed(crops[:2]), embedder.embed(_mirrored(crops[:2])), atol=1e-4)
    pairs = []
    for view in views(crops):
        vectors = embedder.embed(view)
        pairs.append(np.stack([vectors, vectors if is_mirrored else embedder.embed(_mirrored(view))]))
    return np.stack(pairs)


def _mirrored(crops: Crops) -> Crops:
    return np.ascontiguousarray(crops[:, :, ::-1])


def mean_of(vectors: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the unit vectors in the direction of the means of unit vectors, shape (k, n, n_dims)."""
    total = np.sum(vectors, axis=0)
    unit: NDArray[np.float32] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    return unit
