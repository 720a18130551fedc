"""That grouping gives the same answers in little memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import make_faces

from facewatch import columns
from facewatch.clustering import average, base, make_clusterer, means, neighbours
from facewatch.clustering import cells as cells_module
from facewatch.clustering.average import group_sums
from facewatch.clustering.graph import NeighbourGraph
from facewatch.clustering.means import Room, means_within
from facewatch.clustering.vectors import UnitVectors
from facewatch.engines.arcface import NORMALISATION, THRESHOLDS
from facewatch.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ALWAYS_THE_SAME = {
    "ceiling": THRESHOLDS.cluster,
    "singleton_penalty": THRESHOLDS.singleton_penalty,
    "margin": THRESHOLDS.cluster_margin,
    "copy": THRESHOLDS.copy,
}


@contextmanager
def without_room(size: int) -> Iterator[None]:
    """Nothing is copied, and so little is worked out at a time that there are many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "means_within", lambda *_: means.LADDER[-1])
        patch.setattr(average, "VECTORS_AT_ONCE", size)
        patch.setattr(columns, "ROWS_AT_ONCE", size)
        patch.setattr(neighbours, "ASKED_AT_ONCE", size)
        patch.setattr(neighbours, "MIN_BATCH", size)
        patch.setattr(neighbours, "PICKED_AT_ONCE", size)
        yield


@given(
    seed=st.integers(0, 2**32 - 1),
    n_faces=st.integers(1, 150),
    n_copies=st.integers(0, 20),
    size=st.integers(1, 60),
    is_normalised=st.booleans(),
    in_cells=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_groups_are_the_same_in_little_memory(
    seed: int, n_faces: int, n_copies: int, size: int, is_normalised: bool, in_cells: bool
) -> None:
    library = make_faces(n_faces, seed)
    again = np.random.default_rng(seed).integers(n_faces, size=n_copies)
    embeddings = np.concatenate([library.embeddings, library.embeddings[again] * np.float32(1.0004)])
    photos = np.concatenate([library.photos, 10**6 + np.arange(n_copies)])
    clusterer = make_clusterer("whispers", normalisation=NORMALISATION if is_normalised else None, **ALWAYS_THE_SAME)
    with pytest.MonkeyPatch.context() as patch:
        if in_cells:
            patch.setattr(neighbours, "MOST_PAIRS", 0)
            patch.setattr(cells_module, "FACES_PER_CELL", 10)
        expected = clusterer.fit_predict(embeddings, photos=photos)
        with without_room(size):
            found = clusterer.fit_predict(embeddings, photos=photos)
    assert found.tolist() == expected.tolist()


@given(labels=st.lists(st.integers(-1, 4), min_size=1, max_size=40), size=st.integers(1, 7))
def test_sums_are_those_of_one_face_after_the_other(labels: list[int], size: int) -> None:
    numbers = np.unique([label for label in labels if label >= 0], return_inverse=True)[1]
    groups = np.full(len(labels), -1)
    groups[np.array(labels) >= 0] = numbers
    embeddings = np.random.default_rng(len(labels)).standard_normal((len(labels), 5)).astype(np.float32)
    expected = np.zeros((int(groups.max()) + 1, 5), np.float32)
    for group, vector in zip(groups.tolist(), embeddings, strict=True):
        if group >= 0:
            expected[group] += vector
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(average, "VECTORS_AT_ONCE", size)
        assert group_sums(groups, embeddings).tolist() == expected.tolist()


def test_vectors_that_are_worked_out_are_those_of_a_copy() -> None:
    library = make_faces(50, 3).embeddings
    rows, lengths = np.arange(49, 9, -1), np.linspace(0.999, 1.001, 40, dtype=np.float32)
    found, copy = UnitVectors(library, rows, lengths), library[rows] / lengths[:, None]
    assert (len(found), found.shape) == (40, (40, 512))
    some: list[slice | NDArray[np.int64] | NDArray[np.bool_]] = [
        *(slice(3, 9), slice(None, None, 7), np.array([5, 5, 0])),
        np.arange(40) % 3 == 0,
    ]
    for chosen in some:
        assert found[chosen].tolist() == copy[chosen].tolist()
    assert found.take(np.array([4, 2]))[:].tolist() == copy[[4, 2]].tolist()


# A limit


@given(
    seed=st.integers(0, 2**32 - 1),
    n_faces=st.integers(1, 60),
    limit=st.integers(0, 3 * means.BASE_BYTES),
    held=st.integers(0, means.BASE_BYTES // 4),
)
@settings(max_examples=40, deadline=None)
def test_with_any_limit_of_memory_groups_are_the_same_or_nothing_is_done(
    seed: int, n_faces: int, limit: int, held: int
) -> None:
    library, graph = make_faces(n_faces, seed), NeighbourGraph(ceiling=THRESHOLDS.cluster)
    expected = make_clusterer("whispers", **ALWAYS_THE_SAME).fit_predict(library.embeddings, photos=library.photos)
    limited = make_clusterer("whispers", graph=graph, room=lambda: Room(limit, held), **ALWAYS_THE_SAME)
    try:
        found = limited.fit_predict(library.embeddings, photos=library.photos, ids=np.arange(n_faces))
    except EngineError:
        assert limit - held < means.LADDER[-1].bytes_for(n_faces, 512, 64)
        assert graph.n_faces == 0
        assert not hasattr(limited, "labels_")
    else:
        assert found.tolist() == expected.tolist()


def test_the_less_memory_there_is_the_less_is_taken() -> None:
    needs = [one.bytes_for(100_000, 512, 64) for one in means.LADDER]
    assert needs == sorted(needs, reverse=True)
    assert [means_within(Room(need), 100_000, 512, 64) for need in needs] == list(means.LADDER)
    assert means_within(None, 10**7, 512, 64) == means.LADDER[0]


def test_too_little_memory_is_refused_with_what_would_do() -> None:
    room = Room(limit=1_000_000_000, held=300_000_000)
    with pytest.raises(EngineError) as caught:
        means_within(room, 1_000_000, 512, 64)
    least = means.LADDER[-1].bytes_for(1_000_000, 512, 64)
    assert str(caught.value) == (
        f"grouping 1,000,000 faces takes about {least // 10**6} MB of memory beside the 300 MB that facewatch holds, "
        "and it may take 1000 MB; raise resources.memory_mb (or the container's limit) to "
        f"{(least + room.held) // 10**6} MB"
    )
    enough = Room((least // 10**6 + 300) * 10**6, room.held)
    assert means_within(enough, 1_000_000, 512, 64) == means.LADDER[-1]
