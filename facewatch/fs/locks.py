"""Locks between processes. The kernel holds them, so they die with their holder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from facewatch.errors import BusyError, CatalogError, DiskFaultError, DiskFullError

log = logging.getLogger(__name__)

SILENT_SECONDS = 2.0
"""After how long of waiting for another process that is logged."""

_RETRY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock; as text it is what stands in the file."""

    purpose: str
    """"scan", "watch", "restore"."""
    pid: int | None = None
    """None: it did not say."""

    @property
    def is_watcher(self) -> bool:
        return self.purpose == "watch"

    def __str__(self) -> str:
        return self.purpose if self.pid is None else f"{self.purpose} (process {self.pid})"


_HOLDER = re.compile(r"(.*) \(process (\d+)\)", re.DOTALL)


def take_lock(handle: int, *, is_shared: bool = False) -> bool:
    """Take the lock on an opened file, which goes with its descriptor; False: somebody else holds it.

    Raises:
        OSError: its file system has no locks, or something else is wrong.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(handle: int) -> None:
    """Take the lock on an opened file, however long somebody else holds it."""
    fcntl.flock(handle, fcntl.LOCK_EX)


def is_file_of(handle: int, path: Path) -> bool:
    """Whether an opened file has this name still: a lock on a file without a name keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def file_lock(
    path: Path,
    *,
    wait_seconds: float,
    purpose: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock on this file, which says who holds it; the file stays behind, empty.

    Raises:
        BusyError: another process still holds it after `wait_seconds`.
        CatalogError: the lock file cannot be opened; a DiskFullError or DiskFaultError where that may pass.
    """
    try:
        # It is emptied below: that must never be a file that somebody put a link to here.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        _acquire(handle, path, wait_seconds, clock, sleep)
        _note(handle, str(Holder(purpose, os.getpid())))
        try:
            yield
        finally:
            _note(handle, "")
    finally:
        os.close(handle)


def _refusal(path: Path, error: OSError) -> CatalogError:
    fault = f"{path}: cannot be opened for locking: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{fault}; make room, nothing is lost")
    if error.errno == errno.EIO:
        return DiskFaultError(f"{fault}; check the disk and its cable")
    return CatalogError(f"{fault}; check the folder's rights")


def _note(handle: int, said: str) -> None:
    """Write who holds the lock as far as the disk takes it: the lock itself needs no disk, and must not hide what goes
    wrong while it is held."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, said.encode(), 0)


def _acquire(
    handle: int, path: Path, wait_seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    started, is_logged = clock(), False
    while True:
        try:
            if take_lock(handle):
                return
        except OSError as error:
            raise CatalogError(
                f"{path}: this file system has no locks ({error.strerror}); put the catalog on a local disk"
            ) from error
        waited = clock() - started
        if waited >= wait_seconds:
            raise BusyError(f"{path.name}: held by {_holder(handle)}; wait for it or stop it")
        if waited >= SILENT_SECONDS and not is_logged:
            is_logged = True
            log.warning("%s: held by %s; waiting for it, %.0f seconds at most", path, _holder(handle), wait_seconds)
        sleep(_RETRY_SECONDS)


def holder(path: Path) -> Holder | None:
    """Return who holds the lock, as it said itself, or None when it is free."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if take_lock(handle, is_shared=True) else _holder(handle)
    finally:
        os.close(handle)


def _holder(handle: int) -> Holder:
    said = os.pread(handle, 200, 0).decode(errors="replace") or "another facewatch process"
    known = _HOLDER.fullmatch(said)
    return Holder(known[1], int(known[2])) if known else Holder(said)
