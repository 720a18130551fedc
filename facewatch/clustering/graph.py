"""The graph of nearest neighbours that every method works on, kept and extended as faces come and go."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from facewatch.fs.atomic import replacing

from .means import USUAL, Means
from .neighbours import NearestSearch
from .packing import Packing
from .vectors import as_floats

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from facewatch.types import Flags, Floats, Ints, Vectors

MIN_DISTANCE = 1e-6
"""Stands for 0 between identical vectors: scipy's graph routines take a stored 0 for "no edge"."""

ROWS_AT_ONCE = 1024
"""Rows whose bits are summed at a time: 2 MB of 512-D vectors."""

CHECKSUM_SEED = 20170417
"""The factors of `row_checksums` are random, but always the same."""


class NeighbourGraph:
    """The nearest neighbours of faces with ids, kept and updated from one grouping to the next.

    `update` compares with all others only those faces that are new, whose embedding changed, or that had more
    neighbours than are kept and lost one. Its answer is the same as if nothing had been kept. Embeddings are not kept:
    12 bytes per neighbour and 16 per face, 80 MB for 100 000 faces.
    """

    def __init__(self, *, ceiling: float, n_neighbours: int = 64) -> None:
        """Start without faces.

        Args:
            ceiling: largest distance of an edge, Euclidean between unit vectors, below sqrt(2).
            n_neighbours: nearest faces kept per face, before the graph is made symmetric.

        Raises:
            ValueError: one of them is out of range.
        """
        if not 0.0 < ceiling < np.sqrt(2.0):
            raise ValueError(f"ceiling must lie between 0 and sqrt(2), not {ceiling}")
        if n_neighbours < 1:
            raise ValueError(f"n_neighbours must be at least 1, not {n_neighbours}")
        self.ceiling = ceiling
        self.n_neighbours = n_neighbours
        self.recall = 1.0
        """Share of the edges that it holds, by a sample; 1 while all pairs were compared."""
        self._known = _Known.nobody()

    @property
    def n_faces(self) -> int:
        return len(self._known.ids)

    def save(self, path: Path) -> None:
        """Write it to a file that only the owner may read; a reader sees the old one or the new one, never a part.

        Raises:
            OSError: the file cannot be written.
        """
        with replacing(path, path.with_name(f"{path.name}.new")) as file:
            limits = np.array([self.ceiling, self.n_neighbours, self.recall])
            np.savez(file, limits=limits, **self._known.arrays())  # type: ignore[arg-type]  # none is `allow_pickle`

    @classmethod
    def load(cls, path: Path, *, ceiling: float, n_neighbours: int = 64) -> NeighbourGraph:
        """Return what was written to a file; without faces when it is missing, damaged, or of other limits.

        What it holds is checked face by face when it is updated, so a stale file only costs time.
        """
        graph = cls(ceiling=ceiling, n_neighbours=n_neighbours)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                # A file from before graphs could be approximate says nothing of it.
                found, recall = np.split(stored["limits"], [2])
                if found.tolist() == [ceiling, n_neighbours]:
                    graph._known, graph.recall = _Known.of(stored), float([*recall, 1.0][0])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, RuntimeError):  # the last: encrypted
            pass  # as if nothing had been kept
        return graph

    def update(self, ids: Ints, embeddings: Vectors, means: Means = USUAL) -> csr_matrix:
        """Return the graph over exactly these faces: symmetric CSR of distances, float64, nothing on the diagonal.

        An edge is there when its distance is at most the ceiling and either end counts the other among its
        `n_neighbours` nearest. No pair is left out, while those are not too many (`neighbours.MOST_PAIRS`); beyond,
        `recall` says how many edges are found.

        Args:
            ids: what the faces are known by, any integers, shape (n_faces,). Rows of the graph come in this order.
            embeddings: unit vectors, float32, shape (n_faces, n_dims).
            means: how it is gone about; the answer is the same.

        Raises:
            ValueError: shapes do not fit, or an id is there twice.
        """
        ids, embeddings = np.asarray(ids, dtype=np.int64), as_floats(embeddings)
        if len(embeddings.shape) != 2 or ids.shape != embeddings.shape[:1]:
            raise ValueError(f"one id per embedding: got shapes {ids.shape} and {embeddings.shape}")
        if len(np.unique(ids)) != len(ids):
            raise ValueError("an id is there twice")
        checksums = row_checksums(embeddings)
        # Inside, faces stand in an order of their own, so that of equally near faces the same are kept every time.
        order = np.lexsort((ids, checksums))
        known, is_new, is_stale = self._known.only(ids[order], checksums[order], self.n_neighbours)
        packing = Packing(len(order))
        before = packing.pack(known.rows, known.distances, known.columns)
        search = NearestSearch(
            *(embeddings, order, is_new, is_stale, self.n_neighbours, self.ceiling), share=means.block_share
        )
        packed = search.extend(before)
        self.recall = min(search.recall, 1.0 if is_new.all() else self.recall)
        del search
        ends = packing.rows(packed), packing.columns(packed)
        self._known = _Known(known.ids, known.checksums, *ends, packing.far(packed))
        del before, packed
        return _symmetric(self._known, order)


