"""Cases from real libraries: what file systems say of files, and what other programs keep among photos."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from PIL import Image

from facewatch.catalog.opening import time_of
from facewatch.engines import fake
from facewatch.ingest import Analysed, Examined, InlineAnalyser, LibraryFile, Recipe
from facewatch.service import ScanResult
from facewatch.service.loop import WatchLoop
from facewatch.types import Fingerprint, written_at
from facewatch.watch import Heard

YEAR_2300 = 10_413_792_000

FAR = [YEAR_2300, 99_999_999_999_999, 2**63 - 1, -99_999_999_999_999]
"""Seconds: after 2262, after the year 9999, the last that there are, and long before the year 1."""


@pytest.fixture
def lenient(library: Library) -> Iterator[Library]:
    """A library on a file system that keeps whatever time it is told; what is on disk elsewhere cuts many."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        yield library
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield make_library(Path(folder))


def set_time(file: Path, seconds: int) -> None:
    os.utime(file, ns=(0, seconds * 10**9))
    if file.stat().st_mtime_ns != seconds * 10**9:
        pytest.skip("needs a file system that keeps such a time: /dev/shm")


@pytest.mark.parametrize("seconds", FAR)
def test_a_file_with_a_time_beyond_all_calendars_is_looked_at_as_any_other(lenient: Library, seconds: int) -> None:
    set_time(lenient.draw("far.png", (1, 0)), seconds)
    lenient.draw("near.png", (1, 1))
    note = lenient.photos / "note.txt"
    note.write_text("no photo")
    set_time(note, seconds)
    first = lenient.scan()
    assert (first.n_new, first.n_other, first.n_faulty) == (2, 1, 0)
    assert lenient.groups() == [{"far.png", "near.png"}]
    again = lenient.scan()
    assert (again.n_new, again.n_known, again.n_other) == (0, 0, 0)


def test_a_known_photo_that_gets_a_far_time_keeps_nobody_from_being_recorded(lenient: Library) -> None:
    known = lenient.draw("known.png", (1, 0))
    lenient.scan()
    set_time(known, YEAR_2300)
    lenient.draw("new.png", (1, 1))
    assert lenient.scan().n_new == 1
    set_time(lenient.draw("changed.png", (1, 2)), 2 * YEAR_2300)
    assert lenient.scan().n_new == 1


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_photos_with_far_times_are_linked_copied_and_left_alone_from_then_on(lenient: Library, link: str) -> None:
    for i in range(2):
        set_time(lenient.draw(f"{i}.png", (1, i)), YEAR_2300 + i)
    assert lenient.scan(**{"folders.link": link}).n_links_made == 2
    again = lenient.scan(**{"folders.link": link})
    assert (again.n_links_made, again.n_links_removed) == (0, 0)


def test_a_moved_photo_with_a_far_time_is_not_read_again(lenient: Library) -> None:
    photo = lenient.draw("a.png", (1, 0))
    set_time(photo, YEAR_2300)
    lenient.scan()
    photo.rename(lenient.photos / "b.png")
    assert lenient.scan().n_moved == 1


