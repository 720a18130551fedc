"""Builds everything from Config and runs it: scans, groups, folders. Owns locks and runs; `service.loop` watches."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from facewatch import folders
from facewatch.catalog import Catalog, Entry, KnownEngine, KnownFile, Person, display
from facewatch.catalog.pausing import paused_since
from facewatch.catalog.waiting import Patience
from facewatch.config import Config
from facewatch.engines import describe_engine
from facewatch.errors import CatalogError, ConfigError, EngineError, FaultCode, FolderError, NotKnownError
from facewatch.folders.sync import PeopleFolder
from facewatch.folders.taking_over import TakenOver, give_names, take_over, waiting_names
from facewatch.fs import sidecar
from facewatch.fs.mounts import is_folder
from facewatch.fs.sidecar import beside
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.engine import EngineSwitch
from facewatch.indexing.indexer import Ingest, Ingested, find_dates
from facewatch.indexing.memory import memory_limit
from facewatch.indexing.pool import Analyser, Workers
from facewatch.indexing.versions import Versions
from facewatch.library import scan
from facewatch.library.layout import check_library, check_places, rules_of
from facewatch.library.roots import LOST_MOUNT, Libraries
from facewatch.matching import Aggregation
from facewatch.people.corrections import Decided, Decisions, Renamed
from facewatch.people.hubs import hubs_among, middles_of
from facewatch.people.identities import Alike, Identities, Reclustered
from facewatch.people.lookup import Linked, find_person
from facewatch.people.search import Search
from facewatch.people.undo import History, Undone
from facewatch.quality import Limits
from facewatch.reports.status import Status, status_of
from facewatch.text import plural
from facewatch.types import EngineInfo, EngineOptions, Normalisation, Progress
from facewatch.watcher.reporter import SILENT_SECONDS, Teller

if TYPE_CHECKING:
    from facewatch.clustering import Clusterer
    from facewatch.clustering.graph import NeighbourGraph

log = logging.getLogger(__name__)

SPECTRAL_SETTINGS = ("k_reciprocal", "verification_threshold", "n_clusters")

GROUPING_SETTINGS = frozenset(
    {
        "match.strictness",
        "match.normalised",
        "cluster.method",
        "cluster.min_faces",
        *(f"cluster.{key}" for key in SPECTRAL_SETTINGS),
    }
)
"""What changes how the pool is grouped."""

KEPT_GRAPH_FACES = 5_000
"""A smaller graph is worked out in half a second, and is not worth a file."""

DATES_SECONDS = 30.0
"""What one scan spends on looking up when photos of an older catalog were taken: some thousand that a hard
disk seeks, or 200,000 JPEGs that are in memory."""

FIRST_ENGINE = "face_recognition"
"""Works at once and offline."""

Report = Callable[[Progress], None]
"""Called from long work; must be quick."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan did."""

    n_files: int
    n_new: int
    n_other: int
    """Files that are no photos."""
    n_known: int
    """Files whose content was known already ..."""
    n_same: int
    """... and of those the files that held it before."""
    n_again: int
    """Photos that the engine had not looked at, but another one had."""
    n_moved: int
    libraries_moved: dict[str, str]
    """Libraries that were moved as a whole, and where they are now; `n_moved` counts their files, too."""
    n_missing: int
    n_faulty: int
    n_faces: int
    """Faces that were not known before."""
    n_placed: int
    """How many of those belong to somebody now ..."""
    n_placed_before: int
    """... and how many that were known before, and belonged to nobody."""
    n_assigned: int
    """Faces of new photos that a known person explained at once."""
    n_unread_folders: int
    n_new_people: int
    """People who were nobody before the scan."""
    n_grouped: int
    n_links_made: int
    n_links_removed: int
    engine: str
    """The wanted one."""
    engine_before: str | None
    """The one that was in use until now; None: it has not changed."""
    seconds: float
    is_first: bool
    """Whether nothing had been looked at before."""