def row_checksums(embeddings: Vectors) -> NDArray[np.uint64]:
    """Return a number for each row that depends on all its bits: equal rows have equal ones, others hardly ever.

    The bits of each value times a random odd number, summed modulo 2**64 (multiply-shift hashing, Dietzfelbinger et
    al. 1997). Two rows collide with a chance of about 2**-50 when their values come from 16-bit floats.
    """
    random = np.random.default_rng(CHECKSUM_SEED)
    factors = random.integers(2**63, size=embeddings.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    checksums = np.empty(len(embeddings), dtype=np.uint64)
    for start in range(0, len(embeddings), ROWS_AT_ONCE):
        bits = np.ascontiguousarray(embeddings[start : start + ROWS_AT_ONCE], dtype=np.float32).view(np.uint32)
        checksums[start : start + ROWS_AT_ONCE] = (bits * factors).sum(axis=1, dtype=np.uint64)
    return checksums


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept of a graph; edges are directed, from a face to one of its nearest."""

    ids: Ints
    checksums: NDArray[np.uint64]
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    distances: Floats

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> _Known:
        """Return it from its arrays.

        Raises:
            ValueError: they do not fit together.
            KeyError: one is missing.
        """
        known = cls(**{field.name: arrays[field.name] for field in fields(cls)})
        n_faces, ends = len(known.ids), (known.rows, known.columns)
        has_fitting_lengths = known.checksums.shape == known.ids.shape and all(
            end.shape == known.distances.shape for end in ends
        )
        if not has_fitting_lengths or any(((end < 0) | (end >= n_faces)).any() for end in ends):
            raise ValueError("arrays that do not fit together")
        return known

    @classmethod
    def nobody(cls) -> _Known:
        ends = np.empty(0, dtype=np.int32)
        return cls(np.empty(0, np.int64), np.empty(0, np.uint64), ends, ends, np.empty(0, np.float32))

    def is_full(self, n_neighbours: int) -> Flags:
        """Return which faces have all the neighbours they may have, and perhaps more that were not kept."""
        is_full: Flags = np.bincount(self.rows, minlength=len(self.ids)) >= n_neighbours
        return is_full

    def only(self, ids: Ints, checksums: NDArray[np.uint64], n_neighbours: int) -> tuple[_Known, Flags, Flags]:
        """Return what is known of these faces, which of them are new, and which have to be compared again.

        Those are the faces that were full and lost a neighbour: another may take its place.
        """
        was = self._positions(ids, checksums)
        is_new = was < 0
        now = np.full(len(self.ids), -1, dtype=np.int32)
        now[was[~is_new]] = np.flatnonzero(~is_new)
        rows, columns = now[self.rows], now[self.columns]
        is_stale = np.zeros(len(ids), dtype=bool)
        is_stale[rows[(rows >= 0) & (columns < 0)]] = True
        is_stale[~is_new] &= self.is_full(n_neighbours)[was[~is_new]]
        is_here = (rows >= 0) & (columns >= 0)
        is_here[is_here] = ~is_stale[rows[is_here]]
        known = _Known(ids, checksums, rows[is_here], columns[is_here], self.distances[is_here])
        return known, is_new, is_stale

    def _positions(self, ids: Ints, checksums: NDArray[np.uint64]) -> Ints:
        """Return where each face was, -1 when it was not there or with another embedding."""
        if not len(self.ids):
            return np.full(len(ids), -1, dtype=np.int64)
        by_id = np.argsort(self.ids)
        at = by_id[np.minimum(np.searchsorted(self.ids, ids, sorter=by_id), len(by_id) - 1)]
        return np.where((self.ids[at] == ids) & (self.checksums[at] == checksums), at, -1)


def _symmetric(known: _Known, order: Ints) -> csr_matrix:
    """Return the edges in both directions, each once, with the rows in the order that was given."""
    packing = Packing(len(order))
    ends = np.minimum(known.rows, known.columns), np.maximum(known.rows, known.columns)
    pairs = packing.pack(ends[0], known.distances, ends[1])
    del ends
    pairs.sort()
    pairs = pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if len(pairs) else pairs
    distances = np.maximum(packing.far(pairs), MIN_DISTANCE, dtype=np.float64)
    place = order.astype(np.int32)
    near, far = place[packing.rows(pairs)], place[packing.columns(pairs)]
    del pairs
    ends, distances = (np.concatenate([near, far]), np.concatenate([far, near])), np.tile(distances, 2)
    del near, far
    return coo_matrix((distances, ends), shape=(len(order), len(order))).tocsr()
