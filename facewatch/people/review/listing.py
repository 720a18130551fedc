"""The questions that were open at one moment, for many who answer them meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from facewatch.people.review.answers import is_open, written_out
from facewatch.people.review.coverage import Outlook, outlook, settled_by

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.review.question import Question


class QuestionList:
    """Questions, best first. It never changes; which of them are still open, the catalog says."""

    def __init__(self, questions: Iterable[Question], n_open: int) -> None:
        """`n_open` is how many faces were open when these questions were found."""
        self.questions = tuple(questions)
        self._n_open = n_open
        self._by_id = {question.id: question for question in self.questions}
        self._settled = settled_by(self.questions)

    def one(self, question_id: str) -> Question | None:
        """Return the question with this id, whether it is still open or not."""
        return self._by_id.get(written_out(question_id))

    def still_open(self, catalog: Catalog, most: int, *, without: Collection[str] = ()) -> list[Question]:
        """Return the first questions, at most so many, that are still open, `without` those with these ids."""
        found: list[Question] = []
        for question in self.questions:
            if len(found) == most:
                break
            if question.id not in without and is_open(catalog, question):
                found.append(question)
        return found

    def divided(self, question: Question, halves: Sequence[Question]) -> QuestionList:
        """Return the list with the halves of a question in its place."""
        questions = [one for other in self.questions for one in (halves if other.id == question.id else (other,))]
        return QuestionList(questions, self._n_open)

    def outlook(self, *, n_open: int, n_faces: int) -> Outlook:
        """Return how far the library is named, and what answers would bring; see `coverage.outlook`."""
        return outlook(self._settled, n_before=self._n_open, n_open=n_open, n_faces=n_faces)
