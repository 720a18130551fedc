"""RAW photos, through LibRaw: the camera's preview where it is large enough, else developed here.

A preview is what the photographer saw, and takes milliseconds where developing takes a second. Which of the two
is taken does not depend on the size that is asked for, so that boxes found in one picture of a photo fit all others.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import rawpy
from PIL import ExifTags, Image, JpegImagePlugin

from facewatch.decode import tiff
from facewatch.decode.exif import orientation_in, own_orientation
from facewatch.decode.kinds import KINDS
from facewatch.decode.pixels import WORKING_SIDE, as_rgb, fitted, load, n_decoded_pixels_of, turned, upright
from facewatch.errors import Fault, FaultCode, PhotoError

LEAST_PREVIEW_SIDE = 640
"""Pixels of the longer side of a preview that is better than nothing, where LibRaw cannot develop the photo: a group's
faces are lost in it, a portrait's are not. The thumbnails of 160 pixels would only pretend that nobody is there."""

_PIXELS_A_BYTE = 64
"""More than any sensor's data is packed into one byte; a file that is smaller holds a header and no picture."""

_SAME_SHAPE = 1.02
"""How much longer one side may be: previews lack some rows at the edges. A square one of a wide sensor is meant so."""

_EXIF_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}
"""What LibRaw's number for a turn is in EXIF."""


@dataclass(frozen=True, slots=True)
class RawPhoto:
    """A RAW photo whose header is read."""

    raw: rawpy.RawPy | None
    """None: LibRaw does not know this camera, and the preview is all there is."""
    sensor: tuple[int, int]
    """Width and height of all that will be unpacked."""
    visible: tuple[int, int]
    """Width and height of the picture as it lies on the sensor."""
    orientation: int
    """What EXIF would say of how to turn it."""
    preview: Image.Image | None
    """The largest picture within, not decoded; None: there is none, or it cannot be read."""
    preview_orientation: int

    @property
    def has_good_preview(self) -> bool:
        """Whether faces are found in the preview as well as in the photo."""
        return self.preview is not None and max(self.preview.size) >= min(WORKING_SIDE, -(-max(self.visible) // 2))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height upright and at full size, of the shape of the picture that is taken."""
        upright = turned(self.visible, self.orientation)
        if not self.has_good_preview or self.preview is None:
            return upright
        return _within(turned(self.preview.size, self.preview_orientation), upright)

    def n_decoded_pixels(self, working_side: int) -> int:
        """How many pixels' worth of memory it takes to decode it, a pixel being RGB in Pillow: four bytes."""
        if self.has_good_preview and isinstance(self.preview, JpegImagePlugin.JpegImageFile):
            return n_decoded_pixels_of(self.preview, working_side)
        width, height = self.sensor  # measured: 6 bytes for each of these, or 17 where all are wanted
        return width * height * 3 // 2 if self._may_be_halved(working_side) else width * height * 4

    def picture(self, working_side: int) -> Image.Image:
        """Return the picture, upright, in RGB, its longer side at most `working_side`.

        Raises:
            PhotoError: LibRaw does not know the format, or the file is damaged.
        """
        if self.has_good_preview:
            with suppress(OSError, SyntaxError, ValueError):  # it is damaged: the photo itself may not be
                return self._reduced_preview(working_side)
        try:
            developed = self._developed(working_side)
        except PhotoError:
            if self.preview is None or max(self.preview.size) < LEAST_PREVIEW_SIDE:
                raise
            return self._reduced_preview(working_side)
        return as_rgb(developed, fitted(developed.size, working_side))

    def _reduced_preview(self, working_side: int) -> Image.Image:
        assert self.preview is not None
        size = load(self.preview, working_side)
        return upright(as_rgb(self.preview, fitted(size, working_side)), self.preview_orientation)

    def _developed(self, working_side: int) -> Image.Image:
        """The picture by LibRaw, upright, in RGB, at half the sensor's size where that is enough."""
        if self.raw is None:
            raise _unknown()
        with _libraw_faults():
            self.raw.unpack()
            pixels = self.raw.postprocess(
                half_size=self._may_be_halved(working_side),
                use_camera_wb=True,
                demosaic_algorithm=rawpy.DemosaicAlgorithm.PPG,
            )
        if np.ptp(pixels) == 0:  # LibRaw's answer to data that are missing; no sensor is without noise
            raise PhotoError(Fault.of(FaultCode.DAMAGED, "RAW", reason="nothing but one colour"))
        return Image.fromarray(np.ascontiguousarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]))

    def _may_be_halved(self, working_side: int) -> bool:
        return max(self.visible) // 2 >= working_side


