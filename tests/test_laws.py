"""Laws of who is who: what happens to a library may not make two people one, or one person two.

Copies of photos, strangers, a collage, the order in which photos come and how many others there are, on made faces and
on faces of real photos, through the groupings, the gallery and the catalog as a service uses them. Where a law cannot
be exact, because faces at the limit go either way, the bound stands in the test: of how many people it may fail.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from crowds import members, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from synthetic import Faces, make_faces

from facewatch.catalog import Catalog
from facewatch.clustering import METHODS, Clusterer, make_clusterer
from facewatch.clustering.graph import NeighbourGraph
from facewatch.engines import load_engine
from facewatch.engines.arcface import NEEDS, NORMALISATION, THRESHOLDS
from facewatch.engines.options import EngineOptions
from facewatch.evaluation.labelled import match, read_labels
from facewatch.matching import Gallery
from facewatch.people.identities import FixedEngine, Identities
from facewatch.types import Analysis, Box, EngineInfo, Face, Fingerprint, Quality, Tier

N_DIMS = 512
GOOD = Quality(100.0, 128.0, 64, 0.1, 0.8, Tier.ENROLL)
FAR = 1_000_000
"""Added to the number of a photo, it is that of another."""


@dataclass(frozen=True, slots=True)
class Library(Faces):
    """Faces, who they are, and the photos they are in."""

    @property
    def n_people(self) -> int:
        """Those of whom there are two faces and more."""
        return int(np.count_nonzero(np.unique(self.people, return_counts=True)[1] > 1))

    def and_also(self, other: Library) -> Library:
        return Library.together([self, other])

    def moved(self, n: int, random: np.random.Generator, noise: float = 0.0) -> Library:
        """Return the same in other photos, each face this far from itself."""
        apart = random.normal(size=self.embeddings.shape)
        apart *= noise / np.linalg.norm(apart, axis=1, keepdims=True)
        return Library(unit(self.embeddings + apart), self.people, self.photos + n * FAR)


@dataclass(frozen=True, slots=True)
class Change:
    """What another grouping of the same faces has done to people of whom there are two faces and more."""

    parted: int
    """People who are in more parts than before, every face that is alone as a part."""
    made_one: int
    """Pairs of people who are in one group now, and were in none together."""


def change(library: Library, before: NDArray[np.int64], after: NDArray[np.int64]) -> Change:
    """Compare two groupings of the faces of a library; -1: in none."""
    was, now = (parts_of(library, labels) for labels in (before, after))
    parted = sum(len(now[person]) > len(parts) for person, parts in was.items())
    return Change(parted, len(together(now) - together(was)))


def parts_of(library: Library, labels: NDArray[np.int64]) -> dict[int, set[int]]:
    """Return the groups of each person, and a number of its own for each face that is in none."""
    labels = np.where(labels < 0, -2 - np.arange(len(labels)), labels)
    people, counts = np.unique(library.people, return_counts=True)
    return {int(person): set(labels[library.people == person].tolist()) for person in people[counts > 1]}


def together(parts: dict[int, set[int]]) -> set[tuple[int, int]]:
    """Return the pairs of people who are in one group."""
    people_of: dict[int, list[int]] = {}
    for person, groups in sorted(parts.items()):
        for group in groups:
            people_of.setdefault(group, []).append(person)
    return {pair for people in people_of.values() for pair in combinations(people, 2)}


def grouping(method: str = "whispers", graph: NeighbourGraph | None = None) -> Clusterer:
    """Return what a service groups with in advanced mode."""
    return make_clusterer(
        method,
        ceiling=THRESHOLDS.cluster,
        singleton_penalty=THRESHOLDS.singleton_penalty,
        margin=THRESHOLDS.cluster_margin,
        copy=THRESHOLDS.copy,
        normalisation=NORMALISATION,
        graph=graph,
    )


def grouped(library: Library, method: str) -> NDArray[np.int64]:
    return grouping(method).fit_predict(library.embeddings, photos=library.photos)


@cache
def made(n_faces: int, seed: int) -> Library:
    faces = make_faces(n_faces, seed)
    return Library(faces.embeddings, faces.people, faces.photos)


def strangers(n: int, seed: int) -> Library:
    """Return one face each of so many people, and some that are nobody's (blurs, statues), in photos of their own."""
    faces = made(4 * n, 1_000 + seed)
    first = np.unique(faces.people, return_index=True)[1]
    chosen = faces.take(np.random.default_rng(seed).permutation(first)[:n])
    return Library(chosen.embeddings, FAR + chosen.people, FAR * 10 + chosen.photos)


