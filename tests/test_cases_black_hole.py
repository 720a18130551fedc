"""Poor faces that gather in one group: it draws nobody in, comes last, and one question is about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spoiled
from crowds import unit
from face_catalog import FaceCatalog
from numpy.typing import NDArray

from facewatch.catalog import Catalog
from facewatch.cohort import hubs
from facewatch.decode import decode
from facewatch.engines import arcface, fake, load_engine
from facewatch.engines.preprocessing import stretched
from facewatch.matching.chances import chance_beyond
from facewatch.people.grouping import hubs_among, middles_of
from facewatch.people.review.answers import Answer, check_answers, decide_all
from facewatch.people.review.coverage import coverage
from facewatch.types import EngineInfo, Tier

N_DIMS = 300
"""ArcFace's strangers are about as alike as random vectors of so many numbers."""
INFO = replace(fake.INFO, n_dims=N_DIMS, thresholds=arcface.THRESHOLDS, normalisation=arcface.NORMALISATION)


def people(n: int, n_faces: int, *, own: float, common: float = 0.0, seed: int = 0) -> NDArray[np.float32]:
    """Return faces of n people, those of each together; cosines are `common` between strangers, `own` more within."""
    random = np.random.default_rng(seed)
    middles, one = unit(random.normal(size=(n, N_DIMS))), unit(random.normal(size=(1, N_DIMS)))
    noise = unit(random.normal(size=(n * n_faces, N_DIMS)))
    mixed = np.sqrt(own) * middles.repeat(n_faces, axis=0) + np.sqrt(common) * one + np.sqrt(1 - own - common) * noise
    return unit(mixed)


def poor(n: int, seed: int = 9) -> NDArray[np.float32]:
    """Return faces that are as near many of each other as of those of their group: what is left of poor ones."""
    return people(1, n, own=0.35, seed=seed)


def groups_of(n: int, n_faces: int) -> NDArray[np.int64]:
    return np.arange(n).repeat(n_faces)


ORDINARY = people(30, 6, own=0.6)


def test_a_group_of_faces_that_are_near_everybody_is_a_hub() -> None:
    faces = np.concatenate([ORDINARY, poor(60)])
    # Many of the poor faces are in no group, and near those that are in one.
    groups = np.concatenate([groups_of(30, 6), np.full(20, 30), np.full(40, -1)])
    assert hubs(faces, groups, arcface.NORMALISATION).tolist() == [30]


@pytest.mark.parametrize("common", [0.0, 0.2, 0.4], ids=["family", "graded", "film"])
def test_where_all_are_alike_nobody_is_a_hub(common: float) -> None:
    faces = people(30, 6, own=0.3, common=common)
    assert not hubs(faces, groups_of(30, 6), arcface.NORMALISATION).size


@pytest.mark.parametrize("n_faces", [2, 3, 40])
def test_of_few_groups_none_is_a_hub(n_faces: int) -> None:
    faces = np.concatenate([people(5, n_faces, own=0.6), poor(60)])
    groups = np.concatenate([groups_of(5, n_faces), np.full(20, 5), np.full(40, -1)])
    assert not hubs(faces, groups, arcface.NORMALISATION).size


def test_siblings_and_somebody_with_half_of_the_photos_are_no_hubs() -> None:
    family = people(3, 6, own=0.45, common=0.2, seed=4)
    many = people(1, 200, own=0.6, seed=5)
    faces = np.concatenate([ORDINARY, family, many])
    groups = np.concatenate([groups_of(30, 6), 30 + groups_of(3, 6), np.full(200, 33)])
    assert not hubs(faces, groups, arcface.NORMALISATION).size


@pytest.mark.parametrize("n_parts", [2, 3])
def test_somebody_in_several_groups_is_no_hub(n_parts: int) -> None:
    many = people(1, 3 * n_parts, own=0.6, seed=5)
    faces = np.concatenate([ORDINARY, many])
    groups = np.concatenate([groups_of(30, 6), 30 + groups_of(n_parts, 3)])
    assert not hubs(faces, groups, arcface.NORMALISATION).size


@pytest.mark.parametrize("groups", [[], [-1, -1], [0, 0]], ids=["no faces", "no group", "one group"])
def test_hardly_any_groups_are_an_ordinary_input(groups: list[int]) -> None:
    assert not hubs(ORDINARY[: len(groups)], np.array(groups, np.int64), arcface.NORMALISATION).size


# --- real faces ---


def test_shrunk_faces_of_different_people_are_a_hub_and_none_of_the_people_is(shared: Path) -> None:
    engine = load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}")
    assert isinstance(engine, spoiled.Embedder)
    names = [f for f in sorted((shared / "photos/lfw").iterdir()) if len(list(f.glob("*.jpg"))) > 2][:24]
    crops, who = [], []
    for number, folder in enumerate(names):
        for path in sorted(folder.glob("*.jpg"))[:3]:
            with path.open("rb") as file:
                found = engine.analyse(decode(file).pixels)
            if len(found) == 1:
                crops.append(found[0].crop)
                who.append(number)
    good, people_of = np.array(crops), np.array(who)
    tiny = spoiled.spoil_all(good, lambda picture: spoiled.shrunk(picture, 7))
    faces = engine.embed(np.concatenate([good, stretched(tiny)]))
    # What a loose setting would have gathered: a third of them, the others near.
    is_gathered = np.arange(len(tiny)) % 3 == 0
    groups = np.concatenate([people_of, np.where(is_gathered, 99, -1)])
    assert hubs(faces, groups, arcface.NORMALISATION).tolist() == [99]
    assert not hubs(faces[: len(good)], people_of, arcface.NORMALISATION).size


