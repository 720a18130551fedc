"""What the words of a search for photos mean in a catalog: who is who, and which folders are meant."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from facewatch import ids
from facewatch.catalog import Catalog, display
from facewatch.catalog.photos import ANY_TIME, DateSpan, LibraryFolder, PhotoQuery, topmost
from facewatch.errors import NotKnownError, QueryError
from facewatch.people.lookup import NobodyCalledError, find_person, name_key, number_of_label
from facewatch.people.photos.words import (
    UNDERSTOOD,
    WITHOUT_VALUE,
    QueryWord,
    Term,
    after,
    before,
    date_span,
    face_counts,
    read_date,
    words_of,
)

MOST_IN_A_NAME = 10
"""Words of a name that is not quoted."""
_NEAR_FOLDERS = 3
_PATHS = ("/", "./", "../", "~")
"""How a word begins that can only be a folder."""


def photo_query(catalog: Catalog, words: Sequence[QueryWord] | str, *, here: Path | None = None) -> PhotoQuery:
    """Return what a search means.

    Args:
        words: or the line that was typed.
        here: the folder that paths begin in which do not begin at the top; None: such paths mean nothing.

    Raises:
        QueryError: a word is not understood, or its value is none.
        NotKnownError: nobody has such a name, several have, or there is no such folder in the libraries.
    """
    typed = words_of(words) if isinstance(words, str) else list(words)
    return _Reader(typed, _Names(catalog), LibraryFolders(catalog, here)).read()


@dataclass(slots=True)
class _QueryDraft:
    """What has been read of a search."""

    groups: list[list[int]] = field(default_factory=list)
    without: list[int] = field(default_factory=list)
    is_without: bool = False
    """Whether a name that comes now is of somebody who is not on the photo."""
    is_either: bool = False
    """Whether it is of somebody who may be on it instead of the one before."""
    faces: tuple[int, int | None] | None = None
    taken: list[DateSpan] = field(default_factory=list)
    within: DateSpan = ANY_TIME
    folders: list[str] = field(default_factory=list)
    places: set[LibraryFolder] = field(default_factory=set)
    is_undated: bool = False
    is_deleted: bool = False

    def result(self) -> PhotoQuery:
        least, most = self.faces or (0, None)
        return PhotoQuery(
            people=tuple(dict.fromkeys(tuple(dict.fromkeys(group)) for group in self.groups)),
            without=tuple(dict.fromkeys(self.without)),
            least_faces=least,
            most_faces=most,
            taken=tuple(self.taken),
            within=self.within,
            folders=tuple(self.folders),
            places=topmost(self.places),
            is_undated=self.is_undated,
            is_deleted=self.is_deleted,
        )


class _Reader:
    """Goes through the words, once."""

    def __init__(self, words: list[QueryWord], names: _Names, folders: LibraryFolders) -> None:
        self._words = words
        self._names = names
        self._folders = folders
        self._at = 0
        self._draft = _QueryDraft()

    def read(self) -> PhotoQuery:
        while self._at < len(self._words):
            word = self._words[self._at]
            if word.term is None:
                self._read_bare(word)
            else:
                self._at += 1
                self._read_term(word, word.term)
        if self._draft.is_either:
            raise QueryError(f"'or' is followed by nobody; {_example('with Anna or Ben')}")
        return self._checked(self._draft.result())

    def _checked(self, query: PhotoQuery) -> PhotoQuery:
        if query.is_deleted and query.folders:
            raise QueryError("deleted photos are in no folder any more; leave out 'deleted' or the folder")
        if query.is_undated and query.is_dated:
            raise QueryError("photos without a date are of no year; leave out 'undated' or the date")
        return query

    def _read_bare(self, word: QueryWord) -> None:
        if word.text in ("", ","):
            self._at += 1
        elif not word.is_quoted and (span := date_span(word.text)) is not None and not self._is_name_ahead():
            self._at += 1
            self._draft.taken.append(span)
        elif not word.is_quoted and word.text.startswith(_PATHS):
            self._add_folder()
        else:
            self._add_person(self._take_person())

    def _is_name_ahead(self) -> bool:
        """Whether somebody's name begins with a word that would be a year."""
        texts = self._plain_texts()
        return any(self._names.exact(" ".join(texts[:n])) for n in range(2, len(texts) + 1))

    def _read_term(self, word: QueryWord, term: Term) -> None:
        if term not in WITHOUT_VALUE and term not in (Term.WITH, Term.WITHOUT) and not self._has_value(word):
            raise QueryError(f"'{term}' says nothing without a value; {_example(_EXAMPLES[term])}")
        match term:
            case Term.WITH | Term.WITHOUT:
                self._begin_names(word, term)
            case Term.AND:
                pass
            case Term.OR:
                self._begin_alternative()
            case Term.UNDATED:
                self._draft.is_undated = True
            case Term.DELETED:
                self._draft.is_deleted = True
            case Term.FACES:
                self._add_faces(self._take_value(word))
            case Term.IN:
                self._read_in(word)
            case Term.YEAR:
                value = self._take_value(word)
                span = date_span(value)
                day = "" if span else read_date(value)
                self._draft.taken.append(span or DateSpan(day, day))
            case Term.SINCE | Term.AFTER | Term.BEFORE | Term.UNTIL:
                self._narrow(term, read_date(self._take_value(word)))

    # --- values ---

    def _has_value(self, word: QueryWord) -> bool:
        return bool(word.text) or (self._at < len(self._words) and self._words[self._at].term is None)

    def _take_value(self, word: QueryWord) -> str:
        """Return what stands behind a word, or follows it."""
        if word.text:
            return word.text
        self._at += 1
        return self._words[self._at - 1].text

    def _put_back(self, word: QueryWord) -> None:
        """Let what stands behind a word be read as if it followed it."""
        if word.text:
            self._at -= 1
            self._words[self._at] = QueryWord(word.text, is_quoted=word.is_quoted)

    def _plain_texts(self) -> list[str]:
        """Return the words from here on that may be one name, or one folder."""
        texts = []
        for word in self._words[self._at : self._at + MOST_IN_A_NAME]:
            if not word.is_plain:
                break
            texts.append(word.text)
        return texts

    # --- people ---

    def _begin_names(self, word: QueryWord, term: Term) -> None:
        if not self._has_value(word):
            raise QueryError(f"'{term}' is followed by nobody; {_example(f'{term} Anna')}")
        self._put_back(word)
        self._draft.is_without = term is Term.WITHOUT

    def _begin_alternative(self) -> None:
        if self._draft.is_without:  # "without Anna or Ben" is without both
            return
        if not self._draft.groups:
            raise QueryError(f"'or' follows nobody; {_example('with Anna or Ben')}")
        self._draft.is_either = True

    def _add_person(self, person_id: int) -> None:
        draft = self._draft
        if draft.is_without:
            draft.without.append(person_id)
        elif draft.is_either:
            draft.groups[-1].append(person_id)
        else:
            draft.groups.append([person_id])
        draft.is_either = False

    def _take_person(self) -> int:
        """Return who is named here: the longest name that somebody has, else the longest beginning of one."""
        word = self._words[self._at]
        texts = [word.text] if word.is_quoted else self._plain_texts()
        for n in range(len(texts), 0, -1):
            if (found := self._names.exact(" ".join(texts[:n]))) is not None:
                self._at += n
                return found
        n_begun = next((n for n in range(len(texts), 0, -1) if self._begins_name(texts[:n])), 1)
        self._at += n_begun
        return self._names.find(" ".join(texts[:n_begun]), or_else=self._fail)

    def _begins_name(self, texts: Sequence[str]) -> bool:
        return not any(date_span(text) for text in texts) and self._names.has_beginning(" ".join(texts))

    def _fail(self, text: str, error: NotKnownError) -> NoReturn:
        """Say what else a name that nobody has may be."""
        keyed = re.fullmatch(r"(\w+):.*", text)
        if keyed:
            raise QueryError(f"{text!r} is not understood: a search consists of {UNDERSTOOD}, and names") from error
        if self._folders.named(text):
            raise NobodyCalledError(f"nobody is called {text!r}, but a folder is: in:{_quoted(text)}") from error
        raise error

    # --- dates, faces, folders ---

    def _narrow(self, term: Term, day: str) -> None:
        within = self._draft.within
        if term in (Term.SINCE, Term.AFTER):
            first = day if term is Term.SINCE else after(day)
            self._draft.within = replace(within, first=max(within.first, first))
        else:
            last = day if term is Term.UNTIL else before(day)
            # "~" comes behind all that a date may continue with.
            self._draft.within = replace(within, last=min(within.last or last, last, key=lambda one: f"{one}~"))

    def _add_faces(self, text: str) -> None:
        if self._draft.faces is not None:
            raise QueryError("'faces' can be given once, as faces:3, faces:3+ or faces:2-5")
        self._draft.faces = face_counts(text)

    def _read_in(self, word: QueryWord) -> None:
        """Read a folder, or a year: `in 2019` is a year, `in:2019` a folder."""
        ahead = self._words[self._at] if not word.text else word
        if not word.text and not ahead.is_quoted and (span := date_span(ahead.text)) is not None:
            self._at += 1
            self._draft.taken.append(span)
            return
        self._put_back(word)
        self._add_folder()

    def _add_folder(self) -> None:
        word = self._words[self._at]
        texts = [word.text] if word.is_quoted else self._plain_texts()
        n_named = next((n for n in range(len(texts), 0, -1) if self._folders.named(" ".join(texts[:n]))), 1)
        said = " ".join(texts[:n_named])
        places = self._folders.find(said)
        self._at += n_named
        self._draft.folders.append(said)
        self._draft.places.update(places)


