"""The command `recluster`."""

from __future__ import annotations

from typing import Any

import click

from facewatch.cli.output import echo, print_json, print_table, progress_bar
from facewatch.cli.program import Choice, State, command, json_option, pass_state
from facewatch.clustering import METHODS


@command("recluster", "Group unassigned faces again.")
@click.option("--method", type=Choice(list(METHODS)), help="How to group; the default is in the settings.")
@click.option("--strictness", type=float, help="In place of match.strictness: above 0 is stricter, below 0 looser.")
@click.option("--min-faces", type=int, help="A group needs this many faces to become a person.")
@click.option("--eps", type=float, help="whispers, dbscan, infomap: the farthest that neighbours may be apart.")
@click.option("--min-samples", type=int, help="dbscan: faces within eps of one that takes them into its group.")
@click.option("--k-reciprocal", type=int, help="spectral: among how many nearest faces two must find each other.")
@click.option("--verification-threshold", type=float, help="spectral: faces farther from their centroid leave.")
@click.option("--n-clusters", type=int, help="spectral: how many people the cuts aim at.")
@click.option(
    "--from-scratch", "is_from_scratch", is_flag=True, help="Also groups about which nothing was decided are made anew."
)
@click.option("--dry-run", is_flag=True, help="Show whom it would change, and change nothing.")
@json_option
@pass_state
def recluster(state: State, /, is_from_scratch: bool, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Group the unassigned faces. Named people are never changed; unnamed ones may grow or be merged, and with
    --from-scratch be split, too. `facewatch undo` takes it back.

    \b
    Example:
      facewatch recluster --dry-run
      facewatch recluster --method dbscan --eps 0.3 --from-scratch --dry-run
    """
    from facewatch.app import App
    from facewatch.presentation import recluster as words
    from facewatch.presentation.corrections import lines
    from facewatch.settings import with_recluster

    config = with_recluster(state.config(), given, source="the command line")
    with (
        App(config, needs_catalog=True) as app,
        progress_bar("grouping faces", is_shown=not state.is_quiet) as report,
    ):
        reclusterer = app.reclusterer()
        if dry_run:
            preview = reclusterer.preview(is_from_scratch=is_from_scratch, report=report)
            row, text = words.preview_row(preview), list(words.preview_lines(preview))
        else:
            preview, decided = reclusterer.recluster(is_from_scratch=is_from_scratch, report=report)
            row = words.applied_row(preview, decided)
            text = [words.reclustered(preview.result, is_dry_run=False)]
            text += lines(app.catalog, decided, app.folder.root)
    if as_json:
        print_json(row)
    elif not state.is_quiet:
        echo("\n".join(text))
        if dry_run and preview.people:
            print_table(words.CHANGED_HEADER, words.changed_cells(preview), prose=words.CHANGED_HEADER[-1:])
