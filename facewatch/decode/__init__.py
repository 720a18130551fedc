"""Photos into pixels: what a file is, how large it is, and its picture as upright RGB, bounded in pixels.

    sniff     first bytes -> Kind       what the content is, whatever the name says
    peek      file -> Peeked            the size, before any pixel exists
    decode    file -> Decoded           the first picture, upright, 8-bit RGB, no larger than asked for; and its date
    taken_at  file -> text              when it was taken, without decoding it
    described file -> Description       how it is to be turned, and its XMP, without decoding it

A bad photo leaves as a PhotoError whose fault and advice fit on one line and never name the file: the caller does.

Engines see photos without their colour profiles: Display P3 read as sRGB is a little less saturated, which changes no
face. Only that of the rare JPEG in XYB is obeyed, which without it comes out in false colours. For people to look at
there is `in_srgb`.
"""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    Jpeg2KImagePlugin,
    WebPImagePlugin,
)

from facewatch.decode import colours, container, dates, jpeg, png, tiff, tiff_reader
from facewatch.decode.container import DECLARED_SIZE, is_cut_off, jp2_layout
from facewatch.decode.exif import orientation, said_orientation, xmp_blocks
from facewatch.decode.kinds import HEAD_BYTES, KINDS, Kind, claims_to_be_photo, is_raw, sniff
from facewatch.decode.pixels import WORKING_SIDE, as_rgb, fitted, load, n_decoded_pixels_of, turned, upright
from facewatch.errors import Fault, FaultCode, PhotoError
from facewatch.types import Decoded, Description

if TYPE_CHECKING:
    from facewatch.decode.raw import RawPhoto

__all__ = [
    "HEAD_BYTES",
    "MAX_PIXELS",
    "WORKING_SIDE",
    "Peeked",
    "claims_to_be_photo",
    "decode",
    "described",
    "peek",
    "sniff",
    "taken_at",
]


MAX_PIXELS = 200_000_000
"""Width times height of the largest photo that is decoded: 200 MP is the largest phone sensor."""


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


MAX_PACKETS = 8
"""Packets of XMP in one photo; all but the odd PNG have one."""
MAX_PACKET_BYTES = 16_777_216
"""A larger one is passed over."""


