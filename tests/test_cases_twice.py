"""One person twice in one photo: collages, mirrors, posters, bursts side by side; and twins, who are two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from numpy.typing import NDArray
from PIL import Image

from facewatch.clustering import make_clusterer
from facewatch.clustering.twice import GAP, compare, may_be_one
from facewatch.engines import load_engine
from facewatch.engines.arcface import THRESHOLDS
from facewatch.types import Engine

Picture = Image.Image
N_DIMS = 128

# --- the cases: real photos, composed ---


@pytest.fixture(params=["face_recognition", "insightface"])
def engine(request: pytest.FixtureRequest, shared: Path) -> Engine:
    name = request.param
    return load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}" if name == "insightface" else name)


@pytest.fixture
def of(shared: Path) -> Any:
    """Return the n-th photo of somebody."""

    def picture(name: str, number: int) -> Picture:
        with Image.open(sorted((shared / "photos/lfw" / name).glob("*.jpg"))[number]) as photo:
            return photo.convert("RGB")

    return picture


def beside(*pictures: Picture) -> Picture:
    """Return a collage in one row."""
    sheet = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def scan(library: Library, engine: Engine, **photos: Picture) -> list[tuple[str, int]]:
    """Store these photos and return who is there then, with the number of their faces."""
    for name, picture in photos.items():
        picture.save(library.photos / f"{name}.jpg", quality=92)
    with library.service(engine=engine) as service:
        service.scan_all()
        assert service.catalog.faults() == []
        return sorted((p.label, p.n_faces) for p in service.catalog.people.all() if p.n_faces)


def named(library: Library, engine: Engine, who: str, name: str) -> None:
    with library.service(engine=engine) as service:
        service.rename(who, name)


def test_a_collage_beside_nine_photos_leaves_one_person(library: Library, engine: Engine, of: Any) -> None:
    """It was 8 + 3 faces."""
    singles = {f"s{i}": of("Wen_Jiabao", i) for i in range(9)}
    collage = beside(of("Wen_Jiabao", 9), of("Wen_Jiabao", 10))
    assert scan(library, engine, **singles, zz=collage) == [("Person 0001", 10)]


# --- the rule, on made vectors ---


def somebody(random: np.random.Generator, n_faces: int, *, gap: float = 0.0) -> NDArray[np.float32]:
    """Return faces around the first axis, or around a place that is `gap` from it in squares of the ceiling."""
    noise = random.normal(size=(n_faces, N_DIMS))
    noise[:, :2] = 0
    noise *= 0.8 / np.linalg.norm(noise, axis=1, keepdims=True)
    faces = noise + np.eye(N_DIMS)[0] + np.sqrt(1.64 * gap) * CEILING * np.eye(N_DIMS)[1]
    unit: NDArray[np.float32] = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)
    return unit


CEILING = THRESHOLDS.cluster
METHODS = ("whispers", "linkage", "hdbscan", "dbscan", "spectral")


def group(faces: NDArray[np.float32], photos: NDArray[np.int64], method: str) -> NDArray[np.int64]:
    clusterer = make_clusterer(method, ceiling=CEILING, doubt=THRESHOLDS.doubt, margin=THRESHOLDS.cluster_margin)
    return clusterer.fit_predict(faces, photos=photos)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n_collages", "n_singles"), [(1, 4), (1, 9), (2, 4), (3, 4), (3, 9), (6, 30)])
def test_a_few_collages_do_not_part_a_person(method: str, n_collages: int, n_singles: int) -> None:
    faces = somebody(np.random.default_rng(1), 2 * n_collages + n_singles)
    photos = np.concatenate([np.repeat(np.arange(n_collages), 2), 100 + np.arange(n_singles)])
    labels = group(faces, photos, method)
    assert labels.max() == 0
    assert set(photos[labels == 0]) == set(photos)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_together", [12, 9])
def test_twins_side_by_side_in_most_photos_are_two(method: str, n_together: int) -> None:
    random = np.random.default_rng(2)
    faces = np.concatenate([somebody(random, 12), somebody(random, 12, gap=0.25)])
    photos = np.concatenate([np.arange(12), np.where(np.arange(12) < n_together, np.arange(12), 100 + np.arange(12))])
    labels = group(faces, photos, method)
    assert set(labels[:12]).isdisjoint(labels[12:])


def test_pictures_of_one_picture_say_nothing_against_one_person() -> None:
    """Three mirror selfies and nothing else: six faces, of which each is all but equal to the other in its photo."""
    random = np.random.default_rng(3)
    faces = np.repeat(somebody(random, 3), 2, axis=0)
    faces += random.normal(size=faces.shape).astype(np.float32) * 0.01
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    labels = group(faces, np.repeat(np.arange(3), 2), "whispers")
    assert sorted(labels.tolist()) == [-1, -1, -1, 0, 0, 0]


def test_what_is_asked_for_grows_with_the_common_photos() -> None:
    def limit(size: int, other: int, n_common: int) -> float:
        gaps = np.arange(0, 0.4, 0.001)
        sizes = [np.full(len(gaps), n) for n in (size, other, n_common)]
        accepted = gaps[may_be_one(gaps, *sizes)]
        return float(accepted.max(initial=-1.0))

    assert limit(20, 20, 0) == pytest.approx(GAP, abs=0.002)
    assert [limit(20, 20, n) for n in (1, 4, 8)] == sorted([limit(20, 20, n) for n in (1, 4, 8)], reverse=True)
    assert limit(20, 20, 14) < 0  # side by side in more than half of their photos
    assert limit(7, 3, 3) > limit(20, 20, 12)


def test_halves_of_one_person_have_no_gap_and_two_people_have() -> None:
    random = np.random.default_rng(4)
    faces, photos = np.concatenate([somebody(random, 60), somebody(random, 60, gap=1.0)]), np.arange(120)
    thirds = [np.arange(30), np.arange(30, 60), np.arange(60, 120)]
    assert abs(compare(faces, photos, thirds[0], thirds[1], CEILING).gap) < 0.02
    assert compare(faces, photos, thirds[0], thirds[2], CEILING).gap > 1.5 * GAP
