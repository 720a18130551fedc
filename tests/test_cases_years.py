"""Faces that change with the years: dates tell a child from the sister who looks as it did.

On made tracks only: there are no photos with ages at hand, so that nothing here is measured on faces.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from crowds import members
from drawn import Library
from numpy.typing import NDArray
from synthetic import Tracks, make_tracks

from facewatch.engines.arcface import THRESHOLDS
from facewatch.matching import Gallery
from facewatch.matching.member import UNDATED, stricter, years_of
from facewatch.types import Match

N_DIMS = 8
DAY = 2_455_000
YEAR = 365


def at(distance: float, axis: int) -> NDArray[np.float32]:
    """Return a unit vector at this Euclidean distance from the first axis, towards another axis."""
    angle = 2 * math.asin(distance / 2)
    vector = np.zeros(N_DIMS, np.float32)
    vector[0], vector[axis] = math.cos(angle), math.sin(angle)
    return vector


PROBE = at(0.0, 1)


def gallery(*faces: tuple[int, float, int, int]) -> Gallery:
    """Return a gallery of (person, distance to the probe, axis, day)."""
    known = Gallery(N_DIMS, THRESHOLDS)
    for face_id, (person_id, distance, axis, day) in enumerate(faces, 1):
        known.add(person_id, at(distance, axis), 1.0, face_id=face_id, day=day)
    return known


def accepted(match: Match | None) -> int | None:
    return match.person_id if match and match.is_accepted else None


def test_a_child_is_not_taken_for_the_sister_who_looked_so_years_later() -> None:
    child = [(1, 0.80, axis, DAY + axis * 90) for axis in (1, 2, 3)]
    sister_then = [(2, 1.10, axis, DAY + axis * 90) for axis in (4, 5, 6)]
    known = gallery(*child, *sister_then, (2, 0.82, 7, DAY + 8 * YEAR))
    undated, dated = known.identify(PROBE), known.identify(PROBE, day=DAY)
    assert (accepted(undated), accepted(dated)) == (None, 1)
    assert undated
    assert undated.rule.startswith("runner-up is only 0.020 farther")


def test_of_two_of_a_person_the_one_from_the_same_years_is_compared_with() -> None:
    known = gallery((1, 0.80, 1, DAY + 10 * YEAR), (1, 0.81, 2, DAY))
    assert [known.rank(PROBE, 1, day=day)[0].nearest_id for day in (DAY, DAY + 10 * YEAR, UNDATED)] == [2, 1, 1]


def test_a_face_from_ten_years_away_must_be_nearer() -> None:
    known = gallery((1, THRESHOLDS.match - THRESHOLDS.years / 2, 1, DAY), (1, 1.13, 2, DAY))
    days = [UNDATED, DAY, DAY + 2 * YEAR, DAY + 10 * YEAR, DAY - 10 * YEAR]
    assert [accepted(known.identify(PROBE, day=day)) for day in days] == [1, 1, 1, None, None]


def test_a_wrong_date_never_hides_who_is_clearly_the_same() -> None:
    """A scan of today, a clock that was never set: twice `years` is all that a date can ask."""
    near = THRESHOLDS.match - 2 * THRESHOLDS.years - 0.01
    known = gallery(*((1, near, axis, DAY) for axis in (1, 2, 3, 4)))
    for day in (1, DAY - 100 * YEAR, DAY - 5 * YEAR, DAY, DAY + 5 * YEAR, DAY + 30 * YEAR):
        assert accepted(known.identify(PROBE, day=day)) == 1


@pytest.mark.parametrize(("of_faces", "of_probe"), [(0, DAY), (DAY, 0), (0, 0), (DAY, DAY)])
def test_without_dates_on_one_side_and_within_years_nothing_is_asked(of_faces: int, of_probe: int) -> None:
    faces = [(1, 0.7, 1), (1, 0.8, 2), (2, 0.9, 3), (2, 1.0, 4)]
    dated = gallery(*((*face, of_faces and of_faces + n) for n, face in enumerate(faces)))
    plain = gallery(*((*face, UNDATED) for face in faces))
    assert dated.identify(PROBE, day=of_probe) == plain.identify(PROBE)
    assert dated.rank(PROBE, 2, day=of_probe) == plain.rank(PROBE, 2)


def test_years_weigh_more_the_farther_and_where_the_look_of_the_time_is_known() -> None:
    far = np.array([DAY + n * YEAR for n in (0, 2, 6, 10, 50)])
    assert stricter(far, DAY, 0.04).tolist() == pytest.approx([0, 0, 0.02, 0.04, 0.04])
    known_then = np.array([DAY, DAY + 1, DAY - YEAR, DAY + 10 * YEAR, UNDATED])
    assert stricter(known_then, DAY, 0.04).tolist() == pytest.approx([0, 0, 0, 0.08, 0])


def test_a_person_has_a_middle_for_each_time_of_which_several_faces_are_known() -> None:
    vectors = np.array([at(0.2, 1)] * 3 + [at(1.2, 2)] * 3 + [at(1.3, 3)] * 2)
    days = np.array([DAY] * 3 + [DAY + 8 * YEAR] * 3 + [DAY + 16 * YEAR] * 2)
    years = years_of(vectors, np.ones(8, np.float32), days)
    for n in (0, 8):
        [middle] = years.around(DAY + n * YEAR)
        assert middle == pytest.approx(at(0.2, 1) if n == 0 else at(1.2, 2), abs=1e-6)
    assert not len(years.around(DAY + 4 * YEAR))
    assert not len(years.around(DAY + 16 * YEAR))
    assert not len(years.around(UNDATED))
    assert not len(years_of(vectors[:3], np.ones(3, np.float32), days[:3]).middles)


def filled(tracks: Tracks, rows: NDArray[np.int64], *, dated: bool) -> Gallery:
    known = Gallery(512, THRESHOLDS)
    days = tracks.days[rows] if dated else None
    known.fill(tracks.people[rows] + 1, members(tracks.embeddings[rows], rows, days=days))
    known.set_named(set((tracks.people + 1).tolist()))
    return known


@pytest.mark.parametrize("known_years", [range(16), (0, 1, 7, 8, 14, 15)])
def test_dates_recognise_more_children_beside_their_siblings_and_mistake_no_more(known_years: range) -> None:
    """One face in four, or what is of these years, is known; half of the dates may be a scan's."""
    tracks, random = make_tracks(30, 1), np.random.default_rng(0)
    is_known = np.isin((tracks.days - 2_450_000) // YEAR, known_years)
    is_known &= random.random(len(is_known)) < (0.25 if len(known_years) == 16 else 1.0)
    known, rest = np.flatnonzero(is_known), random.choice(np.flatnonzero(~is_known), 400, replace=False)
    who = tracks.people[rest] + 1

    def asked(days: NDArray[np.int64]) -> tuple[float, float]:
        """Return the shares that are recognised and mistaken."""
        own = filled(tracks, known, dated=bool(days.any()))
        found = [
            accepted(own.identify(tracks.embeddings[row], day=int(day))) for row, day in zip(rest, days, strict=True)
        ]
        is_found = np.array([person is not None for person in found])
        is_right = np.array([person == own for person, own in zip(found, who, strict=True)])
        return float(is_right.mean()), float((is_found & ~is_right).mean())

    plain, dated = asked(np.zeros(len(rest), np.int64)), asked(tracks.days[rest])
    half_wrong = asked(np.where(random.random(len(rest)) < 0.5, tracks.days[rest], tracks.days.max() + 9 * YEAR))
    assert dated[0] >= plain[0] + 0.05
    assert half_wrong[0] >= plain[0] - 0.01
    assert max(dated[1], half_wrong[1]) <= plain[1] + 0.005


def test_whoever_is_recognised_by_the_middle_of_its_years_is_looked_at_again() -> None:
    tracks, random = make_tracks(10, 2), np.random.default_rng(0)
    is_known = random.random(len(tracks.days)) < 0.4
    known, rest = filled(tracks, np.flatnonzero(is_known), dated=True), np.flatnonzero(~is_known)[:200]
    is_recognised = [accepted(known.identify(tracks.embeddings[r], day=int(tracks.days[r]))) is not None for r in rest]
    assert any(is_recognised)
    assert known.is_near(tracks.embeddings[rest])[is_recognised].all()


def test_the_order_in_which_dated_faces_come_does_not_matter() -> None:
    tracks = make_tracks(3, 3)
    one_by_one, at_once = Gallery(512, THRESHOLDS), filled(tracks, np.arange(len(tracks.days)), dated=True)
    for row in np.random.default_rng(0).permutation(len(tracks.days)):
        person_id, day = int(tracks.people[row]) + 1, int(tracks.days[row])
        one_by_one.add(person_id, tracks.embeddings[row], 1.0, face_id=int(row), day=day)
    for row in range(0, len(tracks.days), 17):
        a, b = (g.identify(tracks.embeddings[row], day=int(tracks.days[row])) for g in (one_by_one, at_once))
        assert a
        assert b
        assert (a.person_id, a.distance) == (b.person_id, pytest.approx(b.distance, abs=1e-4))
        assert a.centroid_distance == pytest.approx(b.centroid_distance, abs=1e-3)


def test_faces_come_from_the_catalog_with_the_day_of_their_photo(library: Library) -> None:
    for name, person in (("a", 1), ("b", 2), ("c", 3)):
        library.draw(f"{name}.png", (person, 0))
    library.scan()
    with library.app() as app:
        catalog = app.catalog
        with catalog.write():
            catalog.photos.set_taken({1: "2010-01-01T00:00:00", 2: "2020-01-01T23:59:59", 3: ""})
        days = catalog.faces.load(1, n_dims=app.engine.info.n_dims).days
    assert days is not None
    assert days[1] - days[0] in (3652, 3653)
    assert days[2] == UNDATED
