"""PNG: its chunks, what its metadata says, and the file without what libpng fails on."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from facewatch.decode.tiff import read_at
from facewatch.errors import Fault, FaultCode, PhotoError

MAX_BLOCK_BYTES = 1_000_000
"""How much of one piece of metadata is read; a JPEG has room for 64 kB."""

_MAX_CHUNKS = 20_000
"""Of one PNG: 160 MB of pixels as libpng cuts them."""

_MAX_TEXTS = 50
"""Pieces of metadata that are kept, each as large as one is let be: Pillow gives up at 67 MB."""

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")

_METADATA = (*_TEXTS, b"iCCP", b"eXIf")


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    start: int
    """Of its content."""
    n_bytes: int
    """Of its content."""

    @property
    def is_critical(self) -> bool:
        """Whether there is no picture without it, as its name says."""
        return self.name[:1].isupper()


def _chunks(data: BinaryIO) -> Iterator[_Chunk]:
    start = 8
    for _ in range(_MAX_CHUNKS):
        head = read_at(data, start, 8)
        chunk = _Chunk(head[4:], start + 8, int.from_bytes(head[:4], "big"))
        if len(head) < 8 or chunk.name == b"IEND":
            break
        yield chunk
        start += chunk.n_bytes + 12


def contents(data: BinaryIO, wanted: bytes) -> list[bytes]:
    """The chunks of that name, also behind the pixels, where Pillow sees them only once it has decoded these."""
    found = [chunk for chunk in _chunks(data) if chunk.name == wanted][:_MAX_TEXTS]
    return [read_at(data, chunk.start, min(chunk.n_bytes, MAX_BLOCK_BYTES)) for chunk in found]


def texts(data: BinaryIO, *keywords: bytes) -> Iterator[bytes]:
    """The texts of these names, plain or packed, wherever they stand; of one that explodes no more than a block."""
    found = [chunk for chunk in _chunks(data) if chunk.name in (b"tEXt", b"zTXt")][:_MAX_TEXTS]
    for chunk in found:
        keyword, _, text = read_at(data, chunk.start, min(chunk.n_bytes, MAX_BLOCK_BYTES)).partition(b"\0")
        if keyword in keywords:
            with suppress(zlib.error):
                is_plain = chunk.name == b"tEXt"
                yield text if is_plain else zlib.decompressobj().decompress(text[1:], MAX_BLOCK_BYTES)


def opened(data: BinaryIO) -> PngImagePlugin.PngImageFile:
    """The photo with its header read; if Pillow raises over its metadata, without what nobody reads."""
    try:
        image = PngImagePlugin.PngImageFile(data)
    except Exception:
        lean = without_damage(data)
        if lean is None:
            raise
        image = PngImagePlugin.PngImageFile(lean)
    if image.tile and image.tile[0].args == "RGB;16B":  # its upper 8 bits are no colour of the picture
        image.info.pop("transparency", None)
    return image


def without_excess(data: BinaryIO) -> BinaryIO:
    """The same PNG without metadata that is too large, too much, or grows so when it is unpacked; usually `data`."""
    metadata = [chunk for chunk in _chunks(data) if chunk.name in _METADATA]
    kept = {chunk.start for chunk in metadata[:_MAX_TEXTS] if not _is_excessive(data, chunk)}
    return _without(data, [chunk for chunk in metadata if chunk.start not in kept])


def without_damage(data: BinaryIO) -> BinaryIO | None:
    """The same PNG with nothing but its picture, and with its end; None if that is all, or a part of it is missing."""
    if not _has_all_pixels(data):
        return None
    lean, header = io.BytesIO(), read_at(data, 0, 26)
    lean.write(header[:8])
    for chunk in _chunks(data):
        if chunk.is_critical or _is_transparency(data, chunk, header):
            lean.write(read_at(data, chunk.start - 8, 8))
            lean.write(read_at(data, chunk.start, min(chunk.n_bytes + 4, _n_bytes_of(data))))
    lean.write(_END)
    is_all = lean.tell() == _n_bytes_of(data)
    lean.seek(0)
    return None if is_all else lean


def check_rows(image: Image.Image, data: BinaryIO) -> None:
    """Refuse a picture whose packed pixels end, as if there were no more, before its last row: Pillow makes it black.

    Only one that ends in black is unpacked a second time to see.

    Raises:
        PhotoError: rows are missing.
    """
    last_rows = range(max(0, image.height - 2), image.height)  # of an interlaced one the last but one may be missing
    ends_black = any(not np.asarray(image.crop((0, row, image.width, row + 1))).any() for row in last_rows)
    if ends_black and not _has_all_pixels(data):
        raise PhotoError(Fault.of(FaultCode.TRUNCATED, "PNG"))


def _has_all_pixels(data: BinaryIO) -> bool:
    """Whether the packed pixels have an end, and all rows are before it; Pillow takes anything for it."""
    unpacker = zlib.decompressobj()
    n_missing = _n_bytes_of_rows(read_at(data, 0, 29))
    with suppress(zlib.error):
        for chunk in _chunks(data):
            packed = read_at(data, chunk.start, min(chunk.n_bytes, _n_bytes_of(data))) if chunk.name == b"IDAT" else b""
            while packed and not unpacker.eof:
                n_missing -= len(unpacker.decompress(packed, MAX_BLOCK_BYTES))
                packed = unpacker.unconsumed_tail
    return unpacker.eof and n_missing <= 0


_SAMPLES = MappingProxyType({2: 3, 4: 2, 6: 4})
"""How many numbers a pixel has, by the type of colours, where it is more than one."""

_WHOLE = ((0, 0, 1, 1),)
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row of each pass, and the steps to the next."""


