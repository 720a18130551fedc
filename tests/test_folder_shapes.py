"""The shapes that the people folder may have, each with what it means when somebody changes something there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.errors import ConfigError
from facewatch.people.corrections import Decisions

THREE = {"folders.unnamed_photos": 3}


def synced(library: Library, settings: Mapping[str, Any]) -> set[str]:
    """Return what stands in the people folder when it is as these settings want it."""
    with library.app(settings) as app:
        app.folder.sync()
        assert app.folder.plan().is_empty
        assert app.folder.outdated() == set()
    return set(library.tree())


def decided(app: App) -> list[str]:
    """Return what was decided because of the people folder."""
    return [entry.action for entry in app.catalog.journal.entries() if entry.details.get("source") == "folder"]


@pytest.fixture
def place(family: Library) -> Library:
    """Anna on a and b, Ben on a, c and d, somebody on e and f; g is nobody's."""
    assert "_unnamed/Person 0003/e.png" in family.tree()
    return family


def test_who_has_no_name_needs_as_many_photos_as_are_asked_for(place: Library) -> None:
    whole = set(place.tree())
    named = {path for path in whole if not path.startswith("_unnamed/")}
    assert synced(place, THREE) == named, "Anna has two photos, and a name"
    assert not (place.people / "_unnamed").exists()
    assert synced(place, {"folders.unnamed_photos": 2}) == whole
    with place.app() as app:
        assert decided(app) == []


def test_who_falls_below_by_a_deleted_link_loses_the_folder_and_nothing_else_is_meant(place: Library) -> None:
    two = {"folders.unnamed_photos": 2}
    before = set(place.tree())
    (place.people / "_unnamed/Person 0003/e.png").unlink()
    with place.app(two) as app:
        app.folder.sync()
        assert not (place.people / "_unnamed").exists()
        app.folder.sync()
        assert decided(app) == ["reject"]
        assert app.catalog.people.one(3) is not None
        app.corrections.undo()
        app.folder.sync()
    assert set(place.tree()) == before


def test_who_grows_past_the_number_gets_a_folder_with_the_photos_from_before(place: Library) -> None:
    synced(place, THREE)
    place.draw("h.png", (3, 2))
    place.scan(**THREE)
    assert {path for path in place.tree() if path.startswith("_unnamed/")} == {
        f"_unnamed/Person 0003/{name}.png" for name in "efh"
    }


# People together -----------------------------------------------------------------------------------------------------

TOGETHER = {"folders.together": ["Anna & Ben"]}


@pytest.fixture
def pair(place: Library) -> Library:
    """Anna and Ben are together on a, and on h.png, which is drawn last."""
    place.draw("h.png", (1, 2), (2, 3))
    place.scan(**TOGETHER)
    assert together(place) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
    return place


def together(library: Library) -> set[str]:
    return {path.removeprefix("_together/") for path in library.tree() if path.startswith("_together/")}


def decide(app: App, decision: Callable[[Decisions], object]) -> None:
    with app.corrections.deciding() as decisions:
        decision(decisions)


def face_of(app: App, photo: str, person_id: int) -> str:
    """Return the face of a person in a photo, as commands name it."""
    [face] = app.catalog.faces.beside([app.lookup.photo_id(Path(photo))], person_id)
    return f"f{face.id}"


def test_photos_on_which_all_of_some_people_are_have_a_folder(pair: Library) -> None:
    assert pair.tree()["_together/Anna & Ben/a.png"] == "a.png"
    assert synced(pair, TOGETHER) == set(pair.tree())
    with pair.app(TOGETHER) as app:
        decide(app, lambda d: d.reject([face_of(app, "h.png", 1)], "Anna"))
        assert together(pair) == {"Anna & Ben/a.png"}
        app.corrections.undo()
        assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
        decide(app, lambda d: d.hide("Ben"))
        assert not (pair.people / "_together").exists()
        app.corrections.undo()
        assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}
        assert app.catalog.faults() == []
    assert {path.partition("/")[0] for path in synced(pair, {})} == {"Anna", "Ben", "_unnamed"}
    assert not (pair.people / ".facewatch.extras").exists()


def test_a_folder_of_people_together_is_called_as_they_are(pair: Library) -> None:
    with pair.app({"folders.together": ["ben & ANNA"]}) as app:
        app.folder.sync()
        assert together(pair) == {"Ben & Anna/a.png", "Ben & Anna/h.png"}
        assert [type(action).__name__ for action in app.folder.plan().actions] == []
    with pair.app({"folders.together": ["Tom && Jerry & Ben"]}) as app:
        decide(app, lambda d: d.rename("Anna", "Tom & Jerry"))
    assert together(pair) == {"Tom & Jerry & Ben/a.png", "Tom & Jerry & Ben/h.png"}


