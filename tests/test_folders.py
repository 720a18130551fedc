"""The folders per person: laws of the projection, crashes, hostile names, and what is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import shutil
import stat
import tempfile
import threading
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewatch.errors import FolderError
from facewatch.folders.apply import apply
from facewatch.folders.check import check_people_folder
from facewatch.folders.disk import LinkMaker, make_link, read_disk
from facewatch.folders.model import (
    COPIES,
    LINK_KINDS,
    Action,
    Applied,
    FolderEntry,
    LinkKind,
    MakeLink,
    MoveFolder,
    Plan,
    WantedFolder,
    WantedLink,
    safe_name,
)
from facewatch.folders.observed import ReadBack
from facewatch.folders.plan import plan
from facewatch.folders.readback import read_back
from facewatch.folders.recovery import intents_of, resume
from facewatch.folders.viewing import read_view
from facewatch.types import RecordedLink

KINDS: tuple[LinkKind, ...] = ("symlink", "hardlink", "copy")


def sharing(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
    """Make links as usual, but reflinks as copies: few file systems hold them."""
    make_link("copy" if kind == "reflink" else kind, target, name, target_fd=target_fd, dir_fd=dir_fd)


class CrashError(Exception):
    """The program ends here."""


@dataclass
class FakeLedger:
    """A catalog in memory: calls wait until `commit`; a crash loses the last of those that wait."""

    links: dict[int, RecordedLink] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    crash_at: int | None = None
    """The number of calls that are heard; at the next one the program ends."""
    n_lost: int = 0
    _waiting: list[Callable[[], None]] = field(default_factory=list)
    _n_calls: int = 0
    _is_dead: bool = False

    def _hear(self, record: Callable[[], None]) -> None:
        if self._n_calls == self.crash_at:
            self.crash()
        self._n_calls += 1
        self._waiting.append(record)

    def crash(self) -> None:
        del self._waiting[max(0, len(self._waiting) - self.n_lost) :]
        self.commit()
        self._is_dead = True
        raise CrashError

    def wake(self, crash_at: int | None = None, n_lost: int = 0) -> None:
        self.crash_at, self.n_lost, self._n_calls, self._is_dead = crash_at, n_lost, 0, False

    def commit(self) -> None:
        if not self._is_dead:
            for record in self._waiting:
                record()
        self._waiting.clear()

    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        def record() -> None:
            link_id = next((n for n, link in self.links.items() if link.path == path), max(self.links, default=0) + 1)
            self.links[link_id] = RecordedLink(link_id, person_id, photo_id, path, source, stamp)

        self._hear(record)

    def link_removed(self, link_id: int) -> None:
        self._hear(lambda: self.links.pop(link_id, None) and None)

    def folder_made(self, person_id: int, path: str) -> None:
        self._hear(lambda: self.folders.update({person_id: path}))

    def folder_moved(self, person_id: int, old: str, new: str) -> None:
        def record() -> None:
            assert self.folders[person_id] == old
            self.folders[person_id] = new
            for n, link in self.links.items():
                if link.path.startswith(f"{old}/"):
                    self.links[n] = replace(link, path=new + link.path.removeprefix(old))
            assert len({link.path for link in self.links.values()}) == len(self.links)

        self._hear(record)

    def folder_removed(self, path: str) -> None:
        def record() -> None:
            self.folders = {p: folder for p, folder in self.folders.items() if folder != path}

        self._hear(record)


@dataclass
class World:
    """A library of small photos, a people folder and a ledger."""

    base: Path
    kind: LinkKind = "symlink"
    ledger: FakeLedger = field(default_factory=FakeLedger)
    has_years: bool = False
    """Most photos go into years, and the names of links to many begin with a date."""

    def __post_init__(self) -> None:
        self.people.mkdir(parents=True)
        self.photos.mkdir()
        (self.people / ".facewatch").write_text("{}")

    @property
    def people(self) -> Path:
        return self.base / "People"

    @property
    def photos(self) -> Path:
        return self.base / "Photos"

    def photo(self, name: str) -> Path:
        path = self.photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(b"photo " + os.fsencode(name))
        return path

    def person(self, number: int, name: str | None, *photos: str) -> WantedFolder:
        links = [wanted_link(hash_of(p), self.photo(p)) for p in photos]
        if self.has_years:
            years = [(str(2000 + x.photo_id % 4), "2001-02-03 04.05.06 " * (x.photo_id % 3 > 0)) for x in links]
            links = [
                replace(link, subfolder=year.removesuffix("2000"), prefix=date)
                for link, (year, date) in zip(links, years, strict=True)
            ]
        return WantedFolder(number, name, tuple(links))

    def plan(self, wanted: Iterable[WantedFolder]) -> Plan:
        wanted, links = list(wanted), list(self.ledger.links.values())
        disk = read_disk(self.people, wanted, links, self.ledger.folders, self.kind)
        return plan(wanted, links, self.ledger.folders, disk, self.kind)

    def run(self, *wanted: WantedFolder) -> Applied:
        """Plan and apply; afterwards there is nothing left to do."""
        done = apply(self.plan(wanted), self.people, kind=self.kind, ledger=self.ledger, make_link=sharing)
        assert self.plan(wanted).describe() == []
        return done

    def tree(self) -> dict[str, str]:
        """Return every entry of the people folder with what it is and says."""
        return {
            entry.relative_to(self.people).as_posix(): describe(entry)
            for entry in sorted(self.people.rglob("*"))
            if entry.name != ".facewatch"
        }

    def names(self) -> list[str]:
        return sorted(name for name, what in self.tree().items() if what != "dir")


def wanted_link(photo_id: int, *sources: Path) -> WantedLink:
    return WantedLink(photo_id, tuple(map(os.fspath, sources)))


def hash_of(photo: str) -> int:
    return zlib.crc32(os.fsencode(photo))


def inside(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def describe(entry: Path) -> str:
    if entry.is_symlink():
        return f"-> {entry.readlink()}"
    return "dir" if entry.is_dir() else entry.read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(params=KINDS)
def each_kind(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, request.param)


# The projection ------------------------------------------------------------------------------------------------------


def test_links_are_relative_and_lead_to_the_photos(world: World) -> None:
    world.run(world.person(5, "Anna", "2024/a.jpg"), world.person(12, None, "2024/a.jpg", "b.jpg"))
    assert world.tree() == {
        "Anna": "dir",
        "Anna/a.jpg": "-> ../../Photos/2024/a.jpg",
        "_unnamed": "dir",
        "_unnamed/Person 0012": "dir",
        "_unnamed/Person 0012/a.jpg": "-> ../../../Photos/2024/a.jpg",
        "_unnamed/Person 0012/b.jpg": "-> ../../../Photos/b.jpg",
    }
    assert all((world.people / name).is_file() for name in world.names())


def test_links_work_when_the_people_folder_is_reached_through_a_symlink(tmp_path: Path) -> None:
    world = World(tmp_path / "far" / "away" / "disk")
    (tmp_path / "home").symlink_to(world.base)
    wanted = [world.person(1, "Anna", "a.jpg")]
    near = tmp_path / "home" / "People"
    todo = plan(wanted, [], {}, read_disk(near, wanted, [], {}, "symlink"), "symlink")
    apply(todo, near, kind="symlink", ledger=world.ledger)
    assert (world.people / "Anna" / "a.jpg").is_file()


def test_hard_links_share_the_file_and_copies_do_not(tmp_path: Path) -> None:
    for kind in ("hardlink", "copy"):
        world = World(tmp_path / kind, kind)
        world.run(world.person(1, "Anna", "a.jpg"))
        made, source = world.people / "Anna" / "a.jpg", world.photos / "a.jpg"
        assert made.samefile(source) == (kind == "hardlink")
        assert made.read_bytes() == source.read_bytes()
        assert made.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_each_action_has_one_printable_line(world: World) -> None:
    hostile = world.person(1, "An\nna\u202e", os.fsdecode(b"a\xff\n.jpg"))
    lines = world.plan([hostile]).describe()
    assert lines[0] == "make folder An_na"
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2


def test_a_rename_is_one_directory_rename(each_kind: World) -> None:
    photos = [f"{n}.jpg" for n in range(20)]
    each_kind.run(each_kind.person(5, "Anna", *photos))
    todo = each_kind.plan([each_kind.person(5, "Anne", *photos)])
    assert todo.actions == (MoveFolder(5, "Anna", "Anne"),)
    each_kind.run(each_kind.person(5, "Anne", *photos))
    assert each_kind.names() == sorted(f"Anne/{photo}" for photo in photos)


def test_naming_a_person_moves_the_folder_with_what_others_put_there(world: World) -> None:
    world.run(world.person(12, None, "a.jpg"))
    (world.people / "_unnamed" / "Person 0012" / "own.txt").write_text("mine")
    world.run(world.person(12, "Anna", "a.jpg"))
    assert world.tree() == {"Anna": "dir", "Anna/a.jpg": "-> ../../Photos/a.jpg", "Anna/own.txt": "mine"}


def test_who_loses_the_name_goes_back_to_the_unnamed(world: World) -> None:
    world.run(world.person(12, "Anna", "a.jpg"))
    world.run(world.person(12, None, "a.jpg"))
    assert world.names() == ["_unnamed/Person 0012/a.jpg"]
    assert (world.people / world.names()[0]).is_file()


def test_a_change_of_case_only_is_one_rename(world: World) -> None:
    world.run(world.person(5, "anna", "a.jpg"))
    world.run(world.person(5, "Anna", "a.jpg"))
    assert world.names() == ["Anna/a.jpg"]


def test_two_people_can_swap_their_names(each_kind: World) -> None:
    each_kind.run(each_kind.person(1, "A", "1.jpg", "both.jpg"), each_kind.person(2, "B", "2.jpg", "both.jpg"))
    wanted = [each_kind.person(1, "B", "1.jpg", "both.jpg"), each_kind.person(2, "A", "2.jpg", "both.jpg")]
    assert {type(action) for action in each_kind.plan(wanted).actions} == {MoveFolder}
    each_kind.run(*wanted)
    assert each_kind.names() == ["A/2.jpg", "A/both.jpg", "B/1.jpg", "B/both.jpg"]


def test_names_can_move_along_a_chain_and_round_a_circle(world: World) -> None:
    def named(*names: str) -> list[WantedFolder]:
        return [world.person(n, name, f"{n}.jpg") for n, name in enumerate(names)]

    world.run(*named("A", "B", "C", "D"))
    world.run(*named("B", "C", "A", "E"))
    assert world.names() == ["A/2.jpg", "B/0.jpg", "C/1.jpg", "E/3.jpg"]
    world.run(*named("C", "A", "E", "F"))
    assert world.names() == ["A/1.jpg", "C/0.jpg", "E/2.jpg", "F/3.jpg"]


def test_a_merge_leaves_one_folder(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"), each_kind.person(12, None, "b.jpg"))
    each_kind.run(each_kind.person(5, "Anna", "a.jpg", "b.jpg"))
    assert each_kind.names() == ["Anna/a.jpg", "Anna/b.jpg"]
    assert "_unnamed" not in each_kind.tree()


def test_who_takes_the_name_of_a_merged_person_gets_the_folder(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, None, "a.jpg"), each_kind.person(12, "Anna", "b.jpg"))
    wanted = each_kind.person(5, "Anna", "a.jpg", "b.jpg")
    assert MoveFolder(5, "_unnamed/Person 0005", "Anna") in each_kind.plan([wanted]).actions
    each_kind.run(wanted)
    assert each_kind.names() == ["Anna/a.jpg", "Anna/b.jpg"]
    assert "_unnamed" not in each_kind.tree()


def test_a_person_without_photos_has_no_folder(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    each_kind.run(each_kind.person(5, "Anna"), WantedFolder(6, "Ben", (wanted_link(1),)))
    assert each_kind.tree() == {}
    assert (each_kind.photos / "a.jpg").is_file()


def test_what_vanished_is_made_again(each_kind: World) -> None:
    anna = each_kind.person(5, "Anna", "a.jpg", "b.jpg")
    each_kind.run(anna)
    (each_kind.people / "Anna" / "a.jpg").unlink()
    assert each_kind.run(anna).n_made == 1
    shutil.rmtree(each_kind.people / "Anna")
    assert each_kind.run(anna).n_made == 2
    shutil.rmtree(each_kind.people / "Anna")
    each_kind.run()
    assert (each_kind.ledger.links, each_kind.ledger.folders) == ({}, {})


def test_a_name_can_be_taken_whose_folder_vanished(each_kind: World) -> None:
    each_kind.run(each_kind.person(3, "A", "a.jpg"), each_kind.person(7, "B", "a.jpg"))
    shutil.rmtree(each_kind.people / "B")
    each_kind.run(each_kind.person(3, "B", "a.jpg"), each_kind.person(7, "C", "a.jpg"))
    assert each_kind.names() == ["B/a.jpg", "C/a.jpg"]


def test_links_follow_a_library_that_moved(world: World) -> None:
    world.run(world.person(5, "Anna", "old/a.jpg"))
    moved = world.photo("new/a.jpg")
    world.run(WantedFolder(5, "Anna", (wanted_link(hash_of("old/a.jpg"), moved),)))
    assert world.tree()["Anna/a.jpg"] == "-> ../../Photos/new/a.jpg"


def test_links_stay_right_when_library_and_people_move_together(tmp_path: Path) -> None:
    world = World(tmp_path / "old")
    world.run(world.person(5, "Anna", "a.jpg"))
    world.base.rename(tmp_path / "new")
    world.base = tmp_path / "new"
    assert world.plan([world.person(5, "Anna", "a.jpg")]).is_empty
    world.run()
    assert world.tree() == {}


def test_another_duplicate_does_not_change_the_link(world: World) -> None:
    world.run(world.person(5, "Anna", "b/x.jpg"))
    link = wanted_link(hash_of("b/x.jpg"), world.photo("a/x.jpg"), world.photo("b/x.jpg"))
    assert world.plan([WantedFolder(5, "Anna", (link,))]).is_empty


def test_a_renamed_photo_renames_its_link(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    each_kind.photo("a.jpg").rename(each_kind.photos / "beach.jpg")
    link = wanted_link(hash_of("a.jpg"), each_kind.photos / "beach.jpg")
    each_kind.run(WantedFolder(5, "Anna", (link,)))
    assert each_kind.names() == ["Anna/beach.jpg"]


def test_another_kind_of_link_replaces_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    for kind in (*LINK_KINDS, *reversed(LINK_KINDS)):
        world.kind = kind
        world.run(world.person(5, "Anna", "a.jpg"))
        made = world.people / "Anna" / "a.jpg"
        assert made.is_symlink() == (kind == "symlink")
        assert made.samefile(world.photos / "a.jpg") == (kind not in COPIES)
        assert [link.stamp.partition(":")[0] for link in world.ledger.links.values()] == [kind]


def test_an_edited_photo_keeps_its_hard_link(tmp_path: Path) -> None:
    world = World(tmp_path, "hardlink")
    world.run(world.person(5, "Anna", "a.jpg"))
    world.photo("a.jpg").write_text("rotated in place")
    assert world.plan([world.person(5, "Anna", "a.jpg")]).is_empty
    world.run()
    assert world.tree() == {}


# Names that meet -----------------------------------------------------------------------------------------------------


def test_photos_of_one_name_get_their_folder_then_a_hash_as_suffix(world: World) -> None:
    world.run(world.person(5, "Anna", "2023/Rome/x.jpg", "2024/Rome/x.jpg", "2022/Italy/X.jpg"))
    names = {world.tree()[name]: name for name in world.names()}
    assert names["-> ../../Photos/2022/Italy/X.jpg"] == "Anna/X.jpg"
    assert names["-> ../../Photos/2023/Rome/x.jpg"] == "Anna/x (Rome).jpg"
    assert re.fullmatch(r"Anna/x \([0-9a-f]{8}\)\.jpg", names["-> ../../Photos/2024/Rome/x.jpg"])


def test_recorded_links_keep_their_names(world: World) -> None:
    world.run(world.person(5, "Anna", "z/x.jpg"))
    world.run(world.person(5, "Anna", "a/x.jpg", "z/x.jpg"))
    assert world.tree()["Anna/x.jpg"] == "-> ../../Photos/z/x.jpg"
    assert world.tree()["Anna/x (a).jpg"] == "-> ../../Photos/a/x.jpg"


@pytest.mark.parametrize("other", ["IMG.jpg", "ÜBER.jpg", unicodedata.normalize("NFD", "über.jpg")])
def test_names_that_a_disk_may_take_for_one_are_kept_apart(world: World, other: str) -> None:
    world.run(world.person(5, "Anna", "a/img.jpg", "a/über.jpg", f"b/{other}"))
    keys = {unicodedata.normalize("NFC", name.casefold()) for name in world.names()}
    assert len(keys) == len(world.names()) == 3


def test_the_second_of_one_name_gets_the_number_and_the_first_keeps_the_name(world: World) -> None:
    world.run(world.person(12, "Anna", "b.jpg"))
    both = [world.person(5, "ANNA", "a.jpg"), world.person(12, "Anna", "b.jpg")]
    world.run(*both)
    assert world.names() == ["ANNA (5)/a.jpg", "Anna/b.jpg"]
    world.run(world.person(5, "ANNA", "a.jpg"), world.person(12, "Beth", "b.jpg"))
    assert world.names() == ["ANNA (5)/a.jpg", "Beth/b.jpg"]


def test_the_owner_keeps_the_name_through_a_change_of_case(world: World) -> None:
    world.run(world.person(12, "anna", "b.jpg"))
    world.run(world.person(5, "Anna", "a.jpg"), world.person(12, "Anna", "b.jpg"))
    assert world.names() == ["Anna (5)/a.jpg", "Anna/b.jpg"]


def test_names_do_not_collide_with_machine_made_folders(world: World) -> None:
    names = ["_unnamed", "_Unnamed", "Person 0006", ".facewatch", "Anna (5)", "Anna", "Anna"]
    people = [world.person(n, name, "a.jpg") for n, name in enumerate(names)]
    world.run(*people, world.person(99, None, "a.jpg"))
    assert {Path(name).parent.as_posix() for name in world.names()} == {
        "_unnamed (0)",
        "_Unnamed (1)",
        "Person 0006",
        "_facewatch",
        "Anna (5)",
        "Anna",
        "Anna (6)",
        "_unnamed/Person 0099",
    }


@given(seed=st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_the_answer_does_not_depend_on_the_order(seed: int) -> None:
    shuffle = random.Random(seed).sample
    with tempfile.TemporaryDirectory() as base:
        world = World(Path(base))
        photos = ["a/x.jpg", "b/x.jpg", "c/b/x.jpg", "c/X.jpg"]
        people = [(n, name, photos) for n, name in enumerate(["Anna", "anna", "Anna (0)", None])]
        calm = world.plan([world.person(n, name, *photos) for n, name, photos in people])
        mixed = [world.person(n, name, *shuffle(photos, len(photos))) for n, name, photos in shuffle(people, 4)]
        assert world.plan(mixed) == calm


# Strangers -----------------------------------------------------------------------------------------------------------


def test_a_strangers_directory_is_used_and_never_recorded_moved_or_removed(each_kind: World) -> None:
    (each_kind.people / "Anna").mkdir()
    (each_kind.people / "Anna" / "own.txt").write_text("mine")
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    assert each_kind.names() == ["Anna/a.jpg", "Anna/own.txt"]
    assert each_kind.ledger.folders == {}
    each_kind.run(each_kind.person(5, "Beth", "a.jpg"))
    assert each_kind.names() == ["Anna/own.txt", "Beth/a.jpg"]
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    assert each_kind.names() == ["Anna/a.jpg", "Anna/own.txt"]


def test_who_uses_a_strangers_directory_keeps_the_name(world: World) -> None:
    (world.people / "Anna").mkdir()
    (world.people / "Anna" / "own.txt").write_text("mine")
    world.run(world.person(5, "Anna", "a.jpg"))
    world.run(world.person(2, "Anna", "b.jpg"), world.person(5, "Anna", "a.jpg"))
    assert world.names() == ["Anna (2)/b.jpg", "Anna/a.jpg", "Anna/own.txt"]


@pytest.mark.parametrize("plant", ["file", "symlink", "dangling", "other case"])
def test_what_is_no_directory_of_that_name_is_avoided(world: World, plant: str) -> None:
    elsewhere = world.base / "elsewhere"
    elsewhere.mkdir()
    match plant:
        case "file":
            (world.people / "Anna").write_text("mine")
        case "symlink":
            (world.people / "Anna").symlink_to(elsewhere)
        case "dangling":
            (world.people / "Anna").symlink_to("nowhere")
        case "other case":
            (world.people / "ANNA").mkdir()
    before = world.tree()
    world.run(world.person(5, "Anna", "a.jpg"))
    assert "Anna (5)/a.jpg" in world.names()
    assert list(elsewhere.iterdir()) == []
    world.run()
    assert world.tree() == before


def test_nothing_is_written_through_a_symlink_in_place_of_our_folder(each_kind: World) -> None:
    anna = each_kind.person(5, "Anna", "a.jpg", "b.jpg")
    each_kind.run(anna)
    elsewhere = each_kind.base / "elsewhere"
    (each_kind.people / "Anna").rename(elsewhere)
    (each_kind.people / "Anna").symlink_to(elsewhere)
    before = inside(elsewhere)
    each_kind.run(replace(anna, links=anna.links[:1]))
    assert inside(elsewhere) == before
    assert "Anna (5)/a.jpg" in each_kind.names()


def test_a_symlink_planted_after_the_plan_is_not_followed(world: World) -> None:
    anna = world.person(5, "Anna", "a.jpg")
    world.run(anna)
    elsewhere = world.base / "elsewhere"
    todo = world.plan([world.person(5, "Anna", "b.jpg", "c.jpg")])
    (world.people / "Anna").rename(elsewhere)
    (world.people / "Anna").symlink_to(elsewhere)
    done = apply(todo, world.people, kind="symlink", ledger=world.ledger)
    assert inside(elsewhere) == ["a.jpg"]
    assert len(done.faults) == 1


@pytest.mark.parametrize("plant", ["symlink", "file"])
def test_unnamed_people_wait_while_something_else_has_the_name_of_their_place(world: World, plant: str) -> None:
    elsewhere = world.base / "elsewhere"
    elsewhere.mkdir()
    place = world.people / "_unnamed"
    place.symlink_to(elsewhere) if plant == "symlink" else place.write_text("mine")
    done = world.run(world.person(5, "Anna", "a.jpg"), world.person(12, None, "b.jpg"))
    assert "Anna/a.jpg" in world.names()
    assert list(elsewhere.iterdir()) == []
    assert done.faults == ("_unnamed: not a folder, so 1 unnamed people have none: move it away",)


def test_a_file_that_replaced_our_link_stays(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    made = each_kind.people / "Anna" / "a.jpg"
    made.unlink()
    (each_kind.base / "own").write_text("mine, and longer")
    shutil.copyfile(each_kind.base / "own", made)
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    assert each_kind.names() == ["Anna/a (Photos).jpg", "Anna/a.jpg"]
    each_kind.run()
    assert each_kind.tree() == {"Anna": "dir", "Anna/a.jpg": "mine, and longer"}
    assert each_kind.ledger.folders == {}


def test_a_symlink_that_somebody_turned_elsewhere_stays(world: World) -> None:
    world.run(world.person(5, "Anna", "a.jpg"))
    (world.people / "Anna" / "a.jpg").unlink()
    (world.people / "Anna" / "a.jpg").symlink_to("own")
    world.run()
    assert world.tree()["Anna/a.jpg"] == "-> own"


@pytest.mark.parametrize("litter", [".DS_Store", "Thumbs.db", "desktop.ini", "own.txt"])
def test_a_folder_stays_for_what_others_put_in_it(world: World, litter: str) -> None:
    world.run(world.person(5, "Anna", "a.jpg"), world.person(12, None, "b.jpg"))
    (world.people / "Anna" / litter).write_text("mine")
    (world.people / "_unnamed" / "Person 0012" / litter).write_text("mine")
    world.run()
    assert world.names() == [f"Anna/{litter}", f"_unnamed/Person 0012/{litter}"]


def test_an_entry_that_appears_after_the_plan_is_not_replaced(each_kind: World) -> None:
    todo = each_kind.plan([each_kind.person(5, "Anna", "a.jpg", "b.jpg")])
    (each_kind.people / "Anna").mkdir()
    (each_kind.people / "Anna" / "a.jpg").write_text("mine")
    done = apply(todo, each_kind.people, kind=each_kind.kind, ledger=each_kind.ledger)
    assert len(done.faults) == 1
    each_kind.run(each_kind.person(5, "Anna", "a.jpg", "b.jpg"))
    assert each_kind.tree()["Anna/a.jpg"] == "mine"


def test_a_link_that_changes_hands_after_the_plan_is_not_removed(each_kind: World) -> None:
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"))
    todo = each_kind.plan([])
    made = each_kind.people / "Anna" / "a.jpg"
    made.rename(each_kind.base / "away")
    made.write_text("mine, and longer")
    assert apply(todo, each_kind.people, kind=each_kind.kind, ledger=each_kind.ledger).n_removed == 0
    assert made.read_text() == "mine, and longer"


def test_a_folder_is_not_moved_onto_one_that_appears_after_the_plan(world: World) -> None:
    world.run(world.person(5, "Anna", "a.jpg"))
    todo = world.plan([world.person(5, "Beth", "a.jpg", "b.jpg")])
    (world.people / "Beth").mkdir()
    done = apply(todo, world.people, kind="symlink", ledger=world.ledger)
    assert len(done.faults) == 1
    assert world.names() == ["Anna/a.jpg"]
    world.run(world.person(5, "Beth", "a.jpg", "b.jpg"))
    assert world.names() == ["Beth/a.jpg", "Beth/b.jpg"]


# Links put in the way -------------------------------------------------------------------------------------------------


@dataclass
class Trap:
    """A place outside the people folder that looks like what is inside, and whoever puts a link to it in the way."""

    world: World
    victim: str
    """The folder that is swapped for a link, in the people folder."""

    @property
    def moved(self) -> Path:
        return self.world.base / "moved"

    @property
    def outside(self) -> Path:
        return self.world.base / "Outside"

    def bait(self) -> None:
        """Make all that is in the folder stand outside, too, with the same stamps."""
        shutil.copytree(self.world.people / self.victim, self.outside, symlinks=True, copy_function=os.link)

    def spring(self) -> None:
        """Swap the folder for a link to the place outside, its own content moved away."""
        place = self.world.people / self.victim
        place.rename(self.moved)
        place.symlink_to(self.outside, target_is_directory=True)

    def seen(self) -> dict[str, str]:
        """Return all that is outside, and what was moved away."""
        return {
            str(entry.relative_to(self.world.base)): describe(entry)
            for place in (self.outside, self.moved)
            for entry in sorted(place.rglob("*"))
        }


@pytest.fixture(params=["Anna", "_unnamed", "_unnamed/Person 0012"])
def trap(each_kind: World, request: pytest.FixtureRequest) -> Trap:
    """Two people who have a photo each, and a copy of the folder of one of them outside."""
    each_kind.run(each_kind.person(5, "Anna", "a.jpg"), each_kind.person(12, None, "a.jpg"))
    trap = Trap(each_kind, request.param)
    trap.bait()
    return trap


def files_in(folder: Path) -> set[str]:
    return {str(entry.relative_to(folder)) for entry in folder.rglob("*") if entry.is_symlink() or entry.is_file()}


def check_that_it_mends(trap: Trap, wanted: list[WantedFolder]) -> None:
    """With the link still in the way, and again when it is gone."""
    before = trap.seen()
    trap.world.run(*wanted)
    assert trap.seen() == before
    (trap.world.people / trap.victim).unlink()
    trap.world.run(*wanted)
    assert trap.seen() == before
    assert len(trap.world.names()) == sum(len(person.links) for person in wanted)


def more_photos(trap: Trap) -> list[WantedFolder]:
    world = trap.world
    return [world.person(5, "Anna", "a.jpg", "b.jpg", "c.jpg"), world.person(12, None, "a.jpg", "b.jpg", "c.jpg")]


def test_a_link_put_in_the_way_after_the_plan_leads_nowhere(trap: Trap) -> None:
    world, wanted = trap.world, more_photos(trap)
    todo = world.plan(wanted)
    trap.spring()
    before = trap.seen()
    done = apply(todo, world.people, kind=world.kind, ledger=world.ledger)
    assert trap.seen() == before
    assert len(done.faults) == 1
    assert "is not a folder" in done.faults[0]
    check_that_it_mends(trap, wanted)


@pytest.mark.parametrize("instant", ["before", "after"])
@pytest.mark.parametrize("n_made", range(4))
def test_a_link_put_in_the_way_while_a_link_is_made_leads_nowhere(trap: Trap, instant: str, n_made: int) -> None:
    """Before: when the folder was entered and the link is not there yet. After: when it is, and not on record yet."""
    world, wanted = trap.world, more_photos(trap)
    left, before, at_that_time = iter(range(n_made)), trap.seen(), set[str]()

    def make(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        is_now = next(left, None) is None and not trap.moved.exists()
        if is_now:
            at_that_time.update(files_in(world.people / trap.victim))
        if is_now and instant == "before":
            trap.spring()
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)
        if is_now and instant == "after":
            trap.spring()

    apply(world.plan(wanted), world.people, kind=world.kind, ledger=world.ledger, make_link=make)
    assert {path: what for path, what in trap.seen().items() if path.startswith("Outside")} == before
    assert files_in(trap.moved) == at_that_time, "what is made in a folder that is somewhere else is taken back"
    check_that_it_mends(trap, wanted)


@pytest.mark.parametrize("wanted", ["nobody", "others"])
def test_nothing_is_removed_by_way_of_a_link(trap: Trap, wanted: str) -> None:
    world = trap.world
    people = [world.person(5, "Anna", "c.jpg"), world.person(12, None, "c.jpg")] if wanted == "others" else []
    todo = world.plan(people)
    trap.spring()
    before = trap.seen()
    done = apply(todo, world.people, kind=world.kind, ledger=world.ledger)
    assert trap.seen() == before
    assert done.faults
    check_that_it_mends(trap, people)


def test_a_link_in_the_place_of_a_folder_is_not_moved_in_its_stead(trap: Trap) -> None:
    world = trap.world
    wanted = [world.person(5, "Anne", "a.jpg"), world.person(12, "Ben", "a.jpg")]
    todo = world.plan(wanted)
    trap.spring()
    before = trap.seen()
    done = apply(todo, world.people, kind=world.kind, ledger=world.ledger)
    assert trap.seen() == before
    assert (world.people / trap.victim).is_symlink()
    assert done.faults
    check_that_it_mends(trap, wanted)


@pytest.mark.parametrize("ben_follows", [False, True])
def test_nobody_moves_to_the_place_of_a_folder_that_could_not_be_moved(each_kind: World, ben_follows: bool) -> None:
    """It is away for that moment, and would come back to find somebody else there, also in the ledger."""
    world = each_kind
    ben = [world.person(20, "Ben", "c.jpg")] if ben_follows else []
    world.run(world.person(5, "Anna", "a.jpg"), world.person(12, "Bea", "a.jpg", "b.jpg"), *ben)
    ben = [world.person(20, "Bea", "c.jpg")] if ben_follows else []
    wanted = [world.person(5, "Anne", "a.jpg"), world.person(12, "Anna", "a.jpg", "b.jpg"), *ben]
    todo, before = world.plan(wanted), dict(world.ledger.links)
    (world.people / "Anna").rename(world.base / "away")
    done = apply(todo, world.people, kind=world.kind, ledger=world.ledger)
    assert len(done.faults) == 1
    assert world.ledger.links == before
    (world.base / "away").rename(world.people / "Anna")
    world.run(*wanted)
    assert world.names() == sorted(["Anne/a.jpg", "Anna/a.jpg", "Anna/b.jpg", *(["Bea/c.jpg"] if ben_follows else [])])


@pytest.mark.parametrize("kind", KINDS)
def test_links_put_in_the_way_again_and_again_lead_nowhere(tmp_path: Path, kind: LinkKind) -> None:
    """The race itself: somebody swaps folders for links all the time, while people come, go and are renamed."""
    world = World(tmp_path, kind)
    photos = [f"{n}.jpg" for n in range(8)]
    states = [
        [world.person(5, "Anna", *photos), world.person(12, None, *photos[:3])],
        [world.person(5, "Anne", *photos[:2]), world.person(12, "Anna", *photos)],
        [world.person(12, None, *photos[4:])],
        [],
    ]
    world.run(*states[0])
    trap, is_over = Trap(world, "Anna"), threading.Event()
    trap.bait()
    before = {path: what for path, what in trap.seen().items() if path.startswith("Outside")}

    def swap() -> None:
        while not is_over.is_set():
            with contextlib.suppress(OSError):
                trap.spring()
            with contextlib.suppress(OSError):
                (world.people / "Anna").unlink()
            with contextlib.suppress(OSError):
                trap.moved.rename(world.people / "Anna")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for n in range(40):
            apply(world.plan(states[n % 4]), world.people, kind=kind, ledger=world.ledger)
    finally:
        is_over.set()
        swapper.join()
    assert {path: what for path, what in trap.seen().items() if path.startswith("Outside")} == before
    world.run(*states[0])


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
@pytest.mark.parametrize("link", ["2024", "2024/summer", "2024/summer/a.jpg"])
def test_nothing_from_outside_the_library_gets_into_the_people_folder(
    tmp_path: Path, kind: LinkKind, link: str
) -> None:
    """A folder of the library, or the photo itself, is swapped for a link to something private after the plan."""
    world = World(tmp_path, kind)
    wanted = [world.person(5, "Anna", "2024/summer/a.jpg")]
    todo = world.plan(wanted)
    (world.photos / link).rename(tmp_path / "private")
    (world.photos / link).symlink_to(tmp_path / "private")
    done = apply(todo, world.people, kind=kind, ledger=world.ledger, libraries=[tmp_path, world.photos])
    assert len(done.faults) == 1
    assert world.names() == []
    (world.photos / link).unlink()
    (tmp_path / "private").rename(world.photos / link)
    world.run(*wanted)
    assert world.names() == ["Anna/a.jpg"]


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_a_library_that_is_a_link_is_the_library(tmp_path: Path, kind: LinkKind) -> None:
    world = World(tmp_path, kind)
    world.photo("2024/a.jpg")
    (tmp_path / "Linked").symlink_to(world.photos)
    link = wanted_link(1, tmp_path / "Linked" / "2024" / "a.jpg")
    todo = world.plan([WantedFolder(5, "Anna", (link,))])
    done = apply(todo, world.people, kind=kind, ledger=world.ledger, libraries=[tmp_path / "Linked"])
    assert done.faults == ()
    assert world.names() == ["Anna/a.jpg"]


@pytest.mark.parametrize("odd", ["folder", "pipe"])
@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_what_became_no_file_is_neither_linked_nor_waited_for(tmp_path: Path, kind: LinkKind, odd: str) -> None:
    world = World(tmp_path, kind)
    todo = world.plan([world.person(5, "Anna", "a.jpg")])
    (world.photos / "a.jpg").unlink()
    (world.photos / "a.jpg").mkdir() if odd == "folder" else os.mkfifo(world.photos / "a.jpg")
    done = apply(todo, world.people, kind=kind, ledger=world.ledger)
    assert len(done.faults) == 1
    assert world.names() == []


@pytest.mark.parametrize("entry", [".facewatch", ".facewatch.part", ".facewatch.probe"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_in_the_place_of_a_file_of_ours_is_not_written_through(
    tmp_path: Path, kind: LinkKind, entry: str
) -> None:
    (tmp_path / "People").mkdir()
    (tmp_path / "own").write_text("mine")
    (tmp_path / "People" / entry).symlink_to(tmp_path / "own")
    with contextlib.suppress(FolderError):
        check_people_folder(tmp_path / "People", "library 1", kind)
    assert (tmp_path / "own").read_text() == "mine"
    assert inside(tmp_path) == ["People", "own"]


def test_a_people_folder_that_is_gone_after_the_plan_is_told(world: World) -> None:
    todo = world.plan([world.person(5, "Anna", "a.jpg")])
    world.people.rename(world.base / "unplugged")
    with pytest.raises(FolderError, match="is gone: connect its disk"):
        apply(todo, world.people, kind="symlink", ledger=world.ledger)


def test_the_copy_has_the_rights_of_the_photo_and_nothing_more(tmp_path: Path) -> None:
    world = World(tmp_path, "copy")
    world.photo("a.jpg").chmod(0o4640)
    world.run(world.person(5, "Anna", "a.jpg"))
    assert stat.S_IMODE((world.people / "Anna" / "a.jpg").stat().st_mode) == 0o640


def test_a_file_system_that_knows_neither_tags_nor_rights_holds_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exfat-fuse and other programs mount exFAT and FAT; the trial of a copy is one of a file on it."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "listxattr", refuse, raising=False)
    monkeypatch.setattr(os, "fchmod", refuse)

    def make(kind: LinkKind, target: str, name: str, **where: Any) -> None:
        if kind != "copy":
            refuse()
        make_link(kind, target, name, **where)

    people = tmp_path / "People"
    assert check_people_folder(people, "library", "symlink", instead=LINK_KINDS, make_link=make) == "copy"
    world = World(tmp_path / "world", "copy")
    world.photo("a.jpg")
    world.run(world.person(5, "Anna", "a.jpg"))
    assert (world.people / "Anna/a.jpg").read_bytes() == (world.photos / "a.jpg").read_bytes()


# Crashes -------------------------------------------------------------------------------------------------------------

State = dict[int, tuple[str | None, list[str]]]
Crash = tuple[int, int, bool]
Life = tuple[dict[str, str], dict[int, str], set[tuple[int, int, str]]]
PHOTOS = ["a/1.jpg", "b/1.jpg", "c/b/1.jpg", "a/2.jpg", "b/3.jpg"]
states = st.dictionaries(
    st.integers(1, 4),
    st.tuples(
        st.sampled_from(["A", "B", "C", "a", "A (2)", None]),
        st.lists(st.sampled_from(PHOTOS), min_size=1, unique=True),
    ),
)
crashes = st.none() | st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans())
plants = st.sets(st.sampled_from(["A/own.txt", "B/1.jpg", "C", "_unnamed/Person 0002/own.txt", "A (1)", "b"]))

SCENES: dict[str, tuple[set[str], State, State]] = {
    "swap": (set(), {1: ("A", PHOTOS[:2]), 2: ("B", PHOTOS[1:])}, {1: ("B", PHOTOS[:2]), 2: ("A", PHOTOS[1:])}),
    "swap of the same": (set(), {1: ("A", PHOTOS), 2: ("B", PHOTOS)}, {1: ("B", PHOTOS), 2: ("A", PHOTOS)}),
    "chain": (set(), {1: ("A", PHOTOS), 2: ("B", PHOTOS[:2])}, {1: ("B", PHOTOS), 2: ("C", PHOTOS[:2])}),
    "name": (set(), {1: (None, PHOTOS)}, {1: ("A", PHOTOS)}),
    "merge": (set(), {1: (None, PHOTOS[:1]), 2: ("A", PHOTOS)}, {1: ("A", PHOTOS)}),
    "into a stranger's folder": ({"A/own.txt"}, {1: ("B", PHOTOS)}, {1: ("A", PHOTOS)}),
    "out of a stranger's folder": ({"A/own.txt"}, {1: ("A", PHOTOS)}, {1: ("B", PHOTOS)}),
    "beside a stranger's folder": (
        {"A/own.txt"},
        {1: ("A", ["a/1.jpg"]), 2: ("B", ["a/1.jpg"])},
        {1: ("A", ["a/1.jpg"]), 2: ("A", ["b/1.jpg"])},
    ),
    "give way": (set(), {4: ("A", PHOTOS), 2: ("B", PHOTOS[:3])}, {1: ("A", PHOTOS[:1]), 4: ("B", PHOTOS[:1])}),
    "crowd": (
        {"A/own.txt"},
        {2: ("B", PHOTOS[1:2]), 1: ("A (2)", PHOTOS[:3])},
        {3: ("A", PHOTOS[:1]), 2: ("A", PHOTOS[:2]), 1: ("A", PHOTOS[:1])},
    ),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_crash_at_any_step_changes_nothing_in_the_end(tmp_path: Path, scene: str) -> None:
    planted, before, after = SCENES[scene]
    here = tmp_path / "here"

    def live(*steps: tuple[State, Crash | None]) -> list[Life]:
        lives = live_through(here, "symlink", planted, [*steps, ({}, None)])
        shutil.rmtree(here)
        return lives

    calm = live((before, None), (after, None))
    for n_heard in range(15):
        for n_lost in (0, 99):
            assert live((before, None), (after, (n_heard, n_lost, False))) == calm, (n_heard, n_lost)


crashes_anywhere = given(
    kind=st.sampled_from(KINDS),
    planted=plants,
    steps=st.lists(st.tuples(states, crashes), min_size=1, max_size=4),
    has_years=st.booleans(),
)


@crashes_anywhere
@settings(max_examples=80, deadline=None)
def test_a_crash_anywhere_changes_nothing_in_the_end(
    kind: LinkKind, planted: set[str], steps: list[tuple[State, Crash | None]], has_years: bool
) -> None:
    steps = [*steps, ({}, None)]
    with tempfile.TemporaryDirectory() as base:
        calm = live_through(Path(base) / "here", kind, planted, [(state, None) for state, _ in steps], has_years)
        (Path(base) / "here").rename(Path(base) / "away")
        assert live_through(Path(base) / "here", kind, planted, steps, has_years) == calm
        left = {name for name, what in calm[-1][0].items() if what != "dir"}
        assert left == planted
        assert calm[-1][1:] == ({}, set())


@crashes_anywhere
@settings(max_examples=80, deadline=None)
def test_after_a_crash_anywhere_nothing_that_was_done_passes_for_somebodys_doing(
    kind: LinkKind, planted: set[str], steps: list[tuple[State, Crash | None]], has_years: bool
) -> None:
    with tempfile.TemporaryDirectory() as base:
        world = World(Path(base) / "here", kind, has_years=has_years)
        for name in planted:
            plant(world.people / name)
        for state, crash in steps:
            wanted = [world.person(n, name, *photos) for n, (name, photos) in state.items()]
            if crash is not None and (todo := run_and_crash(world, wanted, *crash)):
                assert resume(intents_of(todo, kind), world.people, world.ledger.folders, world.ledger)
                world.ledger.commit()
                assert seen_in(world, planted).n_changes == 0
            world.run(*wanted)
            assert seen_in(world, planted).n_changes == 0


def seen_in(world: World, planted: set[str]) -> ReadBack:
    """Return what seems to have been done by somebody since that was planted."""

    def photo_of(path: str, entry: FolderEntry) -> int | None:
        photo = Path(path).parent / entry.target if entry.kind == "symlink" else None
        content = Path(path).read_bytes()
        inside = str(photo.resolve().relative_to(world.photos.resolve())) if photo else content.decode()[6:]
        return hash_of(inside) if content.startswith(b"photo ") else None

    view = read_view(world.people, world.ledger.links.values(), photo_of, own=frozenset(planted))
    return read_back(world.ledger.folders, view, most_changes=200)


def live_through(
    base: Path, kind: LinkKind, planted: set[str], steps: list[tuple[State, Crash | None]], has_years: bool = False
) -> list[Life]:
    """Return what is on disk and in the ledger after each step."""
    world = World(base, kind, has_years=has_years)
    for name in planted:
        plant(world.people / name)
    lives = []
    for state, crash in steps:
        wanted = [world.person(n, name, *photos) for n, (name, photos) in state.items()]
        if crash is not None:
            run_and_crash(world, wanted, *crash)
        world.run(*wanted)
        known = {(link.person_id, link.photo_id, link.path) for link in world.ledger.links.values()}
        lives.append((world.tree(), dict(world.ledger.folders), known))
    return lives


def plant(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"mine: {path.name}")


def run_and_crash(
    world: World, wanted: list[WantedFolder], after: int, n_lost: int, is_half_way: bool
) -> Sequence[Action]:
    """Apply until a call that nobody hears any more, or until a link is about to be made; return what was intended."""
    intended: Sequence[Action] = ()

    def intend(actions: Sequence[Action]) -> None:
        nonlocal intended
        intended = actions

    todo = world.plan(wanted)
    world.ledger.wake(None if is_half_way else after, n_lost)
    left = iter(range(after))

    def fragile(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if is_half_way and next(left, None) is None:
            if kind == "copy":
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=dir_fd))
            world.ledger.crash()
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    try:
        apply(todo, world.people, kind=world.kind, ledger=world.ledger, make_link=fragile, intend=intend)
    except CrashError:
        pass
    finally:
        world.ledger.wake()
    return intended


def test_the_rest_of_a_half_written_copy_goes(tmp_path: Path) -> None:
    world = World(tmp_path, "copy")
    (world.people / ".facewatch.part").write_text("half")
    world.run(world.person(5, "Anna", "a.jpg"))
    assert world.tree() == {"Anna": "dir", "Anna/a.jpg": "photo a.jpg"}


# What goes wrong -----------------------------------------------------------------------------------------------------


def failing(number: int, after: int = 0) -> LinkMaker:
    left = iter(range(after))

    def make(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if next(left, None) is None:
            raise OSError(number, os.strerror(number))
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    return make


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_or_read_only_disk_stops_the_work_and_what_was_done_is_recorded(each_kind: World, number: int) -> None:
    anna = each_kind.person(5, "Anna", "a.jpg", "b.jpg", "c.jpg")
    todo = each_kind.plan([anna])
    with pytest.raises(FolderError, match=r"People: is on a (full|read-only) disk \(.+\): .+"):
        apply(todo, each_kind.people, kind=each_kind.kind, ledger=each_kind.ledger, make_link=failing(number, 1))
    assert [link.path for link in each_kind.ledger.links.values()] == ["Anna/a.jpg"] == each_kind.names()
    assert each_kind.run(anna).n_made == 2


def test_one_bad_link_does_not_stop_the_others(tmp_path: Path) -> None:
    world = World(tmp_path, "copy")
    wanted = world.person(5, "Anna", "a.jpg", "b.jpg")
    (world.photos / "a.jpg").unlink()
    done = apply(world.plan([wanted]), world.people, kind="copy", ledger=world.ledger)
    assert done.n_made == 1
    assert len(done.faults) == 1
    assert world.names() == ["Anna/b.jpg"]


def test_a_copy_that_breaks_off_leaves_nothing_and_does_not_stop_the_others(tmp_path: Path) -> None:
    def break_off(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        make_link(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)
        if target.endswith("a.jpg"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    world = World(tmp_path, "copy")
    todo = world.plan([world.person(5, "Anna", "a.jpg", "b.jpg")])
    done = apply(todo, world.people, kind="copy", ledger=world.ledger, make_link=break_off)
    assert len(done.faults) == 1
    assert world.tree() == {"Anna": "dir", "Anna/b.jpg": "photo b.jpg"}


def test_a_folder_that_cannot_be_made_is_one_fault(world: World) -> None:
    todo = world.plan([world.person(5, "Anna", "a.jpg", "b.jpg")])
    (world.people / "Anna").write_text("mine")
    done = apply(todo, world.people, kind="symlink", ledger=world.ledger)
    assert len(done.faults) == 1
    assert world.ledger.folders == {}


def test_a_folder_that_vanishes_after_the_plan_is_one_fault(world: World) -> None:
    world.run(world.person(5, "Anna", "a.jpg"))
    todo = world.plan([world.person(5, "Anna", "a.jpg", "b.jpg", "c.jpg")])
    shutil.rmtree(world.people / "Anna")
    assert len(apply(todo, world.people, kind="symlink", ledger=world.ledger).faults) == 1


def test_a_folder_that_cannot_be_read_does_not_pass_for_empty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    world.run(world.person(5, "Anna", "a.jpg"))
    with monkeypatch.context() as patch:  # root may read everything, and tests may run as root
        patch.setattr(os, "scandir", refuse)
        with pytest.raises(FolderError, match=r"cannot be read \(Permission denied\): give facewatch the right"):
            world.plan([])


def test_an_unplugged_disk_is_not_a_deletion(world: World) -> None:
    world.run(world.person(5, "Anna", "a.jpg"))
    world.people.rename(world.base / "unplugged")
    with pytest.raises(FolderError, match="connect its disk"):
        world.plan([])
    world.people.mkdir()
    with pytest.raises(FolderError, match="connect its disk"):
        world.plan([])


def test_a_plan_can_be_shown_before_the_people_folder_exists(tmp_path: Path) -> None:
    wanted = [WantedFolder(1, "Anna", (wanted_link(1, tmp_path / "a.jpg"),))]
    disk = read_disk(tmp_path / "People", wanted, [], {}, "symlink")
    assert len(plan(wanted, [], {}, disk, "symlink").describe()) == 2


# The people folder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_people_folder_is_made_and_marked(tmp_path: Path, kind: LinkKind) -> None:
    root = tmp_path / "new" / "People"
    for _ in range(2):
        check_people_folder(root, "library 1", kind)
        assert inside(root) == [".facewatch"]
        assert json.loads((root / ".facewatch").read_text())["library"] == "library 1"


def test_the_folder_of_another_library_is_refused(tmp_path: Path) -> None:
    check_people_folder(tmp_path, "library 1", "symlink")
    with pytest.raises(
        FolderError, match=r"another library \(library 1; this one is library 2\), perhaps .*--take-over"
    ):
        check_people_folder(tmp_path, "library 2", "symlink")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ".facewatch").write_text(text)
    with pytest.raises(FolderError, match=r"\.facewatch: cannot be read; if its disk is away"):
        check_people_folder(tmp_path, "library 1", "symlink")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody can write")
@pytest.mark.parametrize("root", ["/proc/self", "/proc/People"])
def test_a_folder_that_cannot_be_written_is_refused(root: str) -> None:
    with pytest.raises(FolderError, match=rf"{root}: cannot be written \(.+\): give facewatch the right"):
        check_people_folder(Path(root), "library 1", "symlink")


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "People").write_text("mine")
    with pytest.raises(FolderError, match="is not a folder"):
        check_people_folder(tmp_path / "People", "library 1", "symlink")


def refusing(number: int, *kinds: LinkKind) -> LinkMaker:
    """Return what fails to make links of these kinds, and makes those of others; reflinks as copies."""

    def make(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        if kind in kinds:
            raise OSError(number, os.strerror(number))
        sharing(kind, target, name, target_fd=target_fd, dir_fd=dir_fd)

    return make


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES])
def test_a_disk_without_such_links_names_the_kinds_that_it_can_hold(tmp_path: Path, number: int) -> None:
    def check(*kinds: LinkKind) -> None:
        check_people_folder(tmp_path, "library 1", kinds[0], make_link=refusing(number, *kinds))

    with pytest.raises(
        FolderError, match=r'cannot hold a symlink \(.+\): set link = "hardlink" or "reflink" or "copy"'
    ):
        check("symlink")
    with pytest.raises(FolderError, match=r'cannot hold a reflink \(.+\): set link = "copy"$'):
        check("reflink", "symlink", "hardlink")
    with pytest.raises(FolderError, match=r"cannot hold a copy \(.+\): choose another people folder"):
        check("copy", "symlink", "hardlink", "reflink")
    assert inside(tmp_path) == [".facewatch"]


@pytest.mark.parametrize(("kind", "called"), [("hardlink", "hard links"), ("reflink", "reflinks")])
def test_links_that_need_one_file_system_say_so(tmp_path: Path, kind: LinkKind, called: str) -> None:
    maker = refusing(errno.EXDEV, "hardlink", "reflink")
    with pytest.raises(FolderError, match=rf'{called} need .+ on one file system, .+: set link = "symlink" or "copy"'):
        check_people_folder(tmp_path, "library 1", kind, make_link=maker)


def test_a_reflink_shares_what_the_photo_holds_or_is_refused(tmp_path: Path) -> None:
    """Nothing is copied where a file system cannot do that (ext4), or another one is asked for it."""
    world = World(tmp_path, "reflink")
    todo = world.plan([world.person(1, "Anna", "a.jpg")])
    done = apply(todo, world.people, kind="reflink", ledger=world.ledger)
    made, source = world.people / "Anna" / "a.jpg", world.photos / "a.jpg"
    if done.faults:
        assert re.fullmatch(r"cannot make Anna/a\.jpg -> .+: Operation not supported", done.faults[0])
        assert world.names() == []
        assert world.ledger.links == {}
    else:
        assert (made.read_bytes(), made.stat().st_mtime_ns) == (source.read_bytes(), source.stat().st_mtime_ns)
        assert not made.samefile(source)
        assert world.plan([world.person(1, "Anna", "a.jpg")]).is_empty


# Names ---------------------------------------------------------------------------------------------------------------

HOSTILE = ["..", ".", "", " ", "...", "a/b", "a\\b", "CON", "con .jpg", "nul.txt", "COM1", "LPT¹", ".hidden", "a. . ",
           "\u202egpj.exe", "a\u200bb", "\ud800", "\udcff.jpg", "e\u200d\u0301", "\x00", "a\u00a0.",
           "x" * 300 + ".jpeg", "é" * 200, "a." + "b" * 300, "." * 300,
           "con" + " " * 300 + ".jpg", "日本" * 100 + ".jpg"]  # fmt: skip


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=400), st.text("a .\u3000\u0301\U0001f468é", max_size=300)))
@settings(max_examples=400, deadline=None)
def test_a_safe_name_is_one_harmless_component(name: str) -> None:
    safe = safe_name(name)
    assert safe_name(safe) == safe == unicodedata.normalize("NFC", safe)
    assert 0 < len(safe.encode()) <= 255
    assert safe[0] != "."
    assert safe[-1] not in ". "
    assert not set(safe) & set('/\\:*?"<>|')
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in safe if c not in "\u200c\u200d")
    assert safe.split(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1", "com¹", "lpt¹"}


@pytest.mark.parametrize(
    "name",
    [
        *("Anna", "Zoë & Jürgen", "山田 花子", "نور", "Dr. O'Neil", "👩 (mum)", "👩\u200d🦰"),
        "\u0645\u0647\u062f\u06cc\u200c\u06cc\u0627\u0631",
    ],
)
def test_ordinary_names_are_kept(name: str) -> None:
    assert safe_name(name) == name


def test_a_long_name_keeps_its_extension(world: World) -> None:
    assert safe_name("é" * 200 + ".jpeg").endswith("é.jpeg")
    long = "x" * 250 + ".jpg"
    world.run(world.person(5, "Anna" * 80, f"a/{long}", f"b/{long}", f"c/b/{long}"))
    assert all(name.endswith(".jpg") for name in world.names())
    assert len(world.names()) == 3


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_the_people_folder(world: World, name: str) -> None:
    before = inside(world.base)
    world.run(world.person(1, name, "a.jpg"), world.person(2, name, "a.jpg"))
    assert inside(world.base) == before
    assert len(world.names()) == 2
    world.run()
    assert world.tree() == {}


@pytest.mark.skipif(os.name == "nt", reason="names are bytes only on POSIX")
def test_photos_of_undecodable_names_are_linked(world: World) -> None:
    world.run(world.person(1, "Anna", os.fsdecode(b"\xff.jpg"), os.fsdecode(b"\xfe.jpg"), "CON", "a\nb.jpg"))
    assert all((world.people / name).is_file() for name in world.names())
    assert len(world.names()) == 4


# Speed ---------------------------------------------------------------------------------------------------------------


class DeafLedger(FakeLedger):
    def link_made(self, person_id: int, photo_id: int, path: str, source: str, stamp: str) -> None:
        """Forget it."""


def test_a_folder_of_five_thousand_is_renamed_at_once(world: World) -> None:
    links = tuple(wanted_link(n, world.photos / str(n % 50) / f"IMG_{n}.jpg") for n in range(5_000))
    first, second = WantedFolder(1, "Anna", links), WantedFolder(1, "Anne", links)
    apply(world.plan([first]), world.people, kind="symlink", ledger=DeafLedger())
    found = read_disk(world.people, [first], [], {}, "symlink").folders["Anna"]
    records = [
        RecordedLink(n, 1, n, f"Anna/IMG_{n}.jpg", links[n].sources[0], found[f"IMG_{n}.jpg"].stamp("symlink"))
        for n in range(5_000)
    ]
    started = time.process_time()
    disk = read_disk(world.people, [second], records, {1: "Anna"}, "symlink")
    todo = plan([second], records, {1: "Anna"}, disk, "symlink")
    world.ledger.folders = {1: "Anna"}
    apply(todo, world.people, kind="symlink", ledger=world.ledger)
    assert todo.actions == (MoveFolder(1, "Anna", "Anne"),)
    assert time.process_time() - started < 1  # 0.1 s on a quiet machine


def test_a_plan_is_made_of_named_steps(world: World) -> None:
    todo = world.plan([world.person(1, "Anna", "a.jpg")])
    link = todo.actions[-1]
    assert isinstance(link, MakeLink)
    assert (link.path, link.target, link.is_done) == ("Anna/a.jpg", "../../Photos/a.jpg", False)
