"""Watching: what is heard settles before it is acted on, and nothing depends on hearing everything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.engines import fake
from facewatch.ingest import InlineAnalyser, Recipe
from facewatch.people import Decisions
from facewatch.service import Service
from facewatch.service.loop import WatchLoop
from facewatch.types import Fingerprint
from facewatch.watch import Ears, SettleQueue


@dataclass
class Clock:
    """A clock that goes when told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Disk:
    """Files that a settle queue can look at."""

    files: dict[str, int] = field(default_factory=dict)

    def look(self, path: str) -> Fingerprint | None:
        return Fingerprint(self.files[path], 0, 0) if path in self.files else None


def queue(disk: Disk) -> SettleQueue:
    return SettleQueue(disk.look, settle_seconds=2.0, removal_seconds=5.0)


def test_a_file_is_ready_when_it_has_been_still_for_long_enough() -> None:
    disk = Disk({"a": 1})
    waiting = queue(disk)
    waiting.hear("a", 0.0)
    assert not waiting.settled(1.9, 10)
    assert list(waiting.settled(2.0, 10).present) == ["a"]
    assert not waiting.settled(9.0, 10)


def test_a_file_that_grows_is_not_ready_before_it_is_done() -> None:
    disk = Disk({"a": 1})
    waiting = queue(disk)
    waiting.hear("a", 0.0)
    for second in range(1, 60):
        disk.files["a"] += 1
        assert not waiting.settled(second, 10)
    assert not waiting.settled(60.9, 10)
    assert waiting.settled(61.0, 10).present == {"a": Fingerprint(60, 0, 0)}


def test_a_removal_waits_longer_than_an_addition() -> None:
    waiting = queue(Disk())
    waiting.hear("gone", 0.0)
    assert waiting.vanished() == ("gone",)
    assert not waiting.settled(4.9, 10)
    assert waiting.settled(5.0, 10).gone == ("gone",)


def test_a_file_that_is_replaced_is_never_gone() -> None:
    disk = Disk({"a": 1})
    waiting = queue(disk)
    waiting.hear("a", 0.0)
    del disk.files["a"]
    assert not waiting.settled(1.0, 10)
    disk.files["a"] = 2
    assert not waiting.settled(3.0, 10)
    assert waiting.settled(5.0, 10).present == {"a": Fingerprint(2, 0, 0)}


def test_many_files_are_given_out_in_portions() -> None:
    disk = Disk({str(i): 1 for i in range(10)})
    waiting = queue(disk)
    for path in disk.files:
        waiting.hear(path, 0.0)
    assert len(waiting.settled(2.0, 4).present) == 4
    assert waiting.has_more
    assert len(waiting.settled(2.0, 40).present) == 6
    assert not waiting.has_more


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.floats(0, 3)), max_size=30))
def test_whatever_happens_a_file_comes_out_as_it_is_and_only_when_still(events: list[tuple[str, int, float]]) -> None:
    disk, now = Disk(), 0.0
    waiting = queue(disk)
    changed_at: dict[str, float] = {}
    for path, size, pause in events:
        now += pause
        if disk.files.get(path, 0) != size:
            changed_at[path] = now
        disk.files = {k: v for k, v in (disk.files | {path: size}).items() if v}
        waiting.hear(path, now)
        settled = waiting.settled(now, 10)
        for name, fingerprint in settled.present.items():
            assert fingerprint == disk.look(name)
            assert now - changed_at[name] >= 2.0 - 1e-9
        for name in settled.gone:
            assert name not in disk.files
    # In the end everything that was heard of comes out.
    waiting.settled(now, 10)
    waiting.settled(now + 10, 10)
    assert len(waiting) == 0


def hear(ears: Ears, *wanted: str) -> set[str]:
    """Take until the wanted paths were heard; the kernel needs a moment."""
    heard: set[str] = set()
    deadline = time.monotonic() + 20
    while not heard >= set(wanted) and time.monotonic() < deadline:
        heard |= ears.take(0.05)
    return heard


