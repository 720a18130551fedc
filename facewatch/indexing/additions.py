"""What users added to a photo (boxes that they drew, who is in it without a face), for another version of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext

from facewatch.catalog import USER, Catalog

HAND_OVER = "hand over"
"""What the journal calls it; it is a part of the decision that is handed over."""


def carry_over(catalog: Catalog, old: int, new: int, *, seen: Collection[int], is_same: bool) -> None:
    """Let what users added to a photo be true of another version of it, each as a part of its decision. Inside the
    caller's transaction.

    Args:
        seen: faces of the old photo that are known in the new one.
        is_same: it is certain that they are versions of one photo; else only boxes are carried over, because those
            are compared.
    """
    now = catalog.now()
    for drawn in catalog.drawn.of_photo(old):
        if drawn.face_id is None or drawn.face_id not in seen:
            with recording(catalog, catalog.lineage.decision_of("drawn", [drawn.id])):
                catalog.drawn.carry_over(drawn, new, now)
    for present in catalog.presences.in_photo(old) if is_same else ():
        with recording(catalog, catalog.lineage.decision_of("presences", [present.person_id, old])):
            catalog.presences.carry_over(old, new, present.person_id)


def recording(
    catalog: Catalog, decision: int | None, heirs: Mapping[int, int] | None = None
) -> AbstractContextManager[object]:
    """What was decided is handed over as a part of that decision, so that its undo takes it back here, too; `heirs`:
    faces, and which they were."""
    if decision is None:
        return nullcontext()
    details = {"heirs": {str(new): old for new, old in (heirs or {}).items()}}
    return catalog.journal.recording(USER, HAND_OVER, details, parent_id=decision, now=catalog.now())
