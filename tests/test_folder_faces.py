"""Faces in the folders of people instead of photos: the right ones, and what is done with them means what it means for
links."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from browsers import Album
from drawn import Library, decided, sync_people
from PIL import Image

from facewatch.app import App
from facewatch.config import load_config
from facewatch.folders.ledger import INTENTS
from facewatch.folders.marks import key_of
from facewatch.folders.model import MakeLink
from facewatch.folders.recovery import intents_of
from facewatch.types import Match

FACES = {"folders.show": "faces"}
NAMES = ("Anna/a.jpg", "Anna/b.jpg", "Ben/a.jpg", "Ben/c.jpg", "Ben/d.jpg")
UNNAMED = ("_unnamed/Person 0003/e.jpg", "_unnamed/Person 0003/f.jpg")


@pytest.fixture
def cut(family: Library) -> Library:
    """Anna on a and b, Ben on a, c and d, somebody on e and f."""
    synced(family)
    assert tuple(sorted(standing(family))) == (*NAMES, *UNNAMED)
    return family


def synced(library: Library, settings: Mapping[str, Any] = FACES, **arguments: Any) -> list[str]:
    return sync_people(library, settings, **arguments)


def standing(library: Library) -> dict[str, str | None]:
    """Return what is in the people folder, with what each picture shows."""
    paths = [path for path in library.people.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(library.people)): key_of(path.read_bytes()) for path in paths}


def inodes(library: Library) -> dict[str, int]:
    return {path: (library.people / path).stat().st_ino for path in standing(library)}


def face(app: App, photo: str, who: str) -> str:
    """Return what marks the picture of somebody's face on a photo."""
    rows = app.lookup.photo(Path(photo))["faces"]
    return next(f"face-{row['face_id']}" for row in rows if row["person_id"] == app.lookup.person(who).id)


def whose(app: App, photo: str) -> list[str | None]:
    return [row["name"] for row in app.lookup.photo(Path(photo))["faces"]]


def test_each_folder_holds_the_face_of_its_person_on_each_photo(cut: Library) -> None:
    with cut.app(FACES) as app:
        shown = standing(cut)
        assert shown["Anna/a.jpg"] == face(app, "a.png", "Anna")
        assert shown["Ben/a.jpg"] == face(app, "a.png", "Ben") != shown["Anna/a.jpg"]
    for path in standing(cut):
        with Image.open(cut.people / path) as picture:
            assert (picture.format, picture.width) == ("JPEG", picture.height)
        photo = cut.photos / Path(path).with_suffix(".png").name
        assert int((cut.people / path).stat().st_mtime) == int(photo.stat().st_mtime), "they are sorted as the photos"


def test_faces_of_real_photos_are_cut_by_the_worker_processes(real_family: Album, tmp_path: Path) -> None:
    catalog, people = tmp_path / "catalog.sqlite", tmp_path / "People"
    shutil.copy(real_family.config.catalog, catalog)
    given = {"library.photos": str(real_family.config.photos[0]), "library.catalog": str(catalog)}
    with App(load_config(None, given | FACES | {"library.people": str(people)}, cwd=tmp_path)) as app:
        assert app.folder.sync().faults == ()
        rows = app.catalog.links.all()
        said = {row.person_id: app.catalog.presences.of_person(row.person_id) for row in rows}
        rows = [row for row in rows if row.photo_id not in said[row.person_id]]
        assert len(rows) > 20
        for row in rows:
            with Image.open(people / row.path) as picture:
                assert 60 < picture.width == picture.height <= 1024
        assert app.folder.plan().is_empty


def test_nothing_is_cut_again_when_nothing_has_changed_and_only_what_is_new(cut: Library) -> None:
    before = inodes(cut)
    assert synced(cut, cutters=object()) == [], "no worker is asked"
    assert inodes(cut) == before
    cut.draw("h.png", (1, 3))
    cut.scan(**FACES)
    assert {path: inode for path, inode in inodes(cut).items() if path != "Anna/h.jpg"} == before


def test_a_face_that_is_moved_to_somebody_is_theirs_and_one_that_is_deleted_is_not(cut: Library) -> None:
    before = standing(cut)
    (cut.people / "Ben/c.jpg").rename(cut.people / "Anna/c.jpg")
    (cut.people / "Anna/a.jpg").unlink()
    (cut.people / "_unnamed/Person 0003").rename(cut.people / "Carl")
    with cut.app(FACES) as app:
        app.folder.sync()
        assert sorted(decided(app)) == ["assign", "reject", "rename"]
        assert whose(app, "c.png") == ["Anna"]
        assert whose(app, "a.png") == [None, "Ben"]
        assert app.folder.plan().is_empty
        assert set(standing(cut)) == {
            *("Anna/b.jpg", "Anna/c.jpg", "Ben/a.jpg", "Ben/d.jpg", "Carl/e.jpg", "Carl/f.jpg"),
        }
        app.corrections.undo(3)
        assert app.folder.plan().is_empty
    assert standing(cut) == before


