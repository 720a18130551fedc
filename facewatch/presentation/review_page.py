"""Questions of the review as the page shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from facewatch.people.review.answers import is_open, verbs_for
from facewatch.people.review.scene import N_SHOWN
from facewatch.people.review.shown import rows_of
from facewatch.presentation.history import step_line
from facewatch.presentation.review import answer_words, heading, keys_for, passed_over

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.review.past import PastAnswer
    from facewatch.people.review.question import Question
    from facewatch.people.review.shown import QuestionRow
    from facewatch.presentation.history import StepLine
    from facewatch.presentation.review import AnswerKey

N_COMPARED = 6
"""Faces of the person to compare with."""
MOST_FACES = 96
"""Faces that can be shown of a question."""
MOST_PAST = 12
"""Answers that are listed beside the questions."""


@dataclass(frozen=True, slots=True)
class CardFace:
    """A face of a question."""

    id: int
    photo_id: int
    year: str
    """When it was taken; "": nobody knows."""
    words: str
    """What it is for whoever cannot see it."""


@dataclass(frozen=True, slots=True)
class CardRow:
    """Faces that stand together."""

    title: str
    person_id: int | None
    is_asked_about: bool
    first: tuple[CardFace, ...]
    """Those that are shown,"""
    more: tuple[CardFace, ...]
    """those that are shown on demand,"""
    n_left_out: int
    """and how many others there are."""


@dataclass(frozen=True, slots=True)
class QuestionCard:
    """A question, ready to be shown."""

    id: str
    heading: str
    rows: tuple[CardRow, ...]
    keys: tuple[tuple[str, AnswerKey], ...]
    """What can be said to it."""
    gone: str
    """Why it cannot be answered any more; "": it can."""
    whole: tuple[int, str] | None
    """Where it is about one person: who that is."""

    @property
    def has_name(self) -> bool:
        return any(one.verb == "name" for _, one in self.keys)

    @property
    def is_choice(self) -> bool:
        """Whether one of the faces is the answer."""
        return any(one.verb == "face" for _, one in self.keys)

    @property
    def is_yes_or_no(self) -> bool:
        return any(one.verb == "no" for _, one in self.keys)


def question_card(catalog: Catalog, question: Question) -> QuestionCard:
    rows = rows_of(catalog, question, n_compared=N_COMPARED)
    faces = _card_faces(catalog, rows)
    verbs = verbs_for(catalog, question)
    return QuestionCard(
        id=question.id,
        heading=heading(question),
        rows=tuple(_card_row(row, faces) for row in rows if row.faces),
        keys=tuple(keys_for(question, verbs).items()),
        gone="" if is_open(catalog, question) else passed_over(question),
        whole=(question.people[0], question.labels[0]) if question.kind == "who" and question.people else None,
    )


def _card_faces(catalog: Catalog, rows: Sequence[QuestionRow]) -> dict[int, CardFace]:
    wanted = [face_id for row in rows for face_id in row.faces[:MOST_FACES]]
    found = {row.id: row.photo_id for row in catalog.faces.rows(wanted)}
    taken = catalog.photos.taken(set(found.values()))
    faces = {}
    for number, face_id in enumerate(dict.fromkeys(wanted), 1):
        if face_id in found:
            year = taken.get(found[face_id], "")[:4]
            words = f"Face {number}{f', {year}' if year else ''}: open the photo"
            faces[face_id] = CardFace(face_id, found[face_id], year, words)
    return faces


def _card_row(row: QuestionRow, faces: dict[int, CardFace]) -> CardRow:
    shown = [faces[face_id] for face_id in row.faces[:MOST_FACES] if face_id in faces]
    return CardRow(
        title=row.title,
        person_id=row.person_id,
        is_asked_about=row.is_asked_about,
        first=tuple(shown[:N_SHOWN]),
        more=tuple(shown[N_SHOWN:]),
        n_left_out=len(row.faces) - len(shown),
    )


@dataclass(frozen=True, slots=True)
class PastLine:
    """An answer that was given, ready to be shown."""

    question_id: str
    heading: str
    answer: str
    step: StepLine


def past_line(past: PastAnswer) -> PastLine:
    words = past.text[:1].upper() + past.text[1:]
    return PastLine(past.question_id, words, answer_words(past.answer), step_line(past.step))


def past_by_day(answers: Iterable[PastAnswer]) -> list[tuple[str, list[PastLine]]]:
    """Return the answers of each day, in their order."""
    return [(day, list(lines)) for day, lines in groupby(map(past_line, answers), key=lambda line: line.step.day)]
