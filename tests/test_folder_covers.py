"""Covers in the folders of people: the right face, as long as it is that, and nothing that anybody else put there is
touched or means more than it did."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from browsers import Album
from drawn import Library, decided, sync_people
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facewatch.app import App
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.folders.marks import is_as_made, key_of, marked
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers
from facewatch.people.corrections import Decisions

ON = {"folders.cover": "folder.jpg"}
FOLDERS = ("Anna", "Ben", "_unnamed/Person 0003")


@pytest.fixture
def covered(family: Library) -> Library:
    """Anna on a and b, Ben on a, c and d, somebody on e and f: each folder has a cover."""
    synced(family)
    assert covers(family).keys() == {f"{folder}/folder.jpg" for folder in FOLDERS}
    return family


def synced(library: Library, settings: Mapping[str, Any] = ON) -> list[str]:
    return sync_people(library, settings)


def covers(library: Library) -> dict[str, int]:
    """Return the path of each cover that facewatch made, with the id of the face that it shows."""
    paths = [path for name in ("folder.jpg", "cover.jpg") for path in library.people.rglob(name)]
    keys = {str(path.relative_to(library.people)): key_of(path.read_bytes()) for path in sorted(paths)}
    return {path: int(key.partition("-")[0][1:]) for path, key in keys.items() if key is not None}


def decide(library: Library, decision: Callable[[Decisions], object]) -> None:
    with library.app(ON) as app, app.corrections.deciding() as decisions:
        decision(decisions)


def test_every_folder_shows_the_face_that_stands_for_the_person(covered: Library) -> None:
    with covered.app(ON) as app:
        best = {one.folder: app.catalog.tiles.shown([one.id])[one.id].best_id for one in app.catalog.people.all()}
    assert covers(covered) == {f"{folder}/folder.jpg": best[folder] for folder in FOLDERS}
    for path in covers(covered):
        with Image.open(covered.people / path) as picture:
            assert picture.format == "JPEG"
            assert picture.width == picture.height


def test_covers_of_real_photos_are_faces_cut_by_the_worker_processes(real_family: Album, tmp_path: Path) -> None:
    catalog, people = tmp_path / "catalog.sqlite", tmp_path / "People"
    shutil.copy(real_family.config.catalog, catalog)
    given = {"library.photos": str(real_family.config.photos[0]), "library.catalog": str(catalog)}
    with App(load_config(None, given | ON | {"library.people": str(people)}, cwd=tmp_path)) as app:
        app.folder.sync()
        have_faces = {tile.id for tile in app.overview.tiles() if tile.cover_id is not None}
        folders = [folder for person_id, folder in app.catalog.links.folders().items() if person_id in have_faces]
        assert len(folders) >= 8
        for folder in folders:
            with Image.open(people / folder / "folder.jpg") as picture:
                assert 50 < picture.width == picture.height <= 512
        assert app.folder.plan().is_empty


def test_nothing_is_made_again_when_nothing_has_changed(covered: Library) -> None:
    before = {path: (covered.people / path).stat().st_ino for path in covers(covered)}
    with covered.app(ON, cutters=object()) as app:
        app.folder.sync()
        app.folder.sync({app.lookup.person("Anna").id})
    assert {path: (covered.people / path).stat().st_ino for path in covers(covered)} == before


def test_a_folder_that_is_renamed_while_covers_are_cut_has_its_own_later(
    family: Library, caplog: pytest.LogCaptureFixture
) -> None:
    class Meanwhile(InlineWorkers):
        def cut_faces(self, *arguments: Any, **how: Any) -> Any:
            if (family.people / "Ben").exists():
                (family.people / "Ben").rename(family.people / "Benno")
            return super().cut_faces(*arguments, **how)

    engine = fake.FakeEngine()
    with family.app(ON, cutters=Meanwhile(Recipe(engine.info.name), engine)) as app:
        app.folder.sync()
    assert covers(family).keys() == {"Anna/folder.jpg", "_unnamed/Person 0003/folder.jpg"}
    assert "covers" not in caplog.text
    assert synced(family) == ["rename"]
    assert "Benno/folder.jpg" in covers(family)


def test_covers_follow_what_is_decided(covered: Library) -> None:
    shown = covers(covered)
    [other] = {face for face in faces_of(covered, "Anna") if face != shown["Anna/folder.jpg"]}
    decide(covered, lambda decisions: decisions.cover("Anna", f"f{other}"))
    assert covers(covered)["Anna/folder.jpg"] == other
    decide(covered, lambda decisions: decisions.rename("Anna", "Zoe"))
    assert covers(covered).get("Zoe/folder.jpg") == other
    decide(covered, lambda decisions: decisions.rename("p3", "Carl"))
    assert not (covered.people / "_unnamed").exists()
    decide(covered, lambda decisions: decisions.hide("Zoe"))
    decide(covered, lambda decisions: decisions.merge("Ben", ["Carl"]))
    assert covers(covered).keys() == {"Ben/folder.jpg"}
    assert sorted(path.name for path in covered.people.iterdir() if path.is_dir()) == ["Ben"]
    with covered.app(ON) as app:
        app.corrections.undo(5)
    assert covers(covered) == shown


def faces_of(library: Library, who: str) -> set[int]:
    with library.app(ON) as app:
        person = app.lookup.person(who).id
        owners = app.catalog.faces.owners(app.engine.id)
        return {face for face, owner in owners.items() if owner == person}


def test_a_picture_of_somebody_else_is_kept_and_one_that_was_changed_is_theirs(covered: Library) -> None:
    anna, ben = covered.people / "Anna/folder.jpg", covered.people / "Ben/folder.jpg"
    anna.write_bytes(b"mine")
    ben.write_bytes(ben.read_bytes() + b"edited")
    edited = ben.read_bytes()
    [other, *_] = {face for face in faces_of(covered, "Ben") if face != covers(covered)["Ben/folder.jpg"]}
    decide(covered, lambda decisions: decisions.cover("Ben", f"f{other}"))
    assert (anna.read_bytes(), ben.read_bytes()) == (b"mine", edited)
    with covered.app({}) as app:
        app.folder.sync()
        assert decided(app) == []
    assert (anna.read_bytes(), ben.read_bytes()) == (b"mine", edited)
    assert not (covered.people / "_unnamed/Person 0003/folder.jpg").exists()
    decide(covered, lambda decisions: decisions.hide("Ben"))
    assert [path.name for path in ben.parent.iterdir()] == ["folder.jpg"], "somebody's own keeps the folder"


def test_what_somebody_does_with_covers_means_nothing(covered: Library) -> None:
    before = covers(covered)
    anna, ben, unnamed = (covered.people / path for path in sorted(before))

    def put_into_another_folder() -> None:
        anna.replace(ben)

    def delete_all() -> None:
        for path in (anna, ben, unnamed):
            path.unlink()

    def copy_beside() -> None:
        shutil.copy(anna, covered.people / "folder.jpg")

    for act in (put_into_another_folder, delete_all, copy_beside):
        act()
        assert synced(covered) == []
        assert {path: face for path, face in covers(covered).items() if "/" in path} == before


def test_a_folder_that_was_renamed_or_deleted_by_hand_takes_its_cover_along(covered: Library) -> None:
    (covered.people / "Anna").rename(covered.people / "Zoe")
    shutil.rmtree(covered.people / "Ben")
    assert sorted(synced(covered)) == ["hide", "rename"]
    assert covers(covered).keys() == {"Zoe/folder.jpg", "_unnamed/Person 0003/folder.jpg"}


def test_covers_get_another_name_and_go_when_they_are_not_wanted(covered: Library) -> None:
    assert synced(covered, {"folders.cover": "cover.jpg"}) == []
    assert covers(covered).keys() == {f"{folder}/cover.jpg" for folder in FOLDERS}
    assert synced(covered, {}) == []
    assert covers(covered) == {}
    assert not list(covered.people.rglob("*.jpg"))


def test_a_photo_of_that_name_keeps_it_or_finds_another(family: Library) -> None:
    photo = family.photos / "folder.jpg"
    family.draw("x.png", (1, 5)).rename(photo)
    family.scan()
    assert (family.people / "Anna/folder.jpg").readlink().name == "folder.jpg"
    synced(family)
    assert covers(family).keys() == {"Ben/folder.jpg", "_unnamed/Person 0003/folder.jpg"}
    family.draw("2024/y.png", (2, 5)).rename(family.photos / "2024/folder.jpg")
    family.scan(**ON)
    assert {path.name for path in (family.people / "Ben").glob("f*")} == {"folder (2024).jpg", "folder.jpg"}
    assert synced(family) == []


def test_without_the_photos_there_are_no_new_covers_and_the_old_ones_stay(covered: Library) -> None:
    (covered.people / "Anna/folder.jpg").unlink()
    covered.photos.rename(covered.base / "elsewhere")
    with covered.app(ON) as app:
        app.folder.sync()
    assert covers(covered).keys() == {"Ben/folder.jpg", "_unnamed/Person 0003/folder.jpg"}
    (covered.base / "elsewhere").rename(covered.photos)
    synced(covered)
    assert "Anna/folder.jpg" in covers(covered)


def test_who_is_forgotten_is_on_no_cover_even_where_the_folder_stays(covered: Library) -> None:
    (covered.people / "Anna/notes.txt").write_text("mine")
    decide(covered, lambda decisions: decisions.forget("Anna"))
    assert [path.name for path in (covered.people / "Anna").iterdir()] == ["notes.txt"]


def test_a_watcher_takes_a_cover_for_no_news(covered: Library) -> None:
    with covered.app(ON) as app:
        assert app.folder.is_as_recorded("Anna/folder.jpg")
        (covered.people / "Anna/folder.jpg").write_bytes(b"mine")
        assert not app.folder.is_as_recorded("Anna/folder.jpg")


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(target, format="JPEG")
    return target.getvalue()


JPEG = jpeg()


def test_a_picture_with_a_mark_is_the_same_picture() -> None:
    with Image.open(io.BytesIO(marked(JPEG, "f12-0a"))) as picture, Image.open(io.BytesIO(JPEG)) as before:
        assert picture.tobytes() == before.tobytes()
        assert picture.info["comment"].startswith(b"facewatch:f12-0a:")


@given(st.data())
def test_what_was_changed_by_one_byte_is_not_as_it_was_made(data: st.DataObject) -> None:
    made = marked(JPEG, "f12-0a")
    assert (key_of(made), is_as_made(made)) == ("f12-0a", True)
    at = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != made[at]))
    key = b"f12-0a"
    assert not is_as_made(made[:at] + bytes([other]) + made[at + 1 :]) or made.find(key) <= at < made.find(key) + 6
    assert not is_as_made(made[:at])


@given(st.binary(max_size=300))
def test_no_other_file_passes_for_one_of_ours(head: bytes) -> None:
    assert key_of(head) is None
    assert not is_as_made(head)
