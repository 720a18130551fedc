"""How clusters become people: tables in, plans out; nothing is written here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY, FaceTable
from facewatch.clustering import Clusterer
from facewatch.clustering.twice import Pair, compare
from facewatch.clustering.vectors import some_of
from facewatch.matching import distances
from facewatch.types import Match, distance_of

if TYPE_CHECKING:
    from facewatch.types import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Group:
    """What one cluster does to people."""

    person_id: int | None
    """The person without a name that grows; None: a new one."""
    joining: tuple[int, ...]
    """Machine-made people that become part of it."""
    rows: tuple[int, ...]
    """Rows of the table: faces of the pool that join it."""
    leaving: tuple[int, ...] = ()
    """Faces of those who join that become unassigned: the person has another face in their photo."""


def plan_groups(
    table: FaceTable,
    photos_of: Mapping[int, set[int]],
    clusterer: Callable[[], Clusterer],
    rejections: Mapping[int, Collection[int]],
    cannot_links: Mapping[int, Collection[int]],
    *,
    staying: Collection[int],
    ceiling: float,
) -> list[Group]:
    """Return what to do with the pool, groups in order of their oldest face.

    Args:
        photos_of: the photos of each person without a name, also by faces that are not in the table.
        clusterer: makes what groups them; not called where there are not two faces: most methods take SciPy, 0.2 s.
        rejections: whom each face is not, as users said.
        cannot_links: whom each person is not, as users said.
        staying: those of the people without a name about whom users said something; they may only grow.
        ceiling: the engine's, up to which groups are one person.
    """
    is_free = table.people == NOBODY
    is_grouped = table.may_enroll & (is_free | np.isin(table.people, list(photos_of)))
    for _, second, _ in second_faces(table, rejections, ceiling):
        # Alone they would start a person beside that one, who then takes what is that one's.
        is_grouped[second] = False
    rows = np.flatnonzero(is_grouped)
    if len(rows) < 2:
        return []
    labels = clusterer().fit_predict(some_of(table.embeddings, rows), photos=table.photos[rows], ids=table.ids[rows])
    members_of, rows_of = _by_number(labels, rows), _by_number(table.people, np.arange(len(table)))
    homes = _homes(table.people[rows], labels)
    homes |= _homes_of_second_faces(table, [p for p in photos_of if p not in homes], homes, ceiling)
    settled = set(homes.values()) | set(labels[np.isin(table.ids[rows], list(rejections))].tolist())
    enrolling = set(labels.tolist()) - {-1} - _second_clusters(table, rows, labels, members_of, settled, ceiling)
    people_at = defaultdict(list)
    for person, home in homes.items():
        people_at[home].append(person)
    groups = []
    for label in sorted(enrolling, key=lambda label: int(members_of[label][0])):
        members = members_of[label]
        existing = sorted(people_at[label], key=_largest_first(rows_of, staying))
        others_of = _others_of(existing, table, rows_of, rejections, cannot_links)
        person_id, joining, leaving = _join(existing, photos_of, others_of, table, rows_of, staying, ceiling)
        own = {p for p in (person_id, *joining) if p is not None}
        taken = set().union(*(photos_of[p] for p in own))
        free = members[is_free[members]].tolist()
        others = [row for row in free if not own.isdisjoint(rejections.get(int(table.ids[row]), ()))]
        new = _one_a_photo((row for row in free if row not in others), table.photos, taken)
        if joining or (new and person_id is not None) or len(new) > 1:
            groups.append(Group(person_id, joining, tuple(new), leaving))
        # Faces that look like somebody who they are not, as users said, may be one other person.
        if len(new := _one_a_photo(others, table.photos, set())) > 1:
            groups.append(Group(None, (), tuple(new)))
    return groups


def second_faces(
    table: FaceTable, rejections: Mapping[int, Collection[int]], ceiling: float
) -> Iterator[tuple[int, Ints, Pair]]:
    """Yield people, each with the rows of the pool that may be its second faces in photos (collages, mirrors), and how
    those stand to its own faces. Who is beside somebody everywhere is left out.

    Args:
        rejections: whom each face is not, as users said.
    """
    may_enroll = table.may_enroll
    free = np.flatnonzero(may_enroll & (table.people == NOBODY))
    known = np.flatnonzero(table.people != NOBODY)
    people_in = defaultdict(set)
    others = known[np.isin(table.photos[known], table.photos[free])]
    for photo_id, person_id in zip(table.photos[others].tolist(), table.people[others].tolist(), strict=True):
        people_in[photo_id].add(person_id)
    beside: dict[int, list[int]] = defaultdict(list)
    for row, face_id, photo_id in zip(
        free.tolist(), table.ids[free].tolist(), table.photos[free].tolist(), strict=True
    ):
        for person_id in people_in.get(photo_id, ()):
            if person_id not in rejections.get(face_id, ()):
                beside[person_id].append(row)
    good = known[(may_enroll | table.by_user)[known]]
    good = good[np.argsort(table.people[good], kind="stable")]
    whose = table.people[good]
    for person_id, rows in beside.items():
        own = good[slice(*np.searchsorted(whose, [person_id, person_id + 1]))]
        near = np.array(rows)[_is_near(table, rows, own, ceiling)]
        if len(near):
            both = compare(table.embeddings, table.photos, own, near, ceiling)
            if both.may_wait:
                yield person_id, near, both


def _by_number(numbers: Ints, rows: Ints) -> dict[int, Ints]:
    """Return the rows of each number, in their order."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    return dict(zip(found.tolist(), np.split(rows[order], starts[1:]), strict=False))


