"""How good a face is, and what it may therefore do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.types import DetectedFace, Quality, Tier

_CROP_SIDE = 112
_WEIGHTS = {"pixels": 0.3, "sharpness": 0.5, "brightness": 0.2}

GOOD_PIXELS = 120
"""A face this large (shorter side) counts as fully large."""
GOOD_SHARPNESS = 400.0
"""Median of the labelled faces of shared/photos/album."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the tiers end. Below `match_*` a face is only shown, below `found_*` only matched."""

    match_pixels: int = 32
    found_pixels: int = 48
    match_sharpness: float = 14.0
    """0.4 % of the labelled LFW faces are more blurred; below it 0.4 are not recognised."""
    found_sharpness: float = 29.0
    """4 % are more blurred than this."""
    match_brightness: float = 20.0
    """Mean grey value; as dark as this and 255 minus this are too dark and too bright."""
    found_score: float = 0.0
    """The detector's own confidence, on its own scale; see `EngineInfo.sure_score`."""


def measure(face: DetectedFace, *, pixels: int, limits: Limits) -> Quality:
    """Return the quality of a face whose shorter side has this many pixels in the full-size photo."""
    grey = _grey(face.crop)
    sharpness, brightness = sharpness_of(grey), float(grey.mean())
    return Quality(
        sharpness=sharpness,
        brightness=brightness,
        pixels=pixels,
        pose=pose_of(face.landmarks),
        score=_score(sharpness, brightness, pixels),
        tier=_tier(sharpness, brightness, pixels, face.score, limits),
    )


def sharpness_of(grey: NDArray[np.float32]) -> float:
    """Return the variance of the four-neighbour Laplacian (Pech-Pacheco et al. 2000) of a float32 picture (H, W)."""
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())


def pose_of(landmarks: NDArray[np.float32]) -> float:
    """Return how far a face is turned away: the nose's way from the middle between the eyes to one of them, 0 to 1.

    Measured along the line between the eyes, so that a tilted head changes nothing.
    """
    left, right, nose = landmarks[:3].astype(np.float64)
    axis = right - left
    length = float(axis @ axis)
    return min(1.0, abs(float((nose - (left + right) / 2) @ axis)) * 2 / length) if length > 0 else 1.0


def _grey(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    from PIL import Image  # only workers measure faces; see ingest.Eyes

    picture = Image.fromarray(crop).convert("L").resize((_CROP_SIDE, _CROP_SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def _score(sharpness: float, brightness: float, pixels: int) -> float:
    parts = {
        "pixels": min(1.0, pixels / GOOD_PIXELS),
        "sharpness": min(1.0, sharpness / GOOD_SHARPNESS),
        "brightness": 1.0 - abs(brightness - 127.5) / 127.5,
    }
    return sum(weight * parts[name] for name, weight in _WEIGHTS.items())


def _tier(sharpness: float, brightness: float, pixels: int, score: float, limits: Limits) -> Tier:
    is_visible = limits.match_brightness <= brightness <= 255 - limits.match_brightness
    if pixels < limits.match_pixels or sharpness < limits.match_sharpness or not is_visible:
        return Tier.SHOW
    if pixels < limits.found_pixels or sharpness < limits.found_sharpness or score < limits.found_score:
        return Tier.MATCH
    return Tier.FOUND
