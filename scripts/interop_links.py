"""The part "links" of scripts/interop.py: what programs make of the links in a people folder that facewatch made."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from bench_kit import Household, clean_environment

from facewatch.cli.init import make_library

STARTED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the links when a program was used in some way."""

    program: str
    version: str
    way: str
    came: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A home with photos, a people folder, and room for what programs make of them."""

    home: Path
    link: str
    """A link in a person's folder, below the people folder."""
    photo: bytes
    """What it leads to."""

    def room(self, name: str) -> Path:
        room = self.home.parent / "out" / name
        room.mkdir(parents=True)
        return room

    def run(self, *command: str | Path, cwd: Path | None = None) -> int:
        """Run a program, whatever comes of it; returns its exit status."""
        environment = clean_environment(self.home) | {"RESTIC_PASSWORD": "x", "BORG_UNENCRYPTED_REPO_ACCESS_IS_OK": "1"}
        return subprocess.run(
            list(map(str, command)), cwd=cwd or self.home, env=environment, capture_output=True
        ).returncode

    def came(self, place: Path) -> str:
        """Return what stands where the link should be."""
        path = place / self.link
        if path.is_symlink():
            return "the link, and it opens" if path.exists() else "the link, which leads nowhere"
        if not path.exists():
            return "nothing"
        content = path.read_bytes()
        return "the photo" if content == self.photo else f"a file of {len(content)} bytes that is no photo"

    def is_kept(self) -> str:
        """Return what has become of the photo itself, and put it right."""
        photo = (self.home / "People" / self.link).resolve()
        if photo.read_bytes() == self.photo:
            return "the photo itself is as it was"
        photo.write_bytes(self.photo)
        return "THE PHOTO ITSELF IS OVERWRITTEN"


Way = Callable[[Scene], Iterator[tuple[str, str]]]
"""Uses a program in several ways; yields each in words, and what came of it."""


def make_scene(folder: Path) -> Scene:
    house = Household(folder / "home")
    make_library(house.photos)
    house.scan()
    house.run("rename", "p1", "Anna")
    link = min((house.people / "Anna").glob("*.jpg"))
    return Scene(house.home, str(link.relative_to(house.people)), link.read_bytes())


# --- copying ---


def cp(scene: Scene) -> Iterator[tuple[str, str]]:
    for options in ("-a", "-r", "-rL"):
        out = scene.room(f"cp{options}")
        scene.run("cp", options, "People", out)
        yield f"`cp {options} People`", scene.came(out / "People")


def rsync(scene: Scene) -> Iterator[tuple[str, str]]:
    for options, what in (("-a", ""), ("-a", "People"), ("-aL", "People")):
        out = scene.room(f"rsync{options}{what}")
        scene.run("rsync", options, f"{scene.home}/{what}", out)
        yield f"`rsync {options}` of {what or 'the folder above photos and people'}", scene.came(out / "People")


def rclone(scene: Scene) -> Iterator[tuple[str, str]]:
    for flag in ("", "-L", "--links"):
        out = scene.room(f"rclone{flag}")
        code = scene.run("rclone", "copy", *filter(None, [flag]), "People", out)
        yield f"`rclone copy {flag}`".replace(" `", "`"), f"{scene.came(out)} (exit {code})"
    out = scene.room("rclone-changed")
    scene.run("rclone", "sync", "-L", "People", out)
    code = scene.run("rclone", "sync", "--links", "People", out)
    yield "`rclone sync --links` over a copy made with `-L`", f"{scene.came(out)} (exit {code})"


# --- archives and backups ---


def tar(scene: Scene) -> Iterator[tuple[str, str]]:
    for options in ("", "-h"):
        out = scene.room(f"tar{options}")
        scene.run("tar", "-c", *filter(None, [options]), "-f", out / "a.tar", "People")
        scene.run("tar", "-xf", "a.tar", cwd=out)
        yield f"`tar -c {options}`".replace(" `", "`"), scene.came(out / "People")


