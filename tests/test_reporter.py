"""What a watcher reports of its work: the pace of a burst, and what still waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewatch.heartbeat import Activity, Backlog, Doing, HeartbeatFile, WatchedLibraries, heartbeat_file_of
from facewatch.watcher.reporter import PACE_SECONDS, Pace, ProgressReporter, memory_mb


class Clock:
    """Seconds that somebody else lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- the pace ---


def test_the_pace_is_that_of_the_last_minute() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.photos_per_second == 0
    for _ in range(300):
        clock.now += 1.0
        pace.count(4)
    assert pace.photos_per_second == pytest.approx(4, rel=0.05)
    for _ in range(PACE_SECONDS):
        clock.now += 1.0
        pace.count(1)
    assert pace.photos_per_second == pytest.approx(1, rel=0.1)
    clock.now += PACE_SECONDS + 1
    assert pace.photos_per_second == 0
    assert pace.eta_seconds(10) is None


def test_a_burst_is_measured_from_its_begin() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now += 10_000
    pace.begin()
    for _ in range(20):
        clock.now += 0.5
        pace.count()
    assert pace.photos_per_second == pytest.approx(2)
    assert pace.eta_seconds(100) == pytest.approx(50)
    assert pace.eta_seconds(0) is None


def test_a_first_photo_in_no_time_is_no_thousand_a_second() -> None:
    pace = Pace(Clock())
    pace.count()
    assert pace.photos_per_second == 1


@given(steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 1000)), max_size=300))
def test_a_pace_takes_the_same_memory_however_long_it_runs(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(clock)
    for seconds, n in steps:
        clock.now += seconds
        pace.count(n)
        assert len(pace._counts) <= PACE_SECONDS + 1
        assert pace.photos_per_second >= 0


def test_without_child_processes_the_memory_is_that_of_this_one() -> None:
    code = """
import sys
from facewatch.watcher.reporter import memory_mb
said = memory_mb()
import psutil
print(said, psutil.Process().memory_info().rss / 1e6)
"""
    out = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True).stdout
    said, rss = map(float, out.split())
    assert rss / 2 < said <= 1.01 * rss


def test_the_memory_of_child_processes_counts() -> None:
    alone = psutil.Process().memory_info().rss / 1e6
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(b'x' * 80_000_000); print(len(b), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert memory_mb() > alone + 75
        child.communicate(b"\n")


# --- the reporter ---


class Reported:
    """A reporter of one library, and what it has said."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.n_waiting = 0
        self.reporter = ProgressReporter(folder / "c.sqlite", self._state, clock=self.clock)
        self._file = HeartbeatFile(heartbeat_file_of(folder / "c.sqlite"))

    def _state(self) -> tuple[Backlog, WatchedLibraries]:
        return Backlog(n_waiting=self.n_waiting), WatchedLibraries()

    def photos(self, n: int, seconds: float) -> None:
        """So many are analysed, each in so many seconds."""
        for _ in range(n):
            self.clock.now += seconds
            self.reporter.count_photo()
            self.reporter.report(Doing(Activity.INDEXING))

    def backlog(self) -> Backlog:
        heartbeat = self._file.read()
        assert heartbeat is not None
        return heartbeat.backlog


@pytest.fixture
def reported(tmp_path: Path) -> Reported:
    return Reported(tmp_path)


@pytest.mark.parametrize("rest", [Doing(Activity.PAUSED), Doing(Activity.OUTSIDE_HOURS, "22:00")])
@pytest.mark.parametrize("has_batches", [True, False])
def test_the_time_of_a_pause_says_nothing_about_the_pace(reported: Reported, rest: Doing, has_batches: bool) -> None:
    reported.n_waiting = 100
    reported.photos(10, 1.0)
    reported.reporter.report(rest)
    reported.clock.now += 50.0
    if has_batches:
        reported.reporter.begin_batch(10)
    reported.photos(11, 0.5)
    assert reported.backlog().photos_per_second == pytest.approx(2, rel=0.1)
    assert reported.backlog().eta_seconds == pytest.approx(50, rel=0.1)


def test_the_time_between_two_bursts_says_nothing_about_the_pace(reported: Reported) -> None:
    reported.photos(5, 1.0)
    reported.reporter.end_burst()
    reported.reporter.report(Doing(Activity.IDLE))
    assert (reported.backlog().n_done, reported.backlog().photos_per_second) == (0, 0)
    for _ in range(100):
        reported.clock.now += 1.0
        reported.reporter.end_burst()
        reported.reporter.report(Doing(Activity.IDLE))
    reported.n_waiting = 8
    reported.reporter.begin_batch(21)
    reported.photos(21, 0.25)
    assert reported.backlog().photos_per_second == pytest.approx(4)
    assert reported.backlog().eta_seconds == pytest.approx(2)


def test_grouping_within_a_burst_belongs_to_its_pace(reported: Reported) -> None:
    reported.reporter.begin_batch(10)
    reported.photos(10, 1.0)
    reported.reporter.report(Doing(Activity.GROUPING))
    reported.clock.now += 10.0
    reported.reporter.begin_batch(1)
    reported.photos(1, 0.0)
    assert reported.backlog().photos_per_second == pytest.approx(11 / 20, abs=0.01)


def test_files_of_the_batch_in_work_still_wait(reported: Reported) -> None:
    reported.n_waiting = 7
    reported.reporter.begin_batch(51)
    reported.photos(1, 2.0)
    assert reported.backlog().n_waiting == 7 + 50
    reported.photos(20, 2.0)
    assert reported.backlog().n_waiting == 7 + 30
    reported.photos(40, 2.0)
    assert reported.backlog().n_waiting == 7


@pytest.mark.parametrize(
    "doing", [Doing(Activity.IDLE), Doing(Activity.PAUSED), Doing(Activity.FAILING, "the disk is full")]
)
def test_a_batch_that_was_broken_off_waits_no_more(reported: Reported, doing: Doing) -> None:
    reported.reporter.begin_batch(51)
    reported.photos(1, 2.0)
    reported.reporter.report(doing)
    assert reported.backlog().n_waiting == 0
    reported.reporter.report(Doing(Activity.INDEXING))
    assert reported.backlog().n_waiting == 0
