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
    from facewatch.people.lookup import Meanings


class GivenUpError(click.Abort):
    """Ctrl-C at a question that is asked before anything is done."""


def is_confirmed(question: str, *, unasked: str) -> bool:
    """Ask a question and return whether it was answered with yes.

    Args:
        unasked: what answers it beforehand: "--yes to restore".

    Raises:
        click.UsageError: nobody answers; nothing was done.
        GivenUpError: Ctrl-C.
    """
    try:
        return click.confirm(printable(question), err=True)
    except click.Abort as abort:
        raise _unanswered(abort, f"say {unasked} unasked") from abort


def _unanswered(abort: click.Abort, remedy: str) -> Exception:
    """Return what to raise when no answer came: click tells of Ctrl-C and of the end of the input by the same."""
    if not isinstance(abort.__context__, EOFError):
        return GivenUpError()
    click.echo(err=True)  # ends the line of the question
    return click.UsageError(f"nobody answers, and nothing was done; {remedy}")


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
        click.UsageError: nobody answers.
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
