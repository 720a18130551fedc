"""Which of the faces on a photo is meant that somebody dropped in a person's folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from facewatch.folders.asked import Asked, asked_in
from facewatch.people.dropped import is_open, receiver_of
from facewatch.people.review.question import Question, digest

if TYPE_CHECKING:
    from facewatch.catalog import Catalog

MOST_CHOICES = 9
"""Faces of one photo to choose from, the largest: each has a key."""


def which_questions(catalog: Catalog) -> Iterator[Question]:
    """Yield the questions that are open, by where the photos were dropped."""
    yield from (_question(catalog, one) for one in asked_in(catalog) if is_open(catalog, one))


def _question(catalog: Catalog, one: Asked) -> Question:
    receiver = receiver_of(catalog, one.to)
    by_size = sorted(catalog.faces.rows(one.faces), key=lambda row: (-row.box.w * row.box.h, row.id))
    largest = {row.id for row in by_size[:MOST_CHOICES]}
    choices = tuple(face_id for face_id in one.faces if face_id in largest)
    name = receiver.label if receiver is not None else str(one.to)
    return Question(
        id=f"which:{digest(choices, [receiver.id] if receiver is not None else [])}",
        kind="which",
        text=f"which of these {len(choices)} faces is {name}?",
        people=(receiver.id,) if receiver is not None else (),
        labels=(name,) if receiver is not None else (),
        faces=choices,
        loose=choices,
        n_faces=1,
        chance=1.0,
        settles=1.0,
        distance=0.0,
        dropped=one,
    )
