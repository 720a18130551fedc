"""Going through the questions one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from facewatch.catalog import Catalog
from facewatch.people.corrections import Decisions
from facewatch.people.record import Decided
from facewatch.people.review.answers import Answer, check_answers, decide, decide_all, is_open
from facewatch.people.review.coverage import Coverage, coverage
from facewatch.people.review.dividing import divided, halves
from facewatch.people.review.question import Question, Subset
from facewatch.people.review.questions import open_questions
from facewatch.types import EngineInfo

NO_ANSWERS = ("skip", "divide")
"""What leaves a question to be asked."""

FACES_AN_ANSWER = 10_000
"""Looking for questions takes some 0.3 s for so many faces: with ten times as many, ten answers pass in between."""

Deciding = Callable[[], AbstractContextManager[Decisions]]
"""Opens what makes decisions effective when it is closed."""


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """How far a review is."""

    n_answered: int
    """Not those that were skipped, or divided to be asked about apart."""
    n_settled: int
    """Faces that were open and are not any more, also because of what followed from the answers."""
    n_open: int
    """Faces that could be somebody's and belong to nobody whom a user has named or hidden."""
    n_questions: int
    """Questions that are left."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of answers that were given together."""

    answers: tuple[tuple[Question, Answer], ...]
    decided: tuple[Decided, ...]
    """All decisions, in the order in which they were made."""


@dataclass(frozen=True, slots=True)
class _Step:
    question: Question
    entries: tuple[int, ...]
    """What was decided, by its numbers in the journal."""
    parts: tuple[Subset, ...]
    """What was asked about apart before."""
    is_answer: bool
    """Whether it says anything: to skip or divide a question does not."""


class Review:
    """Goes through the open questions, best first."""

    def __init__(
        self,
        catalog: Catalog,
        engine_id: int,
        info: EngineInfo,
        *,
        deciding: Deciding,
        undo: Callable[[int], object],
        n_between: int = 0,
    ) -> None:
        """
        Args:
            undo: takes back the decision with this number in the journal.
            n_between: answers that may pass before the questions are searched for again; meanwhile those that are no
                longer open are passed over.
        """
        self._catalog = catalog
        self._engine_id = engine_id
        self._info = info
        self._deciding = deciding
        self._undo = undo
        self._n_between = n_between
        self._questions: list[Question] | None = None
        self._n_since = 0
        self._skipped: set[str] = set()
        self._parts: tuple[Subset, ...] = ()
        self._steps: list[_Step] = []
        self._n_open_before = catalog.faces.n_open()

    def questions(self) -> list[Question]:
        """Return what is open and was not skipped, best first."""
        if self._questions is None:
            self._questions = open_questions(self._catalog, self._engine_id, self._info, parts=self._parts)
            self._n_since = 0
        return [question for question in self._questions if question.id not in self._skipped]

    def next(self) -> Question | None:
        """Return the best question that is still open; None: there is none."""
        for question in self.questions():
            if is_open(self._catalog, question):
                return question
        if self._n_since:
            self._questions = None
            return self.next()
        return None

    def answer(self, question: Question, answer: Answer) -> list[Decided]:
        """Make the decisions that an answer means and return them.

        Raises:
            NotKnownError: this cannot be said to that question.
            DecisionError: the question is no longer open, cannot be divided, or the answer contradicts what a user
                said before.
        """
        parts = self._parts
        if answer.verb == "divide":
            parts = divided(parts, question, halves(self._catalog, self._engine_id, self._info, question))
        made: list[Decided] = []
        try:
            with self._deciding() as decisions:
                decide(self._catalog, decisions, question, answer)
                made = [decided for decided in decisions.made if decided.entry_id is not None]
        finally:
            # Also when the folders cannot follow: what was decided stands, and can be undone.
            if made or answer.verb in NO_ANSWERS:
                self._note(question, answer, made, parts)
        return made

    def _note(self, question: Question, answer: Answer, made: Sequence[Decided], parts: tuple[Subset, ...]) -> None:
        entries = tuple(dict.fromkeys(decided.entry_id for decided in made if decided.entry_id is not None))
        self._steps.append(_Step(question, entries, self._parts, answer.verb not in NO_ANSWERS))
        if answer.verb == "skip":
            self._skipped.add(question.id)
        self._answered(question, is_stale=parts != self._parts)
        self._parts = parts

    def take(self, texts: Sequence[str]) -> Taken:
        """Make the decisions of answers like "is:p5:3fa9c1=yes", all or none, and return what was answered and decided.

        Raises:
            NotKnownError: an answer is none, or fits no open question.
            DecisionError: answers contradict each other, or what a user said before.
            FolderError: it is decided, but the people folder cannot be written.
        """
        answers = check_answers(self._catalog, self.questions(), texts)
        with self._deciding() as decisions:
            decide_all(self._catalog, decisions, answers)
        return Taken(tuple(answers), tuple(one for one in decisions.made if one.entry_id is not None))

    def undo(self) -> Question | None:
        """Take back the last answer and return its question, which is asked again; None: nothing was answered."""
        if not self._steps:
            return None
        step = self._steps[-1]
        for entry_id in reversed(step.entries):
            self._undo(entry_id)
        self._steps.pop()
        self._parts = step.parts
        self._skipped.discard(step.question.id)
        self._questions = None
        return step.question

    def progress(self) -> ReviewProgress:
        n_open = self._catalog.faces.n_open()
        n_answered = sum(step.is_answer for step in self._steps)
        return ReviewProgress(n_answered, self._n_open_before - n_open, n_open, len(self.questions()))

    def coverage(self, answers: Sequence[int] = (10, 50, 250)) -> list[Coverage]:
        """Return how much so many more answers settle; no further than there are questions."""
        return coverage(self.questions(), self._catalog.faces.n_open(), answers)

    def _answered(self, question: Question, *, is_stale: bool) -> None:
        self._n_since += 1
        if is_stale or self._n_since > self._n_between:
            self._questions = None
        elif self._questions is not None:
            self._questions = [other for other in self._questions if other is not question]
