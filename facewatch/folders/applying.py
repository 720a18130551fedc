"""From a plan to links on disk: each action on disk first, then in the ledger; safe to stop anywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from facewatch.errors import FolderError
from facewatch.folders.disk import read_entry
from facewatch.folders.model import (
    Action,
    Applied,
    Ledger,
    LinkKind,
    MakeFolder,
    MakeLink,
    MoveFolder,
    Plan,
    RemoveFolder,
    RemoveLink,
)
from facewatch.folders.names import PART, UNNAMED, printable

LinkMaker = Callable[[LinkKind, str, str], None]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
UNSUPPORTED = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
"""How file systems refuse a kind of link."""


def make_link(kind: LinkKind, target: str, path: str) -> None:
    """Make a symlink of that text, or a hard link to or a copy of that file; never in place of something."""
    if kind == "symlink":
        os.symlink(target, path)
    elif kind == "hardlink":
        os.link(target, path)
    else:
        with open(target, "rb") as source, open(path, "xb") as copy:
            shutil.copyfileobj(source, copy)
        shutil.copystat(target, path)


def apply(todo: Plan, root: Path, *, kind: LinkKind, ledger: Ledger, make_link: LinkMaker = make_link) -> Applied:
    """Do what the plan says, each action first on disk and then in the ledger; safe to stop anywhere.

    What cannot be done is left for the next run and told in `faults`.

    Raises:
        FolderError: the disk is full or read-only. What was done until then is in the ledger.
    """
    work = _Work(root, kind, ledger, make_link)
    work.discard_part()
    try:
        for action in todo.actions:
            work.do(action)
    finally:
        ledger.commit()
    return Applied(work.n_made, work.n_removed, work.n_moved, (*todo.faults, *work.faults))


class _Work:
    """Does actions one by one and counts them."""

    def __init__(self, root: Path, kind: LinkKind, ledger: Ledger, make_link: LinkMaker) -> None:
        self.n_made = self.n_removed = self.n_moved = 0
        self.faults: list[str] = []
        self._shown, self._root = root, os.path.realpath(root)
        self._kind, self._ledger, self._make = kind, ledger, make_link
        self._is_making = False
        self._entered = ""
        self._failed: set[str] = set()
        """Folders that could not be made, moved or entered: one cause gives one fault, not one per link."""

    def do(self, action: Action) -> None:
        """Do one action; a fault of its own is noted, one of the whole disk is raised."""
        folder = _folder_of(action)
        if folder in self._failed:
            return
        try:
            self._act(action)
        except OSError as error:
            if error.errno in _FULL:
                raise refusal(self._shown, error) from error
            self.faults.append(printable(f"cannot {action}: {error.strerror}"))
            if isinstance(action, MoveFolder | MakeFolder) or isinstance(error, NotADirectoryError):
                self._failed.add(folder)

    def _act(self, action: Action) -> None:
        match action:
            case MoveFolder(person_id, old, new):
                if not action.is_done:
                    self._rename(old, new)
                self._ledger.folder_moved(person_id, old, new)
            case RemoveLink(link_id, path, stamp):
                self.n_removed += not action.is_done and self._unlink(self._enter(path), stamp)
                self._ledger.link_removed(link_id)
            case RemoveFolder(path):
                if not action.is_done:
                    self._rmdir(path)
                self._ledger.folder_removed(path)
            case MakeFolder(person_id, path):
                self._start_making()
                if not action.is_done:
                    os.mkdir(self._enter(path))
                self._ledger.folder_made(person_id, path)
            case MakeLink(person_id, photo_id, path, source):
                self._start_making()
                stamp = action.stamp if action.is_done and action.stamp is not None else self._link(action)
                self._ledger.link_made(person_id, photo_id, path, source, stamp)

    def _start_making(self) -> None:
        """Settle what was left before anything is made, or what is new could pass for the old that was moved there."""
        if not self._is_making:
            self._ledger.commit()
        self._is_making = True

    def _enter(self, path: str) -> str:
        """Return the full path, sure that the folder it is in is real: nothing is ever done through a link."""
        folder = path.rpartition("/")[0]
        if folder == UNNAMED:
            with contextlib.suppress(FileExistsError):
                os.mkdir(f"{self._root}/{UNNAMED}")
        if folder != self._entered:
            for place in (folder.partition("/")[0], folder):
                if read_entry(f"{self._root}/{place}").kind != "dir":
                    raise NotADirectoryError(errno.ENOTDIR, f"{place} is not a folder")
            self._entered = folder
        return f"{self._root}/{path}"

    def _rename(self, old: str, new: str) -> None:
        source, target = self._enter(old), self._enter(new)
        self._entered = ""
        self._ledger.commit()  # two moves in doubt could not be told from none, when people swap their names
        # rename(2) would replace an empty directory; the very same one, in another spelling, is no obstacle.
        if os.path.lexists(target) and not os.path.samestat(os.lstat(source), os.lstat(target)):
            raise FileExistsError(errno.EEXIST, f"{new} exists")
        os.rename(source, target)
        self.n_moved += 1

    def _rmdir(self, path: str) -> None:
        try:
            os.rmdir(self._enter(path))
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
                raise
        self._entered = ""

    def _unlink(self, path: str, stamp: str) -> bool:
        """Remove our link; False when it is not ours any more."""
        is_ours = read_entry(path).bears(stamp)
        if is_ours:
            os.unlink(path)
        return is_ours

    def _link(self, action: MakeLink) -> str:
        """Make the link and return its stamp."""
        path = self._enter(action.path)
        if action.stamp is not None:
            self._unlink(path, action.stamp)
        if self._kind == "copy":
            self._copy(action.target, path)
        else:
            self._make(self._kind, action.target, path)
        self.n_made += 1
        return f"symlink:{action.target}" if self._kind == "symlink" else read_entry(path).stamp(self._kind)

    def _copy(self, source: str, path: str) -> None:
        """Make a copy that has its name only when it is whole."""
        part = f"{self._root}/{PART}"
        try:
            self._make("copy", source, part)
            rename_apart(part, path)
        except OSError:
            self.discard_part()
            raise

    def discard_part(self) -> None:
        """Remove the beginning of a copy that a crash left."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self._root}/{PART}")


def _folder_of(action: Action) -> str:
    match action:
        case MoveFolder():
            return action.new
        case MakeFolder() | RemoveFolder():
            return action.path
        case MakeLink() | RemoveLink():
            return action.path.rpartition("/")[0]


def rename_apart(old: str, new: str) -> None:
    """Rename a file; fail when the new name is taken."""
    try:
        os.link(old, new)  # unlike rename(2), this never replaces anything
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(old, new)
    else:
        os.unlink(old)


def refusal(root: Path, error: OSError) -> FolderError:
    """Return the error that says what stops all work in the people folder."""
    fault, advice = "cannot be written", "give facewatch the right to write there, or choose another people folder"
    if error.errno == errno.EROFS:
        fault, advice = "is on a read-only disk", "mount it writable, or choose another people folder"
    elif error.errno in _FULL:
        fault, advice = "is on a full disk", "free some space; what was made is kept, and the next run makes the rest"
    elif isinstance(error, FileExistsError | NotADirectoryError):
        fault, advice = "is not a folder", "choose another people folder"
    return FolderError(f"{root}: {fault} ({error.strerror}): {advice}")
