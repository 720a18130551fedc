"""From a plan to links on disk: each action on disk first, then in the ledger; safe to stop anywhere.

After a crash the next plan recognises what was done, as long as it is still wanted. When somebody decides otherwise in
between, nobody would know any more whose those links and folders are, and they would stay for ever; therefore what is
about to be done is recorded before (`intents_of`), and `resume` records what was done of it before anything is planned.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Any

from facewatch.errors import FolderError
from facewatch.folders.disk import (
    LinkMaker,
    OpenedFolder,
    face_in,
    make_link,
    opened_folder_of,
    read_entry,
    remove_covers,
)
from facewatch.folders.marks import FACE_KEY, marked
from facewatch.folders.model import (
    MARKER,
    PARENTS,
    PART,
    Action,
    Applied,
    FaceMaker,
    FolderEntry,
    Ledger,
    LinkKind,
    MakeFolder,
    MakeLink,
    MoveFolder,
    MoveLink,
    Plan,
    RemoveFolder,
    RemoveLink,
    home_of,
    printable,
    time_of_face,
)
from facewatch.fs.atomic import exists, rename_apart
from facewatch.text import plural

_BATCH = 1000
"""Actions that are recorded before they are done."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""How a disk says that nothing more can be written to it."""


def apply(
    todo: Plan,
    root: Path,
    *,
    kind: LinkKind,
    ledger: Ledger,
    make_link: LinkMaker = make_link,
    make_face: FaceMaker | None = None,
    libraries: Sequence[Path] = (),
    intend: Callable[[Sequence[Action]], None] = lambda _: None,
) -> Applied:
    """Do what the plan says, each action first on disk and then in the ledger; safe to stop anywhere.

    Nothing is done outside the people folder, even if somebody puts a link in the place of a folder in it meanwhile.
    What cannot be done is left for the next run and listed in `faults`.

    Args:
        libraries: the roots of the library. What a hard link or a copy is made of is reached from there without
            following a link, so that nothing from elsewhere gets into the people folder.
        intend: is called with what comes next, some actions at a time (see `recovery`).

    Raises:
        FolderError: the folder is gone; the disk is full or read-only. What was done until then is in the ledger.
    """
    try:
        opened = OpenedFolder(os.path.realpath(root))
    except FileNotFoundError as error:
        raise FolderError(
            f"{root}: is gone: connect its disk; if it was deleted, facewatch folders makes it again"
        ) from error
    except OSError as error:
        raise refusal(root, error) from error
    with opened:
        work = _Work(opened, root, kind, ledger, make_link, [os.fspath(library) for library in libraries], make_face)
        work.discard_part()
        try:
            for start in range(0, len(todo.actions), _BATCH):
                batch = todo.actions[start : start + _BATCH]
                # What was done before must be on record by then: later intents take the place of earlier ones.
                ledger.commit()
                intend(batch)
                for action in batch:
                    work.do(action)
        finally:
            ledger.commit()
    return Applied(work.n_made, work.n_removed, work.n_moved, (*todo.faults, *work.faults))


