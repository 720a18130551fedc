"""Which faces of a photo are those of another one: of what was in its file before, or of another version of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from facewatch.boxes import overlaps, pair_up
from facewatch.catalog.faces import SeenFaces
from facewatch.types import Analysis

Boxes = NDArray[np.float64]

ALL_BUT_EQUAL = 0.5
"""How near the embeddings of a face in two versions of a photo are, as a share of the distance up to which two faces
are taken for one person's. Of 100 faces of shared/photos saved anew (JPEG at 60 and 90, WebP, brighter, with more
contrast, grey) 99 % are nearer, by dlib and by ArcFace, and of those at half size 96 % and 99 %. Of 4,354 pairs of
different photos of one person, cut so that the face is at the same place (LFW), 29 and 19 are, some of them one."""

EQUAL = 0.22
"""The same for two photos of one size and format that were in the library together, as the frames of a burst are: 97 %
of those faces are nearer when saved at 90, 85 % when changed more ..."""

NEARLY_STILL = 0.03
"""... and their landmarks, where a camera in the hand moves by more from frame to frame. Or the face has not moved at
all:"""

STILL = 0.02
"""The landmarks of 97 % of those that were not scaled are nearer. Of the pairs 14 and 5 are all that."""

STILL_EQUAL = 0.75
"""The same where most other faces of the photo are all but equal."""

SAME_PLACE = 0.07
"""How far landmarks of such a face are from where they were, as a share of its box: 99 % of those faces are nearer at
full size, 95 % at half size. In the next frame of a burst somebody has moved: by 1 % of the photo is 4 % of a face, by
3 % is 10 %."""

SAME_PICTURE = 0.02
"""The same where only what is written beside the pixels has changed."""


def as_seen(analysis: Analysis) -> SeenFaces:
    """Return what was found in a photo that is not in the catalog yet; the ids are the numbers of the faces."""
    faces = analysis.faces
    return SeenFaces(
        *(analysis.width, analysis.height, np.arange(len(faces))),
        np.array([[face.box.x, face.box.y, face.box.w, face.box.h] for face in faces], np.float64).reshape(-1, 4),
        np.stack([face.embedding for face in faces]) if faces else np.empty((0, 0), np.float32),
        np.array([face.landmarks for face in faces], np.float64).reshape(-1, 5, 2),
        *(analysis.taken_at, analysis.format),
    )


def heirs_of(before: SeenFaces, edited: Analysis, *, nearest: float) -> dict[int, int]:
    """Return, by the number of a face of the edited photo, the id of the face before that it is.

    They lie over each other once one photo is scaled to the other, turned by any quarter, and look alike: a file that
    was overwritten by quite another photo has no heirs.

    Args:
        nearest: embeddings of one face are less far from each other than this.
    """
    after = as_seen(edited)
    if not len(before.ids) or not len(after.ids):
        return {}
    is_far = _distances(before, after) >= nearest
    found, turned = _scaled(after), _scaled(before)
    best: dict[int, int] = {}
    most = 0.0
    for _ in range(4):
        shares = overlaps(turned, found)
        pairs = [(old, new) for old, new in pair_up(turned, found) if not is_far[old, new]]
        overlap = sum(float(shares[pair]) for pair in pairs)
        if overlap > most:
            best, most = {new: int(before.ids[old]) for old, new in pairs}, overlap
        turned = _quarter_turned(turned)
    return best


def same_faces(before: SeenFaces, after: SeenFaces, *, nearest: float, were_together: bool = False) -> dict[int, int]:
    """Return, by the id of a face of one photo, that of the face of the other that it is, if the two are one photo that
    was saved twice: most faces that lie over each other are all but equal, eyes, nose and mouth at the same place.

    Two frames of a burst are two photos; so are two whose dates differ, unless their pixels are the same.

    Args:
        nearest: embeddings of one person are less far from each other than this.
        were_together: both photos were in the library at one time.
    """
    if not len(before.ids) or not len(after.ids):
        return {}
    apart = _distances(before, after)
    limits = _limits(before, after, were_together=were_together)
    found, turned = _scaled(after), _scaled(before)
    best: list[tuple[int, int]] = []
    most = 0
    for n_quarters in range(4):
        pairs = pair_up(turned, found)
        equal = [
            pair
            for pair in pairs
            if any(
                apart[pair] < near * nearest and _moved(before, after, pair, n_quarters) < still
                for near, still in limits
            )
        ]
        if len(equal) > most and 2 * len(equal) > len(pairs):
            best, most = [pair for pair in pairs if apart[pair] < STILL_EQUAL * nearest], len(equal)
        turned = _quarter_turned(turned)
    return {int(after.ids[new]): int(before.ids[old]) for old, new in best}


def is_still(before: SeenFaces, after: SeenFaces, same: Mapping[int, int]) -> bool:
    """Whether the faces of one photo, by the id of the same face of the other, have not moved at all."""
    places = [{int(face_id): i for i, face_id in enumerate(seen.ids)} for seen in (before, after)]
    pairs = [(places[0][old], places[1][new]) for new, old in same.items()]
    return all(min(_moved(before, after, pair, n_quarters) for n_quarters in range(4)) < STILL for pair in pairs)


def _limits(before: SeenFaces, after: SeenFaces, *, were_together: bool) -> list[tuple[float, float]]:
    """Return how near faces must be, and how little their landmarks may have moved; either pair will do."""
    if before.taken_at and after.taken_at and before.taken_at != after.taken_at:
        return [(SAME_PICTURE, SAME_PLACE)]
    sizes = [sorted((seen.width, seen.height)) for seen in (before, after)]
    if were_together and sizes[0] == sizes[1] and before.format == after.format:
        return [(EQUAL, NEARLY_STILL), (ALL_BUT_EQUAL, STILL)]
    return [(ALL_BUT_EQUAL, SAME_PLACE)]


def _distances(before: SeenFaces, after: SeenFaces) -> NDArray[np.float32]:
    distances: NDArray[np.float32] = np.linalg.norm(before.embeddings[:, None] - after.embeddings[None], axis=2)
    return distances


def _moved(before: SeenFaces, after: SeenFaces, pair: tuple[int, int], n_quarters: int) -> float:
    """Return how far eyes, nose and mouth are at most from where they were, as a share of the face. Which is which is
    not asked: in a photo that was turned left and right may be others."""
    if before.landmarks is None or after.landmarks is None:
        return 0.0
    was = before.landmarks[pair[0]] / (before.width, before.height)
    now = after.landmarks[pair[1]] / (after.width, after.height)
    for _ in range(n_quarters):
        was = np.stack([1 - was[:, 1], was[:, 0]], axis=1)
    face = after.boxes[pair[1], 2:] / (after.width, after.height)
    return float((np.abs(was[:, None] - now) / face).max(axis=2).min(axis=1).max())


def _scaled(seen: SeenFaces) -> Boxes:
    """Return boxes (x, y, w, h) in shares of the photo's sides."""
    return seen.boxes / np.array([seen.width, seen.height] * 2, np.float64)


def _quarter_turned(boxes: Boxes) -> Boxes:
    """Return where boxes are, in shares of the sides, when the photo is turned clockwise by a quarter."""
    x, y, w, h = boxes.T
    return np.stack([1 - y - h, x, h, w], axis=1)
