"""The part "archive" of scripts/bench.py: commands of every day in a catalog of a million faces."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from bench_catalog import fill_catalog, make_files
from bench_kit import SEED, Bench, Finding, Household, spent_by
from bench_memory import peak_of
from bench_search import in_new_process
from bench_web import served

from facewatch.catalog import Catalog
from facewatch.engines import describe_engine

FACES_A_PHOTO = 5
FACES_A_PERSON = 50
FACES_OF_FIRST = 5_000
MOST_MB = 3_000


def measure_archive(bench: Bench) -> list[Finding]:
    """Seconds from the shell, start of the program included, and the most memory of a command.

    The files are there, what the catalog knows of them is scenery, and `facewatch folders` made the links.
    """
    n_photos = bench.many(200_000, 20_000, 1_200)
    house = Household(bench.scratch / "archive")
    bench.say(f"archive: {FACES_A_PHOTO * n_photos:,} faces in {n_photos:,} photos")
    in_new_process(make_archive, house.home, n_photos)
    bench.say("archive: links")
    linking = spent_by(lambda: house.run("folders", "-q")).seconds
    house.scan()
    return [
        Finding("making all links", linking, "s"),
        *findings_of(bench, house, f"{FACES_A_PHOTO * n_photos:,} faces"),
    ]


def findings_of(bench: Bench, house: Household, name: str) -> Iterator[Finding]:
    names = iter(("Anna", "Berta", "Clara"))

    def run(*words: str) -> float:
        return spent_by(lambda: house.run(*words)).seconds

    house.run("rename", "p1", "Zoe")
    commands: dict[str, tuple[Callable[[], float], float]] = {
        "scan of nothing new": (lambda: spent_by(house.scan).seconds, 60),
        "status": (lambda: run("status", "--json"), 1),
        "people": (lambda: run("people", "--json"), 2),
        f"another name for a person of {FACES_OF_FIRST:,} photos": (lambda: run("rename", "p1", next(names)), 1),
        "start of the page, to its first answer": (lambda: seconds_to_open(house), 3),
    }
    for what, (work, at_most) in commands.items():
        bench.say(f"archive: {what}")
        seconds = statistics.median(work() for _ in range(bench.many(3, 3, 1)))
        yield Finding(f"{name}, {what}", seconds, "s", at_most=at_most if bench.is_full else None)
    peaks = [peak_of(house, *words) for words in (("scan", str(house.photos)), ("status",), ("people",))]
    yield Finding(f"{name}, peak memory of scan, status and people", max(peaks), "MB", at_most=MOST_MB)


def seconds_to_open(house: Household) -> float:
    started = time.perf_counter()
    with served(house) as page:
        page.get("")
        return time.perf_counter() - started


def make_archive(home: Path, n_photos: int) -> bool:
    """Fill a catalog; in a process of its own, so that the vectors are not held by whoever starts the commands."""
    files = make_files(home / "Photos", n_photos)
    info = describe_engine("face_recognition")
    random = np.random.default_rng(SEED)
    n_faces = FACES_A_PHOTO * n_photos
    # The first face of each of the first photos, and in all photos people whom no other face of it shows.
    people = 2 + np.arange(n_faces) % (n_faces // FACES_A_PERSON)
    people[: FACES_A_PHOTO * min(FACES_OF_FIRST, n_photos) : FACES_A_PHOTO] = 1
    vectors = random.standard_normal((n_faces, info.n_dims), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with Catalog(home / "catalog.sqlite") as catalog:
        engine_id = fill_catalog(catalog, info, home / "Photos", files, people, vectors)
        with catalog.write():
            catalog.engines.use(engine_id)
    return True
