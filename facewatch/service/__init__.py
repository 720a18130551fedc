"""Builds everything from Config and runs it: scans, groups, folders. Owns locks and runs; `service.loop` watches."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from facewatch import folders, ingest, scan
from facewatch.catalog import Catalog, Person, display
from facewatch.config import Config
from facewatch.engines import describe_engine
from facewatch.errors import CatalogError, FolderError, NotKnownError
from facewatch.people import Identities, Reclustered, Renamed, find_person
from facewatch.quality import Limits
from facewatch.service.libraries import Libraries
from facewatch.service.people_folder import PeopleFolder
from facewatch.service.places import check_library, check_places
from facewatch.types import EngineInfo, Progress

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]
"""Called from long work; must be quick."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan did."""

    n_files: int
    n_new: int
    n_known: int
    """Files whose content was known already."""
    n_moved: int
    n_missing: int
    n_faulty: int
    n_faces: int
    n_assigned: int
    """Faces of new photos that a known person explained at once."""
    n_unread_folders: int
    n_new_people: int
    n_grouped: int
    n_links_made: int
    n_links_removed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """What the catalog holds and who works on it."""

    settings: str
    """The settings file, or "defaults"."""
    catalog: str
    people_folder: str
    photos: list[str]
    engine: str
    runner: str | None
    """The process that scans or watches now."""
    n_files: int
    n_photos: int
    n_faces: int
    n_assigned: int
    n_pool: int
    n_only_shown: int
    n_people: int
    n_named: int
    last_scan: str | None
    offline: list[str] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)


