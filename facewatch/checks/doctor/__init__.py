"""The doctor: checks everything that facewatch needs, changes nothing, and says of each fault what fixes it.

    case          the settings, the catalog and the machine, as far as they can be read
    environment, catalog, libraries     the checks, each a small function

A check that cannot be made is a finding, too, and the others go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facewatch.checks import Finding, Severity
from facewatch.checks.doctor import catalog, environment, libraries
from facewatch.checks.doctor.case import (
    Case,
    CatalogState,
    Check,
    World,
    broken,
    reading,
    shown,
    split_advice,
)
from facewatch.config import Config, find_config_file, load_config, read_values
from facewatch.errors import ConfigError, FacewatchError
from facewatch.settings import people_folder_of
from facewatch.types import Progress

__all__ = ["CHECKS", "Case", "Diagnosis", "World", "diagnose", "read_settings"]

CHECKS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    (environment.ENVIRONMENT, environment.ENVIRONMENT_CHECKS),
    (environment.SETTINGS, environment.SETTINGS_CHECKS),
    (environment.MODELS, environment.MODEL_CHECKS),
    (catalog.CATALOG, catalog.CATALOG_CHECKS),
    (libraries.LIBRARIES, libraries.LIBRARIES_CHECKS),
    (libraries.WATCHING, libraries.WATCHING_CHECKS),
    (catalog.PEOPLE, catalog.PEOPLE_CHECKS),
    (libraries.AT_WORK, libraries.AT_WORK_CHECKS),
    (libraries.PHOTOS, libraries.PHOTO_CHECKS),
)
"""What is checked, in the order in which it is shown."""


_PLACES = ("library.catalog", "library.people")
"""What the command line may name, relative to where it was typed."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings of the doctor."""

    findings: tuple[Finding, ...]

    @property
    def n_broken(self) -> int:
        return self._count(Severity.BROKEN)

    @property
    def n_remarks(self) -> int:
        return self._count(Severity.REMARK)

    @property
    def is_well(self) -> bool:
        """Whether nothing is broken; remarks do not count."""
        return not self.n_broken

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)


def diagnose(
    config: Config,
    faults: tuple[str, ...] = (),
    *,
    is_deep: bool = False,
    world: World | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Diagnosis:
    """Check everything and return what was found; raises nothing about what it checks.

    Args:
        config: what can be used of the settings, see `read_settings`.
        faults: what is wrong with them.
        is_deep: read all of the catalog and of the model files, and decode a photo of each format.
        report: is called for folders while libraries are scanned.
    """
    with environment.trying(environment.NATIVE) as tries, reading(config.catalog) as state:
        folder = _folder_of(config, state)
        case = Case(config, faults, state, folder, is_deep, tries, world or World(), report)
        return Diagnosis(tuple(_findings(case)))


def _folder_of(config: Config, state: CatalogState) -> Path:
    settings = state.reader.settings if state.reader else None
    try:
        remembered, library_id = (settings.get(key) if settings else None for key in ("people_folder", "library_id"))
    except sqlite3.Error:
        remembered = library_id = None
    return people_folder_of(config, remembered, library_id or "")


def _findings(case: Case) -> Iterator[Finding]:
    # From the end, so that what was begun first has the time that all the rest takes.
    found = {area: [list(_made(area, check, case)) for check in checks] for area, checks in reversed(CHECKS)}
    for area, _ in CHECKS:
        for findings in found[area]:
            yield from findings


def _made(area: str, check: Check, case: Case) -> Iterator[Finding]:
    """Make one check; what keeps it from being made is what it found."""
    try:
        yield from check(case)
    except sqlite3.Error as error:
        what = f"{_name(check)} could not be checked: the catalog cannot be read there ({error})"
        yield broken(area, what, catalog.advice_on(case, error))
    except (FacewatchError, OSError) as error:
        what, advice = split_advice(str(error))
        yield broken(area, shown(f"{_name(check)} could not be checked: {what}"), advice or "see the reason")


def _name(check: Check) -> str:
    return getattr(check, "__name__", "a check").replace("_", " ")


def read_settings(named: Path | None, overrides: Mapping[str, Any], *, cwd: Path) -> tuple[Config, tuple[str, ...]]:
    """Return what can be used of the settings, and all that is wrong with them.

    Faulty ones have their defaults, so that the rest can be checked.
    """
    file = None
    try:
        file = find_config_file(named, cwd=cwd)
        return load_config(file, overrides, cwd=cwd), ()
    except ConfigError as error:
        return _without_faults(file, overrides, cwd), tuple(error.faults)


def _without_faults(file: Path | None, overrides: Mapping[str, Any], cwd: Path) -> Config:
    base = file.resolve().parent if file else cwd
    given = {key: value for key, value in overrides.items() if value is not None}
    places = {key: str(cwd / Path(str(given[key])).expanduser()) for key in given if key in _PLACES}
    usable = read_values(file)[0] if file else {}
    config = load_config(None, usable | given | places, cwd=base)
    return replace(config, source=str(file or "defaults"))
