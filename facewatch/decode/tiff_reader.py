"""TIFF by Pillow, with the interpretation that the file declares, some of which Pillow ignores."""

from __future__ import annotations

from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImagePalette, TiffImagePlugin, TiffTags

from facewatch.decode.exif import tag_orientation
from facewatch.decode.pixels import turned, upright
from facewatch.errors import Fault, FaultCode, PhotoError

_Tag = ExifTags.Base

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR = 0, 1, 2, 5, 6
_UNSIGNED, _SIGNED = (1,), (2,)
_UNCOMPRESSED, _DEFLATED, _WEBP = 1, 8, 50001
_CCITT = (2, 3, 4)
_SAMPLE_FORMAT, _EXTRA_SAMPLES, _INK_SET, _DOT_RANGE = 339, 338, 332, 336

_UNUSED = (_Tag.XResolution, _Tag.YResolution, _Tag.ResolutionUnit, _Tag.InterColorProfile)
"""Tags that Pillow reads when it opens a page, raising where they are damaged, and nobody else."""

_LISTS = (_Tag.BitsPerSample, _SAMPLE_FORMAT, _EXTRA_SAMPLES)

_LAYOUT = (
    *(_Tag.ImageWidth, _Tag.ImageLength, _Tag.Compression, _Tag.PhotometricInterpretation, _Tag.FillOrder),
    *(_Tag.SamplesPerPixel, _Tag.RowsPerStrip, _Tag.PlanarConfiguration, _Tag.TileWidth, _Tag.TileLength, *_LISTS),
)
"""Tags that say how the numbers lie; some write them with the type BYTE."""

_NATIVE = MappingProxyType({"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"})
"""How Pillow is to take what libtiff has already brought into the machine's byte order; it takes it for the file's."""


class Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF without Pillow's own cap, which is half-way a warning and global; large scans have more pixels."""

    is_negative = False
    """Whether it counts from white: light and dark are still to be exchanged, once the picture has 8 bits."""

    def _setup(self) -> None:
        """Read a page's header; its size is that of the turned picture, of which Pillow knows some types only."""
        tags = self.tag_v2
        for tag in _UNUSED:
            if tag in tags:
                del tags[tag]
        for name in _LAYOUT:
            value = tags.get(name)
            if isinstance(value, bytes):  # what Pillow makes of the type BYTE
                tags.tagtype[name] = TiffTags.SHORT
                tags[name] = tuple(value) if name in _LISTS else value[0]
        _set_interpretation(tags)
        _refuse_what_is_misread(tags)
        self.is_negative = tags.get(_Tag.PhotometricInterpretation) == _WHITE_IS_ZERO and _n_samples(tags) == 1
        if self.is_negative:  # Pillow obeys it for 8 bits and less, and not always
            tags[_Tag.PhotometricInterpretation] = _BLACK_IS_ZERO
        self._is_uint32 = _numbers(tags) == ((32,), _UNSIGNED)
        if self._is_uint32:  # Pillow takes them for signed, and of one byte order only
            tags[_SAMPLE_FORMAT] = _SIGNED
        is_for_libtiff = _is_for_libtiff(tags)
        if is_for_libtiff:
            tags[_Tag.Compression] = _DEFLATED
        super()._setup()
        if is_for_libtiff:
            tags[_Tag.Compression] = _UNCOMPRESSED
        if self.use_load_libtiff:
            self.tile = [_in_native_order(tile) for tile in self.tile]
        if self.mode in ("P", "PA") and max(tags[_Tag.ColorMap]) < 256:  # of 8 bits, as some write it
            self.palette = ImagePalette.raw("RGB;L", bytes(tags[_Tag.ColorMap]))
        self._size = turned(self._tile_size, tag_orientation(self) or 1)

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        ImageFile.ImageFile.load_prepare(self)

    def load_end(self) -> None:
        """Turn the picture as its page says; Pillow asks XMP as well, which `peek` would not know, and every page."""
        picture = self._new(self.im)
        if self._is_uint32:
            picture = Image.fromarray(np.asarray(picture).view(np.uint32).astype(np.float32))
        self._mode = picture.mode
        self.im = upright(picture, tag_orientation(self) or 1).im
        self._size = self.im.size


