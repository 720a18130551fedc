"""The journal: who decided what, row by row, so that every decision of a user can be taken back and made again.

While a decision is recorded, triggers note every row of the tables that hold decisions before and after it. What comes
of them is exact whatever the decision does, and needs no code of its own for a new kind of decision.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from facewatch.catalog.opening import TableAccess

Key = tuple[int, ...]
"""The primary key of a row."""
Row = Mapping[str, Any]
"""Some or all columns of a row, without its key."""

USER = "user"
"""The actor of decisions; runs go by their kind."""


@dataclass(frozen=True, slots=True)
class _Table:
    key: tuple[str, ...]
    columns: tuple[str, ...]


_TABLES = {
    # Not here: `folder`, which says what the disk is like; rows of people are never deleted, see `_change`.
    "people": _Table(("id",), ("name", "is_hidden", "is_touched", "merged_into", "is_gone", "born", "cover_id")),
    "assignments": _Table(
        ("face_id",),
        (
            *("person_id", "source", "distance", "centroid_distance", "runner_up_id", "runner_up_distance"),
            *("rule", "run_id", "at", "entry_id"),
        ),
    ),
    "rejections": _Table(("face_id", "person_id"), ("at",)),
    "marks": _Table(("face_id",), ("mark", "at")),
    "apart": _Table(("person_id", "other_id"), ("at",)),
    "presences": _Table(("person_id", "photo_id"), ("at",)),
    "drawn": _Table(("id",), ("photo_id", "x", "y", "w", "h", "face_id", "before_id", "at")),
}


_STANDS = "actor = ? AND parent_id IS NULL AND undone_by IS NULL AND action NOT IN ('undo', 'redo')"
"""Of an entry, for SQL: it is a decision that was not taken back; the actor is a user."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after a decision; where both are there, only the columns that differ."""

    table: str
    key: Key
    before: Row | None
    """None: there was no such row."""
    after: Row | None
    """None: there is no such row any more."""

    @property
    def columns(self) -> frozenset[str]:
        return frozenset((*(self.before or ()), *(self.after or ())))

    @property
    def inverse(self) -> Change:
        return Change(self.table, self.key, self.after, self.before)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    id: int
    at: str
    actor: str
    """user, or the kind of run."""
    action: str
    details: Mapping[str, Any]
    """What was done; `people` are the ids of those it was about."""
    run_id: int | None
    parent_id: int | None
    """The decision that this followed from."""
    undone_by: int | None
    """The entry that took it back."""


@dataclass(slots=True)
class Record:
    """A decision that is being recorded."""

    details: dict[str, Any] = field(default_factory=dict)
    entry_id: int | None = None
    """Set when it is on record; stays None when nothing changed."""
    changes: tuple[Change, ...] = ()
    undo: dict[str, Any] = field(default_factory=dict)
    """What stands beside the changes, for those who look for it there."""


