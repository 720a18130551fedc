"""Plans how to split a person who is really several. Tables in, plans out; writes nothing.

    plan_split      catalog, person -> SplitPlan     loads the faces
    split_faces     faces -> SplitPlan               thinks

Faces are grouped again by average linkage, the measure that all groups are made by (`clustering.average`), with what
users said as its rules: all faces that they assigned are one group from the start, and of two faces in one photo at
least one is somebody else. Poor faces, which look like each other, make no parts but follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import USER, Catalog, FaceRow, FaceTable, Person
from facewatch.clustering import make_clusterer
from facewatch.errors import DecisionError
from facewatch.matching import Gallery, MatchSettings
from facewatch.people.identities import fill_gallery
from facewatch.types import Kept, Thresholds, Tier

if TYPE_CHECKING:
    from facewatch.clustering.linkage import LinkageTree
    from facewatch.indexing.engine import EngineInUse
    from facewatch.types import Doubles, Flags, Ints

MOST_UNITS = 3_000
"""All of them are compared with all: 150 MB. Of more faces, those that are surely the same person are taken as one."""

EXAMPLES = 3
"""Photos that stand for a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some faces of a person that belong together; distances are Euclidean between unit vectors."""

    faces: tuple[int, ...]
    photos: tuple[int, ...]
    examples: tuple[int, ...]
    """Photos with the faces that are nearest to the middle of the part."""
    n_assigned: int
    """Faces that a user assigned or confirmed; only the part that is kept has any."""
    spread: float | None
    """The mean distance between two of its faces; None: there is one."""
    distance: float | None
    """The mean distance to a face of the part that is kept; None: it is that one, or it is not known."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """What splitting a person would do."""

    person: Person
    parts: tuple[Part, ...]
    """The first keeps id and name: the one with the faces that a user assigned, else the largest. One: there is nothing
    to split."""
    into: int | None = None
    """How many parts were asked for."""
    is_strict: bool = False
    n_poor: int = 0
    """Faces too small or too blurred to tell people apart, which went with the nearest part."""
    n_unseen: int = 0
    """Faces that cannot be compared now, which stay with the person."""
    n_loose: int = 0
    """Faces that would not have been assigned there by today's settings."""

    def keeping(self, number: int) -> SplitPlan:
        """Return the plan by which the part of this number, from 1, keeps id and name.

        Raises:
            DecisionError: there is no such part, or a user assigned faces of another.
        """
        if not 1 <= number <= len(self.parts):
            raise DecisionError(f"there is no part {number} of {self.person.label}: there are {len(self.parts)}")
        if number != 1 and self.kept.n_assigned:
            raise DecisionError(
                f"part 1 holds faces that you assigned to {self.person.label}, so that it keeps the name; unassign "
                "them first"
            )
        kept, others = self.parts[number - 1], (*self.parts[: number - 1], *self.parts[number:])
        # How far three parts are from each other is known of the first only.
        apart = kept.distance if len(others) == 1 else None
        parts = (replace(kept, distance=None), *(replace(part, distance=apart) for part in others))
        return self if number == 1 else replace(self, parts=parts)

    @property
    def kept(self) -> Part:
        return self.parts[0]

    @property
    def others(self) -> tuple[Part, ...]:
        """Those that would be new people."""
        return self.parts[1:]


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """A plan, and what it hangs on."""

    about: Hashable
    plan: SplitPlan


