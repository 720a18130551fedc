"""Which of all known faces are nearest to one?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Doubles, Flags, Floats, Ints

from facewatch.columns import Columns
from facewatch.fs.mapped import read_ahead

BLOCK_FACES = 1_024
"""Rows that are compared with one probe after another while they are in the cache: 2 MB of 512-D vectors."""

MEASURED_AT_ONCE = 8_192
"""Rows that are copied, or whose difference to the probe is taken, at a time: 32 MB of 512-D vectors in double
precision."""

PROBES_AT_ONCE = 16
"""Faces that are compared with all others in one pass, where that takes no more than this:"""

SIMILARITIES_AT_ONCE = 2**26
"""256 MB."""

FACES_A_TOP = 1_024
"""Faces of which the most similar one stands for all where it is asked how similar the n-th is: putting twenty million
in order takes four times as long as comparing them."""

FIRST_LIKELY = 256
"""Faces that an index is asked for at first; four times as many whenever those are not enough."""

LIKELY_A_NEAR = 16
"""Of so many that an index takes for likely one counts as near, so that hardly any is missed."""

FIRST_SORTED = 16
"""Faces that are put in order at first; four times as many whenever those are not enough."""

SLACK = 1e-4
"""More than a float32 cosine of unit vectors is wrong by: exact distances decide between candidates as near as this."""


@dataclass(frozen=True, slots=True)
class Near:
    """A face, and how far it is."""

    face_id: int
    distance: float
    """Euclidean between unit vectors."""


@dataclass(frozen=True, slots=True)
class Block(Columns):
    """Faces."""

    ids: Ints
    vectors: Floats
    """Unit vectors, shape (n_faces, n_dims)."""


class Estimates(Protocol):
    """Compares probes with the first faces of some vectors by less than those, so that it is sooner done."""

    def __len__(self) -> int:
        """Return how many faces it knows."""

    def compare(self, probes: Floats, similarities: Floats) -> float:
        """Write the cosine of every probe with every face it knows; return by how much any of them may be wrong.

        Args:
            probes: unit vectors, float32, shape (n_probes, n_dims).
            similarities: float32, shape (n_probes, n_faces); no number for a face whose vector is none.
        """

    def bounds(self, probe: Floats, rows: Ints) -> tuple[Floats, Floats]:
        """Return between which cosines with one probe those of some faces lie; closer than `compare` says, and slower.

        Args:
            probe: shape (n_dims,).
            rows: ascending, shape (n,).
        """


class Index(Protocol):
    """Finds faces that are likely to be the nearest, among the first of some vectors."""

    def __len__(self) -> int:
        """Return how many faces it knows."""

    def likely(self, probe: Floats, n: int) -> Ints:
        """Return the rows of `n` faces that are likely to be the nearest, or of all; ascending.

        Args:
            probe: a unit vector, shape (n_dims,).
        """


class Vectors:
    """All faces that can be found."""

    def __init__(
        self, blocks: Collection[Block], estimates: Estimates | None = None, index: Index | None = None
    ) -> None:
        """`estimates` of the first of these faces make finding the nearest quicker, and the answer is the same; an
        `index` of them takes their place, and may miss some."""
        self._blocks = tuple(block for block in blocks if len(block.ids))
        self._starts = np.cumsum([0, *(len(block.ids) for block in self._blocks)])
        self._estimates = estimates
        self._index = index

    @property
    def is_exact(self) -> bool:
        """Whether every face is compared."""
        return self._index is None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def with_more(self, block: Block) -> Vectors:
        """Return these faces and the block's."""
        return Vectors((*self._blocks, block), self._estimates, self._index)

    def of(self, ids: Collection[int]) -> dict[int, Floats]:
        """Return the vectors of those of these faces that are here, by id."""
        wanted = np.fromiter(ids, np.int64, len(ids))
        return {
            int(block.ids[row]): np.array(block.vectors[row])
            for block in self._blocks
            for row in np.flatnonzero(np.isin(block.ids, wanted))
        }

    def taken(self, ids: Ints) -> Block:
        """Return those of these faces that are here, by id; `ids` are ascending."""
        if len(self._blocks) == 1 and np.array_equal(self._blocks[0].ids, ids):
            return self._blocks[0]  # all of them: nothing is copied
        parts = [(block, *_places(block, ids)) for block in self._blocks]
        n_dims = self._blocks[0].vectors.shape[1] if self._blocks else 0
        here = Block(
            np.concatenate([np.zeros(0, np.int64), *(ids[places] for _, _, places in parts)]),
            np.concatenate([np.zeros((0, n_dims), np.float32), *(block.vectors[rows] for block, rows, _ in parts)]),
        )
        return here.take(np.argsort(here.ids))

    def besides(self, ids: Ints) -> Iterator[Block]:
        """Yield all faces but these, which are ascending; some at a time."""
        for block in self._blocks:
            rows, _ = _places(block, ids)
            others = np.delete(np.arange(len(block.ids)), rows)
            for start in range(0, len(others), MEASURED_AT_ONCE):
                yield block.take(others[start : start + MEASURED_AT_ONCE])

    def sums(self, ids: Ints, groups: Ints) -> tuple[Doubles, Ints]:
        """Return for each group the sum of the vectors of its faces, shape (n_groups, n_dims), and how many are here.

        Args:
            ids: faces, ascending.
            groups: 0, 1, 2... of each face, shape (n_faces,).
        """
        n_groups = int(groups.max(initial=-1)) + 1
        totals = np.zeros((n_groups, self._blocks[0].vectors.shape[1] if self._blocks else 0))
        sizes = np.zeros(n_groups, np.int64)
        for block in self._blocks:
            rows, places = _places(block, ids)
            if not len(rows):
                continue
            own = groups[places]
            order = np.argsort(own, kind="stable")
            present, starts = np.unique(own[order], return_index=True)
            # Group by group: the vectors are mapped, and all of them copied would be as many again in memory.
            for group, part in zip(present.tolist(), np.split(rows[order], starts[1:]), strict=True):
                totals[group] += block.vectors[part].sum(0, dtype=np.float64)
                sizes[group] += len(part)
        return totals, sizes

    def nearest(self, probes: Floats) -> Iterator[Iterator[Near]]:
        """Yield, for each probe, all faces from the nearest to the farthest; equally far ones in order of their ids.

        Exact unless there is an index: every face is compared. Only as many are put in order as are asked for, so
        whoever wants k of a kind takes faces until there are k.

        Args:
            probes: unit vectors, float32, shape (n_probes, n_dims).
        """
        if self._index is not None:
            yield from (self._likely_in_order(probe, self._index) for probe in probes)
            return
        n_at_once = min(PROBES_AT_ONCE, max(1, SIMILARITIES_AT_ONCE // max(1, len(self))))
        for start in range(0, len(probes), n_at_once):
            group = probes[start : start + n_at_once]
            similarities, slack = self._compare(group)
            for probe, row in zip(group, similarities, strict=True):
                yield self._in_order(probe, row, slack)

    def _likely_in_order(self, probe: Floats, index: Index) -> Iterator[Near]:
        given: set[int] = set()
        others = np.arange(len(index), len(self))
        n_likely = FIRST_LIKELY
        while len(given) < len(self):
            ids, distances = self._measure(np.concatenate([index.likely(probe, n_likely), others]), probe)
            is_all = n_likely >= len(index)
            for row in np.lexsort((ids, distances))[: None if is_all else n_likely // LIKELY_A_NEAR]:
                if not np.isnan(distances[row]) and int(ids[row]) not in given:
                    given.add(int(ids[row]))
                    yield Near(int(ids[row]), float(distances[row]))
            if is_all:
                return
            n_likely *= 4

    def _compare(self, probes: Floats) -> tuple[Floats, float]:
        """Return the cosine of every probe with every face, shape (n_probes, n_faces), -inf for what is no number; and
        by how much any two of them may be wrong together."""
        similarities = np.empty((len(probes), len(self)), np.float32)
        n_known, slack = 0, SLACK
        if self._estimates is not None:
            n_known = len(self._estimates)
            slack += 2 * self._estimates.compare(probes, similarities[:, :n_known])
        for block, offset in zip(self._blocks, self._starts[:-1], strict=True):
            for start in range(max(0, n_known - offset), len(block.ids), BLOCK_FACES):
                rows = block.vectors[start : start + BLOCK_FACES]
                at = slice(offset + start, offset + start + len(rows))
                for number, probe in enumerate(probes):
                    # One dot product a row: a matrix product would be spread over all cores, which costs three times
                    # the processor time where memory is what it waits for, and more where cores are busy.
                    np.vecdot(rows, probe, out=similarities[number, at])
        np.fmax(similarities, np.float32(-np.inf), out=similarities)
        return similarities, slack

    def _in_order(self, probe: Floats, similarities: Floats, slack: float) -> Iterator[Near]:
        n_given, n_wanted = 0, FIRST_SORTED
        while n_given < len(similarities):
            bar = _bar(similarities, n_wanted)
            # Whatever is left out is farther than the `n_sure` nearest of these, however its cosine was rounded.
            rows = np.flatnonzero(similarities >= bar - slack)
            n_sure = int(np.count_nonzero(similarities[rows] >= bar))
            ids, distances = self._measure(self._without_farther(rows, n_sure, probe, similarities), probe)
            for row in np.lexsort((ids, distances))[n_given:n_sure]:
                if not np.isnan(distances[row]):
                    yield Near(int(ids[row]), float(distances[row]))
            n_given, n_wanted = n_sure, 4 * n_sure

    def _without_farther(self, rows: Ints, n: int, probe: Floats, similarities: Floats) -> Ints:
        """Return these rows, which are sorted, without what is certainly farther than the `n` nearest of them.

        Their vectors may have to be read from the disk one by one.
        """
        if self._estimates is None or len(rows) > MEASURED_AT_ONCE:
            return rows
        n_estimated = int(np.searchsorted(rows, len(self._estimates)))
        low, high = self._estimates.bounds(probe, rows[:n_estimated])
        exact = similarities[rows[n_estimated:]]
        low, high = np.concatenate([low, exact - SLACK]), np.concatenate([high, exact + SLACK])
        is_near: Flags = high >= np.partition(low, -n)[-n]
        return rows[is_near]

    def _measure(self, rows: Ints, probe: Floats) -> tuple[Ints, Doubles]:
        """Return ids and exact distances of the faces in these rows, which are sorted."""
        ids, distances = np.empty(len(rows), np.int64), np.empty(len(rows), np.float64)
        of_block = np.searchsorted(rows, self._starts)
        for number, block in enumerate(self._blocks):
            for start in range(of_block[number], of_block[number + 1], MEASURED_AT_ONCE):
                at = slice(start, min(start + MEASURED_AT_ONCE, of_block[number + 1]))
                inside = rows[at] - self._starts[number]
                read_ahead(block.vectors, inside)
                ids[at] = block.ids[inside]
                distances[at] = np.linalg.norm(block.vectors[inside].astype(np.float64) - probe, axis=1)
        return ids, distances


def _bar(similarities: Floats, n: int) -> float:
    """Return a similarity that at least `n` faces reach, or all, and hardly more."""
    n_tops = len(similarities) // FACES_A_TOP
    # Of so many groups hardly one has two of the n.
    if n_tops >= 64 * n:
        similarities = similarities[: n_tops * FACES_A_TOP].reshape(n_tops, FACES_A_TOP).max(1)
    n_others = max(0, len(similarities) - n)
    return float(np.partition(similarities, n_others)[n_others])


def _places(block: Block, ids: Ints) -> tuple[Ints, Ints]:
    """Return the rows of a block that hold some of these faces, which are ascending, and where among them each is."""
    places = np.minimum(np.searchsorted(ids, block.ids), max(len(ids) - 1, 0))
    rows = np.flatnonzero(ids[places] == block.ids) if len(ids) else np.zeros(0, np.int64)
    return rows, places[rows]
