"""A copy of the catalog in PostgreSQL: what readers find there is what the catalog holds, whatever happened before."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import browsers
import documents
import numpy as np
import postgres
import pytest
from drawn import Library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules import Seen, new_world
from test_rules import ARRIVALS, COMINGS_AND_GOINGS, DECISIONS, RUNS, UNDOING, Ruled

from facewatch.catalog import Catalog
from facewatch.catalog.published import PUBLISHED
from facewatch.errors import PublishError
from facewatch.presentation.corrections import said_on_page
from facewatch.publish.address import read_address
from facewatch.publish.copy import Copy
from facewatch.publish.publisher import Publisher, Sizes, Way
from facewatch.publish.server import connect, have_vector
from facewatch.publish.tables import LOADING, NEAREST, PUBLICATION, TABLES, VIEWS
from facewatch.types import Progress

SMALL = Sizes(keys_a_batch=2, few=3)
"""So that what is little here takes as many steps as what is much."""


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    try:
        with postgres.running() as server:
            yield server
    except postgres.NoPostgres as error:
        browsers.lacks(str(error))


_numbers = itertools.count()


@pytest.fixture
def database(server: postgres.Server) -> Iterator[str]:
    """The name of an empty database; one serves all tests, because to make one takes 0.2 s."""
    if not server.run("SELECT 1 FROM pg_database WHERE datname = 'readers'"):
        server.run("CREATE DATABASE readers")
    yield "readers"
    server.run("ALTER DATABASE readers RESET ALL")
    server.run("DROP EXTENSION IF EXISTS vector CASCADE", "readers")
    own = "nspname !~ '^pg_' AND nspname != 'information_schema'"
    for (schema,) in server.run(f"SELECT quote_ident(nspname) FROM pg_namespace WHERE {own}", "readers"):
        server.run(f"DROP SCHEMA {schema} CASCADE", "readers")
    server.run("CREATE SCHEMA public", "readers")
    server.run("GRANT USAGE ON SCHEMA public TO PUBLIC", "readers")


@pytest.fixture
def url(server: postgres.Server, database: str) -> str:
    return server.url(database)


@pytest.fixture
def ask(server: postgres.Server, database: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Ask the database something, as its owner."""
    return lambda sql: server.run(sql, database)


@pytest.fixture
def somebody(server: postgres.Server) -> Iterator[str]:
    """A user of the server who may connect, and nothing else."""
    name = f"somebody{next(_numbers)}"
    server.run(f"CREATE ROLE {name} LOGIN")
    yield name
    for (database,) in server.run("SELECT datname FROM pg_database WHERE datallowconn AND datname != 'template1'"):
        server.run(f"DROP OWNED BY {name} CASCADE", database)
    server.run(f"DROP ROLE {name}")


def publisher(catalog: Catalog, url: str, schema: str = "facewatch", **settings: Any) -> Publisher:
    return Publisher(catalog, read_address(url), schema, program="test", **{"sizes": SMALL} | settings)


# --- what readers find, and what the catalog holds ---


def held(catalog: Catalog) -> dict[str, set[tuple[Any, ...]]]:
    """Return what of a catalog readers should find, as PostgreSQL has it."""
    found = {}
    for table in PUBLISHED:
        kinds = [TABLES[table.name].columns[name][0] for name in table.columns]
        rows = catalog.published.after(table, 0, 10**9)[1]
        found[table.name] = {tuple(map(as_read, kinds, row)) for row in rows}
    return found


