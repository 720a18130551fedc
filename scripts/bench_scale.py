"""The part "scale" of scripts/bench.py: searching among as many faces as archives have."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from bench_catalog import unit
from bench_grouping import peak_memory
from bench_kit import SEED, Bench, Finding
from bench_search import N_FOUND, in_new_process
from numpy.typing import NDArray

from facewatch.matching.codes import CodeFile
from facewatch.matching.rabitq import RabitqFiles
from facewatch.matching.search import Block, Vectors
from facewatch.matching.vector_file import Extent, Origin, Stored, VectorFile

N_DIMS = 512
N_PROBES = 50
N_WARM_UPS = 3
BLOCK_FACES = 16_384
ALIKE = (0.3, 0.7)
"""Between which cosines the true matches of a probe lie, evenly: the ten nearest faces, all others being strangers."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What searching for all probes took, in a process that did nothing else."""

    loading: float
    """Until the first answer."""
    seconds: float
    """Of a later search, the median."""
    cpu_seconds: float
    """Of a later search, the mean, all cores together."""
    megabytes: float
    """The peak of the process; the pages of files that it has seen count as its own."""
    answers: list[list[int]]


def measure_scale(bench: Bench) -> list[Finding]:
    """Searches for the nearest ten among random faces, by codes and by the index, each in a process of its own.

    What is wrong is counted against the cosines of all vectors, in single precision, the hundred nearest in double.
    """
    n_faces = bench.many(20_000_000, 1_000_000, 3_000)
    bench.say(f"scale: {n_faces:,} faces, {N_DIMS}-D, on the disk {n_faces * N_DIMS * 5 / 1e9:.0f} GB")
    path = bench.scratch / "scale-vectors"
    probes = make_file(path, n_faces)
    stored = read(path)
    coding = seconds_of(lambda: codes_beside(path).follow(stored))
    bench.say("scale: exact")
    exact = in_new_process(search_by_codes, path, n_faces)
    indexing = seconds_of(lambda: index_beside(path).follow(stored))
    bench.say("scale: by the index")
    by_index = in_new_process(search_by_index, path, n_faces)
    bench.say("scale: what is right")
    right = plain_answers(stored, probes)
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
    name, is_full = f"{n_faces:,} faces", n_faces >= 20_000_000
    n_wrong = sum(answer != nearest for answer, nearest in zip(exact.answers, right, strict=True))
    n_found = sum(len({*answer} & {*nearest}) for answer, nearest in zip(by_index.answers, right, strict=True))
    return [
        Finding(f"{name}, making their codes", coding, "s"),
        *findings_of(f"{name}, exact", exact, most_ms=700 if is_full else None, most_mb=12_000),
        Finding(f"{name}, exact, wrong answers of {N_PROBES}", n_wrong, at_most=0),
        Finding(f"{name}, making their index", indexing, "s"),
        *findings_of(f"{name}, by the index", by_index, most_ms=60 if is_full else None, most_mb=4_000),
        Finding(f"{name}, by the index, true matches found", n_found / (N_FOUND * N_PROBES), at_least=0.98),
    ]


def findings_of(name: str, searched: Searched, *, most_ms: float | None, most_mb: float) -> list[Finding]:
    return [
        Finding(f"{name}, the nearest {N_FOUND}", 1000 * searched.seconds, "ms", at_most=most_ms),
        Finding(f"{name}, processor time of that", 1000 * searched.cpu_seconds, "ms"),
        Finding(f"{name}, the first search, loading included", searched.loading, "s"),
        Finding(f"{name}, peak memory", searched.megabytes, "MB", at_most=most_mb),
    ]


