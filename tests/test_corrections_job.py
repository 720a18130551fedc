"""Decisions that hold, as a user meets them: the real program on real photos, whatever happens to those."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from test_main_job import Place, two_people

from facewatch.cli import main

pytestmark = pytest.mark.slow

STANDARD = "face_recognition"


def asked(place: Place, *question: str) -> Any:
    """Return what a command that changes nothing says; in this process, because a story asks after every photo."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*question, "--json", "--catalog", str(place.catalog), "--people", str(place.people)]) == 0
    return json.loads(out.getvalue())


class Story:
    """What the program says about its people, by names of photos, so that photos may move."""

    def __init__(self, place: Place) -> None:
        self.folders: dict[str, set[str]] = defaultdict(set)
        for link, photo in place.links().items():
            self.folders[str(Path(link).parent)].add(Path(photo).name)
        self.history = [entry["text"] for entry in asked(place, "history")]
        self.faces = {
            (photo.name, face["number"]): (face["name"], face["verdict"], face["source"] == "user")
            for photo in sorted(place.photos.rglob("*.jpg"))
            for face in asked(place, "why", str(photo))["faces"]
        }

    def decided(self) -> dict[tuple[str, int], Any]:
        """Return what a user said of faces: whose they are, or that they are nobody's."""
        return {
            face: (name, verdict)
            for face, (name, verdict, is_users) in self.faces.items()
            if is_users or verdict in ("nobody by user", "not a face")
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Story) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def place(shared: Path, tmp_path: Path) -> Place:
    """Eight photos of each of two people, and a family."""
    place = Place(tmp_path)
    for name in (name for names in two_people(shared) for name in names):
        shutil.copy(shared / "photos/album/matches" / name, place.photos)
    for name in ("Dad1", "Dad2", "Dad3", "Mom1", "Mom2", "Mom3", "Son1", "Son2"):
        shutil.copy(shared / f"photos/album/family/Family1-{name}.jpg", place.photos)
    place.run("scan", str(place.photos))
    return place


def face_of(place: Place, folder: str, *, last: bool = False) -> str:
    """Return a face of a person, as a user names it: the photo's link, and its number from the left."""
    links = [link for link in place.links() if link.startswith(f"{folder}/")]
    link = place.people / (links[-1] if last else links[0])
    person = Path(folder).name
    faces = asked(place, "why", str(link))["faces"]
    number = next(face["number"] for face in faces if face["name"] == person)
    return f"{link.resolve()}:{number}"


def test_name_reject_merge_split_rescan_switch_move_and_restore_tell_one_story(place: Place, shared: Path) -> None:
    people = json.loads(place.run("people", "--json"))
    anna, ben, *others = [person["id"] for person in people]
    place.run("rename", str(anna), "Anna")
    place.run("rename", str(ben), "Ben")
    rejected = face_of(place, "Anna")
    place.run("reject", rejected)
    ignored = face_of(place, "Anna", last=True)
    place.run("ignore", ignored)
    place.run("confirm", face_of(place, "Ben"))
    mistaken = face_of(place, "Ben", last=True)
    place.run("assign", mistaken, "Anna")
    place.run("merge", "Ben", str(others[0]))
    n_before = len(Story(place).folders["Ben"])
    split = json.loads(place.run("split", "Ben", "--into", "2", "--yes", "--json"))
    assert split
    told = Story(place)
    assert 0 < len(told.folders["Ben"]) < n_before
    assert Path(rejected.rpartition(":")[0]).name not in told.folders["Anna"]
    assert Path(mistaken.rpartition(":")[0]).name in told.folders["Anna"]

    place.run("scan", "--quiet")
    assert Story(place) == told

    place.run("undo", "2")  # the split and the merge
    assert Story(place) != told
    place.run("redo")
    assert Story(place) == told

    backup = place.catalog.with_name("backup.sqlite")
    with sqlite3.connect(place.catalog) as db:
        db.execute("VACUUM INTO ?", [str(backup)])
    db.close()

    elsewhere = place.photos / "sorted"
    elsewhere.mkdir()
    for photo in sorted(place.photos.glob("*.jpg"))[::2]:
        photo.rename(elsewhere / photo.name)
    place.run("scan", "--quiet")
    assert Story(place) == told

    engine = f"insightface:{shared / 'models/buffalo_sc_dq'}"
    place.run("scan", "--quiet", "--engine", engine)
    assert json.loads(place.run("status", "--json"))["engine"] == engine
    switched = Story(place)
    assert switched.history == told.history
    assert len(switched.decided()) == len(told.decided())  # numbers from the left may differ: it sees more faces
    assert {folder: photos for folder, photos in told.folders.items() if not photos <= switched.folders[folder]} == {}
    assert Path(rejected.rpartition(":")[0]).name not in switched.folders["Anna"]

    for leftover in place.catalog.parent.glob("catalog.sqlite-*"):
        leftover.unlink()
    backup.replace(place.catalog)
    place.run("scan", "--quiet")
    restored = Story(place)
    assert (restored.history, restored.decided()) == (told.history, told.decided())
    assert restored == told


def test_everything_that_was_decided_can_be_undone_to_the_beginning(place: Place) -> None:
    first = Story(place)
    people = [str(person["id"]) for person in json.loads(place.run("people", "--json"))]
    place.run("rename", people[0], "Anna")
    place.run("merge", "Anna", people[1])
    place.run("hide", people[2])
    place.run("forget", people[3], "--yes")
    place.run("reject", face_of(place, "Anna"))
    place.run("born", "Anna", "1960")
    place.run("scan", "--quiet")
    place.run("undo", "6")
    assert Story(place) == first
