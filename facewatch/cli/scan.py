"""The command `scan`, and whom a scan found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.engines import ENGINE_HELP
from facewatch.errors import EngineError, FolderError, LibraryError

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog import Person
    from facewatch.cli.pictures import Screen
    from facewatch.pipeline import ScanResult
    from facewatch.types import Progress

N_LARGEST = 8
"""People at the end of a scan, where they can be drawn; half of them where all that a first scan says would not fit."""
LINES_FOR_LARGEST = 36
N_LARGEST_LINES = 5
"""The same where they cannot."""

BETTER_PACK = "buffalo_l"
"""What is recommended to whoever uses the engine that needs no files."""


@command("scan", "Scan photo libraries once.")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--engine", help=ENGINE_HELP)
@click.option(
    "--aligned/--no-aligned",
    default=None,
    help="PHOTOS are aligned crops of one face each, so detection is skipped. Remembered.",
)
@click.option(
    "--new-drive",
    "is_new_drive",
    is_flag=True,
    help="The drive was replaced; photos that are missing on it are gone.",
)
@json_option
@pass_state
def scan(
    state: State,
    photos: tuple[Path, ...],
    engine: str | None,
    aligned: bool | None,
    is_new_drive: bool,
    as_json: bool,
) -> None:
    """Scan the libraries PHOTOS once and bring the catalog and the folders up to date.

    Without PHOTOS, the libraries in the settings are scanned, or those scanned before. Photos that are known already
    are skipped, unless the settings name another engine: then all of them are analysed again, and people, names and
    decisions are carried over at the end. While a watcher is running this only says how far it is (exit code 6).

    \b
    Example:
      facewatch scan ~/Pictures
      facewatch scan ~/Pictures --engine insightface:buffalo_l
    """
    from facewatch.errors import BusyError

    if aligned is not None and not photos:
        raise click.UsageError("--aligned needs PHOTOS: name the folders of face crops")
    # Before the progress bar stands between us and the terminal.
    screen = None if as_json or state.is_quiet else _screen()
    with (
        _app(state, photos, engine, is_aligned=bool(aligned)) as app,
        progress_bar("analysing photos", is_shown=not state.is_quiet) as report,
    ):
        if aligned is False:
            app.libraries.forget_aligned(app.libraries.roots)
        app.folder_reader.is_said = not (as_json or state.is_quiet)
        if is_new_drive:
            app.libraries.believe_new_drives()
        try:
            result = app.pipeline.scan(report)
        except BusyError as error:
            from facewatch.cli.status import why_busy

            given = {"--engine": engine, "--aligned": aligned is not None, "--new-drive": is_new_drive}
            options = [name for name, value in given.items() if value]
            raise BusyError(why_busy(app.catalog.path, options=options, libraries=photos) or str(error)) from error
        status = None if as_json or state.is_quiet else app.status()
        found = show_found(app, result, screen, report)
        hint = better_engine(app) if result.is_first and result.faces.n_faces else None
    if as_json:
        print_json(result.row() | {"contact_sheet": str(found.sheet) if found and found.sheet else None})
    elif status is not None:
        from facewatch.presentation.from_folder import reading_lines
        from facewatch.presentation.reports import scan_lines

        readings = app.folder_reader.readings
        n_followed = sum(len(reading.conclusions) for reading in readings)
        echo("\n".join(scan_lines(result, status, n_followed=n_followed)))
        for reading in readings:
            for line in reading_lines(reading):
                echo(line)
        if found:
            print_found(found)
        if hint:
            echo(hint)
        if status.counts.n_unnamed:
            echo("next: facewatch review, which shows faces and asks who they are;")
            echo("  in your browser: facewatch web --open")


def _app(state: State, photos: tuple[Path, ...], engine: str | None, *, is_aligned: bool) -> App:
    from facewatch.library.layout import check_library

    for library in photos:
        check_library(library)
    named = [str(p) for p in photos] or None
    aligned = named if is_aligned else None
    return state.app(needs_catalog=False, library__photos=named, library__aligned=aligned, engine__name=engine)


# --- whom it found ---


class Found(NamedTuple):
    """The people whom a scan found, with a picture of each."""

    sheet: Path | None
    note: str
    """Why there is no sheet."""
    drawn: str
    """The faces of some, where the terminal can show them."""
    n_drawn: int
    people: tuple[Person, ...]
    """Who are on most photos."""


def _screen() -> Screen:
    from facewatch.cli.faces import screen_here

    return screen_here()


def show_found(app: App, result: ScanResult, screen: Screen | None, report: Callable[[Progress], None]) -> Found | None:
    """Write the contact sheet and return who is to be shown; None: the scan found nobody new. `screen`: None: nothing
    is to be drawn."""
    if not result.faces.n_new_people:
        return None
    from facewatch.cli.faces import NO_SCREEN, draw_people
    from facewatch.cli.people import write_contact_sheet
    from facewatch.people.portraits import shown_people

    people = shown_people(app.catalog)
    sheet, note = None, ""
    try:
        sheet = write_contact_sheet(app, report=report)
    except (EngineError, FolderError, LibraryError) as error:
        note = str(error)
    screen = screen or NO_SCREEN
    n_drawn = N_LARGEST if screen.n_lines >= LINES_FOR_LARGEST else N_LARGEST // 2
    drawn = draw_people(app, screen, people[:n_drawn])
    return Found(sheet, note, drawn, n_drawn, tuple(people))


def print_found(found: Found) -> None:
    """Say who is on most photos, and where everybody is to be seen."""
    from facewatch.presentation import catalog as words

    shown = found.people[: found.n_drawn if found.drawn else N_LARGEST_LINES]
    echo(f"\n{words.most_photos(len(found.people), len(shown))}")
    if found.drawn:
        click.echo(found.drawn, nl=False)
    else:
        for one in shown:
            echo(words.person_line(one))
    if found.sheet:
        echo(f"everybody on one page, for your browser:\n  {found.sheet}")
    else:
        echo(f"no page with everybody: {found.note}")


def better_engine(app: App) -> str | None:
    """Return that there is a better engine, what it costs and how to get it; None: something else is in use."""
    from facewatch.engines import FIRST_ENGINE
    from facewatch.models import packs
    from facewatch.presentation.catalog import better_pack

    if app.engine.name != FIRST_ENGINE:
        return None
    there = packs.list_packs(packs.models_folder(app.config["engine.models"]))
    is_here = any(one.name == BETTER_PACK and one.state == "present" for one in there)
    return better_pack(packs.REGISTRY[BETTER_PACK], is_here=is_here)
