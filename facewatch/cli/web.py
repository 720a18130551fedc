"""The command `web`: the local page."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING

import click

from facewatch.cli.output import echo
from facewatch.cli.program import State, command, pass_state

if TYPE_CHECKING:
    from facewatch.config import Config
    from facewatch.web.server import Server

HOST = "127.0.0.1"
PORT = 7878


@command("web", "See and name everybody in your browser.")
@click.option("--host", default=HOST, show_default=True, help="Where to listen.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: one that is free.")
@click.option("--open", "is_opened", is_flag=True, help="Open it in your browser.")
@pass_state
def web(state: State, host: str, port: int, is_opened: bool) -> None:
    """Serve a page on this machine with everybody's faces: name, merge, review, search. Ctrl-C ends it.

    \b
    Example:
      facewatch web
      facewatch web --open
      facewatch web --port 0
    """
    serve(state.config(), host=host, port=port, is_opened=is_opened)


def serve(config: Config, *, host: str = HOST, port: int = PORT, is_opened: bool = False) -> None:
    """Serve the page until Ctrl-C; `is_opened`: in the user's browser, too."""
    server = server_of(config, host=host, port=port)
    echo(f"facewatch is at {server.url} (Ctrl-C ends it)")
    if is_opened:
        webbrowser.open(server.url)
    server.run()


def server_of(config: Config, *, host: str = HOST, port: int = PORT, needs_catalog: bool = True) -> Server:
    """Return the server of a catalog, which has its address.

    Raises:
        FacewatchError: there is no catalog, or the address cannot be had.
    """
    from facewatch.app import App
    from facewatch.web.server import Server, make_site

    # What is wrong with the settings or the catalog is said at once.
    with App(config, needs_catalog=needs_catalog):
        pass
    return Server(make_site(lambda: App(config, needs_catalog=True), is_kept_ready=True), host=host, port=port)
