"""Checks of the machine, the installed packages, the settings and the engine's models."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import facewatch
from facewatch.catalog import KnownEngine
from facewatch.checks import Finding
from facewatch.checks.doctor.case import (
    Case,
    Try,
    broken,
    counted,
    fine,
    readable_size,
    remark,
    shown,
    split_advice,
)
from facewatch.engines import FIRST_ENGINE, describe_engine, pack_of, runtime_of
from facewatch.engines.options import OPTIONS, EngineOptions
from facewatch.errors import ConfigError, EngineError
from facewatch.library.layout import check_places
from facewatch.models import packs
from facewatch.types import EngineInfo

ENVIRONMENT = "environment"

NATIVE = {
    "cv2": "opencv-python-headless",
    "dlib": "dlib-bin",
    "onnxruntime": "onnxruntime",
    "pillow_heif": "pillow-heif",
    "rawpy": "rawpy",
    "PIL.Image": "pillow",
    "scipy.spatial": "scipy",
}
"""Modules with machine code of their own, which may take a process down with them, and the package each is in."""

PIP_INSTALL = f"{shlex.quote(sys.executable)} -m pip install"
"""Of this Python: a checkout, pipx and uv have environments of their own, which a bare `pip` may not mean."""

IMPORT_SECONDS = 60.0
"""A module that is not imported by then hangs; a cold disk takes ten seconds for the largest."""

LITTLE_MEMORY = 1_500_000_000
"""Bytes: one worker with its models takes about 0.5 GB, the main process as much with 100,000 faces."""

CLOCK_SLACK = timedelta(minutes=10)
"""How far a clock may be set back without being wrong."""

FIRST_YEAR = 2025
"""No machine runs this with an earlier date: a clock that shows one was never set."""

OPEN_FILES = 1024
"""What Linux gives a process at least; photos, the catalog, workers and the kernel's watches take some dozens."""


# --- packages ---


def program(_: Case) -> Iterator[Finding]:
    """Which Python and which facewatch these are."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield fine(ENVIRONMENT, f"facewatch {facewatch.__version__}, Python {platform.python_version()}, {system}")


@dataclass(frozen=True, slots=True)
class Requirement:
    """The lowest version of a package that is supported."""

    name: str
    least: str
    is_optional: bool


def requirements() -> list[Requirement]:
    """Return what this facewatch needs, by its own metadata, or by its pyproject.toml where it runs from a checkout."""
    try:
        lines = importlib.metadata.requires("facewatch") or []
    except importlib.metadata.PackageNotFoundError:
        project = Path(facewatch.__file__).parent.parent / "pyproject.toml"
        with suppress(OSError, tomllib.TOMLDecodeError, KeyError):
            lines = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
            return list(map(_requirement, lines))
        return []
    return list(map(_requirement, lines))


def _requirement(line: str) -> Requirement:
    wanted, _, marker = line.partition(";")
    name = re.match(r"[A-Za-z0-9._-]+", wanted.strip())
    least = re.search(r">=\s*([0-9.]+)", wanted)
    return Requirement(name.group() if name else wanted.strip(), least.group(1) if least else "0", "extra" in marker)


def packages(_: Case) -> Iterator[Finding]:
    """Whether every package is there and new enough."""
    yield from check_packages(requirements(), importlib.metadata.version)


def check_packages(needed: Sequence[Requirement], version_of: Callable[[str], str]) -> Iterator[Finding]:
    """Compare packages with what is needed; `version_of` raises PackageNotFoundError for those that are absent."""
    n_right = 0
    for one in needed:
        try:
            version = version_of(one.name)
        except importlib.metadata.PackageNotFoundError:
            if not one.is_optional:
                yield broken(ENVIRONMENT, f"the package {one.name} is not installed", f"{PIP_INSTALL} '{_wanted(one)}'")
            continue
        if _numbers(version) < _numbers(one.least):
            what = f"the package {one.name} is {version}, older than {one.least}"
            yield broken(ENVIRONMENT, what, f"{PIP_INSTALL} --upgrade '{_wanted(one)}'")
        else:
            n_right += 1
    if n_right:
        yield fine(ENVIRONMENT, f"{counted(n_right, 'package')} installed and new enough")


def _wanted(one: Requirement) -> str:
    return f"{one.name}>={one.least}"


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release of a version without its trailing zeros: 1.20 is 1.20.0."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[a-zA-Z+-]", version, maxsplit=1)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def native_libraries(case: Case) -> Iterator[Finding]:
    """Whether modules with machine code can be loaded, each by a process of its own, which it may crash."""
    yield from check_native(case.tries)


@contextmanager
def trying(modules: Mapping[str, str]) -> Iterator[list[Try]]:
    """Yield the tries to import these modules (module -> its package), all begun; none is left at the end."""
    tries = [Try(name, package, _start_import(name)) for name, package in modules.items()]
    try:
        yield tries
    finally:
        for one in tries:
            if one.process is not None:
                with one.process as process:
                    process.kill()


def check_native(tries: Sequence[Try], *, seconds: float = IMPORT_SECONDS) -> Iterator[Finding]:
    """Tell what became of tries."""
    good = []
    for one in tries:
        if one.process is None:
            yield broken(ENVIRONMENT, f"{one.module} is not installed", f"{PIP_INSTALL} {one.package}")
        elif (fault := _fault_of(one.process, seconds)) is not None:
            remedy = f"{PIP_INSTALL} --force-reinstall {one.package}"
            yield broken(ENVIRONMENT, f"{one.module} cannot be loaded: {fault}", remedy)
        else:
            good.append(one.module.partition(".")[0])
    if good:
        yield fine(ENVIRONMENT, f"can be loaded: {', '.join(good)}")


def _start_import(module: str) -> subprocess.Popen[str] | None:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        return None
    command = [sys.executable, "-P", "-W", "ignore", "-c", f"import {module}"]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=child_environment(),
    )


def child_environment() -> dict[str, str]:
    """Return the environment for a process that only tries something: it sees what this one sees, and leaves nothing
    behind, neither compiled modules nor onnxruntime's telemetry."""
    own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return os.environ | own | {"PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1"}


