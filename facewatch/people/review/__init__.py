"""Questions whose answers settle many faces at once, best first, and the decisions that the answers mean.

    review = Review(catalog, ...)                what the service opens
    question = review.next()                     "these 14 faces: Anna?"
    review.answer(question, Answer("yes"))       a decision like any other: on record, and undone like any other

A program that is not there to be asked takes `open_questions`, and what `check_answers` makes of its answers goes to
`decide_all`.
"""

from __future__ import annotations

from facewatch.people.review.answers import Answer, Verb, check_answers, decide, decide_all, is_open, parse_answer
from facewatch.people.review.questions import Kind, Part, Question, open_questions
from facewatch.people.review.session import NO_ANSWERS, Coverage, Review, ReviewProgress, answers_for, coverage

__all__ = [
    "NO_ANSWERS",
    "Answer",
    "Coverage",
    "Kind",
    "Part",
    "Question",
    "Review",
    "ReviewProgress",
    "Verb",
    "answers_for",
    "check_answers",
    "coverage",
    "decide",
    "decide_all",
    "is_open",
    "open_questions",
    "parse_answer",
]
