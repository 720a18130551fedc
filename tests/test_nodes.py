"""Photos analysed by a real Ray cluster: the same catalog as on one machine, whatever becomes of its nodes."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import deadly
import psutil
import pytest
from clusters import NODE, cluster, processes_of
from drawn import FAMILY, Library, make_library

from facewatch.app import App
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import ConfigError, EngineError
from facewatch.indexing import cluster as connection
from facewatch.indexing import nodes
from facewatch.indexing.analyzer import AnalysisResult, LibraryFile, Recipe, load
from facewatch.indexing.cluster import Budget, ClusterSettings
from facewatch.indexing.nodes import NodePool
from facewatch.indexing.worker import Load
from facewatch.types import Fingerprint

FINGERPRINT = fake.FakeEngine().info.fingerprint
MANY = {f"{i:02}": [(i, 0)] for i in range(24)}

Content = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    with cluster(2) as made:
        yield made


def pool(of: Any, *, load: Load = load, fingerprint: str = FINGERPRINT, **settings: Any) -> NodePool:
    return NodePool(
        Recipe("fake"), ClusterSettings(of.address, **settings), fingerprint=fingerprint, load=load, photo_seconds=60
    )


def content_of(catalog: Path) -> Content:
    """Return what was found in which photo."""
    with closing(sqlite3.connect(catalog)) as db:
        return db.execute(
            "SELECT sha256, files.display, faces.x, faces.y, faces.w, faces.h, landmarks, score, vector"
            " FROM faces JOIN photos ON photos.id = faces.photo_id JOIN files ON files.photo_id = photos.id"
            " JOIN embeddings ON embeddings.face_id = faces.id ORDER BY 1, 2, 3"
        ).fetchall()


def n_files(catalog: Path) -> int:
    with closing(sqlite3.connect(catalog)) as db:
        return int(db.execute("SELECT count(*) FROM files").fetchone()[0])


def found_alone(base: Path, photos: dict[str, list[tuple[int, int]]]) -> Content:
    """Return what one machine finds in these photos."""
    other = make_library(base / "alone")
    other.draw_all(photos)
    other.scan()
    return content_of(other.catalog)


def scanned(library: Library, workers: NodePool) -> Any:
    with library.app(workers=workers) as app:
        return app.pipeline.scan()


@pytest.fixture
def family(library: Library) -> Library:
    library.draw_all(FAMILY)
    return library


@pytest.mark.parametrize("is_shipped", [False, True], ids=["shared", "shipped"])
def test_a_cluster_finds_what_one_machine_finds(
    two_nodes: Any, family: Library, tmp_path: Path, is_shipped: bool
) -> None:
    there = tmp_path / "mounted"
    there.symlink_to(family.photos.parent)
    workers = pool(two_nodes, is_shipped=is_shipped, paths={str(family.photos.parent): str(there)})
    assert workers.n_workers == 2
    result = scanned(family, workers)
    assert (result.files.n_new, result.files.n_faulty) == (len(FAMILY), 0)
    assert content_of(family.catalog) == found_alone(tmp_path, FAMILY)
    assert family.scan().files.n_new == 0


class Cut(NodePool):
    """Does something when it has been asked for so many photos."""

    def __init__(self, of: Any, then: Callable[[], object], *, after: int, load: Load = load) -> None:
        super().__init__(Recipe("fake"), ClusterSettings(of.address), fingerprint=FINGERPRINT, load=load)
        self._then, self._left = then, after

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Any:
        self._left -= 1
        if self._left == 0:
            self._then()
        return super().analyse(photo, expected)


def test_a_node_that_is_gone_in_the_middle_costs_nothing(two_nodes: Any, library: Library, tmp_path: Path) -> None:
    library.draw_all(MANY)
    third = two_nodes.add_node(**NODE)
    two_nodes.wait_for_nodes()
    workers = Cut(two_nodes, lambda: two_nodes.remove_node(third, allow_graceful=False), after=8)
    assert workers.n_workers == 3
    result = scanned(library, workers)
    assert (result.files.n_new, result.files.n_faulty, result.files.n_missing) == (len(MANY), 0, 0)
    assert content_of(library.catalog) == found_alone(tmp_path, MANY)


def test_a_photo_that_kills_its_workers_is_put_on_record_and_costs_only_itself(
    two_nodes: Any, family: Library, tmp_path: Path
) -> None:
    family.draw("deadly.png", (deadly.SEGFAULT, 0))
    (tmp_path / "traces").mkdir()
    result = scanned(family, pool(two_nodes, load=deadly.loading(deadly.load, tmp_path / "traces")))
    assert (result.files.n_new, result.files.n_faulty) == (len(FAMILY), 1)
    with family.app() as app:
        (fault,) = app.status().faults
    assert fault.fault.text == "crashes the decoder or the detector (segmentation fault)"


def test_a_node_that_does_not_see_the_photos_is_named_and_no_photo_is_taken_for_gone(
    two_nodes: Any, family: Library
) -> None:
    blind = pool(two_nodes, paths={str(family.photos): "/nowhere/at/all"})
    with pytest.raises(EngineError, match=r"does not see the photos in /nowhere/at/all .*; see ray\.paths"):
        scanned(family, blind)
    assert n_files(family.catalog) == 0
    assert family.scan().files.n_new == len(FAMILY)


def test_a_photo_that_changes_while_it_is_read_is_not_blamed_on_the_node(two_nodes: Any, family: Library) -> None:
    workers = pool(two_nodes)
    (family.photos / "a.png").unlink()
    gone = LibraryFile(str(family.photos), "a.png")
    with closing(workers):
        with pytest.raises(FileNotFoundError):
            workers.examine(gone).result(60)
        seen = Fingerprint.of((family.photos / "b.png").stat())
        answer: AnalysisResult = workers.analyse(LibraryFile(str(family.photos), "b.png"), seen).result(60)
        assert answer is not None


class MeddlingEngine(fake.FakeEngine):
    """Somebody saves a photo again while it is analysed."""

    def __init__(self, photo: str) -> None:
        self._photo = photo

    def analyse(self, pixels: Any, **closer: Any) -> Any:
        with Path(self._photo).open("ab") as file:
            file.write(b" ")
        return super().analyse(pixels, **closer)


def load_meddling(photo: str, _: Recipe) -> MeddlingEngine:
    return MeddlingEngine(photo)


@pytest.mark.parametrize("is_shipped", [False, True], ids=["shared", "shipped"])
def test_what_was_found_in_a_photo_that_changed_meanwhile_counts_for_nothing(
    two_nodes: Any, family: Library, is_shipped: bool
) -> None:
    photo = family.photos / "a.png"
    seen = Fingerprint.of(photo.stat())
    with closing(pool(two_nodes, is_shipped=is_shipped, load=partial(load_meddling, str(photo)))) as workers:
        assert workers.analyse(LibraryFile(str(family.photos), "a.png"), seen).result(60) is None


def test_a_node_with_another_version_or_other_models_is_named(
    two_nodes: Any, family: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match="has other model files than this machine"):
        scanned(family, pool(two_nodes, fingerprint="other files"))
    monkeypatch.setattr(nodes, "__version__", "99.1")
    with pytest.raises(EngineError, match=r"has facewatch .*, this machine has 99\.1; install the same"):
        scanned(family, pool(two_nodes))
    assert n_files(family.catalog) == 0


def test_an_address_where_nobody_listens_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(EngineError, match=r"ray start --head`, or empty ray\.address"):
        NodePool(Recipe("fake"), ClusterSettings(f"127.0.0.1:{port}"), fingerprint=FINGERPRINT)


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match="-m pip install ray"):
        NodePool(Recipe("fake"), ClusterSettings("local"), fingerprint=FINGERPRINT)


def test_what_is_sent_at_a_time_is_bounded_and_what_is_larger_goes_alone() -> None:
    budget = Budget(10)
    budget.take(8, pytest.fail)

    def give_back() -> None:
        budget.give_back(8)

    budget.take(30, give_back)
    with pytest.raises(EngineError):
        budget.take(1, lambda: (_ for _ in ()).throw(EngineError("not wanted any more")))


def test_addresses_and_paths_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    for wrong in ({"ray.address": "ray://somewhere:10001"}, {"ray.paths": ["here=there"]}, {"ray.photos": "sent"}):
        with pytest.raises(ConfigError, match=next(iter(wrong)).partition(".")[2]):
            load_config(None, wrong, cwd=tmp_path)


def test_a_cluster_whose_head_is_gone_is_said_and_the_next_scan_goes_on(
    two_nodes: Any, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last that has a use for these nodes."""
    library.draw_all(FAMILY)
    library.draw("z.png", (deadly.SLEEP, 0))
    (tmp_path / "traces").mkdir()
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.0)
    deadly_load = deadly.loading(deadly.load, tmp_path / "traces")

    def kill_head() -> None:
        for process in psutil.Process().children(recursive=True):
            if process.name() == "gcs_server":
                process.kill()

    with pytest.raises(EngineError, match=r"the cluster has gone away .* the next scan goes on"):
        scanned(library, Cut(two_nodes, kill_head, after=8, load=deadly_load))
    (library.photos / "z.png").unlink()
    library.scan()
    assert content_of(library.catalog) == found_alone(tmp_path, FAMILY)


