"""The catalog: whether it can be read and is whole, who else may read it, and what is left when it is lost. The people
folder: whether it is there, is this catalog's, can hold links, and holds those it should."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from facewatch.catalog import opening
from facewatch.catalog.backup import Backups
from facewatch.checks import Finding
from facewatch.checks.doctor.case import (
    Case,
    CatalogReader,
    broken,
    counted,
    existing,
    fine,
    is_there,
    kind_of,
    mentioned,
    readable_size,
    remark,
    shown,
    split_advice,
)
from facewatch.errors import FolderError
from facewatch.folders.apply import copies_to_make
from facewatch.folders.check import PlaceFault, fault_of
from facewatch.folders.model import CALLED, MARKER, LinkKind, Plan
from facewatch.folders.sync import PeopleFolder
from facewatch.fs import sidecar
from facewatch.fs.mounts import is_folder, is_network
from facewatch.fs.sidecar import beside
from facewatch.settings import people_shape_of
from facewatch.types import written_at

if TYPE_CHECKING:
    from facewatch.catalog import Catalog


CATALOG = "catalog"

QUICK_SECONDS = 1.5
"""What the check of the file may take without --deep; a second is enough for 400 MB that are in memory."""

LITTLE_ROOM = 1_000_000_000
"""Bytes free below which a large import may not fit: 100,000 photos take about 300 MB, a backup as much again."""

NO_ROOM = 50_000_000
"""Bytes free below which nothing should be begun."""

LARGE_WAL = 256_000_000
"""Bytes: SQLite empties it at 8 MB when nobody reads, and a large import fills it to some dozens."""

OLD_BACKUP = timedelta(days=3)
"""A watcher backs up once a day; two nights that the machine was off are no matter."""


CHECK_RIGHTS = "check the rights of the file and its folder"

CLOSE_OTHERS = "close the program that has it open for itself; facewatch never does"

MOST_LISTED = 5
"""Contradictions that are listed one by one."""


# --- the file ---


def opens(case: Case) -> Iterator[Finding]:
    """Whether there is a catalog that this program can read. Where not, what only it knows is left out below."""
    path, detail = shown(case.config.catalog), case.state.detail
    match case.state.kind:
        case "readable":
            size = readable_size(case.config.catalog.stat().st_size)
            counts = case.catalog.files.counts() if case.catalog else {}
            holds = f"{counted(counts['photos'], 'photo')} in {counted(counts['files'], 'file')}"
            yield fine(CATALOG, f"{path}: {holds}, {size}")
        case "absent":
            yield remark(CATALOG, f"{path}: there is none yet", "facewatch scan PHOTOS makes it")
        case "damaged":
            yield broken(CATALOG, f"{path}: damaged ({detail})", restore_advice(case))
        case "locked":
            yield broken(CATALOG, f"{path}: locked by another program", CLOSE_OTHERS)
        case "failing" if _is_full(case):
            yield broken(CATALOG, f"{path}: cannot be read while its disk is full", disk_advice(case))
        case "failing":
            yield broken(CATALOG, f"{path}: the disk failed to read or write ({detail})", disk_advice(case))
        case "foreign":
            remedy = "name another file: catalog under [library] in the settings, or --catalog"
            yield broken(CATALOG, f"{path}: an SQLite file, but not a catalog of facewatch", remedy)
        case "newer":
            yield broken(CATALOG, f"{path}: made by a newer facewatch (it has {detail})", "update facewatch")
        case "older":
            remedy = "the next facewatch command backs it up and brings it up to date, for example facewatch status"
            yield remark(CATALOG, f"{path}: made by an older facewatch (it lacks {detail})", remedy)
        case "unreadable":
            yield broken(CATALOG, f"{path}: cannot be read ({detail})", CHECK_RIGHTS)


def advice_on(case: Case, error: sqlite3.Error) -> str:
    """Return what to do when the catalog cannot be read somewhere."""
    match kind_of(error):
        case "failing":
            return disk_advice(case)
        case "locked":
            return CLOSE_OTHERS
        case "unreadable":
            return CHECK_RIGHTS
    return restore_advice(case)


def disk_advice(case: Case) -> str:
    """Return what to do about a disk that fails: never to give the catalog up, which may well be whole."""
    if _is_full(case):
        return "make room there; nothing is lost meanwhile"
    return "check the disk and its cable; what was committed is not lost as long as it can be read"


def _is_full(case: Case) -> bool:
    return case.world.free_bytes(existing(case.config.catalog.parent)) < opening.FULL_BYTES


def restore_advice(case: Case) -> str:
    """Return what to do about a catalog that is lost, by what there is."""
    newest = opening.newest_backup(case.config.catalog, case.config.backups)
    if newest is not None:
        made = opening.time_of(newest)
        return f"stop facewatch, then put the newest backup (of {made}) back: facewatch restore '{shown(newest)}'"
    return (
        "no backup was found: sqlite3's .recover may save what can be read; else move it away and start afresh with "
        "facewatch scan, without names and decisions"
    )


def is_whole(case: Case) -> Iterator[Finding]:
    """What SQLite says of the file; --deep reads every page, compares the indexes, and what is on record."""
    if case.catalog is None:
        return
    verdict = case.catalog.verdict(is_deep=case.is_deep, most_seconds=QUICK_SECONDS)
    if verdict is None:
        yield fine(CATALOG, f"not read to its end in {QUICK_SECONDS:g} s: facewatch doctor --deep does")
    elif verdict == "ok":
        yield fine(CATALOG, "whole, by SQLite's own check" + (" of every page and index" if case.is_deep else ""))
        yield from _contradictions(case.catalog) if case.is_deep else ()
    else:
        lines = verdict.splitlines()
        more = f", and {len(lines) - 1} more" if lines[1:] else ""
        yield broken(CATALOG, f"damaged: {lines[0]}{more}", _advice_for(case, lines))


def _advice_for(case: Case, lines: list[str]) -> str:
    """An index can be made again from its table; for anything else there are only backups."""
    if all(" index " in line for line in lines):
        return f"stop facewatch, then: sqlite3 '{shown(case.config.catalog)}' REINDEX"
    return restore_advice(case)


def _contradictions(catalog: CatalogReader) -> Iterator[Finding]:
    """Whether what is on record holds together."""
    faults = catalog.contradictions()
    for fault in faults[:MOST_LISTED]:
        remedy = (
            "facewatch audit --fix fixes what it can; please report what stays, with facewatch doctor --deep --json"
        )
        yield broken(CATALOG, f"contradicts itself: {fault}", remedy)
    if not faults:
        yield fine(CATALOG, "agrees with itself")


# --- where it lies ---


def file_system(case: Case) -> Iterator[Finding]:
    """Whether SQLite can be trusted there."""
    path = case.config.catalog
    kind = case.file_system_of(path)
    if is_network(kind):
        what = f"{shown(path)}: on a network file system ({kind}), where SQLite loses data"
        yield broken(CATALOG, what, "move it to a local disk: catalog under [library] in the settings")


def room(case: Case) -> Iterator[Finding]:
    """Whether the catalog can grow, and be backed up."""
    path = case.config.catalog
    free = case.world.free_bytes(existing(path.parent))
    size = path.stat().st_size if path.exists() else 0
    what = f"{readable_size(free)} free on the disk of {shown(path.parent)}"
    if free < NO_ROOM:
        yield broken(CATALOG, f"only {what}", "make room there; nothing is lost meanwhile")
    elif free < max(LITTLE_ROOM, size):
        needs = f": a backup takes {readable_size(size)}" if free < size else ""
        yield remark(CATALOG, f"only {what}{needs}", "make room there")
    else:
        yield fine(CATALOG, what)


def log_size(case: Case) -> Iterator[Finding]:
    """Whether what was written last gets into the catalog."""
    path = case.config.catalog
    log = beside(path, sidecar.WAL)
    size = log.stat().st_size if log.exists() else 0
    if size > max(LARGE_WAL, path.stat().st_size if path.exists() else 0):
        remedy = "close programs that keep the catalog open (an SQLite browser?), then start facewatch again"
        yield remark(CATALOG, f"{shown(log.name)}: {readable_size(size)} wait to be put into the catalog", remedy)


def privacy(case: Case) -> Iterator[Finding]:
    """Whether only the owner can read what is known of people's faces."""
    path = case.config.catalog
    ours = [path, *_beside(path, "-*"), *_beside(path, ".*")]
    there = [p for p in ours if p.exists() and not p.is_symlink()]
    open_ones = [p for p in there if stat.S_IMODE(p.stat().st_mode) & 0o077]
    if open_ones:
        names = ", ".join(mentioned([shown(p.name) for p in open_ones]))
        targets = " ".join(f"'{shown(p)}'" for p in open_ones)
        yield remark(CATALOG, f"others than you may read {names}", f"chmod go= {targets}")
    folder = path.parent
    mode = folder.stat().st_mode if folder.exists() else 0
    # With the sticky bit only owners may delete there, as in /tmp.
    if mode & 0o022 and not mode & stat.S_ISVTX:
        yield remark(
            CATALOG,
            f"others may delete the catalog: they may write in {shown(folder)}",
            f"chmod go-w '{shown(folder)}'",
        )


