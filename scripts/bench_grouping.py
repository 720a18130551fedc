"""The part "grouping" of scripts/bench.py: synthetic faces to groups, in seconds and megabytes."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_kit import MB, SEED, Bench, Finding, Size
from synthetic import make_faces

from facewatch.clustering import Clusterer, make_clusterer, neighbours
from facewatch.clustering.graph import NeighbourGraph
from facewatch.config import load_config
from facewatch.engines.arcface import NORMALISATION, THRESHOLDS
from facewatch.evaluation.metrics import bcubed
from facewatch.evaluation.ways import alone


@dataclass(frozen=True, slots=True)
class Task:
    """A library to group, and what that may take."""

    n_new: int
    n_old: int = 0
    """Faces that were grouped before, whose neighbours are kept; not timed."""
    seconds: float | None = None
    """At most; None: nobody has promised anything."""
    megabytes: float | None = None
    """At most, at the peak, faces included."""

    @property
    def name(self) -> str:
        return f"{self.n_new:,} new faces among {self.n_old:,}" if self.n_old else f"{self.n_new:,} faces"


SMALL = Task(20_000, seconds=10, megabytes=1_000)
LARGE = Task(100_000, seconds=120, megabytes=1_300)
MILLION = Task(1_000_000, seconds=1_800, megabytes=8_000)
MOST_LOST = 0.003
"""How much lower BCubed F may be where not all faces are compared."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    """The peak of its process, everything included."""
    precision: float
    """BCubed, as is recall."""
    recall: float
    recall_of_graph: float
    """Share of the edges between near faces that were found."""

    @property
    def f(self) -> float:
        return 2 / (1 / self.precision + 1 / self.recall)


def measure_grouping(bench: Bench) -> list[Finding]:
    """What the default method takes for synthetic faces of 512 dimensions, with the advanced engine's thresholds.

    Each task runs in a process of its own, so that its peak is its own. The time includes the method's imports.
    """
    tasks = {
        Size.FULL: (SMALL, LARGE, Task(20_000, n_old=100_000, seconds=40)),
        Size.QUICK: (SMALL, Task(4_000, n_old=20_000)),
        Size.TINY: (Task(200), Task(40, n_old=200)),
    }
    return [finding for task in tasks[bench.size] for finding in measure_task(bench, task)]


def measure_million(bench: Bench) -> list[Finding]:
    """What a library takes of which not all faces are compared with each other, and what that costs in answers."""
    task = {Size.FULL: MILLION, Size.QUICK: Task(400_000), Size.TINY: Task(300)}[bench.size]
    findings = measure_task(bench, task, in_cells=bench.size is Size.TINY)
    some = Task(bench.many(200_000, 50_000, 300))
    exact, found = (outcome_of(bench, some, in_cells=in_cells) for in_cells in (False, True))
    row = f"{some.name} grouped with all compared, and in cells: BCubed F lost"
    return [
        *findings,
        Finding(f"{some.name}, share of the edges found in cells", found.recall_of_graph, at_least=0.99),
        Finding(row, exact.f - found.f, at_most=MOST_LOST, row=row),
    ]


def measure_task(bench: Bench, task: Task, *, in_cells: bool = False) -> list[Finding]:
    outcome = outcome_of(bench, task, in_cells=in_cells)
    return [
        Finding(task.name, outcome.seconds, "s", at_most=task.seconds, row=f"grouping {task.name}"),
        Finding(f"{task.name}, processor time", outcome.cpu_seconds, "s"),
        Finding(
            f"{task.name}, peak memory", outcome.megabytes, "MB", at_most=task.megabytes, row=f"grouping {task.name}"
        ),
        Finding(f"{task.name}, BCubed precision", outcome.precision),
        Finding(f"{task.name}, BCubed recall", outcome.recall),
    ]


def outcome_of(bench: Bench, task: Task, *, in_cells: bool = False) -> Outcome:
    """Return what became of a task; `in_cells`: faces are compared in cells even where all could be."""
    bench.say(f"grouping: {task.name}{' in cells' if in_cells else ''}")
    file = bench.scratch / "faces.npz"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        process.submit(write_faces, file, task.n_old + task.n_new).result()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(group_file, file, task.n_old, in_cells=in_cells).result()


def write_faces(file: Path, n_faces: int) -> None:
    faces = make_faces(n_faces, SEED)
    np.savez(file, embeddings=faces.embeddings, people=faces.people, photos=faces.photos)


def group_file(file: Path, n_old: int, *, in_cells: bool = False) -> Outcome:
    """Group the faces of a file, the first `n_old` of them before that by themselves, as the service does it."""
    if in_cells:
        neighbours.MOST_PAIRS = 0
    with np.load(file) as arrays:
        embeddings, people, photos = (arrays[name] for name in ("embeddings", "people", "photos"))
    ids = np.arange(len(people))
    graph = NeighbourGraph(ceiling=THRESHOLDS.cluster)
    clusterer = default_clusterer(graph)
    if n_old:
        clusterer.fit_predict(embeddings[:n_old], photos=photos[:n_old], ids=ids[:n_old])
    started, before = time.perf_counter(), time.process_time()
    labels = clusterer.fit_predict(embeddings, photos=photos, ids=ids)
    seconds, cpu_seconds, megabytes = time.perf_counter() - started, time.process_time() - before, peak_memory()
    agreement = bcubed(people, alone(labels))
    return Outcome(seconds, cpu_seconds, megabytes, agreement.precision, agreement.recall, graph.recall)


def default_clusterer(graph: NeighbourGraph) -> Clusterer:
    """Return what the service makes from the default settings, with a graph that is kept."""
    config = load_config(None, {}, cwd=Path())
    return make_clusterer(
        config["cluster.method"],
        ceiling=THRESHOLDS.cluster,
        singleton_penalty=THRESHOLDS.singleton_penalty,
        margin=THRESHOLDS.cluster_margin,
        copy=THRESHOLDS.copy,
        min_faces=config["cluster.min_faces"],
        normalisation=NORMALISATION,
        graph=graph,
    )


def peak_memory() -> float:
    """Return the most megabytes that this process has held.

    From the kernel's own mark where it shows one: on Linux ru_maxrss begins with the peak of the process that started
    this one (800 MB for a child of 9 MB whose parent had held 800 MB).
    """
    status = Path("/proc/self/status")
    if status.is_file():
        mark = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(mark.split()[1]) / MB
    # Kilobytes, and bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MB
