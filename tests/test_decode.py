"""decode: what a file is, how large it is, and that its picture comes out upright or not at all."""

from __future__ import annotations

import errno
import io
import os
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from photo_files import decode_bytes, picture, saved
from PIL import ExifTags, Image

import facewatch
from facewatch.decode import HEAD_BYTES, claims_to_be_photo, decode, peek, sniff
from facewatch.decode.kinds import KINDS
from facewatch.errors import PhotoError
from facewatch.types import Decoded

CAP = 100_000_000
"""Keeps the 200 MP photo, which takes seven seconds and 1.4 GB, out of the tests."""

SAME_FACE = (
    *("face_progressive.jpg", "face_444_q100.jpg", "face_gray.jpg", "face_cmyk.jpg"),
    *("face_palette.png", "face_gray16.png", "face_rgb16.png", "face_1bit.png", "face.webp", "face.avif", "face.heic"),
    *("face.tiff", "face.bmp", "face_anim.gif", "face_anim.webp", "face_multipage.tiff"),
)

law = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def decode_path(path: Path, **options: int) -> Decoded:
    with path.open("rb") as data:
        return decode(data, **options)


@cache
def sample(image_format: str) -> bytes:
    return saved(picture(), image_format)


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference, 0 to 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other).mean())


def assert_is_proper(photo: Decoded, working_side: int = 2000) -> None:
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.ndim == 3
    assert photo.pixels.shape[2] == 3
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert min(photo.pixels.shape[:2]) >= 1
    longer = min(working_side, max(photo.width, photo.height))
    assert max(photo.pixels.shape[:2]) == longer or (photo.format == "RAW" and max(photo.pixels.shape[:2]) < longer)


def assert_is_one_line(error: PhotoError) -> None:
    for text in (error.fault.text, error.fault.advice):
        assert text
        assert text.isprintable(), text
        assert len(text) < 160, text


def answer(content: bytes, **options: int) -> str:
    """What `decode` makes of any bytes: "ok" or a fault; anything else it raises is a bug."""
    try:
        peek(io.BytesIO(content), **options)
        photo = decode_bytes(content, **options)
    except PhotoError as error:
        assert_is_one_line(error)
        return error.fault.text
    assert_is_proper(photo)
    return "ok"


# --- what a file is ---


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF"])
def test_a_format_is_known_by_its_content(image_format: str) -> None:
    kind = sniff(sample(image_format)[:HEAD_BYTES])
    assert (kind.name, kind.is_image, kind.is_supported) == (image_format, True, True)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "EMPTY"),
        (bytes(64), "ZEROS"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"II*\0\x10\0\0\0CR\x02\0", "RAW"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "RAW"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1", "HEIF"),
        (b"\0\0\0\x1cftypmp42\0\0\0\0mp42isom", "VIDEO"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
        (b"\xff\x0a\0\0", "JXL"),
        (b"8BPS\0\1", "PSD"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "HTML"),
        (b'<?xml version="1.0"?>\n<svg width="1">', "SVG"),
        (b'<?xml version="1.0"?>\n<plist>', "TEXT"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "ZIP"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X", "APPLEDOUBLE"),
        (b"\xde\xad\xbe\xef", "UNKNOWN"),
    ],
)
def test_what_cannot_be_decoded_is_still_called_by_its_name(head: bytes, name: str) -> None:
    kind = sniff(head)
    assert kind.name == name
    assert kind.advice or kind.is_supported


def test_a_supported_kind_is_an_image_and_every_other_kind_has_advice() -> None:
    assert all(kind.is_image for kind in KINDS.values() if kind.is_supported)
    assert all(kind.advice for kind in KINDS.values() if not kind.is_supported)


@given(st.binary(max_size=200))
def test_any_first_bytes_have_a_kind(head: bytes) -> None:
    assert sniff(head) in KINDS.values()


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "IMG 1.HEIC", "x.y.png", "a\nb.hif", "raw.CR2", "\udcff.webp"])
def test_a_picture_suffix_claims_to_be_a_photo(name: str) -> None:
    assert claims_to_be_photo(name)


@pytest.mark.parametrize("name", ["a.xmp", "a.mp4", "jpg", ".jpg", "a.jpg.part", "a.jpg~", "", "Thumbs.db", "._a.jpg"])
def test_other_names_do_not(name: str) -> None:
    assert not claims_to_be_photo(name)


