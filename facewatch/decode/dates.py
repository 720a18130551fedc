"""When a photo was taken, as far as its file says: bounded reads of EXIF and XMP, whatever these look like.

The camera's own words only: what an editor writes when it saves (DateTime, ModifyDate) is no answer, and neither is a
time that a clock shows that nobody has set.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO

from PIL import ExifTags, ImageFile

from facewatch.decode.kinds import Kind

FIRST_YEAR = 1826
"""Of the oldest photograph there is; a year before that was never meant."""

_DATE = re.compile(
    rb"\s*(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})(?!\d)(?:[T ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?!\d))?"
)
"""EXIF has colons and a blank, XMP has hyphens and a T; the seconds or the time may be absent. What follows, parts of a
second and a time zone, is left: the camera's clock is what counts."""


def date_in(text: bytes) -> str:
    """Return the date at the start of a text as YYYY-MM-DDTHH:MM:SS; "" when there is none that can be believed.

    A day without a time is its midnight. A year or month alone is no date: whoever compares would take its first day
    for it, and so a photo for older than it is.
    """
    match = _DATE.match(text)
    if match is None:
        return ""
    try:
        moment = datetime(*(int(number or 0) for number in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:  # no such month, day, hour...
        return ""
    return moment.isoformat() if moment.year >= FIRST_YEAR and not _is_unset(moment) else ""


_MAX_BLOCK_BYTES = 1_000_000
"""How much of a PNG's EXIF, and of any XMP, is looked at; a JPEG has room for 64 kB."""

_HALF_A_DAY = timedelta(hours=12)

_RESETS = (
    (datetime(1970, 1, 1), _HALF_A_DAY),  # noqa: DTZ001
    (datetime(1980, 1, 1), _HALF_A_DAY),  # noqa: DTZ001
    (datetime(2000, 1, 1), timedelta(0)),  # noqa: DTZ001
)
"""Where clocks begin, and how much earlier that shows west of Greenwich. Only cameras begin in 2000, and those know no
time zone: the last evening of 1999 was photographed in earnest."""


def _is_unset(moment: datetime) -> bool:
    """Whether a clock that nobody has set shows this: it has run for less than half a day, or stands east of it."""
    return any(start - before <= moment < start + _HALF_A_DAY for start, before in _RESETS)


def taken_at(kind: Kind, image: ImageFile.ImageFile, data: BinaryIO) -> str:
    """Return when an opened photo was taken by the camera's clock, as YYYY-MM-DDTHH:MM:SS; "": its file does not say.

    The first that can be believed: EXIF DateTimeOriginal, the same in XMP, photoshop:DateCreated (what people correct
    by hand), EXIF DateTimeDigitized. The photo need not be loaded.

    Raises:
        OSError: the disk is at fault.
    """
    return next(filter(None, map(date_in, _texts(kind, image, data))), "")


def _texts(kind: Kind, image: ImageFile.ImageFile, data: BinaryIO) -> Iterator[bytes]:
    """What the file says about its date, the best first; what comes later is looked for only when it is wanted."""
    blocks = [_exif_in(tiff) for tiff in _exif_blocks(kind, image, data)]
    yield from (texts[_ORIGINAL] for texts in blocks if _ORIGINAL in texts)
    xmp = [*_xmp_blocks(kind, image, data)]
    for pattern in _XMP_DATES:
        yield from (match[1] for block in xmp for match in pattern.finditer(block[:_MAX_BLOCK_BYTES]))
    yield from (texts[_DIGITIZED] for texts in blocks if _DIGITIZED in texts)


# --- EXIF ---

_ORIGINAL = ExifTags.Base.DateTimeOriginal
_DIGITIZED = ExifTags.Base.DateTimeDigitized

_TIFF_HEAD = re.compile(rb"II\*\0|MM\0\*")

_MAX_ENTRIES = 1000
"""Of one directory of EXIF; cameras write fewer than a hundred."""

_MAX_DATE_BYTES = 40
"""Of a text that is a date."""


def _exif_blocks(kind: Kind, image: ImageFile.ImageFile, data: BinaryIO) -> Iterator[BinaryIO]:
    """The EXIF of a photo, wherever it is kept; each begins like a TIFF."""
    if kind.name == "TIFF":
        yield data
        return
    blocks = [image.info.get("exif"), *map(_unhexed, map(image.info.get, _PNG_PROFILES))]
    if kind.name == "PNG" and "exif" not in image.info:
        blocks += _png_chunks(data, b"eXIf")
    for block in blocks:
        # "Exif\0\0" stands before it, or a length, or nothing.
        head = _TIFF_HEAD.search(block, 0, 64) if isinstance(block, bytes) else None
        if head:
            yield io.BytesIO(head.string[head.start() :])


_PNG_PROFILES = ("Raw profile type exif", "Raw profile type APP1")
"""Where ImageMagick put EXIF before PNG had a place for it."""


def _unhexed(profile: object) -> bytes:
    """The bytes of a raw profile: its name, its length, then lines of hexadecimal digits."""
    try:
        return bytes.fromhex("".join(profile.split()[2:])) if isinstance(profile, str) else b""
    except ValueError:
        return b""


def _exif_in(tiff: BinaryIO) -> dict[int, bytes]:
    """The texts of the wanted tags, in the directory for EXIF or, as some write it, the first one.

    Not Pillow's reader: it reads everything, raises nearly anything on broken EXIF, and follows every offset.
    """
    head = _read_at(tiff, 0, 8)
    order = "<" if head.startswith(b"II") else ">"
    first = _entries(tiff, order, _number(head[4:], order))
    pointer = first.get(ExifTags.Base.ExifOffset)
    entries = first | (_entries(tiff, order, _number(pointer[1], order)) if pointer else {})
    return {
        tag: _read_at(tiff, _number(entries[tag][1], order), min(entries[tag][0], _MAX_DATE_BYTES))
        for tag in (_ORIGINAL, _DIGITIZED)
        if tag in entries
    }


def _entries(tiff: BinaryIO, order: str, offset: int) -> dict[int, tuple[int, bytes]]:
    """The directory at an offset: tag to its count and the four bytes that are its value or where that is."""
    n_entries = min(_number(_read_at(tiff, offset, 2), order), _MAX_ENTRIES)
    block = _read_at(tiff, offset + 2, 12 * n_entries)
    entries = struct.iter_unpack(f"{order}HHI4s", block[: len(block) // 12 * 12])
    return {tag: (count, value) for tag, _, count, value in entries}


def _number(value: bytes, order: str) -> int:
    return int.from_bytes(value, "little" if order == "<" else "big")


def _read_at(data: BinaryIO, offset: int, n_bytes: int) -> bytes:
    data.seek(offset)
    return data.read(n_bytes)


# --- XMP ---

_XMP_DATES = tuple(
    re.compile(rb"%b\s*(?:=\s*[\"']|>)\s*([^\"'<]{8,%d})" % (name, _MAX_DATE_BYTES))
    for name in (rb"\bexif:DateTimeOriginal", rb"\bphotoshop:DateCreated")
)
"""As an attribute or an element; the prefixes are what everybody uses."""


def _xmp_blocks(kind: Kind, image: ImageFile.ImageFile, data: BinaryIO) -> Iterator[bytes]:
    xmp = image.info.get("xmp")
    if xmp:
        yield xmp.encode(errors="replace") if isinstance(xmp, str) else bytes(xmp)
    elif kind.name == "PNG":
        yield from (chunk for chunk in _png_chunks(data, b"iTXt") if chunk.startswith(b"XML:com.adobe.xmp\0\0"))


# --- PNG ---

_MAX_CHUNKS = 20_000
"""Of one PNG: 160 MB of pixels as libpng cuts them."""


def _png_chunks(data: BinaryIO, wanted: bytes) -> list[bytes]:
    """The chunks of that name, also behind the pixels, where Pillow sees them only once it has decoded these."""
    found, start = [], 8
    for _ in range(_MAX_CHUNKS):
        head = _read_at(data, start, 8)
        n_bytes = int.from_bytes(head[:4], "big")
        if len(head) < 8 or head[4:] == b"IEND":
            break
        if head[4:] == wanted:
            found.append(_read_at(data, start + 8, min(n_bytes, _MAX_BLOCK_BYTES)))
        start += n_bytes + 12
    return found
