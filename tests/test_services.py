"""The watcher as a service: what is written for systemd and launchd, and that systemd really runs it."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st

from facewatch.cli.watch import plan_job
from facewatch.config import Config, load_config
from facewatch.errors import CatalogError, ConfigError, EngineError, FacewatchError, LibraryError
from facewatch.heartbeat import FRESH_SECONDS
from facewatch.watcher.services import LABEL, Launchd, find_manager, launchd_plist
from facewatch.watcher.systemd import (
    CANNOT_MEND_ITSELF,
    CommandResult,
    Run,
    ServiceJob,
    Systemd,
    named_places,
    quoted,
    run_command,
    sandboxes,
    systemd_unit,
)

JOB = ServiceJob(program=("/opt/my python/bin/python", "-P", "-m", "facewatch"))


# --- a reader of unit files, by systemd.syntax(7) and systemd.service(5) ---


def words_of(value: str) -> list[str]:
    """Return the words of a value as systemd sees them: unquoted, specifiers resolved."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    signs = iter(value)
    for sign in signs:
        if quote:
            if sign == quote:
                quote = ""
            else:
                word = (word or "") + (next(signs) if sign == "\\" else sign)
        elif sign in " \t":
            words += [word] if word is not None else []
            word = None
        elif sign in "\"'":
            quote, word = sign, word or ""
        else:
            word = (word or "") + (next(signs) if sign == "\\" else sign)
    assert not quote, f"a quote stays open: {value}"
    words += [word] if word is not None else []
    for one in words:
        assert "%" not in one.replace("%%", ""), f"a specifier: {one}"
    return [one.replace("%%", "%") for one in words]


def read_unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Return every value by section and key."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;":
            assert not line.endswith("\\"), "the next line would belong to this one"
            key, value = line.split("=", 1)
            section.setdefault(key, []).append(value)
    return sections


def service_of(job: ServiceJob = JOB, *, version: int = 252, home: Path = Path("/home/me")) -> dict[str, list[str]]:
    """Return the unit's [Service] in the strongest sandbox."""
    return read_unit(systemd_unit(job, version=version, sandbox=sandboxes(job)[0], home=home))["Service"]


hostile = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)


# --- laws ---


@given(words=st.lists(hostile, min_size=1, max_size=5))
def test_systemd_reads_every_word_as_it_was_meant(words: list[str]) -> None:
    assert words_of(" ".join(quoted(word) for word in words)) == words


@given(argument=hostile, value=hostile)
def test_no_path_changes_what_else_the_unit_says(argument: str, value: str) -> None:
    job = replace(JOB, arguments=("watch", "--config", f"/{argument}"), environment={"XDG_DATA_HOME": value})
    app = service_of(job)
    assert words_of(app["ExecStart"][0].removeprefix(":")) == [*job.program, *job.arguments]
    assert words_of(app["Environment"][0]) == [f"XDG_DATA_HOME={value}"]
    assert set(app) == set(service_of(replace(JOB, environment={"A": "b"})))


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\tb", "a\x00b", "a\x7fb", os.fsdecode(b"a\xffb")])
def test_a_name_that_no_unit_can_hold_is_refused(name: str) -> None:
    with pytest.raises(FacewatchError, match="rename that folder"):
        quoted(name)


@given(argument=hostile, value=hostile)
def test_launchd_reads_every_word_as_it_was_meant(argument: str, value: str) -> None:
    # XML has no place for these two; a path that holds one cannot be anybody's photo folder.
    words = [word for word in (argument, value) if not {"\ufffe", "\uffff"} & set(word)]
    job = replace(
        JOB, arguments=("watch", *words), environment=dict.fromkeys(["XDG_DATA_HOME"], words[0] if words else "")
    )
    read = plistlib.loads(launchd_plist(job, log_file=Path("/Users/me/Library/Logs/facewatch.log")).encode())
    assert read["ProgramArguments"] == [*job.program, "watch", *words]
    assert read["EnvironmentVariables"] == job.environment


