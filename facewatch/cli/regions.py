"""The command `regions`."""

from __future__ import annotations

import click

from facewatch.cli.output import echo, print_facts, print_json
from facewatch.cli.program import State, command, json_option, pass_state


@command("regions", "What files say about people in photos.")
@click.option("--conflicts", "only_conflicts", is_flag=True, help="List the names that were not taken over, and why.")
@click.option("--write", "writes", is_flag=True, help="Write who is in your photos into sidecars (XMP).")
@click.option("--again", is_flag=True, help="With --write: also names that are gone from their sidecars.")
@click.option("--leave", is_flag=True, help="With --write: leave names out that are gone from their sidecars.")
@click.option("--dry-run", is_flag=True, help="With --write: show what would be written.")
@json_option
@pass_state
def regions(
    state: State, only_conflicts: bool, writes: bool, again: bool, leave: bool, dry_run: bool, as_json: bool
) -> None:
    """Count what files in and beside your photos say about the people in them: names that digiKam, Lightroom, Picasa
    and others wrote. A scan takes them over, where you have not said otherwise; `facewatch undo` takes that back.

    With --conflicts: names that were not taken over, because files disagree, because a name is on two faces of one
    photo, or because you had said otherwise; each with what settles it.

    With --write: who is in your photos by your word, written into sidecars that these programs read; the photos are
    never touched. Names that facewatch wrote and that are gone from a sidecar are asked for: --again writes them
    once more, --leave leaves them out.

    \b
    Example:
      facewatch regions --conflicts
      facewatch regions --write --dry-run
    """
    if (again or leave or dry_run) and not writes:
        raise click.UsageError("--again, --leave and --dry-run go with --write")
    if (again and leave) or (only_conflicts and writes):
        raise click.UsageError("choose one of --again and --leave, and one of --conflicts and --write")
    if writes:
        _write(state, again=again, leave=leave, is_trial=dry_run, as_json=as_json)
    else:
        _count(state, only_conflicts=only_conflicts, as_json=as_json)


def _count(state: State, *, only_conflicts: bool, as_json: bool) -> None:
    from facewatch.presentation import regions as words

    with state.app(needs_catalog=True) as app:
        shown = words.shown_conflicts(app.catalog, app.names_from_files.conflicts())
        counts, written = app.names_from_files.counts(), app.names_into_files.counts()
    if as_json:
        print_json(words.regions_row(counts, shown, written))
    elif only_conflicts:
        for line in words.conflict_lines(shown):
            echo(line)
    else:
        print_facts(words.regions_facts(counts, len(shown), written))


def _write(state: State, *, again: bool, leave: bool, is_trial: bool, as_json: bool) -> None:
    from facewatch.people.sidecar_rules import Answer
    from facewatch.presentation import sidecars as words

    answer = Answer.AGAIN if again else Answer.LEAVE if leave else None
    with state.app(needs_catalog=True) as app:
        told = list(app.names_into_files.write(answer, is_trial=is_trial))
        warnings = list(words.warning_lines(app.catalog.people.names().values()))
        is_empty = not told and not app.names_into_files.counts().n_written
        only_confirmed = app.config["regions.who"] == "confirmed"
    if as_json:
        print_json(words.sidecars_row(told, is_trial=is_trial) | {"warnings": warnings})
    elif not state.is_quiet:
        for line in (*warnings, *words.sidecar_lines(told, is_trial=is_trial)):
            echo(line)
        if is_empty and only_confirmed:
            echo(words.ONLY_CONFIRMED)
