"""The quality of a face: whether it may enrol, be matched, or only be shown.

Measured on the labelled faces of shared/photos: 320 of them, each blurred, shrunk, darkened, brightened and saved badly
in 18 ways, and embedded again by both engines, first face_recognition (dlib), then insightface (w600k_mbf). A face is
recognised when a gallery of all other labelled faces accepts it as its person.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.types import Covered, DetectedFace, EngineInfo, Needs, Quality, Tier

if TYPE_CHECKING:
    from facewatch.types import Floats, Pixels

_CROP_SIDE = 112
_CONTRAST = 50.0
"""Standard deviation of the grey values that sharpness is given for: the median of the labelled faces is 48 and 51."""
_LEAST_CONTRAST = 2.0
"""With less, rounding to whole grey values is all that is left."""
_ROUNDING = 2.2
"""What rounding to whole grey values adds to the variance of the Laplacian: faces blurred until nothing else is left
have 2.1 to 2.2. Blurring and scaling a picture rounds several times."""
_ROUNDED_ONCE = 20 / 12
"""All that is taken off where there is little contrast: more would leave nothing of sharp faces in the dark."""
_REFERENCE_CONTRAST = 8.0
"""Standard deviation of the grey values; with less, rounding hides whether a face is sharp."""
_UNTOLD = 1.5
"""Such a face may be matched and starts no person: it counts as that many times as sharp as it has to be for that."""

_HALF = {"pixels": 20.0, "sharpness": 10.0, "light": 20.0}
"""The weights of the score: how much of each makes a face count half; twice as much makes two thirds. A product,
because a face that is bad in one way is bad. What the artefacts of JPEG do to a face nothing here sees."""
_TURNED = 0.3
"""What a profile loses of the score."""

_NEEDS = Needs(match_pixels=20, enroll_pixels=32, match_sharpness=5.0, enroll_sharpness=10.0, without=())


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the tiers end. Below `match_*` a face is only shown, below `enroll_*` only matched.

    Poor faces look like each other. `enroll_*` lie where two of different people begin to be as near as two of one, and
    `match_*` where hardly half are recognised; see docs/evaluation.md. There is none for pose: profiles attract nobody.
    """

    needs: Needs = _NEEDS
    """What the recogniser needs; those of engines are in `EngineInfo.needs`."""
    match_brightness: float = 3.0
    """Mean grey value; below this and above 255 minus this it is too dark and too bright."""
    enroll_brightness: float = 5.0
    """The same for `Tier.ENROLL`: dark faces are stretched before they are embedded (`scripts/spoiled light`)."""
    match_score: float = 0.0
    """The detector's own confidence, on its own scale; by default whatever it reports may be matched."""
    enroll_score: float = 0.0
    """The same for `Tier.ENROLL`; see `EngineInfo.sure_score`. In `Quality.score` a face this doubtful counts half."""
    upright_score: float = 0.0
    """The same for faces that lie on their side or head; see `EngineInfo.upright_score`."""

    @classmethod
    def of(cls, info: EngineInfo) -> Limits:
        """Return the limits of an engine."""
        return cls(info.needs, enroll_score=info.sure_score, upright_score=info.upright_score)

    def least(self, name: str) -> float:
        """Return the limit of this name, of the recogniser or of these."""
        return float(getattr(self.needs if hasattr(self.needs, name) else self, name))

    def at(self, turn: int) -> Limits:
        """Return the limits for a face that has to be turned by so many degrees to be upright."""
        return replace(self, enroll_score=max(self.enroll_score, self.upright_score)) if turn else self


def measure(face: DetectedFace, *, pixels: int, limits: Limits) -> Quality:
    """Return the quality of a face whose shorter side has this many pixels in the full-size photo."""
    grey = _grey(face.crop)
    sharpness, contrast = even_sharpness_of(grey), float(grey.std())
    if 1 < contrast < _REFERENCE_CONTRAST:
        sharpness = max(sharpness, _UNTOLD * limits.needs.match_sharpness)
    quality = Quality(
        sharpness=sharpness,
        brightness=float(grey.mean()),
        pixels=pixels,
        pose=pose_of(face.landmarks),
        score=0.0,
        tier=Tier.SHOW,
        norm=face.norm,
        covered=_covered(face, grey),
    )
    return replace(
        quality,
        score=_score(quality, _share(face.score, limits.enroll_score)),
        tier=_tier(quality, face.score, limits),
    )


