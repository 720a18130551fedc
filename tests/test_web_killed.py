"""The server is killed under an open page: a decision is whole or absent, and the page goes on with the next server."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsers import opened, wait_until
from drawn import Library
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow


SERVE = """
import sys
from pathlib import Path
from drawn import Library
from facewatch.web.server import Server, make_site
*places, port = sys.argv[1:]
Server(make_site(Library(*map(Path, places)).app), host="127.0.0.1", port=int(port)).run()
"""
"""Serves a library as `facewatch web` does, which knows no drawn faces."""


class Program:
    """A server in a process of its own, on a port that stays the same."""

    def __init__(self, library: Library) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/"
        self._places = (library.base, library.photos, library.people, library.catalog)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, *self._places, str(self._port)]
        self._process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)})
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url).close()
        except OSError:
            assert self._process.poll() is None
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def program(family: Library) -> Iterator[Program]:
    program = Program(family)
    yield program
    program.kill()


@pytest.fixture
def page(browser: Browser, program: Program) -> Iterator[Page]:
    with opened(browser, program.url) as page:
        yield page


def call_carl(page: Page) -> None:
    page.locator("#p3").focus()
    page.keyboard.press("r")
    page.keyboard.type("Carl")
    with page.expect_request("**/name"):
        page.keyboard.press("Enter")


def are_recorded(library: Library) -> bool:
    with closing(sqlite3.connect(library.catalog)) as catalog:
        return catalog.execute("SELECT count(*) FROM people WHERE name = 'Carl'").fetchone() == (1,)


def test_a_decision_in_the_middle_of_which_it_is_killed_is_absent_and_can_be_made_again(
    page: Page, program: Program, family: Library
) -> None:
    with closing(sqlite3.connect(family.catalog, isolation_level=None)) as other:
        # Somebody else writes: the decision has begun and cannot end.
        other.execute("BEGIN IMMEDIATE")
        call_carl(page)
        expect(page.locator("#p3 .tile-name")).to_have_text("Carl")
        program.kill()
    expect(page.locator(".toast.error")).to_contain_text("No answer from facewatch")
    expect(page.locator("#p3 .tile-name")).to_have_text("Person 0003")
    program.start()
    assert not are_recorded(family)
    call_carl(page)
    expect(page.locator(".toast").last).to_contain_text("is now called Carl")
    wait_until((family.people / "Carl").is_dir)


def test_a_decision_that_was_on_record_when_it_was_killed_is_shown_by_the_page_that_stayed_open(
    page: Page, program: Program, family: Library
) -> None:
    call_carl(page)
    wait_until(lambda: are_recorded(family))
    program.kill()
    program.start()
    # The page asks again by itself.
    with family.app() as app:
        app.corrections.rename("p2", "Benno")
    expect(page.locator("#p2 .tile-name")).to_have_text("Benno")
    expect(page.locator("#p3 .tile-name")).to_have_text("Carl")
    family.scan()
    assert (family.people / "Carl").is_dir()


BREAK_OFF = """
() => {
  const whole = window.fetch;
  window.fetch = async () => {
    window.fetch = whole;
    const begin = new TextEncoder().encode("<main>");
    const send = (stream) => { stream.enqueue(begin); stream.error(new TypeError("network error")); };
    return new Response(new ReadableStream({ start: send }), { headers: { "Content-Type": "text/html" } });
  };
  window.isBroken = () => window.fetch === whole;
}
"""
"""The next answer that the page asks for breaks off in the middle, as it does when the server is killed."""


def test_a_page_that_breaks_off_is_as_none_and_comes_with_the_next_change(page: Page, family: Library) -> None:
    page.evaluate(BREAK_OFF)
    with family.app() as app:
        app.corrections.rename("p2", "Benno")
    wait_until(lambda: page.evaluate("() => isBroken()"))
    with family.app() as app:
        app.corrections.rename("p3", "Carla")
    expect(page.locator("#p3 .tile-name")).to_have_text("Carla")
    expect(page.locator("#p2 .tile-name")).to_have_text("Benno")
