"""One piece of work on a small library, in a process that may be killed or whose disk may fail at any instant.

    python torture_child.py SCENARIO BASE       does it once; ends as the command line would
    python torture_child.py --serve             does one for each line of JSON that comes in, each in a process of its
                                                own that is forked when all that takes long to import is there

Faces are drawn squares (facewatch.engines.fake). What a scenario's library is like before stands in its `prepare`. All
that happens can be done again from the start, because that is what users and service managers do after a crash.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import json
import logging
import os
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

# Python -P leaves out even the script's own folder; the drawn library is that of the tests.
sys.path.extend(str(Path(__file__).resolve().parents[1] / name) for name in ("scripts", "tests"))

from drawn import Library
from PIL import Image
from sqlite_utils import Database

from facewatch.app import App, restore_backup
from facewatch.catalog.backup import Backups, back_up
from facewatch.catalog.migrations import MIGRATIONS
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import FacewatchError
from facewatch.people.corrections import Decisions
from facewatch.types import DetectedFace, EngineInfo
from facewatch.watcher.events import Events
from facewatch.watcher.loop import WatchLoop

OUR_FAULT = 99
"""Exit code for what no user can mend: an error that is none of facewatch's own."""

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""When backups are taken, so that doing it again means the same files."""

BACKUP = "backup.sqlite"


class OtherEngine(fake.FakeEngine):
    """Sees the same squares, a little larger, and turns them into vectors of another length."""

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(fake.INFO, name="other", fingerprint="other", n_dims=2 * fake.N_DIMS)

    def analyse(self, pixels: Any, **closer: Any) -> list[DetectedFace]:
        return [_larger(face) for face in super().analyse(pixels, **closer)]


def _larger(face: DetectedFace) -> DetectedFace:
    x, y, w, h = face.box
    twice = np.concatenate([face.embedding[::-1], -face.embedding]) / np.sqrt(2)
    return dataclasses.replace(face, box=(x - 4, y - 4, w + 8, h + 8), embedding=twice.astype(np.float32))


def library_at(base: Path) -> Library:
    return Library(base, base / "Photos", base / "People", base / "data" / "catalog.sqlite")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A library, and what is done to it."""

    prepare: Callable[[Library], None]
    run: Callable[[Library], None]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What is set in the settings file."""
    engine: Callable[[], fake.FakeEngine] = fake.FakeEngine
    """The wanted engine, from the run on."""

    def app(self, library: Library) -> App:
        return library.app(self.settings, engine=self.engine())


# --- what users do ---


def _face(app: App, photo: str, number: int = 0) -> str:
    return str(app.lookup.photo(app.libraries.roots[0] / photo)["faces"][number]["face_id"])


def _owner(app: App, photo: str, number: int = 0) -> str:
    return str(app.lookup.photo(app.libraries.roots[0] / photo)["faces"][number]["person_id"])


def _decide(decide: Callable[[App, Decisions], object]) -> Callable[[App], object]:
    def act(app: App) -> None:
        with app.corrections.deciding() as decisions:
            decide(app, decisions)

    return act


DECISIONS: tuple[Callable[[App], object], ...] = (
    _decide(lambda s, d: d.rename(_owner(s, "cleo0.png"), "Cleo")),
    _decide(lambda s, d: d.assign([_face(s, "dora0.png")], "Dora", is_new=True)),
    _decide(lambda s, d: d.reject([_face(s, "both0.png", 1)])),
    lambda s: s.corrections.undo(),
    _decide(lambda s, d: d.merge("Cleo", ["Dora"])),
    lambda s: s.corrections.undo(),
    _decide(lambda s, d: d.unassign([_face(s, "anna2.png")])),
    _decide(lambda s, d: d.rename("Anna", "Änne")),
    _decide(lambda s, d: d.hide("Ben")),
    _decide(lambda s, d: d.confirm_person("Änne")),
    _decide(lambda s, d: d.ignore([_face(s, "stranger.png")])),
    _decide(lambda s, d: d.born("Cleo", "1990-05")),
    _decide(lambda s, d: d.cover("Cleo", _face(s, "cleo1.png"))),
    _decide(lambda s, d: d.forget("Dora")),
    lambda s: s.corrections.undo(),
    lambda s: s.corrections.redo(),
    _decide(lambda s, d: d.show("Ben")),
    _decide(lambda s, d: d.rename("Ben", "Änne", may_merge=True)),
)
"""Each is one entry of the journal, so that it can be told which were made."""


def n_decided(catalog: Path) -> int:
    """Return how many decisions are on record."""
    with closing(sqlite3.connect(catalog)) as db:
        row = db.execute("SELECT COUNT(*) FROM journal WHERE actor = 'user' AND parent_id IS NULL").fetchone()
        return int(row[0])


# --- libraries ---


def _draw(library: Library) -> None:
    for look in range(3):
        library.draw(f"anna{look}.png", (1, look))
        library.draw(f"cleo{look}.png", (3, look))
    for look in range(2):
        library.draw(f"both{look}.png", (1, 10 + look), (2, look))
        library.draw(f"2024/ben{look}.png", (2, 20 + look))
        library.draw(f"dora{look}.png", (4, look))
    library.draw("stranger.png", (5, 0))
    (library.photos / "notes.txt").write_text("no photo")
    (library.photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"?" * 40)


def _grow(library: Library, settings: Mapping[str, Any] | None = None) -> None:
    """A library that was scanned, with decisions of each kind."""
    _draw(library)
    with library.app(settings) as app:
        app.pipeline.scan()
        with app.corrections.deciding() as decisions:
            decisions.rename(_owner(app, "anna0.png"), "Anna")
            decisions.rename(_owner(app, "2024/ben0.png"), "Ben")
            decisions.assign([_face(app, "stranger.png")], "Anna")
            decisions.reject([_face(app, "dora1.png")], "Anna")
            decisions.unassign([_face(app, "cleo2.png")])
            decisions.cannot_link("Anna", "Ben")
        app.folder.sync()
    (library.people / "Anna" / "mine.txt").write_text("the user's own")


def _grow_and_change(library: Library) -> None:
    """Afterwards somebody adds, moves, copies, edits and removes photos."""
    _grow(library)
    photos = library.photos
    for look in range(2):
        library.draw(f"new/eve{look}.png", (6, look))
        library.draw(f"new/anna{look}.png", (1, 30 + look), (7, look))
    (photos / "new/copy.png").write_bytes((photos / "cleo0.png").read_bytes())
    (photos / "anna1.png").rename(photos / "2024/anna1.png")
    (photos / "stranger.png").rename(photos / "new/friend.png")
    (photos / "dora1.png").unlink()
    _edit(photos / "anna0.png")


def _edit(path: Path) -> None:
    """Somebody makes the border of a photo lighter, as programs do it: the same faces at the same places."""
    with Image.open(path) as image:
        pixels = image.convert("RGB")
    pixels.paste((240,) * 3, (0, 0, pixels.width, 4))
    _put(path, pixels)


def _put(path: Path, image: Image.Image) -> None:
    """Write a photo elsewhere and give it its name at once; does nothing where it is there already."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.png"
        image.save(part)
        if not path.exists() or path.read_bytes() != part.read_bytes():
            other = path.with_name(f".{path.name}.part")
            other.write_bytes(part.read_bytes())
            long_ago = time.time() - 3600
            os.utime(other, (long_ago, long_ago))
            other.replace(path)


