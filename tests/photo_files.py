"""Photos as files of every format, made for the tests of decoding."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from facewatch.decode import decode
from facewatch.types import Decoded


def picture(width: int = 48, height: int = 32, levels: tuple[int, int] = (230, 230)) -> Image.Image:
    """A smooth picture without any symmetry: red grows to the right up to the first of these levels, green downwards to
    the other, the left upper corner is blue."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    corner = 255 * (x < 0.4) * (y < 0.4)
    return Image.fromarray(np.dstack([levels[0] * x, levels[1] * y, corner]).astype(np.uint8))


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    target = io.BytesIO()
    if image_format == "HEIF":
        pillow_heif.from_pillow(image).save(target, **options)
    else:
        image.save(target, image_format, **options)
    return target.getvalue()


def decode_bytes(content: bytes, **options: int) -> Decoded:
    return decode(io.BytesIO(content), **options)


PASSE_PARTOUT = (8000, 5333)
"""So large a picture that no detector sees the faces of a photo in the middle of it."""
CORNER = (3600, 2400)
"""Where the photo begins in it."""


def mounted(photo: Path, target: Path) -> None:
    """Store a photo in the middle of a large picture."""
    large = Image.new("RGB", PASSE_PARTOUT, (90, 110, 130))
    with Image.open(photo) as inner:
        large.paste(inner, CORNER)
    large.save(target, quality=90)
