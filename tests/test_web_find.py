"""Finding photos by words and faces by a photo: what a browser, or a program, is answered."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from drawn import Library
from fastapi.testclient import TestClient

from facewatch.web.server import make_site


@pytest.fixture
def client(family: Library) -> Iterator[TestClient]:
    with TestClient(make_site(family.app), base_url="http://127.0.0.1") as client:
        yield client


def test_names_of_files_that_are_no_text_are_answered_all_the_same(library: Library) -> None:
    library.draw(os.fsdecode(b"caf\xe9/\xff.png"), (1, 0))
    library.scan()
    with TestClient(make_site(library.app), base_url="http://127.0.0.1") as client:
        assert client.get("/api/v1/photos").json()["photos"][0]["files"] == [f"{library.photos}/caf\ufffd/\ufffd.png"]
        assert client.get("/api/v1/photos/1").json()["files"] == [f"{library.photos}/caf\ufffd/\ufffd.png"]
        assert client.get("/photos").status_code == client.get("/photo/1").status_code == 200


def test_a_photo_that_was_sent_and_cannot_be_used_is_not_called_by_where_it_lay(client: TestClient) -> None:
    answer = client.post("/api/v1/search", content=b"no photo at all")
    assert answer.status_code == 422
    assert answer.json()["error"] == "this is not a photo"


def test_photos_that_are_offline_or_deleted_are_marked(client: TestClient, family: Library) -> None:
    (family.photos / "d.png").unlink()
    family.scan()
    family.photos.rename(family.base / "unplugged")
    rows = client.get("/api/v1/photos", params={"q": "with Ben"}).json()
    assert [row["is_offline"] for row in rows["photos"]] == [True, True]
    assert rows["n_deleted"] == 1
    page = client.get("/photos", params={"q": "with Ben"}).text
    assert page.count('<span class="mark">offline</span>') == 2
    assert "1 more is in no file any more" in page
    assert "offline: " in client.get(f"/photo/{rows['photos'][0]['id']}").text
    page = client.get("/photos", params={"q": "with Ben deleted"}).text
    assert page.count('<span class="mark">deleted</span>') == 1


def test_a_search_is_completed_while_it_is_typed(client: TestClient) -> None:
    found = client.get("/api/v1/completions", params={"q": "with An"}).json()["completions"]
    assert [(one["text"], one["note"]) for one in found] == [("with Anna ", "2 photos")]
    assert found[0]["cover_id"]


def test_words_that_mean_nothing_are_a_sentence_on_the_page_and_an_error_of_the_api(client: TestClient) -> None:
    for words, status in (("with Zoe", 404), ("faces:x", 422)):
        page = client.get("/photos", params={"q": words})
        assert page.status_code == 200
        assert page.text.count('role="alert"') == 1
        assert client.get("/api/v1/photos", params={"q": words}).status_code == status