# --- the question ---


class Known(FaceCatalog):
    """A catalog with thirty people without a name, and two groups of poor faces beside many that are in none."""

    def __init__(self, catalog: Catalog, info: EngineInfo = INFO) -> None:
        super().__init__(catalog, info)
        self.people = [self.group(ORDINARY[start : start + 6]) for start in range(0, 180, 6)]
        crowd = poor(70)
        self.hubs = [self.group(crowd[:12]), self.group(crowd[12:20])]
        self.loose(*crowd[20:], tier=Tier.MATCH)

    def group(self, vectors: NDArray[np.float32]) -> int:
        """Return a machine-made person with such faces: good enough to be matched, too poor to found anybody."""
        return self.group_of(self.loose(*vectors, tier=Tier.MATCH))

    def found(self) -> set[int]:
        table = self.catalog.faces.load(self.engine_id, n_dims=N_DIMS)
        return hubs_among(middles_of(table, arcface.NORMALISATION), self.catalog.people.all())


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Known]:
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        yield Known(catalog)


def test_one_question_is_about_all_groups_of_poor_faces_and_each_alone_comes_last(known: Known) -> None:
    (question,) = known.questions("strangers")
    assert set(question.people) == set(known.hubs)
    assert question.text == "are these 20 faces no faces, or strangers whom you do not care about?"
    assert {q.people for q in known.questions()[-2:]} == {(hub,) for hub in known.hubs}
    assert not any(set(q.people) & set(known.hubs) for q in known.questions() if q.kind in ("is", "one"))


def test_one_answer_hides_all_of_them_and_is_undone_as_one(known: Known) -> None:
    review = known.review()
    (question,) = known.questions("strangers")
    review.answer(question, Answer("hide"))
    assert all(person.is_hidden for person in map(known.catalog.people.one, known.hubs) if person)
    assert not known.questions("strangers")
    assert review.progress().n_settled == 20
    assert review.undo() == question
    assert not any(person.is_hidden for person in map(known.catalog.people.one, known.hubs) if person)
    assert [q.id for q in known.questions("strangers")] == [question.id]


def test_one_answer_says_that_none_of_them_are_faces(known: Known) -> None:
    (question,) = known.questions("strangers")
    decide_all(
        known.catalog, known.decisions, check_answers(known.catalog, known.questions(), [f"{question.id}=not-a-face"])
    )
    assert not known.found()
    assert not any(known.catalog.faces.of_person(hub) for hub in known.hubs)


def test_who_was_named_or_confirmed_is_never_called_a_stranger(known: Known) -> None:
    known.decisions.rename(str(known.hubs[0]), "Anna")
    assert known.found() == {known.hubs[1]}
    known.decisions.rename(str(known.hubs[1]), "Ben")
    assert not known.questions("strangers")


def test_without_normalised_similarities_nobody_is_called_a_stranger(known: Known) -> None:
    known.info = replace(INFO, normalisation=None)
    assert not known.questions("strangers")


def test_the_faces_of_all_groups_count_as_covered_by_the_question(known: Known) -> None:
    (question,) = known.questions("strangers")
    (covered,) = coverage([question], 100, [1])
    assert covered.n_faces == pytest.approx(0.9 * 20)


def test_people_are_listed_with_such_groups_last_until_a_user_says_something(known: Known) -> None:
    assert known.catalog.people.all()[0].id == known.hubs[0], "it has the most photos"
    with known.catalog.write():
        known.catalog.people.show_last(known.found())
    assert [person.id for person in known.catalog.people.all()][-2:] == known.hubs
    known.decisions.rename(str(known.hubs[0]), "Anna")
    assert known.catalog.people.all()[0].id == known.hubs[0]


# --- the order of other questions ---


def test_two_groups_that_are_alike_beyond_strangers_are_more_probably_one() -> None:
    chances = [chance_beyond(0.5, beyond) for beyond in (-0.3, 0.0, 0.3)]
    assert chances == sorted(chances)
    assert 0 < chance_beyond(0.0, -1.0) < chances[0]
    assert chances[-1] < chance_beyond(1.0, 1.0) < 1


def test_a_group_and_its_like_are_less_probably_one_where_more_is_asked_for_beyond_strangers(known: Known) -> None:
    twin = known.group(unit(ORDINARY[:4] + 0.02 * people(4, 1, own=0.6, seed=3)))

    def chance(info: EngineInfo) -> float:
        known.info = info
        return next(question.chance for question in known.questions("one") if twin in question.people)

    much = replace(arcface.NORMALISATION, merge=arcface.NORMALISATION.merge + 0.2)
    assert chance(replace(INFO, normalisation=None)) > 0.5
    assert chance(INFO) > chance(replace(INFO, normalisation=much)) > 0
