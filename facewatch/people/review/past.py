"""Answers that were given, as the journal has them: also in earlier reviews, and by other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facewatch.people.history import JournalStep, steps_of
from facewatch.people.review.answers import Answer, parse_answer

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, Entry


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """An answer that was given."""

    question_id: str
    text: str
    """The question in words, as it was asked."""
    answer: Answer
    step: JournalStep
    """The decision that came of it."""


@dataclass(frozen=True, slots=True)
class PastAnswers:
    """Some answers, the newest first."""

    answers: tuple[PastAnswer, ...]
    next_before: int | None
    """The decision that the older ones come before; None: there are none."""


def past_answers(catalog: Catalog, most: int, *, before: int | None = None) -> PastAnswers:
    """Return the last answers, or those that were given `before` a decision."""
    found = catalog.journal.page(most + 1, before=before, by_user=True, are_answers=True)
    steps = steps_of(catalog, found[:most])
    answers = tuple(_past(step.entry, step) for step in steps)
    return PastAnswers(answers, found[most - 1].id if len(found) > most else None)


def _past(entry: Entry, step: JournalStep) -> PastAnswer:
    recorded = entry.details["answer"]
    question_id, answer = parse_answer(f"{recorded['question']}={recorded['said']}")
    return PastAnswer(question_id, recorded["text"], answer, step)
