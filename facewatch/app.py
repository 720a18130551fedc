"""Builds every part of facewatch from the settings and passes each its dependencies."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facewatch.catalog import Catalog
from facewatch.errors import CatalogError, ConfigError
from facewatch.indexing.engine import WantedEngine
from facewatch.library.layout import check_mirror, check_places
from facewatch.people.kept import KeptTogether
from facewatch.settings import (
    cluster_settings_of,
    cover_name_of,
    engine_settings_of,
    files_read_of,
    grouping_settings_of,
    match_settings_of,
    n_workers_of,
    people_folder_of,
    people_shape_of,
    rules_of,
    sidecar_settings_of,
    watch_settings_of,
)
from facewatch.types import DECODER_VERSION, EngineInfo, OnDemand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from types import TracebackType

    from facewatch.catalog.backup import Report
    from facewatch.catalog.opening import Patience
    from facewatch.checks.audit import Auditor
    from facewatch.config import Config
    from facewatch.folders.export import ExportForm
    from facewatch.folders.model import Action, Applied, FaceMaker
    from facewatch.folders.photos import PhotoFolder
    from facewatch.folders.restore import Locations, Restored
    from facewatch.folders.sync import PeopleFolder
    from facewatch.indexing.cluster import ClusterSettings
    from facewatch.indexing.pictures import PictureStore
    from facewatch.indexing.pool import PictureWorkers, WorkerPool, Workers
    from facewatch.indexing.reading_names import NamesReader
    from facewatch.library.roots import Libraries
    from facewatch.people.apply import Corrections
    from facewatch.people.carrier import Carrier
    from facewatch.people.explain import Explainer
    from facewatch.people.exporting import Exporter
    from facewatch.people.face_map import FaceMap
    from facewatch.people.folder_reader import FolderReader
    from facewatch.people.from_folder import Reading
    from facewatch.people.grouping import Grouping
    from facewatch.people.identities import Identities
    from facewatch.people.lookup import Lookup
    from facewatch.people.overview import Overview
    from facewatch.people.photos.finder import PhotoFinder
    from facewatch.people.portraits import FaceCrops
    from facewatch.people.recluster import Reclusterer
    from facewatch.people.references import References
    from facewatch.people.regions_in import NamesFromFiles
    from facewatch.people.regions_out import NamesIntoFiles
    from facewatch.people.resemblance import Resemblance
    from facewatch.people.review.listing import QuestionList
    from facewatch.people.review.question import Question, Subset
    from facewatch.people.review.session import Review
    from facewatch.people.search import Search
    from facewatch.pipeline import Pipeline
    from facewatch.publish.address import Address
    from facewatch.publish.publisher import Publisher
    from facewatch.reports.stats import Stats
    from facewatch.reports.status import Status, StatusReport
    from facewatch.watcher.schedule import WatchSettings

# A part is imported and made when it is asked for: no command needs them all, and to import all takes longer than most
# commands work.


class App:
    """The parts of facewatch for one catalog; a context manager that closes what it opened."""

    def __init__(
        self,
        config: Config,
        *,
        workers: Workers | None = None,
        cutters: PictureWorkers | None = None,
        info: EngineInfo | None = None,
        needs_catalog: bool = False,
        clock: Callable[[], float] = time.monotonic,
        patience: Callable[[Path], Patience] | None = None,
        kept: KeptTogether | None = None,
    ) -> None:
        """`workers`, `cutters` and `info` take the place of the worker processes and the settings' engine. With
        `needs_catalog` there must be one, and none is made. `patience`: with others that hold the catalog's locks.
        `kept`: what this App keeps together with others of the same catalog.

        Raises:
            ConfigError: the folders lie in each other.
            CatalogError: the catalog cannot be opened.
        """
        self.config = config
        self._given_cutters = cutters
        self.catalog = _opened(config, needs_catalog=needs_catalog, patience=patience)
        try:
            root = people_folder_of(config, self.catalog.settings.get("people_folder"), self.catalog.library_id)
            check_places(config.photos, root, config.catalog, source=config.source)
            libraries = (*config.photos, *self.catalog.roots.all())
            _check_aligned(config.aligned, libraries, config.source)
            if config["regions.folder"] or config["regions.xmp"] != "off":
                check_mirror(libraries, root, config.sidecars, source=config.source)
        except BaseException:
            self.catalog.close()
            raise
        self.engine = WantedEngine(self.catalog, engine_settings_of(config), info=info)
        self.workers: OnDemand[Workers] = OnDemand(lambda: workers or _workers(config, self.engine))
        self.library_workers = self.workers
        """Those that scans and the watcher ask; single photos are analysed here."""
        if workers is None and (cluster := cluster_settings_of(config)):
            self.library_workers = OnDemand(lambda: _nodes(config, self.engine, cluster))
        self.kept = kept or KeptTogether()
        self._people_folder = root
        self._clock = clock

    def __enter__(self) -> App:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        made = self.__dict__
        if "pipeline" in made:
            self.pipeline.rest()
        if "grouping" in made:
            self.grouping.keep_graph()
        if "identities" in made:
            self.identities.forget_gallery()
        for workers in (self.workers.made, self.library_workers.made):
            if workers is not None:
                workers.close()
        self.catalog.close()

    @cached_property
    def libraries(self) -> Libraries:
        """The photo libraries, and what the catalog knows of them."""
        from facewatch.library.roots import Libraries

        config = self.config
        return Libraries(
            self.catalog,
            config.photos or tuple(self.catalog.roots.all()),
            rules_of(config),
            aligned=config.aligned,
            faults_depend_on=lambda: _what_faults_depend_on(config, self.engine),
        )

    @cached_property
    def folder(self) -> PeopleFolder:
        """The people folder."""
        from facewatch.folders.sync import PeopleFolder

        return PeopleFolder(
            self.catalog,
            self._people_folder,
            shape=people_shape_of(self.config),
            before_sync=lambda: self.libraries.forget_moved(),
            after_sync=self._renew_covers,
            cutting=self._cutting,
            edits=OnDemand(lambda: self.folder_reader) if self.config["folders.edit"] != "ignore" else None,
        )

    def _renew_covers(self, only: Collection[int] | None) -> None:
        from facewatch.people.covers import Covers

        Covers(self.catalog, self._people_folder, cover_name_of(self.config), self._cutters).renew(only)

    def _cutting(self, actions: Sequence[Action]) -> AbstractContextManager[FaceMaker | None]:
        if not actions:
            return nullcontext()
        from facewatch.people.face_files import FaceFiles

        return FaceFiles(self.catalog, self._cutters).cutting(actions)

    @cached_property
    def folder_reader(self) -> FolderReader:
        """What reads the people folder back."""
        from facewatch.people.folder_reader import EditMode, FolderReader

        return FolderReader(
            self.catalog,
            self.folder,
            OnDemand(lambda: self.corrections),
            self.libraries,
            mode=EditMode(self.config["folders.edit"]),
            most_changes=self.config["folders.most_changes"],
            say=_said_of_reading,
        )

    @cached_property
    def lookup(self) -> Lookup:
        """What finds the people, photos and faces that somebody means."""
        from facewatch.people.lookup import Lookup

        return Lookup(self.catalog, self._people_folder)

    @cached_property
    def search(self) -> Search:
        """What finds faces that look like another."""
        from facewatch.people.search import Search

        has_index = self.config["search.index"] == "rabitq"
        return Search(self.catalog, self.engine, self.lookup, self.workers, self.kept.mapped, has_index=has_index)

    @cached_property
    def identities(self) -> Identities:
        """Who is who."""
        from facewatch.people.identities import Identities

        return Identities(
            self.catalog, self.engine, match_settings_of(self.config), lambda of: self.search.vectors_at_hand(of)
        )

    @cached_property
    def corrections(self) -> Corrections:
        """What makes decisions, and lets pool and folders follow."""
        from facewatch.people.apply import Corrections
        from facewatch.people.drawing import Drawing

        drawing = Drawing(self.catalog, self.engine, self.workers)
        return Corrections(self.catalog, self.engine, self.identities, self.folder, self.lookup, drawing)

    @cached_property
    def grouping(self) -> Grouping:
        """What groups the faces that belong to nobody."""
        from facewatch.indexing.memory import grouping_room
        from facewatch.people.grouping import Grouping

        memory_mb = self.config["resources.memory_mb"]
        return Grouping(
            *(self.catalog, self.engine, self.identities, grouping_settings_of(self.config)),
            room=lambda: grouping_room(memory_mb),
        )

    @cached_property
    def names_reader(self) -> NamesReader:
        """What reads names of people from files."""
        from facewatch.indexing.reading_names import NamesReader

        return NamesReader(self.catalog, self.workers, files_read_of(self.config))

    @cached_property
    def names_from_files(self) -> NamesFromFiles:
        """What takes over the names that were read."""
        from facewatch.people.regions_in import NamesFromFiles

        return NamesFromFiles(self.catalog, self.engine, self.identities, self.corrections, files_read_of(self.config))

    @cached_property
    def names_into_files(self) -> NamesIntoFiles:
        """What writes names of people into sidecars."""
        from facewatch.people.regions_out import NamesIntoFiles
        from facewatch.people.sidecar_targets import SidecarTargets

        targets = SidecarTargets(self.catalog, sidecar_settings_of(self.config), self.names_reader.describe)
        return NamesIntoFiles(self.catalog, targets)

    @cached_property
    def pipeline(self) -> Pipeline:
        """The main job."""
        from facewatch.pipeline import Pipeline

        return Pipeline(
            self.catalog,
            self.engine,
            self.libraries,
            workers=self.library_workers,
            identities=self.identities,
            grouping=self.grouping,
            corrections=OnDemand(lambda: self.corrections),
            folder=self.folder,
            search=self.search,
            files_read=files_read_of(self.config),
            names_reader=OnDemand(lambda: self.names_reader),
            names_from_files=OnDemand(lambda: self.names_from_files),
            names_into_files=OnDemand(lambda: self.names_into_files) if self.config["regions.xmp"] != "off" else None,
            clock=self._clock,
        )

    @cached_property
    def watch_settings(self) -> WatchSettings:
        return watch_settings_of(self.config)

    @cached_property
    def overview(self) -> Overview:
        """Everybody at a glance; kept, because it reads again only what has changed."""
        from facewatch.people.overview import Overview

        return Overview(self.catalog, self.kept.tiles)

    @cached_property
    def resemblance(self) -> Resemblance:
        """What people look like, kept from one question to the next."""
        from facewatch.people.resemblance import Resemblance

        return Resemblance(self.catalog, self.engine, self.search.vectors, self.kept.looks, self.kept.compared)

    def explainer(self) -> Explainer:
        """Return what explains why faces are where they are."""
        from facewatch.people.explain import Explainer

        return Explainer(self.catalog, self.engine, self.lookup, self.identities.settings, identities=self.identities)

    def photos(self) -> PhotoFinder:
        """Return what finds photos by who is on them, when and where they were taken."""
        from facewatch.people.photos.finder import PhotoFinder

        return PhotoFinder(self.catalog, self.libraries)

    def photo_folder(self, root: Path) -> PhotoFolder:
        """Return a folder of links to photos that somebody searched for.

        Raises:
            FolderError: it lies among the photos, or in the people folder.
        """
        from facewatch.folders.photos import PhotoFolder

        return PhotoFolder(self.catalog, root, kind=self.folder.link_kind, people=self.folder.root)

    def exporter(self, root: Path, form: ExportForm, workers: PictureWorkers | None = None) -> Exporter:
        """Return what exports photos or faces into a folder; `workers` take the place of the worker processes.

        Raises:
            FolderError: the folder lies among the photos, or in the people folder.
        """
        from facewatch.folders.export import ExportFolder
        from facewatch.people.exporting import Exporter

        folder = ExportFolder(self.catalog, root, form, people=self.folder.root)
        cutters: OnDemand[PictureWorkers] = OnDemand(lambda: workers) if workers else OnDemand(self._cutters)
        return Exporter(self.catalog, self.photos(), folder, cutters)

    def _cutters(self) -> PictureWorkers:
        return self._given_cutters or self.picture_workers(n_workers_of(self.config))

    def publisher(self, address: Address, schema: str) -> Publisher:
        """Return what keeps a copy of the catalog in a database.

        Raises:
            PublishError: psycopg is not installed.
        """
        from facewatch import __version__
        from facewatch.publish.publisher import Publisher

        return Publisher(self.catalog, address, schema, program=__version__)

    def references(self) -> References:
        """Return what takes reference pictures over."""
        from facewatch.people.references import References

        return References(
            self.catalog, self.engine, self.identities, self.workers, self.corrections, self.libraries.roots
        )

    def carrier(self) -> Carrier:
        """Return what carries who people are out of the catalog, and into it."""
        from facewatch.people.carrier import Carrier

        return Carrier(self.catalog, self.engine, self.identities, self.corrections, self.libraries.roots)

    def review(self) -> Review:
        """Return the open questions, whose answers are followed as any correction is.

        Raises:
            EngineError: the engine is being changed.
        """
        from facewatch.people.review.session import FACES_AN_ANSWER, Review

        info = self._info_for_questions()
        return Review(
            self.catalog,
            self.engine.id,
            info,
            deciding=self.corrections.deciding,
            undo=self.corrections.undo_one,
            n_between=self.catalog.faces.counts()["faces"] // FACES_AN_ANSWER,
        )

    def questions(self, parts: Collection[Subset] = (), *, n_open: int | None = None) -> QuestionList:
        """Return the questions that are open now, for many who answer them meanwhile.

        Args:
            parts: what is asked about apart.
            n_open: how many faces are open; None: they are counted.

        Raises:
            EngineError: the engine is being changed.
        """
        from facewatch.people.kept_vectors import all_faces
        from facewatch.people.review.listing import QuestionList
        from facewatch.people.review.questions import open_questions

        info = self._info_for_questions()
        n_open = self.catalog.faces.n_open() if n_open is None else n_open
        table = all_faces(self.catalog, self.engine.id, info.n_dims, self.search.vectors_at_hand(self.engine.id))
        found = open_questions(self.catalog, self.engine.id, info, parts=parts, table=table, n_open=n_open)
        return QuestionList(found, n_open)

    def halves(self, question: Question) -> tuple[Subset, Subset]:
        """Return the two parts of what a question is about that it can be divided into.

        Raises:
            DecisionError: it is about one face or group.
            EngineError: the engine is being changed.
        """
        from facewatch.people.review.dividing import halves

        return halves(self.catalog, self.engine.id, self._info_for_questions(), question)

    def _info_for_questions(self) -> EngineInfo:
        self.engine.check_is_in_use("there are questions again")
        return replace(self.engine.info, normalisation=self.engine.normalisation)

    def face_map(self) -> FaceMap:
        """Return where faces are on their map."""
        from facewatch.people.face_map import FaceMap

        return FaceMap(self.catalog)

    def reclusterer(self) -> Reclusterer:
        """Return what previews a recluster by the settings, and does what was previewed."""
        from facewatch.people.recluster import Reclusterer

        return Reclusterer(self.catalog, self.engine, self.identities, self.grouping, follow=self.corrections.follow)

    def face_crops(self, workers: PictureWorkers | None = None, *, n_workers: int = 1) -> FaceCrops:
        """Return what cuts faces out of their photos; its first worker process is being started.

        `workers` take the place of the worker processes.

        Raises:
            EngineError: there is not memory enough for it.
        """
        from facewatch.people.portraits import FaceCrops

        if workers is None:
            workers = picture_workers(self.config, n_workers)
            workers.get_ready_to_cut()
        from facewatch.indexing.picture_maker import PictureMaker

        store = self.picture_store()
        return FaceCrops(self.catalog, store, PictureMaker(store, workers))

    def picture_store(self) -> PictureStore:
        """Return where pictures of faces and photos are kept."""
        from facewatch.indexing.memory import MB
        from facewatch.indexing.pictures import PictureStore

        return PictureStore(self.catalog.path, most_bytes=self.config["resources.pictures_mb"] * MB)

    def picture_workers(self, most: int) -> WorkerPool:
        """Return at most so many worker processes that make pictures, fewer where the settings say so.

        Raises:
            EngineError: there is not memory enough for one.
        """
        return picture_workers(self.config, min(most, n_workers_of(self.config)))

    def auditor(self) -> Auditor:
        """Return what checks the catalog and the people folder, and fixes what takes no decision."""
        from facewatch.checks.audit import Auditor

        return Auditor(self.catalog, self.engine, self.folder, self.corrections, self.identities.settings)

    def status_report(self) -> StatusReport:
        """Return what reports the status, and renews what changes from second to second."""
        from facewatch.catalog.backup import Backups
        from facewatch.reports.status import StatusReport

        return StatusReport(
            self.catalog,
            self.engine,
            self.libraries,
            self.folder,
            settings=self.config.source,
            backups=Backups(self.config.catalog, self.config.backups),
            names_into=self.names_into_files,
            names_from=self.names_from_files,
        )

    def status(self) -> Status:
        """Return what the catalog holds, who works on it, and what is wrong."""
        return self.status_report().full()

    def stats(self) -> Stats:
        """Return the catalog in numbers."""
        from facewatch.reports.stats import stats_of

        return stats_of(self.catalog, self.engine, self.identities.settings)


def locations_of(config: Config) -> Locations:
    """Return where a catalog and what goes with it are."""
    from facewatch.folders.restore import Locations

    return Locations(config.catalog, config.people, config.backups)


def restore_backup(config: Config, file: Path, *, now: datetime, report: Report = lambda _: None) -> Restored:
    """Put a backup in the place of the catalog, and bring the people folder in line with it (see `folders.restore`)."""
    from facewatch.folders.restore import restore

    return restore(locations_of(config), file, sync=lambda: _sync_restored(config), now=now, report=report)


def _sync_restored(config: Config) -> Applied | None:
    from facewatch.folders.sheet import remove_sheet

    with App(config, needs_catalog=True) as app:
        if not app.folder.root.is_dir():
            return None
        # It has the ids of another catalog.
        remove_sheet(app.folder.root)
        return app.folder.sync(is_repair=True)


def _opened(config: Config, *, needs_catalog: bool, patience: Callable[[Path], Patience] | None) -> Catalog:
    if config.photos:
        check_places(config.photos, people_folder_of(config), config.catalog, source=config.source)
    if needs_catalog and not config.catalog.exists():
        raise CatalogError(
            f"{config.catalog}: no catalog yet; `facewatch scan{'' if config.photos else ' PHOTOS'}` makes one"
        )
    return Catalog(config.catalog, patience=patience) if patience else Catalog(config.catalog)


def _nodes(config: Config, engine: WantedEngine, settings: ClusterSettings) -> Workers:
    from facewatch.indexing.nodes import NodePool

    photo_seconds = config["resources.photo_seconds"]
    return NodePool(engine.recipe(), settings, fingerprint=engine.info.fingerprint, photo_seconds=photo_seconds)


def _workers(config: Config, engine: WantedEngine) -> WorkerPool:
    from facewatch.indexing.memory import memory_limit
    from facewatch.indexing.pool import WorkerPool

    return WorkerPool(
        engine.recipe(),
        n_workers_of(config),
        photo_seconds=config["resources.photo_seconds"],
        memory=memory_limit(config["resources.memory_mb"]),
    )


def _what_faults_depend_on(config: Config, engine: WantedEngine) -> str:
    """Return what decides which files can be used, besides the files themselves."""
    from facewatch.indexing.memory import memory_limit

    memory = memory_limit(config["resources.memory_mb"])
    settings = (config["library.max_megapixels"], config["resources.photo_seconds"])
    return " ".join(map(str, (DECODER_VERSION, engine.name, memory, *settings)))


def _said_of_reading(reading: Reading) -> Sequence[str]:
    from facewatch.presentation.from_folder import reading_lines

    return list(reading_lines(reading))


def _check_aligned(aligned: Collection[Path], known: Collection[Path], source: str) -> None:
    """Refuse crop libraries that are none of the libraries: somebody mistyped a path."""
    strange = [f"library.aligned: {path} is none of the libraries" for path in aligned if path not in known]
    if strange:
        raise ConfigError(source, strange)


def picture_workers(config: Config, n_workers: int = 1) -> WorkerPool:
    """Return worker processes that make pictures of faces and photos, within the limits of the settings; started when
    they are asked.

    Raises:
        EngineError: there is not memory enough for it.
    """
    from facewatch.indexing.analyzer import NO_ENGINE, Recipe
    from facewatch.indexing.crops import CUT_SECONDS
    from facewatch.indexing.memory import memory_limit
    from facewatch.indexing.pool import WorkerPool

    return WorkerPool(
        Recipe(NO_ENGINE, max_pixels=int(config["library.max_megapixels"] * 1_000_000)),
        n_workers,
        photo_seconds=min(CUT_SECONDS, config["resources.photo_seconds"]),
        memory=memory_limit(config["resources.memory_mb"]),
    )
