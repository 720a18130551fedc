"""The photo libraries: whether they are there, can be read, and tell of changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from facewatch.checks.doctor.case import Case, Finding, Level, counted, mentioned, shown
from facewatch.fs.mounts import tells_changes
from facewatch.library.scan import drive_of

AREA = "libraries"

OFFLINE = "plug its drive in or mount it, or correct photos under [library]; nothing of it was removed"


def _finding(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(AREA, level, what, remedy)


def known_files(case: Case, root: Path) -> int:
    """Return how many files of a library the catalog knows."""
    known = case.catalog.roots.one(root) if case.catalog else None
    return len(case.catalog.files.known(known[0])) if case.catalog and known else 0


def presence(case: Case) -> Iterator[Finding]:
    """Whether every library is there, with what was in it."""
    if not case.roots:
        yield _finding("remark", "no library is known", "facewatch scan PHOTOS, or facewatch init PHOTOS")
    for root in case.roots:
        yield from _presence(case, root)


def _presence(case: Case, root: Path) -> Iterator[Finding]:
    name = shown(root)
    if root not in case.present_roots:
        yield _finding("broken", f"{name}: {_absence(root)}", OFFLINE)
        return
    walked = case.walks[root]
    if str(root) in walked.unread_folders:
        yield _finding("broken", f"{name}: cannot be listed", _right_to_read(root))
        return
    if walked.marker:
        yield _passed_over(case, root, walked.marker)
        return
    if not walked.n_files and (n_known := known_files(case, root)):
        what = f"{name}: empty, but {counted(n_known, 'file')} were there: counts as offline"
        yield _finding("broken", what, OFFLINE)
        return
    is_writable = case.world.can(str(root), os.W_OK)
    facts = [f"{counted(walked.n_files, 'file')} in {counted(walked.n_folders, 'folder')}"]
    facts += [case.file_system_of(root) or "file system not known"]
    facts += ["case of names does not matter"] if walked.is_case_blind else []
    facts += [] if is_writable else ["read-only, which is all that is needed"]
    yield _finding("ok", f"{name}: {', '.join(facts)}")


def _absence(root: Path) -> str:
    """Return why a library is not a folder that can be reached."""
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "offline: it is not there"
    except OSError as error:
        return f"offline: {error.strerror}"
    return "not a folder"


def _passed_over(case: Case, root: Path, marker: str) -> Finding:
    n_known = known_files(case, root)
    lost = f"; {counted(n_known, 'file')} that it held count as offline" if n_known else ""
    what = f"{shown(root)}: has a {marker}, so that nothing in it is looked at{lost}"
    return _finding("remark", what, f"delete '{shown(root / marker)}' if its photos are to be looked at")


def devices(case: Case) -> Iterator[Finding]:
    """Whether each library is on the drive that it was on before, and so is what was mounted within it."""
    for root in case.present_roots:
        known = case.catalog.roots.one(root) if case.catalog else None
        if known is None or case.catalog is None:
            continue
        root_id, device = known
        if device not in (-1, drive_of(root)):
            yield _other_device(root, list(case.catalog.files.known(root_id)))
        for folder in sorted(case.catalog.roots.mounts(root_id)):
            if not os.path.ismount(root / folder):
                what = f"{shown(root / folder)}: offline: another drive was mounted there, and is not now"
                yield _finding("broken", what, OFFLINE)


def _other_device(root: Path, known: list[str]) -> Finding:
    """A drive may get another number when it is plugged in again, so that what it holds decides."""
    n_absent = sum(not os.path.lexists(f"{root}/{path}") for path in known)
    if n_absent > len(known) / 2:
        what = f"{shown(root)}: on another drive than before, and {n_absent:,} of {len(known):,} files are not there"
        return _finding("broken", what, f"plug the right one in; if it is, facewatch scan --new-drive '{shown(root)}'")
    return _finding("ok", f"{shown(root)}: on another device than before, with what was there")


def readable(case: Case) -> Iterator[Finding]:
    """Whether everything in the libraries can be read."""
    for root, walked in case.walks.items():
        below = [path for path in walked.unread_folders if path != str(root)]
        for paths, what in ((below, "folder"), (walked.unread_files, "file")):
            if paths:
                examples = ", ".join(mentioned([shown(path) for path in paths], 1))
                said = f"{shown(root)}: {counted(len(paths), what)} cannot be read: {examples}"
                yield _finding("broken", said, _right_to_read(root))


def _right_to_read(root: Path) -> str:
    # No group or rights to type: which of them is wanted only the owner knows.
    return f"give this user the right to read: chmod -R u+rX '{shown(root)}', or add the user to the photos' group"


def links(case: Case) -> Iterator[Finding]:
    """What in the libraries leads elsewhere and is passed over."""
    for root, walked in case.walks.items():
        if walked.n_links:
            what = f"{shown(root)}: {counted(walked.n_links, 'symlink is', 'symlinks are')} not followed"
            remedy = "name what they lead to as a library of its own, if it is to be looked through"
            yield _finding("remark", what, remedy)


def changes(case: Case) -> Iterator[Finding]:
    """Whether the kernel tells of changes there; where it does not, facewatch looks again and again."""
    always = case.config["watch.poll"] == "always"
    seconds = case.config["watch.poll_seconds"]
    for root in case.present_roots:
        kind = case.file_system_of(root)
        if always:
            said = f"{shown(root)}: looked at every {seconds:g} s, as the settings want (poll under [watch])"
            yield _finding("ok", said)
        elif not tells_changes(kind):
            what = f"{shown(root)}: on {kind}, where not every change is told, so it is looked at every {seconds:g} s"
            remedy = "poll_seconds under [watch] says how often; or run facewatch where the disk is"
            yield _finding("remark", what, remedy)
        yield from _nested(case, root, is_polled=always or not tells_changes(kind))


def _nested(case: Case, root: Path, *, is_polled: bool) -> Iterator[Finding]:
    """Other file systems that are mounted below a library."""
    top = root.resolve()
    for mount in case.mounts:
        place = Path(mount.mountpoint)
        if place == top or not place.is_relative_to(top):
            continue
        if is_polled or tells_changes(mount.fstype):
            yield _finding("ok", f"{shown(place)}: mounted within the library ({mount.fstype})")
        else:
            what = f"{shown(place)}: mounted within the library, on {mount.fstype}, where not every change is told"
            remedy = 'poll = "always" under [watch], or make it a library of its own outside'
            yield _finding("remark", what, remedy)


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (presence, devices, readable, links, changes)
