"""Days of a library in minutes: random adds, edits, moves, removals and unplugged drives, on a clock that is turned.

What the watcher hears is what a kernel would tell of it, some of it late, doubled or lost. In the end the catalog must
say what a fresh scan says, the folders what the catalog says, and every name that was given must be there.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drawn import Library
from PIL import Image

from facewatch.catalog import Catalog
from facewatch.engines import fake
from facewatch.errors import FacewatchError
from facewatch.watcher.events import Events
from facewatch.watcher.loop import WatchLoop
from facewatch.watcher.roots import Watched

PEOPLE = 12
"""Who is in the photos."""

MOST_FILES = 400
"""More are not added: the library is to change, not to grow."""

LOST, DOUBLED, OVERFLOWN = 0.1, 0.05, 0.02
"""Shares of events that are lost, come twice, or are one of too many."""

NAMES = ("IMG_{}.png", "Grüße {}.png", "-rf {}.png", "a\nb{}.png", "\u202egnp.{}.png", "{}" + "x" * 200 + ".png")


@dataclass
class Clock:
    """Seconds that go when they are told to; the clock on the wall may be set besides."""

    now: float = 1_000_000.0
    set_by: float = 0.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_750_000_000.0 + self.now + self.set_by


@dataclass(frozen=True, slots=True)
class Days:
    """What came of it."""

    hours: float
    actions: dict[str, int]
    n_files: int
    n_decisions: int
    seconds: float
    faults: list[str]
    """What is not as it should be; none: all is well."""


@dataclass
class Drive:
    """A library's root: a link to a folder, so that it can be unplugged, emptied, or be another drive."""

    root: Path
    home: Path
    others: Path
    """A folder on another device, where there is one."""
    is_there: bool = True
    events: list[str] = field(default_factory=list)
    """What a kernel would tell: files, and folders, which end in "/"."""

    def plug_in(self) -> None:
        self._become(self.home)
        self.is_there = True

    def unplug(self, how: str) -> None:
        """It is gone, an empty folder, or another drive with other photos on it."""
        self.root.unlink()
        if how == "empty":
            self.root.mkdir()
        elif how == "another":
            self.root.symlink_to(self.others)
        self.is_there = False

    def _become(self, target: Path) -> None:
        if self.root.is_symlink():
            self.root.unlink()
        elif self.root.exists():
            self.root.rmdir()
        self.root.symlink_to(target)


