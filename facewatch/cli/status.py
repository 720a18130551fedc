"""`status`: what there is, who is at work and what is wrong; `pause` and `resume`: when the watcher may work."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.logs import one_line
from facewatch.cli.output import echo, print_json, print_table
from facewatch.cli.program import State, command, json_option, pass_state
from facewatch.errors import ConfigError
from facewatch.heartbeat import Activity
from facewatch.presentation import local_time
from facewatch.text import plural, printable

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.catalog.pausing import Pause
    from facewatch.heartbeat import Heartbeat
    from facewatch.reports.status import Status
    from facewatch.types import PassedOver

WATCH_SECONDS = 1.0
"""How often `status --watch` looks."""

N_UNREAD = 10
"""Folders that cannot be read, of which it tells one by one."""

MOST_RULES = 4
"""Reasons to pass something over that are told without --all."""

COUNT_SHARE = 0.05
"""What part of the time `status --watch` may spend on counting what the catalog holds: 0.15 s for 100 000 faces."""


@command("status", "Show what there is and what is wrong.")
@click.option("--all", "is_all", is_flag=True, help="List every file that could not be used, not some of each cause.")
@click.option("--watch", "is_watching", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@click.option("--prometheus", "is_metrics", is_flag=True, help="Print metrics in Prometheus' text format.")
@click.option(
    "--check", "is_check", is_flag=True, help="Say in a line whether a watcher is at work; exit code 1 when none is."
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
        from facewatch.presentation.reports import status_row

        print_json(status_row(current))
    elif is_metrics:
        from facewatch.reports.metrics import exposition

        click.echo(exposition(current, datetime.now(UTC)), nl=False)
    else:
        echo("\n".join(_lines(current, datetime.now(UTC), is_all=is_all)))
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
    """Say whether a watcher is at work, from what it says of itself; the catalog is not opened."""
    from facewatch.reports.status import at_work

    catalog = _catalog_of(state)
    runner, live = at_work(catalog)
    is_watched = runner is not None and runner.startswith("watch")
    if not is_watched or live is None or not live.is_fresh(datetime.now(UTC)):
        what = f"{runner}: it says nothing" if is_watched else "nobody watches"
        echo(f"{what}{_silence(live) if is_watched else ''} ({catalog})")
        raise click.exceptions.Exit(1)
    echo(f"{runner}: {printable(live.doing)} ({_ago(live, datetime.now(UTC))})")


def _catalog_of(state: State) -> Path:
    """Return where the catalog is, whatever else is wrong with the settings: a watcher that began before somebody
    spoiled them is still at work."""
    try:
        return state.config().catalog
    except ConfigError as error:
        from facewatch.checks.doctor import read_settings

        config, _ = read_settings(state.config_file, state.overrides, cwd=Path.cwd())
        echo(f"{printable(one_line(str(error)))}; this looks at {printable(str(config.catalog))}", is_error=True)
        return config.catalog


def doing_just_that(catalog: Path, beyond: Sequence[str] = (), *, now: datetime | None = None) -> str | None:
    """Return what to tell somebody who wants to scan or watch while another process does; None: none does any more.

    Args:
        beyond: options and libraries that were asked for; the one at work may know nothing of them.
    """
    from facewatch.reports.status import at_work

    runner, live = at_work(catalog)
    if runner is None:
        return None
    kind, _, process = runner.partition(" ")
    now = now or datetime.now(UTC)
    doing = _doing(live, now) if live else ""
    queue = dict(_live_facts(live)).get("queue", "") if live else ""
    if live and live.activity is Activity.IDLE and live.is_fresh(now):
        doing = "" if queue else "there is nothing to do at the moment"
    far = "; ".join(filter(None, (doing, queue))) or "at work"
    if kind != "watch":
        return f"a {kind} is at work already {process}: {far}. Wait for it; the same command then looks at the rest"
    watched = {os.path.realpath(root) for root in live.libraries.last_look} if live else set()
    unknown = [one for one in beyond if one.startswith("--") or (watched and os.path.realpath(one) not in watched)]
    if unknown:
        return (
            f"the watcher {process} is at work ({far}) and knows nothing of {', '.join(unknown)}: put it into its "
            "settings, or stop the watcher (Ctrl-C, or `facewatch service uninstall`), scan, and start it again"
        )
    if live and live.activity is Activity.PAUSED:
        return f"the watcher {process} is at work, and paused: `facewatch resume` lets it look again"
    return (
        f"the watcher {process} does just that: {far}. What is new is found without a scan; `facewatch status --watch` "
        "shows how far it is"
    )


def _silence(live: Heartbeat | None) -> str:
    return f" since {local_time(live.told_at)}" if live else ""


# --- for people ---


def _lines(current: Status, now: datetime, *, is_all: bool = False) -> list[str]:
    """Return the status line by line; with `is_all` the files that could not be used are listed elsewhere."""
    lines = [f"{name:>14}  {printable(fact)}" for name, fact in _facts(current, now)]
    lines += [printable(remark) for remark in _remarks(current)]
    if current.faults:
        why = "" if is_all else " (--all lists every one); why, and what to do"
        lines += ["", f"{plural(len(current.faults), 'file')} could not be used{why}:"]
    return lines if is_all else [*lines, *_fault_lines(current)]


def _facts(current: Status, now: datetime) -> Iterator[tuple[str, str]]:
    live, counts = current.health.live, current.counts
    yield "settings", current.places.settings
    yield "photos", ", ".join(current.places.photos) or "none yet: facewatch scan PHOTOS"
    yield "people folder", current.places.people_folder
    yield "catalog", current.places.catalog
    yield "engine", current.engine.in_use
    yield "at work", ": ".join(filter(None, (current.health.runner or "nobody", _doing(live, now) if live else "")))
    if live:
        yield from _live_facts(live)
    if current.health.paused:
        yield "paused", f"since {local_time(current.health.paused)}: nothing new is looked at until `facewatch resume`"
    yield "last scan", local_time(current.last_scan) if current.last_scan else "never"
    for root, moment in live.libraries.listed("last_look").items() if live else ():
        yield "last look", f"{local_time(moment)}: {root}" if moment else root
    if current.health.last_backup:
        yield "last backup", f"{local_time(current.health.last_backup)}: {current.health.backup_file}"
    yield "holds", f"{plural(counts.n_photos, 'photo')} in {plural(counts.n_files, 'file')}"
    if current.passed_over:
        yield "passed over", _passed_over(current.passed_over)
    yield (
        "faces",
        f"{counts.n_faces}: {counts.n_assigned} belong to somebody, {counts.n_pool} to nobody yet, "
        f"{counts.n_only_shown} too poor to tell"
        + (f", {counts.n_left_out} taken out by you" if counts.n_left_out else ""),
    )
    hidden = f", {counts.n_hidden} hidden" if counts.n_hidden else ""
    absent = f"; {counts.n_absent} more with a name on no photo now" if counts.n_absent else ""
    yield "people", f"{counts.n_people}, {counts.n_named} of them named{hidden}{absent}"
    if counts.n_open:
        n_unnamed = counts.n_open - counts.n_pool
        yield (
            "open",
            f"{plural(counts.n_open, 'face')}: {n_unnamed} of people without a name, {counts.n_pool} of nobody yet; "
            "`facewatch review` asks who they are",
        )


def _passed_over(passed: Sequence[PassedOver]) -> str:
    n_folders, n_files = sum(one.n_folders for one in passed), sum(one.n_files for one in passed)
    counts = [plural(n, what) for n, what in ((n_folders, "folder"), (n_files, "file")) if n]
    rules = [f"{one.rule} {one.n_folders + one.n_files}" for one in passed[:MOST_RULES]]
    n_more = len(passed) - MOST_RULES
    more = f"; {plural(n_more, 'more reason')} (--all)" if n_more > 0 else ""
    return f"{' and '.join(counts)}: {'; '.join(rules)}{more}"


def _doing(live: Heartbeat, now: datetime) -> str:
    if live.is_fresh(now):
        return live.doing
    return f"says nothing{_silence(live)}; if it stays so, stop it and start it again"


def _live_facts(live: Heartbeat) -> Iterator[tuple[str, str]]:
    backlog = live.backlog
    n_files = backlog.n_waiting + backlog.n_settling
    if n_files and live.activity.is_resting:
        yield "queue", f"{n_files} {'waits' if n_files == 1 else 'wait'}"
    elif n_files:
        pace = f"; {backlog.photos_per_second:.1f} a second" if backlog.photos_per_second else ""
        left = f", about {_duration(backlog.eta_seconds)} left" if backlog.eta_seconds is not None else ""
        settling = f", {backlog.n_settling} may still be written to" if backlog.n_settling else ""
        yield "queue", f"{plural(backlog.n_waiting, 'file')} to look at, {backlog.n_done} done{settling}{pace}{left}"
    if live.memory_mb:
        yield "memory", f"{live.memory_mb:.0f} MB"


def _duration(seconds: float) -> str:
    """Return how long that is, to a precision that nobody takes for a promise."""
    if seconds < 90:
        return plural(max(1, math.ceil(seconds)), "second")
    if seconds < 90 * 60:
        return plural(round(seconds / 60), "minute")
    if seconds < 48 * 3600:
        return plural(round(seconds / 3600), "hour")
    return plural(round(seconds / 86400), "day")


def _ago(live: Heartbeat, now: datetime) -> str:
    return f"said {_duration(live.age_seconds(now))} ago"


def _remarks(current: Status) -> Iterator[str]:
    """What is out of the ordinary, with what to do."""
    if current.engine.switch:
        switch = current.engine.switch
        yield (
            f"changing to {switch.wanted}: {switch.n_done} of {plural(switch.n_photos, 'photo')} looked at; until it "
            f"is complete, what {switch.before} found stands. `facewatch scan` or `watch` carries on"
        )
    if current.engine.fault:
        yield f"cannot look at photos: {current.engine.fault}"
    for root in current.places.aligned:
        yield f"face crops: {root}: nothing is detected there; scan {root} --no-aligned changes that"
    for root, reason in current.health.offline.items():
        yield f"offline: {root}: {reason}{' N' if reason.endswith('?') else '; n'}othing of it was removed"
    unread = {path: why for path, why in current.unread.items() if not _is_among(path, current.health.offline)}
    for path, reason in list(unread.items())[:N_UNREAD]:
        yield f"cannot be read: {path}: {reason}; make it readable: nothing of it was removed"
    if len(unread) > N_UNREAD:
        yield f"and {len(unread) - N_UNREAD} more that cannot be read; `facewatch status --json` names all"
    if current.health.people_folder_fault:
        yield current.health.people_folder_fault
    for path, reason in current.health.live.libraries.listed("polled").items() if current.health.live else ():
        # Of one that is offline it is said already why nothing is heard of it.
        if path not in current.health.offline:
            yield f"looked at again and again: {path}{f': {reason}' if reason else ''}"


def _is_among(path: str, places: Collection[str]) -> bool:
    return any(path.startswith(f"{place}/") for place in places)


def _fault_lines(current: Status) -> Iterator[str]:
    for group in current.fault_groups:
        yield f"{group.n_files:>6}  {printable(group.cause)}: {printable(group.advice)}"
        yield from (f"{'':8}{printable(path)}" for path in group.examples)
        if group.n_files > len(group.examples):
            yield f"{'':8}and {group.n_files - len(group.examples)} more"


# --- again and again ---


def _watch(app: App, *, is_all: bool) -> None:
    """Show the status until Ctrl-C. What the watcher says is read every second, what the catalog holds is counted when
    it has changed, and seldom enough not to be in the watcher's way."""
    from rich.console import Console
    from rich.live import Live as Screen
    from rich.text import Text

    current = _renewing(app)
    with Screen(console=Console(), auto_refresh=False) as screen:
        try:
            while True:
                screen.update(Text("\n".join(_lines(current(), datetime.now(UTC), is_all=is_all))), refresh=True)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return


