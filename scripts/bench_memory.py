"""The part "memory" of scripts/bench.py: what scans and a watcher hold."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
from bench_kit import MB, Bench, Finding, Household, Size, copy_file, failure, photos_below

BIG_PHOTO = "huge/200MP.heic"
"""Left out where the limit on memory is measured: one photo of 200 megapixels needs 600 MB as RGB alone."""


def measure_memory(bench: Bench) -> list[Finding]:
    """Peak memory of a scan with two workers, all processes together, and of a watcher that has nothing to do.

    The scan is measured with both engines, the rest with the standard one. Shared pages count once (PSS) where the
    kernel tells, else once a process. The photos are album/ and odd/ without one of 200 megapixels; what that one adds
    is shown apart.
    """
    chosen = [path for path in photos_below(bench.photos, "album", "odd") if not path.endswith(BIG_PHOTO)]
    standard = Household(bench.scratch / "memory", {"engine": {"workers": 2}})
    engine: dict[str, float | str] = {"workers": 2, "name": bench.engine, "runtime": "onnxruntime"}
    advanced = Household(bench.scratch / "memory-advanced", {"engine": engine})
    peak, peak_advanced = (peak_of_scan(bench, house, chosen) for house in (standard, advanced))
    peak_big = peak_of_scan(bench, standard, [f"odd/{BIG_PHOTO}"])
    what = f"scan of {len(chosen)} files, two workers"
    row = "peak memory of a scan with two workers, standard and advanced"
    return [
        Finding(what, peak, "MB", at_most=1_200, row=row),
        Finding(f"{what}, advanced", peak_advanced, "MB", at_most=1_200, row=row),
        Finding(f"scan of {BIG_PHOTO}", peak_big, "MB"),
        *measure_watcher(bench),
    ]


def peak_of_scan(bench: Bench, house: Household, photos: Sequence[str]) -> float:
    """Bring these photos into the library; returns the most megabytes that the scan which finds them held."""
    for path in photos:
        copy_file(bench.photos / path, house.photos / path)
    bench.say(f"memory: scan of {len(photos)} file(s) in {house.home.name}")
    return peak_of(house, "scan", "-q", str(house.photos))


def peak_of(house: Household, name: str, *arguments: str) -> float:
    """Return the most megabytes that a command and its children held together, measured every 50 ms."""
    process = house.start(name, *arguments)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(pss_of(each) for each in family_of(process.pid)) / MB)
        time.sleep(0.05)
    if process.returncode:
        raise failure(house.command(name, *arguments), process.returncode, house.complaints.read_bytes())
    return peak


def family_of(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss_of(process: psutil.Process) -> int:
    """Return the bytes a process holds, its share of shared pages only; all of them where that is not known."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return rss_of(process)


def rss_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def measure_watcher(bench: Bench) -> list[Finding]:
    """What a watcher of album/ holds and does once it has scanned, grouped, and let its workers go."""
    bench.say("memory: watcher")
    house = Household(
        bench.scratch / "watcher", {"engine": {"workers": 2}, "watch": {"idle_seconds": bench.many(3, 3, 1)}}
    )
    for path in photos_below(bench.photos, "album"):
        copy_file(bench.photos / path, house.photos / path)
    with running(house, "watch", "-q", str(house.photos)) as process:
        wait_until(lambda: bool(workers_of(process)), "the watcher to start its workers", seconds=60)
        wait_until(lambda: not workers_of(process), "the watcher to let its workers go", seconds=600)
        time.sleep(0.5 if bench.size is Size.TINY else 5)
        assert not workers_of(process), "the workers came back"
        seen = psutil.Process(process.pid)
        before = seen.cpu_times()
        started = time.monotonic()
        time.sleep(0.5 if bench.size is Size.TINY else 10)
        seconds, after = time.monotonic() - started, seen.cpu_times()
        held = sum(rss_of(each) for each in family_of(process.pid)) / MB
    busy = 100 * (after.user + after.system - before.user - before.system) / seconds
    return [
        Finding("idle watcher", held, "MB", at_most=300, row="the watcher when its models are unloaded"),
        Finding("idle watcher, of one core", busy, "%"),
    ]


@contextmanager
def running(house: Household, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the block and end it behind it as its user would; fails when it ended by itself."""
    process = house.start(name, *arguments)
    try:
        yield process
        if process.poll() is not None:
            raise failure(house.command(name, *arguments), process.returncode, house.complaints.read_bytes())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that analyse photos: those that Python's multiprocessing spawned."""
    workers = []
    for child in family_of(process.pid)[1:]:
        try:
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return workers


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Return as soon as it is so.

    Raises:
        ClickException: it took too long.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise click.ClickException(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)
