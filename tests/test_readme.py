"""README and docs as a new user takes them: block by block, on a family's album; and every word of them exists."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import documents
import pytest

from facewatch.called import SECOND_WORDS
from facewatch.cli import main
from facewatch.cli.program import facewatch

ROOT = Path(__file__).resolve().parent.parent
TEXT = documents.everything()

PROGRAM = "scripts/facewatch"

NOT_RUN = {
    r"^git clone REPOSITORY ": "the address is to be filled in",
    r"^scripts/test\b": "that is what runs",
    r"^(pipx|uv|python3 -m venv|~/facewatch-env/bin/pip) ": "installs packages, which takes an index",
    r"^(docker compose|printf 'PHOTOS=|mkdir -p ~/People$)": "Docker",
    r"^loginctl |facewatch service ": "the system's own services",
    r"^scripts/facewatch publish\b": "a database server",
    r" models fetch | --engine insightface:buffalo_l$": "a download",
    r"/path/to/": "a place to be filled in",
    r" \.\./shared/photos\b|^scripts/hard_sets ": "takes from ten minutes to an hour",
}
"""What no test can type, by what it is."""

ANSWERS = {" split ": "y\n", " restore ": "y\n"}
"""What is typed when it asks."""


class Typed(NamedTuple):
    """A line that somebody types, and what is shown below it."""

    command: str
    shown: tuple[str, ...] = ()
    is_alternative: bool = False
    """Whether it stands in a table of things of which one is done."""


class Block(NamedTuple):
    """A fenced or indented piece of a document."""

    start: int
    language: str
    lines: tuple[str, ...]


def blocks() -> list[Block]:
    found = re.finditer(r"^ *```(\w*)\n(.*?)^ *```$|((?:^    \S[^\n]*\n)+)", TEXT, re.MULTILINE | re.DOTALL)
    return [Block(one.start(), one[1] or "", tuple((one[2] or one[3]).splitlines())) for one in found]


def typed() -> list[Typed]:
    """Return everything that the documents say to type, in their order, with what they show below."""
    at: list[tuple[int, Typed]] = []
    for block in blocks():
        has_prompts = any(line.startswith("$ ") for line in block.lines)
        # In a block that only shows files there is nothing to type.
        is_shown = not has_prompts and any(" -> " in line for line in block.lines)
        for line in () if block.language or is_shown else block.lines:
            if line.startswith("$ ") or not has_prompts:
                at.append((block.start, Typed(line.removeprefix("$ ").strip())))
            else:
                start, last = at[-1]
                at[-1] = (start, last._replace(shown=(*last.shown, line)))
    for row in re.finditer(rf"^\| `({PROGRAM} [^`]*)` \|", TEXT, re.MULTILINE):
        at.append((row.start(), Typed(row[1], is_alternative=True)))
    return [one for _, one in sorted(at, key=lambda pair: pair[0])]


def reason_not_to_run(command: str) -> str | None:
    return next((why for sign, why in NOT_RUN.items() if re.search(sign, command.partition(" #")[0].strip())), None)


# --- it runs ---


@pytest.fixture
def home(shared: Path, tmp_path: Path) -> Iterator[Path]:
    """What the documents take for granted: photos of a family, a USB drive, labelled photos, a pack, ~/.local/bin."""
    home, album = tmp_path / "me", shared / "photos" / "album" / "family"
    photos = home / "Pictures" / "2024"
    photos.mkdir(parents=True)
    called = {"Family3-Lady1.jpg": "IMG_1234.jpg", "identification3.jpg": "beach.jpg"}
    for photo in sorted(album.glob("*.jpg")):
        shutil.copy(photo, photos / called.get(photo.name, photo.name))
    for labelled in ("Labelled", "Portraits", "Holidays"):
        for person in ("Dad", "Mom"):
            (home / labelled / person).mkdir(parents=True)
            for photo in album.glob(f"Family1-{person}*.jpg"):
                shutil.copy(photo, home / labelled / person)
    (home / "usb").mkdir()
    (home / ".local" / "bin").mkdir(parents=True)
    shutil.copytree(shared / "models" / "buffalo_sc_dq", home / "my_pack")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setattr("tempfile.tempdir", str(tmp_path))
        patch.chdir(ROOT)
        yield home


@pytest.mark.slow
def test_every_block_runs_as_it_is_typed_and_in_its_order(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for one in typed():
        if reason_not_to_run(one.command):
            continue
        prepare(home, one.command)
        code, out = run_typed(home, one.command, capfd)
        assert code == 0, f"$ {one.command}\n{out}"
        assert shows(out, one.shown, home), f"$ {one.command}\n{out}"
        if one.is_alternative:
            assert main(["undo"]) == 0
    assert (home / ".local" / "bin" / "facewatch").samefile(ROOT / PROGRAM)
    assert not (home / "People" / "Anna" / "IMG_1234.jpg").exists()


def prepare(home: Path, command: str) -> None:
    """See to it that the backup of that day is there."""
    if " restore " in command:
        [made] = (home / "usb").glob("catalog-*.sqlite")
        made.rename(home / "usb" / shlex.split(command, comments=True)[-1].rpartition("/")[2])


def run_typed(home: Path, command: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit code and all that was said."""
    words = [re.sub("^~/", f"{home}/", word) for word in shlex.split(command, comments=True)]
    if words[0] != PROGRAM:
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr
    if words[1] in ("review", "watch"):
        return at_a_terminal(words[1:], ends_at=b"[?] " if words[1] == "review" else b": watching")
    answer = next((text for sign, text in ANSWERS.items() if sign in command), "")
    capfd.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        reader, writer = os.pipe()
        os.write(writer, answer.encode())
        os.close(writer)
        with os.fdopen(reader) as keyboard:
            patch.setattr("sys.stdin", keyboard)
            code = main(words[1:])
    said = capfd.readouterr()
    return code, said.out + said.err


