"""The people folder: whether it is there, is this catalog's, can hold links, and holds those it should."""

from __future__ import annotations

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from facewatch import folders
from facewatch.checks.doctor.case import (
    Case,
    Finding,
    Level,
    counted,
    existing,
    is_there,
    mentioned,
    readable_size,
    shown,
    split_advice,
)
from facewatch.errors import FolderError
from facewatch.folders.sync import PeopleFolder
from facewatch.fs.mounts import is_folder

if TYPE_CHECKING:
    from facewatch.catalog import Catalog

AREA = "people folder"

WITHOUT_LINKS = frozenset({"vfat", "fat", "msdos", "exfat", "fuse.exfat", "umsdos"})
"""File systems that hold neither symlinks nor hard links."""

PERHAPS_WITHOUT_SYMLINKS = frozenset({"cifs", "smb3", "smbfs", "ntfs", "ntfs3", "fuseblk", "drvfs", "vboxsf"})
"""Those that hold symlinks when they were mounted so, and may not show them to other machines."""


MOST_PLANNED = 20_000
"""Links that are compared one by one without being asked: a second's work."""


def _finding(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(AREA, level, what, remedy)


def presence(case: Case) -> Iterator[Finding]:
    """Whether it is there and can be written. Nothing is tried out: a probe would be a change like any other."""
    root, name = case.people, shown(case.people)
    fault = _place_fault(case)
    if not is_folder(root):
        if fault:
            yield _finding("broken", fault.what, fault.remedy)
        elif not case.world.can(str(existing(root)), os.W_OK):
            what = f"{name}: it is not there, and cannot be made in {shown(existing(root))}"
            yield _finding("broken", what, "give this user the right to write there, or name another folder")
        else:
            yield _finding("ok", f"{name}: not there yet; the first scan makes it")
    elif not case.world.can(str(root), os.W_OK | os.X_OK):
        yield _finding("broken", f"{name}: cannot be written", f"give this user the right to write in '{name}'")
    else:
        yield _finding("ok", f"{name}: {case.file_system_of(root) or 'file system not known'}")


def marker(case: Case) -> Iterator[Finding]:
    """Whether it is this catalog's people folder."""
    fault = _place_fault(case) if case.catalog is not None and is_folder(case.people) else None
    if fault:
        yield _finding("broken", fault.what, fault.remedy)


def _place_fault(case: Case) -> folders.PlaceFault | None:
    library_id, was_used = "", False
    if case.catalog:
        library_id, was_used = case.catalog.settings.get("library_id") or "", bool(case.catalog.links.folders())
    return folders.fault_of(case.people, library_id, was_used=was_used)


def kind_of_link(case: Case) -> Iterator[Finding]:
    """Whether the place can hold the wanted kind of link, by its file system and its disk."""
    wanted, name = case.config["folders.link"], shown(case.people)
    place = existing(case.people)
    system = case.file_system_of(case.people)
    if wanted != "copy" and system in WITHOUT_LINKS:
        what = f"{name}: on {system}, which cannot hold a {wanted}"
        yield _finding("broken", what, 'set link = "copy" under [folders], or put the folder on another disk')
    elif wanted == "symlink" and system in PERHAPS_WITHOUT_SYMLINKS:
        what = f"{name}: on {system}, which holds symlinks only if it was mounted so, and not every machine sees them"
        yield _finding("remark", what, 'if folders stay empty: link = "copy" under [folders]')
    elif wanted == "hardlink":
        device = place.stat().st_dev
        for root in case.present_roots:
            if root.stat().st_dev != device:
                what = f"hard links from {shown(root)} to {name} cannot be made: they are on two file systems"
                yield _finding("broken", what, 'set link = "symlink" or "copy" under [folders]')


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
        yield _finding("remark", what, _bring_up(case))


def _bring_up(case: Case) -> str:
    return "wait for the watcher, which is at work" if case.runner else "facewatch scan, or watch, mends that"


def _bring_up_folders(case: Case) -> str:
    return "wait for the watcher, which is at work" if case.runner else "facewatch folders mends that"


def agreement(case: Case) -> Iterator[Finding]:
    """Whether the folder holds what the catalog says, by the plan that `facewatch folders --dry-run` shows.

    That looks at every link and takes 4 s for 100,000; of so many only the names are compared without --deep.
    """
    if case.catalog is None or not is_folder(case.people):
        return
    if len(case.links) > MOST_PLANNED and not case.is_deep:
        yield from _names(case)
        return
    config = case.config
    folder = PeopleFolder(
        # A plan is made by reading alone, which is all that this one can do.
        cast("Catalog", case.catalog),
        case.people,
        kind=config["folders.link"],
        named_only=not config["folders.unnamed"],
    )
    try:
        plan = folder.plan()
    except FolderError as error:
        what, advice = split_advice(str(error))
        # Without its marker it is told already, and so is an offline one.
        if is_there(case.people / folders.MARKER):
            yield _finding("broken", shown(what), advice or "give this user the right to read it")
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
        what = f"differs from the catalog: {counted(n_gone, *_TOLD['RemoveLink', True])}"
        yield _finding("remark", what, _bring_up_folders(case))
    else:
        yield _finding("ok", f"{counted(len(case.links), 'link')}, compared by name; --deep compares all else")


def _names_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except FileNotFoundError:
        return set()


_TOLD: dict[tuple[str, bool], tuple[str, str]] = {
    ("MakeLink", False): ("link is missing", "links are missing"),
    ("MakeLink", True): ("link is there, but not on record", "links are there, but not on record"),
    ("RemoveLink", False): ("link is too much", "links are too much"),
    ("RemoveLink", True): ("link is on record, but not there", "links are on record, but not there"),
    ("MoveFolder", False): ("folder has an old name", "folders have an old name"),
    ("MakeFolder", False): ("folder is missing", "folders are missing"),
    ("RemoveFolder", False): ("folder is too much", "folders are too much"),
}


def _differences(case: Case, plan: folders.Plan) -> Iterator[Finding]:
    steps = Counter((type(action).__name__, action.is_done) for action in plan.actions)
    told = [counted(n, *_TOLD[step]) for step, n in steps.items() if step in _TOLD]
    if told:
        yield _finding("remark", f"differs from the catalog: {', '.join(told)}", _bring_up_folders(case))
    elif plan.is_empty and not plan.faults:
        yield _finding("ok", f"as the catalog says, {counted(len(case.links), 'link')}")
    for fault in mentioned(plan.faults):
        what, advice = split_advice(shown(fault))
        yield _finding("remark", what, advice or "facewatch folders --dry-run says what can be done")


def _copies(case: Case, plan: folders.Plan) -> Iterator[Finding]:
    """Whether the copies that are still to be made find room."""
    if case.config["folders.link"] != "copy":
        return
    sources = [action.source for action in plan.actions if isinstance(action, folders.MakeLink) and not action.is_done]
    needed, free = sum(map(_size, sources)), case.world.free_bytes(case.people)
    if needed > free:
        copies = counted(len(sources), "copy", "copies")
        what = f"{copies} to make take {readable_size(needed)}, {readable_size(free)} are free"
        yield _finding("broken", what, 'make room there, or set link = "symlink" under [folders]')


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EIO, errno.ESTALE):
            return 0
        raise


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (presence, marker, kind_of_link, dangling, agreement)
