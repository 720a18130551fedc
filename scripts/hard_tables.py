"""What `facewatch evaluate` says about several labelled sets and engines, as one table."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewatch.errors import FacewatchError

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("face_recognition", f"insightface:{ROOT.parent / 'shared' / 'models' / 'buffalo_sc_dq'}")
PROGRAM = ROOT / "scripts" / "facewatch"

_KEPT_BY_ANOTHER = "kept by another"

Found = dict[str, dict[str, Any]]
"""By engine and set: what evaluate wrote with --json."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured, and by what."""

    sets: Mapping[str, Sequence[str]]
    """By name: what evaluate is called with, a folder first."""
    engines: Sequence[str] = ENGINES
    methods: Sequence[str] = ()
    """None: that of the settings."""
    options: Sequence[str] = ()
    """More of evaluate."""
    program: Path = PROGRAM


def measure(asked: Asked, kept: Path, say: Callable[[str], None]) -> Found:
    """Return what evaluate says of each set; what engines found is kept in the folder `kept`.

    Raises:
        FacewatchError: one cannot be measured.
    """
    kept.mkdir(parents=True, exist_ok=True)
    found: Found = {}
    for engine in asked.engines:
        for name, arguments in asked.sets.items():
            say(f"{engine}: {name}")
            file = kept / f"{name}-{Path(engine).name.replace(':', '-')}.npz"
            facts = _evaluate(asked, engine, arguments, file)
            found.setdefault(facts["engine"]["name"], {})[name] = facts
    return found


def _evaluate(asked: Asked, engine: str, arguments: Sequence[str], file: Path) -> dict[str, Any]:
    methods = [word for method in asked.methods for word in ("--method", method)]
    command = [str(asked.program), "--quiet", "evaluate", *arguments, "--engine", engine, *methods, *asked.options]
    ran = subprocess.run([*command, "--keep", str(file), "--json"], capture_output=True, text=True, check=False)
    if ran.returncode and _KEPT_BY_ANOTHER in ran.stderr and file.exists():
        # The engine looks at faces in another way now.
        file.unlink()
        return _evaluate(asked, engine, arguments, file)
    if ran.returncode:
        raise FacewatchError(f"{' '.join(command)}: {ran.stderr.strip()}")
    facts: dict[str, Any] = json.loads(ran.stdout)
    return facts


def as_markdown(found: Found, before: Found | None = None) -> str:
    """Return a table for each engine; figures of `before` stand beside those of the same set, method and way."""
    return "\n".join(
        line for engine, sets in found.items() for line in _table(engine, sets, (before or {}).get(engine))
    )


WAYS = ("all at once", "streaming")
_COLUMNS = ("set", "faces found", *(f"{way}, P / R / F" for way in WAYS), "folders a person")


def _table(engine: str, sets: Mapping[str, Any], before: Mapping[str, Any] | None) -> Iterator[str]:
    kind, _, pack = engine.partition(":")
    yield f"| {kind}{':' if pack else ''}{Path(pack).name}: {' | '.join(_COLUMNS)} |"
    yield f"|{'---|' * len(_COLUMNS)}"
    for name, facts in sets.items():
        methods = list(dict.fromkeys(grouping["method"] for grouping in facts["groupings"]))
        old = (before or {}).get(name)
        for method in methods:
            cells = _cells(facts, method)
            if old is not None:
                cells = [_beside(then, now) for then, now in zip(_cells(old, method), cells, strict=True)]
            yield f"| {name}{f', {method}' if len(methods) > 1 else ''} | {' | '.join(cells)} |"
    yield ""


def _cells(facts: Mapping[str, Any], method: str) -> list[str]:
    """Return what stands in a row; nothing where it was not measured."""
    detection = facts["detection"]
    of = {grouping["way"]: grouping for grouping in facts["groupings"] if grouping["method"] == method}
    shares = [of[way]["bcubed"] if way in of else None for way in WAYS]
    folders = of.get(WAYS[0], {}).get("folders_per_person")
    return [
        f"{100 * detection['n_found'] / max(1, detection['n_labelled']):.1f} %",
        *(" / ".join(short(one[name]) for name in ("precision", "recall", "f")) if one else "" for one in shares),
        f"{folders:.2f}" if folders is not None else "",
    ]


def short(share: float) -> str:
    """Return a share with three digits, as tables of them are written: .991, and 1."""
    return f"{share:.3f}".removeprefix("0").replace("1.000", "1")


def _beside(then: str, now: str) -> str:
    return now if not then or then == now else f"{then} → {now}"
