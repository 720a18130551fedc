"""Real worker processes: what a photo, a library or the system does to one costs that one, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import deadly
import psutil
import pytest
from drawn import Library

from facewatch.errors import EngineError
from facewatch.indexing.analyzer import NO_ENGINE, LibraryFile, Recipe
from facewatch.indexing.indexer import Indexer
from facewatch.indexing.memory import MB
from facewatch.indexing.pool import WorkerPool
from facewatch.indexing.worker import PICTURES_NICENESS, Process, WorkerLost
from facewatch.types import Fingerprint

RECIPE = Recipe("fake")
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
PATIENCE = 60.0
"""Seconds after which a test that waits for something fails."""


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Where engines leave traces."""
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


@contextmanager
def hired(
    traces: Path,
    n_workers: int = 2,
    *,
    way: Callable[..., deadly.DeadlyEngine] = deadly.load,
    photo_seconds: float = PATIENCE,
    memory: int | None = None,
    recipe: Recipe = RECIPE,
) -> Iterator[WorkerPool]:
    load = deadly.loading(way, traces)
    workers = WorkerPool(recipe, n_workers, photo_seconds=photo_seconds, memory=memory, load=load)
    try:
        yield workers
    finally:
        workers.close()


def n_loaded(traces: Path) -> int:
    return len(list(traces.glob("loaded-*")))


def momentary(library: Library) -> set[str]:
    """Return the files whose faults say more about the machine at that moment than about the photo."""
    with library.app() as app:
        faulty = app.catalog.files.faulty()
    return {Path(one.path).name for one in faulty if one.fault.code.is_momentary}


def faults_of(library: Library) -> dict[str, str]:
    with library.app() as app:
        return {Path(one.path).name: one.fault.text for one in app.status().faults}


def advice_of(library: Library) -> dict[str, str]:
    with library.app() as app:
        return {Path(one.path).name: one.fault.advice for one in app.status().faults}


def ingested(library: Library, workers: WorkerPool) -> dict[str, list[str]]:
    """Bring all photos in; returns what became of each, as often as it was told."""
    names = sorted(path.name for path in library.photos.iterdir())
    told: dict[str, list[str]] = {name: [] for name in names}
    with library.app(workers=workers) as app:
        for one in app.pipeline.index(library.photos, names):
            told[one.path].append(one.kind)
    return told


def ask(library: Library, workers: WorkerPool, name: str) -> object:
    """Have a photo analysed."""
    path = library.photos / name
    return workers.analyse(LibraryFile(str(library.photos), name), Fingerprint.of(path.stat())).result(PATIENCE)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Whether a process of ours has ended with all its threads, the last of which closes its pipes."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return True


def test_whatever_photos_do_to_workers_costs_only_themselves(library: Library, traces: Path) -> None:
    for i in range(12):
        library.draw(f"good{i:02}.png", (i, 0))
    library.draw("good03-segfault.png", (deadly.SEGFAULT, 0))
    library.draw("good05-killed.png", (deadly.KILL, 0))
    library.draw("good07-once.png", (deadly.KILL_ONCE, 0))
    library.draw("good09-exit.png", (deadly.EXIT, 0))
    with hired(traces) as workers:
        told = ingested(library, workers)
    bad = {"good03-segfault.png", "good05-killed.png", "good09-exit.png"}
    assert told == {name: ["faulty" if name in bad else "new"] for name in told}
    faults = faults_of(library)
    assert faults == {
        "good03-segfault.png": "crashes the decoder or the detector (segmentation fault)",
        "good05-killed.png": "a worker was killed (SIGKILL), perhaps because memory was short",
        "good09-exit.png": "crashes the decoder or the detector (exit status 3)",
    }
    assert momentary(library) == {"good05-killed.png"}
    advice = advice_of(library)
    assert "the next scan tries it again" in advice["good05-killed.png"]
    assert not any("the next scan" in advice[name] for name in faults if name != "good05-killed.png")


