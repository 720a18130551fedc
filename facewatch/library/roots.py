"""The photo libraries: which there are, what is in them, and how that differs from the catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from facewatch.catalog import Catalog, KnownFile, display
from facewatch.errors import FaultCode, LibraryError
from facewatch.fs.beneath import is_folder_below, is_gone_below
from facewatch.fs.mounts import Asker, is_folder, is_mount, mounts_above
from facewatch.library.layout import N_GLANCED, check_library, distinct_roots, follow_moves, nested_roots, size_of
from facewatch.library.scan import (
    IGNORE_MARKERS,
    Changes,
    Moved,
    Rules,
    Walk,
    compare,
    drive_of,
    holds_any,
    is_marked,
    walk,
)
from facewatch.types import Fingerprint

log = logging.getLogger(__name__)

SHUT = "some of its photos may not be opened"
"""What is wrong with a folder whose photos are known and may not be read any more."""

LOST_MOUNT = "another drive was mounted there, and is not now"
"""Why a folder is not scanned: what it held went with that drive."""

FREE_REREADS = 3
"""How often in a row a file may be read again for its ctime or inode alone, and be found the same, before that has to
wait: some network drives and FUSE file systems make up both again at every scan."""

REREAD_WAIT, FAULTY_WAIT = timedelta(days=1), timedelta(hours=1)
"""How long it then waits at first; twice as long each time, but no more than 32 times as long."""

N_LOGGED = 20
"""Folders of a library that cannot be read, which each scan reports one by one."""


class Libraries:
    """The libraries of a catalog."""

    def __init__(
        self,
        catalog: Catalog,
        roots: tuple[Path, ...],
        rules: Rules,
        *,
        aligned: Collection[Path] = (),
        faults_depend_on: Callable[[], str] = str,
    ) -> None:
        """`aligned`: the roots whose photos are crops of one face each; others may be on record as such.
        `faults_depend_on` returns settings and versions that decide which files can be used; when they change, all that
        could not be used is read again."""
        self.roots = roots
        self.rules = rules
        self._catalog = catalog
        self._aligned = aligned
        self._are_new_drives_believed = False
        self._asker = Asker()
        self.moved: dict[str, str] = {}
        """Libraries that were found to have been moved as a whole, and where they are now."""
        self.n_moved = 0
        """Files in them."""
        self._logged_unread: dict[Path, dict[str, str]] = {}
        """What cannot be read, as this process has logged it."""
        self._faults_depend_on = faults_depend_on

    def believe_new_drives(self) -> None:
        """What is not there on another drive than before counts as gone from now on."""
        self._are_new_drives_believed = True

    def resolve(self) -> None:
        """Make libraries that lie in each other, or are one by way of a link, one library: a photo has one place.

        Raises:
            LibraryError: there is none.
        """
        if not self.roots:
            raise LibraryError("no library is known; name your photo folder: facewatch scan ~/Pictures")
        known = self._catalog.roots.all()
        wanted, self.roots = self.roots, distinct_roots(self.roots, known)
        for root in set(wanted) - set(self.roots):
            log.info("%s: lies in a library that is scanned as a whole", root)
        for move in follow_moves(self._catalog, self.roots, is_gone=self._is_gone_for_good, root_id=self.root_id):
            self.moved[str(move.old)] = str(move.new)
            self.n_moved += move.n_files
            log.info("%s: was moved to %s, with its %d files", move.old, move.new, move.n_files)
        self.resolve_aligned()
        self._resolve_faults()
        for inner, outer in nested_roots(known, self.roots):
            inner_id, outer_id = self.root_id(inner), self.root_id(outer)
            with self._catalog.write():
                self._catalog.roots.absorb(inner_id, outer_id, str(inner.resolve().relative_to(outer.resolve())))

    def _is_gone_for_good(self, root: Path) -> bool:
        """Whether nothing is left of a library that nobody asks for: one that is still asked for may come back."""
        return root not in self.roots and (not os.path.lexists(root) or (is_folder(root) and not self.holds_any(root)))

    def _resolve_faults(self) -> None:
        stamp = self._faults_depend_on()
        if self._catalog.settings.get("faults_depend_on") != stamp:
            with self._catalog.write():
                self._catalog.files.doubt()
                self._catalog.settings.set("faults_depend_on", stamp)

    def is_aligned(self, root: Path) -> bool:
        """Whether the photos of a library are crops of one face each; remembered once it was said."""
        return self._catalog.roots.is_aligned(self.root_id(root))

    def resolve_aligned(self) -> None:
        """Remember which libraries are said to hold crops.

        Raises:
            LibraryError: one has been scanned as ordinary photos.
        """
        roots = self._catalog.roots
        for root in self._aligned:
            root_id = self.root_id(root)
            if roots.is_aligned(root_id):
                continue
            if roots.has_photos(root_id):
                raise LibraryError(
                    f"{root}: has been scanned as ordinary photos, so it does not become a library of face "
                    "crops; keep crops in a folder of their own"
                )
            with self._catalog.write():
                roots.set_aligned(root_id, True)

    def forget_aligned(self, roots: Collection[Path]) -> None:
        """New photos in these libraries are ordinary ones again; what was analysed stays as it is."""
        with self._catalog.write():
            for root in roots:
                self._catalog.roots.set_aligned(self.root_id(root), False)

    def scan_all(self) -> list[tuple[Path, Walk, Changes]]:
        """Scan every library that is there; one that is not must not keep the others waiting."""
        scans, faults = [], []
        for root in self.roots:
            try:
                check_library(root)
                scans.append((root, *self.scan(root)))
            except LibraryError as error:
                faults.append(error)
        if faults and not scans:
            raise faults[0]
        for fault in faults:
            log.warning("%s", fault)
        return scans

    def forget_moved(self) -> None:
        """What a library held that is gone, and one that was just added holds now, was moved: there is one place of
        it, the new one. (Two drives that hold the same photos are no move: one of them may just be unplugged.)"""
        roots = self._catalog.roots
        for root in filter(self._is_gone_for_good, roots.all()):
            root_id = self.root_id(root)
            if roots.has_arrived(root_id):
                with self._catalog.write():
                    if roots.forget_arrived(root_id):
                        log.info("%s: gone, and all that it held is in another library now", root)

    def arrived(self, root: Path) -> None:
        """All of a library has been analysed."""
        root_id = self.root_id(root)
        if self._catalog.roots.is_arriving(root_id):
            with self._catalog.write():
                self._catalog.roots.set_arrived(root_id)

    def scan(
        self, root: Path, below: str = "", *, with_unread: bool = True, was_away: bool = False
    ) -> tuple[Walk, Changes]:
        """Walk a library, or one of its folders, and compare it with the catalog.

        `with_unread`: files that could not be read, and perhaps can be now, count as changed. `was_away`: it was not
        there a moment ago, and may be another drive even if it looks like the one before.

        Raises:
            LibraryError: it is offline: gone, suddenly empty, or another drive. Nothing counts as removed then.
        """
        try:
            is_absent = bool(below) and not is_folder_below(root, below)
            found = Walk({}, drive=drive_of(root)) if is_absent else walk(root, self.rules, below)
        except OSError as error:
            raise _offline(root, f"cannot be read: {error.strerror}; plug it in or correct library.photos") from error
        root_id = self.root_id(root)
        known = self._catalog.files.known(root_id, below)
        prints = {path: file.fingerprint for path, file in known.items()}
        # What is passed over from now on is no sign of another drive.
        ours = {p: f for p, f in prints.items() if p in found.files or self.rules.names_allow(p, root)}
        self._check_drive(root, found, ours, is_whole=not below, was_away=was_away)
        lost = self._lost_mounts(root, root_id, found.files, ours, is_whole=not below)
        self._remember_drives(root, root_id, found, lost, below)
        found = replace(found, lost=lost)
        changes = self._with_moved(root, root_id, found.files, compare(found, prints))
        changes, shut = _without_shut(root, changes, known)
        self._note_unread(root, root_id, {**found.unread, **shut}, below)
        changes = self._with_due(changes, found.files, known)
        return found, self._with_readable(root, changes, known) if with_unread else changes

    def _check_drive(
        self, root: Path, found: Walk, known: Mapping[str, Fingerprint], *, is_whole: bool, was_away: bool
    ) -> None:
        """Refuse to believe that all is gone: where nothing is left, or what is there is another drive.

        A drive may get another number when it is plugged in again, so that what it holds decides.
        """
        if is_whole and known and not found.files and is_marked(root):
            raise _offline(root, _marked())
        if is_whole and known and not found.files:
            raise _offline(root, _emptied(len(known)))
        _, drive = self._catalog.roots.one(root) or (0, -1)
        if (drive in (-1, found.drive) and not was_away) or self._are_new_drives_believed:
            return
        n_absent = _n_absent(found.files, known)
        if not is_whole or n_absent > len(known) / 2:
            what = f"another drive or folder than before, and {n_absent} of {len(known)} files are not there"
            raise _offline(root, f"{what}: {_is_it_right(root)}")

    def _lost_mounts(
        self,
        root: Path,
        root_id: int,
        found: Mapping[str, Fingerprint],
        known: Mapping[str, Fingerprint],
        *,
        is_whole: bool,
    ) -> frozenset[str]:
        """Return the folders on which another drive was mounted that is not now, and whose files went with it."""
        if self._are_new_drives_believed:
            return frozenset()
        lost = frozenset(folder for folder in self._catalog.roots.mounts(root_id) if not is_mount(root / folder))
        if not is_whole:
            return lost
        below = {folder: {p: known[p] for p in known if p.startswith(folder + "/")} for folder in lost}
        return frozenset(
            folder for folder, files in below.items() if files and _n_absent(found, files) > len(files) / 2
        )

    def _remember_drives(self, root: Path, root_id: int, found: Walk, lost: frozenset[str], below: str) -> None:
        """Record the drives that a scan saw, where they are not those on record."""
        roots, mounts = self._catalog.roots, found.mounts | lost
        if below:
            mounts |= roots.mounts(root_id) | mounts_above(root, [f"{below}/"])
        if not below and roots.passed_over(root_id) != found.passed:
            with self._catalog.write():
                roots.set_passed_over(root_id, found.passed)
        has_moved = (roots.one(root) or (0, -1))[1] != found.drive
        if has_moved or roots.mounts(root_id) != mounts:
            with self._catalog.write():
                roots.add(root, found.drive, self._catalog.now())
                roots.set_mounts(root_id, mounts)

    def _note_unread(self, root: Path, root_id: int, found: Mapping[str, str], below: str) -> None:
        """Record what a scan could not read, and log it: once of each, and once when it can be read again."""
        before = self._catalog.roots.unread(root_id)
        elsewhere = {path: why for path, why in before.items() if below and not _is_within(path, below)}
        unread = elsewhere | dict(found)
        if unread != before:
            with self._catalog.write():
                self._catalog.roots.set_unread(root_id, unread)
        logged = self._logged_unread.get(root, {})
        news = {path: why for path, why in found.items() if path not in logged}
        for path, why in sorted(news.items())[:N_LOGGED]:
            log.warning("%s: cannot be read: %s; make it readable. Nothing of it is removed", _shown(root, path), why)
        if len(news) > N_LOGGED:
            log.warning("%s: %d more folders or files that cannot be read", _shown(root), len(news) - N_LOGGED)
        for path in sorted((before.keys() | logged.keys()) - unread.keys()):
            log.info("%s: is no longer a problem: it can be read, or is gone", _shown(root, path))
        self._logged_unread[root] = unread

    def offline(self, root: Path) -> dict[str, str]:
        """Return which of a library and the folders in it on which drives were mounted are offline, and why, by what a
        quick check finds. Whether they count as offline, a scan of all of it decides, by the same rules."""
        root_id, drive = self._catalog.roots.one(root) or (0, -1)
        n_known, some = self._catalog.files.sample(root_id, N_GLANCED)
        mounts = self._catalog.roots.mounts(root_id)

        def glance() -> dict[str, str]:
            if why := self._absence(root, drive, n_known, some):
                return {str(root): why}
            return {f"{root}/{folder}": LOST_MOUNT for folder in sorted(mounts) if not is_mount(root / folder)}

        return self._asker.ask(root, glance, otherwise={str(root): "does not answer; check its drive, or its server"})

    def _absence(self, root: Path, known_drive: int, n_known: int, some: Collection[tuple[str, int]]) -> str:
        """Return why a library counts as offline, by some of its files with their sizes; empty: it is there."""
        try:
            drive = drive_of(root)
            if not is_folder(root):
                return "not a folder; correct library.photos"
            os.stat(f"{root}/.")  # noqa: PTH116 - which only who may enter it can; a Path would drop the dot
            with os.scandir(root) as entries:
                next(entries, None)
        except (FileNotFoundError, NotADirectoryError):
            return "not there; plug it in, or name its new place: facewatch scan PHOTOS"
        except OSError as error:
            return f"cannot be read: {error.strerror}; plug it in or make it readable"
        n_absent = sum(size_of(root / path) != size for path, size in some)
        if n_absent <= len(some) / 2:
            return ""
        if is_marked(root):
            return _marked()
        if n_absent == len(some) and not self.holds_any(root):
            return _emptied(n_known)
        return "" if known_drive in (-1, drive) else f"another drive or folder than before; {_is_it_right(root)}"

    def unread(self, root: Path) -> dict[str, str]:
        """Return what of a library could not be read at the last scan, and why."""
        known = self._catalog.roots.one(root)
        return self._catalog.roots.unread(known[0]) if known else {}

    def lost_folders(self, root: Path) -> list[str]:
        """Return the folders of a library on which another drive was mounted that is not now, by all that a glance
        tells."""
        known = self._catalog.roots.one(root)
        mounts = self._catalog.roots.mounts(known[0]) if known else frozenset[str]()
        return sorted(folder for folder in mounts if not is_mount(root / folder))

    def _with_moved(self, root: Path, root_id: int, found: Mapping[str, Fingerprint], changes: Changes) -> Changes:
        """What was added may have come from a folder of the library that was not scanned."""
        by_print = {found[path]: path for path in changes.added}
        before = self._catalog.files.with_inodes(root_id, [fingerprint.inode for fingerprint in by_print])
        moved = list(changes.moved)
        for old, fingerprint in before.items():
            if fingerprint in by_print and is_gone_below(root, old):
                new = by_print.pop(fingerprint)
                moved.append(Moved(old, new, found[new].ctime_ns))
        added = set(by_print.values())
        return replace(changes, added=tuple(path for path in changes.added if path in added), moved=tuple(moved))

    def root_id(self, root: Path) -> int:
        """Return the id of a library, recorded with the drive it was when it was seen first."""
        known = self._catalog.roots.one(root)
        if known is not None:
            return known[0]
        drive = drive_of(root) if is_folder(root) else -1
        with self._catalog.write():
            return self._catalog.roots.add(root, drive, self._catalog.now())

    def is_there(self, root: Path) -> bool:
        """Whether the library is there, and is the drive that it was when it was scanned last."""
        try:
            drive = drive_of(root)
        except OSError:
            return False
        return is_folder(root) and (self._catalog.roots.one(root) or (0, -1))[1] in (-1, drive)

    def believed_gone(self, root: Path, paths: Iterable[str]) -> list[str]:
        """Return those of the paths that were removed, as far as the drives mounted in the library show."""
        lost = self._lost_mounts(root, self.root_id(root), {}, {}, is_whole=False)
        return [path for path in paths if not any(path.startswith(folder + "/") for folder in lost)]

    def holds_any(self, root: Path) -> bool:
        """Whether there is any file in the library."""
        try:
            return holds_any(root, self.rules)
        except OSError:
            return False

    def _with_due(self, changes: Changes, found: Mapping[str, Fingerprint], known: Mapping[str, KnownFile]) -> Changes:
        """Leave of the touched files those whose bytes are to be read now, and record ctimes that nobody knew yet.

        What an older version recorded has none, and is believed to be what it was, as far as it holds a photo.
        """
        handled = {*changes.missing, *changes.changed, *changes.touched, *(move.old for move in changes.moved)}
        unknown = {p: f for p, f in known.items() if f.fingerprint.ctime_ns is None and p not in handled and p in found}
        ctimes = {file.file_id: found[path].ctime_ns for path, file in unknown.items() if file.photo_id is not None}
        if ctimes:
            with self._catalog.write():
                self._catalog.files.set_ctimes(ctimes)
        due = [path for path in changes.touched if _is_reread_due(known[path], self._catalog.now())]
        due += [path for path, file in unknown.items() if file.photo_id is None]
        return replace(changes, touched=tuple(due))

    @staticmethod
    def _with_readable(root: Path, changes: Changes, known: Mapping[str, KnownFile]) -> Changes:
        """A file that could not be opened, or that the machine had no room for, is tried again when it can be read."""
        handled = {*changes.missing, *changes.changed, *changes.touched, *(move.old for move in changes.moved)}
        again = [
            path
            for path, file in known.items()
            if file.fault_code is not None
            and (file.fault_code.is_momentary or file.fault_code is FaultCode.UNREADABLE)
            and path not in handled
            and os.access(root / path, os.R_OK)
        ]
        return replace(changes, changed=(*changes.changed, *again))

    def compare(self, root: Path, present: Mapping[str, Fingerprint], gone: Iterable[str]) -> Changes:
        """Compare only these paths of a library with the catalog."""
        root_id = self.root_id(root)
        new_mounts = mounts_above(root, present) - self._catalog.roots.mounts(root_id)
        if new_mounts:
            with self._catalog.write():
                self._catalog.roots.set_mounts(root_id, self._catalog.roots.mounts(root_id) | new_mounts)
        files = ((path, self._catalog.files.one(root_id, path)) for path in (*present, *gone))
        known = {path: file for path, file in files if file is not None}
        changes = compare(Walk(present), {path: file.fingerprint for path, file in known.items()})
        changes, shut = _without_shut(root, self._with_moved(root, root_id, present, changes), known)
        if shut:
            self._note_unread(root, root_id, {**self._catalog.roots.unread(root_id), **shut}, "")
        changes = self._with_due(changes, present, known)
        return self._with_readable(root, changes, known)

    def record(self, root: Path, changes: Changes) -> None:
        """Record moves and removals; their photos, faces and decisions stay as they are."""
        if changes.moved or changes.missing:
            root_id = self.root_id(root)
            with self._catalog.write():
                for move in changes.moved:
                    self._catalog.files.move(root_id, move.old, move.new, move.ctime_ns)
                self._catalog.files.forget(root_id, changes.missing)
            log.info("%s: %d moved, %d gone", root, len(changes.moved), len(changes.missing))


def _offline(root: Path, why: str) -> LibraryError:
    return LibraryError(f"{root}: {why}{'' if why.endswith('?') else '.'} Nothing was removed", why)


def _without_shut(root: Path, changes: Changes, known: Mapping[str, KnownFile]) -> tuple[Changes, dict[str, str]]:
    """Leave out photos whose rights were taken away: they count as what they were until they can be read again.

    Returns:
        The other changes, and the folders of those photos, with what is wrong there.
    """
    shut = {p for p in changes.touched if known[p].photo_id is not None and not os.access(root / p, os.R_OK)}
    folders = {path.rpartition("/")[0] or "." for path in shut}
    touched = tuple(path for path in changes.touched if path not in shut)
    return replace(changes, touched=touched), dict.fromkeys(folders, SHUT)


def _is_reread_due(file: KnownFile, now: str) -> bool:
    n_more = file.n_rereads - FREE_REREADS
    if n_more < 0:
        return True
    wait = (REREAD_WAIT if file.photo_id is not None else FAULTY_WAIT) * 2 ** min(n_more, 5)
    # A clock that was set back must not make it wait for years.
    return not timedelta(0) <= datetime.fromisoformat(now) - datetime.fromisoformat(file.seen_at) < wait


def _marked() -> str:
    return f"holds {' or '.join(sorted(IGNORE_MARKERS))}: nothing in it is scanned"


def _emptied(n_known: int) -> str:
    return f"empty, but {n_known} files were there: is the drive plugged in?"


def _is_it_right(root: Path) -> str:
    return f"is the right one plugged in? If it is, facewatch scan --new-drive {root}"


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _shown(root: Path, path: str = "") -> str:
    return display(os.path.normpath(f"{root}/{path}"))


def _n_absent(found: Mapping[str, Fingerprint], known: Mapping[str, Fingerprint]) -> int:
    """Return how many known files are not there, or are others by their size."""
    return sum(path not in found or found[path].size != fingerprint.size for path, fingerprint in known.items())
