"""One photo, one transaction, idempotent: hash -> analyse -> catalog.

Worker processes read a file: `examine` reads its bytes once (hash, kind, size in pixels), and only a photo that the
catalog does not know is also `analyse`d. What is in flight is bounded by pixels and bytes, not by photos.

A photo that costs its worker is analysed once more, alone; if it costs another one, that is its fault, on record as
any other.

Photos that were brought in before the catalog had room for when they were taken: `find_dates`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import groupby, zip_longest
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Protocol

import numpy as np

from facewatch.boxes import pair_up
from facewatch.catalog import Catalog, display
from facewatch.catalog.files import UndatedFile
from facewatch.errors import Fault, FaultCode, PhotoError
from facewatch.indexing.analyzer import (
    AnalysisResult,
    Examination,
    LibraryFile,
    unreadable,
)
from facewatch.indexing.lineage import Versions
from facewatch.indexing.memory import PIXELS_IN_FLIGHT, in_mb
from facewatch.indexing.pool import Workers
from facewatch.indexing.worker import WorkerLost
from facewatch.types import Analysis, Fingerprint

log = logging.getLogger(__name__)

ALIGNED_BATCH = 32
"""Crops that go to the recogniser together; see engines.arcface.BATCH_FACES."""


DATED_TOGETHER = 64
"""Photos whose dates are recorded in one transaction: 7 ms for JPEGs that are in memory, most of a second where a hard
disk seeks each."""


STOP_SECONDS = 0.5
"""How often it is asked whether to stop while photos are waited for."""

NEVER_SEEN = Fingerprint(0, -1, 0)
"""Of a file whose size cannot even be read: when it can, it is read again."""


IndexedKind = Literal["new", "again", "known", "faulty", "other", "vanished", "unsettled"]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of one file."""

    path: str
    kind: IndexedKind
    """"again": known, but not to this engine; "known": content seen before; "other": not a photo; "unsettled": still
    changing."""
    n_faces: int = 0
    n_assigned: int = 0
    """Inherited ones among them."""
    n_inherited: int = 0
    """Faces that are whose they were before the file was edited."""
    fault: Fault | None = None
    ms: float = 0.0
    is_same: bool = False
    """Whether this file held that content already: only its time, rights or names have changed."""


class AssignFaces(Protocol):
    """Decides who the new faces of a photo are; called inside the photo's transaction, returns how many it assigned."""

    def __call__(self, photo_id: int) -> int: ...


@dataclass(slots=True)
class _Job:
    path: str
    started: float
    examined: Examination | None = None
    is_known: bool = False
    """Whether another engine has analysed this photo."""
    n_workers_lost: int = 0
    """How many it has cost; one of those others that it was sent off with may be to blame."""
    was_killed: bool = False
    """Whether an earlier run gave up on it because the machine was short of memory."""


_Flying = dict[Future[Any], tuple[_Job, ...]]
"""What the workers are at: one job, or the batch of jobs that share an answer."""

_Answer = Callable[[], "Examination | AnalysisResult"]


def _answers(future: Future[Any], n_jobs: int) -> list[_Answer]:
    """Return how to ask for each job's part of the answer; asking raises what the worker raised."""
    if future.exception() is not None or not isinstance(future.result(), list):
        return [future.result] * n_jobs
    return [partial(_itself, part) for part in future.result()]


def _itself(part: AnalysisResult) -> AnalysisResult:
    return part


