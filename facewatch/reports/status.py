"""The status of a catalog in one value: counts, the running scan or watcher, and faults; and the same as metrics in
Prometheus' text format, for a textfile collector or a scrape through a small server."""

from __future__ import annotations

import glob
import platform
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from facewatch import __version__
from facewatch.catalog import Catalog, FaultyFile, by_cause, paused_since
from facewatch.catalog.backup import Backups
from facewatch.catalog.files import GRAPH_RECALL
from facewatch.errors import EngineError
from facewatch.folders.model import LinkKind
from facewatch.folders.sync import PeopleFolder
from facewatch.fs import sidecar
from facewatch.fs.locks import Holder, holder
from facewatch.fs.sidecar import beside
from facewatch.heartbeat import Heartbeat, HeartbeatFile, heartbeat_file_of
from facewatch.indexing.engine import SwitchProgress, WantedEngine
from facewatch.library.roots import Libraries
from facewatch.people.folder_reader import Waiting
from facewatch.people.regions_in import NamesFromFiles
from facewatch.people.regions_out import NamesIntoFiles, SidecarCounts
from facewatch.text import whole_text
from facewatch.types import PassedOver, written_at

N_EXAMPLES = 3
MOST_COMPARED = 1_000
"""Photos whose names in files are compared with the catalog for a status: it shall take no second."""


@dataclass(frozen=True, slots=True)
class FaultGroup:
    """Files that could not be used for one and the same cause."""

    cause: str
    """The fault without what differs from file to file."""
    advice: str
    n_files: int
    examples: list[str]
    """Some of them, the first in the order of their paths."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are in the library now."""

    n_files: int
    n_photos: int
    n_faces: int
    n_assigned: int
    n_pool: int
    """Faces of nobody that may be matched."""
    n_only_shown: int
    """Faces of nobody that are too poor to be matched."""
    n_left_out: int
    """Faces that users took out; what is no face is none."""
    n_open: int
    """Faces without a name: of the pool, and of people without one; `review` asks about them."""
    n_people: int
    n_named: int
    n_hidden: int
    """Named or not."""
    n_absent: int
    """People with a name who are on no photo of the library, beside `n_people`."""

    @property
    def n_unnamed(self) -> int:
        return self.n_people - self.n_named


@dataclass(frozen=True, slots=True)
class StatusPaths:
    """The paths of the settings, catalog and folders."""

    settings: str
    """The settings file, or "defaults"."""
    catalog: str
    people_folder: str
    links: LinkKind
    """How photos get there."""
    photos: list[str]
    aligned: list[str]
    """Libraries of face crops."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine in use, and the change to another one."""

    in_use: str
    fault: str | None
    """Why the wanted one cannot be used."""
    switch: SwitchProgress | None
    """How far the change to another one is; None: the settings want the one in use."""
    runtime: str = ""
    """What runs the wanted one's recogniser; empty: there is no choice, or it cannot be used."""


@dataclass(frozen=True, slots=True)
class DiskPlace:
    """What facewatch keeps in one folder, and the room there."""

    what: str
    """"catalog" or "backups"."""
    path: str
    n_bytes: int
    """Of facewatch's own files there."""
    free_bytes: int | None
    """On that disk; None: it cannot be said."""


