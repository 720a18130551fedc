"""One search for the nearest faces of many: block by block, most pairs by a bound of their cosine alone.

It is exact up to some hundred thousand faces; beyond, only faces of cells that are near each other are compared.
"""

from __future__ import annotations

from itertools import pairwise
from threading import Lock, local
from typing import TYPE_CHECKING, Any

import numpy as np

from facewatch.columns import slices
from facewatch.cores import on_all_cores

from .cells import Cells, Wanted, cells_for
from .nearest import cells_of
from .packing import Packing, ranks
from .sieve import Product, Sieve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from facewatch.types import Flags, Floats, Ints, Vectors

BLOCK_ROWS, BLOCK_COLUMNS = 512, 2048
"""Of one block of the matrix of cosines: large enough for fast products, and 4 MB, which stay in a processor's cache
until they are looked through."""

PAIRS_AT_ONCE = 256
"""Pairs whose difference is taken at a time: 512 kB of 512-D vectors, which stay in a processor's own cache."""

ROUNDING = 2.0**-22
"""For each dimension: twice what a float32 cosine and one by a float32 distance can differ by. A sum of n products of
float32 is off by at most n * 2**-24 of the sum of their absolute values, which here is at most 1."""

MIN_BATCH = 4 * 2**20
"""Candidates (8 bytes each) collected before the nearest of each face are picked."""

BATCH_SHARE = 0.5
"""Or so many for each edge there is, if those are more: picking again takes time, waiting takes memory."""

PICKED_AT_ONCE = 2**20
"""Candidates of which the nearest are picked at a time."""

SIEVED_PAIRS, SIEVED_PAIRS_PER_FACE = 10**8, 4_000
"""From so many pairs on a sieve is made. Fewer are compared in a second, or sooner than all faces are made integers."""

FACES_PER_CELL = 1_000
"""Faces stand in cells of those that are alike, so that near pairs are together in few blocks."""

ASKED_AT_ONCE = 2**22
"""About how many times a face asks for one of some cells whose work is listed at a time; a list takes 36 bytes for
each meanwhile. Of a million faces each asks for a hundred."""

MOST_PAIRS = 300_000 * 300_000 / 2
"""Of more pairs only those of near cells are compared: all would take some minutes a hundred thousand million."""

DENSE = 64
"""Where more than one in so many pairs of a block may be near, all their cosines cost less than the distances of
those."""


