"""The page of everybody, in a browser, on real photos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from browsers import COLOURS, Album, accessibility_faults, opened, undo_everything, wait_until
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Site:
    url: str
    album: Album


@pytest.fixture(scope="module")
def site(real_family: Album) -> Iterator[Site]:
    """Eight people on real photos, without names."""
    with real_family.served() as url:
        yield Site(url, real_family)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page of everybody, wide enough for five tiles in a row."""
    undo_everything(site.url)
    with opened(browser, site.url, width=900) as page:
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


def test_a_selection_outlives_what_changes_meanwhile(page: Page, site: Site) -> None:
    page.locator(".tile").nth(4).focus()
    page.keyboard.press(" ")
    chosen = page.locator(".tile[aria-selected='true']").get_attribute("id")
    with site.album.app() as app:
        app.corrections.rename("p8", "Zoe")
    expect(page.locator(".tile").first).to_contain_text("Zoe")
    assert page.locator(".tile[aria-selected='true']").get_attribute("id") == chosen
    assert page.evaluate("document.activeElement.id") == chosen


# --- names ---


def test_a_person_is_named_in_place_and_the_folder_is_there(page: Page, site: Site) -> None:
    tile = page.locator(".tile").nth(2)
    who = tile.get_attribute("id")
    tile.focus()
    page.keyboard.press("r")
    page.keyboard.type("Anna")
    page.keyboard.press("Enter")
    expect(page.locator(".tile").first).to_contain_text("Anna")
    assert page.evaluate("document.activeElement.id") == who
    wait_until((site.album.config.people / "Anna").is_dir)
    page.keyboard.press("u")
    expect(page.get_by_text("Anna", exact=True)).to_have_count(0)
    wait_until(lambda: not (site.album.config.people / "Anna").exists())


def test_tab_saves_and_goes_on_to_the_next_without_a_name(page: Page) -> None:
    page.locator(".tile").first.get_by_role("button").click()
    for name in ("Anna", "Ben", "Clara"):
        page.keyboard.type(name)
        page.keyboard.press("Tab")
    expect(page.get_by_role("combobox")).to_be_focused()
    # The tiles stay where they are until the last name is given.
    for i, name in enumerate(("Anna", "Ben", "Clara")):
        expect(page.locator(".tile-name").nth(i)).to_have_text(name)
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox")).to_have_count(0)
    expect(page.get_by_role("link", name="Named", exact=False).first).to_have_text("Named 3")
    # Their answers come in any order.
    expect(page.locator(".toast").filter(has_text="Clara")).to_have_count(1)


def test_names_complete_and_escape_leaves_things_as_they_were(page: Page, site: Site) -> None:
    with site.album.app() as app:
        app.corrections.rename("p8", "Anna")
    expect(page.locator(".tile").first).to_contain_text("Anna")
    page.locator(".tile").nth(5).get_by_role("button").click()
    page.keyboard.type("Amna")
    options, field = page.get_by_role("option"), page.get_by_role("combobox")
    expect(options).to_have_text([re.compile("Anna.* photos"), "Name “Amna”"])
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", options.first.get_attribute("id") or "")
    assert not accessibility_faults(page)
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    assert focused(page) == 5
    expect(page.get_by_text("Amna")).to_have_count(0)


def test_the_name_of_somebody_else_offers_to_merge_and_merges_only_then(page: Page, site: Site) -> None:
    with site.album.app() as app:
        app.corrections.rename("p8", "Anna")
    expect(page.locator(".tile").first).to_contain_text("Anna")
    dialog = page.get_by_role("dialog")
    page.locator(".tile").nth(5).focus()
    for answer in ("Cancel", "One person"):
        page.keyboard.press("F2")
        page.keyboard.type("anna")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("Is this Anna?")
        assert dialog.locator("img.face").count() >= 4
        assert not accessibility_faults(page)
        assert page.locator(".tile").count() == 8
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_be_hidden()
    expect(page.locator(".tile")).to_have_count(7)
    expect(page.locator(".toast").last).to_contain_text("merged into Anna")


