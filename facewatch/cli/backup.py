"""The commands `backup` and `restore`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from facewatch.cli.asking import is_confirmed
from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.program import State, command, json_option, pass_state


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
    from facewatch.catalog.backup import back_up, target_named

    config, target = state.config(), target_named(file)
    with progress_bar("backup", is_shown=not state.is_quiet and not as_json) as show:
        made = back_up(
            config.catalog,
            target,
            apart_from=config.photos,
            people=config.people,
            may_replace=force,
            now=datetime.now().astimezone(),
            report=show,
        )
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
      damaged, or made by a newer facewatch; 6 another facewatch is running;
      8 the catalog is restored, but the people folder could not follow
    """
    from facewatch.app import locations_of, restore_backup
    from facewatch.errors import FolderError
    from facewatch.folders.restore import check_nobody_runs, preview
    from facewatch.presentation import catalog as words

    config = state.config()
    if not yes:
        check_nobody_runs(config.catalog)
        for line in words.before_restoring(preview(locations_of(config), file)):
            echo(line, is_error=True)
        if not is_confirmed("Restore it?", unasked="--yes to restore"):
            raise click.exceptions.Exit(1)
    with progress_bar("restore", is_shown=not state.is_quiet and not as_json) as show:
        done = restore_backup(config, file, now=datetime.now().astimezone(), report=show)
    if as_json:
        print_json(words.restored_row(done))
    elif not state.is_quiet:
        echo("\n".join(words.restored_lines(done, with_losses=yes)))
    if done.folder_fault:
        raise FolderError(f"the catalog is restored, but the folders do not show it yet: {done.folder_fault}")
