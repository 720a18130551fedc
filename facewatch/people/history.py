"""Taking decisions back, and making them again: the journal read backwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from facewatch.catalog import USER, Catalog, Change, Entry, Record
from facewatch.errors import DecisionError


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
            DecisionError: nothing was taken back since the last decision.
        """
        catalog = self._catalog
        with catalog.write():
            undos = catalog.journal.undos()
            if not undos:
                raise DecisionError("nothing to redo: nothing was undone since the last decision")
            undo = undos[0]
            changes = catalog.journal.changes(undo.id) or []
            undone = [entry for entry_id in undo.details["undone"] if (entry := catalog.journal.one(entry_id))]
            people = _people_of(changes, undone)
            details = {"redone": [entry.id for entry in undone], "people": people}
            with catalog.journal.recording(USER, "redo", details, now=catalog.now()) as record:
                catalog.journal.take_back(changes)
                doubtful = self._make_room(changes)
                doubtful += self._release_followers(changes, since=undo.id)
                catalog.faces.forget_guesses()
            by = self._written(record, "redo", details)
            catalog.journal.mark_undone(undo.id, by)
            for entry in undone:
                catalog.journal.mark_undone(entry.id, None)
            return Undone(by, tuple(reversed(undone)), tuple(people), tuple(doubtful))

    def chain(self, entry: Entry) -> list[Entry]:
        """Return the later decisions that stand and build on this one, newest first: they changed the same facts, or
        gave faces to a person that it made."""
        base = self._changes(entry)
        touched, made = _facts(base), _made(base)
        chain: list[Entry] = []
        for later in reversed(self._catalog.journal.decisions(since=entry.id)):
            changes = self._changes(later)
            if touched & _facts(changes) or made & _mentioned(changes) or self._has_its_name(base, changes):
                chain.append(later)
                touched |= _facts(changes)
                made |= _made(changes)
        return chain[::-1]

    @staticmethod
    def _has_its_name(base: Iterable[Change], later: Iterable[Change]) -> bool:
        """Whether somebody was given a name that another would get back."""
        freed = {str(name).casefold() for c in base if c.table == "people" and (name := (c.before or {}).get("name"))}
        given = {str(name).casefold() for c in later if c.table == "people" and (name := (c.after or {}).get("name"))}
        return bool(freed & given)

    def _take_back(self, entries: Sequence[Entry]) -> Undone:
        """Take back these decisions in this order, as one entry of the journal."""
        catalog = self._catalog
        by_entry = {entry.id: self._changes(entry) for entry in entries}
        changes = [change for entry in reversed(entries) for change in by_entry[entry.id]]
        people = _people_of(changes, entries)
        details = {"undone": [entry.id for entry in entries], "people": people}
        with catalog.journal.recording(USER, "undo", details, now=catalog.now()) as record:
            for entry in entries:
                catalog.journal.take_back(by_entry[entry.id])
            self._keep_touched(entries, people)
            doubtful = self._make_room(changes)
            doubtful += self._release_followers(changes, since=min(by_entry))
            catalog.faces.forget_guesses()
        by = self._written(record, "undo", details)
        for entry in entries:
            catalog.journal.mark_undone(entry.id, by)
        return Undone(by, tuple(entries), tuple(people), tuple(doubtful))

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


def _facts(changes: Iterable[Change]) -> set[tuple[str, tuple[int, ...], str]]:
    """Return what was changed: table, key and column. Being touched is a sign of decisions, not one."""
    return {
        (change.table, change.key, "" if change.table != "people" else column)
        for change in changes
        for column in change.columns
        if column != "is_touched"
    }


def _made(changes: Iterable[Change]) -> set[int]:
    """Return the people that came into being."""
    return {
        change.key[0]
        for change in changes
        if change.table == "people"
        and (change.before or {}).get("is_gone") == 1
        and (change.after or {}).get("is_gone") == 0
    }


def _mentioned(changes: Iterable[Change]) -> set[int]:
    """Return the people that faces were given to, that were told apart, rejected or changed."""
    people: set[int] = set()
    for change in changes:
        if change.table == "assignments":
            people |= {int(row["person_id"]) for row in (change.before, change.after) if row and "person_id" in row}
        elif change.table == "rejections":
            people.add(change.key[1])
        elif change.table in ("people", "apart"):
            people |= set(change.key)
    return people


def _people_of(changes: Iterable[Change], entries: Iterable[Entry]) -> list[int]:
    told = {person_id for entry in entries for person_id in entry.details.get("people", ())}
    return sorted(_mentioned(changes) | told)
