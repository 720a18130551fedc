"""Who is in a photo by the user's word, though no face shows it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from drawn import Library

from facewatch.app import App, restore_backup
from facewatch.errors import DecisionError, NotKnownError
from facewatch.people.corrections import Decisions
from facewatch.people.lookup import find_person


def decide(app: App, decision: Callable[[Decisions], Any]) -> Any:
    with app.corrections.deciding() as decisions:
        return decision(decisions)


def photo(app: App, name: str) -> int:
    return app.lookup.photo_id(Path(name))


def present(app: App, who: str, *names: str) -> Any:
    return decide(app, lambda d: d.present(who, [photo(app, name) for name in names]))


def links(library: Library, folder: str) -> set[str]:
    return {where.rpartition("/")[2] for where in library.tree() if where.startswith(f"{folder}/")}


def is_in(app: App, name: str) -> list[str]:
    """Who is in a photo without a face."""
    return [one.name for one in app.catalog.presences.without_face(photo(app, name))]


def test_a_photo_is_in_the_folder_of_who_is_in_it_without_a_face(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png", "d.png")
        assert links(family, "Anna") == {"a.png", "b.png", "c.png", "d.png"}
        assert app.catalog.faults() == []
        assert app.folder.plan().is_empty
        assert app.catalog.links.outdated(unnamed_photos=1) == set()
        app.corrections.undo()
    assert links(family, "Anna") == {"a.png", "b.png"}


def test_it_counts_as_one_of_their_photos_and_not_as_a_face(family: Library) -> None:
    with family.app() as app:
        before = find_person(app.catalog, "Anna")
        present(app, "Anna", "c.png")
        after = find_person(app.catalog, "Anna")
        assert (after.n_photos, after.n_faces) == (before.n_photos + 1, before.n_faces)
        [row] = app.catalog._db.query("SELECT faces, photos FROM people_view WHERE name = 'Anna'")
        assert row == {"faces": after.n_faces, "photos": after.n_photos}


def test_a_photo_with_a_face_of_theirs_counts_once(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png")
        decide(app, lambda d: d.assign(["c.png:1"], "Anna"))
        assert find_person(app.catalog, "Anna").n_photos == 3
        assert is_in(app, "c.png") == []
        decide(app, lambda d: d.unassign(["c.png:1"]))
        assert find_person(app.catalog, "Anna").n_photos == 3
        assert is_in(app, "c.png") == ["Anna"]


def test_who_has_a_face_there_need_not_be_said_to_be_there(family: Library) -> None:
    with family.app() as app:
        assert present(app, "Anna", "b.png").entry_id is None
        assert present(app, "Anna", "b.png", "c.png").photos == (photo(app, "c.png"),)


def test_somebody_may_be_known_by_that_alone(family: Library) -> None:
    with family.app() as app:
        decide(app, lambda d: d.present("Dora", [photo(app, "c.png")], is_new=True))
        assert app.catalog.people.counts()["named"] == 3
        app.grouping.recluster()
    family.scan()
    with family.app() as app:
        assert find_person(app.catalog, "Dora").n_photos == 1
    assert links(family, "Dora") == {"c.png"}


def test_it_can_be_said_that_they_are_not_in_it_after_all(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png")
        absent = decide(app, lambda d: d.absent("Anna", [photo(app, "c.png"), photo(app, "d.png")]))
        assert absent.photos == (photo(app, "c.png"),)
        assert is_in(app, "c.png") == []
        assert decide(app, lambda d: d.absent("Anna", [photo(app, "c.png")])).entry_id is None
        with pytest.raises(DecisionError, match=r"face f\d+ is Anna; if it is not: facewatch reject f\d+ Anna"):
            decide(app, lambda d: d.absent("Anna", [photo(app, "b.png")]))
    assert links(family, "Anna") == {"a.png", "b.png"}


def test_it_goes_with_who_is_merged_and_comes_back_with_the_undo(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png", "e.png")
        present(app, "Ben", "e.png", "f.png")
        decide(app, lambda d: d.merge("Ben", ["Anna"]))
        assert links(family, "Ben") == {"a.png", "b.png", "c.png", "d.png", "e.png", "f.png"}
        assert app.catalog.faults() == []
        app.corrections.undo()
        assert links(family, "Anna") == {"a.png", "b.png", "c.png", "e.png"}
        assert "f.png" in links(family, "Ben")


def test_of_two_who_are_merged_both_have_to_be_taken_back(family: Library) -> None:
    with family.app() as app:
        first = present(app, "Anna", "e.png").entry_id
        present(app, "Ben", "e.png")
        decide(app, lambda d: d.merge("Anna", ["Ben"]))
        with pytest.raises(DecisionError, match="merge"):
            app.corrections.undo_one(first)
        assert is_in(app, "e.png") == ["Anna"]
        app.corrections.undo()
        assert is_in(app, "e.png") == ["Anna", "Ben"]


def test_an_export_lists_it_behind_the_faces(family: Library, run: Any) -> None:
    with family.app() as app:
        present(app, "Anna", "b.png", "c.png")
    rows = list(csv.DictReader(run("export").out.splitlines()))
    *faces, there = rows
    assert all(row["face_id"] for row in faces)
    assert there.pop("path").endswith("c.png")
    assert (there.pop("name"), there.pop("source"), bool(there.pop("person_id"))) == ("Anna", "present", True)
    assert set(there.values()) == {""}
    assert len(json.loads(run("export", "--json").out)) == len(rows)


def test_it_stays_with_who_keeps_the_name_in_a_split(family: Library) -> None:
    with family.app() as app:
        present(app, "Ben", "e.png")
        ben = find_person(app.catalog, "Ben")
        face = app.lookup.photo(Path("c.png"))["faces"][0]["face_id"]
        decide(app, lambda d: d.split(ben, [[face]]))
        assert is_in(app, "e.png") == ["Ben"]


def test_who_is_forgotten_is_in_no_photo_until_that_is_undone(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png")
        decide(app, lambda d: d.forget("Anna"))
        assert is_in(app, "c.png") == []
        assert app.catalog.faults() == []
        app.corrections.undo()
        assert is_in(app, "c.png") == ["Anna"]


def test_what_was_said_of_somebody_new_is_undone_with_them(family: Library) -> None:
    with family.app() as app:
        decide(app, lambda d: d.assign(["g.png:1"], "Dora", is_new=True))
        assigned = app.catalog.journal.decisions()[0].id
        present(app, "Dora", "c.png")
        with pytest.raises(DecisionError, match=r"d\d+ \(present\) built on it"):
            app.corrections.undo_one(assigned)
        app.corrections.undo_one(assigned, with_chain=True)
        assert is_in(app, "c.png") == []
        assert app.catalog.faults() == []


def test_it_survives_moves_copies_and_a_restored_backup(family: Library, tmp_path: Path) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png")
        app.catalog.backup(tmp_path / "backup.sqlite")
        decide(app, lambda d: d.absent("Anna", [photo(app, "c.png")]))
        config = app.config
    restore_backup(config, tmp_path / "backup.sqlite", now=datetime.now(UTC))
    (family.photos / "2024").mkdir()
    (family.photos / "c.png").rename(family.photos / "2024" / "moved.png")
    shutil.copy2(family.photos / "2024" / "moved.png", family.photos / "copy.png")
    family.scan()
    with family.app() as app:
        assert is_in(app, "copy.png") == is_in(app, "2024/moved.png") == ["Anna"]
    assert len(links(family, "Anna")) == 3


def test_a_photo_that_is_gone_is_out_of_the_folder_until_it_is_back(family: Library, tmp_path: Path) -> None:
    # Of no other photo could it be another version, which would take its place.
    with family.app() as app:
        present(app, "Anna", "g.png")
    shutil.move(family.photos / "g.png", tmp_path / "g.png")
    family.scan()
    assert links(family, "Anna") == {"a.png", "b.png"}
    shutil.move(tmp_path / "g.png", family.photos / "g.png")
    family.scan()
    assert links(family, "Anna") == {"a.png", "b.png", "g.png"}


def test_the_catalog_checks_that_only_people_are_present(family: Library) -> None:
    with family.app() as app:
        present(app, "Anna", "c.png")
        anna = find_person(app.catalog, "Anna").id
    with closing(sqlite3.connect(family.catalog)) as db:
        db.execute("UPDATE people SET is_gone = 1 WHERE id = ?", [anna])
        db.execute("DELETE FROM assignments WHERE person_id = ?", [anna])
        db.commit()
    with family.app() as app:
        assert "somebody who is a person no longer is in a photo without a face: 3" in app.catalog.faults()


def test_the_command_says_what_it_did_and_why_shows_it(family: Library, run: Any) -> None:
    answer = run("present", "Anna", "c.png", "d.png")
    assert answer.code == 0
    assert answer.out == f"Anna is in 2 photos without a face, for good\n{family.people / 'Anna'}\n"
    assert "Anna (p1): in it without a face, as you said\n" in run("why", "c.png").out
    [told] = json.loads(run("why", "c.png", "--json").out)["present"]
    assert (told["person_id"], told["name"]) == (1, "Anna")
    assert "Anna in 2 photos without a face" in run("history").out
    assert run("present", "Anna", "c.png").out == "nothing to do: that is already so\n"
    assert run("present", "Anna", "c.png", "--not").out == "Anna is not in 1 photo after all\n"
    assert run("present", "Anna", "c.png", "--not", "--new").code == 2
    assert run("present", "Nobody", "c.png").code == 9
    assert run("present", "Anna", "no.png").code == 9


def test_a_link_to_such_a_photo_says_that_it_shows_no_face(family: Library, run: Any) -> None:
    run("present", "Anna", "c.png")
    link = str(family.people / "Anna" / "c.png")
    assert "is not on this photo any more" not in run("why", link).out
    answer = run("reject", link)
    assert answer.code == 9
    assert (
        f"Anna is in this photo without a face, as you said; to take that back: facewatch present Anna {link} --not"
        in (answer.err)
    )
    assert run("present", "Anna", link, "--not").code == 0


def test_a_photo_that_is_not_known_is_refused(family: Library) -> None:
    with family.app() as app, pytest.raises(NotKnownError, match="there is no photo 999"):
        decide(app, lambda d: d.present("Anna", [999]))
