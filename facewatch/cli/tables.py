"""Tables that fit the terminal: what is too long is shortened in its middle, sentences wrap at their spaces.

table_lines(header, rows, width) -> lines     without a width nothing is shortened: for pipes
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rich.cells import cell_len, set_cell_size

from facewatch.text import shortened

_GAP = "  "
_FIRST_FLOOR, _LAST_FLOOR = 8, 4
"""Columns of the terminal that are left to a text: the second where the first would still be too much."""
_PROSE_FLOOR = 16
"""The first of sentences."""


def table_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    numbers: Collection[int] = (),
    prose: Collection[int] = (),
    whole: Collection[int] = (),
    rule: str = "─",
) -> list[str]:
    """Return a table as lines, the header, a rule and the rows, none wider than `width`.

    Args:
        numbers: columns that stand to the right and are never shortened.
        prose: columns of sentences, which wrap at their spaces instead.
        whole: columns that are shortened only where there is no other way.
    """
    natural = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    is_fixed = [i in numbers for i in range(len(header))]
    widths = _fitted(natural, is_fixed, prose, whole, None if width is None else width - len(_GAP) * (len(header) - 1))
    lines = _row_lines(header, widths, numbers, range(len(header)))
    lines.append(rule * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in rows:
        lines += _row_lines(row, widths, numbers, prose)
    return lines


def _fitted(
    natural: list[int], is_fixed: Sequence[bool], prose: Collection[int], whole: Collection[int], room: int | None
) -> list[int]:
    """Return how wide each column is: the widest are narrowed first, as far as they may be."""
    widths = list(natural)
    for first in (True, False):
        floors = [_FIRST_FLOOR if first else _LAST_FLOOR] * len(widths)
        for i in prose:
            floors[i] = _PROSE_FLOOR if first else _LAST_FLOOR
        for i in whole:
            floors[i] = natural[i] if first else _LAST_FLOOR
        while room is not None and sum(widths) > room:
            able = [i for i, width in enumerate(widths) if not is_fixed[i] and width > floors[i]]
            if not able:
                break
            widest = max(able, key=lambda i: (widths[i], i in prose))
            widths[widest] -= 1
    return widths


def _row_lines(
    cells: Sequence[str], widths: Sequence[int], numbers: Collection[int], prose: Collection[int]
) -> list[str]:
    columns = [
        wrapped_words(cell, width) if i in prose else [shortened(cell, width)]
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    n_lines = max(map(len, columns))
    rows = [[column[n] if n < len(column) else "" for column in columns] for n in range(n_lines)]
    return [
        _GAP.join(
            _placed(text, width, i in numbers) for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _placed(text: str, width: int, is_right: bool) -> str:
    if is_right:
        return " " * (width - cell_len(text)) + text
    return set_cell_size(text, max(width, cell_len(text)))


def wrapped_words(text: str, width: int) -> list[str]:
    """Return a text in lines of so many columns, broken at spaces; a word that is longer is shortened."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(longer) <= width:
            lines[-1] = longer
        elif lines[-1]:
            lines.append(shortened(word, width))
        else:
            lines[-1] = shortened(word, width)
    return lines


# --- sentences ---

_UNBROKEN = re.compile(r" *(?:`[^`]*`|[^ ]+)")
"""A command in backquotes stays on one line: whoever copies it shall have all of it."""
_HANGING = re.compile(r" *(?:\S+(?: \S+){0,8} {2,}){0,2}")
"""What a line begins with that those which carry it on are indented by: spaces, and titles with spaces behind them."""


def wrapped_line(line: str, width: int, *, command: str = "facewatch") -> list[str]:
    """Return a line in lines of a terminal, broken between words only; a longer word is left whole, and so is a line
    that is nothing but a path or a command; `command`: how that begins."""
    text = line.lstrip(" ")
    is_whole = (text.startswith("/") and ": " not in text) or (text.startswith(f"{command} ") and "  " not in text)
    if cell_len(line) <= width or is_whole:
        return [line]
    begun = _HANGING.match(line)
    head = begun[0] if begun and cell_len(begun[0]) <= width * 2 // 3 else line[: len(line) - len(text)]
    lines = [head]
    for word in _UNBROKEN.findall(line[len(head) :]):
        if lines[-1].strip() and cell_len(lines[-1] + word) > width:
            lines.append(" " * cell_len(head) + word.lstrip(" "))
        else:
            lines[-1] += word
    return lines