@pytest.mark.parametrize(
    ("old", "new", "told", "shown"),
    [
        ("Anna/b.jpg", "Ben/d.jpg", {"b.png": ["Ben"], "d.png": ["Ben"]}, {"Ben/d.jpg", "Ben/d (Photos).jpg"}),
        ("Anna/a.jpg", "Ben/a.jpg", {"a.png": ["Ben", None]}, {"Ben/a.jpg"}),
    ],
    ids=["of another photo", "of the same photo"],
)
def test_a_face_that_is_moved_over_another_is_theirs_and_the_other_not_lost(
    cut: Library, old: str, new: str, told: dict[str, list[str | None]], shown: set[str]
) -> None:
    """Where both files have one name, a file manager asks whether to replace the one that is there."""
    before, moved = standing(cut), standing(cut)[old]
    (cut.people / old).replace(cut.people / new)
    with cut.app(FACES) as app:
        app.folder.sync()
        assert decided(app) == ["assign"]
        assert {photo: whose(app, photo) for photo in told} == told
        assert app.folder.plan().is_empty
        assert standing(cut)[new] == moved
        assert {path for path in standing(cut) if path.startswith(new.removesuffix(".jpg"))} == shown
        app.corrections.undo()
        assert app.folder.plan().is_empty
    assert sorted(standing(cut).values()) == sorted(before.values())


def test_faces_of_photos_taken_at_once_are_told_apart_whatever_becomes_of_their_times(cut: Library) -> None:
    """All of these are of one size, and of one second."""
    before = standing(cut)
    files = {path: (cut.people / path).stat() for path in before}
    assert len({one.st_size for one in files.values()}) < len(files) == len({one.st_mtime_ns for one in files.values()})
    for path, one in files.items():
        os.utime(cut.people / path, (one.st_atime, int(one.st_mtime)))
    assert synced(cut, cutters=object()) == []
    assert standing(cut) == before


def test_a_new_folder_with_a_face_is_somebody_new(cut: Library) -> None:
    """The photo has two faces; it is the one that the picture shows."""
    (cut.people / "Dora").mkdir()
    (cut.people / "Anna/a.jpg").rename(cut.people / "Dora/a.jpg")
    assert synced(cut) == ["assign"]
    with cut.app(FACES) as app:
        assert whose(app, "a.png") == ["Dora", "Ben"]


def test_a_face_that_was_edited_is_somebodys_own_and_stays(cut: Library) -> None:
    path = cut.people / "Anna/b.jpg"
    path.write_bytes(b"mine")
    with cut.app(FACES) as app:
        app.folder.sync()
        assert decided(app) == []
        assert app.folder.plan().is_empty
    assert path.read_bytes() == b"mine"
    assert len([one for one in standing(cut) if one.startswith("Anna/b")]) == 2, "and the face is there once more"


def test_a_name_that_somebody_gave_stays_when_photos_take_the_place_of_faces_and_back(cut: Library) -> None:
    (cut.people / "Anna/a.jpg").rename(cut.people / "Anna/at the lake.jpg")
    assert synced(cut) == []
    assert synced(cut, {}) == []
    assert set(cut.tree()) == {
        *("Anna/at the lake.png", "Anna/b.png", "Ben/a.png", "Ben/c.png", "Ben/d.png"),
        *(path.replace("jpg", "png") for path in UNNAMED),
    }
    assert all(cut.tree().values())
    assert synced(cut) == []
    assert set(standing(cut)) == {"Anna/at the lake.jpg", *NAMES[1:], *UNNAMED}


def test_another_face_of_the_same_photo_takes_the_place_of_the_one_before(cut: Library) -> None:
    with cut.app(FACES) as app:
        mine, other = face(app, "a.png", "Anna"), face(app, "a.png", "Ben")
        with app.corrections.deciding() as decisions:
            decisions.reject([mine.replace("face-", "f")], "Anna")
            decisions.reject([other.replace("face-", "f")], "Ben")
            decisions.assign([other.replace("face-", "f")], "Anna")
        assert app.folder.plan().is_empty
    assert standing(cut)["Anna/a.jpg"] == other
    assert "Ben/a.jpg" not in standing(cut)


def test_where_it_is_not_known_which_face_it_is_the_photo_is_shown(cut: Library) -> None:
    photo = cut.photos / "g.png"
    with cut.app(FACES) as app, app.corrections.deciding() as decisions:
        decisions.present("Anna", [app.lookup.photo_id(photo)])
    assert standing(cut)["Anna/g.jpg"] == "face-0"
    with Image.open(cut.people / "Anna/g.jpg") as shown, Image.open(photo) as whole:
        assert shown.size == whole.size
    (cut.people / "Anna/g.jpg").unlink()
    assert synced(cut) == ["absent"]


