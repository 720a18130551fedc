"""What a file's container tells before any codec sees it: the size it declares, and whether it is whole."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from types import MappingProxyType
from typing import BinaryIO

from facewatch.decode.kinds import Kind


def _webp_size(data: BinaryIO) -> tuple[int, int] | None:
    """The canvas of a WebP, which its decoder allocates as soon as it is opened."""
    data.seek(12)
    head = data.read(18)
    if len(head) < 18:
        return None
    if head.startswith(b"VP8X"):
        return int.from_bytes(head[12:15], "little") + 1, int.from_bytes(head[15:18], "little") + 1
    if head.startswith(b"VP8L"):
        bits = int.from_bytes(head[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", head, 14)
    return width & 0x3FFF, height & 0x3FFF


_ISPE = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)


def _iso_size(data: BinaryIO) -> tuple[int, int] | None:
    """The largest picture that a HEIF or AVIF declares near its start; libavif calls too large a one just damaged."""
    data.seek(0)
    sizes = [struct.unpack(">II", b"".join(match.groups())) for match in _ISPE.finditer(data.read(65536))]
    return max(((width, height) for width, height in sizes), key=lambda size: size[0] * size[1], default=None)


DECLARED_SIZE = MappingProxyType({"WEBP": _webp_size, "AVIF": _iso_size, "HEIF": _iso_size})


def is_cut_off(kind: Kind, data: BinaryIO) -> bool:
    """Whether a part of the picture is missing in a way that its decoder would not say.

    libheif paints the missing tiles of a truncated photo black, libwebp does not say what is wrong, and all of them
    take zeros for a picture: the space that an interrupted copy had reserved.
    """
    end = _content_end(kind, data)
    return end > data.seek(0, os.SEEK_END) or (kind.name not in ("TIFF", "BMP") and _fades_into_zeros(kind, data, end))


def _content_end(kind: Kind, data: BinaryIO) -> int:
    """Where a file has to end at the earliest, as far as its container says; else where it does end."""
    n_bytes = data.seek(0, os.SEEK_END)
    if kind.name == "WEBP":
        data.seek(4)
        return int.from_bytes(data.read(4), "little") + 8
    if kind.name in ("HEIF", "AVIF"):
        return max(_iso_ends(data), default=n_bytes)
    return n_bytes


def _iso_ends(data: BinaryIO) -> Iterator[int]:
    """Where the boxes that hold a picture and its description end; trailers of other makes are left alone."""
    start = 0
    while True:
        data.seek(start)
        head = data.read(16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:  # 0 is "up to the end of the file"; less than a box's own head is no box
            return
        start += size
        if name in (b"meta", b"mdat"):
            yield start


_END_MARK = MappingProxyType({"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"})
"""What zeros may follow: some cameras fill the last block of a file with them."""

_ZEROS = bytes(4096)
"""More of them than compressed data ever holds in a row; also the smallest piece that a file system reserves."""


def _fades_into_zeros(kind: Kind, data: BinaryIO, end: int) -> bool:
    """Whether a compressed picture ends in a long run of zeros that is not padding."""
    mark = _END_MARK.get(kind.name)
    starts = range(end - len(_ZEROS), -len(_ZEROS), -len(_ZEROS))
    for start in starts:
        first = max(0, start - 16)  # a mark may lie across two blocks
        data.seek(first)
        content = data.read(start + len(_ZEROS) - first).rstrip(b"\0")
        if content:
            return start != starts[0] and not (mark and content.endswith(mark))
    return False
