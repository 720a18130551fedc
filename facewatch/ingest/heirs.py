"""Which faces of an edited photo are those of the photo that was in its file before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewatch.boxes import overlaps, pair_up
from facewatch.catalog.faces import SeenFaces
from facewatch.types import Analysis

Boxes = NDArray[np.float64]


def heirs_of(before: SeenFaces, edited: Analysis, *, nearest: float) -> dict[int, int]:
    """Return, by the number of a face of the edited photo, the id of the face before that it is.

    They lie over each other once one photo is scaled to the other, turned by any quarter, and look alike: a file that
    was overwritten by quite another photo has no heirs.

    Args:
        nearest: embeddings of one face are less far from each other than this.
    """
    if not len(before.ids) or not edited.faces:
        return {}
    found = np.array([[face.box.x, face.box.y, face.box.w, face.box.h] for face in edited.faces], np.float64)
    found = _scaled(found, edited.width, edited.height)
    vectors = np.stack([face.embedding for face in edited.faces])
    is_far = np.linalg.norm(before.embeddings[:, None] - vectors[None], axis=2) >= nearest
    turned = _scaled(before.boxes, before.width, before.height)
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


def _scaled(boxes: Boxes, width: int, height: int) -> Boxes:
    """Return boxes (x, y, w, h) in shares of the photo's sides."""
    return boxes / np.array([width, height, width, height], np.float64)


def _quarter_turned(boxes: Boxes) -> Boxes:
    """Return where boxes are, in shares of the sides, when the photo is turned clockwise by a quarter."""
    x, y, w, h = boxes.T
    return np.stack([1 - y - h, x, h, w], axis=1)
