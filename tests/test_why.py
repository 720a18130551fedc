"""Why a face is where it is: said by the code that decides, about every face, with the command that changes it."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drawn import Library, make_library
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from terminals import session

from facewatch.app import App
from facewatch.cli import faces as cli_faces
from facewatch.cli.faces import draw_rows
from facewatch.cli.pictures import BLOCK_CELL, Protocol, Screen
from facewatch.engines import fake
from facewatch.engines.arcface import NORMALISATION
from facewatch.errors import NotKnownError
from facewatch.people.corrections import Decisions
from facewatch.people.explain import Explained, Why
from facewatch.presentation.explain import (
    advice,
    bar_text,
    cause,
    compared_faces,
    notes,
    photo_notes,
    rematch_lines,
    shortfall_text,
)
from facewatch.presentation.explain_row import why_row
from facewatch.quality import Limits, shortfalls
from facewatch.text import beside_strangers
from facewatch.types import EngineInfo, Tier


@pytest.fixture
def known(library: Library) -> Library:
    """Anna in a, b and c, Ben in a and d, a stranger in c."""
    library.draw_all({"a": [(1, 0), (2, 0)], "b": [(1, 1)], "c": [(1, 2), (9, 0)], "d": [(2, 1)]})
    library.scan()
    with library.app() as app:
        for name, photo in [("Anna", "b.png"), ("Ben", "d.png")]:
            [face] = app.lookup.photo(library.photos / photo)["faces"]
            app.corrections.rename(str(face["person_id"]), name)
    return library


def whys(app: App, library: Library, photo: str) -> tuple[Why, ...]:
    return app.explainer().explain(str(library.photos / photo)).whys


def decide(app: App, make: Callable[[Decisions], object]) -> None:
    with app.corrections.deciding() as decisions:
        make(decisions)


def commands(why: Why) -> list[str]:
    return [one.command for one in advice(why)]


# --- whose it is ---


def test_a_grouped_face_is_compared_with_the_others_of_its_person_not_with_itself(known: Library) -> None:
    with known.app() as app:
        [why] = whys(app, known, "b.png")
        faces = {f["face_id"] for p in "ac" for f in app.lookup.photo(known.photos / f"{p}.png")["faces"]}
    assert (why.verdict, why.name) == ("person", "Anna")
    assert "grouped" in cause(why)
    assert why.assignment.run_kind == "scan"
    assert why.rematch is not None
    nearest, other = why.rematch.likenesses
    assert (nearest.name, other.name) == ("Anna", "Ben")
    assert nearest.nearest.face_id in faces
    assert nearest.nearest.photo in (str(known.photos / "a.png"), str(known.photos / "c.png"))
    assert 0.01 < nearest.distance < nearest.limit < other.distance
    assert why.rematch.person_id == why.person_id
    assert why.rematch.n_known == 4


def test_a_matched_face_says_so_and_by_which_run(known: Library) -> None:
    known.draw("e.png", (1, 7))
    known.scan()
    with known.app() as app:
        [why] = whys(app, known, "e.png")
        [face] = app.lookup.photo(known.photos / "e.png")["faces"]
    assert "recognised: near enough to faces of Anna" in cause(why)
    assert why.assignment.run_started_at is not None
    # Nothing has come since: it is as near as it was.
    assert why.rematch is not None
    assert why.rematch.likenesses[0].distance == pytest.approx(face["distance"], abs=1e-5)
    assert why.rematch.likenesses[0].centroid_distance == pytest.approx(face["centroid_distance"], abs=1e-5)
    face_id = why.face_id
    assert commands(why) == [
        f"facewatch reject f{face_id}",
        f"facewatch assign f{face_id} NAME",
        f"facewatch confirm f{face_id}",
    ]


def test_what_a_user_placed_names_the_decision_that_undo_takes_back(known: Library) -> None:
    with known.app() as app:
        stranger = whys(app, known, "c.png")[1]
        decide(app, lambda d: d.assign([str(stranger.face_id)], "Ben"))
        why = whys(app, known, "c.png")[1]
        assert (why.name, why.verdict) == ("Ben", "person")
        assert cause(why) == "you assigned it to Ben"
        [entry] = why.decisions
        assert f"facewatch undo d{entry}" in commands(why)
        assert f"facewatch unassign f{why.face_id}" in commands(why)
        assert why.rematch is not None
        assert why.rematch.person_id is None  # nobody would have known
        app.corrections.undo_one(entry)
        assert whys(app, known, "c.png")[1].verdict == "nobody"
        assert whys(app, known, "c.png")[1].decisions == ()


def test_a_confirmed_face_says_so(known: Library) -> None:
    with known.app() as app:
        decide(app, lambda d: d.confirm_person("Anna"))
        [why] = whys(app, known, "b.png")
    assert cause(why) == "you confirmed that it is Anna"
    assert f"facewatch confirm f{why.face_id}" not in commands(why)
    assert why.rematch is not None
    assert why.rematch.likenesses[0].nearest.is_confirmed


def test_a_split_face_says_whom_it_came_from(known: Library) -> None:
    with known.app() as app:
        anna = app.lookup.person("Anna")
        [before] = whys(app, known, "b.png")
        decide(app, lambda d: d.split(anna, [[before.face_id]]))
        [why] = whys(app, known, "b.png")
    assert "split from Anna by you" in cause(why)
    assert why.name != "Anna"
    assert any(note.startswith("you said that ") and "are two people" in note for note in notes(why))
    assert any("only face" in note for note in notes(why))


# --- nobody ---


def test_a_stranger_is_nobody_and_no_person_who_is_far_is_offered(known: Library) -> None:
    with known.app() as app:
        why = whys(app, known, "c.png")[1]
    assert why.verdict == "nobody"
    assert "nobody who is known looks like it" in cause(why)
    assert why.name is None
    assert f"facewatch assign f{why.face_id} NAME" in commands(why)
    assert not any("Anna" in command or "Ben" in command for command in commands(why))


def between(one: int, other: int, share: float) -> Any:
    """Return a fake engine that sees look 77 of person `one` so much of the way to `other`."""
    base, far = fake.embedding_of(one, 0), fake.embedding_of(other, 0)
    mixed = base * (1 - share) + far * share
    mixed = mixed / float((mixed @ mixed) ** 0.5)

    class Engine(fake.FakeEngine):
        def analyse(self, pixels: Any, *, closer: Any = None) -> Any:
            faces = super().analyse(pixels, closer=closer)
            looks = [int(pixels[pixels.shape[0] // 2, int(face.box[0]), 1]) for face in faces]
            return [
                replace(face, embedding=mixed.astype("float32")) if look == 77 else face
                for face, look in zip(faces, looks, strict=True)
            ]

    return Engine()


@pytest.mark.parametrize(
    ("share", "says", "offers"),
    [(0.29, "is not near enough to any face of Anna", "facewatch assign f{} Anna"), (0.5, "nobody who is known", "")],
)
def test_what_was_missing_is_said(known: Library, share: float, says: str, offers: str) -> None:
    known.draw("e.png", (1, 77))
    engine = between(1, 30, share)
    with known.app(engine=engine) as app:
        app.pipeline.scan()
        [why] = whys(app, known, "e.png")
    assert why.verdict == "nobody"
    assert says in cause(why)
    assert not offers or offers.format(why.face_id) == commands(why)[0]
    assert not offers or "nearer would have done" in advice(why)[0].text


def between_parts(library: Library, photo: str) -> Why:
    """Split the person of this photo into it and the rest, and return what is said of a new photo that is like both."""
    with library.app() as app:
        [face] = whys(app, library, photo)
        person = app.lookup.person(str(face.name))
        decide(app, lambda d: d.split(person, [[face.face_id]]))
    library.draw("e.png", (1, 11))
    library.scan()
    with library.app() as app:
        [why] = whys(app, library, "e.png")
    return why


def test_between_two_people_it_is_nobody_and_merging_them_is_offered(known: Library) -> None:
    """Two who look alike: the same person twice, told apart by hand."""
    why = between_parts(known, "b.png")
    assert why.verdict == "nobody"
    assert "looks nearly as much like" in cause(why)
    assert any(command.startswith("facewatch merge ") for command in commands(why))
    assert why.rematch is not None
    lead, margin = why.rematch.likenesses[0].lead, why.rematch.likenesses[0].margin
    assert lead is not None
    assert lead < margin


def test_between_the_parts_of_somebody_without_a_name_it_is_nobody_however_large_one_part_is(library: Library) -> None:
    library.draw_looks(1, 4)
    library.scan()
    why = between_parts(library, "1.png")
    assert why.verdict == "nobody"
    assert "looks nearly as much like" in cause(why)


def test_before_anybody_is_known_there_is_nobody_to_look_like(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    with library.app() as app:
        [why] = whys(app, library, "a.png")
    assert cause(why) == "nobody is known yet whom it could be"
    assert why.rematch is not None
    assert why.rematch.likenesses == ()


def test_what_could_be_recognised_by_now_waits_for_the_next_scan(known: Library) -> None:
    with known.app() as app:
        [face] = whys(app, known, "b.png")
        with app.catalog.write():
            app.catalog.assignments.release([face.face_id])
        [why] = whys(app, known, "b.png")
        assert why.rematch is not None
        assert app.lookup.person("Anna").id == why.rematch.person_id
        assert "the next scan does that" in cause(why)
        assert commands(why)[0] == "facewatch scan"
    known.scan()
    with known.app() as app:
        assert whys(app, known, "b.png")[0].name == "Anna"


@pytest.mark.parametrize(
    ("make", "verdict", "says"),
    [
        (lambda d, face: d.unassign([face]), "nobody by user", "you took it out"),
        (lambda d, face: d.ignore([face]), "not a face", "you said that it is no face"),
        (lambda d, face: d.forget("Anna"), "forgotten", "you had its person forgotten"),
    ],
)
def test_what_users_took_out_says_so_and_how_it_comes_back(
    known: Library, make: Callable[[Decisions, str], object], verdict: str, says: str
) -> None:
    with known.app() as app:
        [face] = whys(app, known, "b.png")
        decide(app, lambda d: make(d, str(face.face_id)))
        [why] = whys(app, known, "b.png")
    assert why.verdict == verdict
    assert says in cause(why)
    assert why.at is not None
    assert why.rematch is None
    assert not notes(why)
    assert commands(why) == [f"facewatch assign f{why.face_id} NAME", f"facewatch undo d{why.decisions[0]}"]


# --- whom it cannot be ---


def test_a_rejection_is_told_with_its_time_and_its_way_back(known: Library) -> None:
    with known.app() as app:
        [face] = whys(app, known, "b.png")
        decide(app, lambda d: d.reject([str(face.face_id)]))
        [why] = whys(app, known, "b.png")
    [bar] = why.barred
    assert (bar.rule, bar.name) == ("rejected", "Anna")
    assert bar.at is not None
    assert cause(why) == "it looks most like Anna, but you said that it is not Anna"
    assert f"facewatch assign f{why.face_id} Anna" in commands(why)
    assert why.rematch is not None
    assert why.rematch.person_id is None


def test_who_is_in_the_photo_already_is_told_with_the_other_face(known: Library) -> None:
    with known.app() as app:
        first, second = whys(app, known, "a.png")
    assert [(bar.rule, bar.name, bar.face_id) for bar in first.barred] == [("in photo", "Ben", second.face_id)]
    assert [(bar.rule, bar.name, bar.face_id) for bar in second.barred] == [("in photo", "Anna", first.face_id)]


def test_who_was_born_later_is_told(known: Library) -> None:
    with known.app() as app:
        photo_id = app.lookup.photo(known.photos / "d.png")["photo_id"]
        with app.catalog.write():
            app.catalog.photos.set_taken({photo_id: "1990-05-01T12:00:00"})
        decide(app, lambda d: d.born("Ben", "1995"))
        [why] = whys(app, known, "d.png")
    [bar] = why.barred
    assert (bar.rule, bar.name) == ("born later", "Ben")
    assert "1995" in bar_text(bar)
    assert "1990-05-01" in bar_text(bar)
    assert why.verdict == "nobody"
    assert "Ben was born in 1995" in cause(why)


def test_whom_it_cannot_be_is_what_matching_is_told(known: Library) -> None:
    with known.app() as app:
        [face] = whys(app, known, "b.png")
        decide(app, lambda d: d.reject([str(face.face_id)], "Ben"))
        decide(app, lambda d: d.born("Anna", "2090"))
        photo_ids = [(p, app.lookup.photo(known.photos / p)["photo_id"]) for p in ("a.png", "b.png", "c.png", "d.png")]
        with app.catalog.write():
            app.catalog.photos.set_taken({photo_id: "2001-01-01T00:00:00" for _, photo_id in photo_ids})
        rejections = app.catalog.rejections.all()
        for photo, photo_id in photo_ids:
            for why in whys(app, known, photo):
                if why.person_id is None:
                    barred = app.identities._cannot_be_in(photo_id) | rejections.get(why.face_id, set())
                    assert {bar.person_id for bar in why.barred} == barred


# --- how good the picture is ---

GOOD = {"w": 90, "h": 100, "turn": 0, "sharpness": 200.0, "brightness": 120.0, "score": 2.0}


@pytest.mark.parametrize(
    ("changed", "says", "tier"),
    [
        ({"w": 8}, "too small", Tier.SHOW),
        ({"w": 25}, "too small", Tier.MATCH),
        ({"sharpness": 1.0}, "too blurred", Tier.SHOW),
        ({"brightness": 2.0}, "too dark", Tier.SHOW),
        ({"brightness": 253.0}, "too bright", Tier.SHOW),
        ({"score": 0.1}, "not sure", Tier.MATCH),
    ],
)
def test_what_makes_a_face_poor_is_named_once_with_the_limit(changed: dict[str, float], says: str, tier: Tier) -> None:
    [short] = shortfalls(GOOD | changed, Limits(enroll_score=0.5))
    assert says in shortfall_text(short)
    assert short.tier is tier
    assert short.value < short.least


def test_a_good_face_lacks_nothing() -> None:
    assert not list(shortfalls(GOOD, Limits(enroll_score=0.5)))


def test_a_face_that_is_too_poor_is_nobodys_because_of_it(known: Library) -> None:
    with known.app() as app:
        stranger = whys(app, known, "c.png")[1]
        with app.catalog.write():
            app.catalog._db.execute("UPDATE faces SET tier = 'show', sharpness = 1 WHERE id = ?", [stranger.face_id])
        why = whys(app, known, "c.png")[1]
    assert "too poor" in cause(why)
    assert [shortfall_text(short) for short in why.shortfalls] == ["too blurred"]
    assert f"facewatch ignore f{why.face_id}" not in commands(why)


# --- laws ---


def facts(why: Why) -> dict[str, Any]:
    """Return all that is said, distances as far as rounding leaves them the same."""
    told = why_row(why)
    if told["look"]:
        told["look"]["rule"] = re.sub(r"\d", "", told["look"]["rule"])
    for near in told["look"]["likenesses"] if told["look"] else ():
        for key in ("distance", "limit", "centroid_distance", "centroid_limit", "lead"):
            near[key] = pytest.approx(near[key], abs=2e-3)
        # Of two faces that are the same picture either is the nearest.
        del near["face_id"], near["photo"]
    return told


@st.composite
def photos(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    person = st.integers(1, 4)
    look = st.integers(0, 5)
    return draw(st.lists(st.lists(st.tuples(person, look), min_size=1, max_size=3), min_size=2, max_size=6))


@given(photos())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_it_says_is_what_matching_would_do(tmp_path_factory: pytest.TempPathFactory, drawn: Any) -> None:
    library = make_library(tmp_path_factory.mktemp("law"))
    for i, faces in enumerate(drawn):
        library.draw(f"{i}.png", *faces)
    library.scan()
    with library.app() as app:
        explained = {f"{i}.png": whys(app, library, f"{i}.png") for i in range(len(drawn))}
        for told in explained.values():
            for why in told:
                # Each face alone is told what it is told beside the others: nothing leaks from one to the next.
                assert facts(app.explainer().explain(str(why.face_id)).whys[0]) == facts(why)
                # After a scan nobody is left whom matching would place.
                assert why.rematch is not None
                assert why.person_id is not None or why.rematch.person_id is None
        for photo, told in explained.items():
            for why in told:
                if why.person_id is not None and why.rematch and why.rematch.likenesses:
                    _check_released(app, library, photo, why)


def _check_released(app: App, library: Library, photo: str, why: Why) -> None:
    """A face that is taken from its person and matched again goes where `why` said."""
    assert why.rematch is not None
    saved = app.catalog.faces.rows([why.face_id])[0]
    with app.catalog.write():
        app.catalog.assignments.release([why.face_id])
    app.identities.forget_gallery()
    released = next(other for other in whys(app, library, photo) if other.face_id == why.face_id)
    assert released.rematch is not None
    # The others of its photo that are in the pool may be nearer to the same person.
    if all(other.person_id is not None for other in whys(app, library, photo) if other is not released):
        assert facts(released)["look"] == facts(why)["look"]
    with app.catalog.write():
        app.identities.match_photo(saved.photo_id)
    placed = next(other for other in whys(app, library, photo) if other.face_id == why.face_id)
    assert placed.person_id == released.rematch.person_id
    with app.catalog.write():
        app.catalog.assignments.release([why.face_id])
        app.catalog.assignments.assign_by_user(
            why.face_id, saved.person_id or 0, rule="as before", now=app.catalog.now()
        )
        app.catalog._db.execute("UPDATE assignments SET source = 'auto' WHERE face_id = ?", [why.face_id])
    app.identities.forget_gallery()


def test_a_decision_is_found_whatever_face_has_a_similar_number(known: Library) -> None:
    with known.app() as app:
        ids = [why.face_id for photo in ("a.png", "b.png", "c.png", "d.png") for why in whys(app, known, photo)]
        decide(app, lambda d: d.confirm([str(ids[0])]))
        provenance = app.catalog.provenance
        assert [face for face in ids if provenance.decisions_about([face])[face]] == [ids[0]]
        assert provenance.decisions_about([similar := int(f"{ids[0]}0")]) == {similar: []}


class _WithStrangers(fake.FakeEngine):
    """The drawn engine, which knows what strangers have with each other."""

    @property
    def info(self) -> EngineInfo:
        return replace(fake.INFO, normalisation=NORMALISATION)


def test_how_alike_a_face_and_a_person_are_is_told_beside_what_they_have_with_strangers(known: Library) -> None:
    with known.app(engine=_WithStrangers()) as app:
        anna, ben = whys(app, known, "a.png")
        for why in (anna, ben):
            assert why.rematch is not None
            own, other = why.rematch.likenesses[:2]
            assert own.evidence is not None
            assert other.evidence is not None
            assert own.person_id == why.person_id
            assert own.evidence.similarity > 0.9 > 0.5 > other.evidence.similarity
            assert own.evidence.strangers < 0.3
            said = list(rematch_lines(why, why.rematch))
            words = beside_strangers(own.evidence.similarity, own.evidence.strangers)
            assert f"    similarity to {own.name} as a whole {words}" in said
            assert "where strangers of these two have 0." in words
            # Each face alone is told what it is told beside the others.
            [alone] = app.explainer().explain(str(why.face_id)).whys
            assert alone.rematch == why.rematch
    with known.app(engine=_WithStrangers(), settings={"match.normalised": False}) as app:
        [why] = whys(app, known, "b.png")
        assert why.rematch is not None
        assert {near.evidence for near in why.rematch.likenesses} == {None}
        assert not any("strangers" in line for line in rematch_lines(why, why.rematch))


# --- from the command line ---


def test_every_face_of_a_photo_is_explained_in_words(known: Library, run: Any) -> None:
    answer = run("why", str(known.photos / "a.png"))
    assert answer.code == 0
    assert "2 faces" in answer.out
    assert "face 1 from the left" in answer.out
    assert ": Anna" in answer.out
    assert ": Ben" in answer.out
    for word in ("why ", "looks like", "cannot be", "picture", "to change", "grouped", "by the scan that began"):
        assert word in answer.out
    assert "facewatch reject" in answer.out


def test_every_command_that_is_offered_is_one_that_can_be_typed(known: Library, run: Any) -> None:
    told = json.loads(run("why", str(known.photos / "c.png"), "--json").out)
    offered = [advice["command"] for face in told["faces"] for advice in face["advice"]]
    assert len(offered) > 4
    for command in offered:
        words = shlex.split(command.replace("NAME", "Ben"))
        assert words[0] == "facewatch"
        assert run(*words[1:]).code == 0, command


def test_the_second_face_of_a_collage_is_placed_by_hand_as_is_offered(known: Library, run: Any) -> None:
    collage = str(known.draw("collage.png", (1, 3), (1, 4)))
    known.scan()
    told = json.loads(run("why", collage, "--json").out)
    assert sorted(str(face["name"]) for face in told["faces"]) == ["Anna", "None"]
    [second] = [face for face in told["faces"] if face["name"] is None]
    said = run("why", f"f{second['face_id']}").out
    assert "it looks most like Anna, but Anna is in this photo already" in said
    assert "a run never assigns two faces of one photo to one person" in said
    [command] = [a["command"] for a in second["advice"] if "as in a collage" in a["text"]]
    assert command in said
    assert run(*shlex.split(command)[1:]).code == 0
    known.scan()
    assert [face["name"] for face in json.loads(run("why", collage, "--json").out)["faces"]] == ["Anna", "Anna"]


def test_a_face_is_named_by_id_or_by_its_place(known: Library, run: Any) -> None:
    photo = str(known.photos / "a.png")
    whole = json.loads(run("why", photo, "--json").out)
    second = json.loads(run("why", f"{photo}:2", "--json").out)
    by_id = json.loads(run("why", str(whole["faces"][1]["face_id"]), "--json").out)
    assert second == by_id
    assert second["faces"] == whole["faces"][1:]
    assert (second["n_faces"], whole["n_faces"]) == (2, 2)


def test_the_json_has_what_the_catalog_has_and_more(known: Library, run: Any) -> None:
    told = json.loads(run("why", str(known.photos / "a.png"), "--json").out)
    with known.app() as app:
        photo = app.lookup.photo(known.photos / "a.png")
    assert {key: value for key, value in told.items() if key in photo and key != "faces"} == {
        key: value for key, value in photo.items() if key != "faces"
    }
    for face, row in zip(told["faces"], photo["faces"], strict=True):
        assert {key: face[key] for key in row} == row
        assert {"verdict", "cause", "look", "barred", "shortfalls", "decisions", "advice", "number", "notes"} <= set(
            face
        )
        assert set(face["look"]["likenesses"][0]) == {
            *("person_id", "name", "distance", "limit", "face_id", "photo", "is_confirmed", "centroid_distance"),
            *("centroid_limit", "lead", "margin", "rival_id", "rival", "aggregation", "evidence"),
        }


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("nothing.jpg", "no such file"),
        ("99999", "there is no face f99999"),
        ("Anna", "'Anna' is a person"),
        ("{photos}", "a folder"),
        ("{photos}/a.png:7", "has 2 face(s)"),
    ],
)
def test_what_is_no_photo_and_no_face_is_said(known: Library, run: Any, what: str, says: str) -> None:
    answer = run("why", what.format(photos=known.photos))
    assert answer.code == 9
    assert says in answer.err


def test_the_id_of_a_person_that_is_no_face_is_recognised_as_one(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    with library.app() as app:
        with app.catalog.write():
            ids = [app.catalog.people.add("now") for _ in range(5)]
        with pytest.raises(NotKnownError, match=rf"p{ids[-1]} is Person"):
            app.explainer().explain(str(ids[-1]))


def test_a_photo_without_faces_and_a_file_that_is_no_photo_say_so(known: Library, run: Any) -> None:
    known.draw("empty.png")
    (known.photos / "bad.jpg").write_bytes(b"no photo")
    known.scan()
    assert "no face found" in run("why", str(known.photos / "empty.png")).out
    bad = run("why", str(known.photos / "bad.jpg"))
    assert bad.code == 0
    assert "bad.jpg: " in bad.out
    assert json.loads(run("why", str(known.photos / "bad.jpg"), "--json").out)["fault"]


def test_a_face_of_a_photo_that_is_gone_is_still_explained(known: Library, run: Any) -> None:
    told = json.loads(run("why", str(known.photos / "b.png"), "--json").out)
    face_id = told["faces"][0]["face_id"]
    (known.photos / "b.png").unlink()
    known.scan()
    answer = run("why", str(face_id))
    assert answer.code == 0
    assert "not in the library now" in answer.out
    assert ": Anna" in answer.out


def test_an_engine_whose_files_are_absent_leaves_what_is_on_record(known: Library, run: Any) -> None:
    with closing(sqlite3.connect(known.catalog)) as db, db:
        db.execute("UPDATE engines SET name = 'insightface:absent'")
        db.execute("UPDATE settings SET value = '\"insightface:absent\"' WHERE key = 'engine'")
    answer = run("why", str(known.photos / "b.png"))
    assert answer.code == 0
    assert "cannot be computed now" in answer.out
    assert "grouped" in answer.out
    assert "looks like" not in answer.out
    assert run("split", "Anna", "--dry-run").code == 7


class Other(fake.FakeEngine):
    @property
    def info(self) -> Any:
        return replace(fake.INFO, name="other", fingerprint="other")


def test_while_the_engine_changes_the_one_in_use_is_asked_and_that_is_said(known: Library) -> None:
    with known.app(engine=Other()) as app:
        _ = app.engine.id  # wanted, and nothing analysed yet
        explained: Explained = app.explainer().explain(str(known.photos / "b.png"))
    [why] = explained.whys
    assert "being changed from fake to other" in photo_notes(explained)[0]
    assert why.rematch is not None
    assert why.rematch.person_id == why.person_id


def test_after_a_change_of_engine_it_is_said_where_a_face_is_known_from(known: Library) -> None:
    with known.app(engine=Other()) as app:
        app.pipeline.scan()
        [why] = whys(app, known, "b.png")
    assert "carried over from the engine fake" in cause(why)


def test_asking_writes_nothing(known: Library, run: Any) -> None:
    def dump(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            return list(db.iterdump())

    before = dump(known.catalog)
    assert run("why", str(known.photos / "a.png")).code == 0
    assert dump(known.catalog) == before


# --- in the terminal ---


def test_a_face_is_drawn_beside_the_nearest_ones_of_whom_it_looks_like(
    known: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = str(known.photos / "a.png")
    with known.app() as app:
        [anna, ben] = whys(app, known, "a.png")
        [own, nearest] = compared_faces(anna)
        assert own == (anna.face_id, "face 1\n")
        like = anna.rematch.likenesses[0]
        assert nearest == (like.nearest.face_id, f"Anna\n{like.distance:.2f}")
        assert [label.split("\n")[0] for _, label in compared_faces(ben)] == ["face 2", "Ben"]
    monkeypatch.setattr(cli_faces, "screen_here", lambda: Screen(Protocol.BLOCKS, 80, BLOCK_CELL))
    answer = run("why", photo)
    assert answer.code == 0
    plain = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", answer.out)
    first, second = plain.split("face 2 from the left")
    for part, name in ((first, "Anna"), (first.partition("to change")[2], "Ben")):
        assert "▀" in part
        assert re.search(rf"face \d +{name}", part)
    assert "▀" not in second
    assert run("why", photo, "--json").out.startswith("{")


def test_without_pictures_all_is_said_in_words(known: Library, run: Any) -> None:
    (known.photos / "b.png").unlink()
    with known.app() as app:
        [why] = whys(app, known, "c.png")[:1]
        drawn = draw_rows(app, Screen(Protocol.NONE), [compared_faces(why), []])
    assert drawn == ["", ""]
    assert "\x1b" not in run("why", str(known.photos / "c.png")).out


@pytest.mark.parametrize(("pictures", "sign"), [("blocks", "▀"), ("kitty", "\x1b_G"), ("sixel", "\x1bP")])
def test_the_program_draws_what_the_terminal_understands(known: Library, pictures: str, sign: str) -> None:
    with session(known, "why", str(known.photos / "b.png"), pictures=pictures) as terminal:
        terminal.expect(sign)
        terminal.expect("face 1 from the left")
        terminal.rest()
        assert terminal.end() == 0
