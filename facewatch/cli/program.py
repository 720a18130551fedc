"""The command `facewatch` itself, which each command adds itself to; options that all share, and the log."""

from __future__ import annotations

import difflib
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facewatch import __version__
from facewatch.cli.words import MEANT, SECOND_WORDS, SECTIONS, as_called, help_as_called, lead, lead_thing
from facewatch.text import printable, whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facewatch.app import App
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

    def app(self, *, needs_catalog: bool = True, **overrides: Any) -> App:
        from facewatch.app import App

        return App(self.config(**overrides), needs_catalog=needs_catalog)

    @property
    def is_quiet(self) -> bool:
        return self.loudness < 0


pass_state = click.make_pass_decorator(State, ensure=True)


def _shared_option(*names: str, then: Callable[[State, Any], None], **settings: Any) -> Callable[[F], F]:
    """An option that commands are not handed: what it says is done to their State."""

    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            then(context.ensure_object(State), value)

    return click.option(*names, callback=callback, expose_value=False, **settings)


def _overriding(key: str) -> Callable[[State, Any], None]:
    return lambda state, value: state.overrides.update({key: str(value)})


def _setting(name: str, value: Any = None) -> Callable[[State, Any], None]:
    return lambda state, given: setattr(state, name, given if value is None else value)


def shared_options(command: F) -> F:
    """Add the options that all commands have: how much is said, and what wins over the settings file."""
    path = click.Path(path_type=Path)
    for option in (
        _shared_option(
            "-v", "--verbose", then=_setting("loudness"), count=True, help="One line a photo; twice: every step."
        ),
        _shared_option(
            "-q", "--quiet", then=_setting("loudness", -1), is_flag=True, help="Only results, warnings and errors."
        ),
        _shared_option(
            "--log-json", then=_setting("is_log_json"), is_flag=True, help="The log as one JSON object a line."
        ),
        _shared_option(
            "--catalog", then=_overriding("library.catalog"), type=path, help="The catalog to use, one SQLite file."
        ),
        _shared_option(
            "--people", then=_overriding("library.people"), type=path, help="The folder that gets a folder per person."
        ),
        _shared_option("--config", then=_setting("config_file"), type=path, help="The settings file to use."),
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


def set_up_logging(*, is_daemon: bool = False) -> None:
    """Send the log to stderr: results go to stdout. A daemon's log says what it does without being asked.

    With --log-json, on whichever command runs, every line is JSON; under systemd every line has its priority.
    """
    context = click.get_current_context(silent=True)
    state = (context and context.find_object(State)) or State()
    level = {-1: logging.WARNING, 0: logging.INFO if is_daemon else logging.WARNING, 1: logging.INFO}.get(
        state.loudness, logging.DEBUG
    )
    handler = _StderrHandler()
    handler.setFormatter(
        formatter_for(is_daemon=is_daemon, is_json=state.is_log_json, is_journal=is_journal(os.environ, 2))
    )
    # watchdog warns of folders that it was given twice, which is the ordinary case when one is copied in.
    warnings.filterwarnings("ignore", module="watchdog")
    logger = logging.getLogger("facewatch")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class Command(click.Command):
    """Its help says how it was called, and its log goes where a log goes."""

    def get_help(self, context: click.Context) -> str:
        return help_as_called(super().get_help(context))

    def invoke(self, context: click.Context) -> Any:
        set_up_logging()
        return super().invoke(context)


class CommandGroup(click.Group):
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


class Sections(CommandGroup):
    """Lists its commands by what they are for."""

    group_class = CommandGroup

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
    "library; 5 catalog; 6 another facewatch is running; 7 engine; 8 people folder; 9 unknown person or photo; "
    "10 a contradiction, or nothing to undo; 130 Ctrl-C.",
)
@click.version_option(__version__, message="facewatch %(version)s")
@shared_options
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


def command(
    name: str, summary: str, *, group: click.Group = facewatch
) -> Callable[[Callable[..., None]], click.Command]:
    """A command, of all or of a group, with the options that all have."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return group.command(name, short_help=summary)(shared_options(function))

    return decorate


PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""What syslog and journald call the levels."""


class PlainFormatter(logging.Formatter):
    """A line for people. What a name holds cannot begin a line of its own or move the cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(as_called(one_line(super().formatMessage(record))))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what a photo's line is about, key by key."""

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        photo = getattr(record, "photo", None)
        if isinstance(photo, Mapping):
            facts |= {key: value for key, value in photo.items() if key not in facts}
        whole = {key: whole_text(value) if isinstance(value, str) else value for key, value in facts.items()}
        # As ASCII: no name can break the line, whatever reads it.
        return json.dumps(whole, default=str)


class JournalFormatter(logging.Formatter):
    """Another's lines, each with its priority in front, as journald takes them from a service's stderr."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{PRIORITIES.get(record.levelno, 5)}>"
        return "\n".join(prefix + line for line in self._inner.format(record).split("\n"))


def formatter_for(*, is_daemon: bool, is_json: bool, is_journal: bool) -> logging.Formatter:
    """Return how lines look. It can be pickled, so that worker processes speak alike."""
    if is_json:
        inner: logging.Formatter = JsonFormatter()
    elif is_journal:
        # The journal knows when, and the priority says how grave.
        inner = PlainFormatter("%(message)s")
    else:
        inner = PlainFormatter("%(asctime)s %(levelname)s %(message)s" if is_daemon else "%(levelname)s: %(message)s")
    return JournalFormatter(inner) if is_journal else inner


def is_journal(environment: Mapping[str, str], descriptor: int) -> bool:
    """Whether a descriptor leads to the journal: systemd says to which device and inode it connected stderr."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def one_line(text: str) -> str:
    """Return text of several lines, such as a list of faults, as one."""
    return text.strip("\n").replace("\n- ", "; ").replace("\n", "; ")
