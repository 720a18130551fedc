"""The watcher as a user unit of systemd, and what a service is on any platform.

A `ServiceJob` says what is to run and what it may write to; a manager (`Systemd`, or another of `services`) makes that
a file of its own kind and talks to the platform, through one `Run`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from facewatch.errors import FacewatchError
from facewatch.fs.atomic import replacing

UNIT = "facewatch.service"


CANNOT_MEND_ITSELF = (2, 3, 5, 7)
"""Exit codes after which trying again changes nothing: the command line, the settings, a damaged catalog, the engine's
files. A library or another facewatch that is in the way may be gone or back a minute later, and a full disk is waited
out."""


OLDEST_SYSTEMD = 244
"""Of November 2019; since then a command can be taken as it is, with its dollar signs."""

WITH_NOTIFY_RELOAD = 253
WITH_GROWING_PAUSES = 254


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and output of a system command."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str]], CommandResult]
"""Runs a command and waits for it; code 127 when there is no such program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceJob:
    """The command that the service manager keeps running."""

    program: tuple[str, ...]
    """How this program is started, absolute and without its arguments."""
    arguments: tuple[str, ...] = ("watch",)
    environment: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[Path, ...] = ()
    """All folders that it ever writes to."""
    libraries: tuple[Path, ...] = ()
    """The photos, which it only reads."""
    is_tmp_private: bool = True
    """Whether nothing that it needs lies in /tmp."""
    memory_mb: int = 0
    """Of the whole service; 0: no limit."""
    has_gpu: bool = False
    """Drivers of GPUs make programs while they run, which must not be forbidden then."""
    has_page: bool = False
    """Whether it serves the page, for which it has to be reached from this machine."""
    watchdog_seconds: int = 900
    """After how long a silence it counts as hung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """The state of the service."""

    manager: str
    file: Path
    is_installed: bool
    is_enabled: bool = False
    """Whether it starts by itself."""
    activity: str = "stopped"
    """"running", "starting", "stopping", "reloading", "waiting to start again", "stopped" or "failed"."""
    since: str = ""
    """When it came to be so, as the manager writes it."""
    doing: str = ""
    """What it said of itself last."""
    pid: int = 0
    exit_code: int = 0
    """Of the last time it ended; the negative number of the signal that ended it."""
    n_restarts: int = 0
    memory_mb: float = 0.0
    is_lingering: bool | None = None
    """Whether it also runs while its user is not logged in; None: it is not known."""

    @property
    def is_running(self) -> bool:
        return self.activity in ("running", "reloading")

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"is_running": self.is_running}


def run_command(command: Sequence[str], *, timeout: float | None = None) -> CommandResult:
    """Run a command of the system, without input; code 124 where it takes longer than so many seconds."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout
        )
    except FileNotFoundError:
        return CommandResult(127, "", f"{command[0]}: no such program")
    except subprocess.TimeoutExpired:
        return CommandResult(124, "", f"{command[0]} does not answer")
    return CommandResult(done.returncode, done.stdout, done.stderr)