@dataclass(frozen=True, slots=True)
class Health:
    """The parts of the status that change from second to second."""

    runner: Holder | None = None
    """The process that scans or watches now."""
    live: Heartbeat | None = None
    """What the runner said of itself last; None: nobody runs, or it says nothing."""
    offline: Mapping[str, str] = field(default_factory=dict)
    """Libraries, and folders of them, that are not there, and why."""
    paused: str | None = None
    """Since when a watcher may not analyse photos; UTC."""
    last_backup: str | None = None
    """When the newest daily backup was written; UTC."""
    backup_file: str | None = None
    people_folder_fault: str | None = None
    """Why the people folder cannot be used, and what to do."""
    disks: tuple[DiskPlace, ...] = ()
    folder_edits: Waiting | None = None
    """Changes in the people folder that wait for somebody's word."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the catalog holds and who works on it."""

    paths: StatusPaths
    engine: EngineStatus
    counts: Counts
    last_scan: str | None
    health: Health = field(default_factory=Health)
    faults: tuple[FaultyFile, ...] = ()
    fault_groups: tuple[FaultGroup, ...] = ()
    """The same, the most frequent cause first."""
    passed_over: tuple[PassedOver, ...] = ()
    """What the last scan of the whole libraries passed over, the most frequent reason first."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Folders, and files, of the libraries that could not be read at the last scan, and why."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of facewatch and what it runs on, by name."""
    sidecars: SidecarCounts | None = None
    """Names that went out; None: none ever did, and the settings do not want it."""
    n_conflicts: int | None = 0
    """Names in files that were not taken over, because they are in doubt; None: too many photos are named in files to
    say that quickly."""
    graph_recall: float = 1.0
    """What share of the faces near each face the last grouping knew of, by a sample: beyond some hundred thousand not
    all are compared with each other."""


@dataclass(eq=False)
class StatusReport:
    """Reports the status of a catalog and of what belongs to it; writes nothing, and needs no model."""

    catalog: Catalog
    engine: WantedEngine
    libraries: Libraries
    folder: PeopleFolder
    settings: str
    """The file, or "defaults"."""
    backups: Backups
    names_into: NamesIntoFiles
    names_from: NamesFromFiles

    def full(self) -> Status:
        """Return all of it."""
        catalog = self.catalog
        last = max(filter(None, map(catalog.runs.last, ("scan", "watch"))), key=_when, default=None)
        roots = tuple(dict.fromkeys((*self.libraries.roots, *catalog.roots.all())))
        faulty = catalog.files.faulty()
        status = Status(
            paths=StatusPaths(
                settings=self.settings,
                catalog=str(catalog.path),
                people_folder=str(self.folder.root),
                links=self.folder.kind,
                photos=[str(root) for root in roots],
                aligned=[str(root) for root in catalog.roots.aligned()],
            ),
            engine=_engine_status(catalog, self.engine),
            counts=counts_of(catalog),
            last_scan=_when(last) if last else None,
            faults=tuple(faulty),
            fault_groups=tuple(grouped_by_cause(faulty)),
            passed_over=tuple(catalog.roots.all_passed_over()),
            unread={str(root / path): why for root in roots for path, why in self.libraries.unread(root).items()},
            versions={
                "facewatch": __version__,
                "Python": platform.python_version(),
                "SQLite": sqlite3.sqlite_version,
            },
            sidecars=self._sidecars(),
            n_conflicts=self.names_from.n_conflicts(MOST_COMPARED),
            graph_recall=float(catalog.settings.get(GRAPH_RECALL) or 1.0),
        )
        return self.renewed(status)

    def _sidecars(self) -> SidecarCounts | None:
        counts = self.names_into.counts()
        return counts if self.names_into.settings.is_on or any(astuple(counts)) else None

    def renewed(self, status: Status) -> Status:
        """Return the status with what changes from second to second; takes no time worth speaking of."""
        runner, live = at_work(self.catalog.path)
        photos = map(Path, status.paths.photos)
        gone = {place: why for root in photos for place, why in self.libraries.offline(root).items()}
        last_backup, backup_file = _newest_of(self.backups)
        health = Health(
            runner=runner,
            live=live,
            offline=gone | dict(live.libraries.offline if live else {}),
            paused=paused_since(self.catalog),
            last_backup=last_backup,
            backup_file=backup_file,
            people_folder_fault=self.folder.fault(),
            disks=tuple(_disks(self.catalog.path, self.backups)),
            folder_edits=Waiting.of(self.catalog),
        )
        return replace(status, health=health)


COUNT_SHARE = 0.05
"""What part of the time may be spent on counting what the catalog holds: 0.15 s for 100 000 faces."""


