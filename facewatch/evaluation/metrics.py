"""How well groups agree with people, and distances with both: pure functions on arrays.

Labels are any integers; only who shares one matters. A face that belongs to nobody has a label of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facewatch.types import distance_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facewatch.types import Doubles, Floats, Ints

BIN_WIDTH = 1e-4
"""Distances are counted in bins of this width: 0.0001 moves a rate of true pairs by less than 0.001."""

N_BINS = 20_001
"""From 0 to 2, the distance of opposite vectors; the last bin is for exactly 2."""

_BLOCK_ROWS = 256
"""Faces compared with all others at a time: with 20 000 faces a block of cosines is 20 MB."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision, recall and their harmonic mean, each 0 to 1."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """How well the groups of one grouping agree with the people."""

    bcubed: Agreement
    pairwise: Agreement
    nmi: float
    n_people_found: int
    """Groups of two faces and more."""
    n_people_true: int
    """People with two faces and more."""
    n_faces_in_groups: int
    """Faces in those groups."""
    fragments: Fragments


@dataclass(frozen=True, slots=True)
class Fragments:
    """How many parts people of two faces and more are in, on average; 1 is perfect."""

    folders: float
    """Groups of two faces and more that somebody has faces in, over the people who are in any."""
    parts: float
    """The same with every face that is alone as one more, over all those people."""


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How many pairs of faces lie how far apart; bin i holds distances from i to i + 1 times BIN_WIDTH."""

    same: Ints
    """Pairs of one person, shape (N_BINS,)."""
    different: Ints
    """Pairs of two people, shape (N_BINS,)."""

    @property
    def n_same(self) -> int:
        return int(self.same.sum())

    @property
    def n_different(self) -> int:
        return int(self.different.sum())


@dataclass(frozen=True, slots=True)
class Verification:
    """How many true pairs are accepted at a distance that accepts few false ones."""

    far: float
    """The wanted false-accept rate: of pairs of two people, the share that is accepted."""
    tar: float | None
    """True-accept rate: of pairs of one person, the share that is accepted; None: too few pairs to measure it."""
    distance: float | None
    """Pairs nearer than this are accepted."""


def scores(people: Ints, groups: Ints) -> Scores:
    """Return every measure of a grouping.

    Args:
        people: who each face truly is, shape (n_faces,).
        groups: the group that each face was put into, shape (n_faces,).
    """
    sizes = np.unique(groups, return_counts=True)[1]
    return Scores(
        bcubed=bcubed(people, groups),
        pairwise=pairwise(people, groups),
        nmi=nmi(people, groups),
        n_people_found=int((sizes > 1).sum()),
        n_people_true=int((np.unique(people, return_counts=True)[1] > 1).sum()),
        n_faces_in_groups=int(sizes[sizes > 1].sum()),
        fragments=fragments(people, groups),
    )


def fragments(people: Ints, groups: Ints) -> Fragments:
    """Return in how many groups a person's faces are; with nobody to count it is 1."""
    cells = _cells(people, groups)
    is_repeated = cells.person_sizes > 1
    _, n_parts = np.unique(cells.person[is_repeated], return_counts=True)
    _, n_folders = np.unique(cells.person[is_repeated & (cells.group_sizes > 1)], return_counts=True)
    return Fragments(*(float(counts.mean()) if len(counts) else 1.0 for counts in (n_folders, n_parts)))


def bcubed(people: Ints, groups: Ints) -> Agreement:
    """Return BCubed precision and recall (Bagga & Baldwin 1998; Amigo et al. 2009, "A comparison of extrinsic
    clustering evaluation metrics based on formal constraints"): the share of a face's group that is its person, and
    the share of its person that is in its group, both with the face itself, averaged over faces. Nothing is perfect.
    """
    if not len(people):
        return Agreement(1.0, 1.0)
    cells = _cells(people, groups)
    squares = cells.counts.astype(np.float64) ** 2
    return Agreement(
        float((squares / cells.group_sizes).sum() / len(people)),
        float((squares / cells.person_sizes).sum() / len(people)),
    )


