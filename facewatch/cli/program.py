"""The command `facewatch` itself, which each command adds itself to: the words that are commands and those that people
type when they mean one, how the program is called, options that all share, and the log."""

from __future__ import annotations

import difflib
import importlib
import json
import logging
import os
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from facewatch import __version__, ids
from facewatch.text import printable, whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facewatch.app import App
    from facewatch.config import Config

SECTIONS = {
    "Every day": ("scan", "watch", "web", "people", "rename", "review", "status"),
    "Correct mistakes": (
        *("why", "merge", "split", "apart", "assign", "reject", "unassign", "confirm", "ignore"),
        *("draw", "present"),
        *("hide", "show", "cover", "born", "forget", "undo", "redo", "history"),
    ),
    "Search and examine": ("photos", "search", "stats", "audit", "regions", "export", "evaluate"),
    "Set up and maintain": ("init", "demo", "models", "engines", "recluster", "folders"),
    "Run unattended": ("backup", "restore", "doctor", "service", "pause", "resume"),
}
"""What `facewatch --help` lists, in the order in which it is needed."""

SECOND_WORDS = {"name": "rename"}
"""Words that are as good as the command's own."""

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


VARIABLE = "FACEWATCH_CALLED_AS"
"""The environment variable that hands it on: from scripts/facewatch (a path) or compose.yaml (a whole command line),
to worker processes and the service, whose log says such things as well."""

GIVEN = "FACEWATCH_GIVEN"
"""The environment variable with the options that say what this process works on: what it names works on the same."""
_SAY_ON_WHAT = ("--catalog", "--people", "--config")

PROGRAM = "facewatch"
LONGEST_IN_EXAMPLES = 20
"""Letters of it that examples in help have room for."""

_WORDS = "|".join([*(name for names in SECTIONS.values() for name in names), *SECOND_WORDS, "help", "COMMAND"])
# Not within a path, and not before a file's name: `/srv/facewatch status.jpg` is somebody's.
_COMMAND = re.compile(rf"(?<![\w/.-]){PROGRAM}(?=\s+(?:(?:{_WORDS})\b(?![/.-]\w)|--?[a-zA-Z]|\[OPTIONS\]))")


def how_called(environ: Mapping[str, str], argv: Sequence[str], orig_argv: Sequence[str]) -> str:
    """Return the words that call this program again, ready for a shell.

    Args:
        argv: `sys.argv`, whose first word is the program's file.
        orig_argv: `sys.orig_argv`, which begins with the interpreter as it was typed.
    """
    given = environ.get(VARIABLE, "")
    if given and not Path(given).is_file():
        return given
    program = Path(given or argv[0])
    if program.name == "__main__.py":
        return shlex.join(orig_argv[: len(orig_argv) - len(argv) + 1])
    if program.name.startswith("-"):
        return PROGRAM
    found = shutil.which(program.name, path=environ.get("PATH"))
    is_on_path = found is not None and Path(found).absolute() == program.absolute()
    return shlex.quote(program.name if is_on_path else given or argv[0])


def options_given(arguments: Sequence[str]) -> str:
    """Return those of a command's arguments that say which catalog, people folder and settings are meant, ready for a
    shell."""
    given, words = list[str](), iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option in _SAY_ON_WHAT:
            given += [option, value if equals else next(words, "")]
        elif word == "--":
            break
    return shlex.join(given)


def as_called(text: str) -> str:
    """Return a text for people with its commands as this program was called, and for what it was called."""
    given = "" if any(option in text for option in _SAY_ON_WHAT) else os.environ.get(GIVEN, "")
    return _with_program(text, f"{os.environ.get(VARIABLE, PROGRAM)} {given}".rstrip())


def _with_program(text: str, name: str) -> str:
    return text if name == PROGRAM else _COMMAND.sub(lambda _: name, text)


def help_as_called(text: str) -> str:
    """Return the help of a command as this program was called; a long path stands in its usage only, since it would
    hide what the examples show."""
    usage, gap, rest = text.partition("\n\n")
    name = os.environ.get(VARIABLE, PROGRAM)
    return _with_program(usage, name) + gap + (_with_program(rest, name) if len(name) <= LONGEST_IN_EXAMPLES else rest)


def called_from_anywhere() -> dict[str, str]:
    """Return the variable for a process that runs in another folder, where it is set."""
    if VARIABLE not in os.environ:
        return {}
    first, *rest = shlex.split(os.environ[VARIABLE])
    return {VARIABLE: shlex.join([str(Path(first).absolute()) if "/" in first else first, *rest])}


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

        return App(self.config(**overrides), needs_catalog=needs_catalog)

    @property
    def is_quiet(self) -> bool:
        return self.loudness < 0

    @property
    def is_verbose(self) -> bool:
        return self.loudness > 0


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
    name: str, summary: str, *, group: click.Group = facewatch, cls: type[click.Command] | None = None
) -> Callable[[Callable[..., None]], click.Command]:
    """A command, of all or of a group, with the options that all have."""

    def decorate(function: Callable[..., None]) -> click.Command:
        return group.command(name, cls=cls, short_help=summary)(shared_options(function))

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
    """Lines of another formatter, each with its priority in front, as journald reads them from a service's stderr."""

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
