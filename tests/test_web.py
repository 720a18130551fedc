"""The local page: what a browser is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.web.server import make_site


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
    assert (family.people / "Carl" / "e.png").is_symlink()
    undone = client.post(f"/api/v1/journal/{done['entry_id']}/undo").json()
    assert "Carl" in undone["said"]
    assert not (family.people / "Carl").exists()


def test_who_is_not_known_is_said_in_a_sentence(client: TestClient) -> None:
    answer = client.post("/api/v1/people/99/name", json={"name": "Zoe"})
    assert answer.status_code == 404
    assert "p99" in answer.json()["error"]


def test_a_person_called_like_a_script_is_shown_as_that(client: TestClient) -> None:
    client.post("/api/v1/people/3/name", json={"name": "<script>alert(1)</script>"})
    assert "<script>alert" not in client.get("/").text
    assert "&lt;script&gt;alert(1)" in client.get("/").text
