"""dlib's own detectors: HOG, and the CNN of the face_recognition models.

Both take RGB uint8 arrays of shape (H, W, 3) and return dlib's box (x, y, w, h) in pixels, and its score, of each face;
a quick search leaves out the second pass over what shows none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.engines.preprocessing import bordered, scaled
from facewatch.types import Detection

if TYPE_CHECKING:
    from facewatch.types import Pixels

DETECTION_SIDE = 1000
"""Longer side in pixels of the picture that is searched; full size finds no more; see docs/evaluation.md."""

UPSAMPLING = 1
"""The HOG detector sees faces of 80 pixels and more; doubling the picture once makes that 40."""

CLOSE_SIDE = 120
BORDER = 0.3
CLOSE_SCORE = -0.3
"""Where HOG finds nothing, it searches the picture again in this size, with a border of this share of its longer side,
because it wants to see what is around a face, and takes scores from this on for 0: matched, but starting no person."""


class HogDetector:
    """Finds frontal faces."""

    def __init__(self, dlib: Any) -> None:
        self._detector = dlib.get_frontal_face_detector()

    def __call__(self, pixels: Pixels, *, is_quick: bool = False) -> list[Detection]:
        longer = max(pixels.shape[:2])
        found = self._search(pixels, min(1.0, DETECTION_SIDE / longer))
        if found or is_quick:
            return found
        return self._search(pixels, CLOSE_SIDE / longer, round(BORDER * CLOSE_SIDE), CLOSE_SCORE)

    def _search(self, pixels: Pixels, scale: float, border: int = 0, least_score: float = 0.0) -> list[Detection]:
        picture = bordered(scaled(pixels, scale), border)
        rectangles, scores, _ = self._detector.run(picture, UPSAMPLING, least_score)
        return [_detection(r, scale, border, max(0.0, score)) for r, score in zip(rectangles, scores, strict=True)]


class CnnDetector:
    """Finds turned and covered faces that HOG misses, at a hundred times the cost without a GPU."""

    def __init__(self, dlib: Any, model: Path) -> None:
        self._detector = dlib.cnn_face_detection_model_v1(str(model))

    def __call__(self, pixels: Pixels, *, is_quick: bool = False) -> list[Detection]:
        scale = min(1.0, DETECTION_SIDE / max(pixels.shape[:2]))
        return [_detection(r.rect, scale, 0, r.confidence) for r in self._detector(scaled(pixels, scale), 0)]


def _detection(rectangle: Any, scale: float, border: int, score: float) -> Detection:
    left, top = (rectangle.left() - border) / scale, (rectangle.top() - border) / scale
    return Detection((left, top, (rectangle.width() - 1) / scale, (rectangle.height() - 1) / scale), score)