def plan_split(
    catalog: Catalog,
    engine: EngineInUse,
    person: Person,
    settings: MatchSettings,
    *,
    into: int | None = None,
    is_strict: bool = False,
    kept: Kept[KnownPlan] | None = None,
) -> SplitPlan:
    """Return how a person would be split, as the engine in use sees it; see `split_faces`.

    Args:
        kept: the last plan; of the same faces there is the same one, whatever else is decided.

    Raises:
        DecisionError: there is nothing that could be split, or not into that many parts.
    """
    thresholds, loose = engine.info.thresholds, list[int]()
    with catalog.read():
        table = catalog.faces.load(engine.id, n_dims=engine.info.n_dims, people=[person.id])
        seen = set(table.ids.tolist())
        unseen = [row for row in catalog.faces.of_person(person.id) if row.id not in seen]
        if into is None and not is_strict:
            found = loose_faces(catalog, table, thresholds, settings)
            loose = [face_id for one in found for face_id in one.faces]
    ceiling = thresholds.cluster - settings.strictness
    about = (_digest(table), tuple(unseen), ceiling, into, is_strict, tuple(loose))
    known = kept.value if kept is not None else None
    if known is None or known.about != about:
        plan = split_faces(person, table, unseen, ceiling=ceiling, into=into, is_strict=is_strict, loose=loose)
        known = KnownPlan(about, plan)
        if kept is not None:
            kept.value = known
    return replace(known.plan, person=person)


def _digest(table: FaceTable) -> bytes:
    """Return what differs where any array of a table does."""
    digest = hashlib.blake2b()
    for name in table.__dataclass_fields__:
        digest.update(getattr(table, name).tobytes())
    return digest.digest()


def split_faces(
    person: Person,
    table: FaceTable,
    unseen: Sequence[FaceRow] = (),
    *,
    ceiling: float,
    into: int | None = None,
    is_strict: bool = False,
    loose: Collection[int] = (),
) -> SplitPlan:
    """Return the parts of a person: `into` so many, or those that are nearer to each other than a strict distance, or
    without either the obvious ones, which may be a single one; what is `loose` is in other parts than what is not.

    Args:
        table: its faces as far as the engine in use sees them.
        unseen: its other faces; they stay with the old person.
        ceiling: the distance that the engine groups by.
        loose: faces that do not belong there by today's settings.

    Raises:
        DecisionError: there is nothing that could be split, or not into that many parts.
    """
    if into is not None and is_strict:
        raise ValueError("into so many parts, or strictly, but not both")
    _check_faces(person, table, unseen)
    face_units = _FaceUnits.of(table, unseen, wanted=into or 2)
    if into is not None:
        _check_number(person, into, face_units.n_free + face_units.has_block)
    from facewatch.clustering.linkage import STRICT, cut_tree

    tree = _grown(face_units, ceiling * STRICT)
    groups, small = cut_tree(tree, ceiling, into=into, is_strict=is_strict)
    if len(loose):
        groups = _without_loose(face_units, groups, cut_tree(tree, ceiling, into=None, is_strict=True)[0], loose)
    parts = [_Growing.of(face_units.rows_of(group), table) for group in groups]
    for part in parts:
        if part.is_by_user(table):
            part.photos |= face_units.barred
    # Small groups follow before poor faces do; of each the oldest first, in whatever order they came.
    for rows in ([row for group in small for row in face_units.rows_of(group)], face_units.followers):
        for row in sorted(rows, key=lambda row: int(table.ids[row])):
            _follow(parts, row, table)
    ordered = _kept_first(parts, table, unseen)
    return SplitPlan(
        person,
        tuple(_part(part, ordered[0], table) for part in ordered),
        into=into,
        is_strict=is_strict,
        n_poor=len(face_units.followers),
        n_unseen=len(unseen),
        n_loose=len(loose),
    )


def largest_part(table: FaceTable, *, ceiling: float) -> Ints:
    """Return the rows of the largest group that average linkage would make of some faces, by this distance."""
    face_units = _FaceUnits.of(table, (), wanted=2)
    if not face_units.units:
        return np.arange(len(table))
    from facewatch.clustering.linkage import STRICT

    tree = _grown(face_units, ceiling * STRICT)
    groups, _ = tree.without([joint for joint in tree.joints(1) if tree.heights[joint] > ceiling], 1)
    return np.array(max((face_units.rows_of(group) for group in groups), key=len), np.int64)


# --- what today's settings would not have assigned ---


@dataclass(frozen=True, slots=True)
class Loose:
    """Faces of one person that today's settings would not have assigned to it."""

    person_id: int
    faces: tuple[int, ...]
    strictness: float | None
    """The least `match.strictness` that one of them was assigned by; None: nobody knows."""


