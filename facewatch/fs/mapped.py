"""Large arrays that come in parts: from some size on they lie in a file, whose pages the system can take back."""

from __future__ import annotations

import mmap
import os
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAPPED_BYTES = 2**28
"""Arrays of more are mapped: 131 072 vectors of 512 dimensions."""


class GrowingRows:
    """An array of float32 whose rows come in parts.

    The file has no name, so nothing of it is left when the array is let go, or the process is killed.
    """

    def __init__(self, n_columns: int, folder: Path | None) -> None:
        """Where there is no folder, or it cannot be written, the file is where the system has such files."""
        self._n_columns, self._folder = n_columns, folder
        self._parts: list[NDArray[np.float32]] = []
        self._n_bytes = 0
        self._file: IO[bytes] | None = None

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append rows, shape (n_rows, n_columns)."""
        self._parts.append(rows)
        self._n_bytes += rows.nbytes
        if self._n_bytes > MAPPED_BYTES:
            self._write()

    def array(self) -> NDArray[np.float32]:
        """Return all rows, shape (n_rows, n_columns); no more can come. What lies in a file cannot be changed."""
        if self._file is None:
            return np.concatenate([np.empty((0, self._n_columns), np.float32), *self._parts])
        with self._file as file:
            file.flush()
            n_rows = self._n_bytes // (self._n_columns * np.dtype(np.float32).itemsize)
            # An ordinary array over the mapping: what is taken from a memmap is one again, which costs with every row.
            return np.asarray(np.memmap(file, np.float32, "r", shape=(n_rows, self._n_columns)))

    def _write(self) -> None:
        if self._file is None:
            folder = self._folder if self._folder and os.access(self._folder, os.W_OK) else None
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - open until all rows have come
        for part in self._parts:
            self._file.write(np.ascontiguousarray(part).data)
        self._parts = []


def read_ahead(array: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Ask the system for rows of an array over a mapped file, all at once, lest each is waited for when its turn comes.

    Where a page is touched that is not in memory, the system reads many around it, too; so it reads the row alone: 256
    of 2 kB, at random in a file of 4 GB that is not in memory, take 0.01 s instead of 2.
    """
    mapping = _mapping_below(array)
    if mapping is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    start = array.ctypes.data - np.frombuffer(mapping, np.uint8).ctypes.data
    for at in (start + rows * array.strides[0]).tolist():
        page = at - at % mmap.PAGESIZE
        mapping.madvise(mmap.MADV_WILLNEED, page, at + array.strides[0] - page)


def _mapping_below(array: NDArray[np.float32]) -> mmap.mmap | None:
    below = array.base
    while isinstance(below, np.ndarray):
        below = below.base
    return below if isinstance(below, mmap.mmap) else None
