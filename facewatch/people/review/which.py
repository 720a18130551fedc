"""Which of the faces on a photo is meant that somebody dropped in a person's folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facewatch.folders.asked import Asked, asked_in
from facewatch.people.dropped import is_open, receiver_of
from facewatch.people.review.question import Question, digest

if TYPE_CHECKING:
    from facewatch.catalog import Catalog


def which_questions(catalog: Catalog) -> Iterator[Question]:
    """Yield the questions that are open, by where the photos were dropped."""
    yield from (_question(catalog, one) for one in asked_in(catalog) if is_open(catalog, one))


def _question(catalog: Catalog, one: Asked) -> Question:
    receiver = receiver_of(catalog, one.to)
    name = receiver.label if receiver is not None else str(one.to)
    return Question(
        id=f"which:{digest(one.faces, [receiver.id] if receiver is not None else [])}",
        kind="which",
        text=f"which of these {len(one.faces)} faces is {name}?",
        people=(receiver.id,) if receiver is not None else (),
        labels=(name,) if receiver is not None else (),
        faces=one.faces,
        loose=one.faces,
        n_faces=1,
        chance=1.0,
        settles=1.0,
        distance=0.0,
        dropped=one,
    )
