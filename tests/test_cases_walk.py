"""Cases from real libraries: what file systems say of files, and what other programs keep among photos."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library

from facewatch.catalog.opening import time_of
from facewatch.types import Fingerprint, written_at

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
