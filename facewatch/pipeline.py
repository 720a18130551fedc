"""The main job: scan -> index -> match -> cluster -> link."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from facewatch.catalog import display
from facewatch.errors import BusyError, FaultCode, FolderError
from facewatch.fs.mounts import is_folder
from facewatch.heartbeat import Activity, Doing
from facewatch.library.layout import check_library
from facewatch.library.roots import LOST_MOUNT
from facewatch.library.scan import Changes, Walk
from facewatch.people.identities import Reclustered
from facewatch.people.names_from import are_names_waiting, give_names
from facewatch.text import plural
from facewatch.types import OnDemand, Progress
from facewatch.watcher.reporter import SILENT_SECONDS, ProgressReporter

if TYPE_CHECKING:
    from facewatch.catalog import Catalog
    from facewatch.catalog.metadata import MetadataKind
    from facewatch.folders.restore import TakenOver
    from facewatch.folders.sync import PeopleFolder
    from facewatch.indexing.engine import WantedEngine
    from facewatch.indexing.indexer import Indexed
    from facewatch.indexing.lineage import Versions
    from facewatch.indexing.pool import Workers
    from facewatch.indexing.reading_names import NamesReader
    from facewatch.library.roots import Libraries
    from facewatch.people.apply import Corrections
    from facewatch.people.grouping import Grouping
    from facewatch.people.identities import Identities
    from facewatch.people.regions_in import NamesFromFiles
    from facewatch.people.regions_out import NamesIntoFiles, SidecarTold
    from facewatch.people.search import Search
    from facewatch.people.sidecar_rules import Outcome

# What only news ask for is imported then: most scans find none.

log = logging.getLogger(__name__)

DATES_SECONDS = 30.0
"""What one scan spends on reading when photos of an older catalog were taken: some thousand that a hard
disk seeks, or 200,000 JPEGs that are in memory."""

NAMES_SECONDS = 300.0
"""What one scan spends on reading names from files: some hundred thousand headers."""

N_LOGGED = 5
"""Sidecars that cannot be written for one kind of reason, which are logged one by one."""

Report = Callable[[Progress], None]
"""Called from long work; must be quick."""


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many files a scan found in the libraries."""

    n_files: int
    n_new: int
    n_other: int
    """Files that are no photos."""
    n_known: int
    """Files whose content was known already ..."""
    n_same: int
    """... and of those the files that held it before."""
    n_again: int
    """Photos that the engine had not analysed, but another one had."""
    n_moved: int
    n_missing: int
    n_faulty: int
    n_unread_folders: int


@dataclass(frozen=True, slots=True)
class FaceCounts:
    """How many faces a scan found, and assigned or grouped."""

    n_faces: int
    """Faces that were not known before."""
    n_new_assigned: int
    """How many of those belong to somebody now ..."""
    n_earlier_assigned: int
    """... and how many that were known before, and belonged to nobody."""
    n_assigned: int
    """Faces of new photos that were matched to a known person at once."""
    n_grouped: int
    n_new_people: int
    """People whom this scan made."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan did."""

    files: FileCounts
    faces: FaceCounts
    libraries_moved: dict[str, str]
    """Libraries that were moved as a whole, and where they are now; `n_moved` counts their files, too."""
    n_links_made: int
    n_links_removed: int
    n_links_moved: int
    """Links, and folders of people, that have another place or name now."""
    engine: str
    """The wanted one."""
    engine_before: str | None
    """The one that was in use until now; None: it has not changed."""
    seconds: float
    is_first: bool
    """Whether nothing had been analysed before."""

    def row(self) -> dict[str, Any]:
        """Return all of it side by side."""
        row = asdict(self)
        return {**row.pop("files"), **row.pop("faces"), **row}


Scanned = tuple[Path, Walk, Changes]
"""A library, what is in it, and how that differs from the catalog."""


