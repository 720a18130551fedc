"""The copy on the server: its schema with tables, views, indexes and rights, and what it says of itself."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from facewatch.errors import PublishError
from facewatch.publish.server import have_vector
from facewatch.publish.tables import LOADING, NEAREST, PUBLICATION, TABLES, VERSION, VIEWS, ReaderTable
from facewatch.types import Progress

if TYPE_CHECKING:
    import psycopg

    from facewatch.publish.address import Address

Report = Callable[[Progress], None]

_MB = 1_000_000
_BYTES_BESIDE_A_VECTOR = 850
"""Of the graph that is made for the index, in memory: pgvector 0.8.6 takes between 700 and 800, of 128 and of 512
dimensions. With less it says "hnsw graph no longer fits into maintenance_work_mem" and adds the rest one by one."""
_MOST_FOR_INDEX_MB = 4000
_BREADTH = 100
"""How many faces are kept at hand while the neighbours of one are sought, when the index is made: pgvector's own 64
find 70 % of the true nearest ten among a million later, 100 find 81 % (docs/scale.md)."""
_LOOK_SECONDS = 1.0
_HOW_FAR = "SELECT tuples_done FROM pg_stat_progress_create_index WHERE pid = %s"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a copy says of itself."""

    library_id: str
    token: str
    engine_id: int | None
    is_whole: bool


class Rights(StrEnum):
    """What became of the rights of readers."""

    GIVEN = "given"
    NO_ROLE = "no role"
    """There is none of that name, and the user may not make one."""


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