def _covered(face: DetectedFace, grey: Floats) -> Covered:
    if face.crop_landmarks is None:
        return Covered.NOTHING
    return covered_of(grey, face.crop_landmarks * np.float32(_CROP_SIDE / len(face.crop)))


def sharpness_of(grey: Floats) -> float:
    """Return the variance of the four-neighbour Laplacian (Pech-Pacheco et al. 2000) of a float32 picture (H, W)."""
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())


def even_sharpness_of(grey: Floats) -> float:
    """Return the sharpness that the picture would have at ordinary contrast."""
    contrast = max(float(grey.std()), _LEAST_CONTRAST)
    rounding = _ROUNDING if contrast >= _REFERENCE_CONTRAST else _ROUNDED_ONCE
    return max(0.0, sharpness_of(grey) - rounding) * (_CONTRAST / contrast) ** 2


def pose_of(landmarks: Floats) -> float:
    """Return how far a face is turned away: the nose's way from the middle between the eyes to one of them, 0 to 1.

    Measured along the line between the eyes, so that a tilted head changes nothing. Below 0.3 faces look into the
    camera, from 0.7 on one cheek is hidden, and at 1 they are profiles.
    """
    left, right, nose = landmarks[:3].astype(np.float64)
    axis = right - left
    length = float(axis @ axis)
    return min(1.0, abs(float((nose - (left + right) / 2) @ axis)) * 2 / length) if length > 0 else 1.0