@dataclass(eq=False)
class Indexer:
    """Brings files of one root into the catalog, several at a time, each in a transaction of its own."""

    catalog: Catalog
    workers: Workers
    root: Path
    root_id: int
    engine_id: int
    assign: AssignFaces
    prepare: Callable[[], object] = lambda: None
    """Called before what `assign` needs has to be at hand: nothing slow may happen inside a transaction."""
    is_aligned: bool = False
    """Every photo is a crop of one face."""
    versions: Versions | None = None
    """What finds earlier versions of a photo; its faces are what they were in those."""

    def run(self, paths: Iterable[str], *, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Indexed]:
        """Yield what became of each path below the root; the order is the workers', the outcome is not.

        Closing the generator stops after what is being written, and it ends by itself when `should_stop` says so, which
        is asked between photos and all the time that one is waited for. What was not recorded is simply found again;
        workers go on with what they are at until they are closed.
        """
        flying: _Flying = {}
        try:
            yield from self._run(self._in_order(paths), flying, should_stop)
        finally:
            for future in flying:
                future.cancel()  # what no worker has begun

    def _in_order(self, paths: Iterable[str]) -> deque[_Job]:
        """Return what is to be done. Photos whose workers were killed in an earlier run come last and alone, those
        first that have waited longest: who needs more memory than there is keeps no other photo from being analysed."""
        jobs, again = deque[_Job](), list[tuple[str, str]]()
        for path in paths:
            known = self.catalog.files.one(self.root_id, path)
            if known is not None and known.fault_code is not None and known.fault_code.is_momentary:
                again.append((known.seen_at, path))
            else:
                jobs.append(_Job(path, 0.0))
        jobs.extend(_Job(path, 0.0, n_workers_lost=1, was_killed=True) for _, path in sorted(again))
        return jobs

    def _run(self, waiting: deque[_Job], flying: _Flying, should_stop: Callable[[], bool]) -> Iterator[Indexed]:
        ready: deque[_Job] = deque()
        while (waiting or ready or flying) and not should_stop():
            self._launch(waiting, ready, flying)
            done = wait(list[Future[Any]](flying), STOP_SECONDS, FIRST_COMPLETED).done
            # In the order of the files, as far as they are ready: ids depend on it, and a set has none.
            for future in [future for future in flying if future in done]:
                jobs = flying.pop(future)
                if isinstance(lost := future.exception(), WorkerLost):
                    yield from self._after_loss(jobs, lost, waiting)
                    continue
                for job, answer in zip(jobs, _answers(future, len(jobs)), strict=True):
                    outcome = self._step(job, answer, ready)
                    if outcome is not None:
                        yield outcome

    def _launch(self, waiting: deque[_Job], ready: deque[_Job], flying: _Flying) -> None:
        """Keep the workers busy: one job in each hand and one behind it."""
        most = 2 * self.workers.n_workers
        while ready and len(flying) < most and self._fits(ready[0], flying):
            if self.is_aligned:
                self._launch_batch(ready, flying)
            else:
                job = ready.popleft()
                assert job.examined is not None
                if self._is_only_alone(job.examined.n_bytes):
                    self.workers.close()  # the models of workers that have nothing to do make room
                flying[self.workers.analyse(self._file(job.path), job.examined.fingerprint)] = (job,)
        n_wanted = ALIGNED_BATCH if self.is_aligned else 1
        while waiting and len(ready) < n_wanted and len(flying) < most:
            if any(self._wants_all(job) for jobs in flying.values() for job in jobs):
                return
            if waiting[0].n_workers_lost and (flying or ready):
                return
            job = waiting.popleft()
            if job.n_workers_lost:
                self.workers.close()  # in a process that no other photo has been in, and with all the memory
            job.started = perf_counter()
            flying[self.workers.examine(self._file(job.path))] = (job,)

    def _launch_batch(self, ready: deque[_Job], flying: _Flying) -> None:
        """Send off what is ready, as far as it fits, as one batch; a suspect goes alone."""
        jobs = [ready.popleft()]
        while ready and len(jobs) < ALIGNED_BATCH and not jobs[0].n_workers_lost:
            if self._exceeds([*jobs, ready[0]]):
                break
            jobs.append(ready.popleft())
        photos = [(self._file(job.path), job.examined.fingerprint) for job in jobs if job.examined]
        flying[self.workers.analyse_aligned(photos)] = tuple(jobs)

    def _fits(self, job: _Job, flying: _Flying) -> bool:
        """Whether a photo may be analysed beside those that are."""
        assert job.examined is not None
        if not flying:
            return True
        if self._is_only_alone(job.examined.n_bytes):
            return False
        beside = [other for jobs in flying.values() for other in jobs if other.examined]
        return not beside or not self._exceeds([job, *beside])

    def _exceeds(self, jobs: Sequence[_Job]) -> bool:
        """Whether these are too many pixels or bytes at one time."""
        examined = [job.examined for job in jobs if job.examined]
        together = self.workers.room.together
        return sum(one.n_pixels for one in examined) > PIXELS_IN_FLIGHT or (
            together is not None and sum(one.n_bytes for one in examined) > together
        )

    def _is_only_alone(self, n_bytes: int) -> bool:
        """Whether there is room for so many bytes only where there is but one worker."""
        together = self.workers.room.together
        return together is not None and n_bytes > together

    def _wants_all(self, job: _Job) -> bool:
        """Whether nothing else may be analysed meanwhile: it is a suspect, or needs the memory."""
        return bool(job.n_workers_lost) or (job.examined is not None and self._is_only_alone(job.examined.n_bytes))

    def _file(self, path: str) -> LibraryFile:
        return LibraryFile(str(self.root), path)

    def _after_loss(self, jobs: tuple[_Job, ...], lost: WorkerLost, waiting: deque[_Job]) -> Iterator[Indexed]:
        """These cost a worker. Each is tried once more, alone; who costs another one then did it."""
        for job in reversed(jobs):
            job.n_workers_lost += 1
            if job.n_workers_lost > 1 and len(jobs) == 1:
                yield self._quarantine(job, lost)
                if job.was_killed and lost.fault.code.is_momentary:
                    self._leave_killed(waiting)
            else:
                if len(jobs) == 1:
                    log.warning("%s: %s; trying once more, alone", display(job.path), lost.fault.text)
                job.examined = None
                waiting.appendleft(job)
        if len(jobs) > 1:
            log.warning("%s: %s; trying each alone", ", ".join(display(job.path) for job in jobs), lost.fault.text)

    @staticmethod
    def _leave_killed(waiting: deque[_Job]) -> None:
        """There is still not memory enough: others that were killed before have their turn another time."""
        left = [job for job in waiting if job.was_killed]
        if left:
            log.warning("%d more photo(s) whose workers were killed are left for the next scan", len(left))
        for job in left:
            waiting.remove(job)

    def _quarantine(self, job: _Job, lost: WorkerLost) -> Indexed:
        fingerprint = job.examined.fingerprint if job.examined else self._fingerprint(job.path)
        return self._set_aside(job, fingerprint, lost.fault)

    def _set_aside(self, job: _Job, fingerprint: Fingerprint | None, fault: Fault) -> Indexed:
        return self._record_fault(job, fingerprint, fault) if fingerprint else Indexed(job.path, "vanished")

    def _fingerprint(self, path: str) -> Fingerprint | None:
        """Return how a file looks now, as far as it can be read; None: it is gone, or its folder or drive is."""
        try:
            return Fingerprint.of(os.lstat(self._file(path)))
        except OSError as error:
            # A bad sector: the file is there, and that is all that is known of it.
            return NEVER_SEEN if error.errno == errno.EIO else None

    def _step(self, job: _Job, answer: _Answer, ready: deque[_Job]) -> Indexed | None:
        """Take the job one step further; the outcome when that was the last."""
        try:
            result = answer()
        except FileNotFoundError:
            return Indexed(job.path, "vanished")
        except OSError as error:
            return self._set_aside(job, self._fingerprint(job.path), unreadable(error))
        if result is None:
            return Indexed(job.path, "unsettled")
        if isinstance(result, Examination):
            return self._examined(job, result, ready)
        assert job.examined is not None
        if isinstance(result, Fault):
            return self._record_fault(job, job.examined.fingerprint, result)
        return self._analysed(job, job.examined, result)

    def _examined(self, job: _Job, result: Examination, ready: deque[_Job]) -> Indexed | None:
        if result.fault:
            return self._record_fault(job, result.fingerprint, result.fault)
        if result.sha256 is None:
            with self.catalog.write():
                self._record(job, result.fingerprint)
            return Indexed(job.path, "other")
        photo_id = self.catalog.photos.with_hash(result.sha256)
        if photo_id is not None and self._is_done(photo_id):
            with self.catalog.write():
                before = self.catalog.files.one(self.root_id, job.path)
                self._record(job, result.fingerprint, photo_id=photo_id)
                if self.versions and before is not None and before.photo_id not in (None, photo_id):
                    # It may be back as it was before it was edited: that is a version, too.
                    self.versions.replaced(before.photo_id)
            is_same = before is not None and before.photo_id == photo_id
            return Indexed(job.path, "known", is_same=is_same, ms=self._ms(job))
        alone = self.workers.room.alone
        if alone is not None and result.n_bytes > alone:
            return self._record_fault(
                job,
                result.fingerprint,
                Fault.of(FaultCode.NEEDS_MEMORY, needed=in_mb(result.n_bytes), there=in_mb(alone)),
            )
        job.examined, job.is_known = result, photo_id is not None
        ready.append(job)
        return None

    def _is_done(self, photo_id: int) -> bool:
        """Whether the engine has analysed a photo, and its faces are those shown."""
        is_analysed = self.catalog.faces.is_analysed(photo_id, self.engine_id)
        return is_analysed and not (self.versions and self.catalog.photos.is_misread(photo_id))

    def _analysed(self, job: _Job, examined: Examination, analysis: Analysis) -> Indexed:
        n_inherited, n_settled = self._store(job, examined, analysis)
        kind: IndexedKind = "again" if job.is_known else "new"
        n_faces = len(analysis.faces)
        return Indexed(job.path, kind, n_faces, n_inherited + n_settled, n_inherited, ms=self._ms(job))

    def _store(self, job: _Job, examined: Examination, analysis: Analysis) -> tuple[int, int]:
        """Return how many faces inherited whose they are, and how many were recognised."""
        catalog, now = self.catalog, self.catalog.now()
        assert examined.sha256 is not None
        self.prepare()
        if self.versions:
            self.versions.prepare()
        with catalog.write():
            size = analysis.width, analysis.height
            before = catalog.files.held(self.root_id, job.path)
            misread = self._take_misread(examined.sha256, analysis)
            is_new = catalog.photos.with_hash(examined.sha256) is None
            photo_id = catalog.photos.add(examined.sha256, size, analysis.format, now, taken_at=analysis.taken_at)
            self._record(job, examined.fingerprint, photo_id=photo_id)
            if catalog.faces.is_analysed(photo_id, self.engine_id):
                return 0, 0  # a copy of it was quicker
            known, boxes = catalog.faces.boxes(photo_id)
            found = np.array([[face.box.x, face.box.y, face.box.w, face.box.h] for face in analysis.faces], np.float64)
            earlier = {new: known[old] for old, new in pair_up(boxes, found)}
            face_ids = catalog.faces.add_analysis(photo_id, self.engine_id, analysis, now, earlier=earlier)
            n_inherited = 0
            if misread is not None and self.versions:
                self.versions.correct(photo_id, analysis, face_ids, misread)
                self.versions.gone([misread])
            elif is_new and self.versions:
                n_inherited = self.versions.inherit(photo_id, analysis, face_ids, before)
            return n_inherited, self.assign(photo_id)

    def _take_misread(self, sha256: bytes, analysis: Analysis) -> int | None:
        """Set aside what an older version took the photo for, and return it; None: it was the same, or nothing."""
        photos, photo_id = self.catalog.photos, self.catalog.photos.with_hash(sha256)
        if self.versions is None or photo_id is None or not photos.is_misread(photo_id):
            return None
        is_analysed = self.catalog.faces.is_analysed(photo_id, self.engine_id)
        if not is_analysed or self.versions.is_as_before(analysis, photo_id):
            photos.set_well_read(photo_id)
            return None
        photos.set_aside(photo_id)
        return photo_id

    def _record_fault(self, job: _Job, fingerprint: Fingerprint, fault: Fault) -> Indexed:
        with self.catalog.write():
            before = self.catalog.files.one(self.root_id, job.path)
            self._record(job, fingerprint, fault=fault)
            if self.versions and before is not None and before.photo_id is not None:
                self.versions.gone([before.photo_id])
        return Indexed(job.path, "faulty", fault=fault, ms=self._ms(job))

    def _record(
        self,
        job: _Job,
        fingerprint: Fingerprint,
        *,
        photo_id: int | None = None,
        fault: Fault | None = None,
    ) -> None:
        self.catalog.files.record(
            self.root_id, job.path, fingerprint, photo_id=photo_id, fault=fault, now=self.catalog.now()
        )

    @staticmethod
    def _ms(job: _Job) -> float:
        return (perf_counter() - job.started) * 1000


