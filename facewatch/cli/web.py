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

TOKEN = "web_token"
"""The setting of the catalog that holds the digest of the token."""


@command("web", "See and name everybody in your browser.")
@click.option("--host", default=HOST, show_default=True, help="Where to listen.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: one that is free.")
@click.option("--open", "is_opened", is_flag=True, help="Open it in your browser.")
@click.option("--new-token", "is_new", is_flag=True, help="Make a token that is asked for from now on, and print it.")
@click.option("--no-token", "is_free", is_flag=True, help="Ask for no token any more.")
@pass_state
def web(state: State, host: str, port: int, is_opened: bool, is_new: bool, is_free: bool) -> None:
    """Serve a page on this machine with everybody's faces: name, merge, review, search. Ctrl-C ends it.

    Only this machine reaches it, and on Linux only you: elsewhere make a token where other people use the machine,
    too. A HOST that other machines reach (0.0.0.0, say) needs one.

    \b
    Example:
      facewatch web
      facewatch web --open
      facewatch web --new-token
      facewatch web --host 0.0.0.0
    """
    if is_new or is_free:
        _set_token(state, is_new=is_new)
        return
    serve(state.config(), host=host, port=port, is_opened=is_opened)


def _set_token(state: State, *, is_new: bool) -> None:
    from facewatch.web.security import digest_of, new_token

    token = new_token() if is_new else None
    with state.app() as app, app.catalog.write():
        if token is None:
            app.catalog.settings.unset(TOKEN)
        else:
            app.catalog.settings.set(TOKEN, digest_of(token))
    if token is None:
        echo("no token is asked for any more; a page that is served now asks until it is started again")
    else:
        echo(f"{token}\nkeep it: it is shown once; every browser asks for it when the page is started the next time")


def serve(config: Config, *, host: str = HOST, port: int = PORT, is_opened: bool = False) -> None:
    """Serve the page until Ctrl-C; `is_opened`: in the user's browser, too."""
    from facewatch.indexing.memory import compute_on_one_core

    server = server_of(config, host=host, port=port)
    compute_on_one_core()
    echo(f"facewatch is at {server.url} (Ctrl-C ends it)")
    if is_opened:
        webbrowser.open(server.url)
    server.run()


def server_of(config: Config, *, host: str = HOST, port: int = PORT, needs_catalog: bool = True) -> Server:
    """Return the server of a catalog, which has its address.

    Raises:
        WebError: the address cannot be had, or lets others in without a token.
        FacewatchError: there is no catalog.
    """
    from facewatch.app import App
    from facewatch.people.kept import KeptTogether
    from facewatch.web.security import AccessRules, check_is_guarded
    from facewatch.web.server import Server, make_site

    # What is wrong with the settings or the catalog is said at once.
    with App(config, needs_catalog=needs_catalog) as app:
        token = app.catalog.settings.get(TOKEN)
    check_is_guarded(host, config["web.hosts"], token)
    rules = AccessRules.of(host, config["web.hosts"], token)
    kept = KeptTogether()
    site = make_site(lambda: App(config, needs_catalog=True, kept=kept), rules=rules, is_kept_ready=True)
    return Server(site, host=host, port=port)
