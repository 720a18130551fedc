"""Boxes of the stored picture and of the upright one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facewatch.regions.model import Area, Size
from facewatch.regions.orientation import area_of, box_of, readings, to_stored, to_upright, upright_size
from facewatch.types import Box

ORIENTATIONS = range(1, 9)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Box, Size]:
    """A box within a picture."""
    size = Size(draw(st.integers(1, 20_000)), draw(st.integers(1, 20_000)))
    x, y = draw(st.integers(0, size.width - 1)), draw(st.integers(0, size.height - 1))
    return Box(x, y, draw(st.integers(1, size.width - x)), draw(st.integers(1, size.height - y))), size


@given(boxes(), st.sampled_from(ORIENTATIONS))
def test_a_box_comes_back_from_the_stored_picture(case: tuple[Box, Size], orientation: int) -> None:
    box, upright = case
    stored = upright_size(upright, orientation)
    assert upright_size(stored, orientation) == upright
    there = box_of(to_stored(area_of(box, upright), orientation), stored)
    assert box_of(to_upright(area_of(there, stored), orientation), upright) == box


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_are_turned_as_pillow_turns_pictures(orientation: int) -> None:
    stored, box = Size(40, 30), Box(4, 6, 10, 5)
    pixels = np.zeros((stored.height, stored.width), np.uint8)
    pixels[box.y : box.y + box.h, box.x : box.x + box.w] = 255
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(picture)
    found = box_of(to_upright(area_of(box, stored), orientation), upright_size(stored, orientation))
    left, top, right, bottom = upright.getbbox()
    assert (found.x, found.y, found.w, found.h) == (left, top, right - left, bottom - top)


def test_a_box_that_sticks_out_is_cut() -> None:
    assert area_of(Box(-10, 20, 60, 100), Size(100, 100)) == Area(0.0, 0.2, 0.5, 0.8)
    assert area_of(Box(200, 200, 5, 5), Size(100, 100)).w == 0


@pytest.mark.parametrize(
    ("applied_to", "orientation", "expected"),
    [
        (Size(800, 600), 1, (1, 3)),
        (Size(800, 600), 6, (6,)),
        (Size(400, 300), 8, (8,)),
        (Size(600, 800), 6, (1,)),
        (Size(600, 800), 1, (6, 8)),
        (Size(600, 800), 3, (6, 8)),
        (Size(500, 500), 6, (6, 1)),
        (None, 6, (6, 1)),
        (None, 1, (1, 3)),
        (Size(800, 600), 3, (3, 1)),
    ],
)
def test_dimensions_show_for_which_picture_areas_were_written(
    applied_to: Size | None, orientation: int, expected: tuple[int, ...]
) -> None:
    assert readings(applied_to, Size(800, 600), orientation) == expected


def test_any_reading_is_possible_of_a_square_picture() -> None:
    assert readings(Size(600, 600), Size(600, 600), 6) == (6, 1)
