"""InsightFace behind the Engine protocol: small made models for its contracts, the real pack for claims about faces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_models import save_detector, save_recogniser
from PIL import Image
from skimage.transform import SimilarityTransform

from facewatch.decode import decode
from facewatch.engines import arcface, describe_engine, load_engine
from facewatch.engines.arcface import CROP_SIDE, TEMPLATE, ArcFaceEngine, Recogniser
from facewatch.engines.options import EngineOptions
from facewatch.engines.sessions import Sessions, choose_providers
from facewatch.errors import EngineError, Fault, PhotoError
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.models.importing import import_pack
from facewatch.models.packs import find_pack
from facewatch.modules import import_alone
from facewatch.types import Fingerprint

CPU = ["CPUExecutionProvider"]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder with a detector that finds nothing and a recogniser that gives 512 numbers."""
    save_detector(tmp_path / "pack/det.onnx")
    save_recogniser(tmp_path / "pack/rec.onnx")
    return tmp_path / "pack"


@pytest.fixture(scope="session")
def real(shared: Path) -> ArcFaceEngine:
    engine = load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}")
    assert isinstance(engine, ArcFaceEngine)
    return engine


def load(folder: Path) -> Any:
    return load_engine(f"insightface:{folder}")


def picture(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as file:
        return decode(file).pixels


# --- contracts ---


def test_a_photo_without_faces_is_an_ordinary_answer(pack: Path) -> None:
    assert load(pack).analyse(np.zeros((300, 400, 3), np.uint8)) == []


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1), (8, 2000), (1, 1), (3, 700)])
def test_a_strip_that_is_too_narrow_for_a_face_holds_none(pack: Path, shape: tuple[int, int]) -> None:
    assert load(pack).analyse(np.zeros((*shape, 3), np.uint8)) == []


def test_no_crops_are_an_ordinary_input(pack: Path) -> None:
    assert load(pack).analyse_aligned([]) == []
    assert load(pack)._recogniser.embed(np.empty((0, CROP_SIDE, CROP_SIDE, 3), np.uint8)).shape == (0, 512)


@pytest.mark.parametrize("n_dims", [64, 128, 512])
def test_the_dimension_is_the_recognisers(tmp_path: Path, n_dims: int) -> None:
    save_detector(tmp_path / "det.onnx")
    save_recogniser(tmp_path / "rec.onnx", n_dims=n_dims)
    assert describe_engine(f"insightface:{tmp_path}").n_dims == n_dims
    [face] = load(tmp_path).analyse_aligned([np.full((50, 60, 3), 99, np.uint8)])
    assert face.embedding.shape == (n_dims,)
    assert np.linalg.norm(face.embedding) == pytest.approx(1)
    assert face.box == (0, 0, 60, 50)


def test_batch_size_does_not_change_the_answer(pack: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2 * arcface.BATCH_FACES + 3, CROP_SIDE, CROP_SIDE, 3), np.uint8)
    recogniser = load(pack)._recogniser
    one_by_one = np.concatenate([recogniser.embed(crop[None]) for crop in crops])
    assert np.allclose(recogniser.embed(crops), one_by_one, atol=1e-5)


