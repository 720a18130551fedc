"""Photos through the real engine, as `facewatch scan` would look at them, and remembered in a file where wanted."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from facewatch.catalog import display
from facewatch.indexing.analyzer import Analysed, Examined, LibraryFile
from facewatch.indexing.indexer import Ingest
from facewatch.indexing.pool import Analyser
from facewatch.types import Analysis, Fingerprint, Progress

if TYPE_CHECKING:
    from facewatch.app import Report, Service

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SeenFile:
    """One file as it was when its photo was looked at."""

    size: int
    """Bytes."""
    mtime_ns: int
    sha256: bytes
    ctime_ns: int = 0
    """0: not known."""

    def is_still(self, now: Fingerprint) -> bool:
        return (self.size, self.mtime_ns) == (now.size, now.mtime_ns) and self.ctime_ns in (0, now.ctime_ns)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in photos; a photo that lies in several files was looked at once."""

    files: dict[str, SeenFile] = field(default_factory=dict)
    """By absolute path."""
    analyses: dict[bytes, Analysis] = field(default_factory=dict)
    """By the SHA-256 of the photo's bytes."""
    faults: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What is wrong with a file that could not be used, and what to do about it, by absolute path."""


def look(service: Service, analyser: Analyser, paths: Iterable[Path], *, known: Seen, report: Report) -> Seen:
    """Add to `known` what the engine finds in the photos of these absolute paths, and return it.

    What is known already and has not changed is not looked at again. `known` holds what was done so far when this is
    interrupted. The service's catalog is used up by it.
    """
    paths = list(paths)
    memory = _Memory(analyser, known)
    catalog, now = service.catalog, service.catalog.now()
    with catalog.write():
        root_id = catalog.files.add_root(Path("/"), 0, now)
    work = Ingest(
        catalog, memory, root=Path("/"), root_id=root_id, engine_id=service.engine_id, settle=lambda photo_id: 0
    )
    try:
        for n_done, one in enumerate(work.run(str(path).lstrip("/") for path in paths), 1):
            path = _absolute(one.path)
            if one.fault is not None or one.kind in _FAULTS:
                known.faults[path] = (one.fault.text, one.fault.advice) if one.fault else _FAULTS[one.kind]
                log.warning("%s: %s; %s", display(path), *known.faults[path])
            report(Progress(n_done, len(paths), display(one.path)))
    finally:
        memory.tell()
    return known


_FAULTS = {
    "other": ("is no photo", "leave it out"),
    "vanished": ("has vanished", "bring it back, or leave it out"),
    "unsettled": ("changed while it was read", "try again when it has settled"),
}


class _Memory:
    """An Analyser that answers for what is known and lets another one look at the rest, whose answers it keeps."""

    def __init__(self, inner: Analyser, known: Seen) -> None:
        self.n_workers = inner.n_workers
        self.room = inner.room
        self._inner = inner
        self._known = known
        self._examined: dict[str, Future[Examined]] = {}
        self._analysed: dict[str, Future[Analysed | None]] = {}

    def examine(self, photo: LibraryFile) -> Future[Examined]:
        path = _absolute(photo.path)
        if (known := self._known_analysis(path)) is not None:
            # No pixels: nothing will be decoded.
            return _done(Examined(known[0], self._known.files[path].sha256))
        self._examined[path] = self._inner.examine(photo)
        return self._examined[path]

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[Analysed | None]:
        path = _absolute(photo.path)
        known = self._known_analysis(path)
        if known is not None and known[0] == expected:
            return _done(Analysed(known[1]))
        examined = self._examined.get(path)
        if examined is not None and (same := self._known.analyses.get(examined.result().sha256 or b"")) is not None:
            return _done(Analysed(same))
        self._analysed[path] = self._inner.analyse(photo, expected)
        return self._analysed[path]

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[Analysed | None]]:
        return self._inner.analyse_aligned(photos)

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        return self._inner.taken_at(photo, expected)

    def close(self) -> None:
        self._inner.close()

    def tell(self) -> None:
        """Put what was learnt into what is known."""
        for path, examined in _answers(self._examined):
            if examined.sha256 is not None:
                fingerprint = examined.fingerprint
                self._known.files[path] = SeenFile(
                    fingerprint.size, fingerprint.mtime_ns, examined.sha256, fingerprint.ctime_ns or 0
                )
        for path, analysed in _answers(self._analysed):
            if analysed is not None and analysed.analysis is not None and path in self._known.files:
                self._known.analyses[self._known.files[path].sha256] = analysed.analysis

    def _known_analysis(self, path: str) -> tuple[Fingerprint, Analysis] | None:
        file = self._known.files.get(path)
        if file is None or file.sha256 not in self._known.analyses:
            return None
        try:
            now = Fingerprint.of(os.stat(path, follow_symlinks=False))  # noqa: PTH116 - as `Eyes` opens it
        except OSError:
            return None
        return (now, self._known.analyses[file.sha256]) if file.is_still(now) else None


def _absolute(path: str) -> str:
    """Return a path below "/" as the labels' folder has it."""
    return "/" + path


def _answers(futures: dict[str, Future[_T]]) -> Iterator[tuple[str, _T]]:
    """Yield the answers that came; those that did not are on record as faults."""
    for path, future in futures.items():
        if future.done() and not future.cancelled() and future.exception() is None:
            yield path, future.result()


def _done(answer: _T) -> Future[_T]:
    future: Future[_T] = Future()
    future.set_result(answer)
    return future
