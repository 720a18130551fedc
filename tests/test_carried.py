"""Who people are goes from one catalog to another: by a file, or straight."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import Library, make_library
from hypothesis import given
from hypothesis import strategies as st
from test_names_taken import decide, face_at, presences, who_is_on

from facewatch.catalog import Catalog
from facewatch.catalog.carried import Carried, CarriedFace, CarriedPerson, CarriedPhoto
from facewatch.errors import CatalogError, EngineError, LibraryError, NotKnownError
from facewatch.people import people_file
from facewatch.people.carrying import Against, PersonPlan
from facewatch.presentation.carried import carried_lines
from facewatch.types import Box, Face, Quality, Tier

PHOTOS = {"a": [(1, 0), (2, 0)], "b": [(1, 1)], "c": [(2, 1)], "d": [(3, 0)]}


@pytest.fixture
def other(tmp_path: Path) -> Library:
    """Another library, on another machine as it were."""
    return make_library(tmp_path / "other")


@pytest.fixture
def named(library: Library) -> Library:
    """One in which Anna and Ben have names, and a face was rejected."""
    library.draw_all(PHOTOS)
    library.scan()
    decide(library, "assign", [face_at(library, "a.png")], "Anna", is_new=True)
    decide(library, "assign", [face_at(library, "a.png", 1)], "Ben", is_new=True)
    decide(library, "assign", [face_at(library, "b.png")], "Anna")
    decide(library, "reject", [face_at(library, "d.png")], "Anna")
    decide(library, "born", "Anna", "1985")
    decide(library, "cannot_link", "Anna", "Ben")
    return library


def written(library: Library) -> Path:
    file = library.base / "people.jsonl"
    with library.app() as app:
        app.carrier().write(file, may_replace=True)
    return file


def taken(library: Library, source: Path, **arguments: Any) -> dict[str, PersonPlan]:
    with library.app() as app:
        return {plan.carried.name: plan for plan in app.carrier().take_over(source, **arguments)}


Way = Callable[[Library], Path]
WAYS: dict[str, Way] = {"a file": written, "a catalog": lambda library: library.catalog}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def test_people_are_recognised_in_another_library_with_other_photos(named: Library, other: Library, way: Way) -> None:
    other.draw("x.png", (1, 5), (2, 5), (9, 0))
    other.scan()
    taken(other, way(named))
    assert who_is_on(other, "x.png") == ["Anna", "Ben", None]
    other.draw("y.png", (1, 6))
    other.scan()
    assert who_is_on(other, "y.png") == ["Anna"]


def test_what_was_decided_about_photos_that_both_have_is_decided_here_too(
    named: Library, other: Library, way: Way, run: Any
) -> None:
    decide(named, "present", "Ben", [photo_id(named, "d.png")])
    other.draw_all(PHOTOS)
    other.scan()
    plans = taken(other, way(named))
    assert [who_is_on(other, f"{name}.png") for name in "abcd"] == [["Anna", "Ben"], ["Anna"], ["Ben"], [None]]
    assert presences(other, "d.png") == ["Ben"]
    assert len(plans["Anna"].faces) == 2
    with other.app() as app:
        ids = {name: person_id for person_id, name in app.catalog.people.names().items()}
        assert app.catalog.people.births() == {ids["Anna"]: "1985"}
        assert app.catalog.rejections.of_person(ids["Anna"]) == {int(face_at(other, "d.png")[1:])}
        assert app.catalog.rejections.cannot_links()[ids["Anna"]] == {ids["Ben"]}
        [entry] = [one for one in app.corrections.history() if one.parent_id is None and one.actor == "user"]
    assert entry.details["source"] == "people"


def photo_id(library: Library, name: str) -> int:
    with library.app() as app:
        return int(app.lookup.photo_id(library.photos / name))


def test_a_photo_that_comes_later_is_found_under_what_was_said_of_it(named: Library, other: Library, way: Way) -> None:
    taken(other, way(named))
    other.draw_all(PHOTOS)
    other.scan()
    assert who_is_on(other, "a.png") == ["Anna", "Ben"]
    with other.app() as app:
        assert [face["source"] for face in app.lookup.photo(other.photos / "a.png")["faces"]] == ["import", "import"]


def test_doing_it_again_changes_nothing(named: Library, other: Library, way: Way) -> None:
    other.draw_all(PHOTOS)
    other.scan()
    source = way(named)
    taken(other, source)
    with other.app() as app:
        before = len(app.corrections.history())
    again = taken(other, source)
    assert not any(plan.changes_anything or plan.conflicts for plan in again.values())
    with other.app() as app:
        assert len(app.corrections.history()) == before


def test_all_of_it_is_undone_as_one(named: Library, other: Library) -> None:
    other.draw_all(PHOTOS)
    other.scan()
    before = [who_is_on(other, f"{name}.png") for name in "abcd"]
    taken(other, written(named))
    with other.app() as app:
        app.corrections.undo()
        assert app.catalog.people.names() == {}
        assert app.catalog.rejections.all() == {}
    other.scan()
    assert [who_is_on(other, f"{name}.png") for name in "abcd"] == before


def test_a_trial_changes_nothing_and_says_the_same(named: Library, other: Library) -> None:
    other.draw_all(PHOTOS)
    other.scan()
    source = written(named)
    tried = taken(other, source, is_trial=True)
    with other.app() as app:
        assert app.catalog.people.names() == {}
        assert list(carried_lines(app.catalog, list(tried.values()), is_trial=True))[:2] == [
            "Anna: 2 faces of photos that are here, 1 face that they are not, born 1985 would be taken over",
            "Ben: 1 face of photos that are here would be taken over",
        ]
    assert taken(other, source).keys() == tried.keys()


def test_what_the_user_decided_here_stays_and_is_told(named: Library, other: Library) -> None:
    other.draw_all(PHOTOS)
    other.scan()
    decide(other, "assign", [face_at(other, "b.png")], "Carla", is_new=True)
    decide(other, "assign", [face_at(other, "d.png")], "Anna", is_new=True)
    decide(other, "ignore", [face_at(other, "a.png", 1)])
    decide(other, "born", "Anna", "1990")
    plans = taken(other, written(named), may_differ=True)
    assert [who_is_on(other, f"{name}.png") for name in "abd"] == [["Anna", None], ["Carla"], ["Anna"]]
    assert {one.against for one in plans["Anna"].conflicts} == {Against.ASSIGNED, Against.IS_PERSON, Against.BORN}
    assert [one.against for one in plans["Ben"].conflicts] == [Against.TAKEN_OUT]
    with other.app() as app:
        told = "\n".join(carried_lines(app.catalog, list(plans.values()), is_trial=False))
    face = face_at(other, "b.png")
    assert f"b.png: face {face} is Anna there; you said that it is Carla, and so it stays. facewatch assign" in told


def test_whom_a_user_rejected_here_nobody_brings_back(named: Library, other: Library) -> None:
    other.draw_all(PHOTOS)
    other.scan()
    source = written(named)
    taken(other, source)
    decide(other, "reject", [face_at(other, "b.png")])
    assert [one.against for one in taken(other, source)["Anna"].conflicts] == [Against.REJECTED]
    assert who_is_on(other, "b.png") != ["Anna"]


def test_somebody_who_is_in_a_photo_twice_by_the_users_word_is_so_here(library: Library, other: Library) -> None:
    for one in (library, other):
        one.draw("x.png", (1, 0), (1, 1), (1, 2))
        one.scan()
    for place in range(2):
        decide(library, "assign", [face_at(library, "x.png", place)], "Anna", is_new=not place)
    taken(other, written(library))
    assert who_is_on(other, "x.png")[:2] == ["Anna", "Anna"]


def test_somebody_else_of_the_same_name_is_told_apart_by_looks(named: Library, other: Library) -> None:
    other.draw("x.png", (7, 0))
    other.scan()
    decide(other, "assign", [face_at(other, "x.png")], "anna", is_new=True)
    source = written(named)
    plans = taken(other, source)
    assert [one.against for one in plans["Anna"].conflicts] == [Against.UNLIKE]
    assert not plans["Anna"].changes_anything
    assert plans["Ben"].references
    assert taken(other, source, may_differ=True)["Anna"].references


def test_faces_of_another_engine_are_refused_with_what_to_do(named: Library, other: Library) -> None:
    lines = written(named).read_text().splitlines()
    header = json.loads(lines[0])
    for engine, text in (
        ({"name": "insightface:buffalo_l", "fingerprint": "x"}, "facewatch scan --engine insightface:buffalo_l here"),
        ({"fingerprint": "x"}, "other model files"),
    ):
        file = other.base / "people.jsonl"
        changed = header | {"engine": header["engine"] | engine}
        file.write_text("\n".join([json.dumps(changed), *lines[1:]]))
        with pytest.raises(EngineError, match=text):
            taken(other, file)
    with other.app() as app:
        assert app.catalog.people.names() == {}


def test_a_catalog_is_only_read(named: Library, other: Library) -> None:
    before = named.catalog.read_bytes()
    names = sorted(path.name for path in named.catalog.parent.iterdir())
    taken(other, named.catalog)
    assert named.catalog.read_bytes() == before
    assert sorted(path.name for path in named.catalog.parent.iterdir()) == names
    with pytest.raises(LibraryError, match="is the catalog in use"):
        taken(other, other.catalog)


def test_what_is_no_catalog_and_what_is_not_there_is_refused(other: Library, tmp_path: Path) -> None:
    strange = tmp_path / "strange.sqlite"
    strange.write_bytes(b"SQLite format 3\0" + b"x" * 2000)
    with pytest.raises(CatalogError):
        taken(other, strange)
    empty = tmp_path / "empty.sqlite"
    Catalog(empty).close()
    with pytest.raises(NotKnownError, match="holds no face yet"):
        taken(other, empty)
    with pytest.raises(LibraryError, match="name a folder of pictures, a file of people, or a catalog"):
        taken(other, tmp_path / "nothing")


def test_the_commands_write_and_take_over(named: Library, run: Any) -> None:
    file = named.base / "people.jsonl"
    assert run("people", "export", str(file)).out == f"{file}: 2 people by 3 faces\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("people", "export", str(file)).code == 4
    assert run("people", "export", str(file), "--force").code == 0
    assert run("people", "export", str(named.photos / "people.jsonl")).code == 4
    assert run("people", "export", str(named.base / "people.txt")).code == 4
    assert run("people", "import", str(named.people), "--same-names").code == 2


def test_the_command_takes_over_what_the_same_engine_has_seen(library: Library, other: Library, run: Any) -> None:
    other.draw("x.png", (1, 0))
    other.scan()
    decide(other, "assign", [face_at(other, "x.png")], "Anna", is_new=True)
    file = written(other)
    answer = run("people", "import", str(file))
    assert answer.code == 7
    assert "its faces were seen by fake, and here by face_recognition, which cannot be compared" in answer.err
    with contextlib.closing(Catalog(library.catalog)) as catalog:
        engine = catalog.engines.in_use()
    assert engine is not None
    vector = np.zeros(engine.n_dims, np.float32)
    vector[0] = 1.0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["engine"] = {"name": engine.name, "fingerprint": engine.fingerprint, "n_dims": engine.n_dims}
    lines[2]["vector"] = base64.b64encode(vector.tobytes()).decode()
    file.write_text("\n".join(map(json.dumps, lines)))
    assert run("people", "import", str(file), "--dry-run").out == "Anna: 1 face to know them by would be taken over\n"
    [row] = json.loads(run("people", "import", str(file), "--json").out)["people"]
    assert (row["name"], row["is_new"], row["n_references"], row["conflicts"]) == ("Anna", True, 1, [])
    assert run("people", "import", str(file)).out == "1 person of whom nothing is new\n"
    assert "1 person taken over from another catalog" in run("history").out
    assert json.loads(run("regions", "--json").out)["faces_taken"] == 0
    assert run("undo").code == 0
    assert "Anna" not in run("people").out


def test_nobody_has_a_name(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.scan()
    with pytest.raises(NotKnownError, match="nobody has a name yet"):
        written(library)


# --- the file ---


def parsed(text: str | bytes) -> Carried:
    return people_file.read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "x")


def sample() -> str:
    """A file of one person with one face."""
    quality = Quality(100.0, 128.0, 40, 0.1, 0.9, Tier.ENROLL)
    face = Face(Box(1, 2, 40, 50, 90), (1.0,) * 10, 0.9, quality, np.array([0.6, 0.8], np.float32))
    photo = CarriedPhoto(b"x" * 32, 640, 480, "JPEG", "2019-07-04T12:00:00")
    file = io.BytesIO()
    anna = CarriedPerson("Anna", faces=(CarriedFace(photo, face, is_said=True),))
    people_file.write(Carried("fake", "f", 2, (anna,)), file)
    return file.getvalue().decode()


def test_what_is_written_is_read_back_as_it_was(named: Library) -> None:
    content = written(named).read_bytes()
    carried = parsed(content)
    assert [(one.name, one.born, len(one.faces), len(one.rejected)) for one in carried.people] == [
        ("Anna", "1985", 2, 1),
        ("Ben", None, 1, 0),
    ]
    again = io.BytesIO()
    people_file.write(carried, again)
    assert again.getvalue() == content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vector", "AAAA"),
        ("vector", "!"),
        ("vector", None),
        ("box", [1, 2, 3]),
        ("box", [1, 2, 0, 3]),
        ("box", [1, 2, 3.5, 3]),
        ("box", [1, 2, 10**12, 3]),
        ("turn", 45),
        ("landmarks", [1]),
        ("landmarks", [float("nan")] * 10),
        ("quality", 7),
        ("tier", "gold"),
        ("covered", "nose"),
        ("score", "x"),
        ("name", "../x"),
        ("name", "p12"),
        ("name", "Zoe"),
        ("photo", {"sha256": "zz", "size": [1, 1], "format": "", "taken_at": ""}),
        ("photo", {"sha256": "00" * 32, "size": [0, 1], "format": "", "taken_at": ""}),
        ("photo", {"sha256": "00" * 32, "size": [1, 1], "format": "", "taken_at": "1 day ago"}),
    ],
)
def test_a_line_that_is_not_as_it_is_to_be_is_refused_with_its_number(key: str, value: Any) -> None:
    lines = sample().splitlines()
    place = next(i for i, line in enumerate(lines) if '"kind":"face"' in line)
    lines[place] = json.dumps(json.loads(lines[place]) | {key: value})
    with pytest.raises(LibraryError, match=f"^x: line {place + 1}: .*write it again"):
        parsed("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"format": "facewatch people", "version": 2}', "[" * 100_000, '{"a":' * 9_000]
)
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(LibraryError, match="line 1"):
        parsed(text)


def test_what_a_newer_version_says_besides_is_passed_over() -> None:
    assert len(parsed(sample() + '{"kind": "voice", "name": "Anna"}\n').people[0].faces) == 1


@given(st.data())
def test_no_damage_does_more_than_to_be_refused(data: st.DataObject) -> None:
    content = bytearray(sample().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LibraryError):
        for person in parsed(bytes(content)).people:
            assert all(abs(np.linalg.norm(one.face.embedding) - 1) <= people_file.NOT_UNIT for one in person.faces)
