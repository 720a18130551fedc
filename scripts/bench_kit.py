"""What all parts of scripts/bench.py share: findings, the place to work in, and facewatch run as a user runs it."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from facewatch.app import App
from facewatch.config import load_config

ROOT = Path(__file__).resolve().parent.parent
SEED = 20261122
MB = 1_000_000

console = Console(stderr=True)


# --- what a part says ---


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured number, and what it has to be; without a limit it only informs."""

    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    row: str = ""
    """The line of README's table that it stands in, alone or with others; "": it stands in none."""
    part: str = ""
    """Of the benchmark that measured it."""

    @property
    def is_ok(self) -> bool | None:
        """None: it has no limit."""
        if self.at_least is None and self.at_most is None:
            return None
        is_enough = self.at_least is None or self.value >= self.at_least
        return is_enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def limit(self) -> str:
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return " ".join(f"{sign} {number_text(bound)}" for sign, bound in bounds if bound is not None)

    def as_row(self) -> tuple[str, ...]:
        verdict = {None: "", True: "ok", False: "[bold red]NOT OK[/]"}[self.is_ok]
        return self.part, self.what, number_text(self.value), self.unit, self.limit, verdict


def as_markdown(findings: Iterable[Finding]) -> str:
    """Return the table that README holds."""
    rows: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.row:
            rows.setdefault(finding.row, []).append(finding)
    lines = (f"| {row} | {_values(together)} | {_limits(together)} |" for row, together in rows.items())
    return "\n".join(("| what | measured | limit |", "|---|---|---|", *lines))


def _values(findings: Sequence[Finding]) -> str:
    units = {finding.unit for finding in findings}
    if len(units) == 1:
        return f"{', '.join(number_text(finding.value) for finding in findings)} {units.pop()}".strip()
    return ", ".join(f"{number_text(finding.value)} {finding.unit}" for finding in findings)


def _limits(findings: Iterable[Finding]) -> str:
    limits = (f"{finding.limit} {finding.unit}".strip() for finding in findings if finding.limit)
    return ", ".join(dict.fromkeys(limits))


