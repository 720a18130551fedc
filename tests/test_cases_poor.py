"""Faces in bad light, poor and covered ones: what is made of them, and what they may do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import spoiled
from numpy.typing import NDArray
from PIL import Image

from facewatch.decode import decode
from facewatch.engines import load_engine
from facewatch.engines.stretching import HIGH, LEAST_RANGE, LOW, levels_of, stretched

GOOD = ("lfw/Hugh_Grant/Hugh_Grant_0001.jpg", "album/family/Family1-Dad1.jpg", "album/matches/00000063.jpg")


def ramp(low: float, high: float, side: int = 112) -> NDArray[np.uint8]:
    """One crop whose grey values run from one to the other, a little redder than blue."""
    grey = np.linspace(low, high, side)[None].repeat(side, 0)
    return (grey[..., None] + np.array([4, 0, -4])).round().clip(0, 255).astype(np.uint8)[None]


# --- dark and flat crops ---


def test_a_flat_crop_is_stretched_to_ordinary_light_and_an_ordinary_one_stays_as_it_is() -> None:
    good, flat = ramp(20, 230), ramp(100, 130)
    assert stretched(good) is good
    low, high = levels_of(stretched(flat))[0]
    assert (low, high) == (pytest.approx(LOW, abs=6), pytest.approx(HIGH, abs=6))


def test_each_crop_of_a_batch_is_judged_alone() -> None:
    both = np.concatenate([ramp(20, 230), ramp(100, 130)])
    assert np.array_equal(stretched(both), np.concatenate([stretched(both[:1]), stretched(both[1:])]))
    assert np.array_equal(both, np.concatenate([ramp(20, 230), ramp(100, 130)])), "what was given is not written to"


def test_stretching_keeps_the_balance_of_colours() -> None:
    red, green, blue = stretched(ramp(100, 130))[0, 56, 56].astype(int)
    gain = (HIGH - LOW) / 18
    assert (red - green, green - blue) == (pytest.approx(4 * gain, abs=4), pytest.approx(4 * gain, abs=4))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_crop_of_one_level_stays_one_level(level: int) -> None:
    assert np.ptp(stretched(np.full((1, 112, 112, 3), level, np.uint8))) == 0


def test_no_crops_are_an_ordinary_input() -> None:
    assert stretched(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 112, 112, 3)


@pytest.mark.parametrize("edge", ["window behind", "end of the photo"])
def test_what_lies_around_a_dark_face_does_not_hide_that_it_is_dark(edge: str) -> None:
    crop = ramp(10, 40)
    crop[:, :, :20] = 255 if edge == "window behind" else 0
    low, high = levels_of(crop)[0]
    assert high - low < LEAST_RANGE
    assert np.ptp(stretched(crop)[0, 30:80, 30:80]) > 80


class Looks:
    """A real engine and a few good faces as it aligned them."""

    def __init__(self, name: str, shared: Path) -> None:
        engine = load_engine(name)
        assert isinstance(engine, spoiled.Embedder)
        self.engine = engine
        self.is_arcface = name != "face_recognition"
        self.faces = [engine.analyse(_open(shared / "photos" / path))[0] for path in GOOD]
        self.crops = np.array([face.crop for face in self.faces])

    def nearness(self, spoil: spoiled.Spoil) -> float:
        """Return the least cosine of the faces, spoiled, to themselves as they were."""
        worse = self.engine.embed(stretched(spoiled.spoil_all(self.crops, spoil)))
        return float((worse * np.array([face.embedding for face in self.faces])).sum(1).min())


def _open(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as file:
        return decode(file).pixels


@pytest.fixture(scope="module", params=["face_recognition", "insightface"])
def looks(request: pytest.FixtureRequest, shared: Path) -> Looks:
    name = request.param if request.param == "face_recognition" else f"insightface:{shared / 'models/buffalo_sc_dq'}"
    return Looks(name, shared)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("light", "least"),
    [
        *[("light x1/8", 0.97), ("light x1/16", 0.94), ("contrast x0.2", 0.97), ("contrast x0.1", 0.96)],
        *[("light x1/4, contrast x0.25", 0.93), ("grey, light x1/16", 0.8), ("backlit, light x1/12", 0.75)],
    ],
)
def test_a_dark_or_flat_face_is_as_near_to_itself_as_a_good_one(looks: Looks, light: str, least: float) -> None:
    # Strangers have a cosine of 0.84 in standard mode, which leaves a sixth of the room.
    assert looks.nearness(spoiled.LIGHTS[light]) > (least if looks.is_arcface else 1 - (1 - least) / 6)


@pytest.mark.slow
def test_a_dark_photo_has_the_same_faces_as_the_good_one(looks: Looks, shared: Path) -> None:
    photo = Image.fromarray(_open(shared / "photos" / GOOD[0]))
    dark = looks.engine.analyse(np.asarray(spoiled.flattened(photo, 0.15)))[0]
    assert dark.embedding @ looks.faces[0].embedding > 0.9
    assert np.ptp(dark.crop) < 100, "the crop that is measured and shown stays as the photo has it"


@pytest.mark.slow
def test_crops_that_need_no_detection_are_stretched_as_well(looks: Looks) -> None:
    crops = [np.asarray(spoiled.flattened(Image.fromarray(crop), share)) for crop in looks.crops for share in (1, 0.1)]
    faces = looks.engine.analyse_aligned(crops)
    assert min(good.embedding @ flat.embedding for good, flat in zip(faces[::2], faces[1::2], strict=True)) > 0.9
