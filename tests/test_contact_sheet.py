"""The contact sheet: everybody on a page that needs nothing else, in the people folder or where somebody wants it."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn import Library
from PIL import Image

from facewatch.catalog import Person
from facewatch.cli import faces as cli_faces
from facewatch.cli import people as cli_people
from facewatch.cli import scan as cli_scan
from facewatch.cli.blocks import ALL_COLOURS
from facewatch.cli.pictures import BLOCK_CELL, Protocol, Screen
from facewatch.errors import FolderError
from facewatch.folders.check import check_people_folder
from facewatch.folders.model import MARKER, SHEET
from facewatch.folders.sheet import SHEET_MARK, drop_from_sheet, is_sheet, portrait_start, remove_sheet, write_sheet
from facewatch.indexing.analyzer import Recipe
from facewatch.indexing.pool import InlineWorkers, WorkerPool
from facewatch.people.portraits import Portrait, portraits
from facewatch.presentation.html.contact_sheet import MOST_BYTES, contact_page

BLOCKS = Screen(Protocol.BLOCKS, 80, BLOCK_CELL, ALL_COLOURS, 8)


def person(number: int, name: str | None = None, *, n_photos: int = 3, folder: str | None = None) -> Person:
    return Person(number, name, False, False, folder, n_photos, n_photos)


def crop(folder: Path, seed: int = 0, colour: str | None = None) -> Path:
    path = folder / f"{seed}{colour or ''}.jpg"
    pixels = np.random.default_rng(seed).integers(0, 255, (192, 192, 3)).astype(np.uint8)
    picture = Image.new("RGB", (192, 192), colour) if colour else Image.fromarray(pixels)
    picture.save(path, quality=85)
    return path


def page_of(portraits: list[Portrait], *, root: Path = Path("/p/People"), file: Path | None = None) -> str:
    return contact_page(
        portraits,
        n_people=len(portraits),
        people_folder=root,
        file=file or root / "Everybody.html",
        made_at="2026-11-28 17:00",
        command="facewatch",
    )


def parsed(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))


# --- the page ---


def test_the_page_needs_nothing_else_and_every_picture_says_what_it_is(tmp_path: Path) -> None:
    page = page_of([Portrait(person(12), (crop(tmp_path, 1), crop(tmp_path, 2)))])
    tree = parsed(page)
    assert {image.get("src", "")[:23] for image in tree.iter("img")} == {"data:image/jpeg;base64,"}
    assert [image.get("alt") for image in tree.iter("img")] == ["a face of Person 0012", "another face of Person 0012"]
    assert "default-src 'none'" in page
    assert not [element.tag for element in tree.iter() if element.tag in ("script", "link", "iframe", "form")]
    assert not re.search(r"https?:|javascript:|\bon\w+=|@import|url\(", re.sub(r'src="[^"]*"', "", page))
    assert "facewatch rename p12 NAME" in page


def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    name = "</h3><script>alert('x')</script> \"&amp; <img src=x onerror=y> \u202eevil\n王"
    page = page_of([Portrait(person(1, name, folder="A<b>&\"'"), (crop(tmp_path),))])
    tree = parsed(page)
    assert not list(tree.iter("script"))
    assert len(list(tree.iter("img"))) == 1
    (heading,) = (element for element in tree.iter("h3"))
    said = "".join(heading.itertext())
    assert said == name.replace("\u202e", "\ufffd").replace("\n", "\ufffd")
    assert len([line for line in page.split("\n") if line.startswith(portrait_start(1))]) == 1


def test_those_with_a_name_come_first_and_an_unshowable_one_has_a_place(tmp_path: Path) -> None:
    tree = parsed(page_of([Portrait(person(7, "Anna"), ()), Portrait(person(3), (crop(tmp_path),))]))
    assert [element.text for element in tree.iter("h2")] == ["With a name", "Not named yet"]
    assert "no picture" in "".join(tree.itertext())


@pytest.mark.parametrize(
    ("file", "way"),
    [
        ("People/Everybody.html", "A%23%3F%25%20b/"),
        ("elsewhere/sheet.html", "../People/A%23%3F%25%20b/"),
    ],
)
def test_a_name_leads_to_the_folder_from_wherever_the_page_is(tmp_path: Path, file: str, way: str) -> None:
    one = Portrait(person(1, "A", folder="A#?% b"), ())
    tree = parsed(page_of([one], root=tmp_path / "People", file=tmp_path / file))
    assert [element.get("href") for element in tree.iter("a")] == [way]


def test_a_folder_of_bytes_that_are_no_text_is_led_to_as_well() -> None:
    tree = parsed(page_of([Portrait(person(1, "A", folder=os.fsdecode(b"A\xff")), ())]))
    assert [element.get("href") for element in tree.iter("a")] == ["A%FF/"]


def test_two_hundred_people_whose_pictures_are_as_large_as_can_be_stay_within_five_megabytes(tmp_path: Path) -> None:
    crops = tuple(crop(tmp_path, seed) for seed in range(6))
    page = page_of([Portrait(person(i), crops) for i in range(1, 201)])
    assert len(page) <= MOST_BYTES + 200_000
    assert page.count('class="cover"') == 200


def test_who_has_no_room_is_counted(tmp_path: Path) -> None:
    one = Portrait(person(1), ())
    root = Path("/p/People")
    page = contact_page([one], n_people=41, people_folder=root, file=root / "x.html", made_at="now", command="fw")
    assert "And 40 more people: <code>fw people --table</code>" in page


# --- the file ---


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A people folder."""
    root = tmp_path / "People"
    check_people_folder(root, "abc", "symlink")
    return root


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_the_sheet_is_its_owners_alone_and_is_renewed(people: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for title in ("first", "second"):
            file = write_sheet(people, f"{SHEET_MARK}\n{title}\n")
            assert stat.S_IMODE(file.lstat().st_mode) == 0o600
            assert title in file.read_text()
    finally:
        os.umask(before)
    assert sorted(path.name for path in people.iterdir()) == [".facewatch", "Everybody.html"]


@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "link", "dangling link", "fifo"])
def test_what_is_not_ours_is_never_touched(people: Path, tmp_path: Path, kind: str) -> None:
    file, other = people / SHEET, tmp_path / "other.html"
    other.write_text(f"{SHEET_MARK} of somebody")
    match kind:
        case "file":
            file.write_text("my own page")
        case "empty file":
            file.touch()
        case "folder":
            file.mkdir()
        case "link":
            file.symlink_to(other)
        case "dangling link":
            file.symlink_to(tmp_path / "nowhere")
        case "fifo":
            os.mkfifo(file)
    before = file.lstat()
    with pytest.raises(FolderError, match="not facewatch's"):
        write_sheet(people, SHEET_MARK)
    drop_from_sheet(people, [1])
    remove_sheet(people)
    assert os.path.samestat(file.lstat(), before)
    assert file.lstat().st_mtime_ns == before.st_mtime_ns
    assert other.read_text() == f"{SHEET_MARK} of somebody"