class KeptStatus:
    """The status, without counting all of it each time that somebody asks; may be asked from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._version = 0
        self._due_at = 0.0

    def now(self, report: StatusReport, version: int) -> Status:
        """Return the status with what changes from second to second as it is now; the rest is counted again when the
        `version` of the catalog is another one, and long enough ago."""
        with self._lock:
            started = self._clock()
            if self._status is None or (version != self._version and started >= self._due_at):
                self._status, self._version = report.full(), version
                self._due_at = self._clock() + (self._clock() - started) / COUNT_SHARE
                return self._status
            status = self._status
        return report.renewed(status)


def _disks(catalog: Path, backups: Backups) -> Iterator[DiskPlace]:
    """Yield where facewatch's own files are. The people folder is not asked: a drive in the network may hang."""
    beside_it = [path for path in catalog.parent.glob(f"{glob.escape(catalog.name)}*") if path.is_file()]
    yield DiskPlace("catalog", str(catalog.parent), sum(map(_size, beside_it)), _free_bytes(catalog.parent))
    try:
        copies = backups.all()
    except OSError:
        return
    if copies:
        folder = backups.folder
        yield DiskPlace("backups", str(folder), sum(one.n_bytes for one in copies), _free_bytes(folder))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def counts_of(catalog: Catalog) -> Counts:
    """Return how many there are."""
    files, faces, people = catalog.files.counts(), catalog.faces.counts(), catalog.people.counts()
    return Counts(
        n_files=files["files"],
        n_photos=files["photos"],
        n_faces=faces["faces"],
        n_assigned=faces["assigned"],
        n_pool=faces["pool"],
        n_only_shown=faces["only_shown"],
        n_left_out=faces["left_out"],
        n_open=faces["open"],
        n_people=people["people"],
        n_named=people["named"],
        n_hidden=people["hidden"],
        n_absent=people["absent"],
    )


def at_work(catalog: Path) -> tuple[Holder | None, Heartbeat | None]:
    """Return which process scans or watches, and what it says of itself; only the catalog's neighbours are read."""
    runner = holder(beside(catalog, sidecar.RUN_LOCK))

    def is_at_work(pid: int) -> bool:
        # By the lock, not by asking the kernel for the process: in a container processes have other numbers.
        return runner is not None and runner.pid == pid

    return runner, HeartbeatFile(heartbeat_file_of(catalog), is_at_work=is_at_work).read()


def grouped_by_cause(faults: Iterable[FaultyFile]) -> list[FaultGroup]:
    """Return the faults by their causes, the most frequent first."""
    groups = []
    for files in by_cause(faults):
        [(advice, _)] = Counter(one.fault.advice for one in files).most_common(1)
        groups.append(FaultGroup(files[0].fault.cause, advice, len(files), [one.path for one in files[:N_EXAMPLES]]))
    return groups


def _newest_of(backups: Backups) -> tuple[str | None, str | None]:
    """Return when the newest of the daily backups was written, and its path."""
    try:
        # Not by their dates: one of a time when the clock was wrong may be from a day to come.
        moment, path = max((written_at(backup.path.stat()), str(backup.path)) for backup in backups.all())
    except (OSError, ValueError):
        # There is none, one went while we read, or the folder is somebody else's: not worth failing for.
        return None, None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z"), path


def _engine_status(catalog: Catalog, engine: WantedEngine) -> EngineStatus:
    runtime, fault = "", None
    try:
        _ = engine.info
        runtime = engine.runtime
    except EngineError as error:
        fault = str(error)
    return EngineStatus(
        in_use=catalog.engines.in_use_name() or engine.name,
        fault=fault,
        switch=engine.switch_progress(),
        runtime=runtime,
    )


def _when(run: Mapping[str, Any]) -> str:
    """Return when a run was last known to be running."""
    return str(run["ended_at"] or run["started_at"])


Labels = dict[str, str]


class Metric(NamedTuple):
    """One gauge with its samples; without samples it is left out."""

    name: str
    """Without the prefix."""
    help: str
    samples: list[tuple[Labels, float]]


def exposition(status: Status, now: datetime) -> str:
    """Return the text: HELP, TYPE and samples of every metric. The names are a promise. `now` is aware."""
    return "".join(line for metric in _metrics(status, now) if metric.samples for line in _lines(metric))


