"""A world for the rules that no run may break: a real service over photos that are a few words about their faces.

Everything is real but the eyes: catalog, journal, matching, grouping, engine changes, links on disk. Faces are made to
cause trouble: `PEOPLE` who look alike, faces between two of them, the same face twice, poor ones, faces that only one
of the two engines sees.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.indexing.analyzer import AnalysisResult, Examination, LibraryFile, Recipe
from facewatch.indexing.memory import Room
from facewatch.indexing.pool import InlineWorkers, Workers
from facewatch.people.record import Decided
from facewatch.types import Analysis, Box, Description, EngineInfo, Face, FileSays, Fingerprint, Quality, Tier

PEOPLE = 6
LOOKS = 9
BETWEEN = 8
"""The look that lies between a person and the one that looks like it."""
_N_DIMS = 12
_ALIKE = 0.36
"""How far apart two people are who look alike; a face joins a person up to 0.34."""
_SPREAD = 0.16
"""Two looks of a person are about that far apart."""
_SIDE = 80
_STRIDE = 200
ENGINES = ("first", "second")


class Seen(NamedTuple):
    """One face as it is drawn."""

    person: int
    look: int
    tier: Tier = Tier.ENROLL
    only: str = ""
    """The one engine that sees it; empty: both do."""


Facts = dict[tuple[Any, ...], Any]
"""What was said about people and faces: kind and ids -> value."""


@cache
def embedding_of(engine: str, person: int, look: int) -> NDArray[np.float32]:
    """Return the unit vector of a person as it looks; to the second engine others look alike than to the first."""
    shift = ENGINES.index(engine)
    twin = ((person + shift) // 2) * 2
    base = _unit(np.random.default_rng((shift, twin)).standard_normal(_N_DIMS))
    aside = _unit(np.random.default_rng((shift, twin, 1)).standard_normal(_N_DIMS))
    side = 0.0 if look == BETWEEN else (0.5 if (person + shift) % 2 else -0.5)
    noise = _unit(np.random.default_rng((shift, person, look)).standard_normal(_N_DIMS))
    return _unit(base + side * _ALIKE * aside + (_SPREAD / np.sqrt(2)) * noise).astype(np.float32)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


class Reader:
    """Reads photos that say which faces they show; takes the place of the worker processes."""

    n_workers = 1
    room = Room()

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._n_answers = 0

    def examine(self, photo: LibraryFile) -> Future[Examination]:
        file = Path(photo)
        data, fingerprint = file.read_bytes(), Fingerprint.of(file.stat())
        is_photo = file.suffix == ".photo"
        return self._done(Examination(fingerprint, hashlib.sha256(data).digest() if is_photo else None))

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Future[AnalysisResult]:
        told = json.loads(Path(photo).read_text())
        faces = [(i, Seen(*face)) for i, face in enumerate(told["faces"])]
        found = tuple(self._face(i, seen) for i, seen in faces if seen.only in ("", self._engine))
        return self._done(Analysis(_STRIDE * len(faces), _STRIDE, "PHOTO", found, told["taken"]))

    def analyse_aligned(self, photos: Sequence[tuple[LibraryFile, Fingerprint]]) -> Future[list[AnalysisResult]]:
        raise NotImplementedError

    def taken_at(self, photo: LibraryFile, expected: Fingerprint) -> Future[str]:
        raise NotImplementedError

    def described(self, photo: LibraryFile, expected: Fingerprint) -> Future[Description]:
        raise NotImplementedError

    def said(self, file: LibraryFile, expected: Fingerprint, kind: str) -> Future[FileSays]:
        return self._done(FileSays(b"", {}, orientation=1))

    def close(self) -> None: ...

    def analyse_boxes(
        self, photo: LibraryFile, expected: Fingerprint, boxes: Sequence[Box], beside: Sequence[Box]
    ) -> Future[AnalysisResult]:
        """Whoever stands between two faces, which nobody detects, is one of `PEOPLE` by the place and the photo."""
        told = json.loads(Path(photo).read_text())
        found = []
        for box in boxes:
            slot = box.x // _STRIDE
            tier = Tier.MATCH if slot % 2 else Tier.ENROLL
            seen = Seen((told["number"] + slot) % PEOPLE, (3 * told["number"] + slot) % LOOKS, tier)
            found.append(dataclasses.replace(self._face(slot, seen), box=box, is_drawn=True))
        return self._done(Analysis(_STRIDE * len(told["faces"]), _STRIDE, "PHOTO", tuple(found), told["taken"]))

    def _face(self, number: int, seen: Seen) -> Face:
        # The second engine draws its boxes a little larger.
        more = 4 * ENGINES.index(self._engine)
        box = Box(_STRIDE * number - more, 50 - more, _SIDE + 2 * more, _SIDE + 2 * more)
        score = {Tier.ENROLL: 0.9, Tier.MATCH: 0.4, Tier.SHOW: 0.1}[Tier(seen.tier)]
        quality = Quality(100.0, 120.0, _SIDE, 0.0, score, Tier(seen.tier))
        # Whoever looks another way has moved.
        return Face(
            box, (box.x + 4.0 * seen.look,) * 10, score, quality, embedding_of(self._engine, seen.person, seen.look)
        )

    def _done(self, answer: Any) -> Future[Any]:
        self._n_answers += 1
        future = _Answer(self._n_answers)
        future.set_result(answer)
        return future


class _Answer(Future[Any]):
    """An answer that is there; its number decides in which order answers are taken, the same every time."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


