"""Who of the others is nearest to a face, as people change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewatch.catalog import NOBODY
from facewatch.matching.chances import Profiles, profiles_of
from facewatch.matching.search import Block
from facewatch.people.nearest_others import after_changes, by_id, nearest_others

if TYPE_CHECKING:
    from facewatch.types import Floats

N_PEOPLE = 6


def _unit(n: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _looking(looks: dict[int, int]) -> Profiles:
    """Return people by how each looks: the same number is the same face."""
    ids = np.array(sorted(looks), np.int64)
    vectors = np.concatenate([np.zeros((0, 8), np.float32), *(_unit(1, looks[one]) for one in ids.tolist())])
    return profiles_of(ids, vectors)


_people = st.dictionaries(st.integers(1, N_PEOPLE), st.integers(0, 9))


@given(before=_people, after=_people, seed=st.integers(0, 5))
def test_only_what_changed_is_compared_and_the_answer_is_that_of_all(
    before: dict[int, int], after: dict[int, int], seed: int
) -> None:
    faces = Block(np.arange(10, 30), _unit(20, seed))
    changed = [one for one in range(1, N_PEOPLE + 1) if before.get(one) != after.get(one)]
    found = after_changes(nearest_others(faces, _looking(before)), changed, _looking(after))
    wanted = nearest_others(faces, _looking(after))
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_allclose(found.next_distances, wanted.next_distances, atol=1e-6)
    # Of two who look the same either is right.
    looks_of = {NOBODY: None} | after
    assert [looks_of[one] for one in found.next_ids.tolist()] == [looks_of[one] for one in wanted.next_ids.tolist()]


def test_faces_that_come_are_among_those_that_were_there_by_id() -> None:
    people, vectors = _looking({1: 1, 2: 2}), _unit(4, 3)
    whole = nearest_others(Block(np.arange(4), vectors), people)
    parts = [nearest_others(Block(np.array(ids), vectors[ids]), people) for ids in ([1, 3], [0, 2])]
    together = by_id(*parts)
    assert together.ids.tolist() == whole.ids.tolist()
    assert together.next_ids.tolist() == whole.next_ids.tolist()
