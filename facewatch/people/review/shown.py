"""Which faces are shown of a question: those that it is about, and some to compare them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.review.question import Question


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """Faces that stand together."""

    title: str
    """Whose they are; "": they are what is asked about."""
    person_id: int | None
    """Whose they are for certain."""
    faces: tuple[int, ...]
    """Best first."""
    is_asked_about: bool
    """Whether the answer is about them; the others are there to compare with."""


def rows_of(catalog: Catalog, question: Question, *, n_compared: int) -> list[QuestionRow]:
    """Return the faces that a question is about, all that it has, and at most so many to compare with; of two people
    who may be one, so many of each."""
    if question.kind == "one":
        whose = {row.id: row.person_id for row in catalog.faces.rows(question.faces)}
        return [
            QuestionRow(
                label,
                person_id,
                tuple(face_id for face_id in question.faces if whose.get(face_id) == person_id)[:n_compared],
                is_asked_about=True,
            )
            for person_id, label in zip(question.people, question.labels, strict=True)
        ]
    rows = [QuestionRow("", None, question.faces, is_asked_about=True)]
    if question.people and question.kind in ("which", "is", "still"):
        person_id, in_doubt = question.people[0], set(question.loose)
        best = catalog.faces.best_of([person_id], n_compared + len(in_doubt)).get(person_id, [])
        known = [face_id for face_id in best if face_id not in in_doubt]
        rows.append(QuestionRow(question.labels[0], person_id, tuple(known[:n_compared]), is_asked_about=False))
    return rows
