"""Calibrates an engine's thresholds on labelled faces for a given false-accept rate.

Every face is held out once and asked for twice: in a gallery of all other faces (is it recognised, and as whom?), and
in one without its person (a stranger: is it taken for somebody?). What `matching.Gallery` would answer before any
threshold, `ask` says for all faces in a few products of matrices; a test holds the two together. Thresholds are then
only compared with those answers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from facewatch.columns import Columns
from facewatch.evaluation.metrics import BIN_WIDTH, Agreement, PairCounts, bcubed, count_pairs, rates
from facewatch.evaluation.ways import alone
from facewatch.matching import Aggregation
from facewatch.types import Thresholds, Tier

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facewatch.evaluation.labelled import Sample
    from facewatch.types import Doubles, Flags, Floats, Ints

_BLOCK_ROWS = 256
_STEP = 0.005
"""Thresholds are looked for in steps of this, and never rounded to the looser side."""
_REACH = 0.25
"""Thresholds are looked for within this of the distance that half of the true pairs are nearer than."""

_MOST_CEILINGS = 50

SUB_GALLERIES = ((300, 10), (1000, 5))
"""Sizes of random galleries, in faces, and how many of each: a large one measures more by itself."""

MIN_PRECISION = 0.995
"""BCubed precision that groups must keep."""


@dataclass(frozen=True, slots=True)
class LabelledFaces(Columns):
    """Labelled faces."""

    embeddings: Floats
    """Unit vectors, shape (n_faces, n_dims)."""
    people: Ints
    tiers: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Answers(Columns):
    """What galleries answer to faces before any threshold."""

    distance: Doubles
    """To the nearest person, by the way of asking: as a rule to its nearest member; infinite where nobody is known."""
    centroid: Doubles
    """To that person's centroid."""
    lead: Doubles
    """How much farther the runner-up is; infinite where there is none."""
    is_right: Flags
    """Whether that person is the face's own."""
    is_known: Flags
    """Whether the gallery holds the face's own person."""
    is_poor: Flags
    """Whether the face may only be matched."""
    n_gallery: Ints
    """Faces in the gallery."""
    n_own: Ints
    """Of these, those of the face's own person."""
    is_proof: Flags
    """Whether that person or the face itself is more than poor faces."""

    def accepted(self, limits: Thresholds) -> Flags:
        """Return which are accepted, by the rule of `matching.Gallery`."""
        decades = np.log10(np.maximum(self.n_gallery, 1) / limits.gallery_size)
        less = limits.per_decade * np.maximum(0.0, decades) + np.where(self.is_poor, limits.low_quality_penalty, 0.0)
        is_near = (self.distance <= limits.match - less) & (self.centroid <= limits.centroid - less)
        accepted: Flags = is_near & (self.lead >= limits.margin) & self.is_proof
        return accepted


@dataclass(frozen=True, slots=True)
class Rates:
    """How often what happens, 0 to 1."""

    recognised: float
    """Of the faces whose person is in the gallery."""
    mistaken: float
    """Of those, taken for another person."""
    strangers: float
    """Of the faces whose person is not in the gallery, taken for somebody."""
    n_known: int
    n_strangers: int

    def keeps(self, far: float) -> bool:
        """Whether neither strangers nor the known are taken for another person more often than this."""
        return self.strangers <= far and self.mistaken <= far


def rates_of(answers: Answers, limits: Thresholds) -> Rates:
    """Return how often faces are recognised, mistaken, and strangers taken for somebody."""
    accepted, is_known = answers.accepted(limits), answers.is_known
    n_known, n_strangers = int(is_known.sum()), int((~is_known).sum())
    return Rates(
        recognised=int((accepted & answers.is_right).sum()) / max(1, n_known),
        mistaken=int((accepted & is_known & ~answers.is_right).sum()) / max(1, n_known),
        strangers=int((accepted & ~is_known).sum()) / max(1, n_strangers),
        n_known=n_known,
        n_strangers=n_strangers,
    )


# --- asking galleries ---


