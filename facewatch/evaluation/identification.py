"""Open-set identification, measured by the three protocols of the literature and by facewatch's own, on the same faces.

Each labelled face is held out once and asked for in a gallery of all others (is it identified?), and once in one
without its person (a stranger: is it taken for anybody?). That is open-set identification (Phillips, Grother, Micheals
2011, "Evaluation methods in face recognition"): a face is identified where its own person is the nearest and near
enough, at the limit that lets so many strangers in. A leaning towards those with many photos shows, because the limit
is one for all. What `matching.Gallery` gives a person who is clear or confirmed is left out, for all ways alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.evaluation.calibration import Answers, LabelledFaces, ask_all
from facewatch.matching import Aggregation
from facewatch.types import Thresholds

if TYPE_CHECKING:
    from facewatch.evaluation.labelled import Sample
    from facewatch.types import Doubles, Flags, Ints

FARS = (1e-2, 1e-3)
"""Shares of strangers who may be taken for anybody."""

SIZES = ((1, 1), (2, 3), (4, 9), (10, None))
"""Photos of a person in the gallery, from and to."""


SIZE_NAMES = tuple(
    "1 photo" if high == 1 else f"{low}-{high} photos" if high else f"{low} photos and more" for low, high in SIZES
)


@dataclass(frozen=True, slots=True)
class Identification:
    """How many faces one way of asking identifies at one false-accept rate."""

    aggregation: Aggregation
    far: float
    """Of the strangers, the share that is taken for anybody, at most."""
    is_as_set: bool
    """Whether the thresholds are those of the engine and settings, and the rate is theirs."""
    limit: float | None
    """What the distance must be below; with `combined`: how much farther off than the engine's thresholds a match may
    be. None: there are too few strangers to show the rate."""
    rate: float | None
    """Of all faces of people in the gallery, the share that is identified."""
    by_size: tuple[float | None, ...]
    """By photos that the gallery has of the person, see SIZES; None: there are no such people either."""
    n_by_size: tuple[int, ...]
    """How many faces these are."""


def identification(
    sample: Sample,
    limits: Thresholds,
    *,
    fars: Sequence[float] = FARS,
    shortlist: int = 5,
    strictness: float = 0.0,
) -> tuple[Identification, ...]:
    """Return how many labelled faces each way of asking identifies at each rate, and the default's at its thresholds.

    Faces too poor to be matched are neither asked for nor in the gallery. No strangers: nothing.
    """
    faces, everybody = LabelledFaces(sample.embeddings, sample.person, sample.tiers), np.ones(len(sample), np.bool_)
    answers = {way: ask_all(faces, everybody, shortlist=shortlist, aggregation=way) for way in Aggregation}
    away = {way: excess(asked, limits, way) + strictness for way, asked in answers.items()}
    is_stranger = ~answers[Aggregation.COMBINED].is_known
    if not is_stranger.any():
        return ()
    found = [
        _identified(answers[way], way, far, away=away[way], limit=limit_at(away[way][is_stranger], far))
        for far in fars
        for way in Aggregation
    ]
    as_set = away[Aggregation.COMBINED]
    far = float(np.mean(as_set[is_stranger] < _AT_LIMIT))
    combined = _identified(answers[Aggregation.COMBINED], Aggregation.COMBINED, far, away=as_set, limit=_AT_LIMIT)
    return (*found, replace(combined, is_as_set=True, limit=0.0))


_AT_LIMIT = 1e-9
"""What is at its limit is accepted."""


def excess(answers: Answers, limits: Thresholds, way: Aggregation) -> Doubles:
    """Return how far off the nearest person is, infinite where the margin forbids it.

    With `combined` it is how much farther off than the engine's thresholds, else the distance; poor faces are taken to
    be farther than they are, as matching does.
    """
    poor = np.where(answers.is_poor, limits.low_quality_penalty, 0.0)
    away = answers.distance + poor
    if way is Aggregation.COMBINED:
        less = np.array([limits.less(n) for n in answers.n_gallery.tolist()])
        away = np.maximum(away - limits.match, answers.centroid + poor - limits.centroid) + less
    return np.where(answers.lead >= limits.margin, away, np.inf)


def limit_at(strangers: Doubles, far: float) -> float | None:
    """Return the distance below which at most this share of the strangers is; None: they are too few to show it."""
    n_accepted = int(far * len(strangers) + 1e-9)
    if not n_accepted:
        return None
    return float(np.sort(strangers)[n_accepted]) if n_accepted < len(strangers) else np.inf


def _identified(
    answers: Answers, way: Aggregation, far: float, *, away: Doubles, limit: float | None
) -> Identification:
    sizes = [answers.is_known & rows for rows in _sizes(answers.n_own)]
    shares = [
        None if limit is None or not rows.any() else float(np.mean(answers.is_right[rows] & (away[rows] < limit)))
        for rows in (answers.is_known, *sizes)
    ]
    return Identification(way, far, False, limit, shares[0], tuple(shares[1:]), tuple(int(n.sum()) for n in sizes))


def _sizes(n_own: Ints) -> Iterator[Flags]:
    for low, high in SIZES:
        yield (n_own >= low) & (n_own <= (high or np.inf))


# --- what it says ---


HEADER = ("aggregation", "strangers", "below", "identified", *SIZE_NAMES)


def rows_of(found: Sequence[Identification]) -> list[tuple[str, ...]]:
    """Return the rows in words, the last one of how many faces it is about; a rate that too few strangers show is a
    dash."""
    if not found:
        return []
    n_by_size = found[0].n_by_size
    return [*map(_row, found), ("faces", "", "", str(sum(n_by_size)), *map(str, n_by_size))]


def _row(one: Identification) -> tuple[str, ...]:
    return (
        f"{one.aggregation}, as set" if one.is_as_set else str(one.aggregation),
        f"{one.far:.4f}",
        _limit(one),
        *("-" if rate is None else f"{rate:.4f}" for rate in (one.rate, *one.by_size)),
    )


def _limit(one: Identification) -> str:
    """Return the distance, with "combined" what is added to its limits."""
    if one.limit is None or np.isinf(one.limit):
        return "-" if one.limit is None else "any"
    return f"{one.limit:+.3f}" if one.aggregation is Aggregation.COMBINED else f"{one.limit:.3f}"


LEGEND = (
    "Known or new, by match.aggregation: each face is held out once in a gallery of all others, and once in one\n"
    "without its person, where it is a stranger. Identified: its person is nearest, by the margin, and below the\n"
    "distance that lets this share of strangers in; combined: below its limits changed by so much."
)


def facts_of(found: Sequence[Identification]) -> list[dict[str, Any]]:
    """Return the rows as plain values, for programs."""
    return [{**asdict(one), "limit": None if one.limit is None or np.isinf(one.limit) else one.limit} for one in found]
