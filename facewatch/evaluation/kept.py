"""What the engine found, in one .npz file: plain arrays, nothing in it can run."""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facewatch import __version__
from facewatch.errors import LibraryError
from facewatch.evaluation.analyses import Seen, SeenFile
from facewatch.fs.output import written_at_once
from facewatch.types import Analysis, Box, Covered, EngineInfo, Face, Quality, Tier

if TYPE_CHECKING:
    from facewatch.indexing.analyzer import Recipe

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


def load_seen(file: Path, key: str) -> Seen:
    """Return what the file keeps; nothing when there is no such file.

    Raises:
        LibraryError: it is another kind of file, or was made by another engine or with other settings.
    """
    if not file.exists():
        return Seen()
    try:
        with file.open("rb") as source, np.load(source, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        kept_key = str(arrays["key"])
        seen = _seen(arrays) if kept_key == key else None
    except OSError as error:
        raise LibraryError(f"{file}: cannot be read: {error.strerror or error}; name another file") from error
    # What numpy says ("allow_pickle") is about arrays, and would lead nowhere.
    except (ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise LibraryError(
            f"{file}: no file that `--keep` of evaluate wrote, or a damaged one; name another file, or remove it"
        ) from error
    if seen is None:
        raise LibraryError(
            f"{file}: kept by another engine, with other settings, or by another facewatch; name another file"
        )
    return seen


def save_seen(file: Path, seen: Seen, key: str) -> None:
    """Write what was found, as a whole or not at all."""
    with written_at_once(file) as target:
        np.savez_compressed(target, allow_pickle=False, key=np.array(key), **_arrays(seen))


def _arrays(seen: Seen) -> dict[str, NDArray[Any]]:
    number = {sha256: i for i, sha256 in enumerate(seen.analyses)}
    files = {path: file for path, file in seen.files.items() if file.sha256 in number}
    photos = list(seen.analyses.values())
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


def _seen(arrays: dict[str, NDArray[Any]]) -> Seen:
    digests = [row.tobytes() for row in arrays["photo_sha256"]]
    faces = [_face(arrays, i) for i in range(len(arrays["face_score"]))]
    ends = np.cumsum(arrays["photo_faces"]).tolist()
    analyses = {
        sha256: Analysis(int(size[0]), int(size[1]), str(kind), tuple(faces[end - n : end]), str(taken_at))
        for sha256, size, kind, n, end, taken_at in zip(
            *(digests, arrays["photo_size"], arrays["photo_format"], arrays["photo_faces"].tolist(), ends),
            # What was kept before dates were read has none.
            arrays.get("photo_taken_at", np.full(len(digests), "")),
            strict=True,
        )
    }
    paths = arrays["file_path"].tobytes().split(b"\0") if len(arrays["file_path"]) else []
    files = {
        os.fsdecode(path): SeenFile(int(size), int(mtime_ns), digests[int(photo)], int(ctime_ns))
        for path, size, mtime_ns, ctime_ns, photo in zip(
            *(paths, arrays["file_size"], arrays["file_mtime_ns"]),
            # What was kept before ctimes were has none.
            arrays.get("file_ctime_ns", np.zeros(len(paths), np.int64)),
            arrays["file_photo"],
            strict=True,
        )
    }
    return Seen(files, analyses)


def _face(arrays: dict[str, NDArray[Any]], i: int) -> Face:
    sharpness, brightness, pixels, pose, score = map(float, arrays["face_quality"][i])
    norm = float(arrays["face_norm"][i])
    quality = Quality(
        *(sharpness, brightness, int(pixels), pose, score, Tier(str(arrays["face_tier"][i]))),
        norm=None if math.isnan(norm) else norm,
        covered=Covered(str(arrays["face_covered"][i])),
    )
    box: Sequence[int] = arrays["face_box"][i].tolist()
    landmarks = tuple(map(float, arrays["face_landmarks"][i]))
    return Face(Box(*box), landmarks, float(arrays["face_score"][i]), quality, arrays["face_embedding"][i])
