"""What there is, who is at work, and what is wrong, in one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewatch.catalog import FaultyFile, by_cause
from facewatch.catalog.backup import Backups
from facewatch.catalog.pausing import paused_since
from facewatch.errors import EngineError
from facewatch.fs import sidecar
from facewatch.fs.locks import holder
from facewatch.fs.sidecar import beside
from facewatch.heartbeat import Live, LiveFile, is_named, live_file_of
from facewatch.indexing.engine import SwitchProgress
from facewatch.types import PassedOver, written_at

if TYPE_CHECKING:
    from facewatch.app import App
    from facewatch.config import Config

N_EXAMPLES = 3


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
class Status:
    """What the catalog holds and who works on it."""

    settings: str
    """The settings file, or "defaults"."""
    catalog: str
    people_folder: str
    photos: list[str]
    engine: str
    """The one in use."""
    engine_fault: str | None
    """Why the wanted one cannot be used."""
    switch: SwitchProgress | None
    """How far the change to another one is; None: the settings want the one in use."""
    aligned: list[str]
    """Libraries of face crops."""
    runner: str | None
    """The process that scans or watches now."""
    n_files: int
    n_photos: int
    n_faces: int
    n_assigned: int
    n_pool: int
    n_only_shown: int
    n_left_out: int
    """Faces that a user took out."""
    n_open: int
    """Faces that wait to be told who they are: of the pool, and of people without a name; `review` asks about them."""
    n_people: int
    n_named: int
    n_hidden: int
    """Named or not."""
    n_absent: int
    """People with a name who are on no photo of the library, beside `n_people`."""
    last_scan: str | None
    offline: list[str] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)
    fault_groups: list[FaultGroup] = field(default_factory=list)
    """The same, the most frequent cause first."""
    passed_over: list[PassedOver] = field(default_factory=list)
    """What the last whole look at the libraries did not look at, the most frequent reason first."""
    live: Live | None = None
    """What the runner said of itself last; None: nobody runs, or it says nothing."""
    offline_reasons: dict[str, str] = field(default_factory=dict)
    """Why each of `offline` is."""
    paused: str | None = None
    """Since when a watcher may not look at photos; UTC."""
    last_backup: str | None = None
    """When the newest daily backup was written; UTC."""
    backup_file: str | None = None
    unread: dict[str, str] = field(default_factory=dict)
    """Folders, and files, of the libraries that could not be read at the last look, and why."""
    people_folder_fault: str | None = None
    """Why the people folder cannot be used, and what to do."""


def status_of(app: App) -> Status:
    """Return it without writing anything; no model need be here."""
    catalog = app.catalog
    files, faces, people = catalog.files.counts(), catalog.faces.counts(), catalog.people.counts()
    last = max(filter(None, map(catalog.runs.last, ("scan", "watch"))), key=_when, default=None)
    roots = tuple(dict.fromkeys((*app.libraries.roots, *catalog.roots.all())))
    faulty = catalog.files.faulty()
    status = Status(
        settings=app.config.source,
        catalog=str(catalog.path),
        people_folder=str(app.folder.root),
        photos=[str(root) for root in roots],
        engine=catalog.engines.in_use_name() or app.engine.name,
        engine_fault=_engine_fault(app),
        switch=app.engine.switch_progress(),
        aligned=[str(root) for root in catalog.roots.aligned()],
        runner=None,
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
        last_scan=_when(last) if last else None,
        faults=[{"path": one.path, "fault": one.fault.text, "advice": one.fault.advice} for one in faulty],
        fault_groups=grouped_by_cause(faulty),
        unread={str(root / path): why for root in roots for path, why in app.libraries.unread(root).items()},
        passed_over=catalog.roots.all_passed_over(),
    )
    return with_news(status, app)


def with_news(status: Status, app: App) -> Status:
    """Return the status with what changes from second to second; takes no time worth speaking of."""
    runner, live = at_work(app.catalog.path)
    gone = {place: why for root in status.photos for place, why in app.libraries.offline(Path(root)).items()}
    offline = gone | {root: reason for root, reason in (live.offline if live else {}).items() if is_named(root)}
    last_backup, backup_file = _newest_backup(app.config)
    return replace(
        status,
        runner=runner,
        live=live,
        offline=list(offline),
        offline_reasons=offline,
        paused=paused_since(app.catalog),
        last_backup=last_backup,
        backup_file=backup_file,
        people_folder_fault=app.folder.fault(),
    )


def at_work(catalog: Path) -> tuple[str | None, Live | None]:
    """Return which process scans or watches, and what it says of itself; only the catalog's neighbours are read."""
    runner = holder(beside(catalog, sidecar.RUN_LOCK))
    # By the lock, not by asking the kernel for the process: in a container processes have other numbers.
    live = LiveFile(live_file_of(catalog), is_at_work=lambda pid: f"(process {pid})" in (runner or "")).read()
    return runner, live


def grouped_by_cause(faults: Iterable[FaultyFile]) -> list[FaultGroup]:
    """Return the faults by their causes, the most frequent first."""
    groups = []
    for files in by_cause(faults):
        [(advice, _)] = Counter(one.fault.advice for one in files).most_common(1)
        groups.append(FaultGroup(files[0].fault.cause, advice, len(files), [one.path for one in files[:N_EXAMPLES]]))
    return groups


def _newest_backup(config: Config) -> tuple[str | None, str | None]:
    """Return when the newest of the daily backups was written, and its path."""
    try:
        backups = Backups(config.catalog, config.backups).all()
        # Not by their dates: one of a time when the clock was wrong may be from a day to come.
        moment, path = max((written_at(backup.path.stat()), str(backup.path)) for backup in backups)
    except (OSError, ValueError):
        # There is none, one went while we looked, or the folder is somebody else's: not worth failing for.
        return None, None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z"), path


def _engine_fault(app: App) -> str | None:
    """Return why the wanted engine cannot be used, if so."""
    try:
        _ = app.engine.info
    except EngineError as error:
        return str(error)
    return None


def _when(run: Mapping[str, Any]) -> str:
    """Return when a run was last known to be at work."""
    return str(run["ended_at"] or run["started_at"])
