"""Advanced mode: SCRFD finds faces and five landmarks, an ArcFace network turns the aligned face into 512 numbers.

Both come as ONNX files, a pack, and run through insightface and onnxruntime. Deng et al. 2019 (ArcFace), Guo et al.
2021 (SCRFD).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.boxes import SAME_FACE, are_centred_in, overlaps
from facewatch.engines.openvino_network import OpenVinoNetwork
from facewatch.engines.options import EngineOptions
from facewatch.engines.prelu import is_worth_it, without_prelu
from facewatch.engines.preprocessing import STRETCHING, stretched
from facewatch.engines.runtimes import Machine, Runtime, Try, Wish, choose_runtime, not_run, try_openvino
from facewatch.engines.scrfd import open_scrfd, with_joined_convolutions
from facewatch.engines.sessions import Sessions, is_built_for_cuda, is_on_cpu, is_out_of_memory, one_line
from facewatch.errors import EngineError, Fault, FaultCode, PhotoError
from facewatch.models.packs import Pack, find_pack, models_folder, sha256_of, state_of_pack
from facewatch.modules import import_alone
from facewatch.types import (
    DetectedFace,
    Detection,
    EngineInfo,
    Needs,
    Normalisation,
    Read,
    ReadModels,
    Survey,
    Thresholds,
)

if TYPE_CHECKING:
    from facewatch.types import Closer, Doubles, Flags, Floats, Pixels

log = logging.getLogger(__name__)

PREFIX = "insightface:"

CROP_SIDE = 112
"""The recogniser's input, in pixels."""

TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)], np.float32
)
"""Where eyes, nose and mouth corners lie in an aligned crop: the ArcFace template."""

SEARCH_SIDE = 640
"""Longer side in pixels of the picture that is searched: faces of 2 % of it are found; see docs/evaluation.md."""

ORDINARY_ASPECT = 1.5
"""Longer by shorter side of a photo that is searched at `SEARCH_SIDE`; wider ones get as many pixels."""

SMALL_SHARE = 0.04
"""A face this small, in shares of the longer side, calls for a search at twice the size: it has smaller neighbours."""

SMALLEST_SIDE = 8
"""A strip that is narrower than this, in pixels as it is searched, holds no face."""

CLOSE_SIDE = 128
"""Searched at this size, too: faces that fill the frame are too large for the detector at `SEARCH_SIDE`."""

ALL_SIZES_SIDE = 384
"""Searched at this size, faces that fill the frame are not too large."""

MIN_SCORE = 0.5
"""Detections that the detector is less sure of are none."""

SURE_SCORE = 0.65
"""No labelled face of shared/photos has less; see docs/evaluation.md."""

# Measured with `scripts/spoiled poor` and `covers`; a good face has a norm of 24. See docs/evaluation.md.
NEEDS = Needs(
    match_pixels=16,
    enroll_pixels=24,
    match_sharpness=2.5,
    enroll_sharpness=5.0,
    enroll_norm=17.0,
    covered_norm=18.0,
    most_sharpness=7000.0,
)

UPRIGHT_SCORE = 0.75
"""Where there is no face, nothing that lies on its side or head has so much (`scripts/bench --only angles`)."""

FAINT_SCORE = 0.08
"""Places of which the detector is not even this sure show no face, whichever way up (`scripts/bench --only angles`)."""

SURELY_UPRIGHT = 0.82
"""No face that lies on its side or head has so much (`scripts/bench --only angles`)."""

BESIDE = 0.2
"""How far beside a face, in shares of its sides, faint signs of a face are still signs of that one."""

WEAK_LENGTH = 21.0
"""Shorter vectors, those of poor faces, are averaged with that of the mirror image (TTA); see docs/evaluation.md."""

BATCH_FACES = 32
"""Faces embedded in one call of the recogniser: more need more memory and are no faster."""

