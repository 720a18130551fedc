"""The main job as a user meets it: the real program, real models, real photos, real links."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browsers import opened
from playwright.sync_api import Browser, expect
from test_engine_standard import overlap

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60.0
"""How long to wait for another process; the promise is shorter (10 s), but machines that run tests are busy."""


class Place:
    """A folder with a library, driven by the real command line."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.photos, self.people, self.catalog = base / "Photos", base / "People", base / "data" / "catalog.sqlite"
        self.photos.mkdir(parents=True, exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        return [
            *(sys.executable, "-P", "-m", "facewatch", *arguments),
            *("--catalog", str(self.catalog), "--people", str(self.people)),
        ]

    def run(self, *arguments: str) -> str:
        """Run a command, which must succeed, and return what it printed."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def links(self) -> dict[str, str]:
        """Return where each link of the people folder leads."""
        return {
            str(link.relative_to(self.people)): str(link.resolve())
            for link in sorted(self.people.rglob("*"))
            if link.is_symlink()
        }

    def groups(self) -> list[set[str]]:
        """Return the names of the photos in each folder."""
        by_folder: dict[str, set[str]] = defaultdict(set)
        for link, photo in self.links().items():
            by_folder[str(Path(link).parent)].add(Path(photo).name)
        return sorted(by_folder.values(), key=sorted)


@pytest.fixture(scope="module")
def album(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The whole labelled album, scanned once where it lies; it is never written to."""
    place = Place(tmp_path_factory.mktemp("album"))
    place.run("scan", str(shared / "photos" / "album"), "--quiet")
    return place


def labelled_faces(place: Place, shared: Path) -> Iterator[tuple[str, str]]:
    """Yield (true person, person id or "") for every labelled face of the album that was detected."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in csv.DictReader(place.run("export", "--csv").splitlines()):
        found[row["path"]].append(row)
    with (shared / "photos" / "labels.csv").open() as file:
        labels = [row for row in csv.DictReader(file) if row["path"].startswith("album/") and row["person"]]
    for label in labels:
        box = tuple(float(label[key]) for key in "xywh")
        for row in found[str(shared / "photos" / label["path"])]:
            if overlap(box, tuple(float(row[key]) for key in "xywh")) >= 0.4:
                yield label["person"], row["person_id"]


def test_no_folder_mixes_two_people_and_most_faces_are_in_their_own(album: Place, shared: Path) -> None:
    faces = list(labelled_faces(album, shared))
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for person, folder in faces:
        if folder:
            folders[folder][person] += 1
    assert {folder: dict(people) for folder, people in folders.items() if len(people) > 1} == {}
    assert len(faces) >= 260  # of 277
    assert sum(map(Counter.total, folders.values())) > 0.8 * len(faces)


def test_every_link_opens_a_photo_of_the_library(album: Place, shared: Path) -> None:
    links = album.links()
    assert len(links) >= 150
    for photo in links.values():
        assert Path(photo).is_relative_to((shared / "photos" / "album").resolve())
        assert Path(photo).is_file()


def test_people_and_why_agree_with_the_folders(album: Place) -> None:
    [person, *_] = json.loads(album.run("people", "--json"))
    folder = Path(person["folder"])
    photos = list(folder.iterdir())
    assert len(photos) == person["photos"]
    faces = json.loads(album.run("why", str(photos[0]), "--json"))["faces"]
    assert person["name"] in {face["name"] for face in faces}


def test_a_second_scan_of_the_album_decodes_nothing(album: Place, shared: Path) -> None:
    result = json.loads(album.run("scan", str(shared / "photos" / "album"), "--json"))
    assert (result["n_files"], result["n_new"], result["n_known"], result["n_links_made"]) == (232, 0, 0, 0)


ODD = ("derived", "corrupt", "metadata", "orientation/immich_face_portrait_o6.jpg", "formats/alpha.heic", "raw")


def test_odd_photos_get_a_right_answer_or_a_clear_reason_and_none_is_touched(
    shared: Path, odd_answers: dict[str, set[str]], tmp_path: Path
) -> None:
    place = Place(tmp_path)
    for name in ODD:
        source, target = shared / "photos" / "odd" / name, place.photos / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    before = state_of(place.photos)
    for path in place.photos.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    result = json.loads(place.run("scan", str(place.photos), "--json"))
    assert state_of(place.photos) == before
    status = json.loads(place.run("status", "--json"))
    faulty = {str(Path(fault["path"]).relative_to(place.photos)): fault for fault in status["faults"]}
    assert len(faulty) == result["n_faulty"]
    for path in [path for path in odd_answers if (place.photos / path).is_file()]:
        if odd_answers[path] == {"ok"}:
            assert path not in faulty
        if odd_answers[path] <= {"error", "unsupported"}:
            assert faulty[path]["fault"]
            assert faulty[path]["advice"]
    # The same face in many formats and orientations is one person.
    everybody = json.loads(place.run("people", "--json"))
    assert everybody[0]["photos"] >= 25
    again = json.loads(place.run("scan", str(place.photos), "--json"))
    assert (again["n_new"], again["n_faulty"]) == (0, 0)


def state_of(root: Path) -> dict[str, tuple[int, str]]:
    """Return time and checksum of every file."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


class Watcher:
    """`facewatch watch` in a process of its own."""

    def __init__(self, place: Place, *options: str) -> None:
        self.place = place
        self.log = place.base / "watch.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(place.command("watch", str(place.photos), *options), stderr=log)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def until(self, is_so: Callable[[], Any], what: str) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}\n{self.log.read_text()}"
            time.sleep(0.05)

    def until_groups(self, *groups: set[str]) -> None:
        wanted = sorted(groups, key=sorted)
        self.until(lambda: self.place.groups() == wanted, f"{wanted}, but {self.place.groups()}")


DADS = {f"Family1-Dad{i}.jpg" for i in (1, 2, 3)}
MOMS = {f"Family1-Mom{i}.jpg" for i in (1, 2, 3)}


def test_an_open_page_of_the_watcher_shows_who_is_on_photos_that_come(
    shared: Path, tmp_path: Path, browser: Browser
) -> None:
    family, place = shared / "photos" / "album" / "family", Place(tmp_path)
    with Watcher(place, "--web") as watcher:
        watcher.until(lambda: "the page is at" in watcher.log.read_text(), "the page")
        url = watcher.log.read_text().split("the page is at ")[1].split()[0]
        with opened(browser, url) as page:
            for name in DADS:
                shutil.copy(family / name, place.photos)
            watcher.until_groups(DADS)
            expect(page.locator(".tile")).to_have_count(1)
            expect(page.locator(".tile")).to_contain_text("3 photos")
        assert watcher.end(signal.SIGTERM) == 0


def test_the_watcher_keeps_the_folders_right_through_everything(shared: Path, tmp_path: Path) -> None:
    family, place = shared / "photos" / "album" / "family", Place(tmp_path)
    with Watcher(place) as watcher:
        watcher.until(lambda: "watching" in watcher.log.read_text(), "the start")
        for name in DADS | MOMS - {"Family1-Mom3.jpg"}:
            shutil.copy(family / name, place.photos)
        watcher.until_groups(DADS, MOMS - {"Family1-Mom3.jpg"})

        # A photo that arrives slowly is not read before it is whole.
        data = (family / "Family1-Mom3.jpg").read_bytes()
        with (place.photos / "Family1-Mom3.jpg").open("wb") as file:
            for start in range(0, len(data), len(data) // 8 + 1):
                file.write(data[start : start + len(data) // 8 + 1])
                file.flush()
                time.sleep(0.4)
        watcher.until_groups(DADS, MOMS)
        assert "truncated" not in watcher.log.read_text()

        (place.photos / "sub").mkdir()
        (place.photos / "Family1-Dad1.jpg").rename(place.photos / "sub" / "moved.jpg")
        moved = DADS - {"Family1-Dad1.jpg"} | {"moved.jpg"}
        watcher.until_groups(moved, MOMS)

        (place.photos / "Family1-Mom1.jpg").unlink()
        watcher.until_groups(moved, MOMS - {"Family1-Mom1.jpg"})

        dad = json.loads(place.run("why", str(place.photos / "sub" / "moved.jpg"), "--json"))["faces"][0]
        place.run("rename", str(dad["person_id"]), "Dad")
        assert {Path(link).name for link in place.links() if link.startswith("Dad/")} == moved

        # Killed in the middle of new work, and started again.
        shutil.copy(family / "Family1-Mom1.jpg", place.photos / "again.jpg")
        shutil.copy(family / "Family1-Son1.jpg", place.photos)
        time.sleep(1.0)
        assert watcher.end(signal.SIGKILL) == -signal.SIGKILL
    shutil.copy(family / "Family1-Son2.jpg", place.photos)
    with Watcher(place) as watcher:
        sons = {"Family1-Son1.jpg", "Family1-Son2.jpg"}
        watcher.until_groups(moved, MOMS - {"Family1-Mom1.jpg"} | {"again.jpg"}, sons)
        assert any(link.startswith("Dad/") for link in place.links())
        assert watcher.end(signal.SIGTERM) == 0
    assert "Traceback" not in watcher.log.read_text()


@pytest.mark.parametrize("delay", [0.5, 1.5, 2.5, 3.5])
def test_a_killed_scan_leaves_no_workers_and_carries_on(shared: Path, tmp_path: Path, delay: float) -> None:
    place = Place(tmp_path)
    for name in DADS | MOMS:
        shutil.copy(shared / "photos" / "album" / "family" / name, place.photos)
    process = subprocess.Popen(place.command("scan", str(place.photos)), start_new_session=True)
    time.sleep(delay)
    process.kill()
    process.wait()
    place.run("scan", str(place.photos))
    assert place.groups() == sorted([DADS, MOMS], key=sorted)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while members_of_session(process.pid):
        assert time.monotonic() < deadline, "workers outlived their killed parent"
        time.sleep(0.05)


def members_of_session(session: int) -> list[int]:
    """Return the living processes that a killed one, the head of a session, left behind."""
    import psutil

    def is_member(pid: int) -> bool:
        try:
            return os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    return [pid for pid in psutil.pids() if is_member(pid)]


def test_ctrl_c_ends_a_scan_with_a_word_and_its_exit_code(shared: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    command = place.command("scan", str(shared / "photos" / "album" / "matches"), "-v")
    # Whoever runs the tests in the background of a script has Ctrl-C ignored, and so would the program.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=hear)
    assert process.stderr
    process.stderr.readline()  # the first photo is done
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert error.splitlines()[-1].startswith("facewatch: stopped; what was done so far stands")
    assert "Traceback" not in error
    assert json.loads(place.run("status", "--json"))["n_photos"] >= 1


def two_people(shared: Path) -> tuple[list[str], list[str]]:
    """Return the names of eight photos of each of two people in album/matches."""
    with (shared / "photos/labels.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith("album/matches/") and row["person"]]
    by_person: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_person[row["person"]].append(Path(row["path"]).name)
    first, second = list(by_person.values())[:2]
    return first[:8], second[:8]


def decided(place: Place, shared: Path) -> Place:
    """Scan photos of two people in standard mode, name both, and put a photo of the second with the first by hand."""
    for name in (name for names in two_people(shared) for name in names):
        shutil.copy(shared / "photos/album/matches" / name, place.photos)
    place.run("scan", str(place.photos))
    anna, ben = json.loads(place.run("people", "--json"))[:2]
    place.run("rename", str(anna["id"]), "Anna")
    place.run("rename", str(ben["id"]), "Ben")
    wrong = max(path for path in place.links() if path.startswith("Ben/"))
    number = next(
        i
        for i, face in enumerate(json.loads(place.run("why", str(place.people / wrong), "--json"))["faces"], 1)
        if face["name"] == "Ben"
    )
    place.run("assign", f"{place.people / wrong}:{number}", "Anna")
    return place


@pytest.mark.parametrize("killed_after", [None, 4])
def test_another_engine_takes_over_people_names_folders_and_corrections(
    shared: Path, tmp_path: Path, killed_after: int | None
) -> None:
    place = decided(Place(tmp_path), shared)
    before, people = place.links(), json.loads(place.run("people", "--json"))
    engine = f"insightface:{shared / 'models/buffalo_sc_dq'}"
    if killed_after is not None:
        kill_during_the_change(place, engine, killed_after)
        assert place.links() == before
        assert json.loads(place.run("status", "--json"))["engine"] == "face_recognition"
    place.run("scan", str(place.photos), "--engine", engine)
    after = place.links()
    assert json.loads(place.run("status", "--json"))["engine"] == engine
    assert before.items() <= after.items()
    still = {person["id"]: person["name"] for person in json.loads(place.run("people", "--json"))}
    assert all(still[person["id"]] == person["name"] for person in people)
    place.run("scan")
    assert place.links() == after


def kill_during_the_change(place: Place, engine: str, n_photos: int) -> None:
    """Kill a scan with another engine when it has analysed so many photos."""
    process = subprocess.Popen(
        place.command("-v", "scan", str(place.photos), "--engine", engine, "--config", str(one_worker(place))),
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stderr is not None
    seen = 0
    for line in process.stderr:
        seen += "face(s)" in line
        if seen == n_photos:
            process.kill()
            break
    process.stderr.close()
    process.wait()
    wait_until_nobody_is_left(process.pid)


def one_worker(place: Place) -> Path:
    file = place.base / "one-worker.toml"
    file.write_text("[engine]\nworkers = 1\n")
    return file


def wait_until_nobody_is_left(session: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while members_of_session(session):
        assert time.monotonic() < deadline, "workers outlived their scan"
        time.sleep(0.05)