def loose_faces(
    catalog: Catalog,
    table: FaceTable,
    thresholds: Thresholds,
    settings: MatchSettings,
) -> list[Loose]:
    """Return the faces that a run assigned by looser settings than today's, and that those would refuse, by person.

    Only what was assigned so is checked: a face is in no doubt because its person has grown, thresholds have risen with
    the gallery, or somebody else looks alike by now. Without a change of `match.strictness` there is nothing to find.

    Who was assigned loosely stays where it is near enough to the others of its person, by today's distances in a small
    gallery in which nobody else is known; these are asked again as those that stay grow more. Of a person that was
    assigned loosely as a whole the largest part that today's grouping would leave together stays.

    Args:
        table: the faces of the people to be checked, as the engine in use sees them.
        settings: today's.
    """
    limit, centroid_limit = settings.aggregation.limits_on_record(thresholds)
    strictness = settings.strictness
    most = thresholds.no_rival_bonus + thresholds.confirmed - strictness
    assigned = catalog.integrity.loosely_assigned(
        strictness=strictness,
        match=limit + most,
        centroid=centroid_limit + most,
        cluster=thresholds.cluster - strictness,
    )
    is_loose = np.isin(table.ids, list(assigned)) & ~table.by_user
    found = []
    for person_id in np.unique(table.people[is_loose]):
        own = table.take(table.people == person_id)
        is_own_loose = np.isin(own.ids, list(assigned)) & ~own.by_user
        refused = _refused(own, is_own_loose, thresholds, settings)
        if len(refused):
            then = [known for face_id in refused.tolist() if (known := assigned[face_id]) is not None]
            found.append(Loose(int(person_id), tuple(refused.tolist()), min(then, default=None)))
    return found


def _refused(
    own: FaceTable,
    is_loose: Flags,
    thresholds: Thresholds,
    settings: MatchSettings,
) -> Ints:
    """Return which faces of one person today's settings would not assign beside those that were not assigned
    loosely."""
    if is_loose.all():
        is_loose[largest_part(own, ceiling=thresholds.cluster - settings.strictness)] = False
    gallery = Gallery(own.embeddings.shape[1], thresholds, settings)
    waiting = np.flatnonzero(is_loose)
    joining = np.flatnonzero(~is_loose)
    while len(joining) and len(waiting):
        fill_gallery(gallery, own.take(joining))
        is_near = [_is_near(gallery, own, row) for row in waiting.tolist()]
        joining, waiting = waiting[is_near], waiting[~np.array(is_near, np.bool_)]
    return own.ids[waiting]


def _is_near(gallery: Gallery, own: FaceTable, row: int) -> bool:
    match = gallery.identify(own.embeddings[row], Tier(own.tiers[row]), day=int(own.days[row]))
    return match is not None and match.is_accepted


# --- what can be asked for ---


def _check_faces(person: Person, table: FaceTable, unseen: Sequence[FaceRow]) -> None:
    n_assigned = int(table.by_user.sum()) + sum(row.source == USER for row in unseen)
    n_faces = len(table) + len(unseen)
    if n_faces < 2:
        has = "one face" if n_faces else "no face"
        raise DecisionError(f"{person.label} has {has}: there is nothing to split")
    if n_assigned == n_faces:
        raise DecisionError(
            f"you assigned or confirmed all {n_faces} faces of {person.label}, and these stay; take out those "
            "that are wrong: facewatch unassign FACE, or give them away: facewatch assign FACE NAME"
        )
    if len(table) < 2:
        raise DecisionError(
            f"the engine in use sees {len(table)} of the {n_faces} faces of {person.label}, so that they cannot be "
            "compared; facewatch assign FACE NAME gives a face away"
        )


def _check_number(person: Person, into: int, most: int) -> None:
    if into < 2:
        raise DecisionError(f"{person.label} cannot be split into {into}; two parts are the fewest")
    if into > most:
        raise DecisionError(
            f"{person.label} cannot be split into {into} parts: it has faces for {most}, because what you assigned or "
            f"confirmed stays together; --into {most} is the most"
            if most > 1
            else f"{person.label} cannot be split into {into} parts: it has faces for one"
        )


# --- what is grouped ---


