"""Work for all cores: numpy and onnxruntime let other threads work while they calculate."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Thing = TypeVar("Thing")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_all_cores(function: Callable[[Thing], object], things: Sequence[Thing]) -> None:
    """Call a function with each of some things, as many at a time as there are cores.

    What one of the calls raises, or a signal does, comes out when the calls under way have ended; no other begins.
    """
    if len(things) < 2:
        for thing in things:
            function(thing)
        return
    from threadpoolctl import threadpool_limits

    has_ended = Event()

    def call(thing: Thing) -> None:
        if has_ended.is_set():
            return
        try:
            function(thing)
        except BaseException:
            has_ended.set()
            raise

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(available_cores()) as pool:
        try:
            for _ in pool.map(call, things):
                pass
        finally:
            has_ended.set()
