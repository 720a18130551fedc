"""Where photos are analysed: worker processes, each with its models loaded once; or this process, for tests.

Whatever a photo does to its worker costs that worker and names that photo. So each worker has a pipe of its own and a
thread here that hands it one photo at a time: there is no lock between processes that a killed one could keep, and no
photo in flight but the one that a worker is at.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import psutil

from facewatch.engines import worker_bytes
from facewatch.errors import EngineError
from facewatch.indexing.analyzer import AnalysisResult, Analyzer, Examination, LibraryFile, Recipe, load
from facewatch.indexing.cutting import AS_SHOWN, CropStyle
from facewatch.indexing.memory import MOST_SWOLLEN, Room, in_mb, share_out
from facewatch.indexing.worker import (
    Load,
    NotStartedError,
    Process,
    StoppedError,
    WorkerLost,
    private_bytes,
    too_large,
)
from facewatch.types import Box, Description, Engine, FileSays, Fingerprint

log = logging.getLogger(__name__)

_T = TypeVar("_T")

PHOTO_SECONDS = 300.0
"""How long one analysis of a photo may take; a large crowd with the slowest detector takes one of five minutes."""

START_ATTEMPTS = 3
"""How often a worker that ends before it is ready is replaced; more would not help."""

FOR_LOOKING = frozenset({"cut_faces", "reduced"})
"""The kinds of work of which nothing is recorded."""

LOST_IN_A_ROW = 8
"""When workers end over so many photos, one after the other, it is asked whether the photos are to blame at all."""


class Workers(Protocol):
    """Where photos are analysed; the futures' exceptions are those of `Analyzer`, and WorkerLost."""

    n_workers: int
    room: Room

    def examine(self, photo: LibraryFile) -> Future[Examination]: ...

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]: ...

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]: ...

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]: ...

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]: ...

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]: ...

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]: ...

    def close(self) -> None:
        """Let go of all memory; whatever is asked next brings it back."""
        ...


class PictureWorkers(Protocol):
    """Where pictures of photos and faces are made; the futures' exceptions are those of `Analyzer`, and WorkerLost."""

    n_workers: int

    def cut_faces(
        self,
        photo: LibraryFile,
        boxes: Sequence[Box],
        expected: Fingerprint | None,
        *,
        side: int,
        style: CropStyle = AS_SHOWN,
    ) -> Future[list[bytes | None]]: ...

    def reduced(
        self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None
    ) -> Future[list[bytes]]: ...

    def close(self) -> None:
        """Let go of all memory; whatever is asked next brings it back."""
        ...


@dataclass(slots=True)
class _Task:
    work: str
    """A method of `Analyzer`."""
    arguments: tuple[Any, ...]
    subject: object
    """The photo or photos that it is about."""
    future: Future[Any] = field(default_factory=Future)
    is_begun: bool = False
    """By a worker that could not go on, so that another takes it over."""


class WorkerProcess(Protocol):
    """A process that works for one thread; see `worker.Process`."""

    @property
    def pid(self) -> int: ...

    @property
    def is_alive(self) -> bool: ...

    def memory(self) -> int: ...

    def await_start(self, check: Callable[[], None]) -> None: ...

    def ask(self, work: str, arguments: tuple[Any, ...], check: Callable[[], None]) -> Any: ...

    def kill(self) -> None: ...


class NoPlaceError(Exception):
    """No worker more can be made, but others may be at work; says why."""


