"""The audit: faults put into a catalog are found, fixed where that takes no decision, and told where it does."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import FAMILY, Library, make_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import facewatch.cli.audit  # noqa: F401 - it adds its commands to the group
from facewatch.app import App
from facewatch.checks import FaultKind, Finding
from facewatch.checks.audit import Audit
from facewatch.cli import main
from facewatch.cli.program import facewatch as group
from facewatch.engines import fake
from facewatch.indexing.engine import WantedEngine

PHOTOS = FAMILY | {"g": [(1, 2)], "h": [(2, 3)]}


def draw_all(library: Library) -> Library:
    """Three people in three, four and two photos; a.png shows two of them."""
    library.draw_all(PHOTOS)
    library.scan()
    return library


@pytest.fixture
def three(library: Library) -> Library:
    return draw_all(library)


def face(app: App, library: Library, name: str, number: int = 0) -> Any:
    return app.lookup.photo(library.photos / f"{name}.png")["faces"][number]


def put(app: App, statement: str, *values: object) -> None:
    """Put a fault into the catalog."""
    with app.catalog.write():
        app.catalog._db.execute(statement, values)


def give(app: App, face_id: int, person_id: int, source: str = "auto") -> None:
    put(
        app,
        "INSERT INTO assignments (face_id, person_id, source, rule, at) VALUES (?, ?, ?, 'by hand', 'now')"
        " ON CONFLICT (face_id) DO UPDATE SET person_id = excluded.person_id, source = excluded.source",
        *(face_id, person_id, source),
    )


def whose(app: App) -> dict[int, tuple[int, str]]:
    rows = app.catalog._db.execute("SELECT face_id, person_id, source FROM assignments ORDER BY face_id")
    return {face_id: (person_id, source) for face_id, person_id, source in rows}


def of_kind(found: Audit, kind: FaultKind) -> list[Finding]:
    return [finding for finding in found.findings if finding.kind is kind]


def only(found: Audit, kind: FaultKind) -> Finding:
    [finding] = of_kind(found, kind)
    return finding


# --- nothing wrong ---


def test_nothing_is_wrong_in_a_library_that_was_just_scanned(three: Library) -> None:
    with three.app() as app:
        assert app.auditor().check() == Audit((), ())
        fixed = app.auditor().fix()
    assert fixed == Audit((), ())
    assert fixed.is_clean


def test_nothing_is_wrong_in_a_catalog_without_photos(library: Library) -> None:
    with library.app() as app:
        assert app.auditor().check().is_clean


def test_looking_writes_nothing(three: Library) -> None:
    with three.app() as app:
        give(app, face(app, three, "b")["face_id"], face(app, three, "e")["person_id"])
        next(three.people.rglob("e.png")).unlink()
        dump, tree = list(app.catalog._db.conn.iterdump()), three.tree()
        assert len(app.auditor().check().findings) > 1
        assert list(app.catalog._db.conn.iterdump()) == dump
    assert three.tree() == tree


# --- one person twice in a photo ---


def test_of_two_faces_of_one_person_in_a_photo_the_surer_one_stays(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        give(app, two["face_id"], one["person_id"])
        finding = only(app.auditor().check(), FaultKind.TWICE)
        photo = app.lookup.photo(three.photos / "a.png")["photo_id"]
        assert finding.id == f"twice:{one['person_id']}:{photo}"
        assert f"face f{one['face_id']} stays (the surest), face f{two['face_id']} would go" in finding.text
        assert finding.photos == (str(three.photos / "a.png"),)
        assert app.auditor().fix().is_clean
        # It was looked at again, and is whose it was.
        assert face(app, three, "a", 1)["person_id"] == two["person_id"]


def test_what_a_user_placed_stays_even_where_a_run_is_surer(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        give(app, two["face_id"], one["person_id"], "user")
        finding = only(app.auditor().check(), FaultKind.TWICE)
        assert f"face f{two['face_id']} stays (assigned by you), face f{one['face_id']} would go" in finding.text
        app.auditor().fix()
        assert whose(app)[two["face_id"]] == (one["person_id"], "user")
        assert one["face_id"] not in whose(app)


def test_two_faces_that_a_user_placed_are_told_but_no_fault(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        for face_id in (one["face_id"], two["face_id"]):
            give(app, face_id, one["person_id"], "user")
        before = whose(app)
        found = app.auditor().fix()
        assert "as you said" in only(found, FaultKind.TWICE).text
        assert found.is_clean
        assert whose(app) == before


def test_who_lives_no_longer_or_whose_photo_is_away_is_twice_in_none(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        give(app, two["face_id"], one["person_id"])
        photo = app.lookup.photo(three.photos / "a.png")["photo_id"]
        assert app.catalog.integrity.twice() == [(one["person_id"], photo)]
        put(app, "UPDATE people SET is_gone = 1 WHERE id = ?", one["person_id"])
        assert app.catalog.integrity.twice() == []
        put(app, "UPDATE people SET is_gone = 0 WHERE id = ?", one["person_id"])
        put(app, "DELETE FROM files WHERE photo_id = ?", photo)
        assert app.catalog.integrity.twice() == []


# --- nearer to another ---


def test_a_face_that_a_run_gave_to_the_wrong_person_goes_to_the_right_one_with_its_link(three: Library) -> None:
    tree = three.tree()
    with three.app() as app:
        misplaced, person = face(app, three, "b"), face(app, three, "e")["person_id"]
        give(app, misplaced["face_id"], person)
        app.folder.sync()
        assert three.tree() != tree
        finding = only(app.auditor().check(), FaultKind.NEARER)
        assert finding.people == (person, misplaced["person_id"])
        assert finding.is_fault
        assert f"facewatch assign f{misplaced['face_id']} p{misplaced['person_id']}" in finding.remedies
        found = app.auditor().fix()
        assert [fixed.id for fixed in found.fixed] == [finding.id]
        assert found.is_clean
        assert face(app, three, "b")["person_id"] == misplaced["person_id"]
    assert three.tree() == tree


def test_mending_is_one_decision_and_undo_takes_all_of_it_back(three: Library) -> None:
    with three.app() as app:
        three_id = face(app, three, "e")["person_id"]
        for name in ("b", "c"):
            give(app, face(app, three, name)["face_id"], three_id)
        before = whose(app)
        n_decisions = len(app.catalog.journal.decisions())
        found = app.auditor().fix()
        assert len(found.fixed) > 2  # both faces, and the folders
        [entry, *_] = app.corrections.history()
        assert (entry.id, entry.actor, entry.action) == (found.entry_id, "user", "audit")
        assert len(app.catalog.journal.decisions()) == n_decisions + 1
        assert whose(app) != before
        app.corrections.undo()
        assert whose(app) == before


def test_faces_of_one_photo_that_were_swapped_are_swapped_back(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        give(app, one["face_id"], two["person_id"])
        give(app, two["face_id"], one["person_id"])
        assert len(of_kind(app.auditor().check(), FaultKind.NEARER)) == 2
        assert app.auditor().fix().is_clean
        assert [face(app, three, "a", i)["person_id"] for i in (0, 1)] == [one["person_id"], two["person_id"]]


def test_a_face_that_a_user_placed_is_only_told_when_it_looks_like_another(three: Library) -> None:
    with three.app() as app:
        give(app, face(app, three, "b")["face_id"], face(app, three, "e")["person_id"], "user")
        app.folder.sync()
        before = whose(app)
        found = app.auditor().fix()
        assert only(found, FaultKind.NEARER).text.endswith("you assigned it, so it stays")
        assert found.is_clean
        assert whose(app) == before


@pytest.mark.parametrize("why", ["in the photo", "rejected", "unborn"])
def test_nobody_is_nearer_who_cannot_be_the_face(three: Library, why: str) -> None:
    three.draw("i.png", (1, 5), (9, 0))
    three.scan()
    with three.app() as app:
        near, beside = face(app, three, "i", 0), face(app, three, "i", 1)
        person = near["person_id"]
        give(app, near["face_id"], face(app, three, "e")["person_id"])
        assert len(of_kind(app.auditor().check(), FaultKind.NEARER)) == 1
        if why == "in the photo":
            give(app, beside["face_id"], person, "user")
        elif why == "rejected":
            put(app, "INSERT INTO rejections VALUES (?, ?, 'now')", near["face_id"], person)
        else:
            put(app, "UPDATE people SET born = '2000' WHERE id = ?", person)
            put(app, "UPDATE photos SET taken_at = '1990-01-01T00:00:00'")
        assert [f for f in of_kind(app.auditor().check(), FaultKind.NEARER) if near["face_id"] in f.faces] == []


def make_doubtful(app: App, face_id: int, person: int, other: int) -> None:
    """Make a face look like two of the drawn people, a little more like the first, and enough like neither."""
    between = 0.8 * fake.embedding_of(person, 0) + 0.6 * fake.embedding_of(other, 0)
    vector = (between / np.linalg.norm(between)).astype("<f4").tobytes()
    put(app, "UPDATE embeddings SET vector = ? WHERE face_id = ?", vector, face_id)


def test_a_face_stays_while_another_that_stays_takes_its_place(three: Library) -> None:
    three.draw("i.png", (1, 5), (9, 0))
    three.scan()
    with three.app() as app:
        clear, doubtful = face(app, three, "i", 0), face(app, three, "i", 1)
        make_doubtful(app, doubtful["face_id"], 2, 1)
        give(app, doubtful["face_id"], clear["person_id"])
        give(app, clear["face_id"], face(app, three, "e")["person_id"])
        app.folder.sync()
        before = whose(app)
        found = of_kind(app.auditor().fix(), FaultKind.NEARER)
        assert {finding.faces for finding in found} == {(clear["face_id"],), (doubtful["face_id"],)}
        assert whose(app) == before


def test_a_face_that_matching_would_give_to_nobody_is_told_but_stays(three: Library) -> None:
    with three.app() as app:
        doubtful, other = face(app, three, "b"), face(app, three, "c")["person_id"]
        make_doubtful(app, doubtful["face_id"], 1, 2)
        give(app, doubtful["face_id"], other)
        app.folder.sync()
        before = whose(app)
        found = app.auditor().fix()
        finding = only(found, FaultKind.NEARER)
        assert finding.fix is None
        assert finding.is_fault
        assert whose(app) == before
        # Whoever says that it is right is not told of a fault again.
        with app.corrections.deciding() as decisions:
            decisions.confirm([str(doubtful["face_id"])])
        assert app.auditor().check().is_clean


# --- people that look like one ---


def split_in_two(app: App, library: Library) -> tuple[int, int]:
    """Give two of the four faces of somebody to a new person."""
    old = face(app, library, "c")["person_id"]
    with app.catalog.write():
        new = app.catalog.people.add("now")
    for name in ("c", "d"):
        give(app, face(app, library, name)["face_id"], new)
    app.folder.sync()
    return old, new


def test_two_halves_of_one_person_are_told_and_not_merged(three: Library) -> None:
    with three.app() as app:
        old, new = split_in_two(app, three)
        app.corrections.rename(str(old), "Anna Maria")
        before = whose(app)
        found = app.auditor().fix()
        finding = only(found, FaultKind.ALIKE)
        assert finding.id == f"alike:{old}:{new}"
        assert finding.remedies == (f"facewatch merge 'Anna Maria' p{new}", f"facewatch apart 'Anna Maria' p{new}")
        assert not found.is_clean
        assert whose(app) == before


def test_two_halves_who_are_in_one_photo_together_are_told_as_who_may_be_there_twice(three: Library) -> None:
    with three.app() as app:
        old, new = split_in_two(app, three)
        mine, theirs = (app.catalog.faces.of_person(person_id)[0].id for person_id in (old, new))
        photo = "(SELECT photo_id FROM faces WHERE id = ?)"
        put(app, f"UPDATE faces SET photo_id = {photo} WHERE id = ?", mine, theirs)
        finding = only(app.auditor().check(), FaultKind.ALIKE)
    assert finding.id == f"alike:{old}:{new}"
    assert finding.text.endswith("and are in 1 photo together")


@pytest.mark.parametrize("why", ["apart", "rejected", "hidden"])
def test_people_who_cannot_be_one_or_are_not_asked_about_are_not_told(three: Library, why: str) -> None:
    with three.app() as app:
        old, new = split_in_two(app, three)
        if why == "apart":
            put(app, "INSERT INTO apart VALUES (?, ?, 'now')", old, new)
        elif why == "rejected":
            put(app, "INSERT INTO rejections VALUES (?, ?, 'now')", face(app, three, "c")["face_id"], old)
        else:
            put(app, "UPDATE people SET is_hidden = 1 WHERE id = ?", new)
        assert of_kind(app.auditor().check(), FaultKind.ALIKE) == []


# --- links that lie ---


def test_a_link_that_somebody_deleted_is_decided_by_a_fix_as_by_any_sync(three: Library) -> None:
    link = next(three.people.rglob("b.png"))
    link.unlink()
    with three.app() as app:
        assert app.auditor().fix().is_clean
        assert app.corrections.history()[0].details["source"] == "folder"
    assert not link.is_symlink()


def test_links_that_are_gone_or_lead_elsewhere_are_found_and_made_again(three: Library) -> None:
    tree = three.tree()
    gone, elsewhere = next(three.people.rglob("b.png")), next(three.people.rglob("g.png"))
    gone.unlink()
    elsewhere.unlink()
    elsewhere.symlink_to(three.photos / "e.png")
    with three.app({"folders.edit": "ignore"}) as app:
        finding = only(app.auditor().check(), FaultKind.LINKS)
        assert "1 link not there, 1 link replaced" in finding.text
        assert set(finding.photos) == {str(three.photos / "b.png"), str(three.photos / "g.png")}
        assert app.auditor().fix().is_clean
    # The link that a stranger put there is not touched: ours has another name.
    assert {link for link in tree.items() if link[0].endswith("b.png")} <= set(three.tree().items())
    assert sorted(three.tree().values()) == sorted([*tree.values(), "e.png"])


def test_a_folder_without_a_person_is_found_and_removed(three: Library) -> None:
    with three.app() as app:
        person = face(app, three, "e")["person_id"]
        folder = app.catalog.links.folders()[person]
        put(app, "DELETE FROM assignments WHERE person_id = ?", person)
        finding = only(app.auditor().check(), FaultKind.LINKS)
        assert folder in finding.text
        assert "a folder without a person" in finding.text
        app.auditor().fix()
    assert not (three.people / folder).exists()


def test_what_others_put_into_the_people_folder_is_counted_and_stays(three: Library) -> None:
    (three.people / "Holiday").mkdir()
    own = next(three.people.rglob("b.png")).with_name("notes.txt")
    own.write_text("mine")
    with three.app() as app:
        found = app.auditor().fix()
    assert only(found, FaultKind.LINKS).text.startswith("1 file and 1 folder in ")
    assert found.is_clean
    assert own.read_text() == "mine"
    assert (three.people / "Holiday").is_dir()


def test_links_to_files_that_are_gone_take_a_scan(three: Library) -> None:
    (three.photos / "b.png").unlink()
    with three.app() as app:
        finding = only(app.auditor().fix(), FaultKind.LINKS)
    assert finding.remedies == ("facewatch scan",)
    assert finding.photos == (str(three.photos / "b.png"),)
    three.scan()
    with three.app() as app:
        assert app.auditor().check().is_clean


def test_a_library_that_is_unplugged_is_no_fault(three: Library) -> None:
    three.photos.rename(three.base / "unplugged")
    with three.app() as app:
        found = app.auditor().check()
    assert "plug it in" in only(found, FaultKind.LINKS).text
    assert found.is_clean


def test_a_people_folder_that_is_unplugged_is_left_out(three: Library) -> None:
    shutil.rmtree(three.people)
    with three.app() as app:
        found = app.auditor().check()
    assert found.findings == ()
    assert found.left_out[0].startswith("links: ")


# --- a catalog that contradicts itself ---


def test_faces_of_a_merged_person_go_to_whom_it_was_merged_into(three: Library) -> None:
    with three.app() as app:
        one, two = face(app, three, "b"), face(app, three, "e")["person_id"]
        put(app, "UPDATE people SET merged_into = ? WHERE id = ?", two, one["person_id"])
        assert {f.id for f in of_kind(app.auditor().check(), FaultKind.CATALOG)} >= {f"stray:{one['face_id']}"}
        assert of_kind(app.auditor().fix(), FaultKind.CATALOG) == []
        assert whose(app)[one["face_id"]][0] == two


def test_faces_of_a_person_that_is_gone_are_released(three: Library) -> None:
    with three.app() as app:
        one = face(app, three, "b")
        put(app, "UPDATE people SET is_gone = 1 WHERE id = ?", one["person_id"])
        assert len(of_kind(app.auditor().check(), FaultKind.CATALOG)) == 3
        assert app.auditor().fix().is_clean
        assert one["person_id"] not in {person for person, _ in whose(app).values()}


def test_faces_that_a_user_placed_with_a_person_that_is_gone_wait_for_the_user(three: Library) -> None:
    with three.app() as app:
        placed = face(app, three, "g")
        give(app, placed["face_id"], placed["person_id"], "user")
        put(app, "UPDATE people SET is_gone = 1 WHERE id = ?", placed["person_id"])
        before = whose(app)
        found = of_kind(app.auditor().fix(), FaultKind.CATALOG)
        assert whose(app) == before
        remedies = {finding.faces: finding.remedies for finding in found}
        assert f"facewatch unassign f{placed['face_id']}" in remedies[placed["face_id"],]
        with app.corrections.deciding() as decisions:
            decisions.unassign([str(placed["face_id"])])
        assert app.auditor().fix().is_clean


@pytest.mark.parametrize("table", ["rejections", "marks"])
def test_a_run_that_contradicts_a_user_gives_way_and_a_user_who_does_is_asked(three: Library, table: str) -> None:
    with three.app() as app:
        by_run, by_user = face(app, three, "b"), face(app, three, "g")
        give(app, by_user["face_id"], by_user["person_id"], "user")
        for one in (by_run, by_user):
            value = one["person_id"] if table == "rejections" else "nobody"
            put(app, f"INSERT INTO {table} VALUES (?, ?, 'now')", one["face_id"], value)
        found = app.auditor().fix()
        assert only(found, FaultKind.CATALOG).faces == (by_user["face_id"],)
        assert by_run["face_id"] not in whose(app)
        assert whose(app)[by_user["face_id"]] == (by_user["person_id"], "user")


def test_a_face_of_which_it_turned_out_later_that_it_is_older_than_its_person_goes(three: Library) -> None:
    with three.app() as app:
        by_run, by_user = face(app, three, "c"), face(app, three, "d")
        ben, put_there = by_run["person_id"], (by_user["face_id"], by_user["person_id"])
        with app.corrections.deciding() as decisions:
            decisions.confirm([str(by_user["face_id"])])
            decisions.cover(str(ben), str(by_run["face_id"]))
            decisions.born(str(ben), "2005")
        for name in ("c", "d"):
            photo = app.lookup.photo(three.photos / f"{name}.png")["photo_id"]
            put(app, "UPDATE photos SET taken_at = '1990-01-01T00:00:00' WHERE id = ?", photo)
        told = {finding.faces[0]: finding for finding in of_kind(app.auditor().check(), FaultKind.CATALOG)}
        assert told.keys() == {by_run["face_id"], by_user["face_id"]}
        assert "born 2005, but the photo was taken on 1990-01-01" in told[by_run["face_id"]].text
        found = app.auditor().fix()
        assert only(found, FaultKind.CATALOG).text.endswith("you assigned it, so it stays")
        assert found.is_clean
        assert by_run["face_id"] not in whose(app)
        assert whose(app)[put_there[0]] == (put_there[1], "user")
        assert app.lookup.person(str(ben)).cover_id is None


@pytest.mark.parametrize("n", [1, 2])
def test_a_circle_of_merges_is_opened_where_most_faces_are(three: Library, n: int) -> None:
    with three.app() as app:
        few, many = face(app, three, "e")["person_id"], face(app, three, "c")["person_id"]
        n_faces = len(whose(app))
        put(app, "UPDATE people SET merged_into = ? WHERE id = ?", few if n == 2 else many, many)
        if n == 2:
            put(app, "UPDATE people SET merged_into = ? WHERE id = ?", many, few)
        app.auditor().fix()
        assert of_kind(app.auditor().check(), FaultKind.CATALOG) == []
        assert app.lookup.person(str(many)).id == many
        assert len(whose(app)) == n_faces


def test_rows_that_name_what_is_not_there_are_told(three: Library) -> None:
    with three.app() as app:
        db = app.catalog._db
        db.execute("PRAGMA foreign_keys = OFF")
        put(app, "INSERT INTO rejections VALUES (9999, 1, 'now')")
        db.execute("PRAGMA foreign_keys = ON")
        finding = only(app.auditor().check(), FaultKind.CATALOG)
    assert finding.id == "dangling:rejections:faces"
    assert finding.fix is None


def test_a_damaged_catalog_is_told_and_nothing_else_is_looked_at(three: Library) -> None:
    with three.app() as app:
        app.catalog._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [root] = app.catalog._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'faces_photo'").fetchone()
        [size] = app.catalog._db.execute("PRAGMA page_size").fetchone()
    with three.catalog.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with three.app() as app:
        found = app.auditor().check()
    assert [finding.id for finding in found.findings] == ["damage"]
    assert not found.is_clean


# --- all of it ---


def test_without_the_engine_everything_but_distances_is_looked_at(three: Library) -> None:
    other = fake.FakeEngine()
    other_info = type(fake.INFO)(**{name: getattr(fake.INFO, name) for name in fake.INFO.__slots__} | _OTHER)
    with three.app() as app:
        one, two = face(app, three, "a", 0), face(app, three, "a", 1)
        give(app, two["face_id"], one["person_id"])
        give(app, face(app, three, "b")["face_id"], face(app, three, "e")["person_id"])
    with three.app(engine=other) as app:
        app.engine._info = other_info
        found = app.auditor().check()
    assert {finding.kind for finding in found.findings} == {FaultKind.TWICE, FaultKind.LINKS}
    assert "the engine is being changed" in found.left_out[0]


_OTHER = {"name": "other", "fingerprint": "other"}


def test_what_changed_since_it_was_looked_at_is_left_alone(three: Library) -> None:
    from facewatch.checks.faces import fix_faces

    with three.app() as app:
        misplaced, person = face(app, three, "b")["face_id"], face(app, three, "e")["person_id"]
        give(app, misplaced, person)
        found = app.auditor().check()
        give(app, misplaced, person, "user")
        decided = fix_faces(app.catalog, found.findings)
        assert (decided.entry_id, decided.released) == (None, ())
        assert whose(app)[misplaced] == (person, "user")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2), st.sampled_from(["auto", "user"])), max_size=6))
def test_whatever_is_misplaced_what_users_said_stays_and_undo_restores_the_rest(
    tmp_path_factory: pytest.TempPathFactory, faults: list[tuple[int, int, str]]
) -> None:
    library = draw_all(make_library(tmp_path_factory.mktemp("library")))
    with library.app() as app:
        faces, people = sorted(whose(app)), sorted({person for person, _ in whose(app).values()})
        for number, person, source in faults:
            give(app, faces[number], people[person], source)
        before = whose(app)
        found = app.auditor().fix()
        after = whose(app)
        assert {f: p for f, p in before.items() if p[1] == "user"}.items() <= after.items()
        # Nobody whom a run placed is in a photo twice.
        assert all(not finding.is_fault for finding in of_kind(found, FaultKind.TWICE))
        if found.entry_id is not None:
            app.corrections.undo()
        restored = whose(app)
        # Undo brings nobody into a photo twice, not even where it was so before.
        twice = {face_id for finding in found.fixed if finding.kind == FaultKind.TWICE for face_id in finding.faces}
        assert {f: p for f, p in restored.items() if f not in twice} == {
            f: p for f, p in before.items() if f not in twice
        }


def test_while_another_process_scans_faults_are_fixed_all_the_same(three: Library) -> None:
    with three.app() as app, three.app() as other:
        misplaced = face(app, three, "b")
        give(app, misplaced["face_id"], face(app, three, "e")["person_id"])
        with other.catalog.run_lock("scan"):
            assert not app.auditor().check().is_clean
            assert app.auditor().fix().is_clean
        assert face(app, three, "b")["person_id"] == misplaced["person_id"]


# --- the command ---


def run(library: Library, *arguments: str) -> int:
    try:
        return main(["audit", *arguments, "--catalog", str(library.catalog), "--people", str(library.people)])
    except SystemExit as exit_:
        return int(exit_.code or 0)


@pytest.fixture
def as_fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the engine of the drawn libraries."""
    monkeypatch.setattr(WantedEngine, "info", fake.INFO)


