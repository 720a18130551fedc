"""When a photo was taken, from its EXIF, XMP and IPTC, read with bounded effort even where they are damaged.

The camera's own words only: what an editor writes when it saves (DateTime, ModifyDate) is no answer, and neither is a
time that a clock shows that nobody has set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from PIL import ExifTags, Image, JpegImagePlugin

from facewatch.decode import exif, tiff
from facewatch.decode.exif import MAX_BLOCK_BYTES
from facewatch.decode.kinds import Kind

FIRST_YEAR = 1826
"""Of the oldest photograph there is; a year before that was never meant."""

_DATE = re.compile(
    rb"\s*(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})(?!\d)"
    rb"(?:[T ]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?!\d)(?:\.\d+)?\s*(?:([+-]\d\d):?(\d\d)(?!\d))?)?"
)
"""EXIF has colons and a blank, XMP has hyphens and a T; the seconds, the time or what the clock is ahead of Greenwich
may be absent."""


def date_in(text: bytes) -> str:
    """Return the date at the start of a text as YYYY-MM-DDTHH:MM:SS; "" when there is none that can be believed.

    By the camera's clock, wherever that was. A day without a time is its midnight. A year or month alone is no date:
    whoever compares would take its first day for it, and so a photo for older than it is.
    """
    match = _DATE.match(text)
    if match is None:
        return ""
    try:
        moment = _moment(*(int(number or 0) for number in match.groups()[:6]))
    except (ValueError, OverflowError):  # no such month, day, hour...
        return ""
    ahead = timedelta(hours=int(match[7]), minutes=int(match[7][:1] + match[8])) if match[7] else timedelta(0)
    is_believed = moment.year >= FIRST_YEAR and not _is_unset(moment, ahead)
    return moment.isoformat() if is_believed else ""


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    """The moment by ISO 8601: 24:00:00 ends a day, and a leap second, for which nobody has a number, is the one before.

    Raises:
        ValueError: there is none.
        OverflowError: it is after all years.
    """
    is_end = (hour, minute, second) == (24, 0, 0)
    moment = datetime(year, month, day, 0 if is_end else hour, minute, 59 if second == 60 else second)  # noqa: DTZ001
    return moment + timedelta(days=is_end)


@dataclass(frozen=True, slots=True)
class _Reset:
    """Where clocks begin that nobody has set, and how far from there they are not believed."""

    start: datetime
    before: timedelta = timedelta(hours=12)
    """As far earlier is it shown west of Greenwich."""
    after: timedelta = timedelta(hours=12)
    """As far later is it shown east of Greenwich, or has the clock run on."""


_RESETS = (
    _Reset(datetime(1858, 11, 17)),  # noqa: DTZ001  # VMS, and where astronomers' days begin
    # OLE, and so Delphi and spreadsheets; a time without a day is of that day.
    _Reset(datetime(1899, 12, 30), after=timedelta(days=1)),  # noqa: DTZ001
    _Reset(datetime(1904, 1, 1)),  # noqa: DTZ001  # Apple's file systems, QuickTime
    _Reset(datetime(1970, 1, 1)),  # noqa: DTZ001  # Unix
    _Reset(datetime(1980, 1, 1)),  # noqa: DTZ001  # DOS, and so memory cards
    _Reset(datetime(1980, 1, 6)),  # noqa: DTZ001  # GPS
    # Only cameras begin in 2000, and those know no time zone: the last evening of 1999 was photographed in earnest.
    _Reset(datetime(2000, 1, 1), before=timedelta(0)),  # noqa: DTZ001
)
"""Left out is what people write for a year (1900-01-01, which is also NTP's zero) and where the clocks of newer cameras
begin (midnight of the New Year of their model, 2001 and later), because that has been photographed in earnest."""

_NULLS = frozenset(
    {
        datetime(2002, 12, 8, 12, 0, 0),  # noqa: DTZ001  # what Qualcomm's camera library has for a default
        datetime(1901, 12, 13, 20, 45, 52),  # noqa: DTZ001  # the least of Unix in 32 bits
        datetime(2038, 1, 19, 3, 14, 7),  # noqa: DTZ001  # the most of it
        datetime(2106, 2, 7, 6, 28, 15),  # noqa: DTZ001  # the same without a sign
    }
    | {reset.start for reset in _RESETS}
)
"""What programs write, to the second, who know no date."""


def _is_unset(moment: datetime, ahead: timedelta) -> bool:
    """Whether nobody has set the clock that shows this and is that much ahead of Greenwich, as far as it says."""
    is_reset = any(reset.start - reset.before <= moment < reset.start + reset.after for reset in _RESETS)
    return is_reset or any(moment in (null, null + ahead) for null in _NULLS)


def taken_at(kind: Kind, image: Image.Image | None, data: BinaryIO) -> str:
    """Return when an opened photo was taken by the camera's clock, as YYYY-MM-DDTHH:MM:SS; "": its file does not say.

    The first that can be believed: EXIF DateTimeOriginal, the same in XMP, photoshop:DateCreated (what people correct
    by hand), the same in IPTC, EXIF DateTimeDigitized. The photo need not be loaded, and a RAW photo not even opened.

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
        yield from (match[1] for block in xmp for match in pattern.finditer(block, 0, MAX_BLOCK_BYTES))
    yield from iptc_dates(kind, image, data)
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
        tag: tiff.content(block, entries[tag], _MAX_DATE_BYTES) for tag in (_ORIGINAL, _DIGITIZED) if tag in entries
    }