def collage(library: Library, random: np.random.Generator, n_faces: int) -> Library:
    """Return a photo in which somebody who has five faces and more is several times, in new pictures."""
    people, counts = np.unique(library.people, return_counts=True)
    person = random.choice(people[counts >= 5])
    faces = library.take(random.choice(np.flatnonzero(library.people == person), n_faces, replace=False))
    new = faces.moved(1, random, noise=0.6)
    return Library(new.embeddings, new.people, np.full(n_faces, 20 * FAR))


class Arriving:
    """A catalog that analysed photos arrive in, as they do at a service in advanced mode."""

    INFO = EngineInfo(
        *("synthetic", N_DIMS, "0" * 64, "none", THRESHOLDS, NEEDS),
        sure_score=0.5,
        upright_score=0.5,
        normalisation=NORMALISATION,
    )

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(folder / "catalog.sqlite", now=lambda: "2026-01-01T00:00:00Z")
        with self.catalog.write():
            engine_id = self.catalog.engines.add(self.INFO, "now")
            self._root = self.catalog.roots.add(Path("/photos"), 1, "now")
        self._engine_id = engine_id
        self._identities = Identities(self.catalog, FixedEngine(engine_id, self.INFO))
        self._graph = NeighbourGraph(ceiling=THRESHOLDS.cluster)
        self._faces: dict[int, int] = {}

    def add(self, library: Library, rows: NDArray[np.int64]) -> None:
        """Record the photos that these faces are in, one after the other, and group what belongs to nobody."""
        _, first = np.unique(library.photos[rows], return_index=True)
        for photo in library.photos[rows][np.sort(first)]:
            own = rows[library.photos[rows] == photo]
            faces = tuple(
                Face(Box(80 * i, 0, 64, 64), (0.0,) * 10, 1.0, GOOD, library.embeddings[row])
                for i, row in enumerate(own)
            )
            with self.catalog.write():
                files, sha256 = self.catalog.files, hashlib.sha256(str(photo).encode()).digest()
                photo_id = self.catalog.photos.add(sha256, (640, 480), "JPEG", "now")
                files.record(self._root, f"{photo}.jpg", Fingerprint(1, 2, 3), photo_id=photo_id, fault=None, now="now")
                ids = self.catalog.faces.add_analysis(
                    photo_id, self._engine_id, Analysis(640, 480, "JPEG", faces), "now"
                )
                self._faces.update(zip(ids, own.tolist(), strict=True))
                self._identities.match_photo(photo_id)
        self._identities.recluster(lambda: grouping(graph=self._graph))

    def labels(self, n_faces: int) -> NDArray[np.int64]:
        table = self.catalog.faces.load(self._engine_id, n_dims=N_DIMS, is_assigned=True)
        labels = np.full(n_faces, -1, np.int64)
        for face_id, person_id in zip(table.ids.tolist(), table.people.tolist(), strict=True):
            if (row := self._faces[face_id]) < n_faces:
                labels[row] = person_id
        return labels


