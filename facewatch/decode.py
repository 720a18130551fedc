"""Photos into pixels: what a file is, how large it is, and its picture as upright RGB, bounded in pixels.

    sniff     first bytes -> Kind       what the content is, whatever the name says
    peek      file -> Peeked            the size, before any pixel exists
    decode    file -> Decoded           the first picture, upright, 8-bit RGB, no larger than asked for

A bad photo leaves as a PhotoError whose fault and advice fit on one line and never name the file: the caller does.

Colour profiles are ignored: Display P3 read as sRGB is a little less saturated, which changes no face. Only the rare
JPEG in XYB comes out in false colours.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from facewatch.errors import PhotoError
from facewatch.types import Decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_PIXELS = 200_000_000
"""Width times height of the largest photo that is decoded: 200 MP is the largest phone sensor."""

WORKING_SIDE = 2000
"""Pixels of the longer side that the engines see."""

HEAD_BYTES = 1024
"""How much `sniff` wants to see: enough for the first directory of a RAW file, which looks like a TIFF until then."""

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"),
    *(".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"),
    *(".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".psd", ".hdr", ".exr"),
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".srw", ".raf", ".rw2", ".rwl"),
    *(".orf", ".pef", ".3fr", ".iiq", ".x3f", ".mrw", ".raw"),
)
"""Endings of names that promise a picture, lower case."""


# --- what a file is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What the first bytes of a file say it is."""

    name: str
    """JPEG, HEIF, RAW, VIDEO, TEXT, UNKNOWN..."""
    label: str
    """The same for people, with its article: "a RAW photo"."""
    is_image: bool
    """Whether it is a picture; anything else is a fault only if its name claims to be a photo."""
    is_supported: bool
    """Whether `decode` knows the format."""
    advice: str = ""
    """What to do about it when it is not supported."""


COPY_AGAIN = "copy it again from the camera or a backup"
EXPORT = "export it as JPEG"
RENAME = "give it a name that fits its content"


def _supported(name: str) -> Kind:
    return Kind(name, f"a {name} image", is_image=True, is_supported=True)


def _unsupported(name: str, label: str, advice: str = EXPORT) -> Kind:
    return Kind(name, label, is_image=True, is_supported=False, advice=advice)


def _other(name: str, label: str, advice: str = RENAME) -> Kind:
    return Kind(name, label, is_image=False, is_supported=False, advice=advice)


KINDS = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            *map(_supported, ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")),
            _unsupported("RAW", "a RAW photo", "keep a JPEG beside it"),
            _unsupported("JXL", "a JPEG XL image"),
            _unsupported("JP2", "a JPEG 2000 image"),
            _unsupported("PSD", "a Photoshop document"),
            _unsupported("XCF", "a GIMP document"),
            _unsupported("HDR", "a Radiance HDR image"),
            _unsupported("EXR", "an OpenEXR image"),
            _other("SVG", "an SVG drawing"),
            _other("HTML", "a web page", "its download failed: fetch it again"),
            _other("TEXT", "plain text"),
            _other("PDF", "a PDF document"),
            _other("VIDEO", "a video"),
            _other("ZIP", "a ZIP archive"),
            _other("APPLEDOUBLE", "a macOS resource fork", "it can be deleted: the photo is the file without '._'"),
            _other("EMPTY", "an empty file", COPY_AGAIN),
            _other("ZEROS", "zeros only", f"its copy never finished: {COPY_AGAIN}"),
            _other("UNKNOWN", "something unknown", COPY_AGAIN),
        )
    }
)
"""Every answer of `sniff`, by name."""

