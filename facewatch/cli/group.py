"""The command `facewatch` itself, which the modules beside this one add theirs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facewatch import __version__
from facewatch.cli.options import loudness_options, setting_options

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, also when single photos were bad; 1 other errors; 2 command line; 3 settings; 4 photo "
    "library; 5 catalog; 6 another facewatch is at work; 7 engine; 8 people folder; 9 unknown person or photo; "
    "10 a contradiction, or nothing to undo; 130 Ctrl-C.",
)
@click.version_option(__version__, message="facewatch %(version)s")
@setting_options
@loudness_options
def facewatch() -> None:
    """Find who is who in a photo library, and keep a folder of links for every person.

    Photos are only ever read, and nothing leaves this machine.

    \b
    Example:
      facewatch scan ~/Pictures            folders of people appear in ~/People
      facewatch people                     who was found
      facewatch rename 12 Anna             name one of them
      facewatch watch                      keep it so as photos come
    """


def command(name: str, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command with the options that all have."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return facewatch.command(name, short_help=summary)(setting_options(loudness_options(function)))

    return decorate
