"""Faces drawn in the terminal: which protocol it speaks, and that what is sent decodes to what was to be shown."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from terminals import CONTROLLED

from facewatch.cli import pictures
from facewatch.cli.pictures import Cell, Protocol, Screen, ask_terminal, draw, positions, protocol_of, screen_of
from facewatch.errors import ConfigError

SIXEL_TERMINAL = b"\x1b[?62;4;22c"
PLAIN_TERMINAL = b"\x1b[?1;2c"
DRAWING = [Protocol.KITTY, Protocol.ITERM, Protocol.SIXEL]


def face(seed: int, side: int = 96) -> Image.Image:
    """A picture that no other is like: smooth, as faces are, and of many shades."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 200, (4, 4, 1)) + random.integers(0, 50, (4, 4, 3))
    return Image.fromarray(small.astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)


# --- a terminal to ask ---


@contextmanager
def terminal(answers: Mapping[bytes, bytes], *, when_asked: Callable[[int], None] = lambda _: None) -> Iterator[int]:
    """Yield the descriptor of a terminal that gives the first answer whose question is the end of what it heard."""
    ours, theirs = os.openpty()
    is_over = threading.Event()

    def serve() -> None:
        heard = b""
        while not is_over.is_set():
            if select.select([ours], [], [], 0.01)[0]:
                heard += os.read(ours, 1024)
                question = next((question for question in answers if heard.endswith(question)), None)
                if question is not None:
                    when_asked(theirs)
                    os.write(ours, answers[question])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield theirs
    finally:
        is_over.set()
        thread.join()
        os.close(ours)
        os.close(theirs)


def streams(descriptor: int) -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    return open(descriptor, closefd=False), open(descriptor, "w", closefd=False)


def screen_at(descriptor: int, **environ: str) -> Screen:
    stdin, stdout = streams(descriptor)
    with stdin, stdout:
        return screen_of(environ, stdin, stdout)


def never(question: bytes) -> bytes:
    raise AssertionError(f"{question!r} was sent")


def modes(descriptor: int) -> int:
    """The local modes of a terminal: whether it echoes, and waits for whole lines."""
    return int(termios.tcgetattr(descriptor)[3])


def test_a_terminal_is_asked_without_echo_and_left_as_it_was() -> None:
    seen = []
    with terminal({b"\x1b[c": SIXEL_TERMINAL}, when_asked=lambda fd: seen.append(modes(fd))) as tty:
        before = termios.tcgetattr(tty)
        assert before[3] & termios.ECHO
        assert ask_terminal(b"\x1b[c", source=tty, target=tty) == SIXEL_TERMINAL
        assert seen
        assert not seen[0] & (termios.ECHO | termios.ICANON)
        assert seen[0] & termios.ISIG
        assert termios.tcgetattr(tty) == before


def test_a_silent_terminal_is_not_waited_for_and_left_as_it_was() -> None:
    with terminal({}) as tty:
        before = termios.tcgetattr(tty)
        assert ask_terminal(b"\x1b[c", source=tty, target=tty, seconds=0.05) == b""
        assert termios.tcgetattr(tty) == before


def test_a_terminal_is_left_as_it_was_when_the_user_presses_ctrl_c() -> None:
    asks = "from facewatch.cli.pictures import ask_terminal; ask_terminal(b'who?', source=0, target=1, seconds=60)"
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLED, "-P", "-c", asks], stdin=theirs, stdout=theirs, start_new_session=True
    )
    try:
        asked = b""
        while not asked.endswith(b"who?"):
            asked += os.read(ours, 1024)
        assert not modes(theirs) & termios.ECHO
        os.write(ours, b"\x03")
        assert process.wait(60) == -signal.SIGINT
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_a_terminal_that_cannot_be_written_answers_nothing_and_is_left_as_it_was() -> None:
    reading, writing = os.pipe()
    try:
        with terminal({}) as tty:
            before = termios.tcgetattr(tty)
            assert ask_terminal(b"\x1b[c", source=tty, target=reading) == b""
            assert termios.tcgetattr(tty) == before
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_no_terminal_is_asked_nothing() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        assert ask_terminal(b"\x1b[c", source=reading, target=writing) == b""
        with pytest.raises(BlockingIOError):
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


# --- which protocol ---


