"""What a search for photos may go on with while it is typed: names, folders, words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from facewatch.people.completion import completions
from facewatch.people.lookup import name_key
from facewatch.people.overview import PersonTile
from facewatch.people.photos.words import QUOTES, TERMS, Term, is_name_part, quoted

OFFERED = ("with", "without", "or", "faces:", "since", "before", "in:", "undated", "deleted")
"""Words that are offered when they are begun."""

MOST_WORDS = 4
"""Of a name that is typed without quotes, as far as it is looked for."""

_LISTING = frozenset({Term.WITH, Term.WITHOUT, Term.AND, Term.OR})
"""Words that names follow."""

_IN = re.compile(r"(?<!\S)(?:in|folder)(?::\s*|\s+)(?P<typed>[^\":]*)\Z", re.IGNORECASE)
_OPEN = re.compile(r"(?<!\S)(?P<key>\w+:)?\"(?P<typed>[^\"]*)\Z")


@dataclass(frozen=True, slots=True)
class SearchCompletion:
    """A way in which a search may go on."""

    text: str
    """The whole search then."""
    label: str
    """What comes in the place of what was typed last."""
    person: PersonTile | None = None
    """Who that is; None: it is a folder or a word."""


def search_completions(
    text: str, people: Collection[PersonTile], folders: Sequence[str], *, most: int
) -> list[SearchCompletion]:
    """Return how what is typed so far may go on, in the order in which it is offered.

    Args:
        people: in the order in which they are offered.
        folders: the names of all folders of the libraries.
    """
    text = text.translate(QUOTES)
    is_open = text.count('"') % 2 == 1
    begun = (_OPEN if is_open else _IN).search(text)
    if begun and _is_folder(begun):
        start = begun.start("typed") - is_open
        found: Iterator[SearchCompletion] = _folders(text[:start], begun["typed"], folders)
    elif begun and is_open:
        found = _people(text[: begun.start("typed") - 1], begun["typed"], people, most)
    else:
        found = _names_and_terms(text, people, most)
    return [one for _, one in zip(range(most), found, strict=False)]


def _is_folder(begun: re.Match[str]) -> bool:
    """Whether what is being typed is a folder."""
    if "key" in begun.re.groupindex:
        return TERMS.get((begun["key"] or "").rstrip(":").casefold()) is Term.IN
    return all(map(is_name_part, begun["typed"].split()))


def _folders(before: str, typed: str, folders: Sequence[str]) -> Iterator[SearchCompletion]:
    key = name_key(typed)
    held = [(name_key(name).find(key), name) for name in folders if name_key(name) != key]
    for _, name in sorted((at, name) for at, name in held if at >= 0):
        yield SearchCompletion(f"{before}{quoted(name)} ", name)


def _names_and_terms(text: str, people: Collection[PersonTile], most: int) -> Iterator[SearchCompletion]:
    words = list(re.finditer(r"\S+", text))
    if text == "" or text[-1].isspace():
        if words and TERMS.get(words[-1][0].rstrip(":").casefold()) in _LISTING:
            yield from _people(text, "", people, most)
        return
    starts = _starts(words)
    if starts:
        start = next((at for at in starts if _begin_so(text[at:], people)), starts[-1])
        yield from _people(text[:start], text[start:], people, most)
    last = words[-1]
    for term in OFFERED:
        if len(last[0]) > 1 and term.startswith(last[0].casefold()) and term != last[0].casefold():
            yield SearchCompletion(f"{text[: last.start()]}{term}{'' if term.endswith(':') else ' '}", term)


def _starts(words: Sequence[re.Match[str]]) -> list[int]:
    """Return where a name that is being typed may begin, the longest first."""
    starts: list[int] = []
    for word in reversed(words[-MOST_WORDS:]):
        if not is_name_part(word[0]):
            break
        starts.insert(0, word.start())
    return starts


def _begin_so(typed: str, people: Collection[PersonTile]) -> bool:
    key = name_key(typed)
    return any(one.is_named and name_key(one.label).startswith(key) for one in people)


def _people(before: str, typed: str, people: Collection[PersonTile], most: int) -> Iterator[SearchCompletion]:
    for found in completions(people, typed, most=most):
        if not found.is_exact:
            yield SearchCompletion(f"{before}{quoted(found.person.label)} ", found.person.label, found.person)