@dataclass(frozen=True, slots=True)
class _FaceUnits:
    """The faces that make parts, in units that stay together."""

    table: FaceTable
    units: list[list[int]]
    """Rows of the table. The first unit is what users assigned, if they assigned any."""
    has_block: bool
    barred: frozenset[int]
    """Photos of what users assigned but the engine in use does not see: none of their faces joins the first unit."""
    followers: list[int]
    """Rows that make no part."""

    @classmethod
    def of(cls, table: FaceTable, unseen: Sequence[FaceRow], *, wanted: int) -> _FaceUnits:
        is_maker = table.may_enroll | table.by_user
        if int((is_maker & ~table.by_user).sum()) + int(table.by_user.any()) < wanted:
            is_maker[:] = True
        assigned = np.flatnonzero(table.by_user).tolist()
        units = [assigned] if assigned else []
        units += [[row] for row in np.flatnonzero(is_maker & ~table.by_user).tolist()]
        barred = frozenset(row.photo_id for row in unseen if row.source == USER) if assigned else frozenset()
        return cls(table, units, bool(assigned), barred, np.flatnonzero(~is_maker).tolist())

    @property
    def n_free(self) -> int:
        return int((~self.table.by_user).sum())

    def rows_of(self, units: Iterable[int]) -> list[int]:
        return [row for unit in units for row in self.units[unit]]


def _grown(face_units: _FaceUnits, sure: float) -> LinkageTree:
    """Return how the units become one, after those of a very large person that surely are one were taken together."""
    from facewatch.clustering.linkage import LinkageTree

    if len(face_units.units) > MOST_UNITS:
        _take_together(face_units, sure)
    table, photos = face_units.table, face_units.table.photos
    sums = np.array([table.embeddings[rows].sum(0, dtype=np.float64) for rows in face_units.units])
    sizes = np.array([len(rows) for rows in face_units.units], np.int64)
    in_photos = [set(photos[rows].tolist()) for rows in face_units.units]
    if face_units.has_block:
        in_photos[0] |= face_units.barred
    return LinkageTree.over(sums, sizes, _conflicts(in_photos), has_block=face_units.has_block)


def _take_together(face_units: _FaceUnits, sure: float) -> None:
    """Make units of faces that no cut would part."""
    free = [rows[0] for rows in face_units.units[int(face_units.has_block) :]]
    table = face_units.table.take(np.array(free))
    for share in (0.7, 0.85, 1.0):
        labels = make_clusterer("linkage", ceiling=sure * share, singleton_penalty=0.0).fit_predict(
            table.embeddings, photos=table.photos
        )
        together = [[free[i] for i in np.flatnonzero(labels == label)] for label in range(labels.max() + 1)]
        single = [[free[i]] for i in np.flatnonzero(labels < 0)]
        if len(together) + len(single) <= MOST_UNITS or share == 1.0:
            face_units.units[int(face_units.has_block) :] = together + single
            return


def _conflicts(in_photos: Sequence[set[int]]) -> Flags:
    """Return which units have a photo in common."""
    units_of: dict[int, list[int]] = {}
    for unit, photos in enumerate(in_photos):
        for photo in photos:
            units_of.setdefault(photo, []).append(unit)
    is_barred = np.zeros((len(in_photos),) * 2, np.bool_)
    for units in units_of.values():
        is_barred[np.ix_(units, units)] = True
    return is_barred


# --- where it is cut ---


def _without_loose(
    face_units: _FaceUnits, groups: Sequence[Sequence[int]], strict: Sequence[Sequence[int]], loose: Collection[int]
) -> list[list[int]]:
    """Return the groups of units without those that are loose, and the strict groups of those."""
    is_loose = np.isin(face_units.table.ids, list(loose))
    units = {unit for unit, rows in enumerate(face_units.units) if is_loose[rows].all()}
    kept = [[unit for unit in group if unit not in units] for group in groups]
    let_in = [[unit for unit in group if unit in units] for group in strict]
    return [group for group in (*kept, *let_in) if group]


# --- the parts ---


