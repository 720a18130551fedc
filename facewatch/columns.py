"""Tables by columns: arrays whose rows belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from facewatch.types import Flags, Ints

ROWS_AT_ONCE = 2**20
"""Rows for which something is worked out at a time, where all together would take much memory meanwhile."""


def slices(n: int, size: int | None = None) -> Iterator[slice]:
    """Yield what leads through n rows, so many at a time; `ROWS_AT_ONCE` where it is not said."""
    size = size or ROWS_AT_ONCE
    yield from (slice(start, start + size) for start in range(0, n, size))


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays of one length, each a field: row i of each is about one thing."""

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self.__dataclass_fields__))))

    def take(self, rows: Flags | Ints | slice) -> Self:
        """Return these rows of every array."""
        return type(self)(*[getattr(self, name)[rows] for name in self.__dataclass_fields__])

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of all parts, one part after the other; there is at least one."""
        return cls(*map(np.concatenate, zip(*(part._columns() for part in parts), strict=True)))

    def _columns(self) -> list[NDArray[Any]]:
        return [getattr(self, name) for name in self.__dataclass_fields__]