@pytest.mark.parametrize("way", [deadly.SLEEP, deadly.BUSY], ids=["asleep", "busy below Python"])
def test_a_photo_that_hangs_costs_its_time_and_no_more(library: Library, traces: Path, way: int) -> None:
    for i in range(3):
        library.draw(f"good{i}.png", (i, 0))
    library.draw("hang.png", (way, 0))
    with hired(traces, photo_seconds=1.5) as workers:
        told = ingested(library, workers)
    assert told == {name: ["faulty" if name == "hang.png" else "new"] for name in told}
    [fault] = faults_of(library).values()
    assert fault == "takes longer than 1.5 s"
    assert momentary(library) == set()
    assert "raise resources.photo_seconds" in advice_of(library)["hang.png"]


def test_a_photo_that_takes_memory_without_end_ends_its_worker_and_not_the_machine(
    library: Library, traces: Path
) -> None:
    library.draw("good.png", (1, 0))
    library.draw("swell.png", (deadly.SWELL, 0))
    own = psutil.Process().memory_info().rss
    with hired(traces, memory=own + 900 * MB) as workers:
        told = ingested(library, workers)
    assert told == {"good.png": ["new"], "swell.png": ["faulty"]}
    [fault] = faults_of(library).values()
    n_mb = int(fault.removeprefix("takes more than ").removesuffix(" MB of memory"))
    assert 300 < n_mb < 1500
    assert momentary(library) == set()
    assert "raise resources.memory_mb" in advice_of(library)["swell.png"]


