"""Faces as half blocks: each character is two pixels, one over the other, in the colours of its fore- and background.

Any terminal shows them that has 24-bit colours, or 256, and multiplexers let them through: they are ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

ALL_COLOURS = 1 << 24
"""Of a terminal that takes red, green and blue with eight bits each."""
FEW_COLOURS = 256
"""Of one that has a fixed palette."""

MIN_LINES = 8
"""That a face is high: with fewer nobody is recognised."""
MAX_LINES = 16

_UPPER, _LOWER = "▀", "▄"
_RESET = "\x1b[0m"

_MARGIN = 0.1
"""What is cut off a crop on each side: it has its margin for larger pictures, and here every pixel counts."""

_SHARPENING = 30
"""Percent, of what is lost when so few pixels are left."""

_DIRECT_TERMS = frozenset({"alacritty", "contour", "foot", "ghostty", "kitty", "rio", "wezterm"})
"""The beginning of TERM, up to the first hyphen but for "xterm-", of terminals that have 24-bit colours."""
_DIRECT_PROGRAMS = frozenset(
    {"iterm.app", "wezterm", "mintty", "ghostty", "kitty", "vscode", "hyper", "rio", "warpterminal", "tabby", "zed"}
)
"""The same of TERM_PROGRAM."""
_FIRST_DIRECT_XTERM = 331
_FIRST_DIRECT_VTE = 3600


def can_encode(encoding: str | None) -> bool:
    """Whether text in this encoding can hold the characters."""
    try:
        (_UPPER + _LOWER).encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def n_colours_of(environ: Mapping[str, str]) -> int:
    """Return how many colours the terminal has by its environment: 2 ** 24, 256, or 0 for fewer or nobody knows."""
    term = environ.get("TERM", "")
    if term in ("", "dumb", "linux"):
        return 0
    # In GNU screen COLORTERM and all else are left from outside of it, and where it does not say that it has 256
    # colours it makes 8 of them, in which nobody is recognised.
    if not environ.get("STY") and _is_direct(environ, term):
        return ALL_COLOURS
    return FEW_COLOURS if "256color" in term else 0


def _is_direct(environ: Mapping[str, str], term: str) -> bool:
    if environ.get("TMUX") or environ.get("ZELLIJ"):
        return True  # they turn them into what the terminal outside has
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit") or term.endswith("-direct"):
        return True
    if term.removeprefix("xterm-").split("-")[0] in _DIRECT_TERMS:
        return True
    if environ.get("TERM_PROGRAM", "").lower() in _DIRECT_PROGRAMS:
        return True
    if _number(environ.get("VTE_VERSION", "")) >= _FIRST_DIRECT_VTE:
        return True
    if _number(environ.get("XTERM_VERSION", "")) >= _FIRST_DIRECT_XTERM:
        return True
    return bool(environ.get("KONSOLE_VERSION") or environ.get("WT_SESSION"))


def _number(version: str) -> int:
    """Return the number in a version like "6203" or "XTerm(390)"; 0: there is none."""
    found = re.search(r"\d{1,9}", version)
    return int(found[0]) if found else 0


def face_lines(n_columns: int, n_lines: int) -> int:
    """Return how many lines a face is high: as many as let two rows of four and what is said of them be seen."""
    by_height = (n_lines - 6) // 2 - 1
    by_width = ((n_columns + 1) // 4 - 1) // 2
    return max(MIN_LINES, min(by_height, by_width, MAX_LINES))


def closer(picture: Image.Image, side: int) -> Image.Image:
    """Return a crop of a face in so few pixels, without some of its margin, and sharpened."""
    from PIL import Image, ImageFilter

    margin_x, margin_y = round(picture.width * _MARGIN), round(picture.height * _MARGIN)
    box = (margin_x, margin_y, picture.width - margin_x, picture.height - margin_y)
    small = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS, box)
    return small.filter(ImageFilter.UnsharpMask(1, _SHARPENING, 0))


def encoded(picture: Image.Image, n_colours: int) -> str:
    """Return an RGBA picture of an even height as lines of text; what is transparent is left as the terminal has it."""
    import numpy as np

    pixels = np.asarray(picture.convert("RGB"), np.int64)
    colours = pixels @ (1 << 16, 1 << 8, 1) if n_colours >= ALL_COLOURS else _nearest(pixels)
    is_seen = np.asarray(picture.convert("RGBA"))[..., 3] >= 128
    # -1: none.
    shown = np.where(is_seen, colours, -1)
    code_of = _direct if n_colours >= ALL_COLOURS else _numbered
    return "".join(_line(*rows, code_of) for rows in zip(shown[::2].tolist(), shown[1::2].tolist(), strict=True))


def _direct(colour: int) -> str:
    return f"2;{colour >> 16};{colour >> 8 & 255};{colour & 255}"


def _numbered(colour: int) -> str:
    return f"5;{colour}"


def _line(upper: list[int], lower: list[int], code_of: Callable[[int], str]) -> str:
    """Return two rows of pixels as a line of text; a colour is written where it changes."""
    text, front, back = [], -1, -1
    for above, below in zip(upper, lower, strict=True):
        if above < 0 and below < 0:
            character, wanted = " ", (front, -1)
        elif above < 0:
            character, wanted = _LOWER, (below, -1)
        else:
            character, wanted = _UPPER, (above, below)
        if wanted[1] < 0 <= back:
            text.append(_RESET)
            front = back = -1
        if wanted[0] != front and character != " ":
            text.append(f"\x1b[38;{code_of(wanted[0])}m")
            front = wanted[0]
        if wanted[1] != back:
            text.append(f"\x1b[48;{code_of(wanted[1])}m")
            back = wanted[1]
        text.append(character)
    return "".join(text).rstrip(" ") + f"{_RESET}\n"


_CUBE = (0, 95, 135, 175, 215, 255)
"""The levels of the 216 colours from 16 on; behind them are 24 greys."""


def _nearest(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nearest of the usual 256 colours but the first 16, which everybody sets otherwise; of RGB pixels,
    shape (H, W, 3)."""
    import numpy as np

    levels = np.array(_CUBE)
    greys = np.repeat(np.arange(24)[:, None] * 10 + 8, 3, axis=1)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = ((pixels[:, :, None] - np.concatenate([cube, greys])) ** 2).sum(axis=-1)
    return np.asarray(distances.argmin(axis=-1) + 16, np.int64)
