"""decode: RAW photos come out upright and whole, from their preview where it is large enough, or say why not."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from facewatch.decode import WORKING_SIDE, dates, decode, peek, sniff, taken_at
from facewatch.decode.kinds import KINDS
from facewatch.errors import PhotoError
from facewatch.types import Decoded

UNDO = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""How a sensor that was held like that sees an upright scene."""

PREVIEW, PHOTO = "red", "green"
"""Each has its colour in the left upper corner, so that they can be told apart."""


def scene(width: int, height: int, corner: str) -> Image.Image:
    """Grey that grows lighter to the right and, less so, downwards; with a coloured left upper corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    image = Image.fromarray((60 + 100 * x + 50 * y).astype(np.uint8)).convert("RGB")
    image.paste(corner, (0, 0, width // 3, height // 3))
    return image


def jpeg(image: Image.Image, orientation: int | None = None) -> bytes:
    target, exif = io.BytesIO(), Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    image.save(target, "JPEG", quality=90, exif=exif)
    return target.getvalue()


def mosaic(image: Image.Image) -> NDArray[np.uint16]:
    """What a sensor with red and green, green and blue rows would count, 16 bits, with a little noise."""
    values = (np.asarray(image).astype(float) / 255) ** 2.2 * 60_000
    values += np.random.default_rng(0).uniform(0, 300, values.shape)
    counts = values[:, :, 1].copy()
    counts[0::2, 0::2] = values[0::2, 0::2, 0]
    counts[1::2, 1::2] = values[1::2, 1::2, 2]
    return counts.astype(np.uint16)


Tags = dict[int, tuple[int, list[int] | bytes]]
"""Of a TIFF directory: to type and values."""


def directory(tags: Tags, start: int, following: int = 0) -> bytes:
    """A directory of a little-endian TIFF that lies at `start`, with what belongs to it behind it."""
    end = start + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, (value_type, values) in sorted(tags.items()):
        if isinstance(values, bytes):
            count, content = len(values), values
        else:
            count = len(values) // (2 if value_type in (5, 10) else 1)
            code = {1: "B", 3: "H", 4: "I", 5: "I", 10: "i"}[value_type]
            content = struct.pack(f"<{len(values)}{code}", *values)
        if len(content) > 4:
            place, rest = struct.pack("<I", end + len(rest)), rest + content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, value_type, count) + place
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + rest


def dng(
    photo: Image.Image,
    *,
    orientation: int = 1,
    preview: bytes = b"",
    preview_size: tuple[int, int] = (0, 0),
    compression: int = 1,
    directories_last: bool = False,
) -> bytes:
    """A DNG with an uncompressed mosaic and perhaps a preview, both as the sensor saw them."""
    counts = mosaic(photo)
    blobs = [bytes(range(192)), preview + b"\0" * (len(preview) % 2), counts.tobytes()]

    def directories(start: int, blobs_start: int) -> tuple[int, bytes]:
        """Where the first directory lies, and all of them, to lie at `start`."""
        places = [blobs_start + sum(map(len, blobs[:i])) for i in range(3)]
        raw = _raw_tags(counts.shape, places[2], compression)
        small = _preview_tags(preview_size, places[1], len(preview))
        exif: Tags = {ExifTags.Base.DateTimeOriginal: (2, b"2021:03:04 05:06:07\0")}
        content, at = b"", []
        for tags in (exif, raw, *([small] if preview else [])):
            at.append(start + len(content))
            content += directory(tags, at[-1])
        return start + len(content), content + directory(
            _first_tags(orientation, places[0], at[0], at[1:]), start + len(content)
        )

    if directories_last:
        first, content = directories(8 + sum(map(len, blobs)), 8)
        return b"II*\0" + struct.pack("<I", first) + b"".join(blobs) + content
    first, content = directories(8, 8 + len(directories(8, 0)[1]))
    return b"II*\0" + struct.pack("<I", first) + content + b"".join(blobs)


SHORT, LONG = 3, 4


def _raw_tags(shape: tuple[int, ...], place: int, compression: int) -> Tags:
    height, width = shape
    return {
        254: (LONG, [0]),
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [16]),
        259: (SHORT, [compression]),
        262: (SHORT, [32803]),
        273: (LONG, [place]),
        277: (SHORT, [1]),
        278: (LONG, [height]),
        279: (LONG, [height * width * 2]),
        33421: (SHORT, [2, 2]),
        33422: (1, [0, 1, 1, 2]),
        50714: (SHORT, [0]),
        50717: (LONG, [60_000]),
    }


def _preview_tags(size: tuple[int, int], place: int, n_bytes: int) -> Tags:
    return {
        254: (LONG, [1]),
        256: (LONG, [size[0]]),
        257: (LONG, [size[1]]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [7]),
        262: (SHORT, [6]),
        273: (LONG, [place]),
        277: (SHORT, [3]),
        278: (LONG, [size[1]]),
        279: (LONG, [n_bytes]),
    }


def _first_tags(orientation: int, thumbnail: int, exif: int, within: list[int]) -> Tags:
    return {
        254: (LONG, [1]),
        256: (LONG, [8]),
        257: (LONG, [8]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [1]),
        262: (SHORT, [2]),
        271: (2, b"Nobody\0"),
        272: (2, b"Camera\0"),
        273: (LONG, [thumbnail]),
        274: (SHORT, [orientation]),
        277: (SHORT, [3]),
        278: (LONG, [8]),
        279: (LONG, [192]),
        330: (LONG, within),
        34665: (LONG, [exif]),
        50706: (1, [1, 4, 0, 0]),
        50708: (2, b"Nobody Camera\0"),
        50721: (10, [n for value in _FROM_XYZ for n in (round(value * 10_000), 10_000)]),
        50728: (5, [1, 1, 1, 1, 1, 1]),
        50778: (SHORT, [21]),
    }


_FROM_XYZ = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
"""From XYZ to linear sRGB: the camera's colours are those of a screen."""