def at_a_terminal(arguments: list[str], *, ends_at: bytes) -> tuple[int, str]:
    """Run what stays until it says this; `q` and Ctrl-C then end it."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-P", "-m", "facewatch", *arguments]
    environment = os.environ | {"TERM": "xterm", "FACEWATCH_PICTURES": "none"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said, give_up_at = b"", time.monotonic() + 120
    try:
        while ends_at not in said and select.select([ours], [], [], max(0.0, give_up_at - time.monotonic()))[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:
                break
        if arguments[0] == "review":
            os.write(ours, b"q")
        else:
            process.send_signal(signal.SIGINT)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return code, said.decode().replace("\r\n", "\n")


EXAMPLE = re.compile(r"^are these \d+ faces |^\[y\]es ")
"""What depends on the question that comes first."""


def shows(out: str, shown: tuple[str, ...], home: Path) -> bool:
    """Whether the lines that a document shows are there, in order; "..." stands for any, seconds for any number."""

    def stable(line: str) -> str:
        line = re.sub(r"\d+\.\d s", "N s", line.replace(str(home), "/home/me")).strip()
        # How much there is to be asked.
        return re.sub(r"\d+", "N", line) if " still open; " in line else line

    said = [stable(line) for line in out.replace("facewatch ", f"{PROGRAM} ").splitlines()]
    for line in map(stable, shown):
        if line in ("", "...") or EXAMPLE.match(line):
            continue
        if line not in said:
            return False
        said = said[said.index(line) + 1 :]
    return True


def test_what_is_not_run_is_so_for_a_reason_that_still_holds() -> None:
    reasons = {sign: [one.command for one in typed() if re.search(sign, one.command)] for sign in NOT_RUN}
    # One is in a block of another language.
    assert [sign for sign, commands in reasons.items() if not commands] == [r"/path/to/"]
    assert len([one for one in typed() if not reason_not_to_run(one.command)]) > 25


def test_alternatives_are_shown_as_alternatives() -> None:
    assert {one.command.split()[1] for one in typed() if one.is_alternative} == {
        *("reject", "assign", "unassign", "ignore"),
    }


# --- every command and option exists ---


def words_said() -> Iterator[str]:
    """Yield every piece of code of the documents: lines of blocks, and what stands between backticks."""
    for block in blocks():
        if block.language in ("", "sh"):
            yield from filter(None, (line.partition(" #")[0].removeprefix("$ ").strip() for line in block.lines))
    without_blocks = re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    yield from (code.replace(r"\|", "|") for code in re.findall(r"`([^`\n]+)`", without_blocks))


def command_of(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """Return the command that words begin with, and the words behind it."""
    command: click.Command = facewatch
    while words and hasattr(command, "commands"):
        word = SECOND_WORDS.get(words[0], words[0])
        if word not in command.commands:
            break
        command, words = command.commands[word], words[1:]
    return (command, words) if command is not facewatch else (None, words)


OPTIONS = {
    option
    for command in (facewatch, *facewatch.commands.values())
    for one in (command, *getattr(command, "commands", {}).values())
    for parameter in one.params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | {"--help", "-h", "--version"}
OF_SCRIPTS = {
    option for script in (ROOT / "scripts").glob("*.py") for option in re.findall(r'"(--[a-z-]+)"', script.read_text())
}

OTHERS = re.compile(
    r"^(curl|docker|uv|pipx|pip|python3|systemctl|loginctl|journalctl|sqlite3|sysctl|apt|ln|git|printf|mkdir|mv|rm|ls|cp|rsync|rclone|tar|zip|unzip|7z|ray)\b|^(~|\.venv)/"
)
SCRIPTS = re.compile(r"^scripts/(?!facewatch\b)")


@pytest.mark.parametrize("said", sorted({*words_said()}))
def test_every_command_and_every_option_that_is_named_exists(said: str) -> None:
    if OTHERS.search(said) or SCRIPTS.search(said):
        if script := re.match(r"scripts/\w+", said):
            assert (ROOT / script[0]).is_file()
        return
    words = said.split()
    if words[0].endswith("facewatch") and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
        words = words[1:]
        if not words[0].startswith("-"):
            command, rest = command_of(words)
            assert command or words[0] in ("help", "COMMAND"), f"there is no command {words[0]}"
            words = [*words[: len(words) - len(rest)], *rest]
    command, rest = command_of(words)
    known = (
        {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        if command
        else OPTIONS
    )
    for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(rest)):
        assert word in known | OF_SCRIPTS | {"--help", "-h"}, f"{words[0]} has no option {word}"