def test_the_command_says_what_is_wrong_and_what_to_type(
    three: Library, as_fake: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(three) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    with three.app() as app:
        give(app, face(app, three, "b")["face_id"], face(app, three, "e")["person_id"])
        split_in_two(app, three)
    assert run(three, "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert run(three) == 1
    out = capsys.readouterr().out
    for finding in facts["findings"]:
        assert finding["text"] in out
        for remedy in finding["remedies"]:
            assert remedy in out
            for one in remedy.split(" && "):
                assert shlex.split(one)[1] in {*group.commands, "folders", "scan"}
    assert "2 findings: `facewatch audit --fix` fixes 1, 1 takes your decision" in out
    assert run(three, "--fix") == 1
    out = capsys.readouterr().out
    assert "1 fault fixed" in out
    assert "1 finding left to decide" in out


def test_exit_code_0_says_that_all_was_fixed(three: Library, as_fake: None, capsys: pytest.CaptureFixture[str]) -> None:
    next(three.people.rglob("b.png")).unlink()
    assert run(three, "-q") == 1
    assert run(three, "--fix") == 0
    assert capsys.readouterr().out.endswith("nothing is left\n")
    assert run(three) == 0


def test_a_name_with_a_blank_is_typed_as_one_word(three: Library, tmp_path: Path) -> None:
    with three.app() as app:
        app.corrections.rename(str(face(app, three, "b")["person_id"]), "Anna Maria")
        give(app, face(app, three, "g")["face_id"], face(app, three, "e")["person_id"])
        [finding] = of_kind(app.auditor().check(), FaultKind.NEARER)
    assert shlex.split(finding.remedies[0])[-1] == "Anna Maria"
