"""Evaluation: measures against slow references, labels good and bad, ways of working, the page, the calibration."""

from __future__ import annotations

import csv
import dataclasses
import errno
import importlib.util
import json
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from crowds import LIMITS, members
from drawn import Library
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import normalized_mutual_info_score

from facewatch.app import App
from facewatch.cli import main
from facewatch.cli.evaluate import engine_and_origin
from facewatch.config import load_config
from facewatch.engines import fake
from facewatch.errors import EngineError, FacewatchError, LibraryError
from facewatch.evaluation import calibration, metrics, report, run, simulated, ways
from facewatch.evaluation.analyses import Analyses, load_analyses, save_analyses
from facewatch.evaluation.labelled import Label, make_sample, match, middle_face, read_labels, sets_in
from facewatch.evaluation.ways import Arrival
from facewatch.fs.atomic import check_target
from facewatch.indexing.analyzer import LibraryFile, Recipe
from facewatch.indexing.crops import PAGE_SIDE, Album
from facewatch.indexing.pool import InlineWorkers
from facewatch.matching import Gallery
from facewatch.matching.aggregation import MatchSettings
from facewatch.presentation import html
from facewatch.reports.evaluation import KeptEvaluation, read_evaluation
from facewatch.types import Analysis, Box, EngineInfo, Face, Fingerprint, Normalisation, Quality, Tier

ROOT = Path(__file__).resolve().parent.parent

# --- measures ---

labels = st.integers(0, 6)
groupings = st.lists(st.tuples(labels, labels), min_size=1, max_size=40)


def split(pairs: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    people, groups = zip(*pairs, strict=True)
    return np.array(people, np.int64), np.array(groups, np.int64)


@given(groupings)
def test_bcubed_is_what_the_definition_says(pairs: list[tuple[int, int]]) -> None:
    precision = recall = 0.0
    for person, group in pairs:
        in_group = [p for p, g in pairs if g == group]
        of_person = [g for p, g in pairs if p == person]
        precision += in_group.count(person) / len(in_group) / len(pairs)
        recall += of_person.count(group) / len(of_person) / len(pairs)
    found = metrics.bcubed(*split(pairs))
    assert (found.precision, found.recall) == pytest.approx((precision, recall))
    assert found.f == pytest.approx(2 * precision * recall / (precision + recall))


@given(groupings)
def test_pairs_are_counted_as_the_definition_says(pairs: list[tuple[int, int]]) -> None:
    couples = list(combinations(pairs, 2))
    grouped = [a[0] == b[0] for a, b in couples if a[1] == b[1]]
    true = [a[1] == b[1] for a, b in couples if a[0] == b[0]]
    found = metrics.pairwise(*split(pairs))
    assert found.precision == pytest.approx(sum(grouped) / len(grouped) if grouped else 1.0)
    assert found.recall == pytest.approx(sum(true) / len(true) if true else 1.0)


@given(groupings)
def test_mutual_information_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    assert metrics.nmi(*split(pairs)) == pytest.approx(normalized_mutual_info_score(*split(pairs)), abs=1e-9)


@given(groupings, st.randoms(use_true_random=False), st.permutations(range(7)))
def test_neither_order_nor_names_of_groups_matter(pairs: list[tuple[int, int]], random: Any, names: list[int]) -> None:
    shuffled = random.sample(pairs, len(pairs))
    renamed = [(person, names[group] - 3) for person, group in shuffled]
    before, after = (dataclasses.asdict(metrics.scores(*split(each))) for each in (pairs, renamed))
    for name in ("bcubed", "pairwise", "fragments"):
        assert before.pop(name) == pytest.approx(after.pop(name))
    assert before == pytest.approx(after)


@given(st.lists(labels, min_size=1, max_size=40))
def test_the_truth_is_perfect(people: list[int]) -> None:
    scores = metrics.scores(*split([(person, 10 - person) for person in people]))
    for share in (scores.bcubed.f, scores.pairwise.f, scores.nmi):
        assert share == pytest.approx(1.0)
    assert scores.n_people_found == scores.n_people_true


@given(st.lists(labels, min_size=1, max_size=40))
def test_everybody_in_one_group_is_as_precise_as_people_are_large(people: list[int]) -> None:
    found = metrics.bcubed(*split([(person, 0) for person in people]))
    sizes = np.unique(people, return_counts=True)[1]
    assert found.precision == pytest.approx((sizes**2).sum() / len(people) ** 2)
    assert found.recall == pytest.approx(1.0)


def test_everybody_alone_is_precise_and_finds_nobody() -> None:
    people = np.array([0, 0, 0, 1])
    scores = metrics.scores(people, np.arange(4))
    assert (scores.bcubed.precision, scores.bcubed.recall) == (1.0, 0.5)
    assert (scores.n_people_found, scores.n_people_true, scores.n_faces_in_groups) == (0, 1, 0)


def test_nothing_is_perfect() -> None:
    nothing = np.zeros(0, np.int64)
    scores = metrics.scores(nothing, nothing)
    assert (scores.bcubed.f, scores.pairwise.f, scores.nmi, scores.n_people_true) == (1.0, 1.0, 1.0, 0)


def test_folders_a_person_are_the_groups_that_somebodys_faces_are_in() -> None:
    # Anna: three together, two together, one alone; Ben: two, beside a face of Cleo's; Cleo: two, once with him; Dora.
    people = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3])
    groups = np.array([1, 1, 1, 2, 2, 3, 4, 4, 4, 5, 6])
    found = metrics.fragments(people, groups)
    assert found.folders == pytest.approx((2 + 1 + 1) / 3)
    assert found.parts == pytest.approx((3 + 1 + 2) / 3)
    # Somebody who is in no folder is not in less than one.
    assert metrics.fragments(np.array([0, 0, 1, 1]), np.array([1, 1, 2, 3])) == metrics.Fragments(1.0, 1.5)
    assert metrics.fragments(np.array([0, 1]), np.array([0, 1])) == metrics.Fragments(1.0, 1.0)


def test_a_photo_counts_once_however_often_a_group_is_in_it() -> None:
    photos, groups = np.array([1, 1, 1, 1, 2, 2, 3]), np.array([5, 5, 6, 6, 5, 6, 5])
    assert metrics.n_photos_twice(photos, groups) == 1


