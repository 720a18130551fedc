"""HTML pages that need nothing else: no script, no font, no picture from anywhere.

Their templates escape whatever they are given. A page is well-formed XML, too, which tests make use of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup as Markup  # what a template shall not escape


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
    return environment


def _breakable(text: str) -> Markup:
    """Return the text with places where a line may end."""
    parts = (
        Markup("{}<wbr/>").format(part) if part in "_/-." else part for part in re.split(r"([_/.-])", text) if part
    )
    return Markup("").join(parts)
