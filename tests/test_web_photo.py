"""The pages of a person and of a photo, in a browser, on real photos."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from browsers import Album, accessibility_faults, newest_decision, opened, undo_everything, wait_until
from photo_files import CORNER, PASSE_PARTOUT
from playwright.sync_api import Browser, Locator, Page, Route, expect

from facewatch.people.drawing import is_one_place
from facewatch.types import Box

pytestmark = pytest.mark.slow

DAD = Box(CORNER[0] + 297, CORNER[1] + 175, 113, 152)
"""Where he is in group.jpg."""


@dataclass(frozen=True)
class Family:
    """A served library of real photos, in which one person is called Anna."""

    url: str
    album: Album
    anna: int

    def faces_of(self, person: int) -> list[Any]:
        with self.album.app() as app:
            return app.catalog.faces.of_person(person)


@pytest.fixture(scope="module")
def served_family(real_family: Album) -> Iterator[Family]:
    with real_family.served() as url:
        with real_family.app() as app:
            anna = app.catalog.people.all()[0].id
            app.corrections.rename(str(anna), "Anna")
        yield Family(url, real_family, anna)


@pytest.fixture
def family(served_family: Family) -> Iterator[Family]:
    """The library as it was; what is decided is taken back."""
    named = newest_decision(served_family.url)
    wait_until(served_family.album.is_shown_in_folders)
    yield served_family
    undo_everything(served_family.url, since=named)


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
        said(page, "Undone")
    assert {row.id for row in family.faces_of(family.anna)} == before


def test_faces_are_moved_to_somebody_new_and_have_a_folder(browser: Browser, family: Family) -> None:
    with opened(browser, f"{family.url}person/{family.anna}?sort=doubt") as page:
        page.locator(".tile").first.focus()
        page.keyboard.press("m")
        page.keyboard.type("Berta")
        page.keyboard.press("Enter")
        said(page, "Berta")
        expect(page.locator(".toast a").last).to_have_text("History")
    wait_until(family.album.is_shown_in_folders)
    assert len(list((family.album.config.people / "Berta").iterdir())) == 1


def test_several_selected_by_keyboard_are_rejected_at_once_and_undone_in_the_toast(
    browser: Browser, family: Family
) -> None:
    before = {row.id for row in family.faces_of(family.anna)}
    with opened(browser, f"{family.url}person/{family.anna}") as page:
        page.locator(".tile").first.focus()
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("x")
        said(page, "3 faces: not Anna, for good")
        expect(page.locator(".tile")).to_have_count(len(before) - 3)
        assert len(family.faces_of(family.anna)) == len(before) - 3
        wait_until(lambda: len(family.album.links("Anna")) == len(before) - 3)
        page.locator(".toast").last.get_by_role("button", name="Undo").click()
        expect(page.locator(".tile")).to_have_count(len(before))
    wait_until(lambda: len(family.album.links("Anna")) == len(before))


@contextmanager
def mistaken(family: Family, faces: Sequence[int], who: int, whose: int) -> Iterator[None]:
    """As if a run had taken faces of one person for another's."""

    def move(person: int) -> None:
        with family.album.app() as app, app.catalog.write():
            app.catalog.assignments.move(faces, person, rule="together", now=app.catalog.now())

    move(who)
    yield
    move(whose)


def test_by_doubt_a_face_of_somebody_else_comes_first(browser: Browser, family: Family) -> None:
    with family.album.app() as app:
        other = next(one for one in app.catalog.people.all() if one.id != family.anna and one.n_faces > 2)
    wrong = family.faces_of(other.id)[0].id
    with (
        mistaken(family, [wrong], family.anna, other.id),
        opened(browser, f"{family.url}person/{family.anna}?sort=doubt") as page,
    ):
        first = page.locator(".tile").first
        expect(first).to_have_attribute("data-face", str(wrong))
        expect(page.locator(".tiles-heading").first).to_have_text("Nearer to somebody else")
        expect(first.locator(".suspect")).to_contain_text(f"nearer to {other.label}")