_MAGIC = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WEBP"),
    (8, b"CR\x02\x00", "RAW"),  # before TIFF, which a CR2 also is
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (0, b"IIU\x00", "RAW"),
    (0, b"IIRO", "RAW"),
    (0, b"IIRS", "RAW"),
    (0, b"MMOR", "RAW"),
    (0, b"FUJIFILMCCD-RAW", "RAW"),
    (6, b"HEAPCCDR", "RAW"),
    (0, b"\x00MRM", "RAW"),
    (0, b"FOVb", "RAW"),
    (0, b"\xff\x0a", "JXL"),
    (4, b"JXL \r\n\x87\n", "JXL"),
    (4, b"jP  \r\n\x87\n", "JP2"),
    (0, b"\xff\x4f\xff\x51", "JP2"),
    (0, b"8BPS", "PSD"),
    (0, b"gimp xcf", "XCF"),
    (0, b"#?RADIANCE", "HDR"),
    (0, b"#?RGBE", "HDR"),
    (0, b"v/1\x01", "EXR"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x00\x05\x16\x07", "APPLEDOUBLE"),
    (8, b"AVI ", "VIDEO"),
    (0, b"\x1a\x45\xdf\xa3", "VIDEO"),
    (0, b"\x00\x00\x01\xba", "VIDEO"),
    (0, b"\x00\x00\x01\xb3", "VIDEO"),
    (4, b"moov", "VIDEO"),
    (4, b"mdat", "VIDEO"),
    (4, b"wide", "VIDEO"),
)
"""Offset, bytes there, name of the kind; the first that fits wins."""

_BRANDS = MappingProxyType(
    {
        **dict.fromkeys((b"avif", b"avis"), "AVIF"),
        **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "HEIF"),
        b"crx ": "RAW",
    }
)
"""What the brands of an ISO media file mean; mif1 and msf1 only say "images" and leave the codec to the others."""

_TEXT_BYTES = bytes(range(0x20, 0x7F)) + b"\t\r\n\f"


def sniff(head: bytes) -> Kind:
    """Return what a file is by its first `HEAD_BYTES` bytes; fewer do, but a RAW may then pass for a TIFF."""
    name = _by_magic(head) or _by_brand(head) or _by_text(head) or "UNKNOWN"
    if name == "TIFF" and _is_raw(_tiff_tags(head)):
        name = "RAW"
    return KINDS[name]


def claims_to_be_photo(name: str) -> bool:
    """Whether a file name promises a picture; the resource forks of macOS ("._IMG_1.JPG") do not."""
    path = PurePath(name)
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith("._")


def _by_magic(head: bytes) -> str | None:
    return next((name for offset, magic, name in _MAGIC if head.startswith(magic, offset)), None)


def _by_brand(head: bytes) -> str | None:
    """The kind of an ISO media file by its brands, the major one first; a film where no brand is an image's."""
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    images = ["HEIF"] if {b"mif1", b"msf1"} & set(brands) else []
    return [*known, *images, "VIDEO"][0]


def _by_text(head: bytes) -> str | None:
    """The kind of a file that has no magic bytes: markup, other text, or nothing at all."""
    if not head.strip(b"\x00"):
        return "ZEROS" if head else "EMPTY"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in start):
        return "SVG"
    return None if head.translate(None, _TEXT_BYTES) else "TEXT"


def _tiff_tags(head: bytes) -> dict[int, int]:
    """The entries of a TIFF's first directory as far as they lie in `head`: tag to first value, or its offset."""
    order = "<" if head.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", head, 4)
        (n_entries,) = struct.unpack_from(f"{order}H", head, start)
    except struct.error:
        return {}
    tags = {}
    for entry in range(start + 2, min(start + 2 + 12 * n_entries, len(head) - 11), 12):
        tag, value_type = struct.unpack_from(f"{order}HH", head, entry)
        (tags[tag],) = struct.unpack_from(f"{order}{'H' if value_type == 3 else 'I'}", head, entry + 8)
    return tags


def _is_raw(tags: dict[int, int]) -> bool:
    """Whether a TIFF is a RAW photo: what Pillow would decode is its thumbnail, too small to find faces in.

    DNG says so by its version, a mosaic by its photometric interpretation (32803); NEF, ARW and SRW start with a
    reduced picture and keep the photo in a sub-directory.
    """
    starts_with_preview = tags.get(ExifTags.Base.NewSubfileType) == 1 and ExifTags.Base.SubIFDs in tags
    is_mosaic = tags.get(ExifTags.Base.PhotometricInterpretation) == 32803
    return ExifTags.Base.DNGVersion in tags or is_mosaic or starts_with_preview


# --- the two doors ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Peeked:
    """What the header of a photo says."""

    format: str
    """JPEG, PNG, HEIF..."""
    width: int
    """Of the upright photo at full size; so is `height`."""
    height: int
    n_decoded_pixels: int
    """How many pixels `decode` will hold at once, before it reduces them."""