def seconds_of(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# --- the files ---

ORIGIN = Origin("scenery", "scenery", N_DIMS)


def codes_beside(path: Path) -> CodeFile:
    return CodeFile(path.with_name(f"{path.name}.codes"), ORIGIN)


def index_beside(path: Path) -> RabitqFiles:
    return RabitqFiles(path.with_name(f"{path.name}.rabitq"))


def make_file(path: Path, n_faces: int) -> NDArray[np.float32]:
    """Write random faces, ten like each probe among them; return the probes."""
    random = np.random.default_rng(SEED)
    probes = unit(random.normal(size=(N_PROBES, N_DIMS))).astype(np.float32)
    alike = matches_of(probes, random)
    places = random.permutation(n_faces)[: len(alike)]
    with VectorFile(path, ORIGIN).write(None) as draft:
        for start in range(0, n_faces, BLOCK_FACES):
            ids = np.arange(start, min(start + BLOCK_FACES, n_faces))
            vectors = random.standard_normal((len(ids), N_DIMS), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            here = (places >= start) & (places < start + len(ids))
            vectors[places[here] - start] = alike[here]
            draft.add(Block(ids, vectors))
        draft.sync()
        draft.publish(Extent(n_faces, n_faces, n_faces - 1, "scenery", ""))
    np.save(probes_beside(path), probes)
    return probes


def matches_of(probes: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return ten unit vectors for each probe, as like it as `ALIKE` says."""
    each = np.repeat(probes, N_FOUND, axis=0).astype(np.float64)
    other = random.normal(size=each.shape)
    aside = unit(other - (other * each).sum(1, keepdims=True) * each)
    cosines = random.uniform(*ALIKE, (len(each), 1))
    return (cosines * each + np.sqrt(1 - cosines**2) * aside).astype(np.float32)


def probes_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.npy")


def read(path: Path) -> Stored:
    stored = VectorFile(path, ORIGIN).read()
    assert stored is not None
    return stored


# --- searching ---


def search_by_codes(path: Path, _: int) -> Searched:
    started = time.perf_counter()
    stored = read(path)
    codes = codes_beside(path).read(stored)
    assert codes is not None
    return searched(Vectors([Block(codes.ids, stored.block.vectors)], codes), path, started)


def search_by_index(path: Path, _: int) -> Searched:
    started = time.perf_counter()
    stored = read(path)
    index = index_beside(path).read(stored)
    assert index is not None
    return searched(Vectors([stored.block], index=index), path, started)


def searched(vectors: Vectors, path: Path, started: float) -> Searched:
    probes = np.load(probes_beside(path))
    nearest(vectors, probes[0])
    loading = time.perf_counter() - started
    for probe in probes[:N_WARM_UPS]:
        nearest(vectors, probe)
    spans, answers, before = [], [], time.process_time()
    for probe in probes:
        started = time.perf_counter()
        answers.append(nearest(vectors, probe))
        spans.append(time.perf_counter() - started)
    cpu_seconds = (time.process_time() - before) / len(probes)
    return Searched(loading, statistics.median(spans), cpu_seconds, peak_memory(), answers)


def nearest(vectors: Vectors, probe: NDArray[np.float32]) -> list[int]:
    [ranking] = vectors.nearest(probe[None])
    return [near.face_id for near in islice(ranking, N_FOUND)]


def plain_answers(stored: Stored, probes: NDArray[np.float32], n_candidates: int = 100) -> list[list[int]]:
    """Return the ten nearest faces of each probe, comparing it with all."""
    rows, cosines = np.zeros((N_PROBES, 0), np.int64), np.zeros((N_PROBES, 0), np.float32)
    for start in range(0, len(stored.block), BLOCK_FACES):
        part = probes @ stored.block.vectors[start : start + BLOCK_FACES].T
        rows = np.hstack([rows, np.broadcast_to(np.arange(start, start + part.shape[1]), part.shape)])
        cosines = np.hstack([cosines, part])
        best = np.argpartition(-cosines, min(n_candidates, cosines.shape[1] - 1), axis=1)[:, :n_candidates]
        rows, cosines = np.take_along_axis(rows, best, 1), np.take_along_axis(cosines, best, 1)
    return [in_order(stored, probe, own) for probe, own in zip(probes, rows, strict=True)]


def in_order(stored: Stored, probe: NDArray[np.float32], rows: NDArray[np.int64]) -> list[int]:
    rows = np.sort(rows)
    distances = np.linalg.norm(stored.block.vectors[rows].astype(np.float64) - probe, axis=1)
    return [int(row) for row in rows[np.argsort(distances, kind="stable")][:N_FOUND]]
