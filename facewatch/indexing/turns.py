"""Finds the faces of a picture at any angle.

Photos may lie on their side or head, and pages of photos in several ways. No detector is trained on such faces: HOG
finds none of them, SCRFD half, and a face upside down as if it were upright, with a stranger's vector. So a found face
is no proof of the right turn: of all turns that see a face the one with the best score is believed:
`scripts/bench --only angles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facewatch.boxes import overlaps
from facewatch.engines.preprocessing import scaled
from facewatch.types import DetectedFace, Engine, Survey

if TYPE_CHECKING:
    from facewatch.types import Closer, Flags, Floats, Pixels

QUARTERS = (1, 2, 3)
"""Of a turn clockwise, besides none."""

QUICK_PIXELS = 320 * 240
"""Of the picture that is first searched in the other three turns, at most; it is never larger than half the photo."""

ONE_PLACE = 0.25
"""Least overlap of two boxes of one face that was seen from two sides: boxes are higher than wide. Neighbours that
overlap as much are rare, and are lost only where they are seen in different turns."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face, and with how many quarters of a turn it was seen."""

    face: DetectedFace
    quarters: int


def analyse_turns(engine: Engine, pixels: Pixels, closer: Closer | None = None) -> list[DetectedFace]:
    """Return the faces of a photo, whichever way up they are, largest first; arguments and errors are those of
    `Engine.analyse`. A turn that shows nothing that is surely a face adds none."""
    survey = engine.survey(pixels, closer=closer)
    first = survey.faces
    quarters = _turns_to_try(engine, pixels, survey)
    if not quarters:
        return first
    seen = [_Seen(face, 0) for face in first]
    for n in quarters:
        seen += [_Seen(face, n) for face in _analyse_turned(engine, pixels, closer, n)]
    surest = _surest(seen)
    believed = {one.quarters for one in surest if one.face.score >= engine.info.sure_score}
    known = [face.box for face in first]
    faces = [one.face for one in surest if one.quarters in believed or _in_one_place([one.face.box], known).any()]
    return sorted(faces, key=lambda face: (-face.box[2] * face.box[3], face.box))


def turn_of(landmarks: Floats) -> int:
    """Return by how many degrees clockwise, in quarters of a turn, a face has to be turned to be upright."""
    x, y = landmarks[2:].mean(axis=0) - landmarks[:2].mean(axis=0)  # from the eyes down
    if abs(x) > abs(y):
        return 90 if x > 0 else 270
    return 180 if y < 0 else 0


def _turns_to_try(engine: Engine, pixels: Pixels, survey: Survey) -> list[int]:
    """Return the turns that may show more, or show it better, than the photo as it lies."""
    first = survey.faces
    if any(map(_is_turned, first)):
        return list(QUARTERS)
    if not survey.may_show_turned:
        return []
    is_doubtful = bool(first) and max(face.score for face in first) < engine.info.upright_score
    # A small face that is seen doubtfully is not seen at all in the small picture.
    picture, scale = (pixels, 1.0) if is_doubtful else _shrunk(pixels)
    least = 0.0 if is_doubtful else engine.info.upright_score
    return [n for n in QUARTERS if _shows_more(engine, picture, scale, n, first, least)]


def _shows_more(
    engine: Engine, picture: Pixels, scale: float, n: int, first: Sequence[DetectedFace], least: float
) -> bool:
    """Whether a search of this turn shows what is surely a face where none was seen, or a doubtful one, or one less
    surely: of photos upside down one in thirty shows a face as sure as upright ones are.

    Args:
        least: the score from which on a face is as sure as upright ones; 0: all are doubtful, and each counts that is
            seen better.
    """
    size = picture.shape[1] / scale, picture.shape[0] / scale
    found = engine.find(_turned(picture, n))
    boxes = [_box_back([side / scale for side in one.box], n, size) for one in found]
    is_there = _in_one_place(boxes, [face.box for face in first])
    scores = np.array([face.score for face in first])
    return any(
        (one.score >= engine.info.sure_score or (not least and there.any()))
        and not (scores[there] >= max(one.score, least)).any()
        for one, there in zip(found, is_there, strict=True)
    )


def _is_turned(face: DetectedFace) -> bool:
    return turn_of(face.landmarks) != 0


def _analyse_turned(engine: Engine, pixels: Pixels, closer: Closer | None, n: int) -> list[DetectedFace]:
    """Return what the photo shows when it is turned clockwise by n quarters, in its own coordinates."""
    size = float(pixels.shape[1]), float(pixels.shape[0])
    turned_closer = None if closer is None else lambda: np.rot90(closer(), -n)  # no copy: it is large
    return [
        replace(face, box=_box_back(face.box, n, size), landmarks=_points_back(face.landmarks, n, size))
        for face in engine.analyse(_turned(pixels, n), closer=turned_closer)
    ]


def _surest(seen: Iterable[_Seen]) -> list[_Seen]:
    """Return each face as the turn saw it that was surest."""
    kept: list[_Seen] = []
    for one in sorted(seen, key=lambda one: -one.face.score):
        if not _in_one_place([one.face.box], [other.face.box for other in kept]).any():
            kept.append(one)
    return kept


def _in_one_place(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Flags:
    """Return which boxes of the first may be the same face as which of the second, shape (n_first, n_second)."""
    is_one: Flags = overlaps(np.array(first, np.float64), np.array(second, np.float64)) >= ONE_PLACE
    return is_one


def _shrunk(pixels: Pixels) -> tuple[Pixels, float]:
    """Return the picture for a quick search, and the factor it was scaled by."""
    height, width = pixels.shape[:2]
    scale = min(0.5, (QUICK_PIXELS / (height * width)) ** 0.5)
    return scaled(pixels, scale), scale


def _turned(pixels: Pixels, n: int) -> Pixels:
    # As one number a pixel: numpy then copies in half the time. A copy, and not only what numpy calls contiguous: of a
    # strip one pixel wide dlib wants the strides of a picture.
    whole = np.ascontiguousarray(pixels).view("V3")[:, :, 0]
    return np.rot90(whole, -n).copy()[:, :, None].view(np.uint8)


def _points_back(points: Floats, n: int, size: tuple[float, float]) -> Floats:
    """Return where points (n, 2) of a picture turned clockwise by n quarters are in the picture, of this width and
    height, before it was turned."""
    x, y = points.T
    width, height = size
    back = {1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[n]
    return np.stack(back, axis=1).astype(np.float32)


def _box_back(box: Sequence[float], n: int, size: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the same of a box (x, y, w, h)."""
    x, y, w, h = box
    corners = _points_back(np.array([(x, y), (x + w, y + h)], np.float32), n, size)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, top, right - left, bottom - top
