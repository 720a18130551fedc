"""The library in numbers: right, cheap, readable by people and programs, and without a word to the network."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import facewatch.cli.stats  # noqa: F401 - it adds its commands to the group
from facewatch.catalog import NOBODY, FaceTable
from facewatch.cli import main
from facewatch.engines import fake
from facewatch.indexing.engine import WantedEngine
from facewatch.matching.nearness import nearness
from facewatch.presentation.html.stats import FaceSources, stats_page
from facewatch.reports.examples import MANY_FACES, Examples, _Finder
from facewatch.reports.stats import Stats, doubling, even, spread


def look(library: Library) -> Stats:
    with library.app() as app:
        return app.stats()


# --- the numbers ---


def test_faces_people_and_pool_are_counted(three: Library) -> None:
    found = look(three)
    counts = found.counts
    assert (counts.n_photos, counts.n_files, counts.n_faces) == (5, 5, 6)
    assert (counts.n_assigned, counts.n_pool, counts.n_only_shown) == (5, 1, 0)
    assert (found.shares.tiers, found.shares.sources, found.shares.marks) == ({"found": 6}, {"cluster": 5}, {})
    assert (counts.n_people, counts.n_named, counts.n_unnamed, counts.n_hidden) == (2, 0, 2, 0)
    assert [(one.n_faces, one.n_photos) for one in found.largest] == [(3, 3), (2, 2)]
    assert (found.sizes.n, found.sizes.median) == (2, 2.5)
    [engine] = found.engines
    assert (engine.name, engine.is_in_use, engine.n_photos, engine.n_vectors) == ("fake", True, 5, 6)
    assert engine.n_bytes == 6 * fake.N_DIMS * 4
    assert found.n_bytes >= three.catalog.stat().st_size


def test_what_users_said_is_counted(three: Library) -> None:
    with three.app() as app:
        people = [person.id for person in app.catalog.people.all()]
        stranger = app.lookup.photo(three.photos / "e.png")["faces"][0]["face_id"]
        with app.corrections.deciding() as decisions:
            decisions.rename(str(people[0]), "Anna")
            decisions.hide(str(people[1]))
            decisions.confirm_person("Anna")
            decisions.ignore([str(stranger)])
        found = app.stats()
    counts, shares = found.counts, found.shares
    assert (counts.n_named, counts.n_unnamed, counts.n_hidden) == (1, 1, 1)
    assert shares.sources == {"user": 3, "cluster": 2}
    assert shares.marks == {"not_a_face": 1}
    assert counts.n_faces == sum(shares.tiers.values()) == 5


def test_distances_are_those_between_the_vectors(three: Library) -> None:
    one = [fake.embedding_of(1, look) for look in (0, 1)]
    two = [fake.embedding_of(2, look) for look in (0, 1, 2)]

    def nearest(vector: NDArray[np.float32], others: list[NDArray[np.float32]]) -> float:
        return min(float(np.linalg.norm(vector - other)) for other in others if other is not vector)

    inside = [nearest(vector, own) for own in (one, two) for vector in own]
    outside = [nearest(vector, other) for own, other in ((one, two), (two, one)) for vector in own]
    found = look(three).distances
    assert found is not None
    assert found.own.median == pytest.approx(np.median(inside), abs=1e-3)
    assert found.other.median == pytest.approx(np.median(outside), abs=1e-3)
    assert (found.own.n, found.other.n, found.match, found.n_close_pairs) == (5, 5, fake.INFO.thresholds.match, 0)


def test_people_who_come_nearer_than_a_match_are_counted_in_pairs(three: Library) -> None:
    with three.app() as app:
        c = app.lookup.photo(three.photos / "c.png")["faces"][0]
        with app.catalog.write():
            new = app.catalog.people.add("now")
            app.catalog.assignments.move([c["face_id"]], new, rule="by hand", now="now")
        found = app.stats().distances
    assert found is not None
    assert found.n_close_pairs == 1
    assert (found.own.n, found.other.n) == (4, 5)  # one person has a single face


def test_a_catalog_without_photos_has_numbers_and_a_page_too(library: Library) -> None:
    found = look(library)
    assert (found.counts.n_faces, found.sizes.n, found.largest) == (0, 0, ())
    assert found.distances is None
    assert found.examples == Examples()
    nothing = FaceSources(lambda _: "")
    ElementTree.fromstring(stats_page(found, nothing, made_at="now").removeprefix("<!DOCTYPE html>"))


def test_while_the_engine_changes_nobody_says_what_a_match_is(three: Library) -> None:
    other = {name: getattr(fake.INFO, name) for name in fake.INFO.__slots__} | {"name": "o", "fingerprint": "o"}
    with three.app() as app:
        app.engine._info = type(fake.INFO)(**other)
        found = app.stats().distances
    assert found is not None
    assert (found.engine, found.match, found.n_close_pairs) == ("fake", None, None)


def test_counting_writes_nothing(three: Library) -> None:
    with three.app() as app:
        before = list(app.catalog._db.conn.iterdump())
        app.stats()
        assert list(app.catalog._db.conn.iterdump()) == before


# --- distributions ---

NUMBERS = st.lists(st.floats(0, 1000, width=32) | st.just(float("nan")), max_size=40)


@given(NUMBERS)
def test_every_number_lies_in_one_bin_and_the_median_between_the_percentiles(values: list[float]) -> None:
    found = spread(np.array(values, np.float32), doubling(1000))
    assert sum(found.histogram.counts) == found.n == sum(value == value for value in values)
    if found.n:
        assert found.p5 is not None
        assert found.median is not None
        assert found.p95 is not None
        assert found.p5 <= found.median <= found.p95
    else:
        assert (found.p5, found.median, found.p95) == (None, None, None)


def test_a_number_on_an_edge_belongs_to_the_bin_above_and_what_lies_beyond_to_the_ends() -> None:
    assert spread([1, 2, 3, 4, 99], (1, 2, 4, 8)).histogram.counts == (1, 2, 2)
    assert spread([-1, 1], even(0, 1, 2)).histogram.counts == (1, 1)
    assert doubling(4) == (1, 2, 4, 8)
    assert doubling(0.5) == (1, 2)


@st.composite
def tables(draw: st.DrawFn) -> FaceTable:
    """Up to a dozen faces of up to four people and of nobody, in few dimensions."""
    people = draw(st.lists(st.sampled_from([NOBODY, 3, 5, 7, 11]), max_size=12))
    vectors = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((len(people), 6)).astype(np.float32)
    n = len(people)
    return FaceTable(
        *(np.arange(10, 10 + n), np.arange(n), np.array(people, np.int64), np.full(n, "found")),
        *(np.full(n, 0.5, np.float32), np.zeros(n, np.bool_)),
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9),
        np.zeros(n, np.int64),
    )


@given(tables())
def test_nearness_is_what_comparing_everything_with_everything_says(table: FaceTable) -> None:
    known = table.take(table.people != NOBODY)
    near = nearness(known.ids, known.people, known.embeddings, known.weights, n_shortlist=5)
    far = np.linalg.norm(known.embeddings[:, None] - known.embeddings[None], axis=2)
    np.fill_diagonal(far, np.inf)
    is_same = known.people[:, None] == known.people[None]
    own = np.where(is_same, far, np.inf).min(1, initial=np.inf)
    other = np.where(is_same, np.inf, far).min(1, initial=np.inf)
    assert near.ids.tolist() == known.ids.tolist()
    assert np.allclose(np.nan_to_num(near.own, nan=np.inf), own, atol=1e-3)
    assert np.allclose(np.nan_to_num(near.other, nan=np.inf), other, atol=1e-3)
    everybody = np.unique(known.people).tolist()
    wanted = {(a, b) for a in everybody for b in everybody if a < b}
    assert {tuple(pair) for pair in near.pairs.tolist()} == wanted
    for (a, b), distance in zip(near.pairs.tolist(), near.pair_distances.tolist(), strict=True):
        assert distance == pytest.approx(far[known.people == a][:, known.people == b].min(), abs=1e-3)


# --- examples ---


def examples_among(three: Library) -> Examples:
    return look(three).examples


def test_examples_are_the_ends_of_the_distributions(three: Library) -> None:
    found = examples_among(three)
    assert [one.value for one in found.covers] == [3, 2]
    [pair] = found.pairs
    assert {pair.one.person_id, pair.other.person_id} == {one.person_id for one in found.covers}
    distances = look(three).distances
    assert distances is not None
    assert pair.distance == pytest.approx(
        min(np.linalg.norm(fake.embedding_of(1, i) - fake.embedding_of(2, j)) for i in (0, 1) for j in (0, 1, 2)),
        abs=1e-3,
    )
    assert found.farthest == (), f"nobody has {MANY_FACES} faces"
    assert [one.value for one in found.poorest] == sorted(one.value for one in found.poorest)
    assert len(found.ids) == len(set(found.ids)) == 5


def test_nobody_who_is_hidden_is_an_example(three: Library) -> None:
    with three.app() as app:
        [largest, other] = sorted(app.catalog.people.all(), key=lambda one: -one.n_faces)
        with app.corrections.deciding() as decisions:
            decisions.hide(str(largest.id))
        found = app.stats().examples
    assert {one.person_id for one in (*found.covers, *found.poorest)} == {other.id}
    assert (found.pairs, len(found.ids)) == ((), other.n_faces)


@given(tables())
def test_the_farthest_face_of_everybody_with_many_is_an_example(table: FaceTable) -> None:
    known = table.take(table.people != NOBODY)
    near = nearness(known.ids, known.people, known.embeddings, known.weights, n_shortlist=5)
    everybody = np.unique(known.people).tolist()
    labels = {person: f"Person {person}" for person in everybody}
    found = _Finder(known, near, np.arange(len(known)), labels).farthest()
    many = [person for person in everybody if (known.people == person).sum() >= MANY_FACES]
    assert sorted(one.person_id for one in found) == many
    for one in found:
        assert one.value == near.centroid[known.people == one.person_id].max()
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)


# --- the command and its page ---


@pytest.fixture
def run(three: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setattr(WantedEngine, "info", fake.INFO)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["stats", *arguments, "--catalog", str(three.catalog), "--people", str(three.people)])
        return (code, *capsys.readouterr())

    return call


def test_the_command_prints_facts_for_people_and_all_of_them_for_programs(three: Library, run: Any) -> None:
    code, out, _ = run()
    assert code == 0
    assert re.search(r"faces  6: 6 good, 0 fair, 0 too poor to be matched\n", out)
    assert re.search(r"people  2: 0 named, 2 not; 0 hidden\n", out)
    assert re.search(r"distance to own +0\.0\d\d", out)
    code, out, _ = run("--json")
    facts = json.loads(out)
    assert facts["counts"]["n_faces"] == 6
    assert facts["distances"]["own"]["n"] == sum(facts["distances"]["own"]["histogram"]["counts"])


def test_the_page_is_whole_well_formed_and_needs_no_network(three: Library, run: Any, tmp_path: Path) -> None:
    with three.app() as app:
        app.corrections.rename(str(app.catalog.people.all()[0].id), '<Anna> & "Co"')
    file = tmp_path / "stats.html"
    code, out, _ = run("--report", str(file))
    assert (code, out.splitlines()[-1]) == (0, f"wrote {file}")
    text = file.read_text(encoding="utf-8")
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>"))
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert '<Anna> & "Co"' in "".join(page.itertext())
    titles = [title.text for title in page.iter("h3")]
    assert titles == [
        *("How many faces people have", "Who has most faces"),
        *("To the nearest other face", "To the middle of the same person", "Different people who look most alike"),
        *("All of it in one number", "Size", "Sharpness", "Pose", "The poorest faces that belong to somebody"),
    ]
    assert len(list(page.iter("svg"))) == len(titles) - 3
    pictures = [picture.get("src", "") for picture in page.iter("img")]
    assert len(pictures) == 2 + 2 + 5
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_face_whose_photo_is_away_leaves_a_place(three: Library, run: Any, tmp_path: Path) -> None:
    for photo in three.photos.iterdir():
        photo.unlink()
    assert run("--report", str(tmp_path / "stats.html"))[0] == 0
    page = ElementTree.fromstring((tmp_path / "stats.html").read_text().removeprefix("<!DOCTYPE html>"))
    assert not list(page.iter("img"))
    assert [gone.text for gone in page.iter("i")].count("gone") == 2 + 2 + 5


@pytest.mark.parametrize("name", ["stats.txt", "Photos/stats.html", "nowhere/stats.html"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(three: Library, run: Any, name: str) -> None:
    code, out, err = run("--report", str(three.base / name))
    assert (code, out) == (4, "")
    assert name.rpartition("/")[2] in err
    assert not (three.base / name).exists()
