"""Questions at the command line, asked only in a terminal; no answer never counts as yes.

`Keys` is where keys and names come from that answer questions one after the other; `Terminal` is the one that people
sit at.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Protocol

import click

from facewatch import ids
from facewatch.cli.output import echo
from facewatch.errors import NotKnownError
from facewatch.text import printable

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.lookup import Meanings


class GivenUpError(click.Abort):
    """Ctrl-C at a question that is asked before anything is done."""


def is_confirmed(question: str, *, unasked: str) -> bool:
    """Ask a question and return whether it was answered with yes.

    Args:
        unasked: what answers it beforehand: "--yes to restore".

    Raises:
        click.UsageError: no answer came; nothing was done.
        GivenUpError: Ctrl-C.
    """
    try:
        return click.confirm(printable(question), err=True)
    except click.Abort as abort:
        raise _unanswered(abort, f"say {unasked} unasked") from abort


def _unanswered(abort: click.Abort, remedy: str) -> Exception:
    """Return what to raise when no answer came: click raises the same for Ctrl-C and for the end of the input."""
    if not isinstance(abort.__context__, EOFError):
        return GivenUpError()
    click.echo(err=True)  # ends the line of the question
    return click.UsageError(f"no answer came, so nothing was done; {remedy}")


def is_somebody_there() -> bool:
    return sys.stdin.isatty()


def read_out(catalog: Catalog, words: Sequence[str], *, is_for_all: bool = False) -> list[str]:
    """Return the words with their letters, where one is a number that is both a face and a person: which of the two is
    asked.

    Args:
        is_for_all: what is done with a person is the same, done with all its faces. Then a face of that very person
            is meant in either case, and is taken where nobody is there to be asked.

    Raises:
        NotKnownError: nobody is there to be asked.
        click.UsageError: no answer came.
        GivenUpError: Ctrl-C.
    """
    return [_read_out(catalog, word, is_for_all) for word in words]


def _read_out(catalog: Catalog, word: str, is_for_all: bool) -> str:
    from facewatch.people.lookup import meanings_of

    meanings = meanings_of(catalog, word)
    if meanings.face_id is None or meanings.person_id is None:
        return word
    face, person = ids.face(meanings.face_id), ids.person(meanings.person_id)
    if is_somebody_there():
        return _ask_which(word, meanings, face, person)
    both = f"{word} can be two things: {face} is {meanings.face}, {person} is {meanings.person}"
    [row] = catalog.faces.rows([meanings.face_id])
    if is_for_all and row.person_id == meanings.person_id:
        echo(f"{both}. {face} is meant in either case; write {person} for all of that person", is_error=True)
        return face
    raise NotKnownError(f"{both}. Write {face} or {person}")


def _ask_which(word: str, meanings: Meanings, face: str, person: str) -> str:
    echo(f"{word} can be two things:\n  {face}  {meanings.face}\n  {person}  {meanings.person}", is_error=True)
    try:
        return str(click.prompt("Which", type=click.Choice([face, person], case_sensitive=False), err=True))
    except click.Abort as abort:
        raise _unanswered(abort, f"write {face} or {person}") from abort


TERMINATED = 128 + signal.SIGTERM
"""Exit code, as shells have it."""


class Keys(Protocol):
    """A source of pressed keys."""

    def key(self, prompt: str) -> str:
        """Return the next key that is pressed after the prompt was shown; "": one that is no letter, "\\n": Enter.

        Raises:
            EOFError: no more answers come.
            KeyboardInterrupt: Ctrl-C.
        """
        ...

    def line(self, prompt: str, completions: Collection[str]) -> str:
        """Return a line of text; what is typed can be completed to one of these. Raises as `key`."""
        ...


def ask_name(keys: Keys, known: Iterable[str]) -> str:
    """Return the name that somebody types and means; "": none after all.

    Raises:
        NotKnownError: it cannot be a name.
    """
    names = sorted(known, key=str.casefold)
    typed = keys.line("who? (Tab completes, Enter alone goes back) ", names).strip()
    return _name_meant(keys, typed, names) if typed else ""


def ask_face(keys: Keys, faces: Sequence[int]) -> int | None:
    """Return the face whose number, from 1, somebody types; None: none after all.

    Raises:
        NotKnownError: none of them has it.
    """
    typed = keys.line(f"which face, 1 to {len(faces)}? (Enter alone goes back) ", ()).strip()
    if not typed:
        return None
    if not typed.isdecimal() or not 0 < int(typed) <= len(faces):
        raise NotKnownError(f"{typed!r} is no face of these; there are 1 to {len(faces)}")
    return faces[int(typed) - 1]


def _name_meant(keys: Keys, typed: str, names: Sequence[str]) -> str:
    from facewatch.people.lookup import clean_name, name_key

    name = clean_name(typed)
    same = [known for known in names if name_key(known) == name_key(name)]
    if same:
        return same[0]
    near = near_misses(name, names)
    if not near:
        return name
    offers = {str(i): known for i, known in enumerate(near, 1)}
    listed = " ".join(f"[{key}] {known}" for key, known in offers.items())
    offers |= {"n": name, "b": ""} | ({"y": near[0]} if len(near) == 1 else {})
    question = f"did you mean {listed}, or is it [n]ew: {name}? [b]ack "
    while (key := keys.key(question)) not in offers:
        click.echo()
    echo(offers[key] or "back")
    return offers[key]


def near_misses(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three names that may be meant by what is none: those that begin so, then those written nearly so."""
    from facewatch.people.lookup import name_key, nearest_names

    names = list(names)
    longer = [known for known in names if name_key(known).startswith(name_key(name))]
    return list(dict.fromkeys((*longer, *nearest_names(name_key(name), names))))[:3]


