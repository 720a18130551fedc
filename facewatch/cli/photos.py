"""The command `photos`: finds photos by who is on them, how many faces they show, when and where they were taken."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_csv, print_json
from facewatch.cli.program import State, command, pass_state

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog.photos import FoundPhoto, PhotoQuery
    from facewatch.folders.model import WantedLink
    from facewatch.people.photos.finder import OfflinePlaces, PhotoFinder


@command("photos", "Find photos by people, faces, dates and folders.")
@click.argument("words", nargs=-1)
@click.option("-n", "most", type=click.IntRange(min=1), metavar="N", help="Only the N newest.")
@click.option("--count", "is_count", is_flag=True, help="Print only how many there are.")
@click.option("-0", "--null", "is_null", is_flag=True, help="End paths with a NUL byte, for `xargs -0`.")
@click.option("--folder", type=click.Path(path_type=Path), metavar="DIR", help="Make DIR a folder of links to them.")
@click.option("--dry-run", is_flag=True, help="With --folder: show what would be done without doing it.")
@click.option("--csv", "kind", flag_value="csv", help="Print CSV with a header line, one row per photo.")
@click.option("--json", "kind", flag_value="json", help="Print JSON.")
@pass_state
def photos(
    state: State,
    words: tuple[str, ...],
    most: int | None,
    is_count: bool,
    is_null: bool,
    folder: Path | None,
    dry_run: bool,
    kind: str | None,
) -> None:
    """Print the paths of the photos that WORDS describe, the newest first; without WORDS all of them.

    \b
    WORDS, each as often as needed; all must hold:
      with Anna "Ben Miller"   these people are on it (`with` may be left out)
      with Anna or Ben         one of them is
      without Carl Dora        neither of them is
      faces:2  faces:3+  faces:2-5  faces:0      so many faces
      2019  2019-05  2015-2018  2019-05..2019-08   taken then
      since 2019  before 2010  after 2019  until 2010
      in:Holidays  in:2019/Rome  in:"Rom*"  in:/home/me/Pictures/2019
      undated                  nobody knows when it was taken
      deleted                  no file holds it any more

    A name is an id (p12), a name, or an unambiguous beginning of one; `in` takes the end of a folder's path. A photo
    with copies is printed once. What cannot be listed, or opened now, is said on stderr.

    With --folder, DIR has a link to each of these photos and to no others: what an earlier search put there and this
    one does not find goes, your own files stay. DIR must be new, empty, or made by this command, and lie outside the
    libraries and the people folder.

    \b
    Example:
      facewatch photos with Anna Ben without Carl since 2019
      facewatch photos Anna faces:1 -0 | xargs -0 -n1 -I{} cp {} /tmp/anna
      facewatch photos in:Holidays faces:3+ --json
      facewatch photos Anna or Ben 2019 --folder ~/Anna-and-Ben

    \b
    Exit codes:
      0 done, also when no photo was found; 2 command line, or words that are not
      understood; 5 catalog; 8 DIR cannot be used; 9 unknown or ambiguous
      person, or no such folder
    """
    from facewatch.people.photos.words import words_of_arguments

    _check_options(is_count=is_count, is_null=is_null, kind=kind, folder=folder, dry_run=dry_run)
    with state.app() as app:
        finder = app.photos()
        query = finder.understand(words_of_arguments(words), here=Path.cwd())
        if is_count:
            _print_count(finder, query, as_json=kind == "json")
            return
        offline, found = finder.offline(), finder.all(query, most=most)
        if folder is not None:
            links = [offline.link_to(photo) for photo in found if photo.files]
            _make_folder(state, app, folder, links, dry_run=dry_run, as_json=kind == "json")
        elif kind == "json":
            _print_json(finder, query, found, offline)
        elif kind == "csv":
            _print_csv(found, offline)
        else:
            n_offline = _print_paths(found, offline, is_null=is_null)
            if not state.is_quiet:
                _print_notes(app, finder, query, n_offline, offline)


def _check_options(*, is_count: bool, is_null: bool, kind: str | None, folder: Path | None, dry_run: bool) -> None:
    """Refuse options that contradict each other."""
    if dry_run and folder is None:
        raise click.UsageError("--dry-run goes with --folder")
    forms = [("-0", is_null), ("--csv", kind == "csv"), ("--count", is_count), ("--folder", folder is not None)]
    chosen = [name for name, is_chosen in forms if is_chosen]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} contradict each other; choose one")
    if is_null and kind:
        raise click.UsageError("--json takes no -0; choose one")


def _make_folder(
    state: State, app: App, root: Path, links: Sequence[WantedLink], *, dry_run: bool, as_json: bool
) -> None:
    from facewatch.presentation import photos as said

    folder = app.photo_folder(root.absolute())
    if dry_run:
        plan = folder.plan(links)
        if as_json:
            print_json({"folder": str(folder.root), "steps": plan.describe(), "faults": list(plan.faults)})
        else:
            for line in (*plan.describe(), *plan.faults, said.planned_line(folder.root, plan)):
                echo(line)
        return
    linked = folder.sync(links)
    if as_json:
        print_json({"folder": str(folder.root)} | asdict(linked))
    elif not state.is_quiet:
        echo(said.linked_line(folder.root, linked))


def _print_count(finder: PhotoFinder, query: PhotoQuery, *, as_json: bool) -> None:
    from facewatch.presentation import photos as said

    totals = finder.totals(query)
    if as_json:
        print_json(said.totals_row(totals, finder.offline()))
    else:
        click.echo(totals.n_photos)


def _print_json(finder: PhotoFinder, query: PhotoQuery, found: Iterable[FoundPhoto], offline: OfflinePlaces) -> None:
    from facewatch.presentation import photos as said

    rows = [said.photo_row(photo, offline) for photo in found]
    print_json(said.totals_row(finder.totals(query), offline) | {"photos": rows})


def _print_csv(found: Iterable[FoundPhoto], offline: OfflinePlaces) -> None:
    from facewatch.presentation import photos as said

    print_csv(said.PHOTO_COLUMNS, (said.photo_cells(photo, offline) for photo in found))


def _print_paths(found: Iterable[FoundPhoto], offline: OfflinePlaces, *, is_null: bool) -> int:
    """Print a path of each photo, and return how many of them are offline."""
    n_offline = 0
    for photo in found:
        n_offline += offline.is_offline(photo)
        if (file := offline.best_file(photo)) is not None:
            _print_path(file.path, is_null=is_null)
    return n_offline


def _print_path(path: str, *, is_null: bool) -> None:
    if sys.stdout.isatty() and not is_null:
        echo(path)
    else:  # as the file system has it
        click.echo(os.fsencode(path) + (b"\0" if is_null else b"\n"), nl=False)


def _print_notes(app: App, finder: PhotoFinder, query: PhotoQuery, n_offline: int, offline: OfflinePlaces) -> None:
    for line in _notes(app, finder, query, n_offline, offline):
        echo(line, is_error=True)


def _notes(app: App, finder: PhotoFinder, query: PhotoQuery, n_offline: int, offline: OfflinePlaces) -> Iterator[str]:
    from facewatch.presentation import photos as said

    totals = finder.totals(query)
    yield said.found_line(query, totals, app.catalog.people.names())
    yield from said.offline_lines(n_offline, offline)
    yield from said.totals_lines(totals)
