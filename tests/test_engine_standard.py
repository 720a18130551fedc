"""The face_recognition engine on real photos: the package's own numbers, faster."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facewatch.decode import decode
from facewatch.engines import describe_engine, load_engine
from facewatch.engines.dlib_network import CROP_SIDE, DlibNetwork, read_tensors
from facewatch.engines.options import EngineOptions
from facewatch.engines.standard import StandardEngine, _model_files
from facewatch.errors import EngineError
from facewatch.types import ReadModels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Any:
    return load_engine("face_recognition")


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as file:
        return decode(file).pixels


@pytest.fixture
def group(shared: Path) -> NDArray[np.uint8]:
    """Four people."""
    return pixels_of(shared / "photos/album/family/identification1.jpg")


def test_the_network_gives_the_numbers_of_face_recognition(engine: StandardEngine, group: NDArray[np.uint8]) -> None:
    import dlib
    import face_recognition_models as models

    encoder = dlib.face_recognition_model_v1(models.face_recognition_model_location())
    crops = np.stack([face.crop for face in engine.analyse(group)])
    expected = np.stack([np.array(encoder.compute_face_descriptor(crop)) for crop in crops])
    assert crops.shape == (4, CROP_SIDE, CROP_SIDE, 3)
    assert np.abs(DlibNetwork(_model_files("hog")[1]).embed(crops) - expected).max() < 1e-5


def test_embeddings_are_unit_vectors_and_do_not_depend_on_the_batch(
    engine: StandardEngine, group: NDArray[np.uint8]
) -> None:
    faces = engine.analyse(group)
    together = engine.embed(np.stack([face.crop for face in faces]))
    alone = np.concatenate([engine.embed(face.crop[None]) for face in faces])
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5)


def test_a_mirrored_crop_has_the_same_embedding(engine: StandardEngine, group: NDArray[np.uint8]) -> None:
    crops = np.stack([face.crop for face in engine.analyse(group)])
    assert np.allclose(engine.embed(crops), engine.embed(crops[:, :, ::-1]), atol=1e-5)


def test_no_faces_is_an_ordinary_answer(engine: StandardEngine, shared: Path) -> None:
    assert engine.analyse(np.zeros((1, 1, 3), np.uint8)) == []
    assert engine.embed(np.empty((0, CROP_SIDE, CROP_SIDE, 3), np.uint8)).shape == (0, 128)
    for path in sorted((shared / "photos/odd/noface").glob("*.jpg")):
        assert engine.analyse(pixels_of(path)) == [], path.name


def test_crops_of_another_shape_are_a_programmers_mistake(engine: StandardEngine) -> None:
    with pytest.raises(ValueError, match="crops must have shape"):
        engine.embed(np.zeros((1, 112, 112, 3), np.uint8))


def test_boxes_lie_where_the_labels_are(engine: StandardEngine, shared: Path) -> None:
    with (shared / "photos/labels.csv").open() as file:
        labels = [row for row in csv.DictReader(file) if row["path"].startswith("album/family/") and row["person"]]
    n_found = 0
    for path in sorted({row["path"] for row in labels}):
        boxes = [face.box for face in engine.analyse(pixels_of(shared / "photos" / path))]
        for row in labels:
            if row["path"] == path:
                wanted = tuple(float(row[key]) for key in "xywh")
                n_found += any(overlap(wanted, box) >= 0.4 for box in boxes)
    assert n_found >= 41  # of 43; what dlib finds at full size


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the intersection over union of two boxes (x, y, w, h)."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared_area = max(0.0, width) * max(0.0, height)
    return shared_area / (a[2] * a[3] + b[2] * b[3] - shared_area)


def test_landmarks_lie_inside_the_face(engine: StandardEngine, group: NDArray[np.uint8]) -> None:
    for face in engine.analyse(group):
        x, y, w, h = face.box
        assert face.landmarks.shape == (5, 2)
        assert ((face.landmarks > (x, y)) & (face.landmarks < (x + w, y + h))).all()


def test_the_same_face_in_eight_orientations_is_the_same_face(engine: StandardEngine, shared: Path) -> None:
    embeddings = []
    for i in range(1, 9):
        [face] = engine.analyse(pixels_of(shared / f"photos/odd/derived/face_orientation_{i}.jpg"))
        embeddings.append(face.embedding)
    assert max(float(np.linalg.norm(a - b)) for a in embeddings for b in embeddings) < 0.1


def test_one_person_is_nearer_than_two(engine: StandardEngine, shared: Path) -> None:
    family = shared / "photos/album/family"
    dad, dad_again, mom = (
        engine.analyse(pixels_of(family / name))[0].embedding
        for name in ("Family1-Dad1.jpg", "Family1-Dad2.jpg", "Family1-Mom1.jpg")
    )
    limit = engine.info.thresholds.match
    assert np.linalg.norm(dad - dad_again) < limit < np.linalg.norm(dad - mom)


def test_the_cnn_detector_finds_the_same_face(shared: Path) -> None:
    cnn = load_engine("face_recognition", EngineOptions(detector="cnn"))
    picture = Image.open(shared / "photos/odd/derived/face_baseline.jpg").convert("RGB").resize((280, 350))
    assert len(cnn.analyse(np.asarray(picture))) == 1
    assert cnn.info.fingerprint == describe_engine("face_recognition").fingerprint  # comparable


def test_loading_the_models_tells_nobody(tmp_path: Path) -> None:
    """onnxruntime's wheels report their use unless told not to, and leave an identity in the cache folder."""
    code = (
        "import numpy, os; from facewatch.engines import load_engine; load_engine('face_recognition');"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True)
    assert list(tmp_path.rglob("*onnxruntime*")) == []


def test_model_files_that_are_as_they_were_are_not_read_again() -> None:
    info, as_usual = describe_engine("face_recognition"), EngineOptions()
    before = ReadModels("face_recognition", "as read before", 128, "")
    assert describe_engine("face_recognition", as_usual, {info.read_as: before}).fingerprint == "as read before"
    assert describe_engine("face_recognition", as_usual, {f"{info.read_as}1": before}) == info


def test_another_weights_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.dat"
    file.write_bytes(b"\x01\x02" * 1000)
    with pytest.raises(EngineError, match=r"model.dat: not the face recognition network that facewatch knows"):
        read_tensors(file)


def test_an_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(EngineError, match="no engine is called 'magic'; there is face_recognition"):
        describe_engine("magic")