@contextmanager
def opened(data: BinaryIO) -> Iterator[RawPhoto]:
    """The photo in a file, its header read; nothing is unpacked yet, and nothing of it may be used afterwards.

    Raises:
        PhotoError: LibRaw does not know the format, or the file is damaged or truncated.
    """
    data.seek(0)
    content = data.read()
    with rawpy.RawPy() as raw:
        try:
            with _libraw_faults():
                raw.open_buffer(io.BytesIO(content))
        except PhotoError as error:
            yield _by_its_preview(io.BytesIO(content), error)
            return
        sizes = raw.sizes
        if len(content) * _PIXELS_A_BYTE < sizes.width * sizes.height:
            raise PhotoError(Fault.of(FaultCode.TRUNCATED, "RAW"))
        visible = _squared((sizes.width, sizes.height), sizes.pixel_aspect)
        sensor = max(sizes.raw_width, sizes.width), max(sizes.raw_height, sizes.height)
        yield _photo(raw, sensor, visible, _EXIF_ORIENTATIONS.get(sizes.flip, 1), _preview(raw))


def _photo(
    raw: rawpy.RawPy | None,
    sensor: tuple[int, int],
    visible: tuple[int, int],
    orientation: int,
    preview: Image.Image | None,
) -> RawPhoto:
    preview_orientation = _preview_orientation(preview, turned(visible, orientation), orientation) if preview else 1
    return RawPhoto(raw, sensor, visible, orientation, preview, preview_orientation)


def _by_its_preview(data: BinaryIO, fault: PhotoError) -> RawPhoto:
    """A photo that LibRaw cannot open, by the largest JPEG in its TIFF: a camera or compression newer than LibRaw.

    Raises:
        PhotoError: `fault`, because there is none that is large enough.
    """
    directories = [*tiff.directories(data)]
    sizes = [tuple(entries[tag].number for tag in _SIDES) for entries in directories if entries.keys() >= {*_SIDES}]
    blocks = [block for entries in directories for block in tiff.blocks(data, entries)]
    previews = filter(None, (_jpeg(tiff.read_at(data, *block)) for block in blocks[:_MAX_JPEGS]))
    preview = max(previews, key=lambda image: image.width * image.height, default=None)
    if preview is None or max(preview.size) < LEAST_PREVIEW_SIDE:
        raise fault
    width, height = max([*sizes, preview.size], key=lambda size: size[0] * size[1])
    return _photo(None, (width, height), (width, height), orientation_in(data, directories[0]) or 1, preview)


_SIDES = (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)

_MAX_JPEGS = 64
"""Blocks of a RAW photo that are tried as previews; a photo in tiles may have thousands."""


def _jpeg(content: bytes) -> Image.Image | None:
    """The JPEG of which a block consists, its header read; not one of those that hold a sensor's counts."""
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    with suppress(OSError, SyntaxError, ValueError):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
        return image if image.mode in ("RGB", "L") else None
    return None


def _within(size: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """The frame, if it has the shape of that size as far as anybody can see; else the largest of that shape in it."""
    scales = frame[0] / size[0], frame[1] / size[1]
    scale = min(scales)
    if max(scales) <= scale * _SAME_SHAPE:
        return frame
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _squared(size: tuple[int, int], pixel_aspect: float) -> tuple[int, int]:
    """The size once pixels are square, as LibRaw makes them when it develops."""
    width, height = size
    if 0 < pixel_aspect < 1:
        return width, round(height / pixel_aspect)
    return round(width * pixel_aspect) if 1 < pixel_aspect < 10 else width, height


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    """The largest picture within, as far as its header can be read."""
    with suppress(rawpy.LibRawError, rawpy.NotSupportedError, OSError, SyntaxError, ValueError):
        thumbnail = raw.extract_thumb()
        if isinstance(thumbnail.data, bytes):
            return JpegImagePlugin.JpegImageFile(io.BytesIO(thumbnail.data))
        return Image.fromarray(np.array(thumbnail.data)).convert("RGB")
    return None


def _preview_orientation(preview: Image.Image, upright: tuple[int, int], orientation: int) -> int:
    """How the preview is still to be turned.

    By its own EXIF (LibRaw gives it the photo's where it has none), else as the photo, else it is upright already:
    whichever first makes it lie as the photo does.
    """
    own = own_orientation(KINDS["JPEG"], preview, io.BytesIO()) or orientation
    candidates = [each for each in (own, orientation, 1) if _lie_alike(turned(preview.size, each), upright)]
    return candidates[0] if candidates else own


def _lie_alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return (one[0] > one[1]) == (other[0] > other[1])


def _unknown() -> PhotoError:
    return PhotoError(Fault.of(FaultCode.UNKNOWN_RAW))


@contextmanager
def _libraw_faults() -> Iterator[None]:
    """What LibRaw raises within leaves as a PhotoError."""
    try:
        yield
    except rawpy.LibRawFileUnsupportedError as error:
        raise _unknown() from error
    except rawpy.LibRawIOError as error:
        raise PhotoError(Fault.of(FaultCode.TRUNCATED, "RAW")) from error
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise PhotoError(Fault.of(FaultCode.DAMAGED, "RAW", reason=str(reason)[:80])) from error
