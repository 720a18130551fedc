"""Options that several commands share, and how a command gets its Service."""

from __future__ import annotations

import difflib
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facewatch import __version__
from facewatch.cli.logs import formatter_for, is_journal
from facewatch.cli.words import MEANT, SECOND_WORDS, SECTIONS, help_as_called, lead, lead_thing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facewatch.app import Service
    from facewatch.config import Config

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """What the options before and behind the command's name said."""

    config_file: Path | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    loudness: int = 0
    """-1 quiet, 0 as usual, 1 verbose, 2 very."""
    is_log_json: bool = False
    """Whether the log is for programs."""

    def config(self, **overrides: Any) -> Config:
        """Return the settings; `section__key` names an override."""
        from facewatch.config import find_config_file, load_config

        named = {key.replace("__", "."): value for key, value in overrides.items()}
        return load_config(find_config_file(self.config_file, cwd=Path.cwd()), self.overrides | named, cwd=Path.cwd())

    def service(self, *, needs_catalog: bool = True, **overrides: Any) -> Service:
        from facewatch.app import Service

        # Else warnings of commands that log nothing else, such as that one waits for a lock, would be said in no form.
        if not logging.getLogger("facewatch").handlers:
            set_up_logging(self.loudness)
        return Service(self.config(**overrides), needs_catalog=needs_catalog)

    @property
    def is_quiet(self) -> bool:
        return self.loudness < 0


pass_state = click.make_pass_decorator(State, ensure=True)


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            context.ensure_object(State).overrides[key] = str(value)

    return callback


def _remember_config(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(State).config_file = value


def _set_loudness(amount: int) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            context.ensure_object(State).loudness = amount * int(value)

    return callback


def _remember_log_json(context: click.Context, _: click.Parameter, value: Any) -> None:
    if value:
        context.ensure_object(State).is_log_json = True


def setting_options(command: F) -> F:
    """Options that win over the settings file."""
    for option in (
        click.option(
            "--catalog",
            type=click.Path(path_type=Path),
            callback=_remember("library.catalog"),
            expose_value=False,
            help="The catalog to use, one SQLite file.",
        ),
        click.option(
            "--people",
            type=click.Path(path_type=Path),
            callback=_remember("library.people"),
            expose_value=False,
            help="The folder that gets a folder per person.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            callback=_remember_config,
            expose_value=False,
            help="The settings file to use.",
        ),
    ):
        command = option(command)
    return command


def loudness_options(command: F) -> F:
    """How much is said while working."""
    for option in (
        click.option(
            "-v",
            "--verbose",
            count=True,
            callback=_set_loudness(1),
            expose_value=False,
            help="One line a photo; twice: every step.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            callback=_set_loudness(-1),
            expose_value=False,
            help="Only results, warnings and errors.",
        ),
        click.option(
            "--log-json",
            is_flag=True,
            callback=_remember_log_json,
            expose_value=False,
            help="The log as one JSON object a line.",
        ),
    ):
        command = option(command)
    return command


class Choice(click.Choice[str]):
    """Offers the choice that is meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        near = difflib.get_close_matches(str(value).casefold(), list(self.choices), 1)
        return super().get_invalid_choice_message(value, ctx) + (f" Did you mean {near[0]!r}?" if near else "")


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")


class _StderrHandler(logging.StreamHandler[Any]):
    """Writes to what stderr is now: a progress bar puts itself in between, so that lines do not run into it."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None: ...


def set_up_logging(loudness: int, *, is_daemon: bool = False) -> None:
    """Send the log to stderr: results go to stdout. A daemon's log says what it does without being asked.

    With --log-json, on whichever command runs, every line is JSON; under systemd every line has its priority.
    """
    level = {-1: logging.WARNING, 0: logging.INFO if is_daemon else logging.WARNING, 1: logging.INFO}.get(
        loudness, logging.DEBUG
    )
    handler = _StderrHandler()
    context = click.get_current_context(silent=True)
    state = context.find_object(State) if context else None
    handler.setFormatter(
        formatter_for(
            is_daemon=is_daemon,
            is_json=state is not None and state.is_log_json,
            is_journal=is_journal(os.environ, 2),
        )
    )
    # watchdog warns of folders that it was told of twice, which is the ordinary case when one is copied in.
    warnings.filterwarnings("ignore", module="watchdog")
    logger = logging.getLogger("facewatch")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


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
