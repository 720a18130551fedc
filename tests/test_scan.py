"""What is in the library, and how it differs from what is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.library.scan import Changes, Moved, Rules, Walk, compare, walk
from facewatch.types import Fingerprint


def make(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def found(root: Path, *exclude: str) -> set[str]:
    return set(walk(root, Rules(exclude)).files)


def test_every_file_is_found_at_any_depth(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "2024/b.jpg", "2024/May/c.JPG", "no extension")
    assert found(tmp_path) == {"a.jpg", "2024/b.jpg", "2024/May/c.JPG", "no extension"}


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", ".cache/c.jpg", "._d.jpg", "Thumbs.db")
    assert found(tmp_path) == {"a.jpg"}


def test_a_folder_with_nomedia_is_passed_over_with_all_below_it(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "private/.nomedia", "private/b.jpg", "private/more/c.jpg")
    assert found(tmp_path) == {"a.jpg"}


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ("@eaDir", {"@eaDir/a.jpg", "x/@eaDir/a.jpg"}),
        ("*.png", {"b.png", "x/b.png"}),
        ("x/old", {"x/old/c.jpg"}),
        ("x/old/", {"x/old/c.jpg"}),
        ("x/*.png", {"x/b.png"}),
        ("old", {"x/old/c.jpg", "old/c.jpg"}),
    ],
)
def test_exclude_takes_names_patterns_and_paths(tmp_path: Path, exclude: str, gone: set[str]) -> None:
    everything = {"@eaDir/a.jpg", "x/@eaDir/a.jpg", "b.png", "x/b.png", "x/old/c.jpg", "old/c.jpg", "d.jpg"}
    make(tmp_path, *everything)
    assert found(tmp_path, exclude) == everything - gone


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    make(outside, "secret.jpg")
    make(root, "a.jpg")
    (root / "link").symlink_to(outside)
    (root / "link.jpg").symlink_to(outside / "secret.jpg")
    (root / "loop").symlink_to(root)
    assert found(root) == {"a.jpg"}


def test_pipes_and_sockets_are_no_files(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert found(tmp_path) == {"a.jpg"}


def test_hostile_names_come_through(tmp_path: Path) -> None:
    hostile = [
        b"new\nline.jpg",
        b"\xff\xfe.jpg",
        b"-rf.jpg",
        b"'\"$(x).jpg",
        "\u202egpj.exe".encode(),
        b"x" * 244 + b".jpg",
    ]
    for name in hostile:
        (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).write_text("x")
    assert {os.fsencode(path) for path in found(tmp_path)} == set(hostile)


def test_a_folder_that_cannot_be_listed_is_reported_and_nothing_in_it_counts_as_missing(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    # What a walk says of a folder that it may not list (here everybody is root, who may).
    seen = Walk(walk(tmp_path, Rules()).files, {"locked": "Permission denied"})
    known = {"locked/b.jpg": Fingerprint(1, 2, 3), "gone.jpg": Fingerprint(1, 2, 4)} | dict(seen.files)
    assert compare(seen, known) == Changes((), (), (), ("gone.jpg",))


def test_the_rules_agree_with_the_walk(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", ".b.jpg", "c/.nomedia", "c/d.jpg", "e/@eaDir/f.jpg", "g/h.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "g")
    rules = Rules(("@eaDir",))
    everything = ["a.jpg", ".b.jpg", "c/d.jpg", "e/@eaDir/f.jpg", "g/h.jpg", "link/h.jpg"]
    assert {path for path in everything if rules.allows(path, tmp_path)} == set(walk(tmp_path, rules).files)


PRINTS = st.builds(Fingerprint, st.integers(0, 2), st.integers(0, 2), st.integers(0, 5))
TREES = st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e", "f"]), PRINTS, max_size=5)


@given(TREES, TREES)
def test_applying_the_changes_makes_the_catalog_say_what_the_library_holds(
    known: dict[str, Fingerprint], files: dict[str, Fingerprint]
) -> None:
    changes = compare(Walk(files), known)
    after = dict(known)
    for move in changes.moved:
        after[move.new] = after.pop(move.old)
    for path in changes.missing:
        del after[path]
    for path in changes.to_read:
        after[path] = files[path]
    assert after == files


@given(TREES)
def test_nothing_changes_where_nothing_changed(files: dict[str, Fingerprint]) -> None:
    assert compare(Walk(files), files) == Changes((), (), (), ())


def test_a_file_in_a_new_place_with_the_same_inode_size_and_time_was_moved() -> None:
    known = {"old/a.jpg": Fingerprint(10, 20, 30)}
    assert compare(Walk({"new/b.jpg": Fingerprint(10, 20, 30)}), known).moved == (Moved("old/a.jpg", "new/b.jpg"),)
    assert compare(Walk({"new/b.jpg": Fingerprint(10, 21, 30)}), known).moved == ()


def test_a_library_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        walk(tmp_path / "none", Rules())


def test_what_a_library_is_really_called_is_looked_up_once_a_look_however_many_files_lie_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(50):
        (tmp_path / f"{i}.jpg").touch()
    asked: list[str] = []
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(str(path)) or real(path))
    assert len(walk(tmp_path, Rules(folders=("*.photoslibrary but originals",))).files) == 50
    assert len(asked) == 1