class _Own(local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        self.room = np.empty(BLOCK_ROWS * BLOCK_COLUMNS, dtype=np.float32)
        self.flags = np.empty(BLOCK_ROWS * BLOCK_COLUMNS, dtype=bool)


class NearestSearch:
    """One search for the nearest faces of those that are new or stale, and for the new ones near all others.

    Faces are positions in `order`. Edges are packed, with exact distances; the answer does not depend on blocks, their
    order, the sieve or threads.
    """

    def __init__(
        self,
        embeddings: Vectors,
        order: Ints,
        is_new: Flags,
        is_stale: Flags,
        n_neighbours: int,
        ceiling: float,
        *,
        share: float = 1.0,
    ) -> None:
        """Args:
        share: how many candidates are collected and looked at, and how much work is listed, at a time: a share of what
            is usual."""
        self.recall = 1.0
        """Share of the edges that were found, by a sample; 1: all pairs were compared."""
        self._embeddings, self._order = embeddings, order
        self._is_new, self._is_wanting = is_new, is_new | is_stale
        self._n_neighbours, self._ceiling, self._share = n_neighbours, ceiling, share
        self._packing = Packing(len(order))
        # Vectors need not be of length 1 exactly.
        off = max((_farthest_from_1(embeddings[some]) for some in slices(len(embeddings), BLOCK_COLUMNS)), default=0.0)
        self._slack = ROUNDING * embeddings.shape[1] + 2.0 / self._packing.scale + off
        # The least cosine that can still matter to each face; it rises as its nearest are found.
        self._bar = np.full(len(order), 1.0 - ceiling**2 / 2.0 - self._slack, dtype=np.float32)
        self._picked = np.empty(0, dtype=np.uint64)
        self._batch: list[NDArray[np.uint64]] = []
        self._n_collected = 0
        self._sieve: Sieve | None = None
        self._lock, self._own = Lock(), _Own()

    def extend(self, known: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the edges to the nearest faces of all when these were known, row by row."""
        self._batch = [known]
        self._pick()
        for number, work in enumerate(self._work()):
            on_all_cores(lambda pair: self._compare(*pair), work)
            if not number:
                self._pick()
        self._pick()
        return self._picked

    def _work(self) -> Iterator[Sequence[tuple[Ints, Sequence[Ints]]]]:
        """Yield what is to be compared with what, in parts of which each tells the next what is too far."""
        wanting, settled = np.flatnonzero(self._is_wanting), np.flatnonzero(~self._is_wanting)
        n_pairs = len(wanting) * (len(wanting) / 2 + len(settled))
        is_large = n_pairs >= max(SIEVED_PAIRS, SIEVED_PAIRS_PER_FACE * len(self._order))
        if n_pairs and is_large:
            self._sieve = Sieve.of(self._embeddings, 1.0 - self._ceiling**2 / 2.0)
        if n_pairs > MOST_PAIRS and (cells := self._cells()).n_pairs < n_pairs:
            self.recall = cells.recall
            yield from self._work_in_cells(cells)
            return
        if n_pairs and is_large:
            cell_of = cells_of(self._embeddings, max(1, len(self._order) // FACES_PER_CELL))[self._order]
            wanting, settled = (part[np.argsort(cell_of[part], kind="stable")] for part in (wanting, settled))
        blocks = _split(wanting, BLOCK_COLUMNS), _split(settled, BLOCK_COLUMNS)
        # First those that are alike, which raises the bar.
        yield [(columns, [columns]) for columns in blocks[0]]
        yield _pairs(*blocks)

    def _cells(self) -> Cells:
        is_wanting = np.zeros(len(self._order), dtype=bool)
        is_wanting[self._order] = self._is_wanting
        return cells_for(self._embeddings, Wanted(is_wanting, self._n_neighbours, 1.0 - self._ceiling**2 / 2.0))

    def _work_in_cells(self, cells: Cells) -> Iterator[Sequence[tuple[Ints, Sequence[Ints]]]]:
        """Yield each cell with the faces that are compared with it, first those that it is nearest to."""
        position = np.empty(len(self._order), dtype=np.int32)
        position[self._order] = np.arange(len(self._order))
        probing, members = position[cells.wanting], _by_cell(position, cells.labels)
        for probes in (cells.probes[:, :1], cells.probes[:, 1:]):
            for first, end in _ranges(probes, self._sized(ASKED_AT_ONCE)):
                asking = _asking(probing, probes, first, end)
                yield [
                    (columns, _split(asking[cell], BLOCK_COLUMNS))
                    for cell in sorted(members.keys() & asking.keys())
                    for columns in _split(members[cell], BLOCK_COLUMNS)
                ]

    def _compare(self, columns: Ints, others: Sequence[Ints]) -> None:
        """Collect the near pairs of some faces with others, perhaps themselves."""
        product = self._sieve.against(self._order[columns]) if self._sieve else None
        of_columns = _Side(columns, self._vectors)
        for block in others:
            for rows in _split(block, BLOCK_ROWS):
                of_rows = _Side(rows, self._vectors)
                found = self._sieved(product, rows, columns) if product else None
                if found is None:
                    found = self._alike(of_rows, of_columns)
                near, far = rows[found[0]], columns[found[1]]
                # Among themselves, each pair comes twice.
                is_other = near < far if block is columns else near != far
                distances = _distances(of_rows, found[0][is_other], of_columns, found[1][is_other])
                self._collect(near[is_other], distances, far[is_other])

    def _sieved(self, product: Product, rows: Ints, columns: Ints) -> tuple[Ints, Ints] | None:
        """Return which pairs of a block may be near; None: too many."""
        assert self._sieve
        bounds = product.bounds(self._order[rows], self._own.room.view(np.int32))
        found = self._above(bounds, *(self._sieve.least_of(self._bar[faces]) for faces in (rows, columns)))
        return found if len(found[0]) <= bounds.size / DENSE else None

    def _alike(self, of_rows: _Side, of_columns: _Side) -> tuple[Ints, Ints]:
        """Return which pairs of a block are near."""
        rows, columns = of_rows.faces, of_columns.faces
        cosines = self._own.room[: len(rows) * len(columns)].reshape(len(rows), len(columns))
        np.matmul(of_rows.all(), of_columns.all().T, out=cosines)
        self._raise_bar(rows, cosines)
        self._raise_bar(columns, cosines.T)
        return self._above(cosines, self._bar[rows], self._bar[columns])

    def _above(self, block: NDArray[Any], of_rows: NDArray[Any], of_columns: NDArray[Any]) -> tuple[Ints, Ints]:
        """Return row and column of the numbers of a block that reach the bar of their row or of their column."""
        flags = self._own.flags[: block.size].reshape(block.shape)
        at = np.flatnonzero(np.greater_equal(block, min(of_rows.min(), of_columns.min()), out=flags))
        rows, columns = np.divmod(at, block.shape[1])
        numbers = block.ravel()[at]
        is_above = (numbers >= of_rows[rows]) | (numbers >= of_columns[columns])
        return rows[is_above], columns[is_above]

    def _raise_bar(self, faces: Ints, cosines: Floats) -> None:
        """Faces that find more in a block than they may keep need no farther ones; a face may find itself."""
        n = self._n_neighbours + 1
        if cosines.shape[1] <= n:
            return
        full = np.flatnonzero(np.count_nonzero(cosines >= self._bar[faces][:, None], axis=1) > n)
        last = np.partition(cosines[full], -n, axis=1)[:, -n]
        with self._lock:
            self._bar[faces[full]] = np.maximum(self._bar[faces[full]], last - 2.0 * np.float32(self._slack))

    def _sized(self, usual: float) -> int:
        return max(1, int(self._share * usual))

    def _vectors(self, positions: Ints) -> Floats:
        vectors: Floats = self._embeddings[self._order[positions]]
        return vectors

    def _collect(self, rows: Ints, distances: Floats, columns: Ints) -> None:
        """Keep these pairs for each end to which they are news."""
        parts = []
        for ends, others in ((rows, columns), (columns, rows)):
            is_news = self._is_wanting[ends] | self._is_new[others]
            parts.append(self._packed(ends[is_news], distances[is_news], others[is_news]))
        with self._lock:
            self._batch += parts
            self._n_collected += sum(map(len, parts))
            if self._n_collected >= self._sized(max(MIN_BATCH, BATCH_SHARE * len(self._picked))):
                self._pick()

    def _packed(self, rows: Ints, distances: Floats, columns: Ints) -> NDArray[np.uint64]:
        is_near = (distances <= self._ceiling) & (1.0 - distances**2 / 2.0 >= self._bar[rows])
        return self._packing.pack(rows[is_near], distances[is_near], columns[is_near])

    def _pick(self) -> None:
        """Keep the nearest candidates of each face."""
        packed = np.concatenate([self._picked, *self._batch])
        self._picked, self._batch, self._n_collected = packed[:0], [], 0
        packed.sort()
        n_picked = 0
        # What is worked out of each edge takes eight times its room.
        for part in self._packing.parts(packed, self._sized(PICKED_AT_ONCE)):
            nearest = self._nearest_of(part)
            # Over what has been looked at.
            packed[n_picked : n_picked + len(nearest)] = nearest
            n_picked += len(nearest)
        self._picked = packed[:n_picked].copy()

    def _nearest_of(self, packed: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the nearest of these candidates, which are all that some faces have, in order; and raise the bar."""
        # Faces that each have the other's cell among their nearest are compared twice.
        packed = packed[np.diff(packed, prepend=packed[:1] + np.uint64(1)) != 0]
        rows = self._packing.rows(packed)
        rank = ranks(rows)
        last = np.flatnonzero(rank == self._n_neighbours - 1)
        bar = 1.0 - self._packing.far(packed[last]) ** 2 / 2.0 - np.float32(self._slack)
        self._bar[rows[last]] = np.maximum(self._bar[rows[last]], bar)
        nearest: NDArray[np.uint64] = packed[rank < self._n_neighbours]
        return nearest


class _Side:
    """The faces along one side of blocks of pairs. Their vectors are taken together once many are needed: then they
    stay in a processor's cache."""

    def __init__(self, faces: Ints, vectors_of: Callable[[Ints], Floats]) -> None:
        self.faces, self._vectors_of = faces, vectors_of
        self._vectors: Floats | None = None
        self._n_asked = 0

    def all(self) -> Floats:
        """Return the vectors of all."""
        if self._vectors is None:
            self._vectors = self._vectors_of(self.faces)
        return self._vectors

    def take(self, at: Ints) -> Floats:
        """Return the vectors of some, as often as they are named."""
        self._n_asked += len(at)
        if self._vectors is None and self._n_asked <= len(self.faces):
            return self._vectors_of(self.faces[at])
        return self.all()[at]


def _distances(of_rows: _Side, rows: Ints, of_columns: _Side, columns: Ints) -> Floats:
    """Return the lengths of the differences: near 1, a float32 cosine is too coarse (3e-4 in distance)."""
    distances = np.empty(len(rows), dtype=np.float32)
    for some in slices(len(rows), PAIRS_AT_ONCE):
        differences = of_rows.take(rows[some])
        differences -= of_columns.take(columns[some])
        distances[some] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances


def _split(positions: Ints, size: int) -> list[Ints]:
    return [positions[start : start + size] for start in range(0, len(positions), size)]


def _pairs(wanting: Sequence[Ints], settled: Sequence[Ints]) -> list[tuple[Ints, list[Ints]]]:
    """Return blocks of which one is wanting, each with others, so that each pair of two comes once."""
    return [(columns, [*wanting[number:], *settled]) for number, columns in enumerate(wanting, 1)]


def _farthest_from_1(vectors: Floats) -> float:
    """Return how far the square of a length is from 1."""
    return float(abs(np.einsum("ij,ij->i", vectors, vectors) - 1.0).max())


def _ranges(probes: NDArray[np.integer], size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of ranges of cells that are asked for about so many times."""
    n_cells = int(probes.max(initial=-1)) + 1
    asked = np.zeros(n_cells, np.int64)
    for some in slices(len(probes), BLOCK_COLUMNS):
        asked += np.bincount(probes[some].ravel(), minlength=n_cells)
    ends = 1 + np.flatnonzero(np.diff(np.cumsum(asked) // size, append=-1))
    yield from pairwise([0, *ends.tolist()])


def _asking(faces: NDArray[np.int32], probes: NDArray[np.integer], first: int, end: int) -> dict[int, Ints]:
    """Return the faces that ask for each cell of a range; row i of the probes says for which face i does."""
    found = []
    for some in slices(len(probes), BLOCK_COLUMNS):
        part = probes[some]
        rows, columns = np.nonzero((part >= first) & (part < end))
        found.append((faces[some][rows], part[rows, columns]))
    asking, cells = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _by_cell(asking, cells)


def _by_cell(faces: NDArray[np.integer], cells: NDArray[np.integer]) -> dict[int, Ints]:
    """Return the faces of each cell, given the cell of each."""
    order = np.argsort(cells, kind="stable")
    numbers, starts = np.unique(cells[order], return_index=True)
    # Of nobody there is one part, which is empty.
    return dict(zip(numbers.tolist(), np.split(faces[order], starts[1:]), strict=False))
