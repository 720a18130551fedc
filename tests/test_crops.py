"""Faces cut out of their photos, and the folder that keeps them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from facewatch import decode
from facewatch.engines import fake
from facewatch.service import crops
from facewatch.service.crops import Crops, cut, cut_faces
from facewatch.types import Box, Decoded

ANNA, BEN = (10, 1), (200, 2)
SQUARES = Box(64, 32, 64, 64), Box(192, 32, 64, 64)
"""Where `fake.draw` puts the first two faces."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of Anna and Ben."""
    path = tmp_path / "photo.png"
    Image.fromarray(fake.draw([ANNA, BEN])).save(path)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Crops]:
    with Crops(tmp_path / "catalog.sqlite") as kept:
        yield kept


def middle(picture: NDArray[np.uint8]) -> tuple[int, ...]:
    side = picture.shape[0]
    return tuple(picture[side // 2, side // 2].tolist())


def pixels_of(path: Path | None) -> NDArray[np.uint8]:
    assert path is not None
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        return np.asarray(picture)


def entries_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refuse() -> str:
    raise OSError("no room")


# --- cutting ---


def test_each_face_is_cut_out_in_the_order_asked_for(photo: Path) -> None:
    ben, anna = cut_faces(photo, SQUARES[::-1], side=50)
    assert ben is not None
    assert anna is not None
    assert ben.shape == anna.shape == (50, 50, 3)
    assert ben.dtype == np.uint8
    assert middle(anna)[:2] == ANNA
    assert middle(ben)[:2] == BEN


def test_a_face_is_shown_with_a_margin_and_black_beyond_the_edge_of_the_photo(photo: Path) -> None:
    (picture,) = cut_faces(photo, [Box(64, 0, 64, 64)], side=160)
    assert picture is not None
    assert (picture[5, 80] == 0).all()
    assert (picture[155, 5] == 200).all()
    assert abs(int((picture[110, :, 0] < 100).sum()) - 160 / (1 + 2 * crops.MARGIN)) <= 4


def test_a_photo_that_is_one_face_is_shown_whole(photo: Path) -> None:
    with photo.open("rb") as data:
        decoded = decode.decode(data)
    square = Decoded(np.ascontiguousarray(decoded.pixels[:, :128]), 128, 128, "PNG")
    assert (cut(square, Box(0, 0, 128, 128), 128) == square.pixels).all()


def test_boxes_are_those_of_the_upright_photo(tmp_path: Path, photo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right before it is shown
    lying = Image.open(photo).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "lying.png", exif=exif)
    (picture,) = cut_faces(tmp_path / "lying.png", [SQUARES[1]])
    assert picture is not None
    assert middle(picture)[:2] == BEN


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
    cut_faces(path, [Box(0, 0, 1000, 1000), Box(9, 9, 600, 500)], side=96)
    shown = 600 * (1 + 2 * crops.MARGIN) * asked[0] / 3000
    assert 96 <= shown <= 2 * 96
    cut_faces(path, [Box(0, 0, 20, 20)], side=96)
    assert asked[1:] == [3000]


@pytest.mark.parametrize("content", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut off", None])
def test_faces_of_a_photo_that_is_gone_or_damaged_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "photo.jpg").write_bytes(content)
    assert cut_faces(tmp_path / "photo.jpg", SQUARES) == [None, None]
    assert cut_faces(tmp_path, SQUARES) == [None, None]


def test_faces_of_a_photo_that_is_too_large_are_none(photo: Path) -> None:
    assert cut_faces(photo, SQUARES, max_pixels=1000) == [None, None]


def test_no_faces_do_not_open_the_photo(tmp_path: Path) -> None:
    assert cut_faces(tmp_path / "gone.jpg", []) == []


def test_a_face_outside_the_photo_is_none(photo: Path) -> None:
    anna, nobody = cut_faces(photo, [SQUARES[0], Box(5000, 0, 60, 60)])
    assert anna is not None
    assert nobody is None


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
    assert cut(Decoded(pixels, 40 * scale, 30 * scale, "PNG"), Box(x, y, w, h), side).shape == (side, side, 3)


# --- keeping ---


def test_a_crop_is_kept_beside_the_catalog_for_its_owner_only(tmp_path: Path, kept: Crops, photo: Path) -> None:
    path = kept.path_of(7, photo, SQUARES[0])
    assert path is not None
    assert path.parent == tmp_path / "catalog.sqlite.crops"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pixels_of(path).shape == (crops.SIDE, crops.SIDE, 3)
    assert np.abs(np.subtract(middle(pixels_of(path))[:2], ANNA)).max() < 12
    assert entries_of(path.parent) == {path.name}


def test_a_kept_crop_serves_while_the_photo_is_away(kept: Crops, photo: Path) -> None:
    before = kept.path_of(7, photo, SQUARES[0])
    photo.unlink()
    assert kept.path_of(7, photo, SQUARES[0]) == before
    assert pixels_of(before).size
    assert kept.path_of(8, photo, SQUARES[1]) is None


def test_another_box_face_or_photo_has_a_crop_of_its_own(tmp_path: Path, kept: Crops, photo: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    asked = [(7, photo, SQUARES[0]), (7, photo, SQUARES[1]), (8, photo, SQUARES[0]), (7, other, SQUARES[0])]
    assert len({kept.path_of(*face) for face in asked} - {None}) == len(asked)


def test_a_deleted_folder_and_an_empty_file_are_made_again(kept: Crops, photo: Path) -> None:
    path = kept.path_of(7, photo, SQUARES[0])
    assert path is not None
    path.write_bytes(b"")
    assert pixels_of(kept.path_of(7, photo, SQUARES[0])).size
    path.unlink()
    path.parent.rmdir()
    assert kept.path_of(7, photo, SQUARES[0]) == path
    assert pixels_of(path).size


def test_several_faces_of_a_photo_are_asked_for_at_once(kept: Crops, photo: Path) -> None:
    paths = kept.paths_of(photo, {1: SQUARES[0], 2: SQUARES[1], 3: Box(9999, 9999, 5, 5)})
    assert middle(pixels_of(paths[1]))[0] < middle(pixels_of(paths[2]))[0]
    assert paths[3] is None
    assert kept.paths_of(photo, {}) == {}


def test_the_oldest_crops_go_when_there_are_too_many(tmp_path: Path, photo: Path) -> None:
    few = Crops(tmp_path / "catalog.sqlite", most=3)
    paths = []
    for face_id in range(5):
        path = few.path_of(face_id, photo, SQUARES[0])
        assert path is not None
        os.utime(path, ns=(face_id, face_id))
        paths.append(path)
    assert entries_of(few.folder) == {path.name for path in paths[2:]}


def test_what_was_asked_for_together_is_there_together(tmp_path: Path, photo: Path) -> None:
    few = Crops(tmp_path / "catalog.sqlite", most=3)
    oldest = few.path_of(0, photo, SQUARES[0])
    assert oldest is not None
    os.utime(oldest, ns=(0, 0))
    paths = few.paths_of(photo, dict.fromkeys(range(6), SQUARES[0]))
    assert all(path is not None and path.is_file() for path in paths.values())
    few.path_of(9, photo, SQUARES[0])
    assert len(entries_of(few.folder)) == 3


def test_rights_that_were_widened_are_narrowed_again(kept: Crops, photo: Path) -> None:
    kept.folder.mkdir(mode=0o755)
    kept.folder.chmod(0o755)
    kept.path_of(7, photo, SQUARES[0])
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("place", ["file", "link", "no parent"])
def test_where_the_folder_cannot_be_a_temporary_one_is_used_and_removed(
    tmp_path: Path, photo: Path, place: str
) -> None:
    catalog = tmp_path / ("absent/catalog.sqlite" if place == "no parent" else "catalog.sqlite")
    elsewhere, target = tmp_path / "temporary", tmp_path / "target"
    target.mkdir()
    kept = Crops(catalog, make_temporary=lambda: (elsewhere.mkdir(), str(elsewhere))[1])
    if place == "file":
        kept.folder.write_text("mine")
    elif place == "link":
        kept.folder.symlink_to(target)
    with kept:
        path = kept.path_of(7, photo, SQUARES[0])
        assert path is not None
        assert path.parent == elsewhere
        assert pixels_of(path).size
        assert kept.path_of(7, photo, SQUARES[0]) == path
    assert not elsewhere.exists()
    assert not entries_of(target)
    assert not (tmp_path / "absent").exists()


def test_where_nothing_can_be_written_there_is_no_crop(tmp_path: Path, photo: Path) -> None:
    kept = Crops(tmp_path / "absent" / "catalog.sqlite", make_temporary=refuse)
    assert kept.path_of(7, photo, SQUARES[0]) is None
    kept.close()


def test_a_full_disk_leaves_no_part_of_a_crop(
    tmp_path: Path, kept: Crops, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert Crops(tmp_path / "catalog.sqlite", make_temporary=refuse).path_of(7, photo, SQUARES[0]) is None
    assert not entries_of(kept.folder)


def test_asking_alone_makes_no_folder(kept: Crops, tmp_path: Path) -> None:
    assert kept.path_of(7, tmp_path / "gone.jpg", SQUARES[0]) is None
    assert not kept.folder.exists()


def test_crops_of_a_forgotten_face_are_removed_and_no_other(kept: Crops, photo: Path) -> None:
    paths = kept.paths_of(photo, {1: Box(10, 10, 20, 20), 11: Box(10, 10, 20, 20)})
    kept.forget([1])
    assert [path.is_file() for path in paths.values() if path] == [False, True]