def _grey(crop: Pixels) -> Floats:
    from PIL import Image  # only workers measure faces; see `indexing.analyzer.Analyzer`

    picture = Image.fromarray(crop).convert("L").resize((_CROP_SIDE, _CROP_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def _score(quality: Quality, sureness: float) -> float:
    """Return all of it in one number, to compare faces that one engine found; the root makes it a good weight for a
    face in its person's centroid."""
    has = {"pixels": quality.pixels, "sharpness": quality.sharpness, "light": _light(quality)}
    shares = (_share(has[name], half) for name, half in _HALF.items())
    return math.sqrt(math.prod(shares) * (1 - _TURNED * quality.pose**2) * sureness)


def _light(quality: Quality) -> float:
    return min(quality.brightness, 255 - quality.brightness)


def _share(value: float, half: float) -> float:
    """Return 0 for nothing, 1/2 for `half`, and never quite 1."""
    return value / (value + half) if value > 0 else 0.0


def _tier(quality: Quality, score: float, limits: Limits) -> Tier:
    has = {"pixels": quality.pixels, "sharpness": quality.sharpness, "brightness": _light(quality), "score": score}
    if any(value < limits.least(f"match_{name}") for name, value in has.items()):
        return Tier.SHOW
    is_poor = any(value < limits.least(f"enroll_{name}") for name, value in has.items())
    is_noise = quality.sharpness > limits.needs.most_sharpness
    return Tier.MATCH if is_poor or is_noise or _is_hidden(quality, limits) else Tier.ENROLL


def _is_hidden(quality: Quality, limits: Limits) -> bool:
    """Return whether the recogniser sees too little of the face to tell it from others that show as little."""
    return quality.covered in limits.needs.without or (
        quality.norm is not None and quality.norm < least_norm(quality.covered, limits)
    )


def least_norm(covered: Covered, limits: Limits) -> float:
    """Return the length that the embedding of a face must have to start a person."""
    return max(limits.needs.enroll_norm, limits.needs.covered_norm if covered is Covered.MOUTH else 0.0)


# --- what a face lacks ---


class Lack(StrEnum):
    """What makes a face a poor one."""

    SIZE = "size"
    SHARPNESS = "sharpness"
    LIGHT = "light"
    SHADE = "shade"
    CERTAINTY = "certainty"
    COVERED = "covered"
    DETAIL = "detail"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What makes a face a poor one."""

    lack: Lack
    value: float | None
    least: float | None
    """What is needed; None: no number says it."""
    tier: Tier
    """What is left to the face."""
    covered: Covered | None = None
    is_turned: bool = False
    """Whether the face does not stand upright in the photo."""


def shortfalls(face: Mapping[str, Any], limits: Limits) -> Iterator[Shortfall]:
    """Yield what keeps a face from being a good one, the worst first.

    Args:
        face: its row of `Faces.in_photo`.
    """
    limits = limits.at(face["turn"])
    values = {
        "pixels": (min(face["w"], face["h"]), Lack.SIZE),
        "sharpness": (face["sharpness"], Lack.SHARPNESS),
        "brightness": (
            min(face["brightness"], 255 - face["brightness"]),
            Lack.LIGHT if face["brightness"] < 128 else Lack.SHADE,
        ),
        "score": (face["score"], Lack.CERTAINTY),
    }
    for tier, kind in ((Tier.SHOW, "match"), (Tier.MATCH, "enroll")):
        for name, (value, lack) in values.items():
            least = limits.least(f"{kind}_{name}")
            is_told = tier is Tier.MATCH and value < limits.least(f"match_{name}")
            if value < least and not is_told:
                yield Shortfall(lack, float(value), float(least), tier, is_turned=bool(face["turn"]))
    covered = Covered(face.get("covered") or "")
    if covered in limits.needs.without:
        yield Shortfall(Lack.COVERED, None, None, Tier.MATCH, covered)
    norm, least = face.get("norm"), least_norm(covered, limits)
    if norm is not None and norm < least:
        yield Shortfall(Lack.DETAIL, norm, least, Tier.MATCH)
    if face["sharpness"] > limits.needs.most_sharpness:
        yield Shortfall(Lack.NOISE, None, None, Tier.MATCH)


_EYE = ((-0.22, 0.22), (-0.15, 0.17))
"""Around the middle of an eye, left to right and top to bottom, in shares of the way from eye to eye; and below: around
the middle of the mouth."""
_MOUTH = ((-0.36, 0.36), (-0.2, 0.2))
_BRIDGE, _CHEEK = ((-0.15, 0.15), (0.1, 0.5)), ((-0.15, 0.15), (0.45, 0.75))
"""Skin: around the middle between the eyes, and around each eye."""

# Of the labelled faces of shared/photos 1 in 1 516 (as InsightFace aligns them) and 3 in 1 508 (face_recognition) are
# taken for one whose mouth is covered, of those with a drawn mask, scarf or hand all but a few.
_LEAST_LINES = 0.1
"""Mean step from a row to the next in the mouth, in shares of the face's contrast and of a 35th of the way from eye to
eye: the line between the lips."""
_LEAST_MOUTH, _LEAST_EYE = 0.3, 0.35
"""Contrast within the mouth and within the eye that shows more, in shares of the face's."""
_DARK = -1.0
"""Logarithm of how much darker than the skin both eyes are: dark glasses, wherever their edge is."""
_LEAST_SEEN = 3.0
"""Grey values; with less nothing of the face is seen at all, and nothing shows what hides it."""
_FACE = 0.2
"""Left out on each side of the crop where the face's contrast is measured."""


def covered_of(grey: Floats, landmarks: Floats) -> Covered:
    """Return what is hidden of the face in a grey aligned crop (0 to 255, shape (s, s)) with these landmarks.

    Sunglasses, a mask, a scarf, a hand, for any engine: measured by `scripts/spoiled covers`, which draws them on the
    photos, before the engine looks for the faces.
    """
    left, right = landmarks[:2]
    way = float(np.hypot(*(right - left)))
    margin = round(len(grey) * _FACE)
    contrast = float(grey[margin:-margin, margin:-margin].std())
    if contrast < _LEAST_SEEN:
        return Covered.NOTHING

    def at(middle: Floats, box: tuple[tuple[float, float], tuple[float, float]]) -> Floats:
        (x0, x1), (y0, y1) = box
        x, y = middle
        rows = slice(max(0, round(y + y0 * way)), max(1, round(y + y1 * way)))
        return grey[rows, max(0, round(x + x0 * way)) : max(1, round(x + x1 * way))]

    mouth, eyes = at(landmarks[3:].mean(0), _MOUTH), [at(eye, _EYE) for eye in (left, right)]
    skin = [at((left + right) / 2, _BRIDGE), at(left, _CHEEK), at(right, _CHEEK)]
    lines = float(np.abs(np.diff(mouth, axis=0)).mean()) * way / 35
    has_mouth = lines >= _LEAST_LINES * contrast and float(mouth.std()) >= _LEAST_MOUTH * contrast
    has_eyes = max(float(eye.std()) for eye in eyes) >= _LEAST_EYE * contrast and _darkness(eyes, skin) >= _DARK
    return _ANSWERS[has_eyes, has_mouth]


_ANSWERS = {
    (True, True): Covered.NOTHING,
    (False, True): Covered.EYES,
    (True, False): Covered.MOUTH,
    (False, False): Covered.BOTH,
}


def _darkness(eyes: list[Floats], skin: list[Floats]) -> float:
    """Return the logarithm of how bright the eyes are in shares of the skin."""
    eye, around = (float(np.mean([part.mean() for part in parts])) for parts in (eyes, skin))
    return float(np.log((eye + 5) / (around + 5)))
