"""The catalog: whether it can be read and is whole, who else may read it, and what is left when it is lost."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from facewatch.catalog import opening
from facewatch.catalog.backup import Backups
from facewatch.checks.doctor.case import Case, Finding, Level, counted, existing, mentioned, readable_size, shown
from facewatch.checks.doctor.reading import CatalogReader, kind_of
from facewatch.fs import sidecar
from facewatch.fs.mounts import is_network
from facewatch.fs.sidecar import beside
from facewatch.types import written_at

AREA = "catalog"

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

MOST_TOLD = 5
"""Contradictions that are told one by one."""


def _finding(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(AREA, level, what, remedy)


def backups(case: Case) -> Backups:
    """Return the daily backups."""
    return Backups(case.config.catalog, case.config.backups)


# --- the file ---


def opens(case: Case) -> Iterator[Finding]:
    """Whether there is a catalog that this program can read. Where not, what only it knows is left out below."""
    path, detail = shown(case.config.catalog), case.state.detail
    match case.state.kind:
        case "readable":
            size = readable_size(case.config.catalog.stat().st_size)
            counts = case.catalog.files.counts() if case.catalog else {}
            holds = f"{counted(counts['photos'], 'photo')} in {counted(counts['files'], 'file')}"
            yield _finding("ok", f"{path}: {holds}, {size}")
        case "absent":
            yield _finding("remark", f"{path}: there is none yet", "facewatch scan PHOTOS makes it")
        case "damaged":
            yield _finding("broken", f"{path}: damaged ({detail})", restore_advice(case))
        case "locked":
            yield _finding("broken", f"{path}: locked by another program", CLOSE_OTHERS)
        case "failing" if _is_full(case):
            yield _finding("broken", f"{path}: cannot be read while its disk is full", disk_advice(case))
        case "failing":
            yield _finding("broken", f"{path}: the disk failed to read or write ({detail})", disk_advice(case))
        case "foreign":
            remedy = "name another file: catalog under [library] in the settings, or --catalog"
            yield _finding("broken", f"{path}: an SQLite file, but not a catalog of facewatch", remedy)
        case "newer":
            yield _finding("broken", f"{path}: made by a newer facewatch (it has {detail})", "update facewatch")
        case "older":
            remedy = "the next facewatch command backs it up and brings it up to date, for example facewatch status"
            yield _finding("remark", f"{path}: made by an older facewatch (it lacks {detail})", remedy)
        case "unreadable":
            yield _finding("broken", f"{path}: cannot be read ({detail})", CHECK_RIGHTS)


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
        yield _finding("ok", f"not read to its end in {QUICK_SECONDS:g} s: facewatch doctor --deep does")
    elif verdict == "ok":
        yield _finding("ok", "whole, by SQLite's own check" + (" of every page and index" if case.is_deep else ""))
        yield from _contradictions(case.catalog) if case.is_deep else ()
    else:
        lines = verdict.splitlines()
        more = f", and {len(lines) - 1} more" if lines[1:] else ""
        yield _finding("broken", f"damaged: {lines[0]}{more}", _advice_for(case, lines))


def _advice_for(case: Case, lines: list[str]) -> str:
    """An index can be made anew from its table; for anything else there are only backups."""
    if all(" index " in line for line in lines):
        return f"stop facewatch, then: sqlite3 '{shown(case.config.catalog)}' REINDEX"
    return restore_advice(case)


def _contradictions(catalog: CatalogReader) -> Iterator[Finding]:
    """Whether what is on record holds together."""
    faults = catalog.contradictions()
    for fault in faults[:MOST_TOLD]:
        remedy = (
            "facewatch audit --fix mends what it can; please report what stays, with facewatch doctor --deep --json"
        )
        yield _finding("broken", f"contradicts itself: {fault}", remedy)
    if not faults:
        yield _finding("ok", "agrees with itself")


# --- where it lies ---


def file_system(case: Case) -> Iterator[Finding]:
    """Whether SQLite can be trusted there."""
    path = case.config.catalog
    kind = case.file_system_of(path)
    if is_network(kind):
        what = f"{shown(path)}: on a network file system ({kind}), where SQLite loses data"
        yield _finding("broken", what, "move it to a local disk: catalog under [library] in the settings")


def room(case: Case) -> Iterator[Finding]:
    """Whether the catalog can grow, and be backed up."""
    path = case.config.catalog
    free = case.world.free_bytes(existing(path.parent))
    size = path.stat().st_size if path.exists() else 0
    what = f"{readable_size(free)} free on the disk of {shown(path.parent)}"
    if free < NO_ROOM:
        yield _finding("broken", f"only {what}", "make room there; nothing is lost meanwhile")
    elif free < max(LITTLE_ROOM, size):
        needs = f": a backup takes {readable_size(size)}" if free < size else ""
        yield _finding("remark", f"only {what}{needs}", "make room there")
    else:
        yield _finding("ok", what)


def log_size(case: Case) -> Iterator[Finding]:
    """Whether what was written last gets into the catalog."""
    path = case.config.catalog
    log = beside(path, sidecar.WAL)
    size = log.stat().st_size if log.exists() else 0
    if size > max(LARGE_WAL, path.stat().st_size if path.exists() else 0):
        remedy = "close programs that keep the catalog open (an SQLite browser?), then start facewatch again"
        yield _finding("remark", f"{shown(log.name)}: {readable_size(size)} wait to be put into the catalog", remedy)


def privacy(case: Case) -> Iterator[Finding]:
    """Whether only the owner can read what is known of people's faces."""
    path = case.config.catalog
    ours = [path, *_beside(path, "-*"), *_beside(path, ".*")]
    there = [p for p in ours if p.exists() and not p.is_symlink()]
    open_ones = [p for p in there if stat.S_IMODE(p.stat().st_mode) & 0o077]
    if open_ones:
        names = ", ".join(mentioned([shown(p.name) for p in open_ones]))
        targets = " ".join(f"'{shown(p)}'" for p in open_ones)
        yield _finding("remark", f"others than you may read {names}", f"chmod go= {targets}")
    folder = path.parent
    if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o022 and not _is_sticky(folder):
        yield _finding("remark", f"others may delete the catalog: they may write in {shown(folder)}", _close(folder))