def test_crops_of_another_shape_are_a_mistake(pack: Path) -> None:
    with pytest.raises(ValueError, match="must have shape"):
        load(pack)._recogniser.embed(np.zeros((1, 100, 100, 3), np.uint8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_model_that_gives_no_numbers_spoils_no_catalog(tmp_path: Path, value: float) -> None:
    save_detector(tmp_path / "pack/det.onnx")
    save_recogniser(tmp_path / "pack/rec.onnx", value=value)
    with pytest.raises(PhotoError, match="gave no usable embedding"):
        load(tmp_path / "pack").analyse_aligned([np.zeros((112, 112, 3), np.uint8)])
    photo = tmp_path / "crop.png"
    Image.new("RGB", (112, 112)).save(photo)
    analyzer = Analyzer(Recipe(f"insightface:{tmp_path / 'pack'}"))
    [outcome] = analyzer.analyse_aligned([(LibraryFile(str(photo.parent), photo.name), Fingerprint.of(photo.stat()))])
    assert isinstance(outcome, Fault)
    assert "gave no usable embedding" in outcome.text


def test_a_damaged_model_is_named_with_the_command_that_mends_it(pack: Path) -> None:
    (pack / "rec.onnx").write_bytes((pack / "rec.onnx").read_bytes()[:5000])
    with pytest.raises(EngineError, match=r"rec\.onnx"):
        load(pack)


@pytest.mark.parametrize("rewritten", [b"no model", ValueError("a network of another kind")], ids=["bytes", "error"])
def test_a_model_that_cannot_be_rewritten_for_the_cpu_is_taken_as_it_is(
    pack: Path, rewritten: bytes | Exception
) -> None:
    def rewrite(_model: bytes) -> bytes:
        if isinstance(rewritten, Exception):
            raise rewritten
        return rewritten

    crops = np.random.default_rng(0).normal(size=(2, 3, CROP_SIDE, CROP_SIDE)).astype(np.float32)
    plain, tried = (Sessions("cpu", 1).load(pack / "rec.onnx", for_cpu=way) for way in (None, rewrite))
    assert np.array_equal(plain.run(None, {"input.1": crops})[0], tried.run(None, {"input.1": crops})[0])


def test_a_model_with_a_flipped_bit_is_not_used(tmp_path: Path, pack: Path) -> None:
    imported = import_pack(pack, tmp_path / "models")
    data = bytearray(imported.recogniser.read_bytes())
    data[len(data) // 2] ^= 1
    imported.recogniser.write_bytes(data)
    options = EngineOptions(models=str(tmp_path / "models"))
    assert describe_engine("insightface:pack", options).n_dims == 512
    with pytest.raises(EngineError, match=r"rec\.onnx: damaged since it came.*import --force"):
        load_engine("insightface:pack", options)


def test_a_detector_without_landmarks_is_refused(tmp_path: Path) -> None:
    save_detector(tmp_path / "det.onnx", has_landmarks=False)
    save_recogniser(tmp_path / "rec.onnx")
    with pytest.raises(EngineError, match="landmarks"):
        load(tmp_path)


def test_packs_with_one_recogniser_are_one_engine(tmp_path: Path, pack: Path) -> None:
    save_detector(tmp_path / "other/det.onnx", score=0.1)
    (tmp_path / "other/rec.onnx").write_bytes((pack / "rec.onnx").read_bytes())
    here, there = (describe_engine(f"insightface:{folder}") for folder in (pack, tmp_path / "other"))
    assert here.fingerprint == there.fingerprint
    save_recogniser(tmp_path / "other/rec.onnx", n_dims=64)
    assert describe_engine(f"insightface:{tmp_path / 'other'}").fingerprint != here.fingerprint


@pytest.mark.parametrize(
    ("device", "available", "chosen"),
    [
        ("auto", CPU, CPU),
        ("auto", ["CUDAExecutionProvider", *CPU], ["CUDAExecutionProvider", *CPU]),
        ("auto", ["CoreMLExecutionProvider", *CPU], CPU),
        ("coreml", ["CoreMLExecutionProvider", *CPU], ["CoreMLExecutionProvider", *CPU]),
        ("cpu", ["CUDAExecutionProvider", *CPU], CPU),
    ],
)
def test_the_device_is_one_that_onnxruntime_has(device: str, available: list[str], chosen: list[str]) -> None:
    assert choose_providers(device, available) == chosen


@pytest.mark.parametrize(("device", "remedy"), [("cuda", "onnxruntime-gpu"), ("coreml", "macOS")])
def test_a_device_that_is_not_there_names_the_package_that_brings_it(device: str, remedy: str) -> None:
    with pytest.raises(EngineError, match=rf"device '{device}'.*has only cpu.*{remedy}"):
        choose_providers(device, CPU)


class _SmallGpu:
    """A network on a device whose memory holds two faces at most; on the CPU it holds all."""

    def __init__(self, on_cpu: Any, holds: int) -> None:
        self.session = self
        self.n_calls: list[int] = []
        self._on_cpu, self._holds = on_cpu, holds

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", *CPU]

    def get_feat(self, crops: list[Any]) -> NDArray[np.float32]:
        if self.session is not self:
            return np.asarray(self._on_cpu(crops), np.float32)
        self.n_calls.append(len(crops))
        if len(crops) > self._holds:
            raise RuntimeError("[ONNXRuntimeError] : 6 : BFCArena::AllocateRawInternal Failed to allocate memory")
        return np.asarray(self._on_cpu(crops), np.float32)


class FailingDetector:
    """A detector on such a device."""

    session = _SmallGpu(None, 0)

    def __init__(self, message: str) -> None:
        self._message = message

    def detect(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError(self._message)


@pytest.mark.parametrize("holds", [4, 0])
def test_a_gpu_without_memory_gets_smaller_batches_and_then_the_cpu_works(
    pack: Path, holds: int, caplog: pytest.LogCaptureFixture
) -> None:
    recogniser = Recogniser(find_pack(str(pack), pack), Sessions("cpu", 1))
    crops = np.random.default_rng(0).integers(0, 256, (9, CROP_SIDE, CROP_SIDE, 3), np.uint8)
    expected = recogniser.embed(crops)
    gpu = _SmallGpu(recogniser._network.get_feat, holds)
    recogniser._network = gpu
    assert np.allclose(recogniser.embed(crops), expected, atol=1e-5)
    recogniser.embed(crops)
    said = [record.message for record in caplog.records]
    assert len(said) == len(set(said))
    if holds:
        assert max(gpu.n_calls[2:]) == holds
    else:
        assert any("on the CPU from now on" in message for message in said)


def test_a_gpu_without_memory_for_the_detector_leaves_it_to_the_cpu(
    pack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = load(pack)

    engine._detector = FailingDetector("CUDA failure 2: out of memory")
    assert engine.analyse(np.zeros((700, 900, 3), np.uint8)) == []
    assert engine._detector.session.get_providers() == CPU
    assert [record.message for record in caplog.records] == [
        f"{engine.info.name}: not enough memory on the device to find faces; on the CPU from now on"
    ]


def test_a_detector_that_fails_otherwise_is_not_hidden(pack: Path) -> None:
    engine = load(pack)

    engine._detector = FailingDetector("invalid graph")
    with pytest.raises(RuntimeError, match="invalid graph"):
        engine.analyse(np.zeros((700, 900, 3), np.uint8))


def test_any_other_fault_of_the_runtime_is_not_hidden(pack: Path) -> None:
    recogniser = Recogniser(find_pack(str(pack), pack), Sessions("cpu", 1))

    def fail(crops: list[Any]) -> NDArray[np.float32]:
        raise RuntimeError("invalid graph")

    recogniser._network = _SmallGpu(fail, 99)
    with pytest.raises(RuntimeError, match="invalid graph"):
        recogniser.embed(np.zeros((1, CROP_SIDE, CROP_SIDE, 3), np.uint8))


def test_loading_the_pack_tells_nobody(pack: Path) -> None:
    program = (
        "import os; from facewatch.engines import load_engine;"
        f"load_engine('insightface:{pack}');"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True, env={"PATH": "/usr/bin:/bin"})


# --- alignment ---


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0, 1, (0, 0)), (30, 2.5, (40, 80)), (-75, 0.4, (200, 10))])
def test_alignment_undoes_turning_scaling_and_shifting(angle: float, scale: float, shift: tuple[int, int]) -> None:
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (TEMPLATE @ rotation.T * scale + shift).astype(np.float32)
    matrix = arcface.similarity(points, TEMPLATE)
    assert np.allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_alignment_is_that_of_scikit_image_also_of_what_is_no_face(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = (random.normal(size=(5, 2)) * random.uniform(1, 500) + random.uniform(0, 4000, 2)).astype(np.float32)
    if seed % 2:
        points = (TEMPLATE * (-3, 3) + random.normal(size=(5, 2))).astype(np.float32)  # as in a mirror
    theirs = SimilarityTransform.from_estimate(points.astype(np.float64), TEMPLATE.astype(np.float64))
    assert np.allclose(arcface.similarity(points, TEMPLATE), theirs.params[:2], rtol=1e-9, atol=1e-9)


def test_points_in_one_place_fit_onto_nothing() -> None:
    with pytest.raises(ValueError, match="in one place"):
        arcface.similarity(np.zeros((5, 2), np.float32), TEMPLATE)
    with pytest.raises(ValueError, match="in one place"):
        arcface.similarity(np.full((5, 2), 100.3, np.float32), TEMPLATE)


def test_networks_load_without_the_rest_of_insightface_which_can_be_imported_later() -> None:
    code = (
        "import sys; from facewatch.modules import import_alone; scrfd = import_alone('insightface.model_zoo.scrfd');"
        "aligning = ('insightface.utils', 'insightface.utils.face_align');"
        "import_alone('insightface.model_zoo.arcface_onnx', without=aligning);"
        "print(sorted({'insightface', 'scipy', 'skimage', 'requests', *aligning} & set(sys.modules)));"
        "import insightface; print(insightface.model_zoo.SCRFD is scrfd.SCRFD, bool(insightface.utils.face_align))"
    )
    answer = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-2:] == ["[]", "True True"]


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        import_alone("no_such_package.part")
    assert "no_such_package" not in sys.modules


def test_detections_whose_landmarks_are_in_one_place_are_no_faces(tmp_path: Path) -> None:
    """The made detector finds a face everywhere, all landmarks of each where its anchor is."""
    save_detector(tmp_path / "det.onnx", score=0.9)
    save_recogniser(tmp_path / "rec.onnx")
    engine = load(tmp_path)
    boxes, _ = engine._detector.detect(np.zeros((64, 64, 3), np.uint8), input_size=(64, 64))
    assert len(boxes)
    assert engine.analyse(np.zeros((64, 64, 3), np.uint8)) == []


# --- claims about faces ---


@pytest.mark.slow
def test_embeddings_are_those_of_insightface_itself(real: ArcFaceEngine, shared: Path) -> None:
    """Same boxes, and the recogniser's answer to insightface's own crop."""
    from insightface.utils import face_align

    photo = picture(shared / "photos/odd/derived/face_baseline.jpg")
    [face] = real.analyse(photo)
    bgr = np.ascontiguousarray(photo[:, :, ::-1])
    with pytest.warns(FutureWarning):
        crop = face_align.norm_crop(bgr, face.landmarks)
    raw = real._recogniser._network.get_feat(crop)[0]
    assert float(face.embedding @ (raw / np.linalg.norm(raw))) > 0.99
    assert np.abs(face.crop.astype(int) - crop[:, :, ::-1]).mean() < 1


@pytest.mark.slow
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_tilted_head_is_still_the_same_person(real: ArcFaceEngine, shared: Path, turn: int) -> None:
    photo = Image.fromarray(picture(shared / "photos/odd/derived/face_baseline.jpg"))
    [upright] = real.analyse(np.asarray(photo))
    [tilted] = real.analyse(np.asarray(photo.rotate(15 * turn, expand=True)))
    assert float(upright.embedding @ tilted.embedding) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.03, 0.05, 0.2, 0.5, 0.9])
