"""Who is this face? The gallery of known people, in arrays and ids only."""

from __future__ import annotations

from facewatch.matching.aggregation import Aggregation, MatchSettings
from facewatch.matching.gallery import Candidate, Gallery, match_photo
from facewatch.matching.lookalikes import Evidence
from facewatch.matching.member import distances

__all__ = [
    "Aggregation",
    "Candidate",
    "Evidence",
    "Gallery",
    "MatchSettings",
    "distances",
    "match_photo",
]
