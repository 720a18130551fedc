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

_NO_SETTINGS = "no-settings.toml"
"""Empty: neither the user's settings count nor those of the folder where this is called."""
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


def measure(asked: Asked, kept: Path, say: Callable[[str], None], output: Path | None = None) -> Found:
    """Return what evaluate says of each set, with the default settings.

    Args:
        kept: the folder where what engines found is kept.
        output: is written again after each set, so that little is lost when this is interrupted.

    Raises:
        FacewatchError: one cannot be measured.
    """
    kept.mkdir(parents=True, exist_ok=True)
    (kept / _NO_SETTINGS).touch()
    found: Found = {}
    for engine in asked.engines:
        for name, arguments in asked.sets.items():
            say(f"{engine}: {name}")
            file = kept / f"{name}-{Path(engine).name.replace(':', '-')}.npz"
            facts = _evaluate(asked, engine, arguments, file)
            found.setdefault(facts["engine"]["name"], {})[name] = facts
            if output:
                output.write_text(json.dumps(found, indent=1))
    return found


def _evaluate(asked: Asked, engine: str, arguments: Sequence[str], file: Path) -> dict[str, Any]:
    methods = [word for method in asked.methods for word in ("--method", method)]
    program = [str(asked.program), "--quiet", "--config", str(file.parent / _NO_SETTINGS)]
    command = [*program, "evaluate", *arguments, "--engine", engine, *methods, *asked.options]
    ran = subprocess.run([*command, "--keep", str(file), "--json"], capture_output=True, text=True, check=False)
    if ran.returncode and _KEPT_BY_ANOTHER in ran.stderr and file.exists():
        # The engine finds faces in another way now.
        file.unlink()
        return _evaluate(asked, engine, arguments, file)
    if ran.returncode:
        raise FacewatchError(f"{' '.join(command)}: {ran.stderr.strip()}")
    facts: dict[str, Any] = json.loads(ran.stdout)
    return facts


def as_markdown(found: Found, before: Found | None = None) -> str:
    """Return tables for each engine; figures of `before` stand beside those of the same set and method."""
    lines = [
        line
        for engine, sets in found.items()
        for columns, rows_of in ((_COLUMNS, _rows), (_USER_COLUMNS, _user_rows))
        for line in _table(_short_name(engine), columns, *(rows_of(one) for one in (sets, _of(before, engine))))
    ]
    return "\n".join(lines)


def _of(before: Found | None, engine: str) -> Mapping[str, Any]:
    """Return what was measured before with this engine, which may have been brought from elsewhere."""
    return next((sets for name, sets in (before or {}).items() if _short_name(name) == _short_name(engine)), {})


def _short_name(engine: str) -> str:
    kind, _, pack = engine.partition(":")
    return f"{kind}:{Path(pack).name}" if pack else kind


_Rows = Mapping[tuple[str, str], Sequence[str]]
"""Cells by set and method."""

_COLUMNS = (
    "faces found",
    "all at once, P / R / F",
    "the same with plain similarities",
    "streaming, P / R / F",
    "folders a person",
)
_USER_COLUMNS = (
    "answers until the largest people are complete",
    "complete",
    "names given before",
    "precision",
    "recall",
)


def _table(engine: str, columns: Sequence[str], now: _Rows, before: _Rows) -> Iterator[str]:
    if not now:
        return
    yield f"| {engine} | {' | '.join(columns)} |"
    yield f"|{'---|' * (1 + len(columns))}"
    is_one = len({method for _, method in now}) == 1
    for (name, method), cells in now.items():
        then = before.get((name, method), [""] * len(cells))
        beside = map(_beside, then, cells)
        yield f"| {name if is_one else f'{name}, {method}'} | {' | '.join(beside)} |"
    yield ""


def _rows(sets: Mapping[str, Any]) -> _Rows:
    rows = {}
    for name, facts in sets.items():
        detection, groupings = facts["detection"], facts["groupings"]
        share = f"{100 * detection['n_found'] / max(1, detection['n_labelled']):.1f} %"
        for method in dict.fromkeys(one["method"] for one in groupings):
            of = {(one["way"], one.get("is_normalised")): one for one in groupings if one["method"] == method}
            # Before there was another kind all were plain, and nothing was said of it; then that is what counts.
            used = next(likeness for likeness in (True, None, False) if ("all at once", likeness) in of)
            at_once, streaming = of["all at once", used], of["streaming", used]
            plain = of["all at once", False] if used else None
            folders = at_once.get("folders_per_person")
            rows[name, method] = [
                *(share, _shares(at_once), _shares(plain), _shares(streaming)),
                "" if folders is None else f"{folders:.2f}",
            ]
    return rows


def _user_rows(sets: Mapping[str, Any]) -> _Rows:
    rows = {}
    for name, facts in sets.items():
        for one in facts.get("simulations", []):
            wanted, after = one["largest_complete"], one["after"]
            n_answers = wanted["n_answers"]
            rows[name, one["method"]] = [
                f"over {wanted['n_given']}" if n_answers is None else str(n_answers),
                f"{wanted['n_complete']} of {wanted['n_people']}",
                str(one["n_namings"]),
                *(short(after[share]) for share in ("precision", "recall")),
            ]
    return rows


def _shares(grouping: Mapping[str, Any] | None) -> str:
    if grouping is None:
        return ""
    return " / ".join(short(grouping["bcubed"][name]) for name in ("precision", "recall", "f"))


def short(share: float) -> str:
    """Return a share with three digits, as tables of them are written: .991, and 1."""
    return f"{share:.3f}".removeprefix("0").replace("1.000", "1")


def _beside(then: str, now: str) -> str:
    return now if not then or then == now else f"{then} → {now}"
