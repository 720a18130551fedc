"""The vectors of a catalog's faces, kept in a file beside it that grows as faces come.

Where the file cannot be used or written the answer is the same and only takes longer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import Catalog, FaceTable, KnownEngine
from facewatch.errors import CatalogError
from facewatch.fs import sidecar
from facewatch.fs.locks import file_lock
from facewatch.fs.sidecar import beside
from facewatch.matching.codes import CodeFile, Codes, can_compare
from facewatch.matching.rabitq import RabitqFiles, RabitqIndex, can_index
from facewatch.matching.search import Block, Vectors
from facewatch.matching.vector_file import NOTHING, Extent, Origin, Stored, VectorFile
from facewatch.types import Kept

if TYPE_CHECKING:
    from facewatch.types import Floats, Ints

log = logging.getLogger(__name__)

WRITE_WAIT_SECONDS = 30.0
"""How long to wait for another process that writes the file; a million faces are written in less, codes included."""

FACES_AT_ONCE = 16_384
"""Vectors taken from the catalog at a time: 32 MB of 512-D ones."""

TOKEN = "vectors"
"""The setting that says which file is the catalog's."""

CODED_FROM = 500_000
"""Faces of which codes are kept, too: fewer are compared by their vectors in less than 0.1 s."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Vectors, and how far they go."""

    extent: Extent
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What the catalog agrees with of some vectors."""

    held: _Held | None
    """None: there are none, or they are not its own."""
    is_complete: bool
    """Whether nothing has come since."""


def all_faces(
    catalog: Catalog,
    engine_id: int,
    n_dims: int,
    vectors: Vectors | None,
    *,
    people: Collection[int] | None = None,
    with_references: bool = False,
) -> FaceTable:
    """Return all faces of the library, or those of these people, as this engine sees them; see `Faces.load`.

    Args:
        vectors: those of all faces by this engine; None, or where some are not among them: they are read.
    """
    if vectors is not None:
        with suppress(KeyError):
            return catalog.faces.load_with(
                engine_id, lambda ids: _vectors_of(ids, vectors), people=people, with_references=with_references
            )
    return catalog.faces.load(engine_id, n_dims=n_dims, people=people, with_references=with_references)


def _vectors_of(ids: Ints, vectors: Vectors) -> Floats:
    found = vectors.taken(ids)
    if len(found) < len(ids):
        raise KeyError("a face has no vector")
    return found.vectors


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the file held, and the codes beside it."""

    stored: Stored
    codes: Codes | None
    index: RabitqIndex | None
    vectors: Vectors

    @property
    def is_large(self) -> bool:
        return len(self.stored.block) >= CODED_FROM

    @property
    def lacks_codes(self) -> bool:
        """Whether searching would be quicker with more of them."""
        return self.is_large and can_compare() and (self.codes is None or len(self.codes) < len(self.stored.block))