def _beside(path: Path, pattern: str) -> list[Path]:
    """Return what lies beside the catalog and begins with its name."""
    return sorted(
        place for place in path.parent.glob("*" + pattern) if place.name.startswith(path.name) and place != path
    )


# --- what is left when it is lost ---


def newest_backup(case: Case) -> Iterator[Finding]:
    """Whether there is a backup, and how old it is."""
    if case.catalog is None:
        return
    now, daily = case.world.now(), Backups(case.config.catalog, case.config.backups)
    if found := daily.all():
        newest = found[-1].path
        made = written_at(newest.stat())
        said = f"{counted(len(found), 'backup')}, the newest of {made.astimezone():%Y-%m-%d %H:%M}: {shown(newest)}"
        if now - made < OLD_BACKUP or not case.config["backup.daily"]:
            yield fine(CATALOG, said)
        else:
            yield remark(
                CATALOG, said, "leave facewatch watch running, which makes one a day, or: facewatch backup FILE"
            )
        return
    began = datetime.fromisoformat(case.catalog.made_at() or now.isoformat())
    if now - began < OLD_BACKUP:
        yield fine(CATALOG, "no backup yet; facewatch watch makes one a day")
    else:
        remedy = "facewatch backup FILE; facewatch watch makes one a day (setting daily under [backup])"
        yield remark(CATALOG, f"no backup in {shown(daily.folder)}", remedy)


