"""The people folder when its catalog is gone: after a restore of a backup, or when a new catalog takes it over.

When a folder is taken over its links become this catalog's, so that those nobody wants any more go. Its folders were
the last record of who is who: their names are kept, and given to the same people again when their photos have been
grouped.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from facewatch.catalog import Catalog
from facewatch.catalog import restore as restoring
from facewatch.catalog.backup import Contents, Report, contents_of, keep_quiet, write_backup
from facewatch.catalog.opening import check_place, clear_errors, utc_now
from facewatch.catalog.restore import FoundLink, GivenUp
from facewatch.errors import BusyError, CatalogError, FolderError
from facewatch.folders.check import owner_of
from facewatch.folders.model import PARENTS, UNNAMED, Applied, home_of, made_with
from facewatch.folders.names_of_folders import MOST_PHOTOS, NAMES, FolderNames
from facewatch.folders.sync import PeopleFolder
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
    """Links in the people folder that may be facewatch's own, and that are on no record."""
    n_links_made: int
    n_links_removed: int
    folder_fault: str | None
    """Why the people folder could not follow."""


def check_nobody_runs(catalog: Path) -> None:
    """Refuse what cannot be done beside a scan or a watcher.

    Raises:
        BusyError: a scan or watcher is running.
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
    """Bring into the copy what is known of the people folder; return the links there that are on no record."""
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


_BYSTANDERS = frozenset({"Thumbs.db", "desktop.ini"})
"""What file managers leave in folders, besides hidden files."""

_EVER = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was taken over with a people folder."""

    n_links: int
    names: tuple[str, ...]
    """Names of folders, which the same people get again."""
    left: tuple[str, ...]
    """Folders that hold something else besides links of facewatch, and stay as they are."""


def take_over(catalog: Catalog, folder: PeopleFolder) -> TakenOver:
    """Make the people folder this catalog's, with all links in it that facewatch made for another one.

    Raises:
        BusyError: another process has been writing for too long.
        FolderError: the folder cannot be written.
    """
    top = os.path.realpath(folder.root)
    with catalog.exclusive():
        standing = list(folders_in(top))
        links = list(find_links(top, standing, [Path("/")]))
        whole = {link.folder for link in links}
        recorded = set(catalog.links.folders().values())
        strange = [name for name in standing if name not in recorded]
        named = [name for name in strange if not name.startswith(UNNAMED)]
        names = {_name_of(name, standing): _photos_in(top, name) for name in named}
        names = {name: photos for name, photos in names.items() if photos}
        with catalog.write():
            catalog.settings.set(NAMES, json.dumps(FolderNames(catalog).waiting() | names))
        n_before = len(catalog.links.all())
        restoring.adopt(catalog.path, links, standing=standing, made_at=_EVER, now=utc_now())
        folder.hand_over()
    left = [str(folder.root / name) for name in strange if name not in whole and _holds_any(f"{top}/{name}")]
    return TakenOver(len(catalog.links.all()) - n_before, tuple(sorted(names)), tuple(left))


def _name_of(folder: str, standing: Collection[str]) -> str:
    """Return the name that a folder was made for: a number in brackets kept two of them apart, and does so still where
    both stand there."""
    name = re.sub(r" \(\d+(\.\d+)?\)$", "", folder)
    return folder if name in standing else name


def _photos_in(top: str, folder: str) -> list[str]:
    """Return where links in a folder lead, some of them where there are very many."""
    links = sorted(entry.path for entry in _entries_in(top, folder) if entry.is_symlink())
    some = links[:: max(1, len(links) // MOST_PHOTOS)]
    return [os.path.normpath(f"{os.path.dirname(link)}/{os.readlink(link)}") for link in some]


def _holds_any(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def find_links(top: str, standing: Sequence[str], roots: Sequence[Path]) -> Iterator[FoundLink]:
    """Yield the links of folders that hold nothing but links as facewatch makes them, to photos of these libraries."""
    for folder in standing:
        with contextlib.suppress(OSError):
            found = [_link_of(top, folder, entry, roots) for entry in _entries_in(top, folder)]
            whole = [link for link in found if link is not None]
            if len(whole) == len(found):
                yield from whole


def _entries_in(top: str, folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield what is in somebody's folder, and in years in it."""
    with os.scandir(f"{top}/{folder}") as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and home_of(f"{folder}/{entry.name}/") == folder:
                yield from _entries_in(top, f"{folder}/{entry.name}")
            elif not _is_bystander(entry.name):
                yield entry


def _is_bystander(name: str) -> bool:
    return name.startswith(".") or name in _BYSTANDERS


def folders_in(top: str) -> Iterator[str]:
    """Yield the folders that people may have; no link is followed."""
    for parent in ("", f"{UNNAMED}/"):
        with contextlib.suppress(OSError), os.scandir(f"{top}/{parent}") as entries:
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            yield from (f"{parent}{name}" for name in names if parent or name not in PARENTS)


def _link_of(top: str, folder: str, entry: os.DirEntry[str], roots: Sequence[Path]) -> FoundLink | None:
    """Return the entry if it is, to the letter, a link that facewatch would make there."""
    if not entry.is_symlink():
        return None
    target, path = os.readlink(entry.path), entry.path.removeprefix(f"{top}/")
    source = os.path.normpath(f"{os.path.dirname(entry.path)}/{target}")
    if not any(Path(source).is_relative_to(root) for root in roots):
        return None
    head, name = os.path.split(source)
    as_made = "../" * path.count("/") + f"{os.path.relpath(head, top)}/{name}"
    if target != as_made or made_with(entry.name, source) is None:
        return None
    changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
    return FoundLink(path, folder, Path(source), target, changed_ns)
