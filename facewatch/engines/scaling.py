"""What detectors do to a picture before they search it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Pixels


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