def _metrics(status: Status, now: datetime) -> Iterator[Metric]:
    counts, health, paths = status.counts, status.health, status.paths
    live = health.live
    is_up = live is not None and live.is_fresh(now)
    yield _one("up", "Whether a scan or watcher is running and has reported lately.", is_up)
    yield _one("paused", "Whether a watcher may not analyse photos.", health.paused is not None)
    yield _one("files", "Files on record.", counts.n_files)
    yield _one("photos", "Different photos.", counts.n_photos)
    faces = {
        "assigned": counts.n_assigned,
        "pool": counts.n_pool,
        "only_shown": counts.n_only_shown,
        "left_out": counts.n_left_out,
    }
    yield _by("faces", "Faces, by what became of them.", "state", faces.items())
    people = {"true": counts.n_named, "false": counts.n_people - counts.n_named}
    yield _by("people", "People, by whether they have a name.", "named", people.items())
    causes = [(group.cause, group.n_files) for group in status.fault_groups]
    yield _by("faulty_files", "Files that could not be used.", "cause", causes)
    online = [(root, root not in health.offline) for root in dict.fromkeys((*paths.photos, *health.offline))]
    yield _by(
        "library_online",
        "Whether a library, or a folder of one that another drive was mounted on, is there.",
        "root",
        online,
    )
    unread = [(root, sum(f"{path}/".startswith(f"{root}/") for path in status.unread)) for root in paths.photos]
    yield _by("unread_places", "Folders, and files, that could not be read at the last scan.", "root", unread)
    yield _one(
        "people_folder_usable",
        "Whether the people folder is there, and this catalog's.",
        not health.people_folder_fault,
    )
    if live is not None:
        queue = {"settling": live.backlog.n_settling, "waiting": live.backlog.n_waiting}
        yield _by("queue", "Files reported and not analysed yet.", "state", queue.items())
        yield _one(
            "photos_per_second", "Photos analysed a second, over the last minute.", live.backlog.photos_per_second
        )
        yield _one("memory_bytes", "Resident memory of the process and its workers.", live.memory_mb * 1e6)
        yield _one("last_heartbeat_timestamp_seconds", "When it last said something.", *_moments(live.told_at))
        scans = [(root, at) for root, text in live.libraries.last_look.items() for at in _moments(text)]
        yield _by(
            "last_look_timestamp_seconds",
            "When a library was last compared with the catalog as a whole.",
            "root",
            scans,
        )
        polled = [(path, 1.0) for path in live.libraries.polled]
        yield _by("polled", "Folders that are scanned again and again instead of watched.", "path", polled)
    yield _one(
        "last_scan_timestamp_seconds",
        "When the latest scan or watcher ended; while it has not, when it began.",
        *_moments(status.last_scan),
    )
    yield _one(
        "last_backup_timestamp_seconds", "When the newest daily backup was written.", *_moments(health.last_backup)
    )
    switch = status.engine.switch
    if switch is not None:
        photos = {"looked_at": switch.n_done, "waiting": switch.n_photos - switch.n_done}
        engines = {"before": switch.before, "wanted": switch.wanted}
        samples = [(engines | {"state": state}, float(n)) for state, n in photos.items()]
        yield Metric("engine_switch_photos", "Photos of a change of engine that is under way.", samples)


def _one(name: str, help: str, *values: float) -> Metric:
    return Metric(name, help, [({}, float(value)) for value in values])


def _by(name: str, help: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    # Two names that differ only in bytes that are no text would be one sample twice, which makes all of it unreadable.
    return Metric(
        name, help, [({label: key}, float(value)) for key, value in {whole_text(k): v for k, v in values}.items()]
    )


def _moments(text: str | None) -> list[float]:
    """Return the seconds since 1970 of a moment, or nothing when there is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return []
    return [(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()]


def _lines(metric: Metric) -> Iterator[str]:
    name = f"facewatch_{metric.name}"
    yield f"# HELP {name} {metric.help}\n# TYPE {name} gauge\n"
    for labels, value in metric.samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        # As the shortest text that is the same number; a count has no ".0".
        number = str(int(value)) if value.is_integer() else repr(value)
        yield f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n"


def _escaped(text: str) -> str:
    return whole_text(text).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
