"""Photos analysed on other machines: workers of a Ray cluster, each an actor that holds a worker process as here.

The scheduling, what becomes of a photo over which workers end, and who is to blame are the pool's, as on one machine;
here is only how a worker elsewhere is reached. Whatever a node does, the catalog knows nothing of it: a photo that was
under way is given to another node, and one that a node cannot see is never taken for gone.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from facewatch import __version__
from facewatch.errors import EngineError, FacewatchError, Fault, FaultCode, PhotoError
from facewatch.fs.beneath import open_beneath
from facewatch.indexing.analyzer import LibraryFile, Recipe, SentFile, load, most_file_bytes, one_line
from facewatch.indexing.cluster import POLL_SECONDS, Cluster, ClusterSettings
from facewatch.indexing.memory import Room
from facewatch.indexing.pool import PHOTO_SECONDS, Memory, Pool
from facewatch.indexing.worker import (
    ENGINE_WORK,
    LOADING_SECONDS,
    STARTING_SECONDS,
    Load,
    NotStartedError,
    Process,
    WorkerLost,
)
from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

HEAD_BYTES = 2**16
"""What is sent of a file that is too large for a photo."""

# --- on a node ---


class Host:
    """A worker process of this node, asked by the machine that has the catalog. Runs as an actor."""

    def __init__(self, recipe: Recipe, load: Load, photo_seconds: float) -> None:
        self._make = partial(Process, recipe, load, photo_seconds=photo_seconds)
        self._process: Process | None = None
        self._memory = Memory.of(recipe, None)

    def version(self) -> str:
        return __version__

    def ask(self, work: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
        """Return what became of a task, and the answer or what is known of the failure."""
        try:
            return "answer", self._ready().ask(work, arguments, self._check)
        except PhotoError as error:
            return "photo", error.fault
        except WorkerLost as lost:
            return "lost", (lost.fault, lost.how, lost.is_from_outside)
        except NotStartedError as error:
            return "not started", str(error)
        except (FacewatchError, OSError) as error:
            return "error", error

    def _ready(self) -> Process:
        if self._process is None or not self._process.is_alive:
            self._memory.forget(0)
            try:
                self._process = self._make()
            except OSError as error:
                raise NotStartedError(f"no worker process can be made: {error.strerror}") from error
            self._process.await_start(self._check)
        return self._process

    def _check(self) -> None:
        if self._process is not None:
            self._memory.check(0, self._process)


# --- here ---


class NodeProcess:
    """A worker on a node, as `worker.Process` is one here; belongs to one thread."""

    pid = 0
    """It is no process of this machine."""

    def __init__(self, cluster: Cluster, recipe: Recipe, load: Load, *, photo_seconds: float, fingerprint: str) -> None:
        """Raises:
        NoPlaceError: all cores of the cluster have a worker.
        """
        self._cluster, self._photo_seconds = cluster, photo_seconds
        self._ray = cluster.ray
        self._arguments = (recipe, load, photo_seconds)
        self._fingerprint = fingerprint
        self._most_bytes = most_file_bytes(recipe)
        self._told: dict[str, Fingerprint] = {}
        """How the photos looked that it is at."""
        self._settle()

    @property
    def is_alive(self) -> bool:
        return self._is_alive

    def memory(self) -> int:
        """It takes none of this machine; its node sees to that."""
        return 0

    def await_start(self, check: Callable[[], None]) -> None:
        """Return when it is ready for work, on a node that can do it.

        Raises:
            NotStartedError: it ended, or takes too long.
            NoPlaceError: no node can.
        """
        while why := self._why_unfit(check):
            check()
            self._move(why)

    def _settle(self) -> None:
        """Have an actor made on a node that has a core for it."""
        self._node = self._cluster.place()
        here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(self._node.id, soft=False)
        actor = self._ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy=here)(Host)
        self._actor = actor.remote(*self._arguments)
        self._is_alive = True

    def _move(self, why: str) -> None:
        """Leave this node, which nobody is to use any more, for another."""
        self._cluster.avoid(self._node, why)
        self.kill()
        self._settle()

    def _why_unfit(self, check: Callable[[], None]) -> str:
        """Return why its node cannot work for this machine; "": it can."""
        try:
            version = self._get(self._actor.version.remote(), STARTING_SECONDS, check)
            if version != __version__:
                return f"has facewatch {version}, this machine has {__version__}; install the same on both"
            fingerprint = self._asked("identify", (), check)
        except TimeoutError:
            return f"gave no worker within {STARTING_SECONDS:.0f} s; is it busy with other work of Ray?"
        except NotStartedError as error:
            return str(error)
        except EngineError as error:
            self._cluster.check_head()
            return str(error)
        return "" if fingerprint == self._fingerprint else "has other model files than this machine; copy ours there"

    def ask(self, work: str, arguments: tuple[Any, ...], check: Callable[[], None]) -> Any:
        """Return what a method of its `Analyzer` says; as `worker.Process.ask`, on whichever node can see the photo."""
        while True:
            try:
                return self._asked(work, arguments, check)
            except OSError as error:
                self._check_is_there(arguments)
                if self._cluster.settings.is_shipped or not _files_in(arguments):
                    raise
                self._move(self._why_blind(error, arguments))
                self.await_start(check)

    def _asked(self, work: str, arguments: tuple[Any, ...], check: Callable[[], None]) -> Any:
        n_bytes = sum(self._bytes_of(file) for file in _files_in(arguments))
        self._cluster.in_flight.take(n_bytes, check)
        try:
            self._told.clear()
            sent = self._sent(arguments)
            # The node ends a worker in time, and this is for a node that does not.
            seconds = self._photo_seconds + LOADING_SECONDS + STARTING_SECONDS
            what, value = self._get(self._actor.ask.remote(work, sent), seconds, check, _subject_of(arguments))
        except TimeoutError as error:
            self.kill()
            raise WorkerLost(Fault.of(FaultCode.TAKES_LONG, f"{self._photo_seconds:g} s")) from error
        finally:
            self._cluster.in_flight.give_back(n_bytes)
        answer = self._unpacked(what, value)
        self._cluster.forget_lost(_subject_of(arguments))
        return self._of_unchanged(work, arguments, answer)

    def _unpacked(self, what: str, value: Any) -> Any:
        """Return an answer, or raise what became of the task instead."""
        match what:
            case "answer":
                return value
            case "photo":
                raise PhotoError(value)
            case "lost":
                fault, how, is_from_outside = value
                raise WorkerLost(fault, how=how, is_from_outside=is_from_outside)
            case "not started":
                raise NotStartedError(f"{self._node.name}: {value}")
            case _:
                raise value

    def kill(self) -> None:
        """End it at once: it holds nothing that anybody else needs."""
        if self._is_alive:
            self._is_alive = False
            self._cluster.leave(self._node)
            with suppress(Exception):  # it is gone already, or the whole cluster is
                self._ray.kill(self._actor)

    def _get(self, reference: Any, seconds: float, check: Callable[[], None], subject: str = "") -> Any:
        """Return the answer of the actor.

        Raises:
            TimeoutError: there is none in time.
            NotStartedError: the node is gone, or the worker for the first time over this photo.
            WorkerLost: the same for the second time.
        """
        deadline = monotonic() + seconds
        try:
            while not self._ray.wait([reference], timeout=POLL_SECONDS)[0]:
                if monotonic() >= deadline:
                    raise TimeoutError
                check()
                self._cluster.check_head()
            return self._ray.get(reference)
        except TimeoutError:
            raise
        except self._ray.exceptions.RayError as error:
            self.kill()
            if subject and self._cluster.is_lost_again(subject):
                raise WorkerLost(
                    Fault.of(FaultCode.KILLED, reason=one_line(error)), how="it was killed", is_from_outside=True
                ) from error
            raise NotStartedError(f"a worker on node {self._node.name} has gone: {one_line(error)}") from error
        except BaseException:
            self.kill()
            raise

    # --- photos ---

    def _sent(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments with files as a node is told of them."""
        return tuple(
            self._file(each) if isinstance(each, LibraryFile) else self._sent(each) if isinstance(each, tuple) else each
            for each in map(_as_tuple, arguments)
        )

    def _bytes_of(self, file: LibraryFile) -> int:
        """Return how many bytes are sent of a file."""
        if not self._cluster.settings.is_shipped:
            return 0
        with suppress(OSError):
            return min(Path(file).stat().st_size, self._most_bytes)
        return 0

    def _file(self, file: LibraryFile) -> SentFile:
        """Raises:
        OSError: it cannot be read here.
        """
        with open(open_beneath(file.root, file.path), "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
            seen = self._told[os.fspath(file)] = Fingerprint.of(os.fstat(opened.fileno()))
            if self._cluster.settings.is_shipped:
                # Of what is too large for a photo, a node only has to see what it is.
                content = opened.read() if seen.size <= self._most_bytes else opened.read(HEAD_BYTES)
                return SentFile(file.root, file.path, seen, content)
        return SentFile(self._path_there(file.root), file.path, seen)

    def _path_there(self, root: str) -> str:
        for here, there in self._cluster.settings.paths.items():
            if root == here or root.startswith(f"{here}/"):
                return there + root[len(here) :]
        return root

    def _check_is_there(self, arguments: tuple[Any, ...]) -> None:
        """Raise what is wrong with a photo here, where the answer of a node is that it cannot be read.

        Raises:
            OSError: it cannot be read here either, or is another than a moment ago.
        """
        for file in _files_in(arguments):
            with open(open_beneath(file.root, file.path), "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
                if Fingerprint.of(os.fstat(opened.fileno())) != self._told.get(os.fspath(file)):
                    raise FileNotFoundError(os.fspath(file))
                opened.read(1)

    def _of_unchanged(self, work: str, arguments: tuple[Any, ...], answer: Any) -> Any:
        """Return what `Analyzer` would say of photos that may have changed since the node was told of them, which
        cannot see that.

        Raises:
            FileNotFoundError: it would.
        """
        if work == "examine":
            return answer  # with what was told; the next scan sees that it is another
        is_changed = [self._is_changed(file) for file in _files_in(arguments)]
        if not any(is_changed):
            return answer
        if work == "analyse_aligned":
            return [None if changed else one for one, changed in zip(answer, is_changed, strict=True)]
        if work in ENGINE_WORK:
            return None
        raise FileNotFoundError(_subject_of(arguments))

    def _is_changed(self, file: LibraryFile) -> bool:
        try:
            descriptor = open_beneath(file.root, file.path)
        except OSError:
            return True
        try:
            return Fingerprint.of(os.fstat(descriptor)) != self._told[os.fspath(file)]
        finally:
            os.close(descriptor)

    def _why_blind(self, error: OSError, arguments: tuple[Any, ...]) -> str:
        """Return why a node is to blame, and not a photo, that it cannot read what can be read here."""
        roots = ", ".join(sorted({self._path_there(file.root) for file in _files_in(arguments)}))
        return f"does not see the photos in {roots} ({error.strerror}); see ray.paths and ray.photos"


class NodePool(Pool):
    """Workers on all cores of a cluster."""

    def __init__(
        self,
        recipe: Recipe,
        settings: ClusterSettings,
        *,
        fingerprint: str,
        photo_seconds: float = PHOTO_SECONDS,
        load: Load = load,
    ) -> None:
        """`fingerprint`: the engine's, which a node's has to have, too.

        Raises:
            EngineError: the cluster cannot be used.
        """
        self._settings = settings
        self._connecting = threading.Lock()
        self._cluster: Cluster | None = Cluster(settings)
        nodes = self._cluster.nodes()
        super().__init__(
            lambda: NodeProcess(self._connected(), recipe, load, photo_seconds=photo_seconds, fingerprint=fingerprint),
            sum(node.n_cores for node in nodes),
            Room(),
            Memory.of(recipe, None),
        )
        log.info("%s: %d workers on %d nodes", settings.address, self.n_workers, len(nodes))

    def close(self) -> None:
        super().close()
        with self._connecting:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def _connected(self) -> Cluster:
        with self._connecting:
            if self._cluster is None:
                self._cluster = Cluster(self._settings)
            return self._cluster


def _files_in(arguments: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for each in map(_as_tuple, arguments):
        if isinstance(each, LibraryFile):
            found.append(each)
        elif isinstance(each, tuple):
            found += _files_in(each)
    return found


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _subject_of(arguments: tuple[Any, ...]) -> str:
    return " ".join(os.fspath(file) for file in _files_in(arguments))
