"""Files that are there as a whole or not at all; those that a user names are checked before the work, and never lie
among the photos."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from facewatch.errors import LibraryError

UNSUPPORTED = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
"""How file systems refuse a kind of link."""


@contextmanager
def replacing(
    path: Path, part: Path | None = None, *, removes_part: bool = False, mode: int | None = 0o600
) -> Iterator[BinaryIO]:
    """Yield a new file to write, which takes the place of `path` at once when all went well, and vanishes when not.

    It is not synced.

    Args:
        part: its name until then, for one writer; None: one that no other writer has. What a kill left there is
            written over, unless it is a link.
        removes_part: what a kill left there is removed instead; it may belong to somebody else, or be a link.
        mode: its rights; None: those that the umask leaves.

    Raises:
        OSError: the file cannot be written.
    """
    if part is None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        part = Path(name)
    else:
        if removes_part:
            part.unlink(missing_ok=True)
        how = os.O_EXCL if removes_part else os.O_TRUNC | os.O_NOFOLLOW
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666 if mode is None else mode)
    try:
        with os.fdopen(handle, "wb") as file:
            if mode is not None:
                os.fchmod(handle, mode)
            yield file
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_part(name: str, text: str, dir_fd: int, mode: int) -> None:
    """Write a file that is to be renamed when it is whole; what was left of one that was not goes."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=dir_fd)
    with os.fdopen(handle, "w", encoding="utf-8") as part:
        part.write(text)


def rename_apart(old: str | Path, new: str | Path, *, old_fd: int | None = None, new_fd: int | None = None) -> None:
    """Rename a file, of one opened folder into another where these are given; fail when the new name is taken."""
    try:
        # Unlike rename(2), this never replaces anything.
        os.link(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if exists(new, new_fd):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        os.rename(old, new, src_dir_fd=old_fd, dst_dir_fd=new_fd)
    else:
        os.unlink(old, dir_fd=old_fd)


def exists(name: str | Path, dir_fd: int | None = None) -> bool:
    """Whether anything has this name, in an opened folder where it is given, be it a link to nowhere."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk; file systems that know no such thing are let be."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def check_target(file: Path, *, suffix: str, photos: Iterable[Path]) -> None:
    """Refuse a file that could not be written when the work is done; `photos` are the folders that hold some.

    Raises:
        LibraryError: it has another suffix, is a folder, lies among the photos, or its folder cannot be written.
    """
    if file.suffix.lower() != suffix:
        raise LibraryError(f"{file}: its name must end in {suffix}, so that nothing else is written over by mistake")
    if file.is_dir():
        raise LibraryError(f"{file}: a folder; name a file in it, for example {file / ('evaluation' + suffix)}")
    if not file.absolute().parent.is_dir():
        raise LibraryError(f"{file}: there is no folder {file.absolute().parent}; make it, or name another")
    for folder in photos:
        if file.resolve().is_relative_to(folder.resolve()):
            raise LibraryError(f"{file}: lies among the photos of {folder}, which are only read; name another place")
    try:
        handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=".facewatch-")
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error.strerror}; name another place") from error
    os.close(handle)
    Path(name).unlink()


@contextmanager
def written_at_once(file: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """Yield a new file to write, which takes the place of `file` when all went well, and vanishes when not.

    Raises:
        LibraryError: the folder cannot be written, or has no room.
    """
    try:
        with replacing(file, file.with_name(f".{file.name}.part-{os.getpid()}"), mode=mode) as part:
            yield part
    except OSError as error:
        raise LibraryError(f"{file}: cannot be written: {error.strerror}; name another place") from error
