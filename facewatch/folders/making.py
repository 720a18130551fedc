"""Makes links, in opened folders only."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from facewatch.folders.model import LinkKind
from facewatch.fs.beneath import open_file, open_folder_beneath


class LinkMaker(Protocol):
    """What makes one link in a folder of the people folder."""

    def __call__(self, kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
        """Make a link; never in place of something.

        Args:
            target: the text of a symlink; the file that a hard link or a copy is made of, in the folder `target_fd`.
            name: of the link, in the folder `dir_fd`.

        Raises:
            FileNotFoundError: the file is not there, or no file but a link, for instance.
            OSError: the link cannot be made.
        """


def make_link(kind: LinkKind, target: str, name: str, *, target_fd: int | None, dir_fd: int) -> None:
    """Make a symlink of that text, or a hard link to or a copy of that file (see `LinkMaker`)."""
    if kind == "symlink":
        os.symlink(target, name, dir_fd=dir_fd)
    elif target_fd is None:
        raise ValueError("a hard link or a copy is made of a file in an opened folder")
    elif kind == "hardlink":
        _link(target, name, target_fd, dir_fd)
    else:
        _copy(target, name, target_fd, dir_fd)


def _link(target: str, name: str, target_fd: int, dir_fd: int) -> None:
    os.link(target, name, src_dir_fd=target_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=dir_fd)  # only now is it known what was linked to
        raise FileNotFoundError(errno.ENOENT, "not a file", target)


def _copy(target: str, name: str, target_fd: int, dir_fd: int) -> None:
    with os.fdopen(open_file(target, target_fd), "rb") as source:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
        with os.fdopen(handle, "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            _copy_facts(source.fileno(), handle)


def _copy_facts(source: int, copy: int) -> None:
    """Give a copy the times, rights and tags of its source."""
    for tag in os.listxattr(source) if hasattr(os, "listxattr") else ():
        with contextlib.suppress(OSError):
            os.setxattr(copy, tag, os.getxattr(source, tag))
    info = os.fstat(source)
    os.fchmod(copy, stat.S_IMODE(info.st_mode) & 0o777)
    os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))


@contextmanager
def opened_folder_of(source: str, libraries: Sequence[str] = ()) -> Iterator[int]:
    """Give a descriptor of the folder that a file of the library is in; below its library no link is followed.

    Where none of the libraries is above the file, its folder is taken as it is reached.

    Raises:
        FileNotFoundError: there is no such folder, or only by way of a link.
        OSError: it cannot be entered.
    """
    folder = os.path.dirname(source)
    above = [root for root in (root.rstrip("/") for root in libraries) if f"{folder}/".startswith(f"{root}/")]
    root = max(above, key=len, default=folder)
    try:
        handle = open_folder_beneath(root or "/", folder[len(root) :].strip("/"))
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, "its folder is not there", source) from error
    try:
        yield handle
    finally:
        os.close(handle)