def _fault_of(process: subprocess.Popen[str], seconds: float) -> str | None:
    """Return why an import failed, in a line."""
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"it hangs (more than {seconds:.0f} s)"
    if process.returncode == 0:
        return None
    if process.returncode < 0:
        return f"it crashes ({_signal_name(-process.returncode)})"
    return (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


# --- the machine ---


def machine(case: Case) -> Iterator[Finding]:
    """Cores and memory, also where a container has less of it than the machine."""
    import psutil

    from facewatch.cores import available_cores

    total = psutil.virtual_memory().total
    limit = memory_limit(case.world.proc, case.world.cgroups)
    usable = min(total, limit or total)
    said = f"{counted(available_cores(), 'core')}, {readable_size(usable)} of memory"
    if usable < total:
        said += f" (a limit; the machine has {readable_size(total)})"
    if usable < LITTLE_MEMORY:
        yield remark(ENVIRONMENT, f"{said}: that is little", "set workers = 1 under [engine] in the settings")
    else:
        yield fine(ENVIRONMENT, said)


def memory_limit(proc: Path, cgroups: Path) -> int | None:
    """Return the least memory limit of the groups that this process is in, in bytes; None: there is none."""
    limits = []
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, group = line.split(":", 2)
        if not controllers:
            base, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the group's path is that of the host, and its files lie at the top.
        place = base / group.lstrip("/")
        for folder in (place, *place.parents):
            if not folder.is_relative_to(base):
                break
            limits += [int(text) for text in _lines(folder / name) if text.strip().isdigit()]
    # Version 1 says "none" as the largest number of pages.
    return min((limit for limit in limits if limit < 1 << 60), default=None)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def encoding(_: Case) -> Iterator[Finding]:
    """Whether names of files can be anything."""
    yield from check_encoding(sys.getfilesystemencoding())


def check_encoding(file_names: str) -> Iterator[Finding]:
    if file_names.lower().replace("-", "") != "utf8":
        what = f"names of files are taken for {file_names}: what is not in it has no right name in the folders"
        yield broken(ENVIRONMENT, what, "start facewatch with PYTHONUTF8=1, or set LANG=C.UTF-8")


def clock(case: Case) -> Iterator[Finding]:
    """Whether the time is plausible: not before what the catalog has seen."""
    now = case.world.now()
    newest = _when(case.catalog.newest_time()) if case.catalog else None
    remedy = "set the clock, on Linux: sudo timedatectl set-ntp true"
    if now.year < FIRST_YEAR:
        yield broken(ENVIRONMENT, f"the clock says {now:%Y-%m-%d %H:%M}: it was never set", remedy)
    elif newest is not None and now < newest - CLOCK_SLACK:
        what = f"the clock says {now:%Y-%m-%d %H:%M} UTC, but the catalog was last used at {newest:%Y-%m-%d %H:%M}"
        yield broken(ENVIRONMENT, what, f"{remedy}; if it is right now, this passes by itself")
    else:
        local = now.astimezone()
        yield fine(ENVIRONMENT, f"the clock says {local:%Y-%m-%d %H:%M}, time zone {local:%Z} (UTC{local:%z})")


def _when(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def user(case: Case) -> Iterator[Finding]:
    """Who runs this, and what others may do with what it makes."""
    yield from check_user(os.geteuid(), _umask(case.world.proc))


def check_user(user_id: int, umask: int | None) -> Iterator[Finding]:
    if user_id == 0:
        remedy = "run it as the user whose photos these are; what root makes, that user cannot change"
        yield remark(ENVIRONMENT, "this is root, who may do anything", remedy)
    if umask is not None and not umask & 0o002:
        what = f"umask {umask:03o}: what facewatch makes in the people folder, everybody may change"
        yield remark(ENVIRONMENT, what, "umask 022 before it is started (UMask=0022 in a systemd unit)")


def _umask(proc: Path) -> int | None:
    """Return what the kernel says: asking Python for it would change it for a moment."""
    for line in _lines(proc / "self" / "status"):
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return None


def open_files(_: Case) -> Iterator[Finding]:
    """How many files may be open at once."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from check_open_files(soft, hard)


def check_open_files(soft: int, hard: int) -> Iterator[Finding]:
    """Limits of open files; -1 is none."""
    if 0 <= soft < OPEN_FILES:
        remedy = f"ulimit -n {OPEN_FILES if hard < 0 else max(soft, min(hard, 4 * OPEN_FILES))} before it is started"
        yield remark(
            ENVIRONMENT, f"only {soft} files may be open at once", f"{remedy} (LimitNOFILE=4096 in a systemd unit)"
        )


ENVIRONMENT_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (
    *(program, packages, native_libraries, machine, encoding, clock, user, open_files),
)


SETTINGS = "settings"
MODELS = "models"


# --- settings ---


def settings(case: Case) -> Iterator[Finding]:
    """Which file was read, and all that is wrong with it."""
    source = shown(case.config.source)
    for fault in case.faults:
        what, advice = split_advice(fault)
        yield broken(SETTINGS, f"{source}: {what}", advice or f"correct it in {source}")
    if not case.faults:
        said = "no settings file: every setting has its default" if source == "defaults" else f"{source}: understood"
        yield fine(SETTINGS, said)


def places(case: Case) -> Iterator[Finding]:
    """Whether library, people folder and catalog lie in each other."""
    try:
        check_places(case.roots, case.people, case.config.catalog, source=case.config.source)
    except ConfigError as error:
        remedy = "name other folders in the settings: photos, people, catalog under [library]"
        for fault in error.faults:
            yield broken(SETTINGS, shown(fault), remedy)


# --- models ---


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
        info, runtime = describe_engine(name, options), runtime_of(name, options)
    except (EngineError, OSError) as error:
        what, advice = split_advice(str(error))
        yield broken(MODELS, what, advice or "facewatch models lists the engines")
        return
    yield fine(MODELS, f"engine {name}: its files are here; {info.licence}")
    if runtime:
        yield fine(MODELS, f"its recogniser is run by {runtime}")
    yield from _difference(info, case.catalog.engines.all() if case.catalog else [])


def _difference(info: EngineInfo, known: list[KnownEngine]) -> Iterator[Finding]:
    """Compare the wanted engine with the one whose answers the catalog shows."""
    in_use = next((engine for engine in known if engine.is_in_use), None)
    if in_use is None or in_use.fingerprint == info.fingerprint:
        return
    remedy = "facewatch scan, or watch, analyses every photo again and keeps people, names and decisions"
    if in_use.name == info.name:
        yield remark(MODELS, f"engine {info.name}: its files are not those that the catalog was made with", remedy)
    else:
        yield remark(MODELS, f"the engine is being changed from {in_use.name} to {info.name}", remedy)


def model_files(case: Case) -> Iterator[Finding]:
    """Whether the model files are what they should be, byte for byte; only --deep reads them."""
    if not case.is_deep:
        return
    folder = packs.models_folder(case.config["engine.models"])
    name = wanted_engine(case)
    own = [name] if "/" in pack_of(name) else []
    here = [pack.name for pack in packs.list_packs(folder) if pack.state != "absent"]
    for pack in (*own, *here):
        faults = packs.verify(pack, folder)
        what = f"insightface:{packs.plain_name(pack)}"
        for fault in faults:
            yield broken(MODELS, f"{what}: {fault}", packs.remedy(packs.plain_name(pack)))
        if not faults and packs.is_on_record(pack, folder):
            yield fine(MODELS, f"{what}: every byte is as it should be")
        elif not faults:
            said = f"{what}: no SHA-256 is on record, so damage cannot be detected"
            yield remark(MODELS, said, f"facewatch models import {folder / packs.plain_name(pack)} writes it down")


SETTINGS_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (settings, places)
MODEL_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (engine, model_files)
