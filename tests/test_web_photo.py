"""The pages of a person and of a photo, in a browser, on real photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium, copied, opened, served
from playwright.sync_api import Browser, Page, expect

from facewatch.app import App
from facewatch.config import Config, load_config
from facewatch.types import Box

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@dataclass(frozen=True)
class Family:
    """A served library of real photos, in which one person is called Anna."""

    url: str
    config: Config
    anna: int

    @property
    def folder(self) -> Path:
        return self.config.people

    def faces_of(self, person: int) -> list[Any]:
        with App(self.config) as app:
            return app.catalog.faces.of_person(person)


@pytest.fixture
def family(shared: Path, tmp_path: Path) -> Iterator[Family]:
    photos = copied(shared, tmp_path / "photos", "album/family")
    given = {
        "library.photos": str(photos),
        "library.catalog": str(tmp_path / "c.sqlite"),
        "library.people": str(tmp_path / "People"),
    }
    config = load_config(None, given, cwd=tmp_path)
    with App(config) as app:
        app.pipeline.scan()
        anna = app.catalog.people.all()[0].id
        app.corrections.rename(str(anna), "Anna")
    with served(lambda: App(config)) as url:
        yield Family(url, config, anna)


def said(page: Page, text: str) -> None:
    expect(page.locator(".toast").last).to_contain_text(text)


def test_a_face_that_is_not_hers_is_rejected_by_a_key_and_comes_back(browser: Browser, family: Family) -> None:
    before = {row.id for row in family.faces_of(family.anna)}
    with opened(browser, f"{family.url}person/{family.anna}") as page:
        tile = page.locator(".tile").first
        tile.focus()
        page.keyboard.press("x")
        said(page, "not Anna, for good")
        left = {row.id for row in family.faces_of(family.anna)}
        assert len(left) == len(before) - 1
        page.keyboard.press("u")
        said(page, "undone")
    assert {row.id for row in family.faces_of(family.anna)} == before


def test_faces_are_moved_to_somebody_new_and_have_a_folder(browser: Browser, family: Family) -> None:
    with opened(browser, f"{family.url}person/{family.anna}?sort=doubt") as page:
        page.locator(".tile").first.focus()
        page.keyboard.press("m")
        page.keyboard.type("Berta")
        page.keyboard.press("Enter")
        said(page, "Berta")
        expect(page.locator(".toast a").last).to_have_text("History")
    assert len(list((family.folder / "Berta").iterdir())) == 1


def test_a_split_takes_what_was_arranged(browser: Browser, family: Family) -> None:
    n = len(family.faces_of(family.anna))
    with opened(browser, f"{family.url}person/{family.anna}/split?into=2") as page:
        part = page.locator(".split-part").nth(1)
        part.locator("[data-name]").fill("Carla")
        n_other = part.locator("[data-face]").count()
        page.locator("#apply").click()
        page.wait_for_url("**/person/*")
    assert len(family.faces_of(family.anna)) == n - n_other
    assert (family.folder / "Carla").is_dir()


def test_a_face_is_named_on_its_photo_and_why_is_said(browser: Browser, family: Family) -> None:
    with App(family.config) as app:
        other = next(one.id for one in app.catalog.people.all() if one.id != family.anna and one.n_photos)
        face = app.catalog.faces.of_person(other)[0]
    with opened(browser, f"{family.url}photo/{face.photo_id}?face={face.id}") as page:
        row = page.locator(f"#face{face.id}")
        expect(row).to_have_class("chosen")
        row.get_by_role("button", name="Why?").click()
        expect(row.locator(".photo-why p").first).to_contain_text("looked alike")
        row.locator("[data-do=name]").first.click()
        page.keyboard.type("Dora")
        page.keyboard.press("Enter")
        said(page, "Dora")
    assert (family.folder / "Dora").is_dir()


def test_a_face_that_was_missed_is_drawn_by_keyboard(browser: Browser, family: Family) -> None:
    [row, *_] = family.faces_of(family.anna)
    with App(family.config) as app:
        app.corrections.rename(str(family.anna), "Anna")
        others = [one.box for one in app.catalog.faces.rows(app.catalog.faces.boxes(row.photo_id)[0])]
        size = app.catalog.photos.size(row.photo_id)
    assert size
    with opened(browser, f"{family.url}photo/{row.photo_id}") as page:
        page.keyboard.press("b")
        for _ in range(60):
            page.keyboard.press("ArrowLeft")
        for _ in range(60):
            page.keyboard.press("ArrowUp")
        for _ in range(31):
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.type("Emma")
        page.keyboard.press("Enter")
        # Where a face is already it says so, and nothing is added.
        expect(page.locator(".toast")).to_have_count(1)
        text = page.locator(".toast").inner_text()
    with App(family.config) as app:
        now = [one.box for one in app.catalog.faces.rows(app.catalog.faces.boxes(row.photo_id)[0])]
    assert (len(now) > len(others)) == ("Emma" in text and "that is face" not in text)
    assert all(isinstance(box, Box) for box in now)


def test_somebody_is_in_a_photo_without_a_face(browser: Browser, family: Family) -> None:
    mine = {row.photo_id for row in family.faces_of(family.anna)}
    with App(family.config) as app:
        photo = next(row for row in app.catalog.photo_search.ids(app.photos().understand("")) if row not in mine)
    n_links = len(list((family.folder / "Anna").iterdir()))
    with opened(browser, f"{family.url}photo/{photo}") as page:
        page.keyboard.press("p")
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        expect(page.locator("[data-present]")).to_contain_text("Anna")
        page.locator('[data-do="absent"]').click()
        expect(page.locator("[data-present]")).to_have_count(0)
    assert len(list((family.folder / "Anna").iterdir())) == n_links
