"""What of the catalog readers elsewhere get, where they get it, and what has changed since they got it last.

A target is a place that holds a copy. While there is one, triggers note in the table `unpublished` which rows have
changed, and in which round: a round begins whenever somebody publishes. So a copy costs what has changed, whatever the
catalog's size, and is exact: whatever changes a row is noted, a person's decision and a run's assignment alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewatch.catalog.opening import TableAccess

_IS_SHOWN = "f.is_current AND NOT EXISTS (SELECT 1 FROM marks m WHERE m.face_id = f.id AND m.mark = 'forgotten')"
"""Faces of forgotten people are kept here, so that no run takes them for somebody new; readers get none of it."""


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """The rows of one table that readers get."""

    name: str
    key: str
    """The column by whose value rows are fetched, and their changes noted."""
    columns: tuple[str, ...]
    """What the query gives, in this order."""
    query: str
    """SELECT ... FROM ... WHERE ...: a condition on `{key}` follows."""
    keyed_by: str
    """The key, as the query's condition says it."""
    counted: str
    """FROM ... WHERE ...: whose rows are those of the query."""


def _table(name: str, key: str, columns: Mapping[str, str], source: str) -> PublishedTable:
    """`columns`: name for readers -> expression."""
    selected = ", ".join(expression for expression in columns.values())
    return PublishedTable(name, key, tuple(columns), f"SELECT {selected} FROM {source}", columns[key], f"FROM {source}")


def _same(alias: str, *names: str) -> dict[str, str]:
    return {name: f"{alias}.{name}" for name in names}


PUBLISHED = (
    _table("roots", "id", {"id": "r.id", "path": "r.display"}, "roots r WHERE TRUE"),
    _table("engines", "id", _same("e", "id", "name", "n_dims", "licence", "is_in_use"), "engines e WHERE TRUE"),
    _table(
        "photos",
        "id",
        _same("p", "id", "sha256", "width", "height", "format")
        # A time that no calendar has, and '' for none, are NULL.
        | {"taken_at": "CASE WHEN p.taken_at >= '0001' THEN strftime('%Y-%m-%dT%H:%M:%S', p.taken_at) END"}
        | _same("p", "is_reference", "added_at"),
        "photos p WHERE TRUE",
    ),
    _table(
        "files",
        "id",
        _same("f", "id", "root_id") | {"path": "f.display"} | _same("f", "size", "photo_id", "fault", "advice"),
        "files f WHERE TRUE",
    ),
    _table(
        "people",
        "id",
        _same("p", "id", "name", "is_hidden", "born", "folder", "cover_id", "created_at"),
        "people p WHERE p.merged_into IS NULL AND NOT p.is_gone",
    ),
    _table(
        "faces",
        "id",
        _same("f", "id", "photo_id", "engine_id", "x", "y", "w", "h", "turn", "score", "sharpness", "brightness")
        | _same("f", "pose", "quality", "tier", "covered", "is_drawn"),
        f"faces f WHERE {_IS_SHOWN}",
    ),
    _table(
        "assignments",
        "face_id",
        _same("a", "face_id", "person_id", "source", "distance", "centroid_distance", "runner_up_id")
        | _same("a", "runner_up_distance", "rule", "at"),
        "assignments a WHERE TRUE",
    ),
    _table("presences", "photo_id", _same("r", "person_id", "photo_id", "at"), "presences r WHERE TRUE"),
    _table(
        "embeddings",
        "face_id",
        _same("e", "face_id", "vector"),
        f"embeddings e JOIN faces f ON f.id = e.face_id WHERE e.engine_id = (SELECT id FROM engines WHERE is_in_use)"
        f" AND {_IS_SHOWN}",
    ),
)
"""Embeddings of two engines are never compared: readers get those of the engine in use."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place that holds a copy, or part of one."""

    id: int
    address: str
    """Without a password."""
    schema: str
    since: int
    """Changes of this round and of later ones are not all there yet."""
    tokens: tuple[str, ...]
    """What the copy calls its state, if nobody else has published there and no older catalog was restored here."""
    published_at: str | None
    """None: never as a whole."""


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """What has changed of one table."""

    table: PublishedTable
    keys: list[int]
    rows: list[tuple[Any, ...]]
    """As they are now; a key without a row: readers no longer get it."""


