"""Analyses files, in a worker process: what is it, and which faces are in it (at any angle: see `turns`)?"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from facewatch.engines import load_engine
from facewatch.engines.options import EngineOptions
from facewatch.errors import FacewatchError, Fault, FaultCode, PhotoError
from facewatch.fs.beneath import open_beneath
from facewatch.indexing import cutting
from facewatch.indexing.cutting import AS_SHOWN, CropStyle
from facewatch.indexing.memory import bytes_needed, in_mb
from facewatch.indexing.turns import analyse_turns, turn_of
from facewatch.quality import Limits, measure
from facewatch.types import Analysis, Box, Decoded, Description, DetectedFace, Engine, Face, FileSays, Fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facewatch.decode import Peeked

log = logging.getLogger(__name__)

CLOSER_SIDE = 4000
"""Longer side in pixels of the picture that small faces are cut from. The smallest that are found, 1.2 % of a photo,
are half the recogniser's input there; a 12-megapixel photo is 36 MB."""

BYTES_PER_PIXEL = 8
"""Of a photo that is not compressed: four channels of 16 bits."""
BYTES_BESIDE_PIXELS = 2_000_000_000
"""What else may be in the file of a photo: other pages, layers, films. A file goes into memory as a whole; what is
larger than this and all its pixels is none of a photo (a disk image, a file with a hole of terabytes)."""

NO_ENGINE = "cutting out faces"
"""What stands in the place of an engine's name: the worker loads none."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to know to analyse photos."""

    engine: str
    options: EngineOptions = field(default_factory=EngineOptions)
    max_pixels: int = 200_000_000
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """A file by its library and its path below that. On the way from the one to the other no link is followed."""

    root: str
    path: str

    def __fspath__(self) -> str:
        return f"{self.root}/{self.path}"


@dataclass(frozen=True, slots=True)
class SentFile(LibraryFile):
    """A file as another machine sees it, which goes by that: its inode may be another here."""

    seen: Fingerprint
    content: bytes | None = None
    """None: it is read here."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What reading a file's bytes once shows."""

    fingerprint: Fingerprint
    sha256: bytes | None
    """None: not a photo, or faulty."""
    n_pixels: int = 0
    """How many will be decoded."""
    n_bytes: int = 0
    """About how much memory that takes at its peak."""
    fault: Fault | None = None


AnalysisResult = Analysis | Fault | None
"""The faces of a photo, or its fault; None: the file is not, or not any more, the one that was examined."""


def most_file_bytes(recipe: Recipe) -> int:
    """Return how large the file of a photo may be."""
    return BYTES_PER_PIXEL * recipe.max_pixels + BYTES_BESIDE_PIXELS


def load(recipe: Recipe) -> Engine:
    """Return the recipe's engine with its models in memory.

    Raises:
        EngineError: there is none of that name, or its files are absent or damaged.
    """
    return load_engine(recipe.engine, recipe.options)