def test_the_agent_is_started_again_only_after_a_failure() -> None:
    read = plistlib.loads(launchd_plist(JOB, log_file=Path("/Users/me/Library/Logs/facewatch.log")).encode())
    assert read["Label"] == LABEL
    assert read["KeepAlive"] == {"SuccessfulExit": False}
    assert read["RunAtLoad"] is True
    assert read["ProcessType"] == "Background"
    assert read["StandardErrorPath"] == "/Users/me/Library/Logs/facewatch.log"


def test_launchd_cannot_be_told_of_control_characters_either() -> None:
    with pytest.raises(FacewatchError, match="rename that folder"):
        launchd_plist(replace(JOB, arguments=("watch", "--config", "/a\x01b")), log_file=Path("/l"))


# --- facts of the unit ---


def test_only_what_trying_again_can_mend_is_tried_again() -> None:
    app = service_of()
    assert app["Restart"] == ["on-failure"]
    assert app["RestartPreventExitStatus"] == ["2 3 5 7"]
    assert {CatalogError.exit_code, ConfigError.exit_code, EngineError.exit_code, 2} == set(CANNOT_MEND_ITSELF)
    assert LibraryError.exit_code not in CANNOT_MEND_ITSELF


def test_a_worker_that_takes_all_memory_does_not_end_the_service() -> None:
    assert service_of()["OOMPolicy"] == ["continue"]
    assert "MemoryMax" not in service_of()
    assert service_of(replace(JOB, memory_mb=1500))["MemoryMax"] == ["1500M"]


@pytest.mark.parametrize(("version", "kind"), [(252, "notify"), (253, "notify-reload"), (257, "notify-reload")])
def test_each_systemd_is_told_only_what_it_knows(version: int, kind: str) -> None:
    app = service_of(version=version)
    assert app["Type"] == [kind]
    assert ("ExecReload" in app) == (kind == "notify")
    assert ("RestartSteps" in app) == (version >= 254)


def test_the_sandbox_leaves_only_what_it_writes_to() -> None:
    app = service_of(replace(JOB, writable=(Path("/home/me/My People"), Path("/home/me/.local/share/facewatch"))))
    assert app["ProtectSystem"] == ["strict"]
    assert app["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert [words_of(line) for line in app["ReadWritePaths"]] == [
        ["-/home/me/.local/share/facewatch"],
        ["-/home/me/My People"],
    ]