def pairwise(people: Ints, groups: Ints) -> Agreement:
    """Return the share of pairs within groups that are one person, and of pairs of one person that are in one group.

    Where there are no such pairs nothing is wrong with them: 1.
    """
    n_both = _n_pairs(_cells(people, groups).counts)
    n_grouped = _n_pairs(np.unique(groups, return_counts=True)[1])
    n_true = _n_pairs(np.unique(people, return_counts=True)[1])
    return Agreement(n_both / n_grouped if n_grouped else 1.0, n_both / n_true if n_true else 1.0)


def nmi(people: Ints, groups: Ints) -> float:
    """Return the normalised mutual information, over the arithmetic mean of both entropies (Vinh et al. 2010,
    "Information theoretic measures for clusterings comparison"; what scikit-learn computes).

    One person in one group is perfect, and so is nothing.
    """
    entropies = _entropy(people), _entropy(groups)
    if sum(entropies) == 0.0:
        return 1.0
    cells = _cells(people, groups)
    shares = cells.counts / len(people)
    information = float((shares * np.log(cells.counts * len(people) / cells.person_sizes / cells.group_sizes)).sum())
    return min(1.0, max(0.0, 2.0 * information / sum(entropies)))


def n_photos_twice(photos: Ints, groups: Ints) -> int:
    """Return in how many photos some group has two faces."""
    both, counts = np.unique(np.stack([photos, groups]), axis=1, return_counts=True)
    return len(np.unique(both[0][counts > 1]))


