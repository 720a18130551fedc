"""What is believed of a library: moves and copies by content, and no removal while its drive is elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.engines import fake
from facewatch.errors import LibraryError
from facewatch.fs.beneath import stat_below
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.library.scan import Rules, walk
from facewatch.pipeline import ScanResult
from facewatch.types import Fingerprint


@pytest.fixture
def other_device(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than the library's."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system that can be written: /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def on_a_drive(library: Library) -> Path:
    """Make the library's folder a link to a drive; returns the drive."""
    drive = library.base / "drive"
    library.photos.rename(drive)
    library.photos.symlink_to(drive)
    return drive


def plug_in(library: Library, drive: Path) -> None:
    library.photos.unlink()
    library.photos.symlink_to(drive)


def n_files(library: Library) -> int:
    with library.app() as app:
        return app.catalog.files.counts()["files"]


def test_another_drive_in_its_place_removes_nothing(library: Library, other_device: Path) -> None:
    drive = on_a_drive(library)
    library.draw_looks(1, 4)
    library.scan()
    before = library.tree()
    shutil.copy(drive / "0.png", other_device / "0.png")
    plug_in(library, other_device)
    with pytest.raises(LibraryError, match="another drive or folder than before, and 3 of 4 files are not there"):
        library.scan()
    assert n_files(library) == 4
    plug_in(library, drive)
    library.scan()
    assert library.tree() == before


def test_another_folder_in_its_place_on_the_same_device_removes_nothing(library: Library, tmp_path: Path) -> None:
    """Drives that are plugged into one slot have one number."""
    drive = on_a_drive(library)
    library.draw_looks(1, 4)
    library.scan()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(drive / "0.png", other / "0.png")
    plug_in(library, other)
    with pytest.raises(LibraryError, match="another drive or folder"):
        library.scan()
    assert n_files(library) == 4


def test_an_unplugged_drive_keeps_its_files_when_its_backup_becomes_a_library(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 3)
    library.scan()
    backup = tmp_path / "Backup"
    shutil.copytree(library.photos, backup)
    library.photos.rename(tmp_path / "unplugged")
    library.scan(**{"library.photos": [str(library.photos), str(backup)]})
    assert n_files(library) == 6


def test_libraries_that_come_to_lie_in_each_other_through_a_link_are_one(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 2, "sub/")
    elsewhere = tmp_path / "Elsewhere"
    shutil.copytree(library.photos / "sub", elsewhere)
    link = tmp_path / "Link"
    link.symlink_to(elsewhere)
    both = {"library.photos": [str(library.photos), str(link)]}
    library.scan(**both)
    link.unlink()
    link.symlink_to(library.photos / "sub")
    library.scan(**both)
    with library.app(both) as app:
        assert app.catalog.files.counts()["files"] == 2


def test_a_new_drive_is_believed_when_the_user_says_so(library: Library, other_device: Path) -> None:
    on_a_drive(library)
    library.draw_looks(1, 4)
    library.scan()
    shutil.copy(library.photos / "0.png", other_device / "0.png")
    plug_in(library, other_device)
    with library.app() as app:
        app.libraries.believe_new_drives()
        assert app.pipeline.scan().files.n_missing == 3
    assert library.scan().files.n_missing == 0


def test_a_library_that_was_copied_to_a_new_drive_is_the_same_one(library: Library, other_device: Path) -> None:
    on_a_drive(library)
    library.draw_looks(1, 4)
    library.scan()
    shutil.copytree(library.photos, other_device, dirs_exist_ok=True)
    (other_device / "3.png").unlink()
    plug_in(library, other_device)
    result = library.scan()
    assert (result.files.n_known, result.files.n_missing, result.files.n_new) == (3, 1, 0)


def test_what_was_on_a_drive_that_was_mounted_inside_stays(library: Library) -> None:
    library.draw("a.png", (1, 0))
    for i in range(3):
        library.draw(f"usb/{i}.png", (1, i + 1))
    library.scan()
    with library.app() as app, app.catalog.write():
        root_id = app.libraries.root_id(library.photos)
        app.catalog.roots.set_mounts(root_id, ["usb"])
    shutil.rmtree(library.photos / "usb")
    assert library.scan().files.n_missing == 0
    with library.app() as app:
        assert list(app.status().health.offline) == [f"{library.photos}/usb"]
    (library.photos / "usb").mkdir()
    assert library.scan().files.n_missing == 0
    assert n_files(library) == 4
    with library.app() as app:
        app.libraries.believe_new_drives()
        assert app.pipeline.scan().files.n_missing == 3


def test_a_folder_that_becomes_a_link_holds_nothing_of_ours(library: Library, tmp_path: Path) -> None:
    library.draw("sub/a.png", (1, 0))
    look = stat_below(library.photos)
    assert look("sub/a.png")
    (library.photos / "sub").rename(tmp_path / "away")
    (library.photos / "sub").symlink_to(tmp_path / "away")
    assert stat_below(library.photos)("sub/a.png") is None


def test_a_folder_that_is_no_mount_any_more_but_holds_its_files_is_an_ordinary_one(library: Library) -> None:
    library.draw_looks(1, 3, "usb/")
    library.scan()
    with library.app() as app, app.catalog.write():
        app.catalog.roots.set_mounts(app.libraries.root_id(library.photos), ["usb"])
    (library.photos / "usb" / "2.png").unlink()
    assert library.scan().files.n_missing == 1
    with library.app() as app:
        assert not app.catalog.roots.mounts(app.libraries.root_id(library.photos))


