"""The command `doctor`."""

from __future__ import annotations

import sys
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.called import as_called
from facewatch.cli.output import print_json, progress_bar
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.errors import FacewatchError
from facewatch.text import printable

if TYPE_CHECKING:
    from rich.text import Text

    from facewatch.checks import Finding
    from facewatch.checks.doctor import Diagnosis

_MARKS = {"ok": ("ok", "green"), "remark": ("remark", "yellow"), "broken": ("BROKEN", "bold red")}
"""What stands before a finding, and in which colour."""

_INDENT = 10
"""Columns before what was found."""


@command("doctor", "Check that all is well and say what to do if not.")
@click.option("--deep", is_flag=True, help="Read all of the catalog and the model files, and decode sample photos.")
@json_option
@pass_state
def doctor(state: State, deep: bool, as_json: bool) -> None:
    """Check what facewatch needs: packages, settings, models, the catalog and its backups, photo libraries, what the
    kernel lets it watch, the people folder, which process is running, and photos that could not be used.

    Changes nothing, works while a watcher runs and also where the catalog is damaged, and says of everything that is
    not well what fixes it. With --quiet only that is shown.

    \b
    Example:
      facewatch doctor
      facewatch doctor --deep --json

    \b
    Exit codes:
      0 all is well, or there are only remarks; 1 something is broken
    """
    from facewatch.presentation.checks import diagnosis_row

    found = _diagnose(state, is_deep=deep)
    if as_json:
        print_json(diagnosis_row(found))
    else:
        _print(found, is_quiet=state.is_quiet)
    if not found.is_well:
        raise click.exceptions.Exit(1)


def _diagnose(state: State, *, is_deep: bool) -> Diagnosis:
    try:
        from facewatch.checks.doctor import diagnose, read_settings
    except ImportError as error:
        raise FacewatchError(f"a package cannot be loaded: {error}; install facewatch again") from error
    config, faults = read_settings(state.config_file, state.overrides, cwd=Path.cwd())
    with progress_bar("checking folders", is_shown=not state.is_quiet) as report:
        return diagnose(config, faults, is_deep=is_deep, report=report)


def _print(found: Diagnosis, *, is_quiet: bool) -> None:
    from rich.console import Console

    from facewatch.presentation.checks import summary

    # A terminal that knows no UTF-8 is one of the things to report, so it must not be what stops the report.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    console = Console(highlight=False, soft_wrap=True)
    # In a terminal lines break between words; in a file each finding and each remedy is one line.
    width = console.width if console.is_terminal else None
    shown = [finding for finding in found.findings if not is_quiet or finding.severity != "ok"]
    for area, findings in groupby(shown, key=lambda finding: finding.kind):
        console.print(area, style="bold", markup=False)
        for finding in findings:
            console.print(_as_text(finding, width))
    console.print(summary(found), style="bold", markup=False)


def _as_text(finding: Finding, width: int | None) -> Text:
    from rich.text import Text

    mark, colour = _MARKS[finding.severity]
    text = Text()
    text.append(f"  {mark:<{_INDENT - 2}}", style=colour)
    text.append("\n".join(_lines(finding.text, width, _INDENT)))
    if finding.remedy:
        text.append(f"\n{' ' * _INDENT}-> " + "\n".join(_lines(finding.remedy, width, _INDENT + 3)), style="cyan")
    return text


def _lines(text: str, width: int | None, indent: int) -> list[str]:
    """Return a text in lines of a terminal, all but the first indented; a long path or command is left whole."""
    shown = printable(as_called(text))
    if width is None or len(shown) + indent <= width:
        return [shown]
    pad = " " * indent
    lines = textwrap.wrap(
        shown, width, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
    )
    return [lines[0].lstrip(), *lines[1:]]
