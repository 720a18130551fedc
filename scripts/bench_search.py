"""The part "search" of scripts/bench.py: the nearest faces of a large catalog, in milliseconds and megabytes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from bench_catalog import fill_catalog, unit
from bench_grouping import peak_memory
from bench_kit import SEED, Bench, Finding, open_app
from numpy.typing import NDArray

from facewatch.catalog import Catalog
from facewatch.engines import describe_engine
from facewatch.matching.search import Block, Vectors
from facewatch.matching.vector_file import Extent, Origin, VectorFile
from facewatch.people.search import Search
from facewatch.types import Fingerprint

Result = TypeVar("Result")

N_FOUND = 10
N_PROBES = 20
FACES_A_PERSON = 50
BLOCK_FACES = 10_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What searching took, in a process that did nothing else."""

    loading: float
    """Seconds until the first answer: the catalog and the file are opened, and the vectors come into memory."""
    seconds: float
    """Of a later search, the median."""
    cpu_seconds: float
    """Of a later search, the mean, all cores together."""
    megabytes: float
    """The peak of the process; the file's pages that it has seen count as its own."""
    n_wrong: int
    """Answers that are not those of the plain way."""


def measure_search(bench: Bench) -> list[Finding]:
    """Searches for one face of a photo, from the call to the described answer, in a catalog whose faces are random.

    Each size runs in a process of its own, so that its peak is its own. A million faces are a file without a catalog.
    """
    n_faces, n_large = bench.many(100_000, 100_000, 200), bench.many(1_000_000, 0, 200)
    findings = [finding for n_dims in (128, 512) for finding in measure_catalog(bench, n_faces, n_dims)]
    return findings + measure_file(bench, n_large, 512) if n_large else findings


def measure_catalog(bench: Bench, n_faces: int, n_dims: int) -> list[Finding]:
    name = f"{n_faces:,} faces, {n_dims}-D"
    bench.say(f"search: {name}")
    folder = bench.scratch / f"search-{n_dims}"
    make_catalog(folder, n_faces, n_dims)
    started = time.perf_counter()
    with open_app(folder) as app:
        Search(app.catalog, app.engine, app.lookup, app.workers).keep_up()
    making = time.perf_counter() - started
    outcome = in_new_process(search_catalog, folder, n_faces)
    with open_app(folder) as app:
        search = Search(app.catalog, app.engine, app.lookup, app.workers)
        started = time.perf_counter()
        search.keep_up()
        keeping = time.perf_counter() - started
    return [
        *findings_of(name, outcome, at_most=50),
        Finding(f"{name}, making the file", making, "s"),
        Finding(f"{name}, keeping it up when nothing came", 1000 * keeping, "ms"),
    ]


def measure_file(bench: Bench, n_faces: int, n_dims: int) -> list[Finding]:
    name = f"{n_faces:,} faces, {n_dims}-D"
    bench.say(f"search: {name}")
    path = bench.scratch / "search-vectors"
    make_file(path, n_faces, n_dims)
    outcome = in_new_process(search_file, path, n_faces)
    path.unlink()
    return findings_of(name, outcome, at_most=400, megabytes=2_500)


def findings_of(name: str, outcome: Outcome, *, at_most: float, megabytes: float | None = None) -> list[Finding]:
    return [
        Finding(
            f"{name}, the nearest {N_FOUND}",
            1000 * outcome.seconds,
            "ms",
            at_most=at_most,
            row=f"search: the nearest {N_FOUND} of {name}",
        ),
        Finding(f"{name}, processor time of that", 1000 * outcome.cpu_seconds, "ms"),
        Finding(f"{name}, the first search, loading included", 1000 * outcome.loading, "ms"),
        Finding(
            f"{name}, peak memory",
            outcome.megabytes,
            "MB",
            at_most=megabytes,
            row=f"search: the nearest {N_FOUND} of {name}",
        ),
        Finding(f"{name}, wrong answers of {N_PROBES}", outcome.n_wrong, at_most=0, row="wrong answers of a search"),
    ]


def in_new_process(work: Callable[[Path, int], Result], path: Path, n_faces: int) -> Result:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, path, n_faces).result()


# --- a catalog ---


