"""Labelled faces, and how many of them a program finds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_kit import Household

from facewatch.boxes import SAME_FACE, overlaps

Rectangle = tuple[float, float, float, float]
"""x, y, w, h in pixels of the upright photo."""


class LabelledFace(NamedTuple):
    path: str
    person: str
    """"": nobody said whose face it is, or that there is none."""
    box: Rectangle | None


def rows_of(file: Path) -> Iterator[LabelledFace]:
    """Yield the rows of a labels.csv."""
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield LabelledFace(row["path"], row["person"], _rectangle(row) if row["w"] else None)


def read_labels(file: Path) -> dict[str, list[Rectangle]]:
    """Return the boxes of the labelled faces by photo; faces that nobody labelled are not among them."""
    labels: dict[str, list[Rectangle]] = {}
    for path, person, box in rows_of(file):
        if person and box:
            labels.setdefault(path, []).append(box)
    return labels


def people_of(file: Path, prefix: str) -> dict[str, dict[str, Rectangle]]:
    """Return the box of everybody on each photo whose path begins with this, in the order of the file."""
    people: dict[str, dict[str, Rectangle]] = {}
    for path, person, box in rows_of(file):
        if person and box and path.startswith(prefix):
            people.setdefault(person, {})[path] = box
    return people


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
        any(overlap(label, box) >= SAME_FACE for box in boxes)
        for photo, boxes in found.items()
        for label in labels.get(photo, ())
    )


def overlap(a: Rectangle, b: Rectangle) -> float:
    """Return the area of the intersection over that of the union."""
    return float(overlaps(np.array(a), np.array(b))[0, 0])
