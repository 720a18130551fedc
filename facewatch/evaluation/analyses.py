"""What the engine finds in the labelled photos, as `facewatch scan` would, and a file that keeps it where wanted."""

from __future__ import annotations

import json
import logging
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewatch import __version__
from facewatch.catalog import display
from facewatch.errors import LibraryError
from facewatch.fs.atomic import written_at_once
from facewatch.indexing.analyzer import AnalysisResult, Examination, LibraryFile, Recipe
from facewatch.indexing.indexer import Indexer
from facewatch.indexing.pool import Workers
from facewatch.types import (
    Analysis,
    Box,
    Covered,
    Description,
    EngineInfo,
    Face,
    FileSays,
    Fingerprint,
    Progress,
    Quality,
    Tier,
)

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.pipeline import Report

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AnalysedFile:
    """One file as it was when its photo was analysed."""

    size: int
    """Bytes."""
    mtime_ns: int
    sha256: bytes
    ctime_ns: int = 0
    """0: not known."""

    def is_still(self, now: Fingerprint) -> bool:
        return (self.size, self.mtime_ns) == (now.size, now.mtime_ns) and self.ctime_ns in (0, now.ctime_ns)


@dataclass(frozen=True, slots=True)
class Analyses:
    """What was found in photos; a photo that lies in several files was analysed once."""

    files: dict[str, AnalysedFile] = field(default_factory=dict)
    """By absolute path."""
    photos: dict[bytes, Analysis] = field(default_factory=dict)
    """By the SHA-256 of the photo's bytes."""
    faults: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What is wrong with a file that could not be used, and what to do about it, by absolute path."""


def analyse_photos(app: App, workers: Workers, paths: Iterable[Path], *, known: Analyses, report: Report) -> Analyses:
    """Add to `known` what the engine finds in the photos of these absolute paths, and return it.

    What is known already and has not changed is not analysed again. `known` holds what was done so far when this is
    interrupted. The app's catalog is used up by it.
    """
    paths = list(paths)
    caching = _CachingWorkers(workers, known)
    catalog, now = app.catalog, app.catalog.now()
    with catalog.write():
        root_id = catalog.roots.add(Path("/"), 0, now)
    root, engine_id = Path("/"), app.engine.id
    work = Indexer(catalog, caching, root=root, root_id=root_id, engine_id=engine_id, assign=lambda photo_id: 0)
    try:
        for n_done, one in enumerate(work.run(str(path).lstrip("/") for path in paths), 1):
            path = _absolute(one.path)
            if one.fault is not None or one.kind in _FAULTS:
                known.faults[path] = (one.fault.text, one.fault.advice) if one.fault else _FAULTS[one.kind]
                log.warning("%s: %s; %s", display(path), *known.faults[path])
            report(Progress(n_done, len(paths), display(one.path)))
    finally:
        caching.store()
    return known


_FAULTS = {
    "other": ("is no photo", "leave it out"),
    "vanished": ("has vanished", "bring it back, or leave it out"),
    "unsettled": ("changed while it was read", "try again when it has settled"),
}


class _CachingWorkers:
    """An Workers that answers for what is known and passes the rest on to another one, whose answers it keeps."""

    def __init__(self, inner: Workers, known: Analyses) -> None:
        self.n_workers = inner.n_workers
        self.room = inner.room
        self._inner = inner
        self._known = known
        self._examined: dict[str, Future[Examination]] = {}
        self._analysed: dict[str, Future[AnalysisResult]] = {}

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        path = _absolute(photo.path)
        if (known := self._known_analysis(path)) is not None:
            # No pixels: nothing will be decoded.
            return _done(Examination(known[0], self._known.files[path].sha256))
        self._examined[path] = self._inner.examine(photo)
        return self._examined[path]

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        path = _absolute(photo.path)
        known = self._known_analysis(path)
        if known is not None and known[0] == expected:
            return _done(known[1])
        examined = self._examined.get(path)
        if examined is not None and (same := self._known.photos.get(examined.result().sha256 or b"")) is not None:
            return _done(same)
        self._analysed[path] = self._inner.analyse(photo, expected)
        return self._analysed[path]

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
        return self._inner.analyse_aligned(photos)

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]:
        return self._inner.analyse_boxes(photo, expected, boxes, beside)

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        return self._inner.taken_at(photo, expected)

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]:
        return self._inner.described(photo, expected)

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]:
        return self._inner.said(file, expected, kind)

    def close(self) -> None:
        self._inner.close()

    def store(self) -> None:
        """Add the new answers to what is known."""
        for path, examined in _answers(self._examined):
            if examined.sha256 is not None:
                fingerprint = examined.fingerprint
                self._known.files[path] = AnalysedFile(
                    fingerprint.size, fingerprint.mtime_ns, examined.sha256, fingerprint.ctime_ns or 0
                )
        for path, analysed in _answers(self._analysed):
            if isinstance(analysed, Analysis) and path in self._known.files:
                self._known.photos[self._known.files[path].sha256] = analysed

    def _known_analysis(self, path: str) -> tuple[Fingerprint, Analysis] | None:
        file = self._known.files.get(path)
        if file is None or file.sha256 not in self._known.photos:
            return None
        try:
            now = Fingerprint.of(os.stat(path, follow_symlinks=False))  # noqa: PTH116 - as a worker opens it
        except OSError:
            return None
        return (now, self._known.photos[file.sha256]) if file.is_still(now) else None


def _absolute(path: str) -> str:
    """Return a path below "/" as the labels' folder has it."""
    return "/" + path


