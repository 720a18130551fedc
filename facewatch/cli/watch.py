"""`facewatch watch`: the service itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facewatch.cli.group import command
from facewatch.cli.options import State, pass_state, set_up_logging
from facewatch.errors import FacewatchError

if TYPE_CHECKING:
    from facewatch.config import Config
    from facewatch.service.notify import Notifier
    from facewatch.service.signals import Signals

log = logging.getLogger(__name__)


@command("watch", "Scan, then stay and follow changes.")
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
    from facewatch.service.notify import Notifier
    from facewatch.service.places import check_library
    from facewatch.service.priority import give_way
    from facewatch.service.signals import heed_signals

    set_up_logging(state.loudness, is_daemon=True)

    def read_settings() -> Config:
        for library in photos:
            check_library(library)
        return state.config(library__photos=[str(p) for p in photos] or None, engine__name=engine)

    notifier = Notifier()
    with heed_signals() as signals:
        config = read_settings()
        # Photos can wait for those who sit at the keyboard; somebody who types `scan` does.
        give_way(config["resources.niceness"], is_idle_io=config["resources.idle_io"])
        _watch(config, signals, notifier)
        while signals.wants_reload and not signals.wants_stop:
            signals.wants_reload = False
            config = _again(read_settings, config)
            _watch(config, signals, notifier)


def _watch(config: Config, signals: Signals, notifier: Notifier) -> None:
    from facewatch.service import Service
    from facewatch.service.loop import WatchLoop

    with Service(config) as service:
        WatchLoop(service, should_stop=signals.should_stop, notifier=notifier).run()
        if signals.wants_stop:
            notifier.stopping()
        else:
            notifier.reloading()


def _again(read_settings: Callable[[], Config], before: Config) -> Config:
    """Return the settings as they are now; those of before where they are faulty, because a typing mistake must not
    end the service."""
    from facewatch.service import Service

    try:
        config = read_settings()
        with Service(config):
            pass
    except FacewatchError as error:
        log.error("the settings stay as they were: %s", error)
        return before
    log.info("settings read again from %s", config.source)
    return config