def test_every_weaker_sandbox_is_a_part_of_the_stronger() -> None:
    full, without_users, calls = sandboxes(JOB)
    assert set(calls) < set(without_users) < set(full)
    # What gives up capabilities fails a user's unit, see `sandboxes`.
    names = {line.split("=")[0] for line in full}
    assert not names & {
        *("PrivateDevices", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock", "CapabilityBoundingSet")
    }


def test_what_lies_in_tmp_stays_visible_and_a_gpu_may_make_its_programs() -> None:
    lines = set(sandboxes(replace(JOB, is_tmp_private=False, has_gpu=True))[0])
    assert set(sandboxes(JOB)[0]) - lines == {"PrivateTmp=yes", "MemoryDenyWriteExecute=yes"}


def test_a_service_with_the_page_is_reached_from_this_machine_and_reaches_no_other() -> None:
    lines, usual = set(sandboxes(replace(JOB, has_page=True))[0]), set(sandboxes(JOB)[0])
    assert usual - lines == {"PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX"}
    assert {"IPAddressDeny=any", "IPAddressAllow=localhost"} <= lines


def test_a_drive_that_can_be_unplugged_is_named_as_a_whole() -> None:
    # A folder in it would be a mount of its own, which keeps what was unplugged there for the service.
    mounts = {Path("/"), Path("/home"), Path("/media/disk")}
    writable, readable = named_places(
        [Path("/home/me/data"), Path("/media/disk/People")],
        [Path("/media/disk/Photos"), Path("/home/me/data/Photos"), Path("/home/me/Pictures")],
        home=Path("/home/me"),
        is_mount=mounts.__contains__,
    )
    assert writable == [Path("/home/me/data"), Path("/media/disk")]
    # Photos within what is writable are taken out again, where that holds no drive fast.
    assert readable == [Path("/home/me/data/Photos")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, level: int) -> None:
    [version] = [int(word) for word in _output("systemd-analyze", "--version").split()[1:2]]
    folder = tmp_path / 'My "People" 50% $x \\ ü'
    job = ServiceJob(
        program=(sys.executable, "-P", "-m", "facewatch"),
        arguments=("watch", "--config", str(folder / "facewatch.toml")),
        environment={"XDG_DATA_HOME": str(folder)},
        writable=(folder, tmp_path / "catalog"),
        libraries=(folder / "Photos",),
        memory_mb=2000,
    )
    unit = tmp_path / "facewatch.service"
    unit.write_text(systemd_unit(job, version=version, sandbox=(*sandboxes(job), ())[level], home=Path("/")))
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# --- what is refused before anything is written ---


def settings(library: Library, **overrides: object) -> Config:
    values: dict[str, object] = {
        "library.photos": str(library.photos),
        "library.people": str(library.people),
        "library.catalog": str(library.catalog),
    }
    return load_config(
        None, values | {k.replace("__", "."): v for k, v in overrides.items()}, cwd=library.photos.parent
    )


def test_the_job_is_this_very_program_with_all_that_it_writes_to(library: Library) -> None:
    backups = library.photos.parent / "Backups"
    config = settings(library, backup__folder=str(backups), resources__photo_seconds=1000, resources__memory_mb=900)
    job = plan_job(config, config_file=Path("f.toml"), options=("--verbose",), environment={"XDG_DATA_HOME": "data"})
    assert job.program == (sys.executable, "-P", "-m", "facewatch")
    assert job.arguments == ("watch", "--config", str(Path("f.toml").absolute()), "--verbose")
    assert job.environment == {"XDG_DATA_HOME": str(Path("data").absolute())}
    assert set(job.writable) == {library.catalog.parent, library.people, backups}
    assert all(folder.is_dir() for folder in job.writable)
    assert job.libraries == (library.photos,)
    assert job.watchdog_seconds == 3000
    assert job.memory_mb == 900


@pytest.mark.parametrize("is_beside", [True, False], ids=["beside", "mirror"])
def test_the_job_may_write_where_names_are_to_go_out(library: Library, is_beside: bool) -> None:
    mirror = library.base / "Sidecars"
    config = settings(library, regions__xmp="sidecar", regions__beside=is_beside, regions__folder=str(mirror))
    job = plan_job(config, config_file=None)
    assert {library.photos, mirror} & {*job.writable} == {library.photos if is_beside else mirror}
    assert job.libraries == (() if is_beside else (library.photos,))


def test_a_dry_run_makes_nothing(library: Library) -> None:
    before = sorted(library.photos.parent.rglob("*"))
    plan_job(settings(library), config_file=None, is_dry_run=True)
    assert sorted(library.photos.parent.rglob("*")) == before


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_what_watch_would_refuse_is_refused(library: Library, is_dry_run: bool) -> None:
    def refusal(**overrides: object) -> type[Exception]:
        with pytest.raises(FacewatchError) as caught:
            plan_job(settings(library, **overrides), config_file=None, is_dry_run=is_dry_run)
        return caught.type

    assert refusal(library__people=str(library.photos / "People")) is ConfigError
    assert refusal(library__photos=str(library.photos / "nowhere")) is LibraryError
    assert refusal(library__photos=[]) is LibraryError


def test_an_engine_without_files_is_refused(library: Library) -> None:
    with pytest.raises(EngineError):
        plan_job(settings(library, engine__name="insightface:nobody_has_this"), config_file=None)


# --- what is asked of the platform ---


class System:
    """Answers in place of the system's commands."""

    def __init__(self, answers: dict[str, CommandResult] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str]) -> CommandResult:
        line = " ".join(command)
        self.asked.append(line)
        return next(
            (answer for start, answer in self.answers.items() if line.startswith(start)), CommandResult(0, "", "")
        )


