"""What users decide about people: names and merges. Needs no engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from facewatch.catalog import Catalog, Person
from facewatch.errors import NotKnownError

MAX_NAME_LENGTH = 120
_LABEL = re.compile(r"person\s+(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Renamed:
    person: Person
    old_label: str
    merged: Person | None
    """The person that is now part of it."""


class Decisions:
    """Applies and journals them. People hang on faces and not on embeddings, so whichever engine runs plays no part."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person; naming it like another one merges the two when `may_merge`.

        Raises:
            NotKnownError: nobody or several people fit `who`, or the name is taken and `may_merge` is False.
        """
        name = clean_name(new)
        with self._catalog.write():
            people = self._catalog.people.all()
            person = find_person(self._catalog, who)
            taken = next((p for p in people if p.name and p.name.casefold() == name.casefold()), None)
            if taken and taken.id != person.id:
                if not may_merge:
                    raise NotKnownError(
                        f"{taken.name} is already the name of person {taken.id} ({taken.n_photos} photos); if they are "
                        f"the same person: facewatch rename {_quoted(who)} {_quoted(taken.name or '')} --merge"
                    )
                self._merge(person, into=taken)
                return Renamed(self._alive(taken.id), person.label, merged=person)
            if may_merge and taken is None:
                raise NotKnownError(
                    f"nobody is called {name!r}{_near(name.casefold(), people)}; to give it: no --merge"
                )
            self._catalog.people.rename(person.id, name)
            self._journal(
                "rename", {"person": person.id, "name": name}, {"name": person.name, "touched": person.is_touched}
            )
            return Renamed(self._alive(person.id), person.label, merged=None)

    def _merge(self, person: Person, *, into: Person) -> None:
        moved = self._catalog.faces.reassign_all(person.id, into.id)
        self._catalog.people.retire(person.id, into.id)
        self._catalog.people.touch(into.id)
        self._journal(
            "merge",
            {"person": person.id, "into": into.id},
            {"faces": moved, "name": person.name, "touched": [person.is_touched, into.is_touched]},
        )

    def _alive(self, person_id: int) -> Person:
        person = self._catalog.people.one(person_id)
        assert person is not None
        return person

    def _journal(self, action: str, details: Mapping[str, object], undo: Mapping[str, object]) -> None:
        self._catalog.people.journal("user", action, details, undo, run_id=None, now=self._catalog.now())


def find_person(catalog: Catalog, who: str) -> Person:
    """Return the person with this id, name, or unique beginning of a name; a merged one is found where it went.

    Raises:
        NotKnownError: nobody fits, or several do; the message lists them.
    """
    wanted = unicodedata.normalize("NFC", who).strip()
    number = wanted if wanted.isdecimal() else _number_of_label(wanted)
    if number is not None and (person := _by_id(catalog, int(number))) is not None:
        return person
    people = catalog.people.all()
    key = " ".join(wanted.casefold().split())
    exact = [p for p in people if p.name is not None and p.name.casefold() == key]
    fitting = exact or [p for p in people if p.name is not None and key and p.name.casefold().startswith(key)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(f"{p.name} (id {p.id})" for p in fitting[:10])
        raise NotKnownError(f"{who!r} fits {len(fitting)} people: {listed}; write more of the name, or the id")
    unnamed = [p for p in people if p.name is None and key and p.label.casefold().startswith(key)]
    if unnamed:
        listed = ", ".join(p.label for p in sorted(unnamed, key=lambda p: p.id)[:10])
        raise NotKnownError(f"{who!r} is the beginning of {len(unnamed)} people: {listed}; write the whole number")
    raise NotKnownError(f"nobody is called {who!r}{_near(key, people)}; `facewatch people` lists everybody")


def _number_of_label(text: str) -> str | None:
    """Return the id in "Person 0012" or "Person 12"; "Person 012" is only the beginning of labels."""
    label = _LABEL.fullmatch(text)
    is_whole = label is not None and label[1] in (str(int(label[1])), f"{int(label[1]):04d}")
    return label[1] if label and is_whole else None


def _by_id(catalog: Catalog, person_id: int) -> Person | None:
    if person_id >= 2**63:
        return None
    while (into := catalog.people.merged_into(person_id)) is not None:
        person_id = into
    return catalog.people.one(person_id)


def _near(key: str, people: Iterable[Person]) -> str:
    import difflib

    names = {p.name.casefold(): p.name for p in people if p.name}
    near = difflib.get_close_matches(key, names, 3, 0.6)
    return f"; did you mean {', '.join(names[name] for name in near)}?" if near else ""


def clean_name(name: str) -> str:
    """Return the name in Unicode NFC with single spaces.

    Raises:
        NotKnownError: it is empty, too long, holds control characters, or would be taken for a person's id.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    if not cleaned:
        raise NotKnownError("the new name is empty; write one, for example: facewatch rename 12 Anna")
    if len(cleaned) > MAX_NAME_LENGTH:
        raise NotKnownError(f"the new name has {len(cleaned)} characters; at most {MAX_NAME_LENGTH} are possible")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in cleaned):
        raise NotKnownError(f"the new name {name!r} holds control characters; leave them out")
    if cleaned.isdecimal() or _LABEL.fullmatch(cleaned):
        raise NotKnownError(f"{cleaned!r} would be taken for the id of a person; choose another name")
    return cleaned


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
