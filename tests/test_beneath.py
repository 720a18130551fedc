"""What is opened below a folder is below it: no link is followed, whoever puts it there and whenever."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from users import as_a_user

from facewatch.fs.beneath import check_beneath, enter, open_beneath, open_folder_beneath


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a/b/photo.jpg, and a secret outside it."""
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "photo.jpg").write_text("photo")
    (tmp_path / "outside" / "b").mkdir(parents=True)
    (tmp_path / "outside" / "b" / "photo.jpg").write_text("secret")
    return tmp_path / "root"


def read(root: Path | str, path: str) -> str:
    with os.fdopen(open_beneath(str(root), path), encoding="utf-8") as file:
        return file.read()


def n_open() -> int:
    """Return how many descriptors this process has."""
    return len([*Path("/dev/fd").iterdir()])


def test_a_file_is_opened_at_any_depth(root: Path) -> None:
    (root / "top.jpg").write_text("top")
    assert read(root, "a/b/photo.jpg") == "photo"
    assert read(root, "top.jpg") == "top"


def test_the_root_may_be_a_link_and_be_reached_through_links(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    (root.parent / "up").symlink_to(root.parent)
    assert read(root.parent / "link", "a/b/photo.jpg") == "photo"
    assert read(root.parent / "up" / "link", "a/b/photo.jpg") == "photo"
    assert read(f"{root}/../root/a/..", "a/b/photo.jpg") == "photo"


@pytest.mark.parametrize("name", [b"\xff\xfe.jpg", b"x" * 255, "ü".encode() * 127, b"a\nb", b"-rf", b"...", b" "])
def test_any_name_that_a_disk_takes_can_be_opened(root: Path, name: bytes) -> None:
    folder = root / os.fsdecode(name)
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"this disk does not take it: {error.strerror}")
    (folder / os.fsdecode(name)).write_text("odd")
    assert read(root, f"{os.fsdecode(name)}/{os.fsdecode(name)}") == "odd"


def test_a_path_longer_than_the_system_takes_at_once_can_be_opened(root: Path) -> None:
    depth = 30
    inside = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 250, dir_fd=inside)
        outside, inside = inside, os.open("d" * 250, os.O_RDONLY, dir_fd=inside)
        os.close(outside)
    os.close(os.open("photo.jpg", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=inside))
    os.close(inside)
    assert read(root, "/".join(["d" * 250] * depth) + "/photo.jpg") == ""


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/photo.jpg"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_link_is_not_followed_wherever_it_leads(root: Path, link: str, inside: bool) -> None:
    moved = root.parent / "outside" / "moved" if not inside else root / "moved"
    (root / link).rename(moved)
    (root / link).symlink_to(moved)
    with pytest.raises(FileNotFoundError, match="link"):
        open_beneath(str(root), "a/b/photo.jpg")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        # A socket's path may have 104 bytes only.
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)
        try:
            end.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


@pytest.mark.parametrize("make", [Path.mkdir, make_pipe, make_socket])
def test_what_is_no_file_is_not_there(root: Path, make: Callable[[Path], None]) -> None:
    make(root / "a" / "odd.jpg")
    with pytest.raises(FileNotFoundError):
        open_beneath(str(root), "a/odd.jpg")


def test_a_file_in_the_place_of_a_folder_is_not_passed_through(root: Path) -> None:
    (root / "file").write_text("")
    with pytest.raises(FileNotFoundError):
        open_beneath(str(root), "file/photo.jpg")


@pytest.mark.parametrize("gone", ["c.jpg", "c/d.jpg", "a/c/photo.jpg"])
def test_what_is_gone_is_not_found(root: Path, gone: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(root), gone)


def test_a_root_that_is_gone_is_not_found(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(f"{root}/nowhere", "a.jpg")


def test_a_file_that_may_not_be_read_says_so(root: Path) -> None:
    (root / "a" / "b" / "photo.jpg").chmod(0)

    def open_it() -> None:
        with pytest.raises(PermissionError):
            open_beneath(str(root), "a/b/photo.jpg")

    as_a_user(open_it)


@pytest.mark.skipif(sys.platform != "linux", reason="needs O_PATH")
def test_a_folder_need_not_be_readable_to_be_passed_through(root: Path) -> None:
    def read_it() -> None:
        assert read(root, "a/b/photo.jpg") == "photo"

    (root / "a").chmod(0o100)
    as_a_user(read_it)


@pytest.mark.parametrize(
    "path", ["", "/", "/etc/passwd", "..", "../outside/b/photo.jpg", "a/../../outside/b", "a//b", "a/", "./a", "a/."]
)
def test_a_path_that_does_not_lead_downwards_is_a_mistake(root: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path below a folder"):
        open_beneath(str(root), path)


@given(st.text(st.sampled_from("./a\0\udcff"), max_size=12))
def test_a_path_that_is_accepted_stays_below_by_its_text(path: str) -> None:
    try:
        check_beneath(path)
    except ValueError:
        return
    assert os.path.normpath(f"/root/{path}") == f"/root/{path}"


def test_no_file_is_ever_made(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(root), "a/new.jpg", os.O_RDWR | os.O_CREAT)
    assert not (root / "a" / "new.jpg").exists()


def test_a_folder_is_opened_and_what_is_in_it_named_from_there(root: Path) -> None:
    folder = open_folder_beneath(str(root), "a/b")
    top = open_folder_beneath(str(root), "")
    inner = enter("a", top)
    try:
        assert os.stat("photo.jpg", dir_fd=folder).st_size == 5
        assert os.stat("b/photo.jpg", dir_fd=inner).st_size == 5
    finally:
        for handle in (folder, top, inner):
            os.close(handle)


@pytest.mark.parametrize("path", ["a", "a/b"])
def test_a_folder_behind_a_link_is_not_opened(root: Path, path: str) -> None:
    (root / "a").rename(root.parent / "away")
    (root / "a").symlink_to(root.parent / "away")
    with pytest.raises(FileNotFoundError, match="link"):
        open_folder_beneath(str(root), path)


def test_no_descriptor_is_left_whatever_happens(root: Path) -> None:
    (root / "link").symlink_to(root / "a")
    before = n_open()
    for path in ["a/b/photo.jpg", "a/b", "a/nothing/x", "link/b/photo.jpg", "a/b/photo.jpg/x", "..", "a\0b/c", "a\0"]:
        try:
            os.close(open_beneath(str(root), path))
        except (OSError, ValueError):
            continue
    assert n_open() == before


def test_a_folder_that_is_swapped_for_a_link_again_and_again_never_leads_out(root: Path) -> None:
    """The race itself: whatever the instant, what is read is the photo."""
    away, secret, is_over = root.parent / "away", root.parent / "outside", threading.Event()

    def swap() -> None:
        while not is_over.is_set():
            (root / "a").rename(away)
            (root / "a").symlink_to(secret)
            (root / "a").unlink()
            away.rename(root / "a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    found = set()
    try:
        for _ in range(3000):
            try:
                found.add(read(root, "a/b/photo.jpg"))
            except FileNotFoundError:
                found.add("gone")
    finally:
        is_over.set()
        swapper.join()
    assert found <= {"photo", "gone"}
    assert read(root, "a/b/photo.jpg") == "photo"