def zip_(scene: Scene) -> Iterator[tuple[str, str]]:
    for options in ("-r", "-ry"):
        out = scene.room(f"zip{options}")
        scene.run("zip", "-q", options, out / "a.zip", "People")
        scene.run("unzip", "-q", "a.zip", cwd=out)
        yield f"`zip {options}`, then `unzip`", scene.came(out / "People")


def seven_zip(scene: Scene) -> Iterator[tuple[str, str]]:
    out = scene.room("7z")
    scene.run("7z", "a", out / "a.7z", "People")
    code = scene.run("7z", "x", "a.7z", cwd=out)
    yield "`7z a`, then `7z x`", f"{scene.came(out / 'People')} (exit {code})"


def restic(scene: Scene) -> Iterator[tuple[str, str]]:
    out = scene.room("restic")
    scene.run("restic", "-r", out / "repo", "init")
    scene.run("restic", "-r", out / "repo", "backup", "People")
    scene.run("restic", "-r", out / "repo", "restore", "latest", "--target", out / "back")
    yield "`restic backup`, then `restore`", scene.came(next(out.glob("back/**/People"), out))


def borg(scene: Scene) -> Iterator[tuple[str, str]]:
    out = scene.room("borg")
    scene.run("borg", "init", "-e", "none", out / "repo")
    scene.run("borg", "create", f"{out}/repo::a", "People")
    scene.run("borg", "extract", f"{out}/repo::a", cwd=out)
    yield "`borg create`, then `extract`", scene.came(out / "People")


# --- sharing ---