class App(System):
    """A systemd that has these properties of the service, and shows those that it is asked for."""

    def __init__(self, properties: str, answers: dict[str, CommandResult] | None = None) -> None:
        super().__init__(answers)
        self._properties = dict(line.split("=", 1) for line in properties.splitlines())

    def __call__(self, command: Sequence[str]) -> CommandResult:
        if list(command[:3]) != ["systemctl", "--user", "show"]:
            return super().__call__(command)
        wanted = next(word.removeprefix("--property=") for word in command if word.startswith("--property="))
        shown = [f"{name}={self._properties[name]}\n" for name in wanted.split(",") if name in self._properties]
        return CommandResult(0, "".join(shown), "")


VERSION = "systemctl --user show --property=Version"
TRIAL = "systemd-run"


def systemd(system: System, tmp_path: Path, *, version: int = 252) -> Systemd:
    return Systemd(system, folder=tmp_path / "systemd" / "user", home=tmp_path, version=version)


def test_installing_writes_the_unit_and_starts_it(tmp_path: Path) -> None:
    system = System()
    manager = systemd(system, tmp_path)
    manager.install("[Unit]\n")
    manager.install("[Unit]\n# again\n")
    assert manager.file.read_text() == "[Unit]\n# again\n"
    assert [path.name for path in manager.file.parent.iterdir()] == ["facewatch.service"]
    assert system.asked[:4] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable facewatch.service",
        "systemctl --user reset-failed facewatch.service",
        "systemctl --user restart facewatch.service",
    ]
    assert system.asked[4:] == system.asked[:4]


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    system = System(
        {
            "systemctl --user restart": CommandResult(1, "", "ServiceJob for facewatch.service failed.\n"),
            "journalctl": CommandResult(0, "facewatch: another facewatch is at work\n", ""),
        }
    )
    with pytest.raises(
        FacewatchError, match=r"(?s)ServiceJob for facewatch\.service failed.*another facewatch is at work"
    ):
        systemd(system, tmp_path).install("[Unit]\n")


def test_uninstalling_removes_the_unit_and_nothing_else(tmp_path: Path) -> None:
    system = System()
    manager = systemd(system, tmp_path)
    manager.install("[Unit]\n")
    mine = manager.file.with_name("mine.service")
    mine.touch()
    system.asked.clear()
    assert manager.uninstall()
    assert not manager.file.exists()
    assert mine.exists()
    assert system.asked[:2] == [
        "systemctl --user disable --now facewatch.service",
        "systemctl --user daemon-reload",
    ]
    system.asked.clear()
    assert not manager.uninstall()
    assert not system.asked


