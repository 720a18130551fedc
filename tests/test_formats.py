"""decode: what phones, cameras and scanners make of a format, and what somebody made of one who means harm."""

from __future__ import annotations

import base64
import io
import struct
import time
import zlib

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from photo_files import decode_bytes, picture, saved
from PIL import ExifTags, Image, PngImagePlugin

from facewatch.decode import HEAD_BYTES, claims_to_be_photo, decode, peek, sniff
from facewatch.errors import PhotoError
from facewatch.types import DECODER_VERSION


def size_peeked(content: bytes) -> tuple[int, int]:
    seen = peek(io.BytesIO(content))
    return seen.width, seen.height


def difference(one: NDArray[np.uint8], other: Image.Image) -> float:
    """Mean absolute difference, 0 to 255."""
    assert one.shape[:2] == other.size[::-1]
    return float(np.abs(one.astype(float) - np.asarray(other.convert("RGB"))).mean())


def assert_is(content: bytes, image: Image.Image, at_most: float = 6) -> None:
    photo = decode_bytes(content)
    assert (photo.width, photo.height) == size_peeked(content) == image.size
    assert difference(photo.pixels, image) < at_most


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def film(padding: int = 0) -> bytes:
    """The boxes of a film, and perhaps the zeros that some phones pad it with."""
    frames = np.random.default_rng(0).integers(0, 255, 9000, np.uint8).tobytes()
    return box(b"ftyp", b"mp42\0\0\0\0isommp42") + box(b"mdat", frames) + box(b"moov", bytes(400)) + bytes(padding)


def test_the_version_of_what_can_be_decoded_is_a_number_that_grows() -> None:
    assert DECODER_VERSION >= 2


# --- films and photos ---


@pytest.mark.parametrize("brand", [b"qt  ", b"isom", b"mp42", b"M4V ", b"3gp5"])
@pytest.mark.parametrize("claim", [b"heic", b"mif1", b"avif"])
def test_the_film_beside_a_live_photo_is_no_photo_whatever_it_says_it_is_compatible_with(
    brand: bytes, claim: bytes
) -> None:
    kind = sniff(box(b"ftyp", brand + bytes(4) + brand + claim) + box(b"wide", b""))
    assert (kind.name, kind.is_image) == ("VIDEO", False)
    assert not claims_to_be_photo("IMG_0001.MOV")


@pytest.mark.parametrize("start", [b"wide", b"mdat", b"moov", b"pnot"])
def test_an_old_film_is_no_photo_either(start: bytes) -> None:
    assert sniff(box(start, bytes(40))).name == "VIDEO"


@pytest.mark.parametrize("padding", [0, 5000, 300_000])
@pytest.mark.parametrize("between", [b"", b"SEFH" + bytes(40), b"MotionPhoto_Data"])
def test_a_motion_photo_is_its_picture(padding: int, between: bytes) -> None:
    assert_is(saved(picture(), "JPEG", quality=95) + between + film(padding), picture())


def test_zeros_behind_half_a_jpeg_are_no_film() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    half = saved(noise, "JPEG", quality=95)[:40_000]
    with pytest.raises(PhotoError, match="truncated JPEG"):
        decode_bytes(half + bytes(20_000))


def test_a_motion_photo_in_heif_is_its_picture() -> None:
    content = saved(picture(), "HEIF", quality=95)
    for video in (box(b"mpvd", film()), box(b"mpvd", film(5000)), struct.pack(">I", 0) + b"mpvd" + film()):
        assert_is(content + video, picture(), 10)


def test_the_primary_picture_of_a_burst_is_taken() -> None:
    file = pillow_heif.from_pillow(Image.new("RGB", (48, 32), "red"))
    file.add_from_pillow(picture())
    for primary, image in enumerate((Image.new("RGB", (48, 32), "red"), picture())):
        target = io.BytesIO()
        file.save(target, quality=95, primary_index=primary)
        assert_is(target.getvalue(), image, 10)


@pytest.mark.parametrize("suffix", [".heics", ".HEIFS", ".avifs", ".hif"])
def test_a_sequence_claims_to_be_a_photo(suffix: str) -> None:
    assert claims_to_be_photo("burst" + suffix)
    assert sniff(box(b"ftyp", b"msf1\0\0\0\0msf1hevc")).name == "HEIF"


