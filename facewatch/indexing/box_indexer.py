"""Boxes that users drew and an engine has not been given yet: after a change of engine, or of the photo."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.catalog import Catalog, display
from facewatch.catalog.drawn import DueBox
from facewatch.catalog.pictures import PictureFile
from facewatch.errors import Fault
from facewatch.indexing.additions import recording
from facewatch.indexing.analyzer import LibraryFile
from facewatch.indexing.indexer import AssignFaces
from facewatch.indexing.lineage import Versions
from facewatch.indexing.pool import Workers
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Analysis, Box, Face

log = logging.getLogger(__name__)


@dataclass(eq=False)
class BoxIndexer:
    """Has an engine embed what is in such boxes, each in a transaction of its own."""

    catalog: Catalog
    workers: Callable[[], Workers]
    engine_id: int
    versions: Versions
    assign: AssignFaces
    prepare: Callable[[], object]
    """As those of `Indexer`."""

    def run(self, *, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Return how many boxes have a face by this engine now that had none; those whose photos cannot be read now are
        tried again by the next call."""
        n_found = 0
        for due in self.catalog.drawn.due(self.engine_id):
            if should_stop():
                break
            n_found += self._embed(due)
        return n_found

    def _embed(self, due: DueBox) -> bool:
        """Embed what is in a box, from the first copy of its photo that can be read."""
        # Of a photo that was edited it is not known yet whether it was turned.
        boxes = [due.drawn.box] if due.drawn.before_id is None else _turned(due)
        seen = self.catalog.faces.seen(due.drawn.photo_id, self.engine_id)
        beside = [Box(*map(int, box)) for box in seen.boxes]
        analysis = next(filter(None, (self._answer(file, boxes, beside) for file in due.files)), None)
        if analysis is None:
            return False
        self.prepare()
        with self.catalog.write():
            if due.drawn not in self.catalog.drawn.of_photo(due.drawn.photo_id):
                return False  # it was taken back meanwhile
            if due.drawn.before_id is None:
                self.catalog.faces.record(
                    due.drawn.photo_id, self.engine_id, analysis.faces[0], known=due.drawn.face_id
                )
                return True
            return self._recognise(due, due.drawn.before_id, boxes, analysis.faces, beside)

    def _answer(self, file: PictureFile, boxes: Sequence[Box], beside: Sequence[Box]) -> Analysis | None:
        located = LibraryFile(file.root, file.path)
        try:
            answer = self.workers().analyse_boxes(located, file.fingerprint, boxes, beside).result()
        except (OSError, WorkerLost) as error:
            log.debug("%s: a box that was drawn on it is not embedded: %s", display(file.path), error)
            return None
        if isinstance(answer, Fault):
            log.warning("%s: a box that was drawn on it is not embedded: %s", display(file.path), answer.text)
            return None
        return answer

    def _recognise(
        self, due: DueBox, before_id: int, boxes: Sequence[Box], faces: Sequence[Face], beside: Sequence[Box]
    ) -> bool:
        """Keep the face that is the one before, if it is in one of the boxes; what was said of that is true of it."""
        catalog, drawn = self.catalog, due.drawn
        found = self.versions.nearest(before_id, [face.embedding for face in faces])
        if found is None or _is_among(faces[found].box, beside):
            catalog.drawn.drop(drawn.id)
            return False
        decision = catalog.lineage.decision_of("drawn", [drawn.id])
        with recording(catalog, decision):
            face_id = catalog.faces.record(drawn.photo_id, self.engine_id, faces[found])
            catalog.drawn.found(drawn.id, face_id, boxes[found])
        self.versions.hand_over({face_id: before_id}, with_runs=True)
        self.assign(drawn.photo_id)
        return True


def _turned(due: DueBox) -> list[Box]:
    """Return where a box is when its photo was turned clockwise by no, one, two and three quarters."""
    box, width, height = due.drawn.box, due.width, due.height
    x, y, w, h = box.x / width, box.y / height, box.w / width, box.h / height
    turned = []
    for _ in range(4):
        turned.append(Box(round(x * width), round(y * height), max(1, round(w * width)), max(1, round(h * height))))
        x, y, w, h = 1 - y - h, x, h, w
    return turned


def _is_among(box: Box, others: Sequence[Box]) -> bool:
    """Whether a face is one of others."""
    boxes = np.array([(one.x, one.y, one.w, one.h) for one in (box, *others)], np.float64)
    return bool((overlaps(boxes[:1], boxes[1:]) >= SAME_FACE).any())
