"""Faces cut out of their photos, and photos made smaller, for people to look at."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.app import picture_workers
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import EngineError, PhotoError
from facewatch.indexing import cutting
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.indexing.pool import LOST_IN_A_ROW, WorkerPool
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Box, Decoded, Fingerprint

ANNA, BEN = (10, 1), (200, 2)
SQUARES = Box(64, 32, 64, 64), Box(192, 32, 64, 64)
"""Where `fake.draw` puts the first two faces."""

EYES = Analyzer(Recipe("fake"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of Anna and Ben."""
    path = tmp_path / "photo.png"
    Image.fromarray(fake.draw([ANNA, BEN])).save(path)
    return path


def middle(picture: NDArray[np.uint8]) -> tuple[int, ...]:
    side = picture.shape[0]
    return tuple(picture[side // 2, side // 2].tolist())


def at(path: Path) -> LibraryFile:
    return LibraryFile(str(path.parent), path.name)


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


# --- cutting ---


def test_each_face_is_cut_out_in_the_order_asked_for(photo: Path) -> None:
    ben, anna = pictures_from(photo, SQUARES[::-1], side=50)
    assert ben is not None
    assert anna is not None
    assert ben.shape == anna.shape == (50, 50, 3)
    assert is_person(anna, ANNA)
    assert is_person(ben, BEN)


def test_a_face_at_the_edge_of_the_photo_has_its_margin_inside(photo: Path) -> None:
    (picture,) = pictures_from(photo, [Box(64, 0, 64, 64)], side=160)
    assert picture is not None
    assert np.abs(picture[155, 5].astype(int) - 200).max() < 12
    assert np.abs(picture[5, 5].astype(int) - 200).max() < 12
    assert abs(int((picture[60, :, 0] < 100).sum()) - 160 / (1 + 2 * cutting.MARGIN)) <= 4


def test_what_a_box_holds_beyond_the_edge_of_the_photo_is_black(photo: Path) -> None:
    (picture,) = pictures_from(photo, [Box(64, -30, 64, 64)], side=160)
    assert picture is not None
    assert picture[5, 80].max() < 12


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


# --- whole photos ---


def reduced_from(path: Path, *sides: int, expected: Fingerprint | None = None) -> list[NDArray[np.uint8]]:
    return [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in EYES.reduced(at(path), sides, expected)]


def test_a_photo_is_made_as_small_as_wanted_and_never_larger_than_it_is(photo: Path) -> None:
    large, small = reduced_from(photo, 1600, 80)
    assert large.shape == (128, 320, 3)
    assert small.shape == (32, 80, 3)
    assert np.abs(small[16, 24, :2].astype(int) - ANNA).max() < 12


@pytest.mark.parametrize("name", ["formats/iphone_7.heic", "formats/IMG_2682.heic", "orientation/Landscape_8.jpg"])
def test_a_photo_of_a_phone_is_shown_upright(shared: Path, name: str) -> None:
    path = shared / "photos" / "odd" / name
    with path.open("rb") as data:
        decoded = decode.decode(data, working_side=200)
    (picture,) = reduced_from(path, 200)
    assert picture.shape == decoded.pixels.shape
    assert np.abs(picture.astype(int) - decoded.pixels).mean() < 12


def test_a_raw_photo_is_shown(shared: Path) -> None:
    (picture,) = reduced_from(shared / "photos" / "odd" / "raw" / "canon_eos_6d.dng", 160)
    assert max(picture.shape) == 160


@pytest.mark.parametrize("name", ["odd/formats/iphone_7.heic", "album/matches/00000034.jpg"])
def test_colours_are_those_of_the_photo_for_a_screen_without_a_profile(shared: Path, name: str) -> None:
    path = shared / "photos" / name
    with path.open("rb") as data:
        seen = decode.decode(data, working_side=300).pixels
        data.seek(0)
        shown = decode.decode(data, working_side=300, in_srgb=True).pixels
    assert np.ptp(shown, axis=-1).mean() > 1.03 * np.ptp(seen, axis=-1).mean(), "a wide gamut read as sRGB is pale"
    (picture,) = reduced_from(path, 300)
    assert np.abs(picture.astype(int) - shown).mean() < np.abs(picture.astype(int) - seen).mean()
    with Image.open(io.BytesIO(EYES.reduced(at(path), [300], None)[0])) as jpeg:
        assert "icc_profile" not in jpeg.info
        assert not jpeg.getexif()


def test_a_profile_that_nobody_understands_is_passed_over(tmp_path: Path, photo: Path) -> None:
    with Image.open(photo) as picture:
        picture.save(tmp_path / "odd.png", icc_profile=b"\0" * 16 + b"RGB " + b"nonsense" * 20)
    (picture, plain) = (reduced_from(path, 320)[0] for path in (tmp_path / "odd.png", photo))
    assert (picture == plain).all()


def test_only_the_photo_on_record_is_shown_and_none_beyond_the_limits(photo: Path) -> None:
    before = Fingerprint.of(photo.stat())
    assert EYES.reduced(at(photo), [80], before)
    with pytest.raises(PhotoError, match="needs about 0 MB"):
        EYES.reduced(at(photo), [80], before, 1000)
    Image.fromarray(fake.draw([BEN], shade=100)).save(photo)
    with pytest.raises(FileNotFoundError):
        EYES.reduced(at(photo), [80], before)


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
    assert workers.reduced(at(photo), [80], None).result(60) == EYES.reduced(at(photo), [80], None)


def test_the_limits_of_the_settings_hold_for_it(tmp_path: Path) -> None:
    Image.new("L", (1500, 1000)).save(tmp_path / "photo.png")
    with closing(picture_workers(load_config(None, {"library.max_megapixels": 1}, cwd=tmp_path))) as strict:
        fault = strict.cut_faces(at(tmp_path / "photo.png"), SQUARES, None, side=50).exception(60)
    assert isinstance(fault, PhotoError)
    assert fault.fault.text.startswith("too many pixels")
    with pytest.raises(EngineError, match=r"^100 MB of memory are too little: cutting out faces takes "):
        picture_workers(load_config(None, {"resources.memory_mb": 100}, cwd=tmp_path))


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