class Copy:
    """One schema of a database, over an open connection."""

    def __init__(self, connection: psycopg.Connection[Any], address: Address, schema: str) -> None:
        self._connection = connection
        self._address = address
        self.schema = schema
        self._is_path_set = False

    # --- SQL ---

    def run(self, sql: str, values: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        """Execute a statement, in which {s} stands for the schema."""
        # Bytes, because the type of a text says that nothing was put into it.
        return self._connection.execute(self.sql(sql), values or None)

    def sql(self, text: str) -> bytes:
        return text.replace("{s}", quoted(self.schema)).encode()

    def transaction(self) -> Any:
        return self._connection.transaction()

    def cursor(self) -> psycopg.Cursor[Any]:
        return self._connection.cursor()

    # --- whose it is ---

    @contextmanager
    def alone(self, wait_seconds: float) -> Iterator[None]:
        """Be the only one who publishes into this schema; who has just ended is waited for.

        Raises:
            PublishError: somebody else does.
        """
        import psycopg

        key = f"facewatch publish {self.schema}"
        self.run("SELECT set_config('lock_timeout', %s, false)", [f"{round(1000 * wait_seconds)}ms"])
        try:
            self.run("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])
        except psycopg.errors.LockNotAvailable:
            raise PublishError(
                f"{self.where}: another facewatch publishes into it, or the server has not noticed yet that its "
                "connection ended; try again in a minute"
            ) from None
        self.run("RESET lock_timeout")
        # It goes with the connection.
        yield

    @property
    def where(self) -> str:
        return f"{self._address.shown}, schema {self.schema}"

    def publication(self, library_id: str) -> Publication | None:
        """Return what the copy says of itself; None: there is none yet.

        Raises:
            PublishError: the schema holds something else, a copy of another catalog, or one of a newer version.
        """
        found = self._found()
        if found is None:
            return None
        if found[1] != library_id:
            raise PublishError(
                f"{self.where}: it holds the copy of another catalog; name another schema with --schema, or drop that "
                f"one there: DROP SCHEMA {quoted(self.schema)} CASCADE"
            )
        if found[0] > VERSION:
            raise PublishError(f"{self.where}: published by a newer facewatch (version {found[0]}); update facewatch")
        return None if found[0] < VERSION else Publication(*found[1:])

    def check_version(self) -> None:
        """Raise a PublishError when the copy is of an older version, which is made anew only where somebody says so."""
        found = self._found()
        if found is not None and found[0] < VERSION:
            raise PublishError(
                f"{self.where}: published by an older facewatch (version {found[0]}, now {VERSION}): publish with "
                "--rebuild, which drops the tables there and sends all again"
            )

    def _found(self) -> tuple[Any, ...] | None:
        names = self._names()
        if not names:
            return None
        if PUBLICATION.name not in names:
            raise PublishError(
                f"{self.where}: it holds tables that are not facewatch's; name another schema with --schema"
            )
        # Of another version it may have other columns than the first two.
        found = self.run("SELECT version, library_id FROM {s}.publication").fetchone()
        if found is None or found[0] != VERSION:
            return tuple(found or (0, ""))
        rows = self.run("SELECT version, library_id, token, engine_id, is_whole FROM {s}.publication")
        return tuple(rows.fetchone() or ())

    def _names(self) -> set[str]:
        rows = self.run(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'v', 'p', 'm')",
            [quoted(self.schema)],
        )
        return {name for (name,) in rows}

    # --- made and dropped ---

    def prepare(self) -> None:
        """Have pgvector and the schema: what a user may lack the right for.

        Raises:
            PublishError: he does.
        """
        self.run(f"SELECT NULL::{self._halfvec()}")
        if self.run("SELECT to_regnamespace(%s) IS NULL", [quoted(self.schema)]).fetchone() == (True,):
            self._make_schema()

    def make(self, library_id: str, token: str, engine: tuple[int, int] | None, program: str) -> None:
        """Make tables and views in one transaction, which must be begun."""
        self.run("REVOKE ALL ON SCHEMA {s} FROM PUBLIC")
        self._comment(
            "SCHEMA {s}", f"A copy of facewatch's catalog for readers, version {VERSION}; written by facewatch publish."
        )
        for table in (PUBLICATION, LOADING, *TABLES.values()):
            self._make_table(table)
        self.run(
            "INSERT INTO {s}.publication (version, library_id, token, is_whole, program)"
            " VALUES (%s, %s, %s, FALSE, %s)",
            [VERSION, library_id, token, program],
        )
        self.empty_embeddings(engine)
        vector = quoted(self._vector_schema())
        self._search_in(f"{quoted(self.schema)}, {vector}")
        for name, (comment, query) in VIEWS.items():
            self.run(f"CREATE VIEW {{s}}.{name} AS {query}")
            self._comment(f"VIEW {{s}}.{name}", comment)
            self.run(f"REVOKE ALL ON {{s}}.{name} FROM PUBLIC")
        self._search_in(vector)
        self.load_again(TABLES)

    def _search_in(self, path: str) -> None:
        self.run("SELECT set_config('search_path', %s, false)", [path])

    def _make_schema(self) -> None:
        import psycopg

        try:
            self.run("CREATE SCHEMA {s}")
        except psycopg.errors.InsufficientPrivilege as error:
            info = self._connection.info
            raise PublishError(
                f"{self._address.shown}: {error.diag.message_primary}; an administrator allows it: GRANT CREATE ON "
                f"DATABASE {info.dbname} TO {info.user}"
            ) from None

    def empty_embeddings(self, engine: tuple[int, int] | None) -> None:
        """Make room for the embeddings of this engine (id, dimensions); whoever may read the table still may."""
        self.drop_nearest()
        self.run("TRUNCATE {s}.embeddings")
        n_dims = f"({engine[1]})" if engine else ""
        self.run(f"ALTER TABLE {{s}}.embeddings ALTER COLUMN vector TYPE {self._halfvec()}{n_dims}")
        self.run("UPDATE {s}.publication SET engine_id = %s, is_whole = FALSE", [engine[0] if engine else None])
        self.load_again(["embeddings"])

    def _halfvec(self) -> str:
        return f"{quoted(self._vector_schema())}.halfvec"

    def _make_table(self, table: ReaderTable) -> None:
        kinds = {name: kind.replace("{halfvec}", self._halfvec()) for name, (kind, _) in table.columns.items()}
        columns = [f"{quoted(name)} {kind}" for name, kind in kinds.items()]
        columns.append(f"PRIMARY KEY ({', '.join(map(quoted, table.primary))})")
        self.run(f"CREATE TABLE {{s}}.{table.name} ({', '.join(columns)})")
        self.run(f"REVOKE ALL ON {{s}}.{table.name} FROM PUBLIC")
        self._comment(f"TABLE {{s}}.{table.name}", table.comment)
        for name, (_, comment) in table.columns.items():
            if comment:
                self._comment(f"COLUMN {{s}}.{table.name}.{quoted(name)}", comment)

    def _comment(self, what: str, comment: str) -> None:
        # (COMMENT takes no parameters)
        self.run(f"COMMENT ON {what} IS '" + comment.replace("'", "''") + "'")

    def _vector_schema(self) -> str:
        schema = have_vector(self._connection, self._address, may_make=True)
        if not self._is_path_set:
            # For the operators of vectors; all else is named with its schema.
            self._search_in(quoted(str(schema)))
            self._is_path_set = True
        return str(schema)

    def begin(self, token: str, *, is_afresh: bool = False) -> None:
        """From now on the state has this name; `is_afresh`: all rows are sent again, to be compared."""
        self.run("UPDATE {s}.publication SET token = %s, is_whole = is_whole AND NOT %s", [token, is_afresh])
        if is_afresh:
            self.load_again(TABLES)

    def drop(self) -> bool:
        """Drop what is facewatch's, and the schema where nothing is left in it; whether there was anything."""
        names = self._names()
        for name in VIEWS.keys() & names:
            self.run(f"DROP VIEW {{s}}.{name}")
        for name in {*TABLES, PUBLICATION.name, LOADING.name} & names:
            self.run(f"DROP TABLE {{s}}.{name}")
        return bool(names)

    def drop_schema(self) -> None:
        """Drop the schema, unless somebody keeps something of his own in it."""
        if not self._names():
            self.run("DROP SCHEMA IF EXISTS {s}")

    # --- what has been sent as a whole ---

    def load_again(self, names: Iterable[str]) -> None:
        for name in names:
            self.run(
                "INSERT INTO {s}.loading VALUES (%s, 0, FALSE)"
                " ON CONFLICT (name) DO UPDATE SET key = 0, is_done = FALSE",
                [name],
            )

    def loading(self) -> dict[str, int]:
        """Return the tables that have not been sent as a whole, each with the last key that is there."""
        return dict(self.run("SELECT name, key FROM {s}.loading WHERE NOT is_done").fetchall())

    def finish(self, token: str, published_at: str, journal_id: int, program: str) -> None:
        """The copy is whole, as of this moment."""
        self.run(
            "UPDATE {s}.publication SET token = %s, is_whole = TRUE, published_at = %s, journal_id = %s, program = %s",
            [token, published_at, journal_id, program],
        )

    # --- rights ---

    def allow(self, role: str) -> Rights:
        """Let a role read, made where there is none."""
        import psycopg

        if not self.run("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            try:
                self.run(f"CREATE ROLE {quoted(role)} NOLOGIN")
            except psycopg.errors.DuplicateObject:
                pass
            except psycopg.errors.InsufficientPrivilege:
                return Rights.NO_ROLE
        readable = [*TABLES, PUBLICATION.name, *VIEWS]
        if not self._may_read(role, readable):
            self.run(f"GRANT USAGE ON SCHEMA {{s}} TO {quoted(role)}")
            self.run(f"GRANT SELECT ON {', '.join(f'{{s}}.{name}' for name in readable)} TO {quoted(role)}")
        return Rights.GIVEN

    def _may_read(self, role: str, names: Sequence[str]) -> bool:
        row = self.run(
            "SELECT has_schema_privilege(%s, to_regnamespace(%s), 'USAGE') AND (SELECT bool_and(has_table_privilege(%s,"
            " oid, 'SELECT')) FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY(%s))",
            [role, quoted(self.schema), role, quoted(self.schema), list(names)],
        ).fetchone()
        return row == (True,)

    # --- indexes ---

    def has_nearest(self) -> bool:
        """Whether the nearest faces are found by an index."""
        row = self.run("SELECT to_regclass(%s) IS NOT NULL", [f"{quoted(self.schema)}.{NEAREST}"]).fetchone()
        return row == (True,)

    def drop_nearest(self) -> None:
        self.run(f"DROP INDEX IF EXISTS {{s}}.{NEAREST}")

    def make_indexes(self) -> None:
        """Make the small indexes that are not there, and count what the planner goes by."""
        for table in TABLES.values():
            for column in table.indexes:
                self.run(f"CREATE INDEX IF NOT EXISTS {table.name}_{column} ON {{s}}.{table.name} ({quoted(column)})")
            self.run(f"ANALYZE {{s}}.{table.name}")

    def make_nearest(self, n_dims: int, report: Report) -> bool:
        """Make the index of nearest faces where there is none, by as many processes as the server lends; whether one
        was made."""
        import psycopg

        if self.has_nearest():
            return False
        (n_faces,) = self.run("SELECT COUNT(*) FROM {s}.embeddings").fetchone() or (0,)
        self._give_memory(n_faces * (2 * n_dims + _BYTES_BESIDE_A_VECTOR))
        try:
            self._make_nearest(n_faces, report)
        except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
            # A container lends little memory that processes share (--shm-size): one alone needs none.
            self.run("SET max_parallel_maintenance_workers = 0")
            self._make_nearest(n_faces, report)
        return True

    def _give_memory(self, n_bytes: int) -> None:
        """Let the index be made in memory, if it is not far too large: outside of it that takes ten times as long."""
        wanted_mb = min(n_bytes // _MB + 64, _MOST_FOR_INDEX_MB)
        self.run(
            "SELECT set_config('maintenance_work_mem', %s, false) WHERE"
            " pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes(%s)",
            [f"{wanted_mb}MB", f"{wanted_mb}MB"],
        )

    def _make_nearest(self, n_faces: int, report: Report) -> None:
        sql = self.sql(
            f"CREATE INDEX {NEAREST} ON {{s}}.embeddings USING hnsw (vector {{v}}.halfvec_l2_ops)"
            f" WITH (ef_construction = {_BREADTH})"
        )
        self._run_slowly(sql.replace(b"{v}", quoted(self._vector_schema()).encode()), n_faces, report)

    def _run_slowly(self, sql: bytes, n_rows: int, report: Report) -> None:
        """Execute what takes minutes, and report how far it is, as another connection sees it."""
        import psycopg

        ours = self._connection.pgconn
        with ExitStack() as ending:
            try:
                other = ending.enter_context(psycopg.connect(**self._address.options, autocommit=True))
            except psycopg.OperationalError:  # perhaps it was the last one that the server had
                other = None
            ours.send_query(sql)
            ending.callback(lambda: ours.get_cancel().cancel() if ours.is_busy() else None)
            while ours.is_busy():
                if select.select([ours.socket], [], [], _LOOK_SECONDS)[0]:
                    ours.consume_input()
                if other and (row := other.execute(_HOW_FAR, [self._connection.info.backend_pid]).fetchone()):
                    report(Progress(min(row[0], n_rows), n_rows, "", stage="index"))
        self._take_results()

    def _take_results(self) -> None:
        """Raise what the statement ended with."""
        import psycopg
        from psycopg import pq

        ours = self._connection.pgconn
        while result := ours.get_result():
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise psycopg.errors.error_from_result(result)
