"""Taking decisions back, and making them again: the journal read backwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facewatch.catalog import USER, Catalog, Change, Entry, Record
from facewatch.errors import DecisionError
from facewatch.people.finding import name_key

Fact = tuple[str, tuple[int, ...], str]
"""Table, key and column of something that was decided."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back, or made again."""

    entry_id: int
    """Where that is on record."""
    entries: tuple[Entry, ...]
    """The decisions, in the order in which it happened."""
    people: tuple[int, ...]
    """Everybody whose faces or facts are not as before."""
    doubtful: tuple[int, ...]
    """Faces that runs had placed because of what is taken back: nobody's now, to be looked at again."""


class History:
    """What was decided, and the way back."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def entries(self, *, person_id: int | None = None) -> list[Entry]:
        """Return the journal, newest first, of everybody or of one person; what followed from a decision stands with
        it."""
        return [
            entry
            for entry in self._catalog.journal.entries(newest_first=True)
            if entry.parent_id is None and (person_id is None or person_id in entry.details.get("people", ()))
        ]

    def undo(self, n: int = 1) -> Undone:
        """Take back the last decisions of users that stand, the newest first.

        Raises:
            DecisionError: there are not that many, or one cannot be taken back.
        """
        with self._catalog.write():
            standing = self._catalog.journal.decisions()
            if not standing:
                raise DecisionError("nothing to undo: no decision stands; `facewatch history` lists what was done")
            if n > len(standing):
                raise DecisionError(f"only {len(standing)} decision(s) can be undone; `facewatch history` lists them")
            return self._take_back(standing[:n])

    def undo_one(self, entry_id: int, *, with_chain: bool = False) -> Undone:
        """Take back one decision, and with `with_chain` all later ones that build on it.

        Raises:
            DecisionError: there is no such decision, it was taken back already, or later ones build on it.
        """
        with self._catalog.write():
            entry = self._decision(entry_id)
            chain = self.chain(entry)
            if chain and not with_chain:
                listed = ", ".join(f"{later.id} ({later.action})" for later in chain)
                raise DecisionError(
                    f"decision {entry_id} ({entry.action}) cannot be undone alone: {listed} built on it; "
                    f"facewatch undo --id {entry_id} --chain undoes {len(chain) + 1} decisions, the newest first"
                )
            return self._take_back([*chain, entry])

    def redo(self) -> Undone:
        """Make the decision again that was taken back last.

        Raises:
            DecisionError: nothing was taken back since the last decision, or a run has joined somebody whom it was
                about to another.
        """
        catalog = self._catalog
        with catalog.write():
            undos = catalog.journal.undos()
            if not undos:
                raise DecisionError("nothing to redo: nothing was undone since the last decision")
            undo = undos[0]
            changes = catalog.journal.changes(undo.id) or []
            undone = [entry for entry_id in undo.details["undone"] if (entry := catalog.journal.one(entry_id))]
            self._check_not_joined(changes)
            people = _people_of(changes, undone)
            details = {"redone": [entry.id for entry in undone], "people": people}
            with catalog.journal.recording(USER, "redo", details, now=catalog.now()) as record:
                doubtful = self._write_back(changes)
                doubtful += self._make_room(changes)
                doubtful += self._release_followers(changes, since=undo.id)
                catalog.faces.forget_guesses()
            by = self._written(record, "redo", details)
            catalog.journal.mark_undone(undo.id, by)
            for entry in undone:
                catalog.journal.mark_undone(entry.id, None)
            return Undone(by, tuple(reversed(undone)), self._concerned(people, record), tuple(doubtful))

    def chain(self, entry: Entry) -> list[Entry]:
        """Return the later decisions that stand and build on this one, newest first: they changed the same facts, gave
        faces to a person that it made, or ended or renamed what it would bring back."""
        base = list(self._changes(entry))
        chain: list[Entry] = []
        for later in reversed(self._catalog.journal.decisions(since=entry.id)):
            changes = self._changes(later)
            if self._builds_on(base, changes):
                chain.append(later)
                base += changes
        return chain[::-1]

    def _builds_on(self, base: Sequence[Change], later: Sequence[Change]) -> bool:
        if _facts(base) & _facts(later) or _losers(base) & _ended(later):
            return True
        # What was changed of a face may not say whose it is.
        faces = {change.key[0] for change in later if change.table == "assignments"}
        owners = {row.person_id for row in self._catalog.faces.rows(faces)}
        return bool(_made(base) & (_mentioned(later) | owners)) or self._has_its_name(base, later)

    def _has_its_name(self, base: Iterable[Change], later: Iterable[Change]) -> bool:
        """Whether somebody was given a name that another would get back."""
        names = self._catalog.people.all_names()
        freed = {names.get(p) for p in _ended(base)} | {(c.before or {}).get("name") for c in base}
        given = {names.get(p) for p in _made(later)} | {(c.after or {}).get("name") for c in later}
        return bool(_keys(freed) & _keys(given))

    def _take_back(self, entries: Sequence[Entry]) -> Undone:
        """Take back these decisions in this order, as one entry of the journal."""
        catalog = self._catalog
        by_entry = {entry.id: self._changes(entry) for entry in entries}
        changes = [change for entry in reversed(entries) for change in by_entry[entry.id]]
        people = _people_of(changes, entries)
        details = {"undone": [entry.id for entry in entries], "people": people}
        with catalog.journal.recording(USER, "undo", details, now=catalog.now()) as record:
            doubtful = [face for entry in entries for face in self._write_back(by_entry[entry.id])]
            self._keep_touched(entries, people)
            doubtful += self._make_room(changes)
            doubtful += self._release_followers(changes, since=min(by_entry))
            catalog.faces.forget_guesses()
        by = self._written(record, "undo", details)
        for entry in entries:
            catalog.journal.mark_undone(entry.id, by)
        return Undone(by, tuple(entries), self._concerned(people, record), tuple(doubtful))

    @staticmethod
    def _concerned(people: Collection[int], record: Record) -> tuple[int, ...]:
        """Add whoever lost a face that a run had given them in the meantime."""
        return tuple(sorted({*people, *_mentioned(record.changes)}))

    def _write_back(self, changes: Sequence[Change]) -> list[int]:
        """Give every row its value from before; returns faces that runs had placed with somebody who is gone since:
        nobody's.

        Raises:
            DecisionError: somebody else has a name that would come back, or whoever a user gave a face to is gone.
        """
        catalog = self._catalog
        try:
            catalog.journal.take_back(changes)
        except sqlite3.IntegrityError as error:
            raise DecisionError(f"a name would come back that somebody else has now ({error}); rename one") from error
        self._check_names(_mentioned(changes))
        homeless = []
        for row in catalog.faces.rows({change.key[0] for change in changes if change.table == "assignments"}):
            if row.person_id is not None and catalog.people.one(row.person_id) is None:
                if row.source == USER:
                    raise DecisionError(f"face {row.id} would go back to person {row.person_id}, who is gone since")
                homeless.append(row.id)
        catalog.faces.release(homeless)
        return homeless

    def _check_not_joined(self, changes: Sequence[Change]) -> None:
        """Refuse to decide again about who is part of another since: while it was undone, a run might."""
        ending = {change.key[0] for change in changes if change.table == "people" and "merged_into" in change.columns}
        about = {change.key[0] for change in changes if change.table == "people"} - ending
        for person_id in sorted(about | {change.key[1] for change in changes if change.table == "rejections"}):
            into = self._catalog.people.merged_into(person_id)
            if person_id not in ending and into is not None:
                raise DecisionError(f"person {person_id} has become part of person {into} since; decide anew")

    def _check_names(self, people: Collection[int]) -> None:
        """Refuse what would leave two people with names that mean the same."""
        names = self._catalog.people.names()
        owners: dict[str, int] = {}
        for person_id, name in names.items():
            other = owners.setdefault(name_key(name), person_id)
            if other != person_id and not {other, person_id}.isdisjoint(people):
                raise DecisionError(f"person {other} and person {person_id} would both be called {name!r}; rename one")

    def _written(self, record: Record, action: str, details: Mapping[str, object]) -> int:
        """Return the id of an entry, which is there even when nothing is different by it."""
        if record.entry_id is not None:
            return record.entry_id
        return self._catalog.journal.add(USER, action, details, {"changes": []}, now=self._catalog.now())

    def _decision(self, entry_id: int) -> Entry:
        entry = self._catalog.journal.one(entry_id) if entry_id < 2**63 else None
        if entry is None or entry.actor != USER or entry.action in ("undo", "redo") or entry.parent_id is not None:
            what = (
                f"{entry_id} was done by a run" if entry and entry.actor != USER else f"there is no decision {entry_id}"
            )
            raise DecisionError(f"{what}; `facewatch history` lists those that can be undone")
        if entry.undone_by is not None:
            raise DecisionError(
                f"decision {entry_id} ({entry.action}) is undone already; `facewatch redo` takes that back"
            )
        return entry

    def _changes(self, entry: Entry) -> list[Change]:
        changes = self._catalog.journal.changes(entry.id)
        if changes is None:
            raise DecisionError(
                f"decision {entry.id} ({entry.action}) was made by an older facewatch, which did not keep what "
                "undoes it; decide anew instead"
            )
        return changes

    def _keep_touched(self, entries: Sequence[Entry], people: Collection[int]) -> None:
        """Whoever another decision that stands is about stays touched."""
        undone = {entry.id for entry in entries}
        others = {
            person_id
            for entry in self._catalog.journal.decisions()
            if entry.id not in undone
            for person_id in entry.details.get("people", ())
        }
        self._catalog.people.touch(others & set(people))

    def _make_room(self, changes: Iterable[Change]) -> list[int]:
        """Nobody may be in a photo twice because a face came back: what a run placed there since leaves. Where a user
        placed it, the face that came back leaves, unless a user had placed that one, too."""
        faces = self._catalog.faces
        back = faces.rows({change.key[0] for change in changes if change.table == "assignments"})
        released: list[int] = []
        for row in back:
            if row.person_id is None:
                continue
            beside = [other for other in faces.beside([row.photo_id], row.person_id) if other.id != row.id]
            leaving = [other.id for other in beside if other.source != USER and other.id not in {r.id for r in back}]
            if row.source != USER and any(
                other.source == USER and other.id not in {r.id for r in back} for other in beside
            ):
                leaving = [row.id]
            faces.release(leaving)
            released += leaving
        return released

    def _release_followers(self, changes: Iterable[Change], *, since: int) -> list[int]:
        """Return faces, nobody's now, that runs gave to somebody who had gained faces by what is taken back: they may
        have followed those."""
        losing = {
            int(change.after["person_id"])
            for change in changes
            if change.table == "assignments" and change.after is not None and "person_id" in change.after
        }
        followers = self._catalog.faces.placed_since(losing, since)
        self._catalog.faces.release(followers)
        return followers


def _facts(changes: Iterable[Change]) -> set[Fact]:
    """Return what was changed: table, key and column. Being touched is a sign of decisions, not one."""
    return {fact for change in changes for fact in _facts_of(change)}


def _facts_of(change: Change) -> Iterator[Fact]:
    if change.table == "people":
        yield from (("people", change.key, column) for column in change.columns if column != "is_touched")
        return
    yield change.table, change.key, ""
    if change.table == "assignments":
        # Whose a face is says that it is neither nobody's nor rejected.
        yield "marks", change.key, ""
        for person_id in _owners(change):
            yield "rejections", (*change.key, person_id), ""


def _made(changes: Iterable[Change]) -> set[int]:
    """Return the people that came into being."""
    return {
        change.key[0]
        for change in changes
        if change.table == "people"
        and (change.before or {}).get("is_gone") == 1
        and (change.after or {}).get("is_gone") == 0
    }


def _ended(changes: Iterable[Change]) -> set[int]:
    """Return the people that were forgotten or became part of others."""
    return {
        change.key[0]
        for change in changes
        if change.table == "people"
        and change.after is not None
        and (change.after.get("is_gone") == 1 or change.after.get("merged_into") is not None)
    }


def _losers(changes: Iterable[Change]) -> set[int]:
    """Return the people that would get a face back."""
    return {
        int(change.before["person_id"])
        for change in changes
        if change.table == "assignments" and change.before is not None and "person_id" in change.before
    }


def _owners(change: Change) -> set[int]:
    """Return who lost the face and who got it, as far as that changed."""
    return {int(row["person_id"]) for row in (change.before, change.after) if row and "person_id" in row}


def _keys(names: Iterable[str | None]) -> set[str]:
    return {name_key(name) for name in names if name}


def _mentioned(changes: Iterable[Change]) -> set[int]:
    """Return the people that faces were given to, that were told apart, rejected or changed."""
    people: set[int] = set()
    for change in changes:
        if change.table == "assignments":
            people |= _owners(change)
        elif change.table == "rejections":
            people.add(change.key[1])
        elif change.table in ("people", "apart"):
            people |= set(change.key)
    return people


def _people_of(changes: Iterable[Change], entries: Iterable[Entry]) -> list[int]:
    told = {person_id for entry in entries for person_id in entry.details.get("people", ())}
    return sorted(_mentioned(changes) | told)