class Analyzer:
    """Analyses files with an engine that is loaded when the first photo needs it.

    Decoders are imported here and not above: only workers open photos, and every command would wait for them.
    """

    def __init__(
        self, recipe: Recipe, engine: Engine | None = None, *, load: Callable[[Recipe], Engine] = load
    ) -> None:
        """`engine`: one that is loaded already; `load` loads it where there is none."""
        self.recipe = recipe
        self._engine = engine
        self._load = load

    def engine(self) -> Engine:
        """Return the engine, with its models in memory from now on.

        Raises:
            EngineError: it cannot be loaded.
        """
        if self._engine is None:
            self._engine = self._load(self.recipe)
        return self._engine

    def examine(self, photo: LibraryFile) -> Examination:
        """Return the file's hash and size in pixels, or its fault.

        Raises:
            FileNotFoundError: it is gone.
        """
        from facewatch import decode

        with _open(photo) as file:
            fingerprint = _fingerprint_of(photo, file)
            head = file.read(decode.HEAD_BYTES)
            if not decode.sniff(head).is_image and not decode.claims_to_be_photo(photo.path):
                return Examination(fingerprint, None)
            if fingerprint.size > most_file_bytes(self.recipe):
                return Examination(fingerprint, None, fault=Fault.of(FaultCode.TOO_LARGE, size=in_mb(fingerprint.size)))
            file.seek(0)
            data = file.read()
        try:
            peeked = decode.peek(io.BytesIO(data), max_pixels=self.recipe.max_pixels)
            n_bytes = bytes_needed(peeked.format, self._most_pixels(data, peeked), len(data))
        except PhotoError as error:
            return Examination(fingerprint, None, fault=error.fault)
        return Examination(fingerprint, hashlib.sha256(data).digest(), peeked.n_decoded_pixels, n_bytes)

    def _most_pixels(self, data: bytes, peeked: Peeked) -> int:
        """Return how many pixels are decoded at most: more when an engine needs more detail."""
        from facewatch import decode

        if peeked.n_decoded_pixels == peeked.width * peeked.height:
            return peeked.n_decoded_pixels
        closer = decode.peek(io.BytesIO(data), max_pixels=self.recipe.max_pixels, working_side=CLOSER_SIDE)
        return closer.n_decoded_pixels

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> AnalysisResult:
        """Return the faces of a photo, or its fault; None: the file is not the one that was examined."""
        from facewatch import decode

        data = _read(photo, expected)
        if data is None:
            return None
        try:
            decoded = decode.decode(data, max_pixels=self.recipe.max_pixels)
            found = self._ask(lambda engine: analyse_turns(engine, decoded.pixels, self._closer(data, decoded)))
        except PhotoError as error:
            return error.fault
        return self._analysis(decoded, found)

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> list[AnalysisResult]:
        """Return the face of each photo, which is a crop of one; the whole batch goes to the recogniser at once."""
        from facewatch import decode

        outcomes: list[AnalysisResult] = [None] * len(photos)
        pictures: dict[int, Decoded] = {}
        for i, (file, expected) in enumerate(photos):
            try:
                data = _read(file, expected)
                if data is not None:
                    pictures[i] = decode.decode(data, max_pixels=self.recipe.max_pixels)
            except PhotoError as error:
                outcomes[i] = error.fault
            except OSError as error:
                outcomes[i] = unreadable(error)
        crops = [picture.pixels for picture in pictures.values()]
        try:
            faces = self._ask(lambda engine: engine.analyse_aligned(crops)) if crops else []
        except PhotoError as error:
            if len(photos) == 1:
                return [error.fault]
            # Which one it was shows when each is asked for alone.
            return [outcome for photo in photos for outcome in self.analyse_aligned([photo])]
        for (i, picture), face in zip(pictures.items(), faces, strict=True):
            outcomes[i] = self._analysis(picture, [face])
        return outcomes

    def identify(self) -> str:
        """Return the fingerprint of the engine, which is loaded."""
        return self.engine().info.fingerprint

    def self_test(self) -> None:
        """Have the engine analyse a picture with nothing on it, which it must be able to do."""
        import numpy as np

        self.engine().analyse(np.full((128, 128, 3), 128, np.uint8))

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> str:
        """Return when the photo in a file was taken, from its header; "": the file does not say.

        Raises:
            FileNotFoundError: it is gone, or not the one that was expected.
            OSError: it cannot be read.
            PhotoError: it is broken.
        """
        from facewatch import decode

        with _open(photo) as file:
            if _fingerprint_of(photo, file) != expected:
                raise FileNotFoundError(os.fspath(photo))
            return decode.taken_at(file, max_pixels=self.recipe.max_pixels)

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Description:
        """Return what the header of the photo in a file says about its picture.

        Raises:
            FileNotFoundError: it is gone, or not the one that was expected.
            OSError: it cannot be read.
            PhotoError: it is broken.
        """
        from facewatch import decode

        with _as_expected(photo, expected) as file:
            return decode.described(file, max_pixels=self.recipe.max_pixels)

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> FileSays:
        """Return what a file in or beside photos says about the people in them.

        Args:
            kind: of the file; see `people_in_files.READERS`.

        Raises:
            FileNotFoundError: it is gone, or not the one that was expected.
            OSError: it cannot be read.
            PhotoError: it is a photo, and broken.
        """
        from facewatch.catalog.metadata import MetadataKind
        from facewatch.indexing import people_in_files

        with _as_expected(file, expected) as content:
            return people_in_files.read(content, MetadataKind(kind), max_pixels=self.recipe.max_pixels)

    def cut_faces(
        self,
        photo: LibraryFile,
        boxes: Sequence[Box],
        expected: Fingerprint | None,
        side: int,
        most_bytes: int | None = None,
        style: CropStyle = AS_SHOWN,
    ) -> list[bytes | None]:
        """Return a square JPEG of each face of a photo, which is decoded once; no engine is asked.

        Args:
            boxes: in pixels of the upright photo at full size.
            expected: the file that the boxes are from; None: nobody knows, and whatever is there now is cut.
            side: of the pictures, in pixels; see `cutting.cut_faces`.
            most_bytes: what decoding may take; None: no limit.

        Returns:
            In the order of `boxes`; None where the face lies outside the photo.

        Raises:
            FileNotFoundError: it is gone, or not (or not any more) the one that was expected.
            OSError: it cannot be read.
            PhotoError: it cannot be decoded, or not within the limits.
        """
        if not boxes:
            return []
        with _as_expected(photo, expected) as file:
            return cutting.cut_faces(
                file, boxes, side=side, max_pixels=self.recipe.max_pixels, most_bytes=most_bytes, style=style
            )

    def reduced(
        self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None, most_bytes: int | None = None
    ) -> list[bytes]:
        """Return a whole photo, upright, as a JPEG of each of these longer sides; no engine is asked.

        Args:
            sides: in pixels; a photo that is smaller keeps its size.
            expected: the file as it is on record; None: whatever is there now.
            most_bytes: what decoding may take; None: no limit.

        Raises:
            FileNotFoundError: it is gone, or not (or not any more) the one that was expected.
            OSError: it cannot be read.
            PhotoError: it cannot be decoded, or not within the limits.
        """
        with _as_expected(photo, expected) as file:
            return cutting.reduced(file, sides, max_pixels=self.recipe.max_pixels, most_bytes=most_bytes)

    def analyse_boxes(
        self,
        photo: LibraryFile,
        expected: Fingerprint,
        boxes: Sequence[Box],
        beside: Sequence[Box],
        most_bytes: int | None = None,
    ) -> AnalysisResult:
        """Return the face in each of these boxes of a photo, in their order, or the photo's fault; None: the file is
        not the one that was expected. See `boxed.faces_in_boxes`.

        Args:
            boxes: in pixels of the upright photo at full size, at least one; so are `beside`, its other faces.
            most_bytes: what decoding may take; None: no limit.
        """
        from facewatch.indexing import boxed

        data = _read(photo, expected)
        if data is None:
            return None
        try:
            decoded = cutting.decoded_for(
                data, boxes, side=boxed.FACE_SIDE, max_pixels=self.recipe.max_pixels, most_bytes=most_bytes
            )
            found = self._ask(lambda engine: boxed.faces_in_boxes(engine, decoded, boxes, beside))
        except PhotoError as error:
            return error.fault
        analysis = self._analysis(decoded, found)
        return replace(analysis, faces=tuple(replace(face, is_drawn=True) for face in analysis.faces))

    def load_decoders(self) -> None:
        """Have in memory what `cut_faces` and `reduced` need."""
        from facewatch import decode  # noqa: F401

    def _ask(self, question: Callable[[Engine], list[DetectedFace]]) -> list[DetectedFace]:
        """Return the engine's answer; whatever it chokes on is this photo's fault and costs only this photo."""
        engine = self.engine()
        try:
            return question(engine)
        except FacewatchError:
            raise
        except MemoryError as error:
            raise PhotoError(Fault.of(FaultCode.NO_MEMORY_TO_DETECT)) from error
        except Exception as error:  # every library below the engines has errors of its own
            log.debug("", exc_info=error)
            raise PhotoError(Fault.of(FaultCode.DETECTOR_FAILED, reason=one_line(error))) from error

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


