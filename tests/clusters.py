"""Real Ray clusters on this machine, each node with its own processes, all of them on the loopback address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from facewatch.indexing.cluster import FOR_LOCAL, environment

NODE = {
    "num_cpus": 1,
    "object_store_memory": 2**27,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}


@contextmanager
def cluster(n_nodes: int) -> Iterator[Any]:
    """Yield a `ray.cluster_utils.Cluster` whose nodes have a core each; the first is the head.

    In the process that asks, Ray knows the loopback address only from then on.
    """
    # A short one: the names of its sockets must not be longer than the system allows.
    folder = tempfile.mkdtemp(prefix="fw-ray-")
    # Nodes import what tests hand to them by its name.
    with environment(FOR_LOCAL | {"PYTHONPATH": str(Path(__file__).parent)}):
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args=NODE | {"temp_dir": folder})
        for _ in range(n_nodes - 1):
            made.add_node(**NODE)
    try:
        made.wait_for_nodes()
        yield made
    finally:
        started = list(processes_of(made))
        made.shutdown()
        for process in psutil.wait_procs(started, 5)[1]:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def processes_of(made: Any) -> Iterator[psutil.Process]:
    """Yield all processes of all nodes."""
    for node in made.list_all_nodes():
        for together in node.all_processes.values():
            for one in together:
                with suppress(psutil.Error):  # it has ended
                    process = psutil.Process(one.process.pid)
                    yield from (process, *process.children(recursive=True))
