"""Pictures of every page of `facewatch web`, to be looked at: light and dark, wide and as narrow as a phone.

    scripts/screenshots FOLDER                   of the labelled album in ../shared/photos, else of the demo's library
    scripts/screenshots FOLDER --url URL         of a page that is being served
    scripts/screenshots FOLDER --only review     of one page
    scripts/screenshots docs/images --readme     those in README, of a library of drawn people

Needs chromium (Debian: apt install chromium). Beside the pictures, `all-….png` has those of one kind on one sheet.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent))

os.environ.setdefault("FACEWATCH_DRAWN_SIDE", "216")

from bench_page import make_library

from facewatch.app import App
from facewatch.cli import main as program
from facewatch.cli.init import make_library as make_demo
from facewatch.config import Config, load_config
from facewatch.web.server import Server, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "photos"
ALBUM = ("family", "selfies", "tvcast", "matches")
NAMES = ("Anna", "Ben", "Clara", "David", "Emil", "Frida")
"""Of the people with the most photos."""

SIZES = {"wide": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")

N_DRAWN, N_DRAWN_PEOPLE = 900, 60
README_SIZE = (1120, 700)


@dataclass(frozen=True, slots=True)
class PageAddress:
    """A page, by the name of its picture."""

    name: str
    path: str


def places(url: str) -> list[PageAddress]:
    """Return the pages, those of one person, face and photo for the person with the most photos."""
    people = _json(url, "people?limit=1")["people"]
    person = people[0] if people else {"id": 1, "cover_id": 1, "label": "nobody"}
    faces = _json(url, f"people/{person['id']}/faces").get("faces") or [{"photo_id": 1}]
    return [
        PageAddress("people", ""),
        PageAddress("people-search", "?q=an"),
        PageAddress("person", f"person/{person['id']}"),
        PageAddress("person-doubt", f"person/{person['id']}?sort=doubt"),
        PageAddress("person-split", f"person/{person['id']}/split"),
        PageAddress("review", "review"),
        PageAddress("photo", f"photo/{faces[0].get('photo_id', 1)}"),
        PageAddress("photos", "photos"),
        PageAddress("search", f"search?face={person['cover_id']}"),
        PageAddress("pool", "pool"),
        PageAddress("map", "map"),
        PageAddress("stats", "stats"),
        PageAddress("evaluation", "stats/evaluation"),
        PageAddress("history", "history"),
        PageAddress("status", "status"),
        PageAddress("error", "person/999999"),
    ]


def _json(url: str, path: str) -> dict[str, list[dict[str, object]]]:
    try:
        with urllib.request.urlopen(f"{url}api/v1/{path}") as answer:
            found: dict[str, list[dict[str, object]]] = json.load(answer)
            return found
    except OSError:
        return {}


def shoot(browser: Browser, url: str, target: Path, *, size: tuple[int, int], scheme: str, scale: int = 1) -> None:
    """Write a picture of a page, once what it shows has come."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=scale,
    )
    page = context.new_page()
    page.on("pageerror", lambda error: click.echo(f"{url}: {error}"))
    page.on("console", lambda message: click.echo(f"{url}: {message.text}") if message.type == "error" else None)
    page.goto(url)
    _wait_for_pictures(page)
    page.screenshot(path=target)
    context.close()


def _wait_for_pictures(page: Page) -> None:
    from playwright.sync_api import TimeoutError

    page.wait_for_timeout(300)
    with contextlib.suppress(TimeoutError):
        page.wait_for_function(
            "[...document.images].every((one) => one.complete || one.loading === 'lazy')", timeout=8000
        )
    page.wait_for_timeout(1200)


def sheet(pictures: Sequence[Path], target: Path, *, columns: int) -> None:
    """Write one picture of several, at half their size."""
    images = [Image.open(picture).convert("RGB") for picture in pictures]
    halves = [image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS) for image in images]
    width, height = max(half.width for half in halves), max(half.height for half in halves)
    rows = -(-len(halves) // columns)
    whole = Image.new("RGB", (columns * (width + 8), rows * (height + 8)), "grey")
    for number, half in enumerate(halves):
        whole.paste(half, (number % columns * (width + 8), number // columns * (height + 8)))
    whole.save(target)


@contextlib.contextmanager
def served(config: Config) -> Iterator[str]:
    """Serve the page of a catalog, from a thread."""
    server = Server(make_site(lambda: App(config)), host="127.0.0.1", port=0)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def make_album(home: Path) -> Config:
    """Scan real photos, name some of the people, and evaluate how they are told apart."""
    photos = home / "Pictures"
    if SHARED.is_dir():
        for name in ALBUM:
            shutil.copytree(SHARED / "album" / name, photos / name)
    else:
        make_demo(photos)
    given = {
        "library.photos": str(photos),
        "library.people": str(home / "People"),
        "library.catalog": str(home / "catalog.sqlite"),
    }
    config = load_config(None, given, cwd=home)
    with App(config) as app:
        app.pipeline.scan()
        people = [person for person in app.catalog.people.all() if person.n_photos]
        for person, name in zip(people, NAMES, strict=False):
            app.corrections.rename(str(person.id), name)
    if SHARED.is_dir():
        with contextlib.redirect_stdout(io.StringIO()):
            program(["evaluate", str(SHARED), "--only", "album/", "--batches", "5", "--catalog", str(config.catalog)])
    return config


def make_drawn(home: Path) -> Config:
    """Make a library of drawn people."""
    house = make_library(home, n_faces=N_DRAWN, n_people=N_DRAWN_PEOPLE)
    return load_config(house.settings_file, {}, cwd=home)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--url", help="Of a page that is being served; else one is, on real photos.")
@click.option("--only", multiple=True, metavar="NAME", help="Only these pages, by the names of their pictures.")
@click.option("--readme", "is_readme", is_flag=True, help="The pictures of README.")
def main(folder: Path, url: str | None, only: tuple[str, ...], is_readme: bool) -> None:
    """Write pictures of every page into FOLDER."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        raise click.ClickException("needs chromium (Debian: apt install chromium)")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if url is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
            home.parent.mkdir(exist_ok=True)
            config = make_drawn(home) if is_readme else make_album(home)
            url = stack.enter_context(served(config))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if is_readme:
            _shoot_for_readme(browser, url, folder)
        else:
            _shoot_all(browser, url, folder, only)
        browser.close()


def _shoot_all(browser: Browser, url: str, folder: Path, only: Sequence[str]) -> None:
    wanted = [place for place in places(url) if not only or place.name in only]
    for size_name, size in SIZES.items():
        for scheme in SCHEMES:
            pictures = []
            for place in wanted:
                target = folder / f"{place.name}-{size_name}-{scheme}.png"
                shoot(browser, url + place.path, target, size=size, scheme=scheme)
                pictures.append(target)
            sheet(pictures, folder / f"all-{size_name}-{scheme}.png", columns=3 if size_name == "wide" else 7)
    click.echo(f"{len(wanted)} pages in {folder}")


def _shoot_for_readme(browser: Browser, url: str, folder: Path) -> None:
    for name, path, scheme in (("page-people", "", "light"), ("page-person", "person/1?sort=doubt", "dark")):
        target = folder / f"{name}.png"
        shoot(browser, url + path, target, size=README_SIZE, scheme=scheme)
        Image.open(target).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
        click.echo(f"wrote {target}")


if __name__ == "__main__":
    main()
