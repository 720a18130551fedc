"""Where a photo keeps its EXIF and XMP, and its orientation by these, read with bounded effort even where they are
damaged.

Not Pillow's reader: it reads everything, raises nearly anything on broken EXIF, and follows every offset.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from PIL import ExifTags, Image, TiffImagePlugin

from facewatch.decode import container, png, tiff
from facewatch.decode.kinds import Kind

MAX_BLOCK_BYTES = png.MAX_BLOCK_BYTES

_TIFF_HEAD = re.compile(rb"II\*\0|MM\0\*")

_RAW_HEAD_BYTES = 262_144
"""How far from the start of a RAW file that is no TIFF its EXIF begins at most."""

_PNG_PROFILES = (b"exif", b"APP1")
"""Names under which ImageMagick put EXIF into texts before PNG had a place for it."""


def exif_blocks(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[BinaryIO]:
    """The EXIF of a photo, wherever it is kept; each begins like a TIFF. A RAW photo needs no image."""
    if kind.name == "TIFF":
        yield data
    elif kind.name == "RAW":
        yield from _raw_blocks(data)
    elif image is not None:
        yield from filter(None, map(_as_tiff, _image_blocks(kind, image, data)))


def _image_blocks(kind: Kind, image: Image.Image, data: BinaryIO) -> Iterator[object]:
    yield image.info.get("exif")
    if kind.name == "PNG":
        yield from raw_profiles(data, *_PNG_PROFILES)
        if "exif" not in image.info:
            yield from png.contents(data, b"eXIf")


def _as_tiff(block: object) -> BinaryIO | None:
    """The TIFF in a block of EXIF: "Exif\\0\\0" stands before it, or a length, or nothing."""
    head = _TIFF_HEAD.search(block, 0, 64) if isinstance(block, bytes) else None
    return io.BytesIO(head.string[head.start() :]) if head else None


def raw_profiles(data: BinaryIO, *names: bytes) -> Iterator[bytes]:
    """What texts of a PNG hold in hexadecimal digits; before these stand a name and a length."""
    for text in png.texts(data, *(b"Raw profile type " + name for name in names)):
        with suppress(ValueError):
            yield bytes.fromhex(b"".join(text.split()[2:]).decode(errors="replace"))


def _raw_blocks(data: BinaryIO) -> Iterator[BinaryIO]:
    """Most RAW files are a TIFF; CR3 keeps EXIF in boxes, RAF in the JPEG that it begins with."""
    head = tiff.read_at(data, 0, _RAW_HEAD_BYTES)
    if head.startswith((b"II", b"MM")):
        yield data
        return
    for match in re.finditer(rb"CMT2|Exif\0\0", head):
        block = _as_tiff(head[match.end() : match.end() + 65536])
        if block:
            yield block


def xmp_blocks(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[bytes]:
    """The XMP of a photo; it may be of any length, and only its first `MAX_BLOCK_BYTES` are worth a search."""
    xmp = image.info.get("xmp") if image is not None else None
    if xmp and isinstance(xmp, str | bytes):  # a TIFF may have anything else there
        yield xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
    elif kind.name == "PNG":
        yield from (chunk for chunk in png.contents(data, b"iTXt") if chunk.startswith(b"XML:com.adobe.xmp\0\0"))


_XMP_ORIENTATION = re.compile(rb"\btiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def orientation(kind: Kind, image: Image.Image, data: BinaryIO) -> int:
    """The orientation that is still to be applied, 1 to 8; 1 where it is missing, invalid or already applied.

    EXIF has the word; XMP is asked where EXIF says nothing, and only of formats that know no other way to say it.
    """
    if kind.name == "HEIF" or (isinstance(image, TiffImagePlugin.TiffImageFile) and tag_orientation(image)):
        return 1  # libheif obeys the container, and a TIFF is turned while it is loaded
    return said_orientation(kind, image, data)


def said_orientation(kind: Kind, image: Image.Image | None, data: BinaryIO) -> int:
    """The orientation that a photo names, 1 to 8, whoever applies it; 1 where it is missing or invalid."""
    if kind.name == "AVIF" and image is not None:
        return int(image.info.get(container.TURN, 1))
    if kind.name == "HEIF":
        return container.heif_turn(data)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        said = tag_orientation(image)
    else:
        said = own_orientation(kind, image, data)
    if said is None:
        matches = (_XMP_ORIENTATION.search(block, 0, MAX_BLOCK_BYTES) for block in xmp_blocks(kind, image, data))
        said = next((int(match[1]) for match in matches if match), None)
    return said or 1


def tag_orientation(image: TiffImagePlugin.TiffImageFile) -> int | None:
    """The orientation of a TIFF's current page, 1 to 8; None: it names none that exists."""
    number = image.tag_v2.get(ExifTags.Base.Orientation)
    if isinstance(number, bytes):  # what Pillow makes of the type BYTE
        number = next(iter(number), None)
    return number if isinstance(number, int) and 1 <= number <= 8 else None


def own_orientation(kind: Kind, image: Image.Image | None, data: BinaryIO) -> int | None:
    """The orientation that EXIF names, 1 to 8; None: it names none that exists."""
    blocks = exif_blocks(kind, image, data)
    return next(filter(None, (orientation_in(block, tiff.directory(block)) for block in blocks)), None)


def orientation_in(block: BinaryIO, entries: tiff.Directory) -> int | None:
    """The orientation that a directory names, 1 to 8; None: it names none that exists."""
    entry = entries.get(ExifTags.Base.Orientation)
    number = tiff.first_number(block, entry) if entry else None
    return number if number is not None and 1 <= number <= 8 else None