def test_the_suffix_does_not_matter_to_the_content(shared: Path) -> None:
    derived = shared / "photos" / "odd" / "derived"
    assert decode_path(derived / "heic_named.jpg").format == "HEIF"
    assert decode_path(derived / "jpeg_named.png").format == "JPEG"


# --- the odd files ---


def assert_answers_as_expected(path: Path, expected: set[str]) -> None:
    """Expected are ok, error, partial (a half picture, which is an error here), unsupported and skip."""
    content = path.read_bytes()
    kind = sniff(content[:HEAD_BYTES])
    if expected == {"skip"}:
        assert not kind.is_image
        assert not claims_to_be_photo(path.name)
    elif not kind.is_supported:
        assert answer(content) != "ok"
        assert expected & {"unsupported", "error"}
    else:
        said = answer_of_file(path)
        assert path.name not in said
        assert expected & ({"ok", "partial"} if said == "ok" else {"error", "partial"}), said


def answer_of_file(path: Path) -> str:
    """As `answer`, through a real file, which some decoders read by themselves."""
    with path.open("rb") as data:
        try:
            seen = peek(data, max_pixels=CAP)
            photo = decode(data, max_pixels=CAP)
        except PhotoError as error:
            assert_is_one_line(error)
            return str(error)
    assert_is_proper(photo)
    assert (seen.format, seen.width, seen.height) == (photo.format, photo.width, photo.height)
    return "ok"


@pytest.mark.parametrize(
    "folder", ["orientation", "formats", "metadata", "raw", "corrupt", "huge", "noface", "video", "derived"]
)
def test_every_odd_file_decodes_or_says_why_not(shared: Path, odd_answers: dict[str, set[str]], folder: str) -> None:
    answers = {path: expected for path, expected in odd_answers.items() if path.startswith(f"{folder}/")}
    assert answers
    for path, expected in answers.items():
        try:
            assert_answers_as_expected(shared / "photos" / "odd" / path, expected)
        except Exception as error:
            error.add_note(path)
            raise


def test_the_same_face_in_every_encoding_is_the_same_picture(shared: Path) -> None:
    derived = shared / "photos" / "odd" / "derived"

    def small(name: str) -> NDArray[np.uint8]:
        image = Image.fromarray(decode_path(derived / name).pixels).convert("L")
        return np.asarray(image.resize((40, 50), Image.Resampling.BOX))

    baseline = small("face_baseline.jpg")
    differences = {name: difference(small(name), baseline) for name in SAME_FACE}
    assert max(differences.values()) < 4, differences

    with Image.open(derived / "face_rgba.png") as image:
        alpha = np.asarray(image.getchannel("A").resize((40, 50), Image.Resampling.BOX)) / 255
    on_white = (baseline * alpha + 255 * (1 - alpha)).astype(np.uint8)
    assert difference(small("face_rgba.png"), on_white) < 4


def test_the_eight_orientations_of_a_face_are_the_same_upright_picture(shared: Path) -> None:
    derived = shared / "photos" / "odd" / "derived"
    first, *others = (decode_path(derived / f"face_orientation_{n}.jpg").pixels for n in (1, 2, 3, 4, 5, 6, 7, 8, 99))
    differences = [difference(first, other) for other in others]
    assert max(differences) < 4, differences  # JPEG blocks fall differently on each; a wrong turn makes over 40


@pytest.mark.parametrize(
    ("name", "size"), [("sony_1", (7008, 4672)), ("sony_3", (7008, 4672)), ("sony_6", (4672, 7008))]
)
def test_a_camera_s_heif_is_turned_once(shared: Path, name: str, size: tuple[int, int]) -> None:
    photo = decode_path(shared / "photos" / "odd" / "orientation" / f"{name}.HIF")
    assert (photo.width, photo.height) == size
    # The wall of this scene is grey and above, the table below is white.
    third = photo.pixels.shape[0] // 4
    assert photo.pixels[-third:].mean() > photo.pixels[:third].mean() + 30


