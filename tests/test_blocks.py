"""Faces as half blocks: which terminals get them, and that what is sent shows what was to be shown."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len

from facewatch.cli import blocks
from facewatch.cli.pictures import BLOCK_CELL, Protocol, Screen, draw, draw_on, positions, protocol_of, screen_of
from facewatch.text import shortened

ALL = blocks.ALL_COLOURS
FEW = blocks.FEW_COLOURS


def says_nothing(_: bytes) -> bytes:
    return b""


# --- which terminal ---


@pytest.mark.parametrize(
    ("environ", "n_colours"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, ALL),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, ALL),
        ({"TERM": "xterm-direct"}, ALL),
        ({"TERM": "alacritty"}, ALL),
        ({"TERM": "foot"}, ALL),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(379)"}, ALL),
        ({"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(320)"}, FEW),
        ({"TERM": "xterm-256color", "VTE_VERSION": "6203"}, ALL),
        ({"TERM": "xterm-256color", "VTE_VERSION": "3409"}, FEW),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "220401"}, ALL),
        ({"TERM": "xterm-256color", "WT_SESSION": "0b1c"}, ALL),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, ALL),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, FEW),
        ({"TERM": "xterm-256color"}, FEW),  # by ssh, for example
        ({"TERM": "rxvt-unicode-256color"}, FEW),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux/default"}, ALL),
        ({"TERM": "screen", "TMUX": "/tmp/tmux/default"}, ALL),
        # GNU screen: COLORTERM is that of the terminal around it.
        ({"TERM": "screen.xterm-256color", "STY": "1.pts-0", "COLORTERM": "truecolor"}, FEW),
    ],
)
def test_a_terminal_with_colours_and_no_pictures_gets_blocks(environ: dict[str, str], n_colours: int) -> None:
    assert protocol_of(environ, says_nothing) is Protocol.BLOCKS
    assert blocks.n_colours_of(environ) == n_colours


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TERM": "dumb", "COLORTERM": "truecolor"},
        {"TERM": "linux"},
        {"TERM": "xterm"},
        {"TERM": "vt220"},
        {"TERM": "screen", "STY": "1.pts-0", "COLORTERM": "truecolor"},  # 8 colours come through
        {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"},
        {"TERM": "tmux-256color", "TMUX": "1", "NO_COLOR": "yes"},
    ],
)
def test_no_blocks_without_colours_or_where_none_are_wanted(environ: dict[str, str]) -> None:
    assert protocol_of(environ, says_nothing) is Protocol.NONE


@pytest.mark.parametrize(("encoding", "is_fit"), [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_no_blocks_where_the_encoding_has_none(encoding: str | None, is_fit: bool) -> None:
    assert blocks.can_encode(encoding) is is_fit
    protocol = protocol_of({"TERM": "alacritty"}, says_nothing, can_encode=is_fit)
    assert protocol is (Protocol.BLOCKS if is_fit else Protocol.NONE)


def test_a_terminal_that_speaks_better_gets_no_blocks() -> None:
    assert protocol_of({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, says_nothing) is Protocol.KITTY
    assert protocol_of({"TERM": "foot", "COLORTERM": "truecolor"}, lambda _: b"\x1b[?62;4c") is Protocol.SIXEL


def test_blocks_can_be_asked_for_and_what_is_no_terminal_gets_none() -> None:
    environ = {"TERM": "xterm-kitty", "FACEWATCH_PICTURES": "blocks", "NO_COLOR": "1"}
    assert protocol_of(environ, says_nothing) is Protocol.BLOCKS
    assert screen_of(environ, io.StringIO(), io.StringIO()) == Screen(Protocol.NONE)


@pytest.mark.parametrize(
    ("n_columns", "n_lines", "height"),
    [(80, 24, 8), (80, 40, 9), (120, 40, 14), (120, 30, 11), (300, 100, 16), (20, 5, 8)],
)
def test_a_face_is_as_high_as_lets_two_rows_of_four_be_seen(n_columns: int, n_lines: int, height: int) -> None:
    assert blocks.face_lines(n_columns, n_lines) == height


# --- what is sent ---


def shown(text: str, n_colours: int = ALL) -> NDArray[np.int64]:
    """What a terminal shows, two pixels a character: shape (2 * lines, columns), -1 where it is as it was."""
    lines = text.split("\n")
    assert lines[-1] == "", "the cursor is at the start of a line"
    rows = []
    for line in lines[:-1]:
        assert line.endswith("\x1b[0m"), "no colour is left behind"
        front = back = -1
        upper, lower = [], []
        for sequence, character in re.findall(r"\x1b\[([\d;]*)m|([^\x1b])", line):
            if character:
                assert cell_len(character) == 1
                upper.append({"▀": front, "▄": back, " ": back}[character])
                lower.append({"▀": back, "▄": front, " ": back}[character])
            elif sequence == "0":
                front = back = -1
            else:
                ground, kind, *numbers = map(int, sequence.split(";"))
                assert kind == (2 if n_colours == ALL else 5)
                colour = sum(n << 8 * i for i, n in enumerate(reversed(numbers)))
                front, back = (colour, back) if ground == 38 else (front, colour)
        rows += [upper, lower]
    width = max(map(len, rows))
    return np.array([row + [-1] * (width - len(row)) for row in rows])


def rgb(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)


def face(seed: int, side: int = 96) -> Image.Image:
    random = np.random.default_rng(seed)
    small = random.integers(0, 200, (4, 4, 1)) + random.integers(0, 50, (4, 4, 3))
    return Image.fromarray(small.astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)


def drawn(faces: list[Image.Image | None], n_columns: int = 80, lines: int = 8, n_colours: int = ALL) -> str:
    return draw(faces, Protocol.BLOCKS, n_columns, cell=BLOCK_CELL, lines=lines, n_colours=n_colours)


@pytest.mark.parametrize(("n_faces", "n_columns", "lines"), [(1, 80, 8), (4, 80, 9), (9, 80, 8), (3, 11, 8), (2, 1, 8)])
def test_every_face_is_shown_at_its_place_and_none_beyond_the_edge(n_faces: int, n_columns: int, lines: int) -> None:
    faces: list[Image.Image | None] = [face(i) for i in range(n_faces)]
    rows = positions(n_faces, Protocol.BLOCKS, n_columns, cell=BLOCK_CELL, lines=lines)
    side = min(2 * lines, n_columns)
    picture = shown(drawn(faces, n_columns, lines))
    height = -(-side // 2) * 2
    assert picture.shape[0] == height * len(rows)
    assert picture.shape[1] <= n_columns
    wanted = iter(faces)
    for i, row in enumerate(rows):
        for column in row:
            part = picture[i * height : i * height + side, column : column + side]
            assert (part >= 0).all()
            near = blocks.closer(next(wanted) or face(0), side)
            assert (rgb(part) == np.asarray(near)).all()
            assert (picture[i * height : (i + 1) * height, column + side : column + side + 1] == -1).all()


def test_a_face_in_few_pixels_is_still_that_face() -> None:
    small = np.asarray(blocks.closer(face(3), 16), np.int64)
    middle = face(3).crop((10, 10, 86, 86)).resize((16, 16), Image.Resampling.BOX)
    assert np.abs(small - np.asarray(middle, np.int64)).mean() < 8


def test_with_256_colours_the_nearest_are_shown() -> None:
    grey = Image.new("RGB", (40, 40), (129, 128, 127))
    assert (shown(drawn([grey], n_colours=FEW), FEW) == 244).all()
    assert (shown(drawn([Image.new("RGB", (40, 40), (250, 3, 0))], n_colours=FEW), FEW) == 196).all()


def test_a_face_without_a_picture_leaves_a_grey_place() -> None:
    picture = shown(drawn([None, face(1)]))
    assert (rgb(picture[:, :16]) == 128).all()


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1, 0xFFFFFF]), min_size=5, max_size=5), min_size=2, max_size=2))
def test_a_line_shows_any_two_rows_of_pixels(rows: list[list[int]]) -> None:
    picture = np.array(rows)
    text = blocks._line(*rows, blocks._direct)
    seen = shown(text + "")
    padded = np.full((2, 5), -1)
    padded[:, : seen.shape[1]] = seen
    assert (padded == picture).all()


def test_labels_of_several_lines_stand_under_their_faces() -> None:
    screen = Screen(Protocol.BLOCKS, 80, BLOCK_CELL, ALL, 8)
    text = draw_on(screen, [face(0), face(1)], ["p1 Anna\n3 photos", "p2 王王王王王王王王王"])
    first, second = text.split("\n")[-3:-1]
    assert first.strip().split("  ")[0] == "p1 Anna"
    assert cell_len(first) <= 33
    assert "…" in first
    assert second.strip() == "3 photos"
    assert "\x1b" not in first + second


# --- shortened texts ---


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_shortened_text_has_room_and_one_with_room_is_left_alone(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cell_len(short) <= width
    assert (short == text) == (cell_len(text) <= width)


def test_a_text_is_shortened_in_its_middle() -> None:
    assert shortened("/home/me/Pictures/2024/IMG_1234.jpg", 20) == "/home/me/P…_1234.jpg"
    assert shortened("王小明王小明", 7) == "王…小明" or shortened("王小明王小明", 7) == "王小…明"
