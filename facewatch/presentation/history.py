"""The journal in words, as pages and programs show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from facewatch.presentation.corrections import describe_on_page
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.people.history import DecisionDetails, JournalStep

_ACTORS = {"user": "you", "scan": "a scan", "watch": "the watcher", "recluster": "a recluster"}


@dataclass(frozen=True, slots=True)
class StepLine:
    """An entry of the journal, ready to be shown."""

    number: int
    day: str
    """"Sunday, 29 November 2026"."""
    time: str
    """"14:03"."""
    at: str
    """The same as the catalog has it: UTC, ISO 8601."""
    actor: str
    """"you", "the watcher"."""
    text: str
    is_undoable: bool
    undone_by: int | None
    """The entry that took it back; None: it stands."""
    is_by_user: bool
    faces: tuple[int, ...]


def step_line(step: JournalStep) -> StepLine:
    entry = step.entry
    day, time = _day_and_time(entry.at)
    return StepLine(
        number=entry.id,
        day=day,
        time=time,
        at=entry.at,
        actor=_ACTORS.get(entry.actor, entry.actor),
        text=describe_on_page(entry, step.taken_up),
        is_undoable=step.is_undoable,
        undone_by=entry.undone_by,
        is_by_user=entry.actor == "user",
        faces=step.faces,
    )


def by_day(steps: Iterable[JournalStep]) -> list[tuple[str, list[StepLine]]]:
    """Return the entries of each day, in their order."""
    return [(day, list(lines)) for day, lines in groupby(map(step_line, steps), key=lambda line: line.day)]


def no_decision(entry_id: int) -> str:
    return f"there is no decision {entry_id}"


def undo_question(details: DecisionDetails) -> str:
    """Return what is to be known before a decision is undone."""
    n = len(details.chain)
    if not n:
        return "Nothing that was decided later builds on it."
    later = "1 later decision builds" if n == 1 else f"{plural(n, 'later decision')} build"
    return f"{later} on it and {'is' if n == 1 else 'are'} undone with it, the newest first."


def _day_and_time(at: str) -> tuple[str, str]:
    try:
        when = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return at, ""
    return f"{when:%A}, {when.day} {when:%B %Y}", f"{when:%H:%M}"
