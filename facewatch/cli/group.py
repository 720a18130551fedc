"""The command `facewatch` itself, which the modules beside this one add theirs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facewatch import __version__
from facewatch.cli.options import loudness_options, setting_options

if TYPE_CHECKING:
    from collections.abc import Callable


SECTIONS = {
    "Every day": ("scan", "watch", "people", "rename", "review", "status"),
    "Correct what is wrong": (
        *("why", "merge", "split", "apart", "assign", "reject", "unassign", "confirm", "ignore", "hide", "show"),
        *("cover", "born", "forget", "undo", "redo", "history"),
    ),
    "Look into it": ("search", "stats", "audit", "export", "evaluate"),
    "Set up and keep in order": ("init", "demo", "models", "engines", "recluster", "folders"),
    "Leave it alone": ("backup", "restore", "doctor", "service", "pause", "resume"),
}
"""What `facewatch --help` lists, in the order in which it is needed."""


class Sections(click.Group):
    """Lists its commands by what they are for."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])


@click.group(
    cls=Sections,
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
