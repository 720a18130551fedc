"""One photo, one transaction, idempotent: hash -> analyse -> catalog.

Two looks at a file, both in worker processes: `examine` reads its bytes once (hash, kind, size in pixels), and only a
photo that the catalog does not know is `analyse`d. What is in flight is bounded by pixels, not by photos.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import signal
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar

import numpy as np

from facewatch.boxes import pair_up
from facewatch.catalog import Catalog
from facewatch.engines import load_engine
from facewatch.errors import FacewatchError, PhotoError
from facewatch.quality import Limits, measure
from facewatch.types import Analysis, Box, Decoded, DetectedFace, Engine, EngineOptions, Face, Fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_T = TypeVar("_T")

PIXELS_IN_FLIGHT = 60_000_000
"""Pixels being decoded at one time by all workers together; a larger photo is decoded alone. 60 million are 180 MB of
RGB, twice that while Pillow converts."""

ALIGNED_BATCH = 32
"""Crops that go to the recogniser together; see engines.arcface.BATCH_FACES."""

CLOSER_SIDE = 4000
"""Longer side in pixels of the picture that small faces are cut from. The smallest that are found, 1.2 % of a photo,
are half the recogniser's input there; a 12-megapixel photo is 36 MB."""

_UNREADABLE = "make it readable, then scan again"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a worker needs to know to look at photos."""

    engine: str
    options: EngineOptions = field(default_factory=EngineOptions)
    max_pixels: int = 200_000_000
    limits: Limits = field(default_factory=Limits)
    niceness: int = 0
    """How much the workers give way to other processes."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What reading a file's bytes once tells."""

    fingerprint: Fingerprint
    sha256: bytes | None
    """None: not a photo, or faulty."""
    n_pixels: int = 0
    """How many will be decoded."""
    fault: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Analysed:
    analysis: Analysis | None
    fault: tuple[str, str] | None = None


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


# --- in the worker processes ---


class Eyes:
    """Looks at files with an engine that is loaded when the first photo needs it.

    Decoders are imported here and not above: only workers open photos, and every command would wait for them.
    """

    def __init__(self, recipe: Recipe, engine: Engine | None = None) -> None:
        self.recipe = recipe
        self._engine = engine

    def examine(self, path: str) -> Examined:
        """Return the file's hash and size in pixels, or its fault.

        Raises:
            FileNotFoundError: it is gone.
        """
        from facewatch import decode

        with _open(path) as file:
            fingerprint = Fingerprint.of(os.fstat(file.fileno()))
            head = file.read(decode.HEAD_BYTES)
            if not decode.sniff(head).is_image and not decode.claims_to_be_photo(path):
                return Examined(fingerprint, None)
            data = head + file.read()
        try:
            peeked = decode.peek(io.BytesIO(data), max_pixels=self.recipe.max_pixels)
        except PhotoError as error:
            return Examined(fingerprint, None, fault=(error.fault, error.advice))
        return Examined(fingerprint, hashlib.sha256(data).digest(), peeked.n_decoded_pixels)

    def analyse(self, path: str, expected: Fingerprint) -> Analysed | None:
        """Return the faces of a photo, or its fault; None: the file is not the one that was examined."""
        from facewatch import decode

        data = _read(path, expected)
        if data is None:
            return None
        try:
            decoded = decode.decode(data, max_pixels=self.recipe.max_pixels)
            found = self._ask(lambda engine: engine.analyse(decoded.pixels, closer=self._closer(data, decoded)))
        except PhotoError as error:
            return Analysed(None, fault=(error.fault, error.advice))
        return Analysed(self._analysis(decoded, found))

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> list[Analysed | None]:
        """Return the face of each photo, which is a crop of one; the whole batch goes to the recogniser at once."""
        from facewatch import decode

        outcomes: list[Analysed | None] = [None] * len(photos)
        pictures: dict[int, Decoded] = {}
        for i, (path, expected) in enumerate(photos):
            try:
                data = _read(path, expected)
                if data is not None:
                    pictures[i] = decode.decode(data, max_pixels=self.recipe.max_pixels)
            except PhotoError as error:
                outcomes[i] = Analysed(None, fault=(error.fault, error.advice))
            except OSError as error:
                outcomes[i] = Analysed(None, fault=(f"cannot be read: {error.strerror}", _UNREADABLE))
        crops = [picture.pixels for picture in pictures.values()]
        try:
            faces = self._ask(lambda engine: engine.analyse_aligned(crops)) if crops else []
        except PhotoError as error:
            if len(photos) == 1:
                return [Analysed(None, fault=(error.fault, error.advice))]
            # Which one it was shows when each is asked for alone.
            return [outcome for photo in photos for outcome in self.analyse_aligned([photo])]
        for (i, picture), face in zip(pictures.items(), faces, strict=True):
            outcomes[i] = Analysed(self._analysis(picture, [face]))
        return outcomes

    def _ask(self, question: Callable[[Engine], list[DetectedFace]]) -> list[DetectedFace]:
        """Return the engine's answer; whatever it chokes on is this photo's fault and costs only this photo."""
        if self._engine is None:
            self._engine = load_engine(self.recipe.engine, self.recipe.options)
        try:
            return question(self._engine)
        except FacewatchError:
            raise
        except Exception as error:  # every library below the engines has errors of its own
            log.debug("", exc_info=error)
            raise PhotoError(
                f"the detector failed on it: {_one_line(error)}", "save it again, or exclude it"
            ) from error

    def _analysis(self, decoded: Decoded, found: Sequence[DetectedFace]) -> Analysis:
        scale = decoded.width / decoded.pixels.shape[1], decoded.height / decoded.pixels.shape[0]
        faces = [_full_size(face, scale, (decoded.width, decoded.height), self.recipe.limits) for face in found]
        return Analysis(decoded.width, decoded.height, decoded.format, tuple(faces))

    def _closer(self, data: BinaryIO, decoded: Decoded) -> Callable[[], NDArray[np.uint8]] | None:
        """Return what decodes the photo again with more pixels, where it has them."""
        from facewatch import decode

        if max(decoded.width, decoded.height) <= decode.WORKING_SIDE:
            return None
        return lambda: decode.decode(data, max_pixels=self.recipe.max_pixels, working_side=CLOSER_SIDE).pixels


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read(path: str, expected: Fingerprint) -> io.BytesIO | None:
    """Return the bytes of a file; None: it is not, or not any more, the one that was examined."""
    with _open(path) as file:
        if Fingerprint.of(os.fstat(file.fileno())) != expected:
            return None
        data = io.BytesIO(file.read())
        return data if Fingerprint.of(os.fstat(file.fileno())) == expected else None