def peek(data: BinaryIO, *, max_pixels: int = MAX_PIXELS, working_side: int = WORKING_SIDE) -> Peeked:
    """Return the size of a photo from its header, without decoding it.

    HEIF, AVIF and WebP are read as a whole, because their decoders want to. A PNG that keeps its EXIF behind the
    pixels is measured as if it had none.

    Args:
        data: the photo, open for reading and able to seek; it is read from its start and left open.
        max_pixels: the largest width times height that is taken.
        working_side: the one that `decode` will be given.

    Raises:
        PhotoError: it is empty, not an image, not supported, too large, truncated or damaged.
        OSError: the disk, not the photo, is at fault.
    """
    kind = _supported_kind(data)
    with _codec_faults(kind):
        image = _open(kind, data, max_pixels)
        width, height = _turned(image.size, _orientation(image))
        return Peeked(kind.name, width, height, _n_decoded_pixels(image, working_side))


def decode(data: BinaryIO, *, max_pixels: int = MAX_PIXELS, working_side: int = WORKING_SIDE) -> Decoded:
    """Return the first picture of a photo, upright, in 8-bit RGB, its longer side at most `working_side`.

    The cap is checked before a pixel is allocated. A JPEG of at least twice the working side is never decoded at full
    size. What is transparent becomes white.

    Args:
        data: the photo, open for reading and able to seek; it is read from its start and left open.
        max_pixels: the largest width times height that is taken.
        working_side: a longer side above this is reduced to exactly this.

    Raises:
        PhotoError: it is empty, not an image, not supported, too large, truncated or damaged.
        OSError: the disk, not the photo, is at fault.
    """
    if working_side < 1:
        raise ValueError(f"working_side must be positive, not {working_side}")
    kind = _supported_kind(data)
    with _codec_faults(kind):
        image = _open(kind, data, max_pixels)
        size = _load(image, working_side)
        orientation = _orientation(image)
        small = _as_rgb(image, _fitted(size, working_side))
        pixels = np.array(_upright(small, orientation), dtype=np.uint8, order="C")
    width, height = _turned(size, orientation)
    return Decoded(pixels, width, height, kind.name)


# --- from a file to an image whose size is known ----------------------------------------------------------------------


def _supported_kind(data: BinaryIO) -> Kind:
    """The kind of a file that Pillow may be given; its position is then at the start."""
    data.seek(0)
    kind = sniff(data.read(HEAD_BYTES))
    data.seek(0)
    if kind.name == "EMPTY":
        raise PhotoError("empty file", kind.advice)
    if not kind.is_image:
        raise PhotoError(f"not an image but {kind.label}", kind.advice)
    if not kind.is_supported:
        raise PhotoError(f"{kind.label} is not supported", kind.advice)
    return kind


