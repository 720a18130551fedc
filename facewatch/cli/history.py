"""The commands `undo`, `redo` and `history`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facewatch import ids
from facewatch.cli.corrections import describe
from facewatch.cli.output import echo, local_time, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state

if TYPE_CHECKING:
    from facewatch.app import Service
    from facewatch.catalog import Entry
    from facewatch.people.undo import Undone


_TABLE_ROWS = 50
"""Lines of a history that somebody still reads."""


@command("undo", "Undo decisions.")
@click.argument("what", metavar="[N|ID]", required=False, default="1")
@click.option("--id", "entry_id", metavar="ID", help="Take back this one, by its id in `facewatch history` (d41).")
@click.option("--chain", "with_chain", is_flag=True, help="With --id: and all later decisions that build on it.")
@json_option
@pass_state
def undo(state: State, what: str, entry_id: str | None, with_chain: bool, as_json: bool) -> None:
    """Take back the last N decisions (one, if not said), or the decision ID: people, names, faces, rejections and
    folders are as before.

    \b
    Example:
      facewatch undo
      facewatch undo 3          # the last three
      facewatch undo d41        # that one alone
    """
    if ids.is_decision(what):
        if entry_id is not None:
            raise click.UsageError("ID and --id name two decisions; take them back one by one")
        what, entry_id = "1", what
    n = _n_decisions(what)
    if entry_id is None and with_chain:
        raise click.UsageError("--chain needs --id: say which decision")
    if entry_id is not None and n != 1:
        raise click.UsageError("N and --id contradict each other: N counts from the last decision, --id names one")
    one = _decision_id(entry_id) if entry_id is not None else None
    with state.service() as service:
        undone = service.undo(n) if one is None else service.undo_one(one, with_chain=with_chain)
        _print_undone(state, service, undone, "undone", as_json)


def _n_decisions(text: str) -> int:
    n = ids.read_decision(text)
    if not n:
        raise click.BadParameter(f"{text!r} is neither how many decisions (3), nor one of them (d41)")
    return n


def _decision_id(text: str) -> int:
    entry_id = ids.read_decision(text)
    if entry_id is None:
        raise click.BadParameter(f"{text!r} is no decision; `facewatch history` lists their ids, like d41")
    return entry_id


@command("redo", "Redo what was undone last.")
@json_option
@pass_state
def redo(state: State, as_json: bool) -> None:
    """Redo what `undo` took back last. Possible until the next decision.

    \b
    Example:
      facewatch redo
    """
    with state.service() as service:
        _print_undone(state, service, service.redo(), "made again", as_json)


def _print_undone(state: State, service: Service, undone: Undone, what: str, as_json: bool) -> None:
    if as_json:
        print_json([_entry_row(service, entry) for entry in undone.entries])
    elif not state.is_quiet:
        for entry in undone.entries:
            echo(f"{what}: {describe(service, entry)}")


@command("history", "List your decisions.")
@click.option("--who", help="Only decisions about this person.")
@click.option("--all", "is_complete", is_flag=True, help="Also what runs did and what was undone.")
@click.option("-n", "n_shown", type=click.IntRange(min=1), metavar="N", help="The newest N; a table has 50, else all.")
@json_option
@pass_state
def history(state: State, who: str | None, is_complete: bool, n_shown: int | None, as_json: bool) -> None:
    """List what was decided, the newest first; `undo --id` takes one of them back.

    \b
    Example:
      facewatch history --who Anna
      facewatch history --all --json
    """
    with state.service() as service:
        entries = service.history(who)
        shown = [entry for entry in entries if is_complete or (entry.actor == "user" and entry.undone_by is None)]
        shown = [entry for entry in shown if is_complete or entry.action not in ("undo", "redo")]
        most = n_shown or (len(shown) if as_json else _TABLE_ROWS)
        rows = [_entry_row(service, entry) for entry in shown[:most]]
    if as_json:
        print_json(rows)
    elif rows:
        header = ("id", "when", "by", "what", *(["undone by"] if is_complete else []))
        lines = [_history_line(row) for row in rows]
        print_table(header, [line[: len(header)] for line in lines], prose=("what",))
        if len(rows) < len(shown):
            echo(f"and {len(shown) - len(rows)} older: -n {len(shown)} lists all")
    else:
        echo("nothing was decided yet" if not who else f"nothing was decided about {who} yet")


def _history_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    undone_by = ids.decision(row["undone_by"]) if row["undone_by"] else ""
    return ids.decision(row["id"]), local_time(row["at"]), row["actor"], row["text"], undone_by


def _entry_row(service: Service, entry: Entry) -> dict[str, Any]:
    return asdict(entry) | {"text": describe(service, entry)}
