"""How this program is called, in words that somebody can type: a path, a whole command line, or its name.

Texts are written for `facewatch COMMAND`, and say what was really typed. The words of the commands stand here, where
worker processes can have them without the command line.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

SECTIONS = {
    "Every day": ("scan", "watch", "web", "people", "rename", "review", "status"),
    "Correct mistakes": (
        *("why", "merge", "split", "apart", "assign", "reject", "unassign", "confirm", "ignore"),
        *("draw", "present"),
        *("hide", "show", "cover", "born", "forget", "undo", "redo", "history"),
    ),
    "Search and examine": ("photos", "search", "stats", "audit", "regions", "export", "publish", "evaluate"),
    "Set up and maintain": ("init", "demo", "models", "engines", "recluster", "folders"),
    "Run unattended": ("backup", "restore", "doctor", "service", "pause", "resume"),
}
"""What `facewatch --help` lists, in the order in which it is needed."""

SECOND_WORDS = {"name": "rename"}
"""Words that are as good as the command's own."""

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


def options_given(arguments: Sequence[str], *, folder: str = "", home: str = "") -> str:
    """Return those of a command's arguments that say which catalog, people folder and settings are meant, ready for a
    shell in this folder, and as short as they can be: they stand in every command that is suggested. "": not known."""
    given, words = list[str](), iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option in _SAY_ON_WHAT:
            given += [option, _short(value if equals else next(words, ""), folder, home)]
        elif word == "--":
            break
    return " ".join(given)


def _short(path: str, folder: str, home: str) -> str:
    """Return a path as a shell in this folder takes it: relative where it lies there, else from the home folder."""
    below = _below(path, folder)
    if below and not below.startswith("-"):
        return shlex.quote(below)
    # A quoted ~ means nothing to a shell.
    return f"~/{shlex.quote(below)}" if (below := _below(path, home)) else shlex.quote(path)


def _below(path: str, folder: str) -> str:
    """Return the path of what is in a folder from there; "": it is not in it."""
    top = f"{folder.rstrip('/')}/"
    return path.removeprefix(top).lstrip("/") if len(top) > 1 and path.startswith(top) else ""


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
