"""Kills at any instant and disks that fail at any write, in all that changes a catalog or the people folder.

Each trial: a library is copied, a process (torture_child.py) works on it and is killed, or its disk is full or broken
for a while. Then the catalog must open, be whole and keep its own rules; every decision must be there, and what the
user owns; and doing the same again must lead to the very end that an undisturbed run leads to. Nothing is mended in
between. One time in five the second run is disturbed as well.

The instant is a call that changes the disk, chosen by chance among all that an undisturbed run makes (torture_shim.c);
one kill in six comes at a random time instead. Where no compiler is, all of them do, and no disk fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facewatch.catalog.backup import contents_of

# Python -P leaves out even the script's own folder.
sys.path.extend(str(Path(__file__).resolve().parents[1] / name) for name in ("scripts", "tests"))

from torture_child import BACKUP, DECISIONS, OUR_FAULT, SCENARIOS, library_at, n_decided

from facewatch.catalog import Catalog
from facewatch.errors import FacewatchError

HERE = Path(__file__).resolve().parent

LIMIT_SECONDS = 120.0
"""A process that takes longer hangs."""

KILLS = ("kill-before", "kill-after", "kill-half")
FAULTS = ("enospc", "eio")

LASTS = (1, 1, 2, 5, 30, 1_000_000)
"""How many calls fail in a row; the last: until the process ends."""

FAULTS_OF_OURS = ("Traceback (most recent call last)", "a fault of facewatch itself")
"""What no output may hold."""

Report = Callable[[str], None]
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of some trials."""

    n: int
    by_scenario: dict[str, int]
    n_hit: int
    """Processes that really were killed, or met a fault of the disk."""
    n_twice: int
    """Trials whose second run was disturbed, too."""
    faults: list[str]
    """What is not as it should be; none: all is well."""
    n_lost_decisions: int
    n_wrong_removals: int
    n_repairs: int
    """Trials after which doing it again did not lead to the right end."""
    seconds: float
    skipped: str = ""
    """Why there were none."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    """Below 0: killed by that signal."""
    is_late: bool
    seconds: float
    output: str
    n_calls: int
    """Calls that change the disk; 0 where nobody counts."""
    hit: str = ""
    """What the call was about that was hit."""
    calls: tuple[str, ...] = ()
    """What each call was about, where all are told."""


@dataclass(frozen=True, slots=True)
class Blow:
    """What happens to a process."""

    kind: str = ""
    """One of KILLS or FAULTS; "time": a kill after `seconds`; "": nothing."""
    at: int = 0
    lasts: int = 1
    seconds: float | None = None

    def __str__(self) -> str:
        return f"a kill after {self.seconds:.3f} s" if self.seconds else f"{self.kind} at call {self.at}x{self.lasts}"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a scenario's library is like, and what undisturbed runs make of it."""

    prepared: Path
    calls: dict[str, tuple[str, ...]]
    """By kind of count: the paths of the calls that can be hit, in their order."""
    seconds: float
    said: list[set[object]]
    """What users had said before; for decisions: after each of them."""
    once: Facts
    """The state after one run."""
    end: Facts
    """The state after another one, and a scan."""
    left: set[str]
    """The files beside the catalog then."""


