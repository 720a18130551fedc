"""One photo, one transaction, idempotent: hash -> analyse -> catalog.

Two looks at a file, both in worker processes: `examine` reads its bytes once (hash, kind, size in pixels), and only a
photo that the catalog does not know is `analyse`d. What is in flight is bounded by pixels, not by photos.

Photos that were brought in before the catalog had room for when they were taken: `find_dates`.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from facewatch.boxes import pair_up
from facewatch.catalog import Catalog
from facewatch.catalog.files import UndatedFile
from facewatch.errors import PhotoError
from facewatch.ingest.eyes import UNREADABLE, Analysed, Examined, Eyes, Recipe, taken_at
from facewatch.ingest.workers import Analyser, InlineAnalyser, Workers
from facewatch.types import Analysis, Fingerprint

__all__ = [
    "ALIGNED_BATCH",
    "PIXELS_IN_FLIGHT",
    "Analysed",
    "Analyser",
    "Examined",
    "Eyes",
    "Ingest",
    "Ingested",
    "InlineAnalyser",
    "Recipe",
    "Settle",
    "Workers",
    "find_dates",
]

log = logging.getLogger(__name__)

PIXELS_IN_FLIGHT = 60_000_000
"""Pixels being decoded at one time by all workers together; a larger photo is decoded alone. 60 million are 180 MB of
RGB, twice that while Pillow converts."""

ALIGNED_BATCH = 32
"""Crops that go to the recogniser together; see engines.arcface.BATCH_FACES."""


DATED_TOGETHER = 64
"""Photos whose dates are recorded in one transaction: 7 ms for JPEGs that are in memory, most of a second where a hard
disk seeks each."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one file."""

    path: str
    kind: str
    """new, again (known, but not to this engine), known (content seen before), faulty, other (not a photo), vanished,
    or unsettled (still changing)"""
    n_faces: int = 0
    n_assigned: int = 0
    fault: tuple[str, str] | None = None
    ms: float = 0.0


class Settle(Protocol):
    """Decides who the new faces of a photo are; called inside the photo's transaction, returns how many it assigned."""

    def __call__(self, photo_id: int) -> int: ...


@dataclass(slots=True)
class _Job:
    """One file on its way."""

    path: str
    started: float
    examined: Examined | None = None
    is_known: bool = False
    """Whether another engine has looked at this photo."""
    crashes: int = 0


_Flying = dict[Future[Any], tuple[_Job, ...]]
"""What the workers are at: one job, or the batch of jobs that share an answer."""

_Answer = Callable[[], "Examined | Analysed | None"]


def _answers(future: Future[Any], n_jobs: int) -> list[_Answer]:
    """Return how to ask for each job's part of the answer; asking raises what the worker raised."""
    if future.exception() is not None or not isinstance(future.result(), list):
        return [future.result] * n_jobs
    return [partial(_itself, part) for part in future.result()]


def _itself(part: Analysed | None) -> Analysed | None:
    return part