def test_people_together_are_shown_on_whole_photos(cut: Library) -> None:
    synced(cut, FACES | {"folders.together": ["Anna & Ben"]})
    assert standing(cut)["_together/Anna & Ben/a.jpg"] == "face-0"


def test_a_suggestion_is_shown_by_its_face_and_answered_with_it(cut: Library) -> None:
    settings = FACES | {"folders.review": 5}
    with cut.app(settings) as app:
        [row] = app.lookup.photo(Path("g.png"))["faces"]
        match = Match(app.lookup.person("Anna").id, 0.5, 0.5, None, None, "too far", is_accepted=False)
        with app.catalog.write():
            app.catalog.assignments.suggest(row["face_id"], match, app.catalog.now())
        app.folder.sync()
    assert standing(cut)["_review/Anna/g.jpg"] == f"face-{row['face_id']}"
    (cut.people / "_review/Anna/g.jpg").rename(cut.people / "Anna/g.jpg")
    assert synced(cut, settings) == ["assign"]
    with cut.app(settings) as app:
        assert whose(app, "g.png") == ["Anna"]


def test_a_face_of_a_photo_that_is_called_as_a_cover_is_none(family: Library) -> None:
    both = FACES | {"folders.cover": "folder.jpg"}
    family.draw("x.png", (1, 5)).rename(family.photos / "folder.jpg")
    family.scan(**both)
    assert (standing(family)["Anna/folder.jpg"] or "").startswith("face-")
    before = inodes(family)
    assert synced(family, both, cutters=object()) == []
    assert inodes(family) == before
    assert {path for path, key in standing(family).items() if key and not key.startswith("face-")} == {
        *("Ben/folder.jpg", "_unnamed/Person 0003/folder.jpg"),
    }


def test_faces_and_covers_may_be_read_by_whoever_may_read_the_photo(family: Library) -> None:
    for photo in family.photos.iterdir():
        photo.chmod(0o600)
    synced(family, FACES | {"folders.cover": "folder.jpg"})
    assert {(family.people / path).stat().st_mode & 0o777 for path in standing(family)} == {0o600}


def test_faces_of_photos_that_are_away_are_said_and_made_later(family: Library) -> None:
    family.photos.rename(family.base / "elsewhere")
    with family.app(FACES) as app:
        assert app.folder.sync().faults == (f"{family.photos}: is not there; 7 photos of people wait for it",)
    (family.base / "elsewhere").rename(family.photos)
    synced(family)
    assert tuple(sorted(standing(family))) == (*NAMES, *UNNAMED)


def test_faces_that_were_made_and_not_recorded_are_known_again(family: Library) -> None:
    with family.app(FACES) as app:
        todo = app.folder.plan()
        app.folder.sync()
        before, recorded = inodes(family), {(row.path, row.stamp) for row in app.catalog.links.all()}
        with app.catalog.write():
            for row in app.catalog.links.all():
                app.catalog.links.remove(row.link_id)
            app.catalog.settings.set(INTENTS, intents_of(todo.actions, "face"))
    assert synced(family) == []
    with family.app(FACES) as app:
        assert {(row.path, row.stamp) for row in app.catalog.links.all()} == recorded
    assert inodes(family) == before


def test_others_decide_while_faces_are_cut(family: Library) -> None:
    """Cutting a whole library takes hours; nobody has to wait for that."""
    seconds, n_standing = itertools.count(), []

    def sleep(_: float) -> None:
        n_standing.append(len(standing(family)))
        if n_standing[-1] == 3:
            with family.app() as other, other.corrections.following_later():
                other.corrections.rename("Anna", "Zoe")

    with family.app(FACES) as app:
        app.folder._clock = lambda: float(next(seconds))
        app.catalog.give_way = partial(app.catalog.give_way, sleep=sleep)  # type: ignore[method-assign]
        done = app.folder.sync()
        assert done.n_made == len([one for one in done.actions if isinstance(one, MakeLink)])
        assert app.folder.plan().is_empty
    assert n_standing[:3] == [1, 2, 3]
    assert len(n_standing) > 4, "and may decide again"
    assert {"Zoe/a.jpg", "Ben/a.jpg"} < set(standing(family))
    assert synced(family) == []


def test_who_makes_what_one_decision_changes_is_soon_done_and_gives_no_way(cut: Library) -> None:
    with cut.app(FACES) as app:
        app.folder._clock = itertools.count().__next__
        app.catalog.give_way = pytest.fail  # type: ignore[method-assign, assignment]
        app.corrections.rename("p3", "Carl")
    assert "Carl/e.jpg" in standing(cut)
