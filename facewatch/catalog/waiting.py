"""Waiting for SQLite's lock on a catalog, when another program holds it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facewatch.fs import sidecar
from facewatch.fs.locks import SILENT_SECONDS
from facewatch.fs.sidecar import beside

log = logging.getLogger(__name__)

WRITE_WAIT_SECONDS = 30.0
"""How long a writer waits for another; the longest that one holds the lock is a folder sync after a large scan."""

_RETRY_SECONDS = 0.05
"""Between two tries of what SQLite refuses at once instead of waiting, such as another journal mode."""


class Patience:
    """Waits for other programs that hold a catalog's lock, and says once that it does."""

    def __init__(
        self,
        path: Path,
        *,
        seconds: float = WRITE_WAIT_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`silent_seconds`: after how long of waiting the user is told what for."""
        self.seconds = seconds
        self._path = path
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._sleep = sleep
        self._is_told = False

    def run(self, db: sqlite3.Connection, sql: str) -> None:
        """Execute a statement that needs the lock, outside of a transaction.

        Raises:
            sqlite3.OperationalError: another program still holds it after `seconds`, or what else is wrong.
        """
        started, is_first = self._clock(), True
        try:
            while True:
                # In steps: while SQLite waits, nobody can break it off.
                _set_timeout(db, min(started + self.seconds - self._clock(), self._silent_seconds))
                try:
                    db.execute(sql)
                except sqlite3.OperationalError as error:
                    if not is_busy(error) or self._clock() >= started + self.seconds:
                        raise
                else:
                    self._is_told &= not is_first
                    return
                is_first = False
                self.tell(self._clock() - started)
                self._sleep(_RETRY_SECONDS)
        finally:
            # What only reads is kept waiting by few locks, and waits as long.
            _set_timeout(db, self.seconds)

    @contextmanager
    def writing(self, db: sqlite3.Connection) -> Iterator[None]:
        """One transaction. It takes the lock before it reads anything: SQLite lets none wait that has read before."""
        self.run(db, "BEGIN IMMEDIATE")
        with db:
            yield

    def tell(self, waited_seconds: float) -> None:
        """Say what is waited for, once, when that is so for long enough."""
        if waited_seconds >= self._silent_seconds and not self._is_told:
            self._is_told = True
            log.warning(
                "%s: locked by %s; waiting for it, %.0f seconds at most",
                self._path,
                holder_of(self._path),
                self.seconds,
            )


def _set_timeout(db: sqlite3.Connection, seconds: float) -> None:
    db.execute(f"PRAGMA busy_timeout = {max(0, round(1000 * seconds))}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether a lock of somebody else is in the way."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"))


def holder_of(path: Path) -> str:
    """Return which other program has the lock for writing, as far as the kernel tells."""
    import psutil

    try:
        files = [path, beside(path, sidecar.SHARED_MEMORY)]
        inodes = {str(file.stat().st_ino) for file in files if file.exists()}
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        # 1: POSIX ADVISORY WRITE 4711 fe:01:123456 120 120; the device is not compared: btrfs and overlays have others.
        pids = {
            int(line[4]) for line in lines if line[1:2] == ["POSIX"] and "WRITE" in line and _inode(line[5]) in inodes
        }
        pid = min(pids - {os.getpid()})
        return f"{psutil.Process(pid).name()} (process {pid})"
    except (OSError, ValueError, IndexError, psutil.Error):
        return "another program"


def _inode(place: str) -> str:
    return place.rpartition(":")[2]
