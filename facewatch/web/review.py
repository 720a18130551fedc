"""The review: its page, one question at a time, and questions and answers in the JSON API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field, model_validator

from facewatch.app import App
from facewatch.errors import EngineError, NotKnownError
from facewatch.people.lookup import clean_name
from facewatch.people.review.answers import Answer, Verb, is_open, verbs_for
from facewatch.people.review.coverage import Outlook
from facewatch.people.review.past import PastAnswers, past_answers
from facewatch.people.review.question import Kind, Question
from facewatch.presentation import review as words
from facewatch.presentation.html import render
from facewatch.presentation.review_page import (
    MOST_PAST,
    PastLine,
    QuestionCard,
    past_by_day,
    past_line,
    question_card,
)
from facewatch.web.corrections import DecisionOutcome
from facewatch.web.parameters import Before, Name, Offset
from facewatch.web.questions import FACE_COUNTS
from facewatch.web.site import Site, SiteParts

pages = APIRouter()
api = APIRouter(prefix="/review", tags=["review"])

READY_SECONDS = 0.1
"""How long a page waits for questions that are still to be found; then it says so, and asks again."""
PAGE = 50
"""Past answers on one page."""
MOST_FACES = 24
"""Faces of a question in the API."""

QuestionId = Annotated[str, Path(min_length=1, max_length=200)]


# --- pages ---


@dataclass(frozen=True, slots=True)
class _ReviewState:
    """What a page of the review shows."""

    card: QuestionCard | None
    past: tuple[PastLine, ...]
    said: str
    """Where there is no question: why."""


@pages.get("/review", response_class=HTMLResponse)
async def review(site: Site) -> str:
    obstacle = await _obstacle(site)
    if obstacle is not None:
        return await _page(site, None, said=obstacle)
    try:
        if not await site.questions.is_ready(READY_SECONDS):
            return await _page(site, None, said="")
        found = await site.questions.next(1)
    except EngineError as error:
        return await _page(site, None, said=error.on_page)
    return await _page(site, found[0] if found else None, said="" if found else await _nothing(site))


@pages.get("/review/answers", response_class=HTMLResponse)
async def answers(site: Site, before: Before = None) -> str:
    found = await site.access.read(lambda app: past_answers(app.catalog, PAGE, before=before))
    return render(
        "web/review_answers.html",
        current="review",
        days=past_by_day(found.answers),
        before=before,
        next_before=found.next_before,
    )


@pages.get("/review/{question_id:path}", response_class=HTMLResponse)
async def one_question(site: Site, question_id: QuestionId) -> str:
    question = await site.questions.one(question_id)
    if question is None:
        raise NotKnownError(words.not_open(question_id))
    return await _page(site, question, said="")


async def _page(site: SiteParts, question: Question | None, *, said: str) -> str:
    state = await site.access.read(lambda app: _state(app, question, said))
    outlook = await site.questions.outlook() if question is not None else None
    return render(
        "web/review.html",
        current="review",
        card=state.card,
        past=state.past,
        said=state.said,
        is_waiting=question is None and not said,
        outlook=words.outlook(outlook) if outlook else "",
        counted=site.lately.stamp(FACE_COUNTS) if outlook else 0,
        share=outlook.share if outlook else 0,
        page_keys=words.PAGE_KEYS | words.KEYS,
    )


def _state(app: App, question: Question | None, said: str) -> _ReviewState:
    card = question_card(app.catalog, question) if question is not None else None
    past = past_answers(app.catalog, MOST_PAST).answers
    return _ReviewState(card, tuple(past_line(one) for one in past), said)


async def _obstacle(site: SiteParts) -> str | None:
    return await site.access.cached("obstacle", lambda app: words.obstacle(app.catalog, app.engine))


async def _nothing(site: SiteParts) -> str:
    counts = await site.access.cached("face counts", lambda app: app.catalog.faces.counts())
    return words.nothing_to_ask(counts["open"])


# --- the API ---


class QuestionPerson(BaseModel):
    id: int
    label: str


class ReviewQuestion(BaseModel):
    """A question that is open."""

    id: str
    kind: Kind
    text: str
    people: list[QuestionPerson]
    """The one that is asked about first."""
    faces: list[int]
    """Some that show what it is about, of "which" all that may be answered; /media/face/{id} is a picture."""
    n_faces: int
    settles: float
    """Faces that have a name after the answer, on average."""
    chance: float
    answers: list[str]
    """What can be said to it."""


class ReviewQuestions(BaseModel):
    obstacle: str | None
    """Why nothing can be asked now; null: nothing is in the way."""
    n_questions: int
    questions: list[ReviewQuestion]
    """Best first."""


class WantedQuestions(BaseModel):
    """Which questions are wanted next."""

    n: Annotated[int, Field(ge=1, le=20)] = 3
    without: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=20_000)] = []
    """Questions that were skipped, or answered a moment ago."""
    shown: Annotated[str | None, Field(max_length=200)] = None
    """The question that is shown: is it still open?"""


class NextQuestions(BaseModel):
    questions: list[ReviewQuestion]
    said: str
    """Where there is none: why."""
    gone: str
    """Why what is shown cannot be answered any more; "": it can, or nothing is shown."""


class GivenAnswer(BaseModel):
    """An answer to a question."""

    question: Annotated[str, Field(min_length=1, max_length=200)]
    answer: Verb
    name: Name | None = None
    """With the answer "name": who it is."""
    face: Annotated[int, Field(ge=1)] | None = None
    """With the answer "face": which of them it is."""

    @model_validator(mode="after")
    def is_whole(self) -> GivenAnswer:
        if (self.answer == "name") != (self.name is not None):
            raise ValueError('the answer "name" needs a name, and no other answer has one')
        if (self.answer == "face") != (self.face is not None):
            raise ValueError('the answer "face" needs a face, and no other answer has one')
        return self


class AnswerOutcome(DecisionOutcome):
    """What came of an answer."""

    halves: list[str]
    """The questions that a divided one became."""


class ReviewOutlook(BaseModel):
    """How far the library is named."""

    said: str
    share: float
    """Of the faces that can be recognised, 0 to 1: those of people with a name, or hidden."""
    n_answers: int
    """So many answers reach"""
    goal: float
    """this share, on average."""


class GivenBefore(BaseModel):
    """An answer that was given."""

    id: int
    """Its entry in the journal, which /journal/{id}/undo takes back."""
    at: str
    question: str
    text: str
    answer: str
    is_undoable: bool
    undone_by: int | None


class AnswersBefore(BaseModel):
    answers: list[GivenBefore]
    next_before: int | None
    """What `before` is for the older ones; null: there are none."""


@api.get("/questions")
async def list_questions(
    site: Site,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Offset = 0,
) -> ReviewQuestions:
    """List the questions that are open, best first."""
    obstacle = await _obstacle(site)
    if obstacle is not None:
        return ReviewQuestions(obstacle=obstacle, n_questions=0, questions=[])
    found = (await site.questions.all()).questions
    rows = await _rows(site, found[offset : offset + limit])
    return ReviewQuestions(obstacle=None, n_questions=len(found), questions=rows)


@api.post("/next")
async def next_questions(site: Site, wanted: WantedQuestions) -> NextQuestions:
    """Return the questions to ask next, and whether the one that is shown is still open."""
    found = await site.questions.next(wanted.n, without=frozenset(wanted.without))
    gone = await _gone(site, wanted.shown) if wanted.shown else ""
    return NextQuestions(
        questions=await _rows(site, found),
        said="" if found else await _nothing(site),
        gone=gone,
    )


async def _gone(site: SiteParts, question_id: str) -> str:
    question = await site.questions.one(question_id)
    if question is None:
        return words.not_open(question_id)
    return await site.access.read(lambda app: "" if is_open(app.catalog, question) else words.passed_over(question))


@api.post("/answers")
async def give_answer(site: Site, given: GivenAnswer) -> AnswerOutcome:
    """Answer a question: a decision like any other, which the journal takes back."""
    answer = Answer(given.answer, clean_name(given.name) if given.name is not None else "", given.face)
    done = await site.questions.answer(given.question, answer)
    first = next(iter(done.decided), None)
    return AnswerOutcome(
        said=done.said,
        entry_id=first.entry_id if first else None,
        people=list(first.people) if first else [],
        halves=[half.id for half in done.halves],
    )


@api.get("/answers")
async def list_answers(
    site: Site, before: Before = None, limit: Annotated[int, Query(ge=1, le=500)] = PAGE
) -> AnswersBefore:
    """List the answers that were given, also in earlier reviews and by other programs, the newest first."""
    found: PastAnswers = await site.access.read(lambda app: past_answers(app.catalog, limit, before=before))
    rows = [
        GivenBefore(
            id=one.step.entry.id,
            at=one.step.entry.at,
            question=one.question_id,
            text=one.text,
            answer=str(one.answer),
            is_undoable=one.step.is_undoable,
            undone_by=one.step.entry.undone_by,
        )
        for one in found.answers
    ]
    return AnswersBefore(answers=rows, next_before=found.next_before)


@api.get("/outlook")
async def show_outlook(site: Site) -> ReviewOutlook:
    """Say how far the library is named, and what answers would bring."""
    found: Outlook = await site.questions.outlook()
    return ReviewOutlook(said=words.outlook(found), share=found.share, n_answers=found.n_answers, goal=found.goal)


async def _rows(site: SiteParts, questions: Sequence[Question]) -> list[ReviewQuestion]:
    return await site.access.read(lambda app: [_row(app, question) for question in questions])


def _row(app: App, question: Question) -> ReviewQuestion:
    return ReviewQuestion(
        id=question.id,
        kind=question.kind,
        text=question.text,
        people=[
            QuestionPerson(id=person_id, label=label)
            for person_id, label in zip(question.people, question.labels, strict=True)
        ],
        faces=list(question.faces if question.kind == "which" else question.faces[:MOST_FACES]),
        n_faces=question.n_faces,
        settles=question.settles,
        chance=question.chance,
        answers=list(verbs_for(app.catalog, question)),
    )
