"""Groups that are near everybody: blurred and tiny faces, backs of heads and statues gather in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.cohort import hubs
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import FaceTable, Person
    from facewatch.types import Normalisation


def hubs_of(table: FaceTable, people: Iterable[Person], normalisation: Normalisation | None) -> set[int]:
    """Return the people about whom no user said anything and whose faces are near everybody; none where similarities
    are not normalised."""
    open_people = {person.id for person in people if person.is_machine_made}
    if normalisation is None or not open_people:
        return set()
    rows = np.flatnonzero((table.tiers != Tier.SHOW.value) | table.by_user)
    groups = np.where(table.people[rows] == NOBODY, -1, table.people[rows])
    return open_people & set(hubs(table.embeddings[rows], groups, normalisation).tolist())
