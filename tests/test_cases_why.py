"""What `why` says of a face never contradicts itself: no two of its lines can both be read and not both be true."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from drawn import Library
from hypothesis import given, settings
from hypothesis import strategies as st

from facewatch.matching import Gallery, match_photo
from facewatch.people.explain import Bar, BarRule, Why
from facewatch.people.rematch import Compared, Rematch, rematch_of
from facewatch.presentation.explain import advice, bar_lines, cause, notes, rematch_lines
from facewatch.text import distinguished
from facewatch.types import Thresholds, Tier

N_DIMS = 3
THRESHOLDS = Thresholds(
    **{
        "match": 0.34,
        "centroid": 0.31,
        "margin": 0.05,
        "low_quality_penalty": 0.05,
        "no_rival_bonus": 0.04,
        "confirmed": 0.08,
    },
    **{"gallery_size": 300, "per_decade": 0.02, "cluster": 0.35, "singleton_penalty": 0.03, "cluster_margin": 0.02},
)
NAMES = {1: "Anna", 2: "Ben", 3: "Clara", 4: "Dora"}


def _unit(angles: tuple[float, float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.array([1.0, *angles], np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


angle = st.floats(-0.5, 0.5, width=32)
faces = st.lists(
    st.tuples(st.sampled_from(list(NAMES)), st.tuples(angle, angle), st.booleans()), min_size=1, max_size=14
)


def _gallery(known: Sequence[tuple[int, tuple[float, float], bool]]) -> Gallery:
    gallery = Gallery(N_DIMS, THRESHOLDS)
    for face_id, (person_id, where, is_confirmed) in enumerate(known, 1):
        gallery.add(person_id, _unit(where), 1.0, face_id=face_id, is_confirmed=is_confirmed)
    gallery.set_named(set(NAMES))
    return gallery


def _why(gallery: Gallery, probe: tuple[float, float], barred: Sequence[Bar], tier: Tier) -> tuple[Why, Rematch]:
    """Return what is said of a face that belongs to nobody."""
    vector = _unit(probe)
    [match] = match_photo(gallery, vector[None], [tier], [[bar.person_id for bar in barred]])
    compared = Compared(match, tuple(gallery.rank(vector, 5, tier)), gallery.n_faces)
    rematch = rematch_of(compared, NAMES.__getitem__, {})
    face = {"face_id": 99, "name": None, "mark": None, "tier": tier, "turn": 0, "pose": 0.0, "rule": None}
    return Why(1, face, None, None, (), (), rematch, tuple(barred)), rematch


@given(faces, st.tuples(angle, angle), st.sets(st.sampled_from(list(NAMES))), st.sampled_from(Tier))
@settings(max_examples=400)
def test_no_two_lines_of_an_answer_contradict_each_other(
    known: Any, probe: tuple[float, float], barred: set[int], tier: Tier
) -> None:
    bars = [Bar(p, NAMES[p], BarRule.REJECTED) for p in barred]
    why, look = _why(_gallery(known), probe, bars, tier)
    lines = list(rematch_lines(why, look))
    told = {
        m[1]: (float(m[2]), float(m[3]))
        for line in lines
        if (m := re.match(r"(\w+)(?:, .*)?: (\S+) from the nearest face \(limit (\S+)\)", line))
    }
    assert look.likenesses[0].name in told
    near = {one.name: one for one in look.likenesses}
    cannot = {NAMES[person_id] for person_id in barred}
    said = [cause(why), *lines, *bar_lines(why), *(offer.text for offer in advice(why))]
    outcome = lines[-1].partition("it would be ")[2]

    # Whoever is said to be nearest is nearest of those that it is said of.
    for name in re.findall(r"^it looks most like (\w+)", cause(why)):
        assert name == look.likenesses[0].name
    for name in re.findall(r"(?:whom it could be it looks most like|the nearest is) (\w+)", cause(why)):
        assert name == next(one.name for one in look.likenesses if one.name not in cannot)
    # Whoever is named is told with distances, or beside somebody who is.
    assert all(
        name in told
        for name in re.findall(r"(?:most like|the nearest is|face of|could be) (Anna|Ben|Clara|Dora)", cause(why))
    )
    # Nobody near is only said where nobody whom it could be is near, and too far only of who is.
    if re.search("nobody (whom it could be|who is known) looks like it", cause(why)):
        assert all(one.distance > one.limit for one in look.likenesses if one.name not in cannot)
    if "who is known looks like it" in cause(why):
        assert not [one for one in look.likenesses if one.distance <= one.limit]
    for name in re.findall(r"not near enough to any face of (\w+)", cause(why)):
        assert told[name][0] > told[name][1]
    for name in re.findall(r"near to one face of (\w+)", cause(why)):
        assert told[name][0] <= told[name][1]
    # Who it would be is nobody whom it cannot be, and is near enough; else somebody's rule is told.
    if outcome in NAMES.values():
        assert outcome not in cannot
        assert told[outcome][0] <= told[outcome][1]
        assert "the next scan does that" in cause(why) or tier is Tier.SHOW
    else:
        assert outcome.startswith("nobody: ")
        assert "assigns it" not in cause(why)
        for name, value, limit in re.findall(r"of (\w+) the nearest member is at (\S+), farther than (\S+)", outcome):
            assert float(value) > float(limit)
            assert near[name].distance == pytest.approx(float(value), abs=1e-3)
            assert name not in cannot
    # How much farther somebody else is agrees with where both are.
    leads = re.findall(r"^(runner-up to|nearer than) (\w+): (\w+), (?:by )?([\d.]+)", "\n".join(lines), re.M)
    assert len(leads) == (len(look.likenesses) > 1)
    for word, name, other, value in leads:
        lead = near[other].distance - near[name].distance
        assert (lead >= 0) == (word == "runner-up to")
        assert abs(lead) == pytest.approx(float(value), abs=0.0051)
    for name, word, other in re.findall(r"could be (\w+), but looks (nearly as much|more) like (\w+)", cause(why)):
        assert (near[other].distance < near[name].distance) == (word == "more")
    # Somebody whom it cannot be is offered only where it is said that this was said.
    for offer in advice(why):
        for name in re.findall(r"^if it is (\w+)(?!.*after all)", offer.text):
            assert name not in cannot or name == "no"
    assert not any("0.00 nearer would" in text for text in said)


def test_whose_a_face_is_by_your_word_is_not_among_those_it_cannot_be(library: Library) -> None:
    library.draw("two.png", (1, 0), (2, 0))
    for name, face in (("a", (1, 1)), ("b", (2, 1))):
        library.draw(f"{name}.png", face)
    library.scan()
    with library.app() as app:
        first, second = (face["face_id"] for face in app.lookup.photo(library.photos / "two.png")["faces"])
        with app.corrections.deciding() as decisions:
            decisions.assign([f"f{first}"], "Anna", is_new=True)
            decisions.assign([f"f{second}"], "Anna")
            decisions.assign([f"f{first}"], "Anna")
        explained = app.explainer().explain(str(library.photos / "two.png"))
    assert [why.name for why in explained.whys] == ["Anna", "Anna"]
    for why, other in zip(explained.whys, (2, 1), strict=True):
        assert not [bar for bar in why.barred if bar.name == "Anna"]
        assert f"it is Anna, although Anna is in this photo already, as face {other} from the left" in notes(why)


@pytest.mark.parametrize(
    ("value", "limit", "said"),
    [(0.2, 0.3, ("0.20", "0.30")), (0.3004, 0.2996, ("0.3004", "0.2996")), (39.6, 40.0, ("39.6", "40.0"))],
)
def test_two_numbers_are_told_with_as_many_digits_as_tell_them_apart(
    value: float, limit: float, said: tuple[str, str]
) -> None:
    assert distinguished(value, limit, n_digits=0 if value > 1 else 2) == said
