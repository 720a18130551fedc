"""Ctrl-C and SIGTERM end the work cleanly: what is being written is finished, nothing new is begun. SIGHUP asks for the
settings to be read again."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """What was asked for meanwhile."""

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

    def hear(self, number: int, _: FrameType | None) -> None:
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
    before = {number: signal.signal(number, signals.hear) for number in heeded}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