class Life:
    """A family and its two drives."""

    def __init__(self, base: Path, chance: random.Random, clock: Clock, others: Path) -> None:
        self.base, self.chance, self.clock = base, chance, clock
        self.drives = []
        for name in ("Photos", "Phone"):
            home = base / "drives" / name
            home.mkdir(parents=True)
            other = others / name
            other.mkdir(parents=True)
            Image.fromarray(fake.draw([(200, 1)])).save(other / "somebody.png")
            drive = Drive(base / name, home, other)
            drive.plug_in()
            self.drives.append(drive)
        self.n_made = 0
        self.growing: list[tuple[Drive, str, bytes]] = []
        """Files that are still being written, and what they lack."""
        self.names: dict[str, str] = {}
        """Content (bytes of a photo) to the name of the one person on it, as a user said."""
        self.counts: Counter[str] = Counter()

    # --- what a family does with its files ---

    def files(self, drive: Drive) -> list[str]:
        paths = (path for path in drive.home.rglob("*") if path.is_file())
        return sorted(os.fspath(path.relative_to(drive.home)) for path in paths)

    def folders(self, drive: Drive) -> list[str]:
        paths = (path for path in drive.home.rglob("*") if path.is_dir())
        return sorted(os.fspath(path.relative_to(drive.home)) for path in paths)

    def act(self) -> None:
        """Do one thing, whatever it is, to a drive that is there."""
        there = [drive for drive in self.drives if drive.is_there]
        actions: list[tuple[int, Callable[[Drive], None]]] = [
            (30, self.add),
            (5, self.add_folder),
            (8, self.copy),
            (12, self.move),
            (4, self.move_to_other),
            (4, self.move_folder),
            (8, self.remove),
            (1, self.remove_folder),
            (8, self.edit),
            (3, self.replace),
            (5, self.write_slowly),
            (3, self.break_file),
            (2, self.touch),
            (4, self.unplug),
        ]
        doing = self.chance.choices([doing for _, doing in actions], [weight for weight, _ in actions])[0]
        if there:
            self.counts[doing.__name__] += 1
            doing(self.chance.choice(there))
        for drive in self.drives:
            if not drive.is_there and self.chance.random() < 0.2:
                drive.plug_in()
                self.counts["plug_in"] += 1

    def _any(self, drive: Drive) -> str | None:
        files = self.files(drive)
        return self.chance.choice(files) if files else None

    def _new_path(self, drive: Drive) -> str:
        self.n_made += 1
        folder = self.chance.choice(["", "2024/", "2024/May/", "von Oma/", *(f"{f}/" for f in self.folders(drive))])
        return folder + self.chance.choice(NAMES).format(self.n_made)

    def _photo(self, *people: int) -> bytes:
        faces = [(person, self.chance.randrange(200)) for person in people or self._some_people()]
        shade = self.chance.randrange(100, 250)
        with tempfile.SpooledTemporaryFile() as file:
            Image.fromarray(fake.draw(faces, shade=shade)).save(file, format="PNG")
            file.seek(0)
            return file.read()

    def _some_people(self) -> list[int]:
        return self.chance.sample(range(1, PEOPLE + 1), self.chance.choice([0, 1, 1, 1, 2, 3]))

    def _write(self, drive: Drive, path: str, content: bytes) -> None:
        full = drive.home / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content)
        os.utime(full, (self.clock.wall(), self.clock.wall()))
        drive.events.append(path)

    def add(self, drive: Drive) -> None:
        if len(self.files(drive)) < MOST_FILES:
            self._write(drive, self._new_path(drive), self._photo())

    def add_folder(self, drive: Drive) -> None:
        """A folder is copied in, and only its own event comes."""
        self.n_made += 1
        for i in range(self.chance.randrange(1, 8)):
            self._write(drive, f"Trip {self.n_made}/day {i % 3}/{i}.png", self._photo())
            drive.events.pop()
        drive.events.append(f"Trip {self.n_made}/")

    def copy(self, drive: Drive) -> None:
        if (path := self._any(drive)) and len(self.files(drive)) < MOST_FILES:
            self._write(drive, self._new_path(drive), (drive.home / path).read_bytes())

    def move(self, drive: Drive) -> None:
        if path := self._any(drive):
            new = self._new_path(drive)
            (drive.home / new).parent.mkdir(parents=True, exist_ok=True)
            (drive.home / path).rename(drive.home / new)
            drive.events += [path, new]

    def move_to_other(self, drive: Drive) -> None:
        other = next(other for other in self.drives if other is not drive)
        if other.is_there and (path := self._any(drive)):
            new = self._new_path(other)
            (other.home / new).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(drive.home / path, other.home / new)
            drive.events.append(path)
            other.events.append(new)

    def move_folder(self, drive: Drive) -> None:
        folders = [folder for folder in self.folders(drive) if "/" not in folder]
        if folders:
            old = self.chance.choice(folders)
            self.n_made += 1
            (drive.home / old).rename(drive.home / f"Moved {self.n_made}")
            drive.events += [f"{old}/", f"Moved {self.n_made}/"]

    def remove(self, drive: Drive) -> None:
        if (path := self._any(drive)) and len(self.files(drive)) > 1:
            (drive.home / path).unlink()
            drive.events.append(path)

    def remove_folder(self, drive: Drive) -> None:
        folders = self.folders(drive)
        if folders:
            folder = self.chance.choice(folders)
            if any(not path.startswith(f"{folder}/") for path in self.files(drive)):
                shutil.rmtree(drive.home / folder)
                drive.events.append(f"{folder}/")

    def edit(self, drive: Drive) -> None:
        """Somebody makes a photo lighter: the same faces at the same places."""
        path = self._any(drive)
        if path:
            try:
                with Image.open(drive.home / path) as image:
                    pixels = image.convert("RGB")
            except OSError:
                return
            border = self.chance.randrange(100, 250)
            pixels.paste((border,) * 3, (0, 0, pixels.width, 4))
            with tempfile.SpooledTemporaryFile() as file:
                pixels.save(file, format="PNG")
                file.seek(0)
                self._write(drive, path, file.read())

    def replace(self, drive: Drive) -> None:
        if path := self._any(drive):
            self._write(drive, path, self._photo())

    def write_slowly(self, drive: Drive) -> None:
        content, path = self._photo(1, 2), self._new_path(drive)
        self._write(drive, path, content[: len(content) // 2])
        self.growing.append((drive, path, content))

    def break_file(self, drive: Drive) -> None:
        if path := self._any(drive):
            self._write(drive, path, b"\x89PNG\r\n\x1a\n" + self.chance.randbytes(40))

    def touch(self, drive: Drive) -> None:
        if path := self._any(drive):
            os.utime(drive.home / path, (self.clock.wall(), self.clock.wall()))
            drive.events.append(path)

    def unplug(self, drive: Drive) -> None:
        drive.unplug(self.chance.choice(["gone", "empty", "another"]))

    def finish_writing(self) -> None:
        for drive, path, content in self.growing:
            if (drive.home / path).exists():
                self._write(drive, path, content)
        self.growing.clear()

    # --- its events ---

    def take_events(self) -> dict[Path, Events]:
        told = {}
        for drive in self.drives:
            paths = [path for path in drive.events if self.chance.random() >= LOST]
            drive.events = [path for path in paths if self.chance.random() < DOUBLED]
            if drive.is_there:
                folders = frozenset(path.rstrip("/") for path in paths if path.endswith("/"))
                files = frozenset(path for path in paths if not path.endswith("/"))
                is_overflown = self.chance.random() < OVERFLOWN
                told[drive.root] = Events(files, folders | ({""} if is_overflown else set()), is_overflown)
        return told


class SilentSource:
    """A source that hears nothing by itself."""

    unwatched: frozenset[str] = frozenset()
    fault = None
    is_closed = False

    def complete(self) -> None: ...

    def close(self) -> None: ...


def _listen_to_nothing(watched: Watched) -> None:
    watched.source = SilentSource()  # type: ignore[assignment]


class Watcher:
    """A watcher on a turned clock, that can be stopped and started."""

    def __init__(self, library: Library, life: Life) -> None:
        self.library, self.life = library, life
        self.start()

    def start(self) -> None:
        roots = [str(drive.root) for drive in self.life.drives]
        self.app = self.library.app({"library.photos": roots}, clock=self.life.clock)
        self.loop = WatchLoop(
            self.app, should_stop=lambda: False, clock=self.life.clock, wall_clock=self.life.clock.wall
        )
        self._listen()

    def _listen(self) -> None:
        for watched in self.loop.watched:
            watched.listen = partial(_listen_to_nothing, watched)  # type: ignore[method-assign]
            watched.listen()

    def stop(self) -> None:
        self.app.__exit__(None, None, None)

    def turns(self, seconds: float) -> None:
        """Let time go, with a few turns on the way."""
        self.loop.turn(self.life.take_events())
        for step in (0.3, 1.1, 2.2, 6.0):
            if seconds > step:
                self.life.clock.now += step
                seconds -= step
                self.loop.turn(self.life.take_events())
        self.life.clock.now += seconds
        self.loop.turn({})

    def say_who(self) -> None:
        """A user names somebody, by another process."""
        with self.library.app({"library.photos": []}) as app:
            unnamed = [person for person in app.catalog.people.all() if person.n_photos and not person.name]
            if not unnamed:
                return
            person = self.life.chance.choice(unnamed)
            try:
                app.corrections.rename(str(person.id), f"Name {person.id}")
            except FacewatchError:
                return
            self.life.names[f"Name {person.id}"] = ""


def live(base: Path, *, hours: float, n_actions: int, seed: int) -> Days:
    """Let so many hours pass with so many actions; returns what came of it."""
    started, chance, clock = time.monotonic(), random.Random(seed), Clock()
    with _other_device(base) as others:
        life = Life(base, chance, clock, others)
        library = Library(base, base / "Photos", base / "People", base / "data" / "catalog.sqlite")
        watcher = Watcher(library, life)
        faults: list[str] = []
        begun = clock.now
        for i in range(n_actions):
            life.act()
            offline = {drive.root: _n_known(watcher, drive) for drive in life.drives if not drive.is_there}
            if chance.random() < 0.05:
                watcher.say_who()
            if chance.random() < 0.02:
                watcher.stop()
                watcher.start()
                life.counts["restart"] += 1
            if chance.random() < 0.01:
                clock.set_by += chance.choice([-90_000, 90_000, -400, 400])
                life.counts["clock set"] += 1
            if i % 7 == 0:
                life.finish_writing()
            watcher.turns(chance.expovariate(n_actions / (hours * 3600)))
            for drive in life.drives:
                if drive.root in offline and _n_known(watcher, drive) < offline[drive.root]:
                    faults.append(f"action {i}: files of {drive.root.name} were removed while it was not there")
        life.finish_writing()
        for drive in life.drives:
            if not drive.is_there:
                drive.plug_in()
        for _ in range(4):
            watcher.turns(3700.0)
        faults += _differences(watcher, base)
        n_files = watcher.app.catalog.files.counts()["files"]
        watcher.stop()
    return Days(
        (clock.now - begun) / 3600, dict(life.counts), n_files, len(life.names), time.monotonic() - started, faults
    )


class _other_device:
    """A folder on another device than the base, in memory; one on the same where there is none."""

    def __init__(self, base: Path) -> None:
        memory = Path("/dev/shm")
        is_other = memory.is_dir() and os.access(memory, os.W_OK) and memory.stat().st_dev != base.stat().st_dev
        self._folder = tempfile.TemporaryDirectory(dir=memory if is_other else base, prefix="facewatch-torture-")

    def __enter__(self) -> Path:
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _n_known(watcher: Watcher, drive: Drive) -> int:
    root = watcher.app.catalog.roots.one(drive.root)
    return len(watcher.app.catalog.files.known(root[0])) if root else 0


def _differences(watcher: Watcher, base: Path) -> list[str]:
    """Return how the catalog differs from one that a fresh scan makes, and the folders from the catalog."""
    fresh = Library(base, base / "Photos", base / "Fresh People", base / "fresh" / "catalog.sqlite")
    roots = [str(drive.root) for drive in watcher.life.drives]
    with fresh.app({"library.photos": roots}) as app:
        app.pipeline.scan()
        wanted = facts(app.catalog)
    found, faults = facts(watcher.app.catalog), []
    for path in sorted(wanted.keys() | found.keys()):
        if wanted.get(path) != found.get(path):
            faults.append(f"{path!r}: {found.get(path)} instead of {wanted.get(path)}")
    plan = watcher.app.folder.plan()
    faults += [f"the folders lack: {step}" for step in plan.describe()]
    names = {person.name for person in watcher.app.catalog.people.all()}
    faults += [f"the name {name} is lost" for name in watcher.life.names if name not in names]
    if (verdict := watcher.app.catalog.check()) != "ok":
        faults.append(f"the catalog: {verdict}")
    return faults


def facts(catalog: Catalog) -> dict[str, tuple[object, ...]]:
    """Return what a catalog says of every file: content, size, faces with their boxes, and fault."""
    rows = catalog._db.execute(
        "SELECT CAST(roots.path || '/' || files.path AS BLOB), hex(photos.sha256), photos.width, files.fault,"
        " (SELECT group_concat(x || ',' || y || ',' || w || ',' || h, ' ') FROM"
        "  (SELECT x, y, w, h FROM faces WHERE photo_id = photos.id AND is_current ORDER BY x, y))"
        " FROM files JOIN roots ON roots.id = files.root_id LEFT JOIN photos ON photos.id = files.photo_id"
    )
    return {os.fsdecode(path): tuple(rest) for path, *rest in rows}
