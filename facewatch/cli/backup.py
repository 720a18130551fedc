"""The commands `backup` and `restore`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facewatch.cli.asking import is_confirmed
from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.presentation import local_time
from facewatch.text import plural

if TYPE_CHECKING:
    from facewatch.catalog.restore import GivenUp
    from facewatch.service.keeping import Restorable, Restored

N_NAMES = 8
"""Names that are given up, of which the question tells."""


@command("backup", "Back up the catalog, even while facewatch works.")
@click.argument("file", type=click.Path())
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
@pass_state
def backup(state: State, file: str, force: bool, as_json: bool) -> None:
    """Copy the catalog to FILE, or into the folder FILE under a name with today's date. With a slash at its end it
    must be a folder that is there.

    Everything that you decided is in the catalog, and all that facewatch found out; photos are not. The copy is of one
    moment, checked, and there only when it is whole. `facewatch watch` takes one a day by itself (settings [backup]).

    \b
    Example:
      facewatch backup /media/usb/             catalog-2026-11-22.sqlite there
      facewatch backup ~/faces.sqlite --force  the same file each time

    \b
    Exit codes:
      0 done; 5 there is no catalog, it is damaged, the disk is full, or FILE
      exists or lies among the photos
    """
    from facewatch.service import keeping

    target = keeping.target_named(file)
    with progress_bar("backup", is_shown=not state.is_quiet and not as_json) as show:
        made = keeping.back_up(state.config(), target, may_replace=force, now=datetime.now().astimezone(), report=show)
    if as_json:
        print_json({"file": str(made.path), "bytes": made.n_bytes, "seconds": round(made.seconds, 3)})
    elif not state.is_quiet:
        echo(f"{made.path}: {made.n_bytes / 1e6:.1f} MB, checked")


@command("restore", "Restore the catalog from a backup.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@pass_state
def restore(state: State, file: Path, yes: bool, as_json: bool) -> None:
    """Restore the catalog from the backup FILE, and update the people folder accordingly.

    The catalog that was there is kept beside it. What you decided after the backup is not in it: how much that is
    stands in the question. Photos that came since are found by the next `facewatch scan`. Links that facewatch made
    since are taken away as far as it knows them for its own; your own files in the people folder stay.

    \b
    Example:
      facewatch restore ~/usb/catalog-2026-11-22.sqlite

    \b
    Exit codes:
      0 done; 1 you answered no; 2 nobody is there to ask; 5 FILE is no backup,
      damaged, or made by a newer facewatch; 6 another facewatch is at work;
      8 the catalog is restored, but the people folder could not follow
    """
    from facewatch.errors import FolderError
    from facewatch.service import keeping

    config = state.config()
    if not yes:
        keeping.check_nobody_at_work(config)
        for line in _consequences(keeping.look_at(config, file)):
            echo(line, is_error=True)
        if not is_confirmed("Restore it?", unasked="--yes to restore"):
            raise click.exceptions.Exit(1)
    with progress_bar("restore", is_shown=not state.is_quiet and not as_json) as show:
        done = keeping.restore(config, file, now=datetime.now().astimezone(), report=show)
    if as_json:
        print_json(_facts(done))
    elif not state.is_quiet:
        _print(done, is_told=not yes)
    if done.folder_fault:
        raise FolderError(f"the catalog is restored, but the folders do not show it yet: {done.folder_fault}")


def _consequences(found: Restorable) -> list[str]:
    backup = found.backup
    when = f", taken {local_time(backup.made_at)}" if backup.made_at else ""
    lines = [
        f"{backup.path}{when}: {plural(backup.n_photos, 'photo')}, {plural(backup.n_faces, 'face')}, "
        f"{plural(backup.n_people, 'person', 'people')}, {backup.n_named} with a name"
    ]
    if found.fault is not None:
        lines.append(f"the present catalog cannot be read ({found.fault}); it is kept aside")
    elif found.given_up is None:
        lines.append("there is no catalog now")
    else:
        lines += _losses(found.given_up)
    return lines


def _losses(given_up: GivenUp) -> Iterator[str]:
    """What is given up, and what comes back, a line each kind."""
    if given_up.n_decisions is None:
        yield "the present catalog does not descend from this backup: all that was decided in it is given up"
    else:
        is_or_are = "is" if given_up.n_decisions == 1 else "are"
        yield f"{plural(given_up.n_decisions, 'decision')} made since then {is_or_are} given up"
    for names, what in ((given_up.names, "given up"), (given_up.names_back, "back")):
        if names:
            more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
            subject = (
                f"the name {names[0]} is" if len(names) == 1 else f"the names {', '.join(names[:N_NAMES])}{more} are"
            )
            yield f"{subject} {what}"
    if given_up.engine != given_up.engine_back:
        yield f"the engine is {given_up.engine_back or 'none'} again, not {given_up.engine or 'none'}"
    if given_up.n_photos:
        yield f"{plural(given_up.n_photos, 'photo')} that came since: found again by the next `facewatch scan`"
    if given_up.n_links or given_up.n_links_back:
        yield f"people folder: links that go: about {given_up.n_links}; that come back: about {given_up.n_links_back}"


def _facts(done: Restored) -> dict[str, Any]:
    return {
        "catalog": str(done.catalog),
        "given_up": asdict(done.given_up) if done.given_up else None,
        "kept": str(done.kept) if done.kept else None,
        "contradictions": list(done.contradictions),
        "left": [str(path) for path in done.left],
        "n_links_made": done.n_links_made,
        "n_links_removed": done.n_links_removed,
        "folder_fault": done.folder_fault,
    }


def _print(done: Restored, *, is_told: bool) -> None:
    echo(f"{done.catalog}: restored")
    for line in _losses(done.given_up) if done.given_up and not is_told else ():
        echo(line)
    if done.kept:
        echo(f"the catalog that was there is kept: {done.kept}")
    if done.contradictions:
        echo("the backup contradicts itself: `facewatch audit` says how")
    if done.n_links_made or done.n_links_removed:
        echo(f"people folder: {plural(done.n_links_made, 'link')} made, {done.n_links_removed} removed")
    if done.left:
        echo(f"{plural(len(done.left), 'link')} that may be facewatch's own, left because no record tells: look at")
        for folder in sorted({path.parent for path in done.left}):
            echo(f"  {folder}")
    echo("next: `facewatch scan`")