def test_no_sheet_is_written_where_the_people_folder_is_away(people: Path) -> None:
    (people / MARKER).unlink()
    with pytest.raises(FolderError):
        write_sheet(people, SHEET_MARK)
    assert list(people.iterdir()) == []


# --- in a library ---


@pytest.fixture
def known(library: Library) -> Library:
    """Anna and Ben, on three photos each, scanned."""
    for look in range(3):
        library.draw(f"anna{look}.png", (1, look))
        library.draw(f"ben{look}.png", (2, look))
    library.draw("both.png", (1, 7), (2, 7))
    library.scan()
    return library


def test_the_workers_that_analysed_the_photos_cut_the_faces_out_of_them(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for look in range(3):
        library.draw(f"{look}.png", (1, look), (2, look))
    monkeypatch.setattr("facewatch.app.picture_workers", None)
    with library.app(workers=WorkerPool(Recipe("fake"), 1)) as app:
        found = cli_scan.show_found(app, app.pipeline.scan(), BLOCKS, lambda _: None)
    assert found is not None
    assert found.drawn
    assert found.sheet is not None
    assert "data:image/jpeg" in found.sheet.read_text()


def test_the_end_of_a_scan_shows_those_it_found(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    for look in range(3):
        library.draw(f"{look}.png", (1, look), (2, look))
    with library.app() as app:
        result = app.pipeline.scan()
        assert result.is_first
        found = cli_scan.show_found(app, result, BLOCKS, lambda _: None)
        assert found is not None
        cli_scan.print_found(found)
        assert app.folder.plan().actions == ()
        assert app.auditor().check().findings == ()
        again = app.pipeline.scan()
        assert not again.is_first
        assert cli_scan.show_found(app, again, BLOCKS, lambda _: None) is None
        assert cli_scan.better_engine(app) is None, "of another engine than that which needs no files"
    said = capsys.readouterr().out
    sheet = library.people / "Everybody.html"
    assert f"everybody on one page, for your browser:\n  {sheet}\n" in said
    assert "▀" in said
    assert re.search(r"p1 +p2", said)
    assert len(list(parsed(sheet.read_text()).iter("article"))) == 2
    cli_scan.print_found(found._replace(drawn="", sheet=None, note="no room"))
    said = capsys.readouterr().out
    assert re.search(r"p1 +Person 0001 +3 photos", said)
    assert "no page with everybody: no room" in said


def test_a_first_scan_ends_within_a_terminal_of_24_lines(library: Library) -> None:
    for person in range(1, 9):
        library.draw(f"{person}a.png", (person, 0))
        library.draw(f"{person}b.png", (person, 1))
    with library.app() as app:
        result = app.pipeline.scan()
        small = cli_scan.show_found(app, result, BLOCKS, lambda _: None)
        large = cli_scan.show_found(app, result, replace(BLOCKS, n_lines=40), lambda _: None)
    assert small is not None
    assert large is not None
    assert (small.n_drawn, large.n_drawn) == (4, 8)
    # Three lines of numbers, an empty one, whose faces these are, and, behind them, seven lines and the prompt.
    assert 3 + 2 + small.drawn.count("\n") + 7 + 1 <= 24
    assert large.drawn.count("\n") == 2 * small.drawn.count("\n")


def test_a_page_of_somebody_else_does_not_spoil_a_scan(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    library.people.mkdir()
    (library.people / "Everybody.html").write_text("mine")
    with library.app() as app:
        found = cli_scan.show_found(app, app.pipeline.scan(), cli_faces.NO_SCREEN, lambda _: None)
    assert found is not None
    assert found.sheet is None
    assert "not facewatch's" in found.note
    assert (library.people / "Everybody.html").read_text() == "mine"


def test_who_is_hidden_or_forgotten_is_taken_off_the_sheet(known: Library) -> None:
    with known.app() as app:
        anna, ben = (one.id for one in app.catalog.people.all())
        sheet = cli_people.write_contact_sheet(app)
        with app.corrections.deciding() as decisions:
            decisions.hide(str(anna))
        assert [one.get("id") for one in parsed(sheet.read_text()).iter("article")] == [f"p{ben}"]
        with app.corrections.deciding() as decisions:
            decisions.forget(str(ben))
        assert list(parsed(sheet.read_text()).iter("article")) == []
        assert stat.S_IMODE(sheet.stat().st_mode) == 0o600


def test_a_restored_catalog_has_no_sheet_of_another(known: Library, run: Any, tmp_path: Path) -> None:
    assert run("backup", str(tmp_path / "b.sqlite")).code == 0
    with known.app() as app:
        sheet = cli_people.write_contact_sheet(app)
    assert run("restore", str(tmp_path / "b.sqlite"), "--yes").code == 0
    assert not sheet.exists()


def test_the_face_that_stands_for_somebody_comes_first(known: Library) -> None:
    with known.app() as app:
        (anna, *_) = app.catalog.people.all()
        faces = app.catalog.faces.best_of([anna.id], 9)[anna.id]
        assert len(faces) == 4
        with app.corrections.deciding() as decisions:
            decisions.cover(str(anna.id), str(faces[-1]))
            decisions.ignore([str(faces[0])])
        assert app.catalog.faces.best_of([anna.id], 2)[anna.id] == [faces[-1], faces[1]]


def test_when_time_is_out_everybody_has_one_face(known: Library) -> None:
    moments = iter([0.0, 1.0, 2.0, 1000.0, 2000.0])
    with (
        known.app() as app,
        app.face_crops(InlineWorkers(Recipe("fake"))) as crops,
    ):
        found = portraits(app.catalog, crops, app.catalog.people.all(), clock=lambda: next(moments))
        assert [len(one.crops) for one in found] == [1, 1]
        found = portraits(app.catalog, crops, app.catalog.people.all(), clock=lambda: 0.0)
        assert [len(one.crops) for one in found] == [4, 4]


def test_a_face_whose_photo_is_away_has_no_picture(known: Library) -> None:
    for path in known.photos.iterdir():
        path.unlink()
    with known.app() as app, app.face_crops(InlineWorkers(Recipe("fake"))) as crops:
        found = portraits(app.catalog, crops, app.catalog.people.all())
        assert [one.crops for one in found] == [(), ()]
        assert cli_faces.draw_people(app, BLOCKS, app.catalog.people.all()) == ""


# --- the command ---


def test_the_sheet_is_written_where_somebody_wants_it(known: Library, run: Any, tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    assert run("people", "--contact-sheet").out == f"wrote {known.people / 'Everybody.html'}\n"
    for _ in range(2):
        assert run("people", "--contact-sheet", str(file)).out == f"wrote {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    hrefs = [element.get("href") for element in parsed(file.read_text()).iter("a")]
    assert hrefs == ["People/_unnamed/Person%200001/", "People/_unnamed/Person%200002/"]


def test_no_sheet_is_written_among_photos_or_over_another_file(known: Library, run: Any, tmp_path: Path) -> None:
    answer = run("people", "--contact-sheet", str(known.photos / "sheet.html"))
    assert answer.code == 4
    assert "lies among the photos" in answer.err
    (tmp_path / "way").symlink_to(known.photos)
    assert run("people", "--contact-sheet", str(tmp_path / "way" / "sheet.html")).code == 4
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    answer = run("people", "--contact-sheet", str(mine))
    assert answer.code == 4
    assert "is no contact sheet; name another file, or write over it with --force" in answer.err
    assert mine.read_text() == "mine"
    assert run("people", "--contact-sheet", str(mine), "--force").code == 0
    assert is_sheet(mine)
    assert {path.name for path in known.photos.iterdir()} == {
        *(f"{n}{i}.png" for n in ("anna", "ben") for i in range(3)),
        "both.png",
    }


def test_people_are_drawn_where_the_terminal_can_and_a_table_elsewhere(
    known: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("people").out.startswith("id")
    monkeypatch.setattr(cli_people, "screen_here", lambda: BLOCKS)
    drawn = run("people", "-n", "1").out
    assert "▀" in drawn
    assert "1 of 2 people: facewatch people -n 2 draws all, --table lists them,\n--contact-sheet writes" in drawn
    assert "\n2 people: facewatch people --table lists them,\n" in run("people").out
    assert all(len(line) <= 80 for line in re.sub(r"\x1b\[[\d;]*m", "", drawn).split("\n"))
    assert run("people", "--table").out.startswith("id")
    assert run("people", "--json").out.startswith("[")
    table = run("people", "--table", "-n", "1").out
    assert table.endswith("\n1 of 2 people\n")
    assert len(table.splitlines()) == 4
    assert len(json.loads(run("people", "--json", "-n", "1").out)) == 1


# --- in a browser ---


@pytest.fixture(scope="module")
def chromium() -> str:
    """A browser; a test that needs one is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or pytest.skip("needs a browser: apt install chromium")


@pytest.mark.parametrize(("scheme", "width", "paper"), [(1, 1100, (246, 246, 244)), (0, 500, (20, 20, 22))])
def test_a_browser_shows_the_faces_by_day_and_by_night(
    chromium: str, tmp_path: Path, scheme: int, width: int, paper: tuple[int, int, int]
) -> None:
    crops = (crop(tmp_path, 0, "#d01010"), crop(tmp_path, 0, "#10d010"))
    (tmp_path / "page.html").write_text(page_of([Portrait(person(i, "Anna"), crops) for i in range(1, 4)]))
    command = (
        *(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1000"),
        *(f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={tmp_path / 'shot.png'}"),
        (tmp_path / "page.html").as_uri(),
    )
    subprocess.run(command, check=True, capture_output=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)})
    with Image.open(tmp_path / "shot.png") as shot:
        pixels = np.asarray(shot.convert("RGB"), np.int64)
    assert tuple(pixels[2, 2]) == paper
    red = np.abs(pixels - (0xD0, 0x10, 0x10)).max(axis=-1) < 12
    green = np.abs(pixels - (0x10, 0xD0, 0x10)).max(axis=-1) < 12
    assert 3 * 96 * 96 * 0.95 < red.sum() <= 3 * 96 * 96
    assert 3 * 48 * 48 * 0.95 < green.sum() <= 3 * 48 * 48
    assert not red[:, -8:].any(), "nothing is cut off at the edge"


# --- what a scan says meanwhile and at its end ---


def test_a_scan_says_which_part_of_its_work_it_is_at(library: Library) -> None:
    library.draw_looks(1, 3)
    stages: list[str] = []
    with library.app() as app:
        app.pipeline.scan(lambda progress: stages.append(progress.stage))
    assert list(dict.fromkeys(stages)) == [
        "scanning the libraries",
        "analysing photos",
        "reading names from files",
        "grouping faces",
        "making links",
    ]


def test_the_better_engine_is_named_with_its_size_its_licence_and_the_way_to_it(tmp_path: Path) -> None:
    app: Any = SimpleNamespace(engine=SimpleNamespace(name="face_recognition"), config={"engine.models": str(tmp_path)})
    said = cli_scan.better_engine(app)
    assert said is not None
    assert "insightface:buffalo_l" in said
    assert "289 MB" in said
    assert "non-commercial research only" in said
    assert said.split("\n")[-2:] == [
        "  facewatch models fetch buffalo_l",
        "  facewatch scan --engine insightface:buffalo_l",
    ]
    app.engine.name = "insightface:antelopev2"
    assert cli_scan.better_engine(app) is None