@pytest.mark.parametrize(
    ("environ", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, Protocol.KITTY),
        ({"TERM": "xterm-ghostty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "LC_TERMINAL": "iTerm2"}, Protocol.ITERM),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, Protocol.ITERM),
        ({"TERM": "xterm", "TERM_PROGRAM": "mintty"}, Protocol.ITERM),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, Protocol.ITERM),
        # Started in another terminal, whose variables it got.
        ({"TERM": "xterm-kitty", "TERM_PROGRAM": "iTerm.app"}, Protocol.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "KITTY_WINDOW_ID": "1"}, Protocol.ITERM),
    ],
)
def test_a_known_terminal_is_not_asked(environ: dict[str, str], protocol: Protocol) -> None:
    assert protocol_of(environ, never) is protocol


@pytest.mark.parametrize(
    "environ",
    [
        {"TERM": "tmux-256color", "TMUX": "/tmp/tmux/default"},
        {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/tmux/default"},
        {"TERM": "screen.xterm-256color", "STY": "1.pts-0"},
        {"TERM": "screen-256color", "LC_TERMINAL": "iTerm2"},
        {"TERM": "xterm-256color", "ZELLIJ": "0", "TERM_PROGRAM": "WezTerm"},
        {"TERM": "dumb"},
        {"TERM": "linux"},
        {},
    ],
)
def test_no_picture_is_sent_through_a_multiplexer_or_to_a_bare_console(environ: dict[str, str]) -> None:
    assert protocol_of(environ, never, can_encode=False) is Protocol.NONE
    assert protocol_of(environ, never) in (Protocol.NONE, Protocol.BLOCKS)


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [
        (SIXEL_TERMINAL, Protocol.SIXEL),
        (b"\x1b[?63;1;2;4;6c", Protocol.SIXEL),
        (b"typed\x1b[?65;4c", Protocol.SIXEL),
        (PLAIN_TERMINAL, Protocol.NONE),
        (b"\x1b[?4;6c", Protocol.NONE),  # a VT132, which takes no pictures
        (b"\x1b[?64;14;44c", Protocol.NONE),
        (b"\x1b[?62;4", Protocol.NONE),
        (b"", Protocol.NONE),
    ],
)
@pytest.mark.parametrize(
    "environ", [{"TERM": "xterm-256color"}, {"TERM": "foot"}, {"TERM": "xterm", "TERM_PROGRAM": "vscode"}]
)
def test_an_unknown_terminal_says_itself_whether_it_takes_sixels(
    environ: dict[str, str], answer: bytes, protocol: Protocol
) -> None:
    asked = []

    def ask(question: bytes) -> bytes:
        asked.append(question)
        return answer

    assert protocol_of(environ, ask, can_encode=False) is protocol
    assert asked == [b"\x1b[c"]


@pytest.mark.parametrize("name", ["XTERM_VERSION", "VTE_VERSION", "KONSOLE_VERSION"])
def test_a_terminal_started_from_kitty_is_not_taken_for_it(name: str) -> None:
    environ = {"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1", name: "7006"}
    assert protocol_of(environ, lambda _: SIXEL_TERMINAL) is Protocol.SIXEL


@pytest.mark.parametrize("protocol", Protocol)
def test_the_variable_decides(protocol: Protocol) -> None:
    environ = {"TERM": "xterm-kitty", "TMUX": "1", "FACEWATCH_PICTURES": f" {protocol.upper()} "}
    assert protocol_of(environ, never) is protocol


def test_a_variable_that_is_empty_decides_nothing() -> None:
    assert protocol_of({"TERM": "xterm-kitty", "FACEWATCH_PICTURES": ""}, never) is Protocol.KITTY


def test_a_protocol_that_nobody_knows_is_a_fault_of_the_settings() -> None:
    with pytest.raises(
        ConfigError, match="FACEWATCH_PICTURES = ascii: must be one of kitty, iterm, sixel, blocks, none"
    ):
        protocol_of({"TERM": "xterm-kitty", "FACEWATCH_PICTURES": "ascii"}, never)


# --- what the terminal can show ---


def test_nothing_is_shown_or_sent_where_input_or_output_is_no_terminal() -> None:
    reading, writing = os.pipe()
    heard: list[int] = []
    environ = {"TERM": "xterm-256color", "FACEWATCH_PICTURES": "sixel"}
    with terminal({b"\x1b[c": SIXEL_TERMINAL}, when_asked=heard.append) as tty:
        stdin, stdout = streams(tty)
        with stdin, stdout, open(reading) as pipe_in, open(writing, "w") as pipe_out:  # noqa: PTH123
            for source, target in (
                (stdin, pipe_out),
                (pipe_in, stdout),
                (io.StringIO(), stdout),
                (stdin, io.BytesIO()),
            ):
                assert screen_of(environ, source, target) == Screen(Protocol.NONE)
        assert screen_of(environ, stdin, stdout) == Screen(Protocol.NONE), "both are closed"
    assert not heard