@dataclass(slots=True)
class _Growing:
    """A part while faces join it."""

    rows: list[int]
    photos: set[int]
    total: Doubles
    unseen: list[FaceRow] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Sequence[int], table: FaceTable) -> _Growing:
        vectors = table.embeddings[list(rows)]
        return cls(list(rows), set(table.photos[list(rows)].tolist()), vectors.sum(0, dtype=np.float64))

    def take(self, row: int, table: FaceTable) -> None:
        self.rows.append(row)
        self.photos.add(int(table.photos[row]))
        self.total = self.total + table.embeddings[row]

    def take_unseen(self, row: FaceRow) -> None:
        self.unseen.append(row)
        self.photos.add(row.photo_id)

    @property
    def n_faces(self) -> int:
        return len(self.rows) + len(self.unseen)

    def is_by_user(self, table: FaceTable) -> bool:
        return bool(table.by_user[self.rows].any()) or any(row.source == USER for row in self.unseen)


def _follow(parts: list[_Growing], row: int, table: FaceTable) -> None:
    """The nearest part that has no face in this photo takes the face; none: it is a part by itself."""
    photo, vector = int(table.photos[row]), table.embeddings[row]
    open_to = [part for part in parts if photo not in part.photos]
    if not open_to:
        parts.append(_Growing.of([row], table))
        return
    max(open_to, key=lambda part: float(vector @ part.total) / len(part.rows)).take(row, table)


def _kept_first(parts: Sequence[_Growing], table: FaceTable, unseen: Sequence[FaceRow]) -> list[_Growing]:
    """Return the parts with what the engine does not see in them: first the one that is kept, then by size."""
    by_size = sorted(parts, key=lambda part: (not part.is_by_user(table), -len(part.rows), min(part.rows)))
    assigned = [row for row in unseen if row.source == USER]
    if assigned and not by_size[0].is_by_user(table):
        photos = {row.photo_id for row in assigned}
        home = next((part for part in by_size if not part.photos & photos), None)
        by_size = [home, *(p for p in by_size if p is not home)] if home else [_empty(table), *by_size]
    for row in (*assigned, *(row for row in unseen if row.source != USER)):
        _stay(by_size, row, table)
    kept, *others = by_size
    return [kept, *sorted(others, key=lambda part: -part.n_faces)]


def _stay(parts: list[_Growing], row: FaceRow, table: FaceTable) -> None:
    """The first part takes a face that cannot be compared, unless one of its photo is there that is somebody else."""
    home = next((part for part in parts if row.photo_id not in part.photos), None)
    if row.source == USER:
        home = parts[0]
    if home is None:
        home = _empty(table)
        parts.append(home)
    home.take_unseen(row)


def _empty(table: FaceTable) -> _Growing:
    return _Growing([], set(), np.zeros(table.embeddings.shape[1]))


def _part(part: _Growing, kept: _Growing, table: FaceTable) -> Part:
    rows = np.array(sorted(part.rows), np.int64)
    nearest = rows[np.argsort(-(table.embeddings[rows] @ part.total), kind="stable")]
    photos = [int(photo) for photo in table.photos[nearest]] + [row.photo_id for row in part.unseen]
    return Part(
        faces=tuple(sorted([*table.ids[rows].tolist(), *(row.id for row in part.unseen)])),
        photos=tuple(sorted(part.photos)),
        examples=tuple(dict.fromkeys(photos))[:EXAMPLES],
        n_assigned=int(table.by_user[rows].sum()) + sum(row.source == USER for row in part.unseen),
        spread=_spread_inside(part),
        distance=_spread_between(part, kept) if part is not kept else None,
    )


def _spread_inside(part: _Growing) -> float | None:
    n = len(part.rows)
    return _spread(float(part.total @ part.total - n) / (n * (n - 1))) if n > 1 else None


def _spread_between(part: _Growing, other: _Growing) -> float | None:
    n_pairs = len(part.rows) * len(other.rows)
    return _spread(float(part.total @ other.total) / n_pairs) if n_pairs else None


def _spread(mean_cosine: float) -> float:
    from facewatch.clustering.average import spread

    return float(spread(np.array([mean_cosine]))[0])
