"""A watcher in a process of its own that finds drawn squares: `python torture_watcher.py PHOTOS PEOPLE CATALOG`.

All but the engine is real: kernel events, worker processes, catalog, folders. Ends by SIGTERM.
"""

from __future__ import annotations

import sys
from pathlib import Path

from facewatch.app import App
from facewatch.cli.program import set_up_logging
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.watcher.loop import WatchLoop
from facewatch.watcher.process import give_way, heed_signals


def main(photos: str, people: str, catalog: str) -> None:
    set_up_logging(is_daemon=True)
    settings = {"library.photos": photos, "library.people": people, "library.catalog": catalog}
    config = load_config(None, settings, cwd=Path.cwd())
    give_way(config["resources.niceness"], is_idle_io=config["resources.idle_io"])
    with heed_signals() as signals, App(config, info=fake.INFO) as app:
        WatchLoop(app, should_stop=signals.should_stop).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
