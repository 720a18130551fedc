"""Backups by hand, and what comes back from one: the catalog, and with it the people folder."""

from __future__ import annotations

import logging
import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facewatch import folders
from facewatch.app import App
from facewatch.catalog import restore as restoring
from facewatch.catalog.backup import Report, keep_quiet, write_backup
from facewatch.catalog.opening import check_place, clear_errors, utc_now
from facewatch.catalog.restore import Contents, GivenUp
from facewatch.config import Config
from facewatch.errors import BusyError, CatalogError, FolderError
from facewatch.folders.found_links import find_links, folders_in
from facewatch.fs import sidecar
from facewatch.fs.locks import holder
from facewatch.fs.sidecar import beside

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that was made."""

    path: Path
    n_bytes: int
    seconds: float


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


def back_up(
    config: Config, target: Path, *, may_replace: bool = False, now: datetime, report: Report = keep_quiet
) -> BackedUp:
    """Copy the catalog to a file, or into a folder under a name with today's date, while others go on working.

    Raises:
        CatalogError: there is no catalog or it is damaged; or the target exists, or lies where nothing is written.
    """
    catalog = config.catalog
    if not catalog.exists():
        raise CatalogError(f"{catalog}: no catalog yet; `facewatch scan` makes one")
    if target.is_dir():
        target = _dated(target, catalog.stem, now)
    _check_lies_apart(config, target, restoring.contents_of(catalog, is_deep=False))
    started = datetime.now(UTC)
    write_backup(catalog, target, may_replace=may_replace, report=report)
    return BackedUp(target, target.stat().st_size, (datetime.now(UTC) - started).total_seconds())


def target_named(text: str) -> Path:
    """Return the target that somebody named; what ends like a folder is one, and never becomes a file.

    Raises:
        CatalogError: there is no such folder.
    """
    # A Path would drop the slash, or the dot, that says so.
    if os.path.basename(text) in ("", ".") and not os.path.isdir(text):  # noqa: PTH112, PTH119
        raise CatalogError(f"{text}: no such folder; plug in its drive, or make it")
    return Path(text)


def _dated(folder: Path, stem: str, now: datetime) -> Path:
    """Return a name that is free."""
    day = folder / f"{stem}-{now:%Y-%m-%d}.sqlite"
    return folder / f"{stem}-{now:%Y-%m-%d-%H%M%S}.sqlite" if day.exists() else day


def _check_lies_apart(config: Config, target: Path, contents: Contents) -> None:
    real = target.parent.resolve() / target.name
    for library in (*config.photos, *contents.roots):
        if real.is_relative_to(library.resolve()):
            raise CatalogError(
                f"{target}: lies in the photo library {library}, which is only read; name another folder"
            )
    for people in filter(None, (config.people, contents.people_folder)):
        if real.is_relative_to(people.resolve()):
            raise CatalogError(f"{target}: lies in the people folder {people}; name another folder")


def check_nobody_at_work(config: Config) -> None:
    """Refuse what cannot be done beside a scan or a watcher.

    Raises:
        BusyError: one is at work.
    """
    runner = holder(beside(config.catalog, sidecar.RUN_LOCK))
    if runner is not None:
        raise BusyError(f"{runner} is running on this catalog; stop it first")


def look_at(config: Config, file: Path) -> Restorable:
    """Return what restoring this file would do; changes nothing.

    Raises:
        CatalogError: it is no backup, damaged, or made by a newer facewatch.
    """
    if file.exists() and config.catalog.exists() and file.samefile(config.catalog):
        raise CatalogError(f"{file}: that is the catalog itself; name a backup")
    backup = _contents_of_backup(config, file)
    present, fault = _present(config.catalog)
    given_up = restoring.given_up(config.catalog, backup) if present is not None else None
    return Restorable(backup, present, fault, given_up)


def _contents_of_backup(config: Config, file: Path) -> Contents:
    """Return what a backup holds; the advice for a damaged catalog is none for it."""
    try:
        return restoring.contents_of(file)
    except CatalogError as error:
        name = str(getattr(error.__cause__, "sqlite_errorname", ""))
        if name.startswith("SQLITE_NOTADB"):
            folder = config.backups or beside(config.catalog, sidecar.BACKUPS)
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
        return restoring.contents_of(catalog), None
    except (CatalogError, sqlite3.Error) as error:
        return None, str(error)


def restore(config: Config, file: Path, *, now: datetime, report: Report = keep_quiet) -> Restored:
    """Put a backup in the place of the catalog, keep what was there, and let the people folder follow.

    A crash leaves the old catalog or the new one. The same command carries on.

    Raises:
        CatalogError: it is no backup, damaged, made by a newer facewatch, or there is no room.
        BusyError: another facewatch scans, watches or writes.
    """
    catalog = config.catalog
    check_place(catalog)
    check_nobody_at_work(config)
    with restoring.alone(catalog):
        found = look_at(config, file)
        kept = None
        if found.present is not None:
            kept = _keep(catalog, now, report)
        with restoring.staged(file, catalog, report=report) as copy:
            contradictions = restoring.contradictions(copy)
            left = _settle_folder(config, copy, found)
            restoring.drop_derived(catalog)
            aside = restoring.put_in_place(copy, catalog, is_readable=found.present is not None, now=now, report=report)
        restoring.drop_derived(catalog)
    for fault in contradictions:
        log.warning("%s: %s", file, fault)
    return Restored(catalog, found.given_up, kept or aside, tuple(contradictions), tuple(left), *_follow(config))


def _keep(catalog: Path, now: datetime, report: Report) -> Path:
    """Back up what is about to be replaced."""
    folder = beside(catalog, sidecar.BACKUPS)
    with clear_errors(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{catalog.stem}-before-restore-{now:%Y-%m-%d-%H%M%S}.sqlite"
    write_backup(catalog, target, may_replace=True, report=report)
    return target


def _settle_folder(config: Config, copy: Path, found: Restorable) -> list[Path]:
    """Bring into the copy what is known of the people folder; return the links there that no record tells."""
    try:
        if config.catalog.exists() and restoring.carry_over(copy, config.catalog):
            return []
    except (CatalogError, sqlite3.Error) as error:
        if found.present is not None:
            raise  # the catalog can be read: it is the copy that could not be written
        log.info("%s: its record of the people folder cannot be read: %s", config.catalog, error)
    people = config.people or found.backup.people_folder
    if people is None:
        return []
    if folders.owner_of(people) != found.backup.library_id:
        return []
    top = os.path.realpath(people)
    standing = list(folders_in(top))
    links = list(find_links(top, standing, found.backup.roots))
    left = restoring.adopt(copy, links, standing=standing, made_at=found.backup.made_at, now=utc_now())
    return [people / link.path for link in left]


def _follow(config: Config) -> tuple[int, int, str | None]:
    """Let the people folder say what the catalog says; return how many links were made and removed, and the fault."""
    with App(config, needs_catalog=True) as app:
        if not app.folder.root.is_dir():
            return 0, 0, None
        # It has the ids of another catalog.
        folders.remove_sheet(app.folder.root)
        try:
            applied = app.folder.sync()
        except FolderError as error:
            return 0, 0, str(error)
    return applied.n_made, applied.n_removed, None
