"""Vectors that are worked out of others each time they are asked for: of a million of 512 dimensions a copy would take
2 GB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from facewatch.cohort import Cohort
    from facewatch.types import Floats, Ints, Vectors


COPIED_BYTES = 2**29
"""Vectors of up to so many bytes are copied: 250 000 of 512 dimensions. Grouping takes a tenth longer without."""


def unit_vectors(of: Vectors, rows: Ints, lengths: Floats) -> Vectors:
    """Return some rows of others with a length of 1: a copy where that is small, else what works them out.

    Args:
        lengths: what each of these rows is divided by, shape (n_rows,).
    """
    found = UnitVectors(of, rows, lengths)
    is_small = len(rows) * of.shape[1] * np.dtype(np.float32).itemsize <= COPIED_BYTES
    return found[:] if is_small else found


def taken(vectors: Vectors, rows: Ints) -> Vectors:
    """Return these rows, as a copy where the vectors are one."""
    chosen: Vectors = vectors.take(rows) if isinstance(vectors, UnitVectors) else vectors[rows]
    return chosen


@dataclass(frozen=True, slots=True)
class UnitVectors:
    """Some rows of others, with a length of 1."""

    of: Vectors
    rows: Ints
    lengths: Floats
    """What each of these rows is divided by, shape (n_rows,)."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.of.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Floats:
        vectors: Floats = self.of[self.rows[rows]]
        vectors /= self.lengths[rows][:, None]
        return vectors

    def take(self, rows: Ints) -> UnitVectors:
        return UnitVectors(self.of, self.rows[rows], self.lengths[rows])


@dataclass(frozen=True, slots=True)
class CentredVectors:
    """Unit vectors without what all faces have in common."""

    of: Vectors
    cohort: Cohort

    @property
    def shape(self) -> tuple[int, ...]:
        return self.of.shape

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, rows: Any, /) -> Floats:
        return self.cohort.centred(self.of[rows])
