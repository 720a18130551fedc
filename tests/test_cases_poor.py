"""Faces in bad light, poor and covered ones: what is made of them, and what they may do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spoiled
import spoiled_covers
from numpy.typing import NDArray
from PIL import Image

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.config import load_config
from facewatch.decode import decode
from facewatch.engines import arcface, fake, load_engine, standard
from facewatch.engines.preprocessing import HIGH, LEAST_RANGE, LOW, levels_of, stretched
from facewatch.matching import Gallery
from facewatch.presentation.explain import shortfall_text
from facewatch.quality import Limits, covered_of, measure, shortfalls
from facewatch.types import Analysis, Box, Covered, DetectedFace, Face, Quality, Tier

GOOD = ("lfw/Hugh_Grant/Hugh_Grant_0001.jpg", "album/family/Family1-Dad1.jpg", "album/matches/00000063.jpg")

OTHERS = tuple(f"lfw/{name}/{name}_0001.jpg" for name in ("Carla_Tricoli", "Lisa_Ling", "Erskine_Bowles"))


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
        self.faces = [engine.analyse(_open(shared / "photos" / path))[0] for path in (*GOOD, *OTHERS)]
        self.crops = np.array([face.crop for face in self.faces])

    def nearness(self, spoil: spoiled.Spoil) -> float:
        """Return the least cosine of the faces, spoiled, to themselves as they were."""
        worse = self.engine.embed(stretched(spoiled.spoil_all(self.crops, spoil)))
        return float((worse * np.array([face.embedding for face in self.faces])).sum(1).min())

    def tiers(self, crops: NDArray[np.uint8], pixels: int = 100) -> list[Tier]:
        """Return what the faces may do when these are their crops."""
        vectors, norms = spoiled.embedded(self.engine, stretched(crops))
        faces = [
            replace(face, crop=crop, embedding=vector, norm=norm)
            for face, crop, vector, norm in zip(self.faces, crops, vectors, norms, strict=True)
        ]
        limits = Limits.of(self.engine.info)
        return [measure(face, pixels=pixels, limits=limits).tier for face in faces]

    def covered(self, cover: str) -> NDArray[np.uint8]:
        template = (arcface if self.is_arcface else standard).TEMPLATE
        return np.array([spoiled_covers.covered(crop, template, cover, row) for row, crop in enumerate(self.crops)])


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


# --- what poor faces may do ---


@pytest.mark.slow
def test_a_face_in_a_sixteenth_of_the_light_may_still_be_matched(looks: Looks) -> None:
    assert Tier.SHOW not in looks.tiers(spoiled.spoil_all(looks.crops, spoiled.LIGHTS["light x1/16"]))


@pytest.mark.slow
def test_good_faces_found_people_and_how_few_pixels_that_takes_depends_on_the_engine(looks: Looks) -> None:
    tiers = {pixels: set(looks.tiers(looks.crops, pixels)) for pixels in (100, 32, 24, 16)}
    assert tiers[100] == tiers[32] == {Tier.ENROLL}
    assert tiers[24] == ({Tier.ENROLL} if looks.is_arcface else {Tier.MATCH})
    assert tiers[16] == ({Tier.MATCH} if looks.is_arcface else {Tier.SHOW})


@pytest.mark.slow
@pytest.mark.parametrize("poor", ["blurred by 5", "noise 50"])
def test_badly_blurred_and_noisy_faces_found_nobody(looks: Looks, poor: str) -> None:
    assert Tier.ENROLL not in looks.tiers(spoiled.spoil_all(looks.crops, spoiled.POOR[poor]))


@pytest.mark.slow
def test_the_length_of_a_vector_is_told_where_it_says_something(looks: Looks) -> None:
    norms = [face.norm for face in looks.faces]
    assert all(norm is not None and norm > 17 for norm in norms) if looks.is_arcface else norms == [None] * len(norms)


def test_a_short_vector_founds_nobody() -> None:
    limits = Limits(replace(Limits().needs, enroll_norm=17))
    assert [_tier(norm=norm, limits=limits) for norm in (None, 17.0, 16.9)] == [Tier.ENROLL, Tier.ENROLL, Tier.MATCH]


def test_an_engine_that_says_nothing_by_length_asks_for_none() -> None:
    needs = replace(standard.NEEDS, most_sharpness=math.inf)
    assert _tier(norm=1.0, limits=Limits.of(replace(fake.INFO, needs=needs))) is Tier.ENROLL


def _tier(*, norm: float | None, limits: Limits) -> Tier:
    return measure(replace(_square(), norm=norm), pixels=100, limits=limits).tier


def _square() -> DetectedFace:
    """A face of the best tier."""
    return fake.FakeEngine().analyse(fake.draw([(1, 0)]))[0]


# --- two poor faces ---

GOOD_ONE, POOR_ONE = 1, 2


def gallery(*, with_good: bool) -> Gallery:
    """Somebody whose poor face a user placed, and who has a good one, too, or not."""
    known = Gallery(3, fake.INFO.thresholds)
    if with_good:
        known.add(7, _unit(0.0), 0.9, face_id=GOOD_ONE)
    known.add(7, _unit(0.25), 0.0, face_id=POOR_ONE, is_confirmed=True)
    return known


def _unit(angle: float) -> NDArray[np.float32]:
    return np.array([np.cos(angle), np.sin(angle), 0], np.float32)


@pytest.mark.parametrize("tier", [Tier.ENROLL, Tier.MATCH])
def test_a_poor_face_that_a_user_placed_is_compared_with_good_faces_only(tier: Tier) -> None:
    match = gallery(with_good=False).identify(_unit(0.25), tier)
    assert match is not None
    assert match.is_accepted == (tier is Tier.ENROLL)
    if tier is Tier.MATCH:
        assert "two poor faces prove nothing" in match.rule


def test_a_poor_face_that_is_near_the_poor_one_of_somebody_is_judged_by_the_good_ones() -> None:
    known, poor = gallery(with_good=True), _unit(0.3)
    assert (good := known.identify(poor)) is not None
    assert good.is_accepted
    assert known.rank(poor, 1)[0].nearest_id == POOR_ONE
    assert (match := known.identify(poor, Tier.MATCH)) is not None
    assert not match.is_accepted
    assert known.rank(poor, 1, Tier.MATCH)[0].nearest_id == GOOD_ONE


def test_a_poor_face_near_a_good_one_is_matched() -> None:
    match = gallery(with_good=True).identify(_unit(0.05), Tier.MATCH)
    assert match is not None
    assert match.is_accepted


# --- covered faces ---

HIDING = [
    *("sunglasses and mask, all alike", "sunglasses and mask", "sunglasses and mask, cloth"),
    "hands on eyes and mouth",
]


@pytest.mark.slow
@pytest.mark.parametrize("cover", HIDING)
def test_a_face_of_which_eyes_and_mouth_are_covered_founds_nobody(looks: Looks, cover: str) -> None:
    assert set(looks.tiers(looks.covered(cover))) == {Tier.MATCH}


@pytest.mark.slow
@pytest.mark.parametrize("cover", ["sunglasses, all alike", "masks, all alike"])
def test_one_cover_leaves_a_good_face_what_the_engine_can_tell_it_by(looks: Looks, cover: str) -> None:
    tiers = looks.tiers(looks.covered(cover))
    may_found = looks.is_arcface or cover.startswith("sunglasses")
    assert tiers.count(Tier.ENROLL) >= 4 if may_found else set(tiers) == {Tier.MATCH}


@pytest.mark.slow
def test_covered_faces_of_different_people_found_no_group_with_two_people(shared: Path) -> None:
    engine = load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}")
    folders = sorted((shared / "photos" / "lfw").iterdir())[::30]
    people, vectors = [], []
    for person, folder in enumerate(folders):
        pixels = _open(sorted(folder.iterdir())[0])
        landmarks = engine.analyse(pixels)[0].landmarks
        hidden = spoiled_covers.covered(pixels, landmarks, HIDING[0], person)
        for face in engine.analyse(hidden)[:1]:
            tier = measure(face, pixels=round(min(face.box[2:])), limits=Limits.of(engine.info)).tier
            vectors += [face.embedding] if tier is Tier.ENROLL else []
            people += [person] if tier is Tier.ENROLL else []
    assert len(people) <= len(folders) // 10
    assert not spoiled.mixed_groups(np.array(vectors), np.array(people), engine.info)


@pytest.mark.parametrize("level", [0, 128])
def test_nothing_is_said_to_cover_a_face_of_which_nothing_is_seen(level: int) -> None:
    assert covered_of(np.full((112, 112), level, np.float32), arcface.TEMPLATE) is Covered.NOTHING


# --- what is kept and told ---


def test_the_limits_are_those_of_the_engine_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    for pixels, least in ((0, fake.INFO.needs.match_pixels), (50, 50)):
        places = {"library.catalog": str(tmp_path / "c.sqlite"), "library.people": str(tmp_path / "People")}
        config = load_config(None, {**places, "match.min_face_pixels": pixels}, cwd=tmp_path)
        with App(config) as app:
            assert app.engine.limits_of(replace(fake.INFO)).needs.match_pixels == least


def test_length_and_cover_of_a_face_are_on_record_for_each_engine(tmp_path: Path) -> None:
    now = "2026-01-01T00:00:00+00:00"
    hidden = Quality(100.0, 128.0, 64, 0.1, 0.8, Tier.MATCH, norm=15.5, covered=Covered.BOTH)
    with Catalog(tmp_path / "c.sqlite", now=lambda: now) as catalog, catalog.write():
        one, other = (catalog.engines.add(replace(fake.INFO, fingerprint=name), now) for name in ("one", "other"))
        photo = catalog.photos.add(b"a" * 32, (640, 480), "PNG", now)
        plain = replace(hidden, tier=Tier.ENROLL, norm=None, covered=Covered.NOTHING)
        for engine, quality, earlier in ((one, hidden, {}), (other, plain, {0: 1})):
            face = Face(Box(0, 0, 64, 64), (0.0,) * 10, 1.0, quality, fake.embedding_of(1, 0))
            catalog.faces.add_analysis(photo, engine, Analysis(640, 480, "PNG", (face,)), now, earlier=earlier)
        for engine, norm, covered in ((one, 15.5, "eyes and mouth"), (other, None, ""), (one, 15.5, "eyes and mouth")):
            catalog.engines.use(engine)
            [row] = catalog.faces.in_photo(photo)
            assert (row["norm"], row["covered"]) == (norm, covered)


def test_why_tells_what_hides_a_face_and_that_too_little_tells_it_apart() -> None:
    face = {
        **{"w": 90, "h": 90, "brightness": 120.0, "sharpness": 100.0, "score": 1.0},
        **{"turn": 0, "norm": 17.5, "covered": Covered.MOUTH.value},
    }
    told = [shortfall_text(short) for short in shortfalls(face, Limits.of(replace(fake.INFO, needs=arcface.NEEDS)))]
    assert told == ["too little in it tells it from other faces"]
    told = [shortfall_text(short) for short in shortfalls(face, Limits.of(replace(fake.INFO, needs=standard.NEEDS)))]
    assert told == ["mouth covered"]
    assert not list(
        shortfalls({**face, "norm": None, "covered": None}, Limits(replace(Limits().needs, enroll_norm=17)))
    )
