"""The watcher's loop: nothing depends on hearing everything, and nothing is lost whatever happens to the drives."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.catalog import pause, resume
from facewatch.catalog.opening import Patience
from facewatch.engines import fake
from facewatch.errors import CatalogError, DiskFullError, Fault, FaultCode
from facewatch.fs.sidecar import beside
from facewatch.heartbeat import Activity, Doing, HeartbeatFile, heartbeat_file_of
from facewatch.indexing.analyzer import AnalysisResult, LibraryFile, Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.corrections import Decisions
from facewatch.types import Fingerprint
from facewatch.watcher.events import Events
from facewatch.watcher.loop import BATCH_PHOTOS, WatchLoop
from facewatch.watcher.roots import Watched


@dataclass
class Clock:
    """A clock that goes when told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSource:
    """A source that hears nothing by itself: what it hears, the test says."""

    unwatched: frozenset[str] = frozenset()
    fault: str | None = None
    heard: list[Events] = field(default_factory=list)

    def take(self, timeout: float) -> Events:
        return self.heard.pop() if self.heard else Events()

    is_closed: bool = False

    def complete(self) -> None: ...

    def close(self) -> None: ...


def heard(*paths: str) -> Events:
    """Return what was heard: files, and folders, which end in "/"."""
    folders = frozenset(path.rstrip("/") for path in paths if path.endswith("/"))
    return Events(frozenset(path for path in paths if not path.endswith("/")), folders)


class Turns:
    """A watcher whose time the test moves; nothing is heard unless the test says so."""

    def __init__(self, library: Library, *, patience: Any = Patience, **settings: Any) -> None:
        self.clock = Clock()
        self.library = library
        self.workers = InlineWorkers(Recipe("fake"), fake.FakeEngine())
        self.n_closed = 0
        self.app: App = library.app(settings, workers=self.workers, clock=self.clock, patience=patience)
        self.loop = WatchLoop(self.app, should_stop=lambda: False, clock=self.clock, wall_clock=lambda: time.time())

        if self.app.config["watch.poll"] != "always":
            self.loop.watched[0].source = FakeSource()  # type: ignore[assignment]

    def after(self, seconds: float, *paths: str) -> None:
        """One turn that hears this, and one more turn after a while, as the loop does all the time."""
        self.loop.step({self.library.photos: heard(*paths)})
        self.clock.now += seconds
        self.loop.step({})
        self.clock.now += 0.1
        self.loop.step({})


