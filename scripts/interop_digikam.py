"""The part "digikam" of scripts/interop.py: names go from digiKam to facewatch, are corrected, and come back.

digiKam runs as its users start it, on a screen that nobody sees (Xvfb). Names are put into its database while it is
off, as naming a face by hand does; it writes them into sidecars itself. What it shows afterwards is read from its
database.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from PIL import Image
from PIL.ExifTags import Base

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from bench_kit import Household, clean_environment, open_app

from facewatch.cli.init import make_library
from facewatch.types import Box

ORIENTATION = Base.Orientation
NEEDS = ("digikam", "Xvfb", "xdotool", "dbus-run-session", "dbus-send", "pgrep")
SETTINGS = {
    "General Settings": {"Version": "7.9.0"},
    "Album Settings": {"Show Splash": "false"},
    "Metadata Settings": {
        "Save Tags": "true",
        "Save FaceTags": "true",
        "Use XMP Sidecar For Reading": "true",
        "Metadata Writing Mode": "1",
        # The two by which it reads again what it knew.
        "Rescan File If Modified": "true",
        "Clear Metadata If Rescan": "true",
    },
}
"""Of digikamrc; the mode 1 is "write to XMP sidecar only"."""
STARTED_SECONDS = 60
SETTLED_SECONDS = 4
ALBUM = ("90", "121")
"""Where the only album stands in its window, in pixels of the screen; and"""
NO = ("549", "262")
"""the button in the question that it asks first, in pixels of that window."""

Faces = Mapping[str, Mapping[str, Box]]
"""By the name of the file: name -> box in pixels of the upright photo."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was to be so, and whether it was."""

    what: str
    is_so: bool
    seen: str


