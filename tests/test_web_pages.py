"""What is true of every page, and the pages of unassigned faces and of the status, in a browser, on real photos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsers import COLOURS, Album, accessibility_faults, opened, scanned, served
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow

PAGES = (
    *("", "?q=anna", "person/{person}", "person/{person}?sort=doubt", "person/{person}/look-alikes"),
    *("person/{person}/split?into=2", "review", "review/answers"),
    *("photo/{photo}?face={face}", "photos", "photos?q=with+Anna"),
    *(
        "search",
        "search?face={face}",
        "pool",
        "pool?kind=poor",
        "map",
        "stats",
        "stats/evaluation",
        "history",
        "status",
    ),
    *("recluster", "person/999999"),
)


@dataclass(frozen=True)
class Served:
    """A served library of real photos: a person that is called Anna, a face of hers and its photo."""

    url: str
    album: Album
    person: int
    face: int
    photo: int


@pytest.fixture(scope="module")
def family(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    album = scanned(shared, tmp_path_factory.mktemp("pages"), "album/family", "album/selfies")
    with album.app() as app:
        person = app.catalog.people.all()[0].id
        app.corrections.rename(str(person), "Anna")
        row = app.catalog.faces.of_person(person)[0]
    with served(album.app) as url:
        yield Served(url, album, person, row.id, row.photo_id)


@pytest.fixture(scope="module", params=PAGES)
def address(request: pytest.FixtureRequest, family: Served) -> str:
    path: str = request.param
    return family.url + path.format(person=family.person, face=family.face, photo=family.photo)


@pytest.fixture(scope="module")
def open_page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that several tests look at, each in its own way."""
    with opened(browser, address) as page:
        # Some pages begin with what says that more is being found.
        expect(page.locator("main .empty [role=status], main [aria-busy=true]")).to_have_count(0)
        yield page


def test_axe_finds_no_serious_fault(open_page: Page) -> None:
    open_page.set_viewport_size({"width": 1280, "height": 800})
    open_page.emulate_media(color_scheme="light")
    assert not accessibility_faults(open_page)
    # All but colours is the same there.
    open_page.emulate_media(color_scheme="dark")
    assert not accessibility_faults(open_page, *COLOURS)


def test_a_page_is_no_wider_than_a_phone(open_page: Page) -> None:
    open_page.set_viewport_size({"width": 390, "height": 844})
    assert open_page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [390, 1280])
def test_the_longest_name_makes_no_page_wider(browser: Browser, family: Served, width: int) -> None:
    with family.album.app() as app, opened(browser, family.url, width=width) as page:
        app.corrections.rename(str(family.person), "W" * 120)
        widths = {}
        for path in PAGES:
            page.goto(family.url + path.format(person=family.person, face=family.face, photo=family.photo))
            widths[path] = page.evaluate("document.documentElement.scrollWidth")
        app.corrections.undo()
    assert {path: found for path, found in widths.items() if found > width} == {}


@pytest.fixture(scope="module")
def without_scripts(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_a_page_can_be_read_without_scripts(without_scripts: Page, address: str) -> None:
    without_scripts.goto(address, wait_until="domcontentloaded")
    expect(without_scripts.locator("main").get_by_role("heading").first).to_be_visible()


def test_a_group_of_unassigned_faces_is_swept_with_two_keys_and_comes_back(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}pool") as page:
        n = page.locator(".tile").count()
        assert n > 3
        page.locator("[data-group]").last.click()
        n_chosen = page.locator(".tile[aria-selected=true]").count()
        assert n_chosen > 2
        page.keyboard.press("s")
        expect(page.locator(".tile")).to_have_count(n - n_chosen)
        expect(page.locator(".toast").last).to_contain_text("taken out")
        page.keyboard.press("u")
        expect(page.locator(".tile")).to_have_count(n)


def groups_of(family: Served) -> int:
    with family.album.app() as app:
        return sum(1 for one in app.catalog.people.all() if one.n_photos and one.name is None)


def ask_for_preview(page: Page) -> None:
    page.get_by_label("Method").select_option("dbscan")
    page.get_by_label("Eps").fill("0.2")
    page.get_by_label("From scratch").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".changes li").first).to_be_visible(timeout=60_000)