def leftovers(case: Case) -> Iterator[Finding]:
    """What earlier versions left beside the catalog."""
    old = _beside(case.config.catalog, ".before-*")
    if old:
        size = readable_size(sum(path.stat().st_size for path in old))
        what = f"{counted(len(old), 'backup')} made before a new version was started: {size}, the last {shown(old[-1])}"
        yield fine(CATALOG, f"{what}; when all is well they may be deleted")


CATALOG_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    *(opens, is_whole, file_system, room, log_size, privacy, newest_backup, leftovers),
)


PEOPLE = "people folder"

WITHOUT_LINKS = frozenset({"vfat", "fat", "msdos", "exfat", "fuse.exfat", "umsdos"})
"""File systems that hold neither symlinks nor hard links."""

WITHOUT_REFLINKS = frozenset(
    {"ext2", "ext3", "ext4", "f2fs", "jfs", "reiserfs", "tmpfs", "ramfs", "ntfs", "ntfs3", "fuseblk", "hfs", "hfsplus"}
)
"""Those that hold symlinks and hard links, or may, and no copies that share what they hold."""

PERHAPS_WITHOUT_SYMLINKS = frozenset({"cifs", "smb3", "smbfs", "ntfs", "ntfs3", "fuseblk", "drvfs", "vboxsf"})
"""Those that hold symlinks when they were mounted so, and may not show them to other machines."""


MOST_PLANNED = 20_000
"""Links that are compared one by one without being asked: a second's work."""