def find_dates(catalog: Catalog, workers: Workers) -> Iterator[int]:
    """Record when photos were taken whose date has not been read; yields how many were read, after each transaction.

    Only headers are read. A photo whose file is gone, changed, unreadable or broken is passed over: the next call tries
    it again. Closing the generator stops after what is recorded.
    """
    after = n_read = 0
    roots = [str(root) for root in catalog.roots.all()]
    while files := catalog.photos.undated(after=after, most=DATED_TOGETHER):
        copies = {photo_id: list(copies) for photo_id, copies in groupby(files, attrgetter("photo_id"))}
        answers: dict[int, str] = {}
        # The first copy of each photo, then the second one of those whose first did not answer, and so on.
        for nth in zip_longest(*copies.values()):
            answers |= _dates_in([file for file in nth if file and file.photo_id not in answers], workers, roots)
        with catalog.write():
            catalog.photos.set_taken(answers)
        after = files[-1].photo_id
        n_read += len(copies)
        yield n_read


def _dates_in(files: Iterable[UndatedFile], workers: Workers, roots: Sequence[str]) -> dict[int, str]:
    """Return what those files that can be read say, by their photos."""
    asked = [(file, workers.taken_at(_located(file.path, roots), file.fingerprint)) for file in files]
    answers = {}
    for file, future in asked:
        try:
            answers[file.photo_id] = future.result()
        except (OSError, PhotoError, WorkerLost) as error:
            log.debug("%s: its date could not be read: %s", display(file.path), error)
    return answers


def _located(path: str, roots: Sequence[str]) -> LibraryFile:
    """Return a file by its library, one of these, and its path below that."""
    root = max((root for root in roots if path.startswith(root.rstrip("/") + "/")), key=len)
    return LibraryFile(root, path[len(root) :].lstrip("/"))
