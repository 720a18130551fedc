"""The way of a photo and of a correction, as docs/how-it-works.md tells them: they are followed call by call."""

from __future__ import annotations

import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import documents
import pytest
from drawn import make_library
from test_layers import modules_of
from test_loop import Turns

from facewatch.cli import main
from facewatch.watcher.events import Events

MOST_FOR_A_PHOTO = 16
MOST_FOR_A_CORRECTION = 9

ROOT = f"{documents.ROOT}/"
PACKAGE = f"{ROOT}facewatch/"

Function = tuple[str, str]
"""A module, as its path in the repository, and the name of a function in it."""

STAND_INS: dict[Function, Function] = {
    ("facewatch/indexing/pool.py", "Pool.analyse"): ("facewatch/indexing/pool.py", "InlineWorkers.analyse"),
    ("facewatch/engines/standard.py", "StandardEngine.analyse"): ("facewatch/engines/fake.py", "FakeEngine.analyse"),
}
"""What takes the place of worker processes and models here."""

ELSEWHERE: dict[Function, str] = {("facewatch/indexing/worker.py", "Process.ask"): "facewatch/indexing/analyzer.py"}
"""What carries the photo into another process, and to which module: known by imports."""

WIRING = "facewatch/app.py"

BELOW = {
    "errors, types, columns, ids, text, boxes, config": "values and words",
    "fs": "files and folders as the system has them",
    "catalog": "the tables: every step reads and writes some",
    "decode, regions, engines": "the formats and the networks: parts of one step",
    "matching": "arithmetic with arrays: part of asking who it is",
    "heartbeat": "what others read of the watcher",
    "app": "makes the parts when they are asked for first",
}
"""Floors whose modules are no steps, however many of them a step uses, and why."""

BESIDE = {
    "facewatch/watcher/schedule.py": "whether photos are looked at now",
    "facewatch/watcher/people.py": "whether somebody has changed the people folder",
    "facewatch/watcher/process.py": "the service manager is told",
    "facewatch/watcher/reporter.py": "how far it is",
    "facewatch/library/roots.py": "whether the library was moved since its links were made",
    "facewatch/indexing/memory.py": "how many bytes the photo takes",
    "facewatch/indexing/engine.py": "which engine is wanted",
    "facewatch/indexing/turns.py": "which way up the faces are",
    "facewatch/indexing/reading_names.py": "which files are asked for the names that other programs gave",
    "facewatch/indexing/names_in_folders.py": "whether files that name people, as Picasa's, are new beside it",
    "facewatch/indexing/people_in_files.py": "what a sidecar or the photo itself says of who is on it",
    "facewatch/people/assigning.py": "what a correction of faces begins with",
    "facewatch/people/corrections.py": "what a correction ends with",
    "facewatch/people/births.py": "who was not born yet when the photo was taken",
    "facewatch/people/folder_reader.py": "what somebody has done in the people folder",
    "facewatch/people/dropped.py": "whether it was answered which face of a dropped photo is meant",
    "facewatch/folders/asked.py": "of which dropped photos that is asked",
    "facewatch/folders/wanted.py": "which folders there are to be",
    "facewatch/people/sketching.py": "what people look like, which `why` is told instead of all their faces",
    "facewatch/people/search.py": "the vectors that `search` reads are kept up",
    "facewatch/people/kept_vectors.py": "their file",
    "facewatch/folders/extras.py": "whether it is one of people who have a folder together",
    "facewatch/folders/state.py": "whether the folder is as it was left",
    "facewatch/folders/recovery.py": "what is about to be done is recorded before",
    "facewatch/folders/ctimes.py": "hard links change the times of photos",
    "facewatch/folders/model.py": "what plans and actions are",
    "facewatch/folders/check.py": "whether the folder may be written to",
    "facewatch/cli/output.py": "printing",
    "facewatch/cli/program.py": "how facewatch was called",
    "facewatch/called.py": "the same, for texts that say what to type",
    "facewatch/logs.py": "how lines of the log look",
    "facewatch/folders/links.py": "what a link in the people folder stands for",
}
"""Modules that are called on the way and that no photo or correction passes, and what for."""


@dataclass(frozen=True, slots=True)
class Step:
    """A row of a table."""

    function: Function
    beside: tuple[str, ...]
    """The modules that it asks or writes to."""


def steps_of(heading: str) -> list[Step]:
    """Return the table below a heading."""
    section = documents.text_of("docs/how-it-works.md").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    return [Step(function_in(module), tuple(re.findall(r"facewatch/[\w/]+\.py", asked))) for _, module, asked in rows]


def function_in(text: str) -> Function:
    path, name = text.split()
    return path, name.strip("`")


PHOTO, CORRECTION = steps_of("A photo's way"), steps_of("A correction's way")


