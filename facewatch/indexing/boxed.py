"""The face in a box that a user drew, in a worker process: photo and box -> what the detector sees there, else whatever
is in the box.

A detector that missed a face in the whole photo sees it more often than not in a picture of little else. Where it does
not, the recogniser is given the box as it is; such a face is matched, but starts no person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.engines.preprocessing import scaled
from facewatch.indexing.turns import ONE_PLACE, analyse_turns

if TYPE_CHECKING:
    from facewatch.types import Box, Decoded, DetectedFace, Doubles, Engine, Pixels

FACE_SIDE = 160
"""Longer side of the box in the picture that is searched, in pixels: more than the recognisers take, and a size that
every detector sees well. Smaller faces are enlarged, at most by `MOST_ENLARGED`."""

MOST_ENLARGED = 2.0

MARGINS = (0.3, 0.75)
"""What is searched around the box on each side, as a share of its longer side, one after the other. Of 14 faces of
shared/photos that one engine found and another missed the other found 11 when it was given the box: 10 with the first,
one more with the second."""

GROWN, RAISED = 1.1, 0.05
"""Where nothing is detected, the recogniser is given a square as large as the box, grown by this and raised by this
share of its side. Of 64 faces of shared/photos, each in two boxes up to 50 % too large and 12 % aside, 91 % of dlib's
embeddings and 70 % of ArcFace's are then as near to those of the detected face as a match has to be."""


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a photo, and how its pixels lie in it."""

    pixels: Pixels
    left: float
    top: float
    scale: float
    """Pixels of the window for one of the photo."""

    def within(self, boxes: Doubles) -> Doubles:
        """Return boxes of the photo, shape (n, 4), in pixels of the window."""
        inside: Doubles = (boxes - [self.left, self.top, 0, 0]) * self.scale
        return inside

    def back(self, face: DetectedFace) -> DetectedFace:
        """Return a face of the window in pixels of the photo."""
        x, y, w, h = (side / self.scale for side in face.box)
        corner = np.array([self.left, self.top], np.float32)
        landmarks = (face.landmarks / self.scale + corner).astype(np.float32)
        return replace(face, box=(x + self.left, y + self.top, w, h), landmarks=landmarks)


def faces_in_boxes(engine: Engine, decoded: Decoded, boxes: Sequence[Box], beside: Sequence[Box]) -> list[DetectedFace]:
    """Return the face in each box, in pixels of the decoded picture; where the detector sees none, with the score 0.

    Args:
        decoded: the photo, with about `FACE_SIDE` pixels for a box.
        boxes: in pixels of the upright photo at full size.
        beside: other faces of the photo, which are not meant.

    Raises:
        PhotoError: this photo makes the models give nonsense.
    """
    scale = decoded.pixels.shape[1] / decoded.width
    others = _as_array(beside) * scale
    return [_face_in(engine, decoded.pixels, box, others) for box in _as_array(boxes) * scale]


def _face_in(engine: Engine, pixels: Pixels, box: Doubles, others: Doubles) -> DetectedFace:
    for margin in MARGINS:
        window = _window(pixels, box, max(box[2:]) * (1 + 2 * margin), FACE_SIDE * (1 + 2 * margin))
        found = [window.back(face) for face in analyse_turns(engine, window.pixels)]
        face = _meant(found, box, others)
        if face is not None:
            return face
    side = math.sqrt(box[2] * box[3]) * GROWN
    square = _window(pixels, box - [0, RAISED * side, 0, 0], side, FACE_SIDE)
    [face] = engine.analyse_aligned([square.pixels])
    x, y, w, h = box.tolist()
    return replace(square.back(face), box=(x, y, w, h), score=0.0)


def _meant(found: Sequence[DetectedFace], box: Doubles, others: Doubles) -> DetectedFace | None:
    """Return the face that lies over the box, and not over one of the others; None: none does."""
    boxes = np.array([face.box for face in found], np.float64).reshape(-1, 4)
    shares = overlaps(boxes, box[None])[:, 0]
    shares[(overlaps(boxes, others) >= SAME_FACE).any(axis=1)] = 0.0
    if not len(shares) or shares.max() < ONE_PLACE:
        return None
    return found[int(shares.argmax())]


def _window(pixels: Pixels, box: Doubles, length: float, wanted: float) -> _Window:
    """Return a square of this length around the middle of a box, scaled to the wanted side; beyond the edge of the
    photo its outermost pixels are repeated."""
    height, width = pixels.shape[:2]
    n = max(1, round(length))
    left, top = (round(middle - n / 2) for middle in (box[0] + box[2] / 2, box[1] + box[3] / 2))
    rows = np.clip(np.arange(top, top + n), 0, height - 1)
    columns = np.clip(np.arange(left, left + n), 0, width - 1)
    cut = scaled(np.ascontiguousarray(pixels[rows][:, columns]), min(MOST_ENLARGED, wanted / n))
    return _Window(cut, left, top, cut.shape[1] / n)


def _as_array(boxes: Sequence[Box]) -> Doubles:
    """Return x, y, w, h of boxes, shape (n, 4)."""
    return np.array([(box.x, box.y, box.w, box.h) for box in boxes], np.float64).reshape(-1, 4)
