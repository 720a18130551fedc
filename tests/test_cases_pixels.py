"""Files that other programs show and a decoder trips over: their picture, or a reason, but never a wrong picture."""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import photo_files
import pytest
from numpy.typing import NDArray
from photo_files import saved
from PIL import ExifTags, Image

from facewatch.decode import decode, peek
from facewatch.errors import PhotoError


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture that is not its own negative."""
    return photo_files.picture(width, height, levels=(200, 180))


def seen(content: bytes) -> NDArray[np.uint8]:
    """The pixels, of the size that was announced."""
    announced = peek(io.BytesIO(content))
    photo = decode(io.BytesIO(content))
    assert (announced.width, announced.height) == (photo.width, photo.height)
    return photo.pixels


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other).mean())


# --- JPEG ---


@cache
def jpeg(variant: str) -> bytes:
    """A whole JPEG of enough detail that every byte of it matters."""
    noise = np.random.default_rng(0).integers(0, 90, (64, 80, 3), np.uint8)
    image = Image.fromarray(noise + np.asarray(picture(80, 64)) // 2)
    options: dict[str, dict[str, object]] = {
        "baseline": {},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 2},
        "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    }
    if variant == "grey":
        image = image.convert("L")
    content = saved(image, "JPEG", quality=90, **options.get(variant, {}))
    assert content.endswith(b"\xff\xd9")
    return content


FILM = b"\0\0\0\x18ftypmp42\0\0\0\0" + random.Random(3).randbytes(20_000)
INSTEAD_OF_THE_END_MARK = {
    "nothing": b"",
    "half of it": b"\xff",
    "a line break": b"\n",
    "a zero": b"\0",
    "four zeros": b"\0" * 4,
    "a hundred zeros": b"\0" * 100,
    "text": b"made by a phone" * 9,
    "a beginning": b"\xff\xd8\xff\xe1\0\x10Exif\0\0" + b"a" * 50,
    "another JPEG": jpeg("baseline"),
    "a lossless frame": b"..\xff\xc3\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0",
    "a frame": b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0",
    "a scan": b"\xff\xda\0\x0c\x03zz",
    "a table": b"\xff\xc4\0\x05ab" + b"z" * 30,
    "a segment beyond the end": b"\xff\xe1\xff\xff",
    "a restart": b"\xff\xd3abc",
    "a film": FILM,
    "a maker's trailer with a film": b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data" + FILM + b"SEFHxxxxSEFT",
}
VARIANTS = ("baseline", "grey", "progressive", "restarts", "progressive with restarts")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_jpeg_that_lacks_nothing_but_its_end_mark_is_the_whole_picture(variant: str) -> None:
    whole = seen(jpeg(variant))
    for name, trailer in INSTEAD_OF_THE_END_MARK.items():
        pixels = seen(jpeg(variant)[:-2] + trailer)
        assert pixels.tolist() == whole.tolist(), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_jpeg_that_is_cut_off_is_refused(variant: str) -> None:
    content = jpeg(variant)
    for n_bytes in (10, 11, 12, 13, 16, 20, 40, 100, 300, len(content) // 2):
        with pytest.raises(PhotoError, match="truncated JPEG"):
            decode(io.BytesIO(content[:-n_bytes]))


def test_a_progressive_jpeg_whose_last_scan_is_absent_is_refused() -> None:
    content = jpeg("progressive")
    with pytest.raises(PhotoError, match="truncated JPEG"):
        decode(io.BytesIO(content[: content.rindex(b"\xff\xda")]))


def test_a_jpeg_that_is_cut_off_at_a_restart_is_refused() -> None:
    content = jpeg("restarts")
    restarts = [place for place in range(len(content)) if content[place] == 0xFF and 0xD0 <= content[place + 1] <= 0xD7]
    assert len(restarts) > 8
    for place in restarts[-9:]:
        with pytest.raises(PhotoError, match="truncated JPEG"):
            decode(io.BytesIO(content[:place]))


def test_a_jpeg_whose_rest_is_zeros_is_a_copy_that_never_finished() -> None:
    with pytest.raises(PhotoError, match="truncated JPEG"):
        decode(io.BytesIO(jpeg("baseline")[:-2] + bytes(5000)))


def test_a_jpeg_in_xyb_has_the_colours_of_what_it_shows(shared: Path) -> None:
    photo = decode(io.BytesIO((shared / "photos" / "odd" / "formats" / "xyb.jpg").read_bytes()), working_side=100)
    red, green, blue = photo.pixels[:20, :20].reshape(-1, 3).mean(axis=0)  # stubble, which is yellow
    assert red > green + 20 > blue + 40


METADATA = (
    (0xE0, b"JFIF\0\1\1\1\0H\0H\0\0"),
    (0xE0, b"JFXX\0\x10"),
    (0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x1a\0\5\0\0\0\1\0\1\0\0\0\0\0\0"),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
    (0xE2, b"ICC_PROFILE\0\1\1profile"),
    (0xE2, b"MPF\0II*\0\x08\0\0\0\1\0"),
    (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x05\0\x03abc8BIM\x03\xed\0\0\0\0\0\x10" + bytes(16)),
    (0xEE, b"Adobe\0d\0\0\0\0\1"),
    (0xFE, b"comment"),
)


@pytest.mark.parametrize("image_format", ["JPEG", "MPO"])
def test_metadata_of_any_length_costs_a_jpeg_nothing(image_format: str) -> None:
    others = {"save_all": True, "append_images": [picture()]} if image_format == "MPO" else {}
    whole = saved(picture(), image_format, **others)
    expected = seen(whole).tolist()
    for marker, content in METADATA:
        for n_bytes in range(len(content) + 1):
            segment = struct.pack(">BBH", 0xFF, marker, n_bytes + 2) + content[:n_bytes]
            for segments in (segment, b"\xff\xff" + segment * 3):
                assert seen(whole[:2] + segments + whole[2:]).tolist() == expected, segment


def test_a_damaged_segment_costs_only_itself() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    whole = saved(picture(), "JPEG", exif=exif)
    assert seen(whole[:2] + b"\xff\xee\0\x07Adobe" + whole[2:]).shape == (48, 32, 3)


# --- AVIF ---


def avif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2015:06:07 10:11:12"
    return saved(picture(), "AVIF", exif=exif.tobytes())


def damages(content: bytes) -> dict[str, bytes]:
    """The same AVIF with other bytes where its EXIF is."""
    start = content.index(b"MM\0*")
    n_bytes = content.index(b"2015:06:07") + 20 - start
    texts = content[:start], content[start : start + n_bytes], content[start + n_bytes :]

    def with_exif(exif: bytes) -> bytes:
        return texts[0] + exif + texts[2]

    return {
        "no header": with_exif(b"Exif" + texts[1][4:]),
        "zeros": with_exif(bytes(n_bytes)),
        "noise": with_exif(random.Random(0).randbytes(n_bytes)),
        "another offset": content[: start - 4] + b"\0\0\0\x07" + content[start:],
        "a fraction that is a text": with_exif(texts[1].replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02")),
        "a fraction that is anything": with_exif(texts[1].replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x07")),
        "a text that is a fraction": with_exif(texts[1].replace(b"\x01\x0f\0\x02", b"\x01\x0f\0\x0b")),
    }


@pytest.mark.parametrize("orientation", [1, 6])
def test_damaged_exif_costs_an_avif_neither_its_picture_nor_its_turn(orientation: int) -> None:
    whole = avif(orientation)
    expected = seen(whole)
    assert expected.shape == ((48, 32, 3) if orientation == 6 else (32, 48, 3))
    for name, damaged in damages(whole).items():
        assert damaged != whole, name
        assert seen(damaged).tolist() == expected.tolist(), name


def test_a_tag_of_a_wrong_type_does_not_cost_an_avif_its_date() -> None:
    damaged = damages(avif(1))["a fraction that is a text"]
    assert decode(io.BytesIO(damaged)).taken_at == "2015-06-07T10:11:12"


# --- TIFF ---

BITS, COMPRESSION, PHOTOMETRIC, STRIPS, SAMPLES, STRIP_BYTES, PLANAR, PREDICTOR, COLOURS = (
    *(258, 259, 262, 273, 277),
    *(279, 284, 317, 320),
)
EXTRA, FORMAT, INK_SET, DOT_RANGE = 338, 339, 332, 336


def tiff(values: NDArray[np.generic], tags: dict[int, object] | None = None, *, order: str = "<") -> bytes:
    """A TIFF of these numbers; grey, black is zero, not compressed, unless its tags say otherwise.

    Args:
        values: shape (H, W), (H, W, C) or, where they are planes, (C, H, W).
        tags: numbers, or tuples of numbers, or (type, bytes); None leaves a tag out.
        order: `struct`'s sign for the byte order.
    """
    tags = tags or {}
    is_planar = tags.get(PLANAR) == 2 and values.ndim == 3
    height, width = values.shape[1:] if is_planar else values.shape[:2]
    n_samples = 1 if values.ndim == 2 else values.shape[0] if is_planar else values.shape[2]
    planes = values if is_planar else values[None]
    if tags.get(PREDICTOR) == 2:
        planes = np.diff(planes, axis=2, prepend=planes.dtype.type(0))
    strips = [plane.astype(values.dtype.newbyteorder(order)).tobytes() for plane in planes]
    if tags.get(COMPRESSION) == 8:
        strips = [zlib.compress(strip) for strip in strips]
    starts = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    entries = {
        **{256: width, 257: height, BITS: (8 * values.dtype.itemsize,) * n_samples, COMPRESSION: 1, PHOTOMETRIC: 1},
        **{STRIPS: (4, struct.pack(f"{order}{len(starts)}I", *starts)), SAMPLES: n_samples, 278: height},
        **{STRIP_BYTES: (4, struct.pack(f"{order}{len(strips)}I", *map(len, strips)))},
        FORMAT: ({"u": 1, "i": 2, "f": 3}[values.dtype.kind],) * n_samples,
        **tags,
    }
    return _with_directory(b"".join(strips), {tag: value for tag, value in entries.items() if value is not None}, order)


def _with_directory(pixels: bytes, entries: dict[int, object], order: str) -> bytes:
    content = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4) + pixels + bytes(len(pixels) % 2))
    rows = []
    for tag, value in sorted(entries.items()):
        numbers = value if isinstance(value, tuple) else (value,)
        is_raw = len(numbers) == 2 and isinstance(numbers[1], bytes)
        kind, raw = numbers if is_raw else (3, struct.pack(f"{order}{len(numbers)}H", *numbers))
        n_bytes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 11: 4, 12: 8}[kind]
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(f"{order}I", len(content))
        rows.append(struct.pack(f"{order}HHI4s", tag, kind, len(raw) // n_bytes, place))
        content += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
    content[4:8] = struct.pack(f"{order}I", len(content))
    return bytes(content + struct.pack(f"{order}H", len(rows)) + b"".join(rows) + bytes(4))


GREY = np.asarray(picture().convert("L"))
COLOUR = np.asarray(picture())


def stretched(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    return np.rint((values - float(low)) / (high - low) * 255).astype(np.uint8)


def as_grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[:, :, None], 3, axis=2)


DEPTHS = {
    "8 bits": (GREY, False),
    "16 bits": (GREY.astype(np.uint16) * 257, False),
    "32 bits": (GREY.astype(np.uint32) * 0x1010101, True),
    "16 bits, signed": ((GREY.astype(np.int32) * 257 - 32768).astype(np.int16), True),
    "32 bits, signed": ((GREY.astype(np.int64) * 0x1010101 - 2**31).astype(np.int32), True),
    "fractions": ((GREY / 255).astype(np.float32), False),
    "numbers beyond 1": (GREY.astype(np.float32) * 7 - 100, True),
}
PACKED = {"raw": {}, "deflated": {COMPRESSION: 8}, "predicted": {COMPRESSION: 8, PREDICTOR: 2}, "plane": {PLANAR: 2}}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_tiff_is_no_negative_at_any_depth_whichever_end_it_counts_from(depth: str, order: str) -> None:
    values, is_stretched = DEPTHS[depth]
    inverted = {"u": ~values if values.dtype.kind != "f" else values, "i": values, "f": values}[values.dtype.kind]
    if values.dtype.kind == "i":
        inverted = -1 - values
    elif values.dtype.kind == "f":
        inverted = 1 - values
    expected = as_grey(stretched(GREY) if is_stretched else GREY)
    for name, tags in PACKED.items():
        if tags.get(PREDICTOR) and values.dtype.kind == "f":
            continue
        for zero, numbers in ((1, values), (0, inverted)):
            pixels = seen(tiff(numbers, {**tags, PHOTOMETRIC: zero}, order=order))
            assert difference(pixels, expected) < 1, (name, zero)


def test_the_negatives_of_the_shared_cases_are_the_face_that_they_show(shared: Path) -> None:
    folder = shared / "cases" / "tiff-white-is-zero"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases")
    photo = decode(io.BytesIO((shared / "cases" / "jpeg-without-end-mark" / "noeoi.jpg").read_bytes())).pixels
    grey = as_grey(np.asarray(Image.fromarray(photo).convert("L")))
    for name in ("f32_white.tif", "neg_Dad1.tif"):
        assert difference(decode(io.BytesIO((folder / name).read_bytes())).pixels, grey) < 8, name


@pytest.mark.parametrize("n_bits", [1, 2, 4])
def test_few_bits_count_from_white_as_well_as_from_black(n_bits: int) -> None:
    levels = (np.arange(64, dtype=np.uint8).reshape(8, 8) * 7) % 2**n_bits
    bits = np.unpackbits(levels[:, :, None], axis=2)[:, :, 8 - n_bits :].reshape(8, -1)
    packed = np.packbits(bits, axis=1)
    expected = as_grey(np.rint(levels * (255 / (2**n_bits - 1))).astype(np.uint8))
    for tags in ({}, {PLANAR: 2}, {COMPRESSION: 8}):
        content = {256: 8, BITS: n_bits, **tags}
        assert seen(tiff(packed, {**content, PHOTOMETRIC: 1})).tolist() == expected.tolist()
        assert seen(tiff(packed, {**content, PHOTOMETRIC: 0})).tolist() == (255 - expected).tolist()


def test_where_a_tiff_does_not_say_what_its_numbers_mean_black_is_zero() -> None:
    assert seen(tiff(GREY, {PHOTOMETRIC: None})).tolist() == as_grey(GREY).tolist()
    assert seen(tiff(COLOUR, {PHOTOMETRIC: None})).tolist() == COLOUR.tolist()


@pytest.mark.parametrize("tag", [PHOTOMETRIC, SAMPLES, COMPRESSION, BITS])
def test_a_tiff_may_write_its_layout_with_the_type_byte(tag: int) -> None:
    value = {PHOTOMETRIC: b"\0", SAMPLES: b"\1", COMPRESSION: b"\1", BITS: b"\x08"}[tag]
    assert seen(tiff(~GREY, {PHOTOMETRIC: 0, tag: (1, value)})).tolist() == as_grey(GREY).tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_of_colour_are_the_same_picture(dtype: type[np.uint8 | np.uint16], order: str) -> None:
    values = COLOUR.astype(dtype) * (257 if dtype is np.uint16 else 1)
    alpha = np.full_like(values[:, :, :1], np.iinfo(dtype).max)
    for tags in ({}, {COMPRESSION: 8}):
        planes = {PHOTOMETRIC: 2, PLANAR: 2, **tags}
        assert seen(tiff(np.moveaxis(values, 2, 0), planes, order=order)).tolist() == COLOUR.tolist()
        for extra in (0, 1, 2):
            four = np.moveaxis(np.dstack([values, alpha]), 2, 0)
            assert seen(tiff(four, {**planes, EXTRA: extra}, order=order)).tolist() == COLOUR.tolist()


def test_colours_at_half_size_are_not_taken_for_whole_ones() -> None:
    units = np.repeat(np.array([[90, 90, 90, 90, 128, 160]], np.uint8), 4, axis=0).reshape(1, -1)
    content = tiff(
        units,
        {
            256: 4,
            257: 4,
            BITS: (8, 8, 8),
            SAMPLES: 3,
            FORMAT: None,
            278: 4,
            PHOTOMETRIC: 6,
            530: (2, 2),
            STRIP_BYTES: 24,
        },
    )
    pixels = seen(content)
    assert pixels.shape == (4, 4, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 1
    assert pixels[0, 0, 0] > pixels[0, 0, 1] + 30  # red, as they say


@pytest.mark.parametrize("tags", [{INK_SET: 2}, {DOT_RANGE: (255, 0)}, {DOT_RANGE: (255, 0, 255, 0, 255, 0, 255, 0)}])
def test_inks_that_are_not_plain_cmyk_are_refused(tags: dict[int, object]) -> None:
    inks = np.dstack([255 - COLOUR, np.zeros_like(GREY)])
    assert seen(tiff(inks, {PHOTOMETRIC: 5, INK_SET: 1, DOT_RANGE: (0, 255)})).tolist() == COLOUR.tolist()
    with pytest.raises(PhotoError, match="not plain CMYK"):
        decode(io.BytesIO(tiff(inks, {PHOTOMETRIC: 5, **tags})))


@pytest.mark.parametrize("interpretation", [1, 8])
def test_planes_that_pillow_misreads_are_refused(interpretation: int) -> None:
    planes = np.moveaxis(COLOUR[:, :, : 2 if interpretation == 1 else 3], 2, 0)
    tags = {PHOTOMETRIC: interpretation, PLANAR: 2, **({EXTRA: 2} if interpretation == 1 else {})}
    with pytest.raises(PhotoError, match="planes of other colours"):
        decode(io.BytesIO(tiff(planes, tags)))


@pytest.mark.parametrize("compression", [50001, 34712, 32909, 9])
def test_a_compression_that_is_not_known_is_called_so(compression: int) -> None:
    with pytest.raises(PhotoError, match=f"not supported .compression {compression}"):
        decode(io.BytesIO(tiff(GREY, {COMPRESSION: compression})))


@pytest.mark.parametrize("offset", [2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_directory_beyond_the_end_of_all_files_is_a_fault_of_the_photo(offset: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0\x08\0\0\0" + offset.to_bytes(8, "little") + bytes(2000))
    with path.open("rb") as data, pytest.raises(PhotoError, match="TIFF"):
        decode(data)


def test_8_bits_with_a_sign_are_refused() -> None:
    with pytest.raises(PhotoError, match="8 bits with a sign"):
        decode(io.BytesIO(tiff(GREY.astype(np.int8))))


def test_a_palette_of_8_bits_is_not_black() -> None:
    palette = (*range(256), *range(255, -1, -1), *[77] * 256)
    expected = np.dstack([GREY, 255 - GREY, np.full_like(GREY, 77)])
    for scale in (1, 257):
        pixels = seen(tiff(GREY, {PHOTOMETRIC: 3, COLOURS: tuple(number * scale for number in palette)}))
        assert pixels.tolist() == expected.tolist()


def test_a_bigtiff_of_the_other_byte_order_is_refused_for_what_it_is() -> None:
    with pytest.raises(PhotoError, match="big-endian BigTIFF"):
        decode(io.BytesIO(b"MM\0+\0\x08\0\0" + (16).to_bytes(8, "big") + bytes(40)))


DESCRIPTIONS = {270: "description", 271: "make", 272: "model", 305: "software", 306: "date", 315: "artist"}
TYPES = {1: b"\x01\x02\x03", 2: b"abc\0", 3: b"\0\x01", 4: b"\0\0\0\x01", 5: bytes(8), 7: b"\xff" * 9, 11: bytes(4)}


@pytest.mark.parametrize("order", ["<", ">"])
def test_metadata_of_a_wrong_type_costs_a_tiff_nothing(order: str) -> None:
    for tag in (*DESCRIPTIONS, 282, 283, 296, 700, 33723, 34377, 34675, 34665, 34853, 40961):
        for kind, raw in TYPES.items():
            for value in (raw, raw * 5):
                assert (
                    seen(tiff(COLOUR, {PHOTOMETRIC: 2, tag: (kind, value)}, order=order)).tolist() == COLOUR.tolist()
                ), (
                    tag,
                    kind,
                )


# --- PNG ---


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(values: NDArray[np.generic], colour_type: int, *before: bytes, after: bytes = b"") -> bytes:
    """A PNG of these numbers, of 8 or 16 bits; chunks may stand before and after its pixels."""
    rows = values.astype(values.dtype.newbyteorder(">"))
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8 * values.dtype.itemsize, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = (chunk(b"IHDR", header), *before, chunk(b"IDAT", pixels), after, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_transparent_grey_of_16_bits_is_white_and_its_neighbours_are_not() -> None:
    values = GREY.astype(np.uint16) * 257
    values[:8], values[8] = 1234, 1235
    expected = as_grey((values >> 8).astype(np.uint8))
    expected[:8] = 255
    assert seen(png(values, 0, chunk(b"tRNS", struct.pack(">H", 1234)))).tolist() == expected.tolist()


def test_a_transparent_colour_of_16_bits_makes_no_other_colour_transparent() -> None:
    values = COLOUR.astype(np.uint16) * 257
    key = struct.pack(">HHH", *COLOUR[20, 30])  # as numbers of 8 bits it would be a colour of the picture
    assert seen(png(values, 2, chunk(b"tRNS", key))).tolist() == COLOUR.tolist()


DAMAGED_CHUNKS = (
    *((b"iCCP", content) for content in (b"", b"x", b"x\0", b"x\0\1", b"x\0\0zzz")),
    *(
        (name, b"")
        for name in (b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"sBIT", b"tIME")
    ),
    *((name, b"\0\1") for name in (b"pHYs", b"gAMA", b"cHRM", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"bKGD", b"eXIf")),
    *(
        (name, content)
        for name in (b"tEXt", b"zTXt", b"iTXt")
        for content in (b"", b"a", b"\0", b"a\0\1\1\1", b"\xff\0\0")
    ),
    *(
        (b"tEXt", word + b"\0" + b"1")
        for word in (b"transparency", b"bbox", b"default_image", b"exif", b"xmp", b"gamma")
    ),
    (b"iTXt", b"transparency\0\0\0\0\0x"),
    (b"zTXt", b"bbox\0\0" + zlib.compress(b"x")),
    (b"vpAg", b"anything"),
)


def test_damaged_metadata_costs_a_png_nothing() -> None:
    expected = COLOUR.tolist()
    for name, content in DAMAGED_CHUNKS:
        whole = chunk(name, content)
        for damaged in (whole, whole[:-1] + bytes([whole[-1] ^ 1])):
            assert seen(png(COLOUR, 2, damaged)).tolist() == expected, damaged
            assert seen(png(COLOUR, 2, after=damaged)).tolist() == expected, damaged


def test_damaged_metadata_costs_a_png_only_itself() -> None:
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    assert seen(png(COLOUR, 2, chunk(b"pHYs", b""), chunk(b"eXIf", exif))).shape == (48, 32, 3)
    key = struct.pack(">HHH", *COLOUR[0, 0])
    assert seen(png(COLOUR, 2, chunk(b"pHYs", b""), chunk(b"tRNS", key)))[0, 0].tolist() == [255, 255, 255]


def test_a_png_that_lacks_nothing_but_its_end_is_the_whole_picture() -> None:
    content = png(COLOUR, 2, chunk(b"pHYs", bytes(9)))
    for n_bytes in (1, 4, 8, 11, 12):
        for trailer in (b"", b"\0" * 8, b"a maker's trailer", FILM):
            assert seen(content[:-n_bytes] + trailer).tolist() == COLOUR.tolist(), (n_bytes, trailer)


def test_a_png_that_is_cut_off_is_refused() -> None:
    content = png(COLOUR, 2)
    for n_bytes in (24, 30, 100, len(content) // 2):
        with pytest.raises(PhotoError, match="truncated PNG"):
            decode(io.BytesIO(content[:-n_bytes]))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_png_whose_packed_pixels_end_before_its_last_row_is_refused(mode: str, colour: str) -> None:
    content = saved(Image.new("RGB", (65, 47), colour).convert(mode), "PNG")
    assert seen(content).shape == (47, 65, 3)
    start, end = content.index(b"IDAT") + 4, content.index(b"IEND") - 8
    rows = zlib.decompress(content[start:end])
    short = chunk(b"IDAT", zlib.compress(rows[: len(rows) - len(rows) // 47]))
    with pytest.raises(PhotoError, match="truncated PNG"):
        decode(io.BytesIO(content[: start - 8] + short + content[end + 4 :]))


def test_an_interlaced_png_whose_last_pass_is_absent_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 1)
    rows = [b"\0\x80"] * 2 + [b"\0\x80\x80"] + [b"\0\x80\x80"] * 2  # of the passes that four columns and rows have
    last = [b"\0\x80\x80\x80\x80"] * 2

    def interlaced(rows: list[bytes]) -> bytes:
        chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

    assert (seen(interlaced([b"\0\x80", b"\0\x80", *rows[2:], *last])) == 0x80).all()
    with pytest.raises(PhotoError, match="truncated PNG"):
        decode(io.BytesIO(interlaced(rows)))


def test_damaged_pixels_are_no_metadata() -> None:
    content = png(COLOUR, 2, chunk(b"pHYs", b""))
    for damaged in (content[:-40], content.replace(b"IHDR\0\0\0", b"IHDR\0\0\1")):
        with pytest.raises(PhotoError):
            decode(io.BytesIO(damaged))


# --- BMP ---


@pytest.mark.parametrize("header_bytes", [56, 108, 124])
@pytest.mark.parametrize("alpha", [0, 255])
def test_a_bmp_whose_fourth_byte_is_never_set_is_not_white(header_bytes: int, alpha: int) -> None:
    pixels = np.dstack([COLOUR[::-1, :, ::-1], np.full_like(GREY, alpha)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", header_bytes, 48, 32, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks
    info = info.ljust(header_bytes, b"\0")
    start = 14 + header_bytes
    content = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + pixels
    assert seen(content).tolist() == COLOUR.tolist()


# --- JPEG 2000 ---


def test_colours_of_many_bits_in_jpeg_2000_are_refused_and_grey_is_not() -> None:
    content = saved(picture(), "JPEG2000")
    sizes = content.index(b"\xff\x4f\xff\x51") + 42  # where each component says how many bits it has
    assert content[sizes : sizes + 9] == b"\x07\1\1" * 3
    assert difference(seen(content), COLOUR) < 2
    with pytest.raises(PhotoError, match="colours of 16 bits"):
        decode(io.BytesIO(content[:sizes] + b"\x0f\1\1" * 3 + content[sizes + 9 :]))
    grey = Image.fromarray(np.arange(0, 65536, 32, np.uint16).reshape(32, 64))
    assert difference(seen(saved(grey, "JPEG2000")), as_grey((np.asarray(grey) >> 8).astype(np.uint8))) < 1
