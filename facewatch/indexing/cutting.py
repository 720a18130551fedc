"""Pictures for people to look at, made in a worker process; all are JPEGs in sRGB that hold nothing else of the file.

cut_faces  a photo and boxes  -> a square picture of each face
reduced    a photo and sides  -> the whole photo, upright, in each of these sizes
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facewatch.errors import Fault, FaultCode, PhotoError
from facewatch.indexing.memory import bytes_needed, in_mb
from facewatch.types import Box, Decoded

MARGIN = 0.3
"""How much is shown around a face on each side, as a share of it: hair and chin help the eye."""

MAX_WORKING_SIDE = 4000
"""Pixels; small faces of a 12 megapixel photo keep all of theirs, and none needs more than 50 MB."""

JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class CropStyle:
    """How faces are cut out."""

    margin: float = MARGIN
    """How much is shown around a face on each side, as a share of it."""
    quality: int = JPEG_QUALITY
    is_enlarged: bool = True
    """Whether a small face fills the picture; else it keeps its pixels, and the picture is smaller."""


AS_SHOWN = CropStyle()
"""Where faces stand side by side."""

_OVERSAMPLED = 1.5
"""A face is decoded at least this much larger than it is wanted, where the photo has it, and then reduced."""


def cut_faces(
    data: BinaryIO,
    boxes: Sequence[Box],
    *,
    side: int,
    max_pixels: int,
    most_bytes: int | None = None,
    style: CropStyle = AS_SHOWN,
) -> list[bytes | None]:
    """Return a square picture of each face of a photo, decoding it once and no larger than they need.

    Args:
        data: the photo, a file that is open for reading; it is left open.
        boxes: the faces, in pixels of the upright photo at full size; at least one.
        side: of the pictures, in pixels; at most, where small faces are not enlarged.
        max_pixels: a photo with a larger width times height is not decoded.
        most_bytes: what decoding may take; None: no limit.

    Returns:
        JPEGs, RGB, in the order of `boxes`; None where the face lies outside the photo.

    Raises:
        PhotoError: the photo cannot be decoded, or not within these limits.
        OSError: the disk, not the photo, is at fault.
    """
    decoded = decoded_for(
        data, boxes, side=side, max_pixels=max_pixels, most_bytes=most_bytes, in_srgb=True, margin=style.margin
    )
    return [
        _as_jpeg(cut(decoded, box, side, style), style.quality) if _is_within(box, decoded) else None for box in boxes
    ]


def decoded_for(
    data: BinaryIO,
    boxes: Sequence[Box],
    *,
    side: int,
    max_pixels: int,
    most_bytes: int | None = None,
    in_srgb: bool = False,
    margin: float = MARGIN,
) -> Decoded:
    """Return a photo decoded no larger than pictures of these boxes need; arguments and errors are those of
    `cut_faces`, `in_srgb` that of `decode.decode`."""
    from facewatch import decode

    photo = decode.peek(data, max_pixels=max_pixels)
    working_side = _working_side(max(photo.width, photo.height), boxes, side, margin)
    return _decoded(data, working_side, max_pixels, most_bytes, in_srgb=in_srgb)


def reduced(data: BinaryIO, sides: Sequence[int], *, max_pixels: int, most_bytes: int | None = None) -> list[bytes]:
    """Return a whole photo, upright and with the longer side no longer than each of these, decoding it once.

    Args:
        data: as `cut_faces` takes it.
        sides: in pixels; at least one. A photo that is smaller keeps its size.
        max_pixels: a photo with a larger width times height is not decoded.
        most_bytes: what decoding may take; None: no limit.

    Returns:
        JPEGs, RGB, in the order of `sides`.

    Raises:
        PhotoError: the photo cannot be decoded, or not within these limits.
        OSError: the disk, not the photo, is at fault.
    """
    from PIL import Image

    from facewatch.decode.pixels import fitted

    pixels = _decoded(data, max(sides), max_pixels, most_bytes, in_srgb=True).pixels
    picture = Image.fromarray(pixels)
    sizes = [fitted(picture.size, side) for side in sides]
    return [
        _as_jpeg(pixels if size == picture.size else np.asarray(picture.resize(size, Image.Resampling.LANCZOS)))
        for size in sizes
    ]


def _decoded(data: BinaryIO, working_side: int, max_pixels: int, most_bytes: int | None, *, in_srgb: bool) -> Decoded:
    from facewatch import decode

    photo = decode.peek(data, max_pixels=max_pixels, working_side=working_side)
    needed = bytes_needed(photo.format, photo.n_decoded_pixels, data.seek(0, os.SEEK_END))
    if most_bytes is not None and needed > most_bytes:
        raise PhotoError(Fault.of(FaultCode.NEEDS_MEMORY, needed=in_mb(needed), there=in_mb(most_bytes)))
    return decode.decode(data, max_pixels=max_pixels, working_side=working_side, in_srgb=in_srgb)


def cut(decoded: Decoded, box: Box, side: int, style: CropStyle = AS_SHOWN) -> NDArray[np.uint8]:
    """Return a face with a margin, upright, RGB uint8, shape (side, side, 3), or smaller where it is not enlarged.

    At the photo's edge the face is not in the middle, or has less of a margin; beyond the edge it is black where the
    box itself is, or where the photo is narrower than the face is high. A photo that is nothing but the face is shown
    without a margin.
    """
    from PIL import Image

    height, width = decoded.pixels.shape[:2]
    scale = width / decoded.width
    # No more than shows all of the photo, wherever the face is: boxes are not always this program's own.
    length = min(max(1, round(_length(box, decoded, style.margin) * scale)), 2 * max(width, height))
    length = min(length, max(round(max(box.w, box.h) * scale), min(width, height), 1))
    left = _within(round((box.x + box.w / 2) * scale - length / 2), length, width, box.x >= 0)
    top = _within(round((box.y + box.h / 2) * scale - length / 2), length, height, box.y >= 0)
    window = np.zeros((length, length, 3), np.uint8)
    x0, x1 = (min(max(x, 0), width) for x in (left, left + length))
    y0, y1 = (min(max(y, 0), height) for y in (top, top + length))
    window[y0 - top : y1 - top, x0 - left : x1 - left] = decoded.pixels[y0:y1, x0:x1]
    side = side if style.is_enlarged else min(side, length)
    picture = Image.fromarray(window).resize((side, side), Image.Resampling.LANCZOS)
    return np.rot90(np.asarray(picture, dtype=np.uint8), -box.turn // 90)


def _within(start: int, length: int, size: int, is_inside: bool) -> int:
    """Return where a window begins, moved into the photo if it fits and the face begins in there."""
    return min(max(start, 0), size - length) if length <= size and is_inside else start


def _as_jpeg(pixels: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="JPEG", quality=quality)
    return target.getvalue()


def _length(box: Box, decoded: Decoded, margin: float) -> float:
    """The side of the square that is shown of a face, in pixels of the full-size photo."""
    longer = max(box.w, box.h, 1)
    is_all = box.x <= 0 and box.y <= 0 and box.x + box.w >= decoded.width and box.y + box.h >= decoded.height
    return longer if is_all else longer * (1 + 2 * margin)


def _is_within(box: Box, decoded: Decoded) -> bool:
    return box.x < decoded.width and box.y < decoded.height and box.x + max(box.w, 1) > 0 and box.y + max(box.h, 1) > 0


def _working_side(longer: int, boxes: Sequence[Box], side: int, margin: float) -> int:
    """How large a photo has to be decoded for its smallest face; a JPEG is quicker to decode small."""
    smallest = min(max(box.w, box.h, 1) for box in boxes)
    scale = _OVERSAMPLED * side / (smallest * (1 + 2 * margin))
    return max(1, min(math.ceil(longer * scale), longer, MAX_WORKING_SIDE))
