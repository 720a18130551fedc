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
    taken_up: tuple[Entry, ...] = ()
    """Of an undo or a redo: the decisions that it took back or made again."""


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
    return HistoryPage(
        tuple(steps_of(catalog, entries)),
        next_before=entries[-1].id if len(found) > n else None,
        redoable=_taken_up(catalog, undos[0]) if undos else (),
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
    return DecisionDetails(step, tuple(steps_of(catalog, chain)))


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
        steps.append(JournalStep(entry, is_undoable(entry), people[entry.id], shown, _taken_up(catalog, entry)))
    return steps


def _taken_up(catalog: Catalog, entry: Entry) -> tuple[Entry, ...]:
    """Return the decisions that an undo took back, or a redo made again."""
    found = map(catalog.journal.one, entry.details.get("undone") or entry.details.get("redone") or ())
    return tuple(one for one in found if one is not None)
