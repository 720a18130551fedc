"""Faces of nobody as tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.catalog import Mark
from facewatch.presentation.person import Heading, day

if TYPE_CHECKING:
    from facewatch.catalog.pool import PoolRow

MARK_WORDS = {Mark.NOBODY: "nobody you know", Mark.NOT_A_FACE: "not a face", Mark.FORGOTTEN: "forgotten"}
"""What a user said of a face that is nobody's."""


@dataclass(frozen=True, slots=True)
class PoolTile:
    """A face of nobody."""

    id: int
    photo_id: int
    label: str
    """What it is, for who cannot see it."""
    note: str
    guess_id: int | None
    heading: Heading | None
    """None: that of the face before it."""


def pool_tiles(rows: Iterable[PoolRow]) -> list[PoolTile]:
    """Return faces under headings of whom they may be."""
    return list(_tiles(rows))


def _tiles(rows: Iterable[PoolRow]) -> Iterator[PoolTile]:
    before: Heading | None = None
    for row in rows:
        heading = _heading(row)
        note = f"{row.distance:.2f} · {day(row.taken_at)}" if row.distance is not None else day(row.taken_at)
        label = f"{heading.text}, {note}"
        yield PoolTile(row.id, row.photo_id, label, note, row.guess_id, None if heading == before else heading)
        before = heading


def _heading(row: PoolRow) -> Heading:
    if row.mark is not None:
        return Heading(row.mark.value, MARK_WORDS[row.mark].capitalize())
    if row.guess_id is None:
        return Heading("nobody", "Like nobody who is known")
    return Heading(f"p{row.guess_id}", f"Perhaps {row.guess}")
