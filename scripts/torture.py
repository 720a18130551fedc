"""Break facewatch on purpose, and count what it loses.

    scripts/torture              everything, about ten minutes on two cores
    scripts/torture --short      the same with smaller numbers
    scripts/torture --tiny       with so small ones that nothing is shown but that all of it runs; no time counts
    scripts/torture --only kills --only faults --seed 7
    scripts/torture --only corpus --corpus FOLDER      test files of decoders, against djpeg, vips and convert

Every part is a module of its own beside this one. Photos are drawn or copied, and all happens in a temporary folder.

Exit codes: 0 nothing was lost and every limit is met, 1 something was, 2 command line.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

# Python -P leaves out even the script's own folder, where the parts are; the drawn library is that of the tests.
sys.path.extend(str(Path(__file__).resolve().parents[1] / name) for name in ("scripts", "tests"))

from bench_kit import Size
from torture_burst import drop_in, stand_by
from torture_corpus import OTHERS, compare
from torture_fuzz import fuzz
from torture_hours import live
from torture_kills import Result, fault_trials, kill_trials

SHARED = Path(__file__).resolve().parents[2] / "shared" / "photos" / "odd"

console = Console(stderr=True, markup=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one part came to."""

    facts: str
    faults: list[str]
    """What was lost or missed a limit; none: all is well."""


@dataclass(frozen=True, slots=True)
class Torture:
    """What a part may use."""

    base: Path
    """An empty folder of its own."""
    size: Size
    seed: int
    corpus: Path | None = None
    """Files that other programs are tested with."""

    @property
    def is_timed(self) -> bool:
        return self.size is not Size.TINY

    def many(self, full: int, short: int, tiny: int) -> int:
        return self.size.many(full, short, tiny)


def _kills(torture: Torture) -> Finding:
    done = kill_trials(torture.base, torture.many(200, 60, 1), torture.seed, console.print)
    return _tried(done, "kills")


def _faults(torture: Torture) -> Finding:
    done = fault_trials(torture.base, torture.many(50, 20, 1), torture.seed, console.print)
    return _tried(done, "full disks and I/O errors")


def _tried(done: Result, what: str) -> Finding:
    return Finding(
        f"{done.n} {what}: {done.n_lost_decisions} decisions lost, {done.n_wrong_removals} wrong removals, "
        f"{done.n_repairs} repairs by hand",
        done.faults,
    )


def _fuzzed(torture: Torture) -> Finding:
    if not SHARED.is_dir():
        return Finding("", [f"{SHARED}: not there; its files are what is mutated"])
    done = fuzz(torture.many(10_000, 800, 8), torture.seed, SHARED)
    faults = [*(f"crash: {one}" for one in done.crashes), *(f"hang: {one}" for one in done.hangs)]
    return Finding(
        f"{done.n} fuzzed files: {len(done.decoded)} decoded, {len(done.faults)} kinds of faults told, "
        f"{len(done.crashes)} crashes, {len(done.hangs)} hangs, {len(done.unclear)} without a reason",
        faults + [f"no reason: {one}" for one in done.unclear],
    )


def _corpus(torture: Torture) -> Finding:
    if torture.corpus is None:
        return Finding("", ["which files? --corpus FOLDER"])
    done = compare(torture.corpus, OTHERS)
    analysed = done.analysed
    return Finding(
        f"{analysed.n} files: {len(analysed.decoded)} decoded, {len(analysed.refused)} refused, "
        f"{len(analysed.crashes)} crashes, {len(analysed.hangs)} hangs; "
        f"{len(done.wanted)} refused that others decode without a warning, {len(done.different)} that look otherwise",
        [
            *(f"crash: {one}" for one in analysed.crashes),
            *(f"hang: {one}" for one in analysed.hangs),
            *(f"refused: {one}" for one in done.wanted),
            *(f"otherwise: {one}" for one in done.different),
        ],
    )


def _burst(torture: Torture) -> Finding:
    done = drop_in(torture.base, torture.many(20_000, 3_000, 200), is_timed=torture.is_timed)
    return Finding(
        f"{done.n_photos} photos at once: {done.n_in_catalog} in the catalog, {done.n_links} links after "
        f"{done.seconds:.0f} s, at most {done.peak_mb:.0f} MB; `status` took at most {done.slowest_status:.2f} s of "
        f"{done.n_status} times",
        done.faults,
    )


def _watches(torture: Torture) -> Finding:
    done = stand_by(
        torture.base,
        torture.many(100_000, 100_000, 40),
        torture.many(5_000, 5_000, 4),
        idle_seconds=float(torture.many(120, 30, 1)),
        is_timed=torture.is_timed,
    )
    return Finding(
        f"{done.n_files} files in {done.n_folders} folders: watched and compared after {done.ready_seconds:.1f} s, a "
        f"new photo known after {done.noticed_seconds:.1f} s, idle {done.idle_percent:.2f} % of a core, "
        f"{done.memory_mb:.0f} MB",
        done.faults,
    )


def _hours(torture: Torture) -> Finding:
    done = live(torture.base, hours=48.0, n_actions=torture.many(4_000, 500, 20), seed=torture.seed)
    n_unplugged, n_restarts = done.actions.get("unplug", 0), done.actions.get("restart", 0)
    return Finding(
        f"{done.hours:.0f} simulated hours: {sum(done.actions.values())} actions, {n_unplugged} drives unplugged, "
        f"{n_restarts} restarts, {done.n_decisions} names; {done.n_files} files as a fresh scan has them",
        done.faults,
    )


PARTS: dict[str, Callable[[Torture], Finding]] = {
    "kills": _kills,
    "faults": _faults,
    "fuzz": _fuzzed,
    "corpus": _corpus,
    "hours": _hours,
    "watches": _watches,
    "burst": _burst,
}


@click.command()
@click.option("--short", "size", flag_value=Size.QUICK, help="Smaller numbers.")
@click.option("--tiny", "size", flag_value=Size.TINY, help="As little as possible, to see that all of it runs.")
@click.option("--full", "size", flag_value=Size.FULL, default=True, hidden=True)
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; may be given again.")
@click.option("--corpus", type=click.Path(exists=True, path_type=Path), help="A folder for the part of that name.")
@click.option("--seed", default=0, show_default=True, help="Other kills, other files, other days.")
def main(size: Size, only: tuple[str, ...], corpus: Path | None, seed: int) -> None:
    """Break facewatch on purpose, and count what it loses."""
    # What it logs about its thousand mishaps is as it should be.
    logging.getLogger("facewatch").setLevel(logging.CRITICAL)
    findings = {}
    for name in only or (part for part in PARTS if part != "corpus" or corpus):
        console.print(f"{name} ...")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="facewatch-torture-") as base:
            findings[name] = PARTS[name](Torture(Path(base), Size(size), seed, corpus))
        console.print(f"{name}: {time.monotonic() - started:.0f} s")
    table = Table("part", "counted", "lost or missed")
    for name, finding in findings.items():
        table.add_row(name, finding.facts, "\n".join(finding.faults[: 200 if name == "corpus" else 5]) or "nothing")
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    sys.exit(1 if any(finding.faults for finding in findings.values()) else 0)


if __name__ == "__main__":
    main()
