"""Events on Linux: one inotify watch per folder that is not skipped; lost events are noticed.

A folder is watched before it is listed, so that whatever is made in it is either reported or listed. A folder that
moves is left under its old name and entered under the new one: what it was called is never reported again.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from facewatch.watcher.events import EventSource, Skips

log = logging.getLogger(__name__)

_APPEARS = InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO
_DISAPPEARS = InotifyConstants.IN_DELETE | InotifyConstants.IN_MOVED_FROM
_SELF_LOST = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF

# Without IN_MODIFY, which comes at every write of a long copy: the file's creation was reported, the debouncer checks
# whether it still grows, and its closing is reported again. Attributes tell of files that become readable. Writing
# through a mapping, and truncating by name, is reported with neither: the next full scan finds it.
_MASK = Mask(
    _APPEARS
    | _DISAPPEARS
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)
_ROOT_MASK = Mask(_MASK | _SELF_LOST)
"""The root may be a link; what happens to any other folder itself, the one it is in tells, by name."""
_BELOW_MASK = Mask(_MASK | InotifyConstants.IN_DONT_FOLLOW)

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(slots=True)
class _WatchedFolder:
    """A folder that is watched."""

    wd: WatchDescriptor
    callback: CallbackId
    below: set[str] = field(default_factory=set)
    """The paths of the watched folders directly in it."""


def names_in(folder: str) -> list[str]:
    """Return the names of the folders in a folder; links to folders are none.

    Raises:
        OSError: it cannot be listed.
    """
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


class Paths:
    """Paths below a root; finds those within a folder without going through the others, however many there are."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._below: dict[str, set[str]] = {}
        """For every folder above one of the paths: what lies directly in it and is one of them, or above one."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str) -> None:
        self._paths.add(path)
        while path:
            folder = path.rpartition("/")[0]
            below = self._below.setdefault(folder, set())
            if path in below:
                return
            below.add(path)
            path = folder

    def within(self, folder: str) -> list[str]:
        """Return those that are this folder ("" is the root) or below it, sorted."""
        found, todo = [], [folder]
        while todo:
            path = todo.pop()
            if path in self._paths:
                found.append(path)
            todo += self._below.get(path, ())
        return sorted(found)

    def take_within(self, folder: str) -> list[str]:
        """Return those that are this folder or below it, sorted, and keep them no longer."""
        taken, todo = self.within(folder), [folder]
        while todo:
            todo += self._below.pop(todo.pop(), ())
        self._paths.difference_update(taken)
        self._forget_above(folder)
        return taken

    def clear(self) -> None:
        self._paths.clear()
        self._below.clear()

    def _forget_above(self, path: str) -> None:
        """Forget a path, and the folders above it that were known for nothing else."""
        while path and path not in self._paths and path not in self._below:
            folder = path.rpartition("/")[0]
            below = self._below.get(folder, set())
            below.discard(path)
            if not below:
                self._below.pop(folder, None)
            path = folder


class InotifySource(EventSource):
    """Keeps the watches complete and puts their events into the buffer."""

    def __init__(
        self,
        root: Path,
        *,
        skips: Skips,
        open_fd: Callable[[], InotifyFD] = InotifyFD,
        names_in: Callable[[str], list[str]] = names_in,
    ) -> None:
        super().__init__(root, skips=skips)
        self._open_fd = open_fd
        self._names_in = names_in
        self._fd: InotifyFD | None = None
        self._ids = itertools.count()
        self._lock = threading.RLock()
        """Held while the book-keeping changes; the reader never holds its own lock when it calls."""
        self._folders: dict[str, _WatchedFolder] = {}
        self._paths: dict[WatchDescriptor, str] = {}
        self._unwatched = Paths()
        """Folders that the kernel refused, and those that are watched but could not be listed."""
        self._unreadable = Paths()
        """The same where the reason is that nobody here may read them."""
        self._fault: OSError | None = None

    @property
    def unwatched(self) -> frozenset[str]:
        with self._lock:
            return frozenset({""} if self._is_dead else self._unwatched)

    @property
    def fault(self) -> str | None:
        with self._lock:
            if self._is_dead:
                return "listening ended unexpectedly"
            return _in_words(self._fault) if self._fault else None

    @property
    def is_closed(self) -> bool:
        with self._lock:
            return self._fd is None or self._is_dead

    @property
    def _is_dead(self) -> bool:
        return self._fd is not None and not self._fd.is_alive()

    def start(self) -> None:
        try:
            self._fd = self._open_fd()
        except OSError as error:
            raise OSError(error.errno, _in_words(error), self._root) from error
        # Started first: it frees what it holds only at the end of its thread.
        self._fd.start()
        try:
            self.complete()
            if "" in self._unwatched and self._fault:
                raise OSError(self._fault.errno, _in_words(self._fault), self._root)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, None
            for known in (self._folders, self._paths, self._unwatched, self._unreadable):
                known.clear()
            self._fault = None
        if fd is not None:
            if not fd.is_alive():
                fd._is_reading = False  # or it would leave it to its thread to free what it holds
            fd.stop()
            fd.join()

    def complete(self) -> None:
        """Watch what is there and should be watched, under its present name, and nothing else."""
        with self._lock:
            if self._fd is None:
                return
            self._enter("", relist=True)

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            folder = self._paths.get(event.wd)
            if folder is not None and self._fd is not None:
                self._guard(lambda: self._follow_event(folder, event))

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The folder was deleted, or what was mounted there unmounted: then another folder has its name now."""
        with self._lock:
            folder = self._paths.get(wd)
            if folder is not None and self._fd is not None:
                self._guard(lambda: self._renew(folder))

    def on_queue_overflow(self) -> None:
        """Folders may have come, gone and moved unheard."""
        if self._fd is not None:
            self._guard(self.complete)
            self._buffer.overflow()

    def _guard(self, act: Callable[[], None]) -> None:
        """Do it in the reader's thread, which no fault may end: no event would be taken from then on."""
        try:
            act()
        except Exception:  # in a thread that must go on: a full scan makes up for it
            log.exception("%s: cannot follow what happens", self._root)
            self._buffer.overflow()

    def _follow_event(self, folder: str, event: InotifyEvent) -> None:
        if not event.name:
            if event.mask & (_SELF_LOST | InotifyConstants.IN_UNMOUNT) and not folder:
                self._renew("")
        elif event.mask & InotifyConstants.IN_ISDIR:
            self._add_folder_event(_join(folder, os.fsdecode(event.name)), event.mask)
        else:
            self._add_file_event(folder, os.fsdecode(event.name), event.mask)

    def _add_folder_event(self, path: str, mask: int) -> None:
        if mask & _APPEARS and not self._skips(path):
            self._enter(path)
            self._buffer.add_folder(path)
        elif mask & _DISAPPEARS and (path in self._folders or not self._skips(path)):
            self._leave(path)
            self._forget_refusals(path)
            self._buffer.add_folder(path)
        elif mask & InotifyConstants.IN_ATTRIB:
            self._try_again(path)
            # It may not be readable any more, or be entered from now on: a scan shows that.
            if not self._skips(path):
                self._buffer.add_folder(path)

    def _add_file_event(self, folder: str, name: str, mask: int) -> None:
        self._buffer.add_file(_join(folder, name))
        # A hidden file may be the mark that its folder is none of our business.
        if mask & _APPEARS and name.startswith(".") and folder and self._skips(folder):
            self._leave(folder)
            self._forget_refusals(folder)
            self._buffer.add_folder(folder)

    def _renew(self, path: str) -> None:
        """Something else has this name now, or nothing."""
        self._leave(path)
        self._enter(path)
        self._buffer.add_folder(path)

    def _try_again(self, path: str) -> None:
        """The rights to a folder changed: what could not be read in it before, maybe can be now."""
        for folder in self._unreadable.within(path):
            self._enter(folder)
            if folder in self._folders:
                self._buffer.add_folder(folder)

    def _enter(self, path: str, *, relist: bool = False) -> None:
        """Watch a folder and all below it; what was refused is tried again, and what is watched and was listed already
        is listed again only with `relist`.

        Where the kernel allows no more, what sorts first is left out: in a library by years, the oldest.
        """
        refused = self._forget_refusals(path)
        unlisted = set(refused)
        todo = [path] if relist else [*(folder for folder in refused if not self._skips(folder)), path]
        while todo:
            folder = todo.pop()
            is_new = self._watch(folder)
            if folder in self._folders and (is_new or relist or folder in unlisted):
                unlisted.discard(folder)
                below = self._folders_in(folder)
                for lost in self._folders[folder].below.difference(below):
                    self._leave(lost)
                todo += sorted(below)

    def _folders_in(self, folder: str) -> list[str]:
        """Return the folders in a watched one that are our business; where it cannot be listed, those known already."""
        try:
            paths = [_join(folder, name) for name in self._names_in(self._absolute(folder))]
        except OSError as error:
            self._note_refusal(folder, error)
            paths = [] if error.errno in _GONE else [*self._folders[folder].below]
        return [path for path in paths if not self._skips(path)]

    def _watch(self, path: str) -> bool:
        """Watch one folder, not what is below it; return whether that is new."""
        assert self._fd is not None
        # Another one each time, to tell what is registered now from what was.
        callback = CallbackId(next(self._ids))
        mask = _BELOW_MASK if path else _ROOT_MASK
        try:
            wd = self._fd.add_callback(os.fsencode(self._absolute(path)), mask, self, callback)
        except OSError as error:
            self._refuse(path, error)
            return False
        if wd == -1:  # which is how watchdog says EACCES, and it keeps the callback
            self._fd.remove_callbacks([(wd, callback)])
            self._refuse(path, OSError(errno.EACCES, os.strerror(errno.EACCES)))
            return False
        return self._register(path, wd, callback)

    def _register(self, path: str, wd: WatchDescriptor, callback: CallbackId) -> bool:
        assert self._fd is not None
        known, other = self._folders.get(path), self._paths.get(wd)
        if known is not None and other == path:
            self._fd.remove_callbacks([(wd, known.callback)])
            known.callback = callback
            return False
        if other is not None and self._are_same(other, path):
            self._fd.remove_callbacks([(wd, callback)])
            self._refuse(path, OSError(errno.EEXIST, f"{path} is mounted twice, also as {other or self._root}"))
            return False
        # It was called otherwise, or something else was called so: the kernel's news of that is still to come.
        if other is not None:
            self._leave(other)
        self._leave(path)
        if path:
            parent = self._folders.get(path.rpartition("/")[0])
            if parent is None:
                self._fd.remove_callbacks([(wd, callback)])
                return False
            parent.below.add(path)
        self._folders[path] = _WatchedFolder(wd, callback)
        self._paths[wd] = path
        return True

    def _refuse(self, path: str, error: OSError) -> None:
        self._leave(path)
        self._note_refusal(path, error)

    def _note_refusal(self, path: str, error: OSError) -> None:
        if path and error.errno in _GONE:
            return
        if path and error.errno == errno.EACCES:
            # Nobody here could list it either: nothing to poll.
            self._unreadable.add(path)
            return
        self._unwatched.add(path)
        self._fault = error

    def _leave(self, path: str) -> None:
        """Watch a folder and all below it no longer."""
        lost, todo = [], [path]
        while todo:
            folder = self._folders.pop(todo.pop(), None)
            if folder is not None:
                del self._paths[folder.wd]
                lost.append((folder.wd, folder.callback))
                todo += folder.below
        if path and (parent := self._folders.get(path.rpartition("/")[0])):
            parent.below.discard(path)
        if lost and self._fd is not None:
            self._fd.remove_callbacks(lost)

    def _forget_refusals(self, path: str) -> list[str]:
        """Return the folders in this one that were refused, and keep them no longer."""
        refused = self._unwatched.take_within(path) + self._unreadable.take_within(path)
        if not self._unwatched:
            self._fault = None
        return sorted(refused)

    def _are_same(self, path: str, other: str) -> bool:
        try:
            return Path(self._absolute(path)).samefile(self._absolute(other))
        except OSError:
            return False

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _in_words(error: OSError) -> str:
    """Say what the kernel refused and how it would not."""
    if error.errno == errno.ENOSPC:
        return f"the kernel watches no more folders ({_remedy('watches', 1_000_000)}"
    if error.errno == errno.EMFILE:
        return f"the kernel lets no more programs listen ({_remedy('instances', 1024)}"
    return error.strerror or str(error)


def _remedy(what: str, wanted: int) -> str:
    """Name the limit that is reached: the system's, or that of the container."""
    settings = {f"fs.inotify.max_user_{what}": None, f"user.max_inotify_{what}": None}
    limits = {name: limit for name in settings if (limit := _limit(name)) is not None}
    name = min(limits, key=lambda name: limits[name], default=next(iter(settings)))
    known = f" = {limits[name]}" if name in limits else ""
    return (
        f"{name}{known}): sudo sysctl {name}={wanted}; "
        f"to keep it: echo {name}={wanted} | sudo tee /etc/sysctl.d/60-facewatch.conf"
    )


def _limit(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text())
    except (OSError, ValueError):
        return None