class Pool:
    """Workers in processes, wherever those are; made when needed, ended by `close`."""

    def __init__(self, make: Callable[[], WorkerProcess], n_workers: int, room: Room, memory: Memory) -> None:
        """At most `n_workers`. `make` may raise OSError, and NoPlaceError."""
        self.n_workers = n_workers
        self.room = room
        self._memory = memory
        self._make_process = make
        self._losses = _Losses()
        self._threads: _Threads | None = None

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        return self._submit("examine", photo, photo)

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        return self._submit("analyse", photo, photo, expected)

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
        return self._submit("analyse_aligned", tuple(photo for photo, _ in photos), photos)

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]:
        return self._submit("analyse_boxes", photo, photo, expected, tuple(boxes), tuple(beside), self.room.alone)

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        return self._submit("taken_at", photo, photo, expected)

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]:
        return self._submit("described", photo, photo, expected)

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]:
        return self._submit("said", file, file, expected, kind)

    def cut_faces(
        self,
        photo: LibraryFile,
        boxes: Sequence[Box],
        expected: Fingerprint | None,
        *,
        side: int,
        style: CropStyle = AS_SHOWN,
    ) -> Future[list[bytes | None]]:
        return self._submit("cut_faces", photo, photo, tuple(boxes), expected, side, self.room.alone, style)

    def reduced(self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None) -> Future[list[bytes]]:
        return self._submit("reduced", photo, photo, tuple(sides), expected, self.room.alone)

    def get_ready_to_cut(self) -> None:
        """Have a worker started meanwhile, so that the first face that is to be cut does not wait for it."""
        self._submit("load_decoders", None)

    def _submit(self, work: str, subject: object, *arguments: object) -> Future[Any]:
        threads = self._threads
        if threads is None:
            threads = self._threads = _Threads(self._make_process, self.n_workers, self._losses, self._memory)
        task = _Task(work, arguments, subject)
        threads.submit(task)
        return task.future

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        return self._threads.pids if self._threads else []

    @property
    def is_running(self) -> bool:
        return self._threads is not None

    def close(self) -> None:
        """End the workers, whatever they are at, and forget what waits."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.close()


class WorkerPool(Pool):
    """Workers in processes of this machine."""

    def __init__(
        self,
        recipe: Recipe,
        n_workers: int,
        *,
        photo_seconds: float = PHOTO_SECONDS,
        memory: int | None = None,
        load: Load = load,
    ) -> None:
        """At most `n_workers`: fewer where memory has no room for more.

        Args:
            photo_seconds: how long one analysis of a photo may take, without the loading of models.
            memory: bytes that this process and the workers may take together; None: no limit is known.
            load: makes the engine, in the worker; goes there by its name.

        Raises:
            EngineError: there is not even memory for one worker.
        """
        share = share_out(memory, n_workers, engine=recipe.engine, own=private_bytes(psutil.Process()))
        if share.n_workers < n_workers:
            log.info("%d workers instead of %d fit into %s", share.n_workers, n_workers, in_mb(memory or 0))
        super().__init__(
            partial(Process, recipe, load, photo_seconds=photo_seconds),
            share.n_workers,
            share.room,
            Memory.of(recipe, memory),
        )


class _Losses:
    """The photos over which workers ended, by the kind of work, since that was last done with success."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_work: dict[str, list[tuple[object, WorkerLost]]] = {}

    def forget(self, work: str) -> None:
        with self._lock:
            self._by_work.pop(work, None)

    def add(self, task: _Task, lost: WorkerLost) -> list[WorkerLost]:
        """Return all of a row that has become too long to be believed, and begin a new one; nothing while it has
        not."""
        with self._lock:
            row = self._by_work.setdefault(task.work, [])
            row.append((task.subject, lost))
            if len({subject for subject, _ in row}) < LOST_IN_A_ROW:
                return []
            return [each for _, each in self._by_work.pop(task.work)]


