"""Opens and stats what lies below a folder, and never by way of a link.

The folder itself may be a link, or be reached through some: it is what the user named. Below it each component of a
path is opened by its own name from the folder before it, so that nobody can lead the way out by putting a link in its
place, not even at the worst instant. (Linux alone has one call for this, openat2.)
"""

from __future__ import annotations

import errno
import os
import stat
import string
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from facewatch.types import Fingerprint

_ENTER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""With O_PATH a folder need not be readable to be passed through, as in any other path."""

_IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.EMLINK, errno.ENXIO, errno.EOPNOTSUPP}
"""How systems say that a component is a link (EMLINK on FreeBSD), no folder, or a socket (the last two)."""


def open_beneath(root: str, path: str, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file below a folder; follows no link below it, and never waits for a pipe.

    Args:
        root: a folder, which may be a link.
        path: below it, with "/"; undecodable bytes as surrogates.
        flags: as `os.open` takes them. No file is ever made.

    Raises:
        FileNotFoundError: there is no regular file of this path, perhaps because a link or a file is in the way.
        OSError: it cannot be opened.
        ValueError: the path is empty, absolute, or has an empty component, "." or "..".
    """
    check_beneath(path)
    folder, _, name = path.rpartition("/")
    inside = open_folder_beneath(root, folder)
    try:
        return open_file(name, inside, flags)
    finally:
        os.close(inside)


def open_folder_beneath(root: str, path: str) -> int:
    """Return a descriptor of a folder below a folder, to be used as `dir_fd`; "" is the folder itself, link or not.

    Raises:
        FileNotFoundError: there is no folder of this path, perhaps because a link or a file is in the way.
        OSError: it cannot be entered.
        ValueError: as `open_beneath`.
    """
    if path:
        check_beneath(path)
    inside = os.open(root, _ENTER)
    for name in path.split("/") if path else ():
        outside = inside
        try:
            inside = enter(name, outside)
        except OSError as error:
            raise _gone(path, error) from error
        finally:
            os.close(outside)
    return inside


def enter(name: str, dir_fd: int) -> int:
    """Return a descriptor of a folder in an opened folder; `name` is one component.

    Raises:
        OSError: it is not there, is a link or no folder, or cannot be entered.
    """
    return os.open(name, _ENTER | os.O_NOFOLLOW, dir_fd=dir_fd)