# Chosen with `facewatch evaluate` on LFW and an album (w600k_mbf), copies with `scripts/measure_copies`; years are not
# measured on faces. What other values do: docs/evaluation.md.
THRESHOLDS = Thresholds(
    match=1.12,
    gallery_size=3000,
    per_decade=0.022,
    centroid=1.07,
    margin=0.08,
    low_quality_penalty=0.04,
    cluster=1.17,
    singleton_penalty=0.05,
    cluster_margin=0.02,
    years=0.045,
    copy=0.3,
    no_rival_bonus=0.03,
    confirmed=0.02,
    by_minimum=1.09,
    by_mean=1.135,
    by_centroid=1.085,
)

# Chosen with `scripts/hard_sets` at a precision no lower than that of plain similarities; see
# docs/evaluation.md.
NORMALISATION = Normalisation(
    usual=0.13,
    link=0.15,
    singleton_penalty=0.09,
    merge=0.22,
    likeness=0.3,
    attach=0.15,
    outlier=0.42,
    no_rival_bonus=0.25,
    per_decade=0.02,
)


_USE = f"{CROP_SIDE} mirrored below {WEAK_LENGTH} {STRETCHING}"
"""How the recogniser is used."""


def describe(name: str, options: EngineOptions, read: Read = MappingProxyType({})) -> EngineInfo:
    """Return what identifies the engine; reads no model, but those of a pack that was neither fetched nor imported,
    unless they are as they were when they were `read` before.

    Like in standard mode the detector is not part of it: two packs with one recogniser are one engine.

    Raises:
        EngineError: the pack is unknown, absent or not a pack.
    """
    folder = models_folder(options.models)
    state = state_of_pack(name, folder)
    read_as = f"{_USE} {state}" if state else ""
    if (known := read.get(read_as)) is not None:
        return _info(known, read_as)
    pack = find_pack(name.removeprefix(PREFIX), folder)
    return _info(_read(pack), read_as)


def _read(pack: Pack) -> ReadModels:
    digest = hashlib.sha256(f"{_USE} {pack.sha256s[pack.recogniser.name]}".encode())
    return ReadModels(PREFIX + pack.name, digest.hexdigest(), pack.n_dims, pack.licence)


def _info(models: ReadModels, read_as: str = "") -> EngineInfo:
    return EngineInfo(
        name=models.name,
        n_dims=models.n_dims,
        fingerprint=models.fingerprint,
        licence=models.licence,
        thresholds=THRESHOLDS,
        needs=NEEDS,
        sure_score=SURE_SCORE,
        upright_score=UPRIGHT_SCORE,
        normalisation=NORMALISATION,
        read_as=read_as,
    )


def runtime_of(name: str, options: EngineOptions) -> str:
    """Return what runs the recogniser, by what is known without loading anything: "openvino 2026.4.1, bf16".

    Raises:
        EngineError: the pack cannot be used, or not as the settings want it.
    """
    return str(_runtime(find_pack(name.removeprefix(PREFIX), models_folder(options.models)), options))


def _runtime(pack: Pack, options: EngineOptions, *, attempt: Try | None = None) -> Runtime:
    digest, folder = pack.sha256s[pack.recogniser.name], models_folder(options.models)
    wish = Wish(options.runtime, options.device, pack.recogniser, digest, folder)
    machine = Machine(lambda: is_built_for_cuda() and not Sessions(options.device, 1).is_on_cpu, attempt)
    return choose_runtime(wish, machine)


def _check_whole(pack: Pack) -> None:
    """Read the files once more before they are used: a flipped bit makes strangers one person, and nothing would show
    it.

    Raises:
        EngineError: a file is not the one that was fetched or imported.
    """
    for path in (pack.detector, pack.recogniser):
        try:
            found = sha256_of(path)
        except OSError as error:
            raise EngineError(f"{path}: cannot be read ({error.strerror}); check the file's rights") from error
        if found != pack.sha256s[path.name]:
            raise EngineError(
                f"{path}: damaged since it came (its SHA-256 is another); `facewatch models fetch` or `import --force` "
                "brings it again"
            )


