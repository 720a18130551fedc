"""Engines by name. An engine is a detector and an embedder; nothing outside this package knows which one runs.

Describing an engine is cheap and loads no model; loading one is for worker processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from facewatch.errors import EngineError
from facewatch.types import Engine, EngineInfo, EngineOptions


class _Maker(NamedTuple):
    describe: Callable[[str, EngineOptions], EngineInfo]
    load: Callable[[str, EngineOptions], Engine]


def _standard() -> _Maker:
    from facewatch.engines import standard

    return _Maker(standard.describe, standard.StandardEngine)


def _advanced() -> _Maker:
    from facewatch.engines import arcface

    return _Maker(arcface.describe, arcface.ArcFaceEngine)


def _fake() -> _Maker:
    from facewatch.engines import fake

    return _Maker(lambda *_: fake.INFO, lambda *_: fake.FakeEngine())


_MAKERS: dict[str, Callable[[], _Maker]] = {
    "face_recognition": _standard,
    "insightface": _advanced,
    # Finds drawn squares: for catalogs made by tests. The settings do not take its name.
    "fake": _fake,
}

ENGINE_NAMES = ("face_recognition", "insightface:PACK")
"""What a user may ask for; `facewatch models` lists the packs."""

_NO_OPTIONS = EngineOptions()


def describe_engine(name: str, options: EngineOptions = _NO_OPTIONS) -> EngineInfo:
    """Return what identifies the engine, without loading it.

    Raises:
        EngineError: no engine of that name, or its files are absent.
    """
    return _maker(name).describe(name, options)


def load_engine(name: str, options: EngineOptions = _NO_OPTIONS) -> Engine:
    """Return a ready engine with its models in memory (a second, 150 MB).

    Raises:
        EngineError: no engine of that name, or its files are absent or damaged.
    """
    return _maker(name).load(name, options)


def _maker(name: str) -> _Maker:
    kind, colon, pack = name.partition(":")
    if kind not in _MAKERS or (kind == "insightface") != bool(colon and pack):
        raise EngineError(
            f"no engine is called {name!r}; there is {' and '.join(ENGINE_NAMES)} (`facewatch models` lists the packs)"
        )
    return _MAKERS[kind]()
