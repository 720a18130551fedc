"""How a preview comes about: a recluster is done in a copy of the catalog, and compared with what was before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from facewatch.catalog import RUNS, Change, FaceRow
from facewatch.people.grouping import hubs_of
from facewatch.people.identities import FixedEngine, Identities, Reclustered
from facewatch.people.recluster_preview import (
    ChangedPerson,
    Fate,
    PlannedRows,
    Premises,
    ReclusterPreview,
    faces_of,
    merged_into,
    owner_of,
    people_in,
    premise_of,
    with_ids,
)
from facewatch.people.undo import RECLUSTER
from facewatch.types import Progress, Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.clustering import Clusterer
    from facewatch.people.grouping import GroupingSettings
    from facewatch.types import Ints, Vectors

Report = Callable[[Progress], None]
"""Called from long work; must be quick."""


@dataclass(frozen=True, slots=True)
class _Before:
    """The catalog before anything is tried."""

    people: Mapping[int, Person]
    owners: Mapping[int, int]
    """Whose each assigned face is."""
    rejections: Mapping[int, Collection[int]]
    cannot_links: Mapping[int, Collection[int]]
    n_pool: int
    first_new: int
    """From this id on people are new."""

    @classmethod
    def of(cls, catalog: Catalog) -> _Before:
        return cls(
            people={person.id: person for person in catalog.people.all()},
            owners=catalog.assignments.all_people(),
            rejections=catalog.rejections.all(),
            cannot_links=catalog.rejections.cannot_links(),
            n_pool=catalog.faces.counts()["pool"],
            first_new=catalog.people.newest() + 1,
        )


@dataclass(eq=False)
class ReclusterTrial:
    """A recluster that is done in a copy of the catalog."""

    copy: Catalog
    engine: FixedEngine
    identities: Identities
    settings: GroupingSettings
    is_from_scratch: bool
    _kept: dict[int, int] = field(default_factory=dict, init=False)
    """Which of the new people is which of the former ones."""

    def preview(self, clusterer: Clusterer, report: Report) -> ReclusterPreview:
        """Return what grouping the pool does; `report` is told what is being done."""
        copy, now = self.copy, self.copy.now()
        before = _Before.of(copy)
        rows = tuple(self._rows(clusterer, before))
        report(Progress(0, 0, "", stage="comparing"))
        after = _assigned_by(before.owners, rows)
        unnamed = {person.id for person in before.people.values() if person.name is None and not person.is_hidden}
        new = {person_id for person_id in after.values() if person_id >= before.first_new}
        return ReclusterPreview(
            at=now,
            settings=self.settings,
            is_from_scratch=self.is_from_scratch,
            engine=self.engine.info.fingerprint,
            result=_numbers_of(rows, before, n_new=len(new)),
            n_pool_after=copy.faces.counts()["pool"],
            n_unnamed=len(unnamed.intersection(before.owners.values())),
            n_unnamed_after=len((unnamed | new).intersection(after.values())),
            people=tuple(_changed_people(copy, before, after, rows)),
            plan=PlannedRows(
                rows,
                before.first_new,
                hubs=frozenset(self._kept.get(hub, hub) for hub in hubs_of(copy, self.engine)),
                premises=_premises(copy, before, rows),
            ),
        )

    def _rows(self, clusterer: Clusterer, before: _Before) -> Iterator[Change]:
        """Do it in the copy; yield the rows that are not as before."""
        copy, now = self.copy, self.copy.now()
        with copy.write(), copy.journal.recording(RECLUSTER, RECLUSTER, now=now) as record:
            run_id = copy.runs.start(RECLUSTER, now, strictness=self.settings.strictness)
            self.identities.start_run(RECLUSTER, run_id)
            loose = self._release(before) if self.is_from_scratch else frozenset[int]()
            self.identities.recluster(lambda: clusterer)
            kept = self._kept = _kept_ids(before, copy.assignments.all_people(), loose)
            _retire_emptied(copy, before, loose.difference(kept.values()))
        for change in record.changes:
            if change.table == "people" and change.key[0] in kept:
                continue
            change = with_ids(change, kept)
            if change.table != "assignments" or owner_of(change.before) != owner_of(change.after):
                yield change

    def _release(self, before: _Before) -> frozenset[int]:
        """Unassign what runs gave to people about whom no user decided anything, as far as it can be grouped again;
        return those people."""
        loose = frozenset(p.id for p in before.people.values() if p.is_machine_made and p.born is None)
        rows = self.copy.faces.rows([face for face, person_id in before.owners.items() if person_id in loose])
        table = self.copy.faces.load(
            self.engine.id, n_dims=self.engine.info.n_dims, faces=[row.id for row in rows if row.source in RUNS]
        )
        self.copy.assignments.release(table.ids[table.tiers != Tier.SHOW.value].tolist())
        return loose


def _kept_ids(before: _Before, after: Mapping[int, int], loose: Collection[int]) -> dict[int, int]:
    """Return which of the new people is which of the former ones: each the one with whom it has most faces in common,
    the largest such numbers first."""
    common = Counter(
        (person_id, before.owners[face_id])
        for face_id, person_id in after.items()
        if person_id >= before.first_new and before.owners.get(face_id) in loose
    )
    kept: dict[int, int] = {}
    for (new, old), _ in sorted(common.items(), key=lambda item: (-item[1], item[0])):
        if new not in kept and old not in kept.values():
            kept[new] = old
    return kept


def _retire_emptied(copy: Catalog, before: _Before, loose: Collection[int]) -> None:
    """Whoever has no face any more lives on in the one who has most of them, or is gone."""
    after, names = copy.assignments.all_people(), copy.people.names()
    theirs = faces_of(before.owners, loose)
    filled = set(after.values())
    for person_id in sorted(p for p, faces in theirs.items() if faces and p not in filled):
        owners = Counter(after.get(face_id) for face_id in theirs[person_id])
        into, n_faces = owners.most_common(1)[0]
        # That they are somebody with a name would be a decision.
        if into is not None and into not in names and 2 * n_faces > len(theirs[person_id]):
            copy.people.retire(person_id, into)
        else:
            copy.people.forget(person_id)


def _assigned_by(before: Mapping[int, int], rows: Iterable[Change]) -> dict[int, int]:
    """Return whose each face is when these rows are written."""
    after = dict(before)
    for change in rows:
        if change.table == "assignments":
            if (owner := owner_of(change.after)) is not None:
                after[change.key[0]] = owner
            else:
                after.pop(change.key[0], None)
    return after


def _numbers_of(rows: Sequence[Change], before: _Before, *, n_new: int) -> Reclustered:
    given = [change.after for change in rows if change.table == "assignments" and change.before is None]
    return Reclustered(
        n_pool=before.n_pool,
        n_matched=sum(row["source"] == "auto" for row in given if row),
        n_new_people=n_new,
        n_joined_people=sum(merged_into(one) is not None and one.key[0] < before.first_new for one in rows),
        n_grouped=sum(row["source"] == "cluster" for row in given if row),
    )


def _changed_people(
    copy: Catalog, before: _Before, after: Mapping[int, int], rows: Iterable[Change]
) -> Iterator[ChangedPerson]:
    """Yield whom these rows change, the most faces that come or go first."""
    moved = {change.key[0] for change in rows if change.table == "assignments"}
    n_moved = Counter(by[face] for face in moved for by in (before.owners, after) if face in by)
    order = sorted(n_moved, key=lambda person_id: (-n_moved[person_id], person_id))
    numbers = {person_id: number for number, person_id in enumerate(order, 1)}
    own_before, own_after = faces_of(before.owners, numbers), faces_of(after, numbers)
    every = {face for faces in (*own_before.values(), *own_after.values()) for face in faces}
    place = {face_id: number for number, face_id in enumerate(copy.faces.best_first(every))}
    for person_id in order:
        was, becomes = own_before[person_id], own_after[person_id]
        receivers = Counter(after.get(face) for face in was - becomes)
        n_to_pool = receivers.pop(None, 0)
        person = before.people.get(person_id)
        yield ChangedPerson(
            number=numbers[person_id],
            person_id=person.id if person else None,
            label=person.label if person else "",
            is_named=person is not None and person.name is not None,
            fate=Fate.NEW if person is None else _fate(was, becomes, receivers.keys(), before.first_new),
            before=tuple(sorted(was, key=place.__getitem__)),
            after=tuple(sorted(becomes, key=place.__getitem__)),
            into=tuple(numbers[receiver] for receiver, _ in receivers.most_common() if receiver is not None),
            n_to_pool=n_to_pool,
        )


def _fate(was: set[int], becomes: set[int], receivers: Collection[int | None], first_new: int) -> Fate:
    """Return what becomes of somebody who is known, and whose faces go to these."""
    if any(receiver is not None and receiver >= first_new for receiver in receivers):
        return Fate.SPLITS
    if not becomes:
        return (Fate.VANISHES, Fate.JOINS, Fate.SPLITS)[min(len(receivers), 2)]
    if was - becomes:
        return Fate.CHANGES if becomes - was else Fate.SHRINKS
    return Fate.GROWS


@dataclass(eq=False)
class Reporting:
    """A clusterer that says each time that it begins."""

    clusterer: Clusterer
    report: Report
    n: int = 0

    @property
    def labels_(self) -> Ints:
        return self.clusterer.labels_

    @labels_.setter
    def labels_(self, labels: Ints) -> None:
        self.clusterer.labels_ = labels

    def fit_predict(self, embeddings: Vectors, *, photos: Ints, ids: Ints | None = None) -> Ints:
        self.n += 1
        note = f"round {self.n}" if self.n > 1 else ""
        self.report(Progress(0, 0, note, stage="grouping faces"))
        return self.clusterer.fit_predict(embeddings, photos=photos, ids=ids)


# --- what it takes for granted ---


def _premises(copy: Catalog, before: _Before, rows: Iterable[Change]) -> Premises:
    """Return what was so of those whom these rows change."""
    was = {change.key[0]: change.before for change in rows if change.table == "assignments"}
    concerned = {person_id for person_id in people_in(rows) if person_id < before.first_new}
    own = faces_of(before.owners, concerned)
    return Premises(
        people={person_id: premise_of(before.people[person_id], own[person_id]) for person_id in concerned},
        faces={row.id: _as_before(row, before.owners.get(row.id), was[row.id]) for row in copy.faces.rows(was.keys())},
        rejections={face: before.rejections[face] for face in was if face in before.rejections},
        cannot_links={one: before.cannot_links[one] for one in concerned if one in before.cannot_links},
    )


def _as_before(row: FaceRow, person_id: int | None, before: Mapping[str, object] | None) -> FaceRow:
    """Return a face as it was, given what was changed of its assignment."""
    source = before.get("source", row.source) if before else None
    return replace(row, person_id=person_id, source=None if source is None else str(source))
