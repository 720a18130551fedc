"""What Apps of one catalog in several threads keep together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facewatch.types import Kept

if TYPE_CHECKING:
    from facewatch.people.kept_vectors import Mapped
    from facewatch.people.overview import KnownTiles
    from facewatch.people.resemblance import ComparedFaces, KnownLooks
    from facewatch.people.split import KnownPlan


@dataclass(frozen=True, slots=True)
class KeptTogether:
    """What readers keep from one question to the next: found out by one of them it is there for all, and takes its room
    in memory once."""

    tiles: Kept[KnownTiles] = field(default_factory=Kept)
    looks: Kept[KnownLooks] = field(default_factory=Kept)
    compared: Kept[tuple[ComparedFaces, ...]] = field(default_factory=Kept)
    mapped: Kept[Mapped] = field(default_factory=Kept)
    split: Kept[KnownPlan] = field(default_factory=Kept)
