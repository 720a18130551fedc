"""The words of a search for photos, as somebody types them; values in, values out.

    with Anna "Ben Miller" or Carl without Dora faces:3+ since 2019 in:Holidays

A condition is a word and its value, behind a colon or a space. What has no word before it is a date, a folder that
begins like a path, or a name. Names and folders may have spaces; quotes say where one ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from facewatch.catalog.photos import DateSpan
from facewatch.errors import QueryError

MOST_LETTERS = 2000
"""Of a search; more is a mistake."""


class Term(StrEnum):
    """A word that says what its value is."""

    WITH = "with"
    WITHOUT = "without"
    AND = "and"
    OR = "or"
    FACES = "faces"
    YEAR = "year"
    SINCE = "since"
    AFTER = "after"
    BEFORE = "before"
    UNTIL = "until"
    IN = "in"
    UNDATED = "undated"
    DELETED = "deleted"


TERMS = {term.value: term for term in Term} | {
    "not": Term.WITHOUT,
    "&": Term.AND,
    "+": Term.AND,
    "|": Term.OR,
    "face": Term.FACES,
    "from": Term.SINCE,
    "to": Term.UNTIL,
    "folder": Term.IN,
    "date": Term.YEAR,
}
"""How each may be written; not all of it is documented."""

WITHOUT_VALUE = frozenset({Term.AND, Term.OR, Term.UNDATED, Term.DELETED})

UNDERSTOOD = "with, without, or, faces:3+, 2019, 2015-2018, since 2019, before 2010, in:FOLDER, undated, deleted"
"""What a search may consist of, in a sentence on one that was not understood."""


@dataclass(frozen=True, slots=True)
class QueryWord:
    """One word of a search."""

    text: str
    term: Term | None = None
    """What it says of the text, or "", where that is in the words that follow; None: nothing."""
    is_quoted: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it may be part of a name of several words."""
        return self.term is None and not self.is_quoted


QUOTES = str.maketrans("\u201c\u201d\u201e\u201f", '""""')
"""What phones write for quotes."""
_WORD = re.compile(r'(?:(\w+):)?"([^"]*)"?|(\S+)')
_PLAIN = re.compile(r"[^\s\":]+")
_KEYED = re.compile(r"(\w+):(.*)", re.DOTALL)


def words_of(text: str) -> list[QueryWord]:
    """Return the words of a search that was typed as one line.

    Raises:
        QueryError: it is too long.
    """
    if len(text) > MOST_LETTERS:
        raise QueryError(f"the search has {len(text)} letters; at most {MOST_LETTERS} are possible")
    found = []
    for match in _WORD.finditer(text.translate(QUOTES)):
        key, quoted, plain = match.groups()
        if plain is not None:
            found.append(_word(plain))
        elif key and key.casefold() in TERMS:
            found.append(QueryWord(quoted, TERMS[key.casefold()], is_quoted=True))
        else:
            found.append(QueryWord(f"{key}:{quoted}" if key else quoted, is_quoted=True))
    return found


def words_of_arguments(arguments: Sequence[str]) -> list[QueryWord]:
    """Return the words of a search that a shell has split: an argument with a space was quoted, unless it is alone."""
    if len(arguments) == 1:
        return words_of(arguments[0])
    found: list[QueryWord] = []
    for argument in arguments:
        found += [_quoted(argument)] if any(map(str.isspace, argument)) else words_of(argument)
    return found


def _quoted(argument: str) -> QueryWord:
    keyed = _KEYED.fullmatch(argument)
    if keyed and keyed[1].casefold() in TERMS:
        return QueryWord(keyed[2], TERMS[keyed[1].casefold()], is_quoted=True)
    return QueryWord(argument, is_quoted=True)


def _word(text: str) -> QueryWord:
    keyed = _KEYED.fullmatch(text)
    key = (keyed[1] if keyed else text).casefold()
    if key not in TERMS:
        return QueryWord(text)
    return QueryWord(keyed[2] if keyed else "", TERMS[key])


def quoted(name: str) -> str:
    """Return a name, or that of a folder, as it is written in a search."""
    is_plain = name == " ".join(name.split()) and all(map(is_name_part, name.split()))
    return name if is_plain else f'"{name}"'


def is_name_part(word: str) -> bool:
    """Whether a word can be part of a name only."""
    try:
        is_date = date_span(word) is not None
    except QueryError:
        return False
    return not is_date and word.casefold() not in TERMS and _PLAIN.fullmatch(word.strip(",")) is not None


# --- dates ---

_DATE = r"\d{4}(?:-\d\d(?:-\d\d)?)?"
_SPAN = re.compile(rf"({_DATE})(?:\.\.({_DATE}))?|(\d{{4}})-(\d{{4}})")
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014", "-----")
_YEARS = range(1800, 2200)
"""A number that stands alone is a year if it is one of these."""


def date_span(text: str) -> DateSpan | None:
    """Return the days that a word names: 2019, 2019-05, 2019-05-17, 2015-2018, 2019-05..2019-08; None: none.

    Raises:
        QueryError: there is no such day.
    """
    match = _SPAN.fullmatch(text.translate(_DASHES).rstrip(","))
    if match is None:
        return None
    first, last = match[1] or match[3], match[2] or match[4] or match[1]
    if not all(int(day[:4]) in _YEARS for day in (first, last)):
        return None
    check_date(first)
    check_date(last)
    return DateSpan(*sorted((first, last)))


def read_date(text: str) -> str:
    """Return YYYY, YYYY-MM or YYYY-MM-DD.

    Raises:
        QueryError: it is none of these.
    """
    cleaned = text.translate(_DASHES).rstrip(",")
    if not re.fullmatch(_DATE, cleaned) or int(cleaned[:4]) not in _YEARS:
        raise QueryError(f"{text!r} is no date; write 2019, 2019-05 or 2019-05-17")
    return check_date(cleaned)


def check_date(text: str) -> str:
    """Return a date that is on the calendar as it is.

    Raises:
        QueryError: it is not.
    """
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    try:
        date(year, month, day)
    except ValueError as error:
        raise QueryError(f"{text!r} is no date: {error}") from error
    return text


def before(day: str) -> str:
    """Return the last day, month or year before one."""
    year, month, rest = int(day[:4]), day[5:7], day[8:]
    if rest:
        return date.fromordinal(date.fromisoformat(day).toordinal() - 1).isoformat()
    if month:
        return f"{year:04d}-{int(month) - 1:02d}" if month != "01" else f"{year - 1:04d}-12"
    return f"{year - 1:04d}"


def after(day: str) -> str:
    """Return the first day, month or year after one."""
    year, month, rest = int(day[:4]), day[5:7], day[8:]
    if rest:
        return date.fromordinal(date.fromisoformat(day).toordinal() + 1).isoformat()
    if month:
        return f"{year:04d}-{int(month) + 1:02d}" if month != "12" else f"{year + 1:04d}-01"
    return f"{year + 1:04d}"


# --- how many faces ---

_FACES = re.compile(r"(\d{1,4})(?:(\+)|(?:-|\.\.)(\d{1,4}))?")


def face_counts(text: str) -> tuple[int, int | None]:
    """Return at least and at most how many faces: 3, 3+, 2-5; None: any number.

    Raises:
        QueryError: it is none of these.
    """
    match = _FACES.fullmatch(text.translate(_DASHES).rstrip(","))
    if match is None:
        raise QueryError(f"faces:{text}: write how many, as faces:3, faces:3+, faces:2-5 or faces:0")
    least = int(match[1])
    most = None if match[2] else int(match[3] or least)
    return (least, most) if most is None or least <= most else (most, least)