def test_a_truncated_phone_photo_is_not_taken_for_half_a_picture(shared: Path) -> None:
    content = (shared / "photos" / "odd" / "formats" / "iphone_7.heic").read_bytes()
    for n_bytes in (len(content) // 2, len(content) - 1):
        with pytest.raises(PhotoError, match="truncated HEIF"):
            decode_bytes(content[:n_bytes])


# --- which way is up ---


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_comes_out_upright(image_format: str, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = picture().transpose(Image.Transpose(undo[orientation])) if orientation > 1 else picture()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = saved(stored, image_format, exif=exif.tobytes())
    photo = decode_bytes(content)
    seen = peek(io.BytesIO(content))
    assert (photo.width, photo.height) == (seen.width, seen.height) == (48, 32)
    assert difference(photo.pixels, np.asarray(picture())) < 6


@pytest.mark.parametrize("orientation", [0, 9, 99, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert decode_bytes(saved(picture(), "PNG", exif=exif)).pixels.tolist() == np.asarray(picture()).tolist()


@given(st.binary(max_size=60))
@law
def test_broken_exif_costs_at_most_the_orientation(exif: bytes) -> None:
    photo = decode_bytes(saved(picture(), "JPEG", exif=b"Exif\0\0" + exif))
    assert {photo.width, photo.height} == {48, 32}


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with_exif = saved(picture(), "PNG", exif=exif)
    start = with_exif.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(with_exif[start : start + 4], "big")
    late = with_exif[:start] + with_exif[end:-12] + with_exif[start:end] + with_exif[-12:]
    assert decode_bytes(late).pixels.shape == (48, 32, 3)


# --- every mode becomes 8-bit RGB ---


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [
        *(("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("1", "PNG"), ("I;16", "PNG")),
        *(("CMYK", "JPEG"), ("L", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF"), ("LAB", "TIFF"), ("I", "TIFF")),
        *(("F", "TIFF"), ("I;16", "TIFF"), ("1", "TIFF"), ("RGBA", "WEBP"), ("RGBA", "AVIF"), ("P", "GIF")),
        *(("RGBA", "TIFF"), ("P", "BMP"), ("1", "BMP")),
    ],
)
@pytest.mark.parametrize("working_side", [2000, 20])
def test_every_mode_becomes_rgb(mode: str, image_format: str, working_side: int) -> None:
    grey = mode in ("L", "LA", "1", "I", "F", "I;16")
    original = picture().convert("L") if grey else picture()
    stored = as_mode(original, mode)
    photo = decode_bytes(saved(stored, image_format), working_side=working_side)
    assert_is_proper(photo, working_side)
    wanted = original.convert("RGB").resize((photo.pixels.shape[1], photo.pixels.shape[0]), Image.Resampling.BOX)
    assert abs(float(photo.pixels.mean()) - float(np.asarray(wanted).mean())) < 12


def as_mode(image: Image.Image, mode: str) -> Image.Image:
    """A picture in a mode that Pillow may not convert to, with its brightness kept."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    if mode == "LAB":
        from PIL import ImageCms

        lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        return ImageCms.applyTransform(image, lab)
    return image.convert(mode)


def test_16_bit_grey_is_not_clipped_to_white(shared: Path) -> None:
    photo = decode_path(shared / "photos" / "odd" / "derived" / "face_gray16.png")
    assert (photo.pixels == 255).mean() < 0.05
    assert 40 < photo.pixels.mean() < 120


def test_a_dark_16_bit_photo_stays_dark() -> None:
    values = np.full((8, 8), 5 * 256, np.uint16)
    assert np.unique(decode_bytes(saved(Image.fromarray(values), "PNG")).pixels).tolist() == [5]


def test_numbers_without_a_range_are_spread_from_dark_to_light() -> None:
    values = np.array([[-5000, 0], [5000, np.nan]], np.float32)
    pixels = decode_bytes(saved(Image.fromarray(values), "TIFF")).pixels
    assert pixels[:, :, 0].tolist() == [[0, 128], [255, 0]]


def test_fractions_keep_their_brightness() -> None:
    pixels = decode_bytes(saved(Image.new("F", (4, 4), 0.5), "TIFF")).pixels
    assert np.unique(pixels).tolist() == [128]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new(mode, (300, 200), 0)
    for working_side in (2000, 100):
        assert np.unique(decode_bytes(saved(image, "PNG"), working_side=working_side).pixels).tolist() == [255]


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([10, 20, 30, 200, 0, 100])
    for transparency in (1, bytes([255, 0])):
        assert np.unique(decode_bytes(saved(image, "PNG", transparency=transparency)).pixels).tolist() == [255]


def test_the_first_picture_of_several_is_taken() -> None:
    others = [Image.new("RGB", (48, 32), "red")]
    for image_format in ("GIF", "WEBP", "TIFF", "PNG", "MPO"):
        content = saved(picture(), image_format, save_all=True, append_images=others)
        assert difference(decode_bytes(content).pixels, np.asarray(picture())) < 8


# --- how large it becomes ---


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300), st.sampled_from(["JPEG", "PNG"]))
@law
def test_the_longer_side_is_exactly_the_working_side(width: int, height: int, side: int, image_format: str) -> None:
    content = saved(Image.new("RGB", (width, height), "teal"), image_format)
    photo = decode_bytes(content, working_side=side)
    assert_is_proper(photo, side)
    assert (photo.width, photo.height) == (width, height)
    scale = min(1.0, side / max(width, height))
    assert abs(photo.pixels.shape[1] - max(1, width * scale)) <= 0.5
    assert abs(photo.pixels.shape[0] - max(1, height * scale)) <= 0.5


def test_an_extreme_shape_keeps_both_sides() -> None:
    photo = decode_bytes(saved(Image.new("L", (20000, 8), 9), "PNG"))
    assert photo.pixels.shape == (1, 2000, 3)


def test_a_reduced_picture_is_the_picture() -> None:
    large = picture().resize((1200, 800))
    for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        pixels = decode_bytes(saved(large, image_format), working_side=48).pixels
        assert difference(pixels, np.asarray(picture())) < 6


def test_a_working_side_of_nothing_is_a_programmer_s_mistake() -> None:
    with pytest.raises(ValueError, match="working_side"):
        decode_bytes(sample("PNG"), working_side=0)


def test_a_large_jpeg_is_announced_at_the_size_it_is_decoded_at() -> None:
    image = Image.new("RGB", (4100, 3000))
    plain, progressive = saved(image, "JPEG"), saved(image, "JPEG", progressive=True)
    assert peek(io.BytesIO(plain)).n_decoded_pixels == 2050 * 1500
    assert peek(io.BytesIO(plain), working_side=500).n_decoded_pixels == 513 * 375
    assert peek(io.BytesIO(progressive)).n_decoded_pixels == 4100 * 3000


def test_a_large_jpeg_is_never_held_at_full_size(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs a system that tells the peak memory of a process")
    photo = tmp_path / "large.jpg"
    Image.new("RGB", (8192, 8192), "gray").save(photo)
    program = (
        "import sys\nfrom pathlib import Path\nfrom facewatch.decode import decode\n"
        "with open(sys.argv[1], 'rb') as data: assert decode(data).pixels.shape == (2000, 2000, 3)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(facewatch.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, photo], capture_output=True, text=True, check=True, env=environment
    )
    # Pillow needs four bytes for each pixel: 268 MB at full size, 17 MB at a quarter.
    assert int(done.stdout) * 1024 < 160_000_000


# --- caps ---


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def webp_header(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas


def avif_header(width: int, height: int) -> bytes:
    return b"\0\0\0\x10ftypavif\0\0\0\0" + b"\0\0\0\x14ispe" + struct.pack(">III", 0, width, height)


@pytest.mark.parametrize("header", [png_header, bmp_header, webp_header, avif_header])
def test_a_bomb_is_refused_by_its_header(header: object) -> None:
    content = header(100_000, 100_000)  # type: ignore[operator]
    for door in (peek, decode):
        with pytest.raises(PhotoError) as caught:
            door(io.BytesIO(content))
        assert caught.value.fault.text == "too many pixels: 100000 x 100000 is 10000 MP, the cap is 200 MP"
        assert "max_megapixels" in caught.value.fault.advice


def test_the_bombs_on_disk_are_refused(shared: Path) -> None:
    for name in ("derived/huge_20000x20000.png", "huge/17000x17000.avif"):
        with pytest.raises(PhotoError, match="too many pixels"):
            decode_path(shared / "photos" / "odd" / name)


def test_the_cap_is_the_largest_photo_that_is_taken() -> None:
    assert decode_bytes(sample("PNG"), max_pixels=48 * 32).width == 48
    with pytest.raises(PhotoError, match="48 x 32"):
        decode_bytes(sample("PNG"), max_pixels=48 * 32 - 1)


def tiff(**tags: int) -> bytes:
    """A TIFF without a picture: a directory of unsigned longs."""
    entries = sorted((ExifTags.Base[name], value) for name, value in tags.items())
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)


GREY_TIFF = {"ImageWidth": 8, "ImageLength": 8, "BitsPerSample": 8, "PhotometricInterpretation": 1, "Compression": 8}


def test_a_tiff_with_a_huge_tile_is_refused() -> None:
    content = tiff(**GREY_TIFF, TileWidth=99_000, TileLength=99_000, TileOffsets=8, TileByteCounts=8)
    assert answer(content).startswith("too many pixels: 99000 x 99000")


@pytest.mark.parametrize(
    "tags",
    [
        {"DNGVersion": 0x0401},
        {"PhotometricInterpretation": 32803},
        {"NewSubfileType": 1, "SubIFDs": 500},
    ],
)
def test_a_raw_photo_that_looks_like_a_tiff_is_not_taken_for_its_thumbnail(tags: dict[str, int]) -> None:
    assert sniff(tiff(**GREY_TIFF)).name == "TIFF"
    assert sniff(tiff(**{**GREY_TIFF, **tags})).name == "RAW"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "BMP", "HEIF", "AVIF", "GIF"])
def test_pillow_s_own_cap_plays_no_part(image_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = sample(image_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode_bytes(content).width == 48


def test_where_pillow_insists_on_its_cap_it_is_the_photo_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    content = sample("WEBP")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert answer(content) == "too many pixels for a WEBP"


# --- what went wrong ---


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty file"),
        (bytes(200_000), "not an image but zeros only"),
        (b"<html>404</html>", "not an image but a web page"),
        (b"hello", "not an image but plain text"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image is not supported"),
    ],
)
def test_a_fault_says_what_the_file_is(content: bytes, fault: str) -> None:
    assert answer(content) == fault


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF"])
def test_half_a_file_is_an_error_and_not_half_a_picture(image_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    content = saved(noise, image_format)
    assert answer(content) == "ok"
    assert answer(content[: len(content) // 2]) != "ok"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF"])
def test_space_that_a_copy_reserved_is_not_a_picture(image_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    content = saved(noise, image_format, quality=95)
    half = len(content) // 2
    assert answer(content) == "ok"
    assert answer(content[:half] + bytes(len(content) - half)) == f"truncated {image_format}"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF"])
@pytest.mark.parametrize("trailer", [b"trailer", bytes(4095), bytes(20_000)])
def test_what_follows_a_whole_picture_does_no_harm(image_format: str, trailer: bytes) -> None:
    assert answer(sample(image_format) + trailer) == "ok"


class Failing(io.BytesIO):
    """A file whose every read beyond its head fails."""

    def __init__(self, content: bytes, error: BaseException) -> None:
        super().__init__(content)
        self.error = error

    def read(self, n_bytes: int | None = -1) -> bytes:
        if self.tell() > 0:
            raise self.error
        return super().read(n_bytes)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error", "/secret"), KeyboardInterrupt()])
def test_a_failing_disk_and_an_interrupt_are_not_the_photo_s_fault(error: BaseException) -> None:
    with pytest.raises(type(error)):
        decode(Failing(sample("JPEG"), error))


def test_running_out_of_memory_is_a_fault_with_advice() -> None:
    with pytest.raises(PhotoError, match="not enough memory") as caught:
        decode(Failing(sample("JPEG"), MemoryError()))
    assert "max_megapixels" in caught.value.fault.advice


def test_the_file_is_left_open() -> None:
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF"):
        data = io.BytesIO(sample(image_format))
        peek(data)
        assert decode(data).pixels.tolist() == decode(data).pixels.tolist()
        assert not data.closed


# --- laws ---

START = (
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"\0\0\0\x14ftypheic",
    b"RIFF\0\0\0\0WEBP",
)


@given(st.sampled_from(START), st.binary(max_size=300))
@law
def test_arbitrary_bytes_are_a_photo_error_at_worst(start: bytes, rest: bytes) -> None:
    answer(start + rest, max_pixels=1_000_000)


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF"]), st.floats(0, 1, exclude_max=True)
)
@law
def test_a_truncated_photo_is_an_error_or_the_whole_picture(image_format: str, part: float) -> None:
    content = sample(image_format)
    cut = content[: int(len(content) * part)]
    if answer(cut) == "ok":  # what is missing was only an end mark
        assert decode_bytes(cut).pixels.tolist() == decode_bytes(content).pixels.tolist()


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "HEIF", "AVIF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
)
@law
def test_flipped_bytes_are_a_photo_error_at_worst(image_format: str, flips: list[tuple[float, int]]) -> None:
    content = bytearray(sample(image_format))
    for place, value in flips:
        content[int(len(content) * place)] ^= value
    answer(bytes(content), max_pixels=1_000_000)