def test_large_and_small_faces_are_found(real: ArcFaceEngine, shared: Path, share: float) -> None:
    """One face whose height is this share of a photo of 2000 x 2000 pixels."""
    photo = Image.fromarray(picture(shared / "photos/odd/derived/face_baseline.jpg"))
    [face] = real.analyse(np.asarray(photo))
    factor = share * 2000 / face.box[3]
    scaled = photo.resize((round(photo.width * factor), round(photo.height * factor)), Image.Resampling.LANCZOS)
    x, y, w, h = (factor * side for side in face.box)
    canvas = Image.new("RGB", (2000, 2000), "grey")
    canvas.paste(scaled, (round(1000 - x - w / 2), round(1000 - y - h / 2)))
    found = real.analyse(np.asarray(canvas))
    assert len(found) == 1
    assert found[0].box[3] == pytest.approx(share * 2000, rel=0.2)


@pytest.mark.slow
def test_faces_of_a_panorama_are_found(real: ArcFaceEngine, shared: Path) -> None:
    """Ten faces side by side, each 5 % of the width of 2000 pixels and two thirds of the height."""
    photos = [Image.open(path) for path in sorted((shared / "photos/lfw").glob("*/*_0001.jpg"))[:10]]
    canvas = Image.new("RGB", (2000, 160), "grey")
    for number, photo in enumerate(photos):
        canvas.paste(photo.convert("RGB").resize((160, 160)), (20 + 200 * number, 0))
    found = real.analyse(np.asarray(canvas))
    assert sorted(int(face.box[0]) // 200 for face in found) == list(range(10))


@pytest.mark.slow
def test_a_face_that_is_small_here_is_cut_from_the_closer_picture(real: ArcFaceEngine, shared: Path) -> None:
    photo = Image.fromarray(picture(shared / "photos/odd/derived/face_baseline.jpg"))
    [best] = real.analyse(np.asarray(photo))
    small = photo.resize((photo.width // 8, photo.height // 8), Image.Resampling.LANCZOS)
    canvas, closer = Image.new("RGB", (500, 400), "grey"), Image.new("RGB", (4000, 3200), "grey")
    canvas.paste(small, (100, 100))
    closer.paste(photo, (800, 800))
    [blurred] = real.analyse(np.asarray(canvas))
    [sharp] = real.analyse(np.asarray(canvas), closer=lambda: np.asarray(closer))
    assert sharp.box == blurred.box
    assert float(best.embedding @ sharp.embedding) > float(best.embedding @ blurred.embedding)


@pytest.mark.slow
def test_an_aligned_crop_gives_the_embedding_of_the_photo(real: ArcFaceEngine, shared: Path) -> None:
    [face] = real.analyse(picture(shared / "photos/odd/derived/face_baseline.jpg"))
    [again] = real.analyse_aligned([face.crop])
    assert float(face.embedding @ again.embedding) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_the_same_photo_gives_the_same_answer(real: ArcFaceEngine, shared: Path) -> None:
    photo = picture(next((shared / "photos/album/tvcast").rglob("*.jpg")))
    first, second = real.analyse(photo), real.analyse(photo)
    assert [face.box for face in first] == [face.box for face in second]
    assert all(np.array_equal(a.embedding, b.embedding) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_a_worker_with_several_threads_finds_the_same(real: ArcFaceEngine, shared: Path) -> None:
    threaded = load_engine(real.info.name, EngineOptions(n_threads=2))
    photo = picture(shared / "photos/odd/derived/face_baseline.jpg")
    [one], [two] = real.analyse(photo), threaded.analyse(photo)
    assert float(one.embedding @ two.embedding) > 0.9999
