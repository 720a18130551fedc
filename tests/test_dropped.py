"""A photo with several faces that is dropped in a person's folder: the review asks which of them is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Album, opened, wait_until
from drawn import Library
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect

from facewatch.web.server import make_site

Asking = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def asked(run: Any) -> Asking:
    """Returns the questions which face is meant, as another program gets them."""

    def call() -> list[dict[str, Any]]:
        questions = json.loads(run("review", "--json").out)["questions"]
        return [one for one in questions if one["kind"] == "which"]

    return call


@pytest.fixture
def place(family: Library, run: Any) -> Library:
    """Two strangers on h; a link to it was dropped in Ben's folder, and the folder was read."""
    family.draw("h.png", (7, 0), (8, 0))
    family.scan()
    drop(family, "Ben/h.png")
    told = run("folders").out
    assert "Ben/h.png: it is not clear which face on it is Ben; `facewatch review` asks" in told
    return family


def drop(place: Library, path: str) -> None:
    (place.people / path).parent.mkdir(exist_ok=True)
    (place.people / path).symlink_to(place.photos / Path(path).name)


def whose(place: Library, photo: str = "h.png") -> list[str | None]:
    with place.app() as app:
        return [face["name"] for face in app.lookup.photo(place.photos / photo)["faces"]]


def test_it_is_asked_first_which_of_them_it_is(place: Library, asked: Asking, run: Any) -> None:
    [question] = asked()
    assert json.loads(run("review", "--json").out)["questions"][0] == question
    assert question["text"] == "which of these 2 faces is Ben?"
    left, right = (f"face:f{face['id']}" for face in question["faces"])
    assert question["answers"] == [left, right, "no", "skip"]


def test_the_answer_is_a_decision_and_the_link_is_his(place: Library, asked: Asking, run: Any) -> None:
    before = place.tree()
    [question] = asked()
    told = run("review", "--answer", f"{question['id']}={question['answers'][1]}")
    assert "is Ben now" in told.out
    assert whose(place) == [None, "Ben"]
    assert place.tree() == before, "the link that was dropped is the only one"
    assert (place.people / "Ben/h.png").readlink() == Path("../../Photos/h.png")
    assert asked() == []
    assert run("folders").out.endswith("0 steps taken\n")
    (place.people / "Ben/h.png").unlink()
    assert "Ben: 1 face rejected, because its link is gone" in run("folders").out
    assert asked() == []


def test_undo_asks_again_and_the_link_stands_where_it_was_dropped(place: Library, asked: Asking, run: Any) -> None:
    before, [question] = place.tree(), asked()
    run("review", "--answer", f"{question['id']}={question['answers'][0]}")
    assert run("undo").code == 0
    assert (whose(place), place.tree(), asked()) == ([None, None], before, [question])
    run("folders")
    assert (place.tree(), asked()) == (before, [question])


def test_none_of_them_means_that_he_is_in_the_photo_without_a_face(place: Library, asked: Asking, run: Any) -> None:
    before, [question] = place.tree(), asked()
    told = run("review", "--answer", f"{question['id']}=no")
    assert "none of these is Ben, who is in the photo without a face" in told.out
    with place.app() as app:
        [photo] = app.catalog.presences.of_person(app.lookup.person("Ben").id)
        assert {one["face_id"] for one in app.catalog.faces.in_photo(photo)} == app.catalog.rejections.of_person(
            app.lookup.person("Ben").id
        )
    assert (whose(place), place.tree(), asked()) == ([None, None], before, [])
    run("undo")
    assert (place.tree(), asked()) == (before, [question])


def test_somebody_new_is_named_by_the_folder(place: Library, asked: Asking, run: Any) -> None:
    (place.people / "Ben/h.png").rename(place.people / "Ben/h.png.away")
    drop(place, "Dora/h.png")
    (place.people / "Ben/h.png.away").unlink()
    run("folders")
    before, [question] = place.tree(), asked()
    assert question["text"] == "which of these 2 faces is Dora?"
    run("review", "--answer", f"{question['id']}={question['answers'][0]}")
    assert (whose(place), place.tree()) == (["Dora", None], before)
    run("undo")
    assert (whose(place), place.tree(), asked()) == ([None, None], before, [question])
    run("review", "--answer", f"{question['id']}=no")
    assert (whose(place), place.tree(), asked()) == ([None, None], before, [])
    assert run("photos", "with", "Dora").out == f"{place.photos}/h.png\n"


def test_a_command_answers_it_as_well(place: Library, asked: Asking, run: Any) -> None:
    before = place.tree()
    run("assign", f"{place.photos}/h.png:1", "Ben")
    assert (whose(place), place.tree(), asked()) == (["Ben", None], before, [])


@pytest.mark.parametrize("gone", ["link", "photo", "face"])
def test_it_is_not_asked_when_the_link_or_what_it_shows_is_gone(
    place: Library, asked: Asking, run: Any, gone: str
) -> None:
    if gone == "link":
        (place.people / "Ben/h.png").unlink()
        run("folders")
    elif gone == "photo":
        (place.photos / "h.png").unlink()
        place.scan()
    else:
        run("assign", f"{place.photos}/h.png:1", "Carl", "--new")
    assert asked() == []


