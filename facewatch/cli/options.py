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

from facewatch.cli.logs import formatter_for, is_journal

if TYPE_CHECKING:
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