class _Work:
    """Does actions one by one and counts them."""

    def __init__(
        self,
        opened: OpenedFolder,
        shown: Path,
        kind: LinkKind,
        ledger: Ledger,
        make_link: LinkMaker,
        libraries: Sequence[str],
        make_face: FaceMaker | None,
    ) -> None:
        self.n_made = self.n_removed = self.n_moved = 0
        self.faults: list[str] = []
        self._opened, self._shown, self._libraries = opened, shown, libraries
        self._kind, self._ledger, self._make, self._make_face = kind, ledger, make_link, make_face
        self._is_making = False
        self._failed: set[str] = set()
        """Folders that could not be made, moved or entered: one cause gives one fault, not one per link."""

    def do(self, action: Action) -> None:
        """Do one action; a fault of its own is noted, one of the whole disk is raised."""
        if _folder_of(action) in self._failed:
            self._give_up(action)
            return
        try:
            self._act(action)
        except OSError as error:
            if error.errno in FULL:
                raise refusal(self._shown, error) from error
            self.faults.append(printable(f"cannot {action}: {error.strerror}"))
            if isinstance(action, MoveFolder | MakeFolder) or isinstance(error, NotADirectoryError):
                self._give_up(action)

    def _give_up(self, action: Action) -> None:
        """Leave the folder alone; what could not leave its place has it still, whoever was to come there next."""
        self._failed.add(_folder_of(action))
        if isinstance(action, MoveFolder):
            self._failed.add(action.old)

    def _act(self, action: Action) -> None:
        match action:
            case MoveFolder(person_id, old, new):
                if not action.is_done:
                    self._rename(old, new)
                self._ledger.folder_moved(person_id, old, new)
            case RemoveLink(link_id, path, stamp):
                self.n_removed += not action.is_done and self._unlink(*self._enter(path), stamp)
                self._leave_year(path)
                self._ledger.link_removed(link_id)
            case RemoveFolder(path):
                with contextlib.suppress(NotADirectoryError):
                    remove_covers(self._opened.enter(path))
                if not action.is_done:
                    self._rmdir(path)
                self._ledger.folder_removed(path)
            case MakeFolder(person_id, path):
                self._start_making()
                if not action.is_done:
                    self._mkdir(path)
                self._ledger.folder_made(person_id, path)
            case MoveLink(link_id, person_id, photo_id, old, path, source, stamp):
                self._move_link(old, path, stamp)
                self._ledger.link_made(person_id, photo_id, path, source, stamp)
                self._ledger.link_removed(link_id)
            case MakeLink(person_id, photo_id, path, source):
                self._start_making()
                stamp = action.stamp if action.is_done and action.stamp is not None else self._link(action)
                self._ledger.link_made(person_id, photo_id, path, source, stamp)

    def _start_making(self) -> None:
        """Commit the record of moves and removals before anything is made, or what is new could pass for the old that
        was moved there."""
        if not self._is_making:
            self._ledger.commit()
        self._is_making = True

    def _enter(self, path: str) -> tuple[str, int]:
        """Return the last component of a path, and a descriptor of the folder it is in, for use until the next."""
        folder, _, name = path.rpartition("/")
        if folder in PARENTS:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, dir_fd=self._opened.top)
        return name, self._opened.enter(folder)

    def _enter_year(self, path: str) -> tuple[str, int]:
        """Do as `_enter` for what is to be made; the year that it is to be in is made, too."""
        folder = path.rpartition("/")[0]
        if home_of(path) != folder:
            year, dir_fd = self._enter(folder)
            with contextlib.suppress(FileExistsError):
                os.mkdir(year, dir_fd=dir_fd)
        return self._enter(path)

    def _move_link(self, old: str, new: str, stamp: str) -> None:
        """Rename a link that is a file.

        Raises:
            OSError: it is not ours any more, the new name is taken, or the folder was moved meanwhile.
        """
        name, dir_fd = self._enter(old)
        source_fd = os.dup(dir_fd)
        try:
            if not read_entry(name, source_fd).bears(stamp):
                raise FileNotFoundError(errno.ENOENT, "it is not there any more", old)
            target, target_fd = self._enter_year(new)
            rename_apart(name, target, old_fd=source_fd, new_fd=target_fd)
        finally:
            os.close(source_fd)
        self._leave_year(old)
        self.n_moved += 1

    def _leave_year(self, path: str) -> None:
        """Remove the year that something was in, if it is empty now. That comes with what empties it: nobody knows of
        years as such."""
        folder = path.rpartition("/")[0]
        if home_of(path) != folder:
            with contextlib.suppress(NotADirectoryError):
                self._rmdir(folder)

    def _check_in_place(self, *paths: str) -> None:
        """Raise NotADirectoryError when the folder that one of these was made in has been moved meanwhile."""
        for folder in (path.rpartition("/")[0] for path in paths):
            if not self._opened.is_in_place(folder):
                raise NotADirectoryError(errno.ENOTDIR, f"{folder} was moved away meanwhile")

    def _mkdir(self, path: str) -> None:
        name, dir_fd = self._enter(path)
        os.mkdir(name, dir_fd=dir_fd)
        try:
            self._check_in_place(path)
        except NotADirectoryError:
            os.rmdir(name, dir_fd=dir_fd)
            raise

    def _rename(self, old: str, new: str) -> None:
        (source, source_fd), (target, target_fd) = self._enter(old), self._enter(new)
        self._ledger.commit()  # two moves in doubt could not be distinguished from none, when people swap their names
        folder = os.stat(source, dir_fd=source_fd, follow_symlinks=False)
        if not stat.S_ISDIR(folder.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, f"{old} is not a folder")
        # rename(2) would replace an empty directory; the very same one, in another spelling, is no obstacle.
        if exists(target, target_fd) and not _is(folder, target, target_fd):
            raise FileExistsError(errno.EEXIST, f"{new} exists")
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        try:
            self._check_in_place(old, new)
            if not _is(folder, target, target_fd):
                raise NotADirectoryError(errno.ENOTDIR, f"{old} was moved away meanwhile")
        except OSError:
            os.rename(target, source, src_dir_fd=target_fd, dst_dir_fd=source_fd)
            raise
        self.n_moved += 1

    def _rmdir(self, path: str) -> None:
        name, dir_fd = self._enter(path)
        try:
            os.rmdir(name, dir_fd=dir_fd)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
                raise

    def _unlink(self, name: str, dir_fd: int, stamp: str) -> bool:
        """Remove our link; False when it is not ours any more."""
        is_ours = read_entry(name, dir_fd).bears(stamp)
        if is_ours:
            os.unlink(name, dir_fd=dir_fd)
        return is_ours

    def _link(self, action: MakeLink) -> str:
        jpeg = self._make_face(action) if self._kind == "face" and self._make_face is not None else b""
        name, dir_fd = self._enter_year(action.path)
        if action.stamp is not None:
            self._unlink(name, dir_fd, action.stamp)
        if self._kind == "symlink":
            self._make("symlink", action.target, name, target_fd=None, dir_fd=dir_fd)
            stamp = f"symlink:{action.target}"
        elif self._kind == "face":
            self._write_face(jpeg, action, name, dir_fd)
            stamp = f"{read_entry(name, dir_fd).stamp('face')}:{action.face_id or 0}"
        else:
            self._link_file(action.target, name, dir_fd)
            stamp = read_entry(name, dir_fd).stamp(self._kind)
        try:
            self._check_in_place(action.path)
        except NotADirectoryError:
            self._unlink(name, dir_fd, stamp)
            raise
        self.n_made += 1
        return stamp

    def _link_file(self, source: str, name: str, dir_fd: int) -> None:
        """Make a hard link to a file, or a copy of it."""
        with opened_folder_of(source, self._libraries) as folder:
            if self._kind == "hardlink":
                self._make("hardlink", os.path.basename(source), name, target_fd=folder, dir_fd=dir_fd)
            else:
                self._copy(os.path.basename(source), folder, name, dir_fd)

    def _copy(self, source: str, source_fd: int, name: str, dir_fd: int) -> None:
        """Make a copy that has its name only when it is whole."""
        try:
            self._make(self._kind, source, PART, target_fd=source_fd, dir_fd=self._opened.top)
            rename_apart(PART, name, old_fd=self._opened.top, new_fd=dir_fd)
        except OSError:
            self.discard_part()
            raise

    def _write_face(self, jpeg: bytes, action: MakeLink, name: str, dir_fd: int) -> None:
        """Write a picture that has its name only when it is whole, about the time of its photo, and its rights."""
        self.discard_part()
        top = self._opened.top
        handle = os.open(PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=top)
        with os.fdopen(handle, "wb") as part:
            part.write(marked(jpeg, f"{FACE_KEY}{action.face_id or 0}"))
            part.flush()
            with contextlib.suppress(OSError):
                photo = os.lstat(action.source)
                now = time_of_face(photo.st_mtime_ns, action.face_id, action.photo_id)
                os.utime(handle, ns=(now, now))
                os.fchmod(handle, photo.st_mode & 0o666)
        rename_apart(PART, name, old_fd=top, new_fd=dir_fd)

    def discard_part(self) -> None:
        """Remove the beginning of a copy that a crash left."""
        with contextlib.suppress(OSError):
            os.unlink(PART, dir_fd=self._opened.top)


