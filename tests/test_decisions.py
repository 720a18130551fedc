"""Decisions of users: each is effective at once in catalog and folders, and can be taken back."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.app import App
from facewatch.catalog import Catalog, Mark
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.births import is_clearly_before
from facewatch.people.corrections import Decisions, clean_date
from facewatch.people.lookup import find_person
from facewatch.people.undo import History


def face_on(app: App, place: str) -> dict[str, Any]:
    """Return the face at "photo:n"."""
    name, _, n = place.rpartition(":")
    faces: list[dict[str, Any]] = app.lookup.photo(Path(name))["faces"]
    return faces[int(n) - 1]


def person_on(app: App, place: str) -> int | None:
    person: int | None = face_on(app, place)["person_id"]
    return person


def name_on(app: App, place: str) -> str | None:
    name: str | None = face_on(app, place)["name"]
    return name


def state_of(app: App) -> dict[str, Any]:
    """Return everything that decisions are about; of people only the living."""
    db = app.catalog._db
    tables = ("assignments", "rejections", "marks", "apart", "presences")
    people = "SELECT id, name, is_hidden, is_touched, born, cover_id, folder FROM people WHERE merged_into IS NULL"
    return {
        **{table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables},
        "people": db.execute(f"{people} AND NOT is_gone ORDER BY id").fetchall(),
    }


DECISIONS: dict[str, Any] = {
    "rename": lambda d: d.rename("Person 0003", "Clara"),
    "rename and merge": lambda d: d.rename("Person 0003", "Anna", may_merge=True),
    "merge": lambda d: d.merge("Anna", ["Person 0003", "Ben"]),
    "cannot_link": lambda d: d.cannot_link("Anna", "Person 0003"),
    "assign": lambda d: d.assign(["g.png:1", "e.png:1"], "Anna"),
    "assign to somebody new": lambda d: d.assign(["g.png:1"], "Dora", is_new=True),
    "unassign": lambda d: d.unassign(["b.png:1"]),
    "reject": lambda d: d.reject(["b.png:1", "c.png:1"]),
    "reject somebody else": lambda d: d.reject(["g.png:1"], "Anna"),
    "confirm faces": lambda d: d.confirm(["b.png:1"]),
    "confirm a person": lambda d: d.confirm_person("Ben"),
    "ignore": lambda d: d.ignore(["g.png:1", "b.png:1"]),
    "hide": lambda d: d.hide("Ben"),
    "cover": lambda d: d.cover("Ben", "c.png:1"),
    "born": lambda d: d.born("Ben", "1990-04"),
    "forget": lambda d: d.forget("Ben"),
    "present": lambda d: d.present("Anna", [3, 4]),
    "somebody new is present": lambda d: d.present("Dora", [3], is_new=True),
}


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_undo_restores_everything_and_redo_makes_it_again(family: Library, decide: Any) -> None:
    with family.app() as app:
        before = state_of(app), family.tree()
        with app.corrections.deciding() as decisions:
            decide(decisions)
        after = state_of(app), family.tree()
        assert after != before
        app.corrections.undo()
        assert (state_of(app), family.tree()) == before
        app.corrections.redo()
        assert (state_of(app), family.tree()) == after


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_what_was_decided_twice_is_on_record_once(family: Library, decide: Any) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decide(decisions)
        n_entries = len(app.corrections.history())
        try:
            with app.corrections.deciding() as decisions:
                decide(decisions)
        except (NotKnownError, DecisionError):
            pass  # somebody is gone, or a name is taken: that is said
        assert len(app.corrections.history()) == n_entries


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_a_decision_stands_after_another_scan(family: Library, decide: Any) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decide(decisions)
        app.grouping.recluster()
        decided = state_of(app)
    family.scan()
    with family.app() as app:
        assert state_of(app) == decided


def test_a_placed_face_is_in_its_folder_at_once(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.assign(["g.png:1"], "Anna")
    assert "Anna/g.png" in family.tree()


def test_a_placed_face_takes_the_place_of_one_that_a_run_put_into_the_same_photo(family: Library) -> None:
    with family.app() as app:
        other = face_on(app, "a.png:2")
        taken = next(n for n in ("a.png:1", "a.png:2") if name_on(app, n) == "Ben")
        free = "a.png:1" if taken == "a.png:2" else "a.png:2"
        with app.corrections.deciding() as decisions:
            decided = decisions.assign([free], "Ben")
        assert name_on(app, free) == "Ben"
        assert name_on(app, taken) != "Ben"
        assert len(decided.released) == 1
        assert other["face_id"]


def test_the_user_may_put_one_person_into_a_photo_twice(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.assign(["a.png:1", "a.png:2"], "Anna")
        assert [name_on(app, f"a.png:{n}") for n in (1, 2)] == ["Anna", "Anna"]


def test_a_rejected_face_is_not_given_to_that_person_again_whatever_runs(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.reject(["b.png:1"])
    family.draw("h.png", (1, 7))
    family.scan()
    with family.app() as app:
        assert name_on(app, "b.png:1") != "Anna"
        assert name_on(app, "h.png:1") == "Anna"


def test_an_unassigned_face_stays_with_nobody_until_a_user_says_whose_it_is(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.unassign(["b.png:1"])
    family.scan()
    with family.app() as app:
        assert (name_on(app, "b.png:1"), face_on(app, "b.png:1")["mark"]) == (None, Mark.NOBODY)
        with app.corrections.deciding() as decisions:
            decisions.assign(["b.png:1"], "Anna")
        assert (name_on(app, "b.png:1"), face_on(app, "b.png:1")["mark"]) == ("Anna", None)


def test_a_merge_of_somebody_with_whom_a_face_was_said_not_to_be_leaves_that_face_out(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.reject(["b.png:1"], "Ben")
            decided = decisions.merge("Ben", ["Anna"])
        assert face_on(app, "b.png:1")["face_id"] in decided.released
        assert name_on(app, "b.png:1") is None


def test_a_merge_that_contradicts_a_placed_face_is_refused_and_changes_nothing(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.confirm(["b.png:1"])
            decisions.reject(["b.png:1"], "Ben")
        before = state_of(app)
        with pytest.raises(DecisionError, match=r"you assigned face f\d+ to Anna and said that it is not Ben"):
            Decisions(app.catalog).merge("Ben", ["Anna"])
        assert state_of(app) == before


def test_whoever_was_told_apart_is_not_made_one_by_a_run(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.assign([f"{library.photos}/b.png:1"], "Twin", is_new=True)
        decisions.cannot_link("Person 0001", "Twin")
    library.draw("c.png", (1, 2))
    library.draw("d.png", (1, 3))
    library.scan()
    with library.app() as app:
        assert app.catalog.rejections.cannot_links() == {1: {2}, 2: {1}}
        assert {p.label for p in app.catalog.people.all() if p.n_faces} >= {"Twin"}


def test_a_merge_keeps_the_only_name(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decided = decisions.merge("Person 0003", ["Anna"])
        assert app.lookup.person(str(decided.people[0])).name == "Anna"
    assert {"Anna/b.png", "Anna/e.png", "Anna/f.png"} <= set(family.tree())


@pytest.mark.parametrize("others", [["Anna"], ["Ben", "Ben"], ["Ben", "anna"]])
def test_nobody_is_merged_with_themselves(family: Library, others: list[str]) -> None:
    with family.app() as app, pytest.raises(DecisionError, match="nobody is merged with themselves"):
        Decisions(app.catalog).merge("Anna", others)


def test_a_hidden_person_has_no_folder_and_still_takes_in_new_photos(family: Library) -> None:
    with family.app() as app, app.corrections.deciding() as decisions:
        decisions.hide("Ben")
    family.draw("h.png", (2, 9))
    family.scan()
    assert not [path for path in family.tree() if path.startswith("Ben")]
    with family.app() as app:
        assert name_on(app, "h.png:1") == "Ben"
        with app.corrections.deciding() as decisions:
            decisions.show("Ben")
    assert "Ben/h.png" in family.tree()


def test_showing_somebody_who_is_not_hidden_decides_nothing(family: Library) -> None:
    with family.app() as app:
        before, n_entries = state_of(app), len(app.corrections.history())
        with app.corrections.deciding() as decisions:
            assert decisions.show("Person 0003").entry_id is None
        assert (state_of(app), len(app.corrections.history())) == (before, n_entries)


LEAVING: dict[str, Any] = {
    "assign": lambda d, face: d.assign([face], "Anna"),
    "unassign": lambda d, face: d.unassign([face]),
    "ignore": lambda d, face: d.ignore([face]),
    "reject": lambda d, face: d.reject([face]),
    "forget": lambda d, face: d.forget("Ben"),
    "split": lambda d, face: d.split(find_person(d._catalog, "Ben"), [[int(face)]]),
    "born": lambda d, face: d.born("Ben", "2005"),
    "merge": lambda d, face: (d.reject([face], "Anna"), d.merge("Ben", ["Anna"])),
}


@pytest.mark.parametrize("decide", LEAVING.values(), ids=LEAVING)
def test_a_face_that_leaves_its_person_stands_for_them_no_more_until_that_is_undone(
    family: Library, decide: Any
) -> None:
    with family.app() as app:
        [face] = take(app, "1990-05-01T12:00:00", "c.png:1")
        ben = app.lookup.person("Ben").id
        with app.corrections.deciding() as decisions:
            decisions.cover("Ben", str(face))
            decide(decisions, str(face))
        covers = "SELECT cover_id FROM people WHERE id = ?"
        assert app.catalog._db.execute(covers, [ben]).fetchone() == (None,)
        app.corrections.undo()
        assert app.catalog._db.execute(covers, [ben]).fetchone() == (face,)


def test_of_two_covers_the_one_that_stays_stands_for_both(family: Library) -> None:
    with family.app() as app:
        anna, ben = (face_on(app, place)["face_id"] for place in ("b.png:1", "c.png:1"))
        with app.corrections.deciding() as decisions:
            decisions.cover("Anna", str(anna))
            decisions.cover("Ben", str(ben))
            decisions.reject([str(anna)], "Ben")
            decisions.merge("Anna", ["Ben"])
        assert app.lookup.person("Anna").cover_id == ben


def test_nobody_is_told_apart_from_a_part_of_themselves(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.cannot_link("Ben", "Person 0003")
            decisions.merge("Anna", ["Ben", "Person 0003"])
        anna = app.lookup.person("Anna").id
        assert anna not in app.catalog.rejections.cannot_links()


def test_a_forgotten_person_is_gone_and_its_faces_are_compared_with_no_other(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.forget("Ben")
        with pytest.raises(NotKnownError, match="nobody is called 'Ben'"):
            app.lookup.person("Ben")
    family.draw("h.png", (2, 9))
    family.scan()
    assert not [path for path in family.tree() if "Ben" in path]
    with family.app() as app:
        assert person_on(app, "h.png:1") is None


def test_no_photo_from_before_the_birth_is_matched(family: Library) -> None:
    with family.app() as app:
        face = face_on(app, "c.png:1")["face_id"]
        with app.catalog.write():
            photos = app.catalog.faces.rows([face, face_on(app, "d.png:1")["face_id"]])
            app.catalog.photos.set_taken({row.photo_id: "1999-05-01T12:00:00" for row in photos})
        with app.corrections.deciding() as decisions:
            decisions.confirm(["d.png:1"])
            decided = decisions.born("Ben", "2005")
        assert decided.released == (face,)
        app.grouping.recluster()
        assert (name_on(app, "c.png:1"), name_on(app, "d.png:1")) == (None, "Ben")


def take(app: App, when: str, *places: str) -> list[int]:
    """Say when photos were taken; returns the faces at these places."""
    faces = [face_on(app, place)["face_id"] for place in places]
    with app.catalog.write():
        app.catalog.photos.set_taken({row.photo_id: when for row in app.catalog.faces.rows(faces)})
    return faces


@pytest.mark.parametrize(("who", "other"), [("Anna", "Ben"), ("Ben", "Anna")])
def test_who_becomes_one_with_somebody_born_later_keeps_no_photo_from_before(
    family: Library, who: str, other: str
) -> None:
    with family.app() as app:
        [by_run, _] = take(app, "1990-05-01T12:00:00", "c.png:1", "d.png:1")
        with app.corrections.deciding() as decisions:
            decisions.confirm(["d.png:1"])
            decisions.born("Anna", "2005")
            decided = decisions.merge(who, [other])
        assert by_run in decided.released
        assert by_run not in decided.faces
        assert (name_on(app, "c.png:1"), name_on(app, "d.png:1")) == (None, who)
        assert app.lookup.person(who).born == "2005"


def test_a_date_of_birth_that_comes_back_holds_for_what_runs_placed_without_it(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.born("Ben", "2005")
            decisions.born("Ben", None)
        take(app, "1990-05-01T12:00:00", "c.png:1")
        app.corrections.undo()
        assert (app.lookup.person("Ben").born, name_on(app, "c.png:1")) == ("2005", None)


def test_a_face_that_is_confirmed_no_more_belongs_to_nobody_born_later(family: Library) -> None:
    with family.app() as app:
        take(app, "1990-05-01T12:00:00", "c.png:1")
        with app.corrections.deciding() as decisions:
            confirmed = decisions.confirm(["c.png:1"])
            decisions.born("Ben", "2005")
        assert name_on(app, "c.png:1") == "Ben"
        app.corrections.undo_one(confirmed.entry_id or 0)
        assert name_on(app, "c.png:1") is None


@pytest.mark.parametrize(
    ("taken_at", "born", "is_before"),
    [
        ("", "1990", False),
        ("1989-12-30T10:00:00", "1990", True),
        ("1989-12-31T23:00:00", "1990", False),  # another time zone
        ("1990-04-29T10:00:00", "1990-05", True),
        ("1990-05-20T10:00:00", "1990-05-25", True),
        ("2000-01-01T10:00:00", "1990-05-25", False),
    ],
)
def test_clearly_before_a_birth(taken_at: str, born: str, is_before: bool) -> None:
    assert is_clearly_before(taken_at, born) is is_before


@pytest.mark.parametrize("text", ["yesterday", "1990-13", "1990-02-30", "90", "1990-1-1", ""])
def test_what_is_no_date_is_said(text: str) -> None:
    with pytest.raises(NotKnownError, match="is no date; write it as 1985"):
        clean_date(text)


@pytest.mark.parametrize(
    ("face", "fault"),
    [
        ("999", "there is no face f999"),
        ("Ben", "'Ben' is no face; write its id, or a photo and which face from the left, for example holiday.jpg:1"),
        ("a.png", r"a\.png has 2 faces; say which, counted from the left: a\.png:1"),
        ("b.png:2", r"b.png has 1 face\(s\)"),
        ("b.png:0", r"b.png has 1 face\(s\)"),
        ("nowhere.png:1", "no such file"),
        ("1e3", "is no face"),
    ],
)
def test_a_face_that_is_none_is_said_with_the_way_to_find_one(family: Library, face: str, fault: str) -> None:
    with family.app() as app:
        before = state_of(app)
        with pytest.raises(NotKnownError, match=fault), app.corrections.deciding() as decisions:
            decisions.assign(["c.png:1", face], "Anna")
        assert state_of(app) == before


def test_the_id_of_a_person_is_not_taken_for_a_face(family: Library) -> None:
    with family.app() as app:
        with app.catalog.write():
            app.catalog._db.execute("INSERT INTO people (id, name, created_at) VALUES (500, 'Zoe', 'now')")
        with pytest.raises(NotKnownError, match=r"there is no face f500; p500 is the person Zoe"):
            Decisions(app.catalog).unassign(["500"])


def test_an_older_decision_is_undone_alone_when_nothing_builds_on_it(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            first = decisions.assign(["g.png:1"], "Anna")
            decisions.hide("Ben")
        app.corrections.undo_one(first.entry_id or 0)
        assert name_on(app, "g.png:1") is None
        assert app.lookup.person("Ben").is_hidden


def test_what_is_decided_as_one_is_taken_back_as_one(family: Library) -> None:
    with family.app() as app:
        before = state_of(app), family.tree()
        with app.corrections.deciding() as decisions, decisions.as_one():
            decisions.merge("Anna", ["Person 0003"])
            decisions.rename("Anna", "Doris")
        entries = {decided.entry_id for decided in decisions.made}
        after = state_of(app), family.tree()
        assert len(entries) == 1
        app.corrections.undo()
        assert (state_of(app), family.tree()) == before
        app.corrections.redo()
        assert (state_of(app), family.tree()) == after
        [rename] = [entry for entry in app.corrections.history() if entry.action == "rename" and entry.parent_id]
        with pytest.raises(DecisionError, match=rf"d{rename.id} is a part of decision d{rename.parent_id}"):
            app.corrections.undo_one(rename.id)


def test_an_old_decision_is_found_free_without_reading_the_journal_again_and_again(family: Library) -> None:
    with family.app() as app:
        decisions, n_statements = Decisions(app.catalog), []
        for n_later in (2, 40):
            first = app.corrections.rename("Anna", "Berta").decided.entry_id or 0
            for _ in range(n_later // 2):
                decisions.hide("Ben")
                decisions.show("Ben")
            statements: list[str] = []
            app.catalog._db.conn.set_trace_callback(statements.append)
            History(app.catalog).undo_one(first)
            app.catalog._db.conn.set_trace_callback(None)
            n_statements.append(len(statements))
        assert n_statements[0] == n_statements[1]


def test_a_decision_that_others_build_on_offers_the_chain(family: Library) -> None:
    with family.app() as app:
        before = state_of(app), family.tree()
        with app.corrections.deciding() as decisions:
            first = decisions.assign(["g.png:1"], "Dora", is_new=True)
            second = decisions.assign(["e.png:1"], "Dora")
            third = decisions.rename("Dora", "Doris")
        entry = first.entry_id or 0
        with pytest.raises(
            DecisionError, match=rf"d{third.decided.entry_id} \(rename\), d{second.entry_id} \(assign\)"
        ):
            app.corrections.undo_one(entry)
        undone = app.corrections.undo_one(entry, with_chain=True)
        assert [e.id for e in undone.entries] == [third.decided.entry_id, second.entry_id, entry]
        assert (state_of(app), family.tree()) == before


def test_a_name_that_was_given_away_since_is_no_surprise(family: Library) -> None:
    with family.app() as app:
        renamed = app.corrections.rename("Anna", "Berta")
        app.corrections.rename("Ben", "Anna")
        with pytest.raises(DecisionError, match="cannot be undone alone"):
            app.corrections.undo_one(renamed.decided.entry_id or 0)


def test_what_followed_from_a_decision_is_taken_back_with_it(library: Library) -> None:
    """A face that came to somebody after a merge goes to whom it would have come without."""
    for look in range(12):
        library.draw(f"{look}.png", (1 + look % 2, look))
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        one, two = (person_on(app, f"{library.photos}/{look}.png:1") for look in (0, 1))
        decisions.merge(str(one), [str(two)])
    library.draw("e.png", (2, 50))
    library.scan()
    with library.app() as app:
        assert person_on(app, f"{library.photos}/e.png:1") == one
        app.corrections.undo()
        assert person_on(app, f"{library.photos}/e.png:1") == two


def whose(app: App) -> list[tuple[int, str]]:
    """Return every face that belongs to somebody, and to whom."""
    rows = app.catalog._db.execute(
        "SELECT face_id, COALESCE(name, p.id) FROM assignments JOIN people p ON p.id = person_id ORDER BY 1"
    )
    return rows.fetchall()


@pytest.mark.parametrize("name", DECISIONS)
def test_what_follows_later_comes_to_the_same(family: Library, name: str) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            DECISIONS[name](decisions)
        at_once = whose(app), family.tree()
        app.corrections.undo()
        with app.corrections.following_later(), app.corrections.deciding() as decisions:
            DECISIONS[name](decisions)
        app.corrections.match_due()
        app.corrections.show_due()
        assert (whose(app), family.tree()) == at_once


def test_what_follows_later_is_in_the_folders_only_then(family: Library) -> None:
    with family.app() as app:
        before = whose(app), family.tree()
        with app.corrections.following_later(), app.corrections.deciding() as decisions:
            decisions.reject(["b.png:1"])
        decided = whose(app)
        assert decided != before[0]
        assert family.tree() == before[1]
        app.corrections.match_due()
        assert family.tree() == before[1]
        app.corrections.show_due()
        assert family.tree() != before[1]
        app.corrections.undo()
        assert (whose(app), family.tree()) == before


def test_a_run_is_not_undone_as_a_decision(family: Library) -> None:
    with family.app() as app:
        run = next(entry for entry in app.corrections.history() if entry.actor != "user")
        with pytest.raises(DecisionError, match=f"{run.id} was done by a run"):
            app.corrections.undo_one(run.id)
        with pytest.raises(DecisionError, match="there is no decision d999"):
            app.corrections.undo_one(999)


def test_more_than_there_is_cannot_be_undone(family: Library) -> None:
    with family.app() as app:
        with pytest.raises(DecisionError, match=r"only 2 decision\(s\) can be undone"):
            app.corrections.undo(3)
        app.corrections.undo(2)
        with pytest.raises(DecisionError, match="nothing to undo"):
            app.corrections.undo()
        app.corrections.redo()
        with pytest.raises(DecisionError, match="nothing to redo"):
            app.corrections.redo()


def test_after_a_new_decision_there_is_nothing_to_redo(family: Library) -> None:
    with family.app() as app:
        app.corrections.undo()
        app.corrections.rename("Anna", "Berta")
        with pytest.raises(DecisionError, match="nothing to redo"):
            app.corrections.redo()


def test_a_merge_by_an_older_facewatch_says_that_it_cannot_be_undone(family: Library) -> None:
    with family.app() as app:
        with app.catalog.write():
            entry = app.catalog.journal.add("user", "merge", {"person": 1, "into": 2}, {"faces": []}, now="then")
        with pytest.raises(DecisionError, match=f"decision d{entry} .* was made by an older facewatch"):
            app.corrections.undo()


def test_an_id_that_was_given_is_never_given_again(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            first = decisions.assign(["g.png:1"], "Dora", is_new=True).people[0]
        app.corrections.undo()
        with app.corrections.deciding() as decisions:
            second = decisions.assign(["g.png:1"], "Dora", is_new=True).people[0]
    assert second > first


def test_history_can_be_asked_of_one_person(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.hide("Ben")
        assert [entry.action for entry in app.corrections.history("Ben")] == ["hide", "rename"]
        assert [entry.action for entry in app.corrections.history("Anna")] == ["rename"]


def test_a_decision_that_fails_leaves_no_trace_behind(family: Library) -> None:
    """Not even the triggers that would have noted what it does."""
    with family.app() as app:
        bens = str(face_on(app, "c.png:1")["face_id"])
        with pytest.raises(DecisionError, match="belongs to Ben, not to Anna"):
            Decisions(app.catalog).cover("Anna", bens)
        temporary = app.catalog._db.execute("SELECT name FROM sqlite_temp_master").fetchall()
    assert temporary == []


def test_a_catalog_of_before_decisions_is_backed_up_and_brought_up_to_date(tmp_path: Path) -> None:
    from facewatch.catalog.migrations import MIGRATIONS

    path = tmp_path / "catalog.sqlite"
    Catalog(path).close()
    db = sqlite3.connect(path)
    assert "0003_decisions" in {migration.name for migration in MIGRATIONS._migrations}
    assert {row[1] for row in db.execute("PRAGMA table_info(people)")} >= {"is_gone", "born", "cover_id"}
    db.close()


def test_a_photo_with_one_face_names_that_face(family: Library) -> None:
    with family.app() as app:
        with app.corrections.deciding() as decisions:
            decisions.assign(["g.png"], "Anna")
        assert name_on(app, "g.png:1") == "Anna"
        with pytest.raises(NotKnownError, match=r"a\.png has 2 faces; say which, counted from the left: a\.png:1"):
            Decisions(app.catalog, photo_of=app.lookup.photo_id).assign(["a.png"], "Anna")


def test_a_people_folder_that_was_deleted_is_made_anew_for_everybody(family: Library) -> None:
    before = family.tree()
    with family.app() as app:
        shutil.rmtree(family.people)
        app.corrections.rename("Anna", "Berta")
    assert {path.replace("Berta/", "Anna/") for path in family.tree()} == set(before)
