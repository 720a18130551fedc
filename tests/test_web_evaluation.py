"""The newest evaluation on the page and in the JSON API; in a browser, on real photos."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from browsers import accessibility_faults, chromium, opened, served
from drawn import Library, make_library
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect

from facewatch.cli import main
from facewatch.fs import sidecar
from facewatch.fs.sidecar import beside
from facewatch.reports.evaluation import FORMAT, KeptEvaluation, keep_evaluation
from facewatch.web.server import make_site

KEPT = KeptEvaluation(
    made_at="2026-01-02T03:04:05Z",
    facts=("6 photos below /home/me/Labelled", "engine <fake>"),
    content="<section><h2>Ways of working</h2></section>",
    measured={"labelled": "/home/me/Labelled \udcff", "n_photos": 6},
)
GOOD: dict[str, Any] = {"format": FORMAT} | asdict(KEPT)


@pytest.fixture
def client(three: Library) -> Iterator[TestClient]:
    with TestClient(make_site(three.app), base_url="http://127.0.0.1") as client:
        yield client


def test_before_the_first_one_the_page_says_what_it_is_and_how_it_is_made(client: TestClient) -> None:
    page = client.get("/stats/evaluation")
    assert page.status_code == 200
    assert "No evaluation has been made yet." in page.text
    assert "facewatch evaluate ~/Labelled" in page.text
    answer = client.get("/api/v1/evaluation")
    assert (answer.status_code, answer.json()) == (404, {"error": "no evaluation has been made yet"})


def test_the_newest_one_is_shown_with_when_it_was_and_by_which_engine(client: TestClient, three: Library) -> None:
    keep_evaluation(three.catalog, KEPT)
    page = client.get("/stats/evaluation").text
    assert KEPT.content in page
    assert "<li>engine &lt;fake&gt;</li>" in page
    assert "<li>made 2026-01-0" in page
    assert '<a href="/stats/evaluation" aria-current="page">Evaluation</a>' in page
    assert client.get("/api/v1/evaluation").json() == {"made_at": KEPT.made_at} | dict(KEPT.measured)


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ("", "cannot be read any more"),
        (json.dumps(GOOD)[:-20], "cannot be read any more"),
        ("[" * 100_000, "cannot be read any more"),
        ("[]", "cannot be read any more"),
        (json.dumps(GOOD | {"content": 7}), "cannot be read any more"),
        (json.dumps(GOOD | {"content": "\udcff"}), "cannot be read any more"),
        (json.dumps(GOOD | {"measured": 7}), "cannot be read any more"),
        (json.dumps({"format": FORMAT}), "cannot be read any more"),
        (json.dumps(GOOD | {"format": FORMAT + 1}), "was made by another version"),
    ],
)
def test_one_that_cannot_be_shown_is_said_and_not_an_error(
    client: TestClient, three: Library, kept: str, sentence: str
) -> None:
    beside(three.catalog, sidecar.EVALUATION).write_text(kept)
    page = client.get("/stats/evaluation")
    assert page.status_code == 200
    assert f"The newest evaluation {sentence}" in page.text
    assert "facewatch evaluate ~/Labelled" in page.text
    answer = client.get("/api/v1/evaluation")
    assert answer.status_code == 404
    assert sentence in answer.json()["error"]


def test_what_is_no_file_is_said(client: TestClient, three: Library) -> None:
    beside(three.catalog, sidecar.EVALUATION).mkdir()
    assert "cannot be read any more" in client.get("/stats/evaluation").text


# --- in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def evaluated(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the evaluation of real photos, one of which is in the folder of somebody else."""
    base = tmp_path_factory.mktemp("evaluated")
    library, labelled = make_library(base), base / "Labelled"
    library.draw("a.png", (1, 0))
    library.scan()
    for name in ("Dad1", "Dad2", "Dad3", "Mom1", "Mom2", "Mom3"):
        who = labelled / ("Dad" if name == "Mom3" else name[:-1])
        who.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "photos" / "album" / "family" / f"Family1-{name}.jpg", who)
    engine = ["--engine", "face_recognition"]
    assert main(["evaluate", str(labelled), "--batches", "2", *engine, "--catalog", str(library.catalog)]) == 0
    with served(library.app) as url:
        yield f"{url}stats/evaluation"


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_it_is_accessible_and_no_wider_than_the_window(
    browser: Browser, evaluated: str, scheme: Any, width: int
) -> None:
    with opened(browser, evaluated, width=width, height=844) as page:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not accessibility_faults(page)


@pytest.mark.slow
def test_faces_of_the_mistakes_are_shown_and_what_was_opened_stays_open(browser: Browser, evaluated: str) -> None:
    with opened(browser, evaluated) as page:
        mistake = page.locator(".mistake").filter(has_text="Mom3").first
        expect(mistake).to_be_visible()
        assert mistake.locator("img").first.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 112
        page.locator("summary").first.click()
        expect(mistake).to_be_hidden()
        page.evaluate("import('/static/core.js').then((core) => core.refresh())")
        expect(mistake).to_be_hidden()
        page.get_by_role("navigation", name="Which numbers").get_by_role("link", name="Library").click()
        page.wait_for_url("**/stats")
        expect(page.get_by_role("link", name="Statistics")).to_have_attribute("aria-current", "page")