def test_a_terminal_is_measured_in_columns_and_pixels() -> None:
    with terminal({}) as tty:
        fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 1200, 800))
        assert screen_at(tty, TERM="xterm-kitty") == Screen(Protocol.KITTY, 120, Cell(10, 20), n_lines=40)


@pytest.mark.parametrize("size", [(24, 100, 0, 0), (24, 100, 100, 24), (0, 100, 800, 0)])
def test_a_cell_of_no_likely_size_is_taken_for_a_usual_one(size: tuple[int, int, int, int]) -> None:
    with terminal({}) as tty:
        fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
        assert screen_at(tty, TERM="xterm-kitty") == Screen(Protocol.KITTY, 100, Cell(8, 16))


def test_a_terminal_without_a_size_is_taken_for_a_usual_one() -> None:
    with terminal({}) as tty:
        assert screen_at(tty, TERM="xterm-kitty") == Screen(Protocol.KITTY, 80, Cell(8, 16))


@pytest.mark.parametrize(("answer", "n_colours"), [(b"\x1b[?1;0;16S", 16), (b"\x1b[?1;0;1024S", 256), (b"", 256)])
def test_a_sixel_terminal_is_asked_for_its_colours(answer: bytes, n_colours: int) -> None:
    answers = {b"\x1b[?1;1;0S\x1b[c": answer + SIXEL_TERMINAL, b"\x1b[c": SIXEL_TERMINAL}
    with terminal(answers) as tty:
        assert screen_at(tty, TERM="xterm-256color") == Screen(Protocol.SIXEL, n_colours=n_colours)


def test_a_plain_terminal_is_asked_once() -> None:
    asked: list[int] = []
    with terminal({b"\x1b[c": PLAIN_TERMINAL}, when_asked=asked.append) as tty:
        assert screen_at(tty, TERM="xterm").protocol is Protocol.NONE
    assert len(asked) == 1


# --- decoding what was encoded ---


def unplaced(text: str) -> list[str]:
    """Return the pictures of what `draw` gave, each without the room that was made for it."""
    places = re.findall(r"\r(\n+)\x1b\[(\d+)A\x1b7(.*?)\x1b8\x1b\[(\d+)B", text, re.DOTALL)
    assert all(len(lines) == int(up) == int(down) for lines, up, _, down in places)
    return [sequences for _, _, sequences, _ in places]


def kitty_pictures(sequences: str) -> tuple[dict[str, str], Image.Image]:
    """Return the keys of a kitty picture and the picture, having checked how it was cut up."""
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", sequences)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in chunks) == sequences
    keys = [dict(pair.split("=") for pair in text.split(",")) for text, _ in chunks]
    assert [key["m"] for key in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(set(key) == {"m", "q"} for key in keys[1:])
    assert all(key["q"] == "2" for key in keys)
    assert all(0 < len(data) <= 4096 for _, data in chunks)
    assert all(len(data) % 4 == 0 for _, data in chunks[:-1])
    picture = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in chunks), validate=True)))
    assert picture.format == "PNG"
    return keys[0], picture


def iterm_picture(sequences: str) -> tuple[dict[str, str], Image.Image]:
    found = re.fullmatch(r"\x1b\]1337;File=([^:]*):([A-Za-z0-9+/=]*)\a", sequences)
    assert found
    keys = dict(pair.split("=") for pair in found[1].split(";"))
    png = base64.b64decode(found[2], validate=True)
    assert keys["size"] == str(len(png))
    assert keys["inline"] == "1"
    return keys, Image.open(io.BytesIO(png))


