"""What runs a pack's recogniser: onnxruntime, or OpenVINO where that is installed, faster, and proved to be right.

OpenVINO gains something by bf16 alone, on processors that have it. Before its vectors are believed it computes some in
a process of its own, beside onnxruntime; what came of that is kept in the models folder, so that it is asked once for
each recogniser, version and processor. The detector is onnxruntime's in any case: docs/recognisers.md says why.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facewatch.engines.openvino_network import Precision, has_bf16
from facewatch.engines.sessions import one_line
from facewatch.errors import EngineError
from facewatch.fs.atomic import replacing

log = logging.getLogger(__name__)

LEAST = (2025, 0)
"""The oldest OpenVINO that is used; docs/recognisers.md says which was measured."""

INSTALL = f"{shlex.quote(sys.executable)} -m pip install --no-deps openvino"
"""Without what it asks for: that reports its use."""

LEAST_COSINE: dict[Precision, float] = {"bf16": 0.998, "f32": 0.99999}
"""Between both vectors of a made picture. With a recogniser that has .9995 `facewatch evaluate` gives the same figures;
see docs/recognisers.md."""

TRIAL_SECONDS = 120.0
"""A trial takes one or two; a slow disk takes ten."""

KEPT = ".openvino"
"""The folder of what came of trials, in the models folder."""

_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a recogniser."""

    name: Literal["onnxruntime", "openvino"]
    version: str
    precision: Precision = "f32"
    is_asked_for: bool = False
    """Whether the settings name it."""
    doubt: str = ""
    """Why it is not OpenVINO although that is installed, or that nobody has tried it yet."""

    @property
    def is_openvino(self) -> bool:
        return self.name == "openvino"

    def __str__(self) -> str:
        doubt = f" ({self.doubt})" if self.doubt else ""
        return f"{self.name} {self.version}, {self.precision}{doubt}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying OpenVINO."""

    fault: str = ""
    """Why it cannot be used; empty: it is right."""
    is_final: bool = True
    """Whether the next time would surely be the same; else it is tried again."""


Try = Callable[[Path, Precision], Trial]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings say, and of which recogniser."""

    runtime: str
    """"auto", "onnxruntime" or "openvino"."""
    device: str
    model: Path
    sha256: str
    """Of the model."""
    models: Path
    """The models folder."""

    @property
    def is_for_openvino(self) -> bool:
        return self.runtime == "openvino"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it is to run."""

    has_gpu: Callable[[], bool]
    """Says whether onnxruntime would run it on something else than the CPU; asked only where it matters."""
    attempt: Try | None = None
    """Tries OpenVINO where nobody has; None: only what is known counts."""
    version_of: Callable[[str], str] = importlib.metadata.version
    """Raises PackageNotFoundError for a package that is absent."""
    cpuinfo: Path = Path("/proc/cpuinfo")

    @property
    def has_bf16(self) -> bool:
        return has_bf16(self.cpuinfo)

    @property
    def processor(self) -> str:
        try:
            text = self.cpuinfo.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
        return f"{platform.machine()} {found[1] if found else platform.processor()} {self.has_bf16}"

    @property
    def onnxruntime(self) -> str:
        """The version of onnxruntime."""
        for package in ("onnxruntime", "onnxruntime-gpu"):
            with suppress(importlib.metadata.PackageNotFoundError):
                return self.version_of(package)
        return ""


class _Unusable(Exception):
    """Why OpenVINO is not used; never leaves this module."""

    def __init__(self, fault: str, remedy: str = "", *, is_silent: bool = False) -> None:
        self.fault, self.remedy, self.is_silent = fault, remedy, is_silent
        super().__init__(fault)


def choose_runtime(wish: Wish, machine: Machine) -> Runtime:
    """Return what is to run a recogniser.

    Raises:
        EngineError: OpenVINO is asked for by its name and cannot be used.
    """
    if wish.runtime == "onnxruntime":
        return Runtime("onnxruntime", machine.onnxruntime)
    try:
        return _openvino(wish, machine)
    except _Unusable as why:
        if wish.is_for_openvino:
            remedy = why.remedy or 'set it to "onnxruntime" or "auto"'
            raise EngineError(f'engine.runtime is "openvino": {why.fault}; {remedy}') from why
        if machine.attempt is not None and not why.is_silent:
            quiet = 'engine.runtime = "onnxruntime" does so without a word'
            log.warning("%s; onnxruntime runs %s (%s)", why.fault, wish.model.name, quiet)
        return Runtime("onnxruntime", machine.onnxruntime, doubt="" if why.is_silent else why.fault)


