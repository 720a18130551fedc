"""One worker process: the code that runs in it, and its handle in the main process.

A worker analyses one photo at a time and answers through a pipe of its own. It may crash, hang, swell or be killed at
any moment; the other end then says which of it happened.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from multiprocessing import connection, get_context
from time import monotonic
from typing import Any

import psutil

from facewatch.errors import EngineError, FacewatchError, Fault, FaultCode, PhotoError
from facewatch.indexing.analyzer import NO_ENGINE, Analyzer, Recipe, one_line
from facewatch.indexing.memory import in_mb
from facewatch.indexing.processes import ENDING_SECONDS, be_quiet_child, kill, start
from facewatch.types import Engine

log = logging.getLogger(__name__)

Load = Callable[[Recipe], Engine]

STARTING_SECONDS = 120.0
"""How long a process may take to begin; a second is usual, and a disk that has to wake up takes ten."""
LOADING_SECONDS = 600.0
"""How long models may take to load; a second is usual. It does not count towards the time for a photo."""
SAMPLING_SECONDS = 0.05
"""How often the memory of a busy worker is measured: 0.05 s are some 200 MB at the speed memory is filled with."""

PICTURES_NICENESS = 5
"""How far what only makes pictures gives way: those of everybody are made while the first pages are read."""

_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU}
"""Signals that somebody else sends: an administrator, or the kernel when memory is short."""


class WorkerLost(Exception):
    """A worker ended, or had to be ended, before it had answered. Never leaves the indexer."""

    def __init__(self, fault: Fault, *, how: str = "", is_from_outside: bool = False) -> None:
        """`fault` is the photo's; `how` says what became of the worker."""
        self.fault = fault
        self.how = how or f"it {fault.text}"
        self.is_from_outside = is_from_outside
        super().__init__(f"{fault.text} ({fault.advice})")


class NotStartedError(Exception):
    """A worker ended before it was ready for a photo, which is not the photo's fault."""


class StoppedError(Exception):
    """The worker was ended because nobody wants it any more."""


class _Note(Enum):
    """What a worker sends, each with a value."""

    STARTED = auto()
    LOADING = auto()
    LOADED = auto()
    ANSWER = auto()
    BAD_PHOTO = auto()
    """Its fault: PhotoErrors do not survive the pipe as they are."""
    ERROR = auto()
    NO_MEMORY = auto()
    FAILED = auto()
    """What nobody foresaw, in one line."""


# --- in the worker ---


def _work(
    pipe: connection.Connection, recipe: Recipe, load: Load, photo_seconds: float, form: logging.Formatter
) -> None:
    """Answer until the other end is closed; warnings have the form of the main process' own."""
    be_quiet_child()
    _give_way()
    if recipe.engine == NO_ENGINE:
        os.nice(PICTURES_NICENESS)
    _speak_through(os.dup(2), form)
    # libtiff and its like write to stderr by themselves, many lines for one bad file; the fault is on record anyway.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    analyzer = Analyzer(recipe, load=partial(_load_aloud, pipe, load))
    pipe.send((_Note.STARTED, None))
    with suppress(EOFError, OSError):  # nobody is there any more
        while True:
            work, arguments = pipe.recv()
            # Where the main process is gone and a library never lets go of the interpreter, the kernel ends it.
            signal.setitimer(signal.ITIMER_REAL, photo_seconds + LOADING_SECONDS)
            reply = _reply(analyzer, work, arguments)
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send(reply)


def _reply(analyzer: Analyzer, work: str, arguments: tuple[Any, ...]) -> tuple[_Note, Any]:
    try:
        if work in ENGINE_WORK:
            analyzer.engine()  # before anything of the photo is in memory: a crash meanwhile is not its fault
        return _Note.ANSWER, getattr(analyzer, work)(*arguments)
    except PhotoError as error:
        return _Note.BAD_PHOTO, error.fault
    except (FacewatchError, OSError) as error:
        return _Note.ERROR, error
    except MemoryError:
        return _Note.NO_MEMORY, None
    except Exception as error:  # a fault of ours costs this photo, and not the worker
        log.warning("%s", work, exc_info=error)
        return _Note.FAILED, one_line(error)


ENGINE_WORK = frozenset({"analyse", "analyse_aligned", "analyse_boxes", "identify", "self_test"})
"""Methods of `Analyzer` that ask the engine."""


def _load_aloud(pipe: connection.Connection, load: Load, recipe: Recipe) -> Engine:
    """Load the engine, and report before and after: that takes its own time.

    Raises:
        EngineError: it cannot be loaded.
    """
    pipe.send((_Note.LOADING, None))
    try:
        engine = load(recipe)
    except FacewatchError:
        raise
    except Exception as error:  # every library below the engines has errors of its own
        raise EngineError(f"{recipe.engine} cannot be loaded: {one_line(error)}; try `facewatch doctor`") from error
    pipe.send((_Note.LOADED, None))
    return engine


def _give_way() -> None:
    """Be the first to go when memory is short. (Priorities are inherited from the main process.)"""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - Linux
        score.write("500")  # the kernel is to take a worker, and neither the main process nor a bystander
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _speak_through(descriptor: int, form: logging.Formatter) -> logging.Handler:
    """Send the warnings of facewatch's own code to the terminal, past the silence that its libraries are put to."""
    handler = logging.StreamHandler(open(descriptor, "w", encoding="utf-8", errors="replace"))  # noqa: SIM115
    handler.setLevel(logging.WARNING)
    handler.setFormatter(form)
    logging.getLogger("facewatch").addHandler(handler)
    return handler