def unreadable(error: OSError) -> Fault:
    """Return the fault of a file that could not be opened or read."""
    return Fault.of(FaultCode.UNREADABLE, reason=error.strerror or one_line(error))


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read(photo: LibraryFile, expected: Fingerprint) -> io.BytesIO | None:
    """Return the bytes of a file; None: it is not, or not any more, the one that was examined."""
    with _open(photo) as file:
        if _fingerprint_of(photo, file) != expected:
            return None
        data = io.BytesIO(file.read())
        return data if _fingerprint_of(photo, file) == expected else None


@contextmanager
def _as_expected(photo: LibraryFile, expected: Fingerprint | None) -> Iterator[BinaryIO]:
    """Yield a file, open for reading; None: whatever is there now.

    Raises:
        FileNotFoundError: it is gone, or not (or in the end not any more) the one that was expected.
        OSError: it cannot be read.
    """
    with _open(photo) as file:
        before = _fingerprint_of(photo, file)
        if expected is not None and before != expected:
            raise FileNotFoundError(os.fspath(photo))
        yield file
        if _fingerprint_of(photo, file) != before:
            raise FileNotFoundError(os.fspath(photo))


def _open(photo: LibraryFile) -> BinaryIO:
    """Open a regular file for reading; never follows a link out of its library, never waits for a pipe.

    Raises:
        OSError: it cannot be opened, or is another than the one that was sent.
    """
    if isinstance(photo, SentFile) and photo.content is not None:
        return io.BytesIO(photo.content)
    file = open(open_beneath(photo.root, photo.path), "rb")  # noqa: PTH123, SIM115 - a descriptor, not a path
    if isinstance(photo, SentFile) and os.fstat(file.fileno()).st_size != photo.seen.size:
        file.close()
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), os.fspath(photo))
    return file


def _fingerprint_of(photo: LibraryFile, file: BinaryIO) -> Fingerprint:
    """Return the state of an open file; of one that was sent, the state that the sender saw."""
    return photo.seen if isinstance(photo, SentFile) else Fingerprint.of(os.fstat(file.fileno()))


def _full_size(face: DetectedFace, scale: tuple[float, float], size: tuple[int, int], limits: Limits) -> Face:
    """Return the face in pixels of the full-size photo, its box cut at the photo's edges."""
    left, top, width, height = face.box
    x0, y0 = max(0, round(left * scale[0])), max(0, round(top * scale[1]))
    x1, y1 = min(size[0], round((left + width) * scale[0])), min(size[1], round((top + height) * scale[1]))
    box = Box(x0, y0, max(1, x1 - x0), max(1, y1 - y0), turn_of(face.landmarks))
    landmarks = tuple(float(v) for point in face.landmarks for v in (point[0] * scale[0], point[1] * scale[1]))
    quality = measure(face, pixels=min(box.w, box.h), limits=limits.at(box.turn))
    return Face(box, landmarks, face.score, quality, face.embedding)
