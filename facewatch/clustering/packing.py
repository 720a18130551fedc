"""Edges from a face to one near it, as one integer each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import slices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from facewatch.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Packing:
    """Edges as one integer each, so that sorting them needs nothing else: row, then how far, then column.

    How far is a number from 0 up to 2, in steps of 2**-23 (of 2**-19 from a million faces on).
    """

    n_faces: int

    @property
    def end_bits(self) -> int:
        return max(1, (self.n_faces - 1).bit_length())

    @property
    def scale(self) -> int:
        return 1 << (min(24, 64 - 2 * self.end_bits) - 1)

    def pack(
        self, rows: NDArray[np.integer], far: NDArray[np.floating], columns: NDArray[np.integer]
    ) -> NDArray[np.uint64]:
        packed = rows.astype(np.uint64)
        packed *= np.uint64(2 * self.scale)
        for some in slices(len(packed)):
            packed[some] += (np.clip(far[some], 0.0, 1.999999) * self.scale).astype(np.uint64)
        packed <<= np.uint64(self.end_bits)
        packed |= columns.astype(np.uint64)
        return packed

    def rows(self, packed: NDArray[np.uint64]) -> NDArray[np.int32]:
        return (packed // np.uint64(2 * self.scale << self.end_bits)).astype(np.int32)

    def parts(self, packed: NDArray[np.uint64], size: int) -> Iterator[NDArray[np.uint64]]:
        """Yield sorted edges in parts of about this size, at least one, with all edges from a face in the same part."""
        starts = packed[size::size] & ~np.uint64((2 * self.scale << self.end_bits) - 1)
        yield from np.split(packed, np.unique(np.searchsorted(packed, starts)))

    def far(self, packed: NDArray[np.uint64]) -> Floats:
        steps = (packed >> np.uint64(self.end_bits)) & np.uint64(2 * self.scale - 1)
        return steps.astype(np.float32) / np.float32(self.scale)

    def columns(self, packed: NDArray[np.uint64]) -> NDArray[np.int32]:
        return (packed & np.uint64((1 << self.end_bits) - 1)).astype(np.int32)


def ranks(rows: NDArray[np.integer]) -> Ints:
    """Return how many entries with the same row came before each one; equal rows stand together."""
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    return np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
