"""Locks between processes. The kernel holds them, so they die with their holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facewatch.errors import BusyError, CatalogError

_RETRY_SECONDS = 0.02


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
        CatalogError: the lock file cannot be made.
    """
    try:
        # It is emptied below: that must never be a file that somebody put a link to here.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CatalogError(
            f"{path}: cannot be opened for locking: {error.strerror}; check the folder's rights"
        ) from error
    try:
        _acquire(handle, path, clock() + wait_seconds, clock, sleep)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{purpose} (process {os.getpid()})".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _acquire(
    handle: int, path: Path, deadline: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if clock() >= deadline:
                raise BusyError(f"{path.name}: held by {_holder(handle)}; wait for it or stop it") from error
        except OSError as error:
            raise CatalogError(
                f"{path}: this file system has no locks ({error.strerror}); put the catalog on a local disk"
            ) from error
        sleep(_RETRY_SECONDS)


def holder(path: Path) -> str | None:
    """Return who holds the lock, as it said itself, or None when it is free."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    finally:
        os.close(handle)
    return None


def _holder(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace") or "another facewatch process"
