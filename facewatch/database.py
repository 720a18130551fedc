"""SQLite with what the catalog asks of it: statements that stand by themselves, nested transactions, and migrations.

What was applied is recorded as sqlite-utils does it, by which it was until November 2026.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class Database:
    """A connection; outside of a transaction each statement is one by itself."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def execute(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> sqlite3.Cursor:
        """Return the rows of a statement."""
        was_within = self.conn.in_transaction
        try:
            cursor = self.conn.execute(sql, values)
        except BaseException:
            if not was_within:
                self.conn.rollback()
            raise
        # Python has begun a transaction for it, which nobody else would end.
        if not was_within and self.conn.in_transaction and not sql.lstrip().upper().startswith("BEGIN"):
            self.conn.commit()
        return cursor

    def query(self, sql: str, values: Sequence[object] = ()) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query by the names of their columns."""
        cursor = self.conn.execute(sql, values)
        names = [column for column, *_ in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Let all of what happens inside stand, or nothing, also within a transaction."""
        is_inner = self.conn.in_transaction
        self.conn.execute("SAVEPOINT inner" if is_inner else "BEGIN")
        try:
            yield
            self.conn.execute("RELEASE inner" if is_inner else "COMMIT")
        except BaseException:
            # An error, such as that the disk is full, may have ended the whole transaction.
            if is_inner and self.conn.in_transaction:
                self.conn.execute("ROLLBACK TO inner")
                self.conn.execute("RELEASE inner")
            elif not is_inner:
                self.conn.rollback()
            raise

    def table_names(self) -> list[str]:
        return [name for (name,) in self.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def close(self) -> None:
        self.conn.close()


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the schema."""

    name: str
    apply: Callable[[Database], None]


class Migrations:
    """Changes of the schema, one after another; which of them were applied stands in the file."""

    migrations_table = "_sqlite_migrations"

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: list[Migration] = []

    def __call__(self, *, name: str) -> Callable[[Callable[[Database], None]], Callable[[Database], None]]:
        """Add a function that makes the next change."""

        def add(function: Callable[[Database], None]) -> Callable[[Database], None]:
            self.known.append(Migration(name, function))
            return function

        return add

    def applied(self, db: Database) -> list[str]:
        """Return the names of those that were applied, in that order."""
        if self.migrations_table not in db.table_names():
            return []
        rows = db.execute(
            f"SELECT name FROM {self.migrations_table} WHERE migration_set = ? ORDER BY rowid", [self.name]
        )
        return [name for (name,) in rows.fetchall()]

    def pending(self, db: Database) -> list[str]:
        """Return the names of those that are still to be applied, in that order."""
        applied = self.applied(db)
        return [one.name for one in self.known if one.name not in applied]

    def apply(self, db: Database, *, stop_before: str | None = None) -> None:
        """Apply those that were not yet, each as a whole, up to one that is named."""
        if self.migrations_table not in db.table_names():
            for sql in _RECORD:
                db.execute(sql.format(table=self.migrations_table))
        pending = self.pending(db)
        for one in self.known:
            if one.name == stop_before:
                return
            if one.name in pending:
                with db.atomic():
                    one.apply(db)
                    db.execute(
                        f"INSERT INTO {self.migrations_table} (migration_set, name, applied_at) VALUES (?, ?, ?)",
                        [self.name, one.name, str(datetime.now(UTC))],
                    )


_RECORD = (
    'CREATE TABLE "{table}" (\n   "id" INTEGER PRIMARY KEY,\n   "migration_set" TEXT,\n   "name" TEXT,\n'
    '   "applied_at" TEXT\n)',
    'CREATE UNIQUE INDEX "idx_{table}_migration_set_name"\n    ON "{table}" ("migration_set", "name")',
)
