"""A link in a person's folder means that person's face on the photo."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from drawn import FAMILY, Library

from facewatch.cli import main
from facewatch.cli import scan as cli_scan
from facewatch.presentation.reports import scan_lines

KINDS = ("symlink", "hardlink", "copy")


@pytest.fixture
def place(library: Library, run: Any, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Anna and Ben are on both.png, Anna alone on a.png, Ben on b.png, and a stranger twice: on c.png and both.png."""
    return _drawn(library, run, monkeypatch)


def _drawn(library: Library, run: Any, monkeypatch: pytest.MonkeyPatch, kind: str = "symlink") -> Library:
    for name, faces in {
        "both": [(2, 0), (1, 0), (9, 0)],
        "a": [(1, 1)],
        "b": [(2, 1)],
        "c": [(9, 1)],
    }.items():
        library.draw(f"{name}.png", *faces)
    library.scan(**{"folders.link": kind})
    (library.base / "facewatch.toml").write_text(f'[folders]\nlink = "{kind}"\n')
    monkeypatch.chdir(library.base)
    for name, photo in (("Anna", "a.png"), ("Ben", "b.png")):
        assert run("rename", f"p{_faces(run, f'Photos/{photo}')[0]['person_id']}", name).code == 0
    return library


def _faces(run: Any, what: str, *options: str) -> list[dict[str, Any]]:
    faces: list[dict[str, Any]] = json.loads(run("why", what, "--json", *options).out)["faces"]
    return faces


def _meant(run: Any, link: str) -> str:
    [face] = _faces(run, link)
    return f"f{face['face_id']}"


