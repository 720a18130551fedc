"""What scripts/torture does for an hour, in a few seconds: nothing is lost, whatever happens to files and drives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torture_fuzz import fuzz, mutants, seeds_in
from torture_hours import live

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("seed", range(3))
def test_after_a_day_of_changes_the_catalog_is_that_of_a_fresh_scan(tmp_path: Path, seed: int) -> None:
    day = live(tmp_path, hours=24.0, n_actions=120, seed=seed)
    assert day.faults == []
    assert day.hours >= 24
    assert {"add", "move", "edit", "remove", "unplug"} <= day.actions.keys()


def test_the_same_seed_makes_the_same_broken_files(shared: Path) -> None:
    seeds = seeds_in(shared / "photos" / "odd")
    assert len(seeds) > 50
    first, again, other = (dict(mutants(seeds, 20, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.slow
def test_broken_files_are_told_with_a_reason_and_crash_nothing(shared: Path) -> None:
    found = fuzz(60, 7, shared / "photos" / "odd", 60.0)
    assert found.n == 60
    assert (found.crashes, found.hangs, found.unclear) == ([], [], [])


def test_the_command_says_what_it_does() -> None:
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "scripts" / "torture.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "--short" in done.stdout