class Published(TableAccess):
    """The tables targets and unpublished, and the rows that readers get."""

    # --- where ---

    def targets(self) -> list[Target]:
        """Return all places that hold a copy, the oldest first."""
        rows = self._db.execute(
            "SELECT id, address, schema, since, token, next_token, published_at FROM targets ORDER BY id"
        ).fetchall()
        return [Target(row[0], row[1], row[2], row[3], tuple(filter(None, (row[4], row[5]))), row[6]) for row in rows]

    def target(self, address: str, schema: str) -> Target | None:
        """Return the record of one place; None: nothing was ever published there."""
        return next((one for one in self.targets() if (one.address, one.schema) == (address, schema)), None)

    def begin(self, address: str, schema: str, *, token: str, known: str | None) -> int:
        """Begin a round, and return its number: what changes from now on is noted as of it or of a later one.

        Args:
            token: what the copy will call its state.
            known: what it calls it until then; None: nothing that is there counts, and what changed before is sent
                with all the rest.
        """
        number = self._number("SELECT COALESCE(MAX(round), 0) + 1 FROM targets")
        self._db.execute(
            "INSERT INTO targets (address, schema, round, since, token) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET round = excluded.round",
            [address, schema, number, number, token],
        )
        afresh = "since = round, token = :token, next_token = NULL, published_at = NULL"
        self._db.execute(
            f"UPDATE targets SET {afresh if known is None else 'token = :known, next_token = :token'}"
            " WHERE address = :address AND schema = :schema",
            {"token": token, "known": known, "address": address, "schema": schema},
        )
        return number

    def next_round(self, address: str, schema: str) -> int:
        """Begin another round amid a publish, and return its number."""
        number = self._number("SELECT MAX(round) + 1 FROM targets")
        self._db.execute("UPDATE targets SET round = ? WHERE address = ? AND schema = ?", [number, address, schema])
        return number

    def reached(self, address: str, schema: str, *, since: int) -> None:
        """All changes before that round are there, though the publish goes on."""
        self._db.execute("UPDATE targets SET since = ? WHERE address = ? AND schema = ?", [since, address, schema])

    def expect(self, address: str, schema: str, *, token: str) -> None:
        """The copy is about to call its state so; until `confirm` what it was called before is as good."""
        self._db.execute(
            "UPDATE targets SET token = COALESCE(next_token, token), next_token = ? WHERE address = ? AND schema = ?",
            [token, address, schema],
        )

    def confirm(self, address: str, schema: str, *, since: int, published_at: str) -> None:
        """All changes before that round are there; notes that no copy waits for any more go."""
        self._db.execute(
            "UPDATE targets SET token = next_token, next_token = NULL, since = ?, published_at = ?"
            " WHERE address = ? AND schema = ?",
            [since, published_at, address, schema],
        )
        self._tidy()

    def remove(self, address: str, schema: str) -> None:
        """No copy is there any more."""
        self._db.execute("DELETE FROM targets WHERE address = ? AND schema = ?", [address, schema])
        self._tidy()

    def _tidy(self) -> None:
        self._db.execute(
            "DELETE FROM unpublished WHERE round < (SELECT COALESCE(MIN(since), unpublished.round + 1) FROM targets)"
        )

    # --- what ---

    def engine(self) -> tuple[int, int] | None:
        """Return id and dimensions of the engine in use; None: there is none yet."""
        row = self._db.execute("SELECT id, n_dims FROM engines WHERE is_in_use").fetchone()
        return (row[0], row[1]) if row else None

    def count(self, table: PublishedTable) -> int:
        return self._number(f"SELECT COUNT(*) {table.counted}")

    def after(self, table: PublishedTable, key: int, most: int) -> tuple[int | None, list[tuple[Any, ...]]]:
        """Return the rows of the next keys behind this one, about so many, and the last of those keys; None: there are
        no more. All rows of a key come together."""
        condition = f"{table.keyed_by} > ?"
        last = self._first(
            f"SELECT MAX(key) FROM (SELECT {table.keyed_by} AS key {table.counted} AND {condition}"
            f" ORDER BY {table.keyed_by} LIMIT ?)",
            [key, most],
        )
        if last is None:
            return None, []
        query = f"{table.query} AND {condition} AND {table.keyed_by} <= ? ORDER BY {table.keyed_by}"
        return last, self._db.execute(query, [key, last]).fetchall()

    def rows(self, table: PublishedTable, keys: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return the rows of these keys."""
        return list(self._rows(table, keys))

    def _rows(self, table: PublishedTable, keys: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = ", ".join(str(int(key)) for key in keys[start : start + _KEYS_AT_ONCE])
            yield from self._db.execute(f"{table.query} AND {table.keyed_by} IN ({some})")

    def changed(self, since: int) -> dict[str, list[int]]:
        """Return the keys of what has changed in this round and later, by table."""
        found: dict[str, list[int]] = defaultdict(list)
        for name, key in self._db.execute(
            "SELECT name, row_id FROM unpublished WHERE round >= ? ORDER BY name, row_id", [since]
        ):
            found[name].append(key)
        return dict(found)


_KEYS_AT_ONCE = 1000
