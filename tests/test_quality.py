"""What a face may do follows from how good it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facewatch.engines import fake, load_engine
from facewatch.quality import Limits, measure, sharpness_of
from facewatch.types import DetectedFace, Tier

LANDMARKS = np.array([(38, 52), (74, 52), (56, 72), (42, 92), (71, 92)], np.float32)
"""A face that looks into the camera."""


def face(crop: NDArray[np.uint8], score: float = 1.0) -> DetectedFace:
    return DetectedFace((0, 0, 64, 64), LANDMARKS, score, crop, fake.embedding_of(1, 0))


def test_a_flat_picture_has_no_sharpness() -> None:
    assert sharpness_of(np.full((112, 112), 128, np.float32)) == 0


def test_a_single_bright_pixel_gives_the_variance_of_the_laplacian() -> None:
    picture = np.zeros((5, 5), np.float32)
    picture[2, 2] = 1
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    assert sharpness_of(picture) == pytest.approx(laplacian.var())


@pytest.mark.slow
def test_a_real_face_made_worse_step_by_step_loses_its_rights_one_by_one(shared: Path) -> None:
    engine = load_engine("face_recognition")
    photo = Image.open(shared / "photos/odd/derived/face_baseline.jpg").convert("RGB")
    [found] = engine.analyse(np.asarray(photo))
    crop = Image.fromarray(found.crop)
    blurred = [np.asarray(crop.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 2, 3, 4, 6)]
    measured = [measure(face(each), pixels=120, limits=Limits()) for each in blurred]
    tiers = [quality.tier for quality in measured]
    order = [Tier.FOUND, Tier.MATCH, Tier.SHOW]
    assert tiers[0] is Tier.FOUND
    assert tiers[-1] is Tier.SHOW
    assert [order.index(tier) for tier in tiers] == sorted(order.index(tier) for tier in tiers)
    scores = [quality.score for quality in measured]
    assert scores == sorted(scores, reverse=True)


def sharp_crop() -> NDArray[np.uint8]:
    return fake._face(0, 0, 1, 0).crop


@pytest.mark.parametrize(("pixels", "tier"), [(100, Tier.FOUND), (40, Tier.MATCH), (20, Tier.SHOW)])
def test_small_faces_may_do_less(pixels: int, tier: Tier) -> None:
    assert measure(face(sharp_crop()), pixels=pixels, limits=Limits()).tier is tier


def test_a_face_that_the_detector_doubts_founds_nobody() -> None:
    assert measure(face(sharp_crop(), score=0.1), pixels=100, limits=Limits(found_score=0.2)).tier is Tier.MATCH


@pytest.mark.parametrize("scale", [0.05, 0.0])
def test_a_face_in_the_dark_is_only_shown(scale: float) -> None:
    dark = (sharp_crop() * scale).astype(np.uint8)
    assert measure(face(dark), pixels=100, limits=Limits()).tier is Tier.SHOW


def test_the_score_lies_between_0_and_1() -> None:
    for crop in (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8), sharp_crop()):
        for pixels in (1, 1000):
            assert 0 <= measure(face(crop), pixels=pixels, limits=Limits()).score <= 1
