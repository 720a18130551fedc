"""The parts "assign", "rename" and "rescan" of scripts/bench.py: what a large catalog costs."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from bench_kit import SEED, Bench, Finding, Household, spent_by
from numpy.typing import NDArray

from facewatch.catalog import Catalog
from facewatch.engines import describe_engine
from facewatch.indexing.analyzer import AnalysisResult, Examination, LibraryFile
from facewatch.indexing.indexer import Indexer
from facewatch.indexing.memory import Room
from facewatch.people.identities import FixedEngine, Identities
from facewatch.types import Analysis, Box, Description, EngineInfo, Face, FileSays, Fingerprint, Quality, Tier

# --- rescan: a library in which nothing changed ---


UNTOUCHED = "files that it read, rows that it changed"


def measure_rescan(bench: Bench) -> list[Finding]:
    """Files a second of a second scan of an unchanged library, from the shell, start of the program included."""
    n_files = bench.many(10_000, 10_000, 20)
    house = Household(bench.scratch / "rescan")
    make_tiny_photos(house.photos, n_files)
    bench.say(f"rescan: first scan of {n_files} files, not timed")
    first = house.scan()
    assert first["n_new"] == n_files, first
    before = content_of(house.catalog)
    results: list[dict[str, Any]] = []
    seconds = min(spent_by(lambda: results.append(house.scan())).seconds for _ in range(bench.many(3, 3, 1)))
    n_read = sum(result[key] for result in results for key in ("n_new", "n_known", "n_faulty", "n_faces"))
    return [
        Finding("first scan, photos without faces", n_files / first["seconds"], "files/s"),
        Finding(
            f"second scan of {n_files:,} files",
            n_files / seconds,
            "files/s",
            at_least=2_000,
            row=f"second scan of {n_files:,} unchanged files",
        ),
        Finding("its own part of that, without the start", min(r["seconds"] for r in results), "s"),
        Finding("files read again", n_read, at_most=0, row=UNTOUCHED),
        Finding("rows changed in the catalog", len(before ^ content_of(house.catalog)), at_most=0, row=UNTOUCHED),
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
    """Return what the catalog says about files and photos, and when each was analysed."""
    db = sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)
    try:
        return {
            *db.execute("SELECT 'file', * FROM files"),
            *db.execute("SELECT 'photo', * FROM photos"),
            *db.execute("SELECT 'analysis', * FROM analyses"),
        }
    finally:
        db.close()


# --- scenery: a catalog with many faces that no engine had to find ---


def fill_catalog(
    catalog: Catalog,
    info: EngineInfo,
    root: Path,
    files: Sequence[tuple[str, Fingerprint]],
    people: NDArray[np.int64],
    embeddings: NDArray[np.float32],
) -> int:
    """Write one photo a file, with as many good faces in each as there are of these people (1 to n) for it.

    Returns the engine's id.
    """
    now = catalog.now()
    with catalog.write():
        engine_id = catalog.engines.add(info, now)
        root_id = catalog.roots.add(root, root.stat().st_dev, now)
    ids, faces = range(1, len(files) + 1), range(1, len(people) + 1)
    a_photo = len(people) // len(files)
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
        " VALUES (?, ?, ?, 150, 120, 120, '[0,0,0,0,0,0,0,0,0,0]', 1.0, 200.0, 120.0, 0.9, 'found')",
        ((i, (i - 1) // a_photo + 1, 10 + 125 * ((i - 1) % a_photo)) for i in faces),
    )
    db.executemany(
        "INSERT INTO embeddings VALUES (?, ?, ?)",
        ((i, engine_id, row.tobytes()) for i, row in zip(faces, embeddings.astype("<f4"), strict=True)),
    )
    db.executemany(
        "INSERT INTO people (id, created_at) VALUES (?, ?)", ((int(i), now) for i in range(1, people.max() + 1))
    )
    db.executemany(
        "INSERT INTO assignments (face_id, person_id, source, rule, at) VALUES (?, ?, 'cluster', 'scenery', ?)",
        ((i, int(person), now) for i, person in zip(faces, people, strict=True)),
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
    room = Room()
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
        self._identities = Identities(self.catalog, FixedEngine(engine_id, self.info))
        root_id = (self.catalog.roots.one(folder) or (0, 0))[0]
        self._ingest = Indexer(
            self.catalog, self, root=folder, root_id=root_id, engine_id=engine_id, assign=self._identities.match_photo
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

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        future: Future[Examination] = Future()
        digest = hashlib.sha256(os.fsencode(photo)).digest()
        future.set_result(Examination(Fingerprint(1, 1, 1), digest, n_pixels=1, n_bytes=1))
        return future

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        quality = Quality(sharpness=200, brightness=120, pixels=120, pose=0.1, score=0.9, tier=Tier.ENROLL)
        face = Face(Box(200, 150, 120, 120), (0.0,) * 10, 1.0, quality, self._arriving)
        future: Future[AnalysisResult] = Future()
        future.set_result(Analysis(640, 480, "JPEG", (face,)))
        return future

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
        raise NotImplementedError("no library here holds aligned crops")

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]:
        raise NotImplementedError("nobody draws boxes here")

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        raise NotImplementedError("all photos here are dated when they come")

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]:
        raise NotImplementedError("nothing is written beside photos here")

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]:
        raise NotImplementedError

    def close(self) -> None:
        self.catalog.close()


def measure_assign(bench: Bench) -> list[Finding]:
    """What one new photo with one face costs after its analysis, up to the committed transaction, in two catalogs.

    The catalogs are real files; their faces are clustered random vectors.
    """
    n_small, n_large = bench.many(1_000, 1_000, 100), bench.many(100_000, 100_000, 200)
    small = Crowd(bench.scratch / "assign-small", n_faces=n_small, n_people=n_small // 50)
    large = Crowd(bench.scratch / "assign-large", n_faces=n_large, n_people=n_large // 50)
    bench.say(f"assign: new faces, in turns into {n_small:,} and {n_large:,} known ones")
    small.load_gallery()
    loading = large.load_gallery()
    n_new = bench.many(400, 100, 5)
    pairs = [(small.seconds_for(n), large.seconds_for(n)) for n in range(n_new + 10)][10:]
    in_small, in_large = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    slowest = 1000 * max(seconds for _, seconds in pairs)
    small.close()
    large.close()
    of_small, of_large = (f"{n:,} faces of {n // 50:,} people" for n in (n_small, n_large))
    row = f"one new face among {of_large}, and against one among {n_small:,}"
    return [
        Finding(f"one new face, {of_small}", in_small, "ms"),
        Finding(f"one new face, {of_large}", in_large, "ms", at_most=20, row=row),
        Finding("the large catalog against the small one", in_large / in_small, "times", at_most=2, row=row),
        Finding(f"the slowest of {n_new} in the large one", slowest, "ms"),
        Finding("loading the gallery of the large one", loading, "s"),
    ]


# --- rename: a person with 5 000 photos ---


def measure_rename(bench: Bench) -> list[Finding]:
    """Seconds from the shell to name a person with 5 000 photos, and whether that was one renamed folder.

    The files are there, what the catalog knows of them is scenery, and `facewatch folders` made the links. The first
    name takes the folder out of _unnamed, so that it lies less deep; a later one renames it where it is.
    """
    findings = rename_in(bench, n_others=0, n_photos=bench.many(5_000, 5_000, 20))
    if not bench.is_full:
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
    names = ("Anna", "Berta", "Clara", "Dora")[: bench.many(4, 4, 2)]
    later = [rename_folder(house, old, new) for old, new in pairwise(names)]
    # In a larger library the promise is the same, but nobody has made it: no limit there.
    limit = None if n_others else 1
    of = f"person of {n_photos:,} photos among {len(people):,}"
    return [
        Finding(f"first name for a {of}", naming.seconds, "s", at_most=limit, row=f"first name for a {of}"),
        Finding(
            f"new name for a {of}",
            statistics.median(one.seconds for one in later),
            "s",
            at_most=limit,
            row=f"another name for a {of}",
        ),
        # A folder that leaves _unnamed lies less deep: the text of its relative links has to change.
        Finding("links made or moved by the first name", naming.n_touched, "links"),
        Finding("links made or moved by a new name", max(o.n_touched for o in later), "links", at_most=0),
        Finding("times that the folder was made again", sum(o.is_new for o in (naming, *later)), at_most=0),
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
    spent = spent_by(lambda: house.run("rename", "p1", name))
    after = links_below(house.people / name)
    is_new = before.inode != after.inode or (house.people / old).exists()
    return RenamedFolder(spent.seconds, len(after.links - before.links), is_new)


def make_files(folder: Path, n_files: int, start: bytes = b"") -> list[tuple[str, Fingerprint]]:
    """Write small files that begin so, and return their paths below the folder and their fingerprints."""
    made = []
    for i in range(n_files):
        file = folder / f"{i // 500:03d}" / f"{i:06d}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(start + b"%d" % i)
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
