"""Looks at files, in a worker process: what is it, and which faces are in it?"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from facewatch.engines import load_engine
from facewatch.errors import FacewatchError, PhotoError
from facewatch.quality import Limits, measure
from facewatch.types import Analysis, Box, Decoded, DetectedFace, Engine, EngineOptions, Face, Fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

CLOSER_SIDE = 4000
"""Longer side in pixels of the picture that small faces are cut from. The smallest that are found, 1.2 % of a photo,
are half the recogniser's input there; a 12-megapixel photo is 36 MB."""

UNREADABLE = "make it readable, then scan again"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to know to look at photos."""

    engine: str
    options: EngineOptions = field(default_factory=EngineOptions)
    max_pixels: int = 200_000_000
    limits: Limits = field(default_factory=Limits)
    niceness: int = 0
    """How much the workers give way to other processes."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What reading a file's bytes once tells."""

    fingerprint: Fingerprint
    sha256: bytes | None
    """None: not a photo, or faulty."""
    n_pixels: int = 0
    """How many will be decoded."""
    fault: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Analysed:
    analysis: Analysis | None
    fault: tuple[str, str] | None = None


class Eyes:
    """Looks at files with an engine that is loaded when the first photo needs it.

    Decoders are imported here and not above: only workers open photos, and every command would wait for them.
    """

    def __init__(self, recipe: Recipe, engine: Engine | None = None) -> None:
        self.recipe = recipe
        self._engine = engine

    def examine(self, path: str) -> Examined:
        """Return the file's hash and size in pixels, or its fault.

        Raises:
            FileNotFoundError: it is gone.
        """
        from facewatch import decode

        with _open(path) as file:
            fingerprint = Fingerprint.of(os.fstat(file.fileno()))
            head = file.read(decode.HEAD_BYTES)
            if not decode.sniff(head).is_image and not decode.claims_to_be_photo(path):
                return Examined(fingerprint, None)
            data = head + file.read()
        try:
            peeked = decode.peek(io.BytesIO(data), max_pixels=self.recipe.max_pixels)
        except PhotoError as error:
            return Examined(fingerprint, None, fault=(error.fault, error.advice))
        return Examined(fingerprint, hashlib.sha256(data).digest(), peeked.n_decoded_pixels)

    def analyse(self, path: str, expected: Fingerprint) -> Analysed | None:
        """Return the faces of a photo, or its fault; None: the file is not the one that was examined."""
        from facewatch import decode

        data = _read(path, expected)
        if data is None:
            return None
        try:
            decoded = decode.decode(data, max_pixels=self.recipe.max_pixels)
            found = self._ask(lambda engine: engine.analyse(decoded.pixels, closer=self._closer(data, decoded)))
        except PhotoError as error:
            return Analysed(None, fault=(error.fault, error.advice))
        return Analysed(self._analysis(decoded, found))

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> list[Analysed | None]:
        """Return the face of each photo, which is a crop of one; the whole batch goes to the recogniser at once."""
        from facewatch import decode

        outcomes: list[Analysed | None] = [None] * len(photos)
        pictures: dict[int, Decoded] = {}
        for i, (path, expected) in enumerate(photos):
            try:
                data = _read(path, expected)
                if data is not None:
                    pictures[i] = decode.decode(data, max_pixels=self.recipe.max_pixels)
            except PhotoError as error:
                outcomes[i] = Analysed(None, fault=(error.fault, error.advice))
            except OSError as error:
                outcomes[i] = Analysed(None, fault=(f"cannot be read: {error.strerror}", UNREADABLE))
        crops = [picture.pixels for picture in pictures.values()]
        try:
            faces = self._ask(lambda engine: engine.analyse_aligned(crops)) if crops else []
        except PhotoError as error:
            if len(photos) == 1:
                return [Analysed(None, fault=(error.fault, error.advice))]
            # Which one it was shows when each is asked for alone.
            return [outcome for photo in photos for outcome in self.analyse_aligned([photo])]
        for (i, picture), face in zip(pictures.items(), faces, strict=True):
            outcomes[i] = Analysed(self._analysis(picture, [face]))
        return outcomes

    def _ask(self, question: Callable[[Engine], list[DetectedFace]]) -> list[DetectedFace]:
        """Return the engine's answer; whatever it chokes on is this photo's fault and costs only this photo."""
        if self._engine is None:
            self._engine = load_engine(self.recipe.engine, self.recipe.options)
        try:
            return question(self._engine)
        except FacewatchError:
            raise
        except Exception as error:  # every library below the engines has errors of its own
            log.debug("", exc_info=error)
            raise PhotoError(
                f"the detector failed on it: {_one_line(error)}", "save it again, or exclude it"
            ) from error

    def _analysis(self, decoded: Decoded, found: Sequence[DetectedFace]) -> Analysis:
        scale = decoded.width / decoded.pixels.shape[1], decoded.height / decoded.pixels.shape[0]
        faces = [_full_size(face, scale, (decoded.width, decoded.height), self.recipe.limits) for face in found]
        return Analysis(decoded.width, decoded.height, decoded.format, tuple(faces), decoded.taken_at)

    def _closer(self, data: BinaryIO, decoded: Decoded) -> Callable[[], NDArray[np.uint8]] | None:
        """Return what decodes the photo again with more pixels, where it has them."""
        from facewatch import decode

        if max(decoded.width, decoded.height) <= decode.WORKING_SIDE:
            return None
        return lambda: decode.decode(data, max_pixels=self.recipe.max_pixels, working_side=CLOSER_SIDE).pixels


def taken_at(path: str, expected: Fingerprint, *, max_pixels: int) -> str:
    """Return when the photo in a file was taken, from its header; "": the file does not say.

    Raises:
        FileNotFoundError: it is gone, or not the one that was expected.
        OSError: it cannot be read.
        PhotoError: it is broken.
    """
    from facewatch import decode

    with _open(path) as file:
        if Fingerprint.of(os.fstat(file.fileno())) != expected:
            raise FileNotFoundError(path)
        return decode.taken_at(file, max_pixels=max_pixels)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read(path: str, expected: Fingerprint) -> io.BytesIO | None:
    """Return the bytes of a file; None: it is not, or not any more, the one that was examined."""
    with _open(path) as file:
        if Fingerprint.of(os.fstat(file.fileno())) != expected:
            return None
        data = io.BytesIO(file.read())
        return data if Fingerprint.of(os.fstat(file.fileno())) == expected else None


def _open(path: str) -> io.BufferedReader:
    """Open a regular file for reading; never follows a link, never waits for a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(path)
    return open(handle, "rb")  # noqa: PTH123 - a descriptor, not a path


def _full_size(face: DetectedFace, scale: tuple[float, float], size: tuple[int, int], limits: Limits) -> Face:
    """Return the face in pixels of the full-size photo, its box cut at the photo's edges."""
    left, top, width, height = face.box
    x0, y0 = max(0, round(left * scale[0])), max(0, round(top * scale[1]))
    x1, y1 = min(size[0], round((left + width) * scale[0])), min(size[1], round((top + height) * scale[1]))
    box = Box(x0, y0, max(1, x1 - x0), max(1, y1 - y0))
    landmarks = tuple(float(v) for point in face.landmarks for v in (point[0] * scale[0], point[1] * scale[1]))
    quality = measure(face, pixels=min(box.w, box.h), limits=limits)
    return Face(box, landmarks, face.score, quality, face.embedding)