def _renewing(app: App, clock: Callable[[], float] = time.monotonic) -> Callable[[], Status]:
    """Return a function that returns what holds now, without counting all of it each time."""
    counted: list[Status] = []
    version, due_at = 0, 0.0

    def renewed() -> Status:
        nonlocal version, due_at
        now, newest = clock(), app.catalog.version()
        if not counted or (newest != version and now >= due_at):
            counted[:], version = [app.status()], newest
            due_at = clock() + (clock() - now) / COUNT_SHARE
            return counted[0]
        return app.report.renewed(counted[0])

    return renewed


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
    from facewatch.catalog.pausing import pause

    with state.app() as app:
        result = pause(app.catalog)
    word = "paused already" if result.was_paused else "paused"
    _print_pause(
        state,
        result,
        f"{word}, since {local_time(result.since)}: the watcher looks at nothing new until `facewatch resume`; naming "
        "and correcting go on",
        as_json,
    )


@command("resume", "Resume the watcher.")
@json_option
@pass_state
def resume(state: State, as_json: bool) -> None:
    """Let the watcher continue, including with the photos that came while it was paused.

    \b
    Example:
      facewatch resume
    """
    from facewatch.catalog.pausing import resume
    from facewatch.reports.status import at_work

    with state.app() as app:
        result = resume(app.catalog)
        runner, _ = at_work(app.catalog.path)
    if not result.was_paused:
        text = "was not paused"
    elif runner is not None and runner.startswith("watch"):
        text = f"resumed: it was paused since {local_time(result.since)}; what came meanwhile is looked at now"
    else:
        text = f"resumed: it was paused since {local_time(result.since)}; nobody watches now: facewatch watch"
    _print_pause(state, result, text, as_json)


def _print_pause(state: State, result: Pause, text: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(result))
    elif not state.is_quiet:
        echo(text)
