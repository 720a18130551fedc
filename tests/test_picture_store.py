"""Where pictures of faces and photos are kept."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.indexing.pictures import (
    MB,
    N_SHARDS,
    SPARED_SECONDS,
    TOUCHED_SECONDS,
    PictureName,
    PictureStore,
    face_name,
    photo_name,
)
from facewatch.types import Box

CONTENT = b"a" * 32
BOX = Box(10, 20, 30, 40)
ANNA = face_name(7, CONTENT, BOX, 192)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PictureStore]:
    store = PictureStore(tmp_path / "catalog.sqlite")
    yield store
    store.close()


def keep(store: PictureStore, name: PictureName, jpeg: bytes = b"jpeg") -> Path | None:
    return store.keep(name, jpeg, store.ticket())


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def n_bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jpg"))


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def refuse() -> str:
    raise OSError("no room")


def test_what_is_kept_is_there_for_every_process(tmp_path: Path, store: PictureStore) -> None:
    path = keep(store, ANNA)
    assert path is not None
    other = PictureStore(tmp_path / "catalog.sqlite")
    assert other.read(ANNA) == path.read_bytes() == b"jpeg"
    assert other.path_of(ANNA) == path


def test_only_its_owner_can_read_it(tmp_path: Path, store: PictureStore) -> None:
    store.folder.mkdir(mode=0o755)
    store.folder.chmod(0o755)
    path = keep(store, ANNA)
    assert path is not None
    assert path.is_relative_to(tmp_path / "catalog.sqlite.crops")
    assert {stat.S_IMODE(each.stat().st_mode) for each in (store.folder, path.parent)} == {0o700}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names_in(store.folder) == {path.name}, "nothing is left of the writing"


@given(st.binary(min_size=32, max_size=32), st.integers(1, 10**9), st.sampled_from([192, 384]), st.data())
def test_another_face_photo_box_turn_or_size_has_a_picture_of_its_own(
    content: bytes, number: int, side: int, data: st.DataObject
) -> None:
    box = Box(*data.draw(st.tuples(*[st.integers(0, 5000)] * 4)), data.draw(st.sampled_from([0, 90, 180, 270])))
    names = {
        face_name(number, content, box, side),
        face_name(number + 1, content, box, side),
        face_name(number, content[::-1] + b"x", box, side),
        face_name(number, content, Box(box.x + 1, box.y, box.w, box.h, box.turn), side),
        face_name(number, content, Box(box.x, box.y, box.w, box.h, (box.turn + 90) % 360), side),
        face_name(number, content, box, side + 1),
        photo_name(number, content, side),
    }
    assert len({str(name) for name in names}) == 7


def test_an_empty_or_deleted_one_is_not_there_and_is_made_again(store: PictureStore) -> None:
    path = keep(store, ANNA)
    assert path is not None
    path.write_bytes(b"")
    assert store.read(ANNA) is store.path_of(ANNA) is None
    path.unlink()
    path.parent.rmdir()
    assert store.read(ANNA) is None
    assert keep(store, ANNA) == path


def test_reading_alone_makes_no_folder(store: PictureStore) -> None:
    assert store.read(ANNA) is store.path_of(ANNA) is None
    assert store.ticket() == ""
    assert not store.folder.exists()


# --- space ---


def one_shard(n: int, side: int = 192) -> list[PictureName]:
    return [face_name(1 + i * N_SHARDS, CONTENT, BOX, side) for i in range(n)]


def test_what_was_used_longest_ago_goes_when_there_is_too_much(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "catalog.sqlite", most_bytes=N_SHARDS * 10_000)
    names = one_shard(40)
    for number, name in enumerate(names):
        path = keep(store, name, b"x" * 1000)
        assert path is not None
        age(path, 10_000 - number)
        store.read(names[0])
        age(store.folder / path.parent.name / str(names[0]), SPARED_SECONDS + 1)
    assert n_bytes_in(store.folder) <= 10_000
    kept = {name for name in names if store.read(name)}
    assert names[0] in kept, "it was used all the time"
    assert kept - {names[0]} == set(names[-len(kept) + 1 :])


def test_what_was_made_just_now_stays_for_who_is_about_to_look_at_it(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "catalog.sqlite", most_bytes=N_SHARDS * 1000)
    names = one_shard(6)
    paths = [keep(store, name, b"x" * 500) for name in names]
    assert all(path is not None and path.is_file() for path in paths)


def test_the_space_holds_over_all_ids_and_sizes(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "catalog.sqlite", most_bytes=2 * MB)
    for number in range(2000):
        path = keep(store, photo_name(number, CONTENT, 1600), b"x" * (500 + number % 7 * 1000))
        assert path is not None
        age(path, 10_000 - number)
    assert 1 * MB < n_bytes_in(store.folder) <= 2 * MB


def test_a_use_is_noted_so_seldom_that_reading_is_no_writing(store: PictureStore) -> None:
    path = keep(store, ANNA)
    assert path is not None
    age(path, TOUCHED_SECONDS / 2)
    before = path.stat().st_mtime_ns
    store.read(ANNA)
    assert path.stat().st_mtime_ns == before
    age(path, TOUCHED_SECONDS * 2)
    store.read(ANNA)
    assert time.time() - path.stat().st_mtime < 60


def test_a_process_lists_no_folder_for_most_of_what_it_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(str(path)), real(path))[1])
    store = PictureStore(tmp_path / "catalog.sqlite", most_bytes=N_SHARDS * 100_000)
    for name in one_shard(100):
        keep(store, name, b"x" * 1000)
    assert len([path for path in listed if path.endswith("/01")]) <= 12


def test_many_threads_keep_read_and_forget_at_once(tmp_path: Path) -> None:
    stores = [PictureStore(tmp_path / "catalog.sqlite", most_bytes=N_SHARDS * 4000) for _ in range(2)]
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(60):
                store, name = stores[i % 2], one_shard(20)[(i * 7 + number) % 20]
                keep(store, name, b"x" * 500)
                assert store.read(name) in (None, b"x" * 500)
                if i % 10 == 0:
                    store.forget(faces=[name.id])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert not [name for name in names_in(tmp_path / "catalog.sqlite.crops") if name.endswith(".part")]


# --- forgetting ---


def test_all_pictures_of_a_forgotten_face_and_photo_go_and_no_other(store: PictureStore) -> None:
    gone = [face_name(1, CONTENT, BOX, 192), face_name(1, b"b" * 32, BOX, 384), photo_name(5, CONTENT, 1600)]
    stay = [
        face_name(1 + N_SHARDS, CONTENT, BOX, 192),
        face_name(11, CONTENT, BOX, 192),
        face_name(5, CONTENT, BOX, 192),
    ]
    stay += [photo_name(1, CONTENT, 320)]
    for name in (*gone, *stay):
        keep(store, name)
    store.forget(faces=[1], photos=[5])
    assert [store.read(name) for name in gone] == [None] * 3
    assert None not in [store.read(name) for name in stay]


def test_a_picture_that_was_being_made_when_its_face_was_forgotten_is_not_kept(
    tmp_path: Path, store: PictureStore
) -> None:
    for is_first in (True, False):
        ticket = store.ticket()
        PictureStore(tmp_path / "catalog.sqlite").forget(faces=[99])
        assert store.keep(ANNA, b"jpeg", ticket) is None
        assert store.read(ANNA) is None
        assert store.folder.is_dir() or not is_first
    assert keep(store, ANNA) is not None


def test_what_an_older_version_kept_goes_with_the_first_that_is_forgotten_or_made(store: PictureStore) -> None:
    for act in (lambda: store.forget(faces=[7]), lambda: keep(store, ANNA)):
        store.folder.mkdir(exist_ok=True)
        old = store.folder / "7-10-20-30-40-0123456789ab.jpg"
        old.write_bytes(b"jpeg")
        act()
        assert not old.exists()


# --- where it cannot be ---


@pytest.mark.parametrize("place", ["file", "link", "no parent"])
def test_where_the_folder_cannot_be_a_temporary_one_is_used_and_removed(tmp_path: Path, place: str) -> None:
    catalog = tmp_path / ("absent/catalog.sqlite" if place == "no parent" else "catalog.sqlite")
    elsewhere, target = tmp_path / "temporary", tmp_path / "target"
    target.mkdir()
    store = PictureStore(catalog, make_temporary=lambda: (elsewhere.mkdir(), str(elsewhere))[1])
    if place == "file":
        store.folder.write_text("mine")
    elif place == "link":
        store.folder.symlink_to(target)
    path = keep(store, ANNA)
    assert path is not None
    assert path.is_relative_to(elsewhere)
    assert store.read(ANNA) == b"jpeg"
    assert store.path_of(ANNA) == path
    store.forget(faces=[ANNA.id])
    assert store.read(ANNA) is None
    store.close()
    assert not elsewhere.exists()
    assert not names_in(target)
    assert not (tmp_path / "absent").exists()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    store = PictureStore(tmp_path / "absent" / "catalog.sqlite", make_temporary=refuse)
    assert keep(store, ANNA) is None
    store.forget(faces=[1])
    store.close()


def test_a_full_disk_leaves_no_part_of_a_picture(
    tmp_path: Path, store: PictureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert keep(PictureStore(tmp_path / "catalog.sqlite", make_temporary=refuse), ANNA) is None
    assert not names_in(store.folder)


@pytest.mark.parametrize("which", ["shard", "picture"])
def test_no_link_is_followed(tmp_path: Path, store: PictureStore, which: str) -> None:
    path = keep(store, ANNA)
    assert path is not None
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / path.name).write_bytes(b"theirs")
    if which == "shard":
        path.unlink()
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    else:
        path.unlink()
        path.symlink_to(outside / path.name)
    assert store.read(ANNA) is store.path_of(ANNA) is None
    store.forget(faces=[ANNA.id])
    assert (outside / path.name).read_bytes() == b"theirs"
