"""Vectors of faces in a file that is mapped, not read, and grows as faces come.

The file is a copy: it can be deleted at any time and is made again from the catalog. What it holds is said by its first
page, so that whatever was cut off behind that, or does not fit to it, counts for nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from facewatch.matching.search import Block

MAGIC = b"facewatch vectors 2\n"
"""Begins every file; the number changes with what is in it."""

PAGE_BYTES = 4096
"""What a file says of itself; the faces begin behind that."""


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
    begun: str
    """Drawn when the file was begun: what shares it has the same faces in the same order, as far as both go."""
    token: str
    """Drawn again for every change, and kept by the origin, too: distinguishes the file of an origin that was set back
    to what it was earlier and went another way."""


NOTHING = Extent(n_faces=0, last_place=0, last_id=0, begun="", token="")
"""Of a file before its first face."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds; its vectors are mapped, and stay so when the file is replaced or deleted."""

    extent: Extent
    block: Block
    """Both arrays are mapped, and the ids lie far apart between the vectors."""


class Head:
    """The first page of a file."""

    def __init__(self, magic: bytes, origin: Origin) -> None:
        self._magic = magic
        self._origin = origin

    def page(self, extent: Extent) -> bytes:
        """Return the first page of a file that has come so far."""
        text = self._magic + json.dumps(asdict(self._origin) | asdict(extent)).encode()
        if len(text) > PAGE_BYTES - 4:
            raise ValueError(f"does not fit into a page: {text!r}")
        text = text.ljust(PAGE_BYTES - 4)
        return text + zlib.crc32(text).to_bytes(4, "little")

    def extent(self, page: bytes) -> Extent | None:
        """Return how far the file has come whose first page this is; None: it is damaged, or of another origin."""
        text, checksum = page[:-4], page[-4:]
        is_whole = len(page) == PAGE_BYTES and zlib.crc32(text).to_bytes(4, "little") == checksum
        if not is_whole or not text.startswith(self._magic):
            return None
        facts: dict[str, Any] = json.loads(text[len(self._magic) :])
        if Origin(facts.pop("library"), facts.pop("engine"), facts.pop("n_dims")) != self._origin:
            return None
        return Extent(**facts)


class VectorFile:
    """The file. Any number may read it at any time; who writes it has to be the only one."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self.origin = origin
        self.head = Head(MAGIC, origin)
        self._record = np.dtype([("id", "<i8"), ("vector", "<f4", (origin.n_dims,))])

    def read(self, known: Stored | None = None) -> Stored | None:
        """Return what the file holds; None: there is none, or it is damaged, cut off, or of another origin.

        What is `known` of it already is returned as it is where that is all: a file that is mapped twice takes its
        room in memory twice.
        """
        try:
            with self.path.open("rb") as file:
                extent = self.head.extent(file.read(PAGE_BYTES))
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

    def _map(self, file: BinaryIO, n_faces: int) -> Block:
        if not n_faces:
            records = np.empty(0, self._record)
        else:
            # An ordinary array over the mapping: what is taken from a memmap is one again, which costs with every row.
            records = np.asarray(np.memmap(file, self._record, "r", PAGE_BYTES, (n_faces,)))
        return Block(records["id"], records["vector"])


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
        self._file.write(self._target.head.page(extent))
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
