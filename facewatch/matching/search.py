"""Which of all known faces are nearest to one? Exact, over vectors that lie in a file and are mapped, not read.

The file is a copy: it can be deleted at any time and is made again from the catalog. What it holds is said by its first
page, so that whatever was cut off behind that, or does not fit to it, counts for nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

if TYPE_CHECKING:
    from facewatch.types import Doubles, Floats, Ints

from facewatch.columns import Columns

MAGIC = b"facewatch vectors 1\n"
"""Begins every file; the number changes with what is in it."""

PAGE_BYTES = 4096
"""What the file says of itself; the faces begin behind that."""

BLOCK_FACES = 1_024
"""Rows that are compared with one probe after another while they are in the cache: 2 MB of 512-D vectors."""

MEASURED_AT_ONCE = 8_192
"""Rows that are copied, or whose difference to the probe is taken, at a time: 32 MB of 512-D vectors in double
precision."""

PROBES_AT_ONCE = 16
"""Faces that are compared with all others in one pass: 64 MB of similarities for a million."""

FIRST_SORTED = 64
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


class Vectors:
    """All faces that can be found."""

    def __init__(self, blocks: Collection[Block]) -> None:
        self._blocks = tuple(block for block in blocks if len(block.ids))
        self._starts = np.cumsum([0, *(len(block.ids) for block in self._blocks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def with_more(self, block: Block) -> Vectors:
        """Return these faces and the block's."""
        return Vectors((*self._blocks, block))

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

        Exact: every face is compared. Only as many are put in order as are asked for, so whoever wants k of a kind
        takes faces until there are k.

        Args:
            probes: unit vectors, float32, shape (n_probes, n_dims).
        """
        for start in range(0, len(probes), PROBES_AT_ONCE):
            group = probes[start : start + PROBES_AT_ONCE]
            for probe, similarities in zip(group, self._compare(group), strict=True):
                yield self._in_order(probe, similarities)

    def _compare(self, probes: Floats) -> Floats:
        """Return the cosine of every probe with every face, shape (n_probes, n_faces), -inf for what is no number."""
        similarities = np.empty((len(probes), len(self)), np.float32)
        for block, offset in zip(self._blocks, self._starts[:-1], strict=True):
            for start in range(0, len(block.ids), BLOCK_FACES):
                rows = block.vectors[start : start + BLOCK_FACES]
                at = slice(offset + start, offset + start + len(rows))
                for number, probe in enumerate(probes):
                    # One dot product a row: a matrix product would be spread over all cores, which costs three times
                    # the processor time where memory is what it waits for, and more where cores are busy.
                    np.vecdot(rows, probe, out=similarities[number, at])
        similarities[np.isnan(similarities)] = -np.inf
        return similarities

    def _in_order(self, probe: Floats, similarities: Floats) -> Iterator[Near]:
        n_given, n_wanted = 0, FIRST_SORTED
        while n_given < len(similarities):
            n_others = max(0, len(similarities) - n_wanted)
            bar = np.partition(similarities, n_others)[n_others]
            # Whatever is left out is farther than the `n_sure` nearest of these, however its cosine was rounded.
            n_sure = int(np.count_nonzero(similarities >= bar))
            ids, distances = self._measure(np.flatnonzero(similarities >= bar - SLACK), probe)
            for row in np.lexsort((ids, distances))[n_given:n_sure]:
                if not np.isnan(distances[row]):
                    yield Near(int(ids[row]), float(distances[row]))
            n_given, n_wanted = n_sure, 4 * n_sure

    def _measure(self, rows: Ints, probe: Floats) -> tuple[Ints, Doubles]:
        """Return ids and exact distances of the faces in these rows, which are sorted."""
        ids, distances = np.empty(len(rows), np.int64), np.empty(len(rows), np.float64)
        of_block = np.searchsorted(rows, self._starts)
        for number, block in enumerate(self._blocks):
            for start in range(of_block[number], of_block[number + 1], MEASURED_AT_ONCE):
                at = slice(start, min(start + MEASURED_AT_ONCE, of_block[number + 1]))
                inside = rows[at] - self._starts[number]
                ids[at] = block.ids[inside]
                distances[at] = np.linalg.norm(block.vectors[inside].astype(np.float64) - probe, axis=1)
        return ids, distances


def _places(block: Block, ids: Ints) -> tuple[Ints, Ints]:
    """Return the rows of a block that hold some of these faces, which are ascending, and where among them each is."""
    places = np.minimum(np.searchsorted(ids, block.ids), max(len(ids) - 1, 0))
    rows = np.flatnonzero(ids[places] == block.ids) if len(ids) else np.zeros(0, np.int64)
    return rows, places[rows]


# --- the file ---


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose faces a file holds: those of another library or engine are never compared."""

    library: str
    engine: str
    """Its fingerprint."""
    n_dims: int


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a file has come with the faces of its origin."""

    n_faces: int
    last_place: int
    """Of the last face, in the order in which they came; 0: there is none."""
    last_id: int
    token: str
    """Drawn again for every change, and kept by the origin, too: distinguishes the file of an origin that was set back
    to what it was earlier and went another way."""


NOTHING = Extent(n_faces=0, last_place=0, last_id=0, token="")
"""Of a file before its first face."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds; its vectors are mapped, and stay so when the file is replaced or deleted."""

    extent: Extent
    block: Block