@contextlib.contextmanager
def serving(command: Sequence[str | Path], port: int, home: Path) -> Iterator[None]:
    """Run a server until the body ends, which begins when it answers."""
    with (home.parent / "servers.log").open("ab") as log:
        # smbd ends its whole process group with itself.
        server = subprocess.Popen(
            list(map(str, command)), env=clean_environment(home), stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + STARTED_SECONDS
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > until:
                raise click.ClickException(f"{command[0]} does not answer; see {home.parent}/servers.log")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def samba(scene: Scene) -> Iterator[tuple[str, str]]:
    out, port = scene.room("samba"), free_port()
    settings = out / "smb.conf"
    shares = {
        "people": ("People", ""),
        "all": ("", ""),
        "wide": ("People", "follow symlinks = yes\nwide links = yes\n"),
    }
    text = "".join(
        f"[{name}]\npath = {scene.home}/{path}\nguest ok = yes\nread only = no\nforce user = root\n{more}"
        for name, (path, more) in shares.items()
    )
    places = "".join(f"{kind} = {out}\n" for kind in ("lock directory", "state directory", "cache directory",
                     "pid directory", "private dir", "ncalrpc dir"))  # fmt: skip
    settings.write_text(
        f"[global]\nsmb ports = {port}\ninterfaces = 127.0.0.1\nbind interfaces only = yes\nmap to guest = Bad User\n"
        f"guest account = root\ndisable netbios = yes\nallow insecure wide links = yes\n{places}{text}"
    )
    folder, name = os.path.split(scene.link)
    with serving(["smbd", "--foreground", "--no-process-group", f"--configfile={settings}"], port, scene.home):
        for share, prefix, way in (
            ("people", "", "a share of the people folder"),
            ("all", "People/", "a share of the folder above photos and people"),
            ("wide", "", "a share of the people folder with `wide links = yes`, `allow insecure wide links = yes`"),
        ):
            got = out / share / folder
            got.mkdir(parents=True)
            ask = f'cd "{prefix}{folder}"; lcd "{got}"; get "{name}"'
            scene.run("smbclient", f"//127.0.0.1/{share}", "-p", str(port), "-N", "-c", ask)
            yield way, scene.came(out / share)
        (out / name).write_bytes(b"another picture")
        save = f'cd "People/{folder}"; lcd "{out}"; put "{name}"'
        scene.run("smbclient", "//127.0.0.1/all", "-p", str(port), "-N", "-c", save)
        yield "a share that may be written: somebody saves over a link", scene.is_kept()


def nginx(scene: Scene) -> Iterator[tuple[str, str]]:
    out, port = scene.room("nginx"), free_port()
    places = "".join(f"{one}_temp_path {out}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    for number, (option, way) in enumerate((("off", "a folder that is served"), ("on", "`disable_symlinks on`"))):
        port = free_port()
        settings = out / f"{number}.conf"
        settings.write_text(
            f"daemon off; pid {out}/pid; user root; events {{}} http {{ access_log off; {places}"
            f" server {{ listen 127.0.0.1:{port}; root {scene.home}/People; disable_symlinks {option}; }} }}"
        )
        with serving(["nginx", "-c", settings, "-e", out / "log"], port, scene.home):
            yield way, _fetched(scene, f"http://127.0.0.1:{port}/{scene.link}")


def _fetched(scene: Scene, url: str) -> str:
    try:
        with urllib.request.urlopen(url.replace(" ", "%20"), timeout=10) as answer:
            return "the photo" if answer.read() == scene.photo else "something else"
    except urllib.error.HTTPError as error:
        return f"an error ({error.code})"


def minidlna(scene: Scene) -> Iterator[tuple[str, str]]:
    ways = (
        ("People", "no", "`media_dir` is the people folder"),
        ("People", "yes", "the same with `wide_links=yes`"),
        ("", "no", "`media_dir` is the folder above photos and people"),
    )
    for number, (path, is_wide, way) in enumerate(ways):
        out, port = scene.room(f"minidlna{number}"), free_port()
        settings = out / "conf"
        settings.write_text(
            f"port={port}\nmedia_dir=P,{scene.home}/{path}\ndb_dir={out}\nlog_dir={out}\ninotify=no\nuser=root\n"
            f"wide_links={is_wide}\n"
        )
        with serving(["minidlnad", "-S", "-f", settings, "-P", out / "pid"], port, scene.home):
            yield way, _in_catalog_of_minidlna(scene, out / "files.db", port)


def _in_catalog_of_minidlna(scene: Scene, database: Path, port: int) -> str:
    """Return whether it lists the link, and what it sends for it."""
    place = f"%/{Path(scene.link).name}"
    until = time.monotonic() + STARTED_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as db:
            query = "SELECT ID FROM DETAILS WHERE PATH LIKE ? AND PATH LIKE '%/People/%'"
            for (number,) in db.execute(query, [place]):
                return f"listed, and then {_fetched(scene, f'http://127.0.0.1:{port}/MediaItems/{number}.jpg')}"
        time.sleep(0.2)
    return "not listed"


# --- file managers ---


def gio(scene: Scene) -> Iterator[tuple[str, str]]:
    for options in ((), ("-P",)):
        out = scene.room("gio" + "".join(options))
        (out / "People" / Path(scene.link).parent).mkdir(parents=True)
        scene.run("gio", "copy", *options, f"People/{scene.link}", out / "People" / scene.link)
        yield " ".join(("`gio copy", *options)) + "`, as GNOME's file manager copies", scene.came(out / "People")


PROGRAMS: dict[str, tuple[Way, tuple[str, ...]]] = {
    "cp": (cp, ("cp", "--version")),
    "rsync": (rsync, ("rsync", "--version")),
    "rclone": (rclone, ("rclone", "--version")),
    "tar": (tar, ("tar", "--version")),
    "zip": (zip_, ("zip", "-v")),
    "7z": (seven_zip, ("7z", "i")),
    "restic": (restic, ("restic", "version")),
    "borg": (borg, ("borg", "--version")),
    "smbd": (samba, ("smbd", "--version")),
    "nginx": (nginx, ("nginx", "-v")),
    "minidlnad": (minidlna, ("minidlnad", "-V")),
    "gio": (gio, ("gio", "version")),
}


def try_programs(folder: Path) -> Iterator[Tried]:
    """Yield what the programs that are here make of the links."""
    scene = make_scene(folder)
    for program, (way, version) in PROGRAMS.items():
        if shutil.which(program) is None:
            yield Tried(program, "", "", "not tried: it is not installed")
            continue
        for words, came in way(scene):
            yield Tried(program, _version(version), words, came)


def _version(command: Sequence[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[\w.]*", said.stdout + said.stderr)
    return found.group() if found else ""