def count_pairs(embeddings: Floats, people: Ints, strangers: Floats | None = None) -> PairCounts:
    """Return how far apart all pairs of faces are, in time of n_faces squared and memory of n_faces.

    Args:
        embeddings: unit vectors, float32, shape (n_faces, n_dims).
        people: who each face truly is, shape (n_faces,).
        strangers: what each has in common with strangers, shape (n_faces,): half of that of both is taken off a cosine.
    """
    halves = np.zeros(len(people), np.float32) if strangers is None else strangers / 2
    counts = np.zeros((2, N_BINS), np.int64)
    for start in range(0, len(people), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        cosines: Floats = embeddings[rows] @ embeddings[start:].T
        cosines -= halves[rows, None] + halves[None, start:]
        bins = _bins(cosines)
        is_same = people[rows, None] == people[None, start:]
        is_later = np.arange(len(people) - start)[None] > np.arange(len(bins))[:, None]
        counts[0] += np.bincount(bins[is_same & is_later], minlength=N_BINS)
        counts[1] += np.bincount(bins[~is_same & is_later], minlength=N_BINS)
    return PairCounts(counts[0], counts[1])


def verification(pairs: PairCounts, far: float) -> Verification:
    """Return the true-accept rate at the largest distance, in steps of BIN_WIDTH, at which at most `far` of the pairs
    of two people are accepted. With fewer than 1 / `far` such pairs that rate cannot be distinguished from 0.
    """
    if not pairs.n_same or pairs.n_different * far < 1.0:
        return Verification(far, None, None)
    n_bins = int(np.searchsorted(pairs.different.cumsum(), pairs.n_different * far, side="right"))
    return Verification(far, float(pairs.same[:n_bins].sum() / pairs.n_same), n_bins * BIN_WIDTH)


def nearer(pairs: PairCounts) -> float | None:
    """Return how often, of a pair of one person and a pair of two, that of one is nearer (the area under the curve of
    true and false accepts): 1 where labels are people whom the engine knows, about 0.5 where they are anything else.
    None: there are no such pairs.
    """
    if not pairs.n_same or not pairs.n_different:
        return None
    farther = pairs.n_different - pairs.different.cumsum() + pairs.different / 2
    return float((pairs.same * farther).sum() / pairs.n_same / pairs.n_different)


def rates(pairs: PairCounts) -> tuple[Doubles, Doubles, Doubles]:
    """Return, for pairs nearer than each distance 1, 2, 3... times BIN_WIDTH, three curves of shape (N_BINS,).

    Precision: of the accepted pairs, the share of one person (1 where none is accepted). Recall, which is also the
    true-accept rate: of the pairs of one person, the share that is accepted. False-accept rate.
    """
    same, different = pairs.same.cumsum(), pairs.different.cumsum()
    accepted = same + different
    precision = np.where(accepted > 0, same / np.maximum(accepted, 1), 1.0)
    return precision, same / max(pairs.n_same, 1), different / max(pairs.n_different, 1)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Every combination of a person and a group that occurs."""

    person: Ints
    """Numbers from 0."""
    counts: Ints
    person_sizes: Ints
    group_sizes: Ints


def _cells(people: Ints, groups: Ints) -> _Cells:
    _, person_of, person_sizes = np.unique(people, return_inverse=True, return_counts=True)
    _, group_of, group_sizes = np.unique(groups, return_inverse=True, return_counts=True)
    both, counts = np.unique(person_of * max(1, len(group_sizes)) + group_of, return_counts=True)
    person, group = np.divmod(both, max(1, len(group_sizes)))
    return _Cells(person, counts, person_sizes[person], group_sizes[group])


def _n_pairs(sizes: Ints) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _entropy(labels: Ints) -> float:
    shares = np.unique(labels, return_counts=True)[1] / max(1, len(labels))
    return float(-(shares * np.log(shares)).sum()) if len(shares) > 1 else 0.0


def _bins(cosines: Floats) -> Ints:
    """Return the bin of the distance that belongs to each cosine of unit vectors."""
    distances = np.sqrt(np.clip(2.0 - 2.0 * cosines, 0.0, 4.0))
    bins: Ints = (distances / BIN_WIDTH).astype(np.int64)
    return np.minimum(bins, N_BINS - 1)


def nearest_pair(left: Floats, right: Floats) -> tuple[int, int, float]:
    """Return the rows of the two unit vectors, one of each set, that are nearest to each other, and their distance."""
    best = max(_best_of_blocks(left, right))
    return best[1], best[2], distance_of(best[0])


def _best_of_blocks(left: Floats, right: Floats) -> Iterator[tuple[float, int, int]]:
    for start in range(0, len(left), _BLOCK_ROWS):
        cosines = left[start : start + _BLOCK_ROWS] @ right.T
        row, column = np.unravel_index(int(cosines.argmax()), cosines.shape)
        yield float(cosines[row, column]), start + int(row), int(column)


# --- the worst mistakes, as pairs of faces ---


@dataclass(frozen=True, slots=True)
class Mistake:
    """Two faces that stand for two sets of faces: the nearest pair of one from each."""

    left: int
    """Row of the sample; so is `right`."""
    right: int
    distance: float
    n_left: int
    """Faces that `left` stands for: those of its person in its group."""
    n_right: int
    damage: float
    """What it takes from the sum of all faces' BCubed precision or recall."""


def wrongly_together(people: Ints, groups: Ints, embeddings: Floats) -> list[Mistake]:
    """Return two people of one group at a time, those that cost the most precision first.

    In a group of n faces, a of one person and b of another take 2ab / n from the sum of all faces' precision.
    """
    found = [
        _mistake(embeddings, left, right, len(members))
        for members in _parts(groups)
        for left, right in combinations([members[part] for part in _parts(people[members])], 2)
    ]
    return sorted(found, key=lambda one: (-one.damage, one.distance, one.left, one.right))


def wrongly_apart(people: Ints, groups: Ints, embeddings: Floats) -> list[Mistake]:
    """Return a part of a person that is apart from its largest one at a time, those farthest from it first.

    That is where an engine sees no likeness at all: a look, a light, an age, or a wrong label.
    """
    found = []
    for members in _parts(people):
        parts = sorted((members[part] for part in _parts(groups[members])), key=lambda part: (-len(part), part[0]))
        found += [_mistake(embeddings, parts[0], part, len(members)) for part in parts[1:]]
    return sorted(found, key=lambda one: (-one.distance, one.left, one.right))


def _parts(labels: Ints) -> Iterator[Ints]:
    """Yield the rows of each label."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    yield from (rows for rows in np.split(order, starts) if len(rows))


def _mistake(embeddings: Floats, left: Ints, right: Ints, n_faces: int) -> Mistake:
    row, column, distance = nearest_pair(embeddings[left], embeddings[right])
    return Mistake(
        left=int(left[row]),
        right=int(right[column]),
        distance=distance,
        n_left=len(left),
        n_right=len(right),
        damage=2 * len(left) * len(right) / n_faces,
    )
