"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

from PIL import ExifTags

from facewatch.decode import tiff
from facewatch.errors import COPY_AGAIN, EXPORT

HEAD_BYTES = 1024
"""How much `sniff` wants to see: enough for the first directory of a RAW file, which looks like a TIFF until then."""

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"),
    *(".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"),
    *(".jxl", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".psd", ".hdr", ".exr"),
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".srw", ".raf", ".rw2", ".rwl"),
    *(".orf", ".pef", ".3fr", ".iiq", ".x3f", ".mrw", ".raw"),
)
"""Endings of names that promise a picture, lower case."""


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
            Kind("RAW", "a RAW photo", is_image=True, is_supported=True),
            Kind("JP2", "a JPEG 2000 image", is_image=True, is_supported=True),
            _unsupported("JXL", "a JPEG XL image"),
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
    (4, b"pnot", "VIDEO"),
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

_FILM_BRANDS = (b"qt  ", b"isom", b"iso2", b"mp41", b"mp42", b"M4V ", b"avc1", b"3gp")
"""Major brands of films, the one beside a Live Photo among them, whatever else they say they are compatible with."""

_IIQ = re.compile(rb".{8}(IIII.waR|MMMMRaw)", re.DOTALL)
"""How Phase One's RAW goes on after the first bytes of a TIFF."""

_TEXT_BYTES = bytes(range(0x20, 0x7F)) + b"\t\r\n\f"


def sniff(head: bytes) -> Kind:
    """Return what a file is by its first `HEAD_BYTES` bytes; fewer do, but a RAW may then pass for a TIFF."""
    name = _by_magic(head) or _by_brand(head) or _by_text(head) or "UNKNOWN"
    if name == "TIFF" and (_IIQ.match(head) or is_raw(tiff.directory(io.BytesIO(head)))):
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
    if head.startswith(_FILM_BRANDS, 8):
        return "VIDEO"
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


def is_raw(first: tiff.Directory) -> bool:
    """Whether a TIFF with that first directory is a RAW photo: what Pillow would decode is its thumbnail.

    DNG says so by its version, a mosaic by its photometric interpretation (32803); NEF, ARW and SRW start with a
    reduced picture and keep the photo in a sub-directory.
    """
    numbers = {tag: entry.number for tag, entry in first.items()}
    starts_with_preview = numbers.get(ExifTags.Base.NewSubfileType) == 1 and ExifTags.Base.SubIFDs in numbers
    is_mosaic = numbers.get(ExifTags.Base.PhotometricInterpretation) == 32803
    return ExifTags.Base.DNGVersion in numbers or is_mosaic or starts_with_preview