def sixel_picture(sequences: str) -> NDArray[np.int16]:
    """Return a sixel picture, RGBA, as a terminal draws it: pen by pen, transparent where nothing was drawn."""
    found = re.fullmatch(r'\x1bP(\d+);1;(\d+)q"1;1;(\d+);(\d+)([^\x1b]*)\x1b\\', sequences, re.DOTALL)
    assert found
    width, height = int(found[3]), int(found[4])
    canvas = np.zeros((-(-height // 6) * 6, width, 4), np.int16)
    colours: dict[int, tuple[int, ...]] = {}
    x = y = 0
    pen: tuple[int, ...] = (0, 0, 0, 255)
    for number, rgb, count, sixel, control in re.findall(
        r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~])|([$\-])", found[5], re.DOTALL
    ):
        if number and rgb:
            kind, *percent = (int(part) for part in rgb[1:].split(";"))
            assert kind == 2
            assert max(percent) <= 100
            colours[int(number)] = (*(round(part * 2.55) for part in percent), 255)
        elif number:
            pen = colours[int(number)]
        elif sixel:
            n = int(count or 1)
            assert x + n <= width
            for i in range(6):
                if (ord(sixel) - 63) >> i & 1:
                    canvas[y + i, x : x + n] = pen
            x += n
        else:
            x, y = 0, y + 6 * (control == "-")
    assert (canvas[height:] == 0).all()
    return canvas[:height]


def shown(indices: NDArray[np.int16], palette: NDArray[np.uint8]) -> NDArray[np.int16]:
    """A quantised picture as RGBA."""
    rgba = np.full((*indices.shape, 4), 255, np.int16)
    rgba[..., :3] = palette[np.maximum(indices, 0)]
    rgba[indices < 0] = 0
    return rgba


def decoded(protocol: Protocol, sequences: str) -> NDArray[np.int16]:
    match protocol:
        case Protocol.KITTY:
            return np.asarray(kitty_pictures(sequences)[1].convert("RGBA"), np.int16)
        case Protocol.ITERM:
            return np.asarray(iterm_picture(sequences)[1].convert("RGBA"), np.int16)
        case _:
            return sixel_picture(sequences)


@given(st.integers(1, 40), st.integers(1, 20), st.integers(2, 256), st.integers(0, 3), st.booleans())
def test_sixels_decode_to_the_quantised_picture(
    width: int, height: int, n_colours: int, seed: int, is_noisy: bool
) -> None:
    random = np.random.default_rng(seed)
    rgba = random.integers(0, 256, (height, width, 4), np.uint8)
    rgba[..., 3] = np.where(random.random((height, width)) < 0.7, 255, 0)
    if not is_noisy:
        rgba[...] = rgba[:1, :1]
    picture = Image.fromarray(rgba)
    indices, palette = pictures.quantised(picture, n_colours)
    assert len(palette) <= n_colours
    assert (np.diff(palette.sum(axis=1, dtype=int)) >= 0).all()
    # Colours are sent in percent: half of one is 1.3 of 255.
    assert np.abs(sixel_picture(pictures.sixel(picture, n_colours)) - shown(indices, palette)).max() <= 2
    assert ((indices < 0) == (rgba[..., 3] == 0)).all()


def test_a_quantised_face_is_near_the_face() -> None:
    picture = face(3).convert("RGBA")
    indices, palette = pictures.quantised(picture, 256)
    off = shown(indices, palette)[..., :3] - np.asarray(picture, np.int16)[..., :3]
    assert np.sqrt((off**2).mean()) < 12


def test_equal_sixels_in_a_row_are_sent_once() -> None:
    line = Image.new("RGBA", (500, 6), (255, 0, 0, 255))
    assert "#0!500~" in pictures.sixel(line)
    assert len(pictures.sixel(line)) < 60


@pytest.mark.parametrize("protocol", DRAWING)
@pytest.mark.parametrize(
    ("n_faces", "n_columns"), [(1, 80), (5, 80), (40, 80), (40, 200), (2, 13), (3, 12), (2, 5), (1, 1)]
)
def test_every_face_is_drawn_at_its_position_and_none_beyond_the_edge(
    protocol: Protocol, n_faces: int, n_columns: int
) -> None:
    faces = [face(i, side=40) for i in range(n_faces)]
    rows = positions(n_faces, protocol, n_columns)
    drawn = unplaced(draw(faces, protocol, n_columns))
    assert len(drawn) == len(rows)
    assert sum(len(row) for row in rows) == n_faces
    side = min(96, n_columns * 8)
    for sequences, row in zip(drawn, rows, strict=True):
        picture = decoded(protocol, sequences)
        assert picture.shape[1] <= n_columns * 8
        assert row[0] == 0
        for column in row:
            wanted = np.asarray(faces.pop(0).resize((side, side), Image.Resampling.LANCZOS), np.int16)
            part = picture[:side, column * 8 : column * 8 + side]
            assert (part[..., 3] == 255).all()
            assert np.abs(part[..., :3] - wanted).mean() < 12
        assert (picture[:, : row[-1] * 8 + side, 3] == 0).any() == (len(row) > 1 or side % 16 > 0)


@pytest.mark.parametrize("protocol", DRAWING)
def test_a_row_is_as_full_as_the_terminal_is_wide(protocol: Protocol) -> None:
    assert [len(row) for row in positions(8, protocol, 80)] == [6, 2]
    assert [len(row) for row in positions(8, protocol, 77)] == [6, 2]
    assert [len(row) for row in positions(8, protocol, 76)] == [5, 3]
    assert [len(row) for row in positions(2, protocol, 3)] == [1, 1]


def test_a_row_of_sixels_is_no_wider_than_xterm_shows() -> None:
    drawn = unplaced(draw([face(0)] * 30, Protocol.SIXEL, 300))
    assert len(drawn) > 1
    assert all(sixel_picture(sequences).shape[1] <= 1000 for sequences in drawn)
    assert len(unplaced(draw([face(0)] * 20, Protocol.KITTY, 300))) == 1


def test_sixels_fill_whole_bands_whatever_a_cell_measures() -> None:
    for height in range(9, 41, 3):
        (sequences,) = unplaced(draw([face(1)], Protocol.SIXEL, 80, cell=Cell(height // 2, height)))
        assert sixel_picture(sequences).shape[0] % 6 == 0


@pytest.mark.parametrize("cell", [Cell(8, 16), Cell(9, 19), Cell(20, 40), Cell(16, 16)])
def test_a_picture_fills_the_cells_that_it_is_told_to(cell: Cell) -> None:
    faces = [face(i) for i in range(3)]
    (row,) = positions(3, Protocol.KITTY, 100, cell=cell)
    width = row[1] - 1
    keys, picture = kitty_pictures(*unplaced(draw(faces, Protocol.KITTY, 100, cell=cell)))
    assert (keys["a"], keys["f"], keys["C"]) == ("T", "100", "1")
    assert (int(keys["c"]), int(keys["r"])) == (3 * width + 2, 6)
    assert picture.size == (int(keys["c"]) * cell.width, int(keys["r"]) * cell.height)
    keys, picture = iterm_picture(*unplaced(draw(faces, Protocol.ITERM, 100, cell=cell)))
    assert picture.size == (int(keys["width"]) * cell.width, int(keys["height"]) * cell.height)
    assert (keys["width"], keys["height"]) == (str(3 * width + 2), "6")


@pytest.mark.parametrize("protocol", Protocol)
def test_no_faces_are_nothing(protocol: Protocol) -> None:
    assert draw([], protocol, 80) == ""
    assert positions(0, protocol, 80) == ()


def test_without_a_protocol_nothing_is_drawn() -> None:
    assert draw([face(0)], Protocol.NONE, 80, labels=["1"]) == ""


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_every_kind_are_drawn(mode: str) -> None:
    (sequences,) = unplaced(draw([Image.new("RGB", (30, 50), "red").convert(mode)], Protocol.KITTY, 80))
    assert kitty_pictures(sequences)[1].size == (96, 96)


def test_a_face_without_a_picture_leaves_a_grey_place() -> None:
    (sequences,) = unplaced(draw([None, face(1)], Protocol.KITTY, 80))
    picture = decoded(Protocol.KITTY, sequences)
    assert (picture[:, :96] == (128, 128, 128, 255)).all()


# --- labels ---


def labels_of(text: str) -> list[str]:
    return re.findall(r"\x1b\[\d+B([^\r]*)\n", text)


def test_labels_stand_under_their_faces() -> None:
    labels = [str(i) for i in range(1, 9)]
    text = draw([face(i) for i in range(8)], Protocol.KITTY, 80, labels=labels)
    rows = positions(8, Protocol.KITTY, 80)
    for line, row in zip(labels_of(text), rows, strict=True):
        assert [line[column : column + 12].strip() for column in row] == [labels.pop(0) for _ in row]
        assert line[row[0] + 5] != " "


def test_a_long_label_is_cut_to_the_width_of_its_face_and_cannot_steer_the_terminal() -> None:
    (line,) = labels_of(
        draw([face(0), face(1)], Protocol.ITERM, 80, labels=["Anna-Karenina the third", "\x1b[2J\u738b\u738b"])
    )
    assert line[:13] == "Anna-K…third "
    assert "\x1b" not in line
    assert line.endswith("\u738b\u738b")


def test_labels_that_are_not_one_for_each_face_are_refused() -> None:
    with pytest.raises(ValueError, match="1 labels for 2 pictures"):
        draw([face(0), face(1)], Protocol.ITERM, 80, labels=["1"])