def test_a_face_that_is_chosen_stands_for_the_person(browser: Browser, family: Family) -> None:
    with opened(browser, f"{family.url}person/{family.anna}") as page:
        cover = page.locator(".person-cover img").get_attribute("src") or ""
        faces = [tile.get_attribute("data-face") for tile in page.locator(".tile").all()]
        face = next(one for one in faces if f"/media/face/{one}" not in cover)
        tile = page.locator(f"#f{face}")
        tile.focus()
        page.keyboard.press("f")
        expect(page.locator(f".person-cover img[src^='/media/face/{face}']")).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_said_covers_nothing_that_is_done_with_a_selection(
    browser: Browser, family: Family, width: int
) -> None:
    with opened(browser, f"{family.url}person/{family.anna}", width=width) as page:
        page.locator(".tile").first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("c")
        said(page, "confirmed as Anna")
        toasts, actions = (page.locator(one).bounding_box() for one in (".toasts", ".actions"))
        assert toasts
        assert actions
        assert toasts["y"] + toasts["height"] <= actions["y"]
        page.goto(f"{family.url}photo/{family.faces_of(family.anna)[0].photo_id}")
        page.keyboard.press("c")
        said(page, "confirmed as Anna")
        toasts = page.locator(".toasts").bounding_box()
        # On a phone what can be done with a photo stands in the middle of the page.
        assert toasts
        assert toasts["y"] + toasts["height"] > 700


def test_a_year_of_birth_is_saved_by_a_click(browser: Browser, family: Family) -> None:
    with opened(browser, f"{family.url}person/{family.anna}") as page:
        page.get_by_role("button", name="Born…").click()
        page.get_by_role("textbox", name="When was Anna born?").fill("1970")
        page.get_by_role("button", name="Save").click()
        said(page, "Anna was born 1970")


def test_who_looks_alike_is_said_to_be_two_or_becomes_one(browser: Browser, family: Family) -> None:
    with opened(browser, f"{family.url}person/{family.anna}/look-alikes") as page:
        expect(page.get_by_text("The faces of Anna have a similarity of")).to_be_visible()
        first = page.locator(".alike-pair").first
        first.get_by_role("button", name="Two people").click()
        said(page, "are different people")
        expect(first.get_by_text("not Anna, as you said")).to_be_visible()
        expect(first.get_by_role("button", name="Two people")).to_have_count(0)
        other = page.locator(".alike-pair").nth(1)
        n = len(family.faces_of(family.anna)) + len(family.faces_of(int((other.get_attribute("id") or "")[5:])))
        other.get_by_role("button", name="The same person").click()
        page.get_by_role("dialog").get_by_role("button", name="One person").click()
        said(page, "merged into Anna")
    assert len(family.faces_of(family.anna)) <= n
    wait_until(lambda: len(family.album.links("Anna")) == len({row.photo_id for row in family.faces_of(family.anna)}))


def test_who_is_forgotten_is_gone_with_the_folder_and_comes_back(browser: Browser, family: Family) -> None:
    n = len(family.faces_of(family.anna))
    with opened(browser, f"{family.url}person/{family.anna}") as page:
        page.get_by_role("button", name="Forget…").click()
        expect(page.get_by_role("dialog")).to_contain_text("No photo is touched")
        page.get_by_role("dialog").get_by_role("button", name="Forget").click()
        page.wait_for_url(family.url)
        said(page, "Anna is forgotten")
        wait_until(lambda: not (family.album.config.people / "Anna").exists())
        page.goto(f"{family.url}person/{family.anna}")
        expect(page.get_by_text("Anna is not there any more")).to_be_visible()
        page.keyboard.press("u")
        said(page, "Undone")
    assert len(family.faces_of(family.anna)) == n


def test_a_split_takes_what_was_arranged(browser: Browser, family: Family) -> None:
    n = len(family.faces_of(family.anna))
    with opened(browser, f"{family.url}person/{family.anna}/split?into=2") as page:
        part = page.locator(".split-part").nth(1)
        part.locator("[data-name]").fill("Carla")
        n_other = part.locator("[data-face]").count()
        page.locator("#apply").click()
        page.wait_for_url("**/person/*")
    assert len(family.faces_of(family.anna)) == n - n_other
    wait_until((family.album.config.people / "Carla").is_dir)


# --- a photo ---


def photo_of(family: Family, name: str) -> int:
    with family.album.app() as app:
        [photo] = (one for one, files in app.catalog.files.sources().items() if files[0].endswith(f"/{name}"))
    return photo


def faces_on(family: Family, photo: int) -> list[dict[str, Any]]:
    with family.album.app() as app:
        faces: list[dict[str, Any]] = app.catalog.faces.in_photo(photo)
    return faces


def box_on(page: Page, face: int) -> Locator:
    return page.locator(f"#box{face} rect")


