"""Which boxes are one face: overlaps of rectangles, and the pairs that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Doubles, Flags

SAME_FACE = 0.4
"""Least overlap of two boxes of one face by different detectors. Of 3 177 faces of shared/photos that HOG and SCRFD
found 0.5 % overlap less (the median is 0.71); the most that two neighbours overlap is 0.32."""


def overlaps(first: Doubles, second: Doubles) -> Doubles:
    """Return the intersection over union of each box of the first with each of the second, shape (n_first, n_second).

    Args:
        first: boxes as x, y, w, h, shape (n_first, 4).
        second: the same, shape (n_second, 4).
    """
    a, b = np.asarray(first, np.float64).reshape(-1, 1, 4), np.asarray(second, np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.prod(np.maximum(0.0, high - low), axis=2)
    union = np.prod(a[..., 2:], axis=2) + np.prod(b[..., 2:], axis=2) - shared
    share: Doubles = shared / np.maximum(union, np.finfo(np.float64).tiny)
    return share


def are_centred_in(boxes: Doubles, others: Doubles, *, margin: float) -> Flags:
    """Return which boxes have their centre in one of the others, or no farther beside it than this share of its sides.

    Args:
        boxes: as x, y, w, h, shape (n, 4).
        others: the same, shape (n_others, 4).

    Returns:
        shape (n,).
    """
    centres = (boxes[:, :2] + boxes[:, 2:] / 2)[:, None]
    reach = margin * others[:, 2:]
    is_in = (centres >= others[:, :2] - reach) & (centres <= others[:, :2] + others[:, 2:] + reach)
    within: Flags = np.logical_or.reduce(is_in.all(axis=2), axis=1)
    return within


def pair_up(first: Doubles, second: Doubles, *, least: float = SAME_FACE) -> list[tuple[int, int]]:
    """Return pairs (index in first, index in second) of boxes that are one face: the largest overlaps first, no box in
    two pairs."""
    shares = overlaps(first, second)
    pairs: list[tuple[int, int]] = []
    while shares.size and shares.max() >= least:
        i, j = np.unravel_index(int(shares.argmax()), shares.shape)
        pairs.append((int(i), int(j)))
        shares[i, :] = shares[:, j] = 0.0
    return pairs
