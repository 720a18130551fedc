"""The questions of the review, for many browsers at once: they are found in the background, while answers go on with
those at hand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from facewatch.app import App
from facewatch.errors import FacewatchError, NotKnownError
from facewatch.people.record import Decided
from facewatch.people.review.answers import Answer, check_answer, decide
from facewatch.people.review.coverage import Outlook
from facewatch.people.review.dividing import divided, question_of
from facewatch.people.review.listing import QuestionList
from facewatch.people.review.question import Question, Subset
from facewatch.people.review.session import FACES_AN_ANSWER
from facewatch.presentation.review import not_open, outcome, released
from facewatch.web.access import Access
from facewatch.web.lately import Lately

log = logging.getLogger(__name__)

RESTS = 10.0
"""So many times as long as it took to find the questions they are not found again, so that no core is busy with that
alone. What is not open any more is passed over."""
RESTS_AFTER_ANSWERS = 1.0
"""The same, where so many answers were given that other questions may be better."""
PATIENCE_SECONDS = 0.03
"""How long new questions are waited for, before those at hand are taken: in small libraries they are there by then."""
FACE_COUNTS = "face counts"
"""What they are kept by (see `Lately`)."""
MOST_REMEMBERED = 2_000
"""Questions that were handed out and can be answered although there are newer ones."""


@dataclass(frozen=True, slots=True)
class _Listed:
    questions: QuestionList
    version: int
    """Of the catalog (`Access.version`) when they were found."""
    at: float
    took: float
    """Seconds."""
    n_faces: int
    """Faces of the library then."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an answer."""

    said: str
    decided: tuple[Decided, ...]
    halves: tuple[Question, ...] = ()
    """What is asked next where a question was divided."""