def _face_of(run: Any, name: str) -> str:
    return next(f"f{face['face_id']}" for face in _faces(run, "Photos/both.png") if face["name"] == name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_to_a_group_photo_is_the_face_of_the_person_whose_folder_it_is_in(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _drawn(library, run, monkeypatch, kind)
    anna, ben = _face_of(run, "Anna"), _face_of(run, "Ben")
    answer = run("reject", "People/Anna/both.png")
    assert (answer.code, answer.err) == (0, "")
    assert "1 face: not Anna, for good" in answer.out
    assert f"face {anna}: " in answer.out
    assert f"face {ben}: " in run("unassign", "People/Ben/both.png").out
    assert not (library.people / "Anna/both.png").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_is_a_photo_where_the_number_of_a_face_is_named(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _drawn(library, run, monkeypatch, kind)
    first = _faces(run, "Photos/both.png")[0]
    assert [face["face_id"] for face in _faces(run, "People/Anna/both.png:1")] == [first["face_id"]]


@pytest.mark.parametrize("kind", KINDS)
def test_why_tells_of_that_face_and_of_the_others_when_asked(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    _drawn(library, run, monkeypatch, kind)
    answer = run("why", "People/Anna/both.png")
    assert answer.code == 0
    assert re.findall(r"face \d from the left .*: (\w+)", answer.out) == ["Anna"]
    assert "and 2 other faces of this photo: --all shows all" in answer.out
    whole = run("why", "People/Anna/both.png", "--all")
    assert re.findall(r"face \d from the left .*: (\w+)", whole.out)[:2] == ["Anna", "Ben"]
    assert "--all" not in whole.out
    assert len(_faces(run, "People/Anna/both.png")) == 1
    assert _faces(run, "People/Anna/both.png", "--all")[0]["name"] == "Anna"


def test_search_looks_for_that_face_only(place: Library, run: Any) -> None:
    found = json.loads(run("search", "People/Anna/both.png", "--json").out)["faces"]
    assert [face["person"] for face in found] == ["Anna"]
    assert len(json.loads(run("search", "Photos/both.png", "--json").out)["faces"]) == 3
    numbered = json.loads(run("search", "People/Anna/both.png", "--face", "1", "--json").out)["faces"]
    assert [face["number"] for face in numbered] == [1]


def test_a_photo_of_the_library_stays_ambiguous(place: Library, run: Any) -> None:
    answer = run("reject", "Photos/both.png")
    assert (answer.code, "has 3 faces; say which" in answer.err) == (9, True)


def test_the_folder_of_somebody_without_a_name_is_one_like_any_other(place: Library, run: Any) -> None:
    [folder] = (place.people / "_unnamed").iterdir()
    stranger = next(face for face in _faces(run, "Photos/both.png") if face["name"] not in ("Anna", "Ben"))
    assert f"face f{stranger['face_id']}: " in run("confirm", str(folder / "both.png")).out


def test_a_link_is_found_from_any_folder_and_through_links_to_folders(
    place: Library, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    anna = _face_of(run, "Anna")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/people").symlink_to(place.people)
    for folder, link in (
        (place.people / "Anna", "both.png"),
        (place.people / "Ben", "../Anna/both.png"),
        (place.photos, "../People/Anna/both.png"),
        (tmp_path / "elsewhere", "people/Anna/both.png"),
        (tmp_path, str(place.people / "Ben" / ".." / "Anna" / "both.png")),
    ):
        monkeypatch.chdir(folder)
        assert _meant(run, link) == anna, link


def test_a_people_folder_behind_a_link_is_the_same_one(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "big disk").mkdir()
    library.people.symlink_to(tmp_path / "big disk")
    _drawn(library, run, monkeypatch)
    anna = _face_of(run, "Anna")
    for link in ("People/Anna/both.png", "big disk/Anna/both.png"):
        assert _meant(run, link) == anna, link


def test_a_link_that_bears_another_name_than_its_photo_is_that_photo(
    library: Library, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.draw("2023/a.png", (1, 5), (2, 5))
    library.draw("2024/a.png", (2, 6), (1, 6))
    _drawn(library, run, monkeypatch)
    renamed = [path for path in (library.people / "Anna").iterdir() if " (" in path.name]
    assert len(renamed) == 2
    for link in renamed:
        assert [face["name"] for face in _faces(run, str(link))] == ["Anna"]


def test_after_a_photo_was_moved_its_link_still_says_which_face(place: Library, run: Any) -> None:
    anna = _face_of(run, "Anna")
    (place.photos / "both.png").rename(place.photos / "moved.png")
    assert not (place.people / "Anna/both.png").exists()
    assert f"face {anna}: " in run("reject", "People/Anna/both.png").out


def test_a_link_that_is_out_of_date_names_nobody(place: Library, run: Any) -> None:
    anna = _face_of(run, "Anna")
    with place.app() as app, app.catalog.write():
        app.catalog.assignments.release([int(anna[1:])])
    answer = run("reject", "People/Anna/both.png")
    assert answer.code == 9
    assert "Anna is not on this photo any more; `facewatch folders` brings the links up to date" in answer.err
    told = run("why", "People/Anna/both.png").out
    assert "Anna is not on this photo any more" in told
    assert "3 faces" in told


def test_a_link_for_somebody_who_was_forgotten_names_nobody_else(place: Library, run: Any) -> None:
    with place.app() as app:
        anna = app.lookup.person("Anna")
        with app.catalog.write():
            faces = [row.id for row in app.catalog.faces.of_person(anna.id)]
            app.catalog.assignments.release(faces)
            app.catalog.people.forget(anna.id)
    answer = run("reject", "People/Anna/a.png")
    assert (answer.code, "who is forgotten, is not on this photo" in answer.err) == (9, True)


def test_a_link_of_somebody_who_was_merged_means_who_that_is_now(place: Library, run: Any) -> None:
    with place.app() as app:
        anna, stranger = app.lookup.person("Anna"), app.lookup.person("Person 0003")
        with app.catalog.write():
            app.catalog.assignments.release([row.id for row in app.catalog.faces.of_person(stranger.id)])
            app.catalog.assignments.reassign_all(anna.id, stranger.id)
            app.catalog.people.retire(anna.id, stranger.id)
    assert run("confirm", "People/Anna/both.png").code == 0


def test_somebody_who_is_twice_on_a_photo_is_asked_about(place: Library, run: Any) -> None:
    first, second = _face_of(run, "Anna"), _face_of(run, "Ben")
    assert run("assign", second, "Anna").code == 0
    assert run("assign", first, "Anna").code == 0
    assert run("assign", second, "Anna").code == 0
    answer = run("reject", "People/Anna/both.png")
    assert answer.code == 9
    assert "Anna is on this photo 2 times: " in answer.err
    assert all(f"{face} (" in answer.err for face in (first, second))
    told = run("why", "People/Anna/both.png").out
    assert re.findall(r"face \d from the left .*: (\w+)", told) == ["Anna", "Anna"]


@pytest.mark.parametrize("make", [os.symlink, shutil.copy2, os.link])
def test_a_link_that_a_user_made_says_nothing_about_who_is_on_the_photo(place: Library, run: Any, make: Any) -> None:
    make(place.photos / "both.png", place.people / "Anna/mine.png")
    answer = run("reject", "People/Anna/mine.png")
    assert answer.code == 9
    assert ("has 3 faces; say which" in answer.err) == (make is os.symlink)


def test_a_link_that_a_user_has_replaced_says_nothing_any_more(place: Library, run: Any) -> None:
    (place.people / "Anna/both.png").unlink()
    (place.people / "Anna/both.png").symlink_to(place.photos / "b.png")
    ben = _faces(run, "Photos/b.png")[0]["face_id"]
    assert [face["face_id"] for face in _faces(run, "People/Anna/both.png")] == [ben]


@pytest.mark.parametrize("word", ["x" * 5000, "a\nb.png", "People/Anna", "People/Nobody/both.png", "/", ".", ""])
def test_other_words_are_no_links(place: Library, run: Any, word: str) -> None:
    for command in (["unassign", word], ["why", word]):
        answer = run(*command)
        assert answer.code == 9
        assert "Traceback" not in answer.err


def test_a_scan_says_that_a_link_was_moved_from_one_person_to_another(
    library: Library, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library.draw_all(FAMILY)
    library.scan()
    with library.app() as app, app.corrections.deciding() as decisions:
        decisions.rename("p1", "Anna")
        decisions.rename("p2", "Ben")
    (library.people / "Anna" / "b.png").rename(library.people / "Ben" / "b.png")
    monkeypatch.setattr(cli_scan, "_app", lambda *_, **__: library.app())
    assert main(["scan", str(library.photos)]) == 0
    said = capsys.readouterr().out
    assert f"{library.people}: 0 links made, 0 removed, 1 change of yours followed\n" in said
    assert "Anna: 1 face assigned to Ben, because of a link there: Ben/b.png" in said


def test_a_scan_says_that_links_have_other_places(library: Library) -> None:
    library.draw_all(FAMILY)
    library.scan(**{"folders.link": "hardlink"})
    with library.app({"folders.link": "hardlink", "folders.layout": "person/year"}) as app:
        with app.catalog.write():
            app.catalog._db.execute("UPDATE photos SET taken_at = '2003-05-06T07:08:09'")
        n_links = len(app.catalog.links.all())
        said = list(scan_lines(app.pipeline.scan(), app.status()))
    assert f"{library.people}: 0 links made, 0 removed, {n_links} links or folders moved" in said