class Terminal:
    """The keys of a terminal, without Enter. It is left as it was found, whatever happens."""

    def __init__(self, source: int) -> None:
        """`source`: its descriptor, for reading."""
        self._source = source
        self._is_raw = False

    def __enter__(self) -> Terminal:
        import termios

        self._before = termios.tcgetattr(self._source)
        self._handlers = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, _end),
            signal.SIGCONT: signal.signal(signal.SIGCONT, self._carry_on),
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def key(self, prompt: str) -> str:
        import termios
        import tty

        # What was typed before the question was there is no answer to it, so that is dropped here.
        tty.setcbreak(self._source, termios.TCSAFLUSH)
        self._is_raw = True
        click.echo(prompt, nl=False)
        typed = os.read(self._source, 64)
        if typed[:1] in (b"", b"\x04"):
            raise EOFError
        # An arrow or a function key is several characters.
        text = "" if typed.startswith(b"\x1b") else typed.decode("utf-8", errors="ignore")
        return text[:1].lower().replace("\r", "\n")

    def line(self, prompt: str, completions: Collection[str]) -> str:
        self._restore()
        sys.stdout.flush()
        with _completing(completions):
            return input(prompt)

    def _restore(self) -> None:
        import termios

        self._is_raw = False
        # Gone, when its window was closed.
        with suppress(termios.error):
            termios.tcsetattr(self._source, termios.TCSADRAIN, self._before)

    def _carry_on(self, number: int, frame: FrameType | None) -> None:
        """After Ctrl-Z and fg: the shell has set the terminal for itself meanwhile."""
        import tty

        if self._is_raw:
            tty.setcbreak(self._source)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


@contextmanager
def _completing(names: Collection[str]) -> Iterator[None]:
    """Complete lines to these names, where Python came with readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    before = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(completer(names))
    # A name is completed as a whole, with its spaces.
    readline.set_completer_delims("")
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.parse_and_bind("set completion-ignore-case on")
    try:
        yield
    finally:
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])


def completer(names: Collection[str]) -> Callable[[str, int], str | None]:
    """Return what readline asks for the n-th name that begins with a text, in whatever case."""

    def complete(text: str, n: int) -> str | None:
        fitting = [name for name in names if name.casefold().startswith(text.casefold())]
        return fitting[n] if n < len(fitting) else None

    return complete