@pytest.mark.parametrize("seconds", FAR)
def test_a_backup_with_a_far_time_is_told_of_as_any_other(
    lenient: Library, seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from facewatch.catalog.backups import Backups
    from facewatch.cli import main

    lenient.draw("a.png", (1, 0))
    lenient.scan()
    folder = lenient.catalog.with_name("catalog.sqlite.backups")
    folder.mkdir()
    backup = folder / "catalog-2026-01-01.sqlite"
    backup.write_bytes(lenient.catalog.read_bytes())
    assert [one.path for one in Backups(lenient.catalog).all()] == [backup]
    set_time(backup, seconds)
    set_time(lenient.catalog, seconds)
    assert time_of(backup)
    options = ["--catalog", str(lenient.catalog), "--people", str(lenient.people)]
    assert main(["status", *options]) == 0
    assert "last backup" in capsys.readouterr().out
    main(["doctor", *options])
    assert "the newest of" in capsys.readouterr().out


def test_what_a_file_system_says_fits_into_a_column(tmp_path: Path) -> None:
    said: list[Any] = [
        0o100644,
        2**64 - 1,
        2**64 - 1,
        1,
        0,
        0,
        2**64,
        0,
        0,
        0,
        0.0,
        0.0,
        0.0,
        10**30,
        -(10**30),
        10**30,
    ]
    status = os.stat_result(said)
    fingerprint = Fingerprint.of(status)
    for number in (fingerprint.size, fingerprint.mtime_ns, fingerprint.inode):
        assert -(2**63) <= number < 2**63


@pytest.mark.parametrize("seconds", [*FAR, 0, -1, 253_402_300_799])
def test_every_file_time_is_some_date_in_every_time_zone(lenient: Library, seconds: int) -> None:
    file = lenient.photos / "file"
    file.touch()
    set_time(file, seconds)
    assert written_at(file.stat()).astimezone().year


def test_a_file_that_says_it_has_terabytes_is_not_read(library: Library) -> None:
    library.draw("a.png", (1, 0))
    huge = library.draw("huge.png", (1, 1))
    os.truncate(huge, 2**42)  # a hole: takes no room on disk
    result = library.scan()
    assert (result.n_new, result.n_faulty) == (1, 1)
    with library.service() as service:
        [fault] = service.status().faults
    assert fault["fault"] == "too large for a photo: 4398047 MB"


# --- a change that keeps size, time and inode ---


class Counting(InlineAnalyser):
    """Looks at photos in this process, and counts."""

    def __init__(self) -> None:
        super().__init__(Recipe("fake"), fake.FakeEngine())
        self.n_read = self.n_analysed = 0

    def examine(self, photo: LibraryFile) -> Future[Examined]:
        self.n_read += 1
        return super().examine(photo)

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[Analysed | None]:
        self.n_analysed += 1
        return super().analyse(photo, expected)


def draw(library: Library, name: str, *faces: tuple[int, int]) -> Path:
    """Store a photo whose size in bytes does not depend on what is on it."""
    file = library.draw(name, *faces)
    before = file.stat()
    with Image.open(file) as picture:
        picture.load()
    picture.save(file, format="BMP")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    return file


def write_in_place(file: Path, content: bytes) -> None:
    """Give a file other bytes, and keep size, time and inode: `cp -p`, `rsync --inplace`, `exiftool -P`."""
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)


def scanned(library: Library, **settings: Any) -> tuple[ScanResult, int, int]:
    """Scan; return what was done, and how many files were read and analysed."""
    analyser = Counting()
    with library.service(settings, analyser=analyser) as service:
        return service.scan_all(), analyser.n_read, analyser.n_analysed


def told(library: Library, statement: str) -> None:
    """Change the catalog behind the back of the program."""
    with closing(sqlite3.connect(library.catalog)) as db, db:
        db.execute(statement)


@pytest.fixture
def family(library: Library) -> Library:
    """A library of three photos that was scanned."""
    for i in range(3):
        draw(library, f"{i}.png", (1, i))
    library.scan()
    assert library.groups() == [{"0.png", "1.png", "2.png"}]
    return library


def test_a_zeroed_photo_that_is_restored_in_place_is_used_again(family: Library) -> None:
    photo = family.photos / "0.png"
    whole = photo.read_bytes()
    write_in_place(photo, bytes(len(whole)))
    assert family.scan().n_faulty == 1
    assert family.groups() == [{"1.png", "2.png"}]
    write_in_place(photo, whole)
    assert family.scan().n_faulty == 0
    assert family.groups() == [{"0.png", "1.png", "2.png"}]


def test_a_photo_changed_in_place_is_looked_at_again_and_once(family: Library) -> None:
    other = draw(family, "other.png", (5, 0)).read_bytes()
    (family.photos / "other.png").unlink()
    write_in_place(family.photos / "0.png", other)
    result, n_read, n_analysed = scanned(family)
    assert (result.n_new, n_read, n_analysed) == (1, 1, 1)
    assert family.groups() == [{"1.png", "2.png"}]
    assert scanned(family)[1:] == (0, 0)


def test_a_photo_replaced_by_rename_with_its_time_and_size_kept_is_looked_at_again(family: Library) -> None:
    photo = family.photos / "0.png"
    before = photo.stat()
    draw(family, "new.png", (5, 0)).rename(photo)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert family.scan().n_new == 1


def test_new_rights_cost_one_reading_and_nothing_else(family: Library) -> None:
    for photo in family.photos.iterdir():
        photo.chmod(0o600)
    result, n_read, n_analysed = scanned(family)
    assert (result.n_known, result.n_same, result.n_new, n_read, n_analysed) == (3, 3, 0, 3, 0)
    assert (result.n_links_made, result.n_links_removed) == (0, 0)
    assert scanned(family)[1] == 0


def test_files_that_are_no_photos_and_get_new_rights_are_not_read_at_each_scan(family: Library) -> None:
    note = family.photos / "note.txt"
    note.write_text("no photo")
    scanned(family)
    note.chmod(0o600)
    scanned(family)
    assert scanned(family)[1] == 0


