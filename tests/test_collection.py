"""A folder of links to photos that were searched for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.errors import FolderError
from facewatch.folders.collection import collect


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir() if not one.name.startswith(".")}


def test_the_photos_of_somebody_are_links_in_a_folder_and_follow(family: Library, run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Ben"
    assert run("photos", "with", "Ben", "--folder", str(folder)).out.endswith("3 links, 3 made, 0 removed\n")
    assert names(folder) == {"a.png", "c.png", "d.png"}
    assert (folder / "c.png").resolve() == (family.photos / "c.png").resolve()
    assert run("photos", "with", "Ben", "without", "Anna", "--folder", str(folder)).out.endswith(
        "2 links, 0 made, 1 removed\n"
    )
    assert names(folder) == {"c.png", "d.png"}


def test_files_of_one_name_stand_beside_each_other_and_strangers_stay(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "X.jpg"]
    for file in files:
        file.parent.mkdir()
        file.touch()
    folder = tmp_path / "links"
    assert collect(folder, files, libraries=()).n_made == 2
    assert names(folder) == {"x.jpg", "X (2).jpg"}
    (folder / "own.txt").touch()
    assert collect(folder, files[1:], libraries=()).n_removed == 1
    assert names(folder) == {"X (2).jpg", "own.txt"}
    (folder / "X (2).jpg").unlink()
    (folder / "X (2).jpg").write_text("mine now")
    assert collect(folder, (), libraries=()).n_removed == 0
    assert (folder / "X (2).jpg").read_text() == "mine now"


def test_a_folder_of_somebody_else_or_in_the_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(FolderError, match="something else"):
        collect(tmp_path / "full", (), libraries=())
    with pytest.raises(FolderError, match="only read"):
        collect(tmp_path / "photos" / "new", (), libraries=[tmp_path / "photos"])
    assert not (tmp_path / "photos").exists()
