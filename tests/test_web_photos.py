"""Finding photos by words and faces by a photo, in a browser, on real photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import Album, opened
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(real_family: Album) -> Iterator[str]:
    with real_family.served() as url:
        with real_family.app() as app:
            people = [person for person in app.catalog.people.all() if person.n_photos]
            app.corrections.rename(str(people[0].id), "Anna")
            app.corrections.rename(str(people[1].id), "Ben")
        yield url


def test_photos_are_found_as_one_types_and_opened_in_their_order(browser: Browser, address: str) -> None:
    with opened(browser, f"{address}photos") as page:
        field = page.get_by_label("Find photos")
        field.fill("with Anna")
        expect(page.locator(".count")).to_contain_text("with Anna")
        tiles = page.locator(".tile")
        n = tiles.count()
        assert 1 < n < 30
        assert "q=with+Anna" in page.url
        tiles.first.locator("a").click()
        for _ in range(n - 1):
            page.get_by_label("Next photo").click()
            page.wait_for_load_state()
        expect(page.get_by_label("Next photo")).to_have_count(0)


def test_words_that_are_not_understood_are_said_beside_the_field(browser: Browser, address: str) -> None:
    with opened(browser, f"{address}photos?q=with+Nobodyatall") as page:
        expect(page.get_by_role("alert")).to_contain_text("Nobodyatall")
        expect(page.get_by_label("Find photos")).to_have_value("with Nobodyatall")


def test_a_name_completes_while_it_is_typed(browser: Browser, address: str) -> None:
    with opened(browser, f"{address}photos") as page:
        field = page.get_by_role("combobox", name="Find photos")
        field.press_sequentially("with An")
        expect(page.get_by_role("option", name="Anna")).to_be_visible()
        field.press("ArrowDown")
        field.press("Enter")
        expect(field).to_have_value("with Anna ")
        expect(page.locator(".count")).to_contain_text("with Anna")
        field.press_sequentially("without Be")
        page.get_by_role("option", name="Ben").click()
        expect(page.locator(".count")).to_contain_text("with Anna, without Ben")
        expect(field).to_be_focused()
        field.press("Enter")
        expect(page.locator(".count")).to_contain_text("with Anna, without Ben")


def test_a_photo_that_is_dropped_shows_its_faces_and_who_is_nearest(
    browser: Browser, address: str, shared: Path, tmp_path: Path
) -> None:
    photo = sorted((shared / "photos/album/family").glob("Family1-Dad*.jpg"))[0]
    with opened(browser, f"{address}search") as page:
        page.locator("#file").set_input_files(photo)
        expect(page.locator("#results .count")).to_contain_text("1 face in this photo")
        expect(page.locator(".near-people li").first).to_contain_text("near enough")
        assert page.locator(".near-faces .tile").count() > 10
        expect(page.locator(".near-ends")).to_have_count(1)
        page.locator("#file").set_input_files(
            {"name": "note.jpg", "mimeType": "image/jpeg", "buffer": b"no photo at all"}
        )
        expect(page.locator(".toast.error")).to_contain_text("This is not a photo")
