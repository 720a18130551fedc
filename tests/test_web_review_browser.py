"""The review in a browser, by keyboard, on real photos."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsers import Album, opened, wait_until
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(real_family: Album) -> Iterator[str]:
    """A family that nobody has named; every test leaves it so."""
    with real_family.served() as url:
        yield f"{url}review"


def asked(page: Page) -> str:
    """Return the id of the question that is shown, as soon as there is one."""
    return page.locator("#question[data-question]").get_attribute("data-question") or ""


def wait_for_another(page: Page, than: str) -> None:
    expect(page.locator("#question")).not_to_have_attribute("data-question", than)


def said(page: Page) -> str:
    return page.locator("#said p").inner_text()


def test_a_name_is_typed_and_taken_back_by_keyboard_and_the_folders_follow(
    browser: Browser, address: str, real_family: Album
) -> None:
    with opened(browser, address) as page:
        expect(page.locator("#question-heading")).to_contain_text("Who is this")
        first = asked(page)
        assert page.url.endswith(f"/{first}")
        page.keyboard.press("t")
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        wait_for_another(page, first)
        expect(page.locator("#said p")).to_contain_text("belong to Anna now")
        expect(page.locator("#question-heading")).to_be_focused()
        wait_until(lambda: real_family.folders() == {"Anna"})
        expect(page.locator(".past li").first).to_contain_text("Anna")
        page.keyboard.press("u")
        expect(page.locator("#question")).to_have_attribute("data-question", first)
        expect(page.locator("#said p")).to_contain_text("Taken back")
        wait_until(lambda: real_family.folders() == set())
        expect(page.locator(".past li").first).to_contain_text("undone")


def test_the_next_question_is_there_with_its_faces_when_a_key_is_pressed(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        for _ in range(3):
            before = asked(page)
            expect(page.locator("#stage")).to_have_attribute("data-ahead", "3")
            page.keyboard.press("s")
            shown = page.evaluate(
                "[...document.querySelectorAll('.question-face:not([hidden]) img')]"
                ".map((image) => image.complete && image.naturalWidth > 0)"
            )
            assert asked(page) != before
            assert shown
            assert all(shown)


def test_an_answer_of_an_earlier_review_is_taken_back_from_the_list(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        first = asked(page)
        page.keyboard.press("h")
        wait_for_another(page, first)
        expect(page.locator("#said p")).to_contain_text("is hidden")
    with opened(browser, address) as page:
        assert asked(page) != first
        page.locator(f'.past [data-of="{first}"]').first.click()
        expect(page.locator(".past li").first).to_contain_text("undone")

        def is_asked_again() -> bool:
            page.goto(address)
            return asked(page) == first

        # Questions are found again in the background.
        wait_until(is_asked_again)


def test_skipped_questions_come_again_in_the_end(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        first = asked(page)
        page.keyboard.press("s")
        wait_for_another(page, first)
        page.keyboard.press("u")
        expect(page.locator("#question")).to_have_attribute("data-question", first)
        seen: list[str] = []
        while not page.locator("#question[data-none]").count():
            seen.append(one := asked(page))
            page.keyboard.press("s")
            wait_for_another(page, one)
            expect(page.locator("#question [aria-busy]")).to_have_count(0)
        assert len(seen) == len(set(seen)) > 5
        expect(page.locator("#question-heading")).to_have_text("Nothing else to ask")
        page.get_by_role("button", name=f"Ask the {len(seen)} skipped questions again").click()
        expect(page.locator("#question")).to_have_attribute("data-question", first)


def test_what_somebody_else_has_answered_is_passed_over_with_a_sentence(
    browser: Browser, address: str, real_family: Album
) -> None:
    with opened(browser, address) as page:
        first = asked(page)
        with real_family.app() as app:
            app.corrections.rename(first.removeprefix("who:"), "Ben")
        wait_for_another(page, first)
        expect(page.locator("#said p")).to_contain_text("is resolved meanwhile")
        with real_family.app() as app:
            app.corrections.undo()


def test_an_answer_that_does_not_arrive_is_asked_again(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        first = asked(page)
        page.route("**/api/v1/review/answers", lambda route: route.abort())
        page.keyboard.press("h")
        expect(page.locator("#said p")).to_contain_text("No answer from facewatch")
        expect(page.locator("#question")).to_have_attribute("data-question", first)
        page.unroute("**/api/v1/review/answers")
        page.keyboard.press("h")
        expect(page.locator("#said p")).to_contain_text("is hidden")
        page.keyboard.press("u")
        expect(page.locator("#said p")).to_contain_text("Taken back")


def test_it_is_answered_with_a_thumb(browser: Browser, address: str) -> None:
    with opened(browser, address, width=390, height=844) as page:
        first = asked(page)
        buttons = page.locator(".answers button")
        for box in (button.bounding_box() for button in buttons.all()):
            assert box is not None
            assert box["height"] >= 44
            assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
            assert box["y"] + box["height"] <= 844
        page.locator(".answers").get_by_role("button", name="Hide").first.click()
        wait_for_another(page, first)
        expect(page.locator("#said p")).to_contain_text("is hidden")
        page.locator(".undo-last").click()
        expect(page.locator("#question")).to_have_attribute("data-question", first)
        expect(page.locator("#said p")).to_contain_text("Taken back")


def test_faces_are_walked_with_arrows_and_one_is_opened(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        faces = page.locator(".question-face:not([hidden])")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(faces.nth(1)).to_be_focused()
        assert page.locator('.question-face[tabindex="0"]').count() == 1
        photo = faces.nth(1).get_attribute("href") or ""
        with page.expect_request("**/photo/*") as request:
            page.keyboard.press("o")
        assert request.value.url.endswith(photo)
        # A context that is closed while its page is on the way to another may never come back from that.
        page.wait_for_url("**/photo/*")


def test_an_answer_is_taken_back_while_it_is_still_on_its_way(
    browser: Browser, address: str, real_family: Album
) -> None:
    with opened(browser, address) as page:
        first = asked(page)
        expect(page.locator("#stage")).to_have_attribute("data-ahead", "3")
        page.keyboard.press("h")
        second = asked(page)
        page.keyboard.press("h")
        page.keyboard.press("u")
        assert asked(page) == second
        expect(page.locator("#said p")).to_contain_text("Taken back")
        page.keyboard.press("u")
        assert asked(page) == first
        expect(page.locator(".past li.undone").nth(1)).to_be_visible()
        wait_until(lambda: real_family.folders() == set())
