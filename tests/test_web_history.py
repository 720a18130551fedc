"""The journal on the local page: what was decided, and what undoes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.web.server import make_site


@pytest.fixture
def client(family: Library) -> Iterator[TestClient]:
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        yield client


def name(client: TestClient, person: int, name: str) -> int:
    entry: int = client.post(f"/api/v1/people/{person}/name", json={"name": name}).json()["entry_id"]
    return entry


def texts(client: TestClient, **asked: object) -> list[str]:
    answer = client.get("/api/v1/journal", params={key: str(value) for key, value in asked.items()}).json()
    return [entry["text"] for entry in answer["entries"]]


def test_decisions_are_listed_the_newest_first_and_what_scans_did_when_asked_for(client: TestClient) -> None:
    assert texts(client) == ["Person 0002 named Ben", "Person 0001 named Anna"]
    assert texts(client, runs="true")[2] == "grouped: 3 new people, 7 faces grouped"
    page = client.get("/history").text
    assert page.index("Person 0002 named Ben") < page.index("Person 0001 named Anna")
    assert 'data-undo="' in page
    assert "3 new people" not in page
    assert "3 new people" in client.get("/history?runs=true").text


def test_the_history_comes_in_parts(client: TestClient) -> None:
    first = client.get("/api/v1/journal?limit=1").json()
    second = client.get(f"/api/v1/journal?limit=1&before={first['next_before']}").json()
    assert [part["entries"][0]["text"] for part in (first, second)] == [
        "Person 0002 named Ben",
        "Person 0001 named Anna",
    ]
    assert second["next_before"] is None


def test_the_history_of_one_person_is_about_that_one(client: TestClient) -> None:
    name(client, 3, "Carl")
    assert texts(client, person=3) == ["Person 0003 named Carl"]
    page = client.get("/history?who=Carl").text
    assert "History of Carl" in page
    assert "named Anna" not in page


def test_who_is_not_known_is_said_on_the_page(client: TestClient) -> None:
    answer = client.get("/history?who=Zoe")
    assert answer.status_code == 404
    assert "Nobody is called" in answer.text


def test_an_undo_is_in_the_history_and_can_be_made_again(client: TestClient) -> None:
    entry = name(client, 3, "Carl")
    undone = client.post(f"/api/v1/journal/{entry}/undo").json()
    assert (undone["entry_id"], undone["is_redoable"]) == (None, True)
    [undo, decision, *_] = client.get("/api/v1/journal").json()["entries"]
    assert (undo["text"], undo["is_undoable"]) == ("undone: Person 0003 named Carl", False)
    assert (decision["undone_by"], decision["is_undoable"]) == (undo["id"], False)
    page = client.get("/history").text
    assert f'<a href="/history/{undo["id"]}">undone</a>' in page
    assert "data-redo" in page
    redone = client.post("/api/v1/journal/redo").json()
    assert redone["entry_id"] == entry
    assert client.get("/api/v1/people?q=carl").json()["n_people"] == 1
    assert "data-redo" not in client.get("/history").text


def test_what_was_decided_is_said_without_the_ids_that_commands_take(client: TestClient) -> None:
    [face, *_] = [one["id"] for one in client.get("/api/v1/people/1/faces").json()["faces"]]
    posts = [
        ("people/1/cover", {"face": face}),
        *((f"faces/{verb}", {"faces": [face]}) for verb in ("confirm", "reject", "ignore")),
        ("people/1/merge", {"people": [2]}),
    ]
    done = [client.post(f"/api/v1/{path}", json=body).json() for path, body in posts]
    undone = client.post(f"/api/v1/journal/{done[-1]['entry_id']}/undo").json()
    again = client.post("/api/v1/journal/redo").json()
    said = [one["said"] for one in (*done, undone, again)]
    assert said[0] == "This face stands for Anna"
    assert "that contradicted it released" in undone["said"], "a merge of two who are in one photo lets go of a face"
    assert again["said"] == undone["said"].replace("Undone", "Made again")
    assert not [one for one in (*said, *texts(client)) if re.search(r"\b[dfp]\d", one)]


def test_what_builds_on_a_decision_is_shown_before_it_is_undone(client: TestClient) -> None:
    first, second = name(client, 3, "Carl"), name(client, 3, "Karl")
    asked = client.get(f"/api/v1/journal/{first}").json()
    assert [entry["id"] for entry in asked["chain"]] == [second]
    assert asked["said"] == "1 later decision builds on it and is undone with it, the newest first."
    page = client.get(f"/history/{first}").text
    assert "Undo all 2" in page
    assert "Carl named Karl" in page
    assert client.post(f"/api/v1/journal/{first}/undo").status_code == 409
    assert client.post(f"/api/v1/journal/{first}/undo?with_chain=true").status_code == 200
    assert client.get("/api/v1/people?q=person").json()["n_people"] == 1


def test_the_page_of_a_decision_says_what_became_of_it(client: TestClient) -> None:
    entry = name(client, 3, "Carl")
    assert "Nothing that was decided later builds on it." in client.get(f"/history/{entry}").text
    client.post(f"/api/v1/journal/{entry}/undo")
    assert "It does not stand any more" in client.get(f"/history/{entry}").text
    run = client.get("/api/v1/journal?runs=true").json()["entries"][-1]
    assert "grouping again would do the same" in client.get(f"/history/{run['id']}").text


@pytest.mark.parametrize("path", ["/history/999999", "/api/v1/journal/999999"])
def test_a_decision_that_nobody_made_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "here is no decision 999999" in answer.text