def _is_sticky(folder: Path) -> bool:
    """Whether only owners may delete there, as in /tmp."""
    return bool(folder.stat().st_mode & stat.S_ISVTX)


def _close(folder: Path) -> str:
    return f"chmod go-w '{shown(folder)}'"


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
    now, daily = case.world.now(), backups(case)
    if found := daily.all():
        newest = found[-1].path
        made = written_at(newest.stat())
        said = f"{counted(len(found), 'backup')}, the newest of {made.astimezone():%Y-%m-%d %H:%M}: {shown(newest)}"
        if now - made < OLD_BACKUP or not case.config["backup.daily"]:
            yield _finding("ok", said)
        else:
            yield _finding(
                "remark", said, "leave facewatch watch running, which makes one a day, or: facewatch backup FILE"
            )
        return
    began = datetime.fromisoformat(case.catalog.made_at() or now.isoformat())
    if now - began < OLD_BACKUP:
        yield _finding("ok", "no backup yet; facewatch watch makes one a day")
    else:
        remedy = "facewatch backup FILE; facewatch watch makes one a day (setting daily under [backup])"
        yield _finding("remark", f"no backup in {shown(daily.folder)}", remedy)


def leftovers(case: Case) -> Iterator[Finding]:
    """What earlier versions left beside the catalog."""
    old = _beside(case.config.catalog, ".before-*")
    if old:
        size = readable_size(sum(path.stat().st_size for path in old))
        what = f"{counted(len(old), 'backup')} made before a new version was started: {size}, the last {shown(old[-1])}"
        yield _finding("ok", f"{what}; when all is well they may be deleted")


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    *(opens, is_whole, file_system, room, log_size, privacy, newest_backup, leftovers),
)
