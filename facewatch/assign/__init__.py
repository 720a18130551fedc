"""Who is this face? The gallery of known people, in arrays and ids only."""

from __future__ import annotations

from facewatch.assign.aggregation import Aggregation
from facewatch.assign.gallery import Candidate, Gallery, settle_photo
from facewatch.assign.look_alikes import LookAlikes
from facewatch.assign.member import distances
from facewatch.assign.strangers import Evidence

__all__ = ["Aggregation", "Candidate", "Evidence", "Gallery", "LookAlikes", "distances", "settle_photo"]
