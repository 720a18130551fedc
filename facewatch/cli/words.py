"""The words of the command line: those that are commands, and those that people type when they mean one."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from facewatch import ids

SECTIONS = {
    "Every day": ("scan", "watch", "people", "rename", "review", "status"),
    "Correct mistakes": (
        *("why", "merge", "split", "apart", "assign", "reject", "unassign", "confirm", "ignore", "hide", "show"),
        *("cover", "born", "forget", "undo", "redo", "history"),
    ),
    "Search and examine": ("search", "stats", "audit", "export", "evaluate"),
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
_SCANNING = "`facewatch scan PHOTOS` scans a photo folder once, `facewatch watch` stays"
_NAMING = "`facewatch rename WHO NAME` names a person, `facewatch assign FACE WHO` says whose a face is"
_SETTING = "`facewatch init PHOTOS` writes a settings file, facewatch.toml; `facewatch status` says which one is in use"
_STARTING = "`facewatch watch` watches until Ctrl-C, `facewatch service install` has the system keep it running"
_STOPPING = (
    "Ctrl-C ends `facewatch watch`, `facewatch pause` lets it rest, `facewatch service uninstall` stops the service"
)
_VERSION = "`facewatch --version` says which this is"

MEANT = {
    **dict.fromkeys(("list", "ls", "dir", "persons", "who", "names", "all"), _LISTING),
    **dict.fromkeys(("face", "faces"), "`facewatch why PHOTO` lists the faces of a photo, `facewatch export` all"),
    **dict.fromkeys(("photo", "photos", "pictures", "open", "view", "browse", "gallery"), _LISTING),
    **dict.fromkeys(("config", "configure", "settings", "setup", "options", "preferences", "set"), _SETTING),
    **dict.fromkeys(("start", "daemon", "serve", "server", "monitor", "enable"), _STARTING),
    **dict.fromkeys(("stop", "kill", "disable"), _STOPPING),
    **dict.fromkeys(("run", "add", "index", "import", "sync", "rescan", "reindex", "refresh", "detect"), _SCANNING),
    **dict.fromkeys(("update", "recognise", "recognize", "analyse", "analyze", "process", "load"), _SCANNING),
    **dict.fromkeys(("label", "tag", "identify", "call", "move"), _NAMING),
    **dict.fromkeys(("delete", "remove", "rm", "del", "drop"), _CLEANING),
    **dict.fromkeys(("find", "like", "similar", "match", "lookup"), "`facewatch search PHOTO` finds faces like those"),
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
