"""How much answers settle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facewatch.people.review.question import Question
    from facewatch.types import Floats

GOALS = (0.1, 0.25, 0.5, 0.75, 0.85, 0.9, 0.95, 0.98, 0.99)
"""Shares of faces with a name that somebody may want to reach."""
_STEP = 0.02
"""A goal that is nearer than this share is as good as reached."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much so many answers settle, on average."""

    n_answers: int
    n_faces: float
    share: float
    """Of the faces that are open, 0 to 1."""


def coverage(questions: Iterable[Question], n_open: int, answers: Sequence[int]) -> list[Coverage]:
    """Return how much the first so many answers settle on average, of the faces that are open.

    A face that several questions are about counts once.
    """
    covered = settled_by(questions).tolist()
    numbers = dict.fromkeys(min(n, len(covered) - 1) for n in answers)
    return [Coverage(n, covered[n], min(1.0, covered[n] / n_open) if n_open else 1.0) for n in numbers]


def settled_by(questions: Iterable[Question]) -> Floats:
    """Return how many faces the first 0, 1, 2... answers settle on average; a face that several questions are about
    counts once."""
    covered = [0.0]
    seen: set[tuple[str, int]] = set()
    for question in questions:
        about = {("face", face_id) for face_id in question.loose}
        people = question.people if question.kind in ("who", "strangers") else question.people[1:]
        about |= {("person", person_id) for person_id in people}
        covered.append(covered[-1] + question.settles * len(about - seen) / max(1, len(about)))
        seen |= about
    return np.array(covered, np.float64)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a library is named, and what answers would bring."""

    share: float
    """Of the faces that can be recognised: those of people whom a user has named or hidden, 0 to 1."""
    n_answers: int
    """So many answers,"""
    goal: float
    """and this share is reached, on average; the same as `share` where no answer would bring more."""


def outlook(settled: Floats, *, n_before: int, n_open: int, n_faces: int) -> Outlook:
    """Return how far it is to the next of `GOALS`, or as far as answers reach.

    Args:
        settled: as `settled_by` returns it, of the questions that were open
        n_before: when so many faces were open;
        n_open: and so many are now,
        n_faces: of so many that can be recognised.
    """
    if not n_faces or not n_open:
        return Outlook(1.0, 0, 1.0)
    share = 1.0 - n_open / n_faces
    done = min(max(0.0, float(n_before - n_open)), float(settled[-1]))
    first = int(np.searchsorted(settled, done))
    for goal in GOALS:
        if goal >= share + _STEP:
            last = int(np.searchsorted(settled, done + (goal - share) * n_faces))
            if last < len(settled):
                return Outlook(share, max(1, last - first), goal)
            break
    n_left = len(settled) - 1 - first
    return Outlook(share, n_left, min(1.0, share + (float(settled[-1]) - done) / n_faces) if n_left else share)
