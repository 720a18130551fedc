"""Questions at the command line: only where somebody is there to answer, and no answer is never a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from facewatch import ids
from facewatch.cli.output import echo
from facewatch.errors import NotKnownError
from facewatch.text import printable

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.people.finding import Meanings


def is_confirmed(question: str, *, unasked: str) -> bool:
    """Ask a question and return whether it was answered with yes.

    Args:
        unasked: what answers it beforehand: "--yes to restore".

    Raises:
        click.UsageError: nobody answers; nothing was done.
        click.Abort: Ctrl-C.
    """
    try:
        return click.confirm(printable(question), err=True)
    except click.Abort as abort:
        raise _unanswered(abort, f"say {unasked} unasked") from abort


def _unanswered(abort: click.Abort, remedy: str) -> Exception:
    """Return what to raise when no answer came: click tells of Ctrl-C and of the end of the input by the same."""
    if not isinstance(abort.__context__, EOFError):
        return abort
    click.echo(err=True)  # ends the line of the question
    return click.UsageError(f"nobody answers, and nothing was done; {remedy}")


def is_somebody_there() -> bool:
    return sys.stdin.isatty()


def read_out(catalog: Catalog, words: Sequence[str]) -> list[str]:
    """Return the words with their letters, where one is a number that is both a face and a person: which of the two is
    asked.

    Raises:
        NotKnownError: nobody is there to be asked.
        click.UsageError: nobody answers.
    """
    return [_read_out(catalog, word) for word in words]


def _read_out(catalog: Catalog, word: str) -> str:
    from facewatch.people.finding import meanings_of

    meanings = meanings_of(catalog, word)
    if meanings.face_id is None or meanings.person_id is None:
        return word
    return _ask_which(word, meanings, ids.face(meanings.face_id), ids.person(meanings.person_id))


def _ask_which(word: str, meanings: Meanings, face: str, person: str) -> str:
    both = f"{face} is {meanings.face}, {person} is {meanings.person}"
    if not is_somebody_there():
        raise NotKnownError(f"{word} can be two things: {both}. Write {face} or {person}")
    echo(f"{word} can be two things:\n  {face}  {meanings.face}\n  {person}  {meanings.person}", is_error=True)
    try:
        return str(click.prompt("Which", type=click.Choice([face, person], case_sensitive=False), err=True))
    except click.Abort as abort:
        raise _unanswered(abort, f"write {face} or {person}") from abort