def copies_to_make(todo: Plan) -> list[int]:
    """Return the size in bytes of each file that the plan copies; 0: it cannot be seen."""
    return [_size(action.source) for action in todo.actions if isinstance(action, MakeLink) and not action.is_done]


def _size(path: str) -> int:
    try:
        return read_entry(path).size
    except OSError:
        return 0


def check_room(todo: Plan, root: Path) -> None:
    """Refuse to fill a disk with copies to the last byte.

    Raises:
        FolderError: the copies that the plan makes do not fit.
    """
    sizes = copies_to_make(todo)
    if sizes and sum(sizes) > (n_free := disk_usage(root).free):
        raise FolderError(
            f"{root}: {plural(len(sizes), 'copy', 'copies')} of photos would take {sum(sizes) / 1e6:.0f} MB, and its "
            f"disk has {n_free / 1e6:.0f} MB left: free some space, or choose another people folder"
        )


def remove_empty(root: Path, folders: Iterable[str]) -> None:
    """Remove these folders below the people folder, as far as they are there and empty."""
    with contextlib.suppress(OSError), OpenedFolder(os.path.realpath(root)) as opened:
        for path in folders:
            folder, _, name = path.rpartition("/")
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=opened.enter(folder))


def _is(folder: os.stat_result, name: str, dir_fd: int) -> bool:
    """Whether this name is now that of a folder that was seen before."""
    return os.path.samestat(folder, os.stat(name, dir_fd=dir_fd, follow_symlinks=False))