def open_file(name: str, dir_fd: int, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a regular file in an opened folder; `name` is one component.

    Raises:
        FileNotFoundError: there is no regular file of this name.
        OSError: it cannot be opened.
    """
    try:
        handle = os.open(name, flags & ~os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        raise _gone(name, error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "not a file", name)
    return handle


def check_beneath(path: str) -> None:
    """Raise ValueError unless a path, by its text, leads to something below where it starts."""
    if any(name in {"", ".", ".."} for name in path.split("/")):
        raise ValueError(f"not a path below a folder: {path!a}")


def _gone(path: str, error: OSError) -> OSError:
    """Return the error to raise: what is reached only through a link, or through a file, is not below the folder."""
    if error.errno in _IN_THE_WAY:
        return FileNotFoundError(errno.ENOENT, "not there, or only by way of a link", path)
    return error


FRESH_SECONDS = 0.1
"""How long a folder's names are believed without listing it again: thousands of files in one folder are checked in a
row, and a name that changes meanwhile is reported."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What says that nothing has this name. A disk that fails, a folder that may not be read, or a server that is away says
nothing of the kind."""

_SWAP_CASE = str.maketrans(
    string.ascii_lowercase + string.ascii_uppercase, string.ascii_uppercase + string.ascii_lowercase
)


class DiskCalls:
    """What is asked of the disk; a test has its own."""

    def lstat(self, path: str) -> os.stat_result:
        return os.lstat(path)

    def listdir(self, path: str) -> Iterable[str]:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries]

    def now(self) -> float:
        return time.monotonic()


def stat_below(root: Path, disk: DiskCalls | None = None) -> Callable[[str], Fingerprint | None]:
    """Return a function that gives the fingerprint of a regular file below the root, None where there is none.

    Where the disk takes several spellings for one name (upper and lower case, composed and decomposed letters), there
    is a file only under the name that its folder lists: a file that changed only its spelling is gone under the old.

    The function raises OSError where it cannot be found out whether there is one.
    """
    disk = disk or DiskCalls()
    spelling = _Spelling(str(root), disk)
    way = _Way(str(root), disk)

    def fingerprint(path: str) -> Fingerprint | None:
        status = _status_of(f"{root}/{path}", disk) if way.is_real(path) else None
        if status is None or not stat.S_ISREG(status.st_mode) or not spelling.is_right(path, status):
            return None
        return Fingerprint.of(status)

    return fingerprint


def is_folder_below(root: Path, path: str, disk: DiskCalls | None = None) -> bool:
    """Whether there is a folder at this path below the root, spelled so; a link to one is none.

    Raises:
        OSError: it cannot be found out.
    """
    disk = disk or DiskCalls()
    status = _status_of(f"{root}/{path}", disk)
    return status is not None and stat.S_ISDIR(status.st_mode) and _Spelling(str(root), disk).is_right(path, status)


def _status_of(path: str, disk: DiskCalls) -> os.stat_result | None:
    """Return the status of what has this name, None where nothing has.

    Raises:
        OSError: it cannot be found out.
    """
    try:
        return disk.lstat(path)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return None


class _Way:
    """Tells whether the folders on the way to a file are folders: what is behind a link is not ours."""

    def __init__(self, root: str, disk: DiskCalls) -> None:
        self._root = root
        self._disk = disk
        self._folder = ""
        self._asked_at: float | None = None

    def is_real(self, path: str) -> bool:
        """Whether no folder on the way is a link.

        Raises:
            OSError: it cannot be found out.
        """
        folder, now = path.rpartition("/")[0], self._disk.now()
        if folder == self._folder and self._asked_at is not None and now - self._asked_at <= FRESH_SECONDS:
            return True
        end = 0
        while folder and end >= 0:
            end = folder.find("/", end + 1)
            status = _status_of(f"{self._root}/{folder[:end] if end >= 0 else folder}", self._disk)
            if status is None or not stat.S_ISDIR(status.st_mode):
                return False
        self._folder, self._asked_at = folder, now
        return True


def is_gone_below(root: Path, path: str) -> bool:
    """Whether a file is surely not there."""
    try:
        return stat_below(root)(path) is None
    except OSError:
        return False


class _Spelling:
    """Tells whether names are spelled as their folders list them."""

    def __init__(self, root: str, disk: DiskCalls) -> None:
        self._root = root
        self._disk = disk
        self._folder = ""
        self._names: frozenset[str] = frozenset()
        self._listed_at: float | None = None

    def is_right(self, path: str, status: os.stat_result) -> bool:
        """Whether a path that leads to this file is spelled right in all its parts. Costs a listing only where
        another spelling leads there too; where that fails, it is believed: nothing is lost for want of a listing.
        """
        folder, _, name = path.rpartition("/")
        if not any(self._is_same(folder, other, status) for other in _respelled(name)):
            return True
        try:
            return self._is_listed(path)
        except OSError:
            return True

    def _is_same(self, folder: str, name: str, status: os.stat_result) -> bool:
        try:
            return _key_of(self._disk.lstat(self._absolute(f"{folder}/{name}" if folder else name))) == _key_of(status)
        except OSError:
            return False

    def _is_listed(self, path: str) -> bool:
        while path:
            path, _, name = path.rpartition("/")
            if name not in self._names_in(path):
                return False
        return True

    def _names_in(self, folder: str) -> frozenset[str]:
        now = self._disk.now()
        if self._listed_at is None or folder != self._folder or now - self._listed_at > FRESH_SECONDS:
            self._names = frozenset(self._disk.listdir(self._absolute(folder)))
            self._folder, self._listed_at = folder, now
        return self._names

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root


def _key_of(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _respelled(name: str) -> set[str]:
    """Return the names that a disk may take for the same."""
    cases = {name.translate(_SWAP_CASE), name.swapcase()}
    return (cases | {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}) - {name}