def compile_shim(folder: Path) -> Path | None:
    """Return the library that makes disks fail; None where it cannot be made."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        return None
    shim = folder / "torture_shim.so"
    source = HERE / "torture_shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
    return shim


def why_no_shim() -> str:
    return "" if sys.platform == "linux" and any(map(shutil.which, ("cc", "gcc", "clang"))) else "needs Linux and cc"


# --- processes ---


class Children:
    """Does each piece of work in a process of its own, all forked from one that has imported everything."""

    def __init__(self, folder: Path, shim: Path | None) -> None:
        self._folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        if shim is not None:
            self._environment["LD_PRELOAD"] = str(shim)

    def __enter__(self) -> Children:
        self._server = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "torture_child.py"), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment,
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._server is not None
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("torture_child.py --serve ended: run it by hand to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, doing: str, scenario: str, base: Path, blow: Blow | None = None) -> Ended:
        blow = blow or Blow()
        out, count = self._folder / "out", self._folder / "count"
        count.unlink(missing_ok=True)
        out.write_text("")  # or who is killed at once seems to have said what another did
        environment = {
            "TORTURE_BELOW": str(base),
            "TORTURE_BUT": str(base / "Photos"),
            "TORTURE_COUNT": str(count),
            "TORTURE_DO": blow.kind,
            "TORTURE_AT": str(blow.at),
            "TORTURE_LASTS": str(blow.lasts),
        }
        wanted = {
            "doing": doing,
            "scenario": scenario,
            "base": str(base),
            "out": str(out),
            "environment": environment,
            "kill_after": blow.seconds,
            "limit": LIMIT_SECONDS,
        }
        assert self._server is not None
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(wanted) + "\n")
        self._server.stdin.flush()
        answer = self._answer()
        told = [line.split(" ", 1) for line in count.read_text().splitlines()] if count.exists() else []
        hit = next((path for n, path in told if int(n) == blow.at and path != "in all"), "")
        n_calls = max((int(n) for n, _ in told), default=0)
        hit = os.path.relpath(hit, base) if hit else ""
        calls = tuple(path for _, path in told if path != "in all")
        return Ended(output=out.read_text(errors="replace"), n_calls=n_calls, hit=hit, calls=calls, **answer)


# --- what is the case ---


def facts_of(base: Path, catalog: Path | None = None) -> Facts:
    """Return all that has to be the same at the end; ids, which depend on the order of work, are left out."""
    with Catalog(catalog or library_at(base).catalog) as opened:
        db = opened._db.conn
        keys = _face_keys(db)
        return {
            "said": said(db),
            "engine": _query(db, "SELECT name FROM engines WHERE is_in_use"),
            "files": {os.fsdecode(path): rest for path, *rest in _query(db, _FILES)},
            "seen": set(_query(db, _SEEN)),
            "people": _people(db, keys),
            "pool": {keys[face_id] for (face_id,) in _query(db, _POOL)},
            "tree": tree_of(base),
            "photos": photos_of(base),
        }


_HERE = "EXISTS (SELECT 1 FROM files WHERE files.photo_id = f.photo_id)"

_FILES = (
    "SELECT files.path, hex(photos.sha256), files.fault IS NOT NULL FROM files LEFT JOIN photos"
    " ON photos.id = files.photo_id"
)

_SEEN = (
    "SELECT hex(p.sha256), e.name, n.n_faces FROM analyses n JOIN photos p ON p.id = n.photo_id"
    " JOIN engines e ON e.id = n.engine_id WHERE EXISTS (SELECT 1 FROM files WHERE files.photo_id = p.id)"
)

_POOL = (
    f"SELECT f.id FROM faces f WHERE is_current AND {_HERE}"
    " AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.face_id = f.id)"
)


def _people(db: sqlite3.Connection, keys: Mapping[int, object]) -> Counter[object]:
    """Return the living people: name, what is known of each, and faces in the library."""
    members: dict[int, set[object]] = {}
    for person_id, face_id in _query(
        db, f"SELECT a.person_id, f.id FROM assignments a JOIN faces f ON f.id = a.face_id WHERE {_HERE}"
    ):
        members.setdefault(person_id, set()).add(keys[face_id])
    living = _query(db, "SELECT id, name, is_hidden, born FROM people WHERE merged_into IS NULL AND NOT is_gone")
    return Counter(
        (*facts, frozenset(members.get(person_id, ())))
        for person_id, *facts in living
        if person_id in members or facts[0]
    )


def _face_keys(db: sqlite3.Connection) -> dict[int, object]:
    """Return what a face is, whichever engine sees it: the photo's content and the middle of the box."""
    rows = _query(
        db, "SELECT f.id, hex(p.sha256), f.x + f.w / 2, f.y + f.h / 2 FROM faces f JOIN photos p ON p.id = f.photo_id"
    )
    return {face_id: (sha256[:12], x, y) for face_id, sha256, x, y in rows}


