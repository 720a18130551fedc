"""What detectors do to a picture before they search it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scaled(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Return an RGB picture with its sides multiplied by this, no side below one pixel."""
    from PIL import Image

    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def bordered(pixels: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """Return the picture with n pixels more on each side, which repeat the outermost ones: a face that fills the frame
    then has a surrounding."""
    return np.pad(pixels, ((n, n), (n, n), (0, 0)), mode="edge")
