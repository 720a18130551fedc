"""What a face may do follows from how good it is: real faces made worse step by step, for both engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facewatch.config import load_config
from facewatch.decode import decode
from facewatch.engines import fake, load_engine
from facewatch.quality import Limits, even_sharpness_of, measure, pose_of, sharpness_of
from facewatch.types import DetectedFace, Engine, Quality, Tier

LANDMARKS = np.array([(38, 52), (74, 52), (56, 72), (42, 92), (71, 92)], np.float32)
"""A face that looks into the camera."""

ORDER = [Tier.ENROLL, Tier.MATCH, Tier.SHOW]

GOOD = ("album/matches/00000063.jpg", "album/family/Family1-Dad1.jpg", "lfw/Hugh_Grant/Hugh_Grant_0001.jpg")
"""One face each, large, sharp and well lit; photos of three kinds."""
TURNED = (
    tuple(f"lfw/Hugh_Grant/Hugh_Grant_{i:04}.jpg" for i in (1, 5, 7)),
    tuple(f"lfw/Christine_Todd_Whitman/Christine_Todd_Whitman_{i:04}.jpg" for i in (4, 5, 2)),
    tuple(f"album/matches/000000{i}.jpg" for i in (63, 59, 69)),
)
"""One person each: into the camera, half turned, in profile."""


def face(crop: NDArray[np.uint8], score: float = 1.0) -> DetectedFace:
    return DetectedFace((0, 0, 64, 64), LANDMARKS, score, crop, fake.embedding_of(1, 0))


def sharp_crop() -> NDArray[np.uint8]:
    return fake._face(0, 0, 1, 0).crop


# --- what is measured ---


def test_a_flat_picture_has_no_sharpness() -> None:
    flat = np.full((112, 112), 128, np.float32)
    assert sharpness_of(flat) == even_sharpness_of(flat) == 0


def test_a_single_bright_pixel_gives_the_variance_of_the_laplacian() -> None:
    picture = np.zeros((5, 5), np.float32)
    picture[2, 2] = 1
    laplacian = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    assert sharpness_of(picture) == pytest.approx(laplacian.var())


def test_the_steps_of_whole_grey_values_are_no_sharpness() -> None:
    ramp = np.linspace(100, 110, 112)[None].repeat(112, 0).round().astype(np.float32)
    assert sharpness_of(ramp) > 0
    assert even_sharpness_of(ramp) == 0


def test_contrast_and_light_change_no_sharpness() -> None:
    picture = np.random.default_rng(0).uniform(0, 200, (112, 112)).astype(np.float32)
    assert even_sharpness_of(picture * 0.3 + 20) == pytest.approx(even_sharpness_of(picture), rel=0.01)


@pytest.mark.parametrize("degrees", [0, 30, 180])
def test_a_tilted_head_is_no_turned_one(degrees: float) -> None:
    angle = np.radians(degrees)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    assert pose_of((LANDMARKS @ turn).astype(np.float32)) == pytest.approx(pose_of(LANDMARKS), abs=1e-5)


def test_eyes_in_one_place_are_a_profile() -> None:
    assert pose_of(np.zeros((5, 2), np.float32)) == 1


# --- what a face may do ---


@pytest.mark.parametrize(("pixels", "tier"), [(100, Tier.ENROLL), (25, Tier.MATCH), (15, Tier.SHOW)])
def test_small_faces_may_do_less(pixels: int, tier: Tier) -> None:
    assert measure(face(sharp_crop()), pixels=pixels, limits=Limits()).tier is tier


def test_a_face_that_the_detector_doubts_founds_nobody() -> None:
    assert measure(face(sharp_crop(), score=0.1), pixels=100, limits=Limits(enroll_score=0.2)).tier is Tier.MATCH


def test_a_face_below_the_wanted_confidence_is_only_shown() -> None:
    assert measure(face(sharp_crop(), score=0.1), pixels=100, limits=Limits(match_score=0.2)).tier is Tier.SHOW


@pytest.mark.parametrize("scale", [0.01, 0.0])
def test_a_face_in_the_dark_is_only_shown(scale: float) -> None:
    dark = (sharp_crop() * scale).astype(np.uint8)
    assert measure(face(dark), pixels=100, limits=Limits()).tier is Tier.SHOW


def test_the_score_lies_between_0_and_1() -> None:
    for crop in (np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8), sharp_crop()):
        for pixels in (1, 1000):
            for score in (-1.0, 0.0, 5.0):
                limits = Limits(enroll_score=0.2)
                assert 0 <= measure(face(crop, score), pixels=pixels, limits=limits).score <= 1


def test_the_settings_and_the_limits_name_the_same_defaults(tmp_path: Path) -> None:
    config, limits = load_config(None, {}, cwd=tmp_path), Limits()
    assert config["match.min_face_pixels"] == 0, "the engine's own"
    assert config["match.min_sharpness"] == 0, "the engine's own"
    assert config["match.min_face_confidence"] == limits.match_score


# --- real faces, made worse ---


@dataclass(frozen=True, slots=True)
class Eyes:
    """A real engine and what its faces are measured by."""

    engine: Engine
    photos: Path

    @property
    def limits(self) -> Limits:
        return Limits.of(self.engine.info)

    def face_of(self, path: str) -> DetectedFace:
        """Return the face in the middle of a photo."""
        with (self.photos / path).open("rb") as file:
            pixels = decode(file).pixels
        middle = pixels.shape[1] / 2
        return min(self.engine.analyse(pixels), key=lambda face: abs(face.box[0] + face.box[2] / 2 - middle))

    def measure(self, face: DetectedFace, pixels: int = 100) -> Quality:
        return measure(face, pixels=pixels, limits=self.limits)


@pytest.fixture(scope="module", params=["face_recognition", "insightface"])
def eyes(request: pytest.FixtureRequest, shared: Path) -> Eyes:
    name = request.param if request.param == "face_recognition" else f"insightface:{shared / 'models/buffalo_sc_dq'}"
    return Eyes(load_engine(name), shared / "photos")


def blurred(crop: Image.Image, sigma: float) -> Image.Image:
    """Blurred with so many pixels of 112."""
    return crop.filter(ImageFilter.GaussianBlur(sigma * crop.width / 112))


def shrunk(crop: Image.Image, side: float) -> Image.Image:
    """As if cut from a photo in which it has so many pixels."""
    return crop.resize((round(side), round(side)), Image.Resampling.BOX).resize(crop.size, Image.Resampling.BILINEAR)


def darkened(crop: Image.Image, share: float) -> Image.Image:
    return crop.point(lambda value: round(value * share))


def glaring(crop: Image.Image, share: float) -> Image.Image:
    return crop.point(lambda value: round(255 - (255 - value) * share))


STEPS: dict[str, tuple[Callable[[Image.Image, float], Image.Image], list[float]]] = {
    "blur": (blurred, [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 6, 8]),
    "darkness": (darkened, [1, 0.7, 0.4, 0.25, 0.18, 0.12, 0.09, 0.06, 0.03, 0]),
    "glare": (glaring, [1, 0.7, 0.5, 0.3, 0.2, 0.15, 0.12, 0.09, 0.06, 0.03, 0]),
    "size": (shrunk, [100, 70, 50, 40, 32, 26, 22, 18, 14, 10]),
}


def assert_ever_fewer_rights(qualities: list[Quality]) -> None:
    ranks, scores = [ORDER.index(quality.tier) for quality in qualities], [quality.score for quality in qualities]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}, "each tier is there"
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > len(scores) // 2


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("cause", STEPS)
def test_a_real_face_made_worse_step_by_step_loses_its_rights_one_by_one(eyes: Eyes, cause: str, path: str) -> None:
    found = eyes.face_of(path)
    make_worse, amounts = STEPS[cause]
    # Light brings a dark face nearer to the middle first, and that is not worse.
    crop = Image.fromarray(_with_mean(found.crop, 127))
    worse = [replace(found, crop=np.asarray(make_worse(crop, amount))) for amount in amounts]
    pixels = [int(amount) if cause == "size" else 100 for amount in amounts]
    assert_ever_fewer_rights([eyes.measure(each, n) for each, n in zip(worse, pixels, strict=True)])


def _with_mean(crop: NDArray[np.uint8], mean: float) -> NDArray[np.uint8]:
    return (crop * (mean / float(crop.mean()))).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD)
def test_the_less_the_detector_is_sure_of_a_real_face_the_less_it_may_do(eyes: Eyes, path: str) -> None:
    found, sure = eyes.face_of(path), eyes.engine.info.sure_score
    limits = Limits(enroll_score=sure, match_score=sure / 2)
    scores = [max(found.score, sure * 1.3), sure * 1.2, sure, sure * 0.9, sure / 2, sure / 3, 0.0]
    assert_ever_fewer_rights([measure(replace(found, score=s), pixels=100, limits=limits) for s in scores])


@pytest.mark.slow
@pytest.mark.parametrize("paths", TURNED)
def test_a_real_face_that_turns_away_has_more_pose_and_less_score(eyes: Eyes, paths: tuple[str, ...]) -> None:
    turned = [eyes.measure(eyes.face_of(path)) for path in paths]
    assert [quality.pose < 0.15 for quality in turned] == [True, False, False]
    assert 0.3 < turned[1].pose < 0.75 < turned[2].pose
    front = eyes.face_of(paths[0])
    seen = [eyes.measure(replace(front, landmarks=eyes.face_of(path).landmarks)) for path in paths]
    assert seen[0].score > seen[1].score > seen[2].score
    assert {quality.tier for quality in seen} == {Tier.ENROLL}, "a profile attracts nobody"


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD)
def test_less_light_alone_takes_no_sharpness_away(eyes: Eyes, path: str) -> None:
    found = eyes.face_of(path)
    dimmed = replace(found, crop=np.asarray(darkened(Image.fromarray(found.crop), 0.35)))
    assert eyes.measure(dimmed).sharpness == pytest.approx(eyes.measure(found).sharpness, rel=0.15)
    assert eyes.measure(dimmed).tier is Tier.ENROLL


@pytest.mark.slow
def test_a_photo_with_fewer_pixels_has_faces_that_may_do_less(eyes: Eyes) -> None:
    with (eyes.photos / GOOD[1]).open("rb") as file:
        photo = Image.fromarray(decode(file).pixels)
    tiers = []
    for share in (1, 0.5, 0.25, 0.15, 0.1):
        small = photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.BOX)
        # The detectors see no smaller faces in small photos than in large ones; it lies in the corner of a larger one.
        canvas = Image.new("RGB", photo.size, "grey")
        canvas.paste(small)
        faces = eyes.engine.analyse(np.asarray(canvas))
        tiers += [eyes.measure(each, pixels=round(min(each.box[2:]))).tier for each in faces[:1]]
    assert tiers[0] is Tier.ENROLL
    assert [ORDER.index(tier) for tier in tiers] == sorted(ORDER.index(tier) for tier in tiers)


@pytest.mark.slow
def test_the_blurred_and_the_dark_copy_of_a_photo_have_a_lower_score(eyes: Eyes) -> None:
    good, *worse = (eyes.measure(eyes.face_of(f"odd/derived/face_{name}.jpg")) for name in ("baseline", "blur", "dark"))
    assert all(quality.score < good.score for quality in worse)