def _ungroup(library: Library) -> None:
    """A pool that has not been grouped yet, and two people that a user made."""
    _draw(library)
    with library.app({"cluster.min_faces": 50}) as app:
        app.pipeline.scan()
        with app.corrections.deciding() as decisions:
            decisions.assign([_face(app, "both0.png")], "Anna", is_new=True)
            decisions.assign([_face(app, "both0.png", 1)], "Ben", is_new=True)
            decisions.ignore([_face(app, "stranger.png")])


def _recluster(library: Library) -> None:
    with library.app() as app:
        app.grouping.recluster()
        app.folder.sync()


def _rename_round(library: Library, settings: Mapping[str, Any] | None = None) -> None:
    """Folders that have to change their names in a circle, be joined, and vanish."""
    _grow(library, settings)
    with library.app(settings) as app:
        decisions = Decisions(app.catalog)
        for old, new in (("Anna", "somebody"), ("Ben", "Anna"), ("somebody", "Ben")):
            decisions.rename(old, new)
        decisions.rename(_owner(app, "cleo0.png"), "Cleo")
        decisions.hide("Cleo")
        decisions.assign([_face(app, "dora0.png")], "Dora", is_new=True)
    (library.people / "Anna" / "anna2.png").unlink(missing_ok=True)


COPIES = {"folders.link": "copy"}


