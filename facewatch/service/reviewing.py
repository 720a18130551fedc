"""The open questions of a catalog, asked one by one or answered by another program, and where their faces are to be
seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, get_args

import numpy as np

from facewatch.errors import NotKnownError
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.crops import Crops, Source
from facewatch.indexing.pool import Cutter
from facewatch.people.lookup import FaceAt
from facewatch.people.record import Decided
from facewatch.people.review import Answer, Question, Review, Verb, check_answers, decide_all, open_questions
from facewatch.people.review.answers import check_answer
from facewatch.types import Box, EngineInfo

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog import Catalog

FACES_AN_ANSWER = 10_000
"""Looking for questions takes some 0.3 s for so many faces: with ten times as many, ten answers pass in between."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of answers."""

    answers: tuple[tuple[Question, Answer], ...]
    decided: tuple[Decided, ...]
    """All decisions, in the order in which they were made."""


def start_review(app: App) -> Review:
    """Return a walk through the open questions, whose answers are followed as any decision is.

    Raises:
        EngineError: the engine is being changed.
    """
    _check_engine(app)
    return Review(
        app.catalog,
        app.engine.id,
        _info(app),
        deciding=app.corrections.deciding,
        undo=app.corrections.undo_one,
        n_between=app.catalog.faces.counts()["faces"] // FACES_AN_ANSWER,
    )


def list_questions(app: App) -> list[Question]:
    """Return every open question, best first.

    Raises:
        EngineError: the engine is being changed.
    """
    _check_engine(app)
    return open_questions(app.catalog, app.engine.id, _info(app))


def take_answers(app: App, texts: Sequence[str]) -> Taken:
    """Make the decisions of answers like "is:p5:3fa9c1=yes", all or none, and return what was answered and decided.

    Raises:
        NotKnownError: an answer is none, or fits no open question.
        DecisionError: answers contradict each other, or what a user said before.
        EngineError: the engine is being changed.
        FolderError: it is decided, but the people folder cannot be written.
    """
    answers = check_answers(app.catalog, list_questions(app), texts)
    with app.corrections.deciding() as decisions:
        decide_all(app.catalog, decisions, answers)
    return Taken(tuple(answers), tuple(one for one in decisions.made if one.entry_id is not None))


def _info(app: App) -> EngineInfo:
    """Return what the engine is by the settings."""
    return replace(app.engine.info, normalisation=app.engine.normalisation)


def _check_engine(app: App) -> None:
    app.engine.check_is_in_use("there are questions again")


def verbs_for(catalog: Catalog, question: Question) -> list[Verb]:
    """Return what can be said to a question; to divide it only where it is about several faces or groups."""
    names = catalog.people.names()
    left_out = {
        "divide": len(question.loose) + len(question.groups) < 2,
        "name": question.kind == "one" and any(person_id in names for person_id in question.people),
    }
    return [verb for verb in get_args(Verb) if not left_out.get(verb, False) and _can_say(question, verb)]


def _can_say(question: Question, verb: Verb) -> bool:
    try:
        check_answer(question, Answer(verb))
    except NotKnownError:
        return False
    return True


# --- faces ---


def best_faces(app: App, person_id: int, most: int, *, without: Collection[int] = ()) -> list[int]:
    """Return faces by which a person is recognised: the one that stands for it, then the best ones; none of these
    that are in doubt."""
    person = app.catalog.people.one(person_id)
    table = app.catalog.faces.load(app.engine.id, n_dims=app.engine.info.n_dims, people=[person_id])
    cover_id = (person.cover_id if person else None) or 0
    table = table.take(~np.isin(table.ids, list(without)))
    order = np.lexsort((table.ids, -table.qualities, ~table.is_founding, table.ids != cover_id))
    return [int(face_id) for face_id in table.ids[order[:most]]]


def cutting(app: App, cutter: Cutter | None = None, *, n_workers: int = 1) -> Cutting:
    """Return what cuts faces out of their photos; its first worker process is being started.

    `cutter` takes the place of the worker processes.

    Raises:
        EngineError: there is not memory enough for it.
    """
    from facewatch.app import crop_workers

    if cutter is None:
        cutter = crop_workers(app.config, n_workers)
        cutter.get_ready_to_cut()
    return Cutting(app.catalog, Crops(app.catalog.path, cutter), cutter)


class Cutting:
    """Crops of faces, made meanwhile by a worker, so that those of the next question are there when it is asked."""

    def __init__(self, catalog: Catalog, crops: Crops, cutter: Cutter) -> None:
        self._catalog = catalog
        self._crops = crops
        self._cutter = cutter

    def __enter__(self) -> Cutting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cutter.close()
        self._crops.close()

    def prepare(self, faces: Iterable[FaceAt]) -> None:
        """Have these cut meanwhile."""
        for source, boxes in self._by_source(faces).items():
            self._crops.begin(source, boxes)

    def paths(self, faces: Collection[FaceAt]) -> list[Path | None]:
        """Return a JPEG of each face; None: its photo is away, was changed, or cannot be read."""
        self._crops.put_off()
        wanted = self._by_source(faces)
        for source, boxes in wanted.items():
            self._crops.begin(source, boxes)
        found: dict[int, Path | None] = {}
        for source, boxes in wanted.items():
            found |= self._crops.paths_of(source, boxes)
        return [found.get(face.id) for face in faces]

    def _by_source(self, faces: Iterable[FaceAt]) -> dict[Source, dict[int, Box]]:
        """Return the boxes of faces, by their ids, of each file that is on record."""
        boxes: dict[str, dict[int, Box]] = {}
        for face in faces:
            if face.file is not None:
                boxes.setdefault(face.file, {})[face.id] = face.box
        sources = {file: self._source(file) for file in boxes}
        return {source: boxes[file] for file, source in sources.items() if source is not None}

    def _source(self, file: str) -> Source | None:
        """Return a file as it is on record; None: it is that no more."""
        files = self._catalog.files
        for root in self._catalog.roots.all():
            known_root = self._catalog.roots.one(root)
            path = file.removeprefix(f"{root}/")
            if known_root is not None and path != file and (known := files.one(known_root[0], path)) is not None:
                return Source(LibraryFile(str(root), path), known.fingerprint)
        return None
