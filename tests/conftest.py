"""Fixtures that keep tests honest: a private home, real photos where they are at hand, and a library of drawn faces."""

from __future__ import annotations

import csv
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import browsers

# Imported once, here: scikit-learn sets variables of the environment, which no test may do.
import hdbscan  # noqa: F401
import hypothesis
import pytest
from browsers import Album
from crowds import fake_infomap
from drawn import FAMILY, Library, make_library

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How long an example takes says how busy the machine is; each run draws others, so that half as many as usual will do.
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=50)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rule-examples", type=int, default=100, help="sequences of what users and runs do, for each rule (test_rules)"
    )


LONG = (
    *("test_main_job", "test_scripts", "test_web_pages", "test_corrections_job", "test_evaluation", "test_rules"),
    *("test_review_cli", "test_cases_angles", "test_workers", "test_torture_kills", "test_torture"),
)
"""Files that take longest, the longest first: they come first, so that no process is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Photos and models beside the checkout; a test that needs them is skipped where they are absent."""
    wanted = ("photos/labels.csv", "models/buffalo_sc_dq/det_500m.onnx", "models/buffalo_sc_dq/w600k_mbf.onnx")
    absent = [f"../shared/{name}" for name in wanted if not (SHARED / name).is_file()]
    if absent:
        browsers.lacks(f"needs {' and '.join(absent)}")
    return SHARED


@pytest.fixture(scope="module")
def infomap_is_there() -> Iterator[None]:
    """What stands for the package `infomap`, which is an extra."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "infomap", fake_infomap())
        yield


@pytest.fixture(scope="session")
def real_family(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Album:
    """A family on real photos, scanned once; `served` shows it as the scan left it."""
    return browsers.family_album(shared, tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; not for the session, as nothing else in this process could run an event loop meanwhile."""
    with browsers.chromium() as browser:
        yield browser


WHOLE_PICTURES = frozenset({"corrupt/unknown_compression_method.png"})
"""Odd photos that are labelled as Pillow answers, though only their metadata is damaged."""


@pytest.fixture(scope="session")
def odd_answers(shared: Path) -> dict[str, set[str]]:
    """What may be said of each odd photo: "ok", or one of the kinds of faults."""
    with (shared / "photos" / "odd" / "labels.csv").open(encoding="utf-8", newline="") as file:
        answers = {row["path"]: set(row["expected"].split("|")) for row in csv.DictReader(file)}
    return answers | {path: {"ok"} for path in WHOLE_PICTURES}


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own settings and catalog."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in (
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
        "FACEWATCH_CALLED_AS",
        "FACEWATCH_CONFIG",
        "FACEWATCH_GIVEN",
        "FACEWATCH_MODELS",
        "FACEWATCH_MODELS_URL",
        "FACEWATCH_PICTURES",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def own_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher that is started in this process leaves its priority alone: no later test could raise it again."""
    monkeypatch.setattr("facewatch.watcher.process.give_way", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def nothing_left_behind(private_home: None) -> Iterator[None]:
    """A test leaves the environment and the threads as it found them."""
    environment = dict(os.environ)
    yield
    names = set(environment) | set(os.environ)
    changed = {n for n in names if environment.get(n) != os.environ.get(n)} - {
        "PYTEST_CURRENT_TEST",
        "COLUMNS",
        "ORT_DISABLE_TELEMETRY",
        # Set by importing insightface (and opencv below it), once for the process.
        "LD_LIBRARY_PATH",
        "NO_ALBUMENTATIONS_UPDATE",
    }
    assert not changed
    if not browsers.SERVING:
        left = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
        for thread in left:
            thread.join(10)  # that it was told to end is enough
        assert not [t for t in left if t.is_alive()]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A command sets up the log for its process; the next test has it as it was."""
    logger = logging.getLogger("facewatch")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library in a temporary folder."""
    return make_library(tmp_path)


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def three(library: Library) -> Library:
    """Two photos of person 1, three of person 2, one of person 3; a.png shows the first two."""
    library.draw_all({name: faces for name, faces in FAMILY.items() if name in "abcde"})
    library.scan()
    return library


@pytest.fixture
def family(library: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Anna (2 photos), Ben (3), an unnamed person (2), and a face of the pool; ids of faces and people are the same
    small numbers."""
    library.draw_all(FAMILY)
    library.scan()
    monkeypatch.chdir(library.photos)
    with library.app() as app:
        for photo, name in (("b.png", "Anna"), ("c.png", "Ben")):
            [face] = app.lookup.photo(Path(photo))["faces"]
            app.corrections.rename(str(face["person_id"]), name)
    return library


@pytest.fixture
def run(library: Library, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command on the library's catalog and return its exit code and output."""

    from facewatch.cli import main

    def call(*arguments: str) -> Answer:
        code = main([*arguments, "--catalog", str(library.catalog), "--people", str(library.people)])
        return Answer(code, *capsys.readouterr())

    return call
