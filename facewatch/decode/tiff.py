"""The directories of a TIFF, which EXIF and most RAW formats also are: bounded reads, whatever the bytes look like."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from PIL import ExifTags

_MAX_ENTRIES = 1000
"""Of one directory; cameras write fewer than a hundred."""

_MAX_DIRECTORIES = 32
"""Of one file; RAW files have six at most."""

_MAX_BLOCKS = 100_000
"""Strips or tiles of one picture: rows of the tallest photo there is."""

_INTEGER_BYTES = MappingProxyType(
    {**dict.fromkeys((1, 6, 7), 1), **dict.fromkeys((3, 8), 2), **dict.fromkeys((4, 9, 13), 4)}
    | dict.fromkeys((16, 17, 18), 8)
)
"""How many bytes a number of an integer type has, by the type: BYTE, SBYTE, UNDEFINED; SHORT, SSHORT; LONG, SLONG, IFD;
and BigTIFF's LONG8, SLONG8, IFD8. Writers take whichever they like."""

_BLOCKS = ((0x0111, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
"""Tags of where strips, tiles and a JPEG begin, and of how many bytes they have."""


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One tag of a directory."""

    value_type: int
    count: int
    value: bytes
    """Four bytes, eight in a BigTIFF: the value itself, or where it lies."""
    order: str
    """`struct`'s sign for the byte order, < or >."""

    @property
    def number(self) -> int:
        """The value, the first one of several, or where it lies."""
        n_bytes = _INTEGER_BYTES.get(self.value_type, len(self.value))
        is_here = n_bytes * self.count <= len(self.value)
        return as_number(self.value[:n_bytes] if is_here else self.value, self.order)


Directory = Mapping[int, TagEntry]


def as_number(value: bytes, order: str) -> int:
    return int.from_bytes(value, "little" if order == "<" else "big")


def read_at(data: BinaryIO, offset: int, n_bytes: int) -> bytes:
    """Return what there is at an offset; nothing where no file can go on so far."""
    try:
        data.seek(offset)
    except (OverflowError, ValueError):
        return b""
    except OSError as error:
        if error.errno == errno.EINVAL:
            return b""
        raise
    return data.read(n_bytes)


def first_number(data: BinaryIO, entry: TagEntry) -> int | None:
    """Return the first number of an entry, wherever it lies, as if it had no sign; None: it holds no integers."""
    return next(iter(_numbers(data, entry, most=1)), None)


def content(data: BinaryIO, entry: TagEntry, most: int) -> bytes:
    """Return the bytes of a text, or of numbers as they are, wherever they lie; no more than `most` of them."""
    n_bytes = entry.count * _INTEGER_BYTES.get(entry.value_type, 1)
    if n_bytes <= len(entry.value):
        return entry.value[: min(n_bytes, most)]
    return read_at(data, as_number(entry.value, entry.order), min(n_bytes, most))


def directory(data: BinaryIO, offset: int | None = None) -> Directory:
    """Return the directory at an offset, the first one by default: as much of it as there is."""
    return _directory_and_next(data, offset)[0]


def directories(data: BinaryIO) -> Iterator[Directory]:
    """Every directory of a file: the chain from the first one on, and those that they have within."""
    waiting: list[int | None] = [None]
    seen: set[int | None] = {0}
    for _ in range(_MAX_DIRECTORIES):
        if not waiting:
            return
        entries, following = _directory_and_next(data, waiting.pop(0))
        yield entries
        within = entries.get(ExifTags.Base.SubIFDs)
        found = [*(_numbers(data, within) if within and within.count <= _MAX_DIRECTORIES else ()), following]
        waiting += [offset for offset in found if offset not in seen]
        seen.update(found)


def blocks(data: BinaryIO, entries: Directory) -> Iterator[tuple[int, int]]:
    """Where the strips, tiles or JPEG of a directory's picture begin, and how many bytes each has."""
    for offset_tag, count_tag in _BLOCKS:
        if offset_tag in entries and count_tag in entries:
            pairs = zip(_numbers(data, entries[offset_tag]), _numbers(data, entries[count_tag]), strict=False)
            # All ones is Panasonic's way to say that the place is stored elsewhere.
            yield from ((start, n_bytes) for start, n_bytes in pairs if start != 0xFFFFFFFF)


def picture_ends(data: BinaryIO) -> Iterator[int]:
    """Where the strips, tiles and JPEGs of a file end, as far as its directories say."""
    for entries in directories(data):
        yield from (start + n_bytes for start, n_bytes in blocks(data, entries))


def _directory_and_next(data: BinaryIO, offset: int | None) -> tuple[Directory, int]:
    head = read_at(data, 0, 16)
    order = "<" if head.startswith(b"II") else ">"
    is_big = as_number(head[2:4], order) == 43
    offset_bytes, count_bytes, layout = (8, 8, "HHQ8s") if is_big else (4, 2, "HHI4s")
    if offset is None:
        offset = as_number(head[offset_bytes : 2 * offset_bytes], order)
    n_bytes = struct.calcsize(order + layout)
    n_entries = as_number(read_at(data, offset, count_bytes), order)
    block = data.read(n_bytes * min(n_entries, _MAX_ENTRIES))
    rows = struct.iter_unpack(order + layout, block[: len(block) // n_bytes * n_bytes])
    entries = {tag: TagEntry(value_type, count, value, order) for tag, value_type, count, value in rows}
    is_whole = 0 < n_entries <= _MAX_ENTRIES and len(block) == n_bytes * n_entries
    return entries, as_number(data.read(offset_bytes), order) if is_whole else 0


def _numbers(data: BinaryIO, entry: TagEntry, most: int = _MAX_BLOCKS) -> list[int]:
    """The numbers of an entry, wherever they lie; none where it holds no integers."""
    n_bytes = _INTEGER_BYTES.get(entry.value_type)
    if n_bytes is None:
        return []
    block = content(data, entry, n_bytes * most)
    return [
        as_number(block[start : start + n_bytes], entry.order) for start in range(0, len(block) - n_bytes + 1, n_bytes)
    ]
