"""The command `facewatch` itself, which each command adds itself to: what people type when they mean one, and options
that all share."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facewatch import __version__, ids
from facewatch.called import SECOND_WORDS, SECTIONS, help_as_called
from facewatch.logs import formatter_for, is_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facewatch.app import App
    from facewatch.config import Config

_CLEANING = (
    "`facewatch forget WHO` deletes a person, `facewatch reject FACE` takes a face out of a person; photos are never "
    "deleted"
)
_HELPS = "`facewatch help` lists the commands, `facewatch help COMMAND` explains one"
_LISTING = "`facewatch people` lists everybody, `facewatch export` every face"
_FINDING = (
    "`facewatch photos with Anna` finds photos by who is on them, `facewatch search PHOTO` faces like those on one"
)
_SCANNING = "`facewatch scan PHOTOS` scans a photo folder once, `facewatch watch` stays"
_NAMING = "`facewatch rename WHO NAME` names a person, `facewatch assign FACE WHO` says whose a face is"
_SETTING = "`facewatch init PHOTOS` writes a settings file, facewatch.toml; `facewatch status` says which one is in use"
_STARTING = "`facewatch watch` watches until Ctrl-C, `facewatch service install` has the system keep it running"
_PAGE = "`facewatch web` shows everybody in your browser, on this machine only"
_STOPPING = (
    "Ctrl-C ends `facewatch watch`, `facewatch pause` lets it rest, `facewatch service uninstall` stops the service"
)
_VERSION = "`facewatch --version` says which this is"

MEANT = {
    **dict.fromkeys(("list", "ls", "dir", "persons", "who", "names", "all"), _LISTING),
    **dict.fromkeys(("face", "faces"), "`facewatch why PHOTO` lists the faces of a photo, `facewatch export` all"),
    **dict.fromkeys(("photo", "pictures", "open", "view", "browse", "gallery", "filter", "query"), _FINDING),
    **dict.fromkeys(("config", "configure", "settings", "setup", "options", "preferences", "set"), _SETTING),
    **dict.fromkeys(("start", "daemon", "monitor", "enable"), _STARTING),
    **dict.fromkeys(("serve", "server", "gui", "ui", "browser", "page"), _PAGE),
    **dict.fromkeys(("stop", "kill", "disable"), _STOPPING),
    **dict.fromkeys(("run", "add", "index", "import", "sync", "rescan", "reindex", "refresh", "detect"), _SCANNING),
    **dict.fromkeys(("update", "recognise", "recognize", "analyse", "analyze", "process", "load"), _SCANNING),
    **dict.fromkeys(("label", "tag", "identify", "call", "move"), _NAMING),
    **dict.fromkeys(("delete", "remove", "rm", "del", "drop"), _CLEANING),
    **dict.fromkeys(("find", "like", "similar", "match", "lookup"), _FINDING),
    **dict.fromkeys(("cluster", "group", "regroup"), "`facewatch recluster` groups the faces that belong to nobody"),
    **dict.fromkeys(("join", "combine", "unite", "same"), "`facewatch merge INTO OTHERS` makes one person of several"),
    **dict.fromkeys(("unmerge", "separate", "divide"), "`facewatch split WHO` makes several people of one"),
    **dict.fromkeys(("info", "progress", "state", "queue"), "`facewatch status` says what there is and what is done"),
    **dict.fromkeys(("log", "logs"), "`facewatch service logs` shows the service's log, `facewatch history` decisions"),
    **dict.fromkeys(("check", "verify", "test", "diagnose"), "`facewatch doctor` checks whether all is well"),
    **dict.fromkeys(("fix", "repair"), "`facewatch doctor` says what is wrong, `facewatch audit --fix` fixes it"),
    **dict.fromkeys(
        ("model", "download", "fetch"), "`facewatch models` lists the models, `facewatch models fetch` gets"
    ),
    **dict.fromkeys(("engine", "prune"), "`facewatch engines` lists what has worked here, `--prune` frees the old"),
    **dict.fromkeys(("ask", "answer", "questions", "suggest", "train", "learn"), "`facewatch review` asks who is who"),
    **dict.fromkeys(
        ("link", "links", "organise", "organize", "sort"), "`facewatch folders` renews the folder of links"
    ),
    **dict.fromkeys(("explain", "reason"), "`facewatch why PHOTO` says whose every face is, and why"),
    **dict.fromkeys(("unhide", "reveal"), "`facewatch show WHO` gives a hidden person a folder again"),
    **dict.fromkeys(("install", "uninstall", "autostart"), "`facewatch service install` and `uninstall`"),
    **dict.fromkeys(("save", "dump", "copy"), "`facewatch backup FILE` copies the catalog"),
    **dict.fromkeys(("version", "about"), _VERSION),
    **dict.fromkeys(("upgrade",), f"{_VERSION}; a newer one is installed over it"),
    **dict.fromkeys(("quit", "exit", "commands", "usage", "man"), _HELPS),
}
"""What somebody who types this is looking for."""

MEANT_OF_SERVICE = {
    **dict.fromkeys(("start", "restart", "enable", "run"), "`facewatch service install` starts it, also again"),
    **dict.fromkeys(("reload",), "`systemctl --user reload facewatch`; macOS: `facewatch service install`"),
    **dict.fromkeys(
        ("stop", "disable", "remove", "delete"), "`facewatch service uninstall`; to rest: `facewatch pause`"
    ),
    **dict.fromkeys(("log",), "`facewatch service logs`"),
    **dict.fromkeys(("info",), "`facewatch service status`"),
}
MEANT_OF_MODELS = {
    **dict.fromkeys(("list", "ls", "show", "info"), "`facewatch models` lists them"),
    **dict.fromkeys(("get", "download", "install", "pull", "update"), "`facewatch models fetch PACK`"),
    **dict.fromkeys(("add", "use"), "`facewatch models import DIR`, then `facewatch scan --engine insightface:PACK`"),
    **dict.fromkeys(("check", "test"), "`facewatch models verify`"),
    **dict.fromkeys(("remove", "delete", "rm"), "delete the pack's folder; `facewatch models` says where it is"),
}


def lead(word: str, commands: Iterable[str], meant: Mapping[str, str], program: str) -> str:
    """Return what to type instead of a word that is no command: what is meant by it, or what it is a slip for."""
    known = {**{name: f"did you mean `{program} {name}`?" for name in commands}, **meant}
    word = word.casefold().strip("-_ ")

    def likeness(other: str) -> float:
        return difflib.SequenceMatcher(None, word, other).ratio() + (len(word) > 1 and other.startswith(word))

    near = max(known, key=likeness)
    # A slip in a word that is only led somewhere else has to be a clear one.
    return known[near] if likeness(near) >= (0.75 if near in meant else 0.6) else _HELPS


def lead_thing(word: str) -> str | None:
    """Return what to type where a photo, a folder or an id stands instead of a command; None: it is none of these."""
    if Path(word).exists():
        command, does = ("scan", "scans it") if Path(word).is_dir() else ("why", "says who is on it")
        return f"`facewatch {command} {shlex.quote(word)}` {does}"
    named = ids.read_id(word)
    if named is None:
        return None
    why = f"`facewatch why {ids.face(named.number)}` explains a face"
    return (
        why if named.kind == ids.FACE else f"`facewatch rename {ids.person(named.number)} NAME` names a person, {why}"
    )


F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class State:
    """The values of the options before and after the command's name."""

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

        app = App(self.config(**overrides), needs_catalog=needs_catalog)
        try:
            self._check_people(app)
        except BaseException:
            app.catalog.close()
            raise
        return app

    def _check_people(self, app: App) -> None:
        """Refuse a person where the people folder is to be named: the command would be about everybody.

        Raises:
            UsageError: there is no such folder, and somebody is called that.
        """
        value = self.overrides.get("library.people")
        if value is None or os.path.lexists(value):
            return
        from facewatch.people.lookup import name_key

        names = app.catalog.people.names().values()
        if any(name_key(name) == name_key(value) for name in names):
            raise click.UsageError(
                f"--people {shlex.quote(value)}: that is a person, and --people names the folder that gets a folder "
                f"per person; {_instead(value)} (if a folder of this name is meant, make it first)"
            )

    @property
    def is_quiet(self) -> bool:
        return self.loudness < 0

    @property
    def is_verbose(self) -> bool:
        return self.loudness > 0