# --- JPEG ---

ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqm"
    "x5moq6T/yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8AyJhu89n/AHbAP1KU7iav8tuG/9k="
)
"""Image.radial_gradient("L").resize((16, 16)), saved in quality 30, through jpegtran -arithmetic -copy none."""


def test_an_arithmetic_coded_jpeg_is_decoded() -> None:
    assert_is(ARITHMETIC, Image.radial_gradient("L").resize((16, 16)), 10)


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"optimize": True}, {"keep_rgb": True}])
def test_every_way_to_write_a_jpeg_is_the_same_picture(options: dict[str, object]) -> None:
    assert_is(saved(picture(), "JPEG", quality=95, **options), picture(), 8)


def test_adobe_s_inverted_cmyk_is_not_a_negative() -> None:
    content = saved(picture().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in content  # whose custom it is to store the opposite of what is printed
    assert_is(content, picture(), 10)


# --- TIFF ---


def as_tiff_pages(*pages: tuple[Image.Image, dict[int, int]]) -> bytes:
    target = io.BytesIO()
    first, *others = (image.copy() for image, _ in pages)
    for image, (_, tags) in zip((first, *others), pages, strict=True):
        image.encoderinfo = {"tiffinfo": tags}
    first.save(target, "TIFF", save_all=True, append_images=others, tiffinfo=pages[0][1])
    return target.getvalue()


REDUCED = {int(ExifTags.Base.NewSubfileType): 1}
RED = Image.new("RGB", (12, 8), "red")


def test_a_tiff_that_starts_with_its_thumbnail_is_its_photo() -> None:
    content = as_tiff_pages((RED, REDUCED), (picture(), {}), (RED, REDUCED))
    assert sniff(content[:HEAD_BYTES]).name == "TIFF"
    assert_is(content, picture())


def test_the_largest_page_that_is_no_thumbnail_is_taken() -> None:
    large_thumbnail = Image.new("RGB", (480, 320), "red")
    content = as_tiff_pages((RED, REDUCED), (RED, {}), (picture(), {}), (large_thumbnail, REDUCED))
    assert_is(content, picture())


def test_the_first_page_is_taken_where_all_are_photos_or_all_are_thumbnails() -> None:
    larger = Image.new("RGB", (480, 320), "red")
    assert_is(as_tiff_pages((picture(), {}), (larger, {})), picture())
    assert_is(as_tiff_pages((picture(), REDUCED), (larger, REDUCED)), picture())


def test_a_directory_that_leads_to_itself_ends() -> None:
    content = bytearray(as_tiff_pages((picture(), REDUCED)))
    (start,) = struct.unpack_from("<I", content, 4)
    (n_entries,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<I", content, start + 2 + 12 * n_entries, start)
    assert_is(bytes(content), picture())


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_16_bits_a_channel_are_the_same_picture(photometric: str, planar: str) -> None:
    import tifffile  # scikit-image needs it

    image = picture() if photometric == "rgb" else picture().convert("L")
    values = np.asarray(image).astype(np.uint16) * 257
    if photometric == "rgb" and planar == "separate":
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    target = io.BytesIO()
    options = {"planarconfig": planar} if photometric == "rgb" else {}
    tifffile.imwrite(target, values, photometric=photometric, **options)
    assert_is(target.getvalue(), image, 2)


def test_a_rare_kind_is_not_called_damaged_alone() -> None:
    import tifffile  # scikit-image needs it

    target = io.BytesIO()
    tifffile.imwrite(target, np.zeros((8, 8, 3), np.float64), photometric="rgb")
    with pytest.raises(PhotoError, match="a TIFF of a rare kind") as caught:
        decode_bytes(target.getvalue())
    assert caught.value.fault.advice == "export it as JPEG"


# --- JPEG 2000 ---


@pytest.mark.parametrize("no_jp2", [True, False])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16"])
def test_jpeg_2000_is_decoded(no_jp2: bool, mode: str) -> None:
    grey = np.asarray(picture().convert("L")).astype(np.uint16) * 257
    image = Image.fromarray(grey) if mode == "I;16" else picture().convert(mode)
    content = saved(image, "JPEG2000", no_jp2=no_jp2)
    assert sniff(content[:HEAD_BYTES]).name == "JP2"
    assert_is(content, picture().convert("L") if mode in ("L", "I;16") else picture(), 3)


@pytest.mark.parametrize(("field", "said"), [(8, "too many pixels"), (24, "too many pixels")])
@pytest.mark.parametrize("no_jp2", [True, False])
def test_a_jpeg_2000_bomb_is_refused_by_its_codestream(field: int, said: str, no_jp2: bool) -> None:
    content = bytearray(saved(picture(), "JPEG2000", no_jp2=no_jp2))
    start = content.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">II", content, start + 8, 100_000, 100_000)
    struct.pack_into(">II", content, start + field, 100_000, 100_000)
    for door in (peek, decode):
        with pytest.raises(PhotoError, match=said):
            door(io.BytesIO(bytes(content)))


# --- which way is up, by XMP ---

TURNED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How a picture is stored that this orientation makes upright."""

SPELLINGS = (
    '<rdf:Description tiff:Orientation="{}"/>',
    "<rdf:Description tiff:Orientation = '{}'/>",
    "<tiff:Orientation>{}</tiff:Orientation>",
    "<tiff:Orientation>\n {}\n</tiff:Orientation>",
)


def xmp(orientation: int, spelling: str = SPELLINGS[0]) -> bytes:
    head = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:tiff="http://ns.adobe.com/tiff/1.0/">'
    return (head + spelling.format(orientation) + "</rdf:RDF></x:xmpmeta>").encode()


def with_xmp(image: Image.Image, image_format: str, block: bytes, **options: object) -> bytes:
    if image_format == "TIFF":
        return saved(image, "TIFF", tiffinfo={700: block}, **options)
    if image_format != "PNG":
        return saved(image, image_format, xmp=block, **options)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", block.decode())
    return saved(image, "PNG", pnginfo=info, **options)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_orientation_that_only_xmp_knows_counts(image_format: str, orientation: int, spelling: str) -> None:
    stored = picture().transpose(TURNED[orientation])
    assert_is(with_xmp(stored, image_format, xmp(orientation, spelling)), picture())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_exif_has_the_word_where_both_say_something(image_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = picture().transpose(TURNED[6])
    assert_is(with_xmp(stored, image_format, xmp(3), exif=exif.tobytes()), picture())


@pytest.mark.parametrize("orientation", [0, 9, 66])
def test_an_orientation_in_xmp_that_does_not_exist_is_ignored(orientation: int) -> None:
    assert_is(with_xmp(picture(), "JPEG", xmp(orientation)), picture())


def test_xmp_does_not_turn_what_its_container_has_turned() -> None:
    assert_is(saved(picture(), "AVIF", xmp=xmp(6)), picture(), 10)


def test_xmp_that_would_explode_as_xml_is_only_text() -> None:
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    block = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l11;</x>'.encode() + xmp(6)
    assert_is(with_xmp(picture().transpose(TURNED[6]), "JPEG", block), picture())


# --- too much metadata ---


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(*chunks: bytes) -> bytes:
    content = saved(picture(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def packed(n_bytes: int) -> bytes:
    return zlib.compress(bytes(n_bytes))


def full_exif(n_entries: int = 60_000) -> bytes:
    """EXIF of a few megabytes, each of whose entries says that all of it is its value."""
    rest = 2_000_000
    start = 10 + 12 * n_entries
    entries = b"".join(struct.pack("<HHII", 300 + i, 7, rest, start) for i in range(n_entries))
    return b"II*\0" + struct.pack("<IH", 8, n_entries) + entries + b"x" * rest


def jpeg_with(name: bytes, n_segments: int, marker: int = 0xE1) -> bytes:
    content = saved(picture(), "JPEG", quality=95)
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", 65535) + name + b"x" * (65533 - len(name))
    return content[:2] + segment * n_segments + content[2:]


def webp_with_exif(exif: bytes) -> bytes:
    content = saved(picture(), "WEBP", exif=b"Exif\0\0II*\0" + bytes(8), quality=95)
    content = content[: content.index(b"EXIF")] + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


def gif_with_comment(n_bytes: int) -> bytes:
    content = saved(picture(), "GIF")
    start = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    return content[:start] + b"\x21\xfe" + (b"\xff" + b"c" * 255) * (n_bytes // 255) + b"\0" + content[start:]


TOO_MUCH = {
    "a text that explodes": lambda: png_with(png_chunk(b"zTXt", b"bomb\0\0" + packed(50_000_000))),
    "a profile that explodes": lambda: png_with(png_chunk(b"iCCP", b"bomb\0\0" + packed(50_000_000))),
    "another text that explodes": lambda: png_with(png_chunk(b"iTXt", b"bomb\0\1\0\0\0" + packed(50_000_000))),
    "a long text": lambda: png_with(png_chunk(b"tEXt", b"long\0" + b"x" * 20_000_000)),
    "long XMP": lambda: png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 20_000_000)),
    "many texts": lambda: png_with(*(png_chunk(b"zTXt", b"%d\0\0" % i + packed(900_000)) for i in range(300))),
    "PNG with EXIF of EXIF": lambda: png_with(png_chunk(b"eXIf", full_exif())),
    "WebP with EXIF of EXIF": lambda: webp_with_exif(full_exif()),
    "JPEG with much EXIF": lambda: jpeg_with(b"Exif\0\0", 400),
    "JPEG with much XMP": lambda: jpeg_with(b"http://ns.adobe.com/xap/1.0/\0", 400),
    "JPEG with many comments": lambda: jpeg_with(b"", 400, 0xFE),
    "GIF with a comment": lambda: gif_with_comment(5_000_000),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_metadata_is_left_out_and_the_picture_stays(name: str) -> None:
    content = TOO_MUCH[name]()
    began = time.process_time()
    assert_is(content, picture(), 12)
    assert time.process_time() - began < 5  # some took minutes


def test_nothing_but_metadata_is_no_picture() -> None:
    content = saved(picture(), "JPEG")
    began = time.process_time()
    with pytest.raises(PhotoError, match="segments of metadata"):
        decode_bytes(content[:2] + b"\xff\xfe\0\2" * 3_000_000 + content[2:])
    boxes = saved(picture(), "HEIF") + box(b"free", b"") * 3_000_000
    assert decode_bytes(boxes).width == 48
    assert time.process_time() - began < 5


def test_what_belongs_to_the_picture_is_not_left_out() -> None:
    stored = picture().transpose(TURNED[6])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "x" * 5_000_000, zip=True)
    palette = saved(stored.convert("P"), "PNG", pnginfo=info, exif=exif)
    assert_is(palette, picture().convert("P").convert("RGB"), 12)
    cmyk = saved(stored.convert("CMYK"), "JPEG", quality=95, exif=exif)
    surplus = (b"\xff\xed" + struct.pack(">H", 9) + b"surplus") * 1000
    assert_is(cmyk[:2] + surplus + cmyk[2:], picture(), 12)


def many_pages(n_pages: int) -> bytes:
    """A TIFF whose further pages are all one directory, each in a place of its own."""
    content = bytearray(saved(picture(), "TIFF"))
    (start,) = struct.unpack_from("<I", content, 4)
    (n_entries,) = struct.unpack_from("<H", content, start)
    end = start + 2 + 12 * n_entries
    entries = bytes(content[start:end])
    first = len(content)
    struct.pack_into("<I", content, end, first)
    places = [first + i * (len(entries) + 4) for i in range(1, n_pages)]
    return bytes(content) + b"".join(entries + struct.pack("<I", place) for place in [*places, 0])


def test_only_the_first_of_very_many_pictures_is_decoded() -> None:
    others = [Image.new("RGB", (48, 32), "red")]
    gif, webp, png = (
        saved(picture(), image_format, save_all=True, append_images=others) for image_format in ("GIF", "WEBP", "PNG")
    )
    second = gif.rindex(b"\x21\xf9")
    frame = webp[webp.rindex(b"ANMF") :]
    webp += frame * 100_000
    control = png.index(b"acTL") - 4
    contents = (
        gif[:second] + gif[second:-1] * 100_000 + b";",
        webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:],
        many_pages(20_000),
        png[:control] + png_chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)) + png[control + 20 :],
    )
    for content in contents:
        began = time.process_time()
        assert_is(content, picture(), 12)
        assert time.process_time() - began < 5


@pytest.mark.parametrize("no_jp2", [True, False])
def test_half_a_jpeg_2000_is_an_error_and_what_follows_a_whole_one_does_no_harm(no_jp2: bool) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    content = saved(noise, "JPEG2000", no_jp2=no_jp2)
    for n_bytes in (len(content) // 2, len(content) - 1):
        with pytest.raises(PhotoError, match="JP2"):
            decode_bytes(content[:n_bytes])
    with pytest.raises(PhotoError, match="truncated JP2"):
        decode_bytes(content[:6000] + bytes(len(content) - 6000))
    for trailer in (b"trailer", bytes(20_000)):
        assert_is(content + trailer, noise, 2)
