"""JPEG: its segments, without those that libjpeg fails on, and its picture where the end mark is missing."""

from __future__ import annotations

import hashlib
import io
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from PIL import JpegImagePlugin

from facewatch.decode import tiff
from facewatch.decode.pixels import load
from facewatch.errors import EXPORT, Fault, FaultCode, PhotoError

END_MARK = b"\xff\xd9"


class Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG by Pillow, whose EXIF is not read while it is opened: nobody asks for its resolution."""

    def _read_dpi_from_exif(self) -> None:
        pass


def opened(data: BinaryIO) -> Jpeg:
    """The photo with its header read; metadata over which Pillow raises is left out."""
    try:
        return Jpeg(data)
    except SyntaxError:
        lean = _without(data, _raises)
        if lean is data:
            raise
        return Jpeg(lean)


# --- segments ---

_MAX_PARTS = 20_000
"""Segments of a JPEG before its picture: more than any photo has."""

_MAX_SEGMENTS = 64
"""Of one kind of metadata in a JPEG; Pillow takes minutes to put together a thousand."""


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int
    """Of its marker."""
    content: bytes
    """Marker and length included."""

    @property
    def end(self) -> int:
        return self.start + len(self.content)

    @property
    def is_metadata(self) -> bool:
        """0xE0 to 0xEF are applications' own and 0xFE is a comment."""
        return self.marker >= 0xE0


def _segments(data: BinaryIO) -> Iterator[_Segment]:
    """What stands before the picture, which follows from 0xDA on.

    Raises:
        PhotoError: it is nothing but segments.
    """
    start = 2
    for _ in range(_MAX_PARTS):
        head = tiff.read_at(data, start, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return
        if head[1] == 0xFF:  # markers may have any number of these before them
            start += 1
            continue
        segment = _Segment(head[1], start, tiff.read_at(data, start, 2 + max(2, int.from_bytes(head[2:], "big"))))
        yield segment
        start = segment.end
    reason = f"more than {_MAX_PARTS} segments of metadata"
    raise PhotoError(Fault.of(FaultCode.DAMAGED, "JPEG", reason=reason, advice=EXPORT))


def without_excess(data: BinaryIO) -> BinaryIO:
    """The same JPEG without metadata in more segments than anybody writes; usually `data`.

    Raises:
        PhotoError: it is nothing but segments.
    """
    counts: Counter[int] = Counter()

    def is_excessive(segment: _Segment) -> bool:
        counts[segment.marker] += 1
        return counts[segment.marker] > _MAX_SEGMENTS

    return _without(data, is_excessive)


def _without(data: BinaryIO, is_unwanted: Callable[[_Segment], bool]) -> BinaryIO:
    """The same JPEG without some of its metadata, at its start; `data` itself where there is none of these."""
    lean, copied = io.BytesIO(), 0
    for segment in _segments(data):
        if segment.is_metadata and is_unwanted(segment):
            lean.write(tiff.read_at(data, copied, segment.start - copied))
            copied = segment.end
    if copied:
        lean.write(tiff.read_at(data, copied, -1))
    whole = lean if copied else data
    whole.seek(0)
    return whole


_GREY_DOT = b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0" + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0"
"""The frame and the scan of a picture of one pixel: all that a header needs."""


def _raises(segment: _Segment) -> bool:
    """Whether Pillow cannot open a JPEG for this piece of its metadata."""
    try:
        Jpeg(io.BytesIO(b"\xff\xd8" + segment.content + _GREY_DOT))
    except (OSError, SyntaxError):
        return True
    return False


# --- the end ---

_SCAN_END = re.compile(rb"\xff+(?:[^\0\xd0-\xd7\xff]|\Z)")
"""A marker, or the beginning of one; 0 after 0xFF is a byte of the picture, and 0xD0 to 0xD7 are within it."""

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

_N_COEFFICIENTS = 64
"""Of a component, in a block; a progressive JPEG sends some of them, or some of their bits, with each scan."""


def with_end_mark(data: BinaryIO, working_side: int) -> BinaryIO | None:
    """The same JPEG, ended where its picture does, whatever follows there; None if a part of the picture is missing.

    libjpeg paints what is missing as it likes, and says so in a warning that Pillow does not pass on. But all is there
    just when it does not matter what follows: the picture is the same with noise behind it.
    """
    content = tiff.read_at(data, 0, -1)
    end = _picture_end(content)
    if end is None:
        return None
    endings = (END_MARK, *(noise + END_MARK for noise in _noises()))
    try:
        pictures = {_digest(content[:end] + ending, working_side) for ending in endings}
    except (OSError, SyntaxError):
        return None
    return io.BytesIO(content[:end] + END_MARK) if len(pictures) == 1 else None


def _picture_end(content: bytes) -> int | None:
    """Where the scan ends with which all coefficients of all components are sent; None: some are never begun with."""
    missing: set[tuple[int, int]] = set()
    is_progressive, start = False, 2
    for _ in range(_MAX_PARTS):
        marker = _SCAN_END.search(content, start)
        if marker is None or marker.end() + 2 > len(content):
            return None
        code, begin = content[marker.end() - 1], marker.end() + 2
        start = begin - 2 + int.from_bytes(content[begin - 2 : begin], "big")
        segment = content[begin:start]
        if code in _FRAMES:
            is_progressive = code in _PROGRESSIVE
            missing = {(name, number) for name in segment[6::3] for number in range(_N_COEFFICIENTS)}
        elif code == 0xDA and missing and len(segment) >= 4:
            missing -= _finished(segment, is_progressive)
            if not missing:
                end = _SCAN_END.search(content, start)
                return end.start() if end else len(content)
    return None


def _finished(scan: bytes, is_progressive: bool) -> set[tuple[int, int]]:
    """The coefficients of which a scan with that header sends the last bits."""
    names, (first, last, bits) = scan[1 : 1 + 2 * scan[0] : 2], scan[-3:]
    if not is_progressive:
        first, last, bits = 0, _N_COEFFICIENTS - 1, 0
    return {(name, number) for name in names for number in range(first, last + 1)} if bits & 15 == 0 else set()


def _noises() -> Iterator[bytes]:
    """What a picture might go on with, restarts included; twice, because libjpeg passes over two restarts too many."""
    noise = random.Random(0).randbytes(4096).replace(b"\xff", b"")
    for first in (0, 4):
        yield noise + b"".join(b"\xff%c%b" % (0xD0 + (first + number) % 8, noise[:64]) for number in range(8))


def _digest(content: bytes, working_side: int) -> bytes:
    """What the pixels of a JPEG are known by."""
    image = Jpeg(io.BytesIO(content))
    load(image, working_side)
    found = hashlib.sha256()
    for row in range(0, image.height, _ROWS):  # not all at once: that would need the memory of a second picture
        found.update(image.crop((0, row, image.width, min(row + _ROWS, image.height))).tobytes())
    return found.digest()


_ROWS = 256