@dataclass(eq=False)
class DigiKam:
    """digiKam with one collection, and a home of its own."""

    home: Path
    photos: Path
    display: str
    _group: int = field(default=0, init=False)
    """The processes of the one that runs."""

    @property
    def database(self) -> Path:
        return self.home / "db" / "digikam4.db"

    def prepare(self) -> None:
        """Write its settings, let it make its tables, and add the collection."""
        (self.home / ".config").mkdir(parents=True)
        self.database.parent.mkdir()
        self.database.touch()  # without the file it asks a question
        kinds = ("Name", "Name Face", "Name Similarity", "Name Thumbnails")
        database = {"Database Type": "QSQLITE"} | {f"Database {kind}": f"{self.database.parent}/" for kind in kinds}
        groups = SETTINGS | {"Database Settings": database}
        text = "".join(f"[{group}]\n{_lines(values)}\n" for group, values in groups.items())
        (self.home / ".config" / "digikamrc").write_text(text)
        with self.running(lambda: "AlbumRoots" in self.tables()):
            pass
        with self.written() as db:
            place = f"volumeid:?path={self.photos}"
            db.execute(
                "INSERT INTO AlbumRoots (label, status, type, identifier, specificPath)"
                " VALUES ('Photos', 0, 1, ?, '/')",
                [place],
            )

    @contextlib.contextmanager
    def running(self, is_ready: Callable[[], bool]) -> Iterator[None]:
        """Run it; the body begins when it is ready, and has had a moment for what it does then.

        Raises:
            ClickException: it does not come to that.
        """
        runtime = self.home / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        places = {"XDG_CONFIG_HOME": f"{self.home}/.config", "XDG_RUNTIME_DIR": f"{runtime}", "DISPLAY": self.display}
        environment = clean_environment(self.home) | places | {"QTWEBENGINE_DISABLE_SANDBOX": "1", "LANG": "C.UTF-8"}
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                ["dbus-run-session", "--", "digikam"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._group = process.pid
        try:
            _wait(is_ready, "digiKam to get ready")
            time.sleep(SETTLED_SECONDS)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def act(self, action: str) -> None:
        """Do what an entry of its menus does."""
        digikam = int(subprocess.check_output(["pgrep", "-g", str(self._group), "-x", "digikam"]))
        environment = Path(f"/proc/{digikam}/environ").read_bytes().split(b"\0")
        bus = next(one.decode() for one in environment if one.startswith(b"DBUS_SESSION_BUS_ADDRESS="))
        name, _, address = bus.partition("=")
        call = ("/digikam/Digikam", "org.kde.KMainWindow.activateAction", f"string:{action}")
        target = f"--dest=org.kde.digikam-{digikam}"
        subprocess.run(
            ["dbus-send", "--session", "--print-reply", target, *call], env=os.environ | {name: address},
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def open_album(self) -> None:
        """Answer the question for models of faces with no, then open the only album."""
        self._click("search", "--sync", "--name", "Download required", "mousemove", "--window", "%1", *NO)
        self._click("mousemove", *ALBUM)

    def _click(self, *where: str) -> None:
        command = ["xdotool", *where, "click", "1"]
        subprocess.run(command, env=os.environ | {"DISPLAY": self.display}, check=True)
        time.sleep(SETTLED_SECONDS)

    def tables(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def rows(self, query: str) -> list[tuple[str, ...]]:
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(query).fetchall()

    @contextlib.contextmanager
    def written(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.database)) as db, db:
            yield db

    def n_photos(self) -> int:
        return len(self.rows("SELECT id FROM Images WHERE status = 1"))

    def name(self, faces: Faces) -> None:
        """Name faces, as doing it by hand leaves them in the database; while it is off."""
        with self.written() as db:
            ids = dict(db.execute("SELECT name, id FROM Images"))
            [(people,)] = db.execute("SELECT id FROM Tags WHERE name = 'People' AND pid = 0").fetchall()
            for photo, named in faces.items():
                for name, box in named.items():
                    db.execute("INSERT OR IGNORE INTO Tags (pid, name) VALUES (?, ?)", [people, name])
                    [(tag,)] = db.execute("SELECT id FROM Tags WHERE pid = ? AND name = ?", [people, name]).fetchall()
                    for property in ("person", "faceEngineId"):
                        db.execute("INSERT INTO TagProperties VALUES (?, ?, ?)", [tag, property, name])
                    rect = f'<rect x="{box.x}" y="{box.y}" width="{box.w}" height="{box.h}"/>'
                    db.execute("INSERT OR IGNORE INTO ImageTags VALUES (?, ?)", [ids[photo], tag])
                    db.execute("INSERT INTO ImageTagProperties VALUES (?, ?, 'tagRegion', ?)", [ids[photo], tag, rect])

    def faces(self) -> dict[str, dict[str, Box]]:
        """Return the named faces that it shows."""
        found: dict[str, dict[str, Box]] = {}
        for photo, name, rect in self.rows(
            "SELECT i.name, t.name, p.value FROM ImageTagProperties p JOIN Images i ON i.id = p.imageid"
            " JOIN Tags t ON t.id = p.tagid WHERE p.property = 'tagRegion' AND i.status = 1"
        ):
            x, y, width, height = (int(one) for one in re.findall(r'"(-?\d+)"', rect))
            found.setdefault(photo, {})[name] = Box(x, y, width, height)
        return found


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _wait(is_so: Callable[[], bool], what: str) -> None:
    if not _is_so_soon(is_so):
        raise click.ClickException(f"waited {STARTED_SECONDS} s for {what}, in vain")


def _is_so_soon(is_so: Callable[[], bool]) -> bool:
    """Wait for something, and return whether it came."""
    until = time.monotonic() + STARTED_SECONDS
    while not is_so() and time.monotonic() < until:
        time.sleep(0.5)
    return is_so()


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """Run a screen that nobody sees; yield its name."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-screen", "0", "1400x900x24", "-displayfd", str(writing)]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        try:
            with os.fdopen(reading) as told:
                yield f":{told.readline().strip()}"
        finally:
            server.terminate()


# --- the way there and back ---

STORE_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How Pillow stores an upright picture, by the orientation that is then to be written with it."""
GROUP = "everybody.jpg"


def draw_photos(folder: Path) -> None:
    """Make a photo in each of the eight orientations, and one of several people, in one folder."""
    demo = folder.with_name("Demo")
    make_library(demo)
    upright = Image.open(demo / "space" / "astronaut.png").convert("RGB")
    for orientation in range(1, 9):
        # No two are alike, or one would count as a copy of the other.
        picture = upright.resize((upright.width + 16 * orientation, upright.height + 16 * orientation))
        stored = picture.transpose(STORE_AS[orientation]) if orientation > 1 else picture
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored.save(folder / f"orientation-{orientation}.jpg", quality=92, exif=exif)
    shutil.copy(demo / "party" / GROUP, folder / GROUP)
    shutil.rmtree(demo)


def known_faces(house: Household) -> dict[str, list[tuple[str | None, Box]]]:
    """Return the faces of each photo, from left to right, with the names that facewatch has for them."""
    found: dict[str, list[tuple[str | None, Box]]] = {}
    with open_app(house.home) as app:
        names = app.catalog.people.names()
        for photo_id, files in app.catalog.files.sources().items():
            faces = app.catalog.faces.in_photo(photo_id)
            boxes = [(names.get(f["person_id"]), Box(f["x"], f["y"], f["w"], f["h"])) for f in faces]
            found[Path(files[0]).name] = boxes
    return found


def named_faces(house: Household) -> dict[str, dict[str, Box]]:
    faces = {photo: {name: box for name, box in boxes if name} for photo, boxes in known_faces(house).items()}
    return {photo: named for photo, named in faces.items() if named}


def try_digikam(folder: Path) -> Iterator[Step]:
    """Yield what was to be so on the way, and whether it was."""
    house = Household(folder / "facewatch", {"regions": {"xmp": "sidecar", "beside": True}})
    draw_photos(house.photos)
    house.scan()
    found = known_faces(house)
    yield Step("facewatch finds a face in every photo", all(found.values()), _counted(found))
    with screen() as display:
        digikam = DigiKam(folder / "digikam", house.photos, display)
        digikam.prepare()
        with digikam.running(lambda: digikam.n_photos() == len(found)):
            pass
        given = names_by_hand(found)
        digikam.name(given)
        with digikam.running(lambda: True):
            digikam.open_album()
            digikam.act("selectAll")
            digikam.act("image_write_metadata")
            _wait(lambda: len([*house.photos.glob("*.xmp")]) == len(found), "its sidecars")
        yield Step("digiKam writes them into sidecars", True, f"{len(found)} sidecars")
        house.scan()
        came = named_faces(house)
        yield Step("the names come in, each on its face", _names(came) == _names(given), _told(came))
        correct(house, found)
        wanted = named_faces(house)
        with digikam.running(lambda: digikam.n_photos() == len(found)):
            _is_so_soon(lambda: _names(digikam.faces()) == _names(wanted))
        shown = digikam.faces()
        yield Step("digiKam shows the corrected names", _names(shown) == _names(wanted), _told(shown))
        yield Step("and no other", _tags(digikam) == _names(wanted), f"{sum(map(len, _tags(digikam).values()))} tags")
        far = farthest(shown, wanted)
        yield Step("each box within 1 px, in all eight orientations", far <= 1, f"{far} px at most")


def names_by_hand(found: Mapping[str, Sequence[tuple[str | None, Box]]]) -> dict[str, dict[str, Box]]:
    """Return what a person names in digiKam: one person in eight photos, three people in the group."""
    given = {photo: {"Eileen": faces[0][1]} for photo, faces in found.items() if photo != GROUP}
    group = [box for _, box in found[GROUP]]
    return given | {GROUP: dict(zip(("Grace", "Hal", "Ida"), group, strict=False))}


def correct(house: Household, found: Mapping[str, Sequence[object]]) -> None:
    """Rename somebody, give a face to somebody else, and take one out."""
    group = str(house.photos / GROUP)
    house.run("rename", "Eileen", "Eileen Collins")
    house.run("assign", f"{group}:2", "Judy", "--new")
    house.run("reject", f"{group}:3", "Ida")
    house.run("regions", "--write")


def _names(faces: Mapping[str, Mapping[str, Box]]) -> dict[str, list[str]]:
    return {photo: sorted(named) for photo, named in sorted(faces.items()) if named}


def _told(faces: Mapping[str, Mapping[str, Box]]) -> str:
    names = sorted({name for named in faces.values() for name in named})
    return f"{', '.join(names)} on {sum(map(len, faces.values()))} faces"


def _counted(found: Mapping[str, Sequence[object]]) -> str:
    return f"{sum(map(len, found.values()))} faces in {len(found)} photos"


def _tags(digikam: DigiKam) -> dict[str, list[str]]:
    """Return the tags of people that it shows for each photo."""
    found: dict[str, list[str]] = {}
    for photo, tag in digikam.rows(
        "SELECT i.name, t.name FROM ImageTags m JOIN Images i ON i.id = m.imageid JOIN Tags t ON t.id = m.tagid"
        " JOIN Tags p ON p.id = t.pid WHERE p.name = 'People' AND i.status = 1 ORDER BY 1, 2"
    ):
        found.setdefault(photo, []).append(tag)
    return found


def farthest(shown: Faces, wanted: Faces) -> int:
    """Return by how many pixels an edge of a box is elsewhere at most."""
    pairs = (
        (shown[photo][name], box) for photo, named in wanted.items() for name, box in named.items()
        if name in shown.get(photo, {})
    )  # fmt: skip
    return max((max(map(_apart, _edges(one), _edges(other))) for one, other in pairs), default=0)


def _apart(one: int, other: int) -> int:
    return abs(one - other)


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.x, box.y, box.x + box.w, box.y + box.h
