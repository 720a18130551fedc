"""Faces cut out of their photos, and the folder that keeps them."""

from __future__ import annotations

import io
import os
import signal
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.app import crop_workers
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import EngineError, Fault, FaultCode, PhotoError
from facewatch.indexing import cutting
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.indexing.crops import MOST_LOST, SIDE, Crops, Source
from facewatch.indexing.pool import LOST_IN_A_ROW, InlineWorkers, WorkerPool
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Box, Decoded, Fingerprint

ANNA, BEN = (10, 1), (200, 2)
SQUARES = Box(64, 32, 64, 64), Box(192, 32, 64, 64)
"""Where `fake.draw` puts the first two faces."""

EYES = Analyzer(Recipe("fake"))
INLINE = InlineWorkers(Recipe("fake"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of Anna and Ben."""
    path = tmp_path / "photo.png"
    Image.fromarray(fake.draw([ANNA, BEN])).save(path)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Crops]:
    with Crops(tmp_path / "catalog.sqlite", INLINE) as kept:
        yield kept


def middle(picture: NDArray[np.uint8]) -> tuple[int, ...]:
    side = picture.shape[0]
    return tuple(picture[side // 2, side // 2].tolist())


def pixels_of(path: Path | None) -> NDArray[np.uint8]:
    assert path is not None
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture)


def at(path: Path) -> LibraryFile:
    return LibraryFile(str(path.parent), path.name)


def on(path: Path) -> Source:
    return Source(at(path))


def cut_from(
    path: Path,
    boxes: Sequence[Box],
    *,
    side: int = 192,
    expected: Fingerprint | None = None,
    max_pixels: int = 10_000_000,
    most_bytes: int | None = None,
) -> list[bytes | None]:
    analyzer = Analyzer(Recipe("fake", max_pixels=max_pixels))
    return analyzer.cut_faces(at(path), boxes, expected, side, most_bytes)


def pictures_from(path: Path, boxes: Sequence[Box], *, side: int = 192) -> list[NDArray[np.uint8] | None]:
    found = cut_from(path, boxes, side=side)
    return [None if jpeg is None else np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in found]


def is_person(picture: NDArray[np.uint8], person: tuple[int, int]) -> bool:
    """Whether the middle of a picture has somebody's colour, as far as JPEG keeps it."""
    return bool(np.abs(np.subtract(middle(picture)[:2], person)).max() < 12)


def entries_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refuse() -> str:
    raise OSError("no room")


def crop_of(crops: Crops, face_id: int, source: Source, box: Box) -> Path | None:
    return crops.paths_of(source, {face_id: box})[face_id]


# --- cutting ---


def test_each_face_is_cut_out_in_the_order_asked_for(photo: Path) -> None:
    ben, anna = pictures_from(photo, SQUARES[::-1], side=50)
    assert ben is not None
    assert anna is not None
    assert ben.shape == anna.shape == (50, 50, 3)
    assert is_person(anna, ANNA)
    assert is_person(ben, BEN)


def test_a_face_is_shown_with_a_margin_and_black_beyond_the_edge_of_the_photo(photo: Path) -> None:
    (picture,) = pictures_from(photo, [Box(64, 0, 64, 64)], side=160)
    assert picture is not None
    assert picture[5, 80].max() < 12
    assert np.abs(picture[155, 5].astype(int) - 200).max() < 12
    assert abs(int((picture[110, :, 0] < 100).sum()) - 160 / (1 + 2 * cutting.MARGIN)) <= 4


def test_a_photo_that_is_one_face_is_shown_whole(photo: Path) -> None:
    with photo.open("rb") as data:
        decoded = decode.decode(data)
    square = Decoded(np.ascontiguousarray(decoded.pixels[:, :128]), 128, 128, "PNG")
    assert (cutting.cut(square, Box(0, 0, 128, 128), 128) == square.pixels).all()


def test_boxes_are_those_of_the_upright_photo(tmp_path: Path, photo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right before it is shown
    lying = Image.open(photo).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.png", exif=exif)
    (picture,) = pictures_from(tmp_path / "lying.png", [SQUARES[1]])
    assert picture is not None
    assert is_person(picture, BEN)


def test_a_photo_is_decoded_once_and_no_larger_than_its_smallest_face_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (3000, 2000)).save(path)
    asked = []
    real = decode.decode

    def counting(*arguments: object, **choices: int) -> Decoded:
        asked.append(choices["working_side"])
        return real(*arguments, **choices)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "decode", counting)
    cut_from(path, [Box(0, 0, 1000, 1000), Box(9, 9, 600, 500)], side=96)
    shown = 600 * (1 + 2 * cutting.MARGIN) * asked[0] / 3000
    assert 96 <= shown <= 2 * 96
    cut_from(path, [Box(0, 0, 20, 20)], side=96)
    assert asked[1:] == [3000]


@pytest.mark.parametrize("content", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut off"])
def test_a_photo_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(PhotoError):
        cut_from(tmp_path / "photo.jpg", SQUARES)


def test_a_photo_that_is_gone_or_a_folder_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    for name in ("gone.jpg", "folder.jpg"):
        with pytest.raises(FileNotFoundError):
            cut_from(tmp_path / name, SQUARES)


def test_a_photo_beyond_the_limits_is_refused(photo: Path) -> None:
    with pytest.raises(PhotoError, match="too many pixels"):
        cut_from(photo, SQUARES, max_pixels=1000)
    n_bytes = photo.stat().st_size
    with pytest.raises(PhotoError, match=r"needs about 0 MB of memory to be decoded"):
        cut_from(photo, SQUARES, most_bytes=n_bytes)
    assert None not in cut_from(photo, SQUARES, most_bytes=n_bytes + 20 * 320 * 128)


def test_no_faces_do_not_open_the_photo(tmp_path: Path) -> None:
    assert cut_from(tmp_path / "gone.jpg", []) == []


def test_a_face_outside_the_photo_is_none(photo: Path) -> None:
    anna, nobody = cut_from(photo, [SQUARES[0], Box(5000, 0, 60, 60)])
    assert anna is not None
    assert nobody is None


def test_only_the_file_on_record_is_cut_where_there_is_a_record(photo: Path) -> None:
    before = Fingerprint.of(photo.stat())
    assert None not in cut_from(photo, SQUARES, expected=before)
    Image.fromarray(fake.draw([BEN, ANNA], shade=100)).save(photo)
    with pytest.raises(FileNotFoundError):
        cut_from(photo, SQUARES, expected=before)
    assert None not in cut_from(photo, SQUARES)


def test_a_file_that_is_written_while_it_is_read_is_not_shown(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode.decode

    def meanwhile(*arguments: object, **choices: int) -> Decoded:
        os.utime(photo, (1, 1))
        return real(*arguments, **choices)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "decode", meanwhile)
    with pytest.raises(FileNotFoundError):
        cut_from(photo, SQUARES)


def test_no_link_is_followed_out_of_the_library(tmp_path: Path, photo: Path) -> None:
    inside = tmp_path / "library"
    inside.mkdir()
    (inside / "link.png").symlink_to(photo)
    (inside / "folder").symlink_to(tmp_path)
    for path in ("link.png", "folder/photo.png"):
        with pytest.raises(FileNotFoundError):
            EYES.cut_faces(LibraryFile(str(inside), path), SQUARES, None, 50)


@given(
    st.integers(-300, 300),
    st.integers(-300, 300),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(1, 80),
    st.sampled_from([1, 3]),
)
def test_any_box_gives_a_picture_of_the_wanted_side(x: int, y: int, w: int, h: int, side: int, scale: int) -> None:
    pixels = np.full((30, 40, 3), 255, np.uint8)
    assert cutting.cut(Decoded(pixels, 40 * scale, 30 * scale, "PNG"), Box(x, y, w, h), side).shape == (side, side, 3)


# --- in a worker ---


@pytest.fixture
def workers() -> Iterator[WorkerPool]:
    """One real worker, whose engine cannot be loaded."""
    workers = WorkerPool(Recipe("there is no such engine"), 1)
    yield workers
    workers.close()


def test_a_worker_cuts_faces_out_without_an_engine(photo: Path, workers: WorkerPool) -> None:
    workers.get_ready_to_cut()
    found = workers.cut_faces(at(photo), SQUARES, None, side=50).result(60)
    assert found == cut_from(photo, SQUARES, side=50)


def test_the_limits_of_the_settings_hold_for_it(tmp_path: Path) -> None:
    Image.new("L", (1500, 1000)).save(tmp_path / "photo.png")
    with closing(crop_workers(load_config(None, {"library.max_megapixels": 1}, cwd=tmp_path))) as strict:
        fault = strict.cut_faces(at(tmp_path / "photo.png"), SQUARES, None, side=50).exception(60)
    assert isinstance(fault, PhotoError)
    assert fault.fault.text.startswith("too many pixels")
    with pytest.raises(EngineError, match=r"^100 MB of memory are too little: cutting out faces takes "):
        crop_workers(load_config(None, {"resources.memory_mb": 100}, cwd=tmp_path))


def test_a_worker_that_is_lost_is_replaced(photo: Path, workers: WorkerPool) -> None:
    before = workers.cut_faces(at(photo), SQUARES, None, side=50).result(60)
    os.kill(workers.pids[0], signal.SIGKILL)
    with suppress(WorkerLost):  # when it is not seen in time that nobody is there
        workers.cut_faces(at(photo), SQUARES, None, side=50).result(60)
    assert workers.cut_faces(at(photo), SQUARES, None, side=50).result(60) == before


def test_a_worker_hears_no_interrupt_not_even_while_it_starts(photo: Path, workers: WorkerPool) -> None:
    future = workers.cut_faces(at(photo), SQUARES, None, side=50)
    while not (pids := workers.pids):
        wait([future], 0.001)
    while not future.done():
        os.kill(pids[0], signal.SIGINT)
        wait([future], 0.01)
    assert None not in future.result()
    assert workers.pids == pids


def test_a_photo_that_takes_too_long_costs_its_worker_and_no_engine_is_asked_why(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.png" for i in range(LOST_IN_A_ROW + 1)]
    for file in files:
        Image.effect_noise((3000, 3000), 50).save(file, compress_level=0)
    workers = WorkerPool(Recipe("there is no such engine"), 2, photo_seconds=0.01)
    try:
        lost = [workers.cut_faces(at(file), [Box(0, 0, 20, 20)], None, side=50) for file in files]
        assert {str(future.exception(60)) for future in lost} == {
            "takes longer than 0.01 s (raise resources.photo_seconds if the photo is genuine, or exclude it)"
        }
    finally:
        workers.close()


def test_what_is_cancelled_before_the_worker_comes_to_it_is_not_done(
    tmp_path: Path, photo: Path, workers: WorkerPool
) -> None:
    first = workers.cut_faces(at(photo), SQUARES, None, side=50)
    never = [workers.cut_faces(at(photo), SQUARES, None, side=51) for _ in range(3)]
    assert [future.cancel() for future in never] == [True] * 3
    last = workers.cut_faces(at(photo), SQUARES, None, side=52)
    assert len(first.result(60)) == len(last.result(60)) == 2


# --- keeping ---


class Asked:
    """A CropWorkers that remembers what it was asked for, and may fail."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        """Path, number of faces."""
        self.fault: Exception | None = None
        self.waiting: list[Future[list[bytes | None]]] | None = None
        """Where answers are held back."""

    def cut_faces(
        self, photo: LibraryFile, boxes: Sequence[Box], expected: Fingerprint | None, *, side: int
    ) -> Future[list[bytes | None]]:
        self.asked.append((photo.path, len(boxes)))
        future: Future[list[bytes | None]] = Future()
        if self.waiting is not None:
            self.waiting.append(future)
        elif self.fault:
            future.set_exception(self.fault)
        else:
            future.set_result([b"jpeg" for _ in boxes])
        return future

    def close(self) -> None: ...


@pytest.fixture
def cutter() -> Asked:
    return Asked()


@pytest.fixture
def counted(tmp_path: Path, cutter: Asked) -> Crops:
    return Crops(tmp_path / "catalog.sqlite", cutter)


def source(path: str) -> Source:
    return Source(LibraryFile("/library", path))


LOST = WorkerLost(Fault.of(FaultCode.CRASHES, reason="segmentation fault"))
BOX = SQUARES[0]


@pytest.mark.parametrize("fault", [LOST, PhotoError(Fault.of(FaultCode.TRUNCATED, "JPEG"))])
def test_a_photo_that_cannot_be_cut_is_asked_for_once(counted: Crops, cutter: Asked, fault: Exception) -> None:
    cutter.fault = fault
    counted.begin(source("bad.jpg"), {1: BOX})
    for face_id in (1, 2, 1):
        assert crop_of(counted, face_id, source("bad.jpg"), BOX) is None
    assert cutter.asked == [("bad.jpg", 1)]
    cutter.fault = None
    assert crop_of(counted, 3, source("good.jpg"), BOX)


def test_faces_of_a_lost_photo_that_were_begun_apart_count_as_one_loss(counted: Crops, cutter: Asked) -> None:
    cutter.fault = LOST
    for face_id in range(MOST_LOST + 1):
        counted.begin(source("bad.jpg"), {face_id: BOX})
    for face_id in range(MOST_LOST + 1):
        assert crop_of(counted, face_id, source("bad.jpg"), BOX) is None
    cutter.fault = None
    assert crop_of(counted, 9, source("good.jpg"), BOX)


def test_a_photo_that_is_away_is_shown_when_it_is_back(counted: Crops, cutter: Asked) -> None:
    cutter.fault = FileNotFoundError("gone")
    assert crop_of(counted, 1, source("a.jpg"), BOX) is None
    cutter.fault = None
    assert crop_of(counted, 1, source("a.jpg"), BOX)


@pytest.mark.parametrize("fault", [LOST, EngineError("no worker process can be made")])
def test_after_some_lost_workers_no_photo_is_opened_any_more(
    counted: Crops, cutter: Asked, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert crop_of(counted, 0, source("kept.jpg"), BOX)
    cutter.fault = fault
    for i in range(MOST_LOST + 2):
        assert crop_of(counted, i, source(f"{i}.jpg"), BOX) is None
    assert len(cutter.asked) == 1 + MOST_LOST
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    assert crop_of(counted, 0, source("kept.jpg"), BOX)


def test_a_face_outside_its_photo_is_asked_for_once(kept: Crops, photo: Path) -> None:
    cutter = Asked()
    cutter.waiting = []
    crops = Crops(kept.folder.with_name("catalog.sqlite"), cutter)
    crops.begin(source("a.jpg"), {1: BOX})
    cutter.waiting[0].set_result([None])
    assert crop_of(crops, 1, source("a.jpg"), BOX) is None
    assert crop_of(crops, 1, source("a.jpg"), BOX) is None
    assert cutter.asked == [("a.jpg", 1)]


def test_what_was_begun_is_not_asked_for_again(counted: Crops, cutter: Asked) -> None:
    counted.begin(source("a.jpg"), {1: BOX, 2: SQUARES[1]})
    counted.begin(source("a.jpg"), {2: SQUARES[1], 3: BOX})
    assert None not in counted.paths_of(source("a.jpg"), {1: BOX, 2: SQUARES[1], 3: BOX}).values()
    assert cutter.asked == [("a.jpg", 2), ("a.jpg", 1)]


def test_what_was_put_off_before_the_worker_came_to_it_is_asked_for_again(counted: Crops, cutter: Asked) -> None:
    cutter.waiting = []
    for name in ("a.jpg", "b.jpg"):
        counted.begin(source(name), {1: BOX})
    running, waiting = cutter.waiting
    running.set_running_or_notify_cancel()
    counted.put_off()
    assert waiting.cancelled()
    cutter.waiting = None
    running.set_result([b"jpeg"])
    for name in ("a.jpg", "b.jpg"):
        assert crop_of(counted, 1, source(name), BOX)
    assert cutter.asked == [("a.jpg", 1), ("b.jpg", 1), ("b.jpg", 1)]


def test_without_a_cutter_only_what_is_kept_is_there(tmp_path: Path, counted: Crops) -> None:
    path = crop_of(counted, 1, source("a.jpg"), BOX)
    alone = Crops(tmp_path / "catalog.sqlite")
    assert crop_of(alone, 1, source("a.jpg"), BOX) == path
    assert crop_of(alone, 2, source("a.jpg"), BOX) is None


def test_a_crop_is_kept_beside_the_catalog_for_its_owner_only(tmp_path: Path, kept: Crops, photo: Path) -> None:
    path = crop_of(kept, 7, on(photo), SQUARES[0])
    assert path is not None
    assert path.parent == tmp_path / "catalog.sqlite.crops"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pixels_of(path).shape == (SIDE, SIDE, 3)
    assert np.abs(np.subtract(middle(pixels_of(path))[:2], ANNA)).max() < 12
    assert entries_of(path.parent) == {path.name}


def test_a_kept_crop_serves_while_the_photo_is_away(kept: Crops, photo: Path) -> None:
    before = crop_of(kept, 7, on(photo), SQUARES[0])
    photo.unlink()
    assert crop_of(kept, 7, on(photo), SQUARES[0]) == before
    assert pixels_of(before).size
    assert crop_of(kept, 8, on(photo), SQUARES[1]) is None


def test_another_box_face_or_photo_has_a_crop_of_its_own(tmp_path: Path, kept: Crops, photo: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    asked = [
        (7, on(photo), SQUARES[0]),
        (7, on(photo), SQUARES[1]),
        (8, on(photo), SQUARES[0]),
        (7, on(other), SQUARES[0]),
    ]
    assert len({crop_of(kept, *face) for face in asked} - {None}) == len(asked)


def test_a_deleted_folder_and_an_empty_file_are_made_again(kept: Crops, photo: Path) -> None:
    path = crop_of(kept, 7, on(photo), SQUARES[0])
    assert path is not None
    path.write_bytes(b"")
    assert pixels_of(crop_of(kept, 7, on(photo), SQUARES[0])).size
    path.unlink()
    path.parent.rmdir()
    assert crop_of(kept, 7, on(photo), SQUARES[0]) == path
    assert pixels_of(path).size


def test_several_faces_of_a_photo_are_asked_for_at_once(kept: Crops, photo: Path) -> None:
    paths = kept.paths_of(on(photo), {1: SQUARES[0], 2: SQUARES[1], 3: Box(9999, 9999, 5, 5)})
    assert middle(pixels_of(paths[1]))[0] < middle(pixels_of(paths[2]))[0]
    assert paths[3] is None
    assert kept.paths_of(on(photo), {}) == {}


def test_the_oldest_crops_go_when_there_are_too_many(tmp_path: Path, photo: Path) -> None:
    few = Crops(tmp_path / "catalog.sqlite", INLINE, most=3)
    paths = []
    for face_id in range(5):
        path = crop_of(few, face_id, on(photo), SQUARES[0])
        assert path is not None
        os.utime(path, ns=(face_id, face_id))
        paths.append(path)
    assert entries_of(few.folder) == {path.name for path in paths[2:]}


def test_what_was_asked_for_together_is_there_together(tmp_path: Path, photo: Path) -> None:
    few = Crops(tmp_path / "catalog.sqlite", INLINE, most=3)
    oldest = crop_of(few, 0, on(photo), SQUARES[0])
    assert oldest is not None
    os.utime(oldest, ns=(0, 0))
    paths = few.paths_of(on(photo), dict.fromkeys(range(6), SQUARES[0]))
    assert all(path is not None and path.is_file() for path in paths.values())
    crop_of(few, 9, on(photo), SQUARES[0])
    assert len(entries_of(few.folder)) == 3


def test_rights_that_were_widened_are_narrowed_again(kept: Crops, photo: Path) -> None:
    kept.folder.mkdir(mode=0o755)
    kept.folder.chmod(0o755)
    crop_of(kept, 7, on(photo), SQUARES[0])
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("place", ["file", "link", "no parent"])
def test_where_the_folder_cannot_be_a_temporary_one_is_used_and_removed(
    tmp_path: Path, photo: Path, place: str
) -> None:
    catalog = tmp_path / ("absent/catalog.sqlite" if place == "no parent" else "catalog.sqlite")
    elsewhere, target = tmp_path / "temporary", tmp_path / "target"
    target.mkdir()
    kept = Crops(catalog, INLINE, make_temporary=lambda: (elsewhere.mkdir(), str(elsewhere))[1])
    if place == "file":
        kept.folder.write_text("mine")
    elif place == "link":
        kept.folder.symlink_to(target)
    with kept:
        path = crop_of(kept, 7, on(photo), SQUARES[0])
        assert path is not None
        assert path.parent == elsewhere
        assert pixels_of(path).size
        assert crop_of(kept, 7, on(photo), SQUARES[0]) == path
    assert not elsewhere.exists()
    assert not entries_of(target)
    assert not (tmp_path / "absent").exists()


def test_where_nothing_can_be_written_there_is_no_crop(tmp_path: Path, photo: Path) -> None:
    kept = Crops(tmp_path / "absent" / "catalog.sqlite", INLINE, make_temporary=refuse)
    assert crop_of(kept, 7, on(photo), SQUARES[0]) is None
    kept.close()


def test_a_full_disk_leaves_no_part_of_a_crop(
    tmp_path: Path, kept: Crops, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert crop_of(Crops(tmp_path / "catalog.sqlite", INLINE, make_temporary=refuse), 7, on(photo), SQUARES[0]) is None
    assert not entries_of(kept.folder)


def test_asking_alone_makes_no_folder(kept: Crops, tmp_path: Path) -> None:
    assert crop_of(kept, 7, on(tmp_path / "gone.jpg"), SQUARES[0]) is None
    assert not kept.folder.exists()


def test_crops_of_a_forgotten_face_are_removed_and_no_other(kept: Crops, photo: Path) -> None:
    paths = kept.paths_of(on(photo), {1: Box(10, 10, 20, 20), 11: Box(10, 10, 20, 20)})
    kept.forget([1])
    assert [path.is_file() for path in paths.values() if path] == [False, True]