def test_a_worker_that_keeps_what_it_took_is_replaced_where_memory_is_short(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    library.draw("keep.png", (deadly.KEEP, 0))
    own = psutil.Process().memory_info().rss
    for memory, is_replaced in ((own + 700 * MB, True), (own + 5000 * MB, False)):
        with hired(traces, 1, memory=memory) as workers:
            assert ask(library, workers, "a.png")
            before = workers.pids
            assert ask(library, workers, "keep.png")
            assert ask(library, workers, "a.png")
            assert (workers.pids != before) == is_replaced


def test_loading_models_does_not_count_towards_the_time_for_a_photo(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    with hired(traces, way=deadly.load_slowly, photo_seconds=1.0) as workers:
        assert ingested(library, workers) == {"a.png": ["new"]}


@pytest.mark.parametrize(
    ("way", "n_attempts", "reason"),
    [
        (deadly.refuse, 1, "a model file is missing"),
        (deadly.stumble, 1, "fake cannot be loaded: no such library"),
        (
            deadly.crash,
            3,
            "the models could not be loaded: it crashed .exit status 1., 3 times; see `facewatch doctor`",
        ),
    ],
)
def test_an_engine_that_cannot_be_loaded_is_no_photos_fault_and_not_tried_for_ever(
    library: Library, traces: Path, way: Callable[..., deadly.DeadlyEngine], n_attempts: int, reason: str
) -> None:
    library.draw("a.png", (1, 0))
    with hired(traces, 1, way=way) as workers, pytest.raises(EngineError, match=reason):
        ingested(library, workers)
    assert n_loaded(traces) == n_attempts
    assert faults_of(library) == {}


def test_when_every_photo_costs_a_worker_the_photos_are_not_put_aside(library: Library, traces: Path) -> None:
    for i in range(12):
        library.draw(f"{i}.png", (i, 0))
    with (
        hired(traces, way=deadly.load_deadly_anyway) as workers,
        pytest.raises(EngineError, match=r"even over an empty one.*segmentation fault.*facewatch doctor"),
    ):
        ingested(library, workers)
    assert len(faults_of(library)) < 8


def test_many_bad_photos_in_a_row_are_bad_photos(library: Library, traces: Path) -> None:
    for i in range(9):
        library.draw(f"{i}.png", (deadly.SEGFAULT, i))
    library.draw("good.png", (1, 0))
    with hired(traces) as workers:
        told = ingested(library, workers)
    assert told == {name: ["new" if name == "good.png" else "faulty"] for name in told}


def test_a_system_that_kills_one_worker_after_the_other_is_told_and_the_photos_stay(
    library: Library, traces: Path
) -> None:
    for i in range(12):
        library.draw(f"{i:02}.png", (deadly.KILL, i))
    with hired(traces) as workers, pytest.raises(EngineError, match="short of memory"):
        ingested(library, workers)


def test_a_photo_whose_workers_were_killed_is_looked_at_when_the_machine_has_memory_again(
    library: Library, traces: Path
) -> None:
    library.draw("a.png", (1, 0))
    library.draw("killed.png", (deadly.KILL, 0))
    with hired(traces) as workers:
        assert ingested(library, workers) == {"a.png": ["new"], "killed.png": ["faulty"]}
    n_before = n_loaded(traces)
    with hired(traces) as workers:
        assert ingested(library, workers) == {"a.png": ["known"], "killed.png": ["faulty"]}
    assert n_loaded(traces) == n_before + 1  # it is a suspect already
    with library.app() as app:
        assert [one.kind for one in app.pipeline.index(library.photos, ["killed.png"])] == ["new"]
    assert faults_of(library) == {}


def test_a_run_stops_soon_while_a_worker_hangs_and_closing_ends_it(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    library.draw("hang.png", (deadly.SLEEP, 0))
    with hired(traces, 1) as workers, library.app() as app:
        work = Indexer(
            *(app.catalog, workers),
            root=library.photos,
            root_id=app.libraries.root_id(library.photos),
            engine_id=app.engine.id,
            assign=lambda photo_id: 0,
        )
        told = list(work.run(["a.png", "hang.png"], should_stop=lambda: has_analysed(library, "a.png")))
        assert [one.path for one in told] == ["a.png"]
        pids = workers.pids
        workers.close()
        assert not any(map(psutil.pid_exists, pids))
    assert faults_of(library) == {}


def has_analysed(library: Library, name: str) -> bool:
    with library.app() as app:
        file = app.catalog.files.one(app.libraries.root_id(library.photos), name)
    return file is not None and file.photo_id is not None


@pytest.mark.skipif(
    OVERCOMMIT.exists() and OVERCOMMIT.read_text().strip() == "1", reason="memory is never refused here"
)
def test_a_file_that_memory_is_refused_for_is_told_from_a_fault_of_the_program(library: Library, traces: Path) -> None:
    with (library.photos / "vast.jpg").open("wb") as file:
        try:
            file.truncate(1 << 43)
        except OSError:
            pytest.skip("this file system has no files so large")
    with hired(traces, 1, recipe=replace(RECIPE, max_pixels=1 << 43)) as workers:
        assert ingested(library, workers) == {"vast.jpg": ["faulty"]}
    assert faults_of(library) == {"vast.jpg": "not enough memory to analyse it"}
    assert "the next scan tries it again" in advice_of(library)["vast.jpg"]


def test_a_worker_that_is_killed_while_it_waits_costs_nothing(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (2, 0))
    with hired(traces, 1) as workers:
        assert ask(library, workers, "a.png")
        [before] = workers.pids
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: has_ended(before))
        assert ask(library, workers, "b.png")
        [after] = workers.pids
    assert before != after


def test_a_worker_that_is_killed_at_work_costs_that_look(library: Library, traces: Path) -> None:
    library.draw("hang.png", (deadly.SLEEP, 0))
    with hired(traces, 1) as workers:
        path = library.photos / "hang.png"
        future = workers.analyse(LibraryFile(str(library.photos), path.name), Fingerprint.of(path.stat()))
        wait_until(lambda: n_loaded(traces) == 1)
        os.kill(workers.pids[0], signal.SIGKILL)
        with pytest.raises(WorkerLost, match="killed"):
            future.result(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_reach_all_processes_of_a_service_end_no_worker(
    library: Library, traces: Path, number: signal.Signals
) -> None:
    library.draw("a.png", (1, 0))
    with hired(traces, 1) as workers:
        assert ask(library, workers, "a.png")
        [pid] = workers.pids
        os.kill(pid, number)
        assert ask(library, workers, "a.png")
        assert workers.pids == [pid]


def test_one_photo_after_the_other_needs_one_worker(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    with hired(traces, 4) as workers:
        for _ in range(5):
            assert ask(library, workers, "a.png")
        assert len(workers.pids) == n_loaded(traces) == 1


def test_closing_ends_the_processes_whatever_they_are_at_and_the_next_photo_brings_one_back(
    library: Library, traces: Path
) -> None:
    library.draw("a.png", (1, 0))
    library.draw("hang.png", (deadly.SLEEP, 0))
    with hired(traces) as workers:
        assert ask(library, workers, "a.png")
        path = library.photos / "hang.png"
        for _ in range(5):
            workers.analyse(LibraryFile(str(library.photos), path.name), Fingerprint.of(path.stat()))
        wait_until(lambda: n_loaded(traces) == 2)
        pids = workers.pids
        workers.close()
        assert not workers.is_running
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert ask(library, workers, "a.png")
        assert len(workers.pids) == 1


_MAIN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import deadly
from facewatch.indexing.analyzer import NO_ENGINE, LibraryFile, Recipe
from facewatch.indexing.pool import WorkerPool
from facewatch.types import Fingerprint

if __name__ == "__main__":
    photos = Path(sys.argv[2])
    load = deadly.loading(deadly.load, Path(sys.argv[3]))
    workers = WorkerPool(Recipe("fake"), 2, photo_seconds=float(sys.argv[4]), load=load)
    for path in sorted(photos.iterdir()):
        workers.analyse(LibraryFile(str(photos), path.name), Fingerprint.of(path.stat()))
    while len(list(Path(sys.argv[3]).iterdir())) < len(list(photos.iterdir())):
        time.sleep(0.02)
    print(*workers.pids, flush=True)
    if sys.argv[5] == "stay":
        time.sleep(1e6)
"""


@contextmanager
def main_process(library: Library, traces: Path, how: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run another main process whose workers are at work; yields it and their ids."""
    script = traces.parent / "main.py"
    script.write_text(_MAIN)
    arguments = [str(Path(__file__).parent), str(library.photos), str(traces), str(PATIENCE), how]
    process = subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        try:
            yield process, [int(pid) for pid in process.stdout.readline().split()]
        finally:
            process.kill()


def test_workers_end_when_the_main_process_is_killed(library: Library, traces: Path) -> None:
    library.draw("a.png", (1, 0))
    library.draw("hang.png", (deadly.SLEEP, 0))
    with main_process(library, traces, "stay") as (process, pids):
        assert len(pids) == 2
        process.kill()
        wait_until(lambda: not any(map(psutil.pid_exists, pids)))


def test_a_program_that_forgets_to_close_its_workers_ends_all_the_same(library: Library, traces: Path) -> None:
    library.draw("hang.png", (deadly.SLEEP, 0))
    with main_process(library, traces, "leave") as (process, pids):
        assert process.wait(PATIENCE) == 0
        assert not any(map(psutil.pid_exists, pids))


def test_what_only_makes_pictures_gives_way_to_pages(library: Library, traces: Path) -> None:
    photo = library.draw("anna.png", (0, 0))
    with hired(traces, 1, recipe=Recipe(NO_ENGINE)) as workers:
        workers.reduced(LibraryFile(str(library.photos), photo.name), [64], None).result(PATIENCE)
        [pid] = workers.pids
        assert psutil.Process(pid).nice() == min(19, os.nice(0) + PICTURES_NICENESS)


def test_why_no_worker_can_be_made_is_said_whatever_it_is(library: Library, traces: Path) -> None:
    def fail() -> Process:
        raise ValueError("embedded null byte")

    library.draw("a.png", (1, 0))
    with hired(traces) as workers:
        workers._make_process = fail  # type: ignore[assignment]
        with pytest.raises(ValueError, match="null byte"):
            ask(library, workers, "a.png")
