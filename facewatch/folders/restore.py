"""Putting a backup in the place of the catalog, and what the people folder has to do with it."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from facewatch.catalog import restore as restoring
from facewatch.catalog.backup import Contents, Report, contents_of, keep_quiet, write_backup
from facewatch.catalog.opening import check_place, clear_errors, utc_now
from facewatch.catalog.restore import GivenUp
from facewatch.errors import BusyError, CatalogError, FolderError
from facewatch.folders.check import owner_of
from facewatch.folders.model import Applied
from facewatch.folders.taking_over import find_links, folders_in
from facewatch.fs import sidecar
from facewatch.fs.locks import holder
from facewatch.fs.sidecar import beside

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Locations:
    """Where a catalog and what goes with it are, as the settings say."""

    catalog: Path
    people: Path | None
    """The people folder; None: where it was last."""
    backups: Path | None
    """The folder of daily backups; None: beside the catalog."""


@dataclass(frozen=True, slots=True)
class Restorable:
    """A backup that can be restored, and what that would do."""

    backup: Contents
    present: Contents | None
    """None: there is no catalog, or it cannot be read."""
    fault: str | None
    """Why the present catalog cannot be read; None: it can, or there is none."""
    given_up: GivenUp | None
    """What goes and what comes back; None: there is no catalog, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    catalog: Path
    given_up: GivenUp | None
    """What went; None: there was no catalog, or it could not be read."""
    kept: Path | None
    """Where the catalog is that was there before."""
    contradictions: tuple[str, ...]
    """Where the backup breaks the rules of catalogs."""
    left: tuple[Path, ...]
    """Links in the people folder that may be facewatch's own, and that no record tells."""
    n_links_made: int
    n_links_removed: int
    folder_fault: str | None
    """Why the people folder could not follow."""


def check_nobody_runs(catalog: Path) -> None:
    """Refuse what cannot be done beside a scan or a watcher.

    Raises:
        BusyError: one is at work.
    """
    runner = holder(beside(catalog, sidecar.RUN_LOCK))
    if runner is not None:
        raise BusyError(f"{runner} is running on this catalog; stop it first")


def preview(locations: Locations, file: Path) -> Restorable:
    """Return what restoring this file would do; changes nothing.

    Raises:
        CatalogError: it is no backup, damaged, or made by a newer facewatch.
    """
    if file.exists() and locations.catalog.exists() and file.samefile(locations.catalog):
        raise CatalogError(f"{file}: that is the catalog itself; name a backup")
    backup = _contents_of_backup(locations, file)
    present, fault = _present(locations.catalog)
    given_up = restoring.given_up(locations.catalog, backup) if present is not None else None
    return Restorable(backup, present, fault, given_up)


def _contents_of_backup(locations: Locations, file: Path) -> Contents:
    """Return what a backup holds; the advice for a damaged catalog is none for it."""
    try:
        return contents_of(file)
    except CatalogError as error:
        name = str(getattr(error.__cause__, "sqlite_errorname", ""))
        if name.startswith("SQLITE_NOTADB"):
            folder = locations.backups or beside(locations.catalog, sidecar.BACKUPS)
            raise CatalogError(
                f"{file}: not a backup of a catalog; name a file that `facewatch backup` or the watcher made (they lie "
                f"in {folder})"
            ) from error
        if name.startswith("SQLITE_CORRUPT"):
            raise CatalogError(f"{file}: damaged ({error.__cause__}); take another") from error
        raise


def _present(catalog: Path) -> tuple[Contents | None, str | None]:
    if not catalog.exists():
        return None, None
    try:
        return contents_of(catalog), None
    except (CatalogError, sqlite3.Error) as error:
        return None, str(error)


def restore(
    locations: Locations, file: Path, *, sync: Callable[[], Applied | None], now: datetime, report: Report = keep_quiet
) -> Restored:
    """Put a backup in the place of the catalog, keep what was there, and let the people folder follow.

    A crash leaves the old catalog or the new one. The same command carries on.

    Args:
        sync: opens the restored catalog and makes the people folder say what it says; None: there is no people folder.

    Raises:
        CatalogError: it is no backup, damaged, made by a newer facewatch, or there is no room.
        BusyError: another facewatch scans, watches or writes.
    """
    catalog = locations.catalog
    check_place(catalog)
    check_nobody_runs(catalog)
    with restoring.alone(catalog):
        found = preview(locations, file)
        kept = None
        if found.present is not None:
            kept = _keep(catalog, now, report)
        with restoring.staged(file, catalog, report=report) as copy:
            contradictions = restoring.contradictions(copy)
            left = _adopt_links(locations, copy, found)
            restoring.drop_derived(catalog)
            aside = restoring.put_in_place(copy, catalog, is_readable=found.present is not None, now=now, report=report)
        restoring.drop_derived(catalog)
    for fault in contradictions:
        log.warning("%s: %s", file, fault)
    applied, folder_fault = None, None
    try:
        applied = sync()
    except FolderError as error:
        folder_fault = str(error)
    return Restored(
        catalog=catalog,
        given_up=found.given_up,
        kept=kept or aside,
        contradictions=tuple(contradictions),
        left=tuple(left),
        n_links_made=applied.n_made if applied else 0,
        n_links_removed=applied.n_removed if applied else 0,
        folder_fault=folder_fault,
    )


def _keep(catalog: Path, now: datetime, report: Report) -> Path:
    """Back up what is about to be replaced."""
    folder = beside(catalog, sidecar.BACKUPS)
    with clear_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{catalog.stem}-before-restore-{now:%Y-%m-%d-%H%M%S}.sqlite"
    write_backup(catalog, target, may_replace=True, report=report)
    return target


def _adopt_links(locations: Locations, copy: Path, found: Restorable) -> list[Path]:
    """Bring into the copy what is known of the people folder; return the links there that no record tells."""
    try:
        if locations.catalog.exists() and restoring.carry_over(copy, locations.catalog):
            return []
    except (CatalogError, sqlite3.Error) as error:
        if found.present is not None:
            raise  # the catalog can be read: it is the copy that could not be written
        log.info("%s: its record of the people folder cannot be read: %s", locations.catalog, error)
    people = locations.people or found.backup.people_folder
    if people is None:
        return []
    if owner_of(people) != found.backup.library_id:
        return []
    top = os.path.realpath(people)
    standing = list(folders_in(top))
    links = list(find_links(top, standing, found.backup.roots))
    left = restoring.adopt(copy, links, standing=standing, made_at=found.backup.made_at, now=utc_now())
    return [people / link.path for link in left]
