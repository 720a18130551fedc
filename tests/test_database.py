"""Statements stand by themselves, transactions inside one another, and migrations are applied once and as a whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewatch.database import Database, Migrations


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite3.connect(tmp_path / "a.sqlite"))
    database.execute("CREATE TABLE t (a INTEGER NOT NULL)")
    yield database
    database.close()


def add_and_fail(db: Database, *numbers: int) -> None:
    """Add rows, the last within a transaction of its own, and fail."""
    with db.atomic():
        for a in numbers[:-1]:
            db.execute("INSERT INTO t VALUES (?)", [a])
        with db.atomic():
            db.execute("INSERT INTO t VALUES (?)", [numbers[-1]])
        raise ZeroDivisionError


def rows(db: Database) -> list[int]:
    return [a for (a,) in db.execute("SELECT a FROM t ORDER BY a")]


def test_a_statement_stands_by_itself_and_one_that_fails_leaves_no_transaction_open(db: Database) -> None:
    db.execute("INSERT INTO t VALUES (?)", [1])
    assert not db.conn.in_transaction
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO t VALUES (NULL)")
    assert not db.conn.in_transaction
    assert rows(db) == [1]


def test_a_transaction_that_was_begun_stays_open(db: Database) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t VALUES (1)")
    assert db.conn.in_transaction
    db.conn.rollback()
    assert rows(db) == []


def test_a_transaction_stands_whole_or_not_at_all_also_within_another(db: Database) -> None:
    with db.atomic():
        db.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ZeroDivisionError):
            add_and_fail(db, 2, 3)
        with db.atomic():
            db.execute("INSERT INTO t VALUES (4)")
    assert rows(db) == [1, 4]
    with pytest.raises(ZeroDivisionError):
        add_and_fail(db, 5, 6)
    assert rows(db) == [1, 4]


def test_an_error_that_ends_the_transaction_is_the_one_that_is_told(db: Database) -> None:
    db.execute("CREATE TRIGGER ends BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'over'); END")
    with pytest.raises(sqlite3.IntegrityError, match="over"), db.atomic(), db.atomic():
        db.execute("INSERT INTO t VALUES (1)")
    assert not db.conn.in_transaction


def test_rows_are_told_by_the_names_of_their_columns(db: Database) -> None:
    db.execute("INSERT INTO t VALUES (7)")
    assert list(db.query("SELECT a, a + ? AS more FROM t", [1])) == [{"a": 7, "more": 8}]


def test_migrations_are_applied_once_in_order_and_each_as_a_whole(db: Database) -> None:
    migrations = Migrations("test")
    migrations(name="1")(lambda db: [db.execute("INSERT INTO t VALUES (1)")])

    @migrations(name="2")
    def fails(db: Database) -> None:
        db.execute("INSERT INTO t VALUES (2)")
        raise ZeroDivisionError

    migrations.apply(db, stop_before="2")
    with pytest.raises(ZeroDivisionError):
        migrations.apply(db)
    assert (rows(db), migrations.applied(db), migrations.pending(db)) == ([1], ["1"], ["2"])
    migrations.known[-1] = type(migrations.known[-1])("2", lambda db: [db.execute("INSERT INTO t VALUES (3)")])
    migrations.apply(db)
    migrations.apply(db)
    assert (rows(db), migrations.applied(db), migrations.pending(db)) == ([1, 3], ["1", "2"], [])
