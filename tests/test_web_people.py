"""The page of everybody, in a browser, on real photos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import chromium, copied, opened, served
from playwright.sync_api import Browser, Page, expect

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


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page of everybody, wide enough for five tiles in a row; there are eight people."""
    with opened(browser, address, width=900) as page:
        expect(page.get_by_role("grid")).to_be_visible()
        yield page


def focused(page: Page) -> int:
    """Return which tile has the focus, from 0; -1: none."""
    number: int = page.evaluate("[...document.querySelectorAll('.tile')].indexOf(document.activeElement)")
    return number


def selected(page: Page) -> list[int]:
    numbers: list[int] = page.evaluate(
        "[...document.querySelectorAll('.tile')].flatMap((tile, i) => tile.ariaSelected === 'true' ? [i] : [])"
    )
    return numbers


def test_everybody_is_a_face_that_can_be_seen(page: Page) -> None:
    faces = page.locator("[data-person] img.face")
    expect(faces.first).to_have_js_property("complete", True)
    assert faces.count() > 5
    assert faces.first.evaluate("face => face.naturalWidth") > 100


def test_the_grid_has_one_tab_stop_and_arrows_move_in_the_layout(page: Page) -> None:
    stops = page.locator("#grid [tabindex='0'], #grid a:not([tabindex]), #grid button:not([tabindex])")
    assert stops.count() == 1
    stops.first.focus()
    places = []
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "End", "Home", "Control+End", "ArrowRight", "Control+Home"):
        page.keyboard.press(key)
        places.append(focused(page))
    assert places == [1, 6, 1, 4, 0, 7, 7, 0]
    assert not selected(page)
    page.keyboard.press("Control+End")
    page.keyboard.press("Tab")
    assert focused(page) == -1
    page.keyboard.press("Shift+Tab")
    assert focused(page) == 7


def test_shift_space_and_control_select(page: Page) -> None:
    page.locator(".tile").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert selected(page) == [0, 1, 2]
    page.keyboard.press("Shift+ArrowLeft")
    assert selected(page) == [0, 1]
    page.keyboard.press("Control+End")
    page.keyboard.press(" ")
    assert selected(page) == [0, 1, 7]
    expect(page.get_by_role("toolbar")).to_contain_text("3 selected")
    page.keyboard.press("Escape")
    assert not selected(page)
    expect(page.get_by_role("toolbar")).to_be_hidden()
    page.keyboard.press("Control+a")
    assert len(selected(page)) == 8


def test_clicks_select_with_control_and_shift_and_beside_what_is_selected(page: Page) -> None:
    faces = page.locator(".tile-face")
    faces.nth(1).click(modifiers=["Control"])
    faces.nth(3).click(modifiers=["Shift"])
    assert selected(page) == [1, 2, 3]
    faces.nth(2).click()
    assert selected(page) == [1, 3]
    assert focused(page) == 2


def test_a_selection_outlives_what_changes_meanwhile(page: Page, address: str) -> None:
    page.locator(".tile").nth(4).focus()
    page.keyboard.press(" ")
    chosen = page.locator(".tile[aria-selected='true']").get_attribute("id")
    with page.expect_response(address):
        done = page.request.post(f"{address}api/v1/people/8/name", data={"name": "Zoe"}).json()
    expect(page.locator(".tile").first).to_contain_text("Zoe")
    assert page.locator(".tile[aria-selected='true']").get_attribute("id") == chosen
    assert page.evaluate("document.activeElement.id") == chosen
    page.request.post(f"{address}api/v1/journal/{done['entry_id']}/undo", data={})


def test_a_person_is_named_in_place_and_the_next_name_completes(page: Page, address: str) -> None:
    page.locator(".tile").nth(2).focus()
    page.keyboard.press("r")
    page.keyboard.type("Anna")
    page.keyboard.press("Enter")
    expect(page.locator(".tile").first).to_contain_text("Anna")
    page.locator(".tile").nth(5).get_by_role("button").click()
    page.keyboard.type("Amna")
    options = page.get_by_role("option")
    expect(options).to_have_text([re.compile("Anna.* photos"), "New person “Amna”"])
    page.keyboard.press("ArrowDown")
    field = page.get_by_role("combobox")
    expect(field).to_have_attribute("aria-activedescendant", options.first.get_attribute("id") or "")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator(".toast").last).to_contain_text("undone")
    expect(page.get_by_text("Anna", exact=True)).to_have_count(0)
