"""What scripts/torture does for an hour, in a few seconds: nothing is lost, whatever happens to files and drives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torture_corpus import SIDE, compare
from torture_fuzz import fuzz, mutants, seeds_in
from torture_hours import live

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("seed", range(2))
def test_after_a_day_of_changes_the_catalog_is_that_of_a_fresh_scan(tmp_path: Path, seed: int) -> None:
    day = live(tmp_path, hours=24.0, n_actions=80, seed=seed)
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


@pytest.mark.slow
def test_what_others_decode_is_decoded_and_looks_the_same(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((300, 300))
    picture.save(tmp_path / "whole.png")
    picture.save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-50])
    (tmp_path / "a.txt").write_text("no picture")
    shown = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), np.float64)
    same, negative = (compare(tmp_path, {"other": lambda _path, each=each: each}) for each in (shown, 255 - shown))
    assert (same.analysed.n, same.analysed.decoded, same.different) == (2, ["whole.png"], [])
    assert [text.split(":")[0] for text in same.wanted] == ["cut.png"]
    assert negative.different == ["whole.png"]
    nobody = compare(tmp_path, {"other": lambda _path: None})
    assert (nobody.wanted, nobody.different) == ([], [])


def test_the_command_says_what_it_does() -> None:
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "scripts" / "torture.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "--short" in done.stdout
