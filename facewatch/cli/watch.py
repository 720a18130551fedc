"""The command `watch`, and `service`, by which systemd or launchd keeps it running."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.called import called_from_anywhere
from facewatch.cli.output import echo, print_facts, print_json
from facewatch.cli.program import (
    MEANT_OF_SERVICE,
    State,
    command,
    facewatch,
    json_option,
    pass_state,
    set_up_logging,
    shared_options,
)
from facewatch.engines import ENGINE_HELP
from facewatch.errors import BusyError, DiskFaultError, DiskFullError, FacewatchError, LibraryError, WebError
from facewatch.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from facewatch.config import Config
    from facewatch.watcher.process import Notifier, Signals
    from facewatch.watcher.services import ServiceManager
    from facewatch.watcher.systemd import ServiceJob, ServiceState

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long to wait before it is tried again to begin."""


@command("watch", "Scan, then keep up with changes.")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--engine", help=ENGINE_HELP)
@click.option("--web", "has_page", is_flag=True, help="Serve the page of `facewatch web` meanwhile.")
@pass_state
def watch(state: State, photos: tuple[Path, ...], engine: str | None, has_page: bool) -> None:
    """Scan the libraries PHOTOS, then stay and keep catalog and folders up to date as photos come and go.

    Ctrl-C or SIGTERM ends it; the next start carries on. SIGHUP lets it read its settings again. Its log goes to
    stderr. `facewatch status --watch`, in another window, shows what it does; `facewatch service install` keeps it
    running for good.

    \b
    Example:
      facewatch watch ~/Pictures
      facewatch watch --web
    """
    from facewatch.cli.status import why_busy
    from facewatch.watcher.process import Notifier, give_way, heed_signals

    set_up_logging(is_daemon=True)

    def read_settings() -> Config:
        return state.config(library__photos=[str(p) for p in photos] or None, engine__name=engine)

    notifier = Notifier()
    with heed_signals() as signals, ExitStack() as page:
        config = read_settings()
        if has_page:
            # Before the priority is lowered: somebody waits for its answers. Threads have priorities of their own.
            page.enter_context(_page(config))
        # Photos can wait for those who sit at the keyboard; somebody who types `scan` does.
        give_way(config["resources.niceness"], is_idle_io=config["resources.idle_io"])
        try:
            _watch_patiently(config, signals, notifier, (DiskFullError, DiskFaultError))
        except BusyError as error:
            options = ["--engine"] if engine else []
            raise BusyError(why_busy(config.catalog, options=options, libraries=photos) or str(error)) from error
        while signals.wants_reload and not signals.wants_stop:
            signals.wants_reload = False
            config = _watch_again(read_settings, config, signals, notifier)
        log.info("stopped")


@contextmanager
def _page(config: Config) -> Iterator[None]:
    """Serve the page meanwhile; that it cannot be served must not end the watcher."""
    from facewatch.cli.web import server_of

    try:
        server = server_of(config, needs_catalog=False)
    except WebError as error:
        log.error("the page is not served: %s", error)
        yield
        return
    server.start()
    log.info("the page is at %s", server.url)
    try:
        yield
    finally:
        server.stop()


def _watch(config: Config, signals: Signals, notifier: Notifier) -> None:
    """Watch until a signal comes."""
    from facewatch.app import App
    from facewatch.watcher.loop import WatchLoop

    with App(config) as app:
        WatchLoop(app, should_stop=signals.should_stop, notifier=notifier).run()
        if signals.wants_stop:
            log.info("stopping")
            notifier.stopping()
        else:
            log.info("reading the settings again")
            notifier.reloading()


def _watch_again(read_settings: Callable[[], Config], before: Config, signals: Signals, notifier: Notifier) -> Config:
    """Watch with the settings as they are now; with those of before where that cannot even begin, because a typing
    mistake must not end the service. Returns those that it watched with."""
    try:
        config = read_settings()
        _check_watchable(config)
    except FacewatchError as error:
        log.error("the settings stay as they were: %s", error)
        config = before
    # Somebody else may have taken the moment between the two.
    _watch_patiently(config, signals, notifier, (DiskFullError, DiskFaultError, BusyError))
    return config


def _check_watchable(config: Config) -> None:
    """Refuse settings with which a watcher could not begin, or could analyse no photo."""
    from facewatch.app import App
    from facewatch.watcher.loop import WatchLoop

    with App(config) as app:
        WatchLoop(app, should_stop=lambda: True)
        _ = app.engine.info


def _watch_patiently(
    config: Config, signals: Signals, notifier: Notifier, mended_from_outside: tuple[type[FacewatchError], ...]
) -> None:
    """Watch until a signal comes, and wait out what keeps it from beginning to."""
    shown = ""
    while True:
        try:
            _watch(config, signals, notifier)
            return
        except mended_from_outside as error:
            if str(error) != shown:
                log.error("%s", error)
            shown = str(error)
            signals.wait(BUSY_SECONDS)
            if signals.should_stop():
                return


