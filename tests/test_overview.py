"""Everybody at a glance, kept while the catalog changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.people.overview import Overview, PersonTile, matching


def _decide(text: str) -> Callable[[App], object]:
    action, *words = text.split()

    def work(app: App) -> None:
        with app.corrections.deciding() as decisions:
            match action:
                case "rename":
                    decisions.rename(words[0], words[1])
                case "merge":
                    decisions.merge(words[0], words[1:])
                case "reject":
                    decisions.reject(words)
                case "assign":
                    decisions.assign(words[1:], words[0])
                case "hide":
                    decisions.hide(words[0])
                case "cover":
                    decisions.cover(words[0], words[1])
                case "present":
                    decisions.present(words[0], [int(words[1])])
                case "forget":
                    decisions.forget(words[0])

    return work


@pytest.mark.parametrize(
    "change",
    [
        _decide("rename p3 Carl"),
        _decide("merge p1 p3"),
        _decide("reject f1"),
        _decide("assign p2 f8"),
        _decide("hide p2"),
        _decide("cover p1 f3"),
        _decide("forget p1"),
        _decide("present p1 5"),
    ],
)
def test_what_was_kept_is_what_would_be_read_again(family: Library, change: Callable[[App], object]) -> None:
    with family.app() as app:
        before = app.overview.tiles()
        change(app)
        after = app.overview.tiles()
        assert after != before
        assert after == Overview(app.catalog).tiles()
        app.corrections.undo()
        assert app.overview.tiles() == before


def test_photos_that_go_and_come_back_are_counted(family: Library) -> None:
    with family.app() as app:
        before = app.overview.tiles()
        kept = (family.photos / "b.png").read_bytes()
        (family.photos / "b.png").unlink()
        app.pipeline.scan()
        assert _counts(app.overview.tiles())["Anna"] == _counts(before)["Anna"] - 1
        (family.photos / "b.png").write_bytes(kept)
        app.pipeline.scan()
        assert app.overview.tiles() == before


def test_the_face_that_a_user_chose_stands_for_a_person(family: Library) -> None:
    with family.app() as app:
        anna = next(tile for tile in app.overview.tiles() if tile.label == "Anna")
        other = next(row.id for row in app.catalog.faces.of_person(anna.id) if row.id != anna.cover_id)
        _decide(f"cover p{anna.id} f{other}")(app)
        assert next(tile for tile in app.overview.tiles() if tile.id == anna.id).cover_id == other


def test_the_list_is_that_of_everybody_with_photos(family: Library) -> None:
    with family.app() as app:
        people = {one.label: (one.n_photos, one.n_faces) for one in app.catalog.people.all() if one.n_photos}
        tiles = app.overview.tiles()
        assert {tile.label: (tile.n_photos, tile.n_faces) for tile in tiles} == people
        assert [tile.is_named for tile in tiles] == sorted((tile.is_named for tile in tiles), reverse=True)


def test_who_begins_with_what_is_searched_comes_first(family: Library) -> None:
    with family.app() as app:
        _decide("rename p3 Hanna")(app)
        found = matching(app.overview.tiles(), "an")
        assert [tile.label for tile in found] == ["Anna", "Hanna"]


def _counts(tiles: tuple[PersonTile, ...]) -> dict[str, int]:
    return {tile.label: tile.n_photos for tile in tiles}