def test_a_recluster_is_shown_and_then_dropped_or_done(browser: Browser, family: Served) -> None:
    before = groups_of(family)
    with opened(browser, f"{family.url}status") as page:
        page.get_by_role("link", name="Preview").click()
        ask_for_preview(page)
        expect(page.locator(".comes img, .goes img").first).to_have_js_property("complete", True)
        page.get_by_role("button", name="Drop it").click()
        expect(page.locator(".changes")).to_have_count(0)
        assert groups_of(family) == before
        ask_for_preview(page)
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".toast").last).to_contain_text("vanished")
        expect(page.locator(".changes")).to_have_count(0)
        assert groups_of(family) != before
        page.keyboard.press("u")
        expect(page.locator(".toast").last).to_contain_text("Undone")
    assert groups_of(family) == before


def test_a_preview_that_does_not_hold_any_more_is_not_applied_but_made_again(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}recluster") as page:
        ask_for_preview(page)
        changed = page.locator(".change a").first.inner_text()
        with family.album.app() as app:
            app.corrections.rename(changed, "Zoe")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".toast.error")).to_contain_text("preview it again")
        expect(page.locator(".result .fault")).to_contain_text("Nothing was done: Zoe has changed")
        page.get_by_role("button", name="Preview it again").click()
        expect(page.locator(".result .fault")).to_have_count(0, timeout=60_000)
        expect(page.locator(".result")).to_be_visible(timeout=60_000)
        expect(page.locator("main").get_by_text("Zoe")).to_have_count(0)
        page.get_by_role("button", name="Drop it").click()
        expect(page.locator(".result")).to_have_count(0)
    with family.album.app() as app:
        app.corrections.undo()


def test_a_parameter_that_the_method_does_not_take_is_said(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}recluster") as page:
        expect(page.get_by_label("Min samples")).to_be_hidden()
        page.get_by_label("Strictness").fill("7")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator(".toast.error")).to_contain_text("strictness")


def test_a_scan_that_is_started_on_the_page_finds_a_new_photo(browser: Browser, family: Served) -> None:
    photos = family.album.config.photos[0]
    shutil.copy(photos / "album/family/Family1-Dad1.jpg", photos / "new.jpg")
    with (photos / "new.jpg").open("ab") as file:
        file.write(b"another photo, by its bytes")
    with opened(browser, f"{family.url}status") as page:
        page.get_by_role("button", name="Scan now").click()
        expect(page.locator(".toast").last).to_contain_text("begun")
        page.goto(f"{family.url}photos?q=in:photos")
        # The page that is open shows it by itself.
        expect(page.locator(".count")).to_contain_text("52 photos", timeout=60_000)
    with family.album.app() as app:
        assert app.catalog.files.at(photos / "new.jpg") is not None


def test_the_map_is_made_and_a_point_on_it_leads_to_its_photo(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}map") as page:
        expect(page.locator("#canvas")).to_be_hidden()
        page.get_by_role("button", name="Make the map").click()
        expect(page.locator("#map")).to_have_attribute("data-ready", "true", timeout=60_000)
        expect(page.locator("#canvas")).to_be_visible()
        expect(page.locator(".count").first).to_contain_text("faces")
        page.get_by_label("Find a person on the map").fill("Anna")
        page.locator("#canvas").focus()
        for _ in range(4):
            page.keyboard.press("+")
        for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
            page.keyboard.press(key)
        points = page.evaluate(
            "fetch('/api/v1/map/points').then((one) => one.arrayBuffer()).then((one) => one.byteLength)"
        )
        assert points % 16 == 0
        page.mouse.move(*_middle_of(page))
        page.keyboard.press("Enter")
        page.wait_for_url("**/photo/*")


def test_the_statistics_show_faces_once_they_are_worked_out(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}stats?renew=true") as page:
        covers = page.locator(".strip").filter(has_text="Who has most faces")
        expect(covers).to_be_visible(timeout=60_000)
        # It has the style of a report also where it took the place of the page that waited.
        expect(covers.locator(".strip-faces")).to_have_css("display", "flex")
        first = covers.get_by_role("link").first
        first.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('.strip img').naturalWidth > 0")
        first.click()
        page.wait_for_url("**/photo/*")


def _middle_of(page: Page) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