def test_a_face_is_named_by_a_click_and_the_folders_follow(browser: Browser, family: Family) -> None:
    photo = photo_of(family, "identification1.jpg")
    face = next(one for one in faces_on(family, photo) if one["person_id"] != family.anna)
    with opened(browser, f"{family.url}photo/{photo}") as page:
        box_on(page, face["face_id"]).click()
        page.keyboard.type("Dora")
        page.keyboard.press("Enter")
        said(page, "assigned to Dora, for good")
        expect(page.locator(f"#face{face['face_id']} .photo-name")).to_have_text("Dora")
        expect(page.locator(f"#tag{face['face_id']}")).to_have_text("Dora")
        wait_until(lambda: "identification1.jpg" in family.album.links("Dora"))
        page.keyboard.press("u")
        said(page, "Undone")
        wait_until(lambda: not family.album.links("Dora"))


def test_a_name_that_is_known_is_completed(browser: Browser, family: Family) -> None:
    photo = photo_of(family, "detection4.jpg")
    face = faces_on(family, photo)[0]["face_id"]
    with opened(browser, f"{family.url}photo/{photo}?face={face}") as page:
        page.keyboard.press("r")
        page.keyboard.type("an")
        page.locator(".names-option", has_text="Anna").click()
        said(page, "assigned to Anna, for good")
        wait_until(lambda: "detection4.jpg" in family.album.links("Anna"))


@pytest.mark.parametrize("by_key", [True, False], ids=["by a key", "by a click"])
def test_a_face_that_is_not_hers_leaves_her_folder(browser: Browser, family: Family, by_key: bool) -> None:
    row = next(one for one in family.faces_of(family.anna) if len(faces_on(family, one.photo_id)) > 1)
    before = family.album.links("Anna")
    with opened(browser, f"{family.url}photo/{row.photo_id}?face={row.id}") as page:
        expect(page.locator(f"#face{row.id}")).to_have_class("chosen")
        if by_key:
            page.keyboard.press("x")
        else:
            box_on(page, row.id).click()
            page.get_by_role("dialog").get_by_role("button", name="Not Anna").click()
        said(page, "not Anna, for good")
        wait_until(lambda: len(family.album.links("Anna")) == len(before) - 1)


def test_what_is_right_is_confirmed_and_what_is_no_face_is_marked(browser: Browser, family: Family) -> None:
    row = family.faces_of(family.anna)[0]
    with opened(browser, f"{family.url}photo/{row.photo_id}?face={row.id}") as page:
        page.keyboard.press("c")
        expect(page.locator(f"#face{row.id}")).to_contain_text("confirmed by you")
        page.keyboard.press("n")
        expect(page.locator(f"#face{row.id}")).to_contain_text("not a face")
        expect(page.locator(f"#tag{row.id}")).to_have_count(0)
    [face] = (one for one in faces_on(family, row.photo_id) if one["face_id"] == row.id)
    assert face["mark"] == "not_a_face"


def test_why_is_said_in_two_lines(browser: Browser, family: Family) -> None:
    row = family.faces_of(family.anna)[0]
    with opened(browser, f"{family.url}photo/{row.photo_id}") as page:
        page.locator(f"#face{row.id}").get_by_role("button", name="Why?").click()
        lines = page.locator(f"#face{row.id} .photo-why p")
        expect(lines).to_have_count(2)
        expect(lines.first).to_contain_text("looked alike")
        expect(lines.last).to_contain_text("from the nearest face of Anna; near enough is 0.3")
        page.keyboard.press("c")
        expect(lines.first).to_contain_text("you confirmed that it is Anna")
        page.keyboard.press("w")
        expect(lines).to_have_count(0) if lines.count() == 0 else expect(lines.first).to_be_hidden()


def drag(page: Page, box: Box) -> None:
    """Draw a box of the photo with the mouse."""
    picture = page.locator("#picture").bounding_box()
    assert picture
    per = picture["width"] / PASSE_PARTOUT[0]
    x, y = picture["x"] + box.x * per, picture["y"] + box.y * per
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box.w * per / 2, y + box.h * per / 2)
    page.mouse.move(x + box.w * per, y + box.h * per)
    page.mouse.up()


