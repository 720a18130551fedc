"""When a photo was taken by its IPTC: the records of news agencies, which Photoshop keeps in blocks of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, JpegImagePlugin

from facewatch.decode import exif, tiff
from facewatch.decode.exif import MAX_BLOCK_BYTES
from facewatch.decode.kinds import Kind

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


def dates(kind: Kind, image: Image.Image | None, data: BinaryIO) -> Iterator[bytes]:
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