def test_a_name_that_cannot_be_is_taken_back_with_the_reason(page: Page) -> None:
    page.locator(".tile").nth(1).focus()
    before = page.locator(".tile-name").nth(1).inner_text()
    page.keyboard.press("r")
    page.keyboard.type("../..")
    page.keyboard.press("Enter")
    expect(page.locator(".toast.error")).to_contain_text("would lead out of the people folder")
    expect(page.locator(".tile-name").nth(1)).to_have_text(before)


# --- merge ---


def test_two_are_merged_by_dragging_one_onto_the_other_and_parted_again(page: Page, site: Site) -> None:
    page.locator(".tile").nth(0).get_by_role("button").click()
    page.keyboard.type("Anna")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Anna")
    wait_until((site.album.config.people / "Anna").is_dir)
    n_before = len(list((site.album.config.people / "Anna").iterdir()))
    page.locator(".tile").nth(3).drag_to(page.locator(".tile").nth(0))
    page.get_by_role("dialog").get_by_role("button", name="One person").press("Enter")
    expect(page.locator(".tile")).to_have_count(7)
    wait_until(lambda: len(list((site.album.config.people / "Anna").iterdir())) > n_before)
    page.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile")).to_have_count(8)
    wait_until(lambda: len(list((site.album.config.people / "Anna").iterdir())) == n_before)


def test_of_two_names_the_one_that_is_chosen_stays(page: Page, site: Site) -> None:
    with site.album.app() as app:
        app.corrections.rename("p1", "Anna")
        app.corrections.rename("p2", "Annie")
    expect(page.get_by_role("link", name="Named", exact=False).first).to_have_text("Named 2")
    page.locator(".tile").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Are Anna and Annie one person?")
    dialog.get_by_text("Annie", exact=True).click()
    dialog.get_by_role("button", name="One person").click()
    expect(page.locator(".toast")).to_contain_text("merged into Annie")
    expect(page.locator(".tile")).to_have_count(7)
    assert page.locator(".tile-name").first.inner_text() == "Annie"


def test_who_looks_most_alike_is_offered_first(page: Page) -> None:
    page.locator(".tile").nth(2).focus()
    page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("checkbox")).to_have_count(7)
    assert not accessibility_faults(page)
    page.keyboard.press(" ")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog).to_contain_text("one person?")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("merged into")
    expect(page.locator(".tile")).to_have_count(7)


# --- hide, search, which ---


def test_several_are_hidden_as_one_decision_and_shown_again(page: Page) -> None:
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("h")
    expect(page.locator(".tile")).to_have_count(6)
    expect(page.locator(".toast")).to_contain_text("are hidden")
    page.get_by_role("link", name="Hidden").click()
    expect(page.locator(".tile")).to_have_count(2)
    # The page has its keys as soon as it can list them.
    expect(page.get_by_role("button", name="Keys")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Nobody here")).to_be_visible()


def test_a_search_shows_who_is_called_so_while_it_is_typed(page: Page, site: Site) -> None:
    with site.album.app() as app:
        app.corrections.rename("p3", "Hannah")
    page.keyboard.press("/")
    page.keyboard.type("nnah")
    expect(page.locator(".tile")).to_have_count(1)
    assert page.url.endswith("?q=nnah")
    page.keyboard.press("Enter")
    assert focused(page) == 0
    page.keyboard.press("/")
    page.keyboard.type("nobody")
    expect(page.get_by_role("heading", name="Nobody is called “nobody”")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(8)


def test_the_keys_of_the_page_are_listed(page: Page) -> None:
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("give a name")
    assert not accessibility_faults(page)
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()


def test_axe_finds_no_serious_fault_where_several_are_selected(page: Page) -> None:
    page.locator(".tile").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert not accessibility_faults(page)
    page.emulate_media(color_scheme="dark")
    assert not accessibility_faults(page, *COLOURS)
