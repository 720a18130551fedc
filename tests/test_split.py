"""Splitting a person: what users placed stays, two faces of one photo part, and nothing is done that was not shown."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
from drawn import Library
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.catalog import USER, FaceRow, FaceTable, Person
from facewatch.cli import corrections as _corrections  # noqa: F401 - adds its commands to the group
from facewatch.engines import fake
from facewatch.errors import DecisionError
from facewatch.people import split
from facewatch.people.split import KnownPlan, SplitPlan, plan_split, split_faces
from facewatch.presentation.corrections import split_notes
from facewatch.types import Box, Kept

ANNA = Person(1, "Anna", False, True, None, 0, 0)
CEILING = fake.INFO.thresholds.cluster


def vectors(*faces: tuple[int, int]) -> NDArray[np.float32]:
    """Return one vector for each (person, look); people are about 1.4 apart, looks 0.1."""
    return np.array([fake.embedding_of(*face) for face in faces], np.float32).reshape(-1, fake.N_DIMS)


def table_of(
    embeddings: NDArray[np.float32],
    *,
    photos: list[int] | None = None,
    placed: tuple[int, ...] = (),
    poor: tuple[int, ...] = (),
) -> FaceTable:
    """Return the faces of a person; ids from 1, a photo each unless said otherwise."""
    n = len(embeddings)
    return FaceTable(
        ids=np.arange(1, n + 1),
        photos=np.array(photos or range(101, 101 + n), np.int64),
        people=np.ones(n, np.int64),
        tiers=np.array(["match" if i + 1 in poor else "found" for i in range(n)], np.str_),
        qualities=np.ones(n, np.float32),
        by_user=np.array([i + 1 in placed for i in range(n)], np.bool_),
        embeddings=embeddings,
        days=np.zeros(n, np.int64),
    )


def unseen(face_id: int, photo_id: int, source: str = "auto") -> FaceRow:
    return FaceRow(face_id, photo_id, 1, source, None, Box(0, 0, 10, 10))


def parts(plan: SplitPlan) -> list[set[int]]:
    return [set(part.faces) for part in plan.parts]


TWO = vectors((1, 0), (1, 1), (1, 2), (2, 0), (2, 1))
"""Faces 1 to 3 are one person, 4 and 5 another."""


def test_two_people_come_apart_and_the_larger_part_keeps_the_name() -> None:
    plan = split_faces(ANNA, table_of(TWO), ceiling=CEILING)
    assert parts(plan) == [{1, 2, 3}, {4, 5}]
    assert plan.kept.distance is None
    assert plan.kept.photos == (101, 102, 103)
    [other] = plan.others
    assert other.spread is not None
    assert other.distance is not None
    assert other.spread < CEILING < other.distance
    assert set(other.examples) == {104, 105}


def test_one_person_stays_one_and_is_told_what_would_part_it_all_the_same() -> None:
    plan = split_faces(ANNA, table_of(vectors((1, 0), (1, 1), (1, 2))), ceiling=CEILING)
    assert parts(plan) == [{1, 2, 3}]
    assert "looks like one person" in split_notes(plan)[0]
    assert "--into 2" in split_notes(plan)[1]
    assert "--strict" in split_notes(plan)[1]


def test_the_part_with_what_a_user_placed_keeps_the_name_however_small_it_is() -> None:
    assert parts(split_faces(ANNA, table_of(TWO, placed=(5,)), ceiling=CEILING)) == [{4, 5}, {1, 2, 3}]


def test_what_users_placed_stays_together_even_when_it_looks_like_two_people() -> None:
    plan = split_faces(ANNA, table_of(TWO, placed=(1, 4)), ceiling=CEILING, into=2)
    assert {1, 4} <= set(plan.kept.faces)
    assert plan.kept.n_assigned == 2
    assert [part.n_assigned for part in plan.others] == [0]


def test_a_stranger_who_is_alone_is_found() -> None:
    for wanted in (None, 2):
        plan = split_faces(ANNA, table_of(vectors((1, 0), (1, 1), (2, 0), (1, 2))), ceiling=CEILING, into=wanted)
        assert parts(plan) == [{1, 2, 4}, {3}]
        assert plan.others[0].spread is None


def test_into_gives_so_many_parts_also_where_there_is_no_obvious_cut() -> None:
    same = vectors(*((1, look) for look in range(6)))
    for n in (2, 3, 6):
        assert len(split_faces(ANNA, table_of(same), ceiling=CEILING, into=n).parts) == n


def test_a_face_apart_from_all_is_not_taken_for_the_second_of_two_people() -> None:
    near, far = vectors((1, 0), (1, 1)), vectors((2, 0), (2, 1))
    between = near[:1] * 0.9 + far[:1] * 0.2 + vectors((3, 0)) * 0.28
    # Two people at 0.3, nearer than what the engine keeps apart, and a face a little farther.
    mixed = near * 0.955 + far * 0.28
    embeddings = np.concatenate([near, mixed, between])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    plan = split_faces(ANNA, table_of(embeddings), ceiling=CEILING, into=2)
    assert {frozenset(p & {1, 2, 3, 4}) for p in parts(plan)} == {frozenset({1, 2}), frozenset({3, 4})}


def test_strict_parts_what_is_farther_apart_than_the_strict_distance_and_nothing_else() -> None:
    base, other = vectors((1, 0))[0], vectors((2, 0))[0]
    angles = [0.0, 0.1, 0.345, 0.44]
    orthogonal = (other - base * float(base @ other)) / np.linalg.norm(other - base * float(base @ other))
    embeddings = np.array([np.cos(a) * base + np.sin(a) * orthogonal for a in angles], np.float32)
    assert len(split_faces(ANNA, table_of(embeddings), ceiling=CEILING).parts) == 1
    assert parts(split_faces(ANNA, table_of(embeddings), ceiling=CEILING, is_strict=True)) == [{1, 2}, {3, 4}]
    assert len(split_faces(ANNA, table_of(embeddings), ceiling=CEILING * 1.5, is_strict=True).parts) == 1


def test_two_faces_of_one_photo_part_unless_a_user_placed_both() -> None:
    same = vectors((1, 0), (1, 1), (1, 2))
    one_photo = [7, 7, 8]
    by_run = split_faces(ANNA, table_of(same, photos=one_photo), ceiling=CEILING)
    assert len(by_run.parts) == 2
    by_user = split_faces(ANNA, table_of(same, photos=one_photo, placed=(1, 2)), ceiling=CEILING)
    assert parts(by_user) == [{1, 2, 3}]


def test_more_parts_than_wanted_are_explained() -> None:
    plan = split_faces(ANNA, table_of(vectors((1, 0), (1, 1), (1, 2)), photos=[7, 7, 7]), ceiling=CEILING, into=2)
    assert len(plan.parts) == 3
    assert any("3 parts instead of 2" in note for note in split_notes(plan))


def test_poor_faces_make_no_part_but_follow_the_nearest() -> None:
    plan = split_faces(ANNA, table_of(vectors((1, 0), (1, 1), (2, 0), (2, 1), (2, 2)), poor=(5,)), ceiling=CEILING)
    assert {3, 4, 5} in parts(plan)
    assert any("1 face too small or too blurred" in note for note in split_notes(plan))


def test_of_poor_faces_alone_parts_are_made_all_the_same() -> None:
    plan = split_faces(ANNA, table_of(TWO, poor=(1, 2, 3, 4, 5)), ceiling=CEILING)
    assert parts(plan) == [{1, 2, 3}, {4, 5}]


def test_faces_that_the_engine_does_not_see_stay_with_the_old_person() -> None:
    plan = split_faces(ANNA, table_of(TWO), [unseen(9, 300)], ceiling=CEILING)
    assert parts(plan) == [{1, 2, 3, 9}, {4, 5}]
    assert any("1 face that cannot be compared now" in note for note in split_notes(plan))


def test_an_unseen_face_of_a_user_says_which_part_keeps_the_name() -> None:
    beside = unseen(9, 101, USER)
    plan = split_faces(ANNA, table_of(TWO), [beside], ceiling=CEILING)
    # Face 1 is in the same photo, and nobody placed it.
    assert parts(plan) == [{4, 5, 9}, {1, 2, 3}]
    everywhere = [unseen(9, 101, USER), unseen(10, 104, USER)]
    plan = split_faces(ANNA, table_of(TWO), everywhere, ceiling=CEILING)
    assert parts(plan) == [{9, 10}, {1, 2, 3}, {4, 5}]
    assert plan.others[0].distance is None


@pytest.mark.parametrize(
    ("table", "others", "wanted", "says"),
    [
        (table_of(TWO[:1]), [], None, "Anna has one face"),
        (table_of(TWO[:0]), [], None, "Anna has no face"),
        (table_of(TWO, placed=(1, 2, 3, 4, 5)), [], None, "you assigned or confirmed all 5 faces of Anna"),
        (table_of(TWO[:1]), [unseen(9, 300)], None, "sees 1 of the 2 faces"),
        (table_of(TWO), [], 6, "--into 5 is the most"),
        (table_of(TWO, placed=(1, 2)), [], 5, "--into 4 is the most"),
        (table_of(TWO), [], 1, "two parts are the fewest"),
    ],
)
def test_what_cannot_be_split_is_said(table: FaceTable, others: list[FaceRow], wanted: int | None, says: str) -> None:
    with pytest.raises(DecisionError, match=says):
        split_faces(ANNA, table, others, ceiling=CEILING, into=wanted)


class Drawn(NamedTuple):
    table: FaceTable
    unseen: list[FaceRow]


@st.composite
def people(draw: st.DrawFn) -> Drawn:
    n = draw(st.integers(2, 12))
    faces = [(draw(st.integers(1, 3)), draw(st.integers(0, 6))) for _ in range(n)]
    photos = [draw(st.integers(1, 9)) for _ in range(n)]
    ids = st.integers(1, n)
    placed, poor = draw(st.sets(ids, max_size=n - 1)), draw(st.sets(ids, max_size=n))
    hidden = [
        unseen(50 + i, draw(st.integers(1, 12)), draw(st.sampled_from([USER, "auto"])))
        for i in range(draw(st.integers(0, 3)))
    ]
    return Drawn(table_of(vectors(*faces), photos=photos, placed=tuple(placed), poor=tuple(poor)), hidden)


@given(people(), st.sampled_from(["", "strict", "2", "3"]))
@settings(max_examples=300)
def test_every_face_is_in_one_part_and_no_rule_is_broken(drawn: Drawn, how: str) -> None:
    table, hidden = drawn
    wanted = int(how) if how.isdecimal() else None
    try:
        plan = split_faces(ANNA, table, hidden, ceiling=CEILING, into=wanted, is_strict=how == "strict")
    except DecisionError:
        return
    told = [face for part in plan.parts for face in part.faces]
    assert sorted(told) == sorted([*table.ids.tolist(), *(row.id for row in hidden)])
    placed = {int(face) for face in table.ids[table.by_user]} | {row.id for row in hidden if row.source == USER}
    assert placed <= set(plan.kept.faces)
    photo_of = dict(zip(table.ids.tolist(), table.photos.tolist(), strict=True)) | {r.id: r.photo_id for r in hidden}
    for part in plan.parts:
        assert part.faces
        assert part.n_assigned == len(placed & set(part.faces))
        assert set(part.photos) == {photo_of[face] for face in part.faces} >= set(part.examples)
        for face in set(part.faces) - placed:
            assert not [other for other in part.faces if other != face and photo_of[other] == photo_of[face]]
    if wanted is not None:
        assert len(plan.parts) >= wanted or split_notes(plan)


@given(people(), st.randoms(use_true_random=False))
def test_the_order_of_the_faces_changes_no_obvious_part(drawn: Drawn, random: Any) -> None:
    table = drawn.table
    order = list(range(len(table)))
    random.shuffle(order)
    # Photos of their own: which of two equal faces in one photo leaves is a matter of order.
    alone = replace(table, photos=table.ids + 100)
    shuffled = alone.take(np.array(order))
    assert {frozenset(p) for p in parts(split_faces(ANNA, alone, ceiling=CEILING))} == {
        frozenset(p) for p in parts(split_faces(ANNA, shuffled, ceiling=CEILING))
    }


def test_faces_of_a_very_large_person_that_surely_belong_together_are_taken_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faces = vectors(*((1, look) for look in range(12)), *((2, look) for look in range(8)))
    whole = split_faces(ANNA, table_of(faces, placed=(3,)), ceiling=CEILING)
    monkeypatch.setattr(split, "MOST_UNITS", 5)
    assert parts(split_faces(ANNA, table_of(faces, placed=(3,)), ceiling=CEILING)) == parts(whole)
    assert [len(part.faces) for part in whole.parts] == [12, 8]


# --- from the command line ---


@pytest.fixture
def mixed(library: Library) -> Library:
    """Anna is two people: three photos of one, two of the other."""
    library.draw_all({"a": [(1, 0)], "b": [(1, 1)], "c": [(1, 2)], "d": [(2, 0)], "e": [(2, 1)]})
    library.scan()
    with library.app() as app:
        first, second = sorted(p.id for p in app.catalog.people.all())
        app.corrections.rename(str(first), "Anna")
        app.corrections.rename(str(second), "Anna", may_merge=True)
    return library


def test_a_split_makes_new_people_with_folders_of_their_own_and_undo_takes_it_back(mixed: Library, run: Any) -> None:
    before = mixed.tree()
    answer = run("split", "Anna", "--yes")
    assert answer.code == 0
    assert "Anna keeps 3 photos" in answer.out
    assert mixed.groups() == [{"a.png", "b.png", "c.png"}, {"d.png", "e.png"}]
    entry = answer.out.split("facewatch undo ")[1].split()[0]
    assert run("undo", "--id", entry).code == 0
    assert mixed.tree() == before


def test_the_plan_of_the_same_faces_is_kept_whatever_else_is_decided(mixed: Library) -> None:
    kept = Kept[KnownPlan]()
    with mixed.app() as app:
        anna = app.lookup.person("Anna").id

        def plan() -> SplitPlan:
            who = app.lookup.person(f"p{anna}")
            return plan_split(app.catalog, app.engine.in_use(), who, app.identities.settings, kept=kept)

        first, known = plan(), kept.value
        app.corrections.rename(f"p{anna}", "Zoe")
        again = plan()
        assert kept.value is known
        assert (again.person.name, again.parts) == ("Zoe", first.parts)
        with app.corrections.deciding() as decisions:
            decisions.confirm([f"f{first.others[0].faces[0]}"])
        assert plan().kept.n_assigned == 1
        assert kept.value is not known


def test_no_later_run_makes_them_one_again(mixed: Library, run: Any) -> None:
    assert run("split", "Anna", "--yes").code == 0
    mixed.draw("f.png", (2, 5))
    mixed.scan()
    assert mixed.groups() == [{"a.png", "b.png", "c.png"}, {"d.png", "e.png", "f.png"}]


def test_it_is_shown_with_photos_and_asked_before_anything_is_done(
    mixed: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(question: str, err: bool) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr(click, "confirm", confirm)
    before = mixed.tree()
    answer = run("split", "Anna")
    assert asked == ["Split Anna into 2 people?"]
    assert str(mixed.photos / "d.png") in answer.out
    assert "nothing was changed" in answer.out
    assert mixed.tree() == before


def test_a_dry_run_shows_the_plan_and_changes_nothing(mixed: Library, run: Any) -> None:
    before = mixed.tree()
    told = json.loads(run("split", "Anna", "--dry-run", "--json").out)
    assert (told["name"], told["is_done"], told["entry_id"]) == ("Anna", False, None)
    assert [len(part["faces"]) for part in told["parts"]] == [3, 2]
    assert [part["person_id"] for part in told["parts"]] == [told["person_id"], None]
    assert set(told["parts"][1]["examples"]) == {str(mixed.photos / "d.png"), str(mixed.photos / "e.png")}
    assert mixed.tree() == before
    done = json.loads(run("split", "Anna", "--yes", "--json").out)
    assert done["is_done"]
    assert [part["faces"] for part in done["parts"]] == [part["faces"] for part in told["parts"]]
    with mixed.app() as app:
        ids = [part["person_id"] for part in done["parts"]]
        assert [app.lookup.person(str(i)).n_faces for i in ids] == [3, 2]


def test_what_looks_like_one_person_is_left_alone(mixed: Library, run: Any) -> None:
    run("split", "Anna", "--yes")
    answer = run("split", "Anna", "--yes")
    assert answer.code == 0
    assert "Anna looks like one person" in answer.out
    assert len(mixed.groups()) == 2


def test_confirmed_faces_stay(mixed: Library, run: Any) -> None:
    assert run("confirm", str(mixed.photos / "e.png") + ":1").code == 0
    assert run("split", "Anna", "--yes").code == 0
    with mixed.app() as app:
        assert [f["name"] for f in app.lookup.photo(mixed.photos / "e.png")["faces"]] == ["Anna"]
        assert [f["name"] == "Anna" for f in app.lookup.photo(mixed.photos / "a.png")["faces"]] == [False]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("Anna", "--into", "2", "--strict"), 2, "contradict each other"),
        (("Anna", "--dry-run", "--yes"), 2, "contradict each other"),
        (("Anna", "--json"), 2, "--json asks nobody"),
        (("Anna", "--into", "1"), 2, "not in the range"),
        (("Anna", "--into", "9", "--yes"), 10, "--into 5 is the most"),
        (("Bertha", "--yes"), 9, "nobody is called 'Bertha'"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    mixed: Library, run: Any, arguments: tuple[str, ...], code: int, says: str
) -> None:
    answer = run("split", *arguments)
    assert answer.code == code
    assert says in answer.err
    assert len(mixed.groups()) == 1


def test_a_plan_writes_nothing(mixed: Library, run: Any) -> None:
    def dump() -> list[str]:
        with closing(sqlite3.connect(mixed.catalog)) as db:
            return list(db.iterdump())

    before = dump()
    assert run("split", "Anna", "--dry-run").code == 0
    assert dump() == before


def test_the_part_that_is_named_keeps_name_and_folder(mixed: Library, run: Any) -> None:
    plan = json.loads(run("split", "Anna", "--into", "2", "--dry-run", "--json").out)
    answer = run("split", "Anna", "--into", "2", "--keep", "2", "--yes", "--json")
    done = json.loads(answer.out)
    assert done["parts"][0]["faces"] == plan["parts"][1]["faces"]
    assert done["parts"][0]["person_id"] == plan["person_id"]
    assert run("split", "Anna", "--into", "2", "--keep", "3", "--dry-run").code == 10
