"""What there is, who is at work, and what is wrong, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from facewatch.errors import EngineError
from facewatch.service.engine_switch import SwitchProgress

if TYPE_CHECKING:
    from facewatch.service import Service


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
    n_people: int
    n_named: int
    last_scan: str | None
    offline: list[str] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)


def status_of(service: Service) -> Status:
    """Return it without writing anything; no model need be here."""
    catalog = service.catalog
    files, faces = catalog.files.counts(), catalog.faces.counts()
    everybody = [person for person in catalog.people.all() if person.n_photos]
    last = max(filter(None, map(catalog.people.last_run, ("scan", "watch"))), key=_when, default=None)
    roots = tuple(dict.fromkeys((*service.libraries.roots, *catalog.files.roots())))
    return Status(
        settings=service.config.source,
        catalog=str(catalog.path),
        people_folder=str(service.folder.root),
        photos=[str(root) for root in roots],
        engine=catalog.engines.in_use_name() or service.engine_name,
        engine_fault=_engine_fault(service),
        switch=service.switch.progress(service.engine_name),
        aligned=[str(root) for root in catalog.files.aligned_roots()],
        runner=catalog.runner(),
        n_files=files["files"],
        n_photos=files["photos"],
        n_faces=faces["faces"],
        n_assigned=faces["assigned"],
        n_pool=faces["pool"],
        n_only_shown=faces["only_shown"],
        n_left_out=faces["left_out"],
        n_people=len(everybody),
        n_named=sum(person.name is not None for person in everybody),
        last_scan=_when(last) if last else None,
        offline=[str(root) for root in roots if not root.is_dir()],
        faults=[asdict(fault) for fault in catalog.files.faulty()],
    )


def _engine_fault(service: Service) -> str | None:
    """Return why the wanted engine cannot be used, if so."""
    try:
        _ = service.info
    except EngineError as error:
        return str(error)
    return None


def _when(run: Mapping[str, Any]) -> str:
    """Return when a run was last known to be at work."""
    return str(run["ended_at"] or run["started_at"])