class Ingest:
    """Brings files of one root into the catalog, several at a time, each in a transaction of its own."""

    def __init__(
        self,
        catalog: Catalog,
        analyser: Analyser,
        *,
        root: Path,
        root_id: int,
        engine_id: int,
        settle: Settle,
        prepare: Callable[[], object] = lambda: None,
        is_aligned: bool = False,
    ) -> None:
        """`prepare` is called before what `settle` needs has to be at hand: nothing slow may happen inside a
        transaction. `is_aligned`: every photo is a crop of one face."""
        self._catalog = catalog
        self._analyser = analyser
        self._root = root
        self._root_id = root_id
        self._engine_id = engine_id
        self._settle = settle
        self._prepare = prepare
        self._is_aligned = is_aligned

    def run(self, paths: Iterable[str]) -> Iterator[Ingested]:
        """Yield what became of each path below the root; the order is the workers', the outcome is not.

        Closing the generator stops after what is being written; what was not begun is simply found again.
        """
        waiting = deque(_Job(path, 0.0) for path in paths)
        ready: deque[_Job] = deque()
        flying: _Flying = {}
        while waiting or ready or flying:
            self._launch(waiting, ready, flying)
            done = wait(list[Future[Any]](flying), return_when=FIRST_COMPLETED).done
            # In the order of the files, as far as they are ready: ids depend on it, and a set has none.
            for future in [future for future in flying if future in done]:
                jobs = flying.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects = [*jobs, *(job for others in flying.values() for job in others)]
                    flying.clear()
                    yield from self._after_crash(suspects, waiting)
                    break
                for job, answer in zip(jobs, _answers(future, len(jobs)), strict=True):
                    outcome = self._step(job, answer, ready)
                    if outcome is not None:
                        yield outcome

    def _launch(self, waiting: deque[_Job], ready: deque[_Job], flying: _Flying) -> None:
        """Keep the workers busy: one job in each hand and one behind it."""
        most = 2 * self._analyser.n_workers
        while ready and len(flying) < most and self._fits(ready[0], flying):
            if self._is_aligned:
                self._launch_batch(ready, flying)
            else:
                job = ready.popleft()
                assert job.examined is not None
                flying[self._analyser.analyse(self._full(job.path), job.examined.fingerprint)] = (job,)
        n_wanted = ALIGNED_BATCH if self._is_aligned else 1
        while waiting and len(ready) < n_wanted and len(flying) < most:
            if any(job.crashes for jobs in flying.values() for job in jobs) or (waiting[0].crashes and flying):
                return  # a suspect is looked at alone, so that the next crash has one culprit
            job = waiting.popleft()
            job.started = perf_counter()
            flying[self._analyser.examine(self._full(job.path))] = (job,)

    def _launch_batch(self, ready: deque[_Job], flying: _Flying) -> None:
        """Send off what is ready as one batch; a suspect goes alone."""
        n_jobs = 1 if ready[0].crashes else ALIGNED_BATCH
        jobs = tuple(ready.popleft() for _ in range(min(n_jobs, len(ready))))
        photos = [(self._full(job.path), job.examined.fingerprint) for job in jobs if job.examined]
        flying[self._analyser.analyse_aligned(photos)] = jobs

    @staticmethod
    def _fits(job: _Job, flying: _Flying) -> bool:
        in_flight = sum(other.examined.n_pixels for jobs in flying.values() for other in jobs if other.examined)
        assert job.examined is not None
        return not flying or in_flight == 0 or in_flight + job.examined.n_pixels <= PIXELS_IN_FLIGHT

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _after_crash(self, suspects: list[_Job], waiting: deque[_Job]) -> Iterator[Ingested]:
        """A worker died. Whoever was alone in flight did it; several are tried again, one at a time."""
        self._analyser.restart()
        log.warning("a worker process died; %d photo(s) were in flight", len(suspects))
        for job in suspects:
            job.crashes += 1
            if job.crashes > 1 and len(suspects) == 1:
                fault = ("crashes the decoder or the detector", "open and save it again with another program")
                print_ = job.examined.fingerprint if job.examined else Fingerprint.of(os.lstat(self._full(job.path)))
                yield self._record_fault(job, print_, fault)
            else:
                job.examined = None
                waiting.appendleft(job)

    def _step(self, job: _Job, answer: _Answer, ready: deque[_Job]) -> Ingested | None:
        """Take the job one step further; the outcome when that was the last."""
        try:
            result = answer()
        except FileNotFoundError:
            return Ingested(job.path, "vanished")
        except OSError as error:
            return self._unreadable(job, error)
        if result is None:
            return Ingested(job.path, "unsettled")
        if isinstance(result, Examined):
            return self._examined(job, result, ready)
        return self._analysed(job, result)

    def _unreadable(self, job: _Job, error: OSError) -> Ingested:
        try:
            fingerprint = Fingerprint.of(os.lstat(self._full(job.path)))
        except OSError:
            return Ingested(job.path, "vanished")
        return self._record_fault(job, fingerprint, (f"cannot be read: {error.strerror}", UNREADABLE))

    def _examined(self, job: _Job, result: Examined, ready: deque[_Job]) -> Ingested | None:
        if result.fault:
            return self._record_fault(job, result.fingerprint, result.fault)
        if result.sha256 is None:
            with self._catalog.write():
                self._record(job, result.fingerprint)
            return Ingested(job.path, "other")
        photo_id = self._catalog.files.photo(result.sha256)
        if photo_id is not None and self._catalog.faces.is_analysed(photo_id, self._engine_id):
            with self._catalog.write():
                self._record(job, result.fingerprint, photo_id=photo_id)
            return Ingested(job.path, "known", ms=self._ms(job))
        job.examined, job.is_known = result, photo_id is not None
        ready.append(job)
        return None

    def _analysed(self, job: _Job, result: Analysed) -> Ingested:
        examined = job.examined
        assert examined is not None
        if result.analysis is None:
            return self._record_fault(job, examined.fingerprint, result.fault or ("unknown fault", ""))
        n_assigned = self._store(job, examined, result.analysis)
        kind = "again" if job.is_known else "new"
        return Ingested(job.path, kind, len(result.analysis.faces), n_assigned, ms=self._ms(job))

    def _store(self, job: _Job, examined: Examined, analysis: Analysis) -> int:
        catalog, now = self._catalog, self._catalog.now()
        assert examined.sha256 is not None
        self._prepare()
        with catalog.write():
            size = analysis.width, analysis.height
            photo_id = catalog.files.add_photo(examined.sha256, size, analysis.format, now, taken_at=analysis.taken_at)
            self._record(job, examined.fingerprint, photo_id=photo_id)
            if catalog.faces.is_analysed(photo_id, self._engine_id):
                return 0  # a copy of it was quicker
            known, boxes = catalog.faces.boxes(photo_id)
            found = np.array([[face.box.x, face.box.y, face.box.w, face.box.h] for face in analysis.faces], np.float64)
            heirs = {new: known[old] for old, new in pair_up(boxes, found)}
            catalog.faces.add_analysis(photo_id, self._engine_id, analysis, now, heirs=heirs)
            return self._settle(photo_id)

    def _record_fault(self, job: _Job, fingerprint: Fingerprint, fault: tuple[str, str]) -> Ingested:
        with self._catalog.write():
            self._record(job, fingerprint, fault=fault)
        return Ingested(job.path, "faulty", fault=fault, ms=self._ms(job))

    def _record(
        self,
        job: _Job,
        fingerprint: Fingerprint,
        *,
        photo_id: int | None = None,
        fault: tuple[str, str] | None = None,
    ) -> None:
        self._catalog.files.record(
            self._root_id, job.path, fingerprint, photo_id=photo_id, fault=fault, now=self._catalog.now()
        )

    @staticmethod
    def _ms(job: _Job) -> float:
        return (perf_counter() - job.started) * 1000


def find_dates(catalog: Catalog, *, max_pixels: int) -> Iterator[int]:
    """Record when photos were taken where nobody has looked; yields how many were looked at, after each transaction.

    Only headers are read, in this process. A photo whose file is gone, changed, unreadable or broken is passed over:
    the next call tries it again. Closing the generator stops after what is recorded.
    """
    after = n_looked = 0
    while files := catalog.files.undated(after=after, most=DATED_TOGETHER):
        copies = {photo_id: list(copies) for photo_id, copies in groupby(files, attrgetter("photo_id"))}
        answers = {photo_id: _first_answer(copies[photo_id], max_pixels) for photo_id in copies}
        with catalog.write():
            catalog.files.set_taken({photo_id: moment for photo_id, moment in answers.items() if moment is not None})
        after = files[-1].photo_id
        n_looked += len(copies)
        yield n_looked


def _first_answer(copies: Iterable[UndatedFile], max_pixels: int) -> str | None:
    """Return what the first copy that can be read says; None: none can."""
    for copy in copies:
        try:
            return taken_at(copy.path, copy.fingerprint, max_pixels=max_pixels)
        except (OSError, PhotoError) as error:
            log.debug("%s: not asked when it was taken: %s", copy.path, error)
    return None
