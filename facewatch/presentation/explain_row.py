"""Why faces of a photo are where they are, as JSON has it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from facewatch.presentation.explain import NOBODY_LIKE_IT, advice, bar_text, cause, notes, photo_notes, shortfall_text

if TYPE_CHECKING:
    from facewatch.people.explain import Bar, Explained, Why
    from facewatch.people.rematch import Likeness, Rematch
    from facewatch.quality import Shortfall


def explained_row(explained: Explained) -> dict[str, Any]:
    """Return the facts; what `why` adds to a face never has the name of a column of the catalog but where it is the
    same."""
    faces = [{**one.face, **why_row(one)} for one in explained.whys]
    present = [asdict(one) for one in explained.present]
    said = {"n_faces": explained.n_faces, "notes": photo_notes(explained), "present": present, "faces": faces}
    return {**explained.photo, **said}


def why_row(why: Why) -> dict[str, Any]:
    """Return what is said of a face; no key has the name of a column of the catalog but where it is the same."""
    assignment = why.assignment
    return {
        "face_id": why.face_id,
        "number": why.number,
        "verdict": why.verdict,
        "person_id": why.person_id,
        "name": why.name,
        "cause": cause(why),
        "rule": why.face["rule"],
        "at": why.at,
        "run_kind": assignment.run_kind if assignment else None,
        "run_started_at": assignment.run_started_at if assignment else None,
        "decisions": list(why.decisions),
        "tier": why.tier,
        "shortfalls": [_shortfall_row(short) for short in why.shortfalls],
        "look": _rematch_row(why.rematch) if why.rematch else None,
        "barred": [_bar_row(bar) for bar in why.barred],
        "notes": notes(why),
        "advice": [asdict(one) for one in advice(why)],
    }


def _shortfall_row(short: Shortfall) -> dict[str, Any]:
    return {"text": shortfall_text(short), "value": short.value, "least": short.least, "tier": short.tier}


def _bar_row(bar: Bar) -> dict[str, Any]:
    known = {"person_id": bar.person_id, "name": bar.name, "rule": bar.rule, "text": bar_text(bar)}
    return known | {"at": bar.at, "face_id": bar.face_id}


def _rematch_row(rematch: Rematch) -> dict[str, Any]:
    return {
        "person_id": rematch.person_id,
        "judged_id": rematch.judged_id,
        "rule": rematch.rule or NOBODY_LIKE_IT,
        "likenesses": [_likeness_row(near) for near in rematch.likenesses],
        "n_known": rematch.n_known,
    }


def _likeness_row(near: Likeness) -> dict[str, Any]:
    return {
        "person_id": near.person_id,
        "name": near.name,
        "distance": near.distance,
        "limit": near.limit,
        **asdict(near.nearest),
        "centroid_distance": near.centroid_distance,
        "centroid_limit": near.centroid_limit,
        "lead": near.lead,
        "margin": near.margin,
        "rival_id": near.rival.person_id if near.rival else None,
        "rival": near.rival.name if near.rival else None,
        "aggregation": near.aggregation,
        "evidence": asdict(near.evidence) if near.evidence else None,
    }