@dataclass
class Trace:
    """Which functions of facewatch were called, in the order of their first calls, and what was called below each."""

    below: dict[Function, set[str]] = field(default_factory=dict)
    """Each function, and the modules that were called while it was at work."""
    _n_wiring: int = 0
    """How many calls of the app are under way, which makes parts and closes them: that calls much, and takes nothing
    further."""

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "return") or (function := function_of(frame)) is None:
            return
        if function[0] == WIRING:
            self._n_wiring += 1 if event == "call" else -1
        elif self._n_wiring:
            return
        if event == "call":
            self.below.setdefault(function, set())
            above = frame.f_back
            while above is not None:
                if (caller := function_of(above)) in self.below:
                    self.below[caller].add(function[0])
                above = above.f_back

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow what this thread calls."""
        before = sys.getprofile()
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(before)

    @contextmanager
    def following_new_threads(self) -> Iterator[None]:
        """Follow what threads call that begin meanwhile."""
        before = threading.getprofile()
        threading.setprofile(self)
        try:
            yield
        finally:
            threading.setprofile(before)


def function_of(frame: FrameType) -> Function | None:
    """Return what runs in a frame; None: it is not of facewatch, or a module that is being imported."""
    file, name = frame.f_code.co_filename, frame.f_code.co_qualname
    return (file[len(ROOT) :], name) if file.startswith(PACKAGE) and name != "<module>" else None


@pytest.fixture
def photo(tmp_path: Path) -> Trace:
    """A photo arrives in a library that is watched, until its link is there."""
    if sys.platform != "linux":
        pytest.skip("the table tells of Linux's inotify")
    library = make_library(tmp_path / "watched")
    trace, turns = Trace(), Turns(library)
    with turns.app:
        for look in range(3):
            library.draw(f"{look}.png", (1, look))
        turns.after(0.1)
        watched = turns.loop.watched[0]
        with trace.following_new_threads():
            watched.listen()
        library.draw("new.png", (1, 9))
        heard = arrived(lambda: watched.take(0.05))
        with trace.following():
            turns.loop.step({library.photos: heard})
            turns.clock.now += 2.1
            turns.loop.step({})
        watched.close()
        assert library.groups() == [{"0.png", "1.png", "2.png", "new.png"}]
    return trace


def arrived(take: Callable[[], Events]) -> Events:
    """Return what the kernel reports, as soon as it does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if heard := take():
            return heard
    raise TimeoutError("nothing was heard")


@pytest.fixture
def correction(tmp_path: Path) -> Trace:
    """A face is said not to be the person that it was recognised as, until the link is gone."""
    library = make_library(tmp_path / "corrected")
    for look in range(3):
        library.draw(f"{look}.png", (1, look))
    library.scan()
    trace = Trace()
    with trace.following():
        code = main(
            ["--catalog", str(library.catalog), "--people", str(library.people), "reject", f"{library.photos}/2.png:1"]
        )
    assert code == 0
    assert library.groups() == [{"0.png", "1.png"}]
    return trace


@pytest.fixture(params=["photo", "correction"])
def way(request: pytest.FixtureRequest) -> tuple[Trace, list[Step]]:
    """What was called on a way, and its table."""
    return request.getfixturevalue(request.param), {"photo": PHOTO, "correction": CORRECTION}[request.param]


def test_a_photo_and_a_correction_pass_few_modules() -> None:
    for steps, most in ((PHOTO, MOST_FOR_A_PHOTO), (CORRECTION, MOST_FOR_A_CORRECTION)):
        modules = [path for path, _ in (step.function for step in steps)]
        assert 0 < len(modules) == len(set(modules)) <= most


def test_they_go_the_way_that_is_written_down(way: tuple[Trace, list[Step]]) -> None:
    trace, steps = way
    functions = [STAND_INS.get(step.function, step.function) for step in steps if step.function not in ELSEWHERE]
    assert [function for function in trace.below if function in functions] == functions


def test_what_stands_beside_a_step_is_called_while_it_is_made(way: tuple[Trace, list[Step]]) -> None:
    trace, steps = way
    for step in steps:
        called = trace.below.get(STAND_INS.get(step.function, step.function), set())
        assert {*step.beside} - called == set(), step.function
        assert step.function[0] not in step.beside


def test_no_other_module_is_on_the_way(way: tuple[Trace, list[Step]]) -> None:
    """A new one is written down: as a step, beside one, or here as what is no step."""
    trace, steps = way
    written = {path for step in steps for path in (step.function[0], *step.beside)}
    floors = {floor for names in BELOW for floor in names.split(", ")}
    passed = {path for path, _ in trace.below if path.split("/")[1].removesuffix(".py") not in floors}
    assert passed - written - BESIDE.keys() == set()


def test_what_is_no_step_is_on_one_of_the_ways(photo: Trace, correction: Trace) -> None:
    assert BESIDE.keys() - {path for path, _ in (*photo.below, *correction.below)} == set()


def test_what_happens_in_another_process_is_imported_from_one_step_to_the_next() -> None:
    known = {dotted(str(path.relative_to(ROOT))): path for path in Path(PACKAGE).rglob("*.py")}
    for before, step in itertools.pairwise(PHOTO):
        if step.function in ELSEWHERE:
            module = dotted(step.function[0])
            assert module in modules_of(known[dotted(before.function[0])], known)
            assert dotted(ELSEWHERE[step.function]) in modules_of(known[module], known)


def dotted(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


@pytest.mark.parametrize("function", [*STAND_INS, *ELSEWHERE])
def test_what_is_not_called_here_is_there(function: Function) -> None:
    path, name = function
    assert f"    def {name.rpartition('.')[2]}(" in Path(ROOT, path).read_text(encoding="utf-8")
    assert function in {step.function for step in PHOTO}