def said(db: sqlite3.Connection) -> set[object]:
    """Return what users have said, by names and faces."""
    keys = _face_keys(db)
    living = "merged_into IS NULL AND NOT is_gone"
    names = dict(_query(db, f"SELECT id, COALESCE(name, '(unnamed)') FROM people WHERE {living}"))
    found: set[object] = set(
        ("person", *facts)
        for facts in _query(db, f"SELECT name, is_hidden, born FROM people WHERE {living} AND name IS NOT NULL")
    )
    placed = _query(db, "SELECT face_id, person_id FROM assignments WHERE source = 'user'")
    found |= {("placed", keys[face], names[person]) for face, person in placed}
    rejected = _query(db, "SELECT face_id, person_id FROM rejections")
    found |= {("not", keys[face], names[person]) for face, person in rejected if person in names}
    found |= {("mark", keys[face], mark) for face, mark in _query(db, "SELECT face_id, mark FROM marks")}
    apart = [pair for pair in _query(db, "SELECT person_id, other_id FROM apart") if names.keys() >= set(pair)]
    found |= {("apart", *sorted(names[person] for person in pair)) for pair in apart}
    entries = _query(
        db, "SELECT action, undone_by IS NOT NULL FROM journal WHERE actor = 'user' AND parent_id IS NULL ORDER BY id"
    )
    return found | {("entry", i, *entry) for i, entry in enumerate(entries)}


def tree_of(base: Path) -> set[tuple[str, str, str]]:
    """Return what stands in the people folder; folders of unnamed people, which are called by their ids, are called by
    what they hold."""
    people, found = base / "People", set[tuple[str, str, str]]()
    for folder, _, names in os.walk(people):
        called = os.path.relpath(folder, people)
        if called.startswith("_unnamed/"):
            called = "_unnamed/" + " ".join(sorted(names))
        found |= {(called, name, _what_is(Path(folder) / name)) for name in names}
    return found


def _what_is(path: Path) -> str:
    return os.path.normpath(path.parent / path.readlink()) if path.is_symlink() else _digest(path)


def photos_of(base: Path) -> dict[str, str]:
    photos = base / "Photos"
    return {str(path.relative_to(photos)): _digest(path) for path in photos.rglob("*") if path.is_file()}


def _digest(path: Path) -> str:
    if path.name == ".facewatch":
        return "marker"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left_in(base: Path) -> set[str]:
    """Return the files beside library and people folder."""
    found = (path for path in (base / "data").rglob("*") if path.is_file())
    # The second name of a backup that has its own already is removed with the next one.
    return {
        str(path.relative_to(base))
        for path in found
        if not path.name.endswith(("-wal", "-shm")) and path.stat().st_nlink == 1
    }