def _second_clusters(
    table: FaceTable,
    rows: Ints,
    labels: Ints,
    members_of: Mapping[int, Ints],
    settled: Collection[int],
    ceiling: float,
) -> set[int]:
    """Return the clusters, but those about which more is known, that hold nothing but second faces of another."""
    in_photo: dict[int, set[int]] = defaultdict(set)
    for photo, label in zip(table.photos[rows].tolist(), labels.tolist(), strict=True):
        if label >= 0:
            in_photo[photo].add(label)
    beside: dict[int, set[int]] = {}
    for in_this in in_photo.values():
        for label in in_this:
            others = in_this - {label}
            beside[label] = beside[label] & others if label in beside else others
    return {
        label
        for label, others in beside.items()
        if others and label not in settled and _is_second(table, members_of, label, others, ceiling)
    }


def _is_second(
    table: FaceTable,
    members_of: Mapping[int, Ints],
    label: int,
    others: Iterable[int],
    ceiling: float,
) -> bool:
    own = members_of[label]
    for other in others:
        theirs = members_of[other]
        is_near = len(theirs) > len(own) and _are_near(table, own, theirs, ceiling)
        if is_near and compare(table.embeddings, table.photos, own, theirs, ceiling).may_wait:
            return True
    return False


def _is_near(table: FaceTable, rows: Sequence[int], own: Ints, ceiling: float) -> Flags:
    """Return which rows are as near to the others, in the mean, as to their own person."""
    if not len(own):
        return np.zeros(len(rows), np.bool_)
    near: Flags = distances(table.embeddings[list(rows)] @ table.embeddings[own].mean(axis=0)) <= ceiling
    return near


def _are_near(table: FaceTable, rows: Ints, others: Ints, ceiling: float) -> bool:
    """Whether two groups are as near to each other, in the mean, as one person is."""
    cosine = table.embeddings[rows].mean(axis=0) @ table.embeddings[others].mean(axis=0)
    return distance_of(float(cosine)) <= ceiling


def _homes(people: Ints, labels: Ints) -> dict[int, int]:
    """Return, for each person among the clustered faces, the cluster that holds most of it."""
    homes = {}
    is_home = (people != NOBODY) & (labels >= 0)
    for person_id, own in _by_number(people[is_home], labels[is_home]).items():
        found, counts = np.unique(own, return_counts=True)
        homes[person_id] = int(found[counts.argmax()])
    return homes


def _homes_of_second_faces(
    table: FaceTable, people: Iterable[int], homes: Mapping[int, int], ceiling: float
) -> dict[int, int]:
    """Return, for people all of whose faces lie outside of the clusters, the cluster of whom they are in photos of: a
    cluster keeps one face a photo, so nothing is left of somebody who is the second faces of another."""
    found = {}
    for person_id in people:
        own = np.flatnonzero((table.people == person_id) & table.may_enroll)
        beside = table.people[np.isin(table.photos, table.photos[own])] if len(own) else own
        for other in sorted(set(beside.tolist()) & homes.keys()):
            theirs = np.flatnonzero((table.people == other) & table.may_enroll)
            if (
                _are_near(table, own, theirs, ceiling)
                and compare(table.embeddings, table.photos, own, theirs, ceiling).is_one
            ):
                found[person_id] = homes[other]
    return found