def _form_of_log() -> logging.Formatter:
    """Return how this process writes its lines."""
    forms = (handler.formatter for handler in logging.getLogger("facewatch").handlers)
    return next(filter(None, forms), logging.Formatter("%(levelname)s: %(message)s"))


# --- in the main process ---


class Process:
    """A worker process and the pipe to it; belongs to one thread."""

    def __init__(self, recipe: Recipe, load: Load, *, photo_seconds: float) -> None:
        """Raises:
        OSError: the system lets no process be made.
        """
        self._photo_seconds = photo_seconds
        # "spawn": a forked child would inherit the catalog's connection and the watcher's threads.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, recipe, load, photo_seconds, _form_of_log()), daemon=True
        )
        try:
            start(self._process)
            self._status = psutil.Process(self._process.pid)
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()  # so that the pipe ends with the process

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def is_alive(self) -> bool:
        return not connection.wait([self._process.sentinel], 0)

    def memory(self) -> int:
        """Return the bytes that it holds and shares with nobody."""
        try:
            return private_bytes(self._status)
        except psutil.Error:
            return 0

    def await_start(self, check: Callable[[], None]) -> None:
        """Return when it is ready for work.

        Raises:
            NotStartedError: it ended, or takes too long.
        """
        try:
            note, _ = self._next_note(monotonic() + STARTING_SECONDS, check)
            assert note is _Note.STARTED
        except WorkerLost as lost:
            raise NotStartedError(f"a worker process could not be started: {lost.how}") from lost
        except TimeoutError as error:
            self.kill()
            raise NotStartedError(f"a worker process was not ready after {STARTING_SECONDS:.0f} s") from error

    def ask(self, work: str, arguments: tuple[Any, ...], check: Callable[[], None]) -> Any:
        """Return what a method of its `Analyzer` says.

        Args:
            check: called all the time; what it raises ends the worker.

        Raises:
            WorkerLost: it ended, or did not answer in time.
            NotStartedError: the same, while it was loading the models.
            Exception: whatever the method raised.
        """
        with suppress(OSError):  # it has ended: whatever it left in the pipe, and how it ended, is to be read
            self._pipe.send((work, arguments))
        deadline, left = monotonic() + self._photo_seconds, 0.0
        is_loading = False
        while True:
            try:
                note, value = self._next_note(deadline, check)
            except WorkerLost as lost:
                if is_loading:
                    raise NotStartedError(f"the models could not be loaded: {lost.how}") from lost
                raise
            except TimeoutError as error:
                self.kill()
                if is_loading:
                    raise NotStartedError(f"the models were not loaded after {LOADING_SECONDS:.0f} s") from error
                raise _too_long(self._photo_seconds) from error
            match note:
                case _Note.LOADING:
                    is_loading, left, deadline = True, deadline - monotonic(), monotonic() + LOADING_SECONDS
                case _Note.LOADED:
                    is_loading, deadline = False, monotonic() + left
                case _Note.ANSWER:
                    return value
                case _Note.BAD_PHOTO:
                    raise PhotoError(value)
                case _Note.NO_MEMORY:
                    raise WorkerLost(Fault.of(FaultCode.NO_MEMORY))
                case _Note.FAILED:
                    raise WorkerLost(Fault.of(FaultCode.FAILED, reason=value))
                case _:
                    raise value

    def kill(self) -> None:
        """End it at once: it holds nothing that anybody else needs."""
        self._pipe.close()
        kill(self._process)

    def _next_note(self, deadline: float, check: Callable[[], None]) -> tuple[_Note, Any]:
        """Return the next note.

        Raises:
            TimeoutError: none came in time.
            WorkerLost: the process has ended.
        """
        while not self._has_spoken(min(SAMPLING_SECONDS, deadline - monotonic())):
            if monotonic() >= deadline:
                raise TimeoutError
            try:
                check()
            except BaseException:
                self.kill()
                raise
        try:
            note: tuple[_Note, Any] = self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        return note

    def _has_spoken(self, seconds: float) -> bool:
        """Wait until there is something to read, be it the end, at most so long; returns whether there is."""
        return bool(connection.wait([self._pipe, self._process.sentinel], max(0.0, seconds)))

    def _lost(self) -> WorkerLost:
        """Say how it ended."""
        # What closed its pipe is ending; whatever keeps it is cut short.
        connection.wait([self._process.sentinel], ENDING_SECONDS)
        self.kill()
        code = self._process.exitcode
        if code is None or code >= 0:
            return _crash(f"exit status {code}")
        number = signal.Signals(-code) if -code in set(signal.Signals) else None
        if number is signal.SIGALRM:
            return _too_long(self._photo_seconds)
        if number in _FROM_OUTSIDE:
            return WorkerLost(
                Fault.of(FaultCode.KILLED, reason=number.name if number else code),
                how="it was killed",
                is_from_outside=True,
            )
        return _crash((signal.strsignal(-code) or f"signal {-code}").lower())


def private_bytes(process: psutil.Process) -> int:
    """Return the bytes of memory of a process, without pages of files and those that it shares, where that is known."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def too_large(n_bytes: int) -> WorkerLost:
    """Return what to raise when a worker has swollen to so many bytes."""
    return WorkerLost(Fault.of(FaultCode.TAKES_MEMORY, size=in_mb(n_bytes)))


def _too_long(seconds: float) -> WorkerLost:
    return WorkerLost(Fault.of(FaultCode.TAKES_LONG, f"{seconds:g} s"))


def _crash(how: str) -> WorkerLost:
    return WorkerLost(Fault.of(FaultCode.CRASHES, reason=how), how=f"it crashed ({how})")
