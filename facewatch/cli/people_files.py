"""The commands `people import` and `people export`: who people are, from elsewhere and for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.people import people, word_of
from facewatch.cli.program import State, json_option, pass_state

if TYPE_CHECKING:
    from facewatch.app import App


@word_of(people, "import", "Take over who people are, from pictures of them or from another catalog.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be taken over.")
@click.option("--same-names", is_flag=True, help="People of the same name are one, however they look.")
@json_option
@pass_state
def people_import(state: State, source: Path, dry_run: bool, same_names: bool, as_json: bool) -> None:
    """Take over who people are. SOURCE is a folder of pictures of them, a file of `facewatch people export`, or another
    catalog.

    Pictures: Anna/1.jpg and Anna/2.jpg, or Anna.jpg, show Anna, who is recognised by these faces from then on. They may
    lie anywhere, are only read, and may be deleted later. Of each the only face counts, or the one that is clearly the
    largest; what is left out is said, and why.

    A file or catalog: people with their names, the faces that they are recognised by, and what was decided about
    photos that are here, too. What you decided here stays; what contradicts it is listed.

    All of it is one decision, which `facewatch undo` takes back.

    \b
    Example:
      facewatch people import ~/Portraits --dry-run
      facewatch people import ~/people.jsonl

    \b
    Exit codes:
      0 done, also when single pictures or faces are left out; 4 SOURCE cannot be used; 5 a catalog
      cannot be opened; 7 another engine saw these faces
    """
    with state.app(needs_catalog=False) as app:
        if source.is_dir():
            if same_names:
                raise click.UsageError("--same-names goes with a file of people, or another catalog")
            _import_pictures(state, app, source, dry_run=dry_run, as_json=as_json)
        else:
            _import_people(state, app, source, dry_run=dry_run, same_names=same_names, as_json=as_json)


def _import_pictures(state: State, app: App, source: Path, *, dry_run: bool, as_json: bool) -> None:
    from facewatch.presentation import references as words

    with progress_bar("looking at pictures", is_shown=not state.is_quiet) as report:
        outcomes = app.references().take_over(source, is_trial=dry_run, report=report)
    if as_json:
        print_json(words.references_row(outcomes, is_trial=dry_run))
    elif dry_run or not state.is_quiet:
        for line in words.reference_lines(outcomes, is_trial=dry_run):
            echo(line)


def _import_people(state: State, app: App, source: Path, *, dry_run: bool, same_names: bool, as_json: bool) -> None:
    from facewatch.presentation import carried as words

    plans = app.carrier().take_over(source, is_trial=dry_run, may_differ=same_names)
    if as_json:
        print_json(words.carried_row(plans, is_trial=dry_run))
    elif dry_run or not state.is_quiet:
        for line in words.carried_lines(app.catalog, plans, is_trial=dry_run):
            echo(line)


@word_of(people, "export", "Write who people are into a file for another machine.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
@pass_state
def people_export(state: State, file: Path, force: bool, as_json: bool) -> None:
    """Write who people are into FILE, which ends in .jsonl: names, the faces that they are recognised by (numbers, no
    pictures) and what was decided about them. `facewatch people import FILE` takes it over on another machine that
    has the same engine, with the same photos or with others.

    Keep it as safe as the catalog: whoever has it can recognise these people.

    \b
    Example:
      facewatch people export ~/people.jsonl

    \b
    Exit codes:
      0 done; 4 FILE cannot be written; 5 catalog; 9 nobody has a name
    """
    from facewatch.presentation.carried import written_line

    with state.app() as app:
        written = app.carrier().write(file, may_replace=force)
    if as_json:
        print_json({"file": str(file), "people": written.n_people, "faces": written.n_faces})
    elif not state.is_quiet:
        echo(written_line(file, written))
