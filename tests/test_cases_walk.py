"""Cases from real libraries: what file systems say of files, and what other programs keep among photos."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from PIL import Image

from facewatch.catalog.opening import time_of
from facewatch.checks.doctor.case import walk as doctor_walk
from facewatch.config import FOREIGN_FILES, FOREIGN_FOLDERS, load_config
from facewatch.engines import fake
from facewatch.evaluation.analyses import Analyses, analyse_photos
from facewatch.evaluation.labelled import read_labels
from facewatch.indexing.analyzer import AnalysisResult, Examination, LibraryFile, Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.library.scan import walk
from facewatch.pipeline import ScanResult
from facewatch.settings import rules_of
from facewatch.types import Fingerprint, written_at
from facewatch.watcher.events import Events
from facewatch.watcher.loop import WatchLoop

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
    assert (first.files.n_new, first.files.n_other, first.files.n_faulty) == (2, 1, 0)
    assert lenient.groups() == [{"far.png", "near.png"}]
    again = lenient.scan()
    assert (again.files.n_new, again.files.n_known, again.files.n_other) == (0, 0, 0)


def test_a_known_photo_that_gets_a_far_time_keeps_nobody_from_being_recorded(lenient: Library) -> None:
    known = lenient.draw("known.png", (1, 0))
    lenient.scan()
    set_time(known, YEAR_2300)
    lenient.draw("new.png", (1, 1))
    assert lenient.scan().files.n_new == 1
    set_time(lenient.draw("changed.png", (1, 2)), 2 * YEAR_2300)
    assert lenient.scan().files.n_new == 1


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
    assert lenient.scan().files.n_moved == 1


@pytest.mark.parametrize("seconds", FAR)
def test_a_backup_with_a_far_time_is_told_of_as_any_other(
    lenient: Library, seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from facewatch.catalog.backup import Backups
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
    assert (result.files.n_new, result.files.n_faulty) == (1, 1)
    with library.app() as app:
        [fault] = app.status().faults
    assert fault.fault.text == "too large for a photo: 4398047 MB"


# --- a change that keeps size, time and inode ---


class Counting(InlineWorkers):
    """Looks at photos in this process, and counts."""

    def __init__(self) -> None:
        super().__init__(Recipe("fake"), fake.FakeEngine())
        self.n_read = self.n_analysed = 0

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        self.n_read += 1
        return super().examine(photo)

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
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
    workers = Counting()
    with library.app(settings, workers=workers) as app:
        return app.pipeline.scan(), workers.n_read, workers.n_analysed


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
    assert family.scan().files.n_faulty == 1
    assert family.groups() == [{"1.png", "2.png"}]
    write_in_place(photo, whole)
    assert family.scan().files.n_faulty == 0
    assert family.groups() == [{"0.png", "1.png", "2.png"}]


def test_a_photo_changed_in_place_is_looked_at_again_and_once(family: Library) -> None:
    other = draw(family, "other.png", (5, 0)).read_bytes()
    (family.photos / "other.png").unlink()
    write_in_place(family.photos / "0.png", other)
    result, n_read, n_analysed = scanned(family)
    assert (result.files.n_new, n_read, n_analysed) == (1, 1, 1)
    assert family.groups() == [{"1.png", "2.png"}]
    assert scanned(family)[1:] == (0, 0)


def test_a_photo_replaced_by_rename_with_its_time_and_size_kept_is_looked_at_again(family: Library) -> None:
    photo = family.photos / "0.png"
    before = photo.stat()
    draw(family, "new.png", (5, 0)).rename(photo)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert family.scan().files.n_new == 1


def test_new_rights_cost_one_reading_and_nothing_else(family: Library) -> None:
    for photo in family.photos.iterdir():
        photo.chmod(0o600)
    result, n_read, n_analysed = scanned(family)
    assert (result.files.n_known, result.files.n_same, result.files.n_new, n_read, n_analysed) == (3, 3, 0, 3, 0)
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
    assert (result.files.n_moved, n_read) == (1, 0)
    assert scanned(family)[1] == 0


def test_a_photo_that_is_moved_and_then_changed_in_place_is_looked_at_again(family: Library) -> None:
    other = draw(family, "other.png", (5, 0)).read_bytes()
    (family.photos / "other.png").unlink()
    moved = (family.photos / "0.png").rename(family.photos / "moved.png")
    family.scan()
    write_in_place(moved, other)
    assert family.scan().files.n_new == 1


def test_hard_links_that_facewatch_makes_and_removes_cost_no_reading(library: Library) -> None:
    for i in range(3):
        draw(library, f"{i}.png", (1, i))
    scanned(library, **{"folders.link": "hardlink"})
    assert (library.photos / "0.png").stat().st_nlink == 2
    assert scanned(library, **{"folders.link": "hardlink"})[1] == 0
    assert scanned(library, **{"folders.link": "symlink"})[1] == 0
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


def test_new_rights_every_other_month_are_not_in_a_row(family: Library) -> None:
    for i in range(6):
        for photo in family.photos.iterdir():
            photo.chmod(0o600 + i % 2 * 4)
        assert scanned(family)[1] == 3
        told(family, "UPDATE files SET seen_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-60 days')")
    write_in_place(family.photos / "0.png", bytes((family.photos / "0.png").stat().st_size))
    assert family.scan().files.n_faulty == 1


def test_where_inodes_mean_nothing_files_are_not_read_again_and_again(family: Library) -> None:
    n_reads = []
    for _ in range(6):
        for photo in list(family.photos.iterdir()):
            shutil.copy2(photo, family.base / "copy")
            (family.base / "copy").replace(photo)
        n_reads.append(scanned(family)[1])
    assert n_reads == [3, 3, 3, 0, 0, 0]
    assert family.groups() == [{"0.png", "1.png", "2.png"}]


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
    assert family.scan().files.n_faulty == 1
    # A fault of that time is tried once, whatever may have happened meanwhile.
    told(family, "UPDATE files SET ctime_ns = NULL")
    assert [scanned(family)[1] for _ in range(2)] == [1, 0]


def test_the_watcher_acts_on_a_change_in_place_that_it_hears_of(family: Library) -> None:
    photo = family.photos / "0.png"
    whole = photo.read_bytes()
    now = [0.0]
    workers = Counting()
    with family.app(workers=workers) as app:
        loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])

        def hear(*paths: str) -> None:
            loop.step({family.photos: Events(frozenset(paths))})
            now[0] += 3.0
            loop.step({})

        hear()
        assert workers.n_read == 0
        write_in_place(photo, bytes(len(whole)))
        hear("0.png")
        assert app.status().faults
        write_in_place(photo, whole)
        hear("0.png")
        assert not app.status().faults
        assert workers.n_read == 2
        hear("0.png", "1.png")
        assert workers.n_read == 2
    assert family.groups() == [{"0.png", "1.png", "2.png"}]


def test_the_hourly_look_finds_a_change_in_place_that_nobody_heard_of(family: Library) -> None:
    now = [0.0]
    with family.app() as app:
        loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
        loop.step({})
        write_in_place(family.photos / "0.png", bytes((family.photos / "0.png").stat().st_size))
        for _ in range(3):
            now[0] += 3700.0
            loop.step({})
        assert app.status().faults


# --- what other programs keep among photos ---

FOREIGN = [
    "Photos Library.photoslibrary/resources/derivatives/F/x.jpeg",
    "Photos Library.photoslibrary/scopes/cloudsharing/x.jpeg",
    "Old.PhotosLibrary/resources/x.jpg",
    "Photos Library.photoslibrary/x.jpg",
    "iPhoto Library.photolibrary/Thumbnails/2012/a_1024.jpg",
    "iPhoto Library.migratedphotolibrary/Previews/2012/a.jpg",
    "iPhoto Library/Data/2005/a.jpg",
    "iPhoto Library/Modified/2005/a.jpg",
    "iPhoto/Data.noindex/2009/a.jpg",
    "iPhoto/Modified/2009/a.jpg",
    "Lightroom Library.lrlibrary/abc123/smartpreviews/x.dng",
    "photoprism/cache/thumbnails/x.jpg",
    "card/PRIVATE/M4ROOT/THMBNL/C0001T01.JPG",
    "srv/profile/u/x.jpg",
    "x.jpg_exiftool_tmp",
    "Aperture Library.aplibrary/Thumbnails/2012/b_face0.jpg",
    "Lightroom/LR Previews.lrdata/0/0A12/0A12BEEF-1024",
    "Lightroom/LR.lrcat-data/x.jpg",
    "Lightroom Library.lrlibrary/abc123/previews/x.jpg",
    "C1.cocatalog/Cache/Thumbnails/x.jpg",
    "C1/Cache/Thumbnails/x.jpg",
    "Session/CaptureOne/Cache/Proxies/x.jpg",
    "@Recycle/x.jpg",
    "#RECYCLE/x.jpg",
    "$Recycle.Bin/S-1-5-21/$RABC.jpg",
    "recycler/S-1-5-21/Dc1.jpg",
    "USB/RECYCLED/Dc1.jpg",
    "#snapshot/GMT-2019/x.jpg",
    "@Recently-Snapshot/GMT-2019/x.jpg",
    "lost+found/#12345",
    "System Volume Information/x.jpg",
    "FOUND.000/FILE0001.jpg",
    "nc/anna/files_trashbin/files/x.jpg.d1600000000",
    "nc/anna/files_versions/x.jpg.v1600000001",
    "nc/anna/uploads/web-file-upload-1/0000001",
    "nc/appdata_ocabc123/preview/1/2/3/1024-1024-max.jpg",
    "immich/thumbs/u/aa/bb/x-preview.jpeg",
    "srv/thumbs/u/aa/bb/x-preview.jpeg",
    "data/thumbs/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/aa/bb/x-thumbnail.webp",
    "marked/thumbs/u/x.jpg",
    "SYNOFILE_THUMB_XL.jpg",
    "synophoto_thumb_m.jpg",
    "@eadir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
    "Takeout/Google Photos/Bin/x.jpg",
    "Takeout/Google Fotos/Papierkorb/x.jpg",
    "x.jpg_original",
    "x.HEIC_original",
    "x.jpg.bak",
    "x.JPG~",
    "x.jpg.orig",
    "x.jpg.part",
    "x.jpg.ocTransferId123.part",
    "x.jpg.crdownload",
    "x.jpg.PARTIAL",
    "x.jpg.filepart",
    "x.jpg.aria2",
    "x.jpg.!qB",
    "x.jpg.tmp",
    "x.jpg.download/x.jpg",
    "Films/film.trickplay/320 - 10x10/0.jpg",
    "__MACOSX/x.jpg",
    "Mylio/Generated Images.bundle/0/x.jpg",
    "card/LOST.DIR/12345",
    "jf/metadata/People/A/Anna/folder.jpg",
    "(A Document Being Saved By Preview)/x.jpg",
    "x.jpg.bak2",
    "x.jpg.old",
    "x.jpg.~1~",
    "x.jpg.sb-8a5b2c3d-AbCdEf",
    "._x.jpg",
    ".dtrash/files/x.jpg",
    "Mobile/.trashed-1700000000-x.jpg",
]

OWN = [
    "Photos Library.photoslibrary/originals/F/x.jpeg",
    "Old.PhotosLibrary/Masters/2014/x.jpg",
    "iPhoto Library.photolibrary/Masters/2012/a.jpg",
    "iPhoto Library.migratedphotolibrary/Originals/2006/a.jpg",
    "iPhoto Library/Originals/2005/a.jpg",
    "Aperture Library.aplibrary/Masters/2012/b.jpg",
    "Lightroom Library.lrlibrary/abc123/originals/x.jpg",
    "C1.cocatalog/Originals/x.jpg",
    "C1/x.jpg",
    "Session/Capture/x.jpg",
    "CaptureOne/Output/x.jpg",
    "Cache/x.jpg",
    "Trash the dress/x.jpg",
    "Trash/x.jpg",
    "Bin/x.jpg",
    "Papierkorb/x.jpg",
    "Recycled/x.jpg",
    "Snapshots/x.jpg",
    "snapshot/x.jpg",
    "thumbs/x.jpg",
    "thumbs/2019/05/12/x.jpg",
    "uploads/x.jpg",
    "thumbnails/x.jpg",
    "Originals/x.jpg",
    "previews/x.jpg",
    "Backup/x.jpg",
    "2019.bak/x.jpg",
    "Partial.part/x.jpg",
    "St.Jean_original/x.jpg",
    "old~/x.jpg",
    "original.jpg",
    "x_original.jpg",
    "Modified/x.jpg",
    "Data/x.jpg",
    "me/profile/x.jpg",
    "x.bak.jpg",
    "part.jpg",
    "grandma.old",
    "People/x.jpg",
    "metadata/x.jpg",
]

SIGNS = ["C1/C1.cocatalogdb", "USB/RECYCLED/INFO2", "srv/encoded-video/.immich", "marked/thumbs/.immich"]
SIGNS += ["srv/profile/.immich", "iPhoto/AlbumData.xml"]
"""What else lies there and tells what the folder is."""


def make(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


DEFAULTS = rules_of(load_config(None, {}, cwd=Path("/")))


def test_what_other_programs_keep_is_passed_over_and_what_people_keep_is_not(tmp_path: Path) -> None:
    make(tmp_path, *FOREIGN, *OWN, *SIGNS)
    found = set(walk(tmp_path, DEFAULTS).files) - {*SIGNS}
    assert found == {*OWN}
    everything = [*FOREIGN, *OWN]
    assert [path for path in everything if DEFAULTS.allows(path, tmp_path)] == OWN


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("My.photoslibrary", {"originals/F/x.jpeg"}),
        ("My.photoslibrary/originals", {"F/x.jpeg"}),
        ("My.photoslibrary/resources", {"derivatives/x.jpeg"}),
        ("@Recycle", {"x.jpg"}),
        ("immich", {"upload/x.jpg"}),
        ("immich/thumbs", {"u/x.jpg"}),
    ],
)
def test_a_library_may_itself_be_in_what_other_programs_keep(tmp_path: Path, root: str, found: set[str]) -> None:
    package = ("My.photoslibrary/originals/F/x.jpeg", "My.photoslibrary/resources/derivatives/x.jpeg")
    make(tmp_path, *package, "@Recycle/x.jpg", "immich/thumbs/u/x.jpg", "immich/upload/x.jpg")
    assert set(walk(tmp_path / root, DEFAULTS).files) == found
    (tmp_path / "link").symlink_to(tmp_path / root)
    assert set(walk(tmp_path / "link", DEFAULTS).files) == found


def test_the_lists_of_what_other_programs_keep_can_be_changed_and_emptied(tmp_path: Path) -> None:
    make(tmp_path, "@Recycle/a.jpg", "X.photoslibrary/resources/b.jpg", "c.jpg.bak", "d.png")

    def found(**settings: list[str]) -> set[str]:
        overrides = {f"library.{key}": value for key, value in settings.items()}
        return set(walk(tmp_path, rules_of(load_config(None, overrides, cwd=tmp_path))).files)

    assert found() == {"d.png"}
    assert found(exclude=["*.PNG"]) == set()
    assert found(exclude_folders=[]) == {"@Recycle/a.jpg", "X.photoslibrary/resources/b.jpg", "d.png"}
    assert found(exclude_folders=["@recycle"]) == {"X.photoslibrary/resources/b.jpg", "d.png"}
    assert found(exclude_files=[]) == {"c.jpg.bak", "d.png"}


def test_init_shows_what_is_passed_over(run: Any, library: Library) -> None:
    file = library.base / "facewatch.toml"
    assert run("init", str(library.photos), "--config", str(file)).code == 0
    text = file.read_text()
    for entry in (*FOREIGN_FOLDERS, *FOREIGN_FILES):
        assert f'"{entry}"' in text
    assert rules_of(load_config(file, {}, cwd=library.base)) == DEFAULTS


def test_status_counts_what_was_passed_over(run: Any, library: Library) -> None:
    library.draw("a.png", (1, 0))
    make(library.photos, "@Recycle/b.jpg", "x/@recycle/c.jpg", "x.jpg_original", ".hidden/x", "y/.nomedia", "y/y.jpg")
    library.scan()
    counts = [
        {"rule": "@Recycle", "n_folders": 2, "n_files": 0},
        {"rule": "*.???_original", "n_folders": 0, "n_files": 1},
        {"rule": ".nomedia", "n_folders": 1, "n_files": 0},
        {"rule": "hidden", "n_folders": 1, "n_files": 0},
    ]
    assert json.loads(run("status", "--json").out)["passed_over"] == counts
    assert "passed over  4 folders and 1 file: @Recycle 2; *.???_original 1; .nomedia 1; hidden 1" in run("status").out
    assert "@Recycle" in run("status", "--all").out
    (library.photos / "x.jpg_original").unlink()
    library.scan()
    assert len(json.loads(run("status", "--json").out)["passed_over"]) == 3


ALL = {"library.exclude_folders": [], "library.exclude_files": []}


def test_photos_that_are_passed_over_from_now_on_lose_their_links_and_keep_their_decisions(library: Library) -> None:
    library.draw("a.png", (1, 0))
    for i in range(1, 5):
        library.draw(f"@Recycle/{i}.png", (1, i))
    library.scan(**ALL)
    with library.app(ALL) as app, app.corrections.deciding() as decisions:
        [person] = app.catalog.people.all()
        decisions.rename(str(person.id), "Anna")
    result = library.scan()
    assert (result.files.n_missing, result.files.n_new) == (4, 0)
    assert library.groups() == [{"a.png"}]
    assert not library.scan().files.n_missing
    with library.app() as app:
        assert not app.status().health.offline
    back = library.scan(**ALL)
    assert (back.files.n_new, back.files.n_known) == (0, 4)
    assert [link.partition("/")[0] for link in library.tree()] == ["Anna"] * 5


def test_a_library_of_which_all_is_passed_over_from_now_on_is_not_offline(library: Library) -> None:
    library.draw_looks(1, 3, "@Recycle/")
    library.scan(**ALL)
    told(library, "UPDATE roots SET device = 12345")  # and the drive has got another number meanwhile
    assert library.scan().files.n_missing == 3
    assert library.tree() == {}


def test_the_watcher_forgets_photos_that_are_passed_over_from_now_on_and_listens_to_none(library: Library) -> None:
    library.draw("a.png", (1, 0))
    for i in range(1, 4):
        library.draw(f"@Recycle/{i}.png", (1, i))
    library.scan(**ALL)
    now = [0.0]
    with library.app() as app:
        loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
        loop.step({})
        assert app.catalog.files.counts()["files"] == 1
        for path in ("@Recycle/1.png", "b.jpg.part"):
            loop.step({library.photos: Events(frozenset({path}))})
        now[0] += 5.0
        loop.step({})
        assert app.catalog.files.counts()["files"] == 1
        assert app.libraries.rules.skips("@Recycle", library.photos)
    assert library.groups() == [{"a.png"}]


def test_photos_in_a_folder_that_gets_a_mark_lose_their_links_while_watching(library: Library) -> None:
    for i in range(3):
        library.draw(f"{'private' if i else 'own'}/{i}.png", (1, i))
    now = [0.0]
    with library.app() as app:
        loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
        loop.step({})
        (library.photos / "private" / ".nomedia").touch()
        loop.step({library.photos: Events(frozenset({"private/.nomedia"}), frozenset({"private"}))})
        now[0] += 5.0
        loop.step({})
    assert library.groups() == [{"own/0.png"}]


def test_doctor_counts_nothing_that_other_programs_keep(library: Library) -> None:
    make(
        library.photos,
        "a.jpg",
        "@Recycle/b/c.jpg",
        "X.photoslibrary/resources/d.jpg",
        "X.photoslibrary/originals/e.jpg",
    )
    walked = doctor_walk(library.photos, **asdict(DEFAULTS), can=lambda *_: True, report=lambda _: None)
    assert (walked.n_folders, walked.n_files) == (3, 2)


def test_labels_are_read_without_what_other_programs_keep(tmp_path: Path) -> None:
    for path in ("Anna/1.jpg", "Anna/2.jpg", "Ben/1.jpg"):
        make(tmp_path, path, f"{path}_original", f"{path}.part")
    make(tmp_path, "@eaDir/x.jpg", "Anna/@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg", ".hidden/x.jpg", "Ben/.hidden.jpg")
    labelled = read_labels(tmp_path, rules=DEFAULTS)
    assert [photo.path for photo in labelled.photos] == ["Anna/1.jpg", "Anna/2.jpg", "Ben/1.jpg"]


def test_what_was_kept_of_an_evaluation_follows_a_change_in_place_and_not_new_rights(library: Library) -> None:
    photo = draw(library, "a.png", (1, 0))
    other = draw(library, "b.png", (2, 0))
    known = Analyses()

    def seen() -> tuple[int, int]:
        """Look at the photo; return how many files were read and analysed."""
        workers = Counting()
        with make_library(Path(tempfile.mkdtemp(dir=library.base))).app(workers=workers) as app:
            analyse_photos(app, workers, [photo], known=known, report=lambda _: None)
        return workers.n_read, workers.n_analysed

    assert [seen(), seen()] == [(1, 1), (0, 0)]
    photo.chmod(0o600)
    assert [seen(), seen()] == [(1, 0), (0, 0)]
    write_in_place(photo, other.read_bytes())
    assert [seen(), seen()] == [(1, 1), (0, 0)]
    os.utime(photo, ns=(0, YEAR_2300 * 10**9))
    assert [seen(), seen()] == [(1, 0), (0, 0)]


def test_a_faulty_file_is_tried_whenever_anything_differs_and_on_odd_drives_every_other_hour(family: Library) -> None:
    photo = family.photos / "0.png"
    write_in_place(photo, bytes(photo.stat().st_size))
    tried = [scanned(family)[1]]
    for i in range(6):
        photo.chmod(0o600 + i % 2 * 4)
        tried.append(scanned(family)[1])
    assert tried == [1, 1, 1, 1, 0, 0, 0]
    told(family, "UPDATE files SET seen_at = '2020-01-01T00:00:00Z'")
    assert [scanned(family)[1] for _ in range(2)] == [1, 0]


def test_a_file_of_which_the_disk_does_not_even_tell_the_kind_keeps_no_other_from_being_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.jpg", "bad.jpg")
    listing = os.scandir

    class Bad:
        name = "bad.jpg"

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            raise OSError(errno.EIO, "Input/output error")

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: [Bad() if e.name == Bad.name else e for e in listing(path)])
        seen = walk(tmp_path, DEFAULTS)
    assert (set(seen.files), dict(seen.unread)) == ({"a.jpg"}, {"bad.jpg": "Input/output error"})