class VectorFile:
    """The file. Any number may read it at any time; who writes it has to be the only one."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self.origin = origin
        self._record = np.dtype([("id", "<i8"), ("vector", "<f4", (origin.n_dims,))])

    def read(self, known: Stored | None = None) -> Stored | None:
        """Return what the file holds; None: there is none, or it is damaged, cut off, or of another origin.

        What is `known` of it already is returned as it is where that is all: a file that is mapped twice takes its
        room in memory twice.
        """
        try:
            with self.path.open("rb") as file:
                extent = self._extent(file.read(PAGE_BYTES))
                if extent is None or self.end_of(extent.n_faces) > os.fstat(file.fileno()).st_size:
                    return None
                is_known = known is not None and known.extent == extent
                return known if is_known else Stored(extent, self._map(file, extent.n_faces))
        except OSError:
            return None

    def write(self, known: Extent | None) -> Draft:
        """Return what adds faces behind those that are known, or starts from none; see `Draft`.

        Raises:
            OSError: the file cannot be written.
        """
        path = self.path if known else self.path.with_name(f"{self.path.name}.new")
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if known else os.O_CREAT | os.O_TRUNC)
        file = open(os.open(path, flags, 0o600), "r+b")  # noqa: SIM115, PTH123 - closed by the draft
        return Draft(self, path, file, known)

    def end_of(self, n_faces: int) -> int:
        """Return where so many faces end, in bytes."""
        return PAGE_BYTES + n_faces * self._record.itemsize

    def records(self, block: Block) -> bytes:
        """Return faces as they stand in the file: its id before each vector."""
        records = np.empty(len(block.ids), self._record)
        records["id"], records["vector"] = block.ids, block.vectors
        return records.tobytes()

    def page(self, extent: Extent) -> bytes:
        """Return the first page of a file that has come so far."""
        text = MAGIC + json.dumps(asdict(self.origin) | asdict(extent)).encode()
        if len(text) > PAGE_BYTES - 4:
            raise ValueError(f"does not fit into a page: {text!r}")
        text = text.ljust(PAGE_BYTES - 4)
        return text + zlib.crc32(text).to_bytes(4, "little")

    def _extent(self, page: bytes) -> Extent | None:
        text, checksum = page[:-4], page[-4:]
        is_whole = len(page) == PAGE_BYTES and zlib.crc32(text).to_bytes(4, "little") == checksum
        if not is_whole or not text.startswith(MAGIC):
            return None
        facts: dict[str, Any] = json.loads(text[len(MAGIC) :])
        if Origin(facts.pop("library"), facts.pop("engine"), facts.pop("n_dims")) != self.origin:
            return None
        return Extent(**facts)

    def _map(self, file: BinaryIO, n_faces: int) -> Block:
        if not n_faces:
            records = np.empty(0, self._record)
        else:
            # An ordinary array over the mapping: what is taken from a memmap is one again, which costs with every row.
            records = np.asarray(np.memmap(file, self._record, "r", PAGE_BYTES, (n_faces,)))
        # The ids are asked for by themselves, and lie far apart between the vectors.
        return Block(np.ascontiguousarray(records["id"]), records["vector"])


class Draft:
    """Faces that are being written, none of which counts before `publish`: cut off anywhere, the file is as it was."""

    def __init__(self, target: VectorFile, path: Path, file: BinaryIO, known: Extent | None) -> None:
        self._target = target
        self._path = path
        self._file = file
        self._known = known or NOTHING
        self.n_faces = self._known.n_faces
        self._is_published = False
        self._file.seek(target.end_of(self.n_faces))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            if not self._is_published:
                self._clean_up()

    def add(self, block: Block) -> None:
        self._file.write(self._target.records(block))
        self.n_faces += len(block.ids)

    def sync(self) -> None:
        """Write what was added to the disk, so that a page that counts it is never written before it."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def publish(self, extent: Extent) -> None:
        """From now on the file has come so far; call it once, after `sync`."""
        self._file.seek(0)
        self._file.write(self._target.page(extent))
        self.sync()
        if self._is_new:
            self._path.replace(self._target.path)
        self._is_published = True

    @property
    def _is_new(self) -> bool:
        return self._path != self._target.path

    def _clean_up(self) -> None:
        """Give the room of what does not count back to the disk."""
        if self._is_new:
            self._path.unlink(missing_ok=True)
        else:
            os.truncate(self._path, self._target.end_of(self._known.n_faces))
