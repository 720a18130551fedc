"""The shapes that the people folder may have, each with what it means when somebody changes something there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from drawn import Library

from facewatch.app import App

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
