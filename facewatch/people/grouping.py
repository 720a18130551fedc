"""Groups the unassigned faces by the configured engine; the graph of neighbours is kept for the next time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from facewatch.catalog import NOBODY
from facewatch.catalog.files import GRAPH_RECALL
from facewatch.cohort import Middles, middles
from facewatch.fs import sidecar
from facewatch.fs.sidecar import beside
from facewatch.types import OnDemand, Tier

if TYPE_CHECKING:
    from facewatch.catalog import Catalog, FaceTable, Person
    from facewatch.clustering import Clusterer
    from facewatch.clustering.graph import NeighbourGraph
    from facewatch.clustering.means import Room
    from facewatch.indexing.engine import WantedEngine
    from facewatch.people.identities import FaceEngine, Identities, Reclustered
    from facewatch.types import Normalisation

log = logging.getLogger(__name__)

KEPT_GRAPH_FACES = 5_000
"""A smaller graph is worked out in half a second, and is not worth a file."""

_N_FIRST = 7
"""Of the settings of grouping: those that always were in its stamp."""


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
    """0: the clusterer's own; so for the next two. `clustering.TUNABLE` says which method takes what."""
    verification_threshold: float
    n_clusters: int
    min_faces: int
    eps: float = 0.0
    """0: the clusterer's own."""
    min_samples: int = 2

    @property
    def stamp(self) -> str:
        """What changes when any of them does. In another order it would group every library again, and so would what
        came later if it were there while nobody has set it."""
        values = list(astuple(self))
        return str(values[:_N_FIRST] if values[_N_FIRST:] == [0.0, 2] else values)

    def tuning(self, method: str) -> dict[str, float | None]:
        """Return what is set of a method, by the names of its parameters; None: its own."""
        from facewatch.clustering import TUNABLE

        return {parameter: getattr(self, name) or None for name, parameter in TUNABLE[method].items()}


class Grouping:
    """Groups the faces that belong to nobody into people."""

    def __init__(
        self,
        catalog: Catalog,
        engine: WantedEngine,
        identities: Identities,
        settings: GroupingSettings,
        room: Callable[[], Room | None] = lambda: None,
    ) -> None:
        """`room` returns the memory that grouping may take; None: as much as there is."""
        self._catalog = catalog
        self._engine = engine
        self._identities = identities
        self.settings = settings
        self._room = room
        self._graph: NeighbourGraph | None = None
        """Who is near whom in the pool, kept so that new faces extend it."""
        self._has_graph_changed = False
        self._graph_file = beside(catalog.path, sidecar.GRAPH)

    @property
    def is_due(self) -> bool:
        """Whether faces, decisions or settings have changed since the pool was grouped last."""
        return self._catalog.settings.get("grouped") != self._stamp(self.settings)

    def _stamp(self, settings: GroupingSettings) -> str:
        return f"{self._catalog.faces.stamp()} {settings.stamp} {self._engine.info.fingerprint}"

    def recluster(self, *, method: str | None = None, is_dry_run: bool = False) -> Reclustered:
        """Group the pool into people.

        Raises:
            EngineError: the engine is being changed; what is in use is not the one that the settings want; there is
                too little memory.
        """
        self._engine.check_is_in_use("faces can be grouped")
        if not is_dry_run and not self._identities.is_in_run:
            # On record, so that the audit knows by which settings it was.
            with self._catalog.write():
                now, runs = self._catalog.now(), self._catalog.runs
                run_id = runs.start("recluster", now, strictness=self.settings.strictness)
                runs.end(run_id, {}, now)
            self._identities.start_run("recluster", run_id)
        result = self._identities.recluster(OnDemand(lambda: self.clusterer(method)), is_dry_run=is_dry_run)
        if not is_dry_run:
            with self._catalog.write():
                self.record_grouped(self.settings, hubs_of(self._catalog, self._engine))
        self._has_graph_changed = True
        return result

    def record_grouped(self, settings: GroupingSettings, hubs: Collection[int]) -> None:
        """The pool is grouped by these settings as it is now, and these people are near everybody; inside the caller's
        transaction."""
        self._catalog.settings.set("grouped", self._stamp(settings))
        self._catalog.people.show_last(hubs)
        if self._graph is not None:
            self._catalog.settings.set(GRAPH_RECALL, f"{self._graph.recall:.4f}")

    def keep_graph(self) -> None:
        """Keep who is near whom for the next process; it can always be worked out again."""
        if self._graph is None or not self._has_graph_changed or self._graph.n_faces < KEPT_GRAPH_FACES:
            return
        self._has_graph_changed = False
        try:
            self._graph.save(self._graph_file)
        except OSError as error:
            log.warning("%s: cannot be written (%s); the next process works it out again", self._graph_file, error)

    def clusterer(self, method: str | None = None) -> Clusterer:
        """Return what groups by the settings, or by another method.

        Raises:
            EngineError: the method needs a package that is not installed.
        """
        from facewatch.clustering import make_clusterer
        from facewatch.clustering.graph import NeighbourGraph

        limits, settings = self._engine.info.thresholds, self.settings
        ceiling = limits.cluster - settings.strictness
        if self._graph is None:
            self._graph = NeighbourGraph.load(self._graph_file, ceiling=ceiling)
        method = method or settings.method
        tuning = settings.tuning(method)
        if threshold := tuning.get("verification_threshold"):
            tuning["verification_threshold"] = min(ceiling, threshold)
        return make_clusterer(
            method,
            ceiling=ceiling,
            singleton_penalty=limits.singleton_penalty,
            margin=limits.cluster_margin,
            copy=limits.copy,
            min_faces=settings.min_faces,
            normalisation=self._engine.normalisation,
            graph=self._graph,
            room=self._room,
            **tuning,
        )


# --- groups that are near everybody: blurred and tiny faces, backs of heads and statues gather in them ---


def hubs_of(catalog: Catalog, engine: FaceEngine) -> set[int]:
    """Return the people about whom no user said anything and whose faces are near everybody."""
    normalisation = engine.normalisation
    if normalisation is None:
        return set()
    table = catalog.faces.load(engine.id, n_dims=engine.info.n_dims)
    return hubs_among(middles_of(table, normalisation), catalog.people.all())


def middles_of(table: FaceTable, normalisation: Normalisation) -> Middles:
    """Return the middles of people, by the faces that are good enough."""
    rows = np.flatnonzero((table.tiers != Tier.SHOW.value) | table.by_user)
    groups = np.where(table.people[rows] == NOBODY, -1, table.people[rows])
    # Where all are, nothing is copied.
    return middles(table.embeddings[rows] if len(rows) < len(table) else table.embeddings, groups, normalisation)


def hubs_among(found: Middles, people: Iterable[Person]) -> set[int]:
    """Return the people about whom no user said anything and whose faces are near everybody."""
    return {person.id for person in people if person.is_machine_made} & set(found.numbers[found.is_hub].tolist())
