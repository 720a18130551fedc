"""What several requests take: ids, names, and which part of a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

Number = Annotated[int, Field(ge=1, lt=2**63)]
"""An id, in an address or a body."""
Numbers = Annotated[list[Number], Field(min_length=1, max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]

Before = Annotated[int | None, Query(ge=1, lt=2**63)]
"""Entries of the journal: only those that are older than this one."""
Offset = Annotated[int, Query(ge=0, le=10**9)]
"""How many are left out at the beginning of a list."""
Limit = Annotated[int, Query(ge=1, le=1000)]
"""At most so many of a list."""