def make_catalog(folder: Path, n_faces: int, n_dims: int) -> None:
    """Write a catalog of photos that are not there, one face each."""
    folder.mkdir()
    random = np.random.default_rng(SEED)
    people = np.arange(n_faces) % (n_faces // FACES_A_PERSON)
    centres = unit(random.normal(size=(people.max() + 1, n_dims)))
    vectors = unit((centres[people] + unit(random.normal(size=(n_faces, n_dims)))).astype(np.float64))
    files = [(f"{i:06d}.jpg", Fingerprint(1, i, i)) for i in range(n_faces)]
    info = dataclasses.replace(describe_engine("face_recognition"), n_dims=n_dims)
    with Catalog(folder / "catalog.sqlite") as catalog:
        engine_id = fill_catalog(catalog, info, folder, files, people + 1, vectors)
        with catalog.write():
            catalog.engines.use(engine_id)


def search_catalog(folder: Path, n_faces: int) -> Outcome:
    """Search for faces of photos of the catalog, as the command does."""
    photos = [folder / f"{i:06d}.jpg" for i in np.random.default_rng(SEED).integers(0, n_faces, N_PROBES)]
    started = time.perf_counter()
    with open_app(folder) as app:
        search = Search(app.catalog, app.engine, app.lookup, app.workers)
        search.like(photos[0], k=N_FOUND)
        loading = time.perf_counter() - started
        spans, answers, before = [], [], time.process_time()
        for photo in photos:
            started = time.perf_counter()
            [face] = search.like(photo, k=N_FOUND)
            spans.append(time.perf_counter() - started)
            answers.append([one.face_id for one in face.found])
        cpu_seconds, megabytes = (time.process_time() - before) / N_PROBES, peak_memory()
        [engine] = app.catalog.engines.all()
        table = app.catalog.faces.load(engine.id, n_dims=engine.n_dims)
    # The number of a photo is that of its face, less one; the face itself is not to be found.
    plain = [plain_nearest(table.embeddings, int(photo.stem))[1:] + 1 for photo in photos]
    n_wrong = sum(answer != right.tolist() for answer, right in zip(answers, plain, strict=True))
    return Outcome(loading, statistics.median(spans), cpu_seconds, megabytes, n_wrong)


# --- a file ---

ORIGIN = Origin("scenery", "scenery", 512)


def make_file(path: Path, n_faces: int, n_dims: int) -> None:
    random = np.random.default_rng(SEED)
    with VectorFile(path, dataclasses.replace(ORIGIN, n_dims=n_dims)).write(None) as draft:
        for start in range(0, n_faces, BLOCK_FACES):
            ids = np.arange(start, min(start + BLOCK_FACES, n_faces))
            vectors = random.standard_normal((len(ids), n_dims), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            draft.add(Block(ids, vectors))
        draft.sync()
        draft.publish(Extent(n_faces, n_faces, n_faces - 1, "", ""))


def search_file(path: Path, n_faces: int) -> Outcome:
    started = time.perf_counter()
    stored = VectorFile(path, ORIGIN).read()
    assert stored is not None
    vectors = Vectors([stored.block])
    rows = np.random.default_rng(SEED).integers(0, n_faces, N_PROBES)
    nearest(vectors, stored.block.vectors[rows[0]])
    loading = time.perf_counter() - started
    spans, answers, before = [], [], time.process_time()
    for row in rows:
        probe = stored.block.vectors[row]
        started = time.perf_counter()
        answers.append(nearest(vectors, probe))
        spans.append(time.perf_counter() - started)
    cpu_seconds, megabytes = (time.process_time() - before) / N_PROBES, peak_memory()
    plain = [plain_nearest(stored.block.vectors, int(row))[:N_FOUND].tolist() for row in rows]
    n_wrong = sum(answer != right for answer, right in zip(answers, plain, strict=True))
    return Outcome(loading, statistics.median(spans), cpu_seconds, megabytes, n_wrong)


def nearest(vectors: Vectors, probe: NDArray[np.float32]) -> list[int]:
    [ranking] = vectors.nearest(probe[None])
    return [near.face_id for near in islice(ranking, N_FOUND)]


def plain_nearest(vectors: NDArray[np.float32], row: int) -> NDArray[np.int64]:
    """Return the rows of the nearest faces, one more than are asked for, in double precision."""
    probe = vectors[row].astype(np.float64)
    distances = np.concatenate(
        [
            np.linalg.norm(vectors[start : start + BLOCK_FACES].astype(np.float64) - probe, axis=1)
            for start in range(0, len(vectors), BLOCK_FACES)
        ]
    )
    return np.argsort(distances, kind="stable")[: N_FOUND + 1]
