"""The faces and people of the catalog, as the questions need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY, Catalog, FaceTable, Person
from facewatch.clustering import make_clusterer
from facewatch.clustering.twice import compare
from facewatch.cohort import Middles
from facewatch.matching.chances import (
    chance_beyond,
    chance_of_face,
    chance_of_group,
    face_limit,
    group_limit,
    nearest_rows,
    profiles_of,
    rivals,
)
from facewatch.people.births import is_clearly_before
from facewatch.people.cluster_plan import second_faces
from facewatch.people.grouping import hubs_among, middles_of
from facewatch.types import EngineInfo, Thresholds, Tier

if TYPE_CHECKING:
    from facewatch.types import Floats, Ints

N_SHOWN = 12
"""Faces that stand for a whole group."""
UNKNOWN = 2.0
"""The distance of the next person where there is none: that of opposite vectors."""
_MOST_POOL = 10_000
"""Beyond so many faces there are better questions than who two of the pool are, and looking for pairs takes seconds."""
LEAST_CHANCE = 0.05
"""A yes that is less probable is not asked for."""


@dataclass(frozen=True, slots=True)
class PersonPair:
    """Two people, as rows of the profiles, who may be one."""

    row: int
    other: int
    chance: float
    distance: float
    """In the mean between the faces of both."""


class Scene:
    """The faces and people of the catalog, as the questions need them."""

    def __init__(self, catalog: Catalog, table: FaceTable, info: EngineInfo) -> None:
        self.catalog = catalog
        self.thresholds = info.thresholds
        self._normalisation = info.normalisation
        self.table = table
        known = table.people != NOBODY
        # A face too poor to be matched says nothing about how its person looks, unless a user assigned it.
        self.is_evidence = is_evidence = known & ((table.tiers != Tier.SHOW.value) | table.by_user)
        self.profiles = profiles_of(table.people[is_evidence], table.embeddings[is_evidence])
        self.people = {person.id: person for person in catalog.people.all()}
        self.pool = np.flatnonzero((table.people == NOBODY) & (table.tiers != Tier.SHOW.value))
        self.rejections = catalog.rejections.all()
        self.photos_of = catalog.assignments.photos_of(self.people)

    @cached_property
    def likely_pairs(self) -> list[PersonPair]:
        """Each person without a name with the one that it most probably is."""
        return list(_likely_pairs(self))

    @cached_property
    def hubs(self) -> set[int]:
        """People about whom no user said anything and who are near everybody."""
        return hubs_among(self._middles, self.people.values()) if self._middles else set()

    @cached_property
    def _middles(self) -> Middles | None:
        """Row i is that of the profiles; None: similarities are taken as they come."""
        return middles_of(self.table, self._normalisation) if self._normalisation and len(self.profiles) else None

    def chance_of_one(self, row: int, other: int, chance: float) -> float:
        """Return how probably two people are one, by what plain distances say and what they have beyond what
        they have with strangers."""
        if self._normalisation is None or self._middles is None:
            return chance
        return chance_beyond(chance, self._middles.similarity(row, other) - self._normalisation.merge)

    def person(self, row: int) -> Person:
        """Return who is in this row of the profiles."""
        return self.people[int(self.profiles.ids[row])]

    @cached_property
    def rows_of(self) -> dict[int, Ints]:
        """Rows of the table by person."""
        order = np.argsort(self.table.people, kind="stable")
        people, starts = np.unique(self.table.people[order], return_index=True)
        parts = np.split(order, starts[1:]) if len(people) else []
        return dict(zip(people.tolist(), parts, strict=True))

    def evidence(self, person_id: int) -> Ints:
        """Return the rows of a person's faces that show how it looks."""
        rows = self.rows_of.get(person_id, np.zeros(0, np.int64))
        chosen: Ints = rows[self.is_evidence[rows]]
        return chosen

    @cached_property
    def people_in(self) -> dict[int, set[int]]:
        """Who is in each photo."""
        people: dict[int, set[int]] = defaultdict(set)
        for person_id, photos in self.photos_of.items():
            for photo_id in photos:
                people[photo_id].add(person_id)
        return people

    @cached_property
    def others_of(self) -> dict[int, set[int]]:
        """Whom each person is not, as users said of it or of one of its faces."""
        others: dict[int, set[int]] = defaultdict(set)
        for person_id, separate in self.catalog.rejections.cannot_links().items():
            others[person_id] |= separate
        whose = dict(zip(self.table.ids.tolist(), self.table.people.tolist(), strict=True))
        for face_id, people in self.rejections.items():
            if (own := whose.get(face_id, NOBODY)) != NOBODY:
                others[own] |= people
        return others

    @cached_property
    def _births(self) -> dict[int, str]:
        return self.catalog.people.births()

    @cached_property
    def _taken(self) -> dict[int, str]:
        return self.catalog.photos.taken(set(self.table.photos.tolist())) if self._births else {}

    def can_be(self, row: int, person_id: int) -> bool:
        """Whether a face of the pool may be somebody."""
        photo_id = int(self.table.photos[row])
        is_there = person_id in self.people_in.get(photo_id, ())
        return (
            person_id not in self.rejections.get(int(self.table.ids[row]), ())
            and (not is_there or (row, person_id) in self._second_faces)
            and not self._is_unborn([photo_id], person_id)
        )

    @cached_property
    def _second_faces(self) -> set[tuple[int, int]]:
        """Faces of the pool, with somebody in their photo who they may be, but not certainly: a collage or kin."""
        found = second_faces(self.table, self.rejections, self.thresholds.cluster)
        return {(int(row), person_id) for person_id, rows, both in found if not both.is_one for row in rows}

    def can_be_one(self, one: int, other: int) -> bool:
        """Whether two people may be one."""
        return (
            other not in self.others_of.get(one, ())
            and one not in self.others_of.get(other, ())
            and (self.photos_of[one].isdisjoint(self.photos_of[other]) or self._is_twice(one, other))
            and not self._is_unborn(self.photos_of[one], other)
            and not self._is_unborn(self.photos_of[other], one)
        )

    def _is_twice(self, one: int, other: int) -> bool:
        """Whether two people who are in photos together may be one; who named both has seen them side by side."""
        rows, others = self.evidence(one), self.evidence(other)
        if not len(rows) or not len(others):
            return False
        both = compare(self.table.embeddings, self.table.photos, rows, others, self.thresholds.cluster)
        are_named = self.people[one].name is not None and self.people[other].name is not None
        return both.is_doubtful and not (are_named and both.is_often)

    def _is_unborn(self, photos: Iterable[int], person_id: int) -> bool:
        """Whether one of the photos was taken before the person was born."""
        born = self._births.get(person_id)
        return born is not None and any(is_clearly_before(self._taken.get(photo_id, ""), born) for photo_id in photos)

    def shown(self, person_id: int, most: int = N_SHOWN) -> list[int]:
        """Return faces that stand for a person, those most like it first; where there are too many, half of them are
        those least like it, which show whether all of it is one person."""
        rows = self.rows_of.get(person_id, np.zeros(0, np.int64))
        if (profile_row := self._profile_rows.get(person_id)) is not None:
            alike = self.table.embeddings[rows] @ self.profiles.centroids[profile_row]
            rows = rows[np.argsort(-alike, kind="stable")]
        if len(rows) > most:
            rows = np.concatenate([rows[: most - most // 2], rows[-(most // 2) :]])
        return [int(face_id) for face_id in self.table.ids[rows]]

    @cached_property
    def _profile_rows(self) -> dict[int, int]:
        return {person_id: row for row, person_id in enumerate(self.profiles.ids.tolist())}

    def size(self, person_id: int) -> int:
        return len(self.rows_of.get(person_id, ()))


def _likely_pairs(scene: Scene) -> Iterator[PersonPair]:
    """Yield, for everybody without a name, whom they may be one with most probably."""

    def may_be_somebody(person: Person) -> bool:
        return is_undecided(person) and person.id not in scene.hubs

    for row, possible in near_people(scene, may_be_somebody):
        pair = nearest_pair(scene, row, possible)
        pair = replace(pair, chance=scene.chance_of_one(row, pair.other, pair.chance))
        if pair.chance >= LEAST_CHANCE:
            yield pair


def nearest_pair(scene: Scene, row: int, possible: Sequence[tuple[int, float]]) -> PersonPair:
    other, far = possible[0]
    next_far = possible[1][1] if len(possible) > 1 else UNKNOWN
    return PersonPair(row, other, chance_of_group(far, next_far, scene.thresholds), far)


def near_people(scene: Scene, wanted: Callable[[Person], bool]) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Yield rows of the profiles with the rows that they may be one with and how far those are, nearest first."""
    profiles, limit = scene.profiles, group_limit(scene.thresholds)
    rows = np.array([row for row in range(len(profiles)) if wanted(scene.person(row))], np.int64)
    for start, best, far in nearest_rows(profiles.means[rows], profiles.means, 1 + 4):
        for i in np.flatnonzero((far < limit).any(axis=1)):
            row = int(rows[start + int(i)])
            possible = [
                (int(other), float(d))
                for other, d in zip(best[i], far[i], strict=True)
                if other != row
                and int(profiles.ids[other]) not in scene.hubs
                and scene.can_be_one(int(profiles.ids[row]), int(profiles.ids[other]))
            ]
            if possible and possible[0][1] < limit:
                yield row, possible


def has_user_decided(person: Person) -> bool:
    """Whether a user has said what is to become of the person's faces."""
    return person.name is not None or person.is_hidden


def is_undecided(person: Person) -> bool:
    return not has_user_decided(person)


def alike_in_pool(scene: Scene, likely: Collection[int]) -> Iterator[list[int]]:
    """Yield faces of the pool, those together that no run has grouped since a user said who they are not, two together
    where they are very near each other, then each that is good enough to start a person alone."""
    table = scene.table
    rows = scene.pool[table.may_enroll[scene.pool] & ~np.isin(table.ids[scene.pool], list(likely))]
    together = _regrouped(scene, rows)
    yield from (table.ids[group].tolist() for group in together)
    rows = rows[~np.isin(rows, [row for group in together for row in group])]
    pairs = (
        _mutual_pairs(table.embeddings[rows], table.photos[rows], scene.thresholds) if len(rows) <= _MOST_POOL else []
    )
    paired = {i for pair in pairs for i in pair}
    yield from ([int(table.ids[rows[i]]) for i in pair] for pair in pairs)
    yield from ([int(table.ids[row])] for i, row in enumerate(rows) if i not in paired)


def _regrouped(scene: Scene, rows: Ints) -> list[Ints]:
    """Return rows of faces that a user said are not somebody, and that look like one person, the largest group first;
    until they are grouped by a run they would come up one by one."""
    table, limits = scene.table, scene.thresholds
    rows = rows[np.isin(table.ids[rows], list(scene.rejections))]
    if not 1 < len(rows) <= _MOST_POOL:
        return []
    clusterer = make_clusterer(
        "linkage",
        ceiling=limits.cluster,
        singleton_penalty=limits.singleton_penalty,
        margin=limits.cluster_margin,
        min_faces=2,
    )
    labels = clusterer.fit_predict(table.embeddings[rows], photos=table.photos[rows])
    groups = [rows[labels == label] for label in range(int(labels.max(initial=-1)) + 1)]
    # Somebody is in a photo once.
    once = [group[np.unique(table.photos[group], return_index=True)[1]] for group in groups]
    return sorted((np.sort(group) for group in once if len(group) > 1), key=lambda group: (-len(group), int(group[0])))


def _mutual_pairs(vectors: Floats, photos: Ints, thresholds: Thresholds) -> list[tuple[int, int]]:
    """Return pairs of rows of different photos that are each other's nearest, and near enough to make a group."""
    nearest = np.full(len(vectors), -1, np.int64)
    for start, best, far in nearest_rows(vectors, vectors, 2):
        for i, (rows, distances) in enumerate(zip(best.tolist(), far.tolist(), strict=True), start):
            others = [(j, d) for j, d in zip(rows, distances, strict=True) if j != i and photos[j] != photos[i]]
            if others and others[0][1] < thresholds.cluster:
                nearest[i] = others[0][0]
    return [(i, int(j)) for i, j in enumerate(nearest) if j > i and nearest[j] == i]


@dataclass(frozen=True, slots=True)
class PoolFace:
    """A face of the pool, as a row of the table, that may be somebody known."""

    row: int
    chance: float
    distance: float


def faces_by_person(scene: Scene) -> dict[int, list[PoolFace]]:
    """Return the faces of the pool that may be somebody known, by that person: each the one it is most probably."""
    found: dict[int, list[PoolFace]] = defaultdict(list)
    profiles, limits = scene.profiles, scene.thresholds
    faces, people = scene.table.embeddings[scene.pool], profiles.ids.tolist()
    is_asked = [has_user_decided(scene.people[person_id]) for person_id in people]
    for i, best, far in rivals(faces, profiles, limit=face_limit(limits)):
        row, near = int(scene.pool[i]), list(zip(best.tolist(), far.tolist(), strict=True))
        own, own_far = next(((k, d) for k, d in near if is_asked[k] and scene.can_be(row, people[k])), (None, 0.0))
        if own is None:
            continue
        next_far = next((d for k, d in near if k != own and scene.can_be(row, people[k])), UNKNOWN)
        chance = chance_of_face(own_far, next_far, limits)
        if chance >= LEAST_CHANCE:
            found[people[own]].append(PoolFace(row, chance, own_far))
    return found