def test_a_face_that_was_missed_is_drawn_with_the_mouse(browser: Browser, family: Family) -> None:
    group = photo_of(family, "group.jpg")
    assert faces_on(family, group) == []
    with opened(browser, f"{family.url}photo/{group}") as page:
        for _ in range(6):
            page.keyboard.press("+")
        # The family is in the middle; there is where it was enlarged.
        page.get_by_role("button", name="A face was missed").click()
        drag(page, DAD)
        page.keyboard.type("Erik")
        asked: list[Route] = []
        page.route("**/faces", lambda route: asked.append(route))
        page.keyboard.press("Enter")
        expect(page.locator("#drawing")).to_have_text("Adding the face…")
        page.keyboard.press("ArrowLeft")
        asked[0].continue_()
        page.unroute("**/faces")
        said(page, "1 face added, and assigned to Erik, for good")
        expect(page.locator(".photo-faces li[data-face]")).to_have_count(1)
        expect(page.locator(".box.drawn")).to_have_count(0)
        wait_until(lambda: family.album.links("Erik") == ["group.jpg"])
        [face] = faces_on(family, group)
        assert face["is_drawn"]
        assert is_one_place(DAD, Box(*(face[side] for side in "xywh")))
        # Round a face that is known none is added; the box stays, to be drawn better.
        page.keyboard.press("b")
        drag(page, DAD)
        page.get_by_role("button", name="I do not know yet").click()
        said(page, "his face has a box already (Erik)")
        expect(page.locator(".box.drawn")).to_have_count(1)
        page.keyboard.press("Escape")
        expect(page.locator(".box.drawn")).to_have_count(0)
        page.keyboard.press("u")
        said(page, "Undone")
        expect(page.locator(".photo-faces li[data-face]")).to_have_count(0)
        wait_until(lambda: family.album.links("Erik") == [])


def test_a_face_that_was_missed_is_drawn_by_keys_alone_and_recognised(browser: Browser, family: Family) -> None:
    group = photo_of(family, "group.jpg")
    step = PASSE_PARTOUT[1] / 60
    side = PASSE_PARTOUT[1] / 6
    n_smaller = round((side - DAD.w) / step)
    first = [(size - side) / 2 for size in PASSE_PARTOUT]
    with opened(browser, f"{family.url}photo/{group}") as page:
        page.keyboard.press("b")
        expect(page.locator("#drawing")).to_be_visible()
        for _ in range(n_smaller):
            page.keyboard.press("Shift+ArrowLeft")
            page.keyboard.press("Shift+ArrowUp")
        for at, to, back, forth in (
            (first[0], DAD.x, "ArrowLeft", "ArrowRight"),
            (first[1], DAD.y, "ArrowUp", "ArrowDown"),
        ):
            for _ in range(abs(round((to - at) / step))):
                page.keyboard.press(forth if to > at else back)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="I do not know yet").click()
        said(page, "1 face added")
        expect(page.locator(".photo-name").first).not_to_have_text("who is this?")
    dad = next(
        one["person_id"]
        for one in faces_on(family, photo_of(family, "identification1.jpg"))
        if is_one_place(Box(DAD.x - CORNER[0], DAD.y - CORNER[1], DAD.w, DAD.h), Box(*(one[s] for s in "xywh")))
    )
    assert [face["person_id"] for face in faces_on(family, group)] == [dad]


def test_somebody_is_in_a_photo_without_a_face(browser: Browser, family: Family) -> None:
    group = photo_of(family, "group.jpg")
    with opened(browser, f"{family.url}photo/{group}") as page:
        page.keyboard.press("p")
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        expect(page.locator("[data-present]")).to_contain_text("Anna")
        wait_until(lambda: "group.jpg" in family.album.links("Anna"))
        page.get_by_role("button", name="Not in it").click()
        expect(page.locator("[data-present]")).to_have_count(0)
        wait_until(lambda: "group.jpg" not in family.album.links("Anna"))


def test_the_faces_of_a_person_are_gone_through_and_back(browser: Browser, family: Family) -> None:
    n = len(family.faces_of(family.anna))
    with opened(browser, f"{family.url}person/{family.anna}?sort=doubt") as page:
        page.locator(".tile").first.focus()
        page.keyboard.press("o")
        page.wait_for_url("**/photo/*")
        expect(page.locator(".photo-way .count")).to_have_text(f"1 of {n} faces")
        first = page.url
        expect(page.locator("#before")).to_have_count(0)
        page.keyboard.press("ArrowRight")
        page.wait_for_url(lambda url: url != first)
        expect(page.locator(".photo-way .count")).to_have_text(f"2 of {n} faces")
        chosen = page.locator(".photo-faces li.chosen")
        expect(chosen).to_have_attribute("data-person", str(family.anna))
        # It is not hers any more, and the way on is still there.
        page.keyboard.press("x")
        said(page, "not Anna, for good")
        expect(page.locator("#behind")).to_have_count(1)
        page.keyboard.press("ArrowLeft")
        page.wait_for_url(first)