def _n_bytes_of_rows(header: bytes) -> int:
    """How many bytes the pixels are, unpacked, with the number of a filter before each row."""
    width, height, n_bits, colours, _, _, is_interlaced = struct.unpack(">IIBBBBB", header[16:])
    n_bytes = 0
    for left, top, right, down in _PASSES if is_interlaced else _WHOLE:
        n_columns, n_rows = max(0, -(-(width - left) // right)), max(0, -(-(height - top) // down))
        if n_columns:
            n_bytes += n_rows * (1 + -(-n_columns * n_bits * _SAMPLES.get(colours, 1) // 8))
    return n_bytes


_END = b"\0\0\0\0IEND\xaeB`\x82"


def _n_bytes_of(data: BinaryIO) -> int:
    return data.seek(0, os.SEEK_END)


def _without(data: BinaryIO, dropped: list[_Chunk]) -> BinaryIO:
    if not dropped:
        return data
    lean, start = io.BytesIO(), 0
    for chunk in dropped:
        lean.write(read_at(data, start, chunk.start - 8 - start))
        start = chunk.start + chunk.n_bytes + 4
    lean.write(read_at(data, start, -1))
    lean.seek(0)
    return lean


_LEAST_TRANSPARENCY = MappingProxyType({b"\0": 2, b"\2": 6, b"\3": 0})
"""How many bytes it takes to name a transparent colour, by the type of colours."""


def _is_transparency(data: BinaryIO, chunk: _Chunk, header: bytes) -> bool:
    """Whether it says what is transparent, and is not damaged."""
    if chunk.name != b"tRNS" or not _LEAST_TRANSPARENCY.get(header[25:], 256) <= chunk.n_bytes <= 256:
        return False
    content = read_at(data, chunk.start, chunk.n_bytes + 4)
    return zlib.crc32(chunk.name + content[:-4]) == int.from_bytes(content[-4:], "big")


def _is_excessive(data: BinaryIO, chunk: _Chunk) -> bool:
    if chunk.n_bytes > MAX_BLOCK_BYTES:
        return True
    content = read_at(data, chunk.start, chunk.n_bytes)
    return _is_internal(chunk.name, content) or any(_explodes(packed) for packed in _packed(chunk.name, content))


def _is_internal(name: bytes, content: bytes) -> bool:
    """Whether it is a text that Pillow would keep where it keeps what it knows itself: "transparency", "bbox"..."""
    keyword = content.partition(b"\0")[0].decode("latin-1")
    return name in _TEXTS and keyword.isidentifier() and keyword.islower()


def _packed(name: bytes, content: bytes) -> Iterator[bytes]:
    """What a chunk holds in zlib's format, if anything."""
    if name in (b"zTXt", b"iCCP"):
        yield content.partition(b"\0")[2][1:]
    elif name == b"iTXt":
        rest = content.partition(b"\0")[2]
        if rest[:1] not in (b"", b"\0"):
            yield rest[2:].partition(b"\0")[2].partition(b"\0")[2]


def _explodes(packed: bytes) -> bool:
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, MAX_BLOCK_BYTES)
    except zlib.error:
        return False
    return bool(unpacker.unconsumed_tail)