def _sync(settings: Mapping[str, Any] | None = None) -> Callable[[Library], None]:
    def run(library: Library) -> None:
        with library.app(settings) as app:
            app.folder.sync()

    return run


def _scan(engine: Callable[[], fake.FakeEngine] = fake.FakeEngine) -> Callable[[Library], None]:
    def run(library: Library) -> None:
        with library.app(engine=engine()) as app:
            app.pipeline.scan()

    return run


def _age(n_migrations: int) -> Callable[[Library], None]:
    """A catalog of an older schema, with all that it could hold."""

    def prepare(library: Library) -> None:
        _grow(library)
        old = library.catalog.with_name("old.sqlite")
        migrations = [migration.name for migration in MIGRATIONS._migrations]
        with closing(sqlite3.connect(old)) as db:
            MIGRATIONS.apply(Database(db), stop_before=migrations[n_migrations])
            db.execute("ATTACH ? AS new", [str(library.catalog)])
            for (table,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
                if not table.startswith(("sqlite_", "_sqlite")):
                    _copy_rows(db, table)
            db.commit()
        for suffix in ("-wal", "-shm"):
            library.catalog.with_name(library.catalog.name + suffix).unlink(missing_ok=True)
        old.replace(library.catalog)

    return prepare


def _copy_rows(db: sqlite3.Connection, table: str) -> None:
    columns = [{row[1] for row in db.execute(f"PRAGMA {schema}.table_info({table})")} for schema in ("main", "new")]
    names = ", ".join(sorted(columns[0] & columns[1]))
    db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")


def _decide_all(library: Library, most: int = len(DECISIONS)) -> None:
    """Decide what is not decided yet, one by one, each told when it is done."""
    begun = int((library.base / "n_decided").read_text())
    with library.app() as app:
        n_done = n_decided(library.catalog) - begun
        for i in range(n_done, min(n_done + most, len(DECISIONS))):
            DECISIONS[i](app)
            print(f"decided {i}", flush=True)


def _grow_and_count(library: Library) -> None:
    _grow(library)
    (library.base / "n_decided").write_text(str(n_decided(library.catalog)))


def _back_up(library: Library) -> None:
    Backups(library.catalog).daily(NOW)
    back_up(library.catalog, library.base / BACKUP, may_replace=True, now=NOW)


def _config(library: Library) -> Any:
    with library.app() as app:
        return app.config


def _back_up_and_go_on(library: Library) -> None:
    """A backup, and then other decisions and photos."""
    _grow(library)
    back_up(library.catalog, library.base / BACKUP, now=NOW)
    library.draw("new/eve0.png", (6, 0))
    library.draw("new/eve1.png", (6, 1))
    with library.app() as app:
        app.pipeline.scan()
        with app.corrections.deciding() as decisions:
            decisions.rename("Anna", "Zoë")
            decisions.rename(_owner(app, "new/eve0.png"), "Eve")
            decisions.assign([_face(app, "dora0.png")], "Dora", is_new=True)


def _restore(library: Library) -> None:
    config = load_config(
        None,
        {"library.people": str(library.people), "library.catalog": str(library.catalog)},
        cwd=library.base,
    )
    done = restore_backup(config, library.base / BACKUP, now=NOW)
    if done.folder_fault:
        raise FacewatchError(done.folder_fault)


# --- watching ---


DEAF = {"watch.poll": "always"}
"""Events are added by hand."""


def _watch(library: Library) -> None:
    """Hours of watching on a clock that is turned, while photos come, change and go."""
    seconds = [1_000_000.0]

    def clock() -> float:
        return seconds[0]

    with library.app(DEAF, clock=clock) as app, app.pipeline.running("watch"), ExitStack() as stack:
        started = time.time()
        loop = WatchLoop(
            app,
            should_stop=lambda: False,
            clock=clock,
            wall_clock=lambda: started + seconds[0] - 1_000_000.0,
        )
        stack.callback(loop._reporter.close)
        app.folder.sync()
        for watched in loop.watched:
            stack.callback(watched.close)
            watched.listen()
        for act in (None, *_ACTS, None):
            paths = act(library) if act else ()
            loop.turn({library.photos: Events(frozenset(paths), frozenset())})
            for step in (3.0, 30.0, 61.0) if act else (1.0, 70.0, 1300.0, 700.0, 3700.0):
                seconds[0] += step
                loop.turn({})


def _act_add(library: Library) -> tuple[str, ...]:
    for name, faces in (("new/eve0.png", [(6, 0)]), ("new/eve1.png", [(6, 1), (1, 40)])):
        (library.photos / name).parent.mkdir(exist_ok=True)
        _put(library.photos / name, Image.fromarray(fake.draw(faces)))
    return "new/eve0.png", "new/eve1.png"


def _act_move(library: Library) -> tuple[str, ...]:
    with suppress(FileNotFoundError):
        (library.photos / "anna1.png").rename(library.photos / "2024/anna1.png")
    return "anna1.png", "2024/anna1.png"


def _act_edit(library: Library) -> tuple[str, ...]:
    _edit(library.photos / "anna0.png")
    return ("anna0.png",)


def _act_remove(library: Library) -> tuple[str, ...]:
    (library.photos / "dora1.png").unlink(missing_ok=True)
    return ("dora1.png",)


_ACTS = (_act_add, _act_move, _act_edit, _act_remove)

SCENARIOS: Mapping[str, Scenario] = {
    "first": Scenario(_draw, _scan()),
    "scan": Scenario(_grow_and_change, _scan()),
    "recluster": Scenario(_ungroup, _recluster),
    "folders": Scenario(_rename_round, _sync()),
    "copies": Scenario(lambda library: _rename_round(library, COPIES), _sync(COPIES), settings=COPIES),
    "migrate": Scenario(_age(3), _sync()),
    "migrate all": Scenario(_age(1), _sync()),
    "switch": Scenario(_grow, _scan(OtherEngine), engine=OtherEngine),
    "decide": Scenario(_grow_and_count, _decide_all),
    "watch": Scenario(_grow, _watch),
    "backup": Scenario(_grow, _back_up),
    "restore": Scenario(_back_up_and_go_on, _restore),
}


def _prepare(name: str, base: Path) -> None:
    (base / "Photos").mkdir(parents=True)
    SCENARIOS[name].prepare(library_at(base))


def _settle(name: str, base: Path) -> None:
    """What the user or the service manager does after a crash: the same again, and a scan."""
    library, scenario = library_at(base), SCENARIOS[name]
    scenario.run(library)
    with scenario.app(library) as app:
        app.pipeline.scan()


ACTIONS: Mapping[str, Callable[[str, Path], None]] = {
    "prepare": _prepare,
    "run": lambda name, base: SCENARIOS[name].run(library_at(base)),
    "settle": _settle,
    "decide one": lambda name, base: _decide_all(library_at(base), most=1),
}


def end_as_the_command_line_does(doing: str, name: str, base: Path) -> int:
    """Do it and return the exit code."""
    try:
        ACTIONS[doing](name, base)
    except FacewatchError as error:
        print(f"facewatch: {error}", flush=True)
        return error.exit_code
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            print(f"facewatch: the disk is full ({error})", flush=True)
            return 1
        traceback.print_exc()
        return OUR_FAULT
    except Exception:
        traceback.print_exc()
        return OUR_FAULT
    return 0


# --- serving ---


def _serve() -> None:
    """Read what is to be done, do each in a process of its own, and write how it ended."""
    with tempfile.TemporaryDirectory() as warm:  # everything is imported once, here
        _prepare("first", Path(warm))
        _settle("first", Path(warm))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_serve_one(json.loads(line))), flush=True)


def _serve_one(wanted: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        _be_child(wanted)
    ends = started + (wanted["kill_after"] if wanted["kill_after"] is not None else wanted["limit"])
    has_ended, status = os.waitpid(pid, os.WNOHANG)
    while not has_ended and time.monotonic() < ends:
        time.sleep(0.001)
        has_ended, status = os.waitpid(pid, os.WNOHANG)
    is_late = not has_ended and wanted["kill_after"] is None
    if not has_ended:
        os.kill(pid, 9)
        _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "is_late": is_late, "seconds": time.monotonic() - started}


def _be_child(wanted: dict[str, Any]) -> None:
    """Never returns."""
    code = OUR_FAULT
    try:
        out = os.open(wanted["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(wanted["environment"])
        shim = _shim()
        if shim is not None:
            shim.torture_start()
        code = end_as_the_command_line_does(wanted["doing"], wanted["scenario"], Path(wanted["base"]))
        if shim is not None:
            shim.torture_stop()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _shim() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "torture_start") else None


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if sys.argv[1:] == ["--serve"]:
        _serve()
    else:
        sys.exit(end_as_the_command_line_does("run", sys.argv[1], Path(sys.argv[2])))
