"""Groups that are near everybody: blurred and tiny faces, backs of heads and statues gather in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.cohort import Middles, middles
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import FaceTable, Person
    from facewatch.types import Normalisation


def middles_of(table: FaceTable, normalisation: Normalisation) -> Middles:
    """Return the middles of people, by the faces that tell how they look."""
    rows = np.flatnonzero((table.tiers != Tier.SHOW.value) | table.by_user)
    groups = np.where(table.people[rows] == NOBODY, -1, table.people[rows])
    return middles(table.embeddings[rows], groups, normalisation)


def hubs_among(found: Middles, people: Iterable[Person]) -> set[int]:
    """Return the people about whom no user said anything and whose faces are near everybody."""
    return {person.id for person in people if person.is_machine_made} & set(found.numbers[found.is_hub].tolist())
