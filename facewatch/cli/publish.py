"""The command `publish`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facewatch.cli.asking import is_confirmed
from facewatch.cli.output import echo, print_json, progress_bar
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.publish.address import DEFAULT_READER, DEFAULT_SCHEMA

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.publish.address import Address


@command("publish", "Keep a copy for many readers in PostgreSQL.")
@click.argument("address", required=False)
@click.option("--schema", metavar="NAME", help="Where its tables are (facewatch).")
@click.option("--reader", metavar="ROLE", help='Who may read it (facewatch_reader); "": nobody else.')
@click.option("--rebuild", is_flag=True, help="Drop what is there, and send all again.")
@click.option("--drop", is_flag=True, help="Drop the copy instead.")
@click.option("--strike", is_flag=True, help="The copy is gone, or no longer yours: only take it off the record.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation before --drop.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent without sending it.")
@json_option
@pass_state
def publish(
    state: State,
    address: str | None,
    schema: str | None,
    reader: str | None,
    rebuild: bool,
    drop: bool,
    strike: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish photos, faces, people and embeddings to a PostgreSQL database with pgvector, where others read them.

    The first time sends all; later ones what has changed since. A publish that was cut goes on with the next. The
    catalog stays the truth, and is only read. Who was forgotten is gone there with the next publish.

    ADDRESS is postgresql://USER@HOST/DATABASE; without it the one on record is meant. A password belongs into
    ~/.pgpass or PGPASSWORD; none is ever kept, shown or logged.

    \b
    Example:
      facewatch publish postgresql://me@db.home/photos
      facewatch publish                        again, there
      facewatch publish --drop

    \b
    Exit codes:
      0 done; 1 you answered no; 2 command line; 5 catalog; 6 another facewatch
      writes to it for too long; 11 the server does not answer, cannot hold the
      copy, or was gone in the middle: publish again
    """
    if drop + strike + rebuild + dry_run > 1 and not (rebuild and dry_run and not drop and not strike):
        raise click.UsageError("--drop, --strike, --rebuild and --dry-run: only one of them (--dry-run with --rebuild)")
    with state.app() as app:
        where, into = _target(app, address, schema)
        if strike:
            _strike(app, where, into)
        elif drop:
            _drop(app, where, into, is_sure=yes, as_json=as_json)
        elif dry_run:
            _plan(app, where, into, is_rebuilt=rebuild, as_json=as_json)
        else:
            role = DEFAULT_READER if reader is None else reader
            _publish(state, app, where, into, role, is_rebuilt=rebuild, as_json=as_json)


def _target(app: App, given: str | None, schema: str | None) -> tuple[Address, str]:
    """Return which copy is meant."""
    from facewatch.presentation.copies import choices
    from facewatch.publish.address import read_address
    from facewatch.publish.server import check_installed

    check_installed()
    if given is not None:
        return read_address(given), schema or DEFAULT_SCHEMA
    targets = [one for one in app.catalog.published.targets() if schema in (None, one.schema)]
    if len(targets) != 1:
        raise click.UsageError(f"no address: {choices(targets)}")
    return read_address(targets[0].address), targets[0].schema


def _publish(
    state: State, app: App, address: Address, schema: str, reader: str, *, is_rebuilt: bool, as_json: bool
) -> None:
    from facewatch.presentation import publish as said
    from facewatch.presentation.copies import place

    with progress_bar("publishing", is_shown=not state.is_quiet and not as_json) as show:
        done = app.publisher(address, schema).run(is_rebuilt=is_rebuilt, reader=reader, report=show)
    if as_json:
        print_json(said.published_row(address.shown, schema, done))
    elif not state.is_quiet:
        echo("\n".join(said.published_lines(place(address.shown, schema), done, reader)))


def _plan(app: App, address: Address, schema: str, *, is_rebuilt: bool, as_json: bool) -> None:
    from facewatch.presentation import publish as said
    from facewatch.presentation.copies import place

    plan = app.publisher(address, schema).plan(is_rebuilt=is_rebuilt)
    if as_json:
        print_json(said.plan_row(address.shown, schema, plan))
    else:
        echo("\n".join(said.planned_lines(place(address.shown, schema), plan)))


def _drop(app: App, address: Address, schema: str, *, is_sure: bool, as_json: bool) -> None:
    from facewatch.presentation import publish as said
    from facewatch.presentation.copies import place

    where = place(address.shown, schema)
    if not is_sure and not is_confirmed(f"Drop the copy on {where}?", unasked="--yes to drop a copy"):
        raise click.exceptions.Exit(1)
    was_there = app.publisher(address, schema).drop()
    if as_json:
        print_json({"address": address.shown, "schema": schema, "was_there": was_there})
    else:
        echo(said.dropped_line(where, was_there=was_there))


def _strike(app: App, address: Address, schema: str) -> None:
    from facewatch.presentation.copies import place
    from facewatch.presentation.publish import struck_line

    with app.catalog.write():
        app.catalog.published.remove(address.shown, schema)
    echo(struck_line(place(address.shown, schema)))