def test_one_of_two_drives_with_the_same_photos_may_be_unplugged(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 2)
    mirror = tmp_path / "Mirror"
    shutil.copytree(library.photos, mirror)
    both = {"library.photos": [str(library.photos), str(mirror)]}
    library.scan(**both)
    library.photos.rename(tmp_path / "unplugged")
    library.scan(**both)
    with library.app(both) as app:
        assert app.catalog.files.counts()["files"] == 4
        assert library.photos in app.catalog.roots.all()


def test_a_whole_library_that_was_moved_is_one_library_at_its_new_place(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 2)
    library.scan()
    with library.app() as app:
        app.corrections.rename("1", "Anna")
    moved = tmp_path / "Moved"
    library.photos.rename(moved)
    result = library.scan(**{"library.photos": str(moved)})
    assert (result.files.n_moved, result.files.n_known, result.files.n_new) == (2, 0, 0)
    assert result.libraries_moved == {str(library.photos): str(moved)}
    with library.app({"library.photos": str(moved)}) as app:
        assert app.catalog.roots.all() == [moved]
        assert app.lookup.person("Anna").n_photos == 2


def test_a_photo_that_moves_to_another_library_keeps_its_person(library: Library, tmp_path: Path) -> None:
    library.draw_looks(1, 3)
    other = tmp_path / "Other"
    other.mkdir()
    both = {"library.photos": [str(library.photos), str(other)]}
    library.scan(**both)
    with library.app(both) as app:
        app.corrections.rename("1", "Anna")
    shutil.move(library.photos / "0.png", other / "there.png")
    result = library.scan(**both)
    assert (result.files.n_new, result.files.n_known, result.files.n_missing) == (0, 1, 1)
    with library.app(both) as app:
        assert app.lookup.person("Anna").n_photos == 3
    assert (library.people / "Anna" / "there.png").resolve() == other / "there.png"


def test_a_copy_is_a_second_file_of_one_photo(library: Library) -> None:
    first = library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    shutil.copy(first, library.photos / "copy.png")
    library.scan()
    with library.app() as app:
        assert app.catalog.files.counts() == {"files": 3, "photos": 2, "faulty": 0}
        assert app.lookup.person("1").n_photos == 2


def test_a_rename_that_changes_only_the_case_is_a_move(library: Library) -> None:
    library.draw("IMG.PNG", (1, 0))
    library.scan()
    (library.photos / "IMG.PNG").rename(library.photos / "img.png")
    result = library.scan()
    assert (result.files.n_moved, result.files.n_known, result.files.n_missing) == (1, 0, 0)


def test_a_look_at_one_folder_sees_what_moved_there_from_another(library: Library) -> None:
    library.draw("old/a.png", (1, 0))
    library.scan()
    (library.photos / "new").mkdir()
    (library.photos / "old" / "a.png").rename(library.photos / "new" / "b.png")
    with library.app() as app:
        _, changes = app.libraries.scan(library.photos, "new")
        assert [(move.old, move.new) for move in changes.moved] == [("old/a.png", "new/b.png")]
        assert not changes.missing


def test_a_look_at_a_folder_that_is_gone_finds_its_files_missing_and_no_others(library: Library) -> None:
    for path in ("sub/a.png", "sub/deep/b.png", "sub!/c.png", "d.png"):
        library.draw(path, (1, 0))
    library.scan()
    shutil.rmtree(library.photos / "sub")
    with library.app() as app:
        _, changes = app.libraries.scan(library.photos, "sub")
        assert changes.missing == ("sub/a.png", "sub/deep/b.png")


def test_files_that_could_not_be_used_are_looked_at_again_when_the_settings_that_decide_it_change(
    library: Library,
) -> None:
    def scan(megapixels: float) -> ScanResult:
        recipe = Recipe("fake", max_pixels=int(megapixels * 1e6))
        with library.app(
            {"library.max_megapixels": megapixels}, workers=InlineWorkers(recipe, fake.FakeEngine())
        ) as app:
            return app.pipeline.scan()

    library.draw("huge.png", *((1, i) for i in range(70)))
    assert scan(1).files.n_faulty == 1
    assert scan(1).files.n_faulty == 0
    assert scan(2).files.n_new == 1


def test_numbers_of_64_bits_are_numbers_of_files(library: Library) -> None:
    """mergerfs and other pools give such inodes."""
    library.draw("a.png", (1, 0))
    status = (library.photos / "a.png").stat()
    fields = list(status)
    fields[1] = 2**64 - 5
    assert Fingerprint.of(type(status)(fields)).inode < 2**63


def test_folders_with_a_marker_and_what_a_pattern_file_names_are_passed_over(tmp_path: Path) -> None:
    for path in ("a.jpg", "no/b.jpg", "no/deep/c.jpg", "some/d.jpg", "some/d.raw", "some/deep/e.raw", "some/out/f.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / "no" / ".noimage").touch()
    (tmp_path / "some" / ".ppignore").write_text("# not these\n*.raw\n/out/\n")
    expected = {"a.jpg", "some/d.jpg"}
    assert set(walk(tmp_path, Rules()).files) == expected
    assert set(walk(tmp_path, Rules(), "some").files) == {"some/d.jpg"}
    assert not walk(tmp_path, Rules(), "some/out").files
    every = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert {path for path in every if Rules().allows(path, tmp_path)} == expected


def test_a_library_whose_only_file_vanished_is_offline(library: Library) -> None:
    photo = library.draw("a.png", (1, 0))
    library.scan()
    photo.unlink()
    with library.app() as app, pytest.raises(LibraryError, match="Nothing was removed"):
        _look(app)


def test_a_library_that_is_marked_as_none_of_our_business_is_called_so(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    (library.photos / ".nomedia").touch()
    with library.app() as app, pytest.raises(LibraryError, match=r"holds \.noimage or \.nomedia"):
        _look(app)


def _look(app: App) -> None:
    app.libraries.scan(app.libraries.roots[0])