def decode_bytes(content: bytes, **options: int) -> Decoded:
    return decode(io.BytesIO(content), **options)


def corner_of(photo: Decoded) -> str:
    """Which picture it is; fails where that is not upright."""
    pixels = photo.pixels.astype(int)
    height, width = pixels.shape[:2]

    def middle_of(column: float, row: float) -> NDArray[np.int_]:
        y, x = int(height * row), int(width * column)
        return pixels[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)

    left, right, lower = middle_of(0.1, 0.6), middle_of(0.9, 0.6), middle_of(0.1, 0.9)
    assert right.mean() > left.mean() + 20
    assert lower.mean() > left.mean()
    red, green, blue = middle_of(0.15, 0.15)
    assert blue < max(red, green) - 50
    return PREVIEW if red > green else PHOTO


def held(image: Image.Image, orientation: int) -> Image.Image:
    undo = UNDO[orientation]
    return image if undo is None else image.transpose(undo)


def size_peeked(content: bytes) -> tuple[int, int]:
    seen = peek(io.BytesIO(content))
    return seen.width, seen.height


# --- which way is up ---


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("upright", [(300, 200), (200, 300)])
def test_a_photo_that_is_developed_comes_out_upright(orientation: int, upright: tuple[int, int]) -> None:
    content = dng(held(scene(*upright, PHOTO), orientation), orientation=orientation)
    photo = decode_bytes(content)
    assert corner_of(photo) == PHOTO
    assert (photo.width, photo.height) == size_peeked(content) == upright
    assert photo.pixels.shape[:2] == upright[::-1]


@pytest.mark.parametrize(
    ("orientation", "own"),
    [
        *((orientation, own) for orientation in (1, 3, 6, 8) for own in ("none", "its own")),
        # Upside down has no shape of its own: such a preview is believed.
        *((orientation, own) for orientation in (1, 6, 8) for own in ("wrong", "turned already")),
    ],
)
def test_a_preview_comes_out_upright_whatever_its_own_exif_says(orientation: int, own: str) -> None:
    sensor = held(scene(300, 200, PREVIEW), orientation)
    stored = scene(300, 200, PREVIEW) if own == "turned already" else sensor
    said = {"none": None, "its own": orientation, "wrong": 1, "turned already": None}[own]
    photo = held(scene(600, 400, PHOTO), orientation)
    content = dng(photo, orientation=orientation, preview=jpeg(stored, said), preview_size=stored.size)
    decoded = decode_bytes(content)
    assert corner_of(decoded) == PREVIEW
    assert decoded.pixels.shape == (200, 300, 3)
    assert (decoded.width, decoded.height) == size_peeked(content) == (600, 400)


