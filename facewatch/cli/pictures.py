"""Faces drawn in the terminal, where it can.

    screen_of   environment, stdin, stdout -> Screen     what this terminal can show, asking it where need be
    draw        pictures -> str                          rows of faces, to be written to it as they are

Three protocols are spoken: kitty's (a PNG in APC sequences), iTerm2's (a PNG in OSC 1337) and DEC's sixel. A terminal
that speaks none, but has colours, gets half blocks: characters whose upper half has one colour and whose lower half
another (see `blocks`). A row of faces is one picture, as wide and high as a number of cells, so that text stands under
its face whatever a cell measures. Where the cursor is after a picture differs from terminal to terminal: `draw` makes
room for the picture first, and puts the cursor under it itself.
"""

from __future__ import annotations

import base64
import fcntl
import io
import os
import re
import select
import struct
import termios
import time
import tty
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any

from facewatch.cli import blocks
from facewatch.errors import ConfigError
from facewatch.text import printable, shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

VARIABLE = "FACEWATCH_PICTURES"
"""The environment variable that names the protocol, for a terminal that is not recognised or takes none well."""

FACE_LINES = 6
"""Lines of text that a face is high. Six, because then its height is a whole number of sixels, too."""

MAX_SIXEL_WIDTH = 1000
"""Pixels: xterm shows no sixel picture that is wider, unless it is set to."""

MAX_COLOURS = 256
"""Of a sixel picture: what nearly all terminals take."""

ANSWER_SECONDS = 1.0
"""How long a terminal may take to answer: it is asked once, and every terminal in use answers."""

_CHUNK = 4096
"""The most base64 that kitty takes in one sequence; a multiple of four."""

_ESC = "\x1b"
_ST = _ESC + "\\"
_ASK_DEVICE = b"\x1b[c"
_ASK_COLOURS = b"\x1b[?1;1;0S"
_DEVICE = re.compile(rb"\x1b\[\?([\d;]*)c")
_COLOURS = re.compile(rb"\x1b\[\?1;0;(\d+)S")
_SIXEL_ATTRIBUTE = b"4"

Ask = Callable[[bytes], bytes]
"""Writes a question to the terminal and returns what it answered; empty: nothing in time."""


class Protocol(StrEnum):
    """The protocol by which a terminal shows a picture."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"
    BLOCKS = "blocks"
    """None of these: characters in two colours."""
    NONE = "none"
    """It cannot, or there is no terminal."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The size of one character, in pixels."""

    width: int
    height: int


USUAL_CELL = Cell(8, 16)
"""Where the terminal does not report it."""

BLOCK_CELL = Cell(1, 2)
"""What half blocks draw with one character: two pixels, which are about square."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal can show, and its size."""

    protocol: Protocol
    n_columns: int = 80
    cell: Cell = USUAL_CELL
    n_colours: int = MAX_COLOURS
    """Of a picture in sixels or blocks."""
    face_lines: int = FACE_LINES
    """Lines of text that a face is high."""
    n_lines: int = 24


def screen_of(environ: Mapping[str, str], stdin: IO[Any], stdout: IO[Any], *, may_ask: bool = True) -> Screen:
    """Return what this terminal can show. Nothing is sent to what is no terminal.

    Args:
        may_ask: whether the terminal may be asked what it speaks: what is being typed meanwhile is lost.

    Raises:
        ConfigError: FACEWATCH_PICTURES names no protocol.
    """
    if not (_is_terminal(stdin) and _is_terminal(stdout)):
        return Screen(Protocol.NONE)
    source, target = stdin.fileno(), stdout.fileno()
    stdout.flush()

    def ask(question: bytes) -> bytes:
        return ask_terminal(question, source=source, target=target) if may_ask else b""

    protocol = protocol_of(environ, ask, can_encode=blocks.can_encode(getattr(stdout, "encoding", None)))
    n_columns, n_lines, cell = _size_of(target)
    if protocol is Protocol.BLOCKS:
        n_colours = blocks.n_colours_of(environ) or MAX_COLOURS
        return Screen(protocol, n_columns, BLOCK_CELL, n_colours, blocks.face_lines(n_columns, n_lines), n_lines)
    n_colours = n_colours_of(ask) if protocol is Protocol.SIXEL else MAX_COLOURS
    return Screen(protocol, n_columns, cell, n_colours, n_lines=n_lines)


