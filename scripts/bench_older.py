"""An older revision for `scripts/bench --against`: its checkout with an environment of its own, and its library.

The same library for both is made by this checkout and handed over: what both catalogs know is copied, table by table,
into one that the older program made itself. Migrations only ever add, so nothing that it needs is absent.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from bench_catalog import make_tiny_photos
from bench_kit import ROOT, Bench, Household, failure, run_quietly

_ITS_OWN = frozenset({"_sqlite_migrations", "engines", "journal", "links", "runs", "settings"})
"""Tables that a catalog has from its own program, or that only its own commands fill."""


@dataclass(frozen=True, slots=True)
class Program:
    """facewatch in a checkout, with the environment that its locks name."""

    name: str
    root: Path
    python: Path

    def household(self, home: Path, settings: Mapping[str, Mapping[str, float | str]] | None = None) -> Household:
        return Household(home, settings or {}, python=self.python)

    def ask(self, code: str, home: Path, *arguments: str) -> Any:
        """Return what Python code prints as JSON in this checkout, whose scripts and tests it can import."""
        places = f"import sys; sys.path.extend({[str(self.root / name) for name in ('scripts', 'tests')]})\n"
        return json.loads(run_quietly([str(self.python), "-P", "-c", places + code, *arguments], home))


def this_program() -> Program:
    return Program("now", ROOT, Path(sys.executable))


def check_out(bench: Bench, revision: str) -> Program:
    """Return an older revision, unpacked once for each commit and kept beside the environment of face-grouper.

    Raises:
        BadParameter: there is no such revision.
        ClickException: its own scripts/setup failed.
    """
    commit = _commit_of(revision)
    root = bench.cache / f"facewatch-{commit[:12]}"
    if not root.is_dir():
        _unpack(commit, root)
    bench.say(f"against: setting up {root}")
    setup = [str(root / "scripts" / "setup"), "requirements.lock"]
    done = subprocess.run(setup, capture_output=True)
    if done.returncode:
        raise failure(setup, done.returncode, done.stdout + done.stderr)
    return Program(commit[:7], root, root / ".venv" / "bin" / "python")


def _commit_of(revision: str) -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        message = f"{revision!r} is no revision of this checkout; `git log` lists them"
        raise click.BadParameter(message, param_hint="--against") from None


def _unpack(commit: str, root: Path) -> None:
    """Put the files of a commit into a new folder, whole or not at all."""
    new = root.with_name(f"{root.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(new)], check=True, input=packed)
    new.rename(root)


def hand_over(source: Path, house: Household) -> None:
    """Give a new household the library of a catalog that this program made; the photos stay where they are."""
    make_tiny_photos(house.photos, 1)
    house.scan()
    db = sqlite3.connect(house.catalog)
    db.execute("ATTACH ? AS source", (os.fspath(source),))
    tables = [name for (name,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
    for table in tables:
        if table not in _ITS_OWN and not table.startswith("sqlite_"):
            theirs = _columns(db, "source", table)
            columns = ", ".join(name for name in _columns(db, "main", table) if name in theirs)
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM source.{table}")
    db.commit()
    db.close()
    house.run("folders", "-q")


def _columns(db: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA {schema}.table_info({table})")]
