"""A fake engine for tests: people are squares of one colour, so that a picture says who is on it.

`draw` makes such pictures. Red is the person (0 to 254), green how it looks today, blue is always 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facewatch.types import DetectedFace, Detection, EngineInfo, Needs, Survey, Thresholds

if TYPE_CHECKING:
    from facewatch.types import Closer, Floats, Pixels

N_DIMS = 64
SIDE = 64
"""Pixels of a face and of the gap between two."""
_BLUE = 7
_NOISE = 0.01
"""Two looks of one person are about 0.1 apart, two people about 1.4."""

_LANDMARKS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
"""Eyes, nose and mouth corners in a square of side 1."""

INFO = EngineInfo(
    name="fake",
    n_dims=N_DIMS,
    fingerprint="fake",
    licence="none",
    thresholds=Thresholds(
        match=0.34,
        centroid=0.31,
        gallery_size=300,
        per_decade=0.02,
        margin=0.03,
        low_quality_penalty=0.02,
        cluster=0.35,
        singleton_penalty=0.03,
        cluster_margin=0.02,
        by_minimum=0.34,
        by_mean=0.34,
        by_centroid=0.31,
    ),
    needs=Needs(match_pixels=20, enroll_pixels=32, match_sharpness=5.0, enroll_sharpness=10.0),
    sure_score=0.5,
    upright_score=0.5,
)


def draw(faces: Sequence[tuple[int, int]], *, shade: int = 200) -> Pixels:
    """Return a picture, RGB uint8, with a square for each (person, look), from left to right on a grey ground."""
    pixels = np.full((2 * SIDE, SIDE * (2 * len(faces) + 1), 3), shade, np.uint8)
    for i, (person, look) in enumerate(faces):
        left = SIDE * (2 * i + 1)
        pixels[SIDE // 2 : SIDE // 2 + SIDE, left : left + SIDE] = (person, look, _BLUE)
    return pixels


def embedding_of(person: int, look: int) -> Floats:
    """Return the unit vector of a person as it looks."""
    base = np.random.default_rng(person).standard_normal(N_DIMS)
    vector = base / np.linalg.norm(base) + _NOISE * np.random.default_rng((person, look)).standard_normal(N_DIMS)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class FakeEngine:
    """Finds the squares that `draw` made, in pictures that were stored without loss."""

    @property
    def info(self) -> EngineInfo:
        return INFO

    def analyse(self, pixels: Pixels, *, closer: Closer | None = None) -> list[DetectedFace]:
        """Return a face for each square, from left to right."""
        row = pixels[pixels.shape[0] // 2]
        starts = [x for x in range(len(row)) if row[x, 2] == _BLUE and (x == 0 or row[x - 1, 2] != _BLUE)]
        return [_face(x, pixels.shape[0] // 4, *(int(v) for v in row[x, :2])) for x in starts]

    def survey(self, pixels: Pixels, *, closer: Closer | None = None) -> Survey:
        """Return the same; turned pictures are searched, too."""
        return Survey(self.analyse(pixels, closer=closer))

    def find(self, pixels: Pixels) -> list[Detection]:
        """Return nothing: no side of a square is up, so that a turned picture shows nothing new."""
        return []

    def analyse_aligned(self, crops: Sequence[Pixels]) -> list[DetectedFace]:
        """Return the person that the pixel in the middle of each crop says."""
        return [_face(0, 0, *(int(v) for v in crop[len(crop) // 2, crop.shape[1] // 2, :2])) for crop in crops]


def _face(x: int, y: int, person: int, look: int) -> DetectedFace:
    # A checked crop is sharp and neither dark nor bright: a face of the best tier.
    crop = np.kron(np.indices((14, 14)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2) * 100 + 80
    landmarks = np.array(_LANDMARKS, np.float32) * SIDE + (x, y)
    return DetectedFace(
        (x, y, SIDE, SIDE), landmarks.astype(np.float32), 1.0, crop.astype(np.uint8), embedding_of(person, look)
    )
