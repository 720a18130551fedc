"""The command `folders`."""

from __future__ import annotations

from dataclasses import asdict

import click

from facewatch.cli.output import echo, print_json
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.text import plural


@command("folders", "Bring the people folder up to date.")
@click.option("--dry-run", is_flag=True, help="Show what would be concluded and done without doing it.")
@click.option("--accept", is_flag=True, help="Decide what was changed by hand, also where that waits for your word.")
@click.option("--repair", is_flag=True, help="Put the folder back as it was: what was changed by hand means nothing.")
@click.option("--take-over", is_flag=True, help="Make the folder of a catalog that is gone this one's.")
@json_option
@pass_state
def folders(state: State, dry_run: bool, accept: bool, repair: bool, take_over: bool, as_json: bool) -> None:
    """Bring the people folder up to date with the catalog. Running it twice changes nothing.

    What you changed in it with a file manager is decided first: a folder that you renamed names its person, a link that
    you deleted is not that person, one that you moved belongs to the other. --dry-run shows it in words, `facewatch
    undo` takes it back.

    A people folder that was deleted is made again. One of another catalog is refused; with --take-over it is this one's
    from then on, and the names of its folders are given to the same people again, at once or after the next scan.

    \b
    Example:
      facewatch folders --dry-run
      facewatch folders --repair
    """
    from facewatch.folders.model import describe
    from facewatch.presentation.from_folder import reading_lines, reading_row, step_lines
    from facewatch.presentation.reports import taken_over

    given = {"--dry-run": dry_run, "--accept": accept, "--repair": repair, "--take-over": take_over}
    if len(chosen := [option for option, is_given in given.items() if is_given]) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} contradict each other; choose one")
    with state.app() as app:
        reader = app.folder_reader
        reader.is_said = as_json or not state.is_quiet
        app.folder.believe_deleted()
        if accept or repair:
            app.folder.mark_again()
        taken = app.pipeline.take_over() if take_over else None
        if dry_run:
            preview = reader.preview()
            readings, actions = [preview.reading], preview.plan.actions
        else:
            done = reader.accept() if accept else reader.repair() if repair else app.folder.sync()
            readings, actions = reader.readings, done.actions
    steps = describe(actions)
    if as_json:
        row = {"dry_run": dry_run, "steps": steps, "changes": [reading_row(one) for one in readings]}
        print_json(row | ({"taken_over": asdict(taken)} if taken else {}))
    elif not state.is_quiet:
        for line in taken_over(taken) if taken else ():
            echo(line)
        for reading in readings:
            for line in reading_lines(reading, is_trial=dry_run):
                echo(line)
        for step in step_lines(actions, is_whole=state.is_verbose):
            echo(step)
        would = "would be taken" if dry_run else "taken"
        echo(f"{app.folder.root}: {plural(len(steps), 'step')} {would}")