pass_state = click.make_pass_decorator(State, ensure=True)


def _instead(who: str) -> str:
    """Return how the command that runs takes a person."""
    context = click.get_current_context(silent=True)
    options = {option for one in context.command.params for option in one.opts} if context else set[str]()
    return f"use --person {shlex.quote(who)}" if "--person" in options else "a person is named without an option"


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
    """A choice whose error message suggests the value that was probably meant."""

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
    """A command with the options that all commands share."""

    def get_help(self, context: click.Context) -> str:
        return help_as_called(super().get_help(context))

    def invoke(self, context: click.Context) -> Any:
        set_up_logging()
        return super().invoke(context)


class CommandGroup(click.Group):
    """A group of commands that suggests the one that was probably meant."""

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
        if not word.startswith("-") and self.get_command(context, word) is None:
            thing = lead_thing(word) if context.parent is None else None
            hint = thing or lead(word, self.commands, self._meant, context.command_path)
            raise click.UsageError(f"there is no command {word!r}: {hint}", context)
        return super().resolve_command(context, [word, *rest])


MODULES = {
    "audit": ("audit",),
    "backup": ("backup", "restore"),
    "corrections": (
        *("apart", "assign", "born", "confirm", "cover", "forget", "hide", "history", "ignore", "merge", "redo"),
        *("reject", "rename", "show", "split", "unassign", "undo"),
    ),
    "doctor": ("doctor",),
    "draw": ("draw",),
    "evaluate": ("evaluate",),
    "export": ("export",),
    "folders": ("folders",),
    "init": ("init", "demo"),
    "models": ("models", "engines"),
    "people": ("people",),
    "people_files": ("people",),
    "photos": ("photos",),
    "presence": ("present",),
    "publish": ("publish",),
    "recluster": ("recluster",),
    "regions": ("regions",),
    "review": ("review",),
    "scan": ("scan",),
    "search": ("search",),
    "stats": ("stats",),
    "status": ("status", "pause", "resume"),
    "watch": ("watch", "service"),
    "web": ("web",),
    "why": ("why",),
}
"""The modules that add commands, each with the names of its own."""


class Sections(CommandGroup):
    """A group whose help lists its commands by purpose.

    A command's module is imported when the command is called: all of them take 0.1 s, half of what the start of a
    worker process may take.
    """

    group_class = CommandGroup

    @property
    def commands(self) -> MutableMapping[str, click.Command]:
        """All of them, by name."""
        self._import(MODULES)
        return self._commands

    @commands.setter
    def commands(self, commands: MutableMapping[str, click.Command]) -> None:
        self._commands = commands

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        self._commands[name or str(cmd.name)] = cmd

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._import(module for module, names in MODULES.items() if cmd_name in names)
        return self._commands.get(cmd_name)

    def _import(self, modules: Iterable[str]) -> None:
        for module in modules:
            importlib.import_module(f"facewatch.cli.{module}")

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
    "10 a contradiction, or nothing to undo; 11 a database for readers; 130 Ctrl-C.",
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
    name: str, summary: str, *, group: click.Group = facewatch, cls: type[click.Command] | None = None
) -> Callable[[Callable[..., None]], click.Command]:
    """A command, of all or of a group, with the options that all have."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return group.command(name, cls=cls, short_help=summary)(shared_options(function))

    return decorate
