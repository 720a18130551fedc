"""The command `folders`."""

from __future__ import annotations

from dataclasses import asdict

import click

from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import plural


@command("folders", "Bring the people folder up to date.")
@click.option("--dry-run", is_flag=True, help="Show what would be done without doing it.")
@click.option("--take-over", is_flag=True, help="Make the folder of a catalog that is gone this one's.")
@json_option
@pass_state
def folders(state: State, dry_run: bool, take_over: bool, as_json: bool) -> None:
    """Bring the people folder up to date with the catalog. Running it twice changes nothing.

    A people folder that was deleted is made again. One of another catalog is refused; with --take-over it is this one's
    from then on, and the names of its folders are given to the same people again, at once or after the next scan.

    \b
    Example:
      facewatch folders --dry-run
    """
    from facewatch.presentation.reports import taken_over

    if dry_run and take_over:
        raise click.UsageError("--take-over and --dry-run contradict each other; choose one")
    with state.app() as app:
        app.folder.believe_deleted()
        taken = app.pipeline.take_over() if take_over else None
        if not dry_run:
            app.folder.check()
        plan = app.folder.plan()
        steps = plan.describe()
        if not dry_run:
            app.folder.sync()
    if as_json:
        print_json({"dry_run": dry_run, "steps": steps} | ({"taken_over": asdict(taken)} if taken else {}))
    elif not state.is_quiet:
        for line in taken_over(taken) if taken else ():
            echo(line)
        for step in steps:
            echo(step)
        would = "would be taken" if dry_run else "taken"
        echo(f"{app.folder.root}: {plural(len(steps), 'step')} {would}")
