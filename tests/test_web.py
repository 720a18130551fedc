"""The local page: what a browser is answered."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from browsers import wait_until
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.app import App
from facewatch.presentation.status import scan_ended, status_page
from facewatch.web.access import MOST_CACHED, Access
from facewatch.web.jobs import Jobs
from facewatch.web.paging import Paging
from facewatch.web.server import Server, make_site


@pytest.fixture
def client(family: Library) -> Iterator[TestClient]:
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        yield client


def test_everybody_is_shown_named_people_first(client: TestClient) -> None:
    page = client.get("/").text
    assert page.index("Ben") < page.index("Person 0003")
    assert page.index("Anna") < page.index("Person 0003")


def test_a_search_finds_who_is_called_so(client: TestClient) -> None:
    found = client.get("/api/v1/people", params={"q": "an"}).json()
    assert [person["label"] for person in found["people"]] == ["Anna"]


def test_a_name_given_on_the_page_is_in_the_folders_and_can_be_undone(client: TestClient, family: Library) -> None:
    done = client.post("/api/v1/people/3/name", json={"name": "Carl"}).json()
    assert done["said"] == "Person 0003 is now called Carl: 2 photos"
    wait_until(lambda: (family.people / "Carl" / "e.png").is_symlink())
    undone = client.post(f"/api/v1/journal/{done['entry_id']}/undo").json()
    assert "Carl" in undone["said"]
    wait_until(lambda: not (family.people / "Carl").exists())


def test_what_matching_the_pool_again_finds_belongs_to_the_decision_before_the_next_is_made(family: Library) -> None:
    access = Access(family.app)

    def reject_all(app: App) -> int | None:
        with app.corrections.deciding() as decisions:
            return decisions.reject(["f1"]).entry_id

    async def both() -> list[int | None]:
        return await asyncio.gather(
            access.decide(reject_all), access.decide(lambda app: app.corrections.undo().entry_id)
        )

    rejected, undone = asyncio.run(both())
    access.close()
    with family.app() as app:
        assert app.catalog.journal.one(rejected or 0).undone_by == undone
        assert app.folder.outdated() == set()


def test_what_follows_from_a_decision_waits_until_the_page_that_shows_it_is_read(
    family: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewatch.web.aftermath.ASKING_SECONDS", 0.0)
    monkeypatch.setattr("facewatch.web.aftermath.READING_SECONDS", 60.0)
    access, is_read = Access(family.app), threading.Event()

    async def follow() -> tuple[bool, bool]:
        reading = asyncio.create_task(access.read(lambda app: is_read.wait()))
        await access.decide(lambda app: app.corrections.rename("p3", "Carl"))
        for _ in range(3):  # what was to be done before this has been done
            await access.count_changes()
        was_early = (family.people / "Carl").exists()
        is_read.set()
        await reading
        await access.aftermath.wait()
        return was_early, (family.people / "Carl").exists()

    assert asyncio.run(follow()) == (False, True)
    access.close()


def test_folders_follow_when_nobody_decides_for_a_while(family: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_SECONDS", "MOST_UNSHOWN_SECONDS"):
        monkeypatch.setattr(f"facewatch.web.aftermath.{name}", 60.0)
    access = Access(family.app)
    access.aftermath._show_seconds = 60.0

    async def decide() -> bool:
        for name in ("Carl", "Carla"):
            await access.decide(lambda app, name=name: app.corrections.rename("p3", name))  # type: ignore[misc]
        access.aftermath.match()
        await access.count_changes()
        return (family.people / "Carla").exists()

    assert not asyncio.run(decide())
    access.close()
    assert (family.people / "Carla").is_dir()


def test_what_is_still_to_follow_from_a_decision_does_when_the_page_is_closed(family: Library) -> None:
    access = Access(family.app)
    asyncio.run(access.decide(lambda app: app.corrections.rename("p3", "Carl")))
    access.close()
    assert (family.people / "Carl").is_dir()


def test_folders_that_cannot_follow_are_reported_to_the_page_and_the_decision_stands(
    client: TestClient, family: Library
) -> None:
    shutil.rmtree(family.people)
    family.people.write_text("in the way")
    done = client.post("/api/v1/people/3/name", json={"name": "Carl"})
    assert done.json()["said"] == "Person 0003 is now called Carl: 2 photos"
    access = client.app.state.parts.access  # type: ignore[attr-defined]
    wait_until(lambda: "the folders do not show it" in access.aftermath.fault)
    family.people.unlink()
    client.post("/api/v1/people/3/name", json={"name": "Carla"})
    wait_until(lambda: access.aftermath.fault == "")
    wait_until(lambda: (family.people / "Carla").is_dir())


def test_who_is_not_known_is_said_in_a_sentence(client: TestClient) -> None:
    answer = client.post("/api/v1/people/99/name", json={"name": "Zoe"})
    assert answer.status_code == 404
    assert "no such person" in answer.json()["error"]


def test_a_body_that_is_no_json_is_refused_in_a_sentence(client: TestClient) -> None:
    answer = client.post("/api/v1/people/1/name", content=b"name=Zoe")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Input should be")


@pytest.mark.parametrize("name", ["\u200b", "a" * 121, "p12", "../Anna"])
def test_a_name_that_nobody_can_have_is_a_fault_of_the_name(client: TestClient, name: str) -> None:
    answer = client.post("/api/v1/people/3/name", json={"name": name})
    assert answer.status_code == 422
    assert "Person 0003" in client.get("/person/3").text


def test_a_person_called_like_a_script_is_shown_as_that(client: TestClient) -> None:
    client.post("/api/v1/people/3/name", json={"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in client.get("/").text
    assert "&lt;script&gt;alert(1)" in client.get("/").text


def test_names_complete_from_their_beginning_their_words_and_after_a_slip(client: TestClient) -> None:
    def found(text: str, **asked: object) -> list[str]:
        return [one["name"] for one in client.get("/api/v1/names", params={"q": text} | asked).json()["people"]]

    client.post("/api/v1/people/3/name", json={"name": "Joanna Bénard"})
    assert found("an") == ["Anna", "Joanna Bénard"]
    assert found("ben") == ["Ben", "Joanna Bénard"]
    assert found("Benn") == ["Ben"]
    assert found("x") == []
    assert found("") == ["Ben", "Anna", "Joanna Bénard"]
    assert found("ann", without=1) == ["Joanna Bénard"]
    client.post("/api/v1/people/1/hide")
    assert found("an") == ["Joanna Bénard"]
    assert found("anna") == ["Anna", "Joanna Bénard"], "the name is taken all the same"


def test_a_list_in_parts_is_shown_up_to_where_somebody_scrolled() -> None:
    part = Paging(page=2, upto=3).part(range(100), 20)
    assert (list(part.items), part.first, part.last, part.n_pages) == (list(range(20, 60)), 2, 3, 5)
    part = Paging(page=9, upto=1).part(range(100), 20)
    assert (list(part.items), part.first, part.last) == (list(range(80, 100)), 5, 5)
    assert Paging(page=1, upto=1).part((), 20).n_pages == 1


def test_no_answer_waits_for_the_browsers_acknowledgement_of_the_one_before(family: Library) -> None:
    server = Server(make_site(family.app), host="127.0.0.1", port=0)
    with closing(server._socket) as listening, closing(socket.create_connection(listening.getsockname())):
        accepted, _ = listening.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_name_that_is_taken_says_whose_it_is_and_merges_nobody(client: TestClient) -> None:
    answer = client.post("/api/v1/people/3/name", json={"name": "ANNA"})
    assert answer.status_code == 409
    assert answer.json() == {"error": "Anna is already the name of somebody else (2 photos)", "taken_by": 1}
    assigned = client.post("/api/v1/faces/assign", json={"faces": [5], "new_name": "Anna"})
    assert (assigned.status_code, assigned.json()["taken_by"]) == (409, 1)
    assert client.get("/api/v1/people").json()["n_people"] == 3


def test_no_error_on_the_page_asks_for_a_command(client: TestClient) -> None:
    client.post("/api/v1/faces/assign", json={"faces": [5], "person": 1})
    client.post("/api/v1/faces/reject", json={"faces": [6], "person": 1})
    done = client.post("/api/v1/people/2/name", json={"name": "Bernd"}).json()["entry_id"]
    client.post(f"/api/v1/journal/{done}/undo", json={})
    asked: dict[str, object] = {
        "/people/99/name": {"name": "Zoe"},
        "/people/3/name": {"name": "\u200b"},
        "/people/1/merge": {"people": [1]},
        "/people/1/apart/1": {},
        "/people/1/cover": {"face": 4},
        "/faces/reject": {"faces": [8]},
        "/faces/confirm": {"faces": [8]},
        "/faces/assign": {"faces": [99], "person": 1},
        f"/journal/{done}/undo": {},
        "/journal/99/undo": {},
    }
    for path, body in asked.items():
        answer = client.post(f"/api/v1{path}", json=body)
        assert answer.status_code in (404, 409, 422), (path, answer.text)
        assert "facewatch " not in answer.json()["error"], path


def test_searches_that_nobody_asks_for_any_more_are_not_kept(client: TestClient) -> None:
    access = client.app.state.parts.access  # type: ignore[attr-defined]
    for number in range(MOST_CACHED + 20):
        assert client.get("/photos", params={"q": f"faces:{number % 90}"}).status_code == 200
        client.get(f"/pool?kind={'open' if number % 2 else 'poor'}")
    assert len(access._cache) <= MOST_CACHED


def test_statistics_say_when_they_were_worked_out_and_whether_the_library_has_changed_since(
    client: TestClient, family: Library
) -> None:
    job = client.app.state.parts.jobs.stats  # type: ignore[attr-defined]
    with family.app() as app:
        job.result, job.made_at = app.stats(), datetime(2020, 5, 17, 12, tzinfo=UTC)
    first = client.get("/stats").text
    assert "2020-05-17" in first
    assert "has changed since" not in first
    client.post("/api/v1/people/3/name", json={"name": "Carl"})
    assert "has changed since" in client.get("/stats").text


def test_statistics_are_renewed_once_however_often_the_page_is_fetched_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.app.state.parts.jobs.stats  # type: ignore[attr-defined]
    begun: list[object] = []
    monkeypatch.setattr(job, "start", lambda *_: begun.append(1))
    answer = client.get("/stats?renew=true", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"], len(begun)) == (303, "/stats", 1)


def test_a_scan_that_was_started_on_the_page_ends_with_the_server(library: Library) -> None:
    async def ended() -> str:
        told = asyncio.Event()
        jobs = Jobs(lambda *_: told.set(), program=(sys.executable, "-c", "import signal; signal.pause()"))
        with library.app() as app:
            await jobs.start_scan(app.config)
        told.clear()
        jobs.close()
        await asyncio.wait_for(told.wait(), 20)
        return f"{jobs.is_scanning} {jobs.scan_fault}"

    assert asyncio.run(ended()) == "False "


@pytest.mark.parametrize(
    ("last_scan", "said"),
    [
        (None, "The scan is starting"),
        ("2026-05-17T11:59:59Z", "The scan is starting"),
        ("2026-05-17T12:00:00Z", "The scan is ending"),
    ],
)
def test_a_scan_that_has_looked_at_all_photos_is_not_said_to_start(
    library: Library, last_scan: str | None, said: str
) -> None:
    begun_at = datetime(2026, 5, 17, 12, 0, 0, 900, tzinfo=UTC)
    with library.app() as app:
        current = replace(app.status(), last_scan=last_scan)
    assert status_page(current, begun_at, begun_at=begun_at).runner == said


@pytest.mark.parametrize(
    ("code", "written", "said"),
    [
        (0, "WARNING: a.jpg: truncated JPEG\n", ""),
        (4, "WARNING: a.jpg: truncated JPEG\nfacewatch: /p: does not exist\n", "/p: does not exist"),
        (137, "", "the scan ended with exit code 137"),
    ],
)
def test_why_a_scan_failed_is_what_it_said_last(code: int, written: str, said: str) -> None:
    assert scan_ended(code, written) == said
