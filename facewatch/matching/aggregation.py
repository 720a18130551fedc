"""How near a face is to a person, from how near it is to each of the person's faces: `match.aggregation`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facewatch.matching.member import distances

if TYPE_CHECKING:
    from facewatch.types import Floats, MatchThresholds


class Aggregation(StrEnum):
    """Which distance people are ranked by, and which distances have a limit. All ask for a margin to the next person.

    `facewatch evaluate` prints how many faces each identifies; see `evaluation.identification`.
    """

    COMBINED = "combined"
    """That to the nearest face; that to the centroid has a limit, too."""
    MINIMUM = "minimum"
    """That to the nearest face alone."""
    MEAN = "mean"
    """The mean of those to all faces that are compared with."""
    CENTROID = "centroid"
    """That to the nearest centroid."""

    def distance(self, cosines: Floats, *, nearest: float, centroid: float) -> float:
        """Return the distance to a person, from the cosines to its faces and the distances to the nearest of them and
        to the nearest centroid."""
        match self:
            case Aggregation.MEAN:
                return float(distances(cosines).mean())
            case Aggregation.CENTROID:
                return centroid
            case _:
                return nearest

    @property
    def words(self) -> str:
        """What the distance is one to."""
        return {"mean": "mean of all members", "centroid": "centroid"}.get(self, "nearest member")

    @property
    def rule(self) -> str:
        """Why a face is accepted."""
        return f"{self.words}{', centroid' if self is Aggregation.COMBINED else ''} and margin agree"

    def limits(self, thresholds: MatchThresholds) -> tuple[float, float]:
        """Return what the distance may be at most, and what that to the centroid may be beside it; infinite: whatever
        it is."""
        t = thresholds
        match self:
            case Aggregation.COMBINED:
                return t.match, t.centroid
            case Aggregation.MINIMUM:
                return t.by_minimum, math.inf
            case Aggregation.MEAN:
                return t.by_mean, math.inf
            case Aggregation.CENTROID:
                return t.by_centroid, math.inf

    def limits_on_record(self, thresholds: MatchThresholds) -> tuple[float, float]:
        """Return what the distances to the nearest face and to the centroid may be, which assignments keep."""
        limit, centroid_limit = self.limits(thresholds)
        match self:
            case Aggregation.CENTROID:
                return math.inf, limit
            case Aggregation.MEAN:
                return math.inf, math.inf
            case _:
                return limit, centroid_limit


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """What the settings say of matching."""

    shortlist: int = 5
    """People whose members are compared, by their centroids."""
    strictness: float = 0.0
    """Taken off every threshold, in the engine's distance."""
    aggregation: Aggregation = Aggregation.COMBINED
