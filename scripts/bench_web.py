"""The part "page" of scripts/bench.py: the local page with a large library, at the server and in a browser.

The server is `facewatch web` as a user starts it. Where a decision is made between two requests, nothing that was kept
for the page is still right.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psutil
from bench_kit import MB, SEED, Bench, Finding, Household, clean_environment
from bench_page import N_FACES, N_PEOPLE, make_library

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = (
    *("", "person/1", "person/1?sort=doubt", "person/2/look-alikes", "person/2/split?into=2"),
    *("photo/1", "photos?q=with+p1", "search?face=1", "pool", "map"),
    *("review", "review/answers", "stats", "history", "status"),
)
"""Person 1 has the most faces, 3,000 of 100,000."""
N_BROWSERS = 20
N_ANSWERS = 200
PAUSE_SECONDS = 0.5
"""Between two answers: somebody quick."""


@dataclass(frozen=True, slots=True)
class Served:
    """A page that is being served."""

    host: str
    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"

    def get(self, path: str) -> float:
        """Return the seconds until a page was there as a whole."""
        return self._ask("GET", f"/{path}", None)[0]

    def post(self, path: str, body: object) -> tuple[float, Any]:
        """Return the seconds until the API had answered, and its answer."""
        seconds, content = self._ask("POST", f"/api/v1/{path}", json.dumps(body))
        return seconds, json.loads(content)

    def _ask(self, method: str, path: str, body: str | None) -> tuple[float, bytes]:
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=60)) as connection:
            headers = {"Content-Type": "application/json", "Origin": self.url.rstrip("/")} if body else {}
            started = time.perf_counter()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            seconds = time.perf_counter() - started
        if answer.status != 200:
            raise click.ClickException(f"{method} {path}: {answer.status} {content[:300].decode(errors='replace')}")
        return seconds, content


@contextlib.contextmanager
def served(house: Household) -> Iterator[Served]:
    """Serve the page of a library from a process of its own."""
    command = house.command("web", "--port", "0")
    with house.complaints.open("ab") as complaints:
        program = subprocess.Popen(
            command, env=clean_environment(house.home), cwd=house.home, stdout=subprocess.PIPE, stderr=complaints
        )
    with program:
        try:
            assert program.stdout is not None
            said = program.stdout.readline().decode()
            host, port = said.split("//")[1].split("/")[0].split(":")
            yield Served(host, int(port), psutil.Process(program.pid))
        finally:
            program.terminate()


def measure_page(bench: Bench) -> list[Finding]:
    """What browsers wait for, at the server and on the screen, and the memory of the server."""
    n_faces, n_people = bench.many(N_FACES, N_FACES, 300), bench.many(N_PEOPLE, N_PEOPLE, 12)
    bench.say(f"page: a library of {n_faces:,} faces and {n_people:,} people")
    house = make_library(bench.scratch / "page", n_faces=n_faces, n_people=n_people)
    of = f"{n_faces:,} faces of {n_people:,} people"
    with served(house) as page:
        bench.say("page: asked by programs")
        pause = bench.many(1, 1, 0) * PAUSE_SECONDS
        findings = [
            *at_the_server(page, of, n_rounds=bench.many(20, 8, 1), pause=pause),
            *of_many(page, of, seconds=bench.many(20, 10, 1)),
        ]
        bench.say("page: in chromium")
        findings += in_a_browser(page, of, n_answers=bench.many(N_ANSWERS, N_ANSWERS, 4))
        memory = peak_memory(page.process) / MB
    row = f"peak memory of the page's server, {of}, in all that"
    return [*findings, Finding(row, memory, "MB", at_most=400, row=row)]


def peak_memory(process: psutil.Process) -> int:
    """Return the most bytes that a process has held; what it holds now where the system does not know the most."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.is_file():
        return int(process.memory_info().rss)
    return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


# --- at the server ---


def at_the_server(page: Served, of: str, *, n_rounds: int, pause: float) -> list[Finding]:
    """Ask for every page right behind a decision, as the browser that made it does; and decide, as fast as people."""
    page.get("review")
    seconds: dict[str, list[float]] = {path: [] for path in PAGES}
    decisions: dict[str, list[float]] = {"rename": [], "reject": [], "undo": [], "answer": []}
    for n in range(n_rounds):
        for path in PAGES:
            entry = decide(page, decisions, n)
            seconds[path].append(page.get(path))
            time.sleep(pause)
            decisions["undo"].append(page.post(f"journal/{entry}/undo", {})[0])
            time.sleep(pause)
    slow = {path: 1000 * percentile_95(times) for path, times in seconds.items()}
    row = f"the slowest page's HTML at the server, {of}, 95th percentile"
    answered = f"a decision answered, {of}, 95th percentile: {', '.join(decisions)}"
    return [
        *(Finding(f"/{path} at the server, 95th percentile", ms, "ms") for path, ms in slow.items()),
        Finding(row, max(slow.values()), "ms", at_most=150, row=row),
        *(
            Finding(
                f"{name} answered, {of}, 95th percentile", 1000 * percentile_95(times), "ms", at_most=100, row=answered
            )
            for name, times in decisions.items()
        ),
    ]


