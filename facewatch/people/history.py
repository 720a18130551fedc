"""The journal as a page shows it: a part of it at a time, and what can be undone or made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.catalog import USER
from facewatch.people.undo import FOLLOWING, History

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Entry


@dataclass(frozen=True, slots=True)
class JournalStep:
    """An entry of the journal, with who and what is to be seen of it."""

    entry: Entry
    is_undoable: bool
    """Whether it is a decision that stands."""
    people: tuple[int, ...]
    """Whom it was about."""
    faces: tuple[int, ...]
    """Some of the faces that it was about, else one of each person."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of the journal, the newest first."""

    steps: tuple[JournalStep, ...]
    next_before: int | None
    """The entry that the next part begins behind; None: this is the oldest part."""
    redoable: tuple[Entry, ...]
    """The decisions that `redo` would make again."""


@dataclass(frozen=True, slots=True)
class DecisionDetails:
    """One decision, and what builds on it."""

    step: JournalStep
    chain: tuple[JournalStep, ...]
    """Later decisions that build on it, the newest first: they are undone with it."""
    undone_by: Entry | None


MOST_FACES = 8
"""Faces that are shown of one entry."""


def history_page(
    catalog: Catalog, n: int, *, before: int | None = None, person_id: int | None = None, with_runs: bool = False
) -> HistoryPage:
    """Return at most `n` entries of the journal that are older than `before`, of everybody or of one person.

    Args:
        with_runs: also what scans and the watcher grouped.
    """
    found = catalog.journal.page(n + 1, before=before, person_id=person_id, by_user=not with_runs, without=FOLLOWING)
    entries = found[:n]
    undos = catalog.journal.undos()
    redoable = [catalog.journal.one(entry_id) for entry_id in undos[0].details["undone"]] if undos else []
    return HistoryPage(
        tuple(steps_of(catalog, entries)),
        next_before=entries[-1].id if len(found) > n else None,
        redoable=tuple(entry for entry in redoable if entry is not None),
    )


def decision_details(catalog: Catalog, entry_id: int) -> DecisionDetails | None:
    """Return an entry of the journal with what builds on it; None: there is none.

    Raises:
        DecisionError: what builds on it is not known: it was made by an older facewatch.
    """
    entry = catalog.journal.one(entry_id)
    if entry is None:
        return None
    [step] = steps_of(catalog, [entry])
    chain = History(catalog).chain(entry) if step.is_undoable else []
    undone_by = catalog.journal.one(entry.undone_by) if entry.undone_by is not None else None
    return DecisionDetails(step, tuple(steps_of(catalog, chain)), undone_by)


def is_undoable(entry: Entry) -> bool:
    """Whether it is a decision of a user that stands."""
    is_decision = entry.actor == USER and entry.parent_id is None and entry.action not in ("undo", "redo")
    return is_decision and entry.undone_by is None


def steps_of(catalog: Catalog, entries: Sequence[Entry]) -> list[JournalStep]:
    """Return entries with what is to be seen of them."""
    people = {entry.id: tuple(entry.details.get("people", ())) for entry in entries}
    covers = catalog.faces.best_of({one for ids in people.values() for one in ids[:MOST_FACES]}, 1)
    steps = []
    for entry in entries:
        faces = tuple(entry.details.get("face_ids", ()))[:MOST_FACES]
        shown = faces or tuple(face for one in people[entry.id][:MOST_FACES] for face in covers.get(one, ()))
        steps.append(JournalStep(entry, is_undoable(entry), people[entry.id], shown))
    return steps