def peek(data: BinaryIO, *, max_pixels: int = MAX_PIXELS, working_side: int = WORKING_SIDE) -> Peeked:
    """Return the size of a photo from its header, without decoding it.

    HEIF, AVIF, WebP and RAW are read as a whole, because their decoders want to.

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
        if kind.name == "RAW":
            with _open_raw(kind, data, max_pixels) as photo:
                return Peeked(kind.name, *photo.size, photo.n_decoded_pixels(working_side))
        image = _open(kind, data, max_pixels)
        width, height = turned(image.size, orientation(kind, image, data))
        return Peeked(kind.name, width, height, n_decoded_pixels_of(image, working_side))


def decode(
    data: BinaryIO, *, max_pixels: int = MAX_PIXELS, working_side: int = WORKING_SIDE, in_srgb: bool = False
) -> Decoded:
    """Return the first picture of a photo, upright, in 8-bit RGB, its longer side at most `working_side`.

    The cap is checked before a pixel is allocated. A JPEG of at least twice the working side is never decoded at full
    size. What is transparent becomes white. The picture of a RAW photo is its preview where that is large enough, and
    so may be smaller than asked for.

    Args:
        data: the photo, open for reading and able to seek; it is read from its start and left open.
        max_pixels: the largest width times height that is taken.
        working_side: a longer side above this is reduced to exactly this.
        in_srgb: RGB of another profile (Display P3, Adobe RGB) is converted to sRGB, for people to look at.

    Raises:
        PhotoError: it is empty, not an image, not supported, too large, truncated or damaged.
        OSError: the disk, not the photo, is at fault.
    """
    if working_side < 1:
        raise ValueError(f"working_side must be positive, not {working_side}")
    kind = _supported_kind(data)
    with _codec_faults(kind):
        if kind.name == "RAW":
            with _open_raw(kind, data, max_pixels) as photo:
                return _decoded(kind, photo.picture(working_side), photo.size, dates.taken_at(kind, None, data))
        image, size = _loaded(kind, data, max_pixels, working_side)
        if kind.name == "PNG":
            png.check_rows(image, data)
        turn = orientation(kind, image, data)
        picture = as_rgb(image, fitted(size, working_side))
        if isinstance(image, tiff_reader.Tiff) and image.is_negative:
            picture = ImageOps.invert(picture)
        profile = image.info.get("icc_profile")
        if kind.name == "JPEG" and colours.is_xyb(profile):
            picture = colours.from_xyb(picture, profile)
        elif in_srgb and colours.is_of_other_rgb(profile):
            picture = colours.as_srgb(picture, profile)
        picture = upright(picture, turn)
        return _decoded(kind, picture, turned(size, turn), dates.taken_at(kind, image, data))


def _decoded(kind: Kind, picture: Image.Image, size: tuple[int, int], taken: str) -> Decoded:
    return Decoded(np.array(picture, dtype=np.uint8, order="C"), *size, kind.name, taken)


def taken_at(data: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> str:
    """Return when a photo was taken, from its header: what `decode` says of it, without decoding it.

    Like `peek`, it reads HEIF, AVIF and WebP as a whole.

    Args:
        data: the photo, open for reading and able to seek; it is read from its start and left open.
        max_pixels: the largest width times height that is taken.

    Returns:
        YYYY-MM-DDTHH:MM:SS by the camera's clock; "" when the file does not say.

    Raises:
        PhotoError: it is empty, not an image, not supported, too large, truncated or damaged.
        OSError: the disk, not the photo, is at fault.
    """
    kind = _supported_kind(data)
    with _codec_faults(kind):
        return dates.taken_at(kind, None if kind.name == "RAW" else _open(kind, data, max_pixels), data)


def described(data: BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Description:
    """Return what the header of a photo says to programs that write about faces in it, without decoding it.

    Like `peek`, it reads HEIF, AVIF and WebP as a whole.

    Args:
        data: the photo, open for reading and able to seek; it is read from its start and left open.
        max_pixels: the largest width times height that is taken.

    Raises:
        PhotoError: it is empty, not an image, not supported, too large, truncated or damaged.
        OSError: the disk, not the photo, is at fault.
    """
    kind = _supported_kind(data)
    with _codec_faults(kind):
        image = None if kind.name == "RAW" else _open(kind, data, max_pixels)
        blocks = islice(xmp_blocks(kind, image, data), MAX_PACKETS)
        packets = tuple(block for block in blocks if len(block) <= MAX_PACKET_BYTES)
        return Description(said_orientation(kind, image, data), packets)


def _supported_kind(data: BinaryIO) -> Kind:
    """The kind of a file that a decoder may be given; its position is then at the start."""
    data.seek(0)
    kind = sniff(data.read(HEAD_BYTES))
    if kind.name == "TIFF" and is_raw(tiff.directory(data)):  # its first directory lies behind the head
        kind = KINDS["RAW"]
    data.seek(0)
    if kind.name == "EMPTY":
        raise PhotoError(Fault.of(FaultCode.EMPTY))
    if not kind.is_image:
        raise PhotoError(Fault.of(FaultCode.NOT_IMAGE, kind.label, advice=kind.advice))
    if not kind.is_supported:
        raise PhotoError(Fault.of(FaultCode.UNSUPPORTED, kind.label, advice=kind.advice))
    return kind


def _loaded(
    kind: Kind, data: BinaryIO, max_pixels: int, working_side: int
) -> tuple[ImageFile.ImageFile, tuple[int, int]]:
    """The photo, decoded, and its full size; if that fails, once more without what its picture can do without."""
    image = _open(kind, data, max_pixels)
    try:
        return image, load(image, working_side)
    except Exception as error:
        if kind.name not in _MENDED or isinstance(error, MemoryError) or _is_disk_fault(error):
            raise
        fault = error.with_traceback(None)  # which holds the pixels
    del image
    mended = _MENDED[kind.name](_lean(kind, data), working_side)
    if mended is None:
        raise fault
    image = _opener(kind)(mended)
    return image, load(image, working_side)


def _mended_png(data: BinaryIO, _working_side: int) -> BinaryIO | None:
    return png.without_damage(data)


_MENDED = MappingProxyType({"JPEG": jpeg.with_end_mark, "PNG": _mended_png})
"""How a file is mended whose picture may be whole all the same: the data repaired, or None where there is nothing to
repair."""


def _open(kind: Kind, data: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """The photo with its header read and its pixels not yet; complete as far as the container says, and not too large.

    Some codecs allocate or refuse by themselves when they are opened, so the container is asked for the size first.
    """
    _check_container(kind, data, max_pixels)
    image = _opener(kind)(_lean(kind, data))
    if isinstance(image, tiff_reader.Tiff):
        _check_size(tiff_reader.tile_size(image), max_pixels)
    _check_size(image.size, max_pixels)
    return image


@contextmanager
def _open_raw(kind: Kind, data: BinaryIO, max_pixels: int) -> Iterator[RawPhoto]:
    """The same for a RAW photo."""
    from facewatch.decode.raw import opened  # late: few libraries need it, and it loads 10 MB of codecs

    _check_container(kind, data, max_pixels)
    with opened(data) as photo:
        _check_size(photo.sensor, max_pixels)
        _check_size(photo.preview.size if photo.preview else None, max_pixels)
        yield photo


def _check_container(kind: Kind, data: BinaryIO, max_pixels: int) -> None:
    if kind.name in DECLARED_SIZE:
        _check_size(DECLARED_SIZE[kind.name](data), max_pixels)
    if is_cut_off(kind, data):
        raise PhotoError(Fault.of(FaultCode.TRUNCATED, kind.name))
    data.seek(0)


def _lean(kind: Kind, data: BinaryIO) -> BinaryIO:
    """The file, or a copy without the metadata that its reader chokes on; at its start."""
    if kind.name in _LEAN:
        data = _LEAN[kind.name](data)
    data.seek(0)
    return data


_LEAN = MappingProxyType({"JPEG": jpeg.without_excess, "PNG": png.without_excess})


def _opener(kind: Kind) -> Callable[[BinaryIO], ImageFile.ImageFile]:
    """What opens a format.

    Pillow's classes are called directly rather than through `Image.open`, which would try every plugin that is
    installed, needs the HEIF opener registered globally, has its own opinion on how many pixels are too many, and
    takes the several pictures of an MPO or Ultra HDR photo for its point.
    """
    match kind.name:
        case "HEIF":
            from pillow_heif import HeifImageFile  # late: few libraries need it, and it loads 20 MB of codecs

            opener: type[ImageFile.ImageFile] = HeifImageFile
            return opener
        case "AVIF":
            return container.opened
        case "BMP":
            return BmpImagePlugin.BmpImageFile
        case "GIF":
            return GifImagePlugin.GifImageFile
        case "JP2":
            return _opened_jp2
        case "JPEG":
            return jpeg.opened
        case "PNG":
            return png.opened
        case "TIFF":
            return tiff_reader.opened
        case "WEBP":
            return WebPImagePlugin.WebPImageFile
    raise ValueError(f"no reader for {kind.name}")


def _opened_jp2(data: BinaryIO) -> ImageFile.ImageFile:
    """The photo with its header read; Pillow rounds what is nearly white up to black where colours have many bits."""
    n_components, n_bits = jp2_layout(data)
    if n_components > 1 and n_bits > 8:
        raise _unsupported_variant(KINDS["JP2"], f"colours of {n_bits} bits")
    data.seek(0)
    return Jpeg2KImagePlugin.Jpeg2KImageFile(data)


def _check_size(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size is not None and size[0] * size[1] > max_pixels:
        width, height = size
        megapixels, cap = (f"{n / 1e6:.6g} MP" for n in (width * height, max_pixels))
        raise PhotoError(Fault.of(FaultCode.TOO_MANY_PIXELS, width=width, height=height, n_pixels=megapixels, cap=cap))


_TRUNCATED = re.compile(
    r"truncat|end of file|not processed|not enough (image )?data|premature|incomplete|insufficient|not large enough",
    re.IGNORECASE,
)
"""How Pillow and the codecs below it say that data is missing."""

_UNSUPPORTED = re.compile(r"unsupported|unknown pixel mode|cannot handle|not implemented", re.IGNORECASE)
"""How they say that the file may be whole, but is of a rare kind."""


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
        return PhotoError(Fault.of(FaultCode.NO_MEMORY_TO_DECODE, kind.name))
    if isinstance(error, Image.DecompressionBombError):
        return PhotoError(Fault.of(FaultCode.TOO_MANY_FOR_KIND, kind.name))
    reason = _one_line(str(error))
    if _TRUNCATED.search(reason):
        return PhotoError(Fault.of(FaultCode.TRUNCATED, kind.name))
    if _UNSUPPORTED.search(reason):
        return _unsupported_variant(kind, reason)
    return PhotoError(Fault.of(FaultCode.DAMAGED, kind.name, reason=reason or type(error).__name__))


def _unsupported_variant(kind: Kind, reason: str) -> PhotoError:
    return PhotoError(Fault.of(FaultCode.RARE_OR_DAMAGED, kind.name, reason=reason))


def _one_line(text: str) -> str:
    """A codec's message without line breaks and control characters, and not too long for a table."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:100]
