"""Who is at work, how the last run ended, and which photos could not be used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from facewatch.catalog import by_cause
from facewatch.checks.doctor.case import Case, Finding, counted, mentioned, shown
from facewatch.checks.doctor.environment import child_environment
from facewatch.errors import FacewatchError
from facewatch.heartbeat import HeartbeatFile, heartbeat_file_of
from facewatch.types import Fingerprint

AT_WORK = "at work"
PHOTOS = "photos"

MOST_CAUSES = 10
"""Causes that are told one by one."""

DECODE_SECONDS = 120.0
"""What a sample photo may take; 200 megapixels in HEIF take twenty seconds on a slow machine."""


# --- at work ---


def runner(case: Case) -> Iterator[Finding]:
    """Who scans or watches, and whether it still says something."""
    if case.runner is None:
        yield Finding(AT_WORK, "ok", "nobody scans or watches now")
        return
    now, live = case.world.now(), HeartbeatFile(heartbeat_file_of(case.config.catalog)).read()
    if live is not None and not live.is_fresh(now):
        minutes = live.age_seconds(now) / 60
        what = f"{case.runner}: at work, but it has said nothing for {minutes:.0f} minutes"
        yield Finding(
            AT_WORK, "remark", what, "look at its log; if it hangs, kill it and start it again: nothing is lost"
        )
    else:
        yield Finding(AT_WORK, "ok", f"{case.runner}")


def last_run(case: Case) -> Iterator[Finding]:
    """Whether the last scan or watch came to its end."""
    run = case.catalog.unended_run() if case.catalog else None
    # Not by its process: the number may be another's by now, or that of one that is dead and not yet buried. The lock
    # goes with whoever held it.
    if run is not None and case.runner is None:
        what = f"the last run ({run.kind}, of {run.started_at}, process {run.pid}) was cut off"
        yield Finding(AT_WORK, "remark", what, f"nothing is lost, the next carries on: facewatch {run.kind}")


def app(case: Case) -> Iterator[Finding]:
    """Whether a watcher is started by the system, and how that one is."""
    try:
        state = case.world.manager().state()
    except FacewatchError:
        yield Finding(AT_WORK, "ok", "no service: the system has none to offer, or not to this user")
        return
    name = f"service of {state.manager}"
    if not state.is_installed:
        yield Finding(AT_WORK, "ok", f"no {name}; facewatch service install keeps a watcher at work")
    elif state.activity == "failed":
        what = f"{name}: failed (exit code {state.exit_code})"
        yield Finding(AT_WORK, "broken", what, "facewatch service logs says why")
    elif not state.is_running:
        yield Finding(AT_WORK, "remark", f"{name}: {state.activity}", "facewatch service install starts it")
    elif not state.is_enabled:
        yield Finding(AT_WORK, "remark", f"{name}: does not start by itself", "facewatch service install")
    else:
        yield Finding(AT_WORK, "ok", f"{name}: {state.activity}")
    if state.is_installed and state.is_lingering is False:
        what = f"{name}: ends when you log out"
        yield Finding(AT_WORK, "remark", what, "sudo loginctl enable-linger $USER")


def pause(case: Case) -> Iterator[Finding]:
    """Whether the watcher was told to look at nothing."""
    since = case.catalog.settings.get("paused") if case.catalog else None
    if since is not None:
        yield Finding(AT_WORK, "remark", f"paused since {since}: no photo is looked at", "facewatch resume")


# --- photos ---


def faulty_files(case: Case) -> Iterator[Finding]:
    """Which files could not be used, by cause."""
    if case.catalog is None:
        return
    causes = by_cause(case.catalog.files.faulty())
    if not causes:
        yield Finding(PHOTOS, "ok", "every photo could be used")
    for files in causes[:MOST_CAUSES]:
        first = files[0]
        what = f"{counted(len(files), 'file')}: {first.fault.text}, for example {shown(first.path)}"
        yield Finding(PHOTOS, "remark", what, first.fault.advice or "facewatch status lists them")
    if len(causes) > MOST_CAUSES:
        rest = sum(map(len, causes[MOST_CAUSES:]))
        yield Finding(PHOTOS, "remark", f"{counted(rest, 'file')} for other reasons", "facewatch status lists them")


_DECODE = """
import sys
from facewatch.decode import decode
from facewatch.errors import PhotoError
try:
    with open(sys.argv[1], "rb") as file:
        decode(file)
except (PhotoError, OSError) as error:
    sys.exit(str(error))
"""


def samples(case: Case) -> Iterator[Finding]:
    """Whether a photo of every format can be decoded, each in a process of its own; only --deep does that."""
    if case.catalog is None or not case.is_deep:
        return
    found = {kind: path for kind, (path, known) in case.catalog.samples().items() if _is_as_it_was(path, known)}
    faults = {kind: fault for kind, path in found.items() if (fault := decode_fault(path)) is not None}
    for kind, fault in faults.items():
        remedy = "it could be before: if other programs show it whole, pip install --force-reinstall pillow pillow-heif"
        yield Finding(PHOTOS, "broken", f"{kind}: {shown(found[kind])} cannot be decoded: {fault}", remedy)
    if good := [kind for kind in found if kind not in faults]:
        yield Finding(PHOTOS, "ok", f"a sample was decoded of {', '.join(mentioned(good, 20))}")


def _is_as_it_was(path: Path, known: Fingerprint) -> bool:
    """Whether nobody wrote to a file since it was read; one that was changed may be anything now."""
    try:
        return Fingerprint.of(path.lstat()) == known
    except OSError:
        return False


def decode_fault(path: Path, *, seconds: float = DECODE_SECONDS) -> str | None:
    """Return why a photo cannot be decoded, or None; a decoder that crashes or hangs takes nothing with it."""
    command = [sys.executable, "-P", "-W", "ignore", "-c", _DECODE, str(path)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {seconds:.0f} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"the decoder crashes (signal {-done.returncode})"
    return (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason was given"])[-1]


CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (runner, last_run, pause, app)
PHOTO_CHECKS: tuple[Callable[[Case], Iterable[Finding]], ...] = (faulty_files, samples)
