"""`facewatch watch`: the service itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.program import State, command, pass_state, set_up_logging
from facewatch.errors import BusyError, DiskFaultError, DiskFullError, FacewatchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facewatch.config import Config
    from facewatch.watcher.process import Notifier, Signals

log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long to wait before it is tried again to begin."""


@command("watch", "Scan, then keep up with changes.")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("--engine", help="face_recognition, or insightface:PACK; `facewatch models` lists the packs.")
@pass_state
def watch(state: State, photos: tuple[Path, ...], engine: str | None) -> None:
    """Scan the libraries PHOTOS, then stay and keep catalog and folders up to date as photos come and go.

    Ctrl-C or SIGTERM ends it; the next start carries on. SIGHUP lets it read its settings again. Its log goes to
    stderr. `facewatch status --watch`, in another window, shows what it does; `facewatch service install` keeps it
    running for good.

    \b
    Example:
      facewatch watch ~/Pictures
    """
    from facewatch.cli.status import doing_just_that
    from facewatch.watcher.process import Notifier, give_way, heed_signals

    set_up_logging(is_daemon=True)

    def read_settings() -> Config:
        return state.config(library__photos=[str(p) for p in photos] or None, engine__name=engine)

    notifier = Notifier()
    with heed_signals() as signals:
        config = read_settings()
        # Photos can wait for those who sit at the keyboard; somebody who types `scan` does.
        give_way(config["resources.niceness"], is_idle_io=config["resources.idle_io"])
        try:
            _watch_patiently(config, signals, notifier, (DiskFullError, DiskFaultError))
        except BusyError as error:
            beyond = [*(["--engine"] if engine else []), *map(str, photos)]
            raise BusyError(doing_just_that(config.catalog, beyond) or str(error)) from error
        while signals.wants_reload and not signals.wants_stop:
            signals.wants_reload = False
            config = _watch_again(read_settings, config, signals, notifier)
        log.info("stopped")


def _watch(config: Config, signals: Signals, notifier: Notifier) -> None:
    """Watch until a signal comes."""
    from facewatch.app import Service
    from facewatch.watcher.loop import WatchLoop

    with Service(config) as service:
        WatchLoop(service, should_stop=signals.should_stop, notifier=notifier).run()
        if signals.wants_stop:
            log.info("stopping")
            notifier.stopping()
        else:
            log.info("reading the settings again")
            notifier.reloading()


def _watch_again(read_settings: Callable[[], Config], before: Config, signals: Signals, notifier: Notifier) -> Config:
    """Watch with the settings as they are now; with those of before where that cannot even begin, because a typing
    mistake must not end the service. Returns those that it watched with."""
    from facewatch.watcher.loop import check_watchable

    try:
        config = read_settings()
        check_watchable(config)
    except FacewatchError as error:
        log.error("the settings stay as they were: %s", error)
        config = before
    # Somebody else may have taken the moment between the two.
    _watch_patiently(config, signals, notifier, (DiskFullError, DiskFaultError, BusyError))
    return config


def _watch_patiently(
    config: Config, signals: Signals, notifier: Notifier, mended_from_outside: tuple[type[FacewatchError], ...]
) -> None:
    """Watch until a signal comes, and wait out what keeps it from beginning to."""
    told = ""
    while True:
        try:
            _watch(config, signals, notifier)
            return
        except mended_from_outside as error:
            if str(error) != told:
                log.error("%s", error)
            told = str(error)
            signals.wait(BUSY_SECONDS)
            if signals.should_stop():
                return
