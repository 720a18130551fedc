"""The commands `people import` and `people export`: who people are, from elsewhere and for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.people import people
from facewatch.cli.program import State, json_option, pass_state, word_of

if TYPE_CHECKING:
    from facewatch.app import App


@word_of(people, "import", "Take over who people are from pictures of them.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be taken over.")
@json_option
@pass_state
def people_import(state: State, source: Path, dry_run: bool, as_json: bool) -> None:
    """Take over who people are from SOURCE, a folder of pictures of them: Anna/1.jpg and Anna/2.jpg, or Anna.jpg. Anna
    is recognised by the faces on them from then on; they may lie anywhere, are only read, and may be deleted later.

    Of each picture the only face counts, or the one that is clearly the largest; what is left out is said, and why. All
    of it is one decision, which `facewatch undo` takes back.

    \b
    Example:
      facewatch people import ~/Portraits --dry-run
      facewatch people import ~/Portraits

    \b
    Exit codes:
      0 done, also when single pictures are left out; 4 SOURCE cannot be used; 5 catalog; 7 engine
    """
    with state.app(needs_catalog=False) as app:
        _import_pictures(state, app, source, dry_run=dry_run, as_json=as_json)


def _import_pictures(state: State, app: App, source: Path, *, dry_run: bool, as_json: bool) -> None:
    from facewatch.presentation import references as words

    with progress_bar("looking at pictures", is_shown=not state.is_quiet) as report:
        outcomes = app.references().take_over(source, is_trial=dry_run, report=report)
    if as_json:
        print_json(words.references_row(outcomes, is_trial=dry_run))
    elif dry_run or not state.is_quiet:
        for line in words.reference_lines(outcomes, is_trial=dry_run):
            echo(line)