class Memory:
    """What the worker processes hold, by the numbers of their threads, and how much that may be."""

    def __init__(self, limit: int, most_idle: int) -> None:
        """`limit`: bytes for this process and all workers; where that is short, a worker that keeps more than
        `most_idle` behind a photo is replaced."""
        self._limit = limit
        self._most_idle = most_idle
        self._own = psutil.Process()
        self._sizes: dict[int, int] = {}
        """When each was measured last."""

    @classmethod
    def of(cls, recipe: Recipe, limit: int | None) -> Memory:
        """Where nothing says how much it may be, a tenth is left for everybody else."""
        most_idle = int(MOST_SWOLLEN * worker_bytes(recipe.engine))
        return cls(limit or psutil.virtual_memory().total // 10 * 9, most_idle)

    def check(self, number: int, process: WorkerProcess) -> None:
        """Raise what ends the largest worker, if this is it, where all together are too large."""
        if self._is_largest(number, process, of=self._limit):
            raise too_large(self._sizes[number])

    def is_swollen(self, number: int, process: WorkerProcess) -> bool:
        """Whether a worker that has done its work keeps too much, where memory is short."""
        return self._is_largest(number, process, of=self._limit // 4 * 3) and self._sizes[number] > self._most_idle

    def forget(self, number: int) -> None:
        self._sizes.pop(number, None)

    def _is_largest(self, number: int, process: WorkerProcess, *, of: int) -> bool:
        """Whether all together hold more than so many bytes, and this worker most of it."""
        size = self._sizes[number] = process.memory()
        sizes = list(self._sizes.values())
        return size == max(sizes) and sum(sizes) + private_bytes(self._own) > of


class _Threads:
    """Threads that share a queue, each with a worker process of its own. A thread is made when all others are busy."""

    def __init__(self, make: Callable[[], WorkerProcess], n_workers: int, losses: _Losses, memory: Memory) -> None:
        self._make = make
        self._n_workers = n_workers
        self._losses = losses
        self._memory = memory
        self._has_news = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._threads: list[threading.Thread] = []
        self._processes: dict[int, WorkerProcess] = {}
        """By the number of their thread; so is the next."""
        self._n_idle = 0
        self._n_serving = 0
        """Threads that have not ended for want of a worker."""
        self._is_closed = False
        self._broken: EngineError | None = None
        """Why nothing is tried any more."""
        # Workers heed no polite signal; without this, leaving a program that forgot to close them would wait for ever.
        atexit.register(self.close)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in list(self._processes.values())]

    def submit(self, task: _Task) -> None:
        with self._has_news:
            if self._is_closed:  # by another thread, just now
                task.future.cancel()
                return
            self._waiting.append(task)
            if self._n_idle < len(self._waiting) and len(self._threads) < self._n_workers:
                number = len(self._threads)
                self._n_serving += 1
                self._threads.append(threading.Thread(target=self._serve, args=(number,), daemon=True))
                self._threads[-1].start()
            self._has_news.notify()

    def close(self) -> None:
        atexit.unregister(self.close)
        with self._has_news:
            self._is_closed = True
            self._has_news.notify_all()
        for thread in self._threads:
            thread.join()
        for task in self._waiting:
            if not task.future.cancel():  # begun by a worker that could not go on
                task.future.set_exception(StoppedError())

    # --- in the threads ---

    def _serve(self, number: int) -> None:
        """Do what waits until nothing is wanted any more."""
        try:
            self._become_idle()
            while (task := self._next()) is not None:
                try:
                    report = self._outcome(number, task)
                except NoPlaceError as error:
                    if self._leaves(task, error):
                        return
                    report = self._outcome(number, task)
                self._become_idle()  # before the caller is notified and submits more
                report()
        finally:
            self._let_go(number)

    def _leaves(self, task: _Task, error: NoPlaceError) -> bool:
        """Whether this thread ends, for which no worker can be made, and leaves its task to the others; where there is
        no other, nothing is tried any more."""
        with self._has_news:
            self._n_serving -= 1
            if self._n_serving:
                task.is_begun = True
                self._waiting.appendleft(task)
                self._has_news.notify()
                return True
            self._n_serving += 1
        self._broken = EngineError(str(error))
        return False

    def _become_idle(self) -> None:
        with self._has_news:
            self._n_idle += 1

    def _next(self) -> _Task | None:
        """Return what is to be done next, without what was cancelled meanwhile; None: nothing is wanted any more."""
        with self._has_news:
            task: _Task | None = None
            while task is None and not self._is_closed:
                if not self._waiting:
                    self._has_news.wait()
                elif (first := self._waiting.popleft()).is_begun or first.future.set_running_or_notify_cancel():
                    task = first
            self._n_idle -= 1
            return task

    def _outcome(self, number: int, task: _Task) -> Callable[[], None]:
        """Do a task; returns what reports the outcome to whoever waits for it."""
        try:
            answer = self._ask(number, task)
        except NoPlaceError:
            raise
        except WorkerLost as lost:
            blamed = self._doubt(number, task, lost)
            return lambda: task.future.set_exception(blamed)
        except BaseException as error:
            failed = error
            return lambda: task.future.set_exception(failed)
        return lambda: task.future.set_result(answer)

    def _ask(self, number: int, task: _Task) -> Any:
        """Return the answer of this thread's worker, which is replaced where it has ended.

        Raises:
            EngineError: no worker gets ready for work.
            WorkerLost: it ended over this task.
        """
        if self._broken:
            raise self._broken
        for _ in range(START_ATTEMPTS):
            try:
                answer = self._process(number).ask(task.work, task.arguments, lambda: self._check(number))
            except NotStartedError as error:
                log.warning("%s", error)
                why = error
                continue
            except Exception as error:
                if not isinstance(error, WorkerLost | StoppedError):
                    self._done(number, task)
                raise
            self._done(number, task)
            return answer
        self._broken = EngineError(f"{why}, {START_ATTEMPTS} times; see `facewatch doctor`")
        raise self._broken

    def _process(self, number: int) -> WorkerProcess:
        """Return this thread's worker, ready for work.

        Raises:
            NotStartedError: there is none that gets ready.
        """
        process = self._processes.get(number)
        if process is None or not process.is_alive:
            self._let_go(number)
            try:
                process = self._processes[number] = self._make()
            except OSError as error:
                raise NotStartedError(f"no worker process can be made: {error.strerror}") from error
            process.await_start(lambda: self._check(number))
        return process

    def _let_go(self, number: int) -> None:
        process = self._processes.pop(number, None)
        if process is not None:
            process.kill()
        self._memory.forget(number)

    def _check(self, number: int) -> None:
        """Raise what ends a worker that nobody wants any more, or the largest where all together are too large."""
        if self._is_closed:
            raise StoppedError
        self._memory.check(number, self._processes[number])

    def _done(self, number: int, task: _Task) -> None:
        # There is none where none could be made, for whatever reason.
        process = self._processes.get(number)
        if process is not None and self._memory.is_swollen(number, process):
            self._let_go(number)
        self._losses.forget(task.work)

    # --- whose fault ---

    def _doubt(self, number: int, task: _Task, lost: WorkerLost) -> Exception:
        """Return who is to blame that a worker ended: the photo, unless workers end over each and every one."""
        if task.work in FOR_LOOKING:
            return lost  # nothing is put on record for it, and this worker needs no engine
        row = self._losses.add(task, lost)
        if not row:
            return lost
        try:
            self._check_machine(row)
            # A picture with nothing on it: whoever cannot analyse that analyses none.
            self._ask(number, _Task("self_test", (), None))
        except StoppedError:
            return lost
        except EngineError as error:
            self._broken = error
        except WorkerLost as again:
            self._broken = EngineError(
                f"worker processes end over every photo, even over an empty one: {again.how}; see `facewatch doctor`"
            )
        return self._broken or lost

    @staticmethod
    def _check_machine(row: Sequence[WorkerLost]) -> None:
        if all(lost.is_from_outside for lost in row):
            raise EngineError(
                f"{len(row)} worker processes were killed one after the other, which is what a system does that is "
                "short of memory; close other programs, or lower engine.workers or resources.memory_mb"
            )


class InlineWorkers:
    """Workers in this process, one photo after the other: for tests and for a single photo."""

    n_workers = 1
    room = Room()

    def __init__(self, recipe: Recipe, engine: Engine | None = None) -> None:
        self._own = Analyzer(recipe, engine)

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        return _done(lambda: self._own.examine(photo))

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        return _done(lambda: self._own.analyse(photo, expected))

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
        return _done(lambda: self._own.analyse_aligned(photos))

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]:
        return _done(lambda: self._own.analyse_boxes(photo, expected, boxes, beside))

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        return _done(lambda: self._own.taken_at(photo, expected))

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]:
        return _done(lambda: self._own.described(photo, expected))

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]:
        return _done(lambda: self._own.said(file, expected, kind))

    def cut_faces(
        self,
        photo: LibraryFile,
        boxes: Sequence[Box],
        expected: Fingerprint | None,
        *,
        side: int,
        style: CropStyle = AS_SHOWN,
    ) -> Future[list[bytes | None]]:
        return _done(lambda: self._own.cut_faces(photo, boxes, expected, side, style=style))

    def reduced(self, photo: LibraryFile, sides: Sequence[int], expected: Fingerprint | None) -> Future[list[bytes]]:
        return _done(lambda: self._own.reduced(photo, sides, expected))

    def close(self) -> None: ...


def _done(work: Callable[[], _T]) -> Future[_T]:
    future: Future[_T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future
