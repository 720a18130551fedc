"""Publishing: the table of contents. No transaction of the catalog is open while anything is sent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from facewatch.catalog.published import PUBLISHED, ChangedRows, PublishedTable, Target
from facewatch.errors import PublishError
from facewatch.publish.copy import Copy, Publication, Report, Rights
from facewatch.publish.sending import EMBEDDINGS, Sender, Sent
from facewatch.publish.server import check_installed, clear_errors, connect, have_vector
from facewatch.types import Progress

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.publish.address import Address


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done at once."""

    keys_a_batch: int = 5_000
    """Rows of a transaction, or a little more: 10 MB of vectors."""
    few: int = 20_000
    """Changes that are read together, from one moment of the catalog, and sent in one transaction."""
    wait_seconds: float = 10.0
    """For somebody else who publishes into the same schema, or whose connection has just ended."""


_WORTH_A_NEW_INDEX = 0.25
"""Of all vectors: to add more of them one by one takes longer than to make the index of all again."""


class Way(StrEnum):
    """What has to be sent."""

    ALL = "all"
    """There is no copy yet."""
    REBUILT = "rebuilt"
    """All, after what was there is dropped."""
    COMPARED = "compared"
    """All, to be compared with what is there: the catalog does not know what the copy has."""
    CONTINUED = "continued"
    """What is missing of all, because the first publish was cut."""
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a publish would do."""

    way: Way
    rows: Mapping[str, int]
    """How many would be sent or compared, by table."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did."""

    way: Way
    written: Mapping[str, int]
    """Rows that were not there, or not as they are now, by table."""
    removed: Mapping[str, int]
    is_index_made: bool
    rights: Rights | None
    """None: nobody was to be given any."""
    published_at: str
    journal_id: int
    seconds: float
    index_seconds: float


@dataclass
class _Tally:
    written: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)

    def add(self, table: PublishedTable, sent: Sent) -> None:
        self.written[table.name] = self.written.get(table.name, 0) + sent.n_written
        self.removed[table.name] = self.removed.get(table.name, 0) + sent.n_removed