def _open(kind: Kind, data: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """The photo with its header read and its pixels not yet; complete as far as the container tells, and not too large.

    Some codecs allocate or refuse by themselves when they are opened, so the container is asked for the size first.
    """
    if kind.name in _DECLARED_SIZE:
        _check_size(_DECLARED_SIZE[kind.name](data), max_pixels)
    if _is_cut_off(kind, data):
        raise PhotoError(f"truncated {kind.name}", COPY_AGAIN)
    data.seek(0)
    image = _reader(kind)(data)
    _check_size(image.size, max_pixels)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_size(_tile_size(image), max_pixels)
    return image


def _reader(kind: Kind) -> type[ImageFile.ImageFile]:
    """Pillow's class for a format.

    Called directly rather than through `Image.open`, which would try every plugin that is installed, needs the HEIF
    opener registered globally, has its own opinion on how many pixels are too many, and takes the several pictures
    of an MPO or Ultra HDR photo for its point.
    """
    match kind.name:
        case "HEIF":
            from pillow_heif import HeifImageFile  # late: few libraries need it, and it loads 20 MB of codecs

            reader: type[ImageFile.ImageFile] = HeifImageFile
            return reader
        case "AVIF":
            return AvifImagePlugin.AvifImageFile
        case "BMP":
            return BmpImagePlugin.BmpImageFile
        case "GIF":
            return GifImagePlugin.GifImageFile
        case "JPEG":
            return JpegImagePlugin.JpegImageFile
        case "PNG":
            return PngImagePlugin.PngImageFile
        case "TIFF":
            return _Tiff
        case "WEBP":
            return WebPImagePlugin.WebPImageFile
    raise ValueError(f"no reader for {kind.name}")


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF without Pillow's own cap, which is half-way a warning and global; large scans have more pixels."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        ImageFile.ImageFile.load_prepare(self)


def _tile_size(image: TiffImagePlugin.TiffImageFile) -> tuple[int, int]:
    """The size of a TIFF's tiles, each of which is decoded as a whole, however small the picture is."""
    return image.tag_v2.get(ExifTags.Base.TileWidth, 1), image.tag_v2.get(ExifTags.Base.TileLength, 1)


def _check_size(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and size[0] * size[1] > max_pixels:
        width, height = size
        megapixels, cap = (f"{n / 1e6:.6g} MP" for n in (width * height, max_pixels))
        raise PhotoError(
            f"too many pixels: {width} x {height} is {megapixels}, the cap is {cap}",
            "raise max_megapixels if the photo is genuine",
        )


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


_DECLARED_SIZE = MappingProxyType({"WEBP": _webp_size, "AVIF": _iso_size, "HEIF": _iso_size})


def _is_cut_off(kind: Kind, data: BinaryIO) -> bool:
    """Whether a part of the picture is missing in a way that its decoder would not say.

    libheif paints the missing tiles of a truncated photo black, libwebp does not say what is wrong, and all of them
    take zeros for a picture: the space that an interrupted copy had reserved.
    """
    end = _content_end(kind, data)
    return end > data.seek(0, os.SEEK_END) or (kind.name not in ("TIFF", "BMP") and _fades_into_zeros(kind, data, end))


def _content_end(kind: Kind, data: BinaryIO) -> int:
    """Where a file has to end at the earliest, as far as its container says; else where it does end."""
    n_bytes = data.seek(0, os.SEEK_END)
    if kind.name == "WEBP":
        data.seek(4)
        return int.from_bytes(data.read(4), "little") + 8
    if kind.name in ("HEIF", "AVIF"):
        return max(_iso_ends(data), default=n_bytes)
    return n_bytes


def _iso_ends(data: BinaryIO) -> Iterator[int]:
    """Where the boxes that hold a picture and its description end; trailers of other makes are left alone."""
    start = 0
    while True:
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


_END_MARK = MappingProxyType({"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"})
"""What zeros may follow: some cameras fill the last block of a file with them."""

_ZEROS = bytes(4096)
"""More of them than compressed data ever holds in a row; also the smallest piece that a file system reserves."""


def _fades_into_zeros(kind: Kind, data: BinaryIO, end: int) -> bool:
    """Whether a compressed picture ends in a long run of zeros that is not padding."""
    mark = _END_MARK.get(kind.name)
    starts = range(end - len(_ZEROS), -len(_ZEROS), -len(_ZEROS))
    for start in starts:
        first = max(0, start - 16)  # a mark may lie across two blocks
        data.seek(first)
        content = data.read(start + len(_ZEROS) - first).rstrip(b"\0")
        if content:
            return start != starts[0] and not (mark and content.endswith(mark))
    return False


# --- from an image to its pixels --------------------------------------------------------------------------------------


def _load(image: ImageFile.ImageFile, working_side: int) -> tuple[int, int]:
    """Decode an image in place, a JPEG at a fraction of its size where that is enough; return its full size."""
    width, height = image.size
    step = _jpeg_step(image, working_side)
    if step > 1:
        image.draft(None, (max(1, width // step), max(1, height // step)))
        image.load()
        return width, height
    image.load()
    return image.size  # not the one of the header: libheif may correct it


def _jpeg_step(image: ImageFile.ImageFile, working_side: int) -> int:
    """By how much the JPEG decoder may reduce, so that the longer side is still at least the working side."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    return next(step for step in (8, 4, 2, 1) if step == 1 or max(image.size) // step >= working_side)


def _n_decoded_pixels(image: ImageFile.ImageFile, working_side: int) -> int:
    """How many pixels a load holds at once; a progressive JPEG keeps its coefficients at full size."""
    step = 1 if image.info.get("progressive") else _jpeg_step(image, working_side)
    width, height = image.size
    return -(-width // step) * -(-height // step)


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A size with its longer side at most `side` and its shape kept, but never without width or height."""
    width, height = size
    longer = max(size)
    if longer <= side:
        return size
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def _as_rgb(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in mode RGB and of that size. It is made small as early as its mode allows, to need less memory."""
    image = _resizable(image)
    if image.size != size:
        # Hamming takes 74 ms from 12 to 3 MP where Lanczos takes 195 ms, and keeps edges nearly as sharp.
        image = image.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)
    return _flattened(image)


def _resizable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose numbers can be averaged."""
    if image.mode.startswith("I;16"):
        return _high_bits(image)
    if image.mode in ("1", "L", "RGB", "P") and "transparency" in image.info:
        return image.convert("RGBA")
    simpler = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
    return image.convert(simpler[image.mode]) if image.mode in simpler else image


def _high_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits of 16-bit grey, or of as many as the file says it uses; Pillow's own conversion clips.

    The brightest pixel plays no part: a dark photo stays dark.
    """
    n_bits = 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        n_bits = int(image.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0])
    values: NDArray[np.uint16] = np.asarray(image)
    return Image.fromarray(np.minimum(values >> max(0, n_bits - 8), 255).astype(np.uint8))


def _flattened(image: Image.Image) -> Image.Image:
    """The picture in mode RGB, on white where it is transparent."""
    if image.mode in ("I", "F"):
        return _stretched(image).convert("RGB")
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """8-bit grey of 32-bit numbers, whose format names no range.

    Fractions are taken as they are, other numbers from the darkest to the lightest.
    """
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


# --- which way is up --------------------------------------------------------------------------------------------------

_TRANSPOSE = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""What makes a picture of that EXIF orientation upright."""


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation that is still to be applied, 1 to 8; 1 where it is missing, invalid or already applied."""
    if image.format in ("HEIF", "TIFF"):  # libheif obeys the container, and Pillow turns a TIFF while it loads it
        return 1
    try:
        # Not image.getexif(): that of a PNG decodes the picture to look for EXIF behind it.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception:  # broken EXIF raises nearly anything, and costs nothing but the orientation
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The size of a picture once it is upright."""
    width, height = size
    return (height, width) if orientation >= 5 else (width, height)


# --- what went wrong --------------------------------------------------------------------------------------------------

_TRUNCATED = re.compile(
    r"truncat|end of file|not processed|not enough (image )?data|premature|incomplete|insufficient|not large enough",
    re.IGNORECASE,
)
"""How Pillow and the codecs below it say that data is missing."""


@contextmanager
def _codec_faults(kind: Kind) -> Iterator[None]:
    """Whatever a codec raises within leaves as a PhotoError, and its warnings are dropped.

    Warnings are about metadata that nobody reads here, or about sizes that are checked here. The filter belongs to
    the process: another thread's warnings may be dropped meanwhile, which is one more reason to decode in workers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PhotoError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        if _is_disk_fault(error):
            raise
        raise _photo_error(kind, error) from error


def _is_disk_fault(error: Exception) -> bool:
    """Whether reading failed rather than decoding: the photo may be fine once the disk is back.

    EINVAL is what a file answers when a damaged photo points to before its start.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _photo_error(kind: Kind, error: Exception) -> PhotoError:
    if isinstance(error, MemoryError):
        return PhotoError(f"not enough memory to decode this {kind.name}", "lower max_megapixels or workers")
    if isinstance(error, Image.DecompressionBombError):
        return PhotoError(f"too many pixels for a {kind.name}", EXPORT)
    reason = _one_line(str(error))
    if _TRUNCATED.search(reason):
        return PhotoError(f"truncated {kind.name}", COPY_AGAIN)
    return PhotoError(f"damaged {kind.name} ({reason or type(error).__name__})", COPY_AGAIN)


def _one_line(text: str) -> str:
    """A codec's message without line breaks and control characters, and not too long for a table."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:100]
