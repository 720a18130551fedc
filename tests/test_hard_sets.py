"""Hard sets are made by their laws, the same each time, out of photos that stay as they are."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from pathlib import Path

import hard_laws as laws
import hard_sets
import hard_tables
import numpy as np
import pytest
from click.testing import CliRunner
from hard_laws import Labelled
from PIL import Image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Labelled photos of noise, whose faces are red: six of each of seven people."""
    root, rows = tmp_path / "photos", [("path", "person", "x", "y", "w", "h")]
    for person in range(7):
        for number in range(6):
            path = f"lfw/P{person}/P{person}_{number}.jpg"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            red_face((90, 80, 70, 90)).image.save(root / path)
            rows.append((path, f"P{person}", "90", "80", "70", "90"))
    with (root / "labels.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)
    return root


def red_face(box: tuple[int, int, int, int], who: str = "Anna") -> Labelled:
    x, y, w, h = box
    levels = np.full((250, 250, 3), 60, np.uint8)
    levels[y : y + h, x : x + w] = (220, 20, 20)
    return Labelled(Image.fromarray(levels), ((who, box),))


def redness(photo: Labelled, box: laws.Box) -> float:
    x, y, w, h = (round(number) for number in box)
    part = photo.levels()[max(0, y) : y + h, max(0, x) : x + w]
    return float((part[..., 0] > part[..., 1] + 60).mean())


@pytest.mark.parametrize("name", ["mirrored", "turned", "tilted", "scaled", "cut"])
def test_a_box_goes_where_its_face_goes(name: str) -> None:
    photo = red_face((90, 40, 70, 100))
    moved = {
        "mirrored": photo.mirrored(),
        "turned": photo.turned(1),
        "tilted": photo.tilted(8),
        "scaled": photo.scaled(0.5, 1.2),
        "cut": photo.cut(20, 30, 200, 220),
    }[name]
    inside, everywhere = redness(moved, moved.faces[0][1]), redness(moved, (0, 0, *moved.image.size))
    assert inside > 0.85
    area = moved.faces[0][1][2] * moved.faces[0][1][3] / (moved.image.width * moved.image.height)
    assert inside * area > 0.85 * everywhere


def test_four_quarters_are_no_turn() -> None:
    photo = red_face((90, 40, 70, 100))
    assert photo.turned(4).faces == photo.faces
    assert (photo.turned(4).levels() == photo.levels()).all()


def test_photos_side_by_side_keep_their_faces() -> None:
    both = laws.beside([red_face((90, 40, 70, 100)), red_face((10, 20, 60, 80), "Ben").scaled(0.5, 0.5)])
    assert [who for who, _ in both.faces] == ["Anna", "Ben"]
    assert all(redness(both, box) > 0.85 for _, box in both.faces)


@pytest.mark.parametrize("name", sorted(hard_sets.SETS))
def test_a_set_is_made_by_its_law_the_same_each_time(photos: Path, tmp_path: Path, name: str) -> None:
    made = [tmp_path / "one", tmp_path / "two"]
    counts = [hard_sets.make(name, folder, photos, hard_sets.TINY, 3) for folder in made]
    files = [{str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")} for folder in made]
    assert files[0] == files[1]
    assert counts[0] == sum(name.endswith(".jpg") for name in files[0]) > 5
    with (made[0] / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["path"] for row in rows} == {name for name in files[0] if name.endswith(".jpg")}
    assert len({row["person"] for row in rows}) > 1


def test_every_set_says_what_it_is_in_the_help() -> None:
    shown = CliRunner().invoke(hard_sets.main, ["--help"])
    assert shown.exit_code == 0
    assert [name for name in hard_sets.SETS if name not in shown.output] == []


def test_some_people_are_twice_in_a_photo_of_collages(photos: Path, tmp_path: Path) -> None:
    hard_sets.make("collages", tmp_path / "made", photos, hard_sets.TINY, 0)
    with (tmp_path / "made" / "labels.csv").open(newline="") as lines:
        labels = [(row["path"], row["person"]) for row in csv.DictReader(lines)]
    twice = {path for path, _ in labels if "collage" in path}
    assert twice
    assert all(len({person for path, person in labels if path == one}) == 1 for one in twice)
    assert all(labels.count(label) == (2 if label[0] in twice else 1) for label in labels)


def test_a_tenth_of_strangers_is_people_who_come_again(photos: Path, tmp_path: Path) -> None:
    size = hard_sets.Size(people=6, most=3, strangers=18)
    hard_sets.make("strangers", tmp_path / "made", photos, size, 0)
    with (tmp_path / "made" / "labels.csv").open(newline="") as lines:
        counts = Counter(row["person"] for row in csv.DictReader(lines))
    assert sorted(counts.values()) == [1] * 6 + [2]


def test_what_was_made_stays_until_it_should_be_another(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    hard_sets.make("plain", folder, photos, hard_sets.TINY, 0)
    first = {file: file.stat().st_mtime_ns for file in folder.rglob("*.jpg")}
    hard_sets.make("plain", folder, photos, hard_sets.TINY, 0)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.jpg")} == first
    hard_sets.make("plain", folder, photos, hard_sets.TINY, 1)
    assert set(folder.rglob("*.jpg")) != first.keys()


def test_a_folder_of_something_else_is_not_written_over(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "mine.txt").write_text("mine")
    shown = CliRunner().invoke(hard_sets.main, [str(tmp_path), "--photos", str(photos), "--only", "plain"])
    assert shown.exit_code == 1
    assert "holds something else; name another folder" in shown.output
    assert (tmp_path / "plain" / "mine.txt").read_text() == "mine"


GROUPINGS = [
    {
        "way": way,
        "method": "whispers",
        "bcubed": {"precision": 1.0, "recall": 0.75, "f": 0.8571},
        "folders_per_person": 1.25,
    }
    for way in ("clustering", "all at once", "streaming")
]
FACTS = {
    "engine": {"name": "insightface:/models/pack"},
    "detection": {"n_labelled": 8, "n_found": 7},
    "groupings": GROUPINGS,
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A facewatch that says FACTS, unless what is kept is another's, and writes down how it was called."""
    file = tmp_path / "facewatch"
    file.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\n"
        "kept = pathlib.Path(sys.argv[sys.argv.index('--keep') + 1])\n"
        "if kept.exists() and kept.read_text() != 'mine': sys.exit('x.npz: kept by another engine')\n"
        "kept.write_text('mine')\n"
        f"print({json.dumps(json.dumps(FACTS))})\n"
    )
    file.chmod(0o755)
    return file


def test_one_command_makes_the_sets_and_prints_their_table(photos: Path, tmp_path: Path, program: Path) -> None:
    output = tmp_path / "found.json"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "film-face_recognition.npz").write_text("another's")
    arguments = ["--photos", str(photos), "--tiny", "--table", "--program", str(program), "--engine"]
    arguments += ["face_recognition", "--kept", str(tmp_path / "kept"), "--json", str(output)]
    shown = CliRunner().invoke(hard_sets.main, [str(tmp_path / "sets"), "--only", "film", *arguments])
    assert shown.exit_code == 0, shown.output
    assert "| film | 87.5 % | 1 / .750 / .857 |  | 1 / .750 / .857 | 1.25 |" in shown.output
    assert "| insightface:pack | faces found |" in shown.output
    assert json.loads(output.read_text()) == {"insightface:/models/pack": {"film": FACTS}}


def test_what_was_measured_before_a_fault_is_written(photos: Path, tmp_path: Path, program: Path) -> None:
    (tmp_path / "broken").write_text(
        program.read_text().replace("kept.write_text", "'film' in kept.name and sys.exit('no')\nkept.write_text")
    )
    (tmp_path / "broken").chmod(0o755)
    output = tmp_path / "found.json"
    arguments = ["--photos", str(photos), "--tiny", "--table", "--only", "plain", "--only", "film", "--engine", "x"]
    more = ["--program", str(tmp_path / "broken"), "--json", str(output), "--batches", "3"]
    shown = CliRunner().invoke(hard_sets.main, [str(tmp_path / "sets"), *arguments, *more])
    assert shown.exit_code == 1
    assert "film --engine x --batches=3: no" in shown.output
    assert json.loads(output.read_text()) == {"insightface:/models/pack": {"plain": FACTS}}


def test_figures_from_before_stand_beside_those_that_changed() -> None:
    both = [
        {**one, "is_normalised": is_normalised, "bcubed": {"precision": 1.0, "recall": recall, "f": 0.9}}
        for is_normalised, recall in ((True, 0.9), (False, 0.8))
        for one in GROUPINGS
    ]
    now = {**FACTS, "detection": {"n_labelled": 8, "n_found": 8}, "groupings": both}
    # The pack may lie elsewhere.
    table = hard_tables.as_markdown({"insightface:/a/pack": {"film": now}}, {"insightface:/b/pack": {"film": FACTS}})
    assert (
        "| film | 87.5 % → 100.0 % | 1 / .750 / .857 → 1 / .900 / .900 | 1 / .800 / .900 "
        "| 1 / .750 / .857 → 1 / .900 / .900 | 1.25 |"
    ) in table


def test_answers_of_a_simulated_user_have_a_table_of_their_own() -> None:
    user = {
        "method": "whispers",
        "n_namings": 31,
        "after": {"precision": 1.0, "recall": 0.98},
        "largest_complete": {"n_people": 20, "n_complete": 20, "n_answers": 12, "n_given": 50},
    }
    late = {**user, "largest_complete": {"n_people": 20, "n_complete": 18, "n_answers": None, "n_given": 300}}
    table = hard_tables.as_markdown(
        {"x": {"film": {**FACTS, "simulations": [user]}}}, {"x": {"film": {**FACTS, "simulations": [late]}}}
    )
    assert "| film | over 300 → 12 | 18 of 20 → 20 of 20 | 31 | 1 | .980 |" in table


def test_a_facewatch_that_fails_is_quoted(tmp_path: Path, photos: Path) -> None:
    program = tmp_path / "facewatch"
    program.write_text("#!/bin/sh\necho 'facewatch: no such engine' >&2\nexit 1\n")
    program.chmod(0o755)
    arguments = ["--photos", str(photos), "--tiny", "--only", "plain", "--table", "--program", str(program)]
    shown = CliRunner().invoke(hard_sets.main, [str(tmp_path / "sets"), *arguments])
    assert shown.exit_code == 1
    assert "facewatch: no such engine" in shown.output
