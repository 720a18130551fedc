"""Rows on their way to the server: COPY, in one transaction a batch."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facewatch.catalog.published import PublishedTable
from facewatch.errors import PublishError
from facewatch.publish.copy import Copy
from facewatch.publish.tables import TABLES

EMBEDDINGS = "embeddings"

_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
"""Of COPY's binary format."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a batch changed there."""

    n_written: int
    """Rows that were not there, or not as they are now."""
    n_removed: int


class Sender:
    """Sends rows of the catalog; each method within a transaction that is begun."""

    def __init__(self, copy: Copy, n_dims: int | None) -> None:
        self._copy = copy
        self._n_dims = n_dims
        self._staged = set[str]()

    def load(self, table: PublishedTable, rows: Sequence[tuple[Any, ...]]) -> Sent:
        """Send rows none of which is there."""
        self._send(f"{{s}}.{table.name}", table, rows)
        return Sent(len(rows), 0)

    def replace_range(
        self, table: PublishedTable, after: int, last: int | None, rows: Sequence[tuple[Any, ...]]
    ) -> Sent:
        """These are all rows whose keys are above the first and up to the last; None: all above."""
        upper = "" if last is None else f"AND t.{table.key} <= {int(last)}"
        return self._replace(table, f"t.{table.key} > %s {upper}", after, rows)

    def replace_keys(self, table: PublishedTable, keys: Sequence[int], rows: Sequence[tuple[Any, ...]]) -> Sent:
        """These are all rows of these keys."""
        return self._replace(table, f"t.{table.key} = ANY(%s)", list(keys), rows)

    def is_empty_behind(self, table: PublishedTable, key: int) -> bool:
        """Whether no row there has a key above this one."""
        found = self._copy.run(f"SELECT EXISTS (SELECT 1 FROM {{s}}.{table.name} WHERE {table.key} > %s)", [key])
        return found.fetchone() == (False,)

    def _replace(self, table: PublishedTable, which: str, value: object, rows: Sequence[tuple[Any, ...]]) -> Sent:
        name, stage = table.name, self._stage(table)
        if rows:
            self._send(stage, table, rows)
        primary = TABLES[name].primary
        is_same = " AND ".join(f"i.{column} = t.{column}" for column in primary)
        removed = self._copy.run(
            f"DELETE FROM {{s}}.{name} t WHERE {which} AND NOT EXISTS (SELECT 1 FROM {stage} i WHERE {is_same})",
            [value],
        )
        if not rows:
            return Sent(0, removed.rowcount)
        others = [column for column in table.columns if column not in primary]
        values = ", ".join(f"{column} = excluded.{column}" for column in others)
        is_other = " OR ".join(f"t.{column} IS DISTINCT FROM excluded.{column}" for column in others)
        columns = ", ".join(table.columns)
        written = self._copy.run(
            f"INSERT INTO {{s}}.{name} AS t ({columns}) SELECT {columns} FROM {stage}"
            f" ON CONFLICT ({', '.join(primary)}) DO UPDATE SET {values} WHERE {is_other}"
        )
        self._copy.run(f"TRUNCATE {stage}")
        return Sent(written.rowcount, removed.rowcount)

    def _stage(self, table: PublishedTable) -> str:
        """Return the table that rows come into before they are compared, made once a connection."""
        stage = f"pg_temp.incoming_{table.name}"
        if table.name not in self._staged:
            self._copy.run(f"CREATE TEMP TABLE incoming_{table.name} (LIKE {{s}}.{table.name})")
            self._staged.add(table.name)
        return stage

    def _send(self, into: str, table: PublishedTable, rows: Sequence[tuple[Any, ...]]) -> None:
        is_binary = table.name == EMBEDDINGS
        form = " WITH (FORMAT BINARY)" if is_binary else ""
        sql = self._copy.sql(f"COPY {into} ({', '.join(table.columns)}) FROM STDIN{form}")
        with self._copy.cursor() as cursor, cursor.copy(sql) as copy:
            if is_binary:
                copy.write(vectors_as_copied(rows, self._n_dims or 0))
                return
            for row in _without_zeros(rows):
                copy.write_row(row)


def vectors_as_copied(rows: Sequence[tuple[int, bytes]], n_dims: int) -> bytes:
    """Return (id, little-endian float32) as rows of a bigint and a halfvec, in COPY's binary format.

    Raises:
        PublishError: a vector has another length: the engine was changed a moment ago.
    """
    if any(len(vector) != 4 * n_dims for _, vector in rows):
        raise PublishError("the engine was changed in the middle: publish again, and it goes on with the new one")
    layout = [("n", ">i2"), ("id_size", ">i4"), ("id", ">i8"), ("size", ">i4"), ("n_dims", ">i2"), ("zero", ">i2")]
    table = np.zeros(len(rows), np.dtype([*layout, ("vector", ">f2", (n_dims,))]))
    table["n"], table["id_size"], table["size"], table["n_dims"] = 2, 8, 4 + 2 * n_dims, n_dims
    table["id"] = [face_id for face_id, _ in rows]
    table["vector"] = np.frombuffer(b"".join(vector for _, vector in rows), "<f4").reshape(len(rows), n_dims)
    return _HEAD + table.tobytes() + _END


def _without_zeros(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows with what PostgreSQL's text cannot hold replaced."""
    for row in rows:
        yield tuple(v.replace("\0", "�") if type(v) is str and "\0" in v else v for v in row)
