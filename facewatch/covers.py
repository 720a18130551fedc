"""What of a face something hides: sunglasses, a mask, a scarf, a hand. Told from the aligned crop, for any engine.

Measured by `scripts/spoiled covers`, which draws them on the photos, before the engine looks for the faces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facewatch.types import Covered

if TYPE_CHECKING:
    from facewatch.types import Floats

_EYE = ((-0.22, 0.22), (-0.15, 0.17))
"""Around the middle of an eye, left to right and top to bottom, in shares of the way from eye to eye; and below: around
the middle of the mouth."""
_MOUTH = ((-0.36, 0.36), (-0.2, 0.2))
_BRIDGE, _CHEEK = ((-0.15, 0.15), (0.1, 0.5)), ((-0.15, 0.15), (0.45, 0.75))
"""Skin: around the middle between the eyes, and around each eye."""

# Of the labelled faces of shared/photos 1 in 1 516 (as InsightFace aligns them) and 3 in 1 508 (face_recognition) are
# taken for one whose mouth is covered, of those with a drawn mask, scarf or hand all but a few.
_LEAST_LINES = 0.1
"""Mean step from a row to the next in the mouth, in shares of the face's contrast and of a 35th of the way from eye to
eye: the line between the lips."""
_LEAST_MOUTH, _LEAST_EYE = 0.3, 0.35
"""Contrast within the mouth and within the eye that shows more, in shares of the face's."""
_DARK = -1.0
"""Logarithm of how much darker than the skin both eyes are: dark glasses, wherever their edge is."""
_LEAST_SEEN = 3.0
"""Grey values; with less nothing of the face is seen at all, and nothing tells what hides it."""
_FACE = 0.2
"""Left out on each side of the crop where the face's contrast is measured."""


def covered_of(grey: Floats, landmarks: Floats) -> Covered:
    """Return what is hidden of the face in a grey aligned crop (0 to 255, shape (s, s)) with these landmarks."""
    left, right = landmarks[:2]
    way = float(np.hypot(*(right - left)))
    margin = round(len(grey) * _FACE)
    contrast = float(grey[margin:-margin, margin:-margin].std())
    if contrast < _LEAST_SEEN:
        return Covered.NOTHING

    def at(middle: Floats, box: tuple[tuple[float, float], tuple[float, float]]) -> Floats:
        (x0, x1), (y0, y1) = box
        x, y = middle
        rows = slice(max(0, round(y + y0 * way)), max(1, round(y + y1 * way)))
        return grey[rows, max(0, round(x + x0 * way)) : max(1, round(x + x1 * way))]

    mouth, eyes = at(landmarks[3:].mean(0), _MOUTH), [at(eye, _EYE) for eye in (left, right)]
    skin = [at((left + right) / 2, _BRIDGE), at(left, _CHEEK), at(right, _CHEEK)]
    lines = float(np.abs(np.diff(mouth, axis=0)).mean()) * way / 35
    has_mouth = lines >= _LEAST_LINES * contrast and float(mouth.std()) >= _LEAST_MOUTH * contrast
    has_eyes = max(float(eye.std()) for eye in eyes) >= _LEAST_EYE * contrast and _darkness(eyes, skin) >= _DARK
    return _ANSWERS[has_eyes, has_mouth]


_ANSWERS = {
    (True, True): Covered.NOTHING,
    (False, True): Covered.EYES,
    (True, False): Covered.MOUTH,
    (False, False): Covered.BOTH,
}


def _darkness(eyes: list[Floats], skin: list[Floats]) -> float:
    """Return the logarithm of how bright the eyes are in shares of the skin."""
    eye, around = (float(np.mean([part.mean() for part in parts])) for parts in (eyes, skin))
    return float(np.log((eye + 5) / (around + 5)))