def _folder_of(action: Action) -> str:
    match action:
        case MoveFolder():
            return action.new
        case MakeFolder() | RemoveFolder():
            return action.path
        case MakeLink() | RemoveLink() | MoveLink():
            return home_of(action.path)


def refusal(root: Path, error: OSError, *, other: str = "choose another people folder") -> FolderError:
    """Return the error that says what stops all work in the people folder, or in another one; `other`: what to do where
    that cannot be mended."""
    fault, advice = "cannot be written", f"give facewatch the right to write there, or {other}"
    if error.errno == errno.EROFS:
        fault, advice = "is on a read-only disk", f"mount it writable, or {other}"
    elif error.errno in FULL:
        fault, advice = "is on a full disk", "free some space; what was made is kept, and the next run makes the rest"
    elif isinstance(error, FileExistsError | NotADirectoryError):
        fault, advice = "is not a folder", other
    return FolderError(f"{root}: {fault} ({error.strerror}): {advice}")


def intents_of(actions: Iterable[Action], kind: LinkKind) -> str:
    """Return, as JSON, those actions that change the disk so that the record has to follow; "" when there are none."""
    intents = list(_intents(actions, kind))
    return json.dumps(intents) if intents else ""


def _intents(actions: Iterable[Action], kind: LinkKind) -> Iterator[tuple[object, ...]]:
    for action in actions:
        match action:
            case MoveFolder(person_id, old, new, is_done=False):
                yield "move", person_id, old, new
            case MakeFolder(person_id, path, is_done=False):
                yield "folder", person_id, path
            case MakeLink(person_id, photo_id, path, source, target, is_done=False):
                yield "link", person_id, photo_id, path, source, target, kind
            case MoveLink(_, person_id, photo_id, _, path, source):
                yield "link", person_id, photo_id, path, source, source, kind


def resume(intents: str, root: Path, folders: Mapping[int, str], ledger: Ledger) -> bool:
    """Tell the ledger which of these actions were done; False when that cannot be seen, because the folder is not
    there.

    Args:
        intents: of the run that was cut off; all that it did before them is recorded.
        folders: the recorded folder of each person.

    Raises:
        FolderError: the folder cannot be read.
    """
    try:
        with OpenedFolder(os.path.realpath(root)) as opened:
            if not exists(MARKER, opened.top):
                return False
            recovery = _Recovery(opened, dict(folders), ledger)
            for intent in json.loads(intents):
                recovery.at(intent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refusal(root, error) from error
    return True


class _Recovery:
    """Checks on the disk what was to be done, in that order."""

    def __init__(self, opened: OpenedFolder, folders: dict[int, str], ledger: Ledger) -> None:
        self._opened, self._folders, self._ledger = opened, folders, ledger

    def at(self, intent: Sequence[Any]) -> None:
        match intent:
            case ["move", person_id, old, new]:
                self._move(person_id, old, new)
            case ["folder", person_id, path]:
                self._folder(person_id, path)
            case ["link", person_id, photo_id, path, source, target, kind]:
                self._link(person_id, photo_id, path, source, target, kind)

    def _move(self, person_id: int, old: str, new: str) -> None:
        is_moved = self._entry(new).kind == "dir" and self._entry(old).kind != "dir"
        if is_moved and self._folders.get(person_id) == old:
            self._folders[person_id] = new
            self._ledger.folder_moved(person_id, old, new)

    def _folder(self, person_id: int, path: str) -> None:
        is_new = person_id not in self._folders and path not in self._folders.values()
        if is_new and self._entry(path).kind == "dir":
            self._folders[person_id] = path
            self._ledger.folder_made(person_id, path)

    def _link(self, person_id: int, photo_id: int, path: str, source: str, target: str, kind: LinkKind) -> None:
        entry = self._entry(path)
        if kind == "face":
            stamp = self._face_stamp(path, entry)
        else:
            stamp = f"symlink:{target}" if kind == "symlink" else read_entry(target).stamp(kind)
        if entry.bears(stamp):
            self._ledger.link_made(person_id, photo_id, path, source, stamp)
        elif home_of(path) != (year := path.rpartition("/")[0]):
            with contextlib.suppress(OSError):  # it was made for the link, and may be empty
                os.rmdir(year.rpartition("/")[2], dir_fd=self._opened.enter(home_of(path)))

    def _face_stamp(self, path: str, entry: FolderEntry) -> str:
        folder, _, name = path.rpartition("/")
        face_id = face_in(name, self._opened.enter(folder)) if entry.kind == "file" else None
        return f"{entry.stamp('face')}:{face_id}" if face_id is not None else ""

    def _entry(self, path: str) -> FolderEntry:
        folder, _, name = path.rpartition("/")
        try:
            return read_entry(name, self._opened.enter(folder))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return FolderEntry("other")
            raise
