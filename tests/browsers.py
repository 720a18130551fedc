"""A library behind a page, real photos that are scanned once, and Debian's chromium to look at them."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from photo_files import mounted

from facewatch.app import App
from facewatch.config import Config, load_config
from facewatch.web.security import AccessRules
from facewatch.web.server import Server, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")

SPARED = (
    # Each window would start two processes for what drops down from a field for addresses that nobody sees.
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup"),
    # Of playwright's own list, whose place this one takes: what holds back a picture, or asks others when it starts.
    *("PaintHolding", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch"),
)
"""Features that chromium does without."""

SERVING: set[str] = set()
"""Addresses that are being served: their threads live longer than a test."""


@contextmanager
def served(make: Callable[[], App], *, rules: AccessRules | None = None) -> Iterator[str]:
    """Serve the page of a catalog from a thread; yields its address, which ends with a slash."""
    server = Server(make_site(make, rules=rules), host="127.0.0.1", port=0)
    server.start()
    SERVING.add(server.url)
    try:
        yield server.url
    finally:
        server.stop()
        SERVING.remove(server.url)


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what comes behind an answer: folders follow a decision when that is said already."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def lacks(missing: str) -> NoReturn:
    """Skip the test for want of something; but where all of it is promised to be, fail it."""
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def require_chromium() -> str:
    """Return where chromium is; see `lacks`."""
    return CHROMIUM or lacks("needs chromium (Debian: apt install chromium)")


@contextmanager
def chromium(*, keeps_pages: bool = False) -> Iterator[Browser]:
    """Start chromium; with `keeps_pages` it keeps pages that are left for "back", as it does for users."""
    from playwright.sync_api import expect, sync_playwright

    path = require_chromium()
    # What is waited for comes at once; on a machine with other work that may be later.
    expect.set_options(timeout=20_000)
    # Its sandbox needs rights that a container seldom gives; it opens nothing but pages of this program.
    with sync_playwright() as playwright:
        hidden = ["--disable-back-forward-cache"] if keeps_pages else []
        arguments = ["--no-sandbox", f"--disable-features={','.join(SPARED)}"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments, ignore_default_args=hidden)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 1280, height: int = 800) -> Iterator[Page]:
    """Open a page in a context of its own; at the end, no script may have failed and nothing may have been asked of
    another address."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    origin = url.split("/", 3)[2]
    page.on("request", lambda asked: faults.append(asked.url) if origin not in asked.url[:60] else None)
    try:
        page.goto(url)
        yield page
        assert not faults, faults
    finally:
        context.close()


@dataclass(frozen=True)
class Album:
    """A library of real photos, which was scanned once for whoever serves it."""

    config: Config

    def app(self) -> App:
        return App(self.config)

    def is_shown_in_folders(self) -> bool:
        """Whether the folders have followed all that was decided."""
        with self.app() as app:
            return app.folder.plan().is_empty

    def folders(self) -> set[str]:
        """The folders of people with a name."""
        return {one.name for one in self.config.people.iterdir() if one.is_dir() and one.name[0] not in "._"}

    def links(self, who: str) -> list[str]:
        """What is in the folder of somebody; nothing where there is none."""
        folder = self.config.people / who
        return sorted(link.name for link in folder.iterdir()) if folder.is_dir() else []

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve it as the scan left it, whatever others have decided since; yields its address."""
        live = self.config.people.parent
        shutil.rmtree(live)
        shutil.copytree(_as_scanned(live), live, symlinks=True)
        with served(self.app) as url:
            yield url


def _as_scanned(live: Path) -> Path:
    return live.with_name("as scanned")


def scanned(shared: Path, base: Path, *folders: str, extra: Callable[[Path], object] = lambda photos: None) -> Album:
    """Copy folders of ../shared/photos below `base`, add photos by `extra`, and scan them."""
    photos, live = base / "photos", base / "live"
    for name in folders:
        shutil.copytree(shared / "photos" / name, photos / name)
    extra(photos)
    given = {
        "library.photos": str(photos),
        "library.catalog": str(live / "catalog.sqlite"),
        "library.people": str(live / "People"),
    }
    album = Album(load_config(None, given, cwd=base))
    with album.app() as app:
        app.pipeline.scan()
    shutil.copytree(live, _as_scanned(live), symlinks=True)
    return album


def family_album(shared: Path, base: Path) -> Album:
    """Eight people without names, and group.jpg, on which no face is found though it shows four of them."""
    group = shared / "photos/album/family/identification1.jpg"
    return scanned(shared, base, "album/family", extra=lambda photos: mounted(group, photos / "group.jpg"))


COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe for what differs between light and dark."""


def accessibility_faults(page: Page, *rules: str) -> list[str]:
    """Return what axe finds on a page that is serious or worse: which rule, and where; by these rules alone, if any are
    given."""
    from axe_playwright_python.sync_playwright import Axe

    # Colours on their way to others are of no scheme.
    page.wait_for_function("document.getAnimations().every((one) => one.playState === 'finished')")
    found = Axe().run(page, options={"runOnly": [*rules]} if rules else None).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found
        for node in fault["nodes"]
        if fault["impact"] in ("serious", "critical")
    ]


def newest_decision(url: str) -> int:
    with urllib.request.urlopen(f"{url}api/v1/journal?limit=1") as answer:
        return max((int(entry["id"]) for entry in json.load(answer)["entries"]), default=0)


def undo_everything(url: str, *, since: int = 0) -> None:
    """Take back all decisions behind this entry that stand, the newest first, as a browser may do: the next test finds
    the library as it was."""
    with urllib.request.urlopen(f"{url}api/v1/journal") as answer:
        entries = json.load(answer)["entries"]
    for entry in entries:
        if entry["is_undoable"] and entry["id"] > since:
            asked = urllib.request.Request(
                f"{url}api/v1/journal/{entry['id']}/undo",
                data=b"{}",
                headers={"Content-Type": "application/json", "Origin": url.rstrip("/")},
            )
            urllib.request.urlopen(asked).close()