# --- which picture ---


@pytest.mark.parametrize(("side", "taken"), [(100, PHOTO), (298, PHOTO), (300, PREVIEW), (600, PREVIEW)])
def test_a_preview_of_half_the_photo_s_size_is_good_enough(side: int, taken: str) -> None:
    small = scene(side, side * 2 // 3, PREVIEW)
    content = dng(scene(600, 400, PHOTO), preview=jpeg(small), preview_size=small.size)
    assert corner_of(decode_bytes(content)) == taken
    assert size_peeked(content) == (600, 400)


def test_what_is_taken_does_not_depend_on_the_size_that_is_asked_for() -> None:
    small = scene(WORKING_SIDE, 1000, PREVIEW)
    content = dng(scene(4400, 2200, PHOTO), preview=jpeg(small), preview_size=small.size)
    for working_side in (300, WORKING_SIDE, 4000):
        photo = decode_bytes(content, working_side=working_side)
        assert corner_of(photo) == PREVIEW
        assert max(photo.pixels.shape) == min(working_side, WORKING_SIDE)
        assert (photo.width, photo.height) == (4400, 2200)


def test_a_preview_of_another_shape_has_the_boxes_of_its_own() -> None:
    small = scene(400, 400, PREVIEW)
    photo = decode_bytes(dng(scene(600, 400, PHOTO), preview=jpeg(small), preview_size=small.size))
    assert (photo.width, photo.height) == (400, 400)


def test_a_preview_that_lacks_a_few_rows_has_the_boxes_of_the_photo() -> None:
    small = scene(596, 396, PREVIEW)
    photo = decode_bytes(dng(scene(600, 400, PHOTO), preview=jpeg(small), preview_size=small.size))
    assert (photo.width, photo.height) == (600, 400)


def test_a_damaged_preview_costs_nothing_but_time() -> None:
    small = jpeg(scene(600, 400, PREVIEW))
    content = dng(scene(600, 400, PHOTO), preview=small[: len(small) // 2], preview_size=(600, 400))
    assert corner_of(decode_bytes(content)) == PHOTO


@pytest.mark.parametrize("compression", [8, 52546])
@pytest.mark.parametrize("orientation", [1, 6])
def test_where_the_photo_cannot_be_developed_a_preview_is_better_than_nothing(
    compression: int, orientation: int
) -> None:
    sensor = [held(scene(*size, corner), orientation) for *size, corner in ((700, 500, PREVIEW), (1400, 1000, PHOTO))]
    small, photo = sensor
    content = dng(photo, orientation=orientation, preview=jpeg(small), preview_size=small.size, compression=compression)
    decoded = decode_bytes(content)
    assert corner_of(decoded) == PREVIEW
    assert (decoded.width, decoded.height) == size_peeked(content) == (1400, 1000)


@pytest.mark.parametrize("compression", [8, 52546])
def test_a_thumbnail_in_which_no_face_can_be_found_is_not(compression: int) -> None:
    small = scene(400, 300, PREVIEW)
    content = dng(scene(1400, 1000, PHOTO), preview=jpeg(small), preview_size=small.size, compression=compression)
    with pytest.raises(PhotoError, match="RAW"):
        decode_bytes(content)


# --- how large it becomes ---


@pytest.mark.parametrize("working_side", [100, 299, 300, 599, 600, 2000])
def test_the_longer_side_is_exactly_the_working_side(working_side: int) -> None:
    photo = decode_bytes(dng(scene(600, 400, PHOTO)), working_side=working_side)
    assert max(photo.pixels.shape) == min(working_side, 600)
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.dtype == np.uint8
    assert corner_of(photo) == PHOTO


def test_the_cap_holds_for_the_sensor_and_for_the_preview() -> None:
    content = dng(scene(600, 400, PHOTO))
    assert decode_bytes(content, max_pixels=240_000).width == 600
    with pytest.raises(PhotoError, match="too many pixels: 600 x 400"):
        peek(io.BytesIO(content), max_pixels=239_999)
    huge = scene(900, 600, PREVIEW)
    with pytest.raises(PhotoError, match="too many pixels: 900 x 600"):
        decode_bytes(dng(scene(600, 400, PHOTO), preview=jpeg(huge), preview_size=huge.size), max_pixels=240_000)


# --- its date ---


def test_a_raw_photo_has_its_date() -> None:
    content = dng(scene(300, 200, PHOTO))
    assert decode_bytes(content).taken_at == taken_at(io.BytesIO(content)) == "2021-03-04T05:06:07"


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("tiny_CanonRaw.cr2", "2005-08-03T18:59:18"),
        ("tiny_CanonRaw.cr3", "2018-02-21T12:08:56"),
        ("tiny_FujiFilm.raf", "2007-05-22T13:58:30"),
        ("tiny_Panasonic.rw2", "2008-08-06T15:21:56"),
    ],
)
def test_makers_keep_the_date_in_different_places(shared: Path, name: str, moment: str) -> None:
    with (shared / "photos" / "odd" / "raw" / name).open("rb") as data:
        assert dates.taken_at(KINDS["RAW"], None, data) == moment


# --- what went wrong ---


@pytest.mark.parametrize("with_preview", [True, False])
def test_a_cut_raw_photo_is_not_its_preview(with_preview: bool) -> None:
    small = scene(400, 266, PREVIEW)
    content = dng(scene(600, 400, PHOTO), preview=jpeg(small) if with_preview else b"", preview_size=small.size)
    for n_bytes in (len(content) - 1, len(content) - 1000, len(content) // 2):
        for door in (peek, decode):
            with pytest.raises(PhotoError, match="truncated RAW"):
                door(io.BytesIO(content[:n_bytes]))


def test_a_header_without_its_photo_is_truncated(shared: Path) -> None:
    raw = shared / "photos" / "odd" / "raw"
    for name in ("IMG_1361.dng", "tiny_Panasonic.rw2", "tiny_DNG.dng", "tiny_FujiFilm.raf", "tiny_CanonRaw.cr3"):
        with (raw / name).open("rb") as data, pytest.raises(PhotoError, match="truncated RAW"):
            peek(data)
    with (raw / "Canon-R6-pruned.CR3").open("rb") as data, pytest.raises(PhotoError, match="truncated RAW"):
        decode(data)


def test_space_that_a_copy_reserved_is_not_a_raw_photo() -> None:
    content = dng(scene(1600, 1200, PHOTO))
    assert decode_bytes(content + bytes(100_000)).width == 1600  # cameras pad
    with pytest.raises(PhotoError, match="truncated RAW"):
        decode_bytes(content[:2_000_000] + bytes(len(content) - 2_000_000))


def test_one_colour_is_no_picture() -> None:
    content = dng(scene(300, 200, PHOTO))
    black = content[: -300 * 200 * 2] + bytes(300 * 200 * 2)
    with pytest.raises(PhotoError, match="one colour"):
        decode_bytes(black)


def test_a_real_raw_photo_is_the_same_from_its_preview_and_developed(shared: Path) -> None:
    import rawpy

    path = shared / "photos" / "odd" / "raw" / "canon_eos_6d.dng"
    with path.open("rb") as data:
        photo = decode(data)
        assert peek(data).n_decoded_pixels <= 1024 * 683
    assert (photo.format, photo.width, photo.height) == ("RAW", 1224, 816)
    assert photo.pixels.shape == (683, 1024, 3)
    assert photo.taken_at == "2019-06-06T07:29:51"
    with rawpy.imread(str(path)) as raw:
        developed = Image.fromarray(raw.postprocess(use_camera_wb=True)).convert("L").resize((60, 40))
    preview = Image.fromarray(photo.pixels).convert("L").resize((60, 40))
    assert np.corrcoef(np.asarray(developed).ravel(), np.asarray(preview).ravel())[0, 1] > 0.8


def test_a_raw_photo_whose_directory_lies_at_its_end_is_no_tiff() -> None:
    content = dng(scene(300, 200, PHOTO), directories_last=True)
    assert sniff(content[:1024]).name == "TIFF"  # as far as the head tells
    assert decode_bytes(content).format == "RAW"


def test_libraw_is_loaded_only_for_raw_photos() -> None:
    program = "import sys, facewatch.decode; assert not {'rawpy', 'pillow_heif'} & set(sys.modules)"
    root = Path(sys.modules["facewatch"].__file__ or "").parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