def ask_all(
    faces: LabelledFaces,
    in_gallery: Flags,
    *,
    shortlist: int = 5,
    aggregation: Aggregation = Aggregation.COMBINED,
) -> Answers:
    """Return the answers to every face, of the gallery of these faces without it, and without its person.

    Faces too poor to be matched are neither asked for nor in the gallery.
    """
    may_match = faces.tiers != Tier.SHOW.value
    ask_some = partial(ask, in_gallery=in_gallery & may_match, shortlist=shortlist, aggregation=aggregation)
    known = ask_some(faces, np.flatnonzero(may_match), is_stranger=False)
    # A face whose person has no other face in the gallery is a stranger already.
    asked_as_known = np.flatnonzero(may_match)[known.is_known]
    strangers = ask_some(faces, asked_as_known, is_stranger=True)
    return Answers.together([known, strangers])


def ask(
    faces: LabelledFaces,
    rows: Ints,
    in_gallery: Flags,
    *,
    shortlist: int,
    is_stranger: bool,
    aggregation: Aggregation = Aggregation.COMBINED,
) -> Answers:
    """Return what the gallery of these faces answers to the faces of `rows`.

    Args:
        in_gallery: which faces the gallery holds, shape (n_faces,); never the one that is asked for.
        shortlist: people whose centroids are nearest.
        is_stranger: leave out all faces of the person that is asked for, not only the one.
        aggregation: the distance that people are ranked by.
    """
    gallery = _Stack(faces, in_gallery)
    blocks = [rows[start : start + _BLOCK_ROWS] for start in range(0, len(rows), _BLOCK_ROWS)]
    if not blocks or not len(gallery.members):
        return _nobody(faces, rows)
    parts = (gallery.ask(block, aggregation, shortlist=shortlist, is_stranger=is_stranger) for block in blocks)
    return Answers.together(list(parts))


def _nobody(faces: LabelledFaces, rows: Ints) -> Answers:
    far, no = np.full(len(rows), np.inf), np.zeros(len(rows), np.bool_)
    is_poor = faces.tiers[rows] != Tier.ENROLL.value
    none = np.zeros(len(rows), np.int64)
    return Answers(far, far, far, no, no, is_poor, none, none, no)


