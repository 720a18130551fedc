"""From an opened image to its pixels: reduced, 8-bit RGB, the right way up."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, JpegImagePlugin, TiffImagePlugin

WORKING_SIDE = 2000
"""Pixels of the longer side that the engines see."""


def load(image: Image.Image, working_side: int) -> tuple[int, int]:
    """Decode an image in place, a JPEG at a fraction of its size where that is enough; return its full size."""
    width, height = image.size
    step = _jpeg_step(image, working_side)
    if step > 1:
        image.draft(None, (max(1, width // step), max(1, height // step)))
        image.load()
        return width, height
    image.load()
    return image.size  # not the one of the header: libheif may correct it


def _jpeg_step(image: Image.Image, working_side: int) -> int:
    """By how much the JPEG decoder may reduce, so that the longer side is still at least the working side."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    return next(step for step in (8, 4, 2, 1) if step == 1 or max(image.size) // step >= working_side)


def n_decoded_pixels_of(image: Image.Image, working_side: int) -> int:
    """How many pixels a load holds at once; a progressive JPEG keeps its coefficients at full size."""
    step = 1 if image.info.get("progressive") else _jpeg_step(image, working_side)
    width, height = image.size
    return -(-width // step) * -(-height // step)


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A size with its longer side at most `side` and its shape kept, but never without width or height."""
    width, height = size
    longer = max(size)
    if longer <= side:
        return size
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def as_rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in mode RGB and of that size. It is made small as early as its mode allows, to need less memory."""
    image = _resizable(image)
    if image.size != size:
        # Hamming takes 74 ms from 12 to 3 MP where Lanczos takes 195 ms, and keeps edges nearly as sharp.
        image = image.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)
    return _flattened(image)


def _resizable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose numbers can be averaged."""
    if image.mode.startswith("I;16"):
        return _with_transparency(_high_bits(image), np.asarray(image) != image.info.get("transparency"))
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # nobody means a picture that cannot be seen: the fourth byte is only there
    if image.mode in ("1", "L", "RGB", "P") and "transparency" in image.info:
        return image.convert("RGBA")
    simpler = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
    return image.convert(simpler[image.mode]) if image.mode in simpler else image


def _with_transparency(image: Image.Image, is_opaque: NDArray[np.bool_]) -> Image.Image:
    if not np.all(is_opaque):
        image.putalpha(Image.fromarray(np.where(is_opaque, 255, 0).astype(np.uint8)))
    return image


def _high_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits of 16-bit grey, or of as many as the file says it uses; Pillow's own conversion clips.

    The brightest pixel plays no part: a dark photo stays dark.
    """
    n_bits = 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        n_bits = int(image.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0])
    values: NDArray[np.uint16] = np.asarray(image)
    return Image.fromarray(np.minimum(values >> max(0, n_bits - 8), 255).astype(np.uint8))


def _flattened(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, on white where it is transparent."""
    if image.mode in ("I", "F"):
        return _stretched(image).convert("RGB")
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """8-bit grey of 32-bit numbers, whose format names no range.

    Fractions are taken as they are, other numbers from the darkest to the lightest.
    """
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


_TRANSPOSE = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""What makes a picture of that EXIF orientation upright."""


def upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The size of a picture once it is upright."""
    width, height = size
    return (height, width) if orientation >= 5 else (width, height)