def test_the_photos_that_a_search_found_are_gone_through(browser: Browser, family: Family) -> None:
    with family.album.app() as app:
        found = app.catalog.photo_search.ids(app.photos().understand("with Anna"))
    with opened(browser, f"{family.url}photo/{found[0]}?q=with+Anna") as page:
        expect(page.locator(".photo-way .count")).to_have_text(f"1 of {len(found)} photos")
        page.get_by_role("link", name="Next photo").click()
        page.wait_for_url(f"**/photo/{found[1]}?q=with+Anna")


def test_boxes_are_switched_off_and_faces_gone_through_by_keys(browser: Browser, family: Family) -> None:
    photo = photo_of(family, "identification1.jpg")
    with opened(browser, f"{family.url}photo/{photo}") as page:
        ids = [f"face{one['face_id']}" for one in faces_on(family, photo)]
        page.keyboard.press("ArrowDown")
        expect(page.locator(".photo-faces li.chosen")).to_have_id(ids[0])
        page.keyboard.press("ArrowDown")
        expect(page.locator(".photo-faces li.chosen")).to_have_id(ids[1])
        page.keyboard.press("h")
        expect(page.locator(".box").first).to_be_hidden()
        expect(page.locator("#labels")).to_be_hidden()
        # They stay off while something is decided.
        page.keyboard.press("c")
        said(page, "confirmed")
        expect(page.locator(".photo-faces li.chosen")).to_contain_text("confirmed by you")
        expect(page.locator(".box").first).to_be_hidden()
        expect(page.locator('[data-tool="boxes"]')).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("h")
        expect(page.locator(".box").first).to_be_visible()
        picture = page.locator("#picture")
        before = picture.bounding_box()
        page.keyboard.press("+")
        after = picture.bounding_box()
        assert before
        assert after
        assert after["width"] > before["width"]
        page.keyboard.press("0")
        assert picture.bounding_box() == before


def test_on_a_phone_two_fingers_enlarge_it(browser: Browser, family: Family) -> None:
    photo = photo_of(family, "identification1.jpg")
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{family.url}photo/{photo}")
    picture = page.locator("#picture")
    expect(page.locator(".box").first).to_be_visible()
    before = picture.bounding_box()
    assert before
    assert before["width"] <= 390
    touch = context.new_cdp_session(page)
    middle = before["y"] + before["height"] / 2

    def fingers(kind: str, *xs: float) -> None:
        points = [{"x": x, "y": middle, "id": i} for i, x in enumerate(xs)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 180.0)
    fingers("touchStart", 180.0, 210.0)
    fingers("touchMove", 140.0, 250.0)
    fingers("touchEnd")
    after = picture.bounding_box()
    assert after
    assert after["width"] > 2 * before["width"]
    context.close()


def test_who_does_not_see_it_hears_who_is_on_it(browser: Browser, family: Family) -> None:
    photo = family.faces_of(family.anna)[0].photo_id
    with opened(browser, f"{family.url}photo/{photo}") as page:
        expect(page.locator("#picture img")).to_have_attribute("alt", re.compile(r"^Photo( of .*)? with Anna"))
        assert not accessibility_faults(page)


def test_without_scripts_the_page_can_be_read(browser: Browser, family: Family) -> None:
    photo = photo_of(family, "identification1.jpg")
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{family.url}photo/{photo}")
    picture, box = page.locator("#picture img").bounding_box(), page.locator(".box rect").first.bounding_box()
    assert picture
    assert box
    assert picture["x"] < box["x"] < picture["x"] + picture["width"]
    expect(page.locator(".photo-faces li")).to_have_count(4)
    context.close()


def test_what_the_api_says_of_a_face_and_of_what_is_not_there(family: Family) -> None:
    row = family.faces_of(family.anna)[0]
    with httpx2.Client(base_url=f"{family.url}api/v1/") as client:
        face = client.get(f"faces/{row.id}").json()
        assert (face["photo_id"], face["label"], face["x"]) == (row.photo_id, "Anna", row.box.x)
        photo = client.get(f"photos/{row.photo_id}").json()
        assert row.id in [one["id"] for one in photo["faces"]]
        assert client.get("faces/99999").status_code == 404
        assert client.get("photos/99999").status_code == 404
        assert client.get("faces/99999/why").status_code == 404
    with httpx2.Client(base_url=family.url, headers={"Accept": "text/html"}) as client:
        assert client.get(f"photo/{row.photo_id}?from=nonsense").status_code == 422
        assert client.get(f"photo/{row.photo_id}?from=person:99999").status_code in (200, 404)
        assert client.get(f"face/{row.id}").status_code == 307
