"""A catalog, a people folder and a settings file that an older facewatch has made work on.

older/ is what version 89c7d1e left after a scan of these drawn photos and nine decisions, with /older for their folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.cli import main
from facewatch.config import load_config

OLDER = Path(__file__).parent / "older"
WHERE = "/older"
"""Where the photos lay, in the files there."""

PHOTOS = {
    **{f"2024/anna{i}.png": [(1, i)] for i in range(4)},
    **{f"2024/ben{i}.png": [(2, i)] for i in range(3)},
    **{f"cleo{i}.png": [(3, i)] for i in range(3)},
    **{f"dora{i}.png": [(4, i)] for i in range(3)},
    "both.png": [(1, 9), (2, 9)],
    "stranger.png": [(9, 0)],
}
DECISIONS = ["born", "show", "hide", "assign", "merge", "reject", "rename", "rename", "rename"]
"""Newest first."""
TREE = {
    "Anna": {"2024/anna0.png", "2024/anna1.png", "2024/anna2.png", "both.png"},
    "Ben": {"2024/ben0.png", "2024/ben1.png", "2024/ben2.png", "both.png", "stranger.png"},
    "Cléo": {"cleo0.png", "cleo1.png", "cleo2.png", "dora0.png", "dora1.png", "dora2.png"},
}


@pytest.fixture
def older(tmp_path: Path) -> Library:
    library = make_library(tmp_path / "older")
    for name, faces in PHOTOS.items():
        library.draw(name, *faces)
    library.catalog.parent.mkdir()
    with closing(sqlite3.connect(library.catalog)) as db:
        db.executescript(here((OLDER / "catalog.sql").read_text(encoding="utf-8"), library.base))
        for name in PHOTOS:
            # Another version of Pillow may write a picture in other bytes.
            digest = hashlib.sha256((library.photos / name).read_bytes()).digest()
            db.execute(
                "UPDATE photos SET sha256 = ? WHERE id = (SELECT photo_id FROM files WHERE path = ?)",
                [digest, name.encode()],
            )
        db.commit()
        links = db.execute("SELECT path, stamp FROM links").fetchall()
        (library_id,) = db.execute("SELECT value FROM settings WHERE key = 'library_id'").fetchone()
    for path, stamp in links:
        link = library.people / os.fsdecode(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.fsdecode(stamp).removeprefix("symlink:"))
    marker = {"program": "facewatch", "library": json.loads(library_id)}
    (library.people / ".facewatch").write_text(json.dumps(marker), encoding="utf-8")
    return library


def here(text: str, base: Path) -> str:
    """Return a text of that version with this folder in it; paths in the catalog are bytes."""
    for old, new in ((WHERE, str(base)), (WHERE.encode().hex().upper(), os.fsencode(base).hex().upper())):
        text = text.replace(old, new)
    return text


def tree(library: Library) -> dict[str, set[str]]:
    folders: dict[str, set[str]] = {}
    for link, photo in library.tree().items():
        folders.setdefault(link.rpartition("/")[0], set()).add(photo)
    return folders


def inodes(library: Library) -> dict[str, int]:
    return {str(path): path.lstat().st_ino for path in library.people.rglob("*")}


def decided(app: App) -> list[Any]:
    """What the tables hold that decisions are about."""
    queries = (
        "SELECT id, name, is_hidden, is_touched, merged_into, is_gone, born, cover_id FROM people ORDER BY id",
        "SELECT face_id, person_id, source FROM assignments ORDER BY face_id",
        "SELECT face_id, person_id FROM rejections ORDER BY face_id",
        "SELECT face_id, mark FROM marks ORDER BY face_id",
        "SELECT person_id, other_id FROM apart ORDER BY person_id",
    )
    return [app.catalog._db.execute(query).fetchall() for query in queries]


def test_it_is_brought_to_the_newest_schema_and_kept_as_it_was(older: Library) -> None:
    with Catalog(older.catalog) as catalog:
        assert catalog.faults() == []
        assert catalog.people.names() == {1: "Anna", 2: "Ben", 3: "Cléo"}
    (kept,) = older.catalog.parent.glob("catalog.sqlite.before-*")
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("SELECT COUNT(*) FROM faces").fetchone() == (16,)
        assert "ctime_ns" not in {row[1] for row in db.execute("PRAGMA table_info(files)")}


def test_its_decisions_are_listed_can_be_undone_and_made_again(older: Library) -> None:
    with older.app() as app:
        assert [entry.action for entry in app.catalog.journal.decisions()] == DECISIONS
        before = decided(app)
        states = []
        for _ in DECISIONS:
            states.append(decided(app))
            app.corrections.undo()
        assert app.catalog.journal.decisions() == []
        assert app.catalog.people.names() == {}
        assert app.catalog.rejections.all() == {}
        for state in reversed(states):
            app.corrections.redo()
            assert decided(app) == state
        assert decided(app) == before
        assert app.catalog.faults() == []
        assert app.catalog.integrity.dangling() == {}


def test_its_people_folder_follows_what_is_undone_and_made_again(older: Library) -> None:
    with older.app() as app:
        app.corrections.undo(5)  # back to before the two were merged
        assert tree(older)["Cléo"] == {"cleo0.png", "cleo1.png", "cleo2.png"}
        assert tree(older)["_unnamed/Person 0004"] == {"dora0.png", "dora1.png", "dora2.png"}
        app.corrections.redo()
    assert tree(older) == TREE


def test_nothing_that_was_right_is_changed_in_its_people_folder(older: Library) -> None:
    assert tree(older) == TREE
    before = inodes(older)
    with older.app() as app:
        assert app.folder.plan().is_empty
        applied = app.folder.sync()
        assert (applied.n_made, applied.n_removed, applied.n_moved) == (0, 0, 0)
    assert inodes(older) == before


def test_a_scan_finds_all_that_it_knew_and_changes_nothing(older: Library) -> None:
    before = inodes(older)
    with older.app() as app:
        was = decided(app)
    older.scan()
    with older.app() as app:
        assert decided(app) == was
        assert app.catalog.faces.counts()["faces"] == 16
    assert tree(older) == TREE
    assert inodes(older) == before


def test_new_photos_of_its_people_are_recognised(older: Library) -> None:
    older.draw("2025/anna.png", (1, 20))
    older.scan()
    assert tree(older) == {**TREE, "Anna": TREE["Anna"] | {"2025/anna.png"}}


def test_its_settings_file_is_accepted(older: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "facewatch.toml"
    file.write_text(here((OLDER / "facewatch.toml").read_text(encoding="utf-8"), older.base), encoding="utf-8")
    config = load_config(file, {}, cwd=tmp_path)
    assert (config.photos, config.people, config.catalog) == ((older.photos,), older.people, older.catalog)
    assert main(["people", "--config", str(file)]) == 0
    assert "Cléo" in capsys.readouterr().out