def test_a_file_that_changes_while_it_is_read_is_read_again_without_another_event(
    turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns.library.draw("a.png", (1, 0))
    turns.after(0.1)
    analyse, asked = turns.workers.analyse, list[str]()

    def changing(photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        asked.append(photo.path)
        if len(asked) == 1:
            turns.library.draw(photo.path, (1, 2))
            os.utime(turns.library.photos / photo.path, ns=(1, 1))
        return analyse(photo, expected)

    monkeypatch.setattr(turns.workers, "analyse", changing)
    turns.library.draw("b.png", (1, 1))
    turns.after(2.1, "b.png")
    assert (asked, turns.library.groups()) == (["b.png"], [])
    turns.after(2.1)
    assert (asked, turns.library.groups()) == (["b.png", "b.png"], [{"a.png", "b.png"}])


@pytest.fixture
def turns(library: Library) -> Iterator[Turns]:
    made = Turns(library)
    with made.app:
        yield made


def test_what_is_there_at_the_start_is_brought_in_without_being_heard(turns: Turns) -> None:
    turns.library.draw("a.png", (1, 0))
    turns.library.draw("b.png", (1, 1))
    turns.after(0.1)
    assert turns.library.groups() == [{"a.png", "b.png"}]


def test_a_photo_is_in_its_folder_when_it_has_settled(turns: Turns) -> None:
    turns.library.draw_looks(1, 2)
    turns.after(0.1)
    turns.library.draw("new.png", (1, 9))
    turns.loop.step({turns.library.photos: heard("new.png")})
    assert {"0.png", "1.png"} in turns.library.groups()
    turns.after(2.1)
    assert turns.library.groups() == [{"0.png", "1.png", "new.png"}]


def test_a_removed_photo_leaves_its_folder_after_the_grace_period(turns: Turns) -> None:
    turns.library.draw_looks(1, 3)
    turns.after(0.1)
    (turns.library.photos / "0.png").unlink()
    turns.after(4.0, "0.png")
    assert len(turns.library.tree()) == 3
    turns.after(2.0)
    assert turns.library.groups() == [{"1.png", "2.png"}]


def test_a_moved_photo_is_moved_as_soon_as_it_has_settled(turns: Turns) -> None:
    turns.library.draw_looks(1, 2)
    turns.after(0.1)
    (turns.library.photos / "0.png").rename(turns.library.photos / "moved.png")
    turns.after(2.1, "0.png", "moved.png")
    assert turns.library.groups() == [{"1.png", "moved.png"}]


def test_a_lost_event_is_made_up_for_by_the_next_scan(turns: Turns) -> None:
    turns.library.draw_looks(1, 2)
    turns.after(0.1)
    turns.library.draw("unheard.png", (1, 9))
    turns.after(10.0)
    assert "unheard.png" not in str(turns.library.tree())
    turns.after(3600.0)
    assert turns.library.groups() == [{"0.png", "1.png", "unheard.png"}]


def test_a_folder_that_is_made_and_filled_at_once_is_completely_brought_in(turns: Turns) -> None:
    turns.after(0.1)
    turns.library.draw_looks(1, 2, "sub/deep/")
    turns.after(1.1, "sub/")  # only the folder was heard of
    turns.after(2.1)
    assert turns.library.groups() == [{"sub/deep/0.png", "sub/deep/1.png"}]


def test_excluded_and_hidden_files_are_not_acted_on(turns: Turns) -> None:
    turns.library.draw("@eaDir/a.png", (1, 0))
    turns.library.draw(".hidden.png", (1, 1))
    turns.after(3.0, "@eaDir/a.png", ".hidden.png", "../outside.png")
    assert turns.app.catalog.files.counts()["files"] == 0


def test_an_unplugged_library_removes_nothing_and_is_welcome_back(turns: Turns) -> None:
    library = turns.library
    library.draw_looks(1, 2)
    turns.after(0.1)
    before = library.tree()
    library.photos.rename(library.base / "unplugged")
    turns.after(60.0, "/", "0.png", "1.png")
    turns.after(60.0)
    assert turns.app.catalog.files.counts()["files"] == 2
    (library.base / "unplugged").rename(library.photos)
    turns.after(60.0)
    assert library.tree() == before


def test_a_library_that_came_back_is_listened_to_again(library: Library, tmp_path: Path) -> None:
    with library.app({"watch.settle_seconds": 0.1, "watch.poll_seconds": 3600}) as app:
        clock = Clock()
        loop = WatchLoop(app, should_stop=lambda: False, clock=clock)
        watched = loop.watched[0]
        watched.listen()
        loop.step({})
        library.photos.rename(tmp_path / "unplugged")
        loop.step({})
        assert watched.source is None
        assert "cannot be read" in watched.offline
        (tmp_path / "unplugged").rename(library.photos)
        clock.now += 60
        loop.step({})
        assert watched.source
        assert not watched.offline
        library.draw("new.png", (1, 0))
        deadline = time.monotonic() + 20
        while not watched.take(0.05) and time.monotonic() < deadline:
            pass
        assert time.monotonic() < deadline
        watched.close()


def test_a_name_given_by_another_process_shows_without_a_restart(turns: Turns) -> None:
    library = turns.library
    library.draw_looks(1, 2)
    turns.after(0.1)
    with library.app() as other:
        other.corrections.rename("1", "Anna")
    library.draw("new.png", (1, 9))
    turns.after(2.1, "new.png")
    assert set(library.tree()) == {"Anna/0.png", "Anna/1.png", "Anna/new.png"}


def test_a_name_that_arrived_without_its_folder_is_made_up_for(turns: Turns) -> None:
    """The other process was killed between its decision and the folder."""
    library = turns.library
    library.draw_looks(1, 2)
    turns.after(0.1)
    with library.app() as other:
        Decisions(other.catalog).rename("1", "Anna")
    turns.after(0.1)
    assert set(library.tree()) == {"Anna/0.png", "Anna/1.png"}


def test_a_link_that_somebody_deleted_is_back_after_the_next_look_where_edits_are_ignored(library: Library) -> None:
    turns = Turns(library, **{"folders.edit": "ignore"})
    with turns.app:
        library.draw_looks(1, 2)
        turns.after(0.1)
        before = library.tree()
        (library.people / next(iter(before))).unlink()
        turns.after(3600.0)
        assert library.tree() == before


def test_models_are_let_go_when_nothing_comes(library: Library) -> None:
    turns = Turns(library)
    closed: list[float] = []
    turns.workers.close = lambda: closed.append(turns.clock.now)  # type: ignore[method-assign]
    with turns.app:
        library.draw("a.png", (1, 0))
        turns.after(30.0)
        assert not closed
        turns.after(60.0)
        assert closed


def test_grouping_waits_for_a_share_of_a_large_pool_but_not_for_ever(library: Library) -> None:
    turns = Turns(library, **{"cluster.after_faces": 3, "cluster.after_seconds": 60})
    with turns.app:
        turns.after(0.1)
        library.draw_looks(1, 2)
        turns.after(3.0, "0.png", "1.png")
        assert library.tree() == {}
        turns.after(61.0)
        assert library.groups() == [{"0.png", "1.png"}]


def test_a_people_folder_that_fails_is_tried_again(turns: Turns) -> None:
    library = turns.library
    library.people.write_text("in the way")
    library.draw_looks(1, 2)
    turns.after(1.0)
    library.people.unlink()
    turns.after(60.0)
    assert library.groups() == [{"0.png", "1.png"}]


def test_a_full_disk_is_waited_out(turns: Turns) -> None:
    library, db = turns.library, turns.app.catalog._db
    library.draw_looks(1, 2)
    turns.after(0.1)
    n_pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {n_pages}")
    for i in range(2, 40):
        library.draw(f"sub/{i}.png", *((person, i) for person in range(1, 9)))
    turns.loop.turn({library.photos: heard("/")})
    for _ in range(30):
        turns.clock.now += 5.0
        turns.loop.turn({})
    assert turns.app.catalog.files.counts()["photos"] < 40
    db.execute("PRAGMA max_page_count = 1000000")
    for _ in range(10):
        turns.clock.now += 5.0
        turns.loop.turn({})
    assert turns.app.catalog.files.counts()["photos"] == 40
    assert len(library.groups()) == 8
    assert turns.app.catalog.check() == "ok"


def test_folders_that_cannot_be_listened_to_are_polled_and_no_others(library: Library) -> None:
    turns = Turns(library, **{"watch.poll_seconds": 5})
    turns.loop.watched[0].source = FakeSource(frozenset({"sub"}), "no more watches")  # type: ignore[assignment]
    with turns.app:
        turns.after(0.1)
        library.draw("sub/deep/a.png", (1, 0))
        library.draw("elsewhere/b.png", (1, 1))
        turns.after(5.1)
        turns.after(2.1)
        known = turns.app.catalog.files.known(turns.app.libraries.root_id(library.photos))
        assert set(known) == {"sub/deep/a.png"}
        assert turns.loop.watched[0].polled == {f"{library.photos}/sub": "no more watches"}


def test_a_network_drive_is_polled_and_status_says_why(library: Library) -> None:
    with library.app() as app:
        rules, clock = app.libraries.rules, Clock()
        watched = Watched(library.photos, rules, app.watch_settings, clock, kind_of=lambda path: "nfs4")
        watched.listen()
        assert watched.source is None
        assert watched.polled == {str(library.photos): "a nfs4 file system does not report changes"}


def test_a_large_network_drive_is_not_looked_at_all_the_time(library: Library) -> None:
    with library.app({"watch.poll": "always", "watch.poll_seconds": 5}) as app:
        clock = Clock()
        watched = Watched(library.photos, app.libraries.rules, app.watch_settings, clock)
        watched.scanned("", took=30.0)
        clock.now += 60.0
        assert watched.due() == []
        clock.now += 540.0
        assert watched.due() == [""]


def test_lost_events_are_made_up_for_by_a_look_at_everything(turns: Turns) -> None:
    turns.after(0.1)
    turns.library.draw_looks(1, 2)
    turns.loop.step({turns.library.photos: Events(folders=frozenset({""}), is_overflown=True)})
    turns.after(2.1)
    assert turns.library.groups() == [{"0.png", "1.png"}]


def test_a_storm_of_lost_events_does_not_make_it_look_all_the_time(turns: Turns) -> None:
    watched, storm = turns.loop.watched[0], Events(folders=frozenset({""}), is_overflown=True)
    turns.clock.now += 1.0
    watched.scanned("", took=10.0)
    for _ in range(29):
        watched.add_events(storm)
        assert watched.due() == []
        turns.clock.now += 1.0
    turns.clock.now += 11.0
    assert watched.due() == [""]


def test_while_it_is_paused_photos_wait_and_names_are_still_given(turns: Turns) -> None:
    library = turns.library
    library.draw_looks(1, 2)
    turns.after(0.1)
    with library.app() as other:
        pause(other.catalog)
        other.corrections.rename("1", "Anna")
    library.draw("new.png", (1, 9))
    turns.after(60.0, "new.png")
    assert set(library.tree()) == {"Anna/0.png", "Anna/1.png"}
    assert turns.loop.pause() == Doing(Activity.PAUSED)
    with library.app() as other:
        resume(other.catalog)
    turns.after(0.1)
    turns.after(2.1)
    assert "Anna/new.png" in library.tree()


def test_a_pause_in_the_middle_of_an_import_takes_no_time_of_the_processor(turns: Turns) -> None:
    library = turns.library
    library.draw_looks(1, BATCH_PHOTOS + 6)
    turns.loop.step({})
    assert turns.loop.is_busy
    with library.app() as other:
        pause(other.catalog)
    turns.loop.turn({})
    assert not turns.loop.is_busy


def test_while_it_waits_for_a_disk_it_takes_no_time_of_the_processor_and_waits_longer_each_time(turns: Turns) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise DiskFullError("the disk is full")

    turns.after(0.1)
    turns.app.libraries.scan = full  # type: ignore[method-assign]
    n_tries = 0

    def look(*_: Any, **__: Any) -> Any:
        nonlocal n_tries
        n_tries += 1
        raise DiskFullError("the disk is full")

    turns.app.libraries.scan = look  # type: ignore[method-assign]
    for _ in range(3600):
        turns.loop.turn({turns.library.photos: heard("/")})
        assert not turns.loop.is_busy
        turns.clock.now += 1.0
    assert 5 < n_tries < 15


def test_a_backup_is_taken_every_day_however_long_an_import_takes(turns: Turns) -> None:
    library = turns.library
    for i in range(3 * BATCH_PHOTOS):
        library.draw(f"{i}.png", (1, i % 250))
    turns.loop.step({})
    turns.clock.now += 61.0
    turns.loop.step({})
    assert turns.loop.is_busy
    assert [path.suffix for path in beside(library.catalog, ".backups").iterdir()] == [".sqlite"]


def test_a_polled_librarys_links_are_repaired_as_well(library: Library) -> None:
    turns = Turns(library, **{"watch.poll": "always", "watch.poll_seconds": 5, "folders.edit": "ignore"})
    with turns.app:
        library.draw_looks(1, 2)
        turns.after(5.1)
        turns.after(2.1)
        before = library.tree()
        (library.people / next(iter(before))).unlink()
        for _ in range(20):
            turns.after(200.0)
        assert library.tree() == before


def test_a_damaged_catalog_is_called_so(turns: Turns) -> None:
    def damaged(*_: Any, **__: Any) -> Any:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"  # as SQLite's own has
        raise error

    turns.after(0.1)
    turns.app.catalog.faces.counts = damaged  # type: ignore[method-assign]
    turns.library.draw("a.png", (1, 0))
    turns.loop.turn({turns.library.photos: heard("a.png")})
    turns.clock.now += 30.0
    with pytest.raises(CatalogError, match="damaged"):
        turns.loop.turn({})


def test_outside_its_hours_photos_wait(library: Library) -> None:
    turns = Turns(library, **{"watch.hours": "22:00-06:00"})
    moment = [datetime(2026, 5, 1, 12, 0)]  # noqa: DTZ001 - by the clock on the wall
    turns.loop._wall_clock = lambda: moment[0].timestamp()
    with turns.app:
        library.draw("a.png", (1, 0))
        turns.after(10.0)
        assert turns.app.catalog.files.counts()["files"] == 0
        assert turns.loop.pause() == Doing(Activity.OUTSIDE_HOURS, "22:00")
        moment[0] = datetime(2026, 5, 1, 23, 0)  # noqa: DTZ001
        turns.after(10.0)
        assert turns.app.catalog.files.counts()["files"] == 1


def test_a_fault_of_its_own_is_told_and_survived(turns: Turns, caplog: pytest.LogCaptureFixture) -> None:
    library, look = turns.library, turns.app.libraries.scan
    turns.after(0.1)
    n_left = [3]

    def faulty(*arguments: Any, **named: Any) -> Any:
        n_left[0] -= 1
        if n_left[0] >= 0:
            raise ValueError("a mistake")
        return look(*arguments, **named)

    turns.app.libraries.scan = faulty  # type: ignore[method-assign]
    library.draw("a.png", (1, 0))
    for _ in range(40):
        turns.loop.turn({library.photos: heard("/")})
        turns.clock.now += 5.0
    assert turns.app.catalog.files.counts()["files"] == 1
    assert n_left[0] < 0


def test_a_fault_that_stays_ends_it_in_the_end(turns: Turns) -> None:
    def faulty(*_: Any, **__: Any) -> Any:
        raise ValueError("a mistake")

    def watch_on() -> None:
        for _ in range(100_000):
            turns.loop.turn({turns.library.photos: heard("/")})
            turns.clock.now += 5.0

    turns.app.libraries.scan = faulty  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a mistake"):
        watch_on()


def test_what_it_does_can_be_read_by_others(turns: Turns) -> None:
    turns.library.draw("a.png", (1, 0))
    turns.after(0.1)
    live = HeartbeatFile(heartbeat_file_of(turns.library.catalog)).read()
    assert live is not None
    assert (live.pid, live.activity, live.doing) == (os.getpid(), Activity.IDLE, "idle")
    assert list(live.libraries.last_look) == [str(turns.library.photos)]


def test_a_file_that_becomes_readable_is_read(library: Library) -> None:
    turns = Turns(library)
    with turns.app:
        photo = library.draw("a.png", (1, 0))
        photo.rename(library.base / "elsewhere")
        photo.symlink_to(library.base / "elsewhere")
        turns.after(0.1)
        photo.unlink()
        (library.base / "elsewhere").rename(photo)
        root_id = turns.app.libraries.root_id(library.photos)
        with turns.app.catalog.write():
            seen = turns.loop.watched[0].seen("a.png")
            assert seen
            turns.app.catalog.files.record(
                root_id,
                "a.png",
                seen,
                photo_id=None,
                fault=Fault(FaultCode.UNREADABLE, "cannot be read: Permission denied", ""),
                now="",
            )
        turns.after(2.1, "a.png")
        assert turns.app.catalog.files.counts()["faulty"] == 0


def test_polling_finds_what_was_never_heard(library: Library) -> None:
    turns = Turns(library, **{"watch.poll": "always", "watch.poll_seconds": 5})
    with turns.app:
        turns.after(0.1)
        library.draw_looks(1, 2)
        turns.after(5.1)
        turns.after(2.1)
        assert library.groups() == [{"0.png", "1.png"}]