class Service:
    """Everything wired up for one catalog; a context manager that closes what it opened."""

    def __init__(
        self,
        config: Config,
        *,
        analyser: Analyser | None = None,
        info: EngineInfo | None = None,
        needs_catalog: bool = False,
        clock: Callable[[], float] = time.monotonic,
        patience: Callable[[Path], Patience] = Patience,
    ) -> None:
        """`analyser` and `info` take the place of the worker processes and the settings' engine. With `needs_catalog`
        there must be one, and none is made. `patience`: with others that hold the catalog's locks.

        Raises:
            ConfigError: the folders lie in each other.
            CatalogError: the catalog cannot be opened.
        """
        self.config = config
        self.n_workers = config["engine.workers"] or available_cores()
        self._info = info
        if config.photos:
            check_places(config.photos, people_folder_of(config), config.catalog, source=config.source)
        if needs_catalog and not config.catalog.exists():
            raise CatalogError(
                f"{config.catalog}: no catalog yet; `facewatch scan{'' if config.photos else ' PHOTOS'}` makes one"
            )
        self.catalog = Catalog(config.catalog, patience=patience)
        try:
            root = people_folder_of(config, self.catalog.files.setting("people_folder"), self.catalog.library_id)
            check_places(config.photos, root, config.catalog, source=config.source)
            _check_aligned(config.aligned, (*config.photos, *self.catalog.files.roots()), config.source)
        except BaseException:
            self.catalog.close()
            raise
        self._clock = clock
        self._given_analyser = analyser
        self._identities: Identities | None = None
        self._graph: NeighbourGraph | None = None
        """Who is near whom in the pool, kept so that new faces extend it."""
        self._has_graph_changed = False
        self._engine_id: int | None = None
        self._is_switch_told = False
        self.switch = EngineSwitch(self.catalog, lambda: self.engine_id)
        self.libraries = Libraries(
            self.catalog,
            config.photos or tuple(self.catalog.files.roots()),
            rules_of(config),
            aligned=config.aligned,
            faults_depend_on=self._what_faults_depend_on,
        )
        self.search = Search(self)
        self.folder = PeopleFolder(
            self.catalog, root, kind=config["folders.link"], named_only=not config["folders.unnamed"]
        )

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()
        self.catalog.close()

    # --- the parts ---

    @property
    def engine_name(self) -> str:
        """The wanted engine: that of the settings, else the one that was asked for last, else the one in use."""
        if self._info is not None:
            return self._info.name
        asked_for = self.config["engine.name"] or self.catalog.files.setting("engine")
        return asked_for or self.catalog.engines.in_use_name() or FIRST_ENGINE

    @property
    def info(self) -> EngineInfo:
        """What identifies the wanted engine; asked for when it is needed, because decisions can be made without it.

        Raises:
            EngineError: its files are absent; the message says which command brings them.
        """
        if self._info is None:
            self._info = describe_engine(self.engine_name, self._engine_options())
        return self._info

    @cached_property
    def _analyser(self) -> Analyser:
        """Where photos are looked at; made when the first one is, because most commands look at none."""
        return self._given_analyser or Workers(
            self.recipe(),
            self.n_workers,
            photo_seconds=self.config["resources.photo_seconds"],
            memory=memory_limit(self.config["resources.memory_mb"]),
        )

    def recipe(self) -> Recipe:
        """Return what workers need to know."""
        return Recipe(
            engine=self.engine_name,
            options=self._engine_options(),
            max_pixels=int(self.config["library.max_megapixels"] * 1_000_000),
            limits=self.limits_of(self.info),
        )

    def limits_of(self, info: EngineInfo) -> Limits:
        """Return where the tiers of an engine's faces end, with what the settings ask for."""
        limits = Limits.of(info)
        return replace(
            limits,
            match_pixels=self.config["match.min_face_pixels"] or limits.match_pixels,
            match_sharpness=self.config["match.min_sharpness"] or limits.match_sharpness,
            match_score=self.config["match.min_face_confidence"],
        )

    def _what_faults_depend_on(self) -> str:
        """Return what decides which files can be used, besides the files themselves."""
        from facewatch import decode

        memory = memory_limit(self.config["resources.memory_mb"])
        settings = (self.config["library.max_megapixels"], self.config["resources.photo_seconds"])
        return " ".join(map(str, (decode.VERSION, self.engine_name, memory, *settings)))

    def _engine_options(self) -> EngineOptions:
        return EngineOptions(
            detector=self.config["engine.detector"],
            device=self.config["engine.device"],
            models=self.config["engine.models"],
            n_threads=max(1, available_cores() // self.n_workers),
        )

    @property
    def engine_id(self) -> int:
        """The wanted engine's; the one in use may be another, see `switch`."""
        if self._engine_id is None and self.catalog.files.setting("engine") == self.info.name:
            # Nothing is written by those who only ask: it would look like a change to whoever watches.
            self._engine_id = self.catalog.engines.known(self.info)
        if self._engine_id is None:
            with self.catalog.write():
                self._engine_id = self.catalog.engines.add(self.info, self.catalog.now())
                # A change that was asked for once is carried on by every later scan.
                self.catalog.files.set("engine", self.info.name)
        return self._engine_id

    @property
    def identities(self) -> Identities:
        if self._identities is None:
            self._identities = Identities(
                self.catalog,
                self.engine_id,
                self.info,
                shortlist=self.config["match.shortlist"],
                strictness=self.config["match.strictness"],
                aggregation=Aggregation(self.config["match.aggregation"]),
                normalisation=self.normalisation,
            )
        return self._identities

    @cached_property
    def _versions(self) -> Versions:
        """What finds other versions of photos, by the wanted engine."""
        return Versions(self.catalog, self.engine_id, same_face=self.info.thresholds.match)

    @contextmanager
    def running(self, kind: str) -> Iterator[dict[str, Any]]:
        """Be the one run on this catalog, on record from its start to its end; yields its outcome, to be filled.

        Raises:
            BusyError: another process scans or watches.
        """
        with self.catalog.run_lock(kind):
            with self.catalog.write():
                strictness = self.config["match.strictness"]
                run_id = self.catalog.people.start_run(kind, self.catalog.now(), strictness=strictness)
            self.identities.start_run(kind, run_id)
            outcome: dict[str, Any] = {}
            try:
                yield outcome
            finally:
                with self.catalog.write():
                    self.catalog.people.end_run(run_id, outcome, self.catalog.now())

    # --- scan ---

    def scan_all(self, report: Report = lambda _: None) -> ScanResult:
        """One complete pass: the catalog and the folders then say what the libraries hold.

        Raises:
            LibraryError: a library is not there, or empty although it was not.
            BusyError: another process scans or watches.
            FolderError: the people folder cannot be written; said before anything is analysed.
        """
        self.libraries.settle()
        if not any(map(is_folder, self.libraries.roots)):
            check_library(self.libraries.roots[0])
        self.folder.check()
        teller = Teller(self.catalog.path, clock=self._clock)
        with self.running("scan") as outcome:
            try:
                result = self._scan(report, teller)
            finally:
                teller.end()
            outcome.update(asdict(result))
            return result

    def _scan(self, report: Report, teller: Teller) -> ScanResult:
        started, is_first = self._clock(), not self.catalog.files.counts()["files"]
        newest_face, newest_person = self.catalog.faces.newest(), self.catalog.people.newest()
        teller.doing("looking through the libraries", silent_seconds=SILENT_SECONDS)
        report(Progress(0, 0, "", stage="looking through the libraries"))
        looks = self.libraries.look_at_all()
        again = self.switch.due()
        n_total = sum(len(changes.to_read) for _, _, changes in looks) + sum(map(len, again.values()))
        counts: Counter[str] = Counter()
        for one in self._ingest_all(looks):
            counts.update({one.kind: 1, "done": 1, "assigned": one.n_assigned, "same": one.is_same})
            teller.photo()
            teller.doing("looking at photos", n_waiting=max(0, n_total - counts["done"]))
            note = display(one.path)
            report(Progress(counts["done"], max(n_total, counts["done"]), note, stage="looking at photos"))

        self._find_dates(report)
        before = self.complete_switch()
        is_due = self.is_ungrouped() and not self.switch.is_under_way
        teller.doing("grouping", silent_seconds=SILENT_SECONDS)
        report(Progress(0, 0, "", stage="grouping faces"))
        grouped = self.recluster() if is_due else Reclustered(0, 0, 0, 0, 0)
        report(Progress(0, 0, "", stage="making links"))
        self.give_names()
        applied = self.sync_folders()
        for root, _, _ in looks:
            self.libraries.arrived(root)
        self.search.keep_up()
        n_placed, n_placed_before = self.catalog.faces.placed_by(self.identities.run_id, since=newest_face)
        return ScanResult(
            n_files=sum(len(found.files) for _, found, _ in looks),
            n_new=counts["new"],
            n_other=counts["other"],
            n_known=counts["known"],
            n_same=counts["same"],
            n_again=counts["again"],
            n_moved=self.libraries.n_moved + sum(len(changes.moved) for _, _, changes in looks),
            libraries_moved=self.libraries.moved,
            n_missing=sum(len(changes.missing) for _, _, changes in looks),
            n_faulty=counts["faulty"],
            n_faces=self.catalog.faces.n_since(newest_face),
            n_placed=n_placed,
            n_placed_before=n_placed_before,
            n_assigned=counts["assigned"],
            n_unread_folders=sum(len(found.unseen) for _, found, _ in looks),
            n_new_people=self.catalog.people.n_since(newest_person),
            n_grouped=grouped.n_grouped + grouped.n_matched,
            n_links_made=applied.n_made,
            n_links_removed=applied.n_removed,
            engine=self.engine_name,
            engine_before=before,
            seconds=self._clock() - started,
            is_first=is_first,
        )

    def _ingest_all(self, looks: Sequence[tuple[Path, scan.Walk, scan.Changes]]) -> Iterator[Ingested]:
        """Bring what the libraries hold into the catalog, and look at what another engine is to see."""
        for root, found, changes in looks:
            self.record(root, changes)
            for folder in sorted(found.lost):
                log.warning("%s: offline: %s; nothing of it is removed", display(str(root / folder)), LOST_MOUNT)
            yield from self.ingest(root, changes.to_read)
        yield from self.look_anew()

    def record(self, root: Path, changes: scan.Changes) -> None:
        """Record moves and removals; faces of photos that are gone are compared with no longer, and what users said of
        them is true of other versions of those photos."""
        photos = self._photos_of(root, changes.missing)
        found = self._versions.there(photos)
        with self.catalog.write():
            self.libraries.record(root, changes)
            changed = self._versions.bequeath(found)
        self._versions.gone(photos)
        self._renew(self.catalog.faces.people_of(photos) | self._versions.take_people())
        if changed and not self.switch.is_under_way:
            self.identities.settle_again(changed)

    def _photos_of(self, root: Path, paths: Iterable[str]) -> set[int]:
        """Return the photos of these files."""
        root_id = self.libraries.root_id(root)
        files = (self.catalog.files.one(root_id, path) for path in paths)
        return {file.photo_id for file in files if file is not None and file.photo_id is not None}

    def ingest(
        self, root: Path, paths: Iterable[str], *, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Ingested]:
        """Bring these files into the catalog; yields what became of each, with one line in the log.

        `should_stop` is asked between photos and while one is waited for; what was not recorded is found again.
        """
        work = Ingest(
            self.catalog,
            self._analyser,
            root=root,
            root_id=self.libraries.root_id(root),
            engine_id=self.engine_id,
            settle=_leave_be if self.switch.is_under_way else self.identities.settle,
            prepare=_prepare_nothing if self.switch.is_under_way else self.identities.gallery,
            is_aligned=self.libraries.is_aligned(root),
            versions=self._versions,
        )
        back = []
        n_unreadable: Counter[PurePath] = Counter()
        for one in work.run(paths, should_stop=should_stop):
            if (one.kind == "known" and not one.is_same) or one.n_inherited:
                back.append(one.path)
            folder = PurePath(one.path).parent
            _log(root, one, is_one_more=n_unreadable[folder] > 0)
            n_unreadable[folder] += _is_unreadable(one)
            yield one
        for folder, n in n_unreadable.items():
            if n > 1:
                log.warning("%s: %s", display(str(root / folder)), plural(n - 1, "more file") + " cannot be read")
        # Photos that had been away, perhaps, or were edited: their faces are compared with from now on.
        self._renew(self.catalog.faces.people_of(self._photos_of(root, back)) | self._versions.take_people())

    def look_anew(
        self, most: int | None = None, *, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Ingested]:
        """Look at photos, at most so many, that the wanted engine has not seen; yields what became of each."""
        if self.switch.is_under_way and not self._is_switch_told:
            self._is_switch_told = True
            log.info(
                "the engine changes from %s to %s: %d photo(s) to look at; until that is done the old answers stand",
                *(self.catalog.engines.in_use_name(), self.info.name, self.catalog.engines.n_pending(self.engine_id)),
            )
        for root, paths in self.switch.due(most).items():
            for one in self.ingest(root, paths, should_stop=should_stop):
                self.switch.tried(root, one.path)
                yield one

    def find_dates(self) -> Iterator[int]:
        """Record when photos of older catalogs were taken, step by step; yields how many were looked at so far."""
        if self.catalog.files.n_undated():
            yield from find_dates(self.catalog, self._analyser)

    def _find_dates(self, report: Report) -> None:
        """Spend some time on that; the next scan goes on."""
        started, n_total = self._clock(), self.catalog.files.n_undated()
        for n_looked in self.find_dates():
            report(Progress(n_looked, max(n_total, n_looked), "", stage="finding out when photos were taken"))
            if self._clock() - started > DATES_SECONDS:
                break
        if n_total:
            n_left = self.catalog.files.n_undated()
            log.info("when photos were taken: found out for %d, %d left for later scans", n_total - n_left, n_left)

    def complete_switch(self) -> str | None:
        """Change over to the wanted engine if it has looked at everything; returns the one in use until then."""
        before = self.catalog.engines.in_use_name()
        if before is None or not self.switch.is_complete:
            return None
        with self.catalog.write():
            self.catalog.engines.use(self.engine_id)
            self.identities.take_over(before)
        log.info("the engine is %s from now on; %s was in use until now", self.info.name, before)
        return before

    def engines(self) -> list[KnownEngine]:
        """Return the engines that have worked on this catalog."""
        return self.catalog.engines.all()

    def prune_engines(self) -> int:
        """Free the vectors of engines that are neither in use nor wanted; returns how many they were.

        Raises:
            BusyError: a process scans or watches.
        """
        with self.catalog.run_lock("prune"):
            # By name: the files of the wanted one need not be here.
            keep = {e.id for e in self.catalog.engines.all() if e.is_in_use or e.name == self.engine_name}
            with self.catalog.write():
                n_freed = self.catalog.engines.prune(keep)
            self.catalog.compact()
        return n_freed

    def rest(self) -> None:
        """Let go of the models and the gallery; they come back when a photo needs them."""
        self._keep_graph()
        if "_analyser" in self.__dict__:
            self._analyser.close()
        if self._identities:
            self._identities.forget_gallery()
        if "_versions" in self.__dict__:
            self._versions.forget()

    # --- groups and folders ---

    def recluster(self, *, method: str | None = None, is_dry_run: bool = False) -> Reclustered:
        """Group the pool into people.

        Raises:
            EngineError: the engine is being changed; what is in use is not the one that the settings want.
        """
        self._check_engine("grouped")
        if not is_dry_run and not self.identities.is_in_run:
            # On record, so that the audit knows by which settings it was.
            with self.catalog.write():
                now, strictness = self.catalog.now(), self.config["match.strictness"]
                run_id = self.catalog.people.start_run("recluster", now, strictness=strictness)
                self.catalog.people.end_run(run_id, {}, now)
            self.identities.start_run("recluster", run_id)
        result = self.identities.recluster(
            self._clusterer(method or self.config["cluster.method"]), is_dry_run=is_dry_run
        )
        if not is_dry_run:
            with self.catalog.write():
                self.catalog.files.set("grouped", self._grouping_stamp())
                self.catalog.people.show_last(self._hubs())
        self._has_graph_changed = True
        return result

    def _hubs(self) -> set[int]:
        if self.normalisation is None:
            return set()
        table = self.catalog.faces.load(self.engine_id, n_dims=self.info.n_dims)
        return hubs_among(middles_of(table, self.normalisation), self.catalog.people.all())

    def _check_engine(self, what: str) -> None:
        if self.switch.is_under_way:
            raise EngineError(
                f"the engine is being changed to {self.info.name}; `facewatch scan` looks at what is left, then faces "
                f"can be {what}"
            )

    @property
    def _graph_file(self) -> Path:
        return beside(self.catalog.path, sidecar.GRAPH)

    def _keep_graph(self) -> None:
        """Keep who is near whom for the next process; it can always be worked out again."""
        if self._graph is None or not self._has_graph_changed or self._graph.n_faces < KEPT_GRAPH_FACES:
            return
        self._has_graph_changed = False
        try:
            self._graph.save(self._graph_file)
        except OSError as error:
            log.warning("%s: cannot be written (%s); the next process works it out again", self._graph_file, error)

    @property
    def normalisation(self) -> Normalisation | None:
        """How similarities are normalised by strangers; None: they are taken as they come."""
        known = self.info.normalisation if self.config["match.normalised"] else None
        return known and known.stricter(self.config["match.strictness"])

    def _clusterer(self, method: str) -> Clusterer:
        from facewatch.clustering import make_clusterer
        from facewatch.clustering.graph import NeighbourGraph

        limits, strictness = self.info.thresholds, self.config["match.strictness"]
        ceiling = limits.cluster - strictness
        if self._graph is None:
            self._graph = NeighbourGraph.load(self._graph_file, ceiling=ceiling)
        settings = {key: self.config[f"cluster.{key}"] or None for key in SPECTRAL_SETTINGS}
        if settings["verification_threshold"]:
            settings["verification_threshold"] = min(ceiling, settings["verification_threshold"])
        return make_clusterer(
            method,
            ceiling=ceiling,
            doubt=limits.doubt,
            margin=limits.cluster_margin,
            copy=limits.copy,
            min_faces=self.config["cluster.min_faces"],
            normalisation=self.normalisation,
            graph=self._graph,
            **(settings if method == "spectral" else {}),
        )

    def is_ungrouped(self) -> bool:
        """Whether faces, decisions or settings have changed since the pool was grouped last."""
        return self.catalog.files.setting("grouped") != self._grouping_stamp()

    def _grouping_stamp(self) -> str:
        choices = [self.config[key] for key in self.config.values if key in GROUPING_SETTINGS]
        return f"{self.catalog.faces.stamp()} {choices} {self.info.fingerprint}"

    def sync_folders(self, only: Collection[int] | None = None) -> folders.Applied:
        """Make the people folder say what the catalog says, of everybody or `only` of these.

        Raises:
            FolderError: it cannot be written, or cannot hold links.
        """
        self.libraries.forget_moved()
        return self.folder.sync(only)

    def take_over(self) -> TakenOver:
        """Make the people folder this catalog's, with the links in it and the names of its folders.

        Raises:
            FolderError: it cannot be written.
        """
        taken = take_over(self.catalog, self.folder)
        # Before anybody is named: the old folder of that name has to make room.
        self.sync_folders()
        if self.give_names():
            self.sync_folders()
        return taken

    def give_names(self) -> list[str]:
        """Give names of folders that were taken over to the same people; return those given."""
        if not waiting_names(self.catalog):
            return []
        with self.deciding() as decisions:
            return give_names(self.catalog, decisions)

    # --- people ---

    @contextmanager
    def deciding(self) -> Iterator[Decisions]:
        """Yield what makes decisions; at the end the pool is looked at again and the folders follow.

        Raises:
            FolderError: the decisions stand, but the people folder cannot be written.
        """
        decisions = Decisions(self.catalog, photo_of=self._photo_id, link_at=self.link_at)
        try:
            yield decisions
        except BaseException:
            # What was decided before stands; that its folders cannot follow is not what has to be said now.
            with suppress(FolderError):
                self._follow(decisions.made)
            raise
        self._follow(decisions.made)

    def _follow(self, decided: Iterable[Decided]) -> None:
        """Let gallery, folders and pool follow from decisions."""
        made = [one for one in decided if one.entry_id is not None]
        for one in made:
            if one.action == "forget":
                self._forget_crops(one.faces)
        people = {person_id for one in made for person_id in one.people}
        unseen = {person_id for one in made if one.action in ("forget", "hide") for person_id in one.people}
        if unseen:
            folders.drop_from_sheet(self.folder.root, unseen)
        self._renew(people)
        with self._shown_in_the_end(people) as gained:
            for one in made:
                gained |= self._look_again(one.people, (), one.entry_id)

    @contextmanager
    def _shown_in_the_end(self, people: Collection[int]) -> Iterator[set[int]]:
        """Show in the folders what was decided about these people, then who gained faces meanwhile, who are filled in.

        Raises:
            FolderError: it is decided, but the folders do not show it; said when all else is done.
        """
        gained: set[int] = set()
        fault: FolderError | None = None
        try:
            self.sync_folders(people)
        except FolderError as error:
            fault = error
        yield gained
        if fault is None:
            try:
                self.sync_folders(gained)
            except FolderError as error:
                fault = error
        if fault is not None:
            raise FolderError(f"it is decided, but the folders do not show it yet: {fault}") from fault

    def _forget_crops(self, faces: Collection[int]) -> None:
        from facewatch.indexing.crops import Crops

        Crops(self.catalog.path).forget(faces)

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person and move its folder."""
        with self.deciding() as decisions:
            return decisions.rename(who, new, may_merge=may_merge)

    def undo(self, n: int = 1) -> Undone:
        """Take back the last decisions, in catalog and folders; see `History`."""
        return self._followed(History(self.catalog).undo(n))

    def undo_one(self, entry_id: int, *, with_chain: bool = False) -> Undone:
        """Take back one decision, and those that build on it; see `History`."""
        return self._followed(History(self.catalog).undo_one(entry_id, with_chain=with_chain))

    def redo(self) -> Undone:
        """Make again what was taken back last; see `History`."""
        return self._followed(History(self.catalog).redo())

    def _followed(self, undone: Undone) -> Undone:
        self._renew(undone.people)
        with self._shown_in_the_end(undone.people) as gained:
            if undone.doubtful:
                gained |= self._look_again(undone.people, undone.doubtful, undone.entry_id)
        return undone

    def history(self, who: str | None = None) -> list[Entry]:
        """Return the journal, newest first, of everybody or of one person."""
        return History(self.catalog).entries(person_id=self.find_person(who).id if who is not None else None)

    def _renew(self, people: Collection[int]) -> None:
        if self._identities:
            self._identities.renew(people)

    def _look_again(self, people: Collection[int], faces: Collection[int], entry_id: int | None) -> set[int]:
        """Look at the pool again after a decision; returns who gained faces. Decisions need no engine: without one, or
        while it changes, the next scan looks."""
        if self.catalog.engines.in_use_name() != self.engine_name:
            return set()
        try:
            if self.switch.is_under_way:
                return set()
            return self.identities.look_again(people, faces, entry_id)
        except EngineError as error:
            log.info("the pool is looked at again by the next scan: %s", error)
            return set()

    def look_alikes(self) -> list[Alike]:
        """Return the pairs of named people who look alike, by the engine in use, the most alike first.

        Raises:
            EngineError: the engine is being changed.
        """
        self._check_engine("compared")
        return self.identities.look_alikes()

    def find_person(self, who: str) -> Person:
        return find_person(self.catalog, who)

    def _photo_id(self, path: Path) -> int:
        file = self._file(path)
        if file.photo_id is None:
            raise NotKnownError(f"{path}: {file.fault or 'not a photo'}; it has no faces")
        return file.photo_id

    def _file(self, path: Path) -> KnownFile:
        """Return what the catalog knows of a file.

        Raises:
            NotKnownError: it is not there, or not in the catalog.
        """
        full = Path.cwd() / path
        linked = self.folder.link_at(full)
        try:
            is_directory, is_there = full.is_dir(), full.exists()
        except OSError as error:
            raise NotKnownError(f"{path}: {error.strerror}; name a photo of the library") from error
        if is_directory:
            raise NotKnownError(f"{path}: a folder; name a photo of the library")
        if linked is None and not is_there:
            raise NotKnownError(f"{path}: no such file; if it was moved, `facewatch scan` finds it again")
        file = self._file_at(full) or (self._any_file(linked.photo_id) if linked else None)
        if file is None:
            raise NotKnownError(f"{path}: not in the catalog; `facewatch scan` brings in what the libraries hold")
        return file

    def _file_at(self, full: Path) -> KnownFile | None:
        return self.catalog.files.photo_of_path(full) or self.catalog.files.photo_of_path(full.resolve())

    def _any_file(self, photo_id: int) -> KnownFile | None:
        """Return a file that holds a photo: one that a link stands for that is a copy, or whose photo was moved."""
        files = self.catalog.files.sources([photo_id]).get(photo_id, ())
        return self.catalog.files.photo_of_path(Path(files[0])) if files else None

    def link_at(self, path: Path) -> Linked | None:
        """Return what a link in the people folder stands for; None: this is no such link.

        The photo is the one that lies there now: the last scan may have seen another.
        """
        full = Path.cwd() / path
        linked = self.folder.link_at(full)
        file = self._file_at(full) if linked is not None else None
        if linked is None or file is None or file.photo_id is None:
            return linked
        return Linked(linked.person_id, file.photo_id)

    def photo(self, path: Path) -> dict[str, Any]:
        """Return what is known of the photo at this path.

        Raises:
            NotKnownError: the path is not in the catalog.
        """
        file, full = self._file(path), Path.cwd() / path
        faces = self.catalog.faces.in_photo(file.photo_id) if file.photo_id is not None else []
        return {
            "path": str(full),
            "photo_id": file.photo_id,
            "fault": file.fault,
            "is_waiting": self._waits_for_engine(file.photo_id),
            "faces": faces,
        }

    def _waits_for_engine(self, photo_id: int | None) -> bool:
        """Whether only an engine that is not in use yet has looked at the photo."""
        in_use = self.catalog.engines.in_use_id()
        return photo_id is not None and in_use is not None and not self.catalog.faces.is_analysed(photo_id, in_use)

    @property
    def is_paused(self) -> bool:
        """Whether a user wants no photos looked at for now."""
        return paused_since(self.catalog) is not None

    def status(self) -> Status:
        """Return what the catalog holds, who works on it, and what is wrong."""
        return status_of(self)


def _leave_be(photo_id: int) -> int:
    """Place nobody: what was found is for when the engine changes."""
    return 0


def _prepare_nothing() -> None: ...


def _check_aligned(aligned: Collection[Path], known: Collection[Path], source: str) -> None:
    """Refuse crop libraries that are none of the libraries: somebody mistyped a path.

    Raises:
        ConfigError: with all of them.
    """
    strange = [f"library.aligned: {path} is none of the libraries" for path in aligned if path not in known]
    if strange:
        raise ConfigError(source, strange)


def people_folder_of(config: Config, remembered: str | None = None, library_id: str = "") -> Path:
    """Return where the people folder is: as set, else where it was last or was moved to, else beside the photos."""
    if config.people is not None:
        return config.people
    if remembered is not None:
        before = Path(remembered)
        beside = [before.parent, *(photos.parent for photos in config.photos)]
        return before if is_folder(before) else folders.find_renamed(beside, library_id) or before
    return (config.photos[0].parent if config.photos else Path.cwd()) / "People"


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_unreadable(one: Ingested) -> bool:
    """Whether a file could not be opened: one of many, as a rule, whose rights are wrong."""
    return one.fault is not None and one.fault.code is FaultCode.UNREADABLE


def _log(root: Path, one: Ingested, *, is_one_more: bool) -> None:
    """One line a photo; of those that cannot be read one a folder is enough."""
    path = display(one.path)
    facts = {
        "path": display(str(root / one.path)),
        "kind": one.kind,
        "n_faces": one.n_faces,
        "n_assigned": one.n_assigned,
        "ms": round(one.ms, 1),
        "fault": one.fault.text if one.fault else None,
        "advice": one.fault.advice if one.fault else None,
    }
    extra = {"photo": facts}
    if one.fault:
        level = logging.DEBUG if is_one_more and _is_unreadable(one) else logging.WARNING
        log.log(level, "%s: %s; %s", path, one.fault.text, one.fault.advice, extra=extra)
    elif one.kind in ("new", "again"):
        log.info("%s: %d face(s), %d known (%.0f ms)", path, one.n_faces, one.n_assigned, one.ms, extra=extra)
    elif one.kind == "known":
        log.info("%s: known content", path, extra=extra)
    else:
        log.debug("%s: %s", path, one.kind, extra=extra)
