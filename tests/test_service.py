"""The main job: from a library to a folder for every person, and it stays so."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from drawn import CountingEngine, Library, make_library
from PIL import Image

from facewatch.app import App
from facewatch.engines import fake
from facewatch.errors import BusyError, ConfigError, FolderError, LibraryError
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.watcher.loop import WatchLoop


@pytest.fixture
def family(library: Library) -> Library:
    """Anna (1) in three photos, Ben (2) in two, one with both; a stranger in one."""
    library.draw("2024/a.png", (1, 0))
    library.draw("2024/b.png", (1, 1), (2, 0))
    library.draw("2025/a.png", (1, 2))
    library.draw("2025/c.png", (2, 1))
    library.draw("stranger.png", (9, 0))
    return library


GROUPS = [{"2024/a.png", "2024/b.png", "2025/a.png"}, {"2024/b.png", "2025/c.png"}]


def test_one_scan_makes_a_folder_per_person_with_links_that_open(family: Library) -> None:
    result = family.scan()
    assert (result.files.n_new, result.faces.n_faces, result.faces.n_new_people) == (5, 6, 2)
    assert family.groups() == GROUPS
    for link in family.people.rglob("*.png"):
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        assert link.read_bytes().startswith(b"\x89PNG")


def test_two_photos_of_one_name_both_have_a_place(family: Library) -> None:
    family.scan()
    assert len([link for link in family.tree() if "/a" in link]) == 2


def test_a_second_scan_finds_nothing_to_do(family: Library) -> None:
    family.scan()
    before = family.tree()
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        result = app.pipeline.scan()
    assert engine.n == 0
    assert (result.files.n_files, result.files.n_new, result.n_links_made, result.n_links_removed) == (5, 0, 0, 0)
    assert family.tree() == before


def test_photos_without_faces_are_not_looked_at_again(family: Library) -> None:
    family.draw("blank.png")
    family.scan()
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        app.pipeline.scan()
    assert engine.n == 0


def test_bad_photos_are_not_tried_again_until_they_change(family: Library) -> None:
    bad = family.photos / "bad.jpg"
    bad.write_bytes(b"not a photo")
    assert family.scan().files.n_faulty == 1
    assert family.scan().files.n_faulty == 0
    shutil.copy(family.photos / "2024/a.png", bad)
    assert family.scan().files.n_faulty == 0
    with family.app() as app:
        assert app.status().faults == ()


def test_new_photos_go_to_the_people_that_are_known(family: Library) -> None:
    family.scan()
    before = family.tree()
    family.draw("2026/new.png", (2, 5))
    family.scan()
    [new] = set(family.tree()) - set(before)
    assert new.rpartition("/")[0] == next(link for link in before if "c.png" in link).rpartition("/")[0]


def test_a_removed_photo_takes_its_link_along_and_an_emptied_folder_goes(family: Library) -> None:
    family.scan()
    (family.photos / "2025/c.png").unlink()
    family.scan()
    assert {"2024/b.png"} in family.groups()
    (family.photos / "2024/b.png").unlink()
    family.scan()
    assert family.groups() == [{"2024/a.png", "2025/a.png"}]
    assert len([d for d in (family.people / "_unnamed").iterdir()]) == 1


def test_a_photo_that_comes_back_is_its_persons_again_without_being_analysed(family: Library, tmp_path: Path) -> None:
    family.scan()
    before = family.tree()
    shutil.move(family.photos / "2025/c.png", tmp_path / "c.png")
    family.scan()
    assert family.tree() != before
    shutil.move(tmp_path / "c.png", family.photos / "2025/c.png")
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        app.pipeline.scan()
    assert engine.n == 0
    assert family.tree() == before


def test_a_moved_folder_keeps_faces_and_people(family: Library) -> None:
    family.scan()
    (family.photos / "2024").rename(family.photos / "years before")
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        result = app.pipeline.scan()
    assert engine.n == 0
    assert (result.files.n_moved, result.files.n_missing) == (2, 0)
    assert family.groups() == [{p.replace("2024", "years before") for p in group} for group in GROUPS]


def test_a_renamed_person_is_one_directory_rename(family: Library) -> None:
    family.scan()
    folder = family.people / next(iter(family.tree())).rpartition("/")[0]
    inode = folder.stat().st_ino
    with family.app() as app:
        app.corrections.rename(folder.name, "Anna")
    assert (family.people / "Anna").stat().st_ino == inode
    assert not folder.exists()


def test_no_byte_and_no_time_of_the_library_changes(family: Library) -> None:
    (family.photos / "bad.jpg").write_bytes(b"bad")
    before = state_of(family.photos)
    for path in family.photos.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    family.scan()
    with family.app() as app:
        app.corrections.rename(str(app.catalog.people.all()[0].id), "Anna")
    family.scan()
    assert state_of(family.photos) == before


def state_of(root: Path) -> dict[str, tuple[int, str]]:
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in root.rglob("*")
        if p.is_file()
    }


def test_a_strangers_file_in_a_folder_of_ours_stays_when_the_folder_empties(family: Library) -> None:
    family.scan()
    folder = family.people / next(link for link in family.tree() if "c.png" in link).rpartition("/")[0]
    (folder / "my notes.txt").write_text("mine")
    for name in ("2024/b.png", "2025/c.png"):
        (family.photos / name).unlink()
    family.scan()
    assert (folder / "my notes.txt").read_text() == "mine"
    assert len(list(folder.iterdir())) == 1


def test_the_order_of_arrival_does_not_decide_who_is_together(tmp_path: Path) -> None:
    photos = [("a", (1, 0)), ("b", (1, 1)), ("c", (2, 0)), ("d", (2, 1)), ("e", (1, 2))]
    results = []
    for turn, order in enumerate((photos, photos[::-1], photos[2:] + photos[:2])):
        library = make_library(tmp_path / str(turn))
        for name, face in order:
            library.draw(f"{name}.png", face)
            library.scan()
        results.append(library.groups())
    assert results[0] == results[1] == results[2]


def test_several_libraries_share_their_people(family: Library, tmp_path: Path) -> None:
    other = tmp_path / "Other"
    other.mkdir()
    shutil.copy(family.draw("x.png", (1, 7)), other / "y.png")
    (family.photos / "x.png").unlink()
    with family.app({"library.photos": [str(family.photos), str(other)]}) as app:
        app.pipeline.scan()
        assert sorted(p.n_photos for p in app.catalog.people.all()) == [2, 4]


def test_a_library_that_was_moved_is_followed(family: Library) -> None:
    family.scan()
    new = family.base / "Pictures"
    family.photos.rename(new)
    engine = CountingEngine()
    with family.app({"library.photos": str(new)}, workers=InlineWorkers(Recipe("fake"), engine)) as app:
        app.pipeline.scan()
        assert app.catalog.roots.all() == [new]
        assert list(app.status().health.offline) == []
    assert engine.n == 0
    family.photos = new
    assert family.groups() == GROUPS


def test_a_library_that_is_gone_for_a_while_does_not_keep_another_waiting(family: Library, tmp_path: Path) -> None:
    other = tmp_path / "Other"
    other.mkdir()
    both = {"library.photos": [str(family.photos), str(other)]}
    family.scan(**both)
    family.photos.rename(tmp_path / "unplugged")
    Image.fromarray(fake.draw([(1, 9)])).save(other / "new.png")
    with family.app(both) as app:
        result = app.pipeline.scan()
        assert (result.files.n_new, result.files.n_missing) == (1, 0)
        assert list(app.status().health.offline) == [str(family.photos)]


def test_a_library_reached_by_two_ways_is_one(family: Library) -> None:
    (family.base / "Shortcut").symlink_to(family.photos)
    family.scan(**{"library.photos": str(family.base / "Shortcut")})
    assert family.scan().files.n_known == 0
    with family.app() as app:
        assert app.catalog.files.counts()["files"] == 5


def test_libraries_that_lie_in_each_other_are_one(family: Library) -> None:
    inner = {"library.photos": str(family.photos / "2024"), "library.people": str(family.people)}
    family.scan(**inner)
    engine = CountingEngine()
    with family.app(workers=InlineWorkers(Recipe("fake"), engine)) as app:
        app.pipeline.scan()
        assert engine.n == 3  # those in 2024 are known
        assert app.catalog.roots.all() == [family.photos]
        assert app.catalog.files.counts()["files"] == 5
    assert family.groups() == GROUPS
    (family.photos / "2024/a.png").unlink()
    family.scan(**inner)
    with family.app() as app:
        assert app.catalog.roots.all() == [family.photos]
        assert app.catalog.files.counts()["files"] == 4


def test_what_was_scanned_before_is_scanned_again_when_nothing_is_named(family: Library) -> None:
    family.scan()
    family.draw("new.png", (1, 8))
    with family.app({"library.photos": "", "library.people": ""}) as app:
        assert app.folder.root == family.people
        assert app.pipeline.scan().files.n_new == 1


def test_a_library_that_is_suddenly_empty_removes_nothing(family: Library, tmp_path: Path) -> None:
    family.scan()
    before = family.tree()
    (family.photos).rename(tmp_path / "unplugged")
    family.photos.mkdir()
    with pytest.raises(
        LibraryError, match=r"empty, but 5 files were there: is the drive plugged in\? Nothing was removed"
    ):
        family.scan()
    family.photos.rmdir()
    with pytest.raises(LibraryError, match="does not exist"):
        family.scan()
    (tmp_path / "unplugged").rename(family.photos)
    family.scan()
    assert family.tree() == before


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"library.people": "Photos/People"}, "must lie beside the photos"),
        ({"library.people": "."}, "must lie beside the photos"),
        ({"library.people": "Photos"}, "must lie beside the photos"),
        ({"library.catalog": "Photos/c.sqlite"}, "must not lie inside the photos"),
        ({"library.catalog": "People/c.sqlite"}, "must not lie inside the people folder"),
        ({"library.catalog": "link/c.sqlite"}, "must not lie inside the photos"),
    ],
)
def test_places_that_lie_in_each_other_are_refused(library: Library, settings: dict[str, str], expected: str) -> None:
    (library.base / "link").symlink_to(library.photos)
    with pytest.raises(ConfigError, match=expected):
        library.app(settings)
    assert list(library.photos.iterdir()) == []


def test_a_library_that_does_not_exist_is_refused(library: Library) -> None:
    with (
        library.app({"library.photos": str(library.base / "Fotos")}) as app,
        pytest.raises(LibraryError, match="does not exist; plug its drive in, or name your photo folder"),
    ):
        app.pipeline.scan()
    assert not library.people.exists()


def test_a_people_folder_that_cannot_be_made_is_said_before_anything_is_analysed(family: Library) -> None:
    engine = CountingEngine()
    with (
        family.app({"library.people": "/proc/People"}, workers=InlineWorkers(Recipe("fake"), engine)) as app,
        pytest.raises(FolderError, match="/proc/People"),
    ):
        app.pipeline.scan()
    assert engine.n == 0


def test_copies_and_hard_links_work_where_links_do_not(family: Library, tmp_path: Path) -> None:
    for kind in ("hardlink", "copy"):
        people = tmp_path / kind
        with family.app(
            {"library.people": str(people), "library.catalog": str(tmp_path / f"{kind}.sqlite"), "folders.link": kind}
        ) as app:
            app.pipeline.scan()
        photos = sorted(path for path in people.rglob("*.png"))
        assert len(photos) == 5
        assert not any(path.is_symlink() for path in photos)
        same = photos[0].stat().st_ino in {p.stat().st_ino for p in family.photos.rglob("*.png")}
        assert same == (kind == "hardlink")


def test_only_named_people_have_folders_when_that_is_wanted(family: Library) -> None:
    family.scan(**{"folders.unnamed": False})
    assert family.tree() == {}
    with family.app({"folders.unnamed": False}) as app:
        app.corrections.rename("1", "Anna")
    assert {link.rpartition("/")[0] for link in family.tree()} == {"Anna"}


def test_a_second_run_at_the_same_time_is_refused(family: Library) -> None:
    with (
        family.app() as first,
        family.app() as second,
        first.pipeline.running("scan"),
        pytest.raises(BusyError, match="held by scan"),
    ):
        second.pipeline.scan()


def test_naming_works_while_a_run_is_on(family: Library) -> None:
    family.scan()
    with family.app() as running, running.pipeline.running("watch"), family.app() as other:
        other.corrections.rename("1", "Anna")
    assert (family.people / "Anna").is_dir()


def test_every_run_is_on_record(family: Library) -> None:
    family.scan()
    with family.app() as app:
        run = app.catalog.runs.last("scan")
    assert run
    assert run["ended_at"]
    assert '"n_new": 5' in run["outcome"]


@pytest.mark.parametrize("stop_after", range(6))
def test_a_scan_that_was_cut_off_carries_on_to_the_same_end(family: Library, stop_after: int) -> None:
    class Dying(fake.FakeEngine):
        n = 0

        def analyse(self, pixels: Any, **closer: Any) -> Any:
            self.n += 1
            if self.n > stop_after:
                raise KeyboardInterrupt
            return super().analyse(pixels, **closer)

    app: App
    with (
        pytest.raises(KeyboardInterrupt) if stop_after < 5 else nullcontext(),
        family.app(workers=InlineWorkers(Recipe("fake"), Dying())) as app,
    ):
        app.pipeline.scan()
    family.scan()
    assert family.groups() == GROUPS


def test_a_name_given_to_the_folder_in_hostile_ways_stays_one_folder(family: Library) -> None:
    family.scan()
    with family.app() as app:
        for name in ("..a", "a/b", "CON", "...", "x" * 120, "\N{LATIN SMALL LETTER E WITH ACUTE}va", ".hidden"):
            app.corrections.rename("1", name)
            [folder] = [d for d in family.people.iterdir() if d.is_dir() and d.name != "_unnamed"]
            assert folder.parent == family.people
            assert not folder.name.startswith(".")
            assert len(list(folder.iterdir())) == 3
    assert sorted(p.name for p in family.base.iterdir()) == ["People", "Photos", "data"]


def test_the_settings_know_every_way_of_grouping() -> None:
    from facewatch.clustering import METHODS
    from facewatch.config import SETTINGS

    [setting] = [s for s in SETTINGS if s.name == "cluster.method"]
    assert not [method for method in METHODS if setting.check(method) is not None]
    assert setting.check("magic") is not None
    assert setting.default in METHODS


@pytest.mark.parametrize("method", ["hdbscan", "linkage", "spectral", "whispers", "dbscan"])
def test_every_way_of_grouping_finds_easy_people(library: Library, method: str) -> None:
    for look in range(4):
        library.draw(f"{look}.png", (1, look), (2, look))
        library.draw(f"alone{look}.png", (3, look))
    library.scan(**{"cluster.method": method})
    everybody = {f"{look}.png" for look in range(4)}
    assert library.groups() == sorted([everybody, everybody, {f"alone{look}.png" for look in range(4)}], key=sorted)


def test_settings_of_spectral_reach_it_and_change_what_counts_as_grouped(library: Library) -> None:
    library.draw("0.png", (1, 0))
    with library.app({"cluster.method": "spectral", "cluster.k_reciprocal": 7, "cluster.n_clusters": 3}) as app:
        clusterer: Any = app.grouping.clusterer("spectral")
        assert (clusterer.k_reciprocal, clusterer.n_clusters, clusterer.verification_threshold) == (7, 3, None)
        app.pipeline.scan()
        assert not app.grouping.is_due
    with library.app({"cluster.method": "spectral", "cluster.k_reciprocal": 8}) as app:
        assert app.grouping.is_due


def test_a_verification_threshold_above_the_engines_ceiling_is_the_ceiling(library: Library) -> None:
    with library.app({"cluster.verification_threshold": 1.3}) as app:
        clusterer: Any = app.grouping.clusterer("spectral")
        assert clusterer.verification_threshold == clusterer.ceiling


def test_grouping_again_compares_only_new_faces(library: Library) -> None:
    library.draw_looks(1, 3)
    with library.app() as app:
        app.pipeline.scan()
        kept = app.grouping._graph
        library.draw("new.png", (1, 9))
        app.pipeline.scan()
        assert app.grouping._graph is kept
    assert library.groups() == [{"0.png", "1.png", "2.png", "new.png"}]


def test_the_next_process_extends_the_graph_of_the_last(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewatch.people.grouping.KEPT_GRAPH_FACES", 2)
    library.draw_looks(1, 3)
    library.scan()
    with library.app() as app:
        app.grouping.clusterer("whispers")
        assert app.grouping._graph is not None
        assert app.grouping._graph.n_faces == 3
    library.draw("new.png", (1, 9))
    library.scan()
    assert library.groups() == [{"0.png", "1.png", "2.png", "new.png"}]


def test_a_graph_that_cannot_be_kept_costs_nothing_but_time(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("facewatch.people.grouping.KEPT_GRAPH_FACES", 2)
    library.draw_looks(1, 3)
    with library.app() as app:
        app.grouping._graph_file.mkdir()
        app.pipeline.scan()
        app.pipeline.rest()
    assert library.groups() == [{"0.png", "1.png", "2.png"}]
    assert "the next process works it out again" in caplog.text


def test_a_decision_whose_folders_cannot_follow_holds_in_the_same_process(family: Library) -> None:
    family.scan()
    with family.app() as app:
        app.identities.gallery()
        [face] = app.lookup.photo(family.photos / "2024/b.png")["faces"][:1]
        shutil.rmtree(family.people)
        family.people.write_text("in the way")
        with pytest.raises(FolderError, match="it is decided, but"), app.corrections.deciding() as decisions:
            decisions.reject([str(face["face_id"])])
        app.identities.match_photo(app.catalog.faces.rows([face["face_id"]])[0].photo_id)
        assert app.lookup.photo(family.photos / "2024/b.png")["faces"][0]["person_id"] != face["person_id"]


def test_asking_writes_nothing(family: Library) -> None:
    family.scan()
    with family.app() as watcher, family.app() as other:
        before = watcher.catalog.version()
        other.identities.look_alikes()
        assert watcher.catalog.version() == before


def test_the_pool_is_grouped_again_after_another_process_decided(family: Library) -> None:
    family.scan()
    now = [0.0]
    with family.app() as app:
        loop = WatchLoop(app, should_stop=lambda: False, clock=lambda: now[0])
        for now[0] in (0.0, 1_000.0, 2_000.0):
            loop.step({})
        assert not app.grouping.is_due
        with family.app() as other, other.corrections.deciding() as decisions:
            decisions.reject([str(app.lookup.photo(family.photos / "2024/b.png")["faces"][0]["face_id"])])
        assert app.grouping.is_due
        for now[0] in (3_000.0, 4_000.0):
            loop.step({})
        assert not app.grouping.is_due