class KeptVectors:
    """The vectors of a catalog's faces, kept in a file beside it from one time to the next.

    The catalog is the truth: it says which file is its own by the token of the last change, and how many vectors came
    until the last one in the file. Where that does not agree the file is made again.
    """

    def __init__(self, catalog: Catalog, mapped: Kept[Mapped] | None = None, *, has_index: bool = False) -> None:
        """`mapped`: what the file held, which may be shared; it is mapped again when it holds something else.
        `has_index`: large ones are searched by an index, which may miss faces, and not by comparing with all."""
        self._catalog = catalog
        self._has_index = has_index and can_index()
        self._lacks_faiss = has_index and not self._has_index
        self._mapped = mapped or Kept()
        self._held: dict[int, _Held] = {}
        """What was searched last, by engine; more than the file holds where that cannot be written."""
        self._logged = ""
        """The last fault that was logged."""

    def keep_up(self, engine: KnownEngine) -> None:
        """Bring the file and its codes up to date; a fault is logged and changes nothing else."""
        is_complete = self._agreed(engine, self._stored(engine)).is_complete
        if not is_complete or (self._mapped.value and self._lacks(engine, self._mapped.value)):
            self._try_to_write(engine)

    def load(self, engine: KnownEngine) -> Vectors:
        """Return all vectors of an engine, mapped from the file as far as it can be brought up to date."""
        agreed = self._agreed(engine, self._best(engine))
        held = agreed.held
        if held is None or not agreed.is_complete:
            held = self._try_to_write(engine) or self._in_memory(engine, held)
        self._held = {engine.id: held}
        return held.vectors

    def at_hand(self, engine: KnownEngine) -> Vectors | None:
        """Return all vectors of an engine, mapped from the file as far as it goes; None: it is of no use."""
        agreed = self._agreed(engine, self._best(engine))
        if agreed.held is None:
            return None
        held = agreed.held if agreed.is_complete else self._in_memory(engine, agreed.held)
        self._held = {engine.id: held}
        return held.vectors

    def _best(self, engine: KnownEngine) -> _Held | None:
        """Return what goes farther: what the file holds, or what is held from before."""
        held, stored = self._held.get(engine.id), self._stored(engine)
        return held if held and (stored is None or stored.extent.n_faces < held.extent.n_faces) else stored

    def _stored(self, engine: KnownEngine) -> _Held | None:
        """Return what the file holds, if it is the catalog's own."""
        known = self._mapped.value
        stored = self._file(engine).read(known.stored if known else None)
        if stored is None or stored.extent.token != self._catalog.settings.get(TOKEN):
            return None
        if known is None or stored is not known.stored:
            self._mapped.value = known = self._with_helpers(engine, stored)
        return _Held(stored.extent, known.vectors)

    def _with_helpers(self, engine: KnownEngine, stored: Stored) -> Mapped:
        is_large = len(stored.block) >= CODED_FROM
        codes = self._codes(engine).read(stored) if is_large and can_compare() else None
        index = self._index(engine).read(stored) if is_large and self._has_index else None
        if is_large and self._lacks_faiss:
            log.warning(
                'search.index = "rabitq" needs the package faiss-cpu, which is not installed; every face is compared '
                "until then: %s -m pip install faiss-cpu",
                sys.executable,
            )
        ids = np.ascontiguousarray(stored.block.ids[len(codes) if codes else 0 :])
        if codes is not None:
            ids = np.concatenate([codes.ids, ids])
        return Mapped(stored, codes, index, Vectors([Block(ids, stored.block.vectors)], codes, index))

    def _lacks(self, engine: KnownEngine, mapped: Mapped) -> bool:
        """Whether searching would be quicker with more of what helps it."""
        return mapped.lacks_codes or (
            self._has_index and mapped.is_large and self._index(engine).lacks(mapped.index, mapped.stored)
        )

    def _agreed(self, engine: KnownEngine, held: _Held | None) -> _Agreed:
        """Return it if exactly so many vectors came until its last one; else some were deleted, or places changed."""
        extent = held.extent if held else NOTHING
        arrivals = self._catalog.engines.arrivals(engine.id, extent.last_place)
        if (arrivals.n_before, arrivals.last_id or 0) != (extent.n_faces, extent.last_id):
            return _Agreed(None, False)
        return _Agreed(held, next(arrivals.rows, None) is None)

    def _file(self, engine: KnownEngine) -> VectorFile:
        return VectorFile(self._beside(engine), self._origin(engine))

    def _codes(self, engine: KnownEngine) -> CodeFile:
        return CodeFile(self._beside(engine, sidecar.CODES), self._origin(engine))

    def _index(self, engine: KnownEngine) -> RabitqFiles:
        return RabitqFiles(self._beside(engine, sidecar.RABITQ))

    def _beside(self, engine: KnownEngine, suffix: str = "") -> Path:
        return beside(self._catalog.path, f"{sidecar.VECTORS}{engine.fingerprint[:12]}{suffix}")

    def _origin(self, engine: KnownEngine) -> Origin:
        return Origin(self._catalog.library_id, engine.fingerprint, engine.n_dims)

    def _try_to_write(self, engine: KnownEngine) -> _Held | None:
        """Return what the file holds after it was brought up to date; None: that is not for this connection to do, or,
        with a warning, it could not be."""
        if not self._catalog.may_write:
            return None
        try:
            # Others wait here and not for the catalog, which they may need meanwhile.
            with file_lock(
                beside(self._catalog.path, sidecar.VECTORS_LOCK), wait_seconds=WRITE_WAIT_SECONDS, purpose="searching"
            ):
                known = self._agreed(engine, self._stored(engine)).held
                self._drop_helpers_of_others(engine, known)
                self._write(engine, known.extent if known else None)
                self._write_helpers(engine)
            self._logged = ""
            return self._agreed(engine, self._stored(engine)).held
        except (OSError, CatalogError) as error:
            if str(error) != self._logged:
                log.warning("the file that makes searching quick cannot be written; searching takes longer: %s", error)
            self._logged = str(error)
            return None

    def _drop_helpers_of_others(self, engine: KnownEngine, known: _Held | None) -> None:
        """Faces that come now must not take the places of those that a file which went further left codes of."""
        codes, index, mapped = self._codes(engine), self._index(engine), self._mapped.value
        stored = mapped.stored if mapped and known else None
        if codes.path.exists() and (stored is None or codes.read(stored) is None):
            codes.path.unlink()
        if index.exists() and (stored is None or not self._has_index or index.read(stored) is None):
            index.drop()

    def _write_helpers(self, engine: KnownEngine) -> None:
        self._stored(engine)
        mapped = self._mapped.value
        if mapped is None or not self._lacks(engine, mapped):
            return
        self._mapped.value = None  # read again, with what is written now
        if mapped.lacks_codes:
            self._codes(engine).follow(mapped.stored)
        if self._has_index:
            self._index(engine).follow(mapped.stored)

    def _write(self, engine: KnownEngine, known: Extent | None) -> None:
        """Add what has come since; nothing known: start from none."""
        import secrets

        file, extent = self._file(engine), known or NOTHING
        begun = extent.begun or secrets.token_hex(8)
        with file.write(known) as draft:
            for block, place in self._arrivals(engine, extent):
                draft.add(block)
                extent = Extent(draft.n_faces, place, int(block.ids[-1]), begun, secrets.token_hex(8))
            if extent in (known, NOTHING):
                return
            draft.sync()
            # First here: killed in between, the file is made again, and never taken for one that is up to date.
            with self._catalog.write():
                self._catalog.settings.set(TOKEN, extent.token)
            draft.publish(extent)
        if known is None:
            self._remove_others(file.path)

    def _remove_others(self, own: Path) -> None:
        """Files of engines that are not in use any more would never be read."""
        for path in own.parent.iterdir():
            is_own = path.name.startswith(own.name)
            if path.name.startswith(f"{self._catalog.path.name}{sidecar.VECTORS}") and not is_own:
                with suppress(OSError):
                    path.unlink()

    def _in_memory(self, engine: KnownEngine, known: _Held | None) -> _Held:
        """Return what is known and what has come since."""
        extent, vectors = (known.extent, known.vectors) if known else (NOTHING, Vectors([]))
        for block, place in self._arrivals(engine, extent):
            vectors = vectors.with_more(block)
            extent = Extent(len(vectors), place, int(block.ids[-1]), extent.begun, "")
        return _Held(extent, vectors)

    def _arrivals(self, engine: KnownEngine, since: Extent) -> Iterator[tuple[Block, int]]:
        """Yield what has come since, in blocks, each with the place of its last face."""
        rows = self._catalog.engines.arrivals(engine.id, since.last_place).rows
        while batch := list(islice(rows, FACES_AT_ONCE)):
            places, ids, vectors = zip(*batch, strict=True)
            if any(len(vector) != 4 * engine.n_dims for vector in vectors):
                raise CatalogError(
                    f"{self._catalog.path}: damaged (a vector of {engine.name} has not {engine.n_dims} numbers); put a "
                    f"backup ({self._catalog.path.name}.before-*) in its place, or start afresh with `facewatch scan`"
                )
            matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(batch), engine.n_dims)
            yield Block(np.array(ids, np.int64), matrix.astype(np.float32, copy=False)), int(places[-1])
