"""When a photo was taken, as far as its file says: bounded reads of EXIF and XMP, whatever these look like.

The camera's own words only: what an editor writes when it saves (DateTime, ModifyDate) is no answer, and neither is a
time that a clock shows that nobody has set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO

from PIL import ExifTags, Image

from facewatch.decode import exif, tiff
from facewatch.decode.exif import MAX_BLOCK_BYTES as _MAX_BLOCK_BYTES
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


def taken_at(kind: Kind, image: Image.Image | None, data: BinaryIO) -> str:
    """Return when an opened photo was taken by the camera's clock, as YYYY-MM-DDTHH:MM:SS; "": its file does not say.

    The first that can be believed: EXIF DateTimeOriginal, the same in XMP, photoshop:DateCreated (what people correct
    by hand), EXIF DateTimeDigitized. The photo need not be loaded, and a RAW photo not even opened.

    Raises:
        OSError: the disk is at fault.
    """
    return next(filter(None, map(date_in, _texts(kind, image, data))), "")


def _texts(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[bytes]:
    """What the file says about its date, the best first; what comes later is looked for only when it is wanted."""
    blocks = [_exif_in(block) for block in exif.exif_blocks(kind, image, data)]
    yield from (texts[_ORIGINAL] for texts in blocks if _ORIGINAL in texts)
    xmp = [*exif.xmp_blocks(kind, image, data)]
    for pattern in _XMP_DATES:
        yield from (match[1] for block in xmp for match in pattern.finditer(block, 0, _MAX_BLOCK_BYTES))
    yield from (texts[_DIGITIZED] for texts in blocks if _DIGITIZED in texts)


# --- EXIF ---

_ORIGINAL = ExifTags.Base.DateTimeOriginal
_DIGITIZED = ExifTags.Base.DateTimeDigitized

_MAX_DATE_BYTES = 40
"""Of a text that is a date."""


def _exif_in(block: BinaryIO) -> dict[int, bytes]:
    """The texts of the wanted tags, in the directory for EXIF or, as some write it, the first one."""
    first = tiff.directory(block)
    pointer = first.get(ExifTags.Base.ExifOffset)
    entries = {**first, **(tiff.directory(block, pointer.number) if pointer else {})}
    return {
        tag: tiff.read_at(
            block, tiff.as_number(entries[tag].value, entries[tag].order), min(entries[tag].count, _MAX_DATE_BYTES)
        )
        for tag in (_ORIGINAL, _DIGITIZED)
        if tag in entries
    }


# --- XMP ---

_XMP_DATES = tuple(
    re.compile(rb"%b\s*(?:=\s*[\"']|>)\s*([^\"'<]{8,%d})" % (name, _MAX_DATE_BYTES))
    for name in (rb"\bexif:DateTimeOriginal", rb"\bphotoshop:DateCreated")
)
"""As an attribute or an element; the prefixes are what everybody uses."""
