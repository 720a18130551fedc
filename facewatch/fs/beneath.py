"""Opens what lies below a folder, and never by way of a link.

The folder itself may be a link, or be reached through some: it is what the user named. Below it each component of a
path is opened by its own name from the folder before it, so that nobody can lead the way out by putting a link in its
place, not even at the worst instant. (Linux alone has one call for this, openat2.)
"""

from __future__ import annotations

import errno
import os
import stat

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
