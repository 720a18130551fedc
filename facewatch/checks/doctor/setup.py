"""The settings, and the engine that they want."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from facewatch import models
from facewatch.catalog import KnownEngine
from facewatch.checks.doctor.case import Case, Finding, Level, shown, split_advice
from facewatch.engines import FIRST_ENGINE, describe_engine, pack_of
from facewatch.engines.options import OPTIONS, EngineOptions
from facewatch.errors import ConfigError, EngineError
from facewatch.library.layout import check_places
from facewatch.types import EngineInfo

SETTINGS = "settings"
MODELS = "models"


# --- settings ---


def settings(case: Case) -> Iterator[Finding]:
    """Which file was read, and all that is wrong with it."""
    source = shown(case.config.source)
    for fault in case.faults:
        what, advice = split_advice(fault)
        yield Finding(SETTINGS, "broken", f"{source}: {what}", advice or f"correct it in {source}")
    if not case.faults:
        said = "no settings file: every setting has its default" if source == "defaults" else f"{source}: understood"
        yield Finding(SETTINGS, "ok", said)


def places(case: Case) -> Iterator[Finding]:
    """Whether library, people folder and catalog lie in each other."""
    try:
        check_places(case.roots, case.people, case.config.catalog, source=case.config.source)
    except ConfigError as error:
        remedy = "name other folders in the settings: photos, people, catalog under [library]"
        for fault in error.faults:
            yield Finding(SETTINGS, "broken", shown(fault), remedy)


# --- models ---


def _finding(level: Level, what: str, remedy: str = "") -> Finding:
    return Finding(MODELS, level, what, remedy)


def wanted_engine(case: Case) -> str:
    """Return the name of the engine that a scan would use."""
    asked_for = case.config["engine.name"]
    if case.catalog is not None:
        asked_for = asked_for or case.catalog.settings.get("engine") or case.catalog.engines.in_use_name()
    return str(asked_for or FIRST_ENGINE)


def engine(case: Case) -> Iterator[Finding]:
    """Whether the wanted engine's files are here, and whether they are those that the catalog was made with."""
    name = wanted_engine(case)
    config = case.config
    options = EngineOptions(**{option.name: config[f"engine.{option.name}"] for option in OPTIONS})
    try:
        info = describe_engine(name, options)
    except (EngineError, OSError) as error:
        what, advice = split_advice(str(error))
        yield _finding("broken", what, advice or "facewatch models lists the engines")
        return
    yield _finding("ok", f"engine {name}: its files are here; {info.licence}")
    yield from _difference(info, case.catalog.engines.all() if case.catalog else [])


def _difference(info: EngineInfo, known: list[KnownEngine]) -> Iterator[Finding]:
    """Compare the wanted engine with the one whose answers the catalog shows."""
    in_use = next((engine for engine in known if engine.is_in_use), None)
    if in_use is None or in_use.fingerprint == info.fingerprint:
        return
    remedy = "facewatch scan, or watch, looks at every photo anew and keeps people, names and decisions"
    if in_use.name == info.name:
        yield _finding("remark", f"engine {info.name}: its files are not those that the catalog was made with", remedy)
    else:
        yield _finding("remark", f"the engine is being changed from {in_use.name} to {info.name}", remedy)


def model_files(case: Case) -> Iterator[Finding]:
    """Whether the model files are what they should be, byte for byte; only --deep reads them."""
    if not case.is_deep:
        return
    folder = models.models_folder(case.config["engine.models"])
    name = wanted_engine(case)
    own = [name] if "/" in pack_of(name) else []
    here = [pack.name for pack in models.list_packs(folder) if pack.state != "absent"]
    for pack in (*own, *here):
        faults = models.verify(pack, folder)
        what = f"insightface:{models.plain_name(pack)}"
        for fault in faults:
            yield _finding("broken", f"{what}: {fault}", models.remedy(models.plain_name(pack)))
        if not faults and models.is_on_record(pack, folder):
            yield _finding("ok", f"{what}: every byte is as it should be")
        elif not faults:
            said = f"{what}: no SHA-256 is on record, so damage cannot be told"
            yield _finding("remark", said, f"facewatch models import {folder / models.plain_name(pack)} writes it down")


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (settings, places)
MODEL_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (engine, model_files)
