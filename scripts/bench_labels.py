"""Labelled faces, and how many of them a program finds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from bench_kit import Household

MIN_IOU = 0.4
"""A detection is a labelled face when they overlap by this much; the labels' boxes are another detector's."""

Rectangle = tuple[float, float, float, float]
"""x, y, w, h in pixels of the upright photo."""


def read_labels(file: Path) -> dict[str, list[Rectangle]]:
    """Return the boxes of the labelled faces by photo; faces that nobody labelled are not among them."""
    labels: dict[str, list[Rectangle]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["person"]:
                labels.setdefault(row["path"], []).append(_rectangle(row))
    return labels


def _rectangle(row: Mapping[str, str]) -> Rectangle:
    return float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"])


def boxes_of_facewatch(house: Household) -> dict[str, list[Rectangle]]:
    boxes: dict[str, list[Rectangle]] = {}
    for row in csv.DictReader(io.StringIO(house.run("export", "--csv").decode())):
        path = Path(row["path"]).relative_to(house.photos).as_posix()
        boxes.setdefault(path, []).append(_rectangle(row))
    return boxes


def count_true(found: Mapping[str, list[Rectangle]], labels: Mapping[str, list[Rectangle]]) -> int:
    """Return how many labelled faces one of the detections overlaps well enough."""
    return sum(
        any(overlap(label, box) >= MIN_IOU for box in boxes)
        for photo, boxes in found.items()
        for label in labels.get(photo, ())
    )


def overlap(a: Rectangle, b: Rectangle) -> float:
    """Return the area of the intersection over that of the union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / (a[2] * a[3] + b[2] * b[3] - both)
