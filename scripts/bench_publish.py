"""The part "publish" of scripts/bench.py: a catalog sent to a PostgreSQL on this machine, and renewed there."""

from __future__ import annotations

import dataclasses
import json
import math
import sqlite3
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import postgres
from bench_catalog import fill_catalog
from bench_kit import SEED, Bench, Finding, Household, spent_by
from synthetic import N_DIMS, make_faces

from facewatch.catalog import Catalog
from facewatch.engines import describe_engine
from facewatch.types import Fingerprint

SERVER = ("-c", "fsync=on", "-c", "full_page_writes=on", "-c", "shared_buffers=2GB", "-c", "max_wal_size=4GB")
"""Settings of a server that somebody has thought about; all else as PostgreSQL comes."""
N_CHANGED = 100
N_ASKED = 50
N_NEAREST = 10
BREADTHS = (40, 200)
"""How many faces a search by the index keeps at hand: as pgvector comes, and for who wants more of the true ones."""
SAME = math.sqrt(2 - 2 * 0.3)
"""The distance at a cosine of .3, within which two faces may be of the same person."""


def measure_publish(bench: Bench) -> list[Finding]:
    """Rows a second of a first publish, its indexes included; seconds of later ones, from the shell."""
    n_faces = bench.many(1_000_000, 20_000, 300)
    house = Household(bench.scratch / "publish")
    bench.say(f"publish: a catalog of {n_faces:,} faces")
    fill(house, n_faces)
    with postgres.running(SERVER) as server:
        bench.say("publish: the first time, with the index of nearest faces")
        first = publish(house, server)
        unchanged = spent_by(lambda: publish(house, server)).seconds
        later = []
        for seed in range(bench.many(3, 3, 1)):
            change(house.catalog, n_faces, seed)
            later.append(spent_by(lambda: publish(house, server)).seconds)
        asked = [what for breadth in BREADTHS for what in Asked(server, n_faces).findings(breadth)]
    n_rows = sum(first["written"].values())
    of = f"{n_faces:,} faces in {N_DIMS} dimensions"
    return [
        Finding(f"first publish of {of}, with indexes", first["seconds"], "s"),
        Finding("of that, indexes", first["index_seconds"], "s"),
        Finding(f"rows of all tables a second ({n_rows:,})", n_rows / first["seconds"], "rows/s", at_least=5_000),
        Finding("faces a second", n_faces / first["seconds"], "faces/s"),
        Finding("rows a second without indexes", n_rows / (first["seconds"] - first["index_seconds"]), "rows/s"),
        Finding(f"a publish after {N_CHANGED} faces have changed", statistics.median(later), "s", at_most=2),
        Finding("a publish of nothing new", unchanged, "s"),
        *asked,
    ]


def fill(house: Household, n_faces: int) -> None:
    faces = make_faces(n_faces, SEED)
    info = dataclasses.replace(describe_engine("face_recognition"), n_dims=N_DIMS)
    files = [(f"{i // 1000:04d}/{i:07d}.jpg", Fingerprint(1, i, i)) for i in range(n_faces)]
    with Catalog(house.catalog) as catalog:
        fill_catalog(catalog, info, house.photos, files, faces.people + 1, faces.embeddings)


def publish(house: Household, server: postgres.Server) -> dict[str, Any]:
    """Return what the command says it did."""
    result: dict[str, Any] = json.loads(house.run("publish", server.url(), "--json"))
    return result


def change(catalog: Path, n_faces: int, seed: int) -> None:
    """Give so many faces other vectors, and to other people."""
    random = np.random.default_rng(seed)
    chosen = 1 + random.choice(n_faces, min(N_CHANGED, n_faces), replace=False)
    vectors = random.normal(size=(len(chosen), N_DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    db = sqlite3.connect(catalog)
    with db:
        pairs = [(row.astype("<f4").tobytes(), int(face)) for row, face in zip(vectors, chosen, strict=True)]
        db.executemany("UPDATE embeddings SET vector = ? WHERE engine_id = 1 AND face_id = ?", pairs)
        db.executemany(
            "UPDATE assignments SET person_id = 1 + person_id % 100 WHERE face_id = ?", [(int(f),) for f in chosen]
        )
    db.close()


_NEAREST = (
    b"SELECT face_id, vector <-> (SELECT vector FROM facewatch.embeddings WHERE face_id = %s) FROM facewatch.embeddings"
    b" ORDER BY vector <-> (SELECT vector FROM facewatch.embeddings WHERE face_id = %s) LIMIT %s"
)


class Asked:
    """What readers ask for most, of some faces."""

    def __init__(self, server: postgres.Server, n_faces: int) -> None:
        self._server = server
        random = np.random.default_rng(SEED)
        self._faces = [int(face) for face in 1 + random.choice(n_faces, min(N_ASKED, n_faces), replace=False)]

        exact = [self._nearest(face, "enable_indexscan = off") for face in self._faces]
        self._exact = dict(zip(self._faces, exact, strict=True))

    def findings(self, breadth: int) -> list[Finding]:
        """Return how long the server takes by its own clock, and what it finds of the true nearest and of those that
        may be the same person."""
        setting = f"hnsw.ef_search = {breadth}"
        milliseconds = statistics.median(self._milliseconds(face, setting) for face in self._faces)
        found = {face: {face_id for face_id, _ in self._nearest(face, setting)} for face in self._faces}
        of = f"the nearest {N_NEAREST} of a face, ef_search {breadth}"
        return [
            Finding(of, milliseconds, "ms"),
            Finding(f"{of}: found of them", 100 * self._share(found, farthest=2.0), "%"),
            Finding(f"{of}: of those at cosine >= .3", 100 * self._share(found, farthest=SAME), "%"),
        ]

    def _share(self, found: Mapping[int, set[int]], *, farthest: float) -> float:
        wanted = {
            face: {face_id for face_id, distance in exact if distance <= farthest and face_id != face}
            for face, exact in self._exact.items()
        }
        return sum(len(wanted[face] & found[face]) for face in wanted) / sum(map(len, wanted.values()))

    def _milliseconds(self, face: int, setting: str) -> float:
        with self._server.connected() as connection:
            connection.execute(f"SET {setting}".encode())
            plan = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + _NEAREST, [face, face, N_NEAREST]).fetchone()
        return float(plan[0][0]["Execution Time"]) if plan else 0.0

    def _nearest(self, face: int, setting: str) -> list[tuple[int, float]]:
        with self._server.connected() as connection:
            connection.execute(f"SET {setting}".encode())
            return connection.execute(_NEAREST, [face, face, N_NEAREST]).fetchall()
