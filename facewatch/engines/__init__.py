"""Engines by name. An engine is a detector and an embedder; nothing outside this package knows which one runs.

Describing an engine is cheap and loads no model; loading one is for worker processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from facewatch.errors import EngineError
from facewatch.types import Engine, EngineInfo


class _Maker(NamedTuple):
    describe: Callable[[str], EngineInfo]
    load: Callable[[str], Engine]


def _standard() -> _Maker:
    from facewatch.engines import standard

    return _Maker(standard.describe, standard.StandardEngine)


_MAKERS: dict[str, Callable[[], _Maker]] = {"face_recognition": _standard}

ENGINE_NAMES = ("face_recognition",)
"""What a user may ask for."""


def describe_engine(name: str, detector: str = "hog") -> EngineInfo:
    """Return what identifies the engine, without loading it.

    Raises:
        EngineError: no engine of that name, or its files are absent.
    """
    return _maker(name).describe(detector)


def load_engine(name: str, detector: str = "hog") -> Engine:
    """Return a ready engine with its models in memory (a second, 150 MB).

    Raises:
        EngineError: no engine of that name, or its files are absent or damaged.
    """
    return _maker(name).load(detector)


def _maker(name: str) -> _Maker:
    if name not in _MAKERS:
        raise EngineError(f"no engine is called {name!r}; there is {', '.join(ENGINE_NAMES)}")
    return _MAKERS[name]()
