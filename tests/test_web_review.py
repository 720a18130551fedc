"""The review on the page: what a browser is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from browsers import wait_until
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.people.review.answers import Answer
from facewatch.web.access import Access
from facewatch.web.lately import Lately
from facewatch.web.questions import QuestionQueue
from facewatch.web.server import make_site


@pytest.fixture
def client(family: Library) -> Iterator[TestClient]:
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def mixed(library: Library) -> Library:
    """Anna in five photos, and two of Ben that a run has taken for her."""
    library.draw_looks(1, 5, "a")
    library.draw_looks(2, 2, "b")
    library.scan()
    with library.app() as app:
        ben, anna = sorted(app.catalog.people.all(), key=lambda person: person.n_faces)
        app.catalog.assignments.reassign_all(ben.id, anna.id)
        app.catalog.people.retire(ben.id, anna.id)
        app.corrections.rename(str(anna.id), "Anna")
    return library


def next_ids(client: TestClient, **wanted: Any) -> list[str]:
    found = client.post("/api/v1/review/next", json=wanted).json()
    return [question["id"] for question in found["questions"]]


def answer(client: TestClient, question: str, said: str, name: str | None = None) -> Any:
    given = {"question": question, "answer": said} | ({"name": name} if name else {})
    return client.post("/api/v1/review/answers", json=given)


def test_a_question_is_shown_with_its_faces_and_what_can_be_said(client: TestClient) -> None:
    page = client.get("/review").text
    assert "Who is this (2 photos)?" in page
    assert 'data-question="who:p3"' in page
    assert page.count('class="question-face"') == 2
    assert 'data-verb="hide"' in page
    assert 'data-verb="yes"' not in page
    assert 'name="name"' in page


def test_every_question_has_an_address(client: TestClient) -> None:
    [_, second] = next_ids(client, n=2)
    assert f'data-question="{second}"' in client.get(f"/review/{second}").text
    unknown = client.get("/review/who:p77")
    assert unknown.status_code == 404
    assert "is no open question" in unknown.text


def test_an_answer_is_a_decision_that_the_folders_follow_and_undo_takes_back(
    client: TestClient, family: Library
) -> None:
    done = answer(client, "who:p3", "name", "Carl").json()
    assert done["said"] == "2 faces belong to Carl now"
    wait_until(lambda: (family.people / "Carl" / "e.png").is_symlink())
    assert "who:p3" not in next_ids(client, n=10)
    client.post(f"/api/v1/journal/{done['entry_id']}/undo")
    wait_until(lambda: not (family.people / "Carl").exists())
    assert next_ids(client, n=10)[0] == "who:p3"


def test_past_answers_are_listed_also_those_given_elsewhere(client: TestClient, family: Library, run: Any) -> None:
    assert run("review", "--answer", "who:p3=name:Carl").code == 0
    [face] = [one for one in client.get("/api/v1/review/questions").json()["questions"] if one["id"] != "who:p3"]
    answer(client, face["id"], "not-a-face")
    first, second = client.get("/api/v1/review/answers").json()["answers"]
    assert (first["question"], first["answer"]) == (face["id"], "not-a-face")
    assert (second["question"], second["answer"], second["is_undoable"]) == ("who:p3", "name:Carl", True)
    client.post(f"/api/v1/journal/{second['id']}/undo")
    page = client.get("/review/answers").text
    assert page.count("data-undo") == 1
    assert ">undone</a>" in page
    [older] = client.get("/api/v1/review/answers", params={"before": first["id"]}).json()["answers"]
    assert older["id"] == second["id"]


def test_other_decisions_are_no_answers(client: TestClient) -> None:
    client.post("/api/v1/people/3/name", json={"name": "Carl"})
    assert client.get("/api/v1/review/answers").json() == {"answers": [], "next_before": None}


def test_a_question_that_somebody_else_has_answered_is_passed_over_with_a_sentence(
    client: TestClient, family: Library, run: Any
) -> None:
    shown = next_ids(client, n=1)[0]
    assert shown == "who:p3"
    assert run("rename", "p3", "Carl").code == 0
    refused = answer(client, shown, "name", "Dora")
    assert refused.status_code == 409
    assert "is resolved meanwhile" in refused.json()["error"]
    asked = client.post("/api/v1/review/next", json={"shown": shown}).json()
    assert asked["gone"] == "“Who is this (2 photos)?” is resolved meanwhile"
    assert shown not in [question["id"] for question in asked["questions"]]
    page = client.get(f"/review/{shown}").text
    assert "is resolved meanwhile" in page
    assert "data-verb" not in page


def test_skipping_decides_nothing(client: TestClient) -> None:
    before = client.get("/api/v1/journal").json()
    done = answer(client, "who:p3", "skip").json()
    assert (done["entry_id"], done["said"]) == (None, "skipped; the next review asks again")
    assert client.get("/api/v1/journal").json() == before
    assert "who:p3" in next_ids(client, n=10)
    assert "who:p3" not in next_ids(client, n=10, without=["who:p3"])


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"question": "who:p3", "answer": "name"}, 422),
        ({"question": "who:p3", "answer": "no", "name": "Carl"}, 422),
        ({"question": "who:p3", "answer": "maybe"}, 422),
        ({"question": "who:p3", "answer": "yes"}, 404),
        ({"question": "who:p88", "answer": "hide"}, 404),
        ({"question": "who:p3", "answer": "name", "name": "  "}, 422),
    ],
)
def test_what_is_no_answer_is_refused_with_a_sentence(client: TestClient, given: dict[str, str], status: int) -> None:
    refused = client.post("/api/v1/review/answers", json=given)
    assert refused.status_code == status
    assert refused.json()["error"]


def test_a_question_is_divided_and_both_halves_can_be_answered(mixed: Library) -> None:
    with TestClient(make_site(mixed.app), base_url="http://127.0.0.1") as client:
        [whole] = next_ids(client, n=5)
        halves = answer(client, whole, "divide").json()["halves"]
        assert len(halves) == 2
        assert next_ids(client, n=2) == halves
        for half in halves:
            assert "Is this face of Anna really Anna?" in client.get(f"/review/{half}").text
        answer(client, halves[0], "no")
        answer(client, halves[1], "yes")
        wait_until(lambda: "still" not in str(next_ids(client, n=5)))
    with mixed.app() as app:
        [anna] = [person for person in app.catalog.people.all() if person.name == "Anna"]
        assert anna.n_faces == 6


def test_what_is_about_one_face_cannot_be_divided(client: TestClient) -> None:
    assert answer(client, "who:p3", "divide").status_code == 404


def test_where_nothing_is_left_to_ask_that_is_said(client: TestClient) -> None:
    for question in next_ids(client, n=10):
        answer(client, question, "not-a-face")
    found = client.post("/api/v1/review/next", json={}).json()
    assert found["questions"] == []
    assert found["said"] == "nothing to ask: every face that can be recognised belongs to somebody"
    assert "Nothing to ask" in client.get("/review").text


def test_before_the_first_scan_the_page_says_what_to_do(library: Library) -> None:
    with TestClient(make_site(library.app), base_url="http://127.0.0.1") as client:
        assert "facewatch scan PHOTOS" in client.get("/review").text
        assert "facewatch scan PHOTOS" in client.get("/api/v1/review/questions").json()["obstacle"]


def test_how_far_it_is_is_said_with_what_answers_bring(client: TestClient) -> None:
    assert client.get("/api/v1/review/outlook").json()["said"] == "62 % of faces named; about 1 answer to 75 %"
    for question in next_ids(client, n=10):
        answer(client, question, "name", "Carl")
    assert client.get("/api/v1/review/outlook").json()["said"] == "100 % of faces named"


def test_answers_go_on_while_questions_are_found_again(family: Library) -> None:
    """What is handed out meanwhile is of the list at hand, and open."""

    async def review() -> list[list[str]]:
        access = Access(family.app)
        queue = QuestionQueue(access, Lately(access), clock=lambda: 0.0)
        found = [await queue.next(2)]
        await queue.answer("who:p3", Answer("name", "Carl"))
        renewing = asyncio.create_task(queue.all())
        found.append(await queue.next(2))
        await renewing
        found.append(await queue.next(2))
        await asyncio.to_thread(access.close)
        return [[question.id for question in some] for some in found]

    first, meanwhile, after = asyncio.run(review())
    assert first[0] == "who:p3"
    assert meanwhile == after == first[1:]


def test_a_question_keeps_its_id_while_others_are_answered(client: TestClient) -> None:
    [first, second] = next_ids(client, n=2)
    answer(client, first, "hide")
    assert [one["id"] for one in client.get("/api/v1/review/questions").json()["questions"]] == [second]


def test_an_answer_to_a_question_of_an_older_list_is_taken(client: TestClient, family: Library, run: Any) -> None:
    """Somebody thinks longer about it than others need for a scan."""
    [first] = next_ids(client, n=1)
    family.draw("z.png", (7, 0))
    family.scan()
    client.get("/api/v1/review/questions")
    assert answer(client, first, "hide").status_code == 200