def presence(case: Case) -> Iterator[Finding]:
    """Whether it is there and can be written. Nothing is tried out: a probe would be a change like any other."""
    root, name = case.people, shown(case.people)
    fault = _place_fault(case)
    if not is_folder(root):
        if fault:
            yield broken(PEOPLE, fault.what, fault.remedy)
        elif not case.world.can(str(existing(root)), os.W_OK):
            what = f"{name}: it is not there, and cannot be made in {shown(existing(root))}"
            yield broken(PEOPLE, what, "give this user the right to write there, or name another folder")
        else:
            yield fine(PEOPLE, f"{name}: not there yet; the first scan makes it")
    elif not case.world.can(str(root), os.W_OK | os.X_OK):
        yield broken(PEOPLE, f"{name}: cannot be written", f"give this user the right to write in '{name}'")
    else:
        yield fine(PEOPLE, f"{name}: {case.file_system_of(root) or 'file system not known'}")


def marker(case: Case) -> Iterator[Finding]:
    """Whether it is this catalog's people folder."""
    fault = _place_fault(case) if case.catalog is not None and is_folder(case.people) else None
    if fault:
        yield broken(PEOPLE, fault.what, fault.remedy)


def _place_fault(case: Case) -> PlaceFault | None:
    library_id, was_used, libraries = "", False, list[Path]()
    if case.catalog:
        libraries = case.catalog.roots.all()
        settings = case.catalog.settings
        library_id = settings.get("library_id") or ""
        was_used = settings.get("people_folder") == str(case.people) and bool(case.catalog.links.folders())
    return fault_of(case.people, library_id, was_used=was_used, libraries=libraries)


def kind_of_link(case: Case) -> Iterator[Finding]:
    """Whether the place can hold the wanted kind of link, by its file system and its disk."""
    if case.config["folders.show"] == "faces":
        return
    kind, name, system = case.link_kind, shown(case.people), case.file_system_of(case.people)
    is_chosen = case.config["folders.link"] == "auto"
    if system in WITHOUT_LINKS and is_chosen:
        what = f"{name}: on {system}, which holds no links: photos get there as copies, which take room"
        yield remark(PEOPLE, what, "if that is too much, put the folder on another disk")
    elif system in WITHOUT_LINKS and kind != "copy":
        what = f"{name}: on {system}, which cannot hold a {kind}"
        yield broken(PEOPLE, what, 'set link = "copy" under [folders], or put the folder on another disk')
    elif kind == "symlink" and system in PERHAPS_WITHOUT_SYMLINKS:
        what = f"{name}: on {system}, which holds symlinks only if it was mounted so, and not every machine sees them"
        yield remark(PEOPLE, what, 'if folders stay empty: link = "copy" under [folders]')
    elif is_chosen:
        if kind != "symlink":
            yield fine(PEOPLE, f"photos get there as {CALLED[kind]}")
    elif kind == "reflink" and system in WITHOUT_REFLINKS:
        what = f"{name}: on {system}, which cannot hold a reflink"
        yield broken(PEOPLE, what, 'set link = "symlink", "hardlink" or "copy" under [folders]')
    elif kind in ("hardlink", "reflink"):
        yield from _on_two_file_systems(case, kind)


def _on_two_file_systems(case: Case, kind: LinkKind) -> Iterator[Finding]:
    device = existing(case.people).stat().st_dev
    for root in case.present_roots:
        if root.stat().st_dev != device:
            what = f"{kind}s from {shown(root)} to {shown(case.people)} cannot be made: they are on two file systems"
            yield broken(PEOPLE, what, 'set link = "symlink" or "copy" under [folders]')


def dangling(case: Case) -> Iterator[Finding]:
    """Whether links lead to a photo; those into a library that is offline are not counted."""
    if case.catalog is None or not is_folder(case.people):
        return
    offline = tuple(f"{root}/" for root in case.roots if root not in case.present_roots)
    links = [link for link in case.links if link.stamp.startswith("symlink:")]
    sources = {link.source for link in links if not link.source.startswith(offline)}
    gone = {source for source in sources if not os.path.exists(source)}  # noqa: PTH110 - tens of thousands
    found = [link for link in links if link.source in gone and os.path.islink(case.people / link.path)]  # noqa: PTH114
    if found:
        what = f"{counted(len(found), 'link leads', 'links lead')} nowhere, for example {shown(found[0].path)}"
        yield remark(PEOPLE, what, _bring_up(case))


