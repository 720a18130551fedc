"""Other programs that hold the catalog's lock, drives that are away, folders that may not be read, and libraries and
people folders that were moved, renamed or begun anew."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from test_loop import Turns, heard
from users import as_a_user

from facewatch.app import App, locations_of, restore_backup
from facewatch.catalog import Catalog, pause, resume
from facewatch.catalog.opening import Patience, holder_of
from facewatch.catalog.restore import GivenUp
from facewatch.errors import BusyError, FolderError, LibraryError
from facewatch.folders.names_of_folders import FolderNames
from facewatch.folders.restore import preview
from facewatch.folders.sync import DRIVE
from facewatch.fs.locks import file_lock
from facewatch.fs.mounts import Asker
from facewatch.library.roots import N_LOGGED
from facewatch.people.corrections import Decisions
from facewatch.presentation.catalog import losses
from facewatch.reports.status import Status, exposition
from facewatch.types import Progress
from facewatch.watcher.inotify import InotifySource

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
        def log_wait(self, waited_seconds: float) -> None:
            super().log_wait(waited_seconds)
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


def decide(app: App, decision: Callable[[Decisions], object]) -> None:
    with app.corrections.deciding() as decisions:
        decision(decisions)


WRITING: dict[str, Callable[[App], object]] = {
    "rename": lambda app: app.corrections.rename("1", "Anna"),
    "merge": lambda app: decide(app, lambda decisions: decisions.merge("1", ["2"])),
    "hide": lambda app: decide(app, lambda decisions: decisions.hide("1")),
    "confirm": lambda app: decide(app, lambda decisions: decisions.confirm_person("1")),
    "undo": lambda app: app.corrections.undo(),
    "pause": lambda app: pause(app.catalog),
    "resume": lambda app: resume(app.catalog),
    "recluster": lambda app: app.grouping.recluster(),
    "prune": lambda app: app.engine.prune_others(),
    "scan": lambda app: app.pipeline.scan(),
}


@pytest.mark.parametrize("statements", [IMMEDIATE, ALONE], ids=["writing", "alone"])
@pytest.mark.parametrize("what", WRITING)
def test_what_is_decided_while_another_program_writes_is_made_when_that_ends(
    family: Library, what: str, statements: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with family.app() as app:
        app.corrections.rename("2", "Ben")
    with held(family.catalog, statements) as patience, family.app(patience=patience) as app:
        WRITING[what](app)
    assert [m for m in caplog.messages if "waiting" in m] == [
        f"{family.catalog}: locked by another program; waiting for it, 20 seconds at most"
    ]


def test_what_only_reads_does_not_wait_for_a_program_that_writes(family: Library) -> None:
    with held(family.catalog) as patience, family.app(patience=patience) as app:
        assert app.status().counts.n_files == 4
        assert app.lookup.person("1").n_photos == 2


def test_the_lock_of_a_program_that_never_ends_is_told_of_once_and_given_up(
    family: Library, caplog: pytest.LogCaptureFixture
) -> None:
    program = Program(family.catalog)
    impatient = partial(Patience, seconds=0.1, silent_seconds=0.02)
    with family.app(patience=impatient) as app:
        program.hold()
        for _ in range(2):
            with pytest.raises(BusyError, match="locked by another program; close it there"):
                app.corrections.rename("1", "Anna")
        program.let_go()
        assert len(caplog.messages) == 1
        assert app.corrections.rename("1", "Anna").person.name == "Anna"


def test_a_catalog_that_is_in_no_wal_mode_yet_waits_as_well(family: Library) -> None:
    # As one is that was copied with SQLite's own tools, or put in place by `restore`: to change that needs the lock.
    db = sqlite3.connect(family.catalog)
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    with held(family.catalog) as patience, Catalog(family.catalog, patience=patience) as catalog:
        assert catalog.check() == "ok"


def test_a_restore_waits_for_a_program_that_writes(family: Library) -> None:
    backup = family.base / "backup.sqlite"
    with family.app() as app:
        app.catalog.backup(backup)
        app.corrections.rename("1", "Anna")
    with family.app() as app:
        config = app.config
    program = Program(family.catalog)
    program.hold()
    told = []

    def report(progress: Progress) -> None:
        told.append(progress.note)
        if told.count("restoring") == 2:
            program.let_go()

    done = restore_backup(config, backup, now=datetime.now(UTC), report=report)
    assert done.kept
    with family.app() as app:
        assert app.lookup.person("1").name is None


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
    turns = Turns(family, patience=partial(Patience, seconds=0.2, silent_seconds=0.01))
    with turns.app:
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
        assert turns.app.catalog.files.counts()["files"] == 5


def test_before_a_restore_it_is_said_what_goes_and_what_comes_back(library: Library) -> None:
    for i in range(4):
        library.draw(f"{i}.png", (1 + i % 2, i))
    library.scan()
    backup = library.base / "backup.sqlite"
    with library.app() as app:
        decide(app, lambda decisions: decisions.rename("1", "Anna"))
        app.catalog.backup(backup)
        decide(app, lambda decisions: decisions.rename("1", "Hannah"))
        decide(app, lambda decisions: decisions.rename("2", "Ben"))
    library.draw_looks(3, 3, "new")
    (library.photos / "0.png").unlink()
    library.scan()
    with library.app() as app:
        config = app.config
    lost = preview(locations_of(config), backup).given_up
    assert lost == GivenUp(2, ("Ben", "Hannah"), ("Anna",), 3, 3, 1, "fake", "fake")
    assert list(losses(replace(lost, engine="new", engine_back="old"))) == [
        "2 decisions made since then are given up",
        "the names Ben, Hannah are given up",
        "the name Anna is back",
        "the engine is old again, not new",
        "3 photos that came since: found again by the next `facewatch scan`",
        "people folder: links that go: about 3; that come back: about 1",
    ]
    assert restore_backup(config, backup, now=datetime.now(UTC)).given_up == lost
    strange = make_library(library.base / "other")
    with strange.app() as app:
        config = app.config
    assert preview(locations_of(config), backup).given_up == GivenUp(None, (), ("Anna",), 0, 0, 4, None, "fake")


# --- drives that are away, and folders that may not be read ---


def status(library: Library, **settings: Any) -> Status:
    with library.app(settings) as app:
        return app.status()


def test_status_tells_of_a_library_that_is_away_also_when_nobody_watches(family: Library) -> None:
    family.photos.rename(family.base / "away")
    assert status(family).health.offline == {
        str(family.photos): "not there; plug it in, or name its new place: facewatch scan PHOTOS"
    }
    family.photos.mkdir()
    assert status(family).health.offline[str(family.photos)].startswith("empty, but 4 files were there")
    family.draw("strange.png", (9, 9))
    assert status(family).health.offline[str(family.photos)].startswith("another drive or folder than before")
    metrics = exposition(status(family), datetime.now(UTC))
    assert f'facewatch_library_online{{root="{family.photos}"}} 0' in metrics
    shutil.rmtree(family.photos)
    family.photos.write_text("a file")
    assert status(family).health.offline[str(family.photos)].startswith("not a folder")
    family.photos.unlink()
    (family.base / "away").rename(family.photos)
    assert not status(family).health.offline


def test_what_became_of_a_library_that_is_there_is_no_reason_to_call_it_offline(family: Library) -> None:
    (family.photos / "sub").mkdir()
    for path in family.photos.glob("*.png"):
        path.rename(family.photos / "sub" / path.name)
    assert not status(family).health.offline, "all of it was moved within it"
    copied = family.base / "copied"
    shutil.copytree(family.photos / "sub", copied)
    shutil.rmtree(family.photos)
    copied.rename(family.photos)
    assert not status(family).health.offline, "another drive with what was there"


def test_a_library_in_which_nothing_is_to_be_looked_at_is_called_so(family: Library) -> None:
    for path in family.photos.glob("*.png"):
        path.unlink()
    (family.photos / ".nomedia").touch()
    assert "nothing in it is scanned" in status(family).health.offline[str(family.photos)]


def test_a_disk_that_never_answers_keeps_nobody_waiting(tmp_path: Path) -> None:
    asker, answers = Asker(seconds=0.02), threading.Event()
    n_asked = []

    def hang() -> str:
        n_asked.append(1)
        answers.wait(20.0)
        return "there"

    for _ in range(3):
        assert asker.ask(tmp_path, hang, otherwise="does not answer") == "does not answer"
    assert n_asked == [1], "nobody else is sent to wait for the same disk"
    assert asker.ask(tmp_path / "other", lambda: "there", otherwise="does not answer") == "there"
    answers.set()
    asker._asked[tmp_path].join(20.0)
    assert asker.ask(tmp_path, hang, otherwise="does not answer") == "there"


def test_a_people_folder_that_was_deleted_is_told_of(family: Library) -> None:
    assert status(family).health.people_folder_fault is None
    shutil.rmtree(family.people)
    found = status(family)
    assert found.health.people_folder_fault
    assert "it is not there, but folders were made in it" in found.health.people_folder_fault
    assert "facewatch_people_folder_usable 0" in exposition(found, datetime.now(UTC))
    family.people.mkdir()
    assert "its mark, the file .facewatch, is gone" in str(status(family).health.people_folder_fault)


@pytest.fixture
def closed(family: Library) -> Iterator[Library]:
    """A library with a folder, "mine", that holds two known photos, and can be shut."""
    for i in (4, 5):
        family.draw(f"mine/{i}.png", (1, i))
    family.scan()
    yield family
    (family.photos / "mine").chmod(0o700)
    family.photos.chmod(0o700)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o644, 0o311], ids=oct)
def test_a_folder_that_cannot_be_read_is_told_of_once_and_in_status_until_it_can_be(
    closed: Library, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    mine = closed.photos / "mine"
    caplog.set_level(logging.INFO)

    def live() -> None:
        links = closed.tree()
        turns = Turns(closed)
        with turns.app as app:
            turns.after(0.1)
            closed.draw("mine/new.png", (1, 9))
            mine.chmod(mode)
            for _ in range(4):
                turns.after(5.0, "mine/new.png", "mine/")
                turns.after(4000.0)
            assert [m for m in caplog.messages if str(mine) in m] == [
                f"{mine}: cannot be read: Permission denied; make it readable. Nothing of it is removed"
            ]
            assert app.status().unread == {str(mine): "Permission denied"}
            assert "facewatch_unread_places{root=" in exposition(app.status(), datetime.now(UTC))
            assert len(turns.loop.watched[0].queue) == 0, "what cannot be read is not waited for"
            assert closed.tree() == links
            mine.chmod(0o700)
            turns.after(5.0, "mine/")
            turns.after(5.0)
            assert sum("is no longer a problem" in m for m in caplog.messages) == 1
            assert app.status().unread == {}
            assert len(closed.tree()) == len(links) + 1

    as_a_user(live)


def test_a_scan_tells_of_a_folder_that_cannot_be_entered_once_and_not_of_its_photos(
    closed: Library, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(20):
        closed.draw(f"mine/more{i}.png", (1, 50 + i))
    (closed.photos / "mine").chmod(0o644)

    def live() -> None:
        for _ in range(2):
            caplog.clear()
            result = closed.scan()
            assert (result.files.n_missing, result.files.n_unread_folders) == (0, 1)
            assert len(caplog.messages) == 1

    as_a_user(live)


def test_of_very_many_folders_that_cannot_be_read_some_are_told_of_and_the_rest_counted(
    closed: Library, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(30):
        (closed.photos / "mine" / f"{i:02}").mkdir(mode=0o000)

    def live() -> None:
        closed.scan()
        assert len(caplog.messages) == N_LOGGED + 1
        assert caplog.messages[-1].endswith(f"{30 - N_LOGGED} more folders or files that cannot be read")
        assert len(status(closed).unread) == 30

    as_a_user(live)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111], ids=oct)
def test_a_library_that_cannot_be_read_itself_is_offline(closed: Library, mode: int) -> None:
    closed.photos.chmod(mode)

    def live() -> None:
        links = sorted(path.name for path in closed.people.rglob("*.png"))
        with pytest.raises(LibraryError, match="cannot be read: Permission denied"):
            closed.scan()
        assert "cannot be read: Permission denied" in status(closed).health.offline[str(closed.photos)]
        assert sorted(path.name for path in closed.people.rglob("*.png")) == links

    as_a_user(live)


def test_a_single_file_that_cannot_be_read_is_a_fault_until_it_can_be(closed: Library) -> None:
    file = closed.draw("mine/secret.png", (1, 9))
    file.chmod(0o000)

    def live() -> None:
        closed.scan()
        assert [one.path for one in status(closed).faults] == [str(file)]
        assert status(closed).unread == {}
        file.chmod(0o600)
        closed.scan()
        assert status(closed).faults == ()

    as_a_user(live)


def test_photos_that_may_not_be_opened_any_more_keep_their_links_and_are_told_of_by_folder(
    closed: Library, caplog: pytest.LogCaptureFixture
) -> None:
    files = [path for path in closed.photos.rglob("*.png")]
    tree = closed.tree()
    for path in files:
        path.chmod(0o000)

    def live() -> None:
        for _ in range(2):
            result = closed.scan()
            assert (result.files.n_faulty, result.files.n_known, result.files.n_missing) == (0, 0, 0)
        assert closed.tree() == tree
        assert len(caplog.messages) == 4, "each folder once a process"
        assert set(status(closed).unread) == {str(closed.photos), str(closed.photos / "mine")}
        for path in files:
            path.chmod(0o600)
        result = closed.scan()
        assert result.files.n_known == result.files.n_same
        assert closed.tree() == tree
        assert status(closed).unread == {}

    as_a_user(live)


def test_of_files_that_cannot_be_read_one_a_folder_is_told_of_and_the_rest_counted(
    closed: Library, caplog: pytest.LogCaptureFixture
) -> None:
    """A copy made by root, whose folders are open and whose photos are not."""
    for i in range(5):
        closed.draw(f"mine/shut{i}.png", (1, 10 + i)).chmod(0o000)
    closed.draw("theirs/shut.png", (1, 20)).chmod(0o000)

    def live() -> None:
        closed.scan()
        assert len(status(closed).faults) == 6
        rest, one, other = sorted(caplog.messages)
        assert rest == f"{closed.photos / 'mine'}: 4 more files cannot be read"
        assert one.startswith("mine/shut")
        assert other.startswith("theirs/shut.png: cannot be read: Permission denied; make it readable")

    as_a_user(live)


def test_who_hears_of_other_rights_to_a_folder_looks_at_it(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    with InotifySource(tmp_path, skips=lambda _: False) as source:
        (tmp_path / "known").chmod(0o711)
        assert source.take(20.0).folders == {"known"}


# --- moved, renamed, deleted, begun anew ---


def at(library: Library, photos: Path) -> Library:
    """The same catalog and people folder, with its photos at another place."""
    return Library(library.base, photos, library.people, library.catalog)


@pytest.fixture
def named(family: Library) -> Library:
    with family.app() as app:
        app.corrections.rename("1", "Anna")
        app.corrections.rename("2", "Ben")
    return family


def renamed(library: Library) -> Path:
    return library.photos.rename(library.base / "Moved")


def copied_to_another_drive(library: Library) -> Path:
    shutil.copytree(library.photos, library.base / "Copied")
    shutil.rmtree(library.photos)
    return library.base / "Copied"


def poured_out(library: Library) -> Path:
    new = library.base / "Poured"
    new.mkdir()
    for path in library.photos.iterdir():
        path.rename(new / path.name)
    return new


def put_into_a_folder(library: Library) -> Path:
    (library.base / "All").mkdir()
    library.photos.rename(library.base / "All" / library.photos.name)
    return library.base / "All"


def reached_by_another_link(library: Library) -> Path:
    real = library.photos.rename(library.base / "Real")
    link = library.base / "Link"
    link.symlink_to(real)
    return link


@pytest.mark.parametrize(
    "move", [renamed, copied_to_another_drive, poured_out, put_into_a_folder, reached_by_another_link]
)
def test_a_library_that_was_moved_as_a_whole_is_known_as_moved(named: Library, move: Callable[[Library], Path]) -> None:
    links = set(named.tree())
    moved = at(named, move(named))
    result = moved.scan()
    assert (result.files.n_moved, result.files.n_new, result.files.n_missing) == (4, 0, 0)
    assert result.files.n_known == result.files.n_same, "none counts as copied"
    assert len(result.libraries_moved) == 1
    with moved.app() as app:
        assert app.catalog.roots.all() == [moved.photos]
        assert app.lookup.person("Anna").n_photos == app.lookup.person("Ben").n_photos == 2
        assert not app.status().health.offline
    assert set(moved.tree()) == links
    again = moved.scan()
    assert (again.files.n_moved, again.files.n_known, again.libraries_moved) == (0, 0, {})


def test_a_library_whose_photos_are_elsewhere_as_well_was_not_moved(named: Library) -> None:
    mirror = at(named, named.base / "Mirror")
    shutil.copytree(named.photos, mirror.photos)
    both = {"library.photos": [str(named.photos), str(mirror.photos)]}
    named.scan(**both)
    named.photos.rename(named.base / "unplugged")
    assert mirror.scan().libraries_moved == {}, "both were known before"
    with mirror.app() as app:
        assert app.catalog.files.counts()["files"] == 8


def test_a_library_that_is_away_is_not_moved_to_one_with_other_photos(named: Library, tmp_path: Path) -> None:
    other = at(named, tmp_path / "Other")
    other.draw_looks(7, 3, "x")
    named.photos.rename(named.base / "unplugged")
    result = other.scan()
    assert (result.files.n_moved, result.files.n_new, result.libraries_moved) == (0, 3, {})
    assert str(named.photos) in status(other).health.offline


def test_a_watcher_follows_a_library_that_was_moved(named: Library, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    moved = at(named, renamed(named))
    turns = Turns(moved)
    with turns.app as app:
        turns.after(0.1)
        assert f"{named.photos}: was moved to {moved.photos}, with its 4 files" in caplog.messages
        assert app.catalog.files.counts()["files"] == 4


def test_a_people_folder_that_was_deleted_is_made_anew_and_that_is_said(
    named: Library, caplog: pytest.LogCaptureFixture
) -> None:
    tree = named.tree()
    shutil.rmtree(named.people)
    named.scan()
    assert f"{named.people}: was not there any more, and is made again" in caplog.messages
    assert named.tree() == tree


def test_a_people_folder_whose_drive_is_away_is_not_made_in_its_place(named: Library) -> None:
    tree = named.tree()
    named.people.rename(named.base / "unplugged")
    (named.base / "unplugged" / ".facewatch").rename(named.base / "marker")
    with named.app() as app, app.catalog.write():
        app.catalog.settings.set(DRIVE, "4711")
    with pytest.raises(FolderError, match="it is not there, but folders were made in it; connect its disk; if it was"):
        named.scan()
    assert not named.people.exists()
    with named.app() as app:
        app.folder.believe_deleted()
        app.folder.sync()
    assert named.tree() == tree


def test_a_people_folder_that_was_renamed_is_not_made_twice(named: Library) -> None:
    other = named.people.rename(named.base / "Persons")
    with pytest.raises(
        FolderError, match=f"{other} is marked as this library's people folder; if it was renamed, name"
    ):
        named.scan()
    assert str(other) in str(status(named).health.people_folder_fault)
    assert not named.people.exists()
    now = Library(named.base, named.photos, other, named.catalog)
    result = now.scan()
    assert (result.n_links_made, result.n_links_removed) == (0, 0)


def test_a_people_folder_that_was_renamed_is_found_where_the_settings_name_none(named: Library) -> None:
    other = named.people.rename(named.base / "Persons")
    with named.app({"library.people": None}) as app:
        assert app.folder.root == other
        assert app.pipeline.scan().n_links_made == 0
    shutil.copytree(other, named.base / "Copy", symlinks=True)
    other.rename(named.people)
    shutil.copytree(named.people, named.base / "Copy2", symlinks=True)
    shutil.rmtree(named.people)
    with named.app({"library.people": None}) as app:
        assert app.folder.root == other, "of two copies neither is it"


def test_a_library_and_its_people_folder_that_moved_together_are_found_by_the_photos(named: Library) -> None:
    tree = named.tree()
    moved = named.base.rename(named.base.parent / "moved")
    now = Library(moved, moved / "Photos", moved / "People", moved / "data" / named.catalog.name)
    with now.app({"library.people": None}) as app:
        result = app.pipeline.scan()
    assert (result.files.n_moved, result.n_links_made, result.n_links_removed) == (4, 0, 0)
    assert now.tree() == tree


def test_a_watcher_whose_people_folder_was_deleted_says_what_makes_it_anew(
    named: Library, caplog: pytest.LogCaptureFixture
) -> None:
    tree = named.tree()
    turns = Turns(named)
    with turns.app:
        turns.after(0.1)
        shutil.rmtree(named.people)
        named.draw("new.png", (1, 9))
        turns.after(10.0, "new.png")
        turns.after(10.0)
        assert "if it was deleted, facewatch folders makes it again" in caplog.text
        with named.app() as other:
            other.folder.believe_deleted()
            other.folder.sync()
        turns.after(60.0)
    assert set(named.tree()) == {*tree, "Anna/new.png"}


def test_folders_makes_a_people_folder_anew_that_was_deleted(named: Library, run: Any) -> None:
    tree = named.tree()
    shutil.rmtree(named.people)
    assert run("folders").code == 0
    assert named.tree() == tree


def lose_catalog(library: Library) -> None:
    for path in library.catalog.parent.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_new_catalog_takes_the_old_people_folder_over_with_its_names(named: Library, run: Any) -> None:
    for i in range(3):
        named.draw(f"{i}c.png", (3, i))
    named.scan()
    tree = named.tree()
    assert sum(path.startswith("_unnamed/") for path in tree) == 3
    lose_catalog(named)
    with pytest.raises(
        FolderError, match=r"belongs to another library .* gone: facewatch folders --take-over makes it"
    ):
        named.scan()
    assert named.tree() == tree, "nothing was touched"
    assert "facewatch folders --take-over" in str(status(named).health.people_folder_fault)
    answer = run("folders", "--take-over", "--json")
    assert answer.code == 0, answer.err
    taken = json.loads(answer.out)["taken_over"]
    assert (taken["n_links"], taken["names"], taken["left"]) == (7, ["Anna", "Ben"], [])
    assert named.tree() == {}, "nobody is known yet"
    named.scan()
    assert named.tree().items() >= {(path, photo) for path, photo in tree.items() if not path.startswith("_unnamed/")}
    assert len(named.tree()) == 7
    with named.app() as app:
        assert app.lookup.person("Anna").n_photos == app.lookup.person("Ben").n_photos == 2
        assert FolderNames(app.catalog).waiting() == {}
        app.corrections.undo()
        app.pipeline.scan()
        assert sorted(filter(None, app.catalog.people.names().values())) == ["Anna"], "undone is undone"


def test_names_are_given_at_once_where_the_photos_are_known(named: Library, run: Any) -> None:
    tree = named.tree()
    lose_catalog(named)
    old = named.people.rename(named.base / "Old")
    named.scan()
    shutil.rmtree(named.people)
    old.rename(named.people)
    assert run("folders", "--take-over").code == 0
    assert named.tree() == tree


def test_two_people_of_one_folder_name_stay_two_when_it_is_taken_over(family: Library, run: Any) -> None:
    with family.app() as app:
        app.corrections.rename("1", "A/B")
        app.corrections.rename("2", "A:B")
    tree = family.tree()
    assert {path.split("/")[0] for path in tree} == {"A_B", "A_B (2)"}
    lose_catalog(family)
    with family.app():
        pass
    assert run("folders", "--take-over").code == 0
    family.scan()
    assert family.tree() == tree


def test_what_is_not_facewatchs_in_a_folder_that_is_taken_over_stays(named: Library, run: Any) -> None:
    (named.people / "Anna" / "notes.txt").write_text("mine")
    (named.people / "Ben" / "elsewhere").symlink_to("/etc/hostname")
    (named.people / "Own").mkdir()
    (named.people / "Own" / "book.txt").write_text("mine")
    lose_catalog(named)
    named.photos.joinpath("0.png").touch()
    with named.app():
        pass
    answer = run("folders", "--take-over", "--json")
    left = json.loads(answer.out)["taken_over"]["left"]
    assert left == [str(named.people / name) for name in ("Anna", "Ben", "Own")]
    named.scan()
    assert (named.people / "Anna" / "notes.txt").read_text() == "mine"
    assert (named.people / "Ben" / "elsewhere").is_symlink()
    assert (named.people / "Own" / "book.txt").read_text() == "mine"
    with named.app() as app:
        assert app.lookup.person("Anna").n_photos == 2


def test_a_name_is_given_to_nobody_where_it_is_not_clear_whose_folder_it_was(library: Library, run: Any) -> None:
    for i in range(4):
        library.draw(f"{i}.png", (1, i), (2, i))
    library.scan()
    with library.app() as app:
        app.corrections.rename("1", "Anna")
    lose_catalog(library)
    with library.app():
        pass
    assert run("folders", "--take-over").code == 0
    library.scan()
    with library.app() as app:
        assert app.catalog.people.names() == {}
        assert set(FolderNames(app.catalog).waiting()) == {"Anna"}


def test_taking_over_tells_nobody_what_would_be_done(named: Library, run: Any) -> None:
    assert run("folders", "--take-over", "--dry-run").code == 2
