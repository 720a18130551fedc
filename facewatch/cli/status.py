"""The commands `status`, and `pause` and `resume`, which say when the watcher may work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.errors import ConfigError
from facewatch.logs import one_line
from facewatch.text import printable

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog import Pause
    from facewatch.reports.status import Status

WATCH_SECONDS = 1.0
"""How often `status --watch` looks."""


@command("status", "Show what there is and what is wrong.")
@click.option("--all", "is_all", is_flag=True, help="List every file that could not be used, not some of each cause.")
@click.option("--watch", "is_watching", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.option("--prometheus", "is_metrics", is_flag=True, help="Print metrics in Prometheus' text format.")
@click.option(
    "--check", "is_check", is_flag=True, help="Say in a line whether a watcher is running; exit code 1 when none is."
)
@json_option
@pass_state
def status(state: State, is_all: bool, is_watching: bool, is_metrics: bool, is_check: bool, as_json: bool) -> None:
    """Show what the catalog holds, what is running, and which files could not be used and why.

    It reads only, also while a watcher is busy. The times are those of the clock on the wall; JSON has UTC. What a
    watcher says is believed for a minute at least, so that it is enough to --check once a minute.

    \b
    Example:
      facewatch status --watch
      facewatch status --check || echo "nobody watches"
    """
    from facewatch.presentation import reports as words

    forms = {"--watch": is_watching, "--prometheus": is_metrics, "--check": is_check, "--json": as_json}
    chosen = [option for option, is_chosen in forms.items() if is_chosen]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are two ways to show it; choose one")
    if is_check:
        _check(state)
        return
    if is_watching and not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal; `status --json` is for programs")
    with state.app() as app:
        if is_watching:
            _watch(app, is_all=is_all)
            return
        current = app.status()
    if as_json:
        print_json(words.status_row(current))
    elif is_metrics:
        from facewatch.reports.status import exposition

        click.echo(exposition(current, datetime.now(UTC)), nl=False)
    else:
        echo("\n".join(words.status_lines(current, datetime.now(UTC), is_all=is_all)))
        if is_all and current.passed_over:
            rows = [(one.rule, one.n_folders, one.n_files) for one in current.passed_over]
            click.echo()
            print_table(("passed over", "folders", "files"), rows)
        if is_all and current.faults:
            print_table(
                ("file", "fault", "what to do"),
                [(one.path, one.fault.text, one.fault.advice) for one in current.faults],
                prose=("fault", "what to do"),
            )


def _check(state: State) -> None:
    """Say whether a watcher is running, from what it says of itself; the catalog is not opened."""
    from facewatch.presentation import reports as words
    from facewatch.reports.status import at_work

    catalog, now = _catalog_of(state), datetime.now(UTC)
    runner, live = at_work(catalog)
    if runner is None or not runner.is_watcher:
        runner = live = None
    if runner is None or live is None or not live.is_fresh(now):
        echo(f"{words.not_watched(runner, live)} ({catalog})")
        raise click.exceptions.Exit(1)
    echo(words.watched(runner, live, now))


def _catalog_of(state: State) -> Path:
    """Return where the catalog is, whatever else is wrong with the settings: a watcher that began before somebody
    spoiled them is still running."""
    try:
        return state.config().catalog
    except ConfigError as error:
        from facewatch.checks.doctor import read_settings

        config, _ = read_settings(state.config_file, state.overrides, cwd=Path.cwd())
        echo(
            f"{printable(one_line(str(error)))}; this is the status of {printable(str(config.catalog))}", is_error=True
        )
        return config.catalog


def why_busy(catalog: Path, *, options: Sequence[str] = (), libraries: Sequence[Path] = ()) -> str | None:
    """Return what to say to somebody who wants to scan or watch while another process does; None: none does any more.

    Args:
        options: those that were given; the process may know nothing of them, nor of the libraries.
    """
    from facewatch.presentation.reports import busy
    from facewatch.reports.status import at_work

    runner, live = at_work(catalog)
    if runner is None:
        return None
    known = {os.path.realpath(root) for root in live.libraries.last_look} if live else set()
    unknown = [str(library) for library in libraries if known and os.path.realpath(library) not in known]
    return busy(runner, live, [*options, *unknown], datetime.now(UTC))


# --- again and again ---


def _watch(app: App, *, is_all: bool) -> None:
    """Show the status until Ctrl-C. What the watcher says is read every second, what the catalog holds is counted when
    it has changed, and seldom enough not to be in the watcher's way."""
    from rich.console import Console
    from rich.live import Live as Screen
    from rich.text import Text

    from facewatch.presentation.reports import status_lines

    current = _renewing(app)
    with Screen(console=Console(), auto_refresh=False) as screen:
        try:
            while True:
                screen.update(Text("\n".join(status_lines(current(), datetime.now(UTC), is_all=is_all))), refresh=True)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return


def _renewing(app: App, clock: Callable[[], float] = time.monotonic) -> Callable[[], Status]:
    """Return a function that returns what holds now, without counting all of it each time."""
    from facewatch.reports.status import KeptStatus

    kept = KeptStatus(clock)
    return lambda: kept.now(app.status_report(), app.catalog.version())


# --- when the watcher may work ---


@command("pause", "Pause the watcher.")
@json_option
@pass_state
def pause(state: State, as_json: bool) -> None:
    """Pause the watcher until `resume`, even if it is restarted.

    New photos wait meanwhile. Naming and correcting still work, and so does a `scan` by hand.

    \b
    Example:
      facewatch pause
    """
    from facewatch.catalog import pause
    from facewatch.presentation.reports import paused

    with state.app() as app:
        result = pause(app.catalog)
    _print_pause(state, result, paused(result), as_json)


@command("resume", "Resume the watcher.")
@json_option
@pass_state
def resume(state: State, as_json: bool) -> None:
    """Let the watcher continue, including with the photos that came while it was paused.

    \b
    Example:
      facewatch resume
    """
    from facewatch.catalog import resume
    from facewatch.presentation.reports import resumed
    from facewatch.reports.status import at_work

    with state.app() as app:
        result = resume(app.catalog)
        runner, _ = at_work(app.catalog.path)
    is_watched = runner is not None and runner.is_watcher
    _print_pause(state, result, resumed(result, is_watched=is_watched), as_json)


def _print_pause(state: State, result: Pause, text: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
    elif not state.is_quiet:
        echo(text)
