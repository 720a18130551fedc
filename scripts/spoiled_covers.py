"""Covers drawn on faces by law, from where the eyes are: sunglasses, masks, scarves, hands. Flat colours and cloth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Points = Sequence[tuple[float, float]]
Colour = tuple[int, int, int]

BLACK, BLUE = (15, 15, 18), (150, 190, 215)


class Face:
    """A picture and the frame of one face in it: x from eye to eye, y down, the middle of the eyes at 0, 0."""

    def __init__(self, pixels: NDArray[np.uint8], landmarks: NDArray[np.float32], rng: np.random.Generator) -> None:
        self.picture = Image.fromarray(pixels).convert("RGB")
        left, right, nose = landmarks[:3].astype(float)
        self._middle, self._x = (left + right) / 2, right - left
        self._y = np.array([-self._x[1], self._x[0]])
        # Engines without a mouth say the nose again; it is as far from the nose as the nose from the eyes, nearly.
        mouth = landmarks[3:].astype(float).mean(0)
        is_known = np.hypot(*(mouth - nose)) > 1
        self.mouth = self._of(mouth) if is_known else (self._of(nose)[0], self._of(nose)[1] * 1.4)
        self.rng = rng

    def skin(self) -> Colour:
        x, y = (int(v) for v in self._at(0, 0.4))
        red, green, blue = np.asarray(self.picture)[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].reshape(-1, 3).mean(0)
        return int(red * 0.92), int(green * 0.92), int(blue * 0.92)

    def any_colour(self, low: int, high: int) -> Colour:
        red, green, blue = self.rng.integers(low, high, 3).tolist()
        return red, green, blue

    def cover(self, points: Points, colour: Colour) -> None:
        ImageDraw.Draw(self.picture).polygon([self._at(x, y) for x, y in points], fill=colour)

    def cover_round(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        turn = np.linspace(0, 2 * np.pi, 40)
        self.cover([(x + width * np.cos(t), y + height * np.sin(t)) for t in turn], colour)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        across, down = self._middle + self._x * x + self._y * y
        return float(across), float(down)

    def _of(self, point: NDArray[np.float64]) -> tuple[float, float]:
        way = point - self._middle
        length = float(self._x @ self._x)
        return float(way @ self._x) / length, float(way @ self._y) / length


def glasses(face: Face, colour: Colour) -> None:
    for x in (-0.5, 0.5):
        face.cover_round(x, 0.05, 0.42, 0.32, colour)
    face.cover([(-0.95, -0.1), (0.95, -0.1), (0.95, 0.02), (-0.95, 0.02)], colour)


def mask(face: Face, colour: Colour) -> None:
    x, y = face.mouth
    sides = [(-0.75, y - 0.65), (0, y - 0.85), (0.75, y - 0.65), (0.7, y + 0.35), (0.25, y + 0.75)]
    face.cover([(x + dx, dy) for dx, dy in [*sides, (-0.25, y + 0.75), (-0.7, y + 0.35)]], colour)


def hat_and_scarf(face: Face, hat: Colour, scarf: Colour) -> None:
    y = face.mouth[1]
    face.cover([(-1.3, -0.3), (1.3, -0.3), (1.2, -1.8), (-1.2, -1.8)], hat)
    face.cover([(-1.2, y - 0.35), (1.2, y - 0.35), (1.3, y + 1.6), (-1.3, y + 1.6)], scarf)


def hands(face: Face, *, on_eyes: bool) -> None:
    x, y = face.mouth
    if on_eyes:
        face.cover_round(0, 0, 1.1, 0.45, face.skin())
    face.cover_round(x, y - 0.05, 0.75, 0.55, face.skin())


def half(face: Face) -> None:
    face.cover([(0, -1.6), (-1.8, -1.6), (-1.8, 2.4), (0, 2.4)], BLACK)


def _glasses_and_mask(face: Face, eyes: Colour, mouth: Colour) -> None:
    glasses(face, eyes)
    mask(face, mouth)


def _cloth(face: Face) -> None:
    """Dark glasses and a mask with folds, light from one side, and grain."""
    before = np.asarray(face.picture)
    _glasses_and_mask(face, face.any_colour(5, 60), face.any_colour(60, 220))
    after = np.asarray(face.picture).astype(np.float32)
    y, x = np.mgrid[0 : after.shape[0], 0 : after.shape[1]].astype(np.float32)
    folds = 10 * np.sin(y / max(2.0, float(np.hypot(*face._x)) / 12) + x / 9) + face.rng.normal(0, 4, y.shape)
    is_drawn = (after != before).any(2)
    after[is_drawn] += (folds + 20 * (x / after.shape[1] - 0.5))[is_drawn][:, None]
    face.picture = Image.fromarray(after.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))


COVERS: dict[str, Callable[[Face], None]] = {
    "nothing": lambda face: None,
    "sunglasses and mask, all alike": lambda face: _glasses_and_mask(face, BLACK, BLUE),
    "sunglasses and mask": lambda face: _glasses_and_mask(face, face.any_colour(5, 60), face.any_colour(40, 245)),
    "sunglasses and mask, cloth": _cloth,
    "hands on eyes and mouth": lambda face: hands(face, on_eyes=True),
    "hat and scarf": lambda face: hat_and_scarf(face, face.any_colour(5, 60), face.any_colour(40, 245)),
    "masks, all alike": lambda face: mask(face, BLUE),
    "mask": lambda face: mask(face, face.any_colour(40, 245)),
    "hand on the mouth": lambda face: hands(face, on_eyes=False),
    "sunglasses, all alike": lambda face: glasses(face, BLACK),
    "sunglasses": lambda face: glasses(face, face.any_colour(5, 60)),
    "half of the face": half,
}


def covered(pixels: NDArray[np.uint8], landmarks: NDArray[np.float32], cover: str, seed: int) -> NDArray[np.uint8]:
    """Return the picture with the face of these landmarks covered; the seed chooses colours where they differ."""
    face = Face(pixels, landmarks, np.random.default_rng(seed))
    COVERS[cover](face)
    return np.asarray(face.picture)
