"""Output of commands: lines and tables for people, JSON and CSV for programs, and progress bars."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len, set_cell_size

from facewatch.called import as_called
from facewatch.text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import ProgressColumn

    from facewatch.types import Progress


def print_json(value: Any, *, rows: str = "") -> None:
    """Print JSON; file names that are not UTF-8 come out with escapes, never as an error.

    Args:
        rows: the key of an object's last value, a list that may be long: each of its items is one line. Python indents
            in Python, which takes ten times as long, seconds for the questions of a large library.
    """
    if not rows:
        click.echo(json.dumps(value, indent=2, ensure_ascii=True, default=str))
        return
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=True, default=str)}" for row in value[rows])
    others = json.dumps({key: one for key, one in value.items() if key != rows}, indent=2, default=str)
    click.echo(f"{others[:-2]},\n  {json.dumps(rows)}: [\n{lines}\n  ]\n}}")


def print_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print RFC 4180 CSV, undecodable bytes of file names as they are."""
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    sys.stdout.flush()


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    prose: Collection[str] = (),
    whole: Collection[str] = (),
) -> None:
    """Print aligned columns, numbers to the right. In a terminal the table is no wider than that: columns of sentences
    (`prose`) wrap, others are shortened, the `whole` ones last; elsewhere nothing is lost."""
    rows = [list(row) for row in rows]
    lines = table_lines(
        [printable(name) for name in header],
        [[printable(f"{value:.3f}" if isinstance(value, float) else str(value)) for value in row] for row in rows],
        _width(),
        numbers=[i for i in range(len(header)) if rows and all(_is_number(row[i]) for row in rows)],
        prose=[i for i, name in enumerate(header) if name in prose],
        whole=[i for i, name in enumerate(header) if name in whole],
        rule="─" if _can_print("─…") else "-",
    )
    click.echo(click.style(lines[0], bold=True) if _width() else lines[0])
    click.echo("\n".join(lines[1:]))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) or value in ("", "-")


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _width(*, is_error: bool = False) -> int | None:
    """Return how many columns the terminal has; None: there is no terminal, and nothing should be cut to any."""
    if not (sys.stderr if is_error else sys.stdout).isatty():
        return None
    return shutil.get_terminal_size().columns


def echo(text: str, *, is_error: bool = False) -> None:
    """Print lines, on stderr when it is an error; no terminal obeys anything in them, commands are as called, and where
    there is a terminal they break between words."""
    width = _width(is_error=is_error)
    lines = [printable(line) for line in as_called(text).split("\n")]
    if width is not None:
        lines = [part for line in lines for part in wrapped_line(line, width, command=as_called("facewatch -v")[:-3])]
    click.echo("\n".join(lines), err=is_error)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print a line for each, with its name before it."""
    for name, fact in facts:
        echo(f"{name:>14}  {printable(fact)}")


@contextmanager
def progress_bar(title: str, *, is_shown: bool, in_bytes: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows how far the work is, on stderr, only in a terminal."""
    if not is_shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(*_bar_columns(in_bytes), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, note="")
        stage = ""

        def show(progress: Any) -> None:
            nonlocal stage, task
            if progress.stage not in ("", stage):
                stage = progress.stage
                bar.remove_task(task)
                # A new one: what is left is reckoned from its own speed.
                task = bar.add_task(stage, total=None, note="")
            note = escape(printable(progress.note))[-40:]
            bar.update(task, completed=progress.done, total=progress.total or None, note=note)

        yield show


def _bar_columns(in_bytes: bool) -> Iterator[ProgressColumn]:
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Known(MofNCompleteColumn):
        """Nothing, until it is known how much there is."""

        def render(self, task: Task) -> Text:
            return super().render(task) if task.total else Text()

    class Left(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return Text.assemble(super().render(task), " left") if task.time_remaining else Text()

    yield TextColumn("{task.description}")
    # Of one width, whatever the names of files beside it are.
    yield BarColumn(20)
    yield DownloadColumn() if in_bytes else Known()
    yield Left()
    yield TextColumn("[dim]{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


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
