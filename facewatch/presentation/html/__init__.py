"""HTML pages that need nothing else: no script, no font, no picture from anywhere.

Their templates escape whatever they are given. A page is well-formed XML, too, which tests make use of.
Charts are inline SVG, in sizes that a telephone shows without scaling. They are made in Python and not by templates,
because nearly all of them is computed coordinates. Colours are classes ("tone-0" to "tone-5"), so that the page's style
decides them, by day and by night.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup as Markup  # what a template shall not escape
from markupsafe import escape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Tile(NamedTuple):
    """A number that stands large at the top of a page."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class HtmlTable:
    """Rows under columns: words first, then numbers."""

    columns: Sequence[Sequence[str]]
    """Each the lines of its heading."""
    rows: Sequence[Sequence[str]]
    n_words: int = 1
    """Columns that hold words."""


def render(template: str, **values: object) -> str:
    """Return a page."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__name__),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    environment.filters["coded"] = _coded
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    return environment


def _coded(text: str) -> Markup:
    """Return the text with what stands in `backquotes` as code."""
    parts = re.split(r"`([^`]*)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _breakable(text: str) -> Markup:
    """Return the text with places where a line may end."""
    parts = (
        Markup("{}<wbr/>").format(part) if part in "_/-." else part for part in re.split(r"([_/.-])", text) if part
    )
    return Markup("").join(parts)


WIDTH, HEIGHT = 420, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 42
_LINE_HEIGHT = 13
_WIDEST_NAME = 90
"""Room for what a ruler is called."""
_MOST_POINTS = 400
"""Points of a curve; more cannot be told apart on a screen."""
N_TONES = 6


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart spans, and what its axes are called."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str
    y_label: str
    is_log_x: bool = False
    x_ticks: tuple[float, ...] = ()
    """Where the x axis has numbers; none: round numbers."""
    n_lines_above: int = 0
    """Lines of words above the plot, one for each ruler."""

    @property
    def top(self) -> int:
        """Where the plot begins, in units of the picture from its top."""
        return _TOP + _LINE_HEIGHT * self.n_lines_above

    def across(self, value: float) -> float:
        """Return where a value stands, in units of the picture from its left."""
        low, high = (math.log10(end) for end in self.x) if self.is_log_x else self.x
        at = math.log10(value) if self.is_log_x else value
        return _LEFT + (at - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def down(self, value: float) -> float:
        """Return where a value stands, in units of the picture from its top."""
        low, high = self.y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - self.top - _BOTTOM)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its words."""

    title: str
    picture: Markup
    hint: str
    keys: tuple[str, ...] = ()
    """What each tone stands for."""


def chart(title: str, axes: Axes, *marks: str) -> Markup:
    """Return a picture of these marks; `title` is read out where it cannot be seen."""
    parts = (f"<title>{escape(title)}</title>", _grid(axes), *marks)
    return Markup(f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>')


def line(axes: Axes, xs: ArrayLike, ys: ArrayLike, *, tone: int, is_dashed: bool = False) -> str:
    """Return a curve through these points; those outside the axes are left out."""
    points = _points(axes, xs, ys)
    dashed = " dashed" if is_dashed else ""
    return f'<polyline class="line tone-{tone % N_TONES}{dashed}" points="{_text(points)}"/>' if points else ""


def steps(axes: Axes, edges: ArrayLike, heights: ArrayLike, *, tone: int) -> str:
    """Return a histogram as one filled outline; `edges` has one more than `heights`."""
    xs = np.repeat(np.asarray(edges, np.float64), 2)
    ys = np.concatenate([[0.0], np.repeat(np.asarray(heights, np.float64), 2), [0.0]])
    points = [(axes.across(x), axes.down(y)) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
    return f'<polygon class="area tone-{tone % N_TONES}" points="{_text(points)}"/>'


def dot(axes: Axes, x: float, y: float, label: str, *, tone: int) -> str:
    """Return a point with words beside it, on its left where it has no room on its right."""
    across, down = axes.across(x), axes.down(y)
    is_right = across > WIDTH * 0.6
    return f'<circle class="dot tone-{tone % N_TONES}" cx="{across:.1f}" cy="{down:.1f}" r="3.5"/>' + _words(
        across + (-7 if is_right else 7), down + 14, label, "end" if is_right else "start"
    )


def rulers(axes: Axes, marks: Sequence[tuple[str, float]]) -> str:
    """Return a dashed upright line for each (name, x), its name above the plot, where no curve is.

    Each name has a line of its own and stands on its ruler's left, or all on the right where the left has no room. The
    rulers that pass a name begin below it, so that nothing crosses a name. `axes.n_lines_above` makes the room.
    """
    inside = sorted((x, name) for name, x in marks if axes.x[0] <= x <= axes.x[1])
    is_left = not inside or axes.across(inside[0][0]) > _LEFT + _WIDEST_NAME
    parts = []
    for row, (x, name) in enumerate(reversed(inside) if is_left else inside):
        across, down = axes.across(x), _TOP + _LINE_HEIGHT * row
        parts.append(
            f'<line class="ruler" x1="{across:.1f}" x2="{across:.1f}" y1="{down:.1f}" y2="{HEIGHT - _BOTTOM}"/>'
        )
        parts.append(_words(across + (-4 if is_left else 4), down + 9, f"{name} {x:g}", "end" if is_left else "start"))
    return "".join(parts)


def _grid(axes: Axes) -> str:
    left, right, top, bottom = _LEFT, WIDTH - _RIGHT, axes.top, HEIGHT - _BOTTOM
    parts = []
    for value in axes.x_ticks or round_numbers(*axes.x):
        across = axes.across(value)
        parts.append(f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(_words(across, bottom + 15, _number(value), "middle", kind="tick"))
    for value in round_numbers(*axes.y):
        down = axes.down(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{down:.1f}" y2="{down:.1f}"/>')
        parts.append(_words(left - 5, down + 4, _number(value), "end", kind="tick"))
    parts.append(_words((left + right) / 2, HEIGHT - 8, axes.x_label, "middle", kind="name"))
    middle = (top + bottom) / 2
    parts.append(
        f'<text class="name" text-anchor="middle" transform="translate(11 {middle:.0f}) rotate(-90)">'
        f"{escape(axes.y_label)}</text>"
    )
    return "".join(parts)


def round_numbers(low: float, high: float, *, most: int = 6) -> list[float]:
    """Return at most this many numbers between two, all multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _points(axes: Axes, xs: ArrayLike, ys: ArrayLike) -> list[tuple[float, float]]:
    x, y = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
    (left, right), (low, high) = axes.x, axes.y
    rows = np.flatnonzero((x >= left) & (x <= right) & (y >= low) & (y <= high))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, _MOST_POINTS).round().astype(int))] if len(rows) else rows
    return [(axes.across(float(x[row])), axes.down(float(y[row]))) for row in rows]


def _text(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{across:.1f},{down:.1f}" for across, down in points)


def _words(across: float, down: float, text: str, anchor: str, *, kind: str = "note") -> str:
    return f'<text class="{kind}" x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:g}" if value >= 1e-4 or value == 0 else f"{value:.0e}".replace("e-0", "e-")
