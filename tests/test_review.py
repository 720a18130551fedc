"""Review: which questions are open, what answers decide, and that nobody is asked twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn import Library
from face_catalog import FaceCatalog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewatch.catalog import Catalog, Person
from facewatch.engines import fake
from facewatch.errors import DecisionError, FacewatchError, NotKnownError
from facewatch.matching.chances import chance_of_face, chance_of_group, profiles_of, second_part
from facewatch.people.review.answers import Answer, check_answers, decide_all, parse_answer
from facewatch.people.review.coverage import coverage
from facewatch.people.review.question import Question
from facewatch.types import Tier

LIMITS = fake.INFO.thresholds
SURE, DOUBTFUL, STRANGE = 0.1, 0.33, 0.8
"""Distances from the middle of a person: none is matched by itself here, but chances follow them."""


def look(person: int, far: float = 0.0, way: int = 0) -> NDArray[np.float32]:
    """Return a unit vector at this distance from the middle of a person; ways are at right angles."""
    angle = 2 * np.arcsin(far / 2)
    vector = np.zeros(fake.N_DIMS)
    vector[person], vector[20 + way] = np.cos(angle), np.sin(angle)
    return vector.astype(np.float32)


class Known(FaceCatalog):
    """People who are made of such vectors."""

    def group(self, *vectors: NDArray[np.float32]) -> int:
        """Return a machine-made person with such faces."""
        return self.group_of(self.loose(*vectors))

    def named(self, name: str, person: int, n: int = 4) -> int:
        """Return somebody with a name and photos that are near the middle."""
        person_id = self.group(*(look(person, SURE, way) for way in range(n)))
        self.decisions.rename(str(person_id), name)
        return person_id

    def mixed(self, name: str, *people: int) -> tuple[int, list[int]]:
        """Return somebody with a name, who has five faces of person 0 and two of each of these, and those faces."""
        own = self.loose(*(look(0, SURE, way) for way in range(5)))
        others = self.loose(*(look(person, SURE, way) for person in people for way in (6, 7)))
        person_id = self.group_of([*own, *others])
        self.decisions.rename(str(person_id), name)
        return person_id, others

    def answer(self, *texts: str) -> None:
        decide_all(self.catalog, self.decisions, check_answers(self.catalog, self.questions(), texts))

    def whose(self, face_id: int) -> int | None:
        return self.catalog.faces.rows([face_id])[0].person_id

    def person(self, person_id: int) -> Person:
        person = self.catalog.people.one(person_id)
        assert person is not None
        return person

    def state(self) -> dict[str, list[object]]:
        """Return everything that decisions change."""
        tables = {"people": "folder", "assignments": "at", "rejections": "at", "marks": "at", "apart": "at"}
        rows = {table: list(self.catalog._db.query(f"SELECT * FROM {table} ORDER BY 1, 2")) for table in tables}
        return {
            table: [{k: v for k, v in row.items() if k not in (tables[table], "entry_id")} for row in found]
            for table, found in rows.items()
        }


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        yield Known(catalog)


def only(questions: list[Question]) -> Question:
    [question] = questions
    return question


# --- what is asked ---


def test_nothing_is_asked_about_nothing(known: Known) -> None:
    assert known.questions() == []
    assert known.review().next() is None


def test_faces_that_look_like_somebody_with_a_name_are_asked_about_together(known: Known) -> None:
    anna = known.named("Anna", 0)
    faces = known.loose(*(look(0, SURE, way) for way in (5, 6, 7)))
    question = only(known.questions("is"))
    assert question.text == "are these 3 faces Anna?"
    assert (question.people, question.labels) == ((anna,), ("Anna",))
    assert sorted(question.faces) == sorted(question.loose) == faces
    assert question.n_faces == 3
    assert question.settles == pytest.approx(3 * question.chance)


def test_a_question_is_large_where_it_is_safe_and_small_where_it_is_doubtful(known: Known) -> None:
    known.named("Anna", 0)
    sure = known.loose(*(look(0, SURE, way) for way in range(5, 11)))
    doubtful = known.loose(look(0, DOUBTFUL, 12), look(0, DOUBTFUL, 13))
    asked = [set(question.loose) for question in known.questions("is")]
    assert set(sure) in asked
    assert all({face_id} in asked for face_id in doubtful)


@given(sizes=st.lists(st.integers(1, 5), max_size=8), at_once=st.integers(1, 6))
def test_people_are_summed_up_alike_however_many_are_at_a_time(sizes: list[int], at_once: int) -> None:
    random = np.random.default_rng(len(sizes))
    people = random.permutation(np.repeat(np.arange(1, len(sizes) + 1), sizes))
    embeddings = random.normal(size=(len(people), 4)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facewatch.matching.chances._AT_ONCE", at_once)
        found = profiles_of(people, embeddings)
    assert found.sizes.tolist() == sizes
    for number, person_id in enumerate(found.ids.tolist()):
        assert np.allclose(found.means[number], embeddings[people == person_id].mean(axis=0), atol=1e-6)


def test_a_group_that_looks_like_somebody_with_a_name_is_asked_about_as_a_whole(known: Known) -> None:
    anna = known.named("Anna", 0)
    group = known.group(*(look(0, 0.2, way) for way in (5, 6, 7)))
    question = only(known.questions("is"))
    assert (question.people, question.groups, question.loose) == ((anna, group), (group,), ())
    assert question.n_faces == 3
    assert question.labels == ("Anna", f"Person {group:04d}")


def test_a_stranger_is_asked_about_only_as_somebody_new(known: Known) -> None:
    known.named("Anna", 0)
    [face] = known.loose(look(0, STRANGE))
    assert [(question.kind, question.loose) for question in known.questions()] == [("who", (face,))]


def test_two_groups_that_look_alike_may_be_one_and_the_larger_comes_first(known: Known) -> None:
    small = known.group(look(0, 0.2, 1), look(0, 0.2, 2))
    large = known.group(*(look(0, 0.2, way) for way in (3, 4, 5)))
    question = only(known.questions("one"))
    assert question.people == (large, small)
    assert question.id == f"one:p{small}:p{large}"
    assert question.text == f"are Person {large:04d} and Person {small:04d} the same person?"
    assert question.settles == pytest.approx(2 * question.chance)


def test_two_people_with_names_are_asked_about_only_where_they_hardly_differ(known: Known) -> None:
    anna, twin = known.named("Anna", 0), known.group(*(look(0, SURE, way) for way in (8, 9)))
    known.decisions.rename(str(twin), "Hanna")
    other = known.group(look(0, 0.34, 10), look(0, 0.34, 11))
    known.decisions.rename(str(other), "Susanna")
    assert [set(question.people) for question in known.questions("one")] == [{anna, twin}]


def test_the_largest_of_those_without_a_name_comes_first_and_single_faces_last(known: Known) -> None:
    small, large = known.group(look(1), look(1, 0.05)), known.group(*(look(2, 0.05, way) for way in range(3)))
    single = known.loose(look(3))
    questions = known.questions()
    assert [question.people or question.loose for question in questions] == [(large,), (small,), tuple(single)]
    assert questions[0].text == "who is this (3 photos)?"
    assert questions[-1].text == "who is this (1 photo)?"


def test_two_faces_of_the_pool_that_are_nearly_the_same_are_asked_about_together(known: Known) -> None:
    faces = known.loose(look(0), look(0, 0.05))
    assert only(known.questions()).loose == tuple(faces)


def test_two_faces_of_one_photo_are_never_one_question(known: Known) -> None:
    anna = known.named("Anna", 0)
    both = known.photo(look(0, SURE, 5), look(0, SURE, 6))
    assert sorted(question.loose for question in known.questions("is")) == [(face_id,) for face_id in both]
    assert {question.people for question in known.questions("is")} == {(anna,)}


def test_nobody_is_asked_about_the_second_face_of_a_photo_but_about_a_group_that_may_be_there_twice(
    known: Known,
) -> None:
    first, second = known.photo(look(0, SURE, 1), look(0, SURE, 2))
    anna = known.group_of([first, *known.loose(look(0, SURE, 3))])
    known.decisions.rename(str(anna), "Anna")
    assert known.questions("is") == []
    group = known.group_of([second, *known.loose(look(0, SURE, 4))])
    [question] = [*known.questions("is"), *known.questions("one")]
    assert question.people == (anna, group)


def test_nobody_is_asked_whether_two_with_names_who_are_side_by_side_everywhere_are_one(known: Known) -> None:
    photos = [known.photo(look(0, 0.16, way), look(0, 0.16, 10 + way)) for way in range(4)]
    for name, number in (("Anna", 0), ("Berta", 1)):
        known.decisions.rename(str(known.group_of([faces[number] for faces in photos])), name)
    assert [*known.questions("is"), *known.questions("one")] == []


def test_a_face_too_poor_to_be_matched_is_not_asked_about(known: Known) -> None:
    known.named("Anna", 0)
    known.photo(look(0, SURE, 9), tier=Tier.SHOW)
    assert known.questions() == []


def test_hidden_people_are_no_question_but_may_be_the_answer(known: Known) -> None:
    hidden = known.group(*(look(0, SURE, way) for way in range(3)))
    known.decisions.hide(str(hidden))
    assert known.questions() == []
    [face] = known.loose(look(0, SURE, 5))
    question = only(known.questions("is"))
    assert (question.people, question.loose) == ((hidden,), (face,))


def test_marked_faces_are_never_asked_about(known: Known) -> None:
    known.named("Anna", 0)
    nobody, no_face = known.loose(look(0, SURE, 5), look(0, SURE, 6))
    known.decisions.unassign([str(nobody)])
    known.decisions.ignore([str(no_face)])
    assert known.questions() == []


def test_who_was_not_born_yet_is_not_asked_about(known: Known) -> None:
    anna = known.named("Anna", 0)
    [face] = known.loose(look(0, SURE, 5))
    with known.catalog.write():
        known.catalog.photos.set_taken({known.catalog.faces.rows([face])[0].photo_id: "1990-01-01T00:00:00"})
    assert len(known.questions("is")) == 1
    known.decisions.born(str(anna), "2001")
    assert known.questions("is") == []


def test_few_faces_of_somebody_with_a_name_come_before_a_stranger_with_many(known: Known) -> None:
    known.named("Anna", 0)
    known.loose(look(0, SURE, 9))
    known.group(*(look(5, 0.05, way) for way in range(8)))
    assert [question.kind for question in known.questions()] == ["is", "who"]


def test_an_improbable_yes_does_not_come_before_everything(known: Known) -> None:
    known.named("Anna", 0)
    known.loose(look(0, DOUBTFUL + 0.005, 9))
    known.group(*(look(5, 0.05, way) for way in range(8)))
    kinds = [question.kind for question in known.questions()]
    assert kinds[0] == "who"
    assert "is" in kinds


def test_faces_of_somebody_else_among_those_of_a_person_are_asked_about(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    question = only(known.questions())
    assert question.kind == "still"
    assert question.text == "are these 2 faces of Anna really Anna?"
    assert (question.people, question.labels, question.groups) == ((anna,), ("Anna",), ())
    assert sorted(question.faces) == sorted(question.loose) == others
    assert question.settles == 0
    assert question.puts_right == pytest.approx(2, abs=0.01)


def test_nobody_who_is_plainly_one_is_asked_about(known: Known) -> None:
    known.named("Anna", 0)
    assert known.questions() == []


@pytest.mark.parametrize("decide", ["hide", "unnamed"])
def test_only_people_with_names_and_folders_are_asked_about_again(known: Known, decide: str) -> None:
    if decide == "hide":
        anna, _ = known.mixed("Anna", 3)
        known.decisions.hide(str(anna))
    else:
        known.group(*(look(0, SURE, way) for way in range(5)), look(3), look(3, SURE))
    assert known.questions("still") == []


def test_what_a_user_placed_or_confirmed_is_never_asked_about(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    known.decisions.confirm([str(others[0])])
    asked = {face_id for question in known.questions("still") for face_id in question.loose}
    assert others[0] not in asked
    known.decisions.confirm_person(str(anna))
    assert known.questions() == []


def test_few_faces_that_a_user_added_do_not_put_all_others_in_doubt(known: Known) -> None:
    anna = known.named("Anna", 0, n=6)
    known.decisions.assign([str(face_id) for face_id in known.loose(look(5))], str(anna))
    assert known.questions() == []


def test_where_a_user_confirmed_the_smaller_part_the_other_is_asked_about(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    more = [row.id for row in known.catalog.faces.of_person(anna) if row.id not in others]
    known.decisions.unassign([str(more.pop())])
    known.answer(f"{only(known.questions()).id}=yes")
    assert sorted(only(known.questions()).loose) == more
    known.answer(f"{only(known.questions()).id}=no")
    assert {row.id for row in known.catalog.faces.of_person(anna)} == set(others)


def test_who_holds_somebody_else_comes_before_a_stranger_with_more_faces(known: Known) -> None:
    known.mixed("Anna", 3)
    known.group(*(look(5, 0.05, way) for way in range(8)))
    known.group(*(look(6, 0.05, way) for way in range(12)))
    kinds = [(question.kind, question.n_faces) for question in known.questions()]
    assert kinds == [("who", 12), ("still", 2), ("who", 8)]


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(0, 4))
def test_of_two_parts_the_first_has_the_block_in_whatever_order_the_faces_come(
    seed: int, n_faces: int, n_block: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_faces, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    is_block = np.arange(n_faces) < min(n_block, n_faces - 1)
    is_second = second_part(vectors, is_block)
    assert not (is_second & is_block).any()
    shuffled = rng.permutation(n_faces)
    again = second_part(vectors[shuffled], is_block[shuffled])
    assert (again == is_second[shuffled]).all() or (again == ~is_second[shuffled]).all()


@given(st.floats(0, 1.4), st.floats(0, 1.4), st.floats(0, 0.3))
def test_nearer_is_more_probable_and_so_is_a_farther_rival(far: float, next_far: float, more: float) -> None:
    for chance in (chance_of_face, chance_of_group):
        here = chance(far, next_far, LIMITS)
        assert 0.0 <= chance(far + more, next_far, LIMITS) <= here <= chance(far, next_far + more, LIMITS) <= 1.0


def test_an_id_stays_as_long_as_the_question_is_the_same(known: Known) -> None:
    known.named("Anna", 0)
    known.loose(look(0, SURE, 9))
    before = only(known.questions("is")).id
    known.group(look(7), look(7, 0.05))
    assert only(known.questions("is")).id == before
    known.loose(look(0, SURE, 10))
    assert only(known.questions("is")).id != before


def test_a_large_group_shows_faces_that_fit_best_and_those_that_fit_least(known: Known) -> None:
    odd = look(0, 0.5, 30)
    group = known.group(*(look(0, 0.05, way) for way in range(20)), odd)
    shown = only(known.questions()).faces
    rows = known.catalog.faces.of_person(group)
    assert len(shown) == 12
    assert shown[-1] == rows[-1].id


# --- what answers decide ---


def test_yes_gives_the_faces_and_the_groups_to_the_person(known: Known) -> None:
    anna, [face] = known.named("Anna", 0), known.loose(look(0, SURE, 9))
    group = known.group(look(0, SURE, 10), look(0, SURE, 11))
    known.answer(f"{only(known.questions('is')).id}=yes")
    assert known.whose(face) == anna
    assert known.catalog.people.merged_into(group) == anna
    assert known.questions() == []


def test_no_is_remembered_and_never_asked_again(known: Known) -> None:
    anna = known.named("Anna", 0)
    [face] = known.loose(look(0, SURE, 9))
    group = known.group(look(0, SURE, 10), look(0, SURE, 11))
    known.answer(f"{only(known.questions('is')).id}=no")
    assert known.questions("is") == []
    assert known.catalog.rejections.all()[face] == {anna}
    known.loose(look(0, SURE, 12))
    assert all(face not in q.loose and group not in q.groups for q in known.questions("is"))


def test_two_people_told_apart_are_never_asked_about_again(known: Known) -> None:
    known.group(look(0, 0.2, 1), look(0, 0.2, 2))
    known.group(look(0, 0.2, 3), look(0, 0.2, 4))
    known.answer(f"{only(known.questions('one')).id}=no")
    assert known.questions("one") == []


def test_two_people_become_one_and_keep_the_name(known: Known) -> None:
    small, large = known.group(look(0, 0.2, 1), look(0, 0.2, 2)), known.group(*(look(0, 0.2, w) for w in (3, 4, 5)))
    known.answer(f"{only(known.questions('one')).id}=yes")
    assert known.catalog.people.merged_into(small) == large
    known.answer(f"who:{large}=name:Anna")
    assert known.person(large).name == "Anna"


def test_a_name_that_is_taken_makes_the_group_part_of_that_person(known: Known) -> None:
    anna, group = known.named("Anna", 0), known.group(look(5), look(5, 0.05))
    known.answer(f"who:{group}=name:anna")
    assert known.catalog.people.merged_into(group) == anna
    assert known.person(anna).name == "Anna"


def test_faces_that_are_still_who_they_were_are_confirmed_and_never_asked_about_again(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    before = known.state()["rejections"]
    known.answer(f"{only(known.questions()).id}=yes")
    assert [row.source for row in known.catalog.faces.rows(others)] == ["user", "user"]
    assert known.state()["rejections"] == before
    assert {known.whose(face_id) for face_id in others} == {anna}
    assert known.questions() == []


def test_faces_that_are_somebody_else_leave_and_come_up_together(known: Known) -> None:
    anna, others = known.mixed("Anna", 3, 3)
    known.answer(f"{only(known.questions()).id}=no")
    assert [known.whose(face_id) for face_id in others] == [None] * 4
    assert all(known.catalog.rejections.all()[face_id] == {anna} for face_id in others)
    assert known.person(anna).n_faces == 5


def test_faces_that_left_somebody_together_are_one_question_who_they_are(known: Known) -> None:
    known.group(*(look(5, 0.05, way) for way in range(3)))
    own = known.loose(*(look(0, SURE, way) for way in range(5)))
    others = known.loose(*(look(3, SURE, way) for way in range(4)))
    known.decisions.rename(str(known.group_of([*own, *others])), "Anna")
    known.answer(f"{only(known.questions('still')).id}=no")
    who = known.questions()
    assert sorted(who[0].faces) == others
    assert [question.n_faces for question in who] == [4, 3]
    known.answer(f"{who[0].id}=name:Ben")
    assert len({known.whose(face_id) for face_id in others}) == 1
    assert known.person(known.whose(others[0]) or 0).name == "Ben"


def test_faces_of_one_photo_that_left_somebody_are_not_asked_about_together(known: Known) -> None:
    anna = known.named("Anna", 0)
    faces = [face_id for way in (1, 2) for face_id in known.photo(look(3, SURE, way), look(3, SURE, way + 2))]
    known.decisions.reject([str(face_id) for face_id in faces], str(anna))
    for question in known.questions():
        photos = [row.photo_id for row in known.catalog.faces.rows(question.loose)]
        assert len(set(photos)) == len(photos)


def test_faces_that_are_somebody_else_can_be_given_a_name_at_once(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    known.answer(f"{only(known.questions()).id}=name:Ben")
    ben = known.whose(others[0])
    assert ben != anna
    assert known.person(ben or 0).name == "Ben"
    assert (known.person(anna).name, known.person(anna).n_faces) == ("Anna", 5)


def test_what_is_no_face_leaves_the_person(known: Known) -> None:
    anna, others = known.mixed("Anna", 3)
    known.answer(f"{only(known.questions()).id}=not-a-face")
    assert [known.whose(face_id) for face_id in others] == [None, None]
    assert (known.person(anna).n_faces, known.questions()) == (5, [])


def test_faces_of_somebody_cannot_be_hidden(known: Known) -> None:
    known.mixed("Anna", 3)
    with pytest.raises(NotKnownError, match="there is yes, no, name:NAME, not-a-face, skip"):
        known.answer(f"{only(known.questions()).id}=hide")


@pytest.mark.parametrize("said", ["yes", "no", "name:Ben", "name:Anna", "not-a-face"])
def test_what_was_said_of_faces_of_somebody_can_be_undone(known: Known, said: str) -> None:
    known.mixed("Anna", 3)
    review, before = known.review(), known.state()
    question = only(review.questions())
    [(_, answer)] = check_answers(known.catalog, [question], [f"{question.id}={said}"])
    assert review.answer(question, answer)
    assert known.state() != before
    assert review.undo() == question
    assert {**known.state(), "people": []} == {**before, "people": []}
    assert review.next() == question


def test_single_faces_found_somebody_new_or_go_to_who_is_called_so(known: Known) -> None:
    one, other = known.loose(look(1), look(2))
    known.answer(f"who:face:{one}=name:Ben")
    ben = known.whose(one)
    assert ben is not None
    assert known.person(ben).name == "Ben"
    known.answer(f"who:face:{other}=name:Ben")
    assert known.whose(other) == ben


def test_faces_that_were_asked_about_for_one_person_can_be_another(known: Known) -> None:
    anna, ben = known.named("Anna", 0), known.named("Ben", 1)
    [face] = known.loose(look(0, SURE, 9))
    known.answer(f"{only(known.questions('is')).id}=name:Ben")
    assert known.whose(face) == ben != anna


@pytest.mark.parametrize("said", ["not-a-face", "hide"])
def test_what_is_nobody_is_not_asked_about_again(known: Known, said: str) -> None:
    [face], group = known.loose(look(1)), known.group(look(2), look(2, 0.05))
    known.answer(f"who:face:{face}={said}", f"who:{group}={said}")
    assert known.questions() == []
    assert known.person(group).is_hidden == (said == "hide")


def test_to_skip_decides_nothing(known: Known) -> None:
    [face] = known.loose(look(1))
    before = known.state()
    known.answer(f"who:face:{face}=skip")
    assert known.state() == before
    assert only(known.questions()).loose == (face,)


@pytest.mark.parametrize("said", ["yes", "no", "name:Ben", "name:Anna", "not-a-face", "hide"])
def test_every_answer_can_be_undone(known: Known, said: str) -> None:
    known.named("Anna", 0)
    known.loose(look(0, SURE, 9))
    known.group(look(0, SURE, 10), look(0, SURE, 11))
    review, before = known.review(), known.state()
    question = review.next()
    assert question is not None
    [(_, answer)] = check_answers(known.catalog, [question], [f"{question.id}={said}"])
    assert review.answer(question, answer)
    assert known.state() != before
    assert review.undo() == question
    # That somebody came into being and is gone stays on record: ids are never used again.
    assert {**known.state(), "people": []} == {**before, "people": []}
    assert [p.label for p in known.catalog.people.all()] == ["Anna", *(p.label for p in known.catalog.people.all()[1:])]
    assert review.next() == question


# --- answers from outside ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("is:5:3fa9c1=yes", ("is:5:3fa9c1", Answer("yes"))),
        ("one:12:31 = no", ("one:12:31", Answer("no"))),
        ("who:12=name:Anna = Maria", ("who:12", Answer("name", "Anna = Maria"))),
        ("who:12=name: Anna  Maria ", ("who:12", Answer("name", "Anna Maria"))),
        ("who:face:8+9=not-a-face", ("who:face:8+9", Answer("not-a-face"))),
        ("who:12=hide", ("who:12", Answer("hide"))),
        ("who:12=skip", ("who:12", Answer("skip"))),
    ],
)
def test_an_answer_is_a_question_and_what_is_said(text: str, said: tuple[str, Answer]) -> None:
    assert parse_answer(text) == said
    assert parse_answer(f"{said[0]}={said[1]}") == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "who:12",
        "=yes",
        "who:12=",
        "who:12=maybe",
        "who:12=name",
        "who:12=name:",
        "who:12=divide",
        "who:12=yes:Anna",
        "who:12=name:Person 0012",
    ],
)
def test_what_is_no_answer_says_so(text: str) -> None:
    with pytest.raises(NotKnownError):
        parse_answer(text)


def test_a_question_that_is_not_open_is_refused_by_its_id(known: Known) -> None:
    group = known.group(look(1), look(1, 0.05))
    known.answer(f"who:{group}=name:Anna")
    for question_id in (f"who:p{group}", "who:p77", "is:p1:ffffff"):
        with pytest.raises(NotKnownError, match=f"{question_id}.*no open question"):
            known.answer(f"{question_id}=skip")


@pytest.mark.parametrize("said", ["yes", "no"])
def test_who_is_this_is_no_question_for_yes_or_no(known: Known, said: str) -> None:
    group = known.group(look(1), look(1, 0.05))
    with pytest.raises(NotKnownError, match=f"who:p{group}.*cannot be answered with {said}; there is name:NAME"):
        known.answer(f"who:{group}={said}")


def test_one_question_is_answered_once(known: Known) -> None:
    group = known.group(look(1), look(1, 0.05))
    with pytest.raises(DecisionError, match=f"who:p{group} is answered twice: name:Anna and name:Ben"):
        known.answer(f"who:{group}=name:Anna", f"who:{group}=name:Ben")
    assert known.person(group).name is None
    known.answer(f"who:{group}=name:Anna", f"who:{group}=name:Anna")
    assert known.person(group).name == "Anna"


def test_answers_that_make_two_named_people_one_are_refused_together(known: Known) -> None:
    known.named("Anna", 0)
    group = known.group(*(look(0, 0.2, way) for way in (5, 6)))
    question = only(known.questions("is"))
    with pytest.raises(DecisionError, match=f"{question.id}=yes, who:p{group}=name:Ben.*anna and ben"):
        known.answer(f"{question.id}=yes", f"who:{group}=name:Ben")
    with pytest.raises(DecisionError, match="contradict"):
        known.answer(f"{question.id}=no", f"who:{group}=name:Anna")
    with pytest.raises(DecisionError, match="contradict"):
        known.answer(f"who:{group}=not-a-face", f"{question.id}=yes")
    assert known.person(group).name is None
    known.answer(f"{question.id}=yes", f"who:{group}=name:Anna")
    assert known.catalog.people.merged_into(group) is not None


def test_two_groups_said_to_be_one_and_named_are_one_person_in_any_order(known: Known) -> None:
    for texts in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        one, other = (known.group(look(9, 0.2, w), look(9, 0.2, w + 1)) for w in (1, 3))
        answers = [f"one:{one}:{other}=yes", f"who:{one}=name:Eve", f"who:{other}=name:Eve"]
        known.answer(*(answers[i] for i in texts))
        assert {p.name for p in known.catalog.people.all()} == {"Eve"}
        known.decisions.forget("Eve")


def test_nothing_is_decided_when_one_answer_is_wrong(known: Known) -> None:
    group, other = known.group(look(1), look(1, 0.05)), known.group(look(2), look(2, 0.05))
    before = known.state()
    for wrong in (f"who:{other}=yes", "who:999=hide", "nonsense"):
        with pytest.raises(FacewatchError):
            known.answer(f"who:{group}=name:Anna", wrong)
    assert known.state() == before


def test_nothing_is_decided_when_the_last_decision_contradicts_an_earlier_one(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, other = known.group(look(1), look(1, 0.05)), known.group(look(2), look(2, 0.05))
    answers = check_answers(known.catalog, known.questions(), [f"who:{group}=name:Anna", f"who:{other}=hide"])
    before, n_made = known.state(), len(known.decisions.made)

    def refuse(who: str) -> None:
        raise DecisionError(who)

    monkeypatch.setattr(known.decisions, "hide", refuse)
    with pytest.raises(DecisionError):
        decide_all(known.catalog, known.decisions, answers)
    assert known.state() == before
    assert len(known.decisions.made) == n_made


# --- going through them ---


def test_a_review_goes_on_until_nothing_is_open(known: Known) -> None:
    known.named("Anna", 0)
    known.loose(*(look(0, SURE, way) for way in (9, 10)))
    known.group(look(5), look(5, 0.05))
    review, n = known.review(), 0
    while (question := review.next()) is not None:
        review.answer(question, Answer("yes") if question.kind == "is" else Answer("name", f"Somebody {n}"))
        n += 1
    progress = review.progress()
    assert (progress.n_answered, progress.n_settled, progress.n_open, progress.n_questions) == (2, 4, 0, 0)


def test_a_mixed_question_is_asked_again_in_two(known: Known) -> None:
    known.named("Anna", 0)
    near = known.loose(*(look(0, SURE, way) for way in (9, 10, 11)))
    far = known.loose(*(look(0, 0.2, 12) for _ in range(2)))
    review = known.review()
    whole = review.next()
    assert whole is not None
    assert set(whole.loose) == {*near, *far}
    review.answer(whole, Answer("divide"))
    halves = [set(question.loose) for question in review.questions() if question.kind == "is"]
    assert sorted(map(sorted, halves)) == sorted([near, far])
    assert review.undo() == whole
    assert review.next() == whole


def test_faces_of_somebody_who_are_not_all_the_same_are_asked_about_in_two(known: Known) -> None:
    anna, others = known.mixed("Anna", 3, 4)
    review = known.review()
    whole = only(review.questions())
    assert sorted(whole.loose) == others
    review.answer(whole, Answer("divide"))
    halves = [question for question in review.questions() if question.kind == "still"]
    assert sorted(sorted(question.loose) for question in halves) == [others[:2], others[2:]]
    review.answer(halves[0], Answer("no"))
    review.answer(halves[1], Answer("yes"))
    assert {known.whose(face_id) for face_id in halves[0].loose} == {None}
    assert {known.whose(face_id) for face_id in halves[1].loose} == {anna}
    assert [review.undo() for _ in range(3)] == [halves[1], halves[0], whole]
    assert review.next() == whole


def test_a_question_about_faces_that_somebody_lost_meanwhile_is_passed_over(known: Known) -> None:
    _, others = known.mixed("Anna", 3)
    review = known.review(n_between=100)
    stale = only(review.questions())
    for decide in (known.decisions.confirm, known.decisions.unassign):
        decide([str(others[0])])
        assert review.next() != stale
        with pytest.raises(DecisionError, match="resolved meanwhile"):
            review.answer(stale, Answer("yes"))


def test_dividing_again_and_again_ends_with_single_faces(known: Known) -> None:
    known.named("Anna", 0)
    faces = known.loose(*(look(0, SURE, way) for way in range(9, 14)))
    known.group(look(0, SURE, 15), look(0, SURE, 16))
    review = known.review()
    while divisible := [q for q in review.questions() if q.kind == "is" and len(q.loose) + len(q.groups) > 1]:
        review.answer(divisible[0], Answer("divide"))
    asked = [question for question in review.questions() if question.kind == "is"]
    assert sorted(face_id for question in asked for face_id in question.loose) == faces
    assert len(asked) == len(faces) + 1
    with pytest.raises(DecisionError, match="cannot be divided"):
        review.answer(asked[0], Answer("divide"))


def test_what_was_skipped_comes_up_in_the_next_review(known: Known) -> None:
    known.loose(look(1))
    review = known.review()
    question = review.next()
    assert question is not None
    review.answer(question, Answer("skip"))
    assert review.next() is None
    assert known.review().next() == question
    assert review.undo() == question == review.next()


def test_a_question_that_another_process_settled_is_passed_over(known: Known) -> None:
    one, other = known.loose(look(1), look(2))
    review = known.review(n_between=100)
    assert len(review.questions()) == 2
    known.decisions.assign([str(one)], "Ben", is_new=True)
    question = review.next()
    assert question is not None
    assert question.loose == (other,)
    stale = next(q for q in review.questions() if q.loose == (one,))
    with pytest.raises(DecisionError, match="resolved meanwhile"):
        review.answer(stale, Answer("name", "Eve"))


def test_questions_that_came_up_meanwhile_are_found_when_the_others_are_answered(known: Known) -> None:
    known.loose(look(1))
    review = known.review(n_between=100)
    first = review.next()
    assert first is not None
    known.loose(look(2))
    review.answer(first, Answer("name", "Ben"))
    second = review.next()
    assert second is not None
    assert second.loose != first.loose


def test_to_undo_nothing_is_nothing(known: Known) -> None:
    assert known.review().undo() is None


def test_coverage_counts_a_face_once_however_many_questions_are_about_it(known: Known) -> None:
    known.named("Anna", 0)
    known.group(*(look(0, 0.2, way) for way in (5, 6, 7)))
    questions = known.questions()
    assert [question.kind for question in questions] == ["is", "who"]
    n_open = known.catalog.faces.n_open()
    steps = coverage(questions, n_open, (1, 2, 50))
    assert n_open == 3
    assert [step.n_answers for step in steps] == [1, 2]
    assert steps[0].n_faces == steps[1].n_faces == pytest.approx(questions[0].settles)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    looks=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.05, 0.2, 0.3, 0.33, 0.4])), max_size=14),
    said=st.lists(st.sampled_from(["yes", "no", "name", "hide", "not-a-face", "divide"]), min_size=25, max_size=25),
)
def test_whatever_is_answered_no_question_comes_back_and_no_photo_holds_somebody_twice(
    tmp_path_factory: pytest.TempPathFactory, looks: list[tuple[int, float]], said: list[str]
) -> None:
    with Catalog(tmp_path_factory.mktemp("review") / "catalog.sqlite") as catalog:
        known = Known(catalog)
        known.named("Anna", 0)
        for i, (person, far) in enumerate(looks):
            if i % 3:
                known.photo(look(person, far, 10 + i), look(person, far, 10 + i))
            else:
                known.group(look(person, far, 10 + i), look(person, far, 11 + i))
        known.mixed("Cleo", 2, 1)
        review, asked = known.review(), set()
        for verb in said:
            if (question := review.next()) is None:
                break
            assert question.id not in asked
            asked.add(question.id)
            answer = Answer("name", "Ben") if verb == "name" else Answer(verb)  # type: ignore[arg-type]
            try:
                review.answer(question, answer)
            except FacewatchError:
                review.answer(question, Answer("skip"))
        rows = [row for p in catalog.people.all() for row in catalog.faces.of_person(p.id) if row.source != "user"]
        assert len({(row.photo_id, row.person_id) for row in rows}) == len(rows)


# --- in the service ---


def test_a_review_of_a_library_names_people_and_their_folders_follow(library: Library) -> None:
    library.draw_all({"a": [(1, 0)], "b": [(1, 1)], "c": [(2, 0)], "d": [(3, 0)], "e": [(3, 1)]})
    library.scan()
    with library.app() as app:
        review = app.review()
        for name in ("Anna", "Ben"):
            question = review.next()
            assert question is not None
            assert question.n_faces == 2
            review.answer(question, Answer("name", name))
        assert {path.partition("/")[0] for path in library.tree()} == {"Anna", "Ben"}
        single = only(app.review().questions())
        app.review().take([f"{single.id}=name:Cleo"])
        assert library.tree()["Cleo/c.png"] == "c.png"
        assert review.next() is None


def test_a_large_catalog_is_looked_through_in_seconds(known: Known) -> None:
    """A tenth of what a large library has: the whole is measured by hand."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4_000, fake.N_DIMS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for vector in vectors[:1000]:
        known.photo(vector)
    started = time.process_time()
    assert len(known.questions()) > 900
    assert time.process_time() - started < 5
