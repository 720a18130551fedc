"""Processes that this one starts by hand: safely beside other threads that do, and never outliving it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process, resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

ENDING_SECONDS = 5.0
"""How long an ending process is waited for."""

_reaping = threading.Lock()
"""Starting a process also reaps all that have ended, which only one thread may do at a time."""


def start(process: BaseProcess) -> None:
    """Start a process.

    Raises:
        OSError: the system lets none be made.
    """
    with _reaping, _without_interrupts():
        process.start()


def kill(process: BaseProcess) -> None:
    """End a process at once, whatever it does."""
    with _reaping:
        process.kill()
    # What waits for a drive that does not answer dies when it does, and is not waited for.
    if connection.wait([process.sentinel], ENDING_SECONDS):
        with _reaping:
            process.join(ENDING_SECONDS)


def be_quiet_child() -> None:
    """Belongs at the beginning of a started process: signals that reach all processes are decided about by the one that
    started it, and it ends with that one."""
    # Ctrl-C, a closed terminal and systemd reach every process; the main one decides what they mean.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A killed main process cannot end its children; they would finish what they are at."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let what is started by this thread know of no Ctrl-C until it decides that itself: Python would end it with a
    traceback on the terminal."""
    # Started here, if it is not there yet: starting it lets interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
