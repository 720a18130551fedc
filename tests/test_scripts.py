"""Each part of scripts/bench, calibrate and torture runs with the smallest numbers, and says every figure it promises.

How large a figure is counts only where the right one does not depend on the machine, which tests keep busy.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path

import bench
import bench_against
import bench_page
import calibrate
import measure_copies
import measure_decoders
import measure_runtimes
import measure_twice
import pillow_heif
import pytest
import spoiled
import spoiled_covers
import torture
from bench_kit import Bench, Finding, Household, Size, as_markdown
from bench_memory import BIG_PHOTO
from bench_older import hand_over, this_program
from bench_peer import PEER
from browsers import require_chromium
from click import Command
from click.testing import CliRunner
from PIL import Image

from facewatch.catalog import Catalog
from facewatch.engines import yunet

N_FIGURES = {
    **{"assign": 5, "rename": 5, "rescan": 5, "decisions": 11, "folders": 8, "search": 19, "grouping": 10},
    **{"million": 7, "publish": 13, "scale": 12, "archive": 7},
    "page": 27,
    **{"stages": 6 + yunet.is_installed(), "advanced": 14, "angles": 44, "memory": 5, "peer": 24, "ray": 6},
}


N_COMPARISONS = {
    "commands": 3,
    "rename": 2,
    "one": 3,
    "scan": 12,
    "accuracy": 12 if bench_against.has_openvino() else 9,
    "faceless": 2,
    "recogniser": 6 if bench_against.has_openvino() else 3,
    "grouping": 6,
    "memory": 2,
}


TWICE = "lfw/George_W_Bush/"
"""Somebody on many photos."""


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parts ask for themselves, so that they change nothing."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture
def photos(shared: Path, tmp_path: Path) -> Path:
    """Five labelled photos, one person on two of them, and models beside them."""
    source, target = shared / "photos", tmp_path / "shared" / "photos"
    with (source / "labels.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["person"]]
    paths = sorted({row["path"] for row in rows})
    chosen = [path for path in paths if path.startswith("album/")][:2]
    strangers = {path.rpartition("/")[0]: path for path in paths if path.startswith("lfw/")}
    chosen += [path for path in paths if path.startswith(TWICE)][:2] + [*strangers.values()][:1]
    for path in chosen:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
    with (target / "labels.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, rows[0])
        writer.writeheader()
        writer.writerows(row for row in rows if row["path"] in chosen)
    (target / "odd" / BIG_PHOTO).parent.mkdir(parents=True)
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), "teal")).save(target / "odd" / BIG_PHOTO)
    (target.parent / "models").symlink_to(shared / "models")
    return target


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A folder with face-grouper's environment, or what looks like it from outside."""
    folder = tmp_path / "cache" / PEER.replace("==", "-")
    modules, programs = folder / "modules", folder / "bin"
    for made in (modules, programs):
        made.mkdir(parents=True)
    (folder / "packages.txt").write_text(f"{PEER}\n")
    (modules / "face_recognition.py").write_text(
        "load_image_file = str\ndef face_locations(image):\n    return [(0, 20, 20, 0)]\n"
    )
    for name, script in {
        "python": f'PYTHONPATH="{modules}" exec "{sys.executable}" "$@"',
        "fgroup": '[ "$1" = group ] && [ -d "$2" ] && [ "$3" = -o ] && mkdir "$4"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    return folder.parent


def check(part: str, findings: list[Finding]) -> None:
    names = [finding.what for finding in findings]
    assert len(names) == N_FIGURES[part]
    assert all(math.isfinite(finding.value) for finding in findings), findings
    assert all(finding.value == 0 for finding in findings if finding.at_most == 0), findings


@pytest.mark.parametrize("part", [name for name in bench.PARTS if name not in bench.PARTS_WITH_PHOTOS])
def test_a_part_of_bench_that_needs_no_photos_says_every_figure(tmp_path: Path, part: str) -> None:
    if part in bench.PARTS_WITH_BROWSER:
        require_chromium()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    check(part, bench.PARTS[part](Bench(scratch, tmp_path, tmp_path, Size.TINY)))


@pytest.mark.slow
@pytest.mark.parametrize("part", sorted(bench.PARTS.keys() & bench.PARTS_WITH_PHOTOS))
def test_a_part_of_bench_that_needs_photos_says_every_figure(
    tmp_path: Path, photos: Path, peer: Path, part: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    check(part, bench.PARTS[part](Bench(scratch, photos, peer, Size.TINY)))


def test_the_large_library_of_the_page_is_whole(tmp_path: Path) -> None:
    house = bench_page.make_library(tmp_path / "home", n_faces=300, n_people=12)
    with bench_page.open_library(house) as app:
        counts, people = app.catalog.faces.counts(), app.catalog.people.all()
        assert (counts["faces"], counts["assigned"], len(people)) == (300, 240, 12)
        assert app.catalog.people.names() == {1: "Anna Adler", 2: "Ben Adler"}
        assert max(people, key=lambda one: one.n_faces).name == "Anna Adler"
        assert app.folder.outdated() == set()
        assert {question.kind for question in app.review().questions()} >= {"is", "who"}
    scanned = house.scan()
    assert (scanned["n_new"], scanned["n_known"], scanned["n_faulty"]) == (0, 0, 0)


def test_no_part_of_bench_is_left_out_here() -> None:
    assert bench.PARTS.keys() == N_FIGURES.keys()


def test_bench_prints_a_table_and_writes_its_numbers_with_what_they_depend_on(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    arguments = ["--tiny", "--only", "assign", "--photos", str(tmp_path), "--output", str(output)]
    shown = CliRunner().invoke(bench.main, arguments)
    assert shown.exit_code in (0, 1), shown.output
    assert "one new face, 200 faces of 4 people" in shown.output
    written = json.loads(output.read_text())
    assert written["size"] == "tiny"
    assert written["machine"]["engine"]
    assert len(written["findings"]) == N_FIGURES["assign"]


def race(part: str, scratch: Path, photos: Path) -> list[bench_against.Comparison]:
    """Run a part of --against, this program in both places."""
    scratch.mkdir()
    now = this_program()
    then = dataclasses.replace(now, name="then")
    return list(bench_against.RACES[part](bench_against.Race(Bench(scratch, photos, photos, Size.TINY), then, now)))


@pytest.mark.parametrize("part", sorted(bench_against.RACES.keys() - bench.PARTS_WITH_PHOTOS))
def test_a_part_that_needs_no_photos_is_measured_against_an_older_program(tmp_path: Path, part: str) -> None:
    check_race(part, race(part, tmp_path / "scratch", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("part", sorted(bench_against.RACES.keys() & bench.PARTS_WITH_PHOTOS))
def test_a_part_that_needs_photos_is_measured_against_an_older_program(tmp_path: Path, photos: Path, part: str) -> None:
    check_race(part, race(part, tmp_path / "scratch", photos))


def check_race(part: str, comparisons: list[bench_against.Comparison]) -> None:
    assert len({comparison.what for comparison in comparisons}) == N_COMPARISONS[part]
    assert all(math.isfinite(value) for one in comparisons for value in (one.old, one.new, one.ratio)), comparisons


def test_every_part_of_the_comparison_is_tried_here() -> None:
    assert bench_against.RACES.keys() == N_COMPARISONS.keys()


def test_a_comparison_says_what_is_wanted_and_whether_that_is_reached() -> None:
    comparisons = [
        bench_against.Comparison("whole scan", 30, 15.5, "s", times=1.9),
        bench_against.Comparison("audit", 14, 4.5, "s", at_most=4),
        bench_against.Comparison("faces found", 569, 570, "faces", times=1, is_less_better=False),
        bench_against.Comparison("processor time", 3, 2, "s"),
    ]
    assert bench_against.races_as_markdown(comparisons).splitlines() == [
        "| work | before | now | times as good | wanted | reached |",
        "| --- | --- | --- | --- | --- | --- |",
        "| whole scan | 30 s | 15.5 s | 1.94 | >= 1.9 times | yes |",
        "| audit | 14 s | 4.5 s | 3.11 | <= 4 s | no |",
        "| faces found | 569 faces | 570 faces | 1.00 | >= 1 times | yes |",
        "| processor time | 3 s | 2 s | 1.50 |  |  |",
    ]


@pytest.mark.parametrize("words", [["--against", "no-such-revision", "--only", "rename"], ["--only", "nothing"]])
def test_a_revision_or_part_that_is_not_there_is_said(tmp_path: Path, words: list[str]) -> None:
    refused = CliRunner().invoke(bench.main, [*words, "--cache", str(tmp_path)])
    assert refused.exit_code == 2
    assert words[1] in refused.output


def test_an_older_program_gets_the_library_without_what_it_does_not_know(tmp_path: Path) -> None:
    new = bench_page.make_library(tmp_path / "new", n_faces=60, n_people=4, is_linked=False)
    old = Household(tmp_path / "old")
    hand_over(new.catalog, old)
    with Catalog(new.catalog) as its, Catalog(old.catalog) as given:
        assert given.faces.counts() == its.faces.counts()
        assert given.people.names() == its.people.names()
    assert any(path.is_symlink() for path in old.people.rglob("*"))


def test_bench_prints_the_table_of_readme() -> None:
    findings = [
        Finding("one", 0.633, "ms", at_most=20, row="new faces"),
        Finding("only informs", 7, "s"),
        Finding("two", 1.12, "times", at_most=2, row="new faces"),
        Finding("three", 569, "faces", at_least=569, row="found"),
        Finding("four", 12_345, "faces", row="found"),
    ]
    assert as_markdown(findings).splitlines() == [
        "| what | measured | limit |",
        "|---|---|---|",
        "| new faces | 0.633 ms, 1.12 times | <= 20 ms, <= 2 times |",
        "| found | 569, 12,345 faces | >= 569 faces |",
    ]


@pytest.mark.parametrize("part", torture.PARTS)
def test_a_part_of_torture_counts_and_loses_nothing(request: pytest.FixtureRequest, tmp_path: Path, part: str) -> None:
    if part == "fuzz":
        request.getfixturevalue("shared")
    base, corpus = tmp_path / "base", tmp_path / "corpus"
    base.mkdir()
    corpus.mkdir()
    Image.linear_gradient("L").save(corpus / "whole.png")
    found = torture.PARTS[part](torture.Torture(base, torture.Size.TINY, seed=0, corpus=corpus))
    assert found.faults == []
    assert found.facts


@pytest.mark.slow
def test_calibrate_says_what_thresholds_would_be_and_what_they_would_do(shared: Path, tmp_path: Path) -> None:
    people = [folder for folder in sorted((shared / "photos" / "lfw").iterdir()) if len([*folder.iterdir()]) > 2]
    for folder in people[:3]:
        (tmp_path / "Labelled" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:3]:
            shutil.copy(photo, tmp_path / "Labelled" / folder.name)
    arguments = ["--far", "0.5", "--keep", str(tmp_path / "found.npz")]
    said = CliRunner().invoke(calibrate.main, [str(tmp_path / "Labelled"), *arguments])
    assert said.exit_code == 0, said.output
    for figure in ("faces in gallery", "match, centroid, margin", "BCubed P", "THRESHOLDS = Thresholds("):
        assert figure in said.output
    assert (tmp_path / "found.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "figures"),
    [
        (measure_copies.main, ("quality 95, 1/1 size: ", "quality 90, 1/2 size: ", "pairs of photos of one person")),
        (measure_twice.main, ("2 people with 11 faces", "4 photos and 1 collages: gap ", "strangers: gaps ")),
    ],
)
def test_a_measurement_of_faces_that_are_there_twice_says_every_figure(
    shared: Path, tmp_path: Path, measure: Command, figures: tuple[str, ...]
) -> None:
    people = [folder for folder in sorted((shared / "photos" / "lfw").iterdir()) if len([*folder.iterdir()]) >= 11]
    for folder in people[:2]:
        shutil.copytree(folder, tmp_path / "Labelled" / folder.name)
    arguments = [str(tmp_path / "Labelled"), "--keep", str(tmp_path / "found.npz")]
    said = CliRunner().invoke(measure, arguments)
    assert said.exit_code == 0, said.output
    assert all(figure in said.output for figure in figures), said.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "rows"), [("light", spoiled.LIGHTS), ("poor", spoiled.POOR), ("covers", spoiled_covers.COVERS)]
)
def test_spoiled_says_what_each_way_does_to_faces(shared: Path, table: str, rows: dict[str, object]) -> None:
    said = CliRunner().invoke(spoiled.main, [table, str(shared / "photos"), "--only", "lfw/", "--people", "2"])
    assert said.exit_code == 0, said.output
    assert all(row in said.output for row in rows)


@pytest.mark.slow
def test_other_ways_to_run_a_recogniser_are_compared(shared: Path, tmp_path: Path) -> None:
    people = [folder for folder in sorted((shared / "photos" / "lfw").iterdir()) if len([*folder.iterdir()]) >= 11]
    for folder in people[:2]:
        shutil.copytree(folder, tmp_path / "lfw" / folder.name)
    pack, file = str(shared / "models/buffalo_sc_dq"), str(tmp_path / "crops.npz")
    arguments = [pack, "--crops", file, "--photos", str(tmp_path), "--most", "10"]
    said = CliRunner().invoke(measure_runtimes.main, arguments)
    assert said.exit_code == 0, said.output
    assert all(f"| {row} |" in said.output for row in ("32 bits", "32 bits, PReLU rewritten", "8 bits"))


@pytest.mark.slow
def test_decoders_are_compared_by_time_and_by_what_they_read(shared: Path) -> None:
    said = CliRunner().invoke(measure_decoders.main, [str(shared / "photos/album/selfies/001_A.jpg")])
    assert said.exit_code == 0, said.output
    assert all(f"| OpenCV | {megapixels} |" in said.output for megapixels in (12, 48))
