"""Faces and people have ids that cannot be mixed up, and who loses a face is named."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from drawn import Library

from facewatch import ids
from facewatch.app import App
from facewatch.errors import NotKnownError
from facewatch.people.lookup import clean_name, find_faces, find_person, handle_of


@pytest.fixture
def app(family: Library) -> Iterator[App]:
    with family.app() as app:
        yield app


def _face(run: Any, photo: str, n: int = 1) -> dict[str, Any]:
    face: dict[str, Any] = json.loads(run("why", photo, "--json").out)["faces"][n - 1]
    return face


def _person(run: Any, photo: str) -> int:
    return int(_face(run, photo)["person_id"])


def _answer(monkeypatch: pytest.MonkeyPatch, text: str, *, is_terminal: bool) -> None:
    """Have somebody type this; without a terminal it comes from a file, and then there is no more."""
    keyboard = io.StringIO(text)
    monkeypatch.setattr(keyboard, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdin", keyboard)


# --- how ids are read ---


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("f11", ids.FACE, 11),
        ("F11", ids.FACE, 11),
        ("p11", ids.PERSON, 11),
        (" P0011 ", ids.PERSON, 11),
        ("11", "", 11),
        ("٣", "", 3),
        ("9" * 5000, "", 2**63 - 1),
    ],
)
def test_an_id_is_read_with_or_without_its_letter(text: str, kind: str, number: int) -> None:
    assert ids.read_id(text) == ids.Id(kind, number)


@pytest.mark.parametrize("text", ["", "f", "p", "x11", "11f", "f-1", "f1.5", "pp1", "f11:2", "d11", "p11 Anna"])
def test_other_words_are_no_ids(text: str) -> None:
    assert ids.read_id(text) is None


@pytest.mark.parametrize("name", ["p11", "P11", "f3", "F3", "11", "p٣", " p11 "])
def test_a_new_name_that_would_be_an_id_is_refused(name: str) -> None:
    with pytest.raises(NotKnownError, match=r"would be taken for the id of a (person|face)"):
        clean_name(name)


@pytest.mark.parametrize("name", ["p11 Anna", "Pia", "F", "D11", "11th Doctor"])
def test_a_name_that_is_no_id_is_taken(name: str) -> None:
    assert clean_name(name) == name


def test_a_name_from_before_that_is_nobodys_id_is_found_by_name(app: App) -> None:
    anna = app.lookup.person("Anna")
    with app.catalog.write():
        app.catalog.people.rename(anna.id, "P4711")
    assert find_person(app.catalog, "p4711").id == anna.id
    assert find_person(app.catalog, f"p{anna.id}").id == anna.id
    assert handle_of(anna.id, "P4711") == f"p{anna.id}"


def test_a_name_from_before_that_is_somebody_elses_id_is_refused_and_both_are_shown(app: App) -> None:
    anna, ben = app.lookup.person("Anna"), app.lookup.person("Ben")
    with app.catalog.write():
        app.catalog.people.rename(anna.id, f"p{ben.id}")
    with pytest.raises(NotKnownError, match=f"the id of Ben and the name of somebody else: {ben.id} .*p{anna.id}"):
        find_person(app.catalog, f"P{ben.id}")
    assert find_person(app.catalog, str(ben.id)).id == ben.id
    assert find_person(app.catalog, f"p{anna.id}").id == anna.id


def test_a_name_like_the_id_of_a_face_is_found_where_a_person_is_wanted(app: App) -> None:
    anna = app.lookup.person("Anna")
    with app.catalog.write():
        app.catalog.people.rename(anna.id, "F3")
    assert find_person(app.catalog, "f3").id == anna.id


def test_an_id_is_no_beginning_of_a_name(app: App) -> None:
    with app.catalog.write():
        app.catalog.people.rename(app.lookup.person("Anna").id, "p99 and more")
    with pytest.raises(NotKnownError, match="nobody has the id p99"):
        find_person(app.catalog, "p99")


def test_a_merged_person_is_found_by_its_old_id(app: App) -> None:
    anna, ben = app.lookup.person("Anna"), app.lookup.person("Ben")
    with app.corrections.deciding() as decisions:
        decisions.merge("Anna", ["Ben"])
    assert find_person(app.catalog, f"p{ben.id}").id == anna.id


def test_a_face_where_a_person_is_wanted_is_named_with_its_place(family: Library, run: Any) -> None:
    face = _face(run, "b.png")["face_id"]
    answer = run("hide", f"f{face}")
    assert answer.code == 9
    assert re.search(rf"f{face} is the face .*b\.png:1 \(of Anna\), and a person is wanted", answer.err)


@pytest.mark.parametrize(
    ("command", "rather"),
    [
        (["assign", "{}", "Anna"], "if Ben and Anna are one person: facewatch merge Anna {}"),
        (["assign", "{}", "Clara", "--new"], "to name all of Ben: facewatch rename {} Clara"),
        (["assign", "{}", "Clara"], "to name all of Ben: facewatch rename {} Clara"),
        (["reject", "{}", "Anna"], "if Ben and Anna are two people: facewatch apart {} Anna"),
        (["unassign", "{}"], "facewatch split {}"),
        (["ignore", "{}"], "if you do not want to see Ben: facewatch hide {}"),
        (["confirm", "b.png:1", "{}"], ""),
        (["why", "{}"], "is a person"),
        (["cover", "Ben", "{}"], "a face is wanted"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_person_where_a_face_is_wanted_is_refused_with_the_command_that_is_meant(
    family: Library, run: Any, command: list[str], rather: str
) -> None:
    ben = f"p{_person(run, 'c.png')}"
    answer = run(*(word.format(ben) for word in command))
    assert answer.code in (2, 9)
    assert rather.format(ben) in answer.err
    assert "nothing" not in answer.out


def test_a_photo_may_be_called_like_a_person(app: App, family: Library) -> None:
    (family.photos / "c.png").rename(family.photos / "p2")
    app.pipeline.scan()
    photo = app.lookup.photo(family.photos / "p2")
    [row] = find_faces(app.catalog, ["p2"], lambda path: int(app.lookup.photo(path)["photo_id"]))
    assert row.id == photo["faces"][0]["face_id"]


# --- numbers that may be both ---


def test_a_number_that_is_a_face_and_a_person_is_refused_and_both_are_shown(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answer(monkeypatch, "", is_terminal=False)
    before = family.tree()
    for command, n in ((["assign", "2", "Anna"], 2), (["confirm", "3"], 3), (["reject", "g.png:1", "2"], 2)):
        answer = run(*command)
        assert answer.code == 9
        assert re.search(rf"{n} can be two things: f{n} is the face .*\.png:\d \(of \w+\), p{n} is ", answer.err)
    assert family.tree() == before


def test_at_a_terminal_it_is_asked_which_of_them(family: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _answer(monkeypatch, "F2\n", is_terminal=True)
    assert "1 face confirmed" in run("confirm", "2").out
    _answer(monkeypatch, "p2\n", is_terminal=True)
    answer = run("assign", "2", "Anna")
    assert (answer.code, "a face is wanted" in answer.err) == (9, True)
    _answer(monkeypatch, "", is_terminal=True)
    answer = run("confirm", "2")
    assert (answer.code, "no answer came, so nothing was done" in answer.err) == (2, True)


def test_a_bare_number_is_understood_where_one_of_them_is_meant(family: Library, run: Any) -> None:
    assert run("why", "2").code == 0
    assert "1 face ignored" in run("ignore", "2").out
    assert "is now called Zoe" in run("rename", "2", "Zoe").out
    assert "merged into Zoe" in run("merge", "2", "1").out
    # Faces go to 8, people to 3.
    assert "1 face confirmed" in run("confirm", "7").out
    assert "assigned to Zoe" in run("assign", "8", "2").out


# --- from whom ---


def test_what_takes_a_face_from_somebody_says_from_whom(family: Library, run: Any) -> None:
    bens = [face for n in (1, 2) if (face := _face(run, "a.png", n))["name"] == "Ben"]
    face = f"f{bens[0]['face_id']}"
    answer = run("assign", face, "Clara", "--new")
    assert "1 face assigned to Clara, for good, from Ben" in answer.out
    assert f"face {face}: " in answer.out
    assert ", Ben until now" in answer.out
    assert f"1 face ({face}) assigned to Clara, from Ben" in run("history").out
    assert "taken out, from Clara" in run("unassign", face).out
    run("undo")
    assert "ignored, from Clara" in run("ignore", face).out
    # What takes from nobody says nothing.
    assert ", from" not in run("assign", "g.png:1", "Anna").out


def test_of_several_it_is_told_how_many_were_whose(family: Library, run: Any) -> None:
    answer = run("assign", "b.png", "c.png", "d.png", "Zoe", "--new")
    assert "3 faces assigned to Zoe, for good, 1 from Anna, 2 from Ben" in answer.out


def test_a_merge_that_releases_a_face_names_it_and_whose_it_was(family: Library, run: Any) -> None:
    bens = next(face for n in (1, 2) if (face := _face(run, "a.png", n))["name"] == "Ben")
    answer = run("merge", "Anna", "Ben")
    assert "1 face that contradicted it belongs to nobody now, from Ben" in answer.out
    assert re.search(rf"face f{bens['face_id']}: .*a\.png:\d, Ben until now", answer.out)
    assert f"Ben merged into Anna; released: f{bens['face_id']} of Ben" in run("history").out


# --- where ids are shown ---


def test_ids_are_shown_with_their_letters_everywhere(family: Library, run: Any) -> None:
    ben, face = f"p{_person(run, 'c.png')}", f"f{_face(run, 'c.png')['face_id']}"
    assert re.search(rf"^{ben} +Ben", run("people").out, re.MULTILINE)
    assert f", {face}): Ben ({ben})" in run("why", "c.png").out
    assert f"facewatch confirm {face}" in run("why", "c.png").out
    assert re.search(r" f\d+ +\S+\.png:\d$", run("search", "c.png").out, re.MULTILINE)
    assert ben in run("stats").out
    run("confirm", face)
    assert re.search(rf"^d\d+ .*\({face}\) of Ben confirmed", run("history").out, re.MULTILINE)
    assert f"face {face} stands for Ben" in run("cover", "Ben", face).out


def test_json_and_csv_keep_their_integers(family: Library, run: Any) -> None:
    assert all(isinstance(person["id"], int) for person in json.loads(run("people", "--json").out))
    assert all(isinstance(entry["id"], int) for entry in json.loads(run("history", "--json").out))
    questions = json.loads(run("review", "--json").out)["questions"]
    assert all(isinstance(one["id"], int) for question in questions for one in question["people"] + question["faces"])


def test_a_decision_is_taken_back_by_its_id_which_is_no_count(family: Library, run: Any) -> None:
    named, other = (entry["id"] for entry in json.loads(run("history", "--json").out))
    assert "Ben" in run("undo", f"d{named}").out
    assert "Anna" in run("undo", "--id", f"D{other}").out
    run("redo")
    answer = run("undo", str(other))
    assert (answer.code, f"for decision d{other} alone: facewatch undo d{other}" in answer.err) == (10, True)
    for wrong in (["f1"], ["0"], ["d1", "--id", "d2"], ["--id", "p1"]):
        assert run("undo", *wrong).code == 2


def test_a_question_is_answered_by_its_id_of_before(family: Library, run: Any) -> None:
    questions = json.loads(run("review", "--json").out)["questions"]
    [who] = [question["id"] for question in questions if re.fullmatch(r"who:p\d+", question["id"])]
    assert run("review", "--answer", f"{who.replace('p', '')}=name:Zoe").code == 0
    assert find_zoe(family)


def find_zoe(family: Library) -> bool:
    with family.app() as app:
        return app.lookup.person("Zoe").n_faces > 0


# --- words that are nobody and nothing ---


@pytest.mark.parametrize(
    "words",
    [
        ["reject", "gone.jpg"],
        ["reject", "Anna/gone.JPG"],
        ["reject", "gone.heic", "Anna"],
        ["confirm", "gone.jpg"],
        ["confirm", "c.png", "gone.jpg"],
        ["assign", "gone.jpg", "Anna"],
        ["unassign", "gone.jpg"],
        ["ignore", "gone.jpg"],
        ["cover", "Anna", "gone.jpg"],
    ],
)
def test_a_photo_that_is_not_there_is_said_to_be_missing(family: Library, run: Any, words: list[str]) -> None:
    answer = run(*words)
    assert answer.code == 9
    assert re.search(r"gone\.\w+: no such file; if it was moved, `facewatch scan` finds it again", answer.err)


def test_people_lists_only_those_who_are_named(family: Library, run: Any) -> None:
    ben = f"p{_person(run, 'c.png')}"
    assert [one["name"] for one in json.loads(run("people", "anna", "--json").out)] == ["Anna"]
    assert [one["name"] for one in json.loads(run("people", ben, "Anna", "Ben", "--json").out)] == ["Ben", "Anna"]
    answer = run("people", "Dora")
    assert (answer.code, "nobody is called 'Dora'" in answer.err) == (9, True)
    assert run("people", "Anna", "--look-alikes").code == 2


# --- questions ---


def test_a_number_that_confirms_the_same_face_in_both_meanings_confirms_it(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a person are right, or this face of that person is: the face is, whichever was meant."""
    export = json.loads(run("export", "--json").out)
    number = next(str(face["face_id"]) for face in export if face["face_id"] == face["person_id"])
    _answer(monkeypatch, "", is_terminal=False)
    answer = run("confirm", number)
    assert (answer.code, answer.out.splitlines()[0][:16]) == (0, "1 face confirmed")
    assert f"p{number} is " in answer.err


@pytest.mark.parametrize("command", [["forget", "Ben"], ["split", "Ben", "--into", "2"], ["assign", "2", "Anna"]])
def test_ctrl_c_at_a_question_is_answered_with_that_nothing_was_done(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    before = family.tree()
    _answer(monkeypatch, "", is_terminal=True)
    monkeypatch.setattr("sys.stdin.readline", interrupt)
    answer = run(*command)
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == "facewatch: stopped; nothing was done"
    assert family.tree() == before
