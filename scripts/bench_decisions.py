"""The part "decisions" of scripts/bench.py: what a correction costs in a large library."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from bench_catalog import fill_catalog, make_files, unit
from bench_kit import SEED, Bench, Finding, Household, open_app, spent_by

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.engines import describe_engine
from facewatch.people.corrections import Decisions
from facewatch.people.record import Decided

FACES_A_PERSON = 50
POOL_SHARE = 5
"""Every fifth face of everybody belongs to nobody; nine in ten of those are strangers."""
SPREAD = 0.15
"""Distance of a face from its person's centre."""


@dataclass(frozen=True, slots=True)
class Scenery:
    """A catalog of people, and of a pool in which some of them are."""

    n_people: int
    in_pool: tuple[int, ...]
    """People of whom the pool has a face."""

    @property
    def n_faces(self) -> int:
        return self.n_people * FACES_A_PERSON

    def face(self, *, person: int, row: int) -> str:
        """The id of a person's face; those of row 0, and of every fifth from there, are in the pool."""
        return f"f{row * self.n_people + person}"


DECISIONS: dict[str, Callable[[Decisions, Scenery, int], Decided]] = {
    "rename": lambda d, s, n: d.rename("p1", f"Anna {n}").decided,
    "assign": lambda d, s, n: d.assign([s.face(person=2 + n, row=0)], "p1"),
    "reject": lambda d, s, n: d.reject([s.face(person=2 + n, row=1)]),
    "confirm": lambda d, s, n: d.confirm([s.face(person=2 + n, row=2)]),
    "merge": lambda d, s, n: d.merge("p1", [f"p{2 + n}"]),
}


def measure_decisions(bench: Bench) -> list[Finding]:
    """Seconds of a decision in catalog and folders, of matching the pool again, and of the command from the shell."""
    house = Household(bench.scratch / "decisions")
    n_people = bench.many(2_000, 2_000, 20)
    bench.say(f"decisions: a library of {n_people * FACES_A_PERSON:,} faces")
    scenery = make_scenery(house, n_people)
    n_times = bench.many(9, 3, 1)
    of = f"at {scenery.n_faces:,} faces and {n_people:,} people"
    with open_app(house.home, {"library.photos": str(house.photos)}) as app:
        app.folder.sync()
        app.identities.gallery()
        row = f"{', '.join(DECISIONS)}, undo {of}, in a running program, folders and matching again included"
        findings = [
            Finding(f"{name} {of}, in the program", 1000 * seconds, "ms", at_most=300, row=row)
            for name, seconds in in_program(app, scenery, n_times).items()
        ]
        matching = [seconds_of(partial(rematch, app, person)) for person in scenery.in_pool[:n_times]]
    row = "matching the pool again in a process that has no gallery yet"
    findings.append(Finding(f"matching again {of}", statistics.median(matching), "s", at_most=2, row=row))
    shell: dict[str, list[float]] = {}
    for n in range(n_times):
        face, person = scenery.face(person=10 + n, row=0), f"p{10 + n}"
        for words in (("rename", person, f"Ben {n}"), ("assign", face, person), ("reject", face), ("undo",)):
            shell.setdefault(words[0], []).append(spent_by(partial(house.run, *words)).seconds)
    row = f"{', '.join(shell)} {of}, from the shell"
    return findings + [
        Finding(f"{name} {of}, from the shell", statistics.median(times), "s", at_most=1, row=row)
        for name, times in shell.items()
    ]


def in_program(app: App, scenery: Scenery, n_times: int) -> dict[str, float]:
    """Return the median seconds of each decision and of taking it back, all that follows included."""
    seconds: dict[str, list[float]] = {}
    for n in range(n_times):
        for name, decide in DECISIONS.items():
            started = time.perf_counter()
            with app.corrections.deciding() as decisions:
                decide(decisions, scenery, n)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
            seconds.setdefault("undo", []).append(seconds_of(app.corrections.undo))
    return {name: statistics.median(seconds[name]) for name in (*DECISIONS, "undo")}


def rematch(app: App, person_id: int) -> None:
    """Look at the pool again for one person, as a process does that knows nobody yet."""
    app.identities.forget_gallery()
    gained = app.identities.rematch([person_id], (), None)
    assert gained == {person_id}, gained


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def make_scenery(house: Household, n_people: int) -> Scenery:
    """Fill a catalog with people, and with a pool of which some are people that are known."""
    n_faces = n_people * FACES_A_PERSON
    info = describe_engine("face_recognition")
    random = np.random.default_rng(SEED)
    centres = unit(random.normal(size=(n_people, info.n_dims)))
    who = np.arange(n_faces) % n_people
    faces = unit(centres[who] + SPREAD * unit(random.normal(size=(n_faces, info.n_dims))).astype(np.float64))
    is_pool = np.arange(n_faces) // n_people % POOL_SHARE == 0
    is_stranger = is_pool & (random.random(n_faces) < 0.9)
    faces[is_stranger] = unit(random.normal(size=(int(is_stranger.sum()), info.n_dims)))
    files = make_files(house.photos, n_faces)
    with Catalog(house.catalog) as catalog:
        fill_catalog(catalog, info, house.photos, files, who + 1, faces)
    db = sqlite3.connect(house.catalog)
    pool = (1 + np.flatnonzero(is_pool)).tolist()
    db.executemany("DELETE FROM assignments WHERE face_id = ?", ((face_id,) for face_id in pool))
    db.commit()
    db.close()
    os.sync()
    return Scenery(n_people, tuple((1 + np.unique(who[is_pool & ~is_stranger])).tolist()))