def not_run(runtime: Runtime, model: Path, error: Exception) -> None:
    """Deal with a recogniser that OpenVINO cannot run, although it could before: where nobody asked for it, say so.

    Raises:
        EngineError: the settings name it.
    """
    if runtime.is_asked_for:
        raise EngineError(
            f'engine.runtime is "openvino": {runtime.version} cannot run {model} ({one_line(error)}); set it to '
            '"onnxruntime" or "auto"'
        ) from error
    log.warning("openvino %s: %s; onnxruntime runs %s", runtime.version, one_line(error), model.name)


def _openvino(wish: Wish, machine: Machine) -> Runtime:
    if wish.device not in ("auto", "cpu"):
        raise _Unusable("it runs on the CPU only", 'set engine.device to "cpu" or "auto"', is_silent=True)
    if not wish.is_for_openvino and not machine.has_bf16:
        raise _Unusable("it is no faster on this processor", is_silent=True)
    version = _version(machine)
    if not wish.is_for_openvino and machine.has_gpu():
        raise _Unusable("it is slower than the GPU", is_silent=True)
    fault = ""
    for precision in _precisions(wish, machine):
        trial = _tried(wish, machine, version, precision)
        if trial is None or not trial.fault:
            doubt = "" if trial else "not tried yet"
            return Runtime("openvino", version, precision, is_asked_for=wish.is_for_openvino, doubt=doubt)
        fault = trial.fault
    raise _Unusable(f"openvino {version} {fault}")


def _precisions(wish: Wish, machine: Machine) -> Iterator[Precision]:
    """Yield what is tried, the fastest first; 32 bits are no gain, and only for who asks for OpenVINO."""
    if machine.has_bf16:
        yield "bf16"
    if wish.is_for_openvino:
        yield "f32"


def _version(machine: Machine) -> str:
    try:
        version = machine.version_of("openvino")
    except importlib.metadata.PackageNotFoundError:
        raise _Unusable("it is not installed", INSTALL, is_silent=True) from None
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise _Unusable(f"openvino {version} is too old, {least} is needed", f"{INSTALL} --upgrade")
    return version


def _tried(wish: Wish, machine: Machine, version: str, precision: Precision) -> Trial | None:
    """Return what came of trying OpenVINO, now or before; None: nobody did."""
    known = (wish.sha256, version, machine.onnxruntime, precision, LEAST_COSINE[precision], machine.processor)
    file = wish.models / KEPT / f"{hashlib.sha256(repr(known).encode()).hexdigest()}.json"
    before = _read(file)
    # Who asks for it may have mended what was wrong.
    if before is not None and not (before.fault and wish.is_for_openvino and machine.attempt):
        return before
    if machine.attempt is None:
        return None
    trial = machine.attempt(wish.model, precision)
    if trial.is_final:
        _keep(file, trial)
    return trial


def _read(file: Path) -> Trial | None:
    try:
        said: Any = json.loads(file.read_text(encoding="utf-8"))
        return Trial(str(said["fault"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, trial: Trial) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as stream:
            stream.write(json.dumps({"fault": trial.fault}).encode())
    except OSError as error:
        log.debug("%s: not kept (%s)", file, error)


def try_openvino(model: Path, precision: Precision, *, seconds: float = TRIAL_SECONDS) -> Trial:
    """Return what comes of computing some vectors by OpenVINO, in a process of its own, beside onnxruntime's."""
    command = [sys.executable, "-P", "-m", "facewatch.engines.openvino_trial", os.fspath(model), precision]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Trial(f"is not ready after {seconds:.0f} s", is_final=False)
    except OSError as error:
        return Trial(f"cannot be tried ({error.strerror})", is_final=False)
    if ended.returncode:
        is_crash = ended.returncode < 0 and ended.returncode not in _FROM_OUTSIDE
        return Trial(_how(ended.returncode, ended.stderr), is_final=is_crash)
    try:
        cosine = float(ended.stdout.split()[-1])
    except (ValueError, IndexError):
        return Trial("says nothing", is_final=False)
    if not cosine >= LEAST_COSINE[precision]:
        return Trial(f"gives other numbers than onnxruntime (cosine {cosine:.4f} in {precision})")
    return Trial()


def _how(code: int, stderr: str) -> str:
    """Return in words how a trial ended that did not end well."""
    if code < 0:
        return f"crashes ({(signal.strsignal(-code) or f'signal {-code}').lower()})"
    lines = [line for line in stderr.splitlines() if line.strip()]
    return f"fails ({' '.join(lines[-1].split())[:200] if lines else f'exit status {code}'})"