@dataclass(eq=False)
class Systemd:
    """A unit of the user's own systemd."""

    name = "systemd"

    run: Run
    folder: Path
    """Where this user's units lie."""
    home: Path
    version: int
    """systemd's."""
    unit: str = UNIT
    is_here: bool = True

    @property
    def file(self) -> Path:
        return self.folder / self.unit

    def text(self, job: ServiceJob) -> str:
        """Return the unit, with the strongest sandbox in which the program starts here.

        Raises:
            FacewatchError: a path that a unit cannot hold.
        """
        return systemd_unit(job, version=self.version, sandbox=self._sandbox(job), home=self.home)

    def install(self, text: str) -> None:
        write_description(self.file, text.encode())
        self._do("daemon-reload")
        self._do("enable", self.unit)
        # It may have been given up on; that is forgotten.
        self.run(["systemctl", "--user", "reset-failed", self.unit])
        try:
            self._do("restart", self.unit)
        except FacewatchError as error:
            log = self.run(self.log_command(5, follow=False)).out.strip()
            raise FacewatchError(f"{error}. Its log ends with:\n{log}" if log else str(error)) from error

    def uninstall(self) -> bool:
        is_there = self.file.exists()
        if is_there:
            self._do("disable", "--now", self.unit)
            self.file.unlink(missing_ok=True)
            self._do("daemon-reload")
            self.run(["systemctl", "--user", "reset-failed", self.unit])
        return is_there

    def state(self) -> ServiceState:
        answer = self.run(["systemctl", "--user", "show", self.unit, f"--property={','.join(_SHOWN)}"])
        said = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        active = said.get("ActiveState", "")
        return ServiceState(
            manager=self.name,
            file=self.file,
            is_installed=self.file.exists(),
            is_enabled=said.get("UnitFileState", "").startswith("enabled"),
            activity=_ACTIVITIES.get(said.get("SubState", ""), _ACTIVITIES.get(active, active or "stopped")),
            since=said.get("StateChangeTimestamp", ""),
            doing=said.get("StatusText", ""),
            pid=number(said.get("MainPID")),
            exit_code=number(said.get("ExecMainStatus")) * (-1 if said.get("ExecMainCode") in _BY_SIGNAL else 1),
            n_restarts=number(said.get("NRestarts")),
            memory_mb=number(said.get("MemoryCurrent")) / 1e6,
            is_lingering=self._is_lingering(),
        )

    def log_command(self, n_lines: int, *, follow: bool) -> list[str]:
        unit = f"--user-unit={self.unit}"
        return ["journalctl", "--user", unit, f"--lines={n_lines}", *(["--follow"] if follow else ["--no-pager"])]

    def _is_lingering(self) -> bool | None:
        answer = self.run(["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"])
        # A user who is not logged in, and whose services do not run then, is not known at all.
        return {"yes": True, "no": False}.get(answer.out.strip()) if answer.code == 0 else None

    def _sandbox(self, job: ServiceJob) -> tuple[str, ...]:
        """Return the first sandbox in which the program can be started: kernels and containers forbid parts of them."""
        if not self.is_here:
            return sandboxes(job)[0]
        for sandbox in sandboxes(job):
            options = [option for line in sandbox for option in ("-p", line)]
            trial = ["systemd-run", "--user", "--wait", "--collect", "--quiet", "--pipe", *options]
            environment = [f"--setenv={name}={value}" for name, value in job.environment.items()]
            if self.run([*trial, *environment, *job.program, "--version"]).code == 0:
                return sandbox
        return ()

    def _do(self, *arguments: str) -> None:
        answer = self.run(["systemctl", "--user", *arguments])
        if answer.code:
            raise FacewatchError(
                f"systemctl --user {' '.join(arguments)}: {one_line(answer.err) or f'exit code {answer.code}'}; "
                "`facewatch service logs` says more"
            )


_SHOWN = (
    *("ActiveState", "SubState", "StateChangeTimestamp", "StatusText", "MainPID", "ExecMainCode", "ExecMainStatus"),
    *("NRestarts", "MemoryCurrent", "UnitFileState"),
)

_BY_SIGNAL = ("2", "3")
"""CLD_KILLED and CLD_DUMPED of waitid(2): the status is the signal's number then."""

_ACTIVITIES = {
    "auto-restart": "waiting to start again",
    "auto-restart-queued": "waiting to start again",
    "active": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "reloading": "reloading",
    "inactive": "stopped",
    "failed": "failed",
}


def sandboxes(job: ServiceJob) -> tuple[tuple[str, ...], ...]:
    """Return sets of systemd's options, from the strongest on.

    What only a process with privileges could do (kernel modules, its log, the clock) is not forbidden again: those
    options give up capabilities, which a user's manager may not, and the unit would fail with 218/CAPABILITIES.
    """
    calls = (
        "NoNewPrivileges=yes",
        f"RestrictAddressFamilies=AF_UNIX{' AF_INET AF_INET6' if job.has_page else ''}",
        "SystemCallFilter=@system-service",
        "SystemCallErrorNumber=EPERM",
        "SystemCallArchitectures=native",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "LockPersonality=yes",
        *(() if job.has_gpu else ("MemoryDenyWriteExecute=yes",)),
    )
    places = (
        "ProtectSystem=strict",
        "ProtectHome=read-only",
        *(("PrivateTmp=yes",) if job.is_tmp_private else ()),
        *(("IPAddressDeny=any", "IPAddressAllow=localhost") if job.has_page else ("PrivateNetwork=yes",)),
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
    )
    # Up to systemd 253 a user's services have places of their own only in a user namespace that was asked for; later
    # ones make it themselves. Where the kernel forbids it (Ubuntu 24.04), asking for it would fail the unit.
    return (("PrivateUsers=yes", *places, *calls), (*places, *calls), calls)


