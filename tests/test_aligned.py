"""Libraries of face crops: nothing is detected, every photo is one face, and whole batches go to the recogniser."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from numpy.typing import NDArray
from PIL import Image

from facewatch.cli import main
from facewatch.engines import fake, load_engine
from facewatch.errors import ConfigError, Fault, FaultCode, LibraryError, PhotoError
from facewatch.indexing.analyzer import Analyzer, LibraryFile, Recipe
from facewatch.indexing.indexer import ALIGNED_BATCH
from facewatch.types import DetectedFace, Fingerprint


class Batches(fake.FakeEngine):
    """Remembers how many crops came at once; never asked to detect anything."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def analyse(self, pixels: Any, **closer: Any) -> list[DetectedFace]:
        raise AssertionError("nothing is to be detected in a crop")

    def analyse_aligned(self, crops: Sequence[NDArray[np.uint8]]) -> list[DetectedFace]:
        self.sizes.append(len(crops))
        return [_of_whole(face, crop) for face, crop in zip(super().analyse_aligned(crops), crops, strict=True)]


def _of_whole(face: DetectedFace, crop: NDArray[np.uint8]) -> DetectedFace:
    return dataclasses.replace(face, box=(0, 0, crop.shape[1], crop.shape[0]))


def crop(library: Library, name: str, person: int, look: int) -> Path:
    path = library.photos / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (112, 112), (person, look, 7)).save(path)
    os.utime(path, (time.time() - 3600,) * 2)
    return path


def scan(library: Library, engine: fake.FakeEngine, *, is_aligned: bool = True) -> Any:
    with library.app({"library.aligned": [str(library.photos)] if is_aligned else []}, engine=engine) as app:
        return app.pipeline.scan()


def test_every_crop_is_one_face_and_people_are_found(library: Library) -> None:
    for look in range(5):
        crop(library, f"a{look}.png", 1, look)
        crop(library, f"b{look}.png", 2, look)
    result = scan(library, Batches())
    assert (result.files.n_new, result.faces.n_faces, result.faces.n_new_people) == (10, 10, 2)
    assert library.groups() == [{f"a{i}.png" for i in range(5)}, {f"b{i}.png" for i in range(5)}]


def test_batches_go_to_the_recogniser_and_their_size_changes_nothing(library: Library) -> None:
    n_crops = 2 * ALIGNED_BATCH + 5
    for look in range(n_crops):
        crop(library, f"{look:03}.png", 1, look)
    engine = Batches()
    scan(library, engine)
    assert sum(engine.sizes) == n_crops
    assert max(engine.sizes) > 1
    assert library.groups() == [{f"{look:03}.png" for look in range(n_crops)}]


def test_it_is_remembered_that_a_library_is_aligned(library: Library) -> None:
    crop(library, "a.png", 1, 0)
    scan(library, Batches())
    crop(library, "b.png", 1, 1)
    assert scan(library, Batches(), is_aligned=False).faces.n_faces == 1


def test_an_ordinary_library_does_not_become_one_of_crops(library: Library) -> None:
    library.draw("both.png", (1, 0), (2, 0))
    library.scan()
    with pytest.raises(LibraryError, match="has been scanned as ordinary photos"):
        scan(library, Batches())
    assert library.scan().files.n_faulty == 0


def test_status_names_the_libraries_of_crops_until_they_are_none(library: Library) -> None:
    crop(library, "a.png", 1, 0)
    scan(library, Batches())
    with library.app() as app:
        assert app.status().paths.aligned == [str(library.photos)]
        app.libraries.forget_aligned([library.photos])
        assert app.status().paths.aligned == []


def test_a_crop_library_that_is_no_library_is_refused(library: Library, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is none of the libraries"):
        library.app({"library.aligned": [str(tmp_path / "nope")]})


def test_a_bad_crop_costs_only_itself(library: Library) -> None:
    for look in range(3):
        crop(library, f"{look}.png", 1, look)
    (library.photos / "bad.png").write_bytes((library.photos / "1.png").read_bytes()[:60])
    result = scan(library, Batches())
    assert (result.files.n_new, result.files.n_faulty) == (3, 1)


def test_a_crop_that_the_recogniser_chokes_on_costs_only_itself(library: Library) -> None:
    class Choking(Batches):
        def analyse_aligned(self, crops: Sequence[NDArray[np.uint8]]) -> list[DetectedFace]:
            if any(crop[0, 0, 0] == 66 for crop in crops):
                raise PhotoError(Fault.of(FaultCode.NO_EMBEDDING, "it", reason=""))
            return super().analyse_aligned(crops)

    for look in range(3):
        crop(library, f"{look}.png", 1, look)
    crop(library, "odd.png", 66, 0)
    result = scan(library, Choking())
    assert (result.files.n_new, result.files.n_faulty) == (3, 1)


def test_a_file_that_changed_since_it_was_examined_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64), (1, 0, 7)).save(path)
    stale = dataclasses.replace(Fingerprint.of(path.stat()), size=1)
    assert Analyzer(Recipe("fake"), Batches()).analyse_aligned([(LibraryFile(str(path.parent), path.name), stale)]) == [
        None
    ]


def test_aligned_without_a_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--aligned"]) == 2
    assert "name the folders of face crops" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["face_recognition", "insightface"])
def test_real_crops_find_their_people(shared: Path, name: str) -> None:
    """Aligned faces of three people, as the engine itself cuts them: each is nearest to another of its own person."""
    engine = load_engine(name if name == "face_recognition" else f"insightface:{shared / 'models/buffalo_sc_dq'}")
    folders = sorted((shared / "photos/lfw").iterdir())
    people = [folder for folder in folders if len(list(folder.iterdir())) >= 6][:3]
    crops, labels = [], []
    for label, folder in enumerate(people):
        for path in sorted(folder.rglob("*.jpg"))[:6]:
            found = engine.analyse(np.asarray(Image.open(path).convert("RGB")))
            crops += [face.crop for face in found[:1]]
            labels += [label] * len(found[:1])
    vectors = np.stack([face.embedding for face in engine.analyse_aligned(crops)])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    assert len(set(labels)) == 3
    assert [labels[i] for i in near.argmax(axis=1)] == labels
