"""Boxes of the stored picture and of the upright one, at all eight orientations of EXIF."""

from __future__ import annotations

from facewatch.regions.model import Area, Size
from facewatch.types import Box

QUARTER_TURNED = frozenset((5, 6, 7, 8))
"""The orientations at which the stored picture is as wide as the upright one is high."""

_INVERSE = {6: 8, 8: 6}
"""Which orientation takes another one back, where it is not itself."""


def to_upright(area: Area, orientation: int) -> Area:
    """Return where an area of the stored picture is in the upright one."""
    x, y, w, h = area.row
    if orientation in QUARTER_TURNED:
        x, y, w, h = y, x, h, w
    if orientation in (2, 3, 6, 7):
        x = 1 - x - w
    if orientation in (3, 4, 7, 8):
        y = 1 - y - h
    return Area(x, y, w, h)


def to_stored(area: Area, orientation: int) -> Area:
    """Return where an area of the upright picture is in the stored one."""
    return to_upright(area, _INVERSE.get(orientation, orientation))


def upright_size(stored: Size, orientation: int) -> Size:
    """Return the size of the upright picture; it takes the stored one back from it, too."""
    return stored.turned if orientation in QUARTER_TURNED else stored


def area_of(box: Box, size: Size) -> Area:
    """Return a box in fractions of its picture, cut at the picture's edges."""
    left, top = max(0, box.x), max(0, box.y)
    right, bottom = min(size.width, box.x + box.w), min(size.height, box.y + box.h)
    width, height = max(0, right - left), max(0, bottom - top)
    return Area(left / size.width, top / size.height, width / size.width, height / size.height)


def box_of(area: Area, size: Size) -> Box:
    """Return an area in whole pixels of its picture; each edge is rounded by itself."""
    left, top = round(area.x * size.width), round(area.y * size.height)
    right, bottom = round((area.x + area.w) * size.width), round((area.y + area.h) * size.height)
    return Box(left, top, right - left, bottom - top)


def readings(applied_to: Size | None, stored: Size, orientation: int) -> tuple[int, ...]:
    """Return by which orientations the areas of a file may have to be turned to be upright, most likely first.

    Areas belong to the stored picture. Some programs write them for the upright one, and some that turn pixels leave
    them as they were: where the dimensions show a quarter turn they betray it, half a turn or a mirror leaves no trace.
    The faces of the photo tell which it is: where the areas meet none at the first reading, another may be the one.

    Args:
        applied_to: the dimensions that stand with the areas, None: none do.
        stored: the size of the picture as the file holds it now.
        orientation: of the photo, 1 to 8.
    """
    bent = _bent(applied_to) * _bent(stored) if applied_to is not None else 0
    if bent < 0:
        return (1,) if orientation in QUARTER_TURNED else (6, 8)
    if bent > 0 and orientation in QUARTER_TURNED:
        return (orientation,)
    return (orientation, 1) if orientation != 1 else (1, 3)


def _bent(size: Size) -> int:
    """1: wider than high; -1: higher than wide; 0: a square."""
    return (size.width > size.height) - (size.width < size.height)