def as_read(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind.startswith("boolean"):
        return bool(value)
    if kind.startswith("timestamptz"):
        return datetime.fromisoformat(value).astimezone(UTC)
    if kind.startswith("timestamp"):
        return datetime.fromisoformat(value)
    if kind.startswith("{halfvec}"):
        return tuple(np.frombuffer(value, "<f4").astype(np.float16).tolist())
    return value


def there(server: postgres.Server, database: str, schema: str = "facewatch") -> dict[str, set[tuple[Any, ...]]]:
    """Return what readers find."""
    found = {}
    with server.connected(database) as connection:
        connection.execute("SET timezone = 'UTC'")
        for table in PUBLISHED:
            columns = ", ".join("vector::real[]" if name == "vector" else name for name in table.columns)
            rows = connection.execute(f'SELECT {columns} FROM "{schema}".{table.name}'.encode()).fetchall()
            # (what PostgreSQL writes is the shortest number that stands for its own)
            found[table.name] = {
                tuple(tuple(np.float16(v).tolist()) if isinstance(v, list) else v for v in row) for row in rows
            }
            assert len(rows) == len(found[table.name])
    return found


VIEWED = {
    "people_view": "SELECT id, name, is_named, is_hidden, faces, photos, born, folder FROM {}people_view",
    "faces_view": (
        "SELECT id, path, photo_id, person_id, name, x, y, w, h, turn, distance, source, rule, score, sharpness,"
        " brightness, pose, quality, tier, engine, is_drawn FROM {}faces_view{}"
    ),
    "photos_view": "SELECT id, path, photo_id, width, height, format, fault, advice FROM {}photos_view",
}
FORGOTTEN = " WHERE id NOT IN (SELECT face_id FROM marks WHERE mark = 'forgotten')"
"""Of a forgotten person's faces the catalog keeps that they are there."""


def views_of(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted(catalog._db.execute(query.format("", FORGOTTEN)).fetchall(), key=repr)
        for name, query in VIEWED.items()
    }


def views_there(server: postgres.Server, database: str, schema: str = "facewatch") -> dict[str, list[tuple[Any, ...]]]:
    as_sqlite = [(name, server.run(query.format(f'"{schema}".', ""), database)) for name, query in VIEWED.items()]
    return {
        name: sorted((tuple(int(v) if isinstance(v, bool) else v for v in row) for row in rows), key=repr)
        for name, rows in as_sqlite
    }


def check_same(catalog: Catalog, server: postgres.Server, database: str, schema: str = "facewatch") -> None:
    assert there(server, database, schema) == held(catalog)
    assert views_there(server, database, schema) == views_of(catalog)


def test_readers_find_what_the_catalog_holds(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    run("present", "Anna", "g.png")
    answer = run("publish", url)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{url}, schema facewatch: 43 rows written, 0 removed, in ")
    with Catalog(family.catalog) as catalog:
        check_same(catalog, server, database)
        assert len(held(catalog)["embeddings"]) == 8


def test_what_tables_and_columns_mean_stands_beside_them(family: Library, run: Any, url: str, ask: Any) -> None:
    run("publish", url)
    said = {
        name: (obj, col)
        for name, obj, col in ask(
            "SELECT c.relname || COALESCE('.' || a.attname, ''), obj_description(c.oid),"
            " col_description(c.oid, a.attnum)"
            " FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
            " WHERE c.relnamespace = 'facewatch'::regnamespace AND c.relkind IN ('r', 'v')"
        )
    }
    for table in (*TABLES.values(), PUBLICATION, LOADING):
        for column, (_, comment) in table.columns.items():
            assert said[f"{table.name}.{column}"] == (table.comment, comment or None)
    for view, (comment, _) in VIEWS.items():
        assert said[f"{view}.id"][0] == comment


def test_columns_are_those_that_the_catalog_gives() -> None:
    assert [table.name for table in PUBLISHED] == list(TABLES)
    for table in PUBLISHED:
        assert table.columns == tuple(TABLES[table.name].columns)
        assert table.key in TABLES[table.name].primary


def test_only_what_has_changed_is_sent_again(family: Library, run: Any, url: str) -> None:
    run("publish", url)
    assert ": as the catalog is in " in run("publish", url).out
    run("rename", "p3", "Carl")
    facts = json.loads(run("publish", url, "--json").out)
    assert (facts["way"], facts["written"]) == ("changes", {"people": 1})
    family.draw("h.png", (1, 3))
    family.scan()
    facts = json.loads(run("publish", url, "--json").out)
    assert facts["written"] == {"photos": 1, "files": 1, "faces": 1, "assignments": 1, "embeddings": 1}
    assert not facts["is_index_made"]
    assert facts["may_readers_read"]


def test_when_it_was_published_stands_there(family: Library, run: Any, url: str, ask: Any) -> None:
    facts = json.loads(run("publish", url, "--json").out)
    [row] = ask("SELECT version, library_id, is_whole, published_at, journal_id FROM facewatch.publication")
    with Catalog(family.catalog) as catalog:
        assert row[:3] == (1, catalog.library_id, True)
        assert row[3] == datetime.fromisoformat(facts["published_at"])
        assert row[4] == facts["journal_id"] == catalog.journal.newest()


# --- who is forgotten is gone ---


def texts_there(server: postgres.Server, database: str) -> str:
    """Return all that is written in the whole schema."""
    tables = [
        name
        for (name,) in server.run(
            "SELECT relname FROM pg_class WHERE relnamespace = 'facewatch'::regnamespace AND relkind = 'r'", database
        )
    ]
    return "\n".join(
        str(row) for table in tables for row in server.run(f"SELECT t::text FROM facewatch.{table} t", database)
    )


def test_who_is_forgotten_is_gone_with_the_next_publish_and_until_then_that_is_said(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    assert "copy" not in run("forget", "p3", "--yes").out
    run("publish", url)
    assert "Anna" in texts_there(server, database)
    answer = run("forget", "Anna", "--yes")
    assert "Anna is forgotten, with 2 faces" in answer.out
    assert f"({url}, schema facewatch) still holds them until the next `facewatch publish" in answer.out
    facts = json.loads(run("publish", url, "--json").out)
    assert facts["removed"] == {"people": 1, "faces": 2, "assignments": 2, "embeddings": 2}
    assert "Anna" not in texts_there(server, database)
    with Catalog(family.catalog) as catalog:
        check_same(catalog, server, database)


def test_the_page_says_it_too(family: Library, run: Any, url: str) -> None:
    run("publish", url)
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            made = decisions.forget("Anna")
        said = said_on_page(app.catalog, made)
    assert said == (
        f"Anna is forgotten, with 2 faces; {url}, schema facewatch: still there until it is published again"
    )


def test_whoever_comes_back_by_undo_comes_back_there(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    run("publish", url)
    run("forget", "Anna", "--yes")
    run("publish", url)
    run("undo")
    run("publish", url)
    assert "Anna" in texts_there(server, database)
    with Catalog(family.catalog) as catalog:
        check_same(catalog, server, database)


# --- the law ---


ACTIONS = st.one_of(ARRIVALS, COMINGS_AND_GOINGS, RUNS, DECISIONS, DECISIONS, UNDOING)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("do"), ACTIONS),
        st.tuples(st.just("do"), ACTIONS),
        st.tuples(st.just("publish"), st.lists(ACTIONS, max_size=2), st.sampled_from([None, None, 0, 1, 3, 7])),
    ),
    min_size=2,
    max_size=14,
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_after_a_publish_the_copy_is_the_catalog_whatever_was_done_and_cut_before(
    server: postgres.Server, steps: list[tuple[Any, ...]]
) -> None:
    schema = f"law{next(_numbers)}"
    with new_world() as world:
        ruled = Ruled(world)
        ruled.do(("arrive", [([Seen(1, 1), Seen(2, 2)], "")]))
        ruled.do(("scan",))
        for step in steps:
            if step[0] == "do":
                ruled.do(step[1])
            else:
                publish_amid(ruled, server, schema, step[1], cut_at=step[2])
        way = publisher(world.app.catalog, server.url(), schema).plan().way
        publisher(world.app.catalog, server.url(), schema).run()
        assert (way is Way.ALL) == ("publish" not in {step[0] for step in steps})
        assert way is not Way.COMPARED
        check_same(world.app.catalog, server, "postgres", schema)
        publisher(world.app.catalog, server.url(), schema).drop()


def publish_amid(ruled: Ruled, server: postgres.Server, schema: str, actions: list[Any], *, cut_at: int | None) -> None:
    """Publish while another process does this, and lose the connection at the n-th time that progress is reported."""
    waiting, numbers = list(actions), itertools.count()
    own = Catalog(ruled.world.app.catalog.path)

    def report(progress: Progress) -> None:
        assert not own._db.conn.in_transaction, "nobody waits for the network"
        if waiting:
            ruled.do(waiting.pop(0))
        if next(numbers) == cut_at:
            disconnect(server, "postgres")

    with own, suppress(PublishError):
        publisher(own, server.url(), schema).run(report=report)
    for action in waiting:
        ruled.do(action)


def disconnect(server: postgres.Server, database: str) -> None:
    """End the connections of whoever publishes into this database."""
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'facewatch publish'"
        f" AND datname = '{database}' AND pid != pg_backend_pid()"
    )


COLUMNS = [
    (table, column)
    for table, columns in {
        "roots": "display",
        "engines": "name licence",
        "photos": "sha256 width height format taken_at is_reference added_at",
        "files": "display size photo_id fault advice root_id",
        "people": "name is_hidden born folder cover_id created_at merged_into is_gone",
        "faces": "photo_id engine_id x y w h turn score sharpness brightness pose quality tier covered is_drawn"
        " is_current",
        "assignments": "person_id source distance centroid_distance runner_up_id runner_up_distance rule at face_id",
        "presences": "person_id photo_id at",
        "embeddings": "vector face_id",
        "marks": "mark face_id",
    }.items()
    for column in columns.split()
]


def test_whatever_column_changes_is_noted(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    """Also where no part of facewatch changes it alone today."""
    run("present", "Anna", "g.png")
    run("forget", "p3", "--yes")
    with Catalog(family.catalog) as catalog:
        named = {column for table in PUBLISHED for column in (f"{table.name}.{name}" for name in table.columns)}
        assert named - {f"{t}.{c}".replace("display", "path") for t, c in COLUMNS} == {
            *(f"{t}.id" for t in ("roots", "engines", "photos", "files", "people", "faces")),
            *("engines.n_dims", "engines.is_in_use"),
        }
        publisher(catalog, url).run()
        catalog._db.execute("PRAGMA foreign_keys = OFF")
        for table, column in COLUMNS:
            change_one(catalog, table, column)
            assert publisher(catalog, url).run().way is Way.CHANGES
            assert there(server, database) == held(catalog), f"{table}.{column}"


OTHER = {
    **{name: "'2021-02-03T04:05:06'" for name in ("taken_at", "added_at", "created_at", "at")},
    **{name: "'7'" for name in ("display", "name", "licence", "format", "fault", "advice", "born", "folder", "rule")},
    **{"covered": "'eyes'", "source": "'import'", "tier": "'show'", "mark": "'nobody'", "sha256": "x'77'"},
    **{name: "77.5" for name in ("score", "sharpness", "brightness", "pose", "quality")},
    **{name: "0.775" for name in ("distance", "centroid_distance", "runner_up_distance")},
    "vector": "(SELECT vector FROM embeddings ORDER BY face_id DESC LIMIT 1)",
    **{name: f"1 - {name}" for name in ("is_hidden", "is_reference", "is_drawn", "is_current", "is_gone")},
}


def change_one(catalog: Catalog, table: str, column: str) -> None:
    """Give the first row another value in one column."""
    value = OTHER.get(column, "77")
    with catalog.write():
        changed = catalog._db.execute(
            f"UPDATE {table} SET {column} = {value} WHERE ({column} IS NOT {value}) AND rowid ="
            f" (SELECT MIN(rowid) FROM {table} WHERE {column} IS NOT {value})"
            if table != "presences"
            else f"UPDATE {table} SET {column} = {value}"
        )
        assert changed.rowcount == 1, f"{table}.{column}"


# --- cut, restored, shared ---


def test_a_first_publish_that_is_cut_goes_on_where_it_was(
    family: Library, server: postgres.Server, database: str, url: str
) -> None:
    sent: list[str] = []

    def cut(progress: Progress) -> None:
        sent.append(progress.note)
        if progress.note == "faces":
            disconnect(server, database)

    with Catalog(family.catalog) as catalog:
        with pytest.raises(PublishError, match="the connection ended") as raised:
            publisher(catalog, url).run(report=cut)
        assert "publish again, and it goes on" in str(raised.value)
        [(is_whole, n_photos)] = server.run(
            "SELECT is_whole, (SELECT COUNT(*) FROM facewatch.photos) FROM facewatch.publication", database
        )
        assert (is_whole, n_photos) == (False, 7)
        plan = publisher(catalog, url).plan()
        assert (plan.way, plan.rows.get("photos")) == (Way.CONTINUED, None)
        done = publisher(catalog, url).run()
        assert done.way is Way.CONTINUED
        assert "photos" not in done.written
        assert done.written["faces"] == 8 - 2  # a batch was there
        assert done.is_index_made
        check_same(catalog, server, database)


def test_a_publish_whose_end_was_not_recorded_is_known(family: Library, url: str) -> None:
    """The server has committed, and the machine went off before the catalog did."""
    with Catalog(family.catalog) as catalog:
        publisher(catalog, url).run()
        with catalog.write():
            catalog.published.begin(url, "facewatch", token="begun", known=catalog.published.targets()[0].tokens[0])
            catalog._db.execute("UPDATE targets SET next_token = token, token = 'before'")
        assert publisher(catalog, url).run().way is Way.CHANGES


def test_after_a_restore_all_is_compared_and_only_what_differs_written(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    run("publish", url)
    run("backup", str(family.base / "backup.sqlite"))
    run("rename", "p3", "Carl")
    run("forget", "Anna", "--yes")
    run("publish", url)
    run("restore", str(family.base / "backup.sqlite"), "--yes")
    answer = run("publish", url, "--dry-run")
    assert "all is compared" in answer.out
    facts = json.loads(run("publish", url, "--json").out)
    assert facts["way"] == "compared"
    assert {name: n for name, n in facts["written"].items() if n} == {
        **{"people": 2, "faces": 2, "assignments": 2, "embeddings": 2}
    }
    assert not facts["is_index_made"]
    with Catalog(family.catalog) as catalog:
        check_same(catalog, server, database)


def test_rows_that_nobody_should_have_put_there_go_when_all_is_compared(
    family: Library, server: postgres.Server, database: str, url: str
) -> None:
    with Catalog(family.catalog) as catalog:
        publisher(catalog, url).run()
        for key in (77, 99):
            server.run(f"INSERT INTO facewatch.presences VALUES (1, {key}, now())", database)
        server.run("DELETE FROM facewatch.faces WHERE id = 2", database)
        with catalog.write():
            catalog.published.remove(url, "facewatch")
        done = publisher(catalog, url).run()
        assert (done.way, done.removed["presences"], done.written["faces"]) == (Way.COMPARED, 2, 1)
        check_same(catalog, server, database)


def test_another_engine_gets_a_table_of_its_own_dimensions(server: postgres.Server, database: str, url: str) -> None:
    with new_world() as world:
        ruled = Ruled(world)
        ruled.do(("arrive", [([Seen(1, 1), Seen(2, 1)], "")]))
        ruled.do(("scan",))
        publisher(world.app.catalog, url).run()
        before = there(server, database)["embeddings"]
        ruled.do(("change_engine",))
        ruled.do(("scan",))
        done = publisher(world.app.catalog, url).run()
        assert (done.way, done.is_index_made) == (Way.CHANGES, True)
        assert there(server, database)["embeddings"].isdisjoint(before)
        check_same(world.app.catalog, server, database)


def test_who_may_read_may_so_after_a_change_of_the_engine(
    server: postgres.Server, database: str, url: str, somebody: str
) -> None:
    with new_world() as world:
        ruled = Ruled(world)
        ruled.do(("arrive", [([Seen(1, 1), Seen(2, 1)], "")]))
        ruled.do(("scan",))
        publisher(world.app.catalog, url).run()
        server.run(f"GRANT USAGE ON SCHEMA facewatch TO {somebody}", database)
        server.run(f"GRANT SELECT ON facewatch.embeddings TO {somebody}", database)
        server.run("CREATE VIEW mine AS SELECT vector FROM facewatch.embeddings", database)
        ruled.do(("change_engine",))
        ruled.do(("scan",))
        with pytest.raises(PublishError, match="somebody made views of the copy; drop them there, publish"):
            publisher(world.app.catalog, url).run()
        server.run("DROP VIEW mine", database)
        publisher(world.app.catalog, url).run()
        check_same(world.app.catalog, server, database)
    with server.connected(database, somebody) as connection:
        assert len(connection.execute("SELECT vector FROM facewatch.embeddings").fetchall()) == 2


def test_limits_of_a_server_and_the_place_of_its_pgvector_are_no_matter(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    server.run("CREATE SCHEMA extensions", database)
    server.run("CREATE EXTENSION vector SCHEMA extensions", database)
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")
    for limit in limits:
        server.run(f"ALTER DATABASE {database} SET {limit} = '10min'")
    with closing(connect(read_address(url))) as connection:
        shown = [connection.execute(f"SHOW {limit}".encode()).fetchone() for limit in limits]
    assert shown == [("0",)] * 3
    assert run("publish", url).code == 0
    run("forget", "Anna", "--yes")
    assert run("publish", url).code == 0
    with Catalog(family.catalog) as catalog:
        check_same(catalog, server, database)


def test_a_catalog_without_an_engine_is_published(
    tmp_path: Path, server: postgres.Server, database: str, url: str
) -> None:
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        assert publisher(catalog, url).run().written == dict.fromkeys(TABLES, 0)
        check_same(catalog, server, database)


def test_rebuild_drops_what_is_there_and_sends_all(family: Library, run: Any, url: str, ask: Any) -> None:
    run("publish", url)
    ask("UPDATE facewatch.people SET name = 'wrong'")
    assert "the copy is dropped, and all is sent again" in run("publish", url, "--rebuild", "--dry-run").out
    facts = json.loads(run("publish", url, "--rebuild", "--json").out)
    assert (facts["way"], facts["written"]["people"], facts["is_index_made"]) == ("rebuilt", 3, True)
    assert ask("SELECT name FROM facewatch.people ORDER BY id") == [("Anna",), ("Ben",), (None,)]


def test_drop_takes_all_away_and_forgets_the_place(family: Library, run: Any, url: str, ask: Any) -> None:
    run("publish", url)
    assert run("publish", "--drop", "--yes").out == f"{url}, schema facewatch: dropped\n"
    assert ask("SELECT to_regnamespace('facewatch') IS NULL") == [(True,)]
    assert "copy" not in run("forget", "Anna", "--yes").out
    assert run("publish", url, "--drop", "--yes").out == f"{url}, schema facewatch: there was no copy\n"


def test_what_others_keep_in_the_schema_stays_when_the_copy_is_dropped(
    family: Library, run: Any, url: str, ask: Any
) -> None:
    run("publish", url)
    ask("CREATE TABLE facewatch.notes AS SELECT 1 AS one")
    assert run("publish", "--drop", "--yes").code == 0
    assert ask("SELECT * FROM facewatch.notes") == [(1,)]


def test_a_dry_run_changes_nothing_anywhere(family: Library, run: Any, url: str, ask: Any) -> None:
    answer = run("publish", url, "--dry-run")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"{url}, schema facewatch: there is no copy yet: all is sent",
        *("  roots: 1 row", "  engines: 1 row", "  photos: 7 rows", "  files: 7 rows", "  people: 3 rows"),
        *("  faces: 8 rows", "  assignments: 7 rows", "  embeddings: 8 rows", "42 rows would be sent"),
    ]
    assert ask(
        "SELECT to_regnamespace('facewatch') IS NULL, NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector')"
    ) == [(True, True)]
    with Catalog(family.catalog) as catalog:
        assert catalog.published.targets() == []
    run("publish", url)
    run("rename", "Anna", "Anne")
    assert json.loads(run("publish", "--dry-run", "--json").out) == {
        **{"address": url, "schema": "facewatch", "way": "changes", "rows": {"people": 1}}
    }


def test_without_an_address_the_one_on_record_is_meant(family: Library, run: Any, url: str) -> None:
    answer = run("publish")
    assert (answer.code, "name one: facewatch publish postgresql://" in answer.err) == (2, True)
    run("publish", url)
    assert run("publish").out.startswith(f"{url}, schema facewatch: as the catalog is")
    run("publish", url, "--schema", "Other one")
    answer = run("publish")
    assert answer.code == 2
    assert f"facewatch publish '{url}' --schema 'Other one'" in " ".join(answer.err.split())
    assert run("publish", "--schema", "Other one").code == 0
    assert "no longer on record" in run("publish", url, "--strike").out
    assert run("publish").out.startswith(f"{url}, schema Other one: as the catalog is")


def test_what_no_copy_waits_for_is_noted_no_longer(family: Library, run: Any, url: str) -> None:
    def n_notes() -> int:
        with closing(sqlite3.connect(family.catalog)) as db:
            return int(db.execute("SELECT COUNT(*) FROM unpublished").fetchone()[0])

    run("rename", "Anna", "Anne")
    assert n_notes() == 0
    run("publish", url)
    run("rename", "Anne", "Anna")
    assert n_notes() > 0
    run("publish", url)
    assert n_notes() == 0
    run("rename", "Anna", "Anne")
    run("publish", url, "--strike")
    assert n_notes() == 0


# --- who may read ---


def test_readers_read_and_change_nothing(
    family: Library, run: Any, server: postgres.Server, database: str, url: str, somebody: str
) -> None:
    import psycopg

    role = f"reader{next(_numbers)}"
    run("publish", url, "--reader", role)
    with server.connected(database, somebody) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM facewatch.people_view")
        server.run(f'GRANT "{role}" TO {somebody}')
        assert len(connection.execute("SELECT * FROM facewatch.people_view").fetchall()) == 3
        assert len(connection.execute("SELECT * FROM facewatch.embeddings").fetchall()) == 8
        for forbidden in (
            "DELETE FROM facewatch.people",
            "INSERT INTO facewatch.presences VALUES (1, 1, now())",
            "CREATE TABLE facewatch.mine (one integer)",
            "TRUNCATE facewatch.embeddings",
            "SELECT * FROM facewatch.loading",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
    run("publish", url, "--reader", role, "--rebuild")
    with server.connected(database, somebody) as connection:
        assert len(connection.execute("SELECT * FROM facewatch.faces_view").fetchall()) == 8
    run("publish", url, "--drop", "--yes")
    server.run(f'DROP ROLE "{role}"')


def test_who_may_make_no_role_publishes_and_is_told_the_step(
    family: Library, run: Any, server: postgres.Server, database: str, somebody: str
) -> None:
    server.run("CREATE EXTENSION vector", database)
    server.run(f"GRANT CREATE ON DATABASE {database} TO {somebody}")
    address, role = server.url(database, somebody), f"reader{next(_numbers)}"
    answer = run("publish", address, "--reader", role)
    assert answer.code == 0, answer.err
    assert f"CREATE ROLE {role} NOLOGIN" in answer.out
    server.run(f"CREATE ROLE {role} NOLOGIN")
    assert "CREATE ROLE" not in run("publish", "--reader", role).out
    assert server.run(f"SELECT has_table_privilege('{role}', 'facewatch.faces', 'SELECT')", database) == [(True,)]
    assert run("publish", "--drop", "--yes").code == 0
    server.run(f"DROP ROLE {role}")


# --- what is wrong, and what to do ---


def refused(run: Any, *arguments: str) -> str:
    """Return what is said when a publish is refused."""
    answer = run("publish", *arguments)
    assert (answer.code, answer.out) == (11, "")
    return " ".join(answer.err.split())


def test_without_psycopg_it_is_said_how_to_get_it(family: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert '-m pip install "psycopg[binary]"' in refused(run, "postgresql://db.home/photos")


def test_a_server_that_does_not_answer_is_named_without_the_password(family: Library, run: Any, tmp_path: Path) -> None:
    for address in (f"postgresql://me:s3cret@/photos?host={tmp_path}", "postgresql://me:s3cret@127.0.0.1:1/photos"):
        said = refused(run, address)
        assert "is the server running" in said
        assert "photos" in said
        assert "s3cret" not in said
    with Catalog(family.catalog) as catalog:
        assert catalog.published.targets() == []


def test_what_is_no_address_is_not_repeated(family: Library, run: Any) -> None:
    for address in (
        *("postgresql://me:s3/cret@db:x/photos", "s3cret", "postgresql://me@db/photos?nothing=s3cret"),
        *(
            "postgresql://me:s3/cret@db/photos",
            "postgresql://me:s3@cret@db/photos",
            "postgresql://me:s3%cret@db/photos",
        ),
    ):
        said = refused(run, address)
        assert "postgresql://USER@HOST/DATABASE" in said
        assert "cret" not in said


def test_a_database_that_is_not_there(family: Library, run: Any, server: postgres.Server) -> None:
    assert 'database "nowhere" does not exist' in refused(run, server.url("nowhere"))


def test_a_database_that_cannot_hold_every_name(family: Library, run: Any, server: postgres.Server) -> None:
    server.run("CREATE DATABASE narrow ENCODING 'SQL_ASCII' TEMPLATE template0")
    assert "keeps text as SQL_ASCII" in refused(run, server.url("narrow"))
    server.run("DROP DATABASE narrow")


def test_who_may_not_add_pgvector_or_make_a_schema_is_told_who_may(
    family: Library, run: Any, server: postgres.Server, database: str, somebody: str
) -> None:
    address = server.url(database, somebody)
    assert "an administrator does: CREATE EXTENSION vector" in refused(run, address)
    server.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC", database)
    assert "an administrator does: CREATE EXTENSION vector" in refused(run, address)
    server.run("CREATE EXTENSION vector", database)
    assert "permission denied for schema public; an administrator allows it" in refused(run, address)
    with Catalog(family.catalog) as catalog:
        assert catalog.published.targets() == [], "nothing is there that somebody could be shown in"
    server.run("GRANT USAGE ON SCHEMA public TO PUBLIC", database)
    said = refused(run, address)
    assert f"permission denied for database {database}" in said
    assert f"GRANT CREATE ON DATABASE {database} TO {somebody}" in said
    server.run(f"GRANT CREATE ON DATABASE {database} TO {somebody}")
    assert run("publish", address, "--reader", "").code == 0


class FakeServer:
    """A connection to a server that has not what is needed."""

    def __init__(self, answers: list[Any], version: int = 170_004) -> None:
        self._answers = answers
        self.info = self
        self.server_version, self.user = version, "me"

    def parameter_status(self, _: str) -> str:
        return "UTF8"

    def execute(self, *_: Any) -> FakeServer:
        return self

    def fetchone(self) -> Any:
        return self._answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([None, None], "apt install postgresql-17-pgvector"),
        ([("public", "0.6.2")], "pgvector 0.6.2 is too old"),
    ],
)
def test_a_server_without_pgvector_or_with_an_old_one(answers: list[Any], said: str) -> None:
    fake: Any = FakeServer(answers)
    with pytest.raises(PublishError, match=said) as raised:
        have_vector(fake, read_address("postgresql://db.home/photos"), may_make=True)
    assert str(raised.value).startswith("postgresql://db.home/photos: ")


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (FakeServer([], version=150_009), "PostgreSQL 15 is too old; 16 or newer is needed"),
        (FakeServer([(True,)]), "a standby, which is only read"),
    ],
)
def test_a_server_that_is_too_old_or_only_read(fake: Any, said: str) -> None:
    from facewatch.publish.server import check

    with pytest.raises(PublishError, match=said):
        check(fake, read_address("postgresql://db.home/photos"))


def test_a_schema_of_something_else_is_left_alone(family: Library, run: Any, url: str, ask: Any) -> None:
    ask("CREATE SCHEMA facewatch CREATE TABLE photos (mine text)")
    for option in ([], ["--dry-run"], ["--rebuild"], ["--drop", "--yes"]):
        assert "tables that are not facewatch's; name another schema with --schema" in refused(run, url, *option)
    assert ask("SELECT * FROM facewatch.photos") == []


def test_the_copy_of_another_catalog_is_left_alone(family: Library, run: Any, url: str, tmp_path: Path) -> None:
    with Catalog(tmp_path / "other.sqlite") as other:
        publisher(other, url).run()
    for option in ([], ["--dry-run"], ["--rebuild"], ["--drop", "--yes"]):
        assert "it holds the copy of another catalog" in refused(run, url, *option)
    assert run("publish", url, "--schema", "mine").code == 0


def test_a_copy_of_another_version_is_not_written_to(family: Library, run: Any, url: str, ask: Any) -> None:
    run("publish", url)
    ask("UPDATE facewatch.publication SET version = 99")
    for option in ([], ["--rebuild"], ["--drop", "--yes"]):
        assert "published by a newer facewatch (version 99); update facewatch" in refused(run, url, *option)
    ask("UPDATE facewatch.publication SET version = 0")
    ask("ALTER TABLE facewatch.publication DROP COLUMN token")
    assert "publish with --rebuild" in refused(run, url)
    assert run("publish", url, "--rebuild").code == 0


def test_two_do_not_publish_into_one_schema_at_once(family: Library, url: str) -> None:
    with Catalog(family.catalog) as catalog:

        def publish_too(progress: Progress) -> None:
            with pytest.raises(PublishError, match="another facewatch publishes into it"):
                publisher(catalog, url, sizes=Sizes(wait_seconds=0.01)).run()

        publisher(catalog, url).run(report=publish_too)


def test_options_that_contradict_each_other(run: Any, library: Library) -> None:
    assert run("publish", "--drop", "--strike").code == 2


# --- passwords ---

WORDS = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=12)


