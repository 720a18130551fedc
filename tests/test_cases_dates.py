"""What photo programs have got wrong about how a photo is turned, and about when it was taken."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from facewatch.decode import decode, peek
from facewatch.types import Decoded

# --- an orientation of any integer type ---

BYTE, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SSHORT, SLONG, FLOAT, LONG8, SLONG8 = 1, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17
CODES = {BYTE: "B", SHORT: "H", LONG: "I", SBYTE: "b", UNDEFINED: "B", SSHORT: "h", SLONG: "i", LONG8: "Q", SLONG8: "q"}
INTEGERS = (BYTE, SHORT, LONG, SBYTE, UNDEFINED, SSHORT, SLONG)
STORED = Image.new("RGB", (48, 32), "teal")
STORED.paste("white", (0, 0, 24, 16))
UPRIGHT = STORED.transpose(Image.Transpose.ROTATE_270)
"""The stored picture as orientation 6 shows it."""

Tag = tuple[int, int, bytes]
"""The type of a tag, its count and its bytes."""


def integers(value_type: int, order: str, *values: int) -> Tag:
    return value_type, len(values), struct.pack(f"{order}{len(values)}{CODES[value_type]}", *values)


def tiff_of(tags: Mapping[int, Tag], order: str = "<", *, is_big: bool = False, picture: bytes = b"") -> bytes:
    """A TIFF of one directory; what is too long for its entry follows, and the picture comes last.

    Bytes of an entry that are not used are no zeros, which nobody promises.
    """
    sign, offset, room = (b"II" if order == "<" else b"MM"), ("Q" if is_big else "I"), (8 if is_big else 4)
    head = sign + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if is_big else struct.pack(order + "HI", 42, 8))
    end = len(head) + (8 if is_big else 2) + len(tags) * (4 + 2 * room) + room
    entries, rest = b"", b""
    lying = {tag: content for tag, (_, _, content) in tags.items() if len(content) > room}
    start = end + sum(len(content) for content in lying.values())
    for tag, (value_type, count, content) in sorted(tags.items()):
        if tag == STRIP_OFFSETS:
            content = struct.pack(order + "I", start)
        if len(content) > room:
            content, rest = struct.pack(order + offset, end + len(rest)), rest + content
        entries += struct.pack(order + "HH" + offset, tag, value_type, count) + content.ljust(room, b"\x5a")
    counted = struct.pack(order + ("Q" if is_big else "H"), len(tags))
    return head + counted + entries + bytes(room) + rest + picture


ORIENTATION, STRIP_OFFSETS = 0x0112, 0x0111


def turned_tiff(tag: Tag, order: str, *, is_big: bool = False) -> bytes:
    """A TIFF of the stored picture whose orientation is that."""
    picture = STORED.tobytes()
    numbers = {0x0100: 48, 0x0101: 32, 0x0103: 1, 0x0106: 2, STRIP_OFFSETS: 0, 0x0115: 3, 0x0116: 32}
    tags = {name: integers(LONG, order, number) for name, number in (numbers | {0x0117: len(picture)}).items()}
    tags |= {0x0102: integers(SHORT, order, 8, 8, 8), ORIENTATION: tag}
    return tiff_of(tags, order, is_big=is_big, picture=picture)


def in_container(image_format: str, exif: bytes) -> bytes:
    """The stored picture with that EXIF, as it is."""
    target = io.BytesIO()
    if image_format == "HEIF":
        pillow_heif.from_pillow(STORED).save(target, exif=exif, quality=95)
    else:
        STORED.save(target, image_format, exif=exif, quality=95)
    return target.getvalue()


def looked_at(content: bytes) -> Decoded:
    """A decoded photo, of which its header has said the same."""
    photo = decode(io.BytesIO(content))
    seen = peek(io.BytesIO(content))
    assert (seen.width, seen.height) == (photo.width, photo.height) == photo.pixels.shape[1::-1]
    return photo


def is_picture(photo: Decoded, wanted: Image.Image) -> bool:
    pixels = np.asarray(wanted)
    return photo.pixels.shape == pixels.shape and float(np.abs(photo.pixels.astype(int) - pixels).mean()) < 6


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value_type", INTEGERS)
@pytest.mark.parametrize("values", [(6,), (6, 1), (6, 3, 3, 3, 3, 3, 3, 3, 3)])
def test_an_orientation_of_any_integer_type_turns_a_tiff_once(
    order: str, value_type: int, values: tuple[int, ...]
) -> None:
    assert is_picture(looked_at(turned_tiff(integers(value_type, order, *values), order)), UPRIGHT)


@pytest.mark.parametrize("value_type", [*INTEGERS, LONG8])
@pytest.mark.parametrize("values", [(6,), (6, 3, 3, 3, 3, 3, 3, 3, 3)])
def test_an_orientation_of_any_integer_type_turns_a_bigtiff_once(value_type: int, values: tuple[int, ...]) -> None:
    assert is_picture(looked_at(turned_tiff(integers(value_type, "<", *values), "<", is_big=True)), UPRIGHT)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value_type", INTEGERS)
@pytest.mark.parametrize("values", [(6,), (6, 1), (6, 3, 3, 3, 3)])
def test_an_orientation_of_any_integer_type_counts_in_exif(
    image_format: str, order: str, value_type: int, values: tuple[int, ...]
) -> None:
    exif = tiff_of({ORIENTATION: integers(value_type, order, *values)}, order)
    assert is_picture(looked_at(in_container(image_format, b"Exif\0\0" + exif)), UPRIGHT)


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value_type", [BYTE, SHORT])
def test_a_container_that_turns_by_itself_has_the_word_whatever_type_its_exif_has(
    image_format: str, order: str, value_type: int
) -> None:
    said = tiff_of({ORIENTATION: integers(value_type, order, 6)}, order)
    silent = tiff_of({ORIENTATION + 1: integers(value_type, order, 6)}, order)
    content = in_container(image_format, b"Exif\0\0" + silent)
    assert silent in content
    assert is_picture(looked_at(content.replace(silent, said)), STORED)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "tag",
    [
        *((BYTE, 1, b"\0"), (BYTE, 1, b"\x09"), (BYTE, 0, b""), (SBYTE, 1, b"\xfa"), (UNDEFINED, 0, b"")),
        *((FLOAT, 1, bytes(4)), (RATIONAL, 1, bytes(8)), (2, 2, b"6\0"), (99, 1, b"\x06\0\0\0")),
    ],
)
def test_what_is_no_orientation_turns_nothing(order: str, tag: Tag) -> None:
    assert is_picture(looked_at(turned_tiff(tag, order)), STORED)
    exif = tiff_of({ORIENTATION: tag}, order)
    assert is_picture(looked_at(in_container("JPEG", b"Exif\0\0" + exif)), STORED)


def test_where_a_fraction_lies_is_no_orientation() -> None:
    # Its eight bytes lie at offset 8, which is no way to turn a photo either.
    exif = b"II*\0" + struct.pack("<I", 16) + bytes(8) + struct.pack("<HHHII", 1, ORIENTATION, RATIONAL, 1, 8)
    assert is_picture(looked_at(in_container("JPEG", b"Exif\0\0" + exif)), STORED)


def test_a_tiff_whose_orientation_is_a_fraction_has_the_size_of_its_picture() -> None:
    six = RATIONAL, 1, struct.pack("<II", 6, 1)
    assert is_picture(looked_at(turned_tiff(six, "<")), STORED)


def test_a_face_that_lies_sideways_in_a_tiff_is_turned_by_a_byte(shared: Path) -> None:
    content = (shared / "cases" / "orientation-as-byte" / "tif_byte_le.tif").read_bytes()
    with Image.open(io.BytesIO(content)) as stored:
        size = stored.size
    photo = looked_at(content)
    assert (photo.height, photo.width) == size