def _query(db: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    return db.execute(query).fetchall()


def difference(found: Facts, wanted: Facts) -> str:
    """Return, in a line, how a state differs from the wanted one."""
    parts = []
    for name in wanted:
        if found[name] != wanted[name]:
            one, other = (set(_items(facts[name])) for facts in (found, wanted))
            parts.append(f"{name}: too much {_few(one - other)}, missing {_few(other - one)}")
    return "; ".join(parts)


def _items(facts: Any) -> Iterator[object]:
    yield from (repr(item) for item in (facts.items() if isinstance(facts, dict) else facts))


def _few(items: set[object]) -> str:
    return " ".join(sorted(map(str, items))[:3]) or "nothing"


# --- trials ---


@dataclass
class Trials:
    """The libraries, what undisturbed runs make of them, and what was found so far."""

    folder: Path
    children: Children
    has_shim: bool
    counts: Sequence[str]
    """What is to be hit: "eio" is any call that changes the disk, "enospc" one that needs room."""
    references: dict[str, Reference] = field(default_factory=dict)
    by_scenario: Counter[str] = field(default_factory=Counter)
    n_hit: int = 0
    n_twice: int = 0
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """Trials by what is wrong after them."""

    @property
    def work(self) -> Path:
        """Where all libraries are while something is done to them: their catalogs know them by this path."""
        return self.folder / "work"

    def reference(self, name: str) -> Reference:
        if name not in self.references:
            self.references[name] = self._make_reference(name)
        return self.references[name]

    def _make_reference(self, name: str) -> Reference:
        prepared = self.folder / "prepared" / name
        prepared.parent.mkdir(exist_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        self._undisturbed("prepare", name)
        self.work.rename(prepared)
        sayings = self._sayings(name, prepared)
        calls = {}
        for kind in self.counts:
            self._lay_out(prepared)
            ended = self._undisturbed("run", name, Blow(kind, at=-1))
            calls[kind] = ended.calls
        once = facts_of(self.work)
        if name == "restore":
            sayings.append(once["said"])
        self._undisturbed("settle", name)
        return Reference(prepared, calls, ended.seconds, sayings, once, facts_of(self.work), left_in(self.work))

    def _sayings(self, name: str, prepared: Path) -> list[set[object]]:
        self._lay_out(prepared)
        if not library_at(self.work).catalog.exists():
            return [set()]
        found = [self._said()]
        for _ in DECISIONS if name == "decide" else ():
            self._undisturbed("decide one", name)
            found.append(self._said())
        return found

    def _said(self) -> set[object]:
        with Catalog(library_at(self.work).catalog) as catalog:
            return said(catalog._db.conn)

    def _undisturbed(self, doing: str, name: str, blow: Blow | None = None) -> Ended:
        ended = self.children.do(doing, name, self.work, blow)
        if ended.code or any(text in ended.output for text in FAULTS_OF_OURS):
            raise RuntimeError(f"{name}: {doing} fails undisturbed ({ended.code}): {ended.output}")
        return ended

    def _lay_out(self, prepared: Path) -> None:
        """Copy a library. Photos are linked, so that they are the very files that its catalog knows."""
        shutil.rmtree(self.work, ignore_errors=True)
        for entry in prepared.iterdir():
            if entry.is_dir():
                copy = os.link if entry.name == "Photos" else shutil.copy2
                shutil.copytree(entry, self.work / entry.name, symlinks=True, copy_function=copy)
            else:
                self.work.mkdir(exist_ok=True)
                shutil.copy2(entry, self.work)

    def run(self, name: str, kinds: Sequence[str], chance: random.Random) -> None:
        """One trial."""
        reference = self.reference(name)
        self._lay_out(reference.prepared)
        blow = self._choose(reference, kinds, chance)
        wrong = _Wrong(f"{name}, {blow}")
        ended = self.children.do("run", name, self.work, blow)
        wrong.what += f" ({ended.hit})" if ended.hit else ""
        self.by_scenario[name] += 1
        self._count_hit(blow, ended)
        self._check_end(ended, blow, wrong)
        if not ended.code and name != "watch" and not _warnings(ended.output):
            self._check_complete(reference, wrong)
        self._check_state(name, reference, ended, wrong)
        if chance.random() < 0.2:
            again = self._choose(reference, kinds, chance)
            wrong.what += f", then {again}"
            self.n_twice += 1
            self._check_end(self.children.do("settle", name, self.work, again), again, wrong)
            self._check_state(name, reference, None, wrong)
        self._check_settled(name, reference, wrong)
        self.kinds.update(wrong.found.keys())
        self.faults += [f"{wrong.what}: {fault}" for faults in wrong.found.values() for fault in faults]

    def _choose(self, reference: Reference, kinds: Sequence[str], chance: random.Random) -> Blow:
        if kinds is KILLS and (not self.has_shim or chance.random() < 1 / 6):
            return Blow("time", seconds=chance.uniform(0.001, 1.2 * reference.seconds))
        kind = chance.choice(kinds)
        at = _any_call(reference.calls["enospc" if kind == "enospc" else "eio"], chance)
        return Blow(kind, at, chance.choice(LASTS) if kinds is FAULTS else 1)

    def _count_hit(self, blow: Blow, ended: Ended) -> None:
        self.n_hit += ended.code == -9 if blow.kind not in FAULTS else ended.n_calls >= blow.at

    @staticmethod
    def _check_end(ended: Ended, blow: Blow, wrong: _Wrong) -> None:
        if ended.is_late:
            wrong("other", f"hung for {LIMIT_SECONDS} s")
        elif ended.code < 0 and (ended.code != -9 or blow.kind in FAULTS):
            wrong("other", f"ended by signal {-ended.code}")
        elif ended.code == OUR_FAULT or any(text in ended.output for text in FAULTS_OF_OURS):
            wrong("other", f"a fault of facewatch itself: {ended.output[-1500:]}")

    def _check_complete(self, reference: Reference, wrong: _Wrong) -> None:
        """Who says that all is well must have done all."""
        now = facts_of(self.work)
        # The link that is made for a try, and which the disk kept: the next one removes it.
        now["tree"] = {entry for entry in now["tree"] if entry[1] != ".facewatch.probe"}
        if lacks := difference(now, reference.once):
            wrong("other", f"ended as if all was well, but {lacks}")

    def _check_state(self, name: str, reference: Reference, ended: Ended | None, wrong: _Wrong) -> None:
        """The state right after a process ended, on a copy, so that what it left is as it left it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if (self.work / "data").exists():
                shutil.copytree(self.work / "data", Path(folder) / "data", symlinks=True)
            catalog = Path(folder) / "data" / "catalog.sqlite"
            if catalog.exists():
                try:
                    self._check_catalog(name, reference, ended, catalog, wrong)
                except (FacewatchError, sqlite3.Error, OSError) as error:
                    wrong("repair", f"the catalog does not open: {error!r}")
            elif library_at(reference.prepared).catalog.exists():
                wrong("decision", "the catalog is gone")
        self._check_removals(name, reference, wrong)
        self._check_backups(name, ended, wrong)

    def _check_catalog(
        self, name: str, reference: Reference, ended: Ended | None, catalog: Path, wrong: _Wrong
    ) -> None:
        with Catalog(catalog) as opened:
            for fault in opened.faults():
                wrong("repair", f"the catalog: {fault}")
            now, paths = said(opened._db.conn), {os.fsdecode(row[0]) for row in _query(opened._db.conn, _FILES)}
        self._check_said(name, reference, ended, catalog, now, wrong)
        if name != "restore":
            for path, inode in _known(reference.prepared).items():
                here = self.work / "Photos" / path
                if path not in paths and here.exists() and here.stat().st_ino == inode:
                    wrong("removal", f"{path} is there, and not in the catalog any more")

    def _check_said(
        self, name: str, reference: Reference, ended: Ended | None, catalog: Path, now: set[object], wrong: _Wrong
    ) -> None:
        before, *later = reference.said
        if name == "decide":
            n_made = n_decided(catalog) - int((reference.prepared / "n_decided").read_text())
            n_told = ended.output.count("decided ") if ended else 0
            if n_made < n_told:
                wrong("decision", f"{n_told} decisions were acknowledged, {n_made} are there")
            before = reference.said[n_made]
            if now != before:
                wrong("decision", f"after {n_made}: {_few(before ^ now)}")
        elif name == "restore":
            if now not in (before, *later) or (ended and not ended.code and now != later[0]):
                wrong("decision", f"neither the old nor the new: {_few(before ^ now)}")
        elif not before <= now:
            wrong("decision", f"lost: {_few(before - now)}")

    def _check_removals(self, name: str, reference: Reference, wrong: _Wrong) -> None:
        if name != "watch" and photos_of(self.work) != photos_of(reference.prepared):
            wrong("removal", "a photo was changed")
        own = list((reference.prepared / "People").rglob("mine.txt"))
        if own and [path.read_text() for path in (self.work / "People").rglob("mine.txt")] != ["the user's own"]:
            wrong("removal", "the user's own file in the people folder is gone")
        for _, link, target in tree_of(self.work):
            if Path(target).is_absolute() and not self._may_be_led_to(Path(target)):
                wrong("removal", f"{link} leads to {target}")

    def _may_be_led_to(self, target: Path) -> bool:
        """Whether a link leads to a photo, or to the marker, with which links are tried. Links in a folder that moved
        between "_unnamed" and the top lead a folder too high or too low until they are made again."""
        below = (self.work, self.work.parent, self.work / "People")
        return any(target.is_relative_to(folder / "Photos") for folder in below) or target.name == ".facewatch"

    def _check_backups(self, name: str, ended: Ended | None, wrong: _Wrong) -> None:
        """A backup is whole or not there; where one was told, or needed, it is there."""
        found = [path for path in (self.work / BACKUP, *self.work.rglob("*before*")) if path.is_file()]
        found += [path for path in self.work.rglob("data/*.backups/*.sqlite") if path.is_file()]
        for path in found:
            try:
                with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                    copy = Path(shutil.copy(path, Path(folder) / "copy.sqlite"))
                    contents_of(copy)
            except (FacewatchError, sqlite3.Error) as error:
                wrong("other", f"the backup {path.name} is not whole: {error}")
        if name == "backup" and ended and not ended.code and self.work / BACKUP not in found:
            wrong("decision", "a backup was told, and is not there")

    def _check_settled(self, name: str, reference: Reference, wrong: _Wrong) -> None:
        """Doing it again leads to the very end that an undisturbed run leads to, and leaves nothing behind."""
        ended = self.children.do("settle", name, self.work)
        self._check_end(ended, Blow(), wrong)
        if ended.code:
            wrong("repair", f"doing it again fails ({ended.code}): {ended.output[-1500:]}")
            return
        with Catalog(library_at(self.work).catalog) as opened:
            for fault in opened.faults():
                wrong("repair", f"the catalog in the end: {fault}")
        if lacks := difference(facts_of(self.work), reference.end):
            wrong("repair", f"another end: {lacks}")
        # A migration in several steps that was cut off in between is backed up once more.
        if left := {path for path in left_in(self.work) - reference.left if ".before-" not in path}:
            wrong("other", f"left behind: {', '.join(sorted(left))}")


def _warnings(output: str) -> list[str]:
    """Return what a process said, but for what undisturbed ones say as well."""
    return [line for line in output.splitlines() if not line.startswith("decided ") and "broken.png: " not in line]


def _any_call(calls: Sequence[str], chance: random.Random) -> int:
    """Return the number of a call; half the time of a file chosen first, because most calls are about the WAL."""
    if chance.random() < 0.5:
        return chance.randint(1, len(calls))
    path = chance.choice(sorted(set(calls)))
    return chance.choice([n for n, other in enumerate(calls, 1) if other == path])


@dataclass
class _Wrong:
    """What is wrong after one trial."""

    what: str
    found: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, kind: str, fault: str) -> None:
        self.found.setdefault(kind, []).append(fault)


def _known(prepared: Path) -> dict[str, int]:
    """Return the files that a catalog knows, with their inodes."""
    catalog = library_at(prepared).catalog
    if not catalog.exists():
        return {}
    with closing(sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True)) as db:
        return {os.fsdecode(path): inode for path, inode in _query(db, "SELECT path, inode FROM files")}


@contextmanager
def trials(base: Path, counts: Sequence[str]) -> Iterator[Trials]:
    """Yield what trials share; `base` is a folder that may be filled, on a disk where photos can be linked."""
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="kills-") as folder:
        shim = compile_shim(Path(folder))
        with Children(Path(folder), shim) as children:
            yield Trials(Path(folder), children, shim is not None, counts)


def kill_trials(base: Path, n: int, seed: int, report: Report = print, *, only: Sequence[str] = ()) -> Result:
    """Kill n processes, the scenarios in turns, at instants chosen by chance."""
    return _all_trials(base, n, seed, report, KILLS, only)


def fault_trials(base: Path, n: int, seed: int, report: Report = print, *, only: Sequence[str] = ()) -> Result:
    """Let the disk be full, or fail, under n processes. Where no compiler is there are none: see `skipped`."""
    if why := why_no_shim():
        return Result(0, {}, 0, 0, [], 0, 0, 0, 0.0, skipped=why)
    return _all_trials(base, n, seed, report, FAULTS, only)


def _all_trials(base: Path, n: int, seed: int, report: Report, kinds: Sequence[str], only: Sequence[str]) -> Result:
    started = time.monotonic()
    names = list(only or SCENARIOS)
    with trials(base, ("eio",) if kinds is KILLS else FAULTS) as world:
        for i in range(n):
            n_before = len(world.faults)
            world.run(names[i % len(names)], kinds, random.Random(f"{seed} {i} {kinds}"))
            for fault in world.faults[n_before:]:
                report(f"trial {i} of seed {seed}: {fault}")
        return Result(
            n,
            dict(world.by_scenario),
            world.n_hit,
            world.n_twice,
            world.faults,
            n_lost_decisions=world.kinds["decision"],
            n_wrong_removals=world.kinds["removal"],
            n_repairs=world.kinds["repair"],
            seconds=time.monotonic() - started,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), default=[])
    wanted = parser.parse_args()
    n_faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for what, n in ((kill_trials, wanted.kills), (fault_trials, wanted.faults)):
            result = what(Path(folder), n, wanted.seed, only=wanted.only)
            n_faults += len(result.faults)
            print(
                f"{what.__name__}: {result.n} trials, {result.n_hit} hit, {result.n_twice} twice, "
                f"{len(result.faults)} faults ({result.n_lost_decisions} lost decisions, {result.n_wrong_removals} "
                f"wrong removals, {result.n_repairs} repairs), {result.seconds / max(1, result.n):.2f} s a trial"
                f"{', skipped: ' + result.skipped if result.skipped else ''}"
            )
    return bool(n_faults)


if __name__ == "__main__":
    sys.exit(main())
