"""The command `stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.faces import face_pictures
from facewatch.cli.output import echo, print_facts, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state

if TYPE_CHECKING:
    from facewatch.reports.stats import Stats


@command("stats", "Show statistics of the library.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page (.html) with charts and faces.")
@json_option
@pass_state
def stats(state: State, report: Path | None, as_json: bool) -> None:
    """Show how many faces and people there are, how large and how good the faces are, and how similar to each other.

    Distances are Euclidean between unit vectors of the engine in use: 0 is the same picture. Each face is compared with
    all others of its person and with those of the few people who are nearest.

    \b
    Example:
      facewatch stats --report stats.html
    """
    from facewatch.catalog import utc_now
    from facewatch.fs.atomic import check_target

    with state.app() as app:
        if report:
            check_target(report, suffix=".html", photos=app.catalog.roots.all())
        found = app.stats()
        crops = face_pictures(app, found.examples.ids) if report else {}
    if report:
        from facewatch.presentation.html.stats import write_page

        write_page(report, found, made_at=utc_now(), crops=crops)
    if as_json:
        from facewatch.presentation.reports import stats_row

        print_json(stats_row(found))
        return
    _print_stats(found)
    if report and not state.is_quiet:
        echo(f"\nwrote {report}")


def _print_stats(found: Stats) -> None:
    from facewatch.presentation import reports as words

    print_facts(words.stats_facts(found))
    click.echo()
    print_table(words.SPREADS_HEADER, words.spread_cells(found))
    if pairs := words.close_pairs(found):
        echo(pairs)
    click.echo()
    if found.largest:
        print_table(words.LARGEST_HEADER, words.largest_cells(found))
        click.echo()
    if found.engines:
        print_table(words.VECTORS_HEADER, words.vectors_cells(found))