class QuestionQueue:
    """Hands out questions and takes their answers."""

    def __init__(self, access: Access, lately: Lately, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._lately = lately
        self._clock = clock
        self._listed: _Listed | None = None
        self._renewing: asyncio.Task[_Listed] | None = None
        self._parts: tuple[Subset, ...] = ()
        """What is asked about apart, because somebody divided it."""
        self._n_answers = 0
        """Since the questions were found."""
        self._handed: dict[str, Question] = {}
        """The last ones that were handed out."""

    # --- asking ---

    async def is_ready(self, seconds: float) -> bool:
        """Whether questions are at hand, after so many seconds at most.

        Raises:
            EngineError: the engine is being changed.
        """
        if self._listed is None:
            done, _ = await asyncio.wait([self._renewal()], timeout=seconds)
            for renewing in done:
                renewing.result()
        return self._listed is not None

    async def next(self, most: int, *, without: Collection[str] = ()) -> list[Question]:
        """Return the first questions, at most so many, that are open and none of these.

        Raises:
            EngineError: the engine is being changed.
        """
        listed = await self._list()
        found = await self._access.read(lambda app: listed.still_open(app.catalog, most, without=without))
        if len(found) < most and self._is_outdated():
            listed = (await asyncio.shield(self._renewal())).questions
            found = await self._access.read(lambda app: listed.still_open(app.catalog, most, without=without))
        for question in found:
            self._hand_out(question)
        return found

    async def one(self, question_id: str) -> Question | None:
        """Return a question, whether it is still open or not; None: there was none with this id.

        Raises:
            EngineError: the engine is being changed.
        """
        question = (await self._list()).one(question_id) or self._handed.get(question_id)
        if question is not None:
            self._hand_out(question)
        return question

    async def all(self) -> QuestionList:
        """Return all questions that are open.

        Raises:
            EngineError: the engine is being changed.
        """
        if self._is_outdated():
            return (await asyncio.shield(self._renewal())).questions
        return await self._list()

    async def outlook(self) -> Outlook:
        """Return how far the library is named, and what answers would bring.

        Raises:
            EngineError: the engine is being changed.
        """
        listed = await self._list()
        counts = await self._lately.read(FACE_COUNTS, _face_counts)
        return listed.outlook(n_open=counts["open"], n_faces=counts["assigned"] + counts["pool"])

    # --- answering ---

    async def answer(self, question_id: str, answer: Answer) -> Answered:
        """Make the decisions that an answer means; to skip a question decides nothing.

        Raises:
            NotKnownError: there was no such question, or this cannot be said to it.
            DecisionError: the question is no longer open, cannot be divided, or the answer contradicts what a user
                said.
            EngineError: the engine is being changed.
        """
        question = await self.one(question_id)
        if question is None:
            raise NotKnownError(not_open(question_id))
        check_answer(question, answer)
        if answer.verb == "divide":
            return await self._divide(question)
        if answer.verb == "skip":
            said = await self._access.read(lambda app: outcome(app.catalog, question, answer))
            return Answered(said, ())
        answered = await self._access.decide(lambda app: _decided(app, question, answer))
        self._n_answers += 1
        return answered

    async def _divide(self, question: Question) -> Answered:
        def work(app: App) -> tuple[tuple[Subset, Subset], tuple[Question, ...], str]:
            halves = app.halves(question)
            questions = tuple(question_of(app.catalog, question, half) for half in halves)
            return halves, questions, outcome(app.catalog, question, Answer("divide"))

        halves, questions, said = await self._access.read(work)
        self._parts = divided(self._parts, question, halves)
        for half in questions:
            self._hand_out(half)
        if self._listed is not None:
            listed = self._listed
            divided_list = listed.questions.divided(question, questions)
            self._listed = replace(listed, questions=divided_list)
        return Answered(said, (), questions)

    # --- the list ---

    async def _list(self) -> QuestionList:
        if self._listed is None:
            return (await asyncio.shield(self._renewal())).questions
        if self._is_outdated() and self._is_due(self._listed) and (self._renewing is None or self._renewing.done()):
            await asyncio.wait([self._renewal()], timeout=PATIENCE_SECONDS)
        return self._listed.questions

    def _is_outdated(self) -> bool:
        return self._listed is None or self._listed.version != self._access.version

    def _is_due(self, listed: _Listed) -> bool:
        has_answers = self._n_answers > listed.n_faces // FACES_AN_ANSWER
        return self._clock() - listed.at >= listed.took * (RESTS_AFTER_ANSWERS if has_answers else RESTS)

    def _renewal(self) -> asyncio.Task[_Listed]:
        """Find the questions again, once at a time."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
            self._renewing.add_done_callback(_log_failure)
        return self._renewing

    async def _renew(self) -> _Listed:
        while True:
            version, parts = self._access.version, self._parts
            self._n_answers = 0
            took = self._listed.took if self._listed is not None else 0.0
            (found, n_faces), took = await self._access.read_apart(partial(_found, parts=parts), took=took)
            # What was divided meanwhile is asked about as a whole in these.
            if parts is self._parts:
                self._listed = _Listed(found, version, self._clock(), took, n_faces)
                return self._listed

    def _hand_out(self, question: Question) -> None:
        self._handed.pop(question.id, None)
        self._handed[question.id] = question
        while len(self._handed) > MOST_REMEMBERED:
            del self._handed[next(iter(self._handed))]


def _log_failure(renewing: asyncio.Task[_Listed]) -> None:
    """Who waits is told; nobody may."""
    if not renewing.cancelled() and (error := renewing.exception()) is not None:
        level = logging.DEBUG if isinstance(error, FacewatchError) else logging.ERROR
        log.log(level, "no questions were found: %s", error, exc_info=error if level == logging.ERROR else None)


def _face_counts(app: App) -> dict[str, int]:
    return app.catalog.faces.counts()


def _found(app: App, parts: tuple[Subset, ...]) -> tuple[QuestionList, int]:
    return app.questions(parts), app.catalog.faces.counts()["faces"]


def _decided(app: App, question: Question, answer: Answer) -> Answered:
    with app.corrections.deciding() as decisions:
        decide(app.catalog, decisions, question, answer)
    made = tuple(one for one in decisions.made if one.entry_id is not None)
    return Answered(outcome(app.catalog, question, answer) + released(made), made)
