"""The page of everybody, in a browser, on real photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import chromium, copied, opened, served
from playwright.sync_api import Browser, expect

from facewatch.app import App
from facewatch.config import load_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = tmp_path_factory.mktemp("page")
    photos = copied(shared, base / "photos", "album/family")
    given = {
        "library.photos": [str(photos)],
        "library.catalog": str(base / "c.sqlite"),
        "library.people": str(base / "People"),
    }
    config = load_config(None, given, cwd=base)
    with App(config) as app:
        app.pipeline.scan()
    with served(lambda: App(config)) as url:
        yield url


def test_everybody_is_a_face_that_can_be_seen(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        faces = page.locator("[data-person] img.face")
        expect(faces.first).to_have_js_property("complete", True)
        assert faces.count() > 5
        assert faces.first.evaluate("face => face.naturalWidth") > 100