def arrived(library: Library, folder: Path, photos: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return who the faces are after their photos came in these batches."""
    place = Arriving(folder)
    try:
        for batch in photos:
            rank = {photo: i for i, photo in enumerate(batch.tolist())}
            rows = np.flatnonzero(np.isin(library.photos, batch))
            place.add(
                library, rows[np.argsort([rank[photo] for photo in library.photos[rows].tolist()], kind="stable")]
            )
        return place.labels(len(library))
    finally:
        place.catalog.close()


def few_of(n_people: int) -> int:
    """Return how many people a law may fail that is not exact: one in fifty, and two at the limit where there are few.

    Of a hundred seeds with two methods five needed the second, when the library grew; none more.
    """
    return 2 + n_people // 50


def is_few(found: Change, library: Library) -> bool:
    return max(found.parted, found.made_one) <= few_of(library.n_people)


methods = pytest.mark.parametrize("method", sorted(set(METHODS) - {"infomap"}))
some_methods = pytest.mark.parametrize("method", ["hdbscan", "whispers"])
seeds = st.integers(0, 99)
N_FACES = 300
"""Some fifty people with two faces and more, and as many with one."""


def laws(n_examples: int) -> settings:
    return settings(max_examples=n_examples, deadline=None)


# Made faces, grouped at once


@methods
@given(seed=seeds, share=st.sampled_from([0.1, 0.5, 1.0]), noise=st.sampled_from([0.0, 0.1, 0.25]))
@laws(4)
def test_copies_of_photos_part_nobody_and_make_nobody_one(method: str, seed: int, share: float, noise: float) -> None:
    library, random = made(N_FACES, seed), np.random.default_rng(seed)
    copied = library.take(np.isin(library.photos, [p for p in np.unique(library.photos) if random.random() < share]))
    labels = grouped(library.and_also(copied.moved(1, random, noise)), method)
    assert change(library, grouped(library, method), labels[: len(library)]) == Change(0, 0)


@some_methods
@given(seed=seeds, n=st.sampled_from([50, 300, 1_000]))
@laws(3)
def test_strangers_part_and_join_one_person_in_fifty_at_most(method: str, seed: int, n: int) -> None:
    library = made(N_FACES, seed)
    labels = grouped(library.and_also(strangers(n, seed)), method)[: len(library)]
    assert is_few(change(library, grouped(library, method), labels), library)


@methods
@given(seed=seeds, n=st.integers(2, 5))
@laws(3)
def test_a_collage_parts_one_person_and_makes_two_one_at_most(method: str, seed: int, n: int) -> None:
    """Of a hundred seeds one in four has a face less in its place, two part who is shown, one joins two others."""
    library = made(N_FACES, seed)
    several = collage(library, np.random.default_rng(seed), n)
    labels = grouped(library.and_also(several), method)[: len(library)]
    found = change(library, grouped(library, method), labels)
    assert max(found.parted, found.made_one) <= 1


@some_methods
@given(seed=seeds, n=st.sampled_from([2, 4, 8]))
@laws(3)
def test_in_a_library_some_times_as_large_one_person_in_fifty_changes_at_most(method: str, seed: int, n: int) -> None:
    whole = made(n * N_FACES // 2, seed)
    is_part = whole.people % n == 0
    part = whole.take(is_part)
    assert is_few(change(part, grouped(part, method), grouped(whole, method)[is_part]), part)


@some_methods
@given(seed=seeds)
@laws(3)
def test_more_photos_of_the_same_people_change_one_in_fifty_at_most(method: str, seed: int) -> None:
    whole = made(2 * N_FACES, seed)
    is_early = whole.photos < np.median(whole.photos)
    early = whole.take(is_early)
    found = change(early, grouped(early, method), grouped(whole, method)[is_early])
    assert is_few(found, early)


# Made faces, photo by photo


@given(seed=seeds)
@laws(2)
def test_the_order_in_which_photos_come_changes_one_person_in_fifty_at_most(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    library, random = made(N_FACES, seed), np.random.default_rng(seed)
    photos = np.unique(library.photos)
    folder = tmp_path_factory.mktemp("orders")
    at_once = arrived(library, _new(folder, "once"), [photos])
    in_parts = arrived(library, _new(folder, "parts"), np.array_split(random.permutation(photos), 4))
    assert is_few(change(library, at_once, in_parts), library)
    assert is_few(change(library, in_parts, at_once), library)


@given(seed=seeds)
@laws(2)
def test_photos_that_come_again_as_copies_change_one_person_in_fifty_at_most(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    library, random = made(N_FACES, seed), np.random.default_rng(seed)
    photos = np.unique(library.photos)
    batches = np.array_split(random.permutation(photos), 3)
    both = library.and_also(library.moved(1, random, noise=0.1))
    folder = tmp_path_factory.mktemp("copies")
    plain = arrived(library, _new(folder, "plain"), batches)
    twice = arrived(both, _new(folder, "twice"), [np.concatenate([batch, batch + FAR]) for batch in batches])
    assert is_few(change(library, plain, twice[: len(library)]), library)


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


# Made faces, asked of a gallery


@given(seed=seeds)
@laws(3)
def test_however_many_others_are_known_nobody_is_taken_for_somebody_else(seed: int) -> None:
    """Half of the faces are known, the others are asked for; then everybody of a larger library is known, too."""
    library, others = made(N_FACES, seed), made(4 * N_FACES, seed + 100)
    is_known = np.random.default_rng(seed).random(len(library)) < 0.5
    known, more = library.take(is_known), Library(others.embeddings, FAR + others.people, FAR + others.photos)
    few, many = gallery_of(known), gallery_of(known.and_also(more))
    changed, n_recognised = 0, 0
    for embedding in library.take(~is_known).embeddings:
        before, after = few.identify(embedding), many.identify(embedding)
        if before and before.is_accepted:
            n_recognised += 1
            changed += bool(after and after.is_accepted and after.person_id != before.person_id)
    assert n_recognised > 30
    assert changed <= n_recognised // 100


def gallery_of(library: Library) -> Gallery:
    gallery, n = Gallery(N_DIMS, THRESHOLDS), len(library)
    gallery.fill(library.people + 1, members(library.embeddings, np.arange(n)))
    return gallery


# Faces of real photos


@dataclass(frozen=True, slots=True)
class Real:
    """Labelled faces of real photos as the advanced engine sees them."""

    library: Library
    again: Library
    """Some of the photos, saved again at a lower quality."""


N_REAL, N_AGAIN = 120, 20


@pytest.fixture(scope="session")
def real(shared: Path) -> Real:
    engine = load_engine(f"insightface:{shared / 'models' / 'buffalo_sc_dq'}", EngineOptions())
    labels = read_labels(shared / "photos")
    several = [p for p in labels.photos if p.path.startswith("lfw/") and len(p.labels) == 1]
    people, counts = np.unique([p.labels[0].person for p in several], return_counts=True)
    wanted = set(people[(counts >= 5) & (counts <= 8)][::4].tolist())
    chosen = [p for p in several if p.labels[0].person in wanted][: N_REAL - 30]
    chosen += [p for p in labels.photos if p.path.startswith("album/") and p.labels][::7][:30]
    number = {name: i for i, name in enumerate(sorted({label.person for p in chosen for label in p.labels}))}
    rows: list[tuple[NDArray[np.float32], int, int]] = []
    for n, photo in enumerate([*chosen, *chosen[:N_AGAIN]]):
        with Image.open(shared / "photos" / photo.path) as file:
            pixels = file.convert("RGB")
        if n >= len(chosen):
            saved = io.BytesIO()
            pixels.save(saved, "JPEG", quality=70)
            pixels = Image.open(saved).convert("RGB")
        faces = engine.analyse(np.asarray(pixels))
        seen = tuple(Face(Box(*map(int, f.box)), (), f.score, GOOD, f.embedding) for f in faces)
        for label, i in match(photo.labels, Analysis(pixels.width, pixels.height, "JPEG", seen)).items():
            person = number[photo.labels[label].person]
            rows.append((faces[i].embedding, person, n % len(chosen) + FAR * (n // len(chosen))))
    whole = Library(*(np.array(column) for column in zip(*rows, strict=True)))
    return Real(whole.take(whole.photos < FAR), whole.take(whole.photos >= FAR))


def places(library: Library) -> list[tuple[int, int]]:
    return list(zip(library.photos.tolist(), library.people.tolist(), strict=True))


@methods
def test_copies_of_real_photos_are_with_their_person_and_change_nobody(method: str, real: Real) -> None:
    labels = grouped(real.library.and_also(real.again), method)
    before, after, copies = grouped(real.library, method), *np.split(labels, [len(real.library)])
    assert change(real.library, before, after) == Change(0, 0)
    of = {(photo, person): row for row, (photo, person) in enumerate(places(real.library))}
    rows = [of[photo - FAR, person] for photo, person in places(real.again)]
    assert np.count_nonzero(copies != after[rows]) <= 1


@some_methods
@given(seed=seeds)
@laws(3)
def test_a_collage_of_real_faces_makes_nobody_one(method: str, real: Real, seed: int) -> None:
    several = collage(real.library, np.random.default_rng(seed), 3)
    found = change(
        real.library,
        grouped(real.library, method),
        grouped(real.library.and_also(several), method)[: len(real.library)],
    )
    assert found.made_one == 0
    assert found.parted <= 1


@some_methods
@given(seed=seeds)
@laws(3)
def test_without_half_of_the_people_the_real_others_are_as_they_were(method: str, real: Real, seed: int) -> None:
    people = np.unique(real.library.people)
    is_there = np.isin(real.library.people, np.random.default_rng(seed).permutation(people)[::2])
    half = real.library.take(is_there)
    assert is_few(change(half, grouped(half, method), grouped(real.library, method)[is_there]), half)


def test_real_photos_in_any_order_give_the_same_people_but_for_one_in_fifty(
    real: Real, tmp_path_factory: pytest.TempPathFactory
) -> None:
    photos, folder = np.unique(real.library.photos), tmp_path_factory.mktemp("real")
    orders = [np.random.default_rng(seed).permutation(photos) for seed in (1, 2)]
    a, b = (arrived(real.library, _new(folder, str(n)), np.array_split(order, 3)) for n, order in enumerate(orders))
    assert is_few(change(real.library, a, b), real.library)
    assert is_few(change(real.library, b, a), real.library)