def opened(data: BinaryIO) -> Tiff:
    """The photo's main page with its header read."""
    if data.read(4) == b"MM\0+":  # Pillow sees that it is one by the wrong byte
        raise _unsupported("big-endian BigTIFF")
    data.seek(0)
    image = Tiff(data)
    _seek_main_page(image)
    return image


def tile_size(image: Tiff) -> tuple[int, int]:
    """The size of a TIFF's tiles, each of which is decoded as a whole, however small the picture is."""
    return image.tag_v2.get(_Tag.TileWidth, 1), image.tag_v2.get(_Tag.TileLength, 1)


# --- what the numbers mean ---


def _n_samples(tags: TiffImagePlugin.ImageFileDirectory_v2) -> int:
    return int(tags.get(_Tag.SamplesPerPixel, 1))


def _numbers(tags: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many bits each has, and which format."""
    return tuple(tags.get(_Tag.BitsPerSample, (1,))), tuple(tags.get(_SAMPLE_FORMAT, _UNSIGNED))


def _set_interpretation(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Have a page that does not say what its numbers mean say what libtiff takes them for; Pillow sees a negative."""
    if _Tag.PhotometricInterpretation in tags:
        return
    if tags.get(_Tag.Compression) in _CCITT:
        tags[_Tag.PhotometricInterpretation] = _WHITE_IS_ZERO
        return
    n_colours = _n_samples(tags) - len(tags.get(_EXTRA_SAMPLES, ()))
    if n_colours not in (1, 3):
        raise _unsupported("no photometric interpretation")
    tags[_Tag.PhotometricInterpretation] = _BLACK_IS_ZERO if n_colours == 1 else _RGB


def _refuse_what_is_misread(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Refuse what Pillow takes for something else or cannot unpack, and what writers mean different things by."""
    interpretation = tags.get(_Tag.PhotometricInterpretation)
    compression = tags.get(_Tag.Compression, _UNCOMPRESSED)
    if compression not in TiffImagePlugin.COMPRESSION_INFO or compression == _WEBP:  # which Pillow's wheels lack
        raise _unsupported(f"compression {compression}")
    if _is_planar(tags) and _n_samples(tags) > 1 and interpretation not in (_RGB, _CMYK, _YCBCR):
        raise _unsupported("planes of other colours than RGB and CMYK")
    if _numbers(tags) == ((8,), _SIGNED):  # half of those who write it mean no sign
        raise _unsupported("8 bits with a sign")
    dots = tags.get(_DOT_RANGE, (0, 255))
    if interpretation == _CMYK and (tags.get(_INK_SET, 1) != 1 or dots[0] > dots[1]):
        raise _unsupported("inks that are not plain CMYK")


def _in_native_order(tile: ImageFile._Tile) -> ImageFile._Tile:
    assert isinstance(tile.args, tuple)
    raw_mode, *others = tile.args
    return tile._replace(args=(_NATIVE.get(raw_mode, raw_mode), *others))


def _is_for_libtiff(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Whether Pillow itself, which takes what is not compressed, would misread it: planes, and colours at half size."""
    is_compressed = tags.get(_Tag.Compression, _UNCOMPRESSED) != _UNCOMPRESSED
    return not is_compressed and (_is_planar(tags) or tags.get(_Tag.PhotometricInterpretation) == _YCBCR)


def _is_planar(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    return tags.get(_Tag.PlanarConfiguration) == 2


# --- pages ---

_MAX_PAGES = 16
"""How many pages of a TIFF are searched for one that is not reduced."""


def _seek_main_page(image: Tiff) -> None:
    """Go to the first page; where that is a reduced copy of another, to the largest that is none."""
    if not _is_reduced(image):
        return
    n_pixels = {0: 0}
    for page in range(1, _MAX_PAGES):
        try:
            image.seek(page)
        except EOFError:
            break
        if not _is_reduced(image):
            n_pixels[page] = image.width * image.height
    image.seek(max(n_pixels, key=n_pixels.__getitem__))


def _is_reduced(image: Tiff) -> bool:
    is_reduced = bool(int(image.tag_v2.get(_Tag.NewSubfileType, 0)) & 1)
    return is_reduced or image.tag_v2.get(_Tag.SubfileType) == 2


def _unsupported(what: str) -> PhotoError:
    return PhotoError(Fault.of(FaultCode.RARE, "TIFF", reason=what))