def systemd_unit(job: ServiceJob, *, version: int, sandbox: Iterable[str], home: Path) -> str:
    """Return the text of the unit for this version of systemd.

    Raises:
        FacewatchError: a path that a unit cannot hold.
    """
    command = " ".join(quoted(word) for word in (*job.program, *job.arguments))
    is_told_to_reload = version >= WITH_NOTIFY_RELOAD
    lines = [
        "# Written by `facewatch service install`, which writes it anew: changes belong into a drop-in,",
        f"# `systemctl --user edit {UNIT.removesuffix('.service')}`. Install again after moving a folder or facewatch.",
        "[Unit]",
        "Description=facewatch: keeps a folder of links per person",
        # Against a loop that is tighter than the pauses below, never against a patient one.
        "StartLimitIntervalSec=10min",
        "StartLimitBurst=20",
        "",
        "[Service]",
        f"Type={'notify-reload' if is_told_to_reload else 'notify'}",
        # The colon: dollar signs in paths are no variables.
        f"ExecStart=:{command}",
        *([] if is_told_to_reload else ["ExecReload=kill -HUP $MAINPID"]),
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in job.environment.items()),
        "",
        "Restart=on-failure",
        *_restart_lines(version),
        f"RestartPreventExitStatus={' '.join(map(str, CANNOT_MEND_ITSELF))}",
        f"WatchdogSec={job.watchdog_seconds}",
        "TimeoutStartSec=15min",
        "TimeoutStopSec=2min",
        "KillMode=mixed",
        "# A photo that takes all memory costs a worker process, not the service.",
        "OOMPolicy=continue",
        "",
        "Slice=background.slice",
        *([f"MemoryMax={job.memory_mb}M"] if job.memory_mb else []),
        *_sandbox_lines(tuple(sandbox), job, home),
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _restart_lines(version: int) -> list[str]:
    if version >= WITH_GROWING_PAUSES:
        return ["RestartSec=10", "RestartSteps=8", "RestartMaxDelaySec=15min"]
    return ["RestartSec=1min"]


def _sandbox_lines(sandbox: tuple[str, ...], job: ServiceJob, home: Path) -> list[str]:
    if not sandbox:
        return ["", "# No sandbox: none works for user services here."]
    lines = ["", *sandbox]
    if "ProtectSystem=strict" in sandbox:
        writable, readable = named_places(job.writable, job.libraries, home=home)
        lines += ["# All else can only be read, the photos too. A folder that is not there is no fault."]
        lines += [f"ReadWritePaths={quoted(f'-{folder}')}" for folder in writable]
        lines += [f"ReadOnlyPaths={quoted(f'-{folder}')}" for folder in readable]
    return lines


def named_places(
    writable: Iterable[Path],
    libraries: Iterable[Path],
    *,
    home: Path,
    is_mount: Callable[[Path], bool] = os.path.ismount,
) -> tuple[list[Path], list[Path]]:
    """Return what has to be named as writable, and as only readable within that.

    For a folder on a drive of its own that is the drive: a folder in it would become a mount of its own, which keeps
    the drive visible to the service, and busy, after it was unplugged. For the same reason a library on such a drive is
    not named.
    """
    own = home.resolve()

    def drive_of(folder: Path) -> Path:
        return next(place for place in (folder, *folder.parents) if is_mount(place))

    def is_fixed(folder: Path) -> bool:
        return own.is_relative_to(drive_of(folder))

    wanted = {folder.resolve() for folder in writable}
    named = sorted({folder if is_fixed(folder) else drive_of(folder) for folder in wanted})
    resolved = {library.resolve() for library in libraries}
    inside = [library for library in resolved if any(library.is_relative_to(place) for place in named)]
    return named, sorted(library for library in inside if is_fixed(library))


def quoted(text: str) -> str:
    """Return one word of a unit file, whatever quotes, spaces, backslashes and percent signs are in it.

    Raises:
        FacewatchError: it holds what no unit can: control characters, or bytes that are no text.
    """
    if any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in text):
        shown = text.encode("utf-8", "backslashreplace").decode()
        raise FacewatchError(
            f"{shown!r}: a service cannot be given a name with line breaks or bytes that are no text; rename that "
            "folder"
        )
    escaped = re.sub(r'(["\\])', r"\\\1", text).replace("%", "%%")
    return escaped if re.fullmatch(r"[\w/.=:,+@%-]+", escaped, re.ASCII) else f'"{escaped}"'


def write_description(file: Path, content: bytes) -> None:
    """Write the file as a whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file, mode=0o644) as part:
            part.write(content)
    except OSError as error:
        raise FacewatchError(f"{file}: cannot be written: {error.strerror}; make its folder writable") from error


def number(text: str | None) -> int:
    """Return the number; 0 for what the manager does not know, for which it has several words."""
    return int(text) if text and text.isdecimal() and len(text) < 18 else 0


def one_line(text: str) -> str:
    return " ".join(text.split())[:500]