def _others_of(
    people: Sequence[int],
    table: FaceTable,
    rows_of: Mapping[int, Ints],
    rejections: Mapping[int, Collection[int]],
    cannot_links: Mapping[int, Collection[int]],
) -> dict[int, set[int]]:
    """Return whom each person is not, as users said of it or of one of its faces."""
    return {
        p: set(cannot_links.get(p, ())).union(
            *(rejections.get(face, ()) for face in table.ids[_rows_of_all(rows_of, [p])].tolist())
        )
        for p in people
    }


def _rows_of_all(rows_of: Mapping[int, Ints], people: Collection[int]) -> Ints:
    """Return the rows of these people, ascending."""
    rows: Ints = np.sort(np.concatenate([np.empty(0, np.int64), *(rows_of[p] for p in people if p in rows_of)]))
    return rows


def _largest_first(rows_of: Mapping[int, Ints], staying: Collection[int]) -> Callable[[int], tuple[bool, int, int]]:
    """Return the order in which people stay: first those about whom users said something, then by their faces."""
    return lambda person_id: (person_id not in staying, -len(_rows_of_all(rows_of, [person_id])), person_id)


def _join(
    ordered: Sequence[int],
    photos_of: Mapping[int, set[int]],
    others_of: Mapping[int, set[int]],
    table: FaceTable,
    rows_of: Mapping[int, Ints],
    staying: Collection[int],
    ceiling: float,
) -> tuple[int | None, tuple[int, ...], tuple[int, ...]]:
    """Return who stays, who joins it, and which rows of those become unassigned: the first stays; nobody joins who was
    said to be somebody else, or was in photos with it that show two people."""
    if not ordered:
        return None, (), ()
    stays = ordered[0]
    joining: list[int] = []
    leaving: list[int] = []
    for other in ordered[1:]:
        own = (stays, *joining)
        is_other = other in staying or any(other in others_of[p] or p in others_of[other] for p in own)
        common = photos_of[other] & set().union(*(photos_of[p] for p in own))
        mine, theirs = (_rows_of_all(rows_of, people) for people in (own, (other,)))
        if not is_other and (not common or _is_one(table, mine, theirs, common, ceiling)):
            joining.append(other)
            leaving += theirs[np.isin(table.photos[theirs], list(common))].tolist()
    return stays, tuple(joining), tuple(leaving)


def _is_one(table: FaceTable, mine: Ints, theirs: Ints, common: set[int], ceiling: float) -> bool:
    """Whether two groups are one person twice in these photos, both of whose faces are in the table."""
    is_seen = common <= set(table.photos[mine].tolist()) & set(table.photos[theirs].tolist())
    return is_seen and compare(table.embeddings, table.photos, mine, theirs, ceiling).is_one


def _one_a_photo(rows: Iterable[int], photos: Ints, taken: set[int]) -> list[int]:
    """Return the rows whose photo is not taken yet, each photo once."""
    chosen, seen = [], set(taken)
    for row in rows:
        if (photo := int(photos[row])) not in seen:
            chosen.append(row)
            seen.add(photo)
    return chosen


def matches_within(table: FaceTable, group: Group, person_id: int) -> Iterable[tuple[int, Match]]:
    """Yield each joining row with its distances to the rest of the group."""
    old = np.flatnonzero(np.isin(table.people, [p for p in (group.person_id, *group.joining) if p is not None]))
    members = np.concatenate([old, np.array(group.rows, np.int64)])
    vectors = table.embeddings[members]
    centroid = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    for row in group.rows:
        own = table.embeddings[row]
        others = vectors[members != row]
        yield (
            row,
            Match(
                person_id=person_id,
                distance=_nearest(own, others),
                centroid_distance=_nearest(own, centroid[None]),
                runner_up_id=None,
                runner_up_distance=None,
                rule="grouped with faces of nobody else",
                is_accepted=True,
            ),
        )


def _nearest(vector: Floats, others: Floats) -> float:
    return float(distances(others @ vector).min())
