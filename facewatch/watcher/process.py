"""The watcher as a process: its priority, its signals, and its notifications to systemd (sd_notify)."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from types import FrameType


def give_way(niceness: int, *, is_idle_io: bool) -> None:
    """Lower the priority of this process; processes that it starts from now on inherit it.

    Args:
        niceness: 0 to 19, added to what it was started with.
        is_idle_io: read only when nobody else wants the disk, where the system (Linux) and its scheduler know that.
    """
    os.nice(niceness)
    if is_idle_io and sys.platform == "linux":
        import psutil

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


class Signals:
    """What signals asked for: by Ctrl-C and SIGTERM that the work ends cleanly (what is being written is
    finished, nothing new is begun), by SIGHUP that the settings are read again."""

    def __init__(self) -> None:
        self.wants_stop = False
        self.wants_reload = False

    def should_stop(self) -> bool:
        """Whether the work that is going on is to end, be it for good or to begin with other settings."""
        return self.wants_stop or self.wants_reload

    def wait(self, seconds: float) -> None:
        """Wait, but no longer than until something is asked for."""
        deadline = time.monotonic() + seconds
        while not self.should_stop() and time.monotonic() < deadline:
            time.sleep(0.1)

    def receive(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.wants_reload = True
            return
        if self.wants_stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wants_stop = True


@contextmanager
def heed_signals() -> Iterator[Signals]:
    """Yield what was asked for; a second Ctrl-C stops at once."""
    signals = Signals()
    heeded = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.receive) for number in heeded}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


log = logging.getLogger(__name__)

MAX_STATUS = 500
"""Characters of a status line; more than anybody reads in `systemctl status`."""

SEND_SECONDS = 1.0
"""How long a message may wait for a manager that is busy, before it is dropped."""

FOR_THE_MAIN_PROCESS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends the protocol's messages to the socket that the manager named; does nothing where it named none.

    No method raises or waits for long: a service that cannot report its state still does its work.
    """

    def __init__(
        self,
        environment: MutableMapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.monotonic,
        pid: int | None = None,
    ) -> None:
        """Take the variables out of `environment`, so that worker processes cannot speak for the service.

        `clock` must be the system's monotonic one, in seconds, when it is systemd that listens; `pid` is this process'.
        """
        values = {name: environment.pop(name, "") for name in FOR_THE_MAIN_PROCESS}
        self._address = _address(values["NOTIFY_SOCKET"])
        self._watchdog_usec = _watchdog_usec(values, os.getpid() if pid is None else pid) if self._address else 0
        self._patience_usec = self._watchdog_usec
        """What was sent to the manager last."""
        self._clock = clock
        self._status: str | None = None
        self._is_ready = False
        self._is_stopping = False
        self._pinged: float | None = None

    def ready(self) -> None:
        """The service is ready; also after `reloading`."""
        self._is_ready = True
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in one line what it is doing; the same line twice is sent once."""
        line = " ".join(text.split())[:MAX_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def watchdog(self, silent_seconds: float = 0.0) -> None:
        """The service is alive; may be called as often as one likes, and sends only as often as is wanted.

        While it starts or stops, the time that it has for that grows as long as this is called. Before work that cannot
        call this, `silent_seconds` says how long that may take; the next call ends the patience.
        """
        now = self._clock()
        if not self._watchdog_usec:
            return
        wanted = max(self._watchdog_usec, int(silent_seconds * 1e6))
        is_fed = self._pinged is not None and (now - self._pinged) * 4e6 < self._watchdog_usec
        if is_fed and wanted == self._patience_usec == self._watchdog_usec:
            return
        self._pinged = now
        lines = ["WATCHDOG=1"]
        if wanted != self._patience_usec:
            self._patience_usec = wanted
            lines.append(f"WATCHDOG_USEC={wanted}")
        if self._is_stopping or not self._is_ready:
            lines.append(f"EXTEND_TIMEOUT_USEC={wanted}")
        self._send(*lines)

    def reloading(self) -> None:
        """The settings are being read again; `ready` says that this is done."""
        # systemd 253 and later compare the time with that of their own request (Type=notify-reload).
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}")

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._is_stopping = True
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        import socket

        # A new socket for each message: the manager may have been restarted, and nothing is left open for workers.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as unix:
                unix.settimeout(SEND_SECONDS)
                unix.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except (OSError, ValueError) as error:
            log.debug("%s: not sent to %r: %s", lines[0], self._address, error)


def _address(named: str) -> str | None:
    """Return the socket's address; a leading @ stands for the zero byte of an abstract one."""
    if named.startswith("/"):
        return named
    return "\0" + named[1:] if named.startswith("@") and len(named) > 1 else None


def _watchdog_usec(values: MutableMapping[str, str], pid: int) -> int:
    """Return after how many microseconds of silence the manager takes this process for hung; 0: never."""
    if values["WATCHDOG_PID"] not in ("", str(pid)):
        return 0
    with suppress(ValueError):
        return max(0, int(values["WATCHDOG_USEC"]))
    return 0