class Publisher:
    """Keeps a copy of the catalog in one schema of a database."""

    def __init__(
        self,
        catalog: Catalog,
        address: Address,
        schema: str,
        *,
        program: str,
        clock: Callable[[], float] = time.monotonic,
        new_token: Callable[[], str] = lambda: secrets.token_hex(8),
        sizes: Sizes | None = None,
    ) -> None:
        check_installed()
        self._catalog = catalog
        self._address = address
        self._schema = schema
        self._program = program
        self._clock = clock
        self._new_token = new_token
        self._sizes = sizes or Sizes()

    # --- what would be done ---

    def plan(self, *, is_rebuilt: bool = False) -> Plan:
        """Return what a publish would do; changes nothing anywhere.

        Raises:
            PublishError: what `run` would raise before it begins.
        """
        with self._copy() as copy:
            state = self._state(copy, is_rebuilt)
            way = self._way(state, is_rebuilt)
            loading = copy.loading() if state and way in (Way.CONTINUED, Way.CHANGES) else {}
        published = self._catalog.published
        if way in (Way.CONTINUED, Way.CHANGES):
            target = self._target()
            changed = {name: len(keys) for name, keys in published.changed(target.since if target else 0).items()}
            if state and state.engine_id != (published.engine() or (None,))[0]:
                loading[EMBEDDINGS] = 0
            whole = {table.name: published.count(table) for table in PUBLISHED if table.name in loading}
            return Plan(way, changed | whole)
        return Plan(way, {table.name: published.count(table) for table in PUBLISHED})

    @contextmanager
    def _copy(self) -> Iterator[Copy]:
        with closing(connect(self._address)) as connection, clear_errors(self._address):
            have_vector(connection, self._address, may_make=False)
            yield Copy(connection, self._address, self._schema)

    def _state(self, copy: Copy, is_rebuilt: bool) -> Publication | None:
        if not is_rebuilt:
            copy.check_version()
        return copy.publication(self._catalog.library_id)

    def _target(self) -> Target | None:
        return self._catalog.published.target(self._address.shown, self._schema)

    def _way(self, state: Publication | None, is_rebuilt: bool) -> Way:
        target = self._target()
        if is_rebuilt:
            return Way.REBUILT
        if state is None:
            return Way.ALL
        if target is None or state.token not in target.tokens:
            return Way.COMPARED
        return Way.CHANGES if state.is_whole else Way.CONTINUED

    # --- doing it ---

    def run(self, *, is_rebuilt: bool = False, reader: str = "", report: Report = lambda _: None) -> Published:
        """Bring the copy in line with the catalog; cut at any moment, the next time goes on.

        Args:
            reader: a role that may read the copy; "": nobody is given any right.

        Raises:
            PublishError: the server does not answer, cannot hold a copy, or is gone in the middle.
        """
        started = self._clock()
        with self._copy() as copy, copy.alone(self._sizes.wait_seconds):
            state = self._state(copy, is_rebuilt)
            way = self._way(state, is_rebuilt)
            copy.prepare()
            engine = self._catalog.published.engine()
            round_, since = self._begin(copy, way, state, engine)
            rights = copy.allow(reader) if reader else None
            return _Running(self, copy, way, engine, round_, since, report).finish(rights, started)

    def _begin(
        self, copy: Copy, way: Way, state: Publication | None, engine: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Begin a round, here first; return it, and the round since which changes are sent."""
        token = self._new_token()
        is_afresh = way in (Way.ALL, Way.REBUILT, Way.COMPARED)
        with self._catalog.write():
            number = self._catalog.published.begin(
                self._address.shown, self._schema, token=token, known=None if is_afresh or not state else state.token
            )
        target = self._target()
        with copy.transaction():
            if way in (Way.ALL, Way.REBUILT):
                copy.drop()
                copy.make(self._catalog.library_id, token, engine, self._program)
            else:
                copy.begin(token, is_afresh=way is Way.COMPARED)
                if state and state.engine_id != (engine[0] if engine else None):
                    copy.empty_embeddings(engine)
        return number, target.since if target else number

    def drop(self) -> bool:
        """Drop the copy, and the record of it; whether there was one."""
        with closing(connect(self._address)) as connection, clear_errors(self._address):
            copy = Copy(connection, self._address, self._schema)
            with copy.alone(self._sizes.wait_seconds):
                copy.publication(self._catalog.library_id)
                with copy.transaction():
                    was_there = copy.drop()
                    copy.drop_schema()
        with self._catalog.write():
            self._catalog.published.remove(self._address.shown, self._schema)
        return was_there


class _Running:
    """One publish that has begun."""

    def __init__(
        self,
        publisher: Publisher,
        copy: Copy,
        way: Way,
        engine: tuple[int, int] | None,
        round_: int,
        since: int,
        report: Report,
    ) -> None:
        self._catalog, self._rows = publisher._catalog, publisher._catalog.published
        self._place = publisher._address.shown, publisher._schema
        self._new_token, self._program, self._clock = publisher._new_token, publisher._program, publisher._clock
        self._sizes = publisher._sizes
        self._copy, self._way, self._round, self._since, self._report = copy, way, round_, since, report
        self._engine = engine
        self._sender = Sender(copy, self._engine[1] if self._engine else None)
        self._tally = _Tally()

    def finish(self, rights: Rights | None, started: float) -> Published:
        """Send what is missing as a whole, then what has changed since."""
        is_loaded = self._load()
        is_index_made, index_seconds = self._index(is_loaded or self._way is Way.CONTINUED)
        while many := self._many_changes():
            self._send_many(many)
            is_made, seconds = self._index(False)
            is_index_made, index_seconds = is_index_made or is_made, index_seconds + seconds
        published_at, journal_id = self._send_last()
        return Published(
            self._way,
            self._tally.written,
            self._tally.removed,
            is_index_made,
            rights,
            published_at,
            journal_id,
            self._clock() - started,
            index_seconds,
        )

    # --- all of a table ---

    def _load(self) -> bool:
        """Send the tables that are not there as a whole; whether there was one."""
        loading = self._copy.loading()
        tables = [table for table in PUBLISHED if table.name in loading]
        total, done = sum(map(self._rows.count, tables)), 0
        for table in tables:
            key = loading[table.name]
            is_new = self._sender.is_empty_behind(table, key)
            for last, rows in self._batches(table, key):
                self._catalog.make_lasting()
                with self._copy.transaction():
                    sent = (
                        self._sender.load(table, rows)
                        if is_new and last is not None
                        else self._sender.replace_range(table, key, last, rows)
                    )
                    self._record(table, key if last is None else last, is_done=last is None)
                self._tally.add(table, sent)
                key, done = key if last is None else last, done + len(rows)
                self._report(Progress(done, total, table.name, stage="sending"))
        return bool(tables)

    def _batches(self, table: PublishedTable, key: int) -> Iterator[tuple[int | None, list[tuple[object, ...]]]]:
        """Yield the last key and the rows of each batch; at the end None and no rows."""
        last: int | None = key
        while last is not None:
            last, rows = self._rows.after(table, last, self._sizes.keys_a_batch)
            yield last, rows

    def _record(self, table: PublishedTable, key: int, *, is_done: bool) -> None:
        self._copy.run("UPDATE {s}.loading SET key = %s, is_done = %s WHERE name = %s", [key, is_done, table.name])

    # --- what has changed ---

    def _many_changes(self) -> dict[str, list[int]]:
        """Begin another round and return what has changed before it, if that is much; else nothing."""
        changed = self._rows.changed(self._since)
        if sum(map(len, changed.values())) <= self._sizes.few:
            return {}
        with self._catalog.write():
            self._round = self._rows.next_round(*self._place)
        # (what has changed since it was read first is among it now)
        return self._rows.changed(self._since)

    def _send_many(self, changed: Mapping[str, list[int]]) -> None:
        total, done = sum(map(len, changed.values())), 0
        if self._engine and len(changed.get(EMBEDDINGS, ())) > _WORTH_A_NEW_INDEX * self._rows.count(
            _TABLES[EMBEDDINGS]
        ):
            self._copy.drop_nearest()
        for table in PUBLISHED:
            keys = changed.get(table.name, [])
            for start in range(0, len(keys), self._sizes.keys_a_batch):
                some = keys[start : start + self._sizes.keys_a_batch]
                rows = self._rows.rows(table, some)
                self._catalog.make_lasting()
                with self._copy.transaction():
                    self._tally.add(table, self._sender.replace_keys(table, some, rows))
                done += len(some)
                self._report(Progress(done, total, table.name, stage="sending"))
        with self._catalog.write():
            self._rows.reached(*self._place, since=self._round)
        self._since = self._round

    def _send_last(self) -> tuple[str, int]:
        """Send the last changes, of one moment, in one transaction; return that moment and its newest decision."""
        with self._catalog.read_transaction():
            published_at, journal_id = self._catalog.now(), self._catalog.journal.newest()
            changed = self._rows.changed(self._since)
            found = [
                ChangedRows(table, changed[table.name], self._rows.rows(table, changed[table.name]))
                for table in PUBLISHED
                if table.name in changed
            ]
            engine = self._rows.engine()
        if engine != self._engine:
            raise PublishError("the engine was changed in the middle: publish again, and it goes on with the new one")
        token = self._new_token()
        with self._catalog.write(is_lasting=True):
            self._rows.expect(*self._place, token=token)
        with self._copy.transaction():
            for one in found:
                self._tally.add(one.table, self._sender.replace_keys(one.table, one.keys, one.rows))
            self._copy.finish(token, published_at, journal_id, self._program)
        with self._catalog.write():
            self._rows.confirm(*self._place, since=self._round, published_at=published_at)
        return published_at, journal_id

    # --- indexes ---

    def _index(self, is_loaded: bool) -> tuple[bool, float]:
        """Make the indexes that are not there; whether the large one was made, and in how many seconds."""
        started = self._clock()
        if is_loaded:
            self._copy.make_indexes()
        is_made = self._engine is not None and self._copy.make_nearest(self._engine[1], self._report)
        return is_made, self._clock() - started


_TABLES = {table.name: table for table in PUBLISHED}