class ArcFaceEngine:
    """SCRFD and ArcFace behind the Engine protocol."""

    def __init__(self, name: str, options: EngineOptions) -> None:
        """Load both models.

        Raises:
            EngineError: a file is absent, damaged, or not what it should be, or the device is not there.
        """
        pack = find_pack(name.removeprefix(PREFIX), models_folder(options.models))
        _check_whole(pack)
        self._pack, self._info = pack, _info(_read(pack))
        self._sessions = Sessions(options.device, options.n_threads)
        self._detector = _load_detector(pack, self._sessions)
        self._recogniser = Recogniser(pack, self._sessions, _runtime(pack, options, attempt=try_openvino))

    @property
    def info(self) -> EngineInfo:
        return self._info

    def analyse(self, pixels: Pixels, *, closer: Closer | None = None) -> list[DetectedFace]:
        """Return the faces of an upright RGB uint8 array of shape (H, W, 3), largest first."""
        return self.survey(pixels, closer=closer).faces

    def survey(self, pixels: Pixels, *, closer: Closer | None = None) -> Survey:
        """Return the same, and whether turned faces may be in the picture."""
        bgr = _bgr(pixels)
        (boxes, landmarks), may_show_turned = self._find(bgr)
        crops = self._crops(bgr, landmarks, closer)
        vectors, norms = self._recogniser.embed_with_norms(stretched(crops))
        faces = [
            DetectedFace(
                box=(x0, y0, x1 - x0, y1 - y0),
                landmarks=points,
                score=score,
                crop=crop,
                embedding=vector,
                norm=norm,
                crop_landmarks=TEMPLATE,
            )
            for (x0, y0, x1, y1, score), points, crop, vector, norm in zip(
                boxes.tolist(), landmarks, crops, vectors, norms.tolist(), strict=True
            )
        ]
        faces.sort(key=lambda face: (-face.box[2] * face.box[3], face.box))
        return Survey(faces, may_show_turned)

    def analyse_aligned(self, crops: Sequence[Pixels]) -> list[DetectedFace]:
        """Return one face a crop, taken to be aligned like the ArcFace template, whatever its size."""
        import cv2

        small = [_resized(cv2, crop) for crop in crops]
        aligned = np.array(small, np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE, 3)
        vectors, norms = self._recogniser.embed_with_norms(stretched(aligned))
        faces = []
        for crop, resized, vector, norm in zip(crops, aligned, vectors, norms.tolist(), strict=True):
            height, width = crop.shape[:2]
            landmarks = TEMPLATE * np.array([width / CROP_SIDE, height / CROP_SIDE], np.float32)
            box = (0.0, 0.0, float(width), float(height))
            faces.append(DetectedFace(box, landmarks, 1.0, resized, vector, norm=norm, crop_landmarks=TEMPLATE))
        return faces

    def embed(self, crops: Pixels) -> Floats:
        """Return one unit vector per aligned crop (RGB, uint8, shape (n_faces, 112, 112, 3)), as it is.

        Raises:
            PhotoError: the network gave something that is no direction.
        """
        return self._recogniser.embed(crops)

    def embed_with_norms(self, crops: Pixels) -> tuple[Floats, Floats]:
        """Return the same, and the lengths that the vectors had; see `DetectedFace.norm`."""
        return self._recogniser.embed_with_norms(crops)

    def find(self, pixels: Pixels) -> list[Detection]:
        """Return where faces are, without embeddings; the smallest faces of a crowd are left out."""
        bgr = _bgr(pixels)
        side = _multiple_of_32(min(SEARCH_SIDE, max(bgr.shape[:2])))
        boxes, landmarks = self._search(bgr, side)
        if side > ALL_SIZES_SIDE:
            boxes, _ = _joined((boxes, landmarks), self._search(bgr, CLOSE_SIDE))
        return [Detection((x0, y0, x1 - x0, y1 - y0), score) for x0, y0, x1, y1, score in boxes.tolist()]

    def _find(self, bgr: Pixels) -> tuple[tuple[Floats, Floats], bool]:
        """Return boxes with scores (x0, y0, x1, y1, score), shape (n, 5), and landmarks, shape (n, 5, 2), in pixels;
        and whether there may be turned faces as well.

        A face that two searches find is taken from the larger search: its landmarks are finer.
        """
        longer, shorter = max(bgr.shape[:2]), min(bgr.shape[:2])
        # A panorama is searched at as many pixels as another photo: its faces are small in shares of its longer side.
        side = SEARCH_SIDE * max(1.0, longer / (ORDINARY_ASPECT * shorter)) ** 0.5
        faint, found = self._search_faintly(bgr, _multiple_of_32(min(side, longer)))
        smallest = (found[0][:, 2:4] - found[0][:, :2]).min(initial=longer)
        if longer > side and smallest < SMALL_SHARE * longer * SEARCH_SIDE / side:
            found = _joined(self._search(bgr, _multiple_of_32(min(2 * side, longer))), found)
        close_faint, close = self._search_faintly(bgr, CLOSE_SIDE)
        close = _joined(found, close)
        if len(close[0]) > len(found[0]):
            # Rare: only then it is worth a search that is fine enough for landmarks.
            close = _joined(_joined(found, self._search(bgr, 2 * CLOSE_SIDE)), close)
        return _with_features(*close), _may_show_turned(np.concatenate([faint, close_faint, close[0]]))

    def _search_faintly(self, bgr: Pixels, side: int) -> tuple[Floats, tuple[Floats, Floats]]:
        """Return the boxes of all that may be a face, and boxes and landmarks of what is one."""
        boxes, landmarks = self._search(bgr, side, FAINT_SCORE)
        return boxes, _chosen((boxes, landmarks), boxes[:, 4] >= MIN_SCORE)

    def _search(self, bgr: Pixels, side: int, least: float = MIN_SCORE) -> tuple[Floats, Floats]:
        """Search the picture with its longer side at this many pixels, its shorter one no longer than it has to be, for
        what has at least this score."""
        height, width = bgr.shape[:2]
        scale = side / max(height, width)
        if min(height, width) * scale < SMALLEST_SIDE:
            return np.empty((0, 5), np.float32), np.empty((0, 5, 2), np.float32)
        size = min(side, _multiple_of_32(width * scale)), min(side, _multiple_of_32(height * scale))
        try:
            boxes, landmarks = self._detector.detect(bgr, input_size=size, det_thresh=least)
        except Exception as error:  # onnxruntime raises classes of its own below Exception, one for each status
            if not is_out_of_memory(error) or is_on_cpu(self._detector.session):
                raise
            log.warning("%s: not enough memory on the device to find faces; on the CPU from now on", self._info.name)
            self._detector = _load_detector(self._pack, self._sessions, is_on_cpu=True)
            return self._search(bgr, side, least)
        return boxes, landmarks

    def _crops(self, bgr: Pixels, landmarks: Floats, closer: Closer | None) -> Pixels:
        """Return the aligned faces, RGB; those that are small here are cut from the closer picture."""
        transforms = [similarity(points, TEMPLATE) for points in landmarks]
        zoomed, zoom = bgr, 1.0
        if closer is not None and any(_magnification(transform) > 1 for transform in transforms):
            zoomed = _bgr(closer())
            zoom = zoomed.shape[1] / bgr.shape[1]
        crops = [
            warp(zoomed, similarity(points * zoom, TEMPLATE)) if _magnification(transform) > 1 else warp(bgr, transform)
            for points, transform in zip(landmarks, transforms, strict=True)
        ]
        return np.array(crops, np.uint8).reshape(-1, CROP_SIDE, CROP_SIDE, 3)[:, :, :, ::-1]


