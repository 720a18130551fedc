"""Groups the unassigned faces by the configured engine; the graph of neighbours is kept for the next time."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.cohort import Middles, middles
from facewatch.fs import sidecar
from facewatch.fs.sidecar import beside
from facewatch.types import Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, FaceTable, Person
    from facewatch.clustering import Clusterer
    from facewatch.clustering.graph import NeighbourGraph
    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.identities import Identities, Reclustered
    from facewatch.types import Normalisation

log = logging.getLogger(__name__)

KEPT_GRAPH_FACES = 5_000
"""A smaller graph is worked out in half a second, and is not worth a file."""


@dataclass(frozen=True, slots=True)
class GroupingSettings:
    """What the settings say of grouping; together with the engine's they decide how the pool is grouped."""

    strictness: float
    """`match.strictness`."""
    is_normalised: bool
    """`match.normalised`."""
    method: str
    """`cluster.method`."""
    k_reciprocal: int
    """0: the clusterer's own; so for the next two. Spectral clustering only."""
    verification_threshold: float
    n_clusters: int
    min_faces: int

    @property
    def stamp(self) -> str:
        """What changes when any of them does. In another order it would group every library again."""
        return str(list(astuple(self)))


class Grouping:
    """Groups the faces that belong to nobody into people."""

    def __init__(
        self, catalog: Catalog, engine: WantedEngine, identities: Identities, settings: GroupingSettings
    ) -> None:
        self._catalog = catalog
        self._engine = engine
        self._identities = identities
        self._settings = settings
        self._graph: NeighbourGraph | None = None
        """Who is near whom in the pool, kept so that new faces extend it."""
        self._has_graph_changed = False
        self._graph_file = beside(catalog.path, sidecar.GRAPH)

    @property
    def is_due(self) -> bool:
        """Whether faces, decisions or settings have changed since the pool was grouped last."""
        return self._catalog.settings.get("grouped") != self._stamp()

    def _stamp(self) -> str:
        return f"{self._catalog.faces.stamp()} {self._settings.stamp} {self._engine.info.fingerprint}"

    def recluster(self, *, method: str | None = None, is_dry_run: bool = False) -> Reclustered:
        """Group the pool into people.

        Raises:
            EngineError: the engine is being changed; what is in use is not the one that the settings want.
        """
        self._engine.check_is_in_use("faces can be grouped")
        if not is_dry_run and not self._identities.is_in_run:
            # On record, so that the audit knows by which settings it was.
            with self._catalog.write():
                now, runs = self._catalog.now(), self._catalog.runs
                run_id = runs.start("recluster", now, strictness=self._settings.strictness)
                runs.end(run_id, {}, now)
            self._identities.start_run("recluster", run_id)
        result = self._identities.recluster(self._clusterer(method or self._settings.method), is_dry_run=is_dry_run)
        if not is_dry_run:
            with self._catalog.write():
                self._catalog.settings.set("grouped", self._stamp())
                self._catalog.people.show_last(self._hubs())
        self._has_graph_changed = True
        return result

    def _hubs(self) -> set[int]:
        normalisation = self._engine.normalisation
        if normalisation is None:
            return set()
        table = self._catalog.faces.load(self._engine.id, n_dims=self._engine.info.n_dims)
        return hubs_among(middles_of(table, normalisation), self._catalog.people.all())

    def keep_graph(self) -> None:
        """Keep who is near whom for the next process; it can always be worked out again."""
        if self._graph is None or not self._has_graph_changed or self._graph.n_faces < KEPT_GRAPH_FACES:
            return
        self._has_graph_changed = False
        try:
            self._graph.save(self._graph_file)
        except OSError as error:
            log.warning("%s: cannot be written (%s); the next process works it out again", self._graph_file, error)

    def _clusterer(self, method: str) -> Clusterer:
        from facewatch.clustering import make_clusterer
        from facewatch.clustering.graph import NeighbourGraph

        limits, settings = self._engine.info.thresholds, self._settings
        ceiling = limits.cluster - settings.strictness
        if self._graph is None:
            self._graph = NeighbourGraph.load(self._graph_file, ceiling=ceiling)
        spectral = {
            "k_reciprocal": settings.k_reciprocal or None,
            "verification_threshold": min(ceiling, settings.verification_threshold) or None,
            "n_clusters": settings.n_clusters or None,
        }
        return make_clusterer(
            method,
            ceiling=ceiling,
            singleton_penalty=limits.singleton_penalty,
            margin=limits.cluster_margin,
            copy=limits.copy,
            min_faces=settings.min_faces,
            normalisation=self._engine.normalisation,
            graph=self._graph,
            **(spectral if method == "spectral" else {}),
        )


# --- groups that are near everybody: blurred and tiny faces, backs of heads and statues gather in them ---


def middles_of(table: FaceTable, normalisation: Normalisation) -> Middles:
    """Return the middles of people, by the faces that are good enough."""
    rows = np.flatnonzero((table.tiers != Tier.SHOW.value) | table.by_user)
    groups = np.where(table.people[rows] == NOBODY, -1, table.people[rows])
    return middles(table.embeddings[rows], groups, normalisation)


def hubs_among(found: Middles, people: Iterable[Person]) -> set[int]:
    """Return the people about whom no user said anything and whose faces are near everybody."""
    return {person.id for person in people if person.is_machine_made} & set(found.numbers[found.is_hub].tolist())
