"""One person twice in one photo: collages, mirrors, posters, bursts side by side; and twins, who are two."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facewatch.catalog import NOBODY, FaceTable
from facewatch.clustering import make_clusterer
from facewatch.clustering.twice import GAP, compare, may_be_one
from facewatch.engines import load_engine
from facewatch.engines.arcface import THRESHOLDS
from facewatch.people.cluster_plan import Group, plan_groups
from facewatch.people.review.questions import open_questions
from facewatch.types import Engine, Tier

Picture = Image.Image
N_DIMS = 128

# --- the cases: real photos, composed ---


@pytest.fixture(params=["face_recognition", "insightface"])
def engine(request: pytest.FixtureRequest, shared: Path) -> Engine:
    name = request.param
    return load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}" if name == "insightface" else name)


@pytest.fixture
def of(shared: Path) -> Any:
    """Return the n-th photo of somebody."""

    def picture(name: str, number: int) -> Picture:
        with Image.open(sorted((shared / "photos/lfw" / name).glob("*.jpg"))[number]) as photo:
            return photo.convert("RGB")

    return picture


def beside(*pictures: Picture) -> Picture:
    """Return a collage in one row."""
    sheet = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def scan(library: Library, engine: Engine, **photos: Picture) -> list[tuple[str, int]]:
    """Store these photos and return who is there then, with the number of their faces."""
    for name, picture in photos.items():
        picture.save(library.photos / f"{name}.jpg", quality=92)
    with library.app(engine=engine) as app:
        app.pipeline.scan()
        assert app.catalog.faults() == []
        return sorted((p.label, p.n_faces) for p in app.catalog.people.all() if p.n_faces)


def named(library: Library, engine: Engine, who: str, name: str) -> None:
    with library.app(engine=engine) as app:
        app.corrections.rename(who, name)


def test_a_collage_beside_nine_photos_leaves_one_person(library: Library, engine: Engine, of: Any) -> None:
    """It was 8 + 3 faces."""
    singles = {f"s{i}": of("Wen_Jiabao", i) for i in range(9)}
    collage = beside(of("Wen_Jiabao", 9), of("Wen_Jiabao", 10))
    assert scan(library, engine, **singles, zz=collage) == [("Person 0001", 10)]


def test_second_faces_beside_a_named_person_found_nobody(library: Library, engine: Engine, of: Any) -> None:
    """They founded Person 0002, who took her ordinary photos."""
    who = "Venus_Williams"
    scan(library, engine, **{f"s{i}": of(who, i) for i in range(4)})
    named(library, engine, "1", "Venus")
    for i, (one, other) in enumerate(((4, 5), (6, 7), (8, 4))):
        scan(library, engine, **{f"collage{i}": beside(of(who, one), of(who, other))})
    assert scan(library, engine, **{f"z{i}": of(who, i) for i in (9, 10, 11)}) == [("Venus", 10)]


def test_people_made_of_collages_are_joined_when_ordinary_photos_arrive(
    library: Library, engine: Engine, of: Any
) -> None:
    """Six faces in three photos are two people until more is known; then it was three people (5 + 7, or 7 + 3 + 2)."""
    who = "Venus_Williams"
    collages = {f"c{i}": beside(of(who, 2 * i), of(who, 2 * i + 1)) for i in range(3)}
    assert scan(library, engine, **collages) == [("Person 0001", 3), ("Person 0002", 3)]
    assert scan(library, engine, **{f"s{i}": of(who, i) for i in range(6, 12)}) == [("Person 0001", 9)]


def test_a_poster_a_burst_in_one_sheet_and_a_photo_of_a_photo_are_one_person(
    library: Library, shared: Path, of: Any
) -> None:
    """They were 6 + 3 + 2 + 2 (the burst), 6 + 2 (the poster), and 3 + 8 faces."""
    who = "Venus_Williams"
    burst = beside(*(of(who, 6).crop((3 * i, 2 * i, 238 + 3 * i, 242 + 2 * i)) for i in range(4)))
    poster = Image.new("RGB", (600, 400), "grey")
    poster.paste(of(who, 5), (20, 120))
    poster.paste(of("Jennifer_Capriati", 0), (320, 120))
    poster.paste(of(who, 8).resize((140, 140)), (190, 0))
    photo_of_photo = of(who, 7).resize((600, 600))
    photo_of_photo.paste(of(who, 9).resize((150, 150)), (440, 440))
    others = {f"j{i}": of("Jennifer_Capriati", i) for i in range(1, 5)}
    found = scan(
        *(library, load_engine(f"insightface:{shared / 'models/buffalo_sc_dq'}")),
        **{f"s{i}": of(who, i) for i in range(5)},
        **{"burst": burst, "poster": poster, "photo_of_photo": photo_of_photo, **others},
    )
    assert found == [("Person 0001", 8), ("Person 0002", 5)]


def test_two_sheets_of_four_photos_leave_one_person(library: Library, engine: Engine, of: Any) -> None:
    """They were four people."""
    sheets = [
        np.vstack([beside(*row) for row in ((a, b), (c, d))])
        for a, b, c, d in ([of("Venus_Williams", i) for i in numbers] for numbers in ((5, 6, 7, 8), (9, 10, 11, 5)))
    ]
    photos = {f"s{i}": of("Venus_Williams", i) for i in range(5)}
    found = scan(library, engine, **photos, **{f"m{i}": Image.fromarray(sheet) for i, sheet in enumerate(sheets)})
    assert found == [("Person 0001", 7)]


def test_mirror_selfies_alone_are_one_person(library: Library, of: Any) -> None:
    """They were two people with all photos each."""
    selfies = {f"m{i}": of("Venus_Williams", i) for i in range(4)}
    selfies = {name: beside(photo, ImageOps.mirror(photo)) for name, photo in selfies.items()}
    assert scan(library, load_engine("face_recognition"), **selfies) == [("Person 0001", 4)]


def test_brothers_side_by_side_all_over_an_album_stay_two(library: Library, engine: Engine, of: Any) -> None:
    album = {f"c{i}": beside(of("George_W_Bush", i), of("Jeb_Bush", i)) for i in range(8)}
    found = scan(library, engine, **album)
    # They are never one; a face between the two may stay nobody's.
    assert [name for name, _ in found] == ["Person 0001", "Person 0002"]
    assert all(n_faces >= 7 for _, n_faces in found)


# --- what users said, on drawn faces ---


def faces_of(library: Library, name: str) -> list[int | None]:
    """Return whose each face of a photo is, from left to right."""
    with library.app() as app:
        return [face["person_id"] for face in app.lookup.photo(library.photos / name)["faces"]]


def venus(library: Library, n_collages: int, n_singles: int = 4) -> None:
    """Draw and scan somebody who is named 1, then collages."""
    library.draw_looks(1, n_singles, "s")
    library.scan()
    with library.app() as app:
        app.corrections.rename("1", "Venus")
    for i in range(n_collages):
        library.draw(f"c{i}.png", (1, 100 + i), (1, 200 + i))
    library.scan()


def test_of_a_collage_one_face_is_the_named_persons_and_the_other_waits(library: Library) -> None:
    venus(library, 3)
    assert library.groups() == [{f"{name}.png" for name in ("s0", "s1", "s2", "s3", "c0", "c1", "c2")}]
    assert [sorted(faces_of(library, f"c{i}.png"), key=str) for i in range(3)] == [[1, None]] * 3


def test_who_is_beside_a_named_person_everywhere_is_somebody_else(library: Library) -> None:
    """Eight photos of four: more than a few collages."""
    venus(library, 8)
    assert len(library.groups()) == 2


def test_faces_that_are_not_the_named_person_as_a_user_said_found_another(library: Library) -> None:
    venus(library, 3)
    with library.app() as app, app.corrections.deciding() as decisions:
        second = [f["face_id"] for i in range(3) for f in app.lookup.photo(library.photos / f"c{i}.png")["faces"]]
        rows = app.catalog.faces.rows(second)
        decisions.reject([f"f{row.id}" for row in rows if row.person_id is None], "Venus")
    library.scan()
    assert len(library.groups()) == 2
    library.draw("new.png", (1, 250))
    library.scan()
    assert len(library.groups()) == 2


def test_an_undone_name_leaves_second_faces_with_nobody(library: Library) -> None:
    venus(library, 2)
    with library.app() as app:
        app.corrections.undo()
    library.scan()
    assert len(library.groups()) == 1


def test_the_order_of_arrival_does_not_part_a_person(library: Library) -> None:
    photos = [("c0", (1, 10), (1, 11)), *((f"s{i}", (1, i)) for i in range(4)), ("c1", (1, 12), (1, 13))]
    for name, *drawn in photos:
        library.draw(f"{name}.png", *drawn)
        library.scan()
    assert library.groups() == [{f"{name}.png" for name, *_ in photos}]


def test_two_named_people_who_are_probably_one_are_asked_about_first(library: Library) -> None:
    for i in range(6):
        library.draw(f"a{i}.png", (1, i))
        library.draw(f"b{i}.png", (2, i))
    library.draw_looks(3, 9, "c")
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.assign([str(library.photos / f"a{i}.png") for i in range(3)], "Anna", is_new=True)
        decisions.assign([str(library.photos / f"a{i}.png") for i in range(3, 6)], "Anne", is_new=True)
    library.scan()
    with library.app() as app:
        first, *_ = open_questions(app.catalog, app.engine.id, app.engine.info)
        assert first.text == "are Anna and Anne the same person?"
        assert sorted(p.name for p in app.catalog.people.all() if p.name) == ["Anna", "Anne"]


# --- groups that become one later ---


class Labels:
    """A clusterer that answers what it was given."""

    def __init__(self, labels: Sequence[int]) -> None:
        self.labels_ = np.array(labels, np.int64)

    def fit_predict(
        self, embeddings: NDArray[np.float32], *, photos: NDArray[np.int64], ids: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        return self.labels_


def plan(
    people: Sequence[int],
    photos: Sequence[int],
    faces: NDArray[np.float32],
    labels: Sequence[int],
    *,
    staying: Collection[int] = (),
    apart: Mapping[int, Collection[int]] | None = None,
    rejections: Mapping[int, Collection[int]] | None = None,
) -> list[Group]:
    """Return what is done with these faces of people without a name; NOBODY is the pool."""
    n = len(people)
    table = FaceTable(
        *(np.arange(n), np.array(photos), np.array(people), np.full(n, Tier.ENROLL.value)),
        *(np.ones(n, np.float32), np.zeros(n, bool), faces, np.zeros(n, np.int64)),
    )
    photos_of = {p: {photos[i] for i in range(n) if people[i] == p} for p in set(people) - {NOBODY}}
    return plan_groups(
        table, photos_of, lambda: Labels(labels), rejections or {}, apart or {}, staying=staying, ceiling=CEILING
    )


def test_the_larger_of_two_groups_stays_and_a_second_face_is_let_go() -> None:
    faces = somebody(np.random.default_rng(5), 9)
    groups = plan([1, 1, 1, 2, 2, 2, 2, 2, 2], [1, 2, 3, 3, 4, 5, 6, 7, 8], faces, [0] * 9)
    assert groups == [Group(2, (1,), (), leaving=(2,))]


def test_whom_a_user_spoke_of_stays_even_if_smaller_and_two_of_them_stay_two() -> None:
    faces = somebody(np.random.default_rng(5), 9)
    people, photos = [1, 1, 1, 2, 2, 2, 2, 3, 3], list(range(9))
    assert plan(people, photos, faces, [0] * 9, staying={1}) == [Group(1, (2, 3), ())]
    assert plan(people, photos, faces, [0] * 9, staying={1, 2}) == [Group(2, (3,), ())]
    assert plan(people, photos, faces, [0] * 9, apart={1: {2}, 2: {1}}) == [Group(2, (3,), ())]


def test_somebody_who_is_the_second_faces_of_another_is_joined_to_it() -> None:
    """The cluster keeps one face a photo, so that none of the smaller one is in it."""
    faces = somebody(np.random.default_rng(5), 9)
    groups = plan([1, 1, 2, 2, 2, 2, 2, 2, 2], [1, 2, 1, 2, 3, 4, 5, 6, 7], faces, [-1, -1, *[0] * 7])
    assert groups == [Group(2, (1,), (), leaving=(0, 1))]


def test_two_who_are_in_most_photos_together_are_not_joined() -> None:
    faces = somebody(np.random.default_rng(5), 10)
    assert plan([1] * 5 + [2] * 5, [*range(5), *range(5)], faces, [0] * 10) == []


def test_a_cluster_of_nothing_but_second_faces_founds_nobody_unless_a_user_spoke_of_them() -> None:
    faces = somebody(np.random.default_rng(5), 9)
    photos, labels = [1, 2, *range(1, 8)], [1, 1, *[0] * 7]
    assert plan([NOBODY] * 9, photos, faces, labels) == [Group(None, (), (2, 3, 4, 5, 6, 7, 8))]
    assert len(plan([NOBODY] * 9, photos, faces, labels, rejections={0: {7}})) == 2


# --- the rule, on made vectors ---


def somebody(random: np.random.Generator, n_faces: int, *, gap: float = 0.0) -> NDArray[np.float32]:
    """Return faces around the first axis, or around a place that is `gap` from it in squares of the ceiling."""
    noise = random.normal(size=(n_faces, N_DIMS))
    noise[:, :2] = 0
    noise *= 0.8 / np.linalg.norm(noise, axis=1, keepdims=True)
    faces = noise + np.eye(N_DIMS)[0] + np.sqrt(1.64 * gap) * CEILING * np.eye(N_DIMS)[1]
    unit: NDArray[np.float32] = (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)
    return unit


CEILING = THRESHOLDS.cluster
METHODS = ("whispers", "linkage", "hdbscan", "dbscan", "spectral")


def group(faces: NDArray[np.float32], photos: NDArray[np.int64], method: str) -> NDArray[np.int64]:
    clusterer = make_clusterer(
        method, ceiling=CEILING, singleton_penalty=THRESHOLDS.singleton_penalty, margin=THRESHOLDS.cluster_margin
    )
    return clusterer.fit_predict(faces, photos=photos)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n_collages", "n_singles"), [(1, 4), (1, 9), (2, 4), (3, 4), (3, 9), (6, 30)])
def test_a_few_collages_do_not_part_a_person(method: str, n_collages: int, n_singles: int) -> None:
    faces = somebody(np.random.default_rng(1), 2 * n_collages + n_singles)
    photos = np.concatenate([np.repeat(np.arange(n_collages), 2), 100 + np.arange(n_singles)])
    labels = group(faces, photos, method)
    assert labels.max() == 0
    assert set(photos[labels == 0]) == set(photos)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_together", [12, 9])
def test_twins_side_by_side_in_most_photos_are_two(method: str, n_together: int) -> None:
    random = np.random.default_rng(2)
    faces = np.concatenate([somebody(random, 12), somebody(random, 12, gap=0.25)])
    photos = np.concatenate([np.arange(12), np.where(np.arange(12) < n_together, np.arange(12), 100 + np.arange(12))])
    labels = group(faces, photos, method)
    assert set(labels[:12]).isdisjoint(labels[12:])


def test_pictures_of_one_picture_say_nothing_against_one_person() -> None:
    """Three mirror selfies and nothing else: six faces, of which each is all but equal to the other in its photo."""
    random = np.random.default_rng(3)
    faces = np.repeat(somebody(random, 3), 2, axis=0)
    faces += random.normal(size=faces.shape).astype(np.float32) * 0.01
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    labels = group(faces, np.repeat(np.arange(3), 2), "whispers")
    assert sorted(labels.tolist()) == [-1, -1, -1, 0, 0, 0]


def test_what_is_asked_for_grows_with_the_common_photos() -> None:
    def limit(size: int, other: int, n_common: int) -> float:
        gaps = np.arange(0, 0.4, 0.001)
        sizes = [np.full(len(gaps), n) for n in (size, other, n_common)]
        accepted = gaps[may_be_one(gaps, *sizes)]
        return float(accepted.max(initial=-1.0))

    assert limit(20, 20, 0) == pytest.approx(GAP, abs=0.002)
    assert [limit(20, 20, n) for n in (1, 4, 8)] == sorted([limit(20, 20, n) for n in (1, 4, 8)], reverse=True)
    assert limit(20, 20, 14) < 0  # side by side in more than half of their photos
    assert limit(7, 3, 3) > limit(20, 20, 12)


def test_halves_of_one_person_have_no_gap_and_two_people_have() -> None:
    random = np.random.default_rng(4)
    faces, photos = np.concatenate([somebody(random, 60), somebody(random, 60, gap=1.0)]), np.arange(120)
    thirds = [np.arange(30), np.arange(30, 60), np.arange(60, 120)]
    assert abs(compare(faces, photos, thirds[0], thirds[1], CEILING).gap) < 0.02
    assert compare(faces, photos, thirds[0], thirds[2], CEILING).gap > 1.5 * GAP
