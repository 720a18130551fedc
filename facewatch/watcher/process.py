"""How far this process, and the workers it starts, give way to other programs."""

from __future__ import annotations

import os
import sys

import psutil


def give_way(niceness: int, *, is_idle_io: bool) -> None:
    """Lower the priority of this process; processes that it starts from now on inherit it.

    Args:
        niceness: 0 to 19, added to what it was started with.
        is_idle_io: read only when nobody else wants the disk, where the system (Linux) and its scheduler know that.
    """
    os.nice(niceness)
    if is_idle_io and sys.platform == "linux":
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
