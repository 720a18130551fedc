"""An engine for tests that does to its process what bad photos, libraries and systems do: crash it, hang it, swell it.

Which photos do that is painted on them: the person on it is one of the numbers below (see facewatch.engines.fake).
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewatch.engines.fake import FakeEngine
from facewatch.errors import EngineError
from facewatch.indexing.analyzer import Recipe
from facewatch.types import DetectedFace

SEGFAULT, SLEEP, BUSY, SWELL, KILL, KILL_ONCE, EXIT, KEEP = range(201, 209)


class DeadlyEngine(FakeEngine):
    def __init__(self, folder: Path, *, is_deadly_anyway: bool = False) -> None:
        """`folder` keeps what was done in processes that are gone."""
        self._folder = folder
        self._is_deadly_anyway = is_deadly_anyway

    def analyse(
        self, pixels: NDArray[np.uint8], *, closer: Callable[[], NDArray[np.uint8]] | None = None
    ) -> list[DetectedFace]:
        faces = super().analyse(pixels)
        middle = int(pixels[pixels.shape[0] // 2, 96, 0]) if faces else 0
        if self._is_deadly_anyway:
            os.kill(os.getpid(), signal.SIGSEGV)
        match middle:
            case 201:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 202:
                time.sleep(1e6)
            case 203:
                deque(itertools.repeat(None), maxlen=0)  # never lets go of the interpreter
            case 204:
                _swell()
            case 205:
                os.kill(os.getpid(), signal.SIGKILL)
            case 206 if not (self._folder / "killed").exists():
                (self._folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            case 207:
                os._exit(3)
            case 208:
                self._kept = np.ones(560_000_000, np.uint8)
        return faces


def _swell() -> None:
    """Take memory without end, in steps that one process after the other could take."""
    pieces = []
    while True:
        pieces.append(np.ones(4_000_000, np.uint8))
        time.sleep(0.001)


def load(folder: Path, recipe: Recipe) -> DeadlyEngine:
    """Load the engine; each time leaves a trace."""
    (folder / f"loaded-{os.getpid()}").touch()
    return DeadlyEngine(folder)


def load_deadly_anyway(folder: Path, recipe: Recipe) -> DeadlyEngine:
    """Load one that crashes over every photo."""
    return DeadlyEngine(folder, is_deadly_anyway=True)


def load_slowly(folder: Path, recipe: Recipe) -> DeadlyEngine:
    """Load for longer than photos may take."""
    time.sleep(2)
    return load(folder, recipe)


def refuse(folder: Path, recipe: Recipe) -> DeadlyEngine:
    (folder / f"loaded-{os.getpid()}").touch()
    raise EngineError("a model file is missing")


def stumble(folder: Path, recipe: Recipe) -> DeadlyEngine:
    (folder / f"loaded-{os.getpid()}").touch()
    raise ImportError("no such library")


def crash(folder: Path, recipe: Recipe) -> DeadlyEngine:
    (folder / f"loaded-{os.getpid()}").touch()
    os._exit(1)


def loading(way: Callable[[Path, Recipe], DeadlyEngine], folder: Path) -> Callable[[Recipe], DeadlyEngine]:
    """Return one of these ways of loading, for `WorkerPool`."""
    return partial(way, folder)
