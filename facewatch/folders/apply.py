"""From a plan to links on disk: each action on disk first, then in the ledger; safe to stop anywhere.

What is about to be done is recorded before; after a crash, `recovery` records what was done of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from shutil import disk_usage

from facewatch.errors import FolderError
from facewatch.folders.disk import (
    LinkMaker,
    OpenedFolder,
    make_link,
    opened_folder_of,
    read_entry,
    remove_covers,
)
from facewatch.folders.marks import FACE_KEY, marked
from facewatch.folders.model import (
    PARENTS,
    PART,
    Action,
    Applied,
    FaceMaker,
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
from facewatch.fs.mounts import is_folder
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
    pause: Callable[[], bool] = lambda: True,
) -> Applied:
    """Do what the plan says, each action first on disk and then in the ledger; safe to stop anywhere.

    Nothing is done outside the people folder, even if somebody puts a link in the place of a folder in it meanwhile.
    What cannot be done is left for the next run and listed in `faults`.

    Args:
        libraries: the roots of the library. What a hard link or a copy is made of is reached from there without
            following a link, so that nothing from elsewhere gets into the people folder.
        intend: is called with what comes next, some actions at a time (see `recovery`).
        pause: is called after each link that took its time; False: the plan does not hold any more, the rest is left.

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
            is_whole = all(_do_some(work, batch, ledger, intend, pause) for batch in _batches(todo.actions))
        finally:
            ledger.commit()
    faults = (*todo.faults, *work.all_faults())
    return Applied(work.n_made, work.n_removed, work.n_moved, faults, todo.actions[: work.n_tried], is_whole)


def _batches(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    yield from (actions[start : start + _BATCH] for start in range(0, len(actions), _BATCH))


def _do_some(
    work: _Work,
    batch: Sequence[Action],
    ledger: Ledger,
    intend: Callable[[Sequence[Action]], None],
    pause: Callable[[], bool],
) -> bool:
    """Do these actions, and return whether to go on."""
    # What was done before must be on record by then: later intents take the place of earlier ones.
    ledger.commit()
    intend(batch)
    for action in batch:
        work.do(action)
        if work.is_slow and isinstance(action, MakeLink) and not action.is_done and not pause():
            return False
    return True


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
        self.n_tried = 0
        self.is_slow = kind in ("face", "copy")
        """What it makes takes its time."""
        self.faults: list[str] = []
        self._opened, self._shown, self._libraries = opened, shown, libraries
        self._kind, self._ledger, self._make, self._make_face = kind, ledger, make_link, make_face
        self._is_making = False
        self._failed: set[str] = set()
        """Folders that could not be made, moved or entered: one cause gives one fault, not one per link."""
        self._away: Counter[str] = Counter()
        """How many photos could not be had, by the library that is not there."""

    def do(self, action: Action) -> None:
        """Do one action; a fault of its own is noted, one of the whole disk is raised."""
        self.n_tried += 1
        if _folder_of(action) in self._failed:
            self._give_up(action)
            return
        try:
            self._act(action)
        except OSError as error:
            if error.errno in FULL:
                raise refusal(self._shown, error) from error
            if isinstance(action, MakeLink) and (library := self._library_away(action.source)) is not None:
                self._away[library] += 1
            else:
                self.faults.append(printable(f"cannot {action}: {error.strerror}"))
            if isinstance(action, MoveFolder | MakeFolder) or isinstance(error, NotADirectoryError):
                self._give_up(action)

    def _library_away(self, source: str) -> str | None:
        """Return the library of a photo, if it is not there; None: it is, or none is known of."""
        library = next((root for root in self._libraries if source.startswith(f"{root.rstrip('/')}/")), None)
        return library if library is not None and not is_folder(Path(library)) else None

    def all_faults(self) -> Iterator[str]:
        yield from self.faults
        for library, n in self._away.items():
            wait = f"{plural(n, 'photo')} of people {'waits' if n == 1 else 'wait'}"
            yield printable(f"{library}: is not there; {wait} for it")

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
        is_there = action.stamp is not None and read_entry(name, dir_fd).bears(action.stamp)
        if is_there or self._kind not in ("symlink", "hardlink"):
            self._put_whole(action, jpeg, name, dir_fd, os.rename if is_there else _rename_apart)
        else:
            self._make_at(action, jpeg, name, dir_fd)
        made = read_entry(name, dir_fd).stamp(self._kind)
        stamp = f"symlink:{action.target}" if self._kind == "symlink" else made
        stamp = f"{made}:{action.face_id or 0}" if self._kind == "face" else stamp
        try:
            self._check_in_place(action.path)
        except NotADirectoryError:
            self._unlink(name, dir_fd, stamp)
            raise
        self.n_made += 1
        return stamp

    def _put_whole(self, action: MakeLink, jpeg: bytes, name: str, dir_fd: int, rename: Callable[..., None]) -> None:
        """Make what has its name only when it is whole: a file, or what takes the place of a link of ours, so that a
        crash leaves the old one or the new."""
        self.discard_part()
        top = self._opened.top
        try:
            self._make_at(action, jpeg, PART, top)
            rename(PART, name, src_dir_fd=top, dst_dir_fd=dir_fd)
        finally:
            self.discard_part()

    def _make_at(self, action: MakeLink, jpeg: bytes, name: str, dir_fd: int) -> None:
        if self._kind == "symlink":
            self._make("symlink", action.target, name, target_fd=None, dir_fd=dir_fd)
        elif self._kind == "face":
            self._write_face(jpeg, action, name, dir_fd)
        else:
            with opened_folder_of(action.target, self._libraries) as folder:
                source = os.path.basename(action.target)
                self._make(self._kind, source, name, target_fd=folder, dir_fd=dir_fd)

    def _write_face(self, jpeg: bytes, action: MakeLink, name: str, dir_fd: int) -> None:
        """Write a picture, about the time of its photo and with its rights."""
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=dir_fd)
        with os.fdopen(handle, "wb") as file:
            file.write(marked(jpeg, f"{FACE_KEY}{action.face_id or 0}"))
            file.flush()
            with contextlib.suppress(OSError):
                photo = os.lstat(action.source)
                now = time_of_face(photo.st_mtime_ns, action.face_id, action.photo_id)
                os.utime(handle, ns=(now, now))
                os.fchmod(handle, photo.st_mode & 0o666)

    def discard_part(self) -> None:
        """Remove the beginning of a copy that a crash left."""
        with contextlib.suppress(OSError):
            os.unlink(PART, dir_fd=self._opened.top)


def _rename_apart(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
    rename_apart(old, new, old_fd=src_dir_fd, new_fd=dst_dir_fd)


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
