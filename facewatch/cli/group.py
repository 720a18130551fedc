"""The command `facewatch` itself, which the modules beside this one add theirs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from facewatch import __version__
from facewatch.cli.calling import help_as_called
from facewatch.cli.options import loudness_options, setting_options
from facewatch.cli.words import MEANT, SECOND_WORDS, SECTIONS, lead, lead_thing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Command(click.Command):
    """Its help says how it was called."""

    def get_help(self, context: click.Context) -> str:
        return help_as_called(super().get_help(context))


class Group(click.Group):
    """Leads a word that is no command to the one that is meant."""

    command_class = Command

    def __init__(self, *arguments: Any, meant: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._meant = meant or {}

    def get_help(self, context: click.Context) -> str:
        return help_as_called(super().get_help(context))

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word, rest = arguments[0], arguments[1:]
        if word == "help":
            if not rest:
                click.echo(self.get_help(context))
                context.exit()
            return self.resolve_command(context, [*rest, "--help"])
        word = SECOND_WORDS.get(word, word) if context.parent is None else word
        if word not in self.commands and not word.startswith("-"):
            thing = lead_thing(word) if context.parent is None else None
            hint = thing or lead(word, self.commands, self._meant, context.command_path)
            raise click.UsageError(f"there is no command {word!r}: {hint}", context)
        return super().resolve_command(context, [word, *rest])


class Sections(Group):
    """Lists its commands by what they are for."""

    group_class = Group

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])


@click.group(
    cls=Sections,
    meant=MEANT,
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
      facewatch rename p12 Anna            name one of them
      facewatch watch                      keep up with new photos
    """


def command(name: str, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command with the options that all have."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return facewatch.command(name, short_help=summary)(setting_options(loudness_options(function)))

    return decorate