def decide(page: Served, decisions: dict[str, list[float]], n: int) -> int:
    """Make a decision, each time another one; returns its entry in the journal."""
    kind = ("rename", "reject", "answer")[sum(map(len, decisions.values())) // 2 % 3]
    if kind == "rename":
        seconds, done = page.post("people/3/name", {"name": f"Somebody {n} {time.perf_counter():.3f}"})
    elif kind == "reject":
        seconds, done = page.post("faces/reject", {"faces": [_first_face(page, 1)], "person": 1})
    else:
        [question] = page.post("review/next", {"n": 1})[1]["questions"]
        said = "yes" if "yes" in question["answers"] else "hide"
        seconds, done = page.post("review/answers", {"question": question["id"], "answer": said})
    decisions[kind].append(seconds)
    return int(done["entry_id"])


def _first_face(page: Served, person: int) -> int:
    faces = json.loads(page._ask("GET", f"/api/v1/people/{person}/faces?limit=1", None)[1])["faces"]
    return int(faces[0]["id"])


def percentile_95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[-1] if len(times) > 1 else times[0]


def of_many(page: Served, of: str, *, seconds: float) -> list[Finding]:
    """Ask for pages from many browsers at once, while one decides."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    def browse(n: int) -> None:
        choose = random.Random(SEED + n)
        while time.perf_counter() < until:
            times.append(page.get(choose.choice(PAGES)))
            time.sleep(choose.uniform(0.5, 1.5))

    threads = [threading.Thread(target=browse, args=[n]) for n in range(N_BROWSERS)]
    for thread in threads:
        thread.start()
    while time.perf_counter() < until:
        page.post("people/4/name", {"name": f"Somebody else {time.perf_counter():.3f}"})
        time.sleep(1)
    for thread in threads:
        thread.join()
    row = f"a page at the server, {N_BROWSERS} browsers at once, {of}, 95th percentile"
    return [Finding(row, 1000 * percentile_95(times), "ms", at_most=500, row=row)]


# --- in a browser ---

WATCH = """
window.frames = [];
window.shown = [];
let last = performance.now();
const frame = () => {
  const now = performance.now();
  window.frames.push(now - last);
  last = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
const find = (selector) => document.querySelector(selector);
const state = () => find("#question")?.dataset.question ?? find("main")?.textContent;
document.addEventListener("keydown", () => {
  const pressed = performance.now(), before = state();
  // What was changed is on the screen when the frame after the next begins.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (state() !== before) window.shown.push(performance.now() - pressed);
  }));
}, true);
"""
"""Counts the milliseconds between frames, and those from a key to the screen where it changed something."""


def in_a_browser(page: Served, of: str, *, n_answers: int) -> list[Finding]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            usable = seconds_of(lambda: open_people(browser.new_page(), page.url))
            tab = browser.new_page()
            tab.add_init_script(WATCH)
            renamed = rename_somebody(tab, page.url)
            answered = answer_questions(tab, page.url, n_answers)
        finally:
            browser.close()
    people, name = f"everybody usable in a new browser, {of}", f"a name shown after Enter, {of}"
    answers = f"{n_answers} answers by keyboard, {of}: 95th percentile until shown, longest frame"
    return [
        Finding(people, usable, "s", at_most=1, row=people),
        Finding(name, renamed, "ms", at_most=100, row=name),
        Finding("an answer shown, 95th percentile", answered.shown, "ms", at_most=100, row=answers),
        Finding("the longest frame meanwhile", answered.longest_frame, "ms", at_most=100, row=answers),
        Finding("answers a minute", answered.a_minute, at_least=60, row="answers a minute by a script"),
    ]


def seconds_of(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def open_people(tab: Page, url: str) -> None:
    """Open everybody; until the first faces are there and the search can be used."""
    tab.goto(url, wait_until="commit")
    tab.locator(".tile").nth(5).wait_for()
    tab.evaluate("Promise.all([...document.querySelectorAll('.tile img')].slice(0, 6).map((one) => one.decode()))")
    tab.locator('[role="search"] input').fill("")


UNTIL_SHOWN = """
(name) => new Promise((resolve) => {
  document.addEventListener("keydown", () => {
    const pressed = performance.now();
    const frame = () => {
      const names = [...document.querySelectorAll(".tile-name")].slice(0, 20);
      const isThere = names.some((one) => one.textContent === name);
      requestAnimationFrame(isThere ? () => resolve(performance.now() - pressed) : frame);
    };
    requestAnimationFrame(frame);
  }, { capture: true, once: true });
})
"""
"""Resolves to the milliseconds from the next key until a name is on the screen."""


def rename_somebody(tab: Page, url: str) -> float:
    """Return the milliseconds from Enter until a name that was typed is shown."""
    tab.goto(url)
    tab.locator(".tile .tile-name").nth(1).click()
    tab.keyboard.type("Zacharias")
    tab.wait_for_timeout(500)
    tab.evaluate(f"window.waiting = ({UNTIL_SHOWN})('Zacharias'); undefined")
    tab.keyboard.press("Enter")
    return float(tab.evaluate("window.waiting"))


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    shown: float
    """Milliseconds from a key to the next question, 95th percentile."""
    longest_frame: float
    """Milliseconds."""
    a_minute: float


def answer_questions(tab: Page, url: str, n: int) -> AnswerTimes:
    tab.goto(f"{url}review")
    tab.locator("#question[data-question]").wait_for()
    tab.wait_for_timeout(1500)
    tab.evaluate("window.frames.length = window.shown.length = 0")
    started = time.perf_counter()
    for number in range(n):
        due = started + number * PAUSE_SECONDS
        tab.wait_for_timeout(max(0.0, 1000 * (due - time.perf_counter())))
        tab.locator("#question[data-question]").wait_for()
        possible = tab.locator(".answers [data-key]").evaluate_all("(all) => all.map((one) => one.dataset.key)")
        tab.keyboard.press("n" if "n" in possible and number % 3 == 0 else "y" if "y" in possible else "h")
    seconds = time.perf_counter() - started
    tab.wait_for_timeout(1000)
    shown, frames = tab.evaluate("[window.shown, window.frames]")
    return AnswerTimes(percentile_95(shown), max(frames), 60 * n / seconds)
