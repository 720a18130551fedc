"""The service managers of the platforms: which one runs services here, and launchd; systemd has a module of its own."""

from __future__ import annotations

import os
import plistlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from facewatch.errors import FacewatchError
from facewatch.watcher.systemd import (
    OLDEST_SYSTEMD,
    WITH_GROWING_PAUSES,
    Run,
    ServiceJob,
    ServiceState,
    Systemd,
    number,
    one_line,
    run_command,
    write_description,
)

LABEL = "org.facewatch.watch"

HELP_YOURSELF = (
    "start `facewatch watch` in another way: in Docker (compose.yaml), or with a line in your crontab: "
    "@reboot facewatch watch"
)


class ServiceManager(Protocol):
    """What installs the service; made by `find_manager`."""

    name: str
    is_here: bool
    """Whether the platform has it; if not, it can only say what it would write."""

    @property
    def file(self) -> Path:
        """Where the service is described."""

    def text(self, job: ServiceJob) -> str:
        """Return that description."""

    def install(self, text: str) -> None:
        """Write the description, and (re)start the service now and whenever its user logs in."""

    def uninstall(self) -> bool:
        """Stop the service and remove its description; whether there was one."""

    def state(self) -> ServiceState:
        """Return how the service is."""

    def log_command(self, n_lines: int, *, follow: bool) -> list[str]:
        """Return the command that shows the log."""


def find_manager(
    platform: str,
    *,
    run: Run | None = None,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
    is_dry_run: bool = False,
) -> ServiceManager:
    """Return what runs services here.

    Args:
        platform: as `sys.platform`.
        is_dry_run: a systemd that does not answer is taken for a new one, which nothing is asked of.

    Raises:
        FacewatchError: nothing that this program knows.
    """
    run, home = run or run_command, home or Path.home()
    if platform == "darwin":
        return Launchd(run, home=home, uid=os.getuid())
    if platform != "linux":
        raise FacewatchError(f"{platform}: services can be installed on Linux and macOS only; {HELP_YOURSELF}")
    folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
    answer = run(["systemctl", "--user", "show", "--property=Version", "--value"])
    version = re.search(r"\d+", answer.out)
    if is_dry_run and (answer.code or not version):
        return Systemd(run, folder=folder, home=home, version=WITH_GROWING_PAUSES, is_here=False)
    if answer.code == 127:
        raise FacewatchError(f"this system is not run by systemd; {HELP_YOURSELF}")
    if answer.code or not version:
        raise FacewatchError(
            f"systemd has no manager for this user here ({one_line(answer.err) or 'it did not answer'}). Log in as "
            f"the user whose photos these are, without sudo or su (over ssh is fine); or {HELP_YOURSELF}"
        )
    if int(version[0]) < OLDEST_SYSTEMD:
        raise FacewatchError(f"systemd {version[0]} is too old, {OLDEST_SYSTEMD} is needed; {HELP_YOURSELF}")
    return Systemd(run, folder=folder, home=home, version=int(version[0]))


class Launchd:
    """An agent of the user's own launchd."""

    name = "launchd"
    is_here = True

    def __init__(self, run: Run, *, home: Path, uid: int) -> None:
        self._run = run
        self._home = home
        self._domain = f"gui/{uid}"

    @property
    def file(self) -> Path:
        return self._home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    @property
    def log_file(self) -> Path:
        return self._home / "Library" / "Logs" / "facewatch.log"

    def text(self, job: ServiceJob) -> str:
        return launchd_plist(job, log_file=self.log_file)

    def install(self, text: str) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        write_description(self.file, text.encode())
        # What runs goes on with the old description until it is taken out.
        self._run(["launchctl", "bootout", f"{self._domain}/{LABEL}"])
        self._do("enable", f"{self._domain}/{LABEL}")
        self._do("bootstrap", self._domain, str(self.file))

    def uninstall(self) -> bool:
        is_there = self.file.exists()
        self._run(["launchctl", "bootout", f"{self._domain}/{LABEL}"])
        self.file.unlink(missing_ok=True)
        return is_there

    def state(self) -> ServiceState:
        answer = self._run(["launchctl", "print", f"{self._domain}/{LABEL}"])
        said = dict(re.findall(r"^\t(state|pid|runs|last exit code) = (.*)$", answer.out, re.MULTILINE))
        is_running = said.get("state") == "running"
        exit_code = number(said.get("last exit code", "").split(":")[0])
        return ServiceState(
            manager=self.name,
            file=self.file,
            is_installed=self.file.exists(),
            is_enabled=answer.code == 0,
            activity="running" if is_running else "failed" if exit_code else "stopped",
            pid=number(said.get("pid")),
            exit_code=exit_code,
            n_restarts=max(0, number(said.get("runs")) - 1),
        )

    def log_command(self, n_lines: int, *, follow: bool) -> list[str]:
        return ["tail", "-n", str(n_lines), *(["-F"] if follow else []), str(self.log_file)]

    def _do(self, *arguments: str) -> None:
        answer = self._run(["launchctl", *arguments])
        if answer.code:
            raise FacewatchError(
                f"launchctl {' '.join(arguments)}: {one_line(answer.err) or f'exit code {answer.code}'}; "
                "`facewatch service logs` says more"
            )


def launchd_plist(job: ServiceJob, *, log_file: Path) -> str:
    """Return the text of the agent."""
    values = {
        "Label": LABEL,
        "ProgramArguments": [*job.program, *job.arguments],
        "EnvironmentVariables": dict(job.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 60,
        "ExitTimeOut": 120,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "StandardOutPath": "/dev/null",
        "StandardErrorPath": str(log_file),
    }
    try:
        return plistlib.dumps(values).decode()
    except (ValueError, UnicodeEncodeError) as error:
        raise FacewatchError(
            "a service cannot be given a name with control characters or bytes that are no text; rename that folder"
        ) from error
