"""Dividing a question in two, where some of what it is about is the person and some is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.errors import DecisionError
from facewatch.people.review.question import Subset, id_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facewatch.catalog import Catalog
    from facewatch.people.review.question import Question
    from facewatch.types import EngineInfo


def halves(catalog: Catalog, engine_id: int, info: EngineInfo, question: Question) -> tuple[Subset, Subset]:
    """Return two parts of what a question is about: what looks more like the one or the other of the two that are
    farthest apart.

    Raises:
        DecisionError: it is about one face or group.
    """
    loose = catalog.faces.load(engine_id, n_dims=info.n_dims, faces=question.loose)
    groups = catalog.faces.load(engine_id, n_dims=info.n_dims, people=question.groups)
    if question.kind not in ("is", "still") or len(loose) + len(question.groups) < 2:
        raise DecisionError(
            f"{question.id} ({question.text}) cannot be divided; a group that is several people: facewatch split"
        )
    means = [groups.embeddings[groups.people == group].mean(axis=0) for group in question.groups]
    vectors = np.array([*loose.embeddings, *means], np.float32)
    cosines = vectors @ vectors.T
    one, other = np.unravel_index(int(cosines.argmin()), cosines.shape)
    is_first = cosines[one] >= cosines[other]
    is_first[[one, other]] = True, False
    faces, people = is_first[: len(loose)], is_first[len(loose) :]
    first, second = (
        Subset(
            question.kind,
            question.people[0],
            frozenset(loose.ids[faces == side].tolist()),
            frozenset(np.array(question.groups, np.int64)[people == side].tolist()),
        )
        for side in (True, False)
    )
    return first, second


def divided(parts: Iterable[Subset], question: Question, halves: Iterable[Subset]) -> tuple[Subset, ...]:
    """Return what is asked about apart when a question is divided into these halves."""
    kept = []
    for part in parts:
        if (part.kind, part.person_id) == (question.kind, question.people[0]):
            loose, groups = part.loose - set(question.loose), part.groups - set(question.groups)
            part = Subset(part.kind, part.person_id, loose, groups)
        if part.loose or part.groups:
            kept.append(part)
    return (*kept, *halves)


def question_of(catalog: Catalog, question: Question, half: Subset) -> Question:
    """Return the question about one half of what a question is about; as probable as the whole one was."""
    loose = tuple(face_id for face_id in question.loose if face_id in half.loose)
    groups = tuple(group for group in question.groups if group in half.groups)
    sizes = catalog.tiles.shown(groups)
    n_faces = len(loose) + sum(sizes[group].n_faces for group in groups if group in sizes)
    own = {row.id for row in catalog.faces.rows(question.faces) if row.id in half.loose or row.person_id in half.groups}
    labels = dict(zip(question.people, question.labels, strict=True))
    people = (question.people[0], *groups)
    return replace(
        question,
        id=id_of(question.kind, question.people[0], loose, groups),
        text=text_of(question.kind, question.labels[0], n_faces),
        people=people,
        labels=tuple(labels[person_id] for person_id in people),
        faces=tuple(face_id for face_id in question.faces if face_id in own),
        loose=loose,
        n_faces=n_faces,
        settles=question.chance * n_faces if question.kind == "is" else 0.0,
    )