@dataclass(eq=False)
class Pipeline:
    """Indexes the libraries into the catalog and links the people folder by the catalog."""

    catalog: Catalog
    engine: WantedEngine
    libraries: Libraries
    workers: OnDemand[Workers]
    identities: Identities
    grouping: Grouping
    corrections: OnDemand[Corrections]
    folder: PeopleFolder
    search: Search
    files_read: Collection[MetadataKind]
    """Those whose names are taken over."""
    names_reader: OnDemand[NamesReader]
    names_from_files: OnDemand[NamesFromFiles]
    names_into_files: OnDemand[NamesIntoFiles] | None
    """None: no names are written into files."""
    clock: Callable[[], float] = time.monotonic
    _is_switch_told: bool = field(default=False, init=False)

    @cached_property
    def _versions(self) -> Versions:
        """What finds other versions of photos, by the wanted engine."""
        from facewatch.indexing.lineage import Versions

        return Versions(self.catalog, self.engine.id, same_face=self.engine.info.thresholds.match)

    @contextmanager
    def running(self, kind: str) -> Iterator[dict[str, Any]]:
        """Hold the lock of runs on this catalog, and record the run; yields its outcome, to be filled.

        Raises:
            BusyError: another process scans or watches.
        """
        with self.catalog.run_lock(kind):
            with self.catalog.write():
                strictness = self.identities.settings.strictness
                run_id = self.catalog.runs.start(kind, self.catalog.now(), strictness=strictness)
            self.identities.start_run(kind, run_id)
            outcome: dict[str, Any] = {}
            try:
                yield outcome
            finally:
                with self.catalog.write():
                    self.catalog.runs.end(run_id, outcome, self.catalog.now())

    # --- one complete pass ---

    def scan(self, report: Report = lambda _: None) -> ScanResult:
        """One complete pass: the catalog and the folders then say what the libraries hold.

        Raises:
            LibraryError: a library is not there, or empty although it was not.
            BusyError: another process scans or watches.
            FolderError: the people folder cannot be written; said before anything is analysed.
        """
        self.libraries.resolve()
        if not any(map(is_folder, self.libraries.roots)):
            check_library(self.libraries.roots[0])
        self.folder.check()
        reporter = ProgressReporter(self.catalog.path, clock=self.clock)
        with self.running("scan") as outcome:
            try:
                result = self._scan(report, reporter)
            finally:
                reporter.close()
            outcome.update(result.row())
            return result

    def _scan(self, report: Report, reporter: ProgressReporter) -> ScanResult:
        started, is_first = self.clock(), not self.catalog.files.counts()["files"]
        newest_face, newest_person = self.catalog.faces.newest(), self.catalog.people.newest()
        reporter.report(Doing(Activity.SCANNING, "the libraries"), silent_seconds=SILENT_SECONDS)
        report(Progress(0, 0, "", stage="scanning the libraries"))
        scans = self.libraries.scan_all()
        counts = self._index_all(scans, report, reporter)
        self._find_dates(report)
        self._read_names(report)
        before = self.complete_switch()
        is_due = self.grouping.is_due and not self.engine.is_switch_under_way
        reporter.report(Doing(Activity.GROUPING), silent_seconds=SILENT_SECONDS)
        report(Progress(0, 0, "", stage="grouping faces"))
        grouped = self.grouping.recluster() if is_due else Reclustered(0, 0, 0, 0, 0)
        report(Progress(0, 0, "", stage="making links"))
        self.give_names()
        applied = self.folder.sync()
        for root, _, _ in scans:
            self.libraries.arrived(root)
        for n_done in self.write_names():
            report(Progress(n_done, n_done, "", stage="writing names into sidecars"))
        self.keep_up()
        return ScanResult(
            files=self._counts_of_files(scans, counts),
            faces=self._counts_of_faces(counts, grouped, since=(newest_face, newest_person)),
            libraries_moved=self.libraries.moved,
            n_links_made=applied.n_made,
            n_links_removed=applied.n_removed,
            n_links_moved=applied.n_moved,
            engine=self.engine.name,
            engine_before=before,
            seconds=self.clock() - started,
            is_first=is_first,
        )

    def _index_all(self, scans: Sequence[Scanned], report: Report, reporter: ProgressReporter) -> Counter[str]:
        """Bring what was found into the catalog; returns how many files of each kind there were."""
        again = self.engine.due()
        n_total = sum(len(changes.to_read) for _, _, changes in scans) + sum(map(len, again.values()))
        counts: Counter[str] = Counter()
        for one in self._indexed(scans):
            counts.update({one.kind: 1, "done": 1, "assigned": one.n_assigned, "same": one.is_same})
            reporter.count_photo()
            reporter.report(Doing(Activity.INDEXING), n_waiting=max(0, n_total - counts["done"]))
            note = display(one.path)
            report(Progress(counts["done"], max(n_total, counts["done"]), note, stage="analysing photos"))
        return counts

    def _counts_of_files(self, scans: Sequence[Scanned], counts: Counter[str]) -> FileCounts:
        return FileCounts(
            n_files=sum(len(found.files) for _, found, _ in scans),
            n_new=counts["new"],
            n_other=counts["other"],
            n_known=counts["known"],
            n_same=counts["same"],
            n_again=counts["again"],
            n_moved=self.libraries.n_moved + sum(len(changes.moved) for _, _, changes in scans),
            n_missing=sum(len(changes.missing) for _, _, changes in scans),
            n_faulty=counts["faulty"],
            n_unread_folders=sum(len(found.unseen) for _, found, _ in scans),
        )

    def _counts_of_faces(self, counts: Counter[str], grouped: Reclustered, *, since: tuple[int, int]) -> FaceCounts:
        """`since`: the newest face and person of before."""
        newest_face, newest_person = since
        n_new_assigned, n_earlier_assigned = self.catalog.assignments.n_made_by(
            self.identities.run_id, since=newest_face
        )
        return FaceCounts(
            n_faces=self.catalog.faces.n_since(newest_face),
            n_new_assigned=n_new_assigned,
            n_earlier_assigned=n_earlier_assigned,
            n_assigned=counts["assigned"],
            n_grouped=grouped.n_grouped + grouped.n_matched,
            n_new_people=self.catalog.people.n_since(newest_person),
        )

    def _indexed(self, scans: Sequence[Scanned]) -> Iterator[Indexed]:
        for root, found, changes in scans:
            self.record(root, changes)
            for folder in sorted(found.lost):
                log.warning("%s: offline: %s; nothing of it is removed", display(str(root / folder)), LOST_MOUNT)
            yield from self.index(root, changes.to_read)
        yield from self.reanalyse()

    # --- its stages ---

    def record(self, root: Path, changes: Changes) -> None:
        """Record moves and removals; faces of photos that are gone are compared with no longer, and what users said of
        them is true of other versions of those photos."""
        photos = self._photos_of(root, changes.missing)
        found = self._versions.there(photos) if photos else []
        with self.catalog.write():
            self.libraries.record(root, changes)
            changed = self._versions.bequeath(found) if found else set[int]()
        if photos:
            self._versions.gone(photos)
        self._renew(photos)
        if changed and not self.engine.is_switch_under_way:
            self.identities.rematch_photos(changed)
        self._embed_boxes()

    def _renew(self, photos: Collection[int]) -> None:
        """The people of these photos are not what they were, nor who lost or got faces to other versions of photos."""
        people = self.catalog.assignments.people_of(photos)
        self.identities.renew(people | self._versions.take_people() if self._has_versions else people)

    @property
    def _has_versions(self) -> bool:
        """Whether other versions of photos were looked for."""
        return "_versions" in self.__dict__

    def _photos_of(self, root: Path, paths: Iterable[str]) -> set[int]:
        root_id = self.libraries.root_id(root)
        files = (self.catalog.files.one(root_id, path) for path in paths)
        return {file.photo_id for file in files if file is not None and file.photo_id is not None}

    def index(
        self, root: Path, paths: Iterable[str], *, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Indexed]:
        """Bring these files into the catalog; yields what became of each, with one line in the log.

        `should_stop` is asked between photos and while one is waited for; what was not recorded is found again.
        """
        back = []
        n_unreadable: Counter[PurePath] = Counter()
        for one in self._brought_in(root, list(paths), should_stop):
            if (one.kind == "known" and not one.is_same) or one.n_inherited:
                back.append(one.path)
            folder = PurePath(one.path).parent
            _log(root, one, is_one_more=n_unreadable[folder] > 0)
            n_unreadable[folder] += _is_unreadable(one)
            yield one
        self._embed_boxes(should_stop=should_stop)
        for folder, n in n_unreadable.items():
            if n > 1:
                log.warning("%s: %s", display(str(root / folder)), plural(n - 1, "more file") + " cannot be read")
        # Photos that had been away, perhaps, or were edited: their faces are compared with from now on.
        self._renew(self._photos_of(root, back))

    def _brought_in(self, root: Path, paths: Sequence[str], should_stop: Callable[[], bool]) -> Iterator[Indexed]:
        if not paths:
            return
        from facewatch.indexing.indexer import Indexer

        is_switching = self.engine.is_switch_under_way
        work = Indexer(
            self.catalog,
            self.workers(),
            root=root,
            root_id=self.libraries.root_id(root),
            engine_id=self.engine.id,
            assign=_match_nobody if is_switching else self.identities.match_photo,
            prepare=_prepare_nothing if is_switching else self.identities.gallery,
            is_aligned=self.libraries.is_aligned(root),
            versions=self._versions,
        )
        yield from work.run(paths, should_stop=should_stop)

    def _embed_boxes(self, *, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Give the wanted engine the boxes that users drew round faces that it has not found, or on another version of
        a photo."""
        if not self.catalog.drawn.due(self.engine.id):
            return
        from facewatch.indexing.box_indexer import BoxIndexer

        is_switching = self.engine.is_switch_under_way
        work = BoxIndexer(
            self.catalog,
            self.workers,
            engine_id=self.engine.id,
            versions=self._versions,
            assign=_match_nobody if is_switching else self.identities.match_photo,
            prepare=_prepare_nothing if is_switching else self.identities.gallery,
        )
        if work.run(should_stop=should_stop):
            self.identities.renew(self._versions.take_people())

    def reanalyse(
        self, most: int | None = None, *, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Indexed]:
        """Analyse photos, at most so many, that the wanted engine has not analysed; yields what became of each."""
        engines = self.catalog.engines
        if self.engine.is_switch_under_way and not self._is_switch_told:
            self._is_switch_told = True
            log.info(
                "the engine changes from %s to %s: %d photo(s) to analyse; until that is done the old answers stand",
                engines.in_use_name(),
                self.engine.info.name,
                engines.n_pending(self.engine.id),
            )
        for root, paths in self.engine.due(most).items():
            for one in self.index(root, paths, should_stop=should_stop):
                self.engine.tried(root, one.path)
                yield one

    def find_dates(self) -> Iterator[int]:
        """Record when photos of older catalogs were taken, step by step; yields how many were read so far."""
        if self.catalog.photos.n_undated():
            from facewatch.indexing.indexer import find_dates

            yield from find_dates(self.catalog, self.workers())

    def _find_dates(self, report: Report) -> None:
        """Spend some time on that; the next scan goes on."""
        started, n_total = self.clock(), self.catalog.photos.n_undated()
        for n_read in self.find_dates():
            report(Progress(n_read, max(n_total, n_read), "", stage="reading when photos were taken"))
            if self.clock() - started > DATES_SECONDS:
                break
        if n_total:
            n_left = self.catalog.photos.n_undated()
            log.info("dates of photos: read for %d, %d left for later scans", n_total - n_left, n_left)

    def read_names(self) -> Iterator[int]:
        """Read what files say about the people in photos, as far as it is new; yields how many were read so far."""
        return self.names_reader().read()

    def take_names(self) -> int:
        """Take over what files say about the people in photos; returns how many faces were named by that."""
        if not self.catalog.beside.not_taken(self.files_read):
            return 0
        try:
            made = self.names_from_files().take_over()
        except FolderError as error:
            log.info("names from files: %s", error)  # the folders follow at the end of the run
            return 0
        n_faces = sum(len(one.faces) for one in made)
        if made:
            log.info("names from files: %s; `facewatch undo` takes them back", plural(n_faces, "face"))
        return n_faces

    def _read_names(self, report: Report) -> None:
        """Spend some time on that; the next scan goes on."""
        started = self.clock()
        for n_read in self.read_names():
            report(Progress(n_read, n_read, "", stage="reading names from files"))
            if self.clock() - started > NAMES_SECONDS:
                break
        self.take_names()

    def write_names(self) -> Iterator[int]:
        """Bring the sidecars up to date, where that is wanted; yields how many were not as they are to be so far.

        A sidecar that cannot be written is logged and passed over: the next call tries it again.
        """
        if self.names_into_files is None:
            return
        from facewatch.people.sidecar_rules import Outcome

        counts: Counter[Outcome] = Counter()
        try:
            for told in self.names_into_files().write():
                counts[told.outcome] += 1
                if told.is_new and counts[told.outcome] <= N_LOGGED:
                    _log_sidecar(told)
                yield counts.total()
        except BusyError as error:
            log.info("names into sidecars: %s", error)
        if counts[Outcome.WRITTEN]:
            log.info("names into sidecars: %s written", plural(counts[Outcome.WRITTEN], "sidecar"))

    def complete_switch(self) -> str | None:
        """Change over to the wanted engine if it has analysed everything; returns the one in use until then."""
        before = self.catalog.engines.in_use_name()
        if before is None or not self.engine.is_switch_complete:
            return None
        with self.catalog.write():
            self.catalog.engines.use(self.engine.id)
            self.identities.take_over(before)
        log.info("the engine is %s from now on; %s was in use until now", self.engine.info.name, before)
        return before

    def take_over(self) -> TakenOver:
        """Make the people folder this catalog's, with the links in it and the names of its folders.

        Raises:
            FolderError: it cannot be written.
        """
        from facewatch.folders.restore import take_over

        taken = take_over(self.catalog, self.folder)
        # Before anybody is named: the old folder of that name has to make room.
        self.folder.sync(is_repair=True)
        if self.give_names():
            self.folder.sync()
        return taken

    def give_names(self) -> list[str]:
        """Give names of folders that were taken over to the same people; return those given."""
        if not are_names_waiting(self.catalog):
            return []
        with self.corrections().deciding() as decisions:
            return give_names(self.catalog, decisions)

    def keep_up(self) -> None:
        """Keep what makes questions quick up to date with the faces that have come or changed hands, and with the
        model files; next to no work when none have."""
        self.search.keep_up()
        self.identities.keep_sketches()
        self.engine.remember()

    def rest(self) -> None:
        """Let go of the models and the gallery; they come back when a photo needs them."""
        self.grouping.keep_graph()
        if self.workers.made is not None:
            self.workers.made.close()
        self.identities.forget_gallery()
        if self._has_versions:
            self._versions.forget()


def _match_nobody(photo_id: int) -> int:
    """Assign nobody: what the wanted engine finds counts only once the change is complete."""
    return 0


def _prepare_nothing() -> None: ...


def _is_unreadable(one: Indexed) -> bool:
    """Whether a file could not be opened: one of many, as a rule, whose rights are wrong."""
    return one.fault is not None and one.fault.code is FaultCode.UNREADABLE


def _log_sidecar(told: SidecarTold) -> None:
    from facewatch.people.sidecar_rules import Outcome

    path = display(told.sidecar)
    match told.outcome:
        case Outcome.ASKED:
            log.warning("%s: %s gone from it; `facewatch regions` says more", path, ", ".join(told.names))
        case Outcome.DAMAGED | Outcome.FAILED:
            log.warning("%s: not written: %s", path, told.reason)
        case _:
            log.debug("%s: %s", path, told.outcome)


def _log(root: Path, one: Indexed, *, is_one_more: bool) -> None:
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
