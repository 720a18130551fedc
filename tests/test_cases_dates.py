"""What photo programs have got wrong about how a photo is turned, and about when it was taken."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pillow_heif
import pytest
from drawn import Library
from PIL import ExifTags, Image
from sqlite_utils import Database

from facewatch.catalog.migrations import MIGRATIONS
from facewatch.decode import dates, decode, peek, taken_at
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


def turned_tiff(tag: Tag, order: str, *, is_big: bool = False, more: Mapping[int, Tag] = MappingProxyType({})) -> bytes:
    """A TIFF of the stored picture whose orientation is that."""
    picture = STORED.tobytes()
    numbers = {0x0100: 48, 0x0101: 32, 0x0103: 1, 0x0106: 2, STRIP_OFFSETS: 0, 0x0115: 3, 0x0116: 32}
    tags = {name: integers(LONG, order, number) for name, number in (numbers | {0x0117: len(picture)}).items()}
    tags |= {0x0102: integers(SHORT, order, 8, 8, 8), ORIENTATION: tag, **more}
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


# --- clocks that nobody has set ---

ORIGINAL, DIGITIZED = ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized

NULLS = (
    *("2002-12-08T12:00:00", "1904-01-01T00:00:00", "1899-12-30T00:00:00", "1858-11-17T00:00:00"),
    *("1601-01-01T00:00:00", "1970-01-01T00:00:00", "1980-01-01T00:00:00", "1980-01-06T00:00:00"),
    *("2000-01-01T00:00:00", "1901-12-13T20:45:52", "2038-01-19T03:14:07", "2106-02-07T06:28:15"),
)


def exif_saying(original: str, digitized: str | None = None) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ORIGINAL] = original
    if digitized:
        exif.get_ifd(ExifTags.IFD.Exif)[DIGITIZED] = digitized
    return exif.tobytes()


def jpeg(**options: object) -> bytes:
    target = io.BytesIO()
    STORED.save(target, "JPEG", **options)
    return target.getvalue()


def said_by(content: bytes) -> str:
    """When a photo was taken, which must not depend on whether it is decoded."""
    said = taken_at(io.BytesIO(content))
    assert decode(io.BytesIO(content)).taken_at == said
    return said


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("zone", ["", "Z", ".000", "+00:00", "+01:00", "-08:00", "+0530", ".5-03:30"])
def test_a_null_date_is_none_with_and_without_a_time_zone(null: str, zone: str) -> None:
    assert dates.date_in((null + zone).encode()) == ""


@pytest.mark.parametrize("null", NULLS)
def test_a_null_date_is_none_in_exif_and_in_xmp(null: str) -> None:
    assert said_by(jpeg(exif=exif_saying(null.replace("-", ":").replace("T", " ")))) == ""
    for xmp in (f'<r exif:DateTimeOriginal="{null}"/>', f"<photoshop:DateCreated>{null}Z</photoshop:DateCreated>"):
        assert said_by(jpeg(xmp=xmp.encode())) == ""


@pytest.mark.parametrize(
    "text",
    [
        # Zeros that a program has shown by its own time zone.
        *("1904-01-01T01:00:00+01:00", "1903-12-31T16:00:00-08:00", "1904-01-01T05:30:00", "1903-12-31T19:00:00"),
        *("1904-01-01T00:19:32", "1899-12-30T01:00:00+01:00", "1899-12-29T16:00:00", "1858-11-17T01:00:00"),
        *("1980-01-05T16:00:00", "1980-01-06T00:00:13", "2002-12-08T13:00:00+01:00", "1999-12-31T16:00:00-08:00"),
        *("1999-12-31T24:00:00", "1903-12-31T24:00:00", "1969-12-31T23:59:60"),
        "1899-12-30T14:23:05",  # a time of day, of no day
    ],
)
def test_a_zero_that_was_shown_elsewhere_or_ran_on_is_none_either(text: str) -> None:
    assert dates.date_in(text.encode()) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("2002-12-08T12:00:01", "2002-12-08T11:59:59", "2002-12-08T00:00:00"),
        *("1904-01-02T00:00:00", "1903-12-31T00:00:00", "1905-01-01T00:00:00", "1899-12-31T00:00:00"),
        *("1900-01-01T00:00:00", "1858-11-18T00:00:00", "1901-12-13T00:00:00", "1980-01-07T00:00:00"),
        *("1990-01-01T00:00:00", "2001-01-01T00:00:00", "2005-01-01T00:00:00", "2010-01-01T00:00:00"),
        *("1999-12-31T23:59:59", "1999-12-31T16:00:01-08:00", "2000-01-01T12:00:00", "2038-01-19T03:14:08"),
    ],
)
def test_a_real_photo_beside_a_null_date_or_at_midnight_keeps_its_date(text: str) -> None:
    assert dates.date_in(text.encode()) == text[:19]


def test_behind_a_null_date_the_next_source_counts() -> None:
    exif = exif_saying("2002:12:08 12:00:00", "2015:10:19 15:22:31")
    assert said_by(jpeg(exif=exif)) == "2015-10-19T15:22:31"
    assert said_by(jpeg(exif=exif, xmp=b'<r photoshop:DateCreated="2014-01-10"/>')) == "2014-01-10T00:00:00"


@pytest.mark.parametrize(
    ("said", "is_known"),
    [
        *(("2002:12:08 12:00:00", True), ("1904:01:01 00:00:00", True), ("1899:12:30 00:00:00", True)),
        *(("2002:12:08 12:00:01", False), ("1904:01:02 00:00:00", False)),
    ],
)
def test_a_child_is_known_in_a_photo_whose_clock_was_not_set(library: Library, said: str, is_known: bool) -> None:
    library.draw_looks(1, 3)
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.born("1", "2014-06")
    path = library.draw("new.png", (1, 9))
    settled = path.stat().st_mtime_ns
    with Image.open(path) as image:
        image.load()
    image.save(path, "PNG", exif=exif_saying(said))
    os.utime(path, ns=(settled, settled))
    library.scan()
    kid = {"0.png", "1.png", "2.png"}
    assert library.groups() == [kid | {"new.png"} if is_known else kid]


def test_a_catalog_asks_again_what_it_has_taken_for_a_date(tmp_path: Path) -> None:
    db = Database(tmp_path / "older.sqlite")
    MIGRATIONS.apply(db, stop_before="0005_null_dates")
    said = ["", *NULLS[:4], "1904-01-01T05:30:00", "1981-02-03T04:05:06", "2014-05-06T00:00:00"]
    for i, taken in enumerate(said):
        columns = "sha256, width, height, format, added_at, taken_at"
        db.execute(f"INSERT INTO photos ({columns}) VALUES (?, 1, 1, 'PNG', 'now', ?)", [bytes([i]) * 32, taken])
    MIGRATIONS.apply(db)
    kept = [row[0] for row in db.execute("SELECT taken_at FROM photos ORDER BY id")]
    assert kept == [None] * 6 + said[6:]
    db.close()


# --- the end of a day, and a second too many ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2004:05:03 24:00:00", "2004-05-04T00:00:00"),
        ("2004-12-31T24:00:00+01:00", "2005-01-01T00:00:00"),
        ("2004-02-28T24:00", "2004-02-29T00:00:00"),
        ("2016:12:31 23:59:60", "2016-12-31T23:59:59"),
        ("2017-01-01T00:59:60+01:00", "2017-01-01T00:59:59"),
        *(("2004:05:03 24:00:01", ""), ("2004:05:03 24:01:00", ""), ("2004:05:03 24:00:60", "")),
        *(("2004:05:03 12:00:61", ""), ("2004:05:03 12:60:00", ""), ("9999:12:31 24:00:00", "")),
        *(("2004-05-03T12:34:56+99:99", "2004-05-03T12:34:56"), ("2004-05-03T12:34:56+1", "2004-05-03T12:34:56")),
        *(("0001-01-01T00:00:00+14:00", ""), ("9999-12-31T23:59:59-07:00", "9999-12-31T23:59:59")),
    ],
)
def test_the_end_of_a_day_is_the_next_one_s_begin_and_a_leap_second_the_one_before(text: str, said: str) -> None:
    assert dates.date_in(text.encode()) == said


# --- IPTC ---


def record(number: int, content: bytes, *, is_long: bool = False) -> bytes:
    """One of record 2; a long one names the length of its length."""
    length = struct.pack(">HI", 0x8004, len(content)) if is_long else struct.pack(">H", len(content))
    return bytes([0x1C, 2, number]) + length + content


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's, each part of an even length."""
    title = bytes([len(name)]) + name
    return b"8BIM" + struct.pack(">H", number) + padded(title) + struct.pack(">I", len(content)) + padded(content)


