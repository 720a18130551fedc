"""A recluster as a preview: computed on a copy of the catalog, shown, then done exactly as it was shown, or dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch import ids
from facewatch.catalog import USER, Change
from facewatch.errors import OutdatedError
from facewatch.people.identities import FixedEngine, Identities
from facewatch.people.recluster_preview import (
    Fate,
    PersonPremise,
    PlannedRows,
    ReclusterPreview,
    faces_of,
    merged_into,
    owner_of,
    people_in,
    premise_of,
    with_ids,
)
from facewatch.people.recluster_trial import ReclusterTrial, Report, Reporting
from facewatch.people.record import Decided
from facewatch.people.undo import RECLUSTER
from facewatch.types import Progress

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.grouping import Grouping

_ATTEMPTS = 5

_MOST_NAMED = 3
"""People who are named in one sentence."""


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
            trial = ReclusterTrial(copy, engine, identities, self.grouping.settings, is_from_scratch)
            return trial.preview(Reporting(self.grouping.clusterer(), report), report)

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
            decided, numbers = Decided(None, RECLUSTER, (), ()), dict[int, int]()
            if not preview.is_empty:
                decided, numbers = _write(self.catalog, preview)
            self.grouping.record_grouped(preview.settings, {numbers.get(hub, hub) for hub in preview.plan.hubs})
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


# --- what it takes for granted ---


def _check(catalog: Catalog, preview: ReclusterPreview) -> None:
    """Refuse what does not hold any more.

    Raises:
        OutdatedError: somebody or some face is not as it was.
    """
    premises = preview.plan.premises
    own = faces_of(catalog.assignments.all_people(), premises.people)
    people = {person_id: catalog.people.one(person_id) for person_id in premises.people}
    now = {person_id: premise_of(one, own[person_id]) for person_id, one in people.items() if one is not None}
    changed = {person_id for person_id, then in premises.people.items() if not then.holds(now.get(person_id))}
    cannot_links = catalog.rejections.cannot_links()
    changed |= {p for p in premises.people if cannot_links.get(p, set()) != set(premises.cannot_links.get(p, ()))}
    faces = {row.id: row for row in catalog.faces.rows(premises.faces)}
    rejections = catalog.rejections.of_faces(premises.faces)
    moved = {face for face, then in premises.faces.items() if faces.get(face) != then}
    moved |= {face for face in premises.faces if rejections.get(face, set()) != set(premises.rejections.get(face, ()))}
    changed |= _crowded(catalog, preview.plan, now)
    if changed or moved:
        raise OutdatedError(f"{_what_changed(catalog, changed, moved)} since this was previewed; preview it again")


def _crowded(catalog: Catalog, plan: PlannedRows, now: Mapping[int, PersonPremise]) -> set[int]:
    """Return who has come into a photo meanwhile of which another face would be theirs."""
    gained = {p: one.faces - plan.premises.people[p].faces for p, one in now.items()}
    photos = {row.id: row.photo_id for row in catalog.faces.rows({face for faces in gained.values() for face in faces})}
    coming: dict[int, set[int]] = defaultdict(set)
    for change in plan.rows:
        if change.table == "assignments" and change.after and "person_id" in change.after:
            coming[change.after["person_id"]].add(plan.premises.faces[change.key[0]].photo_id)
    return {p for p, faces in gained.items() if coming[p] & {photos[face] for face in faces}}


def _what_changed(catalog: Catalog, people: Collection[int], faces: Collection[int]) -> str:
    if not people:
        return f"{len(faces)} of the faces have been decided about" if len(faces) > 1 else "a face was decided about"
    labels = [one.label if (one := catalog.people.one(p)) else ids.label_of(p) for p in sorted(people)[:_MOST_NAMED]]
    n_more = len(people) - len(labels)
    more = f" and {n_more} more" if n_more else ""
    return f"{', '.join(labels)}{more} {'has' if len(people) == 1 else 'have'} changed"


# --- doing it ---


def _write(catalog: Catalog, preview: ReclusterPreview) -> tuple[Decided, dict[int, int]]:
    """Write the rows of a preview, inside the caller's transaction; return also which id each new person has now."""
    now, result, plan = catalog.now(), preview.result, preview.plan
    run_id = catalog.runs.start(RECLUSTER, now, strictness=preview.settings.strictness)
    catalog.runs.end(run_id, {}, now)
    details = {
        "new": result.n_new_people,
        "joined": result.n_joined_people,
        "faces": result.n_grouped,
        "split": preview.n_of(Fate.SPLITS),
        "vanished": preview.n_of(Fate.VANISHES),
        "moved": sum(change.table == "assignments" for change in plan.rows),
        "method": preview.settings.method,
    }
    with catalog.journal.recording(USER, RECLUSTER, details, run_id=run_id, now=now) as record:
        new = sorted(person_id for person_id in people_in(plan.rows) if person_id >= plan.first_new)
        numbers = {number: catalog.people.add(now) for number in new}
        stamps = {"run_id": run_id, "at": now, "entry_id": catalog.journal.newest()}
        rows = [_stamped(with_ids(change, numbers), stamps) for change in plan.rows]
        catalog.journal.make(rows)
        for change in rows:
            if (into := merged_into(change)) is not None:
                catalog.assignments.move_guesses(change.key[0], into)
        catalog.people.drop_covers()
        catalog.assignments.forget_guesses()
        people = tuple(sorted(people_in(rows)))
        record.details["people"] = list(people)
        record.undo["joined"] = _joined(rows)
    faces = tuple(change.key[0] for change in rows if change.table == "assignments")
    return Decided(record.entry_id, RECLUSTER, people, faces), numbers


def _stamped(change: Change, stamps: Mapping[str, object]) -> Change:
    """Return an assignment with the run that makes it, unless it only follows a person into another."""
    if change.table != "assignments" or change.after is None or "run_id" not in change.after:
        return change
    return Change(
        change.table, change.key, change.before, {name: stamps.get(name, it) for name, it in change.after.items()}
    )


def _joined(rows: Iterable[Change]) -> list[tuple[int, int, list[int]]]:
    """Return who became part of whom, with which faces; the audit reads it."""
    into = {change.key[0]: person_id for change in rows if (person_id := merged_into(change)) is not None}
    faces: dict[int, list[int]] = {person_id: [] for person_id in into}
    for change in rows:
        owner = owner_of(change.before) if change.table == "assignments" and change.after else None
        if owner in faces:
            faces[owner].append(change.key[0])
    return [(person_id, into[person_id], theirs) for person_id, theirs in faces.items()]
