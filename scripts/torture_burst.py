"""Many files: twenty thousand photos dropped in at once, and a hundred thousand in five thousand folders to watch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench_kit import MB
from bench_memory import family_of, rss_of
from drawn import make_library
from PIL import Image

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import Fault, FaultCode
from facewatch.heartbeat import Activity, Heartbeat, HeartbeatFile, heartbeat_file_of
from facewatch.library.scan import drive_of
from facewatch.types import Fingerprint

ROOT = Path(__file__).resolve().parents[1]

PEOPLE = 100
"""Who is in the photos."""

STATUS_LIMIT_SECONDS = 1.0
MEMORY_LIMIT_MB = 1200.0
WATCHES_LIMIT_SECONDS = 60.0
IDLE_LIMIT_PERCENT = 0.5
"""What the program promises."""


@dataclass(frozen=True, slots=True)
class Burst:
    n_photos: int
    n_in_catalog: int
    n_links: int
    seconds: float
    peak_mb: float
    """Of the watcher and its workers together, resident."""
    slowest_status: float
    """Seconds that `facewatch status` took at most, measured all the time."""
    n_status: int
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Standing:
    n_files: int
    n_folders: int
    ready_seconds: float
    """From the start of the process to the end of the first comparison, every folder being watched."""
    noticed_seconds: float
    """From a new photo in one of the folders until the watcher knew of it."""
    idle_percent: float
    """Of one core."""
    memory_mb: float
    faults: list[str]


def drop_in(base: Path, n_photos: int, *, is_timed: bool = True) -> Burst:
    """Copy so many photos at once into a library that is watched; the limits of time and memory hold if `is_timed`."""
    library = make_library(base)
    staged = base / "staged"
    _draw(staged, n_photos)
    with _watcher(library.photos, library.people, library.catalog) as process:
        _wait(lambda: _is_idle(library.catalog), 60, process)
        with _gauge(process, library.catalog) as gauge:
            started = time.monotonic()
            shutil.copytree(staged, library.photos / "dropped")
            _wait(lambda: _n_photos(library.catalog) >= n_photos, 60 + n_photos / 20, process)
            _wait(lambda: _is_idle(library.catalog) and _n_links(library.people) > 0, 300, process)
            seconds = time.monotonic() - started
    with Catalog(library.catalog) as catalog:
        counts, verdict = catalog.files.counts(), catalog.check()
        n_placed = sum(person.n_photos for person in catalog.people.all())
        twice = catalog._db.execute("SELECT COUNT(*) - COUNT(DISTINCT photo_id) FROM files").fetchone()[0]
    faults = [] if verdict == "ok" else [f"the catalog: {verdict}"]
    faults += [] if counts == {"files": n_photos, "photos": n_photos, "faulty": 0} else [f"in the catalog: {counts}"]
    faults += [f"{twice} photos twice"] if twice else []
    n_links = _n_links(library.people)
    faults += [f"{n_links} links for {n_placed} photos of somebody"] if n_links != n_placed else []
    if is_timed:
        faults += _above("status took", max(gauge.status, default=0.0), STATUS_LIMIT_SECONDS, "s")
        faults += _above("memory was", gauge.peak_mb, MEMORY_LIMIT_MB, "MB")
    slowest = max(gauge.status, default=0.0)
    return Burst(n_photos, counts["photos"], n_links, seconds, gauge.peak_mb, slowest, len(gauge.status), faults)


def stand_by(base: Path, n_files: int, n_folders: int, *, idle_seconds: float, is_timed: bool = True) -> Standing:
    """Watch so many files that are known already, and measure what it costs to start and to do nothing."""
    library = make_library(base)
    folders = [library.photos / f"{i // 50:03d}" / f"{i % 50:02d}" for i in range(n_folders)]
    for folder in folders:
        folder.mkdir(parents=True)
        for i in range(n_files // n_folders):
            (folder / f"{i}.jpg").touch()
    _know(library.catalog, library.photos)
    faults: list[str] = []
    started = time.monotonic()
    with _watcher(library.photos, library.people, library.catalog) as process:
        _wait(lambda: _is_idle(library.catalog), 300, process)
        ready = time.monotonic() - started
        live = _live(library.catalog)
        faults += [f"not listened to: {live.libraries.polled}"] if live.libraries.polled else []
        before, started = _cpu_seconds(process), time.monotonic()
        time.sleep(idle_seconds)
        idle = 100 * (_cpu_seconds(process) - before) / (time.monotonic() - started)
        started = time.monotonic()
        Image.fromarray(fake.draw([(1, 1)])).save(folders[-1] / "new.png")
        _wait(lambda: _n_photos(library.catalog) == 1, 60, process)
        noticed = time.monotonic() - started
        memory = _memory_mb(process)
    if is_timed:
        faults += _above("ready after", ready, WATCHES_LIMIT_SECONDS, "s")
        faults += _above("idle it took", idle, IDLE_LIMIT_PERCENT, "% of a core")
    return Standing(n_files, n_folders, ready, noticed, idle, memory, faults)


def _above(what: str, value: float, limit: float, unit: str) -> list[str]:
    return [f"{what} {value:.2f} {unit}, the limit is {limit:g}"] if value > limit else []


def _draw(folder: Path, n_photos: int) -> None:
    for i in range(n_photos):
        path = folder / f"{i // 200:04d}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        person, look = i % PEOPLE, i // PEOPLE % 200
        Image.fromarray(fake.draw([(person, look)], shade=60 + i // (PEOPLE * 200))).save(path, compress_level=1)


def _know(path: Path, root: Path) -> None:
    """Write a catalog that has seen every file of a root."""
    settings = {
        "library.photos": str(root),
        "library.people": str(root.parent / "People"),
        "library.catalog": str(path),
    }
    with App(load_config(None, settings, cwd=root), info=fake.INFO) as app:
        app.libraries.resolve()
    with Catalog(path) as catalog, catalog.write():
        root_id = catalog.roots.add(root, drive_of(root), catalog.now())
        for file in root.rglob("*.jpg"):
            catalog.files.record(
                root_id,
                os.fspath(file.relative_to(root)),
                Fingerprint.of(file.stat()),
                photo_id=None,
                fault=Fault.of(FaultCode.EMPTY),
                now=catalog.now(),
            )


@contextmanager
def _watcher(photos: Path, people: Path, catalog: Path) -> Iterator[psutil.Process]:
    script = ROOT / "scripts" / "torture_watcher.py"
    with (catalog.parent.parent / "watcher.log").open("ab") as log:
        command = [sys.executable, "-P", *map(str, (script, photos, people, catalog))]
        watcher = subprocess.Popen(
            command, stderr=log, stdout=log, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        try:
            yield psutil.Process(watcher.pid)
        finally:
            watcher.terminate()
            watcher.wait(120)


class _Gauge:
    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.status: list[float] = []


@contextmanager
def _gauge(process: psutil.Process, catalog: Path) -> Iterator[_Gauge]:
    """Ask for the status, by the command line, again and again, and see how much memory the watcher takes."""
    gauge, is_over = _Gauge(), threading.Event()

    def measure() -> None:
        command = [sys.executable, "-P", "-m", "facewatch", "status", "--json", "--catalog", str(catalog)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        while not is_over.wait(0.5):
            gauge.peak_mb = max(gauge.peak_mb, _memory_mb(process))
            started = time.monotonic()
            answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
            gauge.status.append(time.monotonic() - started)
            json.loads(answer.stdout)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield gauge
    finally:
        is_over.set()
        thread.join()


def _memory_mb(process: psutil.Process) -> float:
    return sum(map(rss_of, family_of(process.pid))) / MB


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _is_idle(catalog: Path) -> bool:
    return _live(catalog).activity is Activity.IDLE


def _live(catalog: Path) -> Heartbeat:
    return HeartbeatFile(heartbeat_file_of(catalog)).read() or Heartbeat()


def _n_photos(path: Path) -> int:
    with Catalog(path) as catalog:
        return catalog.files.counts()["photos"]


def _n_links(people: Path) -> int:
    return sum(path.is_symlink() for path in people.rglob("*"))


def _wait(condition: Callable[[], bool], seconds: float, process: psutil.Process) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {seconds:.0f} s")
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise RuntimeError("the watcher ended")
        time.sleep(0.25)