def padded(content: bytes) -> bytes:
    return content + bytes(len(content) % 2)


def app13(*contents: bytes) -> bytes:
    return b"".join(b"\xff\xed" + struct.pack(">H", len(content) + 2) + content for content in contents)


HEADER = b"Photoshop 3.0\0"
IPTC = record(90, b"Berlin!") + record(55, b"19650801") + record(60, b"123456+0100")
SUMMER = "1965-08-01T12:34:56"


def with_segments(segments: bytes, **options: object) -> bytes:
    content = jpeg(**options)
    return content[:2] + segments + content[2:]


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (IPTC, SUMMER),
        (record(55, b"19650801"), "1965-08-01T00:00:00"),
        (record(60, b"123456") + record(55, b"19650801"), SUMMER),
        (record(55, b"19650801") + record(60, b"1234"), "1965-08-01T12:34:00"),
        (record(55, b"19650801", is_long=True) + record(60, b"12:34:56Z"[:8]), SUMMER),
        (record(55, b"1965-08-01\0") + record(60, b"123456-0330"), SUMMER),
        (record(55, b"1965:08:01") + record(60, b"240000+0000"), "1965-08-02T00:00:00"),
        (record(55, b"20161231") + record(60, b"235960+0000"), "2016-12-31T23:59:59"),
        (record(55, b"19650801") + record(60, b"      +0000"), "1965-08-01T00:00:00"),
        (record(55, b"19650801") + record(60, b"997799+0100"), "1965-08-01T00:00:00"),
        (record(55, b"19650801") + record(55, b"20100101"), "1965-08-01T00:00:00"),
        *((record(55, b"19650000"), ""), (record(55, b"19650800"), ""), (record(55, b"00000000"), "")),
        *((record(55, b"19650231"), ""), (record(55, b""), ""), (record(60, b"123456"), "")),
        *((record(62, b"19650801"), ""), (record(55, b"19040101"), ""), (record(55, b"19700101"), "")),
        (record(55, b"20021208") + record(60, b"120000+0000"), ""),
        (record(55, b"20021208") + record(60, b"150000+0000"), "2002-12-08T15:00:00"),
        *((b"", ""), (IPTC[1:], ""), (IPTC[:-4], "1965-08-01T00:00:00"), (record(55, b"19650801")[:9], "")),
    ],
)
def test_iptc_says_when_a_picture_came_to_be(block: bytes, said: str) -> None:
    segment = HEADER + resource(0x03ED, bytes(16)) + resource(0x0404, block, name=b"odd") + resource(0x040C, bytes(9))
    assert said_by(with_segments(app13(segment))) == said


