"""Long lists in parts: one page each without scripts; with them, more is appended as one scrolls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query

T = TypeVar("T")

_Number = Annotated[int, Query(ge=1, le=100_000)]


@dataclass(frozen=True, slots=True)
class ListPart(Generic[T]):
    """What is shown of a list."""

    items: Sequence[T]
    n_items: int
    """In the whole list."""
    first: int
    """The first page that is shown, from 1."""
    last: int
    """The last one."""
    n_pages: int


@dataclass(frozen=True, slots=True)
class Paging:
    """Which pages of a list are asked for."""

    page: int
    upto: int

    def part(self, items: Sequence[T], size: int) -> ListPart[T]:
        """Return the pages, of `size` items each, as far as there are any."""
        n_pages = max(1, -(-len(items) // size))
        first = min(self.page, n_pages)
        last = min(max(first, self.upto), n_pages)
        return ListPart(items[(first - 1) * size : last * size], len(items), first, last, n_pages)


def _paging(page: _Number = 1, upto: _Number = 1) -> Paging:
    return Paging(page, upto)


Pages = Annotated[Paging, Depends(_paging)]
"""A parameter of a page's handler: `?page=3` is the third page, `?upto=5` also those behind it up to the fifth."""
