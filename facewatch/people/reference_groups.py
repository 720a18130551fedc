"""Which groups of faces are of people who have just become known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from facewatch import ids
from facewatch.catalog import Catalog
from facewatch.errors import DecisionError
from facewatch.matching import Gallery
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.people.corrections import Decisions
    from facewatch.people.identities import FaceEngine


def join_groups(catalog: Catalog, gallery: Gallery, engine: FaceEngine, decisions: Decisions) -> None:
    """Let these groups be part of those people, as far as no user's word is against it."""
    for person_id, group_id in list(_groups_of_known(catalog, gallery, engine)):
        with suppress(DecisionError):
            decisions.merge(ids.person(person_id), [ids.person(group_id)])


def _groups_of_known(catalog: Catalog, gallery: Gallery, engine: FaceEngine) -> Iterator[tuple[int, int]]:
    """Yield (person, group) where somebody with a name is clearly who a group is about which nobody has decided: at
    least half of its faces are near enough to that person, and none to anybody else with a name."""
    named = gallery.only(catalog.people.names())
    groups = {one.id: one for one in catalog.people.all() if one.name is None and one.is_machine_made}
    table = catalog.faces.load(engine.id, n_dims=engine.info.n_dims, people=list(groups))
    if not len(named) or not len(table):
        return
    votes: dict[int, Counter[int]] = {group_id: Counter() for group_id in groups}
    for row in np.flatnonzero(named.is_near(table.embeddings)):
        first = next(iter(named.rank(table.embeddings[row], 1, Tier(table.tiers[row]), day=int(table.days[row]))), None)
        if first is not None and first.is_within:
            votes[int(table.people[row])][first.person_id] += 1
    for group_id, counts in votes.items():
        if len(counts) == 1 and 2 * counts.total() >= groups[group_id].n_faces:
            yield next(iter(counts)), group_id
