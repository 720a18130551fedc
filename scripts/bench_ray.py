"""The part "ray" of scripts/bench.py: a scan on two nodes of a Ray cluster against one with two workers of its own."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench_kit import Bench, Finding, Household, copy_sample, spent_by
from clusters import NODE, cluster

from facewatch.indexing.cluster import FOR_LOCAL, environment

Content = list[tuple[object, ...]]


def measure_ray(bench: Bench) -> list[Finding]:
    """Photos a second of whole scans, starting and grouping included, on nodes of one core each; and what a node that
    is lost in the middle costs.

    All is on one machine: nothing is measured of a network. A few photos take less time than Ray does to start, so that
    there is a limit for many only.
    """
    alone = Household(bench.scratch / "alone", {"engine": {"workers": 2}})
    n_photos = len(copy_sample(bench, alone.photos, bench.many(1_000, 150, 5)))
    with environment(FOR_LOCAL), cluster(2) as made:
        houses = {"alone": alone} | {how: household(bench, alone, made, how) for how in ("shared", "shipped")}
        bench.say(f"ray: {n_photos} photos, in turn with two workers, on two nodes that share them, and sent to those")
        turns = [seconds_of(houses) for _ in range(bench.many(3, 3, 1))]
        bench.say("ray: the same, and a third node that is lost in the middle")
        lost = scanned_with_a_loss(bench, alone, made, turns[0]["shared"] / 2)
    found = content_of(alone.catalog)
    others = (houses["shared"], houses["shipped"], lost)
    rates = {how: median(n_photos / turn[how] for turn in turns) for how in houses}
    shares = {how: median(turn["alone"] / turn[how] for turn in turns) for how in houses}
    return [
        Finding(f"two workers, {n_photos} photos", rates["alone"], "photos/s"),
        Finding("two nodes, shared photos", rates["shared"], "photos/s"),
        Finding("two nodes, shipped photos", rates["shipped"], "photos/s"),
        Finding("shared, of the rate of two workers", shares["shared"], at_least=0.9 if bench.is_full else None),
        Finding("shipped, of the rate of two workers", shares["shipped"]),
        Finding(
            "catalogs that differ, one node lost among them",
            sum(content_of(house.catalog) != found for house in others),
            at_most=0,
        ),
    ]


def seconds_of(houses: dict[str, Household]) -> dict[str, float]:
    """Return how long a scan of each from nothing takes, one after the other."""
    for house in houses.values():
        house.forget()
    return {how: spent_by(house.scan).seconds for how, house in houses.items()}


def scanned_with_a_loss(bench: Bench, alone: Household, made: Any, seconds: float) -> Household:
    """The same with a node more, which is lost after so many seconds."""
    third = made.add_node(**NODE)
    made.wait_for_nodes()
    house = household(bench, alone, made, "shared", name="lost")
    running = house.start("scan", "-q", str(house.photos))
    time.sleep(seconds)
    made.remove_node(third, allow_graceful=False)
    running.wait()
    return house


def household(bench: Bench, alone: Household, made: Any, how: str, *, name: str = "") -> Household:
    ray: dict[str, float | str] = {"address": made.address, "photos": how}
    house = Household(bench.scratch / (name or how), {"ray": ray})
    house.photos.rmdir()
    house.photos.symlink_to(alone.photos)
    return house


def content_of(catalog: Path) -> Content:
    """Return what was found in which photo."""
    with closing(sqlite3.connect(catalog)) as db:
        return db.execute(
            "SELECT sha256, x, y, w, h, landmarks, score, vector FROM faces JOIN photos ON photos.id = photo_id"
            " JOIN embeddings ON embeddings.face_id = faces.id ORDER BY 1, 2, 3"
        ).fetchall()