def test_the_kernel_reports_new_moved_and_removed_files(tmp_path: Path) -> None:
    with Ears(tmp_path) as ears:
        (tmp_path / "a.jpg").write_text("x")
        assert "a.jpg" in hear(ears, "a.jpg")
        (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
        assert {"a.jpg", "b.jpg"} <= hear(ears, "a.jpg", "b.jpg")
        (tmp_path / "b.jpg").unlink()
        assert "b.jpg" in hear(ears, "b.jpg")


def test_a_new_folder_asks_for_a_look(tmp_path: Path) -> None:
    with Ears(tmp_path) as ears:
        (tmp_path / "sub").mkdir()
        assert "" in hear(ears, "")


def test_reading_a_file_is_not_heard(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("x")
    with Ears(tmp_path) as ears:
        (tmp_path / "a.jpg").read_text()
        (tmp_path / "marker.jpg").write_text("x")
        assert "a.jpg" not in hear(ears, "marker.jpg")


class Turns:
    """A watcher whose time the test moves; nothing is heard unless the test says so."""

    def __init__(self, library: Library, **settings: Any) -> None:
        self.clock = Clock()
        self.library = library
        self.analyser = InlineAnalyser(Recipe("fake"), fake.FakeEngine())
        self.n_closed = 0
        self.service: Service = library.service(settings, analyser=self.analyser, clock=self.clock)
        self.loop = WatchLoop(self.service, should_stop=lambda: False, clock=self.clock, wall_clock=lambda: time.time())

        if self.service.config["watch.poll"] != "always":
            # As when it listens; but what it hears, the test says.
            self.loop._libraries[0].ears = Ears(library.photos)

    def after(self, seconds: float, *heard: str) -> None:
        """One turn that hears this, and one more turn after a while, as the loop does all the time."""
        self.loop.step({self.library.photos: heard})
        self.clock.now += seconds
        self.loop.step({})
        self.clock.now += 0.1
        self.loop.step({})


@pytest.fixture
def turns(library: Library) -> Iterator[Turns]:
    made = Turns(library)
    with made.service:
        yield made


def test_what_is_there_at_the_start_is_brought_in_without_being_heard(turns: Turns) -> None:
    turns.library.draw("a.png", (1, 0))
    turns.library.draw("b.png", (1, 1))
    turns.after(0.1)
    assert turns.library.groups() == [{"a.png", "b.png"}]


def test_a_photo_is_in_its_folder_when_it_has_settled(turns: Turns) -> None:
    for i in range(2):
        turns.library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    turns.library.draw("new.png", (1, 9))
    turns.loop.step({turns.library.photos: ["new.png"]})
    assert {"0.png", "1.png"} in turns.library.groups()
    turns.after(2.1)
    assert turns.library.groups() == [{"0.png", "1.png", "new.png"}]


def test_a_removed_photo_leaves_its_folder_after_the_grace_period(turns: Turns) -> None:
    for i in range(3):
        turns.library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    (turns.library.photos / "0.png").unlink()
    turns.after(4.0, "0.png")
    assert len(turns.library.tree()) == 3
    turns.after(2.0)
    assert turns.library.groups() == [{"1.png", "2.png"}]


def test_a_moved_photo_is_moved_as_soon_as_it_has_settled(turns: Turns) -> None:
    for i in range(2):
        turns.library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    (turns.library.photos / "0.png").rename(turns.library.photos / "moved.png")
    turns.after(2.1, "0.png", "moved.png")
    assert turns.library.groups() == [{"1.png", "moved.png"}]


def test_a_lost_event_is_made_up_for_by_the_next_scan(turns: Turns) -> None:
    for i in range(2):
        turns.library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    turns.library.draw("unheard.png", (1, 9))
    turns.after(10.0)
    assert "unheard.png" not in str(turns.library.tree())
    turns.after(3600.0)
    assert turns.library.groups() == [{"0.png", "1.png", "unheard.png"}]


def test_a_folder_that_is_made_and_filled_at_once_is_completely_brought_in(turns: Turns) -> None:
    turns.after(0.1)
    for i in range(2):
        turns.library.draw(f"sub/deep/{i}.png", (1, i))
    turns.after(1.1, "")  # only the folder was heard of
    turns.after(2.1)
    assert turns.library.groups() == [{"sub/deep/0.png", "sub/deep/1.png"}]


def test_excluded_and_hidden_files_are_not_acted_on(turns: Turns) -> None:
    turns.library.draw("@eaDir/a.png", (1, 0))
    turns.library.draw(".hidden.png", (1, 1))
    turns.after(3.0, "@eaDir/a.png", ".hidden.png", "../outside.png")
    assert turns.service.catalog.files.counts()["files"] == 0


def test_an_unplugged_library_removes_nothing_and_is_welcome_back(turns: Turns) -> None:
    library = turns.library
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    before = library.tree()
    library.photos.rename(library.base / "unplugged")
    turns.after(60.0, "", "0.png", "1.png")
    turns.after(60.0)
    assert turns.service.catalog.files.counts()["files"] == 2
    (library.base / "unplugged").rename(library.photos)
    turns.after(60.0)
    assert library.tree() == before


def test_a_library_that_came_back_is_listened_to_again(library: Library, tmp_path: Path) -> None:
    with library.service({"watch.settle_seconds": 0.1, "watch.poll_seconds": 3600}) as service:
        clock = Clock()
        loop = WatchLoop(service, should_stop=lambda: False, clock=clock)
        loop._listen(loop._libraries[0])
        library.photos.rename(tmp_path / "unplugged")
        loop.step({})
        assert loop._libraries[0].ears is None
        (tmp_path / "unplugged").rename(library.photos)
        clock.now += 60
        loop.step({})
        ears = loop._libraries[0].ears
        assert ears
        library.draw("new.png", (1, 0))
        assert "new.png" in hear(ears, "new.png")
        loop._libraries[0].deafen.close()


def test_a_name_given_by_another_process_shows_without_a_restart(turns: Turns) -> None:
    library = turns.library
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    with library.service() as other:
        other.rename("1", "Anna")
    library.draw("new.png", (1, 9))
    turns.after(2.1, "new.png")
    assert set(library.tree()) == {"Anna/0.png", "Anna/1.png", "Anna/new.png"}


def test_a_name_that_arrived_without_its_folder_is_made_up_for(turns: Turns) -> None:
    """The other process was killed between its decision and the folder."""
    library = turns.library
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    with library.service() as other:
        Decisions(other.catalog).rename("1", "Anna")
    turns.after(0.1)
    assert set(library.tree()) == {"Anna/0.png", "Anna/1.png"}


def test_a_link_that_somebody_deleted_is_back_after_the_next_look(turns: Turns) -> None:
    library = turns.library
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    before = library.tree()
    (library.people / next(iter(before))).unlink()
    turns.after(3600.0)
    assert library.tree() == before


def test_models_are_let_go_when_nothing_comes(library: Library) -> None:
    turns = Turns(library)
    closed: list[float] = []
    turns.analyser.close = lambda: closed.append(turns.clock.now)  # type: ignore[method-assign]
    with turns.service:
        library.draw("a.png", (1, 0))
        turns.after(30.0)
        assert not closed
        turns.after(60.0)
        assert closed


def test_grouping_waits_for_a_share_of_a_large_pool_but_not_for_ever(library: Library) -> None:
    turns = Turns(library, **{"cluster.after_faces": 3, "cluster.after_seconds": 60})
    with turns.service:
        turns.after(0.1)
        for i in range(2):
            library.draw(f"{i}.png", (1, i))
        turns.after(3.0, "0.png", "1.png")
        assert library.tree() == {}
        turns.after(61.0)
        assert library.groups() == [{"0.png", "1.png"}]


def test_a_people_folder_that_fails_is_tried_again(turns: Turns) -> None:
    library = turns.library
    library.people.write_text("in the way")
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(1.0)
    library.people.unlink()
    turns.after(60.0)
    assert library.groups() == [{"0.png", "1.png"}]


def test_a_full_disk_is_waited_out(turns: Turns) -> None:
    library, db = turns.library, turns.service.catalog._db
    for i in range(2):
        library.draw(f"{i}.png", (1, i))
    turns.after(0.1)
    n_pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {n_pages}")
    for i in range(2, 40):
        library.draw(f"sub/{i}.png", *((person, i) for person in range(1, 9)))
    turns.loop.turn({library.photos: [""]})
    for _ in range(30):
        turns.clock.now += 5.0
        turns.loop.turn({})
    assert turns.service.catalog.files.counts()["photos"] < 40
    db.execute("PRAGMA max_page_count = 1000000")
    for _ in range(10):
        turns.clock.now += 5.0
        turns.loop.turn({})
    assert turns.service.catalog.files.counts()["photos"] == 40
    assert len(library.groups()) == 8
    assert turns.service.catalog.check() == "ok"


def test_polling_finds_what_was_never_heard(library: Library) -> None:
    turns = Turns(library, **{"watch.poll": "always", "watch.poll_seconds": 5})
    with turns.service:
        turns.after(0.1)
        for i in range(2):
            library.draw(f"{i}.png", (1, i))
        turns.after(5.1)
        turns.after(2.1)
        assert library.groups() == [{"0.png", "1.png"}]
