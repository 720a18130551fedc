"""Whether files are still what they were when they were read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def state_of(files: Iterable[Path]) -> str:
    """Return what changes with the content of files.

    Raises:
        OSError: one cannot be looked at.
    """
    states = ((file, file.stat()) for file in files)
    return " ".join(f"{file}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}:{s.st_ino}" for file, s in states)