def test_what_is_asked_already_is_no_change_that_waits(
    place: Library, asked: Asking, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.base / "facewatch.toml").write_text('[folders]\nedit = "ask"\nmost_changes = 1\n')
    monkeypatch.chdir(place.base)
    assert "wait" not in run("folders").out
    (place.people / "Ben/c.png").unlink()
    assert "1 change in the people folder waits for your word" in run("folders").out
    assert len(asked()) == 1
    run("folders", "--accept")
    assert len(asked()) == 1


def test_a_file_of_ones_own_stays_beside_the_link(place: Library, asked: Asking, run: Any) -> None:
    (place.people / "Ben/h.png").unlink()
    (place.people / "Ben/h.png").write_bytes((place.photos / "h.png").read_bytes())
    run("folders")
    [question] = asked()
    run("review", "--answer", f"{question['id']}={question['answers'][0]}")
    assert whose(place) == ["Ben", None]
    assert (place.people / "Ben/h.png").is_file()
    assert [path for path, photo in place.tree().items() if photo == "h.png"] == ["Ben/h (Photos).png"]


@pytest.fixture
def class_photo(place: Library, run: Any) -> Library:
    """More faces on a photo in Ben's folder than there are keys."""
    place.draw("i.png", *((person, 0) for person in range(20, 31)))
    place.scan()
    (place.people / "Ben/h.png").unlink()
    drop(place, "Ben/i.png")
    run("folders")
    return place


def test_of_many_faces_each_can_be_the_one(class_photo: Library, asked: Asking, run: Any) -> None:
    [question] = asked()
    assert question["text"] == "which of these 11 faces is Ben?"
    assert len(question["faces"]) == 11
    run("review", "--answer", f"{question['id']}=face:f{question['faces'][10]['id']}")
    assert whose(class_photo, "i.png").index("Ben") == 10


def test_another_face_is_no_answer(place: Library, asked: Asking, run: Any) -> None:
    [question] = asked()
    for said in ("face:f1", "face:p9", "yes", "face"):
        told = run("review", "--answer", f"{question['id']}={said}")
        assert told.code == 9
    one, other, *_ = question["answers"]
    assert run("review", "--answer", f"{question['id']}={one}", "--answer", f"who:{other[5:]}=name:Ben").code == 0


@pytest.fixture
def client(place: Library) -> Iterator[TestClient]:
    with TestClient(make_site(place.app), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_asks_the_same(client: TestClient, place: Library) -> None:
    [question] = client.post("/api/v1/review/next", json={"n": 1}).json()["questions"]
    page = client.get("/review").text
    assert "Which of these 2 faces is Ben?" in page
    for number, face in enumerate(question["faces"], 1):
        assert f'data-verb="face" data-face-id="{face}" data-key="{number}"' in page
    given = {"question": question["id"], "answer": "face"}
    assert client.post("/api/v1/review/answers", json=given).status_code == 422
    done = client.post("/api/v1/review/answers", json={**given, "face": question["faces"][1]}).json()
    assert done["said"].endswith("is Ben now")
    assert whose(place) == [None, "Ben"]
    assert "Which of these 2 faces is Ben?" in client.get("/review").text, "among the past answers"
    assert client.post(f"/api/v1/journal/{done['entry_id']}/undo", json={}).status_code == 200
    assert whose(place) == [None, None]


def test_the_page_has_a_button_for_each_of_many_faces(class_photo: Library) -> None:
    with TestClient(make_site(class_photo.app), base_url="http://127.0.0.1") as client:
        [question] = client.post("/api/v1/review/next", json={"n": 1}).json()["questions"]
        page = client.get("/review").text
    faces = re.findall(r'data-verb="face" data-face-id="(\d+)"(?: data-key="(\d)")?', page)
    assert [int(face) for face, _ in faces] == question["faces"]
    assert [key for _, key in faces] == [*"123456789", "", ""]
    assert re.findall(r'class="question-number"[^>]*>(\d+)', page) == [str(n) for n in range(1, 12)]


@pytest.mark.slow
def test_a_key_says_which_face_of_a_real_photo_it_is(browser: Browser, real_family: Album) -> None:
    with real_family.served() as address:
        with real_family.app() as app:
            counts = [(len(app.catalog.faces.in_photo(photo)), photo) for photo in app.catalog.photos.known(range(99))]
            photo = max(counts)[1]
            source = Path(app.catalog.files.sources([photo])[photo][0])
            (real_family.config.people / "Dora").mkdir()
            (real_family.config.people / "Dora" / source.name).symlink_to(source)
            app.folder.sync()
        with opened(browser, f"{address}review") as page:
            expect(page.locator("#question-heading")).to_contain_text("is Dora?")
            expect(page.locator(".question-number").first).to_have_text("1")
            page.keyboard.press("2")
            expect(page.locator("#said p")).to_contain_text("is Dora now")
            wait_until(lambda: real_family.links("Dora") == [source.name])
            page.keyboard.press("u")
            expect(page.locator("#question-heading")).to_contain_text("is Dora?")
            page.keyboard.press("n")
            expect(page.locator("#said p")).to_contain_text("in the photo without a face")
            wait_until(lambda: real_family.links("Dora") == [source.name])