def test_a_head_that_is_switched_off_with_its_workers_is_said_and_does_not_end_this_process(library: Library) -> None:
    """Ray by itself waits a minute for the head, and then ends the process that waits."""
    library.draw_all(FAMILY)

    with cluster(1) as made:

        def switch_off() -> None:
            for process in list(processes_of(made)):
                with suppress(psutil.Error):  # it has gone with another
                    process.kill()

        with pytest.raises(EngineError, match=r"the cluster has gone away .* the next scan goes on"):
            scanned(library, Cut(made, switch_off, after=3))
    library.scan()
    with library.app() as app:
        assert not app.status().faults


@pytest.mark.slow
def test_a_scan_on_a_local_cluster_finds_in_real_photos_what_a_scan_finds(shared: Path, tmp_path: Path) -> None:
    photos = tmp_path / "Photos"
    photos.mkdir()
    for file in sorted((shared / "photos" / "lfw" / "George_W_Bush").iterdir())[:4]:
        shutil.copyfile(file, photos / file.name)
    found = []
    for address in ("local", ""):
        base = tmp_path / (address or "pool")
        base.mkdir()
        settings = {
            "library.photos": str(photos),
            "library.people": str(base / "People"),
            "library.catalog": str(base / "catalog.sqlite"),
            "ray.address": address,
            "engine.workers": 2,
        }
        with App(load_config(None, settings, cwd=base)) as app:
            assert app.pipeline.scan().files.n_new == 4
            ours = {one.pid for one in psutil.Process().children(recursive=True)}
            open_to_all = {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.pid in ours}
            assert open_to_all <= {"127.0.0.1", "::ffff:127.0.0.1"}
        found.append(content_of(base / "catalog.sqlite"))
    assert found[0] == found[1]
    assert found[0]