class _Stack:
    """A gallery as arrays: members sorted by person, and the sums that centroids are made from."""

    def __init__(self, faces: LabelledFaces, in_gallery: Flags) -> None:
        self._faces = faces
        rows = np.flatnonzero(in_gallery)
        self.members = rows[np.argsort(faces.people[rows], kind="stable")]
        self._people, self._starts = np.unique(faces.people[self.members], return_index=True)
        vectors = faces.embeddings[self.members].astype(np.float64)
        may_enroll = faces.tiers[self.members] == Tier.ENROLL.value
        if len(self.members):
            self._n = np.add.reduceat(np.ones(len(vectors), np.int64), self._starts)
            self._n_enrolling = np.add.reduceat(may_enroll.astype(np.int64), self._starts)
            self._sums = np.add.reduceat(vectors, self._starts)
            self._enrolling_sums = np.add.reduceat(vectors * may_enroll[:, None], self._starts)
            self._is_good = may_enroll | np.repeat(self._n_enrolling == 0, self._n)

    def ask(self, rows: Ints, aggregation: Aggregation, *, shortlist: int, is_stranger: bool) -> Answers:
        faces, at = self._faces, np.arange(len(rows))
        own = np.searchsorted(self._people, faces.people[rows]).clip(max=len(self._people) - 1)
        has_own = self._people[own] == faces.people[rows]
        is_member = np.isin(rows, self.members)
        n_others = np.where(has_own & (not is_stranger), self._n[own] - is_member, 0)
        is_known = n_others > 0
        centroids = self._centroids(rows, own, is_member)
        apart = self._apart(rows, aggregation, centroids)
        gone = at[has_own & ~is_known]
        apart[gone, own[gone]], centroids[gone, own[gone]] = np.inf, -np.inf
        n_listed = min(shortlist, centroids.shape[1])
        listed = np.argpartition(-centroids, n_listed - 1, axis=1)[:, :n_listed]
        ranked = np.take_along_axis(apart, listed, axis=1)
        order = np.argsort(ranked, axis=1, kind="stable")
        best = listed[at, order[:, 0]]
        distance = apart[at, best]
        runner_up = ranked[at, order[:, 1]] if ranked.shape[1] > 1 else np.full(len(rows), np.inf)
        return Answers(
            distance=distance,
            centroid=_distances(centroids[at, best]),
            lead=np.where(np.isinf(runner_up), np.inf, runner_up - np.where(np.isinf(distance), 0.0, distance)),
            is_right=is_known & (best == own),
            is_known=is_known,
            is_poor=faces.tiers[rows] != Tier.ENROLL.value,
            n_gallery=len(self.members) - np.where(is_stranger & has_own, self._n[own], is_member),
            n_own=n_others,
            is_proof=(faces.tiers[rows] == Tier.ENROLL.value) | (self._n_enrolling[best] > 0),
        )

    def _apart(self, rows: Ints, aggregation: Aggregation, centroids: Doubles) -> Doubles:
        """Return how far each person is, by the distance that people are ranked by; infinite where nobody is left."""
        if aggregation is Aggregation.CENTROID:
            return _distances(centroids)
        if aggregation is Aggregation.MEAN:
            return self._mean(rows)
        return _distances(self._nearest(rows))

    def _mean(self, rows: Ints) -> Doubles:
        """Return the mean distance to the members of each person, itself left out."""
        apart = _distances(self._cosines(rows))
        is_left_out = self._left_out(rows)
        apart[is_left_out] = 0.0
        n_others = self._n - np.add.reduceat(is_left_out, self._starts, axis=1, dtype=np.int64)
        sums = np.add.reduceat(apart, self._starts, axis=1)
        mean: Doubles = np.divide(sums, n_others, out=np.full(sums.shape, np.inf), where=n_others > 0)
        return mean

    def _left_out(self, rows: Ints) -> Flags:
        """Return which members a face is not compared with: itself, and a poor one with poor ones, see `assign`."""
        is_poor = self._faces.tiers[rows] != Tier.ENROLL.value
        is_itself = rows[:, None] == self.members[None]
        left_out: Flags = is_itself | (is_poor[:, None] & ~self._is_good[None])
        return left_out

    def _cosines(self, rows: Ints) -> Doubles:
        cosines: Floats = self._faces.embeddings[rows] @ self._faces.embeddings[self.members].T
        return cosines.astype(np.float64)

    def _nearest(self, rows: Ints) -> Doubles:
        """Return the cosine to the nearest member of each person, itself left out; -inf where none is left."""
        cosines = self._cosines(rows)
        cosines[self._left_out(rows)] = -np.inf
        nearest: Doubles = np.maximum.reduceat(cosines, self._starts, axis=1)
        return nearest

    def _centroids(self, rows: Ints, own: Ints, is_member: Flags) -> Doubles:
        """Return the cosine to each person's centroid, that of its own person made without the face itself."""
        vectors = self._faces.embeddings[rows].astype(np.float64)
        sums = np.where(self._n_enrolling[:, None] > 0, self._enrolling_sums, self._sums)
        cosines: Doubles = vectors @ (sums / np.linalg.norm(sums, axis=1, keepdims=True)).T
        inside = np.flatnonzero(is_member)
        mine = own[inside]
        may_enroll = self._faces.tiers[rows[inside]] == Tier.ENROLL.value
        n_enrolling = self._n_enrolling[mine] - may_enroll
        rest = np.where(
            n_enrolling[:, None] > 0,
            self._enrolling_sums[mine] - vectors[inside] * may_enroll[:, None],
            self._sums[mine] - vectors[inside],
        )
        lengths = np.maximum(np.linalg.norm(rest, axis=1), np.finfo(np.float64).tiny)
        cosines[inside, mine] = (vectors[inside] * rest).sum(1) / lengths
        return cosines


def _distances(cosines: Doubles) -> Doubles:
    distances: Doubles = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines))
    return distances


# --- galleries of several sizes ---


