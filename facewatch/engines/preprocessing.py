"""What engines do to a picture before its faces are found, and to faces before they are embedded.

Dark and flat faces are brought to ordinary light, because a network knows only faces in that light. Measured by
`scripts/spoiled light` on LFW faces, first with face_recognition (dlib), then with insightface (w600k_mbf).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Floats, Pixels

LOW, HIGH = 36, 198
"""The grey levels below which 1 and 99 % of the pixels lie in the middle of the median face of either engine."""

LEAST_RANGE = 80
"""Levels from 1 to 99 %: a face with fewer is stretched; no good face has fewer (`scripts/spoiled light`)."""

_MARGIN = 0.2
"""Left out on each side, in shares of the crop: a bright window behind a dark face, and the black where the photo ends,
say nothing about the face."""

_SHARES = (0.01, 0.99)
STRETCHING = f"stretched below {LEAST_RANGE} to {LOW}-{HIGH}, {_SHARES} of all but {_MARGIN}"
"""For the fingerprints of engines: vectors of crops that were stretched otherwise are others."""

_GREY = np.array([77, 150, 29], np.float32) / 256


def stretched(crops: Pixels, *, least_range: float = LEAST_RANGE) -> Pixels:
    """Return the crops (RGB, uint8, shape (n, s, s, 3)) with dark and flat ones in ordinary light, the others as they
    are; all channels alike, so that colours keep their balance."""
    levels = levels_of(crops)
    rows = np.flatnonzero(levels[:, 1] - levels[:, 0] < least_range)
    light = crops.copy() if len(rows) else crops
    for row in rows:
        low, high = levels[row]
        brighter = LOW + (crops[row].astype(np.float32) - low) * ((HIGH - LOW) / max(1.0, high - low))
        light[row] = brighter.round().clip(0, 255)
    return light


def levels_of(crops: Pixels) -> Floats:
    """Return the grey levels below which 1 and 99 % of the pixels in the middle of each crop lie, shape (n, 2)."""
    margin = round(crops.shape[1] * _MARGIN)
    middle = crops[:, margin : crops.shape[1] - margin, margin : crops.shape[2] - margin]
    levels = np.empty((len(crops), 2), np.float32)
    for i, crop in enumerate(middle):
        shares = np.bincount((crop @ _GREY).round().astype(np.int64).ravel(), minlength=256).cumsum()
        levels[i] = np.searchsorted(shares, [share * shares[-1] for share in _SHARES])
    return levels


def scaled(pixels: Pixels, scale: float) -> Pixels:
    """Return an RGB picture with its sides multiplied by this, no side below one pixel."""
    from PIL import Image

    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def bordered(pixels: Pixels, n: int) -> Pixels:
    """Return the picture with n pixels more on each side, which repeat the outermost ones: a face that fills the frame
    then has a surrounding."""
    return np.pad(pixels, ((n, n), (n, n), (0, 0)), mode="edge")
