"""The part "publish" of scripts/bench.py: a catalog sent to a PostgreSQL on this machine, and renewed there."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import statistics
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
        asked = Asked(server, n_faces)
        n_found, milliseconds = asked.recall(), asked.milliseconds()
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
        Finding(f"the nearest {N_NEAREST} of a face there, by the index", milliseconds, "ms"),
        Finding(f"of the true nearest {N_NEAREST} found by the index", 100 * n_found, "%"),
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
    b"SELECT face_id FROM facewatch.embeddings ORDER BY vector <->"
    b" (SELECT vector FROM facewatch.embeddings WHERE face_id = %s) LIMIT %s"
)


class Asked:
    """What readers ask for most, of some faces."""

    def __init__(self, server: postgres.Server, n_faces: int) -> None:
        self._server = server
        random = np.random.default_rng(SEED)
        self._faces = [int(face) for face in 1 + random.choice(n_faces, min(N_ASKED, n_faces), replace=False)]

    def recall(self) -> float:
        """Return the share of the true nearest that the index gives."""
        found = [(self._nearest(face), self._nearest(face, is_exact=True)) for face in self._faces]
        return statistics.mean(len({*by_index} & {*exact}) / len(exact) for by_index, exact in found)

    def milliseconds(self) -> float:
        """Return how long the server takes, by its own clock."""
        return statistics.median(self._asked_for(face) for face in self._faces)

    def _asked_for(self, face: int) -> float:
        with self._server.connected() as connection:
            plan = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + _NEAREST, [face, N_NEAREST]).fetchone()
        return float(plan[0][0]["Execution Time"]) if plan else 0.0

    def _nearest(self, face: int, *, is_exact: bool = False) -> list[int]:
        with self._server.connected() as connection:
            if is_exact:
                connection.execute("SET enable_indexscan = off")
            rows = connection.execute(_NEAREST, [face, N_NEAREST])
            return [face_id for (face_id,) in rows]