def number_text(value: float) -> str:
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Size(StrEnum):
    """How much the parts take."""

    FULL = "full"
    QUICK = "quick"
    TINY = "tiny"
    """So little that the numbers say nothing, only that there are any."""

    def many(self, full: int, quick: int, tiny: int) -> int:
        return {Size.FULL: full, Size.QUICK: quick, Size.TINY: tiny}[self]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the parts work and how much they take."""

    scratch: Path
    photos: Path
    """album/, lfw/, odd/ and labels.csv; only read."""
    cache: Path
    size: Size

    @property
    def engine(self) -> str:
        """The advanced engine."""
        return f"insightface:{pack_beside(self.photos)}"

    @property
    def is_full(self) -> bool:
        return self.size is Size.FULL

    def many(self, full: int, quick: int, tiny: int) -> int:
        return self.size.many(full, quick, tiny)

    def say(self, text: str) -> None:
        console.print(f"[dim]{text}[/]", highlight=False)


def pack_beside(photos: Path) -> Path:
    """Return where the pack of the advanced engine lies: a real one whose licence keeps it out of the project."""
    return photos.parent / "models" / "buffalo_sc_dq"


def open_app(folder: Path, settings: Mapping[str, Any] | None = None) -> App:
    """Return an app with these settings, defaults for the rest, and catalog and people in this folder."""
    places = {
        "library.photos": [],
        "library.people": str(folder / "People"),
        "library.catalog": str(folder / "catalog.sqlite"),
    }
    return App(load_config(None, places | dict(settings or {}), cwd=folder))


# --- running facewatch as a user does ---


@dataclass(frozen=True, slots=True)
class Household:
    """A home folder of its own, with one library, catalog and people folder in it."""

    home: Path
    settings: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)
    python: Path = Path(sys.executable)
    """Of the environment whose facewatch it runs."""

    def __post_init__(self) -> None:
        self.photos.mkdir(parents=True)
        self.settings_file.write_text("".join(_toml(name, values) for name, values in self.settings.items()))

    @property
    def photos(self) -> Path:
        return self.home / "Photos"

    @property
    def people(self) -> Path:
        return self.home / "People"

    @property
    def catalog(self) -> Path:
        return self.home / "catalog.sqlite"

    @property
    def settings_file(self) -> Path:
        return self.home / "settings.toml"

    def command(self, name: str, *arguments: str) -> list[str]:
        places = ("--catalog", str(self.catalog), "--people", str(self.people))
        return [*self.bare(name), *places, *arguments]

    def bare(self, name: str) -> list[str]:
        """Return a command that has to do with no catalog."""
        return [str(self.python), "-P", "-m", "facewatch", "--config", str(self.settings_file), name]

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Return the running command; what it complains about goes into a file."""
        with self.complaints.open("ab") as complaints:
            return subprocess.Popen(
                self.command(name, *arguments), env=clean_environment(self.home), cwd=self.home, stderr=complaints
            )

    @property
    def complaints(self) -> Path:
        return self.home / "stderr.txt"

    def run(self, name: str, *arguments: str) -> bytes:
        """Return what the command printed."""
        return run_quietly(self.command(name, *arguments), self.home)

    def scan(self) -> dict[str, Any]:
        """Return what a scan says it did."""
        result: dict[str, Any] = json.loads(self.run("scan", "-q", "--json", str(self.photos)))
        return result

    def forget(self) -> None:
        """The next scan starts from nothing."""
        shutil.rmtree(self.people, ignore_errors=True)
        for path in self.home.glob(f"{self.catalog.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _toml(section: str, values: Mapping[str, float | str]) -> str:
    """Return a table; TOML writes numbers and texts as JSON does."""
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    return f"[{section}]\n" + "".join(lines)


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment in which no setting of the user counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FACEWATCH_", "XDG_", "PYTHON"))}
    return kept | {"HOME": str(home)}


def run_quietly(command: Sequence[str], home: Path, given: str = "") -> bytes:
    """Return what a command printed.

    Raises:
        ClickException: it failed; with the end of what it said.
    """
    done = subprocess.run(command, env=clean_environment(home), cwd=home, input=given.encode(), capture_output=True)
    if done.returncode:
        raise failure(command, done.returncode, done.stdout + done.stderr)
    return done.stdout


def failure(command: Sequence[str], code: int | None, said: bytes) -> click.ClickException:
    """Return the error of a command that ended, or did not, as it should not."""
    return click.ClickException(f"{' '.join(command)}\nended with {code}\n{said[-2000:].decode(errors='replace')}")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took, its children included."""

    seconds: float
    cpu_seconds: float


def spent_by(work: Callable[[], object]) -> Spent:
    """Return what commands run by `work` took."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


# --- photos ---


def copy_sample(bench: Bench, target: Path, most: int | None = None) -> list[str]:
    """Copy the photos of the comparison, or so many of them, and return their paths as labels.csv has them."""
    album, lfw = photos_below(bench.photos, "album"), photos_below(bench.photos, "lfw")
    chosen = sorted(album + (lfw if bench.is_full else some_of(lfw, 300)))
    chosen = sorted(some_of(chosen, most)) if most else chosen
    for path in chosen:
        copy_file(bench.photos / path, target / path)
    return chosen


def some_of(paths: Sequence[str], n: int) -> list[str]:
    return random.Random(SEED).sample(paths, min(n, len(paths)))


def photos_below(photos: Path, *folders: str) -> list[str]:
    """Return the paths below `photos` of every file in these folders of it, sorted."""
    return sorted(
        file.relative_to(photos).as_posix()
        for folder in folders
        for file in (photos / folder).rglob("*")
        if file.is_file()
    )


def copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
