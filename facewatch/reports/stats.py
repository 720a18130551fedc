"""Statistics of a catalog: counts, sizes, qualities and distances. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewatch.catalog import Catalog, FaceTable, KnownEngine, Person
from facewatch.errors import EngineError
from facewatch.fs import sidecar
from facewatch.fs.sidecar import beside
from facewatch.indexing.engine import WantedEngine
from facewatch.matching import MatchSettings
from facewatch.matching.nearness import Nearness, nearness
from facewatch.reports.examples import Examples, examples_of
from facewatch.reports.status import Counts, counts_of

N_LARGEST = 10


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie between each two edges, the upper one not included; what lies beyond counts at the ends."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    """One less than edges."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is distributed."""

    n: int
    median: float | None
    """None, and so the others: there is no value."""
    p5: float | None
    """The 5th percentile."""
    p95: float | None
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class Shares:
    """Faces of the library, by what is known of them."""

    tiers: dict[str, int]
    """By what quality lets them do: found, match or show."""
    sources: dict[str, int]
    """Assigned ones, by who assigned them."""
    marks: dict[str, int]
    """Those that users took out, by what they said."""


@dataclass(frozen=True, slots=True)
class Largest:
    """One of the people with most faces."""

    id: int
    label: str
    n_faces: int
    n_photos: int


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What one engine has done here."""

    name: str
    is_in_use: bool
    n_dims: int
    n_photos: int
    """Photos it has analysed."""
    n_vectors: int
    """One a face."""
    n_bytes: int
    """What the vectors take."""


@dataclass(frozen=True, slots=True)
class QualityStats:
    """How good the faces of the library are."""

    score: Spread
    """0 to 1."""
    sharpness: Spread
    pixels: Spread
    """The shorter side of a face."""
    pose: Spread
    """0 faces the camera, 1 is a profile."""
    brightness: Spread


@dataclass(frozen=True, slots=True)
class Distances:
    """How near assigned faces are, by the engine in use; Euclidean between unit vectors."""

    engine: str
    own: Spread
    """To the nearest other face of the same person."""
    centroid: Spread
    """To the middle of the same person."""
    other: Spread
    """To the nearest face of another person."""
    match: float | None
    """Nearer than this a face may be matched; None: the engine cannot be asked."""
    n_close_pairs: int | None
    """Pairs of people whose nearest faces are nearer than that."""


@dataclass(frozen=True, slots=True)
class Stats:
    counts: Counts
    shares: Shares
    engines: tuple[EngineStats, ...]
    sizes: Spread
    """Faces per person."""
    largest: tuple[Largest, ...]
    quality: QualityStats
    distances: Distances | None
    """None: no face was compared yet."""
    examples: Examples
    """Faces for a page."""
    catalog: str
    n_bytes: int
    """Of the catalog on disk, with what is not written into its file yet."""


def stats_of(catalog: Catalog, engine: WantedEngine, settings: MatchSettings) -> Stats:
    """Return the catalog in numbers; writes nothing, and no model need be here.

    Raises:
        CatalogError: the catalog cannot be read.
    """
    match = None
    with catalog.read():
        in_use = catalog.engines.in_use()
        if in_use:
            with suppress(EngineError):
                match = engine.info_of(in_use).thresholds.match - settings.strictness
        return _stats(catalog, in_use, match, settings.shortlist)


def _stats(catalog: Catalog, in_use: KnownEngine | None, match: float | None, n_shortlist: int) -> Stats:
    """Return the numbers.

    Args:
        match: the distance within which the engine in use matches, if it is known.
        n_shortlist: to how many people, those with the nearest centroids, each face is compared.
    """
    everybody = [person for person in catalog.people.all() if person.n_faces]
    files = [catalog.path, beside(catalog.path, sidecar.WAL)]
    table = _compared(catalog, in_use, everybody) if in_use else None
    near = (
        nearness(table.ids, table.people, table.embeddings, table.weights, n_shortlist=n_shortlist) if table else None
    )
    return Stats(
        counts=counts_of(catalog),
        shares=Shares(catalog.integrity.tiers(), catalog.integrity.sources(), catalog.integrity.marks()),
        engines=tuple(map(_engine, catalog.engines.all())),
        sizes=spread(
            [person.n_faces for person in everybody], doubling(max((p.n_faces for p in everybody), default=1))
        ),
        largest=tuple(
            Largest(p.id, p.label, p.n_faces, p.n_photos)
            for p in sorted(everybody, key=lambda p: (-p.n_faces, p.id))[:N_LARGEST]
        ),
        quality=_quality(catalog),
        distances=_distances(in_use.name, near, match) if in_use and near else None,
        examples=examples_of(catalog, everybody, table, near),
        catalog=str(catalog.path),
        n_bytes=sum(file.stat().st_size for file in files if file.exists()),
    )


def _engine(engine: KnownEngine) -> EngineStats:
    return EngineStats(
        name=engine.name,
        is_in_use=engine.is_in_use,
        n_dims=engine.n_dims,
        n_photos=engine.n_photos,
        n_vectors=engine.n_faces,
        n_bytes=engine.n_bytes,
    )


def _quality(catalog: Catalog) -> QualityStats:
    measures = catalog.integrity.measures()
    return QualityStats(
        score=spread(measures.qualities, even(0, 1, 25)),
        sharpness=spread(measures.sharpness, doubling(_top(measures.sharpness))),
        pixels=spread(measures.pixels, doubling(_top(measures.pixels), first=8)),
        pose=spread(measures.poses, even(0, 1, 25)),
        brightness=spread(measures.brightness, even(0, 256, 32)),
    )


def _top(values: NDArray[np.float32]) -> float:
    return float(np.nanmax(values, initial=1.0))


def _compared(catalog: Catalog, engine: KnownEngine, everybody: Collection[Person]) -> FaceTable | None:
    """Return the faces of everybody as the engine sees them; None: there is none."""
    table = catalog.faces.load(engine.id, n_dims=engine.n_dims, people=[person.id for person in everybody])
    return table if len(table) else None


def _distances(engine: str, near: Nearness, match: float | None) -> Distances:
    edges = even(0, _end(near), 50)
    return Distances(
        engine=engine,
        own=spread(near.own, edges),
        centroid=spread(near.centroid, edges),
        other=spread(near.other, edges),
        match=match,
        n_close_pairs=int((near.pair_distances < match).sum()) if match is not None else None,
    )


def _end(near: Nearness) -> float:
    """Return a round distance that nothing lies beyond."""
    farthest = max(float(np.nanmax(values, initial=0.0)) for values in (near.own, near.centroid, near.other))
    return max(0.5, float(np.ceil(farthest * 10 + 1e-6)) / 10)


# --- distributions ---


def spread(values: NDArray[np.float32] | Sequence[int], edges: Sequence[float]) -> Spread:
    """Return how these numbers are distributed; NaN is no number."""
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    inner = np.searchsorted(np.asarray(edges)[1:-1], array, side="right")
    counts = np.bincount(inner, minlength=len(edges) - 1)
    p5, median, p95 = np.percentile(array, (5, 50, 95)).tolist() if len(array) else (None, None, None)
    return Spread(len(array), median, p5, p95, Histogram(tuple(edges), tuple(counts.tolist())))


def even(low: float, high: float, n: int) -> tuple[float, ...]:
    """Return the edges of `n` bins of one width."""
    return tuple(round(edge, 6) for edge in np.linspace(low, high, n + 1).tolist())


def doubling(top: float, *, first: int = 1) -> tuple[float, ...]:
    """Return edges of which each is twice the one before, up to the first above `top`; two at least."""
    edges = [float(first)]
    while edges[-1] <= top:
        edges.append(edges[-1] * 2)
    return tuple(edges) if len(edges) > 1 else (edges[0], edges[0] * 2)
