"""Backups and what comes back from them: whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.catalog import USER, Catalog
from facewatch.catalog.backup import Backups, contents_of, write_backup
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import clear_errors
from facewatch.errors import BusyError, CatalogError, DiskFaultError, DiskFullError

NOON = datetime(2026, 3, 4, 12, 0, 0).astimezone()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "c" / "catalog.sqlite", now=lambda: "2026-01-02T03:04:05Z") as catalog:
        yield catalog


def decide(catalog: Catalog, name: str) -> int:
    """A user names a new person."""
    with catalog.write(), catalog.journal.recording(USER, "rename", now=catalog.now()):
        person_id = catalog.people.add(catalog.now())
        catalog.people.rename(person_id, name)
    return person_id


def names_in(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM people WHERE name IS NOT NULL")}


def is_intact(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def fill(catalog: Catalog, n_megabytes: int) -> None:
    """Make the catalog large enough that copying it takes a while."""
    with catalog.write():
        for number in range(n_megabytes):
            catalog._db.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, '\"' || hex(randomblob(500000)) || '\"')", [f"f{number}"]
            )


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- a copy ---


def test_a_copy_is_one_private_file_that_says_when_it_was_taken(catalog: Catalog, tmp_path: Path) -> None:
    decide(catalog, "Anna")
    before = os.umask(0)
    try:
        write_backup(catalog.path, tmp_path / "copy.sqlite", now="2026-05-06T07:08:09Z")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "copy.sqlite") == 0o600
    assert names_in(tmp_path / "copy.sqlite") == {"Anna"}
    contents = contents_of(tmp_path / "copy.sqlite")
    assert (contents.made_at, contents.library_id) == ("2026-05-06T07:08:09Z", catalog.library_id)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "copy.sqlite"]


def test_a_copy_can_be_read_where_nothing_can_be_written(catalog: Catalog, tmp_path: Path) -> None:
    decide(catalog, "Anna")
    folder = tmp_path / "cd"
    folder.mkdir()
    write_backup(catalog.path, folder / "copy.sqlite")
    folder.chmod(0o500)
    try:
        assert contents_of(folder / "copy.sqlite").n_named == 1
        assert [path.name for path in folder.iterdir()] == ["copy.sqlite"]
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_the_catalog_is_never_its_own_backup(catalog: Catalog, suffix: str) -> None:
    target = catalog.path.with_name(catalog.path.name + suffix)
    with pytest.raises(CatalogError, match="that is the catalog itself; name another file"):
        write_backup(catalog.path, target, may_replace=True)


def test_a_second_name_of_the_catalog_is_the_catalog(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").hardlink_to(catalog.path)
    with pytest.raises(CatalogError, match="the catalog itself"):
        write_backup(catalog.path, tmp_path / "other.sqlite", may_replace=True)


def test_a_file_is_replaced_only_when_it_may_be(catalog: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    target.write_text("precious")
    with pytest.raises(CatalogError, match=r"exists; name another file, or replace it with --force"):
        write_backup(catalog.path, target)
    assert target.read_text() == "precious"
    write_backup(catalog.path, target, may_replace=True)
    assert is_intact(target)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/null"), os.mkfifo])
def test_only_a_file_is_replaced(catalog: Catalog, tmp_path: Path, make: Any) -> None:
    make(tmp_path / "target")
    with pytest.raises(CatalogError, match="not a file; name another"):
        write_backup(catalog.path, tmp_path / "target", may_replace=True)


def test_a_copy_that_a_crash_left_half_done_is_removed_by_the_next(catalog: Catalog, tmp_path: Path) -> None:
    part = part_of(catalog, tmp_path)
    part.write_bytes(b"half")
    write_backup(catalog.path, tmp_path / "copy.sqlite")
    assert not part.exists()
    assert is_intact(tmp_path / "copy.sqlite")


def test_what_was_published_before_a_crash_is_not_taken_for_half_done(catalog: Catalog, tmp_path: Path) -> None:
    part, target = part_of(catalog, tmp_path), tmp_path / "copy.sqlite"
    write_backup(catalog.path, target)
    good = target.read_bytes()
    part.hardlink_to(target)
    with pytest.raises(CatalogError, match="exists"):
        write_backup(catalog.path, target)
    assert target.read_bytes() == good


def part_of(catalog: Catalog, folder: Path) -> Path:
    """Return the name of a copy of this target that is not whole yet."""
    seen: list[Path] = []
    write_backup(catalog.path, folder / "copy.sqlite", report=lambda _: seen.extend(folder.glob(".*part")))
    (folder / "copy.sqlite").unlink()
    return seen[0]


def test_two_copies_to_one_place_do_not_disturb_each_other(catalog: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    refused = []

    def copy_again(_: object) -> None:
        with pytest.raises(BusyError, match="another process writes a backup there"):
            write_backup(catalog.path, target)
        refused.append(True)

    write_backup(catalog.path, target, report=copy_again)
    assert refused
    assert is_intact(target)


def test_a_damaged_catalog_gives_no_backup(catalog: Catalog, tmp_path: Path) -> None:
    decide(catalog, "Anna")
    fill(catalog, 2)
    catalog.close()
    damage(catalog.path)
    with pytest.raises(CatalogError, match=f"{catalog.path}: damaged .*; `facewatch restore BACKUP`"):
        write_backup(catalog.path, tmp_path / "copy.sqlite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def damage(path: Path) -> None:
    """Make pages behind the first few unreadable; the schema stays."""
    with path.open("r+b") as file:
        size = path.stat().st_size
        for page in range(4, size // 8192):
            file.seek(page * 8192)
            file.write(b"\xff" * 4096)


def test_a_disk_without_room_is_told_before_it_is_filled(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(
        DiskFullError, match=r"no room for a backup of 0 MB .1 MB are free.; make room, or name a folder"
    ):
        write_backup(catalog.path, tmp_path / "copy.sqlite")


FULL = """
import pathlib, resource, signal, sys
from facewatch.catalog.backup import write_backup
from facewatch.errors import FacewatchError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    write_backup(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
except FacewatchError as error:
    print(error)
"""


@pytest.mark.parametrize("n_bytes", [8192, 1_000_000])
def test_a_disk_that_refuses_to_take_more_leaves_no_half_copy(catalog: Catalog, tmp_path: Path, n_bytes: int) -> None:
    fill(catalog, 3)
    target = tmp_path / "out" / "copy.sqlite"
    target.parent.mkdir()
    command = [sys.executable, "-P", "-c", FULL, str(catalog.path), str(target), str(n_bytes)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the disk is full" in answer.stdout or "the disk failed to read or write" in answer.stdout
    assert not list(target.parent.iterdir())
    assert is_intact(catalog.path)


WRITE = """
import pathlib, sys
from facewatch.catalog import Catalog
with Catalog(pathlib.Path(sys.argv[1])) as catalog:
    print("ready", flush=True)
    while True:
        with catalog.write():
            ids = [catalog.people.add("now") for _ in range(2)]
            catalog.rejections.add_cannot_link(*ids, "now")
"""

DYING = """
import json, os, pathlib, signal, sys, time, traceback
from datetime import datetime
from facewatch.catalog.backup import write_backup
from facewatch.config import load_config
from facewatch.app import restore_backup

what, path, other, people = sys.argv[1], *map(pathlib.Path, sys.argv[2:])

def work(n_steps):
    def report(_):
        nonlocal n_steps
        n_steps -= 1
        if not n_steps:
            os.kill(os.getpid(), signal.SIGKILL)
    if what == "backup":
        write_backup(path, other, may_replace=True, report=report)
    else:
        settings = {"library.catalog": str(path), "library.people": str(people)}
        config = load_config(None, settings, cwd=path.parent)
        restore_backup(config, other, now=datetime.now().astimezone(), report=report)

print("ready", flush=True)
for line in sys.stdin:
    after = json.loads(line)
    child = os.fork()
    if not child:
        try:
            work(after if isinstance(after, int) else 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if isinstance(after, float):
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Starts a process for each line, which dies after so many reports (0: never) or is killed after so many seconds."""

AT_STEPS = (1, 2, 4, 5, 6, 7, 8, 9, 10)
"""After how many reports of progress a process dies; some end before."""
IN_SECONDS = (0.005, 0.02, 0.04, 0.08, 0.12, 0.2)
"""After how long one is killed from outside, whatever it does."""


@contextmanager
def running(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_copy_beside_a_busy_writer_is_of_one_moment(catalog: Catalog, tmp_path: Path) -> None:
    fill(catalog, 10)
    with running(WRITE, catalog.path):
        for number in range(5):
            write_backup(catalog.path, tmp_path / f"{number}.sqlite")
    for number in range(5):
        with closing(sqlite3.connect(tmp_path / f"{number}.sqlite")) as db:
            n_people, n_pairs = (
                db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in ("people", "apart")
            )
            assert n_people == 2 * n_pairs
    assert is_intact(catalog.path)


def is_killed(process: subprocess.Popen[str], after: float) -> bool:
    """Let one of its children work and die; return whether it was still at work."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{json.dumps(after)}\n")
    process.stdin.flush()
    status = int(process.stdout.readline())
    assert status in (0, signal.SIGKILL)
    return status != 0


def test_a_killed_copy_leaves_the_backup_that_was_there(catalog: Catalog, tmp_path: Path) -> None:
    decide(catalog, "Anna")
    target, n_killed = tmp_path / "copy.sqlite", 0
    write_backup(catalog.path, target)
    decide(catalog, "Ben")
    fill(catalog, 8)
    with running(DYING, "backup", catalog.path, target, tmp_path) as process:
        for after in (*AT_STEPS, *IN_SECONDS):
            n_killed += is_killed(process, after)
            assert is_intact(target)
            assert names_in(target) in ({"Anna"}, {"Anna", "Ben"})
            assert catalog.check() == "ok"
    assert n_killed >= 4
    write_backup(catalog.path, target, may_replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "copy.sqlite"]


# --- once a day ---


def test_a_backup_is_due_once_a_day_and_only_when_something_changed(catalog: Catalog) -> None:
    decide(catalog, "Anna")
    backups = Backups(catalog.path)
    first = backups.daily(NOON)
    assert first is not None
    assert first.name == "catalog-2026-03-04.sqlite"
    assert (mode_of(first), mode_of(first.parent)) == (0o600, 0o700)
    catalog.settings.set("looks", "another")
    assert backups.daily(NOON + timedelta(hours=2)) is None
    decide(catalog, "Ben")
    second = backups.daily(NOON + timedelta(days=1))
    assert second is not None
    assert names_in(second) == {"Anna", "Ben"}
    assert backups.daily(NOON + timedelta(days=2)) is None
    # Also to a process that has just started.
    assert Backups(catalog.path).daily(NOON + timedelta(days=3)) is None
    assert [backup.path for backup in backups.all()] == [first, second]


def test_what_a_user_decides_later_that_day_is_in_that_days_backup_an_hour_later(catalog: Catalog) -> None:
    backups = Backups(catalog.path)
    first = backups.daily(NOON)
    assert first is not None
    decide(catalog, "Anna")
    assert backups.daily(NOON + timedelta(minutes=50)) is None
    assert backups.daily(NOON + timedelta(minutes=70)) == first
    assert names_in(first) == {"Anna"}
    assert backups.daily(NOON + timedelta(hours=5)) is None


def test_the_newest_backups_are_kept_and_nothing_else_is_touched(catalog: Catalog) -> None:
    backups = Backups(catalog.path, keep=3)
    backups.folder.mkdir()
    strangers = [backups.folder / name for name in ("notes.txt", "catalog-mine.sqlite", "other-2020-01-01.sqlite")]
    for stranger in strangers:
        stranger.write_text("mine")
    for day in range(6):
        decide(catalog, f"Person of day {day}")
        assert backups.daily(NOON + timedelta(days=day))
    assert [backup.day.day for backup in backups.all()] == [7, 8, 9]
    assert all(stranger.read_text() == "mine" for stranger in strangers)


def test_backups_from_days_to_come_neither_go_nor_drive_out_others(catalog: Catalog) -> None:
    backups = Backups(catalog.path, keep=2)
    for name, moment in (
        ("Anna", NOON),
        ("Ben", NOON + timedelta(days=4000)),  # the clock jumps ahead
        ("Cleo", NOON + timedelta(days=1)),  # and back
        ("Dora", NOON + timedelta(days=2)),
        ("Emil", NOON - timedelta(days=9000)),  # too far
        ("Fritz", NOON + timedelta(days=3)),
    ):
        decide(catalog, name)
        assert backups.daily(moment), name
    kept = [backup.day.isoformat() for backup in backups.all()]
    assert kept == ["2026-03-06", "2026-03-07", "2037-02-14"]


def test_a_backup_that_fails_is_told_once_and_tried_again_an_hour_later(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "drive" / "backups"
    backups = Backups(catalog.path, folder)
    with caplog.at_level(logging.WARNING):
        for hours in (0, 0.5, 1, 2, 3):
            assert backups.daily(NOON + timedelta(hours=hours)) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("no daily backup")
    folder.parent.mkdir()
    assert backups.daily(NOON + timedelta(hours=3.9)) is None, "not before an hour has gone by"
    assert backups.daily(NOON + timedelta(hours=4)) is not None


def test_a_daily_backup_holds_up_no_writer(catalog: Catalog) -> None:
    fill(catalog, 5)
    backups = Backups(catalog.path, report=lambda _: decide(catalog, f"Person {time.monotonic_ns()}") and None)
    path = backups.daily(NOON)
    assert path is not None
    assert names_in(path) == set()
    assert names_in(catalog.path)


def test_what_a_crash_left_in_the_folder_goes_with_the_next_backup(catalog: Catalog) -> None:
    backups = Backups(catalog.path)
    backups.folder.mkdir()
    (backups.folder / ".123456789abc.facewatch-part").write_bytes(b"half")
    assert backups.daily(NOON) is not None
    assert [path.name for path in backups.folder.iterdir()] == ["catalog-2026-03-04.sqlite"]


def test_three_backups_from_before_migrations_are_kept(catalog: Catalog) -> None:
    catalog.close()
    for number in range(5):
        old = catalog.path.with_name(f"catalog.sqlite.before-000{number}_old")
        old.write_bytes(b"")
        os.utime(old, (number, number))
    with closing(sqlite3.connect(catalog.path)) as db:
        name = MIGRATIONS._migrations[-1].name
        db.execute("CREATE TABLE kept AS SELECT 1 AS one")
        db.commit()
    make_older(catalog.path)
    Catalog(catalog.path).close()
    found = {path.name.partition(".before-")[2] for path in catalog.path.parent.glob("*.before-*")}
    assert found == {"0003_old", "0004_old", name}


def make_older(path: Path) -> None:
    """Give a catalog the schema from before the last migration, which had no rows to change."""
    from sqlite_utils import Database

    older = path.with_name("older.sqlite")
    db = Database(older)
    MIGRATIONS.apply(db, stop_before=MIGRATIONS._migrations[-1].name)
    db.execute("INSERT INTO settings VALUES ('library_id', '\"older\"')")
    db.conn.commit()
    db.close()
    older.replace(path)


# --- commands ---


def test_a_backup_goes_where_it_is_told_and_lies_apart(library: Library, run: Any, tmp_path: Path) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    answer = run("backup", str(tmp_path), "--json")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert Path(made["file"]).parent == tmp_path
    assert made["bytes"] == Path(made["file"]).stat().st_size
    again = json.loads(run("backup", str(tmp_path), "--json").out)
    assert again["file"] != made["file"]
    for folder, what in ((library.photos, "photo library"), (library.people, "people folder")):
        answer = run("backup", str(folder / "copy.sqlite"))
        assert answer.code == 5
        assert f"lies in the {what}" in answer.err
    assert run("backup", made["file"]).code == 5
    assert run("backup", made["file"], "--force").code == 0


def test_without_a_catalog_there_is_nothing_to_back_up(run: Any, tmp_path: Path) -> None:
    answer = run("backup", str(tmp_path / "copy.sqlite"))
    assert answer.code == 5
    assert "no catalog yet" in answer.err


# --- what comes back ---


def three_people(library: Library) -> None:
    for person in (1, 2, 3):
        for look in range(3):
            library.draw(f"{person}/{look}.png", (person, look))
    library.scan()


def backed_up(library: Library, run: Any, tmp_path: Path) -> str:
    """Three people, and a backup of them."""
    three_people(library)
    copy = str(tmp_path / "copy.sqlite")
    run("backup", copy)
    return copy


def person_of(library: Library, photo: str) -> str:
    with library.app() as app:
        ids = app.catalog._db.execute(
            "SELECT DISTINCT a.person_id FROM assignments a JOIN faces f ON f.id = a.face_id JOIN files"
            " ON files.photo_id = f.photo_id WHERE files.display = ?",
            [photo],
        ).fetchall()
    assert len(ids) == 1
    return str(ids[0][0])


def test_a_restored_catalog_is_what_the_backup_says_and_the_folders_follow(
    library: Library, run: Any, tmp_path: Path
) -> None:
    three_people(library)
    assert run("rename", person_of(library, "1/0.png"), "Anna").code == 0
    assert run("backup", str(tmp_path / "copy.sqlite")).code == 0
    tree = library.tree()
    assert run("rename", "Anna", "Hannah").code == 0
    assert run("rename", person_of(library, "2/0.png"), "Ben").code == 0
    library.draw_looks(4, 3, "4/")
    library.scan()
    (library.people / "Hannah" / "notes.txt").write_text("mine")
    assert library.tree() != tree
    answer = run("restore", str(tmp_path / "copy.sqlite"), "--yes", "--json")
    assert answer.code == 0, answer.err
    done = json.loads(answer.out)
    assert names_in(library.catalog) == {"Anna"}
    assert names_in(Path(done["kept"])) == {"Hannah", "Ben"}
    assert done["left"] == done["contradictions"] == []
    # What somebody put there stays, and moves with the folder; nothing else is left.
    assert library.tree() == tree | {"Anna/notes.txt": ""}
    library.scan()
    assert set(library.tree().values()) == {f"{p}/{look}.png" for p in (1, 2, 3, 4) for look in range(3)} | {""}
    assert not run("folders", "--dry-run", "--json").err


def test_it_says_how_many_decisions_are_given_up_before_it_asks(
    library: Library, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backed_up(library, run, tmp_path)
    run("rename", person_of(library, "1/0.png"), "Anna")
    run("rename", person_of(library, "2/0.png"), "Ben")
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text))
    answer = run("restore", copy)
    assert answer.code == 1
    assert asked == ["Restore it?"]
    assert "9 photos, 9 faces, 3 people, 0 with a name" in answer.err
    assert "2 decisions made since then are given up" in answer.err
    assert "the names Anna, Ben are given up" in answer.err
    assert "people folder:" not in answer.err, "it stays as it is, but for the folders' names"
    assert names_in(library.catalog) == {"Anna", "Ben"}


def test_ids_that_were_given_since_the_backup_are_not_given_again(library: Library, run: Any, tmp_path: Path) -> None:
    copy = backed_up(library, run, tmp_path)
    run("rename", person_of(library, "1/0.png"), "Anna")
    with Catalog(library.catalog) as catalog, catalog.write():
        newest = catalog.people.add("now")
    run("restore", copy, "--yes")
    with Catalog(library.catalog) as catalog, catalog.write():
        assert catalog.people.add("now") > newest


@pytest.mark.parametrize("harm", ["overwritten", "damaged", "truncated", "gone"])
def test_a_catalog_that_cannot_be_read_is_kept_aside_and_replaced(
    library: Library, run: Any, tmp_path: Path, harm: str
) -> None:
    three_people(library)
    run("rename", person_of(library, "1/0.png"), "Anna")
    run("backup", str(tmp_path / "copy.sqlite"))
    with library.app() as app:
        library_id = app.catalog.library_id
    if harm == "overwritten":
        library.catalog.write_bytes(b"this is no database, but it is long enough to look like one" * 1000)
    elif harm == "damaged":
        damage(library.catalog)
    elif harm == "truncated":
        os.truncate(library.catalog, 20_000)
    else:
        library.catalog.unlink()
    harmed = library.catalog.read_bytes() if library.catalog.exists() else None
    answer = run("restore", str(tmp_path / "copy.sqlite"), "--yes", "--json")
    assert answer.code == 0, answer.err
    kept = json.loads(answer.out)["kept"]
    assert (Path(kept).read_bytes() if kept else None) == harmed
    with library.app() as app:
        assert app.catalog.library_id == library_id
        assert app.catalog.faults() == []
    assert names_in(library.catalog) == {"Anna"}


def lose_catalog_after(library: Library, run: Any, backup: Path) -> dict[str, str]:
    """Name people and find photos after a backup, then lose the catalog; return the folders as the backup had them."""
    three_people(library)
    run("backup", str(backup))
    tree = library.tree()
    run("rename", person_of(library, "1/0.png"), "Anna")
    library.draw_looks(4, 3, "4/")
    library.draw("2/new.png", (2, 5))
    library.scan()
    library.catalog.write_bytes(b"lost" * 10_000)
    return tree


def test_without_the_old_catalog_links_are_known_by_their_looks(library: Library, run: Any, tmp_path: Path) -> None:
    tree = lose_catalog_after(library, run, tmp_path / "copy.sqlite")
    answer = run("restore", str(tmp_path / "copy.sqlite"), "--yes", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["left"] == []
    assert library.tree() == tree
    assert not (library.people / "Anna").exists()
    library.scan()
    assert set(library.tree().values()) == {
        *(f"{person}/{look}.png" for person in (1, 2, 3, 4) for look in range(3)),
        "2/new.png",
    }


def test_without_the_old_catalog_what_may_be_somebody_elses_stays(library: Library, run: Any, tmp_path: Path) -> None:
    library.people.mkdir()
    favourites = library.people / "Favourites"
    favourites.mkdir()
    link_like_ours(favourites / "0.png", library.photos / "1" / "0.png")
    tree = lose_catalog_after(library, run, tmp_path / "copy.sqlite")
    (library.people / "Anna" / "notes.txt").write_text("mine")
    absolute = library.people / "Mine"
    absolute.mkdir()
    (absolute / "0.png").symlink_to(library.photos / "1" / "0.png")
    renamed = library.people / "Renamed"
    renamed.mkdir()
    link_like_ours(renamed / "best.png", library.photos / "1" / "0.png")
    answer = run("restore", str(tmp_path / "copy.sqlite"), "--yes", "--json")
    assert answer.code == 0, answer.err
    now = library.tree()
    assert tree.items() <= now.items()
    rest = {path for path in now if path not in tree}
    assert {"Mine/0.png", "Renamed/best.png", "Anna/notes.txt"} <= rest
    assert "Favourites/0.png" in now
    assert not [path for path in rest if path.startswith("_unnamed")]


def link_like_ours(link: Path, photo: Path) -> None:
    link.symlink_to(os.path.relpath(photo, link.parent))
    os.utime(link, (1, 1), follow_symlinks=False)


def test_without_the_old_catalog_a_folder_that_was_renamed_is_known_by_its_links(
    library: Library, run: Any, tmp_path: Path
) -> None:
    three_people(library)
    run("rename", person_of(library, "1/0.png"), "Anna")
    for link in (library.people / "Anna").iterdir():
        os.utime(link, (1, 1), follow_symlinks=False)
    favourites = library.people / "Favourites"
    favourites.mkdir()
    link_like_ours(favourites / "0.png", library.photos / "1" / "0.png")
    run("backup", str(tmp_path / "copy.sqlite"))
    tree = library.tree()
    run("rename", "Anna", "Hannah")
    assert (library.people / "Hannah").is_dir()
    library.catalog.write_bytes(b"lost" * 10_000)
    answer = run("restore", str(tmp_path / "copy.sqlite"), "--yes", "--json")
    assert answer.code == 0, answer.err
    assert library.tree() == tree
    assert not (library.people / "Hannah").exists()
    assert json.loads(answer.out)["left"] == [str(favourites / "0.png")]


def test_restoring_is_refused_while_somebody_scans(library: Library, run: Any, tmp_path: Path) -> None:
    copy = backed_up(library, run, tmp_path)
    with Catalog(library.catalog) as catalog, catalog.run_lock("watch"):
        answer = run("restore", copy, "--yes")
    assert answer.code == 6
    assert f"watch (process {os.getpid()}) is running on this catalog; stop it first" in answer.err


def test_restoring_does_not_ask_while_somebody_watches(library: Library, run: Any, tmp_path: Path) -> None:
    copy = backed_up(library, run, tmp_path)
    with Catalog(library.catalog) as catalog, catalog.run_lock("watch"):
        answer = run("restore", copy)
    assert answer.code == 6
    assert "Restore it?" not in answer.err


def test_where_nobody_can_answer_nothing_is_restored(
    library: Library, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = backed_up(library, run, tmp_path)
    run("rename", person_of(library, "1/0.png"), "Anna")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    answer = run("restore", copy)
    assert answer.code == 2
    assert "say --yes" in answer.err
    assert "carries on" not in answer.err
    assert names_in(library.catalog) == {"Anna"}


@pytest.mark.parametrize("ending", ["/", "/."])
def test_a_folder_that_is_not_there_does_not_become_a_file(
    library: Library, run: Any, tmp_path: Path, ending: str
) -> None:
    three_people(library)
    usb = tmp_path / "usb"
    answer = run("backup", f"{usb}{ending}")
    assert answer.code == 5
    assert f"{usb}{ending}: no such folder; plug in its drive, or make it" in answer.err
    assert not usb.exists()
    usb.mkdir()
    assert run("backup", f"{usb}{ending}").code == 0
    assert len(list(usb.glob("catalog-*.sqlite"))) == 1


def test_what_is_no_backup_is_refused_and_changes_nothing(library: Library, run: Any, tmp_path: Path) -> None:
    three_people(library)
    run("backup", str(tmp_path / "newer.sqlite"))
    with closing(sqlite3.connect(tmp_path / "newer.sqlite")) as db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('facewatch', '99_x', '')")
        db.commit()
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
        db.commit()
    (tmp_path / "text.sqlite").write_text("no database" * 1000)
    run("backup", str(tmp_path / "damaged.sqlite"))
    damage(tmp_path / "damaged.sqlite")
    before = library.catalog.read_bytes()
    for name, fault in (
        ("newer", "made by a newer facewatch .it has 99_x.; update facewatch"),
        ("other", "not a catalog of facewatch; name a backup of one"),
        ("text", "not a backup of a catalog; name a file that .* made .they lie in .*catalog.sqlite.backups."),
        ("damaged", "damaged.*; (take|name) another"),
        ("absent", "no such file"),
        ("", "not a file"),
    ):
        answer = run("restore", str(tmp_path / f"{name}.sqlite" if name else tmp_path), "--yes")
        assert answer.code == 5, name
        assert re.search(fault, answer.err), answer.err
        assert "start afresh" not in answer.err
        assert "facewatch restore" not in answer.err
    assert run("restore", str(library.catalog), "--yes").code == 5
    assert library.catalog.read_bytes() == before


def test_a_backup_of_an_older_facewatch_is_brought_up_to_date(library: Library, run: Any, tmp_path: Path) -> None:
    three_people(library)
    backup = tmp_path / "old.sqlite"
    make_older(backup)
    answer = run("restore", str(backup), "--yes", "--json")
    assert answer.code == 8, "its people folder belongs to the other library"
    assert "belongs to another library" in answer.err
    with Catalog(library.catalog) as catalog:
        assert (catalog.library_id, catalog.faults()) == ("older", [])


def test_whoever_reads_meanwhile_sees_one_catalog_or_the_other(library: Library, run: Any, tmp_path: Path) -> None:
    three_people(library)
    run("rename", person_of(library, "1/0.png"), "Anna")
    run("backup", str(tmp_path / "copy.sqlite"))
    run("rename", "Anna", "Hannah")
    with Catalog(library.catalog) as reader:
        version = reader.version()
        assert set(reader.people.names().values()) == {"Hannah"}
        run("restore", str(tmp_path / "copy.sqlite"), "--yes")
        assert set(reader.people.names().values()) == {"Anna"}
        assert reader.version() != version
        with reader.write():
            reader.people.add("now")
    assert is_intact(library.catalog)


def test_what_was_worked_out_from_the_old_catalog_is_gone(library: Library, run: Any, tmp_path: Path) -> None:
    copy = backed_up(library, run, tmp_path)
    derived = [library.catalog.with_name(f"catalog.sqlite.{name}") for name in ("graph.npz", "vectors-123456789abc")]
    for path in derived:
        path.write_bytes(b"old")
    crops = library.catalog.with_name("catalog.sqlite.crops")
    crops.mkdir()
    (crops / "1-2.jpg").write_bytes(b"old")
    run("restore", copy, "--yes")
    assert not [path for path in (*derived, crops) if path.exists()]


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_killed_restore_leaves_the_old_catalog_or_the_new(tmp_path: Path, is_readable: bool) -> None:
    path, backup, people, n_killed = tmp_path / "c" / "catalog.sqlite", tmp_path / "copy.sqlite", tmp_path / "P", 0
    with Catalog(path) as catalog:
        fill(catalog, 4)
        decide(catalog, "Anna")
        write_backup(path, backup)
        decide(catalog, "Ben")
    old = path.read_bytes() if is_readable else b"no database" * 100_000
    with running(DYING, "restore", path, backup, people) as process:
        for after in (*AT_STEPS, *IN_SECONDS):
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.write_bytes(old)
            n_killed += is_killed(process, after)
            if is_readable or path.read_bytes() != old:
                assert is_intact(path)
                assert names_in(path) in ([{"Anna", "Ben"}, {"Anna"}] if is_readable else [{"Anna"}])
        assert n_killed >= 4
        assert not is_killed(process, 0)
    assert names_in(path) == {"Anna"}
    assert not list(path.parent.glob("*restoring*"))


# --- what SQLite's errors mean ---


class _Fault(sqlite3.OperationalError):
    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.sqlite_errorname = name


@pytest.mark.parametrize(
    ("name", "text", "kind", "meaning"),
    [
        ("SQLITE_FULL", "database or disk is full", DiskFullError, "the disk is full; make room, nothing is lost"),
        ("SQLITE_IOERR_READ", "disk I/O error", DiskFaultError, r"failed to read or write .*check the disk"),
        ("SQLITE_CORRUPT_INDEX", "malformed", CatalogError, r"damaged .malformed.; `facewatch restore BACKUP`"),
        ("SQLITE_NOTADB", "file is not a database", CatalogError, r"damaged .*; `facewatch restore BACKUP`"),
        ("SQLITE_BUSY_SNAPSHOT", "database is locked", BusyError, "locked by another program; close it there"),
        ("SQLITE_READONLY_DIRECTORY", "readonly", CatalogError, r"cannot be written .readonly.; check the rights"),
    ],
)
def test_each_fault_of_the_disk_has_its_own_word(
    tmp_path: Path, name: str, text: str, kind: type[Exception], meaning: str
) -> None:
    with pytest.raises(kind, match=meaning) as caught, clear_errors(tmp_path / "catalog.sqlite"):
        raise _Fault(name, text)
    assert type(caught.value) is kind


def test_a_failing_disk_is_not_called_damage(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught, clear_errors(tmp_path / "catalog.sqlite"):
        raise _Fault("SQLITE_IOERR_WRITE", "disk I/O error")
    assert "damaged" not in str(caught.value)


def test_the_advice_for_a_damaged_catalog_names_the_newest_backup(catalog: Catalog) -> None:
    newest = Backups(catalog.path).daily(NOON)
    catalog.close()
    catalog.path.write_bytes(b"no database" * 1000)
    with pytest.raises(CatalogError, match=f"damaged .*; `facewatch restore {newest}` puts the newest backup, of "):
        Catalog(catalog.path)


# --- power failures ---


def test_what_a_user_decides_is_brought_to_the_disk_and_what_runs_record_is_not(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("facewatch.catalog.make_durable", synced.append)
    with catalog.write():
        catalog.people.add("now")
    assert synced == []
    decide(catalog, "Anna")
    assert synced == [catalog.path]
    with catalog.write():
        decide(catalog, "Ben")
        assert synced == [catalog.path], "not before all of it stands"
    assert synced == [catalog.path] * 2
