"""Photos that an older version took for other pictures than they are (negatives, for one) are looked at once more."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import Library
from sqlite_utils import Database
from test_cases_lineage import ANNA, Moved

from facewatch.catalog.migrations import MIGRATIONS


@pytest.fixture
def moved(library: Library) -> Moved:
    return Moved(library)


def doubt(moved: Moved, path: str) -> None:
    """What the upgrade does to a photo of a kind that was misread."""
    with moved.open() as app, app.catalog.write():
        db = app.catalog._db
        db.execute("UPDATE files SET ctime_ns = -1 WHERE display = ?", [path])
        db.execute("UPDATE photos SET is_misread = 1 WHERE id = (SELECT photo_id FROM files WHERE display = ?)", [path])


def misread(moved: Moved, path: str) -> int:
    """Let a photo of Anna have been taken for one of Ben, by what it looked like; returns its face."""
    [face], [ben] = moved.ids(path), moved.ids("ben0.png")
    with moved.open() as app, app.catalog.write():
        db = app.catalog._db
        db.execute(
            "UPDATE embeddings SET vector = (SELECT vector FROM embeddings WHERE face_id = ?) WHERE face_id = ?",
            [ben, face],
        )
        db.execute("UPDATE assignments SET person_id = ? WHERE face_id = ?", [moved.ben, face])
    doubt(moved, path)
    return face


def test_who_was_mistaken_in_a_photo_that_was_misread_is_known_after_the_next_scan(moved: Moved) -> None:
    face = misread(moved, "anna2.png")
    moved.scan()
    assert [person for person, _ in moved.whose("anna2.png")] == [moved.anna]
    assert moved.said(face) == []  # it is compared with no longer


def test_every_copy_of_a_photo_that_was_misread_is_the_photo_as_it_is(moved: Moved) -> None:
    copy = moved.library.photos / "copy.png"
    copy.write_bytes((moved.library.photos / "anna2.png").read_bytes())
    moved.scan()
    misread(moved, "anna2.png")
    doubt(moved, "copy.png")
    moved.scan()
    assert moved.ids("copy.png") == moved.ids("anna2.png")
    assert [person for person, _ in moved.whose("copy.png")] == [moved.anna]


def test_what_users_said_of_a_photo_that_was_misread_is_true_of_the_same_place(moved: Moved) -> None:
    misread(moved, "anna2.png")
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.ignore([str(moved.ids("anna2.png")[0])])
    misread(moved, "anna1.png")
    with moved.open() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(moved.ids("anna1.png")[0])], "Carl", is_new=True)
    carl = moved.whose("anna1.png")
    moved.scan()
    assert moved.whose("anna2.png") == [(None, None)]
    assert moved.whose("anna1.png") == carl
    with moved.open() as app:
        assert app.catalog.faults() == []


def test_a_photo_that_was_read_rightly_keeps_its_faces(moved: Moved) -> None:
    before = moved.ids(), moved.whose("a.png")
    doubt(moved, "a.png")
    moved.scan()
    assert (moved.ids(), moved.whose("a.png")) == before
    assert moved.query("SELECT COUNT(*) FROM photos WHERE is_misread") == [(0,)]
    [[ctime_ns]] = moved.query("SELECT ctime_ns FROM files WHERE display = 'a.png'")
    assert ctime_ns == (moved.library.photos / "a.png").stat().st_ctime_ns


def test_a_photo_in_which_faces_are_found_only_now_is_looked_at_again(moved: Moved) -> None:
    moved.library.draw("late.png", (ANNA, 5))
    moved.scan()
    with moved.open() as app, app.catalog.write():
        db = app.catalog._db
        [face] = moved.ids("late.png")
        for table, column in (("assignments", "face_id"), ("embeddings", "face_id"), ("faces", "id")):
            db.execute(f"DELETE FROM {table} WHERE {column} = ?", [face])
        db.execute(
            "UPDATE analyses SET n_faces = 0 WHERE photo_id = (SELECT photo_id FROM files WHERE display = 'late.png')"
        )
    doubt(moved, "late.png")
    moved.scan()
    assert [person for person, _ in moved.whose("late.png")] == [moved.anna]


def test_an_upgrade_doubts_photos_of_the_kinds_that_were_misread_alone(tmp_path: Path) -> None:
    db = Database(tmp_path / "older.sqlite")
    MIGRATIONS.apply(db, stop_before="0010_misread")
    db.execute("INSERT INTO roots (path, display, device, added_at) VALUES (?, '/x', 1, 'now')", [b"/x"])
    for i, name in enumerate(("JPEG", "TIFF", "PNG", "JP2", "BMP", "HEIF")):
        columns = "sha256, width, height, format, added_at"
        db.execute(f"INSERT INTO photos ({columns}) VALUES (?, 1, 1, ?, 'now')", [bytes([i]) * 32, name])
        columns = "root_id, path, display, size, mtime_ns, inode, ctime_ns, photo_id, seen_at"
        db.execute(
            f"INSERT INTO files ({columns}) VALUES (1, ?, ?, 1, 1, 1, 5, ?, 'now')", [name.encode(), name, i + 1]
        )
    MIGRATIONS.apply(db, stop_before="0011_turns")
    doubted = db.execute(
        "SELECT p.format, f.ctime_ns FROM photos p JOIN files f ON f.photo_id = p.id"
        " WHERE p.is_misread OR f.ctime_ns != 5 ORDER BY p.id"
    ).fetchall()
    assert doubted == [("TIFF", -1), ("JP2", -1), ("BMP", -1)]
    db.close()
