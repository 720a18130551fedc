"""Other programs that hold the catalog's lock, drives that are away, folders that may not be read, and libraries and
people folders that were moved, renamed or begun anew."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from drawn import Library
from test_loop import Turns, heard

from facewatch.catalog import Catalog
from facewatch.catalog.locks import file_lock
from facewatch.catalog.waiting import Patience, holder_of
from facewatch.errors import BusyError
from facewatch.people import Decisions
from facewatch.service import Service, keeping
from facewatch.service.pausing import pause, resume
from facewatch.types import Progress

IMMEDIATE = ("BEGIN IMMEDIATE",)
ALONE = ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE", "UPDATE settings SET value = value")
"""What keeps readers out as well."""


class Program:
    """Another program that has the catalog open and does what it is told."""

    def __init__(self, catalog: Path) -> None:
        self._db = sqlite3.connect(catalog, isolation_level=None, check_same_thread=False)

    def hold(self, statements: tuple[str, ...] = IMMEDIATE) -> None:
        for statement in statements:
            self._db.execute(statement).fetchall()

    def let_go(self) -> None:
        self._db.close()


@contextmanager
def held(catalog: Path, statements: tuple[str, ...] = IMMEDIATE) -> Iterator[Callable[[Path], Patience]]:
    """Hold the lock until somebody has waited for it for long enough to be told so; yields with which patience."""
    program = Program(catalog)
    program.hold(statements)

    class Waiting(Patience):
        def tell(self, waited_seconds: float) -> None:
            super().tell(waited_seconds)
            program.let_go()

    yield lambda path: Waiting(path, seconds=20.0, silent_seconds=0.05)
    program.let_go()


@pytest.fixture
def family(library: Library) -> Library:
    """A library that was scanned: two people with two photos each."""
    for i in range(4):
        library.draw(f"{i}.png", (1 + i % 2, i))
    library.scan()
    return library


def decide(service: Service, decision: Callable[[Decisions], object]) -> None:
    with service.deciding() as decisions:
        decision(decisions)


WRITING: dict[str, Callable[[Service], object]] = {
    "rename": lambda service: service.rename("1", "Anna"),
    "merge": lambda service: decide(service, lambda decisions: decisions.merge("1", ["2"])),
    "hide": lambda service: decide(service, lambda decisions: decisions.hide("1")),
    "confirm": lambda service: decide(service, lambda decisions: decisions.confirm_person("1")),
    "undo": lambda service: service.undo(),
    "pause": lambda service: pause(service.catalog),
    "resume": lambda service: resume(service.catalog),
    "recluster": lambda service: service.recluster(),
    "prune": lambda service: service.prune_engines(),
    "scan": lambda service: service.scan_all(),
}


@pytest.mark.parametrize("statements", [IMMEDIATE, ALONE], ids=["writing", "alone"])
@pytest.mark.parametrize("what", WRITING)
def test_what_is_decided_while_another_program_writes_is_made_when_that_ends(
    family: Library, what: str, statements: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with family.service() as service:
        service.rename("2", "Ben")
    with held(family.catalog, statements) as patience, family.service(patience=patience) as service:
        WRITING[what](service)
    assert [m for m in caplog.messages if "waiting" in m] == [
        f"{family.catalog}: locked by another program; waiting for it, 20 seconds at most"
    ]


def test_what_only_reads_does_not_wait_for_a_program_that_writes(family: Library) -> None:
    with held(family.catalog) as patience, family.service(patience=patience) as service:
        assert service.status().n_files == 4
        assert service.find_person("1").n_photos == 2


def test_the_lock_of_a_program_that_never_ends_is_told_of_once_and_given_up(
    family: Library, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(family.catalog)
    impatient = partial(Patience, seconds=0.1, silent_seconds=0.02)
    with family.service(patience=impatient) as service:
        program.hold()
        for _ in range(2):
            with pytest.raises(BusyError, match="locked by another program; close it there"):
                service.rename("1", "Anna")
        program.let_go()
        assert len(caplog.messages) == 1
        assert service.rename("1", "Anna").person.name == "Anna"


def test_a_catalog_that_is_in_no_wal_mode_yet_waits_as_well(family: Library) -> None:
    # As one is that was copied with SQLite's own tools, or put in place by `restore`: to change that needs the lock.
    db = sqlite3.connect(family.catalog)
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    with held(family.catalog) as patience, Catalog(family.catalog, patience=patience) as catalog:
        assert catalog.check() == "ok"


def test_a_restore_waits_for_a_program_that_writes(family: Library) -> None:
    backup = family.base / "backup.sqlite"
    with family.service() as service:
        service.catalog.backup(backup)
        service.rename("1", "Anna")
    with family.service() as service:
        config = service.config
    program = Program(family.catalog)
    program.hold()
    told = []

    def report(progress: Progress) -> None:
        told.append(progress.note)
        if told.count("restoring") == 2:
            program.let_go()

    done = keeping.restore(config, backup, now=datetime.now(UTC), report=report)
    assert done.kept
    with family.service() as service:
        assert service.find_person("1").name is None


def test_it_is_known_which_program_holds_the_lock(family: Library) -> None:
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('held', flush=True); sys.stdin.read()", str(family.catalog)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()
        assert holder_of(family.catalog) in (f"{Path(sys.executable).name} (process {other.pid})", "another program")
        assert holder_of(family.base / "none.sqlite") == "another program"


def test_a_writer_that_waits_for_another_facewatch_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = iter(range(100))
    with (
        file_lock(tmp_path / "lock", wait_seconds=0, purpose="writing"),
        pytest.raises(BusyError),
        file_lock(tmp_path / "lock", wait_seconds=9, purpose="b", clock=lambda: next(ticks), sleep=lambda _: None),
    ):
        pass
    assert [m.partition("; ")[2] for m in caplog.messages] == ["waiting for it, 9 seconds at most"]


def test_a_watcher_says_that_it_works_again_when_the_lock_is_free_and_not_before(
    family: Library, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    turns = Turns(family, patience=partial(Patience, seconds=0.02, silent_seconds=0.01))
    with turns.service:
        turns.after(0.1)
        program = Program(family.catalog)
        program.hold()
        family.draw("new.png", (1, 9))
        for _ in range(60):
            turns.loop.turn({family.photos: heard("new.png")})
            turns.clock.now += 2.0
        said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
        assert "it works again" not in caplog.messages
        assert said == [
            f"{family.catalog}: locked by another program; waiting for it, 0 seconds at most",
            f"{family.catalog}: locked by another program; close it there",
        ]
        program.let_go()
        for _ in range(60):
            turns.loop.turn({})
            turns.clock.now += 2.0
        assert caplog.messages.count("it works again") == 1
        assert turns.service.catalog.files.counts()["files"] == 5