class Journal(TableAccess):
    """The table journal."""

    @contextmanager
    def recording(
        self,
        actor: str,
        action: str,
        details: Mapping[str, Any] | None = None,
        *,
        run_id: int | None = None,
        parent_id: int | None = None,
        now: str,
    ) -> Iterator[Record]:
        """Record what happens inside as one entry; none when nothing changes. Belongs inside a transaction."""
        record = Record(dict(details or {}))
        self._listen()
        try:
            yield record
            record.changes = tuple(self._recorded_changes())
        finally:
            self._stop_listening()
        if record.changes:
            undo = record.undo | {"changes": [[c.table, list(c.key), c.before, c.after] for c in record.changes]}
            record.entry_id = self.add(actor, action, record.details, undo, run_id=run_id, parent_id=parent_id, now=now)

    def add(
        self,
        actor: str,
        action: str,
        details: Mapping[str, Any],
        undo: Mapping[str, Any],
        *,
        run_id: int | None = None,
        parent_id: int | None = None,
        now: str,
    ) -> int:
        """Write an entry and return its id."""
        cursor = self._db.execute(
            "INSERT INTO journal (at, actor, action, details, undo, run_id, parent_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [now, actor, action, json.dumps(details), json.dumps(undo), run_id, parent_id],
        )
        return int(cursor.lastrowid or 0)

    def newest(self) -> int:
        """Return the id of the newest entry, 0 when there is none."""
        return self._number("SELECT COALESCE(MAX(id), 0) FROM journal")

    def entries(self, *, newest_first: bool = False) -> Iterator[Entry]:
        """Yield all entries; what they changed is read apart, because it may be long."""
        return self._select(f"TRUE ORDER BY id {'DESC' if newest_first else 'ASC'}")

    def page(
        self,
        n: int,
        *,
        before: int | None = None,
        person_id: int | None = None,
        by_user: bool = False,
        are_answers: bool = False,
        without: Collection[str] = (),
    ) -> list[Entry]:
        """Return at most `n` entries, the newest first; what belongs to another decision stands with that.

        Args:
            before: only those that are older than this entry.
            person_id: only those that were about this person.
            by_user: only what users did.
            are_answers: only answers to questions of the review.
            without: actions that are left out.
        """
        return list(
            self._select(
                "parent_id IS NULL AND id < ? AND (? OR actor = ?) AND (? OR details ->> '$.answer' IS NOT NULL)"
                " AND action NOT IN (SELECT value FROM json_each(?))"
                " AND (? IS NULL OR ? IN (SELECT value FROM json_each(details, '$.people'))) ORDER BY id DESC LIMIT ?",
                2**63 - 1 if before is None else before,
                not by_user,
                USER,
                not are_answers,
                json.dumps(list(without)),
                person_id,
                person_id,
                n,
            )
        )

    def one(self, entry_id: int) -> Entry | None:
        return next(self._select("id = ?", entry_id), None)

    def decisions(self, *, since: int = 0) -> list[Entry]:
        """Return what users decided after this entry and what still stands, newest first."""
        return list(self._select(f"{_STANDS} AND id > ? ORDER BY id DESC", USER, since))

    def decided_about(
        self, people: Collection[int], *, without: Collection[int], without_actions: Collection[str]
    ) -> set[int]:
        """Return those of these people whom decisions of users that stand are about, but for those decisions."""
        rows = self._db.execute(
            "SELECT DISTINCT p.value FROM journal j, json_each(j.details, '$.people') p"
            f" WHERE {_STANDS} AND j.id NOT IN (SELECT value FROM json_each(?))"
            " AND j.action NOT IN (SELECT value FROM json_each(?)) AND p.value IN (SELECT value FROM json_each(?))",
            [USER, json.dumps(list(without)), json.dumps(list(without_actions)), json.dumps(list(people))],
        )
        return {person_id for (person_id,) in rows}

    def undos(self) -> list[Entry]:
        """Return what was undone since the last other decision and not made again yet, newest first."""
        last = self._db.execute(
            "SELECT COALESCE(MAX(id), 0) FROM journal WHERE actor = ? AND parent_id IS NULL"
            " AND action NOT IN ('undo', 'redo')",
            [USER],
        ).fetchone()[0]
        return list(self._select("action = 'undo' AND undone_by IS NULL AND id > ? ORDER BY id DESC", last))

    def changes(self, entry_id: int) -> list[Change] | None:
        """Return what an entry and all that followed from it changed, in order; None: it does not say row by row."""
        return self.changes_of([entry_id])[entry_id]

    def changes_of(self, entry_ids: Collection[int]) -> dict[int, list[Change] | None]:
        """Return the changes of several entries, each as `changes` does."""
        asked = json.dumps(list(entry_ids))
        rows = self._db.execute(
            "SELECT id AS entry_id, id, undo FROM journal WHERE id IN (SELECT value FROM json_each(?)) UNION ALL"
            " SELECT parent_id, id, undo FROM journal WHERE parent_id IN (SELECT value FROM json_each(?)) ORDER BY 2",
            [asked, asked],
        )
        changes: dict[int, list[Change] | None] = {entry_id: [] for entry_id in entry_ids}
        for entry_id, _, undo in rows:
            noted, known = json.loads(undo).get("changes"), changes[entry_id]
            if noted is None or known is None:
                changes[entry_id] = None
            else:
                known += [Change(table, tuple(key), before, after) for table, key, before, after in noted]
        return changes

    def take_back(self, changes: Iterable[Change]) -> None:
        """Give every row its value from before these changes, whatever it is now."""
        self.make(change.inverse for change in reversed(list(changes)))

    def make(self, changes: Iterable[Change]) -> None:
        """Give every row its value from after these changes, whatever it is now; a person must be there already."""
        # A face may come back before its person does.
        self._db.execute("PRAGMA defer_foreign_keys = ON")
        for change in changes:
            self._write(change)

    def mark_undone(self, entry_id: int, by: int | None) -> None:
        self._db.execute("UPDATE journal SET undone_by = ? WHERE id = ? OR parent_id = ?", [by, entry_id, entry_id])

    def _write(self, change: Change) -> None:
        table = _TABLES[change.table]
        where = " AND ".join(f"{column} = ?" for column in table.key)
        if change.after is None:
            self._db.execute(f"DELETE FROM {change.table} WHERE {where}", list(change.key))
            return
        names = tuple(change.after)
        values = [change.after[name] for name in names]
        cursor = self._db.execute(
            f"UPDATE {change.table} SET {', '.join(f'{name} = ?' for name in names)} WHERE {where}",
            [*values, *change.key],
        )
        if not cursor.rowcount:
            columns = (*table.key, *names)
            self._db.execute(
                f"INSERT INTO {change.table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [*change.key, *values],
            )

    def _select(self, where: str, *arguments: object) -> Iterator[Entry]:
        rows = self._db.execute(
            f"SELECT id, at, actor, action, details, run_id, parent_id, undone_by FROM journal WHERE {where}", arguments
        )
        for row in rows.fetchall():
            entry_id, at, actor, action, details, *rest = row
            yield Entry(entry_id, at, actor, action, json.loads(details), *rest)

    # --- listening to changes ---

    def _listen(self) -> None:
        for name, table in _TABLES.items():
            columns = (*table.key, *table.columns)
            noted = ", ".join(f"{side}_{column}" for side in ("old", "new") for column in columns)
            self._db.execute(f"CREATE TEMP TABLE noted_{name} ({noted})")
            for event, sides in (("INSERT", ("new",)), ("UPDATE", ("old", "new")), ("DELETE", ("old",))):
                values = ", ".join(
                    f"{side}.{column}" if side in sides else "NULL" for side in ("old", "new") for column in columns
                )
                self._db.execute(
                    f"CREATE TEMP TRIGGER noting_{name}_{event} AFTER {event} ON main.{name}"
                    f" BEGIN INSERT INTO noted_{name} VALUES ({values}); END"
                )

    def _stop_listening(self) -> None:
        for name in _TABLES:
            for event in ("INSERT", "UPDATE", "DELETE"):
                self._db.execute(f"DROP TRIGGER IF EXISTS temp.noting_{name}_{event}")
            self._db.execute(f"DROP TABLE IF EXISTS temp.noted_{name}")

    def _recorded_changes(self) -> Iterator[Change]:
        """Yield one change a row that is not as it was, table by table."""
        for name, table in _TABLES.items():
            first: dict[Key, Row | None] = {}
            last: dict[Key, Row | None] = {}
            for noted in self._db.execute(f"SELECT * FROM noted_{name} ORDER BY rowid"):
                half = len(noted) // 2
                (old_key, old), (new_key, new) = (_split(table, side) for side in (noted[:half], noted[half:]))
                for key, before, after in _steps(old_key, old, new_key, new):
                    first.setdefault(key, before)
                    last[key] = after
            for key, before in first.items():
                change = _change(name, key, before, last[key])
                if change is not None:
                    yield change


def _split(table: _Table, values: tuple[Any, ...]) -> tuple[Key | None, Row | None]:
    n = len(table.key)
    if values[0] is None:
        return None, None
    return tuple(values[:n]), dict(zip(table.columns, values[n:], strict=True))


def _steps(
    old_key: Key | None, old: Row | None, new_key: Key | None, new: Row | None
) -> Iterator[tuple[Key, Row | None, Row | None]]:
    """Yield what became of a key; a row whose key changed is one that went and one that came."""
    if old_key is not None and old_key == new_key:
        yield old_key, old, new
        return
    if old_key is not None:
        yield old_key, old, None
    if new_key is not None:
        yield new_key, None, new


def _change(table: str, key: Key, before: Row | None, after: Row | None) -> Change | None:
    if table == "people" and before is None and after is not None:
        # A person that was made is not deleted when that is taken back: its id is never used again.
        before = {**after, "is_gone": 1}
    if before == after:
        return None
    if before is not None and after is not None:
        differing = [column for column in before if before[column] != after[column]]
        before, after = ({column: row[column] for column in differing} for row in (before, after))
    return Change(table, key, before, after)