def test_iptc_in_two_segments_is_one() -> None:
    block = resource(0x0401, b"odd") + resource(0x0404, IPTC)
    for cut in (5, 30, len(block) - 15):
        segments = app13(HEADER + block[:cut], HEADER + block[cut:])
        assert said_by(with_segments(segments)) == SUMMER


@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
def test_a_tiff_says_it_in_a_tag_of_its_own_or_photoshop_s(order: str, is_big: bool) -> None:
    long = IPTC + bytes(-len(IPTC) % 4)
    swapped = b"".join(long[start : start + 4][::-1] for start in range(0, len(long), 4))
    for name, tag in (
        (33723, (UNDEFINED, len(IPTC), IPTC)),
        (33723, (BYTE, len(IPTC), IPTC)),
        (33723, (LONG, len(long) // 4, long)),
        (33723, (LONG, len(swapped) // 4, swapped)),
        (34377, (BYTE, len(resource(0x0404, IPTC)), resource(0x0404, IPTC))),
    ):
        content = turned_tiff(integers(SHORT, order, 1), order, is_big=is_big, more={name: tag})
        assert said_by(content) == SUMMER


def with_profile(name: str, profile: bytes, *, is_packed: bool, is_behind: bool) -> bytes:
    """A PNG with a block in hexadecimal digits, before or behind its pixels."""
    text = f"\n{name}\n{len(profile):8}\n{profile.hex()}\n".encode()
    keyword = f"Raw profile type {name}\0".encode()
    content = b"zTXt" + keyword + b"\0" + zlib.compress(text) if is_packed else b"tEXt" + keyword + text
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    target = io.BytesIO()
    STORED.save(target, "PNG")
    png = target.getvalue()
    at = len(png) - 12 if is_behind else png.index(b"IDAT") - 4
    return png[:at] + chunk + png[at:]


PLACES = pytest.mark.parametrize(
    ("is_packed", "is_behind"), [(True, False), (False, False), (True, True), (False, True)]
)


@PLACES
@pytest.mark.parametrize(
    ("name", "profile"),
    [("iptc", resource(0x0404, IPTC)), ("8bim", resource(0x0404, IPTC)), ("iptc", IPTC)],
    ids=["ImageMagick", "8bim", "exiftool"],
)
def test_a_png_says_it_in_a_text(name: str, profile: bytes, is_packed: bool, is_behind: bool) -> None:
    assert said_by(with_profile(name, profile, is_packed=is_packed, is_behind=is_behind)) == SUMMER


@PLACES
@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_in_a_text_of_a_png_counts_before_and_behind_its_pixels(
    name: str, is_packed: bool, is_behind: bool
) -> None:
    exif = b"Exif\0\0" + tiff_of({ORIENTATION: integers(BYTE, ">", 6)}, ">")
    assert is_picture(looked_at(with_profile(name, exif, is_packed=is_packed, is_behind=is_behind)), UPRIGHT)


def test_iptc_comes_after_the_camera_and_xmp_and_before_the_scanner() -> None:
    segment = app13(HEADER + resource(0x0404, IPTC))
    xmp = b'<r photoshop:DateCreated="1964-07-01"/>'
    assert said_by(with_segments(segment, exif=exif_saying("2004:05:03 12:34:56"))) == "2004-05-03T12:34:56"
    assert said_by(with_segments(segment, xmp=xmp)) == "1964-07-01T00:00:00"
    assert said_by(with_segments(segment, exif=exif_saying("0000:00:00 00:00:00", "2010:01:02 03:04:05"))) == SUMMER


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x80\0\0\0"])
def test_iptc_that_claims_to_be_huge_costs_at_most_the_date(length: bytes) -> None:
    head = b"8BIM\x04\x04\0\0"
    assert said_by(with_segments(app13(HEADER + head + length + IPTC))) == SUMMER
    assert said_by(with_segments(app13(HEADER + head))) == ""
    assert said_by(with_segments(app13(HEADER + resource(0x0404, b"\x1c\x02\x37\xff\xff" + IPTC)))) == ""


def test_of_iptc_in_any_number_of_parts_only_so_many_are_looked_at() -> None:
    wanted = (record(55, b"19650801"), "1965-08-01")
    assert [*dates._records(record(25, b"") * 20_000)][-1] == (b"\x02\x19", b"")
    assert len([*dates._records(record(25, b"") * 20_000 + wanted[0])]) == dates._MAX_PARTS
    assert [*dates._resources(resource(1, b"") * 20_000 + resource(0x0404, wanted[0]))] == []