def test_a_name_that_nobody_has_is_said_and_hinders_nothing(pair: Library, caplog: pytest.LogCaptureFixture) -> None:
    with pair.app({"folders.together": ["Anna & Zoe", "Anna & Ben", "Anna & anna"]}) as app:
        applied = app.folder.sync()
    said = "_together/Anna & Zoe: nobody is called Zoe: change together in the settings"
    assert applied.faults == (said,)
    assert said in caplog.text
    assert together(pair) == {"Anna & Ben/a.png", "Anna & Ben/h.png"}


@pytest.mark.parametrize("value", ["Anna & Ben", ["Anna"], ["Anna & "], [["Anna", "Ben"]]])
def test_only_lists_of_names_are_taken_for_people_together(pair: Library, value: object) -> None:
    with pytest.raises(ConfigError, match="a list of names with & between them"):
        pair.app({"folders.together": value})


def standing(library: Library) -> dict[str, str]:
    """Return the paths of all links and files in the people folder, and the texts of the links."""
    paths = [path for path in library.people.rglob("*") if not path.name.startswith(".") and not path.is_dir()]
    return {str(path.relative_to(library.people)): str(path.readlink()) if path.is_symlink() else "" for path in paths}


def put_right(library: Library, settings: Mapping[str, Any], before: Mapping[str, str]) -> None:
    """Whatever was done in the folder decides nothing, and the next sync makes all as it was."""
    with library.app(settings) as app:
        entries = list(app.catalog.journal.entries())
        app.folder.sync()
        assert app.folder.plan().is_empty
        assert list(app.catalog.journal.entries()) == entries
    assert standing(library) == before


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "copy"])
def test_what_somebody_does_with_people_together_means_nothing_and_is_put_right(pair: Library, kind: str) -> None:
    settings = TOGETHER | {"folders.link": kind}
    synced(pair, settings)
    before, folder = standing(pair), pair.people / "_together/Anna & Ben"

    def delete_link() -> None:
        (folder / "a.png").unlink()

    def move_link_up() -> None:
        (folder / "a.png").rename(folder.parent / "a.png")

    def delete_folder() -> None:
        shutil.rmtree(folder)

    def delete_all() -> None:
        shutil.rmtree(folder.parent)

    def rename_folder() -> None:
        folder.rename(folder.parent / "Mum and Dad")

    def put_a_link_of_anna_there() -> None:
        (pair.people / "Anna/b.png").rename(folder / "b.png")

    def replace_by_a_link_of_anna() -> None:
        (pair.people / "Anna/a.png").rename(folder / "a.png")

    def put_all_of_anna_there() -> None:
        (pair.people / "Anna").rename(folder.parent / "Mum")

    acts = [delete_link, move_link_up, delete_folder, delete_all, rename_folder, put_a_link_of_anna_there]
    # A hard link or a copy that takes the place of another of the same photo cannot be told from it.
    acts += [put_all_of_anna_there] + [replace_by_a_link_of_anna] * (kind == "symlink")
    for act in acts:
        act()
        assert standing(pair) != before
        put_right(pair, settings, before)


def test_a_link_of_people_together_that_is_put_into_a_folder_is_a_photo_of_that_person(pair: Library) -> None:
    """The right one is the face that nobody with a name has."""
    pair.draw("i.png", (1, 3), (2, 4), (3, 4))
    pair.scan(**TOGETHER)
    (pair.people / "_together/Anna & Ben/i.png").rename(pair.people / "Carl.png")
    (pair.people / "Carl").mkdir()
    (pair.people / "Carl.png").rename(pair.people / "Carl/i.png")
    with pair.app(TOGETHER) as app:
        app.folder.sync()
        assert decided(app) == ["assign"]
        names = [face["name"] for face in app.lookup.photo(Path("i.png"))["faces"]]
        assert names == ["Anna", "Ben", "Carl"]
    assert pair.tree()["Carl/i.png"] == "i.png"
    assert together(pair) == {f"Anna & Ben/{name}.png" for name in "ahi"}


def test_a_record_of_extra_folders_that_was_damaged_or_forged_costs_nothing(pair: Library) -> None:
    before, record = standing(pair), pair.people / ".facewatch.extras"
    (pair.people / "Anna/own.txt").write_text("mine")
    stamp = f"copy:4:{(pair.people / 'Anna/own.txt').stat().st_mtime_ns}"
    for text in (
        *("", "[]", '{"folders": 1, "links": 2}', '{"folders": [["x", 1]], "links": [[1]]}'),
        json.dumps({"folders": [[-5, "Anna"]], "links": [[-1, -5, 1, "Anna/own.txt", "/x", stamp]]}),
        json.dumps(
            {"folders": [[-5, "_together/.."]], "links": [[-1, -5, 1, "_together/../Anna/own.txt", "/x", stamp]]}
        ),
    ):
        record.write_text(text)
        put_right(pair, TOGETHER, before | {"Anna/own.txt": ""})


def test_a_file_in_the_place_of_the_folder_is_said(pair: Library) -> None:
    synced(pair, {})
    (pair.people / "_together").write_text("mine")
    with pair.app(TOGETHER) as app:
        assert app.folder.sync().faults == ("_together: not a folder, so groups of people have none: move it away",)
        assert app.folder.plan().is_empty
