"""Whom Google Photos names in the JSON files of a Takeout: in which photo somebody is, and not where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drawn import Library
from hypothesis import given
from hypothesis import strategies as st
from test_names_read import asked_by_scan
from test_names_taken import conflicts, face_at, named, presences, say, who_is_on

from facewatch.errors import RegionsError
from facewatch.regions import takeout


def about(*names: str, title: str = "a.png") -> bytes:
    """A file as a Takeout has it."""
    people = {"people": [{"name": name} for name in names]} if names else {}
    content = {
        "title": title,
        "photoTakenTime": {"timestamp": "1500000000"},
        "url": "https://photos.google.com/photo/A",
    }
    return json.dumps(content | people, ensure_ascii=False, indent=2).encode()


def write(library: Library, name: str, *names: str) -> None:
    path = library.photos / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(about(*names))


@pytest.mark.parametrize("name", ["a.png.json", "a.png.supplemental-metadata.json", "A.PNG.suppl.json"])
def test_the_only_face_of_a_photo_bears_the_name_that_google_has(library: Library, name: str, run: Any) -> None:
    library.draw("a.png", (1, 0))
    library.draw("b.png", (1, 1))
    write(library, name, "Anna")
    library.scan()
    assert who_is_on(library, "a.png") == who_is_on(library, "b.png") == ["Anna"]
    assert "1 by Google Takeout" in run("regions").out


def test_among_several_faces_the_one_that_looks_like_that_person_gets_the_name(library: Library) -> None:
    say(library.draw("a.png", (1, 0)), named("Anna"))
    library.draw("b.png", (5, 0), (1, 1), (6, 0))
    write(library, "b.png.supplemental-metadata.json", "Anna", "Ben")
    library.scan()
    assert who_is_on(library, "b.png") == [None, "Anna", None]
    assert presences(library, "b.png") == ["Ben"]


def test_an_edited_copy_shows_whom_its_photo_shows(library: Library) -> None:
    library.draw("a.png", (1, 0))
    library.draw("a-edited.png", (1, 1))
    write(library, "a.png.supplemental-metadata.json", "Anna")
    library.scan()
    assert who_is_on(library, "a.png") == who_is_on(library, "a-edited.png") == ["Anna"]


def test_a_file_is_read_again_only_when_it_changes(library: Library) -> None:
    library.draw("a.png", (1, 0))
    write(library, "a.png.json", "Anna")
    write(library, "metadata.json", "Zoe")
    assert asked_by_scan(library) == ["a.png.json", "a.png"]
    assert asked_by_scan(library) == []
    write(library, "a.png.json", "Annabelle")
    assert asked_by_scan(library) == ["a.png.json"]
    assert who_is_on(library, "a.png") == ["Annabelle"]


def test_files_that_come_later_or_move_with_their_photos_are_read(library: Library) -> None:
    library.draw("new/a.png", (1, 0))
    write(library, "new/a.png.json", "Anna")
    library.scan()
    library.draw("new/a-edited.png", (1, 1))
    assert asked_by_scan(library) == ["new/a.png.json", "new/a-edited.png"]
    (library.photos / "new").rename(library.photos / "old")
    assert asked_by_scan(library) == ["old/a.png.json"]
    assert asked_by_scan(library) == []
    assert who_is_on(library, "old/a.png") == who_is_on(library, "old/a-edited.png") == ["Anna"]


def test_whom_a_user_rejected_google_does_not_bring_back(library: Library) -> None:
    library.draw("a.png", (1, 0))
    write(library, "a.png.json", "Anna")
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.reject([face_at(library, "a.png")])
    write(library, "a.png.json", "Anna", "anna")
    library.scan()
    assert who_is_on(library, "a.png") == [None]


def test_what_is_undone_is_not_taken_over_again(library: Library) -> None:
    library.draw("a.png", (1, 0))
    write(library, "a.png.json", "Anna")
    library.scan()
    with library.app() as app:
        app.corrections.undo()
    library.scan()
    assert who_is_on(library, "a.png") == [None]
    assert presences(library, "a.png") == []


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe", b" " * 2_000_000])
def test_a_damaged_file_is_told_of_once(library: Library, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / "a.png.json").write_bytes(content)
    with caplog.at_level("WARNING", "facewatch"):
        library.scan()
    assert "a.png.json: its names cannot be used" in caplog.text
    assert asked_by_scan(library) == []
    assert conflicts(library) == []


# --- which file is about which photo ---

LONG = "Screenshot_20220207_102421_com.snapchat.android.jpg"


@pytest.mark.parametrize(
    ("photo", "file"),
    [
        ("IMG_1.JPG", "IMG_1.JPG.json"),
        ("IMG_1.JPG", "IMG_1.JPG.supplemental-metadata.json"),
        ("IMG_1(2).JPG", "IMG_1.JPG(2).json"),
        ("IMG_1(2).JPG", "IMG_1.JPG.supplemental-metadata(2).json"),
        ("Screenshot_2017-07-05-10-05-26.png", "Screenshot_2017-07-05-10-05-26.png.supplementa.json"),
        ("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json"),
        (LONG, "Screenshot_20220207_102421_com.snapchat.androi.json"),
        ("IMG_1-edited.JPG", "IMG_1.JPG.supplemental-metadata.json"),
        ("IMG_1-bearbeitet(2).JPG", "IMG_1.JPG.supplemental-metadata(2).json"),
    ],
)
def test_the_file_of_a_photo_is_found_however_google_has_called_it(photo: str, file: str) -> None:
    others = ["metadata.json", "IMG_10.JPG.json", "IMG_1.PNG.json", "Screenshot.json", "IMG_1.JPG(3).json"]
    assert takeout.files_of([photo, "other.jpg"], [*others, file]) == {photo: file}


def test_a_photo_has_its_own_file_before_that_of_another() -> None:
    photos = ["IMG_1.JPG", "IMG_1(1).JPG", "IMG_1-edited.JPG"]
    files = ["IMG_1.JPG.supplemental-metadata.json", "IMG_1.JPG.supplemental-metadata(1).json", "IMG_1-edited.JPG.json"]
    assert takeout.files_of(photos, files) == dict(zip(photos, files, strict=True))


NO_TEXT = '{"people": [{"name": "\\ud800 and half a smile"}]}'
"""As programs write it that cut names in the middle of a character."""


def test_a_name_that_is_no_text_ends_no_scan(library: Library) -> None:
    library.draw("a.png", (1, 0))
    (library.photos / "a.png.json").write_text(NO_TEXT)
    library.scan()
    assert who_is_on(library, "a.png") == [None]


@pytest.mark.parametrize(
    "content",
    ['{"people": 3}', '{"people": [{"name": 3}, "x", {}]}', "[]", "3", '{"people": [{"name": " "}]}', NO_TEXT],
)
def test_json_of_another_kind_names_nobody(content: str) -> None:
    assert takeout.read(content.encode()).is_empty


@given(st.binary(max_size=200))
def test_whatever_stands_there_is_read_or_refused(content: bytes) -> None:
    try:
        said = takeout.read(content)
    except RegionsError:
        return
    assert not said.faces
