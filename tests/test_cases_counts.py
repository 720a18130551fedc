"""What is counted in several places is counted once: every number means the same wherever it is told."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from drawn import Library

from facewatch.people.review.answers import Answer

CHANGES: dict[str, list[list[str]]] = {
    "as found": [],
    "hidden": [["hide", "Person 0003"], ["hide", "Ben"]],
    "taken out": [["unassign", "b.png"], ["ignore", "c.png"], ["ignore", "g.png"]],
    "forgotten": [["forget", "Ben", "--yes"]],
    "merged": [["merge", "Anna", "Ben"]],
    "of nobody": [["reject", "e.png"], ["reject", "f.png"]],
    "named": [["assign", "g.png", "Dora", "--new"], ["rename", "Person 0003", "Clara"]],
}


@pytest.mark.parametrize("commands", CHANGES.values(), ids=CHANGES)
def test_status_stats_people_and_review_count_the_same(family: Library, run: Any, commands: list[list[str]]) -> None:
    for command in commands:
        assert run(*command).code == 0
    _check(run)
    for photo in ("b.png", "a.png"):
        (family.photos / photo).unlink()
    family.scan()
    _check(run)


def _check(run: Any) -> None:
    status, stats = (json.loads(run(command, "--json").out) for command in ("status", "stats"))
    people, review = json.loads(run("people", "--json").out), json.loads(run("review", "--json").out)
    counts = stats["counts"]
    for key in ("n_photos", "n_faces", "n_assigned", "n_pool", "n_only_shown", "n_left_out", "n_open"):
        assert counts[key] == status[key], key
    for key in ("n_people", "n_named", "n_hidden", "n_absent"):
        assert counts[key] == status[key], key
    # Every face is somebody's, open to be asked about, too poor, or taken out.
    assert status["n_faces"] == sum(status[f"n_{state}"] for state in ("assigned", "pool", "only_shown", "left_out"))
    assert status["n_assigned"] == sum(person["faces"] for person in people) == sum(counts["sources"].values())
    assert status["n_left_out"] == sum(n for mark, n in counts["marks"].items() if mark != "not_a_face")
    here = [person for person in people if person["photos"]]
    assert status["n_people"] == len(here)
    assert status["n_absent"] == len(people) - len(here)
    assert status["n_named"] == sum(person["is_named"] for person in here)
    assert status["n_hidden"] == sum(person["is_hidden"] for person in here)
    unnamed = sum(person["faces"] for person in people if not person["is_named"] and not person["is_hidden"])
    assert status["n_open"] == review["n_open"] == status["n_pool"] + unnamed


def test_the_open_ones_are_told_apart_in_words(family: Library, run: Any) -> None:
    assert "open  3 faces: 2 of people without a name, 1 of nobody yet; `facewatch review` asks" in run("status").out
    assert "open  3: 2 of people without a name, 1 unassigned" in run("stats").out
    run("ignore", "g.png")
    assert re.search(r"taken out  0; and 1 that are no faces", run("stats").out)


# --- what a run did ---


def _scanned(run: Any, library: Library, *options: str) -> str:
    out: str = run("scan", str(library.photos), *options).out
    return out.splitlines()[1]


def test_a_scan_tells_new_faces_from_those_that_were_there(family: Library, run: Any) -> None:
    with family.app() as app:
        people = {person.id for person in app.catalog.people.all()}
        [anna] = app.catalog.faces.rows([1])
        with app.catalog.write():
            app.catalog.assignments.release([anna.id])
        family.draw("h.png", (1, 7), (8, 0))
        family.draw("i.png", (8, 1))
        result = app.pipeline.scan()
        now = app.catalog.people.all()
    assert (result.faces.n_faces, result.faces.n_new_assigned, result.faces.n_earlier_assigned) == (3, 3, 1)
    assert result.faces.n_new_people == len({person.id for person in now} - people) == 1


def test_faces_of_before_that_are_placed_are_not_called_new(family: Library, run: Any) -> None:
    with family.app() as app:
        [row] = app.catalog.faces.rows([1])
        with app.catalog.write():
            app.catalog.assignments.release([row.id])
        family.draw("empty.png")
        result = app.pipeline.scan()
    assert (
        result.faces.n_faces,
        result.faces.n_new_assigned,
        result.faces.n_earlier_assigned,
        result.faces.n_new_people,
    ) == (
        0,
        0,
        1,
        0,
    )


def test_somebody_new_who_became_part_of_another_in_the_same_run_is_not_counted(family: Library) -> None:
    with family.app() as app:
        ids = {person.id for person in app.catalog.people.all()}
        for person in app.catalog.people.all():
            if person.name is None:
                with app.catalog.write():
                    app.catalog.assignments.release([row.id for row in app.catalog.faces.of_person(person.id)])
                    app.catalog.people.forget(person.id)
        result = app.grouping.recluster()
        now = {person.id for person in app.catalog.people.all()}
    assert result.n_new_people == len(now - ids)
    assert result.n_matched + result.n_grouped <= result.n_pool


# --- answers ---


def test_what_is_skipped_is_no_answer(family: Library) -> None:
    with family.app() as app:
        review = app.review()
        first = review.next()
        assert first is not None
        review.answer(first, Answer("skip"))
        assert review.progress().n_answered == 0
        second = review.next()
        assert second is not None
        review.answer(second, Answer("name", "Zoe"))
        assert review.progress().n_answered == 1
        review.undo()
        review.undo()
        assert review.progress().n_answered == 0


@pytest.mark.parametrize("command", [["forget", "Ben"], ["split", "Ben", "--into", "2"]])
def test_where_nobody_answers_it_is_said_that_nothing_was_done(
    family: Library, run: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    before = family.tree()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    answer = run(*command)
    assert answer.code == 2
    assert "no answer came, so nothing was done; say --yes to" in answer.err
    assert family.tree() == before