def unit(n: int, n_dims: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(n, n_dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def people_of(n: int, n_people: int, *, spread: float = 0.3, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return faces of people who differ, and who they are."""
    random = np.random.default_rng(seed)
    who = random.integers(0, n_people, n)
    vectors = unit(n_people, 32, seed)[who] + spread * random.normal(size=(n, 32)) / np.sqrt(32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), who


def test_all_pairs_are_counted_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, who = people_of(90, 12)
    embeddings[1] = -embeddings[0]
    cosines = np.clip((embeddings @ embeddings.T).astype(np.float64), -1.0, 1.0)
    distances = np.sqrt(2 - 2 * cosines)[np.triu_indices(90, 1)]
    is_same = (who[:, None] == who[None])[np.triu_indices(90, 1)]
    for rows in (7, 256):
        monkeypatch.setattr(metrics, "_BLOCK_ROWS", rows)
        pairs = metrics.count_pairs(embeddings, who)
        assert (pairs.n_same, pairs.n_different) == (is_same.sum(), (~is_same).sum())
        for counts, expected in ((pairs.same, distances[is_same]), (pairs.different, distances[~is_same])):
            middles = np.repeat((np.arange(metrics.N_BINS) + 0.5) * metrics.BIN_WIDTH, counts)
            assert np.abs(middles - np.sort(expected)).max() < 2 * metrics.BIN_WIDTH


@given(st.integers(0, 5), st.sampled_from([0.2, 0.05, 0.01, 0.002]))
@settings(max_examples=15, deadline=None)
def test_true_pairs_are_accepted_at_the_largest_distance_that_keeps_the_rate(seed: int, far: float) -> None:
    embeddings, who = people_of(60, 8, spread=0.8, seed=seed)
    pairs = metrics.count_pairs(embeddings, who)
    found = metrics.verification(pairs, far)
    assert found.tar is not None
    assert found.distance is not None
    n_bins = round(found.distance / metrics.BIN_WIDTH)
    assert pairs.different[:n_bins].sum() <= far * pairs.n_different < pairs.different[: n_bins + 1].sum()
    assert found.tar == pairs.same[:n_bins].sum() / pairs.n_same


def test_a_rate_that_the_pairs_cannot_show_is_not_told() -> None:
    pairs = metrics.count_pairs(*people_of(20, 4))
    assert metrics.verification(pairs, 1e-4) == metrics.Verification(1e-4, None, None)


@pytest.mark.parametrize("seed", [1, 2])
def test_how_often_true_pairs_are_nearer_is_counted_over_all_couples_of_pairs(seed: int) -> None:
    faces, who = people_of(24, 4, spread=1.0, seed=seed)
    distances = np.sqrt(np.clip(2 - 2 * faces @ faces.T, 0, None))
    same, different = (
        [distances[i, j] for i, j in combinations(range(24), 2) if (who[i] == who[j]) == is_same]
        for is_same in (True, False)
    )
    expected = np.mean([one < other for one in same for other in different])
    assert metrics.nearer(metrics.count_pairs(faces, who)) == pytest.approx(expected, abs=1e-3)
    assert metrics.nearer(metrics.count_pairs(faces, np.zeros(24, np.int64))) is None


def test_what_faces_have_with_strangers_is_taken_off_their_likeness() -> None:
    faces, who = people_of(30, 5, spread=0.8)
    strangers = np.linspace(0.0, 0.6, 30).astype(np.float32)
    found = metrics.count_pairs(faces, who, strangers)
    cosines = [float(faces[i] @ faces[j] - (strangers[i] + strangers[j]) / 2) for i, j in combinations(range(30), 2)]
    expected = np.sort(np.sqrt(np.clip(2 - 2 * np.array(cosines), 0, 4)))
    bins = np.repeat(np.arange(metrics.N_BINS), found.same + found.different) * metrics.BIN_WIDTH
    assert bins == pytest.approx(expected, abs=2 * metrics.BIN_WIDTH)


def test_curves_end_where_all_pairs_are_accepted() -> None:
    pairs = metrics.count_pairs(*people_of(40, 5))
    precision, recall, far = metrics.rates(pairs)
    assert (recall[-1], far[-1]) == (1.0, 1.0)
    assert precision[0] == 1.0
    assert precision[-1] == pairs.n_same / (pairs.n_same + pairs.n_different)


# --- labels ---


def photo_at(path: Path, *faces: tuple[int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(fake.draw(faces)).save(path, format="PNG")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Anna on three photos, Ben on two, Cleo on one; once with a stranger beside her who is as large."""
    root = tmp_path / "labelled"
    for name, *faces in [
        ("Anna/1", (1, 0)),
        ("Anna/2", (1, 1)),
        ("Anna/deep/3", (1, 2)),
        ("Ben/1", (2, 0)),
        ("Ben/2", (2, 1)),
        ("Cleo/1", (9, 0), (3, 0), (8, 0)),
    ]:
        photo_at(root / f"{name}.png", *faces)
    return root


def test_every_folder_is_a_person(folders: Path) -> None:
    (folders / "Anna" / "notes.txt").write_text("no photo")
    (folders / "Anna" / ".hidden.png").write_bytes(b"hidden")
    photo_at(folders / ".trash" / "1.png", (1, 0))
    photo_at(folders / "_unnamed" / "Person 0001" / "1.png", (1, 0))
    labelled = read_labels(folders)
    assert [photo.path for photo in labelled.photos] == [
        *("Anna/1.png", "Anna/2.png", "Anna/deep/3.png", "Ben/1.png", "Ben/2.png", "Cleo/1.png")
    ]
    assert labelled.photos_of() == {"Anna": 3, "Ben": 2, "Cleo": 1}


def test_a_folder_of_links_is_a_folder_of_labels(folders: Path, tmp_path: Path) -> None:
    people = tmp_path / "People"
    for name in ("Anna", "Ben"):
        (people / name).mkdir(parents=True)
        for photo in (folders / name).glob("*.png"):
            (people / name / photo.name).symlink_to(photo)
    assert read_labels(people).photos_of() == {"Anna": 2, "Ben": 2}
    assert len(evaluated(people).sample) == 4


def write_csv(root: Path, *rows: str, header: str = "path,person,x,y,w,h,quality,source") -> Path:
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return root


def test_a_table_of_labels_wins_over_folders(folders: Path) -> None:
    write_csv(
        folders,
        "Cleo/1.png, Cleo ,192,32,64,64,ok,somebody",
        "Cleo/1.png,Dora,64,32,64,64,ok,somebody",
        "Cleo/1.png,,320,32,64,64,ignore,somebody",
        "Anna/1.png,Anna,,,,,,",
        "Anna/2.png,Anna,,,,,,",
        "Ben/1.png,,,,,,noface,",
        "Ben/2.png,Ben,1,2,3,4,ignore,",
    )
    labelled = read_labels(folders)
    assert {photo.path: photo.labels for photo in labelled.photos} == {
        "Cleo/1.png": (Label("Cleo", (192, 32, 64, 64)), Label("Dora", (64, 32, 64, 64))),
        "Anna/1.png": (Label("Anna", None),),
        "Anna/2.png": (Label("Anna", None),),
        "Ben/1.png": (),
    }
    sample = evaluated(folders).sample
    assert sample.names == ("Anna", "Cleo", "Dora")
    assert [(sample.photos[p].path, f, sample.names[who]) for p, f, who in sample_rows(sample)] == [
        *(("Anna/1.png", 0, "Anna"), ("Anna/2.png", 0, "Anna"), ("Cleo/1.png", 0, "Dora"), ("Cleo/1.png", 1, "Cleo"))
    ]
    assert (sample.n_labelled, sample.n_missed, sample.n_false) == (4, 0, 1)


def sample_rows(sample: Any) -> list[tuple[int, int, int]]:
    return list(zip(*(array.tolist() for array in (sample.photo, sample.face, sample.person)), strict=True))


def test_two_columns_are_enough(folders: Path) -> None:
    write_csv(
        folders, *(f"{name},{name[:4]}" for name in ("Anna/1.png", "Anna/2.png", "Ben/1.png")), header="path,person"
    )
    assert read_labels(folders).photos_of() == {"Anna": 2, "Ben/": 1}


def test_only_a_part_can_be_judged(folders: Path) -> None:
    write_csv(
        folders, *(f"{name},{name[:2]}" for name in ("Anna/1.png", "Anna/2.png", "Ben/1.png")), header="path,person"
    )
    photo_at(folders / "Anna" / "4.png", (4, 0))
    with (folders / "labels.csv").open("a") as file:
        file.write("Anna/4.png,Dora\n")
    assert [photo.path for photo in read_labels(folders, only="Anna/").photos] == [
        *("Anna/1.png", "Anna/2.png", "Anna/4.png")
    ]
    with pytest.raises(LibraryError, match=r"no labelled photo begins with 'Zoe'; the first one is Anna/1.png"):
        read_labels(folders, only="Zoe")


def test_a_name_is_one_name_however_it_is_spelt(folders: Path) -> None:
    composed, apart = "Ren\N{LATIN SMALL LETTER E WITH ACUTE}", "Rene\N{COMBINING ACUTE ACCENT}"
    rows = [f"Anna/1.png,{composed}", f"Anna/2.png, {apart}", "Ben/1.png,Ben"]
    assert read_labels(write_csv(folders, *rows, header="path,person")).photos_of() == {composed: 2, "Ben": 1}


BAD_TABLES = {
    "there is no file": (
        ["Anna/1.png,Anna,,,,", "Anna/nowhere.png,Anna,,,,"],
        "line 3: there is no file Anna/nowhere.png",
    ),
    "no path": ([",Anna,,,,"], "line 2: no path"),
    "a word": (["Anna/1.png,Anna,1,2,x,4"], "line 2: the box x,y,w,h is '1,2,x,4'; it needs four numbers, or none"),
    "three numbers": (["Anna/1.png,Anna,1,2,3,"], "it needs four numbers"),
    "no width": (["Anna/1.png,Anna,1,2,0,4"], "width and height must be above 0"),
    "endless": (["Anna/1.png,Anna,1,2,inf,4"], "width and height must be above 0"),
    "two without a box": (
        ["Anna/1.png,Anna,,,,", "Anna/1.png,Ben,,,,"],
        "Anna/1.png: has 2 labels, and no box for Anna, Ben",
    ),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_line_of_the_table_is_named(folders: Path, name: str) -> None:
    rows, words = BAD_TABLES[name]
    write_csv(folders, *rows, header="path,person,x,y,w,h")
    with pytest.raises(LibraryError, match=re.escape(words)) as caught:
        read_labels(folders)
    assert "labels.csv: 1 problem" in str(caught.value)


def test_of_many_bad_lines_the_first_are_named_and_all_are_counted(folders: Path) -> None:
    write_csv(folders, *(f"{n}.png,Anna" for n in range(40)), header="path,person")
    with pytest.raises(LibraryError) as caught:
        read_labels(folders)
    assert str(caught.value).splitlines()[0].endswith("labels.csv: 40 problems")
    assert str(caught.value).splitlines()[-1] == "- and 35 more"
    assert len(str(caught.value).splitlines()) == 7


@pytest.mark.parametrize(
    ("header", "words"),
    [("file,name", "no column path and no column person"), ("path,name", "no column person"), ("", "no column path")],
)
def test_a_table_without_its_columns_says_which(folders: Path, header: str, words: str) -> None:
    write_csv(folders, "Anna/1.png,Anna", header=header)
    with pytest.raises(LibraryError, match=f"labels.csv: {words}"):
        read_labels(folders)


def test_a_table_in_another_encoding_says_so(folders: Path) -> None:
    (folders / "labels.csv").write_bytes("path,person\nAnna/1.png,René\n".encode("latin-1"))
    with pytest.raises(LibraryError, match=r"labels.csv: not UTF-8 text; save it as UTF-8"):
        read_labels(folders)


def make_missing(root: Path) -> Path:
    return root / "nowhere"


def make_file(root: Path) -> Path:
    (root / "file").write_text("")
    return root / "file"


def make_empty(root: Path) -> Path:
    return root


def make_unlabelled(root: Path) -> Path:
    photo_at(root / "1.png", (1, 0))
    return root


def make_no_photos(root: Path) -> Path:
    (root / "Anna").mkdir()
    (root / "Anna" / "notes.txt").write_text("no photo")
    return root


def make_one_person(root: Path) -> Path:
    photo_at(root / "Anna" / "1.png", (1, 0))
    photo_at(root / "Anna" / "2.png", (1, 1))
    return root


def make_one_photo_each(root: Path) -> Path:
    photo_at(root / "Anna" / "1.png", (1, 0))
    photo_at(root / "Ben" / "1.png", (2, 1))
    return root


def make_no_faces(root: Path) -> Path:
    photo_at(root / "1.png")
    return write_csv(root, "1.png,,,,,,noface,")


def test_a_table_that_names_nobody_is_told_by_its_name(tmp_path: Path) -> None:
    photo_at(tmp_path / "1.png", (1, 0))
    table = write_csv(tmp_path, "1.png,,,,,,,") / "labels.csv"
    with pytest.raises(LibraryError, match=re.escape(f"{table}: the column person is empty in all its rows; write")):
        read_labels(tmp_path)


BAD_FOLDERS: dict[Callable[[Path], Path], str] = {
    make_missing: "does not exist; name a folder of labelled photos: a folder per person (Anna/1.jpg",
    make_file: "not a folder",
    make_empty: "empty; evaluate needs a folder per person (Anna/1.jpg, Anna/2.jpg, Ben/1.jpg), or a labels.csv",
    make_unlabelled: "no labelled photos in it; evaluate needs a folder per person",
    make_no_photos: "no labelled photos in it",
    make_one_person: "only Anna is labelled in it; evaluate needs at least two people, and two photos of one of them",
    make_one_photo_each: "2 people are labelled, none on two photos; evaluate needs at least two people",
    make_no_faces: "nobody is labelled in it",
}


@pytest.mark.parametrize("make", BAD_FOLDERS, ids=lambda make: make.__name__)
def test_a_folder_that_cannot_be_judged_says_what_is_needed(
    make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(tmp_path)
    assert main(["evaluate", str(root)]) == LibraryError.exit_code
    error = capsys.readouterr().err
    assert error.startswith(f"facewatch: {root}: ")
    assert BAD_FOLDERS[make] in error


def test_people_who_are_not_found_cannot_be_judged(tmp_path: Path) -> None:
    make_one_photo_each(tmp_path)
    photo_at(tmp_path / "Ben" / "2.png")
    with pytest.raises(LibraryError, match="2 people are found, none on two photos"):
        evaluated(tmp_path)


# --- faces and labels ---


def face(x: int, y: int, w: int, h: int) -> Face:
    quality = Quality(100.0, 128.0, w, 0.1, 0.9, Tier.ENROLL)
    return Face(Box(x, y, w, h), (0.0,) * 10, 1.0, quality, np.array([1.0, 0.0], np.float32))


def analysis(*boxes: tuple[int, int, int, int]) -> Analysis:
    return Analysis(400, 300, "PNG", tuple(face(*box) for box in boxes))


def test_boxes_and_detections_pair_one_to_one_best_first() -> None:
    seen = analysis((100, 100, 100, 100), (130, 100, 100, 100))
    two = [Label("Anna", (128, 100, 100, 100)), Label("Ben", (120, 100, 100, 100))]
    assert match(two, seen) == {0: 1, 1: 0}
    assert match([Label("Anna", (300, 200, 50, 50))], seen) == {}
    assert match(two, analysis()) == {}


@pytest.mark.parametrize(("x", "is_found"), [(142, True), (144, False)])
def test_a_box_must_overlap_enough(x: int, is_found: bool) -> None:
    assert bool(match([Label("Anna", (x, 100, 100, 100))], analysis((100, 100, 100, 100)))) is is_found


def test_the_face_in_the_middle_is_not_a_small_one() -> None:
    assert middle_face(analysis((190, 140, 20, 20), (10, 10, 100, 100), (250, 150, 60, 60))) == 2
    assert middle_face(analysis()) is None


def copy_of(folders: Path, source: str, target: str) -> None:
    path = folders / target
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((folders / source).read_bytes())


def test_copies_of_a_photo_count_once(folders: Path) -> None:
    before = evaluated(folders)
    copy_of(folders, "Anna/1.png", "Anna/copy.png")
    after = evaluated(folders)
    assert (len(after.sample), after.sample.n_labelled) == (len(before.sample), 6)
    assert np.array_equal(after.pairs.same, before.pairs.same)


def test_a_face_that_two_people_are_said_to_be_is_left_out(folders: Path) -> None:
    copy_of(folders, "Anna/1.png", "Ben/copy.png")
    sample = evaluated(folders).sample
    assert (len(sample), sample.n_disputed, sample.n_labelled) == (5, 1, 6)


def test_photos_that_cannot_be_used_are_counted_and_said(folders: Path) -> None:
    (folders / "Anna" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folders / "Ben" / "dangling.jpg").symlink_to("nowhere")
    evaluation = evaluated(folders)
    assert (evaluation.sample.n_unused, evaluation.sample.n_missed) == (1, 1)
    [(path, (fault, advice))] = evaluation.faults.items()
    assert path == str(folders / "Anna" / "broken.jpg")
    assert fault
    assert advice


# --- running it ---


def open_app(folder: Path, info: EngineInfo = fake.INFO, **settings: Any) -> App:
    """Open a service that knows the drawn faces."""
    places = {
        "library.photos": [],
        "library.people": str(folder / "People"),
        "library.catalog": str(folder / "catalog.sqlite"),
    }
    config = load_config(None, places | settings, cwd=folder)
    return App(config, info=info, workers=inline())


def inline() -> InlineWorkers:
    return InlineWorkers(Recipe("fake"), fake.FakeEngine())


def evaluated(root: Path, **choices: Any) -> run.Evaluation:
    arguments: dict[str, Any] = {"methods": ["linkage"], "arrival": Arrival(2), "workers": inline()} | choices
    return run.evaluate(read_labels(root), open_app, **arguments)


def test_the_limits_of_the_settings_hold_for_its_workers(folders: Path) -> None:
    def short_of_memory(folder: Path) -> App:
        return open_app(folder, **{"resources.memory_mb": 100})

    with pytest.raises(EngineError, match=r"^100 MB of memory are too little"):
        run.analyse(read_labels(folders), short_of_memory)


def partition(groups: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in np.unique(groups)}


def test_easy_faces_are_told_apart_in_every_way_of_working(folders: Path) -> None:
    evaluation = evaluated(folders)
    assert [grouping.way for grouping in evaluation.groupings] == ["clustering", "all at once", "streaming"]
    for grouping in evaluation.groupings:
        scores = evaluation.scores_of(grouping)
        assert (scores.bcubed.f, scores.pairwise.f, scores.nmi) == pytest.approx((1.0, 1.0, 1.0))
        assert (scores.n_people_found, scores.n_people_true, scores.n_faces_in_groups) == (2, 2, 5)
        assert grouping.n_photos_twice == 0


@pytest.mark.parametrize("n_batches", [1, 2, 3, 6, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_easy_faces_come_out_the_same_whatever_the_batches_and_the_order(
    folders: Path, n_batches: int, seed: int
) -> None:
    evaluation = evaluated(folders, arrival=Arrival(n_batches, seed))
    assert len({frozenset(partition(grouping.groups)) for grouping in evaluation.groupings}) == 1
    steps = evaluation.groupings[-1].steps
    assert len(steps) == min(n_batches, 6)
    assert steps[-1].n_photos == 6
    assert steps[-1].bcubed == evaluation.scores_of(evaluation.groupings[-1]).bcubed


def test_the_seed_decides_the_order_and_nothing_else_does(folders: Path) -> None:
    photos = evaluated(folders).sample.photos

    def order(seed: int) -> list[list[str]]:
        return [[photo.path for photo in batch] for batch in ways.shuffled_batches(photos, Arrival(4, seed))]

    assert order(1) == order(1) != order(2)
    assert [len(batch) for batch in order(1)] == [2, 2, 1, 1]
    assert sorted(path for batch in order(1) for path in batch) == [photo.path for photo in photos]


def test_a_grouping_is_the_same_each_time(library: Library) -> None:
    random = np.random.default_rng(5)
    for n in range(24):
        library.draw(f"p{n % 5}/{n}.png", (int(n % 5), int(random.integers(200))))
    first, again = (evaluated(library.photos, arrival=Arrival(5, 3)) for _ in range(2))
    for a, b in zip(first.groupings, again.groupings, strict=True):
        assert np.array_equal(a.groups, b.groups)


def test_settings_are_those_that_are_judged(folders: Path) -> None:
    evaluation = run.evaluate(
        read_labels(folders),
        lambda folder: open_app(folder, **{"cluster.min_faces": 3}),
        methods=["linkage"],
        workers=inline(),
    )
    assert {evaluation.scores_of(grouping).n_people_found for grouping in evaluation.groupings[:2]} == {1}


def test_photos_are_not_written(folders: Path) -> None:
    def state() -> list[tuple[str, int, bytes]]:
        files = sorted(path for path in folders.rglob("*") if path.is_file())
        return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]

    before = state()
    evaluated(folders)
    assert state() == before


def test_a_method_that_cannot_be_used_is_left_out_of_all_and_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = run._try

    def refuse(method: str) -> None:
        if method == "hdbscan":
            raise EngineError("hdbscan needs a package")
        real(method)

    monkeypatch.setattr(run, "_try", refuse)
    usable, left_out = run.usable_methods(["linkage", "all"])
    assert usable[0] == "linkage"
    assert "hdbscan" not in usable
    assert left_out["hdbscan"] == "hdbscan needs a package"
    with pytest.raises(EngineError, match="needs a package"):
        run.usable_methods(["hdbscan"])


def test_facts_are_plain_values(folders: Path) -> None:
    facts = json.loads(json.dumps(run.facts(evaluated(folders))))
    assert facts["detection"] == {"n_labelled": 6, "n_found": 6, "n_missed": 0, "n_disputed": 0, "n_false": 0}
    assert facts["n_people"] == 3
    assert [one["tar"] for one in facts["verification"]] == [None, None]
    grouping = facts["groupings"][2]
    assert (grouping["way"], grouping["method"], grouping["bcubed"]["f"]) == ("streaming", "linkage", 1.0)
    assert (grouping["folders_per_person"], grouping["parts_per_person"]) == (1.0, 1.0)
    assert {"pairwise", "nmi", "n_people_found", "n_people_true", "n_faces_in_groups", "n_photos_twice"} <= set(
        grouping
    )


# --- labels that are not people ---


def draw_topics(root: Path, *, is_topics: bool) -> Path:
    """Four people on 24 photos, in a folder each, or in folders of occasions that all of them were at."""
    for person in range(4):
        for take in range(6):
            name = ("Wedding", "Rome", "Garden")[take % 3] if is_topics else f"Person {person}"
            photo_at(root / name / f"{person}-{take}.png", (person, take))
    return root


def test_folders_of_occasions_are_told_from_people(tmp_path: Path) -> None:
    people, topics = (evaluated(draw_topics(tmp_path / str(n), is_topics=bool(n))) for n in range(2))
    assert people.doubt is None
    assert topics.doubt is not None
    assert topics.doubt.startswith("these look like years, places or occasions, and not like people")
    assert (run.facts(people)["doubt"], run.facts(topics)["doubt"]) == (None, topics.doubt)
    text = "".join(parsed(report.report_page([topics], Album(inline()), made_at="now")).itertext())
    assert topics.doubt in text


def test_of_a_handful_of_pairs_it_is_not_told_what_folders_are(folders: Path) -> None:
    make_mistakes(folders)
    assert evaluated(folders).pairs.n_same < run.LEAST_PAIRS
    assert evaluated(folders).doubt is None


# --- likeness to strangers ---

WAYS = ("clustering", "all at once", "streaming")


def test_true_pairs_are_counted_plain_and_normalised_side_by_side(tmp_path: Path) -> None:
    people = draw_topics(tmp_path / "people", is_topics=False)
    numbers = [field.name for field in dataclasses.fields(Normalisation) if field.default is dataclasses.MISSING]
    normalised = dataclasses.replace(
        fake.INFO, normalisation=Normalisation(**{**dict.fromkeys(numbers, 0.3), "usual": 0.0, "per_decade": 0.0})
    )

    def with_figures(folder: Path, /, **settings: Any) -> App:
        return open_app(folder, info=normalised, **settings)

    with_cohort = run.evaluate(
        read_labels(people), with_figures, methods=["linkage"], arrival=Arrival(2), fars=(0.01,), workers=inline()
    )
    plain = evaluated(people, fars=(0.01,))
    assert with_cohort.verifications == plain.verifications
    assert (len(with_cohort.normalised), plain.normalised) == (1, ())
    assert with_cohort.normalised[0].tar == 1.0
    assert run.facts(with_cohort)["verification_normalised"][0]["tar"] == 1.0
    groupings = [(one["way"], one["is_normalised"]) for one in run.facts(with_cohort)["groupings"]]
    assert groupings == [(way, likeness) for likeness in (True, False) for way in WAYS]
    assert [one["is_normalised"] for one in run.facts(plain)["groupings"]] == [False] * 3
    only_plain = run.evaluate(
        read_labels(people),
        lambda folder, /, **settings: with_figures(folder, **settings | ways.PLAIN),
        methods=["linkage"],
        workers=inline(),
    )
    assert [one.likeness for one in only_plain.groupings] == ["plain"] * 3
    assert run.facts(plain)["verification_normalised"] == []


# --- several sets ---


@pytest.fixture
def command(folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`facewatch evaluate` with the engine that finds drawn squares; returns what it prints."""
    monkeypatch.setattr("facewatch.cli.evaluate.service_opener", lambda state, engine: open_app)
    monkeypatch.setattr(run, "_workers", lambda app: inline())
    monkeypatch.setattr("facewatch.app.picture_workers", lambda config: inline())

    def call(*arguments: object) -> str:
        assert main(["evaluate", *map(str, arguments), "--batches", "2"]) == 0
        return capsys.readouterr().out

    return call


def label(root: Path) -> Path:
    """Write who is who in a table beside the folders, with the others' boxes unsaid."""
    paths = sorted(path for path in root.rglob("*.png") if path.parent.name != "Cleo")
    rows = [f"{path.relative_to(root).as_posix()},{path.parent.name}\n" for path in paths]
    (root / "labels.csv").write_text("path,person\n" + "".join(rows))
    return root


def test_several_sets_stand_in_one_table_with_every_method(
    folders: Path, tmp_path: Path, command: Callable[..., str]
) -> None:
    other = draw_topics(tmp_path / "topics", is_topics=True)
    printed = command(folders, other, "--method", "linkage", "--method", "whispers")
    rows = [line.split() for line in printed.splitlines() if " 1.000 " in line or " 0." in line]
    groupings = [(row[0], row[1], method) for row in rows for method in row if method in ("linkage", "whispers")]
    assert groupings == [
        (name, way, method)
        for name in ("labelled", "topics")
        for method in ("linkage", "whispers")
        for way in ("clustering", "all", "streaming")
    ]
    assert "labelled: 6 photos: 6 of 6 labelled faces found" in printed
    assert "WARNING: topics: these look like years, places or occasions, and not like people" in printed
    facts = json.loads(command(folders, other, "--json"))
    assert [one["labelled"] for one in facts["sets"]] == [str(folders), str(other)]
    assert [one["doubt"] is None for one in facts["sets"]] == [True, False]


def test_a_folder_of_labelled_sets_is_all_of_them(folders: Path, tmp_path: Path, command: Callable[..., str]) -> None:
    for name in ("b", "a"):
        shutil.copytree(folders, tmp_path / "sets" / name)
        label(tmp_path / "sets" / name)
    (tmp_path / "sets" / "kept").mkdir()
    facts = json.loads(command(tmp_path / "sets", "--json"))
    assert [Path(one["labelled"]).name for one in facts["sets"]] == ["a", "b"]
    # One with a table of its own is one set, and so is a folder of people.
    label(tmp_path / "sets" / "a")
    assert sets_in(tmp_path / "sets" / "a") == [tmp_path / "sets" / "a"]
    assert sets_in(folders) == [folders]
    assert sets_in(tmp_path / "nothing") == [tmp_path / "nothing"]


def test_sets_of_one_name_are_told_by_where_they_are(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders, tmp_path / "other" / folders.name)
    one, other = evaluated(folders), evaluated(tmp_path / "other" / folders.name)
    assert run.names_of([one]) == [folders.name]
    assert run.names_of([one, other]) == [str(folders), str(tmp_path / "other" / folders.name)]


def test_a_page_of_several_sets_has_one_table_and_a_part_for_each(folders: Path, tmp_path: Path) -> None:
    make_mistakes(folders)
    both = [evaluated(folders), evaluated(draw_topics(tmp_path / "topics", is_topics=True))]
    root = parsed(report.report_page(both, Album(inline()), made_at="now"))
    titles = ["".join(heading.itertext()) for heading in root.iter("h2")]
    assert titles[:3] == ["Ways of working", "Pairs of faces", "labelled"]
    assert titles.count("Distances") == 2
    table = next(root.iter("table"))
    names = [row.find("th").text for row in table.iter("tr")][1:]  # type: ignore[union-attr]
    assert names == ["labelled"] * 3 + ["topics"] * 3


def test_what_was_found_in_several_sets_is_kept_in_one_file(
    folders: Path, tmp_path: Path, command: Callable[..., str]
) -> None:
    topics, keep = draw_topics(tmp_path / "topics", is_topics=True), tmp_path / "kept.npz"
    command(folders, topics, "--keep", keep)
    with np.load(keep) as kept:
        assert kept["file_path"].tobytes().count(b"\0") == 30 - 1


@pytest.mark.parametrize(
    ("settings", "arguments", "words", "origin"),
    [
        ("", [], "nothing says another", "default"),
        ("[engine]\nname = 'face_recognition'\n", [], "that of your settings", "settings"),
        ("", ["--engine", "insightface:x"], "as named by --engine", "--engine"),
    ],
)
def test_the_engine_is_named_and_whose_choice_it_is(
    folders: Path,
    tmp_path: Path,
    command: Callable[..., str],
    settings: str,
    arguments: list[str],
    words: str,
    origin: str,
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    where = ["--config", file, "--catalog", tmp_path / "none.sqlite"]
    assert f"engine: fake ({words})\n" in command(folders, *arguments, *where)
    assert json.loads(command(folders, *arguments, *where, "--json"))["engine_from"] == origin


def test_the_engine_of_the_catalog_is_measured_and_named(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    config = load_config(None, {"library.catalog": str(library.catalog)}, cwd=library.base)
    assert engine_and_origin(config, None) == ("fake", "catalog")
    assert engine_and_origin(config, "face_recognition") == ("face_recognition", "--engine")


# --- keeping what was found ---


class Blind(InlineWorkers):
    """Must not look at anything."""

    def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Any:
        raise AssertionError(f"{photo} is looked at")

    def examine(self, photo: LibraryFile) -> Any:
        raise AssertionError(f"{photo} is looked at")


def same_analyses(a: Analyses, b: Analyses) -> bool:
    def plain(seen: Analyses) -> Any:
        return {
            sha256: [(one.width, one.height, one.format)]
            + [dataclasses.replace(f, embedding=None) for f in one.faces]  # type: ignore[arg-type]
            + [f.embedding.tobytes() for f in one.faces]
            for sha256, one in seen.photos.items()
        }

    return a.files == b.files and plain(a) == plain(b)


def test_what_was_found_is_kept_and_not_looked_for_again(folders: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept.npz"
    copy_of(folders, "Anna/1.png", "Anna/copy.png")
    first = evaluated(folders, keep=keep)
    again = evaluated(folders, keep=keep, workers=Blind(Recipe("fake"), fake.FakeEngine()))
    assert np.array_equal(first.sample.embeddings, again.sample.embeddings)
    assert [np.array_equal(a.groups, b.groups) for a, b in zip(first.groupings, again.groupings, strict=True)]
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]


def test_a_changed_photo_is_looked_at_again(folders: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept.npz"
    evaluated(folders, keep=keep)
    photo_at(folders / "Ben" / "2.png", (1, 7))
    os.utime(folders / "Ben" / "2.png", (1, 1))
    evaluation = evaluated(folders, keep=keep)
    assert evaluation.scores_of(evaluation.groupings[0]).bcubed.precision < 1.0
    evaluated(folders, keep=keep, workers=Blind(Recipe("fake"), fake.FakeEngine()))


def test_an_interrupted_evaluation_keeps_what_it_has(folders: Path, tmp_path: Path) -> None:
    class Interrupted(InlineWorkers):
        n_left = 2

        def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Any:
            if not self.n_left:
                raise KeyboardInterrupt
            self.n_left -= 1
            return super().analyse(photo, expected)

    class Counting(InlineWorkers):
        n = 0

        def analyse(self, photo: LibraryFile, expected: Fingerprint) -> Any:
            self.n += 1
            return super().analyse(photo, expected)

    keep = tmp_path / "kept.npz"
    with pytest.raises(KeyboardInterrupt):
        evaluated(folders, keep=keep, workers=Interrupted(Recipe("fake"), fake.FakeEngine()))
    rest = Counting(Recipe("fake"), fake.FakeEngine())
    evaluated(folders, keep=keep, workers=rest)
    assert rest.n == 4


def test_kept_faces_come_back_as_they_were(folders: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept.npz"
    _, seen = run.analyse(read_labels(folders), open_app, workers=inline())
    for one in (seen, Analyses()):
        save_analyses(keep, one, "key")
        assert same_analyses(load_analyses(keep, "key"), one)
    with np.load(keep, allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)


def test_what_another_engine_found_is_not_taken(folders: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept.npz"
    evaluated(folders, keep=keep)
    for app in (
        lambda folder: open_app(folder, **{"match.min_face_pixels": 100}),
        lambda folder: App(open_app(folder).config, info=dataclasses.replace(fake.INFO, fingerprint="other")),
    ):
        with pytest.raises(LibraryError, match=r"kept by another engine, with other settings, or by another facewatch"):
            run.analyse(read_labels(folders), app, keep=keep, workers=inline())


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 damaged"])
def test_a_file_of_another_kind_is_not_taken_for_kept_faces(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kept.npz").write_bytes(content)
    with pytest.raises(LibraryError, match=r"kept.npz: no file that `--keep` of evaluate wrote") as caught:
        load_analyses(tmp_path / "kept.npz", "key")
    assert "pickle" not in str(caught.value)


# --- the page ---


def page_of(root: Path, **choices: Any) -> str:
    evaluation = evaluated(root, **choices)
    return report.report_page([evaluation], Album(inline()), made_at="2026-01-02T03:04:05Z")


def parsed(page: str) -> ET.Element:
    """Parse the page as XML: every tag is closed, every text escaped."""
    first, _, rest = page.partition("\n")
    assert first == "<!DOCTYPE html>"
    return ET.fromstring(rest)


def make_mistakes(root: Path) -> None:
    """Anna's folder holds Ben, and Ben's one Anna: for whoever believes the folders the engine is wrong."""
    photo_at(root / "Anna" / "wrong <b>.png", (2, 7))
    photo_at(root / 'B&"en' / "1.png", (1, 8))
    photo_at(root / 'B&"en' / "2.png", (5, 8))


def test_the_page_is_whole_and_asks_nobody(folders: Path) -> None:
    make_mistakes(folders)
    page = page_of(folders, methods=["linkage", "hdbscan"])
    root = parsed(page)
    assert not re.search(r"https?:", page)
    assert "//" not in re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", page)
    assert not list(root.iter("script")) + list(root.iter("link"))
    sources = [image.get("src", "") for image in root.iter("img")]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert len(list(root.iter("svg"))) == 4
    table = next(root.iter("table"))
    assert [row.find("th").text for row in table.iter("tr")][1:] == ["clustering", "all at once", "streaming"] * 2  # type: ignore[union-attr]


def test_the_page_shows_both_kinds_of_mistakes_with_names_and_paths(folders: Path) -> None:
    make_mistakes(folders)
    text = "".join(parsed(page_of(folders)).itertext())
    for words in ("Two people in one group", "One person in several groups", 'B&"en', "wrong <b>.png"):
        assert words in text
    assert "nan" not in text


def test_the_page_of_a_perfect_evaluation_has_no_mistakes(folders: Path) -> None:
    text = "".join(parsed(page_of(folders, arrival=Arrival(1))).itertext())
    assert text.count("None.") == 2


def test_the_same_mistakes_are_shown_once(folders: Path) -> None:
    make_mistakes(folders)
    text = "".join(parsed(page_of(folders, methods=["whispers", "linkage"])).itertext())
    assert text.count("Two people in one group") == 1
    assert "Worst mistakes: streaming, linkage, plain\nThe same as whispers, plain." in text


def test_groupings_are_the_same_whatever_the_numbers_of_their_groups() -> None:
    assert report.is_same(np.array([0, 0, 1]), np.array([7, 7, 3]))
    assert not report.is_same(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert not report.is_same(np.array([0, 0, 1]), np.array([0, 0, 0]))
    assert not report.is_same(np.array([0, 0, 0]), np.array([0, 0, 1]))


def test_the_default_method_leads() -> None:
    from facewatch.clustering import METHODS
    from facewatch.config import SETTINGS

    assert next(iter(METHODS)) == next(s.default for s in SETTINGS if s.name == "cluster.method")


def test_the_table_in_the_terminal_is_explained() -> None:
    from facewatch.cli.evaluate import _LEGEND

    for words in (
        "clustering ",
        "all at once ",
        "streaming ",
        "people:",
        "true:",
        "folders:",
        "in groups:",
        "twice:",
        "likeness:",
    ):
        assert words in _LEGEND


def test_a_photo_that_went_away_leaves_a_gap(folders: Path) -> None:
    make_mistakes(folders)
    evaluation = evaluated(folders)
    for photo in folders.rglob("*.png"):
        photo.unlink()
    page = report.report_page([evaluation], Album(inline()), made_at="now")
    assert not list(parsed(page).iter("img"))
    assert "gone" in page


def test_a_crop_is_the_face_with_a_margin(folders: Path) -> None:
    import base64
    import io

    from PIL import Image

    uri = Album(inline()).uri(str(folders / "Anna" / "1.png"), Box(64, 32, 64, 64))
    assert uri is not None
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert picture.shape == (PAGE_SIDE, PAGE_SIDE, 3)
    assert np.abs(picture[PAGE_SIDE // 2, PAGE_SIDE // 2].astype(int) - (1, 0, 7)).max() < 12
    assert np.abs(picture[3, 3].astype(int) - 200).max() < 12


def test_the_worst_mistakes_come_first() -> None:
    embeddings, _ = people_of(9, 3)
    people, groups = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2]), np.array([0, 0, 0, 0, 0, 5, 6, 6, 0])
    together = metrics.wrongly_together(people, groups, embeddings)
    assert [(one.n_left, one.n_right) for one in together] == [(3, 2), (3, 1), (2, 1)]
    assert sum(one.damage for one in together) == pytest.approx(
        len(people) * (1 - metrics.bcubed(people, groups).precision)
    )
    apart = metrics.wrongly_apart(people, groups, embeddings)
    assert sorted((one.n_left, one.n_right) for one in apart) == [(2, 1), (2, 1)]
    assert [one.distance for one in apart] == sorted((one.distance for one in apart), reverse=True)
    for one in [*together, *apart]:
        assert one.distance == pytest.approx(
            float(np.linalg.norm(embeddings[one.left] - embeddings[one.right])), abs=1e-3
        )


@pytest.mark.parametrize("xs", [(0.31, 0.34, 0.35), (0.02, 0.03, 0.05), (0.1, 0.5, 0.9)])
def test_no_ruler_crosses_a_name_and_no_name_lies_in_the_plot(xs: tuple[float, ...]) -> None:
    axes = html.Axes((0.0, 1.0), (0.0, 1.0), "x", "y", n_lines_above=len(xs))
    drawn = ET.fromstring(f"<svg>{html.rulers(axes, [(f'name{x}', x) for x in xs])}</svg>")
    names = [(float(t.get("x", "")), float(t.get("y", "")), t.get("text-anchor")) for t in drawn.iter("text")]
    assert all(down <= axes.top for _, down, _ in names)
    for across, down, anchor in names:
        left, right = (across - 80, across) if anchor == "end" else (across, across + 80)
        for ruler in drawn.iter("line"):
            is_beside = not left < float(ruler.get("x1", "")) < right
            assert is_beside or float(ruler.get("y1", "")) >= down - 1


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_axes_have_a_few_round_numbers_inside(low: float, width: float) -> None:
    ticks = html.round_numbers(low, low + width)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


# --- where things are written ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("report.txt", "must end in .html"),
        ("nowhere/report.html", "there is no folder"),
        ("folder.html", "a folder; name a file in it"),
        ("labelled/report.html", "lies among the photos"),
        ("labelled/Anna/report.html", "lies among the photos"),
    ],
)
def test_a_page_that_could_not_be_written_is_said_before_the_work(
    folders: Path, tmp_path: Path, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.html").mkdir()
    assert main(["evaluate", str(folders), "--report", str(tmp_path / name)]) == LibraryError.exit_code
    assert words in capsys.readouterr().err


def test_a_folder_without_the_right_to_write_is_refused(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)  # root may write everywhere, and tests may run as root
    with pytest.raises(LibraryError, match=r"report.html: cannot be written: Permission denied; name another place"):
        check_target(tmp_path / "report.html", suffix=".html", photos=[folders])


def test_checking_leaves_nothing_behind_and_keeps_what_is_there(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("before")
    check_target(tmp_path / "report.html", suffix=".html", photos=[folders])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled", "report.html"]
    assert (tmp_path / "report.html").read_text() == "before"


def test_an_unknown_method_is_a_mistake_on_the_command_line(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folders), "--method", "magic"]) == 2
    assert "'magic' is not one of 'whispers', " in capsys.readouterr().err


# --- a simulated user ---


def simulated_on(root: Path, **choices: Any) -> simulated.Simulation:
    labelled = read_labels(root)
    info, seen = run.analyse(labelled, open_app, workers=inline())
    sample = make_sample(labelled, seen, n_dims=info.n_dims)
    arrival = Arrival(choices.pop("n_batches", 3), choices.pop("seed", 0))
    return simulated.simulate(sample, open_app, "linkage", arrival, **choices)


def test_a_user_who_tells_the_truth_settles_every_easy_face(folders: Path) -> None:
    found = simulated_on(folders, n_largest=1)
    assert (found.before.precision, found.after.precision) == (1.0, 1.0)
    assert (found.after.recall, found.share_of_missing) == (1.0, 1.0)
    assert (found.unsettled.n_faces, found.unsettled.share, found.of_named.share) == (found.n_at_most, 1.0, 1.0)
    assert found.after.n_people == 3
    # Nobody knows the two strangers beside Cleo.
    assert found.answers["who hide"] == 2
    assert found.churn.decided.n_changed == found.churn.others.n_changed == 0


def test_the_largest_people_are_named_and_of_equal_ones_the_first(folders: Path) -> None:
    photo_at(folders / "Cleo" / "2.png", (3, 1))
    named = [simulated_on(folders, n_largest=n, n_answers=0, n_batches=1).before for n in (0, 1, 2, 3)]
    assert [one.n_people for one in named] == [0, 1, 2, 3]
    assert [one.n_theirs for one in named] == [0, 3, 5, 7]


def test_without_answers_nothing_changes(folders: Path) -> None:
    found = simulated_on(folders, n_largest=1, n_answers=0)
    assert found.before == found.after
    assert (found.n_answers, found.unsettled.n_settled) == (0, 0)


def test_no_more_answers_are_given_than_there_may_be(folders: Path) -> None:
    for n_answers in (1, 2):
        found = simulated_on(folders, n_largest=1, n_answers=n_answers)
        assert found.n_answers == sum(found.answers.values()) == n_answers


def test_it_is_told_after_how_many_answers_the_largest_people_are_complete(folders: Path) -> None:
    for take in range(3, 9):
        photo_at(folders / "Anna" / f"{take}.png", (1, take))
    # Nobody is named while photos come, so Anna has nothing until the user is asked who she is.
    late = simulated_on(folders, n_largest=0, n_answers=0, n_wanted=1)
    assert (late.wanted.n_people, late.wanted.n_complete, late.wanted.n_answers) == (1, 1, 1)
    assert late.n_answers == 0, "the other figures are those before"
    # One who is named on the way needs no answer.
    named = simulated_on(folders, n_largest=1, n_answers=0, n_batches=1)
    assert (named.wanted.n_complete, named.wanted.n_answers, named.n_namings) == (1, 0, 1)
    # Without more answers nobody is complete.
    short = simulated_on(folders, n_largest=0, n_answers=0, n_wanted=1, most_answers=0)
    assert (short.wanted.n_complete, short.wanted.n_answers, short.wanted.n_given) == (0, None, 0)


def test_a_simulation_is_the_same_each_time(folders: Path) -> None:
    once, again = (dataclasses.replace(simulated_on(folders, seed=3), seconds=0.0) for _ in range(2))
    assert once == again


@pytest.mark.parametrize(
    ("faces", "who", "odd"),
    [
        ([], None, ()),
        ([1, 1, 1, 1], 1, ()),
        ([1, 1, 1, 2], 1, (13,)),
        ([1, 1, 2, 2], None, ()),
        ([1, 1, 1, None], 1, (13,)),
        ([None, None], simulated.STRANGER, ()),
    ],
)
def test_a_group_is_who_nearly_all_of_it_is(faces: list[int | None], who: int | None, odd: tuple[int, ...]) -> None:
    truth = {face_id: person for face_id, person in enumerate(faces, 10) if person is not None}
    assert simulated.seen_to_be(range(10, 10 + len(faces)), truth) == (who, odd)


def test_faces_that_move_while_photos_come_are_churn_and_groups_that_join_are_not(library: Library) -> None:
    library.draw_all({"a": [(1, 0)], "b": [(1, 1)], "c": [(2, 0)], "d": [(2, 1)], "e": [(3, 0)], "f": [(3, 1)]})
    library.scan()
    with library.app() as app:
        arrivals = ways.Library(app)
        anna, ben, cleo = sorted(arrivals.faces_of())
        with app.catalog.write():
            app.catalog.people.rename(anna, "Anna")
        watch = simulated.ChurnWatch(arrivals)
        with watch.watching(), app.catalog.write():
            app.catalog.assignments.reassign_all(cleo, ben)
            app.catalog.people.retire(cleo, ben)
        assert watch.churns() == (simulated.Churn(2, 0), simulated.Churn(4, 0))
        moved, released = arrivals.faces_of()[anna][0], arrivals.faces_of()[ben][0]
        with watch.watching(), app.catalog.write():
            app.catalog.assignments.move([moved], ben, rule="test", now=app.catalog.now())
            app.catalog.assignments.release([released])
        assert watch.churns() == (simulated.Churn(2, 1), simulated.Churn(4, 1))
        assert watch.churns().decided.share == 0.5


def test_what_a_user_makes_of_it_is_told_in_every_way(folders: Path) -> None:
    evaluation = evaluated(folders, with_user=True)
    [simulation] = evaluation.simulations
    [facts] = json.loads(json.dumps(run.facts(evaluation)))["simulations"]
    assert facts["after"]["precision"] == facts["unsettled"]["share"] == 1.0
    assert facts["answers"] == dict(simulation.answers)
    assert facts["churn"]["decided"]["n_changed"] == 0
    assert facts["expected"][-1]["share"] == 1.0
    page = parsed(report.report_page([evaluation], Album(inline()), made_at="2026-01-02T03:04:05Z"))
    titles = ["".join(heading.itertext()) for heading in page.iter("h2")]
    assert "A user who names and answers (linkage)" in titles
    shown = [cell.text for cell in page.iter("td")]
    for _, number, made_of in simulated.rows_of(simulation):
        assert {number, made_of} <= set(shown)


def test_nobody_is_simulated_unless_it_is_asked_for(folders: Path) -> None:
    evaluation = evaluated(folders)
    assert evaluation.simulations == ()
    assert run.facts(evaluation)["simulations"] == []


# --- what is kept for the page of the library ---


def test_the_newest_evaluation_is_kept_beside_the_catalog_for_its_owner_alone(
    folders: Path, tmp_path: Path, command: Callable[..., str]
) -> None:
    make_mistakes(folders)
    catalog = tmp_path / "data" / "c.sqlite"
    said = command(folders, "--catalog", catalog)
    assert said.endswith("\nwith charts and faces: `facewatch web`, Statistics, Evaluation\n")
    facts = json.loads(command(folders, "--seed", "3", "--json", "--catalog", catalog))
    kept = read_evaluation(catalog)
    assert isinstance(kept, KeptEvaluation)
    assert kept.measured == facts
    assert (facts["seed"], kept.facts[1]) == (3, "2 batches, seed 3")
    root = ET.fromstring(f"<main>{kept.content}</main>")
    assert {image.get("src", "")[:23] for image in root.iter("img")} == {"data:image/jpeg;base64,"}
    assert not {element.tag for element in root.iter()} & {"script", "style", "link", "meta"}
    assert not list(root.iterfind(".//*[@style]"))
    [file] = catalog.parent.iterdir()
    assert (file.stat().st_mode & 0o777, catalog.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_where_it_cannot_be_kept_that_is_said_and_the_figures_are_printed(
    folders: Path, tmp_path: Path, command: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert main(["evaluate", str(folders), "--json", "--catalog", str(tmp_path / "file" / "c.sqlite")]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n_photos"] == 6
    assert (
        printed.err == f"WARNING: {tmp_path / 'file'}: cannot be written, so the page does not show this: File exists\n"
    )


def test_a_page_of_many_groupings_shows_fewer_mistakes_of_each(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_mistakes(folders)
    monkeypatch.setattr(report, "MOST_ON_PAGE", 1)
    assert len(list(parsed(page_of(folders)).iter("img"))) == 2


# --- real photos ---


@pytest.mark.slow
def test_real_faces_are_told_apart(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, page, keep = shared / "photos", tmp_path / "report.html", tmp_path / "kept.npz"
    arguments = [
        "evaluate",
        str(photos),
        "--only",
        "album/tvcast",
        "--method",
        "linkage",
        "--keep",
        str(keep),
        "--batches",
        "4",
    ]
    assert main([*arguments, "--simulate-user", "--far", "0.01", "--report", str(page), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    with (photos / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith("album/tvcast") and row["person"]]
    assert facts["detection"]["n_labelled"] == len(rows) == 69
    assert facts["detection"]["n_found"] >= 62
    assert facts["verification"][0]["tar"] > 0.85
    for grouping in facts["groupings"]:
        assert grouping["bcubed"]["precision"] == 1.0
        assert grouping["bcubed"]["recall"] > 0.7
        assert (grouping["n_photos_twice"], grouping["n_people_true"]) == (0, 8)
    [simulation] = facts["simulations"]
    assert simulation["after"]["precision"] == 1.0
    assert simulation["after"]["recall"] >= simulation["before"]["recall"]
    assert simulation["unsettled"]["share"] > 0.6
    assert simulation["churn"]["decided"]["n_changed"] == simulation["churn"]["others"]["n_changed"] == 0
    images = [image.get("src", "") for image in parsed(page.read_text(encoding="utf-8")).iter("img")]
    assert images
    assert all(image.startswith("data:image/jpeg;base64,") for image in images)

    # What was kept gives the same, as a table, and without loading the engine.
    assert main([*arguments, "--simulate-user", "--far", "0.01"]) == 0
    table = capsys.readouterr().out
    assert f"{facts['detection']['n_found']} of 69 labelled faces found" in table
    assert "streaming" in table
    assert "precision of named people after" in table
    assert f"{facts['groupings'][2]['bcubed']['recall']:.3f}" in table


# --- calibration ---


def calibration_faces(seed: int) -> calibration.LabelledFaces:
    embeddings, who = people_of(70, 14, spread=0.5, seed=seed)
    tiers = np.random.default_rng(seed).choice(["found", "found", "found", "match", "show"], len(who))
    return calibration.LabelledFaces(embeddings, who, np.array(tiers, np.str_))


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 5, 50]), st.booleans(), st.floats(0.2, 1.0))
@settings(max_examples=20, deadline=None)
def test_answers_are_those_of_the_gallery(seed: int, shortlist: int, is_stranger: bool, share: float) -> None:
    faces = calibration_faces(seed)
    in_gallery = (np.random.default_rng(seed + 1).random(len(faces)) < share) & (faces.tiers != "show")
    rows = np.flatnonzero(faces.tiers != "show")
    answers = calibration.ask(faces, rows, in_gallery, shortlist=shortlist, is_stranger=is_stranger)
    accepted = answers.accepted(LIMITS)
    for i, row in enumerate(rows.tolist()):
        others = in_gallery.copy()
        others[row] = False
        if is_stranger:
            others[faces.people == faces.people[row]] = False
        gallery = Gallery(faces.embeddings.shape[1], LIMITS, MatchSettings(shortlist=shortlist))
        weights, ids = faces.tiers[others] == "found", np.flatnonzero(others)
        gallery.fill(
            faces.people[others] + 1, members(faces.embeddings[others], ids, weights=weights, is_confirmed=True)
        )
        assert answers.n_gallery[i] == gallery.n_faces
        assert answers.is_known[i] == bool((faces.people[others] == faces.people[row]).any())
        found = gallery.identify(faces.embeddings[row], Tier(faces.tiers[row]))
        if found is None:
            assert np.isinf(answers.distance[i])
            continue
        assert answers.distance[i] == pytest.approx(found.distance, abs=1e-4)
        assert answers.centroid[i] == pytest.approx(found.centroid_distance, abs=1e-4)
        assert answers.is_right[i] == (found.person_id == faces.people[row] + 1)
        assert accepted[i] == found.is_accepted


def test_strangers_are_taken_for_somebody_as_rarely_as_was_asked_for() -> None:
    embeddings, who = people_of(600, 90, spread=0.9, seed=3)
    faces = calibration.LabelledFaces(embeddings, who, np.full(600, "found"))
    trials = calibration.try_galleries(faces)
    assert [trial.n_gallery for trial in trials] == [300, 600]
    found = {far: calibration.calibrate_matching(trials, LIMITS, far=far, middle=0.8) for far in (0.2, 0.02, 0.002)}
    for far, limits in found.items():
        rates = [calibration.rates_of(trial.answers, limits) for trial in trials]
        assert all(rate.keeps(far) for rate in rates)
    recognised = [calibration.rates_of(trials[-1].answers, limits).recognised for limits in found.values()]
    assert recognised == sorted(recognised, reverse=True)
    assert recognised[0] > recognised[-1] > 0


def calibrated_ceiling(spread: float) -> tuple[float, list[tuple[float, metrics.Agreement]]]:
    embeddings, who = people_of(200, 30, spread=spread, seed=2)
    faces = calibration.LabelledFaces(embeddings, who, np.full(200, "found"))
    pairs = metrics.count_pairs(embeddings, who)
    limits, tried = calibration.calibrate_grouping(faces, np.arange(200), LIMITS, pairs, method="linkage")
    return limits.cluster, tried


def test_the_ceiling_is_the_loosest_that_keeps_groups_precise() -> None:
    ceiling, tried = calibrated_ceiling(1.0)
    *kept, last = [bcubed.precision >= calibration.MIN_PRECISION for _, bcubed in tried]
    assert (all(kept), last, len(kept) > 1) == (True, False, True)
    assert ceiling == tried[-2][0] != LIMITS.cluster


def test_faces_that_no_ceiling_confuses_leave_it_as_it_is() -> None:
    ceiling, tried = calibrated_ceiling(0.3)
    assert tried[-1][1].precision == 1.0
    assert ceiling == LIMITS.cluster


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibrate", ROOT / "scripts" / "calibrate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = b'''"""An engine.\r\n"""
OTHER = Thresholds(match=0.1)
# 0.75: measured long ago
THRESHOLDS = Thresholds(
    match=0.75,  # stays a comment
    centroid=0.7, gallery_size=40, per_decade=0.05,
    margin=0.04, low_quality_penalty=0.05, cluster=0.7, singleton_penalty=0.02, cluster_margin=0.02,
)
INFO = 0.75
'''


def test_new_numbers_take_the_place_of_the_old_ones_and_nothing_else_changes(
    script: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "engine.py").write_bytes(SOURCE)
    (tmp_path / "other.py").write_bytes(SOURCE.replace(b"cluster=0.7,", b"cluster=0.6,"))
    after = dataclasses.replace(LIMITS, match=0.7, per_decade=0.0625, cluster=0.655)
    assert script.write_thresholds(LIMITS, after, tmp_path) == tmp_path / "engine.py"
    expected = SOURCE.replace(b"match=0.75,  #", b"match=0.7,  #").replace(b"=0.05,\n", b"=0.0625,\n")
    assert (tmp_path / "engine.py").read_bytes() == expected.replace(b"cluster=0.7,", b"cluster=0.655,")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["engine.py", "other.py"]


def test_numbers_that_stand_nowhere_or_twice_are_not_written(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FacewatchError, match="stand in none"):
        script.write_thresholds(LIMITS, LIMITS, tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_bytes(SOURCE)
    with pytest.raises(FacewatchError, match=r"stand in a.py, b.py"):
        script.write_thresholds(LIMITS, LIMITS, tmp_path)


def test_every_engine_has_its_thresholds_where_the_script_looks(script: ModuleType) -> None:
    from facewatch.engines import standard

    assert script.find_source(standard.THRESHOLDS)[0].name == "standard.py"


def found_in(n_strangers: int) -> calibration.Calibration:
    """Return a calibration whose largest gallery was asked for so many strangers."""
    far, no = np.full(n_strangers, np.inf), np.zeros(n_strangers, np.bool_)
    none = np.zeros(n_strangers, np.int64)
    answers = calibration.Answers(far, far, far, no, no, no, none, none, no)
    return calibration.Calibration(LIMITS, LIMITS, (calibration.Trial(n_strangers, answers),), ((0.5, PERFECT),))


PERFECT = metrics.Agreement(1.0, 1.0)


def test_thresholds_that_rest_on_too_few_strangers_are_not_written(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.check_can_write(found_in(2500), tmp_path, 4e-3)
    with pytest.raises(
        LibraryError, match=r"64 strangers cannot show a rate of 0\.001, which takes 10000.*nothing was"
    ):
        script.check_can_write(found_in(64), tmp_path, 1e-3)
    script.print_calibration(found_in(64), 1e-3)
    said = capsys.readouterr().out
    assert "WARNING" in said
    assert "Thresholds(  # not to be used: too few strangers" in said
    script.print_calibration(found_in(2500), 4e-3)
    assert "WARNING" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["calibrate", "bench"])
def test_scripts_leave_the_caller_where_he_is(name: str) -> None:
    text = (ROOT / "scripts" / name).read_text()
    assert not re.search(r"^cd ", text, re.MULTILINE)


def test_an_unknown_method_is_a_mistake_on_the_scripts_command_line(script: ModuleType) -> None:
    answer = CliRunner().invoke(script.main, ["nowhere", "--method", "foo"])
    assert answer.exit_code == 2
    assert "'foo' is not one of 'whispers'" in answer.output
    assert "Example:\n    scripts/calibrate" in CliRunner().invoke(script.main, ["--help"]).output
