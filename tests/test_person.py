"""One person: its faces by date and by doubt, who is with it and like it, and how it is split; through the JSON API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import wait_until
from drawn import Library
from face_catalog import FaceCatalog
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from facewatch.app import App
from facewatch.catalog import Catalog
from facewatch.catalog.person import FacesBy
from facewatch.engines import fake
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.arrange import Arranged, separate
from facewatch.people.person import PersonFace, described_faces, facts_about, ordered_faces, person_at
from facewatch.people.resemblance import Doubts, distances_to_others
from facewatch.presentation.person import tiles_by_date, tiles_by_doubt, title_of
from facewatch.web.server import make_site


@contextmanager
def browsing(library: Library) -> Iterator[TestClient]:
    with TestClient(make_site(library.app), base_url="http://127.0.0.1") as client:
        yield client


def ok(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def taken(library: Library, moments: dict[str, str]) -> None:
    """Say when photos were taken, by their names without .png."""
    with library.app() as app, app.catalog.write():
        ids = {name: app.lookup.photo_id(library.photos / f"{name}.png") for name in moments}
        app.catalog.photos.set_taken({ids[name]: moment for name, moment in moments.items()})


def ids_of(faces: Any) -> list[int]:
    return [face["id"] for face in faces["faces"]]


def first_faces(app: App, person: int, n: int, doubts: Doubts | None = None) -> list[PersonFace]:
    return described_faces(app.catalog, ordered_faces(app.catalog, person, doubts)[:n], doubts)


# --- what is known of a person ---


def test_a_person_is_counted_dated_and_has_a_face_that_stands_for_it(family: Library) -> None:
    taken(family, {"a": "2009-05-01T12:00:00", "c": "2019-07-03T08:00:00"})
    with browsing(family) as client:
        ben = ok(client.get("/api/v1/people/2"))
    assert (ben["label"], ben["n_photos"], ben["n_faces"], ben["n_confirmed"]) == ("Ben", 3, 3, 0)
    assert ben["taken"] == {"first": "2009-05-01T12:00:00", "last": "2019-07-03T08:00:00"}
    assert ben["folder"] == "Ben"
    assert ben["cover_id"] in range(1, 10)


def test_who_is_on_photos_with_somebody_is_listed_also_by_the_users_word(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.present("p3", [app.lookup.photo_id(family.photos / "b.png")])
    with browsing(family) as client:
        together = ok(client.get("/api/v1/people/1/with"))["people"]
    assert [(one["label"], one["n_photos"]) for one in together] == [("Ben", 1), ("Person 0003", 1)]


@pytest.mark.parametrize("name", ["Or", "Anna Maria", "2019-05", "Zoë", "in:Rome", 'the "Duke"'])
def test_the_link_to_somebodys_photos_finds_them_whatever_the_name(family: Library, name: str) -> None:
    with family.app() as app:
        renamed = app.corrections.rename("p1", name)
        facts = facts_about(app.catalog, app.overview, 1)
        assert app.photos().understand(title_of(facts).photos).people == ((renamed.person.id,),)


def test_faces_of_photos_that_are_gone_are_listed_and_marked(family: Library) -> None:
    (family.photos / "d.png").unlink()
    family.scan()
    with browsing(family) as client:
        assert ok(client.get("/api/v1/people/2"))["n_gone"] == 1
        for order in ("date", "doubt"):
            faces = ok(client.get("/api/v1/people/2/faces", params={"sort": order}))["faces"]
            assert sorted(face["is_in_library"] for face in faces) == [False, True, True]


def test_whoever_was_merged_is_found_where_they_went_and_whoever_was_forgotten_is_said_to_be(family: Library) -> None:
    with browsing(family) as client:
        ok(client.post("/api/v1/people/1/merge", json={"people": [3]}))
        assert ok(client.get("/api/v1/people/3"))["label"] == "Anna"
        ok(client.post("/api/v1/people/2/forget"))
        answer = client.get("/api/v1/people/2")
    assert answer.status_code == 404
    assert "Ben is not there any more" in answer.json()["error"]


def test_nobody_has_an_id_that_was_never_given(family: Library) -> None:
    with family.app() as app, pytest.raises(NotKnownError, match="p99"):
        person_at(app.catalog, 99)


# --- faces by date ---


def test_faces_come_newest_first_those_without_a_date_last_and_a_page_at_a_time(library: Library) -> None:
    library.draw_looks(1, 4)
    library.scan()
    taken(library, {"0": "2001-01-01T00:00:00", "1": "", "2": "2003-01-01T00:00:00", "3": "2002-01-01T00:00:00"})
    with browsing(library) as client:
        whole = ids_of(ok(client.get("/api/v1/people/1/faces")))
        parts = [ids_of(ok(client.get("/api/v1/people/1/faces", params={"offset": n, "limit": 2}))) for n in (0, 2, 4)]
    assert whole == [3, 4, 1, 2]
    assert parts == [[3, 4], [1, 2], []]


def test_what_a_run_assigned_and_what_was_confirmed_can_be_seen_alone(family: Library) -> None:
    with browsing(family) as client:
        of_ben = ids_of(ok(client.get("/api/v1/people/2/faces")))
        ok(client.post("/api/v1/faces/confirm", json={"faces": of_ben[:1]}))
        for order in ("date", "doubt"):
            by = {
                kind: ids_of(ok(client.get("/api/v1/people/2/faces", params={"sort": order, "by": kind})))
                for kind in ("run", "user")
            }
            assert by["user"] == of_ben[:1]
            assert sorted(by["run"]) == sorted(of_ben[1:])


def test_very_few_faces_are_under_one_heading_and_those_without_a_date_under_another(library: Library) -> None:
    library.draw_looks(1, 4)
    library.scan()
    taken(library, {"0": "2001-01-01T00:00:00", "1": "2009-01-01T00:00:00", "2": "2019-01-01T00:00:00", "3": ""})
    with library.app() as app:
        tiles = tiles_by_date(first_faces(app, 1, 9), app.catalog.person_faces.totals(1))
    assert [tile.heading and tile.heading.text for tile in tiles] == ["Newest first", None, None, "Without a date"]
    assert [tile.lines for tile in tiles] == [("1 Jan 2019",), ("1 Jan 2009",), ("1 Jan 2001",), ("no date",)]


def test_few_faces_are_under_headings_of_years_and_many_under_months(library: Library) -> None:
    library.draw_looks(1, 12)
    library.scan()
    taken(library, {str(n): f"2019-0{1 + n % 2}-03T00:00:00" for n in range(12)})
    with library.app() as app:
        person_faces = app.catalog.person_faces
        totals = person_faces.totals(1)
        faces = first_faces(app, 1, 100)
        few = faces[10:]
        assert [tile.heading.text for tile in tiles_by_date(faces, totals) if tile.heading] == [
            "February 2019",
            "January 2019",
        ]
        # A page begins with the heading that its first face is under.
        assert tiles_by_date(few, totals)[0].heading is not None
    taken(library, {str(n): f"20{20 + n % 2}-0{1 + n % 6}-03T00:00:00" for n in range(12)})
    with library.app() as app:
        totals = app.catalog.person_faces.totals(1)
        tiles = tiles_by_date(first_faces(app, 1, 12), totals)
        assert [tile.heading.text for tile in tiles if tile.heading] == ["2021", "2020"]


# --- faces by doubt ---


def test_by_doubt_faces_that_look_like_somebody_else_come_first_and_confirmed_ones_last(family: Library) -> None:
    family.draw("h.png", (3, 2))
    family.scan()
    with browsing(family) as client:
        wrong = ids_of(ok(client.get("/api/v1/people/3/faces")))[0]
        ok(client.post("/api/v1/faces/assign", json={"faces": [wrong], "person": 2}))
        with family.app() as app, app.catalog.write():
            app.catalog._db.execute("UPDATE assignments SET source = 'auto' WHERE face_id = ?", [wrong])
        family.scan()
        of_ben = ids_of(ok(client.get("/api/v1/people/2/faces")))
        right = next(face for face in of_ben if face != wrong)
        ok(client.post("/api/v1/faces/confirm", json={"faces": [right]}))
        faces = ok(client.get("/api/v1/people/2/faces", params={"sort": "doubt"}))["faces"]
    assert (faces[0]["id"], faces[-1]["id"]) == (wrong, right)
    assert faces[0]["next_label"] == "Person 0003"
    assert faces[0]["next_distance"] < 0.2 < faces[0]["distance"]
    assert faces[1]["distance"] < faces[1]["next_distance"]


def test_the_only_face_of_somebody_has_no_distance_to_others(library: Library) -> None:
    library.draw_all({"a": [(1, 0)]})
    library.scan()
    with browsing(library) as client:
        done = ok(client.post("/api/v1/faces/assign", json={"faces": [1], "new_name": "Anna"}))
        [face] = ok(client.get(f"/api/v1/people/{done['people'][0]}/faces", params={"sort": "doubt"}))["faces"]
    assert face["distance"] is face["next_distance"] is None


def test_doubts_follow_decisions(family: Library) -> None:
    with browsing(family) as client:
        before = ids_of(ok(client.get("/api/v1/people/2/faces", params={"sort": "doubt"})))
        ok(client.post("/api/v1/faces/reject", json={"faces": before[:1]}))
        after = ids_of(ok(client.get("/api/v1/people/2/faces", params={"sort": "doubt"})))
    assert sorted(after) == sorted(before[1:])


def test_headings_say_why_faces_are_in_doubt(family: Library) -> None:
    with family.app() as app:
        app.corrections.rename("p3", "Carl")
        with app.corrections.deciding() as decisions:
            decisions.confirm(["f1"])
        doubts = app.resemblance.doubts(1)
        tiles = tiles_by_doubt(first_faces(app, 1, 10, doubts))
    assert [tile.heading.text for tile in tiles if tile.heading] == [
        "Farthest from the others first",
        "Confirmed by you",
    ]
    assert "second is" in tiles[0].label
    assert [line.split(" ", 1)[0] for line in tiles[0].lines] == [tiles[0].label.split("distance ")[1][:4], "then"]


@given(st.integers(2, 12), st.integers(0, 5))
def test_how_far_a_face_is_from_the_others_does_not_depend_on_itself(n_faces: int, seed: int) -> None:
    faces = np.array([fake.embedding_of(1, seed + look) for look in range(n_faces)], np.float32)
    weights = np.ones(n_faces, np.float32)
    far = distances_to_others(faces, weights)
    others = faces[1:].sum(0)
    assert far[0] == pytest.approx(float(np.linalg.norm(faces[0] - others / np.linalg.norm(others))), abs=1e-5)
    order = np.arange(n_faces)[::-1]
    assert distances_to_others(faces[order], weights) == pytest.approx(far[order])


# --- who is like somebody ---


def test_look_alikes_are_the_most_alike_first_with_what_is_known_of_both(catalog_of_likes: FaceCatalog) -> None:
    from facewatch.indexing.engine import EngineInUse
    from facewatch.people.kept_vectors import KeptVectors
    from facewatch.people.resemblance import Resemblance

    class InUse:
        def in_use(self) -> EngineInUse:
            return EngineInUse(catalog_of_likes.engine_id, catalog_of_likes.info)

    catalog = catalog_of_likes.catalog
    known = catalog.engines.all()[0]
    resemblance = Resemblance(catalog, InUse(), lambda: KeptVectors(catalog).load(known))  # type: ignore[arg-type]
    found = resemblance.similar(1, 5)
    assert [one.person_id for one in found] == [2, 3]
    assert found[0].similarity > 0.9 > found[1].similarity
    assert found[0].chance > 0.5 > found[1].chance
    vectors = np.array([fake.embedding_of(1, look) for look in range(4)])
    pairs = [float(vectors[i] @ vectors[j]) for i in range(4) for j in range(i)]
    assert resemblance.own_similarity(1) == pytest.approx(np.mean(pairs), abs=1e-5)
    assert not found[0].is_apart
    catalog_of_likes.decisions.cannot_link("p1", "p2")
    catalog_of_likes.decisions.hide("p3")
    # Only whose faces changed is read again; hidden people are shown to nobody.
    again = resemblance.similar(1, 5)
    assert [(one.person_id, one.is_apart) for one in again] == [(2, True)]
    catalog_of_likes.decisions.merge("p1", ["p2"])
    assert resemblance.similar(1, 5) == []


@pytest.fixture
def catalog_of_likes(tmp_path: Path) -> Iterator[FaceCatalog]:
    """Three people: the second looks like the first, the third does not."""
    with Catalog(tmp_path / "c.sqlite") as catalog:
        faces = FaceCatalog(catalog)
        for person, looks in ((1, range(4)), (1, range(4, 8)), (2, range(3))):
            faces.group_of(faces.loose(*(fake.embedding_of(person, look) for look in looks)))
        yield faces


# --- splitting ---


def two_in_one(library: Library) -> None:
    """Anna, who is really two people with three photos each."""
    library.draw_all({f"x{look}": [(1, look)] for look in range(3)} | {f"y{look}": [(2, look)] for look in range(3)})
    library.scan()
    with library.app() as app:
        app.corrections.rename("p1", "Anna")
        with app.corrections.deciding() as decisions:
            decisions.merge("p1", ["p2"])


def test_a_split_is_proposed_in_parts_and_applied_as_one_decision(library: Library) -> None:
    two_in_one(library)
    before = library.tree()
    with browsing(library) as client:
        kept, other = ok(client.get("/api/v1/people/1/split"))["parts"]
        assert (len(kept["faces"]), len(other["faces"])) == (3, 3)
        done = ok(client.post("/api/v1/people/1/split", json={"parts": [{"faces": other["faces"], "new_name": "Bea"}]}))
        assert done["said"] == "Split: Anna 3 photos, Bea 3 photos"
        wait_until(lambda: [len(group) for group in library.groups()] == [3, 3])
        assert "Bea/y0.png" in library.tree() or "Bea/x0.png" in library.tree()
        ok(client.post(f"/api/v1/journal/{done['entry_id']}/undo"))
    assert library.tree() == before


def test_parts_of_a_split_may_be_nobody_yet_or_somebody_who_is_there(library: Library) -> None:
    two_in_one(library)
    library.draw_all({"z0": [(3, 0)], "z1": [(3, 1)]})
    library.scan()
    with browsing(library) as client:
        faces = ids_of(ok(client.get("/api/v1/people/1/faces")))
        done = ok(
            client.post(
                "/api/v1/people/1/split", json={"parts": [{"faces": faces[:1]}, {"faces": faces[1:2], "person": 3}]}
            )
        )
        kept, new, known = done["people"]
        assert (kept, known) == (1, 3)
        assert ids_of(ok(client.get(f"/api/v1/people/{new}/faces"))) == faces[:1]
        assert faces[1] in ids_of(ok(client.get("/api/v1/people/3/faces")))
        ok(client.post(f"/api/v1/journal/{done['entry_id']}/undo"))
        assert ids_of(ok(client.get("/api/v1/people/1/faces"))) == faces


def test_a_split_that_cannot_be_made_as_a_whole_changes_nothing(library: Library) -> None:
    two_in_one(library)
    before = library.tree()
    with browsing(library) as client:
        faces = ids_of(ok(client.get("/api/v1/people/1/faces")))
        refused = [
            [{"faces": faces[:1], "new_name": "Anna"}],
            [{"faces": faces[:1]}, {"faces": faces[1:2], "person": 99}],
            [{"faces": faces}],
            [{"faces": faces[:1]}, {"faces": faces[:1]}],
            [{"faces": faces[:1], "person": 1}],
            [{"faces": [999]}],
        ]
        for parts in refused:
            assert client.post("/api/v1/people/1/split", json={"parts": parts}).status_code in (404, 409), parts
        assert ids_of(ok(client.get("/api/v1/people/1/faces"))) == faces
    assert library.tree() == before


def test_nothing_to_split_is_said(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions, pytest.raises(DecisionError, match="stay"):
        separate(app.catalog, decisions, person_at(app.catalog, 1), [Arranged(())])


def test_a_stricter_split_and_one_into_so_many_can_be_asked_for(library: Library) -> None:
    two_in_one(library)
    with browsing(library) as client:
        assert len(ok(client.get("/api/v1/people/1/split", params={"into": 3}))["parts"]) == 3
        assert len(ok(client.get("/api/v1/people/1/split", params={"strict": True}))["parts"]) == 2
        assert client.get("/api/v1/people/1/split", params={"into": 9}).status_code == 409


def test_every_order_lists_each_face_once(family: Library) -> None:
    with family.app() as app:
        doubts = app.resemblance.doubts(2)
        for by in FacesBy:
            by_date = set(ordered_faces(app.catalog, 2, by=by))
            by_doubt = ordered_faces(app.catalog, 2, doubts, by=by)
            assert by_date == set(by_doubt)
            assert len(by_date) == len(by_doubt)
