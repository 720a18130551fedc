"""While a watcher runs, what somebody does in the people folder is decided within seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from drawn import FAMILY, Library
from test_loop import FakeSource, Turns, heard

from facewatch.folders.model import MARKER
from facewatch.watcher.events import Events
from facewatch.watcher.people import MOST_SECONDS, STILL_SECONDS


class Watcher(Turns):
    """A watcher of a library that was scanned, which hears of its people folder what the test says."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.after(0.1)
        self.source = FakeSource()
        self.loop.people.source = self.source  # type: ignore[assignment]
        self.app.corrections.rename("p1", "Anna")
        self.after(5)

    def hears(self, *paths: str, seconds: float = STILL_SECONDS) -> None:
        self.source.heard.append(heard(*paths))
        self.after(seconds)

    @property
    def names(self) -> list[str]:
        return sorted(self.app.catalog.people.names().values())


@pytest.fixture
def watcher(library: Library) -> Iterator[Watcher]:
    for name, faces in FAMILY.items():
        library.draw(f"{name}.png", *faces)
    library.scan()
    with (watcher := Watcher(library)).app:
        yield watcher


def test_a_folder_that_is_renamed_renames_the_person_when_nothing_happens_for_a_moment(watcher: Watcher) -> None:
    people = watcher.library.people
    (people / "Anna").rename(people / "Johanna")
    watcher.hears("Anna/", "Johanna/", seconds=STILL_SECONDS / 2)
    assert watcher.names == ["Anna"]
    watcher.after(STILL_SECONDS / 2)
    assert watcher.names == ["Johanna"]


def test_a_link_that_is_deleted_is_a_face_that_is_somebody_elses(watcher: Watcher) -> None:
    (watcher.library.people / "Anna" / "b.png").unlink()
    watcher.hears("Anna/b.png")
    assert [photo.name for photo in (watcher.library.people / "Anna").iterdir()] == ["a.png"]


def test_who_never_stops_is_followed_all_the_same(watcher: Watcher) -> None:
    people = watcher.library.people
    (people / "Anna").rename(people / "Johanna")
    for _ in range(2 * int(MOST_SECONDS)):
        watcher.hears("Johanna/", seconds=STILL_SECONDS / 2)
    assert watcher.names == ["Johanna"]


def test_a_folder_that_is_made_anew_before_the_old_one_is_removed_is_renamed(watcher: Watcher) -> None:
    people = watcher.library.people
    shutil.copytree(people / "Anna", people / "Eva", symlinks=True)
    watcher.hears("Eva/")
    assert watcher.names == ["Anna"]
    assert watcher.app.catalog.people.counts()["named"] == 1
    shutil.rmtree(people / "Anna")
    watcher.hears("Anna/")
    assert watcher.names == ["Eva"]


def test_a_folder_that_was_deleted_and_is_back_is_of_whom_it_was(watcher: Watcher) -> None:
    anna, aside = watcher.library.people / "Anna", watcher.library.base / "aside"
    before = watcher.library.groups()
    shutil.move(anna, aside)
    watcher.hears("Anna/")
    assert watcher.app.catalog.people.counts()["hidden"] == 1
    shutil.move(aside, anna)
    watcher.hears("Anna/")
    assert watcher.app.catalog.people.counts()["hidden"] == 0
    assert watcher.library.groups() == before
    assert sorted(link.name for link in anna.iterdir()) == ["a.png", "b.png"]


def test_a_link_that_was_deleted_and_is_back_is_of_whom_it_was(watcher: Watcher) -> None:
    link, aside = watcher.library.people / "Anna" / "b.png", watcher.library.base / "aside.png"
    before = watcher.library.groups()
    shutil.move(link, aside)
    watcher.hears("Anna/b.png")
    assert watcher.library.groups() != before
    shutil.move(aside, link)
    watcher.hears("Anna/b.png")
    assert watcher.library.groups() == before


def test_a_link_that_was_moved_here_and_deleted_there_is_moved(watcher: Watcher) -> None:
    people = watcher.library.people
    watcher.app.corrections.rename("p2", "Ben")
    (people / "Anna" / "b.png").rename(people / "Ben" / "b.png")
    watcher.hears("Anna/b.png", "Ben/b.png")
    (people / "Anna" / "b.png").unlink(missing_ok=True)
    watcher.hears("Anna/b.png")
    assert sorted(link.name for link in (people / "Ben").iterdir()) == ["a.png", "b.png", "c.png", "d.png"]


def test_what_is_left_alone_is_logged_once(watcher: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (watcher.library.people / "Anna" / "c.png").symlink_to(watcher.library.base / "elsewhere.png")
    for _ in range(3):
        watcher.hears("Anna/c.png")
    assert caplog.text.count("Anna/c.png: left alone") == 1


def test_what_facewatch_does_itself_is_no_reason_to_look(watcher: Watcher) -> None:
    watcher.app.corrections.rename("p1", "Johanna")
    watcher.source.heard.append(heard("Anna/", "Johanna/", "Johanna/a.png", "Johanna/b.png", ".facewatch"))
    assert not watcher.loop.people.is_due
    watcher.clock.now += MOST_SECONDS
    assert not watcher.loop.people.is_due


@pytest.mark.parametrize("events", [Events(is_overflown=True, folders=frozenset({""})), heard("Somebody/"), heard("/")])
def test_what_is_not_on_record_or_not_known_is_a_reason_to_look(watcher: Watcher, events: Events) -> None:
    (watcher.library.people / "Somebody").mkdir()
    watcher.source.heard.append(events)
    assert not watcher.loop.people.is_due
    watcher.clock.now += STILL_SECONDS
    assert watcher.loop.people.is_due


def test_nothing_is_listened_to_that_was_not_asked_for(library: Library) -> None:
    """Each source takes one of the few that the kernel has for a user."""
    with (turns := Turns(library)).app:
        turns.after(0.1)
        assert turns.loop.people.source is None


def test_the_kernel_says_what_happens_in_the_folder(watcher: Watcher) -> None:
    people = watcher.loop.people
    people.source = None
    people.listen()
    try:
        assert people.source is not None
        shutil.rmtree(watcher.library.people / "Anna")
        assert people.source.take(10)
        assert not people.source.is_closed
    finally:
        people.close()
    assert people.source is None


@pytest.mark.parametrize("what", ["everybody's folder", "the mark", "another's mark"])
def test_a_watcher_concludes_nothing_that_may_be_somebody_elses_doing(watcher: Watcher, what: str) -> None:
    people, before = watcher.library.people, watcher.app.catalog.journal.newest()
    mark = (people / MARKER).read_text()
    if what == "everybody's folder":
        for folder in ("Anna", "_unnamed"):
            (people / folder).rename(watcher.library.base / f"away{folder}")
    else:
        (people / "Anna").rename(people / "Johanna")
        (people / MARKER).unlink()
        if what == "another's mark":
            (people / MARKER).write_text(mark.replace(watcher.app.catalog.library_id, "another"))
    for _ in range(2):
        watcher.hears("Anna/", "Johanna/", "_unnamed/", MARKER)
    assert watcher.app.catalog.journal.newest() == before
    assert watcher.names == ["Anna"]
    assert not (people / "Anna").exists(), "nor is anything put back"
    if what == "everybody's folder":
        for folder in ("Anna", "_unnamed"):
            (watcher.library.base / f"away{folder}").rename(people / folder)
        (people / "Anna").rename(people / "Johanna")
    else:
        (people / MARKER).write_text(mark)
    watcher.hears("Johanna/")
    watcher.after(300)
    assert watcher.names == ["Johanna"]