def _bgr(pixels: Pixels) -> Pixels:
    """Return a picture with its channels in the other order; OpenCV takes a tenth of numpy's time."""
    import cv2

    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)


def _multiple_of_32(pixels: float) -> int:
    """Return the next size that the detector's strides divide."""
    return max(32, 32 * int(np.ceil(pixels / 32)))


def _joined(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return all of the first, and of the second what overlaps none of the first."""
    is_new = (overlaps(_sided(second[0]), _sided(first[0])) < SAME_FACE).all(axis=1)
    return np.concatenate([first[0], second[0][is_new]]), np.concatenate([first[1], second[1][is_new]])


def _with_features(boxes: Floats, landmarks: Floats) -> tuple[Floats, Floats]:
    """Return the detections whose landmarks are not all in one place: those are no faces, and cannot be aligned."""
    return _chosen((boxes, landmarks), np.ptp(landmarks, axis=1).max(axis=1, initial=0) > 1)


def _chosen(found: tuple[Floats, Floats], which: Flags) -> tuple[Floats, Floats]:
    return found[0][which], found[1][which]


def _may_show_turned(boxes: Floats) -> bool:
    """Whether there is, among all that may be a face, what is no part of one that is surely upright."""
    sides = _sided(boxes)
    return not are_centred_in(sides, sides[boxes[:, 4] >= SURELY_UPRIGHT], margin=BESIDE).all()


def _sided(corners: Floats) -> Doubles:
    """Return x, y, w, h of boxes given as x0, y0, x1, y1."""
    return np.concatenate([corners[:, :2], corners[:, 2:4] - corners[:, :2]], axis=1).astype(np.float64)


def similarity(points: Floats, target: Floats) -> Doubles:
    """Return the 2 x 3 matrix that turns, scales and shifts points onto the target, least squares (Umeyama 1991).

    Raises:
        ValueError: the points are all in one place.
    """
    # As complex numbers: to turn and to scale is to multiply by one. scikit-image says the same of points in any number
    # of dimensions, but takes 0.4 s to import.
    start, end = (xy.astype(np.float64) @ (1, 1j) for xy in (points, target))
    away, wanted = start - start.mean(), end - end.mean()
    spread = np.vdot(away, away).real
    if not spread > (4 * np.finfo(np.float64).eps) ** 2 * np.vdot(start, start).real:
        raise ValueError("points in one place fit onto nothing")
    turn = np.vdot(away, wanted) / spread
    shift = end.mean() - turn * start.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _magnification(matrix: Doubles) -> float:
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def warp(bgr: Pixels, matrix: Doubles) -> Pixels:
    """Return the aligned face, uint8, shape (112, 112, 3), black where the picture ends."""
    import cv2

    return np.asarray(cv2.warpAffine(bgr, matrix, (CROP_SIDE, CROP_SIDE), borderValue=0.0), np.uint8)


def _resized(cv2: Any, crop: Pixels) -> Pixels:
    if crop.shape[:2] == (CROP_SIDE, CROP_SIDE):
        return crop
    is_larger = min(crop.shape[:2]) > CROP_SIDE
    small: Pixels = cv2.resize(
        crop, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_AREA if is_larger else cv2.INTER_LINEAR
    )
    return small


def _load_detector(pack: Pack, sessions: Sessions, *, is_on_cpu: bool = False) -> Any:
    for_cpu = with_joined_convolutions if is_worth_it() else None
    session = sessions.load(pack.detector, is_on_cpu=is_on_cpu, for_cpu=for_cpu)
    detector = open_scrfd(str(pack.detector), session)
    if not detector.use_kps:
        raise EngineError(f"{pack.detector}: a detector without landmarks; take one with them (its name ends in kps)")
    detector.prepare(0)
    return detector


class Recogniser:
    """An ArcFace-style network: aligned crops to unit vectors, in batches that the device's memory can hold."""

    def __init__(self, pack: Pack, sessions: Sessions, runtime: Runtime | None = None) -> None:
        """Load the network; None: as onnxruntime runs it.

        Raises:
            EngineError: it cannot be loaded, or not by the runtime that the settings name.
        """
        aligning = ("insightface.utils", "insightface.utils.face_align")  # done by facewatch itself
        arcface = import_alone("insightface.model_zoo.arcface_onnx", without=aligning)
        self._pack, self._sessions = pack, sessions
        session = runtime and self._load_by_openvino(runtime)
        self._network = arcface.ArcFaceONNX(str(pack.recogniser), session=session or self._load())
        self._batch = BATCH_FACES

    def _load(self, *, is_on_cpu: bool = False) -> Any:
        for_cpu = without_prelu if is_worth_it() else None
        return self._sessions.load(self._pack.recogniser, is_on_cpu=is_on_cpu, for_cpu=for_cpu)

    def _load_by_openvino(self, runtime: Runtime) -> OpenVinoNetwork | None:
        """Return the network; None: OpenVINO is not to run it, or cannot, and nobody asked for it."""
        if not runtime.is_openvino:
            return None
        try:
            model, n_threads = self._pack.recogniser.read_bytes(), self._sessions.n_threads
            return OpenVinoNetwork(model, precision=runtime.precision, n_threads=n_threads)
        except Exception as error:  # OpenVINO raises RuntimeError with a text of its own
            not_run(runtime, self._pack.recogniser, error)
            return None

    def embed(self, crops: Pixels) -> Floats:
        """Return the vectors of `embed_with_norms`."""
        return self.embed_with_norms(crops)[0]

    def embed_with_norms(self, crops: Pixels) -> tuple[Floats, Floats]:
        """Return one unit vector per crop, so that a dot product is a cosine, and the lengths that they had.

        Args:
            crops: aligned RGB faces, uint8, shape (n_faces, 112, 112, 3).

        Returns:
            float32, shapes (n_faces, n_dims) and (n_faces,).

        Raises:
            PhotoError: the network gave something that is no direction.
            EngineError: it gave vectors of another length than the pack says.
        """
        if crops.shape[1:] != (CROP_SIDE, CROP_SIDE, 3):
            raise ValueError(f"crops must have shape (n, {CROP_SIDE}, {CROP_SIDE}, 3), not {crops.shape}")
        if not len(crops):
            return np.empty((0, self._pack.n_dims), np.float32), np.empty(0, np.float32)
        bgr = np.ascontiguousarray(crops[:, :, :, ::-1])
        raw = self._run(bgr)
        unit, lengths = self._unit(raw)
        weak = np.flatnonzero(lengths < WEAK_LENGTH)
        if len(weak):
            mirrored, _ = self._unit(self._run(bgr[weak][:, :, ::-1]))
            unit[weak], _ = self._unit(unit[weak] + mirrored)
        return unit, lengths

    def _unit(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Return the vectors with length 1, and the lengths that they had."""
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.all(np.isfinite(lengths) & (lengths > 0)):
            raise PhotoError(
                Fault.of(
                    FaultCode.NO_EMBEDDING,
                    f"{PREFIX}{self._pack.name}",
                    reason=" (not a number)",
                    advice=f"check the model: facewatch models verify {self._pack.name}",
                )
            )
        return vectors / lengths[:, None], lengths

    def _run(self, bgr: Pixels) -> Floats:
        """Return the network's answers, a batch at a time."""
        parts, start = [], 0
        while start < len(bgr):
            batch = list(bgr[start : start + self._batch])
            try:
                parts.append(self._network.get_feat(batch))
            except Exception as error:  # onnxruntime raises classes of its own below Exception, one for each status
                self._need_less_memory(error, len(batch))
                continue
            start += len(batch)
        raw = np.concatenate(parts)
        if raw.shape[1:] != (self._pack.n_dims,):
            raise EngineError(
                f"{self._pack.recogniser}: gives vectors of shape {raw.shape[1:]}, not {self._pack.n_dims} numbers; it "
                "is no recogniser that facewatch can use"
            )
        return np.asarray(raw, np.float32)

    def _need_less_memory(self, error: Exception, n_faces: int) -> None:
        """Make the batch smaller, and at one face go to the CPU; any other error is raised again."""
        if not is_out_of_memory(error):
            raise error
        if n_faces > 1:
            self._batch = n_faces // 2
            log.warning(
                "%s: not enough memory for %d faces at once; %d from now on", self._pack.name, n_faces, self._batch
            )
        elif not is_on_cpu(self._network.session):
            log.warning("%s: not enough memory on the device; on the CPU from now on", self._pack.name)
            self._network.session = self._load(is_on_cpu=True)
            self._batch = BATCH_FACES
        else:
            raise MemoryError(f"not enough memory for one face: {one_line(error)}") from error