def protocol_of(environ: Mapping[str, str], ask: Ask, *, can_encode: bool = True) -> Protocol:
    """Return what the terminal speaks: what the environment says; else, if its kind is unknown, what it says itself;
    else blocks, if it has the colours and its encoding the character (`can_encode`).

    Raises:
        ConfigError: FACEWATCH_PICTURES names no protocol.
    """
    wanted = environ.get(VARIABLE, "").strip().lower()
    if wanted:
        return _protocol_named(wanted)
    spoken = None if _hides_terminal(environ) else _protocol_known(environ)
    if spoken is None and not _hides_terminal(environ) and _speaks_sixel(ask):
        spoken = Protocol.SIXEL
    if spoken is None and can_encode and not environ.get("NO_COLOR") and blocks.n_colours_of(environ):
        spoken = Protocol.BLOCKS
    return spoken or Protocol.NONE


def n_colours_of(ask: Ask) -> int:
    """Return how many colours a sixel picture may have; a terminal that does not say takes the usual 256.

    xterm as a VT340 has 16, and draws with the wrong ones beyond.
    """
    answer = _COLOURS.search(ask(_ASK_COLOURS + _ASK_DEVICE))
    return min(max(int(answer[1]), 2), MAX_COLOURS) if answer else MAX_COLOURS


def _protocol_named(name: str) -> Protocol:
    if name not in set(Protocol):
        raise ConfigError("environment", [f"{VARIABLE} = {name}: must be one of {', '.join(Protocol)}"])
    return Protocol(name)


def _hides_terminal(environ: Mapping[str, str]) -> bool:
    """Whether a program between us and the terminal keeps pictures for itself, or there are none to be had."""
    inside = any(environ.get(name) for name in ("TMUX", "STY", "ZELLIJ"))
    return inside or environ.get("TERM", "").split("-")[0] in ("", "dumb", "linux", "screen", "tmux")


def _protocol_known(environ: Mapping[str, str]) -> Protocol | None:
    """What the environment says; None: it has to be asked.

    TERM comes first: a terminal sets it for certain, the others may be left over from the one that it was started in.
    """
    if environ.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return Protocol.KITTY
    program = environ.get("TERM_PROGRAM", "").lower()
    if program in ("kitty", "ghostty"):
        return Protocol.KITTY
    if program in ("iterm.app", "wezterm", "mintty"):
        return Protocol.ITERM
    if program or any(environ.get(name) for name in ("XTERM_VERSION", "VTE_VERSION", "KONSOLE_VERSION")):
        return None
    if environ.get("KITTY_WINDOW_ID"):
        return Protocol.KITTY
    # The only one that ssh brings along.
    return Protocol.ITERM if environ.get("LC_TERMINAL") == "iTerm2" else None


def _speaks_sixel(ask: Ask) -> bool:
    answer = _DEVICE.search(ask(_ASK_DEVICE))
    # The first number is what kind of terminal it takes itself for.
    return answer is not None and _SIXEL_ATTRIBUTE in answer[1].split(b";")[1:]


def ask_terminal(question: bytes, *, source: int, target: int, seconds: float = ANSWER_SECONDS) -> bytes:
    """Write a question, the last part of which asks what device this is, and return all that was answered.

    What was typed before is lost. The terminal is left as it was found, whatever happens; the answer is not shown.

    Args:
        source: the descriptor of the terminal to read.
        target: the one to write.
        seconds: how long to wait for the answer; too late it counts as none.
    """
    try:
        before = termios.tcgetattr(source)
    except termios.error:
        return b""
    try:
        # Ctrl-C stays what it is.
        tty.setcbreak(source)
        os.write(target, question)
        return _read_answer(source, time.monotonic() + seconds)
    except (OSError, termios.error):
        return b""
    finally:
        # With what came too late for us, lest it is taken for typed.
        termios.tcsetattr(source, termios.TCSAFLUSH, before)


def _read_answer(source: int, deadline: float) -> bytes:
    answer = b""
    while not _DEVICE.search(answer):
        ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(source, 1024) if ready else b""
        if not part:
            break
        answer += part
    return answer


def _is_terminal(stream: IO[Any]) -> bool:
    try:
        return os.isatty(stream.fileno())
    except (AttributeError, OSError, ValueError):  # closed, or none of the system's
        return False


