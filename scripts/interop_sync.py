"""The part "sync" of scripts/interop: a people folder that a program keeps alike on two machines, facewatch on one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import click

# Python -P leaves out even the script's own folder.
sys.path.append(str(Path(__file__).resolve().parent))

from bench_kit import Household, clean_environment, run_quietly
from interop_links import STARTED_SECONDS, free_port

from facewatch.cli.init import make_library

STILL_SECONDS = 5.0
"""Longer than facewatch and what synchronises wait until nothing happens."""
ENDED_SECONDS = 90.0
KEY = "facewatch"


@dataclass(frozen=True, slots=True)
class Step:
    """What was tried, and what has become of it."""

    program: str
    what: str
    is_so: bool
    seen: str


class Syncer(Protocol):
    """What keeps two homes alike."""

    version: str

    def sync(self) -> None:
        """Bring all changes over, or have that done by itself."""
        ...

    def apart(self) -> AbstractContextManager[None]:
        """Nothing is brought over until the body ends."""
        ...


Started = Callable[[Path, list[Path]], AbstractContextManager[Syncer]]
"""Starts one for two homes; ends it, and only it, when the body ends."""


# --- Syncthing ---


@dataclass(eq=False)
class Peer:
    """A Syncthing that speaks with nobody but the other, on loopback."""

    home: Path
    """Whose Photos and People it brings over."""
    settings: Path
    port: int = field(default_factory=free_port)
    page: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def make_id(self) -> str:
        run_quietly(["syncthing", "generate", f"--home={self.settings}", "--no-default-folder"], self.home)
        said = run_quietly(["syncthing", f"--home={self.settings}", "--device-id"], self.home)
        return said.decode().strip()

    def write_settings(self, ids: dict[Peer, str]) -> None:
        devices = "".join(
            f'<device id="{name}" name="{name[:5]}"><address>tcp://127.0.0.1:{peer.port}</address></device>'
            for peer, name in ids.items()
        )
        shared = "".join(f'<device id="{name}"/>' for name in ids.values())
        folders = "".join(
            f'<folder id="{name}" path="{self.home}/{name}" type="sendreceive" rescanIntervalS="0"'
            f' fsWatcherEnabled="true" fsWatcherDelayS="1">{shared}<filesystemType>basic</filesystemType></folder>'
            for name in ("Photos", "People")
        )
        off = ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "startBrowser",
               "crashReportingEnabled", "announceLANAddresses")  # fmt: skip
        options = "".join(f"<{name}>false</{name}>" for name in off)
        (self.settings / "config.xml").write_text(
            f'<configuration version="36">{folders}{devices}<gui enabled="true" tls="false">'
            f"<address>127.0.0.1:{self.page}</address><apikey>{KEY}</apikey></gui>"
            f"<options><listenAddress>tcp://127.0.0.1:{self.port}</listenAddress>{options}"
            "<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>"
            "<reconnectionIntervalS>1</reconnectionIntervalS><stunKeepaliveStartS>0</stunKeepaliveStartS>"
            "</options></configuration>"
        )

    def start(self) -> None:
        with (self.settings / "log.txt").open("ab") as log:
            command = ["syncthing", "serve", f"--home={self.settings}", "--no-browser", "--no-restart", "--no-upgrade"]
            environment = clean_environment(self.settings) | {"STNODEFAULTFOLDER": "1", "STNOUPGRADE": "1"}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + STARTED_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise click.ClickException(f"Syncthing does not answer; see {self.settings}/log.txt")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("system/ping"))
        except OSError:
            return False

    def ask(self, what: str, *, post: bool = False) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.page}/rest/{what}", b"" if post else None, {"X-API-Key": KEY}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = answer.read()
        return json.loads(said) if said else None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    @property
    def is_still(self) -> bool:
        states = [self.ask(f"db/status?folder={name}") for name in ("Photos", "People")]
        return all(state["state"] == "idle" and not state["needTotalItems"] for state in states)


@dataclass(eq=False)
class Syncthing:
    """Two of them, each with a home of its own."""

    peers: list[Peer]
    version: str

    def sync(self) -> None:
        for peer in self.peers:
            peer.ask("db/scan", post=True)
        time.sleep(1)
        until = time.monotonic() + ENDED_SECONDS
        while not all(peer.is_still for peer in self.peers) and time.monotonic() < until:
            time.sleep(0.2)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        for peer in self.peers:
            peer.stop()
        yield
        for peer in self.peers:
            peer.start()
        until = time.monotonic() + STARTED_SECONDS
        while time.monotonic() < until and not self._is_connected():
            time.sleep(0.2)

    def _is_connected(self) -> bool:
        return all(
            any(one["connected"] for one in peer.ask("system/connections")["connections"].values())
            for peer in self.peers
        )


@contextlib.contextmanager
def syncthing(folder: Path, homes: list[Path]) -> Iterator[Syncthing]:
    peers = [Peer(home, folder / f"syncthing-{home.name}") for home in homes]
    ids = {peer: peer.make_id() for peer in peers}
    for peer in peers:
        peer.write_settings(ids)
    said = subprocess.run(["syncthing", "--version"], capture_output=True, text=True).stdout
    both = Syncthing(peers, version_in(said))
    try:
        with both.apart():
            pass
        yield both
    finally:
        for peer in peers:
            peer.stop()


def version_in(said: str) -> str:
    found = re.search(r"\d+\.\d+[\w.]*", said)
    return found.group() if found else ""


# --- Unison ---


@dataclass(eq=False)
class Unison:
    """Brings over when it is called."""

    homes: list[Path]
    settings: Path
    version: str

    def sync(self) -> None:
        environment = clean_environment(self.settings) | {"UNISON": str(self.settings)}
        command = ["unison", "-batch", "-ui", "text", "-times", *map(str, self.homes), "-path", "Photos", "-path",
                   "People"]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        with (self.settings / "log.txt").open("a") as log:
            log.write(f"{done.returncode}\n{done.stdout}{done.stderr}\n")

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def unison(folder: Path, homes: list[Path]) -> Iterator[Unison]:
    settings = folder / "unison"
    settings.mkdir()
    said = subprocess.run(["unison", "-version"], capture_output=True, text=True).stdout
    yield Unison(homes, settings, version_in(said))


# --- what is tried ---


@dataclass(eq=False)
class Scene:
    """Machine 1, on which facewatch watches, and machine 2, where somebody edits what is brought there."""

    house: Household
    people: Path
    """On machine 2."""
    syncer: Syncer
    originals: dict[str, str]

    def settle(self) -> None:
        """Wait until both folders are the same, and stay it."""
        until, before = time.monotonic() + ENDED_SECONDS, None
        while time.monotonic() < until:
            self.syncer.sync()
            time.sleep(STILL_SECONDS)
            now = (tree(self.house.people), tree(self.people), self.names())
            if now == before and now[0] == now[1]:
                return
            before = now

    def link(self, who: str) -> Path:
        """Return the first link of somebody, below the people folder."""
        return min(path.relative_to(self.people) for path in (self.people / who).iterdir() if path.is_symlink())

    def names(self) -> dict[str, int]:
        """Return on how many photos who has a name is."""
        people = json.loads(self.house.run("people", "--json"))
        return {one["name"]: one["photos"] for one in people if one["is_named"] and not one["is_hidden"]}

    def faults(self) -> list[str]:
        """Return what is not as it should be, whatever was done."""
        said = json.loads(self.house.run("folders", "--dry-run", "--json"))
        is_settled = not said["steps"] and not any(one["conclusions"] for one in said["changes"])
        return [
            *([] if is_settled else ["`folders --dry-run` has more to do"]),
            *([] if tree(self.house.people) == tree(self.people) else ["the folders differ"]),
            *([] if hashes(self.house.photos) == self.originals else ["AN ORIGINAL IS NOT AS IT WAS"]),
        ]


def tree(people: Path) -> dict[str, str]:
    """Return what stands in a people folder and is not hidden."""
    found = {path.relative_to(people): path for path in people.rglob("*") if path.is_symlink() or path.is_file()}
    return {
        str(name): str(path.readlink()) if path.is_symlink() else "file"
        for name, path in found.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def hashes(photos: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in photos.rglob("*")
        if path.is_file() and not path.is_relative_to(photos / ".stfolder")
    }


def rename_folder(scene: Scene) -> None:
    (scene.people / "Anna").rename(scene.people / "Johanna")


def move_link(scene: Scene) -> None:
    link = scene.people / scene.link("Johanna")
    link.rename(scene.people / "Ben" / link.name)


def delete_link(scene: Scene) -> None:
    (scene.people / scene.link("Johanna")).unlink()


def swap_folders(scene: Scene) -> None:
    people = scene.people
    for old, new in (("Ben", "new folder"), ("Hal", "Ben"), ("new folder", "Hal")):
        (people / old).rename(people / new)


def rename_on_both(scene: Scene) -> None:
    with scene.syncer.apart():
        scene.house.run("rename", "Johanna", "Ada")
        (scene.people / "Johanna").rename(scene.people / "Eva")


def move_and_delete(scene: Scene) -> None:
    link = scene.link("Ada")
    with scene.syncer.apart():
        (scene.house.people / link).rename(scene.house.people / "Ben" / link.name)
        (scene.people / link).unlink()
        time.sleep(STILL_SECONDS)


def delete_folder(scene: Scene) -> None:
    shutil.rmtree(scene.people / "Hal")


STEPS: tuple[tuple[str, Callable[[Scene], None], dict[str, int]], ...] = (
    ("2 renames Anna's folder: Johanna", rename_folder, {"Johanna": 8, "Hal": 8, "Ben": 3}),
    ("2 moves a link from Johanna to Ben", move_link, {"Johanna": 7, "Hal": 8, "Ben": 4}),
    ("2 deletes a link of Johanna's", delete_link, {"Johanna": 6, "Hal": 8, "Ben": 4}),
    ("2 swaps the names of the folders Ben and Hal", swap_folders, {"Johanna": 6, "Hal": 4, "Ben": 8}),
    ("1 calls Johanna Ada, 2 her folder Eva, at once", rename_on_both, {"Ada": 6, "Hal": 4, "Ben": 8}),
    ("1 moves a link from Ada to Ben, 2 deletes it, at once", move_and_delete, {"Ada": 5, "Hal": 4, "Ben": 9}),
    ("2 deletes the folder of Hal", delete_folder, {"Ada": 5, "Ben": 9}),
)
"""What is done, and on how many photos who has a name is then."""


def try_syncing(folder: Path) -> Iterator[Step]:
    """Yield what comes of edits that the programs that are here bring over."""
    ways: dict[str, Started] = {"syncthing": syncthing, "unison": unison}
    for program, started in ways.items():
        if shutil.which(program) is None:
            yield Step(program, "not tried: it is not installed", True, "")
            continue
        (folder / program).mkdir()
        yield from _try(folder / program, program, started)


def _try(folder: Path, program: str, started: Started) -> Iterator[Step]:
    house, people = make_house(folder / "one"), folder / "two" / "People"
    for other in (people, people.parent / "Photos"):
        other.mkdir(parents=True)
    with watching(house), started(folder, [house.home, people.parent]) as syncer:
        scene = Scene(house, people, syncer, hashes(house.photos))
        scene.settle()
        for what, act, wanted in STEPS:
            act(scene)
            scene.settle()
            names, faults = scene.names(), scene.faults()
            seen = ", ".join((*(f"{name} {n}" for name, n in sorted(names.items())), *faults))
            yield Step(f"{program} {syncer.version}", what, names == wanted and not faults, seen)


def make_house(home: Path) -> Household:
    house = Household(home)
    make_library(house.photos)
    house.scan()
    for person, name in (("p1", "Anna"), ("p8", "Hal"), ("p2", "Ben")):
        house.run("rename", person, name)
    return house


@contextlib.contextmanager
def watching(house: Household) -> Iterator[None]:
    watch = house.start("watch", str(house.photos))
    try:
        yield
    finally:
        watch.terminate()
        watch.wait()