_EXAMPLES = {
    Term.FACES: "faces:3+",
    Term.YEAR: "2019",
    Term.SINCE: "since 2019",
    Term.AFTER: "after 2019",
    Term.BEFORE: "before 2010",
    Term.UNTIL: "until 2010",
    Term.IN: "in:Holidays",
}


def _example(example: str) -> str:
    return f"for example: {example}"


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


class _Names:
    """The people of a catalog by their names."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @cached_property
    def _by_key(self) -> dict[str, list[int]]:
        by_key: dict[str, list[int]] = defaultdict(list)
        for person_id, name in self._catalog.people.names().items():
            by_key[name_key(unicodedata.normalize("NFC", name))].append(person_id)
        return by_key

    def exact(self, text: str) -> int | None:
        """Return who has this id, label or very name; a comma behind it counts where somebody is called so.

        Raises:
            NotKnownError: there is no such id, or several have that name.
        """
        for form in dict.fromkeys((text, text.rstrip(","))):
            if ids.read_id(form) is not None or number_of_label(form) is not None:
                return find_person(self._catalog, form).id
            named = self._by_key.get(_key(form), ())
            if named:
                return named[0] if len(named) == 1 else find_person(self._catalog, form).id
        return None

    def has_beginning(self, text: str) -> bool:
        """Whether a name begins so."""
        key = _key(text.rstrip(","))
        return bool(key) and any(name.startswith(key) for name in self._by_key)

    def find(self, text: str, *, or_else: Callable[[str, NotKnownError], NoReturn]) -> int:
        """Return who is meant by the beginning of a name.

        Raises:
            NotKnownError: nobody, or several.
        """
        try:
            return find_person(self._catalog, text.rstrip(",")).id
        except NobodyCalledError as error:
            or_else(text, error)


def _key(text: str) -> str:
    return name_key(unicodedata.normalize("NFC", text))


def _fits(patterns: Sequence[re.Pattern[str]], names: Sequence[str]) -> bool:
    """Whether a path ends as wanted; the patterns of its names begin with the last."""
    if len(names) < len(patterns):
        return False
    return all(pattern.fullmatch(name) for pattern, name in zip(patterns, reversed(names), strict=False))


class LibraryFolders:
    """The folders of the libraries, by the end of their paths."""

    def __init__(self, catalog: Catalog, here: Path | None = None) -> None:
        """`here`: where a path begins that does not begin at the top; None: such paths mean nothing."""
        self._catalog = catalog
        self._here = here

    @cached_property
    def _all(self) -> dict[LibraryFolder, tuple[str, ...]]:
        """Every folder, with the names on the way to it, that of its library first."""
        roots = self._catalog.photo_search.roots()
        return {
            LibraryFolder(root_id, path): (_key(roots[root_id].name), *(_key(name) for name in path.split("/") if path))
            for root_id, paths in self._catalog.photo_search.folders().items()
            for path in paths
        }

    @cached_property
    def _by_name(self) -> dict[str, list[LibraryFolder]]:
        by_name: dict[str, list[LibraryFolder]] = defaultdict(list)
        for folder, names in self._all.items():
            by_name[names[-1]].append(folder)
        return by_name

    def named(self, said: str) -> list[LibraryFolder]:
        """Return the folders that a path means, or whose path ends so; `*` stands for any letters."""
        if said.startswith(_PATHS):
            return self._at(said)
        wanted = [_key(name) for name in said.strip("/").split("/")]
        if "*" not in wanted[-1]:
            folders: Iterable[LibraryFolder] = self._by_name.get(wanted[-1], ())
        else:
            folders = self._all
        patterns = [re.compile(".*".join(map(re.escape, name.split("*")))) for name in reversed(wanted)]
        return [folder for folder in folders if _fits(patterns, self._all[folder])]

    def find(self, said: str) -> list[LibraryFolder]:
        """Return the same.

        Raises:
            NotKnownError: there is none.
        """
        found = self.named(said)
        if not found:
            raise NotKnownError(f"no folder of the libraries is {display(said)!r}{self._near(said)}")
        return found

    def _at(self, said: str) -> list[LibraryFolder]:
        """Return the folder at a path, or the libraries below it."""
        if self._here is not None:
            path = Path(os.path.abspath(self._here / Path(said).expanduser()))  # noqa: PTH100 - links stay as they are
            places = {path, Path(os.path.realpath(path))}
        else:
            places = {Path(os.path.normpath(said))} if said.startswith("/") else set()
        roots = self._catalog.photo_search.roots()
        within = [
            LibraryFolder(root_id, "" if root.is_relative_to(place) else str(place.relative_to(root)))
            for place in places
            for root_id, root in roots.items()
            if root.is_relative_to(place) or place.is_relative_to(root)
        ]
        return [folder for folder in within if folder in self._all]

    def _near(self, said: str) -> str:
        import difflib

        if "*" in said:
            return ""
        wanted = _key(said.rstrip("/").rpartition("/")[2])
        if any(name.startswith(wanted) for name in self._by_name):
            return f"; {_quoted(f'in:{said}*')} finds those that begin so"
        near = difflib.get_close_matches(wanted, self._by_name, _NEAR_FOLDERS, 0.6)
        roots = self._catalog.photo_search.roots()
        folders = [self._by_name[name][0] for name in near]
        shown = [display(folder.path.rpartition("/")[2] or roots[folder.root_id].name) for folder in folders]
        return f"; did you mean {', '.join(shown)}?" if shown else ""
