"""What the program keeps can be read by its owner only, whatever rights new files get by default."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library

from facewatch.clustering.graph import NeighbourGraph
from facewatch.errors import CatalogError
from facewatch.fs.locks import file_lock
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.lookup import faces_at


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Make this what is taken from the rights of new files."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(folder: Path) -> dict[str, str]:
    """Return what is not its owner's alone, with its rights."""
    paths = [folder, *folder.rglob("*")]
    wanted = {path: 0o700 if path.is_dir() else 0o600 for path in paths}
    return {str(path.relative_to(folder)): oct(rights(path)) for path in paths if rights(path) != wanted[path]}


def test_all_that_is_kept_is_its_owners_alone(library: Library, run: Any, umask: int) -> None:
    data = library.catalog.parent
    photo = library.draw("a.png", (1, 0), (2, 0))
    library.draw("b.png", (1, 1), (2, 1), (9, 9))
    library.scan()
    assert open_to_others(data) == {}
    assert run("search", str(photo)).code == 0
    with library.app() as app, app.face_crops(InlineWorkers(Recipe("fake"))) as crops:
        app.grouping.recluster()
        assert None not in crops.paths(faces_at(app.catalog, [1, 3]))
        with app.catalog.run_lock("a test"), app.catalog.write():
            assert open_to_others(data) == {}
            names = {path.name.removeprefix(library.catalog.name) for path in data.iterdir()}
            kept = {"", "-wal", "-shm", ".lock", ".run.lock", ".vectors.lock", ".vectors-fake", ".crops"}
            assert kept <= names, "or something is not looked at"
    assert open_to_others(data) == {}


def test_a_folder_that_was_there_keeps_its_rights(library: Library, umask: int) -> None:
    library.catalog.parent.mkdir()
    library.catalog.parent.chmod(0o755)
    library.draw("a.png", (1, 0))
    library.scan()
    assert open_to_others(library.catalog.parent) == {".": "0o755"}


def test_a_kept_graph_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    graph = NeighbourGraph(ceiling=0.5)
    graph.update(np.arange(3), np.eye(3, 4, dtype=np.float32))
    stale = tmp_path / "graph.npz.new"
    stale.write_text("of a run that was killed")
    stale.chmod(0o666)
    graph.save(tmp_path / "graph.npz")
    assert rights(tmp_path / "graph.npz") == 0o600


def test_a_graph_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine")
    (tmp_path / "graph.npz.new").symlink_to(tmp_path / "own")
    with pytest.raises(OSError, match="symbolic"):
        NeighbourGraph(ceiling=0.5).save(tmp_path / "graph.npz")
    assert (tmp_path / "own").read_text() == "mine"


def test_a_lock_does_not_empty_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("mine")
    (tmp_path / "catalog.lock").symlink_to(tmp_path / "own")
    with (
        pytest.raises(CatalogError, match="cannot be opened for locking"),
        file_lock(tmp_path / "catalog.lock", wait_seconds=0, purpose="a test"),
    ):
        pytest.fail("the lock was taken")
    assert (tmp_path / "own").read_text() == "mine"