@cache
def _template() -> bytes:
    """Return an empty catalog: making one takes longer than a scan."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite"
        Catalog(path).close()
        return path.read_bytes()


class World:
    """A library whose photos come and go, and the user who decides about its people."""

    suffix = ".photo"

    def __init__(self, base: Path, *, n_scans: int = 0) -> None:
        """Every scan is made `n_scans` times, each in a process of its own; 0: once, by the one that is there."""
        self.base = base
        self.photos, self.attic, self.people = base / "Photos", base / "Attic", base / "People"
        for folder in (self.photos, self.attic):
            folder.mkdir(parents=True)
        # A library that is suddenly empty is an unplugged disk.
        (self.photos / "notes.txt").write_text("no photo")
        (base / "catalog.sqlite").write_bytes(_template())
        self._n_scans = n_scans
        self._n_photos = self._n_copies = 0
        self.engine = ENGINES[0]
        self.step = 0
        """The time."""
        self.app = self._open()
        self.is_shown = False
        """Whether the people folder should say what the catalog says."""

    def _open(self) -> App:
        config = load_config(
            None,
            {
                "library.photos": str(self.photos),
                "library.people": str(self.people),
                "library.catalog": str(self.base / "catalog.sqlite"),
            },
            cwd=self.base,
        )
        app = App(config, info=self._info(), workers=self._workers())
        app.catalog.now = lambda: f"2026-01-01T00:00:00.{self.step:06}Z"
        app.catalog._db.execute("PRAGMA synchronous = OFF")
        return app

    def _info(self) -> EngineInfo:
        return dataclasses.replace(fake.INFO, name=self.engine, fingerprint=self.engine, n_dims=_N_DIMS)

    def _workers(self) -> Workers:
        return Reader(self.engine)

    def close(self) -> None:
        self.app.catalog.close()

    # --- photos ---

    def arrive(self, *faces: Seen, taken: str = "") -> Path:
        """A photo with these faces, from left to right, lies in the library; the next scan finds it."""
        self._n_photos += 1
        path = self.photos / f"{self._n_photos}{self.suffix}"
        self._draw(path, faces, taken)
        self.is_shown = False
        return path

    def _draw(self, path: Path, faces: Sequence[Seen], taken: str) -> None:
        path.write_text(json.dumps({"number": self._n_photos, "faces": faces, "taken": taken}))

    def leave(self, number: int) -> None:
        """One of the photos of the library is gone."""
        if there := sorted(self.photos.glob(f"*{self.suffix}")):
            path = there[number % len(there)]
            path.rename(self.attic / path.name)
            self.is_shown = False

    def come_back(self, number: int) -> None:
        """One of the photos that are gone is there again, under another name."""
        if gone := sorted(self.attic.iterdir()):
            path = gone[number % len(gone)]
            self._n_copies += 1
            path.rename(self.photos / f"{path.name.split('.')[0]}.{self._n_copies}{self.suffix}")
            self.is_shown = False

    def copy(self, number: int) -> None:
        """One of the photos of the library is there twice."""
        if there := sorted(self.photos.glob(f"*{self.suffix}")):
            path = there[number % len(there)]
            self._n_copies += 1
            shutil.copy(path, self.photos / f"{path.name.split('.')[0]}.{self._n_copies}{self.suffix}")
            self.is_shown = False

    # --- runs ---

    def scan(self) -> None:
        for _ in range(self._n_scans):
            self.restart()
            self.app.pipeline.scan()
        if not self._n_scans:
            self.app.pipeline.scan()
        self.is_shown = True

    def regroup(self) -> None:
        """Do what `facewatch recluster` does, in a process of its own."""
        self.restart()
        if not self.app.engine.is_switch_under_way:
            self.app.grouping.recluster()
            self.app.folder.sync()

    def restart(self) -> None:
        """The program ends and starts again."""
        self.app.__exit__(None, None, None)
        self.app = self._open()

    def change_engine(self) -> None:
        """The settings name the other engine: the next scan changes to it."""
        self.engine = ENGINES[1 - ENGINES.index(self.engine)]
        self.restart()

    # --- decisions ---

    def decide(self, action: str, *arguments: Any, **options: Any) -> Decided:
        if action == "draw":
            return self.app.corrections.add_face(*arguments, **options)
        with self.app.corrections.deciding() as decisions:
            decided = getattr(decisions, action)(*arguments, **options)
        return decided.decided if action == "rename" else decided

    # --- what there is ---

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        return self.app.catalog._db.execute(sql, arguments).fetchall()

    def seen_photos(self) -> list[int]:
        """Return the photos that were analysed."""
        return [photo for (photo,) in self.query("SELECT id FROM photos WHERE width > 0 ORDER BY id")]

    def between(self, photo_id: int, number: int) -> Box:
        """Return a place in a photo where nobody detects a face."""
        [(width,)] = self.query("SELECT width FROM photos WHERE id = ?", photo_id)
        return Box(_STRIDE * (number % max(1, width // _STRIDE)) + _SIDE + 25, 50, _SIDE, _SIDE)

    def faces(self) -> dict[int, int]:
        """Return the photo of each face."""
        return dict(self.query("SELECT id, photo_id FROM faces ORDER BY id"))

    def whose(self) -> dict[int, int]:
        """Return the person of each face that is somebody's."""
        return dict(self.query("SELECT face_id, person_id FROM assignments"))

    def heirs(self) -> set[int]:
        """Return the faces that were another in another version of their photo, and those that they were."""
        return {face for pair in self.query("SELECT face_id, before_id FROM lineage") for face in pair}

    def living(self) -> list[int]:
        return [p for (p,) in self.query("SELECT id FROM people WHERE merged_into IS NULL AND NOT is_gone ORDER BY id")]

    def successor(self, person_id: int) -> int:
        """Return who the person is now, after whatever merges."""
        into = dict(self.query("SELECT id, merged_into FROM people"))
        while into[person_id] is not None:
            person_id = into[person_id]
        return person_id

    def told(self) -> Facts:
        """Return all that users and runs have said about people and faces, fact by fact."""
        facts: Facts = {}
        columns = ("name", "is_hidden", "is_touched", "merged_into", "is_gone", "born", "cover_id")
        for person_id, *row in self.query(f"SELECT id, {', '.join(columns)} FROM people"):
            facts |= {(column, person_id): value for column, value in zip(columns, row, strict=True)}
        for face_id, *row in self.query(
            "SELECT face_id, person_id, source, distance, centroid_distance, runner_up_id, runner_up_distance, rule,"
            " at, entry_id FROM assignments"
        ):
            facts["face", face_id] = tuple(row)
        facts |= {("rejection", face, person): at for face, person, at in self.query("SELECT * FROM rejections")}
        facts |= {("mark", face): (mark, at) for face, mark, at in self.query("SELECT * FROM marks")}
        facts |= {("apart", one, other): at for one, other, at in self.query("SELECT * FROM apart")}
        facts |= {("presence", person, photo): at for person, photo, at in self.query("SELECT * FROM presences")}
        facts |= {("drawn", box): tuple(row) for box, *row in self.query("SELECT id, photo_id, face_id FROM drawn")}
        return facts

    def tree(self) -> dict[str, set[str]]:
        """Return the folders on disk, each with the photos that its links lead to."""
        tree: dict[str, set[str]] = {}
        for link in self.people.rglob("*"):
            if link.is_symlink():
                target = link.resolve()
                name = target.name.split(".")[0] if target.exists() else f"nothing, {link.name}"
                tree.setdefault(str(link.parent.relative_to(self.people)), set()).add(name)
        return tree

    def wanted_tree(self) -> dict[str, set[str]]:
        """Return the folders as the catalog says, each with its photos."""
        folders = self.app.catalog.links.folders()
        tree: dict[str, set[str]] = {}
        for person_id, path in self.query(
            "SELECT DISTINCT p.id, CAST(files.path AS TEXT) FROM people p JOIN assignments a ON a.person_id = p.id"
            " JOIN faces f ON f.id = a.face_id JOIN files ON files.photo_id = f.photo_id"
            " WHERE p.merged_into IS NULL AND NOT p.is_gone AND NOT p.is_hidden"
            " UNION SELECT p.id, CAST(files.path AS TEXT) FROM people p JOIN presences r ON r.person_id = p.id"
            " JOIN files ON files.photo_id = r.photo_id"
            " WHERE p.merged_into IS NULL AND NOT p.is_gone AND NOT p.is_hidden"
        ):
            tree.setdefault(folders.get(person_id, f"none for {person_id}"), set()).add(path.split(".")[0])
        return tree


class DrawnWorld(World):
    """The same with photos that are decoded and analysed; nobody looks like anybody else, and all faces are good."""

    suffix = ".png"

    def _info(self) -> EngineInfo:
        return DrawnEngine(self.engine).info

    def _workers(self) -> Workers:
        return InlineWorkers(Recipe(self.engine), DrawnEngine(self.engine))

    def _draw(self, path: Path, faces: Sequence[Seen], taken: str) -> None:
        # The shade makes every photo another one.
        pixels = fake.draw([(face.person, face.look) for face in faces], shade=100 + self._n_photos % 100)
        Image.fromarray(pixels).save(path, format="PNG")
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))


class DrawnEngine(fake.FakeEngine):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(fake.INFO, name=self._name, fingerprint=self._name)


@contextmanager
def new_world(kind: type[World] = World, *, n_scans: int = 0) -> Iterator[World]:
    """Yield a world in a folder of its own, in memory where there is such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        world = kind(Path(folder), n_scans=n_scans)
        try:
            yield world
        finally:
            world.close()
