"""What is true of every page, and the pages of unassigned faces and of the status, in a browser, on real photos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsers import chromium, copied, opened, served
from playwright.sync_api import Browser, Page, expect

from facewatch.app import App
from facewatch.config import Config, load_config

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
    """A served library of real photos."""

    url: str
    config: Config
    person: int
    face: int
    photo: int


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def family(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    base = tmp_path_factory.mktemp("pages")
    photos = copied(shared, base / "photos", "album/family", "album/selfies")
    given = {
        "library.photos": str(photos),
        "library.catalog": str(base / "c.sqlite"),
        "library.people": str(base / "P"),
    }
    config = load_config(None, given, cwd=base)
    with App(config) as app:
        app.pipeline.scan()
        person = app.catalog.people.all()[0].id
        app.corrections.rename(str(person), "Anna")
        row = app.catalog.faces.of_person(person)[0]
    with served(lambda: App(config)) as url:
        yield Served(url, config, person, row.id, row.photo_id)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, family: Served, path: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    address = family.url + path.format(person=family.person, face=family.face, photo=family.photo)
    with opened(browser, address) as page:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.wait_for_timeout(100)
        found = Axe().run(page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert not [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in serious]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_no_wider_than_a_phone(browser: Browser, family: Served, path: str) -> None:
    address = family.url + path.format(person=family.person, face=family.face, photo=family.photo)
    with opened(browser, address, width=390, height=844) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_read_without_scripts(browser: Browser, family: Served, path: str) -> None:
    address = family.url + path.format(person=family.person, face=family.face, photo=family.photo)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("main h1, main h2").count() or page.locator("main").inner_text()
    context.close()


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
    with App(family.config) as app:
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
        expect(page.locator(".toast").last).to_contain_text("undone")
    assert groups_of(family) == before


def test_a_preview_that_does_not_hold_any_more_is_not_applied_but_made_again(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}recluster") as page:
        ask_for_preview(page)
        changed = page.locator(".change a").first.inner_text()
        with App(family.config) as app:
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
    with App(family.config) as app:
        app.corrections.undo()


def test_a_parameter_that_the_method_does_not_take_is_said(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}recluster") as page:
        expect(page.get_by_label("Min samples")).to_be_hidden()
        page.get_by_label("Strictness").fill("7")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator(".toast.error")).to_contain_text("strictness")


def test_a_scan_that_is_started_on_the_page_finds_a_new_photo(browser: Browser, family: Served) -> None:
    photos = family.config.photos[0]
    shutil.copy(photos / "album/family/Family1-Dad1.jpg", photos / "new.jpg")
    with (photos / "new.jpg").open("ab") as file:
        file.write(b"another photo, by its bytes")
    with opened(browser, f"{family.url}status") as page:
        page.get_by_role("button", name="Scan now").click()
        expect(page.locator(".toast").last).to_contain_text("begun")
        page.goto(f"{family.url}photos?q=in:photos")
        # The page that is open shows it by itself.
        expect(page.locator(".count")).to_contain_text("52 photos", timeout=60_000)
    with App(family.config) as app:
        assert app.catalog.files.at(photos / "new.jpg") is not None


def test_the_map_is_made_and_a_point_on_it_leads_to_its_photo(browser: Browser, family: Served) -> None:
    with opened(browser, f"{family.url}map") as page:
        page.get_by_role("button", name="Make the map").click()
        expect(page.locator("#map")).to_have_attribute("data-ready", "true", timeout=60_000)
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
