"""The command `regions`."""

from __future__ import annotations

import click

from facewatch.cli.output import echo, print_facts, print_json
from facewatch.cli.program import State, command, json_option, pass_state


@command("regions", "What files say about people in photos.")
@click.option("--conflicts", "only_conflicts", is_flag=True, help="List the names that were not taken over, and why.")
@json_option
@pass_state
def regions(state: State, only_conflicts: bool, as_json: bool) -> None:
    """Count what files in and beside your photos say about the people in them: names that digiKam, Lightroom, Picasa
    and others wrote. A scan takes them over, where you have not said otherwise; `facewatch undo` takes that back.

    With --conflicts: names that were not taken over, because files disagree, because a name is on two faces of one
    photo, or because you had said otherwise; each with what settles it.

    \b
    Example:
      facewatch regions --conflicts
    """
    from facewatch.presentation import regions as words

    with state.app(needs_catalog=True) as app:
        shown = words.shown_conflicts(app.catalog, app.names_from_files.conflicts())
        counts = app.names_from_files.counts()
    if as_json:
        print_json(words.regions_row(counts, shown))
    elif only_conflicts:
        for line in words.conflict_lines(shown):
            echo(line)
    else:
        print_facts(words.regions_facts(counts, len(shown)))