PASSED_ON = ("FACEWATCH_MODELS", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""What decides where facewatch finds things, and what a service manager may not have: it started before the shell."""

NO_LIBRARY = "no library is known; name your photo folder first: facewatch init ~/Pictures"

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))


@facewatch.group("service", short_help="Run the watcher as a background service.", meant=MEANT_OF_SERVICE)
@shared_options
def app() -> None:
    """Let the system keep `facewatch watch` running: as a user unit of systemd, or as an agent of launchd.

    \b
    Example:
      facewatch service install            start it now, and with every login
      facewatch service status             whether it runs, and what it does
      facewatch service logs -f            what it says
      facewatch service uninstall          stop it; all that was found stays
    """


_command = partial(command, group=app)


def _manager(*, is_dry_run: bool = False) -> ServiceManager:
    from facewatch.watcher.services import find_manager

    return find_manager(sys.platform, is_dry_run=is_dry_run)


@_command("install", "Start it now, and with every login.")
@click.option("--web", "has_page", is_flag=True, help="Let it serve the page of `facewatch web`, too.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and do nothing.")
@pass_state
def install(state: State, has_page: bool, dry_run: bool) -> None:
    """Have the system start the watcher now and with every login, and again whenever it dies.

    It can read everything you can, write only to catalog, backups and people folder, and has no network (with --web: it
    is reached from this machine); how much of that holds depends on the system. With --config, --catalog and --people
    the service uses these as well. Run it again after an update or after moving a folder.

    \b
    Example:
      facewatch service install
      facewatch service install --web
      facewatch service install --dry-run
    """
    from facewatch.config import find_config_file

    manager = _manager(is_dry_run=dry_run)
    config = state.config()
    given = {"library.catalog": ("--catalog", config.catalog), "library.people": ("--people", config.people)}
    named = [str(word) for key, words in given.items() if key in state.overrides for word in words]
    job = plan_job(
        config,
        config_file=find_config_file(state.config_file, cwd=Path.cwd()),
        options=(*named, *_loudness(state)),
        has_page=has_page,
        is_dry_run=dry_run,
    )
    text = manager.text(replace(job, environment={**job.environment, **called_from_anywhere()}))
    if dry_run:
        if not manager.is_here:
            echo("systemd does not answer here; where it does, it would get this:", is_error=True)
        click.echo(text, nl=False)
        return
    if not state.is_quiet:
        click.echo(
            f"starting; it is ready once it has compared the libraries with the catalog ({manager.name})", err=True
        )
    manager.install(text)
    if not state.is_quiet:
        _print_installed(manager.state())


def _loudness(state: State) -> list[str]:
    """Return how much the service is to log, as the options of this command say."""
    words = ["--quiet"] if state.is_quiet else ["--verbose"] * state.loudness
    return [*words, *(["--log-json"] if state.is_log_json else [])]


def _print_installed(now: ServiceState) -> None:
    click.echo(f"wrote {printable(str(now.file))}; the service is {now.activity}")
    if now.is_lingering is False:
        click.echo("it runs while you are logged in; so that it always does: loginctl enable-linger")
    echo("next: facewatch service status, facewatch service logs -f")


def plan_job(
    config: Config,
    *,
    config_file: Path | None,
    options: Sequence[str] = (),
    has_page: bool = False,
    is_dry_run: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> ServiceJob:
    """Return what the service is to run, once all that `watch` would refuse was refused; makes the folders it needs.

    Args:
        config_file: where the settings come from.
        options: further ones for `watch`.
        has_page: whether it serves the page.
        is_dry_run: make nothing.

    Raises:
        FacewatchError: `watch` could not start like this, whatever the reason.
    """
    from facewatch.settings import sidecar_settings_of
    from facewatch.watcher.systemd import ServiceJob

    libraries, people = _checked(config, is_dry_run=is_dry_run)
    sidecars = sidecar_settings_of(config).folders(libraries)
    writable = tuple(folder for folder in (config.catalog.parent, people, config.backups, *sidecars) if folder)
    if not is_dry_run:
        for folder in writable:
            _make(folder)
    program = (sys.executable, "-P", "-m", "facewatch")
    file = () if config_file is None else ("--config", str(config_file.absolute()))
    needed = (*writable, *libraries, Path(__file__), Path(sys.executable), *map(Path, file[1:]))
    return ServiceJob(
        program=program,
        arguments=("watch", *file, *options, *(("--web",) if has_page else ())),
        environment={name: _absolute(environment[name]) for name in PASSED_ON if environment.get(name)},
        writable=writable,
        libraries=tuple(library for library in libraries if library not in sidecars),
        is_tmp_private=not any(path.resolve().is_relative_to(tmp) for path in needed for tmp in TEMPORARY),
        memory_mb=config["resources.memory_mb"],
        has_gpu=config["engine.device"] == "cuda"
        or (config["engine.device"] == "auto" and Path("/dev/nvidiactl").exists()),
        has_page=has_page,
        watchdog_seconds=max(900, 3 * math.ceil(config["resources.photo_seconds"])),
    )


def _checked(config: Config, *, is_dry_run: bool) -> tuple[tuple[Path, ...], Path]:
    """Return the libraries and the people folder, if `watch` could start with them."""
    from facewatch.app import App
    from facewatch.library.layout import check_library, check_places

    if not config.catalog.exists():
        # A refusal leaves no empty catalog behind.
        if not config.photos:
            raise LibraryError(NO_LIBRARY)
        people = config.people or config.photos[0].parent / "People"
        check_places(config.photos, people, config.catalog, source=config.source)
        for root in config.photos:
            check_library(root)
        if is_dry_run:
            return config.photos, people
    with App(config) as app:
        if not app.libraries.roots:
            raise LibraryError(NO_LIBRARY)
        for root in app.libraries.roots:
            # One that was there before may be plugged in later.
            if app.catalog.roots.one(root) is None:
                check_library(root)
        # Asking is enough: it refuses where the engine's files are absent.
        _ = app.engine.info
        if not is_dry_run:
            app.folder.check()
        return app.libraries.roots, app.folder.root


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacewatchError(f"{folder}: cannot be made: {error.strerror}; name another in the settings") from error


def _absolute(places: str) -> str:
    """Return places, with colons between them, as they are meant from any folder."""
    return os.pathsep.join(str(Path(place).absolute()) for place in places.split(os.pathsep))


@_command("uninstall", "Stop it for good.")
@pass_state
def uninstall(state: State) -> None:
    """Stop the service and remove its description. Photos, people folder, catalog and settings stay as they are.

    \b
    Example:
      facewatch service uninstall
    """
    manager = _manager()
    was_there = manager.uninstall()
    if not state.is_quiet and was_there:
        click.echo(
            f"stopped, and removed {printable(str(manager.file))}; photos, people folder, catalog and settings stay "
            "as they are"
        )
    elif not state.is_quiet:
        click.echo("the service was not installed")


@_command("status", "Whether it runs, and what it does.")
@json_option
@pass_state
def status(state: State, as_json: bool) -> None:
    """Say whether the service is installed, whether it runs, since when, and what it said of itself last.

    What the catalog holds, and how far the work is, says `facewatch status`.

    \b
    Example:
      facewatch service status --json
    """
    now = _manager().state()
    if as_json:
        print_json(now.as_json())
    elif not now.is_installed:
        echo("not installed\nnext: facewatch service install")
    else:
        print_facts(_facts(now).items())


def _facts(now: ServiceState) -> dict[str, str]:
    """Return what is known, for people."""
    starts = "with every login" if now.is_enabled else "not by itself: facewatch service install"
    ended = f"exit code {now.exit_code}" if now.exit_code > 0 else _signal(now.exit_code) if now.exit_code else ""
    facts = {
        "service": now.activity + (f" since {now.since}" if now.since else ""),
        "doing": now.doing if now.is_running else "",
        "process": f"{now.pid}" + (f", {now.memory_mb:.0f} MB" if now.memory_mb else "") if now.pid else "",
        "ended with": "" if now.is_running else ended,
        "restarts": f"{now.n_restarts}" if now.n_restarts else "",
        "starts": "with the system" if now.is_enabled and now.is_lingering else starts,
        "described in": f"{now.file} ({now.manager})",
        "more": "facewatch status, facewatch service logs -f",
    }
    return {name: fact for name, fact in facts.items() if fact}


def _signal(exit_code: int) -> str:
    try:
        return f"signal {-exit_code} ({signal.strsignal(-exit_code)})"
    except ValueError:
        return f"signal {-exit_code}"


@_command("logs", "What it says.")
@click.option("-f", "--follow", is_flag=True, help="Stay, and show what comes.")
@click.option("-n", "--lines", "n_lines", type=click.IntRange(min=1), default=100, show_default=True, help="How many.")
def logs(follow: bool, n_lines: int) -> None:
    """Show the log of the service: that of journalctl, or the file that launchd writes.

    \b
    Example:
      facewatch service logs -f
      facewatch service logs -n 1000
    """
    command = _manager().log_command(n_lines, follow=follow)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise FacewatchError(f"{command[0]}: cannot be started: {error.strerror}; install it") from error
