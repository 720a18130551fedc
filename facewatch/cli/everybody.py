"""Everybody by their faces: drawn in the terminal, on a contact sheet, and at the end of a scan."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from facewatch import ids
from facewatch.cli.asking import is_confirmed, is_somebody_there
from facewatch.cli.calling import PROGRAM, VARIABLE, called_from_anywhere
from facewatch.cli.output import echo, plural
from facewatch.cli.pictures import Protocol, Screen, draw_on, picture_of, screen_of
from facewatch.errors import EngineError, FolderError, LibraryError

if TYPE_CHECKING:
    from facewatch.app import ScanResult, Service
    from facewatch.catalog import Person
    from facewatch.people.portraits import Portrait
    from facewatch.service.reviewing import Cutting
    from facewatch.types import Progress

N_DRAWN = 20
"""People who are drawn in a terminal if nobody says how many."""
N_LARGEST = 8
"""Those at the end of a scan, where they can be drawn; half of them where all that a first scan says would not fit."""
LINES_FOR_LARGEST = 36
N_LARGEST_LINES = 5
"""The same where they cannot."""

BETTER_PACK = "buffalo_l"
"""What is recommended to whoever uses the engine that needs no files."""

NO_SCREEN = Screen(Protocol.NONE)


def screen_here() -> Screen:
    """Return what this terminal can show, without asking it: it may be typed in already."""
    return screen_of(os.environ, sys.stdin, sys.stdout, may_ask=False)


# --- drawn in the terminal ---


def draw_people(service: Service, screen: Screen, people: Sequence[Person]) -> str:
    """Return the faces of these people, to be sent to a terminal that can show them; "" when it cannot, or there are
    none to be had."""
    from facewatch.people.portraits import portraits

    if screen.protocol is Protocol.NONE or not people:
        return ""
    try:
        with _cutting(service) as cutting:
            found = portraits(service.catalog, cutting, people, n_faces=1)
            pictures = [picture_of(one.crops[0]) if one.crops else None for one in found]
    except EngineError:
        return ""
    if not any(pictures):
        return ""
    return draw_on(screen, pictures, [_label(one) for one in people])


def _label(person: Person) -> str:
    from facewatch.catalog import display

    name = "" if person.name is None else f" {display(person.name)}"
    return f"{ids.person(person.id)}{name}\n{plural(person.n_photos, 'photo')}\n"


def _cutting(service: Service) -> Cutting:
    from facewatch.service.reviewing import cutting

    # Those that looked at photos need not be there beside these.
    service.rest()
    return cutting(service, n_workers=service.n_workers)


def print_people(service: Service, screen: Screen, most: int, people: Sequence[Person]) -> bool:
    """Print the faces of so many of these people; whether they could be shown."""
    drawn = draw_people(service, screen, people[:most])
    if drawn:
        click.echo(drawn, nl=False)
        n, everyone = len(people), plural(len(people), "person", "people")
        shown = (
            f"{most} of {everyone}: facewatch people -n {n} draws all," if n > most else f"{everyone}: facewatch people"
        )
        echo(f"{shown} --table lists them,\n--contact-sheet writes a page for a browser")
    return bool(drawn)


# --- the contact sheet ---


def write_contact_sheet(
    service: Service, file: Path | None = None, *, report: Callable[[Progress], None] = lambda _: None
) -> Path:
    """Write a page that shows everybody, and return where it is; without `file` at the top of the people folder.

    Raises:
        EngineError: there is no memory to cut faces.
        FolderError: the people folder cannot be written, or has something else of that name.
        LibraryError: the file cannot be written.
    """
    from facewatch import folders
    from facewatch.cli.contact_page import contact_page
    from facewatch.people.portraits import MOST_PEOPLE, portraits, shown_people

    root = service.folder.root
    target = root / folders.SHEET if file is None else file
    people = sorted(shown_people(service.catalog), key=lambda one: one.name is None)
    with _cutting(service) as cutting:
        found: list[Portrait] = portraits(service.catalog, cutting, people[:MOST_PEOPLE], report=report)
        page = contact_page(
            found,
            n_people=len(people),
            people_folder=root,
            file=target,
            made_at=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}",
            command=called_from_anywhere().get(VARIABLE, PROGRAM),
        )
    if file is None or file.absolute() == root.absolute() / folders.SHEET:
        return folders.write_sheet(root, page)
    return _write_elsewhere(file, page)


def _write_elsewhere(file: Path, page: str) -> Path:
    from facewatch.evaluation.files import written_at_once

    with written_at_once(file) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(page, encoding="utf-8")
    return file


def check_sheet_file(service: Service, file: Path, *, force: bool) -> None:
    """Refuse a file among photos, or one that is there and no contact sheet, unless somebody wants it replaced.

    Raises:
        LibraryError: it is refused.
    """
    from facewatch import folders
    from facewatch.evaluation.files import check_target

    check_target(file, suffix=".html", photos=(*service.libraries.roots, *service.catalog.files.roots()))
    if force or not os.path.lexists(file) or folders.is_sheet(file):
        return
    fault = f"{file}: is there already, and is no contact sheet"
    if not (is_somebody_there() and is_confirmed(f"{fault}. Write over it?", unasked="--force to write over it")):
        raise LibraryError(f"{fault}; name another file, or write over it with --force")


# --- the end of a scan ---


class Found(NamedTuple):
    """What a scan has to show of those whom it found."""

    sheet: Path | None
    note: str
    """Why there is no sheet."""
    drawn: str
    """The faces of some, where the terminal can show them."""
    n_drawn: int
    people: tuple[Person, ...]
    """Who are on most photos."""


def show_found(
    service: Service, result: ScanResult, screen: Screen, report: Callable[[Progress], None]
) -> Found | None:
    """Write the contact sheet and return who is to be shown; None: the scan found nobody new."""
    from facewatch.people.portraits import shown_people

    if not result.n_new_people:
        return None
    people = shown_people(service.catalog)
    sheet, note = None, ""
    try:
        sheet = write_contact_sheet(service, report=report)
    except (EngineError, FolderError, LibraryError) as error:
        note = str(error)
    n_drawn = N_LARGEST if screen.n_lines >= LINES_FOR_LARGEST else N_LARGEST // 2
    drawn = draw_people(service, screen, people[:n_drawn])
    return Found(sheet, note, drawn, n_drawn, tuple(people))


def print_found(found: Found) -> None:
    """Say who is on most photos, and where everybody is to be seen."""
    shown = found.people[: found.n_drawn if found.drawn else N_LARGEST_LINES]
    n = len(found.people)
    click.echo(f"\n{plural(n, 'person', 'people')}" + (", most photos are of:" if n > len(shown) else ":"))
    if found.drawn:
        click.echo(found.drawn, nl=False)
    else:
        for one in shown:
            echo(f"  {ids.person(one.id):<6} {one.label:<24} {plural(one.n_photos, 'photo')}")
    if found.sheet:
        echo(f"everybody on one page, for your browser:\n  {found.sheet}")
    else:
        echo(f"no page with everybody: {found.note}")


def better_engine(service: Service) -> str | None:
    """Return that there is a better engine, what it costs and how to get it; None: something else is in use."""
    from facewatch import models
    from facewatch.app import FIRST_ENGINE

    if service.engine_name != FIRST_ENGINE:
        return None
    pack = models.known_pack(BETTER_PACK)
    change = f"  facewatch scan --engine insightface:{BETTER_PACK}"
    packs = models.list_packs(models.models_folder(service.config["engine.models"]))
    if any(one.name == BETTER_PACK and one.state == "present" for one in packs):
        return (
            f"insightface:{BETTER_PACK} is here and tells people apart far better\n"
            f"(for non-commercial research only):\n{change}"
        )
    return (
        f"insightface:{BETTER_PACK} tells people apart far better: a download of "
        f"{models.megabytes(pack.archive.size)},\nfor non-commercial research only; names and decisions stay:\n"
        f"  facewatch models fetch {BETTER_PACK}\n{change}"
    )