def test_a_moved_photo_is_read_neither_now_nor_later(family: Library) -> None:
    (family.photos / "new").mkdir()
    (family.photos / "0.png").rename(family.photos / "new" / "0.png")
    result, n_read, _ = scanned(family)
    assert (result.n_moved, n_read) == (1, 0)
    assert scanned(family)[1] == 0


def test_a_photo_that_is_moved_and_then_changed_in_place_is_looked_at_again(family: Library) -> None:
    other = draw(family, "other.png", (5, 0)).read_bytes()
    (family.photos / "other.png").unlink()
    moved = (family.photos / "0.png").rename(family.photos / "moved.png")
    family.scan()
    write_in_place(moved, other)
    assert family.scan().n_new == 1


def test_hard_links_that_facewatch_makes_and_removes_cost_no_reading(library: Library) -> None:
    for i in range(3):
        draw(library, f"{i}.png", (1, i))
    scanned(library, **{"folders.link": "hardlink"})
    assert (library.photos / "0.png").stat().st_nlink == 2
    assert scanned(library, **{"folders.link": "hardlink"})[1] == 0
    assert scanned(library)[1] == 0
    assert (library.photos / "0.png").stat().st_nlink == 1
    assert scanned(library)[1] == 0


def test_where_ctimes_mean_nothing_files_are_not_read_again_and_again(family: Library) -> None:
    n_reads = []
    for i in range(8):
        for photo in family.photos.iterdir():
            photo.chmod(0o600 + i % 2 * 4)
        n_reads.append(scanned(family)[1])
    assert n_reads == [3, 3, 3, 0, 0, 0, 0, 0]
    told(family, "UPDATE files SET seen_at = '2020-01-01T00:00:00Z'")
    assert [scanned(family)[1] for _ in range(2)] == [3, 0]


def test_a_clock_that_was_set_back_keeps_nothing_from_being_read(family: Library) -> None:
    told(family, "UPDATE files SET n_rereads = 9, ctime_ns = 1, seen_at = '2999-01-01T00:00:00Z'")
    assert scanned(family)[1] == 3


def test_a_changed_photo_is_read_at_once_however_often_it_was_read_in_vain(family: Library) -> None:
    told(family, "UPDATE files SET n_rereads = 9")
    for photo in family.photos.iterdir():
        os.utime(photo)
    assert scanned(family)[1] == 3
    told(family, "UPDATE files SET ctime_ns = 1")
    assert scanned(family)[1] == 3


def test_a_catalog_without_ctimes_costs_no_reading_and_has_them_from_then_on(family: Library) -> None:
    told(family, "UPDATE files SET ctime_ns = NULL")
    assert scanned(family)[1] == 0
    whole = (family.photos / "0.png").read_bytes()
    write_in_place(family.photos / "0.png", bytes(len(whole)))
    assert family.scan().n_faulty == 1
    # A fault of that time is tried once, whatever may have happened meanwhile.
    told(family, "UPDATE files SET ctime_ns = NULL")
    assert [scanned(family)[1] for _ in range(2)] == [1, 0]


def test_the_watcher_acts_on_a_change_in_place_that_it_hears_of(family: Library) -> None:
    photo = family.photos / "0.png"
    whole = photo.read_bytes()
    now = [0.0]
    analyser = Counting()
    with family.service(analyser=analyser) as service:
        loop = WatchLoop(service, should_stop=lambda: False, clock=lambda: now[0])

        def hear(*paths: str) -> None:
            loop.step({family.photos: Heard(frozenset(paths))})
            now[0] += 3.0
            loop.step({})

        hear()
        assert analyser.n_read == 0
        write_in_place(photo, bytes(len(whole)))
        hear("0.png")
        assert service.status().faults
        write_in_place(photo, whole)
        hear("0.png")
        assert not service.status().faults
        assert analyser.n_read == 2
        hear("0.png", "1.png")
        assert analyser.n_read == 2
    assert family.groups() == [{"0.png", "1.png", "2.png"}]


def test_the_hourly_look_finds_a_change_in_place_that_nobody_heard_of(family: Library) -> None:
    now = [0.0]
    with family.service() as service:
        loop = WatchLoop(service, should_stop=lambda: False, clock=lambda: now[0])
        loop.step({})
        write_in_place(family.photos / "0.png", bytes((family.photos / "0.png").stat().st_size))
        for _ in range(3):
            now[0] += 3700.0
            loop.step({})
        assert service.status().faults