# --- XMP ---

_XMP_DATES = tuple(
    re.compile(rb"%b\s*(?:=\s*[\"']|>)\s*([^\"'<]{8,%d})" % (name, _MAX_DATE_BYTES))
    for name in (rb"\bexif:DateTimeOriginal", rb"\bphotoshop:DateCreated")
)
"""As an attribute or an element; the prefixes are what everybody uses."""


_IPTC, _PHOTOSHOP = 33723, 34377
"""Where a TIFF has them."""

_RESOURCE = 0x0404
"""Photoshop's number for IPTC."""

_HEADER = b"Photoshop 3.0\0"

_MAX_PARTS = 10_000
"""Of one block: resources of Photoshop's, or records of IPTC, most of which are keywords."""

_DATE_CREATED, _TIME_CREATED = b"\x02\x37", b"\x02\x3c"
"""2:55 and 2:60."""

_DATE_PART = re.compile(rb"(\d{4})(\d\d)(\d\d)\s*\Z")
_TIME = re.compile(rb"([01]\d|2[0-4]):?([0-5]\d):?([0-5]\d|60)?(?:([+-]\d\d):?(\d\d))?\s*\Z")


def iptc_dates(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[bytes]:
    """When the picture came to be, as XMP would write it; a time that is none leaves the day."""
    for block in _blocks(kind, image, data):
        records = dict(reversed([*_records(block)]))  # the first counts
        if _DATE_CREATED in records:
            date = _DATE_PART.sub(rb"\1-\2-\3", records[_DATE_CREATED].rstrip(b"\0"))
            time = _TIME.match(records.get(_TIME_CREATED, b"").rstrip(b"\0"))
            yield date + time.expand(rb"T\1:\2:") + (time[3] or b"00") + _zone(time) if time else date


def _zone(time: re.Match[bytes]) -> bytes:
    return time.expand(rb"\4:\5") if time[4] else b""


def _blocks(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[bytes]:
    """The IPTC of a photo, wherever it is kept."""
    if kind.name == "TIFF" or (kind.name == "RAW" and tiff.read_at(data, 0, 2) in (b"II", b"MM")):
        entries = tiff.directory(data)
        found = {
            tag: tiff.content(data, entries[tag], MAX_BLOCK_BYTES) for tag in (_IPTC, _PHOTOSHOP) if tag in entries
        }
        yield _in_order(found.get(_IPTC, b""))
        yield from _resources(found.get(_PHOTOSHOP, b""))
    elif isinstance(image, JpegImagePlugin.JpegImageFile):
        segments = (content for name, content in image.applist if name == "APP13" and content.startswith(_HEADER))
        yield from _resources(b"".join(content.removeprefix(_HEADER) for content in segments))
    elif kind.name == "PNG":
        for profile in exif.raw_profiles(data, b"iptc", b"8bim"):
            yield profile  # as exiftool writes it
            yield from _resources(profile)  # as ImageMagick does


def _in_order(block: bytes) -> bytes:
    """A block of which some programs make numbers of 32 bits, to write them in the other byte order."""
    if block[3:4] != b"\x1c" or block.startswith(b"\x1c"):
        return block
    return b"".join(block[start : start + 4][::-1] for start in range(0, len(block), 4))


def _resources(block: bytes) -> Iterator[bytes]:
    """The IPTC among Photoshop's resources: "8BIM", a number, a name of even length, a length, the content."""
    start = 0
    for _ in range(_MAX_PARTS):
        head = block[start : start + 7]
        if len(head) < 7 or not head.startswith(b"8BIM"):
            return
        at = start + 6 + (head[6] // 2 + 1) * 2
        end = at + 4 + int.from_bytes(block[at : at + 4], "big")
        if int.from_bytes(head[4:6], "big") == _RESOURCE:
            yield block[at + 4 : end]
        start = end + (end - at) % 2


def _records(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of a block with their numbers: a mark, two bytes of number, a length, the content."""
    start = 0
    for _ in range(_MAX_PARTS):
        head = block[start : start + 5]
        if len(head) < 5 or not head.startswith(b"\x1c"):
            return
        start, n_bytes = start + 5, int.from_bytes(head[3:], "big")
        if n_bytes & 0x8000:  # it is that of the length
            n_bytes, start = int.from_bytes(block[start : start + (n_bytes & 7)], "big"), start + (n_bytes & 0x7FFF)
        yield head[1:3], block[start : start + n_bytes]
        start += n_bytes
