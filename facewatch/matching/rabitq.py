"""An index of one bit for each number of a vector, which finds the faces that are likely to be the nearest.

RaBitQ (Gao and Long, SIGMOD 2024) by faiss: 72 bytes for 512 numbers, so that twenty million faces are 1.4 GB and are
all compared, 7 ms a million on one core. What it finds is measured by the vectors themselves; what it does not find is
not missed by chance of a cell: a face with a cosine of .3 among twenty million is found in 98 of 100 searches or more
(`scripts/bench --only search`).
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.cores import available_cores

if TYPE_CHECKING:
    from facewatch.matching.vector_file import Stored
    from facewatch.types import Floats, Ints

log = logging.getLogger(__name__)

FACES_A_PART = 2**19
"""Faces of one file: 38 MB, made in 3 s."""

FACES_BEHIND = 2**14
"""Faces that come before the last part is made again with them: so many are compared by their vectors, in 2 ms."""

TRAINED_WITH = 2**16
"""Faces whose mean is taken for that of the part."""


def can_index() -> bool:
    """Whether faiss is installed."""
    return find_spec("faiss") is not None


def _faiss() -> Any:
    return importlib.import_module("faiss")


class RabitqIndex:
    """The index, read into memory."""

    def __init__(self, parts: Sequence[Any]) -> None:
        """`parts`: of faiss, each of the faces behind those of the part before."""
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *(part.ntotal for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def likely(self, probe: Floats, n: int) -> Ints:
        """Return the rows of `n` faces that are likely to be the nearest, or of all; ascending.

        Args:
            probe: a unit vector, shape (n_dims,).
        """
        with ThreadPoolExecutor(available_cores()) as pool:
            found = list(pool.map(lambda part: part.search(probe[None], min(n, part.ntotal)), self._parts))
        similarities = np.concatenate([similar[0] for similar, _ in found])
        rows = np.concatenate([own[0] + start for (_, own), start in zip(found, self._starts[:-1], strict=True)])
        is_found = np.concatenate([own[0] >= 0 for _, own in found])
        rows, similarities = rows[is_found], similarities[is_found]
        chosen = np.argpartition(-similarities, n - 1)[:n] if n < len(rows) else slice(None)
        return np.sort(rows[chosen]).astype(np.int64)


class RabitqFiles:
    """The index of the first faces of a vector file, a file for each part. Any number may read them at any time; who
    writes them has to be the only one."""

    def __init__(self, path: Path) -> None:
        """`path`: what the names of the files begin with."""
        self.path = path

    def read(self, stored: Stored) -> RabitqIndex | None:
        """Return the index of the first of these faces; None: there is none, or it is damaged or of others."""
        parts = list(self._read_parts(stored, _faiss()))
        n_faces = sum(part.ntotal for part in parts)
        return RabitqIndex(parts) if 0 < n_faces <= len(stored.block) else None

    def lacks(self, index: RabitqIndex | None, stored: Stored) -> bool:
        """Whether so many of these faces are not in the index that it is to follow."""
        n_behind = len(stored.block) - (len(index) if index else 0)
        return n_behind >= FACES_BEHIND or (index is None and n_behind > 0)

    def follow(self, stored: Stored) -> None:
        """Bring it up to these faces; cut off anywhere, each part is as it was or as it is to be.

        Raises:
            OSError: it cannot be written.
        """
        index = self.read(stored)
        if index is None:
            self.drop()
        n_full = (len(index) if index else 0) // FACES_A_PART
        for number in range(n_full, -(-len(stored.block) // FACES_A_PART)):
            at = slice(number * FACES_A_PART, (number + 1) * FACES_A_PART)
            self._write(self._part(stored, number), np.asarray(stored.block.vectors[at], np.float32))

    def exists(self) -> bool:
        return any(self._all())

    def drop(self) -> None:
        """Delete it."""
        for path in self._all():
            path.unlink(missing_ok=True)

    def _all(self) -> Iterator[Path]:
        return self.path.parent.glob(f"{escape(self.path.name)}-*")

    def _part(self, stored: Stored, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}-{stored.extent.begun}-{number}")

    def _read_parts(self, stored: Stored, module: Any) -> Iterator[Any]:
        """Yield the parts up to one that is absent or is not full."""
        n_dims = stored.block.vectors.shape[1]
        for number in range(-(-len(stored.block) // FACES_A_PART)):
            path = self._part(stored, number)
            try:
                part = module.read_index(str(path)) if path.exists() else None
            except RuntimeError as error:
                log.debug("%s: %s", path, error)
                return
            if part is None or part.d != n_dims:
                return
            yield part
            if part.ntotal != FACES_A_PART:
                return

    def _write(self, path: Path, vectors: Floats) -> None:
        module = _faiss()
        part = module.IndexRaBitQFastScan(vectors.shape[1], module.METRIC_INNER_PRODUCT)
        vectors = np.where(np.isfinite(vectors), vectors, np.float32(0))
        part.train(vectors[:TRAINED_WITH])
        part.add(vectors)
        new = path.with_name(f"{path.name}.new")
        try:
            _save(module, part, new)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def _save(module: Any, part: Any, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            module.write_index(part, str(path))
        except RuntimeError as error:
            raise OSError(f"{path}: cannot be written ({error})") from error
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