def _answers(futures: dict[str, Future[_T]]) -> Iterator[tuple[str, _T]]:
    """Yield the answers that came; those that did not are on record as faults."""
    for path, future in futures.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            yield path, future.result()


def _done(answer: _T) -> Future[_T]:
    future: Future[_T] = Future()
    future.set_result(answer)
    return future


# --- kept in one .npz file: plain arrays, nothing in it can run ---

_N_LANDMARKS = 10


def key_of(info: EngineInfo, recipe: Recipe) -> str:
    """Return what decides what is found in a photo: engine, program and settings."""
    decides = {
        "facewatch": __version__,
        "engine": info.fingerprint,
        "detector": recipe.options.detector,
        "max_pixels": recipe.max_pixels,
        "limits": asdict(recipe.limits),
    }
    return json.dumps(decides, sort_keys=True)


def load_analyses(file: Path, key: str) -> Analyses:
    """Return what the file keeps; nothing when there is no such file.

    Raises:
        LibraryError: it is another kind of file, or was made by another engine or with other settings.
    """
    if not file.exists():
        return Analyses()
    try:
        with file.open("rb") as source, np.load(source, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        kept_key = str(arrays["key"])
        found = _from_arrays(arrays) if kept_key == key else None
    except OSError as error:
        raise LibraryError(f"{file}: cannot be read: {error.strerror or error}; name another file") from error
    # What numpy says ("allow_pickle") is about arrays, and would lead nowhere.
    except (ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise LibraryError(
            f"{file}: no file that `--keep` of evaluate wrote, or a damaged one; name another file, or remove it"
        ) from error
    if found is None:
        raise LibraryError(
            f"{file}: kept by another engine, with other settings, or by another facewatch; name another file"
        )
    return found


def save_analyses(file: Path, found: Analyses, key: str) -> None:
    """Write what was found, as a whole or not at all."""
    with written_at_once(file) as target:
        np.savez_compressed(target, allow_pickle=False, key=np.array(key), **_arrays(found))


def _arrays(found: Analyses) -> dict[str, NDArray[Any]]:
    number = {sha256: i for i, sha256 in enumerate(found.photos)}
    files = {path: file for path, file in found.files.items() if file.sha256 in number}
    photos = list(found.photos.values())
    faces = [face for photo in photos for face in photo.faces]
    return {
        "file_path": _bytes(os.fsencode(path) for path in files),
        "file_size": np.array([file.size for file in files.values()], np.int64),
        "file_mtime_ns": np.array([file.mtime_ns for file in files.values()], np.int64),
        "file_ctime_ns": np.array([file.ctime_ns for file in files.values()], np.int64),
        "file_photo": np.array([number[file.sha256] for file in files.values()], np.int64),
        "photo_sha256": np.frombuffer(b"".join(number), np.uint8).reshape(-1, 32),
        "photo_size": np.array([(photo.width, photo.height) for photo in photos], np.int64).reshape(-1, 2),
        "photo_format": np.array([photo.format for photo in photos], np.str_),
        "photo_taken_at": np.array([photo.taken_at for photo in photos], np.str_),
        "photo_faces": np.array([len(photo.faces) for photo in photos], np.int64),
        "face_box": np.array([astuple(f.box) for f in faces], np.int64).reshape(-1, 5),
        "face_landmarks": np.array([f.landmarks for f in faces], np.float64).reshape(-1, _N_LANDMARKS),
        "face_score": np.array([f.score for f in faces], np.float64),
        "face_quality": np.array([_numbers(f.quality) for f in faces], np.float64).reshape(-1, 5),
        "face_norm": np.array([f.quality.norm for f in faces], np.float64),
        "face_covered": np.array([f.quality.covered.value for f in faces], np.str_),
        "face_tier": np.array([f.quality.tier.value for f in faces], np.str_),
        "face_embedding": np.array([f.embedding for f in faces], np.float32).reshape(len(faces), -1 if faces else 0),
    }


def _numbers(quality: Quality) -> tuple[float, ...]:
    return quality.sharpness, quality.brightness, quality.pixels, quality.pose, quality.score


def _bytes(texts: Iterable[bytes]) -> NDArray[np.uint8]:
    """Return paths as one array; they hold no NUL."""
    return np.frombuffer(b"\0".join(texts), np.uint8)


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> Analyses:
    digests = [row.tobytes() for row in arrays["photo_sha256"]]
    faces = [_face(arrays, i) for i in range(len(arrays["face_score"]))]
    counts = arrays["photo_faces"].tolist()
    ends = np.cumsum(counts).tolist()
    # What was kept before dates were read has none.
    dates = arrays.get("photo_taken_at", np.full(len(digests), ""))
    photos = zip(digests, arrays["photo_size"], arrays["photo_format"], counts, ends, dates, strict=True)
    analyses = {
        sha256: Analysis(int(size[0]), int(size[1]), str(kind), tuple(faces[end - n : end]), str(taken_at))
        for sha256, size, kind, n, end, taken_at in photos
    }
    paths = arrays["file_path"].tobytes().split(b"\0") if len(arrays["file_path"]) else []
    # What was kept before ctimes were has none.
    ctimes = arrays.get("file_ctime_ns", np.zeros(len(paths), np.int64))
    rows = zip(paths, arrays["file_size"], arrays["file_mtime_ns"], ctimes, arrays["file_photo"], strict=True)
    files = {
        os.fsdecode(path): AnalysedFile(int(size), int(mtime_ns), digests[int(photo)], int(ctime_ns))
        for path, size, mtime_ns, ctime_ns, photo in rows
    }
    return Analyses(files, analyses)


def _face(arrays: dict[str, NDArray[Any]], i: int) -> Face:
    sharpness, brightness, pixels, pose, score = map(float, arrays["face_quality"][i])
    norm = float(arrays["face_norm"][i])
    quality = Quality(
        sharpness=sharpness,
        brightness=brightness,
        pixels=int(pixels),
        pose=pose,
        score=score,
        tier=Tier(str(arrays["face_tier"][i])),
        norm=None if math.isnan(norm) else norm,
        covered=Covered(str(arrays["face_covered"][i])),
    )
    box: Sequence[int] = arrays["face_box"][i].tolist()
    landmarks = tuple(map(float, arrays["face_landmarks"][i]))
    return Face(Box(*box), landmarks, float(arrays["face_score"][i]), quality, arrays["face_embedding"][i])
