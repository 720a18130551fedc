"""What a file's container says before any codec sees it: the size it declares, and whether it is whole."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator
from itertools import islice
from types import MappingProxyType
from typing import BinaryIO

from PIL import AvifImagePlugin

from facewatch.decode import tiff
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


_IROT = re.compile(rb"\0\0\0\x09irot(.)", re.DOTALL)


def heif_turn(data: BinaryIO) -> int:
    """What EXIF would call the turn that the container of a HEIF asks for, 1 to 8; 1 where its pictures differ."""
    data.seek(0)
    turns = {match[1][0] & 3 for match in _IROT.finditer(data.read())}
    return (1, 8, 3, 6)[turns.pop()] if len(turns) == 1 else 1


_CODESTREAM = b"\xff\x4f\xff\x51"


def _jp2_size(data: BinaryIO) -> tuple[int, int] | None:
    """The larger of the picture and of one tile of a JPEG 2000, by its codestream, which alone the decoder obeys."""
    data.seek(0)
    content = data.read()
    start = content.find(_CODESTREAM)
    if start < 0 or len(content) < start + 40:
        return None
    right, lower, left, upper, tile_width, tile_height = struct.unpack_from(">6I", content, start + 8)
    size = max(0, right - left), max(0, lower - upper)
    tile = min(tile_width, right), min(tile_height, lower)
    return max(size, tile, key=lambda sides: sides[0] * sides[1])


_MAX_PARTS = 20_000
"""Boxes of an ISO media file: more than any photo or burst has."""


def jp2_layout(data: BinaryIO) -> tuple[int, int]:
    """How many components the codestream of a JPEG 2000 has, and the most bits that one of them has; 0: it has none."""
    data.seek(0)
    content = data.read()
    start = content.find(_CODESTREAM) + 40
    n_components = int.from_bytes(content[start : start + 2], "big")
    depths = content[start + 2 : start + 2 + 3 * n_components : 3]
    return n_components, max(((depth & 0x7F) + 1 for depth in depths), default=0)


DECLARED_SIZE = MappingProxyType({"WEBP": _webp_size, "AVIF": _iso_size, "HEIF": _iso_size, "JP2": _jp2_size})


def is_cut_off(kind: Kind, data: BinaryIO) -> bool:
    """Whether a part of the picture is missing in a way that its decoder would not say.

    libheif paints the missing tiles of a truncated photo black, libwebp does not say what is wrong, and all of them
    take zeros for a picture: the space that an interrupted copy had reserved.
    """
    end = _content_end(kind, data)
    if end > data.seek(0, os.SEEK_END):
        return True
    n_zeros = _n_zeros_at(data, end)
    return n_zeros > _MOST_ZEROS.get(kind.name, n_zeros) and not _may_end_in_zeros(kind, data, end - n_zeros)


def _content_end(kind: Kind, data: BinaryIO) -> int:
    """Where a file has to end at the earliest, as far as its container says; else where it does end."""
    n_bytes = data.seek(0, os.SEEK_END)
    if kind.name == "WEBP":
        data.seek(4)
        return int.from_bytes(data.read(4), "little") + 8
    if kind.name in ("HEIF", "AVIF"):
        return max(_iso_ends(data), default=n_bytes)
    if kind.name == "RAW":
        return max([n_bytes, *_raw_ends(data)])
    return n_bytes


def _raw_ends(data: BinaryIO) -> Iterator[int]:
    """Where the parts of a RAW photo end; a cut one still has its preview, and LibRaw paints what is missing black."""
    head = tiff.read_at(data, 0, 108)
    if head.startswith((b"II", b"MM")):
        yield from tiff.picture_ends(data)
    elif head.startswith(b"FUJIFILM") and len(head) == 108:
        numbers = struct.unpack_from(">6I", head, 84)  # offsets and lengths of the preview, the header, the picture
        yield from (start + size for start, size in zip(numbers[::2], numbers[1::2], strict=True))
    elif head[4:8] == b"ftyp":
        yield from _iso_ends(data)


def _iso_ends(data: BinaryIO) -> Iterator[int]:
    """Where the boxes that hold a picture and its description end; trailers of other makes are left alone."""
    start = 0
    for _ in range(_MAX_PARTS):
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


_END_MARK = MappingProxyType({"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";", "JP2": b"\xff\xd9"})
"""What zeros may follow: some cameras fill the last block of a file with them."""

_BLOCK = 4096
"""The smallest piece that a file system reserves; compressed data never holds as many zeros in a row."""

_MOST_ZEROS = MappingProxyType(
    {**dict.fromkeys(("JPEG", "PNG", "GIF", "WEBP", "HEIF", "AVIF", "JP2"), _BLOCK - 1), "RAW": 1_048_576}
)
"""How many zeros a whole file may end with; cameras pad RAW files. Of other formats black pictures end in them, too."""

_MOST_BETWEEN = 65_536
"""How many bytes of a maker's own lie at most between a JPEG and its film."""

_MAX_FILMS = 16
"""How often the word that a film begins with may come up before it does."""


def _n_zeros_at(data: BinaryIO, end: int) -> int:
    """How many zeros a file has before that place."""
    for start in range(end - _BLOCK, -_BLOCK, -_BLOCK):
        content = tiff.read_at(data, max(0, start), start + _BLOCK - max(0, start))
        if content.strip(b"\0"):
            return end - max(0, start) - len(content.rstrip(b"\0"))
    return end


def _may_end_in_zeros(kind: Kind, data: BinaryIO, end: int) -> bool:
    """Whether the zeros from there on follow a whole picture."""
    mark = _END_MARK.get(kind.name)
    if mark and tiff.read_at(data, max(0, end - len(mark)), len(mark)) == mark:
        return True
    return kind.name == "JPEG" and _has_film(tiff.read_at(data, 0, end))


def _has_film(content: bytes) -> bool:
    """Whether the film of a motion photo follows its JPEG; films are padded as they like."""
    starts = (match.start() for match in islice(re.finditer(rb"ftyp", content), _MAX_FILMS))
    return any(content.rfind(_END_MARK["JPEG"], max(0, start - _MOST_BETWEEN), start - 4) >= 0 for start in starts)


TURN = "container_orientation"
"""Of `info`: what EXIF would call the turn that the container asks for, 1 to 8; EXIF's own plays no part in AVIF."""


class Avif(AvifImagePlugin.AvifImageFile):
    """An AVIF by Pillow, with its EXIF as it is: Pillow rewrites it, and raises nearly anything where it is damaged."""

    def _open(self) -> None:
        try:
            super()._open()
        except Exception:
            if not hasattr(self, "_decoder"):
                raise
            self.seek(0)
        _, _, _, _, exif, turn, _ = self._decoder.get_info()
        self.info |= {"exif": exif or b"", TURN: turn}


def opened(data: BinaryIO) -> Avif:
    """The photo with its header read; EXIF that libavif refuses is left out."""
    try:
        return Avif(data)
    except (OSError, SyntaxError, ValueError) as error:
        data.seek(0)
        content = data.read()
        lean = _EXIF_ITEM.sub(rb"\1skip", content)
        if lean == content:
            raise error
        return Avif(io.BytesIO(lean))


_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
"""Where an ISO media file lists one of its items as EXIF."""