def _bring_up(case: Case) -> str:
    return "wait for the watcher, which is running" if case.runner else "facewatch scan, or watch, fixes that"


def _bring_up_folders(case: Case) -> str:
    return "wait for the watcher, which is running" if case.runner else "facewatch folders fixes that"


def agreement(case: Case) -> Iterator[Finding]:
    """Whether the folder holds what the catalog says, by the plan that `facewatch folders --dry-run` shows.

    That compares every link and takes 4 s for 100,000; of so many only the names are compared without --deep.
    """
    if case.catalog is None or not is_folder(case.people):
        return
    if len(case.links) > MOST_PLANNED and not case.is_deep:
        yield from _names(case)
        return
    folder = PeopleFolder(
        # A plan is made by reading alone, which is all that this one can do.
        cast("Catalog", case.catalog),
        case.people,
        shape=people_shape_of(case.config),
    )
    try:
        plan = folder.plan()
    except FolderError as error:
        what, advice = split_advice(str(error))
        # Without its marker it is reported already, and so is an offline one.
        if is_there(case.people / MARKER):
            yield broken(PEOPLE, shown(what), advice or "give this user the right to read it")
        return
    yield from _differences(case, plan)
    yield from _copies(case, plan)


def _names(case: Case) -> Iterator[Finding]:
    """Compare the names of the links on record with those that are there."""
    by_folder: dict[str, set[str]] = defaultdict(set)
    for link in case.links:
        folder, _, name = link.path.rpartition("/")
        by_folder[folder].add(name)
    n_gone = sum(len(names - _names_in(case.people / folder)) for folder, names in by_folder.items())
    if n_gone:
        what = f"differs from the catalog: {counted(n_gone, *_REPORTED['RemoveLink', True])}"
        yield remark(PEOPLE, what, _bring_up_folders(case))
    else:
        yield fine(PEOPLE, f"{counted(len(case.links), 'link')}, compared by name; --deep compares all else")


def _names_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return set()


_REPORTED: dict[tuple[str, bool], tuple[str, str]] = {
    ("MakeLink", False): ("link is missing", "links are missing"),
    ("MakeLink", True): ("link is there, but not on record", "links are there, but not on record"),
    ("RemoveLink", False): ("link is too much", "links are too much"),
    ("RemoveLink", True): ("link is on record, but not there", "links are on record, but not there"),
    ("MoveLink", False): ("link has another name or place", "links have another name or place"),
    ("MoveFolder", False): ("folder has an old name", "folders have an old name"),
    ("MakeFolder", False): ("folder is missing", "folders are missing"),
    ("RemoveFolder", False): ("folder is too much", "folders are too much"),
}


def _differences(case: Case, plan: Plan) -> Iterator[Finding]:
    steps = Counter((type(action).__name__, action.is_done) for action in plan.actions)
    reported = [counted(n, *_REPORTED[step]) for step, n in steps.items() if step in _REPORTED]
    if reported:
        yield remark(PEOPLE, f"differs from the catalog: {', '.join(reported)}", _bring_up_folders(case))
    elif plan.is_empty and not plan.faults:
        yield fine(PEOPLE, f"as the catalog says, {counted(len(case.links), 'link')}")
    for fault in mentioned(plan.faults):
        what, advice = split_advice(shown(fault))
        yield remark(PEOPLE, what, advice or "facewatch folders --dry-run says what can be done")


def _copies(case: Case, plan: Plan) -> Iterator[Finding]:
    """Whether the copies that are still to be made find room."""
    if case.link_kind != "copy" or case.config["folders.show"] == "faces":
        return
    sizes, free = copies_to_make(plan), case.world.free_bytes(case.people)
    if sum(sizes) > free:
        copies = counted(len(sizes), "copy", "copies")
        what = f"{copies} to make take {readable_size(sum(sizes))}, {readable_size(free)} are free"
        yield broken(PEOPLE, what, 'make room there, or set link = "symlink" under [folders]')


PEOPLE_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (presence, marker, kind_of_link, dangling, agreement)
