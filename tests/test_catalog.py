"""The catalog: one file, one writer, nothing lost, readable by other tools."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from facewatch.catalog import Catalog, display
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.catalog.opening import Patience
from facewatch.engines import fake
from facewatch.errors import BusyError, CatalogError, EngineError, Fault, FaultCode
from facewatch.fs.locks import file_lock, holder
from facewatch.fs.mounts import Mount, file_system_of, mounted
from facewatch.types import Analysis, Box, Face, Fingerprint, Quality, Tier

NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def catalog(tmp_path: Path) -> object:
    with Catalog(tmp_path / "catalog.sqlite", now=lambda: NOW) as made:
        yield made


def analysis(*people: int) -> Analysis:
    quality = Quality(100.0, 128.0, 64, 0.1, 0.8, Tier.ENROLL)
    faces = [
        Face(Box(10 * i, 5, 64, 64), (0.0,) * 10, 1.0, quality, fake.embedding_of(person, i))
        for i, person in enumerate(people)
    ]
    return Analysis(640, 480, "PNG", tuple(faces))


def add_photo(catalog: Catalog, path: str, *people: int) -> tuple[int, list[int]]:
    """Record a photo with these people on it and return its id and those of its faces."""
    with catalog.write():
        root = catalog.roots.add(Path("/photos"), 1, NOW)
        engine = catalog.engines.add(fake.INFO, NOW)
        photo = catalog.photos.add(path.encode().ljust(32), (640, 480), "PNG", NOW)
        catalog.files.record(root, path, Fingerprint(1, 2, 3), photo_id=photo, fault=None, now=NOW)
        return photo, catalog.faces.add_analysis(photo, engine, analysis(*people), NOW)


def test_only_the_owner_may_read_it(catalog: Catalog) -> None:
    assert stat.S_IMODE(catalog.path.stat().st_mode) == 0o600


def test_tables_are_strict_and_the_journal_is_a_wal(catalog: Catalog) -> None:
    db = sqlite3.connect(catalog.path)
    tables = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite_%'")
    assert not [name for name, sql in tables if "STRICT" not in sql]
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_another_tool_sees_people_faces_and_photos_in_views(catalog: Catalog) -> None:
    add_photo(catalog, "a.png", 1, 2)
    db = sqlite3.connect(catalog.path)
    assert db.execute("SELECT path, faces FROM photos_view").fetchall() == [("/photos/a.png", 2)]
    assert db.execute("SELECT path, x, name FROM faces_view").fetchall() == [("a.png", 0, None), ("a.png", 10, None)]
    assert db.execute("SELECT COUNT(*) FROM people_view").fetchone() == (0,)
    db.close()


def test_embeddings_come_back_as_they_went_in(catalog: Catalog) -> None:
    photo, ids = add_photo(catalog, "a.png", 1, 2)
    table = catalog.faces.load(1, n_dims=fake.N_DIMS)
    assert table.ids.tolist() == ids
    assert table.photos.tolist() == [photo, photo]
    assert np.array_equal(table.embeddings, np.stack([fake.embedding_of(1, 0), fake.embedding_of(2, 1)]))
    assert catalog.faces.load(1, n_dims=fake.N_DIMS, photo_id=999).embeddings.shape == (0, fake.N_DIMS)


def test_a_photo_without_faces_is_remembered_as_looked_at(catalog: Catalog) -> None:
    photo, _ = add_photo(catalog, "a.png")
    assert catalog.faces.is_analysed(photo, 1)
    assert not catalog.faces.is_analysed(photo, 2)


def test_faces_of_a_photo_that_left_the_library_are_kept_but_not_counted(catalog: Catalog) -> None:
    add_photo(catalog, "a.png", 1)
    with catalog.write():
        catalog.files.forget(1, ["a.png"])
    assert len(catalog.faces.load(1, n_dims=fake.N_DIMS)) == 0
    assert catalog.faces.counts()["faces"] == 0
    with catalog.write():
        catalog.files.record(1, "b.png", Fingerprint(1, 2, 3), photo_id=1, fault=None, now=NOW)
    assert len(catalog.faces.load(1, n_dims=fake.N_DIMS)) == 1


@given(name=st.binary(min_size=1, max_size=60).filter(lambda b: b"\0" not in b and b"/" not in b))
def test_any_file_name_survives(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    path = os.fsdecode(name)
    with Catalog(tmp_path_factory.mktemp("c") / "catalog.sqlite") as catalog:
        with catalog.write():
            root = catalog.roots.add(Path("/photos"), 1, NOW)
            catalog.files.record(
                root, path, Fingerprint(1, 2, 3), photo_id=None, fault=Fault(FaultCode.OTHER, "bad", "mend it"), now=NOW
            )
        assert list(catalog.files.known(root)) == [path]
        shown = catalog.files.faulty()[0].path
        assert shown == "/photos/" + display(path)
        assert shown.isprintable()
        shown.encode()


def test_a_failed_write_leaves_nothing(catalog: Catalog) -> None:
    def fail() -> None:
        with catalog.write():
            catalog.people.add(NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert catalog.people.all() == []


def test_ids_of_people_are_never_used_again(catalog: Catalog) -> None:
    with catalog.write():
        first, second = catalog.people.add(NOW), catalog.people.add(NOW)
        catalog.people.retire(second, first)
    with catalog.write():
        assert catalog.people.add(NOW) > second


def test_a_catalog_of_a_newer_program_is_refused(catalog: Catalog) -> None:
    db = sqlite3.connect(catalog.path)
    db.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('facewatch', '9999_wings', '')"
    )
    db.commit()
    db.close()
    with pytest.raises(CatalogError, match=r"made by a newer facewatch .it has 9999_wings.; update facewatch"):
        Catalog(catalog.path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "other.sqlite")
    db.execute("CREATE TABLE recipes (name TEXT)")
    db.commit()
    db.close()
    with pytest.raises(CatalogError, match="not a catalog of facewatch"):
        Catalog(tmp_path / "other.sqlite")
    db = sqlite3.connect(tmp_path / "other.sqlite")
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    db.close()


def test_a_damaged_catalog_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"this is not a database at all, but long enough to look like one" * 100)
    with pytest.raises(
        CatalogError,
        match=r"damaged .*; `facewatch restore BACKUP` puts a backup in its place; without",
    ):
        Catalog(path)


def test_a_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="a folder, not a file"):
        Catalog(tmp_path)


def test_a_full_disk_says_so_and_loses_nothing(catalog: Catalog) -> None:
    add_photo(catalog, "a.png", 1)
    db = catalog._db
    n_pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {n_pages}")

    def add_many() -> None:
        for i in range(1000):
            add_photo(catalog, f"{i}.png", *range(20))

    with pytest.raises(CatalogError, match="the disk is full; make room, nothing is lost"):
        add_many()
    assert catalog.check() == "ok"
    assert "a.png" in catalog.files.known(1)


def test_a_catalog_that_another_program_is_writing_to_says_so(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite", patience=partial(Patience, seconds=0)) as catalog:
        other = sqlite3.connect(catalog.path)
        other.execute("BEGIN IMMEDIATE")

        def add() -> None:
            with catalog.write():
                catalog.people.add(NOW)

        with pytest.raises(BusyError, match="locked by another program; close it there"):
            add()
        other.rollback()
        other.close()
        add()
        assert len(catalog.people.all()) == 1


def test_a_disk_that_was_full_at_the_very_start_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"
    )
    db.close()
    with Catalog(path) as catalog:
        assert catalog.people.all() == []


def test_a_backup_is_complete_and_private(catalog: Catalog, tmp_path: Path) -> None:
    add_photo(catalog, "a.png", 1, 2)
    catalog.backup(tmp_path / "backup.sqlite")
    assert stat.S_IMODE((tmp_path / "backup.sqlite").stat().st_mode) == 0o600
    with Catalog(tmp_path / "backup.sqlite") as copy:
        assert copy.faces.counts() == catalog.faces.counts()
        assert copy.library_id == catalog.library_id


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_network_file_systems_are_told_apart(kind: str, tmp_path: Path) -> None:
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    assert file_system_of(tmp_path / "sub" / "catalog.sqlite", mounts) == kind
    assert file_system_of(Path("/elsewhere/catalog.sqlite"), mounts) == "ext4"


def test_what_is_mounted_is_read_from_the_kernel_as_psutil_reads_it(tmp_path: Path) -> None:
    def seen(mounts: Iterable[Mount]) -> set[tuple[str, str]]:
        return {(mount.mountpoint, mount.fstype) for mount in mounts}

    theirs = seen(psutil.disk_partitions(all=True))
    assert theirs <= seen(mounted())
    assert seen(mounted(tmp_path / "absent")) == theirs
    listed = tmp_path / "mounts"
    listed.write_bytes(b"nas:/a /mnt/my\\040photos\\134\303\244 nfs4 rw,relatime 0 0\n/dev/sda1 / ext4 rw 0 0\n")
    assert seen(mounted(listed)) == {("/mnt/my photos\\ä", "nfs4"), ("/", "ext4")}
    listed.write_bytes(b"no such list\n")
    assert seen(mounted(listed)) == theirs


def test_a_catalog_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewatch.catalog.opening.file_system_of", lambda path: "nfs4")
    with pytest.raises(CatalogError, match=r"network file system .nfs4., where SQLite loses data; put the catalog on"):
        Catalog(tmp_path / "catalog.sqlite")
    assert not (tmp_path / "catalog.sqlite").exists()


HOLD = """
import sys, pathlib
from facewatch.catalog import Catalog
with Catalog(pathlib.Path(sys.argv[1])) as catalog, getattr(catalog, sys.argv[2])(*sys.argv[3:]):
    catalog.people.add("now") if sys.argv[2] == "write" else None
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(catalog: Catalog, *lock: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, str(catalog.path), *lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream
        stream.close()


def test_two_runs_at_once_are_refused_and_the_first_is_named(catalog: Catalog) -> None:
    process = start_holder(catalog, "run_lock", "watch")
    assert str(catalog.runner()) == f"watch (process {process.pid})"
    with pytest.raises(BusyError, match=rf"held by watch \(process {process.pid}\)"), catalog.run_lock("scan"):
        pass
    end(process)
    assert catalog.runner() is None


def test_a_killed_writer_leaves_neither_a_lock_nor_half_a_change(catalog: Catalog) -> None:
    process = start_holder(catalog, "write")
    end(process)
    with catalog.write():
        pass
    assert catalog.people.all() == []
    assert catalog.check() == "ok"


def test_a_writer_waits_for_another_and_gives_up_with_a_clear_word(tmp_path: Path) -> None:
    ticks = iter(range(100))
    lock = tmp_path / "lock"
    with (
        file_lock(lock, wait_seconds=0, purpose="scan"),
        pytest.raises(BusyError, match="held by scan"),
        file_lock(lock, wait_seconds=5, purpose="other", clock=lambda: next(ticks), sleep=lambda _: None),
    ):
        pass
    assert next(ticks) > 5
    assert holder(lock) is None


def test_readers_see_a_version_change_when_another_process_wrote(catalog: Catalog) -> None:
    before = catalog.version()
    with catalog.write():
        catalog.people.add(NOW)
    assert catalog.version() == before
    with Catalog(catalog.path) as other, other.write():
        other.people.add(NOW)
    assert catalog.version() != before


def test_a_catalog_from_before_engines_could_change_keeps_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    db = Database(path)
    MIGRATIONS.apply(db, stop_before="0002_engines_can_change")
    db.execute("INSERT INTO engines VALUES (1, 'fake', 'fake', 64, 'none', 'then')")
    db.execute("INSERT INTO photos VALUES (1, x'00', 640, 480, 'PNG', 'then')")
    db.execute("INSERT INTO roots VALUES (1, x'2f70686f746f73', '/photos', 1, 'then')")
    db.execute("INSERT INTO files VALUES (1, 1, x'61', 'a', 1, 2, 3, 1, NULL, NULL, 'then')")
    db.execute("INSERT INTO analyses VALUES (1, 1, 1, 'then')")
    db.execute("INSERT INTO faces VALUES (5, 1, 10, 20, 64, 64, '[]', 1.0, 99, 120, 0.8, 'found')")
    db.execute("INSERT INTO embeddings VALUES (5, 1, ?)", [fake.embedding_of(1, 0).astype("<f4").tobytes()])
    db.conn.commit()
    db.close()
    with Catalog(path) as catalog:
        assert catalog.engines.in_use_name() == "fake"
        assert catalog.engines.n_pending(1) == 0
        table = catalog.faces.load(1, n_dims=64)
        assert table.ids.tolist() == [5]
        assert np.allclose(table.embeddings[0], fake.embedding_of(1, 0))
        assert catalog.faces.counts()["faces"] == 1
    assert path.with_name("catalog.sqlite.before-0002_engines_can_change").is_file()


@pytest.mark.parametrize(
    ("text", "code", "cause"),
    [
        ("truncated JPEG", FaultCode.TRUNCATED, "truncated JPEG"),
        ("damaged PNG (broken data stream (IDAT) at 12)", FaultCode.DAMAGED, "damaged PNG"),
        ("cannot be read: Permission denied", FaultCode.UNREADABLE, "cannot be read"),
        ("too many pixels: 90000 x 90000 is 8100 MP, the cap is 256 MP", FaultCode.TOO_MANY_PIXELS, "too many pixels"),
        ("a PSD document of 1990", FaultCode.OTHER, "a PSD document of 1990"),
    ],
)
def test_a_fault_that_an_older_version_recorded_gets_its_code(
    tmp_path: Path, text: str, code: FaultCode, cause: str
) -> None:
    assert [(one.code, one.cause) for one in migrated_faults(tmp_path / "c.sqlite", text)] == [(code, cause)]


def test_every_fault_as_it_was_written_before_there_were_codes_gets_its_code(tmp_path: Path) -> None:
    words = dict.fromkeys(("reason", "width", "height", "n_pixels", "cap", "size", "needed", "there"), " (2)")
    now = [Fault.of(code, "JPEG" if code is not FaultCode.OTHER else "quite different", **words) for code in FaultCode]
    before = migrated_faults(tmp_path / "c.sqlite", *(one.text for one in now))
    assert [(one.code, one.text, one.cause) for one in before] == [(one.code, one.text, one.cause) for one in now]


def migrated_faults(path: Path, *texts: str) -> list[Fault]:
    """Return what a catalog that held such faults when there were no codes says of them now."""
    db = Database(path)
    MIGRATIONS.apply(db, stop_before="0013_fault_codes")
    db.execute("INSERT INTO roots (id, path, display, device, added_at) VALUES (1, x'2f', '/', 1, 'then')")
    rows = [(f"{number:02}".encode(), f"{number:02}", text) for number, text in enumerate(texts)]
    db.conn.executemany(
        "INSERT INTO files (root_id, path, display, size, mtime_ns, inode, fault, advice, seen_at)"
        " VALUES (1, ?, ?, 1, 2, 3, ?, 'mend it', 'then')",
        rows,
    )
    db.conn.commit()
    db.close()
    with Catalog(path) as catalog:
        return [one.fault for one in catalog.files.faulty()]


def test_one_model_with_two_dimensions_is_refused_and_nothing_is_written(catalog: Catalog) -> None:
    with catalog.write():
        catalog.engines.add(fake.INFO, NOW)
    with pytest.raises(EngineError, match="gives 32 numbers a face, the catalog has 64"), catalog.write():
        catalog.engines.add(dataclasses.replace(fake.INFO, n_dims=32, name="renamed"), NOW)
    assert [engine.name for engine in catalog.engines.all()] == ["fake"]
