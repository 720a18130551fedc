"""Everybody at a glance, kept while the catalog changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import Library
from face_catalog import FaceCatalog

from facewatch.app import App
from facewatch.catalog import Catalog, Mark
from facewatch.catalog.pool import PoolKind
from facewatch.engines import fake
from facewatch.people.kept import KeptTogether
from facewatch.people.overview import Overview, PersonTile, matching
from facewatch.types import Match, Tier


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


_CHANGES = [
    _decide("rename p3 Carl"),
    _decide("merge p1 p3"),
    _decide("reject f1"),
    _decide("assign p2 f8"),
    _decide("hide p2"),
    _decide("cover p1 f3"),
    _decide("forget p1"),
    _decide("present p1 5"),
]


@pytest.mark.parametrize("change", _CHANGES)
def test_what_was_kept_is_what_would_be_read_again(family: Library, change: Callable[[App], object]) -> None:
    with family.app() as app:
        before = app.overview.tiles()
        change(app)
        after = app.overview.tiles()
        assert after != before
        assert after == Overview(app.catalog).tiles()
        app.corrections.undo()
        assert app.overview.tiles() == before


@pytest.mark.parametrize("change", _CHANGES)
def test_some_people_are_shown_as_in_the_list_of_everybody(family: Library, change: Callable[[App], object]) -> None:
    with family.app() as app:
        assert app.overview.of([1, 3, 99]) == {one.id: one for one in app.overview.tiles() if one.id in {1, 3}}
        change(app)
        everybody = {one.id: one for one in Overview(app.catalog).tiles()}
        assert app.overview.of([1, 3, 99]) == {one: everybody[one] for one in {1, 3} & everybody.keys()}
        assert app.overview.tiles() == tuple(everybody.values())


@pytest.mark.parametrize("change", _CHANGES)
def test_doubts_that_were_kept_are_those_that_would_be_found_again(
    family: Library, change: Callable[[App], object]
) -> None:
    with family.app() as app:
        for person in (1, 2, 3):
            app.resemblance.doubts(person)
        change(app)
        living = [one.id for one in app.catalog.tiles.living()]
        kept = [app.resemblance.doubts(person) for person in living]
        with family.app() as other:
            fresh = [other.resemblance.doubts(person) for person in living]
        for one, another in zip(kept, fresh, strict=True):
            assert one.ids.tolist() == another.ids.tolist()
            assert one.next_ids.tolist() == another.next_ids.tolist()
            np.testing.assert_allclose(one.next_distances, another.next_distances, atol=1e-6)
            np.testing.assert_allclose(one.distances, another.distances, atol=1e-6)


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


def test_what_one_reader_has_found_out_is_there_for_the_others_and_read_again_where_it_changed(
    family: Library,
) -> None:
    kept = KeptTogether()
    with family.app() as writer, family.app(kept=kept) as first, family.app(kept=kept) as second:
        first.catalog.refuse_writing()
        before = first.overview.tiles()
        assert kept.tiles.value is not None
        known = kept.tiles.value.people
        assert second.overview.tiles() == before
        assert all(kept.tiles.value.people[one] is known[one] for one in known)
        with writer.corrections.deciding() as decisions:
            decisions.reject(["f1"])
        for reader in (first, second):
            assert reader.overview.tiles() == Overview(writer.catalog).tiles() != before


def test_who_looks_like_whom_is_found_out_once_and_again_where_it_changed(family: Library) -> None:
    kept = KeptTogether()
    with family.app() as writer, family.app(kept=kept) as first, family.app(kept=kept) as second:
        before = first.resemblance.similar(1, 5)
        looks, mapped = kept.looks.value, kept.mapped.value
        assert second.resemblance.similar(1, 5) == before
        assert kept.looks.value is looks
        assert kept.mapped.value is mapped
        with writer.corrections.deciding() as decisions:
            decisions.merge("p1", ["p2"])
        assert first.resemblance.similar(1, 5) == second.resemblance.similar(1, 5) == writer.resemblance.similar(1, 5)
        assert kept.looks.value is not looks


def test_the_faces_of_nobody_are_counted_as_they_are_listed(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        faces = FaceCatalog(catalog)
        vectors = [fake.embedding_of(person, 0) for person in range(1, 8)]
        faces.group_of(faces.loose(*vectors[:2]))
        poor = faces.loose(vectors[2], tier=Tier.SHOW)
        nobody, no_face, *loose = faces.loose(*vectors[3:])
        with catalog.write():
            catalog.faces.mark([nobody], Mark.NOBODY, "2026-11-29T10:00:00Z")
            catalog.faces.mark([no_face], Mark.NOT_A_FACE, "2026-11-29T11:00:00Z")
        listed = {kind: catalog.pool.ids(kind) for kind in PoolKind}
        assert {kind: catalog.pool.count(kind) for kind in PoolKind} == {kind: len(ids) for kind, ids in listed.items()}
        assert listed == {PoolKind.OPEN: loose, PoolKind.POOR: poor, PoolKind.SET_ASIDE: [no_face, nobody]}


def _counts(tiles: tuple[PersonTile, ...]) -> dict[str, int]:
    return {tile.label: tile.n_photos for tile in tiles}


def test_faces_that_are_like_somebody_stand_together_whom_most_are_like_first_and_the_others_by_quality(
    tmp_path: Path,
) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        faces = FaceCatalog(catalog)
        few, most = (faces.group_of(faces.loose(fake.embedding_of(person, 0))) for person in (1, 2))
        loose = faces.loose(*(fake.embedding_of(person, 0) for person in range(3, 9)))
        likes = {loose[0]: (few, 0.3), loose[2]: (most, 0.4), loose[3]: (most, 0.2)}
        with catalog.write():
            for face_id, (person_id, distance) in likes.items():
                catalog.assignments.suggest(
                    face_id, Match(person_id, distance, distance, None, None, "test", is_accepted=False), ""
                )
            catalog._db.execute("UPDATE faces SET quality = 0.99 WHERE id = ?", [loose[5]])
        order = [loose[3], loose[2], loose[0], loose[5], loose[1], loose[4]]
        assert catalog.pool.ids(PoolKind.OPEN) == order
        with catalog.write():
            catalog.people.rename(few, "Anna")
        assert catalog.pool.ids(PoolKind.OPEN) == [loose[0], *order[:2], *order[3:]]
