"""Vectors that are worked out of others each time they are asked for: of a million of 512 dimensions a copy would take
2 GB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .means import FLOAT_BYTES, USUAL

if TYPE_CHECKING:
    from facewatch.cohort import Cohort
    from facewatch.types import Floats, Ints, Vectors


def unit_vectors(of: Vectors, rows: Ints, lengths: Floats, *, copied_bytes: int) -> Vectors:
    """Return some rows of others with a length of 1: a copy where that is at most so large, else what works them out.

    Args:
        lengths: what each of these rows is divided by, shape (n_rows,).
    """
    found = UnitVectors(of, rows, lengths)
    copy: Floats | None = found[:] if is_small(found, copied_bytes) else None
    return found if copy is None else copy


def some_of(vectors: Floats, rows: Ints) -> Vectors:
    """Return these rows: a copy where that is small, else what takes them each time."""
    found = Chosen(vectors, rows)
    copy: Floats | None = found[:] if is_small(found, USUAL.copied_bytes) else None
    return found if copy is None else copy


def is_small(vectors: Vectors, n_bytes: int) -> bool:
    """Whether a copy takes no more than so many bytes."""
    return len(vectors) * vectors.shape[1] * FLOAT_BYTES <= n_bytes


def as_floats(vectors: Vectors) -> Vectors:
    """Return vectors of float32; what works them out gives those."""
    return np.asarray(vectors, dtype=np.float32) if isinstance(vectors, np.ndarray) else vectors


def taken(vectors: Vectors, rows: Ints) -> Vectors:
    """Return these rows, as a copy where the vectors are one."""
    chosen: Vectors = vectors.take(rows) if isinstance(vectors, UnitVectors) else vectors[rows]
    return chosen


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some rows of others."""

    of: Vectors
    rows: Ints

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.of.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Floats:
        vectors: Floats = self.of[self.rows[rows]]
        return vectors


@dataclass(frozen=True, slots=True)
class UnitVectors(Chosen):
    """Some rows of others, with a length of 1."""

    lengths: Floats
    """What each of these rows is divided by, shape (n_rows,)."""

    def __getitem__(self, rows: Any, /) -> Floats:
        vectors = Chosen.__getitem__(self, rows)
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
