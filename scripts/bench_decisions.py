"""The part "decisions" of scripts/bench.py: what a correction costs in a large library."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Callable

import numpy as np
from bench_catalog import fill_catalog, make_files, unit
from bench_kit import SEED, Bench, Finding, Household, spent_by

from facewatch.catalog import Catalog
from facewatch.config import load_config
from facewatch.engines import describe_engine
from facewatch.people import Decided, Decisions
from facewatch.service import Service

N_FACES, N_PEOPLE = 100_000, 2_000
POOL_SHARE = 5
"""Every fifth face of everybody belongs to nobody; nine in ten of those are strangers."""
SPREAD = 0.15
"""Distance of a face from its person's centre."""

DECISIONS: dict[str, Callable[[Decisions, int], Decided]] = {
    "rename": lambda d, n: d.rename("17", f"Anna {n}").decided,
    "assign": lambda d, n: d.assign([str(50 + n)], "17"),
    "reject": lambda d, n: d.reject([str(N_PEOPLE + 18 + n)]),
    "confirm": lambda d, n: d.confirm([str(2 * N_PEOPLE + 19 + n)]),
    "merge": lambda d, n: d.merge("17", [str(100 + n)]),
}


def measure_decisions(bench: Bench) -> list[Finding]:
    """Seconds of a decision in catalog and folders, of looking at the pool again, and of the command from the shell."""
    house = Household(bench.scratch / "decisions")
    bench.say(f"decisions: a library of {N_FACES:,} faces")
    make_scenery(house)
    n_times = 3 if bench.is_quick else 9
    config = load_config(
        None,
        {
            "library.photos": str(house.photos),
            "library.people": str(house.people),
            "library.catalog": str(house.catalog),
        },
        cwd=house.photos,
    )
    of = f"at {N_FACES:,} faces and {N_PEOPLE:,} people"
    with Service(config) as service:
        service.sync_folders()
        service.identities.gallery()
        findings = [
            Finding("decisions", f"{name} {of}, in the program", 1000 * seconds, "ms", at_most=300)
            for name, seconds in in_program(service, n_times).items()
        ]
        looking = [seconds_of(lambda n=n: look_again(service, 1200 + n)) for n in range(n_times)]
    findings.append(Finding("decisions", f"looking again {of}", statistics.median(looking), "s", at_most=2))
    shell: dict[str, list[float]] = {}
    for n in range(n_times):
        face, person = str(500 + n), str(900 + n)
        for words in (("rename", person, f"Ben {n}"), ("assign", face, person), ("reject", face), ("undo",)):
            shell.setdefault(words[0], []).append(spent_by(lambda words=words: house.run(*words)).seconds)
    return findings + [
        Finding("decisions", f"{name} {of}, from the shell", statistics.median(times), "s", at_most=1)
        for name, times in shell.items()
    ]


def in_program(service: Service, n_times: int) -> dict[str, float]:
    """Return the median seconds of each decision and of taking it back, all that follows included."""
    seconds: dict[str, list[float]] = {}
    for n in range(n_times):
        for name, decide in DECISIONS.items():
            started = time.perf_counter()
            with service.deciding() as decisions:
                decide(decisions, n)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            seconds.setdefault("undo", []).append(seconds_of(service.undo))
    return {name: statistics.median(times) for name, times in seconds.items()}


def look_again(service: Service, person_id: int) -> None:
    """Look at the pool again for one person, as a process does that knows nobody yet."""
    service.identities.forget_gallery()
    gained = service.identities.look_again([person_id], (), None)
    assert gained == {person_id}, gained


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def make_scenery(house: Household) -> None:
    """Fill a catalog with people, and with a pool of which some are people that are known."""
    info = describe_engine("face_recognition")
    random = np.random.default_rng(SEED)
    centres = unit(random.normal(size=(N_PEOPLE, info.n_dims)))
    who = np.arange(N_FACES) % N_PEOPLE
    faces = unit(centres[who] + SPREAD * unit(random.normal(size=(N_FACES, info.n_dims))).astype(np.float64))
    is_pool = np.arange(N_FACES) // N_PEOPLE % POOL_SHARE == 0
    is_stranger = is_pool & (random.random(N_FACES) < 0.9)
    faces[is_stranger] = unit(random.normal(size=(int(is_stranger.sum()), info.n_dims)))
    files = make_files(house.photos, N_FACES)
    with Catalog(house.catalog) as catalog:
        fill_catalog(catalog, info, house.photos, files, who + 1, faces)
    db = sqlite3.connect(house.catalog)
    pool = (1 + np.flatnonzero(is_pool)).tolist()
    db.executemany("DELETE FROM assignments WHERE face_id = ?", ((face_id,) for face_id in pool))
    db.commit()
    db.close()
    os.sync()
