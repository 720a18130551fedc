"""The command `people`: everybody as a table, by their faces in the terminal, and on a contact sheet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch.called import PROGRAM, VARIABLE, called_from_anywhere
from facewatch.cli.asking import is_confirmed, is_somebody_there
from facewatch.cli.faces import crops_of, draw_people, screen_here
from facewatch.cli.output import echo, print_json, print_table, progress_bar
from facewatch.cli.program import Command, State, command, json_option, pass_state, shared_options
from facewatch.errors import LibraryError

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog import Person
    from facewatch.cli.pictures import Screen
    from facewatch.people.identities import Alike
    from facewatch.people.portraits import Portrait
    from facewatch.types import Progress


class CommandWithWords(Command):
    """A command some of whose first arguments are commands of their own, whatever else it takes there."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands: dict[str, click.Command] = {}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def word_of(group: click.Command, name: str, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command behind the name of a `CommandWithWords`, with the options that all have."""
    assert isinstance(group, CommandWithWords)

    def decorate(function: Callable[..., None]) -> click.Command:
        group.commands[name] = click.command(name, cls=Command, short_help=summary)(shared_options(function))
        return group.commands[name]

    return decorate


@command("people", "List the people found.", cls=CommandWithWords)
@click.argument("who", nargs=-1)
@click.option("--look-alikes", "are_look_alikes", is_flag=True, help="List pairs of named people who look alike.")
@click.option("--table", "is_table", is_flag=True, help="Print the table even if faces can be drawn.")
@click.option(
    "-n", "most", type=click.IntRange(min=1), metavar="N", help="Show only N people; else 20 are drawn, all listed."
)
@click.option(
    "--contact-sheet",
    "sheet",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write a page with everybody's faces for a browser, by default into the people folder.",
)
@click.option("--force", is_flag=True, help="With --contact-sheet: overwrite any FILE.")
@json_option
@pass_state
def people(
    state: State,
    who: tuple[str, ...],
    are_look_alikes: bool,
    is_table: bool,
    most: int | None,
    sheet: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """List the people found, or those named WHO: id, name, faces, photos, folder.

    A terminal that can draw faces (see `facewatch review`) shows those of the people with the most photos instead.

    `facewatch people import` takes over who people are, from pictures or another catalog; `facewatch people export`
    writes it into a file.

    \b
    Example:
      facewatch people
      facewatch people Anna p12
      facewatch people --table
      facewatch people --contact-sheet
      facewatch people --look-alikes
      facewatch people import ~/Portraits
    """
    from facewatch.people.portraits import shown_people
    from facewatch.presentation import catalog as words

    if who and (are_look_alikes or sheet is not None):
        raise click.UsageError("--look-alikes and --contact-sheet are about everybody; leave out WHO")
    with state.app() as app:
        if are_look_alikes:
            app.engine.check_is_in_use("faces can be compared")
            _print_look_alikes(app.identities.look_alikes(), as_json)
            return
        if sheet is not None:
            _write_sheet(state, app, Path(sheet) if sheet else None, force=force, as_json=as_json)
            return
        found = _people_found(app, who)
        visible = found if who else shown_people(app.catalog)
        is_drawn = not (is_table or as_json)
        if is_drawn and print_people(app, screen_here(), most or N_DRAWN, visible):
            return
        root = app.folder.root
    shown = found[:most]
    if as_json:
        print_json([words.person_row(person, root) for person in shown])
    elif shown:
        print_table(words.PEOPLE_HEADER, [words.person_cells(person, root) for person in shown])
        if len(found) > len(shown):
            echo(f"{len(shown)} of {len(found)} people")
    else:
        echo("nobody yet: facewatch scan PHOTOS finds people")


def _people_found(app: App, who: Sequence[str]) -> list[Person]:
    """Return the people with these names or ids, each once; without any all who are on photos or have a name."""
    from facewatch.people.lookup import find_person

    if who:
        return list({person.id: person for person in (find_person(app.catalog, one) for one in who)}.values())
    return [person for person in app.catalog.people.all() if person.n_photos or person.name]


def _write_sheet(state: State, app: App, file: Path | None, *, force: bool, as_json: bool) -> None:
    if file is not None:
        check_sheet_file(app, file, force=force)
    with progress_bar("cutting out faces", is_shown=not state.is_quiet) as report:
        written = write_contact_sheet(app, file, report=report)
    if as_json:
        print_json({"contact_sheet": str(written)})
    elif not state.is_quiet:
        echo(f"wrote {written}")


def _print_look_alikes(pairs: Sequence[Alike], as_json: bool) -> None:
    from facewatch.presentation import catalog as words

    if as_json:
        print_json([asdict(pair) for pair in pairs])
    elif pairs:
        print_table(words.ALIKE_HEADER, list(map(words.alike_cells, pairs)))
    else:
        echo("no two people with names look alike")


N_DRAWN = 20
"""People who are drawn in a terminal if nobody says how many."""


def print_people(app: App, screen: Screen, most: int, people: Sequence[Person]) -> bool:
    """Print the faces of so many of these people; whether they could be shown."""
    from facewatch.presentation.catalog import people_drawn

    drawn = draw_people(app, screen, people[:most])
    if drawn:
        click.echo(drawn, nl=False)
        echo(people_drawn(len(people), most))
    return bool(drawn)


def write_contact_sheet(
    app: App, file: Path | None = None, *, report: Callable[[Progress], None] = lambda _: None
) -> Path:
    """Write a page that shows everybody, and return where it is; without `file` at the top of the people folder.

    Raises:
        EngineError: there is no memory to cut faces.
        FolderError: the people folder cannot be written, or has something else of that name.
        LibraryError: the file cannot be written.
    """
    from facewatch.folders.model import SHEET
    from facewatch.folders.sheet import write_sheet
    from facewatch.people.portraits import MOST_PEOPLE, portraits, shown_people
    from facewatch.presentation.html.contact_sheet import contact_page

    root = app.folder.root
    target = root / SHEET if file is None else file
    people = sorted(shown_people(app.catalog), key=lambda one: one.name is None)
    with crops_of(app) as crops:
        found: list[Portrait] = portraits(app.catalog, crops, people[:MOST_PEOPLE], report=report)
        page = contact_page(
            found,
            n_people=len(people),
            people_folder=root,
            file=target,
            made_at=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
            command=called_from_anywhere().get(VARIABLE, PROGRAM),
        )
    if file is None or file.absolute() == root.absolute() / SHEET:
        return write_sheet(root, page)
    return _write_elsewhere(file, page)


def _write_elsewhere(file: Path, page: str) -> Path:
    from facewatch.fs.atomic import written_at_once

    with written_at_once(file, mode=0o600) as page_file:
        page_file.write(page.encode())
    return file


def check_sheet_file(app: App, file: Path, *, force: bool) -> None:
    """Refuse a file among photos, or one that is there and no contact sheet, unless somebody wants it replaced.

    Raises:
        LibraryError: it is refused.
    """
    from facewatch.folders.sheet import is_sheet
    from facewatch.fs.atomic import check_target

    check_target(file, suffix=".html", photos=(*app.libraries.roots, *app.catalog.roots.all()))
    if force or not os.path.lexists(file) or is_sheet(file):
        return
    fault = f"{file}: is there already, and is no contact sheet"
    if not (is_somebody_there() and is_confirmed(f"{fault}. Write over it?", unasked="--force to write over it")):
        raise LibraryError(f"{fault}; name another file, or write over it with --force")
