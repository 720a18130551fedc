"""Taking decisions back, and making them again: the journal read backwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewatch import ids
from facewatch.catalog import USER, Catalog, Change, Entry, Record
from facewatch.errors import DecisionError
from facewatch.people.births import unborn
from facewatch.people.lookup import name_key

FOLLOWING = ("look again", "hand over")
"""What the journal calls that which follows from a decision by itself."""

RECLUSTER = "recluster"
"""What groups faces: a run's, or a user's when a user asked for it. It says nothing about anybody."""

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
    """Faces that runs had assigned because of what is undone: unassigned now, to be matched again."""


class History:
    """The decisions on record; undoes and repeats them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def entries(self, *, person_id: int | None = None) -> list[Entry]:
        """Return the journal, newest first, of everybody or of one person; what followed from a decision by itself
        stands with it."""
        return [
            entry
            for entry in self._catalog.journal.entries(newest_first=True)
            if entry.action not in FOLLOWING and (person_id is None or person_id in entry.details.get("people", ()))
        ]

    def undo(self, n: int = 1) -> Undone:
        """Take back the last decisions of users that stand, the newest first.

        Raises:
            DecisionError: there are not that many, or one cannot be taken back.
        """
        with self._catalog.write():
            standing = self._catalog.journal.decisions()
            if not standing:
                nothing = "nothing to undo: no decision stands"
                raise DecisionError(f"{nothing}; `facewatch history` lists what was done", on_page=nothing)
            if n > len(standing):
                one = self._catalog.journal.one(n)
                meant = f"; for decision {ids.decision(n)} alone: facewatch undo {ids.decision(n)}" if one else ""
                raise DecisionError(
                    f"only {len(standing)} decision(s) can be undone; `facewatch history` lists them{meant}"
                )
            return self._take_back(standing[:n])

    def undo_one(self, entry_id: int, *, with_chain: bool = False) -> Undone:
        """Take back one decision, and with `with_chain` all later ones that build on it.

        Raises:
            DecisionError: there is no such decision, it was taken back already, or later ones build on it.
        """
        with self._catalog.write():
            entry = self.decision(entry_id)
            chain = self.chain(entry)
            if chain and not with_chain:
                name = ids.decision(entry_id)
                raise DecisionError(
                    f"decision {name} ({entry.action}) cannot be undone alone: {_listed(chain)} built on it; "
                    f"facewatch undo {name} --chain undoes {len(chain) + 1} decisions, the newest first",
                    on_page="that cannot be undone alone: later decisions build on it",
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
                doubtful += self._agree(changes, people, since=undo.id)
            by = self._written(record, "redo", details)
            catalog.journal.mark_undone(undo.id, by)
            for entry in undone:
                catalog.journal.mark_undone(entry.id, None)
            return Undone(by, tuple(reversed(undone)), self._concerned(people, record), tuple(doubtful))

    def chain(self, entry: Entry) -> list[Entry]:
        """Return the later decisions that stand and build on this one, newest first: they changed the same facts, gave
        faces to a person that it made, or ended or renamed what it would bring back."""
        later = self._catalog.journal.decisions(since=entry.id)[::-1]
        changes = self._changes([entry, *later])
        ground = _Ground(self._catalog)
        ground.grow(changes[entry.id])
        chain: list[Entry] = []
        for other in later:
            if ground.carries(changes[other.id]):
                ground.grow(changes[other.id])
                chain.append(other)
        return chain[::-1]

    def _take_back(self, entries: Sequence[Entry]) -> Undone:
        """Take back these decisions in this order, as one entry of the journal."""
        catalog = self._catalog
        by_entry = self._changes(entries)
        changes = [change for entry in reversed(entries) for change in by_entry[entry.id]]
        people = _people_of(changes, entries)
        details = {"undone": [entry.id for entry in entries], "people": people}
        with catalog.journal.recording(USER, "undo", details, now=catalog.now()) as record:
            doubtful = [face for entry in entries for face in self._write_back(by_entry[entry.id])]
            self._keep_edited(entries, people)
            doubtful += self._agree(changes, people, since=min(by_entry))
        by = self._written(record, "undo", details)
        for entry in entries:
            catalog.journal.mark_undone(entry.id, by)
        return Undone(by, tuple(entries), self._concerned(people, record), tuple(doubtful))

    @staticmethod
    def _concerned(people: Collection[int], record: Record) -> tuple[int, ...]:
        """Add whoever lost a face that a run had given them in the meantime."""
        return tuple(sorted({*people, *_mentioned(record.changes)}))

    def _write_back(self, changes: Sequence[Change]) -> list[int]:
        """Give every row its value from before; returns faces that runs had assigned to somebody who is gone since:
        unassigned now.

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
            if row.person_id is not None and catalog.people.label(row.person_id) is None:
                if row.source == USER:
                    person = ids.person(row.person_id)
                    raise DecisionError(f"face {ids.face(row.id)} would go back to person {person}, who is gone since")
                homeless.append(row.id)
        catalog.assignments.release(homeless)
        return homeless

    def _check_not_joined(self, changes: Sequence[Change]) -> None:
        """Refuse to decide again about who is part of another since: while it was undone, a run might."""
        ending = {change.key[0] for change in changes if change.table == "people" and "merged_into" in change.columns}
        about = {change.key[0] for change in changes if change.table == "people"} - ending
        about |= {change.key[1] for change in changes if change.table == "rejections"}
        about |= {change.key[0] for change in changes if change.table == "presences"}
        for person_id in sorted(about):
            into = self._catalog.people.merged_into(person_id)
            if person_id not in ending and into is not None:
                raise DecisionError(
                    f"person {ids.person(person_id)} has become part of person {ids.person(into)} since; decide again"
                )

    def _check_names(self, people: Collection[int]) -> None:
        """Refuse what would leave two people with names that mean the same."""
        names = self._catalog.people.names()
        owners: dict[str, int] = {}
        for person_id, name in names.items():
            other = owners.setdefault(name_key(name), person_id)
            if other != person_id and not {other, person_id}.isdisjoint(people):
                raise DecisionError(
                    f"person {ids.person(other)} and person {ids.person(person_id)} would both be called {name!r}; "
                    "rename one"
                )

    def _written(self, record: Record, action: str, details: Mapping[str, object]) -> int:
        """Return the id of an entry, which is there even when nothing is different by it."""
        if record.entry_id is not None:
            return record.entry_id
        return self._catalog.journal.add(USER, action, details, {"changes": []}, now=self._catalog.now())

    def decision(self, entry_id: int) -> Entry:
        """Return a decision that can be undone.

        Raises:
            DecisionError: there is no such decision, or it was taken back already.
        """
        entry = self._catalog.journal.one(entry_id) if entry_id < 2**63 else None
        name = ids.decision(entry_id)
        if entry is None or entry.actor != USER or entry.action in ("undo", "redo") or entry.parent_id is not None:
            if entry is not None and entry.parent_id is not None:
                whole = ids.decision(entry.parent_id)
                raise DecisionError(
                    f"{name} is a part of decision {whole}; facewatch undo {whole}",
                    on_page="that is a part of another decision, and undone with it",
                )
            what = f"{name} was done by a run" if entry and entry.actor != USER else f"there is no decision {name}"
            raise DecisionError(
                f"{what}; `facewatch history` lists those that can be undone",
                on_page="History lists what can be undone; this cannot",
            )
        if entry.undone_by is not None:
            raise DecisionError(
                f"decision {name} ({entry.action}) is undone already; `facewatch redo` takes that back",
                on_page="that is undone already",
            )
        return entry

    def _changes(self, entries: Sequence[Entry]) -> dict[int, list[Change]]:
        """Return what decisions changed, by their ids."""
        noted = self._catalog.journal.changes_of([entry.id for entry in entries])
        changes: dict[int, list[Change]] = {}
        for entry in entries:
            known = noted[entry.id]
            if known is None:
                raise DecisionError(
                    f"decision {ids.decision(entry.id)} ({entry.action}) was made by an older facewatch, which did not "
                    "keep what undoes it; decide again instead"
                )
            changes[entry.id] = known
        return changes

    def _keep_edited(self, entries: Sequence[Entry], people: Collection[int]) -> None:
        """Whoever another decision that stands is about stays marked as edited."""
        undone = [entry.id for entry in entries]
        others = self._catalog.journal.decided_about(people, without=undone, without_actions=[RECLUSTER])
        self._catalog.people.mark_edited(others)

    def _agree(self, changes: Sequence[Change], people: Collection[int], *, since: int) -> list[int]:
        """Let go what does not agree with what was taken back of these people; returns the faces that are unassigned by
        it."""
        released = []
        if any(change.table == "drawn" for change in changes):
            released += self._catalog.drawn.hide_undone()
            self._catalog.assignments.release(released)
        released += self._make_room(changes)
        released += self._release_followers(changes, since=since)
        released += self._release_unborn(people)
        released += self._release_carried_over(changes)
        released += self._carried_over_from_unassigned(changes)
        self._catalog.people.drop_covers()
        self._catalog.assignments.forget_guesses()
        return released

    def _make_room(self, changes: Iterable[Change]) -> list[int]:
        """Nobody may be in a photo twice because a face came back: what a run assigned there since leaves. Where a user
        assigned it, the face that came back leaves, unless a user had assigned that one, too."""
        faces = self._catalog.faces
        back = faces.rows({change.key[0] for change in changes if change.table == "assignments"})
        are_back = {row.id for row in back}
        released: list[int] = []
        for row in back:
            if row.person_id is None:
                continue
            beside = [other for other in faces.beside([row.photo_id], row.person_id) if other.id != row.id]
            leaving = [other.id for other in beside if other.source != USER and other.id not in are_back]
            if row.source != USER and any(other.source == USER and other.id not in are_back for other in beside):
                leaving = [row.id]
            self._catalog.assignments.release(leaving)
            released += leaving
        return released

    def _release_followers(self, changes: Iterable[Change], *, since: int) -> list[int]:
        """Return unassigned faces that runs gave to somebody who had gained faces by what is taken back: they may
        have followed those."""
        losing = {
            int(change.after["person_id"])
            for change in changes
            if change.table == "assignments" and change.after is not None and "person_id" in change.after
        }
        followers = self._catalog.assignments.made_since(losing, since)
        self._catalog.assignments.release(followers)
        return followers

    def _release_carried_over(self, changes: Sequence[Change]) -> list[int]:
        """Return unassigned faces that belonged to somebody whose making was taken back: no decision gave them,
        they inherited from a photo that was edited since."""
        people = self._catalog.people
        gone = (person_id for person_id in sorted(_mentioned(changes)) if people.label(person_id) is None)
        leaving = [row.id for person_id in gone for row in self._catalog.faces.of_person(person_id)]
        self._catalog.assignments.release(leaving)
        return leaving

    def _carried_over_from_unassigned(self, changes: Iterable[Change]) -> list[int]:
        """Return faces to which something was handed over that is taken back, and who belong to nobody: no run has
        matched them without it."""
        faces = {change.key[0] for change in changes if change.table in ("assignments", "marks", "rejections")}
        rows = self._catalog.faces.rows(faces)
        free = [row.id for row in rows if row.person_id is None and row.mark is None]
        return [face_id for face_id in free if self._catalog.lineage.before(face_id) is not None]

    def _release_unborn(self, people: Collection[int]) -> list[int]:
        """Return unassigned faces that runs gave to somebody who was born later by what is said now."""
        leaving = [row.id for row in unborn(self._catalog, people) if row.source != USER]
        self._catalog.assignments.release(leaving)
        return leaving


class _Ground:
    """What decisions have changed on which later ones may build."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._names = catalog.people.all_names()
        self._facts: set[Fact] = set()
        self._losers: set[int] = set()
        self._made: set[int] = set()
        self._theirs: set[int] = set()
        """Faces that belong to people who were made, as it is now."""
        self._drawn: set[int] = set()
        """Faces that users drew."""
        self._freed: set[str] = set()
        """Names that somebody would get back."""

    def grow(self, changes: Sequence[Change]) -> None:
        """These changes belong to it, too."""
        made = _made(changes)
        self._facts |= _facts(changes)
        self._losers |= _losers(changes)
        self._made |= made
        self._drawn |= _drawn(changes)
        self._theirs |= {row.id for person_id in made for row in self._catalog.faces.of_person(person_id)}
        self._freed |= self._keys(_ended(changes), [change.before for change in changes])

    def carries(self, later: Sequence[Change]) -> bool:
        """Whether these later changes build on it."""
        if self._facts & _facts(later) or self._losers & _ended(later) or self._made & _mentioned(later):
            return True
        if self._drawn & _faces_of(later):
            return True
        # What was changed of a face may not say whose it is.
        if self._theirs & {change.key[0] for change in later if change.table == "assignments"}:
            return True
        return bool(self._freed & self._keys(_made(later), [change.after for change in later]))

    def _keys(self, people: Iterable[int], rows: Iterable[Mapping[str, Any] | None]) -> set[str]:
        """Return the names, as they are compared, of people and in rows."""
        names = {self._names.get(person_id) for person_id in people} | {(row or {}).get("name") for row in rows}
        return {name_key(name) for name in names if name}


def _facts(changes: Iterable[Change]) -> set[Fact]:
    """Return what was changed: table, key and column. That a person is edited is a sign of decisions, not one."""
    known = list(changes)
    return {fact for change in known for fact in _facts_of(change)} | set(_presences_of_both(known))


def _presences_of_both(changes: Sequence[Change]) -> Iterator[Fact]:
    """Yield who is in which photo as one of whom another became a part that was in it: where that was said of both, it
    is said once since."""
    merged = {
        change.key[0]: change.after["merged_into"]
        for change in changes
        if change.after and "merged_into" in change.after
    }
    for change in changes:
        if change.table == "presences" and merged.get(change.key[0]) is not None:
            yield "presences", (merged[change.key[0]], change.key[1]), ""


def _facts_of(change: Change) -> Iterator[Fact]:
    if change.table == "people":
        yield from (("people", change.key, column) for column in change.columns if column != "is_touched")
        return
    yield change.table, change.key, ""
    if change.table == "assignments":
        # An assignment says that a face is neither unassigned nor rejected.
        yield "marks", change.key, ""
        for person_id in _owners(change):
            yield "rejections", (*change.key, person_id), ""


def _drawn(changes: Iterable[Change]) -> set[int]:
    """Return the faces whose boxes were drawn."""
    rows = (change.after for change in changes if change.table == "drawn")
    return {int(row["face_id"]) for row in rows if row and row.get("face_id")}


def _faces_of(changes: Iterable[Change]) -> set[int]:
    """Return the faces about which something was said."""
    faces = {change.key[0] for change in changes if change.table in ("assignments", "rejections", "marks")}
    covers = (change.after for change in changes if change.table == "people")
    return faces | {int(row["cover_id"]) for row in covers if row and row.get("cover_id")}


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


def _mentioned(changes: Iterable[Change]) -> set[int]:
    """Return the people that faces were given to, that are in a photo without one, or that were told apart, rejected
    or changed."""
    people: set[int] = set()
    for change in changes:
        if change.table == "assignments":
            people |= _owners(change)
        elif change.table == "rejections":
            people.add(change.key[1])
        elif change.table == "presences":
            people.add(change.key[0])
        elif change.table in ("people", "apart"):
            people |= set(change.key)
    return people


def _listed(entries: Iterable[Entry]) -> str:
    return ", ".join(f"{ids.decision(entry.id)} ({entry.action})" for entry in entries)


def _people_of(changes: Iterable[Change], entries: Iterable[Entry]) -> list[int]:
    recorded = {person_id for entry in entries for person_id in entry.details.get("people", ())}
    return sorted(_mentioned(changes) | recorded)