@dataclass(frozen=True, slots=True)
class Trial:
    """The answers of galleries of about one size."""

    n_gallery: int
    answers: Answers


def try_galleries(faces: LabelledFaces, *, seed: int = 0, shortlist: int = 5) -> list[Trial]:
    """Return the answers of random galleries of growing size, and of all faces; people are in one as a whole."""
    random = np.random.default_rng(seed)
    trials = []
    for size, n_draws in SUB_GALLERIES:
        if size <= 0.7 * len(faces):
            draws = [ask_all(faces, _draw(faces, size, random), shortlist=shortlist) for _ in range(n_draws)]
            trials.append(Trial(size, Answers.together(draws)))
    trials.append(Trial(len(faces), ask_all(faces, np.ones(len(faces), np.bool_), shortlist=shortlist)))
    return trials


def _draw(faces: LabelledFaces, size: int, random: np.random.Generator) -> Flags:
    """Return the faces of random people, as many of them as come nearest to this size from below."""
    people, counts = np.unique(faces.people, return_counts=True)
    order = random.permutation(len(people))
    n_people = max(1, int(np.searchsorted(counts[order].cumsum(), size, side="right")))
    chosen: Flags = np.isin(faces.people, people[order[:n_people]])
    return chosen


# --- choosing ---


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds, and what they do."""

    before: Thresholds
    after: Thresholds
    trials: tuple[Trial, ...]
    ceilings: tuple[tuple[float, Agreement], ...]
    """Ceiling of the clusterer -> BCubed of its groups."""


def calibrate(sample: Sample, now: Thresholds, *, far: float, method: str = "whispers", seed: int = 0) -> Calibration:
    """Return thresholds at which at most this share of strangers is taken for somebody; see the parts below."""
    faces = LabelledFaces(sample.embeddings, sample.person, sample.tiers)
    pairs = count_pairs(sample.embeddings, sample.person)
    middle = int(np.searchsorted(rates(pairs)[1], 0.5)) * BIN_WIDTH
    trials = try_galleries(faces, seed=seed)
    matching = calibrate_matching(trials, now, far=far, middle=middle)
    after, ceilings = calibrate_grouping(faces, sample.photo, matching, pairs, method=method)
    return Calibration(now, after, tuple(trials), tuple(ceilings))


def calibrate_matching(trials: Sequence[Trial], now: Thresholds, *, far: float, middle: float) -> Thresholds:
    """Return `now` with the loosest `match` and `centroid` that keep the rate, and `per_decade` to fit.

    The largest gallery decides match and centroid together: of the pairs that keep the rate, the one that recognises
    most, and of equals the strictest. How much they shrink is how much nearer strangers come in larger galleries, at
    the same difference of the two and without the margin, which stops more of them the larger the gallery is, but not
    for ever. Both are taken back until all galleries keep the rate. `margin`, `poor` and `gallery_size` stay.

    Args:
        far: wanted rate, of strangers taken for somebody and of people taken for another one.
        middle: a distance that half of the true pairs are nearer than; thresholds are looked for around it.
    """
    largest = trials[-1]
    flat = replace(now, per_decade=0.0)
    match, centroid = _best_pair(largest.answers, flat, far=far, middle=middle)
    bare = replace(flat, margin=0.0)
    loosest = [_loosest(trial.answers, bare, gap=match - centroid, far=far, middle=middle) for trial in trials]
    per_decade = now.per_decade if len(trials) < 2 else _shrinkage([trial.n_gallery for trial in trials], loosest)
    more = per_decade * float(np.log10(largest.n_gallery / now.gallery_size))
    found = replace(now, match=_down(match + more), centroid=_down(centroid + more), per_decade=per_decade)
    # In a small gallery the runner-up is farther, and the margin stops fewer strangers.
    while not all(rates_of(trial.answers, found).keeps(far) for trial in trials):
        found = replace(found, match=_down(found.match - _STEP), centroid=_down(found.centroid - _STEP))
    return found


def _best_pair(answers: Answers, flat: Thresholds, *, far: float, middle: float) -> tuple[float, float]:
    best = (-1.0, 0.0, 0.0, 0.0)
    grid = _grid(middle, _STEP)
    for centroid in grid:
        at = [replace(flat, match=match, centroid=centroid) for match in grid]
        # A looser threshold accepts more of everybody, so that halving the grid finds where a rate is exceeded.
        n_kept = bisect_left(at, True, key=lambda limits: not rates_of(answers, limits).keeps(far))
        if n_kept:
            recognised = rates_of(answers, at[n_kept - 1]).recognised
            match = at[bisect_left(at, recognised, key=lambda limits: rates_of(answers, limits).recognised)].match
            best = max(best, (recognised, -match - centroid, match, centroid))
    return best[2], best[3]


def _shrinkage(sizes: Sequence[int], loosest: Sequence[float]) -> float:
    """Return how much a threshold falls while the gallery grows tenfold, by the straight line through these points."""
    return max(0.0, _up(-float(np.polyfit(np.log10(sizes), loosest, 1)[0])))


def _loosest(answers: Answers, flat: Thresholds, *, gap: float, far: float, middle: float) -> float:
    """Return the largest centroid distance that keeps the rate, with `match` farther by this gap."""
    at = [replace(flat, match=centroid + gap, centroid=centroid) for centroid in _grid(middle, _STEP / 5)]
    n_kept = bisect_left(at, True, key=lambda limits: not rates_of(answers, limits).keeps(far))
    return at[max(0, n_kept - 1)].centroid


def _grid(middle: float, step: float) -> list[float]:
    """Return where thresholds are looked for, the strictest first."""
    values: list[float] = np.arange(max(0.0, _down(middle - _REACH)), middle + _REACH, step).round(4).tolist()
    return values


def calibrate_grouping(
    faces: LabelledFaces, photos: Ints, now: Thresholds, pairs: PairCounts, *, method: str
) -> tuple[Thresholds, list[tuple[float, Agreement]]]:
    """Return `now` with the loosest ceiling at which groups keep their precision, as they do at all stricter ones.

    Photos so easy that no ceiling loses it measure nothing: the ceiling stays.
    """
    from facewatch.clustering import make_clusterer

    tried: list[tuple[float, Agreement]] = []
    step, ceilings = _ceilings(pairs)
    for ceiling in ceilings:
        clusterer = make_clusterer(
            method, ceiling=ceiling, singleton_penalty=now.singleton_penalty, margin=now.cluster_margin
        )
        tried.append((ceiling, bcubed(faces.people, alone(clusterer.fit_predict(faces.embeddings, photos=photos)))))
        if tried[-1][1].precision < MIN_PRECISION:
            return replace(now, cluster=round(ceiling - step, 4)), tried
    return now, tried


def _ceilings(pairs: PairCounts) -> tuple[float, list[float]]:
    """Return where ceilings are looked for, and how far apart: from where few true pairs are near enough to where many
    false ones are."""
    _, recall, far = rates(pairs)
    low, high = (int(np.searchsorted(curve, share)) * BIN_WIDTH for curve, share in ((recall, 0.2), (far, 0.01)))
    low, high = max(_STEP, _down(low)), max(low, high)
    step = _up(max(_STEP, (high - low) / _MOST_CEILINGS))
    return step, np.arange(low, high + step, step).round(4).tolist()


def around(answers: Answers, limits: Thresholds) -> Iterator[tuple[Thresholds, Rates]]:
    """Yield what happens near some thresholds, one of them changed at a time."""
    for name in ("match", "centroid", "margin"):
        for n_steps in (-4, -2, 0, 2, 4):
            value = round(getattr(limits, name) + n_steps * _STEP, 4)
            if value >= 0:
                changed = replace(limits, **{name: value})
                yield changed, rates_of(answers, changed)


def _down(value: float) -> float:
    """Return the multiple of the step at or below a value."""
    return round(float(np.floor(value / _STEP + 1e-6)) * _STEP, 4)


def _up(value: float) -> float:
    return round(float(np.ceil(value / _STEP - 1e-6)) * _STEP, 4)
