"""Sidecars on the disk: read and written below a folder, never by way of a link, each as a whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from facewatch.fs.atomic import exists, rename_apart
from facewatch.fs.beneath import enter, open_file, open_folder_beneath
from facewatch.regions.rdf import MAX_BYTES
from facewatch.types import Fingerprint

SUFFIX = ".xmp"
"""What is written ends so, and nothing else is ever written: no photo does."""

PART = ".facewatch.xmp.part"
"""One that is not whole yet; what a kill left of one goes with the next that is written in its folder."""

NO_FILE = Fingerprint(0, 0, 0)
"""That of a sidecar which is not there."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar as it was read."""

    data: bytes
    status: os.stat_result

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of(self.status)


def fingerprint_of(root: str, path: str) -> Fingerprint:
    """Return what shows whether a sidecar has changed; `NO_FILE`: there is none."""
    try:
        return Fingerprint.of(os.lstat(f"{root}/{path}"))
    except OSError:
        return NO_FILE


def read_sidecar(root: str, path: str) -> Sidecar | None:
    """Return a sidecar, of a huge one the beginning; None: nothing has its name.

    Raises:
        OSError: it cannot be read, or is a link, or no file.
    """
    folder, _, name = path.rpartition("/")
    try:
        inside = open_folder_beneath(root, folder)
    except FileNotFoundError:
        return None
    try:
        if not exists(name, inside):
            return None
        with os.fdopen(open_file(name, inside), "rb") as file:
            return Sidecar(file.read(MAX_BYTES + 1), os.fstat(file.fileno()))
    finally:
        os.close(inside)


def write_sidecar(
    root: str, path: str, data: bytes, *, before: Sidecar | None, mode: int, makes_folders: bool
) -> Fingerprint:
    """Write a sidecar in the place of the one that was read, whose rights it keeps; None: there was none.

    Args:
        mode: the rights of a new one.
        makes_folders: make those on the way that are not there.

    Raises:
        FileExistsError: another program has written there since it was read; that stays.
        OSError: it cannot be written, or a link is in the way.
    """
    folder, _, name = path.rpartition("/")
    if not name.lower().endswith(SUFFIX):
        raise ValueError(f"no sidecar: {path!a}")
    with _opened(root, folder, makes_folders=makes_folders) as inside:
        try:
            _write_part(data, inside, before.status if before else None, mode)
            if before is None:
                rename_apart(PART, name, old_fd=inside, new_fd=inside)
            else:
                _check_unchanged(name, inside, before)
                os.replace(PART, name, src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            with suppress(OSError):
                os.unlink(PART, dir_fd=inside)
            raise
        return Fingerprint.of(os.stat(name, dir_fd=inside, follow_symlinks=False))


@contextmanager
def _opened(root: str, folder: str, *, makes_folders: bool) -> Iterator[int]:
    inside = open_folder_beneath(root, "" if makes_folders else folder)
    try:
        for name in folder.split("/") if folder and makes_folders else ():
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=inside)
            outside, inside = inside, enter(name, inside)
            os.close(outside)
        yield inside
    finally:
        os.close(inside)


def _write_part(data: bytes, inside: int, before: os.stat_result | None, mode: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(PART, dir_fd=inside)
    handle = os.open(PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=inside)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        if before is not None:
            with suppress(OSError):  # another's file, as far as one may give away what is one's own
                os.fchown(handle, before.st_uid, before.st_gid)
            os.fsync(handle)  # others' work is in it: a power failure must not leave an empty file
        os.fchmod(handle, (before.st_mode if before else mode) & 0o777)


def _check_unchanged(name: str, inside: int, before: Sidecar) -> None:
    now = os.stat(name, dir_fd=inside, follow_symlinks=False)
    if Fingerprint.of(now) != before.fingerprint:
        raise FileExistsError(errno.EEXIST, "changed meanwhile", name)