@pytest.mark.parametrize(("n_refused", "is_confined"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_strongest_sandbox_that_starts_is_taken(tmp_path: Path, n_refused: int, is_confined: bool) -> None:
    class Kernel(System):
        def __call__(self, command: Sequence[str]) -> CommandResult:
            super().__call__(command)
            return CommandResult(226 if command[0] == TRIAL and len(self.asked) <= n_refused else 0, "", "")

    system = Kernel()
    app = read_unit(systemd(system, tmp_path).text(JOB))["Service"]
    assert ("PrivateUsers" in app) == (n_refused == 0)
    assert ("ReadWritePaths" in app or "ProtectSystem" in app) == is_confined
    assert ("NoNewPrivileges" in app) == (n_refused < 3)
    assert all(asked.startswith(TRIAL) and asked.endswith("facewatch --version") for asked in system.asked)


def test_the_state_is_told_in_words(tmp_path: Path) -> None:
    shown = (
        "ActiveState=active\nSubState=running\nStateChangeTimestamp=Sun 2026-11-22 14:25:21 UTC\nStatusText=idle = 0\n"
        "MainPID=233\nExecMainCode=0\nExecMainStatus=0\nNRestarts=2\nMemoryCurrent=150000000\nUnitFileState=enabled\n"
    )
    state = systemd(App(shown, {"loginctl": CommandResult(0, "no\n", "")}), tmp_path).state()
    assert (state.is_running, state.is_enabled, state.activity, state.doing) == (True, True, "running", "idle = 0")
    assert state.since == "Sun 2026-11-22 14:25:21 UTC"
    assert (state.pid, state.n_restarts, state.memory_mb, state.is_lingering) == (233, 2, 150.0, False)


def test_a_service_that_died_is_told_from_one_that_gave_up(tmp_path: Path) -> None:
    def state(shown: str) -> tuple[str, int]:
        said = systemd(App(shown), tmp_path).state()
        assert not said.is_running
        return said.activity, said.exit_code

    died = "ActiveState=activating\nSubState=auto-restart\nExecMainCode=2\nExecMainStatus=11\nMemoryCurrent=[not set]\n"
    assert state(died) == ("waiting to start again", -11)
    assert state("ActiveState=activating\nSubState=auto-restart-queued\n") == ("waiting to start again", 0)
    assert state("ActiveState=failed\nSubState=failed\nExecMainCode=3\nExecMainStatus=6\n") == ("failed", -6)
    assert state("ActiveState=failed\nSubState=failed\nExecMainCode=1\nExecMainStatus=3\n") == ("failed", 3)
    assert state("ActiveState=inactive\nSubState=dead\n") == ("stopped", 0)
    assert state("MemoryCurrent=18446744073709551615\n") == ("stopped", 0)


def test_the_platform_is_found_or_said_not_to_be_there(tmp_path: Path) -> None:
    def found(platform: str, answer: CommandResult, **environment: str) -> str:
        manager = find_manager(platform, run=System({VERSION: answer}), environment=environment, home=tmp_path)
        return f"{manager.name} {manager.file.relative_to(tmp_path)}"

    new = CommandResult(0, "255 (255.4-1ubuntu8)\n", "")
    assert found("linux", new) == "systemd .config/systemd/user/facewatch.service"
    assert found("linux", new, XDG_CONFIG_HOME=str(tmp_path / "c")) == "systemd c/systemd/user/facewatch.service"
    assert found("darwin", new) == f"launchd Library/LaunchAgents/{LABEL}.plist"
    with pytest.raises(FacewatchError, match=r"not run by systemd.*crontab"):
        found("linux", CommandResult(127, "", ""))
    with pytest.raises(FacewatchError, match=r"Failed to connect to bus.*without sudo"):
        found("linux", CommandResult(1, "", "Failed to connect to bus: No medium found\n"))
    with pytest.raises(FacewatchError, match="239 is too old"):
        found("linux", CommandResult(0, "239\n", ""))
    for answer in (CommandResult(127, "", ""), CommandResult(1, "", "Failed to connect to bus: No medium found\n")):
        # What would be written can be said all the same.
        dry = find_manager("linux", run=System({VERSION: answer}), environment={}, home=tmp_path, is_dry_run=True)
        assert not dry.is_here
        text = dry.text(ServiceJob(program=("/bin/facewatch",), writable=(tmp_path,)))
        assert "ExecStart=:" in text
        assert "ProtectSystem=strict" in text
    with pytest.raises(FacewatchError, match="win32: services can be installed on Linux and macOS only"):
        found("win32", new)


def test_launchd_is_told_to_let_go_before_it_is_told_anew(tmp_path: Path) -> None:
    system = System()
    manager = Launchd(system, home=tmp_path, uid=501)
    manager.install(manager.text(JOB))
    assert plistlib.loads(manager.file.read_bytes())["Label"] == LABEL
    assert system.asked == [
        f"launchctl bootout gui/501/{LABEL}",
        f"launchctl enable gui/501/{LABEL}",
        f"launchctl bootstrap gui/501 {manager.file}",
    ]
    assert manager.uninstall()
    assert not manager.file.exists()
    assert not manager.uninstall()


def test_launchd_says_how_the_agent_is(tmp_path: Path) -> None:
    said = ("state = running", "runs = 3", "pid = 812", "last exit code = 3", "\tstate = 9")
    printed = "gui/501/x = {\n" + "".join(f"\t{line}\n" for line in said) + "}"
    state = Launchd(System({"launchctl print": CommandResult(0, printed, "")}), home=tmp_path, uid=501).state()
    assert (state.is_running, state.pid, state.n_restarts, state.exit_code) == (True, 812, 2, 3)
    gone = Launchd(
        System({"launchctl print": CommandResult(113, "", "Could not find service")}), home=tmp_path, uid=501
    )
    assert gone.state().activity == "stopped"


def test_a_command_that_is_not_there_is_an_answer() -> None:
    assert run_command(["facewatch-no-such-command"]).code == 127
    assert run_command([sys.executable, "-c", "import sys; print(1); sys.exit(4)"]) == CommandResult(4, "1\n", "")


# --- the commands ---

linux = pytest.mark.skipif(sys.platform != "linux", reason="the commands of systemd")


@dataclass
class Commands:
    """Commands of systemd that write down what they were asked, and facewatch, which asks them."""

    folder: Path

    @property
    def asked(self) -> str:
        file = self.folder / "asked"
        return file.read_text() if file.exists() else ""

    def facewatch(self, *arguments: str) -> CommandResult:
        environment = {**os.environ, "PATH": f"{self.folder}:/usr/bin:/bin"}
        command = [sys.executable, "-P", "-m", "facewatch", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return CommandResult(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    if sys.platform != "linux":
        pytest.skip("the commands of systemd")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "systemd-run", "loginctl", "journalctl"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/asked"\ncase "$*" in *Version*) echo 252;; esac\n')
        script.chmod(0o755)
    return Commands(folder)


@linux
def test_install_status_logs_and_uninstall(library: Library, commands: Commands) -> None:
    file = library.photos.parent / "facewatch.toml"
    file.write_text(f"[library]\nphotos = '{library.photos}'\npeople = '{library.people}'\n")
    options = ("--config", str(file), "--catalog", str(library.catalog))

    shown = commands.facewatch("service", "install", "--dry-run", *options)
    assert shown.code == 0
    app = read_unit(shown.out)["Service"]
    assert words_of(app["ExecStart"][0].removeprefix(":")) == [
        *(sys.executable, "-P", "-m", "facewatch", "watch", "--config", str(file)),
        *("--catalog", str(library.catalog)),
    ]
    assert "restart" not in commands.asked

    installed = commands.facewatch("service", "install", *options)
    assert installed.code == 0
    assert "wrote " in installed.out
    unit = Path(installed.out.split("wrote ", 1)[1].split(";")[0])
    assert read_unit(unit.read_text())["Service"]["ExecStart"] == app["ExecStart"]
    assert "systemctl --user restart facewatch.service" in commands.asked
    assert library.people.is_dir()

    assert '"is_installed": true' in commands.facewatch("service", "status", "--json").out
    assert commands.facewatch("service", "logs", "-n", "5", "-f").code == 0
    assert "journalctl --user --user-unit=facewatch.service --lines=5 --follow" in commands.asked

    removed = commands.facewatch("service", "uninstall")
    assert "stay as they are" in removed.out
    assert not unit.exists()
    assert library.catalog.exists()
    assert library.people.is_dir()


@linux
def test_nothing_is_written_when_no_library_is_known(commands: Commands, library: Library) -> None:
    answer = commands.facewatch("service", "install", "--catalog", str(library.catalog))
    assert answer.code == LibraryError.exit_code
    assert "no library is known" in answer.err
    assert not library.catalog.exists()
    assert "enable" not in commands.asked


# --- the real thing ---


@pytest.fixture
def user_manager() -> Iterator[tuple[Run, Path]]:
    """A systemd for one user: that of whoever runs the tests, else one of its own in namespaces of its own."""
    if run_command(["systemctl", "--user", "show", "--property=Version"]).code == 0:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        yield run_command, Path(runtime) / "systemd" / "user"
        return
    cgroups = next(
        (p for p in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")) if (p / "cgroup.procs").exists()), None
    )
    program = Path("/lib/systemd/systemd")
    if os.geteuid() or not program.exists() or cgroups is None or not os.access(cgroups, os.W_OK):
        pytest.skip("systemd does not run here, and only root with cgroups of its own can start one aside")
    with tempfile.TemporaryDirectory(prefix="fw", ignore_cleanup_errors=True) as name:
        yield from _own_manager(Path(name), program, cgroups / f"facewatch-test-{os.getpid()}")


BOOT = """
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup --mount --pid --fork --kill-child --mount-proc --propagation private sh -euc '
mount --make-rshared /
mkdir -p /run/systemd; mount -t tmpfs tmpfs /run/systemd; mkdir /run/systemd/system
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/user; echo $$ > /sys/fs/cgroup/user/cgroup.procs
"$1" --user --unit=basic.target' sh "$2"
"""


def _own_manager(folder: Path, program: Path, cgroup: Path) -> Iterator[tuple[Run, Path]]:
    (folder / "run").mkdir(mode=0o700)
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "SYSTEMD_LOG_TARGET": "console",
    }
    cgroup.mkdir()
    log = (folder / "log").open("w")
    boot = subprocess.Popen(
        ["sh", "-euc", BOOT, "sh", cgroup, program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:

        def run(command: Sequence[str]) -> CommandResult:
            inside = ["nsenter", "--target", str(_leader(boot.pid)), "--mount", "--pid", "--cgroup", "env", "-i"]
            return run_command([*inside, *(f"{key}={value}" for key, value in environment.items()), *command])

        if not _within(
            20, lambda: bool(_leader(boot.pid)) and run(["systemctl", "--user", "is-system-running"]).code == 0
        ):
            pytest.skip(f"systemd cannot be started aside: {(folder / 'log').read_text()[-500:]}")
        yield run, folder / ".config" / "systemd" / "user"
    finally:
        # The leader of the process namespace takes all others with it.
        boot.kill()
        boot.wait()
        log.close()
        _within(5, lambda: _remove_cgroup(cgroup))


def _leader(pid: int) -> int:
    """Return the first process of the namespaces, which `unshare` started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int((children.read_text().split() or ["0"])[0]) if children.exists() else 0


def _remove_cgroup(cgroup: Path) -> bool:
    for path in sorted((p for p in cgroup.rglob("*") if p.is_dir()), reverse=True):
        run_command(["rmdir", str(path)])
    return run_command(["rmdir", str(cgroup)]).code == 0


def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    """Whether it comes to be so in time; another process has to get there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_systemd_runs_the_watcher(library: Library, user_manager: tuple[Run, Path]) -> None:
    run, folder = user_manager
    library.draw("first.jpg")
    config_file = library.photos.parent / "facewatch.toml"
    config = settings(library)
    config_file.write_text(
        f"[library]\nphotos = '{library.photos}'\npeople = '{library.people}'\ncatalog = '{library.catalog}'\n"
    )
    unit = f"facewatch-test-{os.getpid()}.service"
    version = int("".join(c if c.isdigit() else " " for c in run(["systemctl", "--version"]).out).split()[0])
    manager = Systemd(run, folder=folder, home=Path.home(), version=version, unit=unit)
    job = replace(plan_job(config, config_file=config_file), environment={})
    text = manager.text(job)
    assert "NoNewPrivileges=yes" in text
    try:
        # Comes back when the service has said READY=1, and fails if it never does.
        manager.install(text)
        assert manager.state().is_running
        assert _within(60, lambda: manager.state().doing == "idle"), manager.state()

        first = manager.state().pid
        assert run(["systemctl", "--user", "reload", unit]).code == 0
        assert _within(30, lambda: manager.state().activity == "running" and manager.state().doing == "idle")
        assert manager.state().pid == first

        run(["systemctl", "--user", "kill", "--kill-who=main", "--signal=SEGV", unit])
        assert _within(30, lambda: manager.state().activity == "waiting to start again"), manager.state()
        assert manager.state().exit_code == -signal.SIGSEGV
        assert run(["systemctl", "--user", "restart", unit]).code == 0

        run(["systemctl", "--user", "stop", unit])
        assert (manager.state().activity, manager.state().exit_code) == ("stopped", 0)

        config_file.write_text("[library]\nphotoss = 'x'\n")
        run(["systemctl", "--user", "start", unit])
        # Settings do not mend themselves: it is not started again.
        assert (manager.state().activity, manager.state().exit_code) == ("failed", ConfigError.exit_code)
    finally:
        assert manager.uninstall()


# --- the image ---

ROOT = Path(__file__).resolve().parent.parent


def steps_of(dockerfile: str) -> list[list[str]]:
    """Return the instructions of a Dockerfile as words, without comments, continued lines as one."""
    lines = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    return [step.split() for step in "\n".join(lines).replace("\\\n", " ").splitlines() if step.strip()]


def test_the_image_is_made_of_pinned_parts_and_of_files_that_are_sent() -> None:
    steps = steps_of((ROOT / "Dockerfile").read_text())
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    [python] = [step[1] for step in steps if step[0] == "ARG"]
    assert python.split("=")[1].split("-")[0].count(".") == 2
    assert {step[1] for step in steps if step[0] == "FROM"} == {"python:${PYTHON}"}
    for source in (step[1] for step in steps if step[0] == "COPY" and not step[1].startswith("--from")):
        assert (ROOT / source.rstrip("/")).exists()
        assert f"!{source}" in ignored
    assert "//" not in " ".join(" ".join(step) for step in steps if step[0] != "ENTRYPOINT")


def test_the_image_does_not_run_as_root_and_says_how_it_is() -> None:
    from facewatch.cli.program import facewatch as commands

    steps = steps_of((ROOT / "Dockerfile").read_text())
    shipped = steps[max(i for i, step in enumerate(steps) if step[0] == "FROM") :]
    by_name = {step[0]: " ".join(step[1:]) for step in shipped}
    assert by_name["USER"].split(":")[0] not in ("0", "root")
    check = json.loads(by_name["HEALTHCHECK"].split("CMD", 1)[1])
    assert check[0] == json.loads(by_name["ENTRYPOINT"])[0]
    assert {check[2]} <= {option for one in commands.commands[check[1]].params for option in one.opts}
    assert json.loads(by_name["CMD"])[0] in commands.commands
    # Each check starts an interpreter, and no other answer can be expected sooner.
    assert f"--interval={FRESH_SECONDS / 60:.0f}m" in by_name["HEALTHCHECK"].split()


def test_folders_keep_their_paths_in_the_container() -> None:
    # Else the links, which are relative, lead nowhere outside.
    lines = [line.strip() for line in (ROOT / "compose.yaml").read_text().splitlines()]
    sources = [line.removeprefix("source: ") for line in lines if line.startswith("source: ")]
    targets = [line.removeprefix("target: ") for line in lines if line.startswith("target: ")]
    assert sources == targets == ["${PHOTOS}", "${PEOPLE}"]
    assert lines[lines.index("target: ${PHOTOS}") + 1] == "read_only: true"
    assert {"network_mode: none", "cap_drop: [ALL]", "restart: unless-stopped"} <= set(lines)
