"""Corrections from the shell: what is said, the exit codes, and that the folders follow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drawn import Library

from facewatch.cli.people import _print_look_alikes
from facewatch.matching import Evidence
from facewatch.people.identities import Alike


def person(run: Any, photo: str, n: int = 1) -> int | None:
    face: dict[str, Any] = json.loads(run("why", photo, "--json").out)["faces"][n - 1]
    who: int | None = face["person_id"]
    return who


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["merge", "Anna", "Person 0003"], "1 person merged into Anna: 4 photos"),
        (["apart", "Anna", "Ben"], "Anna and Ben are different people"),
        (["assign", "g.png:1", "Anna"], "1 face assigned to Anna, for good"),
        (["assign", "g.png:1", "Dora", "--new"], "1 face assigned to Dora, for good"),
        (["unassign", "b.png:1"], "1 face taken out"),
        (["reject", "b.png:1", "c.png:1"], "2 faces: not Anna, Ben, for good"),
        (["reject", "g.png:1", "Anna"], "1 face: not Anna, for good"),
        (["confirm", "b.png:1"], "1 face confirmed"),
        (["confirm", "Ben"], "3 faces confirmed as Ben"),
        (["ignore", "g.png:1"], "1 face ignored"),
        (["hide", "Ben"], "Ben is hidden"),
        (["cover", "Ben", "c.png:1"], "stands for Ben"),
        (["born", "Ben", "1990-04"], "Ben was born 1990-04"),
        (["forget", "Ben", "--yes"], "Ben is forgotten, with 3 faces"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_says_what_it_did_and_undo_takes_it_back(
    family: Library,
    run: Any,
    command: list[str],
    said: str,
) -> None:
    before = family.tree()
    answer = run(*command)
    assert (answer.code, answer.err) == (0, "")
    assert said in answer.out
    undone = run("undo")
    assert undone.code == 0
    assert undone.out.startswith("undone: ")
    assert family.tree() == before
    again = run("redo")
    assert again.out.replace("made again", "undone") == undone.out


def test_what_is_so_already_is_said(family: Library, run: Any) -> None:
    run("hide", "Ben")
    assert run("hide", "Ben").out == "nothing to do: that is already so\n"


@pytest.mark.parametrize(
    ("command", "code", "fault"),
    [
        (["merge", "Anna", "anna"], 10, "nobody is merged with themselves"),
        (["merge", "Anna"], 2, "OTHERS"),
        (["assign", "g.png:1", "Nobody"], 9, "for somebody new: --new"),
        (["assign", "g.png:1", "Anna", "--new"], 9, "is already the name of p1"),
        (["assign", "g.png:1", "../x", "--new"], 9, "out of the people folder"),
        (["assign", "Ben", "Anna"], 9, "write its id, or a photo and which face from the left"),
        (["assign", "a.png", "Anna"], 9, "say which, counted from the left: a.png:1"),
        (["reject", "Anna"], 2, "is no face; name at least one"),
        (["reject", "g.png:1"], 9, "belongs to nobody; say who it is not"),
        (["confirm", "Anna", "Ben"], 2, "confirm faces, or one person"),
        (["confirm", "g.png:1"], 9, "belongs to nobody"),
        (["cover", "Anna", "c.png:1"], 10, "belongs to Ben, not to Anna"),
        (["born", "Anna", "yesterday"], 9, "is no date"),
        (["undo", "99"], 10, "only 2 decision(s) can be undone"),
        (["undo", "--chain"], 2, "--chain needs the id of a decision"),
        (["undo", "2", "--id", "1"], 2, "contradict each other"),
        (["undo", "--id", "1"], 10, "was done by a run"),
        (["redo"], 10, "nothing to redo"),
        (["history", "--who", "Nobody"], 9, "nobody is called"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_and_nothing_is_changed(
    family: Library,
    run: Any,
    command: list[str],
    code: int,
    fault: str,
) -> None:
    before = family.tree(), run("history", "--all", "--json").out
    answer = run(*command)
    assert (answer.code, answer.out) == (code, "")
    assert fault in answer.err
    assert (family.tree(), run("history", "--all", "--json").out) == before


def test_forget_asks_first(family: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.confirm", lambda text, **_: (_ for _ in ()).throw(KeyboardInterrupt(text)))
    assert run("forget", "Ben").code == 130
    assert any(path.startswith("Ben/") for path in family.tree())


def test_a_link_of_the_people_folder_names_a_photo(family: Library, run: Any) -> None:
    link = family.people / "Anna" / "b.png"
    assert run("reject", f"{link}:1").code == 0
    assert "Anna/b.png" not in family.tree()


def test_history_tells_what_was_decided_in_words(family: Library, run: Any) -> None:
    run("hide", "Ben")
    table = run("history").out
    for words in ("Ben hidden", "Person 0001 named", "Person 0002 named"):
        assert words in table
    rows = json.loads(run("history", "--who", "Ben", "--json").out)
    assert [row["action"] for row in rows] == ["hide", "rename"]
    run("undo")
    assert "Ben hidden" not in run("history").out
    assert "Ben hidden" in run("history", "--all").out


def test_a_hidden_person_is_said_to_be_hidden(family: Library, run: Any) -> None:
    run("hide", "Ben")
    assert "(hidden)" in run("people").out


def test_look_alikes_are_listed_or_that_there_are_none(family: Library, run: Any) -> None:
    """The catalog is of the drawn engine, which this program cannot compare with: that is said."""
    answer = run("people", "--look-alikes")
    assert answer.code in (0, 7)
    with family.app() as app:
        assert app.identities.look_alikes() == []
        with app.corrections.deciding() as decisions:
            decisions.assign(["c.png:1"], "Anna")
        [pair] = app.identities.look_alikes()
        assert {pair.name, pair.other_name} == {"Anna", "Ben"}
        assert pair.stricter > 0
        assert pair.evidence is None


@pytest.mark.parametrize(
    ("evidence", "says"),
    [(Evidence(0.45, 0.21), "0.45, where strangers of these two have 0.21 on average"), (None, "-")],
)
def test_look_alikes_are_listed_beside_what_strangers_have(
    evidence: Evidence | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_look_alikes([Alike(1, "Anna", 2, "Ben", 0.3, 0.01, evidence)], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].partition("0.010")[2].strip() == says
