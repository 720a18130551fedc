"""Files that other programs show and a decoder trips over: their picture, or a reason, but never a wrong picture."""

from __future__ import annotations

import io
import random
import struct
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from facewatch.decode import decode, peek
from facewatch.errors import PhotoError


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture without any symmetry, and not its own negative."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    corner = 255 * (x < 0.4) * (y < 0.4)
    return Image.fromarray(np.dstack([200 * x, 180 * y, corner]).astype(np.uint8))


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, image_format, **options)
    return target.getvalue()


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
