"""With how much memory faces are grouped: the groups are the same with less, they only come later."""

from __future__ import annotations

from dataclasses import dataclass

from facewatch.errors import EngineError

MB = 1_000_000

BASE_BYTES = 20 * MB
"""What grouping takes however few the faces are."""

BLOCK_BYTES, BLOCK_BYTES_PER_FACE = 200 * MB, 12_000
"""What is worked out at a time takes at most the first, and no more than the second for each face. Where every face has
all its neighbours, 4 000 of 512 dimensions take 73 MB, 10 000 take 136, 20 000 take 316 and 40 000 take 416."""

BYTES_PER_NEIGHBOUR, BATCH_BYTES_PER_NEIGHBOUR = 60, 12
"""What the search and the graph take for each neighbour that is kept of a face, and what larger batches of candidates
add."""

SIEVE_BYTES = 3
"""What the search takes for each number of an embedding, beside the embeddings."""

FLOAT_BYTES = 4

SMALL_BLOCKS = 1 / 8
"""Of the usual size, where memory is short."""


@dataclass(frozen=True, slots=True)
class Room:
    """Memory, in bytes."""

    limit: int
    """What the whole program may take."""
    held: int = 0
    """What it holds already."""


@dataclass(frozen=True, slots=True)
class Means:
    """How grouping goes about it."""

    copied_bytes: int = 2**29
    """Vectors of up to so many bytes are copied with a length of 1: 250 000 of 512 dimensions. Grouping takes a tenth
    longer without."""
    block_share: float = 1.0
    """How much is worked out at a time, as a share of what is usual."""

    def bytes_for(self, n_faces: int, n_dims: int, n_neighbours: int) -> int:
        """Return about how much memory grouping so many faces takes at most, beside their embeddings."""
        of_blocks = BASE_BYTES + min(BLOCK_BYTES, n_faces * BLOCK_BYTES_PER_FACE)
        of_neighbours = n_neighbours * (BYTES_PER_NEIGHBOUR + self.block_share * BATCH_BYTES_PER_NEIGHBOUR)
        copy = n_faces * n_dims * FLOAT_BYTES
        kept = copy if copy <= self.copied_bytes else 0
        return int(of_blocks + n_faces * (of_neighbours + SIEVE_BYTES * n_dims) + kept)


USUAL = Means()

LADDER = USUAL, Means(copied_bytes=0), Means(copied_bytes=0, block_share=SMALL_BLOCKS)
"""The fastest first."""


def means_within(room: Room | None, n_faces: int, n_dims: int, n_neighbours: int) -> Means:
    """Return the fastest way to group so many faces in this memory; None: as much as there is.

    Raises:
        EngineError: there is none.
    """
    needs = {means: means.bytes_for(n_faces, n_dims, n_neighbours) for means in LADDER}
    fitting = [means for means in LADDER if room is None or needs[means] <= room.limit - room.held]
    if fitting:
        return fitting[0]
    assert room
    least = min(needs.values())
    raise EngineError(
        f"grouping {n_faces:,} faces takes about {in_mb(least)} of memory beside the {in_mb(room.held)} that facewatch "
        f"holds, and it may take {in_mb(room.limit)}; raise resources.memory_mb (or the container's limit) to "
        f"{in_mb(room.held + least)}"
    )


def in_mb(n_bytes: int) -> str:
    return f"{-(-n_bytes // MB)} MB"
