"""Boxes that users draw round faces that were missed: whether there can be a face, and what the engine sees in one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch import ids
from facewatch.boxes import SAME_FACE, overlaps
from facewatch.catalog import Catalog, Mark, display
from facewatch.catalog.pictures import PictureFile
from facewatch.errors import DecisionError, Fault, NotKnownError
from facewatch.types import Box, Face

if TYPE_CHECKING:
    from facewatch.indexing.engine import WantedEngine
    from facewatch.indexing.pool import Workers

log = logging.getLogger(__name__)

LEAST_SIDE = 12
"""Pixels of the full-size photo: no engine matches a smaller face (`Needs.match_pixels`), and nobody sees who it is."""

MOST_ASPECT = 3.0
"""Longer by shorter side; the boxes of all detectors, profiles and faces at the edge included, are below 2."""


@dataclass(frozen=True, slots=True)
class DrawnFace:
    """What the engine in use sees in a box that a user drew."""

    photo_id: int
    box: Box
    """As it was drawn, cut at the photo's edges."""
    engine_id: int
    face: Face
    """Its own box is where the detector sees the face, if it does."""


class Drawing:
    """Has the engine in use embed what is in boxes that users draw."""

    def __init__(self, catalog: Catalog, engine: WantedEngine, workers: Callable[[], Workers]) -> None:
        self._catalog = catalog
        self._engine = engine
        self._workers = workers

    def face_in(self, photo_id: int, box: Box) -> DrawnFace:
        """Return the face in a box of a photo, in pixels of the upright photo; records nothing.

        Raises:
            NotKnownError: there is no such photo.
            DecisionError: there can be no face, there is one already, or the photo cannot be read as it was analysed.
            EngineError: the engine is being changed, or cannot be loaded.
        """
        found = self._catalog.pictures.of_photos([photo_id])
        size = self._catalog.photos.size(photo_id)
        if not found:
            raise NotKnownError(f"there is no photo {photo_id}; name a photo of the library")
        files = found[0].files
        self._engine.check_is_in_use("a face can be added")
        if not self._catalog.faces.is_analysed(photo_id, self._engine.id) or size is None:
            raise DecisionError(f"{_name_of(files)} has not been analysed yet; `facewatch scan` does that")
        box = checked_box(box, size)
        check_is_free(self._catalog, photo_id, box)
        others = [_box_of(row) for row in self._catalog.faces.in_photo(photo_id)]
        return DrawnFace(photo_id, box, self._engine.id, self._read(files, box, others))

    def _read(self, files: Sequence[PictureFile], box: Box, others: Sequence[Box]) -> Face:
        """Return what the engine sees, in the first copy of the photo that can be read."""
        from facewatch.indexing.analyzer import LibraryFile
        from facewatch.indexing.worker import WorkerLost

        why = "it is not in the library now"
        for file in files:
            located = LibraryFile(file.root, file.path)
            try:
                answer = self._workers().analyse_boxes(located, file.fingerprint, [box], others).result()
            except FileNotFoundError:
                why = "it is not there now; plug in its drive, or `facewatch scan` finds out where it is"
            except OSError as error:
                why = f"it cannot be read: {error.strerror or error}; make it readable"
            except WorkerLost as error:
                why = f"{error.fault.text}; {error.fault.advice}"
            else:
                if answer is not None and not isinstance(answer, Fault):
                    return answer.faces[0]
                why = (
                    f"{answer.text}; {answer.advice}"
                    if answer is not None
                    else "it has changed since it was analysed; `facewatch scan` analyses it again"
                )
        raise DecisionError(f"{_name_of(files)}: no face can be added: {why}")


def checked_box(box: Box, size: tuple[int, int]) -> Box:
    """Return a box cut at the edges of a photo of this width and height.

    Raises:
        DecisionError: no face can be in it.
    """
    width, height = size
    x0, y0, x1, y1 = max(0, box.x), max(0, box.y), min(width, box.x + box.w), min(height, box.y + box.h)
    if box.w <= 0 or box.h <= 0:
        raise DecisionError("the box is empty; draw it from one corner of the face to the other")
    if x0 >= x1 or y0 >= y1:
        raise DecisionError(f"the box lies outside the photo, which has {width} x {height} pixels")
    w, h = x1 - x0, y1 - y0
    if min(w, h) < LEAST_SIDE:
        raise DecisionError(f"the box is too small: {w} x {h} pixels of the photo; at least {LEAST_SIDE} are needed")
    if max(w, h) > MOST_ASPECT * min(w, h):
        shape = "wide" if w > h else "tall"
        raise DecisionError(f"the box is too {shape} for a face: {w} x {h} pixels; draw it round the face alone")
    return Box(x0, y0, w, h)


def check_is_free(catalog: Catalog, photo_id: int, box: Box) -> None:
    """Refuse a box round a face that is known.

    Raises:
        DecisionError: it names that face.
    """
    for number, row in enumerate(catalog.faces.in_photo(photo_id), 1):
        if is_one_place(box, _box_of(row)):
            face, mark = ids.face(row["face_id"]), row["mark"]
            said = _MARKED[Mark(mark)] if mark else f" ({row['name'] or 'nobody'})"
            raise DecisionError(
                f"that is face {face}{said}, number {number} from the left; to say whose it is: "
                f"facewatch assign {face} NAME",
                on_page=f"this face has a box already{said}; click that to say whose it is",
            )


_MARKED = {
    Mark.NOBODY: " (nobody, as you said)",
    Mark.NOT_A_FACE: " (no face, as you said)",
    Mark.FORGOTTEN: " (forgotten)",
}


def is_one_place(box: Box, other: Box) -> bool:
    """Whether a box that was drawn is round another face: they overlap as two of one face do, or each is round the
    middle of the other, as one is that was drawn much larger."""
    a, b = (np.array([(one.x, one.y, one.w, one.h)], np.float64) for one in (box, other))
    return bool(overlaps(a, b)[0, 0] >= SAME_FACE) or (_holds_middle(box, other) and _holds_middle(other, box))


def _holds_middle(box: Box, other: Box) -> bool:
    x, y = other.x + other.w / 2, other.y + other.h / 2
    return box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h


def _box_of(row: Mapping[str, Any]) -> Box:
    """Return where a face is, from its row of `Faces.in_photo`."""
    return Box(row["x"], row["y"], row["w"], row["h"])


def _name_of(files: Sequence[PictureFile]) -> str:
    return display(f"{files[0].root}/{files[0].path}") if files else "the photo"