def _open(path: str) -> io.BufferedReader:
    """Open a regular file for reading; never follows a link, never waits for a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(path)
    return open(handle, "rb")  # noqa: PTH123 - a descriptor, not a path


def _full_size(face: DetectedFace, scale: tuple[float, float], size: tuple[int, int], limits: Limits) -> Face:
    """Return the face in pixels of the full-size photo, its box cut at the photo's edges."""
    left, top, width, height = face.box
    x0, y0 = max(0, round(left * scale[0])), max(0, round(top * scale[1]))
    x1, y1 = min(size[0], round((left + width) * scale[0])), min(size[1], round((top + height) * scale[1]))
    box = Box(x0, y0, max(1, x1 - x0), max(1, y1 - y0))
    landmarks = tuple(float(v) for point in face.landmarks for v in (point[0] * scale[0], point[1] * scale[1]))
    quality = measure(face, pixels=min(box.w, box.h), limits=limits)
    return Face(box, landmarks, face.score, quality, face.embedding)


_eyes: list[Eyes] = []
"""The one of this worker process; a process pool gives its tasks no other place to keep it."""


def _start_worker(recipe: Recipe) -> None:
    # Ctrl-C reaches every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(recipe.niceness)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _eyes[:] = [Eyes(recipe)]
    # libtiff and its like write to stderr by themselves, many lines for one bad file; the fault is on record anyway.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)


def _die_with_parent() -> None:
    """A killed main process cannot end its workers; they would wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _examine(path: str) -> Examined:
    return _eyes[0].examine(path)


def _analyse(path: str, expected: Fingerprint) -> Analysed | None:
    return _eyes[0].analyse(path, expected)


def _analyse_aligned(photos: Sequence[tuple[str, Fingerprint]]) -> list[Analysed | None]:
    return _eyes[0].analyse_aligned(photos)


# --- in the main process ---


class Analyser(Protocol):
    """Where photos are looked at; the futures' exceptions are those of `Eyes`."""

    n_workers: int

    def examine(self, path: str) -> Future[Examined]: ...

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]: ...

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]: ...

    def restart(self) -> None:
        """Replace what crashed."""
        ...

    def close(self) -> None: ...


class Workers:
    """An Analyser of worker processes, each with its models loaded once; made when needed, let go on `close`."""

    def __init__(self, recipe: Recipe, n_workers: int) -> None:
        self.n_workers = n_workers
        self._recipe = recipe
        self._pool: Executor | None = None

    def examine(self, path: str) -> Future[Examined]:
        return self._submit(_examine, path)

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]:
        return self._submit(_analyse, path, expected)

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]:
        return self._submit(_analyse_aligned, photos)

    def _submit(self, work: Callable[..., _T], *arguments: Any) -> Future[_T]:
        try:
            return self._executor().submit(work, *arguments)
        except BrokenProcessPool as error:
            # A worker died after its last answer: the photo fails like those in flight, and is tried again.
            failed: Future[_T] = Future()
            failed.set_exception(error)
            return failed

    def _executor(self) -> Executor:
        if self._pool is None:
            # "spawn": a forked child would inherit the catalog's connection and the watcher's threads.
            self._pool = ProcessPoolExecutor(
                self.n_workers, get_context("spawn"), initializer=_start_worker, initargs=(self._recipe,)
            )
        return self._pool

    @property
    def is_running(self) -> bool:
        return self._pool is not None

    def restart(self) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


class InlineAnalyser:
    """An Analyser in this process, one photo after the other: for tests and for looking at a single photo."""

    n_workers = 1

    def __init__(self, recipe: Recipe, engine: Engine | None = None) -> None:
        self._own = Eyes(recipe, engine)

    def examine(self, path: str) -> Future[Examined]:
        return _done(lambda: self._own.examine(path))

    def analyse(self, path: str, expected: Fingerprint) -> Future[Analysed | None]:
        return _done(lambda: self._own.analyse(path, expected))

    def analyse_aligned(self, photos: Sequence[tuple[str, Fingerprint]]) -> Future[list[Analysed | None]]:
        return _done(lambda: self._own.analyse_aligned(photos))

    def restart(self) -> None: ...

    def close(self) -> None: ...


def _done(work: Callable[[], _T]) -> Future[_T]:
    future: Future[_T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


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
        is_aligned: bool = False,
    ) -> None:
        """`is_aligned`: every photo is a crop of one face."""
        self._catalog = catalog
        self._analyser = analyser
        self._root = root
        self._root_id = root_id
        self._engine_id = engine_id
        self._settle = settle
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
            for future in done:
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
        return self._record_fault(job, fingerprint, (f"cannot be read: {error.strerror}", _UNREADABLE))

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
        with catalog.write():
            photo_id = catalog.files.add_photo(examined.sha256, (analysis.width, analysis.height), analysis.format, now)
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
