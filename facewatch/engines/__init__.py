"""Engines by name. An engine is a detector and an embedder; nothing outside this package knows which one runs.

A new one is a module here and an entry in `KINDS`; what can be set of it is in `options`. Describing an engine is cheap
and loads no model; loading one is for worker processes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from facewatch.engines.options import EngineOptions
from facewatch.errors import EngineError
from facewatch.types import Engine, EngineInfo, Read

MB = 1_000_000

FIRST_ENGINE = "face_recognition"
"""Works at once and offline."""


class _Maker(NamedTuple):
    describe: Callable[[str, EngineOptions, Read], EngineInfo]
    load: Callable[[str, EngineOptions], Engine]
    runtime: Callable[[str, EngineOptions], str] = lambda *_: ""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """An engine, or a family of them that differ by their pack of models."""

    name: str
    maker: Callable[[], _Maker]
    """Imports what describes and loads it."""
    worker_bytes: int
    """What a worker takes with its models and a picture of ordinary size, without pages that all share."""
    usual_pack: str = ""
    """Its engines are called `name:pack`; empty: it has no packs."""
    also_called: tuple[str, ...] = ()
    """Other words that users have for it."""
    is_for_tests: bool = False
    """The settings do not take its name."""

    @property
    def pattern(self) -> str:
        """How its engines are called."""
        return f"{self.name}:PACK" if self.usual_pack else self.name

    def fits(self, name: str) -> bool:
        """Whether an engine of this kind may be called so."""
        kind, colon, pack = name.partition(":")
        return kind == self.name and "\0" not in pack and bool(self.usual_pack) == bool(colon and pack)


def _standard() -> _Maker:
    from facewatch.engines import standard

    return _Maker(standard.describe, standard.StandardEngine)


def _advanced() -> _Maker:
    from facewatch.engines import arcface

    return _Maker(arcface.describe, arcface.ArcFaceEngine, arcface.runtime_of)


def _fake() -> _Maker:
    from facewatch.engines import fake

    return _Maker(lambda *_: fake.INFO, lambda *_: fake.FakeEngine())


KINDS = (
    # Measured: 201 MB. A crowd of a hundred leaves some 400 MB more behind, with either engine.
    EngineKind(FIRST_ENGINE, _standard, 300 * MB, also_called=("dlib", "hog", "cnn", "standard", "default")),
    # Measured: 162 MB with buffalo_sc, whose files are 190 MB smaller than those of buffalo_l, the largest usual ones.
    EngineKind("insightface", _advanced, 400 * MB, usual_pack="buffalo_l", also_called=("arcface",)),
    EngineKind("fake", _fake, 300 * MB, is_for_tests=True),
)

_FOR_USERS = tuple(kind for kind in KINDS if not kind.is_for_tests)

ENGINE_HELP = f"{', or '.join(kind.pattern for kind in _FOR_USERS)}; `facewatch models` lists the packs."
"""What a user may ask for."""

_NO_OPTIONS = EngineOptions()
_NOTHING_READ: Read = MappingProxyType({})


def describe_engine(name: str, options: EngineOptions = _NO_OPTIONS, read: Read = _NOTHING_READ) -> EngineInfo:
    """Return what identifies the engine, without loading it.

    Args:
        read: model files that were read before, and need not be read again.

    Raises:
        EngineError: no engine of that name, or its files are absent.
    """
    return _kind(name).maker().describe(name, options, read)


def load_engine(name: str, options: EngineOptions = _NO_OPTIONS) -> Engine:
    """Return a ready engine with its models in memory (a second, 150 MB).

    Raises:
        EngineError: no engine of that name, or its files are absent or damaged.
    """
    return _kind(name).maker().load(name, options)


def runtime_of(name: str, options: EngineOptions = _NO_OPTIONS) -> str:
    """Return what runs the engine's recogniser, as text; empty: there is no choice.

    Raises:
        EngineError: no engine of that name, its files are absent, or the runtime of the settings cannot be used.
    """
    return _kind(name).maker().runtime(name, options)


def worker_bytes(name: str) -> int:
    """Return what a worker takes with the models of this engine, without the photo."""
    return next((kind.worker_bytes for kind in KINDS if kind.fits(name)), KINDS[0].worker_bytes)


def is_engine_name(name: str) -> bool:
    """Whether the settings may ask for it; its files may be absent."""
    return any(kind.fits(name) for kind in _FOR_USERS)


def pack_of(name: str) -> str:
    """Return the pack of models that an engine is called after; empty: it has none."""
    return name.partition(":")[2]


def meant_by(text: str) -> str:
    """Return the engine that is meant by what is no engine's name: most forget that a pack is InsightFace's."""
    word = text.strip().casefold()
    first, _, pack = re.sub(r"[\s:/_-]+", ":", text.strip(), count=1).partition(":")
    for kind in _FOR_USERS:
        if not kind.usual_pack and (word in kind.also_called or difflib.get_close_matches(word, [kind.name])):
            return kind.name
    packed = next(kind for kind in _FOR_USERS if kind.usual_pack)
    if difflib.get_close_matches(first.casefold(), [packed.name, *packed.also_called], 1, 0.8):
        return f"{packed.name}:{pack or packed.usual_pack}"
    return f"{packed.name}:{text.strip()}"


def _kind(name: str) -> EngineKind:
    found = next((kind for kind in KINDS if kind.fits(name)), None)
    if found is None:
        there = " and ".join(kind.pattern for kind in _FOR_USERS)
        raise EngineError(f"no engine is called {name!r}; there is {there} (`facewatch models` lists the packs)")
    return found
