"""Vectors in whole numbers of one byte: a quarter of the room, and compared as fast as memory can be read.

A code is `scale * values`, off by no more than `error`, so that a cosine between codes says within which bounds the
true one lies: what may be among the nearest is then measured by the vectors themselves, and the answer stays exact.
numkong (Apache-2.0) multiplies the bytes: 20 GB/s on one core of an EPYC, `scripts/bench --only search`.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from facewatch.columns import Columns
from facewatch.cores import on_all_cores
from facewatch.matching.vector_file import PAGE_BYTES, Head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.matching.search import Block
    from facewatch.matching.vector_file import Origin, Stored
    from facewatch.types import Floats, Ints

MAGIC = b"facewatch codes 1\n"
"""Begins every file; the number changes with what is in it."""

FACES_A_CHUNK = 65_536
"""Faces whose scales, and whose values, lie together: 32 MB of 512-D values, behind 1 MB of the rest."""

CHUNKS_FOR_ONE_CORE = 32
"""Fewer are compared in 0.1 s by one core, which leaves the others to others."""

CODED_AT_ONCE = 8_192
"""Vectors of which codes are made at a time: 16 MB of 512-D ones, and as much again while they are worked out."""

LARGEST = 127
"""Of the values."""

ROUNDING = 1e-5
"""More than float32 is wrong by in a scale, an error or a cosine of codes."""


def can_compare() -> bool:
    """Whether the package that compares codes is installed; without it they are of no use."""
    return find_spec("numkong") is not None


@dataclass(frozen=True, slots=True)
class Coded(Columns):
    """Codes of some vectors."""

    scales: Floats
    """Shape (n,); no number where a vector holds what is none."""
    errors: Floats
    """The length of what the code leaves out of the vector, shape (n,)."""
    values: NDArray[np.int8]
    """Shape (n, n_dims)."""


CODED = ("scales", "errors", "values")
"""The fields, as they are called in a file, too."""


def coded(vectors: Floats) -> Coded:
    """Return the codes of vectors, float32, shape (n, n_dims)."""
    is_number = np.asarray(np.isfinite(vectors).all(1))
    vectors = np.where(is_number[:, None], vectors, np.float32(0))
    scales = np.abs(vectors).max(1, initial=0) / np.float32(LARGEST)
    values = np.rint(vectors / np.where(scales > 0, scales, np.float32(1))[:, None])
    errors = np.linalg.norm(vectors - values * scales[:, None], axis=1) + np.float32(ROUNDING)
    return Coded(np.where(is_number, scales, np.float32(np.nan)), errors, values.astype(np.int8))


class Codes:
    """The codes of a file, mapped."""

    def __init__(self, chunks: NDArray[Any], n_faces: int) -> None:
        """`chunks`: records of `layout`."""
        self._chunks = chunks
        self._n_faces = n_faces
        self.ids: Ints = np.concatenate(chunks["ids"])[:n_faces]
        """Of the faces, copied; shape (n_faces,)."""

    def __len__(self) -> int:
        return self._n_faces

    def compare(self, probes: Floats, similarities: Floats) -> float:
        """Write the cosine of every probe's code with every face's; return by how much any of them may be wrong.

        With p the probe, x a vector and p', x' what their codes stand for, x p - x' p' = (x - x') p + x' (p - p'),
        and Cauchy-Schwarz bounds both.
        """
        numkong = importlib.import_module("numkong")
        own = coded(probes)
        errors = np.zeros(len(self._chunks), np.float32)

        def compare(number: int) -> None:
            at = slice(number * FACES_A_CHUNK, min((number + 1) * FACES_A_CHUNK, self._n_faces))
            codes = self._chunk(number, at.stop - at.start)
            products = np.asarray(numkong.cdist(own.values, codes.values, metric="dot", out_dtype="float32"))
            np.multiply(products, np.multiply.outer(own.scales, codes.scales), out=similarities[:, at])
            errors[number] = codes.errors.max()

        numbers = range(len(self._chunks))
        if len(numbers) >= CHUNKS_FOR_ONE_CORE:
            on_all_cores(compare, numbers)
        else:
            for number in numbers:
                compare(number)
        largest_error = float(errors.max(initial=0))
        longest = float(np.linalg.norm(probes, axis=1).max(initial=0))
        return largest_error * longest + (1 + largest_error + ROUNDING) * float(own.errors.max(initial=0)) + ROUNDING

    def bounds(self, probe: Floats, rows: Ints) -> tuple[Floats, Floats]:
        """Return between which cosines with one probe those of some faces lie; -inf for what is no number.

        The probe itself is compared, not its code, and each face has its own error.
        """
        number, place = np.divmod(rows, FACES_A_CHUNK)
        codes = Coded(*(self._chunks[name][number, place] for name in CODED))
        cosines = np.fmax((codes.values @ probe) * codes.scales, np.float32(-np.inf))
        reach = codes.errors * np.linalg.norm(probe) + np.float32(ROUNDING)
        return cosines - reach, cosines + reach

    def _chunk(self, number: int, n: int) -> Coded:
        return Coded(*(self._chunks[name][number, :n] for name in CODED))


def layout(n_dims: int) -> np.dtype[Any]:
    """Return how the faces of a chunk lie in a file."""
    n = FACES_A_CHUNK
    return np.dtype(
        [("ids", "<i8", (n,)), ("scales", "<f4", (n,)), ("errors", "<f4", (n,)), ("values", "i1", (n, n_dims))]
    )


class CodeFile:
    """The codes of the first faces of a vector file, in the same order. Any number may read it at any time; who writes
    it has to be the only one."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self._head = Head(MAGIC, origin)
        self._layout = layout(origin.n_dims)

    def read(self, stored: Stored) -> Codes | None:
        """Return the codes of the first of these faces; None: there are none, or they are damaged or of others."""
        try:
            with self.path.open("rb") as file:
                n_faces = self._n_known(file, stored)
                if not n_faces:
                    return None
                chunks = np.memmap(file, self._layout, "r", PAGE_BYTES, (self._n_chunks(n_faces),))
                return Codes(np.asarray(chunks), n_faces)
        except OSError:
            return None

    def follow(self, stored: Stored) -> None:
        """Bring it up to these faces; cut off anywhere, it is as it was.

        Raises:
            OSError: it cannot be written.
        """
        known = self.read(stored)
        n_known = len(known) if known else 0
        if n_known == len(stored.block):
            return
        # Others may have mapped what is there, so that it only ever grows.
        path = self.path if n_known else self.path.with_name(f"{self.path.name}.new")
        try:
            with _opened(path, is_new=not n_known) as file:
                self._write(file, stored, n_known)
            path.replace(self.path)
        except BaseException:
            if not n_known:
                path.unlink(missing_ok=True)
            raise

    def _n_known(self, file: BinaryIO, stored: Stored) -> int:
        """Return of how many of these faces it holds the codes; 0 where it has gone further than they do."""
        extent = self._head.extent(file.read(PAGE_BYTES))
        if extent is None or extent.begun != stored.extent.begun or extent.n_faces > stored.extent.n_faces:
            return 0
        is_whole = self._end_of(extent.n_faces) <= os.fstat(file.fileno()).st_size
        return extent.n_faces if is_whole else 0

    def _end_of(self, n_faces: int) -> int:
        return PAGE_BYTES + self._n_chunks(n_faces) * self._layout.itemsize

    def _n_chunks(self, n_faces: int) -> int:
        return -(-n_faces // FACES_A_CHUNK)

    def _write(self, file: BinaryIO, stored: Stored, n_known: int) -> None:
        os.truncate(file.fileno(), self._end_of(len(stored.block)))
        # Parts of a chunk, none of them over its end.
        for start in range(n_known - n_known % CODED_AT_ONCE, len(stored.block), CODED_AT_ONCE):
            self._write_part(file, stored.block.take(slice(start, start + CODED_AT_ONCE)), start)
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), self._head.page(stored.extent), 0)
        os.fsync(file.fileno())

    def _write_part(self, file: BinaryIO, block: Block, start: int) -> None:
        """Write the codes of faces of one chunk, the first of which has this number."""
        number, first = divmod(start, FACES_A_CHUNK)
        codes = coded(np.asarray(block.vectors, np.float32))
        self._put(file, "ids", number, first, block.ids)
        self._put(file, "scales", number, first, codes.scales)
        self._put(file, "errors", number, first, codes.errors)
        self._put(file, "values", number, first, codes.values)

    def _put(self, file: BinaryIO, name: str, number: int, first: int, rows: NDArray[Any]) -> None:
        """Write rows of a field of a chunk, from this one on."""
        place = PAGE_BYTES + number * self._layout.itemsize + _offset(self._layout, name)
        content = np.ascontiguousarray(rows, self._layout[name].base).tobytes()
        os.pwrite(file.fileno(), content, place + first * (len(content) // len(rows)))


def _offset(layout: np.dtype[Any], name: str) -> int:
    assert layout.fields is not None
    return layout.fields[name][1]


def _opened(path: Path, *, is_new: bool) -> BinaryIO:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT | os.O_TRUNC if is_new else 0)
    return open(os.open(path, flags, 0o600), "r+b")  # noqa: PTH123
