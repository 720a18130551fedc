"""A recluster as a preview: computed on a copy of the catalog, shown, then done exactly as it was shown, or dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from facewatch import ids
from facewatch.catalog import RUNS, USER, Change, FaceRow
from facewatch.errors import OutdatedError
from facewatch.people.identities import FixedEngine, Identities, Reclustered
from facewatch.people.record import Decided
from facewatch.people.undo import RECLUSTER
from facewatch.types import Progress, Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Person
    from facewatch.clustering import Clusterer
    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.grouping import Grouping, GroupingSettings
    from facewatch.types import Floats, Ints

Report = Callable[[Progress], None]
"""Called from long work; must be quick."""

_ATTEMPTS = 5

_MOST_NAMED = 3
"""People who are named in one sentence."""


class Fate(StrEnum):
    """What becomes of somebody."""

    NEW = "new"
    GROWS = "grows"
    SHRINKS = "shrinks"
    CHANGES = "changes"
    """Some faces come, others go."""
    SPLITS = "splits"
    """Some of its faces become somebody new."""
    JOINS = "joins"
    """It becomes part of another."""
    VANISHES = "vanishes"


@dataclass(frozen=True, slots=True)
class ChangedPerson:
    """One person before and after; faces come in the order in which they show most."""

    number: int
    """1, 2, 3... by which others of the same preview name it."""
    person_id: int | None
    """None: somebody new, who has no id yet."""
    label: str
    """"": somebody new."""
    is_named: bool
    fate: Fate
    before: tuple[int, ...]
    after: tuple[int, ...]
    into: tuple[int, ...]
    """The numbers of those to whom its faces go, the most faces first."""
    n_to_pool: int
    """Its faces that belong to nobody then."""

    @property
    def n_coming(self) -> int:
        return len(set(self.after) - set(self.before))

    @property
    def n_leaving(self) -> int:
        return len(set(self.before) - set(self.after))


@dataclass(frozen=True, slots=True)
class Standing:
    """What a preview took for granted of a person."""

    is_named: bool
    is_hidden: bool
    is_user_edited: bool
    born: str | None
    faces: frozenset[int]

    def holds(self, now: Standing | None) -> bool:
        """Whether it is so still; faces may have come."""
        return now is not None and self == replace(now, faces=self.faces) and self.faces <= now.faces


@dataclass(frozen=True, slots=True)
class Premises:
    """What a preview took for granted of all whom it would change."""

    people: Mapping[int, Standing]
    faces: Mapping[int, FaceRow]
    rejections: Mapping[int, Collection[int]]
    """Whom each of those faces is not."""
    cannot_links: Mapping[int, Collection[int]]
    """Whom each of those people is not."""


@dataclass(frozen=True, slots=True)
class ReclusterPreview:
    """What a recluster would do; nothing of it is done yet."""

    at: str
    """When the catalog was as it is taken for here; UTC."""
    settings: GroupingSettings
    is_from_scratch: bool
    """Whether groups about which no user decided anything are made again, too."""
    engine: str
    """Its fingerprint."""
    result: Reclustered
    n_pool_after: int
    n_unnamed: int
    """People without a name who have faces; before, and `n_unnamed_after`."""
    n_unnamed_after: int
    people: tuple[ChangedPerson, ...]
    """Those who would change, the most faces that come or go first."""
    rows: tuple[Change, ...] = field(repr=False)
    """The rows of the catalog that it writes; people who do not exist yet have ids from `first_new` on."""
    first_new: int
    premises: Premises = field(repr=False)

    @property
    def is_empty(self) -> bool:
        return not self.rows

    def n_of(self, fate: Fate) -> int:
        return sum(one.fate is fate for one in self.people)


@dataclass(eq=False)
class Reclusterer:
    """Previews reclusters, and does what was previewed."""

    catalog: Catalog
    engine: WantedEngine
    identities: Identities
    grouping: Grouping
    follow: Callable[[Collection[int]], None]
    """Brings gallery and folders of these people in line."""

    def preview(self, *, is_from_scratch: bool = False, report: Report = lambda _: None) -> ReclusterPreview:
        """Return what grouping the pool by the settings would do; nothing is changed and nobody is kept waiting.

        Args:
            is_from_scratch: the faces of people about whom no user decided anything are grouped again, too; whoever
                keeps most of its faces keeps its id.

        Raises:
            EngineError: the engine is being changed.
        """
        self.engine.check_is_in_use("faces can be grouped")
        engine = FixedEngine(self.engine.id, self.engine.info, self.engine.normalisation)
        report(Progress(0, 0, "", stage="copying the catalog"))
        with self.catalog.snapshot() as copy:
            identities = Identities(copy, engine, self.identities.settings)
            trial = _Trial(copy, engine, identities, self.grouping.settings, is_from_scratch)
            return trial.preview(_Reporting(self.grouping.clusterer(), report), report)

    def apply(self, preview: ReclusterPreview) -> Decided:
        """Do exactly what was previewed, as one decision of a user that can be undone.

        Raises:
            OutdatedError: somebody whom it would change is not as it was then.
            FolderError: it is done, but the people folder cannot be written.
        """
        self.engine.check_is_in_use("faces can be grouped")
        if self.engine.info.fingerprint != preview.engine:
            raise OutdatedError("another engine is in use since this was previewed; preview it again")
        with self.catalog.write():
            _check(self.catalog, preview)
            decided = Decided(None, RECLUSTER, (), ()) if preview.is_empty else _write(self.catalog, preview)
            self.grouping.record_grouped(preview.settings)
        self.follow(decided.people)
        return decided

    def recluster(
        self, *, is_from_scratch: bool = False, report: Report = lambda _: None
    ) -> tuple[ReclusterPreview, Decided]:
        """Preview it and do it; where somebody decides about the same people meanwhile, it is previewed again.

        Raises:
            OutdatedError: somebody did so again and again.
            EngineError: the engine is being changed.
            FolderError: it is done, but the people folder cannot be written.
        """
        for _ in range(_ATTEMPTS - 1):
            preview = self.preview(is_from_scratch=is_from_scratch, report=report)
            with suppress(OutdatedError):
                return preview, self.apply(preview)
        preview = self.preview(is_from_scratch=is_from_scratch, report=report)
        return preview, self.apply(preview)


# --- the preview ---


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
class _Trial:
    """A recluster that is done in a copy of the catalog."""

    copy: Catalog
    engine: FixedEngine
    identities: Identities
    settings: GroupingSettings
    is_from_scratch: bool

    def preview(self, clusterer: Clusterer, report: Report) -> ReclusterPreview:
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
            rows=rows,
            first_new=before.first_new,
            premises=_premises(copy, before, rows),
        )

    def _rows(self, clusterer: Clusterer, before: _Before) -> Iterator[Change]:
        """Do it in the copy; yield the rows that are not as before."""
        copy, now = self.copy, self.copy.now()
        with copy.write(), copy.journal.recording(RECLUSTER, RECLUSTER, now=now) as record:
            run_id = copy.runs.start(RECLUSTER, now, strictness=self.settings.strictness)
            self.identities.start_run(RECLUSTER, run_id)
            loose = self._release(before) if self.is_from_scratch else frozenset[int]()
            self.identities.recluster(clusterer)
            kept = _kept_ids(before, copy.assignments.all_people(), loose)
            _retire_emptied(copy, before, loose.difference(kept.values()))
        for change in record.changes:
            if change.table == "people" and change.key[0] in kept:
                continue
            change = _with_ids(change, kept)
            if change.table != "assignments" or _owner(change.before) != _owner(change.after):
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
    theirs = _faces_of(before.owners, loose)
    filled = set(after.values())
    for person_id in sorted(p for p, faces in theirs.items() if faces and p not in filled):
        owners = Counter(after.get(face_id) for face_id in theirs[person_id])
        into, n_faces = owners.most_common(1)[0]
        # That they are somebody with a name would be a decision.
        if into is not None and into not in names and 2 * n_faces > len(theirs[person_id]):
            copy.people.retire(person_id, into)
        else:
            copy.people.forget(person_id)


def _with_ids(change: Change, numbers: Mapping[int, int]) -> Change:
    """Return a change in which people have other ids."""
    first = {"people": 0, "apart": 0, "rejections": 1}.get(change.table, len(change.key))
    after = change.after and {
        name: numbers.get(value, value) if name in _PERSON_COLUMNS else value for name, value in change.after.items()
    }
    key = (*change.key[:first], *(numbers.get(part, part) for part in change.key[first:]))
    return Change(change.table, key, change.before, after)


_PERSON_COLUMNS = frozenset({"person_id", "runner_up_id", "merged_into"})


def _owner(row: Mapping[str, Any] | None) -> int | None:
    return row.get("person_id") if row else None


def _merged_into(change: Change) -> int | None:
    """Return of whom the person of this row becomes a part."""
    return change.after.get("merged_into") if change.table == "people" and change.after else None


def _assigned_by(before: Mapping[int, int], rows: Iterable[Change]) -> dict[int, int]:
    """Return whose each face is when these rows are written."""
    after = dict(before)
    for change in rows:
        if change.table == "assignments":
            if (owner := _owner(change.after)) is not None:
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
        n_joined_people=sum(_merged_into(one) is not None and one.key[0] < before.first_new for one in rows),
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
    own_before, own_after = _faces_of(before.owners, numbers), _faces_of(after, numbers)
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


def _faces_of(assigned: Mapping[int, int], people: Collection[int]) -> dict[int, set[int]]:
    faces: dict[int, set[int]] = {person_id: set() for person_id in people}
    for face_id, person_id in assigned.items():
        if person_id in faces:
            faces[person_id].add(face_id)
    return faces


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
class _Reporting:
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

    def fit_predict(self, embeddings: Floats, *, photos: Ints, ids: Ints | None = None) -> Ints:
        self.n += 1
        note = f"round {self.n}" if self.n > 1 else ""
        self.report(Progress(0, 0, note, stage="grouping faces"))
        return self.clusterer.fit_predict(embeddings, photos=photos, ids=ids)


# --- what it takes for granted ---


def _premises(copy: Catalog, before: _Before, rows: Iterable[Change]) -> Premises:
    """Return what was so of those whom these rows change."""
    was = {change.key[0]: change.before for change in rows if change.table == "assignments"}
    concerned = {person_id for person_id in _people_in(rows) if person_id < before.first_new}
    own = _faces_of(before.owners, concerned)
    return Premises(
        people={person_id: _standing(before.people[person_id], own[person_id]) for person_id in concerned},
        faces={row.id: _as_before(row, before.owners.get(row.id), was[row.id]) for row in copy.faces.rows(was.keys())},
        rejections={face: before.rejections[face] for face in was if face in before.rejections},
        cannot_links={one: before.cannot_links[one] for one in concerned if one in before.cannot_links},
    )


def _people_in(rows: Iterable[Change]) -> set[int]:
    """Return who gains or loses a face, or is changed itself."""
    people: set[int] = set()
    for change in rows:
        if change.table in ("people", "apart"):
            people |= set(change.key)
        elif change.table == "rejections":
            people.add(change.key[1])
        else:
            people |= {side["person_id"] for side in (change.before, change.after) if side and "person_id" in side}
    return people


def _as_before(row: FaceRow, person_id: int | None, before: Mapping[str, object] | None) -> FaceRow:
    """Return a face as it was, given what was changed of its assignment."""
    source = before.get("source", row.source) if before else None
    return replace(row, person_id=person_id, source=None if source is None else str(source))


def _standing(person: Person, faces: Collection[int]) -> Standing:
    return Standing(
        person.name is not None, person.is_hidden, person.is_user_edited, person.born, faces=frozenset(faces)
    )


def _check(catalog: Catalog, preview: ReclusterPreview) -> None:
    """Refuse what does not hold any more.

    Raises:
        OutdatedError: somebody or some face is not as it was.
    """
    premises = preview.premises
    own = _faces_of(catalog.assignments.all_people(), premises.people)
    people = {person_id: catalog.people.one(person_id) for person_id in premises.people}
    now = {person_id: _standing(one, own[person_id]) for person_id, one in people.items() if one is not None}
    changed = {person_id for person_id, then in premises.people.items() if not then.holds(now.get(person_id))}
    cannot_links = catalog.rejections.cannot_links()
    changed |= {p for p in premises.people if cannot_links.get(p, set()) != set(premises.cannot_links.get(p, ()))}
    faces = {row.id: row for row in catalog.faces.rows(premises.faces)}
    rejections = catalog.rejections.of_faces(premises.faces)
    moved = {face for face, then in premises.faces.items() if faces.get(face) != then}
    moved |= {face for face in premises.faces if rejections.get(face, set()) != set(premises.rejections.get(face, ()))}
    changed |= _crowded(catalog, preview, now)
    if changed or moved:
        raise OutdatedError(f"{_what_changed(catalog, changed, moved)} since this was previewed; preview it again")


def _crowded(catalog: Catalog, preview: ReclusterPreview, now: Mapping[int, Standing]) -> set[int]:
    """Return who has come into a photo meanwhile of which another face would be theirs."""
    gained = {p: one.faces - preview.premises.people[p].faces for p, one in now.items()}
    photos = {row.id: row.photo_id for row in catalog.faces.rows({face for faces in gained.values() for face in faces})}
    coming: dict[int, set[int]] = defaultdict(set)
    for change in preview.rows:
        if change.table == "assignments" and change.after and "person_id" in change.after:
            coming[change.after["person_id"]].add(preview.premises.faces[change.key[0]].photo_id)
    return {p for p, faces in gained.items() if coming[p] & {photos[face] for face in faces}}


def _what_changed(catalog: Catalog, people: Collection[int], faces: Collection[int]) -> str:
    if not people:
        return f"{len(faces)} of the faces have been decided about" if len(faces) > 1 else "a face was decided about"
    labels = [one.label if (one := catalog.people.one(p)) else ids.label_of(p) for p in sorted(people)[:_MOST_NAMED]]
    n_more = len(people) - len(labels)
    more = f" and {n_more} more" if n_more else ""
    return f"{', '.join(labels)}{more} {'has' if len(people) == 1 else 'have'} changed"


# --- doing it ---


def _write(catalog: Catalog, preview: ReclusterPreview) -> Decided:
    """Write the rows of a preview; inside the caller's transaction."""
    now, result = catalog.now(), preview.result
    run_id = catalog.runs.start(RECLUSTER, now, strictness=preview.settings.strictness)
    catalog.runs.end(run_id, {}, now)
    details = {
        "new": result.n_new_people,
        "joined": result.n_joined_people,
        "faces": result.n_grouped,
        "split": preview.n_of(Fate.SPLITS),
        "vanished": preview.n_of(Fate.VANISHES),
        "moved": sum(change.table == "assignments" for change in preview.rows),
        "method": preview.settings.method,
    }
    with catalog.journal.recording(USER, RECLUSTER, details, run_id=run_id, now=now) as record:
        new = sorted(person_id for person_id in _people_in(preview.rows) if person_id >= preview.first_new)
        numbers = {number: catalog.people.add(now) for number in new}
        stamps = {"run_id": run_id, "at": now, "entry_id": catalog.journal.newest()}
        rows = [_stamped(_with_ids(change, numbers), stamps) for change in preview.rows]
        catalog.journal.make(rows)
        for change in rows:
            if (into := _merged_into(change)) is not None:
                catalog.assignments.move_guesses(change.key[0], into)
        catalog.people.drop_covers()
        catalog.assignments.forget_guesses()
        people = tuple(sorted(_people_in(rows)))
        record.details["people"] = list(people)
        record.undo["joined"] = _joined(rows)
    faces = tuple(change.key[0] for change in rows if change.table == "assignments")
    return Decided(record.entry_id, RECLUSTER, people, faces)


def _stamped(change: Change, stamps: Mapping[str, object]) -> Change:
    """Return an assignment with the run that makes it, unless it only follows a person into another."""
    if change.table != "assignments" or change.after is None or "run_id" not in change.after:
        return change
    return Change(
        change.table, change.key, change.before, {name: stamps.get(name, it) for name, it in change.after.items()}
    )


def _joined(rows: Iterable[Change]) -> list[tuple[int, int, list[int]]]:
    """Return who became part of whom, with which faces; the audit reads it."""
    into = {change.key[0]: person_id for change in rows if (person_id := _merged_into(change)) is not None}
    faces: dict[int, list[int]] = {person_id: [] for person_id in into}
    for change in rows:
        owner = _owner(change.before) if change.table == "assignments" and change.after else None
        if owner in faces:
            faces[owner].append(change.key[0])
    return [(person_id, into[person_id], theirs) for person_id, theirs in faces.items()]