class Service:
    """Everything wired up for one catalog; a context manager that closes what it opened."""

    def __init__(
        self,
        config: Config,
        *,
        analyser: ingest.Analyser | None = None,
        info: EngineInfo | None = None,
        niceness: int = 0,
        needs_catalog: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`analyser` and `info` take the place of the worker processes and the settings' engine; `niceness` is how much
        the workers give way to other processes. With `needs_catalog` there must be one, and none is made.

        Raises:
            ConfigError: the folders lie in each other.
            CatalogError: the catalog cannot be opened.
        """
        self.config = config
        self.info = info or describe_engine(config["engine.name"], config["engine.detector"])
        if config.photos:
            check_places(config.photos, _people_folder(config, None), config.catalog, source=config.source)
        if needs_catalog and not config.catalog.exists():
            raise CatalogError(
                f"{config.catalog}: no catalog yet; `facewatch scan{'' if config.photos else ' PHOTOS'}` makes one"
            )
        self.catalog = Catalog(config.catalog)
        try:
            root = _people_folder(config, self.catalog.files.setting("people_folder"))
            check_places(config.photos, root, config.catalog, source=config.source)
        except BaseException:
            self.catalog.close()
            raise
        self._clock = clock
        self._analyser = analyser or ingest.Workers(
            self.recipe(niceness), config["engine.workers"] or available_cores()
        )
        self._identities: Identities | None = None
        self._engine_id: int | None = None
        self.libraries = Libraries(
            self.catalog,
            config.photos or tuple(self.catalog.files.roots()),
            scan.Rules(tuple(config["library.exclude"])),
        )
        self.folder = PeopleFolder(
            self.catalog, root, kind=config["folders.link"], named_only=not config["folders.unnamed"]
        )

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._analyser.close()
        self.catalog.close()

    # --- the parts ---

    def recipe(self, niceness: int = 0) -> ingest.Recipe:
        """Return what workers need to know."""
        return ingest.Recipe(
            engine=self.config["engine.name"],
            detector=self.config["engine.detector"],
            max_pixels=int(self.config["library.max_megapixels"] * 1_000_000),
            limits=Limits(
                match_pixels=self.config["match.min_face_pixels"],
                match_sharpness=self.config["match.min_sharpness"],
                found_score=self.info.sure_score,
            ),
            niceness=niceness,
        )

    @property
    def engine_id(self) -> int:
        if self._engine_id is None:
            with self.catalog.write():
                self._engine_id = self.catalog.faces.add_engine(self.info, self.catalog.now())
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
            )
        return self._identities

    @contextmanager
    def running(self, kind: str) -> Iterator[dict[str, Any]]:
        """Be the one run on this catalog, on record from its start to its end; yields its outcome, to be filled.

        Raises:
            BusyError: another process scans or watches.
        """
        with self.catalog.run_lock(kind):
            with self.catalog.write():
                run_id = self.catalog.people.start_run(kind, self.catalog.now())
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
        if not any(root.is_dir() for root in self.libraries.roots):
            check_library(self.libraries.roots[0])
        self.folder.check()
        with self.running("scan") as outcome:
            result = self._scan(report)
            outcome.update(asdict(result))
            return result

    def _scan(self, report: Report) -> ScanResult:
        started = self._clock()
        looks = self.libraries.look_at_all()
        n_total = sum(len(changes.to_read) for _, _, changes in looks)
        counts: Counter[str] = Counter()
        for root, found, changes in looks:
            self.libraries.record(root, changes)
            for folder, reason in found.unread.items():
                log.warning("%s: cannot be listed: %s; make it readable, then scan again", display(folder), reason)
            for one in self.ingest(root, changes.to_read):
                counts.update({one.kind: 1, "done": 1, "faces": one.n_faces, "assigned": one.n_assigned})
                report(Progress(counts["done"], n_total, display(one.path)))
        grouped = self.recluster() if self.is_ungrouped() else Reclustered(0, 0, 0, 0, 0)
        applied = self.sync_folders()
        return ScanResult(
            n_files=sum(len(found.files) for _, found, _ in looks),
            n_new=counts["new"],
            n_known=counts["known"],
            n_moved=sum(len(changes.moved) for _, _, changes in looks),
            n_missing=sum(len(changes.missing) for _, _, changes in looks),
            n_faulty=counts["faulty"],
            n_faces=counts["faces"],
            n_assigned=counts["assigned"],
            n_unread_folders=sum(len(found.unread) for _, found, _ in looks),
            n_new_people=grouped.n_new_people,
            n_grouped=grouped.n_grouped + grouped.n_matched,
            n_links_made=applied.n_made,
            n_links_removed=applied.n_removed,
            seconds=self._clock() - started,
        )

    def ingest(self, root: Path, paths: Iterable[str]) -> Iterator[ingest.Ingested]:
        """Bring these files into the catalog; yields what became of each, with one line in the log."""
        work = ingest.Ingest(
            self.catalog,
            self._analyser,
            root=root,
            root_id=self.libraries.root_id(root),
            engine_id=self.engine_id,
            settle=self.identities.settle,
        )
        for one in work.run(paths):
            _log(one)
            yield one

    def rest(self) -> None:
        """Let go of the models and the gallery; they come back when a photo needs them."""
        self._analyser.close()
        if self._identities:
            self._identities.forget_gallery()

    # --- groups and folders ---

    def recluster(self, *, method: str | None = None, is_dry_run: bool = False) -> Reclustered:
        """Group the pool into people."""
        from facewatch.clustering import make_clusterer

        clusterer = make_clusterer(
            method or self.config["cluster.method"],
            ceiling=self.info.thresholds.cluster - self.config["match.strictness"],
            doubt=self.info.thresholds.doubt,
            margin=self.info.thresholds.cluster_margin,
            min_faces=self.config["cluster.min_faces"],
        )
        result = self.identities.recluster(clusterer, is_dry_run=is_dry_run)
        if not is_dry_run:
            with self.catalog.write():
                self.catalog.files.set("grouped", self._grouping_stamp())
        return result

    def is_ungrouped(self) -> bool:
        """Whether faces, decisions or settings have changed since the pool was grouped last."""
        return self.catalog.files.setting("grouped") != self._grouping_stamp()

    def _grouping_stamp(self) -> str:
        choices = [self.config[key] for key in ("match.strictness", "cluster.method", "cluster.min_faces")]
        return f"{self.catalog.faces.stamp()} {choices} {self.info.fingerprint}"

    def sync_folders(self, only: Collection[int] | None = None) -> folders.Applied:
        """Make the people folder say what the catalog says, of everybody or `only` of these.

        Raises:
            FolderError: it cannot be written, or cannot hold links.
        """
        self.libraries.forget_moved()
        return self.folder.sync(only)

    # --- people ---

    def rename(self, who: str, new: str, *, may_merge: bool = False) -> Renamed:
        """Name a person and move its folder."""
        renamed = self.identities.rename(who, new, may_merge=may_merge)
        try:
            self.sync_folders(self.folder.outdated())
        except FolderError as error:
            raise FolderError(f"{renamed.person.label} has that name now, but not the folder: {error}") from error
        return renamed

    def find_person(self, who: str) -> Person:
        return find_person(self.catalog, who)

    def photo(self, path: Path) -> dict[str, Any]:
        """Return what is known of the photo at this path.

        Raises:
            NotKnownError: the path is not in the catalog.
        """
        full = Path.cwd() / path
        if full.is_dir() or not full.exists():
            raise NotKnownError(
                f"{path}: {'a folder' if full.is_dir() else 'no such file'}; name a photo of the library"
            )
        file = self.catalog.files.photo_of_path(full) or self.catalog.files.photo_of_path(full.resolve())
        if file is None:
            raise NotKnownError(f"{path}: not in the catalog; `facewatch scan` brings in what the libraries hold")
        faces = self.catalog.faces.in_photo(file.photo_id) if file.photo_id is not None else []
        return {"path": str(full), "photo_id": file.photo_id, "fault": file.fault, "faces": faces}

    def status(self) -> Status:
        files, faces = self.catalog.files.counts(), self.catalog.faces.counts()
        everybody = [person for person in self.catalog.people.all() if person.n_photos]
        last = max(filter(None, map(self.catalog.people.last_run, ("scan", "watch"))), key=_when, default=None)
        return Status(
            settings=self.config.source,
            catalog=str(self.catalog.path),
            people_folder=str(self.folder.root),
            photos=[str(root) for root in dict.fromkeys((*self.libraries.roots, *self.catalog.files.roots()))],
            engine=self.info.name,
            runner=self.catalog.runner(),
            n_files=files["files"],
            n_photos=files["photos"],
            n_faces=faces["faces"],
            n_assigned=faces["assigned"],
            n_pool=faces["pool"],
            n_only_shown=faces["only_shown"],
            n_people=len(everybody),
            n_named=sum(person.name is not None for person in everybody),
            last_scan=_when(last) if last else None,
            offline=[
                str(root)
                for root in dict.fromkeys((*self.libraries.roots, *self.catalog.files.roots()))
                if not root.is_dir()
            ],
            faults=[asdict(fault) for fault in self.catalog.files.faulty()],
        )


def _people_folder(config: Config, remembered: str | None) -> Path:
    if config.people is not None:
        return config.people
    if remembered is not None:
        return Path(remembered)
    return (config.photos[0].parent if config.photos else Path.cwd()) / "People"


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _when(run: Mapping[str, Any]) -> str:
    """Return when a run was last known to be at work."""
    return str(run["ended_at"] or run["started_at"])


def _log(one: ingest.Ingested) -> None:
    """One line a photo."""
    path = display(one.path)
    if one.fault:
        log.warning("%s: %s; %s", path, *one.fault)
    elif one.kind == "new":
        log.info("%s: %d face(s), %d known (%.0f ms)", path, one.n_faces, one.n_assigned, one.ms)
    elif one.kind == "known":
        log.info("%s: known content", path)
    else:
        log.debug("%s: %s", path, one.kind)
