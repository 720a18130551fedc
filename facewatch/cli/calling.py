"""How facewatch was called, so that what it tells people to type can be typed as it stands.

Code and help write every command as `facewatch scan`; what leaves for people passes `as_called`, which puts the words
there that were typed: `scripts/facewatch`, `python3 -m facewatch`, `docker compose exec facewatch facewatch`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from facewatch.cli.words import SECOND_WORDS, SECTIONS

VARIABLE = "FACEWATCH_CALLED_AS"
"""The environment variable that hands it on: from scripts/facewatch (a path) or compose.yaml (a whole command line),
to worker processes and the service, whose log says such things as well."""

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


def as_called(text: str) -> str:
    """Return a text for people with its commands as this program was called."""
    name = os.environ.get(VARIABLE, PROGRAM)
    return text if name == PROGRAM else _COMMAND.sub(lambda _: name, text)


def help_as_called(text: str) -> str:
    """Return the help of a command as this program was called; a long path stands in its usage only, since it would
    hide what the examples show."""
    usage, gap, rest = text.partition("\n\n")
    is_short = len(os.environ.get(VARIABLE, PROGRAM)) <= LONGEST_IN_EXAMPLES
    return as_called(usage) + gap + (as_called(rest) if is_short else rest)


def called_from_anywhere() -> dict[str, str]:
    """Return the variable for a process that runs in another folder, where it is set."""
    if VARIABLE not in os.environ:
        return {}
    first, *rest = shlex.split(os.environ[VARIABLE])
    return {VARIABLE: shlex.join([str(Path(first).absolute()) if "/" in first else first, *rest])}
