"""A Ray cluster: the connection to it, which of its nodes get workers, and how much is on its way to them."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from facewatch.errors import EngineError
from facewatch.indexing.analyzer import one_line
from facewatch.indexing.pool import NoPlaceError

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
"""How long the head of a cluster may take to answer at all."""

HEAD_SECONDS = 5.0
"""How often it is looked whether the head is still there. Ray itself ends this program, without a word, a minute after
it has lost it."""

POLL_SECONDS = 0.05
"""How often it is looked whether somebody still wants an answer."""

BYTES_IN_FLIGHT = 2**30
"""Photos that are sent at a time; one that is larger goes alone. They lie in the nodes' object stores until they are
analysed, and Ray gives those 30 % of the memory."""

LOCAL_STORE_BYTES = 2**28
"""The object store of a cluster that is this machine only."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How a cluster is reached, and photos on it."""

    address: str
    """"local": this machine alone; "auto": the cluster that this machine belongs to; else host:port of its head."""
    is_shipped: bool = False
    """Whether photos are sent; else nodes read them."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Where nodes that read them find a folder of photos that has another path here, by that."""
    n_local: int = 1
    """Workers of a cluster that is this machine alone."""


@dataclass(slots=True)
class Node:
    """A machine of the cluster."""

    id: str
    name: str
    n_cores: int
    n_workers: int = 0
    """Ours, at work or being made."""
    why_not: str = ""
    """Why it gets no worker any more."""


class Cluster:
    """The connection to a cluster, and who works where. Threads may share it."""

    def __init__(self, settings: ClusterSettings) -> None:
        """Raises:
        EngineError: it does not answer, or has another Python; the message says what to do.
        """
        self.settings = settings
        self._folder = TemporaryDirectory(prefix="facewatch-ray-", ignore_cleanup_errors=True)
        try:
            self.ray = _connected(settings, self._folder.name)
        except BaseException:
            self._folder.cleanup()
            raise
        self._head = self.ray.get_runtime_context().gcs_address
        self._head_seen = monotonic()
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._lost_over: Counter[str] = Counter()
        self.in_flight = Budget(BYTES_IN_FLIGHT)

    def nodes(self) -> list[Node]:
        """Return the nodes that are there now."""
        with self._lock:
            return self._alive()

    def place(self) -> Node:
        """Return the node that gets one more worker.

        Raises:
            NoPlaceError: all cores of all nodes have one.
        """
        with self._lock:
            free = [node for node in self._alive() if not node.why_not and node.n_workers < node.n_cores]
            if not free:
                raise NoPlaceError(self._why_none())
            node = max(free, key=lambda node: node.n_cores - node.n_workers)
            node.n_workers += 1
            return node

    def leave(self, node: Node) -> None:
        """A worker of a node has ended."""
        with self._lock:
            node.n_workers -= 1

    def avoid(self, node: Node, why: str) -> None:
        """Let a node get no worker any more."""
        with self._lock:
            if not node.why_not:
                log.warning("node %s is not used any more: %s", node.name, why)
            node.why_not = why

    def is_lost_again(self, subject: str) -> bool:
        """Whether a worker was lost over the same photo before this one."""
        with self._lock:
            self._lost_over[subject] += 1
            return self._lost_over[subject] > 1

    def forget_lost(self, subject: str) -> None:
        """A worker has done its work with this photo."""
        with self._lock:
            self._lost_over.pop(subject, None)

    def check_head(self) -> None:
        """Raises:
        EngineError: the cluster has gone away.
        """
        with self._lock:
            if monotonic() - self._head_seen < HEAD_SECONDS:
                return
            self._head_seen = monotonic()
        self._reach_head()

    def _reach_head(self) -> None:
        """Raises:
        EngineError: the cluster has gone away.
        """
        try:
            _knock(self._head)
        except OSError as error:
            raise EngineError(
                f"ray.address {self.settings.address}: the cluster has gone away ({error}); nothing is lost, and the "
                "next scan goes on"
            ) from error

    def close(self) -> None:
        self.ray.shutdown()
        self._folder.cleanup()

    def _alive(self) -> list[Node]:
        self._reach_head()  # else Ray waits a minute for it, and then ends this process
        try:
            known = self.ray.nodes()
        except Exception as error:  # whatever Ray raises when its head is gone
            raise NoPlaceError(f"{self.settings.address}: the cluster has gone away ({one_line(error)})") from error
        alive = []
        for each in known:
            n_cores = int(each["Resources"].get("CPU", 0)) if each["Alive"] else 0
            if n_cores:
                node = Node(each["NodeID"], each["NodeManagerHostname"], n_cores)
                alive.append(self._nodes.setdefault(node.id, node))
        return alive

    def _why_none(self) -> str:
        unused = [f"{node.name}: {node.why_not}" for node in self._nodes.values() if node.why_not]
        return (
            f"no node of the cluster can be used ({'; '.join(unused) or 'none is left'}); nothing is lost, and the "
            "next scan goes on"
        )


class Budget:
    """Bytes that may be on their way at a time."""

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._has_room = threading.Condition()

    def take(self, n_bytes: int, check: Callable[[], None]) -> None:
        """Wait until there is room for so many; what needs more than there ever is waits until it is alone.

        Args:
            check: called all the time; what it raises ends the waiting.
        """
        with self._has_room:
            while self._taken and self._taken + n_bytes > self._most:
                self._has_room.wait(POLL_SECONDS)
                check()
            self._taken += n_bytes

    def give_back(self, n_bytes: int) -> None:
        with self._has_room:
            self._taken -= n_bytes
            self._has_room.notify_all()


def _connected(settings: ClusterSettings, folder: str) -> Any:
    """Return Ray, connected; a cluster of this machine alone keeps its files in a folder.

    Raises:
        EngineError: it is not installed, or the cluster does not answer or is another Ray's.
    """
    if find_spec("ray") is None:
        raise EngineError(
            f"ray.address needs the package ray, which is not installed: {sys.executable} -m pip install ray"
        )
    is_local = settings.address == "local"
    with environment(FOR_LOCAL if is_local else FOR_CLUSTER):
        ray = importlib.import_module("ray")
        importlib.import_module("ray.util.scheduling_strategies")
        try:
            _check_answers(settings.address)
            ray.init(settings.address, **_QUIETLY, **(_local(settings, folder) if is_local else {}))
        except Exception as error:  # Ray's own have many kinds
            raise EngineError(
                f"ray.address {settings.address}: {one_line(error)}; start it there with `ray start --head`, or empty "
                "ray.address to work on this machine alone"
            ) from error
    return ray


def _local(settings: ClusterSettings, folder: str) -> dict[str, Any]:
    return {
        "num_cpus": settings.n_local,
        "include_dashboard": False,
        "object_store_memory": LOCAL_STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": folder,
    }


_QUIETLY = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": "facewatch"}

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Ray tells its makers what is used, unless it is told not to."""
FOR_CLUSTER = _QUIET | {
    # Attempts to reach a head, of half a minute each.
    "RAY_gcs_server_port_wait_time_s": "1",
}
FOR_LOCAL = _QUIET | {
    # Else Ray takes another address of this machine for 127.0.0.1, and everything of it can be reached from outside.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""What Ray reads when it is imported, and when it starts something."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have these variables set, and in the end all as it was: Ray sets some, too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _check_answers(address: str) -> None:
    """Raises:
    OSError: nobody listens there; Ray itself would try for minutes.
    """
    if ":" in address:
        _knock(address)


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