def _size_of(target: int) -> tuple[int, int, Cell]:
    """How many columns and lines a terminal has, and how large a cell is."""
    try:
        answer = fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return 80, 24, USUAL_CELL
    n_lines, n_columns, width, height = struct.unpack("HHHH", answer)
    cell = Cell(width // max(n_columns, 1), height // max(n_lines, 1))
    is_reported = 4 <= cell.width <= 100 and 4 <= cell.height <= 200
    return n_columns or 80, n_lines or 24, cell if is_reported else USUAL_CELL


# --- where the faces stand ---


@dataclass(frozen=True, slots=True)
class _Grid:
    """How faces are laid out."""

    side: int
    """Of a face, in pixels."""
    n_columns: int
    """That a face takes, without the empty one between two."""
    n_lines: int
    n_across: int
    """Faces of a full row."""

    def columns(self, n_faces: int) -> int:
        """How many columns a row of faces takes."""
        return n_faces * (self.n_columns + 1) - 1


def _grid(protocol: Protocol, n_columns: int, cell: Cell, lines: int) -> _Grid:
    room = max(n_columns, 1)
    side = min(lines * cell.height, room * cell.width)
    width = -(-side // cell.width)
    if protocol is Protocol.SIXEL:
        room = min(room, MAX_SIXEL_WIDTH // cell.width)
    return _Grid(side, width, -(-side // cell.height), max(1, (room + 1) // (width + 1)))


def positions(
    n_faces: int, protocol: Protocol, n_columns: int, *, cell: Cell = USUAL_CELL, lines: int = FACE_LINES
) -> tuple[tuple[int, ...], ...]:
    """Return at which column, from 0, each face begins, row by row, as `draw` draws them."""
    grid = _grid(protocol, n_columns, cell, lines)
    columns = [i % grid.n_across * (grid.n_columns + 1) for i in range(n_faces)]
    return tuple(tuple(columns[i : i + grid.n_across]) for i in range(0, n_faces, grid.n_across))


def draw(
    pictures: Sequence[Image.Image | None],
    protocol: Protocol,
    n_columns: int,
    *,
    labels: Sequence[str] = (),
    cell: Cell = USUAL_CELL,
    n_colours: int = MAX_COLOURS,
    lines: int = FACE_LINES,
) -> str:
    """Return what a terminal has to be sent for it to show these faces, from the start of a line.

    Args:
        pictures: square ones; None leaves a grey place.
        protocol: the one that the terminal speaks; with NONE nothing is drawn.
        n_columns: of the terminal.
        labels: one under each picture, as far as there is room; it may have several lines.
        cell: of the terminal; for blocks, BLOCK_CELL.
        n_colours: of a sixel picture, 2 to 256; of blocks, 256 or more.
        lines: of text that a face is high.

    Returns:
        The sequences; the cursor then is at the start of the line below. "" where there is nothing to draw.
    """
    if labels and len(labels) != len(pictures):
        raise ValueError(f"{len(labels)} labels for {len(pictures)} pictures")
    if protocol is Protocol.NONE:
        return ""
    grid = _grid(protocol, n_columns, cell, lines)
    if protocol is Protocol.BLOCKS:
        pictures = [None if picture is None else blocks.closer(picture, grid.side) for picture in pictures]
    rows = []
    for start in range(0, len(pictures), grid.n_across):
        row = slice(start, start + grid.n_across)
        picture = _montage(pictures[row], grid, cell)
        if protocol is Protocol.BLOCKS:
            rows.append(blocks.encoded(picture, n_colours))
        else:
            room = (grid.columns(len(pictures[row])), grid.n_lines)
            rows.append(_placed(_encoded(picture, protocol, room, n_colours), grid.n_lines))
        if labels:
            rows.append(_label_lines(labels[row], grid))
    return "".join(rows)


def draw_on(screen: Screen, pictures: Sequence[Image.Image | None], labels: Sequence[str] = ()) -> str:
    """Return what `draw` returns for this screen."""
    return draw(
        pictures,
        screen.protocol,
        screen.n_columns,
        labels=labels,
        cell=screen.cell,
        n_colours=screen.n_colours,
        lines=screen.face_lines,
    )


def _placed(sequences: str, n_lines: int) -> str:
    """A picture in room that is made for it, so that it never scrolls, and the cursor under it."""
    up, down = f"{_ESC}[{n_lines}A", f"{_ESC}[{n_lines}B"
    return "\r" + "\n" * n_lines + f"{up}{_ESC}7{sequences}{_ESC}8{down}"


def _label_lines(labels: Sequence[str], grid: _Grid) -> str:
    columns = [label.split("\n") for label in labels]
    n_lines = max(map(len, columns))
    rows = [[column[i] if i < len(column) else "" for column in columns] for i in range(n_lines)]
    return "".join(" ".join(_centred(text, grid.n_columns) for text in row).rstrip() + "\n" for row in rows)


def _centred(label: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    text = shortened(printable(label), width)
    return set_cell_size(" " * ((width - cell_len(text)) // 2) + text, width)


def _montage(pictures: Sequence[Image.Image | None], grid: _Grid, cell: Cell) -> Image.Image:
    """Faces side by side, RGBA; what is between them stays as the terminal has it."""
    from PIL import Image, ImageOps

    size = (grid.columns(len(pictures)) * cell.width, grid.n_lines * cell.height)
    montage = Image.new("RGBA", size)
    for i, picture in enumerate(pictures):
        face = picture.convert("RGB") if picture is not None else Image.new("RGB", (1, 1), (128, 128, 128))
        fitted = ImageOps.pad(face, (grid.side, grid.side), Image.Resampling.LANCZOS)
        margin = (grid.n_columns * cell.width - grid.side) // 2
        montage.paste(fitted, (i * (grid.n_columns + 1) * cell.width + margin, 0))
    return montage


# --- the protocols ---


def _encoded(picture: Image.Image, protocol: Protocol, room: tuple[int, int], n_colours: int) -> str:
    """A picture as sequences; `room`: how many columns and lines it fills."""
    match protocol:
        case Protocol.KITTY:
            return kitty(picture, *room)
        case Protocol.ITERM:
            return iterm(picture, *room)
        case Protocol.SIXEL:
            return sixel(picture, n_colours)
        case Protocol.BLOCKS | Protocol.NONE:
            return ""


def kitty(picture: Image.Image, n_columns: int, n_lines: int) -> str:
    """Return a picture as kitty's graphics protocol has it: shown at the cursor, which stays, and never answered."""
    data = base64.b64encode(_png(picture)).decode("ascii")
    chunks = [data[i : i + _CHUNK] for i in range(0, len(data), _CHUNK)]
    keys = [f"a=T,f=100,c={n_columns},r={n_lines},C=1,q=2,m={{}}", *["q=2,m={}"] * (len(chunks) - 1)]
    is_more = [1] * (len(chunks) - 1) + [0]
    return "".join(
        f"{_ESC}_G{key.format(more)};{chunk}{_ST}" for key, more, chunk in zip(keys, is_more, chunks, strict=True)
    )


def iterm(picture: Image.Image, n_columns: int, n_lines: int) -> str:
    """Return a picture as iTerm2 takes it."""
    png = _png(picture)
    # Its own pixels are not always the terminal's: cells are what text stands in.
    keys = f"inline=1;size={len(png)};width={n_columns};height={n_lines};preserveAspectRatio=0"
    return f"{_ESC}]1337;File={keys}:{base64.b64encode(png).decode('ascii')}\a"


def sixel(picture: Image.Image, n_colours: int = MAX_COLOURS) -> str:
    """Return an RGBA picture as sixels, six lines of pixels at a time; what is transparent is left as it is."""
    import numpy as np

    indices, palette = quantised(picture, n_colours)
    height, width = indices.shape
    bands = np.pad(indices, ((0, -height % 6), (0, 0)), constant_values=-1).reshape(-1, 6, width)
    # 1:1 is the shape of a pixel. The second parameter lets what is not drawn show what was there.
    head = f'{_ESC}P0;1;0q"1;1;{width};{height}'
    colours = "".join(f"#{i};2;{r};{g};{b}" for i, (r, g, b) in enumerate(np.rint(palette / 2.55).astype(int).tolist()))
    return head + colours + "-".join(_band(band) for band in bands) + _ST


def quantised(picture: Image.Image, n_colours: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return an RGBA picture in few colours.

    Returns:
        The number of each pixel's colour, shape (H, W), -1 where it is transparent; and the colours, RGB, shape
        (n, 3), n at most `n_colours`, the darkest first.
    """
    import numpy as np
    from PIL import Image

    opaque = picture.convert("RGB")
    # Six faces: 8 ms instead of 140, and nearer; with few colours it is the slow one that is nearer.
    choice = (Image.Quantize.FASTOCTREE, 0) if n_colours >= 128 else (Image.Quantize.MEDIANCUT, 2)
    few = opaque.quantize(n_colours, *choice)
    few = opaque.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG)
    palette = np.asarray(few.getpalette(), np.uint8).reshape(-1, 3)
    used, indices = np.unique(np.asarray(few), return_inverse=True)
    # The darkest first: terminals that know no transparency take colour 0 for it.
    order = np.argsort(palette[used].sum(axis=1), kind="stable")
    ranks = np.argsort(order)[indices].reshape(picture.height, picture.width)
    is_seen = np.asarray(picture.convert("RGBA"))[..., 3] >= 128
    return np.where(is_seen, ranks, -1).astype(np.int16), palette[used[order]]


def _band(band: NDArray[np.int16]) -> str:
    """Six lines of pixels, shape (6, W), one colour over the other."""
    import numpy as np

    colours = np.unique(band[band >= 0])
    # The uppermost line is the lowest bit.
    sixels = np.packbits(band == colours.reshape(-1, 1, 1), axis=1, bitorder="little")[:, 0] + np.uint8(ord("?"))
    lines = [_shortened(row.tobytes().rstrip(b"?")) for row in sixels]
    return "$".join(f"#{colour}{line}" for colour, line in zip(colours.tolist(), lines, strict=True))


_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)
"""Shorter runs are no longer than what would stand for them."""


def _shortened(sixels: bytes) -> str:
    return _RUN.sub(lambda run: b"!%d%b" % (len(run[0]), run[1]), sixels).decode("ascii")


def _png(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, format="PNG")
    return target.getvalue()
