"""A library behind a page, and Debian's chromium to look at it."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facewatch.app import App
from facewatch.web.server import Server, make_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")

SERVING: set[str] = set()
"""Addresses that are being served: their threads live longer than a test."""


@contextmanager
def served(make: Callable[[], App]) -> Iterator[str]:
    """Serve the page of a catalog from a thread; yields its address, which ends with a slash."""
    server = Server(make_site(make), host="127.0.0.1", port=0)
    server.start()
    SERVING.add(server.url)
    try:
        yield server.url
    finally:
        server.stop()
        SERVING.remove(server.url)


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what comes behind an answer: folders follow a decision when that is said already."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def require_chromium() -> str:
    """Return where chromium is; without it the test is skipped, but not in CI."""
    if CHROMIUM is None:
        missing = "needs chromium (Debian: apt install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return CHROMIUM


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
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], ignore_default_args=hidden)
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
        assert not faults
    finally:
        context.close()


def copied(shared: Path, target: Path, *names: str) -> Path:
    """Copy photos or folders of ../shared/photos into a folder, which is returned."""
    for name in names:
        source = shared / "photos" / name
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True)
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target


def accessibility_faults(page: Page) -> list[str]:
    """Return what axe finds on a page that is serious or worse: which rule, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found
        for node in fault["nodes"]
        if fault["impact"] in ("serious", "critical")
    ]


def undo_everything(url: str) -> None:
    """Take back all decisions that stand, the newest first, as a browser may do: the next test finds the library as it
    was."""
    with urllib.request.urlopen(f"{url}api/v1/journal") as answer:
        entries = json.load(answer)["entries"]
    for entry in entries:
        if entry["is_undoable"]:
            asked = urllib.request.Request(
                f"{url}api/v1/journal/{entry['id']}/undo",
                data=b"{}",
                headers={"Content-Type": "application/json", "Origin": url.rstrip("/")},
            )
            urllib.request.urlopen(asked).close()