@given(
    password=WORDS.map(lambda word: f"Q{word}Q"),
    user=WORDS,
    name=WORDS,
    host=st.sampled_from(["db.home", "::1", "/run/pg"]),
)
def test_an_address_is_the_same_without_its_password(password: str, user: str, name: str, host: str) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given_options = {"user": user, "dbname": name, "host": host, "password": password, "sslmode": "require"}
    address = read_address(make_conninfo(**given_options))
    assert password not in address.shown.replace(name, "").replace(user, "")
    del given_options["password"]
    assert conninfo_to_dict(address.shown) == given_options
    assert password not in repr(address)
    assert address.without_secrets(f"it was {password}!") == "it was ***!"


def test_no_password_is_kept_shown_or_logged(
    family: Library, run: Any, server: postgres.Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with_password = server.url(database).replace("postgres@", "postgres:s3cret@")
    outputs = [
        run("publish", with_password, "-vv"),
        run("publish", with_password, "--json"),
        run("forget", "Anna", "--yes"),
        run("status"),
        run("status", "--json"),
        run("history", "--all", "--json"),
        run("publish", "--dry-run"),
    ]
    server.run("DROP SCHEMA facewatch CASCADE", database)
    ask_in_vain = run("publish", with_password, "--schema", "pg_mine")
    assert ask_in_vain.code == 11
    for answer in (*outputs, ask_in_vain):
        assert "s3cret" not in answer.out + answer.err
    assert "s3cret" not in caplog.text
    for file in filter(Path.is_file, family.catalog.parent.rglob("*")):
        assert b"s3cret" not in file.read_bytes()


def test_a_service_of_libpq_is_an_address(family: Library, run: Any, server: postgres.Server, database: str) -> None:
    services = family.base / "services.conf"
    services.write_text(f"[faces]\nhost={server.folder}\nuser=postgres\ndbname={database}\npassword=s3cret\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGSERVICEFILE", str(services))
        answer = run("publish", "service=faces")
        assert answer.out.startswith("postgresql:///?service=faces, schema facewatch: 42 rows written")
        assert run("publish").code == 0
    assert "s3cret" not in answer.out + answer.err


# --- the documents ---

QUERIES = re.findall(r"```sql\n(SELECT .*?);\n```", documents.text_of("docs/scale.md"), re.DOTALL)


def test_the_queries_of_the_documents_work_there(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    nearest, together = QUERIES
    run("publish", url)
    with Catalog(family.catalog) as catalog:
        vectors = {
            face: np.frombuffer(v, "<f4").astype(np.float16).astype(float)
            for face, v in catalog.published.after(PUBLISHED[-1], 0, 99)[1]
        }
    rows = server.run(nearest.replace("12", "2"), database)
    assert len(rows) == 7
    assert rows[0][1:3] == ("Ben", "c.png")
    for face, _, _, distance in rows:
        assert distance == pytest.approx(np.linalg.norm(vectors[face] - vectors[2]), abs=1e-4)
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
    assert server.run(together, database) == [(f"{family.photos}/a.png",)]


def test_the_nearest_are_found_by_the_index(
    family: Library, run: Any, server: postgres.Server, database: str, url: str
) -> None:
    run("publish", url)
    with server.connected(database) as connection:
        # So few are quicker read than looked up.
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(f"EXPLAIN {QUERIES[0]}".encode()).fetchall()
    assert any(f"Index Scan using {NEAREST}" in line for (line,) in plan)


def test_a_large_index_is_made_alone_where_processes_cannot_share_so_much(
    family: Library, url: str, server: postgres.Server, database: str
) -> None:
    import psycopg

    asked = []

    class Tight(Copy):
        def _run_slowly(self, sql: bytes, n_rows: int, report: Any) -> None:
            asked.append(self.run("SHOW max_parallel_maintenance_workers").fetchone())
            if len(asked) == 1:
                raise psycopg.errors.DiskFull("could not resize shared memory segment")
            super()._run_slowly(sql, n_rows, report)

    with Catalog(family.catalog) as catalog, server.connected(database) as connection:
        publisher(catalog, url).run()
        copy = Tight(connection, read_address(url), "facewatch")
        copy.drop_nearest()
        assert copy.make_nearest(16, lambda _: None)
        assert asked == [("2",), ("0",)]
        assert copy.has_nearest()


def test_an_index_that_nobody_waits_for_any_more_is_made_no_further(
    server: postgres.Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """Ctrl-C comes while it is waited for; a signal would reach whatever the test runner is at."""

        def select(self, *_: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("facewatch.publish.copy.select", Interrupted())
    with server.connected(database) as connection:
        copy = Copy(connection, read_address(server.url(database)), "facewatch")
        with pytest.raises(KeyboardInterrupt):
            copy._run_slowly(b"SELECT pg_sleep(600)", 1, lambda _: None)
        connection.pgconn.get_result()
        while connection.pgconn.get_result():
            pass
        assert connection.execute("SELECT 1").fetchone() == (1,)
